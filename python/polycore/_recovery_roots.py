# SPDX-License-Identifier: BSD-3-Clause
"""Powers in a linear space of forms that they span: g_1, ..., g_k with span(f_1, f_2, ...) = span(g_1^r, ..., g_k^r).

The condition that g^r is in the space is a system of equations for the few coefficients of one form g, and usually it
has many more equations than unknowns and no solutions but the g_i. At points x_s it says that the vector of the values
g(x_s)^r is in the column space of the values of the f_j. Levenberg–Marquardt steps on the sphere of all g, from random
starts side by side, find one g_i or the other; the residual is divided by the sines of the angles between g^r and the
powers that are known already, so that the next starts find others.

Legend: ``m`` variables, ``D = r e`` the degree of the f_j and ``e`` that of the g_i, ``B`` starts, ``S`` points,
``n = C(m − 1 + e, e)`` unknowns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._recovery_powers import minimal_coordinates, multinomials, multiply, power_coefficients, substitute

Matrix = NDArray[Any]

# Starts that descend together, their steps, and how often new ones are drawn.
_STARTS, _STEPS, _ROUNDS = 48, 60, 6
# Equations beyond twice as many as there are unknowns.
_MORE_POINTS = 10
# Solutions have a smaller residual; of forms with few digits left those below the second are the best there are.
_SOLVED, _DOUBTFUL = 1e-7, 0.05
# Cosine of the angle between different powers, at most.
_SAME = 1 - 1e-5


def roots_in_space(
    forms: Matrix, m: int, degree: int, r: int, k: int, rng: np.random.Generator, minimal: bool = True
) -> Matrix | None:
    """The forms g_i (k, n) up to factors, or None.

    Parameters
    ----------
    forms : (J, N) array
        Of rank k.
    m, degree, r, k : int
        Variables, degree of the forms, exponent >= 2, dimension.
    rng : numpy Generator
        For points and starts.
    minimal : bool, default True
        Whether to search in the coordinates in which the forms have the least norm: they separate the roots, and cost
        digits.

    Notes
    -----
    O(B S n²) operations for each step.
    """
    lengths = np.sqrt(multinomials(m, degree))
    _, sizes, rows = np.linalg.svd(forms / lengths, full_matrices=False)
    if len(sizes) < k or not sizes[k - 1] > 0:
        return None
    change = minimal_coordinates(rows[:k] * lengths, m, degree) if minimal else np.eye(m)
    space = substitute(rows[:k] * lengths, m, degree, change)
    task = _RootTask(np.linalg.qr((space / lengths).T)[0], m, degree, r, rng)
    if not task.is_overdetermined:
        return None
    found = task.search(k, rng)
    if len(found) < k:
        return None
    inner = np.sqrt(multinomials(m, degree // r))
    roots = substitute(found * inner, m, degree // r, np.linalg.inv(change)) / inner
    # The change of coordinates costs digits, which are found again in the old ones.
    refined, _ = _RootTask(rows[:k].T, m, degree, r, rng).descend(roots, np.zeros((0, 0)))
    return np.asarray(refined * inner)


def power_of(form: Matrix, m: int, degree: int, r: int) -> Matrix:
    """Coefficients of the r-th power of a form of some degree."""
    result = form
    for j in range(1, r):
        result = multiply(result, form, m, j * degree, degree)
    return result


class _RootTask:
    """The part of g^r / |g^r| outside a space, at points, as equations for g in orthonormal coordinates."""

    def __init__(self, space: Matrix, m: int, degree: int, r: int, rng: np.random.Generator) -> None:
        n = multinomials(m, degree // r).size
        points = rng.standard_normal((2 * (n + space.shape[1]) + _MORE_POINTS, m))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        self.is_overdetermined = len(space) - space.shape[1] >= n - 1
        self._r = r
        self._monomials = _orthonormal_monomials(points, m, degree // r)  # (S, n)
        self._space = np.linalg.qr(_orthonormal_monomials(points, m, degree) @ space)[0]  # (S, k)

    def search(self, k: int, rng: np.random.Generator) -> Matrix:
        """Up to k different roots (·, n), each round of starts kept away from those that were found before."""
        n_points, n = self._monomials.shape
        found, powers, doubtful = np.zeros((0, n)), np.zeros((0, n_points)), 0
        for _ in range(_ROUNDS):
            roots, sizes = self.descend(rng.standard_normal((_STARTS, n)), powers[: len(powers) - doubtful])
            found, powers, doubtful = found[: len(found) - doubtful], powers[: len(powers) - doubtful], 0
            for b in np.argsort(sizes):
                power = self._powers(roots[b : b + 1])[0]
                if len(found) < k and sizes[b] < _DOUBTFUL and (np.abs(powers @ power) < _SAME).all():
                    found, powers = np.vstack([found, roots[b]]), np.vstack([powers, power])
                    doubtful += bool(sizes[b] > _SOLVED)
            if len(found) == k and not doubtful:
                break
        return found

    def descend(self, roots: Matrix, known: Matrix) -> tuple[Matrix, Matrix]:
        """Where starts (B, n) end, and their residuals (B,); away from roots with known powers (·, S)."""
        roots = self._normalised(roots)
        residuals, jacobian = self._equations(roots, known)
        sizes = np.linalg.norm(residuals, axis=1)
        damping = np.full(len(roots), 1e-2)
        for _ in range(_STEPS):
            normal = jacobian.swapaxes(1, 2) @ jacobian
            gradient = (residuals[:, None] @ jacobian)[:, 0]
            scale = np.einsum("bpp->bp", normal).max(axis=1) + 1e-300
            damped = normal + ((damping + 1e-13) * scale)[:, None, None] * np.eye(roots.shape[1])
            trial = self._normalised(roots - np.linalg.solve(damped, gradient[..., None])[..., 0])
            trial_residuals, trial_jacobian = self._equations(trial, known)
            trial_sizes = np.linalg.norm(trial_residuals, axis=1)
            better = trial_sizes < sizes
            roots = np.where(better[:, None], trial, roots)
            residuals = np.where(better[:, None], trial_residuals, residuals)
            jacobian = np.where(better[:, None, None], trial_jacobian, jacobian)
            sizes = np.where(better, trial_sizes, sizes)
            damping = np.clip(damping * np.where(better, 0.2, 4.0), 1e-13, 1e6)
        return roots, sizes

    def _powers(self, roots: Matrix) -> Matrix:
        """The values (B, S) of g^r, as vectors of length one."""
        values = (roots @ self._monomials.T) ** self._r
        return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))

    def _normalised(self, roots: Matrix) -> Matrix:
        return np.asarray(roots / np.linalg.norm(roots @ self._monomials.T, axis=1, keepdims=True))

    def _equations(self, roots: Matrix, known: Matrix) -> tuple[Matrix, Matrix]:
        """Residuals (B, S) and their Jacobian (B, S, n), divided by the sines of the angles to known powers."""
        values = roots @ self._monomials.T
        powers = values**self._r
        lengths = np.linalg.norm(powers, axis=1, keepdims=True)
        powers /= lengths
        slopes = (self._r * values ** (self._r - 1) / lengths)[..., None] * self._monomials
        slopes -= powers[..., None] * (powers[:, None] @ slopes)
        residuals = powers - powers @ self._space @ self._space.T
        jacobian = slopes - self._space @ (self._space.T @ slopes)
        if len(known):
            cosines = powers @ known.T
            squares = np.maximum(1 - cosines**2, 1e-12)
            factor = np.prod(squares, axis=1) ** -0.5
            growth = ((cosines / squares) @ known)[:, None] @ slopes  # of the logarithm of the factor
            jacobian = factor[:, None, None] * (jacobian + residuals[..., None] * growth)
            residuals = factor[:, None] * residuals
        return residuals, jacobian


def _orthonormal_monomials(points: Matrix, m: int, degree: int) -> Matrix:
    """Values (S, N) of the monomials of a degree, scaled so that rotations of the variables are orthogonal maps."""
    return power_coefficients(points, degree) / np.sqrt(multinomials(m, degree))
