# SPDX-License-Identifier: BSD-3-Clause
"""Rings: the arithmetic that a sweep through a program does on blocks of numbers.

A block is an array (..., width, length): all values of a slot of a program, each of ``length`` numbers. Products
broadcast over leading axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._backend import Kernels
from .monomials import count_monomials

Array: TypeAlias = NDArray[Any]


class Ring(Protocol):
    """Arithmetic on blocks. All products are bilinear and broadcast over leading axes."""

    def lift(self, x: Array) -> Array: ...
    def zeros(self, shape: tuple[int, ...]) -> Array: ...
    def add(self, x: Array, y: Array) -> Array: ...
    def sum(self, x: Array, axis: int) -> Array: ...
    def scale(self, c: Any, x: Array) -> Array: ...
    def add_scalar(self, x: Array, c: Any) -> None: ...
    def multiply(self, x: Array, y: Array) -> Array: ...
    def matmul(self, x: Array, y: Array) -> Array: ...
    def graded_product(self, d: int, degree_x: int, degree_y: int, x: Array, y: Array) -> Array: ...
    def correlation(self, d: int, degree_out: int, degree_y: int, m: Array, y: Array) -> Array: ...


class Numbers:
    """The numbers themselves: floats, complex numbers, exact Python numbers, or GF(p) if ``modulus`` is not 0."""

    def __init__(self, kernels: Kernels, dtype: DTypeLike, modulus: int) -> None:
        self.kernels, self.dtype, self.modulus = kernels, np.dtype(dtype), modulus

    def lift(self, x: Array) -> Array:
        return x.astype(self.dtype, copy=False)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape, dtype=self.dtype)

    def add(self, x: Array, y: Array) -> Array:
        # Residues are below 2^61, so their sum fits.
        return (x + y) % self.dtype.type(self.modulus) if self.modulus else x + y

    def sum(self, x: Array, axis: int) -> Array:
        return reduce(self.add, np.moveaxis(x, axis, 0))

    def scale(self, c: Any, x: Array) -> Array:
        c = int(c) % self.modulus if self.modulus else c
        return self.multiply(np.asarray(c, dtype=self.dtype), x)

    def add_scalar(self, x: Array, c: Any) -> None:
        x[...] = self.add(x, np.asarray(c, dtype=self.dtype))

    def multiply(self, x: Array, y: Array) -> Array:
        if not self.modulus:
            return np.asarray(x * y)
        # Entrywise: products of forms of degree 0.
        return self.graded_product(1, 0, 0, x[..., None], y[..., None])[..., 0]

    def matmul(self, x: Array, y: Array) -> Array:
        if not self.modulus:
            return np.asarray(x @ y)
        total = self.multiply(x[..., :, :1], y[..., :1, :])
        for k in range(1, x.shape[-1]):
            total = self.add(total, self.multiply(x[..., :, k, None], y[..., k, None, :]))
        return total

    def graded_product(self, d: int, degree_x: int, degree_y: int, x: Array, y: Array) -> Array:
        lead = np.broadcast_shapes(x.shape[:-1], y.shape[:-1])
        out = np.empty((math.prod(lead), count_forms(d, degree_x + degree_y)), dtype=self.dtype)
        self.kernels.graded_product(
            d, degree_x, degree_y, batch_rows(x, lead), batch_rows(y, lead), out, self.modulus, 0
        )
        return out.reshape(*lead, out.shape[1])

    def correlation(self, d: int, degree_out: int, degree_y: int, m: Array, y: Array) -> Array:
        lead = np.broadcast_shapes(m.shape[:-1], y.shape[:-1])
        out = np.empty((math.prod(lead), count_forms(d, degree_out)), dtype=self.dtype)
        self.kernels.correlation(
            d, degree_out, degree_y, batch_rows(m, lead), batch_rows(y, lead), out, self.modulus, 0
        )
        return out.reshape(*lead, out.shape[1])


class DualNumbers:
    """x + ε x' with ε² = 0 over a ring: arrays with a leading axis (value, tangent).

    Running a sweep over dual numbers gives the sweep and its exact tangent, by the product rule alone.
    """

    def __init__(self, ring: Ring) -> None:
        self.ring = ring

    def lift(self, x: Array) -> Array:
        value = self.ring.lift(x)
        return np.stack([value, np.zeros_like(value)])

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return self.ring.zeros(shape)

    def add(self, x: Array, y: Array) -> Array:
        return self.ring.add(x, y)

    def sum(self, x: Array, axis: int) -> Array:
        return self.ring.sum(x, axis)

    def scale(self, c: Any, x: Array) -> Array:
        return self.ring.scale(c, x)

    def add_scalar(self, x: Array, c: Any) -> None:
        self.ring.add_scalar(x[0], c)

    def multiply(self, x: Array, y: Array) -> Array:
        return self._product_rule(self.ring.multiply, x, y)

    def matmul(self, x: Array, y: Array) -> Array:
        return self._product_rule(self.ring.matmul, x, y)

    def graded_product(self, d: int, degree_x: int, degree_y: int, x: Array, y: Array) -> Array:
        return self._product_rule(lambda u, v: self.ring.graded_product(d, degree_x, degree_y, u, v), x, y)

    def correlation(self, d: int, degree_out: int, degree_y: int, m: Array, y: Array) -> Array:
        return self._product_rule(lambda u, v: self.ring.correlation(d, degree_out, degree_y, u, v), m, y)

    def _product_rule(self, product: Callable[[Array, Array], Array], x: Array, y: Array) -> Array:
        tangent = self.ring.add(product(x[0], y[1]), product(x[1], y[0]))
        return np.stack([product(x[0], y[0]), tangent])


def count_forms(d: int, degree: int) -> int:
    """Number of coefficients of a form of this degree in d variables."""
    return count_monomials(d, degree, homogeneous=True)


def batch_rows(x: Array, lead: tuple[int, ...]) -> Array:
    """A contiguous array (batch, length) of coefficients broadcast to the batch axes ``lead``."""
    length = x.shape[-1]
    if x.shape[:-1] != lead:
        x = np.broadcast_to(x, (*lead, length))
    return np.ascontiguousarray(x).reshape(math.prod(lead), length)
