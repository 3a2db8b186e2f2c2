# SPDX-License-Identifier: BSD-3-Clause
"""The points of a model that are closest to a given one, and all other critical points of the distance.

The model is the image of a polynomial map, the zero set of polynomial equations, or the function space of a network.
Over the complex numbers, the number of critical points on the smooth part is finite for almost every given point and
the same for almost all of them: the Euclidean distance (ED) degree of the model in this metric.

Source: J. Draisma, E. Horobeţ, G. Ottaviani, B. Sturmfels, R. R. Thomas, *The Euclidean distance degree of an algebraic
variety*, Found. Comput. Math. 16 (2016) 99–149.

Legend: ``m`` coordinates x, ``k`` parameters t, ``n`` points found, J the Jacobian of the map or of the equations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _linalg, chains, stationary
from ._polynomial_systems import PRIME, Solutions, System, is_solution, polish, residues, same, solve_system
from ._validation import _describe, as_index, as_real_array, as_rng, check_choice, check_threads
from .errors import NumericalError
from .loss import QDistance
from .network import Network
from .polynomial_models import Parametrisation, Variety, as_point_and_metric
from .symmetries import scaled_parameters

if TYPE_CHECKING:
    from .critical_point import CriticalPoint

__all__ = ["ClosestPoints", "closest_points"]

Vector = NDArray[np.float64]
Array = NDArray[Any]

METHODS = ("auto", "solve", "search")

# Coordinates of u that are larger are far away from points of size one.
_FAR = 1e3
_EPS = float(np.finfo(np.float64).eps)
# Unknowns of a system of equations that is solved completely.
_MOST_UNKNOWNS = 12
# Columns of a matrix in solving them; for the complex count of a network, which has its real points from elsewhere.
_COLUMNS, _FEW_COLUMNS = 2600, 1000
# Terms of all its equations together.
_MOST_TERMS = 200_000
# Minors of a Jacobian, whose common zeros are the singular points.
_MOST_MINORS = 400
# Imaginary parts below this, relative to the point, are rounding: of simple solutions, and of multiple ones.
_REAL, _NEARLY_REAL = 1e-9, 1e-4
# Singular values of a Jacobian below this fraction of the largest are zero, at points known to rounding.
_RANK = 1e-10
# Eigenvalues below this fraction of the largest are zero.
_FLAT = 1e-9
# Random points at which the codimension of a variety is measured, and the rank there.
_POINTS, _GENERIC_RANK = 8, 1e-5
# Points that differ by less, relative to their size, are one: polished ones, and others.
_SAME, _SAME_ROUGHLY = 1e-8, 1e-6
# Of infinitely many critical points at one distance so many are listed; squared distances that differ by less are one.
_REPRESENTATIVES, _LEVEL = 5, 1e-8
# Points with smaller eigenvalues are known roughly, to so much of their size.
_SOFT, _SAME_SOFT = 1e-5, 1e-2
# Steps from a critical point to others, relative to its size, and Newton steps to arrive there.
_ALONG, _ALONG_STEPS = 0.1, 20
# Steps along a variety, and onto it: far out, Newton's method divides x by 1 − 1/degree.
_STEPS, _NEWTON_STEPS = 80, 200
# Points of a variety that are looked for near one where its equations vanish to higher order.
_NEAR = 1e-2


@dataclass(frozen=True, eq=False, repr=False)
class ClosestPoints:
    """Real critical points of the squared distance from a model to a point, ascending by distance.

    Attributes
    ----------
    points : ndarray, shape (n, m)
        For a network, coefficients output by output.
    parameters : ndarray, shape (n, k), or None
        Parameters of each point; None if the model is given by equations.
    distances : ndarray, shape (n,)
        ‖x − u‖²_Q.
    kinds : tuple of str
        "minimum", "saddle" or "maximum" of the distance on the model near the point (a maximum only among neighbours);
        "degenerate" if second derivatives do not tell; "singular" where the model or its parametrisation is singular,
        which has to be compared with the others, since the closest point may be there.
    indices : tuple of int
        Negative eigenvalues of the second derivative of the distance on the model; −1 at singular points.
    complex_count : int or None
        Number of complex critical points on the smooth part: the ED degree of the model in this metric, if u is
        generic. None if the equations were not solved completely.
    finite : bool
        False if some of the critical points are not isolated, as on a circle around u: ``points`` then has at most
        five at each distance where they are infinitely many; for a network, as `critical_points`.
    complete : str
        Whether all real critical points and singular candidates were found: "proved" if there are as many complex
        solutions as Bézout's theorem allows; "counted" if there are as many as ranks modulo a prime say; "estimate".
    reason : str
        In words.
    method : str
        "solve" or "search".
    seed : int
        ``rng=seed`` reproduces the result.
    model : str
        Of which these are points.

    Notes
    -----
    For a parametrisation these are points of the image: where the image is not closed, or the map a chart, closest
    points may be missed, and then do not exist in the image.

    That critical points are not isolated is an estimate: steps along the kernel of the Hessian lead to others.
    """

    points: Vector
    parameters: Vector | None
    distances: Vector
    kinds: tuple[str, ...]
    indices: tuple[int, ...]
    complex_count: int | None
    finite: bool
    complete: str
    reason: str
    method: str
    seed: int
    model: str

    @property
    def closest(self) -> Vector:
        """The closest of all points found, shape (m,), singular ones included; ValueError if there are none."""
        self._require_points()
        return np.asarray(self.points[0])

    @property
    def distance(self) -> float:
        """Its squared distance; ValueError if no points were found."""
        self._require_points()
        return float(self.distances[0])

    @property
    def minima(self) -> Vector:
        """The local minima among the smooth points, shape (·, m)."""
        return np.asarray(self.points[[kind == "minimum" for kind in self.kinds]])

    def _require_points(self) -> None:
        if not len(self.points):
            raise ValueError(f"no points were found on {self.model}")

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        lines = [f"{self.model}: {len(self)} real critical point{'s' * (len(self) != 1)}, {self.complete}"]
        if not self.finite:
            lines = [f"{self.model}: infinitely many real critical points, {len(self)} of them listed, {self.complete}"]
        for x, distance, kind in list(zip(self.points, self.distances, self.kinds))[:20]:
            shown = ", ".join(f"{c:.5g}" for c in x[:6]) + (", ..." if len(x) > 6 else "")
            lines.append(f"  {distance:<12.6g} {kind:<10} ({shown})")
        if len(self) > 20:
            lines.append(f"  and {len(self) - 20} more")
        if self.complex_count is not None:
            lines.append(f"  {self.complex_count} complex critical points on the smooth part")
        return "\n".join([*lines, f"  {self.reason}"])


def closest_points(
    model: Network | Parametrisation | Variety,
    u: ArrayLike,
    Q: ArrayLike | str | None = None,
    *,
    method: str = "auto",
    n_starts: int = 200,
    rng: object = 0,
    n_threads: int = 0,
) -> ClosestPoints:
    """Real critical points of ‖x − u‖²_Q on a model: the closest one, and all others.

    Parameters
    ----------
    model : Network, Parametrisation or Variety
    u : array_like, shape (m,)
        For a network also (n_outputs, n_monomials).
    Q : array_like, shape (m, m), optional
        Symmetric positive semidefinite; by default the identity. For a network whatever `QDistance.from_metric` takes.
    method : {"auto", "solve", "search"}
        "solve" finds all complex solutions of the equations for critical points, "search" looks for real ones from
        random starts; "auto" searches where solving is out of reach.
    n_starts : int
        Random starts of a search.
    rng : int or numpy.random.Generator
        A seed; from a Generator a 64-bit seed is drawn.
    n_threads : int
        0 is the default number; results do not depend on it.

    Returns
    -------
    ClosestPoints

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If u or Q have the wrong shape or are not finite, Q is not symmetric positive semidefinite (with the most
        negative eigenvalue), ``n_starts`` < 1, the equations contradict each other, have no real solution (if that is
        certain) or vanish to higher order on their zeros, or ``method`` is "solve" and the equations are too many, or
        their solutions infinitely many.
    NumericalError
        If ‖u‖² overflows, or u is so far from a variety that its critical points are lost to rounding.

    Notes
    -----
    *Parametrisation* p: zeros of JᵀQ(p(t) − u), which are all parameters where the distance is critical, those where
    J loses rank included, such as the cusp of t ↦ (−t², t³). Parameters with the same image are one point.

    *Variety* of codimension c: zeros of the equations and of Q(x − u) − Jᵀλ; if there are more than c equations, the
    multipliers are those of c random combinations. Singular points, where the rank of J is less than c, are a variety
    themselves, and critical points of the distance there are candidates for the closest point: the cusp of y² + x³ = 0
    is closest for a set of u with interior.

    *Network*: `critical_points`; the complex count is that in the chart where the first weight of each hidden unit is
    1, where it can be had.

    Examples
    --------
    >>> from polycore import MonomialBasis
    >>> ellipse = Variety(MonomialBasis(2, 2), [[-1, 0, 0, 1, 0, 4]])  # x² + 4y² = 1
    >>> closest_points(ellipse, [1.0, 1.0]).complex_count
    4
    """
    check_choice(method, "method", METHODS)
    starts, threads = as_index(n_starts, "n_starts", 1, 10**6), check_threads(n_threads)
    generator, seed = as_rng(rng)
    if isinstance(model, Network):
        return _of_network(model, u, Q, method, starts, seed, threads)
    if not isinstance(model, (Parametrisation, Variety)):
        raise TypeError(f"`model` must be a Network, a Parametrisation or a Variety, got {_describe(model)}")
    if isinstance(Q, str):
        raise TypeError(f"`Q` must be an array; names of metrics are for networks, got {Q!r}")
    point, metric = as_point_and_metric(u, Q, model.n_coordinates)
    if isinstance(model, Parametrisation):
        found = _of_parametrisation(model, point, metric, method, starts, generator, threads)
    else:
        found = _of_variety(model, point, metric, method, starts, generator)
    return _result(found, point, metric, seed, repr(model))


# --- candidates -------------------------------------------------------------------------------------------------------


class _Candidate(NamedTuple):
    x: Vector
    t: Vector | None
    kind: str
    negative: int
    softest: float = np.inf  # least |eigenvalue| of those that need not vanish, relative to the size of all terms


class _Found(NamedTuple):
    candidates: Sequence[_Candidate]
    complex_count: int | None
    complete: str
    reason: str
    method: str
    finite: bool = True


def _result(found: _Found, u: Vector, Q: Vector, seed: int, model: str) -> ClosestPoints:
    m = len(u)
    distances = np.array([float((c.x - u) @ Q @ (c.x - u)) for c in found.candidates])
    # Far from u distances can be equal up to rounding; these differ from them by ‖u‖² alone.
    shifted = np.array([float(c.x @ Q @ c.x - 2 * (c.x @ Q @ u)) for c in found.candidates])
    order = np.lexsort((shifted, distances)).tolist()
    chosen = [found.candidates[i] for i in order]
    has_parameters = any(c.t is not None for c in chosen)
    return ClosestPoints(
        points=np.array([c.x for c in chosen]).reshape(-1, m),
        parameters=np.array([c.t for c in chosen]) if has_parameters else None,
        distances=np.maximum(distances[order], 0.0),
        kinds=tuple(c.kind for c in chosen),
        indices=tuple(c.negative for c in chosen),
        complex_count=found.complex_count,
        finite=found.finite,
        complete=found.complete,
        reason=found.reason,
        method=found.method,
        seed=seed,
        model=model,
    )


def _kind(hessian: Vector, n_flat: int, size: float) -> tuple[str, int, float]:
    """The kind of a critical point, its negative eigenvalues, and the least |eigenvalue| relative to all terms.

    ``n_flat`` eigenvalues have to vanish, and ``size`` is that of all terms.
    """
    if not len(hessian):
        return "minimum", 0, np.inf
    values = _linalg.eigenvalues(hessian)
    scale = max(float(np.abs(values).max()), size) or 1.0
    negative, positive = int((values < -_FLAT * scale).sum()), int((values > _FLAT * scale).sum())
    softest = float(np.sort(np.abs(values))[n_flat:].min(initial=np.inf)) / scale
    if negative + positive + n_flat < len(values):
        return ("saddle" if negative and positive else "degenerate"), negative, softest
    if not negative:
        return "minimum", 0, softest
    return ("saddle" if positive else "maximum"), negative, softest


def _thinned(found: _Found, u: Vector, Q: Vector, continues: Callable[[_Candidate], bool]) -> _Found:
    """Of critical points that are not isolated a few at each distance: on a connected set of them it is constant.

    Searches end only near isolated points that are degenerate: those ends are one point.
    """
    soft = [c for c in found.candidates if c.softest <= _SOFT]
    result, at = [c for c in found.candidates if c.softest > _SOFT], list[str]()
    while soft:
        squared = np.array([float((c.x - u) @ Q @ (c.x - u)) for c in soft])
        level = np.abs(squared - squared[0]) <= _LEVEL * float(u @ Q @ u + soft[0].x @ Q @ soft[0].x)
        group = [c for c, is_in in zip(soft, level) if is_in]
        soft = [c for c, is_in in zip(soft, level) if not is_in]
        few = _spread(group)
        if any(continues(c) for c in few):
            at.append(f"{squared[0]:.6g}")
            result += few
        else:
            result += _merged(group)
    if not at:
        return found._replace(candidates=result)
    reason = f"infinitely many critical points at squared distance {', '.join(at)}; {found.reason}"
    return found._replace(candidates=result, reason=reason, finite=False)


def _merged(group: Sequence[_Candidate]) -> list[_Candidate]:
    """Of ends near each other the one where the distance is flattest, for second derivatives do not tell there."""
    rest, result = sorted(group, key=lambda c: c.softest), list[_Candidate]()
    while rest:
        is_near = [same(rest[0].x, c.x, _SAME_SOFT) for c in rest]
        result.append(rest[0] if sum(is_near) == 1 else rest[0]._replace(kind="degenerate", negative=0))
        rest = [c for c, near in zip(rest, is_near) if not near]
    return result


def _spread(group: Sequence[_Candidate]) -> list[_Candidate]:
    """A few of many points: one after the other the one farthest from those before, among the nearer half to 0."""
    near = sorted(group, key=lambda c: float(np.linalg.norm(c.x)))[: max(_REPRESENTATIVES, (len(group) + 1) // 2)]
    points = np.array([c.x for c in near])
    chosen = [0]
    gaps = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(_REPRESENTATIVES, len(near)):
        chosen.append(int(np.argmax(gaps)))
        gaps = np.minimum(gaps, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return [near[i] for i in chosen]


def _weaker(*certainties: str) -> str:
    return max(certainties, key=("proved", "counted", "estimate").index)


def _distinct(points: Sequence[Array], tol: float = _SAME) -> list[int]:
    """The first of each set of equal points."""
    kept: list[int] = []
    for i, x in enumerate(points):
        if all(not same(x, points[j], tol) for j in kept):
            kept.append(i)
    return kept


def _real_points(solutions: Solutions, system: System) -> list[Vector]:
    """Real solutions, polished among the reals."""
    result = []
    for x, multiplicity in zip(solutions.points, solutions.multiplicities.tolist()):
        size = 1.0 + float(np.abs(x).max(initial=0.0))
        if np.abs(x.imag).max(initial=0.0) > (_REAL if multiplicity == 1 else _NEARLY_REAL) * size:
            continue
        better = polish(system, x.real[None])[0][0]
        near = np.linalg.norm(better - x.real) <= (1e-6 if multiplicity == 1 else 1e-3) * size
        if near and is_solution(system, better, 1e-7):
            result.append(better)
        elif is_solution(system, x.real, 1e-7):
            result.append(x.real)
    return result


def _cannot_solve(method: str, reason: str) -> None:
    if method == "solve":
        raise ValueError(f'`method` must not be "solve" for this `model`, `u` and `Q`: {reason}; use "search"')


# --- parametrisations -------------------------------------------------------------------------------------------------


def _of_parametrisation(
    model: Parametrisation, u: Vector, Q: Vector, method: str, n_starts: int, rng: np.random.Generator, n_threads: int
) -> _Found:
    start = rng.standard_normal(model.n_parameters)
    generic_rank = _ranks(model._system, [start])[0]
    parameters, count, certainty, reason = list[Vector](), None, "estimate", "as asked for"
    if method != "search":
        solutions, reason = _solve_gradient(model, u, Q, rng)
        if solutions is not None and generic_rank < model.n_parameters:
            solutions, reason = None, "fibres of the parametrisation have positive dimension"
        if solutions is None:
            _cannot_solve(method, reason)
        else:
            parameters = _real_points(solutions, _gradient_system(model._system, u, Q))
            certainty = solutions.certainty
            count = _count_images(model, solutions, generic_rank) if solutions.resolved else None
    if count is None:
        parameters += _search_parameters(model, u, Q, n_starts, rng, n_threads)
        reason = f"searched from {n_starts} random starts: {reason}"
    candidates = _parametrised(model, u, Q, parameters, generic_rank)
    found = _Found(candidates, count, certainty, reason, "search" if count is None else "solve")
    return found if count is not None else _thinned(found, u, Q, lambda c: _continues_on_image(model, u, Q, c))


def _continues_on_image(model: Parametrisation, u: Vector, Q: Vector, candidate: _Candidate) -> bool:
    """Whether steps along the kernel of the Hessian lead to other critical points, of the same distance."""
    t = candidate.t
    assert t is not None
    objective = model.objective(u, Q)
    values, vectors = np.linalg.eigh(objective.hessian(t))
    kernel = vectors[:, np.abs(values) <= _SOFT * np.abs(values).max(initial=0.0)].T
    length = _ALONG * (1 + np.linalg.norm(t))
    reached = stationary.search(objective, t + length * np.concatenate([kernel, -kernel]), "newton", n_threads=1)
    for end in reached.theta[reached.converged]:
        moved = model._system.evaluate(end) - candidate.x
        gap = objective.value(end) - objective.value(t)
        level = _LEVEL * (u @ Q @ u + candidate.x @ Q @ candidate.x)
        if np.linalg.norm(end - t) >= 0.3 * length and np.linalg.norm(moved) > 1e-3 * length and abs(gap) <= level:
            return True
    return False


def _search_parameters(
    model: Parametrisation, u: Vector, Q: Vector, n_starts: int, rng: np.random.Generator, n_threads: int
) -> list[Vector]:
    starts = rng.standard_normal((n_starts, model.n_parameters)) * np.exp2(rng.uniform(-2, 3, (n_starts, 1)))
    objective, ends = model.objective(u, Q), list[Vector]()
    for kind in ("descent", "stationary"):
        reached = stationary.search(objective, starts, kind, n_threads=n_threads)
        ends += list(reached.theta[reached.converged])
    return _confirmed(model, u, Q, ends)


def _confirmed(model: Parametrisation, u: Vector, Q: Vector, ends: list[Vector]) -> list[Vector]:
    """Ends of searches without those on the way to infinity, where the gradient vanishes too; polished."""
    if not len(ends) or _too_large(model):
        return ends
    generic_rank = max(_ranks(model._system, ends))
    if generic_rank < model.n_parameters:
        return ends  # no solution is isolated
    polished, regular = polish(_gradient_system(model._system, u, Q), np.array(ends))
    ranks, objective = _ranks(model._system, ends), model.objective(u, Q)

    def runs_away(t: Vector) -> bool:
        """Whether farther out the gradient vanishes too."""
        far = float(np.linalg.norm(objective.gradient(2 * t)))
        return bool(t.any()) and far <= 1e-8 * float(objective.gradient_scale(2 * t))

    # The others are singular or degenerate.
    others = [t for t, r, rank in zip(ends, regular, ranks) if rank < generic_rank or not (r or runs_away(t))]
    return list(polished[regular]) + others


def _solve_gradient(
    model: Parametrisation, u: Vector, Q: Vector, rng: np.random.Generator, max_columns: int = _COLUMNS
) -> tuple[Solutions | None, str]:
    system = model._system
    if _too_large(model):
        return None, f"too large: {len(system.exponents)} monomials in {model.n_parameters} parameters"
    equations = _gradient_system(system, u, Q)
    exact = _gradient_system(System(system.exponents, residues(system.coef)), residues(u), residues(Q))
    solutions = solve_system(equations, exact, max_columns=max_columns, rng=rng)
    if solutions.count is None:
        return None, solutions.reason
    return solutions, solutions.reason


def _too_large(model: Parametrisation) -> bool:
    terms = len(model._system.exponents) ** 2 * model.n_parameters
    return model.n_parameters > _MOST_UNKNOWNS or terms > _MOST_TERMS


def _gradient_system(p: System, u: Array, Q: Array) -> System:
    """JᵀQ(p − u), in the arithmetic of the coefficients."""
    origin = np.zeros((1, p.n_unknowns), dtype=np.int64)
    misfit = System.of(np.concatenate([p.exponents, origin]), np.hstack([p.coef, -u[:, None]]))
    weighted = System(misfit.exponents, Q @ misfit.coef)
    return System.stack([(p.derivative(i) * weighted).sum() for i in range(p.n_unknowns)])


def _parametrised(
    model: Parametrisation, u: Vector, Q: Vector, parameters: Sequence[Vector], generic_rank: int
) -> list[_Candidate]:
    objective = model.objective(u, Q)
    result: list[_Candidate] = []
    # Where the Jacobian has full rank first: they stand for their images.
    ranks = _ranks(model._system, parameters)
    order = sorted(range(len(parameters)), key=lambda i: -ranks[i])
    images = [model._system.evaluate(parameters[i]) for i in order]
    for position in _distinct(images):
        t = parameters[order[position]]
        if ranks[order[position]] < generic_rank:
            result.append(_Candidate(images[position], t, "singular", -1))
        else:
            size = float(np.linalg.norm(Q, 2) * np.linalg.norm(model._system.jacobian(t)) ** 2)
            result.append(
                _Candidate(images[position], t, *_kind(objective.hessian(t), model.n_parameters - generic_rank, size))
            )
    return result


def _ranks(p: System, points: Sequence[Array]) -> list[int]:
    """Ranks of Jacobians, each column relative to the sizes of its terms at points of this order of magnitude."""
    if not len(points):
        return []
    typical = float(np.median([np.abs(t).max() for t in points])) or 1.0
    derivatives = [p.derivative(i) for i in range(p.n_unknowns)]
    ranks = []
    for t in points:
        near = np.maximum(np.abs(t), typical)
        lengths = np.array([np.linalg.norm(d.sizes(near)) for d in derivatives])
        columns = p.jacobian(t) / np.where(lengths > 0, lengths, 1.0)
        ranks.append(int((np.linalg.svd(columns, compute_uv=False) > _RANK).sum()))
    return ranks


def _count_images(model: Parametrisation, solutions: Solutions, generic_rank: int) -> int:
    """Different images of complex solutions where the Jacobian has full rank."""
    ranks = _ranks(model._system, list(solutions.points))
    smooth = [t for t, rank in zip(solutions.points, ranks) if rank == generic_rank]
    return len(_distinct([model._system.evaluate(t) for t in smooth]))


# --- varieties --------------------------------------------------------------------------------------------------------


def _of_variety(model: Variety, u: Vector, Q: Vector, method: str, n_starts: int, rng: np.random.Generator) -> _Found:
    coef = model.coef[np.abs(model.coef).max(axis=1) > 0]
    if not len(coef):
        return _Found([_Candidate(u.copy(), None, "minimum", 0)], 1, "proved", "there are no equations", "solve")
    used = (coef != 0).any(axis=0)
    exponents, coef = np.asarray(model.basis.exponents)[used], coef[:, used]
    # Combinations of equations should contain each of them: of one size, up to powers of two.
    shifts = np.round(-np.log2(np.abs(coef).max(axis=1))).astype(int)
    powers = np.array([[pow(2, int(k), PRIME)] for k in shifts], dtype=object)
    exact = _modulo(System(exponents, residues(coef) * powers))
    # Multipliers, which are unknowns too, should be of the size of coordinates however far away u is.
    slope = max(float(np.abs(Q).max()), float(np.abs(Q @ u).max()))
    scaled = np.ldexp(Q, -int(np.frexp(slope)[1])) if slope > _FAR else Q
    problem = _Problem(System.of(exponents, np.ldexp(coef, shifts[:, None])), exact, u, scaled)
    found = _on_variety(problem, method, n_starts, rng)
    if not found.candidates and found.complete != "estimate":
        # Whether there are real points does not depend on u.
        far = float(np.abs(u).max())
        if far > _FAR and _on_variety(problem._replace(u=u / far), method, n_starts, rng).candidates:
            raise NumericalError(
                "`u` is too far away: critical points are lost to rounding; scale `u` and `model` down"
            )
        raise ValueError(f"`model` has no real points: {found.reason}")
    return found


class _Problem(NamedTuple):
    """Equations, the same modulo a prime, the given point and the metric."""

    equations: System
    exact: System
    u: Vector
    Q: Vector

    def restricted(self, equations: System, exact: System) -> _Problem:
        """To the zeros of more equations."""
        return self._replace(
            equations=System.stack([self.equations, equations]),
            exact=_modulo(System.stack([self.exact, exact])),
        )


def _modulo(system: System) -> System:
    return System(system.exponents, system.coef % PRIME)


def _on_variety(problem: _Problem, method: str, n_starts: int, rng: np.random.Generator) -> _Found:
    codimension, reason = _codimension(problem.equations, rng)
    if codimension is None:
        empty = solve_system(problem.equations, problem.exact, rng=rng)
        if empty.count == 0:
            raise ValueError(f"`model` has no points, also over the complex numbers: {empty.reason}")
        _cannot_solve(method, reason)
        return _search_variety(problem, None, n_starts, rng, reason)
    if method == "search":
        return _search_variety(problem, codimension, n_starts, rng, "as asked for")
    solutions, system, reason = _solve_critical(problem, codimension, rng)
    if system is None:
        _cannot_solve(method, reason)
    singular = _singular_points(problem, codimension, method, n_starts, rng)
    critical = [c._replace(kind="singular", negative=-1) for c in singular.candidates]
    if system is None:
        found = _search_variety(problem, codimension, n_starts, rng, reason)
        # Searches reach singular points roughly, if at all.
        known = singular.complete != "estimate"
        smooth = [c for c in found.candidates if c.kind != "singular" or not known]
        finite = found.finite and singular.finite
        return found._replace(candidates=_different(smooth + critical), finite=finite)
    m, far = problem.equations.n_unknowns, float(np.abs(problem.u).max()) or 1.0

    def is_smooth(x: Array) -> bool:
        # Points where u is much farther away than they are from zero are small only against u.
        typical = min(far, max(_FAR, float(np.abs(x).max())))
        return _rank_on(problem.equations, x, typical) >= codimension

    count = len(_distinct([z[:m] for z in solutions.points if is_smooth(z[:m])]))
    real = [z[:m] for z in _real_points(solutions, system)]
    candidates = _different([_smooth(problem, x, codimension) for x in real if is_smooth(x)] + critical)
    reason += f"; singular points: {singular.reason}" if singular.reason else ""
    certainty = _weaker(solutions.certainty, singular.complete)
    return _Found(candidates, count, certainty, reason, "solve", singular.finite)


def _different(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Each point once; singular ones are known less exactly."""
    smooth = [c for c in candidates if c.kind != "singular"]
    singular = [c for c in candidates if c.kind == "singular"]
    kept = [smooth[i] for i in _distinct([c.x for c in smooth])]
    return kept + [singular[i] for i in _distinct([c.x for c in singular], _SAME_ROUGHLY)]


