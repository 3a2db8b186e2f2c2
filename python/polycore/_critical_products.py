# SPDX-License-Identifier: BSD-3-Clause
"""Stationary points of networks too large for dense Hessians, one start after the other, by products alone.

Legend: ``B`` starts; ``P = n_params``; g the gradient and H the Hessian at θ, which is only multiplied with vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import NumericalError
from .stationary import Search

Vector = NDArray[np.float64]

# Quasi-Newton iterations for each step that the caller allows; products of one linear solve; halvings of a step.
_ITERATIONS_A_STEP, _MAX_PRODUCTS, _HALVINGS = 10, 300, 12
_HUGE = 1e100
# Newton steps begin where the gradient has fallen to this fraction of its scale, on the way down and elsewhere.
_LOW, _NEAR = 1e-6, 1e-3


class _Stop(Exception):
    """The caller wants to stop."""


class _Searcher:
    """One search: θ, what is known there, and what it has cost."""

    def __init__(self, objective: Any, tol: float, should_stop: Callable[[], bool] | None) -> None:
        self._objective, self._tol, self._should_stop = objective, tol, should_stop
        self.cost = 0

    def begin(self, theta: Vector) -> None:
        """Move to a point."""
        self.theta = theta.copy()
        self.value, self.gradient = self._evaluate(theta)
        self.norm = float(np.linalg.norm(self.gradient))
        self.scale = self._scale()

    def _evaluate(self, theta: Vector) -> tuple[float, Vector]:
        if self._should_stop is not None and self._should_stop():
            raise _Stop
        self.cost += 1
        try:
            value, gradient = self._objective.value_and_gradient(theta)
        except (NumericalError, ValueError):  # so far out that it overflows
            return _HUGE, np.zeros_like(theta)
        return float(value), np.asarray(gradient)

    def _scale(self) -> float:
        try:
            return float(self._objective.gradient_scale(self.theta))
        except NumericalError:
            return np.inf

    def product(self, v: Vector) -> Vector:
        """H v at θ."""
        if self._should_stop is not None and self._should_stop():
            raise _Stop
        self.cost += 1
        return np.asarray(self._objective.hessian_product(self.theta, np.ascontiguousarray(v).reshape(-1)))

    @property
    def converged(self) -> bool:
        return self.value < _HUGE and (self.norm <= self._tol * self.scale or self.norm == 0.0)

    # -- methods ------------------------------------------------------------------------------------------------------

    def descend(self, max_steps: int) -> None:
        """Quasi-Newton steps downwards (R. Byrd, P. Lu, J. Nocedal, C. Zhu, SIAM J. Sci. Comput. 16 (1995) 1190)."""
        from scipy import optimize

        unit = max(abs(self.value), np.finfo(float).tiny)
        near = _LOW * self.scale / unit

        def scaled(theta: Vector) -> tuple[float, Vector]:
            value, gradient = self._evaluate(theta)
            return value / unit, gradient / unit

        minimize: Any = optimize.minimize
        done = minimize(
            scaled,
            self.theta,
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": _ITERATIONS_A_STEP * max_steps,
                "maxfun": 2 * _ITERATIONS_A_STEP * max_steps,
                "gtol": near,
                "ftol": 0.0,
                "maxcor": 30,
            },
        )
        self.begin(np.asarray(done.x))

    def newton(self, max_steps: int) -> None:
        """Newton steps of least norm by MINRES, which never leaves the range of H, with halving on ‖g‖.

        C. Paige, M. Saunders, SIAM J. Numer. Anal. 12 (1975) 617–629.
        """
        from scipy.sparse.linalg import LinearOperator, minres

        n = len(self.theta)
        for _ in range(max_steps):
            if self.converged and self.norm == 0.0:
                return
            operator = LinearOperator((n, n), matvec=self.product, dtype=np.float64)
            accuracy = min(0.1, max(1e-10, self.norm / max(self.scale, np.finfo(float).tiny)) ** 0.5)
            step, _ = minres(operator, -self.gradient, rtol=accuracy, maxiter=min(_MAX_PRODUCTS, 2 * n))
            if not self._move_along(step, 0.5 if self.converged else 0.99):
                return

    def level(self, max_steps: int) -> None:
        """Levenberg–Marquardt on ½‖g‖², each step by LSMR (D. Fong, M. Saunders, SIAM J. Sci. Comput. 33 (2011))."""
        from scipy.sparse.linalg import LinearOperator, lsmr

        n, damping = len(self.theta), 1.0
        for _ in range(max_steps):
            if self.norm <= _NEAR * self.scale:
                return
            operator = LinearOperator((n, n), matvec=self.product, rmatvec=self.product, dtype=np.float64)
            unit = self.norm / max(float(np.linalg.norm(self.theta)), np.finfo(float).tiny)
            step = lsmr(operator, -self.gradient, damp=damping * unit, atol=1e-3, btol=1e-3, maxiter=60)[0]
            if self._move_along(step, 0.99, halvings=1):
                damping = max(1e-3, 0.3 * damping)
            elif damping < 1e9:
                damping *= 5.0
            else:
                return

    def _move_along(self, step: Vector, wanted: float, halvings: int = _HALVINGS) -> bool:
        """Go along a step as far as ‖g‖ falls to this fraction; whether it did."""
        for _ in range(halvings):
            value, gradient = self._evaluate(self.theta + step)
            norm = float(np.linalg.norm(gradient))
            if value < _HUGE and norm <= wanted * self.norm:
                self.theta = self.theta + step
                self.value, self.gradient, self.norm = value, gradient, norm
                return True
            step = 0.5 * step
        return False


def search_by_products(
    objective: Any,
    starts: Vector,
    method: str,
    *,
    tol: float,
    max_steps: int,
    should_stop: Callable[[], bool] | None = None,
) -> Search:
    """What `stationary.search` does, without a Hessian.

    Parameters
    ----------
    objective : NetworkLoss
    starts : (B, P) array
    method : {"descent", "stationary", "newton"}
    tol : float
    max_steps : int
        Outer steps.
    should_stop : callable, optional
        Asked at every evaluation; the search under way is given up then.

    Returns
    -------
    Search
        Its ``n_steps`` are evaluations of gradients and products.
    """
    n = len(starts)
    theta, value, norm, scale = starts.copy(), np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    converged, cost = np.zeros(n, dtype=bool), np.zeros(n, dtype=np.int64)
    stopped = False
    for k in range(n):
        searcher = _Searcher(objective, tol, should_stop)
        try:
            searcher.begin(starts[k])
            if method == "descent":
                searcher.descend(max_steps)
            elif method == "stationary":
                searcher.level(max_steps)
            searcher.newton(max_steps)
            searcher.scale = searcher._scale()
        except _Stop:
            stopped = True
        cost[k] = searcher.cost
        if stopped:
            break
        theta[k], value[k], norm[k], scale[k] = searcher.theta, searcher.value, searcher.norm, searcher.scale
        converged[k] = searcher.converged
    return Search(method, tol, theta, value, norm, scale, converged, cost, stopped)
