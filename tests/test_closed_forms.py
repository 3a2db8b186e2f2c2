# SPDX-License-Identifier: BSD-3-Clause
"""Closed forms of critical points: exact counts, losses, gradients and indices, and nothing missing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np
import pytest

import polycore as pc
from polycore.closed_forms import ClosedForm, solve
from polycore.loss import QDistance
from polycore.network import Network
from polycore.program import Activation, Affine, Program
from polycore.stationary import search


def solved(loss: QDistance, net: Network) -> ClosedForm:
    """The closed form, after checking all that can be checked without knowing the theory."""
    result = solve(loss, net)
    assert result is not None
    objective = loss.compose(net)
    # Rounding level: every θ is a critical point of the composed loss.
    gradients = np.linalg.norm(objective.gradient(result.thetas), axis=-1)
    assert (gradients <= 1e-13 * objective.gradient_scale(result.thetas) + 1e-300).all()
    np.testing.assert_allclose(net.expand(result.thetas), result.coef, atol=1e-12)
    np.testing.assert_allclose(
        objective.value(result.thetas) + objective.constant, result.losses, rtol=1e-9, atol=1e-12
    )
    assert (np.diff(result.losses) >= 0).all()
    for theta, index, kind in zip(result.thetas, result.indices, result.kinds):
        values = np.linalg.eigvalsh(objective.hessian(theta))
        assert int((values < -1e-7 * max(np.abs(values).max(), 1e-300)).sum()) == index
        assert (kind == "strict saddle") == (index > 0)
    return result


def data_loss(widths: Sequence[int], rng: np.random.Generator) -> tuple[QDistance, Network]:
    net = pc.MLP(widths, activation=1)
    x, y = rng.standard_normal((20, widths[0])), rng.standard_normal((20, widths[-1]))
    return QDistance.from_data(x, y, net.basis), net


def random_psd(n: int, rank: int, rng: np.random.Generator) -> np.ndarray:
    factor = rng.standard_normal((n, rank))
    return factor @ factor.T


# --- linear networks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "widths", [(3, 2, 3), (4, 2, 3), (2, 3, 2), (3, 1, 2), (3, 2, 2, 3), (2, 1, 1, 2), (3, 4, 2, 3, 3)]
)
def test_eckart_young(widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    loss, net = data_loss(widths, rng)
    result = solved(loss, net)
    m, bottleneck = min(widths[0], widths[-1]), min(widths)
    # On the function space: one critical point of rank k for each k singular values.
    ranks = [np.linalg.matrix_rank(c, tol=1e-9) for c in result.coef]
    for k in range(bottleneck + 1):
        assert ranks.count(k) == comb(m, k)
    assert result.isolated
    assert result.complete
    assert result.kinds.count("minimum") == 1
    assert result.kinds[0] == "minimum"
    # With one hidden layer all others are strict saddles; deeper, the best of each rank k < bottleneck is not.
    assert result.kinds.count("degenerate") == (0 if len(widths) == 3 else bottleneck)
    # Losses: sums of the squares of the singular values left out, by the singular values of C Q^{1/2}.
    values, vectors = np.linalg.eigh(loss.gram)
    s = np.linalg.svd(loss.target @ (vectors * np.sqrt(values)) @ vectors.T, compute_uv=False)
    expected = [np.sum(np.delete(s, kept) ** 2) for k in range(bottleneck + 1) for kept in combinations(range(m), k)]
    np.testing.assert_allclose(result.losses, np.sort(expected) + loss.constant, rtol=1e-10)


@pytest.mark.parametrize("seed", range(100))
def test_nothing_is_missing_and_nothing_invented_over_many_seeds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = tuple(rng.integers(1, 5, size=int(rng.integers(3, 5))).tolist())
    loss, net = data_loss(widths, rng)
    m = min(widths[0], widths[-1])
    assert len(solved(loss, net)) == sum(comb(m, k) for k in range(min(widths) + 1))


@pytest.mark.parametrize("rank", [3, 2])
def test_joint_metrics_are_kronecker_products(rank: int) -> None:
    rng = np.random.default_rng(5)
    net = pc.MLP((3, 2, 2), activation=1)
    a, b = random_psd(2, 2, rng), random_psd(3, rank, rng)
    target = rng.standard_normal((2, 3))
    result = solved(QDistance.from_metric(np.kron(a, b), target, net.basis), net)
    assert len(result) == 4
    assert result.isolated == (rank == 3)
    roots = [np.linalg.cholesky(a + 1e-300 * np.eye(2)), np.linalg.svd(b)[0] * np.sqrt(np.linalg.svd(b)[1])]
    s = np.linalg.svd(roots[0].T @ target @ roots[1], compute_uv=False)
    np.testing.assert_allclose(result.losses, np.sort([s[0] ** 2, s[1] ** 2, 0, s @ s]), rtol=1e-9, atol=1e-9)
    mixed = np.kron(a, b) + np.kron(np.diag([1.0, 2.0]), np.eye(3))
    assert solve(QDistance.from_metric(mixed, target, net.basis), net) is None


def test_equal_singular_values_make_families() -> None:
    net = pc.MLP((3, 2, 3), activation=1)
    result = solved(QDistance.from_metric("identity", np.diag([2.0, 2.0, 1.0]), net.basis), net)
    assert not result.isolated
    assert "equal" in result.reason
    # 0, 1 or 2 of the equal ones, and the other one or not, in all at most two.
    assert sorted(result.losses.round(9)) == [1.0, 4.0, 5.0, 8.0, 9.0]


def test_targets_of_low_rank_have_fewer_critical_functions() -> None:
    net = pc.MLP((3, 2, 3), activation=1)
    result = solved(QDistance.from_metric("identity", np.diag([2.0, 1.0, 0.0]), net.basis), net)
    assert result.isolated
    np.testing.assert_allclose(result.losses, [0.0, 1.0, 4.0, 5.0], atol=1e-12)
    zero = solved(QDistance.from_metric("identity", np.zeros((3, 3)), net.basis), net)
    assert zero.kinds == ("minimum",)


def test_filling_networks_reach_the_target() -> None:
    loss, net = data_loss((2, 4, 3), np.random.default_rng(0))
    result = solved(loss, net)
    np.testing.assert_allclose(result.coef[0], loss.target, atol=1e-12)
    assert result.losses[0] == pytest.approx(loss.constant)


def test_programs_are_read_whoever_wrote_them() -> None:
    rng = np.random.default_rng(7)
    # Columns in another order, a multiple of the identity as activation, and one at the output.
    program = Program(
        3,
        [
            Affine(0, 2, windows=((2, 0, 1),)),
            Activation(1, (0, 3)),
            Affine(2, 3, windows=((1, 0),)),
            Activation(3, (0, -2)),
        ],
    )
    net = Network(program)
    loss = QDistance.from_metric(random_psd(3, 3, rng), rng.standard_normal((3, 3)), net.basis)
    assert len(solved(loss, net)) == 7


def test_what_is_known_of_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for net in (
        pc.MLP((2, 2, 1), activation=1, bias=True),
        pc.MLP((2, 2, 2), activation=2),
        pc.MLP((2, 2, 2, 1), activation=2),
        pc.MLP((2, 2, 1), activation=3),
        pc.CNN((2, 2), activation=2),
    ):
        target = rng.standard_normal((net.n_outputs, net.basis.n_monomials))
        assert solve(QDistance.from_metric("identity", target, net.basis), net) is None
    square = pc.MLP((2, 2, 1), activation=2)
    assert solve(QDistance.from_metric("identity", [1.0, 2.0, 3.0], square.basis), square) is None
    assert solve("loss", square) is None
    with pytest.raises(TypeError, match="`net`"):
        solve(QDistance.from_metric(np.eye(3), [1.0, 2.0, 3.0]), "net")  # type: ignore[arg-type]
    wide = pc.MLP((16, 16, 16), activation=1)  # 2^16 critical functions
    assert solve(QDistance.from_metric("identity", rng.standard_normal((16, 16)), wide.basis), wide) is None


# --- squares ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "width"), [(2, 1), (2, 2), (3, 1), (3, 2), (3, 5), (4, 2)])
def test_squares(n: int, width: int) -> None:
    rng = np.random.default_rng(n * 10 + width)
    net = pc.MLP((n, width, 1), activation=2)
    loss = QDistance.from_metric(
        3.0 * pc.metrics.bombieri_weyl(net.basis), rng.standard_normal(len(net.basis)), net.basis
    )
    result = solved(loss, net)
    assert result.complete
    assert len(result) == sum(comb(n, k) for k in range(min(n, width) + 1))
    rows = [np.repeat(np.arange(n), e) for e in net.basis.exponents]
    symmetric = np.zeros((n, n))
    for (i, j), c in zip(rows, loss.target[0]):
        symmetric[i, j] = symmetric[j, i] = c if i == j else c / 2
    values = np.linalg.eigvalsh(symmetric)
    expected = [
        3.0 * np.sum(np.delete(values, kept) ** 2)
        for k in range(min(n, width) + 1)
        for kept in combinations(range(n), k)
    ]
    np.testing.assert_allclose(result.losses, np.sort(expected), rtol=1e-10, atol=1e-10)


def test_each_signature_has_its_minimum() -> None:
    net = pc.MLP((2, 1, 1), activation=2)
    result = solved(QDistance.from_metric("bombieri_weyl", [3.0, 0.0, -2.0], net.basis), net)
    assert result.kinds == ("minimum", "minimum", "degenerate")
    np.testing.assert_allclose(result.losses, [4.0, 9.0, 13.0])


# --- one neuron -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "degree"), [(1, 3), (2, 3), (2, 4), (2, 7), (3, 3), (3, 4), (4, 3), (3, 5)])
def test_one_neuron_finds_all_eigenvectors(n: int, degree: int) -> None:
    rng = np.random.default_rng(100 * n + degree)
    net = pc.MLP((n, 1, 1), activation=degree)
    loss = QDistance.from_metric("bombieri_weyl", rng.standard_normal(len(net.basis)), net.basis)
    result = solved(loss, net)
    assert result.complete
    # Brute force: Newton's method for the gradient from many starts finds no other function.
    objective = loss.compose(net)
    starts = rng.standard_normal((300, net.n_params))
    ends = search(objective, starts, "stationary")
    coefs = net.expand(ends.theta[ends.converged])[:, 0]
    distances = np.linalg.norm(coefs[:, None] - result.coef[None, :, 0], axis=-1)
    assert (distances.min(axis=1) < 1e-4).all()
    reached = distances.min(axis=0) < 1e-4
    assert reached[[label != "zero" for label in result.labels]].all()  # zero is approached slowly
    # Losses: ‖T‖² − λ².
    total = float(loss.value(np.zeros_like(loss.target)))
    eigenvalues = [float(label.split()[1]) if label != "zero" else 0.0 for label in result.labels]
    np.testing.assert_allclose(result.losses, total - np.square(eigenvalues), atol=1e-4 * total)


def test_forms_invariant_under_rotations_have_families() -> None:
    net = pc.MLP((2, 1, 1), activation=4)
    result = solved(QDistance.from_metric("bombieri_weyl", [1.0, 0.0, 2.0, 0.0, 1.0], net.basis), net)
    assert not result.isolated
    assert len(result) == 2


def test_multiple_roots_are_counted_once() -> None:
    # x^3 y: rotated by the gradient, x^4 − 3 x² y² has the double zero x = 0, with eigenvalue 0.
    net = pc.MLP((2, 1, 1), activation=4)
    result = solved(QDistance.from_metric("bombieri_weyl", [0.0, 1.0, 0.0, 0.0, 0.0], net.basis), net)
    assert result.complete
    assert len(result) == 3


def test_zero_targets() -> None:
    for activation in (2, 3):
        net = pc.MLP((2, 1, 1), activation=activation)
        result = solved(QDistance.from_metric("bombieri_weyl", np.zeros(len(net.basis)), net.basis), net)
        assert result.kinds == ("minimum",)
