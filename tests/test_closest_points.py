# SPDX-License-Identifier: BSD-3-Clause
"""Closest points: published ED degrees, exact answers, brute force on curves, and what cannot be solved."""

from __future__ import annotations

from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import ClosestPoints, MonomialBasis, Parametrisation, Variety, closest_points

CIRCLE = Variety(MonomialBasis(2, 2), [[-1, 0, 0, 1, 0, 1]])
ELLIPSE = Variety(MonomialBasis(2, 2), [[-1, 0, 0, 1, 0, 4]])
CUSP = Variety(MonomialBasis(2, 3), [[0, 0, 0, 0, 0, 1, 1, 0, 0, 0]])  # y² + x³
CUSP_MAP = Parametrisation(MonomialBasis(1, 3), [[0, 0, -1, 0], [0, 0, 0, 1]])
# det [[a, b], [c, d]], and the same matrices as (p, q, p s, q s).
RANK_ONE = Variety(pc.MonomialSupport(MonomialBasis(4, 2), [(1, 0, 0, 1), (0, 1, 1, 0)]), [[1, -1]])


def random_metric(m: int, rng: np.random.Generator) -> np.ndarray:
    factor = rng.standard_normal((m, m + 2))
    return factor @ factor.T


def outer(m: int, n: int) -> Parametrisation:
    """Matrices of rank one with first row p ∈ Rⁿ and rows s_i p, a chart; entries row by row."""
    unknowns = n + m - 1
    monomials, rows = [], []
    for i in range(m):
        for j in range(n):
            exponent = [0] * unknowns
            exponent[j] = 1
            if i:
                exponent[n + i - 1] = 1
            monomials.append(tuple(exponent))
            rows.append(tuple(exponent))
    support = pc.MonomialSupport(MonomialBasis(unknowns, 2), monomials)
    order = {tuple(e): k for k, e in enumerate(support.exponents.tolist())}
    coef = np.zeros((m * n, len(support)))
    for row, exponent in enumerate(rows):
        coef[row, order[exponent]] = 1
    return Parametrisation(support, coef)


def powers(degree: int) -> Parametrisation:
    """(2,1,1) networks in the chart where the first weight is one."""
    return Parametrisation.from_network(pc.MLP((2, 1, 1), activation=degree), {0: 1.0})


def is_complete(result: ClosestPoints) -> bool:
    return result.complete in ("proved", "counted")


# --- published numbers ------------------------------------------------------------------------------------------------


def test_conics() -> None:
    """Draisma et al. 2016: ED degree 2 of the circle, 4 of a general conic, also of the circle in another metric."""
    rng = np.random.default_rng(0)
    for model, Q, count in (
        (CIRCLE, None, 2),
        (CIRCLE, np.diag([4.0, 1.0]), 4),
        (ELLIPSE, None, 4),
        (Variety(MonomialBasis(2, 2), [[0, 0, -1, 1, 0, 0]]), None, 3),  # parabola
    ):
        for _ in range(5):
            result = closest_points(model, rng.standard_normal(2), Q)
            assert result.complex_count == count
            assert is_complete(result)


def test_cardioid() -> None:
    """Draisma et al. 2016, the cardioid (x² + y² + x)² = x² + y², a quartic: ED degree 3."""
    sympy = pytest.importorskip("sympy")
    x, y = sympy.symbols("x y")
    cardioid = Variety.from_sympy([(x**2 + y**2 + x) ** 2 - x**2 - y**2], [x, y])
    result = closest_points(cardioid, [0.3, 0.7])
    assert result.complex_count == 3
    assert "singular" in result.kinds  # its cusp at the origin


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("degree", "generic", "invariant"), [(2, 4, 2), (3, 7, 3), (4, 10, 4)])
def test_powers_of_linear_forms(degree: int, generic: int, invariant: int, seed: int) -> None:
    """(2,1,1): rational normal curves, 3r − 2 in a generic metric and r in that of Bombieri and Weyl."""
    rng = np.random.default_rng(seed)
    model, u = powers(degree), rng.standard_normal(degree + 1)
    weights = pc.metrics.bombieri_weyl(MonomialBasis(2, degree, homogeneous=True))
    for Q, count in ((random_metric(degree + 1, rng), generic), (weights, invariant)):
        result = closest_points(model, u, Q, n_starts=5)
        if is_complete(result):
            assert result.complex_count == count
        assert is_complete(result) or degree == 4


