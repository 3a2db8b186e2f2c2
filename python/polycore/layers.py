# SPDX-License-Identifier: BSD-3-Clause
"""Layers: the words in which a network is described; each of them writes instructions of a program.

Data have a shape: (n,), (n_positions, n_features) or (height, width) and (height, width, n_features). In a slot they
lie flat in C order, position by position with the features of a position together: the tokens of attention, the
positions of a signal with several channels, the pixels of an image row by row. A signal (n,) is one with a single
feature, as is an image (height, width).

The instructions of the same names are in `polycore.program`: a layer knows the shape of its data but no slots, an
instruction knows slots but no shape. Parameters lie in ``theta`` in the order in which the layers are written; layers
inside a `Residual` come before those of its shortcut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

import numpy as np

from . import program
from ._validation import INT32_MAX, _describe, as_flag, as_index, as_sequence, check_size
from .activations import ActivationPolynomial, GenericActivation, as_activation, number_activations

__all__ = ["Activation", "Affine", "Attention", "Conv", "Residual", "Select"]

DataShape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]

# Residuals within residuals; beyond, Python's own recursion would be the limit, with less to say.
MAX_NESTING = 100
# Of a network, each some kilobytes.
MAX_LAYERS = 2**16
# Bytes for a position in a window: an int object, pointers to it, and the executor's copies.
_POSITION_BYTES = 64


# --- what layers write to ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """The values of a slot and their shape."""

    slot: int
    shape: DataShape

    @property
    def width(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


class Writer:
    """Collects the instructions of layers and the names of their parameters.

    Attributes
    ----------
    instructions : list of Instruction
    parameters : list of (str, tuple of int)
        Name and shape of each parameter array, in the order of ``theta``.
    """

    def __init__(self) -> None:
        self.instructions: list[program.Instruction] = []
        self.parameters: list[tuple[str, DataShape]] = []
        self._n_layers = 0

    def next_number(self) -> int:
        """The number of the next layer that has parameters, from 1."""
        self._n_layers += 1
        return self._n_layers

    def write(self, instruction: program.Instruction, shape: DataShape) -> Data:
        """Append an instruction, whose values have this shape."""
        self.instructions.append(instruction)
        return Data(len(self.instructions), shape)

    def affine(
        self,
        data: Data,
        shape: DataShape,
        n_out: int,
        name: str,
        weights: DataShape,
        bias: str | None = None,
        windows: tuple[tuple[int, ...], ...] | None = None,
    ) -> Data:
        """Append an affine instruction with the names of its parameters; one window that is the whole slot is none."""
        if windows is not None and len(windows) == 1 and windows[0] == tuple(range(data.width)):
            windows = None
        self.parameters.append((name, weights))
        if bias is not None:
            self.parameters.append((bias, (n_out,)))
        return self.write(program.Affine(data.slot, n_out, bias is not None, windows), shape)


def write_layers(layers: Sequence[Layer], writer: Writer, data: Data, path: str) -> Data:
    """Write one layer after another; ``path`` is what messages call the sequence."""
    for k, layer in enumerate(layers):
        data = layer._write(writer, data, f"{path}[{k}]")
    return data


# --- layers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Affine:
    """z -> W z + b on all values of the data, whatever their shape.

    Parameters
    ----------
    n_out : int
        Number of values it makes; their shape is (n_out,).
    bias : bool
        Whether there is a b.

    Raises
    ------
    TypeError, ValueError
        If ``n_out`` is not an integer >= 1, or ``bias`` not a bool.

    Notes
    -----
    Parameters: "W" of shape (n_out, n_in), "b" of shape (n_out,). The same matrix on every position is ``Conv(1,
    channels=n_out)``.

    Examples
    --------
    >>> from polycore import Activation, Affine, Sequential
    >>> Sequential(Affine(3, bias=True), Activation(2), Affine(1), n_inputs=2).n_params
    12
    """

    n_out: int
    bias: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_out", as_index(self.n_out, "n_out", 1, INT32_MAX))
        object.__setattr__(self, "bias", as_flag(self.bias, "bias"))

    def __repr__(self) -> str:
        return f"Affine({self.n_out}{', bias=True' if self.bias else ''})"

    def _write(self, writer: Writer, data: Data, path: str) -> Data:
        """Write its instruction."""
        number = writer.next_number()
        bias = f"b{number}" if self.bias else None
        return writer.affine(data, (self.n_out,), self.n_out, f"W{number}", (self.n_out, data.width), bias)


@dataclass(frozen=True)
class Activation:
    """z -> p(z) on every value, p a polynomial.

    Parameters
    ----------
    activation : int, list, numpy polynomial, PolynomialActivation or GenericActivation
        A power, coefficients low to high, or a polynomial, as for `polycore.MLP`. The same `GenericActivation` object
        in several layers of a network is one polynomial.

    Attributes
    ----------
    activation : ActivationPolynomial or GenericActivation
        The latter until the layer belongs to a network.

    Raises
    ------
    TypeError, ValueError
        For what is not an activation.

    Examples
    --------
    >>> from polycore import Activation
    >>> Activation([0, 1, 1])
    Activation([0, 1, 1])
    >>> Activation([0, 0, 1]) == Activation(2)
    True
    """

    activation: Any

    def __post_init__(self) -> None:
        if isinstance(self.activation, tuple):
            raise TypeError(f"`activation` must be one activation, coefficients as a list, got {self.activation!r}")
        if not isinstance(self.activation, GenericActivation):
            object.__setattr__(self, "activation", as_activation(self.activation))

    def __repr__(self) -> str:
        return f"Activation({_activation_text(self.activation)})"

    @property
    def polynomial(self) -> ActivationPolynomial:
        """The polynomial, a generic one with the number it has in its network."""
        return as_activation(self.activation)

    def _write(self, writer: Writer, data: Data, path: str) -> Data:
        """Write its instruction."""
        return writer.write(program.Activation(data.slot, self.polynomial.coefficients), data.shape)


@dataclass(frozen=True)
class Conv:
    """Convolution of a signal or an image with filters, as in torch: cross-correlation, without padding.

    Parameters
    ----------
    filter : int or (int, int)
        Length of the filters over a signal, or height and width of those over an image.
    channels : int
        Number of filters, and of features that each position of the result has.
    stride : int or (int, int)
        Step between neighbouring windows; for images one for both directions, or one for each.
    bias : bool
        Whether each channel has a bias.

    Raises
    ------
    TypeError, ValueError
        For sizes that are not integers >= 1, or a pair of strides for a signal.

    Notes
    -----
    Data (n_positions, n_features) become ((n_positions - filter) // stride + 1, channels), images (height, width,
    n_features) likewise in both directions. Parameters in torch's order: "W" of shape (channels, n_features, filter) or
    (channels, n_features, height, width), without the first two axes when both are 1; "b" of shape (channels,). Torch
    has features before positions, here a position's features are together.

    Examples
    --------
    >>> from polycore import Conv, Sequential
    >>> net = Sequential(Conv(3, channels=2), n_inputs=5)
    >>> net.output_shape, net.unpack(range(6))["W1"].tolist()
    ((3, 2), [[[0, 1, 2]], [[3, 4, 5]]])
    >>> Sequential(Conv((2, 3), stride=(1, 2)), n_inputs=(4, 5)).output_shape
    (3, 2, 1)
    """

    filter: int | Pair
    channels: int = 1
    stride: int | Pair = 1
    bias: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "filter", as_extent(self.filter, "filter"))
        object.__setattr__(self, "channels", as_index(self.channels, "channels", 1, INT32_MAX))
        stride = as_extent(self.stride, "stride")
        if self.is_image and isinstance(stride, int):
            stride = (stride, stride)
        if not self.is_image and not isinstance(stride, int):
            raise ValueError(f"`stride` must be an integer for a filter over a signal, got {stride}")
        object.__setattr__(self, "stride", stride)
        object.__setattr__(self, "bias", as_flag(self.bias, "bias"))

    def __repr__(self) -> str:
        words = [repr(self.filter)]
        words += [f"channels={self.channels}"] if self.channels != 1 else []
        words += [f"stride={shortened(self.stride)}"] if shortened(self.stride) != 1 else []
        return f"Conv({', '.join(words + ['bias=True'] * self.bias)})"

    @property
    def is_image(self) -> bool:
        """Whether it is for images rather than signals."""
        return not isinstance(self.filter, int)

    def _write(self, writer: Writer, data: Data, path: str) -> Data:
        """Write its instruction."""
        n_axes = 2 if self.is_image else 1
        if len(data.shape) not in (n_axes, n_axes + 1):
            wanted = "(height, width) or (height, width, n_features)" if self.is_image else "(n,) or (n, n_features)"
            raise ValueError(f"`{path}`, {self!r}, must see data of shape {wanted}, got {data.shape}")
        n_features = data.shape[n_axes] if len(data.shape) > n_axes else 1
        size, extent, stride = data.shape[:n_axes], _tuple(self.filter), _tuple(self.stride)
        if any(k > n for k, n in zip(extent, size)):
            seen = f"{size[0]} positions" if n_axes == 1 else f"{size[0]} × {size[1]} positions"
            raise ValueError(f"`{path}`, {self!r}, must have a filter no longer than the {seen} that it sees")
        n_windows = [(n - k) // s + 1 for n, k, s in zip(size, extent, stride)]
        n_positions = math.prod(n_windows) * math.prod(extent) * n_features
        check_size(n_positions, _POSITION_BYTES, f"the windows of `{path}`, {self!r},", "take fewer inputs")
        number = writer.next_number()
        weights = extent if n_features == self.channels == 1 else (self.channels, n_features, *extent)
        return writer.affine(
            data,
            (*n_windows, self.channels),
            self.channels,
            f"W{number}",
            weights,
            f"b{number}" if self.bias else None,
            _windows(size, n_features, extent, stride),
        )


@dataclass(frozen=True)
class Attention:
    """Lightning self-attention: X -> Σ_h V_h X Xᵀ K_hᵀ Q_h X, where the columns of X are tokens.

    Parameters
    ----------
    d_key : int
        Rows of the keys K and queries Q. Above the number of features d of a token it changes nothing, since only the
        d × d matrix KᵀQ matters.
    d_out : int, optional
        Number of features of a token of the result; by default as many as before.
    n_heads : int
        Number of heads, each with its own K, Q and V; they are summed.

    Raises
    ------
    TypeError, ValueError
        For sizes that are not integers >= 1.

    Notes
    -----
    Data (n_tokens, d) become (n_tokens, d_out), images (height, width, d) have their pixels for tokens. There is no
    softmax, which makes each value a cubic form, and no division by the number of tokens. Parameters, head by head:
    "K" and "Q" of shape (d_key, d), "V" of shape (d_out, d).

    Examples
    --------
    >>> from polycore import Attention, Sequential
    >>> net = Sequential(Attention(d_key=1, d_out=1), n_inputs=(3, 2))
    >>> net.degree, net.output_shape, list(net.unpack([1, 2, 3, 4, 5, 6]))
    (3, (3, 1), ['K1', 'Q1', 'V1'])
    """

    d_key: int
    d_out: int | None = None
    n_heads: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "d_key", as_index(self.d_key, "d_key", 1, INT32_MAX))
        if self.d_out is not None:
            object.__setattr__(self, "d_out", as_index(self.d_out, "d_out", 1, INT32_MAX))
        object.__setattr__(self, "n_heads", as_index(self.n_heads, "n_heads", 1, INT32_MAX))

    def __repr__(self) -> str:
        words = [str(self.d_key)] + [f"d_out={self.d_out}"] * (self.d_out is not None)
        return f"Attention({', '.join(words + [f'n_heads={self.n_heads}'] * (self.n_heads > 1))})"

    def _write(self, writer: Writer, data: Data, path: str) -> Data:
        """Write its instructions."""
        if len(data.shape) < 2:
            raise ValueError(f"`{path}`, {self!r}, must see data of shape (n_tokens, n_features), got {data.shape}")
        *positions, d = data.shape
        n_tokens, a, d_out = math.prod(positions), self.d_key, self.d_out or d
        check_size(3 * self.n_heads * data.width, _POSITION_BYTES, f"the windows of `{path}`, {self!r},")
        tokens = _windows((n_tokens,), d, (1,), (1,))
        number = writer.next_number()
        heads = []
        for head in range(1, self.n_heads + 1):
            suffix = f"{number}_{head}" if self.n_heads > 1 else str(number)
            k, q, v = (
                writer.affine(data, (n_tokens, rows), rows, name + suffix, (rows, d), windows=tokens).slot
                for name, rows in (("K", a), ("Q", a), ("V", d_out))
            )
            # Slots hold transposes, (KX)ᵀ of shape (n_tokens, a) and so on, so the result is (QX)ᵀ (KX) (VX)ᵀ. What is
            # contracted first makes products of linear forms, what is next of quadratic ones, which cost far more.
            if n_tokens < a:
                scores = writer.write(program.MatMul(q, k, n_tokens, a, n_tokens, transpose_right=True), ())
                result = program.MatMul(scores.slot, v, n_tokens, n_tokens, d_out)
            else:
                memory = writer.write(program.MatMul(k, v, a, n_tokens, d_out, transpose_left=True), ())
                result = program.MatMul(q, memory.slot, n_tokens, a, d_out)
            heads.append(writer.write(result, (*positions, d_out)))
        if len(heads) == 1:
            return heads[0]
        return writer.write(program.Add(tuple(head.slot for head in heads)), heads[0].shape)


@dataclass(frozen=True)
class Select:
    """The data at some positions, in a given order; a position may come several times.

    Parameters
    ----------
    positions : int or sequence of int
        Positions from 0: values of data (n,), tokens of data (n_tokens, n_features) with all their features, pixels of
        images (height, width, n_features) counted row by row.

    Raises
    ------
    TypeError, ValueError
        For positions that are not integers >= 0, or none at all.

    Examples
    --------
    The first token of two, as a readout:

    >>> from polycore import Attention, Select, Sequential
    >>> Sequential(Attention(1), Select(0), n_inputs=(2, 3)).output_shape
    (1, 3)
    """

    positions: tuple[int, ...]

    def __post_init__(self) -> None:
        given: Any = (self.positions,) if isinstance(self.positions, (int, np.integer)) else self.positions
        given = as_sequence(given, "positions", "an integer or a sequence of integers")
        check_size(len(given), _POSITION_BYTES, "`positions`")
        if len(given) == 0:
            raise ValueError("`positions` must have at least one entry, got none")
        positions = tuple(as_index(p, f"positions[{k}]", 0, INT32_MAX) for k, p in enumerate(given))
        object.__setattr__(self, "positions", positions)

    def __repr__(self) -> str:
        return f"Select({self.positions[0] if len(self.positions) == 1 else self.positions})"

    def _write(self, writer: Writer, data: Data, path: str) -> Data:
        """Write its instruction."""
        features = data.shape[-1] if len(data.shape) > 1 else 1
        n_positions = data.width // features
        if max(self.positions) >= n_positions:
            raise ValueError(
                f"`{path}` must select from the {n_positions} positions that it sees, 0 to {n_positions - 1}, "
                f"got position {max(self.positions)}"
            )
        check_size(len(self.positions) * features, _POSITION_BYTES, f"what `{path}` selects")
        indices = tuple(p * features + feature for p in self.positions for feature in range(features))
        shape = (len(self.positions), features) if len(data.shape) > 1 else (len(self.positions),)
        return writer.write(program.Select(data.slot, indices), shape)


@dataclass(frozen=True, init=False)
class Residual:
    """A skip connection: x -> x + F(x), or shortcut(x) + F(x), where F is one or several layers.

    Parameters
    ----------
    *layers : layer
        F, first layer first.
    shortcut : layer or sequence of layers, optional
        What x goes through on the other way; by default nothing.

    Attributes
    ----------
    layers : tuple of layers
    shortcut : tuple of layers, or None

    Raises
    ------
    TypeError, ValueError
        For what is not a layer, no layer at all, or residuals nested more than 100 deep.

    Notes
    -----
    Both sides must have the same shape; a flat one (n,) may also meet a shape of n values. In ``theta`` the parameters
    of F come before those of the shortcut.

    Examples
    --------
    >>> from polycore import Activation, Affine, Residual, Sequential
    >>> net = Sequential(Residual(Affine(2), Activation(2)), n_inputs=2)
    >>> net.polynomial([1, 0, 0, 1])
    f1 = x1 + x1^2
    f2 = x2 + x2^2
    """

    layers: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] | None = None
    depth: int = field(default=1, init=False, repr=False, compare=False)

    def __init__(self, *layers: Layer, shortcut: Layer | Sequence[Layer] | None = None) -> None:
        object.__setattr__(self, "layers", as_layers(layers, "layers"))
        if shortcut is not None:
            shortcut = as_layers((shortcut,) if isinstance(shortcut, Layer) else shortcut, "shortcut")
        object.__setattr__(self, "shortcut", shortcut)
        inside = [layer.depth for layer in (*self.layers, *(self.shortcut or ())) if isinstance(layer, Residual)]
        depth = 1 + max(inside, default=0)
        if depth > MAX_NESTING:
            raise ValueError(f"`layers` must not nest residuals more than {MAX_NESTING} deep")
        object.__setattr__(self, "depth", depth)

    def __repr__(self) -> str:
        return layer_text(self, _activation_text)

    def _write(self, writer: Writer, data: Data, path: str) -> Data:
        """Write the instructions of both sides and their sum."""
        left = write_layers(self.layers, writer, data, f"{path}.layers")
        right = data if self.shortcut is None else write_layers(self.shortcut, writer, data, f"{path}.shortcut")
        shapes = [side.shape[:-1] if side.shape[1:] and side.shape[-1] == 1 else side.shape for side in (left, right)]
        flat = min(map(len, shapes)) == 1
        if left.width != right.width or (shapes[0] != shapes[1] and not flat):
            sides = "x" if self.shortcut is None else "shortcut(x)"
            raise ValueError(
                f"`{path}`: the layers and {sides} must make data of the same shape, got {left.shape} and {right.shape}"
            )
        shape = max(right.shape, left.shape, key=len)
        return writer.write(program.Add((right.slot, left.slot)), shape)


Layer: TypeAlias = Affine | Activation | Conv | Attention | Select | Residual


# --- sequences of layers ----------------------------------------------------------------------------------------------


def check_n_layers(n: int, name: str) -> None:
    """ValueError if there are too many entries for layers."""
    if n > MAX_LAYERS:
        raise ValueError(f"`{name}` must have at most {MAX_LAYERS} entries, got {n}")


def as_layers(layers: object, name: str) -> tuple[Layer, ...]:
    """One or more layers as a tuple."""
    if not isinstance(layers, (tuple, list)):
        raise TypeError(f"`{name}` must be layers, got {_describe(layers)}")
    check_n_layers(len(layers), name)
    for k, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            hint = "; instructions of polycore.program make a Program" if isinstance(layer, program.Instruction) else ""
            raise TypeError(f"`{name}[{k}]` must be a layer, got {_describe(layer)}{hint}")
    if not layers:
        raise ValueError(f"`{name}` must be at least one layer, got none")
    return tuple(layers)


def map_activations(layers: Sequence[Layer], change: Callable[[Activation], Activation]) -> tuple[Layer, ...]:
    """The layers with every activation replaced, those inside residuals too, in the order in which they are written."""
    result: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Activation):
            layer = change(layer)
        elif isinstance(layer, Residual):
            inner = map_activations(layer.layers, change)
            shortcut = None if layer.shortcut is None else map_activations(layer.shortcut, change)
            layer = Residual(*inner, shortcut=shortcut)
        result.append(layer)
    return tuple(result)


def all_activations(layers: Sequence[Layer]) -> list[Activation]:
    """Every activation, in the order in which they are written."""
    found: list[Activation] = []

    def note(layer: Activation) -> Activation:
        found.append(layer)
        return layer

    map_activations(layers, note)
    return found


def with_numbered_activations(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers with their generic polynomials numbered by first appearance."""
    activations = [layer.activation for layer in all_activations(layers)]
    numbered = iter(number_activations(activations, [as_activation(a) for a in activations]))
    return map_activations(layers, lambda layer: replace(layer, activation=next(numbered)))


