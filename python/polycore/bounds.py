# SPDX-License-Identifier: BSD-3-Clause
"""Proven upper bounds on the dimension of a network's function space.

Legend: a *chain* is a network of affine maps and activations in turn, of widths d_0, …, d_L (d_0 inputs, d_L outputs);
its functions form an irreducible set F(d_0, …, d_L) of dimension dim F. N(n, S) is the number of monomials in n
variables of the degrees in S. A *power layer* has the activation z^r, after c (z − a)^r + k has been brought to that
form: c goes into the next weights, a and k into biases, where there are any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import comb, prod
from typing import NamedTuple, TypeAlias

from .program import Activation, Affine, Program
from .symmetries import _as_shifted_power, orbit_dimension

__all__ = ["UpperBound", "upper_bound"]

# Supports of degrees are kept degree by degree up to here, and as a range above.
_MAX_SUPPORT = 2**10
# Where both the variables and the degree pass this there are more monomials, 2^128, than parameters of any network.
_MANY = 128
_NO_BOUND = 1 << _MANY
# Linear layers inside of a network whose values may span less than their width: so many cases are told apart.
_MAX_CASES = 64
_CACHE_SIZE = 2**16


@dataclass(frozen=True)
class UpperBound:
    """A proven upper bound of the dimension of a network's function space.

    Attributes
    ----------
    value : int
    reason : str
        How it comes about, in one line.
    """

    value: int
    reason: str

    def __repr__(self) -> str:
        return f"at most {self.value}: {self.reason}"


class _Kind(NamedTuple):
    """An activation up to what biases absorb: the degrees of its terms, and how it is a shifted power, if it is."""

    degrees: tuple[int, ...]
    power: int = 0  # r if it is c (z − a)^r + k, else 0
    shifted: bool = False  # a != 0
    constant: bool = False  # k != 0


# A hidden layer's activation: r >= 1 for z^r, or the degrees of another polynomial.
_Layer: TypeAlias = int | tuple[int, ...]


class _Chain(NamedTuple):
    widths: tuple[int, ...]
    layers: tuple[_Layer, ...]
    biases: tuple[bool, ...]


class _Bound(NamedTuple):
    value: int
    reason: str


def upper_bound(program: Program) -> UpperBound:
    """A proven upper bound of the dimension of the network's functions."""
    chain = _read_chain(program)
    if chain is None:
        bound = _bound_by_counting(program)
    else:
        bound = _chain_bound(*chain)
    return UpperBound(*bound)


# --- programs that are not chains -------------------------------------------------------------------------------------


def _bound_by_counting(program: Program) -> _Bound:
    supports = [(1,)]
    for instruction in program.instructions:
        before = supports[instruction.input]
        if isinstance(instruction, Affine):
            supports.append(_with_constant(before) if instruction.bias else before)
        else:
            supports.append(_compose_degrees(_kind(instruction.coefficients).degrees, before))
    ambient = program.n_outputs * _count(program.n_inputs, supports[-1])
    try:
        orbit = orbit_dimension(program)
    except MemoryError:
        orbit = 0
    if ambient <= program.n_params - orbit:
        return _Bound(ambient, _ambient_words(program.n_outputs, ambient))
    words = f"{program.n_params} parameters"
    if orbit:
        words += f" − {orbit} dimensions of a generic orbit of the symmetries = {program.n_params - orbit}"
    return _Bound(program.n_params - orbit, words)


def _ambient_words(n_outputs: int, ambient: int) -> str:
    outputs = "" if n_outputs == 1 else f"{n_outputs} outputs × "
    return f"ambient dimension, {outputs}{ambient // n_outputs} monomials = {ambient}"


# --- degrees ----------------------------------------------------------------------------------------------------------


def _with_constant(degrees: Sequence[int]) -> Sequence[int]:
    if 0 in degrees:
        return degrees
    return range(degrees[-1] + 1) if isinstance(degrees, range) else (0, *degrees)


@lru_cache(_CACHE_SIZE)
def _compose_degrees(outer: Sequence[int], inner: Sequence[int]) -> Sequence[int]:
    """Degrees, ascending, that p(f) can have if p has terms of the degrees ``outer`` and f of ``inner``."""
    if len(outer) == 0 or (len(inner) == 0 and outer[0] > 0):
        return ()
    if len(inner) == 0:
        return (0,)
    low, high = outer[0] * inner[0], outer[-1] * inner[-1]
    if low == high:
        return (low,)
    if len(inner) == 1:
        return tuple(j * inner[0] for j in outer)
    if inner[0] == 0 and inner[1] == 1 and len(inner) == inner[-1] + 1 or high > _MAX_SUPPORT:
        return range(low, high + 1)
    mask = sum(1 << degree for degree in inner)
    total, power = 0, 1  # bits are degrees
    for j in range(outer[-1] + 1):
        if j in outer:
            total |= power
        power = _sums(power, mask)
    return tuple(degree for degree in range(total.bit_length()) if total >> degree & 1)


