# SPDX-License-Identifier: BSD-3-Clause
"""Networks with polynomial activations, seen as the polynomials they are.

`Network` is everything that needs only a program; a family such as `MLP` says how a program is written from a few
words.

Source: J. Kileel, M. Trager, J. Bruna, *On the expressive power of deep polynomial neural networks*, NeurIPS 2019,
arXiv:1905.12207, for the map from parameters to coefficients and its image.

Legend for the shapes below: ``n_params`` parameters, ``n_inputs`` = n_vars variables, ``n_outputs`` outputs,
``n_monomials`` monomials in ``basis``, ``n_samples`` points; ``...`` is any number of batch axes over parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._exact import expand_exact
from ._validation import (
    COMPLEX128,
    FLOAT64,
    INT32_MAX,
    INT64_MAX,
    MAX_THREADS,
    UINT64,
    Array,
    Shape,
    _describe,
    _to_array,
    as_exact_array,
    as_flag,
    as_index,
    as_real_array,
    as_residues,
    as_rng,
    check_modulus,
    check_out,
    check_samples_shape,
    check_shape,
    check_size,
    check_threads,
)
from .activations import ActivationPolynomial, activation_argument, as_activation, as_activations
from .monomials import MonomialBasis, count_monomials
from .program import Activation, Affine, Indeterminate, Number, ParameterBlock, Program, substitute

__all__ = ["MLP", "Network", "NetworkPolynomial"]

# Fewer values than this are not compared with the machine's memory.
_MANY_VALUES = 2**22
# numpy arrays have at most 64 axes (32 before numpy 2), and coefficients have two besides those of the batch.
_MAX_BATCH_AXES = 30
# Random numbers are drawn this many at a time.
_NUMBERS_AT_A_TIME = 2**20
_EVALUATE_INSTEAD = "net.evaluate gives values at points without coefficients"


class Network:
    """A polynomial map given by a program; the base of all families.

    Parameters
    ----------
    program : Program
        The instructions, see `polycore.program`.

    Attributes
    ----------
    n_inputs, n_outputs, n_params : int
        Counts.
    degree : int
        Degree of the polynomials in the inputs.
    basis : MonomialBasis
        The monomials of the coefficient vectors: of degree exactly ``degree`` for a bias-free network whose activations
        are powers (or multiples of them), else of degree at most ``degree``.
    program : Program
        As given.

    Notes
    -----
    Networks are immutable; they compare equal, hash and pickle by what they are made of. Arrays given to the methods
    may be anything that converts without loss; ``dtype`` is float64, complex128 (the default when an argument is
    complex) or object, which is exact arithmetic on integers and Fractions; ``modulus=p`` (a prime below 2^61) computes
    in GF(p) on integers and gives uint64 residues. ``out`` is filled and returned, and must have exactly the right
    dtype and shape. ``n_threads=0`` is the default number of threads; results do not depend on it, and a batch has the
    bits of its members one by one.
    """

    def __init__(self, program: Program) -> None:
        if not isinstance(program, Program):
            raise TypeError(f"`program` must be a polycore.Program, got {_describe(program)}")
        self._set_program(program)

    def _set_program(self, program: Program) -> None:
        self.program = program
        self.n_inputs: int = program.n_inputs
        self.n_outputs: int = program.n_outputs
        self.n_params: int = program.n_params
        self.degree: int = program.degree
        self.basis = program.basis
        # What the fast paths compare with.
        self._theta_shape = (self.n_params,)

    # --- identity -----------------------------------------------------------------------------------------------------

    def _key(self) -> tuple[Any, ...]:
        """What the network is made of: the arguments of the constructor, hashable."""
        return (self.program,)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        return type(self) is type(other) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._key()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.n_inputs} inputs, {self.n_outputs} outputs, {self.n_params} parameters, "
            f"degree {self.degree})"
        )

    # --- generic activations ------------------------------------------------------------------------------------------

    def specialize(self, rng: int | np.random.Generator = 0) -> Network:
        """The network with random coefficients in place of a generic activation's; itself if it has none.

        Parameters
        ----------
        rng : int or numpy.random.Generator
            A seed; from a Generator a 64-bit seed is drawn.

        Returns
        -------
        Network
            Of the same family. The coefficients are non-zero multiples of 2^-10 in [-2, 2], all equally likely; a
            polynomial that several layers share gets the same ones in all of them.

        Raises
        ------
        TypeError, ValueError
            For a bad seed.

        Examples
        --------
        >>> from polycore import GenericActivation
        >>> net = MLP((1, 1, 1), GenericActivation(1))
        >>> net.evaluate([1, 1], [[0]])
        Traceback (most recent call last):
        ...
        ValueError: the network has a generic activation; net.specialize(rng) gives it random coefficients
        >>> net.specialize(rng=0).evaluate([1, 1], [[0]])
        array([[1.02246094]])
        """
        generator, _ = as_rng(rng)
        indeterminates = self.program.indeterminates
        if not indeterminates:
            return self
        n, scale = len(indeterminates), 2**10
        signs, sizes = generator.integers(0, 2, n), generator.integers(1, 2 * scale, n, endpoint=True)
        return self._with_coefficients(dict(zip(indeterminates, ((2 * signs - 1) * sizes / scale).tolist())))

    def _with_coefficients(self, values: Mapping[Indeterminate, Number]) -> Network:
        instructions = [
            Activation(i.input, substitute(i.coefficients, values)) if isinstance(i, Activation) else i
            for i in self.program.instructions
        ]
        return Network(Program(self.n_inputs, instructions))

    # --- parameters ---------------------------------------------------------------------------------------------------

    @cached_property
    def _layout(self) -> dict[str, ParameterBlock]:
        """The parameter arrays by name, in the order of the flat vector: W1, b1, W2, ..."""
        layers = [block.instruction for block in self.program.parameters if block.kind == "W"]
        return {f"{block.kind}{layers.index(block.instruction) + 1}": block for block in self.program.parameters}

    def random_params(
        self, rng: int | np.random.Generator = 0, batch: int | Sequence[int] = (), *, modulus: int | None = None
    ) -> Array:
        """Random parameters: the weights and biases of a layer with n inputs are normal with variance 1 / n.

        Parameters
        ----------
        rng : int or numpy.random.Generator
            A seed; from a Generator a 64-bit seed is drawn. The first member of a batch is what the same seed gives
            singly.
        batch : int or sequence of int
            Shape of the batch axes.
        modulus : int, optional
            Give uniform elements of GF(modulus) instead.

        Returns
        -------
        ndarray, shape (..., n_params)
            float64, or uint64 with ``modulus``.

        Raises
        ------
        TypeError, ValueError
            For a bad seed, batch or modulus.
        MemoryError
            If the array would not fit.

        Examples
        --------
        >>> net = MLP((2, 2, 1), activation=2)
        >>> net.random_params(rng=0, batch=5).shape
        (5, 6)
        >>> bool((net.random_params(rng=7) == net.random_params(rng=7, batch=5)[0]).all())
        True
        """
        generator, _ = as_rng(rng)
        shape = (*_as_batch(batch), self.n_params)
        # NOTE: numpy cannot even describe an empty array whose other axes are beyond 64 bits, hence the max.
        check_size(math.prod(max(1, n) for n in shape), 8, "the parameters", "ask for a smaller batch")
        if modulus is not None:
            return generator.integers(0, check_modulus(modulus), size=shape, dtype=np.uint64)
        scale = np.ones(self.n_params)
        fan_in = self.n_inputs
        for block in self.program.parameters:
            fan_in = block.shape[1] if block.kind == "W" else fan_in  # a bias follows its weights
            scale[block.start : block.stop] = 1 / math.sqrt(fan_in)
        theta = np.empty(shape)
        if theta.size:
            members = theta.reshape(-1, self.n_params)
            step = max(1, _NUMBERS_AT_A_TIME // self.n_params)
            for start in range(0, len(members), step):  # in steps, between which an interrupt is seen
                generator.standard_normal(out=members[start : start + step])
                members[start : start + step] *= scale
        return theta

    def unpack(self, theta: ArrayLike) -> dict[str, Array]:
        """The parameters layer by layer.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
            Of any numeric dtype, or objects.

        Returns
        -------
        dict of ndarray
            "W1" of shape (..., n_out, n_in), "b1" of shape (..., n_out) if there are biases, "W2", ... in the order of
            the flat vector, of the dtype of ``theta``.

        Examples
        --------
        >>> net = MLP((2, 2, 1), activation=2)
        >>> net.unpack([1, 2, 3, 4, 5, 6])["W1"]
        array([[1, 2],
               [3, 4]])
        """
        flat = _to_array(theta, "theta")
        if flat.dtype.kind not in "biufcO":
            raise TypeError(f"`theta` must hold numbers, got dtype {flat.dtype}")
        check_shape(flat, "theta", (..., ("n_params", self.n_params)))
        return {
            name: flat[..., block.start : block.stop].reshape(flat.shape[:-1] + block.shape)
            for name, block in self._layout.items()
        }

    def pack(self, arrays: Mapping[str, ArrayLike] | None = None, /, **more: ArrayLike) -> Array:
        """The flat parameter vector from the arrays of `unpack`, given as one dict or as keywords.

        Parameters
        ----------
        arrays : dict of array_like, optional
            "W1" of shape (..., n_out, n_in), "b1" of shape (..., n_out), ...
        **more : array_like
            The same as keywords; together they must name every array once.

        Returns
        -------
        ndarray, shape (..., n_params)
            Of the common dtype of the arrays; batch axes are broadcast.

        Raises
        ------
        TypeError
            For arrays that do not hold numbers.
        ValueError
            For missing, unknown or wrongly shaped arrays.

        Examples
        --------
        >>> MLP((2, 2, 1), activation=2).pack(W1=[[1, 2], [3, 4]], W2=[[5, 6]])
        array([1, 2, 3, 4, 5, 6])
        """
        if arrays is not None and not isinstance(arrays, Mapping):
            raise TypeError(f"`arrays` must be a dict of arrays, got {_describe(arrays)}")
        given = {**(arrays or {}), **more}
        missing, unknown = [k for k in self._layout if k not in given], [str(k) for k in given if k not in self._layout]
        if missing or unknown:
            problem = f"`{missing[0]}` is missing" if missing else f"`{unknown[0]}` is not one of its parameters"
            raise ValueError(f"a {type(self).__name__} packs {', '.join(self._layout)}; {problem}")
        blocks = []
        for name, block in self._layout.items():
            array = _to_array(given[name], name)
            if array.dtype.kind not in "biufcO":
                raise TypeError(f"`{name}` must hold numbers, got dtype {array.dtype}")
            check_shape(array, name, (..., *block.shape))
            blocks.append(array.reshape(*array.shape[: array.ndim - len(block.shape)], block.stop - block.start))
        batch = _common_batch({name: array.shape[:-1] for name, array in zip(self._layout, blocks)})
        return np.concatenate([np.broadcast_to(array, (*batch, array.shape[-1])) for array in blocks], axis=-1)

    # --- the polynomial map -------------------------------------------------------------------------------------------
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
    ) -> Array:
        """Coefficients of the polynomials that the network computes.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
            Parameters.
        dtype : dtype, optional
            float64, complex128, or object for exact rational arithmetic on integers and Fractions.
        modulus, out, n_threads
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
        One graded product per factor of an activation and one small matrix product per layer; exact results come from
        GF(p) for enough primes, their number proved by a bound on the height.

        Examples
        --------
        Weights [[1, 2], [3, 4]] and [5, 6] give 5 (x + 2y)^2 + 6 (3x + 4y)^2:

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
        ):
            return self._expand_one(theta)  # type: ignore[no-any-return]
        ring = self._ring(dtype, modulus, theta)
        values = ring.convert(theta, "theta", self._theta_axes)
        shape = (*values.shape[:-1], self.n_outputs, self.basis.n_monomials)
        what = "the coefficients"
        return self._call("expand", ring, (values,), shape, out, n_threads, self._workspace, what, _EVALUATE_INSTEAD)

    def jacobian(
        self,
        theta: ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        modulus: int | None = None,
        out: Array | None = None,
        n_threads: int = 0,
    ) -> Array:
        """Jacobian matrix of the coefficients with respect to the parameters.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
            Parameters.
        dtype, modulus, out, n_threads
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
        ):
            return self._jacobian_one(theta)  # type: ignore[no-any-return]
        ring = self._ring(dtype, modulus, theta)
        values = ring.convert(theta, "theta", self._theta_axes)
        shape = (*values.shape[:-1], self._n_rows, self.n_params)
        what, instead = "the Jacobian", "net.jvp and net.vjp apply it without forming it"
        return self._call("jacobian", ring, (values,), shape, out, n_threads, self._workspace, what, instead)

    def jvp(
        self,
        theta: ArrayLike,
        dtheta: ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        modulus: int | None = None,
        out: Array | None = None,
        n_threads: int = 0,
    ) -> Array:
        """Jacobian times a vector: the derivative of the coefficients in the direction ``dtheta``.

        Parameters
        ----------
        theta, dtheta : array_like, shape (..., n_params)
            Parameters and direction; their batch axes are broadcast.
        dtype, modulus, out, n_threads
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
        >>> net = MLP((2, 1, 1), activation=2)
        >>> net.jvp([1, 2, 3], [0, 0, 1])
        array([[1., 4., 4.]])
        """
        ring = self._ring(dtype, modulus, theta, dtheta)
        values = ring.convert(theta, "theta", self._theta_axes)
        direction = ring.convert(dtheta, "dtheta", self._theta_axes)
        values, direction = _broadcast(values, direction, 1, "dtheta")
        shape = (*values.shape[:-1], self.n_outputs, self.basis.n_monomials)
        what, arguments = "the coefficients", (values, direction)
        return self._call("jvp", ring, arguments, shape, out, n_threads, 2 * self._workspace, what, _EVALUATE_INSTEAD)

    def vjp(
        self,
        theta: ArrayLike,
        dcoef: ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        modulus: int | None = None,
        out: Array | None = None,
        n_threads: int = 0,
    ) -> Array:
        """Transposed Jacobian times a vector: the gradient of ``sum(dcoef * expand(theta))`` in ``theta``.

        Complex arguments are not conjugated: this is the plain transpose.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
            Parameters.
        dcoef : array_like, shape (..., n_outputs, n_monomials)
            Weights of the coefficients; the batch axes of both are broadcast.
        dtype, modulus, out, n_threads
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
        ):
            return self._vjp_one(theta, dcoef)  # type: ignore[no-any-return]
        ring = self._ring(dtype, modulus, theta, dcoef)
        values = ring.convert(theta, "theta", self._theta_axes)
        self._check_workspace(ring.itemsize)  # before the shape of dcoef, which may be beyond what can exist
        axes: Shape = (..., ("n_outputs", self.n_outputs), ("n_monomials", self.basis.n_monomials))
        weights = ring.convert(dcoef, "dcoef", axes)
        values, weights = _broadcast(values, weights, 2, "dcoef")
        what, arguments = "the gradient", (values, weights)
        return self._call(
            "vjp", ring, arguments, values.shape, out, n_threads, 2 * self._workspace, what, _EVALUATE_INSTEAD
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
        lengths = {degree: count_monomials(self.basis.form_vars, degree, True) for degree in set(program.degrees)}
        return sum(width * lengths[degree] for width, degree in zip(program.widths, program.degrees))

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
    ) -> Array:
        """Run one method of the executor on checked arguments, after the last checks: sizes, ``out``, ``n_threads``."""
        n_threads = check_threads(n_threads)
        check_size((0 if out is not None else math.prod(shape)) + workspace, ring.itemsize, what, instead)
        if out is not None:
            check_out(out, shape, ring.dtype, inputs=arguments)
        run: Callable[..., Array]
        if ring is _EXACT:
            if method == "expand":
                return self._expand_exact(arguments[0], shape, out, n_threads)
            run = getattr(self.program.reference, method)
            return run(*arguments, out=out)
        run = getattr(self._engine, method)
        if ring.modulus:
            return run(*arguments, out=out, modulus=ring.modulus, constants=ring.constants, n_threads=n_threads)
        return run(*arguments, out=out, n_threads=n_threads)

    def _expand_exact(self, theta: Array, shape: tuple[int, ...], out: Array | None, n_threads: int) -> Array:
        batch = theta.reshape(math.prod(shape[:-2]), self.n_params)

        def expand_modulo(p: int) -> Array:
            residues, constants = as_residues(batch, p, "theta"), self.program.constants(p)
            return run(residues, modulus=p, constants=constants, n_threads=n_threads)

        run: Callable[..., Array] = self._engine.expand
        coef = expand_exact(self.program, batch, expand_modulo).reshape(shape)
        if out is None:
            return coef
        out[...] = coef
        return out


