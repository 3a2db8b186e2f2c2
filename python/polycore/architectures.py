# SPDX-License-Identifier: BSD-3-Clause
"""Architectures without networks: families of them in a fixed order, and as short text that can be read back.

An architecture is what a network is made of: for `polycore.MLP` widths, activation, bias. A sweep goes through
thousands of them, writes them in a table, and must recognise them there; so they have one text each: widths ``2-3-1``,
and activations as the command line reads them, a power ``2``, one a hidden layer ``2,3``, coefficients ``[0,0,1,1]``,
generic ones ``generic:3``. Networks of other families have their own words, or their spec, in place of widths.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeAlias

from ._validation import _describe, as_flag, as_index
from .activations import ActivationPolynomial, GenericActivation, as_activations, polynomial_activation
from .networks import MLP, Network, Sequential, as_widths
from .specs import network

__all__ = ["Architecture", "Architectures", "architectures", "as_architecture", "parse_activation"]

Integers: TypeAlias = "int | Iterable[int]"

# Of a width, a depth, ...: an endless iterable, or a range up to 10^9, is refused and not collected.
_MAX_VALUES = 2**16
_WHOLE = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Architecture:
    """A network as text: ``widths`` "2-3-1", ``activation`` as `parse_activation` reads it (empty without any), bias.

    A network that is no MLP has its repr for widths (a plain `Network` its spec), and ``spec``, JSON.

    >>> as_architecture(((2, 3, 1), [0, 0, 1, 1]))
    Architecture(widths='2-3-1', activation='[0,0,1,1]', bias=False, spec='')
    >>> as_architecture(((2, 3, 1), [0, 0, 1, 1])).network()
    MLP((2, 3, 1), activation=([0, 0, 1, 1],))
    >>> from polycore import CNN
    >>> as_architecture(CNN((3, 2), 2)).widths
    'CNN((3, 2), activation=2, n_inputs=4)'
    """

    widths: str
    activation: str
    bias: bool
    spec: str = ""

    def network(self) -> Network:
        """The network; OverflowError or MemoryError if its polynomials cannot even be counted."""
        if self.spec:
            return network(json.loads(self.spec))
        widths = tuple(map(int, self.widths.split("-")))
        return MLP(widths, _parse_cached(self.activation, len(widths) - 2), self.bias)


def as_architecture(value: object, name: str = "architecture") -> Architecture:
    """An architecture from a network, its spec, or the widths, activation and bias of an MLP as a tuple or dict.

    TypeError for anything else, ValueError for widths below 1 or activations that are none; ``name`` is the argument
    these messages speak of.
    """
    if isinstance(value, Architecture):
        return value
    try:
        if isinstance(value, Mapping) and "family" in value:
            value = network(value)
        if isinstance(value, MLP):
            return Architecture(_widths_text(value.widths), format_activation(value.activations), value.bias)
        if isinstance(value, Network):
            return _in_its_own_words(value)
        if isinstance(value, Mapping) and "widths" in value and set(value) <= {"widths", "activation", "bias"}:
            widths, activation, bias = value["widths"], value.get("activation"), value.get("bias", False)
        elif isinstance(value, (tuple, list)) and len(value) in (2, 3) and not isinstance(value[0], int):
            widths, activation, bias = (*value, False)[:3]
        else:
            raise TypeError(
                "must be a network, a spec, a tuple (widths, activation) or (widths, activation, bias), or a dict with "
                f"these keys, got {_describe(value)}"
            )
        checked = as_widths(widths)
        n_hidden = len(checked) - 2
        activations = as_activations(activation, n_hidden) if n_hidden else ()
        return Architecture(_widths_text(checked), format_activation(activations), as_flag(bias, "bias"))
    except (TypeError, ValueError) as error:
        separator = "" if str(error).startswith("must") else ":"
        raise type(error)(f"`{name}`{separator} {error}") from None


def _in_its_own_words(net: Network) -> Architecture:
    spec = json.dumps(net.spec(), ensure_ascii=False, separators=(",", ":"))
    words = repr(net) if isinstance(net, Sequential) else spec
    activations = tuple(ActivationPolynomial(i.coefficients) for i in net.program.activations)
    bias = any(block.kind == "b" for block in net.program.parameters)
    return Architecture(words, format_activation(activations), bias, spec)


# --- families ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Architectures:
    """A family of architectures, made by `architectures`: can be iterated again and again, and knows its length."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    depth: tuple[int, ...]
    width: tuple[int, ...]
    activation: Any
    bias: bool

    @property
    def count(self) -> int:
        """How many there are; ``len`` is the same below 2^63."""
        per_pair: int = sum(len(self.width) ** (depth - 1) for depth in self.depth)
        return len(self.inputs) * len(self.outputs) * per_pair

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], Any, bool]]:
        for n_inputs, n_outputs, depth in itertools.product(self.inputs, self.outputs, self.depth):
            for hidden in itertools.product(self.width, repeat=depth - 1):
                yield (n_inputs, *hidden, n_outputs), self.activation, self.bias

    def __repr__(self) -> str:
        words = [f"{name}={_range_text(getattr(self, name))}" for name in ("inputs", "outputs", "depth", "width")]
        bias = ", bias=True" if self.bias else ""
        return f"Architectures({', '.join(words)}, activation={self.activation!r}{bias}: {self.count:,})"


