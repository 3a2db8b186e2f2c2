# SPDX-License-Identifier: BSD-3-Clause
"""Tables in files: columns of numbers from CSV, Parquet, .npy and .npz, in blocks of rows.

A `Table` knows its column names and hands out blocks of chosen columns as float64, so that a file larger than memory
can be accumulated block by block. Whatever is wrong with a file (missing, empty, text in a numeric column, a missing
value) is said in one sentence with the file, the column and the data row (counted from 1, the header not counted).
"""

from __future__ import annotations

import csv
import difflib
import os
import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._validation import as_real_array

Columns: TypeAlias = "str | int | Sequence[str | int]"
Block: TypeAlias = NDArray[np.float64]

ROWS_PER_BLOCK = 65536

_MISSING_CELLS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NAN", "NULL", "null", "None", "none", "?")
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


class Table(ABC):
    """Named columns of one length. ``groups`` are names that stand for several columns (a matrix in an .npz)."""

    def __init__(self, path: Path, columns: Sequence[str], groups: Mapping[str, Sequence[int]] | None = None) -> None:
        self.path = path
        self.columns = tuple(columns)
        self.groups = dict(groups or {})

    @abstractmethod
    def blocks(self, indices: Sequence[int], rows_per_block: int = ROWS_PER_BLOCK) -> Iterator[Block]:
        """The columns ``indices``, at most ``rows_per_block`` rows at a time; missing values are NaN."""

    def resolve(self, columns: Columns, name: str) -> list[int]:
        """Indices of the chosen columns.

        Parameters
        ----------
        columns : str, int, or sequence of them
            An int is an index (negative: from the end). A string is a comma-separated list whose items are names,
            indices, or ranges: ``a-c`` and ``0-2`` run up to and including their end, ``0:3`` is a Python slice,
            ``*`` is every column. A name that exists wins over any other reading.
        name : str
            The argument's name, for messages.

        Raises
        ------
        ValueError
            If a column does not exist, is ambiguous, or is chosen twice.
        """
        items: list[str | int] = []
        for item in [columns] if isinstance(columns, (str, int, np.integer)) else _as_list(columns, name):
            items.extend(_split_list(item) if isinstance(item, str) and item not in self.columns else [item])
        if not items:
            raise ValueError(f"`{name}` must name at least one column of {self.path.name}")
        indices = [index for item in items for index in self._resolve_item(item, name)]
        for position, index in enumerate(indices):
            if index in indices[:position]:
                raise ValueError(f"`{name}` chooses column {self.columns[index]!r} twice")
        return indices

    def _resolve_item(self, item: str | int, name: str) -> list[int]:
        if isinstance(item, bool) or not isinstance(item, (str, int, np.integer)):
            raise TypeError(f"`{name}` must hold column names and indices, got {type(item).__name__}")
        if isinstance(item, str):
            found = self._find(item, name)
            if found is not None:
                return found
            for start, end in _range_ends(item):
                first, last = self._find(start, name), self._find(end, name)
                if first is not None and last is not None:
                    if first[0] > last[-1]:
                        raise ValueError(f"`{name}` has the range {item!r}, which runs backwards")
                    return list(range(first[0], last[-1] + 1))
            if re.fullmatch(r"-?\d*:-?\d*", item):
                start, end = item.split(":")
                bounds = slice(int(start) if start else None, int(end) if end else None)
                chosen = list(range(len(self.columns))[bounds])
                if chosen:
                    return chosen
            if item == "*":
                return list(range(len(self.columns)))
            raise ValueError(self._unknown(item))
        found = self._find(str(int(item)), name, only_index=True)
        if found is None:
            raise ValueError(self._unknown(str(item)))
        return found

    def _find(self, word: str, name: str, only_index: bool = False) -> list[int] | None:
        """The columns one word stands for, None when it is neither a name nor an index in range."""
        if not only_index:
            if word in self.groups:
                return list(self.groups[word])
            if self.columns.count(word) > 1:
                raise ValueError(f"{self.path.name} has several columns named {word!r}; choose `{name}` by index")
            if word in self.columns:
                return [self.columns.index(word)]
        if re.fullmatch(r"-?\d{1,9}", word, re.ASCII) is None or not -len(self.columns) <= int(word) < len(
            self.columns
        ):
            return None
        return [int(word) % len(self.columns)]

    def _unknown(self, word: str) -> str:
        names = [*self.groups, *self.columns]
        close = difflib.get_close_matches(word, names, n=1)
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{self.path.name} has no column {word!r}{hint} ({len(self.columns)} columns: {shown})"

    def _text_in_column(self, column: int, row: int, cell: str) -> ValueError:
        cell = cell if len(cell) <= 40 else cell[:37] + "…"
        column_name = self.columns[column]
        return ValueError(f"{self.path.name}: column {column_name!r} holds {cell!r} in data row {row}, not a number")


