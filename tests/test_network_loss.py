# SPDX-License-Identifier: BSD-3-Clause
"""Losses of the user's own composed with networks; what they return wrongly is named. Q-distances: test_loss*.py."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from polycore.errors import NumericalError
from polycore.layers import Activation
from polycore.loss import QDistance
from polycore.metrics import random_semidefinite
from polycore.monomials import MonomialBasis
from polycore.network_loss import CoefficientLoss, NetworkLoss
from polycore.networks import CNN, MLP, Sequential
from polycore.support import MonomialSupport


class Quartic:
    """Σ (c − t)⁴ + (c − t)²/2: convex, with a Hessian that depends on c."""

    constant = 0.5

    def __init__(self, target: np.ndarray, basis: MonomialBasis | MonomialSupport | None) -> None:
        self.target, self.basis = target, basis
        self.n_outputs, self.n_monomials = target.shape

    def value(self, coef: Any) -> Any:
        d = coef - self.target
        return (d**4 + d**2 / 2).sum(axis=(-2, -1))

    def gradient(self, coef: Any) -> Any:
        d = coef - self.target
        return 4 * d**3 + d

    def hessian_product(self, coef: Any, dcoef: Any) -> Any:
        assert coef.shape == dcoef.shape  # what the protocol promises
        return (12 * (coef - self.target) ** 2 + 1) * dcoef


class Wrapped:
    """A Q-distance that offers no more than the protocol."""

    def __init__(self, loss: QDistance) -> None:
        self.inner = loss
        self.basis, self.constant = loss.basis, loss.constant
        self.n_outputs, self.n_monomials = loss.n_outputs, loss.n_monomials
        self.value, self.gradient, self.hessian_product = loss.value, loss.gradient, loss.hessian_product


NETS = {
    "forms": lambda: (MLP((3, 2, 2), activation=2), False),
    "biased": lambda: (MLP((2, 2, 1), activation=3, bias=True), False),
    "on the support": lambda: (CNN((2, 2), activation=2, n_inputs=5), True),
}
nets = pytest.mark.parametrize("name", list(NETS))


def quartic(name: str) -> tuple[NetworkLoss, Quartic, Any]:
    net, on_support = NETS[name]()
    basis = net.support if on_support else net.basis
    target = np.random.default_rng(0).normal(size=(net.n_outputs, len(basis)))
    loss = Quartic(target, basis)
    return NetworkLoss(loss, net), loss, net


# -- what it computes -------------------------------------------------------------------------------------------------


@nets
@pytest.mark.parametrize("dense", [True, False])
def test_a_distance_through_the_protocol_is_the_distance(name: str, dense: bool) -> None:
    net, on_support = NETS[name]()
    basis, rng = net.support if on_support else net.basis, np.random.default_rng(1)
    if on_support or dense:
        metric, target = random_semidefinite(len(basis), rng=1), rng.normal(size=(net.n_outputs, len(basis)))
        loss = QDistance.from_metric(metric, target, basis)
    else:
        X, Y = rng.normal(size=(60, net.n_inputs)), rng.normal(size=(60, net.n_outputs))
        loss = QDistance.from_data(X, Y, basis, dense=False)
    ours, theirs = NetworkLoss(Wrapped(loss), net), loss.compose(net)
    theta, v = net.random_params(rng=2, batch=(2, 3, 2))
    for method in ("value", "gradient", "hessian", "gauss_newton"):
        expected = getattr(theirs, method)(theta)
        tolerance = 1e-11 * np.abs(expected).max()
        np.testing.assert_allclose(getattr(ours, method)(theta), expected, rtol=1e-10, atol=tolerance)
    products = ours.hessian_product(theta, v), theirs.hessian_product(theta, v)
    np.testing.assert_allclose(*products, rtol=1e-9, atol=1e-10)
    assert (ours.constant, ours.lower_bound, theirs.lower_bound) == (theirs.constant, -np.inf, 0.0)
    # The default scale is that of the distance up to a factor between 1 and 6.
    ratio = ours.gradient_scale(theta) / theirs.gradient_scale(theta)
    coefs = net.expand(theta, support=on_support)
    needed = np.linalg.norm(loss.gradient(coefs), axis=(-2, -1))
    assert (ratio <= 6).all()
    assert (ours.gradient_scale(theta) >= needed * np.linalg.norm(net.jacobian(theta), axis=(-2, -1)) * 0.999).all()


@nets
def test_a_loss_that_is_not_quadratic(on_backend: str, name: str) -> None:
    objective, loss, net = quartic(name)
    theta, v = net.random_params(rng=3, batch=(2, 4))
    coef = net.expand(theta, support=objective.on_support)
    np.testing.assert_allclose(objective.value(theta), loss.value(coef), rtol=1e-13)
    value, gradient = objective.value_and_gradient(theta)
    np.testing.assert_array_equal(value, objective.value(theta))
    jacobian = net.jacobian(theta, support=objective.on_support)
    cotangent = loss.gradient(coef).reshape(4, -1)
    np.testing.assert_allclose(gradient, np.einsum("bcp,bc->bp", jacobian, cotangent), rtol=1e-9, atol=1e-10)
    weights = (12 * (coef - loss.target) ** 2 + 1).reshape(4, -1)
    expected = np.einsum("bcp,bc,bcq->bpq", jacobian, weights, jacobian)
    np.testing.assert_allclose(objective.gauss_newton(theta), expected, rtol=1e-9, atol=1e-10 * expected.max())
    hessian = objective.hessian(theta)
    np.testing.assert_array_equal(hessian, hessian.swapaxes(1, 2))
    for index in range(4):
        rows = hessian_by_complex_step(loss, net, theta[index], objective.on_support)
        np.testing.assert_allclose(hessian[index], rows, rtol=1e-10, atol=1e-11 * np.abs(rows).max())
    np.testing.assert_allclose(
        objective.hessian_product(theta, v), np.einsum("bij,bj->bi", hessian, v), rtol=1e-9, atol=1e-9
    )


def hessian_by_complex_step(loss: Quartic, net: Any, theta: np.ndarray, support: bool) -> np.ndarray:
    step = 1e-30

    def gradient(at: np.ndarray) -> np.ndarray:
        cotangent = loss.gradient(net.expand(at, support=support))
        return np.asarray(net.vjp(at, cotangent, support=support))

    return np.array([gradient(theta + 1j * step * unit).imag / step for unit in np.eye(net.n_params)])


def test_shapes_of_batches() -> None:
    objective, _, net = quartic("forms")
    P = net.n_params
    theta = net.random_params(rng=0, batch=(2, 3))
    assert type(objective.value(theta[0, 0])) is float
    assert type(objective.gradient_scale(theta[0, 0])) is float
    assert objective.value(theta).shape == objective.gradient_scale(theta).shape == (2, 3)
    assert objective.gradient(theta).shape == (2, 3, P)
    assert objective.hessian(theta).shape == objective.gauss_newton(theta).shape == (2, 3, P, P)
    assert objective.hessian_product(theta[0], theta[:, :1]).shape == (2, 3, P)
    assert objective.hessian(np.zeros((0, P))).shape == (0, P, P)
    assert objective.value(np.zeros((0, P))).shape == (0,)
    assert objective.gradient_scale(np.zeros((0, P))).shape == (0,)


@pytest.mark.parametrize("size", [3, 6])
def test_networks_without_parameters(size: int) -> None:
    net = Sequential(Activation(2), n_inputs=2)
    objective, theta = QDistance.from_metric(np.eye(size), np.ones((2, 3))).compose(net), np.zeros((4, 0))
    np.testing.assert_array_equal(objective.value(theta), 4.0)
    np.testing.assert_array_equal(objective.gradient_scale(theta), 0.0)
    assert objective.gradient(theta).shape == objective.hessian_product(theta, theta).shape == (4, 0)
    assert objective.hessian(theta).shape == objective.gauss_newton(theta).shape == (4, 0, 0)


def test_a_scale_and_a_bound_of_its_own() -> None:
    objective, loss, net = quartic("forms")

    class Bounded(Quartic):
        lower_bound = -3

        def gradient_scale(self, coef: Any) -> Any:
            return np.full(coef.shape[:-2], 2.0)

    own = NetworkLoss(Bounded(loss.target, loss.basis), net)
    theta = net.random_params(rng=1, batch=(3,))
    assert own.lower_bound == -3.0
    lengths = np.linalg.norm(net.jacobian(theta), axis=(-2, -1))
    np.testing.assert_allclose(own.gradient_scale(theta), 2 * lengths, rtol=1e-13)
    assert (objective.constant, objective.lower_bound) == (0.5, -np.inf)


def test_a_value_and_gradient_of_its_own() -> None:
    objective, loss, net = quartic("forms")
    theta = net.random_params(rng=1, batch=(3,))
    expected = objective.value_and_gradient(theta)
    calls = []

    def both(coef: Any) -> Any:
        calls.append(coef.shape)
        return Quartic.value(loss, coef), Quartic.gradient(loss, coef)

    loss.value_and_gradient = both  # type: ignore[attr-defined]
    for ours, theirs in zip(objective.value_and_gradient(theta), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert calls == [(3, 2, 6)]


def test_a_zero_jacobian_has_a_zero_gradient_and_scale() -> None:
    for objective in (quartic("forms")[0], QDistance.from_metric(np.eye(3), np.ones(3)).compose(MLP((2, 2, 1), 2))):
        theta = np.zeros(objective.n_params)
        assert objective.gradient_scale(theta) == 0
        assert not objective.gradient(theta).any()


def test_pickles() -> None:
    objective, _, net = quartic("biased")
    theta = net.random_params(rng=0)
    assert pickle.loads(pickle.dumps(objective)).value(theta) == objective.value(theta)


def test_distances_and_cross_entropy_follow_the_protocol() -> None:
    names = {name for name in vars(CoefficientLoss) if not name.startswith("_")}
    assert names == {"basis", "n_outputs", "n_monomials", "constant", "value", "gradient", "hessian_product"}
    net = MLP((2, 2, 1), activation=2)
    loss: CoefficientLoss = QDistance.from_metric(np.eye(3), np.ones(3))
    assert NetworkLoss(loss, net).loss is loss


# -- losses that do not keep the promise ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "missing", ["basis", "n_outputs", "n_monomials", "constant", "value", "gradient", "hessian_product"]
)
def test_what_is_missing_is_named(missing: str) -> None:
    net = MLP((2, 2, 1), activation=2)

    class Partial:
        pass

    loss = Partial()
    whole = Wrapped(QDistance.from_metric(np.eye(3), np.ones(3)))
    for name in ("basis", "n_outputs", "n_monomials", "constant", "value", "gradient", "hessian_product"):
        if name != missing:
            setattr(loss, name, getattr(whole, name))
    with pytest.raises(TypeError, match=rf"`loss` must be .*got Partial, without {missing}$"):
        NetworkLoss(loss, net)  # type: ignore[arg-type]


def test_classes_are_not_losses() -> None:
    for wrong in (QDistance, Quartic, 3, None, "loss"):
        with pytest.raises(TypeError, match="`loss` must be a QDistance, a CrossEntropy, or"):
            NetworkLoss(wrong, MLP((2, 2, 1), activation=2))  # type: ignore[arg-type]


Returned = tuple[str, Any, type[Exception], str]
WRONG: list[Returned] = [
    ("value", lambda c: np.zeros(7), ValueError, r"`loss.value\(coef\)` must return shape \(\) .*got \(7,\)"),
    ("value", lambda c: np.nan, NumericalError, r"`loss.value\(coef\)` returned NaN or infinity"),
    ("value", lambda c: None, TypeError, r"`loss.value\(coef\)`"),
    ("value", lambda c: 1j, TypeError, r"`loss.value\(coef\)` must be real"),
    ("gradient", lambda c: c[..., 0], ValueError, r"`loss.gradient\(coef\)` must return shape \(2, 6\)"),
    ("gradient", lambda c: c / 0.0, NumericalError, r"`loss.gradient\(coef\)` returned NaN or infinity"),
    ("gradient", lambda c: "no", TypeError, r"`loss.gradient\(coef\)`"),
    ("hessian_product", lambda c, d: d.sum(), ValueError, r"`loss.hessian_product\(coef, dcoef\)` must return shape"),
    ("hessian_product", lambda c, d: d * np.inf, NumericalError, r"`loss.hessian_product\(coef, dcoef\)` returned NaN"),
    (
        "gradient_scale",
        lambda c: np.zeros((2, 2)),
        ValueError,
        r"`loss.gradient_scale\(coef\)` must return shape \(1,\)",
    ),
    ("gradient_scale", lambda c: np.full(1, np.nan), NumericalError, r"`loss.gradient_scale\(coef\)` returned NaN"),
]


@pytest.mark.parametrize(("method", "wrong", "error", "message"), WRONG)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_what_a_loss_returns_is_checked(method: str, wrong: Any, error: type[Exception], message: str) -> None:
    objective, loss, net = quartic("forms")
    setattr(loss, method, wrong)
    theta = net.random_params(rng=0)
    call = {"hessian_product": "hessian"}.get(method, method)
    with pytest.raises(error, match=message):
        getattr(objective, call)(theta)


def test_errors_of_a_loss_pass_through() -> None:
    objective, loss, net = quartic("forms")

    def fails(coef: Any) -> Any:
        raise ZeroDivisionError("mine")

    loss.gradient = fails  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError, match="mine"):
        objective.gradient(net.random_params(rng=0))


def test_sizes_of_a_loss_have_to_fit() -> None:
    net = MLP((3, 2, 2), activation=2)
    for target, basis in (
        (np.zeros((1, 6)), net.basis),
        (np.zeros((2, 6)), MonomialBasis(2, 2)),
        (np.zeros((2, 5)), None),
        (np.zeros((2, 5)), net.basis),
    ):
        with pytest.raises(ValueError, match="`net` must have the basis and outputs of the loss"):
            NetworkLoss(Quartic(target, basis), net)
    for sizes in ({"n_outputs": 2.0}, {"n_monomials": "6"}):
        loss = Quartic(np.zeros((2, 6)), net.basis)
        for key, size in sizes.items():
            setattr(loss, key, size)
        with pytest.raises(TypeError, match=r"`loss\.n_"):
            NetworkLoss(loss, net)
