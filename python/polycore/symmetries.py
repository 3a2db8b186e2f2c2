# SPDX-License-Identifier: BSD-3-Clause
"""Known continuous symmetries of a network's parameters, and the dimension they predict.

Parameters that differ by such a symmetry give the same function, so the network's functions form a set of dimension at
most n_params minus the dimension of a generic orbit. The symmetries are read off the program: wherever the output of an
affine layer goes only into an activation p, and the activated values only into affine layers,

* p(z) = c z^r, or c (z − a)^r + k where biases absorb a and k, r >= 2: each unit has one scaling;
* p(z) = c z + k: the next weights undo any invertible linear map of the layer (affine where there are biases);
* every other p: none.

Notes
-----
Without linear layers the orbit dimension is the number of hidden units with a power activation (J. Kileel, M. Trager,
J. Bruna, *On the expressive power of deep polynomial neural networks*, NeurIPS 2019, arXiv:1905.12207). With them the
symmetries can have positive-dimensional stabilisers, so it is computed: as the rank of the infinitesimal action at
random parameters over GF(2^31 − 1), which is the generic rank but for a probability below n_params / 2^31.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb

import numpy as np
from numpy.typing import NDArray

from ._validation import as_rng, check_size
from .program import Program
from .rank import WORD_PRIME, modular_rank


@dataclass(frozen=True)
class _Affine:
    """An affine instruction's weights and bias as positions in the vector of parameters."""

    weights: NDArray[np.intp]  # (n_out, n_in)
    bias: NDArray[np.intp] | None  # (n_out,)


@dataclass(frozen=True)
class _HiddenLayer:
    """affine, activation p(z) = c (z − shift)^degree + constant, affines: a layer with continuous symmetries."""

    before: _Affine
    after: tuple[_Affine, ...]
    degree: int
    leading: Fraction
    shift: Fraction
    constant: Fraction


def orbit_dimension(program: Program, rng: object = 0) -> int:
    """Dimension of a generic orbit of the known continuous symmetries of a program's parameters.

    Parameters
    ----------
    program : Program
    rng : int or numpy Generator
        For the random parameters.

    Raises
    ------
    MemoryError
        If the matrix of the infinitesimal action (wide linear layers) cannot be held.

    Examples
    --------
    Scalings of three hidden units, and the invertible linear maps of a layer wider than its neighbours:

    >>> from polycore.networks import MLP
    >>> orbit_dimension(MLP((2, 3, 1), activation=2).program)
    3
    >>> orbit_dimension(MLP((2, 5, 2), activation=1).program)
    16
    """
    layers, n_params = _hidden_layers(program)
    if all(layer.degree >= 2 for layer in layers):
        # Scalings are independent wherever no weight is zero: row j of the first layer moves only with the scaling of
        # its unit j, which a relation therefore cannot contain, and so on from layer to layer.
        return sum(len(layer.before.weights) for layer in layers)
    n_rows = sum(_n_generators(layer) for layer in layers)
    check_size(n_rows * n_params, 16, "the infinitesimal action of the symmetries of the linear layers")
    generator, _ = as_rng(rng)
    theta = generator.integers(1, WORD_PRIME, n_params, dtype=np.int64)
    action = np.zeros((n_rows, n_params), dtype=np.int64)
    row = 0
    for layer in layers:
        rows = action[row : row + _n_generators(layer)]
        (_scalings if layer.degree >= 2 else _linear_maps)(layer, theta, rows)
        row += rows.shape[0]
    return modular_rank(action % WORD_PRIME)


def expected_dimension(ambient_dimension: int, n_params: int, orbit: int) -> int:
    """min(ambient dimension, n_params − orbit dimension): what the network's image has unless it is defective."""
    return min(ambient_dimension, n_params - orbit)


def _hidden_layers(program: Program) -> tuple[list[_HiddenLayer], int]:
    """The layers with continuous symmetries, and the number of parameters."""
    instructions = program.as_tuples()
    widths = [program.n_inputs]
    affines: dict[int, _Affine] = {}
    readers: dict[int, list[int]] = {slot: [] for slot in range(len(instructions) + 1)}
    position = 0
    for index, (kind, input_slot, *rest) in enumerate(instructions):
        readers[input_slot].append(index)
        if kind != "affine":
            widths.append(widths[input_slot])
            continue
        n_in, n_out = widths[input_slot], int(rest[0])
        weights = np.arange(position, position + n_out * n_in).reshape(n_out, n_in)
        position += n_out * n_in
        bias = np.arange(position, position + n_out) if rest[1] else None
        position += n_out if rest[1] else 0
        affines[index] = _Affine(weights, bias)
        widths.append(n_out)
    layers = []
    for index, (kind, input_slot, *rest) in enumerate(instructions):
        if kind != "activation" or input_slot - 1 not in affines or readers[input_slot] != [index]:
            continue
        if not readers[index + 1] or not all(reader in affines for reader in readers[index + 1]):
            continue
        before, after = affines[input_slot - 1], tuple(affines[reader] for reader in readers[index + 1])
        power = _as_shifted_power([Fraction(c) for c in rest[0]])
        if power is None:
            continue
        degree, leading, shift, constant = power
        biased_after = all(affine.bias is not None for affine in after)
        if degree >= 2 and ((shift and before.bias is None) or (constant and not biased_after)):
            continue
        layers.append(_HiddenLayer(before, after, degree, leading, shift, constant))
    return layers, position


