# SPDX-License-Identifier: BSD-3-Clause
"""Stationary points of a function of the parameters from many starts at once.

Legend: ``B`` starts; ``P = n_params``; g the gradient and H = VΛVᵀ the Hessian at θ, eigenvalues λ ascending; κ a
damping.

All searches take steps δ = −V φ(Λ) Vᵀg and differ in φ alone:

============  ==========================================  =========================================================
"descent"     1 / (λ + 2 max(0, −λ₁) + κ)                 down in every direction, away from saddles: to minima
"stationary"  λ / (λ² + κ²)                               Levenberg–Marquardt on ½‖g‖²: to points of any index
"index"       −1 / (|λ| + κ), then 1 / (|λ| + κ)          up along the lowest eigenvectors, down along the others
"newton"      1 / λ where |λ| > τ, else 0                 Newton steps of least norm
============  ==========================================  =========================================================

κ is the least that keeps the step in a ball (trust region) whose radius follows how well steps were predicted. After a
good step the decomposition of H serves for up to three more, since gradients are cheap next to it (V. E. Shamanskii,
Ukrainian Math. J. 19 (1967) 118–122): in narrow curved valleys, where searches spend most of their time, that halves
the work.

The symmetries of a network make every stationary point one of a fibre of positive dimension, and H singular there.
Near a fibre the eigenvalues along it are of order ‖g‖/‖θ‖: for a symmetry with generator X, differentiating ⟨g, Xθ⟩ = 0
gives H Xθ = −Xᵀg. With κ and τ of that order, and τ never below what rounding makes of a zero eigenvalue, steps are
across the fibre, and convergence is quadratic although H is singular: Levenberg–Marquardt converges so under a local
error bound (N. Yamashita, M. Fukushima, Computing Suppl. 15 (2001) 239–249; J. Fan, Y. Yuan, Computing 74 (2005)
23–39). Every search ends with Newton steps of least norm, taken as long as they help.

Sources: J. J. Moré, D. C. Sorensen, SIAM J. Sci. Stat. Comput. 4 (1983) 553–572, for trust regions; C. J. Cerjan, W. H.
Miller, J. Chem. Phys. 75 (1981) 2800–2806, for following eigenvectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _backend, _validation
from ._quadratic import DenseMetric, JointMetric
from .errors import NumericalError
from .network_loss import NetworkLoss

__all__ = ["Objective", "Search", "search"]

Vector = NDArray[np.float64]

METHODS = ("descent", "stationary", "index", "newton")

# Rows that go through the reference together, and starts between two looks at should_stop().
_CHUNK, _STARTS_BETWEEN_LOOKS = 64, 512
# An eigenvalue below this fraction of the largest is not told from zero: rounding, with room for the accumulated sums.
_ZERO = 1e-12
# Newton steps are tried where the gradient is this small relative to its scale, later (times _LATER) if one fails.
_NEAR, _LATER = 1e-2, 1e-2
# A step of a Newton search that is this many times shorter than the full one and no better is the last.
_SHORTEST = 1e-4
# A radius of this fraction of θ is lost in rounding.
_SHORTEST_RADIUS = 1e-14
# Steps between two looks at whether a search gets anywhere, and what that means for gradient and value.
_PATIENCE, _PROGRESS, _VALUE_PROGRESS = 24, 0.5, 1e-3
# Steps after the tolerance is met, each of which must at least halve the gradient.
_FINISHING = 12
# Sizes of θ relative to the start at which it is taken to diverge or to vanish: then θ = 0 is tried.
_FAR, _VANISHED = 1e8, 1e-6
# Entries of θ below this fraction of the largest become zero.
_NOTHING = 1e-60
# Newton steps outwards that are longer than this, relative to θ, lead on.
_SETTLED = 1e-2
# Components of the gradient below this fraction of its scale are rounding.
_NOISE = 1e-14
# Radius of the ball that steps stay in, relative to θ: at first, and at most; in searches of "index" always.
_FIRST_RADIUS, _LARGEST_RADIUS, _INDEX_RADIUS = 0.5, 10.0, 0.3
# The least damping, in units of ‖g‖/‖θ‖, and bisections for the one that belongs to a radius.
_LEAST_DAMPING, _BISECTIONS = 1e-3, 12
# Steps with the decomposition of an earlier one, and the share of the predicted gain that allows the next.
_REUSES, _GOOD_GAIN = 3, 0.1


class Objective(Protocol):
    """A function of parameters θ (..., P) whose stationary points can be searched; a `NetworkLoss` is one."""

    @property
    def n_params(self) -> int:
        """P."""

    def value_and_gradient(self, theta: Vector) -> tuple[Any, Vector]:
        """Values (...) and gradients (..., P); NumericalError where one overflows."""

    def hessian(self, theta: Vector) -> Vector:
        """Hessians (..., P, P)."""

    def gradient_scale(self, theta: Vector) -> Any:
        """The sizes (...) that gradients are small or large against: of the terms that cancel in them."""


@dataclass(frozen=True, eq=False)
class Search:
    """Where the searches of one call ended.

    Attributes
    ----------
    method : str
    tol : float
    theta : (B, P) array
        The last points, those of least gradient for members that have converged.
    value, gradient_norm, scale : (B,) arrays
        There; NaN for members that were not begun or started where the objective is not finite.
    converged : (B,) bool array
        ``gradient_norm <= tol * scale``, and the parameters were not on their way to infinity.
    n_steps : (B,) int array
        Steps tried with a Hessian of their own.
    stopped : bool
        Whether ``should_stop`` ended the search early: then some members are where they started.
    """

    method: str
    tol: float
    theta: Vector = field(repr=False)
    value: Vector = field(repr=False)
    gradient_norm: Vector = field(repr=False)
    scale: Vector = field(repr=False)
    converged: NDArray[np.bool_] = field(repr=False)
    n_steps: NDArray[np.int64] = field(repr=False)
    stopped: bool = False

    def __len__(self) -> int:
        return len(self.theta)

    def __repr__(self) -> str:
        state = f"{int(self.converged.sum()):,} of {len(self):,} converged"
        steps = f", {int(self.n_steps.sum()):,} steps" if len(self) else ""
        return f"Search({self.method!r}, tol={self.tol:g}): {state}{steps}{', stopped early' if self.stopped else ''}"


def search(
    objective: Objective,
    starts: ArrayLike,
    method: str,
    *,
    tol: float = 1e-10,
    max_steps: int = 200,
    n_threads: int = 0,
    index: ArrayLike | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Search:
    """Search stationary points from many starts, each on its own.

    Parameters
    ----------
    objective : Objective
        A `NetworkLoss`, or any object with ``n_params``, ``value_and_gradient``, ``hessian`` and ``gradient_scale``
        that are batched over leading axes of θ.
    starts : array_like, shape (B, P)
    method : {"descent", "stationary", "index", "newton"}
        See the module notes. "descent" needs a function that is bounded below to be sure to end somewhere; "newton" is
        for points that are nearly stationary already.
    tol : float
        Positive. A member has converged when ‖g‖ ≤ tol · ``gradient_scale(θ)``; it then takes further Newton steps as
        long as they halve ‖g‖, which goes down to rounding level where convergence is quadratic.
    max_steps : int
        Steps tried per member with a Hessian of their own, those after the tolerance is met not counted.
    n_threads : int
        0 means the default. Results do not depend on it, nor on which starts are searched together.
    index : int or array_like of int, shape (B,)
        For "index": how many of the lowest eigenvectors are followed upwards, from 0 to P.
    should_stop : callable, optional
        Asked between blocks of starts; what is done is returned when it says True.

    Returns
    -------
    Search
        Members that diverge, overflow or get stuck have ``converged`` False.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or value.
    MemoryError, OverflowError
        If a dense Hessian would not fit.

    Notes
    -----
    A step costs a value and gradient, and mostly a Hessian and its eigenvalue decomposition, O(P³).
    Convergence is quadratic at points where H is nonsingular across the fibre, linear at others. Towards θ = 0 the
    scale vanishes with the gradient, so that point is tried exactly when θ becomes small.

    Examples
    --------
    >>> import polycore as pc
    >>> net = pc.MLP((2, 1, 1), activation=2)
    >>> loss = pc.QDistance.from_data([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0], [2.0], [3.0]], net.basis)
    >>> found = search(loss.compose(net), net.random_params(rng=0, batch=(8,)), "descent")
    >>> int(found.converged.sum()), sorted(set(found.value.round(3).tolist()))  # one unit died
    (8, [0.715, 14.0])
    """
    n_params = _n_params(objective)
    points = _validation.as_real_array(starts, "starts", shape=("B", ("n_params", n_params)))
    _validation.check_choice(method, "method", METHODS)
    tol = _validation.as_real(tol, "tol")
    if tol <= 0:
        raise ValueError(f"`tol` must be positive, got {tol}")
    max_steps = _validation.as_index(max_steps, "max_steps", minimum=0)
    n_threads = _validation.check_threads(n_threads)
    upwards = _as_index(index, method, *points.shape)
    _validation.check_size(_CHUNK * n_params**2, 8, "dense Hessians", "use optimisers that need Hessian products only")

    compiled = _compiled(objective)
    result = _untouched(points)
    stopped = False
    step = len(points) if should_stop is None else _STARTS_BETWEEN_LOOKS
    for first in range(0, len(points), max(step, 1)):
        if should_stop is not None and should_stop():
            stopped = True
            break
        rows = slice(first, first + step)
        if compiled is None:
            _search_reference(objective, method, tol, max_steps, upwards[rows], _rows(result, rows))
        else:
            found = compiled(
                points[rows], upwards[rows] if method == "index" else upwards[:0], method, tol, max_steps, n_threads
            )
            for array, values in zip(result, found, strict=True):
                array[rows] = values
    return Search(method, tol, *result, stopped=stopped)


def _n_params(objective: Objective) -> int:
    wanted = ("n_params", "value_and_gradient", "hessian", "gradient_scale")
    missing = [name for name in wanted if not hasattr(objective, name)]
    if missing:
        raise TypeError(
            f"`objective` must have {', '.join(wanted)}, got {type(objective).__name__} without {', '.join(missing)}"
        )
    return _validation.as_index(objective.n_params, "objective.n_params", minimum=1)


def _compiled(objective: Objective) -> Callable[..., tuple[Any, ...]] | None:
    """The search in the core, for a compiled network and a dense metric."""
    kernels: Any = _backend.kernels()
    if not hasattr(kernels, "search_stationary") or not isinstance(objective, NetworkLoss):
        return None
    metric = getattr(objective.loss, "_metric", None)
    engine = objective.net.program.engine
    if not isinstance(metric, (DenseMetric, JointMetric)) or not isinstance(engine, kernels.Program):
        return None
    flat = metric.flat if isinstance(metric, JointMetric) else metric

    def run(starts: Vector, index: NDArray[np.int64], *how: Any) -> tuple[Any, ...]:
        sizes = (flat.norm, flat.pull)
        found: tuple[Any, ...] = kernels.search_stationary(
            engine, flat.gram, metric.target, *sizes, starts, index, *how, objective._on_support
        )
        return found

    return run


def _as_index(index: ArrayLike | None, method: str, n_starts: int, n_params: int) -> NDArray[np.int64]:
    if method != "index":
        if index is not None:
            raise ValueError(f"`index` is for method 'index' alone, got {index!r} with method {method!r}")
        return np.zeros(n_starts, dtype=np.int64)
    if index is None:
        raise ValueError("`index` must be given with method 'index', got None")
    entries = np.asarray(index)
    if entries.ndim == 0:
        return np.full(n_starts, _validation.as_index(index, "index", minimum=0, maximum=n_params))
    if entries.dtype.kind not in "iu" or entries.shape != (n_starts,):
        raise ValueError(
            f"`index` must be an integer or integers of shape (B={n_starts},), got {entries.dtype} of shape "
            f"{entries.shape}"
        )
    if entries.size and not 0 <= entries.min() <= entries.max() <= n_params:
        raise ValueError(f"`index` must be from 0 to n_params={n_params}, got {entries.min()} to {entries.max()}")
    return entries.astype(np.int64)


# -- the reference ----------------------------------------------------------------------------------------------------

_Arrays = tuple[Vector, Vector, Vector, Vector, NDArray[np.bool_], NDArray[np.int64]]


def _untouched(starts: Vector) -> _Arrays:
    """θ, value, gradient_norm, scale, converged and n_steps of members that have not begun."""
    n = len(starts)
    nowhere = [np.full(n, np.nan) for _ in range(3)]
    return starts.copy(), *nowhere, np.zeros(n, dtype=bool), np.zeros(n, dtype=np.int64)  # type: ignore[return-value]


def _rows(arrays: _Arrays, rows: slice) -> _Arrays:
    return tuple(array[rows] for array in arrays)  # type: ignore[return-value]


def _search_reference(
    objective: Objective, method: str, tol: float, max_steps: int, index: NDArray[np.int64], result: _Arrays
) -> None:
    """Search from ``result``'s θ and write there: the readable definition, for any objective."""
    for first in range(0, len(index), _CHUNK):
        rows = slice(first, first + _CHUNK)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is seen by its NaN
            _Members(objective, method, tol, max_steps, index[rows], _rows(result, rows)).run()


