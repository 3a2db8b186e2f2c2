# SPDX-License-Identifier: BSD-3-Clause
"""Instructions of programs: what each reads and writes, how wide and of which degree, checked once.

The executors give them their meaning, such as `program.Interpreter`. `polycore.program` has the same names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, TypeAlias

import numpy as np

from ._validation import INT32_MAX, as_flag, as_index, as_sequence

__all__ = ["Activation", "Add", "Affine", "Coefficient", "Indeterminate", "Instruction", "MatMul", "Number", "Select"]

Number: TypeAlias = int | float | Fraction

# z^r is stored as r + 1 coefficients, and executors keep tables of r^2 / 2 binomial coefficients.
MAX_ACTIVATION_DEGREE = 2**12 - 1
GENERIC = "the network has a generic activation; net.specialize(rng) gives it random coefficients"


@dataclass(frozen=True)
class Affine:
    """z -> W z + b on the values of slot ``input``; b is optional.

    Without ``windows`` W (n_out, width of the slot) acts on the whole slot. With them the same W (n_out, window_size)
    and b act on every window, a tuple of positions in the slot: a convolution, or one matrix for every token. The
    values of window w follow those of window w - 1.

    Parameters are consumed in program order: W row-major, then b.
    """

    input: int
    n_out: int
    bias: bool = False
    windows: tuple[tuple[int, ...], ...] | None = None

    kind: ClassVar[str] = "affine"

    def __post_init__(self) -> None:
        object.__setattr__(self, "input", as_index(self.input, "input", 0))
        object.__setattr__(self, "n_out", as_index(self.n_out, "n_out", 1, INT32_MAX))
        object.__setattr__(self, "bias", as_flag(self.bias, "bias"))
        if self.windows is not None:
            object.__setattr__(self, "windows", _as_windows(self.windows))

    @property
    def inputs(self) -> tuple[int, ...]:
        """The slots it reads."""
        return (self.input,)

    @property
    def n_windows(self) -> int:
        """How many windows W acts on; 1 if it acts on the whole slot."""
        return 1 if self.windows is None else len(self.windows)

    def window_size(self, width: int) -> int:
        """Number of columns of W, for a slot of this width."""
        return width if self.windows is None else len(self.windows[0])

    def width_out(self, widths: Sequence[int]) -> int:
        """Width of the slot it writes, given those of the slots before it."""
        if self.windows is None:
            return self.n_out
        _check_positions(max(map(max, self.windows)), widths[self.input], "windows")
        return self.n_out * len(self.windows)

    def degree_out(self, degrees: Sequence[int]) -> int:
        """Degree of the slot it writes."""
        return degrees[self.input]

    def as_tuple(self) -> tuple[Any, ...]:
        """The instruction as the executors take it."""
        fields = self.kind, self.input, self.n_out, self.bias
        return fields if self.windows is None else (*fields, [list(window) for window in self.windows])


@dataclass(frozen=True)
class Indeterminate:
    """A coefficient with a name instead of a value: that of z^power in the generic polynomial number ``group``.

    Different indeterminates are algebraically independent, so none is zero. They take values at random: in GF(p) by
    `Program.constants`, as numbers by `Network.specialize`.
    """

    group: int
    power: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", as_index(self.group, "group", 0))
        object.__setattr__(self, "power", as_index(self.power, "power", 0))


Coefficient: TypeAlias = Number | Indeterminate


@dataclass(frozen=True)
class Activation:
    """z -> p(z) entrywise on the values of slot ``input``; ``coefficients`` of p low to high, kept exactly.

    Trailing zeros are dropped; the zero polynomial is (0,). z^0 is the constant 1, also at z = 0. A coefficient may be
    an `Indeterminate`.
    """

    input: int
    coefficients: tuple[Coefficient, ...]

    kind: ClassVar[str] = "activation"

    def __post_init__(self) -> None:
        object.__setattr__(self, "input", as_index(self.input, "input", 0))
        given = as_sequence(self.coefficients, "coefficients", "a sequence of numbers, low to high")
        if not 1 <= len(given) <= MAX_ACTIVATION_DEGREE + 1:
            raise ValueError(
                f"`coefficients` must have between 1 and {MAX_ACTIVATION_DEGREE + 1} entries, got {len(given)}"
            )
        coefficients = tuple(_as_coefficient(c, i) for i, c in enumerate(given))
        degree = max((j for j, c in enumerate(coefficients) if c != 0), default=0)
        object.__setattr__(self, "coefficients", coefficients[: degree + 1])

    @property
    def inputs(self) -> tuple[int, ...]:
        """The slots it reads."""
        return (self.input,)

    def width_out(self, widths: Sequence[int]) -> int:
        """Width of the slot it writes, given those of the slots before it."""
        return widths[self.input]

    def degree_out(self, degrees: Sequence[int]) -> int:
        """Degree of the slot it writes."""
        return degrees[self.input] * self.degree

    def _reading(self, slot: int) -> Activation:
        """The same activation on the values of another slot."""
        # The coefficients have been checked: deep networks have many layers, and sweeps many networks.
        other = object.__new__(Activation)
        object.__setattr__(other, "input", slot)
        object.__setattr__(other, "coefficients", self.coefficients)
        return other

    @property
    def degree(self) -> int:
        """Degree of p; that of the zero polynomial is 0."""
        return len(self.coefficients) - 1

    @property
    def is_homogeneous(self) -> bool:
        """Whether p is a monomial c z^r, so that forms go to forms of one degree."""
        return sum(c != 0 for c in self.coefficients) <= 1

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The coefficients if none is an `Indeterminate`, else ValueError."""
        return substitute(self.coefficients)

    def as_tuple(self) -> tuple[Any, ...]:
        """The instruction as the executors take it, coefficients exact."""
        return self.kind, self.input, list(self.coefficients)


