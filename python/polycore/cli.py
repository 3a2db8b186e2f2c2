# SPDX-License-Identifier: BSD-3-Clause
"""The command line: ``polycore dim | sweep | fill | critical | report | moments | merge | info``.

Exit code 0 is success, 1 a failure (a file that is missing or holds what it should not), 2 bad usage, 130 an interrupt.
What went wrong is one line on standard error. Everything that computes is imported by the command that needs it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import _cli_arguments as _read
from . import _cli_critical, _cli_dimension
from ._cli_arguments import UsageError, one_line

if TYPE_CHECKING:
    from .moments import Moments
    from .networks import Network

OK, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the usage and a line."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; ``sys.argv[1:]`` by default.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(arguments)
    except UsageError as error:
        return _complain(str(error), USAGE)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of standard output is gone (`| head`); the interpreter must not try to flush to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except (OSError, ValueError, TypeError, ArithmeticError, ImportError, MemoryError) as error:
        return _complain(one_line(error), FAILURE)


def _run(arguments: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.cmakedir or options.includedir:
        from .config import get_cmake_dir, get_include

        print(get_cmake_dir() if options.cmakedir else get_include())
        return OK
    if options.command is None:
        parser.error("a command is needed: dim, sweep, fill, critical, report, moments, merge or info")
    command: Callable[[argparse.Namespace, Sequence[str]], None] = options.run
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_args, **_more: print(f"polycore: warning: {message}", file=sys.stderr)
        command(options, arguments)
        sys.stdout.flush()
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="polycore", description="Neural networks with polynomial activations as polynomials.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--cmakedir", action="store_true", help="print the directory of the CMake package and exit")
    where.add_argument("--includedir", action="store_true", help="print the directory of the C++ headers and exit")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=_Parser)
    _cli_dimension.add_commands(commands)
    _cli_critical.add_commands(commands)
    _add_report(commands)
    _add_moments(commands)
    _add_merge(commands)
    info = commands.add_parser("info", help="tell versions, backend, instruction set and threads")
    info.set_defaults(run=_info)
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from .config import get_config

        print(f"polycore {get_config()['version']}")
        parser.exit()


# --- polycore info ----------------------------------------------------------------------------------------------------


def _info(options: argparse.Namespace, _: Sequence[str]) -> None:
    from .config import format_config, get_config

    config = get_config()
    print(json.dumps(config, indent=1) if options.json else format_config(config))


# --- polycore report --------------------------------------------------------------------------------------------------


def _add_report(commands: Any) -> None:
    parser = commands.add_parser(
        "report",
        help="fit a network to a data file and write a page about it",
        description="Fit a network with polynomial activations to columns of a file, write index.html and report.json: "
        "the network as a polynomial, what the data determine, training and its critical points, and errors beside "
        "linear and polynomial regression. Inputs and outputs are standardised.",
    )
    parser.add_argument("--data", required=True, metavar="FILE", help=_read.DATA_HELP)
    parser.add_argument("--x", required=True, metavar="COLS", help="input columns: " + _read.COLUMNS_HELP)
    parser.add_argument("--y", required=True, metavar="COLS", help="output columns")
    _read.add_network(parser, "--widths", metavar="N,N,…")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory for index.html and report.json")
    parser.add_argument(
        "--held-out", type=_read.fraction, default=0.2, metavar="F", help="fraction kept for testing; default 0.2"
    )
    parser.add_argument("--starts", type=_read.positive, default=16, metavar="N", help="random starts; default 16")
    parser.add_argument(
        "--max-steps", type=_read.positive, default=1000, metavar="N", help="steps a start; default 1000"
    )
    parser.add_argument(
        "--critical-starts",
        type=_read.count,
        default=100,
        metavar="N",
        help="random starts of the search for critical points; 0 leaves them out; default 100",
    )
    parser.add_argument(
        "--seed", type=_read.seed, default=0, metavar="N", help="for the split and the starts; default 0"
    )
    parser.add_argument("--title", help="title of the page; default the file's name")
    _read.add_reading(parser)
    parser.set_defaults(run=_report)


def _report(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    from .report import check_columns, check_report_size, report
    from .tables import open_table

    table = open_table(options.data, options.delimiter)
    network = _read.read_network(options)
    try:
        x, y = table.resolve(options.x, "--x"), table.resolve(options.y, "--y")
        check_columns(network, len(x), len(y))
        check_report_size(network)
    except (ValueError, TypeError) as error:
        raise UsageError(one_line(error)) from None
    _say_what(network)
    result = report(
        x,
        y,
        network=network,
        data=options.data,
        out=options.out,
        held_out=options.held_out,
        n_starts=options.starts,
        max_steps=options.max_steps,
        critical_starts=options.critical_starts,
        rng=options.seed,
        drop_missing=options.drop_missing,
        delimiter=options.delimiter,
        title=options.title,
        progress=True,
        command=_as_typed(arguments),
    )
    for warning in result.warnings:
        print(f"polycore: warning: {warning}", file=sys.stderr)
    if options.json:
        print(json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False))
        return
    print(result)
    print(f"written to {Path(options.out) / 'index.html'}")


def _as_typed(arguments: Sequence[str]) -> str:
    """The command line, one option a line."""
    lines = ["polycore"]
    for argument in arguments:
        if argument.startswith("--"):
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + shlex.quote(argument)
    return " \\\n  ".join(lines)


def _say_what(network: Network) -> None:
    if sys.stderr.isatty():
        print(f"{network!r}: {network.n_params} parameters, {len(network.basis)} monomials", file=sys.stderr)


# --- polycore moments, polycore merge ---------------------------------------------------------------------------------


def _add_moments(commands: Any) -> None:
    parser = commands.add_parser(
        "moments",
        help="accumulate the moments of a data file into a state file",
        description="Read a file block by block, in memory that does not grow with its rows, and save the sums over "
        "rows of all monomials up to a degree (raw sums, columns as they are). `polycore merge` adds state files.",
    )
    parser.add_argument("--data", required=True, metavar="FILE", help=_read.DATA_HELP)
    parser.add_argument("--x", required=True, metavar="COLS", help="variables: " + _read.COLUMNS_HELP)
    parser.add_argument("--y", metavar="COLS", help="targets, for cross moments")
    parser.add_argument(
        "--degree", required=True, type=_read.count, metavar="N", help="degree of the moments (twice that of a fit)"
    )
    parser.add_argument(
        "--cross-degree", type=_read.count, metavar="N", help="degree of the cross moments; default degree // 2"
    )
    parser.add_argument("--homogeneous", action="store_true", help="only monomials of exactly that degree")
    parser.add_argument("--out", required=True, metavar="STATE", help="state file to write (.npz)")
    _read.add_reading(parser)
    parser.set_defaults(run=_moments)


def _moments(options: argparse.Namespace, _: Sequence[str]) -> None:
    from .moments import Moments
    from .tables import iterate_rows, open_table

    table = open_table(options.data, options.delimiter)
    try:
        x = table.resolve(options.x, "--x")
        y = table.resolve(options.y, "--y") if options.y else []
        moments = Moments(
            len(x),
            options.degree,
            n_targets=len(y),
            cross_degree=options.cross_degree,
            homogeneous=options.homogeneous,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(one_line(error)) from None
    _check_state_path(options.out)
    n_dropped = 0
    with _Progress(table.path) as progress:
        for X, Y, dropped in iterate_rows(table, x, y, drop_missing=options.drop_missing):
            moments.update(X, Y if y else None)
            n_dropped += dropped
            progress.update(len(X) + dropped)
    if moments.count == 0:
        raise ValueError(
            f"{table.path.name} has no rows" + (f" without missing values ({n_dropped})" if n_dropped else "")
        )
    moments.save(options.out)
    _show_state(options, moments, {"n_dropped": n_dropped, "columns": [table.columns[index] for index in [*x, *y]]})


def _add_merge(commands: Any) -> None:
    parser = commands.add_parser("merge", help="add state files of moments into one")
    parser.add_argument("states", nargs="+", metavar="STATE", help="state files written by `polycore moments`")
    parser.add_argument("--out", required=True, metavar="STATE", help="state file to write (.npz)")
    parser.set_defaults(run=_merge)


def _merge(options: argparse.Namespace, _: Sequence[str]) -> None:
    from .moments import Moments

    _check_state_path(options.out)
    first, *rest = options.states
    total = _load_state(Moments, first)
    for path in rest:
        try:
            total = total + _load_state(Moments, path)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {one_line(error)}") from None
    total.save(options.out)
    _show_state(options, total, {"n_files": len(options.states)})


def _load_state(kind: type[Moments], path: str) -> Moments:
    if not Path(path).exists():
        raise FileNotFoundError(f"no such file: {path}")
    return kind.load(path)


def _show_state(options: argparse.Namespace, moments: Moments, more: dict[str, Any]) -> None:
    state = {
        "out": str(options.out),
        "count": int(moments.count),
        "n_vars": moments.n_vars,
        "degree": moments.degree,
        "n_targets": moments.n_targets,
        "cross_degree": moments.cross_degree,
        "homogeneous": moments.homogeneous,
        "n_moments": len(moments.moments),
        **more,
    }
    if options.json:
        print(json.dumps(state))
        return
    print(moments)
    if more.get("n_dropped"):
        print(f"{more['n_dropped']:,} rows with missing values left out")
    print(f"written to {options.out}")


def _check_state_path(out: str) -> None:
    """OSError before the work rather than after it."""
    directory = Path(out).resolve().parent
    if not directory.is_dir():
        raise FileNotFoundError(f"no such directory: {directory}")
    if Path(out).is_dir():
        raise IsADirectoryError(f"{out} is a directory, not a state file")
    if not os.access(directory, os.W_OK):
        raise PermissionError(f"the directory {directory} cannot be written")


class _Progress:
    """A count of rows on standard error, where that is a terminal and tqdm is installed."""

    def __init__(self, path: Path) -> None:
        self._bar: Any = None
        if sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(desc=path.name, unit=" rows", unit_scale=True, leave=False)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, n_rows: int) -> None:
        if self._bar is not None:
            self._bar.update(n_rows)


# --- messages ---------------------------------------------------------------------------------------------------------


def _complain(message: str, code: int) -> int:
    print(f"polycore: {'' if code == INTERRUPTED else 'error: '}{message}", file=sys.stderr)
    return code
