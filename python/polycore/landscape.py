# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of training: slices of the loss, graphs of critical points, neuromanifolds, Voronoi cells, counts, spectra.

Each function draws on the ``Axes`` it is given, or on those of a new figure of its own (no pyplot, no global state),
and returns them: ``ax.figure.savefig("picture.png")`` writes the picture. Colours can be told apart by readers who are
colour-blind, and shapes say the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._implicit_surface import Polynomial
from ._neuromanifold_slice import Slice, SolidSlice
from ._plot_style import ACCENT, INK, LINE, MUTED, SECOND, THIRD, LegendEntry, integer_axis, legend, power_of_ten, style
from ._quadtree import as_plane
from ._validation import (
    _describe,
    _format_int,
    as_index,
    as_real,
    as_real_array,
    as_rng,
    as_sequence,
    check_choice,
    check_size,
    check_threads,
)
from ._voronoi import Model, as_nearest, cells, curve
from .count_map import AffineFamily, CountMap
from .critical import CriticalPoints
from .critical_point import CriticalPoint
from .equations import Equations
from .gradient_flow import gradient_flow
from .network_loss import NetworkLoss
from .networks import Network
from .polynomial_models import Parametrisation, Variety
from .stationary import search

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Connection",
    "connections",
    "plot_count_map",
    "plot_critical_graph",
    "plot_hessian_spectra",
    "plot_loss_slice",
    "plot_neuromanifold_slice",
    "plot_voronoi_cells",
]

Floats: TypeAlias = NDArray[np.float64]
Corner: TypeAlias = tuple[float, float]

# How far beside a saddle its flow begins, relative to θ, and when two functions are one at its end.
_BESIDE, _SAME_FUNCTION = 1e-3, 1e-4
_LETTERS = "ABC"
# Parameters closer than this, relative to their size, are equal.
_EQUAL_POINTS = 1e-6
# How each kind of critical point is drawn.
_MARKS = {
    "minimum": (ACCENT, "o"),
    "strict saddle": (SECOND, "v"),
    "maximum": (INK, "^"),
    "degenerate": (THIRD, "D"),
    "undecided": (MUTED, "X"),
}
# Fills that differ in lightness as well as in hue (P. Tol's "light" scheme and neighbours).
_FILLS = ("#e8eef7", "#8fb4e3", "#f4b183", "#6a9f73", "#c9a3d6", "#e8d36f", "#b0b7bf", "#5b6f9b", "#d98a9a", "#a9d6d2")


@contextmanager
def _drawing(ax: Axes | None, name: str, size: tuple[float, float], **kind: Any) -> Iterator[Axes]:
    """The axes to draw on: those given, or new ones."""
    with style(name):
        from matplotlib.axes import Axes
        from matplotlib.figure import Figure

        if ax is None:
            ax = Figure(figsize=size, layout="constrained").add_subplot(**kind)
        elif not isinstance(ax, Axes):
            raise TypeError(f"`ax` must be matplotlib Axes, got {_describe(ax)}")
        elif kind and ax.name != kind["projection"]:
            raise ValueError(f"`ax` must have projection={kind['projection']!r}, got {ax.name!r}")
        yield ax


# -- the loss ---------------------------------------------------------------------------------------------------------


