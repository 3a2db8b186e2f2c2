# SPDX-License-Identifier: BSD-3-Clause
"""The subnetworks of a network: fewer units, shorter filters, heads of lower rank, with the dimension of each stratum.

A subnetwork is what remains when hidden layers lose units, when filters of a convolutional network have zeros at their
ends, or when KᵀQ or V of a head of attention lacks rank. Its functions are functions of the network, a stratum of the
function space; in fully connected and convolutional networks these strata are where the function space is singular, see
`polycore.analyze_point`.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeAlias, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._reductions import with_keys
from ._validation import _describe, _to_array, as_index, as_rng, check_shape, check_size
from ._verdicts import FilterShifts
from .dimension import DimensionResult, dimension
from .networks import Network
from .program import Affine, Program
from .singularities import as_network, names_of_weights
from .structure import (
    Convolution,
    HiddenLayer,
    Parametrised,
    attention_heads,
    convolutions,
    factor_affine,
    hidden_layers,
    places_within,
)

__all__ = ["Part", "Stratum", "Subnetworks", "subnetworks"]

Array = NDArray[Any]
Box: TypeAlias = tuple[tuple[int, int], ...]
Size: TypeAlias = int | Box

_ROWS_SHOWN = 20


@dataclass(frozen=True)
class Part:
    """Something of a network that can be made smaller.

    Attributes
    ----------
    kind : str
        "units" of a hidden layer (or channels), "filter", "keys" (the rank of KᵀQ) or "values" (the rank of V).
    weights : str
        The array of `Network.unpack` it is about: the units are its rows, K stands for KᵀQ.
    full : int or tuple
        Number of units, rank, or (0, length) along each axis of a filter.
    """

    kind: str
    weights: str
    full: Size

    @property
    def name(self) -> str:
        """A heading."""
        if self.kind == "keys":
            return f"rank K{self.weights[1:]}ᵀQ{self.weights[1:]}"
        return {"units": "units of ", "filter": "places of ", "values": "rank "}[self.kind] + self.weights

    @property
    def n_choices(self) -> int:
        """How many sizes there are, the full one included."""
        if isinstance(self.full, int):
            return self.full
        return math.prod(n * (n + 1) // 2 for _, n in self.full)

    def choice(self, index: int) -> Size:
        """Sizes from the full one, number 0, downwards; places of filters by length.

        Parameters
        ----------
        index : int
            0 <= index < n_choices.

        Returns
        -------
        int or tuple
            As ``full``.
        """
        if isinstance(self.full, int):
            return self.full - index
        box = []
        for _, n in reversed(self.full):
            index, here = divmod(index, n * (n + 1) // 2)
            lost = (math.isqrt(8 * here + 1) - 1) // 2
            start = here - lost * (lost + 1) // 2
            box.append((start, start + n - lost))
        return tuple(reversed(box))

    def includes(self, large: Size, small: Size) -> bool:
        """Whether one size is part of another.

        Parameters
        ----------
        large, small : int or tuple
            As ``full``.

        Returns
        -------
        bool
        """
        if isinstance(large, int) or isinstance(small, int):
            return cast(int, small) <= cast(int, large)
        return all(a <= c and d <= b for (a, b), (c, d) in zip(large, small))


@dataclass(frozen=True)
class Stratum:
    """The functions of one subnetwork, a subset of the function space.

    Attributes
    ----------
    whole : Network
        Of which it is a subnetwork.
    parts : tuple of Part
        What can be made smaller, and
    sizes : tuple of int or tuple
        what it is here: a number of units, a rank, or (start, stop) along each axis of a filter.
    network : Network
        The smaller network, with the same inputs and outputs.
    n_params : int
        Of the smaller network.
    dimension : int
        Of its function space, see ``dimension_result`` for what is proved.
    codimension : int
        How much less than the dimension of the whole function space.
    positions : int
        In how many positions of the filters a convolutional network with one channel has the same functions: more than
        one make the stratum singular (a node), where the activation is not linear.
    """

    whole: Network
    parts: tuple[Part, ...]
    sizes: tuple[Size, ...]

    @cached_property
    def network(self) -> Network:
        """The smaller network."""
        return as_network(self._cut[0].program)

    @property
    def n_params(self) -> int:
        """Number of parameters of the smaller network."""
        return self.network.n_params

    @cached_property
    def dimension_result(self) -> DimensionResult:
        """The dimension of its function space, with what is proved."""
        return dimension(self.network)

    @property
    def dimension(self) -> int:
        """The dimension of its function space."""
        return self.dimension_result.dimension

    @property
    def codimension(self) -> int:
        """The dimension of the whole function space less that of the stratum."""
        return _dimension_of(self.whole) - self.dimension

    @cached_property
    def positions(self) -> int:
        """In how many positions of its filters the network has the same functions."""
        shifts = FilterShifts.of(self.whole.program, self.embed(np.ones(self.n_params, dtype=np.int64)).astype(object))
        return 1 if shifts is None else shifts.count

    def includes(self, other: Stratum) -> bool:
        """Whether another stratum of the same network is part of this one, by their sizes alone.

        Parameters
        ----------
        other : Stratum

        Returns
        -------
        bool

        Raises
        ------
        TypeError, ValueError
            If it is not a stratum, or one of another network.
        """
        if not isinstance(other, Stratum):
            raise TypeError(f"`other` must be a Stratum, got {_describe(other)}")
        if other.whole != self.whole:
            raise ValueError(f"`other` must be a stratum of the same network, got one of {other.whole!r}")
        return all(part.includes(a, b) for part, a, b in zip(self.parts, self.sizes, other.sizes))

    def embed(self, theta: ArrayLike) -> Array:
        """Parameters of the whole network with the function of these of the smaller one.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Of the smaller network, of any numeric dtype or objects.

        Returns
        -------
        ndarray, shape (whole.n_params,)
            Units that are left out have weights 0 before and after them.

        Raises
        ------
        TypeError, ValueError
            If ``theta`` does not hold numbers, or has another shape.

        Examples
        --------
        >>> from polycore import MLP, subnetworks
        >>> stratum = subnetworks(MLP((2, 2, 1), activation=2))[0]
        >>> stratum.network, stratum.embed([1, 2, 3])
        (MLP((2, 1, 1), activation=2), array([1, 2, 0, 0, 3, 0]))
        """
        array = _to_array(theta, "theta")
        if array.dtype.kind not in "biufcO":
            raise TypeError(f"`theta` must hold numbers, got dtype {array.dtype}")
        check_shape(array, "theta", (("n_params", self.n_params),))
        network, positions, factored = self._cut
        small = Parametrised(network.program, array)
        result = np.zeros(self.whole.n_params, dtype=array.dtype)
        for k in sorted(factored):
            # W = left · right, in two instructions.
            shifted = k + sum(j < k for j in factored)
            small.weights[shifted] = small.weights[shifted + 1] @ small.weights[shifted]
        for old, new in _instructions_of(positions, factored):
            for big, few in ((positions.weights, small.weights), (positions.biases, small.biases)):
                if old in big:
                    result[big[old]] = few[new]
        return result

    @cached_property
    def _cut(self) -> tuple[Parametrised, Parametrised, dict[int, int]]:
        """The smaller program; the positions of its parameters in the whole network; which values are factored."""
        return _cut(self.whole.program, self.parts, self.sizes, names_of_weights(self.whole))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{part.name} {_size_text(size)}" for part, size in zip(self.parts, self.sizes))
        return f"Stratum({sizes}: {self.n_params} parameters, dimension {self.dimension})"


@dataclass(frozen=True)
class Subnetworks:
    """The strata of a network's proper subnetworks: a sequence, whose networks are made when they are looked at.

    Attributes
    ----------
    network : Network
        The whole network.
    parts : tuple of Part
        What can be made smaller.
    count : int
        How many proper subnetworks there are, exactly.
    sampled : bool
        Whether only some of them are listed, drawn at random.
    seed : int
        ``rng=seed`` lists the same ones.

    Examples
    --------
    >>> from polycore import CNN, subnetworks
    >>> subnetworks(CNN((2, 2), activation=2))
    CNN((2, 2), activation=2, n_inputs=3): dimension 3
    8 subnetworks
      places of W1  places of W2  parameters  dimension  codimension  positions
               0…1             0           3          2            1          1
                 0           0…1           3          2            1          1
               0…1             1           3          2            1          1
                 0             0           2          1            2          1
                 1           0…1           3          2            1          1
                 0             1           2          1            2          2
                 1             0           2          1            2          2
                 1             1           2          1            2          1
    """

    network: Network
    parts: tuple[Part, ...]
    count: int
    sampled: bool
    seed: int
    _indices: tuple[tuple[int, ...], ...] = field(repr=False)

    @overload
    def __getitem__(self, index: int) -> Stratum: ...

    @overload
    def __getitem__(self, index: slice) -> list[Stratum]: ...

    def __getitem__(self, index: int | slice) -> Stratum | list[Stratum]:
        return self._strata[index]

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[Stratum]:
        return iter(self._strata)

    @cached_property
    def _strata(self) -> list[Stratum]:
        return [
            Stratum(self.network, self.parts, tuple(part.choice(i) for part, i in zip(self.parts, index)))
            for index in self._indices
        ]

    def __repr__(self) -> str:
        listed = f", {len(self)} of them at random" if self.sampled else ""
        lines = [f"{self.network!r}: dimension {_dimension_of(self.network)}"]
        lines += [f"{self.count} subnetwork{'s' * (self.count != 1)}{listed}"]
        with_positions = any(part.kind == "filter" for part in self.parts)
        numbers = ["parameters", "dimension", "codimension"] + ["positions"] * with_positions
        rows = [[*(part.name for part in self.parts), *numbers]] if len(self) else []
        for stratum in self._strata[:_ROWS_SHOWN]:
            values = [stratum.n_params, stratum.dimension, stratum.codimension]
            values += [stratum.positions] * with_positions
            rows.append([*map(_size_text, stratum.sizes), *map(str, values)])
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines += ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]
        if len(self) > _ROWS_SHOWN:
            lines.append(f"  … and {len(self) - _ROWS_SHOWN} more")
        return "\n".join(lines)


def subnetworks(net: Network, *, max_count: int = 1000, rng: object = 0) -> Subnetworks:
    """The proper subnetworks of a network: fewer units, shorter filters, heads of lower rank.

    Parameters
    ----------
    net : Network
        Of any family; generic activations are welcome.
    max_count : int
        List at most so many: all of them, those that lose least first, or if there are more a random choice.
    rng : int or numpy.random.Generator
        For that choice. A seed; from a Generator a 64-bit seed is drawn.

    Returns
    -------
    Subnetworks
        A sequence of `Stratum`. Networks and dimensions are made when they are asked for; only printing shows those of
        the first twenty.

    Raises
    ------
    TypeError, ValueError
        If ``net`` is not a network, ``max_count`` not an integer >= 1, or the seed is bad.
    MemoryError
        If a list of ``max_count`` subnetworks does not fit.

    Notes
    -----
    Every hidden layer, or number of channels, keeps at least one unit, filters one place, heads rank one. A filter of
    length k has k (k + 1) / 2 intervals of places, so that one-dimensional filters k_1, …, k_L have
    Π k_l (k_l + 1) / 2 − 1 proper subnetworks, and hidden widths d_1, …, d_m have Π d_l − 1. A head with V of rank
    less than full is a network of its own, X -> V_2 V_1 X …, with one matrix more.

    Examples
    --------
    >>> from polycore import MLP
    >>> subnetworks(MLP((3, 2, 2, 1), activation=3))
    MLP((3, 2, 2, 1), activation=3): dimension 8
    3 subnetworks
      units of W1  units of W2  parameters  dimension  codimension
                2            1           9          6            2
                1            2           7          3            5
                1            1           5          3            5
    """
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    limit = as_index(max_count, "max_count", 1)
    _, seed = as_rng(rng)
    parts = tuple(part for part in _parts(net) if part.n_choices > 1)
    sizes = [part.n_choices for part in parts]
    count = math.prod(sizes) - 1
    check_size(min(count, limit) * (len(parts) + 1), 16, "the list of subnetworks", "ask for fewer by `max_count`")
    if count <= limit:
        indices = tuple(
            itertools.chain.from_iterable(_of_level(sizes, n) for n in range(1, sum(sizes) - len(sizes) + 1))
        )
    else:
        indices = tuple(_sample(sizes, count, limit, seed))
    return Subnetworks(net, parts, count, count > limit, seed, indices)


def _parts(net: Network) -> Iterator[Part]:
    """What can be made smaller, in the order of the parameters."""
    program, names = net.program, names_of_weights(net)
    units = {
        layer.before: Part("units", names[layer.before], _n_out(program, layer)) for layer in hidden_layers(program)
    }
    filters = {
        layer.instruction: Part("filter", names[layer.instruction], tuple((0, n) for n in layer.extent))
        for layer in convolutions(program) or ()
    }
    keys, values = {}, {}
    for head in attention_heads(program):
        keys[head.key] = Part("keys", names[head.key], min(head.d_key, head.d_model))
        values[head.value] = Part("values", names[head.value], min(head.d_out, head.d_model))
    for k in sorted(names):
        for found in (filters, units, keys, values):
            if k in found:
                yield found[k]


def _n_out(program: Program, layer: HiddenLayer) -> int:
    affine = program.instructions[layer.before]
    assert isinstance(affine, Affine)
    return affine.n_out


def _of_level(sizes: Sequence[int], level: int) -> Iterator[tuple[int, ...]]:
    """All (i_1, …, i_n) with 0 <= i_k < sizes[k] and sum ``level``, the first largest last."""
    if not sizes:
        if level == 0:
            yield ()
        return
    rest = sum(sizes[1:]) - len(sizes) + 1
    for first in range(max(0, level - rest), min(sizes[0] - 1, level) + 1):
        for others in _of_level(sizes[1:], level - first):
            yield (first, *others)


def _sample(sizes: Sequence[int], count: int, limit: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Different random index vectors, none of them zero, in ascending order."""
    generator, chosen = random.Random(seed), set[int]()
    while len(chosen) < limit:
        chosen.add(generator.randrange(1, count + 1))
    for number in sorted(chosen):
        index = []
        for size in reversed(sizes):
            number, here = divmod(number, size)
            index.append(here)
        yield tuple(reversed(index))


