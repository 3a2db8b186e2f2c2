# SPDX-License-Identifier: BSD-3-Clause
"""Monomials: order, counting, ranking and unranking, names, values."""

from __future__ import annotations

import itertools
import math
import pickle
import random
import sys
from fractions import Fraction

import flint
import numpy as np
import pytest
import sympy

from polycore.errors import NumericalError
from polycore.monomials import MonomialBasis, count_monomials

SMALL = [(n, degree, h) for n in (1, 2, 3, 5) for degree in (0, 1, 2, 4) for h in (False, True)]


def by_definition(n_vars, degree, homogeneous):
    """All exponents, sorted by degree, then by x1 > x2 > ... from the highest power down."""
    rows = itertools.product(range(degree + 1), repeat=n_vars)
    rows = (e for e in rows if (sum(e) == degree if homogeneous else sum(e) <= degree))
    return sorted(rows, key=lambda e: (sum(e), tuple(-x for x in e)))


# -- counting and order -----------------------------------------------------------------------------------------------


def test_order_of_the_slides():
    assert MonomialBasis(2, 2).names(["x", "y"]) == ["1", "x", "y", "x^2", "x*y", "y^2"]


@pytest.mark.parametrize(("n_vars", "degree", "homogeneous"), SMALL)
def test_against_the_definition(n_vars, degree, homogeneous):
    basis = MonomialBasis(n_vars, degree, homogeneous)
    expected = by_definition(n_vars, degree, homogeneous)
    assert count_monomials(n_vars, degree, homogeneous) == len(basis) == basis.n_monomials == len(expected)
    assert list(basis) == expected
    assert basis.exponents.tolist() == [list(e) for e in expected]
    assert basis.exponents.dtype == np.int64
    assert [basis.exponent(i) for i in range(len(basis))] == expected
    assert [basis.index(e) for e in expected] == list(range(len(basis)))
    assert all(e in basis for e in expected)


@pytest.mark.parametrize(("n_vars", "degree"), [(784, 9), (10**9, 5), (3, 10**9), (10**5, 10**3), (20_000, 20_000)])
def test_counts_of_any_size(n_vars, degree):
    assert count_monomials(n_vars, degree) == math.comb(n_vars + degree, degree)
    assert count_monomials(n_vars, degree, homogeneous=True) == math.comb(n_vars + degree - 1, degree)


def test_large_counts_by_prime_powers():
    n, k = 200_000, 99_000  # far above the size where the built-in binomial is used
    assert count_monomials(n - k, k) == math.comb(n, k)


def test_counts_beyond_use_are_refused_at_once():
    with pytest.raises(OverflowError, match="bits"):
        count_monomials(10**9, 10**9)


def test_huge_bases_cost_nothing():
    basis = MonomialBasis(784, 9)
    assert basis.n_monomials == math.comb(793, 9) > sys.maxsize
    with pytest.raises(OverflowError):
        len(basis)
    assert basis
    assert basis.index(basis.exponent(basis.n_monomials - 1)) == basis.n_monomials - 1
    with pytest.raises((OverflowError, MemoryError), match="no table"):
        _ = basis.exponents
    with pytest.raises((OverflowError, MemoryError), match=r"basis\.name"):
        basis.names()
    assert next(iter(basis)) == (0,) * 784
    with pytest.raises((OverflowError, MemoryError)):
        MonomialBasis(10**15, 2).exponent(0)


# -- ranking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_vars", "degree", "homogeneous"),
    [
        (1, 999_999, False),
        (1, 10**9, True),
        (2, 1411, False),
        (2, 999_999, True),
        (3, 179, False),
        (4, 179, True),
        (5, 38, False),
        (9, 12, False),
        (19, 6, False),
        (46, 4, True),
        (60, 3, False),
        (200, 2, True),
        (1000, 1, False),
    ],
)
def test_round_trip_of_every_monomial(n_vars, degree, homogeneous):
    basis = MonomialBasis(n_vars, degree, homogeneous)
    assert len(basis) <= 10**6
    exponents = basis.exponents
    total = exponents.sum(axis=1)
    assert (exponents >= 0).all()
    assert (total == degree).all() if homogeneous else (total <= degree).all()
    assert np.array_equal(basis.index(exponents), np.arange(len(basis)))
    for i in random.Random(1).sample(range(len(basis)), min(50, len(basis))):
        assert basis.exponent(i) == tuple(exponents[i].tolist())
        assert basis.index(basis.exponent(i)) == i


