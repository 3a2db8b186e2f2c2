# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of training: the data behind them, not their pixels."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import landscape
from polycore._implicit_surface import interpolate, triangles
from polycore._neuromanifold_slice import Slice

pytest.importorskip("matplotlib")
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

EXAMPLES = Path(__file__).parents[1] / "examples"
CUBICS = pc.MLP((2, 2, 1), activation=3)
UNIT = np.eye(4)[:, None]


def discriminant(coef: np.ndarray) -> np.ndarray:
    """Of a x³ + b x²y + c xy² + d y³: negative where two zeros are not real."""
    a, b, c, d = np.moveaxis(coef[..., 0, :], -1, 0)
    return b**2 * c**2 - 4 * a * c**3 - 4 * b**3 * d - 27 * a**2 * d**2 + 18 * a * b * c * d


@pytest.fixture(scope="module")
def linear() -> pc.CriticalPoints:
    """2 → 2 → 2: the sums of none, one or both of two singular components."""
    net = pc.MLP((2, 2, 2), activation=1)
    loss = pc.QDistance.from_metric("identity", [[3.0, 0.5], [0.2, 1.0]], net.basis, constant=0.25)
    found = pc.critical_points(loss, net)
    assert len(found) == 4
    return found


def labels_of(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def marks_of(ax: Any) -> list[Any]:
    """Lines that are one marker."""
    return [line for line in ax.lines if len(line.get_xdata()) == 1]


# -- slices of the loss -----------------------------------------------------------------------------------------------


def test_a_slice_along_a_line(linear: pc.CriticalPoints) -> None:
    ends = [linear[0].theta, linear[3].theta]
    ax = landscape.plot_loss_slice(linear.loss, linear.network, [linear[0], linear[3]], resolution=31, margin=0.25)
    curve, *marks = ax.lines
    position, values = curve.get_data()
    assert (position[0], position[-1], len(position)) == (-0.25, 1.25, 31)
    for p, value in zip(position, values):
        coef = linear.network.expand(ends[0] + p * (ends[1] - ends[0]))
        assert value == pytest.approx(linear.loss.value(coef) + 0.25)
    assert [(m.get_xdata()[0], m.get_ydata()[0]) for m in marks] == [
        (0.0, pytest.approx(linear[0].loss)),
        (1.0, pytest.approx(linear[3].loss)),
    ]
    assert labels_of(ax) == ["minimum", "strict saddle"]
    assert ax.get_ylabel() == "loss (sum of squared errors)"
    low, high = ax.get_ylim()
    assert low < linear[0].loss < linear[3].loss < high


def test_a_slice_through_a_plane(linear: pc.CriticalPoints) -> None:
    points = [linear[k].theta for k in (0, 1, 2)]
    ax = landscape.plot_loss_slice(linear.loss, linear.network, points, align=False, resolution=25)
    at = np.array([[m.get_xdata()[0], m.get_ydata()[0]] for m in marks_of(ax)])
    for i in range(3):
        for j in range(i):
            assert np.linalg.norm(at[i] - at[j]) == pytest.approx(np.linalg.norm(points[i] - points[j]))
    np.testing.assert_allclose(at[0], 0.0, atol=1e-12)
    assert at[1][0] > 0
    assert at[1][1] == pytest.approx(0)
    assert at[2][1] > 0
    assert labels_of(ax) == ["point", "same loss as A, B or C"]
    (left, right), (below, above) = ax.get_xlim(), ax.get_ylim()
    assert right - left == pytest.approx(above - below)
    filled, _, through = ax.collections
    assert (np.diff(filled.levels) > 0).all()
    np.testing.assert_allclose(through.levels, sorted(linear[k].loss for k in (0, 1, 2)))
    # Contours are where the loss is: the one through a saddle passes through it.
    corners = np.concatenate([path.vertices for path in through.get_paths()])
    assert np.linalg.norm(corners - at[1], axis=1).min() < 2 * (right - left) / 24
    assert ax.child_axes[0].get_ylabel() == "loss (sum of squared errors)"


def test_slices_do_not_run_between_copies_of_a_function(linear: pc.CriticalPoints) -> None:
    net = linear.network
    moved = net.symmetries().act(net.symmetries().random_element(rng=3), linear[0].theta)
    with pytest.raises(ValueError, match="`points` must span a line, got points equal"):
        landscape.plot_loss_slice(linear.loss, net, [linear[0], moved])
    ax = landscape.plot_loss_slice(linear.loss, net, [linear[0], moved], align=False, resolution=5)
    heights = [m.get_ydata()[0] for m in marks_of(ax)]
    assert heights[0] == pytest.approx(heights[1])


# -- the graph --------------------------------------------------------------------------------------------------------


def test_connections_lead_down(linear: pc.CriticalPoints) -> None:
    edges = landscape.connections(linear)
    assert {edge.source for edge in edges} == {1, 2, 3}
    # Two ways down for each negative eigenvalue.
    ways = Counter(edge.source for edge in edges)
    assert [ways[k] for k in (1, 2, 3)] == [2 * min(linear[k].inertia.index, 6) for k in (1, 2, 3)]
    for edge in edges:
        assert edge.target is not None
        assert linear[edge.target].loss < linear[edge.source].loss
        assert edge.losses[0] < linear[edge.source].loss + 1e-12
        assert (np.diff(edge.losses) <= 1e-9 * edge.losses[0]).all()
        assert edge.losses[-1] == pytest.approx(linear[edge.target].loss, rel=1e-6)
        assert edge.eigenvalue < 0
        assert edge.sign in (1, -1)
    # From the saddle that lacks the smaller component there is nowhere else to go.
    assert {edge.target for edge in edges if edge.source == 1} == {0}


def test_connections_are_reproducible_and_can_be_cut_short(linear: pc.CriticalPoints) -> None:
    def brief(edges: Any) -> Any:
        return [(e.source, e.target, e.sign, e.losses.tobytes()) for e in edges]

    assert brief(landscape.connections(linear)) == brief(landscape.connections(linear))
    assert landscape.connections(linear, time_budget=0.0) == ()
    assert landscape.connections(linear, max_directions=0) == ()
    assert len(landscape.connections(linear, max_directions=1)) == 6


def test_degenerate_saddles_have_ways_down_too() -> None:
    """Where the Hessian is zero: θ = 0 of three layers of weights."""
    net = pc.MLP((1, 1, 1, 1), activation=1)
    found = pc.critical_points(pc.QDistance.from_metric("identity", [[2.0]], net.basis), net, n_starts=20)
    (zero,) = [k for k, point in enumerate(found) if not point.coef.any()]
    assert found[zero].kind == "degenerate"
    edges = [edge for edge in landscape.connections(found, rng=1) if edge.source == zero]
    assert len(edges) == 6
    assert {edge.target for edge in edges} == {0}
    assert {edge.eigenvalue for edge in edges} == {0.0}


def test_the_graph_of_critical_points(linear: pc.CriticalPoints) -> None:
    edges = landscape.connections(linear)
    ax = landscape.plot_critical_graph(linear, edges)
    marks = marks_of(ax)
    assert len(marks) == 4
    for mark, point in zip(marks, linear):
        assert mark.get_ydata()[0] == point.loss
        assert abs(mark.get_xdata()[0] - point.inertia.index) < 0.5
        assert (mark.get_markerfacecolor() == "white") == point.origin.spurious
    numbers = [text.get_text() for text in ax.texts]
    assert [word for word in numbers if word] == ["0", "1", "2", "3"]
    assert numbers.count("") == len({(edge.source, edge.target) for edge in edges})  # arrows
    assert "gradient flow" in labels_of(ax)
    assert ax.get_xlabel() == "index (negative eigenvalues of the Hessian)"
    assert len([t for t in landscape.plot_critical_graph(linear, []).texts if not t.get_text()]) == 0


def test_marks_do_not_cover_each_other() -> None:
    """Minima that are as good as each other stand side by side."""
    net = pc.MLP((2, 1, 1), activation=2)
    found = pc.critical_points(pc.QDistance.from_metric("identity", [[1.0, 0.0, 1.0]], net.basis), net, 100)
    minima = [k for k, point in enumerate(found) if point.inertia.index == 0 and point.loss == pytest.approx(1.0)]
    assert len(minima) == 2
    marks = marks_of(landscape.plot_critical_graph(found, []))
    a, b = (marks[k].get_xdata()[0] for k in minima)
    assert abs(a - b) > 0.1


def test_spectra(linear: pc.CriticalPoints) -> None:
    ax = landscape.plot_hessian_spectra(linear.points)
    drawn = Counter()
    for line in ax.lines:
        if line.get_linestyle() == "None":
            drawn.update((int(x), round(float(y), 12)) for x, y in zip(*line.get_data()))
    expected = Counter(
        (k, round(float(value), 12)) for k, point in enumerate(linear) for value in point.inertia.eigenvalues
    )
    assert drawn == expected
    assert labels_of(ax) == ["positive", "zero up to rounding", "negative"]
    ticks = [ax.yaxis.get_major_formatter()(y, 0) for y in ax.get_yticks()]
    assert "0" in ticks
    assert len(set(ticks)) == len(ticks)
    assert [t.replace("−", "", 1) for t in ticks if t.startswith("−")][::-1] == ticks[ticks.index("0") + 1 :]


def test_spectra_of_a_whole_result(linear: pc.CriticalPoints) -> None:
    drawn = [
        [line.get_xydata().tolist() for line in landscape.plot_hessian_spectra(points).lines]
        for points in (linear, list(linear))
    ]
    assert drawn[0] == drawn[1]


# -- neuromanifolds ---------------------------------------------------------------------------------------------------


def test_cubics_that_are_sums_of_two_real_cubes() -> None:
    """x³ + Cxy² + Dy³ is one iff it has one real zero, 4C³ + 27D² > 0 (Sylvester)."""
    view = Slice.of(CUBICS, UNIT[0], UNIT[2:], -2.0, 2.0)
    plane, verdicts = view.region(6)
    for square, verdict in verdicts.items():
        c, d = plane.centre(square)
        assert verdict == ("yes" if 4 * c**3 + 27 * d**2 > 0 else "no")
    assert set(verdicts.values()) == {"yes", "no"}
    assert max(square.level for square in verdicts) == 3
    ax = landscape.plot_neuromanifold_slice(
        CUBICS, UNIT[0], UNIT[2:], low=-2, high=2, surface=discriminant, points={"x³ − xy²": (-1, 0)}, resolution=6
    )
    assert labels_of(ax) == ["reached over R", "not reached", "discriminant = 0"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("coefficient of x₁x₂²", "coefficient of x₂³")
    assert ax.get_xlim() == ax.get_ylim() == (-2, 2)
    squares, zeros = ax.collections
    assert len(squares.get_paths()) == len(verdicts)
    colours = Counter(to_hex(colour) for colour in squares.get_facecolors())
    assert sorted(colours.values()) == sorted(Counter(verdicts.values()).values())
    c, d = np.concatenate([path.vertices for path in zeros.get_paths()]).T
    np.testing.assert_allclose(4 * c**3 + 27 * d**2, 0, atol=0.01)
    (mark,) = marks_of(ax)
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (-1, 0)
    assert "x³ − xy²" in [text.get_text() for text in ax.texts]


def test_the_attention_surface_is_an_umbrella_here() -> None:
    """With q1 = s² + z t² and q2 = y st + x t², the resultant is x² + z y²; proportional pairs are (q1, 0)."""
    net = pc.LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2)
    span, y = net.linear_span(), np.eye(6)
    view = Slice.of(net, span.embed(y[0]), span.embed(y[[3, 5, 2]]), -1.0, 1.0)
    polynomial = view.polynomial(None)
    assert polynomial is not None
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    expected = points[:, 0] ** 2 + points[:, 2] * points[:, 1] ** 2
    values = polynomial(points)
    np.testing.assert_allclose(values, expected * (values[0] / expected[0]), atol=1e-9)
    assert view.codimension == 1
    solid = view.solid(polynomial, 8, np.random.default_rng(0))
    assert len(solid.singular) > 100
    np.testing.assert_allclose(solid.singular[:, :2], 0, atol=1e-6)
    assert np.histogram(solid.singular[:, 2], bins=10, range=(-1, 1))[0].min() > 5  # all along the line
    for (_, _, z), verdict in zip(solid.singular, solid.verdicts):
        if abs(z) > 1e-3:  # (s² + z t², 0) is a product of real linear forms iff z <= 0
            assert verdict == ("yes" if z < 0 else "no")
    ax = landscape.plot_neuromanifold_slice(net, span.embed(y[0]), span.embed(y[[3, 5, 2]]), resolution=9)
    assert ax.name == "3d"
    assert labels_of(ax) == ["equation = 0", "singular, reached over R", "singular, not reached"]
    assert ax.get_zlabel() == "coefficient of x₁x₄² in f₁"


def test_slices_that_show_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="`surface` must be given"):
        landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[1:])
    with pytest.raises(ValueError, match="`surface` must be a polynomial of degree at most 8"):
        landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[2:], surface=lambda c: np.exp(c[:, 0, 2]))
    net = pc.LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2)
    rows = np.eye(40).reshape(40, 2, 20)
    with pytest.raises(ValueError, match="must lie in the linear span"):
        landscape.plot_neuromanifold_slice(net, rows[0], rows[1:3])
    with pytest.raises(ValueError, match="`surface` must be an equation of this network"):
        landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[2:], surface=pc.equations(net, 4))
    with pytest.raises(ValueError, match="`surface` must be one equation"):
        landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[2:], surface=pc.equations(CUBICS, 1))
    with pytest.raises(ValueError, match="linearly independent"):
        landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[[2, 2]])


