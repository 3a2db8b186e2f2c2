# SPDX-License-Identifier: BSD-3-Clause
"""Cross-entropy against its definition in high precision; derivatives by differences; blocks, threads, bad labels."""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from polycore import critical_points, cross_entropy
from polycore.cross_entropy import CrossEntropy
from polycore.errors import NumericalError
from polycore.monomials import MonomialBasis
from polycore.network_loss import NetworkLoss
from polycore.networks import CNN, MLP
from polycore.veronese import veronese


def data(n_samples: int, n_vars: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n_samples - n_classes)])
    return rng.normal(size=(n_samples, n_vars)), labels


def by_definition(X: np.ndarray, labels: np.ndarray, basis: Any, coef: np.ndarray) -> Any:
    """−Σ log softmax in long double, where its range suffices."""
    logits = veronese(X, basis).astype(np.longdouble) @ coef.T.astype(np.longdouble)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -np.log(probabilities[np.arange(len(X)), labels]).sum()


PROBLEMS = {
    "two classes": (40, 2, MonomialBasis(2, 2)),
    "many classes": (60, 5, MonomialBasis(1, 3)),
    "forms": (30, 3, MonomialBasis(3, 2, homogeneous=True)),
    "fewer samples than monomials": (6, 2, MonomialBasis(3, 3)),
    "support": (25, 3, CNN((2, 2), activation=2, n_inputs=4).support),
    "constants": (9, 2, MonomialBasis(2, 0)),
}


@pytest.fixture(params=list(PROBLEMS))
def problem(request: pytest.FixtureRequest) -> tuple[CrossEntropy, np.ndarray, np.ndarray]:
    n_samples, n_classes, basis = PROBLEMS[request.param]
    X, labels = data(n_samples, basis.n_vars, n_classes)
    return CrossEntropy.from_data(X, labels, basis), X, labels


# -- the definition ---------------------------------------------------------------------------------------------------


def test_value_is_the_sum_over_samples(problem: Any, rng: np.random.Generator) -> None:
    loss, X, labels = problem
    coef = rng.normal(size=(3, 2, loss.n_outputs, loss.n_monomials))
    values = loss.value(coef)
    assert values.shape == (3, 2)
    for index in np.ndindex(3, 2):
        expected = float(by_definition(X, labels, loss.basis, coef[index]))
        assert values[index] == pytest.approx(expected, rel=1e-13)
        assert loss.value(coef[index]) == values[index]
    assert type(loss.value(coef[0, 0])) is float
    assert loss.constant == loss.lower_bound == 0.0


def test_equal_outputs_are_the_logarithm_of_the_number_of_classes(problem: Any) -> None:
    loss, X, labels = problem
    coef = np.ones((loss.n_outputs, loss.n_monomials))
    assert loss.value(coef) == pytest.approx(len(X) * np.log(loss.n_outputs), rel=1e-14)
    residuals = 1 / loss.n_outputs - np.eye(loss.n_outputs)[labels]
    np.testing.assert_allclose(loss.gradient(coef), residuals.T @ veronese(X, loss.basis), rtol=1e-12, atol=1e-12)


