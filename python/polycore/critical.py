# SPDX-License-Identifier: BSD-3-Clause
"""All critical points of training that can be found: minima and saddles, merged, classified and counted.

Complementary searches run from random starts on many scales (descent; Levenberg–Marquardt on the gradient's norm;
following of eigenvectors), from zero and from the critical points of every smaller network, and beside each point
found. They are never proved to find all points, unless a closed form says how many there are: the result estimates how
many are missing from how often each was hit.

Sources: I. J. Good, *The population frequencies of species and the estimation of population parameters*, Biometrika 40
(1953) 237–264, for the coverage; A. Chao, *Nonparametric estimation of the number of classes in a population*, Scand.
J. Statist. 11 (1984) 265–270, for the number missing; K. Fukumizu, S. Amari, *Local minima and plateaus in hierarchical
structures of multilayer perceptrons*, Neural Networks 13 (2000) 317–327, for the points of smaller networks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._critical_merge import Found
from ._critical_search import Budget, Explorer, is_dense
from ._critical_starts import redundant_variants
from ._hidden_units import balance, hidden_units
from ._validation import _describe, as_flag, as_index, as_real, as_rng, as_theta, check_choice, check_threads
from .closed_forms import ClosedForm, solve
from .critical_point import CriticalPoint, classify
from .errors import NumericalError
from .loss import NetworkLoss
from .networks import Network
from .subnetworks import Stratum, subnetworks

__all__ = ["Completeness", "CriticalPoints", "critical_points"]

Vector = NDArray[np.float64]

METHODS = ("auto", "closed_form", "search")

# Smaller networks that are searched; their random starts together are at most those of the whole one.
_MAX_STRATA = 24
_MIN_STARTS = 24
_SHARE_OF_STRATA = 0.4
_LARGEST_SCALE = 1e120
# Points that are classified with all there is, and rows of a table.
_MAX_DEEP = 100
# Multiples of a time budget after which points are classified without an analysis, and not at all.
_SHALLOW_AFTER, _UNCLASSIFIED_AFTER = 1.5, 2.0
_ROWS_SHOWN = 40
# Parameters of one function that are looked at for a minimum among them.
_MAX_VARIANTS = 4
_PLACE = 64


@dataclass(frozen=True)
class Completeness:
    """How much of what there is has been found, judged by how often it was found.

    Attributes
    ----------
    n_found : int
        Different functions.
    n_seen_once : int
        Those that exactly one search from a random start has hit.
    expected_missing : float
        Chao's lower bound for the number of points that random starts can hit and that were not found; 0.0 where a
        closed form gives all.
    coverage : float
        Estimated chance that one more random start that converges ends at a point that is known (Good–Turing).
    new_in_last : int
        Points that the last round of random starts brought.
    n_searches : int
        Searches from random starts.
    n_diverged : int
        Those on their way to infinity: an infimum need not be attained.
    n_unsettled : int
        Those that ended nowhere: at a minimum of the gradient's norm that is not zero, or out of steps.
    finite : bool
        False where sets of critical functions of positive dimension were met: some of each are listed.
    reason : str
        In words.
    """

    n_found: int
    n_seen_once: int
    expected_missing: float
    coverage: float
    new_in_last: int
    n_searches: int
    n_diverged: int
    n_unsettled: int
    finite: bool
    reason: str

    def __repr__(self) -> str:
        return f"Completeness({self.n_found} found; {self.reason})"


@dataclass(frozen=True)
class CriticalPoints:
    """The critical points found, ascending by loss: a sequence.

    Attributes
    ----------
    points : tuple of CriticalPoint
        One for each function that is one of a critical point; two where it is that of a minimum and of a saddle, for
        instance on a plateau that a duplicated unit makes. Of all parameters with that function those of the smallest
        network, and then the smallest ones.
    seed : int
        ``rng=seed`` reproduces the result, unless a time budget or an interrupt cut it short.
    complete : str
        "proved" where a closed form gives all critical functions, else "estimate".
    completeness : Completeness
        What the estimate rests on.
    method : str
        "closed_form" or "search".
    source : str
        The closed form, and the theorem behind it; "" for a search.
    partial : bool
        Whether the search was stopped before its end, and
    stopped : str
        by what: "time", "evaluations", "interrupted", or "".
    skipped : tuple of str
        What was left out, and why.
    n_starts : int
        Random starts asked for.
    n_evaluations : int
        Gradients with Hessians that were computed.
    loss, network : object
        The problem.
    """

    points: tuple[CriticalPoint, ...]
    seed: int
    complete: str
    completeness: Completeness
    method: str
    source: str
    partial: bool
    stopped: str
    skipped: tuple[str, ...]
    n_starts: int
    n_evaluations: int
    loss: Any = field(repr=False, compare=False)
    network: Network = field(compare=False)

    @property
    def minima(self) -> tuple[CriticalPoint, ...]:
        """The points that are local minima, as far as is known."""
        return tuple(point for point in self.points if point.is_minimum)

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[CriticalPoint]:
        return iter(self.points)

    @overload
    def __getitem__(self, index: int) -> CriticalPoint: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[CriticalPoint, ...]: ...

    def __getitem__(self, index: int | slice) -> CriticalPoint | tuple[CriticalPoint, ...]:
        return self.points[index]

    def __repr__(self) -> str:
        found = f"{len(self)} critical point{'s' * (len(self) != 1)}, {len(self.minima)} of them minima"
        partial = f" (partial: {_STOPPED[self.stopped]})" if self.partial else ""
        lines = [f"{self.network!r}: {found}{partial}", *_table(self.points)]
        lines.append(f"complete: {self.complete}; {self.completeness.reason}")
        lines += [f"left out: {text}" for text in self.skipped]
        if self.method == "search":
            lines.append(f"seed {self.seed}")
        return "\n".join(lines)


_STOPPED = {"time": "out of time", "evaluations": "out of evaluations", "interrupted": "interrupted", "": ""}


def _table(points: tuple[CriticalPoint, ...]) -> list[str]:
    if not points:
        return []
    rows = [["", "loss", "kind", "index", "nullity", "origin", "location", "hits", "status"]]
    for number, point in enumerate(points[:_ROWS_SHOWN]):
        kind = f"{point.kind} ({point.higher_order})" if point.higher_order else point.kind
        place = f"{point.location}, {point.subnetwork}" if point.subnetwork else point.location
        inertia = [str(point.inertia.index), str(point.inertia.nullity)]
        place = place if len(place) <= _PLACE else place[: _PLACE - 1] + "…"
        status = f"{point.status}, proved" if point.proved and point.status == "global minimum" else point.status
        begin = [str(number), f"{point.loss:.6g}", kind, *inertia]
        rows.append([*begin, point.origin.verdict, place, str(point.hits), status])
    widths = [max(map(len, column)) for column in zip(*rows)]
    right = {0, 1, 3, 4, 7}
    lines = [
        "  ".join(
            cell.rjust(width) if k in right else cell.ljust(width) for k, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]
    if len(points) > _ROWS_SHOWN:
        lines.append(f"… and {len(points) - _ROWS_SHOWN} more")
    return lines


def critical_points(
    loss: Any,
    net: Network,
    n_starts: int = 1000,
    rng: object = 0,
    method: str = "auto",
    *,
    starts: ArrayLike | None = None,
    balanced: bool = False,
    tol: float = 1e-10,
    time_budget: float | None = None,
    max_evaluations: int | None = None,
    n_threads: int = 0,
    progress: Callable[[int, int, int], None] | None = None,
) -> CriticalPoints:
    """The real critical points, of every index, of a loss as a function of a network's parameters.

    Parameters
    ----------
    loss : CoefficientLoss
        A `QDistance`, or any loss on coefficients of the same protocol.
    net : Network
        Whose basis is that of the loss.
    n_starts : int
        Random starts of the whole network at most; >= 1. Fewer are made when nothing new comes. The smaller networks
        have as many together, and searches beside points found come on top.
    rng : int or numpy.random.Generator
        A seed; from a Generator a 64-bit seed is drawn.
    method : {"auto", "closed_form", "search"}
        "auto" takes a closed form where one is known.
    starts : array_like, shape (n, n_params), optional
        Parameters to descend from before anything else, such as those where training ended. A closed form has no need
        of them.
    balanced : bool
        Whether starts are scaled to ‖in‖² = r‖out‖² at every unit with an activation c·zʳ.
    tol : float
        Positive: points have ‖∇‖ <= tol times the size of the terms that cancel in the gradient; they are then polished
        to rounding level.
    time_budget : float, optional
        Seconds for the searches, after which what was found is returned, marked partial. Classifying it may take as
        long again: after half of that no point is analysed as a point of the function space, and at its end those that
        are left, the ones of larger loss, are not classified, which ``skipped`` tells. One is classified in any case.
    max_evaluations : int, optional
        The same for evaluations of gradients with Hessians.
    n_threads : int
        0 means the default. The result does not depend on it.
    progress : callable, optional
        Called after each round with the number of random starts done, the number intended, and that of points found.

    Returns
    -------
    CriticalPoints
        On Ctrl-C what was found until then, marked partial.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or value, or loss and network do not fit; for method "closed_form" if none
        is known.
    NumericalError
        If the loss overflows at coefficients of zero, or is so large or small there that squares of it would not fit.

    Notes
    -----
    Points with the same function count as one: the fibres of the parametrisation have positive dimension, they can be
    larger than what the known symmetries make, and they contain points of smaller networks, with units switched off or
    doubled, which are critical as well.

    With f_1 and f_2 the numbers of functions hit once and twice by n random starts that converged, the coverage is
    1 − f_1/n (Good 1953), and the number that random starts can hit is at least that found plus
    f_1 (f_1 − 1) / (2 (f_2 + 1)) (Chao 1984, the form corrected for bias).

    Examples
    --------
    >>> import numpy as np, polycore as pc
    >>> rng = np.random.default_rng(0)
    >>> net = pc.MLP((2, 1, 1), activation=2)
    >>> X = rng.normal(size=(20, 2))
    >>> loss = pc.QDistance.from_data(X, X[:, :1] ** 2 - X[:, 1:] ** 2, net.basis)
    >>> found = critical_points(loss, net, n_starts=60)
    >>> [point.kind for point in found.minima]
    ['minimum', 'minimum']
    """
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    objective = NetworkLoss(loss, net)
    _check_scale(objective)
    n_starts = as_index(n_starts, "n_starts", minimum=1)
    check_choice(method, "method", METHODS)
    given = np.zeros((0, net.n_params)) if starts is None else as_theta(starts, net.n_params, "starts", finite=True)
    balanced = as_flag(balanced, "balanced")
    tol = as_real(tol, "tol")
    if not tol > 0:
        raise ValueError(f"`tol` must be positive, got {tol}")
    budget = Budget(
        None if time_budget is None else as_real(time_budget, "time_budget", minimum=0.0),
        None if max_evaluations is None else as_index(max_evaluations, "max_evaluations", minimum=0),
    )
    n_threads = check_threads(n_threads)
    if progress is not None and not callable(progress):
        raise TypeError(f"`progress` must be callable, got {_describe(progress)}")
    generator, seed = as_rng(rng)
    if method != "search":
        solved = solve(loss, net)
        if solved is not None and (solved.complete or method == "closed_form"):
            return _of_closed_form(solved, loss, net, objective, n_starts, seed)
        if solved is not None:  # not all: the search goes on from there
            given = np.vstack([solved.thetas, given.reshape(-1, net.n_params)])
        elif method == "closed_form":
            raise ValueError(
                f'`method` must be "search" or "auto" for {net!r} with this loss: no closed form is known, got '
                '"closed_form"'
            )
    finder = _Finder(loss, objective, generator, budget, tol, balanced, n_threads, progress)
    finder.run(n_starts, given.reshape(-1, net.n_params))
    return finder.result(seed, n_starts)


def _check_scale(objective: NetworkLoss) -> None:
    """Searches square gradients and multiply them by Hessians: what is huge or tiny beforehand leaves the range."""
    net, loss = objective.net, objective.loss
    zero = np.zeros((net.n_outputs, loss.n_monomials))
    sizes = {
        "value": loss.value(zero),
        "gradient": np.abs(loss.gradient(zero)).max(initial=0.0),
        "second derivatives": np.abs(loss.hessian_product(zero, zero + 1.0)).max(initial=0.0),
    }
    for name, size in sizes.items():
        if size and not 1 / _LARGEST_SCALE <= abs(size) <= _LARGEST_SCALE:
            raise NumericalError(
                f"`loss` must be of a size between {1 / _LARGEST_SCALE:.0e} and {_LARGEST_SCALE:.0e} at coefficients "
                f"of zero, got {float(size):.3g} for its {name}: scale the data, or the metric and the target"
            )


# --- closed forms -----------------------------------------------------------------------------------------------------


def _of_closed_form(
    solved: ClosedForm, loss: Any, net: Network, objective: Any, n_starts: int, seed: int
) -> CriticalPoints:
    """The points of a closed form, classified."""
    thetas = np.asarray(solved.thetas, dtype=np.float64)
    values = np.atleast_1d(objective.value(thetas)) + objective.constant
    best = float(values.min())
    units = hidden_units(net) if is_dense(net) else ()
    points: list[CriticalPoint] = []
    for theta in thetas:
        variants = _that_may_be_minima(objective, theta, redundant_variants(units, theta))
        points += _first_and_minimum(
            classify(objective, form, found_by=("closed form",), best_loss=best) for form in [theta, *variants]
        )
    proved = bool(solved.complete)
    if proved:
        points = [_as_proved(point, best) for point in points]
    n = len(thetas)
    completeness = Completeness(n, 0, 0.0, 1.0, 0, 0, 0, 0, bool(solved.isolated), str(solved.reason))
    return CriticalPoints(
        points=tuple(sorted(points, key=lambda point: point.loss)),
        seed=seed,
        complete="proved" if proved else "estimate",
        completeness=completeness,
        method="closed_form",
        source=f"{solved.name}: {solved.source}",
        partial=False,
        stopped="",
        skipped=(),
        n_starts=n_starts,
        n_evaluations=0,
        loss=loss,
        network=net,
    )


def _that_may_be_minima(objective: Any, theta: Vector, variants: Vector) -> list[Vector]:
    """Of parameters with the same function those that are critical with no negative eigenvalue, the flattest last."""
    if not len(variants):
        return []
    tolerance = 1e-10 * np.maximum(objective.gradient_scale(variants), 1e-300)
    kept = variants[np.linalg.norm(objective.gradient(variants), axis=1) <= tolerance]
    size = abs(float(objective.value(np.zeros(len(theta))))) or 1.0
    kept = kept[np.abs(np.asarray(objective.value(kept)) - float(objective.value(theta))) <= 1e-10 * size]
    eigenvalues = np.linalg.eigvalsh(objective.hessian(kept))
    tiny = 1e-9 * np.abs(eigenvalues).max(axis=1, initial=0.0)
    positive = (eigenvalues > tiny[:, None]).sum(axis=1)
    order = np.argsort(-positive, kind="stable")
    return [kept[k] for k in order if eigenvalues[k, 0] >= -tiny[k]][:_MAX_VARIANTS]


def _first_and_minimum(forms: Iterable[CriticalPoint]) -> list[CriticalPoint]:
    """Of points with the same function the first; and another if that is no minimum and one of the others is."""
    points: list[CriticalPoint] = []
    for point in forms:
        if not points or point.is_minimum:
            points.append(point)
        if point.is_minimum:
            break
    return points


def _as_proved(point: CriticalPoint, best: float) -> CriticalPoint:
    """All critical functions are known, and a minimum exists: the least of them is the global one."""
    if point.is_minimum and point.loss <= best + 1e-12 * abs(best):
        return replace(point, status="global minimum", proved=True)
    return point


# --- searches ---------------------------------------------------------------------------------------------------------


class _Finder:
    """The searches of a whole network and of its subnetworks."""

    def __init__(
        self,
        loss: Any,
        objective: Any,
        rng: np.random.Generator,
        budget: Budget,
        tol: float,
        balanced: bool,
        n_threads: int,
        progress: Callable[[int, int, int], None] | None,
    ) -> None:
        self._loss, self._objective, self._rng, self._budget = loss, objective, rng, budget
        self._how: dict[str, Any] = {"tol": tol, "balanced": balanced, "n_threads": n_threads}
        self._whole = Explorer(loss, objective, rng, budget, progress=progress, **self._how)
        self._skipped: list[str] = []

    def run(self, n_starts: int, given: Vector) -> None:
        """All searches, until their end, a limit or an interrupt; those from given starts (n, n_params) first."""
        try:
            self._whole.search(given, "descent", "given start")
            strata = self._strata()
            each = max(_MIN_STARTS, n_starts // max(1, len(strata)))
            # Under a budget the whole network has its turn before all of the smaller ones.
            self._budget.ceiling = _SHARE_OF_STRATA
            while strata:
                self._inherit(strata[0], each)
                if self._budget.should_stop():
                    break
                strata.pop(0)
            self._budget.ceiling = 1.0
            self._whole.explore(n_starts)
            for stratum in strata:
                if not self._budget.should_stop():
                    self._inherit(stratum, each)
        except KeyboardInterrupt:
            self._budget.stopped = "interrupted"

    def _strata(self) -> list[Stratum]:
        """The smaller networks, the smallest first; none of a network so large that searches go one by one."""
        net = self._objective.net
        if not self._whole.dense:
            self._skipped += [
                f"dense Hessians, for {net.n_params} parameters: points by descent and Levenberg–Marquardt with "
                "products, none by following eigenvectors or beside others",
                "searches of subnetworks",
            ]
            return []
        listed = subnetworks(net, max_count=_MAX_STRATA, rng=self._rng)
        if listed.sampled:
            self._skipped.append(f"{listed.count - len(listed)} of {listed.count} subnetworks, too many to search each")
        return sorted(listed, key=lambda stratum: stratum.n_params)

    def _inherit(self, stratum: Stratum, n_starts: int) -> None:
        """Search a smaller network and go on from its points in the whole one."""
        try:
            objective = NetworkLoss(self._loss, stratum.network)
        except ValueError:  # a loss on the support of the whole network alone
            self._skipped.append(f"searching {stratum.network!r}, whose polynomials are not in the basis of the loss")
            return
        explorer = Explorer(self._loss, objective, self._rng, self._budget, **self._how)
        explorer.explore(n_starts)
        thetas = [stratum.embed(found.reduced.theta) for found in explorer.pool.found]
        if thetas:
            self._whole.search(np.array(thetas), "newton", "subnetwork")

    # -- the result ---------------------------------------------------------------------------------------------------

    def result(self, seed: int, n_starts: int) -> CriticalPoints:
        """What was found, classified."""
        points = self._classified()
        return CriticalPoints(
            points=tuple(points),
            seed=seed,
            complete="estimate",
            completeness=self._completeness(),
            method="search",
            source="",
            partial=bool(self._budget.stopped),
            stopped=self._budget.stopped,
            skipped=tuple(self._skipped),
            n_starts=n_starts,
            n_evaluations=self._budget.used,
            loss=self._loss,
            network=self._objective.net,
        )

    def _classified(self) -> list[CriticalPoint]:
        found = sorted(self._whole.pool.found, key=lambda entry: entry.value)
        best = min(found[0].value, self._whole.lowest_unsettled) + self._objective.constant if found else None
        n_deep = _MAX_DEEP if self._whole.dense else 0
        points: list[CriticalPoint] = []
        n_shallow = n_left = 0
        for number, entry in enumerate(found):
            deep = number < n_deep and self._budget.share_of_time() < _SHALLOW_AFTER
            try:
                if number and self._is_too_late():
                    self._budget.stopped = self._budget.stopped or "time"
                    n_left = len(found) - number
                    break
                points += self._points_of(entry, best, deep)
            except KeyboardInterrupt:
                self._budget.stopped = "interrupted"
                n_left = len(found) - number
                break
            n_shallow += not deep
        if n_shallow:
            which = f"{n_shallow} of {len(found)} points" if n_deep else "points"
            self._skipped.append(f"the analysis of {which} as points of the function space")
        if n_left:
            self._skipped.append(f"{n_left} of {len(found)} functions found, not classified")
        return sorted(points, key=lambda point: point.loss)

    def _is_too_late(self) -> bool:
        return self._budget.share_of_time() >= _UNCLASSIFIED_AFTER

    def _points_of(self, entry: Found, best: float | None, deep: bool) -> list[CriticalPoint]:
        """The point of a function; and another if that is no minimum and there is one with the same function."""
        forms = self._forms_of(entry)
        in_time = itertools.takewhile(lambda _: not self._is_too_late(), forms)
        return _first_and_minimum(
            classify(
                self._objective,
                balance(self._whole.units, theta[None])[0],
                hits=entry.hits,
                found_by=tuple(entry.found_by),
                best_loss=best,
                deep=deep,
            )
            for theta in itertools.chain(itertools.islice(forms, 1), in_time)
        )

    def _forms_of(self, entry: Found) -> Iterator[Vector]:
        """Parameters of a function: the most reduced ones, and then those that may be minima.

        The most reduced form may be degenerate and a saddle although its Hessian has no negative eigenvalue, where
        others with the same function are minima: a silent unit read with a weight of the right sign makes a plateau.
        """
        reduced = entry.reduced
        yield reduced.theta
        others = [form for form in entry.minima if form is not reduced]
        for form in sorted(others, key=lambda form: (-form.positive, form.norm))[:_MAX_VARIANTS]:
            yield form.theta
        if not reduced.negative and self._whole.dense:
            variants = redundant_variants(self._whole.units, reduced.theta)
            yield from _that_may_be_minima(self._objective, reduced.theta, variants)

    def _completeness(self) -> Completeness:
        whole = self._whole
        hits = [found.random_hits for found in whole.pool.found]
        total, once = sum(hits), hits.count(1)
        missing = whole.pool.expected_missing()
        coverage = 1.0 - once / total if total else 0.0
        finite = not any(found.in_family for found in whole.pool.found)
        return Completeness(
            n_found=len(hits),
            n_seen_once=once,
            expected_missing=missing,
            coverage=coverage,
            new_in_last=whole.new_in_last,
            n_searches=whole.n_random,
            n_diverged=whole.n_diverged,
            n_unsettled=whole.n_unsettled,
            finite=finite,
            reason=_reason(total, once, missing, coverage, whole, finite) + self._below(),
        )

    def _below(self) -> str:
        """Where searches went below all points found."""
        values = [found.value for found in self._whole.pool.found]
        lowest, constant = self._whole.lowest_unsettled, float(self._objective.constant)
        if not lowest < min(values, default=np.inf) * (1.0 - 1e-6):
            return ""
        return (
            f"; a search went down to {lowest + constant:.6g}, below all points found: perhaps no minimum is attained"
        )


def _reason(total: int, once: int, missing: float, coverage: float, whole: Explorer, finite: bool) -> str:
    parts = [
        f"{whole.n_random} random starts, {total} converged, {once} of the points were hit once, coverage "
        f"{coverage:.1%}, at least {missing:.1f} missing, {whole.new_in_last} new in the last round"
    ]
    if whole.n_diverged:
        parts.append(f"{whole.n_diverged} searches diverged: an infimum at infinity is no point")
    if not finite:
        parts.append("the set of critical functions is not finite: some of each connected set are listed")
    return "; ".join(parts)
