# SPDX-License-Identifier: BSD-3-Clause
"""Veronese rows against scikit-learn, numpy's Vandermonde functions, exact powers, and hostile input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import polynomial

from polycore.errors import NumericalError
from polycore.monomials import MonomialBasis
from polycore.veronese import veronese

SIZES = [(7, 1, 6), (40, 2, 8), (33, 3, 4), (100, 4, 4), (20, 6, 3), (5, 20, 2), (1, 10, 3), (257, 3, 1), (3, 12, 4)]


def brute_force(X: np.ndarray, basis: MonomialBasis) -> np.ndarray:
    columns = [np.prod(X**exponent, axis=1) for exponent in basis.exponents]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(("n_samples", "n_vars", "degree"), SIZES)
def test_equals_scikit_learn(
    on_backend: str, rng: np.random.Generator, n_samples: int, n_vars: int, degree: int
) -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    X = rng.normal(size=(n_samples, n_vars))
    np.testing.assert_allclose(
        veronese(X, degree), preprocessing.PolynomialFeatures(degree).fit_transform(X), rtol=degree * 2e-16, atol=0
    )


@pytest.mark.parametrize("homogeneous", [False, True])
@pytest.mark.parametrize(("n_samples", "n_vars", "degree"), SIZES)
def test_small_integers_give_exact_powers(
    on_backend: str, rng: np.random.Generator, n_samples: int, n_vars: int, degree: int, homogeneous: bool
) -> None:
    X = rng.integers(-9, 10, size=(n_samples, n_vars))
    basis = MonomialBasis(n_vars, degree, homogeneous)
    np.testing.assert_array_equal(veronese(X, degree, homogeneous), brute_force(X, basis))
    np.testing.assert_array_equal(veronese(X, basis), brute_force(X, basis))


def test_equals_numpy_vandermonde(on_backend: str, rng: np.random.Generator) -> None:
    x, y, z = rng.normal(size=(3, 50))
    np.testing.assert_allclose(veronese(x[:, None], 9), polynomial.polyvander(x, 9), rtol=1e-14)
    e = MonomialBasis(2, 5).exponents
    full = polynomial.polyvander2d(x, y, [5, 5]).reshape(50, 6, 6)
    np.testing.assert_allclose(veronese(np.stack([x, y], axis=1), 5), full[:, e[:, 0], e[:, 1]], rtol=1e-14)
    e = MonomialBasis(3, 4).exponents
    full = polynomial.polyvander3d(x, y, z, [4, 4, 4]).reshape(50, 5, 5, 5)
    rows = veronese(np.stack([x, y, z], axis=1), 4)
    np.testing.assert_allclose(rows, full[:, e[:, 0], e[:, 1], e[:, 2]], rtol=1e-14)


def test_slide_example() -> None:
    """K. Kohn, "Neuromanifolds": v(x, y) = (1, x, y, x^2, xy, y^2)."""
    x, y = 3.0, -2.0
    np.testing.assert_array_equal(veronese([[x, y]], 2), [[1, x, y, x * x, x * y, y * y]])


def test_rows_times_coefficients_is_evaluation(on_backend: str, rng: np.random.Generator) -> None:
    basis = MonomialBasis(4, 3)
    X, coef = rng.normal(size=(60, 4)), rng.normal(size=len(basis))
    np.testing.assert_allclose(veronese(X, basis) @ coef, basis.evaluate(coef, X), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_layout_or_threads(on_backend: str, rng: np.random.Generator, dtype: Any) -> None:
    X = rng.normal(size=(3001, 5)).astype(dtype)
    expected = veronese(X, 4, n_threads=1)
    assert expected.dtype == dtype
    assert expected.flags.c_contiguous
    for n_threads in (2, 3, 8):
        np.testing.assert_array_equal(veronese(X, 4, n_threads=n_threads), expected)
    in_columns = veronese(X, 4, order="F")
    assert in_columns.flags.f_contiguous
    np.testing.assert_array_equal(in_columns, expected)
    for order in "CF":
        out = np.full(expected.shape, np.nan, dtype=dtype, order=order)
        assert veronese(X, 4, out=out) is out
        np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(veronese(X[17:18], 4), expected[17:18])
    np.testing.assert_array_equal(veronese(np.asfortranarray(X), 4), expected)


def misaligned(X: np.ndarray) -> np.ndarray:
    buffer = np.zeros(X.nbytes + 1, dtype=np.uint8)
    view = buffer[1:].view(X.dtype).reshape(X.shape)
    view[...] = X
    return view


def read_only(X: np.ndarray) -> np.ndarray:
    X = X.copy()
    X.flags.writeable = False
    return X


@pytest.mark.parametrize(
    "disguise",
    [
        pytest.param(lambda X: X.tolist(), id="list"),
        pytest.param(lambda X: X.astype(">f8"), id="big-endian"),
        pytest.param(lambda X: X.astype(np.int16), id="int16"),
        pytest.param(lambda X: X.astype(np.int64), id="int64"),
        pytest.param(lambda X: X.astype(np.float16), id="float16"),
        pytest.param(lambda X: np.repeat(X, 2, axis=0)[::2], id="strided"),
        pytest.param(lambda X: X[::-1, ::-1].copy()[::-1, ::-1], id="negative strides"),
        pytest.param(misaligned, id="misaligned"),
        pytest.param(read_only, id="read-only"),
    ],
)
def test_lossless_input_is_accepted(disguise: Callable[[np.ndarray], Any]) -> None:
    X = np.arange(12.0).reshape(4, 3) - 5
    result = veronese(disguise(X), 3)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, veronese(X, 3))


def test_dtype_is_kept_or_widened() -> None:
    X = np.ones((2, 2), dtype=np.float32)
    assert veronese(X, 2).dtype == np.float32
    assert veronese(X.astype(">f4"), 2).dtype == np.dtype(np.float32)
    assert veronese(X, 2, dtype=np.float64).dtype == np.float64
    with pytest.raises(TypeError, match="precision"):
        veronese(X.astype(np.float64), 2, dtype=np.float32)


def test_empty_and_constant() -> None:
    assert veronese(np.zeros((0, 3)), 2).shape == (0, 10)
    np.testing.assert_array_equal(veronese([[5.0, 6.0]], 0), [[1.0]])
    np.testing.assert_array_equal(veronese([[5.0, 6.0]], 0, homogeneous=True), [[1.0]])
    np.testing.assert_array_equal(veronese([[0.0]], 3), [[1.0, 0.0, 0.0, 0.0]])


X23 = np.ones((2, 3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None, 2), TypeError, "`X`"),
        (("text", 2), TypeError, "`X`"),
        (([[1.0, 2.0], [3.0]], 2), TypeError, "rectangular"),
        ((X23.astype(object), 2), TypeError, "object"),
        ((X23.astype(complex), 2), TypeError, "real"),
        ((X23.astype(np.longdouble), 2), TypeError, "precision"),
        (([[2**53 + 1]], 2), ValueError, "exactly"),
        ((np.float64(1.0), 2), ValueError, "shape"),
        (([1.0, 2.0], 2), ValueError, r"X\[:, None\]"),
        ((np.ones((2, 2, 2)), 2), ValueError, "shape"),
        ((np.ones((2, 0)), 2), ValueError, "n_vars >= 1"),
        (([[1.0, 2.0], [np.nan, 0.0]], 2), ValueError, "row 1, column 0"),
        (([[1.0, np.inf]], 2), ValueError, "row 0, column 1"),
        (([[1.0, -np.inf]], 2), ValueError, "row 0, column 1"),
        ((X23, -1), ValueError, "`degree`"),
        ((X23, 2.5), TypeError, "`degree`"),
        ((X23, True), TypeError, "`degree`"),
        ((X23, None), TypeError, "`degree`"),
        ((X23, MonomialBasis(2, 2)), ValueError, "n_vars=2"),
        ((X23, MonomialBasis(3, 2), True), ValueError, "basis"),
        ((X23, 2, "no"), TypeError, "`homogeneous`"),
        ((np.zeros((1, 784)), 9), OverflowError, "Moments"),
        ((X23, 10**9), OverflowError, "64-bit"),
        ((np.ones((2, 1)), 10**14), MemoryError, "GiB"),
        ((np.zeros((0, 4)), 10**9), OverflowError, "64-bit"),
        (([[1e200]], 2), NumericalError, "row 0"),
        ((np.array([[1.0], [-1e30]], dtype=np.float32), 3), NumericalError, "row 1"),
    ],
)
def test_bad_input(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        veronese(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"order": "A"}, ValueError, "`order`"),
        ({"dtype": np.int64}, TypeError, "`dtype`"),
        ({"n_threads": -1}, ValueError, "`n_threads`"),
        ({"n_threads": 1.0}, TypeError, "`n_threads`"),
        ({"out": [[0.0] * 10] * 2}, TypeError, "`out`"),
        ({"out": np.zeros((2, 9))}, ValueError, r"\(2, 10\)"),
        ({"out": np.zeros((2, 10), dtype=np.float32)}, TypeError, "float64"),
        ({"out": np.zeros((2, 10), dtype=">f8")}, TypeError, "native"),
        ({"out": np.zeros((2, 20))[:, ::2]}, ValueError, "contiguous"),
        ({"out": np.broadcast_to(0.0, (2, 10))}, ValueError, "read-only"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        veronese(X23, 2, **options)


def test_out_must_not_overlap_the_input() -> None:
    memory = np.ones(40)
    with pytest.raises(ValueError, match="overlap"):
        veronese(memory[:6].reshape(2, 3), 2, out=memory[:20].reshape(2, 10))


def test_largest_finite_powers_are_kept() -> None:
    x = math.sqrt(np.finfo(np.float64).max) * 0.999
    assert np.isfinite(veronese([[x]], 2)).all()