class MLP(Network):
    """A fully connected network with polynomial activations.

    f(x) = W_L σ_{L-1}(... σ_1(W_1 x + b_1) ...) + b_L, the σ polynomials applied entrywise; no activation after the
    last layer.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_L): inputs, hidden widths, outputs. (d_0, d_1) is a linear map without hidden layers.
    activation : int, list, tuple, numpy polynomial, PolynomialActivation or GenericActivation
        * an int r: z^r in every hidden layer; 1 makes a linear network, 0 is the constant 1;
        * a list (or 1-d array): coefficients low to high of one polynomial for every hidden layer, ``[0, 0, 1, 1]`` is
          z^2 + z^3; a list as long as there are hidden layers and without a zero could mean powers and is refused;
        * a numpy Polynomial, or what `polynomial_activation` returns: that polynomial for every hidden layer;
        * a `GenericActivation`: one polynomial with indeterminate coefficients for every hidden layer;
        * a tuple: one entry per hidden layer, each of the above, where a list is always a coefficient list, and each
          `GenericActivation` object is a polynomial of its own.

        May be left out when there is no hidden layer.
    bias : bool
        Whether every layer has a bias.

    Attributes
    ----------
    widths : tuple of int
    activations : tuple of ActivationPolynomial
        One per hidden layer.
    bias : bool
    n_inputs, n_outputs, n_params, degree, basis, program
        See `Network`. Parameters are ordered layer by layer: W_l row-major, then b_l.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a width is below 1, there are fewer than two, an activation degree is negative, a coefficient is not finite,
        or a list is ambiguous.

    Examples
    --------
    >>> net = MLP((4, 3, 4, 2), activation=(2, 3), bias=True)
    >>> net
    MLP((4, 3, 4, 2), activation=(2, 3), bias=True)
    >>> net.n_params, net.degree, net.basis
    (41, 6, MonomialBasis(n_vars=4, degree=6, homogeneous=False))
    """

    widths: tuple[int, ...]
    activations: tuple[ActivationPolynomial, ...]
    bias: bool

    def __init__(self, widths: Sequence[int], activation: Any = None, bias: bool = False) -> None:
        self.widths = as_widths(widths)
        self.bias = as_flag(bias, "bias")
        self.activations = _as_hidden_activations(activation, len(self.widths) - 2)
        super().__init__(_mlp_program(self.widths, self.activations, self.bias))

    def _key(self) -> tuple[Any, ...]:
        return self.widths, self.activations, self.bias

    def _with_coefficients(self, values: Mapping[Indeterminate, Number]) -> MLP:
        activations = (ActivationPolynomial(substitute(a.coefficients, values)) for a in self.activations)
        return MLP(self.widths, tuple(activations), self.bias)

    def __repr__(self) -> str:
        words = [repr(self.widths)]
        if self.activations:
            words.append(f"activation={activation_argument(self.activations)}")
        if self.bias:
            words.append("bias=True")
        return f"MLP({', '.join(words)})"

    def _repr_latex_(self) -> str:
        """The network as a formula; deep ones are abbreviated in the middle."""
        n_layers = len(self.widths) - 1
        distinct = len(set(self.activations)) > 1

        def affine(layer: int, z: str) -> str:
            return f"W_{{{layer}}} {z}" + (f" + b_{{{layer}}}" if self.bias else "")

        def sigma(layer: int, z: str) -> str:
            return (rf"\sigma_{{{layer}}}" if distinct else r"\sigma") + rf"\left({z}\right)"

        formula = affine(1, "x")
        for layer in range(2, n_layers + 1):
            abbreviated = n_layers > 4 and 2 < layer < n_layers
            if not abbreviated:
                formula = affine(layer, sigma(layer - 1, formula))
            elif layer == 3:
                formula = r"\cdots " + formula + r" \cdots"
        shown = list(enumerate(self.activations, 1)) if distinct else [(0, a) for a in self.activations[:1]]
        names = [rf"\sigma_{{{layer}}}(z)" if layer else r"\sigma(z)" for layer, _ in shown]
        definitions = [f"{name} = {a.text('z', latex=True)}" for name, (_, a) in zip(names, shown)]
        if len(definitions) > 4:
            definitions = [*definitions[:3], r"\ldots", definitions[-1]]
        spaces = rf"f\colon \mathbb{{R}}^{{{self.n_inputs}}} \to \mathbb{{R}}^{{{self.n_outputs}}}"
        return "$" + r",\quad ".join([spaces, f"f(x) = {formula}", *definitions]) + "$"


