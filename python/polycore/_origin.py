# SPDX-License-Identifier: BSD-3-Clause
"""Whether a critical point comes from the function space (pure) or from its parametrisation (spurious)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import _linalg
from ._fibre import Fibre
from ._local_expansion import CLEAR_MARGIN, EPS, ROUNDING, ComposedLoss, LocalExpansion
from .jacobian_rank import jacobian_rank

__all__ = ["Origin"]

Vector = NDArray[np.float64]

# A slope of the loss along a tangent vector of norm 1 is zero up to this, relative to the scale of the gradient.
_FLAT = 1e-8
# Slopes are clearly not zero above this, relative to the gradient.
_STEEP = 1e-6
# Other parameters of the same function that are looked at, and directions and radii of difference quotients.
_PREIMAGES, _DIRECTIONS, _RADII = 8, 64, (1e-1, 3e-2, 1e-2)
# Curves with a velocity of second order, of the largest slopes, that are looked at.
_CURVES = 64
# Corrections of these parameters, and how many rounding errors a difference has to exceed.
_CORRECTIONS, _CLEAR = 6, 1e4


@dataclass(frozen=True)
class Origin:
    """Whether the function of a critical point is critical for the loss on the function space.

    Attributes
    ----------
    verdict : str
        "pure", "spurious" or "undecided".
    rank : int
        Of the Jacobian at the point.
    generic_rank : int
        That at almost every point: the dimension of the function space.
    projected_gradient : float
        Largest slope found of the loss along a tangent of the function space at the point: norm of the gradient with
        respect to the coefficients, projected to the tangent space or cone as far as it is known.
    gradient : float
        Norm of the gradient with respect to the coefficients.
    tolerance : float
        A projected gradient up to this is zero.
    reason : str
        In words.

    Notes
    -----
    M. Trager, K. Kohn, J. Bruna, *Pure and spurious critical points: a geometric study of linear networks*, ICLR 2020,
    arXiv:1910.01671.
    """

    verdict: str
    rank: int
    generic_rank: int
    projected_gradient: float
    gradient: float
    tolerance: float
    reason: str

    @property
    def pure(self) -> bool:
        """Whether the verdict is "pure"."""
        return self.verdict == "pure"

    @property
    def spurious(self) -> bool:
        """Whether the verdict is "spurious"."""
        return self.verdict == "spurious"

    def __repr__(self) -> str:
        slopes = f"slope {self.projected_gradient:.2g} of {self.gradient:.2g}, tolerance {self.tolerance:.2g}"
        return f"Origin({self.verdict}: rank {self.rank} of {self.generic_rank}, {slopes}; {self.reason})"


def origin(expansion: LocalExpansion, fibre: Fibre) -> Origin:
    """Pure or spurious, at a critical point.

    Notes
    -----
    G is the gradient of the loss in the coefficients. Let dim M be the dimension of the function space M.

    * G = 0: pure.
    * rank J = dim M: the image of J is a tangent space of M, to which G is orthogonal: pure.
    * J v = 0: the curve θ + t v + t² w leaves with velocity d²c(v, v)/2 + J w, with respect to t². If ⟨G, d²c(v, v)⟩ =
      vᵀHv ≠ 0, the loss has a slope along it: spurious.
    * θ' has the same function, and G is not orthogonal to the image of its Jacobian: spurious. If that has rank dim M
      and G is orthogonal to it: pure.
    * Curves that leave to higher order are looked at by difference quotients at three radii.
    """
    composed = expansion.composed
    rank, generic = expansion.rank, composed.generic.dimension
    size, tolerance = float(np.linalg.norm(expansion.slope)), _FLAT * composed.slope_scale(expansion.coef)

    def result(verdict: str, projected: float, reason: str) -> Origin:
        return Origin(verdict, rank, generic, projected, size, tolerance, reason)

    along = float(np.linalg.norm(expansion.image.T @ expansion.slope))
    if size <= tolerance:
        return result("pure", along, "the gradient on the function space is zero")
    if expansion.rank_margin < CLEAR_MARGIN:
        return result("undecided", along, f"the rank is not clear: {rank} with margin {expansion.rank_margin:.2g}")
    if rank == generic:
        if along <= max(tolerance, _STEEP * size):
            return result("pure", along, "orthogonal to the image of the Jacobian, which is a tangent space")
        return result("undecided", along, "the gradient in the parameters is zero, but hardly along tangent vectors")

    slope, downhill = _slope_of_second_order(expansion)
    if slope > max(tolerance, _STEEP * size):
        edge = "" if downhill else "; uphill only, as at an edge of the function space"
        return result("spurious", slope, f"curves in the function space leave in directions of non-zero slope{edge}")
    generator, steepest = np.random.default_rng(0), along
    preimages = (fibre.others(generator, _PREIMAGES), fibre.nearby(expansion, generator, _PREIMAGES))
    for theta in itertools.chain(*preimages):
        other = LocalExpansion(composed, theta)
        slope = _largest_slope(other.jacobian, expansion.slope)
        steepest = max(steepest, slope)
        if slope > max(tolerance, _STEEP * size):
            why = f"other parameters of the same function, with rank {other.own_rank} of {generic}, are not critical"
            return result("spurious", slope, why)
        if other.own_rank == generic:
            return result("pure", slope, "orthogonal to a tangent space, at other parameters of the same function")
    slope, lasting = _sampled_slope(expansion, generator)
    if lasting and slope > max(tolerance, _STEEP * size):
        return result(
            "spurious",
            slope,
            "functions nearby are in directions of non-zero slope, however near, as far as samples show",
        )
    return result("undecided", steepest, "the rank drops, and no curve with a slope was found")


def _slope_of_second_order(expansion: LocalExpansion) -> tuple[float, bool]:
    """The largest slope along curves that start in the kernel of J, and whether the loss falls along one."""
    units = expansion.units
    kernel = _linalg.qr((expansion.kernel / units).T)[0] if len(expansion.kernel) else np.zeros((len(units), 0))
    form = kernel.T @ expansion.scaled_hessian @ kernel
    values, vectors = _linalg.eigh(form)
    change = kernel.T @ expansion.uncertainty @ kernel
    noise = 10 * (expansion.rounding + 2 * float(np.linalg.norm(change)))
    clear = np.flatnonzero(np.abs(values) > noise)
    if not clear.size:
        return 0.0, False
    steep = clear[np.argsort(-np.abs(values[clear]), kind="stable")[:_CURVES]]
    velocities = expansion.composed.second_derivative(expansion.theta, units * (vectors[:, steep].T @ kernel.T))
    return _slope_modulo(expansion, velocities), bool(values[0] < -noise)


def _slope_modulo(expansion: LocalExpansion, velocities: Vector) -> float:
    """Largest |⟨G, v⟩| of velocities v (m, C) made as short as J w allows, divided by their lengths."""
    shortest = velocities - velocities @ expansion.image @ expansion.image.T
    lengths = np.linalg.norm(shortest, axis=1)
    moving = lengths > 0
    return float((np.abs(shortest[moving] @ expansion.slope) / lengths[moving]).max(initial=0.0))


def _largest_slope(jacobian: Vector, slope: Vector) -> float:
    """The largest slope along single columns, which are velocities."""
    lengths = np.linalg.norm(jacobian, axis=0)
    moving = lengths > ROUNDING * EPS * lengths.max(initial=0.0)
    return float(np.abs((slope @ jacobian[:, moving]) / lengths[moving]).max(initial=0.0))


def _sampled_slope(expansion: LocalExpansion, generator: np.random.Generator) -> tuple[float, bool]:
    """The largest difference quotient at the smallest radius, and whether it is no smaller than at the others.

    Parameters θ + v with v in the kernel of J are corrected until their function differs from that of θ by something
    orthogonal to the image of J, which would be of lower order and has no slope.
    """
    composed, kernel = expansion.composed, expansion.kernel
    if not len(kernel):
        return 0.0, False
    directions = generator.standard_normal((_DIRECTIONS, len(kernel))) @ _linalg.qr(kernel.T)[0].T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    size = float(np.linalg.norm(expansion.theta)) or composed.natural_size
    rounding = _CLEAR * EPS * float(np.linalg.norm(composed.majorant_coef(expansion.theta)))
    largest = []
    for radius in _RADII:
        points = expansion.theta + radius * size * directions
        for _ in range(_CORRECTIONS):
            points = points - expansion.preimage(composed.expand(points) - expansion.coef)
        steps = composed.expand(points) - expansion.coef
        moved = np.linalg.norm(steps - steps @ expansion.image @ expansion.image.T, axis=1) > rounding
        near = np.linalg.norm(points - expansion.theta, axis=1) < 2 * radius * size
        largest.append(_slope_modulo(expansion, steps[moved & near]))
    return largest[-1], largest[-1] > 0.5 * max(largest)


def origin_by_rank(composed: ComposedLoss, theta: Vector) -> Origin:
    """What the rank tells alone, where dense matrices are too large; rank −1 if even that is."""
    coef = composed.expand(theta)
    size, tolerance = float(np.linalg.norm(composed.slope(coef))), _FLAT * composed.slope_scale(coef)
    try:
        generic = composed.generic.dimension
        rank = jacobian_rank(composed.net, theta).rank
    except (MemoryError, OverflowError):
        verdict = "pure" if size <= tolerance else "undecided"
        return Origin(verdict, -1, -1, size, size, tolerance, "the Jacobian is too large for its rank")
    if size <= tolerance:
        return Origin("pure", rank, generic, 0.0, size, tolerance, "the gradient on the function space is zero")
    if rank == generic:
        why = "orthogonal to the image of the Jacobian, which is a tangent space"
        return Origin("pure", rank, generic, 0.0, size, tolerance, why)
    return Origin("undecided", rank, generic, 0.0, size, tolerance, "the rank drops, and the network is large")
