# SPDX-License-Identifier: BSD-3-Clause
"""Real zero sets of polynomials in two or three variables: triangles, and singular points.

Legend: k variables, a polynomial p with coefficients (N,) on a `MonomialBasis` in them, a box [−1, 1]^k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ._polynomial_systems import System
from .monomials import MonomialBasis
from .veronese import veronese

__all__ = ["Polynomial", "interpolate", "triangles"]

Floats = NDArray[np.float64]

# A polynomial fits what it is to be up to this, relative to the largest value.
_FITS = 1e-9
# Steps to the singular points; how small p and its gradient are there, relative to its coefficients; the least damping.
_TINY = 1e-200
_STEPS, _SINGULAR, _REGULAR = 120, 1e-12, 1e-14


@dataclass(frozen=True, eq=False)
class Polynomial:
    """A polynomial on the box."""

    basis: MonomialBasis
    coef: Floats

    def __call__(self, points: Floats) -> Floats:
        """Values (n,) at points (n, k)."""
        return np.asarray(veronese(points, self.basis) @ self.coef)

    @cached_property
    def _system(self) -> System:
        """With the monomials that occur, and derivatives."""
        return System.of(self.basis.exponents, self.coef[None])

    def gradient(self, points: Floats) -> Floats:
        """First derivatives (n, k) at points (n, k)."""
        return np.asarray(self._system.jacobian(points)[:, 0])

    def singular_points(self, n_starts: int, rng: np.random.Generator) -> Floats:
        """Points of the box (n, k) where p and its gradient vanish, as found from random starts.

        Levenberg–Marquardt steps on p = 0, ∇p = 0, damped by the residual: they lead across a curve of singular points,
        not along it, so that the points found are spread as the starts are.
        """
        k = self.basis.n_vars
        scale = float(np.abs(self.coef).max()) or 1.0
        points = rng.uniform(-1.0, 1.0, (n_starts, k))
        for _ in range(_STEPS):
            gradient, hessian = self.gradient(points), self._system.hessian(points)[:, 0]
            residual = np.concatenate([self(points)[:, None], gradient], axis=1)
            jacobian = np.concatenate([gradient[:, None], hessian], axis=1)
            damping = scale * np.linalg.norm(residual, axis=1)[:, None, None] * np.eye(k)
            transposed = jacobian.swapaxes(1, 2)
            normal = transposed @ jacobian + damping
            normal += (_REGULAR * np.trace(normal, axis1=1, axis2=2) + _TINY)[:, None, None] * np.eye(k)
            step = np.linalg.solve(normal, transposed @ residual[..., None])[..., 0]
            points = np.clip(points - step, -1.5, 1.5)
        residual = np.concatenate([self(points)[:, None], self.gradient(points)], axis=1)
        small = np.abs(residual).max(axis=1) <= _SINGULAR * scale
        return np.asarray(points[small & (np.abs(points) <= 1.0).all(axis=1)])


def interpolate(function: Callable[[Floats], Floats], n_vars: int, max_degree: int) -> Polynomial | None:
    """The polynomial of least degree that a function (n, k) → (n,) is on the box; None if that is too high, or none."""
    rng = np.random.default_rng(0)
    n_points = MonomialBasis(n_vars, max_degree).n_monomials + 20
    points = rng.uniform(-1.0, 1.0, (n_points, n_vars))
    values = np.asarray(function(points), dtype=np.float64)
    for degree in range(max_degree + 1):
        basis = MonomialBasis(n_vars, degree)
        rows = veronese(points, basis)
        coef = np.linalg.lstsq(rows, values)[0]
        if np.abs(rows @ coef - values).max() <= _FITS * np.abs(values).max(initial=0.0):
            coef[np.abs(coef) <= _FITS * np.abs(coef).max()] = 0.0
            return Polynomial(basis, coef)
    return None


# The six tetrahedra around the diagonal of a cube, as corners (x, y, z): one for each order of the axes.
_CUBE_TETRAHEDRA = np.array(
    [
        [[0, 0, 0], a, b, [1, 1, 1]]
        for a, b in (
            ([1, 0, 0], [1, 1, 0]),
            ([1, 0, 0], [1, 0, 1]),
            ([0, 1, 0], [1, 1, 0]),
            ([0, 1, 0], [0, 1, 1]),
            ([0, 0, 1], [1, 0, 1]),
            ([0, 0, 1], [0, 1, 1]),
        )
    ]
)


def triangles(function: Callable[[Floats], Floats], n: int) -> Floats:
    """The zero set in the cube as triangles (m, 3, 3), by linear interpolation on n³ cubes cut into tetrahedra.

    Where the sign does not change, as at an isolated zero, nothing is found. Tetrahedra of neighbouring cubes fit
    together, so there are no holes. The triangles are not oriented. Source: A. Doi, A. Koide, *An efficient method of
    triangulating equi-valued surfaces by using tetrahedral cells*, IEICE Trans. E74 (1991) 214–224.
    """
    axis = np.linspace(-1.0, 1.0, n + 1)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    values = function(grid.reshape(-1, 3)).reshape(n + 1, n + 1, n + 1)
    cubes = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 1, 3)
    corners = (cubes + _CUBE_TETRAHEDRA).reshape(-1, 4, 3)
    at = values[tuple(np.moveaxis(corners, -1, 0))]
    crossed = (at > 0).any(axis=1) & (at <= 0).any(axis=1)
    corners, at = corners[crossed], at[crossed]
    # Corners in ascending order of their values: those that are not positive come first, one, two or three of them.
    order = np.argsort(at, axis=1, kind="stable")
    at = np.take_along_axis(at, order, axis=1)
    points = axis[np.take_along_axis(corners, order[..., None], axis=1)]
    n_low = (at <= 0).sum(axis=1)

    def cut(rows: NDArray[np.bool_], edges: tuple[tuple[int, int], ...]) -> Floats:
        """Where these edges of some tetrahedra are crossed, (m, len(edges), 3)."""
        low, high = (np.array(end) for end in zip(*edges))
        share = at[rows][:, low] / (at[rows][:, low] - at[rows][:, high])
        return np.asarray(points[rows][:, low] + share[..., None] * (points[rows][:, high] - points[rows][:, low]))

    one, three = cut(n_low == 1, ((0, 1), (0, 2), (0, 3))), cut(n_low == 3, ((0, 3), (1, 3), (2, 3)))
    square = cut(n_low == 2, ((0, 2), (0, 3), (1, 3), (1, 2)))
    return np.concatenate([one, three, square[:, [0, 1, 2]], square[:, [0, 2, 3]]])
