# SPDX-License-Identifier: BSD-3-Clause
"""Exact expansion over the rationals by Chinese remaindering.

The coefficients are computed modulo several primes by the ordinary GF(p) executor and put together. How many primes are
needed is *proved* beforehand by one cheap pass over the program with positive integers in place of polynomials.

Let a slot hold polynomials N_i / D with integer coefficients N_i and one common denominator D > 0, and let h_i bound
the sum of absolute values of the coefficients of N_i; that norm is submultiplicative. Then

* an affine map with weights A / e and biases c / e gives denominator D e, norms sum_j |A_ij| h_j + |c_i| D;
* an activation (sum_k a_k z^k) / g of degree r gives denominator g D^r, norms sum_k |a_k| D^(r - k) h^k;
* a sum gives the least common multiple of the denominators, and the sums of the norms over it;
* a matrix product gives the product of the denominators, and the matrix product of the norms.

So D times every coefficient of an output is an integer of absolute value at most h, and the product of the primes has
to exceed 2 h; no prime may divide D.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import _backend
from ._validation import is_prime
from .program import Activation, Add, Affine, MatMul, Program, Select

Residues = NDArray[np.uint64]
# Norms of the numerators, and their common denominator.
_Slot: TypeAlias = tuple[list[int], int]


def expand_exact(program: Program, theta: NDArray[Any], expand_modulo: Callable[[int], Residues]) -> NDArray[Any]:
    """Coefficients of a program over the rationals.

    Parameters
    ----------
    program : Program
        What to expand.
    theta : array of integers or of int and Fraction objects, shape (B, n_params)
        Parameters.
    expand_modulo : callable
        From a prime to the coefficients modulo it, uint64 of shape (B, n_outputs, n_monomials).

    Returns
    -------
    object array, shape (B, n_outputs, n_monomials)
        Python ints if all parameters and activation coefficients are integers, else Fractions.
    """
    rows = [[Fraction(entry) for entry in row] for row in theta.tolist()]
    constants = [Fraction(c) for activation in program.activations for c in activation.numbers]
    bounds = [denominator_and_height(program, row) for row in rows]
    denominators = [denominator for denominator, _ in bounds]
    height = max((height for _, height in bounds), default=0)
    # Nor may a prime divide the denominator of a number that a constant activation later forgets.
    refused = {number.denominator for numbers in (*rows, constants) for number in numbers}.union(denominators)

    primes: list[int] = []
    modulus = 1
    for p in _primes():
        if modulus > 2 * height and primes:
            break
        if all(denominator % p for denominator in refused):
            primes.append(p)
            modulus *= p
    residues = [expand_modulo(p) for p in primes]

    whole = all(c.denominator == 1 for c in constants)
    whole = whole and not (theta.dtype == object and any(isinstance(entry, Fraction) for entry in theta.reshape(-1)))
    coef = np.empty(residues[0].shape, dtype=object)
    for s, denominator in enumerate(denominators):
        integers = _lift([r[s] for r in residues], primes, modulus, denominator)
        coef[s] = integers if whole else _divide(integers, denominator)
    return coef


def denominator_and_height(program: Program, theta: Sequence[Fraction]) -> tuple[int, int]:
    """D > 0 and h such that D times each coefficient of the outputs is an integer of absolute value at most h."""
    slots: list[_Slot] = [([1] * program.n_inputs, 1)]
    parameters: dict[int, list[Fraction]] = {}
    for block in program.parameters:
        parameters.setdefault(block.instruction, []).extend(theta[block.start : block.stop])
    for k, instruction in enumerate(program.instructions):
        inputs = [slots[slot] for slot in instruction.inputs]
        if isinstance(instruction, Affine):
            slots.append(_affine(instruction, inputs[0], parameters[k]))
        elif isinstance(instruction, Activation):
            slots.append(_activation(instruction, inputs[0]))
        elif isinstance(instruction, Select):
            norms, denominator = inputs[0]
            slots.append(([norms[i] for i in instruction.indices], denominator))
        elif isinstance(instruction, Add):
            slots.append(_sum(inputs))
        else:
            slots.append(_product(instruction, inputs[0], inputs[1]))
    norms, denominator = slots[-1]
    return denominator, max(norms)


def _affine(affine: Affine, z: _Slot, parameters: Sequence[Fraction]) -> _Slot:
    norms, denominator = z
    n_in, n_out = affine.window_size(len(norms)), affine.n_out
    scale = math.lcm(*(entry.denominator for entry in parameters))
    values = [abs(entry.numerator) * (scale // entry.denominator) for entry in parameters]
    biases = [bias * denominator for bias in values[n_out * n_in :]] or [0] * n_out
    out = []
    for window in affine.windows or (range(n_in),):
        seen = [norms[i] for i in window]
        out += [sum(map(operator.mul, values[i * n_in : (i + 1) * n_in], seen)) + biases[i] for i in range(n_out)]
    return out, denominator * scale


def _activation(activation: Activation, z: _Slot) -> _Slot:
    norms, denominator = z
    coefficients = [Fraction(c) for c in activation.numbers]
    r = len(coefficients) - 1
    scale = math.lcm(*(c.denominator for c in coefficients))
    terms = [(k, abs(int(c * scale)) * denominator ** (r - k)) for k, c in enumerate(coefficients) if c]
    return [sum(a * norm**k for k, a in terms) for norm in norms], scale * denominator**r


def _sum(terms: Sequence[_Slot]) -> _Slot:
    common = math.lcm(*(denominator for _, denominator in terms))
    scaled = ([norm * (common // denominator) for norm in norms] for norms, denominator in terms)
    return [sum(norms) for norms in zip(*scaled)], common


def _product(product: MatMul, left: _Slot, right: _Slot) -> _Slot:
    rows, inner, cols = product.rows, product.inner, product.cols
    (a, first), (b, second) = left, right
    a_rows = [a[i::rows] if product.transpose_left else a[i * inner : (i + 1) * inner] for i in range(rows)]
    b_columns = [b[j * inner : (j + 1) * inner] if product.transpose_right else b[j::cols] for j in range(cols)]
    return [sum(map(operator.mul, row, column)) for row in a_rows for column in b_columns], first * second


def _lift(residues: list[Residues], primes: list[int], modulus: int, denominator: int) -> NDArray[Any]:
    """The integers y, |y| < modulus / 2, with y = denominator * residue modulo each prime."""
    total: Any = 0
    for r, p in zip(residues, primes):
        cofactor = modulus // p
        total = total + r.astype(object) * (denominator * cofactor * pow(cofactor, -1, p) % modulus)
    total = total % modulus
    return np.asarray(np.where(total > modulus // 2, total - modulus, total), dtype=object)


def _divide(integers: NDArray[Any], denominator: int) -> NDArray[Any]:
    quotients = np.empty(integers.size, dtype=object)
    quotients[:] = [Fraction(y, denominator) for y in integers.reshape(-1)]
    return quotients.reshape(integers.shape)


def _primes() -> Iterator[int]:
    """Primes downwards from the largest the backend multiplies natively."""
    p = 2**61 if _backend.name() == "cpp" else 2**31
    while True:
        p = _previous_prime(p)
        yield p


@cache
def _previous_prime(n: int) -> int:
    return next(p for p in range(n - 1, 1, -1) if is_prime(p))