def test_surfaces_are_closed_and_where_the_function_vanishes() -> None:
    def sphere(x: np.ndarray) -> np.ndarray:
        return np.asarray((x**2).sum(axis=1) - 0.49)

    corners = triangles(sphere, 21)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    assert areas.sum() == pytest.approx(4 * np.pi * 0.49, rel=0.02)
    assert np.abs(sphere(corners.reshape(-1, 3))).max() < 0.01
    # Every edge of a closed surface is one of two triangles; V − E + F = 2.
    keys = [tuple(np.round(p, 9)) for p in corners.reshape(-1, 3)]
    whole = [t for t in zip(keys[::3], keys[1::3], keys[2::3]) if len(set(t)) == 3]
    edges = Counter(frozenset(pair) for a, b, c in whole for pair in ((a, b), (b, c), (c, a)))
    assert set(edges.values()) == {2}
    assert len({p for t in whole for p in t}) - len(edges) + len(whole) == 2


def test_polynomials_are_found_from_their_values() -> None:
    rng = np.random.default_rng(0)
    basis = pc.MonomialBasis(3, 4)
    coef = rng.normal(size=basis.n_monomials)
    found = interpolate(lambda x: pc.veronese(x, basis) @ coef, 3, 6)
    assert found is not None
    assert found.basis == basis
    np.testing.assert_allclose(found.coef, coef, atol=1e-10)
    x = rng.uniform(-1, 1, (5, 3))
    for i in range(3):
        step = 1e-6 * np.eye(3)[i]
        np.testing.assert_allclose(found.gradient(x)[:, i], (found(x + step) - found(x - step)) / 2e-6, atol=1e-7)
    assert interpolate(lambda x: np.sin(3 * x[:, 0]), 3, 6) is None
    zero = interpolate(lambda x: np.zeros(len(x)), 2, 3)
    assert zero is not None
    assert not zero(x[:, :2]).any()


