# SPDX-License-Identifier: BSD-3-Clause
"""Deep networks of powers, one layer after the other, from the inputs and from the outputs.

*First layers.* Let f = G(y), y_i = c (w_i · x + b_i)^r, with no more units than the values before them have independent
directions, so that the w_i form a basis after restriction to these directions, and let v_i be the dual basis. In the
part of highest degree z_i = w_i · x occurs in r-th powers only. Hence it does not change under the *reflections*

    R_i x = x + (ζ − 1) (w_i · x) v_i,   ζ a primitive r-th root of unity (−1 for r = 2),

which multiply z_i by ζ. Conversely a basis of linear forms with such reflections makes f a function of the z_i^r. In
the coordinates in which the forms have the least norm the v_i are orthogonal (see `minimal_coordinates`), which leaves
a reflection with few unknowns and many equations: Levenberg–Marquardt steps from random starts find it far more easily
than all parameters at once. Restricted to the hyperplane z_i = 0 the forms are a network with one unit less, where the
next one is found. Biases solve a linear system: shifted to the common zero of the units, the coefficients of degree
D − 1 vanish, and a shift by s changes them by ∂_s of the part of degree D. Then G is read off the coefficients in z,
and is a network with one layer less.

*Last layers.* With at least as many outputs as units before them, the outputs span the powers of what these units are,
see `polycore._recovery_roots`; the roots are the outputs of a network with one layer less. That takes over where layers
are wider than those before them, until one hidden layer is left, which is a decomposition into powers of linear forms.
Where both are possible, either is tried first.

So pyramids and bottlenecks are recovered; localisation proves that their functions have finitely many parameter
vectors. Nothing proves that the reflections and powers found are the only ones, so that uniqueness remains open. Digits
are lost like cond(W)^degree: forms of high degree whose weights are nearly dependent are left to a random search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._recovery_mlp import Chain, Stage, solve_shallow
from ._recovery_powers import derivatives, evaluate_forms, minimal_coordinates, multinomials, substitute
from ._recovery_roots import power_of, roots_in_space
from .monomials import MonomialBasis, form_exponents
from .symmetries import as_shifted_power

Matrix = NDArray[Any]

# Starts for each reflection, steps of each, and attempts at a whole network.
_STARTS, _STEPS, _ATTEMPTS = 48, 60, 4
# Residual of the equations of a reflection, relative to the forms, that is small enough not to go on.
_REFLECTED = 1e-9
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
    for attempt in range(_ATTEMPTS):
        inner = _Polynomials(coef, chain.basis.n_vars, chain.basis.degree, chain.basis.homogeneous)
        layers = _solve(inner, chain.stages, [power.degree for power in powers], attempt, rng)
        if layers is None:
            continue
        theta = np.zeros(chain.n_params)
        if _write(chain, powers, layers, theta):
            yield theta, "layer by layer: reflections, powers of forms, and a decomposition into powers"


def _absorbed_powers(chain: Chain) -> list[_Power] | None:
    """The activations, if all are powers up to what biases absorb."""
    powers = []
    for p, before, after in zip(chain.activations, chain.stages, chain.stages[1:]):
        found = as_shifted_power(tuple(p))
        if found is None or (found[2] and not before.has_constant) or (found[3] and not after.has_constant):
            return None
        degree, factor, shift, constant = found
        powers.append(_Power(degree, *map(float, (factor, shift, constant))))
    return powers


@dataclass(frozen=True, eq=False)
class _Polynomials:
    """Several polynomials, forms of a degree or of at most that degree."""

    coef: Matrix
    n_vars: int
    degree: int
    homogeneous: bool

    @property
    def form_vars(self) -> int:
        """Variables of their homogenisation."""
        return self.n_vars + (not self.homogeneous)


Layers = list[tuple[Matrix, Matrix]]


def _write(chain: Chain, powers: list[_Power], layers: Layers, theta: Matrix) -> bool:
    """Set parameters from weights and biases of layers with plain powers y' = z^r between them."""
    before = _Power(1, 1.0, 0.0, 0.0)
    for stage, (weights, biases), following in zip(chain.stages, layers, [*powers, before]):
        # The activation makes c y' + k of z = y + shift.
        matrix = weights / before.factor
        if not stage.write(theta, matrix, biases + following.shift - before.constant * matrix.sum(axis=1)):
            return False
        before = following
    return bool(np.isfinite(theta).all())


