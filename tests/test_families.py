# SPDX-License-Identifier: BSD-3-Clause
"""Families against their formulas: expansion by python-flint, values by plain numpy, derivatives by complex steps."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import flint
import numpy as np
import pytest

import polycore as pc
from polycore import Activation, Affine, Attention, Conv, GenericActivation, Residual, Select, Sequential

P61 = 2**61 - 1

FAMILIES: list[pc.Sequential] = [
    pc.CNN((3, 2), 2),
    pc.CNN((2, 2, 2), (2, 3), stride=(2, 1, 1)),
    pc.CNN((3, 2), [0, 1, 1], stride=2, n_inputs=9),
    pc.CNN((2, 2, 1), 2, bias=True),
    pc.CNN((3, 2, 2), stride=(1, 2, 1), n_inputs=9),  # linear
    pc.CNN((2, 2), 2, n_inputs=4, channels=(2, 1)),
    pc.CNN((2, 1), 3, n_inputs=(2, 2), channels=(3, 2), bias=True),
    pc.CNN(((2, 2), (1, 2)), 2, n_inputs=(3, 3)),
    pc.CNN(((2, 1), (1, 2)), [0, 1, Fraction(1, 2)], stride=((1, 2), 1), n_inputs=(2, 5), bias=True),
    pc.CNN(((1, 2),), n_inputs=(2, 3, 2), channels=2, stride=((2, 1),)),
    pc.CNN(2, n_inputs=5),
    pc.LightningAttention(2, 2, 1, 2),
    pc.LightningAttention(2, 3, 2, 2),  # d_key > d_model
    pc.LightningAttention(2, 1, 3, 3),
    pc.LightningAttention(1, 1, 1, 1),
    pc.LightningAttention(2, 1, 1, 1, n_layers=2, n_heads=2),
    pc.LightningAttention(1, 2, 1, 2, n_layers=2),
    pc.LightningAttention(2, 1, 2, 2, n_heads=3),
    Sequential(Residual(Affine(2, bias=True), Activation(2)), Affine(1), n_inputs=2),
    Sequential(Residual(Attention(1)), Residual(Conv(1, channels=2), Activation([0, 1, 1])), n_inputs=(2, 2)),
    Sequential(Residual(Conv(2), Activation(2), shortcut=Conv(2)), n_inputs=4),
    Sequential(Select([2, 0, 0]), Activation(3), Affine(2), n_inputs=3),
    Sequential(Residual(Activation(2), Residual(Activation(2))), Select(1), n_inputs=(2, 1)),
    Sequential(Residual(Select([1, 0]), shortcut=[Affine(2), Activation(2)]), n_inputs=(2,)),
    Sequential(Attention(2, d_out=1), Select(0), n_inputs=(2, 2)),
    Sequential(Conv((1, 2), channels=2), Attention(1), n_inputs=(1, 2, 2)),
]
families = pytest.mark.parametrize("net", FAMILIES, ids=map(repr, FAMILIES))


def fresh(net: Any) -> Any:
    """The same network without a cached executor, for the backend in use."""
    return pickle.loads(pickle.dumps(net))


# -- the formulas -----------------------------------------------------------------------------------------------------
#
# Values are arrays of the shape of the data, of floats, complex numbers, or objects: ints, polynomials of python-flint.


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: tuple[int, ...]) -> np.ndarray:
    """Cross-correlation of (positions..., features) with (channels, features, filter...), without padding."""
    extent = w.shape[2:]
    n_out = [(n - k) // s + 1 for n, k, s in zip(x.shape, extent, stride)]
    result = np.empty((*n_out, len(w)), dtype=np.result_type(x, w))
    for position in itertools.product(*map(range, n_out)):
        for channel in range(len(w)):
            total = 0 if b is None else b[channel]
            for offset in itertools.product(*map(range, extent)):
                for feature in range(w.shape[1]):
                    here = tuple(p * s + k for p, s, k in zip(position, stride, offset))
                    total = total + w[(channel, feature, *offset)] * x[(*here, feature)]
            result[(*position, channel)] = total
    return result


def run_layer(layer: Any, x: np.ndarray, arrays: Iterator[np.ndarray], number: Any) -> np.ndarray:
    """The values of a layer; ``arrays`` are the parameters that are left, ``number`` makes numbers of coefficients."""
    if isinstance(layer, Affine):
        y = next(arrays) @ x.reshape(-1)
        return y + next(arrays) if layer.bias else y
    if isinstance(layer, Activation):
        return sum(number(c) * x**k for k, c in enumerate(layer.polynomial.coefficients))
    if isinstance(layer, Conv):
        extent = (layer.filter,) if isinstance(layer.filter, int) else layer.filter
        x = x if x.ndim > len(extent) else x[..., None]
        w = next(arrays).reshape(layer.channels, x.shape[-1], *extent)
        stride = (layer.stride,) if isinstance(layer.stride, int) else layer.stride
        return correlate(x, w, next(arrays) if layer.bias else None, stride)
    if isinstance(layer, Attention):
        X = x.reshape(-1, x.shape[-1]).T  # columns are tokens
        total: Any = 0
        for _ in range(layer.n_heads):
            K, Q, V = next(arrays), next(arrays), next(arrays)
            total = total + V @ X @ X.T @ K.T @ Q @ X
        return total.T.reshape(*x.shape[:-1], -1)
    if isinstance(layer, Select):
        return x.reshape(-1, *x.shape[1:][-1:])[list(layer.positions)]
    left = run_layers(layer.layers, x, arrays, number)
    right = x if layer.shortcut is None else run_layers(layer.shortcut, x, arrays, number)
    shape = max(left.shape, right.shape, key=len)
    return left.reshape(shape) + right.reshape(shape)


def run_layers(layers: Any, x: np.ndarray, arrays: Iterator[np.ndarray], number: Any) -> np.ndarray:
    for layer in layers:
        x = run_layer(layer, x, arrays, number)
    return x


def run(net: pc.Sequential, theta: np.ndarray, x: np.ndarray, number: Any = float) -> np.ndarray:
    """The outputs of a network at one point, flat."""
    arrays = iter(net.unpack(theta).values())
    outputs = run_layers(net.layers, x.reshape(net.input_shape), arrays, number)
    assert next(arrays, None) is None
    return outputs.reshape(-1)


def expand_with_flint(net: pc.Sequential, theta: np.ndarray) -> np.ndarray:
    """Coefficients (n_outputs, n_monomials), Fractions: the formulas on python-flint's polynomials."""
    context = flint.fmpq_mpoly_ctx.get(("x", net.n_inputs), flint.Ordering.deglex)
    x, weights = np.empty(net.n_inputs, dtype=object), np.empty(net.n_params, dtype=object)
    x[:] = context.gens()
    weights[:] = [flint.fmpq(int(t)) for t in theta]
    outputs = run(net, weights, x, lambda c: flint.fmpq(*Fraction(c).as_integer_ratio()))
    coef = np.full((net.n_outputs, len(net.basis)), Fraction(0), dtype=object)
    for o, polynomial in enumerate(outputs):
        for exponents, c in polynomial.to_dict().items():
            coef[o, net.basis.index(exponents)] = Fraction(int(c.p), int(c.q))
    return coef


