# SPDX-License-Identifier: BSD-3-Clause
"""Exact linear algebra over the rationals, the integers and GF(2): for small sizes, in Python numbers.

Matrices are lists of rows of Fractions (or ints).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias

Rational: TypeAlias = int | Fraction
Row: TypeAlias = list[Fraction]
Matrix: TypeAlias = list[Row]


def as_matrix(rows: Sequence[Sequence[Rational]]) -> Matrix:
    """A copy with Fractions."""
    return [[Fraction(x) for x in row] for row in rows]


def echelon(rows: Sequence[Sequence[Rational]]) -> tuple[Matrix, list[int]]:
    """The non-zero rows of the reduced echelon form, and its pivot columns."""
    left, result, pivots = as_matrix(rows), Matrix(), list[int]()
    for column in range(len(left[0]) if left else 0):
        at = next((i for i, row in enumerate(left) if row[column]), None)
        if at is None:
            continue
        pivot = left.pop(at)
        pivot = [x / pivot[column] for x in pivot]
        left = [_eliminated(row, pivot, column) for row in left]
        result = [_eliminated(row, pivot, column) for row in result]
        result.append(pivot)
        pivots.append(column)
    return result, pivots


def _eliminated(row: Row, pivot: Row, column: int) -> Row:
    factor = row[column]
    return [x - factor * y if y else x for x, y in zip(row, pivot)] if factor else row


def rank(rows: Sequence[Sequence[Rational]]) -> int:
    """Rank of a matrix."""
    return len(echelon(rows)[1])


def kernel(rows: Sequence[Sequence[Rational]], n_columns: int) -> Matrix:
    """A basis of the vectors v with matrix · v = 0."""
    reduced, pivots = echelon(rows)
    vectors = []
    for free in sorted(set(range(n_columns)).difference(pivots)):
        vector = [Fraction(0)] * n_columns
        vector[free] = Fraction(1)
        for pivot, row in zip(pivots, reduced):
            vector[pivot] = -row[free]
        vectors.append(vector)
    return vectors


def kernel_mod2(rows: Sequence[Sequence[int]], n: int) -> list[list[int]]:
    """A basis of the vectors over GF(2) that all rows annihilate."""
    rest = [sum((x & 1) << j for j, x in enumerate(row)) for row in rows]
    reduced: dict[int, int] = {}
    for j in range(n):
        at = next((i for i, row in enumerate(rest) if row >> j & 1), None)
        if at is None:
            continue
        pivot = rest.pop(at)
        rest = [row ^ pivot if row >> j & 1 else row for row in rest]
        reduced = {i: row ^ pivot if row >> j & 1 else row for i, row in reduced.items()}
        reduced[j] = pivot
    free = [j for j in range(n) if j not in reduced]
    return [[int(j == f) if j not in reduced else reduced[j] >> f & 1 for j in range(n)] for f in free]


def integer_kernel(rows: Sequence[Sequence[int]], n: int) -> list[list[int]]:
    """A basis of all integer vectors that the rows annihilate, by unimodular operations on columns."""
    basis = [[int(i == j) for j in range(n)] for i in range(n)]
    for row in rows:
        _, _, basis = with_one_weight(basis, row)
    return basis


def with_one_weight(basis: Sequence[Sequence[int]], weights: Sequence[int]) -> tuple[list[int], int, list[list[int]]]:
    """The same lattice by a vector that has the gcd of all weights, and a basis of those without weight.

    The vector is [] and its weight 0 if none has a weight.
    """
    lattice = [list(vector) for vector in basis]
    values = [sum(x * w for x, w in zip(vector, weights)) for vector in lattice]
    while sum(map(bool, values)) > 1:
        least = min((i for i, value in enumerate(values) if value), key=lambda i: abs(values[i]))
        for i, value in enumerate(values):
            if i != least and value:
                quotient = value // values[least]
                lattice[i] = [x - quotient * y for x, y in zip(lattice[i], lattice[least])]
                values[i] -= quotient * values[least]
    at = next((i for i, value in enumerate(values) if value), None)
    if at is None:
        return [], 0, lattice
    return lattice[at], values[at], lattice[:at] + lattice[at + 1 :]


def inverse(matrix: Matrix) -> Matrix | None:
    """The inverse of a square matrix, or None."""
    n = len(matrix)
    reduced, pivots = echelon([[*row, *(int(i == j) for j in range(n))] for i, row in enumerate(matrix)])
    return [row[n:] for row in reduced] if pivots == list(range(n)) else None


def multiply(a: Matrix, b: Matrix) -> Matrix:
    """The product of two matrices."""
    columns = list(zip(*b))
    return [[sum((x * y for x, y in zip(row, column) if x and y), Fraction(0)) for column in columns] for row in a]


def transpose(matrix: Sequence[Sequence[Fraction]]) -> Matrix:
    """The transpose."""
    return [list(column) for column in zip(*matrix)]


def determinant(rows: Sequence[Sequence[Rational]]) -> Fraction:
    """The determinant of a square matrix, by Bareiss' elimination on integers."""
    scaled = [_integers(row) for row in as_matrix(rows)]
    matrix, scale = [row for row, _ in scaled], math.prod(d for _, d in scaled)
    previous, sign = 1, 1
    for k in range(len(matrix) - 1):
        at = next((i for i in range(k, len(matrix)) if matrix[i][k]), None)
        if at is None:
            return Fraction(0)
        if at != k:
            matrix[k], matrix[at], sign = matrix[at], matrix[k], -sign
        for i in range(k + 1, len(matrix)):
            for j in range(k + 1, len(matrix)):
                matrix[i][j] = (matrix[k][k] * matrix[i][j] - matrix[i][k] * matrix[k][j]) // previous
        previous = matrix[k][k]
    return Fraction(sign * matrix[-1][-1], scale) if matrix else Fraction(1)


