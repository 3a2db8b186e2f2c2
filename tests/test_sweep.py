# SPDX-License-Identifier: BSD-3-Clause
"""Sweeps: rows against `dimension`, the same bytes whatever happens to the process, files that are not harmed."""

from __future__ import annotations

import csv
import importlib.util
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import polycore as pc
from polycore._workers import map_in_workers
from polycore.sweep import COLUMNS

FAMILY = pc.architectures(inputs=2, outputs=1, depth=range(2, 5), width=range(1, 5))

FAMILIES = [
    pc.CNN((3, 2), 2),
    pc.CNN((3, 2), [0, 1, 1], stride=(2, 1), n_inputs=9, bias=True, channels=(2, 1)),
    pc.LightningAttention(2, 1, 1, 2),
    pc.CNN((2, 2), pc.GenericActivation(2)),
    pc.Sequential(pc.Residual(pc.Affine(2), pc.Activation(2)), pc.Activation(3), n_inputs=2),
    pc.Network(pc.CNN((2, 2), 2, bias=True).program),
    pc.MLP((2, 3, 1), 2),
]

needs_tqdm = pytest.mark.skipif(importlib.util.find_spec("tqdm") is None, reason="polycore[report]")
needs_parquet = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="polycore[data]")
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc")
suffixes = pytest.mark.parametrize("suffix", [".csv", pytest.param(".parquet", marks=needs_parquet)])

# With so many primes a rank that no known bound proves takes for ever, in no memory, and one that is proved a moment.
UNPROVED = [((6, 1, 2, 6, 6), [0, 1, 0, 1], True), ((4, 4, 6, 1), [0, 0, 1, 1]), ((2, 5, 3, 2), [0, 1, 0, 1], True)]
ENDLESS = next((net for net in UNPROVED if not pc.dimension(pc.MLP(*net)).proved), None)
MANY_PRIMES = 10**8


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_there_is_an_endless_one() -> None:
    """If this fails, there are better bounds now, and UNPROVED needs others."""
    assert ENDLESS is not None


