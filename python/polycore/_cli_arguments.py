# SPDX-License-Identifier: BSD-3-Clause
"""What the commands of the command line share: how arguments are read, and how what is wrong is said."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .networks import Network

T = TypeVar("T")

_ACTIVATION_HELP = (
    "a power (2), one power a hidden layer (2,3), coefficients low to high ([0,0,1,1]), a generic polynomial "
    "(generic:3), or the best polynomial approximation of a function, name:degree (tanh:5); default 2"
)
COLUMNS_HELP = "column names, indices from 0, ranges (a-c, 0-9, 0:10) or *, separated by commas"
DATA_HELP = "CSV (.csv, .tsv, .txt), Parquet (.parquet), .npy or .npz file"
_PLAIN = str.maketrans({"−": "-", "–": "-", "…": "..."})
# Of a depth or a width.
_MAX_RANGE = 2**16


class UsageError(Exception):
    """The command line asks for something that makes no sense: exit code 2."""


def add_layers(parser: argparse.ArgumentParser) -> None:
    """The options that say what the layers of a network are, besides their widths."""
    parser.add_argument("--activation", metavar="P", help=_ACTIVATION_HELP)
    parser.add_argument(
        "--interval",
        type=interval,
        metavar="LOW,HIGH",
        help="where name:degree approximates the function; default -3,3 (write --interval=-3,3)",
    )
    parser.add_argument("--bias", action="store_true", help="give every layer a bias")


def add_network(parser: argparse.ArgumentParser, widths: str, **more: Any) -> None:
    """The options that say which network: ``widths`` is the name of the argument for those of an MLP."""
    choice = parser.add_mutually_exclusive_group(required=True)
    # As an option they may be written with spaces, too.
    how = {"action": _Widths, "nargs": "+"} if widths.startswith("-") else {"type": parse_widths}
    choice.add_argument(widths, help="layer widths: 2,3,4,5,4,6,4,1", **how, **more)
    choice.add_argument("--network", metavar="FILE", help="a network of any family: JSON as net.spec() gives it")
    choice.add_argument(
        "--cnn",
        type=sizes,
        metavar="K,K,…",
        help="a convolutional network: length of the filters of each layer, or height x width: 3,3 or 3x3,2x2",
    )
    choice.add_argument(
        "--attention",
        type=four_integers,
        metavar="D,A,DOUT,T",
        help="lightning attention: features of a token, rows of the keys, features of a token of the result, tokens",
    )
    parser.add_argument("--stride", type=sizes, metavar="S,S,…", help="of a --cnn: one, or one a layer; default 1")
    parser.add_argument(
        "--input-size",
        type=size,
        metavar="N",
        help="of a --cnn: positions (9), with features (9x2), pixels (28x28), with features (28x28x3); default: what "
        "one output sees",
    )
    parser.add_argument(
        "--channels", type=sizes, metavar="N,N,…", help="of a --cnn: channels after each layer; default 1"
    )
    parser.add_argument("--layers", type=positive, metavar="N", help="of an --attention; default 1")
    parser.add_argument("--heads", type=positive, metavar="N", help="of an --attention, in each layer; default 1")
    add_layers(parser)


_FAMILY_OPTIONS = {
    "widths": ("activation", "interval", "bias"),
    "network": (),
    "cnn": ("activation", "interval", "bias", "stride", "input_size", "channels"),
    "attention": ("layers", "heads"),
}


def read_network(options: argparse.Namespace) -> Network:
    """The network that the options of `add_network` describe; UsageError if they make no sense."""
    from .networks import CNN, MLP, LightningAttention

    family = next(name for name in _FAMILY_OPTIONS if getattr(options, name) is not None)
    _check_options(options, family)
    if family == "network":
        from . import specs

        return read_file(options.network, specs.read_network)
    try:
        if family == "attention":
            d_model, d_key, d_out, n_tokens = options.attention
            return LightningAttention(d_model, d_key, d_out, n_tokens, options.layers or 1, options.heads or 1)
        if family == "cnn":
            p = activation(options.activation, options.interval, len(options.cnn) - 1)
            stride, channels = (_one_for_all(given) for given in (options.stride, options.channels))
            return CNN(options.cnn, p, stride or 1, options.input_size, options.bias, channels)
        p = activation(options.activation, options.interval, len(options.widths) - 2)
        return MLP(options.widths, p, options.bias)
    except (ValueError, TypeError) as error:
        raise UsageError(one_line(error)) from None


def _check_options(options: argparse.Namespace, family: str) -> None:
    for name in dict.fromkeys(name for names in _FAMILY_OPTIONS.values() for name in names):
        if getattr(options, name) not in (None, False) and name not in _FAMILY_OPTIONS[family]:
            where = "widths" if family == "widths" else f"--{family}"
            raise UsageError(f"--{name.replace('_', '-')} does not go with {where}")


def read_file(path: str, read: Callable[[str], T]) -> T:
    """What is in a file of specs; what is wrong with it is a ValueError that names the file."""
    try:
        return read(path)
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise ValueError(f"{path}: {one_line(error)}") from None


def _one_for_all(entries: Any) -> Any:
    """A single entry is for all layers."""
    return entries[0] if entries and len(entries) == 1 and isinstance(entries[0], int) else entries


def integers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of integers separated by commas") from None


def parse_widths(text: str) -> tuple[int, ...]:
    widths = integers(text)
    if len(widths) < 2 or min(widths) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be at least two positive integers: inputs, hidden layers, outputs"
        )
    return tuple(widths)


class _Widths(argparse.Action):
    """Widths in one word, ``2,3,1``, or several, ``2 3 1``."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        try:
            setattr(namespace, self.dest, parse_widths(",".join(word.strip(",") for word in values)))
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from None