class _Members:
    """Some members that advance together; those that are done leave.

    A member is at θ with value f, gradient g, decomposed Hessian and scale of the gradient. In each round it tries one
    step. If the step is accepted, the member moves, else it will try a shorter one. After a good step the decomposition
    serves for the next one too.
    """

    def __init__(
        self,
        objective: Objective,
        method: str,
        tol: float,
        max_steps: int,
        index: NDArray[np.int64],
        result: _Arrays,
    ) -> None:
        self._objective = objective
        self._method = method
        self._tol = tol
        self._max_steps = max_steps
        self._result = result
        n = len(index)
        self.id = np.arange(n)
        self.index = index
        self.theta = result[0].copy()
        self.value, self.gradient = self._evaluate(self.theta)
        self.norm = np.linalg.norm(self.gradient, axis=1)
        self.start = self._size()
        self.radius = self._largest_radius() * (1.0 if method == "index" else _FIRST_RADIUS / _LARGEST_RADIUS)
        self.bounded = np.zeros(n, dtype=bool)  # whether the radius bounded the last step
        self.age = np.zeros(n, dtype=np.int64)  # steps since the Hessian was made
        self.fraction = np.ones(n)  # of Newton steps
        self.near = np.full(n, np.inf if method == "newton" else _NEAR)
        self.finishing = np.zeros(n, dtype=np.int64)
        self.steps = np.zeros(n, dtype=np.int64)
        self.drift = np.zeros(n)  # see _drift
        self.mark_ratio = np.full(n, np.inf)
        self.mark_value = np.full(n, np.finfo(np.float64).max)
        self.gain = np.zeros(n)
        self.coordinates = self.step = np.zeros_like(self.theta)
        self.finite = np.isfinite(self.norm)
        self.scale = np.full(n, np.nan)
        self.eigenvalues, self.along = np.zeros_like(self.theta), np.zeros_like(self.theta)
        self.vectors = np.zeros((n, *self.theta.shape[1:] * 2))
        self._leave(~self.finite)
        self._decompose(np.arange(len(self.id)))

    def run(self) -> None:
        """Steps until all members have left."""
        self._leave(self._is_done())
        while len(self.id):
            newton = self._tries_newton()
            self.coordinates = np.where(newton[:, None], self._newton_step(), self._own_step())
            self.step = (self.vectors @ self.coordinates[..., None])[..., 0]
            vanishing = self._size() < _VANISHED * self.start
            trial = np.where(vanishing[:, None], 0.0, _flushed(self.theta + self.step))
            value, gradient = self._evaluate(trial)
            norm = np.linalg.norm(gradient, axis=1)
            accepted = np.where(newton, self._helps(norm), self._is_better(value, gradient, norm))
            accepted = np.where(vanishing, norm == 0, accepted)
            self.finite &= accepted | ~vanishing
            self._adapt(newton, accepted)
            self._move(accepted, trial, value, gradient, norm)
            self._renew(newton, accepted)
            self._leave(self._is_done())

    # -- steps --------------------------------------------------------------------------------------------------------

    def _tries_newton(self) -> NDArray[np.bool_]:
        """Where the next step is a Newton step: nearly stationary, and of the index that is sought."""
        near = self.norm <= self.near * self.scale
        if self._method in ("descent", "index"):
            near &= (self.eigenvalues < -self._threshold()[:, None]).sum(axis=1) == self.index
        return np.asarray(near | self._meets())

    def _unit(self) -> Vector:
        """‖g‖/‖θ‖, the order of the eigenvalues along fibres."""
        size = self._size()
        return np.asarray(self.norm / np.where(size > 0, size, 1.0))

    def _size(self) -> Vector:
        return np.asarray(np.linalg.norm(self.theta, axis=1))

    def _threshold(self) -> Vector:
        """τ: eigenvalues up to here belong to the fibre, but never the larger half of them."""
        largest = self._largest()
        return np.asarray(np.maximum(_ZERO * largest, np.minimum(self._unit(), 1e-3 * largest)))

    def _largest(self) -> Vector:
        return np.asarray(np.abs(self.eigenvalues[:, [0, -1]]).max(axis=1))

    def _newton_step(self) -> Vector:
        """In the coordinates of the eigenvectors, like `_own_step`."""
        kept = np.abs(self.eigenvalues) > self._threshold()[:, None]
        inverse = np.where(kept, 1.0 / np.where(kept, self.eigenvalues, 1.0), 0.0)
        return np.asarray(-self.fraction[:, None] * inverse * self.along)

    def _own_step(self) -> Vector:
        """With the least damping that keeps it in the ball."""
        low = np.maximum(_LEAST_DAMPING * self._unit(), _ZERO * self._largest() + np.finfo(np.float64).tiny)
        self.bounded = np.linalg.norm(self._damped(low), axis=1) > self.radius
        high = np.maximum(low, np.linalg.norm(self.along, axis=1) / np.where(self.radius > 0, self.radius, 1.0))
        high = np.where(self.bounded, high, low)
        for _ in range(_BISECTIONS):
            middle = np.sqrt(low) * np.sqrt(high)
            too_long = np.linalg.norm(self._damped(middle), axis=1) > self.radius
            low, high = np.where(too_long, middle, low), np.where(too_long | ~self.bounded, high, middle)
        return self._damped(high)

    def _damped(self, damping: Vector) -> Vector:
        damping = damping[:, None]
        if self._method == "descent":
            # Along the lowest eigenvector, if its eigenvalue is negative, as fast as if it were positive.
            shift = np.maximum(0.0, -2.0 * self.eigenvalues[:, :1])
            return np.asarray(-self.along / (self.eigenvalues + shift + damping))
        if self._method == "stationary":
            ratio = self.eigenvalues / damping  # its square neither overflows nor underflows
            return np.asarray(-ratio / (ratio**2 + 1.0) / damping * self.along)
        step = -self.along / (np.abs(self.eigenvalues) + damping)
        step[np.arange(step.shape[1]) < self.index[:, None]] *= -1.0
        return np.asarray(step)

    # -- acceptance ---------------------------------------------------------------------------------------------------

    def _helps(self, norm: Vector) -> NDArray[np.bool_]:
        """Whether a Newton step is taken: the gradient falls, and once it is small enough by half."""
        wanted = np.where(self._meets(), 0.5, 1.0 - 0.25 * self.fraction)
        return np.asarray((norm <= wanted * self.norm) & (norm < self.norm))

    def _is_better(self, value: Vector, gradient: Vector, norm: Vector) -> NDArray[np.bool_]:
        """Whether a step of the method is taken, with the gain it brought of the gain that was predicted."""
        left = self.along + self.eigenvalues * self.coordinates  # the gradient of the quadratic model
        if self._method == "index":
            self.gain = np.where(norm <= 4.0 * self.norm, 1.0, 0.0)
            return np.asarray(self.gain > 0.0)
        if self._method == "stationary":
            predicted = (self.along**2 - left**2).sum(axis=1)
            actual = self.norm**2 - norm**2
        else:
            predicted = -(0.5 * (self.along + left) * self.coordinates).sum(axis=1)
            actual = self.value - value
            # Where values differ by rounding alone, the gradients at both ends tell the difference.
            close = np.abs(predicted) <= 1e-9 * np.abs(self.value)
            actual = np.where(close, -0.5 * ((self.gradient + gradient) * self.step).sum(axis=1), actual)
        self.gain = actual / np.where(predicted > 0, predicted, 1.0)
        return np.asarray((self.gain > 1e-4) & np.isfinite(norm))

    def _adapt(self, newton: NDArray[np.bool_], accepted: NDArray[np.bool_]) -> None:
        """Radius, fraction and counts after a step was tried; that one failed with an old Hessian says nothing."""
        fresh = self.age == 0
        self.steps += fresh
        meets = self._meets()
        self.finishing = np.where(meets, np.where(accepted, self.finishing + 1, _FINISHING), self.finishing)
        self.drift = np.where(meets, self._drift(), self.drift)
        length = np.linalg.norm(self.step, axis=1)
        own, failed = ~newton & (fresh | accepted), newton & ~accepted
        self.radius[own & accepted & (self.gain > 0.75) & self.bounded] *= 2.0
        shorter = own & accepted & ~(self.gain > 0.25)
        self.radius[shorter] = 0.5 * length[shorter]
        self.radius[own & ~accepted] = 0.25 * length[own & ~accepted]
        self.radius = np.where(own, np.minimum(self.radius, self._largest_radius()), self.radius)
        if self._method == "newton":
            self.fraction[failed] *= 0.25
            self.fraction[newton & accepted] = np.minimum(1.0, 4.0 * self.fraction[newton & accepted])
        else:
            self.near[failed] = _LATER * self.norm[failed] / self.scale[failed]

    def _drift(self) -> Vector:
        """The length of a Newton step relative to θ, negative if it goes inwards.

        No eigenvalue is dropped, but components of the gradient that are rounding.
        """
        counts = (np.abs(self.along) > _NOISE * self.scale[:, None]) & (self.eigenvalues != 0)
        coordinates = np.where(counts, -self.along / np.where(counts, self.eigenvalues, 1.0), 0.0)
        outwards = (coordinates * (self.theta[:, None, :] @ self.vectors)[:, 0]).sum(axis=1)
        size = self._size()
        return np.asarray(np.sign(outwards) * np.linalg.norm(coordinates, axis=1) / np.where(size > 0, size, 1.0))

    def _largest_radius(self) -> Vector:
        size = self._size()
        return np.asarray(
            (_INDEX_RADIUS if self._method == "index" else _LARGEST_RADIUS) * np.where(size > 0, size, 1.0)
        )

    def _move(self, rows: NDArray[np.bool_], theta: Vector, value: Vector, gradient: Vector, norm: Vector) -> None:
        self.theta[rows], self.value[rows] = theta[rows], value[rows]
        self.gradient[rows], self.norm[rows] = gradient[rows], norm[rows]

    def _renew(self, newton: NDArray[np.bool_], accepted: NDArray[np.bool_]) -> None:
        """New Hessians, except where the old one will do for the next step."""
        near = self._meets() | (self.norm <= self.near * self.scale)
        reuses = accepted & ~newton & ~near & (self.age < _REUSES) & (self.gain > _GOOD_GAIN)
        reuses &= self.steps < self._max_steps
        self.along[reuses] = (self.gradient[reuses][:, None, :] @ self.vectors[reuses])[:, 0]
        self.age[reuses] += 1
        self._decompose(np.flatnonzero((accepted | (self.age > 0)) & ~reuses))

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _meets(self) -> NDArray[np.bool_]:
        return np.asarray(self.norm <= self._tol * self.scale)

    def _is_done(self) -> NDArray[np.bool_]:
        lost = (self._size() > _FAR * np.maximum(self.start, 1.0)) | ~self.finite
        finished = (self.norm == 0) | (self._meets() & (self.finishing >= _FINISHING))
        stuck = ~self._meets() & ((self.steps >= self._max_steps) | self._is_stuck())
        return np.asarray(lost | finished | stuck)

    def _is_stuck(self) -> NDArray[np.bool_]:
        """Whether steps are so short, or so many without effect, that nothing will come of it."""
        stuck = (self.fraction < _SHORTEST) | (self.radius <= _SHORTEST_RADIUS * self._size())
        if self._method == "stationary":
            # A minimum of ‖g‖ that is not zero: its gradient Hg vanishes and g does not.
            pull = np.linalg.norm(self.eigenvalues * self.along, axis=1)
            stuck |= pull <= 1e-8 * self._largest() * self.norm
        due = (self.age == 0) & (self.steps > 0) & (self.steps % _PATIENCE == 0)
        ratio = self.norm / np.where(self.scale > 0, self.scale, 1.0)
        better = ratio < _PROGRESS * self.mark_ratio
        if self._method == "descent":
            better |= self.value < self.mark_value - _VALUE_PROGRESS * np.abs(self.mark_value)
        stuck |= due & ~better
        self.mark_ratio[due] = np.minimum(self.mark_ratio, ratio)[due]
        self.mark_value[due] = self.value[due]
        return np.asarray(stuck)

    def _leave(self, done: NDArray[np.bool_]) -> None:
        """Write members that are done into the result, and go on with the others."""
        theta, value, norms, scales, converged, n_steps = self._result
        at = self.id[done]
        theta[at], value[at], norms[at], n_steps[at] = (
            self.theta[done],
            self.value[done],
            self.norm[done],
            self.steps[done],
        )
        scales[at] = self.scale[done]
        # Where an infimum is not attained, Newton steps go outwards and are as long as θ.
        settled = self.drift[done] < _SETTLED
        converged[at] = ((self._meets()[done] & settled) | (self.norm[done] == 0)) & self.finite[done]
        staying = ~done
        for name, array in vars(self).items():
            if isinstance(array, np.ndarray) and name != "_result":
                setattr(self, name, array[staying])

    # -- the objective ------------------------------------------------------------------------------------------------

    def _decompose(self, rows: NDArray[np.intp]) -> None:
        """Eigenvalues and eigenvectors of the Hessian, and the scale of the gradient, at these members."""
        at = self.theta[rows]
        hessians, scales = self._hessians(at)
        finite = np.isfinite(hessians).all(axis=(1, 2)) & np.isfinite(scales)
        eigenvalues, vectors = np.linalg.eigh(np.where(finite[:, None, None], hessians, 0.0))
        along = (self.gradient[rows][:, None, :] @ vectors)[:, 0]
        self.scale[rows], self.finite[rows] = scales, finite
        self.eigenvalues[rows], self.vectors[rows], self.along[rows] = eigenvalues, vectors, along
        self.age[rows] = 0

    def _hessians(self, theta: Vector) -> tuple[Vector, Vector]:
        n, n_params = theta.shape
        if not n:
            return np.empty((0, n_params, n_params)), np.empty(0)
        try:
            return np.asarray(self._objective.hessian(theta)), np.asarray(self._objective.gradient_scale(theta))
        except NumericalError:
            if n == 1:
                return np.full((1, n_params, n_params), np.nan), np.full(1, np.nan)
            halves = [self._hessians(half) for half in np.array_split(theta, 2)]
            return np.concatenate([h for h, _ in halves]), np.concatenate([s for _, s in halves])

    def _evaluate(self, theta: Vector) -> tuple[Vector, Vector]:
        """Values and gradients; NaN where they, or the parameters, are not finite."""
        value, gradient = np.full(len(theta), np.nan), np.full(theta.shape, np.nan)
        possible = np.flatnonzero(np.isfinite(theta).all(axis=1))
        pending = [possible] if len(possible) else []
        while pending:
            rows = pending.pop()
            try:
                value[rows], gradient[rows] = self._objective.value_and_gradient(theta[rows])
            except NumericalError:
                pending += [half for half in np.array_split(rows, 2) if len(rows) > 1]
        return value, gradient


def _flushed(theta: Vector) -> Vector:
    """Entries that are nothing next to others as zeros: where units die, they would underflow step by step."""
    return np.where(np.abs(theta) < _NOTHING * np.abs(theta).max(axis=1, keepdims=True), 0.0, theta)