def layers_text(layers: Sequence[Layer]) -> list[str]:
    """Each layer as Python text; where several share a generic polynomial the text says so."""
    activations = [layer.activation for layer in all_activations(layers)]
    shared = [a for a in dict.fromkeys(activations) if activations.count(a) > 1 and as_activation(a).is_generic]
    named: set[Any] = set()

    def text(activation: Any) -> str:
        if activation not in shared:
            return _activation_text(activation)
        name = f"g{shared.index(activation) + 1}"
        first = activation not in named
        named.add(activation)
        return f"{name} := {_activation_text(activation)}" if first else name

    return [layer_text(layer, text) for layer in layers]


def layer_text(layer: Layer, activation_text: Callable[[Any], str]) -> str:
    """A layer as Python text, with the text that its activations are given."""
    if isinstance(layer, Activation):
        return f"Activation({activation_text(layer.activation)})"
    if not isinstance(layer, Residual):
        return repr(layer)
    words = [layer_text(inner, activation_text) for inner in layer.layers]
    if layer.shortcut is not None:
        shortcut = [layer_text(inner, activation_text) for inner in layer.shortcut]
        words.append(f"shortcut={shortcut[0] if len(shortcut) == 1 else '(' + ', '.join(shortcut) + ')'}")
    return f"Residual({', '.join(words)})"


