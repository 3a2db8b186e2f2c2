# SPDX-License-Identifier: BSD-3-Clause
"""Deep networks of powers, one layer after the other from the inputs.

Let f = G(y), y_i = c (w_i · x + b_i)^r, with as many units as the values before them have independent directions, so
that the w_i form a basis after restriction to these directions, and let v_i be the dual basis. In the part of highest
degree z_i = w_i · x occurs in r-th powers only. Hence it does not change under the *reflections*

    R_i x = x + (ζ − 1) (w_i · x) v_i,   ζ a primitive r-th root of unity (−1 for r = 2),

which multiply z_i by ζ. Conversely a basis of linear forms with such reflections makes f a function of the z_i^r. In
the coordinates in which the forms have the least norm the v_i are orthogonal (see `_minimal_coordinates`), which leaves
a reflection with few unknowns and many equations: Levenberg–Marquardt steps from random starts find it far more easily
than all parameters at once. Restricted to the hyperplane z_i = 0 the forms are a network with one unit less, where the
next one is found. Biases solve a linear system: shifted to the common zero of the units, the coefficients of degree
D − 1 vanish, and a shift by s changes them by ∂_s of the part of degree D. Then G is read off the coefficients in z,
and is a network with one layer less.

That applies to the layers of pyramids, where localisation proves that there are finitely many parameter vectors.
Nothing proves that the reflections found are the only ones, so that uniqueness remains open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._recovery_mlp import Chain, Stage, derivatives, solve_shallow
from ._recovery_powers import evaluate_forms, multinomials, substitute
from .monomials import MonomialBasis, form_exponents
from .symmetries import as_shifted_power

Matrix = NDArray[Any]

# Starts for each reflection, steps of each, and attempts at a whole network.
_STARTS, _STEPS, _ATTEMPTS = 48, 60, 4
# Steps towards coordinates in which reflections are orthogonal.
_SCALINGS = 100
# Residual of the equations of a reflection, relative to the forms, that is small enough not to go on.
_REFLECTED = 1e-9
# And above which there is none.
_DOUBTFUL = 0.05
_ZERO = 1e-7


@dataclass(frozen=True)
class _Power:
    """c (z − shift)^degree + constant."""

    degree: int
    factor: float
    shift: float
    constant: float


def recover_deep(chain: Chain, coef: Matrix, rng: np.random.Generator) -> Iterator[tuple[Matrix, str]]:
    """Candidates for the parameters of a network of powers with several hidden layers."""
    powers = _absorbed_powers(chain)
    if powers is None:
        return
    for _ in range(_ATTEMPTS):
        theta = np.zeros(chain.n_params)
        if _peel(chain, powers, coef, theta, rng):
            yield theta, "reflections, layer by layer, and a decomposition into powers at the end"


def _absorbed_powers(chain: Chain) -> list[_Power] | None:
    """The activations, if all are powers up to what biases absorb."""
    powers = []
    for p, before, after in zip(chain.activations, chain.stages, chain.stages[1:]):
        found = as_shifted_power(tuple(p))
        if found is None or (found[2] and not before.has_constant) or (found[3] and not after.has_constant):
            return None
        degree, factor, shift, constant = found
        powers.append(_Power(degree, *map(_as_float, (factor, shift, constant))))
    return powers


def _as_float(value: Fraction) -> float:
    return float(value)


def _peel(chain: Chain, powers: list[_Power], coef: Matrix, theta: Matrix, rng: np.random.Generator) -> bool:
    """Set the parameters of a chain, first layer first; False if that fails."""
    forms, degree, homogeneous = coef, chain.basis.degree, chain.basis.homogeneous
    n_vars = chain.basis.n_vars
    # What the activation before adds to the values, as the constant of the next layer.
    before = _Power(1, 1.0, 0.0, 0.0)
    for layer in range(len(powers) - 1):
        stage, power = chain.stages[layer], powers[layer]
        found = _first_layer(stage, power, forms, n_vars, degree, homogeneous, rng)
        if found is None:
            return False
        weights, biases, forms = found
        if not _write(stage, before, power, weights, biases, theta):
            return False
        before, n_vars, degree = power, stage.n_out, degree // power.degree
    tail = Chain(chain.stages[-2:], chain.activations[-1:], MonomialBasis(n_vars, degree, homogeneous), chain.n_params)
    solution = solve_shallow(tail, forms, rng)
    if solution is None:
        return False
    first, last = tail.stages
    is_written = _write_plain(first, before, solution.weights, solution.biases, theta)
    return is_written and last.write(theta, solution.outer, solution.constant)


def _write(stage: Stage, before: _Power, power: _Power, weights: Matrix, biases: Matrix, theta: Matrix) -> bool:
    """A layer whose units are (w · y + b)^r in the y that are plain powers."""
    return _write_plain(stage, before, weights, biases + power.shift, theta)


def _write_plain(stage: Stage, before: _Power, weights: Matrix, biases: Matrix, theta: Matrix) -> bool:
    """W' y' + b' for the values y' = c y + k of the activation before."""
    matrix = weights / before.factor
    return stage.write(theta, matrix, biases - before.constant * matrix.sum(axis=1))


def _first_layer(
    stage: Stage,
    power: _Power,
    forms: Matrix,
    n_vars: int,
    degree: int,
    homogeneous: bool,
    rng: np.random.Generator,
) -> tuple[Matrix, Matrix, Matrix] | None:
    """W, b, and the forms in y = (W x + b)^r, or None."""
    width, r = stage.n_out, power.degree
    top = forms if homogeneous else forms[:, -multinomials(n_vars, degree).size :]
    directions = _essential(top, n_vars, degree, width)
    if directions is None:
        return None
    restricted = substitute(top, n_vars, degree, directions)
    duals = _reflections(restricted, width, degree, r, rng)
    if duals is None:
        return None
    columns = directions @ duals
    weights = np.linalg.pinv(columns)
    if homogeneous:
        return weights, np.zeros(width), _in_powers(substitute(forms, n_vars, degree, columns), width, degree, r)
    shift = _centre(forms, n_vars, degree, columns) if stage.has_constant else np.zeros(n_vars)
    affine = np.zeros((n_vars + 1, width + 1))
    affine[0, 0], affine[1:, 0], affine[1:, 1:] = 1, shift, columns
    moved = substitute(forms, n_vars + 1, degree, affine)
    return weights, -weights @ shift, _in_powers(moved, width, degree, r, homogeneous=False)


def _essential(top: Matrix, n_vars: int, degree: int, width: int) -> Matrix | None:
    """Orthonormal directions (n_vars, width) on which forms depend, or None if there are fewer or more."""
    slopes = derivatives(top, n_vars, degree, range(n_vars)) / np.sqrt(multinomials(n_vars, degree - 1))
    left, sizes, _ = np.linalg.svd(slopes.reshape(n_vars, -1), full_matrices=False)
    if width > n_vars or not sizes[width - 1] > _ZERO * sizes[0]:
        return None
    return np.asarray(left[:, :width])


def _centre(forms: Matrix, n_vars: int, degree: int, columns: Matrix) -> Matrix:
    """The point, in the span of the columns, to which the polynomials are to be shifted."""
    size = multinomials(n_vars, degree).size
    lower_size = multinomials(n_vars, degree - 1).size
    top, below = forms[:, -size:], forms[:, -size - lower_size : -size]
    slopes = derivatives(top, n_vars, degree, range(n_vars)).reshape(n_vars, -1)
    # f(x) = f'(x − s): the part of degree D − 1 is −∂_s of the top.
    solution = np.linalg.lstsq((columns.T @ slopes).T, -below.ravel(), rcond=None)[0]
    return np.asarray(columns @ solution)


def _in_powers(forms: Matrix, n_vars: int, degree: int, r: int, homogeneous: bool = True) -> Matrix:
    """Forms in z_i^r as forms in y_i = z_i^r; x_0, if there is one, is replaced, too."""
    m = n_vars + (not homogeneous)
    inner = form_exponents(m, degree // r)
    positions = MonomialBasis(m, degree, homogeneous=True).index(inner * r)
    return forms[:, np.asarray(positions, dtype=np.int64)]


# --- reflections ------------------------------------------------------------------------------------------------------


def _reflections(forms: Matrix, m: int, degree: int, r: int, rng: np.random.Generator) -> Matrix | None:
    """The dual basis (m, m), as columns, of m linear forms that occur in r-th powers only; None if none is found."""
    found: list[Matrix] = []
    space = _minimal_coordinates(forms, m, degree)
    forms = substitute(forms, m, degree, space)
    size = float(np.linalg.norm(forms / np.sqrt(multinomials(m, degree))))
    for n in range(m, 1, -1):
        pair = _reflection(forms, n, degree, r, size, rng)
        if pair is None:
            return None
        v, w = pair
        found.append(space @ v)
        plane = np.linalg.svd(w[None])[2][1:].T
        forms, space = substitute(forms, n, degree, plane), space @ plane
    found.append(space[:, 0])
    columns = np.array(found).T
    columns /= np.linalg.norm(columns, axis=0)
    return columns if np.linalg.cond(columns) < 1e8 else None


def _minimal_coordinates(forms: Matrix, m: int, degree: int) -> Matrix:
    """M (m, m) such that the forms F(M x) have the least Bombieri–Weyl norm among all with the same determinant of M.

    Then the derivatives of F have a Gram matrix that is a multiple of the identity. By the theorem of Kempf and Ness
    (over the reals R. W. Richardson, P. J. Slodowy, J. London Math. Soc. 42 (1990)) the group of linear maps that leave
    F unchanged is closed under transposition, so that its reflections are orthogonal and the v_i, too.
    """
    space, moved = np.eye(m), forms
    for _ in range(_SCALINGS):
        slopes = derivatives(moved, m, degree, range(m)) / np.sqrt(multinomials(m, degree - 1))
        slopes = slopes.reshape(m, -1)
        values, vectors = np.linalg.eigh(slopes @ slopes.T)
        if not values[0] > 1e-12 * values[-1]:
            break
        values /= np.exp(np.log(values).mean())
        if values[-1] - values[0] < 1e-9:
            break
        # This is exact for F = Σ a_i z_i^degree.
        space = space @ ((vectors * values ** (-1 / (2 * degree))) @ vectors.T)
        moved = substitute(forms, m, degree, space)
    return space


def _reflection(
    forms: Matrix, n: int, degree: int, r: int, size: float, rng: np.random.Generator
) -> tuple[Matrix, Matrix] | None:
    """v and w, w · v = 1, with forms that do not change when w · x is multiplied by a primitive r-th root of unity."""
    task = _ReflectionTask(forms / size, n, degree, r, rng)
    vectors = rng.standard_normal((_STARTS, n))
    best = task.solve(np.concatenate([vectors, vectors], axis=1))
    if best is None:
        return None
    v, w = best[:n], best[n:]
    return v / (w @ v), w


class _ReflectionTask:
    """F(R x) − F(x) at random points as equations for (v, w)."""

    def __init__(self, forms: Matrix, n: int, degree: int, r: int, rng: np.random.Generator) -> None:
        self._n, self._degree = n, degree
        self._root = -1.0 if r == 2 else np.exp(2j * np.pi / r)
        self._forms = forms
        self._slopes = derivatives(forms, n, degree, range(n))
        n_points = 6 + -(-4 * n // (len(forms) * (1 if r == 2 else 2)))
        points = rng.standard_normal((n_points, n))
        self._points = points / np.linalg.norm(points, axis=1, keepdims=True)
        self._values = evaluate_forms(forms, n, degree, self._points)

    def solve(self, unknowns: Matrix) -> Matrix | None:
        """The first of the starts (B, 2n) to solve the equations."""
        n = self._n
        unknowns = self._normalised(unknowns)
        residuals, jacobian = self._equations(unknowns)
        values = np.linalg.norm(residuals, axis=1)
        damping = np.full(len(unknowns), 1e-2)
        for _ in range(_STEPS):
            normal = jacobian.swapaxes(1, 2) @ jacobian
            gradient = np.einsum("bep,be->bp", jacobian, residuals)
            scale = np.einsum("bpp->bp", normal).max(axis=1) + 1e-300
            steps = np.linalg.solve(
                normal + ((damping + 1e-13) * scale)[:, None, None] * np.eye(2 * n), gradient[..., None]
            )[..., 0]
            trial = self._normalised(unknowns - steps)
            trial_residuals, trial_jacobian = self._equations(trial)
            trial_values = np.linalg.norm(trial_residuals, axis=1)
            better = trial_values < values
            unknowns = np.where(better[:, None], trial, unknowns)
            residuals = np.where(better[:, None], trial_residuals, residuals)
            jacobian = np.where(better[:, None, None], trial_jacobian, jacobian)
            values = np.where(better, trial_values, values)
            damping = np.clip(damping * np.where(better, 0.2, 4.0), 1e-13, 1e6)
            best = int(np.argmin(values))
            if values[best] < 1e-13 or (values[best] < _REFLECTED and not better[best]):
                break
        # Nearly singular weights leave few digits to the forms in good coordinates: the residual can be large.
        return unknowns[best] if values[best] < _DOUBTFUL else None

    def _normalised(self, unknowns: Matrix) -> Matrix:
        pairs = unknowns.reshape(len(unknowns), 2, self._n)
        return np.asarray((pairs / np.linalg.norm(pairs, axis=2, keepdims=True)).reshape(len(unknowns), -1))

    def _equations(self, unknowns: Matrix) -> tuple[Matrix, Matrix]:
        """Residuals (B, E) and their Jacobian (B, E, 2n)."""
        n, points = self._n, self._points
        v, w = unknowns[:, None, :n], unknowns[:, None, n:]
        products = (v * w).sum(axis=2, keepdims=True)
        products = np.where(np.abs(products) < 1e-8, 1e-8, products)
        heights = (points @ unknowns[:, n:].T).T[..., None] / products  # (B, S, 1)
        moved = points + (self._root - 1) * heights * v
        flat = moved.reshape(-1, n)
        change = evaluate_forms(self._forms, n, self._degree, flat).reshape(*moved.shape[:2], -1) - self._values
        slopes = evaluate_forms(self._slopes, n, self._degree - 1, flat)
        slopes = slopes.reshape(*moved.shape[:2], n, -1)  # (B, S, n, O)
        along = np.einsum("bsno,bn->bso", slopes, unknowns[:, :n])
        factor = self._root - 1
        by_v = factor * (slopes.swapaxes(2, 3) - along[..., None] * w[:, :, None] / products[..., None])
        by_v = by_v * heights[..., None]
        by_w = factor * along[..., None] * ((points[None] - heights * v) / products)[:, :, None]
        jacobian = np.concatenate([by_v, by_w], axis=3)
        if np.iscomplexobj(change):
            change = np.concatenate([change.real, change.imag], axis=1)
            jacobian = np.concatenate([jacobian.real, jacobian.imag], axis=1)
        return change.reshape(len(unknowns), -1), jacobian.reshape(len(unknowns), -1, 2 * n)
