# SPDX-License-Identifier: BSD-3-Clause
"""Networks with polynomial activations, seen as the polynomials they are.

`Network` is everything that needs only a program; `Sequential` writes one from layers, and a family such as `MLP` or
`CNN` says which layers from a few words.

Source: J. Kileel, M. Trager, J. Bruna, *On the expressive power of deep polynomial neural networks*, NeurIPS 2019,
arXiv:1905.12207, for the map from parameters to coefficients and its image.

Legend for the shapes below: ``n_params`` parameters, ``n_inputs`` = n_vars variables, ``n_outputs`` outputs,
``n_monomials`` monomials in ``basis``, ``n_samples`` points; ``...`` is any number of batch axes over parameters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from . import program
from ._validation import (
    INT32_MAX,
    INT64_MAX,
    Array,
    _describe,
    _format_int,
    _to_array,
    as_flag,
    as_index,
    as_rng,
    as_sequence,
    check_modulus,
    check_shape,
    check_size,
)
from .activations import ActivationPolynomial, activation_argument, as_activation, as_activations
from .instructions import substitute
from .layers import (
    Activation,
    Affine,
    Attention,
    Conv,
    Data,
    DataShape,
    Layer,
    Pair,
    Writer,
    as_data_shape,
    as_extent,
    as_layers,
    check_n_layers,
    composition_formula,
    layers_text,
    map_activations,
    shortened,
    with_numbered_activations,
    write_layers,
)
from .network_polynomial import NetworkPolynomial
from .polynomial_map import PolynomialMap, common_batch
from .program import Indeterminate, Number, ParameterBlock, Program

if TYPE_CHECKING:
    from .canonical import Alignment
    from .membership import Membership
    from .recovery import Recovery
    from .spans import LinearSpan
    from .symmetries import SymmetryGroup

__all__ = ["CNN", "MLP", "LightningAttention", "Network", "NetworkPolynomial", "Sequential"]

# numpy arrays have at most 64 axes (32 before numpy 2), and coefficients have two besides those of the batch.
_MAX_BATCH_AXES = 30
# Random numbers are drawn this many at a time.
_NUMBERS_AT_A_TIME = 2**20
# Degrees grow as 3^layers.
_MAX_LAYERS = 2**12


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
    support : MonomialSupport
        The monomials of the basis that can occur.
    program : Program
        As given.

    Notes
    -----
    Networks are immutable; they compare equal, hash and pickle by what they are made of. Arrays given to the methods
    may be anything that converts without loss; ``dtype`` is float64, complex128 (the default when an argument is
    complex) or object, which is exact arithmetic on integers and Fractions; ``modulus=p`` (a prime below 2^61) computes
    in GF(p) on integers and gives uint64 residues. ``out`` is filled and returned, and must have exactly the right
    dtype and shape. ``n_threads=0`` is the default number of threads; results do not depend on it, and a batch has the
    bits of its members one by one. With ``support=True`` coefficient vectors have ``len(net.support)`` entries instead
    of ``n_monomials``, only those that can be non-zero.
    """

    # Names and shapes of the parameter arrays; by default W1, b1, W2, ... as the program has them.
    _arrays: Sequence[tuple[str, DataShape]] | None = None

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

    def spec(self) -> dict[str, Any]:
        """The network as a dict that JSON can hold, from which `polycore.network` makes an equal one.

        Returns
        -------
        dict
            The "family" and the arguments of its class; see `polycore.specs`. A plain `Network` gives its program.

        Examples
        --------
        >>> CNN((3, 2), activation=2).spec()["filters"]
        [3, 2]
        >>> MLP((2, 2, 1), activation=2).spec()
        {'family': 'MLP', 'widths': [2, 2, 1], 'activation': 2, 'bias': False}
        """
        from .specs import write_spec

        return write_spec(self)

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
            program.Activation(i.input, substitute(i.coefficients, values)) if isinstance(i, program.Activation) else i
            for i in self.program.instructions
        ]
        return Network(Program(self.n_inputs, instructions))

    # --- parameters ---------------------------------------------------------------------------------------------------

    @cached_property
    def _layout(self) -> dict[str, ParameterBlock]:
        """The parameter arrays by name, in the order of the flat vector."""
        blocks = self.program.parameters
        if self._arrays is not None:
            return {name: replace(block, shape=shape) for (name, shape), block in zip(self._arrays, blocks)}
        numbers = {block.instruction: k for k, block in enumerate((b for b in blocks if b.kind == "W"), 1)}
        return {f"{block.kind}{numbers[block.instruction]}": block for block in blocks}

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
            the flat vector, of the dtype of ``theta``. Filters and the matrices of attention have the names and shapes
            that `Conv` and `Attention` say.

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
        if not blocks:
            return np.empty(0)
        batch = common_batch({name: array.shape[:-1] for name, array in zip(self._layout, blocks)})
        return np.concatenate([np.broadcast_to(array, (*batch, array.shape[-1])) for array in blocks], axis=-1)

    # --- what is known of it ------------------------------------------------------------------------------------------

    def recover(
        self,
        coef: ArrayLike,
        *,
        rng: int | np.random.Generator = 0,
        tol: float = 1e-8,
        n_starts: int | None = None,
        max_steps: int = 300,
    ) -> Recovery:
        """Parameters with given coefficients, up to the symmetries of the network.

        Parameters
        ----------
        coef : (n_outputs, n_monomials) array-like
            Real coefficients, as `expand` gives them. Integers and Fractions are rounded to float64.
        rng : int or numpy.random.Generator
            For random slices of tensors and random starts; from a Generator a 64-bit seed is drawn.
        tol : float
            Between 0 and 1: the relative residual up to which coefficients count as met.
        n_starts : int or None
            Random starts of the numerical search, where the structure of the network does not lead to parameters. None
            is 512, or fewer, but 8 at least, for networks whose Jacobian makes steps expensive.
        max_steps : int
            Of each start; >= 1.

        Returns
        -------
        Recovery
            With ``theta``, ``residual``, ``found``, and ``unique``: whether these are the only ones, by which theorem.

        Raises
        ------
        TypeError, ValueError
            If ``coef`` is not real, has another shape or is not finite, or another argument is bad; for a network with
            a generic activation.
        MemoryError, OverflowError
            If the coefficients, or the Jacobian, do not fit.
        NumericalError
            If the parameters would be out of range for float64.

        Notes
        -----
        What is done depends on the program, and needs inputs that are as generic as this:

        * linear networks: any matrix of low enough rank, by singular values, the factors balanced;
        * one hidden layer, c z^r or a shifted power, with or without biases: k units for which some split of the degree
          gives independent tensor factors, such as independent weights for r >= 3 or for r = 2 with several outputs;
          then simultaneous diagonalisation, and the parameters are unique. Beyond, the apolar ideal is prolonged (up to
          about C(n + q − 1, q) − n units for r = 2q). Binary forms: any that is a sum of k real powers (Sylvester).
          Quadratic units with one output: any symmetric matrix of rank <= k, up to orthogonal maps;
        * one hidden layer with another activation: units that its highest degree determines in this way;
        * deep networks of powers, layer by layer: first layers that are not wider than what they see, with weights of
          full rank, through the reflections that multiply one unit by a root of unity; last layers with as many outputs
          as units through the powers in the span of the outputs. These functions have finitely many parameter vectors
          where localisation applies; ``unique`` is None;
        * convolutions with one channel and powers: no filter begins with a zero, then they are unique (others are
          tried, too); linear ones by factoring polynomials, unique unless roots can be distributed in several ways;
        * one head of attention: A = KᵀQ or V of rank two or more and two tokens, then both are unique; else a quadratic
          form is factored, or, for one token, the symmetric part of A is found only;
        * everything else: Levenberg–Marquardt steps on the coefficients from random starts.

        The result of each is polished by Gauss–Newton steps of least norm. Coefficients that are not exactly in the
        image lead to parameters near by, with their residual; ``tol`` says what is near enough. Where the function is
        only a limit of functions of the network, as parameters grow, it is not found, however small the residual is.

        Examples
        --------
        >>> net = MLP((3, 3, 2), activation=2)
        >>> theta = net.random_params(rng=0)
        >>> net.recover(net.expand(theta)).unique
        True
        >>> MLP((2, 2, 1), activation=3).recover([[1, 0, -1, 0]]).found  # x^3 - x y^2
        False
        """
        from .recovery import recover

        return recover(self, coef, rng=rng, tol=tol, n_starts=n_starts, max_steps=max_steps)

    def symmetries(self) -> SymmetryGroup:
        """The known symmetries: changes of the parameters that leave the network's function as it is.

        Permutations and scalings of units and channels, linear maps of linear layers, GL of keys and queries, GL
        between the values of attention and the next layer, rescalings of layers, permutations of heads: whatever the
        program has of these. They are read off the program, so a network from any layers has its own.

        Returns
        -------
        SymmetryGroup
            With ``factors``, ``orbit_dimension``, ``random_element(rng)``, ``act(g, theta)``, ``compose``, ``inverse``.

        Notes
        -----
        For monomial activations, diagonal D and permutations P, μ(W_L D^{-r} Pᵀ, …, P D W_1) = μ(W_L, …, W_1) (J.
        Kileel, M. Trager, J. Bruna, NeurIPS 2019). There may be further symmetries, at special parameters always.

        Examples
        --------
        >>> net = LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2)
        >>> net.symmetries()
        SymmetryGroup of LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2)
          GL(2) (K1: g, Q1: g^-T)
          rescalings (Q1: t^-1, V1: t)
          orbits of dimension 5 of 10 parameters
        >>> group, theta = net.symmetries(), list(range(10))
        >>> moved = group.act(group.random_element(rng=1), theta)
        >>> bool(abs(net.expand(moved) - net.expand(theta)).max() < 1e-9)
        True
        """
        from .symmetries import SymmetryGroup

        return SymmetryGroup(self)

    def canonical(self, theta: ArrayLike) -> Array:
        """Canonical parameters: one choice among those that the known symmetries turn into each other.

        Parameters that are equal up to symmetry compare equal afterwards: exactly if they are exact, else to rounding.

        Parameters
        ----------
        theta : array_like, shape (..., n_params)
            Real numbers, or integers and Fractions in an array of dtype object.

        Returns
        -------
        ndarray, shape (..., n_params)
            float64, or Fractions of dtype object. The function of the network is the same.

        Raises
        ------
        TypeError, ValueError
            For the wrong shape, complex numbers, NaN or infinity, or a generic activation with a centre at random.
        NumericalError
            If the result overflows.

        Notes
        -----
        In the order of the program: the largest weight of each unit gets absolute value 1, the first of the largest is
        positive where signs are symmetries, and units are sorted by their weights; linear layers, and keys against
        queries, get the unit matrix in columns that the row space of their weights determines; rescalings of layers
        make the largest entry of an array 1; heads are sorted. See `polycore.canonical`. At special parameters the
        result may depend on which of the equal ones are given: a unit without weights before it, scaled by an
        irrational number, or a linear layer that the weights around it do not determine. Ties of floats are decided to
        1e-7. Complexity: a few products of matrices for each unit or linear layer.

        Examples
        --------
        >>> net = MLP((2, 2, 1), activation=2)
        >>> net.canonical([2, 4, 3, -3, 1, 1])
        array([ 1. , -1. ,  0.5,  1. ,  9. , 16. ])
        >>> net.canonical([1, -1, -1, -2, 9, 4])  # the units exchanged, and scaled by 1/3 and −1/2
        array([ 1. , -1. ,  0.5,  1. ,  9. , 16. ])
        """
        from .canonical import canonical

        return canonical(self.symmetries(), theta)

    def align(self, theta: ArrayLike, other: ArrayLike) -> Alignment:
        """The known symmetry that brings parameters as close as can be found to others.

        Trained networks are comparable, and can be averaged, only after such an alignment: their units come in any
        order and scale.

        Parameters
        ----------
        theta, other : array_like, shape (n_params,)
            Real numbers. ``theta`` is moved.

        Returns
        -------
        Alignment
            With ``theta`` moved, the symmetry ``element`` that did it, and the Euclidean ``distance`` to ``other``.

        Raises
        ------
        TypeError, ValueError
            For the wrong shape, complex numbers, NaN or infinity, or a generic activation with a centre at random.

        Notes
        -----
        Guaranteed: the distance is that of ``element`` applied to ``theta``, and at most that of no symmetry at all and
        that of moving both to their canonical parameters. So generic parameters that are equal up to a known symmetry
        get distance zero but for rounding. Not guaranteed: that no other symmetry is closer. The search begins with
        the identity, with canonical parameters, and from either with one layer matched after the other; it alternates
        between matching the units of a layer by a linear assignment (H. W. Kuhn, *The Hungarian method*, 1955), each
        pair with its best scale and signs, and Levenberg-Marquardt steps for everything continuous, as long as that
        helps.

        Examples
        --------
        >>> net = MLP((2, 2, 1), activation=2)
        >>> found = net.align([2, 4, 3, -3, 1, 1], [1, -1, 1.01, 2, 9, 4])
        >>> found
        Alignment(distance 0.00993, before 11.3, from identity)
        >>> found.theta.round(2)
        array([ 1., -1.,  1.,  2.,  9.,  4.])
        """
        from .canonical import align

        return align(self.symmetries(), theta, other)

    def contains(self, coef: ArrayLike, *, tol: float | None = None, rng: int | np.random.Generator = 0) -> Membership:
        """Whether a coefficient vector is that of a function of the network, with real parameters.

        Parameters
        ----------
        coef : array_like, shape (n_outputs, n_monomials)
            Integers and Fractions are taken as exact. Of floats it is asked whether a function of the network is near.
        tol : float, optional
            Relative tolerance, 0 <= tol < 1: near is within tol · ‖coef‖, in the Euclidean norm of all coefficients.
            By default 0 for integers and Fractions, which is asked exactly, and 1e-9 for floats; 0 takes floats for
            the numbers they stand for.
        rng : int or numpy.random.Generator
            A seed; from a Generator a 64-bit seed is drawn.

        Returns
        -------
        Membership
            ``verdict`` "yes", "no" or "undecided", with the condition that is violated, or parameters. It is true or
            false in conditions, unless it is undecided.

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong kind, shape or value, or a generic activation.

        Notes
        -----
        Decided by equations and inequalities for linear networks (ranks), networks with one hidden layer of powers of
        one or two essential variables, of quadratic forms, or with as many units as essential variables (sums of real
        powers), functions of one variable, one layer of lightning attention, and linear convolutions of stride one.
        For the others there are necessary conditions, the linear span, ranks at dense layers, equations of low degree,
        and the search for parameters of `recover`. See `polycore.membership` for theorems and sources.

        Examples
        --------
        >>> net = MLP((3, 2, 1), activation=2)
        >>> net.contains([[1, 0, 0, 1, 0, 1]])  # x1^2 + x2^2 + x3^2
        MLP((3, 2, 1), activation=2)
          contained   no, proved
          closure     no
          method      catalecticants
          reason      3 × 3 minors do not vanish
          violated    the matrix of first derivatives (essential variables) has rank 3, and 2 units allow 2
        >>> net.contains([[1, 0, 0, -1, 0, 0]]).verdict
        'yes'
        """
        from .membership import contains

        return contains(self, coef, tol=tol, rng=rng)

    def linear_span(self, rng: int | np.random.Generator = 0) -> LinearSpan:
        """The linear span of the coefficient vectors of all functions of the network, exact.

        It is everything for most networks that begin with a dense layer, and much less where weights are shared:
        ``loss.restrict(net.linear_span())`` is the loss on what the network can represent at all.

        Parameters
        ----------
        rng : int or numpy.random.Generator
            A seed; from a Generator a 64-bit seed is drawn.

        Returns
        -------
        LinearSpan
            With ``basis``, ``dimension``, and coordinates that are coefficients; as an array a float64 basis of shape
            (k, n_outputs, n_monomials).

        Raises
        ------
        TypeError, ValueError
            For a bad seed, or a generic activation.
        OverflowError, MemoryError
            If the coefficients of as many functions as there are dimensions do not fit.

        Notes
        -----
        Coefficient vectors at random parameters modulo primes are reduced to echelon form, which is lifted to the
        rationals and verified: by multiplying out the coefficients as polynomials in the parameters, where there are
        few terms, else at random points with a probability of error below 1e-12. For networks that begin with a dense
        layer it is enough to do so for one variable. Complexity otherwise k + 4 expansions and O(k² n) operations for n
        coefficients that are not always zero.

        Examples
        --------
        >>> MLP((3, 2, 1), activation=[0, 1, 0, 1]).linear_span()  # no terms of even degree
        MLP((3, 2, 1), activation=([0, 1, 0, 1],))
          span        13 of 20 (ambient), proved
          coordinates x1, x2, x3, x1^3, x1^2*x2, x1^2*x3, x1*x2^2, x1*x2*x3, x1*x3^2, x2^3, ... (3 more)
        """
        from .spans import span_of_program

        return span_of_program(self.program, rng, 1e-12, repr(self))


