# SPDX-License-Identifier: BSD-3-Clause
"""Where closest functions lie, against problems with an answer in closed form and probabilities that are known."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

import polycore as pc
from polycore import Share, _bias_spaces


def symmetric(coef: Any) -> Any:
    """The symmetric matrices of ternary quadratic forms, coefficients of x², xy, xz, y², yz, z²."""
    result = np.zeros((*coef.shape[:-1], 3, 3))
    for at, (i, j) in enumerate([(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]):
        result[..., i, j] += coef[..., at] / 2
        result[..., j, i] += coef[..., at] / 2
    return result


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("n", [1, 7, 200])
def test_intervals_by_their_definition(n: int, confidence: float) -> None:
    # Each end is the probability with which so many, or so few, still occur with probability (1 − confidence) / 2.
    tail = (1 - confidence) / 2
    for k in range(0, n + 1, max(1, n // 7)):
        share = Share.of(k, n, confidence)
        assert share.fraction == k / n
        assert share.low <= share.fraction <= share.high
        if k:
            assert stats.binom.sf(k - 1, n, share.low) == pytest.approx(tail, rel=1e-8)
        if k < n:
            assert stats.binom.cdf(k, n, share.high) == pytest.approx(tail, rel=1e-8)
    assert (Share.of(0, n, confidence).low, Share.of(n, n, confidence).high) == (0.0, 1.0)
    assert math.isnan(Share.of(0, 0, confidence).fraction)


def test_distances_of_quadratic_networks_are_those_of_low_rank_approximation() -> None:
    # Eckart–Young for symmetric matrices: all but the two eigenvalues of largest modulus are lost.
    found = pc.bias(pc.MLP((3, 2, 1), activation=2), "bombieri_weyl", n_samples=30, rng=1, training=False)
    eigenvalues = np.sort(np.abs(np.linalg.eigvalsh(symmetric(found.targets[:, 0]))))
    np.testing.assert_allclose(found.losses, eigenvalues[:, 0] ** 2, rtol=1e-7, atol=1e-9)
    assert found.fractions == {"smooth": 1.0, "widths (3, 1, 1)": 0.0}
    assert found.uncertain == 0


def test_distances_of_linear_networks_are_those_of_low_rank_approximation() -> None:
    found = pc.bias(pc.MLP((3, 2, 4), activation=1), "identity", n_samples=20, rng=2, training=False)
    lost = np.linalg.svd(found.targets, compute_uv=False)[:, 2:]
    np.testing.assert_allclose(found.losses, (lost**2).sum(axis=1), rtol=1e-7, atol=1e-9)
    assert found["smooth"].closest.count == 20


def test_sums_of_two_cubes() -> None:
    # A binary cubic is a sum of two cubes of real linear forms if it has one real root, and not even a limit of such
    # if it has three; then the closest limit has a double root and takes infinite weights. With Bombieri–Weyl Gaussian
    # coefficients √3 roots are real on average (Edelman, Kostlan, Bull. AMS 32 (1995) 1–37): P(three) = (√3 − 1) / 2.
    found = pc.bias(pc.MLP((2, 2, 1), activation=3), "bombieri_weyl", n_samples=25, rng=3, training=False)
    for target, cell in zip(found.targets[:, 0], found.cells):
        n_real = int((np.abs(np.roots(target).imag) < 1e-9).sum())
        assert cell in (("smooth",) if n_real == 1 else ("not attained", "undecided"))
    share = found["not attained"].closest
    assert share.low <= (3**0.5 - 1) / 2 <= share.high
    assert found["widths (2, 1, 1)"].closest.count == 0
    np.testing.assert_allclose(found.losses[[cell == "smooth" for cell in found.cells]], 0.0, atol=1e-9)


def test_smaller_fully_connected_networks_have_critical_points_for_all_targets() -> None:
    # A unit without weights has no gradient; Shahverdi, Marchetti, Kohn 2025.
    found = pc.bias(pc.MLP((2, 2, 2, 1), activation=2), "bombieri_weyl", n_samples=6, rng=4, training=False)
    assert {row.name for row in found.rows[1:]} == {"widths (2, 1, 2, 1)", "widths (2, 2, 1, 1)"}
    for row in found.rows[1:]:
        assert row.critical is not None
        assert (row.closest.count, row.critical.count) == (0, 6)


@pytest.mark.parametrize("power", [2, 3])
def test_training_of_one_weight_after_another_ends_at_zero_as_often_as_signs_say(power: int) -> None:
    # With f = v wʳ x^r, h = w² − r v² is conserved. If h > 0, v takes all values and f gets to the target. Else v keeps
    # its sign, and if f has the wrong one, w stops at 0: for half of all targets.
    net = pc.MLP((1, 1, 1), activation=power)
    found = pc.bias(net, "identity", n_samples=60, rng=13, n_starts=3)
    w, v = net.random_params(rng=14, batch=(200_000,)).T
    zero, smooth = found["zero"].trained, found["smooth"].trained
    assert zero is not None
    assert smooth is not None
    assert zero.low <= np.mean(w**2 < power * v**2) / 2 <= zero.high
    assert zero.count + smooth.count == 60
    assert found["smooth"].closest.count == 60


def test_training_of_fully_connected_networks_ends_on_smaller_ones() -> None:
    # Eigenvalues of the residual of one sign: the unit whose weight before the output has the wrong sign is lost.
    found = pc.bias(pc.MLP((2, 2, 1), activation=2), "bombieri_weyl", n_samples=25, rng=15)
    row = found["widths (2, 1, 1)"]
    assert row.trained is not None
    assert row.trained.low > 0
    assert row.closest.count == 0
    assert "training ends there" in repr(found)


@pytest.mark.parametrize(
    "net",
    [pc.CNN((2, 2), activation=2), pc.CNN((3, 2), activation=2, stride=2), pc.CNN((3, 2, 2), activation=2)],
    ids=repr,
)
def test_convolutions_have_no_bias(net: pc.Network) -> None:
    found = pc.bias(net, "bombieri_weyl", n_samples=15)
    assert found["smooth"].closest.count == 15
    for row in found.rows[1:]:
        assert row.closest.count == 0
        assert row.critical is None or row.critical.count == 0
        assert row.trained is not None
        assert row.trained.count == 0 or row.name == "zero"


@pytest.mark.parametrize(
    ("net", "name"),
    [
        (pc.MLP((2, 2, 1), activation=3), "widths (2, 1, 1)"),
        (pc.MLP((3, 3, 1), activation=3), "widths (3, 1, 1)"),
        (pc.MLP((3, 3, 1), activation=3), "widths (3, 2, 1)"),
        (pc.CNN((3, 2), activation=3), "places of W1: 1, places of W2: 0"),
    ],
)
def test_functions_of_smaller_networks_are_recognised(net: pc.Network, name: str) -> None:
    space = {stratum_name(s, net): s for s in pc.subnetworks(net)}
    stratum = space[name]
    rng = np.random.default_rng(6)
    targets = [net.expand(stratum.embed(rng.uniform(0.5, 1.5, stratum.n_params))) for _ in range(3)]
    found = pc.bias(net, "bombieri_weyl", targets=targets, rng=1, training=False)
    assert found.n_samples == 3
    np.testing.assert_allclose(found.losses, 0.0, atol=1e-12)
    names = {name} if not name.startswith("places") else {row.name for row in found.rows if row.closest.count}
    assert set(found.cells) == names
    for cell in set(found.cells):
        assert found[cell].dimension == stratum.dimension


def stratum_name(stratum: pc.Stratum, net: pc.Network) -> str:
    if isinstance(stratum.network, pc.MLP):
        return f"widths {stratum.network.widths}"
    places = [
        f"{part.name}: {size[0][0]}" for part, size in zip(stratum.parts, stratum.sizes) if size[0][1] - size[0][0] == 1
    ]
    return ", ".join(places)


CUSP = pc.Parametrisation(pc.MonomialBasis(1, 3), [[0, 0, -1, 0], [0, 0, 0, 1]])  # t ↦ (−t², t³)
CUSP_CURVE = pc.Variety(pc.MonomialBasis(2, 3), [[0, 0, 0, 0, 0, 1, 1, 0, 0, 0]])  # x³ + y² = 0


def least_gap(u: Any) -> float:
    """The least t⁴ + t² − 2 u₂ t + 2 u₁, the squared distance less that of the cusp, over t²; convex in t."""
    (t,) = (root.real for root in np.roots([4.0, 0.0, 2.0, -2.0 * u[1]]) if abs(root.imag) < 1e-9)
    return float(t**4 + t**2 - 2 * u[1] * t + 2 * u[0])


@pytest.mark.parametrize(("model", "n"), [(CUSP, 60), (CUSP_CURVE, 10)], ids=["parametrised", "implicit"])
def test_the_cusp_attracts_its_voronoi_cell(model: Any, n: int) -> None:
    found = pc.bias(model, None, n_samples=n, rng=9)
    for u, cell in zip(found.targets, found.cells):
        assert cell == ("singular" if least_gap(u) >= 0 else "smooth")
    # The cell is bounded by ((3t⁴ + t²)/2, 2t³ + t); its Gaussian measure is an integral over the second coordinate.
    t = np.linspace(-4.0, 4.0, 200_001)
    density = stats.norm.pdf(2 * t**3 + t) * stats.norm.sf((3 * t**4 + t**2) / 2) * (6 * t**2 + 1)
    share = found["singular"].closest
    assert share.low <= float(np.sum(density) * (t[1] - t[0])) <= share.high


def test_the_boundary_of_the_cell_of_the_cusp() -> None:
    t = np.linspace(-1.5, 1.5, 12)
    expected = np.stack([(3 * t**4 + t**2) / 2, 2 * t**3 + t], axis=1)
    np.testing.assert_allclose(pc.voronoi_boundary(CUSP, 0.0, t), expected, rtol=1e-9)
    for u in expected:
        assert abs(least_gap(u)) < 1e-12
        inside, outside = pc.bias(CUSP, None, targets=u + np.array([[1e-3, 0.0], [-1e-3, 0.0]])).cells
        assert (inside, outside) == ("singular", "smooth")


def test_the_boundary_in_another_metric() -> None:
    gram = np.array([[2.0, 0.5], [0.5, 1.0]])
    t = np.array([-0.7, 0.4, 1.1])
    for u, s in zip(pc.voronoi_boundary(CUSP, 0.0, t, gram), t):
        distance = CUSP.objective(u, gram)
        assert distance.value([s]) == pytest.approx(distance.value([0.0]), rel=1e-12)
        np.testing.assert_allclose(distance.gradient([s]), 0.0, atol=1e-12)


def test_sums_of_two_squares_attract_what_is_not_positive() -> None:
    # (ax + by)² + (cx + dy)²: the symmetric 2 × 2 matrices with eigenvalues >= 0, singular where one is 0. Of Gaussian
    # ones in the Frobenius norm both are positive with probability (2 − √2) / 4; the distance is the negative part.
    squares = pc.Parametrisation(
        pc.MonomialBasis(4, 2, homogeneous=True),
        [[1, 0, 0, 0, 0, 0, 0, 1, 0, 0], [0, 2, 0, 0, 0, 0, 0, 0, 2, 0], [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]],
    )
    found = pc.bias(squares, np.diag([1.0, 0.5, 1.0]), n_samples=6, rng=10)
    matrices = np.array([[[x, y / 2], [y / 2, z]] for x, y, z in found.targets])
    eigenvalues = np.linalg.eigvalsh(matrices)
    np.testing.assert_allclose(found.losses, (np.minimum(eigenvalues, 0.0) ** 2).sum(axis=1), rtol=1e-6, atol=1e-9)
    assert found.cells == tuple("smooth" if e[0] > 0 else "singular" for e in eigenvalues)
    assert found["smooth"].closest.low <= (2 - 2**0.5) / 4 <= found["smooth"].closest.high


def test_gaussian_targets_are_standard_normal_in_the_metric() -> None:
    # ‖u‖²_Q is χ² with as many degrees of freedom as Q has rank, for each output.
    gram = pc.metrics.random_semidefinite(6, 4, rng=1)
    net = pc.MLP((3, 1, 2), activation=2)
    found = pc.bias(net, gram, n_samples=60, rng=7, n_starts=1, training=False)
    squares = np.einsum("soa,ab,sob->s", found.targets, gram, found.targets)
    assert stats.kstest(squares, stats.chi2(8).cdf).pvalue > 1e-3
    joint = pc.bias(net, np.kron(np.eye(2), gram), n_samples=5, rng=7, n_starts=1, training=False)
    assert joint.targets.shape == (5, 2, 6)


def test_the_seed_decides_and_threads_do_not() -> None:
    net = pc.MLP((2, 2, 1), activation=3)
    one = pc.bias(net, "bombieri_weyl", n_samples=4, rng=8, n_threads=1, n_starts=8)
    two = pc.bias(net, "bombieri_weyl", n_samples=3, rng=8, n_threads=2, n_starts=8)
    np.testing.assert_array_equal(one.targets[:3], two.targets)
    np.testing.assert_array_equal(one.losses[:3], two.losses)
    assert one.cells[:3] == two.cells
    again = pc.bias(net, "bombieri_weyl", n_samples=1, rng=np.random.default_rng(1), n_starts=2, training=False)
    repeated = pc.bias(net, "bombieri_weyl", n_samples=1, rng=again.seed, n_starts=2, training=False)
    np.testing.assert_array_equal(again.targets, repeated.targets)


def test_targets_of_a_users_own() -> None:
    net = pc.MLP((2, 1, 1), activation=2)
    found = pc.bias(net, "bombieri_weyl", 4, rng=1, targets=lambda rng: [1.0, 0.0, rng.uniform(0.1, 0.5)])
    np.testing.assert_allclose(found.losses, found.targets[:, 0, 2] ** 2, rtol=1e-9)
    loss = pc.QDistance.from_metric("bombieri_weyl", [5.0, 1.0, 1.0], net.basis)
    same = pc.bias(net, loss, targets=found.targets, rng=1)
    np.testing.assert_allclose(same.losses, found.losses, rtol=1e-9)
    with pytest.raises(ValueError, match="`targets`"):
        pc.bias(net, "bombieri_weyl", targets=lambda rng: [1.0, 2.0])


def test_a_metric_on_the_monomials_that_occur() -> None:
    # Those that do not occur cost nothing, and targets have none of them.
    net = pc.CNN((2, 2), activation=2, n_inputs=4)
    n = len(net.support)
    assert n < len(net.basis)
    at = [net.basis.index(exponent) for exponent in net.support.exponents]
    found = pc.bias(net, np.eye(n), n_samples=3, rng=11)
    others = np.delete(found.targets, at, axis=-1)
    assert (others == 0).all()
    whole = pc.bias(net, "identity", targets=found.targets, rng=11)
    np.testing.assert_allclose(found.losses, whole.losses, rtol=1e-9)
    rows = np.random.default_rng(0).normal(size=(40, 4))
    loss = pc.QDistance.from_data(rows, np.ones((40, net.n_outputs)), net.support)
    assert pc.bias(net, loss, n_samples=1).n_samples == 1
    joint = pc.bias(net, np.eye(net.n_outputs * n), n_samples=2, rng=12)
    assert (np.delete(joint.targets, at, axis=-1) == 0).all()


def test_stops() -> None:
    net = pc.MLP((2, 1, 1), activation=2)
    nothing = pc.bias(net, "identity", 5, time_budget=0.0)
    assert (nothing.n_samples, nothing.stopped, nothing.partial) == (0, "time", True)
    assert math.isnan(nothing["smooth"].closest.fraction)
    seen = []

    def interrupted(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    cut = pc.bias(net, "identity", 5, progress=interrupted)
    assert (cut.n_samples, cut.stopped, seen) == (2, "interrupted", [(1, 5), (2, 5)])
    assert "interrupted" in repr(cut)


def test_what_it_says() -> None:
    found = pc.bias(pc.MLP((2, 1, 1), activation=2), "bombieri_weyl", n_samples=10)
    assert repr(found).splitlines()[0] == "MLP((2, 1, 1), activation=2): closest points of 10 targets"
    assert "smooth  2          1.000 [0.692, 1.000]" in repr(found)
    assert "training" not in repr(pc.bias(pc.MLP((2, 1, 1), activation=2), "identity", n_samples=1, training=False))
    with pytest.raises(KeyError, match="no stratum is called 'rough'"):
        found["rough"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "MLP"),
        ("metric", None),
        ("metric", np.diag([1.0, -1.0, 1.0])),
        ("metric", np.eye(4)),
        ("metric", "manhattan"),
        ("n_samples", 0),
        ("n_starts", 0),
        ("confidence", 1.0),
        ("training", 1),
        ("targets", np.ones((2, 1, 4))),
        ("progress", 5),
    ],
)
def test_bad_input(name: str, value: Any) -> None:
    arguments: dict[str, Any] = {"model": pc.MLP((2, 2, 1), activation=2), "metric": "identity", "n_samples": 2}
    with pytest.raises((TypeError, ValueError), match=f"`{name}`"):
        pc.bias(**{**arguments, name: value})


def test_bad_input_of_models() -> None:
    for metric in ("identity", np.eye(3), -np.eye(2)):
        with pytest.raises((TypeError, ValueError), match=r"`(metric|Q)`"):
            pc.bias(CUSP, metric, 2)
    with pytest.raises(ValueError, match="`targets`"):
        pc.bias(CUSP, None, targets=np.ones((2, 3)))
    with pytest.raises(ValueError, match="`t`"):
        pc.voronoi_boundary(CUSP, 0.0, [1.0, 0.0])
    with pytest.raises(ValueError, match="`Q`"):
        pc.voronoi_boundary(CUSP, 0.0, [1.0], np.ones((2, 2)))
    surface = pc.Parametrisation(pc.MonomialBasis(2, 1), [[0, 1, 0], [0, 0, 1]])
    for model in (CUSP_CURVE, surface):
        with pytest.raises((TypeError, ValueError), match="`model`"):
            pc.voronoi_boundary(model, 0.0, [1.0])


def test_an_interrupt_while_training_stops_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradient flow returns what it has when it is interrupted: that is no answer here."""
    monkeypatch.setattr(_bias_spaces, "gradient_flow", lambda *args, **more: SimpleNamespace(ended="interrupted"))
    assert pc.bias(pc.MLP((2, 1, 1), 2), "identity", 20).stopped == "interrupted"
