# SPDX-License-Identifier: BSD-3-Clause
"""What may act on the values of a program's slots so that weights can take it back: the analysis behind symmetries.

A symmetry changes coordinates in the slots, z -> M z + u, and W between two slots becomes M_out W M_in^{-1}. Every
affine instruction makes a *frame*: coordinates on the n_out features that it computes at each of its windows. Since all
windows share W and b, M is the same for the features of every window. The other instructions tie frames together:

* select and add: the same M for what is selected or added;
* activation c (z − a)^r + k, r >= 2: permutations, and scalings whose r-th power comes out, both about the *centres*
  a and k; an even or odd polynomial about its centre: permutations and signs; any other: permutations;
* activation c z + k: any M, again about a centre;
* a product of matrices that sums over features of one frame against those of another: M for one and M^{-T} for the
  other, and scalars besides;
* inputs and outputs: nothing but the identity.

Frames that are tied form a `Component`, in which one g acts: on a slot by its own power c · g^e (c a scalar, e an
exponent, -1 for the inverse transpose). Whatever the analysis does not recognise, such as a selection of single
features, leaves g = 1 to its component, and the scalars: the group found is one of symmetries, not always of all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import comb
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._exact_matrices import echelon, integer_kernel, kernel, kernel_mod2
from .program import Activation, Add, Affine, Coefficient, Indeterminate, MatMul, Program, Select

Positions: TypeAlias = NDArray[np.intp]
Ratio: TypeAlias = Fraction | int

# Symmetries depend on whether coefficients of an activation vanish, not on their values: any for an indeterminate will
# do.
INDETERMINATE = 1_000_003
_ZERO = Fraction(0)


# --- activations ------------------------------------------------------------------------------------------------------


class Equivariance(NamedTuple):
    """p(a + λ w) − k = λ^degree (p(a + w) − k): for all λ, for λ = −1, or for none but 1.

    ``parity`` says what a change of sign becomes: 1 the same, 0 nothing; None if it is not allowed. ``degree`` is
    None if only signs are.
    """

    degree: int | None
    parity: int | None
    centre_in: Fraction
    centre_out: Fraction
    leading: Fraction


@lru_cache(maxsize=256)
def as_shifted_power(
    coefficients: tuple[Coefficient, ...], stand_in: int = INDETERMINATE
) -> tuple[int, Fraction, Fraction, Fraction] | None:
    """(r, c, a, k) with p(z) = c (z − a)^r + k, or None. For r = 1 the shift is 0."""
    degree = len(coefficients) - 1
    if degree < 1 or coefficients[-1] == 0:
        return None
    generic = [isinstance(c, Indeterminate) for c in coefficients]
    exact = [Fraction(stand_in) if isinstance(c, Indeterminate) else Fraction(c) for c in coefficients]
    leading = exact[-1]
    shift = Fraction(0) if degree == 1 else -exact[-2] / (degree * leading)
    for i in range(1, degree):
        if exact[i] != leading * comb(degree, i) * (-shift) ** (degree - i):
            return None
    constant = exact[0] - leading * (-shift) ** degree
    # The value must not make a symmetry that the polynomial lacks. Indeterminates satisfy no such relation as
    # 2r c_r c_(r−2) = (r − 1) c_(r−1)^2, nor do they cancel in k.
    if degree >= 3 and any(generic[1:]) and any(exact[1:-1]):
        return None
    if any(generic) and constant == 0 and (exact[0] or shift):
        return as_shifted_power(coefficients, stand_in + 1)
    return degree, leading, shift, constant


@lru_cache(maxsize=256)
def equivariance(coefficients: tuple[Coefficient, ...]) -> Equivariance:
    """What an activation allows, and about which centres."""
    power = as_shifted_power(coefficients)
    if power is not None:
        degree, leading, shift, constant = power
        return Equivariance(degree, degree % 2, shift, constant, leading)
    nothing = Equivariance(None, None, Fraction(0), Fraction(0), Fraction(0))
    degree = len(coefficients) - 1
    if degree < 2:
        return nothing
    generic = any(isinstance(c, Indeterminate) for c in coefficients[1:])
    exact = [Fraction(INDETERMINATE) if isinstance(c, Indeterminate) else Fraction(c) for c in coefficients]
    centre = -exact[-2] / (degree * exact[-1])
    # About its centre a cubic is odd. Beyond, a centre that varies with indeterminates is not one of symmetry.
    if generic and centre and degree > 3:
        return nothing
    shifted = [
        sum((exact[j] * comb(j, i) * centre ** (j - i) for j in range(i, degree + 1)), _ZERO) for i in range(degree + 1)
    ]
    if any(shifted[i] for i in range(1, degree) if (degree - i) % 2):
        return nothing
    return Equivariance(None, degree % 2, centre, shifted[0] if degree % 2 else Fraction(0), Fraction(0))


# --- what the analysis finds ------------------------------------------------------------------------------------------


class Axis(NamedTuple):
    """An axis of the values of a slot: positions (``frame`` is None), or the features of a frame.

    Where g acts on the frame, g^exponent acts here, and a sign g^parity.
    """

    size: int
    frame: int | None = None
    exponent: int = 1
    parity: int = 1


Axes: TypeAlias = tuple[Axis, ...]


class ActedAxis(NamedTuple):
    """An axis of features; as `Axis`."""

    size: int
    frame: int
    exponent: int
    parity: int


@dataclass(eq=False)
class Block:
    """The parameters of an affine instruction, and how it reads its slot.

    ``columns[g, j]`` is the column of W that meets feature j of the g-th position in a window; None where no symmetry
    but scalars acts on what is read.
    """

    number: int
    instruction: int
    input: int
    start: int
    n_out: int
    n_in: int
    has_bias: bool
    columns: Positions | None

    @property
    def output(self) -> int:
        """The slot it writes."""
        return self.instruction + 1

    @cached_property
    def weights(self) -> Positions:
        """Positions in theta, (n_out, n_in)."""
        return np.arange(self.start, self.start + self.n_out * self.n_in).reshape(self.n_out, self.n_in)

    @cached_property
    def bias(self) -> Positions:
        """Positions in theta, (n_out,) or (0,)."""
        start = self.start + self.n_out * self.n_in
        return np.arange(start, start + self.n_out if self.has_bias else start)


class Component(NamedTuple):
    """Frames that are tied, and the group of their common g.

    Attributes
    ----------
    size : int
        Features.
    exponents : dict of int to int
        For each frame (the number of the affine instruction that makes it) the e in g^e.
    kind : str
        "fixed": the identity, but for the signs below; "linear": GL(size); "centred linear": matrices that fix
        (1, …, 1); "permutations": permutations, times the scalings and signs below.
    scaled : bool
        Each feature has a scaling t > 0, which acts by t^e.
    signs : tuple of frozenset of int
        Each feature has these changes of sign: of its values in the frames of one of the sets.
    """

    size: int
    exponents: dict[int, int]
    kind: str
    scaled: bool = False
    signs: tuple[frozenset[int], ...] = ()

    @property
    def n_scalings(self) -> int:
        """Dimension of its torus of scalings."""
        return self.size if self.scaled else 0

    @property
    def n_generators(self) -> int:
        """Dimension of its group."""
        match self.kind:
            case "linear":
                return self.size**2
            case "centred linear":
                return self.size * (self.size - 1)
        return self.n_scalings


class Translations(NamedTuple):
    """Values of some slots move by multiples of one vector: ``coefficients[s] v`` at every position of slot s."""

    size: int
    coefficients: dict[int, Fraction]


class Branches(NamedTuple):
    """Summands that are computed alike from the same slots, by instructions of their own; they may be permuted.

    ``members[i]`` are the instructions of summand i in program order, which correspond from summand to summand.
    """

    members: tuple[tuple[int, ...], ...]


@dataclass(eq=False)
class Frames:
    """All that is known of a program's symmetries; see the module.

    Attributes
    ----------
    blocks : tuple of Block
        One for each affine instruction; blocks and frames have the same numbers.
    axes : tuple of Axes
        Of every slot.
    components : tuple of Component
    component_of : tuple of int
        The component of each frame.
    centres : dict of int to Fraction
        Slots whose values are scaled about (c, …, c) instead of 0.
    scalars : tuple of tuple of int
        A basis of the exponents with which t > 0 can multiply the values that the affine instructions write, on top of
        what the components do.
    scalar_signs : tuple of tuple of int
        Likewise, 0 or 1, for signs.
    scalar_forms : tuple of dict of int to int
        What a slot is multiplied by, as exponents of the factors of the affine instructions.
    scalar_parities : tuple of dict of int to int
        Likewise for signs.
    translations : tuple of Translations
    branches : tuple of Branches
    irregular : frozenset of int
        Slots on which only scalars act.
    has_generic_centres : bool
        Whether a centre depends on an indeterminate coefficient.
    """

    program: Program
    blocks: tuple[Block, ...]
    axes: tuple[Axes, ...]
    components: tuple[Component, ...]
    component_of: tuple[int, ...]
    centres: dict[int, Fraction]
    translations: tuple[Translations, ...]
    branches: tuple[Branches, ...]
    irregular: frozenset[int] = frozenset()
    scalars: tuple[tuple[int, ...], ...] = ()
    scalar_signs: tuple[tuple[int, ...], ...] = ()
    scalar_forms: tuple[dict[int, int], ...] = ()
    scalar_parities: tuple[dict[int, int], ...] = ()
    has_generic_centres: bool = False

    @cached_property
    def _acted(self) -> list[tuple[ActedAxis, ...]]:
        return [
            tuple(ActedAxis(a.size, a.frame, a.exponent, a.parity) for a in axes if a.frame is not None)
            for axes in self.axes
        ]

    def frames(self, slot: int) -> tuple[ActedAxis, ...]:
        """The axes of a slot on which something may act; none where only scalars do."""
        return () if slot in self.irregular else self._acted[slot]

    def n_features(self, slot: int) -> int:
        """On how many features of a slot its change of coordinates acts; 1 if only by a scalar."""
        return math.prod(axis.size for axis in self.frames(slot))

    def columns(self, block: Block) -> Positions:
        """Columns of W, (n_positions, n_features), that meet the features on which the change of its input acts."""
        return self._columns[block.number]

    @cached_property
    def _columns(self) -> list[Positions]:
        found = []
        for block in self.blocks:
            if not self.frames(block.input):
                found.append(np.arange(block.n_in)[:, None])
            else:
                found.append(fibres(self.axes[block.input]) if block.columns is None else block.columns)
        return found

    def has_scalars(self, slot: int) -> bool:
        """Whether the slot as a whole may be multiplied by something."""
        return bool(self.scalar_forms) and bool(self.scalar_forms[slot] or self.scalar_parities[slot])


@lru_cache(maxsize=16)  # one network is asked about several times in a row
def read_frames(program: Program) -> Frames:
    """Analyse a program: linear in its size, but for windows, selections and the few linear systems of MatMul."""
    return _Analysis(program).result()


# --- the analysis -----------------------------------------------------------------------------------------------------


class _Analysis:
    """One pass over the instructions, which ties frames and slots, and then the small systems that are left."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.axes: list[Axes] = [(Axis(program.n_inputs),)]
        self.blocks: list[Block] = []
        self.frames = _Ties()
        self.slots = _Ties()
        self.slots.add()
        self.nonlinear: set[int] = set()  # frames that an activation reads
        self.unscaled: set[int] = set()  # frames read by an activation that is no power
        self.fixed: set[int] = set()  # frames on which nothing acts
        self.sign_equations: list[frozenset[int]] = []  # an even number of these frames change sign
        self.irregular: set[int] = set()  # slots whose features are not read alike
        self.needs_scalars = False
        starts = (block.start for block in program.parameters if block.kind == "W")
        for k, instruction in enumerate(program.instructions):
            self.slots.add()
            match instruction:
                case Affine():
                    axes = self._affine(k, instruction, next(starts))
                case Activation():
                    axes = self._activation(k, instruction)
                case Select():
                    axes = self._select(k, instruction)
                case Add():
                    axes = self._add(k, instruction)
                case MatMul():
                    axes = self._matmul(instruction)
            self.axes.append(axes)
        self._fix(self.axes[-1])

    # -- the instructions ----------------------------------------------------------------------------------------------

    def _affine(self, k: int, affine: Affine, start: int) -> Axes:
        axes, windows = self.axes[affine.input], affine.windows
        columns = None
        if windows is not None and any(axis.frame is not None for axis in axes):
            columns = _columns(axes, windows)
            if columns is None:
                self._refuse(affine.input)
        n_in = affine.window_size(self.program.widths[affine.input])
        frame = self.frames.add()
        self.blocks.append(Block(frame, k, affine.input, start, affine.n_out, n_in, affine.bias, columns))
        return Axis(affine.n_windows), Axis(affine.n_out, frame)

    def _activation(self, k: int, activation: Activation) -> Axes:
        self.slots.tie(activation.input, k + 1)
        allowed = equivariance(activation.coefficients)
        if allowed.degree == 1:
            return self.axes[activation.input]
        axes = []
        for axis in self.axes[activation.input]:
            if axis.frame is not None:
                self.nonlinear.add(axis.frame)
                if allowed.degree is None:
                    self.unscaled.add(axis.frame)
                if allowed.parity is None:
                    self._tie_signs(axis)
                axis = Axis(
                    axis.size, axis.frame, axis.exponent * (allowed.degree or 1), axis.parity * (allowed.parity or 0)
                )
            axes.append(axis)
        return tuple(axes)

    def _select(self, k: int, select: Select) -> Axes:
        self.slots.tie(select.input, k + 1)
        axes = self.axes[select.input]
        frames = tuple(axis for axis in axes if axis.frame is not None)
        if not frames:
            return (Axis(len(select.indices)),)
        fibres = _fibres(axes, select.indices)
        if fibres is not None:
            n, m = fibres.shape
            if np.array_equal(fibres, np.arange(n * m).reshape(n, m)):
                return (Axis(n), *frames)
            if np.array_equal(fibres, np.arange(n * m).reshape(m, n).T):
                return (*frames, Axis(n))
        self._refuse(select.input)
        return (Axis(len(select.indices)),)

    def _add(self, k: int, add: Add) -> Axes:
        for slot in add.inputs:
            self.slots.tie(slot, k + 1)
        summands = [_merged(self.axes[slot]) for slot in add.inputs]
        first = max(summands, key=lambda axes: sum(axis.frame is not None for axis in axes))
        for slot, axes in zip(add.inputs, summands):
            if [axis.size for axis in axes] == [axis.size for axis in first]:
                for axis, other in zip(axes, first):
                    self._tie(axis, other)
            elif any(axis.frame is not None for axis in axes):
                self._refuse(slot)
                self._fix(first)
            else:
                self._fix(first)
        return first

    def _matmul(self, product: MatMul) -> Axes:
        self.needs_scalars = True
        sizes = product.rows, product.inner, product.cols
        rows, columns = [], []
        for outer, inner in self._splits(product.left, sizes[0], sizes[1], product.transpose_left):
            rows.append((inner, outer))
        for outer, inner in self._splits(product.right, sizes[2], sizes[1], product.transpose_right ^ True):
            columns.append((inner, outer))
        # Axes of size 1 can be on either side: what is summed over should be as little as possible, but something.
        pairs = [(left, right) for left in rows for right in columns if _alike(left[0], right[0])]
        if not pairs:
            pairs = [(rows[0], columns[0])]
            self._fix(rows[0][0] + columns[0][0])
        left, right = min(pairs, key=lambda pair: len(pair[0][0]) or math.inf)
        for axis, other in zip(_merged(left[0]), _merged(right[0])):
            if axis.frame is not None and other.frame is not None:
                self._tie(axis, other, dual=True)
        return left[1] + right[1]

    def _splits(self, slot: int, outer: int, inner: int, inner_first: bool) -> list[tuple[Axes, Axes]]:
        """The ways to see a slot as a matrix: axes of the outer side, and of the side that is summed over."""
        axes = self.axes[slot]
        first = inner if inner_first else outer
        at = [i for i in range(len(axes) + 1) if math.prod(axis.size for axis in axes[:i]) == first]
        if not at:
            self._refuse(slot)
            return [((Axis(outer),), (Axis(inner),))]
        return [(axes[i:], axes[:i]) if inner_first else (axes[:i], axes[i:]) for i in at]

    # -- ties ----------------------------------------------------------------------------------------------------------

    def _tie(self, axis: Axis, other: Axis, dual: bool = False) -> None:
        """The same action on both axes, or inverse transposes."""
        if axis.frame is None or other.frame is None:
            self._fix((axis, other))
            return
        self.frames.tie(axis.frame, other.frame, Fraction(-axis.exponent if dual else axis.exponent, other.exponent))
        self._tie_signs(axis, other)

    def _tie_signs(self, *axes: Axis) -> None:
        odd: set[int] = set()
        for axis in axes:
            if axis.parity and axis.frame is not None:
                odd ^= {axis.frame}
        if odd:
            self.sign_equations.append(frozenset(odd))

    def _fix(self, axes: Iterable[Axis]) -> None:
        """Leave nothing but signs that do not get so far."""
        for axis in axes:
            if axis.frame is not None:
                self.fixed.add(axis.frame)
                self._tie_signs(axis)

    def _refuse(self, slot: int) -> None:
        """Leave only scalars to a slot."""
        self._fix(self.axes[slot])
        self.irregular.add(slot)
        self.needs_scalars = True

    # -- the result ----------------------------------------------------------------------------------------------------

    def result(self) -> Frames:
        centring = _Centring(self.program, self.slots.groups())
        self.centring = centring
        self.slots_of: dict[int, list[int]] = {f: [] for f in range(len(self.blocks))}
        for slot, axes in enumerate(self.axes):
            for axis in axes:
                if axis.frame is not None:
                    self.slots_of[axis.frame].append(slot)
        components = [self._component(group) for group in self.frames.groups()]
        component_of = [0] * len(self.blocks)
        for number, component in enumerate(components):
            for frame in component.exponents:
                component_of[frame] = number
        scalars = _Scalars(self, components) if self.needs_scalars else None
        return Frames(
            program=self.program,
            blocks=tuple(self.blocks),
            axes=tuple(self.axes),
            components=tuple(components),
            component_of=tuple(component_of),
            centres=centring.centres,
            translations=tuple(self._translations()),
            branches=tuple(_branches(self.program)),
            irregular=frozenset(self.irregular),
            scalars=() if scalars is None else scalars.exponents,
            scalar_signs=() if scalars is None else scalars.signs,
            scalar_forms=() if scalars is None else tuple(scalars.forms),
            scalar_parities=() if scalars is None else tuple(scalars.parities),
            has_generic_centres=self._has_generic_centres(components),
        )

    def _component(self, group: dict[int, Ratio]) -> Component:
        size = self.blocks[next(iter(group))].n_out
        slots = {slot for frame in group for slot in self.slots_of[frame]}
        centred = self.centring.is_centred(slots)
        is_fixed, is_rigid = not self.fixed.isdisjoint(group), self.frames.has_conflict(group)
        if not (is_fixed or is_rigid) and self.nonlinear.isdisjoint(group):
            kind = "linear" if centred else "centred linear"
            return Component(size, {frame: int(e) for frame, e in group.items()}, kind)
        scaled = centred and not (is_fixed or is_rigid) and self.unscaled.isdisjoint(group)
        exponents = _primitive(group) if scaled else dict.fromkeys(group, 1)
        signs = self._signs(list(group))
        if not centred:
            signs = [flipped for flipped in signs if self.centring.allows(self._odd_slots(slots, flipped))]
        return Component(size, exponents, "fixed" if is_fixed else "permutations", scaled, tuple(signs))

    def _signs(self, frames: list[int]) -> list[frozenset[int]]:
        members = set(frames)
        equations = [equation for equation in self.sign_equations if equation <= members]
        if not equations:
            return [frozenset((frame,)) for frame in frames]
        kernel = kernel_mod2([[int(frame in equation) for frame in frames] for equation in equations], len(frames))
        return [frozenset(frame for frame, sign in zip(frames, vector) if sign) for vector in kernel]

    def _odd_slots(self, slots: set[int], flipped: frozenset[int]) -> set[int]:
        """Slots whose values change sign with these frames, feature by feature."""
        odd = set()
        for s in slots:
            axes = [axis for axis in self.axes[s] if axis.frame in flipped and axis.parity]
            # In z_i z_j with two axes of one frame only the signs of squares cancel.
            if axes and (len(axes) % 2 or axes[0].size > 1):
                odd.add(s)
        return odd

    def _has_generic_centres(self, components: list[Component]) -> bool:
        if not self.centring.generic:
            return False
        for component in components:
            if component.kind == "linear" or component.scaled or component.signs:
                slots = {slot for frame in component.exponents for slot in self.slots_of[frame]}
                if not self.centring.generic.isdisjoint(slots):
                    return True
        return False

    def _translations(self) -> Iterator[Translations]:
        for group in self.centring.groups:
            if self.centring.pins.keys() >= set(group) or not self.irregular.isdisjoint(group):
                continue
            for coefficients in self.centring.translations(group):
                (size,) = {axis.size for slot in coefficients for axis in self.axes[slot] if axis.frame is not None}
                yield Translations(size, coefficients)


