# SPDX-License-Identifier: BSD-3-Clause
"""Exact expansion over the rationals by Chinese remaindering.

The coefficients are computed modulo several primes by the ordinary GF(p) executor and put together. How many primes are
needed is *proved* beforehand by one cheap pass over the program with positive integers in place of polynomials.

Let a slot hold polynomials N_i / D with integer coefficients N_i and one common denominator D > 0, and let h_i bound
the sum of absolute values of the coefficients of N_i; that norm is submultiplicative. Then

* an affine map with weights A / e and biases c / e gives denominator D e, norms sum_j |A_ij| h_j + |c_i| D;
* an activation (sum_k a_k z^k) / g of degree r gives denominator g D^r, norms sum_k |a_k| D^(r - k) h^k.

So D times every coefficient of an output is an integer of absolute value at most h, and the product of the primes has
to exceed 2 h; no prime may divide D.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _backend
from ._validation import is_prime
from .program import Affine, Program

Residues = NDArray[np.uint64]


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
    slots: list[tuple[list[int], int]] = [([1] * program.n_inputs, 1)]
    position = 0
    for instruction in program.instructions:
        norms, denominator = slots[instruction.input]
        if isinstance(instruction, Affine):
            n_in, n_out = len(norms), instruction.n_out
            layer = theta[position : position + n_out * (n_in + instruction.bias)]
            position += len(layer)
            scale = math.lcm(*(entry.denominator for entry in layer))
            values = [abs(entry.numerator) * (scale // entry.denominator) for entry in layer]
            out = [sum(map(operator.mul, values[i * n_in : (i + 1) * n_in], norms)) for i in range(n_out)]
            if instruction.bias:
                out = [value + bias * denominator for value, bias in zip(out, values[n_out * n_in :])]
            slots.append((out, denominator * scale))
        else:
            coefficients = [Fraction(c) for c in instruction.numbers]
            r = len(coefficients) - 1
            scale = math.lcm(*(c.denominator for c in coefficients))
            terms = [(k, abs(int(c * scale)) * denominator ** (r - k)) for k, c in enumerate(coefficients) if c]
            slots.append(([sum(a * norm**k for k, a in terms) for norm in norms], scale * denominator**r))
    norms, denominator = slots[-1]
    return denominator, max(norms)


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
