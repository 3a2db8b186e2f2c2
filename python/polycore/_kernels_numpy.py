# SPDX-License-Identifier: BSD-3-Clause
"""The kernels in plain numpy: the readable definition that every other backend is tested against.

Contract: docs/architecture.md, "The kernel contract". Everything is a form (homogeneous polynomial) of degree a in d
variables, stored densely in ascending graded lex order. A batch is the leading axis. ``modulus = 0`` means floating (or
Python) numbers, otherwise the arrays are uint64 with entries in [0, modulus). ``n_threads`` is ignored: these kernels
run on one thread.

The product and the correlation rest on one fact: for a fixed monomial b, a -> ab maps different monomials to different
monomials. So a vectorised ``out[positions] += ...`` never meets the same position twice.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .monomials import count_monomials, form_exponents

Array = NDArray[Any]

# Below this bound a product of two residues, and a sum of 2^33 residues, fits in 64 bits.
NATIVE_MODULUS = 2**31
# A table of positions with more entries than this is not kept but made again in slices.
_MAX_CACHED_ENTRIES = 2**19
# Rows of monomials in `moment_block` are made for about this many numbers at a time.
_BLOCK_ENTRIES = 2**19


def graded_product(
    d: int, degree_a: int, degree_b: int, a: Array, b: Array, out: Array, modulus: int, n_threads: int
) -> None:
    """Product of forms: ``out[s, γ] = Σ_{α+β=γ} a[s, α] b[s, β]``, shapes (B, Na), (B, Nb), (B, Nγ)."""
    if b.shape[1] > a.shape[1]:
        degree_a, degree_b, a, b = degree_b, degree_a, b, a
    x, y, total = _working(a, modulus), _working(b, modulus), _working(np.zeros_like(out), modulus)
    for beta, position in _positions(d, degree_b, degree_a):
        term = x * y[:, beta, None]
        total[:, position] += term % modulus if modulus else term
    out[...] = total % modulus if modulus else total


def correlation(
    d: int, degree_out: int, degree_b: int, m: Array, b: Array, out: Array, modulus: int, n_threads: int
) -> None:
    """Transpose of the product: ``out[s, α] = Σ_β m[s, α+β] b[s, β]``; ``m`` has the batch size of ``b``, or 1."""
    x, y, total = _working(m, modulus), _working(b, modulus), _working(np.zeros_like(out), modulus)
    if b.shape[1] <= out.shape[1]:
        for beta, position in _positions(d, degree_b, degree_out):
            term = x[:, position] * y[:, beta, None]
            total += term % modulus if modulus else term
    else:
        for alpha, position in _positions(d, degree_out, degree_b):
            terms = x[:, position] * y
            total[:, alpha] = (terms % modulus if modulus else terms).sum(axis=1)
    out[...] = total % modulus if modulus else total


def hankel_matrix(d: int, degree_rows: int, degree_cols: int, m: Array, out: Array) -> None:
    """Hankel (moment) matrix ``out[α, β] = m[α+β]``; ``m`` is one-dimensional."""
    for alpha, position in _positions(d, degree_rows, degree_cols):
        out[alpha] = m[position]


def veronese(X: Array, degree: int, homogeneous: bool, out: Array, n_threads: int) -> None:
    """Rows of monomials, ``out[s, α] = X[s]^α``; one multiplication for each."""
    n_vars = X.shape[1]
    layer = np.ones((len(X), 1), dtype=out.dtype)
    column = 0
    for t in range(degree + 1):
        if t:
            lower, layer = layer, (np.empty((len(X), count_monomials(n_vars, t, homogeneous=True)), dtype=out.dtype))
            # The monomials of degree t that begin with x_i are x_i times those of degree t - 1 in x_i, ..., x_n,
            # which are the last ones of their layer.
            start = 0
            for i in range(n_vars):
                size = count_monomials(n_vars - i, t - 1, homogeneous=True)
                np.multiply(lower[:, lower.shape[1] - size :], X[:, i, None], out=layer[:, start : start + size])
                start += size
        if not homogeneous:
            out[:, column : column + layer.shape[1]] = layer
            column += layer.shape[1]
    if homogeneous:
        out[...] = layer


def moment_block(
    X: Array,
    Y: Array,
    degree: int,
    cross_degree: int,
    homogeneous: bool,
    moments: NDArray[np.float64],
    cross: NDArray[np.float64],
    targets: NDArray[np.float64],
) -> None:
    """Sums over a block of rows: ``moments[γ] = Σ x^γ``, ``cross[t, γ] = Σ y_t x^γ``, ``targets[t, u] = Σ y_t y_u``.

    Every sum runs along a contiguous axis, where numpy adds pairwise; the partial sums of slices of rows are added
    pairwise too. The slices depend on the number of monomials only.
    """
    n_moments, n_cross = len(moments), cross.shape[1]
    n_targets = Y.shape[1]
    step = max(8, _BLOCK_ENTRIES // (n_moments + n_cross))
    starts = range(0, len(X), step)
    moment_sums = np.zeros((n_moments, len(starts)))
    cross_sums = np.zeros((n_targets, n_cross, len(starts)))
    target_sums = np.zeros((n_targets, n_targets, len(starts)))
    for k, start in enumerate(starts):
        x = X[start : start + step]
        y = np.ascontiguousarray(Y[start : start + step].T)
        monomials = _monomial_columns(x, degree, homogeneous, n_moments)
        moment_sums[:, k] = monomials.sum(axis=1)
        if n_targets and homogeneous:
            factors = _monomial_columns(x, cross_degree, True, n_cross)
        elif n_targets and n_cross <= n_moments:
            factors = monomials[:n_cross]
        elif n_targets:
            factors = _monomial_columns(x, cross_degree, False, n_cross)
        for t in range(n_targets):
            cross_sums[t, :, k] = (factors * y[t]).sum(axis=1)
            target_sums[t, :, k] = (y * y[t]).sum(axis=1)
    moments[...] = moment_sums.sum(axis=1)
    cross[...] = cross_sums.sum(axis=2)
    targets[...] = target_sums.sum(axis=2)


def _monomial_columns(x: Array, degree: int, homogeneous: bool, n_monomials: int) -> NDArray[np.float64]:
    """The transposed Veronese matrix, shape (n_monomials, rows), contiguous along the rows."""
    columns = np.empty((n_monomials, len(x)))
    veronese(x, degree, homogeneous, columns.T, 1)
    return columns


# -- rank over GF(p) -------------------------------------------------------------------------------------------------


def modular_rank(matrix: Array, modulus: int, overwrite: bool = False, n_threads: int = 1) -> int:
    """Rank over GF(modulus) of a matrix of canonical residues, which is the workspace with ``overwrite``."""
    work = _working(matrix, modulus)
    return len(_eliminate(matrix.copy() if work is matrix and not overwrite else work, modulus, reduced=False))


def modular_echelon(matrix: Array, modulus: int) -> NDArray[np.int64]:
    """Pivot columns, ascending; the matrix is replaced by its reduced row echelon form over GF(modulus)."""
    work = _working(matrix, modulus)
    pivots = _eliminate(work, modulus, reduced=True)
    matrix[...] = work
    return np.array(pivots, dtype=np.int64)


def _eliminate(work: Array, modulus: int, reduced: bool) -> list[int]:
    """Pivot columns of a matrix that becomes an echelon form, a reduced one if wanted."""
    pivots: list[int] = []
    for column in range(work.shape[1]):
        rank = len(pivots)
        if rank == len(work):
            break
        candidates = np.flatnonzero(work[rank:, column])
        if candidates.size == 0:
            continue
        pivot = rank + int(candidates[0])
        if pivot != rank:
            work[[rank, pivot]] = work[[pivot, rank]]
        work[rank, column:] = work[rank, column:] * pow(int(work[rank, column]), -1, modulus) % modulus
        others = np.flatnonzero(work[:, column])
        others = others[others != rank] if reduced else others[others > rank]
        # The negative of each factor, so that sums stay below (modulus - 1) modulus.
        factors = (modulus - work[others, column])[:, None]
        work[others, column:] = (work[others, column:] + factors * work[rank, column:]) % modulus
        pivots.append(column)
    return pivots


# -- where products of monomials land --------------------------------------------------------------------------------


def _positions(d: int, degree_a: int, degree_b: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """For each monomial a of degree ``degree_a``: its index, and the positions of ab for all b of ``degree_b``."""
    n_a, n_b = _count(d, degree_a), _count(d, degree_b)
    step = max(1, _MAX_CACHED_ENTRIES // n_b)
    table_of = position_table if n_a <= step else position_table.__wrapped__
    for start in range(0, n_a, step):
        table = table_of(d, degree_a, degree_b, start, min(start + step, n_a))
        for i in range(len(table)):
            yield start + i, table[i]


@lru_cache(maxsize=64)
def position_table(d: int, degree_a: int, degree_b: int, start: int, stop: int) -> NDArray[np.int64]:
    """Positions of the products of monomials [start, stop) of degree ``degree_a`` with all of degree ``degree_b``.

    The rank of a monomial is a sum of binomials of its tail degrees, and tail degrees add up in a product.
    """
    tails_a, tails_b = tail_degrees(d, degree_a)[start:stop], tail_degrees(d, degree_b)
    table = np.zeros((len(tails_a), len(tails_b)), dtype=np.int64)
    for i in range(d - 1):
        table += counts_before(d - 1 - i, degree_a + degree_b)[tails_a[:, i, None] + tails_b[None, :, i]]
    table.flags.writeable = False
    return table


@lru_cache(maxsize=16)
def tail_degrees(d: int, degree: int) -> NDArray[np.int64]:
    """Tail degrees e_{i+1} + ... + e_d of all forms, shape (count, d - 1)."""
    exponents = form_exponents(d, degree)
    return np.asarray(degree - np.cumsum(exponents[:, : d - 1], axis=1))


def counts_before(k: int, degree: int) -> NDArray[np.int64]:
    """C(t - 1 + k, k) for t = 0, ..., degree: how many monomials have a smaller tail in k variables."""
    return np.array([0] + [_count(k + 1, t) for t in range(degree)], dtype=np.int64)


def _count(d: int, degree: int) -> int:
    return count_monomials(d, degree, homogeneous=True)


# -- GF(p) -----------------------------------------------------------------------------------------------------------

_warned = False


def _working(x: Array, modulus: int) -> Array:
    """The array in which to compute: itself, or Python integers where 64 bits do not hold a product of residues."""
    if modulus < NATIVE_MODULUS:
        return x
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"numpy has no 128-bit integers: arithmetic modulo {modulus} >= 2^31 goes through Python integers, "
            "which is slow; the compiled core or numba is fast up to 61 bits",
            RuntimeWarning,
            stacklevel=2,
        )
    return x.astype(object)
