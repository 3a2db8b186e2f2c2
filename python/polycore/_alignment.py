# SPDX-License-Identifier: BSD-3-Clause
"""The search behind `net.align`: the symmetry g that makes ‖g·θ − other‖ small.

Three moves, each made only if it brings the parameters closer:

* units of one component are matched by a linear assignment, each pair with its best scaling and signs, by what is
  before and after them, the other components being as they are;
* all that is continuous, linear maps, scalings and translations together, by Levenberg–Marquardt steps on the group:
  with the tangents J of the group at g·θ, least squares J x ≈ other − g·θ, and g becomes exp(x) g;
* signs and summands that are computed alike (heads) are changed one or two at a time.

Legend: ``m`` features of a component, ``P`` parameters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from ._coordinate_changes import Array, Change, Linear, Monomial
from ._frames import Block, Component
from .symmetries import Symmetry, SymmetryGroup, n_generators, tangents

_SWEEPS = 20
_STEPS = 60
# Newton steps for the logarithm of one scaling, and its largest value.
_NEWTON = 12
_FAR = 20.0
# Improvements below this, relative to the size of the parameters, are rounding.
_ENOUGH = 1e-14


class Search:
    """Parameters on their way to others."""

    def __init__(self, group: SymmetryGroup, theta: Array, other: Array, start: Symmetry) -> None:
        self.group, self.known, self.other = group, group._known, other
        self.element, self.theta = start, group._act(start, theta)
        self.origin = theta
        self.distance = self._distance(self.theta)
        self.enough = _ENOUGH * (1 + float(np.linalg.norm(other)))

    def run(self) -> None:
        """All moves until none is left."""
        self._descend()
        for _ in range(_SWEEPS):
            before = self.distance
            self._match_all()
            self._descend()
            self._flip()
            if before - self.distance <= 1e-9 * before + self.enough:
                break
        # What many steps have rounded is made good: the parameters are those given, moved once.
        for _ in range(2):
            self._start_afresh()
            self._descend(3)
        self._start_afresh()

    def _start_afresh(self) -> None:
        """Move the given parameters by the element that has been found."""
        changes = {
            slot: Linear(change.matrix, np.linalg.inv(change.matrix), change.shift)
            if isinstance(change, Linear)
            else change
            for slot, change in self.element.changes.items()
        }
        self.element = Symmetry(self.element.program, self.element.slots, changes)
        self.theta = self.group._act(self.element, self.origin)
        self.distance = self._distance(self.theta)

    def match_layers(self) -> None:
        """Match one component after another by what is before it, whether or not that brings all parameters closer."""
        done = [component.kind == "fixed" and not component.signs for component in self.known.components]
        for number, component in enumerate(self.known.components):
            if done[number]:
                continue
            blocks = [
                (block, columns)
                for block, columns in self._blocks(number)
                if columns is None
                and all(done[self.known.component_of[a.frame]] for a in self.known.frames(block.input))
            ]
            step = self._matching(number, component, blocks)
            if step is not None:
                self._accept(step)
            done[number] = True

    # -- moves ---------------------------------------------------------------------------------------------------------

    def _distance(self, theta: Array) -> float:
        distance = float(np.linalg.norm(theta - self.other))
        return distance if np.isfinite(distance) else np.inf

    def _accept(self, step: Symmetry) -> None:
        with np.errstate(all="ignore"):
            self.theta = self.group._act(step, self.theta)
            self.element = self.group.compose(step, self.element)
        self.distance = self._distance(self.theta)

    def _try(self, step: Symmetry, polish: int = 0) -> bool:
        """Make a move if it brings the parameters closer, with some steps of descent."""
        kept = self.element, self.theta, self.distance
        self._accept(step)
        if polish and np.isfinite(self.distance):
            self._descend(polish)
        if self.distance < kept[2] - self.enough:
            return True
        self.element, self.theta, self.distance = kept
        return False

    def _descend(self, n_steps: int = _STEPS) -> None:
        """Levenberg–Marquardt on the connected part of the group."""
        if not n_generators(self.known) or not np.isfinite(self.distance):
            return
        damping = 1e-3
        for _ in range(n_steps):
            J = tangents(self.known, self.theta, float)
            normal, right = J @ J.T, J @ (self.other - self.theta)
            if not np.isfinite(normal).all():
                return
            before, sizes = self.distance, np.diagonal(normal)
            sizes = sizes + 1e-12 * float(sizes.max()) + 1e-300
            for _ in range(12):
                x = np.linalg.lstsq(normal + damping * np.diag(sizes), right, rcond=None)[0]
                if x @ right <= 1e-13 * before**2 + self.enough**2:
                    return  # nothing to gain
                # Far steps are no better than their direction.
                if self._try(self._exponential(x * min(1.0, 2.0 / float(abs(x).max())))):
                    damping = max(damping / 10, 1e-15)
                    break
                damping = max(damping, 1e-8) * 10
            if before - self.distance <= 1e-12 * before + self.enough:
                return

    def _exponential(self, x: Array) -> Symmetry:
        """exp(x), x in the basis of `tangents`."""
        actions: dict[int, Change] = {}
        start = 0
        for number, component in enumerate(self.known.components):
            part = x[start : start + component.n_generators]
            start += component.n_generators
            m = component.size
            if component.kind.endswith("linear"):
                X = np.zeros((m, m))
                X[~np.eye(m, dtype=np.bool_) if component.kind == "centred linear" else np.ones((m, m), bool)] = part
                if component.kind == "centred linear":
                    X -= np.diag(X.sum(axis=1))
                actions[number] = Linear(expm(X), expm(-X), np.zeros(m))
            elif component.scaled:
                actions[number] = Monomial(np.arange(m), np.exp(part), np.zeros(m))
        scalars = dict(enumerate(np.exp(x[start : start + len(self.known.scalars)]).tolist()))
        start += len(self.known.scalars)
        translations = {}
        for number, known in enumerate(self.known.translations):
            translations[number] = x[start : start + known.size]
            start += known.size
        return self.group._element(actions, scalars=scalars, translations=translations, exact=False)

    def _match_all(self) -> None:
        for number, component in enumerate(self.known.components):
            if component.kind == "permutations" or component.signs:
                step = self._matching(number, component, list(self._blocks(number)))
                if step is not None:
                    self._try(step, polish=3 if n_generators(self.known) else 0)

    def _flip(self) -> None:
        """Signs of slots, linear maps of either orientation, and exchanges of alike summands."""
        for number in range(len(self.known.scalar_signs)):
            self._try(self.group._element(scalar_signs=[number], exact=False), polish=2)
        for step in self._exchanges():
            self._try(step, polish=8)
        for number, component in enumerate(self.known.components):
            if component.kind == "linear":
                closest = self._least_squares(number, component, list(self._blocks(number)))
                if closest is not None:
                    self._try(closest, polish=2)

    def _exchanges(self) -> Iterator[Symmetry]:
        for branches in self.known.branches:
            for first, second in combinations(branches.members, 2):
                slots = {a + 1: b + 1 for a, b in zip(first, second)}
                slots |= {b: a for a, b in slots.items()}
                yield self.group._element(slots=slots, exact=False)

    # -- matching ------------------------------------------------------------------------------------------------------

    def _blocks(self, number: int) -> Iterator[tuple[Block, NDArray[np.intp] | None]]:
        """Blocks that write into a component, with None, or read it, with the columns of its features; not both."""
        known = self.known
        for block in known.blocks:
            reads = known.frames(block.input)
            mine = [axis for axis in reads if known.component_of[axis.frame] == number]
            writes = known.component_of[block.number] == number
            if writes and not mine:
                yield block, None
            elif mine and not writes and len(reads) == 1:
                yield block, known.columns(block)

    def _matching(
        self, number: int, component: Component, blocks: Sequence[tuple[Block, NDArray[np.intp] | None]]
    ) -> Symmetry | None:
        """The best g of a component, judged by these blocks."""
        if not blocks:
            return None
        if component.kind.endswith("linear"):
            return self._least_squares(number, component, blocks)
        m = component.size
        parts = [self._pair(block, columns, number) for block, columns in blocks]
        best = np.full((m, m), np.inf)
        scales, choices = np.ones((m, m)), np.zeros((m, m), dtype=np.intp)
        signs = list(product((1, -1), repeat=min(len(component.signs), 6)))
        for choice, sign in enumerate(signs):
            # Features j of what is moved against i of the other: Σ |t^e a_j − s b_i|², grouped by exponents.
            squares: defaultdict[int, Array] = defaultdict(lambda: np.zeros((m, m)))
            inner: defaultdict[int, Array] = defaultdict(lambda: np.zeros((m, m)))
            for a, b, exponent, flipped in parts:
                s = int(np.prod([x for x, f in zip(sign, flipped) if f], dtype=int))
                squares[exponent] += (a * a).sum(axis=1)
                inner[exponent] += s * (b @ a.T)
            t = _best_scales(squares, inner) if component.scaled else np.ones((m, m))
            cost = sum((t ** (2 * e) * squares[e] - 2 * t**e * inner[e] for e in squares), np.zeros((m, m)))
            better = cost < best
            best[better], scales[better], choices[better] = cost[better], t[better], choice
        if not np.isfinite(best).all():
            return None  # squares overflow
        from scipy.optimize import linear_sum_assignment  # which takes a while, and importing polycore must not

        perm = linear_sum_assignment(best)[1] if component.kind == "permutations" else np.arange(m)
        units = np.arange(m)
        chosen = np.array(signs, dtype=float).reshape(len(signs), -1)[choices[units, perm]]
        action = Monomial(perm, scales[units, perm], np.zeros(m))
        of_unit = [chosen[:, i] if i < chosen.shape[1] else np.ones(m) for i in range(len(component.signs))]
        return self.group._element({number: action}, {number: of_unit}, exact=False)

    def _pair(
        self, block: Block, columns: NDArray[np.intp] | None, number: int
    ) -> tuple[Array, Array, int, list[bool]]:
        """Vectors of the features, (m, n), here and in the other, with the exponent and the signs that act on them."""
        component = self.known.components[number]
        if columns is None:
            found = []
            for theta in (self.theta, self.other):
                rows = theta[block.weights]
                if block.has_bias:
                    centre = float(self.known.centres.get(block.output, 0))
                    rows = np.hstack([rows, theta[block.bias][:, None] - centre])
                found.append(rows)
            flipped = [block.number in frames for frames in component.signs]
            return found[0], found[1], component.exponents[block.number], flipped
        (axis,) = self.known.frames(block.input)
        here, there = (
            theta[block.weights][:, columns].transpose(2, 0, 1).reshape(component.size, -1)
            for theta in (self.theta, self.other)
        )
        flipped = [bool(axis.parity) and axis.frame in frames for frames in component.signs]
        return here, there, -component.exponents[axis.frame] * axis.exponent, flipped

    def _least_squares(
        self, number: int, component: Component, blocks: Sequence[tuple[Block, NDArray[np.intp] | None]]
    ) -> Symmetry | None:
        """g with g A ≈ A* for the weights before, or B ≈ B* g for those after; None if it would be singular."""
        along = [self._pair(block, columns, number) for block, columns in blocks]
        sides = {e: [(a, b) for a, b, exponent, _ in along if exponent == e] for e in (1, -1)}
        e = 1 if sides[1] else -1
        if component.kind == "centred linear" or not sides[e]:
            return None
        A, wanted = (np.hstack([pair[i] for pair in sides[e]]) for i in (0, 1))
        g = wanted @ np.linalg.pinv(A)
        values = np.linalg.svd(g, compute_uv=False)
        if not values.size or values[-1] <= 1e-8 * values[0]:
            return None
        inverse = np.linalg.inv(g)
        action = Linear(g, inverse, np.zeros(len(g))) if e == 1 else Linear(inverse.T, g.T, np.zeros(len(g)))
        return self.group._element({number: action}, exact=False)


def _best_scales(squares: dict[int, Array], inner: dict[int, Array]) -> Array:
    """t > 0 that minimises Σ_e t^{2e} squares_e − 2 t^e inner_e, by Newton steps in log t from several starts."""
    e = np.array(list(squares), dtype=float).reshape(-1, 1, 1, 1)  # exponents, starts, features, features
    A, B = (np.array(list(terms.values()))[:, None] for terms in (squares, inner))
    ratio = (B / np.maximum(A, 1e-300))[:, 0]
    s = np.concatenate([0 * ratio[:1], np.log(np.where(ratio > 1e-12, ratio, 1.0)) / e[:, 0]])
    for _ in range(_NEWTON):
        s = np.clip(s, -_FAR, _FAR)
        power = np.exp(e * s)
        slope = (e * (power * A - B) * power).sum(axis=0)
        bend = abs((e * e * (2 * power * A - B) * power).sum(axis=0))
        s = s - np.clip(slope / np.maximum(bend, 1e-300), -0.5, 0.5)
    power = np.exp(e * np.clip(s, -_FAR, _FAR))
    best = ((power * A - 2 * B) * power).sum(axis=0).argmin(axis=0)
    chosen: Array = np.take_along_axis(s, best[None], axis=0)[0]
    scales: Array = np.exp(np.clip(chosen, -_FAR, _FAR))
    return scales
