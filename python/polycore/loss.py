# SPDX-License-Identifier: BSD-3-Clause
"""The least-squares loss in coefficient space, and composed with a network.

Legend: ``n_samples`` samples x_s with targets b_s, the rows of B (n_samples, O = n_outputs); ``N = n_monomials`` of
the basis or support; A (n_samples, N) the Veronese matrix; Q = AᵀA; coefficients c (..., O, N); parameters θ (..., P =
n_params).

Σ_s ‖f(x_s) − b_s‖² = Σ_o (c_o − t_o)ᵀ Q (c_o − t_o) + constant, with t = A⁺B the minimum-norm fit. Losses made from
samples or their moments are sums over samples; a loss made from a metric is what that metric says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _least_squares, _linalg, _validation, metrics
from ._least_squares import LeastSquares
from ._quadratic import (
    EPS,
    DenseMetric,
    JointMetric,
    Metric,
    OperatorMetric,
    checked,
    metric_of_gram,
    metric_of_sums,
    symmetric,
    warn_if_ill_conditioned,
)
from .errors import ConditionWarning
from .gram import GramOperator, gram_matrix, gram_operator, select_degrees
from .moments import Moments
from .monomials import MonomialBasis
from .network_loss import CoefficientLoss, NetworkLoss
from .support import MonomialSupport
from .veronese import veronese

if TYPE_CHECKING:
    from .networks import Network

__all__ = ["CoefficientLoss", "ConditionWarning", "NetworkLoss", "QDistance"]

Vector = NDArray[np.float64]

# Dense mode holds Q, a factor, its decomposition and the kernel.
_DENSE_MATRICES = 6
# Rows of A are made and orthogonalised for about this many numbers at a time.
_BLOCK_ENTRIES = 2**21
_BLOCK_OPERATIONS = 2**29


class QDistance:
    """The sum of squared errors of a polynomial as a squared distance between coefficients, ``‖c − t‖²_Q``, and more.

    Made by `from_data` or `from_moments`, which sum over samples, or by `from_metric` from any Q and t. With fewer
    samples than monomials, or samples on an algebraic variety, Q is singular and the distance a pseudometric: it is
    zero along ``kernel``. That is normal.

    Attributes
    ----------
    basis : MonomialBasis, MonomialSupport or None
        The N monomials; None after `restrict`, which has coordinates instead, and from a metric without a basis.
    n_outputs, n_monomials : int
    gram : ndarray, shape (N, N)
        Q = AᵀA, a sum over samples, or the metric as given. A *joint* metric has one matrix over all outputs, and then
        it is (O·N, O·N), rows and columns output by output; ``factor``, ``kernel`` and ``rank`` likewise.
    gram_operator : GramOperator
        Q without forming it.
    factor : ndarray, shape (k, N)
        F with FᵀF = Q up to ``rank_tol``: ``value(c)`` is ‖F (c − t)ᵀ‖².
    target : ndarray, shape (n_outputs, N)
        t = A⁺B, the least-squares fit of minimum norm; from a metric, as given.
    constant : float
        Its sum of squared errors: ``value(c) + constant`` is the sum of squared errors of c.
    lower_bound : float
        0, which `value` never goes below.
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
    joint : bool
        Whether Q is one matrix over all outputs, (O·N, O·N).
    restricted : bool
        Whether this loss is the result of `restrict`, on coordinates; it composes with no network.

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
        self,
        metric: Metric,
        basis: MonomialBasis | MonomialSupport | None,
        n_outputs: int,
        n_monomials: int,
        origin: str = "samples",
    ) -> None:
        if not isinstance(metric, (DenseMetric, JointMetric, OperatorMetric)):
            raise TypeError("make a QDistance with QDistance.from_data, from_moments or from_metric")
        self._metric = metric
        self._origin = origin  # "samples", "metric" or "restriction"
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
                metric = metric_of_sums(*_sums_of_rows(x, y, basis), tolerance, len(x))
                warn_if_ill_conditioned(metric.solved, metric.solved.condition)
                return cls(metric, basis, y.shape[1], len(basis))
            moments = Moments(basis.n_vars, 2 * basis.degree, y.shape[1], basis.degree, basis.homogeneous)
            moments.update(x, y, n_threads)
            return cls.from_moments(moments, basis, rank_tol, dense=is_dense, n_threads=n_threads)
        gram = _gram_of_samples(x, basis, n_threads)
        n = basis.n_monomials
        triangle = _triangular_factor(x, y, basis, n_threads)
        if tolerance is None:
            tolerance = 8 * EPS * max(n, len(x) ** 0.5)
        solved = _least_squares.solve_factor(triangle[:n, :n], triangle[:n, n:], tolerance)
        misfit = triangle[:n, n:] - solved.factor @ solved.solution.T
        constant = float(np.sum(misfit**2) + np.sum(triangle[n:, n:] ** 2))
        warn_if_ill_conditioned(solved, solved.condition**0.5)
        return cls(DenseMetric(gram, solved, constant), basis, y.shape[1], n)

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
            return cls(OperatorMetric(operator, cross, square), basis, *cross.shape)
        metric = metric_of_sums(gram_matrix(moments, basis), cross, square, tolerance, moments.count)
        warn_if_ill_conditioned(metric.solved, metric.solved.condition)
        return cls(metric, basis, *cross.shape)

    @classmethod
    def from_metric(
        cls,
        metric: ArrayLike | str,
        target: ArrayLike,
        basis: MonomialBasis | MonomialSupport | None = None,
        *,
        constant: float = 0.0,
        rank_tol: float | None = None,
    ) -> QDistance:
        """The squared distance ‖c − t‖²_Q to a target in any metric, without samples.

        Parameters
        ----------
        metric : array_like, shape (N, N) or (n_outputs · N, n_outputs · N), or str
            Q, symmetric positive semidefinite: one for every output, or a *joint* one over all outputs, rows and
            columns output by output. Or the name of one in `polycore.metrics`: "identity", "bombieri_weyl", "gaussian"
            (standard normal inputs) or "uniform" (on [−1, 1]); the last two are expectations, not sums over samples.
        target : array_like, shape (n_outputs, N), or (N,) for one output
            t. It is kept as given, also where Q is singular and other targets have the same distances.
        basis : MonomialBasis or MonomialSupport, optional
            The N monomials; needed for a name. Without it the loss can be composed with every network of the right
            sizes.
        constant : float
            Added to a value to get the total that is reported, such as the squared error that no polynomial avoids.
        rank_tol : float, optional
            As for `from_moments`: √(16 ε N) by default. Its square, relative to the largest, is also how far entries
            may be from symmetric, and eigenvalues below zero, but never less than 16 ε N.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or shape or not finite, the metric is not symmetric (with the largest
            asymmetry) or not positive semidefinite (with the most negative eigenvalue), or a name comes without a
            basis.
        MemoryError, OverflowError
            If the dense matrices would not fit.
        NumericalError
            If the metric times the target overflows.

        Notes
        -----
        One eigenvalue decomposition, O(N³), or O((n_outputs · N)³) for a joint metric.

        Examples
        --------
        >>> loss = QDistance.from_metric("bombieri_weyl", [1.0, 0.0, 2.0], MonomialBasis(2, 2, homogeneous=True))
        >>> loss.value([[0.0, 2.0, 0.0]])  # squared Frobenius norm of [[1, -1], [-1, 2]]
        7.0
        >>> QDistance.from_metric([[2.0, 1.0], [1.0, 2.0]], [1.0, 0.0])
        QDistance(2 coefficients, n_outputs=1): rank 2 of 2, condition 3, constant 0
        """
        goal = _validation.as_real_array(target, "target")
        if basis is not None:
            _check_basis(basis)
            n = basis.n_monomials
            allowed = goal.shape == (n,) or (goal.ndim == 2 and goal.shape[1] == n and len(goal) > 0)
            if not allowed:
                raise ValueError(
                    f"`target` must have shape (n_outputs, n_monomials={n}), or ({n},) for one output, got {goal.shape}"
                )
        elif goal.ndim not in (1, 2) or not goal.size:
            raise ValueError(
                f"`target` must have shape (n_outputs, n_monomials), or (n_monomials,) for one output, got {goal.shape}"
            )
        goal = np.array(goal, dtype=np.float64, ndmin=2)
        tolerance, shift = _as_tolerance(rank_tol), _validation.as_real(constant, "constant")
        gram = _as_metric(metric, goal, basis, tolerance)
        joint = len(gram) != goal.shape[1]
        vectors = goal.reshape(1, -1) if joint else goal
        with np.errstate(over="ignore", invalid="ignore"):
            checked(vectors @ gram)
            held = metric_of_gram(gram, vectors, shift, tolerance)
        return cls(JointMetric(held, len(goal)) if joint else held, basis, len(goal), goal.shape[1], "metric")

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def basis(self) -> MonomialBasis | MonomialSupport | None:
        """The monomials, all of a basis or those of a support; None for a restriction, or a metric without a basis."""
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
        return not isinstance(self._metric, OperatorMetric)

    @property
    def joint(self) -> bool:
        """Whether Q is one matrix over all outputs, of shape (n_outputs · N, n_outputs · N)."""
        return isinstance(self._metric, JointMetric)

    @property
    def restricted(self) -> bool:
        """Whether this loss is the result of `restrict`, on coordinates instead of coefficients."""
        return self._origin == "restriction"

    @property
    def lower_bound(self) -> float:
        """0, which `value` never goes below; what data leave over is ``constant``."""
        return 0.0

    @property
    def gram(self) -> Vector:
        """Q, shape (N, N), or (O·N, O·N) if joint, read-only; in operator mode formed now, if it fits."""
        return self._metric.gram

    @property
    def gram_operator(self) -> GramOperator:
        """Q as an operator; ValueError unless it is made from samples on a basis, where Q is a Hankel matrix."""
        if isinstance(self._metric, OperatorMetric):
            return self._metric.operator
        if not isinstance(self._basis, MonomialBasis) or self._origin != "samples":
            kind = {"samples": "loss on a support", "metric": "loss from a metric"}.get(self._origin, "restricted loss")
            raise ValueError(f"a {kind} has no gram_operator; use loss.gram")
        # Every moment is an entry of Q: a monomial of degree 2D is a product of two of degree D.
        return gram_operator(_moments_of(self.gram, self._basis), self._basis)

    @property
    def factor(self) -> Vector:
        """F with FᵀF = Q up to ``rank_tol``, (k, N), or (k, O·N) if joint, read-only; MemoryError in operator mode.

        From data it is the R of A, whose condition number is the square root of that of Q.
        """
        return self._solved("factor").factor

    @property
    def target(self) -> Vector:
        """The least-squares fit A⁺B of minimum norm, shape (n_outputs, N), read-only; MemoryError in operator mode.

        From a metric, the target as given.
        """
        return self._solved("target").solution.reshape(self._n_outputs, self._n_monomials)

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
        """Orthonormal basis of the kernel of Q, shape (N, N − rank), read-only; MemoryError in operator mode.

        For a joint metric, (O·N, O·N − rank).
        """
        return self._solved("kernel").kernel

    @property
    def condition(self) -> float:
        """Largest over smallest nonzero eigenvalue of Q; MemoryError in operator mode."""
        return self._solved("condition").condition

    def _solved(self, name: str) -> LeastSquares:
        if isinstance(self._metric, (DenseMetric, JointMetric)):
            return self._metric.solved
        n = self._n_monomials
        raise MemoryError(
            f"loss.{name} needs dense matrices of {n:,} x {n:,} numbers ({8 * n * n / 2**30:,.2f} GiB each), which a "
            "loss in operator mode does not hold; use a smaller basis, loss.restrict(span), or dense=True if they fit"
        )

    def __repr__(self) -> str:
        where = repr(self._basis)
        if self._basis is None:
            where = f"restricted to {self._n_monomials} coordinates" if self.restricted else ""
            where = where or f"{self._n_monomials} coefficient{'s' * (self._n_monomials != 1)}"
        if isinstance(self._metric, (DenseMetric, JointMetric)):
            solved = self._metric.solved
            about = f"rank {solved.rank} of {len(self._metric.gram)}{' (joint)' * self.joint}"
            about += f", condition {solved.condition:.3g}, constant {self._metric.constant:.6g}"
        else:
            about = "operator mode"
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
            return checked(self._metric.value(self._as_coef(coef)))

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
            gradient: Vector = checked(self._metric.gradient(self._as_coef(coef)))
        return gradient

    def hessian_product(self, coef: ArrayLike, dcoef: ArrayLike) -> Vector:
        """Derivative of `gradient` along a direction, 2Q times ``dcoef``, the same wherever it is taken.

        Parameters
        ----------
        coef, dcoef : array_like, shape (..., n_outputs, N)
            Points and directions; their leading axes broadcast.

        Returns
        -------
        ndarray, shape (..., n_outputs, N)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value`; ValueError also if the leading axes do not broadcast.
        """
        at, along = self._as_coef(coef), self._as_coef(dcoef, "dcoef")
        shape = _broadcast(at, along)
        with np.errstate(over="ignore", invalid="ignore"):
            product: Vector = checked(self._metric.hessian_product(at, along))
        return np.array(np.broadcast_to(product, shape))

    def gradient_scale(self, coef: ArrayLike) -> Any:
        """The size that rounding errors of `gradient` are measured against, ‖Q‖ ‖c‖ + ‖Qt‖.

        Parameters
        ----------
        coef : array_like, shape (..., n_outputs, N)

        Returns
        -------
        float, or ndarray of shape (...)
            With the spectral norm of Q (in operator mode a lower bound from a few power steps, close to it) and the
            Euclidean norm of all coefficients; Qt is AᵀB for samples.

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value`.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return checked(self._metric.gradient_scale(self._as_coef(coef)))

    def _as_coef(self, coef: ArrayLike, name: str = "coef") -> Vector:
        shape = (..., ("n_outputs", self._n_outputs), ("n_monomials", self._n_monomials))
        return _validation.as_real_array(coef, name, shape=shape)

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
        n_outputs = self._n_outputs if vectors.ndim == 2 else 1
        return QDistance(metric, None, n_outputs, len(vectors), "restriction")

    def compose(self, net: Network) -> NetworkLoss:
        """The loss as a function of a network's parameters.

        Parameters
        ----------
        net : Network
            With the number of outputs of this loss, and its basis, or its support where the loss is on one. A loss from
            a metric without a basis takes every network whose ``basis``, or else ``support``, has N monomials.

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