def plot_loss_slice(
    loss: Any,
    net: Network,
    points: Sequence[CriticalPoint | ArrayLike],
    *,
    margin: float = 0.5,
    resolution: int = 121,
    align: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """The loss (sum of squared errors) on the line through two points, or on the plane through three.

    Parameters
    ----------
    loss : CoefficientLoss
        Such as a `QDistance`.
    net : Network
    points : sequence of two or three CriticalPoint or (n_params,) arrays
    margin : float
        How far the slice goes beyond them, as a share of their extent.
    resolution : int
        Points along each axis, at least 3.
    align : bool
        Move the second and third point by a symmetry of the network as close to the first as can be found: otherwise
        the slice may run between copies of one function.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or value, or the points do not span a line or a plane.
    MemoryError, OverflowError
        If the points of the slice would not fit.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import polycore as pc
    >>> net = pc.MLP((2, 1, 1), activation=2)
    >>> loss = pc.QDistance.from_data([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0], [2.0], [3.0]], net.basis)
    >>> ax = plot_loss_slice(loss, net, [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], resolution=5)
    >>> ax.get_xlabel()
    'position on the line from A (at 0) to B (at 1)'
    """
    objective = _objective(loss, net)
    thetas = _thetas(net, points, align)
    beyond = as_real(margin, "margin", 0.0)
    n = as_index(resolution, "resolution", 3)
    # Parameters, their products with the frame, and what is drawn of each point.
    n_points = n ** (len(thetas) - 1)
    check_size(
        n_points * (2 * net.n_params + 8), 8, f"the slice with `resolution`={_format_int(n)}", "use a smaller one"
    )
    kinds = [getattr(point, "kind", None) for point in points]
    with _drawing(ax, "loss slice", (6.4, 4.0 if len(points) == 2 else 5.2)) as axes:
        if len(thetas) == 2:
            _draw_line(axes, objective, thetas, kinds, beyond, n)
        else:
            _draw_plane(axes, objective, thetas, kinds, beyond, n)
    return axes


def _objective(loss: Any, net: Network) -> NetworkLoss:
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    return NetworkLoss(loss, net)


def _thetas(net: Network, points: object, align: bool) -> Floats:
    """The parameters (2 or 3, P) of the points, the later ones moved close to the first."""
    given = as_sequence(points, "points", "two or three points", n_axes=2)
    if len(given) not in (2, 3):
        raise ValueError(f"`points` must be two or three points, got {len(given)}")
    shape = (("n_params", net.n_params),)
    thetas = [as_real_array(getattr(p, "theta", p), f"points[{k}]", shape=shape) for k, p in enumerate(given)]
    if align:
        thetas[1:] = [np.asarray(net.align(theta, thetas[0]).theta, dtype=np.float64) for theta in thetas[1:]]
    sides = np.array(thetas[1:]) - thetas[0]
    lengths = np.linalg.norm(sides, axis=1)
    size = float(np.linalg.norm(thetas, axis=1).max())
    units = sides / np.where(lengths > _EQUAL_POINTS * size, lengths, np.inf)[:, None]
    if not (np.linalg.svd(units, compute_uv=False) > _EQUAL_POINTS).all():
        what = "on one line" if len(thetas) == 3 else "equal, or equal up to symmetry"
        raise ValueError(f"`points` must span a {'plane' if len(thetas) == 3 else 'line'}, got points {what}")
    return np.array(thetas)


def _draw_line(axes: Axes, objective: Any, thetas: Floats, kinds: list[Any], beyond: float, n: int) -> None:
    from matplotlib.ticker import MaxNLocator

    position = np.linspace(-beyond, 1.0 + beyond, n)
    along = thetas[0] + position[:, None] * (thetas[1] - thetas[0])
    values = objective.value(along) + objective.constant
    axes.plot(position, values, color=INK, linewidth=1.6)
    at = objective.value(thetas) + objective.constant
    # What a polynomial does far out would flatten what happens between the points.
    inside = values[(position >= 0) & (position <= 1)]
    low, high = min(values.min(), at.min()), max(inside.max(), at.max())
    axes.set_ylim(low - 0.08 * (high - low), high + 0.45 * (high - low))
    _mark_points(axes, np.stack([np.array([0.0, 1.0]), at], axis=1), kinds)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel("position on the line from A (at 0) to B (at 1)")
    axes.set_ylabel("loss (sum of squared errors)")


def _draw_plane(axes: Axes, objective: Any, thetas: Floats, kinds: list[Any], beyond: float, n: int) -> None:
    frame = np.linalg.qr((thetas[1:] - thetas[0]).T)[0].T
    frame *= np.where(frame @ (thetas[1] - thetas[0]) < 0, -1.0, 1.0)[:, None]
    frame[1] *= 1.0 if frame[1] @ (thetas[2] - thetas[0]) > 0 else -1.0
    at = (thetas - thetas[0]) @ frame.T
    middle, extent = 0.5 * (at.min(axis=0) + at.max(axis=0)), float(np.ptp(at, axis=0).max())
    u, v = (x + extent * np.linspace(-0.5 - beyond, 0.5 + beyond, n) for x in middle)
    grid = np.stack(np.meshgrid(u, v), axis=-1)
    values = objective.value(thetas[0] + grid @ frame) + objective.constant
    heights = objective.value(thetas) + objective.constant
    floor = min(values.min(), heights.min())
    # Far out the loss grows like a power: levels are dense at the bottom and stop above the points.
    top = floor + 3.0 * max(heights.max() - floor, float(np.quantile(values, 0.2)) - floor, 1e-300)
    levels = floor + (top - floor) * np.linspace(0.0, 1.0, 16) ** 2
    filled = axes.contourf(u, v, values, levels=levels, cmap="Blues_r", extend="max")
    axes.contour(u, v, values, levels=levels[1:], colors=INK, linewidths=0.4, alpha=0.5)
    # The level set through a saddle crosses itself there.
    axes.contour(u, v, values, levels=np.unique(heights), colors=SECOND, linewidths=1.0, linestyles="--")
    bar = axes.figure.colorbar(filled, cax=axes.inset_axes((1.03, 0.0, 0.04, 1.0)), format="%.3g")
    bar.set_label("loss (sum of squared errors)")
    bar.outline.set_visible(False)
    axes.grid(False)
    axes.set_aspect("equal")
    _mark_points(axes, at, kinds, [("same loss as A, B or C", SECOND, "--")])
    axes.set_xlabel("distance in θ from A towards B")
    axes.set_ylabel("distance in θ across, towards C")


def _mark_points(axes: Axes, at: Floats, kinds: list[Any], more: Sequence[LegendEntry] = ()) -> None:
    """Marks with letters, and what they are in the legend."""
    for name, (x, y), kind in zip(_LETTERS, at, kinds):
        colour, form = _MARKS.get(kind, (INK, "o"))
        axes.plot([x], [y], form, color=colour, markersize=8, markeredgecolor="white", zorder=5, clip_on=False)
        _annotate(axes, name, (x, y), (6, 6))
    named = [kind for kind in _MARKS if kind in kinds]
    entries: list[LegendEntry] = [(kind, *_MARKS[kind]) for kind in named] or [("point", INK, "o")]
    legend(axes, entries + list(more))


def _annotate(axes: Axes, text: str, at: Any, offset: tuple[int, int], ha: str = "left") -> None:
    """Words beside a point, with a white rim that keeps them readable on lines and colours."""
    from matplotlib.patheffects import withStroke

    axes.annotate(
        text,
        at,
        xytext=offset,
        textcoords="offset points",
        ha=ha,
        color=INK,
        zorder=12,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )


# -- the graph of critical points -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Connection:
    """A line of gradient flow from one critical point down to another, made by `connections`.

    Attributes
    ----------
    source : int
        Where it leaves, as a position in ``result.points``.
    target : int or None
        Where it ends; None if that is none of the points, or was not reached.
    eigenvalue : float
        Of the Hessian in the direction in which it leaves; 0.0 where that was drawn at random.
    sign : int
        1 or −1: the flow leaves along the eigenvector or against it.
    losses : ndarray, shape (n_steps,)
        Along the way.
    reason : str
        Why the flow ended.
    """

    source: int
    target: int | None
    eigenvalue: float
    sign: int
    losses: Floats = field(repr=False)
    reason: str = ""


def connections(
    result: CriticalPoints,
    *,
    max_directions: int = 6,
    rng: object = 0,
    time_budget: float | None = None,
) -> tuple[Connection, ...]:
    """The lines of gradient flow that leave the saddles, down to where they end.

    Parameters
    ----------
    result : CriticalPoints
    max_directions : int
        Follow at most so many negative eigenvectors of the Hessian at a point, the steepest first, each both ways.
        Between them an unstable manifold of higher dimension is not explored. From a degenerate saddle, whose Hessian
        shows no way down, as many random directions.
    rng : int or numpy.random.Generator
        A seed for these; from a Generator a 64-bit seed is drawn.
    time_budget : float, optional
        Seconds, after which the connections found so far are returned.

    Returns
    -------
    tuple of Connection
        In the order of the points.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or value.

    Notes
    -----
    The flow starts at a distance of 10⁻³ (relative to θ) from the point and is integrated by `gradient_flow`. Its end
    is one of the points if it has the function of that point, to four digits.

    Examples
    --------
    >>> import polycore as pc
    >>> net = pc.MLP((2, 1, 1), activation=2)
    >>> data = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0], [-2.0], [3.0]]
    >>> found = pc.critical_points(pc.QDistance.from_data(*data, net.basis), net, n_starts=40)
    >>> edges = connections(found)
    >>> all(found[edge.target].loss < found[edge.source].loss for edge in edges)
    True
    """
    _require_result(result)
    most = as_index(max_directions, "max_directions", 0)
    generator = as_rng(rng)[0]
    budget = None if time_budget is None else as_real(time_budget, "time_budget", 0.0)
    deadline = None if budget is None else time.monotonic() + budget
    found: list[Connection] = []
    for number, point in enumerate(result.points):
        for start, eigenvalue, sign in _ways_down(result, point, most, generator):
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return tuple(found)
            flow = gradient_flow(result.loss, result.network, start, tol=1e-7, rtol=1e-6, time_budget=left)
            if flow.ended == "interrupted":
                raise KeyboardInterrupt
            end = flow.theta
            if flow.ended == "critical point":
                # In flat valleys the flow stops some way off the point that it goes to.
                end = search(_objective(result.loss, result.network), end[None], "newton", n_threads=1).theta[0]
            target = _point_with_function(result, result.network.expand(end), number)
            found.append(Connection(number, target, eigenvalue, sign, flow.losses, flow.ended))
    return tuple(found)


def _require_result(result: object) -> None:
    if not isinstance(result, CriticalPoints):
        raise TypeError(f"`result` must be CriticalPoints, got {_describe(result)}")


def _ways_down(
    result: CriticalPoints, point: CriticalPoint, most: int, rng: np.random.Generator
) -> Iterator[tuple[Floats, float, int]]:
    """Parameters beside a point from where the loss falls, with the eigenvalue and the sign of the direction."""
    if point.is_minimum or not most:
        return
    values, vectors = np.linalg.eigh(_objective(result.loss, result.network).hessian(point.theta))
    n_negative = min(point.inertia.index, most)
    step = _BESIDE * max(1.0, float(np.linalg.norm(point.theta)))
    for value, vector in zip(values[:n_negative], vectors.T):
        for sign in (1, -1):
            yield point.theta + sign * step * vector, float(value), sign
    if not point.inertia.index:
        for direction in rng.standard_normal((most, len(point.theta))):
            yield point.theta + 100 * step * direction / np.linalg.norm(direction), 0.0, 1


def _point_with_function(result: CriticalPoints, coef: Floats, source: int) -> int | None:
    """The lowest point, other than the source, with these coefficients up to the accuracy of a flow."""
    size = max(float(np.linalg.norm(point.coef)) for point in result.points)
    for number, point in enumerate(result.points):
        if number != source and np.linalg.norm(coef - point.coef) <= _SAME_FUNCTION * size:
            return number
    return None


def plot_critical_graph(
    result: CriticalPoints,
    edges: Sequence[Connection] | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Critical points by loss and index, and the gradient flow that connects them.

    Parameters
    ----------
    result : CriticalPoints
    edges : sequence of Connection, optional
        Made by `connections`, by default now; an empty one for points alone.
    ax : Axes, optional

    Returns
    -------
    Axes
        Points are numbered as in ``result``, in ascending order of their loss; outlines are points that are critical
        only because of the parametrisation.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ImportError
        If matplotlib is not installed.
    """
    _require_result(result)
    edges = connections(result) if edges is None else edges
    points = list(result.points)
    with _drawing(ax, "critical graph", (6.4, 4.8)) as axes:
        at = _graph_positions(points)
        pairs: dict[tuple[int, int], int] = {}
        for edge in edges:
            if edge.target is not None:
                pairs[edge.source, edge.target] = pairs.get((edge.source, edge.target), 0) + 1
        for source, target in pairs:
            axes.annotate(
                "",
                xy=at[target],
                xytext=at[source],
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": MUTED,
                    "linewidth": 1.0,
                    "shrinkA": 5,
                    "shrinkB": 6,
                    "connectionstyle": "arc3,rad=0.06",
                },
                zorder=2,
            )
        for number, (point, (x, y)) in enumerate(zip(points, at)):
            colour, form = _MARKS[point.kind]
            spurious = point.origin.spurious
            axes.plot(
                [x],
                [y],
                form,
                color=colour,
                markersize=8,
                markerfacecolor="white" if spurious else colour,
                markeredgewidth=1.6 if spurious else 0,
                zorder=4,
            )
            _annotate(axes, str(number), (x, y), (-8, -4), ha="right")
        _index_axis(axes, points)
        axes.set_ylabel("loss (sum of squared errors)")
        _kind_legend(axes, points, [("gradient flow", MUTED, "-")] if pairs else [])
    return axes


def _graph_positions(points: Sequence[CriticalPoint]) -> Floats:
    """Index and loss of each point, moved sideways where marks would cover each other."""
    at = np.array([[point.inertia.index, point.loss] for point in points], dtype=np.float64).reshape(-1, 2)
    height = float(np.ptp(at[:, 1])) if len(at) else 0.0
    placed: list[tuple[int, float, int]] = []
    for k, point in enumerate(points):
        # To the right, a place at a time, away from points placed so far at nearly this height.
        taken = {
            place
            for index, loss, place in placed
            if index == point.inertia.index and abs(loss - point.loss) <= 0.05 * height
        }
        place = next(i for i in range(len(points)) if i not in taken)
        placed.append((point.inertia.index, point.loss, place))
        at[k, 0] += 0.12 * ((place + 1) // 2) * (1 if place % 2 else -1)
    return at


def _index_axis(axes: Axes, points: Sequence[CriticalPoint]) -> None:
    from matplotlib.ticker import FixedLocator

    highest = max((point.inertia.index for point in points), default=0)
    axes.xaxis.set_major_locator(FixedLocator(list(range(highest + 1))))
    axes.set_xlim(-0.5, highest + 0.5)
    axes.set_xlabel("index (negative eigenvalues of the Hessian)")


def _kind_legend(axes: Axes, points: Sequence[CriticalPoint], more: Sequence[LegendEntry] = ()) -> None:
    entries: list[LegendEntry] = []
    hollow = []
    for kind in _MARKS:
        for spurious in (False, True):
            if any(point.kind == kind and point.origin.spurious == spurious for point in points):
                label = f"{kind}, spurious" if spurious else kind
                entries.append((label, *_MARKS[kind]))
                hollow += [label] * spurious
    entries += more
    legend(axes, entries, hollow=hollow)


def plot_hessian_spectra(points: CriticalPoints | Sequence[CriticalPoint], *, ax: Axes | None = None) -> Axes:
    """Eigenvalues of the Hessian across the fibre at each critical point, negative ones below zero.

    Parameters
    ----------
    points : CriticalPoints or sequence of CriticalPoint
    ax : Axes, optional

    Returns
    -------
    Axes
        The scale is logarithmic on both sides of a linear part around zero; what is not told from zero is shaded. The
        eigenvalues are those of ``point.inertia``.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ImportError
        If matplotlib is not installed.
    """
    listed = _critical_points(points)
    with _drawing(ax, "hessian spectra", (6.4, 4.2)) as axes:
        # The tolerance of a point that is not decided can be as large as its eigenvalues.
        decided = [point for point in listed if point.inertia.decided] or listed
        tolerance = max((point.inertia.tolerance for point in decided), default=0.0)
        sizes = np.abs(np.concatenate([point.inertia.eigenvalues for point in listed] or [np.zeros(0)]))
        clear = sizes[sizes > tolerance]
        _two_sided_log_axis(axes, max(tolerance, 0.5 * float(clear.min(initial=1.0))), float(clear.max(initial=1.0)))
        axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
        for number, point in enumerate(listed):
            height = point.inertia.tolerance
            axes.bar(number, 2 * height, 0.8, bottom=-height, color=LINE, zorder=1, linewidth=0)
            for values, colour, form in _signs(point.inertia.eigenvalues, point.inertia.tolerance):
                axes.plot(np.full(len(values), number), values, form, color=colour, markersize=6, markeredgewidth=0)
        integer_axis(axes, max(len(listed) - 1, 0), first=0)
        axes.set_xlabel("critical point, in ascending order of the loss")
        axes.set_ylabel("eigenvalue of the scaled Hessian")
        legend(axes, [("positive", ACCENT, "o"), ("zero up to rounding", MUTED, "s"), ("negative", SECOND, "v")])
    return axes


def _two_sided_log_axis(axes: Axes, linear: float, largest: float) -> None:
    """Powers of ten on both sides of a linear part from −linear to linear, all of which are labelled apart from it."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_yscale("symlog", linthresh=linear, linscale=0.7)
    axes.set_ylim(-3 * largest, 3 * largest)
    first, last = int(np.ceil(np.log10(1.2 * linear))), int(np.floor(np.log10(3 * largest)))
    decades = [10.0**k for k in range(first, last + 1, max(1, (last - first) // 5))]
    axes.yaxis.set_major_locator(FixedLocator([-x for x in reversed(decades)] + [0.0] + decades))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda y, _: "0" if y == 0 else ("−" if y < 0 else "") + power_of_ten(abs(y)))
    )


def _signs(values: Floats, tolerance: float) -> Iterator[tuple[Floats, str, str]]:
    yield values[values > tolerance], ACCENT, "o"
    yield values[np.abs(values) <= tolerance], MUTED, "s"
    yield values[values < -tolerance], SECOND, "v"


def _critical_points(points: object) -> list[CriticalPoint]:
    if isinstance(points, CriticalPoints):
        return list(points.points)
    listed = list(as_sequence(points, "points", "CriticalPoints or a sequence of CriticalPoint"))
    for k, point in enumerate(listed):
        if not isinstance(point, CriticalPoint):
            raise TypeError(
                f"`points` must be CriticalPoints or a sequence of CriticalPoint, got {_describe(point)} as number {k}"
            )
    return listed


# -- neuromanifolds ---------------------------------------------------------------------------------------------------


def plot_neuromanifold_slice(
    net: Network,
    origin: ArrayLike,
    directions: ArrayLike,
    *,
    low: ArrayLike = -1.0,
    high: ArrayLike = 1.0,
    surface: Equations | Callable[[Floats], ArrayLike] | None = None,
    points: Mapping[str, ArrayLike] | None = None,
    labels: Sequence[str] | None = None,
    resolution: int | None = None,
    rng: object = 0,
    ax: Axes | None = None,
) -> Axes:
    """Which functions of a slice of coefficient space a network has, over the real numbers.

    The slice consists of ``origin + Σ_i s_i directions[i]``, for two or three directions. Where the functions of the
    network fill their linear span, a slice in two directions shows the region that is reached, by ``net.contains``.
    Where they are a hypersurface, its real points are drawn, with its singular points, those that the network has and
    those that only the closure of its functions has.

    Parameters
    ----------
    net : Network
    origin : array_like, shape (n_outputs, n_monomials)
    directions : array_like, shape (k, n_outputs, n_monomials), k = 2 or 3
        In the linear span of the network, as ``origin``; see ``net.linear_span().embed``.
    low, high : float or array_like of shape (k,)
        Bounds of s.
    surface : Equations or callable (coef (n, n_outputs, n_monomials)) → (n,), optional
        A polynomial whose zeros are drawn, such as a discriminant; by default the equation of the network, where the
        closure of its functions is a hypersurface of degree at most 6 in their span.
    points : mapping of str to (k,) array, optional
        Positions s to be marked, and what to call them.
    labels : sequence of k str, optional
        Of the axes; by default the monomials of directions that are a single coefficient.
    resolution : int, optional
        In two directions the squares along an axis (default 20), which are quartered three times where the verdict
        changes; in three the cubes along an axis (default 41).
    rng : int or numpy.random.Generator
        Where the search for singular points starts.
    ax : Axes, optional
        With ``projection="3d"`` for three directions.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or value; if the slice leaves the linear span of the network; if
        ``surface`` is no polynomial of degree at most 8 on the slice; if there is nothing to draw, since no equation is
        known.
    MemoryError, OverflowError
        If the grid would not fit.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    The cubics x³ + Cxy² + Dy³ that are sums of two cubes of real linear forms: those with one real zero.

    >>> import polycore as pc
    >>> net = pc.MLP((2, 2, 1), activation=3)
    >>> ax = plot_neuromanifold_slice(net, [[1, 0, 0, 0]], [[[0, 0, 1, 0]], [[0, 0, 0, 1]]], resolution=3)
    >>> ax.get_xlabel(), [text.get_text() for text in ax.get_legend().get_texts()]
    ('coefficient of x₁x₂²', ['reached over R', 'not reached'])
    """
    view = Slice.of(net, origin, directions, low, high)
    names = view.axis_names() if labels is None else _labels(labels, view.k)
    marked = {name: as_real_array(at, f"points[{name!r}]", shape=(("k", view.k),)) for name, at in _named(points)}
    generator = as_rng(rng)[0]
    n = (20 if view.k == 2 else 41) if resolution is None else as_index(resolution, "resolution", 2)
    polynomial = view.polynomial(surface)
    shows_region = view.k == 2 and view.codimension == 0
    if polynomial is None and not shows_region:
        raise ValueError("`surface` must be given: no equation of the network of degree at most 6 is known")
    if view.k == 2:
        with _drawing(ax, "neuromanifold", (6.0, 5.4)) as axes:
            _draw_flat_slice(axes, view, polynomial, _name_of(surface), n if shows_region else 0)
            _finish_slice(axes, view, names, marked)
    else:
        assert polynomial is not None
        with _drawing(ax, "neuromanifold", (6.6, 6.0), projection="3d") as axes:
            _draw_solid_slice(axes, view.solid(polynomial, n, generator), _name_of(surface))
            _finish_slice(axes, view, names, marked)
    return axes


def _named(points: object) -> list[tuple[str, Any]]:
    if points is None:
        return []
    if not isinstance(points, Mapping) or not all(isinstance(name, str) for name in points):
        raise TypeError(f"`points` must map names to positions, got {_describe(points)}")
    return list(points.items())


def _name_of(surface: object) -> str:
    """The name of a function that has one, for the legend."""
    if surface is None or isinstance(surface, Equations):
        return "equation"
    name = getattr(surface, "__name__", "<")
    return "polynomial" if name.startswith("<") else name.strip("_").replace("_", " ")


def _labels(labels: object, k: int) -> list[str]:
    listed = list(as_sequence(labels, "labels", f"{k} names"))
    if len(listed) != k or not all(isinstance(label, str) for label in listed):
        raise ValueError(f"`labels` must be {k} names, got {_describe(labels)}")
    return listed


def _draw_flat_slice(axes: Axes, view: Slice, polynomial: Polynomial | None, name: str, n: int) -> None:
    entries: list[LegendEntry] = []
    if n:
        plane, verdicts = view.region(n)
        words = {
            "yes": ("reached over R", _FILLS[1]),
            "no": ("not reached", _FILLS[0]),
            "undecided": ("undecided", LINE),
        }
        shown = {square: words[verdict] for square, verdict in verdicts.items()}
        _draw_squares(axes, plane.low, plane.high, map(plane.corners, shown), [colour for _, colour in shown.values()])
        entries += [(word, colour, "s") for word, colour in words.values() if (word, colour) in shown.values()]
    if polynomial is not None:
        axis = np.linspace(-1.0, 1.0, 401)
        grid = np.stack(np.meshgrid(axis, axis), axis=-1)
        values = polynomial(grid.reshape(-1, 2)).reshape(401, 401)
        u, v = view.from_box(np.stack([axis, axis], axis=1)).T
        axes.contour(u, v, values, levels=[0.0], colors=INK, linewidths=1.6)
        entries.append((f"{name} = 0", INK, "-"))
    axes.grid(False)
    legend(axes, entries)


def _draw_solid_slice(axes: Any, solid: SolidSlice, name: str) -> None:
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]

    faces = _shades(solid.triangles, _FILLS[1])
    axes.computed_zorder = False
    axes.add_collection3d(
        Poly3DCollection(solid.triangles, facecolors=faces, edgecolors=faces, linewidths=0.3, zorder=1)
    )
    entries: list[LegendEntry] = [(f"{name} = 0", _FILLS[1], "s")]
    verdicts = np.array(solid.verdicts, dtype=str)
    for verdict, colour, word in (
        ("yes", SECOND, "singular, reached over R"),
        ("no", INK, "singular, not reached"),
        ("undecided", MUTED, "singular, undecided"),
    ):
        which = verdicts == verdict
        if which.any():
            axes.plot(*solid.singular[which].T, "o", color=colour, markersize=3, markeredgewidth=0, zorder=2)
            entries.append((word, colour, "o"))
    legend(axes, entries)


def _shades(corners: Floats, colour: str) -> Floats:
    """Colours (m, 3) of triangles under a light from above the left shoulder, the same from both sides."""
    from matplotlib.colors import to_rgb

    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sizes = np.linalg.norm(normals, axis=1)
    light = np.array([-0.4, -0.5, 0.77])
    brightness = np.abs(normals @ light) / np.where(sizes > 0, sizes, 1.0)
    return np.asarray((0.55 + 0.45 * brightness[:, None]) * np.array(to_rgb(colour)))


def _finish_slice(axes: Any, view: Slice, names: Sequence[str], marked: Mapping[str, Floats]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set(xlim=(view.low[0], view.high[0]), ylim=(view.low[1], view.high[1]))
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    if view.k == 3:
        axes.set_zlim(view.low[2], view.high[2])
        axes.set_zlabel(names[2])
        axes.set_box_aspect(None, zoom=0.85)  # room for the labels, which no layout reckons with
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.labelpad = 9
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], prune="both"))
    for name, at in marked.items():
        axes.plot(*at[:, None], "o", color=SECOND, markersize=7, markeredgecolor="white", zorder=12)
        if view.k == 2:
            _annotate(axes, name, at, (0, -17), ha="center")
        else:
            axes.text(*at, f"  {name}", color=INK, zorder=12)


