# SPDX-License-Identifier: BSD-3-Clause
"""Exact polynomials in one variable and binary forms: made from known roots, against python-flint."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import flint
import numpy as np
import pytest

from polycore import _univariate as univariate
from polycore._univariate import Polynomial

seeds = pytest.mark.parametrize("seed", range(20))


def random_roots(seed: int) -> tuple[Polynomial, Counter[int], int]:
    """A polynomial, its real roots with their multiplicities, and the number of its quadratic factors z² + c, c > 0."""
    rng = np.random.default_rng(seed)
    roots = rng.integers(-3, 4, rng.integers(0, 6)).tolist()
    squares = rng.integers(1, 4, rng.integers(0, 3)).tolist()
    p: Polynomial = [Fraction(int(rng.integers(1, 5)) * (-1) ** seed, 3)]
    for factor in [[-z, 1] for z in roots] + [[c, 0, 1] for c in squares]:
        p = univariate.multiply(p, factor)
    return p, Counter(roots), len(squares)


def as_flint(p: Polynomial) -> flint.fmpq_poly:
    return flint.fmpq_poly([flint.fmpq(Fraction(c).numerator, Fraction(c).denominator) for c in p])


@seeds
def test_arithmetic(seed: int) -> None:
    (p, _, _), (q, _, _) = random_roots(seed), random_roots(seed + 100)
    product = univariate.multiply(p, q)
    assert as_flint(product) == as_flint(p) * as_flint(q)
    assert univariate.quotient(product, q) == p
    assert as_flint(univariate.derivative(p)) == as_flint(p).derivative()
    divisor = as_flint(list(univariate.common_divisor(p, q)))
    assert divisor / divisor[divisor.degree()] == as_flint(p).gcd(as_flint(q))
    assert univariate.interpolate(range(len(p)), [univariate.value_at(p, z) for z in range(len(p))]) == p
    assert univariate.multiply(p, []) == univariate.common_divisor([], []) == univariate.trimmed([0, 0]) == []


@seeds
def test_real_roots(seed: int) -> None:
    p, roots, _ = random_roots(seed)
    assert univariate.count_real_roots(p) == len(roots)
    odd = univariate.odd_part(p)
    assert univariate.count_real_roots(odd) == sum(count % 2 for count in roots.values())
    assert all(bool(univariate.value_at(odd, z)) == (count % 2 == 0) for z, count in roots.items())
    assert len(univariate.common_divisor(odd, univariate.derivative(odd))) <= 1
    points = univariate.separating_points(p)
    assert all(sum(a < z < b for z in roots) <= 1 for a, b in pairwise(points))
    assert all(points[0] < z < points[-1] and z not in points for z in roots)


@seeds
@pytest.mark.parametrize("at_infinity", [0, 1, 2])
def test_binary_forms(seed: int, at_infinity: int) -> None:
    p, roots, n_squares = random_roots(seed)
    form = [0] * at_infinity + p[::-1]  # Σ c_i x^(r−i) y^i, and y divides it this many times
    assert univariate.form_degree_drop(form) == at_infinity
    assert univariate.count_real_points(form) == len(roots) + (at_infinity > 0)
    assert univariate.count_real_points_with_multiplicity(form) == roots.total() + at_infinity
    squarefree = at_infinity < 2 and as_flint(p).gcd(as_flint(p).derivative()).degree() <= 0
    assert univariate.is_squarefree(form) == squarefree
    assert univariate.is_hyperbolic(form) == (squarefree and not n_squares)
    if len(form) > 2:
        assert (univariate.form_discriminant(form) != 0) == squarefree
    common = univariate.forms_common_divisor([form, [2 * c for c in form], [0] * len(form)])
    assert [c * form[at_infinity] for c in common] == [c * common[at_infinity] for c in form]
