# SPDX-License-Identifier: BSD-3-Clause
"""The dimensions of thousands of architectures, in a table that survives whatever happens to the process.

A sweep appends whole lines to a CSV file, in the order of the architectures, and goes on from the last whole line when
it is started again. A Parquet file cannot grow, so its rows are kept in such a CSV file beside it until all are there.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import shutil
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, astuple, dataclass
from datetime import timedelta
from itertools import islice, repeat, zip_longest
from pathlib import Path
from typing import Any

from ._state_file import write_atomically
from ._validation import INT32_MAX, INT64_MAX, _describe, as_flag, as_index, as_probability, as_real
from ._workers import map_in_workers
from .architectures import Architecture, Architectures, as_architecture
from .config import default_threads
from .dimension import dimension
from .networks import MLP

__all__ = ["SweepResult", "sweep", "sweep_rows"]

Cells = list[str]
Progress = Callable[[int, "int | None"], object]

# The columns; `_cells` and `_settings_cells` fill them in this order.
_ARCHITECTURE = ("widths", "activation", "bias")
_RESULT = (
    "n_params",
    "ambient_dimension",
    "expected_dimension",
    "dimension",
    "defect",
    "fibre_dimension",
    "filling",
    "proved",
    "error_bound",
)
_SETTINGS = ("primes", "max_error", "seed")
COLUMNS = (*_ARCHITECTURE, *_RESULT, *_SETTINGS, "status")
_FLAGS = ("bias", "filling", "proved")
_TEXTS = ("widths", "activation", "status")
_REALS = ("error_bound", "max_error")

_OK, _TIMEOUT, _ERROR = "ok", "timeout", "error: "
_ROWS_PER_GROUP = 2**16
_METER_SECONDS = 0.5
_FORETOLD = 1e9  # seconds; beyond that no time is told


@dataclass(frozen=True)
class SweepResult:
    """What a sweep has done.

    Attributes
    ----------
    path : str
        The table.
    n_rows : int
        Rows in it: one for each architecture.
    n_found : int
        Rows that were there already.
    n_written : int
        Rows written now.
    n_timeouts, n_failures : int
        Rows, of all, without a result: timed out; too large, or otherwise failed, as their ``status`` says.
    """

    path: str
    n_rows: int
    n_found: int
    n_written: int
    n_timeouts: int
    n_failures: int

    def __repr__(self) -> str:
        found = f", {self.n_found:,} of them found there" if self.n_found else ""
        return (
            f"Sweep: {self.n_rows:,} architectures in {self.path}{found}; "
            f"{self.n_timeouts:,} timed out, {self.n_failures:,} failed"
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Settings:
    primes: int
    max_error: float
    seed: int

    def cells(self) -> Cells:
        return [str(self.primes), repr(self.max_error), str(self.seed)]


def sweep(
    architectures: Iterable[Any],
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    primes: int = 2,
    max_error: float = 1e-9,
    timeout: float | None = None,
    n_workers: int = 0,
    progress: bool | Progress | None = None,
    resume: bool = True,
) -> SweepResult:
    """The dimension of every architecture, one row each, in a file.

    Parameters
    ----------
    architectures : iterable
        Of networks of any family, specs (`polycore.network`), tuples (widths, activation) or (widths, activation, bias)
        of `polycore.MLP`, or dicts of these; for instance `polycore.architectures`. A generator is read as the sweep
        goes on.
    out : path
        A file whose name ends in .csv or .parquet.
    seed, primes, max_error
        As for `polycore.dimension`, for every row: the row of ``net`` holds ``dimension(net, seed, primes,
        max_error=max_error)``, wherever it stands.
    timeout : float, optional
        Seconds an architecture may take. Its computation is then stopped and its status is "timeout".
    n_workers : int
        Processes; 0 is one for every processor (or POLYCORE_NUM_THREADS, OMP_NUM_THREADS). The table does not depend
        on it.
    progress : bool or callable, optional
        By default a line with rows per second and the time left on standard error, where that is a terminal (a bar, if
        tqdm is installed); False: none; a function is called with the number of rows that are there and that of all
        (None if unknown).
    resume : bool
        Go on with a file that is there; with False an existing file is an error.

    Returns
    -------
    SweepResult

    See Also
    --------
    sweep_rows : The rows one by one, without a file.

    Raises
    ------
    TypeError, ValueError
        For bad arguments; for an architecture that is none (also after rows have been written, if the architectures
        come from a generator); if the file is not a sweep's, or belongs to another list of architectures, or to other
        settings. The file is left as it is.
    OSError
        If the file cannot be written, exists though ``resume`` is False, or is being written by another sweep.
    ImportError
        For Parquet without pyarrow.

    Notes
    -----
    Columns: widths ("2-3-1"; for a network that is no MLP its repr, for a plain `polycore.Network` its spec),
    activation (as `polycore` reads it on the command line), bias; n_params, ambient_dimension, expected_dimension,
    dimension, defect, fibre_dimension, filling, proved, error_bound, see `polycore.DimensionResult`; primes, max_error,
    seed as given; status: "ok", "timeout", or "error: " and the reason, for networks that are too large. Without a
    result its columns are empty. A CSV file has empty cells for these; a Parquet file has nulls, and integers, unless
    an ambient dimension exceeds 64 bits, which makes that column text.

    The rows are in the order of the architectures, and the same bytes for the same arguments: on any number of workers,
    interrupted or not (what times out depends on the machine). Rows are written when those before them are. A row is
    whole or absent: a sweep that was killed goes on with the first row that is missing, and so does one over a list
    that goes on where the last one ended. For x.parquet the rows are in x.parquet.partial until all are there. Rows
    that are there are not computed again, whatever their status.

    With one worker and no time-out, rows are computed in this process. While a generator of architectures keeps the
    sweep waiting for the next one, rows that workers finish are not written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from polycore import architectures, sweep
    >>> family = architectures(inputs=2, outputs=1, depth=(2, 3), width=(1, 2))
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     result = sweep(family, f"{directory}/x.csv", n_workers=1)
    ...     text = pathlib.Path(result.path).read_text()
    >>> result.n_written
    6
    >>> print(text.splitlines()[2])
    2-2-1,2,false,6,3,3,3,0,3,true,true,0.0,2,1e-09,0,ok
    """
    settings, workers = _checked(seed, primes, max_error, timeout, n_workers, progress)
    as_flag(resume, "resume")
    if not isinstance(out, (str, os.PathLike)):
        raise TypeError(f"`out` must be a path, got {_describe(out)}")
    path = Path(out)
    _check_path(path)
    tasks, total = _as_tasks(architectures)
    with _Table(path) as table:
        if not resume and table.exists:
            raise FileExistsError(f"{path} exists: delete it, or go on with it by resume=True")
        tally = table.match(tasks, settings)
        n_found = tally.total()
        with _Meter(progress, n_found, total, path.name) as meter:
            n_left = None if total is None else total - n_found
            for lines in _computed(tasks, settings, _at_most(n_left, workers), timeout):
                table.append(lines)
                tally.update(_status_of(line) for line in lines)
                meter.update(len(lines))
        table.finish()
    n_rows = tally.total()
    return SweepResult(
        str(path), n_rows, n_found, n_rows - n_found, tally[_TIMEOUT], n_rows - tally[_OK] - tally[_TIMEOUT]
    )


def sweep_rows(
    architectures: Iterable[Any],
    *,
    seed: int = 0,
    primes: int = 2,
    max_error: float = 1e-9,
    timeout: float | None = None,
    n_workers: int = 0,
    progress: bool | Progress | None = False,
) -> Generator[dict[str, Any], None, None]:
    """The dimension of every architecture, one row each, as they are found: `sweep` without a file.

    Parameters
    ----------
    architectures, seed, primes, max_error, timeout, n_workers
        As for `sweep`.
    progress : bool or callable, optional
        As for `sweep`, but by default there is none.

    Returns
    -------
    generator of dict
        Of rows in the order of the architectures, from column name to value, with None where there is no result. The
        columns, in this order, are those of `sweep`; widths and activation are text.

    Raises
    ------
    TypeError, ValueError
        For bad arguments, at once; for an architecture that is none, in its turn if the architectures come from a
        generator.

    Notes
    -----
    The workers, if any, start with the first row. They are a little ahead of the row that was taken last, and end with
    the generator, also when it is closed or forgotten.

    Examples
    --------
    >>> from polycore import architectures, sweep_rows
    >>> family = architectures(inputs=2, outputs=1, depth=3, width=(2, 3))
    >>> for row in sweep_rows(family, n_workers=1):
    ...     print(row["widths"], row["dimension"], row["filling"])
    2-2-2-1 5 True
    2-2-3-1 5 True
    2-3-2-1 5 True
    2-3-3-1 5 True
    """
    settings, workers = _checked(seed, primes, max_error, timeout, n_workers, progress)
    tasks, total = _as_tasks(architectures)
    return _records(_computed(tasks, settings, _at_most(total, workers), timeout), _Meter(progress, 0, total, "sweep"))


def csv_line(row: Iterable[Any]) -> str:
    """The values of a row as a line of the CSV file, without its end."""
    return _line(["" if value is None else _text(value) for value in row])


# --- arguments --------------------------------------------------------------------------------------------------------


def _checked(
    seed: object, primes: object, max_error: object, timeout: object, n_workers: object, progress: object
) -> tuple[_Settings, int]:
    """What the rows depend on, and the number of workers."""
    settings = _Settings(
        as_index(primes, "primes", 1, INT32_MAX),
        as_probability(max_error, "max_error"),
        as_index(seed, "seed", 0, 2**64 - 1),
    )
    if timeout is not None and not as_real(timeout, "timeout") > 0:
        raise ValueError(f"`timeout` must be a positive number of seconds, got {timeout}")
    if not (progress is None or callable(progress)):
        as_flag(progress, "progress")
    return settings, as_index(n_workers, "n_workers", 0, 4096) or default_threads()[0]


def _at_most(n_rows: int | None, n_workers: int) -> int:
    """No more workers than there are rows, if their number is known."""
    return n_workers if n_rows is None else min(n_workers, max(1, n_rows))


def _as_tasks(architectures: object) -> tuple[Iterator[Architecture], int | None]:
    """The architectures as a stream, and their number if it is known. A sequence is checked as a whole beforehand."""
    if isinstance(architectures, (str, bytes, dict)) or not isinstance(architectures, Iterable):
        raise TypeError(f"`architectures` must be an iterable of architectures, got {_describe(architectures)}")
    stream = (as_architecture(item, f"architectures[{index}]") for index, item in enumerate(architectures))
    if isinstance(architectures, Architectures):
        return stream, architectures.count
    if isinstance(architectures, Sequence):
        checked = list(stream)
        return iter(checked), len(checked)
    return stream, None


def _check_path(path: Path) -> None:
    """Errors that opening the file would not tell, or tell late."""
    if path.suffix not in (".csv", ".parquet") or "\0" in path.name:
        raise ValueError(f"`out` must end in .csv or .parquet, got {os.fspath(path)!r}")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"`out` must name a regular file, got {os.fspath(path)!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`out`: no such directory: {path.parent}")
    if not os.access(path.parent, os.W_OK) and (path.suffix == ".parquet" or not path.exists()):
        raise PermissionError(f"`out`: the directory {path.parent} cannot be written")
    if path.suffix == ".parquet":
        _import_pyarrow()


# --- rows -------------------------------------------------------------------------------------------------------------


def _computed(
    tasks: Iterator[Architecture], settings: _Settings, n_workers: int, timeout: float | None
) -> Generator[list[str], None, None]:
    """The lines of the tasks in their order, as they come."""
    if n_workers == 1 and timeout is None:
        for task in tasks:
            yield [_line(_row(task, settings))]
        return

    def failed(message: Any, reason: str) -> str:
        return _line(_row_without_result(Architecture(*message), settings, reason))

    messages = (astuple(task) for task in tasks)
    setup = asdict(settings)
    with closing(map_in_workers(messages, f"{__name__}:_make_worker", setup, n_workers, timeout, failed)) as results:
        yield from results


def _records(blocks: Generator[list[str], None, None], meter: _Meter) -> Generator[dict[str, Any], None, None]:
    with closing(blocks), meter:
        for lines in blocks:
            for line in lines:
                yield {name: _value(cell, name) for name, cell in zip(COLUMNS, _cells(line))}
            meter.update(len(lines))


def _make_worker(setup: dict[str, Any]) -> Callable[[Any], str]:
    """What a worker process runs on each architecture."""
    settings = _Settings(**setup)
    # What is only loaded or compiled at first use must not count as time of the first architecture.
    dimension(MLP((2, 2, 1), 2), settings.seed, settings.primes, max_error=settings.max_error, n_threads=1)
    return lambda message: _line(_row(Architecture(*message), settings))


def _row(task: Architecture, settings: _Settings) -> Cells:
    try:
        result = dimension(task.network(), settings.seed, settings.primes, max_error=settings.max_error, n_threads=1)
        values = [_text(getattr(result, name)) for name in _RESULT]
    except MemoryError:
        # The message would tell how much memory is free just now, and so differ from run to run.
        return _row_without_result(task, settings, f"{_ERROR}not enough memory")
    except Exception as error:  # whatever it is, the other rows are wanted
        kind = "" if isinstance(error, (ArithmeticError, ValueError)) else f"{type(error).__name__}: "
        return _row_without_result(task, settings, f"{_ERROR}{kind}{' '.join(str(error).split())}")
    return [*_architecture_cells(task), *values, *settings.cells(), _OK]


def _row_without_result(task: Architecture, settings: _Settings, status: str) -> Cells:
    return [*_architecture_cells(task), *repeat("", len(_RESULT)), *settings.cells(), status]


def _architecture_cells(task: Architecture) -> Cells:
    return [task.widths, task.activation, _text(task.bias)]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(cell: str, column: str) -> Any:
    if column in _TEXTS:
        return cell
    if not cell:
        return None
    if column in _FLAGS:
        return cell == "true"
    return float(cell) if column in _REALS else int(cell)


def _line(cells: Cells) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' if set(cell) & set(',"') else cell for cell in cells)


def _cells(line: str) -> Cells:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _status_of(line: str) -> str:
    return next((status for status in (_OK, _TIMEOUT) if line.endswith("," + status)), "error")


_HEADER = _line(list(COLUMNS))


# --- files ------------------------------------------------------------------------------------------------------------


class _Table:
    """The file of a sweep, locked while it is open: a CSV file, or a Parquet file with a CSV file beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parquet = path.suffix == ".parquet"
        self._journal = _Journal(path.with_name(path.name + ".partial") if self._parquet else path)
        self._written = False

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()

    @property
    def exists(self) -> bool:
        """Whether there are rows of an earlier sweep, or anything else of that name."""
        return self._journal.size > 0 or (self._parquet and self._path.exists())

    def match(self, tasks: Iterator[Architecture], settings: _Settings) -> Counter[str]:
        """Check the rows that are there against the first tasks, which are used up; their statuses."""
        journal, parquet = self._journal.lines(), self._parquet_lines()
        tally: Counter[str] = Counter()
        for number, (line, copy) in enumerate(zip_longest(journal, parquet), 1):
            task = next(tasks, None)
            for text, path in ((line, self._journal.path), (copy, self._path)):
                if text is not None:
                    _compare(path.name, number, _cells(text), task, settings)
            tally[_status_of(copy if line is None else line)] += 1
        return tally

    def append(self, lines: Sequence[str]) -> None:
        if not self._written:
            self._begin()
        self._journal.append(lines)

    def _begin(self) -> None:
        """Make the journal hold all rows that there are."""
        self._written = True
        n_lines = self._journal.begin()
        for line in islice(self._parquet_lines(), n_lines, None):
            self._journal.append([line])

    def finish(self) -> None:
        """All rows are there."""
        if not self._parquet:
            self._journal.begin()
            return
        if self._journal.size or not self._path.exists():
            self._begin()
            write_atomically(self._path, _parquet_bytes(self._journal))
        self._journal.delete()

    def _parquet_lines(self) -> Iterator[str]:
        return _read_parquet(self._path) if self._parquet and self._path.exists() else iter(())


