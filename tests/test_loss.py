# SPDX-License-Identifier: BSD-3-Clause
"""The Q-distance against direct sums over samples and numpy's least squares; derivatives by complex step."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from polycore import _backend, _validation, network_loss
from polycore import loss as loss_module
from polycore.errors import NumericalError
from polycore.layers import Activation, Affine, Residual
from polycore.loss import ConditionWarning, NetworkLoss, QDistance
from polycore.moments import Moments
from polycore.monomials import MonomialBasis
from polycore.networks import CNN, MLP, LightningAttention, Network, Sequential
from polycore.support import MonomialSupport
from polycore.veronese import veronese

EPS = np.finfo(np.float64).eps
Make = Callable[..., QDistance]


def by_qr(X: np.ndarray, Y: np.ndarray, basis: MonomialBasis, **options: Any) -> QDistance:
    return QDistance.from_data(X, Y, basis, method="qr", **options)


def by_moments(X: np.ndarray, Y: np.ndarray, basis: MonomialBasis, **options: Any) -> QDistance:
    return QDistance.from_data(X, Y, basis, method="moments", **options)


def by_higher_moments(X: np.ndarray, Y: np.ndarray, basis: MonomialBasis, **options: Any) -> QDistance:
    """From inhomogeneous moments of a higher degree than needed."""
    m = Moments(basis.n_vars, 2 * basis.degree + 1, Y.shape[1], basis.degree + 1)
    m.update(X, Y)
    return QDistance.from_moments(m, basis, **options)


MAKERS = [by_qr, by_moments, by_higher_moments]


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Make:
    maker: Make = request.param
    return maker


# name, n_samples, n_outputs, basis: tall, square, fewer samples than monomials, one sample, forms
PROBLEMS = {
    "tall": (300, 2, MonomialBasis(2, 3)),
    "long": (5000, 1, MonomialBasis(3, 2)),
    "univariate": (400, 1, MonomialBasis(1, 6)),
    "square": (10, 1, MonomialBasis(2, 3)),
    "just more rows": (11, 3, MonomialBasis(2, 3)),
    "few rows": (6, 2, MonomialBasis(2, 4)),
    "one row": (1, 2, MonomialBasis(3, 2)),
    "forms": (200, 2, MonomialBasis(3, 3, homogeneous=True)),
    "few rows, forms": (4, 1, MonomialBasis(2, 5, homogeneous=True)),
    "constants": (20, 2, MonomialBasis(2, 0)),
}


@pytest.fixture(params=list(PROBLEMS))
def problem(request: pytest.FixtureRequest, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, MonomialBasis]:
    n, n_outputs, basis = PROBLEMS[request.param]
    return rng.uniform(-1.5, 1.5, size=(n, basis.n_vars)), rng.normal(size=(n, n_outputs)), basis


def direct_sum(X: np.ndarray, Y: np.ndarray, basis: MonomialBasis, coef: np.ndarray) -> np.ndarray:
    """Σ_s ‖f(x_s) − b_s‖², the definition."""
    return np.asarray(((veronese(X, basis) @ coef.swapaxes(-1, -2) - Y) ** 2).sum(axis=(-2, -1)))


# -- the identity -----------------------------------------------------------------------------------------------------


def test_value_plus_constant_is_the_sum_of_squared_errors(
    on_backend: str, problem: Any, make: Make, rng: np.random.Generator
) -> None:
    X, Y, basis = problem
    loss = make(X, Y, basis)
    coef = rng.normal(size=(2, 3, loss.n_outputs, len(basis)))
    expected = direct_sum(X, Y, basis, coef)
    values = loss.value(coef)
    assert values.shape == (2, 3)
    np.testing.assert_allclose(values + loss.constant, expected, rtol=1e-11, atol=1e-11 * (Y**2).sum())
    assert type(loss.value(coef[0, 0])) is float
    assert loss.value(coef[0, 0]) == pytest.approx(values[0, 0], rel=1e-13)
    np.testing.assert_allclose(loss.gradient(coef)[0, 0], loss.gradient(coef[0, 0]), rtol=1e-12, atol=1e-12)


def test_target_is_the_minimum_norm_fit(on_backend: str, problem: Any, make: Make) -> None:
    X, Y, basis = problem
    loss, A = make(X, Y, basis), veronese(X, basis)
    fit = np.linalg.pinv(A) @ Y
    tolerance = 100 * EPS * (loss.condition if make is not by_qr else loss.condition**0.5)
    np.testing.assert_allclose(loss.target.T, fit, atol=tolerance * np.abs(fit).max())
    assert loss.rank == np.linalg.matrix_rank(A)
    assert loss.constant == pytest.approx(((Y - A @ fit) ** 2).sum(), rel=1e-10, abs=1e-12 * (Y**2).sum() * len(basis))
    assert loss.value(loss.target) <= 1e-20 * max(1.0, (Y**2).sum())
    singular = np.linalg.svd(A, compute_uv=False)[: loss.rank]
    assert loss.condition == pytest.approx((singular[0] / singular[-1]) ** 2, rel=1e-5)
    np.testing.assert_allclose(loss.gram, A.T @ A, rtol=1e-10, atol=1e-12 * len(X))
    np.testing.assert_array_equal(loss.gram, loss.gram.T)


def test_kernel(on_backend: str, problem: Any, make: Make, rng: np.random.Generator) -> None:
    X, Y, basis = problem
    loss = make(X, Y, basis)
    n, nullity = len(basis), len(basis) - loss.rank
    assert loss.kernel.shape == (n, nullity)
    np.testing.assert_allclose(loss.kernel.T @ loss.kernel, np.eye(nullity), atol=1e-13)
    scale = np.abs(veronese(X, basis)).max()
    noise = 1e-13 if make is by_qr else 1e-7
    np.testing.assert_allclose(veronese(X, basis) @ loss.kernel, 0, atol=noise * scale)
    # A pseudometric: zero along the kernel, and the target has nothing of it.
    along = loss.target + rng.normal(size=(loss.n_outputs, nullity)) @ loss.kernel.T
    assert loss.value(along) <= 1e-13 * max(1.0, scale**2)
    np.testing.assert_allclose(loss.target @ loss.kernel, 0, atol=1e-12)


def test_gradient_is_that_of_the_quadratic(on_backend: str, problem: Any, make: Make, rng: np.random.Generator) -> None:
    X, Y, basis = problem
    loss = make(X, Y, basis)
    coef = rng.normal(size=(loss.n_outputs, len(basis)))
    A = veronese(X, basis)
    expected = 2 * (A @ coef.T - Y).T @ A
    np.testing.assert_allclose(loss.gradient(coef), expected, rtol=1e-8, atol=1e-9 * np.abs(loss.gram).max())


def test_value_is_never_negative(make: Make, rng: np.random.Generator) -> None:
    X, basis = rng.normal(size=(40, 2)), MonomialBasis(2, 3)
    Y = veronese(X, basis) @ rng.normal(size=(10, 1))  # a perfect fit: values are as small as they can be
    loss = make(X, Y, basis)
    for scale in (0.0, 1e-300, 1e-18, 1e-16, 1e-12, 1e-8):
        assert (loss.value(loss.target + scale * rng.normal(size=(50, 1, 10))) >= 0).all()
    assert 0 <= loss.constant <= 1e-12 * (Y**2).sum()
    operator = by_moments(X, Y, basis, dense=False)
    assert (operator.value(loss.target + 1e-12 * rng.normal(size=(50, 1, 10))) >= 0).all()


def test_exact_rational_example(make: Make) -> None:
    """A fit that can be done in Fractions by hand: a line through four points."""
    x, y = [0, 1, 2, 3], [1, 3, 5, 8]
    n, sx, sxx, sy, sxy = 4, sum(x), sum(v * v for v in x), sum(y), sum(a * b for a, b in zip(x, y))
    slope = Fraction(n * sxy - sx * sy, n * sxx - sx * sx)
    intercept = (sy - slope * sx) / n
    rest = sum((intercept + slope * a - b) ** 2 for a, b in zip(x, y))
    loss = make(np.array(x, dtype=float)[:, None], np.array(y, dtype=float)[:, None], MonomialBasis(1, 1))
    np.testing.assert_allclose(loss.target, [[float(intercept), float(slope)]], rtol=1e-14)
    assert loss.constant == pytest.approx(float(rest), rel=1e-12)
    np.testing.assert_array_equal(loss.gram, [[n, sx], [sx, sxx]])


# -- rank -------------------------------------------------------------------------------------------------------------


def test_samples_on_a_variety(make: Make, rng: np.random.Generator) -> None:
    """On the circle the polynomials of degree <= D restrict to a space of dimension 2D + 1."""
    angle = rng.uniform(0, 2 * np.pi, 200)
    X, Y = np.stack([np.cos(angle), np.sin(angle)], axis=1), rng.normal(size=(200, 1))
    for degree in (1, 2, 3, 5):
        assert make(X, Y, MonomialBasis(2, degree)).rank == 2 * degree + 1


@pytest.mark.parametrize("n_samples", range(12))
def test_rank_is_the_number_of_samples_until_it_is_full(make: Make, rng: np.random.Generator, n_samples: int) -> None:
    X, Y = rng.normal(size=(n_samples, 2)), rng.normal(size=(n_samples, 1))
    loss = make(np.repeat(X, 3, axis=0), np.repeat(Y, 3, axis=0), MonomialBasis(2, 3))
    assert loss.rank == min(n_samples, 10)


def test_no_samples_at_all(make: Make) -> None:
    loss = make(np.zeros((0, 2)), np.zeros((0, 3)), MonomialBasis(2, 2))
    assert (loss.rank, loss.constant, loss.condition) == (0, 0.0, 1.0)
    np.testing.assert_array_equal(loss.target, np.zeros((3, 6)))
    assert loss.value(np.ones((3, 6))) == 0.0
    np.testing.assert_allclose(loss.kernel @ loss.kernel.T, np.eye(6), atol=1e-15)


def test_units_of_the_variables_do_not_change_the_rank(make: Make, rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(100, 2)), rng.normal(size=(100, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConditionWarning)
        loss = make(X * [1e-5, 1e6], Y, MonomialBasis(2, 3))
    assert loss.rank == 10
    exponents = MonomialBasis(2, 3).exponents
    scaled = make(X, Y, MonomialBasis(2, 3)).target / np.prod(np.array([1e-5, 1e6]) ** exponents, axis=1)
    np.testing.assert_allclose(loss.target, scaled, rtol=1e-9)


def test_rank_tolerance_is_explicit(make: Make, rng: np.random.Generator) -> None:
    x = rng.normal(size=(100, 1))
    X = np.hstack([x, x + 1e-3 * rng.normal(size=(100, 1))])
    Y, basis = rng.normal(size=(100, 1)), MonomialBasis(2, 1)
    fine, coarse = make(X, Y, basis), make(X, Y, basis, rank_tol=1e-2)
    assert (fine.rank, coarse.rank) == (3, 2)
    assert coarse.rank_tol == 1e-2
    assert 0 < fine.rank_tol < 1e-6
    assert np.abs(coarse.target).max() < np.abs(fine.target).max()
    coef = rng.normal(size=(5, 1, 3))
    # What the coarse rank drops is below its tolerance, so the identity holds to that.
    np.testing.assert_allclose(coarse.value(coef) + coarse.constant, direct_sum(X, Y, basis, coef), rtol=1e-2)


def test_ill_conditioning_is_reported_with_its_remedies(rng: np.random.Generator) -> None:
    X = 1000 + rng.normal(size=(300, 1))
    with pytest.warns(ConditionWarning, match=r"standardise.*another basis.*QR"):
        loss = by_moments(X, X**2, MonomialBasis(1, 2))
    assert loss.condition > EPS**-0.5
    shifted = X - X.mean()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_moments(shifted, X**2, MonomialBasis(1, 2))
        by_qr(X, X, MonomialBasis(1, 1))
        by_moments(rng.normal(size=(5, 2)), np.ones((5, 1)), MonomialBasis(2, 3))  # deficient rank is normal
    with pytest.warns(ConditionWarning):
        by_qr(X * 1e3, X, MonomialBasis(1, 3))


def test_qr_keeps_the_digits_that_moments_square_away(rng: np.random.Generator) -> None:
    x = np.linspace(10, 11, 200)[:, None]
    coef = np.array([[1.0, -2.0, 3.0, -1.0]])
    Y = veronese(x, 3) @ coef.T
    basis = MonomialBasis(1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConditionWarning)
        qr, moments = by_qr(x, Y, basis), by_moments(x, Y, basis)
    error = np.abs(qr.target / coef - 1).max()
    assert error < 1e-5
    assert error < 1e-2 * np.abs(moments.target / coef - 1).max()


# -- operator mode ----------------------------------------------------------------------------------------------------


def test_operator_mode(on_backend: str, problem: Any, rng: np.random.Generator) -> None:
    X, Y, basis = problem
    loss, dense = by_moments(X, Y, basis, dense=False), by_qr(X, Y, basis)
    assert not loss.dense
    assert dense.dense
    assert loss.constant == 0.0
    coef = rng.normal(size=(4, loss.n_outputs, len(basis)))
    expected = direct_sum(X, Y, basis, coef)
    np.testing.assert_allclose(loss.value(coef), expected, rtol=1e-11, atol=1e-11 * (Y**2).sum())
    np.testing.assert_allclose(loss.gradient(coef), dense.gradient(coef), rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(loss.gram, dense.gram)
    np.testing.assert_array_equal(loss.gram_operator.to_dense(), dense.gram_operator.to_dense())
    np.testing.assert_array_equal(dense.gram_operator.to_dense(), dense.gram)
    for name in ("factor", "target", "rank", "rank_tol", "kernel", "condition"):
        with pytest.raises(MemoryError, match=rf"loss\.{name} needs dense.*{len(basis)} x {len(basis)}.*operator mode"):
            getattr(loss, name)
    assert "operator mode" in repr(loss)


def test_operator_mode_is_chosen_where_dense_would_not_fit(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    basis = MonomialBasis(6, 6)
    X, Y = rng.normal(size=(50, 6)), rng.normal(size=(50, 1))
    monkeypatch.setattr(_validation, "_SMALL_REQUEST", 0)
    monkeypatch.setattr(_validation, "available_memory", lambda: 8 * 924**2)
    loss = QDistance.from_data(X, Y, basis)
    assert not loss.dense
    coef = rng.normal(size=(1, len(basis)))
    assert loss.value(coef) == pytest.approx(float(direct_sum(X, Y, basis, coef)), rel=1e-11)
    with pytest.raises(MemoryError, match="dense=False"):
        QDistance.from_data(X, Y, basis, dense=True)
    with pytest.raises(ValueError, match="operator mode"):
        QDistance.from_data(X, Y, basis, method="qr")


def test_data_that_do_not_fit_go_through_moments(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    X, Y, basis = rng.normal(size=(3000, 2)), rng.normal(size=(3000, 1)), MonomialBasis(2, 2)
    monkeypatch.setattr(_validation, "_SMALL_REQUEST", 0)
    monkeypatch.setattr(_validation, "available_memory", lambda: 8 * 3000 * 6)
    monkeypatch.setattr(loss_module, "_triangular_factor", lambda *_: pytest.fail("made A"))
    loss = QDistance.from_data(X, Y, basis)
    assert loss.dense
    assert loss.rank == 6


def test_qr_works_on_blocks_of_rows(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    X, Y, basis = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 2)), MonomialBasis(2, 3)
    whole = by_qr(X, Y, basis)
    monkeypatch.setattr(loss_module, "_BLOCK_ENTRIES", 300)
    blocked = by_qr(X, Y, basis)
    np.testing.assert_allclose(blocked.target, whole.target, rtol=1e-11, atol=1e-13)
    assert blocked.constant == pytest.approx(whole.constant, rel=1e-13)


# -- restriction ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dense", [True, False])
def test_restriction_to_a_subspace(dense: bool, rng: np.random.Generator) -> None:
    basis = MonomialBasis(2, 3)
    X, Y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    loss = QDistance.from_data(X, Y, basis, dense=dense)
    A = veronese(X, basis)

    span = rng.normal(size=(4, 10))
    own = loss.restrict(span)
    assert (own.n_outputs, own.n_monomials, own.rank, own.basis) == (2, 4, 4, None)
    z = rng.normal(size=(3, 2, 4))
    np.testing.assert_allclose(own.value(z) + own.constant, loss.value(z @ span) + loss.constant, rtol=1e-11)
    np.testing.assert_allclose(own.gradient(z), loss.gradient(z @ span) @ span.T, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(own.target.T, np.linalg.lstsq(A @ span.T, Y)[0], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(own.gram, span @ A.T @ A @ span.T, rtol=1e-10, atol=1e-9)

    shared = rng.normal(size=(5, 2, 10))
    joint = loss.restrict(shared)
    assert (joint.n_outputs, joint.n_monomials) == (1, 5)
    z = rng.normal(size=(3, 1, 5))
    coef = np.einsum("bzi,ion->bon", z, shared)
    np.testing.assert_allclose(joint.value(z) + joint.constant, loss.value(coef) + loss.constant, rtol=1e-11)
    np.testing.assert_array_equal(joint.gram, joint.gram.T)
    assert "restricted to 5 coordinates" in repr(joint)


def test_restriction_to_everything_changes_nothing(make: Make, problem: Any, rng: np.random.Generator) -> None:
    X, Y, basis = problem
    loss = make(X, Y, basis)
    same = loss.restrict(np.eye(len(basis)))
    assert same.rank == loss.rank
    np.testing.assert_allclose(same.target, loss.target, rtol=1e-5, atol=1e-8)
    assert same.constant == pytest.approx(loss.constant, rel=1e-9, abs=1e-11)
    coef = rng.normal(size=(loss.n_outputs, len(basis)))
    assert same.value(coef) == pytest.approx(loss.value(coef), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("dense", [True, False])
def test_restrictions_that_overflow_raise(dense: bool, rng: np.random.Generator) -> None:
    loss = QDistance.from_data(rng.normal(size=(50, 2)), rng.normal(size=(50, 1)), MonomialBasis(2, 2), dense=dense)
    with pytest.raises(NumericalError, match="overflow"):
        loss.restrict(np.full((2, 6), 1e200))


@pytest.mark.parametrize("make", [by_qr, by_moments])
def test_the_factor_is_that_of_the_gram_matrix(make: Make, rng: np.random.Generator) -> None:
    loss = make(rng.normal(size=(50, 2)), rng.normal(size=(50, 1)), MonomialBasis(2, 2))
    np.testing.assert_allclose(loss.factor.T @ loss.factor, loss.gram, rtol=1e-12, atol=1e-12)
    assert not loss.factor.flags.writeable


def test_dependent_spans_are_handled(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(50, 2)), rng.normal(size=(50, 1))
    loss = by_qr(X, Y, MonomialBasis(2, 2))
    vector = rng.normal(size=(1, 6))
    twice = loss.restrict(np.vstack([vector, 2 * vector]))
    once = loss.restrict(vector)
    assert twice.rank == 1
    np.testing.assert_allclose(twice.target, once.target * [[1 / 5, 2 / 5]], rtol=1e-12)
    assert twice.constant == pytest.approx(once.constant)


# -- composed with a network ------------------------------------------------------------------------------------------

NETS = {
    "shallow": lambda: MLP((2, 3, 1), activation=2),
    "cubic, two outputs": lambda: MLP((2, 2, 2), activation=3),
    "bias": lambda: MLP((2, 3, 2), activation=2, bias=True),
    "deep": lambda: MLP((2, 2, 2, 1), activation=(2, 2)),
    "polynomial": lambda: MLP((2, 2, 1), activation=[0.5, -1.0, 0.25, 0.125]),
    "linear": lambda: MLP((3, 2, 2), activation=1),
    "no hidden layer": lambda: MLP((3, 2)),
    "one output": lambda: MLP((1, 2, 1), activation=2, bias=True),
}


def composed(net: MLP, rng: np.random.Generator, dense: bool = True) -> tuple[NetworkLoss, np.ndarray, np.ndarray]:
    X, Y = rng.uniform(-1, 1, size=(40, net.n_inputs)), rng.normal(size=(40, net.n_outputs))
    return QDistance.from_data(X, Y, net.basis, dense=dense).compose(net), X, Y


def complex_value(objective: NetworkLoss, theta: np.ndarray) -> complex:
    """The loss continued to complex parameters: transposes, no conjugation."""
    difference = objective.net.expand(theta) - objective.loss.target
    return complex((difference * (difference @ objective.loss.gram)).sum())


@pytest.fixture(params=list(NETS))
def net(request: pytest.FixtureRequest) -> MLP:
    built: MLP = NETS[request.param]()
    return built


@pytest.mark.parametrize("dense", [True, False])
def test_network_loss_is_the_sum_over_samples(on_backend: str, net: MLP, dense: bool, rng: np.random.Generator) -> None:
    objective, X, Y = composed(net, rng, dense)
    theta = net.random_params(rng=1, batch=(2, 3))
    expected = ((net.evaluate(theta, X) - Y) ** 2).sum(axis=(-2, -1))
    values, gradients = objective.value_and_gradient(theta)
    assert values.shape == (2, 3)
    assert gradients.shape == theta.shape
    np.testing.assert_allclose(values + objective.constant, expected, rtol=1e-11, atol=1e-11 * (Y**2).sum())
    np.testing.assert_array_equal(objective.value(theta), values)
    np.testing.assert_array_equal(objective.gradient(theta), gradients)
    value, gradient = objective.value_and_gradient(theta[1, 2])
    assert type(value) is float
    assert value == pytest.approx(values[1, 2], rel=1e-12)
    np.testing.assert_allclose(gradient, gradients[1, 2], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(values, objective.loss.value(net.expand(theta)), rtol=1e-10, atol=1e-11)


def test_batches_and_threads_have_the_bits_of_single_calls(net: MLP, rng: np.random.Generator) -> None:
    objective, _, _ = composed(net, rng)
    theta = net.random_params(rng=1, batch=(9,))
    values, gradients = objective.value_and_gradient(theta, n_threads=1)
    for n_threads in (0, 2, 3, 8):
        again = objective.value_and_gradient(theta, n_threads=n_threads)
        np.testing.assert_array_equal(again[0], values)
        np.testing.assert_array_equal(again[1], gradients)


@pytest.mark.parametrize("dense", [True, False])
def test_gradient_by_complex_step(on_backend: str, net: MLP, dense: bool) -> None:
    objective, _, _ = composed(net, np.random.default_rng(3), dense)
    reference, _, _ = composed(net, np.random.default_rng(3))
    theta = net.random_params(rng=2)
    h = 1e-30
    expected = [complex_value(reference, theta + 1j * h * e).imag / h for e in np.eye(net.n_params)]
    gradient = objective.gradient(theta)
    np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-11 * np.abs(expected).max())


def complex_gradient(objective: NetworkLoss, theta: np.ndarray) -> np.ndarray:
    difference = objective.net.expand(theta) - objective.loss.target
    return np.asarray(objective.net.vjp(theta, 2 * (difference @ objective.loss.gram.astype(complex))))


@pytest.mark.parametrize("dense", [True, False])
def test_hessian_by_complex_step(on_backend: str, net: MLP, dense: bool) -> None:
    objective, _, _ = composed(net, np.random.default_rng(3), dense)
    reference, _, _ = composed(net, np.random.default_rng(3))
    theta = net.random_params(rng=2, batch=(3,))
    h = 1e-30
    hessians = objective.hessian(theta)
    assert hessians.shape == (3, net.n_params, net.n_params)
    np.testing.assert_array_equal(hessians, hessians.swapaxes(-1, -2))
    for at, hessian in zip(theta, hessians, strict=True):
        expected = np.array([complex_gradient(reference, at + 1j * h * e).imag / h for e in np.eye(net.n_params)])
        np.testing.assert_allclose(hessian, expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())
        np.testing.assert_allclose(objective.hessian(at), hessian, rtol=1e-10, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("dense", [True, False])
def test_gauss_newton(on_backend: str, net: MLP, dense: bool) -> None:
    objective, X, _ = composed(net, np.random.default_rng(3), dense)
    theta = net.random_params(rng=2, batch=(2,))
    matrices = objective.gauss_newton(theta)
    np.testing.assert_array_equal(matrices, matrices.swapaxes(-1, -2))
    A = veronese(X, net.basis)
    for at, matrix in zip(theta, matrices, strict=True):
        J = net.jacobian(at).reshape(net.n_outputs, len(net.basis), net.n_params)
        images = (A @ J).reshape(-1, net.n_params)  # the Jacobian of all residuals
        np.testing.assert_allclose(matrix, 2 * images.T @ images, rtol=1e-9, atol=1e-10 * np.abs(matrix).max())
        assert np.linalg.eigvalsh(matrix)[0] >= -1e-12 * np.abs(matrix).max()
        np.testing.assert_allclose(objective.gauss_newton(at), matrix, rtol=1e-12, atol=1e-12 * np.abs(matrix).max())


def test_gauss_newton_is_the_hessian_of_a_linear_model(rng: np.random.Generator) -> None:
    net = MLP((3, 2))
    objective, _, _ = composed(net, rng)
    theta = net.random_params(rng=0)
    np.testing.assert_allclose(objective.hessian(theta), objective.gauss_newton(theta), rtol=1e-11, atol=1e-10)


def test_hessian_product(on_backend: str, net: MLP, rng: np.random.Generator) -> None:
    objective, _, _ = composed(net, rng)
    theta, v = net.random_params(rng=2, batch=(2,)), rng.normal(size=(4, 1, net.n_params))
    products = objective.hessian_product(theta, v)
    assert products.shape == (4, 2, net.n_params)
    expected = (objective.hessian(theta) @ v[..., None])[..., 0]
    np.testing.assert_allclose(products, expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())


def test_hessians_in_small_blocks_are_the_same(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    net = MLP((2, 3, 2), activation=2, bias=True)
    objective, _, _ = composed(net, rng)
    theta = net.random_params(rng=2, batch=(5,))
    hessian, gauss_newton = objective.hessian(theta), objective.gauss_newton(theta)
    for entries in (1, 30, 400):
        monkeypatch.setattr(network_loss, "_BLOCK_ENTRIES", entries)
        np.testing.assert_allclose(objective.hessian(theta), hessian, rtol=1e-12, atol=1e-11)
        np.testing.assert_allclose(objective.gauss_newton(theta), gauss_newton, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("name", list(NETS))
def test_backends_agree(name: str, on_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for backend in (on_backend, "numpy"):
        monkeypatch.setattr(_backend, "name", lambda backend=backend: backend)
        net = NETS[name]()
        objective, _, _ = composed(net, np.random.default_rng(5))
        theta = net.random_params(rng=7, batch=(3,))
        results.append([*objective.value_and_gradient(theta), objective.hessian(theta), objective.gauss_newton(theta)])
    for result, expected in zip(*results, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-10 * max(1.0, np.abs(expected).max()))


def test_symmetric_parameters_have_equal_losses(rng: np.random.Generator) -> None:
    """μ(W2 D^{-r}, D W1) = μ(W2, W1): the loss is constant along the fibre and its gradient orthogonal to it."""
    net = MLP((2, 3, 2), activation=2)
    objective, _, _ = composed(net, rng)
    theta = net.random_params(rng=4)
    parts = net.unpack(theta)
    scale = np.array([2.0, -0.5, 3.0])
    other = net.pack(W1=scale[:, None] * parts["W1"], W2=parts["W2"] / scale**2)
    assert objective.value(other) == pytest.approx(objective.value(theta), rel=1e-12)
    gradient = net.unpack(objective.gradient(theta))
    along = (gradient["W1"] * parts["W1"]).sum(axis=1) - 2 * (gradient["W2"] * parts["W2"]).sum(axis=0)
    np.testing.assert_allclose(along, 0, atol=1e-11 * np.abs(objective.gradient(theta)).max())


# -- on a support -----------------------------------------------------------------------------------------------------

SPARSE = {
    "convolutions": lambda: CNN((2, 2), activation=3, n_inputs=5),
    "strides and biases": lambda: CNN((2, 2), activation=[0, 1, 1], stride=2, n_inputs=6, bias=True),
    "attention": lambda: LightningAttention(2, 1, 2, n_tokens=2),
    "residual": lambda: Sequential(Residual(Affine(3), Activation(3), Affine(2)), Affine(2, bias=True), n_inputs=2),
    "fully connected": lambda: MLP((2, 3, 2), activation=2),
    "a constant": lambda: MLP((2, 2, 1), activation=0),
    "zero": lambda: MLP((2, 2, 1), activation=[0]),
}


@pytest.fixture(params=list(SPARSE))
def sparse(request: pytest.FixtureRequest) -> Network:
    built: Network = SPARSE[request.param]()
    return built


def samples(net: Network, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    return rng.uniform(-1.5, 1.5, size=(n, net.n_inputs)), rng.normal(size=(n, net.n_outputs))


@pytest.mark.parametrize("n_samples", [300, 7, 0])
def test_the_loss_on_a_support_is_that_on_the_basis_restricted(
    on_backend: str, sparse: Network, make: Make, n_samples: int, rng: np.random.Generator
) -> None:
    """Coefficients outside the support are zero: the restriction to the unit vectors of the support."""
    basis, support = sparse.basis, sparse.support
    X, Y = samples(sparse, n_samples)
    loss, dense = make_on_support(make, X, Y, support), make(X, Y, basis)
    assert (loss.basis, loss.n_monomials, loss.n_outputs, loss.dense) == (support, len(support), Y.shape[1], True)
    assert loss.gram.shape == (len(support), len(support))
    A = veronese(X, support)
    np.testing.assert_array_equal(loss.gram, loss.gram.T)
    scale = np.abs(dense.gram).max()
    np.testing.assert_allclose(loss.gram, dense.gram[np.ix_(support.positions, support.positions)], atol=1e-13 * scale)
    coef = rng.normal(size=(4, Y.shape[1], len(support)))
    whole = support.scatter(coef)
    expected = dense.value(whole) + dense.constant
    # Where the moments are too coarse for the rank, only what lies below their tolerance is lost.
    np.testing.assert_allclose(loss.value(coef) + loss.constant, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        loss.gradient(coef), support.gather(dense.gradient(whole)), rtol=1e-7, atol=1e-8 * max(1.0, scale)
    )
    assert loss.rank == (np.linalg.matrix_rank(A) if A.size else 0)
    assert loss.kernel.shape == (len(support), len(support) - loss.rank)
    np.testing.assert_allclose(A @ loss.kernel, 0, atol=1e-5 * max(1.0, np.abs(A).max(initial=0.0)))
    np.testing.assert_allclose(loss.target.T, np.linalg.pinv(A) @ Y if A.size else 0 * loss.target.T, atol=1e-5)
    if len(support) and n_samples:
        same = dense.restrict(np.eye(len(basis))[support.positions])
        assert loss.rank == same.rank
        assert loss.constant == pytest.approx(same.constant, rel=1e-9, abs=1e-9)
        np.testing.assert_allclose(loss.kernel @ loss.kernel.T, same.kernel @ same.kernel.T, atol=1e-5)


def make_on_support(make: Make, X: np.ndarray, Y: np.ndarray, support: MonomialSupport) -> QDistance:
    if make is not by_higher_moments:
        return make(X, Y, support)
    for homogeneous in {False, support.homogeneous}:
        more = 0 if homogeneous else 1
        m = Moments(support.n_vars, 2 * support.degree + more, Y.shape[1], support.degree + more, homogeneous)
        m.update(X, Y)
        loss = QDistance.from_moments(m, support)
    return loss


def test_network_loss_on_the_support_is_the_dense_one(on_backend: str, sparse: Network) -> None:
    X, Y = samples(sparse)
    own = QDistance.from_data(X, Y, sparse.support).compose(sparse)
    dense = QDistance.from_data(X, Y, sparse.basis).compose(sparse)
    theta = sparse.random_params(rng=1, batch=(2, 3))
    values, gradients = own.value_and_gradient(theta)
    errors = ((sparse.evaluate(theta, X) - Y) ** 2).sum(axis=(-2, -1))
    np.testing.assert_allclose(values + own.constant, errors, rtol=1e-11)
    np.testing.assert_allclose(own.value(theta) + own.constant, dense.value(theta) + dense.constant, rtol=1e-11)
    v = np.random.default_rng(2).normal(size=(3, sparse.n_params))
    for ours, theirs in (
        (gradients, dense.gradient(theta)),
        (own.gradient(theta), dense.gradient(theta)),
        (own.hessian(theta), dense.hessian(theta)),
        (own.gauss_newton(theta), dense.gauss_newton(theta)),
        (own.hessian_product(theta, v), dense.hessian_product(theta, v)),
    ):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-11 * max(1.0, np.abs(theirs).max()))
    np.testing.assert_array_equal(own.hessian(theta), own.hessian(theta).swapaxes(-1, -2))
    value, gradient = own.value_and_gradient(theta[1, 2])  # the short way of an optimiser
    assert type(value) is float
    assert value == pytest.approx(values[1, 2], rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(gradient, gradients[1, 2], rtol=1e-9, atol=1e-11 * max(1.0, np.abs(gradients).max()))
    copied = pickle.loads(pickle.dumps(own))
    np.testing.assert_array_equal(copied.gradient(theta), gradients)
    assert copied.loss.basis == sparse.support


def test_hessian_on_the_support_by_complex_step() -> None:
    """Without the dense loss: the gradient at complex parameters, from the sweeps of the network on its support."""
    net = CNN((2, 2), activation=2, n_inputs=4)
    objective = QDistance.from_data(*samples(net), net.support).compose(net)
    theta, h = net.random_params(rng=3), 1e-30

    def gradient(at: np.ndarray) -> np.ndarray:
        difference = net.expand(at, support=True) - objective.loss.target
        return np.asarray(net.vjp(at, 2 * (difference @ objective.loss.gram.astype(complex)), support=True))

    np.testing.assert_allclose(objective.gradient(theta), gradient(theta.astype(complex)).real, rtol=1e-11)
    expected = np.array([gradient(theta + 1j * h * e).imag / h for e in np.eye(net.n_params)])
    np.testing.assert_allclose(objective.hessian(theta), expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())


def test_a_network_whose_basis_does_not_fit() -> None:
    net = CNN((2, 2, 2), activation=3, n_inputs=40, stride=2)
    assert net.basis.n_monomials > 10**9
    X, Y = samples(net, 50)
    objective = QDistance.from_data(X, Y, net.support).compose(net)
    theta = net.random_params(rng=0)
    errors = ((net.evaluate(theta, X) - Y) ** 2).sum()
    assert objective.value(theta) + objective.constant == pytest.approx(errors, rel=1e-9)
    residual_gradient = 2 * net.program.engine.evaluate_vjp(theta, X, net.evaluate(theta, X) - Y).sum(axis=0)
    np.testing.assert_allclose(objective.gradient(theta), residual_gradient, rtol=1e-8, atol=1e-8 * errors)


def test_rows_of_a_support_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    net = SPARSE["convolutions"]()
    X, Y = samples(net)
    whole = [by_qr(X, Y, net.support), by_moments(X, Y, net.support)]
    monkeypatch.setattr(loss_module, "_BLOCK_ENTRIES", 300)
    for loss, method in zip(whole, ("qr", "moments"), strict=True):
        blocked = QDistance.from_data(X, Y, net.support, method=method)
        np.testing.assert_allclose(blocked.gram, loss.gram, rtol=1e-12, atol=1e-11)
        np.testing.assert_allclose(blocked.target, loss.target, rtol=1e-9, atol=1e-12)
        assert blocked.constant == pytest.approx(loss.constant, rel=1e-12)


def test_bad_losses_on_a_support(monkeypatch: pytest.MonkeyPatch) -> None:
    net = CNN((2, 2), activation=2, n_inputs=4)
    X, Y = samples(net, 20)
    loss = QDistance.from_data(X, Y, net.support)
    with pytest.raises(ValueError, match="loss on a support has no gram_operator"):
        _ = loss.gram_operator
    with pytest.raises(ValueError, match="`dense` must not be False on a MonomialSupport"):
        QDistance.from_data(X, Y, net.support, dense=False)
    m = Moments(4, 4, 2, homogeneous=True)
    with pytest.raises(ValueError, match="`dense` must not be False on a MonomialSupport"):
        QDistance.from_moments(m, net.support, dense=False)
    for bad, message in (
        (Moments(4, 3, 2, 2), r"2 \* basis.degree"),
        (Moments(4, 4, 2, 1), "cross_degree=2"),
        (Moments(4, 4), "n_targets=0"),
        (Moments(3, 4, 2), "n_vars=3"),
    ):
        with pytest.raises(ValueError, match=message):
            QDistance.from_moments(bad, net.support)
    for scale in (1e100, 1e160):  # sums of products, then monomials
        with pytest.raises(NumericalError, match="overflow"):
            QDistance.from_data(X * scale, Y, net.support)
    with pytest.raises(NumericalError, match="overflow"):
        by_moments(X, Y * 1e200, net.support)
    with pytest.raises(ValueError, match=f"n_monomials={len(net.support)}"):
        loss.value(np.ones((2, net.basis.n_monomials)))
    monkeypatch.setattr(_validation, "_SMALL_REQUEST", 0)
    monkeypatch.setattr(_validation, "available_memory", lambda: 8 * 5 * len(net.support) ** 2)
    for dense in (None, True):
        with pytest.raises(MemoryError, match="no operator mode"):
            QDistance.from_data(X, Y, net.support, dense=dense)


def test_supports_that_are_not_the_networks() -> None:
    net = CNN((2, 2), activation=2, n_inputs=4)
    X, Y = samples(net, 20)
    whole = MonomialSupport(net.basis, net.basis.exponents)  # the basis, but not as a basis
    others = [
        whole,
        MonomialSupport(net.basis, net.support.exponents[1:]),
        MonomialSupport(MonomialBasis(4, 2), net.support.exponents),
        MonomialBasis(4, 2),
    ]
    for other in others:
        with pytest.raises(ValueError, match=r"`net` must have the basis.*net\.basis or on net\.support"):
            QDistance.from_data(X, Y, other).compose(net)
    with pytest.raises(ValueError, match="n_outputs=1"):
        QDistance.from_data(X, Y[:, :1], net.support).compose(net)
    same = MonomialSupport(net.basis, net.support.exponents[::-1])
    assert QDistance.from_data(X, Y, same).compose(net).value(net.random_params(rng=0)) > 0
    assert "MonomialSupport(" in repr(QDistance.from_data(X, Y, same))


# -- bad input --------------------------------------------------------------------------------------------------------

B2 = MonomialBasis(2, 2)
X2, Y1 = np.ones((4, 2)), np.ones((4, 1))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None, Y1, B2), TypeError, "`X`"),
        ((X2, None, B2), TypeError, "`Y`"),
        ((X2, Y1, 2), TypeError, "`basis`"),
        ((X2.astype(complex), Y1, B2), TypeError, "`X` must be real"),
        ((X2, Y1.astype(object), B2), TypeError, "`Y`"),
        ((np.ones((4, 3)), Y1, B2), ValueError, "n_vars=2"),
        ((np.ones(4), Y1, B2), ValueError, "`X`"),
        ((X2, np.ones(4), B2), ValueError, r"Y\[:, None\]"),
        ((X2, np.ones((3, 1)), B2), ValueError, "n_samples=4"),
        ((X2, np.ones((4, 0)), B2), ValueError, "at least one column"),
        ((np.where(np.eye(4, 2) > 0, np.nan, 1.0), Y1, B2), ValueError, "`X`.*row 0"),
        ((X2, np.full((4, 1), np.inf), B2), ValueError, "`Y`.*row 0"),
        ((X2, Y1, B2, -1.0), ValueError, "`rank_tol`"),
        ((X2, Y1, B2, 1.0), ValueError, "`rank_tol`"),
        ((X2, Y1, B2, "x"), TypeError, "`rank_tol`"),
        ((X2 * 1e100, Y1, B2), NumericalError, "overflow"),
    ],
)
def test_bad_data(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        QDistance.from_data(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "svd"}, ValueError, "`method`"),
        ({"dense": 1}, TypeError, "`dense`"),
        ({"n_threads": -1}, ValueError, "`n_threads`"),
        ({"method": "qr", "dense": False}, ValueError, "operator mode"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        QDistance.from_data(X2, Y1, B2, **options)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(
    ("moments", "basis", "error", "message"),
    [
        (None, B2, TypeError, "`moments`"),
        (np.ones(15), B2, TypeError, "`moments`"),
        (Moments(2, 4, 1), 2, TypeError, "`basis`"),
        (Moments(2, 4), B2, ValueError, "n_targets=0"),
        (Moments(2, 3, 1, 2), B2, ValueError, "2 \\* basis.degree"),
        (Moments(2, 4, 1, 1), B2, ValueError, "cross_degree=2"),
        (Moments(3, 4, 1), B2, ValueError, "n_vars=3"),
        (Moments(2, 4, 1, homogeneous=True), B2, ValueError, "homogeneous"),
    ],
)
def test_bad_moments(moments: Any, basis: Any, error: type[Exception], message: str, dense: bool) -> None:
    with pytest.raises(error, match=message):
        QDistance.from_moments(moments, basis, dense=dense)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(
    ("coef", "error", "message"),
    [
        (None, TypeError, "`coef`"),
        ("c", TypeError, "`coef`"),
        (np.ones(6), ValueError, r"\(\.\.\., n_outputs=1, n_monomials=6\)"),
        (np.ones((2, 6)), ValueError, "n_outputs=1"),
        (np.ones((1, 5)), ValueError, "n_monomials=6"),
        (np.ones((1, 6), dtype=complex), TypeError, "real"),
        (np.full((1, 6), np.nan), ValueError, "finite"),
        (np.full((1, 6), 1e200), NumericalError, "overflow"),
    ],
)
def test_bad_coefficients(coef: Any, error: type[Exception], message: str, dense: bool) -> None:
    loss = QDistance.from_data(X2, Y1, B2, dense=dense)
    with pytest.raises(error, match=message):
        loss.value(coef)
    if error is not NumericalError:
        with pytest.raises(error, match=message):
            loss.gradient(coef)


def test_results_are_protected() -> None:
    loss = QDistance.from_data(X2, Y1, B2)
    for array in (loss.gram, loss.target, loss.kernel):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0
    with pytest.raises(TypeError, match="from_data"):
        QDistance(None, B2, 1, 6)  # type: ignore[arg-type]


@pytest.mark.parametrize("span", [np.ones((0, 6)), np.ones((2, 5)), np.ones(6), np.ones((2, 2, 6)), None])
def test_bad_spans(span: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="`span`"):
        QDistance.from_data(X2, Y1, B2).restrict(span)


def test_nets_that_do_not_fit(rng: np.random.Generator) -> None:
    loss = QDistance.from_data(rng.normal(size=(20, 2)), rng.normal(size=(20, 1)), B2)
    widths_degree_bias = [((2, 3, 1), 2, False), ((2, 3, 1), 3, True), ((2, 3, 2), 2, True), ((3, 3, 1), 2, True)]
    for widths, degree, bias in widths_degree_bias:
        net = MLP(widths, degree, bias=bias)
        with pytest.raises(ValueError, match="`net` must have the basis and outputs of the loss"):
            loss.compose(net)
    for other in (None, "net", loss):
        with pytest.raises(TypeError, match="`net`"):
            loss.compose(other)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="restricted"):
        loss.restrict(np.eye(6)).compose(MLP((2, 3, 1), 2, bias=True))


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("method", ["value", "gradient", "value_and_gradient", "hessian", "gauss_newton"])
def test_bad_parameters(on_backend: str, method: str, dense: bool, rng: np.random.Generator) -> None:
    net = MLP((2, 3, 1), activation=2)
    objective, _, _ = composed(net, rng, dense)
    function = getattr(objective, method)
    theta = net.random_params(rng=0)
    for bad, error in (
        (None, TypeError),
        ("theta", TypeError),
        (theta[:-1], ValueError),
        (np.append(theta, 1.0), ValueError),
        (theta.astype(complex), TypeError),
        (theta.astype(object), TypeError),
        (theta.astype(np.longdouble), TypeError),
        (np.float64(1.0), ValueError),
        (np.where(np.arange(9) == 4, np.nan, theta), ValueError),
        (np.where(np.arange(9) == 4, np.inf, theta), ValueError),
    ):
        with pytest.raises(error, match="`theta`"):
            function(bad)
    with pytest.raises(NumericalError):
        function(theta * 1e120)
    with pytest.raises((TypeError, ValueError), match="`n_threads`"):
        function(theta, n_threads=-1)


def test_lossless_parameters_are_accepted(rng: np.random.Generator) -> None:
    net = MLP((2, 3, 1), activation=2)
    objective, _, _ = composed(net, rng)
    theta = net.random_params(rng=0)
    value, gradient = objective.value_and_gradient(theta)
    for same in (theta.tolist(), theta.astype(">f8"), np.repeat(theta, 2)[::2], theta[::-1].copy()[::-1]):
        again = objective.value_and_gradient(same)
        assert again[0] == value
        np.testing.assert_array_equal(again[1], gradient)
    whole = np.arange(9)
    assert objective.value(whole) == objective.value(whole.astype(float))


def test_empty_batches(rng: np.random.Generator) -> None:
    net = MLP((2, 3, 1), activation=2)
    objective, _, _ = composed(net, rng)
    theta = np.zeros((0, net.n_params))
    assert objective.value(theta).shape == (0,)
    assert objective.gradient(theta).shape == (0, net.n_params)
    assert objective.hessian(theta).shape == (0, net.n_params, net.n_params)
    assert objective.gauss_newton(theta).shape == (0, net.n_params, net.n_params)


@pytest.mark.parametrize("dense", [True, False])
def test_pickles(dense: bool, rng: np.random.Generator) -> None:
    net = MLP((2, 3, 1), activation=2, bias=True)
    objective, _, _ = composed(net, rng, dense)
    theta = net.random_params(rng=0, batch=(2,))
    copied = pickle.loads(pickle.dumps(objective))
    np.testing.assert_array_equal(copied.value(theta), objective.value(theta))
    np.testing.assert_array_equal(copied.loss.gram, objective.loss.gram)


def test_reprs(rng: np.random.Generator) -> None:
    net = MLP((2, 3, 1), activation=2)
    objective, _, _ = composed(net, rng)
    assert "rank 3 of 3" in repr(objective.loss)
    assert "condition" in repr(objective.loss)
    assert repr(objective).startswith("NetworkLoss(")