def _solve(
    f: _Polynomials, stages: Sequence[Stage], degrees: list[int], attempt: int, rng: np.random.Generator
) -> Layers | None:
    """Weights and biases of each stage, for plain powers of these degrees.

    Where both are possible, the first layer comes before the last one in every other attempt.
    """
    if len(degrees) == 1:
        return _one_hidden_layer(f, stages, degrees[0], rng)
    narrow, wide = stages[0].n_out <= f.n_vars, stages[-1].n_in <= len(f.coef)
    if narrow and (attempt % 2 == 0 or not wide):
        begun = _first_layer(stages[0], degrees[0], f, rng)
        if begun is None:
            return None
        weights, biases, inner = begun
        rest = _solve(inner, stages[1:], degrees[1:], attempt, rng)
        return None if rest is None else [(weights, biases), *rest]
    ended = _last_layer(stages[-1], degrees[-1], f, attempt < _ATTEMPTS // 2, rng)
    if ended is None:
        return None
    inner, weights, biases = ended
    rest = _solve(inner, stages[:-1], degrees[:-1], attempt, rng)
    return None if rest is None else [*rest, (weights, biases)]


def _one_hidden_layer(f: _Polynomials, stages: Sequence[Stage], degree: int, rng: np.random.Generator) -> Layers | None:
    basis = MonomialBasis(f.n_vars, f.degree, f.homogeneous)
    found = solve_shallow(Chain(tuple(stages), ((*(0,) * degree, 1),), basis, 0), f.coef, rng)
    return None if found is None else [(found.weights, found.biases), (found.outer, found.constant)]


# --- the last layer ---------------------------------------------------------------------------------------------------


def _last_layer(
    stage: Stage, r: int, f: _Polynomials, minimal: bool, rng: np.random.Generator
) -> tuple[_Polynomials, Matrix, Matrix] | None:
    """The polynomials g, A and b with f = A g^r + b, or None; there must be as many f as g."""
    width, m, degree = stage.n_in, f.form_vars, f.degree
    constant = np.eye(1, f.coef.shape[1])  # x_0^degree
    with_bias = stage.has_constant and not f.homogeneous
    if len(f.coef) < width:
        return None
    forms = np.vstack([f.coef / np.linalg.norm(f.coef), constant]) if with_bias else f.coef
    roots = roots_in_space(forms, m, degree, r, width + with_bias, rng, minimal)
    if roots is None:
        return None
    if with_bias:
        cosines = np.abs(roots[:, 0]) / np.linalg.norm(roots, axis=1)
        roots = np.delete(roots, int(np.argmax(cosines)), axis=0)
    if len(roots) != width:
        return None
    columns = np.array([power_of(root, m, degree // r, r) for root in roots])
    if with_bias:
        columns = np.vstack([columns, constant])
    solution = np.linalg.lstsq(columns.T, f.coef.T, rcond=None)[0].T
    biases = solution[:, -1] if with_bias else np.zeros(len(f.coef))
    return _Polynomials(roots, f.n_vars, degree // r, f.homogeneous), solution[:, :width], biases


# --- the first layer --------------------------------------------------------------------------------------------------


def _first_layer(
    stage: Stage, r: int, f: _Polynomials, rng: np.random.Generator
) -> tuple[Matrix, Matrix, _Polynomials] | None:
    """W, b, and f as polynomials in y = (W x + b)^r, or None."""
    width, n_vars, degree = stage.n_out, f.n_vars, f.degree
    top = f.coef if f.homogeneous else f.coef[:, -multinomials(n_vars, degree).size :]
    directions = _essential(top, n_vars, degree, width)
    if directions is None:
        return None
    duals = _reflections(substitute(top, n_vars, degree, directions), width, degree, r, rng)
    if duals is None:
        return None
    columns = directions @ duals
    weights = np.linalg.pinv(columns)
    shift = np.zeros(n_vars)
    if f.homogeneous:
        moved = substitute(f.coef, n_vars, degree, columns)
    else:
        shift = _centre(f.coef, n_vars, degree, columns) if stage.has_constant else shift
        affine = np.zeros((n_vars + 1, width + 1))
        affine[0, 0], affine[1:, 0], affine[1:, 1:] = 1, shift, columns
        moved = substitute(f.coef, n_vars + 1, degree, affine)
    m = width + (not f.homogeneous)
    positions = MonomialBasis(m, degree, homogeneous=True).index(form_exponents(m, degree // r) * r)
    inner = moved[:, np.asarray(positions, dtype=np.int64)]
    return weights, -weights @ shift, _Polynomials(inner, width, degree // r, f.homogeneous)


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


# --- reflections ------------------------------------------------------------------------------------------------------


def _reflections(forms: Matrix, m: int, degree: int, r: int, rng: np.random.Generator) -> Matrix | None:
    """The dual basis (m, m), as columns, of m linear forms that occur in r-th powers only; None if none is found."""
    found: list[Matrix] = []
    space = minimal_coordinates(forms, m, degree)
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
        # Nearly singular weights leave few digits to the forms in good coordinates: the residual can be large, and only
        # the coefficients of the whole network tell what it is worth.
        return unknowns[best] if np.isfinite(values[best]) else None

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
