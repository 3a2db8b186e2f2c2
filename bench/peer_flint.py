# SPDX-License-Identifier: BSD-3-Clause
"""With python-flint: expansion of a network, one sparse polynomial over GF(p) a unit, network by network; matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flint
import numpy as np

# A prime of one machine word as polycore's largest ones, and a small one, for which flint has faster products.
LARGE_PRIME, SMALL_PRIME = 2**61 - 1, 1_000_003

Matrices = list[list[list[int]]]


def context(n_vars: int, p: int) -> Any:
    """Polynomials mod p in graded order, in which flint multiplies dense polynomials fastest."""
    return flint.nmod_mpoly_ctx.get([f"x{i}" for i in range(n_vars)], modulus=p, ordering=flint.Ordering.deglex)


def expand_by_powers(ctx: Any, weights: Matrices, r: int) -> list[Any]:
    """As one would write it: z ** r for the activation."""
    return _expand(ctx, weights, lambda z: z**r)


def expand_by_products(ctx: Any, weights: Matrices, r: int) -> list[Any]:
    """With r - 1 products for the activation: for large dense polynomials flint multiplies faster than it powers."""

    def power(z: Any) -> Any:
        result = z
        for _ in range(r - 1):
            result = result * z
        return result

    return _expand(ctx, weights, power)


def _expand(ctx: Any, weights: Matrices, power: Callable[[Any], Any]) -> list[Any]:
    units = [tuple(int(i == j) for j in range(ctx.nvars())) for i in range(ctx.nvars())]
    z = [ctx.from_dict(dict(zip(units, row))) for row in weights[0]]
    for matrix in weights[1:]:
        z = [power(unit) for unit in z]
        z = [sum((w * q for w, q in zip(row[1:], z[1:])), row[0] * z[0]) for row in matrix]
    return z


def matrix(entries: np.ndarray, p: int) -> Any:
    """A matrix over GF(p)."""
    return flint.nmod_mat(*entries.shape, entries.reshape(-1).tolist(), p)


def as_matrices(net: Any, theta: np.ndarray) -> Matrices:
    """The weights as Python integers, converted beforehand."""
    return [W.tolist() for W in net.unpack(theta).values()]


def coefficients(polynomials: Sequence[Any], exponents: np.ndarray) -> np.ndarray:
    """Shape (n_outputs, n_monomials), to compare."""
    return np.array([[int(q[tuple(map(int, e))]) for e in exponents] for q in polynomials], dtype=object)
