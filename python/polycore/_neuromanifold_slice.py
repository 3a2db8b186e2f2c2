# SPDX-License-Identifier: BSD-3-Clause
"""What a network has of a slice ``origin + Σ_i s_i directions[i]`` of its coefficient space.

Positions s are used as they are at the interface; polynomials live on the box [−1, 1]^k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._implicit_surface import Polynomial, interpolate, triangles
from ._quadtree import Plane, Square, as_plane, refine
from ._validation import _describe, _format_int, as_real_array, check_size
from .dimension import dimension
from .equations import Equations, equations
from .loss import NetworkLoss, QDistance
from .networks import Network
from .spans import LinearSpan
from .stationary import search

__all__ = ["Slice", "SolidSlice"]

Floats = NDArray[np.float64]

# Degrees of equations that are looked for, and of a polynomial that a caller gives.
_EQUATION_DEGREE, _GIVEN_DEGREE = 6, 8
_REFINEMENTS = 3
# Starts of the search for singular points, and the accuracy of what it finds where the surface is very singular.
_STARTS, _ACCURACY = 300, 1e-5
# Starts of a search for parameters.
_FEW = 16
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True, eq=False)
class SolidSlice:
    """A surface in three dimensions and its singular points.

    Attributes
    ----------
    triangles : (m, 3, 3) array
    singular : (n, 3) array
    verdicts : list of n str
        Whether they are functions of the network: "yes", "no" or "undecided".
    """

    triangles: Floats
    singular: Floats
    verdicts: list[str]


@dataclass(frozen=True, eq=False)
class Slice:
    """The slice, with its bounds; k is 2 or 3."""

    net: Network
    origin: Floats
    directions: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, net: object, origin: object, directions: object, low: ArrayLike, high: ArrayLike) -> Slice:
        """The arguments, checked."""
        if not isinstance(net, Network):
            raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
        shape = (("n_outputs", net.n_outputs), ("n_monomials", net.basis.n_monomials))
        start = as_real_array(origin, "origin", shape=shape)
        along = as_real_array(directions, "directions", shape=("k", *shape))
        k = len(along)
        if k not in (2, 3):
            raise ValueError(f"`directions` must be two or three, got {k}")
        if np.linalg.matrix_rank(along.reshape(k, -1)) < k:
            raise ValueError("`directions` must be linearly independent")
        bounds = []
        for bound, name in ((low, "low"), (high, "high")):
            array = as_real_array(bound, name)
            bounds.append(
                np.full(k, float(array)) if array.ndim == 0 else as_real_array(array, name, shape=(("k", k),))
            )
        if not (bounds[0] < bounds[1]).all():
            raise ValueError(f"`high` must be larger than low={bounds[0].tolist()}, got {bounds[1].tolist()}")
        result = cls(net, start, along, *bounds)
        if not np.all(result.span.contains(np.concatenate([start[None], along]))):
            raise ValueError("`origin` and `directions` must lie in the linear span of the network, net.linear_span()")
        return result

    @property
    def k(self) -> int:
        """How many directions there are."""
        return len(self.directions)

    @cached_property
    def span(self) -> LinearSpan:
        """Of the network."""
        return self.net.linear_span()

    @cached_property
    def codimension(self) -> int:
        """Of the functions of the network in their span."""
        return self.span.dimension - dimension(self.net).dimension

    def coef(self, s: Floats) -> Floats:
        """Coefficients (n, O, N) at positions (n, k)."""
        return np.asarray(self.origin + np.tensordot(s, self.directions, axes=1))

    def from_box(self, points: Floats) -> Floats:
        """Positions of points (..., k) of the box [−1, 1]^k."""
        return np.asarray(self.low + (points + 1.0) / 2.0 * (self.high - self.low))

    def axis_names(self) -> list[str]:
        """The monomial of each direction that changes one coordinate of the span alone, else its number."""
        names = []
        for i, direction in enumerate(self.directions):
            (changed,) = np.nonzero(self.span.coordinates(direction))
            if len(changed) == 1 and self.span.coordinates(direction)[changed[0]] == 1.0:
                output, monomial = divmod(int(self.span.pivots[changed[0]]), self.net.basis.n_monomials)
                of_output = f" in f{output + 1}".translate(_SUBSCRIPTS) if self.net.n_outputs > 1 else ""
                names.append(f"coefficient of {_typeset(self.net.basis.exponents[monomial])}{of_output}")
            else:
                names.append(f"direction {i + 1}")
        return names

    def polynomial(self, surface: Equations | Callable[[Floats], ArrayLike] | None) -> Polynomial | None:
        """On the box: the one given, or the network's own equation; None if it has none of a degree to be expected."""
        if surface is None:
            surface = self._equation()
            if surface is None:
                return None
        if isinstance(surface, Equations):
            if len(surface) != 1:
                raise ValueError(f"`surface` must be one equation, got {len(surface)}")
            if (surface.n_outputs, surface.basis) != (self.net.n_outputs, self.net.basis):
                raise ValueError("`surface` must be an equation of this network")
            return interpolate(lambda s: surface(self.coef(self.from_box(s)))[:, 0], self.k, surface.degree)
        if not callable(surface):
            raise TypeError(f"`surface` must be Equations or callable, got {_describe(surface)}")
        given = surface

        def values(s: Floats) -> Floats:
            return as_real_array(given(self.coef(self.from_box(s))), "surface(coef)", shape=(("n", len(s)),))

        result = interpolate(values, self.k, _GIVEN_DEGREE)
        if result is None:
            raise ValueError(f"`surface` must be a polynomial of degree at most {_GIVEN_DEGREE} on the slice")
        return result

    def _equation(self) -> Equations | None:
        if self.codimension != 1:
            return None
        for degree in range(2, _EQUATION_DEGREE + 1):
            try:
                found = equations(self.net, degree)
            except (MemoryError, OverflowError):
                return None
            if len(found):
                return found
        return None

    def region(self, n: int) -> tuple[Plane, dict[Square, str]]:
        """Squares of the plane with what ``net.contains`` says of their centres; k = 2."""
        plane = as_plane(self.low, self.high, n, _REFINEMENTS)
        verdicts: dict[Square, str] = {}

        def verdict(square: Square, _: str | None) -> str:
            return self.net.contains(self.coef(plane.centre(square)[None])[0]).verdict

        refine(plane, verdicts, verdict, str.__eq__)
        return plane, verdicts

    def solid(self, polynomial: Polynomial, n: int, rng: np.random.Generator) -> SolidSlice:
        """The zero set of a polynomial and its singular points; k = 3."""
        check_size(6 * 4 * 6 * n**3, 8, f"the tetrahedra with `resolution`={_format_int(n)}", "use a smaller one")
        singular = self.from_box(polynomial.singular_points(_STARTS, rng))
        verdicts = [self._verdict(coef) for coef in self.coef(singular)]
        return SolidSlice(self.from_box(triangles(polynomial, n)), singular, verdicts)

    def _verdict(self, coef: Floats) -> str:
        """Whether the network has a function, of which the coefficients are known to ``_ACCURACY`` only."""
        verdict = self.net.contains(coef, tol=_ACCURACY).verdict
        if verdict == "undecided":
            # Parameters of a function that is as near as that decide it, unless they are on their way to infinity.
            distance = QDistance.from_metric("identity", coef, self.net.basis)
            starts = self.net.random_params(rng=0, batch=(_FEW,))
            found = search(NetworkLoss(distance, self.net), starts, "descent")
            near = found.value <= (_ACCURACY * np.linalg.norm(coef)) ** 2
            verdict = "yes" if (near & found.converged).any() else verdict
        return verdict


def _typeset(exponent: NDArray[np.int64]) -> str:
    """A monomial as x₁x₂²."""
    factors = []
    for variable, power in enumerate(exponent.tolist(), start=1):
        if power:
            factors.append(
                f"x{variable}".translate(_SUBSCRIPTS) + (str(power).translate(_SUPERSCRIPTS) if power > 1 else "")
            )
    return "".join(factors) or "1"
