# SPDX-License-Identifier: BSD-3-Clause
"""Network families: `Sequential` writes a program from layers; `MLP`, `CNN` and others say which layers in few words.

`polycore.network` has what they have in common, and its legend for shapes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np

from . import program
from ._validation import (
    INT32_MAX,
    _describe,
    _format_int,
    as_flag,
    as_index,
    as_sequence,
)
from .activations import ActivationPolynomial, activation_argument, as_activation, as_activations
from .instructions import substitute
from .layers import (
    Activation,
    Affine,
    Attention,
    Conv,
    Data,
    DataShape,
    Layer,
    Pair,
    Writer,
    as_data_shape,
    as_extent,
    as_layers,
    check_n_layers,
    composition_formula,
    layers_text,
    map_activations,
    shortened,
    with_numbered_activations,
    write_layers,
)
from .network import Network
from .network_polynomial import NetworkPolynomial
from .program import Indeterminate, Number, Program

__all__ = ["CNN", "MLP", "LightningAttention", "Network", "NetworkPolynomial", "Sequential"]

# Degrees grow as 3^layers.
_MAX_LAYERS = 2**12


class Sequential(Network):
    """Layers one after another: the network from which the named families are built.

    Parameters
    ----------
    *layers : layer
        `Affine`, `Activation`, `Conv`, `Attention`, `Select`, `Residual`; first layer first.
    n_inputs : int or tuple of int
        Shape of the data: (n,) or n; (n_positions, n_features), tokens or a signal; (height, width) or
        (height, width, n_features), images. A point is a row with all values in C order, so position by position with
        the features of a position together.

    Attributes
    ----------
    layers : tuple of layers
    input_shape, output_shape : tuple of int
        ``n_inputs`` and ``n_outputs`` are their numbers of values; outputs are in C order, too.
    n_inputs, n_outputs, n_params, degree, basis, program
        See `Network`. Layers with parameters are numbered from 1 in ``unpack``, whatever is between them.

    Raises
    ------
    TypeError
        For what is not a layer.
    ValueError
        If a layer cannot take the data that it sees, for instance a filter longer than its input.
    OverflowError, MemoryError
        If the network would not fit, before anything is allocated.

    Examples
    --------
    >>> from polycore import Activation, Affine, Attention, Conv, Residual
    >>> net = Sequential(Conv(2), Activation([0, 1, 1]), Affine(1, bias=True), n_inputs=4)
    >>> net
    Sequential(Conv(2), Activation([0, 1, 1]), Affine(1, bias=True), n_inputs=4)
    >>> {name: array.shape for name, array in net.unpack([1, 1, 1, 0, 2, 5]).items()}
    {'W1': (2,), 'W2': (1, 3), 'b2': (1,)}
    >>> Sequential(Residual(Attention(2)), Affine(1), n_inputs=(3, 2)).basis
    MonomialBasis(n_vars=6, degree=3, homogeneous=False)
    """

    input_shape: DataShape
    output_shape: DataShape

    def __init__(self, *layers: Layer, n_inputs: int | Sequence[int]) -> None:
        self._assemble(with_numbered_activations(as_layers(layers, "layers")), as_data_shape(n_inputs, "n_inputs"))

    def _assemble(self, layers: tuple[Layer, ...], shape: DataShape) -> None:
        writer = Writer()
        outputs = write_layers(layers, writer, Data(0, shape), "layers")
        super().__init__(Program(math.prod(shape), writer.instructions))
        self._layers, self._arrays = layers, tuple(writer.parameters)
        self.input_shape, self.output_shape = shape, outputs.shape

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What the network is made of."""
        return self._layers

    def _key(self) -> tuple[Any, ...]:
        return self.layers, self.input_shape

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(Sequential, n_inputs=self.input_shape), self.layers

    def _with_coefficients(self, values: Mapping[Indeterminate, Number]) -> Network:
        return Sequential(*map_activations(self.layers, lambda a: _with_values(a, values)), n_inputs=self.input_shape)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(layers_text(self.layers))}, n_inputs={_shape_text(self.input_shape)})"

    def _repr_latex_(self) -> str:
        """The network as a composition of its layers; long ones are abbreviated in the middle."""
        return composition_formula(_spaces(self), self.layers)


