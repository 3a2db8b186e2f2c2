# SPDX-License-Identifier: BSD-3-Clause
"""The polynomials of a program as functions of its parameters: values, coefficients, and their derivatives.

Legend for the shapes below: ``n_params`` parameters, ``n_inputs`` = n_vars variables, ``n_outputs`` outputs,
``n_monomials`` monomials in ``basis``, ``n_samples`` points; ``...`` is any number of batch axes over parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._exact import expand_exact
from ._validation import (
    COMPLEX128,
    FLOAT64,
    INT64_MAX,
    MAX_THREADS,
    UINT64,
    Array,
    Shape,
    _describe,
    _to_array,
    as_exact_array,
    as_flag,
    as_real_array,
    as_residues,
    check_modulus,
    check_out,
    check_samples_shape,
    check_size,
    check_threads,
)
from .monomials import count_monomials
from .network_polynomial import NetworkPolynomial
from .program import Program
from .support import MonomialSupport

__all__ = ["PolynomialMap"]

# Fewer values than this are not compared with the machine's memory.
_MANY_VALUES = 2**22
_EVALUATE_INSTEAD = "net.evaluate gives values at points without coefficients"


class PolynomialMap:
    """The polynomials of a program; `Network` is this with parameters that have names, and what is known of them.

    Parameters
    ----------
    program : Program
        The instructions, see `polycore.program`.

    Notes
    -----
    Arguments and attributes are those of `Network`, whose notes say what arrays, ``dtype``, ``modulus``, ``out`` and
    ``n_threads`` may be.
    """

    def __init__(self, program: Program) -> None:
        if not isinstance(program, Program):
            raise TypeError(f"`program` must be a polycore.Program, got {_describe(program)}")
        self.program = program
        self.n_inputs: int = program.n_inputs
        self.n_outputs: int = program.n_outputs
        self.n_params: int = program.n_params
        self.degree: int = program.degree
        self.basis = program.basis
        # What the fast paths compare with.
        self._theta_shape = (self.n_params,)

    @property
    def support(self) -> MonomialSupport:
        """The monomials that can occur in an output, whatever the parameters; found on first use.

        For generic parameters they all do, unless coefficients cancel identically. With ``support=True``, `expand`,
        `jvp`, `vjp` and `jacobian` speak of these alone and never hold the others: networks can be expanded whose
        basis would not fit any memory.

        Raises
        ------
        OverflowError, MemoryError
            If they are too many to be listed.

        Notes
        -----
        Found by running the program over sets of monomials; units that are equal up to the names of their variables,
        such as the positions of a convolution, are looked at once.

        Examples
        --------
        Four filters on 60 inputs: polynomials of degree 8.

        >>> from polycore import CNN
        >>> net = CNN((3, 3, 3, 3), activation=2, n_inputs=60)
        >>> net.basis.n_monomials, net.support.n_monomials
        (6522361560, 62325)
        >>> net.expand(net.random_params(), support=True).shape
        (52, 62325)
        """
        return self.program.support

    # --- values, coefficients, derivatives ----------------------------------------------------------------------------
    #
    # Each method opens with a fast path: one parameter vector that is exactly what the executor takes, and no options.
    # A small network is expanded in less than a microsecond, so the conditions are spelled out, without function calls.

    def evaluate(
        self,
        theta: ArrayLike,
        X: ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        modulus: int | None = None,
        out: Array | None = None,
        n_threads: int = 0,
    ) -> Array:
        """Values of the network at points.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
            Parameters.
        X : array_like, shape (n_samples, n_inputs)
            Points, one per row; the same for all members of a batch.
        dtype, modulus, out, n_threads
            See `Network`.

        Returns
        -------
        ndarray, shape (..., n_samples, n_outputs)

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong kind, shape or value; NaN and infinity are refused.
        NumericalError
            If a value overflows.

        Notes
        -----
        O(n_samples · n_params). The identity ``evaluate(theta, X) == veronese(X, net.basis) @ expand(theta).T`` holds
        up to rounding, and exactly in GF(p).

        Examples
        --------
        >>> from polycore import MLP
        >>> net = MLP((2, 2, 1), activation=2)
        >>> net.evaluate([1, 0, 0, 1, 3, -1], [[2, 1], [1, 2]])
        array([[11.],
               [-1.]])
        """
        if (
            type(theta) is np.ndarray
            and type(X) is np.ndarray
            and theta.shape == self._theta_shape
            and theta.dtype is FLOAT64
            and X.dtype is FLOAT64
            and theta.flags.carray
            and X.flags.carray
            and X.ndim == 2
            and X.shape[1] == self.n_inputs
            and len(X) * self.n_outputs < _MANY_VALUES
            and dtype is None
            and modulus is None
            and out is None
            and type(n_threads) is int
            and 0 <= n_threads <= MAX_THREADS
        ):
            return self._engine.evaluate(theta, X, n_threads=n_threads)  # type: ignore[no-any-return]
        ring = self._ring(dtype, modulus, theta, X)
        values = ring.convert(theta, "theta", self._theta_axes)
        points = ring.convert(X, "X", None)
        check_samples_shape(points, self.n_inputs, "X", "n_inputs")
        shape = (*values.shape[:-1], len(points), self.n_outputs)
        what, instead = "the values of the network", "evaluate fewer samples at a time"
        return self._call("evaluate", ring, (values, points), shape, out, n_threads, 0, what, instead)

    def evaluate_vjp(
        self,
        theta: ArrayLike,
        X: ArrayLike,
        dY: ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        modulus: int | None = None,
        out: Array | None = None,
        n_threads: int = 0,
    ) -> Array:
        """Gradients of the values at points, one row per point: that of ``dY[s] @ evaluate(theta, X)[s]`` in ``theta``.

        Complex arguments are not conjugated: this is the plain transpose of the derivative.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
            Parameters.
        X : array_like, shape (n_samples, n_inputs)
            Points, one per row; the same for all members of a batch.
        dY : array_like, shape (n_samples, n_outputs)
            Weights of the outputs at each point; the same for all members of a batch.
        dtype, modulus, out, n_threads
            See `Network`.

        Returns
        -------
        ndarray, shape (..., n_samples, n_params)

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong kind, shape or value; NaN and infinity are refused.
        OverflowError, MemoryError
            If the gradients would not fit, before anything is allocated.
        NumericalError
            If a result overflows.

        Notes
        -----
        One forward and one reverse sweep over numbers: O(n_samples · n_params), without coefficients, however large the
        degree. With v(x) the monomials of ``net.basis`` at x, the rows add up to
        ``vjp(theta, dY.T @ veronese(X, net.basis))``, up to rounding and exactly in GF(p); so at n_params random points
        with random weights they have the rank of the Jacobian, unless very unlucky.

        Examples
        --------
        The function is f(x) = 3 (x1 + 2 x2)^2:

        >>> from polycore import MLP
        >>> net = MLP((2, 1, 1), activation=2)
        >>> net.evaluate_vjp([1, 2, 3], [[1, 0], [1, 1]], [[1], [1]])
        array([[ 6.,  0.,  1.],
               [18., 18.,  9.]])
        """
        if (
            type(theta) is np.ndarray
            and type(X) is np.ndarray
            and type(dY) is np.ndarray
            and theta.shape == self._theta_shape
            and theta.dtype is FLOAT64
            and X.dtype is FLOAT64
            and dY.dtype is FLOAT64
            and theta.flags.carray
            and X.flags.carray
            and dY.flags.carray
            and X.ndim == 2
            and X.shape[1] == self.n_inputs
            and dY.shape == (len(X), self.n_outputs)
            and len(X) * self.n_params < _MANY_VALUES
            and dtype is None
            and modulus is None
            and out is None
            and type(n_threads) is int
            and 0 <= n_threads <= MAX_THREADS
        ):
            return self._engine.evaluate_vjp(theta, X, dY, n_threads=n_threads)  # type: ignore[no-any-return]
        ring = self._ring(dtype, modulus, theta, X, dY)
        values = ring.convert(theta, "theta", self._theta_axes)
        points = ring.convert(X, "X", None)
        check_samples_shape(points, self.n_inputs, "X", "n_inputs")
        weights = ring.convert(dY, "dY", (("n_samples", len(points)), ("n_outputs", self.n_outputs)))
        shape = (*values.shape[:-1], len(points), self.n_params)
        what, instead = "the gradients at the points", "take fewer samples at a time"
        return self._call("evaluate_vjp", ring, (values, points, weights), shape, out, n_threads, 0, what, instead)

    def expand(
        self,
        theta: ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        modulus: int | None = None,
        out: Array | None = None,
        n_threads: int = 0,
        support: bool = False,
    ) -> Array:
        """Coefficients of the polynomials that the network computes.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
            Parameters.
        dtype : dtype, optional
            float64, complex128, or object for exact rational arithmetic on integers and Fractions.
        modulus, out, n_threads, support
            See `Network`.

        Returns
        -------
        ndarray, shape (..., n_outputs, n_monomials)
            Plain monomial coefficients in the order of ``net.basis``. With ``dtype=object`` Python ints if all
            parameters and activation coefficients are integers, else Fractions.

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong kind, shape or value; NaN and infinity are refused.
        OverflowError, MemoryError
            If the coefficients would not fit, before anything is allocated.
        NumericalError
            If a coefficient overflows.

        Notes
        -----
        One graded product per factor of an activation and one small matrix product per layer, or, where that promises
        to be faster, sums of products of the coefficients that can be non-zero; exact results come from GF(p) for
        enough primes, their number proved by a bound on the height.

        Examples
        --------
        Weights [[1, 2], [3, 4]] and [5, 6] give 5 (x + 2y)^2 + 6 (3x + 4y)^2:

        >>> from polycore import MLP
        >>> net = MLP((2, 2, 1), activation=2)
        >>> net.expand([1, 2, 3, 4, 5, 6])
        array([[ 59., 164., 116.]])
        >>> net.expand([-1, 2, 3, 4, 5, 6], modulus=7)
        array([[3, 5, 4]], dtype=uint64)
        >>> from fractions import Fraction
        >>> net.expand([Fraction(1, 3), 0, 0, 1, 2, 1], dtype=object)
        array([[Fraction(2, 9), Fraction(0, 1), Fraction(1, 1)]], dtype=object)
        """
        if (
            type(theta) is np.ndarray
            and theta.shape == self._theta_shape
            and theta.dtype is FLOAT64
            and theta.flags.carray
            and dtype is None
            and modulus is None
            and out is None
            and type(n_threads) is int
            and n_threads == 0
            and support is False
        ):
            return self._expand_one(theta)  # type: ignore[no-any-return]
        ring = self._ring(dtype, modulus, theta)
        values = ring.convert(theta, "theta", self._theta_axes)
        n_monomials, workspace = self._n_coefficients(support)
        shape = (*values.shape[:-1], self.n_outputs, n_monomials)
        what = "the coefficients"
        return self._call("expand", ring, (values,), shape, out, n_threads, workspace, what, _EVALUATE_INSTEAD, support)

    def jacobian(
        self,
        theta: ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        modulus: int | None = None,
        out: Array | None = None,
        n_threads: int = 0,
        support: bool = False,
    ) -> Array:
        """Jacobian matrix of the coefficients with respect to the parameters.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
            Parameters.
        dtype, modulus, out, n_threads, support
            See `Network`.

        Returns
        -------
        ndarray, shape (..., n_outputs * n_monomials, n_params)
            Rows output-major: row ``o * n_monomials + i`` belongs to coefficient i of output o.

        Raises
        ------
        TypeError, ValueError, OverflowError, MemoryError, NumericalError
            As `expand`.

        Notes
        -----
        Its rank at a generic point is the dimension of the neuromanifold. One reverse sweep of polynomials per output,
        then one product with a layer's inputs per parameter; not n_params tangent sweeps.

        Examples
        --------
        >>> from polycore import MLP
        >>> net = MLP((2, 1, 1), activation=2)
        >>> net.jacobian([1, 2, 3])
        array([[ 6.,  0.,  1.],
               [12.,  6.,  4.],
               [ 0., 12.,  4.]])
        """
        if (
            type(theta) is np.ndarray
            and theta.shape == self._theta_shape
            and theta.dtype is FLOAT64
            and theta.flags.carray
            and dtype is None
            and modulus is None
            and out is None
            and type(n_threads) is int
            and n_threads == 0
            and support is False
        ):
            return self._jacobian_one(theta)  # type: ignore[no-any-return]
        ring = self._ring(dtype, modulus, theta)
        values = ring.convert(theta, "theta", self._theta_axes)
        n_monomials, workspace = self._n_coefficients(support)
        shape = (*values.shape[:-1], self.n_outputs * n_monomials, self.n_params)
        what, instead = "the Jacobian", "net.jvp and net.vjp apply it without forming it"
        return self._call("jacobian", ring, (values,), shape, out, n_threads, workspace, what, instead, support)

    def jvp(
        self,
        theta: ArrayLike,
        dtheta: ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        modulus: int | None = None,
        out: Array | None = None,
        n_threads: int = 0,
        support: bool = False,
    ) -> Array:
        """Jacobian times a vector: the derivative of the coefficients in the direction ``dtheta``.

        Parameters
        ----------
        theta, dtheta : array_like, shape (..., n_params)
            Parameters and direction; their batch axes are broadcast.
        dtype, modulus, out, n_threads, support
            See `Network`.

        Returns
        -------
        ndarray, shape (..., n_outputs, n_monomials)

        Raises
        ------
        TypeError, ValueError, OverflowError, MemoryError, NumericalError
            As `expand`.

        Examples
        --------
        >>> from polycore import MLP
        >>> net = MLP((2, 1, 1), activation=2)
        >>> net.jvp([1, 2, 3], [0, 0, 1])
        array([[1., 4., 4.]])
        """
        ring = self._ring(dtype, modulus, theta, dtheta)
        values = ring.convert(theta, "theta", self._theta_axes)
        direction = ring.convert(dtheta, "dtheta", self._theta_axes)
        values, direction = _broadcast(values, direction, 1, "dtheta")
        n_monomials, workspace = self._n_coefficients(support)
        shape = (*values.shape[:-1], self.n_outputs, n_monomials)
        what, arguments = "the coefficients", (values, direction)
        return self._call(
            "jvp", ring, arguments, shape, out, n_threads, 2 * workspace, what, _EVALUATE_INSTEAD, support
        )

    def vjp(
        self,
        theta: ArrayLike,
        dcoef: ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        modulus: int | None = None,
        out: Array | None = None,
        n_threads: int = 0,
        support: bool = False,
    ) -> Array:
        """Transposed Jacobian times a vector: the gradient of ``sum(dcoef * expand(theta))`` in ``theta``.

        Complex arguments are not conjugated: this is the plain transpose.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
            Parameters.
        dcoef : array_like, shape (..., n_outputs, n_monomials)
            Weights of the coefficients; the batch axes of both are broadcast.
        dtype, modulus, out, n_threads, support
            See `Network`.

        Returns
        -------
        ndarray, shape (..., n_params)

        Raises
        ------
        TypeError, ValueError, OverflowError, MemoryError, NumericalError
            As `expand`.

        Notes
        -----
        About the cost of three expansions, whatever n_params.

        Examples
        --------
        >>> from polycore import MLP
        >>> net = MLP((2, 1, 1), activation=2)
        >>> net.vjp([1, 2, 3], [[1, 0, 0]])
        array([6., 0., 1.])
        """
        if (
            type(theta) is np.ndarray
            and type(dcoef) is np.ndarray
            and theta.shape == self._theta_shape
            and dcoef.shape == self._coef_shape
            and theta.dtype is FLOAT64
            and dcoef.dtype is FLOAT64
            and theta.flags.carray
            and dcoef.flags.carray
            and dtype is None
            and modulus is None
            and out is None
            and type(n_threads) is int
            and n_threads == 0
            and support is False
        ):
            return self._vjp_one(theta, dcoef)  # type: ignore[no-any-return]
        ring = self._ring(dtype, modulus, theta, dcoef)
        values = ring.convert(theta, "theta", self._theta_axes)
        n_monomials, workspace = self._n_coefficients(support)
        # Before the shape of dcoef, which may be beyond what can exist.
        check_size(workspace, ring.itemsize, "the coefficients", _EVALUATE_INSTEAD)
        axes: Shape = (..., ("n_outputs", self.n_outputs), ("n_monomials", n_monomials))
        weights = ring.convert(dcoef, "dcoef", axes)
        values, weights = _broadcast(values, weights, 2, "dcoef")
        what, arguments = "the gradient", (values, weights)
        return self._call(
            "vjp", ring, arguments, values.shape, out, n_threads, 2 * workspace, what, _EVALUATE_INSTEAD, support
        )

    def polynomial(self, theta: ArrayLike, symbols: Sequence[str] | None = None) -> NetworkPolynomial:
        """The polynomials that the network computes, to be looked at.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters. Integers and Fractions are expanded exactly.
        symbols : sequence of n_inputs str, optional
            Names of the variables; x1, x2, ... by default.

        Returns
        -------
        NetworkPolynomial
            Prints as text, and as LaTeX in a notebook; long polynomials are abbreviated.

        Raises
        ------
        TypeError, ValueError, OverflowError, MemoryError, NumericalError
            As `expand`.

        Examples
        --------
        >>> from polycore import MLP
        >>> MLP((2, 2, 1), activation=2).polynomial([1, 2, 3, 4, 5, 6], symbols=("x", "y"))
        f = 59*x^2 + 164*x*y + 116*y^2
        """
        ring = _EXACT if _to_array(theta, "theta").dtype.kind in "iuO" else self._ring(None, None, theta)
        values = ring.convert(theta, "theta", (("n_params", self.n_params),))
        coef = self.expand(values, dtype=ring.dtype)
        return NetworkPolynomial(coef, self.basis, cast("tuple[str, ...] | None", symbols))

    # --- the way to the executor --------------------------------------------------------------------------------------

    @cached_property
    def _engine(self) -> Any:
        self.program.require_concrete()
        return self.program.engine

    @cached_property
    def _expand_one(self) -> Any:
        """The executor's expand, once it is known that one parameter vector can be expanded."""
        self._check_workspace(8)
        return self._engine.expand

    @cached_property
    def _jacobian_one(self) -> Any:
        n_items = self._n_rows * self.n_params + self._workspace
        check_size(n_items, 8, "the Jacobian", "net.jvp and net.vjp apply it without forming it")
        return self._engine.jacobian

    @cached_property
    def _vjp_one(self) -> Any:
        self._check_workspace(16)
        return self._engine.vjp

    @cached_property
    def _coef_shape(self) -> tuple[int, int]:
        return (self.n_outputs, self.basis.n_monomials)

    @cached_property
    def _theta_axes(self) -> Shape:
        return (..., ("n_params", self.n_params))

    @property
    def _n_rows(self) -> int:
        return self.n_outputs * self.basis.n_monomials

    @cached_property
    def _workspace(self) -> int:
        """Numbers held while one parameter vector is expanded: the polynomials of all slots."""
        program = self.program
        longest = count_monomials(self.basis.form_vars, max(program.degrees), True)
        if longest > INT64_MAX:
            return longest  # too long already, and counting the others of very deep networks takes seconds
        lengths = {degree: count_monomials(self.basis.form_vars, degree, True) for degree in set(program.degrees)}
        return sum(width * lengths[degree] for width, degree in zip(program.widths, program.degrees))

    def _n_coefficients(self, support: bool) -> tuple[int, int]:
        """Coefficients of an output, and numbers held while one parameter vector is expanded."""
        if not as_flag(support, "support"):
            return self.basis.n_monomials, self._workspace
        n_monomials = len(self.support)
        # Circuits hold some numbers for each coefficient, dense forms those of the whole basis.
        return n_monomials, 0 if getattr(self._engine, "uses_circuit", True) else self._workspace

    def _check_workspace(self, itemsize: int) -> None:
        check_size(self._workspace, itemsize, "the coefficients", _EVALUATE_INSTEAD)

    def _ring(self, dtype: DTypeLike | None, modulus: int | None, *arguments: object) -> _Ring:
        """Where to compute: from ``dtype`` and ``modulus``, and whether an argument is complex."""
        self.program.require_concrete()
        if modulus is not None:
            p = check_modulus(modulus)
            if dtype is not None and _as_dtype(dtype) != UINT64:
                raise TypeError(f"`dtype` must be None or uint64 with `modulus`, got {dtype!r}")
            return _Ring(UINT64, p, self.program.constants(p))
        if dtype is None:
            return _COMPLEX if any(map(_is_complex, arguments)) else _REAL
        for ring in (_REAL, _COMPLEX, _EXACT):
            if _as_dtype(dtype) == ring.dtype:
                return ring
        raise TypeError(f"`dtype` must be None, float64, complex128 or object, got {dtype!r}")

    def _call(
        self,
        method: str,
        ring: _Ring,
        arguments: tuple[Array, ...],
        shape: tuple[int, ...],
        out: Array | None,
        n_threads: int,
        workspace: int,
        what: str,
        instead: str,
        support: bool = False,
    ) -> Array:
        """Run one method of the executor on checked arguments, after the last checks: sizes, ``out``, ``n_threads``."""
        n_threads = check_threads(n_threads)
        check_size((0 if out is not None else math.prod(shape)) + workspace, ring.itemsize, what, instead)
        if out is not None:
            check_out(out, shape, ring.dtype, inputs=arguments)
        options: dict[str, Any] = {"support": True} if support else {}
        run: Callable[..., Array]
        if ring is _EXACT:
            if method == "expand":
                return self._expand_exact(arguments[0], shape, out, n_threads, options)
            run = getattr(self.program.reference, method)
            return run(*arguments, out=out, **options)
        run = getattr(self._engine, method)
        if ring.modulus:
            options |= {"modulus": ring.modulus, "constants": ring.constants}
        return run(*arguments, out=out, n_threads=n_threads, **options)

    def _expand_exact(
        self, theta: Array, shape: tuple[int, ...], out: Array | None, n_threads: int, options: dict[str, Any]
    ) -> Array:
        batch = theta.reshape(math.prod(shape[:-2]), self.n_params)

        def expand_modulo(p: int) -> Array:
            residues, constants = as_residues(batch, p, "theta"), self.program.constants(p)
            return run(residues, modulus=p, constants=constants, n_threads=n_threads, **options)

        run: Callable[..., Array] = self._engine.expand
        coef = expand_exact(self.program, batch, expand_modulo).reshape(shape)
        if out is None:
            return coef
        out[...] = coef
        return out