def _sums(a: int, b: int) -> int:
    result = 0
    while b:
        lowest = b & -b
        result |= a * lowest
        b ^= lowest
    return result


@lru_cache(_CACHE_SIZE)
def _degrees(layers: tuple[_Layer, ...], biases: tuple[bool, ...]) -> Sequence[int]:
    """Degrees of the values of a chain, after its last activation or, with one bias more, after its last affine map."""
    degrees: Sequence[int] = (0, 1) if biases[0] else (1,)
    for k, layer in enumerate(layers):
        degrees = _compose_degrees((layer,) if isinstance(layer, int) else layer, degrees)
        if k + 1 < len(biases) and biases[k + 1]:
            degrees = _with_constant(degrees)
    return degrees


@lru_cache(_CACHE_SIZE)
def _count(n: int, degrees: Sequence[int]) -> int:
    """Number of monomials in n variables of the given degrees; at least `_NO_BOUND` where there are too many."""
    if isinstance(degrees, range):
        first, last = degrees[0], degrees[-1]
        if min(n, last) > _MANY:
            return _NO_BOUND
        return comb(n + last, n) - (comb(n + first - 1, n) if first else 0)
    if degrees and min(n - 1, degrees[-1]) > _MANY:
        return _NO_BOUND
    return sum(comb(n - 1 + degree, degree) for degree in degrees)


def _monomials(n: int, layers: tuple[_Layer, ...], biases: tuple[bool, ...]) -> int:
    return _count(n, _degrees(layers, biases))


# --- reading a chain --------------------------------------------------------------------------------------------------


def _read_chain(program: Program) -> tuple[tuple[int, ...], tuple[_Kind, ...], tuple[bool, ...], bool] | None:
    """(widths, activations, biases, whether outputs are constant) of a program that is a chain, else None."""
    widths, kinds, biases = [program.n_inputs], [], []
    kind: _Kind | None = None  # of the activations since the last affine map
    for k, instruction in enumerate(program.instructions):
        if instruction.input != k:
            return None
        if isinstance(instruction, Activation):
            outer = _kind(instruction.coefficients)
            kind = outer if kind is None else _composed(outer, kind)
            continue
        kinds.append(kind or _IDENTITY)
        widths.append(instruction.n_out)
        biases.append(instruction.bias)
        kind = None
    return tuple(widths), tuple([*kinds, kind or _IDENTITY]), tuple(biases), False


_IDENTITY = _Kind((1,), 1)


@lru_cache(_CACHE_SIZE)
def _kind(coefficients: tuple[object, ...]) -> _Kind:
    known = all(isinstance(c, (int, float, Fraction)) for c in coefficients)
    # A coefficient that is not a number is an unknown other than 0.
    degrees = tuple(j for j, c in enumerate(coefficients) if not isinstance(c, (int, float, Fraction)) or c != 0)
    if len(degrees) <= 1:
        return _Kind(degrees, degrees[0] if degrees else 0)
    degree = degrees[-1]
    if not known:
        return _Kind(degrees, degree, degree == 2, True) if degree <= 2 else _Kind(degrees)
    power = _as_shifted_power(coefficients)  # type: ignore[arg-type]
    return _Kind(degrees) if power is None else _Kind(degrees, degree, power[2] != 0, power[3] != 0)


def _composed(outer: _Kind, inner: _Kind) -> _Kind:
    degrees = tuple(_compose_degrees(outer.degrees, inner.degrees))
    return _Kind(degrees, degrees[0] if len(degrees) == 1 else 0)


# --- chains -----------------------------------------------------------------------------------------------------------


@lru_cache(_CACHE_SIZE)
def _chain_bound(
    widths: tuple[int, ...], kinds: tuple[_Kind, ...], biases: tuple[bool, ...], _: bool = False
) -> _Bound:
    # An activation before the first affine map or after the last one does not raise the dimension, except that a
    # constant one makes everything after it constant.
    start = _constant_from(kinds, biases)
    if start is not None:
        if start == len(biases):
            return _Bound(0, "the outputs do not depend on the parameters")
        widths, kinds, biases = (1, *widths[start + 1 :]), kinds[start:], (False, *biases[start + 1 :])
        n_outputs = widths[-1]
        inner = _chain_bound(widths, (_IDENTITY, *kinds[1:]), biases)
        if inner.value < n_outputs:
            return inner
        return _Bound(n_outputs, f"the outputs are constant: {n_outputs}")
    hidden = kinds[1:-1]
    bound = _bound(_resolved(widths, hidden, biases))
    needed = tuple(
        bias
        or (k > 0 and hidden[k - 1].constant and hidden[k - 1].power > 0)
        or (k < len(hidden) and hidden[k].shifted)
        for k, bias in enumerate(biases)
    )
    if needed != biases:
        other = _bound(_resolved(widths, hidden, needed))
        if other.value < bound.value:
            bound = _Bound(other.value, f"with biases added: {other.reason}")
    return bound


