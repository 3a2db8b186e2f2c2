# SPDX-License-Identifier: BSD-3-Clause
"""Polynomials in one variable over the rationals: common factors, multiplicities, real roots.

A polynomial is a list of Fractions, low to high, without trailing zeros; [] is zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

Polynomial = list[Fraction]


def polynomial(coefficients: Iterable[Any]) -> Polynomial:
    """From any coefficients, low to high."""
    result = [Fraction(c) for c in coefficients]
    while result and not result[-1]:
        result.pop()
    return result


def multiply(f: Sequence[Fraction], g: Sequence[Fraction]) -> Polynomial:
    """f g."""
    result = [Fraction(0)] * max(0, len(f) + len(g) - 1)
    for i, a in enumerate(f):
        for j, b in enumerate(g):
            result[i + j] += a * b
    return polynomial(result)


def derivative(f: Polynomial) -> Polynomial:
    """f'."""
    return [i * c for i, c in enumerate(f)][1:]


def divide(f: Polynomial, g: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder, g ≠ 0."""
    rest, quotient = list(f), [Fraction(0)] * max(0, len(f) - len(g) + 1)
    for i in reversed(range(len(quotient))):
        quotient[i] = rest[i + len(g) - 1] / g[-1]
        for j, b in enumerate(g):
            rest[i + j] -= quotient[i] * b
    return polynomial(quotient), polynomial(rest)


def gcd(f: Polynomial, g: Polynomial) -> Polynomial:
    """The monic greatest common divisor, [] of two zeros."""
    while g:
        # Monic remainders keep the numbers from growing more than they must.
        _, rest = divide(f, g)
        f, g = g, [c / rest[-1] for c in rest]
    return [c / f[-1] for c in f]


def odd_part(f: Polynomial) -> Polynomial:
    """A polynomial without multiple roots, whose roots are those that f ≠ 0 has with odd multiplicity.

    Yun's square-free factorisation (J. von zur Gathen, J. Gerhard, *Modern Computer Algebra*, algorithm 14.21).
    """
    common = gcd(f, derivative(f))
    b, _ = divide(f, common)
    c, _ = divide(derivative(f), common)
    result, multiplicity = [Fraction(1)], 1
    while len(b) > 1:
        d = polynomial(_subtract(c, derivative(b)))
        factor = gcd(b, d)
        if multiplicity % 2:
            result = multiply(result, factor)
        b, _ = divide(b, factor)
        c, _ = divide(d, factor)
        multiplicity += 1
    return result


def _subtract(f: Polynomial, g: Polynomial) -> list[Fraction]:
    n = max(len(f), len(g))
    return [(f[i] if i < len(f) else Fraction(0)) - (g[i] if i < len(g) else Fraction(0)) for i in range(n)]


def count_real_roots(f: Polynomial) -> int:
    """How many distinct real roots f ≠ 0 has: Sturm's theorem."""
    chain = [f, derivative(f)]
    while chain[-1]:
        _, rest = divide(chain[-2], chain[-1])
        chain.append([-c / abs(rest[-1]) for c in rest])
    chain.pop()
    at_plus = [g[-1] > 0 for g in chain]
    at_minus = [(g[-1] > 0) == (len(g) % 2 == 1) for g in chain]
    return _changes(at_minus) - _changes(at_plus)


def _changes(signs: Sequence[bool]) -> int:
    return sum(a != b for a, b in pairwise(signs))