def residues(array: np.ndarray, p: int) -> np.ndarray:
    flat = [x.numerator * pow(x.denominator, -1, p) % p for x in array.reshape(-1)]
    return np.array(flat, dtype=np.uint64).reshape(array.shape)


def integers(net: pc.Network, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9, 10, net.n_params)


# -- expansion, values, derivatives -----------------------------------------------------------------------------------


@families
def test_expansion_against_flint(on_backend: str, net: Any) -> None:
    net = fresh(net)
    theta = integers(net, 0)
    expected = expand_with_flint(net, theta)
    as_float = expected.astype(float)
    np.testing.assert_allclose(net.expand(theta), as_float, rtol=1e-13, atol=1e-13 * np.abs(as_float).max())
    for p in (3, 10007, 2**31 - 1):
        np.testing.assert_array_equal(net.expand(theta, modulus=p), residues(expected, p))
    assert (net.expand(theta, dtype=object) == expected).all()


@families
def test_expansion_modulo_a_61_bit_prime(net: Any) -> None:
    theta = integers(net, 1)
    np.testing.assert_array_equal(net.expand(theta, modulus=P61), residues(expand_with_flint(net, theta), P61))


@families
def test_values_against_the_formulas(on_backend: str, net: Any) -> None:
    net, rng = fresh(net), np.random.default_rng(2)
    theta, X = net.random_params(3), rng.standard_normal((7, net.n_inputs))
    expected = np.array([run(net, theta, x) for x in X])
    np.testing.assert_allclose(net.evaluate(theta, X), expected, rtol=1e-11, atol=1e-12 * np.abs(expected).max())
    by_basis = (
        X @ np.zeros((net.n_inputs, 0)) if not len(net.basis) else pc.veronese(X, net.basis) @ net.expand(theta).T
    )
    np.testing.assert_allclose(by_basis, expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())


