# SPDX-License-Identifier: BSD-3-Clause
"""Maps of the number of critical points, against discriminants that are known exactly."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import Polynomial

import polycore as pc
from polycore._quadtree import Square, as_plane, refine
from polycore.count_map import count_map as count_map_function

PARABOLA = pc.Parametrisation(pc.MonomialBasis(1, 2), [[0, 1, 0], [0, 0, 1]])
NEURON = pc.MLP((2, 1, 1), activation=2)


def centre(cell: pc.CountCell) -> np.ndarray:
    return np.add(cell.low, cell.high) / 2


def normals_of_the_parabola(x: float, y: float) -> int:
    """Real zeros of 2t³ + (1 − 2y) t − x, by its discriminant −8 (1 − 2y)³ − 108 x²: normals at (t, t²)."""
    return 3 if -8 * (1 - 2 * y) ** 3 - 108 * x**2 > 0 else 1


def normals_of_the_ellipse(x: float, y: float, a: float, b: float) -> int:
    """Inside the evolute (ax)^⅔ + (by)^⅔ = (a² − b²)^⅔ there are four, outside two (Apollonius, Conics V)."""
    return 4 if abs(a * x) ** (2 / 3) + abs(b * y) ** (2 / 3) < (a**2 - b**2) ** (2 / 3) else 2


def functions_of_a_neuron(target: np.ndarray, metric: np.ndarray) -> int:
    """How many c (p x + q y)² with c ≠ 0 are critical for the distance to a binary quadratic form.

    With v = (p², 2pq, q²), N = ⟨v, u⟩ and D = ⟨v, v⟩, the best c for a direction leaves ‖u‖² − N²/D. The direction is
    critical for N ≠ 0 iff 2 N' D − N D' = 0, a binary form of degree four in (p : q).
    """
    p, q = Polynomial([-0.6, 0.8]), Polynomial([0.8, 0.6])  # no zero is at infinity, but for special targets
    squares = [p * p, 2 * p * q, q * q]
    n = sum((f * v for f, v in zip(metric @ target, squares)), Polynomial([0]))
    d = sum((metric[i, j] * squares[i] * squares[j] for i in range(3) for j in range(3)), Polynomial([0]))
    slope = 2 * n.deriv() * d - n * d.deriv()
    zeros = Polynomial(slope.coef[:5]).roots()  # terms of degree five cancel
    real = zeros.real[np.abs(zeros.imag) < 1e-9 * np.maximum(1, np.abs(zeros))]
    return int((np.abs(n(real)) > 1e-9).sum())


# -- the discriminant -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_the_parabola() -> pc.CountMap:
    return pc.count_map(PARABOLA, lambda x, y: [x, y], low=(-2, -0.5), high=(2, 2), resolution=6, refinements=2)


def test_normals_of_a_parabola(of_the_parabola: pc.CountMap) -> None:
    found = of_the_parabola
    for cell in found.cells:
        assert cell.count == normals_of_the_parabola(*centre(cell))
    assert {cell.count for cell in found.cells} == {1, 3}
    assert found.complete == "proved"
    # Two minima and the maximum between them, as along every line.
    assert {tuple(cell.kinds.items()) for cell in found.cells} == {
        (("minimum", 1),),
        (("minimum", 2), ("maximum", 1)),
    }


def test_jumps_are_by_two_and_where_the_evolute_is(of_the_parabola: pc.CountMap) -> None:
    found = of_the_parabola
    assert (found.jump_sizes == 2).all()
    finest = 4 / 24
    for (a, b), (c, d) in found.jumps:
        assert a == c or b == d
        # Across the edge, a cell away at most, the evolute is crossed.
        across = np.array([b - d, a - c]) / (abs(a - c) + abs(b - d)) * finest
        middle = np.array([(a + c) / 2, (b + d) / 2])
        assert normals_of_the_parabola(*(middle + across)) != normals_of_the_parabola(*(middle - across))


def test_cells_fill_the_rectangle_and_are_small_at_jumps(of_the_parabola: pc.CountMap) -> None:
    found = of_the_parabola
    areas = [np.prod(np.subtract(cell.high, cell.low)) for cell in found.cells]
    assert sum(areas) == pytest.approx(4 * 2.5)
    assert len({(cell.low, cell.high) for cell in found.cells}) == len(found.cells)
    sizes = {round(cell.high[0] - cell.low[0], 12) for cell in found.cells}
    assert sizes == {round(4 / 6 / 2**k, 12) for k in range(3)}
    lengths = np.abs(found.jumps[:, 1] - found.jumps[:, 0]).max(axis=1)
    assert lengths.max() <= 4 / 24 + 1e-12
    # The grid of counts says the same as the cells.
    assert found.counts.shape == (24, 24)
    for j, t in enumerate(found.t):
        for i, s in enumerate(found.s):
            (holder,) = [c for c in found.cells if c.low[0] < s < c.high[0] and c.low[1] < t < c.high[1]]
            assert found.counts[j, i] == holder.count


def test_normals_of_an_ellipse() -> None:
    ellipse = pc.Variety(pc.MonomialBasis(2, 2), [[-1, 0, 0, 1 / 4, 0, 1]])
    found = pc.count_map(ellipse, lambda x, y: [x, y], low=(-0.1, -0.2), high=(2.1, 3.4), resolution=4, refinements=1)
    counts = [cell.count for cell in found.cells]
    assert counts == [normals_of_the_ellipse(*centre(cell), 2.0, 1.0) for cell in found.cells]
    assert set(counts) == {2, 4}
    assert found.complete in ("proved", "counted")


@pytest.mark.parametrize("seed", range(3))
def test_a_neuron_in_any_metric(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(3, 3))
    metric = root @ root.T + 0.2 * np.eye(3)
    family = pc.AffineFamily([[1, 0, 1]], rng.normal(size=(1, 3)), rng.normal(size=(1, 3)), metric)
    found = pc.count_map(NEURON, family, resolution=5, refinements=1, n_starts=12, rng=seed, spurious=False)
    for cell in found.cells:
        assert cell.count == functions_of_a_neuron(family.at(*centre(cell))[0], metric)
    assert not (found.jump_sizes % 2).any()
    assert found.complete == "estimate"


def test_two_neurons_have_the_points_of_one_which_are_spurious() -> None:
    """All quadratic forms are reached: pure is the target itself alone; the others are critical for a unit left out."""
    family = pc.AffineFamily([[1, 0.1, 1]], [[1, 0, -1]], [[0, 1, 0]])
    wide = pc.MLP((2, 2, 1), activation=2)
    found = pc.count_map(wide, family, low=(-0.4, -0.4), high=(0.4, 0.4), resolution=3, refinements=0, n_starts=16)
    for cell in found.cells:
        assert cell.count == functions_of_a_neuron(family.at(*centre(cell))[0], np.eye(3)) + 2  # the target, and 0
        assert cell.spurious == cell.count - 1
        np.testing.assert_allclose(cell.points[0], family.at(*centre(cell)).ravel(), atol=1e-7)
    assert set(np.unique(found.counts)) == {4, 6}
    pure = pc.count_map(wide, family, resolution=1, refinements=0, n_starts=16, spurious=False)
    assert (pure.counts == 1).all()


def test_closed_forms_are_taken() -> None:
    """Eckart and Young: a matrix of rank two has three best approximations of rank at most one, critical, with 0."""
    linear = pc.MLP((2, 1, 2), activation=1)
    family = pc.AffineFamily([[1, 0], [0, 0.4]], [[1, 0], [0, 0]], [[0, 1], [0, 0]])
    found = pc.count_map(linear, family, low=(-0.3, -0.3), high=(0.3, 0.3), resolution=3, refinements=1)
    assert found.complete == "proved"
    assert (found.counts == 3).all()
    assert not len(found.jumps)


@pytest.mark.parametrize("r", [2, 3, 4])
def test_eigenvectors_of_binary_forms(r: int) -> None:
    """In the Bombieri–Weyl metric c (p x + q y)^r is critical iff (p, q) is an eigenvector: x f_y = y f_x there.

    D. Cartwright, B. Sturmfels, *The number of eigenvalues of a tensor*, Linear Algebra Appl. 438 (2013).
    """
    family = pc.AffineFamily(*np.random.default_rng(r).normal(size=(3, 1, r + 1)), metric="bombieri_weyl")
    net = pc.MLP((2, 1, 1), activation=r)
    found = pc.count_map(net, family, resolution=5, refinements=1, spurious=False)
    assert found.complete == "proved"
    for cell in found.cells:
        form = Polynomial(family.at(*centre(cell))[0])  # f(1, y)
        y = Polynomial([0, 1])
        # f_x(1, y) = r f − y f_y by Euler's identity
        zeros = (form.deriv() - y * (r * form - y * form.deriv())).roots()
        assert cell.count == np.count_nonzero(np.abs(zeros.imag) < 1e-9)
    assert not (found.jump_sizes % 2).any()


def test_data_sets_are_a_family() -> None:
    """Two of the observations are varied; the discriminant is that of the metric and target they make."""
    X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])

    def family(s: float, t: float) -> pc.QDistance:
        return pc.QDistance.from_data(X, np.array([[1.0], [1.0], [2.0 + s], [2.0 + t]]), NEURON.basis)

    found = pc.count_map(NEURON, family, resolution=3, refinements=0, n_starts=12, spurious=False)
    for cell in found.cells:
        loss = family(*centre(cell))
        assert cell.count == functions_of_a_neuron(loss.target[0], loss.gram)
        best = cell.points[0]
        np.testing.assert_allclose(cell.values[0], loss.value(best[None]) + loss.constant)


# -- reproducible, and stopped ----------------------------------------------------------------------------------------


def fingerprint(found: pc.CountMap) -> Any:
    return [(c.low, c.count, c.kinds, c.points.tobytes(), c.values.tobytes()) for c in found.cells], found.seed


def small_map(**options: Any) -> pc.CountMap:
    family = pc.AffineFamily([[1, 0, 1]], [[1, 0, -1]], [[0, 1, 0]])
    return pc.count_map(NEURON, family, resolution=2, refinements=1, n_starts=8, **options)


def test_a_seed_and_any_number_of_threads_give_the_same_map() -> None:
    first = small_map(rng=5)
    assert first.seed == 5
    assert (
        fingerprint(first) == fingerprint(small_map(rng=5, n_threads=1)) == fingerprint(small_map(rng=5, n_threads=2))
    )
    drawn = small_map(rng=np.random.default_rng(0))
    assert fingerprint(drawn) == fingerprint(small_map(rng=drawn.seed))


def test_no_time_gives_an_empty_partial_map() -> None:
    found = small_map(time_budget=0.0)
    assert found.partial
    assert found.stopped == "time"
    assert not found.cells
    assert (found.counts == -1).all()
    assert found.complete == "estimate"
    assert "partial" in repr(found)


@pytest.mark.parametrize("stop_at", [3, 17, 25])
def test_an_interrupt_keeps_whole_squares(stop_at: int) -> None:
    """Squares that are quartered are kept whole until all four quarters are done."""
    whole = count_map_function(PARABOLA, lambda x, y: [x, y], low=(-1, 0), high=(1, 2), resolution=4, refinements=1)
    calls = 0

    def family(x: float, y: float) -> list[float]:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        return [x, y]

    found = pc.count_map(PARABOLA, family, low=(-1, 0), high=(1, 2), resolution=4, refinements=1)
    assert found.stopped == "interrupted"
    assert found.partial
    expected = {3: 2, 17: 16, 25: 16 + 3 * 2}[stop_at]
    assert len(found.cells) == expected
    held = {(c.low, c.high): c.count for c in whole.cells}
    for cell in found.cells:
        assert held.get((cell.low, cell.high), cell.count) == cell.count
        assert cell.count == normals_of_the_parabola(*centre(cell))
    assert len(whole.cells) > len(found.cells)


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    found = pc.count_map(
        PARABOLA,
        lambda x, y: [x, y],
        low=(-1, 0),
        high=(1, 2),
        resolution=3,
        refinements=1,
        progress=lambda done, total: told.append((done, total)),
    )
    assert [done for done, _ in told] == list(range(1, found.n_searches + 1))
    assert told[0] == (1, 9)
    assert all(done <= total for done, total in told)


def test_the_summary(of_the_parabola: pc.CountMap) -> None:
    lines = repr(of_the_parabola).splitlines()
    assert lines[0] == "Parametrisation(1 parameter, 2 coordinates, degree 2) over [-2, 2] × [-0.5, 2]"
    assert lines[1].startswith("  1 point: 1 minimum; ")
    assert lines[2].startswith("  3 points: 2 minima, 1 maximum; ")
    shares = [float(line.split("; ")[-1].split("%")[0]) for line in lines[1:3]]
    assert sum(shares) == pytest.approx(100, abs=0.11)
    assert f"{len(of_the_parabola.cells)}, the finest 1/24 of an axis" in lines[3]
    assert "all even" in lines[4]
    assert lines[-1] == "  seed        0"


# -- the squares ------------------------------------------------------------------------------------------------------


def test_squares_are_quartered_where_neighbours_differ() -> None:
    plane = as_plane((0, 0), (1, 1), 2, 3)
    inside: dict[Square, bool] = {}
    refine(plane, inside, lambda square, _: bool(np.linalg.norm(plane.centre(square)) < 0.6), lambda a, b: a == b)
    squares = list(inside)
    assert sum(0.25**square.level for square in squares) == pytest.approx(4)
    pairs = plane.neighbours(squares)
    # By the definition: two rectangles share a segment.
    expected = set()
    for i, a in enumerate(squares):
        for j in range(i):
            (al, ah), (bl, bh) = plane.corners(a), plane.corners(squares[j])
            overlap = np.minimum(ah, bh) - np.maximum(al, bl)
            if sorted(np.sign(np.round(overlap, 12))) == [0, 1]:
                expected.add((j, i))
    assert set(map(tuple, pairs.tolist())) == expected
    for a, b in pairs.tolist():
        if inside[squares[a]] != inside[squares[b]]:
            assert squares[a].level == squares[b].level == 3
    levels = Counter(square.level for square in squares)
    assert levels[3] > levels[1] > 0


def test_settling_spreads_what_one_square_has_found() -> None:
    """A point that a search misses at most members is followed to all of them."""
    family = pc.AffineFamily([[1, 0, 1]], [[1, 0, -1]], [[0, 1, 0]])
    # One random start at each square: nearly everything is missed there, but for the thorough searches at four.
    few = pc.count_map(NEURON, family, low=(-0.1, -0.1), high=(0.1, 0.1), resolution=4, refinements=0, n_starts=1)
    assert (few.counts == 5).all()


# -- arguments --------------------------------------------------------------------------------------------------------


def test_families_that_are_none() -> None:
    with pytest.raises(TypeError, match="`family` must be callable"):
        pc.count_map(NEURON, [1, 2])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`family` must return losses"):
        pc.count_map(NEURON, lambda s, t: [s, t], resolution=1, refinements=0)
    with pytest.raises(ValueError, match=r"`family\(s, t\)` must have shape \(m=2,\)"):
        pc.count_map(PARABOLA, lambda s, t: [s, t, 0.0], resolution=1, refinements=0)
    with pytest.raises(TypeError, match="`model` must be a Network"):
        pc.count_map("circle", lambda s, t: [s, t])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`first` must have the shape of `target`"):
        pc.AffineFamily([1.0, 2.0], [1.0], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"`metric`.*-1"):
        pc.AffineFamily([1.0, 2.0], [1.0, 0.0], [0.0, 1.0], [[1.0, 0.0], [0.0, -1.0]])
    with pytest.raises(ValueError, match="`high` must be larger"):
        pc.count_map(PARABOLA, lambda s, t: [s, t], low=(0, 0), high=(0, 1))
    with pytest.raises((MemoryError, OverflowError), match="finest squares"):
        pc.count_map(PARABOLA, lambda s, t: [s, t], refinements=30)
    with pytest.raises((MemoryError, OverflowError), match="`resolution`=1000000 "):
        pc.count_map(PARABOLA, lambda s, t: [s, t], resolution=10**6)
