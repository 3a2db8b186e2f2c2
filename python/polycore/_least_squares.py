# SPDX-License-Identifier: BSD-3-Clause
"""Least squares min ‖Ft − g‖² when F may be rank-deficient: minimum-norm solution, rank, kernel, condition number.

Legend: ``N`` unknowns, ``O`` right-hand sides, ``k`` rows of a factor F of Q = FᵀF, ``r`` the rank.

The rank is decided after scaling the columns of F to unit length. That makes it independent of the units of the
unknowns, which for monomials differ by many orders of magnitude, and near-optimal among all diagonal scalings (A. van
der Sluis, Numer. Math. 14 (1969) 14–23). The solution, its norm, the kernel and the condition number are those of the
unscaled problem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import _linalg

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """The solution of a least-squares problem.

    Attributes
    ----------
    factor : ndarray, shape (k, N)
        F with FᵀF = Q.
    solution : ndarray, shape (O, N)
        The minimisers of least norm, one a row.
    explained : float
        Squared norm of F times the solution.
    rank : int
    kernel : ndarray, shape (N, N − r)
        Orthonormal columns.
    condition : float
        Largest over smallest nonzero eigenvalue of Q, the square of that of F's singular values; 1 if Q = 0.
    rank_tol : float
        Singular values of the scaled F below this fraction of the largest counted as zero.
    """

    factor: Matrix
    solution: Matrix
    explained: float
    rank: int
    kernel: Matrix
    condition: float
    rank_tol: float


def solve_factor(factor: Matrix, right: Matrix, rank_tol: float) -> LeastSquares:
    """From a factor F (k, N) and g (k, O), by singular values of F."""
    k, n = factor.shape
    lengths = positive(np.sqrt(np.einsum("ki,ki->i", factor, factor)))
    u, s, vt = _svd(factor / lengths, full=k < n)
    rank = int(np.count_nonzero(s > rank_tol * s.max(initial=0.0)))
    scaled = vt[:rank].T @ ((u[:, :rank].T @ right) / s[:rank, None])
    solution, kernel = _minimum_norm(scaled, vt[rank:], lengths)
    condition = _condition(s[:rank, None] * vt[:rank] * lengths)
    explained = float(np.sum((factor @ solution.T) ** 2))
    return LeastSquares(factor, solution, explained, rank, kernel, condition, rank_tol)


def solve_gram(gram: Matrix, right: Matrix, rank_tol: float, max_rank: int, scaled: bool = True) -> LeastSquares:
    """From Q = FᵀF (N, N) and the rows of ``right`` = Fᵀg (O, N), by eigenvalues of Q; of rank at most ``max_rank``."""
    lengths = positive(np.sqrt(np.maximum(gram.diagonal(), 0.0))) if scaled else np.ones(len(gram))
    values, vectors = _linalg.eigh(gram / lengths / lengths[:, None])
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = int(np.count_nonzero(values > rank_tol**2 * values.max(initial=0.0)))
    rank = min(rank, max_rank)
    s = np.sqrt(values[:rank])
    kept = vectors[:, :rank]
    projected = (kept.T @ (right / lengths).T) / s[:, None]  # the part of g in the range of F
    solution, kernel = _minimum_norm(kept @ (projected / s[:, None]), vectors[:, rank:].T, lengths)
    factor = s[:, None] * kept.T * lengths
    return LeastSquares(factor, solution, float(np.sum(projected**2)), rank, kernel, _condition(factor), rank_tol)


def _minimum_norm(scaled: Matrix, null_rows: Matrix, lengths: Matrix) -> tuple[Matrix, Matrix]:
    """The minimum-norm solution (O, N) and the kernel (N, nullity), given a solution and the kernel after scaling."""
    solution = scaled / lengths[:, None]
    kernel = np.zeros((len(lengths), 0))
    if len(null_rows):
        # NOTE: a column of F that is zero was scaled by 1. Scaled to unit length, the columns of a graded kernel are as
        # independent as they can be.
        columns = null_rows.T / lengths[:, None]
        kernel = _linalg.qr(columns / np.linalg.norm(columns, axis=0))[0]
        solution = solution - kernel @ (kernel.T @ solution)
    return np.ascontiguousarray(solution.T), kernel


def _condition(factor: Matrix) -> float:
    """Condition number of FᵀF for a factor of full row rank."""
    if not factor.size:
        return 1.0
    s = _linalg.singular_values(factor)
    return float((s[0] / s[-1]) ** 2) if s[-1] > 0 else float("inf")


def _svd(a: Matrix, full: bool) -> tuple[Matrix, Matrix, Matrix]:
    if not a.size:
        return np.eye(len(a)), np.zeros(0), np.eye(a.shape[1])
    return _linalg.svd(a, full)


def positive(lengths: Matrix) -> Matrix:
    """Lengths to divide by: 1 where they are 0."""
    return np.where(lengths > 0, lengths, 1.0)