def open_table(path: str | os.PathLike[str], delimiter: str | None = None) -> Table:
    """Open a CSV (.csv, .tsv, .txt), Parquet (.parquet, .pq), .npy or .npz file as a `Table`.

    Parameters
    ----------
    path : str or path
    delimiter : str, optional
        Of a text file; by default the commonest of ``, ; tab |`` in the first line.

    Raises
    ------
    OSError
        If the file does not exist or cannot be read (FileNotFoundError, IsADirectoryError, PermissionError).
    ValueError
        If the file is empty, or not of the kind its name says.
    ImportError
        For Parquet without pyarrow.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a directory, not a data file")
    with path.open("rb"):
        pass  # PermissionError here rather than somewhere in a reader
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".txt", ".dat"):
        return CsvTable(path, delimiter)
    if suffix in (".parquet", ".pq"):
        return ParquetTable(path)
    if suffix == ".npy":
        return NpyTable(path)
    if suffix == ".npz":
        return NpzTable(path)
    known = ".csv, .tsv, .txt, .dat, .parquet, .pq, .npy and .npz"
    raise ValueError(f"{path.name}: unknown kind of file {suffix!r}; known are {known}")


def iterate_rows(
    table: Table,
    x: Sequence[int],
    y: Sequence[int],
    rows_per_block: int = ROWS_PER_BLOCK,
    drop_missing: bool = False,
) -> Iterator[tuple[Block, Block, int]]:
    """Blocks of inputs and targets with every value finite.

    Yields
    ------
    X : (n_rows, len(x)) float64
    Y : (n_rows, len(y)) float64
    n_dropped : int
        Rows of this block left out because a value was missing (only with ``drop_missing``).

    Raises
    ------
    ValueError
        At a missing value unless ``drop_missing``, and at an infinite one always.
    """
    for index in y:
        if index in x:
            raise ValueError(f"column {table.columns[index]!r} is chosen both as input and as target")
    columns = [*x, *y]
    names = [table.columns[index] for index in columns]
    row = 0
    for block in table.blocks(columns, rows_per_block):
        n_rows = block.shape[0]
        missing = np.isnan(block)
        keep = ~missing.any(axis=1)
        if not drop_missing and not keep.all():
            r = int(np.argmin(keep))
            column = names[int(np.argmax(missing[r]))]
            raise ValueError(
                f"{table.path.name}: column {column!r} has no value in data row {row + r + 1} (empty or NaN); "
                "drop_missing=True (--drop-missing) leaves such rows out"
            )
        infinite = np.isinf(block)
        if infinite.any():
            r, c = (int(i) for i in np.argwhere(infinite)[0])
            raise ValueError(f"{table.path.name}: column {names[c]!r} is infinite in data row {row + r + 1}")
        kept = block if keep.all() else block[keep]
        yield np.ascontiguousarray(kept[:, : len(x)]), np.ascontiguousarray(kept[:, len(x) :]), n_rows - kept.shape[0]
        row += n_rows


class CsvTable(Table):
    """Delimited text. A first line of nothing but numbers is data, and the columns then have indices only."""

    def __init__(self, path: Path, delimiter: str | None = None) -> None:
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise ValueError(f"`delimiter` must be a single character, got {delimiter!r}")
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                self.delimiter = delimiter or _guess_delimiter(file.readline())
                file.seek(0)
                reader = csv.reader(file, delimiter=self.delimiter)
                first = next((row for row in reader if row), None)
                self._header_lines = reader.line_num
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path.name} is not a text table in UTF-8: {error}") from None
        if first is None:
            raise ValueError(f"{path.name} is empty")
        if all(_NUMBER.fullmatch(cell) for cell in first):
            self._header_lines = 0
            first = [str(index) for index in range(len(first))]
        super().__init__(path, [cell.strip() for cell in first])

    def blocks(self, indices: Sequence[int], rows_per_block: int = ROWS_PER_BLOCK) -> Iterator[Block]:
        """Blocks of rows, through pyarrow where it is installed and understands the file, else cell by cell.

        The plain reader is the definition of what a cell means. pyarrow's is tens of times faster; where it stops, the
        plain one goes on from that row, and either reads what pyarrow would not or says exactly what is wrong.
        """
        row = 0
        try:
            for block in self._blocks_pyarrow(indices, rows_per_block):
                row += block.shape[0]
                yield block
            return
        except _FastReaderStopped:
            pass
        yield from self._blocks_plain(indices, rows_per_block, row)

    def _blocks_pyarrow(self, indices: Sequence[int], rows_per_block: int) -> Iterator[Block]:
        try:
            import pyarrow as pa
            import pyarrow.csv
        except ImportError:
            raise _FastReaderStopped from None
        names = [str(index) for index in range(len(self.columns))]
        chosen = [names[index] for index in indices]
        try:
            reader = pa.csv.open_csv(
                self.path,
                read_options=pa.csv.ReadOptions(column_names=names, skip_rows=self._header_lines, block_size=2**22),
                parse_options=pa.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
                convert_options=pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(chosen, pa.float64()),
                    include_columns=chosen,
                    null_values=list(_MISSING_CELLS),
                ),
            )
        except (pa.ArrowException, ValueError):
            raise _FastReaderStopped from None
        with reader:
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
                except (pa.ArrowException, ValueError):
                    raise _FastReaderStopped from None
                block = np.column_stack([column.to_numpy(zero_copy_only=False) for column in batch.columns])
                for start in range(0, block.shape[0], rows_per_block):
                    yield np.ascontiguousarray(block[start : start + rows_per_block], dtype=np.float64)

    def _blocks_plain(self, indices: Sequence[int], rows_per_block: int, skip: int) -> Iterator[Block]:
        row = 0
        pending: list[list[float]] = []
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                for _ in range(self._header_lines):
                    file.readline()
                for cells in csv.reader(file, delimiter=self.delimiter):
                    if not cells:
                        continue
                    row += 1
                    if row <= skip:
                        continue
                    if len(cells) != len(self.columns):
                        raise ValueError(
                            f"{self.path.name}: data row {row} has {len(cells)} cell{'s' * (len(cells) != 1)} where "
                            f"{len(self.columns)} columns are expected"
                        )
                    pending.append([self._number(cells[index], index, row) for index in indices])
                    if len(pending) == rows_per_block:
                        yield np.array(pending, dtype=np.float64)
                        pending = []
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{self.path.name}: data row {row + 1} is not readable: {error}") from None
        if pending:
            yield np.array(pending, dtype=np.float64)

    def _number(self, cell: str, column: int, row: int) -> float:
        if _NUMBER.fullmatch(cell):
            return float(cell)
        word = cell.strip()
        if word in _MISSING_CELLS:
            return float("nan")
        if word.lower().lstrip("+-") in ("inf", "infinity"):
            return float(word)
        raise self._text_in_column(column, row, cell)


class ParquetTable(Table):
    """A Parquet file, read row group by row group."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise ImportError("reading Parquet needs pyarrow: pip install polycore[data]") from None
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, ValueError) as error:
            raise ValueError(f"{path.name} is not a Parquet file that can be read: {_first_line(error)}") from None
        super().__init__(path, self._file.schema_arrow.names)

    def blocks(self, indices: Sequence[int], rows_per_block: int = ROWS_PER_BLOCK) -> Iterator[Block]:
        import pyarrow as pa

        names = [self.columns[index] for index in indices]
        for index in indices:
            kind = self._file.schema_arrow.field(index).type
            numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
            if not numeric and not pa.types.is_boolean(kind):
                raise ValueError(f"{self.path.name}: column {self.columns[index]!r} holds {kind}, not numbers")
        row = 0
        batches = self._file.iter_batches(batch_size=rows_per_block, columns=names)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                block = np.empty((batch.num_rows, len(names)))
                for position, name in enumerate(names):
                    column = batch.column(batch.schema.get_field_index(name))
                    if pa.types.is_boolean(column.type):
                        column = column.cast(pa.int8())
                    block[:, position] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            except (pa.ArrowException, OSError) as error:
                raise ValueError(f"{self.path.name}: not readable after data row {row}: {_first_line(error)}") from None
            row += block.shape[0]
            if block.shape[0]:
                yield block


