# SPDX-License-Identifier: BSD-3-Clause
"""What the values of a program can be: in which variables, of which degrees, and which are one polynomial in several.

Nothing is expanded: every value has a *support*, which contains all monomials that it can have and is only counted, and
a *class*: values of one class are the same polynomial, with the same parameters, in other variables. A convolution, for
example, writes one class for each channel, however many windows it has.

Both are found by one rule. A value is made from values before it, and what it is is said by how it is made, by the
classes of those, and by which of their variables are the same: the list of all their variables, each replaced by the
place where it occurs first. Supports are the same with the supports of those, each needed once only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from math import comb
from typing import NamedTuple, TypeAlias

from ._degrees import NO_BOUND, compose_degrees, count_of_degrees, multiply_degrees, unite_degrees, with_constant
from .monomials import count_monomials
from .program import Activation, Add, Affine, Instruction, Program, Select

# Programs that need more steps than this, a second or so, are only looked at slot by slot.
_MAX_STEPS = 2**21
# The degrees of a sum without terms.
_NONE: Sequence[int] = ()


class _Value(NamedTuple):
    """Numbers of its class, of its support, and of the list of its variables, in the order of both."""

    polynomial: int
    support: int
    variables: int


class _Support(NamedTuple):
    """At most ``size`` monomials, of these degrees."""

    size: int
    degrees: Sequence[int]


_Slot: TypeAlias = tuple[_Value, ...]


def ambient_dimensions(program: Program) -> list[int]:
    """For each slot the dimension of a space that contains its values for all parameters; a class counts once.

    Complexity: a step for each value that is combined and for each variable of those, some tenths of a microsecond;
    where they are more than 2^21, all monomials of a slot's degree are counted for each of its values instead.

    Examples
    --------
    Three windows of a convolution with two channels, then the sum of all squares:

    >>> from polycore.program import Affine, Activation, MatMul
    >>> shared = Affine(0, 2, windows=((0, 1), (1, 2), (2, 3)))
    >>> ambient_dimensions(Program(4, [shared, Activation(1, (0, 0, 1)), MatMul(2, 2, 1, 6, 1, transpose_right=True)]))
    [1, 4, 6, 15]
    """
    analysis = _analysed(program)
    if analysis is None:
        return [
            width * count_monomials(program.n_inputs, degree, program.homogeneous)
            for width, degree in zip(program.widths, program.degrees)
        ]
    return [analysis.dimension(slot) for slot in analysis.slots]


def output_representatives(program: Program) -> list[int]:
    """The first output of each class.

    Examples
    --------
    >>> from polycore.program import Affine
    >>> output_representatives(Program(4, [Affine(0, 2, windows=((0, 1), (1, 2), (2, 3)))]))
    [0, 1]
    """
    analysis = _analysed(program)
    if analysis is None:
        return list(range(program.n_outputs))
    first: dict[int, int] = {}
    for position, value in enumerate(analysis.slots[-1]):
        first.setdefault(value.polynomial, position)
    return list(first.values())


@lru_cache(maxsize=16)  # one network is asked about several times in a row
def _analysed(program: Program) -> _Analysis | None:
    analysis = _Analysis(program.n_inputs)
    try:
        for instruction in program.instructions:
            analysis.run(instruction)
    except _TooManyStepsError:
        return None
    return analysis


class _TooManyStepsError(Exception):
    pass


class _Merged(NamedTuple):
    """The variables of several values together.

    ``lists`` are the different lists of variables among them, and ``places`` says which of them each value has;
    ``pattern`` says which variables they share, and ``variables`` is the number of the list of all.
    """

    variables: int
    lists: Sequence[int]
    places: tuple[int, ...]
    pattern: tuple[int, ...]


class _Analysis:
    """Slot by slot, with one number for all that is seen to be the same."""

    def __init__(self, n_inputs: int) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._variables: list[tuple[int, ...]] = []
        self._supports: list[_Support] = []
        self._steps = 0
        support = self._support("input", lambda: _Support(1, (1,)))
        inputs = (_Value(self._number("input"), support, self._list((i,))) for i in range(n_inputs))
        self.slots: list[_Slot] = [tuple(inputs)]

    def dimension(self, slot: _Slot) -> int:
        """Of a space that contains all values of a slot together."""
        supports = {value.polynomial: value.support for value in slot}
        return sum(self._supports[support].size for support in supports.values())

    def run(self, instruction: Instruction) -> None:
        """Add the slot that an instruction writes."""
        slots = [self.slots[slot] for slot in instruction.inputs]
        values: Iterable[_Value]
        if isinstance(instruction, Affine):
            values = self._affine(instruction, slots[0])
        elif isinstance(instruction, Activation):
            values = (self._activated(instruction, value) for value in slots[0])
        elif isinstance(instruction, Select):
            values = (slots[0][i] for i in instruction.indices)
        elif isinstance(instruction, Add):
            values = (self._sum("add", parts) for parts in zip(*slots))
        else:
            rows = _matrix(slots[0], instruction.rows, instruction.inner, instruction.transpose_left)
            columns = _matrix(slots[1], instruction.cols, instruction.inner, not instruction.transpose_right)
            values = (self._inner_product(row, column) for row in rows for column in columns)
        self.slots.append(tuple(values))

    # --- how values are made ------------------------------------------------------------------------------------------

    def _affine(self, affine: Affine, slot: _Slot) -> Iterator[_Value]:
        weights = len(self.slots)  # a number that no other instruction has
        for window in affine.windows or (range(len(slot)),):
            value = self._sum(("affine", weights), [slot[i] for i in window], affine.bias)
            for unit in range(affine.n_out):
                yield value._replace(polynomial=self._number((value.polynomial, unit)))

    def _sum(self, how: Hashable, parts: Sequence[_Value], bias: bool = False) -> _Value:
        merged = self._merge(parts)
        terms = tuple(dict.fromkeys(zip((part.support for part in parts), merged.places)))

        def support() -> _Support:
            size, degrees = 0, _NONE
            for number, _ in terms:
                size += self._supports[number].size
                degrees = unite_degrees(degrees, self._supports[number].degrees)
            if bias:
                size, degrees = size + (0 not in degrees), with_constant(degrees)
            return self._at_most(size, degrees, merged.variables)

        return self._value(how, parts, merged, self._support(("sum", bias, terms, merged.pattern), support))

    def _activated(self, activation: Activation, value: _Value) -> _Value:
        powers = tuple(j for j, c in enumerate(activation.coefficients) if c != 0)

        def support() -> _Support:
            before = self._supports[value.support]
            size = count_of_degrees(before.size, powers) if before.size else int(powers[:1] == (0,))
            return self._at_most(size, compose_degrees(powers, before.degrees), value.variables)

        number = self._support(("activation", powers, value.support), support)
        return _Value(self._number((activation.coefficients, value.polynomial)), number, value.variables)

    def _inner_product(self, row: _Slot, column: _Slot) -> _Value:
        merged = self._merge((*row, *column))
        factors = [(part.support, place) for part, place in zip((*row, *column), merged.places)]
        terms = tuple(dict.fromkeys(zip(factors[: len(row)], factors[len(row) :])))

        def support() -> _Support:
            size, degrees = 0, _NONE
            for first, second in terms:
                (n, a), (m, b) = self._supports[first[0]], self._supports[second[0]]
                product = multiply_degrees(a, b)
                pairs = comb(n + 1, 2) if first == second else n * m
                if first[1] == second[1]:
                    pairs = min(pairs, count_of_degrees(len(self._variables[merged.lists[first[1]]]), product))
                size, degrees = size + pairs, unite_degrees(degrees, product)
            return self._at_most(size, degrees, merged.variables)

        number = self._support(("products", terms, merged.pattern), support)
        return self._value("product", (*row, *column), merged, number)

    # --- numbers ------------------------------------------------------------------------------------------------------

    def _number(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _list(self, variables: tuple[int, ...]) -> int:
        number = self._numbers.get(("variables", variables))
        if number is None:
            number = self._numbers["variables", variables] = len(self._variables)
            self._variables.append(variables)
        return number

    def _support(self, key: Hashable, make: Callable[[], _Support]) -> int:
        number = self._numbers.get(("support", key))
        if number is None:
            made = make()
            number = self._numbers["support", key] = len(self._supports)
            self._supports.append(made)
        return number

    def _value(self, how: Hashable, parts: Sequence[_Value], merged: _Merged, support: int) -> _Value:
        classes = tuple(part.polynomial for part in parts)
        return _Value(self._number((how, classes, merged.places, merged.pattern)), support, merged.variables)

    def _merge(self, parts: Sequence[_Value]) -> _Merged:
        lists = list(dict.fromkeys(part.variables for part in parts))
        self._steps += len(parts) + sum(len(self._variables[number]) for number in lists)
        if self._steps > _MAX_STEPS:
            raise _TooManyStepsError
        if len(lists) == 1:
            return _Merged(lists[0], lists, (0,) * len(parts), ())
        place = {number: i for i, number in enumerate(lists)}
        everything = [v for number in lists for v in (-1, *self._variables[number])]  # -1 separates the lists
        first = {v: i for i, v in enumerate(dict.fromkeys(everything))}
        variables = self._list(tuple(v for v in first if v >= 0))
        places = tuple(place[part.variables] for part in parts)
        return _Merged(variables, lists, places, tuple(first[v] for v in everything))

    def _at_most(self, size: int, degrees: Sequence[int], variables: int) -> _Support:
        """A support of that size, unless there are fewer monomials."""
        return _Support(min(size, count_of_degrees(len(self._variables[variables]), degrees), NO_BOUND), degrees)


def _matrix(slot: _Slot, rows: int, columns: int, transposed: bool) -> list[_Slot]:
    """The rows of a matrix held by a slot, row-major or transposed."""
    if transposed:
        return [slot[i::rows] for i in range(rows)]
    return [slot[i * columns : (i + 1) * columns] for i in range(rows)]
