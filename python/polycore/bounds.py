# SPDX-License-Identifier: BSD-3-Clause
"""Proven upper bounds on the dimension of a network's function space.

A rank found at random parameters is a lower bound; where it meets one of these bounds, the dimension is certain. They
rest on theorems alone, never on a rank of the network's derivatives.

Legend: a *chain* is a network of affine maps and activations in turn, z_a = W_a φ_{a−1} + b_a and φ_a = σ_a(z_a), of
widths d_0 (inputs φ_0) to d_L (outputs z_L). Affine maps that follow each other (linear activations) count as one map,
so that a map has a rank t_a <= min(d_{a−1}, d_a). c (z − a)^r + k is a power where biases absorb a and k. Sets of
functions are closures of images of parameter spaces, hence irreducible.

Notes
-----
*Cuts.* z_a = B u + b with u = A φ_{a−1} of t = t_a values. So every function of the chain is g∘h, where h has the
outputs u and g begins with B, and GL(t) acts on these pairs; the affine group if there is a bias, which h then has as
well. Where the values u are linearly independent (together with 1 if there is a bias) it acts freely, so

    dim {g∘h} <= dim {h} + dim {g} − t²    (− t² − t with a bias).

Where they are not, they have a rank s < t, and this holds with s for t; but the bounds below grow with s: widening the
cut from s − 1 to s adds at least s to the bound of either side (s + 1 to that of h with a bias), more than s² − (s −
1)². So it holds with t. Cutting at every map but those inside of some blocks, the best set of cuts is a shortest path.
It is at least as good as dim F(0..L) <= dim F(0..k) + dim F(k..L) − d_k of J. Kileel, M. Trager, J. Bruna, *On the
expressive power of deep polynomial neural networks*, NeurIPS 2019, arXiv:1905.12207, since a linear layer of width d_k
can be put before any layer; and it contains all parameters minus scalings, inputs seen through t_1 linear forms, and
outputs in a t_L-dimensional span.

*Idle units.* For given weights before it, σ_a(w·φ + b) spans over all (w, b) a space of at most N dimensions, N the
number of monomials, in the values u of an earlier map, of the degrees that can occur. Any N units span it, so d_a can
be replaced by N where it is larger (by N − 1 if constants are counted and the next map has a bias).

*Relations.* n + 1 polynomials of degree e in n variables satisfy a relation of degree at most e^n (O. Perron; e^(n−1)
for forms: their image is a hypersurface at most, of at most that degree by Bézout's theorem). What vanishes on the
values u does not count as a function of them, which takes its multiples off N.

*Blocks* between two cuts, from n values u to m, have at most m · N dimensions. Those of two layers, n → d → m, with
power z^r also at most d (n + m − 1), and

* m = 1: J. Alexander, A. Hirschowitz, *Polynomial interpolation in several variables*, J. Algebraic Geom. 4 (1995):
  sums of d powers have dimension min(d n, N), for r >= 3 and one less for (n, r, d) = (3, 4, 5), (4, 4, 9), (5, 4, 14),
  (5, 3, 7); for r = 2 they are the symmetric matrices of rank at most d.
* m > 1: sums of d points of a Segre–Veronese variety. Their tangent space is the sum of those at the d points (A.
  Terracini). Where s of the points are on a rational curve of degree e, the s tangent lines of the curve span at most
  e + 1 of the 2 s dimensions counted (`_curve_defect`).
* m = 3, r = 2, n even, 2 d < 3 n: not every function is of this kind, since a Pfaffian vanishes: G. Ottaviani, *An
  invariant regarding Waring's problem for cubic polynomials*, Nagoya Math. J. 193 (2009).
* A bias before is one variable more, the constant 1; a bias after adds at most m dimensions.
* c z^r + q(z) with a bias before, deg q = e: a function for z^r plus any polynomials of degree at most e.
* Other polynomials p, without bias: the parts of each degree are as for a power; and all of them together are, up to a
  factor for each degree, a part of what (1 + z)^r gives, a power in one variable more.

*Programs* that are no chains. A *cut* is a set of slots and instructions such that the values of those slots and the
parameters of those instructions determine the outputs. The values of a slot are in a space of known dimension
(`polycore._ambient`), so the outputs are the image of an irreducible variety T, of at most the dimension C of that
space and those parameters together. Symmetries of the parameters move the points of T without moving the outputs, so

    dim {f} <= dim T − s <= C − s,

s the dimension of the orbits in T, which is at least the rank of the infinitesimal action on the parameters of the cut
alone. All parameters are a cut, and then s is the orbit dimension; the outputs are one, with s = 0; and a cut of least
C is a minimal cut of a network of pipes (L. R. Ford, D. R. Fulkerson). A slot that holds Σ_i u_i w_i, with a products
of two linear forms in the inputs, holds a quadratic form of rank at most 2 a: that of attention to a single token.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import comb, prod
from typing import NamedTuple, TypeAlias

import numpy as np

from ._ambient import ambient_dimensions
from ._degrees import CACHE_SIZE, NO_BOUND, compose_degrees, count_of_degrees, with_constant
from ._validation import as_rng
from .chains import Polynomial, read_chain
from .program import Affine, Coefficient, Indeterminate, MatMul, Program
from .rank import modular_rank
from .symmetries import action_prime, as_shifted_power, infinitesimal_action, orbit_dimension

__all__ = ["UpperBound", "upper_bound"]

# Rational curves are tried through so many points, and relations among polynomials in so many variables.
_MAX_POINTS = 64
_MAX_RELATED = 8
# Through how many values the bias of a map passes that ends in it: more than there are.
_FREE = 1 << 62


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
    rest: int = 0  # degree of p(z) − c (z − a)^r, for the a that makes it smallest


# A hidden layer's activation: r >= 1 for z^r, or the degrees of another polynomial.
_Layer: TypeAlias = int | tuple[int, ...]


class _Bound(NamedTuple):
    value: int
    reason: str


def upper_bound(program: Program) -> UpperBound:
    """A proven upper bound of the dimension (affine: of the cone) of the set of functions of a network.

    Parameters
    ----------
    program : Program
        Any program. Most theorems are for chains of affine maps and activations (`polycore.MLP`); for others it is the
        least number of parameters, and coefficients of values in between, that determine the outputs, minus the
        dimension of what the known symmetries do to those. Indeterminate coefficients are taken for unknown numbers
        other than zero.

    Returns
    -------
    UpperBound
        The number, of any size, and a line that says where it comes from.

    Notes
    -----
    See the notes of this module for the theorems. O(L²) lookups and binomial coefficients for L layers, a few tens of
    microseconds; results are remembered. For power activations the bound has been the dimension of every network
    compared with it, some twenty thousand (see tests/test_bounds.py); for other polynomials it is larger, mostly by one
    or two, in about one of a hundred small networks.

    Examples
    --------
    >>> from polycore.networks import MLP
    >>> upper_bound(MLP((2, 4, 3, 2), activation=5).program)
    at most 19: 26 parameters − 7 scalings = 19
    >>> upper_bound(MLP((3, 5, 1), activation=4).program)
    at most 14: 14 (5 powers, Alexander–Hirschowitz)
    >>> upper_bound(MLP((5, 3, 1), activation=2).program)
    at most 12: 6 (3 linear forms in 5 inputs) + 6 (coefficients) = 12
    >>> print(upper_bound(MLP((5, 5, 3, 1), activation=2).program).value)
    32
    """
    chain = _read_chain(program)
    return UpperBound(*(_bound_by_counting(program) if chain is None else _chain_bound(*chain)))


# --- programs that are not chains -------------------------------------------------------------------------------------


def _bound_by_counting(program: Program) -> _Bound:
    """The smaller of parameters and of what a cut lets through, less the known symmetries; see "Programs"."""
    n_params = program.n_params
    try:
        orbit = known_orbit_dimension(program)
    except MemoryError:
        orbit = 0
    bounds = [_by_parameters(n_params, orbit)]
    cut = _least_cut(program, _ambient(program))
    # What symmetries do to some parameters has at most as many dimensions as those, or as what they do to all.
    if cut.size - min(orbit, cut.n_params) < n_params - orbit:
        bounds.append(_bound_of_cut(program, cut))
    return min(bounds, key=lambda bound: bound.value)


# One network is asked about several times in a row.
known_orbit_dimension = lru_cache(maxsize=16)(orbit_dimension)


def _by_parameters(n_params: int, orbit: int) -> _Bound:
    words = f"{n_params} parameters"
    if orbit:
        words += f" − {_dimensions(orbit)} of a generic orbit of the symmetries = {n_params - orbit}"
    return _Bound(n_params - orbit, words)


def _ambient(program: Program) -> list[int]:
    """Dimensions of varieties that contain the values of each slot, those of the inputs being known."""
    dimensions = ambient_dimensions(program)
    for k, instruction in enumerate(program.instructions):
        if isinstance(instruction, MatMul) and program.widths[k + 1] == 1:
            dimensions[k + 1] = min(dimensions[k + 1], _quadratic_forms(program, instruction) or NO_BOUND)
    return dimensions


def _quadratic_forms(program: Program, product: MatMul) -> int | None:
    """Dimension of the sums of a products of two linear forms in the inputs: quadratic forms of rank at most 2 a."""
    factors = [program.instructions[slot - 1] if slot else None for slot in product.inputs]
    n_vars, rank = 0, product.inner * len(set(product.inputs))
    for factor in factors:
        if not isinstance(factor, Affine) or factor.input != 0:
            return None
        n_vars = max(n_vars, program.n_inputs + factor.bias)
    return _sum_of_powers(n_vars, rank, 1, 2)


class _CutOfProgram(NamedTuple):
    """What determines the outputs: the parameters of some instructions and the values of some slots."""

    size: int
    n_params: int
    instructions: tuple[int, ...]
    slots: tuple[int, ...]


def _least_cut(program: Program, dimensions: Sequence[int]) -> _CutOfProgram:
    """The cut of the least size, nearest to the parameters among those: by augmenting paths (Edmonds and Karp)."""
    # Node 2 s is what slot s is made of, 2 s + 1 its values; SOURCE gives the parameters of each instruction.
    n_slots = len(program.widths)
    source, sink = 2 * n_slots, 2 * n_slots - 1
    free = program.n_params + 1
    capacities: list[dict[int, int]] = [{} for _ in range(2 * n_slots + 1)]

    def connect(start: int, end: int, capacity: int) -> None:
        capacities[start][end] = capacities[start].get(end, 0) + capacity
        capacities[end].setdefault(start, 0)

    for block in program.parameters:
        connect(source, 2 * (block.instruction + 1), block.size)
    for k, instruction in enumerate(program.instructions):
        for slot in instruction.inputs:
            connect(2 * slot + 1, 2 * (k + 1), free)
        connect(2 * (k + 1), 2 * (k + 1) + 1, min(free, dimensions[k + 1]))
    size = 0
    while True:
        before = {source: source}
        queue = deque([source])
        while queue and sink not in before:
            node = queue.popleft()
            for end, capacity in capacities[node].items():
                if capacity and end not in before:
                    before[end] = node
                    queue.append(end)
        if sink not in before:
            break
        path = [sink]
        while path[-1] != source:
            path.append(before[path[-1]])
        flow = min(capacities[a][b] for b, a in pairwise(path))
        for b, a in pairwise(path):
            capacities[a][b] -= flow
            capacities[b][a] += flow
        size += flow
    blocks = [block for block in program.parameters if 2 * (block.instruction + 1) not in before]
    instructions = dict.fromkeys(block.instruction for block in blocks)
    slots = [s for s in range(1, n_slots) if 2 * s in before and 2 * s + 1 not in before]
    return _CutOfProgram(size, sum(block.size for block in blocks), tuple(instructions), tuple(slots))


def _bound_of_cut(program: Program, cut: _CutOfProgram) -> _Bound:
    kept = [b for b in program.parameters if b.instruction in cut.instructions]
    columns = np.array([i for b in kept for i in range(b.start, b.stop)], dtype=np.intp)
    fixed = 0
    if cut.n_params:
        p = action_prime(program)
        theta = as_rng(0)[0].integers(1, p, program.n_params, dtype=np.int64)
        with suppress(MemoryError):
            fixed = modular_rank(infinitesimal_action(program, theta, p)[:, columns], p)
    value = cut.size - fixed
    outputs = cut.size - cut.n_params
    if not cut.slots:
        return _by_parameters(cut.n_params, fixed)
    if cut.slots == (len(program.instructions),) and not fixed:
        return _Bound(value, f"ambient dimension, {outputs} monomials that the outputs can have")
    words = f"{_dimensions(outputs)} of the values of slot{'s' * (len(cut.slots) > 1)} {', '.join(map(str, cut.slots))}"
    words += f" + {cut.n_params} parameters after" if cut.n_params else ""
    words += f" − {_dimensions(fixed)} of the orbits of those = {value}" if fixed else f" = {value}"
    return _Bound(value, words)


def _dimensions(number: int) -> str:
    return f"{number} dimension{'s' * (number != 1)}"


def _ambient_words(n_outputs: int, ambient: int) -> str:
    outputs = "" if n_outputs == 1 else f"{n_outputs} outputs × "
    return f"ambient dimension, {outputs}{ambient // n_outputs} monomials = {ambient}"


@lru_cache(CACHE_SIZE)
def _degrees(layers: tuple[_Layer, ...], biases: tuple[bool, ...]) -> Sequence[int]:
    """Degrees of the values of a chain, after its last activation or, with one bias more, after its last affine map."""
    degrees: Sequence[int] = (0, 1) if biases[0] else (1,)
    for k, layer in enumerate(layers):
        degrees = compose_degrees((layer,) if isinstance(layer, int) else layer, degrees)
        if k + 1 < len(biases) and biases[k + 1]:
            degrees = with_constant(degrees)
    return degrees


# --- reading a chain --------------------------------------------------------------------------------------------------


_IDENTITY = _Kind((1,), 1)


def _read_chain(program: Program) -> tuple[tuple[int, ...], tuple[_Kind, ...], tuple[bool, ...]] | None:
    """(widths, activations, biases) of a program that is a chain, else None.

    There is an activation before each affine map and one after the last, the identity where the program has none.
    """
    chain = read_chain(program)
    if chain is None:
        return None
    return chain.widths, tuple(map(_kind_at, chain.activations)), chain.biases


@lru_cache(CACHE_SIZE)
def _kind_at(polynomials: tuple[Polynomial, ...]) -> _Kind:
    """Of polynomials that are applied one after the other."""
    kind = _IDENTITY
    for coefficients in polynomials:
        outer = _kind(coefficients)
        kind = outer if kind is _IDENTITY else _composed(outer, kind)
    return kind


@lru_cache(CACHE_SIZE)
def _kind(coefficients: tuple[Coefficient, ...]) -> _Kind:
    # An indeterminate is an unknown other than 0.
    known = not any(isinstance(c, Indeterminate) for c in coefficients)
    degrees = tuple(j for j, c in enumerate(coefficients) if isinstance(c, Indeterminate) or c != 0)
    if len(degrees) <= 1:
        return _Kind(degrees, degrees[0] if degrees else 0)
    degree = degrees[-1]
    if not known:
        return _Kind(degrees, degree, degree == 2, True) if degree <= 2 else _Kind(degrees, rest=degree - 2)
    power = as_shifted_power(coefficients)
    if power is None:
        return _Kind(degrees, rest=_rest([Fraction(c) for c in coefficients if not isinstance(c, Indeterminate)]))
    return _Kind(degrees, degree, power[2] != 0, power[3] != 0)


def _rest(coefficients: Sequence[Fraction]) -> int:
    """Degree of p(z) − c (z − a)^r, where a removes the term of degree r − 1."""
    degree, leading = len(coefficients) - 1, coefficients[-1]
    shift = -coefficients[-2] / (degree * leading)
    below = degree - 2
    while below and coefficients[below] == leading * comb(degree, below) * (-shift) ** (degree - below):
        below -= 1
    return below


def _composed(outer: _Kind, inner: _Kind) -> _Kind:
    degrees = tuple(compose_degrees(outer.degrees, inner.degrees))
    if degrees == (0, 1):
        return _Kind(degrees, 1, constant=True)
    if len(degrees) <= 1:
        return _Kind(degrees, degrees[0] if degrees else 0)
    return _Kind(degrees, rest=degrees[-1] - 1)


# --- chains -----------------------------------------------------------------------------------------------------------


@lru_cache(CACHE_SIZE)
def _chain_bound(widths: tuple[int, ...], kinds: tuple[_Kind, ...], biases: tuple[bool, ...]) -> _Bound:
    """The bound for a chain, given with the activations before the first and after the last affine map."""
    start = _constant_from(kinds, biases)
    if start == len(biases) or not biases:
        return _Bound(0, "the outputs do not depend on the parameters")
    if start is not None:
        # The first map after the constants gives any vector: a network with one input, at one point.
        widths, kinds, biases = (1, *widths[start + 1 :]), kinds[start:], (False, *biases[start + 1 :])
        constants = _Bound(widths[-1], f"the outputs are {widths[-1]} constants")
        return min(constants, _chain_bound(widths, (_IDENTITY, *kinds[1:]), biases), key=lambda bound: bound.value)
    # F∘p in front and p∘F behind have no more dimensions than F, so the outer activations do not matter.
    hidden = kinds[1:-1]
    bound = _bound(_maps(widths, hidden, biases))
    needed = tuple(
        bias or (k > 0 and _is_raised(hidden[k - 1])) or (k < len(hidden) and hidden[k].shifted)
        for k, bias in enumerate(biases)
    )
    if needed != biases:
        # c (z − a)^r + k without the biases that absorb a and k: biases only add functions.
        relaxed = _bound(_maps(widths, hidden, needed))
        if relaxed.value < bound.value:
            bound = _Bound(relaxed.value, f"{relaxed.reason}, even with biases")
    return bound


def _is_raised(kind: _Kind) -> bool:
    return kind.power > 1 and kind.constant


def _constant_from(kinds: tuple[_Kind, ...], biases: tuple[bool, ...]) -> int | None:
    """The last activation whose values are constants; len(biases) if the outputs are, whatever the parameters."""
    found, zero = None, False
    for k, kind in enumerate(kinds):
        degrees = kind.degrees
        if zero:
            degrees = degrees[:1] if degrees[:1] == (0,) else ()
        if degrees in ((), (0,)):
            found = k
            if k == len(biases):
                return k
            zero = degrees == () and not biases[k]
        else:
            zero = False
    return len(biases) if zero else found


class _Maps(NamedTuple):
    """A chain without linear activations, ready to be cut at its affine maps z = B (A φ + c) + b."""

    widths: tuple[int, ...]
    layers: tuple[_Layer, ...]
    ranks: tuple[int, ...]  # of each affine map, at most
    biases: tuple[bool, ...]  # whether there is c or b
    narrow: tuple[int, ...]  # how many values the last bias passes through, 0 if there is none
    places: tuple[int, ...]  # the layer that each affine map ends in


def _maps(widths: tuple[int, ...], kinds: tuple[_Kind, ...], biases: tuple[bool, ...]) -> _Maps:
    layers: list[_Layer] = []
    flags = list(biases)
    for k, kind in enumerate(kinds):
        before, after = biases[k], biases[k + 1]
        if kind.power == 1:
            # W (z + k 1) is what a bias before can do: no other vector is needed.
            flags[k] = before or (kind.constant and not after)
            layers.append(1)
        elif kind.power and (before or not kind.shifted) and (after or not kind.constant):
            layers.append(kind.power)
        else:
            # A bias before shifts c (z − a)^r + q(z) to a = 0, and may then give all degrees.
            degrees = (*range(kind.rest + 1), kind.degrees[-1]) if before else kind.degrees
            layers.append(degrees[1:] if after and degrees[0] == 0 else degrees)
    if 1 not in layers:
        narrow = tuple(_FREE if bias else 0 for bias in biases)
        return _Maps(widths, tuple(layers), widths[1:], biases, narrow, tuple(range(1, len(widths))))
    kept = [k for k in range(len(flags)) if k == len(layers) or layers[k] != 1]
    ranks, biased, narrow_widths = [], [], []
    first = 0
    for k in kept:  # the affine maps first, …, k are one
        rank = min(widths[first : k + 2])
        with_bias = [i for i in range(first, k + 1) if flags[i]]
        ranks.append(rank)
        biased.append(bool(with_bias))
        narrow_widths.append(min((*widths[with_bias[-1] + 1 : k + 1], _FREE)) if with_bias else 0)
        first = k + 1
    return _Maps(
        (widths[0], *(widths[k + 1] for k in kept)),
        tuple(layers[k] for k in kept[:-1]),
        tuple(ranks),
        tuple(biased),
        tuple(narrow_widths),
        tuple(k + 1 for k in kept),
    )


class _Cut(NamedTuple):
    """A cut at a map z = B u + b, u = A φ + c."""

    map: int
    before: bool  # whether there is c
    after: bool  # whether b is free


def _bound(maps: _Maps) -> _Bound:
    blocks = _Blocks(maps)
    widths, ranks, cuts = blocks.widths, blocks.ranks, blocks.cuts
    # Bounds for the blocks from the inputs to the values u at each cut, less the dimension of the group there.
    best: list[int] = []
    previous: list[int] = []
    for cut in cuts:
        if cut.map == 0:
            best.append(ranks[0] * (widths[0] + cut.before) - blocks.group(cut))
            previous.append(-1)
            continue
        value, arg, degree, place = NO_BOUND, 0, 1, cut.map
        for i in range(len(best) - 1, -1, -1):
            start = cuts[i]
            if start.map == cut.map:
                continue
            if start.map < place:
                place = start.map
                degree *= blocks.tops[place]
            # Blocks of more than two layers have bounds by their coefficients alone, of which there are more than this.
            fewest = 0 if (n := ranks[place]) == 1 or place == cut.map - 1 else ranks[cut.map] * degree * min(n - 1, 2)
            if best[i] + fewest >= value:
                continue
            bound = best[i] + blocks.bound(start, cut)
            if bound < value:
                value, arg = bound, i
        best.append(value - blocks.group(cut))
        previous.append(arg)
    ends = [i for i, cut in enumerate(cuts) if cut.map == len(ranks) - 1]
    totals = [best[i] + widths[-1] * (ranks[-1] + cuts[i].after) for i in ends]
    value = min(totals)
    path = [ends[totals.index(value)]]
    while previous[path[-1]] >= 0:
        path.append(previous[path[-1]])
    return _Bound(value, _words(maps, blocks, [(cuts[i], best[i]) for i in reversed(path)], value))


class _Blocks:
    """The blocks between the maps of a chain, and their bounds; widths are without idle units."""

    def __init__(self, maps: _Maps) -> None:
        self.widths, self.layers, self.biases = list(maps.widths), maps.layers, maps.biases
        self.tops = [layer if isinstance(layer, int) else layer[-1] for layer in maps.layers]
        only_powers = all(isinstance(layer, int) for layer in maps.layers)
        self.homogeneous = only_powers and not any(maps.biases)
        self.ranks = [min(rank, n) for rank, n in zip(maps.ranks, maps.widths)]
        self.later = [narrow > rank for narrow, rank in zip(maps.narrow, self.ranks)]  # whether b is free
        # Degrees of relations between the values u of a map: homogeneous ones, and any.
        self._relations = [(NO_BOUND, NO_BOUND)] * len(self.ranks)
        for k in range(len(self.layers)):
            self._settle(k)
            width = self._useful_units(k)
            if width < self.widths[k + 1]:
                self.widths[k + 1] = width
                self.ranks[k], self.ranks[k + 1] = min(self.ranks[k], width), min(self.ranks[k + 1], width)
                self.later[k], self.later[k + 1] = (maps.narrow[j] > self.ranks[j] for j in (k, k + 1))
                self._settle(k)
        self.cuts: list[_Cut] = []
        for a, (bias, later) in enumerate(zip(self.biases, self.later)):
            self.cuts.append(_Cut(a, bias, later))
            # A bias more only adds functions, and the translations may be worth more than it costs.
            if not later and not only_powers:
                self.cuts.append(_Cut(a, True, True))

    def _settle(self, a: int) -> None:
        """Find relations between the values u of map a: n + 1 polynomials of degree e in n variables."""
        self._relations[a] = NO_BOUND, NO_BOUND
        if a == 0 or self.ranks[a] <= min(self.ranks[:a]):
            return
        degree, forms, anything = 1, NO_BOUND, NO_BOUND
        homogeneous, rest = True, prod(self.tops[a:])
        for c in range(a - 1, -1, -1):
            degree *= self.tops[c]
            if degree > rest:
                break  # of no use in any block
            homogeneous = homogeneous and isinstance(self.layers[c], int) and not self.biases[c + 1]
            n = self.ranks[c]
            if n < self.ranks[a] and n <= _MAX_RELATED:
                anything = min(anything, degree**n)
                if homogeneous and not self.later[c]:
                    forms = min(forms, degree ** (n - 1))
        self._relations[a] = forms, min(forms, anything)

    def _useful_units(self, k: int) -> int:
        """At most so many units of layer k + 1 bring something new."""
        width, degree = self.widths[k + 1], 1
        for a in range(k, -1, -1):
            degree *= self.tops[a]
            if self.ranks[a] >= width or (self.ranks[a] > 1 and degree >= width):
                continue  # at least as many monomials
            degrees = _degrees(self.layers[a : k + 1], (self.later[a], *self.biases[a + 1 : k + 1]))
            width = max(1, min(width, self._count(a, degrees) - (self.biases[k + 1] and degrees[0] == 0)))
        return width

    def _count(self, a: int, degrees: Sequence[int]) -> int:
        """Dimension of the polynomials of these degrees in the values u of map a, less relations."""
        n, top = self.ranks[a], degrees[-1]
        forms, anything = self._relations[a]
        if len(degrees) == 1 and forms <= top:
            return count_of_degrees(n, degrees) - count_of_degrees(n, (top - forms,))
        if len(degrees) == top + 1 and anything <= top:
            return count_of_degrees(n, degrees) - count_of_degrees(n, range(top - anything + 1))
        return count_of_degrees(n, degrees)

    def coefficients(self, first: _Cut, last: _Cut) -> int:
        """Dimension of the polynomials that the block between two cuts has as outputs."""
        a, b = first.map, last.map
        if self.homogeneous:
            return self._count(a, (prod(self.tops[a:b]),))
        return self._count(a, _degrees(self.layers[a:b], (first.after, *self.biases[a + 1 : b], last.before)))

    def bound(self, first: _Cut, last: _Cut) -> int:
        """A bound for the block from the values u at one cut to those at another."""
        a, b = first.map, last.map
        m = self.ranks[b]
        bound = m * self.coefficients(first, last)
        if b > a + 1:
            return bound
        return min(bound, _two_layer_bound(self.ranks[a], self.widths[b], m, self.layers[a], first.after, last.before))

    def group(self, cut: _Cut) -> int:
        """Dimension of the linear or affine group at a cut."""
        return self.ranks[cut.map] * (self.ranks[cut.map] + cut.after)


# --- words ------------------------------------------------------------------------------------------------------------

_PARAMETERS = "parameters modulo symmetries"
_COEFFICIENTS = "coefficients"


def _words(maps: _Maps, blocks: _Blocks, path: Sequence[tuple[_Cut, int]], value: int) -> str:
    """How the bound comes about, given the best cuts with the bounds up to there, less their groups."""
    widths, ranks = blocks.widths, blocks.ranks
    idle = f", other units than ({', '.join(map(str, widths))}) being idle" if list(maps.widths) != widths else ""
    n_params = sum(m * (n + bias) for n, m, bias in zip(widths, widths[1:], maps.biases))
    scalings = sum(width for width, layer in zip(widths[1:], maps.layers) if isinstance(layer, int))
    if value == n_params - scalings:
        return f"{n_params} parameters" + (f" − {scalings} scalings = {value}" if scalings else "") + idle
    terms: list[tuple[int, str]] = []
    places: list[int] = []  # where blocks meet
    lost: list[int] = []
    for (first, before), (last, through) in pairwise(path):
        size = through + blocks.group(last) - before
        name = _block_name(blocks, first, last, size)
        if name == _PARAMETERS and terms and terms[-1][1] == name:
            terms[-1] = (terms[-1][0] + size - blocks.group(first), name)
            continue
        if terms:
            places.append(maps.places[first.map])
            lost.append(blocks.group(first))
        terms.append((size, name))
    if path[0][1]:
        terms.insert(0, (path[0][1], f"{ranks[0]} linear forms in {widths[0]} inputs"))
    beyond = value - path[-1][1] - blocks.group(path[-1][0])
    if beyond:
        terms.append((beyond, f"{widths[-1]} outputs of rank {ranks[-1]}"))
    if len(terms) == 1 and terms[0][1] == _COEFFICIENTS:
        return _ambient_words(widths[-1], value) + idle
    words = " − ".join([" + ".join(f"{size} ({name})" for size, name in terms), *map(str, lost)])
    words += f" = {value}" if len(terms) > 1 else ""
    if len(path) == 1:
        words = f"affine maps {widths[0]} → {widths[1]} of rank {ranks[0]}: {value}"
    elif places:
        at = f"layer{'s' if len(places) > 1 else ''} {', '.join(map(str, places))}"
        words = f"recursive bound at {at}: {words} (Kileel–Trager–Bruna)"
    return words + idle


def _block_name(blocks: _Blocks, first: _Cut, last: _Cut, size: int) -> str:
    a, b = first.map, last.map
    n, d, m = blocks.ranks[a] + first.after, blocks.widths[b], blocks.ranks[b]
    if size == m * blocks.coefficients(first, last):
        return _COEFFICIENTS
    if size == d * (n + m - isinstance(blocks.layers[a], int)) + m * last.before:
        return _PARAMETERS
    if m > 1:
        return f"{d} points of a Segre–Veronese variety"
    return f"quadratic forms of rank {d}" if blocks.tops[a] == 2 else f"{d} powers, Alexander–Hirschowitz"


# --- two layers -------------------------------------------------------------------------------------------------------


@lru_cache(CACHE_SIZE)
def _two_layer_bound(n: int, d: int, m: int, layer: _Layer, before: bool, after: bool) -> int:
    """A bound for n → d → m with biases before and after the hidden layer; n, m <= d."""
    constants = m * after
    if isinstance(layer, int):
        bound = _sum_of_powers(n + before, d, m, layer) + constants
        if before and after:
            bound = min(bound, d * (n + m) + m - _curve_defect(n + 1, d, m, layer, True))
        return bound
    bounds = [d * (n + before + m) + constants]
    if not before:
        bounds.append(_sum_of_powers(n + 1, d, m, layer[-1]) + constants)
        bounds.append(sum(_sum_of_powers(n, d, m, degree) if degree else m for degree in layer) + constants)
        return min(bounds)
    rest = layer[-2] if len(layer) > 1 else 0
    bounds.append(_sum_of_powers(n + 1, d, m, layer[-1]) + m * count_of_degrees(n, range(rest + 1)))
    if layer[-1] == 3 and m == 1:
        # A shift removes z², and the other terms are in the tangent space at the power x0³ of the constant x0.
        bounds.append(_sum_of_powers(n + 1, d + 1, 1, 3))
    return min(bounds)


@lru_cache(CACHE_SIZE)
def _sum_of_powers(n: int, d: int, m: int, r: int) -> int:
    """A bound for m forms of degree r in n variables that are combinations of the same d powers, r >= 1."""
    if r == 1:
        d = min(d, n, m)
        return d * (n + m - d)
    if m == 1 and r == 2:
        d = min(d, n)
        return d * n - d * (d - 1) // 2
    ambient = m * count_of_degrees(n, (r,))
    if m == 1:
        return min(d * n, ambient) - ((n, r, d) in ALEXANDER_HIRSCHOWITZ)
    if m == 3 and r == 2 and n % 2 == 0 and 2 * d < 3 * n:
        ambient -= 1
    return min(ambient, d * (n + m - 1) - _curve_defect(n, d, m, r, False))


# (variables, degree, number of powers): one less than expected.
ALEXANDER_HIRSCHOWITZ = {(3, 4, 5), (4, 4, 9), (5, 4, 14), (5, 3, 7)}


@lru_cache(CACHE_SIZE)
def _curve_defect(n: int, d: int, m: int, r: int, constant: bool) -> int:
    """How much the tangent spaces at d points ℓ^r ⊗ w, in n variables with m outputs, overlap at least.

    Through s general points of P^(q−1) there is a rational curve of degree e where s (q − 2) <= q (e + 1) − 4, and for
    given values of the curve's parameter where s (q − 1) < q (e + 1); e >= min(s, q) − 1 in any case. So the curve can
    choose the parameters in one factor and has them given in the other. ``constant``: the points x0^r ⊗ w are added.
    """
    best = 0
    for s in range(2, min(d, _MAX_POINTS) + 1):
        points = s + constant
        degree = min(
            _through(m, s, False) + r * _through(n, points, True),
            _through(m, s, True) + r * _through(n, points, False),
        )
        best = max(best, 2 * s + constant - degree - 1)
    # Bounds must grow by max(n, m) when n or m does, see "Cuts".
    return max(0, min(best, d - max(n, m)))


def _through(q: int, s: int, free: bool) -> int:
    """Degree of rational curves through s general points of P^(q−1), at parameters that are free or given."""
    if q == 1:
        return 0
    degree = -(-(s * (q - 2) + 4) // q) - 1 if free else -(-(s * (q - 1) + 1) // q) - 1
    return max(degree, min(s, q) - 1)
