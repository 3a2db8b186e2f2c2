# SPDX-License-Identifier: BSD-3-Clause
"""Layers: what instructions they write, what shapes they take and make, and how they are written down."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import Activation, Affine, Attention, Conv, GenericActivation, Residual, Select, Sequential, program


def instructions(*layers: Any, n_inputs: Any) -> tuple[Any, ...]:
    return Sequential(*layers, n_inputs=n_inputs).program.instructions


# -- what they write --------------------------------------------------------------------------------------------------


def test_affine_and_activation() -> None:
    assert instructions(Affine(2, bias=True), Activation([0, 1, 1]), n_inputs=(3, 2)) == (
        program.Affine(0, 2, True),
        program.Activation(1, (0, 1, 1)),
    )


def test_windows_of_a_signal() -> None:
    (conv,) = instructions(Conv(2, stride=2), n_inputs=6)
    assert conv == program.Affine(0, 1, windows=((0, 1), (2, 3), (4, 5)))
    (conv,) = instructions(Conv(2, channels=3, bias=True), n_inputs=(3, 2))
    # Feature 0 at both positions, then feature 1: torch's order of the weights.
    assert conv == program.Affine(0, 3, True, windows=((0, 2, 1, 3), (2, 4, 3, 5)))


@pytest.mark.parametrize("seed", range(30))
def test_windows_by_counting(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, features = rng.integers(1, 6, 3).tolist()
    kh, kw = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
    sh, sw = rng.integers(1, 4, 2).tolist()
    (conv,) = instructions(Conv((kh, kw), 2, (sh, sw)), n_inputs=(height, width, features))
    expected = tuple(
        tuple(
            ((i + a) * width + j + b) * features + c
            for c, a, b in itertools.product(range(features), range(kh), range(kw))
        )
        for i, j in itertools.product(range(0, height - kh + 1, sh), range(0, width - kw + 1, sw))
    )
    everything = expected == (tuple(range(height * width * features)),)
    assert conv == program.Affine(0, 2, windows=None if everything else expected)


def test_attention_in_both_ways() -> None:
    tokens = ((0, 1), (2, 3))
    assert instructions(Attention(2, d_out=1), n_inputs=(2, 2)) == (
        program.Affine(0, 2, windows=tokens),
        program.Affine(0, 2, windows=tokens),
        program.Affine(0, 1, windows=tokens),
        program.MatMul(1, 3, 2, 2, 1, transpose_left=True),
        program.MatMul(2, 4, 2, 2, 1),
    )
    assert instructions(Attention(3, d_out=1), n_inputs=(2, 2))[3:] == (
        program.MatMul(2, 1, 2, 3, 2, transpose_right=True),
        program.MatMul(4, 3, 2, 2, 1),
    )


def test_heads_are_summed() -> None:
    written = instructions(Attention(1, n_heads=3), n_inputs=(2, 2))
    assert written[-1] == program.Add((5, 10, 15))
    assert sum(isinstance(i, program.Affine) for i in written) == 9


def test_residual_and_select() -> None:
    assert instructions(Residual(Activation(2)), Select([2, 0]), n_inputs=3) == (
        program.Activation(0, (0, 0, 1)),
        program.Add((0, 1)),
        program.Select(2, (2, 0)),
    )
    assert instructions(Select([1, 1]), n_inputs=(2, 3)) == (program.Select(0, (3, 4, 5, 3, 4, 5)),)
    # The layers come first, then the shortcut; the sum has the shortcut first.
    assert instructions(Residual(Affine(2), shortcut=[Affine(2), Activation(2)]), n_inputs=3) == (
        program.Affine(0, 2),
        program.Affine(0, 2),
        program.Activation(2, (0, 0, 1)),
        program.Add((3, 1)),
    )


# -- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "n_inputs", "shape"),
    [
        ([Affine(3)], (2, 5), (3,)),
        ([Activation(2)], (2, 5, 3), (2, 5, 3)),
        ([Conv(2)], 5, (4, 1)),
        ([Conv(2, 3, 2)], (6, 4), (3, 3)),
        ([Conv((2, 3))], (4, 5), (3, 3, 1)),
        ([Conv((2, 3), 4, (2, 1))], (5, 5, 7), (2, 3, 4)),
        ([Conv(1, 4)], (5, 2), (5, 4)),
        ([Attention(2)], (5, 3), (5, 3)),
        ([Attention(2, 4)], (5, 3), (5, 4)),
        ([Attention(2, 4)], (5, 2, 3), (5, 2, 4)),
        ([Select([0, 2, 1, 1])], 3, (4,)),
        ([Select([0, 2])], (3, 2), (2, 2)),
        ([Select([0, 5])], (3, 2, 4), (2, 4)),
        ([Residual(Conv(1))], 3, (3, 1)),
        ([Residual(Affine(6))], (3, 2), (3, 2)),
        ([Residual(Conv((1, 1)))], (3, 2), (3, 2, 1)),
        ([Residual(Attention(1), shortcut=Conv(1, 3)), Affine(1)], (3, 3), (1,)),
    ],
)
def test_shapes(layers: list[Any], n_inputs: Any, shape: tuple[int, ...]) -> None:
    net = Sequential(*layers, n_inputs=n_inputs)
    assert net.output_shape == shape
    assert net.n_outputs == np.prod(shape)
    assert net.input_shape == (n_inputs if isinstance(n_inputs, tuple) else (n_inputs,))
    assert net.n_inputs == np.prod(net.input_shape)


@pytest.mark.parametrize(
    ("layers", "n_inputs", "message"),
    [
        ([Affine(4), Conv(5)], 3, r"`layers\[1\]`, Conv\(5\), must have a filter no longer than the 4 positions"),
        ([Conv((2, 5))], (3, 4), r"`layers\[0\]`.* the 3 × 4 positions that it sees"),
        ([Conv((2, 2))], 9, r"`layers\[0\]`.* must see data of shape \(height, width\).*, got \(9,\)"),
        ([Conv(2)], (3, 3, 3), r"`layers\[0\]`.* must see data of shape \(n,\) or \(n, n_features\), got \(3, 3, 3\)"),
        ([Affine(4), Attention(1)], (2, 2), r"`layers\[1\]`.* must see data of shape \(n_tokens, n_features\)"),
        ([Select([0, 3])], (3, 2), r"`layers\[0\]` must select from the 3 positions that it sees, 0 to 2, got .* 3"),
        ([Residual(Affine(2))], 3, r"`layers\[0\]`: the layers and x must make data of the same shape, got \(2,\) and"),
        ([Residual(Conv(1, 2))], (3, 1), r"got \(3, 2\) and \(3, 1\)"),
        ([Residual(Conv(2), shortcut=Conv(1))], (3, 1), r"the layers and shortcut\(x\) .* got \(2, 1\) and \(3, 1\)"),
        ([Residual(Select([0, 1, 2]), shortcut=[Conv(1, 2, 2)])], (3, 2), r"got \(3, 2\) and \(2, 2\)"),
        (
            [Activation(2), Residual(Activation(2), Residual(Conv(1), Conv(9)))],
            4,
            r"`layers\[1\].layers\[1\].layers\[1\]`, Conv\(9\), must have a filter",
        ),
        ([Residual(Activation(2), shortcut=[Conv(1), Conv(9)])], 4, r"`layers\[0\].shortcut\[1\]`, Conv\(9\)"),
    ],
)
def test_shapes_that_do_not_fit(layers: list[Any], n_inputs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sequential(*layers, n_inputs=n_inputs)


def test_shapes_that_differ_are_not_added() -> None:
    transposed = Residual(Conv(1, 3), Select([0, 1]), shortcut=[Affine(6), Activation(2)])
    assert Sequential(transposed, n_inputs=(2, 2)).output_shape == (2, 3)  # a flat one takes the other's shape
    with pytest.raises(ValueError, match=r"got \(3, 2\) and \(2, 3\)"):
        Sequential(Residual(Select([0, 1, 2]), shortcut=Conv(2, 3)), n_inputs=(3, 2))


# -- how they are written ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (Affine(3), "Affine(3)"),
        (Affine(3, bias=True), "Affine(3, bias=True)"),
        (Activation(2), "Activation(2)"),
        (Activation([0, 0.5, 1]), "Activation([0, 0.5, 1])"),
        (Activation(np.polynomial.Polynomial([0, 1, 1])), "Activation([0, 1, 1])"),
        (Activation(GenericActivation(3)), "Activation(GenericActivation(3))"),
        (Conv(3), "Conv(3)"),
        (Conv(3, 2, 2, True), "Conv(3, channels=2, stride=2, bias=True)"),
        (Conv((3, 2), stride=2), "Conv((3, 2), stride=2)"),
        (Conv((3, 2), stride=(1, 2)), "Conv((3, 2), stride=(1, 2))"),
        (Attention(2), "Attention(2)"),
        (Attention(2, 3, 4), "Attention(2, d_out=3, n_heads=4)"),
        (Select(1), "Select(1)"),
        (Select([1, 2]), "Select((1, 2))"),
        (Residual(Affine(2), Activation(2)), "Residual(Affine(2), Activation(2))"),
        (Residual(Conv(2), shortcut=Conv(2)), "Residual(Conv(2), shortcut=Conv(2))"),
        (
            Residual(Conv(2), shortcut=(Conv(1), Conv(2))),
            "Residual(Conv(2), shortcut=(Conv(1), Conv(2)))",
        ),
    ],
)
def test_identity(layer: Any, text: str) -> None:
    assert repr(layer) == text
    assert eval(text, vars(pc)) == layer
    again = pickle.loads(pickle.dumps(layer))
    assert again == layer
    assert hash(again) == hash(layer)
    with pytest.raises(AttributeError):
        layer.n_out = 5


def test_equal_in_other_words() -> None:
    assert Activation(2) == Activation([0, 0, 1]) != Activation(3)
    assert Conv((2, 2), stride=2) == Conv([2, 2], stride=[2, 2]) != Conv((2, 2))
    assert Select(np.array([0, 1])) == Select((0, 1)) == Select(range(2))
    assert Residual(Affine(2), shortcut=[Affine(2)]) == Residual(Affine(2), shortcut=Affine(2)) != Residual(Affine(2))


def test_layers_of_a_network_make_networks() -> None:
    g = GenericActivation(2)
    net = Sequential(Affine(2), Activation(g), Residual(Activation(g)), Activation(GenericActivation(2)), n_inputs=2)
    assert Sequential(*net.layers, n_inputs=2) == net
    part = Sequential(*net.layers[1:3], n_inputs=2)
    assert len(part.program.indeterminates) == 3  # still one polynomial
    assert repr(part) == "Sequential(Activation(g1 := GenericActivation(2)), Residual(Activation(g1)), n_inputs=2)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sequential(n_inputs=2), ValueError, "`layers` must be at least one layer"),
        (lambda: Sequential(program.Affine(0, 2), n_inputs=2), TypeError, "instructions of polycore.program make"),
        (lambda: Sequential([Affine(2)], n_inputs=2), TypeError, r"`layers\[0\]` must be a layer, got \[Affine"),
        (lambda: Sequential(Affine, n_inputs=2), TypeError, r"`layers\[0\]` must be a layer"),
        (lambda: Sequential(pc.MLP((2, 2)), n_inputs=2), TypeError, r"`layers\[0\]` must be a layer, got MLP"),
        (lambda: Sequential(Affine(2), n_inputs=(2, 0)), ValueError, r"`n_inputs\[1\]` must be"),
        (lambda: Sequential(Affine(2), n_inputs=(2, 2, 2, 2)), ValueError, "`n_inputs` must be an integer or a shape"),
        (lambda: Sequential(Affine(2), n_inputs=(2**16, 2**16)), ValueError, "`n_inputs` must be fewer than 2"),
        (lambda: Residual(), ValueError, "`layers` must be at least one layer"),
        (lambda: Residual(Affine(2), shortcut=()), ValueError, "`shortcut` must be at least one layer"),
        (lambda: Residual(Affine(2), shortcut=[5]), TypeError, r"`shortcut\[0\]` must be a layer"),
        (lambda: Activation((2, 3)), TypeError, "`activation` must be one activation, coefficients as a list"),
        (lambda: Conv(2, stride=(1, 1)), ValueError, "`stride` must be an integer for a filter over a signal"),
        (lambda: Conv((2, 2, 2)), ValueError, "`filter` must be an integer or a pair"),
        (lambda: Conv((2, 0)), ValueError, r"`filter\[1\]` must be"),
        (lambda: Attention(0), ValueError, "`d_key` must be"),
        (lambda: Select([]), ValueError, "`positions` must have at least one"),
        (lambda: Select(-1), ValueError, r"`positions\[0\]` must be"),
    ],
)
def test_bad_layers(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_latex_of_long_networks() -> None:
    layers = [Affine(2), Activation(2), Activation(3)] * 4 + [Residual(Conv(1), shortcut=[Conv(1), Activation(2)])]
    text = Sequential(*layers, n_inputs=2)._repr_latex_()
    assert (
        r"f = R_{1} \circ \sigma_{2} \circ \sigma_{1} \circ \cdots \circ \sigma_{2} \circ \sigma_{1} \circ A_{1}"
        in text
    )
    assert text.count("=") == 6  # the composition and five definitions, of which one stands for the rest
    assert r"\ldots" in text
    assert text.endswith(r"R_{1}(x) = (\sigma_{1} \circ C_{6})(x) + C_{5}(x)$")