class Sequential(Network):
    """Layers one after another: the network from which the named families are built.

    Parameters
    ----------
    *layers : layer
        `Affine`, `Activation`, `Conv`, `Attention`, `Select`, `Residual`; first layer first.
    n_inputs : int or tuple of int
        Shape of the data: (n,) or n; (n_positions, n_features), tokens or a signal; (height, width) or
        (height, width, n_features), images. A point is a row with all values in C order, so position by position with
        the features of a position together.

    Attributes
    ----------
    layers : tuple of layers
    input_shape, output_shape : tuple of int
        ``n_inputs`` and ``n_outputs`` are their numbers of values; outputs are in C order, too.
    n_inputs, n_outputs, n_params, degree, basis, program
        See `Network`. Layers with parameters are numbered from 1 in ``unpack``, whatever is between them.

    Raises
    ------
    TypeError
        For what is not a layer.
    ValueError
        If a layer cannot take the data that it sees, for instance a filter longer than its input.
    OverflowError, MemoryError
        If the network would not fit, before anything is allocated.

    Examples
    --------
    >>> from polycore import Activation, Affine, Attention, Conv, Residual
    >>> net = Sequential(Conv(2), Activation([0, 1, 1]), Affine(1, bias=True), n_inputs=4)
    >>> net
    Sequential(Conv(2), Activation([0, 1, 1]), Affine(1, bias=True), n_inputs=4)
    >>> {name: array.shape for name, array in net.unpack([1, 1, 1, 0, 2, 5]).items()}
    {'W1': (2,), 'W2': (1, 3), 'b2': (1,)}
    >>> Sequential(Residual(Attention(2)), Affine(1), n_inputs=(3, 2)).basis
    MonomialBasis(n_vars=6, degree=3, homogeneous=False)
    """

    input_shape: DataShape
    output_shape: DataShape

    def __init__(self, *layers: Layer, n_inputs: int | Sequence[int]) -> None:
        self._assemble(with_numbered_activations(as_layers(layers, "layers")), as_data_shape(n_inputs, "n_inputs"))

    def _assemble(self, layers: tuple[Layer, ...], shape: DataShape) -> None:
        writer = Writer()
        outputs = write_layers(layers, writer, Data(0, shape), "layers")
        super().__init__(Program(math.prod(shape), writer.instructions))
        self._layers, self._arrays = layers, tuple(writer.parameters)
        self.input_shape, self.output_shape = shape, outputs.shape

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What the network is made of."""
        return self._layers

    def _key(self) -> tuple[Any, ...]:
        return self.layers, self.input_shape

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(Sequential, n_inputs=self.input_shape), self.layers

    def _with_coefficients(self, values: Mapping[Indeterminate, Number]) -> Network:
        return Sequential(*map_activations(self.layers, lambda a: _with_values(a, values)), n_inputs=self.input_shape)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(layers_text(self.layers))}, n_inputs={_shape_text(self.input_shape)})"

    def _repr_latex_(self) -> str:
        """The network as a composition of its layers; long ones are abbreviated in the middle."""
        return composition_formula(_spaces(self), self.layers)


class MLP(Sequential):
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
    n_inputs, n_outputs, n_params, degree, basis, program, layers
        See `Network` and `Sequential`. Parameters are ordered layer by layer: W_l row-major, then b_l.

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
        self.input_shape, self.output_shape = self.widths[:1], self.widths[-1:]
        Network.__init__(self, _mlp_program(self.widths, self.activations, self.bias))

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Affine layers and activations in turn."""
        # Made only when looked at: sweeps go through thousands of networks.
        affine = [Affine(width, self.bias) for width in self.widths[1:]]
        return _alternating(affine, self.activations)

    def _key(self) -> tuple[Any, ...]:
        return self.widths, self.activations, self.bias

    def __reduce__(self) -> tuple[Any, ...]:
        return MLP, self._key()

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

        def affine(layer: int, z: str) -> str:
            return f"W_{{{layer}}} {z}" + (f" + b_{{{layer}}}" if self.bias else "")

        return _nested_formula(_spaces(self), affine, self.activations)


