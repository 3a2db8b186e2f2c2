# SPDX-License-Identifier: BSD-3-Clause
"""The Veronese embedding: rows of monomials.

Legend: ``n_samples`` points in ``n_vars`` variables; ``n_monomials`` monomials of degree <= D (or exactly D), or some
of them, in ascending graded lex order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _backend, _validation
from .errors import NumericalError
from .monomials import MonomialBasis, count_monomials
from .support import MonomialSupport

__all__ = ["veronese"]

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
_ROWS_AT_A_TIME = 16
_ENTRIES_AT_A_TIME = 2**20


def veronese(
    X: ArrayLike,
    degree: int | MonomialBasis | MonomialSupport,
    homogeneous: bool = False,
    *,
    order: str = "C",
    out: NDArray[Any] | None = None,
    dtype: DTypeLike | None = None,
    n_threads: int = 0,
) -> NDArray[Any]:
    """All monomials at each sample, the rows v_D(x): the multivariate Vandermonde matrix A of a least-squares fit.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_vars)
        Points, one per row; finite.
    degree : int, MonomialBasis or MonomialSupport
        Largest degree D, or the basis itself, or a support such as ``net.support``: the columns of its monomials, and
        no others are computed.
    homogeneous : bool
        Only the monomials of degree exactly D. With a basis or support, that decides.
    order : {"C", "F"}
        Memory order of a new result; an ``out`` keeps its own.
    out : ndarray, optional
        Where to write, shape (n_samples, n_monomials), C- or F-contiguous, of the dtype of the result.
    dtype : float32 or float64, optional
        Dtype of the result. By default float32 input stays float32 and everything else becomes float64. Input that
        would lose precision is refused.
    n_threads : int
        0 means the default. The result does not depend on it.

    Returns
    -------
    ndarray, shape (n_samples, n_monomials)
        ``out``, or a new array. Entry (s, α) is the product of ``X[s, i] ** exponents[α, i]`` over i, made with one
        multiplication from a monomial of one degree less.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or converting X would lose precision.
    ValueError
        If a shape or value is wrong; NaN and infinity are named with their row.
    OverflowError, MemoryError
        If the result would not fit; nothing is allocated.
    NumericalError
        If a monomial overflows to infinity.

    Notes
    -----
    ``veronese(X, basis) @ coef`` and ``basis.evaluate(coef, X)`` are the same up to roundoff. The cost is
    one multiplication and one store per entry, so large results are bound by memory bandwidth; on a support it is
    D multiplications per entry.

    Examples
    --------
    >>> veronese([[2.0, 3.0]], 2)
    array([[1., 2., 3., 4., 6., 9.]])
    >>> veronese([[2.0, 3.0]], 2, homogeneous=True)
    array([[4., 6., 9.]])
    >>> veronese([[2.0, 3.0]], MonomialSupport(MonomialBasis(2, 2), [(0, 0), (1, 1)]))
    array([[1., 6.]])
    """
    _validation.check_choice(order, "order", ("C", "F"))
    points, basis = _points_and_basis(X, degree, homogeneous, dtype)
    n_threads = _validation.check_threads(n_threads)
    largest = largest_magnitude(points, "X")
    shape = (len(points), basis.n_monomials)
    if isinstance(basis, MonomialBasis) and basis.homogeneous:
        # The monomials of degree D are made from all those of lower degree, for a few samples at a time.
        lower = count_monomials(basis.n_vars, basis.degree)
        what = f"the work space for degree {_validation._format_int(basis.degree)}"
        _validation.check_size(_ROWS_AT_A_TIME * lower, 8, what, "lower the degree")
    if out is None:
        # NOTE: numpy cannot even describe an empty array whose other axis is beyond 64 bits, hence the max.
        _validation.check_size(
            max(1, shape[0]) * shape[1],
            points.dtype.itemsize,
            f"the Veronese matrix of {shape[0]:,} samples",
            "accumulate pc.Moments, or work on blocks of rows with out=",
        )
    else:
        _validation.check_out(out, shape, points.dtype, inputs=(points,), orders="CF")
    if isinstance(basis, MonomialBasis):
        _validation.check_forms(basis.form_vars, basis.degree, "degree")
    if out is None:
        out = np.empty(shape, dtype=points.dtype, order="F" if order == "F" else "C")
    if out.size:
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(basis, MonomialBasis):
                _backend.kernels().veronese(points, basis.degree, basis.homogeneous, out, n_threads)
            else:
                _fill_on_support(points, basis, out)
    # Half the largest number leaves room for the rounding of the bound itself.
    if power_bound(largest, basis.degree) > float(np.finfo(points.dtype).max) / 2 and not _validation.all_finite(out):
        row = next(i for i, values in enumerate(out) if not np.isfinite(values).all())
        raise NumericalError(
            f"a monomial of degree {basis.degree} overflows {points.dtype} at row {row}; shift and scale `X`"
        )
    return out


def _fill_on_support(points: NDArray[Any], support: MonomialSupport, out: NDArray[Any]) -> None:
    step = max(1, _ENTRIES_AT_A_TIME // len(support))
    for start in range(0, len(points), step):  # in steps, between which an interrupt is seen
        out[start : start + step] = support._rows(points[start : start + step])


def largest_magnitude(array: NDArray[Any], name: str) -> float:
    """The largest |entry| (0 if there are none); ValueError at the first NaN or infinity."""
    largest = 0.0
    if not array.size:
        return largest
    step = max(1, _ENTRIES_AT_A_TIME * len(array) // array.size)
    for start in range(0, len(array), step):  # in steps, between which an interrupt is seen
        rows = array[start : start + step]
        largest = max(float(rows.max()), -float(rows.min()), largest)  # a NaN comes out of both reductions, and wins
        if not largest < np.inf:
            _validation.check_finite(np.ascontiguousarray(array), name)
    return largest


def power_bound(largest: float, degree: int) -> float:
    """A bound on every |monomial| of degree <= ``degree`` at points whose entries are at most ``largest``."""
    try:
        return max(1.0, largest) ** degree
    except OverflowError:
        return float("inf")


def _points_and_basis(
    X: ArrayLike, degree: int | MonomialBasis | MonomialSupport, homogeneous: bool, dtype: DTypeLike | None
) -> tuple[NDArray[Any], MonomialBasis | MonomialSupport]:
    """Checked C-contiguous samples (not yet known to be finite) and the basis or support of their monomials."""
    wanted = np.dtype(np.float64) if dtype is None else _validation.as_dtype(dtype, _DTYPES)
    points = _validation.as_real_array(X, "X", finite=False, dtype=wanted, keep_float32=dtype is None)
    homogeneous = _validation.as_flag(homogeneous, "homogeneous")
    if isinstance(degree, (MonomialBasis, MonomialSupport)):
        if homogeneous and not degree.homogeneous:
            raise ValueError("`homogeneous` must agree with the basis, got True for a basis that is not homogeneous")
        _validation.check_samples_shape(points, degree.n_vars)
        return points, degree
    degree = _validation.as_index(degree, "degree", 0)
    if points.ndim != 2 or points.shape[1] == 0:
        hint = "; one variable still makes a column: pass X[:, None]" if points.ndim == 1 else ""
        raise ValueError(f"`X` must have shape (n_samples, n_vars >= 1), got {points.shape}{hint}")
    return points, MonomialBasis(points.shape[1], degree, homogeneous)
