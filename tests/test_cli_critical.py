# SPDX-License-Identifier: BSD-3-Clause
"""``polycore critical``: the same points as in Python, tables and JSON, exit codes, what is wrong in one line."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import cli, critical
from polycore._rows import loss_of_rows

ROOT = Path(__file__).resolve().parent.parent
# Directions along which a linear map of rank 1 loses: singular values of the target are well apart.
TARGET = [[3.0, 0.0], [0.0, 1.0]]

# The command in a process that Ctrl-C ends even if it is ignored here; it says when the search is under way.
BEGUN = """
import signal, sys
from polycore import _critical_search, cli

signal.signal(signal.SIGINT, signal.default_int_handler)
explore = _critical_search.Explorer.explore

def told(*arguments):
    print("begun", file=sys.stderr, flush=True)
    return explore(*arguments)

_critical_search.Explorer.explore = told
sys.exit(cli.main(sys.argv[1:]))
"""

needs_plots = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="polycore[report]")


def samples(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    X = rng.normal(size=(n, 2)) @ np.array([[2.0, 0.3], [0.0, 0.5]]) + [1.0, -4.0]
    Y = X @ np.array([[1.0, 0.4], [-0.7, 2.0]]) + 0.3 * rng.normal(size=(n, 2))
    return X, Y


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    X, Y = samples()
    np.savetxt(path, np.hstack([X, Y, np.full((60, 1), 7.0)]), delimiter=",", header="a,b,y,z,flat", comments="")
    return path


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def found(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert run("critical", *arguments, "--json") == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def the_line(captured: str) -> str:
    """The one line on standard error."""
    assert captured.endswith("\n")
    assert captured.count("\n") == 1, captured
    assert "Traceback" not in captured
    return captured


def linear(data: Path) -> list[object]:
    """A network whose critical points are known: 2 → 1 → 2, linear."""
    return ["--data", data, "--x", "a,b", "--y", "y,z", "--widths", "2,1,2", "--activation", "1"]


class TestPoints:
    def test_eckart_young_on_standardised_data(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Losses of linear networks of width 1 from the singular values of T Q^(1/2), by numpy alone."""
        X, Y = ((values - values.mean(0)) / values.std(0) for values in samples())
        target = np.linalg.lstsq(X, Y, rcond=None)[0].T
        constant = float(np.sum((Y - X @ target.T) ** 2))
        s = np.linalg.svd(target @ np.linalg.qr(X)[1].T, compute_uv=False)
        losses = sorted([constant + s[1] ** 2, constant + s[0] ** 2, constant + s[0] ** 2 + s[1] ** 2])
        for method in ("auto", "search"):
            answer = found(capsys, *linear(data), "--method", method, "--starts", 200)
            np.testing.assert_allclose([point["loss"] for point in answer["points"]], losses, rtol=1e-9)
            assert answer["loss"]["constant"] == pytest.approx(constant, rel=1e-9)
            assert answer["data"]["total_sum_of_squares"] == pytest.approx(120.0)
            assert [point["is_minimum"] for point in answer["points"]] == [True, False, False]
            assert [point["origin"]["verdict"] for point in answer["points"][:2]] == ["pure", "pure"]
            assert answer["n_minima"] == 1
            assert not answer["partial"]
            assert not answer["warnings"]

    def test_the_points_of_python(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        X, Y = samples()
        net = pc.MLP((2, 2, 1), activation=2)
        loss, _ = loss_of_rows(X, Y[:, :1], net.basis)  # the same to the last bit, for searches that amplify bits
        result = critical.critical_points(loss, net, n_starts=60, rng=5)
        exact = pc.QDistance.from_data(X, Y[:, :1], net.basis)
        assert result.points[0].loss == pytest.approx(float(exact.value(result.points[0].coef)) + exact.constant)
        arguments = ["--data", data, "--x", "a,b", "--y", "y", "--widths", "2,2,1", "--raw", "--starts", 60]
        answer = found(capsys, *arguments, "--seed", 5)
        assert answer["seed"] == 5
        assert answer["n_starts"] == 60
        assert pc.network(answer["spec"]) == net
        assert not answer["data"]["standardised"]
        assert len(answer["points"]) == len(result.points)
        for ours, theirs in zip(answer["points"], result.points, strict=True):
            assert ours["loss"] == pytest.approx(theirs.loss, rel=1e-7)
            assert ours["kind"] == theirs.kind
            assert ours["sentence"] == theirs.sentence

    def test_residuals_of_the_rows(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Loss and parameters of each point against a direct sum over the standardised rows of the file."""
        arguments = ["--data", data, "--x", "a,b", "--y", "y", "--widths", "2,2,1", "--bias", "--starts", 40]
        answer = found(capsys, *arguments)
        values = np.genfromtxt(data, delimiter=",", skip_header=1)
        values = (values - values.mean(0))[:, :3] / values.std(0)[:3]
        net = pc.MLP((2, 2, 1), activation=2, bias=True)
        assert answer["points"]
        for point in answer["points"]:
            residual = net.evaluate(point["theta"], values[:, :2])[:, 0] - values[:, 2]
            assert point["loss"] == pytest.approx(float(residual @ residual), rel=1e-6)
            np.testing.assert_allclose(net.expand(point["theta"]), point["coefficients"], rtol=1e-9, atol=1e-12)

    def test_same_bytes_for_a_seed_and_any_threads(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        printed = []
        for threads in (1, 1, 2):
            arguments = ["--starts", 50, "--seed", 3, "--threads", threads, "--method", "search", "--json"]
            assert run("critical", *linear(data), *arguments) == 0
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1] == printed[2]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("t.json", json.dumps(TARGET)),
            ("t.csv", "3,0\n0,1\n"),
            ("t.txt", "3 0\n0 1\n"),
            ("t.npy", None),
        ],
    )
    def test_given_coefficients(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str | None
    ) -> None:
        """The best approximations of rank 1 of a diagonal matrix drop one of its entries."""
        path = tmp_path / name
        if text is None:
            np.save(path, np.array(TARGET))
        else:
            path.write_text(text, encoding="utf-8")
        arguments = ["--metric", "identity", "--target-coef", path, "--widths", "2,1,2", "--activation", "1"]
        answer = found(capsys, *arguments)
        np.testing.assert_allclose([point["loss"] for point in answer["points"]], [1.0, 9.0, 10.0], rtol=1e-9)
        assert answer["data"] is None
        assert answer["loss"]["metric"] == "identity"
        assert answer["points"][0]["status"] == "global minimum"

    @pytest.mark.parametrize("metric", ["bombieri_weyl", "gaussian", "uniform"])
    def test_metrics(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str) -> None:
        path = tmp_path / "t.json"
        path.write_text("[2, 0, 1]", encoding="utf-8")  # 2x² + y²
        answer = found(capsys, "--metric", metric, "--target-coef", path, "--widths", "2,1,1", "--starts", 60)
        net = pc.MLP((2, 1, 1), activation=2)
        loss = pc.QDistance.from_metric(metric, [[2.0, 0.0, 1.0]], net.basis)
        assert answer["points"]
        for point in answer["points"]:
            assert point["loss"] == pytest.approx(float(loss.value(point["coefficients"])), rel=1e-9)
        if metric == "bombieri_weyl":  # the symmetric matrix diag(2, 1), approximated by rank one
            losses = sorted({round(point["loss"], 9) for point in answer["points"]})  # zero is a saddle and a minimum
            np.testing.assert_allclose(losses, [1.0, 4.0, 5.0], rtol=1e-9)

    def test_cross_entropy(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Two classes, numbered 3 and 7, that overlap: a linear classifier is convex, all its points are minima."""
        rng = np.random.default_rng(2)
        X = rng.normal(size=(80, 2))
        labels = np.where(X[:, 0] + rng.normal(size=80) > 0, 7, 3)
        path = tmp_path / "classes.csv"
        np.savetxt(path, np.column_stack([X, labels]), delimiter=",", header="u,v,class", comments="")
        arguments = ["--data", path, "--widths", "2,2", "--bias", "--loss", "cross-entropy", "--starts", 30]
        answer = found(capsys, *arguments)
        assert answer["data"]["classes"] == [3.0, 7.0]
        assert answer["loss"]["kind"] == "cross-entropy"
        assert answer["data"]["total_sum_of_squares"] is None
        net = pc.MLP((2, 2), bias=True)
        X = (X - X.mean(0)) / X.std(0)
        assert answer["points"]
        for point in answer["points"]:
            scores = net.evaluate(point["theta"], X)
            log_sums = np.log(np.exp(scores).sum(axis=1))
            chosen = scores[np.arange(80), (labels == 7).astype(int)]
            assert point["loss"] == pytest.approx(float(np.sum(log_sums - chosen)), rel=1e-9)
            assert point["loss"] == pytest.approx(answer["points"][0]["loss"], rel=1e-9)
            # The gradient in the biases: probabilities of a class sum to its frequency.
            probabilities = np.exp(scores - log_sums[:, None])
            np.testing.assert_allclose(probabilities.sum(0), [(labels == 3).sum(), (labels == 7).sum()], rtol=1e-7)

    def test_two_classes_with_one_output(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Logistic regression: one minimum, at which residuals are orthogonal to all columns."""
        rng = np.random.default_rng(3)
        X = rng.normal(size=(60, 2))
        labels = (X[:, 1] + rng.normal(size=60) > 0).astype(float)
        path = tmp_path / "classes.npy"
        np.save(path, np.column_stack([X, labels]))
        arguments = ["--data", path, "--widths", "2,1", "--bias", "--loss", "cross-entropy", "--raw", "--starts", 10]
        [point] = found(capsys, *arguments)["points"]
        slopes, intercept = np.array(point["theta"][:2]), point["theta"][2]
        probabilities = 1 / (1 + np.exp(-X @ slopes - intercept))
        np.testing.assert_allclose((labels - probabilities) @ np.column_stack([X, np.ones(60)]), 0, atol=1e-7)
        likelihood = np.where(labels == 1, probabilities, 1 - probabilities)
        assert point["loss"] == pytest.approx(-float(np.log(likelihood).sum()), rel=1e-9)
        assert point["kind"] == "minimum"


class TestFamilies:
    @pytest.mark.parametrize("family", ["network", "cnn", "attention"])
    def test_families(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], family: str) -> None:
        """Whatever the network: points of the family named, critical for a gradient by hand."""
        net: Any = {
            "network": pc.Sequential(pc.Affine(1), pc.Activation(2), pc.Affine(2), n_inputs=2),
            "cnn": pc.CNN((2, 2), 2),
            "attention": pc.LightningAttention(1, 1, 1, 2),
        }[family]
        spec = tmp_path / "net.json"
        spec.write_text(json.dumps(net.spec()), encoding="utf-8")
        words = {"network": [spec], "cnn": ["2,2"], "attention": ["1,1,1,2"]}[family]
        rng = np.random.default_rng(4)
        X = rng.normal(size=(40, net.n_inputs))
        Y = rng.normal(size=(40, net.n_outputs))
        path = tmp_path / "rows.npy"
        np.save(path, np.hstack([X, Y]))
        answer = found(capsys, "--data", path, f"--{family}", *words, "--raw", "--starts", 40)
        assert pc.network(answer["spec"]) == net
        assert answer["points"]
        for point in answer["points"]:
            theta = np.array(point["theta"])
            residual = net.evaluate(theta, X) - Y
            gradient = 2 * net.evaluate_vjp(theta, X, residual).sum(axis=0)
            assert np.linalg.norm(gradient) <= 1e-6 * (1 + np.sum(Y**2))


class TestOutput:
    def test_table_and_sentences(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("critical", *linear(data)) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        assert printed.out.startswith("data.csv: 60 rows, a, b → y, z, standardised\n")
        answer = found(capsys, *linear(data))
        text = " ".join(printed.out.split())
        for number, point in enumerate(answer["points"]):
            assert f" {number} {' '.join(point['sentence'].split())}" in text
        assert max(map(len, printed.out.splitlines())) <= 120

    def test_columns_are_guessed_only_if_they_fit(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        lines = data.read_text(encoding="utf-8").splitlines()
        data.write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n", encoding="utf-8")
        common = ["--data", data, "--widths", "2", "1", "2", "--activation", "1", "--starts", 20]
        for more in ([], ["--targets", "y,z"], ["--x", "a,b"]):
            answer = found(capsys, *common, *more)
            assert [variable["name"] for variable in answer["data"]["inputs"]] == ["a", "b"]
            assert [variable["name"] for variable in answer["data"]["targets"]] == ["y", "z"]

    def test_save(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "points.json"
        assert run("critical", *linear(data), "--save", out) == 0
        assert f"written to {out}" in capsys.readouterr().out
        assert json.loads(out.read_text(encoding="utf-8")) == found(capsys, *linear(data))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "points.json"]

    @needs_plots
    @pytest.mark.parametrize(("suffix", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
    def test_plot(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, begins: bytes
    ) -> None:
        out = tmp_path / f"graph{suffix}"
        assert run("critical", *linear(data), "--plot", out) == 0
        assert out.read_bytes().startswith(begins)
        assert capsys.readouterr().err == ""

    def test_json_is_documented(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        page = (ROOT / "docs" / "critical.md").read_text(encoding="utf-8")
        answer = found(capsys, *linear(data))
        assert answer["schema"] == "polycore-critical/1"
        point = answer["points"][0]
        fields = [*answer, *point]
        for section in (answer["data"], answer["loss"], answer["completeness"], point["inertia"], point["origin"]):
            fields += [*section]
        for field in fields:
            assert f"`{field}`" in page or f".{field}`" in page or f"`{field}." in page, field

    def test_a_time_budget_is_no_failure(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["--method", "search", "--starts", 10**6, "--time-budget", 0.2]
        answer = found(capsys, *linear(data), *arguments)
        assert answer["partial"]
        assert answer["stopped"] == "time"
        assert run("critical", *linear(data), *arguments) == 0
        assert "partial" in capsys.readouterr().out

    def test_missing_values_can_be_dropped(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data.write_text(data.read_text(encoding="utf-8") + ",1,1,1,7\n", encoding="utf-8")
        assert run("critical", *linear(data)) == 1
        assert "no value in data row 61" in the_line(capsys.readouterr().err)
        answer = found(capsys, *linear(data), "--drop-missing")
        assert (answer["data"]["n_rows"], answer["data"]["n_dropped"]) == (60, 1)


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "code", "message"),
        [
            ({"data": "none.csv"}, 1, "no such file: none.csv"),
            ({"data": "."}, 1, "is a directory"),
            ({"x": "a,c"}, 2, "no column 'c'"),
            ({"y": "y,y"}, 2, "twice"),
            ({"y": "a,z"}, 1, "'a' is chosen both as input and as target"),
            ({"y": "y"}, 2, "last 1"),
            ({"x": "a,flat"}, 1, "input column 'flat' is constant"),
            ({"y": "y,flat"}, 1, "target column 'flat' is constant"),
            ({"widths": "3,1,2"}, 2, "first width must be 2"),
            ({"widths": "2"}, 2, "at least two positive integers"),
            ({"widths": "2,x"}, 2, "not a list of integers"),
            ({"activation": "two"}, 2, "neither a power"),
            ({"activation": "generic:2"}, 1, "generic activation"),
            ({"starts": "0"}, 2, "not a positive integer"),
            ({"starts": "1.5"}, 2, "not a non-negative integer"),
            ({"seed": "-1"}, 2, "seed"),
            ({"method": "guess"}, 2, "invalid choice: 'guess'"),
            ({"metric": "euclid"}, 2, "invalid choice: 'euclid'"),
            ({"metric": "identity"}, 2, "--target-coef"),
            ({"loss": "huber"}, 2, "invalid choice: 'huber'"),
            ({"loss": "cross-entropy"}, 2, "one column of classes"),
            ({"loss": "cross-entropy", "y": "y"}, 1, "'y' has 60 classes"),
            ({"time-budget": "0"}, 2, "not a positive number of seconds"),
            ({"time-budget": "soon"}, 2, "not a positive number of seconds"),
            ({"threads": "-1"}, 2, "threads"),
            ({"target-coef": "t.npy"}, 2, "needs a --metric other than data"),
            ({"plot": "graph.gif"}, 2, ".svg, .png or .pdf"),
            ({"plot": "no/graph.svg"}, 1, "no such directory"),
            ({"save": "."}, 1, "is a directory"),
            ({"save": "no/points.json"}, 1, "no such directory"),
            ({"delimiter": "ab"}, 1, "single character"),
        ],
    )
    def test_one_line(
        self, data: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], code: int, message: str
    ) -> None:
        options = {"data": data, "x": "a,b", "y": "y,z", "widths": "2,1,2", "activation": "1", "starts": "5", **changes}
        assert run("critical", *(text for key, value in options.items() for text in (f"--{key}", value))) == code
        printed = capsys.readouterr()
        assert message in the_line(printed.err)
        assert printed.out == ""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "is empty"),
            ("a,b,y,z\n", "has no rows"),
            ("a,b,y,z\n1,2,3,4\n", "at least 2 rows"),
            ("a,b,y,z\n1,2,3,4\n1,5,nan,4\n", "no value"),
            ("a,b,y,z\n1,2,3,4\n1,5,inf,4\n", "infinite"),
            ("a,b,y,z\n1,2,3,4\n1,x,6,4\n", "not a number"),
            ("a,b,y,z\n1,2,3,4\n1,5,6,7\n", "'a' is constant"),
            ("a,b,y,z\n1e300,2,3,4\n-1e300,5,6,7\n", "too large to standardise"),
        ],
    )
    def test_bad_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
        path = tmp_path / "bad.csv"
        path.write_text(text, encoding="utf-8")
        assert run("critical", *linear(path), "--starts", 5) == 1
        assert message in the_line(capsys.readouterr().err)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("none.json", None, "no such file"),
            ("t.json", b"[1, 2", "t.json"),
            ("t.json", b"[[1, 2], [3]]", "t.json"),
            ("t.json", b'[["a", "b"], ["c", "d"]]', "t.json"),
            ("t.json", b"[[1, NaN], [0, 1]]", "finite"),
            ("t.json", b"[1, 2]", "(2, 2)"),
            ("t.csv", b"", "empty"),
            ("t.csv", b"a,b\n1,2\n", "t.csv"),
            ("t.csv", b"\xff\xfe", "t.csv"),
            ("t.npy", b"PK", "t.npy"),
            ("t.npy", b"", "t.npy"),
        ],
    )
    def test_bad_coefficients(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, message: str
    ) -> None:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        arguments = ["--metric", "identity", "--target-coef", path, "--widths", "2,1,2", "--activation", "1"]
        assert run("critical", *arguments) == 1
        assert message in the_line(capsys.readouterr().err)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "one of the arguments --widths --network --cnn --attention is required"),
            (["--widths", "2,1"], "--data is needed"),
            (["--widths", "2,1", "--metric", "uniform", "--target-coef", "t", "--x", "a"], "--x does not go with"),
            (
                ["--widths", "2,1", "--metric", "uniform", "--target-coef", "t", "--data", "d"],
                "--data does not go with",
            ),
            (["--widths", "2,1", "--metric", "uniform", "--loss", "cross-entropy"], "needs --data"),
            (["--widths", "2,1", "--cnn", "2", "--data", "d"], "not allowed with"),
        ],
    )
    def test_usage(self, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
        assert run("critical", *arguments) == 2
        assert message in the_line(capsys.readouterr().err)

    def test_a_network_beyond_memory(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["--data", data, "--x", "a,b", "--y", "y", "--widths", "2,2,2,2,2,2,1", "--activation", "9"]
        assert run("critical", *arguments, "--starts", 2) == 1
        the_line(capsys.readouterr().err)

    def test_one_row_as_it_is(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With --raw one row is data: a network that can fit it has a minimum of loss zero."""
        path = tmp_path / "row.csv"
        path.write_text("x,y,t\n1,2,3\n", encoding="utf-8")
        answer = found(capsys, "--data", path, "--widths", "2,2,1", "--raw", "--starts", 20)
        assert answer["points"][0]["zero_loss"]
        assert answer["points"][0]["status"] == "global minimum"


class TestProcess:
    def test_nothing_but_results_in_pipes(self, data: Path) -> None:
        command = [sys.executable, "-m", "polycore", "critical", *map(str, linear(data)), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert json.loads(done.stdout)["points"]

    @pytest.mark.parametrize(("encoding", "more"), [("ascii", []), ("cp1252", ["--json"])])
    def test_any_encoding_of_the_output(self, data: Path, encoding: str, more: list[str]) -> None:
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        command = [sys.executable, "-m", "polycore", "critical", *map(str, linear(data)), *more]
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode(encoding)
        assert len(json.loads(text)["points"]) == 3 if more else "strict saddle" in text

    @pytest.mark.skipif(sys.platform == "win32", reason="signals")
    def test_ctrl_c_gives_what_is_found(self, data: Path) -> None:
        """The result so far on standard output, marked partial, then one line, and exit code 130."""
        arguments = ["critical", *linear(data), "--method", "search", "--starts", 10**7, "--json"]
        command = [sys.executable, "-c", BEGUN, *map(str, arguments)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stderr is not None
            assert child.stderr.readline() == "begun\n"
            time.sleep(0.3)
            assert child.poll() is None, "finished before it could be interrupted"
            child.send_signal(signal.SIGINT)
            output, errors = child.communicate()
        assert child.returncode == 130, errors
        assert errors.replace("begun\n", "") == "polycore: interrupted\n"
        answer = json.loads(output)
        assert answer["partial"]
        assert answer["stopped"] == "interrupted"
