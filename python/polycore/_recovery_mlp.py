# SPDX-License-Identifier: BSD-3-Clause
"""Parameters of fully connected networks from their coefficients: linear ones, and those with one nonlinear layer.

A chain of affine maps and activations is read as *stages*: maximal runs of affine maps with activations c z + k between
them, which are one affine map of bounded rank, separated by activations of degree 2 or more.

One stage is factored by singular values. Two stages around an activation p of degree r are a sum of powers: with
p(z) = c (z − a)^r + k absorbed by biases, output o is Σ_i A_oi (ũ_i · x̃)^r + β_o x_0^r after homogenisation by x_0. The
last term is unknown, so that the partial derivatives by the other variables are decomposed, which do not contain it:
∂_j f_o = Σ_i r A_oi ũ_ij (ũ_i · x̃)^(r−1). Other activations are read from the top degree down: that part determines
the directions of the weights, and the parts below it, in which each unit has one coefficient, biases and lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import comb, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._recovery_powers import decompositions, derivatives, is_unique, multinomials, obstruction, power_coefficients
from .monomials import MonomialBasis, form_exponents
from .program import Activation, Affine, Number, Program
from .symmetries import as_shifted_power

Matrix = NDArray[Any]

# Least-squares problems with a smaller quotient of singular values do not determine what they are asked for.
_DETERMINED = 1e-9
# A unit whose weights are shorter than this, beside its bias, is a constant.
_CONSTANT_UNIT = 1e-13
# What a unit contributes at most, beside the largest, if that is rounding.
_NO_INFLUENCE = 1e-13


@dataclass(frozen=True)
class Layer:
    """An affine map of a chain, and where its parameters are."""

    n_in: int
    n_out: int
    start: int
    bias: bool

    @property
    def weights(self) -> slice:
        """Of W, row-major."""
        return slice(self.start, self.start + self.n_in * self.n_out)

    @property
    def biases(self) -> slice:
        """Of b."""
        return slice(self.weights.stop, self.weights.stop + self.n_out * self.bias)


@dataclass(frozen=True)
class Stage:
    """Affine maps with activations c z + k, given as (k, c), between them: one affine map of bounded rank."""

    layers: tuple[Layer, ...]
    between: tuple[tuple[Number, Number], ...]

    @property
    def n_in(self) -> int:
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        return self.layers[-1].n_out

    @property
    def max_rank(self) -> int:
        """Of the linear part."""
        return min(self.n_in, *(layer.n_out for layer in self.layers))

    @property
    def has_constant(self) -> bool:
        """Whether the map can have a constant term."""
        return any(layer.bias for layer in self.layers) or any(k != 0 for k, _ in self.between)

    def read(self, theta: Matrix) -> tuple[Matrix, Matrix]:
        """The map M x + t that parameters make."""
        first = self.layers[0]
        matrix, constant = np.eye(first.n_in), np.zeros(first.n_in)
        for layer, (k, c) in zip(self.layers, ((0, 1), *self.between)):
            weights = theta[layer.weights].reshape(layer.n_out, layer.n_in)
            matrix, constant = float(c) * weights @ matrix, weights @ (float(c) * constant + float(k))
            if layer.bias:
                constant = constant + theta[layer.biases]
        return matrix, constant

    def write(self, theta: Matrix, matrix: Matrix, constant: Matrix) -> bool:
        """Set parameters that make a map, or nearly; False if that is not known how."""
        if len(self.layers) == 1:
            return _write_layer(theta, self.layers[0], matrix, constant)
        if not self.layers[-1].bias:
            return self._write_from_last_bias(theta, matrix, constant)
        n = len(self.layers)
        left, sizes, right = np.linalg.svd(matrix / prod(float(c) for _, c in self.between), full_matrices=False)
        rank = min(self.max_rank, len(sizes))
        roots = sizes[:rank] ** (1 / n)
        left, right = left[:, :rank] * roots, roots[:, None] * right[:rank]
        for position, layer in enumerate(self.layers):
            weights = np.zeros((layer.n_out, layer.n_in))
            if position == 0:
                weights[:rank] = right
            elif position == n - 1:
                weights[:, :rank] = left
            else:
                weights[np.arange(rank), np.arange(rank)] = roots
            theta[layer.weights] = weights.ravel()
            theta[layer.biases] = 0
        last = self.layers[-1]
        theta[last.biases] = constant - self.read(theta)[1]
        return True

    def _write_from_last_bias(self, theta: Matrix, matrix: Matrix, constant: Matrix) -> bool:
        """Layers after the last bias are linear maps of the values of that layer, its bias included."""
        split = max((i + 1 for i, layer in enumerate(self.layers) if layer.bias), default=0)
        if any(k != 0 for k, _ in self.between[max(0, split - 1) :]):
            return False
        # Without a bias the chain factors the matrix, else the matrix and the constant beside it.
        whole = matrix if split == 0 else np.column_stack([matrix, constant])
        tail = Stage(
            tuple(
                Layer(layer.n_in if i else whole.shape[1], layer.n_out, layer.start, True)
                for i, layer in enumerate(self.layers)
            ),
            tuple((0, c) for _, c in self.between),
        )
        if split == 0:
            scratch = _Scratch(tail)
            scratch.stage.write(scratch.theta, whole, np.zeros(self.n_out))
            scratch.copy_weights(theta, self.layers)
            return True
        inner = min(layer.n_out for layer in self.layers[split - 1 :])
        left, sizes, right = np.linalg.svd(whole, full_matrices=False)
        rank = min(inner, len(sizes))
        width = self.layers[split - 1].n_out
        c = float(self.between[split - 1][1])
        values = np.zeros((width, whole.shape[1]))
        values[:rank] = np.sqrt(sizes[:rank])[:, None] * right[:rank] / c
        after = np.zeros((self.n_out, width))
        after[:, :rank] = left[:, :rank] * np.sqrt(sizes[:rank])
        head = Stage(self.layers[:split], self.between[: split - 1])
        rest = Stage(self.layers[split:], self.between[split:])
        return head.write(theta, values[:, :-1], values[:, -1]) and rest.write(theta, after, np.zeros(self.n_out))


class _Scratch:
    """A stage with a bias in its last layer and parameters of its own, whose weights are copied from."""

    def __init__(self, stage: Stage) -> None:
        start, layers = 0, []
        for layer in stage.layers:
            layers.append(Layer(layer.n_in, layer.n_out, start, True))
            start = layers[-1].biases.stop
        self.stage, self.theta = Stage(tuple(layers), stage.between), np.zeros(start)

    def copy_weights(self, theta: Matrix, layers: tuple[Layer, ...]) -> None:
        for own, other in zip(self.stage.layers, layers):
            theta[other.weights] = self.theta[own.weights]


def _write_layer(theta: Matrix, layer: Layer, matrix: Matrix, constant: Matrix) -> bool:
    theta[layer.weights] = matrix.ravel()
    if layer.bias:
        theta[layer.biases] = constant
    return True


@dataclass(frozen=True)
class Chain:
    """A fully connected network as stages, and the activations of degree >= 2 between them."""

    stages: tuple[Stage, ...]
    activations: tuple[tuple[Number, ...], ...]
    basis: MonomialBasis
    n_params: int

    @classmethod
    def from_program(cls, program: Program) -> Chain | None:
        """None if the program is not a chain that starts and ends with affine maps of whole slots."""
        if any(instruction.inputs != (k,) for k, instruction in enumerate(program.instructions)):
            return None
        instructions = program.instructions
        starts = {block.instruction: block for block in reversed(program.parameters) if block.kind == "W"}
        if not isinstance(instructions[0], Affine) or not isinstance(instructions[-1], Affine):
            return None
        layers: list[Layer] = []
        gaps: list[tuple[Number, ...]] = []
        for k, instruction in enumerate(instructions):
            if isinstance(instruction, Affine):
                if instruction.windows is not None:
                    return None
                if len(layers) > len(gaps):
                    gaps.append((0, 1))
                block = starts[k]
                layers.append(Layer(block.shape[1], block.shape[0], block.start, instruction.bias))
            elif isinstance(instruction, Activation) and len(gaps) < len(layers):
                if instruction.degree == 0:
                    return None
                gaps.append(instruction.numbers)
            else:
                return None
        cuts = [0, *(i + 1 for i, gap in enumerate(gaps) if len(gap) > 2), len(layers)]
        stages = tuple(
            Stage(tuple(layers[i:j]), tuple((gap[0], gap[1]) for gap in gaps[i : j - 1])) for i, j in pairwise(cuts)
        )
        return cls(stages, tuple(gap for gap in gaps if len(gap) > 2), program.basis, program.n_params)

    @property
    def is_affine(self) -> bool:
        """Whether it is one affine map."""
        return len(self.stages) == 1 and len(self.stages[0].layers) == 1

    def part(self, coef: Matrix, degree: int) -> Matrix:
        """The forms of one degree in polynomials."""
        n = self.basis.n_vars
        if self.basis.homogeneous:
            size = comb(n - 1 + degree, degree)
            return coef if degree == self.basis.degree else np.zeros((len(coef), size))
        return coef[:, comb(n + degree - 1, n) if degree else 0 : comb(n + degree, n)]


# --- one stage --------------------------------------------------------------------------------------------------------


def recover_linear(chain: Chain, coef: Matrix) -> Iterator[tuple[Matrix, str]]:
    """Parameters of a network that is one affine map."""
    theta = np.zeros(chain.n_params)
    if chain.stages[0].write(theta, chain.part(coef, 1), chain.part(coef, 0)[:, 0]):
        yield theta, "factorisation by singular values"


def explain_linear(chain: Chain, coef: Matrix) -> tuple[bool | None, str]:
    """Whether the parameters of several linear layers are the only ones up to permutations and scalings, and why."""
    stage = chain.stages[0]
    widths = [stage.n_in, *(layer.n_out for layer in stage.layers)]
    rank = _rank(chain.part(coef, 1), 1e-9)
    if max(widths[1:-1]) > 1:
        least = min(widths)
        if rank == least and all(min(pair) == least for pair in pairwise(widths)) and not stage.has_constant:
            # The ranks of all partial products are forced, and they classify representations of a chain of maps.
            return False, "the factors of a matrix are unique only up to invertible linear maps of the hidden layers"
        return False, "hidden layers that are linear can be transformed, and the next weights undo it"
    n_biases = sum(layer.bias for layer in stage.layers)
    if n_biases > 1:
        return False, "a bias can be shifted, and a later one undoes it"
    if rank == 1 and all(k == 0 for k, _ in stage.between):
        return True, "the factors of a matrix of rank one are unique up to scalings"
    return None, _UNDECIDED


def obstruct_linear(chain: Chain, coef: Matrix, margin: float) -> str:
    """Why coefficients are not those of any linear network, or ""."""
    stage = chain.stages[0]
    rank = _rank(chain.part(coef, 1), margin)
    if rank > stage.max_rank:
        return f"the matrix of the linear part has rank {rank}, and the narrowest layer has width {stage.max_rank}"
    if stage.has_constant or not chain.part(coef, 0).any():
        return ""
    return "there are constant terms, and no bias makes them"


# --- two stages -------------------------------------------------------------------------------------------------------


def recover_shallow(chain: Chain, coef: Matrix, rng: np.random.Generator) -> Iterator[tuple[Matrix, str]]:
    """Candidates for the parameters of a network with one hidden layer of degree r >= 2, and how they were found."""
    for hidden, method in _hidden_layers(chain, coef, rng):
        theta = np.zeros(chain.n_params)
        if _write_shallow(chain, hidden, theta):
            yield theta, method


def obstruct_shallow(chain: Chain, coef: Matrix, rng: np.random.Generator, margin: float) -> str:
    """Why coefficients are not those of any network with one hidden layer, or ""."""
    first, last = chain.stages
    p = chain.activations[0]
    k, n, r = first.n_out, first.n_in, len(p) - 1
    power = as_shifted_power(tuple(p))
    problems: list[tuple[Matrix, int, int, int]] = [(chain.part(coef, r), n, r, 0)]
    if power is not None and first.has_constant and (last.has_constant or not power[3]):
        problems += _homogenised(chain, coef, n, r, last.has_constant)
    for forms, m, s, extra in problems:
        if s > 1 and m > 1 and forms.any():
            reason = obstruction(forms, m, s, k + extra, rng, margin)
            if reason:
                what = "the part of the highest degree" if m == n and first.has_constant else "the function"
                return f"{what} is no sum of at most {k} powers over the reals: {reason}"
    return ""


def solve_shallow(chain: Chain, coef: Matrix, rng: np.random.Generator) -> Hidden | None:
    """The best candidate for a network with one hidden layer, with as many units as it has room for."""
    best: tuple[float, Hidden] | None = None
    for hidden, _ in _hidden_layers(chain, coef, rng):
        filled = _fill(chain, hidden)
        misfit = np.inf if filled is None else float(np.linalg.norm(_expand(chain, filled) - coef))
        if filled is not None and (best is None or misfit < best[0]):
            best = misfit, filled
        if misfit < 1e-10 * np.linalg.norm(coef):
            break
    return None if best is None else best[1]


def _expand(chain: Chain, hidden: Hidden) -> Matrix:
    """Coefficients of units."""
    p, n = chain.activations[0], hidden.weights.shape[1]
    if chain.basis.homogeneous:
        return np.asarray(float(p[-1]) * hidden.outer @ power_coefficients(hidden.weights, len(p) - 1))
    total = np.zeros((len(hidden.outer), chain.basis.n_monomials))
    total[:, 0] = hidden.constant
    vectors = np.column_stack([hidden.biases, hidden.weights])
    for degree, c in enumerate(p):
        # Polynomials of a lower degree are the first coefficients.
        total[:, : comb(n + degree, n)] += float(c) * hidden.outer @ power_coefficients(vectors, degree)
    return total


@dataclass(frozen=True, eq=False)
class Hidden:
    """Units Σ_i A_oi p(w_i · x + b_i) + t_o."""

    weights: Matrix  # (k, n)
    biases: Matrix  # (k,)
    outer: Matrix  # (O, k)
    constant: Matrix  # (O,)


def _hidden_layers(chain: Chain, coef: Matrix, rng: np.random.Generator) -> Iterator[tuple[Hidden, str]]:
    first, last = chain.stages
    p = chain.activations[0]
    k, n, r = first.n_out, first.n_in, len(p) - 1
    power = as_shifted_power(tuple(p))
    if power is not None:
        _, c, shift, constant = power
        absorbed = (first.has_constant or not shift) and (last.has_constant or not constant)
        if absorbed and first.has_constant:
            for forms, m, s, extra in _homogenised(chain, coef, n, r, last.has_constant):
                for found in decompositions(forms, m, s, k + extra, rng):
                    vectors = _without_constant(found.vectors) if extra else found.vectors
                    yield _solve_power(coef, vectors[:k], r, c, shift, constant, last.has_constant), found.method
        elif absorbed:
            top = chain.part(coef, r)
            for found in decompositions(top, n, r, k, rng):
                outer = _fit(power_coefficients(found.vectors, r), top) / float(c)
                t = chain.part(coef, 0)[:, 0] - float(constant) * outer.sum(axis=1)
                yield Hidden(found.vectors, np.zeros(len(found.vectors)), outer, t), found.method
    for found in decompositions(chain.part(coef, r), n, r, k, rng):
        hidden = _from_top(chain, coef, found.vectors, p)
        if hidden is not None:
            yield hidden, f"{found.method} of the part of the highest degree"


def _homogenised(chain: Chain, coef: Matrix, n: int, r: int, constant: bool) -> Iterator[tuple[Matrix, int, int, int]]:
    """Forms in n + 1 variables, their number of variables and degree, and how many powers of x_0 are among them."""
    if not constant:
        yield coef, n + 1, r, 0
        return
    if r == 2 and len(coef) == 1:
        # The square of x_0 has a free coefficient: one that makes the rank of the quadratic form least.
        quadratic, linear = chain.part(coef, 2), chain.part(coef, 1)
        matrix = np.zeros((n, n))
        exponents = form_exponents(n, 2)
        for value, row in zip(quadratic[0] / multinomials(n, 2), exponents):
            i, j = np.repeat(np.arange(n), row)
            matrix[i, j] = matrix[j, i] = value
        completed = coef.copy()
        completed[0, 0] = linear[0] @ np.linalg.pinv(matrix, rcond=_DETERMINED, hermitian=True) @ linear[0] / 4
        yield completed, n + 1, 2, 0
        return
    if r > 2:
        yield derivatives(coef, n + 1, r, range(1, n + 1)), n + 1, r - 1, 0
    yield coef, n + 1, r, 1


def _without_constant(vectors: Matrix) -> Matrix:
    """Without the vector that is closest to x_0."""
    cosines = np.abs(vectors[:, 0]) / np.linalg.norm(vectors, axis=1)
    return np.delete(vectors, int(np.argmax(cosines)), axis=0)


def _solve_power(
    coef: Matrix, vectors: Matrix, r: int, c: Fraction, shift: Fraction, constant: Fraction, biased: bool
) -> Hidden:
    """c (z − shift)^r + constant with z − shift = u · (1, x)."""
    columns = power_coefficients(vectors, r)
    if biased:
        columns = np.vstack([columns, np.eye(1, columns.shape[1])])
    solution = _fit(columns, coef)
    outer = solution[:, : len(vectors)] / float(c)
    t = solution[:, -1] if biased else np.zeros(len(coef))
    return Hidden(vectors[:, 1:], vectors[:, 0] + float(shift), outer, t - float(constant) * outer.sum(axis=1))


def _from_top(chain: Chain, coef: Matrix, vectors: Matrix, p: tuple[Number, ...]) -> Hidden | None:
    """Lengths and biases of units with given directions, from the parts below the highest degree.

    Unit i is A_i Σ_j ρ_ij z^j in z = u_i · x, with ρ_ir = 1. If w_i = t u_i and p(z) = Σ e_j (z + h)^j without a term
    of degree r − 1, then b_i + h = t ρ_i,r−1 / r =: t m, and the coefficients in powers of z + m are e_j t^(j−r) / e_r.
    Without a bias ρ_ij = p_j t^(j−r) / p_r. Either way t is a root of a quotient.
    """
    first, last = chain.stages
    r, biased = len(p) - 1, first.has_constant
    numbers = [Fraction(c) for c in p]
    outer = _fit(power_coefficients(vectors, r), chain.part(coef, r))
    profile = {r: np.ones(len(vectors))}
    for j in range(r - 1, 0 if last.has_constant else -1, -1):
        solution = _profile(chain.part(coef, j), outer, vectors, j)
        if solution is None:
            break
        profile[j] = solution
    if biased and r - 1 not in profile:
        return None
    m = profile[r - 1] / r if biased else np.zeros(len(vectors))
    lengths = _lengths(chain, coef, vectors, outer, profile, m)
    if lengths is None:
        return None
    h = float(numbers[r - 1] / (r * numbers[r])) if biased else 0.0
    biases = m * lengths - h if biased else np.zeros(len(vectors))
    outer = outer / (float(numbers[r]) * lengths**r)
    values = np.polynomial.polynomial.polyval(biases, [float(c) for c in p])
    constant = chain.part(coef, 0)[:, 0] - outer @ values
    return Hidden(vectors * lengths[:, None], biases, outer, constant)


def _lengths(
    chain: Chain, coef: Matrix, vectors: Matrix, outer: Matrix, profile: dict[int, Matrix], m: Matrix
) -> Matrix | None:
    """The t_i of `_from_top`; any that fit if there are many, ones if it does not matter, None if there are none."""
    first, last = chain.stages
    p = [Fraction(c) for c in chain.activations[0]]
    r, lowest = len(p) - 1, 1 if last.has_constant else 0
    centred = _centred(p, first.has_constant)
    informative = [j for j in range(r - 1, lowest - 1, -1) if centred[j] != 0]
    if not informative:
        return np.ones(len(vectors))
    determined = [j for j in informative if j in profile]
    j = next((j for j in determined if (r - j) % 2), informative[0])
    factor = float(centred[j] / p[r])
    if j in profile:
        gamma = sum(profile[i] * comb(i, j) * (-m) ** (i - j) for i in range(j, r + 1))
    else:
        # No other e_i with i > j matters. There are many solutions; where t^(j−r) is positive, one is looked for.
        columns = _terms(outer, vectors, j)
        right = chain.part(coef, j).ravel() - columns @ (comb(r, j) * m ** (r - j))
        gamma = _solution(columns, right, float(np.sign(factor)) if (r - j) % 2 == 0 else 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = factor / np.asarray(gamma)
        if (r - j) % 2 == 0 and not (ratio > 0).all():
            return None
        lengths = np.sign(ratio) * np.abs(ratio) ** (1 / (r - j))
    return lengths if np.isfinite(lengths).all() and lengths.all() else None


def _solution(columns: Matrix, right: Matrix, sign: float) -> Matrix:
    """A solution of an underdetermined system, with entries of one sign and away from zero if that is asked for."""
    least = np.linalg.lstsq(columns, right, rcond=None)[0]
    if not sign:
        return np.asarray(least)
    from scipy.optimize import nnls  # which takes a while, and importing polycore must not

    best: tuple[float, Matrix] = np.inf, least
    for bound in np.linalg.norm(least) * 2.0 ** -np.arange(12):
        rest, misfit = nnls(sign * columns, right - sign * bound * columns.sum(axis=1))
        if misfit < 0.5 * best[0]:
            best = misfit, sign * (rest + bound)
    return best[1]


def _centred(p: list[Fraction], biased: bool) -> list[Fraction]:
    """The coefficients e_j in powers of z + h of which none has degree r − 1; with h = 0 if there is no bias."""
    r = len(p) - 1
    h = p[r - 1] / (r * p[r]) if biased else Fraction(0)
    return [sum((p[i] * comb(i, j) * (-h) ** (i - j) for i in range(j, r + 1)), Fraction(0)) for j in range(r + 1)]


def _profile(part: Matrix, outer: Matrix, vectors: Matrix, j: int) -> Matrix | None:
    """ρ with Σ_i ρ_i A_oi (u_i · x)^j closest to the forms of degree j; None if they do not determine it."""
    columns = _terms(outer, vectors, j)
    if _rank(columns, _DETERMINED) < len(vectors):
        return None
    return np.asarray(np.linalg.lstsq(columns, part.ravel(), rcond=None)[0])


def _terms(outer: Matrix, vectors: Matrix, j: int) -> Matrix:
    """The coefficients of A_i (u_i · x)^j, one column a unit."""
    return np.asarray((outer[:, None, :] * power_coefficients(vectors, j).T[None]).reshape(-1, len(vectors)))


def _write_shallow(chain: Chain, hidden: Hidden, theta: Matrix) -> bool:
    filled = _fill(chain, hidden)
    if filled is None:
        return False
    first, last = chain.stages
    return first.write(theta, filled.weights, filled.biases) and last.write(theta, filled.outer, filled.constant)


def _fill(chain: Chain, hidden: Hidden) -> Hidden | None:
    """Balanced, with exactly as many units as there are, the most important first; None if not finite."""
    first, last = chain.stages
    k = first.n_out
    order = np.argsort(-np.linalg.norm(hidden.outer, axis=0), kind="stable")[:k]
    found = len(order)
    weights, biases, outer = np.zeros((k, first.n_in)), np.zeros(k), np.zeros((last.n_out, k))
    weights[:found], biases[:found], outer[:, :found] = (
        hidden.weights[order],
        hidden.biases[order],
        hidden.outer[:, order],
    )
    if not all(np.isfinite(array).all() for array in (weights, biases, outer, hidden.constant)):
        return None
    balance(weights, biases, outer, chain.activations[0])
    return Hidden(weights, biases, outer, hidden.constant)


def balance(weights: Matrix, biases: Matrix, outer: Matrix, p: tuple[Number, ...]) -> None:
    """Scale units with a power activation so that weights before and after it are equally long, in place."""
    if any(c != 0 for c in p[:-1]):
        return
    r = len(p) - 1
    before = np.sqrt((weights**2).sum(axis=1) + biases**2)
    after = np.linalg.norm(outer, axis=0)
    sizes = after * before**r
    usable = sizes > 1e-13 * sizes.max(initial=0.0)
    scale = np.ones(len(weights))
    scale[usable] = (after[usable] / before[usable]) ** (1 / (r + 1))
    weights *= scale[:, None]
    biases *= scale
    outer /= scale**r


def explain_shallow(chain: Chain, theta: Matrix) -> tuple[bool | None, str]:
    """Whether parameters with one hidden layer are the only ones with their function, up to symmetries, and why."""
    first, last = chain.stages
    p = chain.activations[0]
    r = len(p) - 1
    weights, biases = first.read(theta)
    outer, _ = last.read(theta)
    if len(first.layers) > 1 or len(last.layers) > 1:
        return (False, "linear layers can be transformed") if _has_wide_linear(chain) else (None, _UNDECIDED)
    lengths, sizes = np.linalg.norm(weights, axis=1), np.linalg.norm(outer, axis=0)
    scale = lengths + np.abs(biases)
    influence = sizes * scale**r
    if (influence <= _NO_INFLUENCE * influence.max()).any():
        return False, "a hidden unit has no influence and can be changed"
    if (lengths <= _CONSTANT_UNIT * scale).any():
        constant = "a hidden unit is constant"
        return (False, f"{constant}, and a bias undoes its changes") if last.has_constant else (None, constant)
    if r == 2 and last.n_out == 1 and first.n_out > 1:
        return False, "a sum of squares is invariant under orthogonal maps of its units"
    power = as_shifted_power(tuple(p))
    theorem = "the decomposition into powers is unique, by the theorems of Jennrich and Kruskal"
    if power is not None and (first.has_constant or not power[2]) and (last.has_constant or not power[3]):
        if not first.has_constant:
            return (True, theorem) if is_unique(weights, outer, r) else (None, _UNDECIDED)
        vectors = np.column_stack([biases - float(power[2]), weights])
        if not last.has_constant:
            return (True, theorem) if is_unique(vectors, outer, r) else (None, _UNDECIDED)
        slopes = (outer[:, None, :] * weights.T[None]).reshape(-1, len(weights))
        if r > 2 and is_unique(vectors, slopes, r - 1):
            return True, theorem
        with_constant = np.vstack([vectors, np.eye(1, vectors.shape[1])])
        if is_unique(with_constant, np.column_stack([outer, outer.sum(axis=1)]), r):
            return True, theorem
    if is_unique(weights, outer, r) and _determines_lengths(chain, weights, outer):
        return True, f"{theorem}, of the part of the highest degree, and the parts below it give lengths and biases"
    return None, _UNDECIDED


def _determines_lengths(chain: Chain, weights: Matrix, outer: Matrix) -> bool:
    """Whether the parts below the highest degree determine lengths and biases of units with known directions.

    `_from_top` needs coefficients of the units in one degree with e_j ≠ 0, of another parity than r if there is one;
    they are determined if the terms A_i (u_i · x)^j are independent, and then also above that degree.
    """
    first, last = chain.stages
    p = [Fraction(c) for c in chain.activations[0]]
    r, lowest = len(p) - 1, 1 if last.has_constant else 0
    needed = [r - 1] if first.has_constant else []
    informative = [j for j in range(r - 1, lowest - 1, -1) if _centred(p, first.has_constant)[j] != 0]
    if informative:
        needed.append(next((j for j in informative if (r - j) % 2), informative[0]))
    if not needed:
        return True
    columns = _terms(outer, weights, min(needed))
    return _rank(columns / np.linalg.norm(columns, axis=0), 1e-7) == len(weights)


_UNDECIDED = "no theorem decides whether other parameters have these coefficients"


def _has_wide_linear(chain: Chain) -> bool:
    return any(layer.n_out > 1 for stage in chain.stages for layer in stage.layers[:-1])


# --- polynomials ------------------------------------------------------------------------------------------------------


def _fit(columns: Matrix, coef: Matrix) -> Matrix:
    """The combinations (O, k) of the rows of ``columns`` (k, N) closest to ``coef`` (O, N)."""
    return np.asarray(np.linalg.lstsq(columns.T, coef.T, rcond=1e-13)[0].T)


def _rank(matrix: Matrix, tol: float) -> int:
    sizes = np.linalg.svd(matrix, compute_uv=False)
    return int(np.count_nonzero(sizes > tol * sizes[0])) if len(sizes) and sizes[0] > 0 else 0
