# SPDX-License-Identifier: BSD-3-Clause
"""Interpretations: what the values in the slots of a program are, and what the reverse sweep carries back.

Numbers at sample points evaluate a network, forms expand it. Going back, numbers at the samples give the gradients of
values, linear functionals on forms those of functions of the coefficients, and derivatives give the Jacobian.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ._rings import Array, Ring, count_forms


class Interpretation(Protocol):
    """What a value is: how many numbers it takes, how values multiply, and where constants sit."""

    ring: Ring
    inputs: Array

    def length(self, degree: int) -> int: ...
    def multiply(self, x: Array, degree_x: int, y: Array, degree_y: int) -> Array: ...
    def constant_part(self, block: Array) -> Array: ...


class Values:
    """A value is its numbers at the samples; products are entrywise; a constant is the same number everywhere."""

    def __init__(self, ring: Ring, X: Array) -> None:
        self.ring = ring
        self.inputs = ring.lift(X.T[None])

    def length(self, degree: int) -> int:
        return int(self.inputs.shape[-1])

    def multiply(self, x: Array, degree_x: int, y: Array, degree_y: int) -> Array:
        return self.ring.multiply(x, y)

    def constant_part(self, block: Array) -> Array:
        return block


class Forms:
    """A value is a form in d variables; a constant c in one of degree a is c x0^a, whose coefficient comes first."""

    def __init__(self, ring: Ring, n_inputs: int, homogeneous: bool) -> None:
        self.ring = ring
        self.d = n_inputs if homogeneous else n_inputs + 1
        self.inputs = ring.lift(np.eye(self.d, dtype=np.int64)[None, self.d - n_inputs :])

    def length(self, degree: int) -> int:
        return count_forms(self.d, degree)

    def multiply(self, x: Array, degree_x: int, y: Array, degree_y: int) -> Array:
        return self.ring.graded_product(self.d, degree_x, degree_y, x, y)

    def constant_part(self, block: Array) -> Array:
        return block[..., :1]


class Cotangents(Protocol):
    """What the reverse sweep carries.

    It goes back through a product with y (`pull_back`) and through taking a polynomial of lower degree for one of
    higher degree (`restrict`), and pairs with an affine instruction (`weights`, `bias`).
    """

    def pull_back(self, m: Array, degree_in: int, y: Array, degree_y: int) -> Array: ...
    def restrict(self, m: Array, degree_in: int, degree_out: int) -> Array: ...
    def weights(self, m: Array, z: Array, degree: int) -> Array: ...
    def bias(self, m: Array, degree: int) -> Array: ...


class SampleCotangents:
    """Cotangents of numbers at the samples: again one number for each sample, (..., S) for parameters too."""

    def __init__(self, values: Values) -> None:
        self.values = values

    def pull_back(self, m: Array, degree_in: int, y: Array, degree_y: int) -> Array:
        return self.values.ring.multiply(m, y)

    def restrict(self, m: Array, degree_in: int, degree_out: int) -> Array:
        return m

    def weights(self, m: Array, z: Array, degree: int) -> Array:
        return self.values.ring.multiply(m[..., :, None, :], z[..., None, :, :])

    def bias(self, m: Array, degree: int) -> Array:
        return m


class DualForms:
    """Cotangents of coefficient vectors: linear functionals on forms.

    The transpose of multiplication by y is the correlation with y, and W = ∂/∂(W z) pairs coefficient by coefficient.
    """

    def __init__(self, forms: Forms) -> None:
        self.forms = forms

    def pull_back(self, m: Array, degree_in: int, y: Array, degree_y: int) -> Array:
        return self.forms.ring.correlation(self.forms.d, degree_in, degree_y, m, y)

    def restrict(self, m: Array, degree_in: int, degree_out: int) -> Array:
        return m[..., : self.forms.length(degree_in)]

    def weights(self, m: Array, z: Array, degree: int) -> Array:
        return self.forms.ring.matmul(m, z.swapaxes(-1, -2))

    def bias(self, m: Array, degree: int) -> Array:
        return self.forms.constant_part(m)[..., 0]


class Derivatives:
    """The polynomials ∂f/∂z themselves, one for each value of a slot: degree f - degree z.

    Going back through multiplication by y multiplies by y; the derivatives by the entries of W and b are the products
    with the inputs of the layer and with 1, so parameters get polynomials (..., N) where functionals give numbers.
    """

    def __init__(self, forms: Forms, degree: int) -> None:
        self.forms, self.degree = forms, degree

    def pull_back(self, m: Array, degree_in: int, y: Array, degree_y: int) -> Array:
        return self.forms.multiply(m, self.degree - degree_in - degree_y, y, degree_y)

    def restrict(self, m: Array, degree_in: int, degree_out: int) -> Array:
        return self._padded(m, self.degree - degree_in)

    def weights(self, m: Array, z: Array, degree: int) -> Array:
        return self.forms.multiply(m[..., :, None, :], self.degree - degree, z[..., None, :, :], degree)

    def bias(self, m: Array, degree: int) -> Array:
        return self._padded(m, self.degree)

    def _padded(self, m: Array, degree: int) -> Array:
        # Multiplying by a power of x0 keeps the coefficients and appends zeros.
        # (np.pad would write numpy integers among the Python ones of exact arithmetic.)
        padded = np.zeros((*m.shape[:-1], self.forms.length(degree)), dtype=m.dtype)
        padded[..., : m.shape[-1]] = m
        return padded


def compose(values: Interpretation, coefficients: Sequence[Any], z: Array, degree: int, degree_out: int) -> Array:
    """p(z), homogenised to ``degree_out``: c_j z^j fills a prefix, the coefficients of polynomials of lower degree."""
    ring = values.ring
    total = ring.zeros((*z.shape[:-1], values.length(degree_out)))
    power, power_degree = z, degree
    for j, c in enumerate(coefficients):
        if j == 0:
            ring.add_scalar(values.constant_part(total), c)
            continue
        if j > 1:
            power, power_degree = values.multiply(power, power_degree, z, degree), power_degree + degree
        if c != 0:
            prefix = total[..., : values.length(power_degree)]
            prefix[...] = ring.add(prefix, ring.scale(c, power))
    return total
