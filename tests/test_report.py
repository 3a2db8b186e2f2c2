# SPDX-License-Identifier: BSD-3-Clause
"""The report against numpy on the same rows; the page and the JSON as files; bad input."""

from __future__ import annotations

import html
import json
import re
import sys
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import _report_page
from polycore.activations import polynomial_activation
from polycore.networks import MLP
from polycore.report import Report, report

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


def make_data(n: int = 120, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(n, 3)) * [1.0, 20.0, 0.1] + [3.0, 100.0, 0.0]
    Z = (X - X.mean(0)) / X.std(0)
    y = 50 + 4 * (Z[:, 0] + 1) ** 2 - 6 * (Z[:, 1] - Z[:, 2]) ** 2 + noise * rng.normal(size=n)
    return X, y


# Without the search for critical points, which takes most of the time of a small report.
quick = partial(report, critical_starts=0)


@pytest.fixture(scope="module")
def result() -> Report:
    return quick(*make_data(), widths=(3, 2, 1), activation=2, bias=True, n_starts=4, rng=1)


class TestNumbers:
    def test_split_and_standardisation(self, result: Report) -> None:
        X, y = make_data()
        assert (result.data.n_rows, result.data.n_train, result.data.n_held_out) == (120, 96, 24)
        assert [v.name for v in result.data.inputs] == ["x1", "x2", "x3"]
        assert result.data.outputs[0].name == "y"
        assert result.data.inputs[1].mean == pytest.approx(X[:, 1].mean(), rel=0.1)
        assert result.data.outputs[0].scale == pytest.approx(y.std(), rel=0.2)

    def test_network_finds_the_function(self, result: Report) -> None:
        network, linear = result.model("network"), result.model("linear")
        assert network.held_out is not None
        assert linear.held_out is not None
        assert network.held_out.r2 > 0.999 > linear.held_out.r2
        assert network.held_out.rmse == pytest.approx(0.1, abs=0.05)

    def test_errors_from_the_parameters_alone(self, result: Report) -> None:
        """report.json holds what is needed to predict: standardise, evaluate, undo."""
        fields = result.to_dict()
        X, y = make_data()
        mean, scale = (np.array([v[key] for v in fields["data"]["inputs"]]) for key in ("mean", "scale"))
        output = fields["data"]["outputs"][0]
        net = MLP(fields["architecture"]["widths"], 2, bias=True)
        predicted = (
            output["mean"] + output["scale"] * net.evaluate(fields["network"]["theta"], (X - mean) / scale)[:, 0]
        )
        model = fields["models"][0]
        total = model["train"]["sum_of_squares"] + model["held_out"]["sum_of_squares"]
        assert np.sum((y - predicted) ** 2) == pytest.approx(total, rel=1e-9)

    def test_regressions_against_numpy(self) -> None:
        X, y = make_data()
        r = quick(X, y, widths=(3, 2, 1), activation=2, bias=True, n_starts=1, held_out=0)
        A = np.column_stack([np.ones(len(X)), X])
        residual = np.linalg.lstsq(A, y, rcond=None)[1][0]
        assert r.model("linear").train.sum_of_squares == pytest.approx(residual, rel=1e-9)
        products = [X[:, i] * X[:, j] for i in range(3) for j in range(i + 1)]
        residual = np.linalg.lstsq(np.column_stack([A, *products]), y, rcond=None)[1][0]
        polynomial = r.model("polynomial").train
        assert polynomial.sum_of_squares == pytest.approx(residual, rel=1e-6)
        assert polynomial.rmse == pytest.approx(np.sqrt(residual / len(y)), rel=1e-6)
        assert polynomial.r2 == pytest.approx(1 - residual / np.sum((y - y.mean()) ** 2), rel=1e-6)
        assert r.model("network").held_out is None
        assert r.training.floor == pytest.approx(residual / r.data.outputs[0].scale ** 2, rel=1e-6)

    def test_architecture(self, result: Report) -> None:
        a = result.architecture
        assert (a.n_params, a.n_monomials, a.ambient_dimension) == (11, 10, 10)
        assert (a.orbit_dimension, a.expected_dimension, a.jacobian_rank) == (2, 9, 8)

    def test_gram(self, result: Report) -> None:
        assert result.gram.rank == 10
        assert result.gram.condition == pytest.approx(
            result.gram.eigenvalues[0] / result.gram.eigenvalues[-1], rel=1e-6
        )
        assert result.training.agreement < 1e-10

    def test_losses_fall_to_the_floor(self, result: Report) -> None:
        for descent in result.training.descents:
            assert descent.loss[-1] >= result.training.floor * (1 - 1e-9)
        assert result.training.loss < 1e-3 * result.training.total

    def test_several_outputs_and_layers(self) -> None:
        X, y = make_data()
        r = quick(X, np.column_stack([y, X[:, 0]]), widths=(3, 2, 2, 2), activation=(2, [0, 1]), bias=True, n_starts=2)
        errors = r.model("network").train
        assert [entry["name"] for entry in errors.per_output] == ["y1", "y2"]
        assert errors.r2 == pytest.approx(np.mean([entry["r2"] for entry in errors.per_output]))
        assert "Output by output" in r.to_html()

    def test_forms(self) -> None:
        """Without biases the network's space is the forms of its degree, and full regression is another model."""
        X, y = make_data()
        r = quick(X, y, widths=(3, 2, 1), activation=2, n_starts=2)
        assert r.architecture.homogeneous
        assert [model.key for model in r.models] == ["network", "linear", "form", "polynomial"]
        assert r.model("form").n_coefficients == 6
        assert r.model("form").train.sum_of_squares >= r.model("polynomial").train.sum_of_squares
        assert "forms" in " ".join(r.to_dict()["sentences"]["models"])

    def test_no_hidden_layer_is_linear_regression(self) -> None:
        X, y = make_data()
        r = quick(X, y, widths=(3, 1), activation=2, bias=True, n_starts=1)
        assert r.model("network").train.sum_of_squares == pytest.approx(
            r.model("linear").train.sum_of_squares, rel=1e-9
        )
        r.to_html()

    def test_polynomial_activation(self) -> None:
        r = quick(*make_data(), widths=(3, 1, 1), activation=polynomial_activation("tanh", 3, (-3, 3)), n_starts=1)
        assert r.architecture.degree == 3
        r.to_html()

    def test_fewer_rows_than_monomials(self) -> None:
        X, y = make_data(30)
        r = quick(X, y, widths=(3, 2, 1), activation=4, bias=True, n_starts=1)
        assert r.gram.rank == 24 < r.gram.n_monomials == 35
        assert r.gram.fitted_from == "rows"
        assert len(r.gram.eigenvalues) == 35
        assert "fewer training rows" in " ".join(r.to_dict()["sentences"]["gram"])

    def test_column_with_two_values(self) -> None:
        X, y = make_data()
        X[:, 2] = X[:, 2] > 0
        r = quick(X, y, widths=(3, 1, 1), activation=2, bias=True, n_starts=1)
        assert r.gram.rank == 9
        assert "x3 (2 values)" in " ".join(r.to_dict()["sentences"]["gram"])

    def test_overfitting_is_said(self) -> None:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(60, 4))
        r = quick(X, X[:, 0] + rng.normal(size=60), widths=(4, 1, 1), activation=3, bias=True, n_starts=1)
        assert "The full polynomial overfits" in " ".join(r.to_dict()["sentences"]["models"])

    def test_repr(self, result: Report) -> None:
        assert "MLP((3, 2, 1), activation=2, bias=True)" in repr(result)
        assert "Linear regression" in repr(result)
        with pytest.raises(KeyError):
            result.model("forest")


