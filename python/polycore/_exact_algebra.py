# SPDX-License-Identifier: BSD-3-Clause
"""Exact linear algebra over the rationals, and real roots of polynomials: for small sizes, in Python numbers.

Matrices are lists of rows of Fractions (or ints); polynomials in one variable are lists of coefficients, low to high,
without trailing zeros, so that the zero polynomial is []. Binary forms Σ c_i x^(r−i) y^i are lists of r + 1
coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

Rational: TypeAlias = int | Fraction
Row: TypeAlias = list[Fraction]
Matrix: TypeAlias = list[Row]
Polynomial: TypeAlias = list[Rational]


# --- matrices ---------------------------------------------------------------------------------------------------------


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
    for free in (j for j in range(n_columns) if j not in set(pivots)):
        vector = [Fraction(0)] * n_columns
        vector[free] = Fraction(1)
        for pivot, row in zip(pivots, reduced):
            vector[pivot] = -row[free]
        vectors.append(vector)
    return vectors


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


def characteristic_polynomial(matrix: Matrix) -> Polynomial:
    """det(z − M), low to high, by Faddeev and LeVerrier."""
    n = len(matrix)
    coefficients: list[Fraction] = [Fraction(1)]
    power = [[Fraction(0)] * n for _ in range(n)]
    for k in range(1, n + 1):
        power = multiply(
            matrix, [[x + (coefficients[-1] if i == j else 0) for j, x in enumerate(r)] for i, r in enumerate(power)]
        )
        coefficients.append(-sum((power[i][i] for i in range(n)), Fraction(0)) / k)
    return list(reversed(coefficients))


def evaluate_at_matrix(polynomial: Polynomial, matrix: Matrix) -> Matrix:
    """p(M), by Horner's rule."""
    n = len(matrix)
    value = [[Fraction(0)] * n for _ in range(n)]
    for c in reversed(polynomial):
        value = multiply(value, matrix)
        value = [[x + (c if i == j else 0) for j, x in enumerate(row)] for i, row in enumerate(value)]
    return value


# --- polynomials in one variable --------------------------------------------------------------------------------------


def trimmed(p: Sequence[Rational]) -> Polynomial:
    """Without trailing zeros."""
    n = next((i for i in range(len(p), 0, -1) if p[i - 1]), 0)
    return list(p[:n])


def derivative(p: Sequence[Rational]) -> Polynomial:
    """p'."""
    return [i * c for i, c in enumerate(p)][1:]


