# SPDX-License-Identifier: BSD-3-Clause
"""Signs of the eigenvalues of the Hessian of a network's loss at a critical point, modulo the fibre."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from . import _linalg
from ._fibre import Fibre
from ._local_expansion import CLEAR_MARGIN, ComposedLoss, LocalExpansion, complement, in_gap, margin_of, orthonormal

__all__ = ["Inertia"]

Vector = NDArray[np.float64]

# Change of the Hessian along a Newton step, relative to its terms, that leaves it unknown.
_VAGUE = 1e-2
# Relative change of the gradient along a direction of the fibre that counts as none.
_STAYS_CRITICAL = 1e-9
# Of a Hessian that is too large: vectors at a time, how often, eigenvalues that are kept, and which are zero.
_BLOCK, _BLOCKS, _SHOWN, _EXTREME_ZERO = 8, 30, 6, 1e-8


@dataclass(frozen=True)
class Inertia:
    """Numbers of negative, zero and positive eigenvalues of the Hessian, on a complement of the tangents of the fibre.

    Attributes
    ----------
    index : int
        Number of negative eigenvalues: independent directions in which the loss falls to second order.
    nullity : int
        Number of eigenvalues that are zero up to ``tolerance``, besides those along the fibre.
    positive : int
        Number of positive eigenvalues: index + nullity + positive = n_params − fibre_dimension.
    fibre_dimension : int
        Dimension of the directions taken out, along which the function does not change.
    eigenvalues : ndarray, shape (n_params − fibre_dimension,)
        Ascending; of the Hessian with its rows and columns scaled, which does not change signs (Sylvester).
    tolerance : float
        Eigenvalues of at most this size count as zero.
    margin : float
        How far the eigenvalue nearest to the tolerance is from it, as a ratio >= 1; 1 is undecidable, inf is where
        there is no eigenvalue.
    reason : str
        Which directions were taken out, and why they are along the fibre.
    partial : bool
        Whether only extreme eigenvalues were computed, since the Hessian is too large: then ``index``, ``nullity`` and
        ``positive`` are those seen, which are lower bounds.
    """

    index: int
    nullity: int
    positive: int
    fibre_dimension: int
    eigenvalues: Vector = field(repr=False, compare=False)
    tolerance: float
    margin: float
    reason: str = field(default="", compare=False)
    partial: bool = False

    @property
    def decided(self) -> bool:
        """Whether the whole spectrum was seen and no eigenvalue is within a factor of three of the tolerance."""
        return not self.partial and self.margin >= CLEAR_MARGIN

    def __repr__(self) -> str:
        text = f"index {self.index}, nullity {self.nullity}, positive {self.positive}, fibre {self.fibre_dimension}"
        partial = ", of the eigenvalues computed" if self.partial else ""
        return f"Inertia({text}; tolerance {self.tolerance:.2g}, margin {self.margin:.2g}{partial})"


def inertia(expansion: LocalExpansion, fibre: Fibre) -> Inertia:
    """Signs of the Hessian at a critical point, modulo the tangents of the fibre.

    Notes
    -----
    Where J has its generic rank its kernel is the tangent space of the fibre, which is a manifold there. Elsewhere the
    kernel is larger than the fibre, and only what is known of the fibre is taken out.

    Eigenvalues are zero up to rounding, ε times the terms that the entries of H are sums of, and up to the change of H
    along a Newton step, since θ is not exactly critical. The tolerance is put into the gap above both.
    """
    basis, reason = directions_across(expansion, fibre)
    values = _linalg.eigenvalues(basis.T @ expansion.scaled_hessian @ basis) if basis.size else np.zeros(0)
    change = basis.T @ expansion.uncertainty @ basis
    noise = expansion.rounding + 2.0 * float(np.linalg.norm(change))
    tolerance = in_gap(np.abs(values), noise)
    # A step to the critical point that changes everything tells nothing.
    terms = expansion.units[:, None] * expansion.hessian_sizes * expansion.units
    vague = noise > _VAGUE * float(np.linalg.norm(terms))
    return Inertia(
        index=int(np.count_nonzero(values < -tolerance)),
        nullity=int(np.count_nonzero(np.abs(values) <= tolerance)),
        positive=int(np.count_nonzero(values > tolerance)),
        fibre_dimension=len(basis) - basis.shape[1],
        eigenvalues=values,
        tolerance=tolerance,
        margin=1.0 if vague else margin_of(values, tolerance),
        reason=reason,
    )


def directions_across(expansion: LocalExpansion, fibre: Fibre) -> tuple[Vector, str]:
    """Orthonormal basis, columns, of a complement of the tangents of the fibre, in the units of the expansion.

    With it what the fibre was taken to be.
    """
    n, units = expansion.composed.n_params, expansion.units
    generic = expansion.composed.generic.dimension
    if expansion.rank == generic:
        reason = f"the kernel of the Jacobian, which has its generic rank {generic}"
        return complement(expansion.kernel / units, n), reason
    # Elsewhere on the fibre the gradient need not vanish: only directions are taken out in which it stays zero.
    span = orthonormal((fibre.tangents(expansion) / units).T)
    _, slopes, directions = _linalg.svd(expansion.scaled_hessian @ span, full=True)
    noise = expansion.rounding + 2.0 * float(np.linalg.norm(expansion.uncertainty))
    steep = int(np.count_nonzero(slopes > max(noise, _STAYS_CRITICAL * float(slopes.max(initial=0.0)))))
    reason = f"the known symmetries and free weights, the Jacobian having rank {expansion.rank} of {generic}"
    if fibre.is_cut_short:
        reason += f"; left out: some that may be free, since comparing ranks is slow for {n} parameters"
    return complement(directions[steep:] @ span.T, n), reason


def extreme_inertia(composed: ComposedLoss, theta: Vector, rng: int = 0) -> Inertia:
    """Lowest eigenvalues of a Hessian that is too large to be formed, by products with blocks of vectors.

    Notes
    -----
    Eigenvalues of the restriction to a block Krylov space interlace those of H: so many of them as are negative, so
    many are of H (Cauchy). The others are only close.
    """
    n, objective = composed.n_params, composed.objective
    block = np.random.default_rng(rng).standard_normal((n, min(n, _BLOCK)))
    basis, images = np.zeros((n, 0)), np.zeros((n, 0))
    for _ in range(_BLOCKS):
        for _ in range(2):  # once more, against rounding
            block = block - basis @ (basis.T @ block)
        block = orthonormal(block)
        if not block.size:
            break
        image = np.asarray(objective.hessian_product(theta, np.ascontiguousarray(block.T))).T
        basis, images = np.hstack([basis, block]), np.hstack([images, image])
        block = image
    form = basis.T @ images
    values = _linalg.eigenvalues(0.5 * (form + form.T))
    tolerance = _EXTREME_ZERO * float(np.abs(values).max(initial=0.0))
    lowest = values[: max(_SHOWN, int(np.count_nonzero(values < -tolerance)))]
    return Inertia(
        index=int(np.count_nonzero(lowest < -tolerance)),
        nullity=int(np.count_nonzero(np.abs(lowest) <= tolerance)),
        positive=int(np.count_nonzero(lowest > tolerance)),
        fibre_dimension=0,
        eigenvalues=lowest,
        tolerance=tolerance,
        margin=margin_of(lowest, tolerance),
        reason=f"none: only the lowest eigenvalues of the {n} were computed, by products",
        partial=True,
    )
