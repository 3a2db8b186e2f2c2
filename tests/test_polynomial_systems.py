# SPDX-License-Identifier: BSD-3-Clause
"""Polynomial systems: counts against Bézout's theorem and known numbers, residuals, multiplicities, infinity."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from polycore._polynomial_systems import PRIME, Solutions, System, bezout_number, residues, solve_system
from polycore.monomials import MonomialBasis


def random_system(degrees: Sequence[int], rng: np.random.Generator, integer: bool = False) -> System:
    basis = MonomialBasis(len(degrees), max(degrees))
    draw = (
        rng.integers(-9, 10, (len(degrees), len(basis))) if integer else rng.standard_normal((len(degrees), len(basis)))
    )
    present = basis.exponents.sum(axis=1) <= np.array(degrees)[:, None]
    return System.of(basis.exponents, np.where(present, draw.astype(float), 0.0))


def system(terms: Sequence[dict[tuple[int, ...], float]]) -> System:
    monomials = sorted(set().union(*terms))
    coef = np.array([[row.get(m, 0.0) for m in monomials] for row in terms])
    return System(np.array(monomials, dtype=np.int64), coef)


def solved(equations: System, count: int, exact: bool = True) -> Solutions:
    result = solve_system(equations, System(equations.exponents, residues(equations.coef)) if exact else None)
    assert result.count == count, result.reason
    assert result.resolved
    assert result.multiplicities.sum() == count
    for x, multiplicity in zip(result.points, result.multiplicities):
        sizes = equations.sizes(x) + np.linalg.norm(equations.coef, axis=1)
        assert (np.abs(equations.evaluate(x)) <= (1e-13 if multiplicity == 1 else 1e-7) * sizes).all()
    for i, x in enumerate(result.points):
        assert all(np.linalg.norm(x - y) > 1e-7 for y in result.points[:i])
    return result


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    "degrees", [(4,), (2, 2), (3, 4), (6, 6), (2, 2, 2), (3, 2, 4), (3, 3, 3), (2, 2, 2, 2), (2,) * 5]
)
def test_random_systems_have_the_number_of_bezout(degrees: tuple[int, ...], exact: bool) -> None:
    result = solved(random_system(degrees, np.random.default_rng(sum(degrees))), math.prod(degrees), exact)
    assert result.certainty == "proved"
    # Real coefficients: solutions come in conjugate pairs.
    for x in result.points:
        assert np.abs(result.points - x.conj()).max(axis=1).min() < 1e-8


@pytest.mark.parametrize("seed", range(20))
def test_products_of_linear_forms(seed: int) -> None:
    """All solutions known exactly: a grid of roots in each unknown, in random coordinates."""
    rng = np.random.default_rng(seed)
    roots = [np.sort(rng.choice(np.arange(-6, 7), 3, replace=False)) for _ in range(2)]
    change = rng.standard_normal((2, 2))
    x = System(np.eye(2, dtype=np.int64), change)
    one = np.zeros((1, 2), dtype=np.int64)
    equations = []
    for row, values in zip(range(2), roots):
        factors = [x[[row]] - System(one, np.array([[float(v)]])) for v in values]
        equations.append(factors[0] * factors[1] * factors[2])
    result = solved(System.stack(equations), 9)
    expected = np.array([np.linalg.solve(change, [a, b]) for a in roots[0] for b in roots[1]])
    for point in expected:
        assert np.abs(result.points - point).max(axis=1).min() < 1e-8


def test_solutions_at_infinity_are_not_counted() -> None:
    # Two circles meet in two points, and at the two circular points at infinity.
    circles = system([{(2, 0): 1, (0, 2): 1, (0, 0): -1}, {(2, 0): 1, (0, 2): 1, (1, 0): -2, (0, 1): -1, (0, 0): 0.5}])
    assert solved(circles, 2).certainty == "counted"
    # x y = 1, x = 1: one solution, one at infinity.
    solved(system([{(1, 1): 1, (0, 0): -1}, {(1, 0): 1, (0, 0): -1}]), 1)
    # A whole line at infinity: x y − 1, x y − 1 + x − y.
    solved(system([{(1, 1): 1, (0, 0): -1}, {(1, 1): 1, (0, 0): -1, (1, 0): 1, (0, 1): -1}]), 2)


def test_multiplicities() -> None:
    # x² = 0 = y³ at the origin: 6; and a cusp met by its tangent: 3.
    fat = solved(system([{(2, 0): 1}, {(0, 3): 1}]), 6)
    assert fat.multiplicities.tolist() == [6]
    np.testing.assert_allclose(fat.points, 0, atol=1e-3)
    tangent = solved(system([{(0, 2): 1, (3, 0): 1}, {(0, 1): 1}]), 3)
    assert tangent.multiplicities.tolist() == [3]
    # A double solution beside simple ones: the circle and a tangent, times another line.
    both = system([{(2, 0): 1, (0, 2): 1, (0, 0): -1}, {(2, 0): 1, (1, 0): -0.75, (0, 0): -0.25}])  # (x − 1)(x + 1/4)
    result = solved(both, 4)
    assert sorted(result.multiplicities.tolist()) == [1, 1, 2]
    np.testing.assert_allclose(result.points[result.multiplicities == 2], [[1, 0]], atol=1e-7)
    assert len(result.regular) == 2


def test_contradictions_have_no_solution() -> None:
    for exact in (True, False):
        solved(system([{(1, 0): 1}, {(1, 0): 1, (0, 0): -1}]), 0, exact)
        solved(system([{(0, 0): 2}, {(1, 0): 1}]), 0, exact)


@pytest.mark.parametrize("exact", [True, False])
def test_overdetermined_systems(exact: bool) -> None:
    # The twisted cubic's equations and a plane: three points.
    cubic = [{(1, 0, 1): 1, (0, 2, 0): -1}, {(0, 1, 0): 1, (2, 0, 0): -1}, {(0, 0, 1): 1, (1, 1, 0): -1}]
    plane = {(1, 0, 0): 2, (0, 1, 0): -1, (0, 0, 1): 1, (0, 0, 0): -1}
    result = solved(system([*cubic, plane]), 3, exact)
    t = result.points[:, 0]
    np.testing.assert_allclose(result.points, np.stack([t, t**2, t**3], axis=1), atol=1e-9)


def test_infinitely_many_solutions_are_reported() -> None:
    for exact in (True, False):
        line = system([{(1, 1): 1}, {(1, 0): 1, (1, 2): 1}])  # x = 0
        result = solve_system(line, System(line.exponents, residues(line.coef)) if exact else None)
        assert result.count is None
        assert not result.complete
        assert "infinitely many" in result.reason
    one = random_system((3, 3), np.random.default_rng(0))[[0]]
    assert "1 equations" in solve_system(one).reason


def test_large_systems_are_refused_before_any_work() -> None:
    big = random_system((2,) * 12, np.random.default_rng(0))
    result = solve_system(big)
    assert result.count is None
    assert "too large" in result.reason


def test_units_do_not_matter() -> None:
    equations = random_system((3, 3), np.random.default_rng(5))
    scale = np.array([1e5, 1e-4])
    scaled = System(equations.exponents, equations.coef * np.prod(scale**equations.exponents, axis=1) * [[1e6], [1e-3]])
    a, b = solved(equations, 9).points, solved(scaled, 9).points * scale
    for x in a:
        assert np.abs(b - x).max(axis=1).min() < 1e-9 * (1 + np.abs(x).max())


def test_complex_coefficients() -> None:
    equations = random_system((2, 2), np.random.default_rng(1))
    rotated = System(equations.exponents, equations.coef * np.exp(1j * equations.exponents.sum(axis=1)))
    a, b = solved(equations, 4).points, solved(rotated, 4, exact=False).points * np.exp(1j)
    for x in a:
        assert np.abs(b - x).max(axis=1).min() < 1e-9


def test_residues_are_those_of_fractions() -> None:
    third = residues(np.array([1 / 3, -0.25, 1e10, 0.1]))
    assert third[0] * 3 % PRIME == 1
    assert third[1] * 4 % PRIME == PRIME - 1
    assert third[2] == 10**10 % PRIME
    assert third[3] * 10 % PRIME == 1
    odd = residues(np.array([math.pi]))[0]
    numerator, denominator = math.pi.as_integer_ratio()
    assert odd * denominator % PRIME == numerator % PRIME


def test_arithmetic_of_systems() -> None:
    rng = np.random.default_rng(2)
    a, b = random_system((2, 3), rng), random_system((3, 1), rng)
    x = rng.standard_normal((7, 2))
    np.testing.assert_allclose((a * b).evaluate(x), a.evaluate(x) * b.evaluate(x))
    np.testing.assert_allclose((a - b).evaluate(x), a.evaluate(x) - b.evaluate(x), atol=1e-12)
    np.testing.assert_allclose(a.sum().evaluate(x)[:, 0], a.evaluate(x).sum(axis=1), atol=1e-12)
    assert a.degrees.tolist() == [2, 3]
    assert bezout_number(a) == 6
    step = 1e-30j
    for i, unit in enumerate(np.eye(2)):
        np.testing.assert_allclose(
            a.jacobian(x)[..., i], a.evaluate(x + step * unit).imag / 1e-30, rtol=1e-12, atol=1e-12
        )
        second = a.jacobian(x + step * unit).imag / 1e-30
        np.testing.assert_allclose(a.hessian(x)[..., i], second, rtol=1e-12, atol=1e-12)