@dataclass(frozen=True)
class Select:
    """The values of slot ``input`` at the positions ``indices``; a position may be repeated."""

    input: int
    indices: tuple[int, ...]

    kind: ClassVar[str] = "select"

    def __post_init__(self) -> None:
        object.__setattr__(self, "input", as_index(self.input, "input", 0))
        object.__setattr__(self, "indices", _as_positions(self.indices, "indices"))

    @property
    def inputs(self) -> tuple[int, ...]:
        """The slots it reads."""
        return (self.input,)

    def width_out(self, widths: Sequence[int]) -> int:
        """Width of the slot it writes, given those of the slots before it."""
        _check_positions(max(self.indices), widths[self.input], "indices")
        return len(self.indices)

    def degree_out(self, degrees: Sequence[int]) -> int:
        """Degree of the slot it writes."""
        return degrees[self.input]

    def as_tuple(self) -> tuple[Any, ...]:
        """The instruction as the executors take it."""
        return self.kind, self.input, list(self.indices)


@dataclass(frozen=True)
class Add:
    """The sum of two or more slots of the same width."""

    inputs: tuple[int, ...]

    kind: ClassVar[str] = "add"

    def __post_init__(self) -> None:
        slots = _as_positions(self.inputs, "inputs")
        if len(slots) < 2:
            raise ValueError(f"`inputs` must name at least two slots, got {slots}")
        object.__setattr__(self, "inputs", slots)

    def width_out(self, widths: Sequence[int]) -> int:
        """Width of the slot it writes, given those of the slots before it."""
        added = [widths[slot] for slot in self.inputs]
        if len(set(added)) > 1:
            raise ValueError(f"`inputs` must be slots of equal width, got widths {added}")
        return added[0]

    def degree_out(self, degrees: Sequence[int]) -> int:
        """Degree of the slot it writes."""
        return max(degrees[slot] for slot in self.inputs)

    def as_tuple(self) -> tuple[Any, ...]:
        """The instruction as the executors take it."""
        return self.kind, list(self.inputs)


