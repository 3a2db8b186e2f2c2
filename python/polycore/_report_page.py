# SPDX-License-Identifier: BSD-3-Clause
"""A report as files: the HTML page, the JSON, and putting both in place at once."""

from __future__ import annotations

import contextlib
import html
import importlib.resources
import importlib.util
import json
import math
import os
import re
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _report_words as words
from . import plot
from ._report_critical import critical_dict
from .config import get_config
from .layers import Activation, Affine, Attention, Conv

if TYPE_CHECKING:
    from .critical import CriticalPoints
    from .critical_point import CriticalPoint
    from .report import Report

_MAX_TERMS = 12
_MAX_RESIDUAL_PLOTS = 4
# Critical points in tables and plots, and those from which the flow is followed in the graph.
_MAX_POINTS = 40
_MAX_CONNECTED = 15


def report_dict(report: Report) -> dict[str, Any]:
    """The report as plain values, in the schema docs/report.md describes. NaN becomes None."""
    from .report import SCHEMA

    config = get_config()
    training = report.training
    result = {
        "schema": SCHEMA,
        "title": report.title,
        "seed": report.seed,
        "data": asdict(report.data),
        "architecture": asdict(report.architecture),
        "gram": {**asdict(report.gram), "eigenvalues": report.gram.eigenvalues.tolist()},
        "models": [asdict(model) for model in report.models],
        "training": {
            "total_sum_of_squares": training.total,
            "floor": training.floor,
            "best_start": training.best,
            "n_at_best": training.n_at_best,
            "hessian_eigenvalues": dict(zip(("positive", "zero", "negative"), training.hessian or (None,) * 3)),
            "moments_agreement": training.agreement,
            "n_random": training.n_random,
            "starts": [
                {
                    "loss": descent.loss.tolist(),
                    "n_steps": descent.n_steps,
                    "n_evaluations": descent.n_evaluations,
                    "promise": descent.promise,
                    "settled": descent.settled,
                }
                for descent in training.descents
            ],
        },
        "critical": None if report.critical is None else critical_dict(report.critical),
        "network": {
            "theta": report.theta.tolist(),
            "parameters": {name: array.tolist() for name, array in report.network.unpack(report.theta).items()},
            "coefficients": report.coef.tolist(),
            "best_polynomial": report.target.tolist(),
            "exponents": report.network.basis.exponents.tolist(),
        },
        "sentences": _sentences(report),
        "warnings": list(report.warnings),
        "environment": {key: config[key] for key in ("version", "backend", "isa", "python", "packages")},
    }
    return dict(plain(result))


def report_html(report: Report) -> str:
    """The report as one HTML page that refers to nothing outside itself."""
    require_report_packages()
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        count=words.count, number=words.number, r2=words.r2, rough=words.rough, share=_share, signed=_signed
    )
    source = importlib.resources.files("polycore").joinpath("templates", "report.html.j2").read_text(encoding="utf-8")
    plots = {name: Markup(svg) for name, svg in _plots(report).items()}
    return environment.from_string(source).render(
        report=report,
        say=_sentences(report),
        spectrum=plots.pop("spectrum"),
        losses=plots.pop("losses"),
        graph=plots.pop("graph", ""),
        hessians=plots.pop("hessians", ""),
        points=_points(report),
        residuals=plots,
        terms=_largest_terms(report),
        formula=Markup(_formula(report)),
        activation=Markup(_activation(report)),
        config=get_config(),
    )


def write_report(report: Report, out: Path) -> Path:
    """Write index.html and report.json: both are finished under other names, then renamed into place."""
    pages = {
        "index.html": report.to_html(),
        "report.json": json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }
    out.mkdir(parents=True, exist_ok=True)
    drafts = {name: out / f".{name}.{os.getpid()}.part" for name in pages}
    try:
        for name, text in pages.items():
            drafts[name].write_text(text, encoding="utf-8")
        for name, draft in drafts.items():
            draft.replace(out / name)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    return out / "index.html"


