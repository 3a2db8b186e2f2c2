# SPDX-License-Identifier: BSD-3-Clause
"""The graded product of polynomials and its transpose, the correlation.

Powers, expansions and their tangents use the first; gradients and the Hankel (moment) matrix-vector product use the
second.

Legend for the shapes below: ``Na``, ``Nb``, ``Nm`` monomials of a basis; ``...`` any number of batch axes, which
broadcast against each other.
"""

from __future__ import annotations

import math
from numbers import Rational

import numpy as np
from numpy.typing import ArrayLike

from . import _backend
from ._rings import Array, batch_rows
from ._validation import (
    all_finite,
    as_exact_array,
    as_real_array,
    as_residues,
    check_forms,
    check_modulus,
    check_out,
    check_size,
    check_threads,
)
from .errors import NumericalError
from .monomials import MonomialBasis

__all__ = ["correlation", "graded_product"]


def graded_product(
    a: ArrayLike,
    basis_a: MonomialBasis,
    b: ArrayLike,
    basis_b: MonomialBasis,
    modulus: int | None = None,
    out: Array | None = None,
    n_threads: int = 0,
) -> Array:
    """Coefficients of the products of polynomials, c_γ = Σ_{α+β=γ} a_α b_β.

    Parameters
    ----------
    a : array of shape (..., Na)
        Coefficients in ``basis_a``: float32, float64, complex128, or exact Python numbers (dtype object); with
        ``modulus`` integers or Fractions.
    basis_a : MonomialBasis
    b : array of shape (..., Nb)
        Coefficients in ``basis_b``.
    basis_b : MonomialBasis
        Must have the ``n_vars`` and ``homogeneous`` of ``basis_a``.
    modulus : int, optional
        Compute in GF(modulus), a prime below 2^61.
    out : array, optional
        Where to write the result: C-contiguous, of exactly the shape and dtype of the result, not overlapping an input.
    n_threads : int
        0 means the default. The result does not depend on it.

    Returns
    -------
    array of shape (..., N)
        Coefficients in ``MonomialBasis(n_vars, basis_a.degree + basis_b.degree, homogeneous)``; float32 if both factors
        are, else float64, complex128 or object; uint64 in [0, modulus) with ``modulus``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong kind, shape or value; the message names it. NaN and infinity are ValueError.
    NumericalError
        If a coefficient overflows.

    Notes
    -----
    Na Nb multiply-adds for each product.

    Examples
    --------
    (1 + x)(2 - y) = 2 + 2x - y - xy:

    >>> line = MonomialBasis(2, 1)
    >>> graded_product([1, 1, 0], line, [2, 0, -1], line)
    array([ 2.,  2., -1.,  0., -1.,  0.])
    """
    threads = check_threads(n_threads)
    _check_bases(basis_a, "basis_a", basis_b, "basis_b")
    basis = MonomialBasis(basis_a.n_vars, basis_a.degree + basis_b.degree, basis_a.homogeneous)
    x, y, p = _as_coefficients(a, "a", basis_a, b, "b", basis_b, modulus)
    lead, result = _result(x, "a", y, "b", basis, out)
    flat = result.reshape(math.prod(lead), basis.n_monomials)
    with np.errstate(over="ignore", invalid="ignore"):
        _backend_for(x).graded_product(
            basis.form_vars, basis_a.degree, basis_b.degree, batch_rows(x, lead), batch_rows(y, lead), flat, p, threads
        )
    return _checked(result)


def correlation(
    m: ArrayLike,
    basis_m: MonomialBasis,
    b: ArrayLike,
    basis_b: MonomialBasis,
    modulus: int | None = None,
    out: Array | None = None,
    n_threads: int = 0,
) -> Array:
    """Transpose of the graded product, q_α = Σ_β m_{α+β} b_β.

    With ``m`` the moments of data and b a polynomial, this is the product of the Hankel (moment) matrix with b, without
    the matrix.

    Parameters
    ----------
    m : array of shape (..., Nm)
        A linear functional on polynomials in ``basis_m``: its values on the monomials. Dtypes as in `graded_product`.
    basis_m : MonomialBasis
    b : array of shape (..., Nb)
        Coefficients in ``basis_b``.
    basis_b : MonomialBasis
        Must have the ``n_vars`` and ``homogeneous`` of ``basis_m`` and at most its degree.
    modulus, out, n_threads
        As in `graded_product`.

    Returns
    -------
    array of shape (..., N)
        One number for each monomial of ``MonomialBasis(n_vars, basis_m.degree - basis_b.degree, homogeneous)``.

    Raises
    ------
    TypeError, ValueError, NumericalError
        As `graded_product`.

    Notes
    -----
    The transpose of a ↦ a b: ``graded_product(a, A, b, B) @ m == a @ correlation(m, M, b, B)`` up to roundoff, exactly
    with a modulus. N Nb multiply-adds.

    Examples
    --------
    Moments 1, m1, m2 of points on a line times the polynomial 2 + x:

    >>> correlation([3., 5., 11.], MonomialBasis(1, 2), [2., 1.], MonomialBasis(1, 1))
    array([11., 21.])
    """
    threads = check_threads(n_threads)
    _check_bases(basis_m, "basis_m", basis_b, "basis_b")
    if basis_b.degree > basis_m.degree:
        raise ValueError(f"`basis_b` must have degree <= {basis_m.degree}, that of `basis_m`, got {basis_b.degree}")
    basis = MonomialBasis(basis_m.n_vars, basis_m.degree - basis_b.degree, basis_m.homogeneous)
    x, y, p = _as_coefficients(m, "m", basis_m, b, "b", basis_b, modulus)
    lead, result = _result(x, "m", y, "b", basis, out)
    flat = result.reshape(math.prod(lead), basis.n_monomials)
    # One functional may serve the whole batch without being copied.
    functional = x.reshape(1, -1) if x.size == x.shape[-1] else batch_rows(x, lead)
    with np.errstate(over="ignore", invalid="ignore"):
        _backend_for(x).correlation(
            basis.form_vars, basis.degree, basis_b.degree, functional, batch_rows(y, lead), flat, p, threads
        )
    return _checked(result)


