# SPDX-License-Identifier: BSD-3-Clause
"""Kernels of rational matrices from their kernels modulo primes.

A matrix of rank r has r pivot columns, the first independent ones, and its other columns are combinations of them.
Modulo a prime that is the reduced row echelon form; the Chinese remainder theorem and rational reconstruction bring it
back to the rationals (J. von zur Gathen, J. Gerhard, *Modern Computer Algebra*, section 5.10). What comes back is a
guess: whoever asks for it proves it.
"""

from __future__ import annotations

from math import gcd, isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray


def echelon(matrix: NDArray[Any], modulus: int) -> tuple[tuple[int, ...], NDArray[np.int64]]:
    """The pivot columns of a matrix of residues, and the other columns as combinations of them.

    Parameters
    ----------
    matrix : integer array, shape (n_rows, n_cols)
        Entries in [0, modulus).
    modulus : int
        A prime below 2^31.

    Returns
    -------
    pivots : tuple of rank ints, ascending
    combinations : int64 array, shape (n_cols − rank, rank)
        Row i has the coefficients of the i-th column that is not a pivot.

    Notes
    -----
    Gauss–Jordan elimination, O(n_rows · n_cols · rank).
    """
    work = np.array(matrix, dtype=np.int64)
    n_rows, n_cols = work.shape
    pivots: list[int] = []
    for column in range(n_cols):
        rank = len(pivots)
        if rank == n_rows:
            break
        candidates = np.flatnonzero(work[rank:, column])
        if not candidates.size:
            continue
        chosen = rank + int(candidates[0])
        work[[rank, chosen]] = work[[chosen, rank]]
        work[rank, column:] = work[rank, column:] * pow(int(work[rank, column]), -1, modulus) % modulus
        others = np.flatnonzero(work[:, column])
        others = others[others != rank]
        work[others, column:] = (work[others, column:] - work[others, column, None] * work[rank, column:]) % modulus
        pivots.append(column)
    free = np.delete(np.arange(n_cols), pivots)
    return tuple(pivots), np.ascontiguousarray(work[: len(pivots), free].T)


def kernel_vectors(pivots: tuple[int, ...], combinations: NDArray[np.int64], modulus: int) -> NDArray[np.uint64]:
    """A basis of the kernel modulo a prime, one vector a row, from the result of `echelon`."""
    n_free, rank = combinations.shape
    vectors = np.zeros((n_free, n_free + rank), dtype=np.uint64)
    free = np.delete(np.arange(n_free + rank), pivots)
    vectors[:, list(pivots)] = (-combinations) % modulus
    vectors[np.arange(n_free), free] = 1
    return vectors


class RationalKernel:
    """A kernel over the rationals put together from kernels modulo primes.

    Unlucky primes make the rank smaller or the pivots come later; they are forgotten when a better one is seen.
    """

    def __init__(self) -> None:
        self.primes: list[int] = []
        self.modulus = 1
        self._pivots: tuple[int, ...] = ()
        self._residues: NDArray[Any] = np.zeros((0, 0), dtype=object)

    def add(self, pivots: tuple[int, ...], combinations: NDArray[np.int64], p: int) -> None:
        """Take in the kernel modulo another prime, as `echelon` gives it."""
        if self.primes and (-len(pivots), pivots) > (-len(self._pivots), self._pivots):
            return
        if not self.primes or pivots != self._pivots:
            self.primes, self.modulus, self._pivots = [], 1, pivots
            self._residues = np.zeros(combinations.shape, dtype=object)
        step = (combinations - self._residues % p) * pow(self.modulus, -1, p) % p
        self._residues = self._residues + step * self.modulus
        self.modulus *= p
        self.primes.append(p)

    def vectors(self) -> list[list[int]] | None:
        """Integer vectors, primitive, that are the kernel modulo every prime so far, or None if more are needed.

        Their entries are less than the square root of half the product of the primes.
        """
        n_free, rank = self._residues.shape
        free = [column for column in range(n_free + rank) if column not in set(self._pivots)]
        vectors = []
        for column, residues in zip(free, self._residues.tolist()):
            fractions = _common_denominator(residues, self.modulus)
            if fractions is None:
                return None
            numerators, denominator = fractions
            vector = [0] * (n_free + rank)
            for pivot, numerator in zip(self._pivots, numerators):
                vector[pivot] = -numerator
            vector[column] = denominator
            vectors.append(vector)
        return vectors


def _common_denominator(residues: list[int], modulus: int) -> tuple[list[int], int] | None:
    """(a_i), b with a_i / b = residues[i] modulo ``modulus`` and all of them at most sqrt(modulus / 2), or None."""
    bound = isqrt(modulus // 2)
    denominator = 1
    for residue in residues:
        scaled = _centred(residue * denominator, modulus)
        if abs(scaled) > bound:
            denominator *= _denominator(scaled % modulus, modulus, bound)
            if denominator > bound:
                return None
    numerators = [_centred(residue * denominator, modulus) for residue in residues]
    if any(abs(numerator) > bound for numerator in numerators):
        return None
    common = gcd(denominator, *numerators)
    return [numerator // common for numerator in numerators], denominator // common


def _denominator(residue: int, modulus: int, bound: int) -> int:
    """The least b > 0 for which b · residue is at most ``bound`` in absolute value modulo ``modulus``: Euclid."""
    r0, r1, t0, t1 = modulus, residue, 0, 1
    while r1 > bound:
        q = r0 // r1
        r0, r1, t0, t1 = r1, r0 - q * r1, t1, t0 - q * t1
    return abs(t1)


def _centred(value: int, modulus: int) -> int:
    value %= modulus
    return value - modulus if value > modulus // 2 else value