class _Ties:
    """Union-find with the ratio of what is tied: x_i = ratio · x_root, and which groups have contradictory ratios."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.ratio: list[Ratio] = []
        self.conflicts: set[int] = set()

    def add(self) -> int:
        """A new member, on its own."""
        self.parent.append(len(self.parent))
        self.ratio.append(1)
        return len(self.parent) - 1

    def tie(self, i: int, j: int, ratio: Ratio = 1) -> None:
        """x_j = ratio x_i."""
        (root, of_i), (other, of_j) = self._find(i), self._find(j)
        if root != other:
            if other < root:
                root, other, ratio, of_i, of_j = other, root, 1, of_j, ratio * of_i
            self.parent[other] = root
            self.ratio[other] = ratio * of_i if of_j == 1 else ratio * of_i / Fraction(of_j)
        elif ratio * of_i != of_j:
            self.conflicts.add(i)

    def _find(self, i: int) -> tuple[int, Ratio]:
        ratio: Ratio = 1
        while self.parent[i] != i:
            ratio, i = ratio * self.ratio[i], self.parent[i]
        return i, ratio

    def groups(self) -> list[dict[int, Ratio]]:
        """The members of each group with their ratios, by their first members."""
        groups: dict[int, dict[int, Ratio]] = {}
        for i, parent in enumerate(self.parent):
            root, ratio = (i, 1) if parent == i else self._find(i)
            groups.setdefault(root, {})[i] = ratio
        return list(groups.values())

    def has_conflict(self, members: Iterable[int]) -> bool:
        """Whether the ratios in a group contradict each other, so that x = 0."""
        return not self.conflicts.isdisjoint(members)


class _Centring:
    """About which centres slots can be scaled, and how they can be translated.

    The centre o of a slot, a multiple of (1, …, 1), is 0 where an affine map without bias reads or writes, and at
    products; a and k before and after a c (z − a)^r + k with r >= 2; and elsewhere follows from z -> c z + k, sums and
    selections. These are linear equations; the vectors by which slots can move solve the homogeneous ones.
    """

    def __init__(self, program: Program, groups: list[dict[int, Ratio]]) -> None:
        self.pins: dict[int, list[Fraction]] = {0: [_ZERO], len(program.instructions): [_ZERO]}
        self.equations: dict[int, tuple[dict[int, Fraction], Fraction]] = {}  # of the slots that no affine map writes
        self.generic: set[int] = set()  # slots whose centres or translations depend on indeterminates
        for k, instruction in enumerate(program.instructions):
            match instruction:
                case Affine():
                    if not instruction.bias:
                        self._pin(instruction.input, _ZERO)
                        self._pin(k + 1, _ZERO)
                case Activation():
                    self._activation(k + 1, instruction)
                case MatMul():
                    for slot in (*instruction.inputs, k + 1):
                        self._pin(slot, _ZERO)
                case Select() | Add():
                    coefficients = {k + 1: Fraction(-1)}
                    for slot in instruction.inputs:
                        coefficients[slot] = coefficients.get(slot, _ZERO) + 1
                    self.equations[k + 1] = coefficients, _ZERO
        self.centres: dict[int, Fraction] = {}
        self.group_of = {slot: number for number, group in enumerate(groups) for slot in group}
        self.groups = [list(group) for group in groups]
        self.centred = [self._centre(group, group) for group in self.groups]
        self.odd: dict[int, set[int]] = {}

    def _pin(self, slot: int, value: Fraction) -> None:
        self.pins.setdefault(slot, []).append(value)

    def _activation(self, slot: int, activation: Activation) -> None:
        allowed = equivariance(activation.coefficients)
        if allowed.degree == 1:
            self.equations[slot] = {activation.input: -allowed.leading, slot: Fraction(1)}, allowed.centre_out
        else:
            self._pin(activation.input, allowed.centre_in)
            self._pin(slot, allowed.centre_out)
        is_generic = any(isinstance(c, Indeterminate) for c in activation.coefficients)
        if is_generic and (allowed.centre_in or allowed.centre_out or allowed.degree == 1):
            self.generic.update((activation.input, slot))

    def is_centred(self, slots: Iterable[int]) -> bool:
        """Whether all these slots and those tied to them have centres."""
        return all(self.centred[self.group_of[slot]] for slot in slots)

    def allows(self, odd: set[int]) -> bool:
        """Whether all these slots may change sign besides those allowed before; if so they get centres."""
        numbers = {self.group_of[slot] for slot in odd} - {n for n, centred in enumerate(self.centred) if centred}
        active = {n: {s for s in odd if self.group_of[s] == n} | self.odd.get(n, set()) for n in numbers}
        if any(self._solve(self.groups[n], active[n]) is None for n in numbers):
            return False
        for n in numbers:
            self._centre(self.groups[n], active[n])
        self.odd.update(active)
        return True

    def _centre(self, group: list[int], active: Iterable[int]) -> bool:
        solution = self._solve(group, active)
        self.centres.update({slot: value for slot, value in (solution or {}).items() if value})
        return solution is not None

    def _solve(self, group: list[int], active: Iterable[int]) -> dict[int, Fraction] | None:
        """Centres of the active slots of a group."""
        slots = [slot for slot in group if slot in active]
        values: dict[int, Fraction] = {}
        for slot in slots:
            for value in self.pins.get(slot, ()):
                if values.setdefault(slot, value) is not value and values[slot] != value:
                    return None
        equations = [self.equations[slot] for slot in slots if slot in self.equations]
        unknown = [slot for slot in slots if slot not in values]
        if not equations:
            return values
        rows = []
        for coefficients, right in equations:
            known = sum((c * values[s] for s, c in coefficients.items() if s in values), _ZERO)
            rows.append([coefficients.get(slot, _ZERO) for slot in unknown] + [right - known])
        reduced, pivots = echelon(rows)
        if len(unknown) in pivots:
            return None
        values.update(dict.fromkeys(unknown, _ZERO))
        values.update({unknown[pivot]: row[-1] for row, pivot in zip(reduced, pivots)})
        return values

    def translations(self, group: list[int]) -> list[dict[int, Fraction]]:
        """A basis of the solutions of the homogeneous equations."""
        free = [slot for slot in group if slot not in self.pins]
        rows = [
            [self.equations[slot][0].get(other, _ZERO) for other in free] for slot in group if slot in self.equations
        ]
        return [{s: c for s, c in zip(free, vector) if c} for vector in kernel(rows, len(free))]


class _Scalars:
    """Factors for the values of whole slots: a multiplicative system in those that the affine instructions write.

    What the components do to all features alike is left out: one frame of each, where it acts by t or −1, has factor 1.
    """

    def __init__(self, analysis: _Analysis, components: list[Component]) -> None:
        program, n = analysis.program, len(analysis.blocks)
        self.forms: list[dict[int, int]] = [{}]
        self.parities: list[dict[int, int]] = [{}]
        ones: list[dict[int, int]] = []  # exponents of products that have to be 1
        positive: list[dict[int, int]] = []  # of products that have to be positive
        outputs = iter(range(n))
        for instruction in program.instructions:
            forms = [self.forms[slot] for slot in instruction.inputs]
            parities = [self.parities[slot] for slot in instruction.inputs]
            form, parity = forms[0], parities[0]
            match instruction:
                case Affine():
                    form = parity = {next(outputs): 1}
                case Activation():
                    allowed = equivariance(instruction.coefficients)
                    if allowed.degree is None:
                        ones.append(form)
                    if allowed.parity is None:
                        positive.append(parity)
                    form = {i: e * allowed.degree for i, e in form.items()} if allowed.degree else {}
                    parity = parity if allowed.parity else {}
                case Add():
                    ones += [_sum(form, other, -1) for other in forms[1:]]
                    positive += [_sum(parity, other) for other in parities[1:]]
                case MatMul():
                    form, parity = _sum(forms[0], forms[1]), _sum(parities[0], parities[1])
            self.forms.append(form)
            self.parities.append(parity)
        still = [s for s in range(len(self.forms)) if not analysis.centring.is_centred([s])] + [len(self.forms) - 1]
        ones += [self.forms[slot] for slot in still]
        positive += [self.parities[slot] for slot in still]
        for component in components:
            if component.kind == "linear" or component.scaled:
                ones += [{frame: 1} for frame, e in component.exponents.items() if abs(e) == 1][:1]
            if component.kind == "linear":
                positive.append({next(iter(component.exponents)): 1})
            for i, flipped in enumerate(component.signs):
                others = frozenset[int]().union(*component.signs[:i], *component.signs[i + 1 :])
                positive += [{frame: 1} for frame in sorted(flipped - others)][:1]
        self.exponents = tuple(map(tuple, integer_kernel([_dense(form, n) for form in ones], n)))
        self.signs = tuple(map(tuple, kernel_mod2([_dense(form, n) for form in positive], n)))


# --- axes -------------------------------------------------------------------------------------------------------------


def fibres(axes: Axes) -> Positions:
    """Positions in a slot, (n_positions, n_features), features of several frames in C order."""
    sizes = [axis.size for axis in axes]
    acted = [i for i, axis in enumerate(axes) if axis.frame is not None]
    moved = np.moveaxis(np.arange(math.prod(sizes)).reshape(sizes), acted, range(len(axes) - len(acted), len(axes)))
    return np.asarray(moved.reshape(-1, math.prod(sizes[i] for i in acted)))


def _places(axes: Axes, positions: Sequence[int] | Sequence[Sequence[int]]) -> tuple[Positions, Positions]:
    """The position and the feature at each of some places in a slot."""
    of_slot = fibres(axes)
    place = np.empty(of_slot.size, dtype=np.intp)
    place[of_slot.reshape(-1)] = np.arange(of_slot.size)
    position, feature = np.divmod(place[np.asarray(positions, dtype=np.intp)], of_slot.shape[1])
    return position, feature


def _fibres(axes: Axes, positions: Sequence[int]) -> Positions | None:
    """Where features are among some places in a slot: (n, n_features) if these are n times all features, else None.

    A position may be mentioned several times, each time with all of its features.
    """
    n_features = math.prod(axis.size for axis in axes if axis.frame is not None)
    if len(positions) % n_features:
        return None
    found = np.full((len(positions) // n_features, n_features), -1, dtype=np.intp)
    rows: dict[tuple[int, int], int] = {}  # by position, and how often it has been mentioned before
    mentioned: dict[tuple[int, int], int] = {}
    for at, (position, feature) in enumerate(zip(*(places.tolist() for places in _places(axes, positions)))):
        turn = mentioned.get((position, feature), 0)
        mentioned[position, feature] = turn + 1
        row = rows.setdefault((position, turn), len(rows))
        if row == len(found):
            return None
        found[row, feature] = at
    return None if (found < 0).any() else found


def _columns(axes: Axes, windows: Sequence[Sequence[int]]) -> Positions | None:
    """`_fibres` of all windows if they are the same."""
    columns = _fibres(axes, windows[0])
    if columns is None:
        return None
    position, feature = (places[:, columns] for places in _places(axes, windows))
    same = (feature == np.arange(columns.shape[1])).all() and (position == position[:, :, :1]).all()
    return columns if same else None


def _merged(axes: Axes) -> Axes:
    """Without positions of size 1, neighbouring axes of positions joined."""
    merged: list[Axis] = []
    for axis in axes:
        if axis.frame is None and merged and merged[-1].frame is None:
            merged[-1] = Axis(merged[-1].size * axis.size)
        elif axis.frame is not None or axis.size > 1:
            merged.append(axis)
    return tuple(merged)


def _alike(axes: Axes, others: Axes) -> bool:
    """Whether axes can be summed over against others."""
    axes, others = _merged(axes), _merged(others)
    return [(a.size, a.frame is None) for a in axes] == [(a.size, a.frame is None) for a in others]


# --- branches ---------------------------------------------------------------------------------------------------------


def _branches(program: Program) -> Iterator[Branches]:
    """The alike summands of every sum that has some, with parameters."""
    if not any(isinstance(instruction, Add) for instruction in program.instructions):
        return
    readers: list[list[int]] = [[] for _ in range(len(program.instructions) + 1)]
    for k, instruction in enumerate(program.instructions):
        for slot in instruction.inputs:
            readers[slot].append(k)
    for k, instruction in enumerate(program.instructions):
        if isinstance(instruction, Add):
            alike: dict[object, list[tuple[int, ...]]] = {}
            for slot in _summands(program, readers, k):
                members = _private(readers, slot)
                if any(isinstance(program.instructions[i], Affine) for i in members):
                    alike.setdefault(_signature(program, members), []).append(members)
            yield from (Branches(tuple(members)) for members in alike.values() if len(members) > 1)


def _summands(program: Program, readers: list[list[int]], k: int) -> Iterator[int]:
    """The slots that a sum adds up, through sums that nothing else reads; none for such a sum itself."""
    is_inner = readers[k + 1] and all(isinstance(program.instructions[reader], Add) for reader in readers[k + 1])
    if is_inner and len(readers[k + 1]) == 1:
        return
    pending = list(program.instructions[k].inputs)
    while pending:
        slot = pending.pop(0)
        if slot and isinstance(program.instructions[slot - 1], Add) and len(readers[slot]) == 1:
            pending += program.instructions[slot - 1].inputs
        elif len(readers[slot]) == 1:
            yield slot


def _private(readers: list[list[int]], slot: int) -> tuple[int, ...]:
    """The instructions that serve only this slot, which one sum reads."""
    if not slot:
        return ()
    members = {slot - 1}
    for k in range(slot - 2, -1, -1):
        if readers[k + 1] and members.issuperset(readers[k + 1]):
            members.add(k)
    return tuple(sorted(members))


def _signature(program: Program, members: tuple[int, ...]) -> object:
    """Equal for summands that are computed alike."""
    place = {k + 1: f"own {i}" for i, k in enumerate(members)}
    signature = []
    for k in members:
        instruction = program.instructions[k]
        fields = tuple(v for name, v in vars(instruction).items() if name not in ("input", "inputs", "left", "right"))
        signature.append((instruction.kind, tuple(place.get(slot, slot) for slot in instruction.inputs), fields))
    return tuple(signature)


# --- helpers ----------------------------------------------------------------------------------------------------------


def _primitive(ratios: dict[int, Ratio]) -> dict[int, int]:
    """The smallest integers in these ratios."""
    if len(ratios) == 1:
        return dict.fromkeys(ratios, 1)
    scale = Fraction(
        math.lcm(*(ratio.denominator for ratio in ratios.values())),
        math.gcd(*(ratio.numerator for ratio in ratios.values())),
    )
    return {frame: int(ratio * scale) for frame, ratio in ratios.items()}


def _sum(form: dict[int, int], other: dict[int, int], factor: int = 1) -> dict[int, int]:
    total = dict(form)
    for i, e in other.items():
        total[i] = total.get(i, 0) + factor * e
    return {i: e for i, e in total.items() if e}


def _dense(form: dict[int, int], n: int) -> list[int]:
    return [form.get(i, 0) for i in range(n)]