def _constant_from(kinds: tuple[_Kind, ...], biases: tuple[bool, ...]) -> int | None:
    """The last activation whose values are constants; len(biases) if the outputs are, whatever the parameters."""
    found, zero = None, False
    for k, kind in enumerate(kinds):
        degrees = kind.degrees
        if zero:
            degrees = degrees[:1] if degrees[:1] == (0,) else ()
        if degrees in ((), (0,)):
            found = k
            zero = degrees == () and not (k < len(biases) and biases[k])
        else:
            zero = False
        if zero and k == len(biases) - 1:
            return len(biases)
    return found


def _resolved(widths: tuple[int, ...], kinds: tuple[_Kind, ...], biases: tuple[bool, ...]) -> _Chain:
    layers: list[_Layer] = []
    for k, kind in enumerate(kinds):
        before, after = biases[k], biases[k + 1]
        if kind.power == 1 and (before or after or not kind.constant):
            layers.append(1)
        elif kind.power and (before or not kind.shifted) and (after or not kind.constant):
            layers.append(kind.power)
        else:
            degrees = tuple(range(kind.degrees[-1] + 1)) if before else kind.degrees
            layers.append(degrees[1:] if after and degrees[0] == 0 else degrees)
    return _Chain(widths, tuple(layers), biases)


def _bound(chain: _Chain) -> _Bound:
    given = chain
    chain = _reduced(chain)
    widths, layers, biases = chain
    inner = [k for k in range(2, len(widths) - 2) if layers[k - 1] == 1]
    if inner and prod(widths[k] for k in inner) <= _MAX_CASES:
        cases = []
        for ranks in product(*(range(1, widths[k] + 1) for k in inner)):
            case = list(widths)
            for k, rank in zip(inner, ranks):
                case[k] = rank
            cases.append(_recursive_bound(tuple(case), layers, biases, True))
        bound = max(cases)
    else:
        bound = _recursive_bound(widths, layers, biases, False)
    if widths != given.widths:
        names = ", ".join(map(str, widths))
        bound = _Bound(bound.value, f"{bound.reason}, for widths ({names}), which suffice")
    return bound


def _reduced(chain: _Chain) -> _Chain:
    while True:
        reduced = _without_idle_units(_without_linear_layers(chain))
        if reduced == chain:
            break
        chain = reduced
    widths, layers, biases = chain
    if biases[0] and not any(biases[1:]) and all(isinstance(layer, int) for layer in layers):
        # Forms in one variable more, which stands for 1.
        chain = _Chain((widths[0] + 1, *widths[1:]), layers, (False,) * len(biases))
    return chain


def _without_linear_layers(chain: _Chain) -> _Chain:
    widths, layers, biases = chain
    k = 1
    while k < len(widths) - 1:
        if layers[k - 1] == 1:
            if biases[k - 1] and biases[k]:
                biases = (*biases[: k - 1], False, *biases[k:])
            if widths[k] >= min(widths[k - 1] + biases[k - 1], widths[k + 1]):
                bias = biases[k - 1] or biases[k]
                widths = widths[:k] + widths[k + 1 :]
                layers = layers[: k - 1] + layers[k:]
                biases = (*biases[: k - 1], bias, *biases[k + 1 :])
                continue
        k += 1
    return _Chain(widths, layers, biases)


def _without_idle_units(chain: _Chain) -> _Chain:
    widths, layers, biases = chain
    capped = list(widths)
    for k in range(1, len(widths) - 1):
        after = biases[k]
        degree = 1
        for i in range(k - 1, -1, -1):
            layer = layers[i]
            degree *= layer if isinstance(layer, int) else layer[-1]
            if capped[i] >= capped[k] or (capped[i] > 1 and degree >= capped[k]):
                continue  # at least as many monomials as that, or degree + 1, less one
            degrees = _degrees(layers[i:k], biases[i:k])
            capped[k] = max(1, min(capped[k], _count(capped[i], degrees) - (after and degrees[0] == 0)))
        layer = layers[k - 1]
        if capped[k + 1] == 1 and isinstance(layer, int) and layer > 1 and capped[k] > 1:
            n = capped[k - 1] + biases[k - 1]
            capped[k] = min(capped[k], max(1, _generic_rank(n, layer, int(after and biases[k - 1]))))
    return _Chain(tuple(capped), layers, biases)


