# SPDX-License-Identifier: BSD-3-Clause
"""Cross-entropy of class labels as a loss on coefficients.

Legend: ``n_samples`` samples x_s with labels y_s; ``N = n_monomials``; A (n_samples, N) the Veronese matrix with rows
a_s; ``K = n_classes``; coefficients c (..., O = n_outputs, N); logits z_s (K,), which are c a_s, or (0, c a_s) with a
reference class; probabilities p_s = softmax(z_s).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _validation, config
from ._quadratic import as_scalar, checked
from ._validation import _format_int
from .monomials import MonomialBasis
from .network_loss import NetworkLoss
from .support import MonomialSupport
from .veronese import veronese

if TYPE_CHECKING:
    from .networks import Network

__all__ = ["CrossEntropy"]

Vector = NDArray[np.float64]
Labels = NDArray[np.int64]

# Numbers in the rows and logits of a block of samples: enough to keep numpy busy, few enough for a cache. Blocks do not
# depend on the batch or on threads, so neither do results.
_BLOCK_ENTRIES = 2**16
# Numbers in the logits of so many members of a batch as are done at a time.
_BATCH_ENTRIES = 2**19
# Work too small to gain from a second thread: numbers in the rows and logits of all samples and members.
_THREADS_FROM = 2**22


class CrossEntropy:
    """The cross-entropy −Σ_s log softmax(z_s)[y_s] of class labels, a *sum* over samples, as a function of c.

    Made by `from_data`. It is convex in the coefficients, and `NetworkLoss` composes it with a network that has one
    output for each class, its logit, or for each but class 0, the *reference*, whose logit is then 0. Unlike that of a
    `QDistance`, its value is no function of moments: it holds the samples, and every evaluation runs through them, in
    blocks, so its cost grows with n_samples and its memory does not.

    Attributes
    ----------
    basis : MonomialBasis or MonomialSupport
        The N monomials.
    n_outputs : int
        O, the number of classes, or one less with a reference class.
    n_classes : int
        K.
    reference : bool
        Whether class 0 is the reference.
    n_monomials, n_samples : int
    samples : ndarray, shape (n_samples, n_vars)
        A read-only copy of the inputs.
    labels : ndarray of int64, shape (n_samples,)
        Read-only, between 0 and K − 1.
    constant : float
        0.
    lower_bound : float
        0, which `value` never goes below.

    Notes
    -----
    With e_y the y-th unit vector, gradient = Σ_s (p_s − e_{y_s}) a_sᵀ and Hessian = Σ_s (diag p_s − p_s p_sᵀ) ⊗ a_s
    a_sᵀ (C. M. Bishop, *Pattern Recognition and Machine Learning*, 2006, Section 4.3.4). Logarithms and exponentials
    are of differences to the label's logit, scaled by the largest, so nothing overflows and small losses keep their
    digits.

    *Shifts.* Softmax does not change when one polynomial is added to all logits. So without a reference class the
    Hessian in c has a kernel of dimension at least N, the shifts, and exactly N + (O − 1)(N − rank A), since the other
    factor is positive definite on what is left: a polynomial that vanishes on all samples counts for each other output.
    A critical point of a network is degenerate in the directions of θ that only shift, in addition to those along its
    fibre, and critical functions come in families. A reference class takes the shifts away: the kernel has dimension
    O (N − rank A), so it is 0 where A has full rank. Two classes then are logistic regression, with one output.

    *Separable data.* If some polynomials give every sample's own class the largest output, the loss tends to 0 along
    their multiples and has no minimum: gradients fade as coefficients grow, and a search ends wherever its tolerance
    says. An `accuracy` of 1 is the sign of it.

    Examples
    --------
    >>> loss = CrossEntropy.from_data([[-1.0], [0.0], [1.0], [2.0]], [0, 1, 0, 1], MonomialBasis(1, 1))
    >>> loss
    CrossEntropy(MonomialBasis(n_vars=1, degree=1, homogeneous=False), n_outputs=2): 4 samples, 2 + 2 in the classes
    >>> round(loss.value([[0.0, 0.0], [0.0, 0.0]]), 12)  # 4 log 2
    2.77258872224
    >>> loss.gradient([[0.0, 0.0], [0.0, 0.0]])
    array([[ 0.,  1.],
           [ 0., -1.]])
    """

    _broadcasts = True  # hessian_product takes one point for many directions

    def __init__(
        self,
        samples: Vector,
        labels: Labels,
        basis: Any,
        n_classes: int,
        reference: bool = False,
        n_threads: int = 0,
    ) -> None:
        if not isinstance(basis, (MonomialBasis, MonomialSupport)):
            raise TypeError("make a CrossEntropy with CrossEntropy.from_data")
        self.basis = basis
        self.n_classes = n_classes
        self.n_outputs = n_classes - reference
        self.reference = reference
        self.samples = samples
        self.labels = labels
        self._n_threads = n_threads
        for array in (samples, labels):
            array.flags.writeable = False
        checked(self._sum(_square_of_rows))  # refuses samples that are too large, here rather than later

    @classmethod
    def from_data(
        cls,
        X: ArrayLike,
        labels: ArrayLike,
        basis: MonomialBasis | MonomialSupport,
        n_classes: int | None = None,
        *,
        reference: bool = False,
        n_threads: int = 0,
    ) -> CrossEntropy:
        """The loss of labelled samples.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_vars)
        labels : array_like of int, shape (n_samples,)
            The classes, counted from 0; floats may hold them too. Names of classes are not taken:
            ``np.unique(names, return_inverse=True)`` makes integers of them.
        basis : MonomialBasis or MonomialSupport
            ``net.basis``, or ``net.support`` where that is much smaller.
        n_classes : int, optional
            K, at least 2. By default the largest label plus 1, and then every class must occur.
        reference : bool
            Whether the logit of class 0 is 0, so that outputs are the logits of classes 1, …, K − 1. It takes away the
            freedom to add one polynomial to all logits: critical points are isolated where they can be.
        n_threads : int
            For all evaluations; 0 means the default. Results do not depend on it.

        Raises
        ------
        TypeError
            If an argument is of the wrong kind, such as labels that are no numbers.
        ValueError
            If an argument is of the wrong shape or not finite, there are no samples, a label is no integer or out of
            range, or all samples are of one class.
        NumericalError
            If a monomial overflows.
        """
        if not isinstance(basis, (MonomialBasis, MonomialSupport)):
            raise TypeError(f"`basis` must be a MonomialBasis or a MonomialSupport, got {type(basis).__name__}")
        n_threads = _validation.check_threads(n_threads)
        x = np.array(_validation.as_samples(X, basis.n_vars, minimum_rows=1))
        y, n_classes = _as_labels(labels, len(x), n_classes)
        return cls(x, y, basis, n_classes, _validation.as_flag(reference, "reference"), n_threads)

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def n_monomials(self) -> int:
        """Number of coefficients per output, N."""
        return self.basis.n_monomials

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def constant(self) -> float:
        """0: `value` is the whole cross-entropy."""
        return 0.0

    @property
    def lower_bound(self) -> float:
        """0, which `value` never goes below; it is attained by no coefficients."""
        return 0.0

    def __repr__(self) -> str:
        counts = np.bincount(self.labels, minlength=self.n_classes).tolist()
        listed = " + ".join(map(str, counts)) if len(counts) <= 8 else f"{min(counts)} to {max(counts)}"
        samples = f"{self.n_samples} samples, {listed} in the classes" + ", the first the reference" * self.reference
        return f"CrossEntropy({self.basis!r}, n_outputs={self.n_outputs}): {samples}"

    # -- what it does -------------------------------------------------------------------------------------------------

    def value(self, coef: ArrayLike) -> Any:
        """The cross-entropy, summed over samples, in natural logarithms; never negative.

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
            If a logit overflows.

        Notes
        -----
        O(n_samples · N · O) for each member of the batch; so are all evaluations.
        """
        c = self._as_coef(coef)
        return self._over_batch(c, c.shape[:-2], _values)

    def gradient(self, coef: ArrayLike) -> Vector:
        """Gradient of `value`, Σ_s (p_s − e_{y_s}) a_sᵀ.

        Parameters
        ----------
        coef : array_like, shape (..., n_outputs, N)

        Returns
        -------
        ndarray, shape (..., n_outputs, N)
            Without a reference class its sum over outputs is zero up to rounding.

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value`.
        """
        c = self._as_coef(coef)
        gradient: Vector = self._over_batch(c, c.shape, _gradients)
        return gradient

    def value_and_gradient(self, coef: ArrayLike) -> tuple[Any, Vector]:
        """`value` and `gradient` from one pass through the samples.

        Parameters
        ----------
        coef : array_like, shape (..., n_outputs, N)

        Returns
        -------
        value : float, or ndarray of shape (...)
        gradient : ndarray, shape (..., n_outputs, N)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value`.
        """
        c = self._as_coef(coef)
        both = self._over_batch(c, (*c.shape[:-2], 1 + self.n_outputs * self.n_monomials), _values_and_gradients)
        return as_scalar(np.array(both[..., 0])), both[..., 1:].reshape(c.shape)

    def hessian_product(self, coef: ArrayLike, dcoef: ArrayLike) -> Vector:
        """Derivative of `gradient` along a direction, the Hessian in the coefficients times ``dcoef``.

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
        try:
            shape = np.broadcast_shapes(at.shape, along.shape)
        except ValueError:
            raise ValueError(
                f"`coef` and `dcoef` must broadcast to (..., n_outputs, n_monomials), got {at.shape} and {along.shape}"
            ) from None
        # Many directions at one point share its probabilities: points (batch, 1, O, N), directions (batch, k, O, N).
        shared = len(shape) > 2 and (at.ndim == 2 or (at.shape[-3] == 1 and at.shape[:-3] == shape[:-3]))
        k = shape[-3] if shared else 1
        points = np.broadcast_to(at, (*shape[:-3], 1, *shape[-2:]) if shared else shape).reshape(-1, 1, *shape[-2:])
        directions = np.broadcast_to(along, shape).reshape(len(points), k, *shape[-2:])
        product = np.empty(directions.shape)
        for members in _slices(len(points), self._batch // max(1, k)):
            for some in _slices(k, self._batch):
                here = directions[members, some]
                term = partial(_hessian_products, self.reference, points[members], here)
                product[members, some] = self._sum(term, len(here) * here.shape[1])
        result: Vector = checked(product.reshape(shape))
        return result

    def gradient_scale(self, coef: ArrayLike) -> Any:
        """The size that rounding errors of `gradient` are measured against, Σ_s ‖p_s − e_{y_s}‖ ‖a_s‖ (1 + ‖a_s‖ ‖c‖).

        Parameters
        ----------
        coef : array_like, shape (..., n_outputs, N)

        Returns
        -------
        float, or ndarray of shape (...)
            The first term is the size of what is summed, the second what rounding of the logits makes of it: their
            errors change each p_s − e_{y_s} in proportion to itself. So both go to zero where the samples are
            separated better and better, as the gradient does, and points on the way to infinity do not look critical.

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value`.
        """
        c = self._as_coef(coef)
        sums = self._over_batch(c, (*c.shape[:-2], 2), _residual_sizes)
        with np.errstate(over="ignore", invalid="ignore"):
            return checked(sums[..., 0] + sums[..., 1] * np.sqrt((c**2).sum(axis=(-2, -1))))

    def accuracy(self, coef: ArrayLike) -> Any:
        """The fraction of samples whose own class has a larger output than every other.

        Parameters
        ----------
        coef : array_like, shape (..., n_outputs, N)

        Returns
        -------
        float, or ndarray of shape (...)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value`.
        """
        c = self._as_coef(coef)
        return self._over_batch(c, c.shape[:-2], _hits) / self.n_samples

    def compose(self, net: Network) -> NetworkLoss:
        """The loss as a function of a network's parameters.

        Parameters
        ----------
        net : Network
            With one output for each class, or for each but the reference, and the basis of this loss, or its support
            where the loss is on one.

        Returns
        -------
        NetworkLoss

        Raises
        ------
        TypeError, ValueError
            As `NetworkLoss`.
        """
        return NetworkLoss(self, net)

    # -- sums over samples --------------------------------------------------------------------------------------------

    def _as_coef(self, coef: ArrayLike, name: str = "coef") -> Vector:
        shape = (..., ("n_outputs", self.n_outputs), ("n_monomials", self.n_monomials))
        return _validation.as_real_array(coef, name, shape=shape)

    @property
    def _step(self) -> int:
        """Samples in a block."""
        return max(16, _BLOCK_ENTRIES // (self.n_monomials + self.n_classes))

    @property
    def _batch(self) -> int:
        """Members of a batch, or directions, that are done at a time."""
        return max(1, _BATCH_ENTRIES // (self.n_classes * self._step))

    def _over_batch(self, coef: Vector, shape: tuple[int, ...], term: Callable[..., Vector]) -> Any:
        """Sums over samples of a term for each member of the batch."""
        flat = coef.reshape(-1, *coef.shape[-2:])
        result = np.empty((len(flat), *shape[coef.ndim - 2 :]))
        for members in _slices(len(flat), self._batch):
            result[members] = self._sum(partial(term, self.reference, flat[members]), len(flat[members]))
        return checked(result.reshape(shape))

    def _sum(self, term: Callable[[Vector, Labels], Vector], members: int = 1) -> Any:
        """Sum over blocks of samples, in their order, of a term in the rows of A and the labels."""
        blocks = list(_slices(self.n_samples, self._step))

        def of_block(block: slice) -> Vector:
            with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # a setting of each thread
                return term(veronese(self.samples[block], self.basis, n_threads=1), self.labels[block])

        small = self.n_samples * (self.n_monomials + self.n_classes) * members < _THREADS_FROM
        n_threads = 1 if small else min(self._n_threads or config.default_threads()[0], len(blocks))
        if n_threads == 1:
            return sum(map(of_block, blocks[1:]), of_block(blocks[0]))
        total: Any = 0.0
        waiting: deque[Future[Vector]] = deque()
        with ThreadPoolExecutor(n_threads, thread_name_prefix="polycore-entropy") as pool:
            for block in blocks:
                waiting.append(pool.submit(of_block, block))
                if len(waiting) > 2 * n_threads:  # few results are held at a time
                    total = total + waiting.popleft().result()
            for future in waiting:
                total = total + future.result()
        return total


# -- terms: sums over the samples of a block --------------------------------------------------------------------------


def _logits(reference: bool, coef: Vector, rows: Vector) -> Vector:
    """Of all classes (..., K, S)."""
    if not reference:
        return np.asarray(coef @ rows.T)
    logits = np.zeros((*coef.shape[:-2], 1 + coef.shape[-2], len(rows)))
    np.matmul(coef, rows.T, out=logits[..., 1:, :])
    return logits


def _margins(reference: bool, coef: Vector, rows: Vector, labels: Labels) -> tuple[Vector, Vector, Vector, Vector]:
    """For logits z (..., K, S) and the largest margin m = max_k z_k − z_y: exp(z − z_y − m), and 0 for the label.

    Then exp(−m) for the label, the sum of the others, and m >= 0, all (..., S). Probabilities of the other classes keep
    their digits however close that of the label is to 1.
    """
    logits = _logits(reference, coef, rows)
    own = (..., labels, np.arange(len(rows)))
    logits -= logits[own][..., None, :]
    margin = logits.max(axis=-2)
    logits -= margin[..., None, :]
    weights = np.exp(logits, out=logits)
    weights[own] = 0.0
    return weights, np.exp(-margin), weights.sum(axis=-2), margin


def _values(reference: bool, coef: Vector, rows: Vector, labels: Labels) -> Vector:
    _, own, others, margin = _margins(reference, coef, rows, labels)
    return _value_of(own, others, margin)


def _gradients(reference: bool, coef: Vector, rows: Vector, labels: Labels) -> Vector:
    weights, own, others, _ = _margins(reference, coef, rows, labels)
    return _gradient_of(weights, own, others, rows, labels)[..., int(reference) :, :]


def _values_and_gradients(reference: bool, coef: Vector, rows: Vector, labels: Labels) -> Vector:
    """The value, then the gradient, in one row for each member of the batch."""
    weights, own, others, margin = _margins(reference, coef, rows, labels)
    value = _value_of(own, others, margin)
    gradient = _gradient_of(weights, own, others, rows, labels)[..., int(reference) :, :]
    return np.hstack([value[:, None], gradient.reshape(len(coef), -1)])


def _value_of(own: Vector, others: Vector, margin: Vector) -> Vector:
    return np.asarray(np.where(margin > 0, margin + np.log(own + others), np.log1p(others)).sum(axis=-1))


def _gradient_of(residuals: Vector, own: Vector, others: Vector, rows: Vector, labels: Labels) -> Vector:
    """From the weights of `_margins`, which become probabilities minus unit vectors."""
    total = own + others
    residuals /= total[..., None, :]
    residuals[..., labels, np.arange(len(rows))] = -others / total
    return np.asarray(residuals @ rows)


def _residual_sizes(reference: bool, coef: Vector, rows: Vector, labels: Labels) -> Vector:
    """Sums of ‖p_s − e_{y_s}‖ times ‖a_s‖ and times ‖a_s‖², (batch, 2); the norm of the first within a factor √2."""
    _, own, others, _ = _margins(reference, coef, rows, labels)
    squares = (rows**2).sum(axis=1)
    return np.asarray(np.sqrt(2.0) * (others / (own + others)) @ np.column_stack([np.sqrt(squares), squares]))


def _hessian_products(reference: bool, coef: Vector, dcoef: Vector, rows: Vector, labels: Labels) -> Vector:
    """For points (batch, 1, O, N) and directions (batch, k, O, N)."""
    weights, own, others, _ = _margins(reference, coef, rows, labels)
    at = (..., labels, np.arange(len(rows)))
    weights /= (own + others)[..., None, :]
    changes = _logits(reference, dcoef, rows)
    changes -= changes[at][..., None, :]
    mean = (weights * changes).sum(axis=-2)
    changes -= mean[..., None, :]
    changes *= weights
    changes[at] = -mean * (own / (own + others))
    return np.asarray((changes @ rows)[..., int(reference) :, :])


def _hits(reference: bool, coef: Vector, rows: Vector, labels: Labels) -> Vector:
    logits = _logits(reference, coef, rows)
    at = (..., labels, np.arange(len(rows)))
    best = logits[at]
    logits[at] = -np.inf
    hits = best > logits.max(axis=-2)
    return np.asarray(np.where(np.isfinite(best), hits, np.nan).sum(axis=-1))


def _square_of_rows(rows: Vector, labels: Labels) -> Vector:
    return np.asarray((rows**2).sum())


# -- helpers ----------------------------------------------------------------------------------------------------------


def _slices(n: int, step: int) -> Iterator[slice]:
    step = max(1, step)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _as_labels(labels: ArrayLike, n_samples: int, n_classes: int | None) -> tuple[Labels, int]:
    """Labels between 0 and K − 1, and K."""
    array = _as_integers(labels, n_samples)
    least, largest = int(array.min()), int(array.max())
    found = largest + 1 if n_classes is None else _validation.as_index(n_classes, "n_classes", minimum=2)
    if least < 0 or largest >= found:
        wanted = "count from 0" if n_classes is None else f"be between 0 and n_classes - 1 = {_format_int(found - 1)}"
        raise ValueError(f"`labels` must {wanted}, got {_format_int(least if least < 0 else largest)}")
    if least == largest:
        raise ValueError(f"`labels` must have at least two classes, got {largest} for every sample")
    present = {int(label) for label in np.unique(array)}
    if n_classes is None and len(present) < found:
        missing = next(label for label in range(found) if label not in present)
        raise ValueError(
            f"`labels` must have every class from 0 to {_format_int(largest)}, but none is {missing}; pass "
            f"n_classes={_format_int(found)} if classes without samples are meant"
        )
    return array.astype(np.int64), found


def _as_integers(labels: ArrayLike, n_samples: int) -> NDArray[Any]:
    """Labels as integers; tables often hold them as floats."""
    array = _validation._to_array(labels, "labels")
    _validation.check_shape(array, "labels", (("n_samples", n_samples),))
    if array.dtype.kind in "biu":
        return array
    for i, label in enumerate(array.tolist()):
        if not isinstance(label, Real):
            raise TypeError(f"`labels` must hold integers, got {_validation._describe(label)} at index {i}")
        if label % 1 != 0:  # also NaN and infinity
            raise ValueError(f"`labels` must hold integers, got {label} at index {i}")
    return np.array([int(label) for label in array.tolist()])