def architectures(
    *, inputs: Integers, outputs: Integers, depth: Integers, width: Integers, activation: Any = 2, bias: bool = False
) -> Architectures:
    """All MLPs whose depth and widths are in given ranges, in a fixed order.

    Parameters
    ----------
    inputs, outputs : int or iterable of int
        Numbers of inputs and of outputs.
    depth : int or iterable of int
        Numbers of weight matrices: a network of depth L has L − 1 hidden layers.
    width : int or iterable of int
        What the width of each hidden layer may be.
    activation
        As for `polycore.MLP`. A tuple, with one entry a hidden layer, fits a single depth.
    bias : bool

    Returns
    -------
    Architectures
        Iterates tuples (widths, activation, bias), the arguments of `polycore.MLP`. Inputs vary slowest, then outputs,
        then depth, then the hidden widths from the first layer to the last, each in the order given.

    Raises
    ------
    TypeError, ValueError
        For numbers that are not integers, or below 1, an empty range, or an activation that is none or does not fit
        a depth.

    Examples
    --------
    >>> family = architectures(inputs=2, outputs=1, depth=range(1, 4), width=(1, 2))
    >>> [widths for widths, activation, bias in family]
    [(2, 1), (2, 1, 1), (2, 2, 1), (2, 1, 1, 1), (2, 1, 2, 1), (2, 2, 1, 1), (2, 2, 2, 1)]
    >>> architectures(inputs=2, outputs=1, depth=range(2, 8), width=range(1, 7)).count
    55986
    """
    family = Architectures(
        _as_integers(inputs, "inputs"),
        _as_integers(outputs, "outputs"),
        _as_integers(depth, "depth"),
        _as_integers(width, "width"),
        activation,
        as_flag(bias, "bias"),
    )
    for layers in family.depth:
        if layers > 1:
            as_activations(activation, layers - 1)
    return family


def _as_integers(value: object, name: str) -> tuple[int, ...]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        return (as_index(value, name, 1, 2**31 - 1),)
    numbers = tuple(as_index(number, name, 1, 2**31 - 1) for number in itertools.islice(value, _MAX_VALUES + 1))
    if not 1 <= len(numbers) <= _MAX_VALUES:
        raise ValueError(
            f"`{name}` must be between 1 and {_MAX_VALUES:,} integers, got {'none' if not numbers else 'more'}"
        )
    return numbers


def _range_text(numbers: tuple[int, ...]) -> str:
    if len(numbers) > 1 and numbers == tuple(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}..{numbers[-1]}"
    return str(numbers[0]) if len(numbers) == 1 else repr(numbers)


def _widths_text(widths: tuple[int, ...]) -> str:
    return "-".join(map(str, widths))


# --- activations as text ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def format_activation(activations: tuple[ActivationPolynomial, ...]) -> str:
    """The activations of the hidden layers as text, once if they are all the same."""
    if activations and len(set(activations)) == 1:
        return _entry_text(activations[0])
    shared = [a for a in dict.fromkeys(activations) if a.is_generic and activations.count(a) > 1]
    return ",".join(_entry_text(a) + (f"@{shared.index(a) + 1}" if a in shared else "") for a in activations)


def _entry_text(activation: ActivationPolynomial) -> str:
    if activation.is_generic:
        return f"generic:{activation.degree}"
    if activation.power is not None:
        return str(activation.power)
    return f"[{','.join(map(str, activation.coefficients))}]"


def parse_activation(text: str, n_hidden: int, interval: tuple[float, float] = (-3.0, 3.0)) -> Any:
    """The ``activation`` of `polycore.MLP` from text: entries separated by commas, one or one a hidden layer.

    Parameters
    ----------
    text : str
        An entry is a power (``2``), coefficients low to high (``[0,0,1,1]``; integers, fractions or decimals),
        ``generic:degree`` (a polynomial of its own, unless several entries share a number: ``generic:3@1``), or
        ``name:degree`` for the best polynomial approximation of a function (``tanh:5``).
    n_hidden : int
        Number of hidden layers.
    interval : (float, float)
        Where name:degree approximates the function.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> parse_activation("2,[0,1/2,1]", 2)
    (2, [0, Fraction(1, 2), 1])
    """
    shared: dict[str, GenericActivation] = {}
    entries = [_parse_entry(entry, interval, shared) for entry in _split_outside_brackets(text)] if text else []
    if len(entries) == 1:
        # A tuple per layer says the same without the ambiguity of a list as long as the hidden layers.
        return tuple(entries * n_hidden) if isinstance(entries[0], list) else entries[0]
    return tuple(entries)


@lru_cache(maxsize=1024)
def _parse_cached(text: str, n_hidden: int) -> Any:
    return as_activations(parse_activation(text, n_hidden), n_hidden) if n_hidden else None


def _parse_entry(text: str, interval: tuple[float, float], shared: dict[str, GenericActivation]) -> Any:
    if text.startswith("[") and text.endswith("]"):
        try:
            return [_parse_number(part) for part in text[1:-1].split(",")]
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"{text!r} is not a list of coefficients") from None
    name, colon, degree = text.partition(":")
    degree, at, number = degree.partition("@") if name == "generic" else (degree, "", "")
    if colon:
        if not _WHOLE.fullmatch(degree) or (at and not _WHOLE.fullmatch(number)):
            raise ValueError(f"{text!r} must be name:degree, as in tanh:5" + ", or generic:degree@number" * bool(at))
        if name == "generic":
            activation = GenericActivation(int(degree))
            return shared.setdefault(text, activation) if at else activation
        return polynomial_activation(name, int(degree), interval)
    if not _WHOLE.fullmatch(text):
        raise ValueError(
            f"{text!r} is neither a power, a coefficient list [0,0,1,1], generic:3, nor name:degree (tanh:5)"
        )
    return int(text)


def _parse_number(text: str) -> int | float | Fraction:
    for kind in (int, float, Fraction):
        try:
            number = kind(text)
        except ValueError:
            continue
        if not math.isfinite(number):
            break
        return number
    raise ValueError(f"{text!r} is not a number")


def _split_outside_brackets(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
