# SPDX-License-Identifier: BSD-3-Clause
"""The graded product and the correlation: python-flint as oracle, and adjointness in every ring and backend."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polycore.errors import NumericalError
from polycore.monomials import MonomialBasis
from polycore.product import correlation, graded_product

PRIMES = [2, 3, 65537, 2**31 - 1, 2**32 - 5, 2**59 - 55, 2**61 - 1]
SHAPES = [(1, 3, 2), (2, 0, 3), (2, 4, 4), (3, 3, 2), (3, 0, 0), (4, 2, 3), (6, 2, 1)]  # n_vars, degrees


def bases(n_vars, degree_a, degree_b, homogeneous):
    return [MonomialBasis(n_vars, d, homogeneous) for d in (degree_a, degree_b, degree_a + degree_b)]


def from_flint(polynomial, basis):
    """Coefficients of a flint polynomial as Python ints."""
    coef = [0] * len(basis)
    for exponents, c in polynomial.to_dict().items():
        coef[basis.index(exponents)] = int(c)
    return coef


# -- the oracle -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("homogeneous", [False, True])
@pytest.mark.parametrize(("n_vars", "degree_a", "degree_b"), SHAPES)
def test_integers_against_flint(on_backend, rng, n_vars, degree_a, degree_b, homogeneous):
    A, B, C = bases(n_vars, degree_a, degree_b, homogeneous)
    a, b = rng.integers(-100, 101, size=len(A)), rng.integers(-100, 101, size=len(B))
    expected = from_flint(A.to_flint(a) * B.to_flint(b), C)
    # Integers this small are exact in float64 too; float32 holds all sums below 2^24.
    assert graded_product(a, A, b, B).tolist() == expected
    assert graded_product(a.astype(complex), A, b, B).tolist() == expected
    single = graded_product((a // 10).astype(np.float32), A, (b // 10).astype(np.float32), B)
    assert single.dtype == np.float32
    assert single.tolist() == from_flint(A.to_flint(a // 10) * B.to_flint(b // 10), C)


@pytest.mark.parametrize("modulus", PRIMES)
@pytest.mark.parametrize("homogeneous", [False, True])
@pytest.mark.parametrize(("n_vars", "degree_a", "degree_b"), SHAPES)
def test_residues_against_flint(on_backend, rng, n_vars, degree_a, degree_b, homogeneous, modulus):
    A, B, C = bases(n_vars, degree_a, degree_b, homogeneous)
    a = rng.integers(0, modulus, size=(2, len(A)), dtype=np.uint64)
    b = rng.integers(0, modulus, size=(2, len(B)), dtype=np.uint64)
    a[0], b[0] = modulus - 1, modulus - 1  # the largest sums
    result = graded_product(a, A, b, B, modulus=modulus)
    assert result.dtype == np.uint64
    for row, x, y in zip(result, a, b):
        product = A.to_flint(x, modulus=modulus) * B.to_flint(y, modulus=modulus)
        assert row.tolist() == from_flint(product, C)


def test_integers_of_any_size_and_fractions(on_backend):
    basis, double = MonomialBasis(2, 3), MonomialBasis(2, 6)
    a = [10**40 + i for i in range(10)]
    assert graded_product(a, basis, a, basis).tolist() == from_flint(basis.to_flint(a) ** 2, double)
    b = [Fraction(1, i + 1) for i in range(10)]
    product = (basis.to_flint([Fraction(x) for x in a]) * basis.to_flint(b)).to_dict()
    result = graded_product(np.array(a, dtype=object), basis, b, basis)
    assert dict(zip(double, result)) == {tuple(map(int, e)): Fraction(int(c.p), int(c.q)) for e, c in product.items()}


@pytest.mark.parametrize("modulus", [7, 2**61 - 1])
def test_fractions_as_residues(on_backend, modulus):
    basis = MonomialBasis(1, 1)
    result = graded_product([Fraction(1, 2), -3], basis, [2, 10**30], basis, modulus=modulus)
    half = pow(2, -1, modulus)
    assert result.tolist() == [1, (half * 10**30 - 6) % modulus, -3 * 10**30 % modulus]


# -- adjointness and algebra ------------------------------------------------------------------------------------------

RINGS = ["float32", "float64", "complex128", 3, 2**31 - 1, 2**61 - 1]


def draw(rng, ring, shape):
    if isinstance(ring, int):
        return rng.integers(0, ring, size=shape, dtype=np.uint64)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if ring == "complex128" else x).astype(ring)


@pytest.mark.parametrize("ring", RINGS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n_vars=st.integers(1, 5),
    degree_a=st.integers(0, 4),
    degree_b=st.integers(0, 4),
    homogeneous=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_adjointness(on_backend, ring, n_vars, degree_a, degree_b, homogeneous, seed):
    A, B, C = bases(n_vars, degree_a, degree_b, homogeneous)
    rng = np.random.default_rng(seed)
    a, b, m = (draw(rng, ring, (2, len(basis))) for basis in (A, B, C))
    modulus = ring if isinstance(ring, int) else None
    product = graded_product(a, A, b, B, modulus=modulus)
    transposed = correlation(m, C, b, B, modulus=modulus)
    if modulus:
        left = (product.astype(object) * m).sum(axis=1) % modulus
        right = (a.astype(object) * transposed).sum(axis=1) % modulus
        assert left.tolist() == right.tolist()
        return
    # Both sides add the same Na Nb terms a_α b_β m_{α+β}, each with two roundings and at most Na Nb additions after it.
    terms = (graded_product(abs(a), A, abs(b), B) * abs(m)).sum(axis=1)
    bound = (len(A) * len(B) + len(C) + 2) * 2 * np.finfo(ring).eps * terms
    assert (abs((product * m).sum(axis=1) - (a * transposed).sum(axis=1)) <= bound).all()


@pytest.mark.parametrize("modulus", [5, 2**31 - 1, 2**61 - 1])
def test_product_is_commutative_associative_distributive(on_backend, rng, modulus):
    A, B, C = MonomialBasis(3, 2), MonomialBasis(3, 1), MonomialBasis(3, 3)
    a, c = (draw(rng, modulus, (4, len(A))) for _ in range(2))
    b = draw(rng, modulus, (4, len(B)))

    def times(x, X, y, Y):
        return graded_product(x, X, y, Y, modulus=modulus)

    assert np.array_equal(times(a, A, b, B), times(b, B, a, A))
    left = times(times(a, A, b, B), C, c, A)
    assert np.array_equal(left, times(a, A, times(b, B, c, A), C))
    total = (times(a, A, b, B) + times(c, A, b, B)) % np.uint64(modulus)
    assert np.array_equal(times((a + c) % np.uint64(modulus), A, b, B), total)


def test_product_of_values_is_value_of_product(on_backend, rng):
    A, B, C = bases(3, 2, 3, False)
    a, b, X = rng.normal(size=len(A)), rng.normal(size=len(B)), rng.normal(size=(10, 3))
    values = C.evaluate(graded_product(a, A, b, B), X)
    assert np.allclose(values, A.evaluate(a, X) * B.evaluate(b, X), rtol=1e-11, atol=1e-11)


def test_correlation_is_the_hankel_product(on_backend, rng):
    A, B, C = bases(2, 3, 2, False)
    m, b = rng.normal(size=len(C)), rng.normal(size=len(B))
    Q = np.array([[m[C.index(np.add(i, j))] for j in B] for i in A])
    assert np.allclose(correlation(m, C, b, B), Q @ b, rtol=1e-13, atol=1e-13)


# -- batches, out, dtypes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ring", ["float64", "complex128", 2**61 - 1])
@pytest.mark.parametrize(
    "lead", [((), ()), ((3,), ()), ((), (2, 3)), ((2, 1), (3,)), ((0,), (1,)), ((4, 1, 2), (3, 1))]
)
def test_batches_broadcast_and_have_the_bits_of_single_products(on_backend, rng, lead, ring):
    A, B, C = bases(2, 2, 3, False)
    a, b, m = (draw(rng, ring, (*s, len(basis))) for s, basis in zip((*lead, lead[0]), (A, B, C)))
    modulus = ring if isinstance(ring, int) else None
    shape = np.broadcast_shapes(*lead)
    product, transposed = graded_product(a, A, b, B, modulus), correlation(m, C, b, B, modulus)
    assert product.shape == (*shape, len(C))
    assert transposed.shape == (*shape, len(A))
    a, b, m = (np.broadcast_to(x, (*shape, x.shape[-1])) for x in (a, b, m))
    for i in np.ndindex(shape):
        assert np.array_equal(product[i], graded_product(a[i], A, b[i], B, modulus))
        assert np.array_equal(transposed[i], correlation(m[i], C, b[i], B, modulus))


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_bits_do_not_depend_on_threads(on_backend, rng, n_threads):
    A, B, C = bases(4, 3, 3, False)
    a, b, m = (rng.normal(size=(50, len(basis))) for basis in (A, B, C))
    assert np.array_equal(graded_product(a, A, b, B, n_threads=n_threads), graded_product(a, A, b, B, n_threads=1))
    assert np.array_equal(correlation(m, C, b, B, n_threads=n_threads), correlation(m, C, b, B, n_threads=1))


def test_out(on_backend, rng):
    A, B, C = bases(2, 2, 1, False)
    a, b, m = (rng.normal(size=(3, len(basis))) for basis in (A, B, C))
    out = np.full((3, len(C)), np.nan)
    assert graded_product(a, A, b, B, out=out) is out
    assert np.array_equal(out, graded_product(a, A, b, B))
    out = np.full((3, len(A)), np.nan)
    assert correlation(m, C, b, B, out=out) is out
    assert np.array_equal(out, correlation(m, C, b, B))
    with pytest.raises(ValueError, match="out"):
        graded_product(a, A, b, B, out=out)
    with pytest.raises(TypeError, match="out"):
        correlation(m, C, b, B, out=out.astype(np.float32))
    with pytest.raises(ValueError, match="overlap"):
        graded_product(m, C, [1.0], MonomialBasis(2, 0), out=m)


def test_any_layout_is_accepted(on_backend, rng):
    A, B, _ = bases(2, 2, 1, False)
    a, b = rng.normal(size=(4, 6)), rng.normal(size=(4, 3))
    expected = graded_product(a, A, b, B)
    strided = np.repeat(a, 2, axis=1)[:, ::2]
    read_only = a.copy()
    read_only.flags.writeable = False
    for same in (np.asfortranarray(a), strided, a[::-1][::-1], a.astype(">f8"), a.tolist(), read_only):
        assert np.array_equal(graded_product(same, A, b, B), expected)
    assert graded_product(a.astype(np.float32), A, b, B).dtype == np.float64


LINE = MonomialBasis(1, 1)


@pytest.mark.parametrize("function", [graded_product, correlation])
@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"b": None}, TypeError, "`b`"),
        ({"b": "ab"}, TypeError, "`b`"),
        ({"b": [[1, 2], [3]]}, TypeError, "`b`"),
        ({"b": 1.0}, ValueError, "`b`"),
        ({"b": [1, 2, 3]}, ValueError, "n_monomials=2"),
        ({"b": [1, np.nan]}, ValueError, "`b`"),
        ({"b": [1, np.inf]}, ValueError, "`b`"),
        ({"b": np.ones(2, dtype=np.longdouble)}, TypeError, "`b`"),
        ({"b": [1.0, 2.0], "modulus": 7}, TypeError, "`b`"),
        ({"b": [1, Fraction(1, 7)], "modulus": 7}, ValueError, "`b`"),
        ({"b": [1j, 1], "modulus": 7}, TypeError, "`b`"),
        ({"b": np.ones((3, 2)), "x": np.ones((2, 2))}, ValueError, "broadcast"),
        ({"modulus": 8}, ValueError, "modulus"),
        ({"modulus": 2**61 + 1}, ValueError, "modulus"),
        ({"modulus": 0}, ValueError, "modulus"),
        ({"modulus": 7.0}, TypeError, "modulus"),
        ({"basis_b": 1}, TypeError, "basis_b"),
        ({"basis_b": MonomialBasis(2, 1)}, ValueError, "basis_b.*n_vars"),
        ({"basis_b": MonomialBasis(1, 1, True)}, ValueError, "basis_b.*homogeneous"),
        ({"n_threads": -1}, ValueError, "n_threads"),
        ({"n_threads": 1.5}, TypeError, "n_threads"),
    ],
)
def test_bad_input(on_backend, function, changes, error, match):
    arguments = {"x": [1, 2], "b": [1, 2], "basis_b": LINE} | changes
    x, b, basis_b = (arguments.pop(name) for name in ("x", "b", "basis_b"))
    with pytest.raises(error, match=match):
        function(x, LINE, b, basis_b, **arguments)


def test_correlation_needs_a_functional_of_enough_degree(on_backend):
    with pytest.raises(ValueError, match="basis_b"):
        correlation([1, 2], LINE, [1, 2, 3], MonomialBasis(1, 2))


def test_overflow(on_backend):
    for call in (graded_product, correlation):
        with pytest.raises(NumericalError):
            call([1e308, 1e308], LINE, [1e308, 1], LINE)
