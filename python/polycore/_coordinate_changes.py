# SPDX-License-Identifier: BSD-3-Clause
"""Changes of coordinates z -> M z + u on features: what a symmetry does to the values of a slot.

M is monomial, (M z)_i = scale_i z_perm(i), or any invertible matrix. Entries are exact (Fractions, dtype object),
residues modulo a prime (ints, dtype object) or float64. A change of size 1 acts on any number of features as a scalar.

Legend: ``m`` features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Monomial:
    """z_i -> scale_i z_perm(i) + shift_i."""

    perm: NDArray[np.intp]
    scale: Array
    shift: Array

    @property
    def size(self) -> int:
        """Number of features m."""
        return len(self.perm)

    def rows(self, W: Array) -> Array:
        """M W for W (..., m, n)."""
        return np.asarray(self._moved(W, -2) * self.scale[:, None])

    def columns(self, W: Array) -> Array:
        """W M^{-1} for W (..., n, m)."""
        return np.asarray(self._moved(W, -1) / self.scale)

    def values(self, z: Array) -> Array:
        """M z + u for z (..., m)."""
        return np.asarray(self._moved(z, -1) * self.scale + self.shift)

    def _moved(self, array: Array, axis: int) -> Array:
        return array if self.size == 1 else np.take(array, self.perm, axis=axis)

    def after(self, first: Change) -> Change:
        """This change of what ``first`` has changed."""
        if not isinstance(first, Monomial):
            return self.as_linear().after(first)
        return Monomial(first.perm[self.perm], self.scale * first.scale[self.perm], self.values(first.shift))

    def inverse(self) -> Monomial:
        """The change that takes this one back."""
        perm = np.argsort(self.perm)
        scale = 1 / self.scale[perm]
        return Monomial(perm, scale, -scale * self.shift[perm])

    def converted(self, convert: Callable[[Array], Array]) -> Monomial:
        """With its entries in another ring."""
        return Monomial(self.perm, convert(self.scale), convert(self.shift))

    def as_linear(self) -> Linear:
        """The same with M as a matrix."""
        M = np.zeros((self.size, self.size), dtype=self.scale.dtype)
        M[np.arange(self.size), self.perm] = self.scale
        N = np.zeros_like(M)
        N[self.perm, np.arange(self.size)] = 1 / self.scale
        return Linear(M, N, self.shift)

    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return bool((self.perm == np.arange(self.size)).all() and (self.scale == 1).all() and not self.shift.any())


@dataclass(frozen=True, eq=False)
class Linear:
    """z -> M z + shift, with M^{-1} at hand."""

    matrix: Array
    inverse_matrix: Array
    shift: Array

    @property
    def size(self) -> int:
        """Number of features m."""
        return len(self.matrix)

    def rows(self, W: Array) -> Array:
        """M W for W (..., m, n)."""
        return np.asarray(self.matrix @ W)

    def columns(self, W: Array) -> Array:
        """W M^{-1} for W (..., n, m)."""
        return np.asarray(W @ self.inverse_matrix)

    def values(self, z: Array) -> Array:
        """M z + u for z (..., m)."""
        return np.asarray(z @ self.matrix.T + self.shift)

    def after(self, first: Change) -> Linear:
        """This change of what ``first`` has changed."""
        other = first.as_linear()
        return Linear(self.matrix @ other.matrix, other.inverse_matrix @ self.inverse_matrix, self.values(other.shift))

    def inverse(self) -> Linear:
        """The change that takes this one back."""
        return Linear(self.inverse_matrix, self.matrix, -(self.inverse_matrix @ self.shift))

    def converted(self, convert: Callable[[Array], Array]) -> Linear:
        """With its entries in another ring."""
        return Linear(convert(self.matrix), convert(self.inverse_matrix), convert(self.shift))

    def as_linear(self) -> Linear:
        """Itself."""
        return self

    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return bool((self.matrix == np.eye(self.size, dtype=np.intp)).all() and not self.shift.any())


Change: TypeAlias = Monomial | Linear


def product(changes: Sequence[Change], factor: Any, shift: Array) -> Change:
    """factor · M_1 ⊗ M_2 ⊗ … and a shift; the shifts of the factors are not used."""
    if len(changes) == 1 and isinstance(changes[0], Linear):
        first = changes[0]
        return Linear(first.matrix * factor, first.inverse_matrix / factor, shift)
    if all(isinstance(change, Monomial) for change in changes):
        perm, scale = np.zeros(1, dtype=np.intp), np.array([factor], dtype=shift.dtype)
        for change in changes:
            assert isinstance(change, Monomial)
            perm = (perm[:, None] * change.size + change.perm).reshape(-1)
            scale = (scale[:, None] * change.scale).reshape(-1)
        return Monomial(perm, scale, shift)
    matrix: Array = np.array([[factor]], dtype=shift.dtype)
    inverse: Array = 1 / matrix
    for change in changes:
        linear = change.as_linear()
        matrix, inverse = np.kron(matrix, linear.matrix), np.kron(inverse, linear.inverse_matrix)
    return Linear(matrix, inverse, shift)


def fractions(values: Any) -> Array:
    """Numbers as Fractions, dtype object: their powers and quotients stay exact."""
    array = np.asarray(values, dtype=object)
    exact = np.empty(array.shape, dtype=object)
    exact.reshape(-1)[:] = [Fraction(value) for value in array.reshape(-1)]
    return exact
