# SPDX-License-Identifier: BSD-3-Clause
"""Canonical parameters and alignment: what is equal up to symmetry is recognised, and nothing else changes."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import polycore as pc
from polycore.canonical import canonical_element
from polycore.networks import MLP, Network
from polycore.program import Activation, Add, Affine, MatMul, Program

NETWORKS = [
    pc.MLP((2, 3, 2), 2),
    pc.MLP((3, 4, 3, 1), 3),
    pc.MLP((2, 2, 3, 1), (3, 2), bias=True),
    pc.MLP((3, 2, 2), [1, -2, 1], bias=True),
    pc.MLP((2, 3, 2), [1, 0, 3, 0, 1], bias=True),
    pc.MLP((2, 3, 2), [0, 1, 0, 2]),
    pc.MLP((2, 4, 2), [0, 1, 1, 1, 1]),
    pc.MLP((3, 4, 2), 1),
    pc.MLP((3, 2, 4, 2), 1),
    pc.MLP((2, 5, 5, 2), 1),
    pc.MLP((3, 4, 2), [1, 2]),
    pc.MLP((3, 2, 4, 2), (1, 2), bias=True),
    pc.MLP((2, 4, 4, 2), (2, 1), bias=True),
    pc.CNN((2, 3), 2, stride=(2, 1), n_inputs=7),
    pc.CNN((2, 2, 2), (3, [0, 1, 1]), n_inputs=5, bias=True, channels=(2, 3, 2)),
    pc.Sequential(pc.Conv((2, 2), 2), pc.Activation(2), pc.Conv((1, 2), 3), n_inputs=(3, 4)),
    pc.LightningAttention(2, 2, 1, n_tokens=2),
    pc.LightningAttention(3, 2, 3, n_tokens=2, n_layers=2),
    pc.LightningAttention(2, 3, 2, n_tokens=2, n_layers=2, n_heads=2),
    pc.LightningAttention(3, 1, 2, n_tokens=3, n_heads=3),
    pc.Sequential(pc.Conv(1, 2), pc.Residual(pc.Attention(2, n_heads=2)), pc.Attention(1, 1), n_inputs=(2, 2)),
    pc.Sequential(
        pc.Affine(3, bias=True), pc.Residual(pc.Activation(2), pc.Affine(3, bias=True)), pc.Affine(2, True), n_inputs=2
    ),
    # x + σ(W x): W reads and writes the same units.
    pc.Sequential(pc.Affine(3), pc.Residual(pc.Affine(3), pc.Activation(2)), pc.Affine(1), n_inputs=2),
    pc.Sequential(
        pc.Affine(2),
        pc.Residual(pc.Affine(2), pc.Activation(2)),
        pc.Residual(pc.Affine(2, bias=True), pc.Activation(2)),
        pc.Affine(2),
        n_inputs=3,
    ),
    pc.Sequential(pc.Affine(3), pc.Residual(pc.Affine(3), pc.Activation(3)), pc.Affine(2), n_inputs=3),
    pc.Sequential(pc.Conv(2, 2), pc.Residual(pc.Conv(1, 2), pc.Activation(2)), pc.Conv(2), n_inputs=(4, 1)),
    pc.Sequential(pc.Affine(3), pc.Activation(2), pc.Affine(2), pc.Activation(2), n_inputs=2),
    pc.Sequential(pc.Affine(4), pc.Select([0, 2]), pc.Activation(2), pc.Affine(2), n_inputs=2),
    *(
        Network(
            Program(
                2,
                [
                    Affine(0, 3),
                    Activation(1, (0, 0, 1)),
                    Affine(0, 3),
                    Activation(3, (0,) * r + (1,)),
                    Add((2, 4)),
                    Affine(5, 2),
                ],
            )
        )
        for r in (2, 3)
    ),
    Network(Program(3, [Affine(0, 2), Affine(0, 3), MatMul(1, 2, 2, 1, 3), Activation(3, (0, 0, 1)), Affine(4, 2)])),
]
FAST = NETWORKS[:17]


def rational(rng: np.random.Generator, shape: int | tuple[int, ...]) -> np.ndarray:
    """Fractions of small height, none zero."""
    numbers = np.empty(shape, dtype=object)
    signs, tops, bottoms = rng.integers(0, 2, shape), rng.integers(1, 8, shape), rng.integers(1, 6, shape)
    numbers.reshape(-1)[:] = [
        (-1) ** int(s) * Fraction(int(a), int(b)) for s, a, b in zip(np.ravel(signs), np.ravel(tops), np.ravel(bottoms))
    ]
    return numbers


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-7) -> bool:
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, abs(b).max())))


# --- canonical parameters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_equal_up_to_symmetry_is_equal_exactly(net: Network) -> None:
    rng = np.random.default_rng(1)
    group = net.symmetries()
    for _ in range(6):
        theta = rational(rng, net.n_params)
        result = net.canonical(theta)
        assert result.dtype == object
        assert (net.canonical(group.act(group.random_element(rng), theta)) == result).all()
        assert (net.canonical(result) == result).all()
        X = rng.integers(-3, 4, (4, net.n_inputs)).astype(object)
        assert (net.evaluate(result, X, dtype=object) == net.evaluate(theta, X, dtype=object)).all()


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_equal_up_to_symmetry_is_equal_to_rounding(net: Network) -> None:
    rng = np.random.default_rng(2)
    group = net.symmetries()
    for _ in range(12):
        theta = rng.standard_normal(net.n_params)
        result = net.canonical(theta)
        assert close(net.canonical(group.act(group.random_element(rng), theta)), result)
        assert close(net.canonical(result), result)
        # The numbers can be much larger or smaller than those of theta: they come layer after layer.
        X = rng.standard_normal((4, net.n_inputs))
        assert close(net.evaluate(result, X), net.evaluate(theta, X), 1e-6)


@pytest.mark.parametrize("net", FAST, ids=repr)
def test_many_draws(net: Network) -> None:
    """Over a thousand parameters and symmetries."""
    rng = np.random.default_rng(3)
    group = net.symmetries()
    for _ in range(20 if any(factor.kind.endswith("linear") for factor in group.factors) else 120):
        theta = rng.standard_normal(net.n_params)
        moved = group.act(group.random_element(rng), theta)
        assert close(net.canonical(moved), net.canonical(theta))


def test_parameters_that_differ_stay_different() -> None:
    rng = np.random.default_rng(4)
    for net in FAST:
        theta = rng.standard_normal(net.n_params)
        other = theta + 1e-3 * rng.standard_normal(net.n_params)
        X = rng.standard_normal((5, net.n_inputs))
        assert not close(net.evaluate(theta, X), net.evaluate(other, X))
        assert not close(net.canonical(theta), net.canonical(other))


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_special_parameters(net: Network, exact: bool) -> None:
    """Zeros, equal weights, low rank: the function stays what it is."""
    rng = np.random.default_rng(5)
    for density in (0.0, 0.3, 0.7):
        theta = np.where(rng.random(net.n_params) < density, rng.integers(-1, 2, net.n_params), 0)
        given = theta.astype(object) if exact else theta.astype(float)
        result = net.canonical(given)
        X = rng.integers(-2, 3, (4, net.n_inputs))
        if exact:
            X = X.astype(object)
            assert (net.evaluate(result, X, dtype=object) == net.evaluate(given, X, dtype=object)).all()
        else:
            assert close(net.evaluate(result, X.astype(float)), net.evaluate(given, X.astype(float)), 1e-6)


@pytest.mark.parametrize("activation", [2, 3, [0, 1, 1, 1, 1]])
def test_equal_units_are_sorted_by_what_is_after_them(activation: Any) -> None:
    rng = np.random.default_rng(6)
    net = MLP((2, 4, 3, 2), activation)
    group = net.symmetries()
    for _ in range(40):
        weights = net.unpack(rng.integers(1, 1000, net.n_params).astype(object))
        weights["W1"][1] = weights["W1"][3] = weights["W1"][0]
        theta = net.pack(weights)
        moved = group.act(group.random_element(rng), theta)
        assert (net.canonical(moved) == net.canonical(theta)).all()


def test_units_without_weights_before_or_after_them() -> None:
    """Exactly where the roots of scalings are rational; they always are for floats."""
    rng = np.random.default_rng(7)
    net = MLP((2, 3, 2), 2)
    group = net.symmetries()
    for dead in ("W1", "W2"):
        for _ in range(40):
            weights = net.unpack(rng.standard_normal(net.n_params))
            if dead == "W1":
                weights["W1"][1] = 0
            else:
                weights["W2"][:, 1] = 0
            theta = net.pack(weights)
            moved = group.act(group.random_element(rng), theta)
            assert close(net.canonical(moved), net.canonical(theta))


def test_keys_and_queries_of_low_rank() -> None:
    """Of KᵀQ of rank 1, whatever the rank of K or Q."""
    rng = np.random.default_rng(8)
    net = pc.LightningAttention(3, 3, 2, n_tokens=2)
    group = net.symmetries()
    for which in ("K1", "Q1"):
        for _ in range(30):
            weights = net.unpack(rational(rng, net.n_params))
            weights[which] = np.outer(rational(rng, 3), rational(rng, 3))
            theta = net.pack(weights)
            moved = group.act(group.random_element(rng), theta)
            assert (net.canonical(moved) == net.canonical(theta)).all()


def test_what_canonical_parameters_look_like() -> None:
    net = MLP((2, 3, 2), 3)
    theta = net.canonical(np.random.default_rng(9).standard_normal(net.n_params))
    W = net.unpack(theta)["W1"]
    assert np.allclose(abs(W).max(axis=1), 1, rtol=1e-14)
    assert (W[:, 0] == np.sort(W[:, 0])[::-1]).all()
    attention = pc.LightningAttention(3, 2, 2, n_tokens=2)
    K = attention.unpack(attention.canonical(np.random.default_rng(9).standard_normal(attention.n_params)))["K1"]
    assert sum(np.allclose(column, unit) for column in K.T for unit in np.eye(2)) == 2


def test_batches_of_parameters() -> None:
    net = MLP((2, 3, 1), 2)
    theta = net.random_params(rng=0, batch=(2, 3))
    result = net.canonical(theta)
    for index in np.ndindex(2, 3):
        assert (result[index] == net.canonical(theta[index])).all()
    assert net.canonical(theta[:0]).shape == (0, 3, 9)
    assert net.canonical(np.arange(9)).dtype == float


# --- alignment --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", FAST, ids=repr)
def test_symmetric_parameters_are_found(net: Network) -> None:
    """Over a thousand draws."""
    rng = np.random.default_rng(10)
    group = net.symmetries()
    for _ in range(20 if any(factor.kind.endswith("linear") for factor in group.factors) else 120):
        other = rng.standard_normal(net.n_params)
        theta = group.act(group.random_element(rng), other)
        found = net.align(theta, other)
        assert found.distance < 1e-10 * max(1.0, float(np.linalg.norm(theta)))
        assert found.distance == np.linalg.norm(found.theta - other)
        assert close(group.act(found.element, theta), found.theta, 1e-9)


@pytest.mark.parametrize("net", NETWORKS[17:], ids=repr)
def test_symmetric_parameters_of_larger_families_are_found(net: Network) -> None:
    rng = np.random.default_rng(11)
    group = net.symmetries()
    for _ in range(5):
        other = rng.standard_normal(net.n_params)
        theta = group.act(group.random_element(rng), other)
        assert net.align(theta, other).distance < 1e-9 * max(1.0, float(np.linalg.norm(theta)))


@pytest.mark.parametrize("net", [n for n in NETWORKS if n.n_params < 20], ids=repr)
def test_never_worse_than_the_identity_and_canonical_parameters(net: Network) -> None:
    rng = np.random.default_rng(12)
    group = net.symmetries()
    theta, other = rng.standard_normal((2, net.n_params))
    found = net.align(theta, other)
    assert found.distance <= np.linalg.norm(theta - other) == found.distance_before
    to, back = (canonical_element(group, parameters)[0] for parameters in (theta, other))
    by_canonical = group.act(group.inverse(back), group.act(to, theta))
    assert found.distance <= np.linalg.norm(by_canonical - other)
    X = rng.standard_normal((4, net.n_inputs))
    assert close(net.evaluate(found.theta, X), net.evaluate(theta, X), 1e-5)
    assert close(group.act(found.element, theta), found.theta, 1e-7)
    # Its inverse brings the others back: nothing is lost on the way.
    assert close(group.act(group.inverse(found.element), found.theta), theta, 1e-6)


def distance_of_units(weights: dict[str, np.ndarray], other: np.ndarray, net: Network, order: Any, signs: Any) -> float:
    """The least distance over the scalings of the units of one hidden layer in this order, by a general optimiser."""
    (r,) = {a.degree for a in net.program.activations}

    def squared(s: np.ndarray) -> float:
        t = np.array(signs) * np.exp(s)
        new = dict(weights, W1=t[:, None] * weights["W1"][order], W2=weights["W2"][:, order] / t**r)
        return float(((net.pack(new) - other) ** 2).sum())

    start = np.log(abs(net.unpack(other)["W1"]).max(1) / abs(weights["W1"][order]).max(1))
    return float(np.sqrt(min(minimize(squared, s, method="BFGS").fun for s in (start, 0 * start))))


@pytest.mark.parametrize("net", [MLP((2, 2, 1), 2), MLP((3, 2, 2), 3), MLP((2, 3, 1), 3)], ids=repr)
def test_noise_against_brute_force(net: Network) -> None:
    """All permutations, signs and scalings: rarely better, and then by little."""
    rng = np.random.default_rng(13)
    group, n_worse = net.symmetries(), 0
    m = len(net.unpack(np.zeros(net.n_params))["W1"])
    for _ in range(2):
        other = rng.standard_normal(net.n_params)
        theta = group.act(group.random_element(rng), other) + 0.1 * rng.standard_normal(net.n_params)
        best = min(
            distance_of_units(net.unpack(theta), other, net, list(order), signs)
            for order in permutations(range(m))
            for signs in product((1, -1), repeat=m)
        )
        found = net.align(theta, other)
        assert found.distance <= 2 * best
        n_worse += found.distance > best * (1 + 1e-6)
    assert n_worse <= 1


def test_averages_after_alignment_are_near() -> None:
    """Merging: the mean of aligned parameters nearly has their function, that of the others does not."""
    rng = np.random.default_rng(14)
    net = MLP((3, 4, 2), 2)
    group = net.symmetries()
    theta = rng.standard_normal(net.n_params)
    moved = group.act(group.random_element(rng), theta + 1e-3 * rng.standard_normal(net.n_params))
    X = rng.standard_normal((20, 3))
    values = net.evaluate(theta, X)
    merged = (net.align(moved, theta).theta + theta) / 2
    assert abs(net.evaluate(merged, X) - values).max() < 0.05
    assert abs(net.evaluate((moved + theta) / 2, X) - values).max() > 0.5


def test_bad_arguments() -> None:
    net = MLP((2, 2, 1), 2)
    with pytest.raises(ValueError, match=r"`theta` must have shape \(n_params=6,\)"):
        net.align(np.zeros((2, 6)), np.zeros(6))
    with pytest.raises(ValueError, match="`other` must have shape"):
        net.align(np.zeros(6), np.zeros(5))
    with pytest.raises(TypeError, match="`theta`"):
        net.canonical(np.zeros(6) + 1j)
    with pytest.raises(ValueError, match="`theta`"):
        net.canonical([np.nan] * 6)
    generic = MLP((2, 2, 1), pc.GenericActivation(2), bias=True)
    with pytest.raises(ValueError, match="specialize"):
        generic.canonical(np.zeros(generic.n_params))
