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
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from ._validation import (
    INT32_MAX,
    INT64_MAX,
    Array,
    _describe,
    _to_array,
    as_flag,
    as_index,
    as_rng,
    check_modulus,
    check_shape,
    check_size,
)
from .activations import ActivationPolynomial, activation_argument, as_activation, as_activations
from .network_polynomial import NetworkPolynomial
from .polynomial_map import PolynomialMap, common_batch
from .program import Activation, Affine, Indeterminate, Number, ParameterBlock, Program, substitute

__all__ = ["MLP", "Network", "NetworkPolynomial"]

# numpy arrays have at most 64 axes (32 before numpy 2), and coefficients have two besides those of the batch.
_MAX_BATCH_AXES = 30
# Random numbers are drawn this many at a time.
_NUMBERS_AT_A_TIME = 2**20


class Network(PolynomialMap):
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
        batch = common_batch({name: array.shape[:-1] for name, array in zip(self._layout, blocks)})
        return np.concatenate([np.broadcast_to(array, (*batch, array.shape[-1])) for array in blocks], axis=-1)

    # --- what is known of it ------------------------------------------------------------------------------------------


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


# --- batches ----------------------------------------------------------------------------------------------------------


def _as_batch(batch: object) -> tuple[int, ...]:
    if not isinstance(batch, (tuple, list)):
        return (as_index(batch, "batch", 0, INT64_MAX),)
    if len(batch) > _MAX_BATCH_AXES:
        raise ValueError(f"`batch` must have at most {_MAX_BATCH_AXES} axes, got {len(batch)}")
    return tuple(as_index(n, f"batch[{i}]", 0, INT64_MAX) for i, n in enumerate(batch))


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
