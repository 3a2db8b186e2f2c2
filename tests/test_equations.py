# SPDX-License-Identifier: BSD-3-Clause
"""Equations: against published ones, counts of known ideals, and exact vanishing on functions and nowhere else."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, permutations
from math import comb, factorial, prod
from typing import Any

import flint
import numpy as np
import pytest
import sympy

import polycore as pc
from polycore import program
from polycore.equations import is_cone

ATTENTION = pc.LightningAttention(2, 2, 1, n_tokens=2)


def functions(net: pc.Network, n: int = 30, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    return net.expand(rng.integers(-9, 10, (n, net.n_params)), dtype=object)


def rank(rows: Any) -> int:
    """Over the rationals, by flint."""
    entries = [[flint.fmpq(Fraction(c).numerator, Fraction(c).denominator) for c in row] for row in rows]
    return int(flint.fmpq_mat(entries).rank()) if entries else 0


def brute_force_count(net: pc.Network, degree: int, positions: Any) -> int:
    """Monomials minus the rank of their values at enough random functions."""
    basis = pc.MonomialBasis(len(positions), degree, homogeneous=True)
    coef = functions(net, basis.n_monomials + 5, seed=7).reshape(-1, net.n_outputs * net.basis.n_monomials)
    values = [[prod(int(x) ** e for x, e in zip(row, m)) for m in basis] for row in coef[:, positions].tolist()]
    return basis.n_monomials - int(flint.fmpz_mat(values).rank())


CASES = [
    (pc.MLP((2, 1, 2), 1), 2),
    (pc.MLP((3, 2, 3), 1), 3),
    (pc.MLP((2, 1, 2, 2), 1), 2),
    (pc.MLP((3, 1, 1), 2), 2),
    (pc.MLP((3, 2, 1), 2), 3),
    (pc.MLP((2, 1, 1), 3), 2),
    (pc.MLP((2, 2, 1), 4), 3),
    (pc.MLP((2, 1, 2), 2), 2),
    (pc.MLP((2, 2, 2), 3), 3),
    (pc.CNN((2, 2), 2), 3),
    (pc.CNN((2, 2), 1, n_inputs=4), 2),
    (ATTENTION, 3),
    (ATTENTION, 4),
    (pc.LightningAttention(2, 1, 1, n_tokens=2), 2),
]


@pytest.mark.parametrize(("net", "degree"), CASES, ids=lambda x: repr(x))
def test_all_of_them_and_nothing_else(net: pc.Network, degree: int) -> None:
    found = pc.equations(net, degree)
    assert found.proved
    assert found.homogeneous
    assert found.error_bound == 0.0
    assert len(found) == brute_force_count(net, degree, found.positions.tolist())
    assert rank(found.coef.tolist()) == len(found)
    assert not found(functions(net)).any()
    assert all(np.gcd.reduce(row) == 1 and next(c for c in row if c) > 0 for row in found.coef)


@pytest.mark.parametrize("net", [net for net, _ in CASES[:6]], ids=repr)
@pytest.mark.parametrize("coordinates", ["span", "coefficients"])
def test_count_in_both_coordinates(net: pc.Network, coordinates: str) -> None:
    found = pc.equations(net, 2, coordinates=coordinates)
    assert found.coordinates == coordinates
    assert len(found) == brute_force_count(net, 2, found.positions.tolist())
    assert not found(functions(net)).any()


# --- published equations ----------------------------------------------------------------------------------------------


def test_the_quartic_of_lightning_attention() -> None:
    # K. Kohn, "Neuromanifolds" (slides): in the coefficients of the two binary quadratics.
    found = pc.equations(ATTENTION, 4)
    assert len(found) == 1
    assert found.new == (0,)
    y = sympy.symbols("y1:7")
    y1, y2, y3, y4, y5, y6 = y
    published = sympy.Poly(
        y1**2 * y6**2 + y4**2 * y3**2 + y1 * y3 * y5**2 + y2**2 * y4 * y6
        - 2 * y1 * y4 * y3 * y6 - y2 * y1 * y6 * y5 - y2 * y4 * y3 * y5, *y,
    )  # fmt: skip
    ours = sympy.Poly(found.to_sympy()[0], *y)
    renamed = (ours.as_expr().subs(list(zip(y, image)), simultaneous=True) for image in permutations(y))
    assert any(sympy.expand(candidate - published.as_expr()) == 0 for candidate in renamed)
    for degree in (1, 2, 3):
        assert len(pc.equations(ATTENTION, degree)) == 0
    multiples = pc.equations(ATTENTION, 5)
    assert len(multiples) == 6
    assert multiples.new == ()


def test_the_quartic_is_the_resultant_of_the_two_quadratics() -> None:
    found = pc.equations(ATTENTION, 4)
    s = sympy.Symbol("s")
    rng = np.random.default_rng(4)
    for _ in range(20):
        first, second = rng.integers(-5, 6, (2, 3)).tolist()
        # f(X) = v·X Xᵀ A x_k: the coefficients of (v·u)(a_k·u) u-quadratics stand at x_i x_j of token 1 times x_k.
        coef = coefficients_of_quadratics(first, second)
        quadratics = [c[0] * s**2 + c[1] * s + c[2] for c in (first, second)]
        resultant = sympy.resultant(*quadratics, s) if first[0] or second[0] else None
        if resultant is not None and first[0] and second[0]:
            assert abs(found(coef)[0]) == abs(resultant)


def coefficients_of_quadratics(first: list[int], second: list[int]) -> Any:
    """The element of the span of attention with the two quadratics q_k: f_t = Σ_s Σ_k q_k(x_s) x_kt."""
    coef = np.zeros((2, ATTENTION.basis.n_monomials), dtype=object)
    for t in range(2):
        for s in range(2):
            for k, quadratic in enumerate((first, second)):
                for c, exponents in zip(quadratic, ((2, 0), (1, 1), (0, 2))):
                    total = np.zeros(4, dtype=int)
                    total[2 * s : 2 * s + 2] += exponents
                    total[2 * t + k] += 1
                    coef[t, ATTENTION.basis.index(total)] += c
    assert ATTENTION.linear_span().contains(coef)
    return coef


def test_aronhold_invariant() -> None:
    # Sums of three cubes of ternary linear forms: one quartic, with 25 terms (Aronhold; I. Dolgachev, *Classical
    # Algebraic Geometry*, section 3.4.1). It vanishes on Fermat cubics, and not on x y z: S = m^4 − m up to scale.
    net = pc.MLP((3, 3, 1), 3)
    found = pc.equations(net, 4)
    assert len(found) == 1
    assert np.count_nonzero(found.coef) == 25
    assert found.proved
    assert len(pc.equations(net, 3)) == 0
    for m in range(-3, 4):
        hesse = np.zeros((1, 10), dtype=object)  # x³ + y³ + z³ + 6 m x y z
        for exponents, c in (((3, 0, 0), 1), ((0, 3, 0), 1), ((0, 0, 3), 1), ((1, 1, 1), 6 * m)):
            hesse[0, net.basis.index(exponents)] = c
        assert (found(hesse)[0] == 0) == (m in (0, 1))


def catalecticant(coef: Any, r: int, rows: int) -> sympy.Matrix:
    scaled = [Fraction(int(c), comb(r, i)) for i, c in enumerate(coef)]
    return sympy.Matrix(
        rows, r - rows + 2, lambda i, j: sympy.Rational(scaled[i + j].numerator, scaled[i + j].denominator)
    )


@pytest.mark.parametrize(("k", "r"), [(1, 2), (2, 4), (3, 6)])
def test_catalecticant_determinants(k: int, r: int) -> None:
    found = pc.equations(pc.MLP((2, k, 1), r), k + 1)
    assert len(found) == 1
    rng = np.random.default_rng(2)
    ratios = set()
    for _ in range(8):
        coef = rng.integers(-6, 7, (1, r + 1))
        determinant = catalecticant(coef[0], r, k + 1).det()
        if determinant:
            ratios.add(sympy.Rational(int(found(coef)[0])) / determinant)
        else:
            assert found(coef)[0] == 0
    assert len(ratios) == 1


def minors(matrix: Any, size: int) -> list[Any]:
    m, n = matrix.shape
    choices = ((i, j) for i in combinations(range(m), size) for j in combinations(range(n), size))
    return [matrix.extract(list(i), list(j)).det(method="berkowitz") for i, j in choices]


@pytest.mark.parametrize("widths", [(2, 1, 3), (3, 1, 3), (3, 2, 4), (4, 2, 2, 3), (4, 1, 3, 2)])
def test_minors_of_linear_networks(widths: tuple[int, ...]) -> None:
    n, m, k = widths[0], widths[-1], min(widths) + 1
    found = pc.equations(pc.MLP(widths, 1), k)
    assert len(found) == comb(m, k) * comb(n, k) == len(found.new or ())
    symbols = sympy.symbols(f"y1:{m * n + 1}")
    names = [f"y{i + 1}" for i in range(m * n)]
    index = {m: i for i, m in enumerate(found.monomials)}
    rows = found.coef.tolist()
    for minor in minors(sympy.Matrix(m, n, symbols), k):
        row = [0] * len(found.monomials)
        for exponents, c in sympy.Poly(minor, *symbols).terms():
            row[index[exponents]] = int(c)
        rows.append(row)
    assert rank(rows) == len(found)
    assert names[0] == "y1"


def standard_tableaux_count(m: int, n: int, r: int, degree: int) -> int:
    """Dimension of degree ``degree`` in the coordinate ring of m × n matrices of rank at most r.

    By Cauchy's formula it is Σ_λ dim S_λ(K^m) dim S_λ(K^n) over partitions of the degree with at most r rows
    (De Concini, Eisenbud, Procesi 1980).
    """

    def partitions(total: int, rows: int, largest: int) -> Any:
        if total == 0:
            yield ()
        elif rows:
            for first in range(min(total, largest), 0, -1):
                for rest in partitions(total - first, rows - 1, first):
                    yield (first, *rest)

    def schur(shape: tuple[int, ...], n: int) -> int:
        full = (*shape, *(0,) * (n - len(shape)))
        up = prod(full[i] - full[j] + j - i for i in range(n) for j in range(i + 1, n))
        return up // prod(factorial(i) for i in range(n))

    return sum(schur(shape, m) * schur(shape, n) for shape in partitions(degree, min(r, m, n), degree))


@pytest.mark.parametrize(("m", "n", "r"), [(2, 2, 1), (3, 3, 1), (2, 4, 1), (3, 3, 2), (2, 3, 1)])
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_hilbert_function_of_determinantal_ideals(m: int, n: int, r: int, degree: int) -> None:
    found = pc.equations(pc.MLP((n, r, m), 1), degree)
    assert len(found.monomials) - len(found) == standard_tableaux_count(m, n, r, degree)
    assert len(found.new or ()) == (comb(m, r + 1) * comb(n, r + 1) if degree == r + 1 else 0)


def test_veronese_and_symmetric_rank() -> None:
    # Squares of a linear form in n variables: 2 × 2 minors of a symmetric matrix, n²(n² − 1)/12 of them independent.
    for n in (2, 3, 4):
        assert len(pc.equations(pc.MLP((n, 1, 1), 2), 2)) == n * n * (n * n - 1) // 12


# --- cones and others -------------------------------------------------------------------------------------------------


def test_not_a_cone() -> None:
    # x + W(x): every matrix. x + w1 (w2 x)², w in one variable: x + c x², an affine line.
    net = pc.Sequential(pc.Residual(pc.Affine(1), pc.Activation(2), pc.Affine(1)), n_inputs=1)
    assert not is_cone(net.program)
    found = pc.equations(net, 1)
    assert not found.homogeneous
    assert found.text() == ["1 - y1 = 0"]
    assert found.monomials == pc.MonomialBasis(2, 1)
    assert len(pc.equations(net, 2)) == 3
    assert pc.equations(net, 2).new == ()
    # z² + z, twice the same weight: (w x)² + w x is the curve y2 = y1², not a cone.
    twice = pc.Network(program.Program(1, [program.Affine(0, 1), program.Activation(1, (0, 1, 1))]))
    assert not is_cone(twice.program)
    assert pc.equations(twice, 1).text() == []
    parabola = pc.equations(twice, 2)
    assert parabola.text() == ["y1^2 - y2 = 0"] or parabola.text() == ["y2 - y1^2 = 0"]
    assert parabola.new == (0,)


@pytest.mark.parametrize(
    ("net", "cone"),
    [
        (pc.MLP((2, 2, 1), [0, 1, 1], bias=True), True),
        (pc.CNN((2, 2), 2), True),
        (ATTENTION, True),
        (pc.Sequential(pc.Affine(2), pc.Activation(2), n_inputs=2), True),
        (pc.Sequential(pc.Affine(2), pc.Activation([0, 1, 1]), n_inputs=2), False),
        (pc.Sequential(pc.Residual(pc.Affine(2)), n_inputs=2), False),
        (pc.Sequential(pc.Residual(pc.Affine(2)), pc.Affine(1), n_inputs=2), True),
        (pc.Sequential(pc.Affine(2), pc.Residual(pc.Affine(2)), n_inputs=2), True),
        (pc.Sequential(pc.Affine(2), pc.Residual(pc.Activation(2)), n_inputs=2), False),
        (pc.Sequential(pc.Affine(2), pc.Residual(pc.Activation(2), pc.Affine(2)), n_inputs=2), True),
    ],
    ids=repr,
)
def test_cones(net: pc.Network, cone: bool) -> None:
    # The last but one: z + z² entrywise, z = W x. The last: z + V z², scaled by V ~ 1/λ, W ~ λ.
    assert is_cone(net.program) == cone
    if cone:  # then there are as many equations of degree at most 2 as of degrees 1 and 2
        coef = functions(net, 60).reshape(60, -1)[:, :5]
        n = coef.shape[1]
        inhomogeneous, count = pc.MonomialBasis(n, 2), 0
        values = [[prod(Fraction(x) ** e for x, e in zip(row, m)) for m in inhomogeneous] for row in coef.tolist()]
        for degree in range(3):
            chosen = [i for i, m in enumerate(inhomogeneous) if sum(m) == degree]
            count += len(chosen) - rank([[row[i] for i in chosen] for row in values])
        assert count == len(inhomogeneous) - rank(values)


# --- use --------------------------------------------------------------------------------------------------------------


def test_values_in_every_ring(rng: np.random.Generator) -> None:
    net = pc.MLP((3, 2, 1), 2)
    found = pc.equations(net, 3)
    theta = net.random_params(rng=1, batch=(2, 3))
    coef = net.expand(theta)
    assert found(coef).shape == (2, 3, 1)
    assert abs(found(coef)).max() < 1e-12
    complex_coef = coef + 1j * rng.normal(size=coef.shape)
    shifted = rng.integers(-4, 5, (1, 6))
    exact = found(shifted.astype(object) + 0)
    assert exact.dtype == object
    assert found(shifted.astype(float)) == pytest.approx(exact.astype(float))
    assert found(np.array([[Fraction(1, 2)] * 6], dtype=object))[0] == Fraction(found(np.ones((1, 6), dtype=int))[0], 8)
    a, b, c, d, e, f = complex_coef[0, 0, 0]
    determinant = 4 * a * d * f - a * e * e - b * b * f + b * c * e - c * c * d
    assert found(complex_coef)[0, 0, 0] == pytest.approx(determinant)
    assert found(np.zeros((0, 1, 6))).shape == (0, 1)
    assert pc.equations(net, 2)(coef).shape == (2, 3, 0)


def test_text_and_sympy() -> None:
    found = pc.equations(pc.MLP((2, 1, 2), 1), 2)
    assert found.text() == ["y1*y4 - y2*y3 = 0"]
    assert found.text(symbols=list("abcd"), max_terms=1) == ["a*d + ... (1 more term) = 0"]
    a, b, c, d = sympy.symbols("a b c d")
    assert found.to_sympy(list("abcd")) == [a * d - b * c]
    assert found.names == ("f1[x1]", "f1[x2]", "f2[x1]", "f2[x2]")
    many = pc.equations(pc.MLP((4, 1, 4), 1), 2)
    assert "(30 more)" in repr(many)
    assert "(6 more)" in repr(many)
    assert "equations   0" in repr(pc.equations(pc.MLP((2, 2, 1), 2), 2))


def test_seeds_and_verification_by_odds(monkeypatch: pytest.MonkeyPatch) -> None:
    net = pc.MLP((3, 2, 1), 2)
    found = pc.equations(net, 3, rng=np.random.default_rng(3))
    again = pc.equations(net, 3, rng=found.seed)
    assert again.seed == found.seed
    assert np.array_equal(again.coef, found.coef)
    monkeypatch.setattr("polycore._relations._SYMBOLIC_TERMS", 0)
    bounded = pc.equations(net, 3, max_error=1e-20)
    assert not bounded.proved
    assert 0 < bounded.error_bound <= 1e-20
    assert np.array_equal(bounded.coef, found.coef)
    assert "probability" in repr(bounded)


def test_large_numbers_come_from_many_primes() -> None:
    # Coefficients of the activation with many digits make equations with many digits.
    c = 10**12 + 39
    net = pc.Network(program.Program(1, [program.Affine(0, 1), program.Activation(1, (0, 1, c)), program.Affine(2, 1)]))
    curve = pc.Network(program.Program(1, [program.Affine(0, 1), program.Activation(1, (0, 1, c, c * c))]))
    assert len(pc.equations(net, 3)) == 0
    found = pc.equations(curve, 2)
    assert found.proved
    assert not found(functions(curve)).any()
    assert max(abs(int(v)) for v in found.coef.reshape(-1)) >= c


def test_sizes_are_checked_first() -> None:
    with pytest.raises((MemoryError, OverflowError), match="monomials"):
        pc.equations(pc.MLP((5, 3, 2), 3), 12)
    with pytest.raises((MemoryError, OverflowError)):
        pc.equations(pc.MLP((50, 3, 1), 30), 2)
    with pytest.raises((MemoryError, OverflowError)):
        pc.equations(pc.MLP((2, 1, 2), 1), 10**6)
