# SPDX-License-Identifier: BSD-3-Clause
"""How many real critical points there are, over a plane of targets or of data sets.

Two critical points appear or vanish together where the loss crosses the discriminant: their number jumps by two.
Squares of the plane whose neighbours differ are cut again, so that the discriminant is seen as a thin line. Its
classical cases are evolutes: a point of the plane has two or four normals to an ellipse, depending on the side of the
evolute it is on (J. Draisma, E. Horobeţ, G. Ottaviani, B. Sturmfels, R. Thomas, *The Euclidean distance degree of an
algebraic variety*, Found. Comput. Math. 16 (2016) 99–149, section 7, on the ED discriminant).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._critical_starts import natural_scale
from ._hidden_units import balance, hidden_units
from ._quadtree import Plane, Square, as_plane, refine
from ._validation import _describe, as_flag, as_index, as_real, as_real_array, as_rng, check_choice, check_threads
from .closed_forms import solve
from .closest_points import closest_points
from .critical import critical_points
from .critical_point import classify
from .errors import NumericalError
from .loss import NetworkLoss, QDistance
from .networks import Network
from .polynomial_models import ModelDistance, Parametrisation, Variety
from .stationary import search

__all__ = ["AffineFamily", "CountCell", "CountMap", "count_map"]

Floats: TypeAlias = NDArray[np.float64]
Model: TypeAlias = Network | Parametrisation | Variety
Family: TypeAlias = "Callable[[float, float], Any] | AffineFamily"

KINDS = ("minimum", "strict saddle", "saddle", "maximum", "degenerate", "singular", "undecided")
METRICS = ("identity", "bombieri_weyl", "gaussian", "uniform")
_PLURALS = {"minimum": "minima", "strict saddle": "strict saddles", "saddle": "saddles", "maximum": "maxima"}
# From certain to uncertain.
_CERTAINTY = ("proved", "counted", "estimate")
# Functions closer than this, relative to the largest of their square, are one.
_SAME = 1e-6
# Functions kept at a square: where there are more, they are likely not isolated, and following them would not end.
_MOST_FUNCTIONS = 64
# How often neighbours are compared after a round of refinement, at most.
_SWEEPS = 12
# Losses between those of two neighbours on which their points are followed where one step does not do.
_STEPS = 3
# Starts of a search that is repeated, as a multiple of those of the first.
_AGAIN = 4
# Squares of the first grid along an axis that get all the searches of `critical_points`, with so many starts at least.
_THOROUGH, _THOROUGH_STARTS = 2, 30
# Random starts are larger and smaller than the natural size by so many powers of ten, and follow so many eigenvectors.
_SPREAD, _MOST_UPWARDS = 0.4, 3
# Gradients of polished points, relative to their scale.
_POLISHED, _STEPS_OF_POLISHING = 1e-12, 40
# Singular values and eigenvalues below this fraction of the largest are zero.
_ZERO = 1e-8


@dataclass(frozen=True, eq=False)
class AffineFamily:
    """The targets ``target + s·first + t·second`` in one metric.

    Attributes
    ----------
    target, first, second : ndarray, shape (n_outputs, n_monomials), or (m,) for a model that is not a network
    metric : ndarray, str or None
        Q, as `QDistance.from_metric` takes it; for other models a matrix (m, m). None is the identity.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, not finite, or the metric not symmetric positive semidefinite.

    Examples
    --------
    >>> AffineFamily([0.0, 0.0], [1.0, 0.0], [0.0, 1.0]).at(0.5, -1.0)
    array([ 0.5, -1. ])
    """

    target: Floats
    first: Floats
    second: Floats
    metric: Any = None

    def __post_init__(self) -> None:
        target = as_real_array(self.target, "target")
        if target.ndim not in (1, 2) or not target.size:
            raise ValueError(f"`target` must have shape (n_outputs, n_monomials) or (m,), got {target.shape}")
        object.__setattr__(self, "target", target)
        for name in ("first", "second"):
            direction = as_real_array(getattr(self, name), name)
            if direction.shape != target.shape:
                raise ValueError(f"`{name}` must have the shape of `target`, {target.shape}, got {direction.shape}")
            object.__setattr__(self, name, direction)
        if isinstance(self.metric, str):
            check_choice(self.metric, "metric", METRICS)
        elif self.metric is not None:
            # It is checked there, once; the arrays are kept.
            QDistance.from_metric(self.metric, target)
            object.__setattr__(self, "metric", as_real_array(self.metric, "metric"))

    def at(self, s: float, t: float) -> Floats:
        """The target at (s, t).

        Parameters
        ----------
        s, t : float

        Returns
        -------
        ndarray, of the shape of ``target``

        Raises
        ------
        TypeError, ValueError
            If s or t is not a finite real number.
        NumericalError
            If the target overflows.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            result = self.target + as_real(s, "s") * self.first + as_real(t, "t") * self.second
        if not np.isfinite(result).all():
            raise NumericalError(
                f"the target at s={s:g}, t={t:g} overflows: `target`, `first` or `second` are too large"
            )
        return np.asarray(result)