# --- rings ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Ring:
    """Where a method computes: a dtype, and for GF(p) the modulus and the residues of the activation coefficients."""

    dtype: np.dtype[Any]
    modulus: int = 0
    constants: NDArray[np.uint64] | None = None

    @property
    def itemsize(self) -> int:
        # A Python int of moderate size takes some 36 bytes beside its pointer.
        return 48 if self.dtype == object else self.dtype.itemsize

    def convert(self, value: object, name: str, shape: Shape | None) -> Array:
        """``value`` as an array of this ring; the executor checks that floats are finite."""
        if self.modulus:
            return as_residues(value, self.modulus, name, shape)
        if self.dtype == object:
            return as_exact_array(value, name, shape).astype(object)
        return as_real_array(value, name, shape=shape, dtype=self.dtype, finite=False)


_REAL = _Ring(FLOAT64)
_COMPLEX = _Ring(COMPLEX128)
_EXACT = _Ring(np.dtype(object))


def _as_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        return np.dtype(dtype)
    except Exception:  # what is not a dtype raises TypeError, ValueError, even SyntaxError
        raise TypeError(f"`dtype` must be None, float64, complex128 or object, got {dtype!r}") from None


def _is_complex(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return bool(value.dtype.kind == "c")
    try:
        return np.asarray(value).dtype.kind == "c"
    except (ValueError, TypeError, OverflowError, RuntimeError):
        return False  # not an array: said clearly where it is converted


# --- batches ----------------------------------------------------------------------------------------------------------


def _broadcast(theta: Array, other: Array, other_axes: int, name: str) -> tuple[Array, Array]:
    """Both arrays with the same batch axes."""
    if theta.shape[:-1] == other.shape[: other.ndim - other_axes]:
        return theta, other
    tail = other.shape[other.ndim - other_axes :]
    batch = common_batch({"theta": theta.shape[:-1], name: other.shape[: other.ndim - other_axes]})
    return (
        np.ascontiguousarray(np.broadcast_to(theta, batch + theta.shape[-1:])),
        np.ascontiguousarray(np.broadcast_to(other, batch + tail)),
    )


def common_batch(batches: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*batches.values())
    except ValueError:
        words = ", ".join(f"`{name}` {batch}" for name, batch in batches.items())
        raise ValueError(f"the batch axes must broadcast together, got {words}") from None