def primitive(p: Sequence[Rational]) -> list[int]:
    """A positive multiple with integer coefficients without common divisor."""
    p = trimmed(p)
    scale = math.lcm(*(Fraction(c).denominator for c in p))
    integers = [int(c * scale) for c in p]
    common = math.gcd(*integers)
    return [c // common for c in integers]


def remainder(a: Sequence[Rational], b: Sequence[int]) -> Polynomial:
    """A positive multiple of the remainder of a by b ≠ 0."""
    rest = trimmed(a)
    lead = b[-1]
    while len(rest) >= len(b):
        factor, shift = rest[-1], len(rest) - len(b)
        # Multiplied by |lead|, so that signs are kept.
        rest = [c * abs(lead) for c in rest]
        factor = factor if lead > 0 else -factor
        for i, c in enumerate(b):
            rest[i + shift] -= factor * c
        rest = trimmed(rest[:-1])
    return rest


def quotient(a: Sequence[Rational], b: Sequence[Rational]) -> Polynomial:
    """a / b, where b divides a."""
    rest, result = [Fraction(c) for c in a], [Fraction(0)] * (len(a) - len(b) + 1)
    for shift in range(len(a) - len(b), -1, -1):
        result[shift] = rest[shift + len(b) - 1] / b[-1]
        for i, c in enumerate(b):
            rest[i + shift] -= result[shift] * c
    return list(result)


def common_divisor(a: Sequence[Rational], b: Sequence[Rational]) -> list[int]:
    """The greatest common divisor, primitive; that of zeros is []."""
    a, b = trimmed(a), trimmed(b)
    while b:
        a, b = b, remainder(a, primitive(b))
    return primitive(a) if a else []


def sturm_sequence(p: Sequence[Rational]) -> list[list[int]]:
    """Sturm's sequence of a polynomial p ≠ 0, up to positive factors."""
    sequence = [primitive(p)]
    following = trimmed(derivative(p))
    while following:
        sequence.append(primitive(following))
        following = [-c for c in remainder(sequence[-2], sequence[-1])]
    return sequence


def _changes(signs: Iterator[Rational]) -> int:
    nonzero = [s > 0 for s in signs if s]
    return sum(a != b for a, b in pairwise(nonzero))


def count_real_roots(p: Sequence[Rational]) -> int:
    """Number of distinct real roots of p ≠ 0 (C. Sturm 1829)."""
    sequence = sturm_sequence(p)
    at_minus = _changes(q[-1] * (-1) ** (len(q) - 1) for q in sequence)
    return at_minus - _changes(q[-1] for q in sequence)


def value_at(p: Sequence[Rational], z: Rational) -> Rational:
    """p(z)."""
    value: Rational = 0
    for c in reversed(p):
        value = value * z + c
    return value


def separating_points(p: Sequence[Rational]) -> list[Fraction]:
    """Rational numbers, none a root, with at most one real root of p ≠ 0 between any two neighbours or beyond an end.

    Beyond the smallest and the largest number there is none.
    """
    p = trimmed(p)
    p = quotient(p, common_divisor(p, derivative(p)) or [1]) if len(p) > 1 else p
    sequence = sturm_sequence(p)

    def changes(z: Fraction) -> int:
        return _changes(value_at(q, z) for q in sequence)

    bound = 1 + max((abs(Fraction(c) / p[-1]) for c in p[:-1]), default=Fraction(0))
    low, high = -Fraction(math.ceil(bound)), Fraction(math.ceil(bound))
    points, todo = {low, high}, [(low, high, changes(low), changes(high))]
    while todo:
        a, b, at_a, at_b = todo.pop()
        if at_a - at_b <= 1:
            continue
        middle = (a + b) / 2
        while not value_at(p, middle):
            middle = (middle + b) / 2
        at_middle = changes(middle)
        points.add(middle)
        todo += [(a, middle, at_a, at_middle), (middle, b, at_middle, at_b)]
    return sorted(points)


# --- binary forms -----------------------------------------------------------------------------------------------------


def form_degree_drop(form: Sequence[Rational]) -> int:
    """Multiplicity of the root (x : y) = (1 : 0): the number of leading zeros."""
    return next((i for i, c in enumerate(form) if c), len(form))


def count_real_points(form: Sequence[Rational]) -> int:
    """Number of distinct real points of P¹ where a binary form ≠ 0 vanishes."""
    drop = form_degree_drop(form)
    return count_real_roots(list(reversed(form[drop:]))) + (drop > 0)


def count_real_points_with_multiplicity(form: Sequence[Rational]) -> int:
    """Number of real zeros of a binary form ≠ 0 on P¹, each as often as its multiplicity."""
    drop = form_degree_drop(form)
    p = trimmed(list(reversed(form[drop:])))
    total = drop
    while len(p) > 1:
        total += count_real_roots(p)
        p = list(common_divisor(p, derivative(p)))
    return total


def is_squarefree(form: Sequence[Rational]) -> bool:
    """Whether a binary form ≠ 0 has no multiple zero, over the complex numbers."""
    drop = form_degree_drop(form)
    p = trimmed(list(reversed(form[drop:])))
    return drop <= 1 and len(common_divisor(p, derivative(p))) <= 1


def is_hyperbolic(form: Sequence[Rational]) -> bool:
    """Whether a binary form ≠ 0 of degree k has k distinct real zeros on P¹."""
    return count_real_points(form) == len(form) - 1


def form_discriminant(form: Sequence[Rational]) -> Fraction:
    """Resultant of the two partial derivatives: zero iff the form, of degree at least 2, has a multiple zero."""
    r = len(form) - 1
    by_x = [(r - i) * c for i, c in enumerate(form)][:-1]
    by_y = [i * c for i, c in enumerate(form)][1:]
    size = 2 * r - 2
    rows = [[0] * i + p + [0] * (size - r - i) for p in (by_x, by_y) for i in range(r - 1)]
    return determinant(rows)


def forms_common_divisor(forms: Sequence[Sequence[Rational]]) -> list[Rational]:
    """The greatest common divisor of binary forms of one degree, not all zero, as a binary form."""
    nonzero = [form for form in forms if any(form)]
    drop = min(form_degree_drop(form) for form in nonzero)
    divisor: Polynomial = []
    for form in nonzero:
        divisor = list(common_divisor(divisor, list(reversed(form))))
    return [*[0] * drop, *reversed(divisor)]


def interpolate(points: Sequence[Rational], values: Sequence[Rational]) -> Polynomial:
    """The polynomial of least degree with these values, by Newton's divided differences."""
    table = [Fraction(v) for v in values]
    for j in range(1, len(points)):
        for i in range(len(points) - 1, j - 1, -1):
            table[i] = (table[i] - table[i - 1]) / (points[i] - points[i - j])
    result: Polynomial = []
    for point, c in zip(reversed(points), reversed(table)):
        shifted: Polynomial = [0, *result]
        result = [a - point * b for a, b in zip(shifted, [*result, 0])]
        if result:
            result[0] += c
        else:
            result = [c]
    return trimmed(result)
