# SPDX-License-Identifier: BSD-3-Clause
"""How the outputs of a program are scaled by its parameters: coefficients of any size are brought to a moderate one.

Scalings are by powers of two, so that they cost no digit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .program import Activation, Add, Affine, MatMul, Program, Select

Vector = NDArray[np.float64]


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