def _codimension(equations: System, rng: np.random.Generator) -> tuple[int | None, str]:
    """The rank of the Jacobian at complex points of the variety, reached by Newton's method from random ones.

    None if none is reached, or there are components of different codimension. ValueError if the equations vanish to
    higher order; but where they do so near points at which they do not, or at one point alone, it is a singular point.
    """
    m, ranks, thick = equations.n_unknowns, set[int](), list[Array]()
    for _ in range(_POINTS):
        here, others = _ranks_near(equations, rng.standard_normal(m) + 1j * rng.standard_normal(m), rng)
        ranks |= here
        for x in others:
            noise = rng.standard_normal(m) + 1j * rng.standard_normal(m)
            near = _ranks_near(equations, x + _NEAR * (1 + np.linalg.norm(x)) * noise / np.linalg.norm(noise), rng)[0]
            ranks |= near
            thick += [] if near else [x]
    if len(_distinct(thick, _NEAR)) > 1 or (thick and not ranks):
        raise ValueError(
            "`model` must have equations whose gradients have rank equal to the codimension at almost all zeros, "
            "complex ones included; these vanish to higher order: take generators of a radical ideal"
        )
    if not ranks:
        return None, "no complex point of the variety was found"
    if len(ranks) > 1:
        return None, f"the variety has components of codimensions {', '.join(map(str, sorted(ranks)))}"
    return ranks.pop(), ""


