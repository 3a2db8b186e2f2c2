# SPDX-License-Identifier: BSD-3-Clause
"""Outputs and inputs of a program are scaled by its parameters: coefficients of any size are brought to a moderate one.

Scalings are by powers of two, so that they cost no digit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._recovery_powers import multinomials
from .program import Activation, Add, Affine, MatMul, Program, Select

Vector = NDArray[np.float64]

# Exponents of inputs: those below the first are left alone, those above the second might overflow.
_WORTH_SCALING, _MOST_SCALING = 2, 40


def output_parameters(program: Program) -> NDArray[np.intp] | None:
    """Positions of parameters in which the outputs are linear, so that scaling them scales the outputs; None if none.

    They are the weights and biases of the last affine instruction on each branch of the program.
    """
    readers: dict[int, set[int]] = {}
    for k, instruction in enumerate(program.instructions):
        for slot in instruction.inputs:
            readers.setdefault(slot, set()).add(k)

    def find(slot: int, reader: int | None) -> set[int] | None:
        """The affine instructions that scale a slot, if only ``reader`` reads it."""
        if slot == 0 or readers.get(slot, set()) - {reader}:
            return None
        k = slot - 1
        instruction = program.instructions[k]
        if isinstance(instruction, Affine):
            return {k}
        if isinstance(instruction, Select):
            return find(instruction.input, k)
        if isinstance(instruction, Add):
            found: set[int] = set()
            for summand in instruction.inputs:
                part = find(summand, k)
                if part is None:
                    return None
                found |= part
            return found
        if isinstance(instruction, MatMul) and instruction.left != instruction.right:
            left = find(instruction.left, k)
            return left if left is not None else find(instruction.right, k)
        return None

    affines = find(len(program.instructions), None)
    if affines is None:
        return None
    blocks = [np.arange(block.start, block.stop) for block in program.parameters if block.instruction in affines]
    return np.concatenate(blocks)


def scale_outputs(program: Program, theta: Vector, exponent: int) -> Vector:
    """Parameters with which the outputs are 2^exponent times as large, spread over the layers of chains of powers.

    Infinite where that is out of range. There must be `output_parameters`, or ``exponent`` is 0.
    """
    scaled = np.array(theta, dtype=np.float64)
    positions = output_parameters(program)
    if positions is None or not exponent:
        return scaled
    shares = _shares(program, exponent)
    with np.errstate(over="ignore", under="ignore"):
        for block in program.parameters:
            if block.instruction in shares:
                weight, bias = shares[block.instruction]
                part = slice(block.start, block.stop)
                scaled[part] = np.ldexp(scaled[part], weight if block.kind == "W" else bias)
        if not shares:
            scaled[positions] = np.ldexp(scaled[positions], exponent)
    return scaled


def input_exponents(program: Program, coef: Vector) -> NDArray[np.int64]:
    """Exponents e (n_inputs,) for which f(2^e_1 x_1, ...) has coefficients of similar sizes.

    Zeros if the inputs go anywhere but into affine maps of all of them, which take such a scaling back.
    """
    exponents = np.zeros(program.n_inputs, dtype=np.int64)
    readers = [instruction for instruction in program.instructions if 0 in instruction.inputs]
    if not all(isinstance(reader, Affine) and reader.windows is None for reader in readers):
        return exponents
    sizes = np.abs(coef).max(axis=0)
    kept = np.flatnonzero(sizes)
    if len(kept) <= program.n_inputs:
        return exponents
    table = program.basis.exponents
    # Monomials are smaller the more balanced they are; multinomials make up for that.
    columns = np.column_stack([np.ones(len(kept)), table[kept]])
    multinomial = multinomials(program.basis.form_vars, program.degree)[kept]
    slopes = np.linalg.lstsq(columns, np.log2(sizes[kept]) - np.log2(multinomial), rcond=1e-10)[0][1:]
    if program.basis.homogeneous:
        slopes = slopes - slopes.mean()
    if np.abs(slopes).max() < _WORTH_SCALING:
        return exponents
    return np.asarray(-np.round(np.clip(slopes, -_MOST_SCALING, _MOST_SCALING)), dtype=np.int64)


def scale_inputs(program: Program, theta: Vector, exponents: NDArray[np.int64]) -> Vector:
    """Parameters of f(2^e_1 x_1, ...), given those of f."""
    scaled = np.array(theta, dtype=np.float64)
    if not exponents.any():
        return scaled
    for block in program.parameters:
        if block.kind == "W" and 0 in program.instructions[block.instruction].inputs:
            part = slice(block.start, block.stop)
            scaled[part] = np.ldexp(scaled[part].reshape(block.shape), exponents).ravel()
    return scaled


def scale_monomials(program: Program, coef: Vector, exponents: NDArray[np.int64]) -> Vector:
    """Coefficients of f(2^e_1 x_1, ...), given those of f."""
    return np.asarray(np.ldexp(coef, program.basis.exponents @ exponents)) if exponents.any() else coef


def _shares(program: Program, exponent: int) -> dict[int, tuple[int, int]]:
    """Exponents for weights and biases of each affine instruction of a chain of powers; empty for other programs.

    If all weights grow by 2^t, a layer's values grow by 2^(r τ + t) where those before it grow by 2^τ.
    """
    chained = all(instruction.inputs == (k,) for k, instruction in enumerate(program.instructions))
    powers = [i for i in program.instructions if isinstance(i, Activation)]
    plain = all(isinstance(i, (Activation, Affine, Select)) for i in program.instructions)
    if not chained or not plain or not all(i.is_homogeneous and i.degree for i in powers):
        return {}
    total = 0
    for instruction in program.instructions:
        if isinstance(instruction, Activation):
            total *= instruction.degree
        elif isinstance(instruction, Affine):
            total += 1
    share, growth, shares, last = int(exponent / total), 0, {}, -1
    for k, instruction in enumerate(program.instructions):
        if isinstance(instruction, Activation):
            growth *= instruction.degree
        elif isinstance(instruction, Affine):
            growth += share
            shares[k], last = (share, growth), k
    after = [i.degree for i in program.instructions[last + 1 :] if isinstance(i, Activation)]
    if after:
        return {}
    weight, bias = shares[last]
    shares[last] = weight + exponent - growth, bias + exponent - growth
    return shares