@lru_cache(maxsize=16)  # every stratum of a network asks
def _dimension_of(net: Network) -> int:
    return dimension(net).dimension


def _size_text(size: Size) -> str:
    if isinstance(size, int):
        return str(size)
    return " × ".join(f"{a}…{b - 1}" if b > a + 1 else str(a) for a, b in size)


# --- cutting ----------------------------------------------------------------------------------------------------------


def _cut(
    program: Program, parts: Sequence[Part], sizes: Sequence[Size], names: dict[int, str]
) -> tuple[Parametrised, Parametrised, dict[int, int]]:
    """A program made smaller, with where its parameters come from.

    The first result is the program; the second one the same before values are factored, with positions for parameters;
    the third one the ranks of values by instruction.
    """
    state = Parametrised(program, np.arange(program.n_params))
    instructions = {name: k for k, name in names.items()}
    wanted = {(part.kind, instructions[part.weights]): size for part, size in zip(parts, sizes)}
    for layer in convolutions(program) or ():
        _shorten(state, layer, wanted.get(("filter", layer.instruction)))
    for hidden in hidden_layers(program):
        size = wanted.get(("units", hidden.before))
        while isinstance(size, int) and state.affine(hidden.before).n_out > size:
            state.remove_unit(hidden, state.affine(hidden.before).n_out - 1)
    heads = attention_heads(program)
    for head in heads:
        size = wanted.get(("keys", head.key))
        rank = size if isinstance(size, int) else head.d_key
        if rank < head.d_key:
            keys, queries = state.weights[head.key][:rank], state.weights[head.query][:rank]
            state = with_keys(state, head, keys.T, queries)
    small, factored = state, dict[int, int]()
    for head in sorted(heads, key=lambda head: -head.value):
        size = wanted.get(("values", head.value))
        if isinstance(size, int) and size < min(head.d_out, head.d_model):
            factored[head.value] = size
            left = np.zeros((head.d_out, size), dtype=int)
            small = factor_affine(small, head.value, left, np.zeros((size, head.d_model), dtype=int))
    return small, state, factored


def _shorten(state: Parametrised, layer: Convolution, box: Size | None) -> None:
    if box is None or isinstance(box, int) or box == tuple((0, n) for n in layer.extent):
        return
    places = places_within(layer, [a for a, _ in box], [b for _, b in box])
    columns = np.sort(np.array([c for place in places for c in layer.columns[place]], dtype=np.intp))
    state.set_columns(layer.instruction, columns)


def _instructions_of(state: Parametrised, factored: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Numbers of the instructions with parameters, and what they are once values are factored."""
    for k in state.weights:
        yield k, k + sum(j < k for j in factored)