@pytest.mark.parametrize(("degree", "count"), [(2, 14), (3, 22)])
def test_convolutions(degree: int, count: int) -> None:
    """Polynomial CNN with filters (2, 2)."""
    rng = np.random.default_rng(degree)
    model = Parametrisation.from_network(pc.CNN((2, 2), activation=degree), {0: 1.0}, support=True)
    result = closest_points(model, rng.standard_normal(model.n_coordinates), random_metric(model.n_coordinates, rng))
    assert result.complex_count == count
    assert is_complete(result)


@pytest.mark.parametrize(("m", "n", "generic", "unit"), [(2, 2, 6, 2), (2, 3, 10, 2)])
def test_matrices_of_rank_one(m: int, n: int, generic: int, unit: int) -> None:
    rng = np.random.default_rng(m * n)
    model, u = outer(m, n), rng.standard_normal(m * n)
    assert closest_points(model, u, random_metric(m * n, rng)).complex_count == generic
    result = closest_points(model, u)
    assert result.complex_count == unit
    # Eckart–Young: each singular component is critical, at the sum of the squares of the others.
    s = np.linalg.svd(u.reshape(m, n), compute_uv=False)
    smooth = [d for d, kind in zip(result.distances, result.kinds) if kind != "singular"]
    np.testing.assert_allclose(smooth, np.sort(s @ s - s**2), rtol=1e-9)


def test_determinant() -> None:
    rng = np.random.default_rng(5)
    u, Q = rng.standard_normal(4), random_metric(4, rng)
    implicit, parametric = closest_points(RANK_ONE, u, Q), closest_points(outer(2, 2), u, Q)
    assert implicit.complex_count == parametric.complex_count == 6
    smooth = [kind != "singular" for kind in implicit.kinds]
    other = [kind != "singular" for kind in parametric.kinds]
    np.testing.assert_allclose(implicit.points[smooth], parametric.points[other], atol=1e-8)
    assert [k for k in implicit.kinds if k != "singular"] == [k for k in parametric.kinds if k != "singular"]
    np.testing.assert_allclose(implicit.points[[not s for s in smooth]], np.zeros((1, 4)), atol=1e-8)


def test_symmetric_matrices_of_rank_deficiency_by_their_dual() -> None:
    """Rank-deficient symmetric 3 × 3, generic metric: 13. ED degrees of a cone and its dual, in the inverse metric, are
    equal (Draisma et al. 2016, Theorem 5.2); the dual is the cone of the w wᵀ."""
    rng = np.random.default_rng(1)
    basis = MonomialBasis(3, 2, homogeneous=True)
    result = closest_points(Parametrisation(basis, np.eye(6)), rng.standard_normal(6), random_metric(6, rng))
    assert result.complex_count == 13
    assert result.complete == "proved"  # 27 = 2 · 13 + 1 solutions


# --- curves, by brute force -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_ellipses_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    u = rng.standard_normal(2)
    angle = np.linspace(0, 2 * np.pi, 200_001)
    curve = np.stack([np.cos(angle), np.sin(angle) / 2], axis=1)
    distance = ((curve - u) ** 2).sum(axis=1)[:-1]
    is_minimum = (distance < np.roll(distance, 1)) & (distance < np.roll(distance, -1))
    is_maximum = (distance > np.roll(distance, 1)) & (distance > np.roll(distance, -1))
    result = closest_points(ELLIPSE, u)
    for kind, found in (("minimum", is_minimum), ("maximum", is_maximum)):
        mine = result.points[[k == kind for k in result.kinds]]
        order = np.argsort(distance[found])
        np.testing.assert_allclose(mine, curve[:-1][found][order], atol=1e-4)
    np.testing.assert_allclose(result.minima[0], result.closest)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("model", [CUSP, CUSP_MAP])
