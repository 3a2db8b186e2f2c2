# SPDX-License-Identifier: BSD-3-Clause
"""Plots of spectra, optimiser runs and residuals, and their conversion to SVG that follows a page's colours.

Each function draws on a matplotlib `Figure` of its own (no pyplot, no global state) and returns it, so the figure can
be saved in any format matplotlib writes. `to_svg` turns one into an inline ``<svg>`` element whose colours and fonts
are those of the surrounding page, in light and in dark.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ._plot_style import (
    ACCENT,
    INK,
    LINE,
    MUTED,
    SECOND,
    LegendEntry,
    integer_axis,
    legend,
    new_figure,
    plain_log_labels,
    power_of_ten_labels,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# `to_svg` replaces the colour of each role by the CSS variable of the same name.
_CSS_VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", ACCENT: "--accent", SECOND: "--second"}
_CSS_VARIABLES |= {"#7a3fa0": "--third", "#ffffff": "--paper"}

MAX_POINTS = 1500


def plot_spectrum(eigenvalues: ArrayLike, rank: int) -> Figure:
    """Eigenvalues of a Gram matrix on a logarithmic scale, largest first, relative to the largest.

    Parameters
    ----------
    eigenvalues : (n,) array of float64
        In any order. Rounding may have made the smallest ones negative; their absolute value is drawn.
    rank : int
        How many of them count as nonzero; the others are drawn in a second colour.
    """
    values = np.abs(np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1])
    relative = values / values[0] if values.size and values[0] > 0 else values
    # Zeros have no place on a logarithmic axis; what rounding makes of them is drawn on its lower edge.
    shown = np.maximum(relative, 1e-18)
    number = np.arange(1, values.size + 1)
    with style("spectrum"):
        figure, axes = new_figure()
        size = 4.5 if values.size <= 120 else 2.5
        axes.plot(number[:rank], shown[:rank], "o", color=ACCENT, markersize=size, markeredgewidth=0)
        axes.plot(number[rank:], shown[rank:], "o", color=SECOND, markersize=size, markeredgewidth=0)
        axes.set_yscale("log")
        axes.set_ylim(shown.min(initial=0.1) / 3, 3)
        integer_axis(axes, values.size)
        axes.set_xlabel("eigenvalue number, largest first")
        axes.set_ylabel("eigenvalue of Q / the largest")
        power_of_ten_labels(axes)
        if rank < values.size:
            legend(axes, [("determined by the data", ACCENT, "o"), ("zero up to rounding", SECOND, "o")])
    return figure


def plot_loss_histories(histories: Sequence[ArrayLike], floor: float | None = None, best: int | None = None) -> Figure:
    """Loss against optimiser step, one line a start, logarithmic.

    Parameters
    ----------
    histories : sequence of (n_steps + 1,) arrays
        The loss at the start and after each step, as a fraction of the total sum of squares.
    floor : float, optional
        The least loss any polynomial in the network's ambient space reaches, drawn as a dashed line when positive.
    best : int, optional
        The start to emphasise; by default the one that ends lowest.
    """
    lines = [np.asarray(history, dtype=np.float64) for history in histories]
    if best is None:
        best = int(np.argmin([line[-1] for line in lines]))
    with style("loss"):
        figure, axes = new_figure()
        smallest = min(line[line > 0].min(initial=1.0) for line in lines)
        for index, line in enumerate(lines):
            chosen = index == best
            axes.plot(
                np.arange(line.size),
                np.maximum(line, smallest),
                color=ACCENT if chosen else MUTED,
                linewidth=2 if chosen else 1,
                alpha=1.0 if chosen else 0.55,
                zorder=3 if chosen else 2,
            )
            axes.plot(line.size - 1, line[-1], "o", color=ACCENT if chosen else MUTED, markersize=4, zorder=3)
        if floor is not None and floor > 0:
            axes.axhline(floor, color=SECOND, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_yscale("log")
        lows = [smallest] if floor is None or floor <= 0 else [smallest, floor]
        highs = [float(line.max()) for line in lines]
        axes.set_ylim(min(lows) / 1.15, max(highs) * 1.15)
        _step_axis(axes, max(line.size - 1 for line in lines))
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("loss / total sum of squares")
        plain_log_labels(axes)
        entries: list[LegendEntry] = [("best start", ACCENT, "-")]
        if len(lines) > 1:
            entries.append(("other starts", MUTED, "-"))
        if floor is not None and floor > 0:
            entries.append(("least of any polynomial", SECOND, "--"))
        legend(axes, entries)
    return figure


def plot_residuals(
    predicted: ArrayLike,
    residual: ArrayLike,
    held_out_predicted: ArrayLike,
    held_out_residual: ArrayLike,
    name: str = "y",
    rng: np.random.Generator | int = 0,
) -> Figure:
    """Residual (observed − predicted) against prediction, training rows and held-out rows.

    Parameters
    ----------
    predicted, residual : (n_train,) arrays
    held_out_predicted, held_out_residual : (n_held_out,) arrays
    name : str
        Of the output, for the axis labels.
    rng : int or Generator
        Chooses which rows are drawn when there are more than `MAX_POINTS` of a kind.
    """
    generator = np.random.default_rng(rng)
    with style("residuals" + name):
        figure, axes = new_figure()
        axes.axhline(0, color=MUTED, linewidth=1)
        for p, r, color in ((predicted, residual, MUTED), (held_out_predicted, held_out_residual, ACCENT)):
            x, y = np.asarray(p, dtype=np.float64), np.asarray(r, dtype=np.float64)
            if x.size > MAX_POINTS:
                rows = np.sort(generator.choice(x.size, MAX_POINTS, replace=False))
                x, y = x[rows], y[rows]
            alpha = 0.75 if x.size <= 500 else 0.45
            axes.plot(x, y, "o", color=color, markersize=3.2, markeredgewidth=0, alpha=alpha)
        axes.set_xlabel(f"predicted {name}")
        axes.set_ylabel("observed − predicted")
        legend(axes, [("training rows", MUTED, "o"), ("held-out rows", ACCENT, "o")])
    return figure


def to_svg(figure: Figure, title: str) -> str:
    """The figure as an ``<svg>`` element to put into an HTML page.

    Colours become CSS variables (``--ink``, ``--muted``, ``--line``, ``--accent``, ``--second``, ``--third``, and
    ``--paper`` for white), the background is transparent, text stays text in the page's font, and nothing refers to
    anything outside the element. The same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib Figure
    title : str
        What the plot shows, for readers who cannot see it.
    """
    # matplotlib names clip paths and markers by a salted hash: one salt a figure keeps them apart on a page.
    with style(title):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the same group names in every figure; only definitions need theirs
    head, body = svg.split(">", 1)
    view_box = re.search(r'viewBox="([^"]*)"', head)
    assert view_box is not None, "matplotlib writes a viewBox"
    body = body.replace("xlink:href", "href")
    body = re.sub(r"font: (\d+\.?\d*)px [^;\"]*", r"font-size: \1px", body)
    for colour, variable in _CSS_VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    label = html.escape(title, quote=True)
    return f'<svg viewBox="{view_box.group(1)}" role="img" aria-label="{label}"><title>{label}</title>{body.rstrip()}'


def _step_axis(axes: Axes, last: int) -> None:
    """Steps from 0; after the first ten on a logarithmic scale when there are many, since most happens early."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if last <= 60:
        integer_axis(axes, last, first=0)
        return
    axes.set_xscale("symlog", linthresh=10, linscale=1.0)
    ticks = [0, 5, *(m * 10**k for k in range(1, 7) for m in (1, 2, 5) if m * 10**k <= last)]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-0.5, last * 1.08)
