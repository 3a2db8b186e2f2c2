# SPDX-License-Identifier: BSD-3-Clause
"""Critical points told apart, where theory says what they are."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import _linalg
from polycore._local_expansion import ComposedLoss, LocalExpansion, composed_loss
from polycore.singularities import words_of_part
from polycore.stationary import search

# --- linear networks: Eckart–Young --------------------------------------------------------------------------------


def linear_points(target: np.ndarray, width: int, rng: np.random.Generator) -> Any:
    """The critical points of one hidden layer: sums of singular components I, in a random representative."""
    left, values, right = np.linalg.svd(target)
    n_out, n_in = target.shape
    for size in range(min(width, len(values)) + 1):
        for chosen in itertools.combinations(range(len(values)), size):
            first, second = np.zeros((width, n_in)), np.zeros((n_out, width))
            for unit, i in enumerate(chosen):
                first[unit], second[:, unit] = np.sqrt(values[i]) * right[i], np.sqrt(values[i]) * left[:, i]
            g = np.eye(width) + 0.4 * rng.standard_normal((width, width))
            yield chosen, values, np.concatenate([(g @ first).ravel(), (second @ np.linalg.inv(g)).ravel()])


def linear_loss(net: pc.Network, target: np.ndarray) -> pc.NetworkLoss:
    """‖W − target‖² on the matrices of linear maps."""
    return pc.QDistance.from_metric("identity", target, net.basis).compose(net)


@pytest.mark.parametrize("widths", [(2, 1, 2), (3, 2, 3), (3, 2, 2), (4, 2, 3), (2, 3, 2), (3, 1, 4)])
def test_linear_networks_have_the_inertia_of_eckart_and_young(widths: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(widths))
    n_in, width, n_out = widths
    net = pc.MLP(widths, activation=1)
    target = rng.standard_normal((n_out, n_in))
    objective = linear_loss(net, target)
    for chosen, values, theta in linear_points(target, width, rng):
        point = pc.classify(objective, theta)
        missing = [j for j in range(len(values)) if j not in chosen]
        swaps = sum(values[j] > values[i] for i in chosen for j in missing)
        # A unit that is not used pairs each vector of the residual's singular components with another one.
        index = swaps + (width - len(chosen)) * len(missing)
        assert point.inertia.index == index
        assert point.inertia.decided
        assert np.isclose(point.loss, sum(values[j] ** 2 for j in missing), atol=1e-12)
        signs = point.inertia
        assert signs.index + signs.nullity + signs.positive == net.n_params - signs.fibre_dimension
        assert point.kind == ("strict saddle" if index else "minimum")
        if len(chosen) == min(width, n_in, n_out):
            assert point.origin.pure
            assert signs.nullity == 0
            assert signs.fibre_dimension == net.n_params - len(chosen) * (n_in + n_out - len(chosen))
        else:
            assert point.origin.spurious
            assert point.origin.projected_gradient > 1e-3
            assert point.status == "saddle"
            assert point.proved


def test_points_of_lower_rank_are_pure_where_the_gradient_on_functions_vanishes() -> None:
    net = pc.MLP((3, 2, 3), activation=1)
    target = np.outer([1.0, 2.0, -1.0], [0.5, 1.0, 3.0])
    theta = net.pack(W1=[[0.5, 1.0, 3.0], [0.0, 0.0, 0.0]], W2=np.outer([1.0, 2.0, -1.0], [1.0, 0.0]))
    point = pc.classify(linear_loss(net, target), theta)
    assert point.origin.pure
    assert point.origin.rank < point.origin.generic_rank
    assert point.zero_loss
    assert (point.status, point.proved) == ("global minimum", True)
    assert point.is_minimum
    assert point.subnetwork.startswith("widths (3, 1, 3)")


@pytest.mark.parametrize("widths", [(2, 2, 2), (2, 2, 2, 2), (2, 1, 1, 2), (3, 2, 2, 1, 2), (2, 2, 2, 2, 2, 1)])
def test_zero_of_deep_linear_networks_is_a_saddle_of_order_depth(widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(widths))
    net = pc.MLP(widths, activation=1)
    depth = len(widths) - 1
    point = pc.classify(linear_loss(net, rng.standard_normal((widths[-1], widths[0]))), np.zeros(net.n_params))
    assert point.origin.spurious
    assert point.status == "saddle"
    assert not point.is_minimum
    if depth == 2:
        assert point.kind == "strict saddle"
    else:
        assert (point.kind, point.higher_order) == ("degenerate", "saddle")
        assert f"t^{depth} " in point.reason


def test_weighted_linear_network_has_the_counts_of_the_changed_inner_product() -> None:
    """With Q, W ↦ W Q^½ is an isometry to the unweighted problem with target T Q^½."""
    rng = np.random.default_rng(5)
    net = pc.MLP((3, 1, 2), activation=1)
    X, Y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    loss = pc.QDistance.from_data(X, Y, net.basis)
    root = np.linalg.cholesky(loss.gram).T
    for chosen, values, theta in linear_points(loss.target @ root.T, 1, rng):
        first = theta[:3] @ np.linalg.inv(root.T)
        point = pc.classify(loss.compose(net), np.concatenate([first, theta[3:]]))
        expected = sum(values[j] > values[i] for i in chosen for j in range(2) if j not in chosen)
        assert point.inertia.index == expected + (0 if chosen else 2)
        assert np.isclose(point.loss, loss.constant + sum(values[j] ** 2 for j in range(2) if j not in chosen))


# --- quadratic networks in the Bombieri–Weyl metric ----------------------------------------------------------------


def quadratic_form(matrix: np.ndarray, basis: pc.MonomialBasis) -> np.ndarray:
    coef, units = np.zeros(basis.n_monomials), np.eye(len(matrix), dtype=int)
    for i, j in itertools.combinations_with_replacement(range(len(matrix)), 2):
        coef[basis.index(units[i] + units[j])] = matrix[i, j] * (1 if i == j else 2)
    return coef


@pytest.mark.parametrize(("n", "k"), [(2, 1), (3, 2), (4, 2), (3, 1)])
def test_quadratic_networks_have_the_inertia_of_eigenvalue_swaps(n: int, k: int) -> None:
    """Of symmetric matrices of rank k, a sum of k eigencomponents: v_i v_jᵀ + v_j v_iᵀ is downhill if λ_j/λ_i > 1."""
    rng = np.random.default_rng(10 * n + k)
    net = pc.MLP((n, k, 1), activation=2)
    half = rng.standard_normal((n, n))
    values, vectors = np.linalg.eigh(half + half.T)
    target = quadratic_form(half + half.T, net.basis)
    objective = pc.QDistance.from_metric("bombieri_weyl", target, net.basis).compose(net)
    for chosen in itertools.combinations(range(n), k):
        units = list(chosen)
        theta = net.pack(W1=vectors[:, units].T, W2=values[units][None])
        point = pc.classify(objective, theta)
        missing = [j for j in range(n) if j not in chosen]
        assert point.inertia.index == sum(values[j] / values[i] > 1 for i in units for j in missing)
        assert point.inertia.nullity == 0
        assert point.inertia.fibre_dimension == net.n_params - (n * k - k * (k - 1) // 2)
        assert point.origin.pure
        assert point.location == "smooth"
        assert np.isclose(point.loss, sum(values[j] ** 2 for j in missing))


# --- planted neurons ----------------------------------------------------------------------------------------------


def data_loss(net: pc.Network, n_samples: int, seed: int, hidden: bool = False) -> pc.NetworkLoss:
    """Of random data; with ``hidden`` a function of the network is in them, so that a best one exists."""
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((n_samples, net.n_inputs)), rng.standard_normal((n_samples, net.n_outputs))
    if hidden:
        Y = 0.3 * Y + np.asarray(net.evaluate(rng.standard_normal(net.n_params), X))
    return pc.QDistance.from_data(X, Y, net.basis).compose(net)


def stationary_points(objective: pc.NetworkLoss, n: int, method: str, seed: int = 0) -> np.ndarray:
    starts = np.random.default_rng(seed).standard_normal((n, objective.n_params))
    found = search(objective, starts, method)
    return np.asarray(found.theta[found.converged])


def best_of(objective: pc.NetworkLoss, n: int = 40) -> np.ndarray:
    found = stationary_points(objective, n, "descent")
    return np.asarray(found[np.argmin(objective.value(found))])


@pytest.mark.parametrize("degree", [2, 3])
def test_dead_and_duplicated_neurons_are_spurious_and_named(degree: int) -> None:
    net, sub = pc.MLP((3, 3, 2), activation=degree), pc.MLP((3, 2, 2), activation=degree)
    objective = data_loss(net, 40, degree, hidden=True)
    weights = sub.unpack(best_of(objective.loss.compose(sub)))
    W1, W2 = weights["W1"], weights["W2"]
    planted = {
        "dead": net.pack(W1=np.vstack([W1, np.zeros((1, 3))]), W2=np.column_stack([W2, [0.3, -0.7]])),
        "gone": net.pack(W1=np.vstack([W1, np.zeros((1, 3))]), W2=np.column_stack([W2, [0.0, 0.0]])),
        "duplicated": net.pack(
            W1=np.vstack([W1, 2 * W1[1]]),
            W2=np.column_stack([W2[:, 0], 0.4 * W2[:, 1], 0.6 * W2[:, 1] / 2**degree]),
        ),
    }
    for name, theta in planted.items():
        point = pc.classify(objective, theta)
        assert point.origin.spurious, name
        assert point.origin.rank < point.origin.generic_rank, name
        assert point.subnetwork.startswith("widths (3, 2, 2)"), name
        assert point.analysis is not None
        assert point.location == point.analysis.verdict


def test_fibres_larger_than_the_symmetries_show_spurious_points() -> None:
    """(2, 2, 2), r = 2 with proportional outputs: the units may be rotated, and nothing is redundant.

    With outputs q and λ q, q = l₁² ± l₂², J has rank 5 of 6: its image is (1, λ) ⊗ all forms + R² ⊗ (l₁², l₂²). The
    rotated units have another image, so what is critical for both is orthogonal to all forms.
    """
    net = pc.MLP((2, 2, 2), activation=2)
    seen = 0
    for seed in range(2):
        objective = data_loss(net, 60, seed)
        for theta in stationary_points(objective, 40, "stationary", seed):
            point = pc.classify(objective, theta, deep=False)
            if point.origin.rank == 5:
                first, second = point.coef
                assert abs(np.linalg.norm(np.outer(first, second) - np.outer(second, first))) < 1e-6
                assert point.origin.spurious
                seen += 1
    assert seen


@pytest.mark.parametrize("filters", [(2, 2), (3, 2)])
def test_convolutions_with_stride_have_no_spurious_points_but_zero(filters: tuple[int, int]) -> None:
    """Where all filters are not zero the map is an immersion up to scaling (Shahverdi–Marchetti–Kohn 2025)."""
    net = pc.CNN(filters, activation=2, stride=2)
    rng = np.random.default_rng(3)
    X, Y = rng.standard_normal((80, net.n_inputs)), rng.standard_normal((80, net.n_outputs))
    objective = pc.QDistance.from_data(X, Y, net.support).compose(net)
    verdicts = set[tuple[bool, str, str]]()
    for theta in stationary_points(objective, 60, "stationary"):
        point = pc.classify(objective, theta)
        verdicts.add((bool(np.any(point.coef)), point.origin.verdict, point.location))
    assert verdicts <= {(True, "pure", "smooth"), (False, "spurious", "singular")}
    assert (True, "pure", "smooth") in verdicts


def test_units_that_are_zero_up_to_rounding_are_recognised() -> None:
    net, sub = pc.MLP((2, 3, 1), activation=3), pc.MLP((2, 2, 1), activation=3)
    objective = data_loss(net, 40, 3, hidden=True)
    weights = sub.unpack(best_of(objective.loss.compose(sub)))
    clean = net.pack(
        W1=np.vstack([weights["W1"], np.zeros((1, 2))]), W2=np.column_stack([weights["W2"], np.array([[0.5]])])
    )
    noise = 1e-9 * np.random.default_rng(0).standard_normal(2)
    noisy = clean.copy()
    noisy[4:6] = noise
    exact, point = pc.classify(objective, clean), pc.classify(objective, noisy)
    assert (point.theta[4:6] == 0).all()
    assert point.kind == exact.kind
    assert point.inertia == exact.inertia
    assert point.subnetwork == exact.subnetwork


def test_a_point_is_not_moved_to_a_degenerate_one_that_is_not_critical() -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    objective = data_loss(net, 40, 1)
    theta = best_of(objective)
    moved = net.symmetries().act(net.symmetries().random_element(1), theta)
    point = pc.classify(objective, moved)
    np.testing.assert_array_equal(point.theta, moved)


# --- representatives ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "n_samples"),
    [
        (pc.MLP((3, 2, 1), activation=2), 50),
        (pc.MLP((2, 2, 2), activation=3), 50),
        (pc.MLP((2, 2, 2, 1), activation=2), 50),
        (pc.MLP((2, 2, 1), activation=2, bias=True), 50),
        (pc.MLP((3, 2, 2), activation=1), 50),
        (pc.CNN((2, 2), activation=2, stride=2), 60),
        (pc.LightningAttention(2, 1, 1, n_tokens=2), 3),
        (pc.LightningAttention(2, 2, 1, n_tokens=2), 1),
    ],
    ids=repr,
)
def test_verdicts_do_not_depend_on_the_representative(net: pc.Network, n_samples: int) -> None:
    rng = np.random.default_rng(7)
    X, noise = rng.standard_normal((n_samples, net.n_inputs)), rng.standard_normal((n_samples, net.n_outputs))
    Y = np.asarray(net.evaluate(rng.standard_normal(net.n_params), X)) + 0.3 * noise
    objective = pc.QDistance.from_data(X, Y, net.support).compose(net)
    group = net.symmetries()
    seen = set[str]()
    found = [stationary_points(objective, 12, method)[:4] for method in ("descent", "stationary")]
    for theta in np.concatenate(found):
        point = pc.classify(objective, theta)
        if point.inertia.margin < 100 or point.inertia.tolerance > 1e-6:
            continue  # close to degenerate, or degenerate and found to fewer digits
        seen.add(point.kind)
        for seed in range(2):
            other = pc.classify(objective, group.act(group.random_element(seed), point.theta))
            assert (other.inertia.index, other.inertia.nullity, other.inertia.positive) == (
                point.inertia.index,
                point.inertia.nullity,
                point.inertia.positive,
            )
            assert (other.kind, other.higher_order) == (point.kind, point.higher_order)
            assert other.origin.verdict == point.origin.verdict
            assert other.location == point.location
            assert np.isclose(other.loss, point.loss, rtol=1e-9, atol=1e-12)
    assert seen


@pytest.mark.parametrize(
    "net",
    [pc.MLP((2, 2, 2), activation=3), pc.CNN((2, 2), activation=2, stride=2), pc.LightningAttention(2, 1, n_tokens=2)],
    ids=repr,
)
def test_hessians_are_those_of_the_complex_step(net: pc.Network) -> None:
    rng = np.random.default_rng(2)
    X, Y = rng.standard_normal((30, net.n_inputs)), rng.standard_normal((30, net.n_outputs))
    objective = pc.QDistance.from_data(X, Y, net.basis).compose(net)
    theta = rng.standard_normal(net.n_params)

    def gradient(at: np.ndarray) -> np.ndarray:
        coef = np.asarray(net.expand(at))
        return np.asarray(net.vjp(at, 2.0 * (coef - objective.loss.target) @ objective.loss.gram))

    step = 1e-100
    columns = [gradient(theta + 1j * step * e).imag / step for e in np.eye(net.n_params)]
    expansion = LocalExpansion(composed_loss(objective), theta)
    scale = np.abs(expansion.hessian_sizes).max()
    np.testing.assert_allclose(expansion.hessian, np.array(columns), atol=1e-13 * scale)
    assert (expansion.hessian_sizes >= np.abs(expansion.hessian)).all()


# --- degenerate metrics -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_samples", "dimension"), [(1, 3), (2, 1), (3, 0)])
def test_attention_with_few_samples(n_samples: int, dimension: int) -> None:
    """Kohn, *Algebraic neural network theory*: zero-loss sets are a 3-fold for |S| = 1 and a curve for |S| = 2."""
    net = pc.LightningAttention(2, 2, 1, n_tokens=2)
    hidden = net.random_params(rng=1)
    rng = np.random.default_rng(n_samples)
    X = rng.standard_normal((n_samples, net.n_inputs))
    Y = np.asarray(net.evaluate(hidden, X)) if n_samples < 3 else rng.standard_normal((n_samples, net.n_outputs))
    objective = pc.QDistance.from_data(X, Y, net.support).compose(net)
    assert objective.loss.rank * net.n_outputs >= 2 * n_samples
    point = pc.classify(objective, best_of(objective))
    assert point.origin.generic_rank == 5
    assert point.inertia.nullity == dimension
    assert point.isolated == (n_samples == 3)
    if n_samples < 3:
        assert "with zero loss" in point.sentence
        assert point.zero_loss
        assert point.degenerate_metric == "A"
        assert point.projected_rank == 2 * n_samples
        assert (point.kind, point.higher_order) == ("degenerate", "minimum")
        assert (point.status, point.proved) == ("global minimum", True)
    else:
        assert not point.zero_loss
        assert point.degenerate_metric is None
        assert point.projected_rank == 5


def test_rank_of_q_on_the_span_of_attention() -> None:
    net = pc.LightningAttention(2, 2, 1, n_tokens=2)
    functions = np.array([np.asarray(net.expand(net.random_params(rng=s))).ravel() for s in range(12)])
    assert np.linalg.matrix_rank(functions) == 6
    for n_samples in (1, 2, 3, 4):
        X = np.random.default_rng(n_samples).standard_normal((n_samples, net.n_inputs))
        loss = pc.QDistance.from_data(X, np.zeros((n_samples, net.n_outputs)), net.basis)
        images = np.kron(np.eye(net.n_outputs), loss.factor) @ functions.T
        assert np.linalg.matrix_rank(images, tol=1e-9) == min(6, 2 * n_samples)


def test_points_on_the_ramification_locus() -> None:
    """Matrices of rank one, seen by a, d and b + c only: b c = a d has the images of b and c, which meet where b = c.

    The images fill a d <= ((b + c)/2)², whose edge is the fold; a target beyond it is closest to a point of the fold.
    """
    net = pc.MLP((2, 1, 2), activation=1)
    seen = np.array([[1.0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0]])
    objective = pc.QDistance.from_metric(seen.T @ seen, np.diag([2.0, 1.0]), net.basis).compose(net)
    points = [pc.classify(objective, theta) for theta in stationary_points(objective, 20, "descent")]
    assert points
    for point in points:
        assert point.degenerate_metric == "ramification"
        assert point.projected_rank == 2
        assert point.origin.pure
        assert np.isclose(point.coef[0, 1], point.coef[1, 0])
        # The symmetric matrix of rank one that is closest to diag(2, 1), (b + c)² counting once.
        assert point.is_minimum
    inside = pc.QDistance.from_metric(seen.T @ seen, [[1.0, 3.0], [0.0, 1.0]], net.basis).compose(net)
    points = [pc.classify(inside, theta) for theta in stationary_points(inside, 20, "descent")]
    assert {point.degenerate_metric for point in points} == {"A"}
    assert all(point.status == "global minimum" and point.inertia.nullity == 0 for point in points)


def test_a_minimum_on_a_projection_of_constant_rank() -> None:
    """|S| = 1 with two tokens read out: four numbers, of which the images fill a threefold cone."""
    net = pc.LightningAttention(2, 1, 2, n_tokens=2)
    rng = np.random.default_rng(0)
    objective = pc.QDistance.from_data(
        rng.standard_normal((1, net.n_inputs)), rng.standard_normal((1, net.n_outputs)), net.support
    ).compose(net)
    point = pc.classify(objective, best_of(objective))
    assert (point.kind, point.higher_order) == ("degenerate", "minimum")
    assert point.degenerate_metric == "neither"
    assert not point.zero_loss
    assert "ker Q" in point.reason
    assert point.inertia.nullity == 6 - point.projected_rank


# --- higher order ---------------------------------------------------------------------------------------------------


def square_of_a_form(target: list[float]) -> pc.NetworkLoss:
    """(w₁ x + w₂ y)² against a quadratic form with these coefficients of x², xy, y²."""
    net = pc.Sequential(pc.Affine(1), pc.Activation(2), n_inputs=2)
    order = [net.basis.index(e) for e in ([2, 0], [1, 1], [0, 2])]
    coef = np.zeros(3)
    coef[order] = target
    return pc.QDistance.from_metric("identity", coef, net.basis).compose(net)


def test_maximum() -> None:
    point = pc.classify(square_of_a_form([1.0, 0.0, 2.0]), [0.0, 0.0])
    assert point.kind == "maximum"
    assert (point.inertia.index, point.inertia.positive) == (2, 0)
    assert point.status == "saddle"
    assert not point.is_minimum


def test_minimum_that_fourth_order_terms_make() -> None:
    # w₁⁴ + 4 w₁² w₂² + (w₂² + 1)²
    point = pc.classify(square_of_a_form([0.0, 0.0, -1.0]), [0.0, 0.0])
    assert (point.kind, point.higher_order) == ("degenerate", "minimum")
    assert (point.inertia.nullity, point.inertia.positive) == (1, 1)
    assert "t^4" in point.reason
    assert point.is_minimum
    assert not point.proved
    assert point.origin.spurious  # (w x)² is positive along x², where the loss is flat to first order, but not along y²
    assert point.status == "best found"


def test_saddle_that_correction_terms_make() -> None:
    """Of x ↦ c z, z ↦ z²: the loss (c − s²)… is positive on the kernel alone, and negative along a parabola."""
    net = pc.MLP((1, 1, 1), activation=2, bias=True)
    # a (w x + b)² + d: coefficients d + a b², 2 a b w, a w² of 1, x, x².
    order = [net.basis.index([i]) for i in range(3)]
    coef = np.zeros(3)
    coef[order] = [0.0, 0.0, 1.0]
    objective = pc.QDistance.from_metric("identity", coef, net.basis).compose(net)
    # With w = 0, a = 0 and b = 0 everything is flat to second order but d.
    theta = net.pack(W1=[[0.0]], b1=[0.0], W2=[[0.0]], b2=[0.0])
    point = pc.classify(objective, theta)
    assert (point.kind, point.higher_order) == ("degenerate", "saddle")
    assert "t^3" in point.reason
    assert point.inertia.positive == 1


@pytest.mark.parametrize("seed", [0, 1])
def test_positive_dimensional_critical_sets_of_special_data(seed: int) -> None:
    """With a repeated singular value the matrices of rank one that are closest form a circle."""
    rng = np.random.default_rng(seed)
    net = pc.MLP((2, 1, 2), activation=1)
    rotation = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    angle = rng.uniform(0, 6)
    u = np.array([np.cos(angle), np.sin(angle)])
    point = pc.classify(linear_loss(net, 2.0 * rotation), np.concatenate([u, 2.0 * rotation @ u]))
    assert (point.kind, point.higher_order) == ("degenerate", "minimum")
    assert point.inertia.nullity == 1
    assert "manifold" in point.reason
    assert point.origin.pure
    assert not point.proved


# --- status and other losses -----------------------------------------------------------------------------------------


def test_status_compares_with_the_best_loss() -> None:
    net = pc.MLP((3, 2, 1), activation=2)
    values, vectors = np.array([3.0, 2.0, -1.0]), np.eye(3)
    target = quadratic_form(np.diag(values), net.basis)
    objective = pc.QDistance.from_metric("bombieri_weyl", target, net.basis).compose(net)
    best = pc.classify(objective, net.pack(W1=vectors[[0, 1]], W2=[[3.0, 2.0]]), hits=7, found_by=("descent",))
    assert (best.status, best.proved, best.hits, best.found_by) == ("best found", False, 7, ("descent",))
    other = pc.classify(objective, net.pack(W1=vectors[[0, 2]], W2=[[3.0, -1.0]]), best_loss=best.loss)
    assert other.kind == "minimum"  # 2 and −1 have different signs, so that no swap leads down
    assert (other.status, other.proved) == ("beaten", True)
    known = pc.classify(objective, best.theta, proved_global=True)
    assert (known.status, known.proved) == ("global minimum", True)
    sentences = [point.sentence for point in (best, other, known)]
    assert sentences[0] == (
        "A minimum with loss 1, pure, at a smooth point of the function space; no better point was found."
    )
    assert sentences[1].endswith("a better point is known.")
    assert sentences[2].endswith("it is proved to be the global minimum.")
    assert "index 0, nullity 0, positive 5, fibre 3" in repr(best)


def test_cross_entropy() -> None:
    """A linear network that can be any linear map: the problem is convex, and its one optimum is proved."""
    rng = np.random.default_rng(0)
    net = pc.MLP((2, 2, 3), activation=1)
    loss = pc.CrossEntropy.from_data(rng.standard_normal((60, 2)), rng.integers(0, 3, 60), net.basis)
    objective = loss.compose(net)
    point = pc.classify(objective, best_of(objective))
    assert point.is_minimum
    assert point.inertia.nullity == 2  # the same linear map added to all outputs
    assert point.origin.pure
    assert point.degenerate_metric is None
    assert point.status == "global minimum"
    assert not point.zero_loss
    zero = pc.classify(objective, np.zeros(net.n_params))
    assert zero.origin.spurious
    assert zero.kind == "strict saddle"
    assert zero.inertia.index == 4  # the gradient on functions has rank 2
    assert np.isclose(zero.loss, 60 * np.log(3))


class Quartic:
    """A loss of one's own: Σ (c − t)⁴, not known to be convex."""

    constant = 0.0

    def __init__(self, basis: pc.MonomialBasis, target: np.ndarray) -> None:
        self.basis, self.target = basis, target
        self.n_outputs, self.n_monomials = target.shape

    def value(self, coef: Any) -> Any:
        return np.sum((coef - self.target) ** 4, axis=(-2, -1))

    def gradient(self, coef: Any) -> Any:
        return 4 * (coef - self.target) ** 3

    def hessian_product(self, coef: Any, dcoef: Any) -> Any:
        return 12 * (coef - self.target) ** 2 * dcoef


