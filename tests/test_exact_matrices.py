# SPDX-License-Identifier: BSD-3-Clause
"""Exact matrices: against python-flint, and by what defines the results."""

from __future__ import annotations

import itertools
from fractions import Fraction

import flint
import numpy as np
import pytest

from polycore import _exact_matrices as rationals
from polycore._exact_matrices import Matrix

seeds = pytest.mark.parametrize("seed", range(12))


def random_matrix(seed: int, square: bool = False) -> Matrix:
    """Of any rank, with fractions."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 6, 2)
    n = m if square else n
    rank = int(rng.integers(0, min(m, n) + 1)) if seed % 2 else min(m, n)
    left, right = rng.integers(-3, 4, (m, rank)), rng.integers(-3, 4, (rank, n))
    return [[Fraction(int(x), 1 + seed % 3) for x in row] for row in left @ right]


def as_flint(rows: Matrix) -> flint.fmpq_mat:
    return flint.fmpq_mat([[flint.fmpq(x.numerator, x.denominator) for x in row] for row in rows])


def as_rows(matrix: flint.fmpq_mat) -> Matrix:
    return [[Fraction(int(x.p), int(x.q)) for x in row] for row in matrix.tolist()]


@seeds
def test_echelon_rank_and_kernel(seed: int) -> None:
    rows = random_matrix(seed)
    expected, rank = as_flint(rows).rref()
    reduced, pivots = rationals.echelon(rows)
    assert reduced == as_rows(expected)[:rank]
    assert pivots == [next(j for j, x in enumerate(row) if x) for row in reduced]
    assert rationals.rank(rows) == rank
    kernel = rationals.kernel(rows, len(rows[0]))
    assert len(kernel) == rationals.rank(kernel) == len(rows[0]) - rank
    assert not any(map(any, rationals.multiply(rows, rationals.transpose(kernel))))


@seeds
def test_kernels_over_gf2_and_the_integers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 5, 2).tolist()
    rows = rng.integers(-3, 4, (m, n))
    kernel = np.array(rationals.kernel_mod2(rows.tolist(), n), dtype=int).reshape(-1, n)
    span = {
        tuple((np.array(c, dtype=int) @ kernel % 2).tolist()) for c in itertools.product((0, 1), repeat=len(kernel))
    }
    assert len(span) == 2 ** len(kernel)
    assert span == {v for v in itertools.product((0, 1), repeat=n) if not (rows @ v % 2).any()}
    basis = rationals.integer_kernel(rows.tolist(), n)
    assert len(basis) == n - np.linalg.matrix_rank(rows)
    if basis:
        assert not (rows @ np.transpose(basis)).any()
        # All integer vectors: the lattice is saturated iff the largest minors have no common divisor.
        minors = [
            round(np.linalg.det(np.array(basis, dtype=float)[:, list(columns)]))
            for columns in itertools.combinations(range(n), len(basis))
        ]
        assert np.gcd.reduce(minors) == 1


@seeds
def test_square_matrices(seed: int) -> None:
    matrix = random_matrix(seed, square=True)
    n, known = len(matrix), as_flint(matrix)
    determinant = rationals.determinant(matrix)
    assert determinant == Fraction(int(known.det().p), int(known.det().q))
    inverse = rationals.inverse(matrix)
    assert (inverse is None) == (determinant == 0)
    if inverse is not None:
        assert inverse == as_rows(known.inv())
    p = rationals.characteristic_polynomial(matrix)
    assert [flint.fmpq(c.numerator, c.denominator) for c in p] == known.charpoly().coeffs()
    assert rationals.evaluate_at_matrix(p, matrix) == [[0] * n] * n  # Cayley–Hamilton
    symmetric = [[x + y for x, y in zip(row, column)] for row, column in zip(matrix, rationals.transpose(matrix))]
    terms = rationals.diagonal_form(symmetric)
    assert len(terms) == rationals.rank(symmetric)
    assert symmetric == [[sum(d * l[i] * l[j] for d, l in terms) for j in range(n)] for i in range(n)]