class CNN(Sequential):
    """A convolutional network with polynomial activations, over signals or images.

    f(x) = w_L * σ_{L-1}(... σ_1(w_1 * x + b_1) ...) + b_L, where * is the cross-correlation with a filter (as in torch,
    without padding), and there is no activation after the last layer.

    Parameters
    ----------
    filters : int, pair, or sequence of them
        One entry a layer: a length for signals, (height, width) for images.
    activation
        One for each of the L - 1 hidden layers, in any of the ways of `MLP`. 1, the default, is a linear network.
    stride : int or sequence
        For all layers, or one entry a layer; for images each an int or a pair.
    n_inputs : int or tuple of int, optional
        n or (n, n_features) for signals, (height, width) or (height, width, n_features) for images. By default the
        receptive field, so that there is one output position; more inputs give a sequence (or image) of outputs.
    bias : bool
        Whether each channel of each layer has a bias.
    channels : int or sequence of int, optional
        Output channels of each layer, 1 by default; an int for all layers. L + 1 entries begin with the features of
        the input.

    Attributes
    ----------
    filters, strides : tuple of int or of pairs
    activations : tuple of ActivationPolynomial
        One per hidden layer.
    channels : tuple of int
        One per layer.
    bias : bool
    n_inputs, n_outputs, n_params, degree, basis, program, layers, input_shape, output_shape
        See `Network` and `Sequential`. Inputs and outputs are position by position with the channels of a position
        together. Parameters are ordered layer by layer: filters as in torch, (channels, features, length), then biases;
        the filter of a single channel is "W1" of shape (length,).

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a size is below 1, there are not as many strides or channels as layers, a filter is longer than what it
        sees, or an activation is none.
    OverflowError, MemoryError
        If the network would not fit, before anything is allocated.

    Notes
    -----
    With filters of lengths k_i and activation z^r, r > 1, the dimension is Σ k_i - L + 1.

    Source: V. Shahverdi, G. L. Marchetti, K. Kohn, *On the geometry and optimization of polynomial convolutional
    networks*, AISTATS 2025, arXiv:2410.00722.

    Examples
    --------
    >>> net = CNN((2, 2), activation=2)
    >>> net
    CNN((2, 2), activation=2, n_inputs=3)
    >>> net.polynomial([1, 1, 1, -1])
    f = x1^2 + 2*x1*x2 - 2*x2*x3 - x3^2
    >>> CNN(((3, 3), (2, 2)), activation=2, n_inputs=(8, 8), stride=(2, 1), channels=(4, 1)).output_shape
    (2, 2, 1)
    """

    filters: tuple[int | Pair, ...]
    strides: tuple[int | Pair, ...]
    activations: tuple[ActivationPolynomial, ...]
    channels: tuple[int, ...]
    bias: bool

    def __init__(
        self,
        filters: int | Sequence[int | Sequence[int]],
        activation: Any = 1,
        stride: int | Sequence[int | Sequence[int]] = 1,
        n_inputs: int | Sequence[int] | None = None,
        bias: bool = False,
        channels: int | Sequence[int] | None = None,
    ) -> None:
        self.filters = _as_filters(filters)
        n_layers = len(self.filters)
        self.activations = _as_hidden_activations(activation, n_layers - 1)
        self.bias = as_flag(bias, "bias")
        self.strides = _as_strides(stride, self.filters)
        n_features, self.channels = _as_channels(channels, n_layers)
        shape = _as_cnn_shape(n_inputs, n_features, self.filters, self.strides)
        convolutions = [
            Conv(filter, channels, stride, self.bias)
            for filter, channels, stride in zip(self.filters, self.channels, self.strides)
        ]
        self._assemble(_alternating(convolutions, self.activations), shape)

    def _key(self) -> tuple[Any, ...]:
        return self.filters, self.activations, self.strides, self.input_shape, self.bias, self.channels

    def __reduce__(self) -> tuple[Any, ...]:
        return CNN, self._key()

    def _with_coefficients(self, values: Mapping[Indeterminate, Number]) -> CNN:
        activations = tuple(ActivationPolynomial(substitute(a.coefficients, values)) for a in self.activations)
        return CNN(self.filters, activations, self.strides, self.input_shape, self.bias, self.channels)

    def __repr__(self) -> str:
        words = [repr(self.filters)]
        if self.activations:
            words.append(f"activation={activation_argument(self.activations)}")
        strides = [shortened(stride) for stride in self.strides]
        if strides != [1] * len(strides):
            words.append(
                f"stride={strides[0] if len(set(strides)) == 1 and isinstance(strides[0], int) else tuple(strides)}"
            )
        words.append(f"n_inputs={_shape_text(self.input_shape)}")
        if self.bias:
            words.append("bias=True")
        if set(self.channels) != {1}:
            words.append(f"channels={self.channels}")
        return f"CNN({', '.join(words)})"

    def _repr_latex_(self) -> str:
        """The network as a formula; deep ones are abbreviated in the middle."""

        def affine(layer: int, z: str) -> str:
            return rf"w_{{{layer}}} \star {z}" + (f" + b_{{{layer}}}" if self.bias else "")

        return _nested_formula(_spaces(self), affine, self.activations)