# -- maps of planes ---------------------------------------------------------------------------------------------------


def colours_of(ax: Any) -> dict[tuple[float, float], str]:
    """From the centres of squares to colours."""
    (squares,) = [c for c in ax.collections if isinstance(c, PolyCollection)]
    faces = squares.get_facecolors()
    return {
        tuple(path.vertices[:4].mean(axis=0)): to_hex(faces[k % len(faces)])
        for k, path in enumerate(squares.get_paths())
    }


def colour_of(ax: Any, label: str) -> str:
    handles = dict(zip(labels_of(ax), ax.get_legend().legend_handles))
    return to_hex(handles[label].get_color())


def test_the_cell_of_the_cusp() -> None:
    """u is closest to the cusp of (−t², t³) iff t⁴ + t² − 2 u₂ t + 2 u₁ >= 0 for all t."""
    cusp = pc.Parametrisation(pc.MonomialBasis(1, 3), [[0, 0, -1, 0], [0, 0, 0, 1]])
    border = [[0.0, 0.0], [0.5, 1.0]]
    ax = landscape.plot_voronoi_cells(cusp, boundary=border, resolution=8, refinements=2)
    assert sorted(labels_of(ax)) == ["closest point singular", "closest point smooth", "computed boundary", "the model"]
    singular, smooth = (colour_of(ax, f"closest point {word}") for word in ("singular", "smooth"))
    assert singular != smooth
    t = np.linspace(-2, 2, 4001)
    found = colours_of(ax)
    for (x, y), colour in found.items():
        assert colour == (singular if (t**4 + t**2 - 2 * y * t + 2 * x).min() >= 0 else smooth)
    assert set(found.values()) == {singular, smooth}
    model, drawn = ax.lines
    x, y = model.get_data()
    np.testing.assert_allclose((y**2 + x**3)[np.isfinite(x)], 0, atol=1e-12)
    np.testing.assert_array_equal(np.transpose(drawn.get_data()), border)


