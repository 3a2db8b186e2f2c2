# SPDX-License-Identifier: BSD-3-Clause
"""Recovered parameters have the coefficients they were recovered from, and are the original ones where they must be.

Draws are random; the oracle is the network itself, expanded. Uniqueness is checked unit by unit: what each hidden unit
contributes to the coefficients does not depend on its order or scale.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore._recovery_powers import decompositions, is_unique, power_coefficients, substitute
from polycore._recovery_roots import power_of, roots_in_space
from polycore.recovery import Recovery

MLP = pc.MLP
N_DRAWS = 15

# One decomposition for almost every function: [U] Kruskal's bound, [C] sums of powers below the generic rank, and
# other activations, whose top degree is such a sum.
PROVED = [
    MLP((3, 3, 1), 3),
    MLP((2, 2, 1), 3),
    MLP((4, 4, 1), 3),
    MLP((3, 4, 1), 4),
    MLP((4, 6, 1), 4),
    MLP((3, 6, 1), 5),
    MLP((2, 3, 1), 5),
    MLP((3, 2, 2), 2),
    MLP((3, 3, 2), 2),
    MLP((4, 4, 3), 2),
    MLP((2, 2, 4), 2),
    MLP((3, 4, 5), 2),
    MLP((5, 7, 8), 2),
    MLP((3, 1, 2), 4),
    MLP((3, 3, 2), 2, bias=True),
    MLP((3, 2, 3), 2, bias=True),
    MLP((3, 3, 1), 3, bias=True),
    MLP((2, 3, 2), 3, bias=True),
    MLP((1, 2, 2), 3, bias=True),
    MLP((1, 2, 1), 5, bias=True),
    MLP((3, 4, 2), 4, bias=True),
    MLP((3, 3, 2), [0, 1, 1]),
    MLP((2, 2, 1), [0, 0, 1, 1]),
    MLP((3, 3, 1), [0, 1, 0, -2]),
    MLP((3, 3, 1), [1, 2, 3, 1], bias=True),
    MLP((3, 2, 2), [1, 2, 1], bias=True),
    MLP((2, 2, 1), [-1, 3, -3, 1], bias=True),
    MLP((2, 2, 1), [-1, 3, -3, 1]),
    MLP((3, 3, 2), [3, 0, 1, 0, 0.5], bias=True),
]
# Many parameters for each function.
NOT_UNIQUE = [
    MLP((4, 2, 3), 1),
    MLP((2, 5, 2), 1),
    MLP((4, 2, 3, 5), 1, bias=True),
    MLP((3, 2, 3), [1, 2]),
    MLP((3, 2, 4, 3), ([-1, 2], [0, 3]), bias=True),
    MLP((3, 3, 1), 2),
    MLP((4, 2, 1), 2),
    MLP((3, 2, 1), 2, bias=True),
    MLP((3, 3, 1), [0, 1, 1]),
    MLP((2, 3, 1), 4),
    MLP((2, 3, 2), 3),
    MLP((2, 6, 1), 3),
    MLP((1, 3, 1), 2, bias=True),
    MLP((3, 4, 3), 2),
    MLP((3, 6, 1), [0, 1, 0, 0, 0, 1]),  # the directions are unique, the lengths are not
]


def coefficients_of(net: pc.Network, seed: int) -> tuple[np.ndarray, np.ndarray]:
    theta = net.random_params(rng=seed)
    return theta, net.expand(theta)


def check(net: pc.Network, coef: np.ndarray, result: Recovery, tol: float = 1e-8) -> None:
    """What the result says of itself is so."""
    assert result.found, result
    assert result.theta.shape == (net.n_params,)
    size = np.linalg.norm(coef)
    assert np.linalg.norm(net.expand(result.theta) - coef) <= tol * size
    assert result.residual <= tol


def units(net: pc.MLP, theta: np.ndarray) -> np.ndarray:
    """Coefficients of what each unit of the last hidden layer contributes, without the constant terms."""
    arrays = net.unpack(theta)
    name, width = f"W{len(net.widths) - 1}", net.widths[-2]
    parts = []
    for unit in range(width):
        alone = dict(arrays, **{name: np.where(np.arange(width) == unit, arrays[name], 0)})
        coef = net.expand(net.pack(alone))
        parts.append((coef if net.basis.homogeneous else coef[:, 1:]).ravel())
    return np.array(parts)


def assert_same_units(net: pc.MLP, theta: np.ndarray, other: np.ndarray, tol: float) -> None:
    remaining = list(units(net, other))
    for part in units(net, theta):
        distances = [np.linalg.norm(part - candidate) for candidate in remaining]
        closest = int(np.argmin(distances))
        assert distances[closest] <= tol
        remaining.pop(closest)


def slack(net: pc.MLP, theta: np.ndarray, coef: np.ndarray) -> float:
    """How far units can move without changing the coefficients beyond rounding: the condition is random, too."""
    size = np.linalg.norm(coef)
    sizes = np.linalg.svd(net.jacobian(theta) * theta / size, compute_uv=False)
    n_free = net.n_params - (net.widths[1] if net.activations[0].power else 0)
    return float(size * (1e-9 + 1e-12 / sizes[n_free - 1]))


# --- one hidden layer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", PROVED, ids=repr)
def test_original_parameters_come_back(net: pc.MLP) -> None:
    certain = 0
    for seed in range(N_DRAWS):
        theta, coef = coefficients_of(net, seed)
        result = net.recover(coef)
        check(net, coef, result)
        certain += result.unique is True
        assert result.unique is not False
        assert_same_units(net, theta, result.theta, slack(net, theta, coef))
    assert certain >= 0.9 * N_DRAWS


@pytest.mark.parametrize("net", NOT_UNIQUE, ids=repr)
def test_some_parameters_where_there_are_many(net: pc.MLP) -> None:
    for seed in range(N_DRAWS):
        _theta, coef = coefficients_of(net, seed)
        result = net.recover(coef)
        check(net, coef, result)
        assert result.unique is False


@pytest.mark.parametrize("net", [MLP((3, 4)), MLP((3, 4), bias=True), MLP((3, 1, 3), 1)], ids=repr)
def test_linear_maps_that_are_unique(net: pc.MLP) -> None:
    for seed in range(N_DRAWS):
        _, coef = coefficients_of(net, seed)
        result = net.recover(coef)
        check(net, coef, result)
        assert result.unique is True


def test_linear_factors_are_balanced() -> None:
    net = MLP((4, 2, 3, 5), 1)
    _, coef = coefficients_of(net, 0)
    arrays = net.unpack(net.recover(coef).theta)
    sizes = [np.linalg.svd(arrays[name], compute_uv=False)[:2] for name in ("W1", "W2", "W3")]
    for other in sizes[1:]:
        np.testing.assert_allclose(other, sizes[0], rtol=1e-6)


@pytest.mark.parametrize("widths", [(3, 2, 1, 2), (2, 1, 2), (4, 3, 2, 4)])
@pytest.mark.parametrize("biases", [(True, False, False), (False, True, False), (False, False, True)])
def test_biases_in_some_linear_layers(widths: tuple[int, ...], biases: tuple[bool, ...]) -> None:
    layers: list[Any] = []
    for width, bias in zip(widths[1:], biases):
        layers += [pc.Activation([0, 3]), pc.Affine(width, bias)]
    net = pc.Sequential(*layers[1:], n_inputs=widths[0])
    for seed in range(N_DRAWS):
        _, coef = coefficients_of(net, seed)
        check(net, coef, net.recover(coef))


@pytest.mark.parametrize(("biases", "unique"), [((True, False), True), ((False, True), True), ((True, True), False)])
def test_biases_around_one_linear_unit(biases: tuple[bool, bool], unique: bool) -> None:
    net = pc.Sequential(pc.Affine(1, biases[0]), pc.Affine(2, biases[1]), n_inputs=3)
    _, coef = coefficients_of(net, 0)
    assert net.recover(coef).unique is unique


def test_bias_of_one_layer_only() -> None:
    for hidden, output in ((True, False), (False, True)):
        layers = pc.Affine(3, hidden), pc.Activation(3), pc.Affine(2, output)
        net = pc.Sequential(*layers, n_inputs=3)
        for seed in range(N_DRAWS):
            _theta, coef = coefficients_of(net, seed)
            result = net.recover(coef)
            check(net, coef, result)
            assert result.unique is True


# --- deep networks ----------------------------------------------------------------------------------------------------

# Pyramids, where localisation proves that there are finitely many parameter vectors ([U], corollary 16).
PYRAMIDS = [
    MLP((2, 2, 2, 2), 2),
    MLP((3, 3, 2, 2), 2),
    MLP((3, 3, 3, 3), 2),
    MLP((4, 3, 2, 3), 2),
    MLP((2, 2, 2, 2), 3),
    MLP((3, 3, 2, 1), 3),
    MLP((4, 3, 2, 1), (2, 3)),
    MLP((2, 2, 2, 2, 2), 2),
    MLP((3, 2, 2, 2), 2, bias=True),
    MLP((2, 2, 2, 2), (3, 2), bias=True),
    MLP((3, 2, 2, 2), ([1, -2, 1], [2, 3, 1.5]), bias=True),
    MLP((3, 2, 1, 1), 3),
]


@pytest.mark.parametrize("net", PYRAMIDS, ids=repr)
def test_pyramids_layer_by_layer(net: pc.MLP) -> None:
    by_layers = same = 0
    n_draws = 10
    for seed in range(n_draws):
        theta, coef = coefficients_of(net, seed)
        result = net.recover(coef)
        check(net, coef, result)
        assert result.unique is None  # finitely many, one perhaps
        assert "finitely many" in result.reason or "one parameter vector" in result.reason
        by_layers += result.method.startswith("layer by layer")
        try:
            assert_same_units(net, theta, result.theta, 1e-4 * np.linalg.norm(coef))
            same += 1
        except AssertionError:
            pass  # an ill-conditioned draw, or one of the other parameter vectors
    assert by_layers >= n_draws - 2
    assert same >= n_draws - 3


# As many outputs as units before them ([U], corollary 19).
@pytest.mark.parametrize(
    "net",
    [
        MLP((3, 2, 3, 4), 3),
        MLP((2, 3, 3, 3), 3, bias=True),
        MLP((4, 3, 2, 3, 4), (2, 2, 3)),
        MLP((3, 4, 4, 4), 2),  # more units than variables, and squares
        MLP((3, 4, 4, 5), 2, bias=True),
        MLP((3, 5, 5, 5), 3),
        MLP((4, 5, 6, 6), 2),
        MLP((2, 3, 3, 3), ([-1, 3, -3, 1], [2, 0, 0, 2]), bias=True),
    ],
    ids=repr,
)
def test_bottlenecks_from_both_ends(net: pc.MLP) -> None:
    n_draws = 6
    by_layers = 0
    for seed in range(n_draws):
        _, coef = coefficients_of(net, seed)
        result = net.recover(coef)
        check(net, coef, result)
        by_layers += result.method.startswith("layer by layer")
    assert by_layers >= n_draws - 1


@pytest.mark.parametrize(
    ("m", "e", "r", "k"),
    [(2, 3, 3, 3), (3, 2, 3, 4), (3, 3, 2, 3), (2, 1, 4, 3), (3, 2, 2, 4), (4, 2, 2, 7), (3, 3, 3, 6)],
)
def test_powers_in_a_space(m: int, e: int, r: int, k: int, rng: np.random.Generator) -> None:
    size = pc.count_monomials(m, e, homogeneous=True)
    for _ in range(5):
        roots = rng.normal(size=(k, size))
        powers = np.array([power_of(root, m, e, r) for root in roots])
        basis = pc.MonomialBasis(m, e * r, homogeneous=True)
        points = rng.normal(size=(4, m))
        values = pc.MonomialBasis(m, e, homogeneous=True).evaluate(roots, points)
        np.testing.assert_allclose(basis.evaluate(powers, points), values**r, rtol=1e-8)
        found = roots_in_space(rng.normal(size=(k, k)) @ powers, m, e * r, r, k, rng)
        assert found is not None
        cosines = np.abs(unit_rows(found) @ unit_rows(roots).T)
        np.testing.assert_allclose(cosines.max(axis=0), 1, atol=1e-6)


def test_no_powers_in_a_generic_space(rng: np.random.Generator) -> None:
    for m, degree, r, k in ((3, 4, 2, 4), (2, 9, 3, 3), (2, 4, 2, 4)):  # in the last one there are too many
        forms = rng.normal(size=(k, pc.count_monomials(m, degree, homogeneous=True)))
        assert roots_in_space(forms, m, degree, r, k, rng) is None


def unit_rows(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_two_parameter_vectors_of_one_function() -> None:
    """The generic fibre is one orbit as far as anybody knows; this one is not, and whichever comes out is right."""
    net = MLP((2, 2, 2, 2), 2)
    hadamard, other = np.array([[1.0, 1], [1, -1]]), np.array([[1.0, 0], [1, -1]])
    coef = net.expand(net.pack(W1=np.eye(2), W2=hadamard, W3=np.eye(2)))
    twin = net.expand(net.pack(W1=hadamard, W2=hadamard / 2, W3=other))
    np.testing.assert_allclose(coef, twin, atol=1e-12)
    result = net.recover(coef)
    check(net, coef, result)
    assert result.unique is None


# --- convolutions -----------------------------------------------------------------------------------------------------

CONVOLUTIONS = [
    pc.CNN((3, 2), 2),
    pc.CNN((2, 2), 3),
    pc.CNN((3, 3, 3), 2),
    pc.CNN((3, 2, 2), 3),
    pc.CNN((2, 2, 2, 2), 2),
    pc.CNN((4, 3), 2, stride=2),
    pc.CNN((2, 3, 2), 2, stride=(3, 1, 1)),
    pc.CNN((3, 2), 2, n_inputs=7),
    pc.CNN((3, 2), (3,), stride=2, n_inputs=9),
    pc.CNN((3, 2, 2), (2, 3)),
    pc.CNN((4, 2), 1, stride=(2, 1)),
    pc.CNN((2, 2, 2), 1, stride=(3, 2, 1)),
    pc.CNN((3, 2, 2), 1, stride=(2, 2, 1)),
    pc.CNN((5, 3), 1, stride=(2, 1)),
    pc.CNN(((2, 2), (2, 2)), 2, n_inputs=(3, 3)),
    pc.CNN(((1, 2), (2, 2)), 3, n_inputs=(2, 4)),
]


def directions(net: pc.Network, theta: np.ndarray) -> list[np.ndarray]:
    """The filters, scaled to length one, their largest entry positive."""
    filters = [array.ravel() for array in net.unpack(theta).values()]
    return [f / np.linalg.norm(f) * np.sign(f[np.argmax(np.abs(f))]) for f in filters]


@pytest.mark.parametrize("net", CONVOLUTIONS, ids=repr)
def test_filters_come_back(net: pc.Network) -> None:
    for seed in range(N_DRAWS):
        theta, coef = coefficients_of(net, seed)
        result = net.recover(coef)
        check(net, coef, result)
        assert result.unique is True
        for found, original in zip(directions(net, result.theta), directions(net, theta)):
            np.testing.assert_allclose(found, original, atol=1e-5)


@pytest.mark.parametrize(
    "net",
    [pc.CNN((3, 3), 1), pc.CNN((4, 2, 3), 1), pc.CNN((3, 3, 2), 1, stride=(1, 2, 1)), pc.CNN((2, 2, 2), (1, 3))],
    ids=repr,
)
def test_roots_can_be_distributed(net: pc.Network) -> None:
    answers = set()
    for seed in range(N_DRAWS):
        _, coef = coefficients_of(net, seed)
        result = net.recover(coef)
        check(net, coef, result)
        answers.add(result.unique)
    assert False in answers


def test_linear_filters_that_are_unique_by_their_roots() -> None:
    net = pc.CNN((2, 3), 1)
    coef = [np.convolve([1, 2], [1, 0, 1])]  # one real root and a pair of complex ones
    assert net.recover(coef).unique is True
    assert net.recover([np.convolve([1, 2], [1, 0, -1])]).unique is False
    assert net.recover([np.convolve([1, 2], [4, 4, 1])]).unique is None  # a double root
    # (x² − 1)(x² − 2): the filter of the strided layer can be either factor.
    assert pc.CNN((3, 2), 1, stride=(2, 1)).recover([np.convolve([-1, 0, 1], [-2, 0, 1])]).unique is None


def test_products_of_filters_that_are_not_real() -> None:
    net = pc.CNN((2, 2), 1)
    result = net.recover([[1, 0, 1]])
    assert not result.found
    assert "complex roots" in result.reason
    assert net.recover([[1, 0, -1]]).found
    assert not pc.CNN((2, 4), 1).recover([np.convolve([1, 0, 1], [2, 1, 1])]).found
    assert pc.CNN((3, 3), 1).recover([np.convolve([1, 0, 1], [2, 1, 1])]).found


def test_filters_with_zeros_at_their_ends() -> None:
    for net in (pc.CNN((3, 3), 2), pc.CNN((3, 2, 2), 2), pc.CNN((3, 3), 2, stride=2), pc.CNN((3, 3), 1)):
        for zeros in ((0,), (2,), (0, 2)):
            arrays = net.unpack(net.random_params(rng=1))
            arrays["W1"][..., list(zeros)] = 0
            coef = net.expand(net.pack(arrays))
            check(net, coef, net.recover(coef))


@pytest.mark.parametrize(
    "net",
    [
        pc.CNN((3, 2), [0, 1, 1]),
        pc.CNN((3, 2, 2), [0, 1, 1], stride=2),
        pc.CNN((3, 2), 2, bias=True),
        pc.CNN((2, 2), 2, channels=(2, 1)),
        pc.CNN(((2, 2), (2, 2)), 1, n_inputs=(3, 3)),
    ],
    ids=repr,
)
def test_other_convolutions_numerically(net: pc.Network) -> None:
    for seed in range(20):
        _, coef = coefficients_of(net, seed)
        result = net.recover(coef)
        check(net, coef, result)


# --- attention --------------------------------------------------------------------------------------------------------


def value_times_scores(net: pc.Network, theta: np.ndarray) -> np.ndarray:
    arrays = net.unpack(theta)
    return np.multiply.outer(arrays["V1"], arrays["K1"].T @ arrays["Q1"])


@pytest.mark.parametrize(
    "sizes", [(2, 2, 1, 2), (2, 2, 2, 3), (3, 2, 2, 2), (3, 1, 2, 2), (2, 3, 2, 2), (3, 2, 1, 2), (1, 1, 1, 2)]
)
def test_attention_comes_back(sizes: tuple[int, int, int, int]) -> None:
    net = pc.LightningAttention(*sizes)
    for seed in range(N_DRAWS):
        theta, coef = coefficients_of(net, seed)
        result = net.recover(coef)
        check(net, coef, result)
        assert result.unique is True
        original = value_times_scores(net, theta)
        found = value_times_scores(net, result.theta)
        np.testing.assert_allclose(found, original, atol=1e-6 * np.abs(original).max())


@pytest.mark.parametrize("sizes", [(3, 1, 1, 2), (3, 3, 3, 1), (3, 1, 2, 1), (2, 1, 1, 1), (3, 2, 1, 1), (3, 2, 2, 1)])
def test_attention_with_several_solutions(sizes: tuple[int, int, int, int]) -> None:
    net = pc.LightningAttention(*sizes)
    for seed in range(N_DRAWS):
        _, coef = coefficients_of(net, seed)
        result = net.recover(coef)
        check(net, coef, result)
        assert result.unique is False


def test_one_quadratic_form_must_be_a_product() -> None:
    """Slides of K. Kohn: proportional quadratic forms must have a discriminant that is not negative."""
    net = pc.LightningAttention(2, 2, 1, 2)
    # With A = KᵀQ of rank one there is one quadratic form, here of the variables of the other token.
    square = net.pack(V1=[[1, 0]], K1=[[1, 0], [0, 0]], Q1=[[1, 0], [0, 0]])
    difference = net.pack(V1=[[1, 1]], K1=[[1, -1], [0, 0]], Q1=[[1, 0], [0, 0]])
    x2, x2_minus_y2 = net.expand(square), net.expand(difference)
    assert net.recover(x2).found
    assert net.recover(2 * x2 - 3 * x2_minus_y2).found  # 3 y² − x²
    result = net.recover(2 * x2 - x2_minus_y2)  # x² + y²
    assert not result.found
    assert "signature" in result.reason


@pytest.mark.parametrize(
    "net",
    [
        pc.LightningAttention(2, 1, 2, 2, n_heads=2),
        pc.LightningAttention(2, 1, 2, 2, n_layers=2),
        pc.Sequential(pc.Affine(2), pc.Residual(pc.Activation(2), pc.Affine(2)), n_inputs=2),
        pc.Sequential(pc.Residual(pc.Affine(2), pc.Activation(3), pc.Affine(3)), pc.Affine(1), n_inputs=3),
        pc.Sequential(pc.Affine(2), pc.Activation(2), n_inputs=2),
    ],
    ids=repr,
)
def test_anything_else_numerically(net: pc.Network) -> None:
    for seed in range(10):
        _, coef = coefficients_of(net, seed)
        check(net, coef, net.recover(coef))


def test_shortcuts_cannot_be_scaled() -> None:
    net = pc.Sequential(pc.Residual(pc.Affine(2), pc.Activation(2), pc.Affine(2)), n_inputs=2)
    theta = net.random_params(rng=0)
    check(net, net.expand(theta), net.recover(net.expand(theta)))
    result = net.recover(np.zeros((2, net.basis.n_monomials)))
    assert not result.found
    assert result.residual > 0.5  # x + F(x) is never zero


@pytest.mark.parametrize(
    "net",
    [
        MLP((3, 3, 2), 2),
        MLP((3, 3, 1), 3, bias=True),
        MLP((3, 3, 3, 3), 2),
        pc.CNN((3, 2), 2),
        pc.CNN((3, 3, 3), 2, stride=2),
        pc.LightningAttention(3, 2, 2, 2),
    ],
    ids=repr,
)
def test_same_canonical_parameters(net: pc.Network) -> None:
    for seed in range(15):
        theta, coef = coefficients_of(net, seed)
        found = net.canonical(net.recover(coef).theta)
        np.testing.assert_allclose(found, net.canonical(theta), rtol=1e-5, atol=1e-6)


# --- inputs that are not generic --------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [-100, -8, 8, 100])
@pytest.mark.parametrize("net", [MLP((3, 3, 2), 3), MLP((3, 2, 2), 2, bias=True), MLP((4, 2, 3), 1)], ids=repr)
def test_coefficients_of_any_size(net: pc.MLP, exponent: int) -> None:
    _, coef = coefficients_of(net, 1)
    result = net.recover(coef * 10.0**exponent)
    check(net, coef * 10.0**exponent, result)


@pytest.mark.parametrize("sizes", [(1e3, 1e3, 1e3), (1e3, 1.0, 1e-3), (1e5, 1e5, 1e-5)])
@pytest.mark.parametrize(
    "net", [MLP((3, 3, 2), 2, bias=True), MLP((3, 3, 1), 3), MLP((3, 2, 2, 2), 2, bias=True)], ids=repr
)
def test_inputs_of_different_sizes(net: pc.MLP, sizes: tuple[float, float, float]) -> None:
    for seed in range(5):
        arrays = net.unpack(net.random_params(rng=seed))
        coef = net.expand(net.pack(dict(arrays, W1=arrays["W1"] * sizes)))
        result = net.recover(coef)
        check(net, coef, result)
        # Small coefficients are met as well as large ones.
        np.testing.assert_allclose(net.expand(result.theta), coef, rtol=1e-6)


def test_sizes_are_spread_over_layers() -> None:
    net = MLP((3, 3, 2), 3)
    _, coef = coefficients_of(net, 1)
    # Of degree 3 and 1 in the two layers: 2^400 is 2^100 for each of four factors.
    ratio = net.recover(np.ldexp(coef, 400)).theta / net.recover(coef).theta
    assert ratio.max() < 2.0**105
    assert ratio.min() > 2.0**95


@pytest.mark.parametrize("net", [MLP((3, 3, 2), 3), MLP((3, 3, 1), 3), MLP((3, 3, 2), 2, bias=True)], ids=repr)
def test_fewer_units_than_there_is_room_for(net: pc.MLP) -> None:
    for change in ("zero", "parallel", "silent"):
        for seed in range(10):
            arrays = net.unpack(net.random_params(rng=seed))
            if change == "silent":
                arrays["W2"][:, 1] = 0
            else:
                arrays["W1"][1] = 0 if change == "zero" else 2 * arrays["W1"][0]
                if net.bias:
                    arrays["b1"][1] = 0 if change == "zero" else 2 * arrays["b1"][0]
            coef = net.expand(net.pack(arrays))
            result = net.recover(coef)
            check(net, coef, result)
            if change == "parallel" and net.n_outputs == 2:
                continue  # two units that are parallel are one with other weights, or stay two
            assert result.unique is False


def test_zero_function() -> None:
    for net in (MLP((2, 2, 1), 2), MLP((2, 3, 2), 1, bias=True), MLP((2, 2, 2), [1, 0, 1], bias=True)):
        result = net.recover(np.zeros((net.n_outputs, net.basis.n_monomials)))
        assert result.found
        assert result.residual == 0
        assert result.unique is False
        assert not net.expand(result.theta).any()
    assert MLP((3, 2), bias=True).recover(np.zeros((2, 4))).unique is True


def test_noise_is_reported_as_residual(rng: np.random.Generator) -> None:
    net = MLP((3, 3, 2), 3)
    for seed in range(20):
        theta, coef = coefficients_of(net, seed)
        noise = rng.normal(size=coef.shape)
        noisy = coef + 1e-6 * noise * np.linalg.norm(coef) / np.linalg.norm(noise)
        result = net.recover(noisy, tol=1e-5)
        assert result.found
        assert 1e-8 < result.residual < 1e-6
        assert_same_units(net, theta, result.theta, 1e-3 * np.linalg.norm(coef))
        strict = net.recover(noisy, n_starts=2)
        assert not strict.found
        assert strict.unique is None
        assert strict.residual <= 1.001 * result.residual


def test_exact_input() -> None:
    net = MLP((2, 2, 1), 3)
    coef = [[Fraction(28, 3), 0, 0, Fraction(1, 3)]]
    check(net, np.array(coef, dtype=float), net.recover(coef))
    check(net, np.array([[28, 0, 0, 1]]), net.recover([[28, 0, 0, 1]]))
    check(net, np.array([[2.0**70, 0, 0, 1]]), net.recover([[2**70, 0, 0, 1]]))


# --- outside the image ------------------------------------------------------------------------------------------------


def test_forms_outside_the_real_image() -> None:
    net = MLP((2, 2, 1), 3)
    # Real rank three: three real roots (G. Comas, M. Seiguer, Found. Comput. Math. 11 (2011)).
    result = net.recover([[1, 0, -1, 0]])
    assert not result.found
    assert result.residual > 0.1
    assert result.unique is None
    assert "not real" in result.reason
    # x²y is a limit of sums of two cubes, x³ + xy² one.
    assert not net.recover([[0, 1, 0, 0]]).found
    assert net.recover([[1, 0, 1, 0]]).found


def test_binary_forms_by_their_roots(rng: np.random.Generator) -> None:
    """A binary form of degree r is a sum of r − 1 real powers unless it has r different real roots.

    A. Causa, R. Re, Ann. Mat. Pura Appl. 190 (2011).
    """
    for degree in (3, 4, 5):
        net = MLP((2, degree - 1, 1), degree)
        for _ in range(10):
            real = np.poly(np.sort(rng.uniform(-2, 2, degree)))
            assert not net.recover([real], n_starts=8).found
            pair = np.polymul([1, 0, 1 + rng.uniform()], np.poly(rng.uniform(-1, 1, degree - 2)))
            coef = np.array([pair])
            check(net, coef, net.recover(coef))


@pytest.mark.parametrize(
    ("net", "word"),
    [
        (MLP((3, 2, 3), 1), "rank 3"),
        (MLP((3, 1, 4), 1, bias=True), "rank 3"),
        (MLP((3, 2, 1), 2), "rank 3"),
        (MLP((3, 3, 2), 3), "rank"),
        (MLP((3, 2, 2), 2), "rank"),
        (MLP((3, 2, 2), 2, bias=True), "rank"),
        (MLP((3, 2, 2), [0, 1, 1, 1], bias=True), "rank"),
    ],
    ids=repr,
)
def test_rank_tells_what_is_outside(net: pc.MLP, word: str, rng: np.random.Generator) -> None:
    for _ in range(10):
        coef = rng.normal(size=(net.n_outputs, net.basis.n_monomials))
        result = net.recover(coef)
        assert not result.found
        assert word in result.reason
        assert result.residual > 1e-7
        distance = np.linalg.norm(net.expand(result.theta) - coef) / np.linalg.norm(coef)
        assert result.residual == pytest.approx(distance, rel=1e-9)


def test_nearest_matrix_of_lower_rank(rng: np.random.Generator) -> None:
    net = MLP((4, 2, 3), 1)
    coef = rng.normal(size=(3, 4))
    sizes = np.linalg.svd(coef, compute_uv=False)
    assert net.recover(coef).residual == pytest.approx(sizes[2] / np.linalg.norm(sizes), rel=1e-9)


def test_complex_sums_are_not_real(rng: np.random.Generator) -> None:
    net = MLP((3, 3, 1), 3)
    for _ in range(20):
        vectors = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))
        coef = power_coefficients(vectors[:1], 3).real + power_coefficients(rng.normal(size=(1, 3)), 3)
        result = net.recover(coef, n_starts=32)
        assert not result.found
        assert "not real" in result.reason


# --- arguments and results --------------------------------------------------------------------------------------------


def test_same_seed_same_result() -> None:
    net = MLP((3, 5, 2), 3)
    _, coef = coefficients_of(net, 0)
    first, second = net.recover(coef, rng=5), net.recover(coef, rng=5)
    assert (first.theta == second.theta).all()
    assert first.seed == 5


def test_repr_says_what_was_found() -> None:
    net = MLP((3, 3, 2), 2)
    _, coef = coefficients_of(net, 0)
    text = repr(net.recover(coef))
    for words in ("MLP((3, 3, 2), activation=2)", "found     yes", "unique    yes", "simultaneous diagonalisation"):
        assert words in text


@pytest.mark.parametrize(
    "coef",
    [
        [[1, 2]],
        [1, 2, 3],
        [[1, 2, 3, 4]],
        np.ones((2, 3)),
        [[1, np.nan, 0]],
        [[1, np.inf, 0]],
        [[1j, 0, 0]],
        "abc",
        None,
    ],
    ids=repr,
)
def test_bad_coefficients(coef: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="`coef`"):
        MLP((2, 2, 1), 2).recover(coef)


def test_generic_activations_are_refused() -> None:
    with pytest.raises(ValueError, match="generic activation"):
        MLP((2, 2, 1), pc.GenericActivation(2)).recover(np.ones((1, 6)))


# --- sums of powers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "s", "k", "n_forms"),
    [(3, 3, 3, 1), (4, 4, 6, 1), (3, 5, 6, 1), (3, 6, 7, 1), (2, 7, 4, 1), (3, 2, 3, 2), (6, 3, 6, 2), (5, 2, 7, 8)],
)
def test_decompositions_find_the_vectors(m: int, s: int, k: int, n_forms: int, rng: np.random.Generator) -> None:
    for _ in range(30):
        vectors, weights = rng.normal(size=(k, m)), rng.normal(size=(n_forms, k))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        forms = weights @ power_coefficients(vectors, s)
        cosines = [np.abs(found.vectors @ vectors.T).max(axis=0).min() for found in decompositions(forms, m, s, k, rng)]
        assert max(cosines) > 1 - 1e-6
        assert is_unique(vectors, weights, s)


def test_uniqueness_needs_distinct_independent_vectors(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(3, 3))
    assert is_unique(vectors, np.ones((1, 3)), 3)
    assert not is_unique(vectors, np.array([[1.0, 1, 0]]), 3)
    assert not is_unique(vectors, np.ones((1, 3)), 2)
    vectors[2] = vectors[1]
    assert not is_unique(vectors, np.ones((1, 3)), 3)
    # Kruskal's example: with three vectors in a plane two cubes more are too many.
    assert not is_unique(rng.normal(size=(3, 2)), np.ones((1, 3)), 3)


@pytest.mark.parametrize(("m", "s", "n"), [(3, 3, 2), (2, 4, 3), (5, 9, 2)])
def test_substitution(m: int, s: int, n: int, rng: np.random.Generator) -> None:
    basis = pc.MonomialBasis(m, s, homogeneous=True)
    forms, matrix = rng.normal(size=(2, basis.n_monomials)), rng.normal(size=(m, n))
    points = rng.normal(size=(7, n))
    expected = basis.evaluate(forms, points @ matrix.T)
    substituted = pc.MonomialBasis(n, s, homogeneous=True).evaluate(substitute(forms, m, s, matrix), points)
    np.testing.assert_allclose(substituted, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())