def _ranks_near(equations: System, start: Array, rng: np.random.Generator) -> tuple[set[int], list[Array]]:
    """Codimensions at zeros that Newton's method reaches, and zeros where the equations vanish to higher order.

    With all singular values it is drawn into the vertex of many cones; with fewer it leads to components of as low a
    codimension only.
    """
    ranks, thick = set[int](), list[Array]()
    most = min(len(equations), len(start))
    for limit in (None, *(range(1, most) if most > 1 else ())):
        x = _projected(equations, start, limit)
        if x is None:
            continue
        rank = _rank_on(equations, x, 1.0, _GENERIC_RANK)
        if _moves_along_kernel(equations, x, rank, rng):
            ranks.add(rank)
        else:
            thick.append(x)
    return ranks, [thick[i] for i in _distinct(thick, _NEAR)]


def _projected(equations: System, x: Array, rank: int | None = None) -> Array | None:
    """A zero of the equations near a point, by Newton steps of least norm; None if they do not arrive.

    Where ``rank`` is that of the Jacobian on the variety, only as many singular values count. Others are of the size of
    the equations' values if there are more equations than the codimension, and would lead along the variety.
    """
    least, stalled = np.inf, 0
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            sizes = _sizes(equations, x)
            values = equations.evaluate(x) / sizes
            if (np.abs(values) <= 4 * _EPS).all() or not np.isfinite(values).all():
                break
            size = float(np.linalg.norm(values))
            stalled = 0 if size < 0.9 * least else stalled + 1
            least = min(least, size)
            if stalled > 8:
                break
            try:
                left, s, vt = np.linalg.svd(equations.jacobian(x) / sizes[:, None], full_matrices=False)
            except np.linalg.LinAlgError:
                return None
            kept = int((s > 1e-12 * s[0]).sum()) if rank is None else min(rank, int((s > 1e-12 * s[0]).sum()))
            x = x - vt[:kept].conj().T @ ((left[:, :kept].conj().T @ values) / s[:kept])
        return x if np.isfinite(x).all() and is_solution(equations, x, 1e-11) else None