class MLP(Sequential):
    """A fully connected network with polynomial activations.

    f(x) = W_L σ_{L-1}(... σ_1(W_1 x + b_1) ...) + b_L, the σ polynomials applied entrywise; no activation after the
    last layer.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_L): inputs, hidden widths, outputs. (d_0, d_1) is a linear map without hidden layers.
    activation : int, list, tuple, numpy polynomial, PolynomialActivation or GenericActivation
        * an int r: z^r in every hidden layer; 1 makes a linear network, 0 is the constant 1;
        * a list (or 1-d array): coefficients low to high of one polynomial for every hidden layer, ``[0, 0, 1, 1]`` is
          z^2 + z^3; a list as long as there are hidden layers and without a zero could mean powers and is refused;
        * a numpy Polynomial, or what `polynomial_activation` returns: that polynomial for every hidden layer;
        * a `GenericActivation`: one polynomial with indeterminate coefficients for every hidden layer;
        * a tuple: one entry per hidden layer, each of the above, where a list is always a coefficient list, and each
          `GenericActivation` object is a polynomial of its own.

        May be left out when there is no hidden layer.
    bias : bool
        Whether every layer has a bias.

    Attributes
    ----------
    widths : tuple of int
    activations : tuple of ActivationPolynomial
        One per hidden layer.
    bias : bool
    n_inputs, n_outputs, n_params, degree, basis, program, layers
        See `Network` and `Sequential`. Parameters are ordered layer by layer: W_l row-major, then b_l.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a width is below 1, there are fewer than two, an activation degree is negative, a coefficient is not finite,
        or a list is ambiguous.

    Examples
    --------
    >>> net = MLP((4, 3, 4, 2), activation=(2, 3), bias=True)
    >>> net
    MLP((4, 3, 4, 2), activation=(2, 3), bias=True)
    >>> net.n_params, net.degree, net.basis
    (41, 6, MonomialBasis(n_vars=4, degree=6, homogeneous=False))
    """

    widths: tuple[int, ...]
    activations: tuple[ActivationPolynomial, ...]
    bias: bool

    def __init__(self, widths: Sequence[int], activation: Any = None, bias: bool = False) -> None:
        self.widths = as_widths(widths)
        self.bias = as_flag(bias, "bias")
        self.activations = _as_hidden_activations(activation, len(self.widths) - 2)
        self.input_shape, self.output_shape = self.widths[:1], self.widths[-1:]
        Network.__init__(self, _mlp_program(self.widths, self.activations, self.bias))

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Affine layers and activations in turn."""
        # Made only when looked at: sweeps go through thousands of networks.
        affine = [Affine(width, self.bias) for width in self.widths[1:]]
        return _alternating(affine, self.activations)

    def _key(self) -> tuple[Any, ...]:
        return self.widths, self.activations, self.bias

    def __reduce__(self) -> tuple[Any, ...]:
        return MLP, self._key()

    def _with_coefficients(self, values: Mapping[Indeterminate, Number]) -> MLP:
        activations = (ActivationPolynomial(substitute(a.coefficients, values)) for a in self.activations)
        return MLP(self.widths, tuple(activations), self.bias)

    def __repr__(self) -> str:
        words = [repr(self.widths)]
        if self.activations:
            words.append(f"activation={activation_argument(self.activations)}")
        if self.bias:
            words.append("bias=True")
        return f"MLP({', '.join(words)})"

    def _repr_latex_(self) -> str:
        """The network as a formula; deep ones are abbreviated in the middle."""

        def affine(layer: int, z: str) -> str:
            return f"W_{{{layer}}} {z}" + (f" + b_{{{layer}}}" if self.bias else "")

        return _nested_formula(_spaces(self), affine, self.activations)


class CNN(Sequential):
    """A convolutional network with polynomial activations, over signals or images.

    f(x) = w_L * σ_{L-1}(... σ_1(w_1 * x + b_1) ...) + b_L, where * is the cross-correlation with a filter (as in torch,
    without padding), and there is no activation after the last layer.

    Parameters
    ----------
    filters : int, pair, or sequence of them
        One entry a layer: a length for signals, (height, width) for images.
    activation
        One for each of the L - 1 hidden layers, in any of the ways of `MLP`. 1, the default, is a linear network.
    stride : int or sequence
        For all layers, or one entry a layer; for images each an int or a pair.
    n_inputs : int or tuple of int, optional
        n or (n, n_features) for signals, (height, width) or (height, width, n_features) for images. By default the
        receptive field, so that there is one output position; more inputs give a sequence (or image) of outputs.
    bias : bool
        Whether each channel of each layer has a bias.
    channels : int or sequence of int, optional
        Output channels of each layer, 1 by default; an int for all layers. L + 1 entries begin with the features of
        the input.

    Attributes
    ----------
    filters, strides : tuple of int or of pairs
    activations : tuple of ActivationPolynomial
        One per hidden layer.
    channels : tuple of int
        One per layer.
    bias : bool
    n_inputs, n_outputs, n_params, degree, basis, program, layers, input_shape, output_shape
        See `Network` and `Sequential`. Inputs and outputs are position by position with the channels of a position
        together. Parameters are ordered layer by layer: filters as in torch, (channels, features, length), then biases;
        the filter of a single channel is "W1" of shape (length,).

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a size is below 1, there are not as many strides or channels as layers, a filter is longer than what it
        sees, or an activation is none.
    OverflowError, MemoryError
        If the network would not fit, before anything is allocated.

    Notes
    -----
    With filters of lengths k_i and activation z^r, r > 1, the dimension is Σ k_i - L + 1.

    Source: V. Shahverdi, G. L. Marchetti, K. Kohn, *On the geometry and optimization of polynomial convolutional
    networks*, AISTATS 2025, arXiv:2410.00722.

    Examples
    --------
    >>> net = CNN((2, 2), activation=2)
    >>> net
    CNN((2, 2), activation=2, n_inputs=3)
    >>> net.polynomial([1, 1, 1, -1])
    f = x1^2 + 2*x1*x2 - 2*x2*x3 - x3^2
    >>> CNN(((3, 3), (2, 2)), activation=2, n_inputs=(8, 8), stride=(2, 1), channels=(4, 1)).output_shape
    (2, 2, 1)
    """

    filters: tuple[int | Pair, ...]
    strides: tuple[int | Pair, ...]
    activations: tuple[ActivationPolynomial, ...]
    channels: tuple[int, ...]
    bias: bool

    def __init__(
        self,
        filters: int | Sequence[int | Sequence[int]],
        activation: Any = 1,
        stride: int | Sequence[int | Sequence[int]] = 1,
        n_inputs: int | Sequence[int] | None = None,
        bias: bool = False,
        channels: int | Sequence[int] | None = None,
    ) -> None:
        self.filters = _as_filters(filters)
        n_layers = len(self.filters)
        self.activations = _as_hidden_activations(activation, n_layers - 1)
        self.bias = as_flag(bias, "bias")
        self.strides = _as_strides(stride, self.filters)
        n_features, self.channels = _as_channels(channels, n_layers)
        shape = _as_cnn_shape(n_inputs, n_features, self.filters, self.strides)
        convolutions = [
            Conv(filter, channels, stride, self.bias)
            for filter, channels, stride in zip(self.filters, self.channels, self.strides)
        ]
        self._assemble(_alternating(convolutions, self.activations), shape)

    def _key(self) -> tuple[Any, ...]:
        return self.filters, self.activations, self.strides, self.input_shape, self.bias, self.channels

    def __reduce__(self) -> tuple[Any, ...]:
        return CNN, self._key()

    def _with_coefficients(self, values: Mapping[Indeterminate, Number]) -> CNN:
        activations = tuple(ActivationPolynomial(substitute(a.coefficients, values)) for a in self.activations)
        return CNN(self.filters, activations, self.strides, self.input_shape, self.bias, self.channels)

    def __repr__(self) -> str:
        words = [repr(self.filters)]
        if self.activations:
            words.append(f"activation={activation_argument(self.activations)}")
        strides = [shortened(stride) for stride in self.strides]
        if strides != [1] * len(strides):
            words.append(
                f"stride={strides[0] if len(set(strides)) == 1 and isinstance(strides[0], int) else tuple(strides)}"
            )
        words.append(f"n_inputs={_shape_text(self.input_shape)}")
        if self.bias:
            words.append("bias=True")
        if set(self.channels) != {1}:
            words.append(f"channels={self.channels}")
        return f"CNN({', '.join(words)})"

    def _repr_latex_(self) -> str:
        """The network as a formula; deep ones are abbreviated in the middle."""

        def affine(layer: int, z: str) -> str:
            return rf"w_{{{layer}}} \star {z}" + (f" + b_{{{layer}}}" if self.bias else "")

        return _nested_formula(_spaces(self), affine, self.activations)


class LightningAttention(Sequential):
    """Layers of lightning self-attention: X -> Σ_h V_h X Xᵀ K_hᵀ Q_h X, where the columns of X are tokens.

    Parameters
    ----------
    d_model : int
        Number of features of a token, d.
    d_key : int
        Rows of the keys K and queries Q, a. Above d_model it changes nothing but the number of parameters, since only
        the d × d matrix KᵀQ matters.
    d_out : int, optional
        Number of features of a token of the result, d'; by default d_model. Between layers it is d_model.
    n_tokens : int
        Number of tokens, t.
    n_layers, n_heads : int
        Number of layers, and of heads in each of them; heads have their own K, Q and V and are summed.

    Attributes
    ----------
    d_model, d_key, d_out, n_tokens, n_layers, n_heads : int
    n_inputs, n_outputs, n_params, degree, basis, program, layers, input_shape, output_shape
        See `Network` and `Sequential`. Inputs are X token by token, outputs likewise. Parameters are ordered layer by
        layer, head by head: K (a, d), Q (a, d), V (d', d), row-major; "K1", "Q1", "V1" for the first layer, "K1_2" in
        its second head where there are several.

    Raises
    ------
    TypeError, ValueError
        For sizes that are not integers >= 1, or no ``n_tokens``.
    OverflowError, MemoryError
        If the network would not fit, before anything is allocated.

    Notes
    -----
    There is no softmax, so each layer is a cubic map. With one layer and head, two tokens or more and a <= d the
    dimension is a(2d - a) + d d' - 1.

    Source: N. W. Henry, G. L. Marchetti, K. Kohn, *Geometry of lightning self-attention: identifiability and
    dimension*, ICLR 2025, arXiv:2408.17221.

    Examples
    --------
    >>> net = LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2)
    >>> net.n_inputs, net.n_outputs, net.n_params, net.degree
    (4, 2, 10, 3)
    >>> {name: array.tolist() for name, array in net.unpack(range(10)).items()}
    {'K1': [[0, 1], [2, 3]], 'Q1': [[4, 5], [6, 7]], 'V1': [[8, 9]]}
    """

    def __init__(
        self,
        d_model: int,
        d_key: int,
        d_out: int | None = None,
        n_tokens: int | None = None,
        n_layers: int = 1,
        n_heads: int = 1,
    ) -> None:
        if n_tokens is None:
            raise TypeError("`n_tokens` must be given, the number of tokens")
        self.d_model = as_index(d_model, "d_model", 1, INT32_MAX)
        self.d_key = as_index(d_key, "d_key", 1, INT32_MAX)
        self.d_out = self.d_model if d_out is None else as_index(d_out, "d_out", 1, INT32_MAX)
        self.n_tokens = as_index(n_tokens, "n_tokens", 1, INT32_MAX)
        self.n_layers = as_index(n_layers, "n_layers", 1, _MAX_LAYERS)
        self.n_heads = as_index(n_heads, "n_heads", 1, INT32_MAX)
        inner, last = (Attention(self.d_key, d, self.n_heads) for d in (self.d_model, self.d_out))
        self._assemble((*(inner,) * (self.n_layers - 1), last), (self.n_tokens, self.d_model))

    def _key(self) -> tuple[Any, ...]:
        return self.d_model, self.d_key, self.d_out, self.n_tokens, self.n_layers, self.n_heads

    def __reduce__(self) -> tuple[Any, ...]:
        return LightningAttention, self._key()

    def _with_coefficients(self, values: Mapping[Indeterminate, Number]) -> LightningAttention:
        return self

    def __repr__(self) -> str:
        words = [f"{name}={getattr(self, name)}" for name in ("d_model", "d_key", "d_out", "n_tokens")]
        words += [f"{name}={getattr(self, name)}" for name in ("n_layers", "n_heads") if getattr(self, name) > 1]
        return f"LightningAttention({', '.join(words)})"


# --- the MLP family ---------------------------------------------------------------------------------------------------


def as_widths(widths: object) -> tuple[int, ...]:
    entries = as_sequence(widths, "widths")
    check_n_layers(len(entries), "widths")
    result = tuple(as_index(width, f"widths[{i}]", 1, INT32_MAX) for i, width in enumerate(entries))
    if len(result) < 2:
        raise ValueError(f"`widths` must have at least two entries, inputs and outputs, got {result}")
    return result


def _as_hidden_activations(activation: object, n_hidden: int) -> tuple[ActivationPolynomial, ...]:
    if n_hidden > 0:
        return as_activations(activation, n_hidden)
    if activation is not None and not isinstance(activation, tuple):
        as_activation(activation)  # there is nothing to apply it to, but nonsense is still refused
    elif activation:
        return as_activations(activation, n_hidden)
    return ()


def _mlp_program(widths: tuple[int, ...], activations: tuple[ActivationPolynomial, ...], bias: bool) -> Program:
    checked = {activation: program.Activation(0, activation.coefficients) for activation in set(activations)}
    instructions: list[program.Instruction] = [_affine(0, widths[1], bias)]
    for width, activation in zip(widths[2:], activations):
        instructions.append(checked[activation]._reading(len(instructions)))
        instructions.append(_affine(len(instructions), width, bias))
    return Program(widths[0], instructions)


@lru_cache(maxsize=4096)
def _affine(slot: int, n_out: int, bias: bool) -> program.Affine:
    """The instruction; the networks of a sweep share theirs."""
    return program.Affine(slot, n_out, bias)


# --- the convolutional family -----------------------------------------------------------------------------------------


def _as_filters(filters: object) -> tuple[int | Pair, ...]:
    entries = _entries(filters, "filters")
    check_n_layers(len(entries), "filters")
    result = tuple(as_extent(entry, f"filters[{k}]") for k, entry in enumerate(entries))
    if not result:
        raise ValueError("`filters` must have at least one entry, got none")
    if len({isinstance(entry, int) for entry in result}) > 1:
        raise ValueError(f"`filters` must be all lengths (signals) or all pairs (images), got {result}")
    return result


def _as_strides(stride: object, filters: tuple[int | Pair, ...]) -> tuple[int | Pair, ...]:
    entries = _entries(stride, "stride", len(filters))
    if len(entries) != len(filters):
        raise ValueError(f"`stride` must have one entry a layer ({len(filters)}), got {len(entries)} entries")
    strides = [as_extent(entry, f"stride[{k}]" if entries is stride else "stride") for k, entry in enumerate(entries)]
    if isinstance(filters[0], int):
        for k, entry in enumerate(strides):
            if not isinstance(entry, int):
                raise ValueError(f"`stride[{k}]` must be an integer for filters over signals, got {entry}")
        return tuple(strides)
    return tuple((entry, entry) if isinstance(entry, int) else entry for entry in strides)


def _as_channels(channels: object, n_layers: int) -> tuple[int | None, tuple[int, ...]]:
    """The features of the input, None if not given, and the channels of each layer."""
    entries = [1] * n_layers if channels is None else _entries(channels, "channels", n_layers)
    if len(entries) not in (n_layers, n_layers + 1):
        raise ValueError(
            f"`channels` must have one entry a layer ({n_layers}), or one more that comes first, the features of the "
            f"input, got {len(entries)} entries"
        )
    checked = tuple(as_index(entry, f"channels[{k}]", 1, INT32_MAX) for k, entry in enumerate(entries))
    return (checked[0] if len(checked) > n_layers else None), checked[-n_layers:]


def _as_cnn_shape(
    n_inputs: object, n_features: int | None, filters: tuple[int | Pair, ...], strides: tuple[int | Pair, ...]
) -> DataShape:
    """Shape of the inputs, without an axis for a single feature; ValueError if a filter is longer than what it sees."""
    n_axes = 1 if isinstance(filters[0], int) else 2
    extents = [[entry] if isinstance(entry, int) else list(entry) for entry in filters]
    steps = [[entry] if isinstance(entry, int) else list(entry) for entry in strides]
    if n_inputs is None:
        field = [1] * n_axes
        for extent, step in zip(reversed(extents), reversed(steps)):
            field = [(n - 1) * s + k for n, s, k in zip(field, step, extent)]
        if math.prod(field) > INT32_MAX:
            seen = _format_int(math.prod(field))
            raise OverflowError(f"`filters` and `stride` make one output see {seen} positions, and 2^31 are too many")
        shape: DataShape = tuple(field)
    else:
        shape = as_data_shape(n_inputs, "n_inputs")
        if len(shape) not in (n_axes, n_axes + 1):
            wanted = "n or (n, n_features)" if n_axes == 1 else "(height, width) or (height, width, n_features)"
            raise ValueError(f"`n_inputs` must be {wanted}, got {n_inputs!r}")
    given = shape[n_axes] if len(shape) > n_axes else None
    if given is not None and n_features is not None and given != n_features:
        raise ValueError(f"`n_inputs` has {given} features and `channels` begins with {n_features}; they must agree")
    size = shape[:n_axes]
    for layer, (extent, step) in enumerate(zip(extents, steps)):
        if any(k > n for k, n in zip(extent, size)):
            seen = " × ".join(map(str, size))
            raise ValueError(
                f"`filters[{layer}]`={filters[layer]} must be no longer than the {seen} positions that layer "
                f"{layer + 1} sees (`n_inputs`={_shape_text(shape)})"
            )
        size = tuple((n - k) // s + 1 for n, k, s in zip(size, extent, step))
    features = given or n_features or 1
    shape = shape[:n_axes] if features == 1 else (*shape[:n_axes], features)
    return as_data_shape(shape, "n_inputs")


def _entries(value: object, name: str, n_layers: int = 1) -> Sequence[object]:
    """One entry a layer from a sequence, or from one integer for all."""
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return value
    try:
        return (as_index(value, name, 1, INT32_MAX),) * n_layers
    except TypeError:
        raise TypeError(
            f"`{name}` must be an integer, or a sequence with one entry a layer, got {_describe(value)}"
        ) from None


# --- layers, formulas -------------------------------------------------------------------------------------------------


def _alternating(linear: Sequence[Layer], activations: Sequence[ActivationPolynomial]) -> tuple[Layer, ...]:
    """Linear layers with activations between them."""
    between = [[Activation(activation), layer] for activation, layer in zip(activations, linear[1:])]
    return (linear[0], *itertools.chain.from_iterable(between))


def _with_values(layer: Activation, values: Mapping[Indeterminate, Number]) -> Activation:
    return Activation(ActivationPolynomial(substitute(layer.polynomial.coefficients, values)))


def _shape_text(shape: DataShape) -> str:
    return str(shape[0] if len(shape) == 1 else shape)


def _spaces(net: Sequential) -> str:
    """f: R^n -> R^m in LaTeX, with the shapes of the data but for axes of length 1."""
    shapes = ([n for n in shape if n > 1] or [1] for shape in (net.input_shape, net.output_shape))
    source, target = (r" \times ".join(map(str, shape)) for shape in shapes)
    return rf"f\colon \mathbb{{R}}^{{{source}}} \to \mathbb{{R}}^{{{target}}}"


def _nested_formula(
    spaces: str, affine: Callable[[int, str], str], activations: tuple[ActivationPolynomial, ...]
) -> str:
    """Affine maps and activations in turn, as one nested formula."""
    n_layers = len(activations) + 1
    distinct = len(set(activations)) > 1

    def sigma(layer: int, z: str) -> str:
        return (rf"\sigma_{{{layer}}}" if distinct else r"\sigma") + rf"\left({z}\right)"

    formula = affine(1, "x")
    for layer in range(2, n_layers + 1):
        abbreviated = n_layers > 4 and 2 < layer < n_layers
        if not abbreviated:
            formula = affine(layer, sigma(layer - 1, formula))
        elif layer == 3:
            formula = r"\cdots " + formula + r" \cdots"
    shown = list(enumerate(activations, 1)) if distinct else [(0, a) for a in activations[:1]]
    names = [rf"\sigma_{{{layer}}}(z)" if layer else r"\sigma(z)" for layer, _ in shown]
    definitions = [f"{name} = {a.text('z', latex=True)}" for name, (_, a) in zip(names, shown)]
    if len(definitions) > 4:
        definitions = [*definitions[:3], r"\ldots", definitions[-1]]
    return "$" + r",\quad ".join([spaces, f"f(x) = {formula}", *definitions]) + "$"