def test_a_loss_of_ones_own() -> None:
    net = pc.MLP((2, 1, 2), activation=1)
    target = np.array([[2.0, 0.0], [0.0, 1.0]])[:, [net.basis.index([1, 0]), net.basis.index([0, 1])]]
    objective = pc.NetworkLoss(Quartic(net.basis, target), net)
    points = [pc.classify(objective, theta) for theta in stationary_points(objective, 20, "stationary")]
    zero = pc.classify(objective, np.zeros(net.n_params))
    assert (zero.kind, zero.inertia.index) == ("strict saddle", 4 - 2)
    for point in [zero, *points]:
        assert point.degenerate_metric is None
        assert point.inertia.index + point.inertia.nullity + point.inertia.positive + point.inertia.fibre_dimension == 4
        assert point.status != "global minimum"
    assert any(point.is_minimum for point in points)


class Squares(Quartic):
    """Σ (c − t)², whose least value is not known either."""

    def value(self, coef: Any) -> Any:
        return np.sum((coef - self.target) ** 2, axis=(-2, -1))

    def gradient(self, coef: Any) -> Any:
        return 2 * (coef - self.target)

    def hessian_product(self, coef: Any, dcoef: Any) -> Any:
        return 2 * dcoef + 0 * coef


def test_zero_up_to_rounding_is_not_beaten_by_a_smaller_zero() -> None:
    net = pc.MLP((2, 1, 2), activation=1)
    theta = np.array([1.1, 0.7, 0.3, 0.9])
    objective = pc.NetworkLoss(Squares(net.basis, net.expand(theta)), net)
    near = theta * (1 + 1e-15)
    assert objective.value(near) > 0
    assert pc.classify(objective, near, best_loss=0.0).status == "best found"
    assert pc.classify(objective, theta * (1 + 1e-5), best_loss=0.0).status == "beaten"