def _draw_squares(axes: Axes, low: Corner, high: Corner, squares: Iterable[Any], colours: Sequence[str]) -> None:
    """A rectangle of filled squares, given by two corners each; neighbours of one colour show no seam."""
    from matplotlib.collections import PolyCollection

    outlines = [[(a, b), (c, b), (c, d), (a, d)] for (a, b), (c, d) in squares]
    axes.add_collection(PolyCollection(outlines, facecolors=colours, linewidths=0, antialiased=False), autolim=False)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.grid(False)


# -- maps of a plane of targets ---------------------------------------------------------------------------------------


def plot_count_map(
    found: CountMap, *, by: str = "count", labels: Sequence[str] = ("s", "t"), ax: Axes | None = None
) -> Axes:
    """The number of real critical points over a plane, and the edges where it jumps.

    Parameters
    ----------
    found : CountMap
        Made by `count_map`.
    by : {"count", "kinds"}
        What colours mean: the number of points, or how many there are of each kind.
    labels : sequence of two str
        Of the axes.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or value.
    ImportError
        If matplotlib is not installed.
    """
    if not isinstance(found, CountMap):
        raise TypeError(f"`found` must be a CountMap, got {_describe(found)}")
    check_choice(by, "by", ("count", "kinds"))
    names = _labels(labels, 2)
    words = [found.describe(cell.count) if by == "count" else cell.describe() for cell in found.cells]
    order = sorted(set(words), key=lambda word: (found.cells[words.index(word)].count, word))
    with _drawing(ax, "count map", (6.4, 6.0)) as axes:
        from matplotlib.collections import LineCollection

        colours = {word: _FILLS[k % len(_FILLS)] for k, word in enumerate(order)}
        squares = [(cell.low, cell.high) for cell in found.cells]
        _draw_squares(axes, found.low, found.high, squares, [colours[word] for word in words])
        axes.add_collection(LineCollection(list(found.jumps), colors=INK, linewidths=1.2), autolim=False)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        legend(axes, [(word, colours[word], "s") for word in order], columns=1)
    return axes


