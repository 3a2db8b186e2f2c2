# SPDX-License-Identifier: BSD-3-Clause
"""The command ``polycore critical``: the critical points of training on a file, or towards given coefficients.

docs/critical.md describes it, and the JSON it prints.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _cli_arguments as _read
from ._cli_arguments import UsageError, one_line, say

if TYPE_CHECKING:
    from ._rows import Variable
    from .critical import CriticalPoints
    from .networks import Network
    from .tables import Table

METRICS = ("data", "identity", "bombieri_weyl", "gaussian", "uniform")
_LINE = 100
_MAX_SENTENCES = 40
# For the lines between points in a graph, which with many points would take long.
_SECONDS_OF_FLOW = 20.0
# Options that belong to data, and mean nothing for given coefficients.
_OF_DATA = ("x", "y", "raw", "delimiter", "drop_missing")


def add_commands(commands: Any) -> None:
    """Add the parser of this command to the subparsers of `polycore`."""
    parser = commands.add_parser(
        "critical",
        help="where training can end: the critical points of a network's loss on a data file",
        description="Find the real critical points of the loss of a network on columns of a file, of every index, and "
        "say of each what kind it is, whether the function space or its parametrisation makes it, and whether it is "
        "a smaller network. Inputs and targets are standardised. docs/critical.md explains the table.",
    )
    parser.add_argument("--data", metavar="FILE", help=_read.DATA_HELP)
    parser.add_argument(
        "--x", metavar="COLS", help=f"input columns: {_read.COLUMNS_HELP}; default: the columns that are no targets"
    )
    parser.add_argument(
        "--y",
        "--targets",
        dest="y",
        metavar="COLS",
        help="target columns, with --loss cross-entropy one column of classes; default: the last ones",
    )
    parser.add_argument("--raw", action="store_true", help="take columns as they are, do not standardise them")
    _read.add_network(parser, "--widths", metavar="N,N,…")
    parser.add_argument(
        "--loss", choices=("squared", "cross-entropy"), default="squared", help="sum of squares, or classification"
    )
    parser.add_argument(
        "--metric",
        choices=METRICS,
        default="data",
        help="what measures the distance of coefficients: the data, or, with --target-coef, the identity, "
        "Bombieri-Weyl, or the moments of a standard Gaussian or of the uniform distribution on [-1, 1]^n",
    )
    parser.add_argument(
        "--target-coef", metavar="FILE", help="coefficients to approximate, a row an output: .npy, .json, .csv or .txt"
    )
    parser.add_argument("--starts", type=_read.positive, default=1000, metavar="N", help="searches; default 1000")
    parser.add_argument("--seed", type=_read.seed, default=0, metavar="N", help="of the searches; default 0")
    parser.add_argument(
        "--method",
        choices=("auto", "closed_form", "search"),
        default="auto",
        help="auto: a closed form where one is known, else a search",
    )
    parser.add_argument(
        "--time-budget", type=_read.seconds, metavar="SECONDS", help="stop after this, with what is found until then"
    )
    parser.add_argument("--threads", type=_read.count, default=0, metavar="N", help="default: as polycore info says")
    parser.add_argument("--plot", metavar="FILE", help="draw the points by loss and index: .svg, .png or .pdf")
    parser.add_argument("--save", metavar="FILE", help="write the result as JSON")
    _read.add_reading(parser)
    parser.set_defaults(run=_critical)


@dataclass(frozen=True)
class _Problem:
    """A loss, and where it comes from in words and for JSON."""

    loss: Any
    line: str
    data: dict[str, Any] | None
    metric: str


def _critical(options: argparse.Namespace, _: Sequence[str]) -> None:
    from .critical import critical_points

    network = _read.read_network(options)
    _check_options(options)
    for path in (options.plot, options.save):
        if path is not None:
            _check_target(Path(path))
    if options.plot is not None:
        _check_plot(Path(options.plot))
    network.program.require_concrete()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        problem = _of_data(options, network) if options.data is not None else _of_coefficients(options, network)
    notes = list(dict.fromkeys(str(warning.message) for warning in caught))
    with _Progress() as progress:
        result = critical_points(
            problem.loss,
            network,
            n_starts=options.starts,
            rng=options.seed,
            method=options.method,
            time_budget=options.time_budget,
            n_threads=options.threads,
            progress=progress.callback,
        )
    answer = _answer(network, problem, result, options, notes)
    for note in notes:
        print(f"polycore: warning: {note}", file=sys.stderr)
    if options.save is not None:
        _write(Path(options.save), json.dumps(answer, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    if options.plot is not None:
        _plot(result, Path(options.plot))
    if options.json:
        say(json.dumps(answer, ensure_ascii=not _is_unicode(), allow_nan=False))
    else:
        _show(problem, result, options)
    sys.stdout.flush()
    if result.stopped == "interrupted":
        raise KeyboardInterrupt


def _check_options(options: argparse.Namespace) -> None:
    given = [name for name in _OF_DATA if getattr(options, name) not in (None, False)]
    if options.metric == "data":
        if options.data is None:
            raise UsageError("--data is needed, or --target-coef with another --metric")
        if options.target_coef is not None:
            raise UsageError(f"--target-coef needs a --metric other than data: {', '.join(METRICS[1:])}")
        return
    if options.loss != "squared":
        raise UsageError(f"--loss {options.loss} needs --data, it has no --metric {options.metric}")
    if options.target_coef is None:
        raise UsageError(f"--metric {options.metric} needs --target-coef, the coefficients to approximate")
    if options.data is not None or given:
        name = "data" if options.data is not None else given[0].replace("_", "-")
        raise UsageError(f"--{name} does not go with --metric {options.metric}: the targets are those of --target-coef")


# -- the loss ---------------------------------------------------------------------------------------------------------


def _of_data(options: argparse.Namespace, network: Network) -> _Problem:
    from ._rows import as_variables, load_file, loss_of_rows, standardise
    from .networks import MLP
    from .tables import open_table

    table = open_table(options.data, options.delimiter)
    classes = options.loss == "cross-entropy"
    x, y = _columns(options, network, table, 1 if classes else network.n_outputs)
    rows = load_file(options.data, x, y, options.drop_missing, options.delimiter)
    X, Y = rows.X, rows.Y
    if len(X) < 2 and not options.raw:
        raise ValueError(f"{rows.source} must have at least 2 rows to be standardised, got {len(X)}; or use --raw")
    inputs = as_variables(X, rows.x_names, "input", constants=options.raw or not isinstance(network, MLP))
    outputs = as_variables(Y, rows.y_names, "target", constants=options.raw or classes)
    if not options.raw:
        X = standardise(X, inputs)
        Y = Y if classes else standardise(Y, outputs)
    loss: Any
    if classes:
        loss, labels = _cross_entropy(X, Y[:, 0], network, rows.y_names[0])
    else:
        loss, _ = loss_of_rows(X, Y, _basis(network))
    dropped = f" ({rows.n_dropped:,} with missing values left out)" if rows.n_dropped else ""
    line = f"{rows.source}: {len(X):,} rows{dropped}, {_names(inputs)} → {_names(outputs)}"
    line += ", as they are" if options.raw else ", standardised"
    data = {
        "source": rows.source,
        "n_rows": len(X),
        "n_dropped": rows.n_dropped,
        "standardised": not options.raw,
        "inputs": [asdict(variable) for variable in inputs],
        "targets": [asdict(variable) for variable in outputs],
        "classes": labels if classes else None,
        "total_sum_of_squares": None if classes else float(np.sum(Y**2)),
    }
    return _Problem(loss, line, data, "data")


def _columns(
    options: argparse.Namespace, network: Network, table: Table, n_targets: int
) -> tuple[list[int], list[int]]:
    """Indices of inputs and targets: those chosen, else all that remain, the targets last."""
    from .report import check_columns

    everything = range(len(table.columns))
    try:
        x = None if options.x is None else table.resolve(options.x, "--x")
        y = None if options.y is None else table.resolve(options.y, "--y")
        if x is None and y is None:
            y = list(everything)[-n_targets:]
        if x is None:
            x = [index for index in everything if index not in (y or [])]
        if y is None:
            y = [index for index in everything if index not in x]
        if options.loss == "cross-entropy":
            if len(y) != 1:
                raise ValueError(f"--loss cross-entropy needs one column of classes, got {len(y)}; choose it with --y")
            check_columns(network, len(x), network.n_outputs)
        else:
            check_columns(network, len(x), len(y))
    except (ValueError, TypeError) as error:
        guessed = "" if options.x and options.y else "; choose columns with --x and --y"
        raise UsageError(one_line(error) + guessed) from None
    return x, y


def _cross_entropy(X: Any, labels: Any, network: Network, name: str) -> tuple[Any, list[float]]:
    """The loss of classes that are the distinct values of a column, in ascending order, and these.

    A network with an output less than there are classes gives the logits of all but the first one, whose logit is 0.
    """
    from .cross_entropy import CrossEntropy

    values, classes = np.unique(labels, return_inverse=True)
    if len(values) not in (network.n_outputs, network.n_outputs + 1):
        raise ValueError(
            f"the network has {network.n_outputs} outputs, but column {name!r} has {len(values)} classes (distinct "
            "values); one output for each class is needed, or one for each but the first"
        )
    reference = len(values) > network.n_outputs
    loss = CrossEntropy.from_data(X, classes.reshape(len(labels)), _basis(network), len(values), reference=reference)
    return loss, values.tolist()


def _basis(network: Network) -> Any:
    """All monomials, or those that can occur where these are much fewer."""
    from .report import MAX_MONOMIALS

    basis = network.basis
    return basis if basis.n_monomials <= MAX_MONOMIALS else network.support


def _of_coefficients(options: argparse.Namespace, network: Network) -> _Problem:
    from .loss import QDistance

    path = Path(options.target_coef)
    target = _read_coefficients(path)
    shape = (network.n_outputs, network.basis.n_monomials)
    if target.shape != shape:
        raise ValueError(
            f"{path.name} must hold coefficients of shape {shape}, a row for each output and in it {shape[1]} "
            f"coefficients in the order of net.basis, got shape {target.shape}"
        )
    loss = QDistance.from_metric(options.metric, target, network.basis)
    line = f"{path.name}: coefficients of {shape[0]} output{'s' * (shape[0] > 1)}, metric {options.metric}"
    return _Problem(loss, line, None, options.metric)


def _read_coefficients(path: Path) -> Any:
    """The numbers in a file as an array (n_outputs, n_monomials)."""
    from ._validation import as_real_array

    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a directory, not a file of coefficients")
    try:
        if path.suffix.lower() == ".npy":
            values = np.load(path, allow_pickle=False)
        elif path.suffix.lower() == ".json":
            values = json.loads(path.read_text(encoding="utf-8"))
        else:
            text = path.read_text(encoding="utf-8")
            if not text.strip():
                raise ValueError("the file is empty")
            values = np.loadtxt(text.splitlines(), delimiter="," if "," in text else None, ndmin=2)
        coef = as_real_array(values, "target-coef")
    except (ValueError, TypeError, EOFError, RecursionError) as error:
        raise ValueError(f"{path.name}: {one_line(error)}") from None
    return coef[None, :] if coef.ndim == 1 else coef


# -- the answer -------------------------------------------------------------------------------------------------------


def _answer(
    network: Network, problem: _Problem, result: CriticalPoints, options: argparse.Namespace, notes: list[str]
) -> dict[str, Any]:
    from ._report_critical import SCHEMA, critical_dict
    from ._report_page import plain

    loss = problem.loss
    return dict(
        plain(
            {
                "schema": SCHEMA,
                "network": repr(network),
                "spec": network.spec(),
                "n_params": network.n_params,
                "data": problem.data,
                "loss": {
                    "kind": options.loss,
                    "metric": problem.metric,
                    "constant": float(getattr(loss, "constant", 0.0)),
                    "n_monomials": int(loss.n_monomials),
                },
                **critical_dict(result),
                "warnings": notes,
            }
        )
    )


def _show(problem: _Problem, result: CriticalPoints, options: argparse.Namespace) -> None:
    say(problem.line)
    say(result)
    shown = result.points[:_MAX_SENTENCES]
    if shown:
        say("")
    for number, point in enumerate(shown):
        label = f"{number:>3}  "
        say(
            textwrap.fill(
                point.sentence, _LINE, initial_indent=label, subsequent_indent=" " * len(label), break_on_hyphens=False
            )
        )
    if len(result.points) > len(shown):
        say(f"     and {len(result.points) - len(shown):,} more; --json and --save give all of them")
    for path in (options.save, options.plot):
        if path is not None:
            say(f"written to {path}")


def _names(variables: Sequence[Variable]) -> str:
    names = [variable.name for variable in variables]
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, …, {names[-1]}"


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf")


# -- files ------------------------------------------------------------------------------------------------------------


def _check_target(path: Path) -> None:
    """OSError before the work rather than after it."""
    directory = path.resolve().parent
    if not directory.is_dir():
        raise FileNotFoundError(f"no such directory: {directory}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a directory, not a file to write")
    if not os.access(directory, os.W_OK):
        raise PermissionError(f"the directory {directory} cannot be written")


def _check_plot(path: Path) -> None:
    import importlib.util

    if path.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise UsageError(f"--plot must be a file that ends in .svg, .png or .pdf, got {path}")
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("plots need matplotlib: pip install polycore[report]")


def _write(path: Path, text: str) -> None:
    """All of it or nothing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _plot(result: CriticalPoints, path: Path) -> None:
    from .landscape import connections, plot_critical_graph

    figure: Any = plot_critical_graph(result, connections(result, time_budget=_SECONDS_OF_FLOW)).figure
    draft = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        figure.savefig(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


class _Progress:
    """What the search has done so far, on standard error, where that is a terminal and tqdm is installed."""

    callback: Callable[..., None] | None = None

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> _Progress:
        if sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return self
            self._bar = tqdm(desc="searching", unit="start", leave=False)
            self.callback = self._update
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _update(self, done: int, total: int, n_points: int) -> None:
        self._bar.total = total
        self._bar.n = done
        self._bar.set_postfix_str(f"{n_points} points")
