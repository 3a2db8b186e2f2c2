# SPDX-License-Identifier: BSD-3-Clause
"""The kernels compiled by numba: the fallback where the compiled core is not installed.

Same functions and meaning as `_kernels_numpy`, which is the definition. Compiled on first use and cached on disk; no
fast-math, one thread (``n_threads`` is ignored), the GIL is released.

A form in d variables is a concatenation of *rows*: runs of coefficients in which all exponents but the last two are
fixed. A row of tail degree t has t + 1 contiguous coefficients, and the product of two rows is their convolution. The
rows of a form are themselves ordered like the monomials of a form in d - 1 variables, so `position_table` for d - 1
variables tells which row of the product a pair of rows contributes to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from . import _kernels_numpy
from ._kernels_numpy import NATIVE_MODULUS, position_table
from .monomials import count_monomials, form_exponents

Array = NDArray[Any]
_F = TypeVar("_F", bound=Callable[..., Any])

# Tables of row pairs with more entries than this are made in slices and not kept.
_MAX_CACHED_ENTRIES = 2**19
# Samples whose monomials are made together before they are written out.
_SAMPLES = 32
# Rows summed one after the other before partial sums are added pairwise, as in numpy's own summation.
_ROWS_IN_SEQUENCE = 16


def _compile(function: _F) -> _F:
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


# -- graded product and correlation -----------------------------------------------------------------------------------


def graded_product(
    d: int, degree_a: int, degree_b: int, a: Array, b: Array, out: Array, modulus: int, n_threads: int
) -> None:
    """Product of forms: ``out[s, γ] = Σ_{α+β=γ} a[s, α] b[s, β]``."""
    if modulus >= NATIVE_MODULUS and modulus % 2 == 0:
        _kernels_numpy.graded_product(d, degree_a, degree_b, a, b, out, modulus, n_threads)
        return
    out[...] = 0
    large = modulus >= NATIVE_MODULUS
    field = _montgomery(modulus) if large else None
    y = _to_montgomery(b, *field) if field else b
    for first, starts in _row_pairs(d, degree_a, degree_b):
        rows_a, rows_b = _rows(d, degree_a)[first : first + len(starts)], _rows(d, degree_b)
        if field:
            _product_montgomery(rows_a, rows_b, starts, a, y, out, *field)
        elif modulus:
            _product_small(rows_a, rows_b, starts, a, y, out, np.uint64(modulus))
        else:
            _product(rows_a, rows_b, starts, a, y, out)
    if modulus and not large:
        out %= np.uint64(modulus)


def correlation(
    d: int, degree_out: int, degree_b: int, m: Array, b: Array, out: Array, modulus: int, n_threads: int
) -> None:
    """Transpose of the product: ``out[s, α] = Σ_β m[s, α+β] b[s, β]``; ``m`` has the batch size of ``b``, or 1."""
    if modulus >= NATIVE_MODULUS and modulus % 2 == 0:
        _kernels_numpy.correlation(d, degree_out, degree_b, m, b, out, modulus, n_threads)
        return
    out[...] = 0
    large = modulus >= NATIVE_MODULUS
    field = _montgomery(modulus) if large else None
    y = _to_montgomery(b, *field) if field else b
    for first, starts in _row_pairs(d, degree_out, degree_b):
        rows_out, rows_b = _rows(d, degree_out)[first : first + len(starts)], _rows(d, degree_b)
        if field:
            _correlation_montgomery(rows_out, rows_b, starts, m, y, out, *field)
        elif modulus:
            _correlation_small(rows_out, rows_b, starts, m, y, out, np.uint64(modulus))
        else:
            _correlation(rows_out, rows_b, starts, m, y, out)
    if modulus and not large:
        out %= np.uint64(modulus)


def hankel_matrix(d: int, degree_rows: int, degree_cols: int, m: Array, out: Array) -> None:
    """Hankel (moment) matrix ``out[α, β] = m[α+β]``; ``m`` is one-dimensional."""
    for first, starts in _row_pairs(d, degree_rows, degree_cols):
        _hankel(_rows(d, degree_rows)[first : first + len(starts)], _rows(d, degree_cols), starts, m, out)


@lru_cache(maxsize=64)
def _rows(d: int, degree: int) -> NDArray[np.int64]:
    """Start and length of each row of a form, shape (n_rows, 2)."""
    if d == 1:
        return np.array([[0, 1]], dtype=np.int64)
    lengths = form_exponents(d - 1, degree)[:, -1] + 1
    return np.stack([np.cumsum(lengths) - lengths, lengths], axis=1)


def _row_pairs(d: int, degree_a: int, degree_b: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Where the products of rows start: tables (rows of a, rows of b), in slices of the rows of a."""
    n_a, n_b = len(_rows(d, degree_a)), len(_rows(d, degree_b))
    step = max(1, _MAX_CACHED_ENTRIES // n_b)
    table_of = _row_table if n_a <= step else _row_table.__wrapped__
    for start in range(0, n_a, step):
        yield start, table_of(d, degree_a, degree_b, start, min(start + step, n_a))


@lru_cache(maxsize=64)
def _row_table(d: int, degree_a: int, degree_b: int, start: int, stop: int) -> NDArray[np.int64]:
    if d == 1:
        return np.zeros((1, 1), dtype=np.int64)
    starts = _rows(d, degree_a + degree_b)[:, 0]
    return np.asarray(starts[position_table.__wrapped__(d - 1, degree_a, degree_b, start, stop)])


@_compile
def _product(rows_a: Array, rows_b: Array, starts: Array, a: Array, b: Array, out: Array) -> None:
    for s in range(out.shape[0]):
        for ra in range(rows_a.shape[0]):
            for rb in range(rows_b.shape[0]):
                for i in range(rows_a[ra, 1]):
                    x = a[s, rows_a[ra, 0] + i]
                    at, first = starts[ra, rb] + i, rows_b[rb, 0]
                    for j in range(rows_b[rb, 1]):
                        out[s, at + j] += x * b[s, first + j]


@_compile
def _correlation(rows_out: Array, rows_b: Array, starts: Array, m: Array, b: Array, out: Array) -> None:
    for s in range(out.shape[0]):
        shared = 0 if m.shape[0] == 1 else s
        for ro in range(rows_out.shape[0]):
            for rb in range(rows_b.shape[0]):
                for j in range(rows_b[rb, 1]):
                    y = b[s, rows_b[rb, 0] + j]
                    at, first = starts[ro, rb] + j, rows_out[ro, 0]
                    for i in range(rows_out[ro, 1]):
                        out[s, first + i] += m[shared, at + i] * y


@_compile
def _hankel(rows: Array, columns: Array, starts: Array, m: Array, out: Array) -> None:
    for r in range(rows.shape[0]):
        for c in range(columns.shape[0]):
            for i in range(rows[r, 1]):
                for j in range(columns[c, 1]):
                    out[rows[r, 0] + i, columns[c, 0] + j] = m[starts[r, c] + i + j]


# -- GF(p), p < 2^31 --------------------------------------------------------------------------------------------------
#
# Sums of products are kept below p^2 by subtraction, and reduced once at the end.


@_compile
def _product_small(rows_a: Array, rows_b: Array, starts: Array, a: Array, b: Array, out: Array, p: Any) -> None:
    square = p * p
    for s in range(out.shape[0]):
        for ra in range(rows_a.shape[0]):
            for rb in range(rows_b.shape[0]):
                for i in range(rows_a[ra, 1]):
                    x = a[s, rows_a[ra, 0] + i]
                    at, first = starts[ra, rb] + i, rows_b[rb, 0]
                    for j in range(rows_b[rb, 1]):
                        total = out[s, at + j] + x * b[s, first + j]
                        out[s, at + j] = min(total, total - square)  # the smaller one: total < square wraps around


@_compile
def _correlation_small(rows_out: Array, rows_b: Array, starts: Array, m: Array, b: Array, out: Array, p: Any) -> None:
    square = p * p
    for s in range(out.shape[0]):
        shared = 0 if m.shape[0] == 1 else s
        for ro in range(rows_out.shape[0]):
            for rb in range(rows_b.shape[0]):
                for j in range(rows_b[rb, 1]):
                    y = b[s, rows_b[rb, 0] + j]
                    at, first = starts[ro, rb] + j, rows_out[ro, 0]
                    for i in range(rows_out[ro, 1]):
                        total = out[s, first + i] + m[shared, at + i] * y
                        out[s, first + i] = min(total, total - square)


# -- GF(p), odd p < 2^63 ----------------------------------------------------------------------------------------------
#
# P. Montgomery, Modular multiplication without trial division, Math. Comp. 44 (1985). With R = 2^64, one factor is
# stored as y R mod p; then the reduction of x (y R) by R is x y mod p itself.


@lru_cache(maxsize=64)
def _montgomery(modulus: int) -> tuple[Any, Any, Any]:
    """p, its inverse modulo R, and R^2 mod p."""
    return np.uint64(modulus), np.uint64(pow(modulus, -1, 2**64)), np.uint64(2**128 % modulus)


_LLVM_INT64, _LLVM_INT128 = ir.IntType(64), ir.IntType(128)


def _generate_high_product(typing_context: Any, x: Any, y: Any) -> Any:
    """The upper 64 bits of a product of two uint64, for which numba has no operation."""
    signature = types.uint64(types.uint64, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = builder.zext(arguments[0], _LLVM_INT128), builder.zext(arguments[1], _LLVM_INT128)
        return builder.trunc(builder.lshr(builder.mul(*wide), _LLVM_INT128(64)), _LLVM_INT64)

    return signature, generate


_high_product: Any = intrinsic(_generate_high_product)


@_compile
def _reduced_product(x: Any, y: Any, p: Any, inverse: Any) -> Any:
    """x y / R mod p, in [0, p), for x, y < p."""
    high, subtracted = _high_product(x, y), _high_product(x * y * inverse, p)
    return high - subtracted if high >= subtracted else high + p - subtracted


@_compile
def _to_montgomery(b: Array, p: Any, inverse: Any, square: Any) -> Array:
    out = np.empty_like(b)
    for s in range(b.shape[0]):
        for i in range(b.shape[1]):
            out[s, i] = _reduced_product(b[s, i], square, p, inverse)
    return out


@_compile
def _product_montgomery(
    rows_a: Array, rows_b: Array, starts: Array, a: Array, b: Array, out: Array, p: Any, inverse: Any, square: Any
) -> None:
    for s in range(out.shape[0]):
        for ra in range(rows_a.shape[0]):
            for rb in range(rows_b.shape[0]):
                for i in range(rows_a[ra, 1]):
                    x = a[s, rows_a[ra, 0] + i]
                    at, first = starts[ra, rb] + i, rows_b[rb, 0]
                    for j in range(rows_b[rb, 1]):
                        total = out[s, at + j] + _reduced_product(x, b[s, first + j], p, inverse)
                        out[s, at + j] = min(total, total - p)


@_compile
def _correlation_montgomery(
    rows_out: Array, rows_b: Array, starts: Array, m: Array, b: Array, out: Array, p: Any, inverse: Any, square: Any
) -> None:
    for s in range(out.shape[0]):
        shared = 0 if m.shape[0] == 1 else s
        for ro in range(rows_out.shape[0]):
            for rb in range(rows_b.shape[0]):
                for j in range(rows_b[rb, 1]):
                    y = b[s, rows_b[rb, 0] + j]
                    at, first = starts[ro, rb] + j, rows_out[ro, 0]
                    for i in range(rows_out[ro, 1]):
                        total = out[s, first + i] + _reduced_product(m[shared, at + i], y, p, inverse)
                        out[s, first + i] = min(total, total - p)


# -- rank over GF(p) --------------------------------------------------------------------------------------------------


def modular_rank(matrix: Array, modulus: int, overwrite: bool = False, n_threads: int = 1) -> int:
    """Rank over GF(modulus) of a matrix of canonical residues, which is the workspace with ``overwrite``."""
    return len(_eliminate(matrix if overwrite else matrix.copy(), modulus, False))


def modular_echelon(matrix: Array, modulus: int) -> NDArray[np.int64]:
    """Pivot columns, ascending; the matrix is replaced by its reduced row echelon form over GF(modulus)."""
    return _eliminate(matrix, modulus, True)


def _eliminate(work: Array, modulus: int, reduced: bool) -> NDArray[np.int64]:
    pivots = np.empty(min(work.shape), dtype=np.int64)
    if modulus < NATIVE_MODULUS:
        rank = _eliminate_small(work, np.uint64(modulus), reduced, pivots)
    else:
        rank = _eliminate_montgomery(work, *_montgomery(modulus), reduced, pivots)
    return pivots[:rank]


@_compile
def _bring_pivot_up(work: Array, rank: int, column: int) -> bool:
    """Whether there is a row from ``rank`` on that is not zero in this column; it is exchanged with row ``rank``."""
    for pivot in range(rank, work.shape[0]):
        if work[pivot, column] != 0:
            if pivot != rank:
                for j in range(column, work.shape[1]):
                    work[rank, j], work[pivot, j] = work[pivot, j], work[rank, j]
            return True
    return False


@_compile
def _eliminate_small(work: Array, p: Any, reduced: bool, pivots: Array) -> int:
    n_rows, n_cols = work.shape
    rank = 0
    for column in range(n_cols):
        if rank == n_rows:
            break
        if not _bring_pivot_up(work, rank, column):
            continue
        inverse, base, exponent = np.uint64(1), work[rank, column], p - np.uint64(2)
        while exponent:
            if exponent & np.uint64(1):
                inverse = inverse * base % p
            base, exponent = base * base % p, exponent >> np.uint64(1)
        for j in range(column, n_cols):
            work[rank, j] = work[rank, j] * inverse % p
        for i in range(0 if reduced else rank + 1, n_rows):
            if i != rank and work[i, column] != 0:
                factor = p - work[i, column]
                for j in range(column, n_cols):
                    work[i, j] = (work[i, j] + factor * work[rank, j]) % p
        pivots[rank] = column
        rank += 1
    return rank


@_compile
def _eliminate_montgomery(work: Array, p: Any, inverse: Any, square: Any, reduced: bool, pivots: Array) -> int:
    n_rows, n_cols = work.shape
    rank = 0
    for column in range(n_cols):
        if rank == n_rows:
            break
        if not _bring_pivot_up(work, rank, column):
            continue
        # The inverse of the pivot, times R.
        power, base, exponent = (
            _reduced_product(np.uint64(1), square, p, inverse),
            _reduced_product(work[rank, column], square, p, inverse),
            p - np.uint64(2),
        )
        while exponent:
            if exponent & np.uint64(1):
                power = _reduced_product(power, base, p, inverse)
            base, exponent = _reduced_product(base, base, p, inverse), exponent >> np.uint64(1)
        for j in range(column, n_cols):
            work[rank, j] = _reduced_product(work[rank, j], power, p, inverse)
        for i in range(0 if reduced else rank + 1, n_rows):
            if i != rank and work[i, column] != 0:
                factor = _reduced_product(p - work[i, column], square, p, inverse)
                for j in range(column, n_cols):
                    total = work[i, j] + _reduced_product(factor, work[rank, j], p, inverse)
                    work[i, j] = min(total, total - p)
        pivots[rank] = column
        rank += 1
    return rank


# -- Veronese rows and moments ----------------------------------------------------------------------------------------


def veronese(X: Array, degree: int, homogeneous: bool, out: Array, n_threads: int) -> None:
    """Rows of monomials, ``out[s, α] = X[s]^α``; one multiplication for each."""
    parent, variable = _parents(X.shape[1], degree)
    _veronese(X, parent, variable, len(parent) - out.shape[1], out, out.flags.c_contiguous)


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

    Up to 16 rows are added in sequence; these partial sums are added pairwise, like carries in a binary counter.
    """
    n_vars = X.shape[1]
    parent, variable = _parents(n_vars, max(degree, cross_degree) if Y.shape[1] else degree)
    first_moment = count_monomials(n_vars, degree) - len(moments) if homogeneous else 0
    first_cross = count_monomials(n_vars, cross_degree) - cross.shape[1] if homogeneous else 0
    _moment_sums(X, Y, parent, variable, first_moment, first_cross, moments, cross, targets)


@lru_cache(maxsize=16)
def _parents(n_vars: int, degree: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each monomial of degree >= 1 is x_i times an earlier one: the positions of those, and the i (0 for 1 itself)."""
    parents, variables = [np.zeros(1, dtype=np.int64)], [np.zeros(1, dtype=np.int64)]
    end = 1
    for t in range(1, degree + 1):
        # The monomials of degree t that begin with x_i are x_i times the last ones of degree t - 1.
        for i in range(n_vars):
            size = count_monomials(n_vars - i, t - 1, homogeneous=True)
            parents.append(np.arange(end - size, end))
            variables.append(np.full(size, i))
        end += count_monomials(n_vars, t, homogeneous=True)
    return np.concatenate(parents), np.concatenate(variables)


@_compile
def _veronese(X: Array, parent: Array, variable: Array, first: int, out: Array, c_order: bool) -> None:
    n_samples, n_monomials = out.shape
    rows = np.empty((_SAMPLES, len(parent)), dtype=out.dtype)
    for start in range(0, n_samples, _SAMPLES):
        n = min(_SAMPLES, n_samples - start)
        for s in range(n):
            rows[s, 0] = 1
            for k in range(1, len(parent)):
                rows[s, k] = rows[s, parent[k]] * X[start + s, variable[k]]
        if c_order:
            for s in range(n):
                for k in range(n_monomials):
                    out[start + s, k] = rows[s, first + k]
        else:
            for k in range(n_monomials):
                for s in range(n):
                    out[start + s, k] = rows[s, first + k]


@_compile
def _moment_sums(
    X: Array,
    Y: Array,
    parent: Array,
    variable: Array,
    first_moment: int,
    first_cross: int,
    moments: Array,
    cross: Array,
    targets: Array,
) -> None:
    n_samples, n_targets = Y.shape
    n_moments, n_cross = moments.shape[0], cross.shape[1]
    cross_at, targets_at = n_moments, n_moments + n_targets * n_cross
    n_sums = targets_at + n_targets * n_targets
    n_chunks = (n_samples + _ROWS_IN_SEQUENCE - 1) // _ROWS_IN_SEQUENCE
    n_levels = 1
    while (1 << n_levels) <= n_chunks:
        n_levels += 1
    levels = np.zeros((n_levels, n_sums))  # levels[l] holds the sum of 2^l chunks where bit l of the chunk count is set
    row = np.empty(len(parent))
    row[0] = 1
    chunk = np.empty(n_sums)
    for c in range(n_chunks):
        chunk[:] = 0
        for s in range(c * _ROWS_IN_SEQUENCE, min((c + 1) * _ROWS_IN_SEQUENCE, n_samples)):
            for k in range(1, len(parent)):
                row[k] = row[parent[k]] * X[s, variable[k]]
            for k in range(n_moments):
                chunk[k] += row[first_moment + k]
            for t in range(n_targets):
                y = Y[s, t]
                for k in range(n_cross):
                    chunk[cross_at + t * n_cross + k] += y * row[first_cross + k]
                for u in range(n_targets):
                    chunk[targets_at + t * n_targets + u] += y * Y[s, u]
        level, count = 0, c
        while count & 1:
            chunk += levels[level]
            levels[level] = 0
            level, count = level + 1, count >> 1
        levels[level] = chunk
    total = np.zeros(n_sums)
    for level in range(n_levels):
        total += levels[level]
    moments[:] = total[:n_moments]
    for t in range(n_targets):
        cross[t] = total[cross_at + t * n_cross : cross_at + (t + 1) * n_cross]
        targets[t] = total[targets_at + t * n_targets : targets_at + (t + 1) * n_targets]
