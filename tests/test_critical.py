# SPDX-License-Identifier: BSD-3-Clause
"""All critical points by search, against closed forms, planted points and what the theory says there is none of."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import polycore as pc
from polycore import _critical_search, critical
from polycore._critical_products import search_by_products
from polycore._critical_search import Budget
from polycore._critical_starts import natural_scale
from polycore._hidden_units import balance, hidden_units, without_faint_units

Vector = NDArray[np.float64]


def noise(net: pc.Network, seed: int, n_samples: int = 60) -> pc.QDistance:
    """Generic data: targets that have nothing to do with the inputs."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n_samples, net.n_inputs)), rng.normal(size=(n_samples, net.n_outputs))
    return pc.QDistance.from_data(x, y, net.basis)


def search(loss: Any, net: pc.Network, n_starts: int = 100, rng: Any = 0, **more: Any) -> pc.CriticalPoints:
    return pc.critical_points(loss, net, n_starts, rng, "search", **more)


def losses(found: pc.CriticalPoints) -> Vector:
    return np.array([point.loss for point in found])


def different(found: pc.CriticalPoints) -> Vector:
    """Losses of the functions: one can be listed twice, when it is that of a saddle and of a plateau of minima."""
    return np.array([p.loss for p, q in zip(found, (None, *found)) if q is None or not np.allclose(p.coef, q.coef)])


def check_is_critical(loss: Any, net: pc.Network, point: pc.CriticalPoint) -> None:
    """By the definition, with the Jacobian and the gradient on the coefficients."""
    gradient = loss.gradient(net.expand(point.theta)).ravel()
    jacobian = net.jacobian(point.theta)
    scale = float(loss.gradient_scale(net.expand(point.theta))) * np.linalg.norm(jacobian)
    assert np.linalg.norm(jacobian.T @ gradient) <= 1e-10 * scale


# --- closed forms as oracles ------------------------------------------------------------------------------------------


def eckart_young(loss: pc.QDistance, rank: int) -> list[tuple[float, int]]:
    """Losses of all critical matrices of rank at most ``rank``, with their ranks: truncated singular components of
    the target in coordinates in which Q is the identity, ‖(C − T) Lᵀ‖² with Q = LᵀL."""
    values = np.linalg.svd(loss.target @ np.linalg.cholesky(loss.gram), compute_uv=False)
    found = []
    for k in range(rank + 1):
        for chosen in itertools.combinations(range(len(values)), k):
            left_out = np.delete(values, chosen)
            found.append((float(np.sum(left_out**2)) + loss.constant, k))
    return sorted(found)


SHALLOW = [((2, 1, 2), range(4)), ((2, 2, 2), range(2)), ((3, 2, 2), range(2)), ((1, 2, 3), range(2)), ((3, 2, 3), [0])]


@pytest.mark.parametrize(("widths", "seed"), [(widths, seed) for widths, seeds in SHALLOW for seed in seeds])
def test_shallow_linear_networks(widths: tuple[int, ...], seed: int) -> None:
    """Every rank-k truncation, none besides, one minimum, all else strict saddles (Eckart–Young; Baldi–Hornik 1989)."""
    net = pc.MLP(widths, activation=1)
    loss = noise(net, seed)
    found = search(loss, net, rng=seed)
    expected = eckart_young(loss, min(widths))
    np.testing.assert_allclose(losses(found), [value for value, _ in expected], rtol=1e-10)
    assert [point.kind for point in found] == ["minimum"] + ["strict saddle"] * (len(expected) - 1)
    assert found.minima == found.points[:1]
    for point in found:
        check_is_critical(loss, net, point)
    ranks = [int(np.sum(np.linalg.svd(point.coef, compute_uv=False) > 1e-7)) for point in found]
    assert ranks == [k for _, k in expected]


def test_deep_linear_network() -> None:
    """The same functions; zero has only derivatives of third order there, so that it is no strict saddle."""
    net = pc.MLP((2, 2, 2, 2), activation=1)
    loss = noise(net, 0)
    found = search(loss, net, 60)
    np.testing.assert_allclose(losses(found), [value for value, _ in eckart_young(loss, 2)], rtol=1e-10)
    zero = found[-1]
    assert not zero.theta.any()
    assert zero.kind == "degenerate"
    assert len(found.minima) == 1