class TestFamilies:
    CNN = pc.CNN((3, 2), 2, bias=True, channels=(2, 1))
    ATTENTION = pc.LightningAttention(2, 1, 1, 2)
    SEQUENTIAL = pc.Sequential(pc.Residual(pc.Affine(4), pc.Activation(2)), pc.Affine(2, bias=True), n_inputs=4)

    @pytest.mark.parametrize("net", [CNN, ATTENTION, SEQUENTIAL, pc.Network(CNN.program)], ids=repr)
    def test_finds_a_function_of_the_family(self, net: pc.Network, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(200, 4))
        X = (X - X.mean(axis=0)) / X.std(axis=0)  # so that forms stay forms
        Y = net.evaluate(net.random_params(1), X)
        found = quick(X, Y - Y.mean(axis=0), network=net, n_starts=6, held_out=0.0, out=tmp_path)
        assert found.model("network").train.r2 > 0.95
        architecture = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["architecture"]
        assert pc.network(architecture["spec"]) == net
        assert architecture["widths"] is None
        assert (architecture["n_inputs"], architecture["n_outputs"]) == (4, net.n_outputs)
        assert architecture["bias"] == (net is not self.ATTENTION)
        assert architecture["jacobian_rank"] == pc.dimension(net).dimension
        assert repr(net) in found.to_html() or not isinstance(net, pc.Sequential)

    def test_formulas(self) -> None:
        page = quick(*_rows(4, 1), network=self.CNN, n_starts=1).to_html()
        assert "<i>w</i><sub>2</sub> ⋆ <i>σ</i>(<i>w</i><sub>1</sub> ⋆ <i>x</i> + <i>b</i><sub>1</sub>)" in page
        page = quick(*_rows(4, 2), network=self.ATTENTION, n_starts=1).to_html()
        term = (
            "<i>V</i><sub>1</sub> <i>X</i> <i>X</i><sup>⊤</sup> <i>K</i><sub>1</sub><sup>⊤</sup> <i>Q</i><sub>1</sub>"
        )
        assert f"<i>f</i>(<i>X</i>) = {term} <i>X</i>" in page
        two = pc.LightningAttention(1, 1, n_tokens=2, n_layers=2, n_heads=2)
        page = quick(*_rows(2, 2), network=two, n_starts=1).to_html()
        assert "<i>f</i> = <i>α</i><sub>2</sub> ∘ <i>α</i><sub>1</sub>, " in page
        assert "= ∑<sub><i>h</i></sub> <i>V</i><sub><i>k</i>,<i>h</i></sub> <i>X</i>" in page
        page = quick(*_rows(4, 2), network=self.SEQUENTIAL, n_starts=1).to_html()
        assert f"<i>f</i> = <code>{self.SEQUENTIAL!r}</code>" in page
        mlp = quick(*_rows(4, 2), network=pc.MLP((4, 3, 2), 2), n_starts=1)
        assert mlp.to_dict() == quick(*_rows(4, 2), widths=(4, 3, 2), n_starts=1).to_dict()

    def test_constant_inputs_have_their_place(self) -> None:
        X, Y = _rows(4, 1)
        X[:, 1] = 7.0
        found = quick(X, Y, network=self.CNN, n_starts=2)
        assert found.data.inputs[1] == found.data.inputs[1].__class__("x2", 7.0, 1.0, 1)
        assert found.gram.rank < found.gram.n_monomials
        with pytest.raises(ValueError, match="input column 'x2' is constant"):
            quick(X, Y, widths=(4, 2, 1), n_starts=2)

    def test_arguments(self) -> None:
        X, Y = _rows(4, 2)
        with pytest.raises(
            ValueError, match=r"`network`=CNN.* 4 inputs and 1 outputs, but 4 input and 2 output columns"
        ):
            quick(X, Y, network=self.CNN)
        with pytest.raises(ValueError, match="`network` and `widths` must not both be given"):
            quick(X, Y, widths=(4, 2), network=self.CNN)
        with pytest.raises(ValueError, match="generic"):
            quick(X, Y, network=pc.CNN((3, 2), pc.GenericActivation(2)))
        with pytest.raises(TypeError, match="`widths`"):
            quick(X, Y)