# -- arguments and results --------------------------------------------------------------------------------------------


def _check_bases(first: object, first_name: str, second: object, second_name: str) -> None:
    for basis, name in ((first, first_name), (second, second_name)):
        if not isinstance(basis, MonomialBasis):
            raise TypeError(f"`{name}` must be a MonomialBasis, got {type(basis).__name__}")
        check_forms(basis.form_vars, basis.degree, name)
    assert isinstance(first, MonomialBasis)
    assert isinstance(second, MonomialBasis)
    for attribute in ("n_vars", "homogeneous"):
        wanted, got = getattr(first, attribute), getattr(second, attribute)
        if wanted != got:
            raise ValueError(f"`{second_name}` must have {attribute}={wanted}, that of `{first_name}`, got {got}")


def _as_coefficients(
    x: object, x_name: str, basis_x: MonomialBasis, y: object, y_name: str, basis_y: MonomialBasis, modulus: object
) -> tuple[Array, Array, int]:
    """Both arguments as arrays of one ring, and the modulus or 0."""
    shape_x = (..., ("n_monomials", basis_x.n_monomials))
    shape_y = (..., ("n_monomials", basis_y.n_monomials))
    if modulus is not None:
        p = check_modulus(modulus)
        return as_residues(x, p, x_name, shape_x), as_residues(y, p, y_name, shape_y), p
    kinds = {_kind(x), _kind(y)}
    if "O" in kinds:
        first, second = as_exact_array(x, x_name, shape_x), as_exact_array(y, y_name, shape_y)
        return first.astype(object), second.astype(object), 0
    if "c" in kinds:
        first = as_real_array(x, x_name, shape=shape_x, dtype=np.complex128)
        return first, as_real_array(y, y_name, shape=shape_y, dtype=np.complex128), 0
    first = as_real_array(x, x_name, shape=shape_x, keep_float32=True)
    second = as_real_array(y, y_name, shape=shape_y, keep_float32=True)
    dtype = np.result_type(first, second)
    return first.astype(dtype, copy=False), second.astype(dtype, copy=False), 0


def _kind(value: object) -> str:
    """Kind of the dtype; what is not an array is left to validation, whose messages name the argument."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        return ""
    if array.dtype.kind == "O" and not all(isinstance(entry, Rational) for entry in array.flat):
        return ""
    return array.dtype.kind


def _result(
    x: Array, x_name: str, y: Array, y_name: str, basis: MonomialBasis, out: object
) -> tuple[tuple[int, ...], Array]:
    """The broadcast batch axes, and the array for the result."""
    try:
        lead = np.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    except ValueError:
        raise ValueError(
            f"the batch axes of `{x_name}` and `{y_name}` must broadcast, got shapes {x.shape} and {y.shape}"
        ) from None
    shape = (*lead, basis.n_monomials)
    if out is None:
        check_size(math.prod(shape), x.itemsize, "the result", "pass fewer members of the batch at a time")
    check_forms(basis.form_vars, basis.degree, "basis")
    return lead, np.empty(shape, dtype=x.dtype) if out is None else check_out(out, shape, x.dtype, inputs=(x, y))


def _backend_for(x: Array) -> _backend.Kernels:
    # The compiled kernels know no Python objects.
    return _backend.load("numpy") if x.dtype.kind == "O" else _backend.kernels()


def _checked(result: Array) -> Array:
    if result.dtype.kind in "fc" and not all_finite(result):
        raise NumericalError("a coefficient of the result overflowed; scale the arguments")
    return result
