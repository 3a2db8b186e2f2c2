# SPDX-License-Identifier: BSD-3-Clause
"""The command line: exit codes, one line on standard error, files written whole, only results on standard output."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import cli, config
from polycore.moments import Moments

DATA = "a,b,name,y,flat\n" + "".join(f"{i % 7},{i * i % 11},n{i},{i % 5 + 0.5 * (i % 7)},3\n" for i in range(60))

needs_report = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("matplotlib", "jinja2")), reason="polycore[report]"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text(DATA, encoding="utf-8")
    return path


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def report_arguments(path: Path, out: Path, /, **changes: object) -> list[str]:
    options = {
        "data": path,
        "x": "a,b",
        "y": "y",
        "widths": "2,2,1",
        "out": out,
        "starts": 1,
        "critical_starts": 0,
        **changes,
    }
    return ["report"] + [text for key, value in options.items() for text in (f"--{key.replace('_', '-')}", str(value))]


def process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "polycore", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def interruptible(*arguments: object) -> subprocess.Popen[str]:
    """The command in a process that Ctrl-C ends even if it is ignored here, as in background jobs, and so inherited."""
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from polycore.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def the_line(captured: str) -> str:
    """The one line on standard error."""
    assert captured.endswith("\n")
    assert captured.count("\n") == 1, captured
    assert "Traceback" not in captured
    return captured


@needs_report
class TestReport:
    def test_writes_both_files(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        assert run(*report_arguments(data, out), "--bias", "--activation", "2") == 0
        printed = capsys.readouterr()
        assert str(out / "index.html") in printed.out
        assert printed.err == ""
        assert sorted(path.name for path in out.iterdir()) == ["index.html", "report.json"]
        page = (out / "index.html").read_text(encoding="utf-8")
        assert "--widths 2,2,1" in page

    def test_json(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(*report_arguments(data, tmp_path / "out", seed=3), "--json") == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed["seed"] == 3
        assert printed == json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))

    @pytest.mark.parametrize(
        ("widths", "activation", "coefficients"),
        [
            ("2,2,1", "3", [[0, 0, 0, 1]]),
            ("2,2,2,1", "2,3", [[0, 0, 1], [0, 0, 0, 1]]),
            ("2,2,1", "[0,0,1,1]", [[0, 0, 1, 1]]),
            ("2,2,1", "[2]", [[2]]),
            ("2,2,2,1", "[1,1]", [[1, 1], [1, 1]]),
            ("2,2,2,1", "[0, 1, 1],2", [[0, 1, 1], [0, 0, 1]]),
        ],
    )
    def test_activations(
        self, data: Path, tmp_path: Path, widths: str, activation: str, coefficients: list[list[float]]
    ) -> None:
        out = tmp_path / "out"
        code = run(*report_arguments(data, out, widths=widths, activation=activation))
        if activation == "[2]":
            assert code in (0, 1, 2)  # a constant network has nothing to fit
            return
        assert code == 0
        fields = json.loads((out / "report.json").read_text(encoding="utf-8"))
        assert fields["architecture"]["activation_coefficients"] == coefficients

    def test_families(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        net = pc.Sequential(pc.Residual(pc.Affine(2), pc.Activation(2)), pc.Affine(1, bias=True), n_inputs=2)
        path = tmp_path / "net.json"
        path.write_text(json.dumps(net.spec()), encoding="utf-8")
        arguments = ["report", "--data", data, "--x", "a,b", "--y", "y", "--starts", 1]
        for name, family in {"a": ["--network", path], "b": ["--cnn", "2,1", "--channels", "2,1", "--bias"]}.items():
            assert run(*arguments, *family, "--out", tmp_path / name) == 0
            architecture = json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8"))["architecture"]
            expected = net if name == "a" else pc.CNN((2, 1), 2, bias=True, channels=(2, 1))
            assert pc.network(architecture["spec"]) == expected
        capsys.readouterr()
        for family, message in (
            (["--network", path, "--bias"], "--bias does not go with --network"),
            (["--cnn", "3"], "`network`=CNN((3,), n_inputs=3) is a network with 3 inputs"),
            (["--attention", "1,1,1,2", "--widths", "2,1"], "not allowed with argument"),
            ([], "one of the arguments --widths --network --cnn --attention is required"),
        ):
            assert run(*arguments, *family, "--out", tmp_path / "c") == 2
            assert message in the_line(capsys.readouterr().err)

    def test_named_activation(self, data: Path, tmp_path: Path) -> None:
        assert run(*report_arguments(data, tmp_path / "out", activation="tanh:3"), "--interval=-2,2") == 0
        fields = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
        assert fields["architecture"]["degree"] == 3

    @pytest.mark.parametrize(
        ("changes", "code", "message"),
        [
            ({"data": "none.csv"}, 1, "no such file: none.csv"),
            ({"x": "a,c"}, 2, "no column 'c'"),
            ({"y": "z"}, 2, "no column 'z'"),
            ({"x": "a,name"}, 1, "column 'name' holds 'n0' in data row 1, not a number"),
            ({"x": "a,flat"}, 1, "'flat' is constant"),
            ({"y": "flat"}, 1, "'flat' is constant"),
            ({"y": "a"}, 1, "'a' is chosen both as input and as target"),
            ({"widths": "3,2,1"}, 2, "first width must be 2"),
            ({"widths": "2,2,2"}, 2, "the last 1"),
            ({"widths": "2"}, 2, "at least two positive integers"),
            ({"widths": "2,0,1"}, 2, "at least two positive integers"),
            ({"widths": "2;1"}, 2, "not a list of integers"),
            ({"activation": "two"}, 2, "neither a power"),
            ({"activation": "2,3"}, 2, "one entry per hidden layer"),
            ({"activation": "cosh:3"}, 2, "cosh"),
            ({"activation": "[1,x]"}, 2, "not a list of coefficients"),
            ({"activation": "2000"}, 2, "2,001 coefficients"),
            ({"held_out": "1.5"}, 2, "not a fraction"),
            ({"seed": "-1"}, 2, "seed"),
            ({"starts": "0"}, 2, "not a positive integer"),
            ({"interval": "1"}, 2, "two numbers"),
            ({"delimiter": "ab"}, 1, "single character"),
        ],
    )
    def test_bad_input(
        self,
        data: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        changes: dict[str, str],
        code: int,
        message: str,
    ) -> None:
        out = tmp_path / "out"
        assert run(*report_arguments(data, out, **changes)) == code
        printed = capsys.readouterr()
        assert message in the_line(printed.err)
        assert printed.out == ""
        assert not out.exists()

    @pytest.mark.parametrize(
        ("text", "message"), [("", "is empty"), ("a,b,y\n", "has no rows"), ("a,b,y\n1,,2\n", "no value")]
    )
    def test_bad_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
        path = tmp_path / "bad.csv"
        path.write_text(text, encoding="utf-8")
        assert run(*report_arguments(path, tmp_path / "out")) == 1
        assert message in the_line(capsys.readouterr().err)

    def test_missing_values_can_be_dropped(self, data: Path, tmp_path: Path) -> None:
        data.write_text(DATA + ",1,n,1,3\n", encoding="utf-8")
        assert run(*report_arguments(data, tmp_path / "out"), "--drop-missing") == 0
        fields = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
        assert (fields["data"]["n_rows"], fields["data"]["n_dropped"]) == (60, 1)

    def test_out_is_a_file(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(*report_arguments(data, data)) == 1
        assert "is a file" in the_line(capsys.readouterr().err)

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
    def test_out_is_not_writable(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        assert run(*report_arguments(data, locked / "out")) == 1
        assert "cannot be written" in the_line(capsys.readouterr().err)

    def test_nothing_but_results_in_pipes(self, data: Path, tmp_path: Path) -> None:
        done = process(*report_arguments(data, tmp_path / "out"))
        assert done.returncode == 0
        assert done.stderr == ""
        assert done.stdout.startswith("Report:")


class TestMoments:
    def test_file_to_state(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        state = tmp_path / "state.npz"
        assert run("moments", "--data", data, "--x", "a,b", "--y", "y", "--degree", 4, "--out", state, "--json") == 0
        printed = json.loads(capsys.readouterr().out)
        assert (printed["count"], printed["n_vars"], printed["n_targets"], printed["cross_degree"]) == (60, 2, 1, 2)
        values = np.genfromtxt(data, delimiter=",", skip_header=1, usecols=(0, 1, 3))
        expected = Moments(2, 4, n_targets=1)
        expected.update(values[:, :2].copy(), values[:, 2:].copy())
        np.testing.assert_array_equal(Moments.load(state).moments, expected.moments)

    def test_merge_of_parts_is_the_whole(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        lines = DATA.splitlines(keepends=True)
        for name, rows in (("p", lines[1:20]), ("q", lines[20:])):
            (tmp_path / f"{name}.csv").write_text(lines[0] + "".join(rows), encoding="utf-8")
            assert (
                run(
                    "moments",
                    "--data",
                    tmp_path / f"{name}.csv",
                    "--x",
                    "a,b",
                    "--degree",
                    3,
                    "--out",
                    tmp_path / f"{name}.npz",
                )
                == 0
            )
        assert run("moments", "--data", data, "--x", "a,b", "--degree", 3, "--out", tmp_path / "all.npz") == 0
        assert run("merge", tmp_path / "p.npz", tmp_path / "q.npz", "--out", tmp_path / "sum.npz") == 0
        merged, whole = Moments.load(tmp_path / "sum.npz"), Moments.load(tmp_path / "all.npz")
        assert merged.count == whole.count == 60
        np.testing.assert_allclose(merged.moments, whole.moments, rtol=1e-14)
        capsys.readouterr()
        assert run("merge", tmp_path / "p.npz", "--out", tmp_path / "one.npz", "--json") == 0
        assert json.loads(capsys.readouterr().out)["n_files"] == 1

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["--x", "a,zz", "--degree", "2"], 2, "no column 'zz'"),
            (["--x", "a", "--degree", "-1"], 2, "degree"),
            (["--x", "a", "--degree", "x"], 2, "not a non-negative integer"),
            (["--x", "a", "--degree", "2", "--y", "y", "--cross-degree", "x"], 2, "not a non-negative integer"),
            (["--x", "name", "--degree", "2"], 1, "not a number"),
            (["--x", "a,b", "--degree", "1000000"], 1, ""),
        ],
    )
    def test_bad_input(
        self,
        data: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        code: int,
        message: str,
    ) -> None:
        state = tmp_path / "state.npz"
        assert run("moments", "--data", data, *arguments, "--out", state) == code
        assert message in the_line(capsys.readouterr().err)
        assert not state.exists()

    def test_output_directory_is_checked_first(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("moments", "--data", data, "--x", "a", "--degree", 2, "--out", tmp_path / "no" / "state.npz") == 1
        assert "no such directory" in the_line(capsys.readouterr().err)

    def test_merge_of_bad_states(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for degree in (2, 3):
            run("moments", "--data", data, "--x", "a", "--degree", degree, "--out", tmp_path / f"{degree}.npz")
        capsys.readouterr()
        out = tmp_path / "sum.npz"
        for states in ((tmp_path / "2.npz", tmp_path / "3.npz"), (tmp_path / "none.npz",), (data,)):
            assert run("merge", *states, "--out", out) == 1
            the_line(capsys.readouterr().err)
            assert not out.exists()


class TestDim:
    def test_summary_fits_one_screen(self, capsys: pytest.CaptureFixture[str]) -> None:
        for arguments in (
            ("2,3,4,5,4,6,4,1",),
            ("2,3,4,5,4,6,4,1", "--activation", "2", "--bias"),
            ("3,5,2", "--activation", "3"),
            ("2,3,3,2", "--activation", "generic:3"),
            ("1," + "3," * 11 + "2", "--activation", "[0,1,1]"),
            ("3,2",),
        ):
            assert run("dim", *arguments) == 0
            printed = capsys.readouterr().out
            assert len(printed.splitlines()) <= 24
            assert max(map(len, printed.splitlines())) <= 100
            for word in ("dimension", "ambient", "expected", "bound", "primes", "seed", "weights"):
                assert word in printed

    def test_json_is_what_dimension_says(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("dim", "2,4,3,2", "--activation", "3", "--seed", 4, "--primes", 3, "--json") == 0
        printed = json.loads(capsys.readouterr().out)
        net = pc.MLP((2, 4, 3, 2), 3)
        result, identified = pc.dimension(net, 4, 3), pc.identifiability(net, 4, 3)
        for name in ("dimension", "ambient_dimension", "expected_dimension", "defect", "proved", "seed", "reason"):
            assert printed[name] == getattr(result, name)
        assert printed["dimension"] == 15
        assert printed["identifiability"]["verdict"] == identified.verdict
        assert printed["identifiability"]["reason"] == identified.reason
        assert printed["identifiability"]["theorem"] == identified.theorem != ""

    @pytest.mark.parametrize(
        ("arguments", "net"),
        [
            (["--cnn", "3,2"], pc.CNN((3, 2), 2)),
            (["--cnn", "3"], pc.CNN((3,))),
            (["--cnn", "3,2", "--stride", "2", "--input-size", "12x2"], pc.CNN((3, 2), 2, 2, (12, 2))),
            (
                ["--cnn", "2,2,2", "--activation", "2,[0,1/2,1]", "--stride", "2,1,1", "--channels", "2,2,1", "--bias"],
                pc.CNN((2, 2, 2), (2, [0, Fraction(1, 2), 1]), (2, 1, 1), bias=True, channels=(2, 2, 1)),
            ),
            (
                ["--cnn", "2x3,1x2", "--stride", "1x2,1", "--input-size", "3x9", "--channels", "2"],
                pc.CNN(((2, 3), (1, 2)), 2, ((1, 2), 1), (3, 9), channels=2),
            ),
            (["--cnn", "2x2", "--input-size", "3x3x2", "--stride", "1x2"], pc.CNN(((2, 2),), 1, ((1, 2),), (3, 3, 2))),
            (["--attention", "2,1,3,2"], pc.LightningAttention(2, 1, 3, 2)),
            (
                ["--attention", "2,1,2,2", "--layers", "2", "--heads", "2"],
                pc.LightningAttention(2, 1, 2, 2, n_layers=2, n_heads=2),
            ),
        ],
    )
    def test_families(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], net: Any) -> None:
        assert run("dim", *arguments) == 0
        by_words = capsys.readouterr().out
        assert repr(net) in " ".join(by_words.split())
        path = tmp_path / "net.json"
        path.write_text(json.dumps(net.spec()), encoding="utf-8")
        assert run("dim", "--network", path) == 0
        assert capsys.readouterr().out == by_words
        assert run("dim", "--network", path, "--json") == 0
        assert json.loads(capsys.readouterr().out)["dimension"] == pc.dimension(net).dimension

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["2,2", "--cnn", "3"], 2, "not allowed with argument"),
            (["--cnn", "3", "--attention", "1,1,1,1"], 2, "not allowed with argument"),
            (["--cnn", "3,a"], 2, "argument --cnn"),
            (["--cnn", "3,0"], 2, "argument --cnn"),
            (["--cnn", "3x"], 2, "argument --cnn"),
            (["--cnn", "3,2x2"], 2, "`filters` must be all lengths"),
            (["--cnn", "3,3", "--input-size", "4"], 2, "`filters[1]`=3 must be no longer than the 2 positions"),
            (["--cnn", "3,3", "--stride", "0"], 2, "argument --stride"),
            (["--cnn", "3,3", "--stride", "1,1,1"], 2, "`stride` must have one entry a layer"),
            (["--cnn", "3,3", "--channels", "1,1,1,1"], 2, "`channels` must have one entry a layer"),
            (["--cnn", "3,3", "--heads", "2"], 2, "--heads does not go with --cnn"),
            (["2,2,1", "--stride", "2"], 2, "--stride does not go with widths"),
            (["--attention", "1,1,1,1", "--activation", "2"], 2, "--activation does not go with --attention"),
            (["--attention", "1,1,1,1", "--bias"], 2, "--bias does not go with --attention"),
            (["--attention", "1,1,1"], 2, "argument --attention"),
            (["--attention", "1,1,1,0"], 2, "`n_tokens` must be"),
            (["--attention", "1,1,1,1", "--layers", "0"], 2, "argument --layers"),
            (["--cnn", "3", "--input-size", "2000000000"], 1, "the windows of"),
            (["--network", "{path}", "--bias"], 2, "--bias does not go with --network"),
            (["--network", "{path}"], 1, "net.json: `spec.stride` must be an integer"),
            (["--network", "{path}.none"], 1, "No such file"),
            (["--network", "{path}/.."], 1, "directory"),
        ],
    )
    def test_bad_families(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], code: int, message: str
    ) -> None:
        path = tmp_path / "net.json"
        path.write_text('{"family": "CNN", "filters": [2], "stride": 0}', encoding="utf-8")
        assert run("dim", *(argument.format(path=path) for argument in arguments)) == code
        captured = capsys.readouterr()
        assert message in the_line(captured.err)
        assert not captured.out

    @pytest.mark.parametrize(
        ("activation", "expected"),
        [
            ("2", 2),
            ("2,3", (2, 3)),
            ("[0,0,1,1]", ([0, 0, 1, 1],) * 2),
            ("[0,1/3,1],2", ([0, Fraction(1, 3), 1], 2)),
            ("generic:3", pc.GenericActivation(3)),
        ],
    )
    def test_activations(self, capsys: pytest.CaptureFixture[str], activation: str, expected: Any) -> None:
        assert run("dim", "2,3,3,2", "--activation", activation, "--bias", "--json") == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed["network"] == repr(pc.MLP((2, 3, 3, 2), expected, bias=True))

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            ([], 2, "WIDTHS"),
            (["2,0,1"], 2, "at least two positive integers"),
            (["2,-3,1"], 2, "positive integers"),
            (["2,x,1"], 2, "not a list of integers"),
            (["2"], 2, "at least two"),
            (["2,3,1", "--activation", "-2"], 2, "activation"),
            (["2,3,1", "--activation", "1.5"], 2, "neither a power"),
            (["2,3,1", "--activation", "2,3"], 2, "one entry per hidden layer"),
            (["2,3,1", "--activation", "generic:x"], 2, "name:degree"),
            (["2,3,1", "--primes", "0"], 2, "not a positive integer"),
            (["2,3,1", "--max-error", "2"], 2, "not a probability"),
            (["2,3,1", "--seed", str(2**64)], 2, "2^64"),
            (["100000,100000,100000"], 1, "GiB"),
        ],
    )
    def test_bad_input(self, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str) -> None:
        assert run("dim", *arguments) == code
        printed = capsys.readouterr()
        assert message in the_line(printed.err)
        assert printed.out == ""


class TestSweep:
    FAMILY = ("--inputs", "2", "--outputs", "1", "--depth", "..4", "--width", "..3")

    def test_table(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "x.csv"
        assert run("sweep", *self.FAMILY, "--out", out, "--workers", 1) == 0
        printed = capsys.readouterr()
        assert printed.out == f"Sweep: 39 architectures in {out}; 0 timed out, 0 failed\n"
        assert printed.err == ""
        family = pc.architectures(inputs=2, outputs=1, depth=(2, 3, 4), width=(1, 2, 3))
        pc.sweep(family, tmp_path / "y.csv", n_workers=1)
        assert out.read_bytes() == (tmp_path / "y.csv").read_bytes()
        assert run("sweep", *self.FAMILY, "--out", out, "--json") == 0
        assert json.loads(capsys.readouterr().out) == {
            "path": str(out),
            "n_rows": 39,
            "n_found": 39,
            "n_written": 0,
            "n_timeouts": 0,
            "n_failures": 0,
        }

    @pytest.mark.parametrize("activation", ["3", "2,3", "[0,0,1,1]", "[0,1,1],2", "generic:3"])
    def test_activations(self, tmp_path: Path, activation: str) -> None:
        """What stands in the table is what was asked for, and `polycore dim` reads it."""
        out = tmp_path / "x.csv"
        family = ("--inputs", "2", "--outputs", "1,2", "--depth", "3", "--width", "2")
        assert run("sweep", *family, "--activation", activation, "--bias", "--out", out, "--workers", 1) == 0
        with out.open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
        assert [(row["widths"], row["activation"], row["bias"]) for row in found] == [
            ("2-2-2-1", activation, "true"),
            ("2-2-2-2", activation, "true"),
        ]

    def test_coefficients_at_several_depths(self, tmp_path: Path) -> None:
        out = tmp_path / "x.csv"
        assert run("sweep", *self.FAMILY, "--activation", "[0,1,1]", "--out", out, "--workers", 1) == 0
        with out.open(newline="", encoding="utf-8") as file:
            assert {row["activation"] for row in csv.DictReader(file)} == {"[0,1,1]"}

    def test_networks_from_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        nets = [pc.CNN((3, 2), 2), pc.LightningAttention(2, 1, 1, 2), pc.MLP((2, 2, 1), 2)]
        one, several = tmp_path / "one.json", tmp_path / "several.json"
        one.write_text(json.dumps(nets[0].spec()), encoding="utf-8")
        several.write_text(json.dumps([net.spec() for net in nets[1:]]), encoding="utf-8")
        assert run("sweep", "--network", one, several, "--json", "--workers", 1) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["widths"] for line in lines] == [repr(nets[0]), repr(nets[1]), "2-2-1"]
        assert [line["dimension"] for line in lines] == [4, 4, 3]
        assert run("sweep", "--network", one, several, "--out", tmp_path / "x.csv") == 0
        capsys.readouterr()
        for arguments, code, message in (
            (["--network", one, "--depth", 2], 2, "--depth does not go with --network"),
            (["--network", one, "--activation", 2], 2, "--activation does not go with --network"),
            (["--network", tmp_path / "x.csv"], 1, "x.csv: `spec` must be JSON"),
            (["--depth", 2], 2, "--inputs, --outputs, --width or --network is needed"),
        ):
            assert run("sweep", *arguments) == code
            assert message in the_line(capsys.readouterr().err)
        several.write_text('[{"family": "CNN", "filters": [2]}, {"family": "CNN"}]', encoding="utf-8")
        assert run("sweep", "--network", several) == 1
        assert "several.json: `spec[1].filters` is missing" in the_line(capsys.readouterr().err)

    def test_another_sweep_is_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "x.csv"
        assert run("sweep", *self.FAMILY, "--out", out, "--workers", 1) == 0
        before = out.read_bytes()
        capsys.readouterr()
        for option in (("--seed", 1), ("--primes", 3), ("--activation", 3), ("--bias",), ("--max-error", 1e-12)):
            assert run("sweep", *self.FAMILY, "--out", out, *option) == 1
            assert "x.csv was made" in the_line(capsys.readouterr().err)
            assert out.read_bytes() == before

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["--depth", "0"], 2, "'0' is not a range"),
            (["--depth", "5..2"], 2, "ascending"),
            (["--width", "..0"], 2, "'..0' is not a range"),
            (["--width", "x"], 2, "3, 2..7, ..6 or 2,4,6"),
            (["--width", "-3"], 2, "width"),
            (["--width", "1..1000000000"], 2, "from 1 to"),
            (["--inputs", "2.."], 2, "not a range"),
            (["--outputs", ""], 2, "not a range"),
            (["--activation", "2,3"], 2, "one entry per hidden layer"),
            (["--activation", "two"], 2, "neither a power"),
            (["--timeout", "0"], 2, "positive number of seconds"),
            (["--timeout", "nan"], 2, "positive number of seconds"),
            (["--workers", "-1"], 2, "workers"),
            (["--out", "x.txt"], 1, ".csv or .parquet"),
            (["--out", "none/x.csv"], 1, "no such directory"),
        ],
    )
    def test_bad_input(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
    ) -> None:
        assert run("sweep", *self.FAMILY, "--out", tmp_path / "x.csv", *arguments) == code
        printed = capsys.readouterr()
        assert message in the_line(printed.err)
        assert printed.out == ""
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(sys.platform == "win32", reason="signals")
    def test_interrupt(self, tmp_path: Path) -> None:
        """Ctrl-C: one line, exit code 130, whole rows, from which the same command goes on."""
        out = tmp_path / "x.csv"
        family = ["--inputs", "2", "--outputs", "1", "--depth", "12", "--width", "..6"]  # 6^11 networks
        child = interruptible("sweep", *family, "--out", out, "--workers", 2)
        while child.poll() is None and (not out.exists() or out.stat().st_size < 2000):
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        printed, errors = child.communicate()
        assert child.returncode == 130
        assert the_line(errors) == "polycore: interrupted\n"
        assert printed == ""
        assert out.read_bytes().endswith(b",ok\n")

    def test_on_standard_output(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The same lines as in a file, whatever the number of workers, or the rows as JSON; and nothing else."""
        family = pc.architectures(inputs=2, outputs=1, depth=(2, 3, 4), width=(1, 2, 3), activation=3)
        table = tmp_path / "x.csv"
        pc.sweep(family, table, seed=5, primes=3, n_workers=1)
        options = (*self.FAMILY, "--activation", 3, "--seed", 5, "--primes", 3)
        for workers in (1, 2):
            assert run("sweep", *options, "--workers", workers) == 0
            printed = capsys.readouterr()
            assert printed.out == table.read_text(encoding="utf-8")
            assert printed.err == ""
        assert run("sweep", *options, "--workers", 1, "--json") == 0
        found = list(map(json.loads, capsys.readouterr().out.splitlines()))
        assert found == list(pc.sweep_rows(family, seed=5, primes=3, n_workers=1))

    def test_cells_with_commas_on_standard_output(self, capsys: pytest.CaptureFixture[str]) -> None:
        family = ("--inputs", 2, "--outputs", 1, "--depth", 3, "--width", 2)
        assert run("sweep", *family, "--activation", "[0,1,1],2", "--workers", 1) == 0
        (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
        assert (row["activation"], row["status"]) == ("[0,1,1],2", "ok")

    def test_reader_that_has_seen_enough(self) -> None:
        """Rows come as they are found: of 6^11 the first three are read, and that ends the sweep without a word."""
        family = ["--inputs", "2", "--outputs", "1", "--depth", "12", "--width", "..6", "--workers", "2"]
        command = [sys.executable, "-m", "polycore", "sweep", *family]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            lines = [child.stdout.readline() for _ in range(4)]
            child.stdout.close()
            assert child.stderr.read() == ""
        assert child.returncode == 1
        assert lines[0].startswith("widths,activation,bias,")
        assert lines[3].startswith("2-1-1-1-1-1-1-1-1-1-1-3-1,2,false,")


class TestFill:
    def test_summary(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("fill", "--inputs", 2, "--outputs", 2, "--depth", 3, "--activation", 3) == 0
        printed = capsys.readouterr().out
        assert printed == repr(pc.minimal_filling(2, 2, 3, 3)) + "\n"
        assert "2-3-5-2" in printed
        assert "2-4-4-2" in printed

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("fill", "--inputs", 1, "--outputs", 1, "--depth", 3, "--bias", "--seed", 3, "--json") == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed == pc.minimal_filling(1, 1, 3, bias=True, rng=3).to_dict() | {"activation": [2, 2]}
        assert printed["seed"] == 3

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["--depth", "0"], 2, "not a positive integer"),
            (["--inputs", "-1"], 2, "inputs"),
            (["--activation", "2,2,2"], 2, "one entry per hidden layer"),
            (["--activation", "x"], 2, "neither a power"),
            (["--inputs", "80", "--depth", "5"], 1, "filling network"),
        ],
    )
    def test_bad_input(self, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str) -> None:
        assert run("fill", "--inputs", 2, "--outputs", 1, "--depth", 3, *arguments) == code
        assert message in the_line(capsys.readouterr().err)


