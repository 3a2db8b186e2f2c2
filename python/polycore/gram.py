# SPDX-License-Identifier: BSD-3-Clause
"""Gram matrices of monomials, Q_{αβ} = m_{α+β}: multi-index Hankel matrices, dense or as operators.

Legend: ``n_vars`` variables, ``N`` monomials of the basis (degree D), ``M`` moments up to a degree of at least 2D,
``k`` vectors; monomials in ascending graded lex order.
"""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from . import _backend, _validation
from .errors import NumericalError
from .moments import Moments
from .monomials import MonomialBasis, count_monomials
from .support import MonomialSupport

__all__ = ["GramOperator", "gram_matrix", "gram_operator"]

Vector = NDArray[np.float64]


def gram_matrix(moments: Moments | ArrayLike, basis: MonomialBasis | MonomialSupport) -> Vector:
    """The dense Gram matrix Q = AᵀA of the Veronese matrix A of ``basis``, from moments: ``Q[α, β] = moments[α + β]``.

    Parameters
    ----------
    moments : Moments, or array_like of shape (M,)
        Moments up to a degree of at least 2D. An array holds the moments of all monomials of degree <= some d >= 2D,
        or of degree exactly 2D for a homogeneous basis.
    basis : MonomialBasis or MonomialSupport
        The N monomials that index rows and columns: all of a basis, or those of a support, where the matrix of its
        basis is never formed.

    Returns
    -------
    ndarray, shape (N, N)
        Symmetric bit for bit; entries with equal α + β are the same number. For one variable, the Hankel matrix of
        the moments.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or the moments do not reach the degree; NaN and infinity are refused.
    OverflowError, MemoryError
        If the matrix would not fit; use `gram_operator`.

    Notes
    -----
    N² copies, no arithmetic; on a support the positions of the sums α + β are computed. ``gram_matrix(m, basis)`` of
    the moments of X and ``A.T @ A`` with ``A = veronese(X, basis)`` are the same up to roundoff (K. Kohn, *Algebraic
    neural network theory*, slides).

    Examples
    --------
    >>> gram_matrix([4.0, 3.0, 2.0, 1.0, 0.5], MonomialBasis(1, 2))
    array([[4. , 3. , 2. ],
           [3. , 2. , 1. ],
           [2. , 1. , 0.5]])
    """
    if isinstance(basis, MonomialSupport):
        return _gram_on_support(moments, basis)
    _check_basis(basis)
    check_dense_size(basis)
    values = hankel_moments(moments, basis)
    out = np.empty((basis.n_monomials, basis.n_monomials))
    _backend.kernels().hankel_matrix(basis.form_vars, basis.degree, basis.degree, values, out)
    return out


def gram_operator(moments: Moments | ArrayLike, basis: MonomialBasis, n_threads: int = 0) -> GramOperator:
    """The Gram matrix of `gram_matrix` as a scipy ``LinearOperator`` that never forms it.

    Parameters
    ----------
    moments, basis
        As for `gram_matrix`.
    n_threads : int
        Threads for products; 0 means the default. The results do not depend on it.

    Returns
    -------
    GramOperator
        ``matvec``, ``rmatvec``, ``matmat``, ``rmatmat`` and ``@`` in N² multiply-adds a vector; memory O(M) (the numpy
        backend needs tables besides).

    Raises
    ------
    TypeError, ValueError
        As `gram_matrix`.

    Examples
    --------
    >>> Q = gram_operator([4.0, 3.0, 2.0, 1.0, 0.5], MonomialBasis(1, 2))
    >>> Q @ [1.0, 0.0, 2.0]
    array([8., 5., 3.])
    """
    return GramOperator(moments, basis, n_threads)


def _gram_on_support(moments: Moments | ArrayLike, support: MonomialSupport) -> Vector:
    n = len(support)
    _validation.check_size(n * n, 8, f"the dense Gram matrix of {n:,} monomials", "use a smaller support")
    values = hankel_moments(moments, support.basis)
    products = MonomialBasis(support.n_vars, 2 * support.degree, support.homogeneous)
    exponents, out = support.exponents, np.empty((n, n))
    for i, exponent in enumerate(exponents):
        out[i, i:] = out[i:, i] = values[products.index(exponents[i:] + exponent)]
    return out


