# SPDX-License-Identifier: BSD-3-Clause
"""Descents: they reach known minima, report what they did, and survive starts from which polynomials overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from polycore import CNN, Activation, Affine, LightningAttention, Residual, Sequential
from polycore.fitting import Fit, hessian_signature, scaled_starts
from polycore.loss import QDistance
from polycore.metrics import random_semidefinite
from polycore.networks import MLP


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[MLP, QDistance, float]:
    """Targets made by a network of the same shape, so that the least loss is zero."""
    net = MLP((3, 2, 2), activation=2, bias=True)
    X = rng.normal(size=(200, 3))
    Y = net.evaluate(net.random_params(rng=7), X)
    return net, QDistance.from_data(X, Y, net.basis), float(np.sum(Y**2))


def test_reaches_the_network_that_made_the_data(problem: tuple[MLP, QDistance, float]) -> None:
    net, loss, total = problem
    fit = Fit(loss, net, total)
    descents = [fit.descend(start) for start in scaled_starts(net, loss, total, 0, 12)]
    best = min(descents, key=lambda descent: descent.loss[-1])
    assert best.loss[-1] < 1e-12 * total
    assert best.settled
    for descent in descents:
        assert descent.loss[-1] == descent.loss.min()
        assert len(descent.loss) == descent.n_steps + 1 <= descent.n_evaluations + 1
        value = loss.value(net.expand(descent.theta)) + loss.constant
        assert descent.loss[-1] == pytest.approx(value, rel=1e-9, abs=1e-12 * total)


def test_linear_network_reaches_least_squares(rng: np.random.Generator) -> None:
    net = MLP((3, 2), bias=True)
    X, Y = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    loss = QDistance.from_data(X, Y, net.basis)
    descent = Fit(loss, net, float(np.sum(Y**2))).descend(np.zeros(net.n_params))
    assert descent.loss[-1] == pytest.approx(loss.constant, rel=1e-9)
    np.testing.assert_allclose(net.expand(descent.theta), loss.target, atol=1e-7)


def test_more_parameters_than_coefficients(rng: np.random.Generator) -> None:
    net = MLP((1, 6, 1), activation=2, bias=True)
    x = rng.normal(size=(40, 1))
    loss = QDistance.from_data(x, np.sin(x), net.basis)
    descent = Fit(loss, net, 1.0).descend(net.random_params(rng=1))
    assert descent.loss[-1] == pytest.approx(loss.constant, rel=1e-6)


def test_residuals_are_the_scaled_loss(problem: tuple[MLP, QDistance, float]) -> None:
    net, loss, total = problem
    fit, theta = Fit(loss, net, total), net.random_params(rng=3)
    assert np.sum(fit.residuals(theta) ** 2) * total == pytest.approx(loss.value(net.expand(theta)))
    gradient = 2 * total * fit.residual_jacobian(theta).T @ fit.residuals(theta)
    np.testing.assert_allclose(gradient, fit.objective.gradient(theta), rtol=1e-9, atol=1e-9 * total)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("on_support", [False, True])
def test_any_metric_on_basis_or_support(joint: bool, on_support: bool) -> None:
    net = CNN((2, 2), activation=2, n_inputs=5)
    n = len(net.support) if on_support else len(net.basis)
    target = net.expand(net.random_params(rng=3), support=on_support)
    metric = random_semidefinite(net.n_outputs * n if joint else n, rng=2)
    loss = QDistance.from_metric(metric, target, net.support if on_support else net.basis)
    total = loss.value(np.zeros_like(target))
    fit, theta = Fit(loss, net, total), net.random_params(rng=4)
    assert np.sum(fit.residuals(theta) ** 2) * total == pytest.approx(fit.objective.value(theta))
    gradient = 2 * total * fit.residual_jacobian(theta).T @ fit.residuals(theta)
    np.testing.assert_allclose(gradient, fit.objective.gradient(theta), rtol=1e-9, atol=1e-9 * total)
    starts = scaled_starts(net, loss, total, 0, 6)
    sizes = [loss.value(loss.target - c) for c in net.expand(starts, support=on_support)]
    np.testing.assert_allclose(sizes, total, rtol=1e-9)
    assert min(fit.descend(start).loss[-1] for start in starts) < 1e-12 * total


@pytest.mark.filterwarnings("ignore::polycore.ConditionWarning")
def test_residuals_keep_what_only_the_data_show(rng: np.random.Generator) -> None:
    """The condition number of Q is 1e22 here: its eigenvalues show 9 of the 15 directions."""
    net = MLP((2, 2, 1), activation=4, bias=True)
    X = rng.uniform(10.0, 11.0, size=(300, 2))
    Y = np.cos(7 * X[:, :1])
    loss, total = QDistance.from_data(X, Y, net.basis), float(np.sum(Y**2))
    assert loss.rank == len(net.basis)
    theta = scaled_starts(net, loss, total, 0, 1)[0]
    fit = Fit(loss, net, total)
    assert len(fit._factor) == loss.rank
    assert np.sum(fit.residuals(theta) ** 2) == pytest.approx(loss.value(net.expand(theta)) / total, rel=1e-7)


def test_promise_does_not_depend_on_the_parametrisation(problem: tuple[MLP, QDistance, float]) -> None:
    """Scaling a unit by 10 and its outgoing weights by 1/100 is the same function, with another gradient."""
    net, loss, total = problem
    fit, theta = Fit(loss, net, total), net.random_params(rng=4)
    arrays = net.unpack(theta.copy())
    arrays["W1"][0] *= 10
    arrays["b1"][0] *= 10
    arrays["W2"][:, 0] /= 100
    assert fit.promise(net.pack(arrays)) == pytest.approx(fit.promise(theta), rel=1e-6)


def test_few_steps(problem: tuple[MLP, QDistance, float]) -> None:
    net, loss, total = problem
    descent = Fit(loss, net, total).descend(net.random_params(rng=5), max_steps=2)
    assert 1 <= descent.n_steps <= 3
    assert not descent.settled


def test_overflowing_start_ends_without_error(problem: tuple[MLP, QDistance, float]) -> None:
    net, loss, total = problem
    descent = Fit(loss, net, total).descend(np.full(net.n_params, 1e60))
    assert not descent.settled


def test_starts_are_as_large_as_the_target(problem: tuple[MLP, QDistance, float]) -> None:
    net, loss, total = problem
    starts = scaled_starts(net, loss, total, 0, 5)
    coef = net.expand(starts)
    np.testing.assert_allclose(np.einsum("soa,ab,sob->s", coef, loss.gram, coef), total)
    np.testing.assert_array_equal(starts, scaled_starts(net, loss, total, 0, 5))


@pytest.mark.parametrize(
    "net",
    [
        CNN((3, 2), 2, n_inputs=6, bias=True),
        CNN((2, 2), 2, n_inputs=(3, 2), channels=(2, 3)),
        LightningAttention(2, 1, 2, 2, n_heads=2),
        LightningAttention(2, 3, 2, 2),
        Sequential(Residual(Affine(2), Activation(2)), Residual(Affine(2), shortcut=Affine(2)), n_inputs=2),
    ],
    ids=repr,
)
def test_starts_of_other_families_are_as_large_as_the_target(net: Sequential, rng: np.random.Generator) -> None:
    X = rng.normal(size=(100, net.n_inputs))
    Y = net.evaluate(net.random_params(rng=3), X)
    loss, total = QDistance.from_data(X, Y, net.basis), float(np.sum(Y**2))
    starts = scaled_starts(net, loss, total, 0, 8)
    values = net.evaluate(starts, X)
    np.testing.assert_allclose(np.sum(values**2, axis=(1, 2)), total, rtol=1e-7)
    # Each output unit, at all its positions together, goes with the target.
    n_units = net.output_shape[-1]
    agreement = (values * Y).sum(axis=1).reshape(8, -1, n_units).sum(axis=1)
    assert (agreement > 0).all()
    descents = [Fit(loss, net, total).descend(start) for start in starts]
    assert min(descent.loss[-1] for descent in descents) < 1e-10 * total


@pytest.mark.parametrize("layers", [(Affine(2), Activation(2)), (Residual(Affine(2)),)])
def test_starts_that_cannot_be_scaled(layers: tuple[Any, ...], rng: np.random.Generator) -> None:
    net, X = Sequential(*layers, n_inputs=2), rng.normal(size=(20, 2))
    loss = QDistance.from_data(X, X**2, net.basis)
    np.testing.assert_array_equal(scaled_starts(net, loss, 1.0, 5, 3), net.random_params(5, 3))


def test_hessian_signature() -> None:
    lengths = np.array([1e-4, 1.0, 1e4, 1.0])
    hessian = np.diag([1.0, 2.0, -1.0, 0.0]) * lengths * lengths[:, None]
    assert hessian_signature(hessian, np.diag(lengths**2)) == (2, 1, 1)
    assert hessian_signature(np.zeros((2, 2)), np.zeros((2, 2))) == (0, 2, 0)


def test_bad_arguments(problem: tuple[MLP, QDistance, float]) -> None:
    net, loss, _ = problem
    with pytest.raises(ValueError, match="scale"):
        Fit(loss, net, 0.0)
    fit = Fit(loss, net)
    with pytest.raises(ValueError, match="start"):
        fit.descend(np.zeros(3))
    with pytest.raises(ValueError, match="max_steps"):
        fit.descend(np.zeros(net.n_params), max_steps=0)