def _activation_text(activation: ActivationPolynomial | GenericActivation) -> str:
    return repr(activation if isinstance(activation, GenericActivation) else activation.spec)


# --- as formulas ------------------------------------------------------------------------------------------------------


def composition_formula(spaces: str, layers: Sequence[Layer]) -> str:
    """A network as a composition of its layers in LaTeX, with what they are; long ones are abbreviated."""
    formulas = _Formulas(layers)
    composed = formulas.composition(layers)
    definitions = list(formulas.definitions.values())
    if len(definitions) > 5:
        definitions = [*definitions[:4], r"\ldots", definitions[-1]]
    return "$" + r",\quad ".join([spaces, f"f = {composed}", *definitions]) + "$"


class _Formulas:
    """Names layers, numbered as their parameters are, and remembers what the names mean."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.definitions: dict[str, str] = {}
        self._n_layers = self._n_residuals = self._n_selections = 0
        self._activations = list(dict.fromkeys(layer.polynomial for layer in all_activations(layers)))

    def composition(self, layers: Sequence[Layer]) -> str:
        names = [self._name(layer) for layer in layers][::-1]
        if len(names) > 7:
            names = [*names[:3], r"\cdots", *names[-3:]]
        return r" \circ ".join(names)

    def _name(self, layer: Layer) -> str:
        if isinstance(layer, Activation):
            k = self._activations.index(layer.polynomial) + 1
            name = rf"\sigma_{{{k}}}" if len(self._activations) > 1 else r"\sigma"
            meaning = f"{name}(z) = {layer.polynomial.text('z', latex=True)}"
        elif isinstance(layer, Residual):
            self._n_residuals += 1
            name = f"R_{{{self._n_residuals}}}"
            right = self.composition(layer.layers)
            left = "" if layer.shortcut is None else self.composition(layer.shortcut)
            left = f"({left})" if len(layer.shortcut or ()) > 1 else left
            right = f"({right})" if len(layer.layers) > 1 else right
            meaning = f"{name}(x) = {left + '(x)' if left else 'x'} + {right}(x)"
        elif isinstance(layer, Select):
            self._n_selections += 1
            name = f"S_{{{self._n_selections}}}"
            shown = [f"x_{{{p + 1}}}" for p in layer.positions[:4]] + [r"\ldots"] * (len(layer.positions) > 4)
            meaning = f"{name}(x) = ({', '.join(shown)})"
        else:
            self._n_layers += 1
            name, meaning = _parametric_formula(layer, self._n_layers)
        self.definitions[name] = meaning
        return name


def _parametric_formula(layer: Affine | Conv | Attention, k: int) -> tuple[str, str]:
    """Name and definition of a layer with parameters."""
    if isinstance(layer, Attention):
        head = f"{k},h" if layer.n_heads > 1 else str(k)
        total = rf"\sum_{{h=1}}^{{{layer.n_heads}}} " if layer.n_heads > 1 else ""
        product = rf"V_{{{head}}} X X^\top K_{{{head}}}^\top Q_{{{head}}} X"
        return rf"\alpha_{{{k}}}", rf"\alpha_{{{k}}}(X) = {total}{product}"
    name, product = (
        (f"A_{{{k}}}", f"W_{{{k}}} x") if isinstance(layer, Affine) else (f"C_{{{k}}}", rf"w_{{{k}}} \star x")
    )
    return name, f"{name}(x) = {product}" + (f" + b_{{{k}}}" if layer.bias else "")


# --- shapes and windows -----------------------------------------------------------------------------------------------


def as_data_shape(value: object, name: str) -> DataShape:
    """The shape of data: an int or one to three integers >= 1."""
    if isinstance(value, (tuple, list)):
        if not 1 <= len(value) <= 3:
            raise ValueError(f"`{name}` must be an integer or a shape of one to three axes, got {_describe(value)}")
        shape = tuple(as_index(n, f"{name}[{axis}]", 1, INT32_MAX) for axis, n in enumerate(value))
    else:
        shape = (as_index(value, name, 1, INT32_MAX),)
    if math.prod(shape) > INT32_MAX:
        raise ValueError(f"`{name}` must be fewer than 2^31 values, got shape {shape}")
    return shape


def as_extent(value: object, name: str) -> int | Pair:
    """A size along a signal, or the pair of those along an image."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"`{name}` must be an integer or a pair of integers, got {_describe(value)}")
        return cast(Pair, tuple(as_index(n, f"{name}[{axis}]", 1, INT32_MAX) for axis, n in enumerate(value)))
    return as_index(value, name, 1, INT32_MAX)


def shortened(extent: int | Pair) -> int | Pair:
    """A pair of equal strides as one."""
    return extent[0] if isinstance(extent, tuple) and extent[0] == extent[1] else extent


def _tuple(extent: int | Pair) -> tuple[int, ...]:
    return (extent,) if isinstance(extent, int) else extent


def _windows(
    size: tuple[int, ...], n_features: int, extent: tuple[int, ...], stride: tuple[int, ...]
) -> tuple[tuple[int, ...], ...]:
    """The windows of a filter, row by row: in each, feature by feature, the positions under the filter row by row."""
    positions = np.arange(math.prod(size) * n_features).reshape(*size, n_features)
    views = np.lib.stride_tricks.sliding_window_view(positions, extent, axis=tuple(range(len(size))))
    views = views[tuple(slice(None, None, step) for step in stride)]
    return tuple(map(tuple, views.reshape(-1, n_features * math.prod(extent)).tolist()))