@pytest.mark.parametrize("seed", range(3))
def test_quadratic_networks_in_the_bombieri_weyl_metric(seed: int) -> None:
    """Sums of at most two eigencomponents of a symmetric 3×3 matrix, by numpy's eigenvalues."""
    net = pc.MLP((3, 2, 1), activation=2)
    target = np.random.default_rng(seed).normal(size=(1, 6))
    loss = pc.QDistance.from_metric("bombieri_weyl", target, net.basis)
    # Monomials x², xy, xz, y², yz, z².
    a, b, c, d, e, f = target[0]
    squares = np.linalg.eigvalsh([[a, b / 2, c / 2], [b / 2, d, e / 2], [c / 2, e / 2, f]]) ** 2
    chosen = [s for k in range(3) for s in itertools.combinations(range(3), k)]
    expected = sorted(float(np.delete(squares, s).sum()) for s in chosen)
    found = search(loss, net, 200, seed)
    np.testing.assert_allclose(different(found), expected, atol=1e-9)
    closed = pc.critical_points(loss, net)
    assert (closed.complete, closed.method) == ("proved", "closed_form")
    np.testing.assert_allclose(different(closed), expected, atol=1e-10)
    assert closed[0].status == "global minimum"
    assert closed[0].proved


@pytest.mark.parametrize(("power", "seed"), [(2, 0), (3, 0), (3, 1), (4, 0), (4, 1)])
def test_single_neurons_find_all_eigenvectors(power: int, seed: int) -> None:
    """Critical points of ‖f − a·ℓʳ‖ on binary forms are the real roots of x ∂f/∂y − y ∂f/∂x, and zero."""
    net = pc.MLP((2, 1, 1), activation=power)
    form = np.random.default_rng(seed).normal(size=power + 1)  # of xʳ, xʳ⁻¹y, …, yʳ
    loss = pc.QDistance.from_metric("bombieri_weyl", form[None], net.basis)
    degrees = np.arange(power + 1)
    along = np.zeros(power + 1)  # coefficients of y⁰, y¹, … at x = 1
    along[:-1] += form[1:] * degrees[1:]
    along[1:] -= form[:-1] * (power - degrees[:-1])
    roots = np.roots(along[::-1])
    lines = [(1.0, y) for y in roots[np.abs(roots.imag) < 1e-9].real]
    values = [np.sum(form * np.array([x ** (power - k) * y**k for k in degrees])) for x, y in lines]
    eigenvalues = [value / (x * x + y * y) ** (power / 2) for value, (x, y) in zip(values, lines)]
    square = float(loss.value(np.zeros((1, power + 1))))
    expected = sorted([square - value**2 for value in eigenvalues] + [square])
    found = search(loss, net, 100, seed)
    np.testing.assert_allclose(different(found), expected, atol=1e-9)


# --- spurious points --------------------------------------------------------------------------------------------------


def test_points_of_a_smaller_network_are_found_and_named() -> None:
    """A dead neuron keeps what the network without it is critical for, whatever the data."""
    net, small = pc.MLP((3, 2, 1), activation=2), pc.MLP((3, 1, 1), activation=2)
    loss = noise(net, 0)
    found = search(loss, net)
    inherited = [point for point in search(loss, small) if np.linalg.norm(point.coef) > 1e-8]
    assert inherited
    for planted in inherited:
        same = [point for point in found if np.allclose(point.coef, planted.coef, rtol=0, atol=1e-8)]
        assert same
        assert all(point.origin.spurious for point in same)
        assert all("(3, 1, 1)" in point.subnetwork for point in same)
        assert all("subnetwork" in point.found_by for point in same)


@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_on_generic_data_have_no_spurious_points_besides_zero(stride: int) -> None:
    net = pc.CNN((2, 2), activation=2, stride=stride)
    found = search(noise(net, stride), net, 100)
    assert len(found) > 1
    assert all(point.origin.pure for point in found if point.coef.any())
    assert not found[-1].coef.any()


