# SPDX-License-Identifier: BSD-3-Clause
"""Strata of subnetworks: their number, their dimensions against closed formulas, and that they are what they say."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import polycore as pc


def intervals(stratum: pc.Stratum) -> list[tuple[int, int]]:
    """The places of one-dimensional filters."""
    boxes = [size for size in stratum.sizes if isinstance(size, tuple)]
    return [box[0] for box in boxes]


NETS = [
    pc.MLP((3, 3, 2, 2), (2, 3)),
    pc.MLP((2, 2, 3, 1), ([1, 1, 2], 3), bias=True),
    pc.CNN((3, 2), 2),
    pc.CNN((2, 2, 2), [0, 1, 1], stride=(2, 1, 1), n_inputs=8),
    pc.CNN(((2, 2), (1, 3)), 2),
    pc.CNN((2, 2), 3, channels=(2, 2), n_inputs=(4, 2)),
    pc.LightningAttention(3, 2, 2, n_tokens=2),
    pc.LightningAttention(2, 3, 2, n_tokens=2, n_layers=2),
    pc.LightningAttention(2, 2, 2, n_tokens=3, n_heads=2),
    pc.Sequential(pc.Residual(pc.Affine(3), pc.Activation(2), pc.Affine(2)), pc.Affine(2), n_inputs=2),
]


@pytest.mark.parametrize("net", NETS, ids=repr)
def test_embedded_parameters_have_the_same_function(net: pc.Network) -> None:
    rng = np.random.default_rng(1)
    found = pc.subnetworks(net)
    assert len(found) == found.count > 0
    for stratum in found[:40]:
        theta = rng.integers(-5, 6, stratum.n_params)
        whole = stratum.embed(theta)
        assert whole.shape == (net.n_params,)
        X = rng.integers(0, 10007, (6, net.n_inputs))
        np.testing.assert_array_equal(
            net.evaluate(whole, X, modulus=10007), stratum.network.evaluate(theta, X, modulus=10007)
        )
        assert stratum.network.n_inputs == net.n_inputs
        assert stratum.network.n_outputs == net.n_outputs
        assert stratum.codimension == pc.dimension(net).dimension - stratum.dimension >= 0


def test_counts() -> None:
    assert pc.subnetworks(pc.MLP((5, 4, 3, 2), 2)).count == 4 * 3 - 1
    assert pc.subnetworks(pc.CNN((3, 2, 4), 2)).count == 6 * 3 * 10 - 1
    assert pc.subnetworks(pc.CNN(((2, 3), (1, 2)), 2)).count == 3 * 6 * 3 - 1
    assert pc.subnetworks(pc.LightningAttention(3, 2, 2, n_tokens=2)).count == 2 * 2 - 1
    assert pc.subnetworks(pc.LightningAttention(2, 9, 1, n_tokens=2, n_heads=2)).count == 4 - 1
    assert pc.subnetworks(pc.MLP((3, 2), 2)).count == 0
    assert repr(pc.subnetworks(pc.MLP((3, 2)))).endswith("0 subnetworks")
    huge = pc.subnetworks(pc.MLP((2, *[1000] * 50, 1), 2), max_count=7)
    assert huge.count == 1000**50 - 1
    assert huge.sampled
    assert len(huge) == 7


def test_all_are_listed_once_those_that_lose_least_first() -> None:
    found = pc.subnetworks(pc.MLP((3, 3, 4, 2), 2))
    widths = [tuple(int(str(size)) for size in s.sizes) for s in found]
    assert sorted(widths) == sorted(set(itertools.product(range(1, 4), range(1, 5))) - {(3, 4)})
    lost = [7 - sum(w) for w in widths]
    assert lost == sorted(lost)
    assert [s.network for s in found] == [pc.MLP((3, *w, 2), 2) for w in widths]
    filters = pc.subnetworks(pc.CNN((3, 2), 2))
    expected = [{((a, b),) for b in range(1, n + 1) for a in range(b)} for n in (3, 2)]
    assert {s.sizes for s in filters} == set(itertools.product(*expected)) - {(((0, 3),), ((0, 2),))}


def test_sampling() -> None:
    net = pc.MLP((2, 9, 9, 9, 1), 2)
    found = pc.subnetworks(net, max_count=25, rng=np.random.default_rng(2))
    assert found.sampled
    assert found.count == 9**3 - 1
    sizes = [s.sizes for s in found]
    assert len(set(sizes)) == 25
    assert (9, 9, 9) not in sizes
    assert [s.sizes for s in pc.subnetworks(net, max_count=25, rng=found.seed)] == sizes
    assert "at random" in repr(found)
    assert "and 5 more" in repr(found)


def test_dimensions_of_attention_strata() -> None:
    """rank of KᵀQ ρ, of V v: ρ (2d − ρ) + v (d + d' − v) − 1, for two tokens or more."""
    d, d_out = 3, 2
    for stratum in pc.subnetworks(pc.LightningAttention(d, 3, d_out, n_tokens=2)):
        keys, values = stratum.sizes
        assert isinstance(keys, int)
        assert isinstance(values, int)
        expected = keys * (2 * d - keys) + values * (d + d_out - values) - 1
        assert stratum.dimension == expected


def test_dimensions_of_filter_strata() -> None:
    """Σ k − L + 1 for powers, Σ k for other polynomials (arXiv:2410.00722, arXiv:2505.11846)."""
    for net, lost in ((pc.CNN((3, 2, 2), 2), 2), (pc.CNN((3, 3), [0, 1, 1], stride=2), 0)):
        for stratum in pc.subnetworks(net):
            assert stratum.dimension == sum(b - a for a, b in intervals(stratum)) - lost


@pytest.mark.parametrize(
    "net", [pc.CNN((3, 2), 2), pc.CNN((3, 3), 3, stride=2), pc.CNN((2, 2), 2, n_inputs=5)], ids=repr
)
def test_strata_of_several_positions_are_nodes(net: pc.Network) -> None:
    rng = np.random.default_rng(3)
    for stratum in pc.subnetworks(net):
        point = pc.analyze_point(net, stratum.embed(rng.integers(1, 50, stratum.n_params)))
        assert point.positions == stratum.positions
        assert point.verdict == ("singular" if stratum.positions > 1 else "smooth")
        assert point.sub_dimension is not None
        assert point.sub_dimension.dimension == stratum.dimension


def test_strata_of_units_are_cusps() -> None:
    """Generic points of each stratum of (3, 3, 2) with z³ + z² are singular, with a drop of the rank."""
    net = pc.MLP((3, 3, 2), ([0, 0, 1, 1],))
    rng = np.random.default_rng(4)
    for stratum in pc.subnetworks(net):
        point = pc.analyze_point(net, stratum.embed(rng.integers(1, 50, stratum.n_params)))
        assert (point.verdict, point.kind, point.proved) == ("singular", "cusp", True)
        assert point.subnetwork == stratum.network


def test_inclusions() -> None:
    found = pc.subnetworks(pc.CNN((3, 2), 2))
    for a, b in itertools.product(found, found):
        inside = all(p <= r and s <= q for (p, q), (r, s) in zip(intervals(a), intervals(b)))
        assert a.includes(b) == inside
        if inside:
            assert a.dimension >= b.dimension
    other = pc.subnetworks(pc.CNN((3, 3), 2))[0]
    with pytest.raises(ValueError, match="`other` must be a stratum of the same network"):
        found[0].includes(other)
    with pytest.raises(TypeError, match="`other` must be a Stratum"):
        found[0].includes(3)  # type: ignore[arg-type]


def test_generic_activations() -> None:
    found = pc.subnetworks(pc.MLP((2, 2, 2, 1), pc.GenericActivation(5)))
    assert [s.dimension for s in found] == [pc.dimension(s.network).dimension for s in found]
    assert math.prod([2, 2]) - 1 == len(found)


def test_a_table_is_printed() -> None:
    text = repr(pc.subnetworks(pc.LightningAttention(2, 2, 2, n_tokens=2)))
    assert text.splitlines()[2].split() == ["rank", "K1ᵀQ1", "rank", "V1", "parameters", "dimension", "codimension"]
    assert len(text.splitlines()) == 6
    assert repr(pc.subnetworks(pc.MLP((2, 2, 1), 2))[0]) == "Stratum(units of W1 1: 3 parameters, dimension 2)"


def test_sequences() -> None:
    found = pc.subnetworks(pc.MLP((2, 3, 3, 1), 2))
    everything = list(found)
    assert found[-1] == everything[-1]
    assert found[1:3] == everything[1:3]
    with pytest.raises(IndexError):
        found[len(found)]


def test_bad_arguments() -> None:
    net: Any = pc.MLP((2, 2, 1), 2)
    with pytest.raises(TypeError, match="`net` must be a polycore network"):
        pc.subnetworks(net.program)
    with pytest.raises(ValueError, match="`max_count` must be an integer with 1 <= max_count"):
        pc.subnetworks(net, max_count=0)
    with pytest.raises(TypeError, match="`rng`"):
        pc.subnetworks(net, rng=None)
    with pytest.raises(MemoryError, match="`max_count`"):
        pc.subnetworks(pc.MLP((2, *[1000] * 9, 1), 2), max_count=10**14)
    with pytest.raises(ValueError, match=r"`theta` must have shape \(n_params=3,\)"):
        pc.subnetworks(net)[0].embed([1, 2])