@families
def test_exact_values(net: Any) -> None:
    theta = integers(net, 4).astype(object)
    x = np.random.default_rng(5).integers(-9, 10, net.n_inputs).astype(object)
    expected = run(net, theta, x, lambda c: c)
    assert (net.evaluate(theta, x[None], dtype=object)[0] == expected).all()
    as_fractions = np.array([Fraction(v) for v in expected], dtype=object)
    np.testing.assert_array_equal(net.evaluate(theta, x[None], modulus=10007)[0], residues(as_fractions, 10007))


@families
def test_jacobian_by_complex_steps(on_backend: str, net: Any) -> None:
    net = fresh(net)
    theta = net.random_params(6)
    jacobian = net.jacobian(theta)
    expected = np.empty_like(jacobian)
    for k in range(net.n_params):
        step = theta.astype(complex)
        step[k] += 1e-30j
        expected[:, k] = net.expand(step).imag.reshape(-1) / 1e-30
    np.testing.assert_allclose(jacobian, expected, rtol=1e-11, atol=1e-12 * np.abs(expected).max(initial=1))


@families
def test_gradients_by_complex_steps_of_the_formulas(on_backend: str, net: Any) -> None:
    net, rng = fresh(net), np.random.default_rng(7)
    theta, X, dY = net.random_params(8), rng.standard_normal((3, net.n_inputs)), rng.standard_normal((3, net.n_outputs))
    expected = np.empty((3, net.n_params))
    for k in range(net.n_params):
        step = theta.astype(complex)
        step[k] += 1e-30j
        expected[:, k] = [dy @ run(net, step, x).imag / 1e-30 for x, dy in zip(X, dY)]
    scale = np.abs(expected).max(initial=1)
    np.testing.assert_allclose(net.evaluate_vjp(theta, X, dY), expected, rtol=1e-11, atol=1e-12 * scale)


@families
def test_adjoints(on_backend: str, net: Any) -> None:
    net, rng = fresh(net), np.random.default_rng(9)
    theta, dtheta = net.random_params(10), net.random_params(11)
    dcoef = rng.standard_normal((net.n_outputs, len(net.basis)))
    product, transposed = net.jvp(theta, dtheta), net.vjp(theta, dcoef)
    np.testing.assert_allclose(product.reshape(-1), net.jacobian(theta) @ dtheta, rtol=1e-10, atol=1e-11)
    assert (dcoef * product).sum() == pytest.approx(transposed @ dtheta, rel=1e-9, abs=1e-9)


@families
def test_the_loss_from_moments(net: Any) -> None:
    rng = np.random.default_rng(12)
    X, Y = rng.standard_normal((50, net.n_inputs)), rng.standard_normal((50, net.n_outputs))
    objective = pc.QDistance.from_data(X, Y, net.basis).compose(net)
    theta = net.random_params(13)
    residual = ((np.array([run(net, theta, x) for x in X]) - Y) ** 2).sum()
    assert objective.value(theta) + objective.loss.constant == pytest.approx(residual, rel=1e-9)


# -- against others ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 3)])
def test_signals_against_numpy_convolve(stride: tuple[int, int]) -> None:
    net = pc.CNN((4, 3), [0, 1, 1], stride=stride, n_inputs=30)
    theta, x = net.random_params(0), np.random.default_rng(1).standard_normal(30)
    w1, w2 = net.unpack(theta).values()
    z = np.convolve(x, w1[::-1], "valid")[:: stride[0]]
    expected = np.convolve(z + z**2, w2[::-1], "valid")[:: stride[1]]
    np.testing.assert_allclose(net.evaluate(theta, x[None])[0], expected, rtol=1e-12)