def _moves_along_kernel(equations: System, x: Array, rank: int, rng: np.random.Generator) -> bool:
    """Whether the variety continues along the kernel of its Jacobian, as where the rank is the codimension.

    There Newton steps along its complement arrive; else what the equations are along the kernel remains.
    """
    tangent = _tangent(equations, x, rank)
    if not tangent.shape[1]:
        return True
    direction = tangent @ (rng.standard_normal(tangent.shape[1]) + 0j)
    for length in (1e-2, 1e-3):
        step = length * (1 + np.linalg.norm(x)) * direction / np.linalg.norm(direction)
        moved = _projected(equations, x + step, rank)
        if moved is None or np.linalg.norm(moved - x - step) > 0.2 * np.linalg.norm(step):
            continue
        if _residual(equations, moved) <= max(1e-3 * _residual(equations, x + step), 64 * _EPS):
            return True
    return False


def _residual(equations: System, x: Array) -> float:
    return float(np.linalg.norm(equations.evaluate(x) / _sizes(equations, x)))


def _sizes(equations: System, x: Array) -> Array:
    """What equations are measured against; some minors are zero."""
    sizes = equations.floored_sizes(x)
    return np.where(sizes > 0, sizes, 1.0)


def _rank_on(equations: System, x: Array, typical: float, tol: float = _RANK) -> int:
    """The rank of the Jacobian of equations, each relative to the sizes of its terms at such points."""
    near = np.maximum(np.abs(x), typical)
    lengths = np.linalg.norm([equations.derivative(i).sizes(near) for i in range(len(x))], axis=0)
    rows = equations.jacobian(x) / np.where(lengths > 0, lengths, 1.0)[:, None]
    return int((np.linalg.svd(rows, compute_uv=False) > tol).sum())


