# SPDX-License-Identifier: BSD-3-Clause
"""A loss on coefficients composed with a network: value, gradient and second derivatives in the parameters.

Legend: ``O = n_outputs``, ``N = n_monomials``, coefficients c = μ(θ) of shape (..., O, N), parameters θ (..., P =
n_params), J (O·N, P) the Jacobian of θ ↦ c, H_c the Hessian of the loss in c.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _validation
from ._quadratic import DenseMetric, JointMetric, OperatorMetric, as_scalar, checked, symmetric
from .errors import NumericalError
from .monomials import MonomialBasis
from .support import MonomialSupport

if TYPE_CHECKING:
    from .networks import Network

__all__ = ["CoefficientLoss", "NetworkLoss"]

Vector = NDArray[np.float64]

# Jacobians and directions are made for about this many numbers at a time.
_BLOCK_ENTRIES = 2**21
_QUADRATIC = (DenseMetric, JointMetric, OperatorMetric)
_PROTOCOL = ("basis", "n_outputs", "n_monomials", "constant", "value", "gradient", "hessian_product")


class CoefficientLoss(Protocol):
    """What a loss on coefficients has to offer to be composed with a network, as `QDistance` and `CrossEntropy` do.

    A class of your own with the attributes below, and the methods `value`, `gradient` and `hessian_product`, is one:
    there is nothing to inherit from. It has to be twice differentiable and batched over leading axes.

    Attributes
    ----------
    basis : MonomialBasis, MonomialSupport or None
        The N monomials; None for a loss that takes whatever coefficients have the right shape.
    n_outputs, n_monomials : int
        O and N.
    constant : float
        Added to `value` where a total is reported; 0 if there is nothing to add.

    Notes
    -----
    Three more are used where they are there: ``value_and_gradient(coef)``, both at once; ``lower_bound`` (float), which
    `value` never goes below, as far as that is proved (by default −∞); and ``gradient_scale(coef)``, of shape (...),
    the size that rounding errors of `gradient` are to be measured against (by default ‖gradient‖ + ‖H_c c‖).

    Examples
    --------
    >>> import polycore as pc
    >>> class Quartic:
    ...     basis, n_outputs, n_monomials, constant = None, 1, 3, 0.0
    ...     def value(self, coef):
    ...         return (coef**4).sum(axis=(-2, -1))
    ...     def gradient(self, coef):
    ...         return 4 * coef**3
    ...     def hessian_product(self, coef, dcoef):
    ...         return 12 * coef**2 * dcoef
    >>> pc.NetworkLoss(Quartic(), pc.MLP((2, 1, 1), activation=2)).hessian([1.0, 0.0, 2.0]).round(12)
    array([[896.,   0., 256.],
           [  0.,   0.,   0.],
           [256.,   0.,  48.]])
    """

    @property
    def basis(self) -> MonomialBasis | MonomialSupport | None:
        """The monomials."""

    @property
    def n_outputs(self) -> int:
        """O."""

    @property
    def n_monomials(self) -> int:
        """N."""

    @property
    def constant(self) -> float:
        """What is added to a value to report it."""

    def value(self, coef: Any) -> Any:
        """The loss at coefficients.

        Parameters
        ----------
        coef : ndarray, shape (..., n_outputs, n_monomials)

        Returns
        -------
        float, or ndarray of shape (...)
        """

    def gradient(self, coef: Any) -> Any:
        """Gradient of `value`.

        Parameters
        ----------
        coef : ndarray, shape (..., n_outputs, n_monomials)

        Returns
        -------
        ndarray, shape (..., n_outputs, n_monomials)
        """

    def hessian_product(self, coef: Any, dcoef: Any) -> Any:
        """Derivative of `gradient` along a direction, the Hessian H_c times ``dcoef``.

        Parameters
        ----------
        coef, dcoef : ndarray, shape (..., n_outputs, n_monomials)
            Points and directions, of equal shape.

        Returns
        -------
        ndarray, shape (..., n_outputs, n_monomials)
        """


class NetworkLoss:
    """The loss of a network as a function of its parameters, θ ↦ ℓ(μ(θ)); the samples are no longer needed.

    Made by ``loss.compose(net)``, or ``NetworkLoss(loss, net)`` for a loss of your own. Every method takes θ of shape
    (..., n_params) and is batched over the leading axes. For a `QDistance` the value is ‖μ(θ) − t‖²_Q: add
    ``constant`` to get the sum of squared errors on the samples.

    Parameters
    ----------
    loss : QDistance, CrossEntropy, or another `CoefficientLoss`
    net : Network
        With the number of outputs of the loss, and its basis, or its support where the loss is on one. A loss without
        a basis goes with every network whose sizes fit: N has to be the number of monomials of ``net.basis``, or else
        of ``net.support``.

    Attributes
    ----------
    loss : QDistance, CrossEntropy, or another `CoefficientLoss`
    net : Network
    n_params : int
    constant : float
        That of the loss.
    lower_bound : float
        `value` never goes below it, as far as the loss says so; −∞ if it does not.
    on_support : bool
        Whether coefficients are those on ``net.support``, not on ``net.basis``.

    Raises
    ------
    TypeError
        If ``net`` is not a network, or ``loss`` lacks what a loss has to offer.
    ValueError
        If the basis of the loss is neither ``net.basis`` nor ``net.support``, its sizes are not those of the network,
        or it is a restriction.

    Notes
    -----
    With J the Jacobian of θ ↦ c: gradient = Jᵀ∇ℓ(c), by one reverse sweep; Gauss–Newton = JᵀH_cJ; the Hessian adds the
    second derivatives of c, by the tangent of the reverse sweep. For a `QDistance`, ∇ℓ(c) = 2Q(c − t) and H_c = 2Q. On
    a support, c, J and the sweeps have its monomials only. With one dense Q for all outputs, values are (c − t)ᵀQ(c −
    t), with a rounding error of order ε ‖Q‖ ‖c − t‖²: where Q is ill-conditioned, ``loss.value(net.expand(theta))``,
    which goes through a factor of Q, is more accurate.

    Examples
    --------
    >>> import polycore as pc
    >>> net = pc.MLP((2, 2, 1), activation=2)
    >>> obj = pc.QDistance.from_metric("bombieri_weyl", [1.0, 0.0, -1.0], net.basis).compose(net)
    >>> obj.value([1.0, 0.0, 0.0, 1.0, 1.0, 0.0]), obj.gradient([1.0, 0.0, 0.0, 1.0, 1.0, 0.0])
    (1.0, array([0., 0., 0., 0., 0., 2.]))
    """

    def __init__(self, loss: CoefficientLoss, net: Network) -> None:
        _check_loss(loss)
        program = getattr(net, "program", None)
        if program is None or not isinstance(getattr(net, "basis", None), MonomialBasis):
            raise TypeError(f"`net` must be a polycore network, got {type(net).__name__}")
        if getattr(loss, "restricted", False):
            raise ValueError("`net` cannot be composed with a restricted loss; compose the loss it was restricted from")
        self._on_support = _is_on_support(loss, net)
        self.loss = loss
        self.net = net
        program.require_concrete()
        self.n_params = int(net.n_params)
        self._engine = program.engine
        self._theta_shape = (self.n_params,)
        self._coef_shape = (loss.n_outputs, loss.n_monomials)
        metric = getattr(loss, "_metric", None)
        self._calls: _Calls = metric if isinstance(metric, _QUADRATIC) else _CheckedCalls(loss)
        # The core has one kernel for value and gradient, which takes one dense Q for all outputs.
        dense = metric if isinstance(metric, DenseMetric) else None
        self._gram = None if dense is None else dense.gram
        self._target = None if dense is None else dense.target
        self._loss_gradient = self._engine.loss_gradient
        if self._on_support:
            self._loss_gradient = partial(self._engine.loss_gradient, support=True)

    @property
    def constant(self) -> float:
        """``value(theta) + constant`` is what to report: the sum of squared errors on the samples for a QDistance."""
        return float(self.loss.constant)

    @property
    def on_support(self) -> bool:
        """Whether coefficients are those on ``net.support``, as ``net.expand(theta, support=True)`` has them."""
        return self._on_support

    @property
    def lower_bound(self) -> float:
        """`value` never goes below it, as far as the loss says so; −∞ if it does not."""
        return float(getattr(self.loss, "lower_bound", -np.inf))

    def __reduce__(self) -> tuple[Any, ...]:
        return NetworkLoss, (self.loss, self.net)  # the compiled program is made again

    def __repr__(self) -> str:
        return f"NetworkLoss({self.net!r}, {self.loss!r})"

    def value(self, theta: ArrayLike, n_threads: int = 0) -> Any:
        """The loss of the network's coefficients, without ``constant``: for a QDistance, the distance to the target.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
        n_threads : int
            0 means the default. The result does not depend on it.

        Returns
        -------
        float, or ndarray of shape (...)
            Never negative for a QDistance.

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value_and_gradient`.
        """
        return self.value_and_gradient(theta, n_threads)[0]

    def gradient(self, theta: ArrayLike, n_threads: int = 0) -> Vector:
        """Gradient of `value` in θ, Jᵀ∇ℓ(c); for a QDistance, Jᵀ·2Q(c − t).

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
            Never negative for a QDistance.
        gradient : ndarray, shape (..., n_params)

        Raises
        ------
        TypeError, ValueError
            If theta is not an array of finite real numbers of this shape, or a loss of your own returns something of
            the wrong kind or shape.
        NumericalError
            If a result overflows, or a loss of your own returns NaN or infinity.
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
            return as_scalar(np.maximum(value, 0.0)), gradient
        coef = self._expand(points, n_threads)
        with np.errstate(over="ignore", invalid="ignore"):
            value, dcoef = map(checked, self._calls.value_and_gradient(coef))
        gradient = self._engine.vjp(points, np.ascontiguousarray(dcoef), None, 0, None, n_threads, self._on_support)
        return value, gradient

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
        flat = points.reshape(math.prod(points.shape[:-1]), self.n_params)
        result = self._new_matrices(len(flat))
        for batch, directions in self._blocks(len(flat)):
            at = flat[batch]
            shape = (len(at), directions.stop - directions.start, self.n_params)
            along = np.broadcast_to(np.eye(self.n_params)[directions], shape)
            result[batch, directions] = self._hessian_product(at[:, None], along, n_threads)
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
        return self._hessian_product(points, np.broadcast_to(along, shape), n_threads)

    def gauss_newton(self, theta: ArrayLike, n_threads: int = 0) -> Vector:
        """The Gauss–Newton matrix JᵀH_cJ, the Hessian without the second derivatives of the coefficients.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
        n_threads : int
            0 means the default. The result does not depend on it.

        Returns
        -------
        ndarray, shape (..., n_params, n_params)
            Symmetric bit for bit; positive semidefinite if the loss is convex. For a QDistance, 2JᵀQJ, where J
            (n_outputs · N, n_params) is the Jacobian of θ ↦ c, and Q acts on each output, or on all if it is joint.

        Raises
        ------
        TypeError, ValueError, NumericalError, MemoryError, OverflowError
            As `hessian`.
        """
        points, n_threads = self._as_theta(theta), _validation.check_threads(n_threads)
        flat = points.reshape(math.prod(points.shape[:-1]), self.n_params)
        result = self._new_matrices(len(flat))
        _validation.check_size(
            self._n_coef * self.n_params, 8, "the Jacobian", "use hessian_product, which never forms it"
        )
        step = max(1, _BLOCK_ENTRIES // max(1, self._n_coef * self.n_params))
        for start in range(0, len(flat) if self.n_params else 0, step):
            at = np.ascontiguousarray(flat[start : start + step])
            jacobian = self._engine.jacobian(at, None, 0, None, n_threads, self._on_support)
            rows = jacobian.reshape(len(at), *self._coef_shape, self.n_params)
            with np.errstate(over="ignore", invalid="ignore"):
                result[start : start + step] = self._calls.pull_back(self._expand(at, n_threads), rows)
        return self._as_result(result, points)

    def gradient_scale(self, theta: ArrayLike, n_threads: int = 0) -> Any:
        """The size that rounding errors of `gradient` are measured against: a gradient of ε times this is zero.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
        n_threads : int
            0 means the default. The result does not depend on it.

        Returns
        -------
        float, or ndarray of shape (...)
            ``loss.gradient_scale(c)`` · ‖J‖_F; for a QDistance (‖Q‖ ‖c‖ + ‖Qt‖) ‖J‖_F with the spectral norm of Q. It
            is zero only where J is, or c and Qt are, and there the gradient is exactly zero.

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value_and_gradient`.

        Notes
        -----
        The Jacobian is made a few columns at a time where it is large, so memory stays bounded.
        """
        points, n_threads = self._as_theta(theta), _validation.check_threads(n_threads)
        flat = points.reshape(math.prod(points.shape[:-1]), self.n_params)
        squares = np.zeros(len(flat))
        coef = self._expand(np.ascontiguousarray(flat), n_threads)
        with np.errstate(over="ignore", invalid="ignore"):
            for batch, directions in self._blocks(len(flat)):
                squares[batch] += self._squared_columns(flat[batch], directions, n_threads)
            scale = self._calls.gradient_scale(coef) * np.sqrt(squares)
            return checked(np.asarray(scale).reshape(points.shape[:-1]))

    def _squared_columns(self, theta: Vector, directions: slice, n_threads: int) -> Vector:
        """Sum of squares of these columns of each Jacobian; all at once where they are all."""
        if directions == slice(0, self.n_params):
            jacobian = self._engine.jacobian(np.ascontiguousarray(theta), None, 0, None, n_threads, self._on_support)
            return np.asarray((jacobian**2).sum(axis=(-2, -1)))
        shape = (len(theta), directions.stop - directions.start, self.n_params)
        along = np.ascontiguousarray(np.broadcast_to(np.eye(self.n_params)[directions], shape))
        at = np.ascontiguousarray(np.broadcast_to(theta[:, None], shape))
        tangent = self._engine.jvp(at, along, None, 0, None, n_threads, self._on_support)
        return np.asarray((tangent**2).sum(axis=(-3, -2, -1)))

    def _hessian_product(self, theta: Vector, v: Vector, n_threads: int) -> Vector:
        """Tangent of θ ↦ vjp(θ, ∇ℓ(μ(θ))) along v; the parameters broadcast to the shape of v."""
        coef = self._expand(np.ascontiguousarray(theta), n_threads)
        theta, v = np.ascontiguousarray(np.broadcast_to(theta, v.shape)), np.ascontiguousarray(v)
        tangent = self._engine.jvp(theta, v, None, 0, None, n_threads, self._on_support)
        with np.errstate(over="ignore", invalid="ignore"):
            dcoef = np.ascontiguousarray(np.broadcast_to(checked(self._calls.gradient(coef)), tangent.shape))
            ddcoef = np.ascontiguousarray(checked(self._calls.hessian_product(coef, tangent)))
        product: Vector = self._engine.vjp_tangent(theta, v, dcoef, ddcoef, None, n_threads, self._on_support)
        return product

    def _as_result(self, matrices: Vector, points: Vector) -> Vector:
        """Symmetric bit for bit, finite, with the batch axes of the parameters."""
        with np.errstate(over="ignore", invalid="ignore"):
            result: Vector = checked(symmetric(matrices))
        return result.reshape(*points.shape, self.n_params)

    @property
    def _n_coef(self) -> int:
        return self._coef_shape[0] * self._coef_shape[1]

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
        n_directions = max(1, min(self.n_params, _BLOCK_ENTRIES // n_coef))
        n_batch = max(1, _BLOCK_ENTRIES // (n_coef * n_directions))
        return [
            (slice(i, min(i + n_batch, batch)), slice(j, min(j + n_directions, self.n_params)))
            for i in range(0, batch, n_batch)
            for j in range(0, self.n_params, n_directions)
        ]


# -- what a loss is asked for -----------------------------------------------------------------------------------------


class _Calls(Protocol):
    """What is asked of a loss: coefficients (..., O, N) are contiguous, those of one point broadcast to directions."""

    def value_and_gradient(self, coef: Vector) -> tuple[Vector, Vector]: ...
    def gradient(self, coef: Vector) -> Vector: ...
    def hessian_product(self, coef: Vector, dcoef: Vector) -> Vector: ...
    def pull_back(self, coef: Vector, jacobian: Vector) -> Vector: ...
    def gradient_scale(self, coef: Vector) -> Vector: ...


class _CheckedCalls:
    """A loss of someone else's, what it returns checked."""

    def __init__(self, loss: CoefficientLoss) -> None:
        self._loss = loss

    def value_and_gradient(self, coef: Vector) -> tuple[Vector, Vector]:
        own = getattr(self._loss, "value_and_gradient", None)
        value, gradient = (self._loss.value(coef), self._loss.gradient(coef)) if own is None else own(coef)
        return (
            self._returned("value(coef)", value, coef.shape[:-2]),
            self._returned("gradient(coef)", gradient, coef.shape),
        )

    def gradient(self, coef: Vector) -> Vector:
        return self._returned("gradient(coef)", self._loss.gradient(coef), coef.shape)

    def hessian_product(self, coef: Vector, dcoef: Vector) -> Vector:
        if not getattr(self._loss, "_broadcasts", False):
            coef = np.broadcast_to(coef, dcoef.shape)
        return self._returned("hessian_product(coef, dcoef)", self._loss.hessian_product(coef, dcoef), dcoef.shape)

    def pull_back(self, coef: Vector, jacobian: Vector) -> Vector:
        columns = np.ascontiguousarray(jacobian.transpose(0, 3, 1, 2))  # (batch, P, O, N)
        images = self.hessian_product(coef[:, None], columns)
        left, right = (part.reshape(*columns.shape[:2], -1) for part in (columns, images))
        return np.asarray(left @ right.swapaxes(-1, -2))

    def gradient_scale(self, coef: Vector) -> Vector:
        own = getattr(self._loss, "gradient_scale", None)
        if own is not None:
            return self._returned("gradient_scale(coef)", own(coef), coef.shape[:-2])
        # For a QDistance this is at least 2‖Qt‖ and at least 2‖Qc‖, and never more than six times their sum.
        parts = self.gradient(coef), self.hessian_product(coef, coef)
        return np.asarray(sum(np.sqrt((part**2).sum(axis=(-2, -1))) for part in parts))

    def _returned(self, call: str, result: object, shape: tuple[int, ...]) -> Vector:
        array = _validation.as_real_array(result, f"loss.{call}", finite=False)
        if array.shape != shape:
            raise ValueError(f"`loss.{call}` must return shape {shape} like its argument, got {array.shape}")
        if not _validation.all_finite(array):
            raise NumericalError(f"`loss.{call}` returned NaN or infinity")
        return array