@pytest.mark.parametrize(
    ("n_vars", "degree", "homogeneous"), [(2, 2, False), (3, 17, True), (6, 6, False), (30, 3, True)]
)
def test_round_trip_without_table(n_vars, degree, homogeneous):
    basis = MonomialBasis(n_vars, degree, homogeneous)
    for i, e in enumerate(basis):
        assert basis.exponent(i) == e
        assert basis.index(e) == i


@pytest.mark.parametrize(
    ("n_vars", "degree", "homogeneous"),
    [
        (1, 999_999, False),
        (1410, 2, True),
        (99_999, 1, True),
        (2, 3_000_000_000, False),
        (3, 3_000_000_000, True),
        (5, 14_000, False),
        (32, 35, False),
        (70, 18, True),
        (800, 8, False),
    ],
)
def test_round_trip_in_wide_and_huge_bases(n_vars, degree, homogeneous):
    basis = MonomialBasis(n_vars, degree, homogeneous)
    random_index = random.Random(2).randrange
    some = 100 if n_vars < 10_000 else 3
    indices = [0, basis.n_monomials - 1] + [random_index(basis.n_monomials) for _ in range(some)]
    rows = [basis.exponent(i) for i in indices]
    assert [basis.index(e) for e in rows] == indices
    ranks = basis.index(np.array(rows))
    assert ranks.tolist() == indices
    assert ranks.dtype == (np.int64 if basis.n_monomials < 2**63 else object)
    assert [basis.exponent(i - basis.n_monomials) for i in indices[:5]] == rows[:5]
    assert rows[0] in basis


def test_index_accepts_what_numpy_makes():
    basis = MonomialBasis(2, 300)
    for dtype in (np.int8, np.uint8, np.int32, np.uint64, np.int64, object):
        assert basis.index(np.array([[3, 4], [0, 0]], dtype=dtype)).tolist() == [basis.index((3, 4)), 0]
    table = basis.exponents[::-3]
    assert np.array_equal(basis.index(table), np.arange(len(basis))[::-3])
    assert np.array_equal(basis.index(np.asfortranarray(table)), np.arange(len(basis))[::-3])
    assert basis.index(np.empty((0, 2), dtype=int)).shape == (0,)
    assert type(basis.index(np.array([3, 4]))) is int


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ((1, 2, 3), ValueError),
        ((4, 0), ValueError),
        ((-1, 2), ValueError),
        ([[0, 0], [2, 2]], ValueError),
        ([[0, 0], [2**63 - 1, 2**63 - 1]], ValueError),
        ([[2**70, 0]], ValueError),
        (3, ValueError),
        ([[[1, 2]]], ValueError),
        ((1.0, 2.0), TypeError),
        ("ab", TypeError),
        (None, TypeError),
        ([[1, 2], [1]], TypeError),
        ((True, False), TypeError),
        ([1j, 0], TypeError),
    ],
)
def test_bad_exponents(bad, error):
    with pytest.raises(error, match="exponents"):
        MonomialBasis(2, 3).index(bad)


def test_bad_exponents_name_the_first_row():
    with pytest.raises(ValueError, match=r"exponents\[2\]` = \(2, 2\)"):
        MonomialBasis(2, 3).index([[0, 0], [1, 2], [2, 2], [9, 9]])
    with pytest.raises(ValueError, match="not a monomial"):
        MonomialBasis(2, 3, homogeneous=True).index([[1, 1]])


@pytest.mark.parametrize("bad", [6, -7, 10**30])
def test_bad_index(bad):
    with pytest.raises(IndexError, match="n_monomials=6"):
        MonomialBasis(2, 2).exponent(bad)


@pytest.mark.parametrize("bad", [1.0, "1", None, True])
def test_bad_kind_of_index(bad):
    with pytest.raises(TypeError, match="index"):
        MonomialBasis(2, 2).exponent(bad)


def test_membership_of_anything():
    basis = MonomialBasis(2, 3)
    assert (1, 2) in basis
    assert np.array([1, 2]) in basis
    for other in ((2, 2), (-1, 1), (1,), (1, 1, 1), 3, None, "ab", (1.5, 0), [[1, 2]]):
        assert other not in basis