class LightningAttention(Sequential):
    """Layers of lightning self-attention: X -> Σ_h V_h X Xᵀ K_hᵀ Q_h X, where the columns of X are tokens.

    Parameters
    ----------
    d_model : int
        Number of features of a token, d.
    d_key : int
        Rows of the keys K and queries Q, a. Above d_model it changes nothing but the number of parameters, since only
        the d × d matrix KᵀQ matters.
    d_out : int, optional
        Number of features of a token of the result, d'; by default d_model. Between layers it is d_model.
    n_tokens : int
        Number of tokens, t.
    n_layers, n_heads : int
        Number of layers, and of heads in each of them; heads have their own K, Q and V and are summed.

    Attributes
    ----------
    d_model, d_key, d_out, n_tokens, n_layers, n_heads : int
    n_inputs, n_outputs, n_params, degree, basis, program, layers, input_shape, output_shape
        See `Network` and `Sequential`. Inputs are X token by token, outputs likewise. Parameters are ordered layer by
        layer, head by head: K (a, d), Q (a, d), V (d', d), row-major; "K1", "Q1", "V1" for the first layer, "K1_2" in
        its second head where there are several.

    Raises
    ------
    TypeError, ValueError
        For sizes that are not integers >= 1, or no ``n_tokens``.
    OverflowError, MemoryError
        If the network would not fit, before anything is allocated.

    Notes
    -----
    There is no softmax, so each layer is a cubic map. With one layer and head, two tokens or more and a <= d the
    dimension is a(2d - a) + d d' - 1.

    Source: N. W. Henry, G. L. Marchetti, K. Kohn, *Geometry of lightning self-attention: identifiability and
    dimension*, ICLR 2025, arXiv:2408.17221.

    Examples
    --------
    >>> net = LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2)
    >>> net.n_inputs, net.n_outputs, net.n_params, net.degree
    (4, 2, 10, 3)
    >>> {name: array.tolist() for name, array in net.unpack(range(10)).items()}
    {'K1': [[0, 1], [2, 3]], 'Q1': [[4, 5], [6, 7]], 'V1': [[8, 9]]}
    """

    def __init__(
        self,
        d_model: int,
        d_key: int,
        d_out: int | None = None,
        n_tokens: int | None = None,
        n_layers: int = 1,
        n_heads: int = 1,
    ) -> None:
        if n_tokens is None:
            raise TypeError("`n_tokens` must be given, the number of tokens")
        self.d_model = as_index(d_model, "d_model", 1, INT32_MAX)
        self.d_key = as_index(d_key, "d_key", 1, INT32_MAX)
        self.d_out = self.d_model if d_out is None else as_index(d_out, "d_out", 1, INT32_MAX)
        self.n_tokens = as_index(n_tokens, "n_tokens", 1, INT32_MAX)
        self.n_layers = as_index(n_layers, "n_layers", 1, _MAX_LAYERS)
        self.n_heads = as_index(n_heads, "n_heads", 1, INT32_MAX)
        inner, last = (Attention(self.d_key, d, self.n_heads) for d in (self.d_model, self.d_out))
        self._assemble((*(inner,) * (self.n_layers - 1), last), (self.n_tokens, self.d_model))

    def _key(self) -> tuple[Any, ...]:
        return self.d_model, self.d_key, self.d_out, self.n_tokens, self.n_layers, self.n_heads

    def __reduce__(self) -> tuple[Any, ...]:
        return LightningAttention, self._key()

    def _with_coefficients(self, values: Mapping[Indeterminate, Number]) -> LightningAttention:
        return self

    def __repr__(self) -> str:
        words = [f"{name}={getattr(self, name)}" for name in ("d_model", "d_key", "d_out", "n_tokens")]
        words += [f"{name}={getattr(self, name)}" for name in ("n_layers", "n_heads") if getattr(self, name) > 1]
        return f"LightningAttention({', '.join(words)})"


