# SPDX-License-Identifier: BSD-3-Clause
"""Families of architectures, and architectures as text that can be read back."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore.architectures import Architecture, as_architecture, parse_activation

SHARED = pc.GenericActivation(3)


class TestFamilies:
    def test_order(self) -> None:
        family = pc.architectures(inputs=(2, 1), outputs=1, depth=(3, 2), width=(4, 2), activation=3)
        assert [widths for widths, _, _ in family] == [
            (2, 4, 4, 1),
            (2, 4, 2, 1),
            (2, 2, 4, 1),
            (2, 2, 2, 1),
            (2, 4, 1),
            (2, 2, 1),
            (1, 4, 4, 1),
            (1, 4, 2, 1),
            (1, 2, 4, 1),
            (1, 2, 2, 1),
            (1, 4, 1),
            (1, 2, 1),
        ]
        assert list(family) == list(family)
        assert all((activation, bias) == (3, False) for _, activation, bias in family)

    @pytest.mark.parametrize(("depths", "widths"), [((1,), (5,)), ((2, 3), (1, 2, 3)), ((2, 3, 4, 5), (2, 7))])
    def test_count(self, depths: tuple[int, ...], widths: tuple[int, ...]) -> None:
        family = pc.architectures(inputs=range(1, 4), outputs=(1, 2), depth=depths, width=widths)
        listed = [widths for widths, _, _ in family]
        assert len(family) == family.count == len(listed) == len(set(listed))
        expected = {
            (n, *hidden, m)
            for n in (1, 2, 3)
            for m in (1, 2)
            for depth in depths
            for hidden in itertools.product(widths, repeat=depth - 1)
        }
        assert set(listed) == expected

    def test_counts_beyond_64_bits(self) -> None:
        family = pc.architectures(inputs=1, outputs=1, depth=41, width=range(1, 1001))
        assert family.count == 1000**40
        assert next(iter(family))[0] == (1,) * 42

    def test_repr(self) -> None:
        family = pc.architectures(inputs=2, outputs=1, depth=range(2, 8), width=range(1, 7), bias=True)
        assert repr(family) == (
            "Architectures(inputs=2, outputs=1, depth=2..7, width=1..6, activation=2, bias=True: 55,986)"
        )

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"inputs": 0}, ValueError),
            ({"outputs": -1}, ValueError),
            ({"depth": 0}, ValueError),
            ({"depth": ()}, ValueError),
            ({"width": (3, 0)}, ValueError),
            ({"width": 2.0}, TypeError),
            ({"width": "3"}, TypeError),
            ({"width": (2, "3")}, TypeError),
            ({"width": range(1, 10**12)}, ValueError),
            ({"width": itertools.count(1)}, ValueError),
            ({"activation": -1}, ValueError),
            ({"activation": 1.5}, TypeError),
            ({"activation": (2, 2, 2)}, ValueError),
            ({"bias": 1}, TypeError),
        ],
    )
    def test_bad_input(self, change: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error, match=next(iter(change))):
            pc.architectures(**{"inputs": 2, "outputs": 1, "depth": 3, "width": 2, **change})


class TestText:
    @pytest.mark.parametrize(
        ("activation", "text"),
        [
            (2, "2"),
            (0, "0"),
            ((2, 2), "2"),
            ((2, 3), "2,3"),
            (([0, 0, 1, 1], [0, 0, 1, 1]), "[0,0,1,1]"),
            (([0, 1, 1], 2), "[0,1,1],2"),
            (([Fraction(1, 3), 0.1, -2], 1), "[1/3,0.1,-2],1"),
            (np.polynomial.Polynomial([1, 0, 1e-300]), "[1,0,1e-300]"),
            ([0, 2**70, 1], f"[0,{2**70},1]"),
            (pc.GenericActivation(3), "generic:3"),
            ((pc.GenericActivation(2), pc.GenericActivation(3)), "generic:2,generic:3"),
            ((pc.GenericActivation(3), pc.GenericActivation(3)), "generic:3,generic:3"),
            ((SHARED, SHARED), "generic:3"),
        ],
    )
    def test_round_trip(self, activation: Any, text: str) -> None:
        net = pc.MLP((2, 3, 4, 1), activation, bias=True)
        architecture = as_architecture(net)
        assert architecture == Architecture("2-3-4-1", text, True)
        assert architecture.network() == net
        assert as_architecture(((2, 3, 4, 1), activation, True)) == architecture
        assert as_architecture({"widths": [2, 3, 4, 1], "activation": activation, "bias": True}) == architecture
        assert pc.MLP((2, 3, 4, 1), parse_activation(text, 2), True) == net

    def test_generic_activations_shared_by_some_layers(self) -> None:
        net = pc.MLP((2, 2, 2, 2, 1), (SHARED, pc.GenericActivation(3), SHARED))
        architecture = as_architecture(net)
        assert architecture.activation == "generic:3@1,generic:3,generic:3@1"
        assert architecture.network() == net

    def test_no_hidden_layer(self) -> None:
        architecture = as_architecture(((3, 2), 2))
        assert architecture == Architecture("3-2", "", False)
        assert architecture.network() == pc.MLP((3, 2))

    @pytest.mark.parametrize(
        "text",
        ["", "-1", "1.5", "two", "[1,x]", "[1,1/0]", "[nan]", "[inf,1]", "generic:", "generic:x", "2;3", "tanh:x"],
    )
    def test_bad_activations(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"activation|list of coefficients|power|name:degree"):
            pc.MLP((2, 2, 1), parse_activation(text, 1))

    @pytest.mark.parametrize(
        ("value", "error"),
        [
            ((2, 3, 1), TypeError),
            ("2-3-1", TypeError),
            (3, TypeError),
            ({"widths": (2, 1), "biases": True}, TypeError),
            ({"activation": 2}, TypeError),
            (((2, 0, 1), 2), ValueError),
            (((2, -3, 1), 2), ValueError),
            (((2, 2.5, 1), 2), TypeError),
            (((2,), 2), ValueError),
            (((2, 2, 1), -2), ValueError),
            (((2, 2, 1), 2.5), TypeError),
            (((2, 2, 1), (2, 3)), ValueError),
            (((2, 2, 1), None), TypeError),
            (((2, 2, 1), 2, 1), TypeError),
        ],
    )
    def test_what_is_none(self, value: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match=r"`here`"):
            as_architecture(value, "here")