class _Journal:
    """A CSV file of whole lines, for one process at a time.

    Nothing is changed before `begin`, which cuts off a last line that is not whole: all that a killed process leaves.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._new = not path.exists()
        try:
            self._file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+")
        except PermissionError:
            raise PermissionError(f"{path} cannot be written") from None
        self._end = 0  # of the last whole line
        self._n_lines = 0  # without the header
        try:
            _lock(self._file.fileno(), path)
        except BaseException:
            self._file.close()
            raise

    @property
    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def lines(self) -> Iterator[str]:
        """The whole lines after the header; ValueError if the file does not begin with it."""
        self._end = self._n_lines = 0
        with open(self.path, "rb") as file:
            first = file.readline()
            header = _HEADER.encode() + b"\n"
            if first != header:
                if header.startswith(first) and not first.endswith(b"\n"):
                    return  # nothing, or killed in the header
                raise ValueError(f"{self.path} is not the file of a sweep: its first line is not the header of one")
            self._end = len(first)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._end += len(line)
                self._n_lines += 1
                yield line[:-1].decode(errors="replace")

    def begin(self) -> int:
        """Get ready for `append` once all lines have been read, and tell how many there are."""
        self._new = False
        self._file.truncate(self._end)
        self._file.seek(self._end)
        if self._end == 0:
            self._write(_HEADER.encode() + b"\n")
        return self._n_lines

    def append(self, lines: Sequence[str]) -> None:
        self._write("".join(f"{line}\n" for line in lines).encode())
        self._n_lines += len(lines)

    def _write(self, data: bytes) -> None:
        """All or nothing, except for a kill in between."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except BaseException:
            with suppress(OSError):
                self._file.truncate(self._end)
            raise
        self._end += len(data)

    def delete(self) -> None:
        """Remove the file; where open files cannot be (Windows), it is emptied."""
        self._file.truncate(0)
        self._new = True

    def close(self) -> None:
        """A file that was made here and not begun, or is deleted, goes away."""
        with suppress(OSError):
            if self._new:
                self.path.unlink()  # before another sweep can lock it; Windows refuses, and it goes below
            else:
                os.fsync(self._file.fileno())
        self._file.close()
        if self._new:
            self.path.unlink(missing_ok=True)


