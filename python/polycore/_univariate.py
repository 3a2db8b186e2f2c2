# SPDX-License-Identifier: BSD-3-Clause
"""Exact polynomials in one variable and binary forms: common factors, multiplicities, real roots.

Polynomials are lists of ints or Fractions, low to high, without trailing zeros, so that the zero polynomial is [].
Binary forms Σ c_i x^(r−i) y^i are lists of r + 1 coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, zip_longest
from typing import TypeAlias

from ._exact_matrices import Rational, determinant

Polynomial: TypeAlias = list[Rational]


def trimmed(p: Sequence[Rational]) -> Polynomial:
    """Without trailing zeros."""
    n = next((i for i in range(len(p), 0, -1) if p[i - 1]), 0)
    return list(p[:n])


def derivative(p: Sequence[Rational]) -> Polynomial:
    """p'."""
    return [i * c for i, c in enumerate(p)][1:]


def multiply(a: Sequence[Rational], b: Sequence[Rational]) -> Polynomial:
    """a b."""
    result: Polynomial = [0] * max(0, len(a) + len(b) - 1)
    for i, c in enumerate(a):
        for j, d in enumerate(b):
            result[i + j] += c * d
    return trimmed(result)


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


def odd_part(p: Sequence[Rational]) -> Polynomial:
    """A polynomial without multiple roots, whose roots are those that p ≠ 0 has with odd multiplicity.

    Yun's square-free factorisation (J. von zur Gathen, J. Gerhard, *Modern Computer Algebra*, algorithm 14.21).
    """
    slope = derivative(p)
    common = common_divisor(p, slope)
    b, c = quotient(p, common), quotient(slope, common)
    result, multiplicity = Polynomial([1]), 1
    while len(b) > 1:
        d = trimmed([x - y for x, y in zip_longest(c, derivative(b), fillvalue=0)])
        factor = common_divisor(b, d)
        if multiplicity % 2:
            result = multiply(result, factor)
        b, c = quotient(b, factor), quotient(d, factor)
        multiplicity += 1
    return result


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
