# SPDX-License-Identifier: BSD-3-Clause
"""Gram matrices against AᵀA, exact Hankel structure, and the operator against the dense matrix."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg, eigsh

from polycore import _backend
from polycore import gram as gram_module
from polycore.errors import NumericalError
from polycore.gram import gram_matrix, gram_operator
from polycore.moments import Moments
from polycore.monomials import MonomialBasis
from polycore.veronese import veronese

BASES = [
    MonomialBasis(1, 0),
    MonomialBasis(1, 9),
    MonomialBasis(2, 5),
    MonomialBasis(3, 3),
    MonomialBasis(6, 2),
    MonomialBasis(1, 4, homogeneous=True),
    MonomialBasis(2, 4, homogeneous=True),
    MonomialBasis(4, 3, homogeneous=True),
    MonomialBasis(3, 0, homogeneous=True),
]


def moments_of(X: np.ndarray, basis: MonomialBasis, extra_degree: int = 0) -> Moments:
    homogeneous = basis.homogeneous and not extra_degree
    m = Moments(basis.n_vars, 2 * basis.degree + extra_degree, homogeneous=homogeneous)
    m.update(X)
    return m


@pytest.mark.parametrize("basis", BASES, ids=repr)
def test_equals_direct_product(on_backend: str, rng: np.random.Generator, basis: MonomialBasis) -> None:
    X = rng.normal(size=(200, basis.n_vars))
    A = veronese(X, basis)
    m = moments_of(X, basis)
    Q = m.gram(basis)
    np.testing.assert_allclose(Q, A.T @ A, rtol=1e-11, atol=1e-10 * np.abs(Q).max())
    np.testing.assert_array_equal(Q, gram_matrix(m.moments, basis))
    np.testing.assert_array_equal(Q, Q.T)


@pytest.mark.parametrize("basis", BASES, ids=repr)
def test_entries_are_moments_bit_for_bit(on_backend: str, rng: np.random.Generator, basis: MonomialBasis) -> None:
    m = moments_of(rng.normal(size=(30, basis.n_vars)), basis)
    sums = basis.exponents[:, None, :] + basis.exponents[None, :, :]
    positions = m.basis.index(sums.reshape(-1, basis.n_vars)).reshape(len(basis), len(basis))
    np.testing.assert_array_equal(m.gram(basis), m.moments[positions])


def test_one_variable_gives_the_hankel_matrix(on_backend: str, rng: np.random.Generator) -> None:
    """Kohn's slides: A is Vandermonde, AᵀA has the entries Σ a_k^(i+j)."""
    m = moments_of(rng.normal(size=(50, 1)), MonomialBasis(1, 7))
    np.testing.assert_array_equal(m.gram(MonomialBasis(1, 7)), scipy.linalg.hankel(m.moments[:8], m.moments[7:]))


def test_six_by_six_example(on_backend: str) -> None:
    """Kohn's slides: the Gram matrix for (1, x, y, x², xy, y²), entry by entry."""
    points = np.array([[1, 2], [3, -1], [0, 2], [-2, 5]])
    powers = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    expected = [[int(np.prod(points ** np.add(a, b), axis=1).sum()) for b in powers] for a in powers]
    basis = MonomialBasis(2, 2)
    np.testing.assert_array_equal(moments_of(points, basis).gram(basis), expected)


@pytest.mark.parametrize("basis", BASES, ids=repr)
@pytest.mark.parametrize("extra_degree", [1, 2, 5])
def test_higher_moments_hold_lower_bases(
    on_backend: str, rng: np.random.Generator, basis: MonomialBasis, extra_degree: int
) -> None:
    """In graded order lower degrees are a prefix, and a single degree is a slice."""
    X = rng.integers(-3, 4, size=(40, basis.n_vars))
    high = moments_of(X, basis, extra_degree)
    np.testing.assert_array_equal(high.gram(basis), moments_of(X, basis).gram(basis))
    c = rng.normal(size=len(basis))
    np.testing.assert_array_equal(high.gram_operator(basis) @ c, moments_of(X, basis).gram_operator(basis) @ c)
    if not basis.homogeneous:
        np.testing.assert_array_equal(gram_matrix(high.moments, basis), high.gram(basis))


@pytest.mark.parametrize("basis", BASES, ids=repr)
def test_operator_equals_dense(on_backend: str, rng: np.random.Generator, basis: MonomialBasis) -> None:
    m = moments_of(rng.normal(size=(60, basis.n_vars)), basis)
    Q, operator = m.gram(basis), m.gram_operator(basis)
    n = len(basis)
    assert isinstance(operator, LinearOperator)
    assert operator.shape == (n, n)
    assert operator.dtype == np.float64
    C = rng.normal(size=(n, 5))

    def close(actual: np.ndarray, expected: np.ndarray) -> None:
        # Both sum n products: the error is relative to the sum of their sizes, not to what is left of it.
        np.testing.assert_allclose(actual, expected, rtol=0, atol=4e-16 * (n + 8) * (np.abs(Q) @ np.abs(C)).max())
        assert actual.shape == expected.shape

    close(operator @ C, Q @ C)
    close(operator.matmat(C), Q @ C)
    close(operator.rmatmat(C), Q @ C)
    close(operator.matvec(C[:, 0]), Q @ C[:, 0])
    close(operator.rmatvec(C[:, 0]), Q @ C[:, 0])
    close(operator.matvec(C[:, :1]), Q @ C[:, :1])
    close(operator.T @ C, Q @ C)
    close(operator.H @ C, Q @ C)
    close((2 * operator + operator) @ C, 3 * (Q @ C))
    complex_product = operator @ (C + 1j * C[:, ::-1])
    close(complex_product.real, Q @ C)
    close(complex_product.imag, Q @ C[:, ::-1])
    close(operator.apply(C.T.reshape(5, 1, n)).reshape(5, n).T, Q @ C)
    close(operator @ np.asfortranarray(C)[:, ::-1], Q @ C[:, ::-1])
    np.testing.assert_array_equal(operator.to_dense(), Q)
    np.testing.assert_array_equal(operator @ np.eye(n), Q)