@dataclass(frozen=True, eq=False)
class CountCell:
    """The real critical points at the centre of a square of the plane.

    Attributes
    ----------
    low, high : (float, float)
        Its lower left and upper right corners (s, t).
    count : int
        How many functions are critical.
    kinds : dict of str to int
        How many of each kind that occurs: "minimum", "strict saddle", "maximum", "degenerate", "undecided"; for models
        that are not networks "saddle" and "singular", see `closest_points`.
    spurious : int
        How many of them are critical only because of the parametrisation, or singular points of the model.
    points : ndarray, shape (count, n_outputs, n_monomials), or (count, m)
        The functions, or points of the model, in ascending order of their loss.
    values : ndarray, shape (count,)
        Their losses.
    complete : str
        "proved" if these are known to be all; "counted" if they are as many as a count modulo a prime says; "estimate".
    """

    low: tuple[float, float]
    high: tuple[float, float]
    count: int
    kinds: dict[str, int]
    spurious: int
    points: Floats = field(repr=False)
    values: Floats = field(repr=False)
    complete: str = "estimate"

    def describe(self) -> str:
        """Number and kinds in words.

        Returns
        -------
        str
        """
        return f"{_points(self.count)}: {_kinds_text(self.kinds)}"


@dataclass(frozen=True, eq=False)
class CountMap:
    """Numbers and kinds of real critical points over a plane, made by `count_map`.

    Attributes
    ----------
    cells : tuple of CountCell
        Squares without overlap that fill the rectangle, those that were finished if the map is partial. Each speaks of
        its centre.
    counts : ndarray of int64, shape (n, n)
        The counts on the grid of the finest squares, row by row: ``counts[j, i]`` holds at ``(s[i], t[j])``; −1 where
        nothing was finished.
    s, t : ndarray, shape (n,)
        Centres of the finest squares along each axis.
    jumps : ndarray, shape (n_jumps, 2, 2)
        The edges between cells of different count, each as its two ends.
    jump_sizes : ndarray of int64, shape (n_jumps,)
        By how much the counts differ there.
    low, high : (float, float)
        Corners of the rectangle.
    n_starts : int
        Random starts at each square.
    n_searches : int
        How many times critical points were searched or followed.
    complete : str
        The least certain of the cells.
    seed : int
        ``rng=seed`` reproduces the map.
    partial : bool
        Whether it was stopped before it was done.
    stopped : str
        "", "time" or "interrupted".
    model : str
        What the critical points are of.
    """

    cells: tuple[CountCell, ...]
    counts: NDArray[np.int64]
    s: Floats
    t: Floats
    jumps: Floats
    jump_sizes: NDArray[np.int64]
    low: tuple[float, float]
    high: tuple[float, float]
    n_starts: int
    n_searches: int
    complete: str
    seed: int
    partial: bool = False
    stopped: str = ""
    model: str = ""

    def __repr__(self) -> str:
        (a, b), (c, d) = self.low, self.high
        lines = [f"{self.model} over [{a:g}, {c:g}] × [{b:g}, {d:g}]"]
        total = np.count_nonzero(self.counts >= 0)
        for count in np.unique(self.counts[self.counts >= 0]).tolist():
            share = np.count_nonzero(self.counts == count) / total
            lines.append(f"  {self.describe(count)}; {share:.1%} of the area")
        odd = np.count_nonzero(self.jump_sizes % 2)
        even = "all even" if not odd else f"{odd} of them odd"
        lines.append(f"  cells       {len(self.cells)}, the finest 1/{len(self.s)} of an axis")
        lines.append(f"  jumps       at {len(self.jumps)} edges" + (f", {even}" if len(self.jumps) else ""))
        lines.append(
            f"  complete    {self.complete}" + (": searches may miss points" if self.complete == "estimate" else "")
        )
        if self.partial:
            lines.append(f"  partial     stopped ({self.stopped})")
        lines.append(f"  seed        {self.seed}")
        return "\n".join(lines)

    def describe(self, count: int) -> str:
        """A count in words, with the kinds that occur with it, the most frequent first.

        Parameters
        ----------
        count : int

        Returns
        -------
        str

        Raises
        ------
        TypeError
            If ``count`` is not an integer.
        """
        count = as_index(count, "count", 0)
        seen = Counter(_kinds_text(cell.kinds) for cell in self.cells if cell.count == count)
        kinds = "; or ".join(text for text, _ in seen.most_common(3)) + ("; ..." if len(seen) > 3 else "")
        return f"{_points(count)}: {kinds}"