def test_attention_against_einsum() -> None:
    d, a, d_out, t, heads = 4, 3, 2, 5, 2
    net = pc.LightningAttention(d, a, d_out, t, n_heads=heads)
    theta, X = net.random_params(0), np.random.default_rng(1).standard_normal((6, t, d))  # samples, tokens, features
    p = net.unpack(theta)
    expected = sum(
        np.einsum("oi,sti,stj,kj,kl,sul->suo", p[f"V1_{h}"], X, X, p[f"K1_{h}"], p[f"Q1_{h}"], X) for h in (1, 2)
    )
    values = net.evaluate(theta, X.reshape(6, t * d)).reshape(6, t, d_out)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


convolutions = pytest.mark.parametrize(
    ("filter", "stride", "shape", "channels"),
    [(3, 2, (9, 2), 4), (1, 1, (4, 3), 2), ((2, 3), (1, 2), (5, 8, 3), 2), ((3, 3), (2, 2), (7, 7, 1), 1)],
)


@convolutions
def test_convolution_against_scipy(filter: Any, stride: Any, shape: tuple[int, ...], channels: int) -> None:
    from scipy.signal import correlate

    net = Sequential(Conv(filter, channels=channels, stride=stride, bias=True), n_inputs=shape)
    theta, x = net.random_params(0), np.random.default_rng(1).standard_normal(shape)
    w, b = net.unpack(theta).values()
    w = np.moveaxis(w.reshape(channels, shape[-1], *np.atleast_1d(filter)), 1, -1)  # features last, as in x
    steps = tuple(slice(None, None, step) for step in np.atleast_1d(stride))
    expected = np.stack([correlate(x, kernel, "valid")[..., 0][steps] for kernel in w], axis=-1) + b
    assert net.output_shape == expected.shape
    np.testing.assert_allclose(net.evaluate(theta, x.reshape(1, -1))[0], expected.reshape(-1), rtol=1e-12, atol=1e-13)


@convolutions
def test_convolution_against_torch(filter: Any, stride: Any, shape: tuple[int, ...], channels: int) -> None:
    torch = pytest.importorskip("torch")
    net = Sequential(Conv(filter, channels=channels, stride=stride, bias=True), n_inputs=shape)
    theta, X = net.random_params(0), np.random.default_rng(1).standard_normal((3, *shape))
    w, b = net.unpack(theta).values()
    w = w.reshape(channels, shape[-1], *np.atleast_1d(filter))
    conv = torch.nn.functional.conv1d if len(shape) == 2 else torch.nn.functional.conv2d
    expected = conv(torch.from_numpy(np.moveaxis(X, -1, 1).copy()), torch.from_numpy(w), torch.from_numpy(b), stride)
    values = net.evaluate(theta, X.reshape(3, -1)).reshape(3, *net.output_shape)
    np.testing.assert_allclose(values, np.moveaxis(expected.numpy(), 1, -1), rtol=1e-12)


# -- random networks --------------------------------------------------------------------------------------------------


def random_layer(rng: np.random.Generator, nesting: int) -> Any:
    def size(high: int = 3) -> int:
        return int(rng.integers(1, high + 1))

    kind = rng.integers(0, 8 if nesting else 6)
    if kind == 0:
        return Affine(size(), bias=bool(rng.integers(2)))
    if kind == 1:
        return Activation([[0, 1, 1], 2, [1, 0, 2]][size() - 1])
    if kind == 2:
        return Conv(size(), size(2), size(2), bias=bool(rng.integers(2)))
    if kind == 3:
        return Conv((size(), size()), size(2), (size(2), size(2)), bias=bool(rng.integers(2)))
    if kind == 4:
        return Attention(size(), [None, size()][size(2) - 1], size(2))
    if kind == 5:
        return Select(rng.integers(0, 3, size()).tolist())
    inner = [random_layer(rng, nesting - 1) for _ in range(size(2))]
    return Residual(*inner, shortcut=random_layer(rng, 0) if kind == 6 else None)


def random_network(rng: np.random.Generator, n_layers: int) -> pc.Sequential:
    shape = [(4,), (3, 2), (2, 3), (3, 2, 2), (1, 1)][rng.integers(5)]
    layers: list[Any] = []
    while len(layers) < n_layers:
        layer = random_layer(rng, 2)
        try:
            net = Sequential(*layers, layer, n_inputs=shape)
        except ValueError:
            continue  # it cannot take these data
        if net.degree <= 30:
            layers.append(layer)
    return net