class TestRows:
    def test_are_what_dimension_says(self, tmp_path: Path) -> None:
        nets = [
            pc.MLP((2, 3, 1), 2),
            pc.MLP((5, 7, 1), 3),
            pc.MLP(*UNPROVED[0]),
            pc.MLP((2, 3, 2, 2), (2, 3), bias=True),
            pc.MLP((2, 2, 1), [0, 0, 1, 1]),
            pc.MLP((2, 2, 2), pc.GenericActivation(2)),
            pc.MLP((4, 3)),
        ]
        out = tmp_path / "x.csv"
        result = pc.sweep(nets, out, seed=5, primes=3, max_error=1e-12, n_workers=1)
        assert (result.n_rows, result.n_written, result.n_found) == (7, 7, 0)
        for net, row in zip(nets, rows(out), strict=True):
            expected = pc.dimension(net, 5, 3, max_error=1e-12)
            for name in COLUMNS[3:12]:
                value = getattr(expected, name)
                assert row[name] == (str(value).lower() if isinstance(value, bool) else str(value)), name
            assert row["widths"] == "-".join(map(str, net.widths))
            assert row["bias"] == str(net.bias).lower()
            assert (row["primes"], row["max_error"], row["seed"], row["status"]) == ("3", "1e-12", "5", "ok")

    @suffixes
    def test_other_families(self, tmp_path: Path, suffix: str) -> None:
        out = tmp_path / f"x{suffix}"
        result = pc.sweep(FAMILIES[:4], out, n_workers=1)
        assert (result.n_rows, result.n_failures) == (4, 0)
        again = pc.sweep([net.spec() for net in FAMILIES], out, n_workers=2)  # a spec is the same as its network
        assert (again.n_rows, again.n_found, again.n_failures) == (len(FAMILIES), 4, 0)
        with pytest.raises(ValueError, match="made from another list: its row 2 is widths CNN"):
            pc.sweep([FAMILIES[0], pc.CNN((3, 2), 2, stride=2)], out)
        found = list(pc.sweep_rows(FAMILIES, n_workers=1))
        for net, row in zip(FAMILIES, found, strict=True):
            assert row["dimension"] == pc.dimension(net).dimension
            words = json.dumps(net.spec(), separators=(",", ":")) if type(net) is pc.Network else repr(net)
            assert row["widths"] == ("2-3-1" if isinstance(net, pc.MLP) else words)
            assert row["n_params"] == net.n_params
        assert [row["activation"] for row in found] == ["2", "[0,1,1]", "", "generic:2", "2,3", "2", "2"]
        assert [row["bias"] for row in found] == [False, True, False, False, False, True, False]
        if suffix == ".csv":
            assert [row["widths"] for row in rows(out)] == [row["widths"] for row in found]

    def test_do_not_depend_on_their_place(self, tmp_path: Path) -> None:
        net = UNPROVED[0]
        pc.sweep([net], tmp_path / "a.csv", n_workers=1)
        pc.sweep([((2, 2, 1), 2), net], tmp_path / "b.csv", n_workers=1)
        assert rows(tmp_path / "a.csv")[0] == rows(tmp_path / "b.csv")[1]

    @suffixes
    def test_do_not_depend_on_the_workers(self, tmp_path: Path, suffix: str) -> None:
        for n_workers in (1, 2):
            result = pc.sweep(FAMILY, tmp_path / f"{n_workers}{suffix}", n_workers=n_workers)
            assert result.n_rows == len(FAMILY)
        assert (tmp_path / f"1{suffix}").read_bytes() == (tmp_path / f"2{suffix}").read_bytes()
        assert len(list(tmp_path.iterdir())) == 2  # nothing else is left

    @needs_parquet
    def test_parquet_has_types(self, tmp_path: Path) -> None:
        import pyarrow.parquet as pq

        nets = [((2, 3, 1), 2), ((2000, 2000, 2000, 2000), 2), ((2, 2), None)]
        pc.sweep(nets, tmp_path / "x.csv", n_workers=1)
        pc.sweep(nets, tmp_path / "x.parquet", n_workers=1)
        table = pq.read_table(tmp_path / "x.parquet")
        assert tuple(table.column_names) == COLUMNS
        records = table.to_pylist()
        assert records[0]["dimension"] == 3
        assert records[0]["filling"] is True
        assert records[0]["error_bound"] == 0.0
        assert records[1]["dimension"] is None
        for record, row in zip(records, rows(tmp_path / "x.csv"), strict=True):
            for name, value in record.items():
                text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
                assert text == row[name]

    @needs_parquet
    def test_ambient_dimensions_beyond_64_bits(self, tmp_path: Path) -> None:
        import pyarrow.parquet as pq

        nets = [((2, 2, 1), 2), ((2, 3, 1), 2)]
        large = str(2**70)
        pc.sweep(nets, tmp_path / "x.csv", n_workers=1)
        lines = (tmp_path / "x.csv").read_text().splitlines(keepends=True)
        cells = lines[1].split(",")
        cells[COLUMNS.index("ambient_dimension")] = large
        (tmp_path / "x.parquet.partial").write_text("".join([lines[0], ",".join(cells)]))
        pc.sweep(nets, tmp_path / "x.parquet", n_workers=1)
        assert pq.read_table(tmp_path / "x.parquet")["ambient_dimension"].to_pylist() == [large, "3"]
        again = pc.sweep(nets, tmp_path / "x.parquet", n_workers=1)
        assert (again.n_found, again.n_written) == (2, 0)

    @pytest.mark.parametrize("n_workers", [1, 2])
    def test_failures_are_rows(self, tmp_path: Path, n_workers: int) -> None:
        nets = [((2, 3, 1), 2), ((10**6,) * 4, 2), ((3,) * 12, 4000), ((2, 4, 1), 2)]
        result = pc.sweep(nets, tmp_path / "x.csv", n_workers=n_workers)
        assert (result.n_rows, result.n_failures, result.n_timeouts) == (4, 2, 0)
        found = rows(tmp_path / "x.csv")
        assert [row["status"][:6] for row in found] == ["ok", "error:", "error:", "ok"]
        for row in found[1:3]:
            assert not any(row[name] for name in COLUMNS[3:12])
        assert found[1]["widths"] == "1000000-1000000-1000000-1000000"

    def test_unexpected_errors_are_rows(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def dimension(net: pc.MLP, *_: object, **__: object) -> pc.DimensionResult:
            if net.widths[1] == 3:
                raise KeyError("a bug,\nof all things")
            return pc.dimension(net)

        monkeypatch.setattr(sys.modules["polycore.sweep"], "dimension", dimension)
        result = pc.sweep([((2, n, 1), 2) for n in (2, 3, 4)], tmp_path / "x.csv", n_workers=1)
        assert result.n_failures == 1
        assert [row["status"] for row in rows(tmp_path / "x.csv")] == [
            "ok",
            "error: KeyError: 'a bug,\\nof all things'",
            "ok",
        ]

    def test_a_generator_is_read_as_the_sweep_goes(self, tmp_path: Path) -> None:
        out = tmp_path / "x.csv"

        def generate() -> Iterator[Any]:
            for number in range(5):
                assert len(rows(out)) == number if out.stat().st_size else number == 0
                yield (2, number + 1, 1), 2

        assert pc.sweep(generate(), out, n_workers=1).n_rows == 5

    def test_nothing_to_do(self, tmp_path: Path) -> None:
        assert pc.sweep([], tmp_path / "x.csv").n_rows == 0
        assert rows(tmp_path / "x.csv") == []
        assert (tmp_path / "x.csv").read_text().startswith("widths,activation,bias,")

    def test_repr_and_json(self, tmp_path: Path) -> None:
        nets = [((2, 3, 1), 2), ((10**6,) * 4, 2)]
        result = pc.sweep(nets, tmp_path / "x.csv", n_workers=1)
        assert repr(result) == f"Sweep: 2 architectures in {tmp_path / 'x.csv'}; 0 timed out, 1 failed"
        assert "2 of them found there" in repr(pc.sweep(nets, tmp_path / "x.csv"))
        assert result.to_dict()["n_failures"] == 1


class TestProgress:
    def test_callable(self, tmp_path: Path) -> None:
        calls: list[tuple[int, int | None]] = []
        pc.sweep(list(FAMILY)[:10], tmp_path / "x.csv", n_workers=1)
        pc.sweep(FAMILY, tmp_path / "x.csv", n_workers=2, progress=lambda n, total: calls.append((n, total)))
        assert [n for n, _ in calls] == sorted({n for n, _ in calls})
        assert calls[0][0] > 10
        assert calls[-1] == (len(FAMILY), len(FAMILY))
        pc.sweep(iter(FAMILY), tmp_path / "y.csv", n_workers=1, progress=lambda n, total: calls.append((n, total)))
        assert calls[-1] == (len(FAMILY), None)

    @pytest.mark.parametrize("bar", [pytest.param("tqdm", marks=needs_tqdm), "plain"])
    def test_bar_on_a_terminal_only(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bar: str) -> None:
        monkeypatch.setattr(sys.modules["polycore.sweep"], "_METER_SECONDS", 0.0)
        if bar == "plain":
            monkeypatch.setitem(sys.modules, "tqdm", None)  # importing it fails

        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        for terminal, progress, shown in ((True, None, True), (True, False, False), (False, True, False)):
            stream = Terminal() if terminal else io.StringIO()
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stderr", stream)
                pc.sweep(FAMILY, tmp_path / f"{shown}{progress}.csv", n_workers=1, progress=progress)
            assert ("rows/s" in stream.getvalue()) == shown

    @pytest.mark.parametrize("bar", [pytest.param("tqdm", marks=needs_tqdm), "plain"])
    @pytest.mark.parametrize("depth", [20, 500])
    def test_bar_of_a_family_without_end(self, monkeypatch: pytest.MonkeyPatch, bar: str, depth: int) -> None:
        """6^19 rows are more than any time can be told for, and 6^499 more than any float."""
        monkeypatch.setattr(sys.modules["polycore.sweep"], "_METER_SECONDS", 0.0)
        if bar == "plain":
            monkeypatch.setitem(sys.modules, "tqdm", None)
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys, "stderr", stream)
        family = pc.architectures(inputs=2, outputs=1, depth=(1, depth), width=range(1, 7), activation=1)
        found = pc.sweep_rows(family, n_workers=1, progress=True)
        assert [next(found)["widths"][:4] for _ in range(3)] == ["2-1", "2-1-", "2-1-"]
        assert "rows/s" in stream.getvalue()

    def test_plain_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Twice a second: rows, rows per second of this run, time left; the line is blank in the end."""
        module, stream, now = sys.modules["polycore.sweep"], io.StringIO(), [100.0]
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(module.shutil, "get_terminal_size", lambda: os.terminal_size((60, 20)))
        known, unknown = module._PlainBar("x.csv", 1000, 4000), module._PlainBar("x" * 80, 0, None)
        for seconds, n_rows in ((0.4, 100), (0.1, 100), (0.25, 10), (0.25, 790), (9.0, 1)):
            now[0] += seconds
            known.update(n_rows)
        unknown.update(1)
        known.close()
        lines = stream.getvalue().split("\r")[1::2]
        assert {len(line) for line in lines} == {59}
        assert [line.rstrip() for line in lines] == [
            "x.csv: 1,000 of 4,000 rows",
            "x" * 59,
            "x.csv: 1,200 of 4,000 rows, 400 rows/s, ETA 0:00:07",
            "x.csv: 2,000 of 4,000 rows, 1,000 rows/s, ETA 0:00:02",
            "x.csv: 2,001 of 4,000 rows, 100 rows/s, ETA 0:00:20",
            "x" * 59,
            "",
        ]


class TestRowsWithoutAFile:
    @pytest.mark.parametrize("n_workers", [1, 2])
    def test_are_those_of_the_file(self, tmp_path: Path, n_workers: int) -> None:
        nets = [*FAMILY, ((10**6,) * 4, 2), UNPROVED[0], ((2, 2, 2), pc.GenericActivation(2)), ((4, 3), None)]
        pc.sweep(nets, tmp_path / "x.csv", seed=3, n_workers=1)
        found = list(pc.sweep_rows(nets, seed=3, n_workers=n_workers))
        assert all(tuple(row) == COLUMNS for row in found)
        texts = [
            {k: "" if v is None else str(v).lower() if isinstance(v, bool) else str(v) for k, v in row.items()}
            for row in found
        ]
        assert texts == rows(tmp_path / "x.csv")
        failed, unproved = found[len(FAMILY)], found[len(FAMILY) + 1]
        assert all(failed[name] is None for name in COLUMNS[3:12])
        result = pc.dimension(pc.MLP(*UNPROVED[0]), 3)
        assert {name: unproved[name] for name in COLUMNS[3:12]} == {n: getattr(result, n) for n in COLUMNS[3:12]}

    def test_come_as_they_are_asked_for(self) -> None:
        """From a family that could never be finished, and no faster than they are taken."""
        read = []

        def generate() -> Iterator[Any]:
            for number in itertools.count(1):
                read.append(number)
                yield (2, number, 1), 2

        found = pc.sweep_rows(generate(), n_workers=1)
        assert read == []
        assert [next(found)["widths"] for _ in range(3)] == ["2-1-1", "2-2-1", "2-3-1"]
        assert read == [1, 2, 3]

    @pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
    def test_closing_ends_the_workers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mark = f"mark-{uuid.uuid4()}"
        monkeypatch.setenv("POLYCORE_TEST", mark)
        found = pc.sweep_rows((((2, 1 + i % 5, 1), 2) for i in itertools.count()), n_workers=2)
        assert next(found)["status"] == "ok"
        assert processes_with(mark)
        found.close()
        assert processes_with(mark) == []

    def test_refusals_are_in_place(self) -> None:
        with pytest.raises(ValueError, match=r"architectures\[1\]"):
            pc.sweep_rows([((2, 3, 1), 2), ((2, 0, 1), 2)])
        found = pc.sweep_rows(iter([((2, 3, 1), 2), ((2, 0, 1), 2)]), n_workers=1)
        assert next(found)["dimension"] == 3
        with pytest.raises(ValueError, match=r"architectures\[1\]"):
            next(found)

    def test_progress(self) -> None:
        calls: list[tuple[int, int | None]] = []
        for _ in pc.sweep_rows(FAMILY, n_workers=1, progress=lambda n, total: calls.append((n, total))):
            pass
        assert calls == [(n + 1, len(FAMILY)) for n in range(len(FAMILY))]


class TestResume:
    @suffixes
    @pytest.mark.parametrize("n_first", [0, 1, 40])
    def test_goes_on_with_a_longer_list(self, tmp_path: Path, suffix: str, n_first: int) -> None:
        out, whole = tmp_path / f"x{suffix}", tmp_path / f"whole{suffix}"
        pc.sweep(FAMILY, whole, n_workers=1)
        pc.sweep(list(FAMILY)[:n_first], out, n_workers=1)
        result = pc.sweep(FAMILY, out, n_workers=2)
        assert (result.n_found, result.n_written) == (n_first, len(FAMILY) - n_first)
        assert out.read_bytes() == whole.read_bytes()
        again = pc.sweep(FAMILY, out)
        assert (again.n_found, again.n_written, again.n_rows) == (len(FAMILY), 0, len(FAMILY))
        assert out.read_bytes() == whole.read_bytes()

    def test_cut_anywhere(self, tmp_path: Path) -> None:
        """Whatever prefix of the file a kill leaves, the end is the same."""
        whole = tmp_path / "whole.csv"
        some = list(FAMILY)[:4]
        pc.sweep(some, whole, n_workers=1)
        data = whole.read_bytes()
        out = tmp_path / "x.csv"
        for length in range(0, len(data) + 1, 7):
            out.write_bytes(data[:length])
            result = pc.sweep(some, out, n_workers=1)
            assert out.read_bytes() == data
            assert result.n_found == max(0, data[:length].count(b"\n") - 1)

    @needs_parquet
    def test_killed_between_the_two_files(self, tmp_path: Path) -> None:
        """All rows are in the Parquet file and its journal has not gone, or only begun to grow."""
        out, journal, table = tmp_path / "x.parquet", tmp_path / "x.parquet.partial", tmp_path / "x.csv"
        some = list(FAMILY)[:20]
        pc.sweep(some, out, n_workers=1)
        pc.sweep(some, table, n_workers=1)
        data, lines = out.read_bytes(), table.read_bytes().splitlines(keepends=True)
        for n_lines in (0, 1, 8, 21):
            journal.write_bytes(b"".join(lines[:n_lines]) + b"2-"[: n_lines % 3])
            assert pc.sweep(some, out, n_workers=1).n_written == 0
            assert out.read_bytes() == data
            assert not journal.exists()
            journal.write_bytes(b"".join(lines[:n_lines]))
            assert pc.sweep(FAMILY, out, n_workers=1).n_written == len(FAMILY) - 20
            out.unlink()
            pc.sweep(some, out, n_workers=1)

    @suffixes
    @pytest.mark.parametrize(
        ("architectures", "options", "message"),
        [
            (FAMILY, {"seed": 1}, "seed=0, not seed=1"),
            (FAMILY, {"primes": 3}, "primes=2, not primes=3"),
            (FAMILY, {"max_error": 1e-12}, "max_error=1e-09, not max_error=1e-12"),
            (list(FAMILY)[:9], {}, "more rows than there are architectures"),
            (list(FAMILY)[::-1], {}, "row 1 is widths 2-1-1, activation 2, bias false"),
            ([*list(FAMILY)[:3], ((2, 4, 1), 3)], {}, "row 4"),
            ([*list(FAMILY)[:3], ((2, 4, 1), 2, True)], {}, "row 4"),
            (FAMILY, {"resume": False}, "exists"),
        ],
    )
    def test_another_sweep_is_refused(
        self, tmp_path: Path, suffix: str, architectures: Any, options: dict[str, Any], message: str
    ) -> None:
        out = tmp_path / f"x{suffix}"
        pc.sweep(list(FAMILY)[:10], out, n_workers=1)
        before = out.read_bytes()
        with pytest.raises((ValueError, FileExistsError), match=message):
            pc.sweep(architectures, out, n_workers=1, **options)
        assert out.read_bytes() == before
        assert list(tmp_path.iterdir()) == [out]

    @pytest.mark.parametrize(
        "content", [b"a,b\n1,2\n", b"\n", b"\x00" * 50, b"\xff\xfe\n", b"widths,activation\n2-1-1,2\n", b"no line"]
    )
    @suffixes
    def test_a_file_of_something_else_is_refused(self, tmp_path: Path, content: bytes, suffix: str) -> None:
        out = tmp_path / f"x{suffix}"
        out.write_bytes(content)
        with pytest.raises(ValueError, match="is not the file of a sweep"):
            pc.sweep(FAMILY, out, n_workers=1)
        assert out.read_bytes() == content
        assert list(tmp_path.iterdir()) == [out]

    @needs_parquet
    def test_a_parquet_file_of_something_else_is_refused(self, tmp_path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        out = tmp_path / "x.parquet"
        pq.write_table(pa.table({"widths": ["2-1-1"]}), out)
        before = out.read_bytes()
        with pytest.raises(ValueError, match="is not the file of a sweep"):
            pc.sweep(FAMILY, out)
        assert out.read_bytes() == before

    @pytest.mark.parametrize("change", [(b",2,1e-09,0,ok\n", b"\n"), (b"2-2-1,", b"\x00\xff"), (b"2-2-1,", b'"')])
    def test_a_damaged_row_is_refused(self, tmp_path: Path, change: tuple[bytes, bytes]) -> None:
        out = tmp_path / "x.csv"
        pc.sweep(list(FAMILY)[:5], out, n_workers=1)
        damaged = out.read_bytes().replace(*change, 1)
        out.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"row \d is|row \d does not"):
            pc.sweep(FAMILY, out, n_workers=1)
        assert out.read_bytes() == damaged

    def test_failed_rows_are_not_tried_again(self, tmp_path: Path) -> None:
        nets = [((10**6,) * 4, 2), ENDLESS]
        pc.sweep(nets[:1], tmp_path / "x.csv", primes=MANY_PRIMES, n_workers=1)
        for n_written in (1, 0):
            result = pc.sweep(nets, tmp_path / "x.csv", timeout=0.3, primes=MANY_PRIMES)
            assert (result.n_failures, result.n_timeouts, result.n_written) == (1, 1, n_written)

    @suffixes
    def test_one_sweep_at_a_time(self, tmp_path: Path, suffix: str) -> None:
        out = tmp_path / f"x{suffix}"

        def meddle(*_: object) -> None:
            with pytest.raises(OSError, match="another sweep"):
                pc.sweep(FAMILY, out, n_workers=1)

        assert pc.sweep(FAMILY, out, n_workers=1, progress=meddle).n_written == len(FAMILY)


class TestBadInput:
    @pytest.mark.parametrize(
        ("architectures", "error", "message"),
        [
            ([((2, 3, 1), 2), ((2, 0, 1), 2)], ValueError, r"`architectures\[1\]`.*widths\[1\]"),
            ([((2, -3, 1), 2)], ValueError, r"`architectures\[0\]`.*widths\[1\]"),
            ([((2, 3, 1), -2)], ValueError, "activation"),
            ([((2, 3, 1), 2.5)], TypeError, "activation"),
            ([((2, 3, 1), (2, 2))], ValueError, "activation"),
            ([(2, 3, 1)], TypeError, "widths, activation"),
            (((2, 3, 1), 2), TypeError, "widths, activation"),
            (pc.MLP((2, 3, 1), 2), TypeError, "iterable"),
            ("2-3-1", TypeError, "iterable"),
            ({"widths": (2, 3, 1)}, TypeError, "iterable"),
            (None, TypeError, "iterable"),
        ],
    )
    def test_architectures(self, tmp_path: Path, architectures: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            pc.sweep(architectures, tmp_path / "x.csv", n_workers=1)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("n_workers", [1, 2])
    def test_a_generator_may_come_to_nonsense(self, tmp_path: Path, n_workers: int) -> None:
        """What was found before is kept, and a better list goes on from there."""
        out = tmp_path / "x.csv"
        good = list(FAMILY)
        with pytest.raises(ValueError, match=r"architectures\[30\]"):
            pc.sweep(iter([*good[:30], ((2, 0, 1), 2)]), out, n_workers=n_workers)
        whole = tmp_path / "whole.csv"
        pc.sweep(good, whole, n_workers=1)
        assert len(rows(out)) == 30
        assert whole.read_bytes().startswith(out.read_bytes())
        pc.sweep(good, out, n_workers=1)
        assert whole.read_bytes() == out.read_bytes()

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"seed": -1}, ValueError),
            ({"seed": 2**64}, ValueError),
            ({"seed": 1.5}, TypeError),
            ({"primes": 0}, ValueError),
            ({"max_error": 0}, ValueError),
            ({"max_error": 1.0}, ValueError),
            ({"max_error": "x"}, TypeError),
            ({"timeout": 0}, ValueError),
            ({"timeout": -1.0}, ValueError),
            ({"timeout": float("nan")}, ValueError),
            ({"n_workers": -1}, ValueError),
            ({"n_workers": 10**6}, ValueError),
            ({"n_workers": 1.0}, TypeError),
            ({"progress": "yes"}, TypeError),
            ({"resume": 1}, TypeError),
        ],
    )
    def test_options(self, tmp_path: Path, options: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error, match=next(iter(options))):
            pc.sweep(FAMILY, tmp_path / "x.csv", **options)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["x", "x.txt", "x.csv.gz", "x.npz"])
    def test_suffix(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ValueError, match=r"\.csv or \.parquet"):
            pc.sweep(FAMILY, tmp_path / name)

    @suffixes
    def test_places_that_cannot_be_written(self, tmp_path: Path, suffix: str) -> None:
        with pytest.raises(FileNotFoundError, match="no such directory"):
            pc.sweep(FAMILY, tmp_path / "none" / f"x{suffix}")
        (tmp_path / f"d{suffix}").mkdir()
        with pytest.raises(ValueError, match="regular file"):
            pc.sweep(FAMILY, tmp_path / f"d{suffix}")

    @suffixes
    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
    def test_locked_places(self, tmp_path: Path, suffix: str) -> None:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        with pytest.raises(PermissionError, match="cannot be written"):
            pc.sweep(FAMILY, locked / f"x{suffix}")
        readable = tmp_path / "x.csv"
        readable.touch(mode=0o400)
        with pytest.raises(PermissionError, match="cannot be written"):
            pc.sweep(FAMILY, readable)

    @posix
    def test_full_disk(self, tmp_path: Path) -> None:
        """A limit on file sizes stands for a full disk: an error, whole rows, and a sweep that goes on later."""
        out = tmp_path / "x.csv"
        script = f"""
