# SPDX-License-Identifier: BSD-3-Clause
"""Which part of the function space attracts: for random targets, where the closest function lies.

A target u is drawn, the function closest to it in a metric Q is found, and the stratum it lies on is named: a smaller
network, the rest of the function space, its boundary. Repeated, this measures how much of the space of targets each
stratum has for itself: the volume of its Voronoi cell.

Legend: N monomials, O outputs; L(u) the least squared distance of u to the function space, L_S(u) to a stratum S.

A minimum on a smaller network is degenerate in the parameters, and searches for it converge slowly if at all, so where
they end says little. But L_S(u) is found by a search in the smaller network itself, where the minimum is an ordinary
one. So the decision is by values: the closest function lies on S if and only if L_S(u) = L(u).

Sources: K. Kohn, *Neuromanifolds* (lecture slides), for the bias by Voronoi cells; V. Shahverdi, G. L. Marchetti, K.
Kohn, *Learning on a razor's edge: identifiability and singularity of polynomial neural networks* (2025), for critical
points on smaller networks; C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404–413, for the intervals.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import stationary
from ._critical_starts import balance, fitted_starts, hidden_units
from ._validation import (
    _describe,
    as_index,
    as_probability,
    as_real,
    as_real_array,
    as_rng,
    check_threads,
)
from .dimension import dimension
from .jacobian_rank import jacobian_rank
from .loss import QDistance
from .network_loss import NetworkLoss
from .networks import Network
from .subnetworks import Stratum, _size_text, subnetworks

__all__ = ["Bias", "BiasRow", "Share", "bias"]

Vector = NDArray[np.float64]
Targets = Callable[[np.random.Generator], ArrayLike]

# Values that differ by less than the first fraction of ‖u‖² are equal, by more than the second different.
_EQUAL, _DIFFERENT = 1e-10, 1e-8
# Rounds of searches for one target end when the best value has been found so many times.
_AGREE, _MAX_ROUNDS = 3, 4
# Searches on strata need fewer starts: they are smaller.
_STRATUM_STARTS = 8
# Displacements, relative, from the best points of the strata.
_BESIDE = (1e-2, 0.1, 0.5)
# Searches that go on and on: so many more, in each of which balanced parameters grow by this factor at least.
_FOLLOW, _FOLLOW_TOL, _GROWTH = 4, 1e-14, 1.005
# A point is reached if the Newton step across the fibre is shorter than this fraction of the parameters.
_SETTLED = 1e-3
# Terms of a function that are so many times larger than it cancel: no generic function is like that.
_CANCELLING, _TINY = 1e4, float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Share:
    """A fraction of targets, with its Clopper–Pearson interval.

    Attributes
    ----------
    count, total : int
    confidence : float
        With which [low, high] contains the probability; as good as exact for any number of samples.
    low, high : float

    Examples
    --------
    >>> Share.of(0, 100, 0.95)
    0.000 [0.000, 0.036]
    """

    count: int
    total: int
    confidence: float
    low: float
    high: float

    @classmethod
    def of(cls, count: int, total: int, confidence: float) -> Share:
        """The share of ``count`` among ``total``.

        Parameters
        ----------
        count, total : int
            0 <= count <= total.
        confidence : float
            Between 0 and 1.

        Returns
        -------
        Share

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or value.
        """
        from scipy.special import betaincinv

        n = as_index(total, "total", 0)
        k = as_index(count, "count", 0, n)
        tail = (1.0 - as_probability(confidence, "confidence")) / 2.0
        low = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
        high = float(betaincinv(k + 1, n - k, 1.0 - tail)) if k < n else 1.0
        return cls(k, n, float(confidence), low, high)

    @property
    def fraction(self) -> float:
        """count / total; NaN of nothing."""
        return self.count / self.total if self.total else math.nan

    def __repr__(self) -> str:
        return f"{self.fraction:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class BiasRow:
    """One stratum, and how often it attracts.

    Attributes
    ----------
    name : str
        "smooth", "singular", "boundary", "not attained", or a smaller network in words.
    stratum : Stratum or None
        The smaller network.
    dimension : int or None
        Of the stratum.
    closest : Share
        Targets whose closest function lies on it, and on no smaller network.
    critical : Share or None
        For the largest of the smaller networks: targets for which the function of the smaller network that is closest,
        with the units left out at zero, is a critical point of the loss in the parameters of the whole network.
    """

    name: str
    stratum: Stratum | None = field(repr=False, compare=False)
    dimension: int | None
    closest: Share
    critical: Share | None


@dataclass(frozen=True)
class Bias:
    """How the closest functions of random targets are distributed over the strata of a function space.

    Attributes
    ----------
    rows : tuple of BiasRow
        "smooth" first, then strata by dimension, then those of the rest that occur.
    undecided : Share
        Targets where values are too close to tell, or searches neither converge nor go to infinity.
    n_samples : int
        Targets done.
    uncertain : int
        Of them, those whose best value is attained and was found by one search only: there could be a better one.
    targets : ndarray, shape (n_samples, ...)
    cells : tuple of str
        For each target the name of its row, or "undecided".
    losses : ndarray, shape (n_samples,)
        The least squared distances found.
    seed : int
        ``rng=seed`` reproduces the result.
    stopped : str
        "" or why there are fewer targets than asked for: "time" or "interrupted".
    model : str
    dimension : int
        Of the function space.

    Examples
    --------
    See `bias`.
    """

    rows: tuple[BiasRow, ...]
    undecided: Share
    n_samples: int
    uncertain: int
    targets: Vector = field(repr=False, compare=False)
    cells: tuple[str, ...] = field(repr=False)
    losses: Vector = field(repr=False, compare=False)
    seed: int
    stopped: str
    model: str
    dimension: int

    @property
    def partial(self) -> bool:
        """Whether fewer targets were done than asked for."""
        return bool(self.stopped)

    @cached_property
    def fractions(self) -> dict[str, float]:
        """The fraction of each row, by name, of closest functions."""
        return {row.name: row.closest.fraction for row in self.rows}

    def __getitem__(self, name: str) -> BiasRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no stratum is called {name!r}; there are {', '.join(repr(row.name) for row in self.rows)}")

    def __repr__(self) -> str:
        cut = f", stopped: {self.stopped}" if self.stopped else ""
        confidence = f"{100 * self.undecided.confidence:g}%"
        lines = [f"{self.model}: closest functions of {self.n_samples} targets{cut}"]
        with_critical = any(row.critical is not None for row in self.rows)
        table = [["", "dimension", f"closest [{confidence}]"] + ["critical"] * with_critical]
        for row in self.rows:
            cells = [row.name, "" if row.dimension is None else str(row.dimension), repr(row.closest)]
            table.append(cells + ["" if row.critical is None else repr(row.critical)] * with_critical)
        if self.undecided.count:
            table.append(["undecided", "", repr(self.undecided)] + [""] * with_critical)
        widths = [max(map(len, column)) for column in zip(*table)]
        lines += ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in table]
        if self.uncertain:
            lines.append(f"  best value found by one search only: {self.uncertain}")
        return "\n".join(lines)


def bias(
    net: Network,
    metric: ArrayLike | str | QDistance,
    n_samples: int = 200,
    rng: object = 0,
    *,
    n_starts: int = 24,
    targets: Targets | ArrayLike | None = None,
    confidence: float = 0.95,
    n_threads: int = 0,
    time_budget: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Bias:
    """Draw targets, find the closest function to each, and count the strata on which these lie.

    Parameters
    ----------
    net : Network
    metric : array_like, str or QDistance
        Q, as for `QDistance.from_metric`, or a loss whose Q it is (its target is not used).
    n_samples : int
        Number of targets.
    rng : int or numpy.random.Generator
        A seed; from a Generator a 64-bit seed is drawn.
    n_starts : int
        Random starts per target and round; there are up to four rounds, until the best value has been found three
        times.
    targets : callable or array_like, optional
        ``targets(rng)`` returns one target (O, N), or (N,) for one output; or an array (n_samples, O, N) of them. By
        default they are Gaussian in the metric: standard normal in coordinates that are orthonormal for Q, so that all
        directions are equal; along the kernel of Q they are 0.
    confidence : float
        Of the intervals.
    n_threads : int
        0 means the default. The result does not depend on it.
    time_budget : float, optional
        Seconds after which what is done is returned.
    progress : callable, optional
        Called with the number of targets done and n_samples.

    Returns
    -------
    Bias
        Of Ctrl-C what is done by then.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or value, or the metric does not fit the network.
    MemoryError, OverflowError
        If dense matrices would not fit.

    Notes
    -----
    The function space of a network whose last layer is linear is a cone, with c also −c, so sizes of targets do not
    matter. A unit that is left out of a fully connected network can come back with weights of either sign, so the
    residual at a closest function on a smaller network is orthogonal to all that the unit could add. Unless that is
    nothing new, such targets are a set of measure zero; but *critical points* of training are there for all targets,
    since a unit whose weights all vanish has no gradient. Convolutional networks have neither. What does attract with
    positive probability are boundaries of the function space, among them those that are reached by infinite weights
    only ("not attained"), and singularities such as that of the plane cusp.

    A value counts as equal to another if they differ by less than 1e-10 ‖u‖², as different from 1e-8 ‖u‖². Nothing
    proves that a minimum found is the global one.

    Examples
    --------
    >>> import polycore as pc
    >>> pc.bias(pc.CNN((2, 2), activation=2), "bombieri_weyl", n_samples=20)["smooth"].closest.count
    20
    """
    n = as_index(n_samples, "n_samples", 1)
    starts = as_index(n_starts, "n_starts", 1)
    level = as_probability(confidence, "confidence")
    threads = check_threads(n_threads)
    budget = math.inf if time_budget is None else as_real(time_budget, "time_budget", minimum=0.0)
    if progress is not None and not callable(progress):
        raise TypeError(f"`progress` must be callable, got {_describe(progress)}")
    _, seed = as_rng(rng)
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    space = _FunctionSpace(net, _gram(metric, net), starts, threads)
    given = _given_targets(targets, space.shape)
    n = n if given is None else len(given)

    drawn, found, stopped, end = [], [], "", time.monotonic() + budget
    try:
        for i in range(n):
            if time.monotonic() > end:
                stopped = "time"
                break
            generator = np.random.default_rng([seed, i])  # of its own, so that targets do not depend on each other
            target = _draw(space, targets, given, i, generator)
            found.append(space.locate(target, generator))
            drawn.append(target)
            if progress is not None:
                progress(i + 1, n)
    except KeyboardInterrupt:
        stopped = "interrupted"
    return _counted(space, drawn[: len(found)], found, level, seed, stopped)


# --- targets ----------------------------------------------------------------------------------------------------------


def _gram(metric: ArrayLike | str | QDistance, net: Network) -> Vector:
    """Q as a matrix, (N, N) or (O·N, O·N)."""
    if isinstance(metric, QDistance):
        metric.compose(net)
        return metric.gram
    if isinstance(metric, str):
        zero = np.zeros((net.n_outputs, net.basis.n_monomials))
        return QDistance.from_metric(metric, zero, net.basis).gram
    matrix = as_real_array(metric, "metric")
    sizes = [net.basis.n_monomials, net.n_outputs * net.basis.n_monomials]
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) not in sizes:
        raise ValueError(
            f"`metric` must have shape (n_monomials={sizes[0]}, {sizes[0]}), or ({sizes[1]}, {sizes[1]}) for all "
            f"outputs together, got {matrix.shape}"
        )
    return QDistance.from_metric(matrix, np.zeros((net.n_outputs, net.basis.n_monomials)), net.basis).gram


def _given_targets(targets: object, shape: tuple[int, int]) -> Vector | None:
    if targets is None or callable(targets):
        return None
    array = as_real_array(targets, "targets")
    if array.ndim == 2 and shape[0] == 1:
        array = array[:, None]
    if array.ndim != 3 or array.shape[1:] != shape or not len(array):
        raise ValueError(
            f"`targets` must be callable or have shape (n_samples, n_outputs={shape[0]}, n_monomials={shape[1]}), got "
            f"{array.shape}"
        )
    return np.ascontiguousarray(array)


def _draw(
    space: _FunctionSpace, targets: object, given: Vector | None, i: int, generator: np.random.Generator
) -> Vector:
    if given is not None:
        return np.asarray(given[i])
    if targets is None:
        return space.gaussian(generator)
    assert callable(targets)
    drawn = as_real_array(targets(generator), "targets")
    if drawn.size != math.prod(space.shape) or drawn.shape not in (space.shape, space.shape[1:]):
        raise ValueError(f"`targets` must return shape (n_outputs, n_monomials)={space.shape}, got {drawn.shape}")
    return drawn.reshape(space.shape)


# --- the function space of a network ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Best:
    """The best of several searches in one network."""

    value: float
    theta: Vector
    converged: bool
    hits: int


@dataclass(frozen=True)
class _Found:
    """Where the closest function to one target is: the sizes of a stratum or a name."""

    cell: tuple[Any, ...] | str
    value: float
    uncertain: bool
    critical: dict[tuple[Any, ...], bool]


class _FunctionSpace:
    """A network in a metric, its strata, and the search for closest functions."""

    def __init__(self, net: Network, gram: Vector, n_starts: int, n_threads: int) -> None:
        self.net, self.gram = net, gram
        self.n_starts, self.n_threads = n_starts, n_threads
        self.shape = (net.n_outputs, net.basis.n_monomials)
        self.dimension = dimension(net).dimension
        self._units = hidden_units(net)
        self._parts = subnetworks(net, max_count=1).parts
        self._strata: dict[tuple[Any, ...], Stratum] = {}
        values, vectors = np.linalg.eigh(gram)
        kept = values > 16 * np.finfo(float).eps * len(values) * values[-1]
        self._orthonormal = vectors[:, kept] / np.sqrt(values[kept])
        self.largest = self.below(tuple(part.full for part in self._parts), self.dimension)

    def gaussian(self, generator: np.random.Generator) -> Vector:
        """A target that is standard normal in orthonormal coordinates."""
        joint = len(self.gram) != self.shape[1]
        z = generator.standard_normal((1 if joint else self.shape[0], self._orthonormal.shape[1]))
        return np.asarray((z @ self._orthonormal.T).reshape(self.shape))

    # -- strata --------------------------------------------------------------------------------------------------------

    def stratum(self, sizes: tuple[Any, ...]) -> Stratum:
        """The stratum with these sizes."""
        if sizes not in self._strata:
            self._strata[sizes] = Stratum(self.net, self._parts, sizes)
        return self._strata[sizes]

    def below(self, sizes: tuple[Any, ...], full: int) -> tuple[tuple[Any, ...], ...]:
        """The largest smaller networks whose function spaces have a dimension below ``full``."""
        found: dict[tuple[Any, ...], None] = {}
        for smaller in _one_less(sizes):
            if self.stratum(smaller).dimension < full:
                found[smaller] = None
            else:
                found.update(dict.fromkeys(self.below(smaller, full)))
        return tuple(found)

    def name(self, sizes: tuple[Any, ...]) -> str:
        """A stratum in words."""
        widths = getattr(self.stratum(sizes).network, "widths", None)
        if widths is not None and all(part.kind == "units" for part in self._parts):
            return f"widths {widths}"
        texts = [f"{part.name}: {_size_text(s)}" for part, s in zip(self._parts, sizes) if s != part.full]
        return ", ".join(texts)

    # -- searches ------------------------------------------------------------------------------------------------------

    def locate(self, target: Vector, generator: np.random.Generator) -> _Found:
        """The stratum of the function that is closest to a target."""
        loss = QDistance.from_metric(self.gram, target, self.net.basis)
        square = float(loss.value(np.zeros(self.shape)))
        objective = loss.compose(self.net)
        parts = {sizes: self._on_stratum(sizes, loss, square, generator) for sizes in self.largest}
        embedded = np.array([self._embed(sizes, best) for sizes, best in parts.items()]).reshape(-1, self.net.n_params)
        best = self._search(objective, loss, square, self.n_starts, embedded, generator)
        value = min([best.value, *(part.value for part in parts.values())])
        critical = {
            sizes: part.converged and _is_critical(objective, theta)
            for (sizes, part), theta in zip(parts.items(), embedded)
        }
        cell = self._cell(loss, objective, square, best, parts, value, generator)
        return _Found(cell, value, cell in ("smooth", "singular", "boundary") and best.hits <= 1, critical)

    def _cell(
        self,
        loss: QDistance,
        objective: NetworkLoss,
        square: float,
        best: _Best,
        parts: dict[tuple[Any, ...], _Best],
        value: float,
        generator: np.random.Generator,
    ) -> tuple[Any, ...] | str:
        """The smallest stratum that attains the value, or what is the case where none does."""
        cell: tuple[Any, ...] | None = None
        while parts:
            excess = {sizes: part.value - value for sizes, part in parts.items()}
            closest = min(excess, key=lambda sizes: excess[sizes])
            if excess[closest] > _DIFFERENT * square:
                break
            if excess[closest] > _EQUAL * square:
                return "undecided"
            cell = closest
            smaller = self.below(cell, self.stratum(cell).dimension)
            parts = {sizes: self._on_stratum(sizes, loss, square, generator) for sizes in smaller}
        return cell if cell is not None else self._off_strata(objective, square, best)

    def _on_stratum(
        self, sizes: tuple[Any, ...], loss: QDistance, square: float, generator: np.random.Generator
    ) -> _Best:
        net = self.stratum(sizes).network
        none = np.empty((0, net.n_params))
        return self._search(NetworkLoss(loss, net), loss, square, _STRATUM_STARTS, none, generator)

    def _search(
        self,
        objective: NetworkLoss,
        loss: QDistance,
        square: float,
        n_starts: int,
        beside: Vector,
        generator: np.random.Generator,
    ) -> _Best:
        """Rounds of descents from random starts and from beside some points, until the best value has been found often.

        Of values that agree those of searches that converged are preferred.
        """
        values, thetas, converged = np.empty(0), np.empty((0, objective.n_params)), np.empty(0, dtype=bool)
        for _ in range(_MAX_ROUNDS):
            starts = [fitted_starts(loss, objective.net, 1.0, generator, n_starts)]
            for size in _BESIDE:
                scale = size * np.linalg.norm(beside, axis=1, keepdims=True) / math.sqrt(objective.n_params)
                starts.append(beside + scale * generator.standard_normal(beside.shape))
            found = stationary.search(objective, np.concatenate(starts), "descent", n_threads=self.n_threads)
            finite = np.isfinite(found.value)
            values = np.concatenate([values, found.value[finite]])
            thetas = np.concatenate([thetas, found.theta[finite]])
            converged = np.concatenate([converged, found.converged[finite]])
            if not len(values):
                continue
            agree = values <= values.min() + _DIFFERENT * square
            if agree.sum() >= _AGREE:
                break
        if not len(values):
            return _Best(math.inf, np.zeros(objective.n_params), False, 0)
        candidates = np.flatnonzero(agree & converged) if (agree & converged).any() else np.flatnonzero(agree)
        at = candidates[np.argmin(values[candidates])]
        return _Best(float(values.min()), thetas[at], bool(converged[at]), int(agree.sum()))

    def _off_strata(self, objective: NetworkLoss, square: float, best: _Best) -> str:
        """Smooth or not, where no smaller network does as well."""
        theta = balance(self._units, best.theta[None])[0]
        if self._cancels(theta, square):
            return "not attained"
        if not (best.converged and self._is_settled(objective, theta)):
            return self._follow(objective, square, best.value, theta)
        if jacobian_rank(self.net, theta).rank == self.dimension:
            return "smooth"
        from .singularities import analyze_point

        return analyze_point(self.net, theta).verdict

    def _follow(self, objective: NetworkLoss, square: float, value: float, theta: Vector) -> str:
        """Whether a search that does not end goes to infinity: its balanced parameters grow while the value falls."""
        for _ in range(_FOLLOW):
            found = stationary.search(objective, theta[None], "descent", tol=_FOLLOW_TOL, n_threads=self.n_threads)
            after = balance(self._units, found.theta)[0]
            if self._cancels(after, square):
                return "not attained"
            if found.converged[0] and self._is_settled(objective, after):
                return self._off_strata(objective, square, _Best(found.value[0], after, True, 1))
            if not (found.value[0] < value and np.linalg.norm(after) > _GROWTH * np.linalg.norm(theta)):
                return "undecided"
            theta, value = after, found.value[0]
        return "not attained"

    def _cancels(self, theta: Vector, square: float) -> bool:
        """Whether a moderate function is made of huge terms: where weights have gone to infinity."""
        terms = float(np.linalg.norm(np.abs(self.net.jacobian(theta)) @ np.abs(theta)))
        size = float(np.linalg.norm(self.net.expand(theta)))
        return terms > _CANCELLING * max(size, math.sqrt(square / max(float(np.linalg.norm(self.gram, 2)), _TINY)))

    def _is_settled(self, objective: NetworkLoss, theta: Vector) -> bool:
        """Whether the Newton step across the fibre is short: where an infimum is not attained it is not, however small
        the gradient, since the Hessian vanishes with it."""
        across = np.linalg.svd(self.net.jacobian(theta), full_matrices=False)[2][: self.dimension]
        hessian = across @ objective.hessian(theta) @ across.T
        step = np.linalg.lstsq(hessian, across @ objective.gradient(theta), rcond=1e-14)[0]
        return bool(np.linalg.norm(step) <= _SETTLED * np.linalg.norm(theta))

    def _embed(self, sizes: tuple[Any, ...], best: _Best) -> Vector:
        return np.asarray(self.stratum(sizes).embed(best.theta))


def _one_less(sizes: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Sizes with one unit, rank, or place at an end of a filter less."""
    for at, size in enumerate(sizes):
        smaller: list[Any] = []
        if isinstance(size, int):
            smaller = [size - 1] if size > 1 else []
        else:
            for axis, (a, b) in enumerate(size):
                if b - a > 1:
                    smaller += [(*size[:axis], end, *size[axis + 1 :]) for end in ((a, b - 1), (a + 1, b))]
        yield from ((*sizes[:at], s, *sizes[at + 1 :]) for s in smaller)


