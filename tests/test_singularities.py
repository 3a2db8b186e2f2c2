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