def test_the_cusp_is_closest_for_a_full_dimensional_set(model: Variety | Parametrisation, seed: int) -> None:
    """|(−t², t³) − u|² = |u|² + t² (t⁴ + t² − 2 u₂ t + 2 u₁): the cusp is closest iff the quartic is nonnegative."""
    rng = np.random.default_rng(seed)
    u = rng.uniform(-0.3, 0.3, 2)
    t = np.linspace(-3, 3, 200_001)
    rest = t**4 + t**2 - 2 * u[1] * t + 2 * u[0]
    assert abs(rest.min()) > 1e-4  # far from the boundary of the Voronoi cell
    result = closest_points(model, u)
    assert is_complete(result)
    assert result.complex_count == 4
    assert (result.kinds[0] == "singular") == (rest.min() > 0)
    assert result.distance == pytest.approx(float((t**2 * rest).min() + u @ u), abs=1e-7)
    assert "singular" in result.kinds
    cusp = result.points[result.kinds.index("singular")]
    np.testing.assert_allclose(cusp, 0, atol=1e-8)


def test_maps_and_equations_of_one_curve_agree() -> None:
    rng = np.random.default_rng(8)
    for _ in range(5):
        u, Q = rng.standard_normal(2), random_metric(2, rng)
        a, b = closest_points(CUSP, u, Q), closest_points(CUSP_MAP, u, Q)
        np.testing.assert_allclose(a.distances, b.distances, atol=1e-8)
        assert a.kinds == b.kinds
        assert a.complex_count == b.complex_count
        assert a.parameters is None
        assert b.parameters is not None
        np.testing.assert_allclose(CUSP_MAP.evaluate(b.parameters), b.points, atol=1e-9)


def test_parameters_with_the_same_image_are_one_point() -> None:
    square = Parametrisation(MonomialBasis(1, 4), [[0, 0, 1, 0, 0], [0, 0, 0, 0, 1]])  # t ↦ (t², t⁴)
    result = closest_points(square, [1.0, 2.0])
    parabola = closest_points(Variety(MonomialBasis(2, 2), [[0, 0, -1, 1, 0, 0]]), [1.0, 2.0])
    assert result.complex_count == parabola.complex_count == 3
    assert len({tuple(p.round(6)) for p in result.points}) == len(result)


# --- more equations than the codimension ------------------------------------------------------------------------------


def two_minors(matrix: Any) -> list[Any]:
    """All 2 × 2 minors of a matrix of sympy expressions."""
    rows, columns = (list(combinations(range(n), 2)) for n in matrix.shape)
    return [matrix.extract(list(r), list(c)).det() for r in rows for c in columns]


def critical_on_curve(curve: np.ndarray, u: np.ndarray, cone: bool) -> tuple[int, np.ndarray]:
    """Complex count and real squared distances, for polynomials v_i(t) (a row each) or the cone of the s v(t).

    Roots of one polynomial in t: half the derivative of |v − u|²; of the squared distance |u|² − (v·u)²/|v|² from a
    line, the factor (v'·u) |v|² − (v·u) (v·v').
    """
    P = np.polynomial.polynomial

    def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(reduce(P.polyadd, (P.polymul(x, y) for x, y in zip(a, b))))

    slope = np.array([P.polyder(row) for row in curve])
    length, along = dot(curve, curve), u @ curve
    half = P.polysub(dot(slope, curve), u @ slope)
    if cone:
        half = P.polysub(P.polymul(u @ slope, length), P.polymul(along, dot(slope, curve)))
    roots = P.polyroots(P.polytrim(half, 1e-12))
    t = roots[np.abs(roots.imag) < 1e-9].real
    p, q = P.polyval(t, along), P.polyval(t, length)
    return len(roots), np.sort(u @ u - p**2 / q if cone else u @ u - 2 * p + q)


