# SPDX-License-Identifier: BSD-3-Clause
"""Known continuous symmetries of a network's parameters, and the dimension they predict.

Parameters that differ by such a symmetry give the same function, so the network's functions form a set of dimension at
most n_params minus the dimension of a generic orbit. The symmetries are read off the program: wherever the output of an
affine layer goes only into an activation p, and the activated values only into affine layers,

* p(z) = c z^r, or c (z − a)^r + k where biases absorb a and k, r >= 2: each unit has one scaling;
* p(z) = c z + k: the next weights undo any invertible linear map of the layer (affine where there are biases);
* every other p: none, generic ones of degree 3 and more among them. (Every quadratic is c (z − a)^2 + k.)

Notes
-----
Without linear layers the orbit dimension is the number of hidden units with a power activation (J. Kileel, M. Trager,
J. Bruna, *On the expressive power of deep polynomial neural networks*, NeurIPS 2019, arXiv:1905.12207). With them the
symmetries can have positive-dimensional stabilisers, so it is computed: as the rank of the infinitesimal action at
random parameters over GF(2^31 − 1), which is the generic rank but for a probability below n_params / 2^31.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._validation import as_rng, check_size, is_prime
from .program import Activation, Affine, Coefficient, Indeterminate, Program
from .rank import WORD_PRIME, modular_rank

# Orbits depend on whether coefficients of an activation vanish, not on their values: any for an indeterminate will do.
_INDETERMINATE = 1_000_003


class _Affine(NamedTuple):
    """An affine instruction's weights and bias in the vector of parameters: W (n_out, n_in) row-major, then b."""

    start: int
    n_out: int
    n_in: int
    has_bias: bool

    @property
    def weights(self) -> NDArray[np.intp]:
        """Positions (n_out, n_in)."""
        return np.arange(self.start, self.start + self.n_out * self.n_in).reshape(self.n_out, self.n_in)

    @property
    def bias(self) -> NDArray[np.intp]:
        """Positions (n_out,), or none."""
        start = self.start + self.n_out * self.n_in
        return np.arange(start, start + self.n_out if self.has_bias else start)


class _HiddenLayer(NamedTuple):
    """affine, activation p(z) = c (z − shift)^degree + constant, affines: a layer with continuous symmetries."""

    before: _Affine
    after: tuple[_Affine, ...]
    degree: int
    leading: Fraction
    shift: Fraction
    constant: Fraction

    @property
    def width(self) -> int:
        """Number of units."""
        return self.before.n_out


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
    layers, n_params = _hidden_layers(program), program.n_params
    if all(layer.degree >= 2 for layer in layers):
        # Scalings are independent wherever no weight is zero: row j of the first layer moves only with the scaling of
        # its unit j, which a relation therefore cannot contain, and so on from layer to layer.
        return sum(layer.width for layer in layers)
    generator, _ = as_rng(rng)
    p = action_prime(program)
    return modular_rank(infinitesimal_action(program, generator.integers(1, p, n_params, dtype=np.int64), p), p)


def action_prime(program: Program, other: int = 1) -> int:
    """A prime below 2^31 that divides neither ``other`` nor what the symmetries of the program depend on.

    Modulo such a prime the tangents of the symmetries have at most the rank that they have over the rationals.

    Parameters
    ----------
    program : Program
    other : int
        Not 0.
    """
    numbers = [other]
    for layer in _hidden_layers(program):
        for value in (layer.leading, layer.shift, layer.constant):
            numbers += [value.numerator or 1, value.denominator]
    return next(p for p in range(WORD_PRIME, 1, -2) if all(n % p for n in numbers) and is_prime(p))


def infinitesimal_action(program: Program, theta: NDArray[np.int64], p: int) -> NDArray[np.int64]:
    """Tangents at ``theta`` of the known continuous symmetries, over GF(p), shape (n_generators, n_params).

    They are in the kernel of the Jacobian of the coefficients. Indeterminates of generic activations have one and the
    same value here, which does not change the rank.

    Parameters
    ----------
    program : Program
    theta : int64 array, shape (n_params,)
        Residues modulo p.
    p : int
        An `action_prime` of the program.

    Raises
    ------
    MemoryError
        If the matrix cannot be held.
    """
    layers = _hidden_layers(program)
    n_rows = sum(_n_generators(layer) for layer in layers)
    check_size(n_rows * program.n_params, 16, "the infinitesimal action of the symmetries")
    action = np.zeros((n_rows, program.n_params), dtype=np.int64)
    row = 0
    for layer in layers:
        rows = action[row : row + _n_generators(layer)]
        (_scalings if layer.degree >= 2 else _linear_maps)(layer, theta, rows, p)
        row += rows.shape[0]
    return np.asarray(action % p)


def scaled_parameters(program: Program) -> list[int]:
    """A parameter for each scaling of a hidden unit: the first weight of the unit.

    The columns of these parameters in the Jacobian are combinations of the other columns wherever no weight is zero:
    the tangent of the scaling of unit j in layer ℓ is in the kernel, and among the parameters of the list only those
    of unit j itself and of the next layer are moved by it, so that its restriction to the list is triangular.
    """
    return [
        layer.before.start + unit * layer.before.n_in
        for layer in _hidden_layers(program)
        if layer.degree >= 2
        for unit in range(layer.width)
    ]