def _rows(n_inputs: int, n_outputs: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(40, n_inputs)), rng.normal(size=(40, n_outputs))


class TestDeterminism:
    def test_same_seed_same_bytes(self, result: Report, tmp_path: Path) -> None:
        again = quick(*make_data(), widths=(3, 2, 1), activation=2, bias=True, n_starts=4, rng=1)
        result.save(tmp_path / "a")
        again.save(tmp_path / "b")
        for name in ("index.html", "report.json"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    def test_other_seed_other_split(self, result: Report) -> None:
        other = quick(*make_data(), widths=(3, 2, 1), activation=2, bias=True, n_starts=1, rng=2)
        assert other.data.inputs[0].mean != result.data.inputs[0].mean
        assert other.seed == 2

    def test_generator_gives_a_seed_that_reproduces(self) -> None:
        options: dict[str, Any] = {"widths": (3, 1, 1), "activation": 2, "n_starts": 1}
        first = quick(*make_data(), rng=np.random.default_rng(9), **options)
        second = quick(*make_data(), rng=first.seed, **options)
        np.testing.assert_array_equal(first.theta, second.theta)


class _Links(HTMLParser):
    """Collects what a page refers to, and checks that its tags are balanced."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.stack: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attributes if name in ("href", "src", "xlink:href")]
        self.scripts += tag == "script"
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attributes if name in ("href", "src", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


class TestPage:
    def test_self_contained_and_well_formed(self, result: Report) -> None:
        page = result.to_html()
        links = _Links()
        links.feed(page)
        assert not links.stack
        assert not links.scripts
        assert all(reference.startswith("#") for reference in links.references)
        assert "http" not in page
        assert "@import" not in page
        assert set(re.findall(r"url\(([^)]*)", page)) == set(re.findall(r"url\((#[^)]*)", page))
        assert page.count("<svg") == 3
        targets = {reference[1:] for reference in links.references} | set(re.findall(r"url\(#([^)]*)", page))
        identifiers = re.findall(r'\bid="([^"]*)"', page)
        assert targets <= set(identifiers)
        assert len(identifiers) == len(set(identifiers))

    def test_light_and_dark(self, result: Report) -> None:
        page = result.to_html()
        assert "prefers-color-scheme: dark" in page
        drawing = page[page.index("<svg") :]
        assert "var(--ink)" in drawing
        assert not re.search(r"(fill|stroke): #", drawing)

    def test_names_are_escaped(self) -> None:
        X, y = make_data()

        class Frame:
            columns = ("<b>a</b>", "c&d", 'e"f')

            def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
                return X

        page = quick(Frame(), y, widths=(3, 1, 1), n_starts=1, title="<script>alert(1)</script>").to_html()
        assert "<b>a</b>" not in page
        assert "<script>" not in page
        assert "&lt;b&gt;a&lt;/b&gt;" in page


@pytest.fixture(scope="module")
def studied() -> Report:
    return report(*make_data(), widths=(3, 2, 1), activation=2, n_starts=4, rng=1, critical_starts=20)


class TestCriticalPoints:
    def test_training_and_critical_points_agree(self, studied: Report) -> None:
        assert studied.critical is not None
        assert studied.critical_missing == ""
        best = studied.critical.minima[0]
        assert best.loss == pytest.approx(studied.training.loss, rel=1e-9)
        assert best.loss == studied.critical.points[0].loss
        assert studied.training.n_random == len(studied.training.descents) == 4
        said = studied.to_dict()["sentences"]["critical"]
        assert any("where the best training run ended" in sentence for sentence in said)

    def test_losses_are_those_of_the_training_rows(self, studied: Report) -> None:
        """The network at each point, on the standardised rows, which are found again from the report alone."""
        assert studied.critical is not None
        total = studied.training.total
        observed = studied.predictions["train_observed"][:, 0]
        output, inputs = studied.data.outputs[0], studied.data.inputs
        X, y = make_data()
        rows = X[np.isin(y, observed)]
        X = (rows - [v.mean for v in inputs]) / [v.scale for v in inputs]
        goal = (observed - output.mean) / output.scale
        for point in studied.critical:
            residual = studied.network.evaluate(point.theta, X)[:, 0] - goal
            assert point.loss == pytest.approx(float(residual @ residual), abs=1e-8 * total)
            gradient = studied.network.evaluate_vjp(point.theta, X, 2 * residual[:, None]).sum(axis=0)
            assert np.linalg.norm(gradient) < 1e-5 * total * (1 + np.linalg.norm(point.theta))

    def test_a_lower_minimum_is_where_training_goes(self) -> None:
        """One step from one start ends nowhere near a minimum; the critical points know better, and it goes there."""
        arguments: dict[str, Any] = {"widths": (3, 2, 1), "activation": 2, "n_starts": 1, "max_steps": 1}
        short = quick(*make_data(), **arguments)
        found = report(*make_data(), critical_starts=20, **arguments)
        assert found.critical is not None
        t = found.training
        assert (t.n_random, len(t.descents), t.best) == (1, 2, 1)
        assert t.loss == pytest.approx(found.critical.minima[0].loss, rel=1e-9)
        assert t.loss < 0.9 * short.training.loss
        assert found.model("network").train.sum_of_squares < short.model("network").train.sum_of_squares
        assert t.n_at_best == 0
        assert "which is the network of this page" in " ".join(found.to_dict()["sentences"]["training"])

    def test_page_and_json(self, studied: Report) -> None:
        assert studied.critical is not None
        page, fields = studied.to_html(), studied.to_dict()["critical"]
        assert len(fields["points"]) == len(studied.critical)
        for ours, point in zip(fields["points"], studied.critical, strict=True):
            assert ours["loss"] == point.loss
            assert ours["theta"] == point.theta.tolist()
            assert ours["sentence"] == point.sentence
            assert html.escape(point.sentence, quote=False) in page
        assert page.count("<svg") == 5
        links = _Links()
        links.feed(page)
        assert not links.stack
        assert not re.search(r"(fill|stroke): (#|white)", page[page.index("<svg") :])
        identifiers = re.findall(r'\bid="([^"]*)"', page)
        assert len(identifiers) == len(set(identifiers))
        json.dumps(fields, allow_nan=False)

    def test_same_seed_same_bytes(self, studied: Report) -> None:
        again = report(*make_data(), widths=(3, 2, 1), activation=2, n_starts=4, rng=1, critical_starts=20)
        assert again.to_html() == studied.to_html()
        assert again.to_dict() == studied.to_dict()

    def test_a_theorem_says_when_the_list_is_complete(self) -> None:
        """A linear network of width 1 and two outputs: as many points as pairs of rank 1 or 0, by Eckart and Young."""
        X, y = make_data()
        found = report(X, np.column_stack([y, X[:, 0]]), widths=(3, 1, 2), activation=1, n_starts=2)
        assert found.critical is not None
        assert len(found.critical) == 3
        said = " ".join(found.to_dict()["sentences"]["critical"])
        assert "The list is complete" in said
        assert "no parameters do better" in said
        assert found.critical.minima[0].loss == pytest.approx(found.training.loss, rel=1e-9)

    def test_left_out(self) -> None:
        found = quick(*make_data(), widths=(3, 1, 1), n_starts=1)
        assert found.critical is None
        assert found.to_dict()["critical"] is None
        assert found.critical_missing in found.to_html()
        large = report(*make_data(), widths=(3, 20, 1), n_starts=1, max_steps=5)
        assert large.critical is None
        assert "80 parameters" in large.critical_missing

    def test_an_interrupt_ends_the_report(self, monkeypatch: pytest.MonkeyPatch, studied: Report) -> None:
        """The search for critical points returns what it has; a report of half a search is not wanted."""
        assert studied.critical is not None
        partial_result = replace(studied.critical, partial=True, stopped="interrupted")
        monkeypatch.setattr("polycore.critical.critical_points", lambda *_, **__: partial_result)
        with pytest.raises(KeyboardInterrupt):
            report(*make_data(), widths=(3, 2, 1), n_starts=1)


class TestFiles:
    def test_json(self, result: Report, tmp_path: Path) -> None:
        page = result.save(tmp_path / "deep" / "er")
        assert page == tmp_path / "deep" / "er" / "index.html"
        fields = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
        assert fields["schema"] == "polycore-report/1"
        assert fields == result.to_dict()
        assert sorted(path.name for path in page.parent.iterdir()) == ["index.html", "report.json"]
        documented = (Path(__file__).parents[1] / "docs" / "report.md").read_text(encoding="utf-8")
        for section in ("data", "architecture", "gram", "training", "network"):
            for field in fields[section]:
                assert f".{field}`" in documented or f"{section}.{field}" in documented, field

    def test_undefined_numbers_are_null(self, tmp_path: Path) -> None:
        X, y = make_data(10)
        r = quick(X, y, widths=(3, 1, 1), n_starts=1, held_out=0.1, out=tmp_path)
        text = (tmp_path / "report.json").read_text(encoding="utf-8")
        assert "NaN" not in text
        assert json.loads(text)["models"][0]["held_out"]["r2"] is None
        assert r.model("network").held_out is not None

    def test_failure_leaves_the_old_report(
        self, result: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result.save(tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            result.save(tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_unwritable_directory_is_noticed_before_the_work(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(NotADirectoryError, match="is a file"):
            quick(*make_data(), widths=(3, 2, 1), out=tmp_path / "file")

    def test_checking_leaves_nothing_behind(self, tmp_path: Path) -> None:
        _report_page.check_writable(tmp_path / "a" / "b")
        assert not list(tmp_path.iterdir())

    def test_missing_packages(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_report_page.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match=r"matplotlib and jinja2: pip install polycore\[report\]"):
            quick(*make_data(), widths=(3, 2, 1), out=tmp_path)


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"x": None}, TypeError, "x"),
            ({"x": "age"}, TypeError, "data=FILE"),
            ({"x": np.ones(5)}, ValueError, "n_samples, n_inputs"),
            ({"y": np.ones(7)}, ValueError, "n_samples"),
            ({"x": np.ones((120, 3)) * 1j}, TypeError, "x"),
            ({"x": np.where(np.eye(120, 3) > 0, np.nan, 1.0)}, ValueError, "row 0, column 0"),
            ({"y": np.full(120, 3.0)}, ValueError, "'y' is constant"),
            ({"y": np.full(120, 0.1)}, ValueError, "'y' is constant"),
            ({"widths": (2, 2, 1)}, ValueError, "2 inputs and 1 outputs, but 3 input"),
            ({"widths": (3, 2, 2)}, ValueError, "the last 1"),
            ({"widths": (3,)}, ValueError, "widths"),
            ({"activation": -1}, ValueError, "activation"),
            ({"held_out": 1.0}, ValueError, "held_out"),
            ({"held_out": "half"}, TypeError, "held_out"),
            ({"n_starts": 0}, ValueError, "n_starts"),
            ({"max_steps": 2.5}, TypeError, "max_steps"),
            ({"critical_starts": -1}, ValueError, "critical_starts"),
            ({"rng": None}, TypeError, "rng"),
            ({"bias": "yes"}, TypeError, "bias"),
            ({"widths": (3, 2, 1), "activation": 40}, ValueError, r"degree exactly 40 .* 861"),
        ],
    )
    def test_messages(self, change: dict[str, Any], error: type[Exception], message: str) -> None:
        X, y = make_data()
        if change.get("activation") == 40:
            change, X = {"widths": (6, 2, 1), "activation": 40, "x": np.ones((120, 6))}, X
            message = r"degree exactly 40 in 6 variables, which have 1,221,759 coefficients"
        arguments: dict[str, Any] = {"x": X, "y": y, "widths": (3, 2, 1), **change}
        with pytest.raises(error, match=message):
            quick(**arguments)

    def test_too_few_rows(self) -> None:
        X, y = make_data(2)
        with pytest.raises(ValueError, match="at least 2 training rows"):
            quick(X, y, widths=(3, 1, 1))

    def test_huge_values(self) -> None:
        X, y = make_data()
        with pytest.raises(ValueError, match="too large to standardise"):
            quick(X * [1e306, 1, 1], y, widths=(3, 1, 1))


def test_no_progress_bar_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    quick(*make_data(), widths=(3, 1, 1), n_starts=1, progress=True)
    assert capsys.readouterr() == ("", "")


def test_progress_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    quick(*make_data(), widths=(3, 1, 1), n_starts=2, progress=True)
    assert "fitting" in capsys.readouterr().err


def test_agrees_on_every_backend(on_backend: str) -> None:
    r = quick(*make_data(40), widths=(3, 1, 1), activation=2, bias=True, n_starts=1)
    assert r.model("polynomial").train.r2 > 0.99
    assert r.architecture.jacobian_rank == 5
