# SPDX-License-Identifier: BSD-3-Clause
"""Conserved quantities against what they are: constant along every gradient flow, and no fewer than there can be."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import Activation, Affine, Attention, Conv, Residual, Sequential, conserved_quantities

NETWORKS = {
    "power": pc.MLP((2, 3, 2), activation=2),
    "deep powers with biases": pc.MLP((2, 3, 2, 1), activation=(2, 3), bias=True),
    "shifted power": pc.MLP((2, 3, 2), activation=[1, 2, 1], bias=True),
    "shifted power with a constant at the end": pc.MLP((2, 2, 2, 1), activation=([4, 4, 1], [1, 3, 3, 1]), bias=True),
    "power with a constant": pc.MLP((2, 3, 2), activation=[1, 0, 1], bias=True),
    "no power": pc.MLP((2, 3, 2), activation=[0, 1, 1]),
    "no power but a linear layer": pc.MLP((2, 3, 2, 1), activation=([0, 1, 1], 1)),
    "linear": pc.MLP((3, 2, 4, 2), activation=1),
    "linear with biases": pc.MLP((2, 3, 2), activation=1, bias=True),
    "affine activation": pc.MLP((2, 3, 2), activation=[1, 2]),
    "affine activation with biases": pc.MLP((2, 3, 2, 2), activation=([1, 2], [3, 1]), bias=True),
    "linear and power": pc.MLP((2, 3, 2, 2), activation=(1, 3), bias=True),
    "convolutions": pc.CNN((3, 2, 2), activation=(2, 3), stride=(2, 1, 1)),
    "linear convolutions": pc.CNN((2, 3), activation=1, n_inputs=6),
    "convolutions with channels": Sequential(
        Conv(2, channels=3, bias=True), Activation(2), Conv(2, channels=2), Activation(3), Affine(1), n_inputs=4
    ),
    "linear convolutions with channels": Sequential(
        Conv(2, channels=2), Conv(2, channels=3), Affine(2), n_inputs=(4, 2)
    ),
    "attention": pc.LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2),
    "two layers of attention": pc.LightningAttention(d_model=2, d_key=1, d_out=2, n_tokens=2, n_layers=2),
    "two heads": Sequential(Attention(2, d_out=2, n_heads=2), Conv(1, channels=1), n_inputs=(2, 2)),
    "residual power": Sequential(
        Affine(2), Residual(Affine(3), Activation(2), Affine(2)), Activation(2), Affine(1), n_inputs=2
    ),
    "residual of one layer": Sequential(Affine(2), Residual(Affine(2), Activation(2)), Affine(1), n_inputs=2),
    "residual linear": Sequential(Affine(2), Residual(Affine(3), Affine(2)), Affine(2), n_inputs=2),
    "residual about the input": Sequential(Residual(Affine(3), Activation(2), Affine(2)), Affine(1), n_inputs=2),
}


@pytest.fixture(params=NETWORKS, name="net")
def a_network(request: pytest.FixtureRequest) -> pc.Network:
    return NETWORKS[request.param]


def exactly(array: Any) -> Any:
    return np.array([Fraction(float(x)) for x in np.ravel(array)], dtype=object).reshape(np.shape(array))


@pytest.mark.parametrize("seed", range(3))
def test_no_loss_moves_them(net: pc.Network, seed: int) -> None:
    # q is quadratic, so q(θ + v) − q(θ − v) is twice its derivative along v, exactly; every gradient is v = Jᵀu.
    rng = np.random.default_rng(seed)
    theta = rng.integers(-2, 3, net.n_params)
    jacobian = net.jacobian(theta)
    assert np.abs(jacobian).max() < 2**40
    v = exactly(rng.integers(-3, 4, len(jacobian)) @ jacobian)
    for quantity in conserved_quantities(net):
        difference = quantity.value(exactly(theta) + v) - quantity.value(exactly(theta) - v)
        assert np.shape(difference) == quantity.shape
        assert not np.any(difference)


def brackets(net: pc.Network, theta: Any) -> Any:
    """The gradients of the coefficients and their Lie brackets, [X, Y] = DY X − DX Y."""
    gradients = net.jacobian(theta)
    units = np.eye(len(gradients)).reshape(-1, net.n_outputs, net.basis.n_monomials)
    # hessians[i] of coefficient i, column by column.
    engine, zero = net.program.engine, np.zeros(units.shape[1:])
    hessians = [
        np.array([engine.vjp_tangent(theta, v, unit, zero, None, 1) for v in np.eye(net.n_params)]) for unit in units
    ]
    pairs = [(i, j) for i in range(len(units)) for j in range(i) if gradients[i].any() and gradients[j].any()]
    return np.array([*gradients, *(hessians[j] @ gradients[i] - hessians[i] @ gradients[j] for i, j in pairs)])


@pytest.mark.parametrize(
    "net",
    [
        pc.MLP((2, 2, 1), activation=2),
        pc.MLP((2, 2, 1), activation=3),
        pc.MLP((2, 2, 1), activation=2, bias=True),
        pc.MLP((1, 2, 1), activation=[1, 2, 1], bias=True),
        pc.MLP((2, 2, 1), activation=[0, 1, 1]),
        pc.MLP((2, 2, 1), activation=[1, 0, 1], bias=True),
        pc.MLP((2, 2, 2), activation=1),
        pc.MLP((2, 2, 2), activation=[1, 1]),
        pc.MLP((2, 2, 1), activation=[1, 1], bias=True),
        pc.CNN((2, 2, 2), activation=2),
        pc.LightningAttention(d_model=2, d_key=1, d_out=1, n_tokens=2),
    ],
    ids=repr,
)
def test_there_are_no_others(net: pc.Network) -> None:
    # Functions conserved by all gradient flows are constant along the Lie algebra that the gradients generate, so there
    # are at most P − its rank (Marcotte, Gribonval, Peyré, NeurIPS 2023, arXiv:2307.00144); first brackets do here.
    theta = np.random.default_rng(5).normal(size=net.n_params)
    rank = np.linalg.matrix_rank(brackets(net, theta), tol=1e-9)
    assert sum(quantity.count for quantity in conserved_quantities(net)) == net.n_params - rank


def test_formula_of_units() -> None:
    net = pc.MLP((3, 2, 4, 1), activation=(3, 2), bias=True)
    theta = net.random_params(rng=3, batch=(5,))
    first, second = conserved_quantities(net)
    w = net.unpack(theta)
    expected = (w["W1"] ** 2).sum(-1) + w["b1"] ** 2 - 3 * (w["W2"] ** 2).sum(-2)
    np.testing.assert_allclose(first.value(theta), expected, rtol=1e-13, atol=1e-13)
    expected = (w["W2"] ** 2).sum(-1) + w["b2"] ** 2 - 2 * (w["W3"] ** 2).sum(-2)
    np.testing.assert_allclose(second.value(theta), expected, rtol=1e-13, atol=1e-13)
    assert (first.kind, first.where, first.shape, first.count) == ("units", ("W1", "b1", "W2"), (2,), 2)
    assert first.formula == "‖W1[i]‖² + b1[i]² − 3 ‖W2[:, i]‖²"


def test_formula_of_matrices() -> None:
    net = pc.MLP((2, 3, 2), activation=1, bias=True)
    theta = net.random_params(rng=4)
    (quantity,) = conserved_quantities(net)
    w = net.unpack(theta)
    expected = w["W1"] @ w["W1"].T + np.outer(w["b1"], w["b1"]) - w["W2"].T @ w["W2"]
    np.testing.assert_allclose(quantity.value(theta), expected, rtol=1e-13, atol=1e-13)
    assert quantity.count == 6


def test_formula_of_convolutions() -> None:
    net = pc.CNN((3, 2, 2), activation=(2, 3))
    theta = net.random_params(rng=4, batch=(2,))
    w = net.unpack(theta)
    squares = [(w[f"W{i}"].reshape(2, -1) ** 2).sum(-1) for i in (1, 2, 3)]
    first, second = conserved_quantities(net)
    np.testing.assert_allclose(first.value(theta)[:, 0], squares[0] - 2 * squares[1], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(second.value(theta)[:, 0], squares[1] - 3 * squares[2], rtol=1e-13, atol=1e-13)


def test_formula_of_attention() -> None:
    net = pc.LightningAttention(d_model=3, d_key=2, d_out=2, n_tokens=2)
    theta = net.random_params(rng=4)
    keys, values = conserved_quantities(net)
    k, q, v = (net.unpack(theta)[name] for name in ("K1", "Q1", "V1"))
    np.testing.assert_allclose(keys.value(theta), k @ k.T - q @ q.T, rtol=1e-13, atol=1e-13)
    assert np.isclose(abs(values.value(theta)), abs((v**2).sum() - (q**2).sum()), rtol=1e-13)


def test_a_matrix_that_fixes_ones_leaves_the_centred_part() -> None:
    net = pc.MLP((2, 3, 2), activation=[1, 1])
    (quantity,) = conserved_quantities(net)
    value = quantity.value(net.random_params(rng=1))
    assert (quantity.kind, quantity.count) == ("centred matrix", 3)
    np.testing.assert_allclose(value.sum(axis=0), 0.0, atol=1e-14)


def test_values_of_all_kinds_of_numbers() -> None:
    net = pc.MLP((2, 2, 1), activation=[1, 1, 0.25], bias=True)
    (quantity,) = conserved_quantities(net)
    theta = np.arange(1, 10)
    exact = quantity.value(theta.astype(object))
    assert exact.dtype == object
    np.testing.assert_array_equal(quantity.value(theta), exact.astype(float))
    np.testing.assert_array_equal(quantity.value(theta + 0j).real, exact.astype(float))
    assert quantity.value(np.ones((4, 0, 9))).shape == (4, 0, 2)
    assert quantity.size(theta) >= np.abs(quantity.value(theta)).sum() - 1e-9


def test_generic_activations() -> None:
    assert conserved_quantities(pc.MLP((2, 2, 1), activation=pc.GenericActivation(2))) == ()
    with pytest.raises(ValueError, match="generic"):
        conserved_quantities(pc.MLP((2, 2, 1), activation=pc.GenericActivation(2), bias=True))


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="`net` must be"):
        conserved_quantities("MLP")  # type: ignore[arg-type]
    (quantity,) = conserved_quantities(pc.MLP((2, 2, 1), activation=2))
    with pytest.raises(ValueError, match=r"`theta` must have shape \(..., n_params=6\)"):
        quantity.value([1.0, 2.0])
    with pytest.raises(ValueError, match="theta"):
        quantity.value([np.nan] * 6)