class NpyTable(Table):
    """A .npy file: a matrix (columns by index), a vector (one column), or a structured array (columns by name)."""

    def __init__(self, path: Path) -> None:
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(f"{path.name} is not a .npy file of numbers: {_first_line(error)}") from None
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{path.name} is not a .npy file but an archive; call it .npz")
        if array.dtype.names is not None and array.ndim == 1:
            self._arrays = [array[name] for name in array.dtype.names]
            super().__init__(path, array.dtype.names)
            return
        if array.ndim not in (1, 2):
            raise ValueError(f"{path.name} must hold an array of one or two dimensions, got shape {array.shape}")
        matrix = array[:, None] if array.ndim == 1 else array
        self._arrays = [matrix[:, index] for index in range(matrix.shape[1])]
        super().__init__(path, [str(index) for index in range(matrix.shape[1])])

    def blocks(self, indices: Sequence[int], rows_per_block: int = ROWS_PER_BLOCK) -> Iterator[Block]:
        yield from _array_blocks(self, self._arrays, indices, rows_per_block)


class NpzTable(Table):
    """A .npz archive: each vector is a column, each matrix a group of columns ``X[0]``, ``X[1]``, … named ``X``."""

    def __init__(self, path: Path) -> None:
        names: list[str] = []
        groups: dict[str, list[int]] = {}
        self._arrays: list[NDArray[Any]] = []
        try:
            with np.load(path, allow_pickle=False) as archive:
                for key in archive.files:
                    try:
                        array = archive[key]
                    except ValueError:
                        continue  # an object array: no column of numbers
                    if array.ndim == 1:
                        names.append(key)
                        self._arrays.append(array)
                    elif array.ndim == 2:
                        groups[key] = list(range(len(names), len(names) + array.shape[1]))
                        names.extend(f"{key}[{index}]" for index in range(array.shape[1]))
                        self._arrays.extend(array.T)
        except (ValueError, EOFError, OSError, AttributeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path.name} is not a .npz archive that can be read: {_first_line(error)}") from None
        if not names:
            raise ValueError(f"{path.name} holds no arrays of one or two dimensions")
        super().__init__(path, names, groups)

    def blocks(self, indices: Sequence[int], rows_per_block: int = ROWS_PER_BLOCK) -> Iterator[Block]:
        yield from _array_blocks(self, self._arrays, indices, rows_per_block)