def test_a_fast_way_for_curves_is_that_of_all_models() -> None:
    rng = np.random.default_rng(0)
    curve = pc.Parametrisation(pc.MonomialBasis(1, 3), rng.normal(size=(3, 4)))
    family = pc.AffineFamily(*rng.normal(size=(3, 3)), metric=np.diag([1.0, 2.0, 3.0]))
    seen = []

    def label(point: np.ndarray) -> str:
        seen.append(point)
        return str(point[0] > 0)

    landscape.plot_voronoi_cells(curve, family, label=label, resolution=2, refinements=0)
    expected = []
    for t in (-0.5, 0.5):
        for s in (-0.5, 0.5):
            expected.append(pc.closest_points(curve, family.at(s, t), family.metric).closest)
    np.testing.assert_allclose(seen, expected, atol=1e-7)


def test_cells_of_points_are_nearest_neighbours() -> None:
    sites = np.random.default_rng(1).uniform(-1, 1, (4, 2))
    metric = np.array([[2.0, 0.5], [0.5, 1.0]])
    family = pc.AffineFamily([0.0, 0.0], [1.0, 0.0], [0.0, 1.0], metric)
    for plane, gram in ((None, np.eye(2)), (family, metric)):
        ax = landscape.plot_voronoi_cells(sites, plane, resolution=6, refinements=2)
        names = {colour_of(ax, f"point {k}"): k for k in range(4)}
        for at, colour in colours_of(ax).items():
            away = sites - at
            assert names[colour] == np.argmin(np.einsum("ni,ij,nj->n", away, gram, away))