# --- batches ----------------------------------------------------------------------------------------------------------


def _as_batch(batch: object) -> tuple[int, ...]:
    if not isinstance(batch, (tuple, list)):
        return (as_index(batch, "batch", 0, INT64_MAX),)
    if len(batch) > _MAX_BATCH_AXES:
        raise ValueError(f"`batch` must have at most {_MAX_BATCH_AXES} axes, got {len(batch)}")
    return tuple(as_index(n, f"batch[{i}]", 0, INT64_MAX) for i, n in enumerate(batch))


# --- the MLP family ---------------------------------------------------------------------------------------------------


def as_widths(widths: object) -> tuple[int, ...]:
    entries = as_sequence(widths, "widths")
    check_n_layers(len(entries), "widths")
    result = tuple(as_index(width, f"widths[{i}]", 1, INT32_MAX) for i, width in enumerate(entries))
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
    checked = {activation: program.Activation(0, activation.coefficients) for activation in set(activations)}
    instructions: list[program.Instruction] = [_affine(0, widths[1], bias)]
    for width, activation in zip(widths[2:], activations):
        instructions.append(checked[activation]._reading(len(instructions)))
        instructions.append(_affine(len(instructions), width, bias))
    return Program(widths[0], instructions)


@lru_cache(maxsize=4096)
def _affine(slot: int, n_out: int, bias: bool) -> program.Affine:
    """The instruction; the networks of a sweep share theirs."""
    return program.Affine(slot, n_out, bias)