import resource, signal, sys
import polycore as pc
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
family = pc.architectures(inputs=2, outputs=1, depth=range(2, 5), width=range(1, 5))
try:
    pc.sweep(family, {str(out)!r}, n_workers=1)
except OSError as error:
    print(error)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert "File too large" in done.stdout
        assert out.read_bytes().endswith(b"ok\n")
        pc.sweep(FAMILY, tmp_path / "whole.csv", n_workers=1)
        assert pc.sweep(FAMILY, out, n_workers=1).n_found > 0
        assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


class TestTimeouts:
    def test_stop(self, tmp_path: Path) -> None:
        nets = [*list(FAMILY)[:10], ENDLESS, *list(FAMILY)[10:], ENDLESS]
        result = pc.sweep(nets, tmp_path / "x.csv", timeout=1.0, primes=MANY_PRIMES, n_workers=2)
        found = rows(tmp_path / "x.csv")
        stopped = [i for i, row in enumerate(found) if row["status"] == "timeout"]
        # A busy machine may stop others as well.
        assert {10, len(nets) - 1} <= set(stopped)
        assert (result.n_timeouts, result.n_failures, result.n_rows) == (len(stopped), 0, len(nets))
        for i, row in enumerate(found):
            assert row["widths"] == "-".join(map(str, nets[i][0]))
            assert row["status"] == ("timeout" if i in stopped else "ok")
            assert any(row[name] for name in COLUMNS[3:12]) == (i not in stopped)

    def test_that_are_not_reached_change_nothing(self, tmp_path: Path) -> None:
        pc.sweep(FAMILY, tmp_path / "a.csv", n_workers=1)
        pc.sweep(FAMILY, tmp_path / "b.csv", n_workers=2, timeout=1e6)
        assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