def test_cells_of_a_network_are_its_strata() -> None:
    """Near a cubic with three real zeros there are sums of two cubes, but none is closest."""
    family = pc.AffineFamily(UNIT[0] - UNIT[2], UNIT[1], UNIT[2])
    ax = landscape.plot_voronoi_cells(CUBICS, family, low=(-0.1, -0.1), high=(0.1, 4.1), resolution=1, refinements=0)
    assert labels_of(ax) == ["smooth"]
    ax = landscape.plot_voronoi_cells(CUBICS, family, low=(-0.1, -0.1), high=(0.1, 0.1), resolution=1, refinements=0)
    assert labels_of(ax) == ["not attained"]


def test_the_picture_of_a_count_map() -> None:
    parabola = pc.Parametrisation(pc.MonomialBasis(1, 2), [[0, 1, 0], [0, 0, 1]])
    found = pc.count_map(parabola, lambda x, y: [x, y], low=(-1, 0), high=(1.1, 2), resolution=3, refinements=1)
    ax = landscape.plot_count_map(found, labels=("x", "y"))
    assert labels_of(ax) == ["1 point: 1 minimum", "3 points: 2 minima, 1 maximum"]
    words = {colour_of(ax, word): word for word in labels_of(ax)}
    for cell, colour in zip(found.cells, colours_of(ax).values()):
        assert words[colour] == cell.describe()
    (lines,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    np.testing.assert_array_equal(lines.get_segments(), found.jumps)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert labels_of(landscape.plot_count_map(found, by="kinds")) == labels_of(ax)


# -- axes, arguments, examples ----------------------------------------------------------------------------------------


def test_given_axes_are_drawn_on(linear: pc.CriticalPoints) -> None:
    axes = Figure().add_subplot()
    assert landscape.plot_hessian_spectra(linear.points, ax=axes) is axes
    with pytest.raises(TypeError, match="`ax` must be matplotlib Axes"):
        landscape.plot_hessian_spectra(linear.points, ax="here")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`ax` must have projection='3d'"):
        landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[1:], surface=discriminant, resolution=4, ax=axes)


