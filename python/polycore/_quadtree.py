# SPDX-License-Identifier: BSD-3-Clause
"""A rectangle in a plane, cut into squares that are cut again where what is seen in neighbours differs.

A square is known by its level and its position on the grid of that level; level 0 has ``resolution`` squares along each
axis, each level twice as many as the one before. Each square stands for what is seen at its centre.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._validation import _format_int, as_index, as_real_array, check_size

__all__ = ["Plane", "Square", "as_plane", "refine"]

Floats = NDArray[np.float64]
Value = TypeVar("Value")

# Levels of squares beyond which centres of neighbours are the same number.
_MOST_LEVELS = 40
# Corners farther out make squares overflow.
_FARTHEST = 1e100


class Square(NamedTuple):
    """Square (column, row) of the grid of a level."""

    level: int
    column: int
    row: int

    def children(self) -> tuple[Square, Square, Square, Square]:
        """The four quarters."""
        level, i, j = self.level + 1, 2 * self.column, 2 * self.row
        return Square(level, i, j), Square(level, i + 1, j), Square(level, i, j + 1), Square(level, i + 1, j + 1)


@dataclass(frozen=True)
class Plane:
    """The rectangle from ``low`` to ``high``, with ``resolution`` squares along each axis and levels of refinement."""

    low: tuple[float, float]
    high: tuple[float, float]
    resolution: int
    refinements: int

    @property
    def finest(self) -> int:
        """Squares of the finest level along an axis."""
        return self.resolution << self.refinements

    def base(self) -> list[Square]:
        """The squares of level 0, row by row."""
        return [Square(0, i, j) for j in range(self.resolution) for i in range(self.resolution)]

    def corners(self, square: Square) -> tuple[Floats, Floats]:
        """The lower left and upper right corner of a square."""
        low, size = np.array(self.low), np.subtract(self.high, self.low) / (self.resolution << square.level)
        position = np.array([square.column, square.row])
        return low + position * size, low + (position + 1) * size

    def centre(self, square: Square) -> Floats:
        """The point that a square stands for."""
        low, high = self.corners(square)
        return np.asarray(0.5 * (low + high))

    def owners(self, squares: Sequence[Square]) -> NDArray[np.int64]:
        """For each square of the finest grid the number of the one that holds it, −1 for none; rows go upwards."""
        result = np.full((self.finest, self.finest), -1, dtype=np.int64)
        for number, square in enumerate(squares):
            size = 1 << (self.refinements - square.level)
            i, j = square.column * size, square.row * size
            result[j : j + size, i : i + size] = number
        return result

    def neighbours(self, squares: Sequence[Square]) -> NDArray[np.int64]:
        """The pairs of squares that share (a part of) an edge, as their numbers, shape (n_pairs, 2), sorted."""
        owner = self.owners(squares)
        across = np.stack([owner[:, :-1].ravel(), owner[:, 1:].ravel()], axis=1)
        along = np.stack([owner[:-1].ravel(), owner[1:].ravel()], axis=1)
        pairs = np.sort(np.concatenate([across, along]), axis=1)
        different = (pairs[:, 0] != pairs[:, 1]) & (pairs[:, 0] >= 0)
        return np.unique(pairs[different], axis=0)

    def edge(self, a: Square, b: Square) -> Floats:
        """The segment that two neighbours share, as its ends, shape (2, 2)."""
        (a_low, a_high), (b_low, b_high) = self.corners(a), self.corners(b)
        return np.stack([np.maximum(a_low, b_low), np.minimum(a_high, b_high)])


def as_plane(low: object, high: object, resolution: object, refinements: object) -> Plane:
    """The arguments of whoever looks at a rectangle, checked."""
    corners = [as_real_array(corner, name, shape=(("axes", 2),)) for corner, name in ((low, "low"), (high, "high"))]
    for corner, name in zip(corners, ("low", "high")):
        if np.abs(corner).max() > _FARTHEST:
            raise ValueError(f"`{name}` must be at most {_FARTHEST:g} in size, got {_text(corner)}")
    if not (corners[0] < corners[1]).all():
        raise ValueError(f"`high` must be larger than low={_text(corners[0])} on both axes, got {_text(corners[1])}")
    n, levels = as_index(resolution, "resolution", 1), as_index(refinements, "refinements", 0, _MOST_LEVELS)
    what = f"the grid of the finest squares with `resolution`={_format_int(n)}"
    check_size(6 * (n << levels) ** 2, 8, what, "use a smaller one or fewer refinements")
    (a, b), (c, d) = corners[0].tolist(), corners[1].tolist()
    return Plane((a, b), (c, d), n, levels)


def refine(
    plane: Plane,
    values: MutableMapping[Square, Value],
    evaluate: Callable[[Square, Value | None], Value],
    same: Callable[[Value, Value], bool],
    settle: Callable[[MutableMapping[Square, Value]], None] | None = None,
) -> None:
    """Fill ``values`` with the squares of a plane, quartered where neighbours differ, down to the finest level.

    Parameters
    ----------
    plane : Plane
    values : mapping of Square to value
        Empty. It is changed in place, by whole squares, so that it is of use when ``evaluate`` raises.
    evaluate : callable (square, value of its parent or None) → value
    same : callable (value, value) → bool
        Whether two neighbours agree.
    settle : callable (values), optional
        May change values, after each level.
    """
    for square in plane.base():
        values[square] = evaluate(square, None)
    while True:
        if settle is not None:
            settle(values)
        leaves = list(values)
        pairs = plane.neighbours(leaves)
        differing = {k for a, b in pairs.tolist() if not same(values[leaves[a]], values[leaves[b]]) for k in (a, b)}
        parents = [leaves[k] for k in sorted(differing) if leaves[k].level < plane.refinements]
        if not parents:
            return
        for parent in parents:
            quarters = {child: evaluate(child, values[parent]) for child in parent.children()}
            del values[parent]
            values.update(quarters)


def _text(numbers: Iterable[float]) -> str:
    return "(" + ", ".join(f"{x:g}" for x in numbers) + ")"