# --- what is no point, and what is no finite set of points ------------------------------------------------------------


@pytest.mark.parametrize("method", ["closed_form", "search"])
def test_spurious_minima_on_plateaus(method: str) -> None:
    """Squares read with w <= 0 are no help for a positive definite target: where such units die, training stays."""
    net = pc.MLP((3, 2, 1), activation=2)
    eigenvalues = np.array([2.0, 1.0, 0.5])
    target = [[sum(eigenvalues[powers == 2])] for powers in net.basis.exponents]
    loss = pc.QDistance.from_metric("bombieri_weyl", np.transpose(target), net.basis)
    found = pc.critical_points(loss, net, 200, 0, method)
    # With weights of both signs there is at most one positive eigenvalue, so by Hoffman and Wielandt (1953) the others
    # are lost; with two negative weights all are. All of these are minima, the last two spurious.
    lost = [eigenvalues[2:], eigenvalues[1:], eigenvalues]
    np.testing.assert_allclose([point.loss for point in found.minima], [np.sum(part**2) for part in lost], rtol=1e-9)
    assert [point.origin.verdict for point in found.minima] == ["pure", "spurious", "spurious"]
    assert [point.status for point in found.minima[1:]] == ["beaten", "beaten"]


def test_every_descent_ends_at_a_minimum_found() -> None:
    from scipy import optimize

    net = pc.MLP((3, 2, 1), activation=2)
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 3))
    loss = pc.QDistance.from_data(X, X**2 @ [[2.0], [1.0], [0.5]] + 0.1 * rng.normal(size=(60, 1)), net.basis)
    found = search(loss, net, n_starts=200)
    minima = np.array([point.loss for point in found.minima])
    objective = loss.compose(net)
    runs = [
        optimize.minimize(objective.value, start, jac=objective.gradient, options={"gtol": 1e-7})
        for start in rng.normal(size=(20, net.n_params))
    ]
    ends = [run.fun + loss.constant for run in runs if np.linalg.norm(run.jac) < 1e-3]
    assert len(ends) > 12
    distances = np.abs(np.subtract.outer(ends, minima)) / minima
    assert (distances.min(axis=1) < 1e-4).all()
    assert len(set(distances.argmin(axis=1))) > 1  # some end at a minimum that is not the best


def test_infima_at_infinity_are_no_points() -> None:
    """x³ − 3xy² is a limit of sums of two cubes over the reals, and no such sum; no critical point has loss near 0."""
    net = pc.MLP((2, 2, 1), activation=3)
    loss = pc.QDistance.from_metric("identity", [[0.0, 1.0, 0.0, 0.0]], net.basis)  # x²y, on the tangent of the cubes
    found = search(loss, net, 60)
    assert losses(found)[0] > 0.1
    assert found.completeness.n_diverged > 0
    assert "infinity" in repr(found)
    for point in found:
        check_is_critical(loss, net, point)


def test_a_degenerate_metric_has_sets_of_critical_functions() -> None:
    """One sample: all functions through it fit, and some stand for them."""
    net = pc.MLP((2, 2, 1), activation=2)
    loss = pc.QDistance.from_data([[1.0, 2.0]], [[3.0]], net.basis)
    found = search(loss, net, 100)
    assert not found.completeness.finite
    assert "not finite" in found.completeness.reason
    assert len(found) < 30
    assert found[0].loss < 1e-20
    assert found[0].inertia.nullity > 0
    assert found[0].status == "global minimum"


# --- the result -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def problem() -> tuple[pc.QDistance, pc.Network]:
    net = pc.MLP((2, 2, 1), activation=2)
    return noise(net, 3), net


@pytest.fixture(scope="module")
def example(problem: tuple[pc.QDistance, pc.Network]) -> pc.CriticalPoints:
    return search(*problem, 60, 5)