# --- the convolutional family -----------------------------------------------------------------------------------------


def _as_filters(filters: object) -> tuple[int | Pair, ...]:
    entries = _entries(filters, "filters")
    check_n_layers(len(entries), "filters")
    result = tuple(as_extent(entry, f"filters[{k}]") for k, entry in enumerate(entries))
    if not result:
        raise ValueError("`filters` must have at least one entry, got none")
    if len({isinstance(entry, int) for entry in result}) > 1:
        raise ValueError(f"`filters` must be all lengths (signals) or all pairs (images), got {result}")
    return result


def _as_strides(stride: object, filters: tuple[int | Pair, ...]) -> tuple[int | Pair, ...]:
    entries = _entries(stride, "stride", len(filters))
    if len(entries) != len(filters):
        raise ValueError(f"`stride` must have one entry a layer ({len(filters)}), got {len(entries)} entries")
    strides = [as_extent(entry, f"stride[{k}]" if entries is stride else "stride") for k, entry in enumerate(entries)]
    if isinstance(filters[0], int):
        for k, entry in enumerate(strides):
            if not isinstance(entry, int):
                raise ValueError(f"`stride[{k}]` must be an integer for filters over signals, got {entry}")
        return tuple(strides)
    return tuple((entry, entry) if isinstance(entry, int) else entry for entry in strides)