@pytest.mark.parametrize("shape", ["curve", "with another coordinate", "cone", "quartic", "quartic cone"])
def test_rational_normal_curves_by_all_their_quadrics(shape: str) -> None:
    """The 2 × 2 minors of the Hankel matrix of 1, t, ..., tᵈ: 2d − 1 for the curve, 3d − 2 for the cone over it."""
    sympy = pytest.importorskip("sympy")
    d, cone = 4 if "quartic" in shape else 3, "cone" in shape
    x = sympy.symbols(f"x:{d + 1}")
    equations, symbols, curve = two_minors(sympy.Matrix([x[:-1], x[1:]])), list(x), np.eye(d + 1)
    if not cone:
        equations, symbols, curve = [e.subs(x[0], 1) for e in equations], symbols[1:], curve[1:]
    if shape == "with another coordinate":
        other = sympy.Symbol("w")
        equations, symbols, curve = [*equations, other - x[1]], [*symbols, other], curve[[0, 1, 2, 0]]
    u = np.random.default_rng(1).standard_normal(len(symbols))
    count, distances = critical_on_curve(curve, u, cone)
    assert count == (3 * d - 2 if cone else 2 * d - 1)
    method = "search" if shape == "quartic cone" else "auto"
    result = closest_points(Variety.from_sympy(equations, symbols), u, method=method, n_starts=40)
    if method == "auto":
        assert result.complex_count == count
        assert is_complete(result)
    smooth = [d for d, kind in zip(result.distances, result.kinds) if kind != "singular"]
    np.testing.assert_allclose(smooth, distances, rtol=1e-8)
    assert ("singular" in result.kinds) <= cone


def test_segre_by_all_minors() -> None:
    """2 × 3 matrices of rank one: Eckart and Young."""
    sympy = pytest.importorskip("sympy")
    x = sympy.symbols("x:6")
    u = np.random.default_rng(0).standard_normal((2, 3))
    result = closest_points(Variety.from_sympy(two_minors(sympy.Matrix(2, 3, x)), x), u.reshape(-1))
    s = np.linalg.svd(u, compute_uv=False)
    assert result.complex_count == 2
    assert result.kinds == ("minimum", "saddle", "singular")
    np.testing.assert_allclose(result.distances, [s[1] ** 2, s[0] ** 2, s @ s], atol=1e-8)


def test_coordinate_axes() -> None:
    """Newton's method with all singular values ends where they meet."""
    sympy = pytest.importorskip("sympy")
    x, y, z = sympy.symbols("x y z")
    result = closest_points(Variety.from_sympy([x * y, x * z, 10**8 * y * z], [x, y, z]), [1.0, 2.0, 3.0])
    assert result.complex_count == 3
    assert result.kinds == ("minimum", "minimum", "minimum", "singular")
    np.testing.assert_allclose(result.points, [[0, 0, 3], [0, 2, 0], [1, 0, 0], [0, 0, 0]], atol=1e-8)


def test_embedded_points_are_singular() -> None:
    """x (x² + y²), y (x² + y²): two complex lines, simple but for the origin; and a line with such a point."""
    sympy = pytest.importorskip("sympy")
    x, y = sympy.symbols("x y")
    lines = closest_points(Variety.from_sympy([x * (x**2 + y**2), y * (x**2 + y**2)], [x, y]), [1.0, 2.0])
    assert lines.kinds == ("singular",)
    np.testing.assert_allclose(lines.closest, [0, 0], atol=1e-8)
    line = closest_points(Variety.from_sympy([x**2, x * y], [x, y]), [1.0, 2.0])
    assert line.kinds == ("minimum", "singular")
    np.testing.assert_allclose(line.points, [[0, 2], [0, 0]], atol=1e-8)