@pytest.mark.parametrize("make", [MonomialBasis, count_monomials])
@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ((0, 2), ValueError, "n_vars"),
        ((-1, 2), ValueError, "n_vars"),
        ((2, -1), ValueError, "degree"),
        ((2, 2.5), TypeError, "degree"),
        ((2, 2.0), TypeError, "degree"),
        ((True, 2), TypeError, "n_vars"),
        ((2, np.True_), TypeError, "degree"),
        ((None, 2), TypeError, "n_vars"),
        ((2, "2"), TypeError, "degree"),
        ((2, 2, 1), TypeError, "homogeneous"),
        ((2, 2, None), TypeError, "homogeneous"),
    ],
)
def test_bad_arguments(make, arguments, error, name):
    with pytest.raises(error, match=name):
        make(*arguments)


def test_a_basis_is_a_value():
    basis = MonomialBasis(np.int32(3), np.uint8(2))
    assert basis == MonomialBasis(3, 2)
    assert hash(basis) == hash(MonomialBasis(3, 2))
    assert basis != MonomialBasis(3, 2, homogeneous=True)
    assert basis != (3, 2, False)
    assert eval(repr(basis)) == basis
    assert pickle.loads(pickle.dumps(basis)) == basis
    assert (basis.n_vars, basis.degree, basis.homogeneous, basis.form_vars) == (3, 2, False, 4)
    assert MonomialBasis(3, 2, True).form_vars == 3
    assert basis.exponents is basis.exponents
    with pytest.raises(ValueError, match="read-only"):
        basis.exponents[0, 0] = 1
    with pytest.raises(AttributeError):
        basis.degree = 3


# -- printing ---------------------------------------------------------------------------------------------------------


def test_names():
    basis = MonomialBasis(3, 3)
    assert basis.name(basis.index((2, 0, 1))) == "x1^2*x3"
    assert basis.name(basis.index((2, 0, 1)), latex=True) == "x_{1}^{2} x_{3}"
    assert basis.name(0) == basis.name(0, latex=True) == "1"
    assert basis.names(["a", "b", "c"])[-3:] == ["b^2*c", "b*c^2", "c^3"]
    assert basis.names(r"xyz")[4] == "x^2"
    assert basis.names([r"\alpha", "b", "c"], latex=True)[4] == r"\alpha^{2}"
    with pytest.raises(ValueError, match="symbols"):
        basis.names(["a"])
    with pytest.raises(TypeError, match="symbols"):
        basis.names([1, 2, 3])
    with pytest.raises(TypeError, match="symbols"):
        basis.names(3)


def test_format():
    basis = MonomialBasis(2, 2)
    assert basis.format(np.zeros(6)) == "0"
    assert basis.format([0, -1, 0, 0, 2, 0]) == "-x1 + 2*x1*x2"
    assert basis.format([-1, 0, 0, 0, 0, 0]) == "-1"
    fractions = [Fraction(1, 3), 0, 0, -Fraction(2, 7), 0, 0]
    assert basis.format(fractions) == "1/3 - 2/7*x1^2"
    assert basis.format(fractions, latex=True) == r"\frac{1}{3} - \frac{2}{7} x_{1}^{2}"
    assert basis.format([0, 1e-9, 0, 0, 0, 123456789.0]) == "1e-09*x1 + 1.23457e+08*x2^2"
    assert basis.format([0, 1e-9, 0, 0, 0, 0], latex=True) == r"1 \cdot 10^{-9} x_{1}"
    assert basis.format([1 - 2j, 0, 0, 0, 0, 0.5j]) == "(1 - 2j) + (0 + 0.5j)*x2^2"
    assert basis.format([1, 2, 3, 4, 5, 6], max_terms=5) == "1 + 2*x1 + 3*x2 + 4*x1^2 + 5*x1*x2 + ... (1 more term)"
    assert basis.format([1, 2, 3, 4, 5, 6], max_terms=1, latex=True) == r"1 + \cdots \;(\text{5 more terms})"
    assert basis.format([1, 2, 3, 4, 5, 6], max_terms=None).count("+") == 5
    with pytest.raises(ValueError, match="n_monomials=6"):
        basis.format([1, 2])


def test_to_sympy(rng):
    basis = MonomialBasis(3, 3)
    coef = rng.integers(-3, 4, size=len(basis))
    x = sympy.symbols("x1 x2 x3")
    expected = sum(int(c) * sympy.prod([v**k for v, k in zip(x, e)]) for c, e in zip(coef, basis))
    assert basis.to_sympy(coef) == expected
    a, b, c = sympy.symbols("a b c")
    assert basis.to_sympy([Fraction(1, 2)] + [0] * 19, "abc") == sympy.Rational(1, 2)
    assert basis.to_sympy(np.eye(20)[4] * 0.5, "abc") == 0.5 * a**2
    assert basis.to_sympy(np.eye(20, dtype=int)[:3], "abc") == [1, a, b]
    assert basis.to_sympy(np.eye(20)[3] * 2j, "abc") == 2.0 * sympy.I * c