@pytest.mark.parametrize("seed", range(200))
def test_random_networks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = random_network(rng, 1 + seed % 5)
    assert eval(repr(net), vars(pc)) == net == fresh(net) == pc.network(net.spec())
    theta, x = integers(net, seed).astype(object), rng.integers(-3, 4, net.n_inputs).astype(object)
    assert (net.evaluate(theta, x[None], dtype=object)[0] == run(net, theta, x, lambda c: c)).all()
    np.testing.assert_array_equal(net.pack(net.unpack(theta)), theta)
    assert net._repr_latex_().count("{") == net._repr_latex_().count("}")


def test_random_networks_have_every_layer() -> None:
    nets = [random_network(np.random.default_rng(seed), 1 + seed % 5) for seed in range(200)]
    for words in ("Affine", "Activation", "Conv(1", "Conv((", "Attention", "Select", "Residual", "shortcut", "n_heads"):
        assert sum(words in repr(net) for net in nets) >= 10, words


# -- families are sequences of layers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "net",
    [
        pc.MLP((2, 3, 4, 1), 2),
        pc.MLP((2, 3, 4, 1), (2, [0, 1, 1]), bias=True),
        pc.MLP((3, 2), bias=True),
        pc.MLP((2, 2, 2, 1), GenericActivation(2)),
        pc.MLP((2, 2, 2, 1), (GenericActivation(2), GenericActivation(2))),
        pc.CNN((2, 2, 2), GenericActivation(2), bias=True),
        *(net for net in FAMILIES if type(net) is not Sequential),
    ],
    ids=repr,
)
def test_families_are_built_from_layers(net: Any) -> None:
    same = Sequential(*net.layers, n_inputs=net.input_shape)
    assert same.program == net.program
    assert (same.input_shape, same.output_shape) == (net.input_shape, net.output_shape)
    assert same != net
    theta = np.arange(net.n_params)
    named, again = net.unpack(theta), same.unpack(theta)
    assert named.keys() == again.keys()
    assert all((named[name] == again[name]).all() and named[name].shape == again[name].shape for name in named)


def test_layers_of_an_mlp_are_made_when_looked_at() -> None:
    net = pc.MLP((2, 3, 1), 2)
    assert "layers" not in vars(net)  # sweeps make thousands of networks
    assert net.layers == (Affine(3), Activation(2), Affine(1))
    assert net.layers is net.layers
    assert (net.input_shape, net.output_shape) == ((2,), (1,))


def test_names_and_shapes_of_parameters() -> None:
    def shapes(net: pc.Network) -> dict[str, tuple[int, ...]]:
        return {name: array.shape for name, array in net.unpack(np.zeros(net.n_params)).items()}

    assert shapes(pc.CNN((3, 2), 2, bias=True)) == {"W1": (3,), "b1": (1,), "W2": (2,), "b2": (1,)}
    two = pc.CNN((3, 2), 2, channels=(4, 1))
    assert shapes(two) == {"W1": (4, 1, 3), "W2": (1, 4, 2)}
    assert shapes(pc.CNN(((2, 3), (2, 2)), 2)) == {"W1": (2, 3), "W2": (2, 2)}
    assert shapes(pc.CNN((2,), n_inputs=(3, 2))) == {"W1": (1, 2, 2)}
    attention = pc.LightningAttention(3, 2, 1, 4, n_layers=2)
    assert shapes(attention) == {
        "K1": (2, 3),
        "Q1": (2, 3),
        "V1": (3, 3),
        "K2": (2, 3),
        "Q2": (2, 3),
        "V2": (1, 3),
    }
    heads = pc.LightningAttention(2, 1, 1, 2, n_heads=2)
    assert list(shapes(heads)) == ["K1_1", "Q1_1", "V1_1", "K1_2", "Q1_2", "V1_2"]
    mixed = Sequential(
        Residual(Attention(1), shortcut=Conv(1, 2)), Activation(2), Affine(1, bias=True), n_inputs=(2, 2)
    )
    assert list(shapes(mixed)) == ["K1", "Q1", "V1", "W2", "W3", "b3"]
    with pytest.raises(ValueError, match="`W2` must have shape"):
        two.pack(W1=np.zeros((4, 1, 3)), W2=np.zeros((4, 2)))


