# SPDX-License-Identifier: BSD-3-Clause
"""The least-squares loss in coefficient space, and composed with a network.

Legend: ``n_samples`` samples x_s with targets b_s, the rows of B (n_samples, O = n_outputs); ``N = n_monomials`` of
the basis or support; A (n_samples, N) the Veronese matrix; Q = AᵀA; coefficients c (..., O, N); parameters θ (..., P =
n_params).

Σ_s ‖f(x_s) − b_s‖² = Σ_o (c_o − t_o)ᵀ Q (c_o − t_o) + constant, with t = A⁺B the minimum-norm fit. All losses are
sums over samples.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _least_squares, _linalg, _validation
from ._least_squares import LeastSquares
from .errors import NumericalError
from .gram import GramOperator, gram_matrix, gram_operator, select_degrees
from .moments import Moments
from .monomials import MonomialBasis
from .support import MonomialSupport
from .veronese import veronese

if TYPE_CHECKING:
    from .networks import Network

__all__ = ["ConditionWarning", "NetworkLoss", "QDistance"]

Vector = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
# Past this condition number of what is solved, fewer than half of the digits of the target can be trusted.
_TRUSTED = _EPS**-0.5
# Dense mode holds Q, a factor, its decomposition and the kernel.
_DENSE_MATRICES = 6
# Rows of A are made and orthogonalised for about this many numbers at a time; Hessians likewise.
_BLOCK_ENTRIES = 2**21
_BLOCK_OPERATIONS = 2**29


class ConditionWarning(UserWarning):
    """The Gram matrix is so ill-conditioned that the fitted target has lost more than half of its digits."""


class QDistance:
    """The sum of squared errors of a polynomial as a squared distance between coefficients, ``‖c − t‖²_Q``, and more.

    Made by `from_data` or `from_moments`. With fewer samples than monomials, or samples on an algebraic variety, Q is
    singular and the distance a pseudometric: it is zero along ``kernel``. That is normal.

    Attributes
    ----------
    basis : MonomialBasis, MonomialSupport or None
        The N monomials; None after `restrict`, which has coordinates instead.
    n_outputs, n_monomials : int
    gram : ndarray, shape (N, N)
        Q = AᵀA, a sum over samples.
    gram_operator : GramOperator
        Q without forming it.
    factor : ndarray, shape (k, N)
        F with FᵀF = Q up to ``rank_tol``: ``value(c)`` is ‖F (c − t)ᵀ‖².
    target : ndarray, shape (n_outputs, N)
        t = A⁺B, the least-squares fit of minimum norm.
    constant : float
        Its sum of squared errors: ``value(c) + constant`` is the sum of squared errors of c.
    rank : int
        Numerical rank of Q.
    rank_tol : float
        The tolerance that decided the rank.
    kernel : ndarray, shape (N, N − rank)
        Orthonormal basis of the kernel of Q.
    condition : float
        Largest over smallest nonzero eigenvalue of Q: the square of the condition number of A.
    dense : bool
        False in operator mode, where Q is never formed.

    Notes
    -----
    *Rank.* With the columns of A scaled to unit length, singular values below ``rank_tol`` times the largest count as
    zero. The default is ``8 ε max(N, √n_samples)`` where A is factorised; from moments only √(16 ε N) can be told
    from zero, since the eigenvalues of Q are the squares; directions below that count for nothing in `value` and
    ``target``.

    *Accuracy.* From data, ``target`` is as good as QR makes it (errors of order ε √condition); from moments, of order
    ε·condition, and ``constant`` is ‖B‖² minus the part that is explained, so it cancels: its error is relative to
    ‖B‖². A `ConditionWarning` says when either error passes √ε.

    *Operator mode* (``dense=False``, and chosen when dense matrices of N² numbers would not fit): ``value(c)`` is
    cᵀQc − 2⟨c, AᵀB⟩ + ‖B‖², the whole sum of squared errors, and ``constant`` is 0. The three terms cancel, so the
    error is of the order of ε (cᵀ|Q||c| + ‖B‖²) however small the value. ``target``, ``rank``, ``kernel`` and
    ``condition`` raise.

    *On a support*, such as ``net.support``, coefficients are those of its N monomials alone, and so are A, Q and t: the
    loss is that of the whole basis restricted to polynomials with these monomials, and what cannot occur costs nothing.
    There is no operator mode, since Q is no Hankel matrix.

    Source: K. Kohn, *Algebraic neural network theory* (lecture slides), for the identity; Å. Björck, *Numerical
    Methods for Least Squares Problems* (1996), for its numerics.

    Examples
    --------
    >>> loss = QDistance.from_data([[0.0], [1.0], [2.0], [3.0]], [[1.0], [3.0], [5.0], [8.0]], MonomialBasis(1, 1))
    >>> loss.gram
    array([[ 4.,  6.],
           [ 6., 14.]])
    >>> loss.target.round(12)
    array([[0.8, 2.3]])
    >>> round(loss.constant, 12), round(loss.value([[1.0, 2.0]]) + loss.constant, 12)
    (0.3, 1.0)
    """

    def __init__(
        self, metric: _Metric, basis: MonomialBasis | MonomialSupport | None, n_outputs: int, n_monomials: int
    ) -> None:
        if not isinstance(metric, (_DenseMetric, _OperatorMetric)):
            raise TypeError("make a QDistance with QDistance.from_data or QDistance.from_moments")
        self._metric = metric
        self._basis = basis
        self._n_outputs = n_outputs
        self._n_monomials = n_monomials

    # -- making -------------------------------------------------------------------------------------------------------

    @classmethod
    def from_data(
        cls,
        X: ArrayLike,
        Y: ArrayLike,
        basis: MonomialBasis | MonomialSupport,
        rank_tol: float | None = None,
        *,
        dense: bool | None = None,
        method: str = "auto",
        n_threads: int = 0,
    ) -> QDistance:
        """The loss of samples.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_vars)
        Y : array_like, shape (n_samples, n_outputs)
        basis : MonomialBasis or MonomialSupport
            ``net.basis``, or ``net.support`` where that is much smaller.
        rank_tol : float, optional
            See the class notes; 0 <= rank_tol < 1.
        dense : bool, optional
            False for operator mode, True to insist on the dense matrices; by default dense if they fit in memory, and
            always on a support.
        method : {"auto", "qr", "moments"}
            "qr" factorises A, a block of rows at a time, in 2 n_samples N² operations; "moments" forms Q and AᵀB
            only, which is much faster for many samples and squares the condition number; "auto" is "qr" when A would
            fit in memory.
        n_threads : int
            0 means the default.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind, shape or value, or not finite.
        MemoryError, OverflowError
            If the matrices (or in operator mode the moments) would not fit.
        NumericalError
            If a moment of degree 2D overflows.

        Warns
        -----
        ConditionWarning
            If the target has lost more than half of its digits.
        """
        _check_basis(basis)
        _validation.check_choice(method, "method", ("auto", "qr", "moments"))
        n_threads = _validation.check_threads(n_threads)
        x = _validation.as_samples(X, basis.n_vars)
        y = _as_targets(Y, len(x))
        is_dense = _choose_dense(dense, basis)
        tolerance = _as_tolerance(rank_tol)
        if not is_dense or method == "moments" or (method == "auto" and not _fits(len(x) * (len(basis) + y.shape[1]))):
            if is_dense is False and method == "qr":
                raise ValueError("`method` must not be 'qr' in operator mode (dense=False)")
            if isinstance(basis, MonomialSupport):
                metric = _metric_of_sums(*_sums_of_rows(x, y, basis), tolerance, len(x))
                _warn_if_ill_conditioned(metric.solved, metric.solved.condition)
                return cls(metric, basis, y.shape[1], len(basis))
            moments = Moments(basis.n_vars, 2 * basis.degree, y.shape[1], basis.degree, basis.homogeneous)
            moments.update(x, y, n_threads)
            return cls.from_moments(moments, basis, rank_tol, dense=is_dense, n_threads=n_threads)
        gram = _gram_of_samples(x, basis, n_threads)
        n = basis.n_monomials
        triangle = _triangular_factor(x, y, basis, n_threads)
        if tolerance is None:
            tolerance = 8 * _EPS * max(n, len(x) ** 0.5)
        solved = _least_squares.solve_factor(triangle[:n, :n], triangle[:n, n:], tolerance)
        misfit = triangle[:n, n:] - solved.factor @ solved.solution.T
        constant = float(np.sum(misfit**2) + np.sum(triangle[n:, n:] ** 2))
        _warn_if_ill_conditioned(solved, solved.condition**0.5)
        return cls(_DenseMetric(gram, solved, constant), basis, y.shape[1], n)

    @classmethod
    def from_moments(
        cls,
        moments: Moments,
        basis: MonomialBasis | MonomialSupport,
        rank_tol: float | None = None,
        *,
        dense: bool | None = None,
        n_threads: int = 0,
    ) -> QDistance:
        """The loss of the samples behind some moments, without the samples.

        Parameters
        ----------
        moments : Moments
            Of degree at least 2D, with at least one target and a ``cross_degree`` of at least D, where D is the
            degree of the basis; homogeneous moments must be of exactly these degrees.
        basis, rank_tol, dense, n_threads
            As for `from_data`.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind, or the moments do not hold what the basis needs.
        MemoryError, OverflowError
            If the dense matrices are asked for and would not fit.

        Warns
        -----
        ConditionWarning
            If the target has lost more than half of its digits.
        """
        if not isinstance(moments, Moments):
            raise TypeError(f"`moments` must be a Moments, got {type(moments).__name__}")
        _check_basis(basis)
        n_threads = _validation.check_threads(n_threads)
        tolerance = _as_tolerance(rank_tol)
        cross, square = _cross_moments(moments, basis), float(np.trace(moments.targets_gram))
        is_dense = _choose_dense(dense, basis)
        if isinstance(basis, MonomialBasis) and not is_dense:
            operator = gram_operator(moments, basis, n_threads)
            return cls(_OperatorMetric(operator, cross, square), basis, *cross.shape)
        metric = _metric_of_sums(gram_matrix(moments, basis), cross, square, tolerance, moments.count)
        _warn_if_ill_conditioned(metric.solved, metric.solved.condition)
        return cls(metric, basis, *cross.shape)

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def basis(self) -> MonomialBasis | MonomialSupport | None:
        """The monomials, all of a basis or those of a support; None for a restriction."""
        return self._basis

    @property
    def n_outputs(self) -> int:
        """Number of outputs (targets)."""
        return self._n_outputs

    @property
    def n_monomials(self) -> int:
        """Number of coefficients per output."""
        return self._n_monomials

    @property
    def dense(self) -> bool:
        """Whether Q is held as a matrix; False in operator mode."""
        return isinstance(self._metric, _DenseMetric)

    @property
    def gram(self) -> Vector:
        """Q, shape (N, N), read-only; in operator mode formed now, if it fits (MemoryError if not)."""
        return self._metric.gram

    @property
    def gram_operator(self) -> GramOperator:
        """Q as an operator; ValueError for a restriction and on a support, where Q is not a Hankel matrix."""
        if isinstance(self._metric, _OperatorMetric):
            return self._metric.operator
        if not isinstance(self._basis, MonomialBasis):
            kind = "restricted loss" if self._basis is None else "loss on a support"
            raise ValueError(f"a {kind} has no gram_operator; use loss.gram")
        # Every moment is an entry of Q: a monomial of degree 2D is a product of two of degree D.
        return gram_operator(_moments_of(self.gram, self._basis), self._basis)

    @property
    def factor(self) -> Vector:
        """F with k ≤ N rows and FᵀF = Q up to ``rank_tol``, shape (k, N), read-only; MemoryError in operator mode.

        From data it is the R of A, whose condition number is the square root of that of Q.
        """
        return self._solved("factor").factor

    @property
    def target(self) -> Vector:
        """The least-squares fit A⁺B of minimum norm, shape (n_outputs, N), read-only; MemoryError in operator mode."""
        return self._solved("target").solution

    @property
    def constant(self) -> float:
        """Sum of squared errors of the target; 0 in operator mode, where ``value`` is the whole sum."""
        return self._metric.constant

    @property
    def rank(self) -> int:
        """Numerical rank of Q; MemoryError in operator mode."""
        return self._solved("rank").rank

    @property
    def rank_tol(self) -> float:
        """Relative tolerance on the scaled singular values of A that decided the rank; MemoryError in operator mode."""
        return self._solved("rank_tol").rank_tol

    @property
    def kernel(self) -> Vector:
        """Orthonormal basis of the kernel of Q, shape (N, N − rank), read-only; MemoryError in operator mode."""
        return self._solved("kernel").kernel

    @property
    def condition(self) -> float:
        """Largest over smallest nonzero eigenvalue of Q; MemoryError in operator mode."""
        return self._solved("condition").condition

    def _solved(self, name: str) -> LeastSquares:
        if isinstance(self._metric, _DenseMetric):
            return self._metric.solved
        n = self._n_monomials
        raise MemoryError(
            f"loss.{name} needs dense matrices of {n:,} x {n:,} numbers ({8 * n * n / 2**30:,.2f} GiB each), which a "
            "loss in operator mode does not hold; use a smaller basis, loss.restrict(span), or dense=True if they fit"
        )

    def __repr__(self) -> str:
        where = f"restricted to {self._n_monomials} coordinates" if self._basis is None else repr(self._basis)
        if isinstance(self._metric, _OperatorMetric):
            about = "operator mode"
        else:
            solved = self._metric.solved
            about = f"rank {solved.rank} of {self._n_monomials}, condition {solved.condition:.3g}"
            about += f", constant {self._metric.constant:.6g}"
        return f"QDistance({where}, n_outputs={self._n_outputs}): {about}"

    # -- what it does -------------------------------------------------------------------------------------------------

    def value(self, coef: ArrayLike) -> Any:
        """Squared Q-distance to the target: the sum of squared errors without ``constant``; never negative.

        Parameters
        ----------
        coef : array_like, shape (..., n_outputs, N)

        Returns
        -------
        float, or ndarray of shape (...)

        Raises
        ------
        TypeError, ValueError
            If the coefficients are not finite real numbers of this shape.
        NumericalError
            If the value overflows.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return _checked(self._metric.value(self._as_coef(coef)))

    def gradient(self, coef: ArrayLike) -> Vector:
        """Gradient of `value` with respect to the coefficients, 2Q(c − t).

        Parameters
        ----------
        coef : array_like, shape (..., n_outputs, N)

        Returns
        -------
        ndarray, shape (..., n_outputs, N)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value`.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            gradient: Vector = _checked(self._metric.gradient(self._as_coef(coef)))
        return gradient

    def _as_coef(self, coef: ArrayLike) -> Vector:
        shape = (..., ("n_outputs", self._n_outputs), ("n_monomials", self._n_monomials))
        return _validation.as_real_array(coef, "coef", shape=shape)

    def restrict(self, span: ArrayLike, rank_tol: float | None = None) -> QDistance:
        """The same loss on a linear subspace of the coefficients, in coordinates.

        Parameters
        ----------
        span : array_like, shape (k, N) or (k, n_outputs, N)
            Vectors that span the subspace, linearly independent or not. With (k, N), every output has its own k
            coordinates, c = z @ span with z (n_outputs, k). With (k, n_outputs, N) the outputs share them,
            c = Σ_i z_i span_i, and the restricted loss has one output.
        rank_tol : float, optional
            By default that of this loss.

        Returns
        -------
        QDistance
            With coefficients z, gram ``span Q spanᵀ``, and
            ``restricted.value(z) + restricted.constant == loss.value(c) + loss.constant``. It works in operator mode
            too, and is dense.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind, shape or value.
        NumericalError
            If the restricted Gram matrix overflows.
        """
        vectors = _validation.as_real_array(span, "span")
        if vectors.ndim == 2:
            _validation.check_shape(vectors, "span", ("k", ("n_monomials", self._n_monomials)))
        else:
            wanted = ("k", ("n_outputs", self._n_outputs), ("n_monomials", self._n_monomials))
            _validation.check_shape(vectors, "span", wanted)
        if not len(vectors):
            raise ValueError("`span` must have at least one vector, got none")
        tolerance = _as_tolerance(rank_tol)
        with np.errstate(over="ignore", invalid="ignore"):
            metric = self._metric.restrict(vectors, tolerance)
        return QDistance(metric, None, self._n_outputs if vectors.ndim == 2 else 1, len(vectors))

    def compose(self, net: Network) -> NetworkLoss:
        """The loss as a function of a network's parameters.

        Parameters
        ----------
        net : Network
            With the number of outputs of this loss, and its basis, or its support where the loss is on one.

        Returns
        -------
        NetworkLoss

        Raises
        ------
        TypeError
            If ``net`` is not a network.
        ValueError
            If the basis of the loss is neither ``net.basis`` nor ``net.support``, its number of outputs is not that of
            the network, or this loss is a restriction.
        """
        return NetworkLoss(self, net)


class NetworkLoss:
    """The loss of a network as a function of its parameters, θ ↦ ‖μ(θ) − t‖²_Q; the samples are no longer needed.

    Made by `QDistance.compose`. Every method takes θ of shape (..., n_params) and is batched over the leading axes. Add
    ``constant`` to a value to get the sum of squared errors on the samples.

    Attributes
    ----------
    loss : QDistance
    net : Network
    n_params : int
    constant : float
        That of the loss.

    Notes
    -----
    With J the Jacobian of θ ↦ c: gradient = Jᵀ·2Q(c − t), by one reverse sweep; Gauss–Newton = 2JᵀQJ; the Hessian
    adds the second derivatives of c, by the tangent of the reverse sweep. On a support, c, J and the sweeps have its
    monomials only. In operator mode everything goes through Q·c. Otherwise values are (c − t)ᵀQ(c − t), with a rounding
    error of order ε ‖Q‖ ‖c − t‖²: where Q is ill-conditioned, ``loss.value(net.expand(theta))``, which goes through a
    factor of Q, is more accurate.
    """

    def __init__(self, loss: QDistance, net: Network) -> None:
        if not isinstance(loss, QDistance):
            raise TypeError(f"`loss` must be a QDistance, got {type(loss).__name__}")
        program = getattr(net, "program", None)
        if program is None or not isinstance(getattr(net, "basis", None), MonomialBasis):
            raise TypeError(f"`net` must be a polycore network, got {type(net).__name__}")
        if loss.basis is None:
            raise ValueError("`net` cannot be composed with a restricted loss; compose the loss it was restricted from")
        self._on_support = isinstance(loss.basis, MonomialSupport)
        own = net.support if isinstance(loss.basis, MonomialSupport) and loss.basis.basis == net.basis else net.basis
        if own != loss.basis or net.n_outputs != loss.n_outputs:
            raise ValueError(
                f"`net` must have the basis and outputs of the loss, {loss.basis} and n_outputs={loss.n_outputs}; "
                f"got {own} and n_outputs={net.n_outputs}: make the loss on net.basis or on net.support"
            )
        self.loss = loss
        self.net = net
        program.require_concrete()
        self.n_params = int(net.n_params)
        self._engine = program.engine
        self._theta_shape = (self.n_params,)
        self._loss_gradient = self._engine.loss_gradient
        if self._on_support:
            self._loss_gradient = partial(self._engine.loss_gradient, support=True)
        dense = loss._metric if isinstance(loss._metric, _DenseMetric) else None
        self._gram = None if dense is None else dense.gram
        self._target = None if dense is None else dense.solved.solution

    @property
    def constant(self) -> float:
        """``value(theta) + constant`` is the sum of squared errors on the samples."""
        return self.loss.constant

    def __reduce__(self) -> tuple[Any, ...]:
        return NetworkLoss, (self.loss, self.net)  # the compiled program is made again

    def __repr__(self) -> str:
        return f"NetworkLoss({self.net!r}, {self.loss!r})"

    def value(self, theta: ArrayLike, n_threads: int = 0) -> Any:
        """Squared Q-distance of the network's coefficients to the target, without ``constant``.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
        n_threads : int
            0 means the default. The result does not depend on it.

        Returns
        -------
        float, or ndarray of shape (...)
            Never negative.

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value_and_gradient`.
        """
        return self.value_and_gradient(theta, n_threads)[0]

    def gradient(self, theta: ArrayLike, n_threads: int = 0) -> Vector:
        """Gradient of `value` in θ, Jᵀ·2Q(c − t).

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
        n_threads : int
            0 means the default. The result does not depend on it.

        Returns
        -------
        ndarray, shape (..., n_params)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value_and_gradient`.
        """
        return self.value_and_gradient(theta, n_threads)[1]

    def value_and_gradient(self, theta: ArrayLike, n_threads: int = 0) -> tuple[Any, Vector]:
        """Value and gradient from one forward and one reverse sweep.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
        n_threads : int
            0 means the default. The result does not depend on it.

        Returns
        -------
        value : float, or ndarray of shape (...)
            Never negative.
        gradient : ndarray, shape (..., n_params)

        Raises
        ------
        TypeError, ValueError
            If theta is not an array of finite real numbers of this shape.
        NumericalError
            If a result overflows.
        """
        # One contiguous float64 θ is what an optimiser passes in its inner loop: it needs no conversion.
        if not (
            self._gram is not None
            and type(theta) is np.ndarray
            and theta.shape == self._theta_shape
            and theta.dtype == np.float64
            and theta.flags.carray
            and n_threads == 0
        ):
            return self._value_and_gradient(theta, n_threads)
        value, gradient = self._loss_gradient(theta, self._gram, self._target)
        return max(float(value), 0.0), gradient

    def _value_and_gradient(self, theta: ArrayLike, n_threads: int) -> tuple[Any, Vector]:
        points, n_threads = self._as_theta(theta), _validation.check_threads(n_threads)
        if self._gram is not None:
            value, gradient = self._loss_gradient(points, self._gram, self._target, n_threads)
            return _as_scalar(np.maximum(value, 0.0)), gradient
        coef = self._expand(points, n_threads)
        gradient = self._engine.vjp(points, self.loss.gradient(coef), None, 0, None, n_threads)
        return self.loss.value(coef), gradient

    def hessian(self, theta: ArrayLike, n_threads: int = 0) -> Vector:
        """Hessian of `value` in θ, by n_params tangents of the reverse sweep.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
        n_threads : int
            0 means the default. The result does not depend on it.

        Returns
        -------
        ndarray, shape (..., n_params, n_params)
            Symmetric bit for bit.

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value_and_gradient`.
        MemoryError, OverflowError
            If it would not fit; `hessian_product` never forms it.
        """
        points, n_threads = self._as_theta(theta), _validation.check_threads(n_threads)
        flat = points.reshape(-1, self.n_params)
        result = self._new_matrices(len(flat))
        for batch, directions in self._blocks(len(flat)):
            at = flat[batch]
            shape = (len(at), directions.stop - directions.start, self.n_params)
            along = np.broadcast_to(np.eye(self.n_params)[directions], shape)
            dcoef = self._coef_gradient(at, n_threads)[:, None]
            result[batch, directions] = self._hessian_product(
                np.broadcast_to(at[:, None], shape), along, dcoef, n_threads
            )
        return self._as_result(result, points)

    def hessian_product(self, theta: ArrayLike, v: ArrayLike, n_threads: int = 0) -> Vector:
        """Hessian times vectors, without forming it.

        Parameters
        ----------
        theta, v : array_like, shape (..., n_params)
            Parameters and directions; their leading axes broadcast.
        n_threads : int
            0 means the default.

        Returns
        -------
        ndarray, shape (..., n_params)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value_and_gradient`; ValueError also if the leading axes do not broadcast.
        """
        points, n_threads = self._as_theta(theta), _validation.check_threads(n_threads)
        along = _validation.as_theta(v, self.n_params, "v", finite=True)
        try:
            shape = np.broadcast_shapes(points.shape, along.shape)
        except ValueError:
            raise ValueError(
                f"`theta` and `v` must broadcast to (..., n_params={self.n_params}), "
                f"got {points.shape} and {along.shape}"
            ) from None
        dcoef = self._coef_gradient(points, n_threads)
        return self._hessian_product(np.broadcast_to(points, shape), np.broadcast_to(along, shape), dcoef, n_threads)

    def gauss_newton(self, theta: ArrayLike, n_threads: int = 0) -> Vector:
        """The Gauss–Newton matrix 2JᵀQJ, the Hessian without the second derivatives of the coefficients.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
        n_threads : int
            0 means the default. The result does not depend on it.

        Returns
        -------
        ndarray, shape (..., n_params, n_params)
            Symmetric bit for bit, positive semidefinite. J (n_outputs · N, n_params) is the Jacobian of θ ↦ c, and Q
            acts on each output.

        Raises
        ------
        TypeError, ValueError, NumericalError, MemoryError, OverflowError
            As `hessian`.
        """
        points, n_threads = self._as_theta(theta), _validation.check_threads(n_threads)
        flat = points.reshape(-1, self.n_params)
        result = self._new_matrices(len(flat))
        _validation.check_size(
            self._n_coef * self.n_params, 8, "the Jacobian", "use hessian_product, which never forms it"
        )
        step = max(1, _BLOCK_ENTRIES // max(1, self._n_coef * self.n_params))
        for start in range(0, len(flat), step):
            at = flat[start : start + step]
            jacobian = self._engine.jacobian(np.ascontiguousarray(at), None, 0, None, n_threads, self._on_support)
            rows = jacobian.reshape(len(at), self.loss.n_outputs, self.loss.n_monomials, self.n_params)
            with np.errstate(over="ignore", invalid="ignore"):
                result[start : start + step] = self.loss._metric.pull_back(rows)
        return self._as_result(result, points)

    def _coef_gradient(self, theta: Vector, n_threads: int) -> Vector:
        """Gradient in the coefficients, 2Q(μ(θ) − t), shape (..., O, N)."""
        coef = self._expand(np.ascontiguousarray(theta), n_threads)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(_checked(self.loss._metric.gradient(coef)))

    def _hessian_product(self, theta: Vector, v: Vector, dcoef: Vector, n_threads: int) -> Vector:
        """Tangent of θ ↦ vjp(θ, 2Q(μ(θ) − t)) along v, where ``dcoef`` is that cotangent at θ."""
        theta, v = np.ascontiguousarray(theta), np.ascontiguousarray(v)
        tangent = self._engine.jvp(theta, v, None, 0, None, n_threads, self._on_support)
        with np.errstate(over="ignore", invalid="ignore"):
            ddcoef = _checked(2.0 * self.loss._metric.apply(tangent))
        dcoef = np.ascontiguousarray(np.broadcast_to(dcoef, ddcoef.shape))
        product: Vector = self._engine.vjp_tangent(theta, v, dcoef, ddcoef, None, n_threads, self._on_support)
        return product

    def _as_result(self, matrices: Vector, points: Vector) -> Vector:
        """Symmetric bit for bit, finite, with the batch axes of the parameters."""
        with np.errstate(over="ignore", invalid="ignore"):
            result: Vector = _checked(_symmetric(matrices))
        return result.reshape(*points.shape, self.n_params)

    @property
    def _n_coef(self) -> int:
        return self.loss.n_outputs * self.loss.n_monomials

    def _expand(self, theta: Vector, n_threads: int) -> Vector:
        coef: Vector = self._engine.expand(theta, None, 0, None, n_threads, self._on_support)
        return coef

    def _as_theta(self, theta: ArrayLike) -> Vector:
        return _validation.as_theta(theta, self.n_params)

    def _new_matrices(self, batch: int) -> Vector:
        _validation.check_size(
            batch * self.n_params**2, 8, "the matrix in the parameters", "use hessian_product, or a smaller batch"
        )
        return np.empty((batch, self.n_params, self.n_params))

    def _blocks(self, batch: int) -> list[tuple[slice, slice]]:
        """Slices of the batch and of the directions whose coefficient vectors together stay small."""
        n_coef = max(1, self._n_coef)  # no monomial at all: the zero polynomial
        n_directions = min(self.n_params, max(1, _BLOCK_ENTRIES // n_coef))
        n_batch = max(1, _BLOCK_ENTRIES // (n_coef * n_directions))
        return [
            (slice(i, min(i + n_batch, batch)), slice(j, min(j + n_directions, self.n_params)))
            for i in range(0, batch, n_batch)
            for j in range(0, self.n_params, n_directions)
        ]


# -- metrics: how Q is held -------------------------------------------------------------------------------------------


class _Metric(Protocol):
    """A quadratic function of coefficients (..., O, N); arguments are checked, results are not."""

    @property
    def gram(self) -> Vector: ...
    @property
    def constant(self) -> float: ...
    def apply(self, coef: Vector) -> Vector:
        """Q times the coefficients."""

    def value(self, coef: Vector) -> Vector: ...
    def gradient(self, coef: Vector) -> Vector: ...
    def pull_back(self, jacobian: Vector) -> Vector:
        """2JᵀQJ for Jacobians (batch, O, N, P)."""

    def restrict(self, span: Vector, rank_tol: float | None) -> _DenseMetric: ...


@dataclass(frozen=True, eq=False)
class _DenseMetric:
    """‖c − t‖²_Q with Q, a factor F of it, and t at hand."""

    gram: Vector
    solved: LeastSquares
    constant: float

    def __post_init__(self) -> None:
        for array in (self.gram, self.solved.solution, self.solved.kernel, self.solved.factor):
            array.flags.writeable = False

    def apply(self, coef: Vector) -> Vector:
        return np.asarray(coef @ self.gram)

    def value(self, coef: Vector) -> Vector:
        # Through the factor: a sum of squares, which is never negative and does not square the condition number.
        images = (coef - self.solved.solution) @ self.solved.factor.T
        return np.asarray((images**2).sum(axis=(-2, -1)))

    def gradient(self, coef: Vector) -> Vector:
        return 2.0 * self.apply(coef - self.solved.solution)

    def pull_back(self, jacobian: Vector) -> Vector:
        images = self.solved.factor @ jacobian
        columns = images.reshape(len(images), -1, images.shape[-1])
        return np.asarray(2.0 * (columns.swapaxes(-1, -2) @ columns))

    def restrict(self, span: Vector, rank_tol: float | None) -> _DenseMetric:
        tolerance = self.solved.rank_tol if rank_tol is None else rank_tol
        images, goal = span @ self.solved.factor.T, self.solved.solution @ self.solved.factor.T
        if span.ndim == 3:  # outputs share coordinates: one long column
            images, goal = images.reshape(len(span), -1), goal.reshape(1, -1)
        gram = _checked(_symmetric(images @ images.T))
        columns, right = images.T, goal.T
        if len(columns) > len(span):
            # As for data: orthogonalise once, then work on a small triangle.
            triangle = _linalg.triangle(np.hstack([columns, right]))
            columns, right = triangle[: len(span), : len(span)], triangle[: len(span), len(span) :]
        solved = _least_squares.solve_factor(np.ascontiguousarray(columns), right, tolerance)
        misfit = goal - solved.solution @ images
        return _DenseMetric(gram, solved, self.constant + float(np.sum(misfit**2)))


@dataclass(frozen=True, eq=False)
class _OperatorMetric:
    """cᵀQc − 2⟨c, AᵀB⟩ + ‖B‖² with Q as an operator, AᵀB (O, N) and ‖B‖²."""

    operator: GramOperator
    cross: Vector
    square: float

    @property
    def gram(self) -> Vector:
        return self.operator.to_dense()

    @property
    def constant(self) -> float:
        return 0.0

    def apply(self, coef: Vector) -> Vector:
        return self.operator.apply(coef)

    def value(self, coef: Vector) -> Vector:
        quadratic = (coef * (self.apply(coef) - 2.0 * self.cross)).sum(axis=(-2, -1))
        value = quadratic + self.square
        # NOTE: not np.maximum alone, which would turn the NaN of an overflow into one silently kept, and is checked
        # later.
        return np.asarray(np.where(value < 0.0, 0.0, value))

    def gradient(self, coef: Vector) -> Vector:
        return 2.0 * (self.apply(coef) - self.cross)

    def pull_back(self, jacobian: Vector) -> Vector:
        rows = np.ascontiguousarray(jacobian.transpose(0, 3, 1, 2))  # (batch, P, O, N)
        images = self.apply(rows)
        batch, n_params = rows.shape[:2]
        left, right = rows.reshape(batch, n_params, -1), images.reshape(batch, n_params, -1)
        return np.asarray(2.0 * (left @ right.swapaxes(-1, -2)))

    def restrict(self, span: Vector, rank_tol: float | None) -> _DenseMetric:
        k, images = len(span), self.apply(span)
        gram = _checked(_symmetric(span.reshape(k, -1) @ images.reshape(k, -1).T))
        joint = span.ndim == 3
        right = _checked((span.reshape(k, -1) @ self.cross.reshape(-1, 1)).T if joint else self.cross @ span.T)
        tolerance = (16 * _EPS * k) ** 0.5 if rank_tol is None else rank_tol
        solved = _least_squares.solve_gram(gram, right, tolerance, k)
        _warn_if_ill_conditioned(solved, solved.condition)
        return _DenseMetric(gram, solved, max(0.0, self.square - solved.explained))


# -- helpers ----------------------------------------------------------------------------------------------------------


def _metric_of_sums(gram: Vector, cross: Vector, square: float, rank_tol: float | None, max_rank: int) -> _DenseMetric:
    """The loss with these AᵀA, AᵀB transposed and ‖B‖²; the rank is at most the number of samples."""
    tolerance = (16 * _EPS * len(gram)) ** 0.5 if rank_tol is None else rank_tol
    solved = _least_squares.solve_gram(gram, cross, tolerance, max_rank)
    return _DenseMetric(gram, solved, max(0.0, square - solved.explained))


def _gram_of_samples(x: Vector, basis: MonomialBasis | MonomialSupport, n_threads: int) -> Vector:
    """Q; on a support from the rows, since the moments would be those of all sums of exponents in the basis."""
    if isinstance(basis, MonomialSupport):
        return _sums_of_rows(x, x[:, :0], basis)[0]
    moments = Moments(basis.n_vars, 2 * basis.degree, homogeneous=basis.homogeneous)
    moments.update(x, n_threads=n_threads)
    return gram_matrix(moments, basis)


def _sums_of_rows(x: Vector, y: Vector, support: MonomialSupport) -> tuple[Vector, Vector, float]:
    """AᵀA, shape (N, N), AᵀB transposed, (O, N), and ‖B‖², from blocks of rows."""
    n = len(support)
    gram, cross = np.zeros((n, n)), np.zeros((y.shape[1], n))
    step = max(1, _BLOCK_ENTRIES // max(1, n))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(x), step):
            rows = veronese(x[start : start + step], support)
            gram += rows.T @ rows
            cross += y[start : start + step].T @ rows
        square = _checked(np.asarray(np.sum(y**2)))
    return _checked(_symmetric(gram)), _checked(cross), square


def _triangular_factor(x: Vector, y: Vector, basis: MonomialBasis | MonomialSupport, n_threads: int) -> Vector:
    """R of the QR factorisation of [A B], shape (min(n_samples, N + O), N + O), made from blocks of rows of A.

    Each block is stacked under the R so far and factorised again, so A is never held as a whole; as stable as a QR of
    all of it (J. Demmel, L. Grigori, M. Hoemmen, J. Langou, SIAM J. Sci. Comput. 34 (2012) A206–A239).
    """
    width = basis.n_monomials + y.shape[1]
    # Blocks small enough for an interrupt to be seen between them, tall enough to make the R on top a small part.
    step = max(width, min(_BLOCK_ENTRIES // width, _BLOCK_OPERATIONS // width**2))
    triangle = np.zeros((0, width))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        block = np.hstack([veronese(x[rows], basis, n_threads=n_threads), y[rows]])
        triangle = _linalg.triangle(np.vstack([triangle, block]))
    return triangle


def _cross_moments(moments: Moments, basis: MonomialBasis | MonomialSupport) -> Vector:
    """AᵀB transposed, shape (O, N)."""
    if isinstance(basis, MonomialSupport):
        return basis.gather(_cross_moments(moments, basis.basis))
    held = moments.cross_basis
    if not moments.n_targets:
        raise ValueError("`moments` must have targets, got n_targets=0")
    too_low = held.degree < basis.degree or (held.homogeneous and held.degree != basis.degree)
    if held.n_vars != basis.n_vars or too_low or (held.homogeneous and not basis.homogeneous):
        raise ValueError(
            f"`moments` must hold the cross moments of {basis}, got those of {held}; set cross_degree={basis.degree}"
        )
    return select_degrees(moments.cross_moments, held, basis)


def _moments_of(gram: Vector, basis: MonomialBasis) -> Vector:
    """The moments of degree 2D in a Gram matrix."""
    products = MonomialBasis(basis.n_vars, 2 * basis.degree, basis.homogeneous)
    moments = np.empty(products.n_monomials)
    exponents = basis.exponents
    for row, exponent in zip(gram, exponents):
        moments[products.index(exponents + exponent)] = row
    return moments


def _choose_dense(dense: bool | None, basis: MonomialBasis | MonomialSupport) -> bool:
    """Whether to hold dense matrices; MemoryError or OverflowError when they are insisted on and would not fit."""
    on_support = isinstance(basis, MonomialSupport)
    if dense is None and not on_support:
        return _fits(_DENSE_MATRICES * basis.n_monomials**2)
    if dense is None or _validation.as_flag(dense, "dense"):
        n = basis.n_monomials
        what = f"dense matrices for {_validation._format_count(n)} monomials"
        remedy = "a support has no operator mode" if on_support else "use dense=False, the operator mode"
        _validation.check_size(_DENSE_MATRICES * n * n, 8, what, remedy)
        return True
    if on_support:
        raise ValueError("`dense` must not be False on a MonomialSupport: it has no operator mode, use its basis")
    return False


def _fits(n_numbers: int) -> bool:
    try:
        _validation.check_size(n_numbers, 8, "the matrix")
    except (MemoryError, OverflowError):
        return False
    return True


def _warn_if_ill_conditioned(solved: LeastSquares, amplification: float) -> None:
    if amplification > _TRUSTED:
        warnings.warn(
            f"the Gram matrix has condition number {solved.condition:.2g}: more than half of the digits of `target` "
            "are lost. Shift and scale the columns of X (standardise them), use another basis, or fit from the data by "
            "QR (QDistance.from_data)",
            ConditionWarning,
            stacklevel=3,
        )


def _check_basis(basis: object) -> None:
    if not isinstance(basis, (MonomialBasis, MonomialSupport)):
        raise TypeError(f"`basis` must be a MonomialBasis or a MonomialSupport, got {type(basis).__name__}")


def _as_targets(Y: ArrayLike, n_samples: int) -> Vector:
    y = _validation.as_real_array(Y, "Y")
    if y.ndim == 1:
        raise ValueError(f"`Y` must have shape (n_samples={n_samples}, n_outputs), got {y.shape}; pass Y[:, None]")
    _validation.check_shape(y, "Y", (("n_samples", n_samples), "n_outputs"))
    if not y.shape[1]:
        raise ValueError(f"`Y` must have at least one column, got shape {y.shape}")
    return y


def _as_tolerance(rank_tol: float | None) -> float | None:
    if rank_tol is None:
        return None
    tolerance = _validation.as_real(rank_tol, "rank_tol", minimum=0.0)
    if tolerance >= 1.0:
        raise ValueError(f"`rank_tol` must be less than 1, got {tolerance}")
    return tolerance


def _checked(result: Vector) -> Any:
    if not _validation.all_finite(np.asarray(result)):
        raise NumericalError("the loss overflowed to infinity; scale the coefficients or the data down")
    return _as_scalar(result)


def _as_scalar(result: Vector) -> Any:
    return float(result) if result.ndim == 0 else result


def _symmetric(matrices: Vector) -> Vector:
    """The symmetric part, equal to its transpose bit for bit."""
    return np.asarray(0.5 * (matrices + matrices.swapaxes(-1, -2)))