# --- singular loci, components, dimensions ----------------------------------------------------------------------------


def test_curves_of_singular_points() -> None:
    """Whitney's umbrella x² = y² z is singular along the z-axis: the closest point can be there."""
    umbrella = Variety(pc.MonomialSupport(MonomialBasis(3, 3), [(2, 0, 0), (0, 2, 1)]), [[1, -1]])
    result = closest_points(umbrella, [0.05, 0.1, -1.0])
    assert result.kinds[0] == "singular"
    np.testing.assert_allclose(result.closest, [0, 0, -1.0], atol=1e-7)


def test_crossing_lines() -> None:
    lines = Variety(MonomialBasis(2, 2), [[0, 0, 0, 0, 1, 0]])  # x y = 0
    result = closest_points(lines, [2.0, 1.0])
    assert result.kinds == ("minimum", "minimum", "singular")
    np.testing.assert_allclose(result.points, [[2, 0], [0, 1], [0, 0]], atol=1e-9)


def test_components_of_different_dimension_are_searched() -> None:
    sympy = pytest.importorskip("sympy")
    x, y = sympy.symbols("x y")
    model = Variety.from_sympy([x * (x**2 + y**2 - 1), y * (x**2 + y**2 - 1)], [x, y])  # a circle and its centre
    result = closest_points(model, [0.2, 0.1])
    assert result.complete == "estimate"
    assert result.complex_count is None
    np.testing.assert_allclose(result.closest, [0, 0], atol=1e-7)
    with pytest.raises(ValueError, match="components"):
        closest_points(model, [0.2, 0.1], method="solve")


def test_finitely_many_points_and_all_points() -> None:
    points = Variety(MonomialBasis(2, 2), [[-1, 0, 0, 1, 0, 0], [-4, 0, 0, 0, 0, 1]])  # x² = 1, y² = 4
    result = closest_points(points, [0.5, 1.0])
    assert result.complex_count == 4
    assert set(result.kinds) == {"minimum"}
    np.testing.assert_allclose(result.closest, [1, 2], atol=1e-12)
    everything = closest_points(Variety(MonomialBasis(2, 1), [[0, 0, 0]]), [0.5, 1.0])
    assert everything.distance == 0
    np.testing.assert_array_equal(everything.closest, [0.5, 1.0])


def test_an_isolated_real_point_of_a_complex_curve() -> None:
    result = closest_points(Variety(MonomialBasis(2, 2), [[0, 0, 0, 1, 0, 1]]), [2.0, 1.0])  # x² + y² = 0
    np.testing.assert_allclose(result.closest, [0, 0], atol=1e-9)
    assert result.kinds == ("singular",)


def test_semidefinite_metrics() -> None:
    """Only the first coordinate counts: the nearest points of the ellipse have it equal, at distance zero."""
    result = closest_points(ELLIPSE, [0.5, 9.0], np.diag([1.0, 0.0]))
    assert result.distance == pytest.approx(0, abs=1e-12)
    assert result.closest[0] == pytest.approx(0.5, abs=1e-6)


# --- searching --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [ELLIPSE, CUSP_MAP, RANK_ONE, CUSP])
def test_searches_find_what_solving_finds(model: Variety | Parametrisation) -> None:
    rng = np.random.default_rng(4)
    u = 0.7 * rng.standard_normal(model.n_coordinates)
    solved, searched = closest_points(model, u), closest_points(model, u, method="search", n_starts=60)
    assert searched.complete == "estimate"
    assert searched.method == "search"
    assert searched.complex_count is None
    smooth = [(x, k) for x, k in zip(solved.points, solved.kinds) if k != "singular"]
    for x, kind in smooth:
        near = np.linalg.norm(searched.points - x, axis=1)
        assert near.min() < 1e-6
        assert searched.kinds[int(np.argmin(near))] == kind
    assert searched.distance == pytest.approx(solved.distance, abs=1e-3)


