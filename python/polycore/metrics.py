# SPDX-License-Identifier: BSD-3-Clause
"""Metrics on coefficients in closed form: identity, Bombieri–Weyl, moments of Gaussian and uniform inputs, random ones.

A metric is a symmetric positive semidefinite matrix Q; the squared length of a polynomial c is cᵀQc. No metric is ever
implied: coefficients are plain, and whoever measures them says with which Q. `QDistance.from_metric` takes a matrix
from here, one of your own, or the name of one.

Legend: ``n_vars`` variables, ``N`` monomials x^α of the basis, of degree D. Population moments are *expectations*: for
a large sample, the Gram matrix of `QDistance.from_data`, a sum over samples, tends to n_samples times them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _linalg, _validation
from .errors import NumericalError
from .gram import gram_matrix
from .monomials import MonomialBasis
from .support import MonomialSupport

__all__ = ["bombieri_weyl", "gaussian", "identity", "random_semidefinite", "uniform"]

Matrix = NDArray[np.float64]
Basis = MonomialBasis | MonomialSupport

# Covariances are symmetric, and their eigenvalues nonnegative, up to this fraction of the largest.
_ROUNDING = 1e-12


def identity(basis: Basis) -> Matrix:
    """The plain metric on coefficients: monomials are orthonormal.

    Parameters
    ----------
    basis : MonomialBasis or MonomialSupport

    Returns
    -------
    ndarray, shape (N, N)

    Raises
    ------
    TypeError
        If ``basis`` is neither.
    MemoryError, OverflowError
        If the matrix would not fit.

    Examples
    --------
    >>> identity(MonomialBasis(1, 1))
    array([[1., 0.],
           [0., 1.]])
    """
    _check_basis(basis)
    return np.eye(basis.n_monomials)


def bombieri_weyl(basis: Basis) -> Matrix:
    """The metric in which monomials are orthogonal and x^α has squared length 1 / multinomial(D; α).

    Parameters
    ----------
    basis : MonomialBasis or MonomialSupport
        Of forms of degree D, or of polynomials of degree at most D, which are measured as their homogenisations x0^(D −
        |α|) x^α.

    Returns
    -------
    ndarray, shape (N, N)
        Diagonal, α! / D! for forms, where α! = Π α_i!.

    Raises
    ------
    TypeError
        If ``basis`` is neither.
    MemoryError, OverflowError
        If the matrix would not fit.
    NumericalError
        If an entry is too small for a float64.

    Notes
    -----
    The inner product of forms that is invariant under rotations of the variables, scaled so that the D-th power of a
    linear form a·x has squared length ‖a‖^(2D). A quadratic form xᵀSx with S symmetric has the length ‖S‖_F, and in
    general a form that of its symmetric tensor. Source: E. Kostlan, *On the distribution of roots of random
    polynomials* (1993); L. Blum, F. Cucker, M. Shub, S. Smale, *Complexity and Real Computation* (1998), Section 12.1.

    Examples
    --------
    >>> bombieri_weyl(MonomialBasis(2, 2, homogeneous=True)).diagonal()  # x², xy, y²
    array([1. , 0.5, 1. ])
    """
    _check_basis(basis)
    lengths = np.array([_inverse_multinomial(row, basis.degree) for row in basis.exponents.tolist()])
    if not (lengths > 0).all():
        raise NumericalError(f"a multinomial of degree {basis.degree} is beyond float64; use a lower degree")
    return np.diag(lengths)


def gaussian(basis: Basis, mean: ArrayLike = 0.0, covariance: ArrayLike | None = None) -> Matrix:
    """Population moments E[x^(α+β)] of normally distributed inputs, an expectation, not a sum over samples.

    Parameters
    ----------
    basis : MonomialBasis or MonomialSupport
    mean : float or array_like, shape (n_vars,)
        One number is the mean of every input.
    covariance : array_like, shape (n_vars, n_vars), optional
        Symmetric positive semidefinite; also the variances, shape (n_vars,), of independent inputs, or one number, the
        variance of each. By default 1.

    Returns
    -------
    ndarray, shape (N, N)
        Positive definite if the covariance is.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, not finite, or the covariance is not symmetric positive
        semidefinite.
    MemoryError, OverflowError
        If the matrix, or for dependent inputs the moments of degree up to 2D, would not fit.
    NumericalError
        If a moment overflows.

    Notes
    -----
    By Gaussian integration by parts, E[x_i x^γ] = mean_i E[x^γ] + Σ_j covariance_ij γ_j E[x^(γ − e_j)] (C. Stein, Ann.
    Statist. 9 (1981) 1135–1151); for mean 0 that is Isserlis' theorem. Independent inputs have products of moments of
    one variable, and there nothing cancels: entries are good to a few ε.

    Examples
    --------
    >>> gaussian(MonomialBasis(1, 2))
    array([[1., 0., 1.],
           [0., 1., 0.],
           [1., 0., 3.]])
    >>> gaussian(MonomialBasis(2, 1, homogeneous=True), covariance=[[2, 1], [1, 3]])
    array([[2., 1.],
           [1., 3.]])
    """
    _check_basis(basis)
    centre = _per_variable(mean, "mean", basis.n_vars)
    spread = _as_covariance(covariance, basis.n_vars)
    if not (spread - np.diag(spread.diagonal())).any():
        return _product_metric(basis, lambda i: _normal_moments(centre[i], spread[i, i], 2 * basis.degree))
    moments = _dependent_moments(centre, spread, MonomialBasis(basis.n_vars, 2 * basis.degree))
    if basis.homogeneous:
        moments = moments[-MonomialBasis(basis.n_vars, 2 * basis.degree, True).n_monomials :]
    return gram_matrix(_finite(moments), basis)


def uniform(basis: Basis, low: ArrayLike = -1.0, high: ArrayLike = 1.0) -> Matrix:
    """Population moments E[x^(α+β)] of inputs uniform on a box, an expectation, not a sum over samples.

    Parameters
    ----------
    basis : MonomialBasis or MonomialSupport
    low, high : float or array_like, shape (n_vars,)
        Ends of the intervals; ``low < high``.

    Returns
    -------
    ndarray, shape (N, N)
        Positive definite.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, not finite, or an interval is empty.
    MemoryError, OverflowError
        If the matrix would not fit.
    NumericalError
        If a moment overflows.

    Notes
    -----
    With centre m and half-width h, E[x^k] = Σ_j binom(k, 2j) m^(k − 2j) h^(2j) / (2j + 1), whose terms have one sign,
    so entries are good to a few ε.

    Examples
    --------
    >>> uniform(MonomialBasis(1, 1), 0, 1)
    array([[1.        , 0.5       ],
           [0.5       , 0.33333333]])
    """
    _check_basis(basis)
    left, right = _per_variable(low, "low", basis.n_vars), _per_variable(high, "high", basis.n_vars)
    if not (left < right).all():
        i = int(np.argmin(left < right))
        raise ValueError(f"`low` must be less than `high`, got {left[i]} and {right[i]} for variable {i}")
    half = right / 2 - left / 2
    return _product_metric(basis, lambda i: _uniform_moments(left[i] + half[i], half[i], 2 * basis.degree))


def random_semidefinite(n: int, rank: int | None = None, rng: int | np.random.Generator = 0) -> Matrix:
    """A random metric: positive definite, or semidefinite with a kernel of dimension n − rank.

    Parameters
    ----------
    n : int
        Size, n >= 1.
    rank : int, optional
        0 <= rank <= n; by default n.
    rng : int or numpy Generator
        The same seed gives the same matrix.

    Returns
    -------
    ndarray, shape (n, n)
        Symmetric bit for bit. Its kernel is uniformly distributed among the subspaces of its dimension; the nonzero
        eigenvalues are independent and log-uniform between 1/4 and 4, so it is well-conditioned.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or range.
    MemoryError, OverflowError
        If the matrix would not fit.

    Notes
    -----
    Directions come from the QR factorisation of a normally distributed matrix: F. Mezzadri, Notices AMS 54 (2007).

    Examples
    --------
    >>> Q = random_semidefinite(4, rank=3, rng=1)
    >>> bool((Q == Q.T).all()), int(np.linalg.matrix_rank(Q))
    (True, 3)
    """
    n = _validation.as_index(n, "n", minimum=1)
    rank = n if rank is None else _validation.as_index(rank, "rank", minimum=0, maximum=n)
    generator, _ = _validation.as_rng(rng)
    _validation.check_size(3 * n * n, 8, f"a metric on {_validation._format_count(n)} coefficients")
    directions = _linalg.qr(generator.standard_normal((n, rank)))[0]
    factor = directions * 2.0 ** generator.uniform(-1.0, 1.0, rank)  # square roots of the eigenvalues
    gram = factor @ factor.T
    return np.asarray(0.5 * (gram + gram.T))


NAMED: dict[str, Callable[[Basis], Matrix]] = {
    "identity": identity,
    "bombieri_weyl": bombieri_weyl,
    "gaussian": gaussian,
    "uniform": uniform,
}


# -- helpers ----------------------------------------------------------------------------------------------------------


def _inverse_multinomial(exponents: list[int], degree: int) -> float:
    """1 / multinomial(degree; exponents and what is missing to the degree)."""
    multinomial, left = 1, degree
    for exponent in exponents:
        multinomial *= math.comb(left, exponent)
        left -= exponent
    return 1 / multinomial


def _product_metric(basis: Basis, moments: Callable[[int], Matrix]) -> Matrix:
    """E[x^(α+β)] of independent inputs, where ``moments(i)`` are E[x_i^k] for k = 0, …, 2D."""
    exponents, metric = basis.exponents, np.ones((basis.n_monomials, basis.n_monomials))
    with np.errstate(over="ignore", invalid="ignore"):
        for i, column in enumerate(exponents.T):
            metric *= moments(i)[column[:, None] + column]
    return _finite(metric)


def _normal_moments(mean: float, variance: float, degree: int) -> Matrix:
    moments = np.ones(degree + 1)
    for k in range(1, degree + 1):
        moments[k] = mean * moments[k - 1] + ((k - 1) * variance * moments[k - 2] if k > 1 else 0.0)
    return moments


def _uniform_moments(centre: float, half: float, degree: int) -> Matrix:
    def moment(k: int) -> float:
        even = range(0, k + 1, 2)
        return sum(math.comb(k, j) * float(centre) ** (k - j) * float(half) ** j / (j + 1) for j in even)

    try:
        return np.array([moment(k) for k in range(degree + 1)])
    except OverflowError:
        raise NumericalError("a population moment overflowed to infinity; scale the inputs down") from None


def _dependent_moments(mean: Matrix, covariance: Matrix, basis: MonomialBasis) -> Matrix:
    """E[x^γ] for all monomials of a basis of degree <= d, one degree after the other."""
    exponents, moments = basis.exponents, np.ones(basis.n_monomials)
    degrees = exponents.sum(axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        for degree in range(1, basis.degree + 1):
            rows = degrees == degree
            lower = exponents[rows]
            first = np.argmax(lower > 0, axis=1)
            lower[np.arange(len(lower)), first] -= 1
            values = mean[first] * moments[basis.index(lower)]
            for j, unit in enumerate(np.eye(basis.n_vars, dtype=np.int64)):
                some = lower[:, j] > 0
                factors = covariance[first[some], j] * lower[some, j]
                values[some] += factors * moments[basis.index(lower[some] - unit)]
            moments[rows] = values
    return moments


def _per_variable(value: ArrayLike, name: str, n_vars: int) -> Matrix:
    array = _validation.as_real_array(value, name)
    if array.shape not in ((), (n_vars,)):
        raise ValueError(f"`{name}` must be a number or have shape (n_vars={n_vars},), got {array.shape}")
    return np.broadcast_to(array, (n_vars,))


def _as_covariance(covariance: ArrayLike | None, n_vars: int) -> Matrix:
    """The covariance as a matrix."""
    if covariance is None:
        return np.eye(n_vars)
    array = _validation.as_real_array(covariance, "covariance")
    if array.ndim < 2:
        variances = _per_variable(array, "covariance", n_vars)
        if (variances < 0).any():
            raise ValueError(f"`covariance` must not have negative variances, got {variances.min()}")
        return np.diag(variances)
    _validation.check_shape(array, "covariance", (("n_vars", n_vars), ("n_vars", n_vars)))
    return as_semidefinite(array, "covariance", _ROUNDING)


def as_semidefinite(matrix: Matrix, name: str, tolerance: float) -> Matrix:
    """A symmetric positive semidefinite matrix, made symmetric bit for bit.

    ValueError with the largest asymmetry, or the most negative eigenvalue, where it exceeds ``tolerance`` times the
    largest entry, or eigenvalue.
    """
    asymmetry = np.abs(matrix / 2 - matrix.T / 2)
    if asymmetry.size and not asymmetry.max() <= tolerance * np.abs(matrix).max() / 2:
        i, j = (int(k) for k in np.unravel_index(int(np.argmax(asymmetry)), asymmetry.shape))
        raise ValueError(
            f"`{name}` must be symmetric, got {matrix[i, j]:.6g} at ({i}, {j}) and {matrix[j, i]:.6g} at ({j}, {i}), "
            f"the largest asymmetry, {2 * asymmetry[i, j]:.3g}"
        )
    result = matrix / 2 + matrix.T / 2
    values = _linalg.eigenvalues(result)
    if values.size and values[0] < -tolerance * max(abs(values[0]), values[-1]):
        raise ValueError(
            f"`{name}` must be positive semidefinite, got the eigenvalue {values[0]:.6g} (the most negative one; the "
            f"largest is {values[-1]:.6g})"
        )
    return np.asarray(result)


def _finite(moments: Matrix) -> Matrix:
    if not _validation.all_finite(moments):
        raise NumericalError("a population moment overflowed to infinity; scale the inputs down")
    return moments


def _check_basis(basis: object) -> None:
    if not isinstance(basis, (MonomialBasis, MonomialSupport)):
        raise TypeError(f"`basis` must be a MonomialBasis or a MonomialSupport, got {type(basis).__name__}")
    n = basis.n_monomials
    what = f"a metric on {_validation._format_count(n)} monomials"
    _validation.check_size(2 * n * n, 8, what)