def check_writable(out: Path) -> None:
    """OSError now rather than after minutes of work if the report cannot be written; leaves nothing behind."""
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"the output directory {out} is a file")
    made = []
    ancestor = out
    while not ancestor.exists():
        made.append(ancestor)
        ancestor = ancestor.parent
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise type(error)(error.errno, f"the output directory {out} cannot be written ({error.strerror})") from None
    finally:
        for directory in made:
            with contextlib.suppress(OSError):
                directory.rmdir()


def require_report_packages() -> None:
    """ImportError naming the extra unless matplotlib and jinja2 are installed."""
    missing = [name for name in ("matplotlib", "jinja2") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"the report needs {' and '.join(missing)}: pip install polycore[report]")


def _sentences(report: Report) -> dict[str, list[str]]:
    return {
        "headline": words.headline(report),
        "models": words.on_models(report),
        "dimension": words.on_dimension(report),
        "gram": words.on_gram(report),
        "training": words.on_training(report),
        "critical": words.on_critical(report),
    }


def _plots(report: Report) -> dict[str, str]:
    """The page's plots as SVG: "spectrum", "losses", and one of residuals for each output by its name."""
    training = report.training
    spectrum = plot.plot_spectrum(report.gram.eigenvalues, report.gram.rank)
    losses = plot.plot_loss_histories(
        [descent.loss / training.total for descent in training.descents], training.floor / training.total, training.best
    )
    plots = {
        "spectrum": plot.to_svg(spectrum, "Eigenvalues of Q on a logarithmic scale, largest first"),
        "losses": plot.to_svg(losses, "Loss against optimiser step for every start, on a logarithmic scale"),
    }
    if report.critical is not None and len(report.critical):
        plots |= _critical_plots(report.critical)
    p = report.predictions
    for index, variable in enumerate(report.data.outputs[:_MAX_RESIDUAL_PLOTS]):
        figure = plot.plot_residuals(
            p["train"][:, index],
            (p["train_observed"] - p["train"])[:, index],
            p["held_out"][:, index],
            (p["held_out_observed"] - p["held_out"])[:, index],
            variable.name,
        )
        plots[f"residuals of {variable.name}"] = plot.to_svg(figure, f"Residuals of {variable.name} against prediction")
    return plots


def _critical_plots(result: CriticalPoints) -> dict[str, str]:
    """The graph of critical points, and the spectra of the Hessians at them."""
    from .landscape import connections, plot_critical_graph, plot_hessian_spectra

    # The flow goes down: what it reaches from a point is among those of lower loss, which come before.
    lowest, shown = (replace(result, points=result.points[:n]) for n in (_MAX_CONNECTED, _MAX_POINTS))
    graph: Any = plot_critical_graph(shown, connections(lowest, max_directions=1)).figure
    spectra: Any = plot_hessian_spectra(shown.points).figure
    return {
        "graph": plot.to_svg(graph, "Loss against index of every critical point, with connecting flow lines"),
        "hessians": plot.to_svg(spectra, "Eigenvalues of the Hessian at each critical point"),
    }


def _points(report: Report) -> list[CriticalPoint]:
    """The critical points that the page shows."""
    return [] if report.critical is None else list(report.critical.points[:_MAX_POINTS])


def _largest_terms(report: Report) -> list[tuple[str, list[tuple[str, float, float]]]]:
    """For each output its largest coefficients: monomial, the network's, the best polynomial's."""
    basis = report.network.basis
    symbols = [variable.name for variable in report.data.inputs]
    tables = []
    for index, variable in enumerate(report.data.outputs):
        n_terms = _MAX_TERMS if len(report.data.outputs) == 1 else _MAX_TERMS // 2
        order = np.argsort(-np.abs(report.coef[index]), kind="stable")[:n_terms]
        rows = [
            (_monomial(basis.exponent(int(i)), symbols), float(report.coef[index, i]), float(report.target[index, i]))
            for i in order
        ]
        tables.append((variable.name, rows))
    return tables


