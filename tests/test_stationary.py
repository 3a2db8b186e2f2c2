# SPDX-License-Identifier: BSD-3-Clause
"""Searches of stationary points: against closed forms, the reference against the core, and every way to end."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import _backend
from polycore.errors import NumericalError
from polycore.stationary import METHODS, Search, _rows, _search_reference, _untouched, search

Vector = Any


def problem(net: Any, seed: int, n_samples: int = 60) -> Any:
    """A network and noisy data that another function made."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_samples, net.n_inputs))
    y = net.evaluate(net.random_params(rng=rng), x) + 0.3 * rng.standard_normal((n_samples, net.n_outputs))
    return pc.QDistance.from_data(x, y, net.basis).compose(net)


def reference(objective: Any, starts: Vector, method: str, index: int = 0, max_steps: int = 200) -> Search:
    result = _untouched(starts)
    upwards = np.full(len(starts), index if method == "index" else 0)
    _search_reference(objective, method, 1e-10, max_steps, upwards, _rows(result, slice(None)))
    return Search(method, 1e-10, *result)


def kwargs(method: str, index: int = 1) -> dict[str, int]:
    return {"index": index} if method == "index" else {}


class Saddle:
    """½ Σ s_i x_i² + Σ x_i⁴ / 4 with signs s: stationary points of every index in closed form."""

    def __init__(self, signs: list[float]) -> None:
        self.signs = np.array(signs)
        self.n_params = len(signs)
        self.largest_batch = 0

    def value_and_gradient(self, theta: Vector) -> tuple[Vector, Vector]:
        self.largest_batch = max(self.largest_batch, len(theta))
        with np.errstate(over="ignore", invalid="ignore"):
            value = (0.5 * self.signs * theta**2 + 0.25 * theta**4).sum(-1)
        if not np.isfinite(value).all():
            raise NumericalError("overflow")
        return value, self.signs * theta + theta**3

    def hessian(self, theta: Vector) -> Vector:
        return np.eye(self.n_params) * (self.signs + 3.0 * theta**2)[..., None]

    def gradient_scale(self, theta: Vector) -> Vector:
        return 1.0 + np.abs(theta).sum(-1) + (np.abs(theta) ** 3).sum(-1)


# -- what is found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 2, 4), (2, 1, 2), (4, 3, 3)])
def test_linear_networks_have_the_critical_values_of_eckart_and_young(shape: tuple[int, int, int]) -> None:
    net = pc.MLP(shape, activation=1)
    rng = np.random.default_rng(1)
    target = rng.standard_normal((shape[2], shape[0]))
    objective = pc.QDistance.from_metric("identity", target, net.basis).compose(net)
    squares = np.linalg.svd(target, compute_uv=False) ** 2
    rank = min(shape)
    left_out = [sum(set_of) for k in range(rank + 1) for set_of in itertools.combinations(squares, len(squares) - k)]
    starts = net.random_params(rng=2, batch=(400,))
    descent = search(objective, starts, "descent")
    assert descent.converged.all()
    np.testing.assert_allclose(descent.value, min(left_out), rtol=1e-12, atol=1e-13 * squares.sum())
    every = search(objective, starts, "stationary")
    distances = np.abs(every.value[every.converged][:, None] - np.array(left_out))
    assert distances.min(axis=1).max() < 1e-11 * squares.sum()
    assert (distances.min(axis=0) < 1e-11 * squares.sum()).all(), "a critical value was not found"


def test_every_method_finds_points_of_its_own_kind() -> None:
    objective = Saddle([-1.0, -4.0, 3.0, -9.0])  # no two equal eigenvalues at its stationary points
    starts = np.random.default_rng(3).standard_normal((64, 4)) * 3.0
    for method, index in [("descent", 0), ("stationary", 0), ("newton", 0), *(("index", k) for k in range(4))]:
        found = search(objective, starts, method, **kwargs(method, index))
        theta = found.theta[found.converged]
        assert len(theta) >= 3
        # x_i = 0 or ±√−s_i.
        roots = np.sqrt(np.maximum(-objective.signs, 0.0))
        assert np.minimum(np.abs(theta), np.abs(np.abs(theta) - roots)).max() < 1e-9
        negative = (objective.signs + 3 * theta**2 < 0).sum(axis=1)
        if method in ("descent", "index"):
            assert (negative == index).all()
        else:
            assert set(negative) == {0, 1, 2, 3}


