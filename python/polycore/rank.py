# SPDX-License-Identifier: BSD-3-Clause
"""Rank of a matrix over GF(p), by elimination. Exact: no tolerance enters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._validation import as_residues, check_modulus

# The largest prime below 2^31: a product of two residues plus a residue fits in an int64.
WORD_PRIME = 2**31 - 1


def modular_rank(matrix: object, modulus: int = WORD_PRIME) -> int:
    """Rank over GF(modulus) of an integer matrix.

    Parameters
    ----------
    matrix : (n_rows, n_cols) integer array-like
        Entries of any size and sign; they are reduced first.
    modulus : int
        A prime below 2^31.

    Returns
    -------
    int
        Never more than the rank over the rationals, and equal to it unless the prime divides every one of the matrix's
        largest non-zero minors.

    Raises
    ------
    ValueError
        If ``matrix`` is not two-dimensional, or ``modulus`` is not a prime below 2^31.
    TypeError
        If ``matrix`` does not hold integers.

    Notes
    -----
    Complexity O(n_rows · n_cols · rank); the shorter side is eliminated.

    Examples
    --------
    >>> modular_rank([[1, 2], [2, 4]])
    1
    >>> modular_rank([[1, 2], [3, 4]]), modular_rank([[1, 2], [3, 4]], modulus=2)
    (2, 1)
    """
    p = check_modulus(modulus)
    if not 2 <= p < 2**31:
        raise ValueError(f"`modulus` must be a prime below 2^31, got {modulus}")
    residues = as_residues(matrix, p, "matrix", shape=("n_rows", "n_cols"))
    work = residues.astype(np.int64)
    return _eliminate(work if work.shape[0] <= work.shape[1] else np.ascontiguousarray(work.T), p)


def compress_rows(matrix: NDArray[Any], n_rows: int, modulus: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``n_rows`` random combinations over GF(modulus) of the rows of a matrix of residues; modulus below 2^31.

    Their rank is at most that of the matrix, and equal to min(n_rows, rank) but for a probability of about
    1 / modulus: the determinant of a generic minor is a polynomial in the random entries.
    """
    combinations = rng.integers(0, modulus, (n_rows, matrix.shape[0]), dtype=np.int64)
    return _multiply(combinations, matrix.astype(np.int64), modulus)


def _multiply(a: NDArray[np.int64], b: NDArray[np.int64], p: int) -> NDArray[np.int64]:
    """a @ b mod p through float64 products of 16-bit halves, exact up to 2^21 terms a sum."""
    result = np.zeros((a.shape[0], b.shape[1]), dtype=np.int64)
    low, high = (b & 0xFFFF).astype(np.float64), (b >> 16).astype(np.float64)
    step = 2**20
    for start in range(0, a.shape[1], step):
        rows = slice(start, start + step)
        a_low, a_high = (a[:, rows] & 0xFFFF).astype(np.float64), (a[:, rows] >> 16).astype(np.float64)
        for part, shift in (
            (a_low @ low[rows], 0),
            (a_low @ high[rows] + a_high @ low[rows], 16),
            (a_high @ high[rows], 32),
        ):
            result += part.astype(np.int64) % p * (pow(2, shift, p)) % p
    return result % p


def _eliminate(work: NDArray[np.int64], p: int) -> int:
    """Rank of ``work`` (entries in [0, p), overwritten) by Gaussian elimination."""
    n_rows, n_cols = work.shape
    rank = 0
    for column in range(n_cols):
        if rank == n_rows:
            break
        pivots = np.flatnonzero(work[rank:, column])
        if pivots.size == 0:
            continue
        pivot = rank + int(pivots[0])
        if pivot != rank:
            work[[rank, pivot]] = work[[pivot, rank]]
        row = work[rank, column:] * pow(int(work[rank, column]), -1, p) % p
        below = rank + 1 + np.flatnonzero(work[rank + 1 :, column])
        work[below, column:] = (work[below, column:] - work[below, column, None] * row) % p
        rank += 1
    return rank