@lru_cache(_CACHE_SIZE)
def _recursive_bound(
    widths: tuple[int, ...], layers: tuple[_Layer, ...], biases: tuple[bool, ...], linear_spans: bool
) -> _Bound:
    n_layers = len(biases)
    best, cut = [0], [0]
    gains = [0]
    for k, layer in enumerate(layers, 1):
        if not isinstance(layer, int):
            gains.append(0)
        elif layer == 1 and (linear_spans or k in (1, n_layers - 1)):
            gains.append(widths[k] ** 2)
        else:
            gains.append(widths[k])
    for j in range(1, n_layers + 1):
        value, start = best[j - 1] - gains[j - 1] + widths[j] * (widths[j - 1] + biases[j - 1]), j - 1
        for i in range(j - 2, -1, -1):
            before = best[i] - gains[i]
            segment = _segment(widths, layers, biases, i, j, value - before)
            if before + segment < value:
                value, start = before + segment, i
        best.append(value)
        cut.append(start)
    return _Bound(best[-1], _recursion_words(widths, layers, biases, best, cut, gains))


def _recursion_words(widths, layers, biases, best, cut, gains) -> str:
    cuts = [len(biases)]
    while cuts[-1]:
        cuts.append(cut[cuts[-1]])
    cuts.reverse()
    if len(cuts) == 2 and len(biases) > 1:
        return "the whole"
    if len(cuts) == len(biases) + 1:
        n_params = sum(m * (n + b) for n, m, b in zip(widths, widths[1:], biases))
        return f"{n_params} parameters − {n_params - best[-1]}"
    terms = [best[j] - best[i] + gains[i] for i, j in zip(cuts, cuts[1:])]
    lost = [gains[i] for i in cuts[1:-1]]
    at = "layer " + str(cuts[1]) if len(cuts) == 3 else "layers " + ", ".join(map(str, cuts[1:-1]))
    return f"recursive bound at {at}: {' + '.join(map(str, terms))} − {' − '.join(map(str, lost))} = {best[-1]}"


def _segment(
    widths: tuple[int, ...], layers: tuple[_Layer, ...], biases: tuple[bool, ...], i: int, j: int, limit: int
) -> int:
    """A bound for the block of layers i..j as a whole, or at least ``limit``."""
    n, m, last = min(widths[i], widths[i + 1]), min(widths[j], widths[j - 1]), biases[j - 1]
    extra = n * (widths[i] - n) + (m + last) * (widths[j] - m)
    block, flags = layers[i : j - 1], biases[i:j]
    bound = m * _monomials(n, block, flags)
    if j == i + 2 and isinstance(block[0], int) and block[0] > 1:
        bound = min(bound, _two_layer_bound(n + flags[0], widths[i + 1], m, block[0]) + m * last)
    return extra + bound


# --- two layers -------------------------------------------------------------------------------------------------------

# (variables, degree, number of powers): one less than expected.
_ALEXANDER_HIRSCHOWITZ = {(3, 4, 5), (4, 4, 9), (5, 4, 14), (5, 3, 7)}


@lru_cache(_CACHE_SIZE)
def _waring_dimension(n: int, r: int, k: int) -> int:
    """Dimension of the sums of k r-th powers of linear forms in n variables, r >= 2: Alexander and Hirschowitz."""
    if r == 2:
        k = min(k, n)
        return k * n - k * (k - 1) // 2
    return min(k * n, _count(n, (r,))) - ((n, r, k) in _ALEXANDER_HIRSCHOWITZ)


@lru_cache(_CACHE_SIZE)
def _generic_rank(n: int, r: int, constant: int) -> int:
    """Number of powers that add up, with a constant times a fixed power if any, to a generic form."""
    ambient = _count(n, (r,))
    if r == 2:
        return n - constant if n > 1 else 1
    if ambient >= _NO_BOUND:
        return ambient
    k = -(-(ambient - constant) // n)
    while min(ambient, _waring_dimension(n, r, k) + constant) < ambient:
        k += 1
    return k


@lru_cache(_CACHE_SIZE)
def _two_layer_bound(n: int, k: int, m: int, r: int) -> int:
    if m == 1:
        return _waring_dimension(n, r, k)
    return min(k * (n + m - 1), m * _count(n, (r,)))
