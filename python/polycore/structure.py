# SPDX-License-Identifier: BSD-3-Clause
"""What a program is made of: hidden units, convolutions, heads of attention, found in its instructions.

Analyses that use a theorem about a family look here whether a program is of that form; nothing asks for a class of
networks. Theorems about dense chains alone need `chains` only, and what symmetries act on is in `_frames`. A
`Parametrised` program can be cut down: units, ends of filters, rows of keys and queries, whole heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .chains import read_chain
from .program import Activation, Add, Affine, Coefficient, Instruction, MatMul, Program, Select

Array = NDArray[Any]

IDENTITY: tuple[Coefficient, ...] = (0, 1)


class Parametrised:
    """A program and parameters for it, taken apart so that both can be cut down together.

    Parameters
    ----------
    program : Program
    theta : ndarray, shape (n_params,)

    Attributes
    ----------
    instructions : list of Instruction
    origins : list of int
        Where each instruction stood in the program that this began as.
    weights, biases : dict of ndarray
        W (n_out, n_columns) and b (n_out,) by the number of their instruction.
    """

    def __init__(self, program: Program, theta: Array) -> None:
        self.n_inputs = program.n_inputs
        self.instructions = list(program.instructions)
        self.origins = list(range(len(self.instructions)))
        self.weights: dict[int, Array] = {}
        self.biases: dict[int, Array] = {}
        for block in program.parameters:
            arrays = self.weights if block.kind == "W" else self.biases
            arrays[block.instruction] = theta[block.start : block.stop].reshape(block.shape).copy()

    @property
    def program(self) -> Program:
        """The program as it is now."""
        return Program(self.n_inputs, self.instructions)

    @property
    def theta(self) -> Array:
        """The parameters as they are now."""
        blocks = []
        for k in sorted(self.weights):
            blocks += [self.weights[k].reshape(-1)] + ([self.biases[k]] if k in self.biases else [])
        return np.concatenate(blocks) if blocks else np.zeros(0)

    def copy(self) -> Parametrised:
        """One that can be changed without changing this one."""
        other = object.__new__(Parametrised)
        other.n_inputs, other.instructions, other.origins = self.n_inputs, list(self.instructions), list(self.origins)
        other.weights = {k: w.copy() for k, w in self.weights.items()}
        other.biases = {k: b.copy() for k, b in self.biases.items()}
        return other

    def affine(self, k: int) -> Affine:
        """Instruction k, which is affine."""
        instruction = self.instructions[k]
        assert isinstance(instruction, Affine)
        return instruction

    def matmul(self, k: int) -> MatMul:
        """Instruction k, which is a matrix product."""
        instruction = self.instructions[k]
        assert isinstance(instruction, MatMul)
        return instruction

    # --- units --------------------------------------------------------------------------------------------------------

    def remove_unit(self, layer: HiddenLayer, unit: int) -> None:
        """Forget a hidden unit, whatever it does."""
        width = self.affine(layer.before).n_out
        columns = {k: self.columns_of(layer, k, unit) for k in layer.after}
        self.instructions[layer.before] = replace(self.affine(layer.before), n_out=width - 1)
        self.weights[layer.before] = np.delete(self.weights[layer.before], unit, axis=0)
        if layer.before in self.biases:
            self.biases[layer.before] = np.delete(self.biases[layer.before], unit)
        for k in layer.after:
            self.weights[k] = np.delete(self.weights[k], columns[k], axis=1)
            windows = self.affine(k).windows
            if windows is not None:
                kept = tuple(
                    tuple(
                        p // width * (width - 1) + p % width - (p % width > unit) for p in window if p % width != unit
                    )
                    for window in windows
                )
                self.instructions[k] = replace(self.affine(k), windows=kept)

    def insert_unit(self, layer: HiddenLayer, unit: int, template: Parametrised) -> None:
        """Put a hidden unit back where `remove_unit` took it from, all its weights 0.

        ``template`` is what this was before the removal: it knows where the columns were.
        """
        k = layer.before
        self.instructions[k] = template.instructions[k]
        self.weights[k] = np.insert(self.weights[k], unit, 0, axis=0)
        if k in self.biases:
            self.biases[k] = np.insert(self.biases[k], unit, 0)
        for k in layer.after:
            columns = template.columns_of(layer, k, unit)
            wide = np.zeros((self.weights[k].shape[0], template.weights[k].shape[1]), dtype=self.weights[k].dtype)
            wide[:, np.delete(np.arange(wide.shape[1]), columns)] = self.weights[k]
            self.weights[k] = wide
            self.instructions[k] = template.instructions[k]

    def columns_of(self, layer: HiddenLayer, k: int, unit: int) -> NDArray[np.intp]:
        """The columns by which affine instruction k reads a unit, position by position."""
        width = self.affine(layer.before).n_out
        affine = self.affine(k)
        positions = np.arange(self.weights[k].shape[1]) if affine.windows is None else np.array(affine.windows[0])
        return np.flatnonzero(positions % width == unit)

    def set_columns(self, k: int, columns: NDArray[np.intp]) -> None:
        """Keep only these columns of an affine instruction."""
        affine = self.affine(k)
        whole = affine.windows or (tuple(range(self.weights[k].shape[1])),)
        windows = tuple(tuple(window[j] for j in columns.tolist()) for window in whole)
        self.instructions[k] = replace(affine, windows=windows)
        self.weights[k] = self.weights[k][:, columns]


# --- hidden units -----------------------------------------------------------------------------------------------------


class HiddenLayer(NamedTuple):
    """affine, activation, affines: the outputs of the first are seen only through the activation, by the others.

    Instructions by number; without an ``activation`` the coefficients are those of the identity.
    """

    before: int
    activation: int | None
    after: tuple[int, ...]
    coefficients: tuple[Coefficient, ...]


def hidden_layers(program: Program) -> tuple[HiddenLayer, ...]:
    """The layers whose units can be removed one by one, in program order."""
    readers = program.readers
    layers = []
    for k, instruction in enumerate(program.instructions):
        if not isinstance(instruction, Affine):
            continue
        slot, activation, coefficients = k + 1, None, IDENTITY
        first = program.instructions[readers[slot][0]] if len(readers[slot]) == 1 else None
        if isinstance(first, Activation):
            activation = readers[slot][0]
            slot, coefficients = activation + 1, first.coefficients
        after = readers[slot]
        if not after or not all(isinstance(program.instructions[j], Affine) for j in after):
            continue
        if all(_reads_units(program.instructions[j], instruction.n_out) for j in after):
            layers.append(HiddenLayer(k, activation, after, coefficients))
    return tuple(layers)


def _reads_units(affine: Instruction, width: int) -> bool:
    """Whether each column belongs to the same unit in all windows."""
    assert isinstance(affine, Affine)
    if affine.windows is None:
        return True
    units = np.array(affine.windows) % width
    return bool((units == units[0]).all())


def dense_readers(program: Program) -> tuple[int, ...] | None:
    """The instructions that read the inputs, if all of them are affine maps of the whole input, else None."""
    readers = program.readers[0]
    first = [program.instructions[k] for k in readers]
    return readers if all(isinstance(i, Affine) and i.windows is None for i in first) else None


# --- chains -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DenseChain:
    """Dense affine maps with activations between them, one after the other.

    ``widths`` are those of inputs, hidden layers and outputs; ``activations`` has one entry a hidden layer.
    """

    widths: tuple[int, ...]
    activations: tuple[tuple[Coefficient, ...], ...]
    biases: tuple[bool, ...]

    @property
    def is_linear(self) -> bool:
        """Whether every activation is c z + k, c ≠ 0."""
        return all(len(a) == 2 for a in self.activations)


def _is_sequential(program: Program) -> bool:
    """Whether each instruction is an affine map or an activation that reads what the one before it wrote."""
    return all(
        isinstance(instruction, (Affine, Activation)) and instruction.input == k
        for k, instruction in enumerate(program.instructions)
    )


def dense_chain(program: Program) -> DenseChain | None:
    """The program as a fully connected network, at most one activation between two affine maps, or None."""
    chain = read_chain(program) if _is_sequential(program) else None
    if chain is None or chain.activations[0] or chain.activations[-1] or any(len(a) > 1 for a in chain.activations):
        return None
    activations = tuple(place[0] if place else IDENTITY for place in chain.activations[1:-1])
    return DenseChain(chain.widths, activations, chain.biases)


# --- convolutions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Convolution:
    """One convolution of a chain.

    Attributes
    ----------
    instruction : int
    n_out : int
        Channels of the result.
    columns : tuple of tuple of int
        The columns of W that belong to each place of the filter, in ascending order of places; one a channel.
    offsets : tuple of int
        Where the places are, as distances in the vector of inputs.
    extent : tuple of int
        (length,) or (height, width) of the filter.
    coefficients : tuple
        Of the activation after it; the identity if there is none.
    """

    instruction: int
    n_out: int
    columns: tuple[tuple[int, ...], ...]
    offsets: tuple[int, ...]
    extent: tuple[int, ...]
    bias: bool
    coefficients: tuple[Coefficient, ...]


def convolutions(program: Program) -> tuple[Convolution, ...] | None:
    """The layers of a convolutional network, or None if the program is not a chain of convolutions.

    Places are measured in the inputs: a value of a hidden layer sits where the first input of its window is. Windows of
    one layer are translates of each other, so a filter that is shifted by δ acts on inputs shifted by δ. Dense maps are
    convolutions with a single window; a chain of nothing else is not called convolutional.
    """
    instructions = program.instructions
    if not _is_sequential(program) or all(i.n_windows == 1 for i in instructions if isinstance(i, Affine)):
        return None
    layers: list[Convolution] = []
    places, channels = list(range(program.n_inputs)), np.zeros(program.n_inputs, dtype=int)
    for k, instruction in enumerate(instructions):
        if isinstance(instruction, Activation):
            if not layers or layers[-1].coefficients != IDENTITY:
                return None
            layers[-1] = replace(layers[-1], coefficients=instruction.coefficients)
            continue
        assert isinstance(instruction, Affine)
        windows = instruction.windows or (tuple(range(len(places))),)
        if not layers:
            channels = _channels_of_inputs(windows[0], len(places))
        found = np.array([[places[p] for p in window] for window in windows])
        relative = found - found[:, :1]
        channel = np.array([[channels[p] for p in window] for window in windows])
        if (relative != relative[0]).any() or (channel != channel[0]).any():
            return None
        if len(set(found[:, 0].tolist())) < len(windows):
            return None
        grouped = _places_of_filter(relative[0], channel[0], first=not layers)
        if grouped is None:
            return None
        offsets, columns = grouped
        layers.append(Convolution(k, instruction.n_out, columns, offsets, _extent(offsets), instruction.bias, IDENTITY))
        places = [int(start) for start in found[:, 0] for _ in range(instruction.n_out)]
        channels = np.tile(np.arange(instruction.n_out), len(windows))
    return tuple(layers)


def _channels_of_inputs(window: tuple[int, ...], n_inputs: int) -> NDArray[np.intp]:
    """The feature of each input: filters list all places of one feature, then all of the next."""
    n_features = 1 + sum(b < a for a, b in pairwise(window))
    return np.arange(n_inputs) % n_features


def _places_of_filter(
    relative: NDArray[np.intp], channel: NDArray[np.intp], first: bool
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]] | None:
    """Ascending places of a filter, and its columns at each, channel by channel; None if the channels differ."""
    # Features of one input position are neighbours in the vector of inputs.
    at = relative - channel + channel[0] if first else relative
    groups: dict[int, dict[int, int]] = {}
    for column, (place, c) in enumerate(zip(at.tolist(), channel.tolist())):
        if c in groups.setdefault(place, {}):
            return None
        groups[place][c] = column
    if len({tuple(sorted(group)) for group in groups.values()}) > 1:
        return None
    offsets = tuple(sorted(groups))
    return offsets, tuple(tuple(groups[o][c] for c in sorted(groups[o])) for o in offsets)


def _extent(offsets: tuple[int, ...]) -> tuple[int, ...]:
    """(length,) or (height, width) of a filter with these places."""
    n = len(offsets)
    if n < 3:
        return (n,)
    step = offsets[1] - offsets[0]
    width = next((i for i in range(1, n) if offsets[i] - offsets[i - 1] != step), n)
    if width == n or n % width:
        return (n,)
    grid = np.array(offsets).reshape(-1, width)
    regular = (np.diff(grid, axis=1) == step).all() and len(set(np.diff(grid[:, 0]).tolist())) == 1
    return (n // width, width) if regular else (n,)


def places_within(layer: Convolution, low: Sequence[int], high: Sequence[int]) -> list[int]:
    """The places of a filter in a box, as positions in ``layer.offsets``."""
    grid = np.arange(len(layer.offsets)).reshape(layer.extent)
    box = tuple(slice(a, b) for a, b in zip(low, high))
    return [int(i) for i in grid[box].reshape(-1)]


# --- attention --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttentionHead:
    """X -> V X Xᵀ Kᵀ Q X on tokens, by the numbers of its instructions.

    Attributes
    ----------
    key, query, value : int
        The three affine maps.
    first, last : int
        The two matrix products; ``by_scores`` says whether the first is that of queries and keys.
    """

    key: int
    query: int
    value: int
    first: int
    last: int
    by_scores: bool
    n_tokens: int
    d_model: int
    d_key: int
    d_out: int


def attention_heads(program: Program) -> tuple[AttentionHead, ...]:
    """The heads of attention in a program, in program order."""
    instructions = program.instructions
    heads = []
    for last, product in enumerate(instructions):
        if not isinstance(product, MatMul) or product.left == 0 or product.right == 0:
            continue
        left, right = product.left - 1, product.right - 1
        for by_scores, first in ((True, left), (False, right)):
            inner = instructions[first]
            if not isinstance(inner, MatMul) or inner.left == 0 or inner.right == 0:
                continue
            if by_scores:  # (Q Kᵀ) V
                query, key, value = inner.left - 1, inner.right - 1, right
                flags = (inner.transpose_left, inner.transpose_right) == (False, True)
            else:  # Q (Kᵀ V)
                query, key, value = left, inner.left - 1, inner.right - 1
                flags = (inner.transpose_left, inner.transpose_right) == (True, False)
            if not flags or product.transpose_left or product.transpose_right:
                continue
            head = _head(program, (key, query, value), first, last, by_scores)
            if head is not None:
                heads.append(head)
                break
    return tuple(heads)


def _head(program: Program, maps: tuple[int, int, int], first: int, last: int, by_scores: bool) -> AttentionHead | None:
    affines = [program.instructions[k] for k in maps]
    product = program.instructions[last]
    assert isinstance(product, MatMul)
    k, q, v = affines
    if not (isinstance(k, Affine) and isinstance(q, Affine) and isinstance(v, Affine)) or len(set(maps)) < 3:
        return None
    n_tokens, d_model = product.rows, k.window_size(program.widths[k.input])
    alone = all(len(program.readers[slot]) == 1 for slot in (*(m + 1 for m in maps), first + 1))
    same = k.input == q.input == v.input and k.windows == q.windows == v.windows and k.n_windows == n_tokens
    if not alone or not same or k.bias or q.bias or v.bias or k.n_out != q.n_out:
        return None
    # Products that cut the slots into other matrices do not sum over features and tokens.
    inner, d_key, d_out = program.instructions[first], k.n_out, v.n_out
    assert isinstance(inner, MatMul)
    shapes = [(m.rows, m.inner, m.cols) for m in (inner, product)]
    by_keys = [(n_tokens, d_key, n_tokens), (n_tokens, n_tokens, d_out)]
    if shapes != (by_keys if by_scores else [(d_key, n_tokens, d_out), (n_tokens, d_key, d_out)]):
        return None
    return AttentionHead(*maps, first, last, by_scores, n_tokens, d_model, d_key, d_out)


def is_single_attention(program: Program) -> bool:
    """Whether the program is one head of attention on its inputs and nothing else."""
    heads = attention_heads(program)
    if len(heads) != 1 or len(program.instructions) != 5:
        return False
    head = heads[0]
    key = program.instructions[head.key]
    assert isinstance(key, Affine)
    tokens = tuple(tuple(range(i * head.d_model, (i + 1) * head.d_model)) for i in range(head.n_tokens))
    return key.input == 0 and (key.windows or tokens) == tokens


# --- editing a program ------------------------------------------------------------------------------------------------


def delete_instructions(state: Parametrised, dead: set[int]) -> Parametrised:
    """Without some instructions, which nothing else may need but sums: those lose the terms."""
    result = state.copy()
    result.instructions, result.origins, result.weights, result.biases = [], [], {}, {}
    slots = {0: 0}
    for k, instruction in enumerate(state.instructions):
        if k in dead:
            continue
        if isinstance(instruction, Add):
            kept = tuple(slots[s] for s in instruction.inputs if s - 1 not in dead)
            if len(kept) == 1:
                slots[k + 1] = kept[0]
                continue
            instruction = Add(kept)
        else:
            instruction = _renumbered(instruction, slots)
        _append(result, instruction, state, k)
        slots[k + 1] = len(result.instructions)
    if slots[len(state.instructions)] != len(result.instructions):
        width = result.program.widths[slots[len(state.instructions)]]
        result.instructions.append(Select(slots[len(state.instructions)], tuple(range(width))))
        result.origins.append(state.origins[-1])
    return result


def factor_affine(state: Parametrised, k: int, left: Array, right: Array) -> Parametrised:
    """With affine instruction k, which has no bias, replaced by two: W = left · right."""
    result = state.copy()
    result.instructions, result.origins, result.weights, result.biases = [], [], {}, {}
    slots = {0: 0}
    for j, instruction in enumerate(state.instructions):
        renumbered = _renumbered(instruction, slots)
        if j == k:
            assert isinstance(renumbered, Affine)
            rank, n_windows = right.shape[0], renumbered.n_windows
            _append(result, replace(renumbered, n_out=rank), state, j)
            result.weights[len(result.instructions) - 1] = right
            windows = tuple(tuple(range(w * rank, (w + 1) * rank)) for w in range(n_windows))
            second = Affine(len(result.instructions), renumbered.n_out, False, windows if n_windows > 1 else None)
            _append(result, second, state, j)
            result.weights[len(result.instructions) - 1] = left
        else:
            _append(result, renumbered, state, j)
        slots[j + 1] = len(result.instructions)
    return result


def _append(result: Parametrised, instruction: Instruction, source: Parametrised, k: int) -> None:
    result.instructions.append(instruction)
    result.origins.append(source.origins[k])
    for arrays, given in ((result.weights, source.weights), (result.biases, source.biases)):
        if k in given:
            arrays[len(result.instructions) - 1] = given[k]


def _renumbered(instruction: Instruction, slots: dict[int, int]) -> Instruction:
    """The same instruction on slots with other numbers."""
    if isinstance(instruction, MatMul):
        return replace(instruction, left=slots[instruction.left], right=slots[instruction.right])
    if isinstance(instruction, Add):
        return Add(tuple(slots[s] for s in instruction.inputs))
    return replace(instruction, input=slots[instruction.input])