# --- what is too large, and what is wrong ------------------------------------------------------------------------


def test_large_networks_go_by_products(monkeypatch: pytest.MonkeyPatch) -> None:
    net = pc.MLP((4, 3, 4), activation=1)
    rng = np.random.default_rng(1)
    objective = linear_loss(net, rng.standard_normal((4, 4)))
    points = list(linear_points(np.asarray(objective.loss.target), 3, rng))
    monkeypatch.setattr("polycore._local_expansion.MAX_PARAMS", 10)
    monkeypatch.delattr("polycore.critical_point.snapped")  # exact arithmetic, which takes minutes there
    composed_loss.cache_clear()
    for chosen, values, theta in points:
        point = pc.classify(objective, theta)
        swaps = sum(values[j] > values[i] for i in chosen for j in range(4) if j not in chosen)
        index = swaps + (3 - len(chosen)) * (4 - len(chosen))
        assert point.inertia.partial
        assert point.kind == ("strict saddle" if index else "undecided")
        assert point.inertia.index == index  # the Krylov space is the whole space here
        assert point.origin.rank == len(chosen) * (8 - len(chosen))
        assert point.origin.verdict == ("pure" if len(chosen) == 3 else "undecided")
    composed_loss.cache_clear()


def test_points_that_are_not_critical_are_undecided() -> None:
    net = pc.MLP((3, 2, 1), activation=2)
    objective = data_loss(net, 30, 0)
    point = pc.classify(objective, np.ones(net.n_params))
    assert point.kind == "undecided"
    assert "gradient" in point.reason
    assert point.sentence.startswith("A point that is not critical, with loss")
    assert point.status != "global minimum"