def _monomial(exponents: tuple[int, ...], symbols: list[str]) -> str:
    factors = [
        symbol + (str(power).translate(words.SUPERSCRIPTS) if power > 1 else "")
        for symbol, power in zip(symbols, exponents, strict=True)
        if power
    ]
    return " · ".join(factors) or "constant"


def _formula(report: Report) -> str:
    """The network as a formula in HTML, W₂ σ(W₁ x + b₁) + b₂ or V X Xᵀ Kᵀ Q X; for any other layers, as code."""
    layers = list(getattr(report.network, "layers", ()))
    if layers and all(isinstance(layer, Attention) for layer in layers):
        return _attention_formula(layers)
    linear, between = layers[::2], layers[1::2]
    nested = all(isinstance(layer, (Affine, Conv)) for layer in linear) and all(
        isinstance(layer, Activation) for layer in between
    )
    if not nested or len(linear) != len(between) + 1:
        return f"<i>f</i> = <code>{html.escape(report.architecture.network)}</code>"
    text = "<i>x</i>"
    for number, layer in enumerate(linear, 1):
        weights = "<i>W</i><sub>{}</sub>" if isinstance(layer, Affine) else "<i>w</i><sub>{}</sub> ⋆"
        shift = f" + <i>b</i><sub>{number}</sub>" if layer.bias else ""
        text = f"{weights.format(number)} {text}{shift}"
        if number < len(linear):
            index = f"<sub>{number}</sub>" if len(set(report.architecture.activations)) > 1 else ""
            text = f"<i>σ</i>{index}({text})"
    return f"<i>f</i>(<i>x</i>) = {text}"


def _attention_formula(layers: list[Attention]) -> str:
    """X ↦ V₁ X Xᵀ K₁ᵀ Q₁ X, of one layer or as a composition."""
    k = "1" if len(layers) == 1 else "<i>k</i>"
    total, index = ("∑<sub><i>h</i></sub> ", f"{k},<i>h</i>") if layers[0].n_heads > 1 else ("", k)
    v, key, q = (f"<i>{name}</i><sub>{index}</sub>" for name in "VKQ")
    image = f"{total}{v} <i>X</i> <i>X</i><sup>⊤</sup> {key}<sup>⊤</sup> {q} <i>X</i>"
    if len(layers) == 1:
        return f"<i>f</i>(<i>X</i>) = {image}"
    composed = " ∘ ".join(f"<i>α</i><sub>{number}</sub>" for number in range(len(layers), 0, -1))
    return f"<i>f</i> = {composed}, &ensp;<i>α</i><sub>{k}</sub>(<i>X</i>) = {image}"


def _activation(report: Report) -> str:
    """σ(z) = z², or σ₁, σ₂, … when the layers differ; empty without hidden layers."""
    activations = report.architecture.activations
    if not activations:
        return ""
    if len(set(activations)) == 1:
        return f"<i>σ</i>(<i>z</i>) = {_as_html(activations[0])}"
    parts = [f"<i>σ</i><sub>{k}</sub>(<i>z</i>) = {_as_html(text)}" for k, text in enumerate(activations, 1)]
    return ", ".join(parts)


def _as_html(polynomial: str) -> str:
    """A polynomial written as ``1 - 0.5*z^2`` in HTML."""
    text = html.escape(polynomial).replace(" - ", " − ").replace("*", "\u2009")
    text = re.sub(r"\^(\d+)", r"<sup>\1</sup>", text)
    return text.replace("z", "<i>z</i>")


def plain(value: Any) -> Any:
    """Tuples as lists, numpy numbers as Python's, NaN and infinities as None."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _signed(value: float) -> str:
    """A coefficient to four decimals, with a real minus sign."""
    return f"{value:.4f}".replace("-", "−") if abs(value) < 1e4 else words.number(value)


def _share(fraction: float) -> str:
    """Width of a bar for a fraction, as a CSS percentage between 0 and 100."""
    return f"{100 * min(max(fraction, 0.0), 1.0):.1f}%" if math.isfinite(fraction) else "0%"