class TestInfo:
    def test_info(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("info") == 0
        printed = capsys.readouterr().out
        assert "backend" in printed
        assert "threads" in printed
        assert run("info", "--json") == 0
        assert json.loads(capsys.readouterr().out) == config.get_config()

    def test_show_config(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        config.show_config()
        shown = capsys.readouterr().out
        with (tmp_path / "config").open("w+", encoding="utf-8") as file:
            config.show_config(file)
            file.seek(0)
            assert file.read() == shown

    def test_fallback_backend_in_a_process(self) -> None:
        done = process("info", "--json", POLYCORE_BACKEND="numpy")
        assert done.returncode == 0
        printed = json.loads(done.stdout)
        assert printed["backend"] == "numpy"
        assert printed["isa"] is None
        assert the_line(process("info", POLYCORE_BACKEND="fortran").stderr)

    @pytest.mark.parametrize(
        ("polycore", "openmp", "expected"),
        [("3", "2", (3, "POLYCORE_NUM_THREADS")), ("", "4,2", (4, "OMP_NUM_THREADS")), ("x", "0", None)],
    )
    def test_default_threads(
        self, monkeypatch: pytest.MonkeyPatch, polycore: str, openmp: str, expected: tuple[int, str] | None
    ) -> None:
        monkeypatch.setenv("POLYCORE_NUM_THREADS", polycore)
        monkeypatch.setenv("OMP_NUM_THREADS", openmp)
        monkeypatch.setattr(config, "_core_attribute", lambda name: None)
        number, source = config.default_threads()
        if expected is None:
            assert number >= 1
            assert source == "hardware"
        else:
            assert (number, source) == expected

    def test_directories(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "include" / "polycore").mkdir(parents=True)
        (tmp_path / "include" / "polycore" / "polycore.hpp").write_text("")
        (tmp_path / "lib" / "cmake" / "polycore").mkdir(parents=True)
        (tmp_path / "lib" / "cmake" / "polycore" / "polycoreConfig.cmake").write_text("")
        monkeypatch.setattr(config, "_package_roots", lambda: iter([tmp_path / "elsewhere", tmp_path]))
        assert run("--includedir") == run("--cmakedir") == 0
        assert capsys.readouterr().out.split() == [
            str(tmp_path / "include"),
            str(tmp_path / "lib" / "cmake" / "polycore"),
        ]
        monkeypatch.setattr(config, "_package_roots", lambda: iter([tmp_path / "elsewhere"]))
        assert run("--includedir") == 1
        assert "not part of this installation" in the_line(capsys.readouterr().err)


class TestCommandLine:
    @pytest.mark.parametrize("arguments", [[], ["rep"], ["report"], ["info", "--xml"], ["--includedir", "--cmakedir"]])
    def test_bad_usage(self, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        assert run(*arguments) == 2
        assert "--help" in the_line(capsys.readouterr().err)

    @pytest.mark.parametrize("arguments", [["--help"], ["report", "--help"], ["sweep", "--help"], ["--version"]])
    def test_help(self, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as end:
            run(*arguments)
        assert end.value.code == 0
        assert "polycore" in capsys.readouterr().out

    def test_importing_is_light(self) -> None:
        code = "import sys, polycore.cli; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        heavy = {"matplotlib", "jinja2", "pyarrow", "numba", "pandas", "tqdm", "scipy.optimize"}
        assert not heavy & set(done.stdout.split())

    def test_reader_that_goes_away(self) -> None:
        code = f"{sys.executable} -m polycore info | true"
        done = subprocess.run(["/bin/sh", "-c", code], capture_output=True, text=True, check=False)
        assert done.stderr == ""

    @pytest.mark.skipif(sys.platform == "win32", reason="signals")
    def test_interrupt(self, tmp_path: Path) -> None:
        """Ctrl-C while a file is read: one line, exit code 130, no state file."""
        fifo = tmp_path / "endless.csv"
        os.mkfifo(fifo)
        state = tmp_path / "state.npz"
        child = interruptible("moments", "--data", fifo, "--x", "0", "--degree", "2", "--out", state)
        with fifo.open("w", encoding="utf-8"):  # opens once the reader is there, which then waits for data
            time.sleep(0.3)
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate()
        assert child.returncode == 130
        assert the_line(errors) == "polycore: interrupted\n"
        assert not state.exists()