def test_a_program_with_windows_names_its_parameters() -> None:
    net = pc.Network(pc.CNN((2, 2), 2, n_inputs=4, bias=True).program)
    assert {name: a.shape for name, a in net.unpack(range(6)).items()} == {
        "W1": (1, 2),
        "b1": (1,),
        "W2": (1, 2),
        "b2": (1,),
    }


def test_parameters_vary_with_one_over_fan_in() -> None:
    net = pc.CNN((50, 2), 2, channels=(40, 1))
    W1, W2 = net.unpack(net.random_params(0)).values()
    assert W1.std() == pytest.approx(50**-0.5, rel=0.05)
    assert W2.std() == pytest.approx(80**-0.5, rel=0.2)
    attention = pc.LightningAttention(100, 20, 30, 2)
    for array in attention.unpack(attention.random_params(0)).values():
        assert array.std() == pytest.approx(0.1, rel=0.05)


def test_the_example_runs() -> None:
    example = Path(__file__).parents[1] / "examples" / "families.py"
    run = subprocess.run([sys.executable, example], capture_output=True, text=True, check=True)
    printed = run.stdout.split("SymmetryGroup of ")
    assert [text.split("(")[0] for text in printed[1:]] == ["MLP", "CNN", "LightningAttention", "Sequential"]
    assert run.stdout.count("\n{") == 4
    assert not run.stderr


# -- arguments --------------------------------------------------------------------------------------------------------


def test_the_receptive_field_is_the_default() -> None:
    assert pc.CNN((3, 2), 2).n_inputs == 4
    assert pc.CNN((3, 2, 2), 2, stride=(2, 3, 5)).n_inputs == 3 + 2 * (2 - 1 + 3 * 1)
    assert pc.CNN(((3, 2), (2, 2)), 2, stride=((2, 1), 1)).input_shape == (5, 3)
    assert pc.CNN((3,), channels=(2, 1)).input_shape == (3, 2)
    for net in (pc.CNN((3, 2, 2), 2, stride=(2, 3, 5)), pc.CNN(((3, 2), (2, 2)), 2, stride=((2, 1), 1))):
        assert net.n_outputs == 1


def test_the_same_network_in_other_words() -> None:
    assert pc.CNN([3, 3], 2, stride=2) == pc.CNN((3, 3), 2, stride=(2, 2), n_inputs=7, channels=(1, 1))
    assert pc.CNN(3) == pc.CNN((3,), n_inputs=(3, 1))
    assert pc.CNN((2, 2), n_inputs=4, channels=(3, 2, 1)) == pc.CNN((2, 2), n_inputs=(4, 3), channels=(2, 1))
    assert pc.CNN(((2, 2),), stride=1, n_inputs=(4, 4, 1)) == pc.CNN(((2, 2),), stride=((1, 1),), n_inputs=(4, 4))
    assert pc.CNN(range(2, 4), 2) == pc.CNN((2, 3), 2)
    assert pc.CNN(np.array([2, 2]), stride=np.array([1, 2])) == pc.CNN((2, 2), stride=(1, 2))
    assert pc.LightningAttention(2, 1, n_tokens=3) == pc.LightningAttention(2, 1, 2, 3, 1, 1)
    assert pc.CNN((2, 2), 2) != pc.CNN((2, 2), 3)
    assert pc.CNN((2, 2), 2) != pc.CNN((2, 2), 2, n_inputs=4)
    assert pc.CNN((2, 2), 2).program != pc.CNN((2, 2), 2, stride=(2, 1)).program


def test_windows_that_are_everything_are_a_dense_layer() -> None:
    assert pc.CNN((4,)).program == pc.MLP((4, 1)).program
    assert pc.CNN((2, 3), 2).program.instructions[-1] == pc.program.Affine(2, 1)


