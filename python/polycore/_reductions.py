# SPDX-License-Identifier: BSD-3-Clause
"""Which part of a network a parameter vector makes use of: units, filters and heads that can be left out.

A parameter vector is reduced step by step to that of a smaller program with the same function, and each step can be
taken back: with what was there (which brings a float vector that is *nearly* degenerate to one that is exactly so), or
with arbitrary numbers (which gives other parameter vectors with the same function).

A unit z can be left out of a layer with activation σ if

* nothing reads it, or its value is constant and the biases of the readers can take it (or it is 0);
* σ(z) = λ σ(z') + κ for another unit z', where κ ≠ 0 needs biases of the readers. With σ(z) = Σ τ_i (z − a)^i about
  its centre a, for which τ_{r−1} = 0, and z − a = t (z' − a), this is so if t^i is the same number λ for all i >= 1
  with τ_i ≠ 0, and then κ = τ_0 (1 − λ): every t for c (z − a)^r + k, t = 1 always, t = −1 for polynomials that are
  even or odd about a;
* σ(z) is any other linear combination of the other units, which is decided for polynomials in the inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._validation import as_residues
from .activations import ActivationPolynomial
from .errors import NumericalError
from .independence import linear_independence
from .monomials import MonomialBasis, count_monomials
from .networks import Network
from .program import Activation, Affine, Coefficient, Program
from .rank import WORD_PRIME, modular_rank
from .structure import (
    AttentionHead,
    Convolution,
    HiddenLayer,
    Parametrised,
    attention_heads,
    convolutions,
    delete_instructions,
    factor_affine,
    hidden_layers,
    places_within,
)

Array = NDArray[Any]

# A relation between units is looked for as one between polynomials only up to so many coefficients.
_MAX_COEFFICIENTS = 2**20
# Units of a layer are compared with all others so many at a time.
_ROWS_AT_A_TIME = 512


# --- what vanishes ----------------------------------------------------------------------------------------------------


class Threshold:
    """Decides what is zero: exactly, or relative to a size that the caller names.

    Parameters
    ----------
    tol : float
        0 for exact numbers.

    Attributes
    ----------
    largest_zero : float
        The largest relative size taken for zero, and
    smallest_nonzero : float
        the smallest one that was not; infinity before there is one.
    """

    def __init__(self, tol: float) -> None:
        self.tol = tol
        self.largest_zero, self.smallest_nonzero = 0.0, math.inf

    @property
    def exact(self) -> bool:
        """Whether numbers are exact."""
        return self.tol == 0

    def vanishes(self, array: Array, scale: Any) -> bool:
        """Whether all entries are zero, compared with ``scale`` >= 0."""
        size = largest(array)
        if self.exact or size == 0:
            return bool(size == 0)
        ratio = float(size / scale) if scale else math.inf
        if ratio <= self.tol:
            self.largest_zero = max(self.largest_zero, ratio)
            return True
        self.smallest_nonzero = min(self.smallest_nonzero, ratio)
        return False


def largest(array: Array) -> Any:
    """The largest absolute value, 0 for none."""
    if array.dtype != object:
        return float(np.abs(array).max(initial=0.0))
    return max(map(abs, array.reshape(-1).tolist()), default=0)


# --- steps ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class UnitStep:
    """A hidden unit that was left out.

    Attributes
    ----------
    layer : HiddenLayer
    unit : int
        Its position in the layer before this step.
    kind : str
        "silent", "constant", "multiple", "dependent".
    before : Parametrised
        What it was left out of.
    factors : tuple of (int, number)
        σ(z_unit) = Σ λ σ(z_other) + κ, other units by their positions before the step.
    constant : number
        κ.
    ratio : number
        Of a multiple: t with z − a = t (z' − a).
    labels : tuple of int
        The numbers that the units before this step have in the whole network.
    reads_nothing : bool
        Whether it is constant because its incoming weights are zero.
    zeroed : bool
        Whether the unit is to be put back without outgoing weights, because the relation is not exact.
    """

    layer: HiddenLayer
    unit: int
    kind: str
    before: Parametrised
    factors: tuple[tuple[int, Any], ...] = ()
    constant: Any = 0
    ratio: Any = 0
    labels: tuple[int, ...] = ()
    reads_nothing: bool = False
    zeroed: bool = False

    def take_back(self, state: Parametrised, random: Callable[[tuple[int, ...]], Array] | None) -> None:
        """Put the unit back: as it was, or with ``random`` incoming weights and no outgoing ones."""
        layer, unit, before = self.layer, self.unit, self.before
        state.insert_unit(layer, unit, before)
        k = layer.before
        if random is not None:
            state.weights[k][unit] = random(state.weights[k][unit].shape)
            if k in state.biases:
                state.biases[k][unit : unit + 1] = random((1,))
            return
        state.weights[k][unit] = before.weights[k][unit]
        if k in state.biases:
            state.biases[k][unit] = before.biases[k][unit]
        if self.kind == "silent" or self.zeroed:
            return
        if self.reads_nothing:
            state.weights[k][unit] = 0 * state.weights[k][unit]
        elif self.kind == "multiple":
            self._copy_direction(state)
        for j in layer.after:
            columns = before.columns_of(layer, j, unit)
            outgoing = before.weights[j][:, columns]
            state.weights[j][:, columns] = outgoing
            for other, factor in self.factors:
                state.weights[j][:, before.columns_of(layer, j, other)] -= factor * outgoing
            if self.constant:
                state.biases[j] = state.biases[j] - self.constant * outgoing.sum(axis=1)

    def _copy_direction(self, state: Parametrised) -> None:
        """Make z − a exactly t (z' − a)."""
        k, ((other, _),) = self.layer.before, self.factors
        state.weights[k][self.unit] = self.ratio * state.weights[k][other]
        if k in state.biases:
            centre = centred(self.layer.coefficients).centre
            state.biases[k][self.unit] = self.ratio * (state.biases[k][other] - centre) + centre

    def exactly(self) -> UnitStep:
        """The same with floats as rationals, the relation as exact as can be."""
        before, coefficients = _exact_state(self.before), self.layer.coefficients
        factors, constant, zeroed = self.factors, Fraction(self.constant), False
        if self.kind == "multiple":
            ((other, _),) = self.factors
            about, t = centred(coefficients), Fraction(self.ratio)
            factors = ((other, t ** about.powers[0]),)
            constant = about.constant * (1 - factors[0][1])
            return replace(self, before=before, ratio=t, factors=factors, constant=constant)
        if self.reads_nothing:
            biases = before.biases.get(self.layer.before)

            def value(unit: int) -> Any:
                return value_at(coefficients, Fraction(0) if biases is None else biases[unit])

            factors = tuple((other, value(self.unit) / value(other)) for other, _ in self.factors)
            constant = value(self.unit) if self.constant else Fraction(0)
            zeroed = not factors and value(self.unit) != constant
        else:
            factors = tuple((other, Fraction(factor)) for other, factor in self.factors)
            zeroed = self.kind in ("constant", "dependent")
        return replace(self, before=before, factors=factors, constant=constant, zeroed=zeroed)


@dataclass(frozen=True)
class LinearStep:
    """Units of a layer with a linear activation whose outgoing weights are dependent: fewer combinations of them do.

    ``outgoing`` = left · ``right`` stacks the weights of all readers, one column a unit; ``right`` is the identity on
    the columns ``kept``.
    """

    layer: HiddenLayer
    right: Array
    kept: tuple[int, ...]
    before: Parametrised
    labels: tuple[int, ...] = ()

    def take_back(self, state: Parametrised, random: Callable[[tuple[int, ...]], Array] | None) -> None:
        """Give the other units back, with what they read as it was or ``random``, and what is to be combined."""
        layer, before = self.layer, self.before
        k, kept = layer.before, list(self.kept)
        lost = [u for u in range(self.right.shape[1]) if u not in self.kept]
        for arrays, old in ((state.weights, before.weights[k]), (state.biases, before.biases.get(k))):
            if old is not None:
                few, wide = arrays[k], old.copy()
                if random is not None:
                    wide[lost] = random(wide[lost].shape)
                wide[kept] = few - self.right[:, lost] @ wide[lost]
                arrays[k] = wide
        state.instructions[k] = before.instructions[k]
        for j in layer.after:
            wide = 0 * before.weights[j]
            few = state.weights[j]
            here = [before.columns_of(layer, j, u) for u in range(self.right.shape[1])]
            there = _columns_after(few.shape[1], here, kept)
            for u in range(self.right.shape[1]):
                wide[:, here[u]] = sum(few[:, there[i]] * self.right[i, u] for i in range(len(kept)))
            state.weights[j], state.instructions[j] = wide, before.instructions[j]


def _columns_after(n_columns: int, columns: list[NDArray[np.intp]], kept: list[int]) -> list[NDArray[np.intp]]:
    """Where the columns of the units that are kept are once those of the others are gone."""
    order = np.sort(np.concatenate([columns[u] for u in kept]))
    assert len(order) == n_columns
    return [np.searchsorted(order, columns[u]) for u in kept]


@dataclass(frozen=True)
class FilterStep:
    """Ends of a filter that are zero: W of an instruction keeps only some columns."""

    instruction: int
    kept: tuple[int, ...]
    before: Parametrised

    def take_back(self, state: Parametrised, random: Callable[[tuple[int, ...]], Array] | None) -> None:
        """Put the zeros back."""
        k = self.instruction
        wide = 0 * self.before.weights[k]
        wide[: state.weights[k].shape[0]][:, list(self.kept)] = state.weights[k]
        state.weights[k], state.instructions[k] = wide, self.before.instructions[k]


@dataclass(frozen=True)
class KeyStep:
    """Keys and queries of a head with KᵀQ of low rank: replaced by fewer rows with the same product."""

    head: AttentionHead
    before: Parametrised

    def take_back(self, state: Parametrised, random: Callable[[tuple[int, ...]], Array] | None) -> None:
        """Put rows of zeros back to the keys, and to the queries too or arbitrary ones."""
        head, before = self.head, self.before
        for k in (head.key, head.query):
            missing = before.weights[k].shape[0] - state.weights[k].shape[0]
            rows = np.zeros((missing, head.d_model), dtype=state.weights[k].dtype)
            if random is not None and k == head.query:
                rows = random(rows.shape)
            state.weights[k] = np.concatenate([state.weights[k], rows])
        for k in (head.key, head.query, head.first, head.last):
            state.instructions[k] = before.instructions[k]


@dataclass(frozen=True)
class ValueStep:
    """Values of a head with V of low rank: V = left · right by way of fewer features, an instruction more."""

    head: AttentionHead
    rank: int
    before: Parametrised

    def take_back(self, state: Parametrised, random: Callable[[tuple[int, ...]], Array] | None) -> None:
        """Multiply the two factors."""
        _take_back_instructions(self, state, state.weights[self.head.value + 1] @ state.weights[self.head.value])


@dataclass(frozen=True)
class HeadStep:
    """A head of several that is zero, left out."""

    head: AttentionHead
    kind: str
    dead: tuple[int, ...]
    before: Parametrised

    def take_back(self, state: Parametrised, random: Callable[[tuple[int, ...]], Array] | None) -> None:
        """Put the head back: with V = 0 if keys and queries are to be arbitrary, or with KᵀQ = 0."""
        before, head = self.before, self.head
        weights, biases = iter(state.weights[k] for k in sorted(state.weights)), dict(state.biases)
        order = [k for k in sorted(before.weights) if k not in self.dead]
        restored = dict(zip(order, weights))
        bias_order = [k for k in sorted(before.biases) if k not in self.dead]
        state.biases = dict(zip(bias_order, (biases[k] for k in sorted(biases))))
        for k in (head.key, head.query, head.value):
            old = before.weights[k]
            if random is None:
                silent = head.value if self.kind == "values" else head.key
                restored[k] = 0 * old if k == silent else old.copy()
            else:
                restored[k] = 0 * old if k == head.value else random(old.shape)
        state.weights = restored
        state.instructions, state.origins = list(before.instructions), list(before.origins)


def _take_back_instructions(step: ValueStep, state: Parametrised, product: Array) -> None:
    k = step.head.value
    shifted = {j - (j > k): w for j, w in state.weights.items() if j != k}
    shifted[k] = product
    state.weights = shifted
    state.origins = list(step.before.origins)
    state.biases = {j - (j > k): b for j, b in state.biases.items()}
    # What was cut down later in the same program has been put back by now.
    state.instructions = list(step.before.instructions)


Step = UnitStep | LinearStep | FilterStep | KeyStep | ValueStep | HeadStep


@dataclass(frozen=True)
class Reduction:
    """A parametrised program cut down as far as it goes, and the steps that led there."""

    state: Parametrised
    steps: tuple[Step, ...]

    def take_back(self, random: Callable[[tuple[int, ...]], Array] | None = None) -> Parametrised:
        """The program as it was, with parameters of the same function; see the steps for ``random``."""
        state = self.state.copy()
        for step in reversed(self.steps):
            step.take_back(state, random)
        for step in self.steps:
            # Units that came back later may be read, too, by one that nothing reads.
            if random is not None and isinstance(step, UnitStep):
                row = state.weights[step.before.origins[step.layer.before]][step.labels[step.unit]]
                row[...] = random(row.shape)
        return state


def exactly(reduction: Reduction) -> Reduction:
    """The reduction of a float vector in exact numbers: floats are the dyadic rationals they stand for.

    Taking it back gives parameters of exactly the function of the smaller program.
    """
    steps = list[Step]()
    for step in reduction.steps:
        if isinstance(step, UnitStep):
            steps.append(step.exactly())
        elif isinstance(step, LinearStep):
            steps.append(replace(step, before=_exact_state(step.before), right=_exact_array(step.right)))
        else:
            steps.append(replace(step, before=_exact_state(step.before)))
    return Reduction(_exact_state(reduction.state), tuple(steps))


def _exact_state(state: Parametrised) -> Parametrised:
    result = state.copy()
    result.weights = {k: _exact_array(w) for k, w in state.weights.items()}
    result.biases = {k: _exact_array(b) for k, b in state.biases.items()}
    return result


def _exact_array(array: Array) -> Array:
    if array.dtype == object:
        return array
    result = np.empty(array.shape, dtype=object)
    result.reshape(-1)[:] = [Fraction(x) for x in array.reshape(-1).tolist()]
    return result


def reduce(program: Program, theta: Array, tol: float) -> tuple[Reduction, Threshold]:
    """Leave out of a program whatever the parameters make no use of.

    Parameters
    ----------
    program : Program
        Without indeterminates.
    theta : ndarray, shape (n_params,)
        float64, or dtype object with ints and Fractions.
    tol : float
        Relative sizes up to this are zero; 0 with exact parameters.

    Raises
    ------
    NumericalError
        If floats overflow.
    """
    threshold = Threshold(tol)
    state, steps = Parametrised(program, theta), list[Step]()
    labels = {k: list(range(i.n_out)) for k, i in enumerate(program.instructions) if isinstance(i, Affine)}
    while True:
        try:
            with np.errstate(over="raise", invalid="raise"):
                found = _next_step(state, threshold, labels)
        except (FloatingPointError, OverflowError):
            raise NumericalError("a relation between parameters overflows; scale the parameters") from None
        if found is None:
            return Reduction(state, tuple(steps)), threshold
        step, state = found
        steps.append(step)


def _next_step(
    state: Parametrised, threshold: Threshold, labels: dict[int, list[int]]
) -> tuple[Step, Parametrised] | None:
    """One step, and what it leads to."""
    program = state.program
    for find in (_plain_unit, _dependent_unit):
        for layer in hidden_layers(program):
            if state.affine(layer.before).n_out > 1:
                unit_step = find(state, layer, threshold)
                if unit_step is not None:
                    at = labels[state.origins[layer.before]]
                    unit_step = replace(unit_step, labels=tuple(at))
                    del at[unit_step.unit]
                    return unit_step, _without_unit(state, unit_step)
        if find is _plain_unit:
            found = (
                _linear_step(state, threshold, labels) or _filter_step(state, threshold) or _head_step(state, threshold)
            )
            if found is not None:
                return found
    return None


# --- units ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Centred:
    """p(z) = Σ τ_i (z − a)^i with τ_{r−1} = 0, r >= 2; a = 0 for r <= 1.

    ``powers`` are the i >= 1 with τ_i ≠ 0, ``constant`` is τ_0.
    """

    centre: Fraction
    powers: tuple[int, ...]
    constant: Fraction


@lru_cache(maxsize=256)
def centred(coefficients: tuple[Coefficient, ...]) -> Centred:
    """A polynomial about its centre."""
    exact = [Fraction(c) for c in coefficients]  # type: ignore[arg-type]
    r = len(exact) - 1
    a = -exact[-2] / (r * exact[-1]) if r >= 2 else Fraction(0)
    tau = [sum((exact[j] * math.comb(j, i) * a ** (j - i) for j in range(i, r + 1)), Fraction(0)) for i in range(r + 1)]
    return Centred(a, tuple(i for i in range(1, r + 1) if tau[i]), tau[0])


def value_at(coefficients: Sequence[Coefficient], z: Any) -> Any:
    """p(z), exact for exact z."""
    result: Any = 0
    for c in reversed(coefficients):
        result = result * z + (Fraction(c) if isinstance(z, (int, Fraction)) else float(c))  # type: ignore[arg-type]
    return result


def _plain_unit(state: Parametrised, layer: HiddenLayer, threshold: Threshold) -> UnitStep | None:
    """A unit that is silent, constant or a multiple of another."""
    k = layer.before
    width = state.affine(k).n_out
    scales = {j: largest(state.weights[j]) for j in (k, *layer.after)}
    for unit in range(width):
        read = [(state.weights[j][:, state.columns_of(layer, j, unit)], scales[j]) for j in layer.after]
        if all(threshold.vanishes(outgoing, scale) for outgoing, scale in read):
            return UnitStep(layer, unit, "silent", state)
    biased = all(j in state.biases for j in layer.after)
    about = centred(layer.coefficients)
    constants: list[tuple[int, Any]] = []
    zero = 0 if threshold.exact else 0.0
    for unit in range(width):
        if not about.powers or threshold.vanishes(state.weights[k][unit], scales[k]):
            value = value_at(layer.coefficients, state.biases[k][unit] if k in state.biases else zero)
            if biased or threshold.vanishes(np.array([value]), max(1, abs(value))):
                value = value if biased else 0
                return UnitStep(layer, unit, "constant", state, constant=value, reads_nothing=True)
            constants.append((unit, value))
    if len(constants) > 1:
        (other, value), (unit, mine) = constants[:2]
        relation = ((other, _divide(mine, value)),)
        return UnitStep(layer, unit, "constant", state, relation, reads_nothing=True)
    for unit, other in _nearly_parallel(state, layer, threshold) if about.powers else ():
        found = _multiple(state, layer, unit, other, about, biased, threshold)
        if found is not None:
            factor, constant, ratio = found
            return UnitStep(layer, unit, "multiple", state, ((other, factor),), constant, ratio)
    return None


def _nearly_parallel(state: Parametrised, layer: HiddenLayer, threshold: Threshold) -> Iterator[tuple[int, int]]:
    """Pairs of units, the second one smaller, whose directions z − a could be multiples: a quick look at all pairs."""
    directions = []
    for unit in range(state.affine(layer.before).n_out):
        direction = _direction(state, layer, unit)
        scale = largest(direction)
        directions.append([float(x / scale) if scale else 0.0 for x in direction.tolist()])
    vectors = np.array(directions)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, norms, out=vectors, where=norms > 0)
    # An angle ε takes 1 − ε²/2 for its cosine.
    slack = max(1e-9, 10 * (vectors.shape[1] * threshold.tol) ** 2)
    for start in range(0, len(vectors), _ROWS_AT_A_TIME):
        cosines = np.abs(vectors[start : start + _ROWS_AT_A_TIME] @ vectors.T)
        for row, other in np.argwhere(cosines >= 1 - slack).tolist():
            if other < start + row:
                yield start + row, other


def _multiple(
    state: Parametrised,
    layer: HiddenLayer,
    unit: int,
    other: int,
    about: Centred,
    biased: bool,
    threshold: Threshold,
) -> tuple[Any, Any, Any] | None:
    """(λ, κ, t) with σ(z_unit) = λ σ(z_other) + κ and z_unit − a = t (z_other − a), or None."""
    mine, theirs = (_direction(state, layer, u) for u in (unit, other))
    t = _ratio(mine, theirs)
    if not t or not threshold.vanishes(mine - t * theirs, largest(mine)):
        return None
    one = Fraction(1) if threshold.exact else 1.0
    gaps = math.gcd(*(i - about.powers[0] for i in about.powers))
    if gaps:  # t is a root of unity
        sign = 1 if t > 0 else -1
        if not threshold.vanishes(np.array([t - sign]), 1) or (sign < 0 and gaps % 2):
            return None
        t = sign * one
    factor = t ** about.powers[0]
    constant = (about.constant if threshold.exact else float(about.constant)) * (1 - factor)
    if constant and not biased:
        return None
    return factor, constant, t


def _direction(state: Parametrised, layer: HiddenLayer, unit: int) -> Array:
    """z − a as a vector: incoming weights and what is added to them."""
    k, centre = layer.before, centred(layer.coefficients).centre
    weights = state.weights[k][unit]
    shift = state.biases[k][unit] if k in state.biases else 0
    if weights.dtype != object:
        return np.append(weights, shift - float(centre))
    result = np.empty(weights.size + 1, dtype=object)
    result[:-1], result[-1] = weights, shift - centre
    return result


def _ratio(mine: Array, theirs: Array) -> Any:
    """The t for which mine = t theirs, if there is one."""
    at = max(range(theirs.size), key=lambda i: abs(theirs[i]))
    return _divide(mine[at], theirs[at]) if theirs[at] else 0


def _divide(a: Any, b: Any) -> Any:
    return Fraction(a) / Fraction(b) if isinstance(b, (int, Fraction)) else float(a) / float(b)


def _without_unit(state: Parametrised, step: UnitStep) -> Parametrised:
    """The state after a unit has been left out and the others have taken over."""
    result = state.copy()
    layer = step.layer
    for j in layer.after:
        outgoing = state.weights[j][:, state.columns_of(layer, j, step.unit)]
        for other, factor in step.factors:
            result.weights[j][:, state.columns_of(layer, j, other)] += factor * outgoing
        if step.constant:
            result.biases[j] = result.biases[j] + step.constant * outgoing.sum(axis=1)
    result.remove_unit(layer, step.unit)
    return result


# --- units that depend on several others ------------------------------------------------------------------------------


def _dependent_unit(state: Parametrised, layer: HiddenLayer, threshold: Threshold) -> UnitStep | None:
    """A unit that is a linear combination of others, and of 1 where the readers have biases."""
    biased = all(j in state.biases for j in layer.after)
    relation = (
        _exact_relation(state, layer, biased)
        if threshold.exact
        else _numerical_relation(state, layer, biased, threshold)
    )
    if relation is None:
        return None
    factors, constant = relation
    width = len(factors)
    size = 0 if threshold.exact else max(map(abs, factors)) / 2  # dividing by small numbers loses digits
    unit = max(u for u in range(width) if factors[u] and abs(factors[u]) >= size)
    scaled = tuple((u, _divide(-factors[u], factors[unit])) for u in range(width) if u != unit and factors[u])
    kind = "dependent" if scaled else "constant"
    return UnitStep(layer, unit, kind, state, scaled, _divide(-constant, factors[unit]) if constant else 0)


def _units_at_points(state: Parametrised, layer: HiddenLayer) -> Program:
    """The program that ends with the units of a layer before their activation, in its first window."""
    affine = state.affine(layer.before)
    last = affine if affine.windows is None else replace(affine, windows=affine.windows[:1])
    return Program(state.n_inputs, [*state.instructions[: layer.before], last])


def _prefix(state: Parametrised, program: Program) -> Array:
    return state.theta[: program.n_params]


def _exact_relation(state: Parametrised, layer: HiddenLayer, biased: bool) -> tuple[list[Any], Any] | None:
    program = _units_at_points(state, layer)
    theta, width = _prefix(state, program), program.n_outputs
    if _independent_modulo(program, theta, layer, biased):
        return None
    if count_monomials(program.n_inputs, program.degree, False) * width > _MAX_COEFFICIENTS:
        return None
    coef, basis = Network(program).expand(theta, dtype=object), program.basis
    if biased:
        # A constant that σ does not take to zero stands for 1; polynomials with constants are not forms.
        z = next(Fraction(i) for i in range(len(layer.coefficients) + 1) if value_at(layer.coefficients, Fraction(i)))
        basis = MonomialBasis(program.n_inputs, program.degree)
        padded = np.zeros((width + 1, basis.n_monomials), dtype=object)
        padded[:width, basis.n_monomials - coef.shape[1] :] = coef  # forms are what comes last
        padded[width, 0] = z
        coef = padded
    found = linear_independence(coef, ActivationPolynomial(layer.coefficients), basis=basis)
    for relation in found.relations:
        if any(relation[:width]):
            factors = [Fraction(c) for c in relation[:width]]
            return factors, relation[width] * value_at(layer.coefficients, z) if biased else 0
    return None


def _independent_modulo(program: Program, theta: Array, layer: HiddenLayer, biased: bool) -> bool:
    """Whether the units, and 1 if there are biases, are seen to be independent at random points modulo a prime."""
    p, width = WORD_PRIME, program.n_outputs
    generator = np.random.default_rng(len(theta))
    try:
        constants = Program(1, [Activation(0, layer.coefficients)]).constants(p)
        X = generator.integers(0, p, (width + 2, program.n_inputs), dtype=np.uint64)
        residues = as_residues(theta, p, "theta")
        rows = program.engine.evaluate(residues, X, modulus=p, constants=program.constants(p))
    except ValueError:
        return False  # p divides a denominator: let the exact computation decide
    values = np.zeros_like(rows)
    for c in constants[::-1]:
        values = (values * rows + c) % np.uint64(p)
    if biased:
        values = np.concatenate([values, np.ones((len(values), 1), dtype=np.uint64)], axis=1)
    return bool(modular_rank(values, p) == values.shape[1])


def _numerical_relation(
    state: Parametrised, layer: HiddenLayer, biased: bool, threshold: Threshold
) -> tuple[list[Any], Any] | None:
    program = _units_at_points(state, layer)
    width = program.n_outputs
    X = np.random.default_rng(width).standard_normal((4 * (width + 1), program.n_inputs))
    values = value_at_array(layer.coefficients, Network(program).evaluate(_prefix(state, program), X))
    if biased:
        values = np.concatenate([values, np.ones((len(values), 1))], axis=1)
    norms = np.linalg.norm(values, axis=0)
    if not norms[:width].all():
        first = int(norms[:width].argmin())  # zero altogether
        return [float(u == first) for u in range(width)], 0
    _, singular, rows = np.linalg.svd(values / norms)
    if not threshold.vanishes(singular[-1:], singular[0]):
        return None
    relation = rows[-1] / norms
    relation[np.abs(rows[-1]) <= threshold.tol] = 0.0
    if not relation[:width].any():
        return None
    return relation[:width].tolist(), float(relation[width]) if biased else 0


def value_at_array(coefficients: Sequence[Coefficient], z: Array) -> Array:
    """p(z) entrywise in floating point."""
    result = np.zeros_like(z)
    for c in reversed(coefficients):
        result = result * z + float(c)  # type: ignore[arg-type]
    return result


def _identity_columns(right: Array) -> list[int]:
    """For each row a column that has 1 there and 0 elsewhere."""
    columns: dict[int, int] = {}
    for c in range(right.shape[1]):
        (rows,) = np.nonzero(right[:, c])
        if len(rows) == 1 and right[rows[0], c] == 1:
            columns.setdefault(int(rows[0]), c)
    return [columns[i] for i in range(right.shape[0])]


def _linear_step(
    state: Parametrised, threshold: Threshold, labels: dict[int, list[int]]
) -> tuple[Step, Parametrised] | None:
    """Fewer units where σ(z) = c z and the outgoing weights of the units are dependent."""
    for layer in hidden_layers(state.program):
        width = state.affine(layer.before).n_out
        if len(layer.coefficients) != 2 or layer.coefficients[0] != 0 or width == 1:
            continue
        columns = {j: [state.columns_of(layer, j, u) for u in range(width)] for j in layer.after}
        stacked = np.concatenate(
            [np.stack([state.weights[j][:, c].reshape(-1) for c in columns[j]], axis=1) for j in layer.after]
        )
        _, right = rank_factorisation(stacked, largest(stacked), threshold)
        if max(1, right.shape[0]) == width:
            continue
        kept = _identity_columns(right)
        right, kept = right[np.argsort(kept)], sorted(kept)
        at = labels[state.origins[layer.before]]
        step = LinearStep(layer, right, tuple(kept), state, tuple(at))
        result, k = state.copy(), layer.before
        result.weights[k] = result.weights[k].copy()
        result.weights[k][kept] = right @ state.weights[k]
        if k in state.biases:
            result.biases[k][kept] = right @ state.biases[k]
        for unit in sorted(set(range(width)) - set(kept), reverse=True):
            result.remove_unit(layer, unit)
            del at[unit]
        return step, result
    return None


# --- filters ----------------------------------------------------------------------------------------------------------


def _filter_step(state: Parametrised, threshold: Threshold) -> tuple[Step, Parametrised] | None:
    """Zeros at the ends of a filter."""
    for layer in convolutions(state.program) or ():
        low, high = filter_support(state, layer, threshold)
        if all(a == 0 and b == n for a, b, n in zip(low, high, layer.extent)):
            continue
        kept = places_within(layer, low, high)
        columns = np.sort(np.array([c for place in kept for c in layer.columns[place]], dtype=np.intp))
        result = state.copy()
        result.set_columns(layer.instruction, columns)
        return FilterStep(layer.instruction, tuple(columns.tolist()), state), result
    return None


def filter_support(
    state: Parametrised, layer: Convolution, threshold: Threshold
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The smallest box, low <= place < high on each axis, outside of which a filter is zero; all of a zero filter."""
    weights = state.weights[layer.instruction]
    scale = largest(weights)
    live = np.array([not threshold.vanishes(weights[:, list(c)], scale) for c in layer.columns]).reshape(layer.extent)
    if not live.any():
        return (0,) * len(layer.extent), layer.extent
    where = np.nonzero(live)
    return tuple(int(x.min()) for x in where), tuple(int(x.max()) + 1 for x in where)


# --- attention --------------------------------------------------------------------------------------------------------


def _head_step(state: Parametrised, threshold: Threshold) -> tuple[Step, Parametrised] | None:
    """KᵀQ or V of low rank, or a head that is zero."""
    heads = attention_heads(state.program)
    for head in heads:
        product = state.weights[head.key].T @ state.weights[head.query]
        left, right = rank_factorisation(product, _size_of_product(state, head), threshold)
        rank = right.shape[0]
        dead = {head.key, head.query, head.value, head.first, head.last}
        scale = max(largest(state.weights[h.value]) for h in heads)
        no_values = threshold.vanishes(state.weights[head.value], scale)
        if (rank == 0 or no_values) and _is_added(state, head):
            kind = "values" if no_values else "keys"
            return HeadStep(head, kind, tuple(dead), state), delete_instructions(state, dead)
        if max(1, rank) < head.d_key:
            return KeyStep(head, state), with_keys(state, head, left, right)
        values = state.weights[head.value]
        left, right = rank_factorisation(values, largest(values), threshold)
        if max(1, right.shape[0]) < min(values.shape):
            if right.shape[0] == 0:
                left, right = 0 * values[:, :1], 0 * values[:1]
            return ValueStep(head, right.shape[0], state), factor_affine(state, head.value, left, right)
    return None


def head_ranks(state: Parametrised, head: AttentionHead, threshold: Threshold) -> tuple[int, int]:
    """Ranks of KᵀQ and of V."""
    product = state.weights[head.key].T @ state.weights[head.query]
    values = state.weights[head.value]
    return (
        len(rank_factorisation(product, _size_of_product(state, head), threshold)[1]),
        len(rank_factorisation(values, largest(values), threshold)[1]),
    )


def _size_of_product(state: Parametrised, head: AttentionHead) -> Any:
    return largest(state.weights[head.key]) * largest(state.weights[head.query])


def _is_added(state: Parametrised, head: AttentionHead) -> bool:
    """Whether the head is one of several terms of a sum."""
    readers = [i for i in state.instructions if head.last + 1 in i.inputs]
    return len(readers) == 1 and readers[0].kind == "add" and head.last + 1 != len(state.instructions)


def with_keys(state: Parametrised, head: AttentionHead, left: Array, right: Array) -> Parametrised:
    """With KᵀQ = left · right by as many keys and queries as there are rows; at least one, of zeros."""
    result = state.copy()
    rank = max(1, right.shape[0])
    if right.shape[0] == 0:
        left, right = np.zeros((head.d_model, 1), dtype=left.dtype), np.zeros((1, head.d_model), dtype=right.dtype)
    result.weights[head.key], result.weights[head.query] = np.ascontiguousarray(left.T), right
    for k in (head.key, head.query):
        result.instructions[k] = replace(state.affine(k), n_out=rank)
    first, last = state.matmul(head.first), state.matmul(head.last)
    if head.by_scores:
        result.instructions[head.first] = replace(first, inner=rank)
    else:
        result.instructions[head.first] = replace(first, rows=rank)
        result.instructions[head.last] = replace(last, inner=rank)
    return result


def rank_factorisation(matrix: Array, scale: Any, threshold: Threshold) -> tuple[Array, Array]:
    """(left, right) with left · right = matrix and as many rows in ``right`` as the rank."""
    if not threshold.exact:
        return _numerical_factorisation(matrix, scale, threshold)
    rows, pivots = [[Fraction(x) for x in row] for row in matrix.tolist()], list[int]()
    for column in range(matrix.shape[1]):
        r = len(pivots)
        at = next((i for i in range(r, len(rows)) if rows[i][column]), None)
        if at is None:
            continue
        rows[r], rows[at] = rows[at], rows[r]
        head = rows[r][column]
        rows[r] = [x / head for x in rows[r]]
        for i in range(len(rows)):
            if i != r and rows[i][column]:
                factor = rows[i][column]
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[r])]
        pivots.append(column)
    right = np.empty((len(pivots), matrix.shape[1]), dtype=object)
    for i in range(len(pivots)):
        right[i] = rows[i]
    return matrix[:, pivots], right


def _numerical_factorisation(matrix: Array, scale: Any, threshold: Threshold) -> tuple[Array, Array]:
    """Columns of the matrix, greedily the longest, and all columns as combinations of them."""
    rest, pivots = matrix.copy(), list[int]()
    while len(pivots) < min(matrix.shape):
        norms = np.linalg.norm(rest, axis=0)
        at = int(norms.argmax())
        if threshold.vanishes(norms[at : at + 1], scale):
            break
        pivots.append(at)
        direction = rest[:, at] / norms[at]
        rest = rest - np.outer(direction, direction @ rest)
    pivots.sort()
    right = np.linalg.lstsq(matrix[:, pivots], matrix, rcond=None)[0] if pivots else np.zeros((0, matrix.shape[1]))
    right[:, pivots] = np.eye(len(pivots))
    return matrix[:, pivots], right