def size(text: str) -> Any:
    """A positive integer, or several with x between them: 3, 3x2, 28x28x3."""
    parts = text.split("x")
    if not all(part.isascii() and part.isdigit() and len(part) < 20 and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer, or several as in 3x2")
    numbers = tuple(map(int, parts))
    return numbers if len(numbers) > 1 else numbers[0]


def sizes(text: str) -> tuple[Any, ...]:
    return tuple(size(part) for part in text.split(","))


def four_integers(text: str) -> list[int]:
    numbers = integers(text)
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not four integers separated by commas")
    return numbers


def positive(text: str) -> int:
    number = count(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return number


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a non-negative integer")
    return int(text)


def seed(text: str) -> int:
    seed = count(text)
    if seed >= 2**64:
        raise argparse.ArgumentTypeError(f"{text!r} is not below 2^64")
    return seed


def fraction(text: str) -> float:
    try:
        fraction = float(text)
    except ValueError:
        fraction = -1.0
    if not 0 <= fraction < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fraction with 0 <= fraction < 1")
    return fraction


def interval(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not two numbers separated by a comma") from None
    return low, high


def ranges(text: str) -> tuple[int, ...]:
    """Positive integers: ``3``, ``2..7``, ``..6`` (from 1), or several of these separated by commas."""
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(?:([0-9]+)|([0-9]*)\.\.([0-9]+))\s*", part)
        if not found:
            raise argparse.ArgumentTypeError(f"{text!r} is not a range of integers: 3, 2..7, ..6 or 2,4,6")
        single, low, high = found.groups()
        first, last = (int(single), int(single)) if single else (int(low or 1), int(high))
        if not 1 <= first <= last <= _MAX_RANGE:
            raise argparse.ArgumentTypeError(f"{text!r} is not a range of integers from 1 to {_MAX_RANGE}, ascending")
        numbers += range(first, last + 1)
    return tuple(numbers)


def depths(text: str) -> tuple[int, ...]:
    """As `ranges`, but ``..6`` begins at 2: networks with a hidden layer."""
    return ranges(re.sub(r"(^|,)(\s*)\.\.", r"\g<1>\g<2>2..", text))


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return number


def probability(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a probability between 0 and 1")
    return number


def activation(text: str | None, interval: tuple[float, float] | None, n_hidden: int) -> Any:
    """The ``activation`` of `polycore.MLP`."""
    from .architectures import parse_activation

    try:
        return parse_activation("2" if text is None else text, n_hidden, interval or (-3.0, 3.0))
    except ValueError as error:
        raise ValueError(f"--activation: {error}") from None


def add_reading(parser: argparse.ArgumentParser) -> None:
    """The options that say how a data file is read."""
    parser.add_argument("--delimiter", metavar="C", help="between the cells of a text file; default: guessed")
    parser.add_argument("--drop-missing", action="store_true", help="leave out rows with missing values")


def say(text: object, flush: bool = False) -> None:
    """Print, in plain characters where the encoding of the output lacks others."""
    encoding, line = sys.stdout.encoding or "utf-8", str(text)
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = line.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    print(line, flush=flush)


def one_line(error: BaseException) -> str:
    """The message without line breaks, and without the errno that OSError puts before it."""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror + (f": {error.filename}" if error.filename else "")
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())
