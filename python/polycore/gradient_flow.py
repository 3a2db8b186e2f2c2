# SPDX-License-Identifier: BSD-3-Clause
"""Gradient flow of a network's loss: the trajectory, the saddles it passes, what it conserves and where it ends.

θ̇ = −∇(L∘μ)(θ), of the loss as `NetworkLoss` has it: of the sum over samples, not the mean.

Legend: T points of the trajectory; P = n_params.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import stationary
from ._validation import as_index, as_real, as_real_array, check_choice, check_size, check_threads
from .conserved import ConservedQuantity, conserved_quantities
from .errors import NumericalError
from .network_loss import CoefficientLoss, NetworkLoss

if TYPE_CHECKING:
    from .critical_point import CriticalPoint
    from .networks import Network

__all__ = ["Conservation", "GradientFlow", "Passage", "gradient_flow"]

Vector = NDArray[np.float64]

METHODS = ("auto", "DOP853", "RK45", "Radau", "BDF", "LSODA")

# The explicit method is stable up to a step of about 6 / (largest eigenvalue); past this its steps are short for no
# other reason. The implicit one is left when its steps are so short that the explicit one can take them.
_STIFF, _NOT_STIFF = 4.0, 0.3
# Steps between two looks at that.
_STEPS_BETWEEN_LOOKS = 16
# ‖θ‖ relative to the start past which it has gone to infinity.
_FAR = 1e8
# θ that still grows at least like time to this power when the gradient is small goes to infinity. Going to a degenerate
# critical point instead, the change of θ per doubling of the time tends to zero.
_GROWTH = 0.02
# At a pole ‖θ‖ is at least so many times what it was at the start.
_GROWN = 10.0
# Near a saddle: where the gradient is this small against its scale, and has been and will be this many times larger.
_PASSAGE, _PROMINENCE = 0.1, 2.0
# The critical point passed is no further away than this fraction of θ.
_NEARBY = 0.5


@dataclass(frozen=True, eq=False)
class Conservation:
    """A conserved quantity along a trajectory.

    Attributes
    ----------
    quantity : ConservedQuantity
    values : ndarray, shape (T, *quantity.shape)
    drift : float
        Its largest change since the start, relative to the largest `ConservedQuantity.size` on the way.
    """

    quantity: ConservedQuantity
    values: Vector = field(repr=False)
    drift: float

    def __repr__(self) -> str:
        return f"Conservation({self.quantity.formula}, drift {self.drift:.1e})"


@dataclass(frozen=True)
class Passage:
    """A point of the trajectory where the gradient is small and grows again: it passes a saddle.

    Attributes
    ----------
    step : int
        The number of the point in ``GradientFlow.thetas``.
    time, loss, gradient_norm : float
    relative_gradient : float
        ``gradient_norm`` relative to `NetworkLoss.gradient_scale`.
    theta : ndarray, shape (P,)
    """

    step: int
    time: float
    loss: float
    gradient_norm: float
    relative_gradient: float
    theta: Vector = field(repr=False, compare=False)
    _objective: NetworkLoss = field(repr=False, compare=False)

    @cached_property
    def critical_point(self) -> CriticalPoint | None:
        """The critical point that is passed, found from here and classified; None if there is none nearby."""
        return _critical_point(self._objective, self.theta, ("stationary", "newton", "index"))


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """A trajectory of gradient flow.

    Attributes
    ----------
    times : ndarray, shape (T,)
        Of the steps of the integrator, from 0.
    thetas : ndarray, shape (T, P)
    losses : ndarray, shape (T,)
        With the constant of the loss: sums of squared errors.
    gradient_norms, relative_gradients : ndarray, shape (T,)
        The latter relative to `NetworkLoss.gradient_scale`.
    conserved : tuple of Conservation
        What the architecture conserves, see `polycore.conserved_quantities`, with its drift: errors of integration.
    passages : tuple of Passage
        Saddles passed.
    ended : str
        "critical point" (reached up to ``tol``), "diverged" (parameters go to infinity, or further than numbers reach),
        "time" (``t_max``), "steps" (``max_steps``, or the integrator finds no further step), "budget" (``time_budget``)
        or "interrupted" (Ctrl-C).
    reason : str
        More about the end.
    partial : bool
        Whether it was cut off: by steps, the budget or Ctrl-C.
    method : str
        Integrators used, in order.
    n_evaluations : int
        Of the gradient, by the integrators.
    n_hessians : int
    network : str
    """

    times: Vector = field(repr=False)
    thetas: Vector = field(repr=False)
    losses: Vector = field(repr=False)
    gradient_norms: Vector = field(repr=False)
    relative_gradients: Vector = field(repr=False)
    conserved: tuple[Conservation, ...]
    passages: tuple[Passage, ...]
    ended: str
    reason: str
    partial: bool
    method: str
    n_evaluations: int
    n_hessians: int
    network: str
    _objective: NetworkLoss = field(repr=False, compare=False)

    @property
    def theta(self) -> Vector:
        """The last parameters."""
        return np.asarray(self.thetas[-1])

    @property
    def loss(self) -> float:
        """The last loss."""
        return float(self.losses[-1])

    @cached_property
    def critical_point(self) -> CriticalPoint | None:
        """The critical point it goes to, polished by Newton steps and classified; None unless one was reached."""
        if self.ended != "critical point":
            return None
        return _critical_point(self._objective, self.theta, ("newton",))

    def __repr__(self) -> str:
        cut = ", partial" if self.partial else ""
        lines = [
            f"GradientFlow of {self.network}",
            f"  time       0 to {self.times[-1]:.4g} in {len(self.times) - 1} steps ({self.method}){cut}",
            f"  loss       {self.losses[0]:.6g} to {self.losses[-1]:.6g}",
            f"  ended      {self.ended}: {self.reason}",
        ]
        for passage in self.passages:
            lines.append(
                f"  passed     a saddle near loss {passage.loss:.6g} at time {passage.time:.4g}, "
                f"relative gradient {passage.relative_gradient:.1e}"
            )
        for conservation in self.conserved:
            lines.append(f"  conserved  {conservation.quantity.formula}, drift {conservation.drift:.1e}")
        return "\n".join(lines)


def gradient_flow(
    loss: CoefficientLoss,
    net: Network,
    theta0: ArrayLike,
    *,
    t_max: float = math.inf,
    tol: float = 1e-8,
    rtol: float = 1e-10,
    atol: float | None = None,
    method: str = "auto",
    max_steps: int = 20_000,
    time_budget: float | None = None,
    n_threads: int = 0,
) -> GradientFlow:
    """Follow θ̇ = −∇(L∘μ)(θ) from ``theta0`` to a critical point.

    Parameters
    ----------
    loss : QDistance, CrossEntropy or another CoefficientLoss
    net : Network
    theta0 : array_like, shape (P,)
        Where to start. From a critical point the flow does not move: to leave a saddle, start beside it.
    t_max : float
        Stop at this time; positive.
    tol : float
        Stop where ‖∇‖ ≤ tol · `NetworkLoss.gradient_scale`, or, since that vanishes too where weights go to zero, where
        ‖∇‖ ≤ tol² · its largest value so far; not negative, 0 for never.
    rtol, atol : float
        Tolerances of the integrator on θ, for each step. ``atol`` is by default 1e-3 · rtol times the largest entry of
        ``theta0``; rtol at least 1e-13.
    method : {"auto", "DOP853", "RK45", "Radau", "BDF", "LSODA"}
        One of scipy's integrators. "auto" takes the explicit one of order 8, and the implicit one of order 5 (Radau)
        where the flow is stiff, as near minima. Implicit ones have the exact Hessian for a Jacobian.
    max_steps : int
        Stop after so many steps.
    time_budget : float, optional
        Stop after so many seconds.
    n_threads : int
        0 means the default; results do not depend on it.

    Returns
    -------
    GradientFlow
        Of Ctrl-C what there is by then, with ``ended`` "interrupted".

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or value, or the network does not fit the loss.
    NumericalError
        If the loss overflows at ``theta0``.
    MemoryError, OverflowError
        If an implicit method is asked for and the dense Hessian would not fit; "auto" stays explicit then.

    Notes
    -----
    Steps near a minimum grow without bound, so times such as 1e9 are nothing unusual, and without ``t_max`` the flow
    ends at a critical point or goes to infinity. The latter happens where the infimum of the loss is not attained. Then
    gradients become small too, and θ grows like a power of time: where the gradient is small and ‖θ‖ grows like t^0.02
    or faster, t counted from when it was half as large, the end is called "diverged".

    The time to leave a saddle grows without bound as the start tends to it. Doubles near 1e20 are thousands apart, so a
    start at 1e-20 beside zero ends there, with "steps": go on from the ``theta`` of the result, where time begins anew.

    Convergence is exponential where the Hessian is positive definite across the fibre, else only like a power of time:
    a relative gradient of 1e-8 can be far from the critical point then.

    Examples
    --------
    >>> import polycore as pc
    >>> net = pc.MLP((2, 2, 1), activation=2)
    >>> loss = pc.QDistance.from_data([[1, 0], [0, 1], [1, 1], [1, -1]], [[1], [2], [4], [3]], net.basis)
    >>> flow = pc.gradient_flow(loss, net, [0.3, 0.1, -0.2, 0.4, 0.5, 0.6])
    >>> flow.ended, round(flow.loss, 6), max(c.drift for c in flow.conserved) < 1e-8
    ('critical point', 0.1, True)
    """
    objective = NetworkLoss(loss, net)
    check_choice(method, "method", METHODS)
    run = _Run(
        objective,
        start=as_real_array(theta0, "theta0", shape=(("n_params", objective.n_params),)),
        t_max=_positive(t_max, "t_max", finite=False),
        tol=as_real(tol, "tol", minimum=0.0),
        rtol=as_real(rtol, "rtol", minimum=1e-13),
        atol=None if atol is None else _positive(atol, "atol"),
        method=method,
        max_steps=as_index(max_steps, "max_steps", minimum=1),
        deadline=math.inf if time_budget is None else time.monotonic() + _positive(time_budget, "time_budget"),
        n_threads=check_threads(n_threads),
    )
    run.integrate()
    return run.result()


# --- integration ------------------------------------------------------------------------------------------------------


class _Run:
    """One integration; its points are collected as they come."""

    def __init__(
        self,
        objective: NetworkLoss,
        start: Vector,
        t_max: float,
        tol: float,
        rtol: float,
        atol: float | None,
        method: str,
        max_steps: int,
        deadline: float,
        n_threads: int,
    ) -> None:
        self.objective, self.t_max, self.tol, self.method = objective, t_max, tol, method
        self.max_steps, self.deadline, self.n_threads = max_steps, deadline, n_threads
        self.rtol = rtol
        self.atol = 1e-3 * rtol * float(np.abs(start).max(initial=0.0)) if atol is None else atol
        self.n_evaluations = self.n_hessians = 0
        self.points: list[tuple[float, Vector, float, float, float]] = []  # time, θ, value, ‖∇‖, scale
        self.methods: list[str] = []
        self.ended, self.reason = "", ""
        self.largest_scale = 0.0
        # What a loss is small against at a point where all terms of the gradient vanish.
        self.loss_scale = abs(float(objective.value(np.zeros(objective.n_params)))) or np.inf
        self.can_be_implicit = self._hessian_fits()
        self._record(0.0, start)

    def integrate(self) -> None:
        """Until something ends it, which is noted."""
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # steps that are too long are rejected
                while not self.ended:
                    self._integrate_by(self._next_method())
        except KeyboardInterrupt:
            self.ended, self.reason = "interrupted", "by Ctrl-C"

    def result(self) -> GradientFlow:
        """What was collected."""
        times, thetas, values, norms, scales = (np.array(column) for column in zip(*self.points))
        relative = np.divide(norms, scales, out=np.zeros_like(norms), where=norms > 0)
        losses = values + self.objective.constant
        return GradientFlow(
            times=times,
            thetas=thetas,
            losses=losses,
            gradient_norms=norms,
            relative_gradients=relative,
            conserved=tuple(_along(quantity, thetas) for quantity in conserved_quantities(self.objective.net)),
            passages=tuple(
                Passage(
                    i,
                    float(times[i]),
                    float(losses[i]),
                    float(norms[i]),
                    float(relative[i]),
                    thetas[i],
                    self.objective,
                )
                for i in _passages(norms, relative)
            ),
            ended=self.ended,
            reason=self.reason,
            partial=self.ended in ("steps", "budget", "interrupted"),
            method=", ".join(dict.fromkeys(self.methods)),
            n_evaluations=self.n_evaluations,
            n_hessians=self.n_hessians,
            network=repr(self.objective.net),
            _objective=self.objective,
        )

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _next_method(self) -> str:
        if self.method != "auto":
            return self.method
        return "Radau" if self.methods and self.methods[-1] == "DOP853" else "DOP853"

    def _integrate_by(self, method: str) -> None:
        """Steps of one integrator, until the end or until another does better."""
        from scipy import integrate
        from scipy.linalg import LinAlgWarning

        self._look()
        if self.ended:
            return
        self.methods.append(method)
        at, theta = self.points[-1][:2]
        options = {"jac": self._jacobian} if method in ("Radau", "BDF", "LSODA") else {}
        try:
            solver = getattr(integrate, method)(
                self._velocity, at, theta, self.t_max, rtol=self.rtol, atol=self.atol, **options
            )
            for n in range(1, self.max_steps + 1):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", LinAlgWarning)  # a singular matrix: the step is rejected
                    message = solver.step()
                if solver.status == "failed":
                    self._fail(message or "the integrator finds no step")
                    return
                self._record(solver.t, np.array(solver.y))
                self._look()
                if self.ended or (n % _STEPS_BETWEEN_LOOKS == 0 and self._changes(method, solver.step_size)):
                    return
        except NumericalError as error:
            self.ended, self.reason = "diverged", str(error)

    def _velocity(self, _: float, theta: Vector) -> Vector:
        """−∇; NaN, at which integrators try a shorter step, where it overflows."""
        self.n_evaluations += 1
        if not np.isfinite(theta).all():
            return np.full_like(theta, np.nan)
        try:
            return -self.objective.gradient(theta, n_threads=self.n_threads)
        except NumericalError:
            return np.full_like(theta, np.nan)

    def _jacobian(self, _: float, theta: Vector) -> Vector:
        self.n_hessians += 1
        return -self.objective.hessian(theta, n_threads=self.n_threads)

    def _changes(self, method: str, step: float) -> bool:
        """Whether "auto" goes on with the other integrator."""
        if self.method != "auto" or not self.can_be_implicit:
            return False
        largest = float(np.abs(np.linalg.eigvalsh(self._jacobian(0.0, self.points[-1][1]))).max())
        return step * largest > _STIFF if method == "DOP853" else step * largest < _NOT_STIFF

    def _hessian_fits(self) -> bool:
        n = self.objective.n_params
        implicit = self.method in ("Radau", "BDF", "LSODA")
        try:
            # Radau factorises a real and a complex matrix.
            check_size(6 * n * n, 8, "the Hessian of an implicit integrator", "use method='DOP853'")
        except (MemoryError, OverflowError):
            if implicit:
                raise
            return False
        return True

    # -- what ends it --------------------------------------------------------------------------------------------------

    def _record(self, t: float, theta: Vector) -> None:
        value, gradient = self.objective.value_and_gradient(theta, n_threads=self.n_threads)
        scale = float(self.objective.gradient_scale(theta))
        self.points.append((float(t), theta, float(value), float(np.linalg.norm(gradient)), scale))
        self.largest_scale = max(self.largest_scale, scale)

    def _look(self) -> None:
        """Whether this is the end."""
        t, theta, _, norm, scale = self.points[-1]
        size = float(np.linalg.norm(theta))
        vanishes = norm <= self.tol**2 * self.largest_scale and norm * size <= self.tol * self.loss_scale
        if norm == 0 or norm <= self.tol * scale or vanishes:
            self._settle(t, theta, norm, scale)
        elif size > _FAR * max(1.0, float(np.linalg.norm(self.points[0][1]))):
            self.ended, self.reason = "diverged", f"‖θ‖ = {size:.1e}"
        elif t >= self.t_max:
            self.ended, self.reason = "time", f"t_max={self.t_max:g}, relative gradient {norm / scale:.1e}"
        elif len(self.points) > self.max_steps:
            self.ended, self.reason = "steps", f"max_steps={self.max_steps}, relative gradient {norm / scale:.1e}"
        elif time.monotonic() > self.deadline:
            self.ended, self.reason = "budget", f"time_budget is used up, relative gradient {norm / scale:.1e}"

    def _fail(self, message: str) -> None:
        """No step is short enough: at a pole, or since times as late as this one are too far apart."""
        t, theta, _, norm, scale = self.points[-1]
        size = float(np.linalg.norm(theta))
        # A loss with a lower bound has no poles: ‖θ − θ0‖² <= t (L(θ0) − inf L), by Cauchy–Schwarz.
        if not np.isfinite(self.objective.lower_bound) and size > _GROWN * float(np.linalg.norm(self.points[0][1])):
            self.ended, self.reason = "diverged", f"‖θ‖ = {size:.1e}: {message}"
            return
        self.ended = "steps"
        gap = float(np.spacing(t))
        if gap * norm > self.rtol * size:
            self.reason = (
                f"doubles near the time {t:.2g} are {gap:.1g} apart, too far for steps of this accuracy; go on from "
                f"`theta`, where time begins anew; relative gradient {norm / scale:.1e}"
            )
        else:
            self.reason = f"{message.rstrip('.')}; relative gradient {norm / scale:.1e}"

    def _settle(self, t: float, theta: Vector, norm: float, scale: float) -> None:
        """The gradient is small: at a critical point, or on the way to infinity."""
        growth = 0.0
        relative = f"relative gradient {norm / scale if norm else 0.0:.1e}"
        if norm:
            growth = -self._time_of_growth() * float(theta @ self.objective.gradient(theta)) / float(theta @ theta)
        if growth < _GROWTH:
            self.ended, self.reason = "critical point", relative
        else:
            self.ended = "diverged"
            self.reason = f"θ grows like time^{growth:.2g} as the gradient vanishes; ‖θ‖ = {np.linalg.norm(theta):.3g}"

    def _time_of_growth(self) -> float:
        """Time since ‖θ‖ was half of what it is: what came before, such as waiting at a saddle, says nothing."""
        sizes = np.linalg.norm([theta for _, theta, *_ in self.points], axis=1)
        smaller = np.flatnonzero(sizes < 0.5 * sizes[-1])
        return self.points[-1][0] - (self.points[smaller[-1]][0] if len(smaller) else 0.0)


# --- what is seen on the way ------------------------------------------------------------------------------------------


def _along(quantity: ConservedQuantity, thetas: Vector) -> Conservation:
    values = np.asarray(quantity.value(thetas))
    size = float(np.max(quantity.size(thetas)))
    change = float(np.abs(values - values[0]).max())
    return Conservation(quantity, values, change / size if size else 0.0)


def _passages(norms: Vector, relative: Vector) -> Iterator[int]:
    """Where the gradient is least between two places where it is _PROMINENCE times larger, and small."""
    lowest = highest = 0
    falling = False
    for i in range(len(norms)):
        if falling:
            if norms[i] < norms[lowest]:
                lowest = i
            elif norms[i] > _PROMINENCE * norms[lowest]:
                if relative[lowest] <= _PASSAGE:
                    yield lowest
                falling, highest = False, i
        elif norms[i] > norms[highest]:
            highest = i
        elif _PROMINENCE * norms[i] < norms[highest]:
            falling, lowest = True, i


def _critical_point(objective: NetworkLoss, theta: Vector, methods: tuple[str, ...]) -> CriticalPoint | None:
    """The critical point to which the first of some searches leads that converges without going far."""
    from .critical_point import classify

    for method in methods:
        index = int((np.linalg.eigvalsh(objective.hessian(theta)) < 0).sum()) if method == "index" else None
        found = stationary.search(objective, theta[None], method, index=index)
        near = np.linalg.norm(found.theta[0] - theta) <= _NEARBY * np.linalg.norm(theta)
        if found.converged[0] and near:
            return classify(objective, found.theta[0], found_by=("gradient flow",))
    # Where the minimum is degenerate, Newton steps converge slowly, and the end of the flow is as good as theirs.
    return classify(objective, theta, found_by=("gradient flow",)) if methods == ("newton",) else None


def _positive(value: object, name: str, finite: bool = True) -> float:
    number = as_real(value, name, finite=finite)
    if not number > 0:
        raise ValueError(f"`{name}` must be positive, got {value}")
    return number