def _compare(name: str, number: int, cells: Cells, task: Architecture | None, settings: _Settings) -> None:
    """ValueError unless a row is that of the task."""
    if task is None:
        raise ValueError(f"{name} has more rows than there are architectures: it was made from another list")
    if len(cells) != len(COLUMNS):
        raise ValueError(f"{name} is damaged: row {number} does not have {len(COLUMNS)} cells")
    row = dict(zip(COLUMNS, cells))
    for column, expected in zip(_SETTINGS, settings.cells()):
        if row[column] != expected:
            raise ValueError(f"{name} was made with {column}={row[column]}, not {column}={expected}")
    found = [row[column] for column in _RESULT]
    whole = all(found) if row["status"] == _OK else not any(found)
    if not whole or not (row["status"] in (_OK, _TIMEOUT) or row["status"].startswith(_ERROR)):
        raise ValueError(f"{name} is damaged: row {number} has the status {row['status']!r}, which does not fit it")
    if cells[: len(_ARCHITECTURE)] != _architecture_cells(task):
        there = ", ".join(f"{column} {row[column]}" for column in _ARCHITECTURE)
        here = ", ".join(f"{column} {cell}" for column, cell in zip(_ARCHITECTURE, _architecture_cells(task)))
        raise ValueError(f"{name} was made from another list: its row {number} is {there}, but now it would be {here}")


