# SPDX-License-Identifier: BSD-3-Clause
"""Gradient flow against solutions in closed form, and what has to hold on every trajectory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polycore as pc

NETWORKS = {
    "quadratic": pc.MLP((3, 3, 2), activation=2),
    "with biases": pc.MLP((2, 3, 2), activation=[1, 2, 1], bias=True),
    "linear": pc.MLP((3, 2, 2, 2), activation=1),
    "convolutions": pc.CNN((3, 2), activation=2),
    "attention": pc.LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2),
    "residual": pc.Sequential(
        pc.Affine(2), pc.Residual(pc.Affine(2), pc.Activation(2), pc.Affine(2)), pc.Affine(1), n_inputs=2
    ),
    "nothing conserved": pc.MLP((2, 2, 1), activation=[0, 1, 1]),
}


def noisy(net: pc.Network, seed: int = 0, n_samples: int = 200) -> pc.QDistance:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n_samples, net.n_inputs)), rng.normal(size=(n_samples, net.n_outputs))
    return pc.QDistance.from_data(x, y, net.basis)


@pytest.mark.parametrize("size", [1.0, 0.01])
@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS.keys())
def test_every_trajectory(net: pc.Network, size: float) -> None:
    loss, start = noisy(net), size * net.random_params(rng=1)
    flow = pc.gradient_flow(loss, net, start)
    assert (flow.ended, flow.partial) == ("critical point", False)
    assert flow.relative_gradients[-1] <= 1e-8
    np.testing.assert_array_equal(flow.thetas[0], start)
    objective = loss.compose(net)
    np.testing.assert_allclose(flow.losses, objective.value(flow.thetas) + loss.constant, rtol=1e-13)
    np.testing.assert_allclose(
        flow.gradient_norms, np.linalg.norm(objective.gradient(flow.thetas), axis=1), rtol=1e-9, atol=1e-12
    )
    assert (np.diff(flow.times) > 0).all()
    assert np.diff(flow.losses).max() <= 1e-13 * flow.losses[0]
    assert len(flow.conserved) == len(pc.conserved_quantities(net))
    assert all(conservation.drift < 1e-9 for conservation in flow.conserved)
    for conservation in flow.conserved:
        np.testing.assert_array_equal(conservation.values[0], conservation.quantity.value(start))


@pytest.mark.parametrize("method", ["auto", "DOP853", "RK45", "Radau", "BDF", "LSODA"])
def test_a_network_without_hidden_layers_has_exponentials(method: str) -> None:
    # θ̇ = −2Q(θ − t).
    net = pc.MLP((3, 2), activation=1)
    metric, target = np.diag([1.0, 3.0, 0.1]), np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 1.0]])
    start = net.random_params(rng=3)
    flow = pc.gradient_flow(
        pc.QDistance.from_metric(metric, target, net.basis), net, start, t_max=2.0, method=method, rtol=1e-9
    )
    assert (flow.ended, flow.times[-1]) == ("time", 2.0)
    decay = np.exp(-2.0 * flow.times[:, None, None] * np.diag(metric))
    expected = target + decay * (start.reshape(2, 3) - target)
    np.testing.assert_allclose(
        flow.thetas.reshape(-1, 2, 3), expected, atol=3e-7 if method in ("BDF", "LSODA") else 1e-8
    )


def test_a_linear_neuron_in_closed_form() -> None:
    # f = vwx with loss (vw − t)²: w² − v² = h is conserved, and for w = v (h = 0) p = w² obeys ṗ = −4p(p − t), so
    # p = t / (1 + (t/p₀ − 1) e^(−4tτ)).
    net = pc.MLP((1, 1, 1), activation=1)
    loss = pc.QDistance.from_metric(np.eye(net.basis.n_monomials), [2.0], net.basis)
    flow = pc.gradient_flow(loss, net, [0.1, 0.1])
    expected = 2.0 / (1.0 + (2.0 / 0.01 - 1.0) * np.exp(-8.0 * flow.times))
    np.testing.assert_allclose(flow.thetas[:, 0] * flow.thetas[:, 1], expected, rtol=1e-8)
    assert flow.ended == "critical point"


def test_saddles_of_a_linear_network_are_passed_in_order() -> None:
    # From small weights the singular values of the target are learned one after the other (Saxe, McClelland, Ganguli,
    # ICLR 2014, arXiv:1312.6120): the losses at the saddles passed are those of its truncations.
    net = pc.MLP((3, 3, 3), activation=1)
    target = np.diag([9.0, 3.0, 1.0])
    start = 1e-6 * np.concatenate([np.eye(3).ravel() + 0.01, np.eye(3).ravel() - 0.01])
    flow = pc.gradient_flow(pc.QDistance.from_metric(np.eye(3), target, net.basis), net, start)
    np.testing.assert_allclose([passage.loss for passage in flow.passages], [10.0, 1.0], rtol=1e-3)
    assert flow.loss < 1e-12
    assert all(flow.thetas[p.step].tolist() == p.theta.tolist() for p in flow.passages)
    assert "passed     a saddle near loss 10" in repr(flow)
    saddles = [passage.critical_point for passage in flow.passages]
    assert [saddle and saddle.kind for saddle in saddles] == ["strict saddle", "strict saddle"]
    np.testing.assert_allclose([saddle and saddle.loss for saddle in saddles], [10.0, 1.0], rtol=1e-9)
    assert flow.critical_point is not None
    assert flow.critical_point.status == "global minimum"


def test_an_infimum_that_is_not_attained() -> None:
    # x³ − xy² has three real roots; sums of two cubes of real linear forms have one, or a double one in the limit.
    net = pc.MLP((2, 2, 1), activation=3)
    loss = pc.QDistance.from_metric("bombieri_weyl", [1.0, 0.0, -1.0, 0.0], net.basis)
    flow = pc.gradient_flow(loss, net, [1.0, 0.5, 0.2, -0.4, 1.0, -0.5], rtol=1e-7, tol=1e-6)
    assert flow.ended == "diverged"
    assert "grows like time" in flow.reason
    assert flow.critical_point is None


@pytest.mark.parametrize("name", ["quadratic", "linear"])
def test_waiting_at_a_saddle_is_no_divergence(name: str) -> None:
    net = NETWORKS[name]
    loss, start = noisy(net), net.random_params(rng=1)
    assert pc.gradient_flow(loss, net, 1e-10 * start, tol=1e-6).ended == "critical point"
    flow = pc.gradient_flow(loss, net, 1e-20 * start, tol=1e-6)
    assert (flow.ended, flow.partial) == ("steps", True)
    assert "doubles near the time" in flow.reason
    # The system is autonomous: the rest of the way is that from where it stopped.
    rest = pc.gradient_flow(loss, net, flow.theta, tol=1e-6)
    assert rest.ended == "critical point"


class Cubic:
    """The sum of all coefficients to the third, which has no lower bound."""

    def __init__(self, basis: Any) -> None:
        self.basis, self.n_outputs, self.n_monomials, self.constant = basis, 1, basis.n_monomials, 0.0

    def value(self, coef: Any) -> Any:
        return (np.asarray(coef) ** 3).sum(axis=(-2, -1))

    def gradient(self, coef: Any) -> Any:
        return 3 * np.asarray(coef) ** 2

    def hessian_product(self, coef: Any, dcoef: Any) -> Any:
        return 6 * np.asarray(coef) * dcoef


def test_a_pole_is_divergence() -> None:
    # One weight w and ẇ = −3 w² reach infinity at time 1/3 from −1.
    net = pc.MLP((1, 1), activation=2)
    flow = pc.gradient_flow(Cubic(net.basis), net, [-1.0])
    assert flow.ended == "diverged"
    assert flow.times[-1] == pytest.approx(1 / 3, rel=1e-6)


def test_towards_zero_convergence_is_slow_and_is_waited_for() -> None:
    net = pc.MLP((2, 1, 1), activation=2)
    loss = pc.QDistance.from_metric("bombieri_weyl", [-1.0, 0.0, -1.0], net.basis)
    flow = pc.gradient_flow(loss, net, [2.0**0.5, 0.0, 1.0])  # balanced
    assert flow.ended == "critical point"
    np.testing.assert_allclose(net.expand(flow.theta), 0.0, atol=1e-6)
    assert flow.critical_point is not None
    assert flow.critical_point.loss == pytest.approx(2.0, rel=1e-9)


def test_the_end_is_polished_and_classified() -> None:
    net = NETWORKS["quadratic"]
    loss = noisy(net)
    flow = pc.gradient_flow(loss, net, net.random_params(rng=1))
    point = flow.critical_point
    assert point is not None
    assert point.kind == "minimum"
    assert point.gradient_norm < 1e-3 * flow.gradient_norms[-1]
    assert point.loss == pytest.approx(flow.loss, rel=1e-12)
    assert flow.critical_point is point


def test_a_critical_start_does_not_move() -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    flow = pc.gradient_flow(noisy(net), net, np.zeros(6))
    assert (flow.ended, len(flow.times), flow.passages) == ("critical point", 1, ())


def test_stops() -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    loss, start = noisy(net), net.random_params(rng=2)
    short = pc.gradient_flow(loss, net, start, max_steps=4)
    assert (short.ended, short.partial, len(short.times)) == ("steps", True, 5)
    budget = pc.gradient_flow(loss, net, start, time_budget=1e-9)
    assert (budget.ended, budget.partial, len(budget.times)) == ("budget", True, 1)
    never = pc.gradient_flow(loss, net, start, tol=0.0, t_max=1e-3)
    assert (never.ended, never.partial, never.times[-1]) == ("time", False, 1e-3)
    whole = pc.gradient_flow(loss, net, start)
    np.testing.assert_array_equal(whole.thetas[:5], short.thetas)


class Interrupting:
    """‖c‖⁴, as a loss of a user's own; it presses Ctrl-C at some evaluation."""

    n_outputs, n_monomials, constant = 1, 3, 0.0

    def __init__(self, basis: pc.MonomialBasis, at: int = 10**9) -> None:
        self.basis, self.left = basis, at

    def value(self, coef: Any) -> Any:
        return (coef**2).sum(axis=(-1, -2)) ** 2

    def gradient(self, coef: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return 4 * (coef**2).sum(axis=(-1, -2), keepdims=True) * coef

    def hessian_product(self, coef: Any, dcoef: Any) -> Any:
        square, inner = (coef**2).sum(axis=(-1, -2), keepdims=True), (coef * dcoef).sum(axis=(-1, -2), keepdims=True)
        return 4 * square * dcoef + 8 * inner * coef


def test_ctrl_c_returns_what_there_is() -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    start = net.random_params(rng=2)
    flow = pc.gradient_flow(Interrupting(net.basis, 200), net, start)
    assert (flow.ended, flow.partial) == ("interrupted", True)
    whole = pc.gradient_flow(Interrupting(net.basis), net, start, max_steps=50)
    np.testing.assert_array_equal(whole.thetas[: len(flow.thetas)], flow.thetas)
    assert len(flow.thetas) > 5
    assert "partial" in repr(flow)


def test_threads_do_not_matter() -> None:
    net = NETWORKS["quadratic"]
    one, two = (pc.gradient_flow(noisy(net), net, net.random_params(rng=5), n_threads=n, max_steps=150) for n in (1, 2))
    np.testing.assert_array_equal(one.thetas, two.thetas)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theta0", [1.0, 2.0]),
        ("theta0", [np.nan] * 6),
        ("t_max", 0.0),
        ("t_max", np.nan),
        ("tol", -1.0),
        ("rtol", 0.0),
        ("atol", 0.0),
        ("method", "Euler"),
        ("max_steps", 0),
        ("time_budget", -1.0),
        ("n_threads", -1),
    ],
)
def test_bad_input(name: str, value: Any) -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    arguments = {"theta0": np.ones(6), name: value}
    with pytest.raises((TypeError, ValueError), match=f"`{name}`"):
        pc.gradient_flow(noisy(net), net, **arguments)


def test_a_network_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="`net`"):
        pc.gradient_flow(noisy(pc.MLP((2, 2, 1), activation=2)), pc.MLP((2, 2, 1), activation=3), np.ones(6))


def test_overflow() -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    with pytest.raises(pc.NumericalError):
        pc.gradient_flow(noisy(net), net, np.full(6, 1e200))


@pytest.mark.parametrize("size", [1e4, 1e20])
def test_a_critical_point_is_not_said_to_be_reached_because_the_start_was_far_out(size: float) -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    flow = pc.gradient_flow(noisy(net), net, size * net.random_params(rng=1), max_steps=3000)
    assert flow.ended != "critical point" or flow.relative_gradients[-1] <= 1e-8


def test_trajectories_are_compared_by_identity() -> None:
    net = pc.MLP((2, 1, 1), activation=2)
    first, second = (pc.gradient_flow(noisy(net), net, [1.0, 0.5, 1.0]) for _ in range(2))
    assert first == first
    assert first != second
    assert len({first, second, *first.conserved}) == 2 + len(first.conserved)
