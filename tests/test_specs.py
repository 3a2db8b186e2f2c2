# SPDX-License-Identifier: BSD-3-Clause
"""Networks as JSON: every family there and back, and JSON from elsewhere."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import Activation, Affine, Attention, Conv, GenericActivation, Residual, Select, Sequential
from polycore.specs import read_network

g, h = GenericActivation(2), GenericActivation(2)
NETWORKS: list[pc.Network] = [
    pc.MLP((2, 1)),
    pc.MLP((2, 3, 1), 2),
    pc.MLP((2, 3, 1), ([2],)),  # the constant 2, which a power 2 is not
    pc.MLP((2, 3, 2, 1), (2, 3), bias=True),
    pc.MLP((2, 3, 2, 1), np.polynomial.Polynomial([2, 3])),
    pc.MLP((2, 3, 2, 1), ([Fraction(1, 3), 0.1, 10**30], [1, -2.5e-300])),
    pc.MLP((2, 2, 2, 2, 1), g),
    pc.MLP((2, 2, 2, 2, 1), (g, h, g)),
    pc.MLP((2, 2, 2, 2, 1), (g, 2, GenericActivation(3))),
    pc.MLP((2, 2, 1), pc.polynomial_activation("tanh", 3, (-2, 2))),
    pc.CNN((3, 2), 2),
    pc.CNN((3, 2), [0, Fraction(1, 2), 1], stride=(2, 1), n_inputs=12, bias=True, channels=(2, 1)),
    pc.CNN(((2, 3), (1, 1)), g, stride=((1, 2), 1), n_inputs=(4, 9, 2), channels=2),
    pc.CNN(2),
    pc.LightningAttention(2, 3, n_tokens=4),
    pc.LightningAttention(2, 1, 5, 4, n_layers=2, n_heads=3),
    Sequential(Affine(2, bias=True), n_inputs=3),
    Sequential(Attention(2, d_out=3, n_heads=2), Select([1, 0, 1]), Conv(2, 2, 1, True), n_inputs=(4, 2)),
    Sequential(Residual(Activation(g), Residual(Activation(h), shortcut=[Conv(1), Activation(g)])), n_inputs=2),
    Sequential(Residual(Residual(Residual(Activation([0, 1, 1])))), Select(0), n_inputs=(2, 1)),
    Sequential(Conv((2, 1), stride=(1, 2)), Attention(1), n_inputs=(3, 4)),
    pc.Network(pc.MLP((2, 3, 2, 1), (g, [1, Fraction(2, 3)]), bias=True).program),
    pc.Network(pc.LightningAttention(2, 3, 1, 2, n_heads=2).program),
    pc.Network(pc.CNN((2, 2), 2, n_inputs=5).program),
    pc.Network(pc.Program(2, [pc.program.Select(0, (1, 1)), pc.program.Add((0, 1))])),
]
SPECS = [net.spec() for net in NETWORKS]


def through_json(net: pc.Network) -> pc.Network:
    return pc.network(json.loads(json.dumps(net.spec(), allow_nan=False)))


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_there_and_back(net: pc.Network) -> None:
    again = through_json(net)
    assert again == net
    assert type(again) is type(net)
    assert again.program == net.program
    assert again.spec() == net.spec()
    assert (again.random_params(3) == net.random_params(3)).all()


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_there_and_back_through_a_file(net: pc.Network, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(net.spec(), indent=2), encoding="utf-8")
    assert read_network(path) == net


def test_numbers_are_exact() -> None:
    coefficients = [Fraction(1, 3), 0.1, 5e-324, 1.7976931348623157e308, 10**300 + 1, Fraction(-(10**40) - 1, 10**41)]
    net = pc.MLP((1, 1, 1), coefficients)
    again = through_json(net)
    assert isinstance(again, pc.MLP)
    assert again.activations[0].coefficients == tuple(coefficients)
    kinds = [[type(c) for c in n.activations[0].coefficients] for n in (net, again)]
    assert kinds[0] == kinds[1]


# -- written by hand --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "net"),
    [
        ({"family": "MLP", "widths": [2, 3, 1], "activation": 2}, pc.MLP((2, 3, 1), 2)),
        ({"family": "MLP", "widths": [2, 3, 1], "activation": [2]}, pc.MLP((2, 3, 1), ([2],))),
        ({"family": "MLP", "widths": [2, 3, 1], "activations": [2]}, pc.MLP((2, 3, 1), 2)),
        ({"family": "MLP", "widths": [2, 2, 2, 1], "activation": [2, 3]}, pc.MLP((2, 2, 2, 1), ([2, 3], [2, 3]))),
        ({"family": "MLP", "widths": [2, 2, 2, 1], "activations": [2, 3]}, pc.MLP((2, 2, 2, 1), (2, 3))),
        ({"family": "MLP", "widths": [2, 1]}, pc.MLP((2, 1))),
        ({"family": "MLP", "widths": [2, 1], "activations": []}, pc.MLP((2, 1))),
        ({"family": "MLP", "widths": [2, 2, 2, 1], "activation": {"generic": 2}}, pc.MLP((2, 2, 2, 1), g)),
        (
            {"family": "MLP", "widths": [2, 2, 2, 1], "activations": [{"generic": 2}, {"generic": 2}]},
            pc.MLP((2, 2, 2, 1), (g, h)),
        ),
        (
            {
                "family": "MLP",
                "widths": [2, 2, 2, 1],
                "activations": [{"generic": 2, "name": "σ"}, {"name": "σ", "generic": 2}],
            },
            pc.MLP((2, 2, 2, 1), g),
        ),
        ({"family": "MLP", "widths": [2, 2, 1], "activation": ["-1/2", 1]}, pc.MLP((2, 2, 1), ([Fraction(-1, 2), 1],))),
        ({"family": "CNN", "filters": 3}, pc.CNN(3)),
        ({"family": "CNN", "filters": [3, 2], "stride": 2, "n_inputs": 9}, pc.CNN((3, 2), 1, 2, 9)),
        ({"family": "CNN", "filters": [[2, 2]], "n_inputs": [3, 3]}, pc.CNN(((2, 2),), n_inputs=(3, 3))),
        (
            {"family": "LightningAttention", "d_model": 2, "d_key": 1, "n_tokens": 3},
            pc.LightningAttention(2, 1, 2, 3),
        ),
        (
            {
                "family": "Sequential",
                "n_inputs": 3,
                "layers": [{"layer": "Residual", "layers": [{"layer": "Activation", "activation": 2}]}],
            },
            Sequential(Residual(Activation(2)), n_inputs=3),
        ),
        (
            {
                "family": "Program",
                "n_inputs": 2,
                "instructions": [
                    {"instruction": "affine", "input": 0, "n_out": 1, "windows": [[1], [0]]},
                    {"instruction": "activation", "input": 1, "coefficients": [0, "1/2"]},
                ],
            },
            pc.Network(
                pc.Program(
                    2,
                    [
                        pc.program.Affine(0, 1, windows=((1,), (0,))),
                        pc.program.Activation(1, (0, Fraction(1, 2))),
                    ],
                )
            ),
        ),
    ],
)
def test_defaults_may_be_left_out(spec: dict[str, Any], net: pc.Network) -> None:
    assert pc.network(spec) == net
    assert pc.network(json.loads(json.dumps(spec))) == net


# -- random specs -----------------------------------------------------------------------------------------------------


def random_number(rng: np.random.Generator) -> Any:
    return [int(rng.integers(-5, 6)), float(rng.standard_normal()), f"{rng.integers(-9, 9)}/{rng.integers(1, 9)}"][
        rng.integers(3)
    ]


def random_activation(rng: np.random.Generator) -> Any:
    kind = rng.integers(4)
    if kind == 0:
        return int(rng.integers(0, 4))
    if kind == 1:
        return [random_number(rng) for _ in range(rng.integers(1, 5))]
    degree = int(rng.integers(0, 3))
    return {"generic": degree} if kind == 2 else {"generic": degree, "name": f"degree {degree}"}


def random_layer(rng: np.random.Generator, nesting: int) -> dict[str, Any]:
    def size(high: int = 3) -> int:
        return int(rng.integers(1, high + 1))

    def some(**optional: Any) -> dict[str, Any]:
        return {key: value for key, value in optional.items() if rng.integers(2)}

    bias = bool(rng.integers(2))
    kinds: list[dict[str, Any]] = [
        {"layer": "Affine", "n_out": size(), **some(bias=bias)},
        {"layer": "Activation", "activation": random_activation(rng)},
        {"layer": "Conv", "filter": size(), **some(channels=size(), stride=size(2), bias=bias)},
        {"layer": "Conv", "filter": [size(), size()], **some(channels=size(), stride=[size(2), size(2)], bias=bias)},
        {"layer": "Attention", "d_key": size(), **some(d_out=[None, size()][size(2) - 1], n_heads=size(2))},
        {"layer": "Select", "positions": rng.integers(0, 3, size()).tolist()},
    ]
    if nesting and rng.integers(3) == 0:
        inner = [random_layer(rng, nesting - 1) for _ in range(size(2))]
        shortcut = [None, [random_layer(rng, nesting - 1)]][rng.integers(2)]
        return {"layer": "Residual", "layers": inner, **some(shortcut=shortcut)}
    return kinds[rng.integers(len(kinds))]


def random_spec(rng: np.random.Generator) -> dict[str, Any]:
    shape = [4, [3], [3, 2], [2, 3, 2]][rng.integers(4)]
    spec: dict[str, Any] = {"family": "Sequential", "n_inputs": shape, "layers": []}
    while len(spec["layers"]) < 4:
        longer = {**spec, "layers": [*spec["layers"], random_layer(rng, 3)]}
        try:
            pc.network(longer)
        except ValueError:
            continue  # the layer cannot take these data
        spec = longer
    return spec


@pytest.mark.parametrize("seed", range(150))
def test_random_specs(seed: int) -> None:
    spec = random_spec(np.random.default_rng(seed))
    net = pc.network(spec)
    assert isinstance(net, Sequential)
    assert len(net.layers) == len(spec["layers"])
    assert through_json(net) == net
    # One generic polynomial for each name, one for each entry without.
    text = json.dumps(spec)
    names = {name for name in ("degree 0", "degree 1", "degree 2") if name in text}
    unnamed = text.count('"generic"') - text.count('"name"')
    assert len({i.group for i in net.program.indeterminates}) == len(names) + unnamed


# -- from elsewhere ---------------------------------------------------------------------------------------------------


def sequence(*layers: Any, **more: Any) -> dict[str, Any]:
    return {"family": "Sequential", "n_inputs": 4, "layers": list(layers), **more}


def residual(*layers: Any, **more: Any) -> dict[str, Any]:
    return {"layer": "Residual", "layers": list(layers), **more}


CONV = {"layer": "Conv", "filter": 2}
MLP = {"family": "MLP", "widths": [2, 3, 1], "activation": 2}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ([MLP], "spec"),
        (5, "spec"),
        ("MLP", "spec"),
        (None, "spec"),
        ({}, "spec.family"),
        ({"family": "mlp"}, "spec.family"),
        ({"family": ["MLP"]}, "spec.family"),
        ({"family": "MLP"}, "spec.widths"),
        ({**MLP, "bais": True}, "spec"),
        ({**MLP, "widths": "2,3,1"}, "spec.widths"),
        ({**MLP, "widths": {"0": 2}}, "spec.widths"),
        ({**MLP, "widths": [2, 3.0, 1]}, "spec.widths[1]"),
        ({**MLP, "widths": [2, True, 1]}, "spec.widths[1]"),
        ({**MLP, "widths": [2, 10**30, 1]}, "spec.widths[1]"),
        ({**MLP, "widths": [2, 10**5000, 1]}, "spec.widths[1]"),
        ({**MLP, "activation": math.nan}, "spec.activation"),
        ({**MLP, "activation": "tanh"}, "spec.activation"),
        ({**MLP, "activation": [1, math.inf]}, "spec.activation[1]"),
        ({**MLP, "activation": [1, "1/0"]}, "spec.activation[1]"),
        ({**MLP, "activation": [1, "2"]}, "spec.activation[1]"),
        ({**MLP, "activation": [1, "1e5/3"]}, "spec.activation[1]"),
        ({**MLP, "activation": [1, "1" * 5000 + "/3"]}, "spec.activation[1]"),
        ({**MLP, "activation": [1, [2]]}, "spec.activation[1]"),
        ({**MLP, "activation": {}}, "spec.activation.generic"),
        ({**MLP, "activation": {"generic": 2, "nam": "x"}}, "spec.activation"),
        ({**MLP, "activation": {"generic": 2, "name": 5}}, "spec.activation.name"),
        ({**MLP, "activation": {"generic": 10**6}}, "spec.activation.generic"),
        ({**MLP, "activations": [2]}, "spec.activations"),
        ({"family": "MLP", "widths": [2, 3, 1], "activations": [2, 2]}, "spec.activations"),
        ({"family": "MLP", "widths": [2, 3, 1], "activations": 2}, "spec.activations"),
        ({**MLP, "bias": "yes"}, "spec.bias"),
        ({"family": "CNN", "filters": []}, "spec.filters"),
        ({"family": "CNN", "filters": [3, [2, 2]]}, "spec.filters"),
        ({"family": "CNN", "filters": [3], "stride": 0}, "spec.stride"),
        ({"family": "CNN", "filters": [3], "n_inputs": 2}, "spec.filters[0]"),
        ({"family": "CNN", "filters": [3], "n_inputs": 0}, "spec.n_inputs"),
        ({"family": "LightningAttention", "d_model": 2, "d_key": 2}, "spec.n_tokens"),
        ({"family": "LightningAttention", "d_model": 2, "d_key": 2, "n_tokens": 0}, "spec.n_tokens"),
        ({"family": "LightningAttention", "d_model": 2, "d_key": 2, "n_tokens": 2, "n_heads": 0}, "spec.n_heads"),
        (sequence(), "spec.layers"),
        (sequence(n_input=3), "spec"),
        ({"family": "Sequential", "n_inputs": 3, "layers": {"0": CONV}}, "spec.layers"),
        (sequence(CONV, 5), "spec.layers[1]"),
        (sequence(CONV, {"layer": "Pool"}), "spec.layers[1].layer"),
        (sequence(CONV, {"layer": "Conv"}), "spec.layers[1].filter"),
        (sequence(CONV, {**CONV, "strides": 2}), "spec.layers[1]"),
        (sequence(CONV, {**CONV, "stride": 0}), "spec.layers[1].stride"),
        (sequence(CONV, {**CONV, "stride": [1, 1]}), "spec.layers[1].stride"),
        (sequence(CONV, {**CONV, "filter": 4}), "spec.layers[1]"),
        (sequence(CONV, residual(CONV, {**CONV, "stride": -1})), "spec.layers[1].layers[1].stride"),
        (sequence(CONV, residual(CONV, residual({**CONV, "filter": 9}))), "spec.layers[1].layers[1].layers[0]"),
        (sequence(CONV, residual(CONV)), "spec.layers[1]"),
        (sequence(residual()), "spec.layers[0].layers"),
        (sequence(residual(CONV, shortcut=[])), "spec.layers[0].shortcut"),
        (sequence(residual(CONV, shortcut=CONV)), "spec.layers[0].shortcut"),
        (sequence(residual(CONV, shortcut=[{"layer": "Conv"}])), "spec.layers[0].shortcut[0].filter"),
        (sequence({"layer": "Residual", "layers": [CONV], "depth": 1}), "spec.layers[0]"),
        (sequence({"layer": "Select", "positions": [4]}), "spec.layers[0]"),
        (sequence({"layer": "Select", "positions": []}), "spec.layers[0].positions"),
        (sequence({"layer": "Attention", "d_key": 1}), "spec.layers[0]"),
        (
            sequence(
                {"layer": "Activation", "activation": {"generic": 1, "name": "s"}},
                residual({"layer": "Activation", "activation": {"generic": 2, "name": "s"}}),
            ),
            "spec.layers[1].layers[0].activation.generic",
        ),
        ({"family": "Program", "n_inputs": 2, "instructions": []}, "spec.instructions"),
        (
            {"family": "Program", "n_inputs": 2, "instructions": [{"instruction": "relu"}]},
            "spec.instructions[0].instruction",
        ),
        (
            {"family": "Program", "n_inputs": 2, "instructions": [{"instruction": "affine", "input": 0}]},
            "spec.instructions[0].n_out",
        ),
        (
            {
                "family": "Program",
                "n_inputs": 2,
                "instructions": [{"instruction": "activation", "input": 0, "coefficients": [{"group": 0}]}],
            },
            "spec.instructions[0].coefficients[0].power",
        ),
        (
            {
                "family": "Program",
                "n_inputs": 2,
                "instructions": [{"instruction": "select", "input": 1, "indices": [0]}],
            },
            "spec.instructions[0]",
        ),
    ],
)
def test_one_clear_error(spec: Any, path: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        pc.network(spec)
    message = str(caught.value)
    assert message.startswith(f"`{path}`"), message
    assert len(message) < 400
    assert "\n" not in message


@pytest.mark.parametrize(
    "spec",
    [
        {"family": "CNN", "filters": [3], "n_inputs": 2 * 10**9},
        {"family": "LightningAttention", "d_model": 2, "d_key": 2, "n_tokens": 10**9},
        {"family": "Sequential", "n_inputs": 2 * 10**9, "layers": [CONV]},
    ],
)
def test_sizes_that_do_not_fit(spec: Any) -> None:
    with pytest.raises((MemoryError, OverflowError), match="`spec`"):
        pc.network(spec)


def nested(spec: Any, depth: int) -> Any:
    for _ in range(depth):
        spec = residual(spec)
    return spec


def test_deep_nesting() -> None:
    activation = {"layer": "Activation", "activation": [0, 1]}
    net = pc.network(sequence(nested(activation, 100)))
    assert through_json(net) == net
    assert hash(net) == hash(eval(repr(net), vars(pc)))
    for depth in (101, 10**4):
        with pytest.raises(ValueError, match=r"`spec\.layers` must not nest residuals more than 100 deep"):
            pc.network(sequence(nested(activation, depth)))
    layer: Any = Affine(2)
    for _ in range(100):
        layer = Residual(layer)
    with pytest.raises(ValueError, match="`layers` must not nest residuals more than 100 deep"):
        Residual(layer)
    deep: Any = []
    for _ in range(10**5):
        deep = [deep]
    for spec in (deep, {"family": deep}, {**MLP, "widths": deep}, {**MLP, "activation": deep}, sequence(deep)):
        with pytest.raises((TypeError, ValueError), match="`spec"):
            pc.network(spec)
    while deep:  # freed step by step
        deep = deep[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"family": "MLP", "widths": [2, 1], "widths": [3, 1]}', "the key 'widths' occurs twice"),
        ('{"family": "MLP", "widths": [2, 1], "activation": NaN}', "NaN is not a number"),
        ('{"family": "MLP", "widths": [2, 1], "activation": [-Infinity]}', "-Infinity is not a number"),
        ('{"family": "MLP", "widths": [2, 2, 1], "activation": [1e999]}', r"`spec.activation\[0\]` must be finite"),
        ('{"family": "MLP", "widths": [2, ' + "1" * 5000 + "]}", "`spec` must be JSON"),
        ("[" * 10**5 + "]" * 10**5, "nested too deeply"),
        ("", "`spec` must be JSON"),
        ("{", "`spec` must be JSON"),
        ("{'family': 'MLP'}", "`spec` must be JSON"),
        ("[]", "`spec` must be a dict"),
        ("5", "`spec` must be a dict"),
    ],
)
def test_files_from_elsewhere(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((TypeError, ValueError), match=message):
        read_network(path)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_bytes(b"\xff\xfe\xfd\x00")
    with pytest.raises(ValueError, match="`spec` must be JSON"):
        read_network(path)
    with pytest.raises(FileNotFoundError):
        read_network(tmp_path / "none.json")