def test_the_centre_of_a_circle() -> None:
    with pytest.raises(ValueError, match="infinitely many"):
        closest_points(CIRCLE, [0.0, 0.0], method="solve")
    result = closest_points(CIRCLE, [0.0, 0.0], n_starts=40)
    np.testing.assert_allclose(result.distances, 1.0)
    assert result.kinds == ("degenerate",) * 5
    assert not result.finite
    assert "infinitely many critical points at squared distance 1" in result.reason
    assert repr(result).splitlines()[0].endswith("infinitely many real critical points, 5 of them listed, estimate")
    assert not closest_points(CIRCLE, [0.0, 0.0], n_starts=1).finite
    assert closest_points(CIRCLE, [1e-3, 0.0]).finite


SURFACES = (
    # name, equation, u, squared distances of families, of single points
    ("x**2 + y**2 + z**2 - 4", (0, 0, 0), [4], []),
    ("(x - 30)**2 + (y - 40)**2 + z**2 - 1/100", (30, 40, 0), [1 / 100], []),
    ("x**2 + y**2 - 1", (0, 0, 3), [1], []),  # a cylinder: the circle at the height of u
    ("x**2 + y**2 + 4*z**2 - 1", (0, 0, 1 / 10), [76 / 75], [4 / 25, 9 / 25]),
    ("z - x**2 - y**2", (0, 0, 2), [7 / 4], [4]),
    ("(x**2 + y**2 - 1)*(x**2 + y**2 - 4)", (0, 0), [1, 4], []),
)


@pytest.mark.parametrize(("equation", "u", "families", "single"), SURFACES)
def test_families_of_critical_points(
    equation: str, u: tuple[float, ...], families: list[float], single: list[float]
) -> None:
    sympy = pytest.importorskip("sympy")
    model = Variety.from_sympy([sympy.sympify(equation)], sympy.symbols("x y z")[: len(u)])
    result = closest_points(model, u, n_starts=30)
    assert not result.finite
    np.testing.assert_allclose(result.distances, sorted([d for d in families for _ in range(5)] + single), rtol=1e-8)
    assert [k == "degenerate" for k in result.kinds].count(True) == 5 * len(families)
    points = result.points[[k == "degenerate" for k in result.kinds]].reshape(len(families), 5, len(u))
    assert all(np.linalg.norm(p - q) > 0.01 for family in points for p, q in combinations(family, 2))


def test_families_on_images() -> None:
    """The same paraboloid as the graph of s² + t²; and matrices of rank one around the identity."""
    basis = MonomialBasis(2, 2)
    graph = Parametrisation(basis, [[0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 1]])
    result = closest_points(graph, [0, 0, 2], n_starts=40)
    assert not result.finite
    np.testing.assert_allclose(result.distances, [7 / 4] * 5 + [4])
    rank_one = closest_points(outer(2, 2), [1, 0, 0, 1], n_starts=40)
    assert not rank_one.finite
    assert len(rank_one) == 5
    np.testing.assert_allclose(rank_one.distances, 1)


def test_families_of_singular_points() -> None:
    """Two planes that meet in a line, in a metric in which all of its points are equally far."""
    planes = Variety(pc.MonomialSupport(MonomialBasis(3, 2), [(1, 1, 0)]), [[1]])
    result = closest_points(planes, [1, 2, 3], np.diag([1, 1, 0]), n_starts=30)
    assert result.kinds == ("degenerate",) * 10 + ("singular",) * 5
    assert not result.finite
    np.testing.assert_allclose(result.distances, [1] * 5 + [4] * 5 + [5] * 5)


def test_families_of_networks() -> None:
    result = closest_points(pc.MLP((2, 1, 1), activation=2), [1.0, 0.0, 1.0], "bombieri_weyl")
    assert not result.finite
    assert "infinitely many" in repr(result)


