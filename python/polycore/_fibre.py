# SPDX-License-Identifier: BSD-3-Clause
"""The parameters of one and the same function, near a parameter vector that makes no use of part of the network.

Where the Jacobian has its generic rank its kernel is tangent to the fibre, and nothing here is needed. Where it drops,
the fibre is known as far as it consists of the symmetries and of weights that are of no account: those of units that
nothing reads, shares of units that are multiples of others, the other factors of what is zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from . import _linalg
from ._local_expansion import ComposedLoss, LocalExpansion
from ._reductions import Reduction, exactly, reduce
from ._tangents import _fibre_directions
from .errors import NumericalError
from .network_loss import NetworkLoss
from .singularities import as_network
from .stationary import search
from .structure import Parametrised

Vector = NDArray[np.float64]

# Weights and residuals of relations between units are zero up to this relative size; up to the others they are tried.
_ZERO = 1e-9
_NEARLY_ZERO = (1e-9, 1e-7, 1e-5)
# Parameters of these sizes, compared with what the target asks for, are tried at zero.
_TINY = (1e-9, 1e-7, 1e-5, 1e-3)
# Coefficients that are equal, relative to the terms they are sums of.
_SAME = 1e-10
# A point that is exactly degenerate stands for one nearby if the loss there is the same up to this, relative to what it
# is the difference of, and its gradient as small.
_SAME_LOSS, _SAME_GRADIENT = 1e-12, 1e-11
# Groups of directions whose ranks are compared, each at the cost of two decompositions.
_MAX_GROUPS = 64
_MAX_OPERATIONS = 3 * 10**8
# Operations of all Gauss–Newton steps to other parameters.
_MAX_STEP_OPERATIONS = 10**9
# Where ranks are compared, as a part of a move.
_RANK_MOVE = 0.1
# How far nearby is, relatively.
_NEAR = 1e-2
# Moves along the kernel of J, relative to θ, Gauss–Newton steps back to the function, and where they are lost.
_MOVES, _STEPS, _FAR = (0.3, 0.1, 0.03), 20, 10.0


class Fibre:
    """What is known of the fibre at a parameter vector.

    Parameters
    ----------
    composed : ComposedLoss
    theta : ndarray, shape (P,)
    """

    def __init__(self, composed: ComposedLoss, theta: Vector) -> None:
        self.composed, self.theta = composed, theta
        self._tangents: Vector | None = None
        # Whether more directions may be tangent than were tried, for the size of the network.
        self.is_cut_short = False

    @cached_property
    def reduction(self) -> Reduction:
        """What of the network can be left out."""
        return exactly(reduce(self.composed.program, self.theta, _ZERO)[0])

    @cached_property
    def free(self) -> Vector:
        """Independent directions along all combinations of which the function is the same, rows."""
        return self._directions()

    def tangents(self, expansion: LocalExpansion) -> Vector:
        """Vectors tangent to the known fibre, rows, in the kernel of J.

        Besides the orbit of the symmetries they are directions along which J and H keep their ranks: where these do
        not, the parameters are a special point of the fibre, such as θ = 0, at which parts of it may meet.
        """
        if self._tangents is None:
            self._tangents = np.concatenate([expansion.orbit, self._directions(_Ranks(expansion))])
        return self._tangents

    def _directions(self, ranks: _Ranks | None = None) -> Vector:
        """Along all combinations of them the function is the same; with ranks of J and H also these."""
        generator = np.random.default_rng(0)
        base, kept = self.composed.expand(self.theta), list[Vector]()
        tests = min(_MAX_GROUPS, _MAX_OPERATIONS // max(1, self.composed.n_params) ** 3)
        for group in self._groups:
            several = [*kept, *group]
            moved = self._moved(several, generator)
            if np.linalg.norm(self.composed.expand(moved) - base) > _SAME * self._size(moved):
                continue
            if ranks is not None:
                if not tests:
                    self.is_cut_short = True
                    break
                tests -= 1
                # Near θ ranks are no smaller; smaller numbers further away may still drown.
                if not ranks.stay_at(self.theta + _RANK_MOVE * (moved - self.theta)):
                    continue
            kept = several
        return np.array(kept).reshape(len(kept), self.composed.n_params)

    def others(self, generator: np.random.Generator, count: int) -> Iterator[Vector]:
        """Parameters of the same function, far away."""
        base = self.composed.expand(self.theta)
        for number in range(count):
            moved = self._moved(list(self.free), generator) if len(self.free) else self.theta
            if self.reduction.steps and number % 2 == 0:
                size = self._typical_size

                def random(shape: tuple[int, ...], size: float = size) -> NDArray[np.object_]:
                    return np.asarray(size * generator.standard_normal(shape), dtype=object)

                moved = np.asarray(self.reduction.take_back(random).theta, dtype=np.float64)
            if np.linalg.norm(self.composed.expand(moved) - base) <= _SAME * self._size(moved):
                yield moved

    def nearby(self, expansion: LocalExpansion, generator: np.random.Generator, count: int) -> Iterator[Vector]:
        """Parameters of the same function, found by Gauss–Newton steps from θ moved within the kernel of J."""
        size = float(np.linalg.norm(self.theta)) or self.composed.natural_size
        rows, columns = self.composed.n_coef, self.composed.n_params
        steps = _MAX_STEP_OPERATIONS // (rows * columns * min(rows, columns))
        for number in range(count):
            direction = generator.standard_normal(len(expansion.kernel)) @ _linalg.qr(expansion.kernel.T)[0].T
            point = self.theta + _MOVES[number % len(_MOVES)] * size * direction / float(np.linalg.norm(direction))
            for _ in range(_STEPS):
                step = self.composed.expand(point) - expansion.coef
                if np.linalg.norm(step) <= _SAME * self._size(point):
                    yield point
                    break
                if not steps:
                    return
                steps -= 1
                point = point - np.linalg.lstsq(self.composed.jacobian(point), step, rcond=1e-9)[0]
                if not np.linalg.norm(point) < _FAR * size:
                    break

    @cached_property
    def _groups(self) -> list[list[Vector]]:
        """Directions that may be free: of whole arrays, of their rows, of single units."""
        jacobian = self.composed.jacobian(self.theta)
        blocks = self.composed.program.parameters
        parts = [range(block.start, block.stop) for block in blocks]
        for block in blocks:
            rows = range(block.start, block.stop, block.shape[-1])
            parts += [range(start, start + block.shape[-1]) for start in rows if len(rows) > 1]
        groups = [self._unmoving(jacobian, part) for part in parts]
        for group in _fibre_directions(self.composed.program, self.reduction):
            groups.append([np.asarray(direction, dtype=np.float64) for direction in group])
        return [group for group in groups if group]

    def _unmoving(self, jacobian: Vector, part: range) -> list[Vector]:
        """Changes of a part of the parameters that do not move the function to first order."""
        columns = jacobian[:, part.start : part.stop]
        values, right = _linalg.right_svd(columns)
        rank = int(np.count_nonzero(values > _ZERO * np.linalg.norm(jacobian)))
        directions = np.zeros((len(part) - rank, self.composed.n_params))
        directions[:, part.start : part.stop] = right[rank:]
        return list(directions)

    def _moved(self, directions: list[Vector], generator: np.random.Generator) -> Vector:
        amounts = self._typical_size * generator.standard_normal(len(directions))
        return np.asarray(self.theta + amounts @ np.array(directions).reshape(len(directions), -1))

    @property
    def _typical_size(self) -> float:
        size = float(np.sqrt(np.mean(self.theta**2)))
        return size if size > 0 else 1.0

    def _size(self, theta: Vector) -> float:
        """Of the terms that the coefficients are sums of."""
        return float(np.linalg.norm(self.composed.majorant_coef(theta)))


class _Ranks:
    """The ranks of J and H at a critical point."""

    def __init__(self, expansion: LocalExpansion) -> None:
        self.composed, self.noise = expansion.composed, expansion.noise
        self.ranks = expansion.rank_above(self.noise[0]), expansion.hessian_rank_above(self.noise[1])

    def stay_at(self, theta: Vector) -> bool:
        """Whether they are no larger at other parameters."""
        there = LocalExpansion(self.composed, theta)
        return (
            there.rank_above(self.noise[0]) <= self.ranks[0]
            and there.hessian_rank_above(self.noise[1]) <= self.ranks[1]
        )


def snapped(composed: ComposedLoss, theta: Vector) -> Vector:
    """The parameters nearby that are exactly degenerate, if they are a critical point as good; else those given.

    A point that is found numerically has units that are zero, or equal, up to rounding; where the loss is flat, up to
    roots of it.
    """
    best = theta = _nearer_to_bottom(composed, theta)
    for tol in _TINY:
        tiny = np.where(np.abs(theta) <= tol * composed.natural_size, 0.0, theta)
        if _is_as_critical(composed, tiny, theta):
            best = tiny
    for tol in _NEARLY_ZERO:
        try:
            reduction, _ = reduce(composed.program, best, tol)
            nearby = _settled(composed, reduction) if reduction.steps else best
        except NumericalError:
            return best
        if _is_as_critical(composed, nearby, theta):
            best = nearby
    return best


def _nearer_to_bottom(composed: ComposedLoss, theta: Vector) -> Vector:
    """θ with a residual that is almost zero made zero, if that is possible nearby."""
    nearer = composed.towards_bottom(theta)
    near = np.linalg.norm(nearer - theta) <= _NEAR * np.linalg.norm(theta)
    return nearer if near and composed.is_bottom(nearer) else theta


def _settled(composed: ComposedLoss, reduction: Reduction) -> Vector:
    """The parameters from which nothing is left out by rounding, with those of the subnetwork made critical again."""
    exact = exactly(reduction)
    plain = np.asarray(exact.take_back().theta, dtype=np.float64)
    try:
        objective = NetworkLoss(composed.loss, as_network(exact.state.program))
    except ValueError:  # it has other monomials
        return plain
    sub = np.asarray(exact.state.theta, dtype=np.float64)
    found = search(objective, sub[None], "newton", n_threads=1).theta[0]
    if not np.isfinite(found).all() or np.linalg.norm(found - sub) > _NEAR * np.linalg.norm(sub):
        return plain
    polished = Parametrised(exact.state.program, np.array([Fraction(x) for x in found.tolist()], dtype=object))
    state = exact.state.copy()
    state.weights, state.biases = polished.weights, polished.biases
    return np.asarray(Reduction(state, exact.steps).take_back().theta, dtype=np.float64)


def _is_as_critical(composed: ComposedLoss, nearby: Vector, theta: Vector) -> bool:
    if np.array_equal(nearby, theta):
        return True
    (there, slope), (here, before) = (composed.objective.value_and_gradient(point) for point in (nearby, theta))
    coef = composed.expand(theta)
    scale = composed.slope_scale(coef)
    size = scale * float(np.linalg.norm(coef)) + float(here)
    allowed = max(4 * float(np.linalg.norm(before)), _SAME_GRADIENT * composed.gradient_scale(theta))
    near = np.linalg.norm(nearby - theta) <= _NEAR * max(composed.natural_size, float(np.linalg.norm(theta)))
    return bool(near and abs(there - here) <= _SAME_LOSS * size and np.linalg.norm(slope) <= allowed)