def test_shallow_classification_says_what_is_seen_easily() -> None:
    net = pc.MLP((2, 2, 1), activation=2)  # fills the quadratic forms
    objective = data_loss(net, 30, 0)
    point = pc.classify(objective, best_of(objective), deep=False)
    assert point.analysis is None
    assert point.location == "smooth"
    saddle = pc.classify(objective, np.zeros(net.n_params), deep=False)
    assert (saddle.analysis, saddle.location) == (None, "undecided")


def test_results_are_the_same_every_time() -> None:
    net = pc.MLP((2, 2, 2, 1), activation=2)
    objective = data_loss(net, 30, 0)
    for theta in [np.zeros(net.n_params), *stationary_points(objective, 3, "stationary")]:
        first, second = pc.classify(objective, theta), pc.classify(objective, theta)
        assert repr(first) == repr(second)
        np.testing.assert_array_equal(first.theta, second.theta)


@pytest.mark.parametrize(
    ("change", "error", "name"),
    [
        ({"objective": None}, TypeError, "objective"),
        ({"theta": [1.0]}, ValueError, "theta"),
        ({"theta": [np.nan] * 4}, ValueError, "theta"),
        ({"theta": "zero"}, TypeError, "theta"),
        ({"hits": -1}, ValueError, "hits"),
        ({"best_loss": "low"}, TypeError, "best_loss"),
        ({"deep": 2}, TypeError, "deep"),
        ({"proved_global": "yes"}, TypeError, "proved_global"),
    ],
)
def test_bad_arguments(change: dict[str, Any], error: type[Exception], name: str) -> None:
    net = pc.MLP((2, 1, 2), activation=1)
    arguments: dict[str, Any] = {"objective": linear_loss(net, np.eye(2)), "theta": np.zeros(4)}
    with pytest.raises(error, match=f"`{name}`"):
        pc.classify(**(arguments | change))


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1e-3, "unit 1 of W1 is all but zero beside unit 0"),
        (-1e3, "unit 0 of W1 is all but zero beside unit 1"),
        (0.5, "unit 1 of W1 = 1/4 · unit 0"),
        (2, "unit 1 of W1 = 4 · unit 0"),
    ],
)
def test_units_that_are_all_but_off_are_told_so(factor: float, words: str) -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    theta = net.pack(W1=[[1.0, 2.0], [factor, 2.0 * factor]], W2=[[1.0, 1.0]])
    assert words_of_part(pc.analyze_point(net, theta)) == f"widths (2, 1, 1): {words}"