def test_isolated_degenerate_points_are_one() -> None:
    """The centre of curvature of the vertex of a parabola: half the squared distance is t⁴ + 1/4 there."""
    parabola = Variety(MonomialBasis(2, 2), [[0, 0, -1, 1, 0, 0]])
    for model in (parabola, Parametrisation(MonomialBasis(1, 2), [[0, 1, 0], [0, 0, 1]])):
        for method in ("solve", "search"):
            result = closest_points(model, [0, 0.5], method=method, n_starts=20)
            assert result.finite
            assert result.kinds == ("degenerate",)
            np.testing.assert_allclose(result.points, [[0, 0]], atol=1e-3)


def test_seeds() -> None:
    u = np.array([-1.0, 0.3])
    a, b = (closest_points(CUSP_MAP, u, method="search", n_starts=10, rng=7, n_threads=k) for k in (1, 2))
    assert len(a) > 1
    assert np.array_equal(a.points, b.points)
    assert a.seed == 7
    drawn = closest_points(CIRCLE, [1.0, 2.0], rng=np.random.default_rng(1))
    again = closest_points(CIRCLE, [1.0, 2.0], rng=drawn.seed)
    assert np.array_equal(drawn.points, again.points)


# --- networks ---------------------------------------------------------------------------------------------------------


def test_networks() -> None:
    rng = np.random.default_rng(2)
    net = pc.MLP((2, 1, 1), activation=3)
    u = rng.standard_normal(4)
    result = closest_points(net, u, n_starts=60)
    chart = closest_points(powers(3), u)
    assert result.complex_count == 7
    smooth = [x for x, kind in zip(chart.points, chart.kinds) if kind != "singular"]
    for x in smooth:
        assert np.linalg.norm(result.points - x, axis=1).min() < 1e-6
    assert result.parameters is not None
    np.testing.assert_allclose(net.expand(result.parameters)[:, 0], result.points, atol=1e-9)
    np.testing.assert_allclose(result.distances, ((result.points - u) ** 2).sum(axis=1), rtol=1e-9)
    weyl = closest_points(net, u[None], "bombieri_weyl")
    assert weyl.complex_count == 3
    assert weyl.complete == "proved"


def test_linear_networks_are_eckart_and_young() -> None:
    u = np.random.default_rng(3).standard_normal((2, 2))
    result = closest_points(pc.MLP((2, 1, 2), activation=1), u)
    s = np.linalg.svd(u, compute_uv=False)
    np.testing.assert_allclose(result.distances, [s[1] ** 2, s[0] ** 2, s @ s], rtol=1e-9)
    assert result.complete == "proved"


# --- what is shown and refused ----------------------------------------------------------------------------------------


def test_the_summary() -> None:
    text = repr(closest_points(ELLIPSE, [1.0, 1.0]))
    for words in ("Variety(1 equation", "real critical points", "minimum", "4 complex critical points"):
        assert words in text
    # 16x⁵ − 20x³ + 5x = 0, the same in y: a grid of 25 points.
    basis, coef = MonomialBasis(2, 5), np.zeros((2, 21))
    for degree, c in ((1, 5), (3, -20), (5, 16)):
        coef[[0, 1], basis.index(np.array([[degree, 0], [0, degree]]))] = c
    many = closest_points(Variety(basis, coef), [0.1, 0.2])
    assert len(many) == many.complex_count == 25
    assert "and 5 more" in repr(many)


@pytest.mark.parametrize("u", [(1e100, 0.0), (3e20, -4e20), (1e10, 3.0)])
def test_points_far_from_a_circle(u: tuple[float, float]) -> None:
    found = closest_points(CIRCLE, u)
    unit = np.array(u) / np.hypot(*u)
    np.testing.assert_allclose(found.points, [unit, -unit], rtol=1e-12)
    assert (found.kinds, found.complex_count) == (("minimum", "maximum"), 2)