def test_the_result(example: pc.CriticalPoints, problem: tuple[pc.QDistance, pc.Network]) -> None:
    assert (example.seed, example.complete, example.method, example.partial) == (5, "estimate", "search", False)
    assert list(losses(example)) == sorted(losses(example))
    assert (len(example), example[0], example[:2]) == (len(list(example)), example.points[0], example.points[:2])
    assert all(point in example.points for point in example.minima)
    loss, net = problem
    for point in example:
        check_is_critical(loss, net, point)
        assert point.loss == pytest.approx(loss.value(net.expand(point.theta)) + loss.constant, rel=1e-12)
        assert point.hits >= 1
        assert point.found_by
    completeness = example.completeness
    assert completeness.n_found == len(different(example))
    assert 0 < completeness.coverage <= 1
    assert completeness.n_searches <= 60
    text = repr(example)
    assert text.startswith(repr(net))
    assert "complete: estimate" in text
    assert "seed 5" in text


def test_seeds_and_threads(example: pc.CriticalPoints, problem: tuple[pc.QDistance, pc.Network]) -> None:
    again = search(*problem, 60, 5, n_threads=3)
    for point, other in zip(example, again, strict=True):
        np.testing.assert_array_equal(point.theta, other.theta)
        assert (point.hits, point.found_by) == (other.hits, other.found_by)
    assert again.completeness == example.completeness
    other_seed = search(*problem, 60, np.random.default_rng(8))
    np.testing.assert_allclose(different(other_seed), different(example), rtol=1e-9)
    np.testing.assert_allclose(losses(search(*problem, 60, other_seed.seed)), losses(other_seed), rtol=0, atol=0)


def test_balanced_starts_find_the_same(example: pc.CriticalPoints, problem: tuple[pc.QDistance, pc.Network]) -> None:
    np.testing.assert_allclose(different(search(*problem, 60, 5, balanced=True)), different(example), rtol=1e-9)


def test_given_starts_come_first(example: pc.CriticalPoints, problem: tuple[pc.QDistance, pc.Network]) -> None:
    found = search(*problem, 1, starts=example[0].theta, max_evaluations=3)
    assert [point.found_by[0] for point in found] == ["given start"]
    assert found[0].loss == pytest.approx(example[0].loss)


class Copied:
    """The protocol by hand, around the loss of samples."""

    def __init__(self, loss: pc.QDistance) -> None:
        self._loss = loss
        self.basis, self.n_outputs, self.n_monomials = loss.basis, loss.n_outputs, loss.n_monomials
        self.constant = loss.constant
        self.value, self.gradient = loss.value, loss.gradient

    def hessian_product(self, coef: Vector, dcoef: Vector) -> Vector:
        return np.broadcast_arrays(coef, 2.0 * dcoef @ self._loss.gram)[1]


def test_any_loss_of_the_protocol(example: pc.CriticalPoints, problem: tuple[pc.QDistance, pc.Network]) -> None:
    found = search(Copied(problem[0]), problem[1], 30, 5)
    np.testing.assert_allclose(different(found), different(example), rtol=1e-8)


def test_cross_entropy_has_one_minimum_on_a_linear_model() -> None:
    """Convex, and positive definite up to a shift of all outputs, where classes overlap."""
    rng = np.random.default_rng(0)
    net = pc.MLP((2, 3), activation=1)
    x = rng.normal(size=(40, 2))
    loss = pc.CrossEntropy.from_data(x, rng.integers(3, size=40), net.basis)
    found = search(loss, net, 30)
    assert [round(point.loss, 8) for point in found.minima] == [round(losses(found)[0], 8)] * len(found.minima)
    assert len(found.minima) == len(found)
    probabilities = np.exp(x @ found[0].coef.T)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert found[0].gradient_norm <= 1e-10 * found[0].gradient_scale


# --- large networks ---------------------------------------------------------------------------------------------------