@dataclass(frozen=True, eq=False)
class NetworkPolynomial:
    """The polynomials f_1, ..., f_{n_outputs} of a network, for looking at.

    Attributes
    ----------
    coef : ndarray, shape (n_outputs, n_monomials)
    basis : MonomialBasis
    symbols : tuple of str, or None
        Names of the variables; x1, x2, ... by default.
    """

    coef: Array
    basis: MonomialBasis
    symbols: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.basis, MonomialBasis):
            raise TypeError(f"`basis` must be a MonomialBasis, got {_describe(self.basis)}")
        coef = _to_array(self.coef, "coef")
        check_shape(coef, "coef", ("n_outputs", ("n_monomials", self.basis.n_monomials)))
        if self.symbols is not None and isinstance(self.symbols, Sequence):
            object.__setattr__(self, "symbols", tuple(self.symbols))
        object.__setattr__(self, "coef", coef)
        self.text(max_terms=0, max_outputs=1)  # bad symbols are refused here, not when it is shown

    def text(self, latex: bool = False, max_terms: int | None = 12, max_outputs: int | None = 8) -> list[str]:
        """One equation per output.

        Parameters
        ----------
        latex : bool
            Write LaTeX (without dollar signs).
        max_terms, max_outputs : int or None
            Write at most so many terms of each and so many outputs, and say how many are left out; None writes all.

        Returns
        -------
        list of str
        """
        n = len(self.coef)
        lines = []
        for o in range(n if max_outputs is None else min(n, as_index(max_outputs, "max_outputs", 0))):
            name = "f" if n == 1 else (f"f_{{{o + 1}}}" if latex else f"f{o + 1}")
            lines.append(f"{name} = {self.basis.format(self.coef[o], self.symbols, latex=latex, max_terms=max_terms)}")
        if len(lines) < n:
            more = f"{n - len(lines)} more output{'s' if n - len(lines) > 1 else ''}"
            lines.append(rf"\vdots \;(\text{{{more}}})" if latex else f"... ({more})")
        return lines

    def __repr__(self) -> str:
        return "\n".join(self.text())

    def _repr_latex_(self) -> str:
        return r"$\begin{aligned} " + r" \\ ".join(self.text(latex=True)).replace(" = ", " &= ") + r" \end{aligned}$"


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