def count_map(
    model: Model,
    family: Family,
    *,
    low: ArrayLike = (-1.0, -1.0),
    high: ArrayLike = (1.0, 1.0),
    resolution: int = 12,
    refinements: int = 2,
    n_starts: int = 40,
    rng: object = 0,
    spurious: bool = True,
    n_threads: int = 0,
    time_budget: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CountMap:
    """Numbers and kinds of the real critical points over a two-parameter family of targets or data sets.

    Parameters
    ----------
    model : Network, Parametrisation or Variety
    family : callable (s, t) → loss, or AffineFamily
        For a network the callable returns a loss on its coefficients: a `QDistance`, from data or from a metric and a
        target, or any other `CoefficientLoss`. For the other models it returns the target, shape (m,).
    low, high : array_like, shape (2,)
        Corners of the rectangle of (s, t).
    resolution : int
        Squares along each axis to begin with.
    refinements : int
        How many times squares are quartered whose neighbours have another count, or other kinds.
    n_starts : int
        Random starts of the search at each square, besides the points of the square it is a part of, and of its
        neighbours.
    rng : int or numpy.random.Generator
        A seed; from a Generator a 64-bit seed is drawn.
    spurious : bool
        Whether points count that are critical only because of the parametrisation, such as θ = 0.
    n_threads : int
        0 is the default number; results do not depend on it.
    time_budget : float, optional
        Seconds, after which what is finished is returned, marked partial. So it is by Ctrl-C.
    progress : callable (done, total), optional
        Called after each square; the total grows with refinement.

    Returns
    -------
    CountMap

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or value; if ``family`` returns what is no loss, or no target.
    MemoryError, OverflowError
        If the grid of finest squares would not fit.

    Notes
    -----
    Critical points with the same function are one, so that the number is that on the function space, and does not
    depend on the symmetries; its kind is that of its most regular parameters. Where critical points are not isolated,
    as on a set of zero loss for a degenerate Q, those count that were found, at most 64 of them.

    Points of a network are searched, unless a closed form is known, at each square from starts of its own. So that
    counts do not flicker, points of each square are followed to those of its neighbours that differ, in steps along the
    family if need be, until nothing new is found: what one search misses another one finds for it. Where the difference
    is odd after that, both are searched again with more starts. An odd difference may be true: on the boundary or at
    singular points of the function space the rule of two does not hold.

    Examples
    --------
    A parabola has three normals through a point above its evolute, one through others.

    >>> import polycore as pc
    >>> parabola = pc.Parametrisation(pc.MonomialBasis(1, 2), [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> found = count_map(parabola, lambda s, t: [s, t], low=(-1, 0), high=(1.1, 2), resolution=4)
    >>> sorted({cell.count for cell in found.cells}), bool((found.jump_sizes == 2).all()), found.complete
    ([1, 3], True, 'proved')

    The best squares of linear forms, of two kinds of targets:

    >>> net = pc.MLP((2, 1, 1), activation=2)
    >>> family = AffineFamily([[1.0, 0.0, 1.0]], [[1.0, 0.0, -1.0]], [[0.0, 1.0, 0.0]])
    >>> found = count_map(net, family, resolution=3, refinements=0, n_starts=20, spurious=False)
    >>> found.counts
    array([[2, 2, 2],
           [2, 4, 2],
           [2, 2, 2]])
    """
    plane = as_plane(low, high, resolution, refinements)
    include = as_flag(spurious, "spurious")
    starts = as_index(n_starts, "n_starts", 1)
    seed = as_rng(rng)[1]
    threads = check_threads(n_threads)
    budget = None if time_budget is None else as_real(time_budget, "time_budget", 0.0)
    if progress is not None and not callable(progress):
        raise TypeError(f"`progress` must be callable, got {_describe(progress)}")
    solver = _solver(model, family, starts, seed, threads)
    survey = _Survey(plane, solver, seed, None if budget is None else time.monotonic() + budget, progress)
    stopped = ""
    try:
        refine(plane, survey.values, survey.evaluate, _agree, survey.settle)
    except _OutOfTime:
        stopped = "time"
    except KeyboardInterrupt:
        stopped = "interrupted"
    return _assemble(plane, survey, include, seed, starts, stopped)


class _OutOfTime(Exception):
    """The time budget is used up."""


@dataclass(frozen=True, eq=False)
class _Found:
    """Critical functions (k, D), their losses (k,), kinds, whether they are spurious, and parameters (k, P)."""

    functions: Floats
    values: Floats
    kinds: tuple[str, ...]
    spurious: tuple[bool, ...]
    starts: Floats
    complete: str = "estimate"

    @property
    def certain(self) -> bool:
        """Whether they are all there are."""
        return self.complete != "estimate"

    @property
    def settled(self) -> bool:
        """Whether no others are looked for."""
        return self.certain or len(self) >= _MOST_FUNCTIONS

    def __len__(self) -> int:
        return len(self.functions)

    def select(self, rows: NDArray[np.int64]) -> _Found:
        """Some of them, in this order."""
        kinds, spurious = (tuple(which[i] for i in rows) for which in (self.kinds, self.spurious))
        return _Found(self.functions[rows], self.values[rows], kinds, spurious, self.starts[rows], self.complete)

    def and_new_of(self, other: _Found) -> _Found:
        """These and those of the others that are not among them."""
        together = np.concatenate([self.functions, other.functions])
        rows = [k for k in _distinct(together) if k >= len(self)][: max(0, _MOST_FUNCTIONS - len(self))]
        if not rows:
            return self
        new = other.select(np.array(rows) - len(self))
        return _Found(
            np.concatenate([self.functions, new.functions]),
            np.concatenate([self.values, new.values]),
            self.kinds + new.kinds,
            self.spurious + new.spurious,
            np.concatenate([self.starts, new.starts]),
            self.complete,
        )


class _Solver(Protocol):
    """Critical points of a member of the family."""

    name: str
    # Whether points can be followed from one member of the family to another.
    follows: bool

    def search(self, at: Floats, seed: int, effort: int) -> _Found:
        """From scratch, with ``effort`` times the usual starts."""

    def search_thoroughly(self, at: Floats, seed: int, seconds: float | None) -> _Found:
        """With all there is, in so many seconds; _OutOfTime if they do not do."""

    def move(self, at: Floats, starts: Floats) -> Floats:
        """Parameters of the points that are reached from those of another member."""

    def follow(self, at: Floats, starts: Floats) -> _Found:
        """The same, told apart and classified."""


class _Survey:
    """What is found at each square."""

    def __init__(
        self,
        plane: Plane,
        solver: _Solver,
        seed: int,
        deadline: float | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.plane, self.solver, self._seed = plane, solver, seed
        self.values: dict[Square, _Found] = {}
        self.n_searches = self._n_squares = 0
        self._deadline, self._progress = deadline, progress
        self._compared: set[tuple[Square, Square, int, int]] = set()
        self._searched_again: set[Square] = set()
        # Squares spread evenly, from where points that are hard to find are followed to all others.
        places = [(2 * k + 1) * plane.resolution // (2 * _THOROUGH) for k in range(_THOROUGH)]
        self._thorough = {Square(0, i, j) for i in places for j in places}

    def evaluate(self, square: Square, parent: _Found | None) -> _Found:
        """The points at a square: searched, and followed from the square it is a part of."""
        at = self.plane.centre(square)
        found = self._search(square)
        if not found.certain and parent is not None and self.solver.follows:
            found = self._follow(at, parent.starts).and_new_of(found)
        if not found.certain and square in self._thorough:
            found = found.and_new_of(self.solver.search_thoroughly(at, self._seed_of(square), self._seconds_left()))
        self._n_squares += 1
        if self._progress is not None:
            first = self.plane.resolution**2
            self._progress(self._n_squares, max(first, self._n_squares))
        return found

    def settle(self, values: MutableMapping[Square, _Found]) -> None:
        """Follow points between neighbours that differ until that finds nothing new."""
        for _ in range(_SWEEPS):
            leaves = list(values)
            grew = [
                self._compare(values, leaves[a], leaves[b])
                for a, b in self.plane.neighbours(leaves).tolist()
                if not _agree(values[leaves[a]], values[leaves[b]])
            ]
            if not any(grew):
                return

    def _compare(self, values: MutableMapping[Square, _Found], a: Square, b: Square) -> bool:
        """Whether one of two neighbours that differ has points that it was not known to have."""
        key = a, b, len(values[a]), len(values[b])
        if not self.solver.follows or key in self._compared or (values[a].settled and values[b].settled):
            return False
        self._compared.add(key)
        before = len(values[a]) + len(values[b])
        for steps in (1, _STEPS):
            for here, there in ((a, b), (b, a)):
                values[there] = values[there].and_new_of(self._follow_along(values[here].starts, here, there, steps))
            if _agree(values[a], values[b]):
                break
        if (len(values[a]) - len(values[b])) % 2:
            for square in sorted({a, b} - self._searched_again):
                self._searched_again.add(square)
                values[square] = values[square].and_new_of(self._search(square, _AGAIN))
        return len(values[a]) + len(values[b]) > before

    def _follow_along(self, starts: Floats, here: Square, there: Square, steps: int) -> _Found:
        """Points reached at ``there`` from those of ``here``, on the straight line between the centres."""
        source, destination = self.plane.centre(here), self.plane.centre(there)
        for step in range(1, steps):
            starts = self.solver.move(source + (destination - source) * (step / steps), starts)
        return self._follow(destination, starts)

    def _search(self, square: Square, effort: int = 1) -> _Found:
        self._seconds_left()
        self.n_searches += 1
        return self.solver.search(self.plane.centre(square), self._seed_of(square), effort)

    def _seed_of(self, square: Square) -> int:
        """Of its own: what one square's starts miss another's find, and points found are followed everywhere."""
        return int(np.random.SeedSequence([self._seed, *square]).generate_state(1, np.uint64)[0])

    def _follow(self, at: Floats, starts: Floats) -> _Found:
        self._seconds_left()
        self.n_searches += 1
        return self.solver.follow(at, starts)

    def _seconds_left(self) -> float | None:
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _OutOfTime
        return left


def _agree(a: _Found, b: _Found) -> bool:
    return Counter(a.kinds) == Counter(b.kinds)


def _distinct(functions: Floats) -> list[int]:
    """The first of each group of rows that are equal up to the tolerance."""
    scale = float(np.linalg.norm(functions, axis=1).max(initial=0.0))
    kept: list[int] = []
    for k, row in enumerate(functions):
        if not kept or np.linalg.norm(functions[kept] - row, axis=1).min() > _SAME * scale:
            kept.append(k)
    return kept


# -- what the critical points are of ----------------------------------------------------------------------------------


class _NetworkSolver:
    """Critical points of the loss of a network, one for each function."""

    follows = True

    def __init__(self, net: Network, family: Family, n_starts: int, seed: int, n_threads: int) -> None:
        self.name = repr(net)
        self._net, self._family = net, family
        self._n_starts, self._seed, self._n_threads = n_starts, seed, n_threads
        self._units = hidden_units(net)
        self._objectives: dict[tuple[float, float], NetworkLoss] = {}
        self._verdicts: dict[tuple[int, int, int, bool], tuple[str, bool]] = {}
        self._scale: float | None = None

    def search(self, at: Floats, seed: int, effort: int) -> _Found:
        """A closed form where there is one, else from zero and from random starts of the size that fits the targets."""
        objective = self._objective(at)
        solved = solve(objective.loss, self._net)
        if solved is not None and solved.complete:
            return self._found(objective, solved.thetas, "proved")
        rng = np.random.default_rng([seed, effort])
        n, n_params = effort * self._n_starts, self._net.n_params
        if self._scale is None:
            self._scale = natural_scale(objective.loss, self._net, np.random.default_rng(self._seed))
        sizes = self._scale * 10.0 ** rng.uniform(-_SPREAD, _SPREAD, (n, 1))
        starts = sizes * rng.standard_normal((n, n_params))
        upwards = 1 + np.arange(len(starts[::2])) % min(n_params, _MOST_UPWARDS)
        ends = [
            self._run(objective, np.zeros((1, n_params)), "newton"),
            self._run(objective, starts[::4], "descent"),
            self._run(objective, starts[::2], "index", upwards),
            self._run(objective, starts, "stationary"),
        ]
        return self._found(objective, np.concatenate(ends))

    def search_thoroughly(self, at: Floats, seed: int, seconds: float | None) -> _Found:
        """The searches of `critical_points`, among them those of smaller networks."""
        objective = self._objective(at)
        n = max(_THOROUGH_STARTS, self._n_starts)
        result = critical_points(
            objective.loss, self._net, n, seed, "search", time_budget=seconds, n_threads=self._n_threads
        )
        if result.stopped == "interrupted":
            raise KeyboardInterrupt
        if result.partial:
            raise _OutOfTime
        return self._found(objective, np.array([point.theta for point in result]).reshape(-1, self._net.n_params))

    def move(self, at: Floats, starts: Floats) -> Floats:
        """By Levenberg–Marquardt steps on the gradient."""
        return self._run(self._objective(at), starts, "stationary")

    def follow(self, at: Floats, starts: Floats) -> _Found:
        """The same, told apart and classified."""
        return self._found(self._objective(at), self.move(at, starts))

    def _run(
        self, objective: NetworkLoss, starts: Floats, method: str, index: NDArray[np.int64] | None = None
    ) -> Floats:
        """Where those searches end that converge, balanced and polished: one function has one set of coefficients then.

        Where weights differ much in size, a small gradient does not make a small error of the function.
        """
        if not len(starts):
            return starts
        found = search(objective, starts, method, index=index, n_threads=self._n_threads)
        balanced = balance(self._units, found.theta[found.converged])
        polished = search(objective, balanced, "newton", tol=_POLISHED, max_steps=_STEPS_OF_POLISHING, n_threads=1)
        return polished.theta[polished.converged]

    def _objective(self, at: Floats) -> NetworkLoss:
        """The loss of a member, made once."""
        s, t = at.tolist()
        if (s, t) not in self._objectives:
            self._objectives[s, t] = self._make_objective(s, t)
        return self._objectives[s, t]

    def _make_objective(self, s: float, t: float) -> NetworkLoss:
        if isinstance(self._family, AffineFamily):
            metric = "identity" if self._family.metric is None else self._family.metric
            loss: Any = QDistance.from_metric(metric, self._family.at(s, t), self._net.basis)
        else:
            loss = self._family(s, t)
        try:
            return NetworkLoss(loss, self._net)
        except TypeError as error:
            raise TypeError(f"`family` must return losses on coefficients: {error}") from None

    def _found(self, objective: NetworkLoss, thetas: Floats, complete: str = "estimate") -> _Found:
        """Critical points, one for each function: the one whose Jacobian has the largest rank, then first come."""
        flat = np.asarray(self._net.expand(thetas)).reshape(
            len(thetas), self._net.n_outputs * self._net.basis.n_monomials
        )
        values = np.atleast_1d(objective.value(thetas)) + objective.constant
        signatures = self._signatures(objective, thetas)
        order = sorted(range(len(thetas)), key=lambda k: (-signatures[k][2], k))
        rows = np.array(order, dtype=np.int64)[_distinct(flat[order])] if order else np.zeros(0, dtype=np.int64)
        rows = rows[:_MOST_FUNCTIONS][np.argsort(values[rows[:_MOST_FUNCTIONS]], kind="stable")]
        verdicts = [self._verdict(objective, thetas[k], signatures[k]) for k in rows]
        kinds, spurious = (tuple(column) for column in zip(*verdicts)) if verdicts else ((), ())
        return _Found(flat[rows], values[rows], kinds, spurious, thetas[rows], complete)

    def _signatures(self, objective: NetworkLoss, thetas: Floats) -> list[tuple[int, int, int, bool]]:
        """For each point: negative and positive eigenvalues, the Jacobian's rank, whether the loss is flat there."""
        if not len(thetas):
            return []
        eigenvalues = np.linalg.eigvalsh(objective.hessian(thetas))
        zero = _ZERO * np.abs(eigenvalues).max(axis=1, keepdims=True, initial=np.finfo(np.float64).tiny)
        singular = np.linalg.svd(self._net.jacobian(thetas), compute_uv=False)
        rank = (singular > _ZERO * singular.max(axis=1, keepdims=True, initial=np.finfo(np.float64).tiny)).sum(axis=1)
        slopes = np.asarray(objective.loss.gradient(self._net.expand(thetas))).reshape(len(thetas), -1)
        sizes = np.atleast_1d(objective.gradient_scale(thetas))
        flat = np.linalg.norm(slopes, axis=1) * np.linalg.norm(singular, axis=1) <= _ZERO * sizes
        negative, positive = (eigenvalues < -zero).sum(axis=1), (eigenvalues > zero).sum(axis=1)
        return list(zip(negative.tolist(), positive.tolist(), rank.tolist(), flat.tolist()))

    def _verdict(
        self, objective: NetworkLoss, theta: Floats, signature: tuple[int, int, int, bool]
    ) -> tuple[str, bool]:
        """Kind and whether it is spurious, worked out for the first point of each signature."""
        if signature not in self._verdicts:
            point = classify(objective, theta, deep=False)
            self._verdicts[signature] = point.kind, point.origin.spurious
        return self._verdicts[signature]


class _ModelSolver:
    """Critical points of the distance from a model that is not a network."""

    def __init__(
        self, model: Parametrisation | Variety, family: Family, n_starts: int, seed: int, n_threads: int
    ) -> None:
        self.name = repr(model)
        self.follows = isinstance(model, Parametrisation)
        self._model, self._family = model, family
        self._n_starts, self._seed, self._n_threads = n_starts, seed, n_threads

    def search(self, at: Floats, seed: int, effort: int) -> _Found:
        """All solutions of the equations where they can be solved."""
        n_starts = effort * self._n_starts
        found = closest_points(self._model, *self._target(at), n_starts=n_starts, rng=seed, n_threads=self._n_threads)
        starts = np.zeros((len(found), 0)) if found.parameters is None else found.parameters
        singular = tuple(kind == "singular" for kind in found.kinds)
        return _Found(found.points, found.distances, found.kinds, singular, starts, found.complete)

    def search_thoroughly(self, at: Floats, seed: int, seconds: float | None) -> _Found:
        """There is no more than `search` does."""
        return self.search(at, seed, _AGAIN)

    def move(self, at: Floats, starts: Floats) -> Floats:
        """By Levenberg–Marquardt steps on the gradient in the parameters."""
        found = search(self._objective(at), starts, "stationary", n_threads=self._n_threads)
        return found.theta[found.converged]

    def follow(self, at: Floats, starts: Floats) -> _Found:
        """The same, told apart and classified."""
        assert isinstance(self._model, Parametrisation)
        objective, t = self._objective(at), self.move(at, starts)
        points, values = self._model.evaluate(t), np.atleast_1d(objective.value(t))
        rows = np.array(_distinct(points), dtype=np.int64)
        kinds = tuple(self._kind(objective.hessian(t[k]), t[k]) for k in rows)
        singular = tuple(kind == "singular" for kind in kinds)
        return _Found(points[rows], values[rows], kinds, singular, t[rows])

    def _kind(self, hessian: Floats, t: Floats) -> str:
        """As `closest_points` says it: of the second derivatives, but for directions in which the point stays."""
        values = np.linalg.eigvalsh(hessian)
        zero = _ZERO * float(np.abs(values).max(initial=np.finfo(np.float64).tiny))
        rank, negative, positive = _rank(self._model, t), int((values < -zero).sum()), int((values > zero).sum())
        if rank < self._generic_rank:
            return "singular"
        if negative and positive:
            return "saddle"
        if negative + positive < rank:
            return "degenerate"
        return "maximum" if negative else "minimum"

    def _objective(self, at: Floats) -> ModelDistance:
        assert isinstance(self._model, Parametrisation)
        return self._model.objective(*self._target(at))

    @cached_property
    def _generic_rank(self) -> int:
        rng = np.random.default_rng(self._seed)
        return _rank(self._model, rng.standard_normal(self._model.basis.n_vars))

    def _target(self, at: Floats) -> tuple[Floats, Any]:
        s, t = at.tolist()
        if isinstance(self._family, AffineFamily):
            return self._family.at(s, t), self._family.metric
        return as_real_array(self._family(s, t), "family(s, t)", shape=(("m", self._model.n_coordinates),)), None


def _rank(model: Any, t: Floats) -> int:
    """Of the Jacobian of a parametrisation."""
    singular = np.linalg.svd(model.jacobian(t), compute_uv=False)
    return int((singular > _ZERO * singular.max(initial=np.finfo(np.float64).tiny)).sum())


def _solver(model: Model, family: Family, n_starts: int, seed: int, n_threads: int) -> _Solver:
    if not isinstance(family, AffineFamily) and not callable(family):
        raise TypeError(f"`family` must be callable or an AffineFamily, got {_describe(family)}")
    if isinstance(model, Network):
        return _NetworkSolver(model, family, n_starts, seed, n_threads)
    if isinstance(model, (Parametrisation, Variety)):
        return _ModelSolver(model, family, n_starts, seed, n_threads)
    raise TypeError(f"`model` must be a Network, a Parametrisation or a Variety, got {_describe(model)}")


# -- the result -------------------------------------------------------------------------------------------------------


def _assemble(plane: Plane, survey: _Survey, spurious: bool, seed: int, n_starts: int, stopped: str) -> CountMap:
    squares = sorted(survey.values, key=lambda square: tuple(plane.centre(square)[::-1]))
    cells = [_cell(plane, square, survey.values[square], spurious) for square in squares]
    owner = plane.owners(squares)
    counts = np.append([cell.count for cell in cells], -1).astype(np.int64)[owner]
    pairs = [(a, b) for a, b in plane.neighbours(squares).tolist() if cells[a].count != cells[b].count]
    jumps = np.array([plane.edge(squares[a], squares[b]) for a, b in pairs]).reshape(-1, 2, 2)
    sizes = np.array([abs(cells[a].count - cells[b].count) for a, b in pairs], dtype=np.int64)
    middles = (np.arange(plane.finest) + 0.5) / plane.finest
    s, t = (low + middles * (high - low) for low, high in zip(plane.low, plane.high))
    return CountMap(
        cells=tuple(cells),
        counts=counts,
        s=s,
        t=t,
        jumps=jumps,
        jump_sizes=sizes,
        low=plane.low,
        high=plane.high,
        n_starts=n_starts,
        n_searches=survey.n_searches,
        complete=max((cell.complete for cell in cells), key=_CERTAINTY.index, default="estimate"),
        seed=seed,
        partial=bool(stopped),
        stopped=stopped,
        model=survey.solver.name,
    )


def _cell(plane: Plane, square: Square, found: _Found, spurious: bool) -> CountCell:
    """What is kept of a square."""
    rows = np.array(
        [k for k in np.argsort(found.values, kind="stable") if spurious or not found.spurious[k]], dtype=int
    )
    (a, b), (c, d) = (corner.tolist() for corner in plane.corners(square))
    kinds = Counter(found.kinds[k] for k in rows)
    return CountCell(
        low=(a, b),
        high=(c, d),
        count=len(rows),
        kinds={kind: kinds[kind] for kind in KINDS if kinds[kind]},
        spurious=sum(found.spurious[k] for k in rows),
        points=found.functions[rows],
        values=found.values[rows],
        complete=found.complete,
    )


def _points(count: int) -> str:
    return f"{count} point{'s' * (count != 1)}"


def _kinds_text(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {_PLURALS.get(kind, kind) if n > 1 else kind}" for kind, n in kinds.items()) or "none"
