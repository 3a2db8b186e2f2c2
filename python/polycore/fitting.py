# SPDX-License-Identifier: BSD-3-Clause
"""Minimising a network's loss over its parameters: quasi-Newton first, then Newton steps to the bottom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ._validation import as_index, as_real, as_theta
from .errors import NumericalError

Vector = NDArray[np.float64]

# Beyond this a Newton step (a Hessian of n_params² entries and its factorisations) costs more than it brings.
MAX_NEWTON_PARAMS = 400
# A point is called stationary when no parameter changes the loss by more than this fraction of `scale` per unit.
STATIONARY = 1e-6


class Objective(Protocol):
    """What `loss.compose(net)` offers and the descent needs."""

    def value_and_gradient(self, theta: Vector) -> tuple[Any, Any]: ...
    def hessian(self, theta: Vector) -> Any: ...


@dataclass(frozen=True)
class Descent:
    """One optimiser run.

    Attributes
    ----------
    theta : (n_params,) array
        Where it ended: the point of least loss it met.
    loss : (n_steps + 1,) array
        The objective at the start and after each step.
    gradient_norm : float
        Largest entry of the gradient at ``theta``, divided by the scale.
    stationary : bool
        Whether ``gradient_norm`` is below 1e-6.
    n_evaluations : int
        Evaluations of the objective and its gradient.
    """

    theta: Vector = field(repr=False)
    loss: Vector = field(repr=False)
    gradient_norm: float
    stationary: bool
    n_evaluations: int

    @property
    def n_steps(self) -> int:
        return len(self.loss) - 1

    def __repr__(self) -> str:
        state = "stationary" if self.stationary else "not stationary"
        return f"Descent(loss {self.loss[0]:.6g} → {self.loss[-1]:.6g} in {self.n_steps} steps, {state})"


def descend(objective: Objective, start: object, n_params: int, scale: float = 1.0, max_steps: int = 1000) -> Descent:
    """Minimise an objective from one start: L-BFGS-B, then trust-region Newton (scipy's ``trust-exact``).

    Parameters
    ----------
    objective : NetworkLoss
        As made by ``loss.compose(net)``.
    start : (n_params,) array-like
    n_params : int
    scale : float
        Positive; the objective is divided by it for the optimiser, whose tolerances are absolute. The total sum of
        squares of the targets makes it the fraction of variance that is not explained.
    max_steps : int
        Of both phases together.

    Raises
    ------
    ValueError
        If the start has the wrong length, or ``scale`` or ``max_steps`` is not positive.

    Notes
    -----
    Symmetries make the Hessian singular along the fibres everywhere, which plain Newton does not survive; the trust
    region does. Networks of more than 400 parameters are left where L-BFGS-B ends.
    """
    from scipy import optimize

    minimize: Any = optimize.minimize
    theta = as_theta(start, n_params, "start", finite=True).reshape(n_params)
    max_steps = as_index(max_steps, "max_steps", minimum=1)
    scale = as_real(scale, "scale")
    if scale <= 0:
        raise ValueError(f"`scale` must be positive, got {scale}")
    trace = _Trace(objective, scale)
    trace.record(theta)
    minimize(
        trace.value_and_gradient,
        theta,
        jac=True,
        method="L-BFGS-B",
        callback=trace.record,
        options={"maxiter": max_steps, "maxfun": 20 * max_steps, "ftol": 1e-14, "gtol": 1e-9, "maxcor": 20},
    )
    remaining = max_steps - (len(trace.losses) - 1)
    if n_params <= MAX_NEWTON_PARAMS and remaining > 0:
        minimize(
            trace.value,
            trace.best,
            jac=trace.gradient,
            hess=trace.hessian,
            method="trust-exact",
            callback=trace.record,
            options={"maxiter": min(remaining, 100), "gtol": 1e-10, "initial_trust_radius": 0.1},
        )
    gradient_norm = float(np.abs(trace.gradient(trace.best)).max())
    losses = np.array(trace.losses) * scale
    return Descent(trace.best, losses, gradient_norm, gradient_norm < STATIONARY, trace.n_evaluations)


def scaled_starts(net: Any, quadratic: Callable[[Vector], Any], target_square: float, rng: object, n: int) -> Vector:
    """Random parameters whose function is about as large as the target: the last layer is scaled to match.

    Parameters
    ----------
    net : network
        Its last instruction is an affine layer, the last parameters, in which the function is linear.
    quadratic : callable
        Squared size of coefficients, (n, n_outputs, n_monomials) → (n,).
    target_square : float
        Squared size of the target.
    rng, n
        Seed or generator, number of starts.

    Returns
    -------
    theta : (n, n_params) array

    Notes
    -----
    In a network of degree D a misjudged scale of the first weights enters with its D-th power, so unscaled starts can be
    off by many orders of magnitude, and the optimiser spends its steps on that.
    """
    theta = np.array(net.random_params(rng=rng, batch=(n,)), dtype=np.float64)
    last = net.n_outputs * (net.widths[-2] + bool(net.bias))
    squares = np.asarray(quadratic(net.expand(theta)))
    usable = np.isfinite(squares) & (squares > 0)
    theta[usable, -last:] *= np.sqrt(target_square / squares[usable])[:, None]
    return theta


def hessian_signature(hessian: NDArray[np.float64]) -> tuple[int, int, int]:
    """Numbers of positive, zero and negative eigenvalues of a Hessian; zero: below 1e-7 of the largest."""
    eigenvalues = np.linalg.eigvalsh(hessian)
    tolerance = 1e-7 * float(np.abs(eigenvalues).max(initial=0.0))
    positive = int((eigenvalues > tolerance).sum())
    negative = int((eigenvalues < -tolerance).sum())
    return positive, len(eigenvalues) - positive - negative, negative


class _Trace:
    """The objective over a scale, remembering the last point: scipy asks for value and gradient one by one."""

    def __init__(self, objective: Objective, scale: float) -> None:
        self._objective = objective
        self._scale = scale
        self._theta: Vector | None = None
        self._value = np.inf
        self._gradient: Vector = np.zeros(0)
        self.n_evaluations = 0
        self.losses: list[float] = []
        self.best: Vector = np.zeros(0)
        self._best_value = np.inf

    def value_and_gradient(self, theta: Vector) -> tuple[float, Vector]:
        if self._theta is None or not np.array_equal(theta, self._theta):
            self.n_evaluations += 1
            self._theta = np.array(theta)
            try:
                value, gradient = self._objective.value_and_gradient(self._theta)
                self._value, self._gradient = float(value) / self._scale, np.asarray(gradient) / self._scale
            except NumericalError:
                # A step so long that the polynomial overflows: a huge value makes the line search come back.
                self._value, self._gradient = 1e100, np.zeros_like(self._theta)
        return self._value, self._gradient

    def value(self, theta: Vector) -> float:
        return self.value_and_gradient(theta)[0]

    def gradient(self, theta: Vector) -> Vector:
        return self.value_and_gradient(theta)[1]

    def hessian(self, theta: Vector) -> Vector:
        return np.asarray(self._objective.hessian(theta)) / self._scale

    def record(self, theta: Vector) -> None:
        """Note one accepted step."""
        value = self.value(theta)
        self.losses.append(value)
        if value <= self._best_value:
            self._best_value, self.best = value, np.array(theta)


def n_reaching_best(finals: Sequence[float], scale: float) -> int:
    """How many runs ended within 1e-6 of the total sum of squares of the best one."""
    return int((np.asarray(finals) <= min(finals) + 1e-6 * scale).sum())