def _as_batch(batch: object) -> tuple[int, ...]:
    if not isinstance(batch, (tuple, list)):
        return (as_index(batch, "batch", 0, INT64_MAX),)
    if len(batch) > _MAX_BATCH_AXES:
        raise ValueError(f"`batch` must have at most {_MAX_BATCH_AXES} axes, got {len(batch)}")
    return tuple(as_index(n, f"batch[{i}]", 0, INT64_MAX) for i, n in enumerate(batch))


def _broadcast(theta: Array, other: Array, other_axes: int, name: str) -> tuple[Array, Array]:
    """Both arrays with the same batch axes."""
    if theta.shape[:-1] == other.shape[: other.ndim - other_axes]:
        return theta, other
    tail = other.shape[other.ndim - other_axes :]
    batch = _common_batch({"theta": theta.shape[:-1], name: other.shape[: other.ndim - other_axes]})
    return (
        np.ascontiguousarray(np.broadcast_to(theta, batch + theta.shape[-1:])),
        np.ascontiguousarray(np.broadcast_to(other, batch + tail)),
    )


def _common_batch(batches: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*batches.values())
    except ValueError:
        words = ", ".join(f"`{name}` {batch}" for name, batch in batches.items())
        raise ValueError(f"the batch axes must broadcast together, got {words}") from None