class GramOperator(LinearOperator):
    """Q as a linear operator: ``(Qc)_α = Σ_β m_{α+β} c_β``, the correlation of moments and coefficients.

    Made by `gram_operator` and `Moments.gram_operator`. Q is real and symmetric, so it is its own transpose and
    adjoint.

    Attributes
    ----------
    basis : MonomialBasis
        The N monomials.
    shape : tuple
        (N, N).
    dtype : dtype
        float64. Complex vectors are multiplied part by part.
    """

    def __init__(self, moments: Moments | ArrayLike, basis: MonomialBasis, n_threads: int = 0) -> None:
        _check_basis(basis)
        values, self._n_threads = hankel_moments(moments, basis), _validation.check_threads(n_threads)
        super().__init__(np.dtype(np.float64), (basis.n_monomials, basis.n_monomials))  # type: ignore[call-arg]
        self.basis = basis
        # The compiled product reads a few numbers beyond the last moment, which do not matter.
        self._compiled = getattr(_backend.kernels(), "hankel_product", None)
        padding = int(getattr(_backend.kernels(), "HANKEL_PADDING", 0))
        self._padded = np.concatenate([values, np.zeros(padding)])
        self._n_moments = len(values)

    def __reduce__(self) -> tuple[Any, ...]:
        return GramOperator, (self.moments, self.basis, self._n_threads)

    @property
    def moments(self) -> Vector:
        """The moments m, a copy; degree <= 2D (exactly 2D for a homogeneous basis)."""
        return self._padded[: self._n_moments].copy()

    def to_dense(self) -> Vector:
        """The dense matrix; see `gram_matrix`."""
        return gram_matrix(self.moments, self.basis)

    def apply(self, coef: ArrayLike) -> Vector:
        """Q times each vector of a batch whose last axis is the coefficients.

        Parameters
        ----------
        coef : array_like, shape (..., N)

        Returns
        -------
        ndarray, shape (..., N)

        Raises
        ------
        TypeError, ValueError
            If the coefficients are not finite real numbers of this shape.
        NumericalError
            If an entry of a product overflows; the same holds for ``@`` and scipy's methods.
        """
        c = _validation.as_real_array(coef, "coef", shape=(..., ("n_monomials", self.shape[1])))
        out = np.empty_like(c)
        self._multiply(c.reshape(-1, self.shape[1]), out.reshape(-1, self.shape[0]))
        return out

    def __matmul__(self, x: Any) -> Any:
        """As scipy's; the usual case, one float64 vector, takes no detour (the compiled product checks its entries)."""
        if self._compiled is None or not _is_plain_vector(x, self.shape[1]):
            return super().__matmul__(x)
        out = np.empty(self.shape[0])
        d, degree = self.basis.form_vars, self.basis.degree
        self._compiled(d, degree, degree, self._padded, x, out, self._n_threads)
        return out

    def _multiply(self, c: Vector, out: Vector) -> None:
        """The rows of ``out`` are Q times the rows of ``c``; both C-contiguous."""
        kernels = _backend.kernels()
        d, degree = self.basis.form_vars, self.basis.degree
        if self._compiled is not None:
            self._compiled(d, degree, degree, self._padded, c, out, self._n_threads)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                kernels.correlation(d, degree, degree, self.moments[None], c, out, 0, self._n_threads)
            if not _validation.all_finite(out):
                raise NumericalError("a Gram product overflowed to infinity; scale the coefficients or the data down")

    def _matmat(self, X: NDArray[Any]) -> NDArray[Any]:
        if np.iscomplexobj(X):
            return np.asarray(self._matmat(X.real) + 1j * self._matmat(X.imag))
        return self.apply(np.ascontiguousarray(X.T)).T

    def _matvec(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._matmat(x.reshape(-1, 1)).reshape(x.shape)

    def _rmatvec(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._matvec(x)

    def _rmatmat(self, X: NDArray[Any]) -> NDArray[Any]:
        return self._matmat(X)

    def _adjoint(self) -> GramOperator:
        return self

    def _transpose(self) -> GramOperator:
        return self


def _is_plain_vector(x: object, n: int) -> bool:
    return type(x) is np.ndarray and x.dtype is _validation.FLOAT64 and x.shape == (n,) and bool(x.flags.carray)


def check_dense_size(basis: MonomialBasis, n_matrices: int = 1) -> None:
    """Raise unless this many dense N x N matrices fit."""
    n = basis.n_monomials
    what = f"the dense Gram matrix of {_validation._format_count(n)} monomials"
    _validation.check_size(n_matrices * n * n, 8, what, "use gram_operator, which never forms it")


def hankel_moments(moments: Moments | ArrayLike, basis: MonomialBasis) -> Vector:
    """The moments that a Gram matrix consists of: of degree <= 2D, or of exactly 2D for a homogeneous basis."""
    degree = 2 * basis.degree
    _validation.check_forms(basis.form_vars, degree, "basis")
    if isinstance(moments, Moments):
        held = moments.basis
        _check_same_vars(held, basis, "moments")
        too_low = held.degree < degree or (held.homogeneous and held.degree != degree)
        if too_low or (held.homogeneous and not basis.homogeneous):
            kind = "exactly " if held.homogeneous else "up to "
            needed = f"exactly {degree}" if basis.homogeneous else f"up to {degree}"
            raise ValueError(
                f"`moments` must hold the degrees of 2 * basis.degree, {needed}; "
                f"got moments of degree {kind}{held.degree}"
            )
        return select_degrees(moments.moments, held, MonomialBasis(basis.n_vars, degree, basis.homogeneous))
    values = _validation.as_real_array(moments, "moments", ndim=1)
    needed_count = count_monomials(basis.n_vars, degree, basis.homogeneous)
    if len(values) == needed_count:
        return values
    if basis.homogeneous or len(values) < needed_count or not _is_count(len(values), basis.n_vars, degree):
        raise ValueError(
            f"`moments` must have shape (n_moments={_validation._format_int(needed_count)},), the monomials of degree "
            f"{'exactly' if basis.homogeneous else 'up to'} {degree} in {basis.n_vars} variables, got {values.shape}"
        )
    return values[:needed_count].copy()


def select_degrees(values: Vector, held: MonomialBasis, wanted: MonomialBasis) -> Vector:
    """The entries, along the last axis, that belong to ``wanted`` out of those that belong to ``held``.

    In graded order the monomials of degree <= D are a prefix, and those of degree exactly D a slice.
    """
    stop = count_monomials(wanted.n_vars, wanted.degree, held.homogeneous)
    start = 0
    if wanted.homogeneous and not held.homogeneous and wanted.degree > 0:
        start = count_monomials(wanted.n_vars, wanted.degree - 1)
    return np.ascontiguousarray(values[..., start:stop])


def _is_count(n: int, n_vars: int, degree: int) -> bool:
    """Whether n is the number of monomials of degree <= d in ``n_vars`` variables for some d >= ``degree``."""
    degrees = range(degree, degree + n + 1)
    d = degrees[bisect.bisect_left(degrees, n, hi=n, key=lambda k: count_monomials(n_vars, k))]
    return count_monomials(n_vars, d) == n


def _check_basis(basis: object) -> None:
    if isinstance(basis, MonomialSupport):
        raise TypeError(
            "`basis` must be a MonomialBasis, got a MonomialSupport, which has no operator: use gram_matrix"
        )
    if not isinstance(basis, MonomialBasis):
        raise TypeError(f"`basis` must be a MonomialBasis, got {type(basis).__name__}")


def _check_same_vars(held: MonomialBasis, basis: MonomialBasis, name: str) -> None:
    if held.n_vars != basis.n_vars:
        raise ValueError(f"`{name}` must have the basis's n_vars={basis.n_vars}, got n_vars={held.n_vars}")