WORKER = """
import os, signal, sys, time

def make(setup):
    def work(task):
        print("noise")
        if task == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if task == "exit":
            os._exit(3)
        if task == "raise":
            raise RuntimeError("oh")
        if task == "endless":
            open(os.path.join(os.path.dirname(__file__), task, str(os.getpid())), "w").close()
        while task == "endless":
            time.sleep(1.0)
        if isinstance(task, float):
            time.sleep(task)
        return f"{setup}{task}"
    return work

def broken(setup):
    raise RuntimeError("no such thing")
"""


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@posix
class TestWorkers:
    @pytest.fixture
    def run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
        (tmp_path / "odd_jobs.py").write_text(WORKER, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

        def run(tasks: list[Any], n_workers: int = 2, timeout: float | None = None, name: str = "make") -> list[str]:
            blocks = map_in_workers(
                iter(tasks), f"odd_jobs:{name}", "r", n_workers, timeout, lambda task, why: f"{task}: {why}"
            )
            return [result for block in blocks for result in block]

        return run

    @pytest.mark.parametrize("n_workers", [1, 4])
    def test_results_in_order(self, run: Callable[..., list[str]], n_workers: int) -> None:
        tasks = [0.25 if i % 300 == 7 else i for i in range(600)]
        assert run(tasks, n_workers) == [f"r{task}" for task in tasks]

    def test_deaths(self, run: Callable[..., list[str]]) -> None:
        """Only the task that kills its worker is lost, wherever it stands among the others."""
        tasks: list[Any] = list(range(300))
        for place in (0, 5, 299):
            tasks[place] = "die"
        tasks[70], tasks[71] = "exit", "raise"
        expected = {
            "die": "die: error: the worker process died (killed by SIGKILL)",
            "exit": "exit: error: the worker process died (exit code 3)",
            "raise": "raise: error: the worker process died (exit code 1)",
        }
        assert run(tasks) == [expected.get(task, f"r{task}") for task in tasks]

    def test_timeouts(self, run: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only the endless tasks are stopped, by a clock that stands still unless a worker is at one of them."""
        (tmp_path / "endless").mkdir()
        now = 0.0

        def clock() -> float:
            nonlocal now
            now += 100.0 * any(is_alive(int(entry.name)) for entry in (tmp_path / "endless").iterdir())
            return now

        monkeypatch.setattr("polycore._workers.time", SimpleNamespace(monotonic=clock))
        tasks = ["endless" if i in (3, 4, 90) else i for i in range(100)]
        expected = ["endless: timeout" if task == "endless" else f"r{task}" for task in tasks]
        assert run(tasks, 1, 60.0) == expected

    def test_short_timeouts(self, run: Callable[..., list[str]]) -> None:
        """Shorter than it takes to notice that a task is slow. (A busy machine may stop other tasks as well.)"""
        tasks = [100.0 if i == 3 else i for i in range(10)]
        for task, result in zip(tasks, run(tasks, 2, 0.05), strict=True):
            assert result in ([f"{task}: timeout"] if task == 100.0 else [f"{task}: timeout", f"r{task}"])

    def test_nothing_waits_behind_a_slow_task(self, run: Callable[..., list[str]], tmp_path: Path) -> None:
        """All others are done by one worker while the other is at a task that ends when they have ended."""
        (tmp_path / "odd_jobs.py").write_text(
            "import os, time\n"
            "def make(folder):\n"
            "    def work(task):\n"
            "        if task == 'wait':\n"
            "            while len(os.listdir('DONE')) < 400: time.sleep(0.01)\n"
            "        else:\n"
            "            open(f'DONE/{task}', 'w').close()\n"
            "        return str(task)\n"
            "    return work\n".replace("DONE", str(tmp_path / "done")),
            encoding="utf-8",
        )
        (tmp_path / "done").mkdir()
        tasks = [*range(200), "wait", *range(200, 400)]
        assert run(tasks) == list(map(str, tasks))

    def test_that_cannot_start(self, run: Callable[..., list[str]]) -> None:
        with pytest.raises(RuntimeError, match=r"cannot start.*no such thing"):
            run([1, 2], name="broken")

    def test_no_tasks(self, run: Callable[..., list[str]]) -> None:
        assert run([]) == []


# No `if __name__ == "__main__"`, as in any script; the last lines tell that it ran once. Asked not to end, it waits
# after the last architecture, so that however late the signal comes there is a sweep to be killed.
SCRIPT = """
import signal, sys, time
import polycore as pc
signal.signal(signal.SIGINT, signal.default_int_handler)  # background processes inherit that it is ignored
family = pc.architectures(inputs=2, outputs=1, depth=range(2, 7), width=range(1, 5))
def architectures():
    yield from family
    while sys.argv[3] == "wait":
        time.sleep(1.0)
print("ready", flush=True)
pc.sweep(architectures(), sys.argv[1], n_workers=int(sys.argv[2]))
print("ran")
"""
BIG_FAMILY = pc.architectures(inputs=2, outputs=1, depth=range(2, 7), width=range(1, 5))


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def processes_with(mark: str) -> list[int]:
    """Processes that have inherited this value of an environment variable."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended, or belongs to someone else
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
class TestKills:
    @pytest.mark.parametrize(
        ("signals", "n_workers", "suffix"),
        [
            (["SIGKILL", "SIGINT", "SIGTERM"], 2, ".csv"),
            (["SIGKILL"], 1, ".csv"),
            pytest.param(["SIGKILL"], 2, ".parquet", marks=needs_parquet),
        ],
    )
    def test_in_mid_sweep(self, tmp_path: Path, signals: list[str], n_workers: int, suffix: str) -> None:
        """Killed and started again, the sweep ends with the bytes of one that was not, and leaves no worker behind."""
        out, whole = tmp_path / f"x{suffix}", tmp_path / f"whole{suffix}"
        journal = tmp_path / f"x{suffix}.partial" if suffix == ".parquet" else out
        script = tmp_path / "script.py"
        script.write_text(SCRIPT, encoding="utf-8")
        command = [sys.executable, str(script), str(out), str(n_workers)]
        mark = f"mark-{uuid.uuid4()}"
        for number in signals:
            # Before the last architecture is read, since a sweep that waits for more does not write.
            target = min(size_of(journal) + 5000, 15_000)
            with subprocess.Popen(
                [*command, "wait"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "POLYCORE_TEST": mark},
            ) as child:
                assert child.stdout is not None
                child.stdout.readline()
                while child.poll() is None and size_of(journal) < target:
                    time.sleep(0.001)
                child.send_signal(getattr(signal, number))
            assert child.returncode != 0
            assert size_of(journal) >= target
            while processes_with(mark):  # an endless loop here means that workers outlive the sweep
                time.sleep(0.01)
        done = subprocess.run([*command, "end"], capture_output=True, text=True, check=True)
        assert done.stdout == "ready\nran\n"
        pc.sweep(BIG_FAMILY, whole, n_workers=1)
        assert out.read_bytes() == whole.read_bytes()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["script.py", whole.name, out.name]
