# SPDX-License-Identifier: BSD-3-Clause
"""The definition of expansion on supports: programs over polynomials that are dictionaries of their terms.

A monomial is the tuple of its variables in ascending order, counted from 1, each as often as its exponent says. Terms
whose coefficients cancel stay: which monomials a value has does not depend on the parameters.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._rings import Array, DualNumbers, Ring
from .program import Activation, Add, Affine, MatMul, Program, Select

C = TypeVar("C")
Monomial: TypeAlias = tuple[int, ...]
Polynomial: TypeAlias = dict[Monomial, C]

# More monomials in one value than anyone waits for here.
_MAX_MONOMIALS = 2**22
# Numbers in one coefficient, when tangents are computed several at a time.
_TANGENTS = 2**12


class Polynomials(Generic[C]):
    """Runs a program over polynomials {monomial: coefficient}, given the arithmetic of coefficients.

    ``constants`` are the coefficients of each activation.
    """

    def __init__(
        self,
        add: Callable[[C, C], C],
        multiply: Callable[[C, C], C],
        one: C,
        parameters: Sequence[C],
        constants: Sequence[Sequence[C]],
    ) -> None:
        self.add, self.multiply = add, multiply
        self.one: Polynomial[C] = {(): one}
        self.parameters: list[Polynomial[C]] = [{(): parameter} for parameter in parameters]
        self.constants: list[list[Polynomial[C]]] = [[{(): c} for c in coefficients] for coefficients in constants]

    def run(self, program: Program) -> list[Polynomial[C]]:
        """The outputs."""
        slots: list[list[Polynomial[C]]] = [[{(j + 1,): self.one[()]} for j in range(program.n_inputs)]]
        blocks = {(block.instruction, block.kind): self.parameters[block.start :] for block in program.parameters}
        constants = iter(self.constants)
        for k, instruction in enumerate(program.instructions):
            z = slots[instruction.inputs[0]]
            if isinstance(instruction, Affine):
                W, b = blocks[k, "W"], blocks.get((k, "b"))
                values = []
                for window in instruction.windows or (tuple(range(len(z))),):
                    for o in range(instruction.n_out):
                        weights = W[o * len(window) : (o + 1) * len(window)]
                        bias = [(b[o], self.one)] if b else []
                        values.append(self.sum_of_products([*zip(weights, (z[i] for i in window)), *bias]))
            elif isinstance(instruction, Activation):
                coefficients = next(constants)
                values = [self.activation(instruction, coefficients, polynomial) for polynomial in z]
            elif isinstance(instruction, Select):
                values = [z[i] for i in instruction.indices]
            elif isinstance(instruction, Add):
                rows = zip(*(slots[slot] for slot in instruction.inputs))
                values = [self.sum_of_products((self.one, polynomial) for polynomial in row) for row in rows]
            else:
                values = self.matmul(instruction, z, slots[instruction.right])
            slots.append(values)
        return slots[-1]

    def activation(
        self, instruction: Activation, coefficients: Sequence[Polynomial[C]], z: Polynomial[C]
    ) -> Polynomial[C]:
        powers = [self.one]
        for _ in range(instruction.degree):
            powers.append(self.sum_of_products([(powers[-1], z)]))
        return self.sum_of_products(
            (c, power) for c, power, number in zip(coefficients, powers, instruction.coefficients) if number != 0
        )

    def matmul(
        self, instruction: MatMul, left: Sequence[Polynomial[C]], right: Sequence[Polynomial[C]]
    ) -> list[Polynomial[C]]:
        rows, inner, cols = instruction.rows, instruction.inner, instruction.cols
        return [
            self.sum_of_products(
                (
                    left[k * rows + i if instruction.transpose_left else i * inner + k],
                    right[j * inner + k if instruction.transpose_right else k * cols + j],
                )
                for k in range(inner)
            )
            for i in range(rows)
            for j in range(cols)
        ]

    def sum_of_products(self, pairs: Iterable[tuple[Polynomial[C], Polynomial[C]]]) -> Polynomial[C]:
        result: Polynomial[C] = {}
        for left, right in pairs:
            for a, x in left.items():
                for b, y in right.items():
                    monomial, term = tuple(heapq.merge(a, b)), self.multiply(x, y)
                    result[monomial] = self.add(result[monomial], term) if monomial in result else term
                if len(result) > _MAX_MONOMIALS:
                    raise OverflowError("the monomials that can occur are too many to be listed")
        return result


def support_words(program: Program) -> NDArray[np.uint32]:
    """The monomials that can occur in an output, as sorted words of `MonomialSupport`, (n, degree)."""

    def occurs(*_: None) -> None:
        return None

    constants = [[None] * len(activation.coefficients) for activation in program.activations]
    outputs = Polynomials[None](occurs, occurs, None, [None] * program.n_params, constants).run(program)
    words = sorted((0,) * (program.degree - len(m)) + m for m in set().union(*outputs))
    return np.array(words, dtype=np.uint32).reshape(len(words), program.degree)


def expand(program: Program, ring: Ring, theta: Array, constants: Sequence[Sequence[Any]], words: Array) -> Array:
    """Coefficients of the outputs on these monomials, (..., O, n), for parameters (..., P) in the ring."""
    batch = theta.shape[:-1]
    one = ring.zeros(batch)
    ring.add_scalar(one, 1)
    lifted = [[ring.scale(c, one) for c in coefficients] for coefficients in constants]
    outputs = Polynomials[Array](ring.add, ring.multiply, one, list(np.moveaxis(theta, -1, 0)), lifted).run(program)
    numbers = {tuple(word[word > 0].tolist()): k for k, word in enumerate(words)}
    result = ring.zeros((*batch, len(outputs), len(words)))
    for o, polynomial in enumerate(outputs):
        for monomial, coefficient in polynomial.items():
            result[..., o, numbers[monomial]] = coefficient
    return result


def tangents(
    program: Program, ring: Ring, theta: Array, constants: Sequence[Sequence[Any]], words: Array
) -> Iterator[tuple[slice, Array]]:
    """The derivatives of `expand` by some parameters at a time, (..., k, O, n), for all parameters."""
    P = theta.shape[-1]
    step = max(1, _TANGENTS // max(1, math.prod(theta.shape[:-1])))
    for start in range(0, P, step):
        columns = slice(start, min(P, start + step))
        shape = (*theta.shape[:-1], columns.stop - start, P)
        direction = ring.zeros(shape)
        for k in range(shape[-2]):
            ring.add_scalar(direction[..., k, start + k], 1)
        dual = np.stack([np.broadcast_to(theta[..., None, :], shape), direction])
        yield columns, expand(program, DualNumbers(ring), dual, constants, words)[1]


def gradient(
    program: Program, ring: Ring, theta: Array, seed: Array, constants: Sequence[Sequence[Any]], words: Array
) -> Array:
    """Cotangents of the parameters (..., P), given those (..., O, n) of the coefficients."""
    result = ring.zeros(theta.shape)
    for columns, tangent in tangents(program, ring, theta, constants, words):
        terms = ring.multiply(tangent, seed[..., None, :, :])
        if terms.shape[-1]:
            result[..., columns] = ring.sum(ring.sum(terms, -1), -1)
    return result
