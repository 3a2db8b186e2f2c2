# SPDX-License-Identifier: BSD-3-Clause
"""One critical point of training: what kind of point it is, where it comes from, and on what evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._fibre import Fibre, snapped
from ._higher_order import higher_order
from ._inertia import Inertia, extreme_inertia, inertia
from ._local_expansion import CLEAR_MARGIN, EPS, ComposedLoss, LocalExpansion, composed_loss
from ._origin import Origin, origin, origin_by_rank
from ._validation import _describe, as_flag, as_index, as_real, as_sequence, as_theta, check_shape
from .errors import NumericalError
from .network_loss import NetworkLoss
from .singularities import PointAnalysis, analyze_point, words_of_part

__all__ = ["CriticalPoint", "Inertia", "Origin", "classify"]

Vector = NDArray[np.float64]

# A gradient above this part of its scale is not that of a critical point.
_CRITICAL = 1e-6
# Losses that are equal, relatively.
_SAME_LOSS = 1e-9
# Losses are as large as their rounding errors up to this fraction of the terms that cancel in them.
_ROUNDING_OF_LOSS = 64 * EPS
# A rank that was not computed.
_UNKNOWN = -1


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

    @property
    def pure(self) -> bool:
        """Whether it is known to be critical for the loss on the function space, see ``origin``."""
        return self.origin.pure

    @property
    def spurious(self) -> bool:
        """Whether it is known to be made by the parametrisation alone, see ``origin``."""
        return self.origin.spurious

    @property
    def isolated(self) -> bool:
        """Whether no other critical point is nearby but those of the fibre, the same function with the same rank.

        It says so only where the Hessian is clearly regular across the fibre.
        """
        return self.kind != "undecided" and self.inertia.decided and not self.inertia.nullity

    @property
    def sentence(self) -> str:
        """The point in one English sentence."""
        loss = "zero loss" if self.zero_loss else f"loss {self.loss:.6g}"
        return f"{self._subject} with {loss}, {self._words_of_place}; {self._verdict}."

    @property
    def _subject(self) -> str:
        match self.kind, self.higher_order:
            case "degenerate", "minimum" | "saddle":
                return f"A degenerate {self.higher_order}"
            case "degenerate", _:
                return "A degenerate critical point"
            case "strict saddle", _:
                return f"A strict saddle of index {self.inertia.index}{' at least' if self.inertia.partial else ''}"
            case "minimum" | "maximum", _:
                return f"A {self.kind}"
        if self.gradient_norm > _CRITICAL * self.gradient_scale:
            return "A point that is not critical,"
        return "A critical point of undecided kind"

    @property
    def _words_of_place(self) -> str:
        origin = "of undecided origin" if self.origin.verdict == "undecided" else self.origin.verdict
        article = f"at a {self.location} point" if self.location != "undecided" else "at a point"
        nature = "" if self.location != "undecided" else " that may be smooth or not"
        part = f" (subnetwork {self.subnetwork})" if self.subnetwork else ""
        return f"{origin}, {article} of the function space{nature}{part}"

    @property
    def _verdict(self) -> str:
        match self.status:
            case "global minimum":
                return "it is proved to be the global minimum"
            case "best found":
                return "no better point was found"
            case "beaten":
                return "a better point is known"
        return "it is no minimum"

    def __repr__(self) -> str:
        kind = f"{self.kind} ({self.higher_order})" if self.higher_order else self.kind
        status = f"{self.status}{', proved' if self.proved else ''}"
        subnetwork = f", {self.subnetwork}" if self.subnetwork else ""
        size = f"{self.gradient_norm:.2g} of {self.gradient_scale:.2g}"
        zero = ", zero up to rounding" if self.zero_loss else ""
        lines = [
            ("loss", f"{self.loss:.10g}{zero}; gradient {size}"),
            ("kind", f"{kind}: {self.inertia!r}"),
            ("origin", f"{self.origin.verdict}, rank {self.origin.rank} of {self.origin.generic_rank}"),
            ("", self.origin.reason),
            ("location", f"{self.location}{subnetwork}"),
        ]
        if self.degenerate_metric is not None:
            lines.append(("metric", f"degenerate: {self.degenerate_metric}, projected rank {self.projected_rank}"))
        lines += [("status", status), ("why", self.reason)]
        return "\n".join(["CriticalPoint", *(f"  {name:<9} {text}" for name, text in lines)])


# --- classification ---------------------------------------------------------------------------------------------------


def classify(
    objective: NetworkLoss,
    theta: ArrayLike,
    *,
    hits: int = 1,
    found_by: Sequence[str] = (),
    best_loss: float | None = None,
    deep: bool = True,
    proved_global: bool = False,
) -> CriticalPoint:
    """What kind of critical point of a network's loss a parameter vector is.

    Parameters
    ----------
    objective : NetworkLoss
        ``loss.compose(net)``, of any loss.
    theta : array_like, shape (n_params,)
        A critical point, up to rounding. One that is exactly degenerate (a unit that is zero, units that are multiples)
        takes its place if it is as good a critical point and next to it, unless the network is large.
    hits, found_by
        As in `CriticalPoint`.
    best_loss : float, optional
        The least loss known, with which the point is compared; by default its own.
    deep : bool
        Whether to call `analyze_point`. If not, ``location`` is "undecided" unless it is seen easily.
    proved_global : bool
        Whether it is known from elsewhere (a closed form) that this is a global minimum.

    Returns
    -------
    CriticalPoint

    Raises
    ------
    TypeError
        If ``objective`` is not a `NetworkLoss`, or ``theta`` does not hold real numbers.
    ValueError
        If ``theta`` is not one vector of n_params finite numbers, or another argument has a wrong value.
    NumericalError
        If derivatives overflow.

    Notes
    -----
    A point whose gradient is larger than 1e-6 of its scale is "undecided". Networks whose Hessian or Jacobian is too
    large to be formed have the lowest eigenvalues of the Hessian computed by products; the kind is "undecided" then,
    unless one is negative.

    Complexity: O(P³ + C² P) for P parameters and C coefficients.

    Examples
    --------
    The closest matrix of rank one to diag(2, 1), as a linear network, and zero:

    >>> import polycore as pc
    >>> net = pc.MLP((2, 1, 2), activation=1)
    >>> loss = pc.QDistance.from_data([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 1.0]], net.basis)
    >>> pc.classify(loss.compose(net), [2.0, 0.0, 1.0, 0.0]).sentence
    'A minimum with loss 1, pure, at a smooth point of the function space; no better point was found.'
    >>> pc.classify(loss.compose(net), [0.0, 0.0, 0.0, 0.0]).kind
    'strict saddle'
    """
    if not isinstance(objective, NetworkLoss):
        raise TypeError(f"`objective` must be a NetworkLoss, loss.compose(net), got {_describe(objective)}")
    given = as_theta(theta, objective.n_params, finite=True)
    check_shape(given, "theta", (("n_params", objective.n_params),))
    hits = as_index(hits, "hits", 0)
    names = _as_names(found_by)
    best = None if best_loss is None else as_real(best_loss, "best_loss")
    deep, known_global = as_flag(deep, "deep"), as_flag(proved_global, "proved_global")

    with np.errstate(over="ignore", invalid="ignore"):  # sizes that overflow make verdicts undecided, or are refused
        return _classified(composed_loss(objective), np.array(given), hits, names, best, deep, known_global)


def _classified(
    composed: ComposedLoss,
    given: Vector,
    hits: int,
    names: tuple[str, ...],
    best: float | None,
    deep: bool,
    known_global: bool,
) -> CriticalPoint:
    """`classify` of arguments that were checked."""
    point = snapped(composed, given) if composed.dense else given  # which is exact arithmetic
    examined = _examine(composed, point) if composed.dense else _examine_by_products(composed, point)
    coef = composed.expand(point)
    loss = composed.value(coef) + composed.constant
    rounding = _ROUNDING_OF_LOSS * composed.slope_scale(coef) * float(np.linalg.norm(coef))
    status, proved, why = _status(composed, examined, loss, rounding, best, known_global)
    analysis = _analysis(composed, point) if deep else None
    location, subnetwork = _place(composed, examined, analysis)
    gradient = np.asarray(composed.objective.value_and_gradient(point)[1])
    return CriticalPoint(
        theta=point,
        canonical_theta=np.asarray(composed.net.canonical(point)),
        coef=composed.expand(point).reshape(composed.loss.n_outputs, composed.loss.n_monomials),
        loss=loss,
        gradient_norm=math.hypot(*gradient.tolist()),
        gradient_scale=composed.gradient_scale(point),
        kind=examined.kind,
        inertia=examined.inertia,
        higher_order=examined.higher_order,
        origin=examined.origin,
        location=location,
        subnetwork=subnetwork,
        analysis=analysis,
        zero_loss=composed.is_zero(point),
        degenerate_metric=examined.degenerate_metric,
        projected_rank=examined.projected_rank,
        status=status,
        proved=proved,
        reason="; ".join(dict.fromkeys((examined.reason, why))),
        hits=hits,
        found_by=names,
    )


def _as_names(found_by: object) -> tuple[str, ...]:
    names = as_sequence(found_by, "found_by", "a sequence of strings")
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise TypeError(f"`found_by[{i}]` must be a string, got {_describe(name)}")
    return tuple(names)


class _Examined(NamedTuple):
    """What derivatives tell of a point."""

    kind: str
    higher_order: str | None
    inertia: Inertia
    origin: Origin
    is_bottom: bool
    degenerate_metric: str | None
    projected_rank: int
    reason: str


def _examine(composed: ComposedLoss, theta: Vector) -> _Examined:
    expansion, fibre = LocalExpansion(composed, theta), Fibre(composed, theta)
    signs, source = inertia(expansion, fibre), origin(expansion, fibre)
    bottom = composed.is_bottom(theta)
    kind, reason = _kind(signs)
    higher: str | None = None
    scale = composed.gradient_scale(theta)
    if float(np.linalg.norm(expansion.gradient)) > _CRITICAL * scale:
        kind, reason = "undecided", "the gradient is not zero"
    elif kind in ("degenerate", "undecided") and bottom:
        kind, reason = ("degenerate" if signs.nullity else "minimum"), "no polynomial has a lower loss"
        higher = "minimum" if signs.nullity else None
    elif kind == "degenerate":
        higher, reason = higher_order(expansion, signs, fibre)
    metric, projected = _metric(expansion, bottom)
    return _Examined(kind, higher, signs, source, bottom, metric, projected, reason)


def _kind(signs: Inertia) -> tuple[str, str]:
    """Of a point with these signs, and why."""
    if signs.decided and signs.index and not signs.nullity and not signs.positive:
        return "maximum", "the Hessian is negative definite across the fibre"
    lowest = float(signs.eigenvalues[0]) if signs.eigenvalues.size else 0.0
    if signs.index and -lowest > signs.tolerance * CLEAR_MARGIN:
        return (
            "strict saddle",
            f"the Hessian has a negative eigenvalue, {lowest:.2g} with tolerance {signs.tolerance:.2g}",
        )
    if not signs.decided:
        why = "only its lowest eigenvalues were computed" if signs.partial else f"margin {signs.margin:.2g}"
        return "undecided", f"signs of the eigenvalues of the Hessian are not clear: {why}"
    if not signs.nullity:
        return "minimum", "the Hessian is positive definite across the fibre"
    return "degenerate", "the Hessian is positive semidefinite, and singular across the fibre"


def _metric(expansion: LocalExpansion, is_bottom: bool) -> tuple[str | None, int]:
    """What a degenerate Q makes of the point, and the rank of F·J."""
    composed = expansion.composed
    if composed.factor is None:
        return None, expansion.rank
    rank = expansion.projected_rank()
    if not composed.is_degenerate:
        return None, rank
    if is_bottom:
        return "A", rank
    if rank == composed.generic_projected_rank:
        return "neither", rank
    # Where J has dropped rank itself, its image is not the tangent space that is projected.
    return ("ramification" if expansion.rank == composed.generic.dimension else "undecided"), rank


def _examine_by_products(composed: ComposedLoss, theta: Vector) -> _Examined:
    """Where dense matrices are too large: the lowest eigenvalues, and the rank at random points if that fits."""
    signs, bottom = extreme_inertia(composed, theta), composed.is_bottom(theta)
    kind, reason = _kind(signs)
    if float(np.linalg.norm(composed.objective.value_and_gradient(theta)[1])) > _CRITICAL * composed.gradient_scale(
        theta
    ):
        kind, reason = "undecided", "the gradient is not zero"
    return _Examined(kind, None, signs, origin_by_rank(composed, theta), bottom, None, _UNKNOWN, reason)


def _status(
    composed: ComposedLoss, examined: _Examined, loss: float, rounding: float, best: float | None, known_global: bool
) -> tuple[str, bool, str]:
    """Status, whether it is proved, and why."""
    if known_global:
        return "global minimum", True, "known in closed form"
    if examined.is_bottom:
        why = "no polynomial has a lower loss" if composed.is_convex else "the loss is at its lower bound"
        return "global minimum", True, why
    if examined.kind in ("strict saddle", "maximum"):
        return "saddle", True, "there are points of lower loss nearby"
    if examined.higher_order == "saddle":
        return "saddle", False, "points of lower loss were found nearby"
    if best is not None and loss > best + max(_SAME_LOSS * max(abs(best), abs(loss)), rounding):
        return "beaten", True, f"a point of loss {best:.6g} is known"
    return "best found", False, "no proof that there is no better one"


def _analysis(composed: ComposedLoss, theta: Vector) -> PointAnalysis | None:
    try:
        return analyze_point(composed.net, theta)
    except (MemoryError, OverflowError, NumericalError):
        return None


def _place(composed: ComposedLoss, examined: _Examined, analysis: PointAnalysis | None) -> tuple[str, str]:
    """Location and subnetwork."""
    if analysis is not None:
        return analysis.verdict, words_of_part(analysis)
    if composed.dense and composed.fills and examined.origin.rank == composed.generic.dimension:
        return "smooth", ""
    return "undecided", ""