def test_gradients_fall_to_rounding_level_whatever_the_tolerance() -> None:
    net = pc.MLP((3, 2, 2), activation=2)
    objective = problem(net, 4)
    found = search(objective, net.random_params(rng=5, batch=(50,)), "descent", tol=1e-7)
    ratio = (found.gradient_norm / np.maximum(found.scale, 1e-300))[found.converged]
    assert len(ratio) > 10
    # Rounding of sums of a few dozen terms; a minimum on the way to infinity may be degenerate.
    assert np.median(ratio) < 1e-15
    assert (ratio < 1e-14).mean() > 0.9


@pytest.mark.parametrize("net", [pc.MLP((3, 2, 1), activation=2), pc.MLP((2, 2, 2), activation=3)])
def test_newton_steps_converge_quadratically_across_fibres(net: Any) -> None:
    # (3, 2, 1) with r = 2 has a rotation besides the scalings: the dimension of the fibre is not that of the list.
    objective = problem(net, 6)
    minimum = search(objective, net.random_params(rng=7, batch=(40,)), "descent")
    best = minimum.theta[minimum.converged][np.argmin(minimum.value[minimum.converged])]
    nullity = (np.abs(np.linalg.eigvalsh(objective.hessian(best))) < 1e-9 * np.abs(objective.hessian(best)).max()).sum()
    assert nullity >= 2
    rng = np.random.default_rng(8)
    beside = best + 1e-4 * rng.standard_normal((20, len(best)))
    found = search(objective, beside, "newton")
    assert found.converged.all()
    assert found.n_steps.max() <= 6
    assert (found.gradient_norm < 1e-14 * found.scale).all()
    # The nearest point of the fibre, not another one.
    assert np.linalg.norm(found.theta - beside, axis=1).max() < 1e-2


def test_exact_stationary_points_are_left_where_they_are() -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    objective = problem(net, 9)
    for method in METHODS:
        found = search(objective, np.zeros((2, net.n_params)), method, **kwargs(method))
        assert found.converged.all()
        assert not found.n_steps.any()
        assert not found.theta.any()


def test_dead_units_are_found_exactly_where_the_scale_vanishes_with_the_gradient() -> None:
    net = pc.MLP((2, 1, 1), activation=2)
    objective = pc.QDistance.from_metric("identity", [1.0, 0.0, 1.0], net.basis).compose(net)
    theta = np.array([[1e-3, 1e-3, -1e-1]])  # the output weight has the wrong sign: down is towards 0
    found = search(objective, theta, "stationary")
    assert found.converged.all()
    assert not found.theta[:, :2].any()  # with W1 = 0 the output weight does not matter


# -- what is not found ------------------------------------------------------------------------------------------------


def test_an_infimum_that_is_not_attained_is_not_reported() -> None:
    # x²y is a limit of sums of two cubes, but is none.
    net = pc.MLP((2, 2, 1), activation=3)
    objective = pc.QDistance.from_metric("identity", [0.0, 1.0, 0.0, 0.0], net.basis).compose(net)
    found = search(objective, net.random_params(rng=10, batch=(50,)), "descent", max_steps=2000)
    assert not (found.converged & (found.value < 0.1)).any()
    assert (found.value < 0.1).any()


def test_overflow_ends_a_member_and_no_other() -> None:
    net = pc.MLP((2, 2, 1), activation=2)
    objective = problem(net, 11)
    starts = net.random_params(rng=12, batch=(5,))
    alone = search(objective, starts[[0, 4]], "descent")
    starts[1], starts[2], starts[3] = 1e200, 1e110, 1e60
    found = search(objective, starts, "descent")
    assert not found.converged[1]
    assert np.isnan(found.value[1])
    np.testing.assert_array_equal(found.theta[[0, 4]], alone.theta)
    own = Saddle([-1.0, 1.0])
    mixed = search(own, [[1e200, 0.0], [1.0, 1.0], [0.5, 2.0]], "descent")
    assert mixed.converged.tolist() == [False, True, True]