def _is_critical(objective: NetworkLoss, theta: Vector) -> bool:
    norm = float(np.linalg.norm(objective.gradient(theta)))
    return norm <= 1e-8 * float(objective.gradient_scale(theta))


# --- counting ---------------------------------------------------------------------------------------------------------


def _counted(
    space: _FunctionSpace, drawn: list[Vector], found: list[_Found], confidence: float, seed: int, stopped: str
) -> Bias:
    n = len(found)
    counts: dict[tuple[Any, ...] | str, int] = {}
    for one in found:
        counts[one.cell] = counts.get(one.cell, 0) + 1
    undecided = Share.of(counts.pop("undecided", 0), n, confidence)

    def share(count: int) -> Share:
        return Share.of(count, n, confidence)

    rows = [BiasRow("smooth", None, space.dimension, share(counts.pop("smooth", 0)), None)]
    strata = {*space.largest, *(cell for cell in counts if isinstance(cell, tuple))}
    for sizes in sorted(strata, key=lambda sizes: (-space.stratum(sizes).dimension, sizes)):
        stratum = space.stratum(sizes)
        critical = share(sum(one.critical[sizes] for one in found)) if sizes in space.largest else None
        closest = share(counts.get(sizes, 0))
        rows.append(BiasRow(space.name(sizes), stratum, stratum.dimension, closest, critical))
    for cell in sorted(name for name in counts if isinstance(name, str)):
        rows.append(BiasRow(cell, None, None, share(counts[cell]), None))
    return Bias(
        rows=tuple(rows),
        undecided=undecided,
        n_samples=n,
        uncertain=sum(one.uncertain for one in found),
        targets=np.array(drawn).reshape(n, *space.shape),
        cells=tuple(one.cell if isinstance(one.cell, str) else space.name(one.cell) for one in found),
        losses=np.array([one.value for one in found]),
        seed=seed,
        stopped=stopped,
        model=repr(space.net),
        dimension=space.dimension,
    )
