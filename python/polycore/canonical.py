# SPDX-License-Identifier: BSD-3-Clause
"""Canonical representatives of parameters up to symmetry.

Parameters are moved by one symmetry after another until none of the known group is left that could move them: in the
order of the program, so that what a layer reads has been settled when its own units are.

* Translations: biases that can be anything are put to the centre of their slot.
* Units with scalings: the largest weight of a unit, its bias included, gets absolute value 1; the sign of the first of
  the largest is made positive where signs are symmetries; units are sorted by their weights.
* Linear layers: the weights before, side by side, get the unit matrix in some columns, chosen by the row space alone;
  where their rank is less than the width, the weights after them are treated likewise by columns. For attention that
  makes the keys K, and with them Q, unique for a product KᵀQ of full rank.
* Rescalings of slots: the largest entry of an array that they change becomes 1.
* Summands computed alike, such as heads, are sorted by their parameters.

All of it is rational, so exact parameters stay exact. What is left to chance at special parameters: the order of units
with the same weights before and after, and linear layers that no weights around them determine.

Legend: ``m`` features of a component, ``n`` columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._alignment import Search
from ._coordinate_changes import Array, Linear, Monomial, fractions
from ._exact_matrices import echelon, kernel, with_one_weight
from ._frames import Block, Branches, Component
from ._validation import _to_array, as_exact_array, as_theta
from .errors import NumericalError
from .symmetries import Symmetry, SymmetryGroup

# Of floats, relative to the largest number beside them: equal, and zero as far as the rank is concerned.
_EQUAL = 1e-7
_RANK = 1e-9
# Distances that are rounding, relative to the size of the parameters.
_SAME = 1e-12

# Changes of sign of a unit: the frames that change, and the numbers of the component's signs that do it together.
_Signs: TypeAlias = list[tuple[frozenset[int], list[int]]]


@dataclass(frozen=True, repr=False)
class Alignment:
    """A symmetry that brings parameters close to others; see `Network.align`.

    Attributes
    ----------
    theta : ndarray of float64, shape (n_params,)
        The parameters after the symmetry.
    element : Symmetry
        What was done: ``theta`` is ``net.symmetries().act(element, given)``.
    distance : float
        Euclidean distance of ``theta`` to the other parameters.
    distance_before : float
        That of the given parameters.
    start : str
        Where the search that won began: "identity", "canonical", "layers", or "canonical, layers".
    """

    theta: Array
    element: Symmetry
    distance: float
    distance_before: float
    start: str

    def __repr__(self) -> str:
        return f"Alignment(distance {self.distance:.3g}, before {self.distance_before:.3g}, from {self.start})"


def canonical(group: SymmetryGroup, theta: ArrayLike) -> Array:
    """Canonical parameters; see `Network.canonical`."""
    given = _as_parameters(group, theta, "theta")
    members = given.reshape(-1, given.shape[-1]) if given.size else given
    result = given.copy() if given.dtype != object else fractions(given)
    for i, member in enumerate(members if given.size else ()):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
            result.reshape(-1, given.shape[-1])[i] = canonical_element(group, member)[1]
    if result.dtype != object and not np.isfinite(result).all():
        raise NumericalError("the canonical parameters overflow; scale `theta`, or give exact numbers of dtype object")
    return result


def align(group: SymmetryGroup, theta: ArrayLike, other: ArrayLike) -> Alignment:
    """The symmetry that brings parameters close to others; see `Network.align`."""
    pair = []
    for name, value in (("theta", theta), ("other", other)):
        array = as_theta(value, group.program.n_params, name, finite=True)
        if array.ndim != 1:
            raise ValueError(f"`{name}` must have shape (n_params={group.program.n_params},), got {array.shape}")
        pair.append(array)
    given, wanted = pair
    searches: list[tuple[str, Search]] = []
    with np.errstate(all="ignore"):
        before = float(np.linalg.norm(given - wanted))
        same = _SAME * (1 + float(np.linalg.norm(wanted)))
        if not np.isfinite(before + same):
            raise NumericalError("the distance of `theta` and `other` overflows; scale the parameters")
        starts = {"identity": group._element(exact=False)}
        with suppress(np.linalg.LinAlgError, OverflowError):
            to, back = (canonical_element(group, array)[0] for array in (given, wanted))
            starts["canonical"] = group.compose(group.inverse(back), to)
        searches += [(name, Search(group, given, wanted, start)) for name, start in starts.items()]
        searches += [(f"{name}, layers", Search(group, given, wanted, start)) for name, start in starts.items()]
        searches = [(name, search) for name, search in searches if np.isfinite(search.distance)]
        # Parameters that are equal up to symmetry are recognised without a search.
        for name, search in searches if all(search.distance > same for _, search in searches) else ():
            with suppress(np.linalg.LinAlgError, OverflowError):
                if name.endswith("layers"):
                    search.match_layers()
                search.run()
            if search.distance <= same:
                break
    name, best = min(searches, key=lambda item: item[1].distance)
    name = "layers" if name == "identity, layers" else name
    return Alignment(best.theta, best.element, best.distance, before, name)


def _as_parameters(group: SymmetryGroup, theta: ArrayLike, name: str) -> Array:
    """float64, or exact numbers given with dtype object."""
    n = group.program.n_params
    if _to_array(theta, name).dtype.kind == "O":
        return as_exact_array(theta, name, (..., ("n_params", n)))
    return as_theta(theta, n, name, finite=True)


def canonical_element(group: SymmetryGroup, theta: Array) -> tuple[Symmetry, Array]:
    """The symmetry that makes parameters canonical, and the canonical parameters.

    Parameters
    ----------
    group : SymmetryGroup
    theta : ndarray, shape (n_params,)
        float64, or dtype object with Fractions.
    """
    search = _Canonical(group, fractions(theta) if theta.dtype == object else theta)
    search.run()
    return search.element, search.theta


class _Canonical:
    """Parameters on their way to the canonical ones, and the symmetry that has moved them so far."""

    def __init__(self, group: SymmetryGroup, theta: Array) -> None:
        self.group, self.known = group, group._known
        self.theta = theta
        self.exact = theta.dtype == object
        self.equal = 0.0 if self.exact else _EQUAL
        self.element = group._element(exact=self.exact)
        # The rescalings that are left, as combinations of all of them.
        self.scalars = np.eye(len(self.known.scalars), dtype=object).tolist()
        self.scalar_signs = np.eye(len(self.known.scalar_signs), dtype=object).tolist()
        self.block_of = {block.instruction: block for block in self.known.blocks}
        self.done = [self._has_no_freedom(component) for component in self.known.components]
        # Features of components that are not determined by what is before them, and groups that are equal so far.
        self.loose: dict[int, list[int]] = {}
        self.ties: dict[int, list[list[int]]] = {}
        self.waiting = list(self.known.branches)
        self.sorted: list[tuple[Branches, list[int]]] = []

    def run(self) -> None:
        """Settle one component after another."""
        self._translate()
        while True:
            self._rescale()
            for branches in [b for b in self.waiting if self._is_inside_done(b) and self._settled(b)]:
                self.waiting.remove(branches)
                self._sort_branches(branches)
            number = self._next()
            if number is None:
                break
            component = self.known.components[number]
            writers = self._writers(number)
            if not component.kind.endswith("linear"):
                self._settle_units(number, component, writers)
            else:
                self._settle_linear(number, component, writers)
            self.done[number] = True
        for branches in self.waiting:
            self._sort_branches(branches)
        for _ in range(2):
            for number in reversed(range(len(self.known.components))):
                self._settle_from_behind(number)
            for number, component in enumerate(self.known.components):
                if component.kind == "linear" and self.loose.get(number):
                    self._settle_linear(number, component, self._writers(number), loose_too=True)
        for branches, blocks in self.sorted:
            self._sort_branches(branches, blocks)

    # -- moving --------------------------------------------------------------------------------------------------------

    def _move(self, step: Symmetry) -> None:
        self.theta = self.group._act(step, self.theta)
        self.element = self.group.compose(step, self.element)

    def _number(self, value: Fraction | int) -> Any:
        return Fraction(value) if self.exact else float(value)

    def _array(self, values: Any) -> Array:
        return fractions(values) if self.exact else np.asarray(values, dtype=float)

    # -- what is settled -----------------------------------------------------------------------------------------------

    def _has_no_freedom(self, component: Component) -> bool:
        is_rigid = component.kind == "fixed" or (component.kind == "permutations" and component.size == 1)
        return is_rigid and not component.scaled and not component.signs

    def _is_read_settled(self, block: Block) -> bool:
        return all(self.done[self.known.component_of[axis.frame]] for axis in self.known.frames(block.input))

    def _writers(self, number: int) -> list[Block]:
        """The blocks that write into a component and read what is settled."""
        frames = self.known.components[number].exponents
        return [block for block in self.known.blocks if block.number in frames and self._is_read_settled(block)]

    def _next(self) -> int | None:
        """The component to settle next; those last that several blocks write, since these may come to be rescaled."""
        choices = []
        for number, component in enumerate(self.known.components):
            if not self.done[number]:
                writers = self._writers(number)
                along = sum(component.exponents[block.number] > 0 for block in writers)
                if writers:
                    choices.append((along, writers[0].number, number))
        return min(choices)[2] if choices else None

    # -- the parameters of a block -------------------------------------------------------------------------------------

    def _weights(self, block: Block) -> Array:
        return self.theta[block.weights]

    def _firm_weights(self, block: Block) -> Array:
        """W without the columns of features that are not settled."""
        return np.asarray(np.delete(self._weights(block), self._loose_columns(block), axis=1))

    def _rows(self, block: Block, loose_too: bool = False) -> Array:
        """W and b less its centre, side by side, (n_out, n); without the columns of features that are not settled."""
        W = self._weights(block) if loose_too else self._firm_weights(block)
        if block.has_bias:
            centre = self._number(self.known.centres.get(block.output, Fraction(0)))
            W = np.hstack([W, (self.theta[block.bias] - centre)[:, None]])
        return W

    def _loose_columns(self, block: Block) -> NDArray[np.intp]:
        """Columns of W that meet features which are not determined yet."""
        found = [np.zeros(0, dtype=np.intp)]
        for number, features in self.loose.items():
            found += [self._columns(block, number)[:, features].reshape(-1)] if features else []
        return np.concatenate(found)

    def _columns(self, block: Block, number: int) -> NDArray[np.intp]:
        """Columns of W that meet each feature of a component, (copies, m)."""
        axes = self.known.frames(block.input)
        columns = self.known.columns(block)
        found = [np.zeros((0, self.known.components[number].size), dtype=np.intp)]
        for at, axis in enumerate(axes):
            if self.known.component_of[axis.frame] == number:
                before = math.prod(a.size for a in axes[:at])
                after = math.prod(a.size for a in axes[at + 1 :])
                split = columns.reshape(-1, before, axis.size, after)
                found.append(split.transpose(0, 1, 3, 2).reshape(-1, axis.size))
        return np.concatenate(found)

    def _keys(self, block: Block) -> Array:
        """Rows of a block to sort its units by; the entries of features that are equal so far in descending order."""
        rows = self._rows(block, loose_too=True).copy()
        for number, groups in self.ties.items():
            for copy in self._columns(block, number):
                for group in groups:
                    rows[:, copy[group]] = -np.sort(-rows[:, copy[group]], axis=1)
        columns = self._loose_columns(block)
        return np.delete(rows, columns, axis=1) if columns.size else rows

    # -- units ---------------------------------------------------------------------------------------------------------

    def _settle_units(self, number: int, component: Component, writers: Sequence[Block]) -> None:
        """Scales, signs and the order of units, by what is before them."""
        m = component.size
        late = self._late_writers(number, writers)
        scale, scaled = [self._number(1)] * m, [not component.scaled] * m
        if component.scaled:
            # What grows with the same power is compared as one, whatever the order of the blocks.
            sizes: dict[int, list[Any]] = {}
            for block in writers:
                e, rows = component.exponents[block.number], self._rows(block)
                sizes[e] = [max(_largest(row), size) for row, size in zip(rows, sizes.get(e, [0] * m))]
            if math.gcd(*sizes) > 1:
                # No root has to be taken of what a unit does to itself: in x + (W x)² W_ii is multiplied by t / t².
                for block in late:
                    for e, own in self._own_weights(block, number):
                        sizes[e] = [max(abs(x), size) for x, size in zip(own, sizes.get(e, [0] * m))]
            for unit in range(m):
                present = {e: values[unit] for e, values in sorted(sizes.items(), key=_by_size) if values[unit]}
                scaled[unit] = bool(present)
                if present:
                    scale[unit] = self._common_root(present)
        self._apply_units(number, scale)
        left = [[(flipped, [i]) for i, flipped in enumerate(component.signs)] for _ in range(m)]
        left = self._fix_signs(number, component, writers, left)
        later = {block.number for block in late}
        signed = [all(not later.isdisjoint(flipped) for flipped, _ in signs) for signs in left]
        self.loose[number] = [unit for unit in range(m) if not (scaled[unit] and signed[unit])]
        for branches in [b for b in self.waiting if self._is_inside_done(b)]:
            self._sort_branches_by_sizes(branches, writers)
        if component.kind == "permutations":
            perm = self._sort_units(number, [self._keys(block) for block in writers], range(m))
            left = [left[unit] for unit in perm]
        self.done[number] = True  # what reads these units can be looked at now
        for block in late:
            left = self._fix_signs(number, component, [block], left)
        self.loose[number] = sorted({*self.loose[number], *(unit for unit in range(m) if left[unit])})

    def _common_root(self, sizes: dict[int, Any]) -> Any:
        """t, which becomes t / s where each size is multiplied by s to its exponent; rational if these are coprime."""
        total, exponent = self._number(1), 0
        for e, size in sizes.items():
            if exponent and e % exponent == 0:
                continue
            g, x, y = _bezout(exponent, e)
            total, exponent = total**x * (1 / size) ** y, g
        return self._root(total, exponent)

    def _root(self, value: Any, exponent: int) -> Any:
        """value^(1 / exponent), if that is a number here, else 1."""
        if not self.exact:
            return float(value) ** (1 / exponent)
        if exponent < 0:
            value, exponent = 1 / value, -exponent
        numerator, denominator = (_integer_root(n, exponent) for n in (value.numerator, value.denominator))
        return Fraction(1) if numerator is None or denominator is None else Fraction(numerator, denominator)

    def _late_writers(self, number: int, writers: Sequence[Block]) -> list[Block]:
        """The other blocks that write into a component, and read it besides what is settled, as in x + (W x)²."""

        def is_ready(block: Block) -> bool:
            read = {self.known.component_of[axis.frame] for axis in self.known.frames(block.input)}
            return all(self.done[other] or other == number for other in read)

        frames = self.known.components[number].exponents
        return [b for b in self.known.blocks if b.number in frames and b not in writers and is_ready(b)]

    def _own_weights(self, block: Block, number: int) -> list[tuple[int, Array]]:
        """The weights from each unit of a component to itself, and the powers of its scaling that multiply them."""
        exponents, W = self.known.components[number].exponents, self._weights(block)
        axes = [axis for axis in self.known.frames(block.input) if self.known.component_of[axis.frame] == number]
        if len(axes) != 1:
            return []
        e = exponents[block.number] - exponents[axes[0].frame] * axes[0].exponent
        return [(e, W[np.arange(len(W)), copy]) for copy in self._columns(block, number)] if e else []

    def _fix_signs(
        self, number: int, component: Component, writers: Sequence[Block], freedom: Sequence[_Signs]
    ) -> list[_Signs]:
        """Make leading entries positive as far as the signs go that are left to each unit; what is left then."""
        leading = {block.number: _leading_signs(self._rows(block), self.equal) for block in writers}
        signs = [[self._number(1)] * component.size for _ in component.signs]
        remaining = []
        for unit in range(component.size):
            left = list(freedom[unit])
            for frame, of_unit in leading.items():
                at = next((k for k, (flipped, _) in enumerate(left) if frame in flipped), None)
                if at is None or not of_unit[unit]:
                    continue
                pivot, parts = left.pop(at)
                # The other changes of sign are combined with this one so that they leave the block as it is.
                left = [(f ^ pivot, [*p, *parts]) if frame in f else (f, p) for f, p in left]
                if of_unit[unit] < 0:
                    for i in parts:
                        signs[i][unit] = -signs[i][unit]
                    for other in leading:
                        if other in pivot:
                            leading[other][unit] = -leading[other][unit]
            remaining.append(left)
        self._apply_units(number, [self._number(1)] * component.size, signs)
        return remaining

    def _sort_units(self, number: int, keys: Sequence[Array], units: Sequence[int]) -> NDArray[np.intp]:
        """Sort some units, descending by their keys, those that are not determined last; note which are equal.

        Returns where each unit comes from.
        """
        m = self.known.components[number].size
        loose = self.loose.get(number, [])
        late = np.array([[unit in loose] for unit in range(m)], dtype=float)
        ranks = np.hstack([late, *(-_ranks(key, self.equal) for key in keys)])
        chosen = sorted(units, key=lambda unit: ranks[unit].tolist())
        perm = np.arange(m)
        perm[sorted(units)] = chosen
        groups: list[list[int]] = []
        for position, unit in zip(sorted(units), chosen):
            if groups and (ranks[unit] == ranks[perm[groups[-1][-1]]]).all():
                groups[-1].append(position)
            else:
                groups.append([position])
        kept = [group for group in self.ties.get(number, []) if not set(group) & set(units)]
        self.ties[number] = kept + [group for group in groups if len(group) > 1]
        self.loose[number] = [position for position in range(m) if perm[position] in loose]
        self._apply_units(number, [self._number(1)] * m, perm=perm)
        return perm

    def _apply_units(
        self,
        number: int,
        scale: Sequence[Any],
        signs: Sequence[Sequence[Any]] = (),
        perm: NDArray[np.intp] | None = None,
    ) -> None:
        component = self.known.components[number]
        m = component.size
        perm = np.arange(m) if perm is None else perm
        signs = signs or [[self._number(1)] * m for _ in component.signs]
        if (perm == np.arange(m)).all() and all(x == 1 for values in (scale, *signs) for x in values):
            return
        action = Monomial(perm, self._array(scale), self._array(np.zeros(m, dtype=int)))
        self._move(self.group._element({number: action}, {number: [self._array(s) for s in signs]}, exact=self.exact))

    # -- linear maps ---------------------------------------------------------------------------------------------------

    def _settle_linear(
        self, number: int, component: Component, writers: Sequence[Block], loose_too: bool = False
    ) -> None:
        """The unit matrix in some columns of the weights before, as far as these determine features."""
        m = component.size
        sides = {True: [], False: []}  # type: dict[bool, list[Block]]
        for block in writers:
            if self._columns(block, number).size == 0:
                sides[component.exponents[block.number] > 0].append(block)

        def stacked(blocks: Sequence[Block]) -> Array:
            parts = [self._rows(block, loose_too).T for block in blocks]
            return np.vstack(parts) if parts else self._array(np.zeros((0, m), dtype=int))

        free = self.loose.get(number, list(range(m)))
        along = bool(sides[True])
        whole = stacked(sides[along]).T
        if component.kind == "centred linear":
            self._apply_linear(number, _centred_normaliser(whole, self.exact))
            self.loose[number] = []
            return
        rank, normaliser = _row_normaliser(whole[free], self.exact, _largest(whole))
        if not along:
            normaliser = _inverse(normaliser, self.exact).T
        self._apply_linear(number, self._embedded(normaliser, free, m))
        self.loose[number] = free[rank:]
        if along and sides[False] and self.loose[number]:
            self._settle_columns(number, stacked(sides[False]))

    def _settle_from_behind(self, number: int) -> None:
        """What is not determined by the weights before, by those after."""
        component = self.known.components[number]
        readers = []
        for block in self.known.blocks:
            columns = self._columns(block, number)
            if columns.size and block.number not in component.exponents:
                loose = self.loose.get(self.known.component_of[block.number], [])
                readers.append((block, np.delete(self._weights(block), loose, axis=0)[:, columns]))
        if component.kind == "linear" and self.loose.get(number) and readers:
            self._settle_columns(number, np.vstack([W.reshape(-1, component.size) for _, W in readers]))
        elif not component.kind.endswith("linear") and readers:
            self._settle_units_from_behind(number, component, readers)

    def _settle_columns(self, number: int, B: Array) -> None:
        """Loose features by weights B (n, m), which take g^{-1}: g = (1 X; 0 H) makes B_loose ⟂ B_firm, and reduced."""
        m = self.known.components[number].size
        loose = self.loose[number]
        firm = [i for i in range(m) if i not in loose]
        X = _least_squares(B[:, firm], B[:, loose], self.exact)
        rest = B[:, loose] - B[:, firm] @ X
        rank, normaliser = _row_normaliser(rest.T, self.exact, _largest(B))
        H = _inverse(normaliser, self.exact).T
        g = self._array(np.eye(m, dtype=int))
        g[np.ix_(firm, loose)] = X
        g[np.ix_(loose, loose)] = H
        self._apply_linear(number, g)
        self.loose[number] = loose[rank:]

    def _settle_units_from_behind(self, number: int, component: Component, readers: list[tuple[Block, Array]]) -> None:
        """Scales and signs of units without weights before them, and the order of equal ones, by the weights after."""
        m = component.size
        loose = self.loose.get(number, [])
        scale = [self._number(1)] * m
        signs = [[self._number(1)] * m for _ in component.signs]
        for unit in loose:
            for block, W in readers:
                size = _largest(W[..., unit])
                if not size:
                    continue
                axis = next(a for a in self.known.frames(block.input) if self.known.component_of[a.frame] == number)
                if component.scaled:
                    scale[unit] = self._root(size, component.exponents[axis.frame] * axis.exponent)
                (leading,) = _leading_signs(W[..., unit].reshape(1, -1), self.equal)
                for sign, flipped in zip(signs, component.signs):
                    if axis.parity and axis.frame in flipped and leading < 0:
                        sign[unit] = -sign[unit]
                        break
                break
        self._apply_units(number, scale, signs)
        keys = [self._keys(block) for block in self.known.blocks if block.number in component.exponents]
        for block, _ in readers:
            W = self._weights(block)[:, self._columns(block, number)]
            keys.append(W.reshape(-1, m).T)
        if component.kind == "permutations":
            for group in _joined([*self.ties.get(number, []), loose]):
                self._sort_units(number, keys, group)

    def _embedded(self, g: Array, features: Sequence[int], m: int) -> Array:
        whole = self._array(np.eye(m, dtype=int))
        whole[np.ix_(list(features), list(features))] = g
        return whole

    def _apply_linear(self, number: int, g: Array) -> None:
        zero = self._array(np.zeros(len(g), dtype=int))
        action = Linear(g, _inverse(g, self.exact), zero)
        self._move(self.group._element({number: action}, exact=self.exact))

    # -- rescalings, translations, branches ----------------------------------------------------------------------------

    def _translate(self) -> None:
        """Put biases to the centres of their slots where nothing else depends on them, in program order."""
        known = self.known
        blocks = [block for block in known.blocks if block.has_bias]
        steps: list[tuple[int, list[tuple[int, Fraction]]]] = []
        for size in {translations.size for translations in known.translations}:
            numbers = [number for number, translations in enumerate(known.translations) if translations.size == size]
            table = [[known.translations[n].coefficients.get(b.output, Fraction(0)) for b in blocks] for n in numbers]
            _, pivots = echelon(table)
            # Each combination moves one of the pivots and none of the others.
            combinations = _inverse(fractions([[row[j] for j in pivots] for row in table]), True)
            steps += [(j, list(zip(numbers, combination))) for j, combination in zip(pivots, combinations)]
        for j, combination in sorted(steps):
            centre = self._number(known.centres.get(blocks[j].output, Fraction(0)))
            wanted = centre - self.theta[blocks[j].bias]
            moves = {number: wanted * self._number(c) for number, c in combination if c}
            self._move(self.group._element(translations=moves, exact=self.exact))

    def _rescale(self) -> None:
        """Use rescalings of slots to make the largest entry of a settled block 1, and the first of the largest > 0."""
        for block in self.known.blocks:
            if not (self.scalars or self.scalar_signs):
                return
            if not self.done[self.known.component_of[block.number]] or not self._is_read_settled(block):
                continue
            size = _largest(self._firm_weights(block))
            if not size:
                continue
            self._use_scalar(block, size)
            self._use_scalar_sign(block)

    def _use_scalar(self, block: Block, size: Any) -> None:
        grows = [self._exponent(powers, self.known.scalar_forms, block) for powers in self.known.scalars]
        pivot, weight, rest = with_one_weight(self.scalars, grows)
        if not weight:
            return
        t = self._root(1 / size, weight)
        if t == 1 and size != 1:
            return  # the root is not rational
        self.scalars = rest
        self._move(self.group._element(scalars={i: t**e for i, e in enumerate(pivot) if e}, exact=self.exact))

    def _use_scalar_sign(self, block: Block) -> None:
        flips = [self._exponent(signs, self.known.scalar_parities, block) for signs in self.known.scalar_signs]
        odd = [sum(a * b for a, b in zip(signs, flips)) % 2 for signs in self.scalar_signs]
        (leading,) = _leading_signs(self._firm_weights(block).reshape(1, -1), self.equal)
        if not any(odd) or not leading:
            return
        pivot = self.scalar_signs.pop(odd.index(1))
        odd.remove(1)
        self.scalar_signs = [
            [(a + b) % 2 for a, b in zip(signs, pivot)] if o else signs for signs, o in zip(self.scalar_signs, odd)
        ]
        if leading < 0:
            chosen = [i for i, a in enumerate(pivot) if a]
            self._move(self.group._element(scalar_signs=chosen, exact=self.exact))

    def _exponent(self, powers: Sequence[int], forms: Sequence[dict[int, int]], block: Block) -> int:
        """The exponent with which the weights of a block grow."""
        out, read = (sum(powers[i] * e for i, e in forms[slot].items()) for slot in (block.output, block.input))
        return out - read

    def _is_inside_done(self, branches: Branches) -> bool:
        """Whether all components within single summands are settled."""
        for members in branches.members:
            inside = {block.number for block in self.known.blocks if block.instruction in members}
            for number, component in enumerate(self.known.components):
                if inside.issuperset(component.exponents) and not self.done[number]:
                    return False
        return True

    def _settled(self, branches: Branches) -> list[int]:
        """Which instructions of each summand have settled parameters, as places among its members."""
        return [
            place
            for place, k in enumerate(branches.members[0])
            if k in self.block_of
            and self.done[self.known.component_of[self.block_of[k].number]]
            and self._is_read_settled(self.block_of[k])
        ]

    def _sort_branches(self, branches: Branches, before: Sequence[int] = ()) -> None:
        """Sort alike summands by their settled parameters, the ones that were settled ``before`` first."""
        places = self._settled(branches)
        if not before:
            self.sorted.append((branches, places))
        elif len(before) == len(places):
            return
        places = [*before, *(place for place in places if place not in before)]
        blocks = [[self.block_of[members[place]] for place in places] for members in branches.members]
        self._permute(branches, [[self._rows(block, loose_too=True) for block in row] for row in blocks])

    def _sort_branches_by_sizes(self, branches: Branches, writers: Sequence[Block]) -> None:
        """Sort alike summands with outputs whose units are not sorted yet, by what does not depend on their order."""
        chosen = [[block for block in writers if block.instruction in members] for members in branches.members]
        if all(chosen) and len({len(row) for row in chosen}) == 1:
            self._permute(branches, [[np.sort(abs(self._rows(block)).reshape(-1)) for block in row] for row in chosen])

    def _permute(self, branches: Branches, keys: list[list[Array]]) -> None:
        """Sort alike summands, descending by their keys, lists of arrays that correspond."""
        parts = [np.array([part.reshape(-1) for part in column]) for column in zip(*keys)]
        ranks = -np.hstack([_ranks(part, self.equal) for part in parts] or [np.zeros((len(keys), 0))])
        order = sorted(range(len(keys)), key=lambda i: ranks[i].tolist())
        slots = {
            k + 1: other + 1
            for target, source in zip(branches.members, order)
            for k, other in zip(target, branches.members[source])
        }
        if any(slot != source for slot, source in slots.items()):
            self._move(self.group._element(slots=slots, exact=self.exact))


# --- helpers ----------------------------------------------------------------------------------------------------------


def _largest(values: Array) -> Any:
    return abs(values).max(initial=0) if values.size else 0


def _by_size(item: tuple[int, Any]) -> tuple[int, int]:
    return abs(item[0]), item[0]


def _bezout(a: int, b: int) -> tuple[int, int, int]:
    """(g, x, y) with g = x a + y b the greatest common divisor, for b ≠ 0."""
    if not a:
        return b, 0, 1
    x, y, next_x, next_y, r, next_r = 1, 0, 0, 1, a, b
    while next_r:
        q = r // next_r
        r, next_r = next_r, r - q * next_r
        x, next_x, y, next_y = next_x, x - q * next_x, next_y, y - q * next_y
    return r, x, y


def _leading_signs(rows: Array, equal: float) -> list[int]:
    """The sign of the first of the largest entries of each row; 0 for rows of zeros."""
    signs = []
    for row in rows:
        largest = _largest(row)
        enough = largest * (1 - equal) if equal else largest
        at = next((x for x in row if abs(x) >= enough), 0) if largest else 0
        signs.append(int(at > 0) - int(at < 0))
    return signs


def _ranks(rows: Array, equal: float) -> NDArray[np.float64]:
    """The place of each entry among the values of its column, equal ones (but for rounding) sharing one."""
    ranks = np.zeros(rows.shape)
    gap = equal * float(_largest(rows)) if equal else 0
    for j in range(rows.shape[1]):
        column = rows[:, j]
        order = sorted(range(len(column)), key=lambda i: column[i])
        for before, i in pairwise(order):
            ranks[i, j] = ranks[before, j] + (column[i] - column[before] > gap)
    return ranks


def _joined(groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """Groups that have members in common, joined."""
    joined: list[set[int]] = []
    for group in groups:
        if len(group) > 1:
            touched = [other for other in joined if other & set(group)]
            joined = [other for other in joined if other not in touched] + [set(group).union(*touched)]
    return [sorted(group) for group in joined]


def _integer_root(n: int, k: int) -> int | None:
    """The k-th root of n > 0 if it is an integer."""
    low, high = 0, 1 << (n.bit_length() // k + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**k <= n else (low, middle - 1)
    return low if low**k == n else None


def _inverse(matrix: Array, exact: bool) -> Array:
    if not exact:
        return np.asarray(np.linalg.inv(matrix))
    m = len(matrix)
    reduced, _ = echelon(np.hstack([matrix, fractions(np.eye(m, dtype=int))]).tolist())
    return fractions([row[m:] for row in reduced]).reshape(m, m)


def _least_squares(A: Array, B: Array, exact: bool) -> Array:
    """X with A X − B orthogonal to the columns of A."""
    if not exact:
        return np.asarray(np.linalg.lstsq(A, B, rcond=_RANK)[0])
    X = fractions(np.zeros((A.shape[1], B.shape[1]), dtype=int))
    _, pivots = echelon(A.tolist())
    if pivots:
        chosen = A[:, pivots]
        X[pivots] = _inverse(chosen.T @ chosen, True) @ (chosen.T @ B)
    return X


def _row_normaliser(A: Array, exact: bool, size: Any = None, first: bool = False) -> tuple[int, Array]:
    """The rank of A (m, n), and G with G A = (E; 0), E the unit matrix in some columns.

    These are chosen by the row space alone, so that G A is the same for all A with the same one: greedily, with the
    largest part that is orthogonal to the columns before, of the columns of the projection onto the row space. With
    ``first`` column 0 is the first of them. Singular values are compared with ``size`` or else the largest.
    """
    m, n = A.shape
    if exact:
        reduced, _ = echelon(A.tolist())
        rank, basis = len(reduced), fractions(reduced).reshape(len(reduced), n)
        projection = basis.T @ _inverse(basis @ basis.T, True) @ basis if rank else None
    else:
        _, values, rows = np.linalg.svd(A, full_matrices=False)
        rank = int((values > _RANK * float(size if size else values.max(initial=0))).sum())
        projection = rows[:rank].T @ rows[:rank]
    chosen: list[int] = []
    for _ in range(rank):
        assert projection is not None
        sizes = np.diagonal(projection)
        enough = sizes.max() * (1 if exact else 1 - _EQUAL)
        j = 0 if first and not chosen else next(j for j, s in enumerate(sizes) if s >= enough)
        chosen.append(j)
        projection = projection - np.multiply.outer(projection[:, j], projection[j]) / projection[j, j]
    columns = A[:, chosen]
    if exact:
        null = fractions(kernel(columns.T.tolist(), m)).reshape(m - rank, m)
        left = _inverse(columns.T @ columns, True) @ columns.T
    else:
        null = np.linalg.svd(columns)[0][:, rank:].T
        left = np.linalg.pinv(columns)
    return rank, np.vstack([left, null])


def _centred_normaliser(A: Array, exact: bool) -> Array:
    """Likewise among the matrices that fix (1, …, 1): G A begins with a row that the others are compared with."""
    m = len(A)
    ones = fractions(np.ones((m, 1), dtype=int)) if exact else np.ones((m, 1))
    _, normaliser = _row_normaliser(np.hstack([ones, A]), exact, first=True)
    back = fractions(np.eye(m, dtype=int)) if exact else np.eye(m)
    back[1:, 0] = ones[1:, 0]
    return np.asarray(back @ normaliser)
