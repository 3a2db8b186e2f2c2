# SPDX-License-Identifier: BSD-3-Clause
"""What a critical point is whose Hessian has no negative eigenvalue, but zeros besides those along the fibre.

Let Z be the kernel of the Hessian, modulo the fibre, and R its complement, where the Hessian is positive. For small z
in Z the loss is least at one s(z) in R, and whether θ is a minimum is decided by the *reduced* loss
z ↦ min_s L(θ + z + s). Relative to L(θ) it vanishes at 0 with its derivatives up to the second (splitting lemma:
D. Gromoll, W. Meyer, *On differentiable functions with isolated critical points*, Topology 8 (1969) 361–369).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import _linalg
from ._fibre import Fibre
from ._inertia import Inertia, directions_across
from ._local_expansion import LocalExpansion, complement
from .stationary import search

Vector = NDArray[np.float64]

# Spheres about the point have radii that are these fractions of the size of θ.
_RADII = 0.5 ** np.arange(1, 15)
# Starts on the first, steps along it and along the next ones, and Newton steps in R after each.
_STARTS, _STEPS, _NEXT_STEPS, _CORRECTIONS = 24, 24, 6, 3
# Fewer starts where more numbers than this go into the gradients at all of them, but not fewer than these.
_MAX_WORK, _FEWEST_STARTS = 10**7, 4
# Searches times the cube of the number of parameters: more are not made to follow a manifold.
_MAX_OPERATIONS = 10**8
# Differences of the loss are clear above so many rounding errors.
_CLEAR = 100.0
# A power of the radius shows if the exponents from so many halvings of it are this close to an integer.
_SPHERES, _SPREAD = 3, 0.3
# Radii at which a manifold of critical points is followed, in the flat directions and as many random ones.
_FOLLOWED, _RANDOM_MOVES = (1e-2, 1e-3), 4


def higher_order(expansion: LocalExpansion, inertia: Inertia, fibre: Fibre) -> tuple[str, str]:
    """ "minimum", "saddle" or "undecided" for a degenerate point, and why.

    A minimum is shown if Z consists of the directions that a projection along the kernel of Q does not see, and this
    has constant rank; if Z is a line and the reduced loss grows in both directions; or if all directions in Z lead to
    critical points of the same loss, which form a manifold then, as large as Z, across which the Hessian is positive. A
    saddle is shown by a lower loss on spheres of decreasing radius, falling like a power of it.
    """
    if _is_seen_by_projection(expansion, inertia):
        return "minimum", "the loss is positive definite on the projection of the function space along ker Q"
    if expansion.rank == expansion.composed.generic.dimension:
        across = meeting = directions_across(expansion, fibre)[0]
    else:
        # What is known of the fibre may be parts that meet here; none of them can be left out.
        across = directions_across(expansion, fibre)[0]
        meeting = complement(expansion.orbit / expansion.units, expansion.composed.n_params)
    reduced, wider = _Reduced(expansion, inertia, across), _Reduced(expansion, inertia, meeting)
    lowest, noise = wider.lowest()
    power = _power(-lowest, noise)
    if power is not None:
        return "saddle", f"the loss falls like t^{power} along a curve found"
    if inertia.nullity == 1:
        power = _power(*reduced.lowest())
        if power is not None and power % 2 == 0:
            return "minimum", f"the loss grows like t^{power} in the one degenerate direction"
    if reduced.n_searches * expansion.composed.n_params**3 > _MAX_OPERATIONS:
        return "undecided", (
            "no lower loss was found nearby, which proves nothing; left out: whether it lies on a manifold of critical "
            f"points, by {reduced.n_searches} searches in {expansion.composed.n_params} parameters"
        )
    if reduced.is_manifold():
        return (
            "minimum",
            f"the point lies on a manifold of points of the same loss, of dimension {inertia.nullity} besides the "
            "fibre, as far as numbers show",
        )
    return "undecided", "no lower loss was found nearby, which proves nothing"


def _is_seen_by_projection(expansion: LocalExpansion, inertia: Inertia) -> bool:
    """Whether F·J has its generic rank, and the Hessian no kernel but that of F·J.

    By the constant rank theorem the loss is then constant on a manifold through θ, tangent to the kernel of F·J.
    """
    composed = expansion.composed
    if composed.factor is None:
        return False
    rank = expansion.projected_rank()
    unseen = composed.n_params - rank - inertia.fibre_dimension
    return rank == composed.generic_projected_rank and unseen == inertia.nullity


def _power(values: Vector, noise: Vector) -> int | None:
    """The exponent >= 3 with which values, largest radius first, go to zero.

    None if they are not positive and clear at the smallest radii where they are clear at all, or follow no power.
    """
    at = np.flatnonzero(np.abs(values) > _CLEAR * noise)
    if len(at) <= _SPHERES or at[-1] - at[-1 - _SPHERES] != _SPHERES:
        return None
    last = values[at[-1] - _SPHERES : at[-1] + 1]
    if not (last > 0).all():
        return None
    exponents = np.log2(last[:-1] / last[1:])
    power = round(float(exponents[-1]))
    return power if power >= 3 and float(np.abs(exponents - power).max()) <= _SPREAD else None


class _Reduced:
    """The reduced loss."""

    def __init__(self, expansion: LocalExpansion, inertia: Inertia, across: Vector) -> None:
        self.expansion, self.composed = expansion, expansion.composed
        values, vectors = _linalg.eigh(across.T @ expansion.scaled_hessian @ across)
        flat = np.abs(values) <= inertia.tolerance
        self.units = expansion.units
        self.flat, self.steep = across @ vectors[:, flat], across @ vectors[:, ~flat]
        self.curvatures = values[~flat]
        size = float(np.linalg.norm(expansion.theta / self.units))
        self.size = size if size > 0 else self.composed.natural_size
        self.generator = np.random.default_rng(0)

    def lowest(self) -> tuple[Vector, Vector]:
        """The least values found of the reduced loss on spheres, relative to that at θ, with their rounding errors."""
        n = self.flat.shape[1]
        width = self.composed.n_coef
        count = max(_FEWEST_STARTS, min(_STARTS, _MAX_WORK // (width * (width + self.composed.n_params))))
        starts = self.generator.standard_normal((count, n))
        starts = np.concatenate([starts, np.eye(n), -np.eye(n)]) if n < count else starts
        directions = starts / np.linalg.norm(starts, axis=1, keepdims=True)
        lowest, noise = list[float](), list[float]()
        for radius in _RADII * self.size:
            gains, error, directions = self._descend(directions, radius, _NEXT_STEPS if lowest else _STEPS)
            lowest.append(float(gains.min()))
            noise.append(error)
            if np.abs(gains).max() <= _CLEAR * error:
                break  # at smaller radii there is nothing to be seen either
        return np.array(lowest), np.array(noise)

    def _descend(self, directions: Vector, radius: float, n_steps: int) -> tuple[Vector, float, Vector]:
        """Move along the sphere downhill; the values reached, and the directions."""
        steep = np.zeros((len(directions), self.steep.shape[1]))
        step = np.full(len(directions), 0.5)
        gains, error, slopes, steep = self._evaluate(directions, steep, radius)
        for _ in range(n_steps if directions.shape[1] > 1 else 0):
            tangent = slopes - np.sum(slopes * directions, axis=1, keepdims=True) * directions
            length = np.linalg.norm(tangent, axis=1, keepdims=True)
            moved = directions - step[:, None] * tangent / np.where(length > 0, length, 1.0)
            moved /= np.linalg.norm(moved, axis=1, keepdims=True)
            new, _, new_slopes, new_steep = self._evaluate(moved, steep, radius)
            better = new < gains
            directions = np.where(better[:, None], moved, directions)
            slopes, steep = np.where(better[:, None], new_slopes, slopes), np.where(better[:, None], new_steep, steep)
            gains, step = np.where(better, new, gains), np.where(better, 1.2 * step, 0.4 * step)
        return gains, error, directions

    def _evaluate(self, directions: Vector, steep: Vector, radius: float) -> tuple[Vector, float, Vector, Vector]:
        """Reduced loss and its gradient on the sphere; ``steep`` are coordinates in R, improved here."""
        flat = radius * directions @ self.flat.T
        base = self.expansion.theta
        for _ in range(_CORRECTIONS if self.steep.shape[1] else 0):
            _, gradient = self.composed.objective.value_and_gradient(base + self.units * (flat + steep @ self.steep.T))
            steep = _shortened(steep - (gradient * self.units) @ self.steep / self.curvatures, radius)
        points = base + self.units * (flat + steep @ self.steep.T)
        _, gradient = self.composed.objective.value_and_gradient(points)
        gains, error = self.expansion.gain(self.composed.expand(points))
        return gains, error, (gradient * self.units) @ self.flat, steep

    @property
    def n_searches(self) -> int:
        """Of `is_manifold`, at each radius."""
        return 2 * int(self.flat.shape[1]) + _RANDOM_MOVES

    def is_manifold(self) -> bool:
        """Whether from θ + z, for z in all directions of Z, Newton steps of least norm lead to points like θ, near it.

        Near means at a distance of order |z|²: then they form a manifold tangent to Z.
        """
        n = self.flat.shape[1]
        signed = np.concatenate(
            [np.eye(n), -np.eye(n), self.generator.standard_normal((_RANDOM_MOVES, n)) / np.sqrt(n)]
        )
        offsets = []
        for radius in _FOLLOWED:
            flat = radius * self.size * signed
            starts = self.expansion.theta + self.units * (flat @ self.flat.T)
            found = search(self.composed.objective, starts, "newton")
            gains, error = self.expansion.gain(self.composed.expand(found.theta))
            if not found.converged.all() or (np.abs(gains) > _CLEAR * error + 1e-12 * self._scale).any():
                return False
            reached = ((found.theta - self.expansion.theta) / self.units) @ self.flat
            offsets.append(float(np.abs(reached - flat).max()) / (radius * self.size))
        return offsets[0] < 0.5 and offsets[1] < 0.5 * offsets[0] + 1e-6

    @property
    def _scale(self) -> float:
        coef = self.expansion.coef
        return self.composed.slope_scale(coef) * float(np.linalg.norm(coef))


def _shortened(vectors: Vector, length: float) -> Vector:
    """Rows of at most this length, so that corrections stay smaller than what they correct."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors * np.where(norms > length, length / np.where(norms > 0, norms, 1.0), 1.0))
