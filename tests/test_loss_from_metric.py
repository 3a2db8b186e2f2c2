# SPDX-License-Identifier: BSD-3-Clause
"""Q-distances from a metric, of each output and joint, against their definition and against losses of samples."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

from polycore import metrics
from polycore.loss import QDistance
from polycore.monomials import MonomialBasis
from polycore.networks import CNN, MLP, LightningAttention, Network
from polycore.veronese import veronese

EPS = np.finfo(np.float64).eps


def flat(coef: np.ndarray) -> np.ndarray:
    return coef.reshape(*coef.shape[:-2], -1)


def by_definition(metric: np.ndarray, target: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """(c − t)ᵀQ(c − t), with one Q for every output or a joint one."""
    if len(metric) == target.shape[1]:
        metric = np.kron(np.eye(len(target)), metric)
    difference = flat(coef - target)
    return np.asarray(np.einsum("...i,ij,...j->...", difference, metric, difference))


NETS: dict[str, Callable[[], Network]] = {
    "one output": lambda: MLP((3, 2, 1), activation=2),
    "outputs": lambda: MLP((2, 3, 2), activation=2),
    "biased": lambda: MLP((2, 2, 3), activation=3, bias=True),
    "attention": lambda: LightningAttention(d_model=2, d_key=1, n_tokens=2),
    "convolution": lambda: CNN((2, 2), activation=2, n_inputs=5),
}
nets = pytest.mark.parametrize("make_net", NETS.values(), ids=list(NETS))
joints = pytest.mark.parametrize("joint", [False, True], ids=["dense", "joint"])


def random_loss(net: Network, joint: bool, kernel: int = 0, seed: int = 0) -> QDistance:
    n = len(net.basis) * (net.n_outputs if joint else 1)
    target = np.random.default_rng(seed).normal(size=(net.n_outputs, len(net.basis)))
    return QDistance.from_metric(metrics.random_semidefinite(n, n - kernel, rng=seed), target, net.basis)


# -- against losses of samples ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_samples", [60, 10, 4])
def test_a_gram_matrix_gives_the_loss_of_the_samples(n_samples: int, rng: np.random.Generator) -> None:
    net = MLP((2, 3, 2), activation=3, bias=True)
    X, Y = rng.uniform(-1, 1, size=(n_samples, 2)), rng.normal(size=(n_samples, 2))
    data = QDistance.from_data(X, Y, net.basis)
    A = veronese(X, net.basis)
    loss = QDistance.from_metric(A.T @ A, data.target, net.basis, constant=data.constant)
    coef, along = rng.normal(size=(2, 5, 2, 10))
    for ours, theirs in (
        (loss.value(coef), data.value(coef)),
        (loss.value(coef) + loss.constant, ((A @ coef.swapaxes(1, 2) - Y) ** 2).sum(axis=(1, 2))),
        (loss.gradient(coef), data.gradient(coef)),
        (loss.hessian_product(coef, along), data.hessian_product(coef, along)),
        (loss.gradient_scale(coef), data.gradient_scale(coef)),
        (loss.kernel @ loss.kernel.T, data.kernel @ data.kernel.T),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-7 if n_samples < 10 else 1e-11)
    assert (loss.rank, loss.constant, loss.dense) == (data.rank, data.constant, True)
    assert loss.condition == pytest.approx(data.condition, rel=1e-6)
    assert loss.basis == net.basis
    theta = net.random_params(rng=1, batch=(4,))
    ours, theirs = loss.compose(net), data.compose(net)
    np.testing.assert_allclose(ours.value(theta), theirs.value(theta), rtol=1e-11)
    np.testing.assert_allclose(ours.gradient(theta), theirs.gradient(theta), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(ours.hessian(theta), theirs.hessian(theta), rtol=1e-9, atol=1e-9)


def test_names(rng: np.random.Generator) -> None:
    for basis in (MonomialBasis(2, 3), MonomialBasis(3, 2, homogeneous=True), CNN((2, 2), 2, n_inputs=4).support):
        target = rng.normal(size=(2, len(basis)))
        for name, metric in metrics.NAMED.items():
            named = QDistance.from_metric(name, target, basis)
            np.testing.assert_array_equal(named.gram, metric(basis))
            np.testing.assert_array_equal(named.gram, QDistance.from_metric(metric(basis), target).gram)
            np.testing.assert_array_equal(named.target, target)
            assert (named.rank, named.joint, named.basis) == (len(basis), False, basis)


# -- against the definition -------------------------------------------------------------------------------------------


@joints
@pytest.mark.parametrize("kernel", [0, 1, 3])
def test_quadratic_function(joint: bool, kernel: int, rng: np.random.Generator) -> None:
    n_outputs, n = 3, 4
    size = n_outputs * n if joint else n
    metric = metrics.random_semidefinite(size, size - kernel, rng=kernel)
    target, coef, along = rng.normal(size=(n_outputs, n)), *rng.normal(size=(2, 2, 5, n_outputs, n))
    loss = QDistance.from_metric(metric, target)
    assert (loss.joint, loss.dense, loss.restricted, loss.lower_bound) == (joint, True, False, 0.0)
    assert (loss.n_outputs, loss.n_monomials, loss.basis) == (n_outputs, n, None)
    np.testing.assert_array_equal(loss.gram, metric)
    np.testing.assert_array_equal(loss.target, target)
    np.testing.assert_allclose(loss.value(coef), by_definition(metric, target, coef), rtol=1e-12)
    assert loss.value(target) == 0
    assert type(loss.value(coef[0, 0])) is float
    full = metric if joint else np.kron(np.eye(n_outputs), metric)
    np.testing.assert_allclose(flat(loss.gradient(coef)), 2 * flat(coef - target) @ full, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(flat(loss.hessian_product(coef, along)), 2 * flat(along) @ full, rtol=1e-12, atol=1e-12)
    sizes = np.linalg.norm(full, 2) * np.linalg.norm(flat(coef), axis=-1) + np.linalg.norm(full @ target.ravel())
    np.testing.assert_allclose(loss.gradient_scale(coef), sizes, rtol=1e-12)
    assert (np.linalg.norm(flat(loss.gradient(coef)), axis=-1) <= 2 * loss.gradient_scale(coef)).all()
    # Factor, rank, kernel, condition.
    assert loss.rank == size - kernel
    assert loss.factor.shape == (size - kernel, size)
    np.testing.assert_allclose(loss.factor.T @ loss.factor, metric, atol=1e-13)
    assert loss.kernel.shape == (size, kernel)
    np.testing.assert_allclose(metric @ loss.kernel, 0, atol=1e-13)
    np.testing.assert_allclose(loss.kernel.T @ loss.kernel, np.eye(kernel), atol=1e-13)
    values = np.linalg.eigvalsh(metric)
    assert loss.condition == pytest.approx(values[-1] / values[kernel], rel=1e-10)
    # A pseudometric: targets that differ by the kernel have equal distances, and each is kept as given.
    shift = loss.kernel @ rng.normal(size=(kernel, 1 if joint else n_outputs))
    other = QDistance.from_metric(metric, target + shift.T.reshape(target.shape if joint else shift.T.shape))
    np.testing.assert_allclose(other.value(coef), loss.value(coef), rtol=1e-11)
    assert (kernel == 0) == bool(np.array_equal(other.target, loss.target))


def test_directions_and_points_broadcast(rng: np.random.Generator) -> None:
    loss = QDistance.from_metric(metrics.random_semidefinite(6, rng=1), rng.normal(size=(2, 3)))
    coef, along = rng.normal(size=(4, 1, 2, 3)), rng.normal(size=(5, 2, 3))
    product = loss.hessian_product(coef, along)
    assert product.shape == (4, 5, 2, 3)
    np.testing.assert_array_equal(product[2], loss.hessian_product(coef[0, 0], along))
    with pytest.raises(ValueError, match="`coef` and `dcoef` must broadcast"):
        loss.hessian_product(np.zeros((4, 2, 3)), np.zeros((5, 2, 3)))
    with pytest.raises(ValueError, match="`dcoef` must have shape"):
        loss.hessian_product(coef, np.zeros(6))


def test_one_metric_for_all_outputs_is_a_block_diagonal_joint_one(rng: np.random.Generator) -> None:
    net = MLP((2, 2, 3), activation=2, bias=True)
    metric, target = metrics.random_semidefinite(6, 5, rng=2), rng.normal(size=(3, 6))
    each = QDistance.from_metric(metric, target)
    joint = QDistance.from_metric(np.kron(np.eye(3), metric), target)
    assert (joint.rank, joint.kernel.shape) == (3 * each.rank, (18, 3))
    assert joint.condition == pytest.approx(each.condition)
    theta, v = net.random_params(rng=0, batch=(2, 5))
    ours, theirs = joint.compose(net), each.compose(net)
    for method in ("value", "gradient", "hessian", "gauss_newton", "gradient_scale"):
        results = getattr(ours, method)(theta), getattr(theirs, method)(theta)
        np.testing.assert_allclose(*results, rtol=1e-11, atol=1e-10)
    np.testing.assert_allclose(ours.hessian_product(theta, v), theirs.hessian_product(theta, v), rtol=1e-10, atol=1e-9)


# -- composed ---------------------------------------------------------------------------------------------------------


@nets
@joints
def test_composed_with_a_network(on_backend: str, make_net: Callable[[], Network], joint: bool) -> None:
    net = make_net()
    loss = random_loss(net, joint, kernel=1)
    objective, theta = loss.compose(net), net.random_params(rng=3, batch=(2, 3))
    coef = net.expand(theta)
    np.testing.assert_allclose(objective.value(theta), by_definition(loss.gram, loss.target, coef), rtol=1e-10)
    np.testing.assert_allclose(objective.gradient(theta), net.vjp(theta, loss.gradient(coef)), rtol=1e-9, atol=1e-11)
    jacobian = net.jacobian(theta)
    full = loss.gram if joint else np.kron(np.eye(net.n_outputs), loss.gram)
    expected = 2 * jacobian.swapaxes(-1, -2) @ full @ jacobian
    np.testing.assert_allclose(objective.gauss_newton(theta), expected, rtol=1e-9, atol=1e-10)
    scale = loss.gradient_scale(coef) * np.linalg.norm(jacobian, axis=(-2, -1))
    np.testing.assert_allclose(objective.gradient_scale(theta), scale, rtol=1e-12)
    assert (np.linalg.norm(objective.gradient(theta), axis=-1) <= 2 * objective.gradient_scale(theta)).all()
    assert objective.gradient_scale(theta[1, 2]) == pytest.approx(scale[1, 2], rel=1e-12)


@nets
@joints
def test_hessian_by_complex_step(on_backend: str, make_net: Callable[[], Network], joint: bool) -> None:
    """Of the gradient, which is Jᵀ·2Q(c − t) at complex parameters, too."""
    net = make_net()
    loss = random_loss(net, joint)
    theta = net.random_params(rng=4)
    full = loss.gram if joint else np.kron(np.eye(net.n_outputs), loss.gram)

    def gradient(at: np.ndarray) -> np.ndarray:
        cotangent = 2 * flat(net.expand(at) - loss.target) @ full
        return np.asarray(net.vjp(at, cotangent.reshape(loss.target.shape)))

    step = 1e-30
    rows = [gradient(theta + 1j * step * unit).imag / step for unit in np.eye(net.n_params)]
    hessian = loss.compose(net).hessian(theta)
    np.testing.assert_allclose(hessian, rows, rtol=1e-11, atol=1e-11 * np.abs(hessian).max())
    np.testing.assert_array_equal(hessian, hessian.T)
    products = loss.compose(net).hessian_product(theta, np.eye(net.n_params))
    np.testing.assert_allclose(products, rows, rtol=1e-11, atol=1e-11 * np.abs(hessian).max())


@joints
def test_batches_and_threads_have_the_bits_of_single_calls(joint: bool) -> None:
    net = MLP((3, 3, 2), activation=2)
    objective = random_loss(net, joint).compose(net)
    theta = net.random_params(rng=5, batch=(70,))
    for method in ("gradient", "hessian"):
        batch = getattr(objective, method)(theta)
        np.testing.assert_array_equal(batch, getattr(objective, method)(theta, n_threads=2))
        np.testing.assert_allclose(batch[33], getattr(objective, method)(theta[33]), rtol=1e-13, atol=1e-13)


def test_the_scale_of_gradients_measures_rounding() -> None:
    """Where the loss is stationary, the computed gradient is of the order of ε times the scale; elsewhere it is not."""
    net = MLP((3, 2, 2), activation=2)
    theta = net.random_params(rng=0, batch=(20,))
    for joint in (False, True):
        # At such a target, in the image of the network, all parameters that made it are stationary.
        n = net.n_outputs * len(net.basis) if joint else len(net.basis)
        metric = metrics.random_semidefinite(n, rng=1)
        for at in theta:
            objective = QDistance.from_metric(metric, net.expand(1.1 * at), net.basis).compose(net)
            here, there = objective.gradient(1.1 * at), objective.gradient(at)
            assert np.linalg.norm(here) <= 10 * EPS * objective.gradient_scale(1.1 * at)
            assert np.linalg.norm(there) >= 1e-3 * objective.gradient_scale(at)


def test_the_scale_of_large_networks_is_made_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    net = MLP((3, 3, 2), activation=2, bias=True)
    objective, theta = random_loss(net, joint=False).compose(net), net.random_params(rng=2, batch=(3,))
    whole = objective.gradient_scale(theta)
    for entries in (1, 50, 500):
        monkeypatch.setattr("polycore.network_loss._BLOCK_ENTRIES", entries)
        np.testing.assert_allclose(objective.gradient_scale(theta), whole, rtol=1e-13)


def test_the_scale_in_operator_mode_is_close(rng: np.random.Generator) -> None:
    X, Y, basis = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)), MonomialBasis(2, 3)
    dense, operator = (QDistance.from_data(X, Y, basis, dense=dense) for dense in (True, False))
    coef = rng.normal(size=(4, 2, 10))
    np.testing.assert_allclose(operator.gradient_scale(coef), dense.gradient_scale(coef), rtol=1e-3)
    np.testing.assert_allclose(operator.hessian_product(coef, coef), dense.hessian_product(coef, coef), rtol=1e-10)


# -- without a basis --------------------------------------------------------------------------------------------------


def test_losses_without_a_basis_go_with_every_network_of_the_size(rng: np.random.Generator) -> None:
    loss = QDistance.from_metric(np.eye(6), rng.normal(size=(1, 6)))
    forms, polynomials = MLP((3, 2, 1), activation=2), MLP((2, 2, 1), activation=2, bias=True)
    for net in (forms, polynomials):
        theta = net.random_params(rng=0)
        assert not loss.compose(net).on_support
        expected = np.sum((net.expand(theta) - loss.target) ** 2)
        assert loss.compose(net).value(theta) == pytest.approx(expected, rel=1e-12)
    net = CNN((2, 2), activation=2, n_inputs=4)
    n = len(net.support)
    assert n < len(net.basis)
    for joint in (False, True):
        size = net.n_outputs * n if joint else n
        target, metric = rng.normal(size=(net.n_outputs, n)), metrics.random_semidefinite(size, rng=1)
        objective, theta = QDistance.from_metric(metric, target).compose(net), net.random_params(rng=1, batch=(3,))
        assert objective.on_support
        coef = net.expand(theta, support=True)
        np.testing.assert_allclose(objective.value(theta), by_definition(metric, target, coef), rtol=1e-11)
        same = QDistance.from_metric(metric, target, net.support).compose(net)
        for method in ("gradient", "hessian", "gauss_newton", "gradient_scale"):
            np.testing.assert_array_equal(getattr(objective, method)(theta), getattr(same, method)(theta))


def test_sizes_have_to_fit(rng: np.random.Generator) -> None:
    loss = QDistance.from_metric(np.eye(6), rng.normal(size=(2, 6)))
    with pytest.raises(ValueError, match=r"`net` must have .* 6 monomials and n_outputs=2; got .*n_outputs=1"):
        loss.compose(MLP((3, 2, 1), activation=2))
    with pytest.raises(ValueError, match="`net` must have"):
        loss.compose(MLP((3, 2, 2), activation=3))
    with pytest.raises(ValueError, match="restricted"):
        loss.restrict(np.eye(6)).compose(MLP((3, 2, 2), activation=2))
    with pytest.raises(ValueError, match="a loss from a metric has no gram_operator"):
        QDistance.from_metric("gaussian", np.ones(3), MonomialBasis(1, 2)).gram_operator  # noqa: B018


# -- restricted -------------------------------------------------------------------------------------------------------


@joints
@pytest.mark.parametrize("kernel", [0, 2])
def test_restrictions(joint: bool, kernel: int, rng: np.random.Generator) -> None:
    n_outputs, n, k = 2, 6, 3
    size = n_outputs * n if joint else n
    metric, target = metrics.random_semidefinite(size, size - kernel, rng=1), rng.normal(size=(n_outputs, n))
    loss = QDistance.from_metric(metric, target, constant=0.25)
    span = rng.normal(size=(k, n))
    own = loss.restrict(span)
    assert (own.restricted, own.joint, own.n_outputs, own.n_monomials) == (True, joint, n_outputs, k)
    z = rng.normal(size=(4, n_outputs, k))
    expected = by_definition(metric, target, z @ span) + 0.25
    np.testing.assert_allclose(own.value(z) + own.constant, expected, rtol=1e-11)
    np.testing.assert_allclose(own.gradient(z), loss.gradient(z @ span) @ span.T, rtol=1e-9, atol=1e-10)
    shared_span = rng.normal(size=(5, n_outputs, n))
    shared = loss.restrict(shared_span)
    assert (shared.joint, shared.n_outputs, shared.n_monomials) == (False, 1, 5)
    z = rng.normal(size=(4, 1, 5))
    coef = np.tensordot(z[:, 0], shared_span, 1)
    np.testing.assert_allclose(
        shared.value(z) + shared.constant, by_definition(metric, target, coef) + 0.25, rtol=1e-11
    )


# -- rank -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("diagonal", [1e-17, 0.0, -1e-17])
def test_rounding_errors_are_no_directions(diagonal: float) -> None:
    """A block that cannot be a part of a positive semidefinite matrix, so small that it stands for zeros."""
    metric = metrics.random_semidefinite(8, rng=0)
    noise = [1, 4, 6]
    metric[noise] = metric[:, noise] = 0.0
    metric[np.ix_(noise, noise)] = np.where(np.eye(3), diagonal, 4e-17)
    loss = QDistance.from_metric(metric, np.ones(8))
    assert loss.rank == 5
    np.testing.assert_allclose((loss.kernel**2).sum(axis=1), np.isin(np.arange(8), noise), atol=1e-12)


def test_units_do_not_change_the_rank() -> None:
    metric = metrics.random_semidefinite(6, 4, rng=3)
    units = 10.0 ** np.arange(-9, 9, 3)
    loss = QDistance.from_metric(metric * units * units[:, None], np.zeros(6))
    assert loss.rank == 4
    basis = MonomialBasis(1, 8)
    assert QDistance.from_metric(metrics.gaussian(basis, covariance=1e4), np.zeros(9), basis).rank == 9


def test_a_tolerance_for_inexact_metrics() -> None:
    exact = metrics.random_semidefinite(5, 3, rng=1)
    rounded = exact + 1e-7 * np.random.default_rng(0).normal(size=(5, 5))
    with pytest.raises(ValueError, match="`metric` must be symmetric"):
        QDistance.from_metric(rounded, np.ones(5))
    with pytest.raises(ValueError, match="`metric` must be positive semidefinite"):
        QDistance.from_metric(rounded + rounded.T - 1e-6 * np.eye(5), np.ones(5))
    loss = QDistance.from_metric(rounded, np.ones(5), rank_tol=3e-3)
    assert loss.rank == 3
    np.testing.assert_array_equal(loss.gram, loss.gram.T)


def test_zero_metric() -> None:
    loss = QDistance.from_metric(np.zeros((3, 3)), np.ones(3))
    assert (loss.rank, loss.condition, loss.value(np.zeros((1, 3)))) == (0, 1.0, 0.0)
    assert loss.gradient_scale(np.ones((1, 3))) == 0


# -- bad input --------------------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {"metric": np.eye(3), "target": np.ones((2, 3))}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"metric": [[1, 2, 0], [0, 1, 0], [0, 0, 1]]}, ValueError, r"symmetric.*2 at \(0, 1\).*0 at \(1, 0\).*, 2$"),
        ({"metric": np.diag([1.0, -0.5, 2.0])}, ValueError, "semidefinite, got the eigenvalue -0.5 .*most negative"),
        ({"metric": [[1, 2, 0], [2, 1, 0], [0, 0, 1]]}, ValueError, "eigenvalue -1 .*largest is 3"),
        ({"metric": np.eye(4)}, ValueError, r"`metric` must have shape .*=3.* or \(6, 6\) over all outputs.*\(4, 4\)"),
        ({"metric": np.ones((3, 6))}, ValueError, r"`metric` must have shape .*got \(3, 6\)"),
        ({"metric": np.ones(3)}, ValueError, r"`metric` must have shape .*got \(3,\)"),
        ({"metric": np.diag([1, np.nan, 1])}, ValueError, "`metric` must be finite, got nan at row 1, column 1"),
        ({"metric": np.eye(3) * 1j}, TypeError, "`metric` must be real"),
        ({"metric": "euclidean", "basis": MonomialBasis(1, 2)}, ValueError, "`metric` must be one of 'identity'"),
        ({"metric": "identity"}, ValueError, "`basis` must be given for the metric 'identity'"),
        ({"metric": None}, TypeError, "`metric`"),
        ({"target": np.ones((2, 4))}, ValueError, "`metric` must have shape"),
        ({"target": np.ones((2, 4)), "basis": MonomialBasis(1, 2)}, ValueError, r"`target` .*n_monomials=3.*\(2, 4\)"),
        ({"target": np.ones((2, 2, 3))}, ValueError, r"`target` must have shape .*got \(2, 2, 3\)"),
        ({"target": np.ones((0, 3))}, ValueError, r"`target` must have shape .*got \(0, 3\)"),
        ({"target": 1.0}, ValueError, r"`target` must have shape .*got \(\)"),
        ({"target": [[1, 2, np.inf]]}, ValueError, "`target` must be finite"),
        ({"target": [[1, 2, 1j]]}, TypeError, "`target` must be real"),
        ({"basis": 3}, TypeError, "`basis` must be a MonomialBasis or a MonomialSupport"),
        ({"basis": MonomialBasis(2, 2)}, ValueError, r"`target` must have shape \(n_outputs, n_monomials=6\)"),
        ({"constant": np.nan}, ValueError, "`constant` must be finite"),
        ({"constant": "1"}, TypeError, "`constant`"),
        ({"rank_tol": 1.0}, ValueError, "`rank_tol` must be less than 1"),
        ({"rank_tol": -1e-9}, ValueError, "`rank_tol`"),
    ],
)
def test_bad_metrics(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        QDistance.from_metric(**{**GOOD, **change})


def test_arguments_are_copied_and_results_protected() -> None:
    metric, target = np.eye(3), np.ones((1, 3))
    loss = QDistance.from_metric(metric, target)
    metric[0, 0] = target[0, 0] = 7.0
    assert loss.gram[0, 0] == loss.target[0, 0] == 1.0
    for array in (loss.gram, loss.target, loss.kernel, loss.factor):
        assert not array.flags.writeable


# -- as objects -------------------------------------------------------------------------------------------------------


@joints
def test_pickles(joint: bool) -> None:
    net = MLP((2, 2, 2), activation=2)
    loss = random_loss(net, joint)
    objective = loss.compose(net)
    theta = net.random_params(rng=1)
    for copy in (pickle.loads(pickle.dumps(objective)), pickle.loads(pickle.dumps(loss)).compose(net)):
        assert copy.value(theta) == objective.value(theta)
        np.testing.assert_array_equal(copy.hessian(theta), objective.hessian(theta))
        assert repr(copy) == repr(objective)


def test_reprs() -> None:
    metric = scipy.linalg.block_diag(np.eye(3), 2 * np.eye(3))
    assert repr(QDistance.from_metric(metric, np.ones((2, 3)), constant=0.5)) == (
        "QDistance(3 coefficients, n_outputs=2): rank 6 of 6 (joint), condition 2, constant 0.5"
    )
    assert repr(QDistance.from_metric("identity", np.ones(3), MonomialBasis(1, 2))) == (
        "QDistance(MonomialBasis(n_vars=1, degree=2, homogeneous=False), n_outputs=1): "
        "rank 3 of 3, condition 1, constant 0"
    )