def test_searches_by_products_end_at_the_same_points(
    example: pc.CriticalPoints, problem: tuple[pc.QDistance, pc.Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_critical_search, "MAX_DENSE_PARAMS", 5)
    found = search(*problem, 40)
    assert "dense Hessians, for 6 parameters" in repr(found)
    assert len(found.skipped) == 3
    known = np.array([point.coef for point in example])
    for point in found:
        check_is_critical(*problem, point)
        assert np.abs(known - point.coef).max(axis=(1, 2)).min() < 1e-7
    assert found[0].loss == pytest.approx(example[0].loss, rel=1e-10)
    assert {"descent", "stationary", "zero"} == {name for point in found for name in point.found_by}
    assert search(*problem, 40, max_evaluations=50).stopped == "evaluations"


def test_newton_steps_by_products_converge_quadratically(problem: tuple[pc.QDistance, pc.Network]) -> None:
    """Although the Hessian is singular along the fibres."""
    objective = problem[0].compose(problem[1])
    minimum = search(*problem, 30).minima[0].theta
    start = minimum + 1e-3 * np.random.default_rng(0).normal(size=6)
    found = search_by_products(objective, start[None], "newton", tol=1e-14, max_steps=8)
    assert found.converged.all()
    assert np.linalg.norm(found.theta - minimum) < 0.01


# --- budgets ----------------------------------------------------------------------------------------------------------


def test_out_of_evaluations(problem: tuple[pc.QDistance, pc.Network]) -> None:
    found = search(*problem, 1000, max_evaluations=500)
    assert (found.partial, found.stopped) == (True, "evaluations")
    assert 500 <= found.n_evaluations < 600
    assert "out of evaluations" in repr(found)
    for point in found:
        check_is_critical(*problem, point)


def test_out_of_time(problem: tuple[pc.QDistance, pc.Network]) -> None:
    found = search(*problem, 1000, time_budget=0.0)
    assert (found.partial, found.stopped, len(found)) == (True, "time", 0)
    assert "out of time" in repr(found)


class Clock:
    """Time that passes only where a test says so."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize("took", [6.0, 1e9])
def test_a_time_budget_bounds_the_classification(
    problem: tuple[pc.QDistance, pc.Network], monkeypatch: pytest.MonkeyPatch, took: float
) -> None:
    whole = search(*problem, 60)
    clock, depths = Clock(), list[bool]()

    def slow(*args: Any, **options: Any) -> pc.CriticalPoint:
        clock.now += took
        depths.append(options["deep"])
        return pc.classify(*args, **options)

    monkeypatch.setattr(_critical_search, "time", clock)
    monkeypatch.setattr(critical, "classify", slow)
    found = search(*problem, 60, time_budget=10.0)
    # Begun at 0, 6, 12 and 18 seconds; or only at 0, however long one takes.
    assert depths == ([True, True, True, False] if took < 10 else [True])
    assert (found.partial, found.stopped) == (True, "time")
    n_functions = whole.completeness.n_found
    assert n_functions == 4
    n_left = n_functions - len(different(found))
    assert f"{n_left} of {n_functions} functions found, not classified" in found.skipped
    assert took > 10 or f"the analysis of 1 of {n_functions} points as points of the function space" in found.skipped
    assert [point.loss for point in found] == [point.loss for point in whole][: len(found)]


def test_interrupted(problem: tuple[pc.QDistance, pc.Network]) -> None:
    seen = []

    def interrupt(done: int, intended: int, n_points: int) -> None:
        seen.append((done, intended, n_points))
        raise KeyboardInterrupt

    found = search(*problem, 100, progress=interrupt)
    assert (found.partial, found.stopped) == (True, "interrupted")
    assert seen == [(20, 100, len(different(found)))]


def test_budgets_by_themselves() -> None:
    budget = Budget(None, 100)
    assert budget.allowed(50, 20) == (5, 20)
    budget.spend(90)
    assert budget.allowed(50, 20) == (1, 10)
    assert not budget.should_stop()
    budget.spend(10)
    assert budget.should_stop()
    assert budget.stopped == "evaluations"


# --- bad input --------------------------------------------------------------------------------------------------------


def test_what_does_not_fit() -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    loss = noise(net, 0)
    with pytest.raises(ValueError, match="must have the basis and outputs of the loss"):
        pc.critical_points(loss, pc.MLP((2, 2, 1), activation=3))
    with pytest.raises(ValueError, match="`n_starts`"):
        pc.critical_points(loss, net, 0)
    with pytest.raises(ValueError, match="no closed form is known"):
        pc.critical_points(loss, net, method="closed_form")
    with pytest.raises(ValueError, match="`tol` must be positive"):
        pc.critical_points(loss, net, tol=0)
    with pytest.raises(TypeError, match="`net` must be a polycore network"):
        pc.critical_points(loss, 5)  # type: ignore[arg-type]


# --- starts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "net", [pc.MLP((3, 4, 2, 2), activation=3), pc.CNN((2, 2, 2), activation=2), pc.MLP((2, 3, 1), 2, bias=True)]
)
def test_balancing(net: pc.Network) -> None:
    """The function stays; ‖in‖² = r‖out‖² at every unit; it is the least norm that scalings of units can make."""
    units, theta = hidden_units(net), net.random_params(rng=1, batch=3) * [[1.0], [30.0], [0.01]]
    balanced = balance(units, theta)
    coef = net.expand(theta)
    assert (np.abs(net.expand(balanced) - coef) <= 1e-9 * np.abs(coef).max(axis=(1, 2), keepdims=True)).all()
    for unit in units:
        assert unit.power is not None
        before, after = (np.sum(balanced[:, part] ** 2, axis=1) for part in (unit.before, unit.after))
        np.testing.assert_allclose(before, unit.power * after, rtol=1e-8)
    assert (np.linalg.norm(balanced, axis=1) <= np.linalg.norm(theta, axis=1) * (1 + 1e-12)).all()
    np.testing.assert_allclose(balance(units, balanced), balanced, rtol=1e-9)


def test_silent_units_stay_as_they_are() -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    theta = np.array([[1.0, 2.0, 0.0, 0.0, 1.0, 5.0], [1e-7, 0.0, 1.0, 1.0, 1e-7, 1.0]])
    units = hidden_units(net)
    np.testing.assert_array_equal(balance(units, theta)[0, [2, 3, 5]], [0.0, 0.0, 5.0])
    off = without_faint_units(units, balance(units, theta), 1.0)
    np.testing.assert_array_equal(off[0, [2, 3, 5]], [0.0, 0.0, 5.0])
    np.testing.assert_array_equal(off[1, [0, 1, 4]], 0.0)
    assert off[1, [2, 3, 5]].all()


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_natural_scale(size: float) -> None:
    net = pc.MLP((2, 3, 1), activation=3)
    loss = pc.QDistance.from_metric("identity", np.full((1, 4), size / 2), net.basis)
    scale = natural_scale(loss, net, np.random.default_rng(0))
    sizes = np.linalg.norm(net.expand(scale * net.random_params(rng=1, batch=500))[:, 0], axis=1)
    assert size / 4 < np.median(sizes) < 4 * size


def test_any_number_of_starts_fits_in_a_budget() -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    rng = np.random.default_rng(0)
    loss = pc.QDistance.from_data(rng.normal(size=(40, 2)), rng.normal(size=(40, 1)), net.basis)
    found = pc.critical_points(loss, net, n_starts=10**12, max_evaluations=2000)
    assert (found.partial, found.stopped) == (True, "evaluations")
    assert found.n_evaluations < 4000


def test_losses_in_operator_mode() -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 2)), rng.normal(size=(40, 1)), net.basis
    by_products, dense = (
        pc.critical_points(pc.QDistance.from_data(*data, dense=dense), net, n_starts=20) for dense in (False, True)
    )
    losses = [sorted({float(f"{point.loss:.6g}") for point in found}) for found in (by_products, dense)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("inputs", "targets"), [(1e-50, 1e-100), (1.0, 1e100), (1e50, 1e100)])
def test_losses_whose_squares_do_not_fit_are_refused(inputs: float, targets: float) -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 2)), rng.normal(size=(20, 1))
    loss = pc.QDistance.from_data(inputs * x, targets * y, net.basis)
    with pytest.raises(pc.NumericalError, match="`loss` must be of a size between"):
        search(loss, net)