def test_members_stop_after_the_steps_they_are_given() -> None:
    net = pc.MLP((3, 3, 2), activation=2)
    objective = problem(net, 13)
    starts = net.random_params(rng=14, batch=(30,))
    for steps in (0, 1, 7):
        found = search(objective, starts, "descent", max_steps=steps)
        assert (found.n_steps[~found.converged] <= steps).all()
        assert np.isfinite(found.value).all()
    start = search(objective, starts, "descent", max_steps=0)
    np.testing.assert_array_equal(start.theta, starts)
    np.testing.assert_allclose(start.value, objective.value(starts), rtol=1e-13)
    np.testing.assert_allclose(start.gradient_norm, np.linalg.norm(objective.gradient(starts), axis=1), rtol=1e-13)
    np.testing.assert_allclose(start.scale, objective.gradient_scale(starts), rtol=1e-12)


def test_should_stop_is_asked_between_blocks() -> None:
    net = pc.MLP((2, 1, 1), activation=2)
    objective = problem(net, 15)
    starts = net.random_params(rng=16, batch=(1500,))
    answers = iter([False, True])
    found = search(objective, starts, "descent", should_stop=lambda: next(answers))
    assert found.stopped
    begun = found.n_steps > 0
    assert begun[:400].any()
    assert not begun[-400:].any()
    assert np.isnan(found.value[-1])
    np.testing.assert_array_equal(found.theta[-400:], starts[-400:])
    assert "stopped early" in repr(found)
    assert not search(objective, starts, "descent", should_stop=lambda: True).n_steps.any()


def test_an_interrupt_passes_through() -> None:
    class Interrupting(Saddle):
        def hessian(self, theta: Vector) -> Vector:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(Interrupting([1.0]), [[1.0]], "newton")


# -- the core and the reference ---------------------------------------------------------------------------------------

needs_core = pytest.mark.skipif(not _backend.available()["cpp"], reason="the compiled core is not here")

NETWORKS = [
    pc.MLP((3, 2, 2), activation=2),
    pc.MLP((2, 2, 1, 1), activation=2, bias=True),
    pc.MLP((2, 3, 1), activation=[0.0, 1.0, 1.0]),
    pc.CNN((2, 2), activation=2),
    pc.LightningAttention(d_model=2, d_key=1, d_out=1, n_tokens=2),
]


@needs_core
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_the_core_follows_the_reference(net: Any, method: str) -> None:
    if _backend.name() != "cpp":
        pytest.skip("another backend was chosen")
    objective = problem(net, 17)
    starts = net.random_params(rng=18, batch=(40,))
    # Few steps lead to the same points up to rounding.
    ours = search(objective, starts, method, max_steps=6, **kwargs(method))
    theirs = reference(objective, starts, method, index=1, max_steps=6)
    close = np.abs(ours.theta - theirs.theta).max(axis=1) <= 1e-6 * np.abs(theirs.theta).max(axis=1)
    assert close.mean() >= 0.9
    np.testing.assert_allclose(ours.value[close], theirs.value[close], rtol=1e-5, atol=1e-9)
    # Many steps may amplify it; most searches still end at the same point.
    ours = search(objective, starts, method, **kwargs(method))
    theirs = reference(objective, starts, method, index=1)
    same = (ours.converged == theirs.converged) & (
        ~ours.converged | (np.abs(ours.value - theirs.value) <= 1e-8 * (1.0 + np.abs(theirs.value)))
    )
    assert same.mean() >= 0.75