def plot_voronoi_cells(
    model: Model,
    family: AffineFamily | Callable[[float, float], ArrayLike] | None = None,
    *,
    low: ArrayLike = (-1.0, -1.0),
    high: ArrayLike = (1.0, 1.0),
    label: Callable[[Floats], str] | None = None,
    boundary: ArrayLike | None = None,
    resolution: int = 12,
    refinements: int = 4,
    labels: Sequence[str] = ("s", "t"),
    rng: object = 0,
    n_threads: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Where the closest point of a model lies, for each target in a plane.

    Parameters
    ----------
    model : Network, Parametrisation, Variety or array of points (n, m)
    family : AffineFamily or callable (s, t) → target (m,), optional
        The plane of targets; by default that of the model, if it is in two dimensions. For a network an AffineFamily.
    low, high : array_like, shape (2,)
        Corners of the rectangle of (s, t).
    label : callable (closest point (m,)) → str, optional
        Which cell a target is in. By default points are told apart; for other models whether the closest one is a
        singular point; for networks the stratum as `bias` names it.
    boundary : array_like, shape (n, 2), optional
        A curve to be drawn, such as a border that was computed.
    resolution, refinements : int
        Squares along each axis to begin with, and how often they are quartered where neighbours are in other cells.
        Each asks for a closest point.
    labels : sequence of two str
        Of the axes.
    rng : int or numpy.random.Generator
        For searches.
    n_threads : int
        0 is the default number; results do not depend on it.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or value.
    MemoryError, OverflowError
        If the grid of finest squares would not fit.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> ax = plot_voronoi_cells([[-0.5, 0.0], [0.5, 0.0]], resolution=2, refinements=1)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['point 0', 'point 1', 'points']
    """
    plane = as_plane(low, high, resolution, refinements)
    names = _labels(labels, 2)
    line = None if boundary is None else as_real_array(boundary, "boundary", shape=("n", ("axes", 2)))
    found = cells(plane, as_nearest(model, family, label, as_rng(rng)[1], check_threads(n_threads)))
    with _drawing(ax, "voronoi cells", (6.0, 5.6)) as axes:
        areas: dict[str, float] = {}
        for square, name in found.items():
            areas[name] = areas.get(name, 0.0) + 0.25**square.level
        colours = {name: _FILLS[k % len(_FILLS)] for k, name in enumerate(sorted(areas, key=lambda n: (-areas[n], n)))}
        _draw_squares(
            axes, plane.low, plane.high, map(plane.corners, found), [colours[name] for name in found.values()]
        )
        entries: list[LegendEntry] = [(name, colour, "s") for name, colour in colours.items()]
        drawn = curve(model, family, plane)
        if drawn is not None:
            axes.plot(*drawn.T, color=ACCENT, linewidth=1.8)
            entries.append(("the model", ACCENT, "-"))
        elif family is None and not isinstance(model, (Network, Parametrisation, Variety)):
            axes.plot(*np.asarray(model, dtype=np.float64).T, "o", color=ACCENT, markersize=5)
            entries.append(("points", ACCENT, "o"))
        if line is not None:
            axes.plot(*line.T, color=INK, linewidth=1.2, linestyle="--")
            entries.append(("computed boundary", INK, "--"))
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        legend(axes, entries)
    return axes