def test_points_too_far_away_are_refused_without_a_word_on_the_model() -> None:
    with pytest.raises(pc.NumericalError, match="`u` is too far away"):
        closest_points(ELLIPSE, [1e120, 1e120])
    with pytest.raises(ValueError, match="`model` has no real points"):
        closest_points(Variety(MonomialBasis(2, 2), [[1, 0, 0, 1, 0, 4]]), [1e10, 1e10])


def test_empty_varieties_are_refused() -> None:
    with pytest.raises(ValueError, match="no real points"):
        closest_points(Variety(MonomialBasis(2, 2), [[1, 0, 0, 1, 0, 1]]), [1.0, 2.0])
    with pytest.raises(ValueError, match="no points"):
        closest_points(Variety(MonomialBasis(1, 1), [[0, 1], [1, 1]]), [1.0])
    with pytest.raises(ValueError, match="no points"):
        closest_points(Variety(MonomialBasis(1, 1), [[1, 0]]), [1.0])


@pytest.mark.parametrize("power", [2, 3, 4])
def test_equations_to_higher_order_are_refused(power: int) -> None:
    sympy = pytest.importorskip("sympy")
    x, y, z = sympy.symbols("x y z")
    circle = (x**2 + y**2 - 1) ** power
    for equations, symbols in (([circle], [x, y]), ([circle, z], [x, y, z]), ([x**power * (x**3 + y - 1)], [x, y])):
        with pytest.raises(ValueError, match="higher order"):
            closest_points(Variety.from_sympy(equations, symbols), np.arange(1.0, 1 + len(symbols)))


def test_bad_arguments() -> None:
    for call, name in (
        (lambda: closest_points("model", [1.0]), "model"),  # type: ignore[arg-type]
        (lambda: closest_points(CIRCLE, [1.0]), "u"),
        (lambda: closest_points(CIRCLE, [1.0, np.nan]), "u"),
        (lambda: closest_points(CIRCLE, [1.0, 2.0], np.eye(3)), "Q"),
        (lambda: closest_points(CIRCLE, [1.0, 2.0], [[1.0, 1.0], [0.0, 1.0]]), "Q"),
        (lambda: closest_points(CIRCLE, [1.0, 2.0], "identity"), "Q"),
        (lambda: closest_points(CIRCLE, [1.0, 2.0], method="newton"), "method"),
        (lambda: closest_points(CIRCLE, [1.0, 2.0], n_starts=0), "n_starts"),
        (lambda: closest_points(CIRCLE, [1.0, 2.0], rng=None), "rng"),
        (lambda: closest_points(CIRCLE, [1.0, 2.0], n_threads=-1), "n_threads"),
        (lambda: closest_points(pc.MLP((2, 1, 1), 2), [1.0, 2.0]), "u"),
        (lambda: closest_points(outer(4, 4), np.ones(16), method="solve"), "method"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"`{name}`"):
            call()
    with pytest.raises(ValueError, match=r"eigenvalue.*-1"):
        closest_points(CIRCLE, [1.0, 2.0], [[0.0, 1.0], [1.0, 0.0]])


def test_huge_degrees_are_not_solved() -> None:
    basis = pc.MonomialSupport(MonomialBasis(2, 100), [(100, 0), (0, 100), (0, 0)])
    with pytest.raises(ValueError, match="too large"):
        closest_points(Variety(basis, [[-1, 1, 1]]), [2.0, 1.5], method="solve")


def test_rounded_squares_are_searched() -> None:
    model = Variety(pc.MonomialSupport(MonomialBasis(2, 14), [(14, 0), (0, 14), (0, 0)]), [[-1, 1, 1]])
    result = closest_points(model, [2.0, 1.5], method="search", n_starts=20)
    t = np.linspace(0.3, 1.2, 200_001)
    x = np.cos(t) / (np.cos(t) ** 14 + np.sin(t) ** 14) ** (1 / 14)
    y = x * np.tan(t)
    assert result.distance == pytest.approx(((x - 2) ** 2 + (y - 1.5) ** 2).min(), abs=1e-8)
