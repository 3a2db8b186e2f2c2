# SPDX-License-Identifier: BSD-3-Clause
"""Points with something planted in them, against exact ranks of exact Jacobians; verdicts against known geometry."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest

import polycore as pc

Array = np.ndarray[Any, np.dtype[Any]]


def rational_rank(matrix: Array) -> int:
    """Rank over the rationals, by python-flint."""
    entries = [[flint.fmpq(int(Fraction(x).numerator), int(Fraction(x).denominator)) for x in row] for row in matrix]
    return int(flint.fmpq_mat(entries).rank()) if matrix.size else 0


def integers(shape: int | tuple[int, ...], rng: np.random.Generator, size: int = 9) -> Array:
    """Non-zero integers, dtype object."""
    numbers = rng.integers(1, size + 1, shape) * (2 * rng.integers(0, 2, shape) - 1)
    return np.asarray(numbers).astype(object)


def exact_functions_agree(net: pc.Network, theta: Any, sub: pc.Network, sub_theta: Any) -> bool:
    left, right = (n.expand(t, dtype=object) for n, t in ((net, theta), (sub, sub_theta)))
    return bool((left == right).all())


def check(net: pc.Network, theta: Array) -> pc.PointAnalysis:
    """What holds of every analysis of exact parameters."""
    found = pc.analyze_point(net, theta)
    assert found.rank == rational_rank(net.jacobian(theta, dtype=object))
    assert found.generic_rank == pc.dimension(net).dimension
    assert found.rank_drop == found.generic_rank - found.rank
    assert found.kernel_dimension == net.n_params - found.rank
    low, high = found.fibre_dimension
    assert net.n_params - found.generic_rank <= low <= high == found.kernel_dimension
    assert found.tolerance == found.residual == 0.0
    assert (found.theta == theta).all()
    if found.subnetwork is None:
        assert not found.inactive
        assert not found.redundant
        assert found.sub_theta is None
    else:
        assert found.sub_theta is not None
        assert found.sub_dimension is not None
        assert exact_functions_agree(net, theta, found.subnetwork, found.sub_theta)
        assert found.sub_dimension.dimension == pc.dimension(found.subnetwork).dimension <= found.generic_rank
        assert found.is_proper_subnetwork == (found.sub_dimension.dimension < found.generic_rank)
    assert repr(found).startswith(repr(net))
    return found


def pack(net: pc.Network, arrays: dict[str, Array]) -> Array:
    return np.asarray(net.pack({name: np.asarray(a, dtype=object) for name, a in arrays.items()}))


# -- planted in fully connected networks ------------------------------------------------------------------------------

# Of expected dimension: nothing is redundant unless it is planted, and then the rank drops.
NETS = [
    pc.MLP((3, 3, 2), 2),
    pc.MLP((2, 3, 2), 4),
    pc.MLP((3, 3, 3, 2), (2, 3)),
    pc.MLP((2, 3, 1), [0, 1, 0, 0, 0, 1]),
    pc.MLP((3, 3, 1), [1, 2, 0, 3], bias=True),
    pc.MLP((2, 3, 2, 2), ([2, -1, 3, 1], 3), bias=True),
    pc.MLP((2, 2, 2, 1), (3, [0, 1, 1]), bias=True),
]


@pytest.mark.parametrize("net", NETS, ids=repr)
def test_generic_points_report_nothing(net: pc.Network) -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        theta = integers(net.n_params, rng, 50)
        found = check(net, theta)
        assert found.rank_drop == 0
        assert found.subnetwork is None
        assert found.verdict != "singular"
        numerical = pc.analyze_point(net, theta.astype(float) / 7)
        assert numerical.rank == found.rank
        assert numerical.subnetwork is None
        assert numerical.margin > 1e3


@pytest.mark.parametrize("net", NETS, ids=repr)
@pytest.mark.parametrize("plant", ["silent", "constant", "equal"])
def test_a_planted_unit_is_found(net: pc.MLP, plant: str) -> None:
    rng = np.random.default_rng(2)
    for layer in range(1, len(net.widths) - 1):
        for _ in range(3):
            arrays = net.unpack(integers(net.n_params, rng, 99))
            unit, other = sorted(rng.permutation(net.widths[layer])[:2].tolist(), reverse=True)
            here, after = arrays[f"W{layer}"], arrays[f"W{layer + 1}"]
            if plant == "silent":
                after[:, unit] = 0
            elif plant == "constant":
                here[unit] = 0
                if not net.bias and any(net.activations[layer - 1].coefficients[:1]):
                    continue
            else:
                here[unit] = here[other]
                if net.bias:
                    arrays[f"b{layer}"][unit] = arrays[f"b{layer}"][other]
            found = check(net, pack(net, arrays))
            units = found.inactive if plant != "equal" else found.redundant
            assert len(found.inactive) + len(found.redundant) == 1
            assert (units[0].layer, units[0].unit, units[0].weights) == (layer, unit, f"W{layer}")
            assert units[0].kind == {"equal": "multiple"}.get(plant, plant)
            if plant == "equal":
                assert units[0].relation == ((other, 1),)
            widths = [w - (i == layer) for i, w in enumerate(net.widths)]
            smaller = pc.MLP(widths, tuple(net.activations), bias=net.bias)
            assert found.subnetwork == smaller
            assert found.rank_drop > 0


@pytest.mark.parametrize("sigma", [3, [2, 0, 0, 5], [Fraction(-8, 1), 12, -6, 1], [7, 4, 1]], ids=str)
def test_proportional_units_of_powers(sigma: Any) -> None:
    """c (z − a)^r + k takes every multiple about its centre a, where biases make up for a and k."""
    net = pc.MLP((2, 3, 2), (sigma,) if isinstance(sigma, list) else sigma, bias=True)
    coefficients = net.activations[0].numbers
    r, c = len(coefficients) - 1, Fraction(coefficients[-1])
    a = -Fraction(coefficients[-2]) / (r * c)
    k = Fraction(coefficients[0]) - c * (-a) ** r
    rng = np.random.default_rng(3)
    for t in (Fraction(-3), Fraction(2, 5)):
        arrays = net.unpack(integers(net.n_params, rng))
        arrays["W1"][2] = t * arrays["W1"][0]
        arrays["b1"][2] = t * (arrays["b1"][0] - a) + a
        found = check(net, pack(net, arrays))
        (unit,) = found.redundant
        assert (unit.unit, unit.kind, unit.relation) == (2, "multiple", ((0, t**r),))
        assert unit.constant == k * (1 - t**r)


def test_multiples_that_need_biases() -> None:
    """Without a bias after it, z² + 1 of twice a unit is no multiple; nor is (z + 1)² without one before."""
    theta = np.array([1, 2, 2, 4, 1, 1], dtype=object)
    assert pc.analyze_point(pc.MLP((2, 2, 1), 2), theta).redundant
    assert not pc.analyze_point(pc.MLP((2, 2, 1), ([1, 0, 1],)), theta).redundant
    assert not pc.analyze_point(pc.MLP((2, 2, 1), ([1, 2, 1],)), theta).redundant
    opposite = np.array([1, 2, -1, -2, 1, 3], dtype=object)
    (unit,) = check(pc.MLP((2, 2, 1), ([1, 0, 1],)), opposite).redundant
    assert unit.relation == ((0, 1),)
    (unit,) = check(pc.MLP((2, 2, 1), ([0, 1, 0, 2],)), opposite).redundant
    assert unit.relation == ((0, -1),)
    assert not check(pc.MLP((2, 2, 1), ([0, 1, 1],)), opposite).redundant


def test_units_that_depend_on_several_others() -> None:
    """x², y², (x + y)², (x − y)², and with a constant: x² + 1, y² + 1, …"""
    forms = np.array([[1, 0], [0, 1], [1, 1], [1, -1]], dtype=object)
    net = pc.MLP((2, 4, 1), 2)
    found = check(net, pack(net, {"W1": forms, "W2": np.array([[1, 2, 3, 5]])}))
    (unit,) = found.redundant
    assert (unit.unit, unit.kind) == (3, "dependent")
    assert dict(unit.relation) == {0: 2, 1: 2, 2: -1}
    layers = pc.Affine(4), pc.Activation([1, 0, 1]), pc.Affine(1, bias=True)
    shifted = pc.Sequential(*layers, n_inputs=2)
    found = check(shifted, np.array([*forms.reshape(-1), 1, 2, 3, 5, 7], dtype=object))
    (unit,) = found.redundant
    assert dict(unit.relation) == {0: 2, 1: 2, 2: -1}
    assert unit.constant == -2


def test_cascades() -> None:
    """With one unit left in the first layer, all of the second are multiples of each other."""
    net = pc.MLP((3, 2, 3, 2), 3)
    arrays = net.unpack(integers(net.n_params, np.random.default_rng(4)))
    arrays["W2"][:, 1] = 0
    found = check(net, pack(net, arrays))
    assert found.subnetwork == pc.MLP((3, 1, 1, 2), 3)
    assert [u.kind for u in found.inactive] == ["silent"]
    assert {u.unit for u in found.redundant} == {1, 2}


def test_floats_agree_with_fractions() -> None:
    """What is planted up to 1e-12 is found with the default tolerance, and made exact."""
    rng = np.random.default_rng(5)
    net = pc.MLP((3, 3, 3, 1), (3, [0, 1, 1]), bias=True)
    for _ in range(5):
        arrays = net.unpack(integers(net.n_params, rng))
        arrays["W1"][2], arrays["b1"][2] = -2 * arrays["W1"][0], -2 * arrays["b1"][0]
        arrays["W3"][:, 1] = 0
        exact = check(net, pack(net, arrays))
        floats = pack(net, arrays).astype(float)
        noisy = floats * (1 + 1e-12 * rng.standard_normal(net.n_params)) + 1e-12 * rng.standard_normal(net.n_params)
        found = pc.analyze_point(net, noisy)
        assert found.rank == exact.rank
        assert found.subnetwork == exact.subnetwork
        assert [(u.layer, u.unit, u.kind) for u in found.redundant] == [(1, 2, "multiple")]
        assert [(u.layer, u.unit, u.kind) for u in found.inactive] == [(2, 1, "silent")]
        assert (found.verdict, found.kind) == (exact.verdict, exact.kind)
        assert found.tolerance == 1e-9
        assert found.margin > 1e3
        assert found.residual < 1e-9
        assert found.subnetwork is not None
        assert exact_functions_agree(net, found.theta, found.subnetwork, _exact(found)) is not None
        np.testing.assert_allclose(found.theta.astype(float), noisy, rtol=1e-10, atol=1e-10)
        assert pc.analyze_point(net, noisy, tol=1e-14).subnetwork is None
        assert pc.analyze_point(net, noisy, exact=True).subnetwork is None


def _exact(found: pc.PointAnalysis) -> Array:
    assert found.sub_theta is not None
    result = np.empty(len(found.sub_theta), dtype=object)
    result[:] = [Fraction(x) for x in found.sub_theta]
    return result


# -- verdicts ---------------------------------------------------------------------------------------------------------


def test_the_verdict_rests_on_tangent_spaces_at_points_of_the_fibre() -> None:
    """(2, 2, 1) with z² + z³, whose singular points are those of subnetworks (arXiv:2505.11846, appendix D)."""
    net = pc.MLP((2, 2, 1), ([0, 0, 1, 1],))
    theta = np.array([2, 3, 5, 7, 1, 0], dtype=object)
    found = check(net, theta)
    assert (found.verdict, found.kind, found.proved) == ("singular", "cusp", True)
    assert found.fibre_dimension == (2, 2)
    # Brute force: the second unit is not read, so its incoming weights are free.
    images = []
    for x, y in [(5, 7), (1, 0), (0, 1), (1, 1), (1, -1), (2, 1)]:
        other = np.array([2, 3, x, y, 1, 0], dtype=object)
        assert exact_functions_agree(net, theta, net, other)
        images.append(net.jacobian(other, dtype=object))
    assert found.tangent_dimension == rational_rank(np.concatenate(images, axis=1)) > found.generic_rank == 6


def test_singular_points_are_those_of_subnetworks() -> None:
    """The cubic hypersurface of (2, 2, 1) with z² + z³ is singular at functions of subnetworks only (ibid.).

    They are those of the form a l² + b l³, which two units with parallel weights give as well, or limits of such.
    """
    net = pc.MLP((2, 2, 1), ([0, 0, 1, 1],))
    rng = np.random.default_rng(21)
    count = 0
    for _ in range(60):
        theta = np.asarray(rng.integers(-1, 2, 6)).astype(object)
        a, b, c, d, first, second = theta
        found = check(net, theta)
        assert found.verdict == ("smooth" if (a * d - b * c) * first * second else "singular")
        assert found.proved
        count += found.verdict == "smooth"
    assert 5 < count < 55


def test_small_networks_are_decided_by_their_equations() -> None:
    """No other rule covers these; generic points are smooth."""
    rng = np.random.default_rng(22)
    for net in (pc.MLP((2, 3, 1), 6), pc.MLP((2, 2, 1), ([0, 0, 1, 1],))):
        found = check(net, integers(net.n_params, rng))
        assert (found.verdict, found.theorem) == ("smooth", "Jacobian criterion"), net


@pytest.mark.parametrize(("widths", "ranks"), [((3, 2, 3), (0, 1, 2)), ((4, 3, 2, 3), (0, 1, 2)), ((2, 3, 3), (1, 2))])
def test_linear_networks_are_determinantal(widths: tuple[int, ...], ranks: tuple[int, ...]) -> None:
    """Matrices of rank at most ρ are singular where the rank is less, unless they are all matrices."""
    net = pc.MLP(widths, 1)
    rng = np.random.default_rng(6)
    filling = min(widths) == min(widths[0], widths[-1])
    for rank in ranks:
        arrays = net.unpack(integers(net.n_params, rng))
        rows = arrays["W1"]
        arrays["W1"] = integers((rows.shape[0], rank), rng) @ integers((rank, rows.shape[1]), rng) + 0 * rows
        found = check(net, pack(net, arrays))
        singular = rank < min(widths) and not filling
        assert found.verdict == ("singular" if singular else "smooth")
        assert found.proved
        if singular:
            assert found.kind == ("cusp" if rank else "vertex")
            assert found.rank_drop > 0


def test_quadratic_forms_of_bounded_rank() -> None:
    """(n, k, 1) with squares: all forms of rank at most k, over R, singular where the rank is less."""
    rng = np.random.default_rng(7)
    for n, k in [(3, 2), (4, 2), (4, 3), (3, 3), (2, 4)]:
        net = pc.MLP((n, k, 1), 2)
        for rank in range(k + 1):
            arrays = net.unpack(integers(net.n_params, rng))
            arrays["W2"][:, rank:] = 0
            found = check(net, pack(net, arrays))
            expected = "singular" if min(rank, n) < k < n else "smooth"
            assert (found.verdict, found.proved) == (expected, True), (n, k, rank)


def test_interior_points_of_linear_spaces() -> None:
    """Every binary quadratic is reached by (2, 2, 1): the square of a form is an interior point, found on the fibre."""
    found = check(pc.MLP((2, 2, 1), 2), np.array([1, 2, 2, 4, 1, 1], dtype=object))
    assert (found.verdict, found.rank_drop) == ("smooth", 1)
    # Cubes of binary forms are on the boundary of what (2, 2, 1) reaches: nothing is claimed.
    found = check(pc.MLP((2, 2, 1), 3), np.array([1, 2, 2, 4, 1, 1], dtype=object))
    assert found.verdict == "undecided"
    assert not found.proved
    found = check(pc.MLP((2, 2, 1), 3), np.array([1, 2, 2, 5, 1, 1], dtype=object))
    assert (found.verdict, found.proved) == ("smooth", True)


def test_open_orbits_are_smooth() -> None:
    """Independent forms, independent outputs: one orbit of linear maps of inputs and outputs."""
    rng = np.random.default_rng(8)
    for widths, r in [((3, 3, 3), 2), ((3, 2, 2), 3), ((4, 3, 1), 3), ((2, 1, 2, 2), 2)]:
        net = pc.MLP(widths, r)
        found = check(net, integers(net.n_params, rng))
        assert (found.verdict, found.proved) == ("smooth", True), widths


def test_the_zero_function_is_a_vertex() -> None:
    for net in (pc.MLP((3, 2, 2), 3), pc.MLP((3, 2, 2, 1), 2)):
        arrays = net.unpack(integers(net.n_params, np.random.default_rng(9)))
        arrays["W2"][:] = 0
        found = check(net, pack(net, arrays))
        assert found.verdict == "singular"
        assert not pc.dimension(net).filling


def test_hypotheses_are_listed() -> None:
    found = pc.analyze_point(pc.MLP((3, 2, 3), 1), range(1, 13))
    assert found.verdict == "smooth"
    assert found.hypotheses[0] == ("the network is linear and fully connected", True)
    undecided = pc.analyze_point(pc.MLP((2, 3, 2, 1), 3), range(1, 15))
    assert undecided.verdict == "undecided"
    assert undecided.theorem == ""
    assert undecided.hypotheses
    failing = {
        h.statement for h in pc.analyze_point(pc.CNN((3, 3, 2), 2, bias=True), range(2, 13)).hypotheses if not h.holds
    }
    assert "convolutions have no bias" in failing
    deep = pc.LightningAttention(2, 2, 2, n_tokens=2, n_layers=2)
    failing = {h.statement for h in pc.analyze_point(deep, range(1, 25)).hypotheses if not h.holds}
    assert "one head of attention on its inputs" in failing


def test_same_seed_same_answer() -> None:
    net, theta = pc.MLP((3, 2, 1), ([0, 1, 1, 1],)), [1, 2, 3, 1, 2, 3, 1, 1]
    first = pc.analyze_point(net, theta, rng=np.random.default_rng(3))
    assert pc.analyze_point(net, theta, rng=first.seed) == first


def test_bad_arguments() -> None:
    net = pc.MLP((2, 2, 1), 2)
    with pytest.raises(TypeError, match="`net` must be a polycore network"):
        pc.analyze_point(net.program, range(6))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`theta` must have shape \(n_params=6,\)"):
        pc.analyze_point(net, range(5))
    with pytest.raises(ValueError, match="`theta` must be finite"):
        pc.analyze_point(net, [1.0, np.nan, 0, 0, 0, 0])
    with pytest.raises(TypeError, match="`theta` must be real"):
        pc.analyze_point(net, [1j, 0, 0, 0, 0, 0])
    with pytest.raises(ValueError, match="`tol` must be between 0 and 1"):
        pc.analyze_point(net, np.ones(6), tol=0.0)
    with pytest.raises(ValueError, match="`tol` is for floats"):
        pc.analyze_point(net, range(6), tol=1e-6)
    with pytest.raises(ValueError, match="specialize"):
        pc.analyze_point(pc.MLP((2, 2, 1), pc.GenericActivation(2)), np.ones(6))


def test_critical_points_of_subnetworks() -> None:
    """Units that are equal and read alike, and units with no weights at all, leave no direction but those of the part;
    a unit that reads something and is not read, or a filter with zeros at an end, does."""
    net = pc.MLP((3, 3, 2), 3)
    rng = np.random.default_rng(10)
    data = rng.standard_normal((40, 3)), rng.standard_normal((40, 2))
    loss = pc.QDistance.from_data(*data, net.basis)
    inherits = []
    for kind in ("equal", "nothing", "silent"):
        arrays = net.unpack(integers(net.n_params, rng))
        if kind == "equal":
            arrays["W1"][2], arrays["W2"][:, 2] = 2 * arrays["W1"][0], 3 * arrays["W2"][:, 0]
        else:
            arrays["W2"][:, 2] = 0
            arrays["W1"][2] *= kind == "silent"
        theta = pack(net, arrays)
        found = check(net, theta)
        inherits.append(found.inherits_critical_points)
        assert found.subnetwork is not None
        whole, part = (
            np.asarray(n.jacobian(t, dtype=object)) for n, t in ((net, theta), (found.subnetwork, _exact(found)))
        )
        assert found.inherits_critical_points == (
            rational_rank(np.concatenate([whole, part], axis=1)) == rational_rank(part)
        )
        # A loss that is critical for the part: project a gradient away from the image of dμ there.
        columns = part.astype(float)
        residual = loss.gradient(net.expand(theta.astype(float))).reshape(-1)
        residual -= columns @ np.linalg.lstsq(columns, residual, rcond=None)[0]
        gradient = whole.astype(float).T @ residual
        assert (np.abs(gradient).max() < 1e-6 * np.abs(residual).max()) == found.inherits_critical_points
    assert inherits == [True, True, False]
    assert not check(pc.CNN((3, 2), 2), np.array([1, 2, 0, 0, 3], dtype=object)).inherits_critical_points


# -- convolutions -----------------------------------------------------------------------------------------------------

CNNS = [
    pc.CNN((3, 2), 2),
    pc.CNN((3, 3), 3, stride=2),
    pc.CNN((2, 3, 2), 2),
    pc.CNN((3, 2, 2), 2, stride=(1, 2, 1), n_inputs=9),
    pc.CNN((3, 3), [0, 1, 1]),
    pc.CNN((2, 2, 2), [0, 2, 0, 1]),
    pc.CNN(((2, 2), (2, 2)), 2),
    pc.CNN(((2, 3), (1, 2)), [0, 1, 2], stride=(1, 2), n_inputs=(3, 7)),
    pc.CNN((3, 2), 2, n_inputs=(6, 2), channels=(1, 2)),
]


def sparse_filters(net: pc.Network, rng: np.random.Generator) -> Array:
    """Parameters with many zeros, but no filter zero."""
    while True:
        arrays = net.unpack(integers(net.n_params, rng))
        for array in arrays.values():
            array *= (rng.random(array.shape) < 0.6).astype(int).astype(object)
        if all(array.any() for array in arrays.values()):
            return pack(net, arrays)


@pytest.mark.parametrize("net", CNNS, ids=repr)
def test_the_rank_of_convolutions_is_constant(net: pc.Network) -> None:
    """The parametrisation is regular wherever no filter is zero (arXiv:2410.00722); singular points are nodes."""
    rng = np.random.default_rng(11)
    verdicts = set()
    for _ in range(12):
        found = check(net, sparse_filters(net, rng))
        assert found.rank_drop == 0
        verdicts.add(found.verdict)
        assert (found.verdict, found.kind) == (("singular", "node") if found.positions > 1 else ("smooth", ""))
        assert found.proved
        if found.positions > 1:
            assert found.filters
            assert found.tangent_dimension > found.generic_rank
            assert found.is_proper_subnetwork
    assert "smooth" in verdicts


@pytest.mark.parametrize("net", [n for n in CNNS if len(n.unpack(range(n.n_params))) == 2 and n.n_params < 8], ids=repr)
def test_positions_of_filters_by_brute_force(net: pc.Network) -> None:
    """All ways to put the non-zero parts of two filters elsewhere, compared by their exact coefficients."""
    rng = np.random.default_rng(12)
    several = 0
    for _ in range(30):
        theta = sparse_filters(net, rng)
        coef = net.expand(theta, dtype=object)
        arrays = net.unpack(theta)
        count = 0
        for first in translates(arrays["W1"]):
            for second in translates(arrays["W2"]):
                other = pack(net, {"W1": first, "W2": second})
                count += bool((net.expand(other, dtype=object) == coef).all())
        assert check(net, theta).positions == count >= 1
        several += count > 1
    assert several


def translates(array: Array) -> list[Array]:
    """An array shifted along all of its axes, what is shifted out being zero."""
    found = []
    ranges = [range(-n + 1, n) for n in array.shape]
    for shift in np.ndindex(*[len(r) for r in ranges]):
        moved = 0 * array
        steps = [r[i] for r, i in zip(ranges, shift)]
        kept = True
        for index in np.ndindex(*array.shape):
            target = tuple(i + s for i, s in zip(index, steps))
            if all(0 <= t < n for t, n in zip(target, array.shape)):
                moved[target] = array[index]
            elif array[index]:
                kept = False
        if kept:
            found.append(moved)
    return found


def test_ends_of_filters() -> None:
    net = pc.CNN((4, 3), 2, stride=2)
    theta = np.array([0, 2, 3, 0, 0, 5, 0], dtype=object)
    found = check(net, theta)
    assert [(f.weights, f.start, f.stop, f.zero) for f in found.filters] == [
        ("W1", (1,), (3,), False),
        ("W2", (1,), (2,), False),
    ]
    assert found.subnetwork is not None
    assert found.subnetwork.n_params == 3
    assert found.sub_dimension is not None
    assert found.sub_dimension.dimension == 2
    assert found.positions == 1  # the first filter would have to move by the stride
    assert check(net, np.array([2, 3, 0, 0, 0, 5, 0], dtype=object)).positions == 2
    noisy = pc.analyze_point(net, theta.astype(float) + 1e-12)
    assert noisy.filters == found.filters
    assert noisy.verdict == found.verdict
    zero = check(net, np.array([0, 0, 0, 0, 1, 5, 0], dtype=object))
    assert zero.filters[0].zero
    assert (zero.verdict, zero.kind) == ("singular", "vertex")


def test_channels_are_units() -> None:
    net = pc.CNN((2, 2), 3, channels=(3, 2), n_inputs=(4, 2))
    arrays = net.unpack(integers(net.n_params, np.random.default_rng(13)))
    arrays["W1"][2] = -2 * arrays["W1"][1]
    arrays["W2"][:, 0] = 0
    found = check(net, pack(net, arrays))
    assert [(u.unit, u.kind) for u in found.inactive] == [(0, "silent")]
    assert [(u.unit, u.kind, u.relation) for u in found.redundant] == [(2, "multiple", ((1, -8),))]
    assert found.subnetwork == pc.Network(pc.CNN((2, 2), 3, channels=(1, 2), n_inputs=(4, 2)).program)
    assert (found.verdict, found.kind) == ("singular", "cusp")


@pytest.mark.parametrize(
    ("sizes", "stride"), [((2, 2), 1), ((3, 2), 1), ((3, 3), 1), ((2, 2, 2), 1), ((2, 3, 2), 1), ((2, 2, 2), (1, 2, 1))]
)
def test_linear_convolutions_factor_over_the_reals(sizes: tuple[int, ...], stride: Any) -> None:
    """Stride 1: perturbed polynomials are functions of the network, or not, by the number of their real roots."""
    net = pc.CNN(sizes, 1, stride=stride)
    rng = np.random.default_rng(14)
    seen = set()
    for _ in range(16):
        theta = np.asarray(rng.integers(-2, 3, net.n_params)).astype(object)
        arrays = net.unpack(theta)
        if not all(w.any() for w in arrays.values()):
            continue
        found = check(net, theta)
        seen.add(found.verdict)
        step = 1 if stride == 1 else 2  # of the third filter
        pair = np.convolve(arrays["W1"], arrays["W2"]).astype(float)
        if len(sizes) == 3 and step == 1:
            pair = np.convolve(pair, arrays["W3"].astype(float))
        if found.verdict == "singular":
            assert step == 2
            continue
        needed = sum(size % 2 == 0 for size in (sizes if step == 1 else sizes[:2]))
        inside = []
        for _ in range(60):
            near = pair + 1e-5 * rng.standard_normal(len(pair))
            roots = np.roots(near)
            inside.append(np.count_nonzero(np.abs(roots.imag) < 1e-9) >= needed)
        assert found.verdict == ("smooth" if all(inside) else "boundary"), theta
    assert "smooth" in seen
    assert ("boundary" in seen) == (sum(size % 2 == 0 for size in sizes[: 3 if stride == 1 else 2]) > 1)


def test_linear_strides_with_factors_that_can_move() -> None:
    """(1 + x²)(1 + x²) with stride 2: the factor belongs to either filter."""
    net = pc.CNN((3, 2), 1, stride=2)
    cusp = check(net, np.array([1, 0, 1, 1, 1], dtype=object))
    assert (cusp.verdict, cusp.kind, cusp.rank_drop) == ("singular", "cusp", 1)
    node = check(net, np.array([1, 0, 1, 1, 2], dtype=object))
    assert (node.verdict, node.kind, node.rank_drop) == ("singular", "node", 0)
    smooth = check(net, np.array([1, 1, 1, 1, 1], dtype=object))
    assert (smooth.verdict, smooth.proved) == ("smooth", True)
    assert check(net, np.array([1, 2, 0, 0, 3], dtype=object)).verdict == "smooth"
    # x² is a factor in x², too, as is the square of infinity.
    for theta in ([0, 0, 1, 3, 1], [1, 0, 0, 1, 3], [0, 0, 1, 3, 0]):
        assert check(net, np.array(theta, dtype=object)).verdict == "singular"


def tangent_dimension(found: pc.Equations, coef: Array) -> int:
    """Dimension of the space where the differentials of the equations vanish, at a point of the span."""
    y = coef.reshape(-1)[found.positions].tolist()
    gradients = np.zeros((len(found), len(y)), dtype=object)
    for gradient, row in zip(gradients, found.coef):
        for monomial in np.flatnonzero(row):
            exponents = found.monomials.exponents[monomial].tolist()
            for v, power in enumerate(exponents):
                if power:
                    others = [base ** (e - (w == v)) for w, (base, e) in enumerate(zip(y, exponents))]
                    gradient[v] += int(row[monomial]) * power * np.prod(others, dtype=object)
    return len(y) - rational_rank(gradients)


@pytest.mark.parametrize(
    ("net", "degree"),
    [
        (pc.CNN((2, 2), 2), 3),
        (pc.CNN((2, 2), [0, 1, 1]), 3),
        (pc.MLP((2, 2, 1), 4), 3),
        (pc.MLP((3, 2, 3), 1), 3),
        (pc.MLP((3, 2, 1), 2), 3),
        (pc.CNN((3, 2), 1, stride=2), 3),
        (pc.CNN((2, 2), 1, stride=2), 2),
        (pc.LightningAttention(2, 2, 1, n_tokens=2), 4),
    ],
    ids=repr,
)
def test_verdicts_against_equations(net: pc.Network, degree: int) -> None:
    """Where the equations of the function space are known: smooth iff their differentials leave its dimension."""
    found = pc.equations(net, degree)
    dimension = pc.dimension(net).dimension
    rng = np.random.default_rng(20)
    seen = set()
    for _ in range(40):
        theta = np.asarray(rng.integers(-2, 3, net.n_params)).astype(object)
        point = pc.analyze_point(net, theta)
        coef = np.asarray(net.expand(theta, dtype=object))
        assert not found(coef).any()
        tangent = tangent_dimension(found, coef)
        assert dimension <= point.tangent_dimension <= tangent or point.rank_drop
        assert point.verdict in ("smooth", "singular", "boundary")
        assert (point.verdict == "smooth") == (tangent == dimension), theta
        seen.add(point.verdict)
    assert len(seen) > 1


# -- attention --------------------------------------------------------------------------------------------------------


def low_rank(shape: tuple[int, int], rank: int, rng: np.random.Generator) -> Array:
    return np.asarray(integers((shape[0], rank), rng) @ integers((rank, shape[1]), rng) + np.zeros(shape, dtype=object))


@pytest.mark.parametrize(
    ("d", "a", "d_out", "n_tokens"),
    [(2, 2, 1, 2), (3, 2, 2, 2), (3, 3, 2, 3), (2, 3, 2, 2), (3, 1, 1, 2), (3, 1, 2, 2)],
)
def test_one_head_of_attention(d: int, a: int, d_out: int, n_tokens: int) -> None:
    """A = KᵀQ and V of all ranks against the classification by factors, and the tangent spaces at both factors."""
    net = pc.LightningAttention(d, a, d_out, n_tokens=n_tokens)
    rng = np.random.default_rng(15)
    bound = min(a, d)
    for rank in range(1, bound + 1):
        for value_rank in range(1, min(d, d_out) + 1):
            arrays = net.unpack(integers(net.n_params, rng, 99))
            arrays["Q1"], arrays["V1"] = low_rank((a, d), rank, rng), low_rank((d_out, d), value_rank, rng)
            found = check(net, pack(net, arrays))
            heads = [(h.keys, h.key_rank, h.value_rank) for h in found.heads]
            assert heads == [("K1", rank, value_rank)] * ((rank, value_rank) != (bound, min(d, d_out)))
            exchangeable = rank == value_rank == 1 and (bound > 1 or d_out > 1)
            if rank < bound < d:
                expected = ("singular", "cusp")
            elif exchangeable:
                expected = ("singular", "node")
            else:
                expected = ("smooth", "")
            assert (found.verdict, found.kind) == expected
            assert found.proved
            if expected[1] == "node":
                assert found.tangent_dimension > found.generic_rank
            if expected[0] == "smooth":
                assert found.tangent_dimension == found.generic_rank
    assert found.rank_drop == 0


def test_boundary_points_of_attention() -> None:
    """V = α lᵀ and KᵀQ = l βᵀ: the rank drops, and nearby functions of the closure have complex factors only."""
    rng = np.random.default_rng(16)
    for d, a, d_out in [(2, 2, 1), (3, 3, 2), (3, 1, 1), (3, 2, 2)]:
        net = pc.LightningAttention(d, a, d_out, n_tokens=2)
        form = integers((1, d), rng)
        keys, queries, values = integers((a, 1), rng) @ form, integers((a, d), rng), integers((d_out, 1), rng) @ form
        found = check(net, pack(net, {"K1": keys, "Q1": queries, "V1": values}))
        assert (found.verdict, found.kind, found.proved) == ("boundary", "cusp", True)
        assert found.rank_drop > 0
        floats = pc.analyze_point(net, found.theta.astype(float) * (1 + 1e-13))
        assert (floats.verdict, floats.kind) == (found.verdict, found.kind)
        assert floats.heads == found.heads


def test_heads_that_are_zero_are_left_out() -> None:
    net = pc.LightningAttention(2, 2, 2, n_tokens=2, n_heads=3)
    arrays = net.unpack(integers(net.n_params, np.random.default_rng(17)))
    arrays["V1_2"] *= 0
    arrays["K1_3"] *= 0
    found = check(net, pack(net, arrays))
    assert found.subnetwork == pc.LightningAttention(2, 2, 2, n_tokens=2)
    assert [h.keys for h in found.heads] == ["K1_2", "K1_3"]
    assert found.is_proper_subnetwork


def test_more_keys_than_features_change_nothing() -> None:
    net = pc.LightningAttention(2, 4, 2, n_tokens=2)
    found = check(net, integers(net.n_params, np.random.default_rng(18)))
    assert found.subnetwork == pc.LightningAttention(2, 2, 2, n_tokens=2)
    assert not found.is_proper_subnetwork
    assert not found.heads
    assert found.verdict == "smooth"


def test_skip_connections() -> None:
    """Units inside a residual block; whatever else there is, ranks are exact."""
    block = pc.Residual(pc.Affine(3), pc.Activation(3), pc.Affine(3))
    net = pc.Sequential(block, pc.Activation(2), pc.Affine(2), n_inputs=3)
    arrays = net.unpack(integers(net.n_params, np.random.default_rng(19)))
    assert check(net, pack(net, arrays)).subnetwork is None
    arrays["W1"][2] = 2 * arrays["W1"][0]
    found = check(net, pack(net, arrays))
    assert [(u.unit, u.relation) for u in found.redundant] == [(2, ((0, 8),))]
    assert (found.verdict, found.kind) == ("singular", "cusp")


# -- at random --------------------------------------------------------------------------------------------------------


def random_network(rng: np.random.Generator) -> pc.Network:
    """Of any family, small, with activations of all kinds, constants among them."""
    activations = [
        1,
        2,
        3,
        [0, 1, 1],
        [1, 0, 1],
        [0, 0, 1, 1],
        [0, 1, 0, 2],
        [2, 0, 0, 1],
        [1, 2, 1],
        [0, 2],
        [3, 1],
        0,
        [0],
    ]

    def sizes(low: int, high: int, n: int) -> tuple[int, ...]:
        return tuple(rng.integers(low, high, n).tolist())

    def sigma() -> Any:
        return activations[int(rng.integers(len(activations)))]

    kind, biased = rng.integers(5), bool(rng.integers(2))
    if kind == 0:
        n_hidden = int(rng.integers(0, 3))
        return pc.MLP(sizes(1, 4, n_hidden + 2), tuple(sigma() for _ in range(n_hidden)), bias=biased)
    if kind == 1:
        n_layers = int(rng.integers(2, 4))
        hidden = tuple(sigma() for _ in range(n_layers - 1))
        return pc.CNN(
            sizes(1, 4, n_layers), hidden, stride=sizes(1, 3, n_layers), bias=biased and bool(rng.integers(2))
        )
    if kind == 2:
        return pc.CNN((2, 2), sigma(), channels=sizes(1, 3, 2), n_inputs=(3, int(rng.integers(1, 3))), bias=biased)
    if kind == 3:
        d, a, d_out, n_tokens, n_heads = sizes(1, 4, 1) + sizes(1, 4, 1) + sizes(1, 3, 3)
        return pc.LightningAttention(d, a, d_out, n_tokens=n_tokens, n_heads=n_heads)
    block = pc.Residual(pc.Affine(2, bias=biased), pc.Activation(sigma()), pc.Affine(2))
    return pc.Sequential(block, pc.Affine(2), pc.Activation(sigma()), pc.Affine(1, bias=biased), n_inputs=2)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_at_random_points(seed: int) -> None:
    """Small integers, many zeros: exact and floating analyses agree, and each is consistent in itself."""
    rng = np.random.default_rng(seed)
    for _ in range(20):
        net = random_network(rng)
        theta = np.asarray(rng.integers(-2, 3, net.n_params) * (rng.random(net.n_params) < 0.8)).astype(object)
        found, floats = check(net, theta), pc.analyze_point(net, theta.astype(float))
        assert floats.rank == found.rank
        verdicts = {(found.verdict, found.kind), (floats.verdict, floats.kind)} - {("undecided", "")}
        assert len(verdicts) <= 1
        assert found.verdict != "smooth" or found.tangent_dimension <= found.generic_rank
        assert (floats.subnetwork is None) == (found.subnetwork is None)
        assert floats.residual < 1e-9