def test_without_matplotlib(linear: pc.CriticalPoints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"polycore\[report\]"):
        landscape.plot_hessian_spectra(linear.points)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda f: landscape.plot_loss_slice(f.loss, "net", [f[0], f[1]]), "net"),
        (lambda f: landscape.plot_loss_slice(f.loss, f.network, [f[0]]), "points"),
        (lambda f: landscape.plot_loss_slice(f.loss, f.network, 5), "points"),
        (lambda f: landscape.plot_loss_slice(f.loss, f.network, [f[0], [1.0, 2.0]]), r"points\[1\]"),
        (lambda f: landscape.plot_loss_slice(f.loss, f.network, [f[0], f[0]]), "points"),
        (lambda f: landscape.plot_loss_slice(f.loss, f.network, [f[0], f[1]], margin=-1), "margin"),
        (lambda f: landscape.plot_loss_slice(f.loss, f.network, [f[0], f[1]], resolution=2), "resolution"),
        (lambda f: landscape.connections(f.points), "result"),
        (lambda f: landscape.connections(f, max_directions=-1), "max_directions"),
        (lambda f: landscape.connections(f, rng="x"), "rng"),
        (lambda f: landscape.connections(f, time_budget=-1), "time_budget"),
        (lambda f: landscape.plot_hessian_spectra([1, 2]), "points"),
        (lambda f: landscape.plot_hessian_spectra(None), "points"),
        (lambda f: landscape.plot_count_map(f), "found"),
        (lambda f: landscape.plot_neuromanifold_slice("net", UNIT[0], UNIT[1:]), "net"),
        (lambda f: landscape.plot_neuromanifold_slice(CUBICS, UNIT[0, 0], UNIT[1:]), "origin"),
        (lambda f: landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[1:2]), "directions"),
        (lambda f: landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[2:], low=2), "high"),
        (lambda f: landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[2:], labels=["x"]), "labels"),
        (lambda f: landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[2:], points=[1, 2]), "points"),
        (lambda f: landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[2:], surface=5), "surface"),
        (lambda f: landscape.plot_voronoi_cells("model"), "model"),
        (lambda f: landscape.plot_voronoi_cells(np.zeros((0, 2))), "model"),
        (lambda f: landscape.plot_voronoi_cells(np.zeros((2, 3))), "family"),
        (lambda f: landscape.plot_voronoi_cells(f.network), "family"),
        (lambda f: landscape.plot_voronoi_cells(np.eye(2), boundary=[1, 2, 3]), "boundary"),
        (lambda f: landscape.plot_voronoi_cells(np.eye(2), label=5), "label"),
        (lambda f: landscape.plot_voronoi_cells(np.eye(2), refinements=-1), "refinements"),
    ],
)
def test_bad_arguments_are_named(linear: pc.CriticalPoints, call: Any, name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"`{name}`"):
        call(linear)


@pytest.mark.parametrize("resolution", [10**6, 10**30])
@pytest.mark.parametrize(
    "draw",
    [
        lambda f, n: landscape.plot_loss_slice(f.loss, f.network, [f[0], f[1], f[2]], resolution=n),
        lambda f, n: landscape.plot_loss_slice(f.loss, f.network, [f[0], f[1]], resolution=n**2),
        lambda f, n: landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[2:], resolution=n),
        lambda f, n: landscape.plot_neuromanifold_slice(CUBICS, UNIT[0], UNIT[1:], surface=discriminant, resolution=n),
        lambda f, n: landscape.plot_voronoi_cells(np.eye(2), resolution=n),
    ],
)
def test_grids_that_do_not_fit_are_refused(linear: pc.CriticalPoints, draw: Any, resolution: int) -> None:
    with pytest.raises((MemoryError, OverflowError), match="`resolution`"):
        draw(linear, resolution)


def run_example(name: str, folder: Path) -> None:
    picture = folder / "picture.png"
    run = subprocess.run([sys.executable, EXAMPLES / name, picture], capture_output=True, text=True, check=True)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run.stdout
    assert not run.stderr


def test_an_example_of_a_plot_runs(tmp_path: Path) -> None:
    run_example("voronoi_cells.py", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["count_map", "critical_graph", "hessian_spectra", "loss_slice", "neuromanifold_slice"]
)
def test_examples_of_plots_run(name: str, tmp_path: Path) -> None:
    run_example(f"{name}.py", tmp_path)


def test_every_plot_has_an_example() -> None:
    shown = "".join(path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.py"))
    for name in landscape.__all__:
        if name.startswith("plot_"):
            assert f"pc.landscape.{name}(" in shown