class _FastReaderStopped(Exception):
    """pyarrow is missing, or met something in the file that it will not read."""


def _array_blocks(
    table: Table, arrays: Sequence[NDArray[Any]], indices: Sequence[int], rows_per_block: int
) -> Iterator[Block]:
    lengths = {table.columns[index]: arrays[index].shape[0] for index in indices}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"{table.path.name}: the columns differ in length: {shown}")
    for index in indices:
        if arrays[index].dtype.kind not in "biuf":
            name = table.columns[index]
            raise ValueError(f"{table.path.name}: column {name!r} holds {arrays[index].dtype}, not real numbers")
    for start in range(0, max(lengths.values()), rows_per_block):
        parts = [
            as_real_array(arrays[index][start : start + rows_per_block], table.columns[index], finite=False)
            for index in indices
        ]
        yield np.column_stack(parts)


def _as_list(columns: object, name: str) -> list[str | int]:
    try:
        return list(columns)  # type: ignore[call-overload, no-any-return]
    except TypeError:
        raise TypeError(f"`{name}` must be a string, an index or a sequence of them, got {columns!r}") from None


def _split_list(text: str) -> list[str]:
    """The items of a comma-separated list; quotes protect a comma inside a name."""
    items = [item.strip() for item in next(csv.reader([text], skipinitialspace=True), [])]
    return [item for item in items if item]


def _range_ends(item: str) -> Iterator[tuple[str, str]]:
    """Every way to read ``item`` as start-end or, for names, start:end (names may contain hyphens themselves)."""
    for position in range(1, len(item) - 1):
        start, end = item[:position].strip(), item[position + 1 :].strip()
        if item[position] == "-" or (item[position] == ":" and not start.lstrip("-").isdigit()):
            yield start, end


def _guess_delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