# --- the MLP family ---------------------------------------------------------------------------------------------------


def as_widths(widths: object) -> tuple[int, ...]:
    listed = widths.ndim == 1 if isinstance(widths, np.ndarray) else isinstance(widths, Sequence)
    if not listed or isinstance(widths, (str, bytes)):
        raise TypeError(f"`widths` must be a sequence of integers, got {_describe(widths)}")
    entries = enumerate(cast(Sequence[object], widths))
    result = tuple(as_index(width, f"widths[{i}]", 1, INT32_MAX) for i, width in entries)
    if len(result) < 2:
        raise ValueError(f"`widths` must have at least two entries, inputs and outputs, got {result}")
    return result


def _as_hidden_activations(activation: object, n_hidden: int) -> tuple[ActivationPolynomial, ...]:
    if n_hidden > 0:
        return as_activations(activation, n_hidden)
    if activation is not None and not isinstance(activation, tuple):
        as_activation(activation)  # there is nothing to apply it to, but nonsense is still refused
    elif activation:
        return as_activations(activation, n_hidden)
    return ()


def _mlp_program(widths: tuple[int, ...], activations: tuple[ActivationPolynomial, ...], bias: bool) -> Program:
    checked = {activation: Activation(0, activation.coefficients) for activation in set(activations)}
    instructions: list[Affine | Activation] = [Affine(0, widths[1], bias)]
    for width, activation in zip(widths[2:], activations):
        instructions.append(checked[activation]._reading(len(instructions)))
        instructions.append(Affine(len(instructions), width, bias))
    return Program(widths[0], instructions)