def _integers(row: Sequence[Fraction]) -> tuple[list[int], int]:
    """The row times its common denominator, and that."""
    scale = math.lcm(*(x.denominator for x in row))
    return [int(x * scale) for x in row], scale


def diagonal_form(symmetric: Matrix) -> list[tuple[Fraction, Row]]:
    """Numbers d_i ≠ 0 and independent rows l_i with S = Σ d_i l_iᵀ l_i, as many as the rank: Lagrange's reduction."""
    rest, n, terms = as_matrix(symmetric), len(symmetric), list[tuple[Fraction, Row]]()
    while True:
        i = next((i for i in range(n) if rest[i][i]), None)
        if i is not None:
            d = 1 / rest[i][i]
            found = [(d, list(rest[i]))]
        else:
            pair = next(((i, j) for i in range(n) for j in range(n) if rest[i][j]), None)
            if pair is None:
                return terms
            # With s = S_ij and rows u, v of S: (u vᵀ + v uᵀ) / s = ((u + v)² − (u − v)²) / (2 s) off the rest.
            u, v, s = rest[pair[0]], rest[pair[1]], rest[pair[0]][pair[1]]
            found = [
                (1 / (2 * s), [a + b for a, b in zip(u, v)]),
                (-1 / (2 * s), [a - b for a, b in zip(u, v)]),
            ]
        for d, row in found:
            rest = [[x - d * a * b for x, b in zip(line, row)] for line, a in zip(rest, row)]
        terms += found


def characteristic_polynomial(matrix: Matrix) -> Row:
    """det(z − M), low to high, by Faddeev and LeVerrier."""
    n = len(matrix)
    coefficients = [Fraction(1)]
    power = [[Fraction(0)] * n for _ in range(n)]
    for k in range(1, n + 1):
        power = multiply(
            matrix, [[x + (coefficients[-1] if i == j else 0) for j, x in enumerate(r)] for i, r in enumerate(power)]
        )
        coefficients.append(-sum((power[i][i] for i in range(n)), Fraction(0)) / k)
    return list(reversed(coefficients))


def evaluate_at_matrix(p: Sequence[Rational], matrix: Matrix) -> Matrix:
    """p(M), by Horner's rule."""
    n = len(matrix)
    value = [[Fraction(0)] * n for _ in range(n)]
    for c in reversed(p):
        value = multiply(value, matrix)
        value = [[x + (c if i == j else 0) for j, x in enumerate(row)] for i, row in enumerate(value)]
    return value
