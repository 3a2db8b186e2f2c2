# SPDX-License-Identifier: BSD-3-Clause
"""Rank of a matrix over GF(p), by elimination. Exact: no tolerance enters."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from . import _backend
from ._validation import UINT64, as_residues, check_modulus, check_size, check_threads

# The largest prime below 2^31: a product of two residues plus a residue fits in an int64, and elimination is fast.
WORD_PRIME = 2**31 - 1


def modular_rank(matrix: object, modulus: int = WORD_PRIME, *, n_threads: int = 0) -> int:
    """Rank over GF(modulus) of a matrix of integers or fractions.

    Parameters
    ----------
    matrix : (n_rows, n_cols) array-like of integers or Fractions
        Entries of any size and sign; they are reduced first.
    modulus : int
        A prime below 2^61. Below 2^31 the elimination is several times as fast.
    n_threads : int
        0 means the default. The result does not depend on it.

    Returns
    -------
    int
        Never more than the rank over the rationals, and equal to it unless the prime divides every one of the matrix's
        largest non-zero minors.

    Raises
    ------
    ValueError
        If ``matrix`` is not two-dimensional, a denominator is divisible by ``modulus``, or ``modulus`` is not a prime
        below 2^61.
    TypeError
        If ``matrix`` holds anything but integers and Fractions: floats are refused even when whole.

    Notes
    -----
    Complexity O(n_rows · n_cols · rank), and one copy of the matrix as uint64.

    Examples
    --------
    >>> modular_rank([[1, 2], [2, 4]], 101)
    1
    >>> modular_rank([[1, 2], [3, 4]], 101), modular_rank([[1, 2], [3, 4]], 2)
    (2, 1)
    """
    p, threads = check_modulus(modulus), check_threads(n_threads)
    if _holds_residues(matrix, p):
        return _backend.kernels().modular_rank(matrix, p, overwrite=False, n_threads=threads)
    residues = as_residues(matrix, p, "matrix", shape=("n_rows", "n_cols"))
    return _backend.kernels().modular_rank(residues, p, overwrite=True, n_threads=threads)


def modular_kernel(matrix: object, modulus: int = WORD_PRIME) -> NDArray[np.uint64]:
    """Basis over GF(modulus) of the vectors v with ``matrix @ v = 0``.

    Parameters
    ----------
    matrix : (n_rows, n_cols) array-like of integers or Fractions
        Entries of any size and sign; they are reduced first.
    modulus : int
        A prime below 2^61.

    Returns
    -------
    (n_cols - rank, n_cols) uint64 array
        One vector a row, with entries in [0, modulus). Each has a 1 in one of the columns that are combinations of
        columns before them, where the other vectors have 0, and nothing after it.

    Raises
    ------
    ValueError, TypeError
        As `modular_rank`.

    Notes
    -----
    Read off the reduced row echelon form. Complexity O(n_rows · n_cols · rank), one thread.

    Examples
    --------
    >>> modular_kernel([[1, 2, 3], [2, 4, 6]], 7)
    array([[5, 1, 0],
           [4, 0, 1]], dtype=uint64)
    """
    p = check_modulus(modulus)
    residues = as_residues(matrix, p, "matrix", shape=("n_rows", "n_cols"))
    pivots, combinations = echelon(residues, p)
    check_size(len(combinations) * residues.shape[1], 8, "the kernel")
    return kernel_vectors(pivots, combinations, p)


def echelon(matrix: NDArray[np.uint64], modulus: int) -> tuple[tuple[int, ...], NDArray[np.uint64]]:
    """The pivot columns of a matrix of residues, and the other columns as combinations of them.

    Parameters
    ----------
    matrix : uint64 array, shape (n_rows, n_cols)
        Entries in [0, modulus). It is the workspace: afterwards it is in reduced row echelon form.
    modulus : int
        A prime below 2^61.

    Returns
    -------
    pivots : tuple of rank ints, ascending
    combinations : uint64 array, shape (n_cols − rank, rank)
        Row i has the coefficients of the i-th column that is not a pivot.

    Notes
    -----
    Gauss–Jordan elimination, O(n_rows · n_cols · rank).
    """
    pivots = _backend.kernels().modular_echelon(matrix, modulus)
    free = np.delete(np.arange(matrix.shape[1]), pivots)
    return tuple(pivots.tolist()), np.ascontiguousarray(matrix[: len(pivots), free].T)


def kernel_vectors(pivots: tuple[int, ...], combinations: NDArray[np.uint64], modulus: int) -> NDArray[np.uint64]:
    """A basis of the kernel modulo a prime, one vector a row, from the result of `echelon`."""
    n_free, rank = combinations.shape
    vectors = np.zeros((n_free, n_free + rank), dtype=np.uint64)
    free = np.delete(np.arange(n_free + rank), pivots)
    vectors[:, list(pivots)] = np.where(combinations == 0, combinations, np.uint64(modulus) - combinations)
    vectors[np.arange(n_free), free] = 1
    return vectors


def _holds_residues(matrix: object, p: int) -> TypeGuard[NDArray[np.uint64]]:
    """Whether a kernel takes this matrix as it is."""
    return (
        type(matrix) is np.ndarray
        and matrix.dtype == UINT64
        and matrix.ndim == 2
        and matrix.flags.c_contiguous
        and matrix.flags.aligned
        and (matrix.size == 0 or int(matrix.max()) < p)
    )
