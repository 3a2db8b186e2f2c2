# SPDX-License-Identifier: BSD-3-Clause
"""Networks as JSON: `polycore.Network.spec` writes a dict, `network` makes an equal network of it.

A spec has a "family" and the arguments of its class, those with defaults may be left out:

* ``{"family": "MLP", "widths": [2, 3, 1], "activation": 2, "bias": false}``
* ``{"family": "CNN", "filters": [3, 2], "activation": [0, 1, 1], "stride": [2, 1], "n_inputs": 9, "channels": [2, 1]}``
* ``{"family": "LightningAttention", "d_model": 2, "d_key": 2, "d_out": 1, "n_tokens": 2}``
* ``{"family": "Sequential", "n_inputs": [4, 2], "layers": [{"layer": "Attention", "d_key": 1}, ...]}``
* ``{"family": "Program", "n_inputs": 2, "instructions": [{"instruction": "affine", "input": 0, "n_out": 3}, ...]}``

An activation is a power (2), a list of coefficients low to high ([0, 1, 1]), or ``{"generic": degree}``, a generic
polynomial; entries with the same "name" beside "generic" are one polynomial. "activation" is for all hidden layers
(a generic one is shared by them), "activations" a list with one entry a hidden layer. Numbers are exact: integers,
floats, and fractions as text, "1/3".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from ._validation import _describe, as_index
from .activations import ActivationPolynomial, GenericActivation, as_activation
from .instructions import KINDS, MAX_ACTIVATION_DEGREE, Indeterminate, Instruction
from .layers import (
    MAX_NESTING,
    Activation,
    Affine,
    Attention,
    Conv,
    Layer,
    Residual,
    Select,
    all_activations,
    check_n_layers,
)
from .networks import CNN, MLP, LightningAttention, Network, Sequential
from .program import Program

__all__ = ["network"]

Spec: TypeAlias = dict[str, Any]
T = TypeVar("T")

_LAYERS: dict[str, type[Any]] = {c.__name__: c for c in (Affine, Activation, Conv, Attention, Select, Residual)}
_FRACTION = re.compile(r"[+-]?[0-9]{1,4300}/[0-9]{1,4300}")


def network(spec: Mapping[str, Any]) -> Network:
    """The network that a spec describes, as `Network.spec` writes it or as a JSON file has it.

    Parameters
    ----------
    spec : dict
        A "family" ("MLP", "CNN", "LightningAttention", "Sequential", "Program") and the arguments of its class, as JSON
        has them; see `polycore.specs` for layers and activations.

    Returns
    -------
    Network
        Of the family; ``network(net.spec()) == net``.

    Raises
    ------
    TypeError, ValueError
        For what is not a dict, unknown or missing keys, and values that are none; the message names the path of the
        key, ``spec.layers[2].stride``.
    OverflowError, MemoryError
        If the network would not fit, before anything is allocated.

    Examples
    --------
    >>> net = network({"family": "CNN", "filters": [3, 2], "activation": [0, "1/2", 1]})
    >>> net
    CNN((3, 2), activation=([0, Fraction(1, 2), 1],), n_inputs=4)
    >>> network(net.spec()) == net
    True
    >>> network({"family": "MLP", "widths": [2, 0, 1], "activation": 2})
    Traceback (most recent call last):
    ...
    ValueError: `spec.widths[1]` must be an integer with 1 <= widths[1] <= 2147483647, got 0
    """
    try:
        return _Reader().network(spec, "spec")
    except RecursionError:
        raise ValueError("`spec` is nested too deeply") from None


def read_network(path: str | PathLike[str]) -> Network:
    """The network that a JSON file describes; what is wrong with it is a ValueError or TypeError naming the key."""
    return network(_read_json(path))


def read_networks(path: str | PathLike[str]) -> list[Network]:
    """The networks of a JSON file that holds a spec, or a list of them."""
    spec = _read_json(path)
    if not isinstance(spec, list):
        return [network(spec)]
    try:
        return [_Reader().network(entry, f"spec[{k}]") for k, entry in enumerate(spec)]
    except RecursionError:
        raise ValueError("`spec` is nested too deeply") from None


def _read_json(path: str | PathLike[str]) -> Any:
    text = Path(path).read_bytes()
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("`spec` is nested too deeply") from None
    except ValueError as error:  # also a JSONDecodeError or UnicodeDecodeError
        raise ValueError(f"`spec` must be JSON: {error}") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {_describe_key(key)} occurs twice in an object")
        result[key] = value
    return result


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


# --- writing ----------------------------------------------------------------------------------------------------------


def write_spec(net: Network) -> Spec:
    """What `Network.spec` gives."""
    if isinstance(net, MLP):
        return {"family": "MLP", "widths": list(net.widths), **_activations_json(net.activations), "bias": net.bias}
    if isinstance(net, CNN):
        sizes = {"filters": net.filters, "stride": net.strides, "n_inputs": net.input_shape, "channels": net.channels}
        return {"family": "CNN", **_as_json(sizes), **_activations_json(net.activations), "bias": net.bias}
    if isinstance(net, LightningAttention):
        names = ("d_model", "d_key", "d_out", "n_tokens", "n_layers", "n_heads")
        return {"family": "LightningAttention", **{name: getattr(net, name) for name in names}}
    if isinstance(net, Sequential):
        generic = _generic_specs([layer.polynomial for layer in all_activations(net.layers)])
        layers = [_layer_json(layer, generic) for layer in net.layers]
        return {"family": "Sequential", "n_inputs": list(net.input_shape), "layers": layers}
    instructions = [
        {"instruction": i.kind, **{f.name: _as_json(getattr(i, f.name)) for f in fields(i)}}
        for i in net.program.instructions
    ]
    return {"family": "Program", "n_inputs": net.program.n_inputs, "instructions": instructions}


def _as_json(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_as_json(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _as_json(entry) for key, entry in value.items()}
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Indeterminate):
        return {"group": value.group, "power": value.power}
    return value


def _layer_json(layer: Layer, generic: Mapping[ActivationPolynomial, Spec]) -> Spec:
    if isinstance(layer, Activation):
        return {"layer": "Activation", "activation": _activation_json(layer.polynomial, generic)}
    if isinstance(layer, Residual):
        sides = {"layers": layer.layers, "shortcut": layer.shortcut}
        inner = {name: side and [_layer_json(inner, generic) for inner in side] for name, side in sides.items()}
        return {"layer": "Residual", **inner}
    return {"layer": type(layer).__name__, **{f.name: _as_json(getattr(layer, f.name)) for f in fields(layer)}}


def _activations_json(activations: Sequence[ActivationPolynomial]) -> Spec:
    generic = _generic_specs(activations)
    entries = [_activation_json(activation, generic) for activation in activations]
    if len(set(activations)) == 1:
        single = activations[0]
        return {"activation": {"generic": single.degree} if single.is_generic else entries[0]}
    return {"activations": entries} if entries else {}


def _activation_json(activation: ActivationPolynomial, generic: Mapping[ActivationPolynomial, Spec]) -> Any:
    return generic[activation] if activation.is_generic else _as_json(activation.spec)


def _generic_specs(activations: Sequence[ActivationPolynomial]) -> dict[ActivationPolynomial, Spec]:
    """How each generic polynomial is written; one that occurs several times has a name."""
    specs: dict[ActivationPolynomial, Spec] = {}
    n_shared = 0
    for activation in dict.fromkeys(a for a in activations if a.is_generic):
        specs[activation] = {"generic": activation.degree}
        if activations.count(activation) > 1:
            n_shared += 1
            specs[activation]["name"] = f"g{n_shared}"
    return specs


# --- reading ----------------------------------------------------------------------------------------------------------


class _Reader:
    """Reads one spec; generic activations of the same name are one polynomial within it."""

    def __init__(self) -> None:
        self._generic: dict[str, GenericActivation] = {}
        self._nesting = 0

    def network(self, spec: object, path: str) -> Network:
        fields_of: dict[str, tuple[Callable[..., Network], set[str], set[str]]] = {
            "MLP": (self._mlp, {"widths"}, {"activation", "activations", "bias"}),
            "CNN": (self._cnn, {"filters"}, {"activation", "activations", "stride", "n_inputs", "bias", "channels"}),
            "LightningAttention": (
                LightningAttention,
                {"d_model", "d_key", "n_tokens"},
                {"d_out", "n_layers", "n_heads"},
            ),
            "Sequential": (self._sequential, {"n_inputs", "layers"}, set()),
            "Program": (self._program, {"n_inputs", "instructions"}, set()),
        }
        family, arguments = _kind(spec, "family", tuple(fields_of), path)
        make, required, optional = fields_of[family]
        _check_keys(arguments, required, optional, path)
        return _at(path, lambda: make(**arguments))

    # Messages of what follows begin with the name of a key, to which `_at` adds the path of the object around it.

    def _mlp(self, widths: object, bias: Any = False, **activations: Any) -> MLP:
        widths = _listed(widths, "widths")
        return MLP(widths, self._activations(activations, None, len(widths) - 2), bias)

    def _cnn(self, filters: Any, bias: Any = False, **more: Any) -> CNN:
        activations: dict[str, Any] = {key: more.pop(key) for key in ("activation", "activations") if key in more}
        n_hidden = len(filters) - 1 if isinstance(filters, list) else 0
        return CNN(filters, self._activations(activations, 1, n_hidden), bias=bias, **more)

    def _sequential(self, n_inputs: Any, layers: object) -> Sequential:
        return Sequential(*self._layers(layers, "layers"), n_inputs=n_inputs)

    def _program(self, n_inputs: Any, instructions: object) -> Network:
        read = [self._instruction(i, f"instructions[{k}]") for k, i in enumerate(_listed(instructions, "instructions"))]
        return Network(Program(n_inputs, read))

    def _layers(self, value: object, path: str) -> list[Layer]:
        entries = _listed(value, path)
        check_n_layers(len(entries), path)
        return [self._layer(entry, f"{path}[{k}]") for k, entry in enumerate(entries)]

    def _layer(self, spec: object, path: str) -> Layer:
        name, arguments = _kind(spec, "layer", tuple(_LAYERS), path)
        kind = _LAYERS[name]
        _check_keys(arguments, *_keys_of(kind), path)
        if kind is Activation:
            return Activation(self._activation(arguments["activation"], f"{path}.activation"))
        if kind is Residual:
            return self._residual(path, **arguments)
        layer: Layer = _at(path, lambda: kind(**arguments))
        return layer

    def _residual(self, path: str, layers: object, shortcut: object = None) -> Residual:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise ValueError(f"`layers` must not nest residuals more than {MAX_NESTING} deep")
        inner = self._layers(layers, f"{path}.layers")
        other = None if shortcut is None else self._layers(shortcut, f"{path}.shortcut")
        self._nesting -= 1
        return _at(path, lambda: Residual(*inner, shortcut=other))

    def _instruction(self, spec: object, path: str) -> Instruction:
        name, arguments = _kind(spec, "instruction", tuple(KINDS), path)
        _check_keys(arguments, *_keys_of(KINDS[name]), path)
        if "coefficients" in arguments:
            given = _listed(arguments["coefficients"], f"{path}.coefficients")
            arguments["coefficients"] = [_coefficient(c, f"{path}.coefficients[{k}]") for k, c in enumerate(given)]
        instruction: Instruction = _at(path, lambda: KINDS[name](**arguments))
        return instruction

    def _activations(self, given: Mapping[str, Any], default: Any, n_hidden: int) -> Any:
        """The ``activation`` of a family from its keys "activation" and "activations"."""
        if len(given) == 2:
            raise ValueError("`activations` and `activation` must not both be given")
        if "activations" in given:
            entries = _listed(given["activations"], "activations")
            if len(entries) != n_hidden:
                raise ValueError(f"`activations` must have one entry per hidden layer ({n_hidden}), got {len(entries)}")
            return tuple(self._activation(entry, f"activations[{k}]") for k, entry in enumerate(entries))
        if "activation" not in given:
            return default
        activation = self._activation(given["activation"], "activation")
        # Checked, so that a list as long as there are hidden layers is no ambiguity.
        return activation if isinstance(activation, GenericActivation) else as_activation(activation)

    def _activation(self, value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            _check_keys(dict(value), {"generic"}, {"name"}, path)
            generic = _at(
                path, lambda: GenericActivation(as_index(value["generic"], "generic", 0, MAX_ACTIVATION_DEGREE))
            )
            if "name" not in value:
                return generic
            if not isinstance(value["name"], str):
                raise TypeError(f"`{path}.name` must be text, got {_describe(value['name'])}")
            named = self._generic.setdefault(value["name"], generic)
            if named != generic:
                raise ValueError(
                    f"`{path}.generic` must be {named.degree} as in the other places of this name, got {generic.degree}"
                )
            return named
        if isinstance(value, list):
            value = [_number(entry, f"{path}[{k}]") for k, entry in enumerate(value)]
        return as_activation(value, path)


def _kind(spec: object, key: str, kinds: tuple[str, ...], path: str) -> tuple[str, dict[str, Any]]:
    """Which of several kinds an object is, by this key, and what else it has."""
    choices = ", ".join(kinds)
    if not isinstance(spec, Mapping):
        raise TypeError(f"`{path}` must be a dict with the key {key!r} ({choices}), got {_describe(spec)}")
    if key not in spec:
        raise ValueError(f"`{path}.{key}` is missing, one of {choices}")
    kind = spec[key]
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"`{path}.{key}` must be one of {choices}, got {_describe(kind)}")
    return kind, {name: value for name, value in spec.items() if name != key}


def _check_keys(arguments: Mapping[str, Any], required: set[str], optional: set[str], path: str) -> None:
    for key in arguments:
        if key not in required | optional:
            known = ", ".join(sorted(required | optional))
            raise ValueError(f"`{path}` has the unknown key {_describe_key(key)}; it takes {known}")
    for key in sorted(required - set(arguments)):
        raise ValueError(f"`{path}.{key}` is missing")


def _keys_of(kind: type[Any]) -> tuple[set[str], set[str]]:
    """The required and the optional arguments of a dataclass."""
    names = {f.name: f.default is MISSING for f in fields(kind) if f.init}
    return {name for name, required in names.items() if required}, {n for n, required in names.items() if not required}


def _describe_key(key: object) -> str:
    text = repr(key)
    return text if len(text) <= 60 else text[:57] + "..."


def _listed(value: object, name: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"`{name}` must be a list, got {_describe(value)}")
    return list(value)


def _number(value: Any, path: str) -> Any:
    """A number of JSON, fractions as text; what is no number is told by whoever takes it."""
    if not isinstance(value, str):
        return value
    if not _FRACTION.fullmatch(value) or int(value.partition("/")[2]) == 0:
        raise ValueError(f"`{path}` must be a number, or a fraction as in '1/3', got {_describe(value)}")
    return Fraction(value)


def _coefficient(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        _check_keys(dict(value), {"group", "power"}, set(), path)
        return _at(path, lambda: Indeterminate(value["group"], value["power"]))
    return _number(value, path)


def _at(path: str, make: Callable[[], T]) -> T:
    """What ``make`` gives; its errors name the path of the argument that they begin with."""
    try:
        return make()
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        text = str(error) or "out of memory"
        kind = next(c for c in (TypeError, ValueError, OverflowError, MemoryError) if isinstance(error, c))
        raise kind(f"`{path}.{text[1:]}" if text.startswith("`") else f"`{path}`: {text}") from None
