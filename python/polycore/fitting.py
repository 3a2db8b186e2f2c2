# SPDX-License-Identifier: BSD-3-Clause
"""Minimising a network's loss over its parameters: quasi-Newton, then Levenberg–Marquardt, then Newton steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _linalg
from ._validation import as_index, as_real, as_theta
from .errors import NumericalError
from .program import Add, Affine, MatMul, ParameterBlock, Program

if TYPE_CHECKING:
    from .loss import QDistance
    from .networks import Network

Vector = NDArray[np.float64]

# Quasi-Newton steps are cheap and take any start to the floor of a valley; Levenberg–Marquardt steps, each a
# least-squares problem, then walk along it; a few Newton steps finish where the residuals are too curved for that.
QUASI_NEWTON_STEPS = 400
NEWTON_STEPS = 30
# Up to so many parameters a dense Hessian, or its approximation, is no burden.
MAX_DENSE_PARAMS = 400
# A run has settled when a Gauss–Newton step promises less than this fraction of the scale.
SETTLED = 1e-12
# Stands for residuals and losses (scaled: of order one where they matter) that are out of all proportion.
HUGE = 1e50


@dataclass(frozen=True)
class Descent:
    """One optimiser run.

    Attributes
    ----------
    theta : (n_params,) array
        Where it ended: the point of least loss it met.
    loss : (n_steps + 1,) array
        The sum of squared errors (with the constant of the loss) at the start and after each step.
    promise : float
        Decrease of the loss that a Gauss–Newton step from ``theta`` promises, divided by the scale. Zero where the
        gradient is; unlike the gradient it does not depend on how the function is parametrised.
    settled : bool
        Whether ``promise`` is below 1e-12.
    n_evaluations : int
        Evaluations of the loss.
    """

    theta: Vector = field(repr=False)
    loss: Vector = field(repr=False)
    promise: float
    settled: bool
    n_evaluations: int

    @property
    def n_steps(self) -> int:
        """Number of optimiser steps."""
        return len(self.loss) - 1

    def __repr__(self) -> str:
        state = "settled" if self.settled else "not settled"
        return f"Descent(loss {self.loss[0]:.6g} → {self.loss[-1]:.6g} in {self.n_steps} steps, {state})"


class Fit:
    """The problem of fitting one network to one Q-distance, prepared for any number of descents.

    Parameters
    ----------
    loss : QDistance
        With a dense Gram matrix, for each output or joint, on the basis or the support of the network.
    network : Network
    scale : float
        Positive. The optimisers work on the loss divided by it, since their tolerances are absolute. The total sum of
        squares of the targets makes that the fraction of the variance that is not explained.

    Raises
    ------
    ValueError
        If ``scale`` is not positive.

    Notes
    -----
    With Q = FᵀF the loss is ‖F (c_f − t)‖² + constant, a least-squares problem with one residual for each coefficient
    instead of one for each sample.
    """

    def __init__(self, loss: QDistance, network: Network, scale: float = 1.0) -> None:
        self.scale = as_real(scale, "scale")
        if self.scale <= 0:
            raise ValueError(f"`scale` must be positive, got {scale}")
        self.loss = loss
        self.network = network
        self.objective = loss.compose(network)
        self._on_support = self.objective.on_support
        self._factor = loss.factor / np.sqrt(self.scale)
        # One vector of coefficients for each output, or with a joint metric a single one, output by output.
        self._n_vectors = 1 if loss.joint else network.n_outputs
        # MINPACK wants at least as many residuals as parameters; zeros change nothing.
        self._padding = np.zeros(max(0, network.n_params - self._n_vectors * len(self._factor)))
        self.n_residuals = self._n_vectors * len(self._factor) + len(self._padding)

    def descend(self, start: ArrayLike, max_steps: int = 1000) -> Descent:
        """Minimise from one start.

        Parameters
        ----------
        start : (n_params,) array-like
        max_steps : int
            Of all phases together; >= 1.

        Raises
        ------
        TypeError, ValueError
            If the start has the wrong length or is not finite, or ``max_steps`` is not a positive integer.
        """
        from scipy import optimize

        theta = as_theta(start, self.network.n_params, "start", finite=True).reshape(self.network.n_params)
        max_steps = as_index(max_steps, "max_steps", minimum=1)
        minimize: Any = optimize.minimize
        trace = _Trace(self)
        trace.record(theta)
        small = self.network.n_params <= MAX_DENSE_PARAMS
        options = {"gtol": 1e-9} if small else {"gtol": 1e-9, "ftol": 1e-14, "maxcor": 20}
        minimize(
            trace.value_and_gradient,
            theta,
            jac=True,
            method="BFGS" if small else "L-BFGS-B",
            callback=trace.record,
            options={"maxiter": min(max_steps, QUASI_NEWTON_STEPS), **options},
        )
        remaining = max_steps - trace.n_steps
        if remaining > 0 and trace.best_value < HUGE and self.promise(trace.best) > SETTLED:
            optimize.least_squares(
                trace.residuals,
                trace.best,
                jac=trace.residual_jacobian,
                method="lm",
                xtol=1e-14,
                ftol=1e-14,
                gtol=1e-13,
                max_nfev=remaining,
            )
        promise = self.promise(trace.best)
        remaining = min(max_steps - trace.n_steps, NEWTON_STEPS)
        if small and SETTLED < promise < HUGE and remaining > 0:
            minimize(
                trace.value,
                trace.best,
                jac=trace.gradient,
                hess=trace.hessian,
                method="trust-exact",
                callback=trace.record,
                options={"maxiter": remaining, "gtol": 1e-10, "initial_trust_radius": 0.1},
            )
            promise = self.promise(trace.best)
        losses = np.array(trace.values) * self.scale + self.loss.constant
        return Descent(trace.best, losses, promise, promise < SETTLED, trace.n_evaluations)

    def residuals(self, theta: Vector) -> Vector:
        """F (c_f − t) / √scale, output by output: their squares sum to the scaled Q-distance."""
        difference = np.asarray(self.network.expand(theta, support=self._on_support)) - self.loss.target
        vectors = difference.reshape(self._n_vectors, -1)
        return np.concatenate([(vectors @ self._factor.T).ravel(), self._padding])

    def residual_jacobian(self, theta: Vector) -> Vector:
        """Derivative of `residuals`, shape (n_residuals, n_params)."""
        n_params = self.network.n_params
        jacobian = np.asarray(self.network.jacobian(theta, support=self._on_support))
        jacobian = jacobian.reshape(self._n_vectors, -1, n_params)
        return np.vstack([(self._factor @ jacobian).reshape(-1, n_params), np.zeros((len(self._padding), n_params))])

    def promise(self, theta: Vector) -> float:
        """Squared length of the residuals' part that lies in the range of their Jacobian."""
        residuals, jacobian = self.residuals(theta), self.residual_jacobian(theta)
        left, singular_values, _ = _linalg.svd(jacobian)
        # The kernel along the fibres of the parametrisation shows up as singular values at rounding level.
        kept = singular_values > 1e-10 * singular_values[0]
        with np.errstate(over="ignore"):
            return float(np.sum((left[:, kept].T @ residuals) ** 2))


