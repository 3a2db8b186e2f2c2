# SPDX-License-Identifier: BSD-3-Clause
"""The commands about dimensions: ``polycore dim | sweep | fill``."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

from . import _cli_arguments as _read
from ._cli_arguments import UsageError, one_line, say

_LINE = 100
_MAX_DEPTH = 2**16
_RANGES = ("inputs", "outputs", "depth", "width")
_LEVEL = "an error bound above this is lowered by more primes; default 1e-9"


def add_commands(commands: Any) -> None:
    """Add the parsers of these commands to the subparsers of `polycore`."""
    _add_dim(commands)
    _add_sweep(commands)
    _add_fill(commands)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=_read.seed, default=0, metavar="N", help="of the random numbers; default 0")
    parser.add_argument(
        "--primes", type=_read.positive, default=2, metavar="N", help="primes to try at least; default 2"
    )
    parser.add_argument("--max-error", type=_read.probability, default=1e-9, metavar="P", help=_LEVEL)


# --- polycore dim -----------------------------------------------------------------------------------------------------


def _add_dim(commands: Any) -> None:
    parser = commands.add_parser(
        "dim",
        help="the dimension of a network's functions, and whether its weights can be identified",
        description="The dimension of the set of polynomials that a network can represent, exact, and whether its "
        "parameters are determined by its function.",
    )
    _read.add_network(parser, "widths", nargs="?", metavar="WIDTHS")
    _add_common(parser)
    parser.set_defaults(run=_dim)


def _dim(options: argparse.Namespace, _: Sequence[str]) -> None:
    from .dimension import dimension
    from .identifiability import identifiability
    from .modular import format_bound

    network = _read.read_network(options)
    settings = {"rng": options.seed, "primes": options.primes, "max_error": options.max_error}
    identified = identifiability(network, **settings)
    result = identified.dimension or dimension(network, **settings)
    if options.json:
        answer = {
            **asdict(result),
            "identifiability": {
                "verdict": identified.verdict,
                "proved": identified.proved,
                "error_bound": identified.error_bound,
                "theorem": identified.theorem,
                "reason": identified.reason,
            },
        }
        print(json.dumps(answer, allow_nan=False))
        return
    for line in repr(result).splitlines():
        say(_folded(line))
    say(_folded(f"  bound       at most {result.upper_bound}: {result.reason}"))
    if not result.proved:
        vanishes, divides = format_bound(result.schwartz_zippel), format_bound(result.bad_prime)
        parts = f"Schwartz–Zippel {vanishes}, bad prime {divides} for each prime"
        say(_folded(f"  error       < {format_bound(result.error_bound)}: {parts}"))
    say(_folded(f"  primes      {', '.join(map(str, result.primes)) or 'none needed'}; seed {result.seed}"))
    say(_folded(f"  weights     {identified.verdict}: {identified.reason}"))


def _folded(line: str) -> str:
    """The line in at most three lines of the screen."""
    return "\n".join(
        textwrap.wrap(line, _LINE, subsequent_indent=" " * 14, max_lines=3, placeholder=" …", break_on_hyphens=False)
    )


# --- polycore sweep ---------------------------------------------------------------------------------------------------


def _add_sweep(commands: Any) -> None:
    parser = commands.add_parser(
        "sweep",
        help="the dimensions of a whole family of networks, in a table",
        description="The dimension of every network with depths and widths in given ranges, or of the networks in "
        "files, one row each, in a CSV or Parquet file, or as CSV on standard output. Rows are written as they are "
        "found; with a file, a sweep that was stopped goes on where it was.",
    )
    parser.add_argument("--inputs", type=_read.ranges, metavar="N..M", help="numbers of inputs: 2, 1..3")
    parser.add_argument("--outputs", type=_read.ranges, metavar="N..M", help="numbers of outputs")
    parser.add_argument("--depth", type=_read.depths, metavar="N..M", help="numbers of weight matrices: 3, 2..7, ..7")
    parser.add_argument("--width", type=_read.ranges, metavar="N..M", help="widths of the hidden layers: ..6, 2,4,6")
    parser.add_argument(
        "--network",
        nargs="+",
        metavar="FILE",
        help="instead of ranges: networks of any family, JSON as net.spec() gives it, one or a list of them a file",
    )
    _read.add_layers(parser)
    _add_common(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="table to write (.csv or .parquet); default: CSV on standard output, lines of JSON with --json",
    )
    parser.add_argument(
        "--timeout", type=_read.seconds, metavar="SECONDS", help="stop the computation of a network after this"
    )
    parser.add_argument(
        "--workers", type=_read.count, default=0, metavar="N", help="processes; default one for every processor"
    )
    parser.set_defaults(run=_sweep)


def _sweep(options: argparse.Namespace, _: Sequence[str]) -> None:
    from .sweep import sweep

    family = _networks_of_files(options) if options.network else _networks_in_ranges(options)
    how = {
        "seed": options.seed,
        "primes": options.primes,
        "max_error": options.max_error,
        "timeout": options.timeout,
        "n_workers": options.workers,
    }
    if options.out is None:
        _print_rows(family, how, options.json)
        return
    result = sweep(family, options.out, **how)
    say(json.dumps(result.to_dict()) if options.json else result)


def _networks_in_ranges(options: argparse.Namespace) -> Any:
    from .activations import as_activation
    from .architectures import architectures

    missing = [f"--{name}" for name in _RANGES if getattr(options, name) is None]
    if missing:
        raise UsageError(f"{', '.join(missing)} or --network is needed (see polycore sweep --help)")
    try:
        activation = _read.activation(options.activation, options.interval, 1)
        if isinstance(activation, tuple) and len(activation) == 1:
            activation = as_activation(activation[0])  # the same coefficients at every depth
        return architectures(
            inputs=options.inputs,
            outputs=options.outputs,
            depth=options.depth,
            width=options.width,
            activation=activation,
            bias=options.bias,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(one_line(error)) from None


def _networks_of_files(options: argparse.Namespace) -> list[Any]:
    from .specs import read_networks

    for name in (*_RANGES, "activation", "interval", "bias"):
        if getattr(options, name) not in (None, False):
            raise UsageError(f"--{name} does not go with --network")
    return [network for path in options.network for network in _read.read_file(path, read_networks)]


def _print_rows(family: Any, how: dict[str, Any], as_json: bool) -> None:
    """Line by line, for whoever reads along; on a terminal they are progress enough."""
    from .sweep import COLUMNS, csv_line, sweep_rows

    if not as_json:
        say(csv_line(COLUMNS), flush=True)
    with closing(sweep_rows(family, **how, progress=not sys.stdout.isatty())) as rows:
        for row in rows:
            say(json.dumps(row) if as_json else csv_line(row.values()), flush=True)


# --- polycore fill ----------------------------------------------------------------------------------------------------


def _depth(text: str) -> int:
    """Bounded before there is an activation for each layer."""
    number = _read.positive(text)
    if number > _MAX_DEPTH:
        raise argparse.ArgumentTypeError(f"{text!r} is not at most {_MAX_DEPTH}")
    return number


def _add_fill(commands: Any) -> None:
    parser = commands.add_parser(
        "fill",
        help="the narrowest networks whose functions fill the ambient space",
        description="All hidden widths such that almost every polynomial is a function of the network (over the "
        "complex numbers), but no longer if any one width is lowered.",
    )
    parser.add_argument("--inputs", required=True, type=_read.positive, metavar="N", help="number of inputs")
    parser.add_argument("--outputs", required=True, type=_read.positive, metavar="N", help="number of outputs")
    parser.add_argument("--depth", required=True, type=_depth, metavar="N", help="number of weight matrices")
    _read.add_layers(parser)
    _add_common(parser)
    parser.set_defaults(run=_fill)


def _fill(options: argparse.Namespace, _: Sequence[str]) -> None:
    from .activations import as_activations
    from .filling import minimal_filling

    try:
        activation = _read.activation(options.activation, options.interval, options.depth - 1)
        as_activations(activation, options.depth - 1)
    except (ValueError, TypeError) as error:
        raise UsageError(one_line(error)) from None
    result = minimal_filling(
        options.inputs,
        options.outputs,
        options.depth,
        activation,
        bias=options.bias,
        rng=options.seed,
        primes=options.primes,
        max_error=options.max_error,
    )
    say(json.dumps(result.to_dict()) if options.json else result)