def _lock(descriptor: int, path: Path) -> None:
    """Keep other sweeps out until the file is closed, which the end of the process does, whatever its cause."""
    try:
        if sys.platform == "win32":
            import msvcrt

            # NOTE: far behind the end, since on Windows a locked range cannot be read by others.
            os.lseek(descriptor, 2**40, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.exists(path) or os.stat(path).st_ino != os.fstat(descriptor).st_ino:
                raise BlockingIOError  # the other sweep has just ended
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP):
            return  # a file system without locks
        raise BlockingIOError(f"{path} is being written by another sweep") from None


# --- Parquet ----------------------------------------------------------------------------------------------------------


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ImportError("writing Parquet needs pyarrow: pip install polycore[data]") from None
    return pa, pq


def _parquet_bytes(journal: _Journal) -> bytes:
    """The rows of the journal as a Parquet file."""
    pa, pq = _import_pyarrow()
    ambient = COLUMNS.index("ambient_dimension")
    large = any(int(_cells(line)[ambient] or 0) > INT64_MAX for line in journal.lines())
    texts = (*_TEXTS, "ambient_dimension") if large else _TEXTS
    kinds = {
        **dict.fromkeys(COLUMNS, pa.int64()),
        **dict.fromkeys(texts, pa.string()),
        **dict.fromkeys(_FLAGS, pa.bool_()),
        **dict.fromkeys(_REALS, pa.float64()),
        "seed": pa.uint64(),
    }
    schema = pa.schema(list(kinds.items()))
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema) as writer:
        for rows in _in_groups(map(_cells, journal.lines())):
            columns = [
                pa.array(
                    [
                        (cell or None) if large and name == "ambient_dimension" else _value(cell, name)
                        for cell in column
                    ],
                    kind,
                )
                for column, (name, kind) in zip(zip(*rows), kinds.items())
            ]
            writer.write_table(pa.table(columns, schema=schema))
    return buffer.getvalue()