def scaled_starts(network: Network, loss: QDistance, target_square: float, rng: Any, n: int) -> Vector:
    """Random parameters whose function is as large as the target and correlates with it: the last layer is scaled.

    Parameters
    ----------
    network : Network
        Where the outputs are no linear function of last parameters (after an activation, or a skip connection to the
        end) the starts are not scaled.
    loss : QDistance
        Whose Q measures size.
    target_square : float
        Squared size of the target.
    rng : int or numpy Generator
    n : int
        Number of starts.

    Returns
    -------
    theta : (n, n_params) array

    Notes
    -----
    In a network of degree D a misjudged scale of the first weights enters with its D-th power, so unscaled starts can
    be off by many orders of magnitude, and the optimiser spends its steps on that. With even activations a unit whose
    sign is wrong can only be turned around through zero, where it has no gradient.
    """
    theta = np.array(network.random_params(rng=rng, batch=(n,)), dtype=np.float64)
    coef = np.asarray(network.expand(theta, support=loss.compose(network).on_support))
    weighted = loss.hessian_product(coef, coef) / 2
    sizes = np.sqrt(np.einsum("soa,soa->s", weighted, coef))
    usable = np.isfinite(sizes) & (sizes > 0)
    factors = (np.sqrt(target_square) / sizes[usable])[:, None]
    agreement = np.einsum("soa,oa->so", weighted, loss.target)[usable]
    for block in _last_blocks(network.program):
        # Output o is that of unit o modulo their number, the same unit at every position.
        n_units = block.shape[0]
        signs = np.where(agreement.reshape(-1, network.n_outputs // n_units, n_units).sum(axis=1) < 0, -1.0, 1.0)
        theta[usable, block.start : block.stop] *= np.repeat(signs * factors, block.size // n_units, axis=1)
    return theta


def _last_blocks(program: Program) -> list[ParameterBlock]:
    """Parameters in which the outputs are linear and without a constant: none if there are no such."""
    found: list[int] = []
    slots = [len(program.instructions)]
    while slots:
        instruction = program.instructions[slots[-1] - 1] if slots[-1] else None
        if isinstance(instruction, Affine):
            found.append(slots.pop() - 1)
        elif isinstance(instruction, Add):
            slots[-1:] = instruction.inputs
        elif isinstance(instruction, MatMul) and not instruction.transpose_right:
            slots[-1:] = [instruction.right]
        else:
            return []
    return [block for block in program.parameters if block.instruction in found]


def hessian_signature(hessian: Vector, gauss_newton: Vector) -> tuple[int, int, int]:
    """Numbers of positive, zero and negative eigenvalues of a Hessian.

    Parameters
    ----------
    hessian, gauss_newton : (n_params, n_params) arrays
        The second, positive semidefinite, sets the scale of each parameter.

    Notes
    -----
    Scaling parameters changes eigenvalues but not their signs (Sylvester), and unscaled they spread over more digits
    than a float64 has, since weights of different layers enter with different powers. Zero means below 1e-8 of the
    largest.
    """
    lengths = np.sqrt(np.maximum(gauss_newton.diagonal(), 0.0))
    lengths = np.where(lengths > 1e-12 * lengths.max(initial=0.0), lengths, 1.0)
    eigenvalues = _linalg.eigenvalues(hessian / lengths / lengths[:, None])
    tolerance = 1e-8 * float(np.abs(eigenvalues).max(initial=0.0))
    positive = int((eigenvalues > tolerance).sum())
    negative = int((eigenvalues < -tolerance).sum())
    return positive, len(eigenvalues) - positive - negative, negative


class _Trace:
    """The scaled objective as scipy's optimisers ask for it, piece by piece, with a record of the accepted steps."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._theta: Vector | None = None
        self._value = np.inf
        self._gradient: Vector = np.zeros(0)
        self.best_value = np.inf
        self.best: Vector = np.zeros(0)
        self.values: list[float] = []
        self.n_evaluations = 0

    @property
    def n_steps(self) -> int:
        return len(self.values) - 1

    def value_and_gradient(self, theta: Vector) -> tuple[float, Vector]:
        if self._theta is None or not np.array_equal(theta, self._theta):
            self.n_evaluations += 1
            self._theta = np.array(theta)
            try:
                value, gradient = self._fit.objective.value_and_gradient(self._theta)
                self._value = float(value) / self._fit.scale
                self._gradient = np.asarray(gradient) / self._fit.scale
            except NumericalError:
                # A step so long that the polynomial overflows: a huge value makes the line search come back.
                self._value, self._gradient = HUGE**2, np.zeros_like(self._theta)
        return self._value, self._gradient

    def value(self, theta: Vector) -> float:
        return self.value_and_gradient(theta)[0]

    def gradient(self, theta: Vector) -> Vector:
        return self.value_and_gradient(theta)[1]

    def hessian(self, theta: Vector) -> Vector:
        return np.asarray(self._fit.objective.hessian(theta)) / self._fit.scale

    def residuals(self, theta: Vector) -> Vector:
        self.n_evaluations += 1
        try:
            return np.clip(self._fit.residuals(theta), -HUGE, HUGE)
        except NumericalError:
            return np.full(self._fit.n_residuals, HUGE)

    def residual_jacobian(self, theta: Vector) -> Vector:
        # Levenberg–Marquardt asks for the Jacobian where it has accepted a step, and first where it starts.
        if not np.array_equal(theta, self.best):
            self.record(theta)
        return self._fit.residual_jacobian(theta)

    def record(self, theta: Vector) -> None:
        """Note one accepted step."""
        value = self.value(theta)
        self.values.append(value)
        if value <= self.best_value:
            self.best_value, self.best = value, np.array(theta)
