# SPDX-License-Identifier: BSD-3-Clause
"""Columns of numbers from files: what is read, in which blocks, and what is said when it cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from polycore.tables import iterate_rows, open_table

TEXT = "age,bmi-low,name,y\n1,2.5,ann,3\n4,-5e-1,bob,6\n7,8,cid,9\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path, x: str | int | list[str | int], **options: bool) -> np.ndarray:
    table = open_table(path)
    blocks = [block[0] for block in iterate_rows(table, table.resolve(x, "x"), [], **options)]
    return np.concatenate(blocks) if blocks else np.empty((0, 1))


@pytest.fixture(params=["pyarrow", "plain"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both readers of CSV must agree; the plain one is what is left without pyarrow."""
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    else:
        pytest.importorskip("pyarrow")
    return str(request.param)


class TestSelection:
    @pytest.mark.parametrize(
        ("spec", "expected"),
        [
            ("age", [0]),
            ("age,y", [0, 3]),
            ("age, bmi-low", [0, 1]),
            ("age-bmi-low", [0, 1]),
            ("bmi-low-y", [1, 2, 3]),
            ("0-1", [0, 1]),
            ("0:3", [0, 1, 2]),
            (":2", [0, 1]),
            ("age:name", [0, 1, 2]),
            ("*", [0, 1, 2, 3]),
            (-1, [3]),
            ("-1", [3]),
            ([0, "y"], [0, 3]),
            (np.int64(2), [2]),
        ],
    )
    def test_names_indices_ranges(self, tmp_path: Path, spec: object, expected: list[int]) -> None:
        assert open_table(write(tmp_path / "t.csv", TEXT)).resolve(spec, "x") == expected  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("agee", "no column 'agee'; did you mean 'age'"),
            ("4", "no column '4'"),
            ("y-age", "runs backwards"),
            ("age,age", "twice"),
            ("", "at least one"),
            ("2:1", "no column"),
            (7, "no column '7'"),
        ],
    )
    def test_what_does_not_exist(self, tmp_path: Path, spec: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            open_table(write(tmp_path / "t.csv", TEXT)).resolve(spec, "x")  # type: ignore[arg-type]

    @pytest.mark.parametrize("spec", [None, 1.0, [True], [None]])
    def test_wrong_kinds(self, tmp_path: Path, spec: object) -> None:
        with pytest.raises(TypeError):
            open_table(write(tmp_path / "t.csv", TEXT)).resolve(spec, "x")  # type: ignore[arg-type]

    def test_ambiguous_name(self, tmp_path: Path) -> None:
        table = open_table(write(tmp_path / "t.csv", "a,a\n1,2\n"))
        with pytest.raises(ValueError, match="several columns named 'a'"):
            table.resolve("a", "x")
        assert table.resolve("1", "x") == [1]

    def test_column_as_input_and_target(self, tmp_path: Path) -> None:
        table = open_table(write(tmp_path / "t.csv", TEXT))
        with pytest.raises(ValueError, match="'age' is chosen both"):
            list(iterate_rows(table, [0], [0]))


@pytest.mark.usefixtures("reader")
class TestCsv:
    def test_values(self, tmp_path: Path) -> None:
        path = write(tmp_path / "t.csv", TEXT)
        np.testing.assert_array_equal(read(path, "age,bmi-low"), [[1, 2.5], [4, -0.5], [7, 8]])

    @pytest.mark.parametrize("delimiter", [";", "\t", "|"])
    def test_other_delimiters(self, tmp_path: Path, delimiter: str) -> None:
        path = write(tmp_path / "t.txt", "a,b\n1,2\n".replace(",", delimiter))
        np.testing.assert_array_equal(read(path, "a,b"), [[1, 2]])

    def test_no_header_byte_order_mark_quotes_and_blank_lines(self, tmp_path: Path) -> None:
        np.testing.assert_array_equal(read(write(tmp_path / "a.csv", "1,2\n3,4\n"), "0,1"), [[1, 2], [3, 4]])
        np.testing.assert_array_equal(read(write(tmp_path / "b.csv", "\ufeffa,b\n1,2\n"), "a"), [[1]])
        np.testing.assert_array_equal(read(write(tmp_path / "c.csv", '"a","b, c"\n"1","2"\n'), ["a", "b, c"]), [[1, 2]])
        np.testing.assert_array_equal(read(write(tmp_path / "d.csv", "a\n1\n\n2\n"), "a"), [[1], [2]])

    def test_blocks_cover_all_rows_once(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).normal(size=(1000, 2))
        path = tmp_path / "t.csv"
        np.savetxt(path, values, delimiter=",", header="a,b", comments="", fmt="%.17g")
        table = open_table(path)
        blocks = list(table.blocks([0, 1], rows_per_block=7))
        assert max(len(block) for block in blocks) == 7
        np.testing.assert_array_equal(np.concatenate(blocks), values)

    @pytest.mark.parametrize("cell", ["", "NA", "nan", "null"])
    def test_missing_values(self, tmp_path: Path, cell: str) -> None:
        path = write(tmp_path / "t.csv", f"a,b\n1,2\n{cell},4\n5,6\n")
        with pytest.raises(ValueError, match="column 'a' has no value in data row 2"):
            read(path, "a,b")
        np.testing.assert_array_equal(read(path, "a,b", drop_missing=True), [[1, 2], [5, 6]])
        np.testing.assert_array_equal(read(path, "b"), [[2], [4], [6]])

    @pytest.mark.parametrize("cell", ["abc", "1_000", "1,5", "0x10", "1e", "--1", "٣"])
    def test_text_among_numbers(self, tmp_path: Path, cell: str) -> None:
        path = write(tmp_path / "t.csv", f'a,b\n1,2\n"{cell}",4\n')
        with pytest.raises(ValueError, match=r"column 'a' holds .* in data row 2, not a number"):
            read(path, "a")

    def test_text_late_in_a_long_file(self, tmp_path: Path) -> None:
        lines = ["a"] + [str(i) for i in range(3000)] + ["oops"] + ["1"] * 10
        path = write(tmp_path / "t.csv", "\n".join(lines))
        with pytest.raises(ValueError, match="'oops' in data row 3001"):
            read(path, "a")

    def test_infinity(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="column 'a' is infinite in data row 2"):
            read(write(tmp_path / "t.csv", "a\n1\n-inf\n"), "a")

    def test_ragged_row(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="data row 2 has 1 cell where 2 columns"):
            read(write(tmp_path / "t.csv", "a,b\n1,2\n3\n"), "a")

    def test_empty(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="is empty"):
            open_table(write(tmp_path / "t.csv", ""))
        assert read(write(tmp_path / "u.csv", "a,b\n"), "a").shape == (0, 1)

    def test_not_text(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00a")
        with pytest.raises(ValueError, match="not a text table"):
            open_table(tmp_path / "t.csv")


class TestOtherFiles:
    def test_npy(self, tmp_path: Path) -> None:
        values = np.arange(6).reshape(3, 2)
        np.save(tmp_path / "t.npy", values)
        np.testing.assert_array_equal(read(tmp_path / "t.npy", "0,1"), values)
        np.save(tmp_path / "s.npy", np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", ">f8")]))
        np.testing.assert_array_equal(read(tmp_path / "s.npy", "b,a"), [[2, 1]])

    def test_npz(self, tmp_path: Path) -> None:
        X, y = np.arange(6.0).reshape(3, 2), np.arange(3)
        np.savez(tmp_path / "t.npz", X=X, y=y, names=np.array(["a", "b"]), short=np.ones(2))
        np.testing.assert_array_equal(read(tmp_path / "t.npz", "X,y"), np.column_stack([X, y]))
        np.testing.assert_array_equal(read(tmp_path / "t.npz", "X[1]"), X[:, 1:])
        with pytest.raises(ValueError, match="differ in length"):
            read(tmp_path / "t.npz", "y,short")
        with pytest.raises(ValueError, match="not real numbers"):
            read(tmp_path / "t.npz", "names")

    @pytest.mark.parametrize("name", ["t.npy", "t.npz", "t.parquet"])
    def test_damaged(self, tmp_path: Path, name: str) -> None:
        if name.endswith("parquet"):
            pytest.importorskip("pyarrow")
        (tmp_path / name).write_bytes(b"not what the name says")
        with pytest.raises(ValueError, match=name):
            open_table(tmp_path / name)

    def test_object_arrays_are_not_unpickled(self, tmp_path: Path) -> None:
        np.save(tmp_path / "t.npy", np.array([None]), allow_pickle=True)
        with pytest.raises(ValueError, match=r"not a \.npy file of numbers"):
            open_table(tmp_path / "t.npy")

    def test_complex_and_large_integers_are_refused(self, tmp_path: Path) -> None:
        np.save(tmp_path / "c.npy", np.ones((2, 1), dtype=complex))
        with pytest.raises(ValueError, match="complex128"):
            read(tmp_path / "c.npy", 0)
        np.save(tmp_path / "i.npy", np.array([[2**53 + 1]]))
        with pytest.raises((TypeError, ValueError)):
            read(tmp_path / "i.npy", 0)

    def test_parquet(self, tmp_path: Path) -> None:
        pa = pytest.importorskip("pyarrow")
        pq = pytest.importorskip("pyarrow.parquet")
        table = pa.table({"a": [1, 2, 3], "b": [True, False, True], "s": ["x", "y", "z"], "n": [1.0, None, 3.0]})
        pq.write_table(table, tmp_path / "t.parquet")
        np.testing.assert_array_equal(read(tmp_path / "t.parquet", "b,a"), [[1, 1], [0, 2], [1, 3]])
        with pytest.raises(ValueError, match="'s' holds string, not numbers"):
            read(tmp_path / "t.parquet", "s")
        with pytest.raises(ValueError, match="'n' has no value in data row 2"):
            read(tmp_path / "t.parquet", "n")
        np.testing.assert_array_equal(read(tmp_path / "t.parquet", "n", drop_missing=True), [[1], [3]])

    def test_parquet_without_pyarrow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path / "t.parquet", "")
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ImportError, match=r"pip install polycore\[data\]"):
            open_table(tmp_path / "t.parquet")

    def test_paths(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="no such file"):
            open_table(tmp_path / "none.csv")
        with pytest.raises(IsADirectoryError):
            open_table(tmp_path)
        with pytest.raises(ValueError, match="unknown kind of file"):
            open_table(write(tmp_path / "t.xlsx", ""))