def test_products_that_overflow_raise(on_backend: str) -> None:
    operator = gram_operator(np.full(15, 1e300), MonomialBasis(2, 2))
    for coef in (np.full(6, 1e10), np.full((6, 2), 1e10)):
        with pytest.raises(NumericalError, match="overflow"):
            operator @ coef


def test_operator_bits_do_not_depend_on_batch_or_threads(on_backend: str, rng: np.random.Generator) -> None:
    basis = MonomialBasis(4, 4)
    m = moments_of(rng.normal(size=(60, 4)), basis)
    C = rng.normal(size=(len(basis), 11))
    one = m.gram_operator(basis, n_threads=1)
    product = one @ C
    for n_threads in (0, 2, 3, 8):
        np.testing.assert_array_equal(m.gram_operator(basis, n_threads=n_threads) @ C, product)
    for k in range(11):
        np.testing.assert_array_equal(one @ C[:, k], product[:, k])


def test_operator_takes_part_in_scipy(rng: np.random.Generator) -> None:
    basis = MonomialBasis(3, 3)
    m = moments_of(rng.normal(size=(500, 3)), basis)
    Q, operator = m.gram(basis), m.gram_operator(basis)
    assert aslinearoperator(operator) is operator
    largest = eigsh(operator, k=3, return_eigenvectors=False, v0=np.ones(len(basis)))
    np.testing.assert_allclose(np.sort(largest), np.linalg.eigvalsh(Q)[-3:], rtol=1e-9)
    b = Q @ np.ones(len(basis))
    solution, info = cg(operator, b, rtol=1e-12, maxiter=1000)
    assert info == 0
    np.testing.assert_allclose(solution, 1.0, rtol=1e-6)
    copied = pickle.loads(pickle.dumps(operator))
    np.testing.assert_array_equal(copied @ b, operator @ b)


@pytest.mark.skipif(_backend.name() == "numpy", reason="the readable definition works with tables of positions")
def test_operator_memory_is_that_of_the_moments() -> None:
    basis = MonomialBasis(6, 6)  # 924 monomials, 18,564 moments; the dense matrix has 853,776 entries
    values = np.ones(len(MonomialBasis(6, 12)))
    operator = gram_operator(values, basis)
    c = np.ones(len(basis))
    operator @ c
    tracemalloc.start()
    result = gram_operator(values, basis) @ c
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(result, len(basis))
    assert peak < 8 * 924**2 / 10


B2 = MonomialBasis(2, 2)
GOOD = np.ones(15)


@pytest.mark.parametrize("make", [gram_matrix, gram_operator])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((GOOD, 2), TypeError, "`basis`"),
        ((GOOD, None), TypeError, "`basis`"),
        ((None, B2), TypeError, "`moments`"),
        (("moments", B2), TypeError, "`moments`"),
        ((GOOD.astype(complex), B2), TypeError, "real"),
        ((GOOD.astype(object), B2), TypeError, "object"),
        ((np.ones((1, 15)), B2), ValueError, "dimension"),
        ((np.ones(14), B2), ValueError, "n_moments=15"),
        ((np.ones(16), B2), ValueError, "n_moments=15"),
        ((np.ones(0), B2), ValueError, "n_moments=15"),
        ((np.ones(6), MonomialBasis(2, 2, homogeneous=True)), ValueError, "exactly 4"),
        ((np.where(np.arange(15) == 7, np.nan, 1.0), B2), ValueError, "index 7"),
        ((Moments(3, 4), B2), ValueError, "n_vars=2"),
        ((Moments(2, 3), B2), ValueError, "up to 4; got moments of degree up to 3"),
        ((Moments(2, 4, homogeneous=True), B2), ValueError, "exactly 4"),
        ((Moments(2, 6, homogeneous=True), MonomialBasis(2, 2, True)), ValueError, "exactly 4; got .* exactly 6"),
    ],
)
def test_bad_input(make: Any, arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(*arguments)


def test_methods_of_moments_check_too() -> None:
    m = Moments(2, 4)
    for method in (m.gram, m.gram_operator):
        with pytest.raises(TypeError, match="`basis`"):
            method(2)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="up to 6"):
            method(MonomialBasis(2, 3))
    with pytest.raises(ValueError, match="`n_threads`"):
        m.gram_operator(B2, n_threads=-1)


@pytest.mark.parametrize("bad", [None, "x", np.ones(5), np.ones((6, 2, 2)), np.full(6, np.nan), np.full(6, 1 + 0j)])
def test_bad_vectors(bad: Any) -> None:
    operator = gram_operator(GOOD, B2)
    with pytest.raises((TypeError, ValueError)):
        operator.apply(bad)


def test_too_large_a_matrix_names_the_operator() -> None:
    m = Moments(2, 2)
    with pytest.raises(OverflowError, match="gram_operator"):
        gram_matrix(m, MonomialBasis(20, 20))
    with pytest.raises((MemoryError, OverflowError), match="gram_operator"):
        gram_matrix(m, MonomialBasis(10, 20))


def test_dense_size_is_checked_before_the_moments_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram_module, "hankel_moments", lambda *_: pytest.fail("read the moments first"))
    with pytest.raises((MemoryError, OverflowError)):
        gram_matrix(np.ones(3), MonomialBasis(10, 20))
