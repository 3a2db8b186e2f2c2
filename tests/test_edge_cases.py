# SPDX-License-Identifier: BSD-3-Clause
"""Networks at the edge of what is a network, and numbers at the edge of float64, in every analysis."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import polycore as pc
from polycore.cli import main

PLAIN = [
    pc.Sequential(pc.Select([0, 0, 1]), n_inputs=2),
    pc.Sequential(pc.Select([1]), pc.Activation(3), n_inputs=2),
    pc.Sequential(pc.Activation([1, Fraction(1, 2)]), n_inputs=1),
    pc.Sequential(pc.Residual(pc.Select([1, 0])), n_inputs=2),
]


@pytest.mark.parametrize("net", PLAIN, ids=repr)
def test_networks_without_parameters_have_one_function(net: pc.Network) -> None:
    assert net.n_params == 0
    coef = net.expand([])
    found = net.recover(coef)
    assert (found.found, found.unique, found.residual, found.theta.shape) == (True, True, 0.0, (0,))
    for other in (2 * coef, 0 * coef):
        lost = net.recover(other)
        assert not lost.found
        assert "no parameters" in lost.reason
    exact = net.expand(np.zeros(0, dtype=object), dtype=object)
    assert net.contains(exact).verdict == net.contains(coef).verdict == "yes"
    assert net.contains(coef * (1 + 1e-12)).verdict == "yes"
    assert net.contains(coef * (1 + 1e-12), tol=0).verdict == "no"
    assert (
        net.contains(exact + 1).verdict == net.contains(coef * 1.001).verdict == net.contains(0 * coef).verdict == "no"
    )
    for theta in ([], np.zeros(0), np.zeros(0, dtype=int)):
        assert pc.analyze_point(net, theta).verdict == "smooth"
        assert net.align(theta, theta).distance == 0
        assert net.canonical(theta).shape == (0,)
    assert pc.dimension(net).dimension == 0
    assert net.symmetries().is_trivial


@pytest.mark.filterwarnings("error")
def test_squares_that_overflow() -> None:
    """Coefficients whose norm is out of range are refused, parameters that are far away are left where they are."""
    with pytest.raises(pc.NumericalError, match="`coef`"):
        PLAIN[0].recover(np.full((3, 2), 1e300))
    for net in (pc.MLP((2, 2, 1), 2), pc.CNN((2, 2), 2)):
        theta = np.arange(1.0, net.n_params + 1)
        far = theta.copy()
        far[-1] = 1e154
        assert net.align(theta, far).distance <= np.linalg.norm(theta - far)


def test_degrees_beyond_everything_are_told_briefly() -> None:
    with pytest.raises((OverflowError, MemoryError), match=r"about 10\^") as error:
        pc.equations(pc.MLP((2, 2, 1), 2), 10**400)
    assert len(str(error.value)) < 300


def test_networks_without_parameters_are_not_fitted(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="`network` must have parameters"):
        pc.report(rng.normal(size=(40, 2)), rng.normal(size=40), network=PLAIN[1])


def test_numbers_of_layers_are_bounded() -> None:
    """Before the first of them is looked at."""
    many = 70_000
    with pytest.raises(ValueError, match="`widths` must have at most 65536"):
        pc.MLP([2] * many, 2)
    with pytest.raises(ValueError, match="`filters` must have at most 65536"):
        pc.CNN([1] * many)
    with pytest.raises(ValueError, match="`layers` must have at most 65536"):
        pc.Sequential(*[pc.Affine(1)] * many, n_inputs=1)
    with pytest.raises(ValueError, match=r"`spec\.layers` must have at most 65536"):
        pc.network({"family": "Sequential", "n_inputs": 1, "layers": [{}] * many})


@pytest.mark.parametrize(
    "sizes", [{"d_model": 2**20, "n_tokens": 2**20}, {"d_model": 2**31 - 1, "n_tokens": 2**31 - 1}]
)
def test_files_of_networks_that_do_not_fit(
    sizes: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"family": "LightningAttention", "d_key": 2**20, **sizes}))
    assert main(["dim", "--network", str(path)]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith(f"polycore: error: {path}: `spec")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "net",
    [pc.MLP((40,) * 30, 1), pc.MLP((2,) * 300, 2), pc.LightningAttention(512, 512, 512, n_tokens=8)],
    ids=["wide", "deep", "attention"],
)
def test_groups_too_large_for_a_rank_have_short_reprs(net: pc.Network) -> None:
    text = repr(net.symmetries())
    assert len(text) < 2000
    assert text.count("\n") <= 21


def test_large_elements_have_short_reprs() -> None:
    for widths in ((300, 400, 300), (2,) * 300):
        lines = repr(pc.MLP(widths, 2).symmetries().random_element(1)).split("\n")
        assert len(lines) <= 21
        assert max(map(len, lines)) <= 120
