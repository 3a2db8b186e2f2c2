# SPDX-License-Identifier: BSD-3-Clause
"""What the commands of the command line share: how arguments are read, and how what is wrong is said."""

from __future__ import annotations

import argparse
import re
from typing import Any

_ACTIVATION_HELP = (
    "a power (2), one power a hidden layer (2,3), coefficients low to high ([0,0,1,1]), a generic polynomial "
    "(generic:3), or the best polynomial approximation of a function, name:degree (tanh:5); default 2"
)
# Of a depth or a width.
_MAX_RANGE = 2**16


class UsageError(Exception):
    """The command line asks for something that makes no sense: exit code 2."""


def add_layers(parser: argparse.ArgumentParser) -> None:
    """The options that say what the layers of a network are, besides their widths."""
    parser.add_argument("--activation", default="2", metavar="P", help=_ACTIVATION_HELP)
    parser.add_argument(
        "--interval",
        type=interval,
        default=(-3.0, 3.0),
        metavar="LOW,HIGH",
        help="where name:degree approximates the function; default -3,3 (write --interval=-3,3)",
    )
    parser.add_argument("--bias", action="store_true", help="give every layer a bias")


def integers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of integers separated by commas") from None


def widths(text: str) -> tuple[int, ...]:
    widths = integers(text)
    if len(widths) < 2 or min(widths) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be at least two positive integers: inputs, hidden layers, outputs"
        )
    return tuple(widths)


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


def activation(text: str, interval: tuple[float, float], n_hidden: int) -> Any:
    """The ``activation`` of `polycore.MLP`."""
    from .architectures import parse_activation

    try:
        return parse_activation(text, n_hidden, interval)
    except ValueError as error:
        raise ValueError(f"--activation: {error}") from None


def one_line(error: BaseException) -> str:
    """The message without line breaks, and without the errno that OSError puts before it."""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror + (f": {error.filename}" if error.filename else "")
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())