def _tangent(equations: System, x: Array, codimension: int) -> Array:
    """Orthonormal columns that span the kernel of the Jacobian, which has this rank."""
    vt = np.linalg.svd(equations.jacobian(x), full_matrices=True)[2]
    return np.asarray(vt[codimension:].conj().T)


def _solve_critical(
    problem: _Problem, codimension: int, rng: np.random.Generator
) -> tuple[Solutions, System | None, str]:
    """All critical points, with multipliers or as zeros of minors; and the equations, None if they were not solved."""
    m, s = problem.equations.n_unknowns, len(problem.equations)
    solutions, reason = Solutions.none(m), f"too large: {m + codimension} coordinates and multipliers"
    if m + codimension <= _MOST_UNKNOWNS or codimension == m:
        system, exact = _lagrange_system(problem, codimension), _lagrange_system(problem, codimension, exact=True)
        solutions = solve_system(system, exact, rng=rng)
        if solutions.resolved:
            return solutions, system, solutions.reason
        reason = solutions.reason
    # Minors are not missed by large multipliers, near singular points; but singular points are among their zeros.
    if codimension < m <= _MOST_UNKNOWNS and comb(s, codimension) * comb(m, codimension + 1) <= _MOST_MINORS:
        system, exact = _dependent(problem, codimension), _dependent(problem, codimension, exact=True)
        solutions = solve_system(system, _modulo(exact), rng=rng)
        if solutions.resolved:
            return solutions, system, solutions.reason
    return solutions, None, reason