def _in_groups(rows: Iterable[Cells]) -> Iterator[list[Cells]]:
    group: list[Cells] = []
    for row in rows:
        group.append(row)
        if len(group) == _ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group


def _read_parquet(path: Path) -> Iterator[str]:
    """The lines a CSV file would have."""
    pa, pq = _import_pyarrow()
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not the file of a sweep: {' '.join(str(error).split())}") from None
    with file:
        if tuple(file.schema_arrow.names) != COLUMNS:
            raise ValueError(f"{path} is not the file of a sweep: its columns are not those of one")
        for batch in file.iter_batches():
            for row in zip(*(column.to_pylist() for column in batch.columns)):
                yield csv_line(row)


# --- progress ---------------------------------------------------------------------------------------------------------


class _Meter:
    """Tells how many rows are there: by a bar, by a callable, or not at all."""

    def __init__(self, progress: bool | Progress | None, n_found: int, total: int | None, name: str) -> None:
        self._call = progress if callable(progress) else None
        self._shown = self._call is None and progress is not False and sys.stderr.isatty()
        self._name, self._done, self._total = name, n_found, total
        self._bar_total = None if total is None or total > INT64_MAX else total
        self._bar: Any = None

    def __enter__(self) -> _Meter:
        if self._shown:
            try:
                from tqdm import tqdm
            except ImportError:
                self._bar = _PlainBar(self._name, self._done, self._bar_total)
            else:
                self._bar = tqdm(desc=self._name, unit=" rows", initial=self._done, total=self._bar_total, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, n_rows: int) -> None:
        self._done += n_rows
        if self._bar is not None:
            self._bar.update(n_rows)
        if self._call is not None:
            self._call(self._done, self._total)


class _PlainBar:
    """One line on standard error, written again and again, for those without tqdm."""

    def __init__(self, name: str, n_found: int, total: int | None) -> None:
        self._name, self._found, self._done, self._total = name, n_found, n_found, total
        self._stream = sys.stderr
        self._start = self._shown = time.monotonic()
        self._show("")

    def update(self, n_rows: int) -> None:
        self._done += n_rows
        now = time.monotonic()
        if now - self._shown < _METER_SECONDS:
            return
        self._shown = now
        rate = (self._done - self._found) / max(now - self._start, 1e-9)
        text = f", {rate:,.{0 if rate >= 10 else 2}f} rows/s"
        if self._total is not None and self._total - self._done < _FORETOLD * rate:
            text += f", ETA {timedelta(seconds=round((self._total - self._done) / rate))}"
        self._show(text)

    def _show(self, text: str) -> None:
        of_all = "" if self._total is None else f" of {self._total:,}"
        self._write(f"{self._name}: {self._done:,}{of_all} rows{text}")

    def _write(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1  # all of the line, to erase the last one
        self._stream.write(f"\r{text[:width]:{width}}\r")
        self._stream.flush()

    def close(self) -> None:
        self._write("")