def _as_shifted_power(coefficients: Sequence[Fraction]) -> tuple[int, Fraction, Fraction, Fraction] | None:
    """(r, c, a, k) with p(z) = c (z − a)^r + k, or None. For r = 1 the shift is 0."""
    degree = len(coefficients) - 1
    if degree < 1 or coefficients[-1] == 0:
        return None
    leading = coefficients[-1]
    shift = Fraction(0) if degree == 1 else -coefficients[-2] / (degree * leading)
    for i in range(1, degree):
        if coefficients[i] != leading * comb(degree, i) * (-shift) ** (degree - i):
            return None
    return degree, leading, shift, coefficients[0] - leading * (-shift) ** degree


def _n_generators(layer: _HiddenLayer) -> int:
    width = len(layer.before.weights)
    return width if layer.degree >= 2 else width * (width + _has_translations(layer))


def _has_translations(layer: _HiddenLayer) -> bool:
    return layer.before.bias is not None and all(affine.bias is not None for affine in layer.after)


def _scalings(layer: _HiddenLayer, theta: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    """z_j − a grows by ε: its r-th power grows by r ε, which the next weights take back; the next bias keeps k W."""
    shift, constant = _residue(layer.shift), _residue(layer.constant)
    for unit, row in enumerate(rows):
        row[layer.before.weights[unit]] = theta[layer.before.weights[unit]]
        if layer.before.bias is not None:
            row[layer.before.bias[unit]] = theta[layer.before.bias[unit]] - shift
        for after in layer.after:
            change = theta[after.weights[:, unit]] * layer.degree % WORD_PRIME
            row[after.weights[:, unit]] = -change
            if after.bias is not None:
                row[after.bias] = change * constant % WORD_PRIME


def _linear_maps(layer: _HiddenLayer, theta: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    """z moves by ε E z, E the matrix unit (i, j), or by ε along unit i; the next layer takes it back.

    With a = c z + k, the activated values move by ε E (a − k) and ε c, so the next weights W by −ε W E. A bias before
    makes up for E k by moving by ε E k / c; else the next bias does, by ε W E k; without either E must map (k, …, k) to
    0: the matrix unit (i, j) minus (i, i).
    """
    leading, constant = _residue(layer.leading), _residue(layer.constant)
    width = layer.before.weights.shape[0]
    remaining = iter(rows)
    biased_after = all(after.bias is not None for after in layer.after)
    for i in range(width):
        for j in range(width):
            row = next(remaining)
            if layer.before.bias is not None:
                _add_matrix_unit(layer, theta, row, i, j, 1, 0)
                row[layer.before.bias[i]] += _residue(layer.constant / layer.leading)
                continue
            _add_matrix_unit(layer, theta, row, i, j, 1, constant)
            if constant and not biased_after:
                _add_matrix_unit(layer, theta, row, i, i, -1, constant)
    if not _has_translations(layer):
        return
    for i in range(width):
        row = next(remaining)
        assert layer.before.bias is not None
        row[layer.before.bias[i]] = 1
        for after in layer.after:
            row[after.bias] = -theta[after.weights[:, i]] * leading % WORD_PRIME


def _add_matrix_unit(
    layer: _HiddenLayer, theta: NDArray[np.int64], row: NDArray[np.int64], i: int, j: int, sign: int, constant: int
) -> None:
    row[layer.before.weights[i]] += sign * theta[layer.before.weights[j]]
    if layer.before.bias is not None:
        row[layer.before.bias[i]] += sign * theta[layer.before.bias[j]]
    for after in layer.after:
        change = theta[after.weights[:, i]]
        row[after.weights[:, j]] -= sign * change
        if after.bias is not None:
            row[after.bias] += sign * (change * constant % WORD_PRIME)


def _residue(value: Fraction) -> int:
    return int(value.numerator * pow(value.denominator, -1, WORD_PRIME) % WORD_PRIME)
