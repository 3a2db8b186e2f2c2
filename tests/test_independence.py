# SPDX-License-Identifier: BSD-3-Clause
"""Linear independence of σ(p_i) against exact ranks of their expansions, identities, and the theorems beside it."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations
from typing import Any

import flint
import numpy as np
import pytest
import sympy  # type: ignore[import-untyped]
from numpy.polynomial import Chebyshev, Polynomial

import polycore as pc
from polycore import _sampled_rank
from polycore._sampled_rank import log2_fraction, log2_polynomial
from polycore.independence import _Family
from polycore.modular import PrimeRange

Row = list[Any]
LINEAR = pc.MonomialBasis(2, 1, homogeneous=True)


def rational(x: Any) -> Any:
    """A number for python-flint."""
    q = Fraction(x)
    return flint.fmpq(int(q.numerator), int(q.denominator))


def rational_rank(rows: list[Row]) -> int:
    return int(flint.fmpq_mat([[rational(x) for x in row] for row in rows]).rank())


def expansions(coef: Any, basis: pc.MonomialBasis, sigma: Row) -> list[dict[tuple[int, ...], Any]]:
    """σ(p_i) as dicts of terms, by python-flint."""
    context = flint.fmpq_mpoly_ctx.get(tuple(f"x{v}" for v in range(basis.n_vars)), flint.Ordering.lex)
    powers = []
    for row in coef:
        p = context.from_dict({basis.exponent(i): rational(c) for i, c in enumerate(row) if c})
        total = context.from_dict({})
        for j, c in enumerate(sigma):
            total += rational(c) * p**j
        powers.append({tuple(e): Fraction(int(c.p), int(c.q)) for e, c in total.to_dict().items()})
    return powers


def expansion_rank(coef: Any, basis: pc.MonomialBasis, sigma: Row) -> int:
    powers = expansions(coef, basis, sigma)
    support = sorted({e for terms in powers for e in terms})
    return rational_rank([[terms.get(e, 0) for e in support] for terms in powers]) if support else 0


def check(coef: Any, basis: pc.MonomialBasis, activation: Any, **options: Any) -> pc.LinearIndependence:
    """The answer is proved, its rank is that of the expansions, its relations hold, and no theorem contradicts it."""
    sigma = [0] * activation + [1] if isinstance(activation, int) else activation
    result = pc.linear_independence(coef, activation, basis=basis, **options)
    k = len(coef)
    powers = expansions(coef, basis, sigma)
    assert result.n_polynomials == k
    assert result.rank == expansion_rank(coef, basis, sigma)
    assert result.independent == (result.rank == k)
    assert result.proved
    assert result.error_bound == 0.0
    assert len(result.relations) == k - result.rank
    for relation in result.relations:
        assert all(type(c) is int for c in relation)
        assert math.gcd(*relation) == 1
        assert next(c for c in relation if c) > 0
        for e in {e for terms in powers for e in terms}:
            assert sum(c * terms.get(e, 0) for c, terms in zip(relation, powers)) == 0
    if result.relations:
        assert rational_rank([list(r) for r in result.relations]) == k - result.rank
        assert result.relation == result.relations[0]
    if any(bound.implies_independence for bound in result.bounds):
        assert result.independent
    return result


class TestIdentities:
    def test_four_squares_of_two_variables(self) -> None:
        forms = [[1, 0], [0, 1], [1, 1], [1, -1]]
        result = check(forms, LINEAR, 2)
        assert result.rank == 3
        assert result.relation == (2, 2, -1, -1)
        assert check(forms, LINEAR, 3).independent
        assert check(forms, LINEAR, 1).rank == 2
        assert check(forms, LINEAR, 0).rank == 1

    @pytest.mark.parametrize("r", range(1, 7))
    def test_linear_forms_on_a_line_are_a_vandermonde_matrix(self, r: int) -> None:
        """k powers of pairwise non-proportional binary forms are independent iff k <= r + 1."""
        for k in range(1, r + 4):
            forms = [[i, 1] for i in range(-2, k - 2)]
            result = check(forms, LINEAR, r)
            assert result.rank == min(k, r + 1)
            (vandermonde, *_) = result.bounds
            assert vandermonde.implies_independence == (k <= r + 1)

    def test_pythagoras_shows_that_the_theorem_is_sharp(self) -> None:
        polynomials = [[1, 0, -1], [0, 2], [1, 0, 1]]
        result = pc.linear_independence(polynomials, 2)
        assert result.relation == (1, 1, -1)
        assert not any(bound.implies_independence for bound in result.bounds)
        assert all(bound.applies for bound in result.bounds)
        cubes = pc.linear_independence(polynomials, 3)
        assert cubes.independent
        assert {b.source: b.implies_independence for b in cubes.bounds} == {
            "Wronskian, degrees <= d": True,
            "de Bondt 2009": True,
            "Newman, Slater 1979, Finkel et al. 2025": False,
            "Crăciun 2025": False,
        }
        assert all(b.implies_independence for b in pc.linear_independence(polynomials, 33).bounds)

    def test_binomials(self) -> None:
        """(x + i)^2 for i = 0..3: third differences vanish."""
        assert pc.linear_independence([[i, 1] for i in range(4)], 2).relation == (1, -3, 3, -1)

    def test_roots_of_unity_over_the_rationals(self) -> None:
        """x^2 + x + 1 divides ... : a^3 + b^3 + c^3 + d^3 = 0 of quadratics (Ramanujan)."""
        ramanujan = [[3, 5, -5], [4, -4, 6], [5, -5, -3], [6, -4, 4]]
        result = pc.linear_independence(ramanujan, 3)
        assert result.rank == 3
        assert result.relation == (1, 1, 1, -1)

    def test_nothing_needs_to_be_expanded_for_independence(self) -> None:
        """Degree 10^4 in 20 variables."""
        basis = pc.MonomialBasis(20, 2)
        coef = np.random.default_rng(2).integers(-9, 10, (5, len(basis)))
        result = pc.linear_independence(coef, 4000, basis=basis)
        assert result.independent
        assert result.proved
        assert len(result.primes) == 1


class TestAgainstExpansions:
    @pytest.mark.parametrize(
        "activation", [0, 1, 2, 3, 5, [1, 1], [0, 1, 1], [2, 0, -3, 1], [0.5, Fraction(1, 3), 0.1], [0]]
    )
    @pytest.mark.parametrize(
        "basis", [pc.MonomialBasis(1, 2), pc.MonomialBasis(2, 2, True), pc.MonomialBasis(3, 1)], ids=repr
    )
    def test_random(self, activation: Any, basis: pc.MonomialBasis) -> None:
        rng = np.random.default_rng(1)
        for k in (1, 2, 4, 7):
            coef = rng.integers(-2, 3, (k, len(basis)))
            check(coef, basis, activation)
            check(coef / 4, basis, activation)
            coef[k // 2] = 2 * coef[0]
            check(coef.tolist(), basis, activation)

    def test_fractions_and_large_numbers(self) -> None:
        rng = np.random.default_rng(4)
        big = rng.integers(-50, 50, (4, 3)).astype(object) * 10**60 + 1
        check(big, pc.MonomialBasis(2, 1), 1)
        check(np.array([[Fraction(c, 3**50 + i) for c in row] for i, row in enumerate(big.tolist())]), LINEAR_3, 1)
        assert check([[10**40, 1], [10**40, 2], [10**40, 3], [10**40, 4]], LINEAR, 2).rank == 3

    def test_constants_zeros_and_repeats(self) -> None:
        line = pc.MonomialBasis(1, 1)
        result = check([[0, 0], [2, 0], [3, 0], [0, 1], [0, -2], [0, 1], [1, 1]], line, [1, 0, 1])
        assert result.zeros == (0,)
        assert result.proportional == ((1, 2), (3, 4, 5))
        assert check([[0, 0]], line, 2).rank == 0
        assert check([[0, 0]], line, 0).independent
        assert check([[0, 0]], line, [0]).rank == 0
        assert check([[0, 0], [0, 0]], line, 2).relations == ((0, 1), (1, 0))
        assert check([[3, 0]], line, 2).independent
        assert check([[3, 0], [0, 1]], line, 2).independent
        assert check([[1, 1]], line, 7).independent

    def test_primes_and_seeds(self) -> None:
        forms = [[1, 0], [0, 1], [1, 1], [1, -1]]
        first = pc.linear_independence(forms, 2, basis=LINEAR, rng=5)
        assert first == pc.linear_independence(forms, 2, basis=LINEAR, rng=5, n_threads=2)
        other = pc.linear_independence(forms, 2, basis=LINEAR, rng=6)
        assert first.primes != other.primes
        assert first.relations == other.relations
        victim = first.primes[0]
        hit = pc.linear_independence([[victim, 0], [0, victim]], 2, basis=LINEAR, rng=5)
        assert hit.independent
        assert victim not in pc.linear_independence([[Fraction(1, victim)]], 2, rng=5).primes
        generator = np.random.default_rng(1)
        drawn = pc.linear_independence(forms, 2, basis=LINEAR, rng=generator)
        assert drawn == pc.linear_independence(forms, 2, basis=LINEAR, rng=drawn.seed)

    def test_every_backend(self, on_backend: str) -> None:
        check([[1, 0, 2], [0, 1, 1], [1, 1, 3], [1, -1, 1]], pc.MonomialBasis(1, 2), 2)
        check([[1, 2], [2, 1], [3, 3], [1, 1]], LINEAR, [1, 1, 1])


LINEAR_3 = pc.MonomialBasis(3, 1, homogeneous=True)


class TestGeneric:
    """A generic σ against the rank for random coefficients, which is no more and almost always the same."""

    def test_against_specialisations(self) -> None:
        rng = np.random.default_rng(7)
        for basis in (pc.MonomialBasis(1, 2), pc.MonomialBasis(2, 1)):
            for degree in (0, 1, 2, 4):
                for k in (1, 2, 4, 6):
                    coef = rng.integers(-1, 2, (k, len(basis)))
                    sigma = rng.integers(1, 10**6, degree + 1).tolist()
                    result = pc.linear_independence(coef, pc.GenericActivation(degree), basis=basis)
                    assert result.rank == expansion_rank(coef, basis, sigma)
                    assert result.proved or 0 < result.error_bound <= 1e-9
                    if any(bound.implies_independence for bound in result.bounds):
                        assert result.independent

    def test_distinct_polynomials_are_enough(self) -> None:
        """Multiples too, which powers cannot tell apart."""
        multiples = [[0, 1], [0, 2], [0, 3]]
        assert pc.linear_independence(multiples, 2).rank == 1
        result = pc.linear_independence(multiples, pc.GenericActivation(2))
        assert result.independent
        assert result.bounds[0].implies_independence
        assert pc.linear_independence([[0, 1], [0, 2], [5]], pc.GenericActivation(2)).independent
        two_constants = pc.linear_independence([[1], [2], [0, 1]], pc.GenericActivation(5))
        assert (two_constants.rank, two_constants.proved, two_constants.bounds[0].applies) == (2, True, False)
        twice = pc.linear_independence([[0, 1], [0, 1], [1, 1]], pc.GenericActivation(5))
        assert (twice.rank, twice.proved, twice.bounds[0].applies) == (2, True, False)


class TestTheorems:
    """They never contradict the exact answer, over many random cases in which they apply."""

    def test_powers(self) -> None:
        rng = np.random.default_rng(12)
        implied = 0
        for basis in (pc.MonomialBasis(1, 1), pc.MonomialBasis(1, 3), pc.MonomialBasis(2, 2)):
            for k in (2, 3, 4):
                for r in range(1, 10):
                    coef = rng.integers(-1, 2, (k, len(basis)))
                    result = check(coef, basis, r)
                    implied += any(bound.implies_independence for bound in result.bounds)
                    pairs = combinations(coef.tolist(), 2)
                    proportional = not all(map(any, coef)) or any(rational_rank([a, b]) < 2 for a, b in pairs)
                    assert all(bound.applies != proportional for bound in result.bounds)
        assert implied > 20

    def test_leading_forms(self) -> None:
        rng = np.random.default_rng(13)
        implied = 0
        for _ in range(60):
            coef = rng.integers(-1, 2, (3, 6))
            coef[2, 3:] = 0
            sigma = [*rng.integers(-2, 3, int(rng.integers(1, 4))).tolist(), 1]
            result = check(coef, pc.MonomialBasis(2, 2), sigma)
            implied += any(bound.implies_independence for bound in result.bounds)
        assert implied > 10
        assert pc.linear_independence([[1, 1], [0, 0, 1], [5]], [1, 1]).bounds[0].implies_independence
        assert not pc.linear_independence([[-1], [0, 1]], [1, 1]).bounds[0].applies  # σ(−1) = 0

    def test_inequalities_are_the_ones_that_hold(self) -> None:
        for k, r in [(2, 1), (3, 2), (4, 8), (5, 15), (5, 14)]:
            polynomials = [[i**2, i, 1] for i in range(k)]
            bounds = {b.source: b for b in pc.linear_independence(polynomials, r).bounds}
            exact = Fraction(k * (k - 2)) - Fraction((k - 1) * (k - 2), 4)
            assert bounds["Wronskian, degrees <= d"].holds == (r > exact)
            assert bounds["de Bondt 2009"].holds == (r >= k * (k - 2))
            assert f"= {k * (k - 2)}" in bounds["de Bondt 2009"].inequality
            assert bounds["Newman, Slater 1979, Finkel et al. 2025"].holds == (r > 8 * (k - 1) ** 2)
            assert bounds["Crăciun 2025"].holds == (r > max(k * math.comb(k - 1, 2), 2))


class TestWithoutExpansions:
    """Where σ(p_i) cannot be expanded: what the counts prove, and else an error bound."""

    @pytest.fixture(autouse=True)
    def _no_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(self: object) -> None:
            raise MemoryError("the expansions are too large")

        monkeypatch.setattr(_Family, "check_expansions", refuse)

    def test_error_bound(self) -> None:
        result = pc.linear_independence([[1, 0, -1], [0, 2], [1, 0, 1]], 2)
        assert (result.rank, result.proved, result.relations) == (2, False, ())
        assert 0 < result.error_bound <= 1e-9
        assert "too large" in result.reason
        assert "probability" in repr(result)
        assert len(pc.linear_independence([[1, 0, -1], [0, 2], [1, 0, 1]], 2, max_error=1e-60).primes) > 4

    def test_counts(self) -> None:
        assert pc.linear_independence([[0, 1], [0, 2]], 5).proved
        assert pc.linear_independence([[i, 1] for i in range(5)], 3).proved
        assert pc.linear_independence([[1], [2], [0, 1]], [1, 2, 3]).proved

    def test_the_error_bound_holds_where_errors_happen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        small = PrimeRange(12, 255)  # π(4096) − π(2048)
        monkeypatch.setattr(_sampled_rank, "WORD_PRIMES", small)
        monkeypatch.setattr(_sampled_rank, "LARGE_PRIMES", small)
        q = 2053 * 4093
        polynomials = [[q, 0, -q], [0, 2 * q], [q, 0, q]]
        runs = [pc.linear_independence(polynomials, 2, rng=seed, max_error=0.9) for seed in range(400)]
        bounds = [run.error_bound for run in runs]
        wrong = sum(run.rank < 2 for run in runs) / len(runs)
        assert 0 < wrong <= min(bounds) <= max(bounds) < 0.5


def test_column_bounds() -> None:
    rng = np.random.default_rng(3)
    basis = pc.MonomialBasis(2, 2)
    coef: Any = np.array(
        [[Fraction(int(a), int(b)) for a, b in rng.integers(1, 9, (6, 2))] for _ in range(4)], dtype=object
    )
    sigmas: list[Row] = [[0, 0, 0, 1], [Fraction(1, 2), -3, Fraction(2, 7)]]
    for sigma in sigmas:
        family = _Family(coef, basis, pc.MLP((1, 1, 1), [*sigma, 0]).activations[0])
        d = math.lcm(*(Fraction(s).denominator for s in sigma))
        d *= math.lcm(*(c.denominator for c in coef.reshape(-1))) ** (len(sigma) - 1)
        for terms, bound in zip(expansions(coef, basis, sigma), family.log2_columns):
            scaled = [c * d for c in terms.values()]
            assert all(c.denominator == 1 for c in scaled)
            assert math.log2(sum(map(abs, scaled))) <= bound + 1e-9
    assert log2_fraction(Fraction(0)) == -math.inf
    assert log2_polynomial([Fraction(0)], np.array([3.0])).tolist() == [-math.inf]
    assert log2_polynomial(
        [Fraction(1, 2), Fraction(0), Fraction(-3)], np.array([-math.inf, 1.0, 5000.0])
    ) == pytest.approx([-1.0, math.log2(12.5), 10000 + math.log2(3)])


class TestInput:
    """One family of polynomials in every form that is accepted."""

    expected = pc.linear_independence([[1, 0, -1], [0, 2], [1, 0, 1]], 2)

    @pytest.mark.parametrize(
        "polynomials",
        [
            [(1, 0, -1), np.array([0, 2]), [1.0, 0.0, 1.0]],
            [Polynomial([1, 0, -1]), Polynomial([0, 2]), Polynomial([1, 0, 1])],
            (Chebyshev([0.5, 0, -0.5]), [0, 2, 0, 0, 0], [Fraction(1), 0, Fraction(2, 2)]),
            np.array([[1, 0, -1], [0, 2, 0], [1, 0, 1]]),
            [{(0,): 1, (2,): -1}, {(1,): 2}, {(0,): 1, (2,): 1}],
        ],
        ids=["lists", "numpy", "mixed", "array", "dicts"],
    )
    def test_one_variable(self, polynomials: Any) -> None:
        assert pc.linear_independence(polynomials, 2) == self.expected

    def test_a_basis_larger_than_needed(self) -> None:
        basis = pc.MonomialBasis(1, 5)
        padded = [[1, 0, -1, 0, 0, 0], [0, 2, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0]]
        assert pc.linear_independence(padded, 2, basis=basis) == self.expected

    def test_sympy_and_flint(self) -> None:
        x, y = sympy.symbols("x y")
        polynomials = [sympy.Poly(e, x, y) for e in (x**2, y**2, (x + y) ** 2, (x - y) ** 2)]
        result = pc.linear_independence([p.as_dict() for p in polynomials], 1)
        assert result.relation == (2, 2, -1, -1)
        halves = pc.linear_independence([sympy.Poly(p.as_expr() / 2, x, y).as_dict() for p in polynomials], 1)
        assert halves.relation == (2, 2, -1, -1)
        context = flint.fmpz_mpoly_ctx.get(("x", "y"), flint.Ordering.deglex)
        a, b = context.gens()
        found = pc.linear_independence([p.to_dict() for p in (a**2, b**2, (a + b) ** 2, (a - b) ** 2)], 1)
        assert found.relations == result.relations

    def test_network_polynomials(self) -> None:
        net = pc.MLP((2, 2, 3), 2)
        polynomial = net.polynomial([1, 2, 3, 4, 1, 0, 0, 1, 1, 1])
        result = pc.linear_independence(polynomial, 1)
        assert (result.rank, result.relation) == (2, (1, 1, -1))
        floats = net.polynomial([1.0, 2, 3, 4, 1, 0, 0, 1, 1, 1])
        assert pc.linear_independence(floats, 1).relation == (1, 1, -1)

    def test_activations(self) -> None:
        forms = [[1, 0], [0, 1]]
        for activation in (2, [0, 0, 1], Polynomial([0, 0, 1]), np.array([0, 0, 1]), [0, 0, 1, 0]):
            assert pc.linear_independence(forms, activation, basis=LINEAR).activation == "z^2"

    @pytest.mark.parametrize(
        ("polynomials", "options", "error", "match"),
        [
            ([], {}, ValueError, "at least one"),
            ("abc", {}, TypeError, "`polynomials`"),
            (5, {}, TypeError, "`polynomials`"),
            (None, {}, TypeError, "`polynomials`"),
            ([[1, 2], "x"], {}, TypeError, r"polynomials\[1\]"),
            ([[1, None]], {}, TypeError, r"polynomials\[0\]"),
            ([[1, 2j]], {}, TypeError, "real"),
            ([[1, math.nan]], {}, ValueError, "finite"),
            ([[[1, 2]]], {}, ValueError, "shape"),
            ([[1, 2], {(1,): 2}], {}, TypeError, "dicts"),
            ([{(1,): 2}, {(1, 0): 2}], {}, ValueError, "one length"),
            ([{(-1,): 2}], {}, ValueError, r"polynomials\[0\]"),
            ([{1: 2}], {}, TypeError, "exponents"),
            ([[1, 2, 3]], {"basis": LINEAR}, ValueError, "n_monomials=2"),
            ([[1, 2]], {"basis": 3}, TypeError, "MonomialBasis"),
            ([[1, 2]], {"max_error": 0}, ValueError, "max_error"),
            ([[1, 2]], {"rng": None}, TypeError, "rng"),
            (pc.MLP((2, 2, 1), 2).polynomial([1, 2, 3, 4, 5, 6]), {"basis": LINEAR}, ValueError, "basis"),
        ],
    )
    def test_bad_input(self, polynomials: Any, options: Any, error: type[Exception], match: str) -> None:
        with pytest.raises(error, match=match):
            pc.linear_independence(polynomials, 2, **options)

    def test_bad_activations_and_sizes(self) -> None:
        with pytest.raises(TypeError, match="activation"):
            pc.linear_independence([[1, 2]], "relu")
        with pytest.raises(ValueError, match="activation"):
            pc.linear_independence([[1, 2]], -1)
        with pytest.raises((MemoryError, OverflowError)):
            pc.linear_independence([{(10**9,) + (0,) * 30: 1}], 2)


def test_repr_is_a_summary() -> None:
    text = repr(pc.linear_independence([[1, 0, -1], [0, 2], [1, 0, 1]], 2))
    assert "dependent" in text
    assert "σ(p[0]) + σ(p[1]) − σ(p[2]) = 0" in text
    assert "k(k−2) = 3 does not hold" in text
    assert len(text.splitlines()) < 12
    many = repr(pc.linear_independence([[i, 1] for i in range(30)], 20))
    assert "more terms" in many
    assert "and 8 more" in many
