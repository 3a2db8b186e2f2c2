# SPDX-License-Identifier: BSD-3-Clause
"""One critical point of training: what kind of point it is, where it comes from, and on what evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ._inertia import Inertia
from ._origin import Origin

if TYPE_CHECKING:
    from .singularities import PointAnalysis

__all__ = ["CriticalPoint", "Inertia", "Origin"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class CriticalPoint:
    """A critical point of the loss of a network, classified.

    Attributes
    ----------
    theta : ndarray, shape (n_params,)
        The parameters.
    canonical_theta : ndarray, shape (n_params,)
        Their representative under the network's symmetries.
    coef : ndarray, shape (n_outputs, n_monomials)
        The coefficients of the function.
    loss : float
        The sum of squared errors, its constant included; or the value of another loss.
    gradient_norm : float
        Norm of the gradient in the parameters.
    gradient_scale : float
        What ``gradient_norm`` is to be compared with.
    kind : str
        "minimum" or "maximum" (all eigenvalues of the Hessian modulo the fibre are positive, or negative), "strict
        saddle" (one is negative), "degenerate" (none is negative, some are zero) or "undecided".
    inertia : Inertia
        Of the Hessian, modulo the fibre.
    higher_order : str or None
        What a degenerate point is: "minimum", "saddle" or "undecided"; None for other kinds.
    origin : Origin
        Pure or spurious.
    location : str
        Where the function is in the function space: "smooth", "singular", "boundary" or "undecided".
    subnetwork : str
        The smaller network that has the function, in words; "" if there is none.
    analysis : PointAnalysis or None
        What ``location`` rests on.
    zero_loss : bool
        Whether the loss is at its lower bound: for squared errors, whether ``loss`` is zero up to rounding.
    degenerate_metric : str or None
        None if Q is regular. Else "A" if the function is in M ∩ (u + ker Q), that is fits the targets as well as any
        polynomial, "ramification" if the projection of M along ker Q drops rank there, "neither" or "undecided".
    projected_rank : int
        Rank of that projection, of the Jacobian of F·c with Q = FᵀF; the Jacobian's own for other losses.
    status : str
        "global minimum" (proved), "best found", "beaten" (a minimum, and there is a better one), or "saddle" for all
        that is no minimum.
    proved : bool
        Whether ``status`` is certain.
    reason : str
        What kind and status rest on.
    hits : int
        How many searches ended here.
    found_by : tuple of str
        Which searches.
    """

    theta: Vector = field(repr=False, compare=False)
    canonical_theta: Vector = field(repr=False, compare=False)
    coef: Vector = field(repr=False, compare=False)
    loss: float
    gradient_norm: float
    gradient_scale: float
    kind: str
    inertia: Inertia
    higher_order: str | None
    origin: Origin
    location: str
    subnetwork: str
    analysis: PointAnalysis | None
    zero_loss: bool
    degenerate_metric: str | None
    projected_rank: int
    status: str
    proved: bool
    reason: str
    hits: int = 1
    found_by: tuple[str, ...] = ()

    @property
    def is_minimum(self) -> bool:
        """Whether it is a local minimum, as far as is known."""
        return self.kind == "minimum" or self.higher_order == "minimum" or self.status == "global minimum"