def test_gradient_and_hessian_are_the_formulas(problem: Any, rng: np.random.Generator) -> None:
    """Σ (p − e_y) aᵀ and Σ (diag p − ppᵀ) ⊗ aaᵀ, sample by sample."""
    loss, X, labels = problem
    O, N = loss.n_outputs, loss.n_monomials
    coef = rng.normal(size=(O, N))
    gradient, hessian = np.zeros((O, N)), np.zeros((O * N, O * N))
    for a, label in zip(veronese(X, loss.basis), labels, strict=True):
        p = np.exp(coef @ a) / np.exp(coef @ a).sum()
        gradient += np.outer(p - np.eye(O)[label], a)
        hessian += np.kron(np.diag(p) - np.outer(p, p), np.outer(a, a))
    np.testing.assert_allclose(loss.gradient(coef), gradient, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(loss.gradient(coef).sum(axis=0), 0, atol=1e-11 * np.abs(gradient).max(initial=1))
    directions = np.eye(O * N).reshape(O * N, O, N)
    products = loss.hessian_product(coef, directions)
    np.testing.assert_allclose(products.reshape(O * N, O * N), hessian, rtol=1e-10, atol=1e-10)
    # The kernel: shifts, and for each further output the polynomials that vanish on the samples.
    rank = np.linalg.matrix_rank(veronese(X, loss.basis))
    values = np.linalg.eigvalsh(hessian)
    assert np.sum(values < 1e-9 * values[-1]) == N + (O - 1) * (N - rank)


def test_derivatives_by_differences(problem: Any, rng: np.random.Generator) -> None:
    loss, _, _ = problem
    coef, along = rng.normal(size=(2, loss.n_outputs, loss.n_monomials)) / 2
    step = 1e-5
    slope = (loss.value(coef + step * along) - loss.value(coef - step * along)) / (2 * step)
    assert np.sum(loss.gradient(coef) * along) == pytest.approx(slope, rel=1e-7, abs=1e-7)
    change = (loss.gradient(coef + step * along) - loss.gradient(coef - step * along)) / (2 * step)
    np.testing.assert_allclose(loss.hessian_product(coef, along), change, rtol=1e-6, atol=1e-6)


def test_shifts_change_nothing(problem: Any, rng: np.random.Generator) -> None:
    loss, _, _ = problem
    coef = rng.normal(size=(loss.n_outputs, loss.n_monomials))
    shift = rng.normal(size=loss.n_monomials)
    assert loss.value(coef + shift) == pytest.approx(loss.value(coef), rel=1e-12)
    np.testing.assert_allclose(loss.gradient(coef + shift), loss.gradient(coef), rtol=1e-9, atol=1e-11)
    same = np.broadcast_to(shift, coef.shape)
    np.testing.assert_allclose(loss.hessian_product(coef, same), 0, atol=1e-11)


def test_both_at_once_have_the_same_bits(problem: Any, rng: np.random.Generator) -> None:
    loss, _, _ = problem
    for shape in ((), (5,), (2, 3), (0,)):
        coef = rng.normal(size=(*shape, loss.n_outputs, loss.n_monomials))
        value, gradient = loss.value_and_gradient(coef)
        np.testing.assert_array_equal(value, loss.value(coef))
        np.testing.assert_array_equal(gradient, loss.gradient(coef))
        assert isinstance(value, float) == (shape == ())


@pytest.mark.parametrize("name", list(PROBLEMS))
def test_a_reference_class_has_the_logit_zero(name: str, rng: np.random.Generator) -> None:
    """Everything is that of the loss without one, at coefficients that are 0 for class 0."""
    n_samples, n_classes, basis = PROBLEMS[name]
    X, labels = data(n_samples, basis.n_vars, n_classes)
    loss, full = (CrossEntropy.from_data(X, labels, basis, reference=r) for r in (True, False))
    assert (loss.n_classes, loss.n_outputs, full.n_outputs) == (n_classes, n_classes - 1, n_classes)
    coef, along = rng.normal(size=(2, 4, n_classes, loss.n_monomials))
    coef[:, 0] = along[:, 0] = 0.0
    own, direction = coef[:, 1:], along[:, 1:]
    np.testing.assert_allclose(loss.value(own), full.value(coef), rtol=1e-13)
    np.testing.assert_allclose(loss.gradient(own), full.gradient(coef)[:, 1:], rtol=1e-12, atol=1e-12)
    product = full.hessian_product(coef, along)[:, 1:]
    np.testing.assert_allclose(loss.hessian_product(own, direction), product, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(loss.accuracy(own), full.accuracy(coef))
    np.testing.assert_allclose(loss.gradient_scale(own), full.gradient_scale(coef), rtol=1e-13)
    value, gradient = loss.value_and_gradient(own)
    np.testing.assert_array_equal(value, loss.value(own))
    np.testing.assert_array_equal(gradient, loss.gradient(own))
    np.testing.assert_array_equal(gradient[2], loss.gradient(own[2]))
    # What is left of the kernel are the polynomials that vanish on the samples.
    size, rank = (n_classes - 1) * loss.n_monomials, np.linalg.matrix_rank(veronese(X, basis))
    directions = np.eye(size).reshape(size, n_classes - 1, -1)
    values = np.linalg.eigvalsh(loss.hessian_product(own[0] / 3, directions).reshape(size, size))
    assert np.sum(values < 1e-9 * values[-1]) == (n_classes - 1) * (loss.n_monomials - rank)


def test_logistic_regression_with_one_output() -> None:
    X, labels = data(60, 2, 2, seed=4)
    net = MLP((2, 1), bias=True)
    loss = CrossEntropy.from_data(X, labels, net.basis, reference=True)
    objective, theta = loss.compose(net), np.zeros(net.n_params)
    for _ in range(12):
        theta = theta - np.linalg.solve(objective.hessian(theta), objective.gradient(theta))
    assert np.linalg.norm(objective.gradient(theta)) <= 1e-15 * objective.gradient_scale(theta)
    margin = (2 * labels - 1) * net.evaluate(theta, X)[:, 0]
    assert objective.value(theta) == pytest.approx(np.log1p(np.exp(-margin)).sum(), rel=1e-13)
    assert repr(loss).endswith("n_outputs=1): 60 samples, 25 + 35 in the classes, the first the reference")


def test_two_classes_are_logistic_regression() -> None:
    X, labels = data(80, 1, 2, seed=3)
    loss = CrossEntropy.from_data(X, labels, MonomialBasis(1, 1))
    slope, intercept = 0.7, -0.2
    margin = (2 * labels - 1) * (slope * X[:, 0] + intercept)
    expected = np.log1p(np.exp(-margin)).sum()
    assert loss.value([[0, 0], [intercept, slope]]) == pytest.approx(expected, rel=1e-14)


# -- numbers far out --------------------------------------------------------------------------------------------------


def test_nothing_overflows_before_the_logits_do() -> None:
    loss = CrossEntropy.from_data([[-1.0], [1.0]], [0, 1], MonomialBasis(1, 1))
    right, wrong = np.array([[0.0, -1.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [0.0, -1.0]])
    for size in (1.0, 1e2, 1e6, 1e150, 1e307):
        # A sample that is wrong by 2 size costs 2 size + log1p(exp(−2 size)).
        assert loss.value(size * wrong) == pytest.approx(2 * (2 * size + np.log1p(np.exp(-2 * size))), rel=1e-15)
        assert loss.value(size * right) == pytest.approx(2 * np.log1p(np.exp(-2 * size)), rel=1e-14, abs=0)
        assert loss.value(size * right) >= 0
        np.testing.assert_allclose(loss.gradient(size * wrong), [[0, 2], [0, -2]], atol=2 * np.exp(-2 * size) + 1e-15)
    with pytest.raises(NumericalError, match="overflow"):
        loss.value(1.7e308 * wrong)
    with pytest.raises(NumericalError, match="overflow"):
        loss.gradient(1.7e308 * wrong)


def test_small_losses_keep_their_digits() -> None:
    """Where the probability of the label is 1 to all digits, those of the others still count."""
    loss = CrossEntropy.from_data([[-1.0], [1.0]], [0, 1], MonomialBasis(1, 1))
    coef = 30 * np.array([[0.0, -1.0], [0.0, 1.0]])
    tail = np.exp(-60.0)
    assert loss.value(coef) == pytest.approx(2 * tail, rel=1e-14)
    np.testing.assert_allclose(loss.gradient(coef), [[0, 2 * tail], [0, -2 * tail]], rtol=1e-14)
    product = loss.hessian_product(coef, [[0, 1], [0, 0]])
    np.testing.assert_allclose(product, [[0, 2 * tail], [0, -2 * tail]], rtol=1e-14)


def test_accuracy() -> None:
    loss = CrossEntropy.from_data([[-1.0], [0.0], [1.0], [2.0]], [0, 1, 0, 1], MonomialBasis(1, 1))
    coef = np.array([[[0, 0], [0, 1]], [[0, 0], [0.5, 0]], [[0, 0], [0, 0]], [[0.5, 0], [0, 1]]], dtype=float)
    # Increasing, always class 1, undecided, class 1 from 1/2 on.
    np.testing.assert_array_equal(loss.accuracy(coef), [0.5, 0.5, 0.0, 0.5])
    np.testing.assert_array_equal(loss.accuracy(coef[0]), 0.5)


# -- blocks, batches, threads -----------------------------------------------------------------------------------------


def test_blocks_are_sums(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    X, labels = data(500, 2, 3)
    coef, along = rng.normal(size=(2, 7, 3, 6))
    whole = CrossEntropy.from_data(X, labels, MonomialBasis(2, 2))
    monkeypatch.setattr(cross_entropy, "_BLOCK_ENTRIES", 300)
    monkeypatch.setattr(cross_entropy, "_BATCH_ENTRIES", 500)
    blocked = CrossEntropy.from_data(X, labels, MonomialBasis(2, 2))
    assert (blocked._step, blocked._batch) == (33, 5)
    np.testing.assert_allclose(blocked.value(coef), whole.value(coef), rtol=1e-13)
    np.testing.assert_allclose(blocked.gradient(coef), whole.gradient(coef), rtol=1e-11, atol=1e-11)
    products = whole.hessian_product(coef, along)
    np.testing.assert_allclose(blocked.hessian_product(coef, along), products, rtol=1e-11, atol=1e-11)
    many = rng.normal(size=(2, 12, 3, 6))
    np.testing.assert_array_equal(
        blocked.hessian_product(coef[:2, None], many)[1, 9], blocked.hessian_product(coef[1], many[1, 9])
    )
    np.testing.assert_array_equal(blocked.accuracy(coef), whole.accuracy(coef))


def test_batches_and_threads_have_the_bits_of_single_calls(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(cross_entropy, "_BLOCK_ENTRIES", 2000)
    monkeypatch.setattr(cross_entropy, "_THREADS_FROM", 0)
    X, labels = data(3000, 2, 3)
    coef, along = rng.normal(size=(2, 9, 3, 6))
    one, three = (CrossEntropy.from_data(X, labels, MonomialBasis(2, 2), n_threads=n) for n in (1, 3))
    for call in (lambda c, d, loss: loss.value(c), lambda c, d, loss: loss.gradient(c)):
        np.testing.assert_array_equal(call(coef, along, one), call(coef, along, three))
        np.testing.assert_array_equal(call(coef, along, one)[4], call(coef[4], along[4], one))
    product = one.hessian_product(coef, along)
    np.testing.assert_array_equal(product, three.hessian_product(coef, along))
    np.testing.assert_array_equal(product[4], one.hessian_product(coef[4], along[4]))


@pytest.mark.parametrize(
    ("points", "directions"),
    [
        ((), (4,)),
        ((4,), ()),
        ((2, 1), (2, 3)),
        ((2, 1), (3,)),
        ((1,), (2, 3)),
        ((2, 3), (2, 1)),
        ((0,), (0,)),
        ((), (0,)),
        ((), ()),
    ],
)
def test_points_and_directions_broadcast(
    points: tuple[int, ...], directions: tuple[int, ...], rng: np.random.Generator
) -> None:
    loss = CrossEntropy.from_data(*data(20, 1, 2), MonomialBasis(1, 2))
    coef, along = rng.normal(size=(*points, 2, 3)), rng.normal(size=(*directions, 2, 3))
    product = loss.hessian_product(coef, along)
    shape = np.broadcast_shapes(coef.shape, along.shape)
    assert product.shape == shape
    at, d = np.broadcast_to(coef, shape), np.broadcast_to(along, shape)
    for index in np.ndindex(*shape[:-2]):
        np.testing.assert_array_equal(product[index], loss.hessian_product(at[index], d[index]))


def test_empty_batches() -> None:
    loss = CrossEntropy.from_data(*data(20, 1, 2), MonomialBasis(1, 2))
    assert loss.value(np.zeros((0, 2, 3))).shape == (0,)
    assert loss.gradient(np.zeros((4, 0, 2, 3))).shape == (4, 0, 2, 3)


# -- composed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_support", [False, True])
def test_composed_with_a_network(on_backend: str, on_support: bool) -> None:
    net = CNN((2, 2), activation=2, n_inputs=4) if on_support else MLP((2, 3, 3), activation=2, bias=True)
    X, labels = data(50, net.n_inputs, net.n_outputs)
    loss = CrossEntropy.from_data(X, labels, net.support if on_support else net.basis)
    objective = loss.compose(net)
    assert objective.on_support == on_support
    assert (objective.constant, objective.lower_bound) == (0.0, 0.0)
    theta, v = net.random_params(rng=1, batch=(2, 4))
    logits = net.evaluate(theta, X)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(objective.value(theta), -logs[:, np.arange(50), labels].sum(axis=1), rtol=1e-12)
    # The chain rule through the outputs at the samples: the coefficients play no part.
    residuals = np.exp(logs) - np.eye(net.n_outputs)[labels]
    expected = np.array([net.program.engine.evaluate_vjp(at, X, r).sum(axis=0) for at, r in zip(theta, residuals)])
    np.testing.assert_allclose(objective.gradient(theta), expected, rtol=1e-9, atol=1e-10)
    step = 1e-5
    change = (objective.gradient(theta + step * v) - objective.gradient(theta - step * v)) / (2 * step)
    hessian = objective.hessian(theta)
    np.testing.assert_array_equal(hessian, hessian.swapaxes(1, 2))
    for product in (objective.hessian_product(theta, v), np.einsum("bij,bj->bi", hessian, v)):
        np.testing.assert_allclose(product, change, rtol=1e-6, atol=1e-7 * np.abs(hessian).max())
    jacobian = net.jacobian(theta, support=on_support)
    columns = jacobian.reshape(4, net.n_outputs, -1, net.n_params).transpose(0, 3, 1, 2)
    images = loss.hessian_product(net.expand(theta, support=on_support)[:, None], columns)
    expected = np.einsum("bioa,bjoa->bij", columns, images)
    gauss_newton = objective.gauss_newton(theta)
    np.testing.assert_allclose(gauss_newton, expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())
    assert (np.linalg.eigvalsh(gauss_newton) > -1e-10 * np.abs(expected).max()).all()
    assert (np.linalg.norm(objective.gradient(theta), axis=-1) <= 2 * objective.gradient_scale(theta)).all()


def test_the_minimum_of_a_linear_model_is_found() -> None:
    """A network without hidden layer, by scipy: the gradient is at rounding level, measured by its scale."""
    net = MLP((2, 3), bias=True)
    X, labels = data(100, 2, 3, seed=5)
    objective = CrossEntropy.from_data(X, labels, net.basis).compose(net)
    theta = np.zeros(net.n_params)
    for _ in range(30):
        theta = theta - np.linalg.pinv(objective.hessian(theta), rcond=1e-10, hermitian=True) @ objective.gradient(
            theta
        )
    assert np.linalg.norm(objective.gradient(theta)) <= 1e-14 * objective.gradient_scale(theta)
    found = scipy.optimize.minimize(objective.value, np.zeros(net.n_params), jac=objective.gradient)
    assert found.fun == pytest.approx(objective.value(theta), rel=1e-10)
    values = np.linalg.eigvalsh(objective.hessian(theta))
    assert np.sum(np.abs(values) < 1e-12 * values[-1]) == len(net.basis)  # the shifts


# -- as objects -------------------------------------------------------------------------------------------------------


def test_pickles(rng: np.random.Generator) -> None:
    net = MLP((2, 2, 2), activation=2)
    objective = CrossEntropy.from_data(*data(20, 2, 2), net.basis).compose(net)
    copy = pickle.loads(pickle.dumps(objective))
    theta = net.random_params(rng=0)
    assert isinstance(copy, NetworkLoss)
    assert copy.value(theta) == objective.value(theta)
    assert repr(copy) == repr(objective)


def test_reprs() -> None:
    loss = CrossEntropy.from_data(np.zeros((5, 1)), [0, 1, 1, 2, 1], MonomialBasis(1, 1))
    text = "CrossEntropy(MonomialBasis(n_vars=1, degree=1, homogeneous=False), n_outputs=3): 5 samples, 1 + 3 + 1"
    assert repr(loss) == text + " in the classes"
    many = CrossEntropy.from_data(np.zeros((21, 1)), [*range(20), 3], MonomialBasis(1, 1))
    assert repr(many).endswith("n_outputs=20): 21 samples, 1 to 2 in the classes")


def test_the_samples_are_a_copy() -> None:
    X, labels = data(20, 1, 2)
    loss = CrossEntropy.from_data(X, labels, MonomialBasis(1, 1))
    before = loss.value([[0, 1], [0, 0]])
    X[:], labels[:] = 7.0, 0
    assert loss.value([[0, 1], [0, 0]]) == before
    for array in (loss.samples, loss.labels):
        assert not array.flags.writeable
    assert (loss.n_samples, loss.n_outputs, loss.n_monomials) == (20, 2, 2)


@pytest.mark.parametrize("dtype", [float, np.float32, ">f8", object, np.uint8])
def test_labels_of_any_type_that_holds_integers(dtype: Any) -> None:
    given = np.array([0, 1, 0, 2]).astype(dtype)
    for labels in (given, given.tolist()):
        loss = CrossEntropy.from_data(np.zeros((4, 2)), labels, MonomialBasis(2, 2))
        assert loss.labels.dtype == np.int64
        assert loss.labels.tolist() == [0, 1, 0, 2]


# -- bad input --------------------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {"X": np.zeros((4, 2)), "labels": [0, 1, 0, 2], "basis": MonomialBasis(2, 2)}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": [0, 1, -1, 2]}, ValueError, "`labels` must count from 0, got -1"),
        ({"labels": [0, 1, 0, 3]}, ValueError, "none is 2; pass n_classes=4"),
        ({"labels": [1, 2, 1, 2]}, ValueError, "none is 0; pass n_classes=3"),
        ({"labels": [0, 1, 0, 3], "n_classes": 3}, ValueError, "between 0 and n_classes - 1 = 2, got 3"),
        ({"labels": [0, 0, 0, 0]}, ValueError, "`labels` must have at least two classes, got 0 for every sample"),
        ({"labels": [1, 1, 1, 1], "n_classes": 2}, ValueError, "at least two classes, got 1 for every sample"),
        ({"labels": [0, 1, 0]}, ValueError, r"`labels` must have shape \(n_samples=4,\), got \(3,\)"),
        ({"labels": [[0], [1], [0], [2]]}, ValueError, r"`labels` must have shape .*got \(4, 1\)"),
        ({"labels": [0.0, 1.0, 0.5, 2.0]}, ValueError, "`labels` must hold integers, got 0.5 at index 2"),
        ({"labels": [0, 1, 0, Fraction(5, 2)]}, ValueError, "`labels` must hold integers, got 5/2 at index 3"),
        ({"labels": [0.0, np.nan, 0.0, 2.0]}, ValueError, "`labels` must hold integers, got nan at index 1"),
        ({"labels": [0.0, 1.0, 0.0, 2e300]}, ValueError, "`labels` must have every class from 0 to about 10"),
        ({"labels": [0, 1, 0, 2j]}, TypeError, "`labels` must hold integers"),
        ({"labels": ["a", "b", "a", "c"]}, TypeError, "`labels` must hold integers"),
        ({"labels": None}, TypeError, "`labels`"),
        ({"n_classes": 1}, ValueError, "`n_classes` must be an integer with 2 <= n_classes"),
        ({"n_classes": 3.0}, TypeError, "`n_classes` must be an integer"),
        ({"X": np.zeros((0, 2)), "labels": []}, ValueError, "`X` must have at least 1 row, got 0"),
        ({"X": np.zeros((4, 3))}, ValueError, r"`X` must have shape \(n_samples, n_vars=2\)"),
        ({"X": np.full((4, 2), np.nan)}, ValueError, "`X` must be finite"),
        ({"X": np.full((4, 2), 1e200)}, NumericalError, "overflow"),
        ({"basis": 2}, TypeError, "`basis` must be a MonomialBasis or a MonomialSupport"),
        ({"n_threads": -1}, ValueError, "`n_threads`"),
        ({"reference": 1}, TypeError, "`reference` must be True or False"),
    ],
)
def test_bad_data(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CrossEntropy.from_data(**{**GOOD, **change})


def test_classes_without_samples() -> None:
    loss = CrossEntropy.from_data(**{**GOOD, "labels": [0, 1, 0, 3]}, n_classes=6)
    assert loss.n_outputs == 6
    assert "2 + 1 + 0 + 1 + 0 + 0" in repr(loss)
    assert CrossEntropy.from_data(**{**GOOD, "labels": np.array([True, False, True, True])}).n_outputs == 2


@pytest.mark.parametrize("method", ["value", "gradient", "hessian_product", "gradient_scale", "accuracy"])
@pytest.mark.parametrize(
    ("coef", "error", "message"),
    [
        (np.zeros((2, 6)), ValueError, r"`coef` must have shape \(..., n_outputs=3, n_monomials=6\), got \(2, 6\)"),
        (np.full((3, 6), np.inf), ValueError, "`coef` must be finite"),
        (np.zeros((3, 6), complex), TypeError, "`coef` must be real"),
    ],
)
def test_bad_coefficients(method: str, coef: Any, error: type[Exception], message: str) -> None:
    loss = CrossEntropy.from_data(**GOOD)
    with pytest.raises(error, match=message):
        getattr(loss, method)(*[coef] * (2 if method == "hessian_product" else 1))


def test_bad_directions() -> None:
    loss = CrossEntropy.from_data(**GOOD)
    with pytest.raises(ValueError, match="`dcoef` must have shape"):
        loss.hessian_product(np.zeros((3, 6)), np.zeros((3, 5)))
    with pytest.raises(ValueError, match="`coef` and `dcoef` must broadcast"):
        loss.hessian_product(np.zeros((2, 3, 6)), np.zeros((5, 3, 6)))
    with pytest.raises(TypeError, match=r"CrossEntropy\.from_data"):
        CrossEntropy(np.zeros((1, 1)), np.zeros(1, np.int64), None, 2)


def test_networks_that_do_not_fit() -> None:
    loss = CrossEntropy.from_data(**GOOD)
    with pytest.raises(ValueError, match="`net` must have the basis and outputs of the loss"):
        loss.compose(MLP((2, 2, 3), activation=2))  # forms
    with pytest.raises(ValueError, match="n_outputs=3"):
        loss.compose(MLP((2, 2, 2), activation=2, bias=True))
    with pytest.raises(TypeError, match="`net` must be a polycore network"):
        loss.compose(None)  # type: ignore[arg-type]


def test_separable_data_have_no_minimum() -> None:
    """The infimum is at infinity: gradients vanish on the way, but not against the terms they are sums of."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    net = MLP((2, 2, 1), activation=2)
    loss = CrossEntropy.from_data(X, (X[:, 0] ** 2 > X[:, 1] ** 2).astype(int), net.basis, reference=True)
    away = np.zeros((1, len(net.basis)))
    away[0, net.basis.index([2, 0])], away[0, net.basis.index([0, 2])] = 1.0, -1.0
    for size in (1e2, 1e4, 1e6):
        gradient = np.linalg.norm(loss.gradient(size * away))
        assert 0 <= gradient <= loss.gradient_scale(size * away)
        assert gradient == 0 or gradient > 1e-9 * loss.gradient_scale(size * away)
    found = critical_points(loss, net, n_starts=10)
    assert all(point.loss > 1.0 and point.status != "global minimum" for point in found)
    assert "perhaps no minimum is attained" in found.completeness.reason
