# SPDX-License-Identifier: BSD-3-Clause
"""How plots look: colours, axes, legends. Imports matplotlib only where a figure is made."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LegendEntry: TypeAlias = tuple[str, str, str]  # label, colour, line style or marker

# Each role has a colour that looks right on white.
INK = "#1b1f24"
MUTED = "#6b7480"
LINE = "#d9dde2"
ACCENT = "#1d5fc2"
SECOND = "#c2571d"
THIRD = "#7a3fa0"
# Characters in a line of a legend, with about five for each mark.
_LEGEND_WIDTH = 78
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def style(salt: str) -> AbstractContextManager[Any]:
    """The settings under which figures are made and saved; ImportError where matplotlib is not installed.

    The salt makes names within an SVG file unique to the figure, and the same in every run.
    """
    try:
        import matplotlib
    except ImportError:
        raise ImportError("plots need matplotlib: pip install polycore[report]") from None

    return matplotlib.rc_context(
        {
            "font.size": 10.5,
            "font.family": "sans-serif",
            "text.color": INK,
            "axes.edgecolor": LINE,
            "axes.labelcolor": INK,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "axes.unicode_minus": True,
            "grid.color": LINE,
            "grid.linewidth": 0.7,
            "xtick.color": LINE,
            "xtick.labelcolor": MUTED,
            "ytick.color": LINE,
            "ytick.labelcolor": MUTED,
            "ytick.major.size": 0,
            "ytick.minor.size": 0,
            "svg.fonttype": "none",
            "svg.hashsalt": salt,
        }
    )


def new_figure() -> tuple[Figure, Axes]:
    """A figure of its own, without pyplot, with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(which="minor", labelbottom=False)
    return figure, axes


def integer_axis(axes: Axes, last: int, first: int = 1) -> None:
    """Whole numbers along x."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    margin = max(0.5, 0.02 * (last - first))
    axes.set_xlim(first - margin, last + margin)


def power_of_ten_labels(axes: Axes) -> None:
    """Powers of ten along y."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def plain_log_labels(axes: Axes) -> None:
    """Decimal labels when the axis spans little more than a decade, powers of ten beyond."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    if high / low > 30:
        power_of_ten_labels(axes)
        return
    fine = high / low < 3
    axes.yaxis.set_major_locator(LogLocator(subs=tuple(range(1, 10)) if fine else (1, 2, 5), numticks=20))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def power_of_ten(value: float) -> str:
    """10⁻³ for numbers near 0.001."""
    exponent = round(float(np.log10(value))) if value > 0 else 0
    return "1" if exponent == 0 else "10" + str(exponent).translate(_SUPERSCRIPTS)


def legend(axes: Axes, entries: Sequence[LegendEntry], columns: int | None = None, hollow: Sequence[str] = ()) -> None:
    """A legend above the axes, so that it never covers data; markers of ``hollow`` labels are outlines."""
    from matplotlib.lines import Line2D

    handles = []
    for label, colour, form in entries:
        is_line = form in ("-", "--", ":")
        handles.append(
            Line2D(
                [],
                [],
                color=colour,
                label=label,
                marker="" if is_line else form,
                markersize=9 if form == "s" else 5 if form == "o" else 6,
                markerfacecolor="none" if label in hollow else colour,
                markeredgewidth=1.3 if label in hollow or form == "x" else 0,
                linestyle=form if is_line else "",  # type: ignore[arg-type]
            )
        )
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=_columns(entries) if columns is None else columns,
        frameon=False,
        borderaxespad=0.2,
        borderpad=0.1,
        handlelength=1.6,
        columnspacing=1.6,
    )


def _columns(entries: Sequence[LegendEntry]) -> int:
    """As many columns as fit above the axes, which a longer line would make narrower."""
    columns = len(entries)
    while columns > 1 and columns * (max(len(label) for label, _, _ in entries) + 5) > _LEGEND_WIDTH:
        columns -= 1
    return max(columns, 1)