def _dependent(problem: _Problem, codimension: int, exact: bool = False) -> System:
    """f(x) = 0, and Q(x − u) depends on the gradients: minors that contain it, with as many of these."""
    f, u, Q = problem.equations, problem.u, problem.Q
    if exact:
        f, u, Q = problem.exact, residues(u), residues(Q)
    m = f.n_unknowns
    exponents = np.concatenate([np.eye(m, dtype=np.int64), np.zeros((1, m), dtype=np.int64)])
    slope = System(exponents, np.hstack([Q, -(Q @ u)[:, None]]))
    rows = [[slope[[j]] for j in range(m)], *_gradients(f)]
    chosen = [(0, *r) for r in combinations(range(1, len(f) + 1), codimension)]
    return System.stack([f, _minors(rows, chosen, codimension + 1)])


def _lagrange_system(problem: _Problem, codimension: int, exact: bool = False) -> System:
    """f(x) = 0 and Q(x − u) = Σ λ_i ∇g_i(x), in x and λ; the g are the f, or as many combinations as needed."""
    f, u, Q = problem.equations, problem.u, problem.Q
    if exact:
        f, u, Q = problem.exact, residues(u), residues(Q)
    m = f.n_unknowns
    if codimension == m:
        return f
    g = f
    if len(f) > codimension:
        weights = np.random.default_rng(0).integers(-9, 10, (codimension, len(f)))
        g = System(f.exponents, weights.astype(f.coef.dtype) @ f.coef)

    def extended(exponents: Array, multiplier: int | None = None) -> Array:
        extra = np.zeros((len(exponents), codimension), dtype=np.int64)
        if multiplier is not None:
            extra[:, multiplier] = 1
        return np.hstack([exponents, extra])

    exponents = [extended(np.eye(m, dtype=np.int64)), extended(np.zeros((1, m), dtype=np.int64))]
    blocks = [Q, -(Q @ u)[:, None]]
    for j in range(m):
        derivative = g.derivative(j)
        for i in range(codimension):
            block = np.zeros((m, len(derivative.exponents)), dtype=derivative.coef.dtype)
            block[j] = -derivative.coef[i]
            exponents.append(extended(derivative.exponents, i))
            blocks.append(block)
    gradients = System.of(np.concatenate(exponents), np.hstack(blocks))
    return System.stack([System(extended(f.exponents), f.coef), gradients])


def _smooth(problem: _Problem, x: Vector, codimension: int) -> _Candidate:
    """A critical point where the variety is smooth: second derivatives of the Lagrangian on the tangent space."""
    hessian = _on_tangent(problem, x, codimension)[2]
    return _Candidate(x, None, *_kind(hessian, 0, float(np.linalg.norm(problem.Q, 2))))


def _on_tangent(problem: _Problem, x: Vector, rank: int) -> tuple[Vector, Vector, Vector]:
    """A basis of the tangent space in columns, and there half the gradient and Hessian of the squared distance."""
    left, s, vt = np.linalg.svd(problem.equations.jacobian(x), full_matrices=True)
    tangent, slope = vt[rank:].T, problem.Q @ (x - problem.u)
    multipliers = left[:, :rank] @ ((vt[:rank] @ slope) / s[:rank])
    hessian = problem.Q - np.einsum("i,ijk->jk", multipliers, problem.equations.hessian(x))
    return tangent, tangent.T @ slope, tangent.T @ hessian @ tangent