# -- helpers ----------------------------------------------------------------------------------------------------------


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
        square = checked(np.asarray(np.sum(y**2)))
    return checked(symmetric(gram)), checked(cross), square


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


def _as_metric(
    metric: ArrayLike | str, target: Vector, basis: MonomialBasis | MonomialSupport | None, rank_tol: float | None
) -> Vector:
    """Q, of the size N of a target (O, N) or of size O·N, symmetric bit for bit and positive semidefinite."""
    if isinstance(metric, str):
        _validation.check_choice(metric, "metric", tuple(metrics.NAMED))
        if basis is None:
            raise ValueError(f"`basis` must be given for the metric {metric!r}, which depends on the monomials")
        return metrics.NAMED[metric](basis)
    gram = _validation.as_real_array(metric, "metric", finite=False)
    n_outputs, n = target.shape
    if gram.shape not in ((n, n), (n_outputs * n, n_outputs * n)):
        joint = f", or ({n_outputs * n}, {n_outputs * n}) over all outputs" if n_outputs > 1 else ""
        raise ValueError(
            f"`metric` must have shape (n_monomials={n}, n_monomials={n}){joint}, like `target` of shape "
            f"{target.shape}, got {gram.shape}"
        )
    _validation.check_size(_DENSE_MATRICES * gram.size, 8, f"dense matrices of {len(gram):,} x {len(gram):,} numbers")
    _validation.check_finite(gram, "metric")
    tolerance = max(16 * EPS * len(gram), 0.0 if rank_tol is None else rank_tol**2)
    return metrics.as_semidefinite(gram, "metric", tolerance)


def _broadcast(at: Vector, along: Vector) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(at.shape, along.shape)
    except ValueError:
        raise ValueError(
            f"`coef` and `dcoef` must broadcast to (..., n_outputs, n_monomials), got {at.shape} and {along.shape}"
        ) from None


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
