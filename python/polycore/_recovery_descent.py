# SPDX-License-Identifier: BSD-3-Clause
"""Parameters with given coefficients, numerically: Gauss–Newton steps, and Levenberg–Marquardt from many starts.

Legend: ``B`` starts, ``P = n_params``, ``R = n_outputs · n_monomials`` equations c(θ) = t.

The equations are consistent where recovery succeeds, so Gauss–Newton steps converge quadratically although the Jacobian
is rank-deficient along the symmetries of the parameters; steps are of least norm there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from . import _linalg
from ._recovery_scaling import output_parameters
from .errors import NumericalError
from .networks import Network
from .symmetries import orbit_dimension

Vector = NDArray[np.float64]

# Singular values of a Jacobian below this fraction of the largest belong to symmetries.
_KERNEL_TOL = 1e-11
_POLISHING_STEPS = 40
# Residuals that are rounding, and those that are not worth a step of many multiplications.
_EXACT, _ALMOST_EXACT, _CHEAP = 1e-15, 1e-12, 10**8
# Multiplications of a least-squares problem from which on its normal equations are solved, and what makes them regular.
_LONG, _RIDGE = 10**10, 1e-12
# Multiplications in one step of all starts, if nobody says how many starts there are to be.
_SEARCH, _MOST_STARTS, _LEAST_STARTS = 3 * 10**8, 512, 8
# Relative length of a step that halves the residual without being the beginning of convergence.
_LONG_STEP = 1e-2
# Where relative changes of the parameters change the coefficients so much more, digits cancel.
_CANCELLATION = 1e5
# Numbers in the Jacobians of the starts that descend together.
_BATCH = 2**21
# Starts that have not become this much better after so many steps are given up.
_PATIENCE, _PROGRESS = 30, 0.9


@dataclass(frozen=True, eq=False)
class Attempt:
    """Parameters and their residual.

    ``settled`` is False if the residual was still falling in long steps: then it is approached as parameters grow, and
    reached by none. (That is how networks look whose coefficients are a limit of others, outside the image.)
    """

    theta: Vector
    residual: float
    settled: bool = True

    def reaches(self, tol: float) -> bool:
        """Whether the coefficients are met to a tolerance."""
        return self.settled and self.residual <= tol

    def is_better(self, other: Attempt | None, tol: float) -> bool:
        """Whether this one is to be kept."""
        if other is None or self.reaches(tol) != other.reaches(tol):
            return other is None or self.reaches(tol)
        return self.residual < other.residual


@dataclass(frozen=True, eq=False)
class Problem:
    """Find θ with c(θ) = target, an array (n_outputs, n_monomials) of moderate size."""

    net: Network
    target: Vector
    size: float = field(init=False)

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):
            size = float(np.linalg.norm(self.target))
        if size == np.inf:
            raise NumericalError("`coef` is so large that its squares are out of range for float64")
        object.__setattr__(self, "size", size or 1.0)

    def residual(self, theta: Vector) -> float:
        """‖c(θ) − t‖ / ‖t‖, or ‖c(θ)‖ if t = 0; infinite where c overflows."""
        return float(np.linalg.norm(self._differences(theta[None])[0])) / self.size

    def polish(self, theta: Vector) -> Attempt:
        """Gauss–Newton steps of least norm, each taken only if it improves; none if the Jacobian does not fit."""
        residual, length = self.residual(theta), 0.0
        work = self.target.size * self.net.n_params**2
        for _ in range(_POLISHING_STEPS):
            if residual < (_EXACT if work < _CHEAP else _ALMOST_EXACT) or not np.isfinite(residual):
                break
            step = self._gauss_newton_step(theta)
            fraction, value = next(
                (
                    (fraction, value)
                    for fraction in (1.0, 0.5, 0.1)
                    if (value := self.residual(theta - fraction * step)) < residual
                ),
                (0.0, residual),
            )
            if not fraction:
                break
            halved = value < 0.5 * residual
            if halved:
                length = fraction * float(np.linalg.norm(step) / np.linalg.norm(theta))
            theta, residual = theta - fraction * step, value
            if not halved and residual < 1e-13:
                break
        settled = length < _LONG_STEP and not (residual > 1e-13 and self._is_degenerate(theta))
        return Attempt(theta, residual, settled)

    def descend(self, starts: Vector, max_steps: int, tol: float) -> Attempt:
        """Levenberg–Marquardt from the rows of ``starts``, side by side until one reaches the target, then polished."""
        best: Attempt | None = None
        nearest, least = starts[0], np.inf
        rows = max(1, _BATCH // max(1, self.target.size * self.net.n_params))
        for first in range(0, len(starts), rows):
            for theta, value in self._levenberg_marquardt(starts[first : first + rows], max_steps):
                if value < least:
                    nearest, least = theta, value
                if value < max(tol, 1e-6):
                    attempt = self.polish(theta)
                    if attempt.is_better(best, tol):
                        best = attempt
                    if attempt.reaches(tol):
                        return attempt
                    if not attempt.settled:
                        break
        return best or self.polish(nearest)

    def default_starts(self) -> int:
        """How many starts a search has: fewer for large networks."""
        return min(_MOST_STARTS, max(_LEAST_STARTS, _SEARCH // (self.target.size * self.net.n_params**2 + 1)))

    def starts(self, rng: np.random.Generator, n: int) -> Vector:
        """Random parameters; those in which the outputs are linear solve their least-squares problem."""
        theta = np.array(self.net.random_params(rng=rng, batch=(n,)), dtype=np.float64)
        if self._linear is not None:
            for row in theta:
                self.fit_linear(row)
        return theta

    def fit_linear(self, theta: Vector) -> None:
        """Set the parameters in which the outputs are linear to their best values, in place."""
        if self._linear is None:
            return
        try:
            design = np.asarray(self.net.jacobian(theta))[:, self._linear]
        except NumericalError:
            return
        theta[self._linear] = np.linalg.lstsq(design, self.target.ravel(), rcond=1e-8)[0]

    def _is_degenerate(self, theta: Vector) -> bool:
        """Whether large contributions cancel and small changes of the sum are lost in them.

        Near a limit that no parameters reach, Σ a_i ℓ_i^r with a_i → ∞ say, the coefficients depend strongly on the
        parameters, relative to their sizes, and hardly on the one that moves towards the limit.
        """
        try:
            jacobian = np.asarray(self.net.jacobian(theta)) * theta / self.size
        except NumericalError:
            return True
        if np.linalg.norm(jacobian) < _CANCELLATION:
            return False
        sizes = _linalg.singular_values(jacobian)
        n_relevant = min(len(sizes), self.net.n_params - orbit_dimension(self.net.program))
        return bool(n_relevant > 0 and sizes[n_relevant - 1] < 1e-6)

    # --- steps --------------------------------------------------------------------------------------------------------

    @cached_property
    def _linear(self) -> NDArray[np.intp] | None:
        return output_parameters(self.net.program)

    def _differences(self, theta: Vector) -> Vector:
        """c(θ) − t for each row, shape (B, R); infinite where c overflows."""
        try:
            coef = np.asarray(self.net.expand(theta))
        except (NumericalError, ValueError):
            if len(theta) == 1:
                return np.full((1, self.target.size), np.inf)
            return np.concatenate([self._differences(row[None]) for row in theta])
        return (coef - self.target).reshape(len(theta), self.target.size)

    def _gauss_newton_step(self, theta: Vector) -> Vector:
        try:
            jacobian = np.asarray(self.net.jacobian(theta))
        except (NumericalError, MemoryError, OverflowError):
            return np.zeros_like(theta)
        # Parameters of very different sizes must not hide each other.
        lengths = np.sqrt(np.einsum("rp,rp->p", jacobian, jacobian))
        lengths[lengths == 0] = 1.0
        scaled = jacobian / lengths
        if scaled.size * scaled.shape[1] > _LONG:
            # A decomposition would take minutes; steps that are not quite of least norm do as well.
            normal = scaled.T @ scaled + _RIDGE * np.eye(scaled.shape[1])
            return np.asarray(np.linalg.solve(normal, scaled.T @ self._differences(theta[None])[0]) / lengths)
        if len(scaled) > 2 * scaled.shape[1]:
            q, scaled = _linalg.qr(scaled)
            right = q.T @ self._differences(theta[None])[0]
        else:
            right = self._differences(theta[None])[0]
        step: Vector = np.linalg.lstsq(scaled, right, rcond=_KERNEL_TOL)[0] / lengths
        return step

    def _levenberg_marquardt(self, theta: Vector, max_steps: int) -> Iterator[tuple[Vector, float]]:
        """The best parameters and residual after each round of steps."""
        n_params = theta.shape[1]
        differences = self._differences(theta)
        values = np.linalg.norm(differences, axis=1) / self.size
        alive = np.isfinite(values) & (n_params > 0)
        theta, differences, values = theta[alive], differences[alive], values[alive]
        damping = np.full(len(theta), 1e-2)
        before = values.copy()
        for step in range(1, max_steps + 1):
            if not len(theta):
                return
            jacobian = np.asarray(self.net.jacobian(theta))
            normal = np.swapaxes(jacobian, 1, 2) @ jacobian
            gradient = (differences[:, None, :] @ jacobian)[:, 0]
            diagonal = np.einsum("bpp->bp", normal)
            floor = 1e-8 * diagonal.max(axis=1, keepdims=True) + 1e-300
            damped = (
                normal + np.eye(n_params) * (damping[:, None] * np.maximum(diagonal, floor) + 1e-14 * floor)[:, None]
            )
            trial = theta - np.linalg.solve(damped, gradient[..., None])[..., 0]
            trial_differences = self._differences(trial)
            trial_values = np.linalg.norm(trial_differences, axis=1) / self.size
            better = trial_values < values
            theta = np.where(better[:, None], trial, theta)
            differences = np.where(better[:, None], trial_differences, differences)
            values = np.where(better, trial_values, values)
            damping = np.clip(damping * np.where(better, 0.2, 5.0), 1e-14, 1e8)
            best = int(np.argmin(values))
            yield theta[best], float(values[best])
            if step % _PATIENCE == 0:
                alive = values < _PROGRESS * before
                theta, differences, values, damping = theta[alive], differences[alive], values[alive], damping[alive]
                before = values.copy()