def _is_critical(problem: _Problem, x: Vector, gradient: Vector) -> bool:
    norm = float(np.linalg.norm(problem.Q, 2)) or 1.0
    return bool(np.linalg.norm(gradient) <= 1e-11 * norm * (np.linalg.norm(x) + np.linalg.norm(problem.u)))


def _continues(problem: _Problem, x: Vector, rank: int) -> bool:
    """Whether steps along the kernel of the Hessian lead to other critical points."""
    tangent, _, hessian = _on_tangent(problem, x, rank)
    values, vectors = np.linalg.eigh(hessian)
    size = max(float(np.linalg.norm(problem.Q, 2)), float(np.abs(values).max(initial=0.0)))
    kernel = (tangent @ vectors[:, np.abs(values) <= _SOFT * size]).T
    length = _ALONG * (float(np.linalg.norm(x - problem.u)) or 1.0)
    return any(_leads_on(problem, x, length * step, rank) for step in np.concatenate([kernel, -kernel]))


def _leads_on(problem: _Problem, x: Vector, step: Vector, rank: int) -> bool:
    y = _projected(problem.equations, x + step, rank)
    for _ in range(_ALONG_STEPS):
        if y is None:
            return False
        tangent, gradient, hessian = _on_tangent(problem, y, rank)
        if _is_critical(problem, y, gradient):
            return bool(np.linalg.norm(y - x) >= 0.3 * np.linalg.norm(step))
        y = _projected(problem.equations, y - tangent @ (np.linalg.pinv(hessian, 1e-6) @ gradient), rank)
    return False


# --- singular points --------------------------------------------------------------------------------------------------


def _singular_points(
    problem: _Problem, codimension: int, method: str, n_starts: int, rng: np.random.Generator
) -> _Found:
    """Critical points of the distance on the singular locus: where all minors of the size of the codimension vanish."""
    equations = problem.equations
    s, m = len(equations), equations.n_unknowns
    if codimension == 0:
        return _Found([], None, "proved", "", "solve")
    n_minors = comb(s, codimension) * comb(m, codimension)
    if n_minors > _MOST_MINORS:
        return _Found([], None, "estimate", f"not looked for, {n_minors:,} minors are too many", "solve")
    rows = list(combinations(range(s), codimension))
    locus = problem.restricted(
        _minors(_gradients(equations), rows, codimension), _minors(_gradients(problem.exact), rows, codimension)
    )
    solutions = solve_system(locus.equations, locus.exact, rng=rng)
    if solutions.count == 0:
        return _Found([], None, "counted", "none", "solve")
    if solutions.count is not None:
        points = _real_points(solutions, locus.equations)
        candidates = [_Candidate(x, None, "singular", -1) for x in points]
        return _Found(candidates, None, solutions.certainty, f"{len(points)} real", "solve")
    if "too large" in solutions.reason:
        return _Found([], None, "estimate", f"not looked for, {solutions.reason}", "solve")
    try:
        found = _on_variety(locus, "auto" if method == "solve" else method, n_starts, rng)
    except ValueError:
        # Its equations, the minors, need not generate a radical ideal.
        found = _search_variety(locus, None, n_starts, rng, "the minors vanish to higher order")
    number = len(found.candidates) if found.finite else "infinitely many"
    return found._replace(reason=f"on a variety of their own, {number} critical for the distance there")


def _gradients(equations: System) -> list[list[System]]:
    m = equations.n_unknowns
    derivatives = [equations.derivative(j) for j in range(m)]
    return [[derivatives[j][[i]] for j in range(m)] for i in range(len(equations))]


def _minors(entries: Sequence[Sequence[System]], chosen: Sequence[tuple[int, ...]], size: int) -> System:
    """The minors of a matrix of polynomials in these sets of rows, all of this size."""
    known: dict[tuple[tuple[int, ...], tuple[int, ...]], System] = {}

    def minor(rows: tuple[int, ...], columns: tuple[int, ...]) -> System:
        if len(rows) == 1:
            return entries[rows[0]][columns[0]]
        if (rows, columns) not in known:
            terms = [
                entries[rows[0]][c] * minor(rows[1:], columns[:k] + columns[k + 1 :]) for k, c in enumerate(columns)
            ]
            total = terms[0]
            for k, term in enumerate(terms[1:]):
                total = total + term if k % 2 else total - term
            known[rows, columns] = total
        return known[rows, columns]

    return System.stack(
        [minor(rows, columns) for rows in chosen for columns in combinations(range(len(entries[0])), size)]
    )


# --- searching a variety ----------------------------------------------------------------------------------------------


