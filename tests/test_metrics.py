# SPDX-License-Identifier: BSD-3-Clause
"""Metrics in closed form against exact integrals, invariances, and their definitions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.linalg

from polycore import metrics
from polycore.errors import NumericalError
from polycore.monomials import MonomialBasis
from polycore.networks import CNN
from polycore.support import MonomialSupport
from polycore.veronese import veronese

Basis = MonomialBasis | MonomialSupport

BASES: dict[str, Basis] = {
    "constants": MonomialBasis(2, 0),
    "univariate": MonomialBasis(1, 5),
    "degree at most 2": MonomialBasis(3, 2),
    "degree at most 3": MonomialBasis(2, 3),
    "forms": MonomialBasis(3, 3, homogeneous=True),
    "binary forms": MonomialBasis(2, 6, homogeneous=True),
    "support": CNN((2, 2), activation=2, n_inputs=4).support,
}
bases = pytest.mark.parametrize("basis", BASES.values(), ids=list(BASES))


def norm(metric: np.ndarray, coef: np.ndarray) -> float:
    return float(coef @ metric @ coef)


def transformed(basis: MonomialBasis, coef: np.ndarray, linear: np.ndarray, shift: Any = 0.0) -> np.ndarray:
    """Coefficients of x ↦ f(Lx + b), from its values at enough points."""
    X = np.random.default_rng(5).uniform(-1, 1, size=(3 * len(basis), basis.n_vars))
    return np.linalg.lstsq(veronese(X, basis), veronese(X @ linear.T + shift, basis) @ coef, rcond=None)[0]


# -- Bombieri–Weyl ----------------------------------------------------------------------------------------------------


@bases
def test_bombieri_weyl_weights_are_inverse_multinomials(basis: Basis) -> None:
    metric = metrics.bombieri_weyl(basis)
    assert np.array_equal(metric, np.diag(metric.diagonal()))
    for length, exponents in zip(metric.diagonal(), basis.exponents.tolist(), strict=True):
        filled = [*exponents, basis.degree - sum(exponents)]
        exact = Fraction(math.prod(math.factorial(e) for e in filled), math.factorial(basis.degree))
        assert length == float(exact)


@pytest.mark.parametrize("degree", [1, 2, 3, 5, 8])
def test_a_power_of_a_linear_form_has_the_length_of_its_power(degree: int, rng: np.random.Generator) -> None:
    a = rng.normal(size=3)
    basis = MonomialBasis(3, degree, homogeneous=True)
    multinomials = 1 / metrics.bombieri_weyl(basis).diagonal()
    power = multinomials * np.prod(a**basis.exponents, axis=1)
    X = rng.normal(size=(4, 3))
    np.testing.assert_allclose(veronese(X, basis) @ power, (X @ a) ** degree, rtol=1e-12, atol=1e-12)
    assert norm(metrics.bombieri_weyl(basis), power) == pytest.approx((a @ a) ** degree, rel=1e-13)


def test_a_power_of_an_affine_form_counts_the_constant(rng: np.random.Generator) -> None:
    basis, a = MonomialBasis(2, 4), rng.normal(size=3)  # (a0 + a1 x + a2 y)^4
    multinomials = 1 / metrics.bombieri_weyl(basis).diagonal()
    missing = 4 - basis.exponents.sum(axis=1)
    power = multinomials * a[0] ** missing * np.prod(a[1:] ** basis.exponents, axis=1)
    assert norm(metrics.bombieri_weyl(basis), power) == pytest.approx((a @ a) ** 4, rel=1e-13)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_quadratic_form_has_the_length_of_its_matrix(n: int, rng: np.random.Generator) -> None:
    matrix = rng.normal(size=(n, n))
    matrix = matrix + matrix.T
    basis = MonomialBasis(n, 2, homogeneous=True)
    coef = np.zeros(len(basis))
    for i, j in itertools.product(range(n), repeat=2):
        coef[basis.index(np.eye(n, dtype=int)[i] + np.eye(n, dtype=int)[j])] += matrix[i, j]
    assert norm(metrics.bombieri_weyl(basis), coef) == pytest.approx(np.sum(matrix**2), rel=1e-14)


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_bombieri_weyl_is_invariant_under_rotations(degree: int, rng: np.random.Generator) -> None:
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for homogeneous in (False, True):
        basis = MonomialBasis(3, degree, homogeneous)
        coef = rng.normal(size=len(basis))
        metric = metrics.bombieri_weyl(basis)
        assert norm(metric, transformed(basis, coef, rotation)) == pytest.approx(norm(metric, coef), rel=1e-11)
        plain = norm(metrics.identity(basis), transformed(basis, coef, rotation))
        assert plain != pytest.approx(norm(metrics.identity(basis), coef), rel=1e-3)


def test_bombieri_weyl_beyond_float64() -> None:
    with pytest.raises(NumericalError, match="degree 1100"):
        metrics.bombieri_weyl(MonomialBasis(2, 1100, homogeneous=True))


@bases
def test_identity(basis: Basis) -> None:
    assert np.array_equal(metrics.identity(basis), np.eye(len(basis)))


# -- population moments -----------------------------------------------------------------------------------------------


def exact_uniform(basis: Basis, low: list[Fraction], high: list[Fraction]) -> np.ndarray:
    """∫ x^(α+β) over the box, divided by its volume, in fractions."""

    def moment(k: int, a: Fraction, b: Fraction) -> Fraction:
        return (b ** (k + 1) - a ** (k + 1)) / ((k + 1) * (b - a))

    exponents = basis.exponents.tolist()
    rows = [[math.prod(map(moment, np.add(p, q).tolist(), low, high)) for p in exponents] for q in exponents]
    return np.array(rows, dtype=float)


def exact_gaussian(basis: Basis, mean: list[Fraction], covariance: list[list[Fraction]]) -> np.ndarray:
    """E[x^(α+β)] from the definition by Isserlis: expand Π(m_i + z_i) and sum over all pairings of the z."""

    def pairings(indices: tuple[int, ...]) -> Fraction:
        if not indices:
            return Fraction(1)
        first, rest = indices[0], indices[1:]
        terms = (covariance[first][j] * pairings(rest[:k] + rest[k + 1 :]) for k, j in enumerate(rest))
        return sum(terms, Fraction(0)) if len(indices) % 2 == 0 else Fraction(0)

    def moment(exponents: tuple[int, ...]) -> Fraction:
        factors = [i for i, e in enumerate(exponents) for _ in range(e)]
        total = Fraction(0)
        for chosen in itertools.product((False, True), repeat=len(factors)):
            means = math.prod((mean[i] for i, z in zip(factors, chosen, strict=True) if not z), start=Fraction(1))
            if means:
                total += means * pairings(tuple(i for i, z in zip(factors, chosen, strict=True) if z))
        return total

    known: dict[tuple[int, ...], Fraction] = {}
    exponents = basis.exponents.tolist()
    sums = [[tuple(int(e) for e in np.add(p, q)) for p in exponents] for q in exponents]
    for key in itertools.chain.from_iterable(sums):
        known.setdefault(key, moment(key)) if key not in known else None
    return np.array([[known[key] for key in row] for row in sums], dtype=float)


@bases
@pytest.mark.parametrize("kind", ["default", "shifted", "narrow", "one for all"])
def test_uniform_moments(basis: Basis, kind: str) -> None:
    n = basis.n_vars
    low, high = {
        "default": ([Fraction(-1)] * n, [Fraction(1)] * n),
        "shifted": ([Fraction(i, 2) - 3 for i in range(n)], [Fraction(i * i + 1, 4) for i in range(n)]),
        "narrow": ([Fraction(1)] * n, [Fraction(1) + Fraction(1, 2**20)] * n),
        "one for all": ([Fraction(1, 4)] * n, [Fraction(3, 2)] * n),
    }[kind]
    arguments = {} if kind == "default" else {"low": np.array(low, float), "high": np.array(high, float)}
    if kind == "one for all":
        arguments = {"low": 0.25, "high": 1.5}
    metric = metrics.uniform(basis, **arguments)
    np.testing.assert_allclose(metric, exact_uniform(basis, low, high), rtol=1e-14 * (1 + basis.degree))
    assert np.array_equal(metric, metric.T)


SMALL: dict[str, Basis] = {
    "univariate": MonomialBasis(1, 4),
    "degree at most 2": MonomialBasis(3, 2),
    "forms": MonomialBasis(2, 3, homogeneous=True),
    "quadrics": MonomialBasis(3, 2, homogeneous=True),
    "support": MonomialSupport(MonomialBasis(3, 3), [(0, 0, 0), (1, 1, 0), (1, 1, 1), (0, 0, 2)]),
}


@pytest.mark.parametrize("basis", SMALL.values(), ids=list(SMALL))
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("kind", ["standard", "variance", "variances", "dependent", "singular", "zero"])
def test_gaussian_moments(basis: Basis, centred: bool, kind: str) -> None:
    n = basis.n_vars
    mean = [Fraction(0)] * n if centred else [Fraction(i + 1, 2) * (-1) ** i for i in range(n)]
    root = [[Fraction(2 * (i == j) + (i > j) * (i - 3 * j), 2) for j in range(n)] for i in range(n)]
    dependent = [[sum(root[i][k] * root[j][k] for k in range(n)) for j in range(n)] for i in range(n)]
    ray = [Fraction(i + 1, 2) for i in range(n)]
    covariance = {
        "standard": [[Fraction(int(i == j)) for j in range(n)] for i in range(n)],
        "variance": [[Fraction(9, 4) * (i == j) for j in range(n)] for i in range(n)],
        "variances": [[Fraction(i + 1, 2) * (i == j) for j in range(n)] for i in range(n)],
        "dependent": dependent,
        "singular": [[ray[i] * ray[j] for j in range(n)] for i in range(n)],
        "zero": [[Fraction(0)] * n for _ in range(n)],
    }[kind]
    given: Any = np.array(covariance, float)
    given = {"standard": None, "variance": 2.25, "variances": np.diag(given), "zero": 0}.get(kind, given)
    metric = metrics.gaussian(basis, 0 if centred else np.array(mean, float), given)
    exact = exact_gaussian(basis, mean, covariance)
    lengths = np.sqrt(exact.diagonal())
    np.testing.assert_allclose(metric, exact, rtol=1e-13, atol=1e-13 * float(lengths.max(initial=1.0)) ** 2)
    assert np.array_equal(metric, metric.T)


def test_gaussian_is_a_change_of_variables(rng: np.random.Generator) -> None:
    """With x = Lz + m, the length of f in the moments of x is that of f(Lz + m) in those of z."""
    basis, root, mean = MonomialBasis(3, 3), rng.normal(size=(3, 3)), rng.normal(size=3)
    coef = rng.normal(size=len(basis))
    expected = norm(metrics.gaussian(basis), transformed(basis, coef, root, mean))
    assert norm(metrics.gaussian(basis, mean, root @ root.T), coef) == pytest.approx(expected, rel=1e-10)


def test_moments_by_sampling(rng: np.random.Generator) -> None:
    """Expectations, not sums: a Gram matrix of samples divided by their number tends to them."""
    basis, covariance = MonomialBasis(2, 2), np.array([[1.0, 0.6], [0.6, 0.5]])
    n = 200_000
    X = rng.multivariate_normal([0.3, -0.2], covariance, size=n)
    A = veronese(X, basis)
    np.testing.assert_allclose(A.T @ A / n, metrics.gaussian(basis, [0.3, -0.2], covariance), atol=0.05)
    A = veronese(rng.uniform([0, -2], [1, 1], size=(n, 2)), basis)
    np.testing.assert_allclose(A.T @ A / n, metrics.uniform(basis, [0, -2], [1, 1]), atol=0.05)


@bases
def test_population_metrics_are_positive_definite(basis: Basis) -> None:
    for metric in (metrics.gaussian(basis), metrics.uniform(basis), metrics.bombieri_weyl(basis)):
        assert scipy.linalg.cholesky(metric).shape == metric.shape


def test_overflowing_moments() -> None:
    basis = MonomialBasis(2, 4)
    for call in (
        lambda: metrics.gaussian(basis, 1e80),
        lambda: metrics.gaussian(basis, covariance=[[1e80, 1e79], [1e79, 1e80]]),
        lambda: metrics.uniform(basis, 0, 1e80),
    ):
        with pytest.raises(NumericalError, match="overflow"):
            call()


# -- random ones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "rank"), [(1, 1), (1, 0), (5, None), (6, 4), (6, 1), (7, 0), (40, 33)])
def test_random_metrics_have_the_rank_asked_for(n: int, rank: int | None) -> None:
    metric = metrics.random_semidefinite(n, rank, rng=3)
    wanted = n if rank is None else rank
    values = np.linalg.eigvalsh(metric)
    assert np.array_equal(metric, metric.T)
    assert np.abs(values[: n - wanted]).max(initial=0.0) < 1e-14
    assert ((values[n - wanted :] > 0.25 - 1e-12) & (values[n - wanted :] < 4 + 1e-12)).all()


def test_random_metrics_are_reproducible() -> None:
    first = metrics.random_semidefinite(5, 3, rng=7)
    assert np.array_equal(first, metrics.random_semidefinite(5, 3, rng=7))
    assert not np.array_equal(first, metrics.random_semidefinite(5, 3, rng=8))
    generator = np.random.default_rng(0)
    draws = [metrics.random_semidefinite(5, 3, rng=generator) for _ in range(2)]
    assert not np.array_equal(*draws)


def test_random_kernels_are_uniform() -> None:
    """The mean of projections on uniformly distributed planes of dimension 2 in 3-space is 2/3 of the identity."""
    projections = []
    for seed in range(3000):
        values, vectors = np.linalg.eigh(metrics.random_semidefinite(3, 2, rng=seed))
        assert values[0] < 1e-12
        projections.append(np.eye(3) - np.outer(vectors[:, 0], vectors[:, 0]))
    np.testing.assert_allclose(np.mean(projections, axis=0), np.eye(3) * 2 / 3, atol=0.03)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: metrics.uniform(b, 1, 1), r"`low` must be less than `high`, got 1.0 and 1.0 for variable 0"),
        (lambda b: metrics.uniform(b, [0, 3], 2), r"got 3.0 and 2.0 for variable 1"),
        (lambda b: metrics.uniform(b, [0, 0, 0], 2), r"`low` must be a number or have shape \(n_vars=2,\), got \(3,\)"),
        (lambda b: metrics.uniform(b, 0, np.inf), "`high` must be finite"),
        (lambda b: metrics.gaussian(b, [1, 2, 3]), "`mean` must be a number or have shape"),
        (lambda b: metrics.gaussian(b, np.nan), "`mean` must be finite"),
        (lambda b: metrics.gaussian(b, 0, -1), "`covariance` must not have negative variances, got -1"),
        (lambda b: metrics.gaussian(b, 0, [1, -2]), "`covariance` must not have negative variances, got -2"),
        (lambda b: metrics.gaussian(b, 0, np.eye(3)), r"`covariance` must have shape \(n_vars=2, n_vars=2\)"),
        (lambda b: metrics.gaussian(b, 0, [[1, 2], [2, 1]]), "`covariance` must be positive semidefinite.*-1 "),
        (lambda b: metrics.gaussian(b, 0, [[1, 0.5], [0, 1]]), r"`covariance` must be symmetric.*asymmetry, 0.5"),
        (lambda b: metrics.random_semidefinite(3, 4), "`rank` must be an integer with 0 <= rank <= 3, got 4"),
        (lambda b: metrics.random_semidefinite(0), "`n` must be an integer with 1 <= n"),
    ],
)
def test_bad_values(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(MonomialBasis(2, 2))


@pytest.mark.parametrize("name", list(metrics.NAMED))
def test_bases_are_bases(name: str) -> None:
    with pytest.raises(TypeError, match="`basis` must be a MonomialBasis or a MonomialSupport, got int"):
        metrics.NAMED[name](3)  # type: ignore[arg-type]
    with pytest.raises((MemoryError, OverflowError), match="metric on"):
        metrics.NAMED[name](MonomialBasis(784, 9))
