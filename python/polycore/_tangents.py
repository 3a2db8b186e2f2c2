# SPDX-License-Identifier: BSD-3-Clause
"""Tangent vectors of a function space at one of its points, from several parameters of the same function.

All of it is seen modulo a random prime, by the values of random functionals, so that no coefficients are needed. Ranks
modulo p are at most those over the rationals.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _backend
from ._reductions import Reduction, UnitStep
from ._rings import Numbers
from ._validation import as_residues, check_size
from .modular import LARGE_PRIMES, WORD_PRIMES
from .program import Program
from .rank import echelon, modular_rank
from .structure import Parametrised, hidden_layers
from .symmetries import action_prime, infinitesimal_action

Array = NDArray[Any]

# Directions of a fibre are held as exact numbers.
_MAX_ENTRIES = 2**22


class Tangents:
    """Tangent vectors of the function space at one of its points, over GF(p), seen by random functionals.

    A functional is a combination of the outputs at a random point; as many as are given suffice to see a dimension of
    that size. Ranks modulo p are at most those over the rationals.
    """

    def __init__(self, program: Program, n_functionals: int, generator: np.random.Generator, n_threads: int) -> None:
        self.program, self.n_threads = program, n_threads
        self.n_functionals = min(n_functionals, program.n_outputs * program.n_monomials)
        check_size(2 * self.n_functionals * program.n_params, 8, "the Jacobian at random points")
        denominators = math.lcm(*(Fraction(c).denominator for a in program.activations for c in a.numbers))
        primes = WORD_PRIMES if program.degree < WORD_PRIMES.low else LARGE_PRIMES
        self.p = next(p for p in primes.draw(generator) if denominators % p)
        self.constants = program.constants(self.p)
        self.X = generator.integers(0, self.p, (self.n_functionals, program.n_inputs), dtype=np.uint64)
        self.weights = generator.integers(0, self.p, (self.n_functionals, program.n_outputs), dtype=np.uint64)
        self.dimension = 0  # of the span
        self.ranks: list[int] = []
        self._span = np.zeros((0, self.n_functionals), dtype=np.uint64)

    def at(self, theta: Array) -> NDArray[np.uint64]:
        """Images of the unit vectors, shape (n_params, n_functionals); ValueError if p divides a denominator."""
        residues = as_residues(theta, self.p, "theta")
        rows = self.program.engine.evaluate_vjp(
            residues, self.X, self.weights, modulus=self.p, constants=self.constants, n_threads=self.n_threads
        )
        return np.ascontiguousarray(rows.T)

    def within(self, theta: Array, part: Program, part_theta: Array) -> bool:
        """Whether the image of dμ at a point is in that of a part of the network, with the same inputs and outputs."""
        residues, constants = as_residues(part_theta, self.p, "theta"), part.constants(self.p)
        rows = part.engine.evaluate_vjp(
            residues, self.X, self.weights, modulus=self.p, constants=constants, n_threads=self.n_threads
        )
        image = np.ascontiguousarray(np.asarray(rows).T)
        both = np.concatenate([image, self.at(theta)])
        rank, of_part = (modular_rank(matrix, self.p, n_threads=self.n_threads) for matrix in (both, image))
        return bool(rank == of_part)

    def values(self, theta: Array) -> NDArray[np.uint64]:
        """The functionals of the function itself, outputs one by one, shape (n_functionals, n_outputs)."""
        residues = as_residues(theta, self.p, "theta")
        return np.asarray(
            self.program.engine.evaluate(
                residues, self.X, modulus=self.p, constants=self.constants, n_threads=self.n_threads
            )
        )

    def add(self, theta: Array) -> bool:
        """Take in the image at another point of the fibre; whether the span has grown."""
        image = self.at(theta)
        rank = modular_rank(image, self.p, n_threads=self.n_threads)
        self.ranks.append(rank)
        if not len(self._span):
            self._span, self.dimension = image, rank
            return rank > 0
        both = np.concatenate([self._span, image])
        pivots, _ = echelon(both, self.p)
        grown = len(pivots) > self.dimension
        self._span, self.dimension = both[: len(pivots)].copy(), len(pivots)
        return grown

    def combine(self, theta: Array, directions: Array) -> NDArray[np.uint64]:
        """Images of these vectors (m, n_params) of residues, shape (m, n_functionals)."""
        ring = Numbers(_backend.kernels(), np.dtype(np.uint64), self.p)
        return np.asarray(ring.matmul(directions[None], self.at(theta)[None])[0])


# --- fibres -----------------------------------------------------------------------------------------------------------


def fibre_at_least(program: Program, theta: Array, reduction: Reduction, dimension: int, tangents: Tangents) -> int:
    """Dimension of the known part of the fibre at a point, and of the generic fibre, over the complex numbers.

    The known part is the orbit, under the symmetries, of a linear space of parameters with the same function: units
    that are not read may read anything, units that are multiples may share what is read of them.
    """
    base = tangents.values(theta)
    generator = np.random.default_rng(tangents.p)
    kept: list[Array] = []
    waiting = [list(_fibre_directions(program, reduction))]
    while waiting:  # groups together, and their halves if together they are not free
        groups = waiting.pop()
        several = [*kept, *itertools.chain(*groups)]
        if len(several) * program.n_params <= _MAX_ENTRIES:
            moved = theta.astype(object)
            for direction in several:
                at = np.flatnonzero(direction)
                moved[at] = moved[at] + int(generator.integers(1, 1000)) * direction[at]
            if (tangents.values(moved) == base).all():
                kept = several
                continue
        if len(groups) > 1:
            half = len(groups) // 2
            waiting += [groups[half:], groups[:half]]
    q = action_prime(program, math.lcm(*(Fraction(x).denominator for x in (*theta, *itertools.chain(*kept)))))
    rows = np.array([as_residues(direction, q, "theta") for direction in kept], dtype=np.uint64)
    rows = rows.reshape(len(kept), program.n_params)
    with suppress(MemoryError):  # wide linear layers have many symmetries: go without
        action = infinitesimal_action(program, as_residues(theta, q, "theta").astype(np.int64), q)
        rows = np.concatenate([rows, action.astype(np.uint64)])
    known = modular_rank(rows, q) if rows.size else 0
    return max(known, program.n_params - dimension)


def _fibre_directions(program: Program, reduction: Reduction) -> Iterator[list[Array]]:
    """Directions in which single units can be changed, one group a unit."""
    whole = Parametrised(program, np.arange(program.n_params))  # positions of the parameters
    layers = {layer.before: layer for layer in hidden_layers(program)}
    for step in reduction.steps:
        if not isinstance(step, UnitStep):
            continue
        layer = layers[step.before.origins[step.layer.before]]
        unit = step.labels[step.unit]
        if step.kind == "silent" or step.zeroed:
            free = [*whole.weights[layer.before][unit]]
            free += [whole.biases[layer.before][unit]] if layer.before in whole.biases else []
            yield [_direction({at: 1}, program.n_params) for at in free]
            continue
        group = []
        for j in layer.after:
            columns = {u: whole.weights[j][:, whole.columns_of(layer, j, u)] for u in step.labels}
            for row, place in itertools.product(*map(range, columns[unit].shape)):
                entries = {columns[unit][row, place]: Fraction(1)}
                entries |= {columns[step.labels[u]][row, place]: -factor for u, factor in step.factors}
                if step.constant:
                    entries[whole.biases[j][row]] = -step.constant
                group.append(_direction(entries, program.n_params))
        yield group


def _direction(entries: dict[Any, Any], n_params: int) -> Array:
    result = np.zeros(n_params, dtype=object)
    for at, value in entries.items():
        result[int(at)] = value
    return result