def _check_loss(loss: object) -> None:
    missing = [name for name in _PROTOCOL if not hasattr(loss, name)]
    if missing or isinstance(loss, type):
        what = f"without {', '.join(missing)}" if missing else "the class itself"
        raise TypeError(
            f"`loss` must be a QDistance, a CrossEntropy, or have all that pc.CoefficientLoss lists; "
            f"got {loss.__name__ if isinstance(loss, type) else type(loss).__name__}, {what}"
        )
    for name in ("n_outputs", "n_monomials"):
        _validation.as_index(getattr(loss, name), f"loss.{name}", minimum=0)


def _is_on_support(loss: CoefficientLoss, net: Network) -> bool:
    """Whether the coefficients of the loss are those on ``net.support``; ValueError if they are not the network's."""
    basis = loss.basis
    n = loss.n_monomials
    if net.n_outputs == loss.n_outputs and (basis is None or basis.n_monomials == n):
        if basis == net.basis or (basis is None and n == net.basis.n_monomials):
            return False
        on_support = isinstance(basis, MonomialSupport) and basis.basis == net.basis and basis == net.support
        if on_support or (basis is None and n == len(net.support)):
            return True
    wanted = f"{n} monomials" if basis is None or basis.n_monomials != n else repr(basis)
    raise ValueError(
        f"`net` must have the basis and outputs of the loss, {wanted} and n_outputs={loss.n_outputs}; got "
        f"{net.basis} and n_outputs={net.n_outputs}: make the loss on net.basis or on net.support"
    )