@pytest.mark.parametrize("t", [1, 2, 4])
def test_either_way_to_contract_gives_the_same_function(t: int) -> None:
    wide, narrow = pc.LightningAttention(2, 3, 1, t), pc.LightningAttention(2, 2, 1, t)
    left = [i.rows for i in wide.program.instructions if isinstance(i, pc.program.MatMul)]
    assert left == ([t, t] if t < 3 else [3, t])
    arrays = narrow.unpack(integers(narrow, 0))
    padded = {name: np.vstack([a, [[0, 0]]]) if name in ("K1", "Q1") else a for name, a in arrays.items()}
    p = 10007
    np.testing.assert_array_equal(
        wide.expand(wide.pack(padded), modulus=p), narrow.expand(narrow.pack(arrays), modulus=p)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pc.CNN((3, 3), 2, n_inputs=4), r"`filters\[1\]`=3 must be no longer than the 2 positions .* layer 2"),
        (lambda: pc.CNN((3, 3), 2, n_inputs=2), r"`filters\[0\]`=3 must be no longer than the 2 positions .* layer 1"),
        (lambda: pc.CNN(((2, 3), (1, 2)), 2, n_inputs=(9, 3)), r"`filters\[1\]`=\(1, 2\) .* the 8 × 1 positions"),
        (lambda: pc.CNN((3, 3), 2, stride=0), "`stride` must be an integer with 1 <= stride"),
        (lambda: pc.CNN((3, 3), 2, stride=(1, 0)), r"`stride\[1\]` must be"),
        (lambda: pc.CNN((3, 3), 2, stride=(1, 1, 1)), r"`stride` must have one entry a layer \(2\), got 3"),
        (lambda: pc.CNN((3, 3), 2, stride=((1, 1), 1)), r"`stride\[0\]` must be an integer for filters over signals"),
        (lambda: pc.CNN((3, 0), 2), r"`filters\[1\]` must be"),
        (lambda: pc.CNN((), 2), "`filters` must have at least one entry"),
        (lambda: pc.CNN((3, (2, 2)), 2), "`filters` must be all lengths"),
        (lambda: pc.CNN((3, 3), (2, 2)), r"`activation` as a tuple must have one entry per hidden layer \(1\)"),
        (lambda: pc.CNN((3, 3), 2, channels=(1, 0)), r"`channels\[1\]` must be"),
        (lambda: pc.CNN((3, 3), 2, channels=(1,) * 4), r"`channels` must have one entry a layer \(2\)"),
        (
            lambda: pc.CNN((3, 3), n_inputs=(9, 2), channels=(3, 1, 1)),
            "`n_inputs` has 2 features and `channels` begins",
        ),
        (lambda: pc.CNN((3, 3), n_inputs=(9, 2, 2)), r"`n_inputs` must be n or \(n, n_features\)"),
        (lambda: pc.CNN(((3, 3),), n_inputs=9), r"`n_inputs` must be \(height, width\)"),
        (lambda: pc.LightningAttention(2, 2, 2, 0), "`n_tokens` must be an integer with 1 <="),
        (lambda: pc.LightningAttention(2, 0, 2, 2), "`d_key` must be"),
        (lambda: pc.LightningAttention(2, 2, 2, 2, n_heads=0), "`n_heads` must be"),
        (lambda: pc.LightningAttention(2, 2, 2, 2, n_layers=0), "`n_layers` must be"),
    ],
)
def test_sizes_that_make_no_sense(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_tokens_must_be_counted() -> None:
    with pytest.raises(TypeError, match="`n_tokens` must be given"):
        pc.LightningAttention(2, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: pc.CNN((3, 3), 2, n_inputs=2 * 10**9),
        lambda: pc.CNN((10**9,), stride=1, n_inputs=2 * 10**9),
        lambda: pc.CNN((3,) * 40, 2, stride=3),
        lambda: pc.CNN((3,) * 10**4, 2, stride=3),
        lambda: pc.CNN(((10**4, 10**4),), n_inputs=(2 * 10**4, 2 * 10**4)),
        lambda: pc.LightningAttention(2, 2, 2, 10**9),
        lambda: pc.LightningAttention(2, 2, 2, 2, n_heads=2**31 - 1),
        lambda: Sequential(Select(range(10**6)), Affine(2), n_inputs=(10**6, 2000)),
        lambda: pc.CNN((2, 2), 2, n_inputs=10**4).expand(np.zeros(4)),
        lambda: pc.CNN((2, 2), 4000, n_inputs=1000).expand(np.zeros(4)),
        lambda: pc.LightningAttention(30, 2, 2, 30).expand(np.zeros(180)),
        lambda: pc.LightningAttention(3, 2, n_tokens=3, n_layers=9).jacobian(np.zeros(9 * 21)),
        lambda: pc.LightningAttention(3, 2, n_tokens=3, n_layers=1000).expand(np.zeros(1000 * 21)),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_memory_is_taken(make: Any) -> None:
    with pytest.raises((MemoryError, OverflowError)):
        make()


# -- identity ---------------------------------------------------------------------------------------------------------


@families
def test_identity(net: Any) -> None:
    again = fresh(net)
    assert again == net
    assert hash(again) == hash(net)
    assert type(again) is type(net)
    assert eval(repr(net), {**vars(pc), "Fraction": Fraction}) == net
    assert again.output_shape == net.output_shape
    assert net.specialize() is net
    assert net._repr_latex_().startswith("$f")


def test_reprs() -> None:
    assert repr(pc.CNN((3, 2), 2)) == "CNN((3, 2), activation=2, n_inputs=4)"
    assert repr(pc.CNN(((3, 3),) * 2, 2, stride=(2, (1, 2)), n_inputs=(9, 9, 3), bias=True, channels=(4, 1))) == (
        "CNN(((3, 3), (3, 3)), activation=2, stride=(2, (1, 2)), n_inputs=(9, 9, 3), bias=True, channels=(4, 1))"
    )
    assert (
        repr(pc.LightningAttention(2, 1, n_tokens=3)) == "LightningAttention(d_model=2, d_key=1, d_out=2, n_tokens=3)"
    )


def test_generic_activations_are_shared_by_object() -> None:
    g, h = GenericActivation(2), GenericActivation(2)
    shared = Sequential(Affine(2), Activation(g), Affine(2), Activation(g), Affine(1), n_inputs=2)
    apart = Sequential(Affine(2), Activation(g), Affine(2), Activation(h), Affine(1), n_inputs=2)
    inside = Sequential(Residual(Activation(g)), Activation(g), n_inputs=2)
    assert shared != apart
    assert len(shared.program.indeterminates) == 3
    assert len(apart.program.indeterminates) == 6
    assert len(inside.program.indeterminates) == 3
    assert shared.program == pc.MLP((2, 2, 2, 1), GenericActivation(2)).program
    for net in (shared, apart, inside, pc.CNN((2, 2, 2), (g, g)), pc.CNN((2, 2, 2), (g, h)), pc.CNN((2, 2, 2), g)):
        assert fresh(net) == net == eval(repr(net), vars(pc)) == pc.network(net.spec())
        special = net.specialize(3)
        assert type(special) is type(net)
        assert not special.program.is_generic
        polynomials = [i.coefficients for i in special.program.activations]
        assert (polynomials[0] == polynomials[1]) == (len(net.program.indeterminates) == 3)
    assert repr(shared).count(":=") == 1
    assert repr(apart).count(":=") == 0


def test_latex() -> None:
    assert pc.CNN((3, 2), 2, n_inputs=(6,))._repr_latex_() == (
        r"$f\colon \mathbb{R}^{6} \to \mathbb{R}^{3},\quad f(x) = w_{2} \star \sigma\left(w_{1} \star x\right),\quad "
        r"\sigma(z) = z^{2}$"
    )
    assert pc.LightningAttention(2, 1, n_tokens=3, n_layers=2, n_heads=2)._repr_latex_() == (
        r"$f\colon \mathbb{R}^{3 \times 2} \to \mathbb{R}^{3 \times 2},\quad f = \alpha_{2} \circ \alpha_{1},\quad "
        r"\alpha_{1}(X) = \sum_{h=1}^{2} V_{1,h} X X^\top K_{1,h}^\top Q_{1,h} X,\quad "
        r"\alpha_{2}(X) = \sum_{h=1}^{2} V_{2,h} X X^\top K_{2,h}^\top Q_{2,h} X$"
    )
    residual = Sequential(Residual(Affine(2), Activation(2), shortcut=Affine(2, bias=True)), Select(1), n_inputs=2)
    assert residual._repr_latex_() == (
        r"$f\colon \mathbb{R}^{2} \to \mathbb{R}^{1},\quad f = S_{1} \circ R_{1},\quad A_{1}(x) = W_{1} x,\quad "
        r"\sigma(z) = z^{2},\quad A_{2}(x) = W_{2} x + b_{2},\quad R_{1}(x) = A_{2}(x) + (\sigma \circ A_{1})(x),\quad "
        r"S_{1}(x) = (x_{2})$"
    )