def _as_channels(channels: object, n_layers: int) -> tuple[int | None, tuple[int, ...]]:
    """The features of the input, None if not given, and the channels of each layer."""
    entries = [1] * n_layers if channels is None else _entries(channels, "channels", n_layers)
    if len(entries) not in (n_layers, n_layers + 1):
        raise ValueError(
            f"`channels` must have one entry a layer ({n_layers}), or one more that comes first, the features of the "
            f"input, got {len(entries)} entries"
        )
    checked = tuple(as_index(entry, f"channels[{k}]", 1, INT32_MAX) for k, entry in enumerate(entries))
    return (checked[0] if len(checked) > n_layers else None), checked[-n_layers:]


def _as_cnn_shape(
    n_inputs: object, n_features: int | None, filters: tuple[int | Pair, ...], strides: tuple[int | Pair, ...]
) -> DataShape:
    """Shape of the inputs, without an axis for a single feature; ValueError if a filter is longer than what it sees."""
    n_axes = 1 if isinstance(filters[0], int) else 2
    extents = [[entry] if isinstance(entry, int) else list(entry) for entry in filters]
    steps = [[entry] if isinstance(entry, int) else list(entry) for entry in strides]
    if n_inputs is None:
        field = [1] * n_axes
        for extent, step in zip(reversed(extents), reversed(steps)):
            field = [(n - 1) * s + k for n, s, k in zip(field, step, extent)]
        if math.prod(field) > INT32_MAX:
            seen = _format_int(math.prod(field))
            raise OverflowError(f"`filters` and `stride` make one output see {seen} positions, and 2^31 are too many")
        shape: DataShape = tuple(field)
    else:
        shape = as_data_shape(n_inputs, "n_inputs")
        if len(shape) not in (n_axes, n_axes + 1):
            wanted = "n or (n, n_features)" if n_axes == 1 else "(height, width) or (height, width, n_features)"
            raise ValueError(f"`n_inputs` must be {wanted}, got {n_inputs!r}")
    given = shape[n_axes] if len(shape) > n_axes else None
    if given is not None and n_features is not None and given != n_features:
        raise ValueError(f"`n_inputs` has {given} features and `channels` begins with {n_features}; they must agree")
    size = shape[:n_axes]
    for layer, (extent, step) in enumerate(zip(extents, steps)):
        if any(k > n for k, n in zip(extent, size)):
            seen = " × ".join(map(str, size))
            raise ValueError(
                f"`filters[{layer}]`={filters[layer]} must be no longer than the {seen} positions that layer "
                f"{layer + 1} sees (`n_inputs`={_shape_text(shape)})"
            )
        size = tuple((n - k) // s + 1 for n, k, s in zip(size, extent, step))
    features = given or n_features or 1
    shape = shape[:n_axes] if features == 1 else (*shape[:n_axes], features)
    return as_data_shape(shape, "n_inputs")


def _entries(value: object, name: str, n_layers: int = 1) -> Sequence[object]:
    """One entry a layer from a sequence, or from one integer for all."""
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return value
    try:
        return (as_index(value, name, 1, INT32_MAX),) * n_layers
    except TypeError:
        raise TypeError(
            f"`{name}` must be an integer, or a sequence with one entry a layer, got {_describe(value)}"
        ) from None


# --- layers, formulas -------------------------------------------------------------------------------------------------


def _alternating(linear: Sequence[Layer], activations: Sequence[ActivationPolynomial]) -> tuple[Layer, ...]:
    """Linear layers with activations between them."""
    between = [[Activation(activation), layer] for activation, layer in zip(activations, linear[1:])]
    return (linear[0], *itertools.chain.from_iterable(between))


def _with_values(layer: Activation, values: Mapping[Indeterminate, Number]) -> Activation:
    return Activation(ActivationPolynomial(substitute(layer.polynomial.coefficients, values)))


def _shape_text(shape: DataShape) -> str:
    return str(shape[0] if len(shape) == 1 else shape)


def _spaces(net: Sequential) -> str:
    """f: R^n -> R^m in LaTeX, with the shapes of the data but for axes of length 1."""
    shapes = ([n for n in shape if n > 1] or [1] for shape in (net.input_shape, net.output_shape))
    source, target = (r" \times ".join(map(str, shape)) for shape in shapes)
    return rf"f\colon \mathbb{{R}}^{{{source}}} \to \mathbb{{R}}^{{{target}}}"


def _nested_formula(
    spaces: str, affine: Callable[[int, str], str], activations: tuple[ActivationPolynomial, ...]
) -> str:
    """Affine maps and activations in turn, as one nested formula."""
    n_layers = len(activations) + 1
    distinct = len(set(activations)) > 1

    def sigma(layer: int, z: str) -> str:
        return (rf"\sigma_{{{layer}}}" if distinct else r"\sigma") + rf"\left({z}\right)"

    formula = affine(1, "x")
    for layer in range(2, n_layers + 1):
        abbreviated = n_layers > 4 and 2 < layer < n_layers
        if not abbreviated:
            formula = affine(layer, sigma(layer - 1, formula))
        elif layer == 3:
            formula = r"\cdots " + formula + r" \cdots"
    shown = list(enumerate(activations, 1)) if distinct else [(0, a) for a in activations[:1]]
    names = [rf"\sigma_{{{layer}}}(z)" if layer else r"\sigma(z)" for layer, _ in shown]
    definitions = [f"{name} = {a.text('z', latex=True)}" for name, (_, a) in zip(names, shown)]
    if len(definitions) > 4:
        definitions = [*definitions[:3], r"\ldots", definitions[-1]]
    return "$" + r",\quad ".join([spaces, f"f(x) = {formula}", *definitions]) + "$"