@dataclass(frozen=True)
class MatMul:
    """The product, (rows, cols) row-major, of the matrices (rows, inner) and (inner, cols) held by two slots.

    They are row-major, or their transposes are, where ``transpose_left`` or ``transpose_right`` says so. Both may be
    the same slot.
    """

    left: int
    right: int
    rows: int
    inner: int
    cols: int
    transpose_left: bool = False
    transpose_right: bool = False

    kind: ClassVar[str] = "matmul"

    def __post_init__(self) -> None:
        for name in ("left", "right"):
            object.__setattr__(self, name, as_index(getattr(self, name), name, 0))
        for name in ("rows", "inner", "cols"):
            object.__setattr__(self, name, as_index(getattr(self, name), name, 1, INT32_MAX))
        for name in ("transpose_left", "transpose_right"):
            object.__setattr__(self, name, as_flag(getattr(self, name), name))

    @property
    def inputs(self) -> tuple[int, ...]:
        """The slots it reads."""
        return self.left, self.right

    def width_out(self, widths: Sequence[int]) -> int:
        """Width of the slot it writes, given those of the slots before it."""
        for name, slot, size in (("left", self.left, self.rows), ("right", self.right, self.cols)):
            if widths[slot] != size * self.inner:
                other = "rows" if name == "left" else "cols"
                raise ValueError(
                    f"`{name}` must be a slot of width {other} * inner = {size * self.inner}, got {widths[slot]}"
                )
        return self.rows * self.cols

    def degree_out(self, degrees: Sequence[int]) -> int:
        """Degree of the slot it writes."""
        return degrees[self.left] + degrees[self.right]

    def as_tuple(self) -> tuple[Any, ...]:
        """The instruction as the executors take it."""
        sizes = self.rows, self.inner, self.cols
        return self.kind, self.left, self.right, *sizes, self.transpose_left, self.transpose_right


Instruction: TypeAlias = Affine | Activation | Select | Add | MatMul
KINDS: dict[str, type[Instruction]] = {c.kind: c for c in (Affine, Activation, Select, Add, MatMul)}


def substitute(
    coefficients: Sequence[Coefficient], values: Mapping[Indeterminate, Number] | None = None
) -> tuple[Number, ...]:
    """The coefficients with their values in place of indeterminates; ValueError if there are any and no values."""
    numbers = []
    for c in coefficients:
        if isinstance(c, Indeterminate):
            if values is None:
                raise ValueError(GENERIC)
            c = values[c]
        numbers.append(c)
    return tuple(numbers)


# -- checks -----------------------------------------------------------------------------------------------------------


def _as_positions(value: object, name: str) -> tuple[int, ...]:
    positions = tuple(
        # Images have millions of these: no text is made for those that are what they should be.
        i if type(i) is int and 0 <= i <= INT32_MAX else as_index(i, f"{name}[{k}]", 0, INT32_MAX)
        for k, i in enumerate(as_sequence(value, name))
    )
    if not positions:
        raise ValueError(f"`{name}` must have at least one entry, got none")
    return positions


def _as_windows(value: object) -> tuple[tuple[int, ...], ...]:
    listed = as_sequence(value, "windows", "a sequence of sequences of integers", n_axes=2)
    windows = tuple(_as_positions(window, f"windows[{w}]") for w, window in enumerate(listed))
    if not windows:
        raise ValueError("`windows` must have at least one entry, got none")
    for w, window in enumerate(windows):
        if len(window) != len(windows[0]):
            raise ValueError(f"`windows` must be equally long, got {len(windows[0])} and {len(window)} positions")
        if len(set(window)) < len(window):
            raise ValueError(f"`windows[{w}]` must not repeat a position, got {window}")
    return windows


def _check_positions(largest: int, width: int, name: str) -> None:
    if largest >= width:
        raise ValueError(f"`{name}` must be positions below {width}, the width of the slot, got {largest}")


def _as_coefficient(value: object, position: int) -> Coefficient:
    """An activation coefficient, exactly as given: int, float, Fraction or Indeterminate."""
    if isinstance(value, Indeterminate):
        return value
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
        raise TypeError(f"`coefficients[{position}]` must be an int, float or Fraction, got {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`coefficients[{position}]` must be finite, got {value}")
    return value