def test_to_flint(rng):
    basis = MonomialBasis(2, 3, homogeneous=True)
    coef = rng.integers(-3, 4, size=(2, len(basis)))
    for polynomial, row in zip(basis.to_flint(coef), coef):
        assert isinstance(polynomial, flint.fmpz_mpoly)
        assert polynomial.to_dict() == {e: c for e, c in zip(basis, row.tolist()) if c}
    assert str(basis.to_flint([Fraction(1, 2), 0, -2, 0], ["s", "t"])) == "1/2*s^3 - 2*s*t^2"
    modular = basis.to_flint([Fraction(1, 2), 0, -2, 0], modulus=7)
    assert modular.to_dict() == {(3, 0): 4, (1, 2): 5}
    with pytest.raises(TypeError, match="coef"):
        basis.to_flint([0.5, 0, 0, 0])
    with pytest.raises(ValueError, match="coef"):
        basis.to_flint([Fraction(1, 7), 0, 0, 0], modulus=7)


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize(("n_vars", "degree", "homogeneous"), SMALL)
def test_evaluate(on_backend, rng, n_vars, degree, homogeneous, dtype):
    basis = MonomialBasis(n_vars, degree, homogeneous)
    coef = rng.normal(size=(2, 3, len(basis))).astype(dtype)
    X = rng.normal(size=(7, n_vars)).astype(dtype)
    if dtype is np.complex128:
        X = X + 1j * rng.normal(size=X.shape)
    values = basis.evaluate(coef, X)
    assert values.dtype == dtype
    rows = (X[:, None, :] ** basis.exponents).prod(axis=-1)
    # `degree` products and N sums, each off by at most one rounding.
    bound = (degree + len(basis)) * 4 * np.finfo(dtype).eps * (abs(coef) @ abs(rows).T)
    assert (abs(values - coef @ rows.T) <= bound).all()


def test_evaluate_exactly():
    basis = MonomialBasis(2, 3)
    coef = [Fraction(1, 3)] * 10
    x, y = Fraction(1, 7), Fraction(-2)
    expected = sum(Fraction(1, 3) * x**i * y**j for i, j in basis)
    assert basis.evaluate(coef, [[x, y]])[0] == expected


def test_evaluate_in_chunks(rng, monkeypatch):
    basis = MonomialBasis(2, 4)
    coef, X = rng.normal(size=(2, 15)), rng.normal(size=(100, 2))
    whole = basis.evaluate(coef, X)
    monkeypatch.setattr("polycore.monomials._CHUNK_ENTRIES", 100)
    assert np.allclose(basis.evaluate(coef, X), whole, rtol=1e-13, atol=1e-13)
    assert basis.evaluate(coef, X[:0]).shape == (2, 0)


@pytest.mark.parametrize(
    ("coef", "X", "error", "match"),
    [
        ([1, 2], [[1, 2]], ValueError, "coef"),
        ([1, 2, 3], [1, 2], ValueError, "X"),
        ([1, 2, 3], [[1, 2, 3]], ValueError, "X"),
        ([1, 2, np.nan], [[1, 2]], ValueError, "coef"),
        ([1, 2, 3], [[1, np.inf]], ValueError, "X.*row 0, column 1"),
        (["a", 2, 3], [[1, 2]], TypeError, "coef"),
        ([None, 2, 3], [[1, 2]], TypeError, "coef"),
        ([2**60 + 1, 2, 3], [[1, 2]], ValueError, "coef"),
        (np.ma.masked_equal([1, 2, 3], 2), [[1, 2]], ValueError, "coef"),
        ([1, 2, [3]], [[1, 2]], TypeError, "coef"),
        ([1, 2, 3], np.ones((1, 2), dtype=np.longdouble), TypeError, "X"),
    ],
)
def test_evaluate_bad_input(coef, X, error, match):
    with pytest.raises(error, match=match):
        MonomialBasis(2, 1).evaluate(coef, X)


def test_evaluate_overflow(on_backend):
    with pytest.raises(NumericalError):
        MonomialBasis(1, 4).evaluate([0, 0, 0, 0, 1], [[1e100]])