def test_joint_metrics_and_supports_are_searched_too() -> None:
    net = pc.MLP((2, 2, 2), activation=2)
    rng = np.random.default_rng(19)
    n = 2 * net.basis.n_monomials
    metric = pc.metrics.random_semidefinite(n, rng=rng)
    target = net.expand(net.random_params(rng=rng)) + 0.1 * rng.standard_normal((2, n // 2))
    objective = pc.QDistance.from_metric(metric, target, net.basis).compose(net)
    starts = net.random_params(rng=20, batch=(60,))
    ours, theirs = search(objective, starts, "descent"), reference(objective, starts, "descent")
    assert ours.converged.mean() > 0.5
    assert (np.abs(ours.value - theirs.value) < 1e-7).mean() > 0.75
    assert min(ours.value) == pytest.approx(min(theirs.value), rel=1e-9)

    cnn = pc.CNN((2, 2), activation=2)
    x, y = rng.standard_normal((50, cnn.n_inputs)), rng.standard_normal((50, 1))
    starts = cnn.random_params(rng=21, batch=(60,))
    values = [
        search(pc.QDistance.from_data(x, y, basis).compose(cnn), starts, "descent")
        for basis in (cnn.basis, cnn.support)
    ]
    sums = [
        s.value + pc.QDistance.from_data(x, y, b).constant
        for s, b in zip(values, (cnn.basis, cnn.support), strict=True)
    ]
    assert (np.abs(sums[0] - sums[1]) < 1e-8 * sums[0]).mean() > 0.9


def test_results_do_not_depend_on_threads_or_company() -> None:
    net = pc.MLP((3, 2, 2), activation=2)
    objective = problem(net, 22)
    starts = net.random_params(rng=23, batch=(300 if _backend.name() == "cpp" else 40,))
    for method in METHODS:
        one = search(objective, starts, method, n_threads=1, **kwargs(method))
        two = search(objective, starts, method, n_threads=2, **kwargs(method))
        for name in ("theta", "value", "gradient_norm", "scale", "converged", "n_steps"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        if _backend.name() == "cpp":
            part = search(objective, starts[100:137], method, **kwargs(method))
            np.testing.assert_array_equal(part.theta, one.theta[100:137])


def test_an_objective_of_ones_own_is_called_in_batches() -> None:
    objective = Saddle([1.0, 2.0])
    search(objective, np.ones((100, 2)), "newton")
    assert objective.largest_batch > 1


# -- arguments and results --------------------------------------------------------------------------------------------


def test_results_have_a_summary_and_can_be_pickled() -> None:
    net = pc.MLP((2, 1, 1), activation=2)
    objective = problem(net, 24)
    found = search(objective, net.random_params(rng=25, batch=(4,)), "descent")
    assert repr(found).startswith(f"Search('descent', tol=1e-10): {found.converged.sum()} of 4 converged")
    assert len(found) == 4
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.theta, found.theta)
    none = search(objective, np.empty((0, net.n_params)), "descent")
    assert len(none) == 0
    assert "0 of 0" in repr(none)


def test_starts_are_not_written_to() -> None:
    net = pc.MLP((2, 1, 1), activation=2)
    starts = net.random_params(rng=26, batch=(4,))
    before = starts.copy()
    search(problem(net, 27), starts, "stationary")
    np.testing.assert_array_equal(starts, before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "upwards"}, ValueError, "`method`"),
        ({"starts": np.ones((2, 3))}, ValueError, r"`starts` must have shape \(B, n_params=4\)"),
        ({"starts": np.ones(4)}, ValueError, "`starts`"),
        ({"starts": [[1.0, 2.0, np.nan, 1.0]]}, ValueError, "`starts`"),
        ({"starts": [[1j, 2.0, 1.0, 1.0]]}, TypeError, "`starts`"),
        ({"tol": 0.0}, ValueError, "`tol`"),
        ({"tol": np.nan}, ValueError, "`tol`"),
        ({"tol": "small"}, TypeError, "`tol`"),
        ({"max_steps": -1}, ValueError, "`max_steps`"),
        ({"max_steps": 1.5}, TypeError, "`max_steps`"),
        ({"n_threads": -2}, ValueError, "`n_threads`"),
        ({"index": 1}, ValueError, "`index` is for method 'index'"),
        ({"method": "index"}, ValueError, "`index` must be given"),
        ({"method": "index", "index": 5}, ValueError, "`index`"),
        ({"method": "index", "index": [0, 1, 2]}, ValueError, r"`index`.*\(B=2,\)"),
        ({"method": "index", "index": [0, -1]}, ValueError, "`index`"),
        ({"method": "index", "index": [0.5, 1.0]}, ValueError, "`index`"),
        ({"objective": 3}, TypeError, "`objective` must have n_params"),
    ],
)
def test_bad_arguments_are_refused_by_name(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {
        "objective": Saddle([1.0, 1.0, -1.0, 1.0]),
        "starts": np.ones((2, 4)),
        "method": "descent",
    }
    arguments |= change
    with pytest.raises(error, match=message):
        search(**arguments)
