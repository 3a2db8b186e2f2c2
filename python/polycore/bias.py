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
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._bias_spaces import Found, FunctionSpace, ModelSpace, Sizes, Space, metric_of_network
from ._validation import _describe, as_flag, as_index, as_probability, as_real, as_real_array, as_rng, check_threads
from .errors import NumericalError
from .loss import QDistance
from .networks import Network
from .polynomial_models import Parametrisation, Variety, as_point_and_metric
from .subnetworks import Stratum

__all__ = ["Bias", "BiasRow", "Share", "bias", "voronoi_boundary"]

Vector = NDArray[np.float64]
Targets = Callable[[np.random.Generator], ArrayLike]


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
        "smooth", a smaller network in words, "zero" (the zero function), "singular" and "boundary" (otherwise), or "not
        attained" (functions approach the distance as weights go to infinity).
    stratum : Stratum or None
        The smaller network.
    dimension : int or None
        Of the stratum.
    closest : Share
        Targets whose closest function lies on it, and on no smaller network.
    critical : Share or None
        For the largest of the smaller networks: targets for which the function of the smaller network that is closest,
        with the units left out at zero, is a critical point of the loss in the parameters of the whole network.
    trained : Share or None
        Targets for which training ends there: gradient flow from random parameters.
    """

    name: str
    stratum: Stratum | None = field(repr=False, compare=False)
    dimension: int | None
    closest: Share
    critical: Share | None
    trained: Share | None


@dataclass(frozen=True)
class Bias:
    """How the closest functions of random targets are distributed over the strata of a function space.

    Attributes
    ----------
    rows : tuple of BiasRow
        "smooth" first, then strata by dimension, then those of the rest that occur.
    undecided : Share
        Targets where values are too close to tell, or searches neither converge nor go to infinity.
    undecided_trained : Share or None
        Targets where it is not seen where training ends.
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
    dimension : int or None
        Of the function space; None for a model given by equations.

    Examples
    --------
    See `bias`.
    """

    rows: tuple[BiasRow, ...]
    undecided: Share
    undecided_trained: Share | None
    n_samples: int
    uncertain: int
    targets: Vector = field(repr=False, compare=False)
    cells: tuple[str, ...] = field(repr=False)
    losses: Vector = field(repr=False, compare=False)
    seed: int
    stopped: str
    model: str
    dimension: int | None

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
        lines = [f"{self.model}: closest points of {self.n_samples} targets{cut}"]
        table = [["", "dimension", f"closest [{confidence}]", "critical", "training ends there"]]
        for row in self.rows:
            shares = ["" if share is None else repr(share) for share in (row.closest, row.critical, row.trained)]
            table.append([row.name, "" if row.dimension is None else str(row.dimension), *shares])
        if self.undecided.count or (self.undecided_trained is not None and self.undecided_trained.count):
            trained = "" if self.undecided_trained is None else repr(self.undecided_trained)
            table.append(["undecided", "", repr(self.undecided), "", trained])
        kept = [at for at in range(5) if at == 0 or any(row[at] for row in table[1:])]
        table = [[row[at] for at in kept] for row in table]
        widths = [max(map(len, column)) for column in zip(*table)]
        lines += ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in table]
        if self.uncertain:
            lines.append(f"  best value found by one search only: {self.uncertain}")
        return "\n".join(lines)


def bias(
    model: Network | Parametrisation | Variety,
    metric: ArrayLike | str | QDistance | None,
    n_samples: int = 200,
    rng: object = 0,
    *,
    n_starts: int = 24,
    training: bool = True,
    targets: Targets | ArrayLike | None = None,
    confidence: float = 0.95,
    n_threads: int = 0,
    time_budget: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Bias:
    """Draw targets, find the closest function to each, and count the strata on which these lie.

    Parameters
    ----------
    model : Network, Parametrisation or Variety
    metric : array_like, str, QDistance or None
        Q: for a network as for `QDistance.from_metric`, or a loss whose Q it is (its target is not used); for other
        models a matrix (m, m), or None for the identity.
    n_samples : int
        Number of targets.
    rng : int or numpy.random.Generator
        A seed; from a Generator a 64-bit seed is drawn.
    n_starts : int
        Random starts per target and round; there are up to four rounds, until the best value has been found three
        times.
    training : bool
        For networks, whether to follow gradient flow too, once for each target, from `Network.random_params` scaled so
        that the function is about as large as the target.
    targets : callable or array_like, optional
        ``targets(rng)`` returns one target, (O, N), or (N,) for one output; or an array of them, (n_samples, O, N). Of
        other models they have shape (m,). By default they are Gaussian in the metric: standard normal in coordinates
        that are orthonormal for Q, so that all directions are equal; along the kernel of Q they are 0.
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
        If an argument is of the wrong kind, shape or value, or the metric does not fit the model.
    MemoryError, OverflowError
        If dense matrices would not fit.

    Notes
    -----
    The function space of a network whose last layer is linear is a cone, with c also −c. A unit that is left out of a
    fully connected network can come back with weights of either sign, so the residual at a closest function on a
    smaller network is orthogonal to all that the unit could add. Unless that is nothing new, such targets are a set of
    measure zero. But smaller networks have *critical points* of training for all targets, since a unit whose weights
    all vanish has no gradient; and *training ends* at some of them for a positive fraction of targets: with an even
    activation a unit adds a function of one sign, and if that is the wrong one its weights go to zero. Of convolutional
    networks neither holds, but for the zero function.

    Closest points for a positive fraction of targets are on boundaries of the function space, among them those that are
    reached by infinite weights only ("not attained"), and at singularities such as that of the plane cusp.

    A value counts as equal to another if they differ by less than 1e-10 ‖u‖², as different from 1e-8 ‖u‖². Nothing
    proves that a minimum found is the global one.

    Examples
    --------
    >>> import polycore as pc
    >>> pc.bias(pc.CNN((2, 2), activation=2), "bombieri_weyl", n_samples=20)["smooth"].closest.count
    20

    The plane cusp y² + x³ = 0, which attracts 39% of all targets:

    >>> cusp = pc.Parametrisation(pc.MonomialBasis(1, 3), [[0, 0, -1, 0], [0, 0, 0, 1]])  # t ↦ (−t², t³)
    >>> pc.bias(cusp, None, n_samples=40)["singular"].closest
    0.250 [0.127, 0.412]
    """
    n = as_index(n_samples, "n_samples", 1)
    starts = as_index(n_starts, "n_starts", 1)
    level = as_probability(confidence, "confidence")
    threads, trains = check_threads(n_threads), as_flag(training, "training")
    budget = math.inf if time_budget is None else as_real(time_budget, "time_budget", minimum=0.0)
    if progress is not None and not callable(progress):
        raise TypeError(f"`progress` must be callable, got {_describe(progress)}")
    _, seed = as_rng(rng)
    space = _space(model, metric, starts, trains, threads)
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
            drawn.append(target)
            found.append(space.locate(target, generator))
            if progress is not None:
                progress(i + 1, n)
    except KeyboardInterrupt:
        stopped = "interrupted"
    return _counted(space, drawn[: len(found)], found, level, seed, stopped)


def voronoi_boundary(model: Parametrisation, t0: float, t: ArrayLike, Q: ArrayLike | None = None) -> Vector:
    """The targets as far from a point of a plane curve as from another one, at which they are critical.

    The boundary of the Voronoi cell of a singular point p(t0) consists of such targets u: ‖p(t) − u‖ = ‖p(t0) − u‖ and
    p'(t) ⟂ p(t) − u, two linear equations for each t.

    Parameters
    ----------
    model : Parametrisation
        Of a curve, k = 1, in the plane, m = 2.
    t0 : float
        The parameter of the singular point.
    t : array_like, shape (...)
        Parameters of the other points.
    Q : array_like, shape (2, 2), optional
        Symmetric positive definite; by default the identity.

    Returns
    -------
    ndarray, shape (..., 2)

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or value, or there is not one such target: for t0 itself, and where
        the tangent leads to p(t0).
    NumericalError
        If the curve overflows.

    Notes
    -----
    Which of the targets are on the boundary depends on the other points of the curve: it is those to which none is
    closer. Of the cusp t ↦ (−t², t³) all are: the curve ((3t⁴ + t²)/2, 2t³ + t).

    Examples
    --------
    >>> import polycore as pc
    >>> cusp = pc.Parametrisation(pc.MonomialBasis(1, 3), [[0, 0, -1, 0], [0, 0, 0, 1]])
    >>> voronoi_boundary(cusp, 0.0, [1.0, -1.0]).round(12)
    array([[ 2.,  3.],
           [ 2., -3.]])
    """
    if not isinstance(model, Parametrisation):
        raise TypeError(f"`model` must be a Parametrisation, got {_describe(model)}")
    if (model.n_parameters, model.n_coordinates) != (1, 2):
        raise ValueError(f"`model` must be a curve in the plane, got {model!r}")
    at, times = as_real(t0, "t0"), as_real_array(t, "t")
    _, gram = as_point_and_metric(np.zeros(2), Q, 2)
    smallest, largest = np.linalg.eigvalsh(gram)
    if not smallest > 16 * np.finfo(float).eps * largest:
        raise ValueError(f"`Q` must be positive definite, got eigenvalues {smallest:g} and {largest:g}")
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        start, points = model.evaluate([at]), model.evaluate(times[..., None])
        tangents, chords = model.jacobian(times[..., None])[..., 0] @ gram, 2.0 * (points - start) @ gram
        squares = ((points - start) @ gram * (points + start)).sum(axis=-1)
        right = np.stack([(tangents * points).sum(axis=-1), squares], axis=-1)
        determinant = tangents[..., 0] * chords[..., 1] - tangents[..., 1] * chords[..., 0]
        sizes = np.linalg.norm(tangents, axis=-1) * np.linalg.norm(chords, axis=-1)
    if not (np.isfinite(sizes).all() and np.isfinite(right).all()):
        raise NumericalError("the curve overflows at `t0` or `t`")
    if not (np.abs(determinant) > 16 * np.finfo(float).eps * sizes).all():
        raise ValueError("`t` must hold no parameter of the same point as `t0`, nor of one whose tangent leads there")
    return np.asarray(np.linalg.solve(np.stack([tangents, chords], axis=-2), right[..., None])[..., 0])


# --- targets ----------------------------------------------------------------------------------------------------------


def _space(
    model: object, metric: ArrayLike | str | QDistance | None, n_starts: int, training: bool, n_threads: int
) -> Space:
    if isinstance(model, Network):
        if metric is None:
            raise TypeError("`metric` must be given for a network, got None")
        return FunctionSpace(model, metric_of_network(metric, model), n_starts, training, n_threads)
    if not isinstance(model, (Parametrisation, Variety)):
        raise TypeError(f"`model` must be a Network, a Parametrisation or a Variety, got {_describe(model)}")
    if isinstance(metric, (str, QDistance)):
        raise TypeError(f"`metric` must be a matrix or None for a {type(model).__name__}, got {_describe(metric)}")
    return ModelSpace(model, metric, n_starts, n_threads)


def _given_targets(targets: object, shape: tuple[int, ...]) -> Vector | None:
    """Targets that are given as an array, (n_samples, *shape)."""
    if targets is None or callable(targets):
        return None
    array = as_real_array(targets, "targets")
    if len(shape) == 2 and shape[0] == 1 and array.ndim == 2:
        array = array[:, None]
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape or not len(array):
        sizes = ", ".join(map(str, shape))
        raise ValueError(f"`targets` must be callable or have shape (n_samples, {sizes}), got {array.shape}")
    return np.ascontiguousarray(array)


def _draw(space: Space, targets: object, given: Vector | None, i: int, generator: np.random.Generator) -> Vector:
    if given is not None:
        return np.asarray(given[i])
    if targets is None:
        return space.gaussian(generator)
    assert callable(targets)
    drawn = as_real_array(targets(generator), "targets")
    if drawn.size != math.prod(space.shape) or drawn.shape not in (space.shape, space.shape[1:]):
        raise ValueError(f"`targets` must return shape {space.shape}, got {drawn.shape}")
    return drawn.reshape(space.shape)


# --- counting ---------------------------------------------------------------------------------------------------------


def _counted(space: Space, drawn: list[Vector], found: list[Found], confidence: float, seed: int, stopped: str) -> Bias:
    n = len(found)
    closest, trained = Counter(one.cell for one in found), Counter(one.trained for one in found)
    trains = n > 0 and not trained[""]

    def share(count: int) -> Share:
        return Share.of(count, n, confidence)

    def row(cell: Sizes | str) -> BiasRow:
        ends = share(trained[cell]) if trains else None
        if isinstance(cell, str):
            return BiasRow(cell, None, space.dimension if cell == "smooth" else None, share(closest[cell]), None, ends)
        stratum = space.stratum(cell)
        critical = share(sum(one.critical[cell] for one in found)) if cell in space.largest else None
        return BiasRow(space.name(cell), stratum, stratum.dimension, share(closest[cell]), critical, ends)

    cells = {*space.largest, *space.listed, *closest, *trained} - {"smooth", "undecided", ""}
    strata = [cell for cell in cells if isinstance(cell, tuple)]
    strata.sort(key=lambda sizes: (-space.stratum(sizes).dimension, sizes))
    words = sorted(cell for cell in cells if isinstance(cell, str))
    rows = [row("smooth"), *map(row, strata), *map(row, words)]
    return Bias(
        rows=tuple(rows),
        undecided=share(closest["undecided"]),
        undecided_trained=share(trained["undecided"]) if trains else None,
        n_samples=n,
        uncertain=sum(one.uncertain for one in found),
        targets=np.array(drawn).reshape(n, *space.shape),
        cells=tuple(one.cell if isinstance(one.cell, str) else space.name(one.cell) for one in found),
        losses=np.array([one.value for one in found]),
        seed=seed,
        stopped=stopped,
        model=space.words,
        dimension=space.dimension,
    )