def expected_dimension(ambient_dimension: int, n_params: int, orbit: int) -> int:
    """min(ambient dimension, n_params − orbit dimension): what the network's image has unless it is defective."""
    return min(ambient_dimension, n_params - orbit)


@lru_cache(maxsize=16)  # one network is asked about several times in a row
def _hidden_layers(program: Program) -> tuple[_HiddenLayer, ...]:
    """The layers with continuous symmetries."""
    affines: dict[int, _Affine] = {}  # by instruction
    for block in program.parameters:
        if block.kind == "W":
            affine = program.instructions[block.instruction]
            assert isinstance(affine, Affine)
            affines[block.instruction] = _Affine(block.start, block.shape[0], block.shape[1], affine.bias)
    readers: list[list[int]] = [[] for _ in range(len(program.instructions) + 1)]
    for k, instruction in enumerate(program.instructions):
        readers[instruction.input].append(k)
    layers = []
    for k, instruction in enumerate(program.instructions):
        before = affines.get(instruction.input - 1)
        if not isinstance(instruction, Activation) or before is None or readers[instruction.input] != [k]:
            continue
        after = tuple(affines[reader] for reader in readers[k + 1] if reader in affines)
        if not after or len(after) < len(readers[k + 1]):
            continue
        power = as_shifted_power(instruction.coefficients)
        if power is None:
            continue
        degree, leading, shift, constant = power
        biased_after = all(affine.has_bias for affine in after)
        if degree >= 2 and ((shift and not before.has_bias) or (constant and not biased_after)):
            continue
        layers.append(_HiddenLayer(before, after, degree, leading, shift, constant))
    return tuple(layers)


@lru_cache(maxsize=256)
def as_shifted_power(
    coefficients: tuple[Coefficient, ...], stand_in: int = _INDETERMINATE
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


def _n_generators(layer: _HiddenLayer) -> int:
    width = layer.width
    return width if layer.degree >= 2 else width * (width + _has_translations(layer))


def _has_translations(layer: _HiddenLayer) -> bool:
    return layer.before.has_bias and all(affine.has_bias for affine in layer.after)


def _scalings(layer: _HiddenLayer, theta: NDArray[np.int64], rows: NDArray[np.int64], p: int) -> None:
    """z_j − a grows by ε: its r-th power grows by r ε, which the next weights take back; the next bias keeps k W."""
    shift, constant = _residue(layer.shift, p), _residue(layer.constant, p)
    for unit, row in enumerate(rows):
        row[layer.before.weights[unit]] = theta[layer.before.weights[unit]]
        if layer.before.has_bias:
            row[layer.before.bias[unit]] = theta[layer.before.bias[unit]] - shift
        for after in layer.after:
            change = theta[after.weights[:, unit]] * layer.degree % p
            row[after.weights[:, unit]] = -change
            if after.has_bias:
                row[after.bias] = change * constant % p


def _linear_maps(layer: _HiddenLayer, theta: NDArray[np.int64], rows: NDArray[np.int64], p: int) -> None:
    """z moves by ε E z, E the matrix unit (i, j), or by ε along unit i; the next layer takes it back.

    With a = c z + k, the activated values move by ε E (a − k) and ε c, so the next weights W by −ε W E. A bias before
    makes up for E k by moving by ε E k / c; else the next bias does, by ε W E k; without either E must map (k, …, k) to
    0: the matrix unit (i, j) minus (i, i).
    """
    leading, constant = _residue(layer.leading, p), _residue(layer.constant, p)
    width = layer.width
    remaining = iter(rows)
    biased_after = all(after.has_bias for after in layer.after)
    for i in range(width):
        for j in range(width):
            row = next(remaining)
            if layer.before.has_bias:
                _add_matrix_unit(layer, theta, row, i, j, 1, 0, p)
                row[layer.before.bias[i]] += _residue(layer.constant / layer.leading, p)
                continue
            _add_matrix_unit(layer, theta, row, i, j, 1, constant, p)
            if layer.constant and not biased_after:
                _add_matrix_unit(layer, theta, row, i, i, -1, constant, p)
    if not _has_translations(layer):
        return
    for i in range(width):
        row = next(remaining)
        row[layer.before.bias[i]] = 1
        for after in layer.after:
            row[after.bias] = -theta[after.weights[:, i]] * leading % p


def _add_matrix_unit(
    layer: _HiddenLayer,
    theta: NDArray[np.int64],
    row: NDArray[np.int64],
    i: int,
    j: int,
    sign: int,
    constant: int,
    p: int,
) -> None:
    row[layer.before.weights[i]] += sign * theta[layer.before.weights[j]]
    if layer.before.has_bias:
        row[layer.before.bias[i]] += sign * theta[layer.before.bias[j]]
    for after in layer.after:
        change = theta[after.weights[:, i]]
        row[after.weights[:, j]] -= sign * change
        if after.has_bias:
            row[after.bias] += sign * (change * constant % p)


def _residue(value: Fraction, p: int) -> int:
    return int(value.numerator * pow(value.denominator, -1, p) % p)