def _search_variety(
    problem: _Problem, codimension: int | None, n_starts: int, rng: np.random.Generator, reason: str
) -> _Found:
    """Critical points from random real points of the variety, by Newton's method for the Lagrangian.

    From every other start the steps go down along all directions first, and so to minima.
    """
    m = problem.equations.n_unknowns
    size = 1.0 + float(np.linalg.norm(problem.u))
    ends: list[Vector] = []
    singular: list[Vector] = []
    for i in range(n_starts):
        start = problem.u + size * 2.0 ** rng.uniform(-3, 1) * rng.standard_normal(m)
        most = min(len(problem.equations), m)
        x = _projected(problem.equations, start, codimension or (None if i % 4 < 2 else 1 + i // 4 % most))
        if x is None:
            continue
        end, regular = _follow(problem, x, codimension, downhill=i % 2 == 0)
        if end is not None:
            (ends if regular else singular).append(end)
    kept = [ends[i] for i in _distinct(ends, _SAME_ROUGHLY)]
    candidates = [_smooth(problem, x, _codimension_at(problem, x, codimension)) for x in kept]
    candidates += [_Candidate(singular[i], None, "singular", -1) for i in _distinct(singular, 1e-3)]
    found = _Found(candidates, None, "estimate", f"searched from {n_starts} random starts: {reason}", "search")
    return _thinned(
        found, problem.u, problem.Q, lambda c: _continues(problem, c.x, _codimension_at(problem, c.x, codimension))
    )


def _codimension_at(problem: _Problem, x: Vector, codimension: int | None) -> int:
    typical = float(np.abs(problem.u).max()) or 1.0
    return _rank_on(problem.equations, x, typical) if codimension is None else codimension


def _follow(problem: _Problem, x: Vector, codimension: int | None, downhill: bool) -> tuple[Vector | None, bool]:
    """The critical point that steps along the variety lead to, None if to none; and whether it is a smooth one."""
    equations, u = problem.equations, problem.u
    norm = float(np.linalg.norm(problem.Q, 2)) or 1.0
    typical = float(np.abs(u).max()) or 1.0
    for _ in range(_STEPS):
        rank = _codimension_at(problem, x, codimension)
        s = np.linalg.svd(equations.jacobian(x), compute_uv=False)
        if rank and s[rank - 1] <= 1e-12 * max(1.0, s[0]):
            break
        tangent, gradient, hessian = _on_tangent(problem, x, rank)
        if _is_critical(problem, x, gradient):
            return x, _rank_on(equations, x, typical) >= rank
        values, vectors = np.linalg.eigh(hessian)
        floor = 1e-10 * max(float(np.abs(values).max(initial=0.0)), norm)
        bounded = np.where(np.abs(values) > floor, values, floor)
        step = -tangent @ (vectors @ ((vectors.T @ gradient) / (np.abs(bounded) if downhill else bounded)))
        longest = 0.3 * float(np.linalg.norm(x) + np.linalg.norm(u) + 1e-3)
        length = float(np.linalg.norm(step))
        step *= min(1.0, longest / length) if length else 1.0
        moved = _stepped(problem, x, step, rank, downhill)
        if moved is None:
            break
        x = moved
    singular = codimension is not None and _rank_on(equations, x, typical, 1e-3) < codimension
    return (x, False) if singular and downhill else (None, False)


def _stepped(problem: _Problem, x: Vector, step: Vector, rank: int, downhill: bool) -> Vector | None:
    """The point of the variety near x + step, nearer to u if that is asked for; None if there is none."""

    def distance(y: Vector) -> float:
        return float((y - problem.u) @ problem.Q @ (y - problem.u))

    before = distance(x)
    for _ in range(30):
        y = _projected(problem.equations, x + step, rank)
        close = y is not None and np.linalg.norm(y - x) <= 3 * np.linalg.norm(step)
        if y is not None and close and (not downhill or distance(y) <= before * (1 + 1e-14)):
            return y
        step = 0.5 * step
        if np.linalg.norm(step) <= 1e-14 * (1 + np.linalg.norm(x)):
            break
    return None


# --- networks ---------------------------------------------------------------------------------------------------------


def _of_network(
    net: Network, u: ArrayLike, Q: ArrayLike | str | None, method: str, n_starts: int, seed: int, n_threads: int
) -> ClosestPoints:
    from .critical import critical_points

    n_outputs, n_monomials = net.n_outputs, net.basis.n_monomials
    goal = _as_coefficients(u, n_outputs, n_monomials)
    loss = QDistance.from_metric("identity" if Q is None else Q, goal, net.basis)
    search_method = "search" if method == "search" else "auto"
    points = critical_points(loss, net, n_starts=n_starts, rng=seed, method=search_method, n_threads=n_threads)
    if points.stopped == "interrupted":
        raise KeyboardInterrupt
    count, reason, candidates = None, "", [_network_candidate(point) for point in points.points]
    if method != "search":
        count, reason, in_chart = _in_chart(net, loss, np.random.default_rng(seed))
        if count is None and points.complete != "proved":
            _cannot_solve(method, reason)
        candidates += in_chart
    candidates = [candidates[i] for i in _distinct([c.x for c in candidates], _SAME_ROUGHLY)]
    metric = _metric_of(loss)
    completeness = points.completeness
    found = _Found(candidates, count, points.complete, completeness.reason, points.method, completeness.finite)
    return _result(found, goal.reshape(-1), metric, seed, repr(net))


def _network_candidate(point: CriticalPoint) -> _Candidate:
    if point.location == "singular":
        return _Candidate(point.coef.reshape(-1), point.theta, "singular", -1)
    kinds = {"minimum": "minimum", "strict saddle": "saddle", "maximum": "maximum"}
    kind = "minimum" if point.is_minimum else kinds.get(point.kind, "degenerate")
    return _Candidate(point.coef.reshape(-1), point.theta, kind, point.inertia.index)


def _metric_of(loss: QDistance) -> Vector:
    """The metric on the coefficients of all outputs."""
    return loss.gram if loss.joint else np.asarray(np.kron(np.eye(loss.n_outputs), loss.gram), dtype=np.float64)


def _as_coefficients(u: ArrayLike, n_outputs: int, n_monomials: int) -> Vector:
    goal = as_real_array(u, "u")
    if goal.shape not in ((n_outputs * n_monomials,), (n_outputs, n_monomials)):
        raise ValueError(
            f"`u` must have shape (n_outputs={n_outputs}, n_monomials={n_monomials}) or ({n_outputs * n_monomials},), "
            f"got {goal.shape}"
        )
    return np.asarray(goal.reshape(n_outputs, n_monomials))


def _in_chart(net: Network, loss: QDistance, rng: np.random.Generator) -> tuple[int | None, str, list[_Candidate]]:
    """Where the first weight of each unit that has a scaling is 1: complex critical points, and the real ones."""
    scaled = chains.scaled_parameters(net.program)
    if scaled is None:
        scaled = scaled_parameters(net.program)
    if net.n_params - len(scaled) > _MOST_UNKNOWNS:
        return None, f"too large: {net.n_params - len(scaled)} parameters", []
    model = Parametrisation.from_network(net, dict.fromkeys(scaled, 1.0))
    u, metric = loss.target.reshape(-1), _metric_of(loss)
    solutions, reason = _solve_gradient(model, u, metric, rng, _FEW_COLUMNS)
    if solutions is None or not solutions.complete:
        return None, reason, []
    rank = _ranks(model._system, [rng.standard_normal(model.n_parameters)])[0]
    real = _real_points(solutions, _gradient_system(model._system, u, metric))
    free = np.delete(np.arange(net.n_params), scaled)
    candidates = []
    for candidate in _parametrised(model, u, metric, real, rank):
        theta = np.ones(net.n_params)
        theta[free] = candidate.t
        candidates.append(candidate._replace(t=theta))
    return _count_images(model, solutions, rank), reason, candidates