@pytest.mark.parametrize("at_zero", [True, False])
def test_work_is_bounded(at_zero: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    net = pc.MLP((8, 14, 8, 1), activation=2)
    objective = pc.QDistance.from_metric("identity", np.ones(len(net.basis)), net.basis).compose(net)
    theta = np.zeros(net.n_params)
    if not at_zero:  # the loss is of degree 3 in the weights after the first, which are free while those are zero
        theta[: 14 * 8] = np.random.default_rng(0).standard_normal(14 * 8)
    work = {"decompositions": 0, "jacobians": 0, "hessians": 0}
    decompose, jacobian, hessian = _linalg._decompose, ComposedLoss.jacobian, pc.NetworkLoss.hessian

    def counted(name: str, function: Any, amount: Any = lambda *_: 1) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            work[name] += amount(*args)
            return function(*args, **options)

        return call

    monkeypatch.setattr(_linalg, "_decompose", counted("decompositions", decompose, lambda _, operations: operations))
    monkeypatch.setattr(ComposedLoss, "jacobian", counted("jacobians", jacobian))
    monkeypatch.setattr(pc.NetworkLoss, "hessian", counted("hessians", hessian))
    point = pc.classify(objective, theta, deep=False)
    assert point.kind == "degenerate"
    largest = net.n_params**2 * len(net.basis)
    assert work["decompositions"] < 60 * largest
    assert work["jacobians"] < 40
    assert work["hessians"] < 25


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_verdicts_do_not_depend_on_the_size_of_the_target(size: float) -> None:
    net = pc.MLP((2, 1, 1), activation=2)
    objective = pc.QDistance.from_metric("bombieri_weyl", size * np.array([1.0, 0.0, 3.0]), net.basis).compose(net)
    best = pc.classify(objective, net.pack(W1=[[0.0, size**0.25]], W2=[[3.0 * size**0.5]]))
    zero = pc.classify(objective, np.zeros(3))
    assert best.kind == "minimum"
    assert best.origin.pure
    assert np.isclose(best.loss, size**2, rtol=1e-12)
    assert (zero.kind, zero.higher_order) == ("degenerate", "saddle")
    assert "t^3" in zero.reason
    assert zero.origin.spurious
    assert not best.zero_loss
    assert not zero.zero_loss


@pytest.mark.parametrize("size", [1e-12, 1e-4, 1.0, 1e4, 1e12])
def test_verdicts_do_not_depend_on_the_unit_of_the_inputs(size: float) -> None:
    rng = np.random.default_rng(0)
    net = pc.MLP((2, 2, 1), activation=2)
    X, Y = rng.normal(size=(40, 2)), rng.normal(size=(40, 1))
    one = pc.QDistance.from_data(X, Y, net.basis).compose(net)
    # A critical point of the network with one unit, beside a unit that is zero: residuals fall like a cubic term.
    single = pc.MLP((2, 1, 1), activation=2)
    found = search(pc.QDistance.from_data(X, Y, net.basis).compose(single), rng.normal(size=(20, 3)), "stationary")
    thetas = found.theta[found.converged & (np.abs(found.theta).min(axis=1) > 1e-2)]
    assert len(thetas)
    first, last = thetas[:, :2], thetas[:, 2]
    embedded = np.column_stack([first, 0 * first, last, 0 * last])[:4]
    shrunk = pc.QDistance.from_data(size * X, Y, net.basis).compose(net)
    for theta in embedded:
        expected = pc.classify(one, theta)
        assert (expected.kind, expected.higher_order) == ("degenerate", "saddle")
        point = pc.classify(shrunk, theta * size ** (-2 / 3))
        assert (point.kind, point.higher_order) == (expected.kind, expected.higher_order)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e60, 1e80, 1e100, 1e120])
def test_points_whose_derivatives_overflow_are_refused_without_warnings(size: float) -> None:
    objective = data_loss(pc.MLP((2, 1, 1), activation=2), 20, seed=0)
    with pytest.raises(pc.NumericalError, match="overflow"):
        pc.classify(objective, np.full(3, size))


@pytest.mark.filterwarnings("error")
def test_a_large_gradient_has_a_norm() -> None:
    objective = data_loss(pc.MLP((2, 1, 1), activation=2), 20, seed=0)
    point = pc.classify(objective, np.full(3, 1e40))
    gradient = objective.gradient(point.theta)
    size = np.abs(gradient).max()
    assert point.gradient_norm == pytest.approx(size * np.linalg.norm(gradient / size), rel=1e-12)
    assert point.kind == "undecided"
