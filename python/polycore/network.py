# SPDX-License-Identifier: BSD-3-Clause
"""A network: a program, names for its parameters, and the doors to all that is known of it.

Nothing here depends on the family, nor on layers: those are in `polycore.networks`.

Source: J. Kileel, M. Trager, J. Bruna, *On the expressive power of deep polynomial neural networks*, NeurIPS 2019,
arXiv:1905.12207, for the map from parameters to coefficients and its image.

Legend for the shapes below: ``n_params`` parameters, ``n_inputs`` = n_vars variables, ``n_outputs`` outputs,
``n_monomials`` monomials in ``basis``, ``n_samples`` points; ``...`` is any number of batch axes over parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ._validation import (
    INT64_MAX,
    Array,
    _describe,
    _to_array,
    as_index,
    as_rng,
    check_modulus,
    check_shape,
    check_size,
)
from .instructions import Activation, Indeterminate, Number, substitute
from .layers import DataShape
from .polynomial_map import PolynomialMap, common_batch
from .program import ParameterBlock, Program

if TYPE_CHECKING:
    from .canonical import Alignment
    from .membership import Membership
    from .recovery import Recovery
    from .spans import LinearSpan
    from .symmetries import SymmetryGroup

__all__ = ["Network"]

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
        >>> from polycore import CNN, MLP
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
        >>> from polycore import GenericActivation, MLP
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
        >>> from polycore import MLP
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
        >>> from polycore import MLP
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
        >>> from polycore import MLP
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
        >>> from polycore import MLP
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
        >>> from polycore import LightningAttention
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
        >>> from polycore import MLP
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
        >>> from polycore import MLP
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
        >>> from polycore import MLP
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
        >>> from polycore import MLP
        >>> MLP((3, 2, 1), activation=[0, 1, 0, 1]).linear_span()  # no terms of even degree
        MLP((3, 2, 1), activation=([0, 1, 0, 1],))
          span        13 of 20 (ambient), proved
          coordinates x1, x2, x3, x1^3, x1^2*x2, x1^2*x3, x1*x2^2, x1*x2*x3, x1*x3^2, x2^3, ... (3 more)
        """
        from .spans import span_of_program

        return span_of_program(self.program, rng, 1e-12, repr(self))


# --- batches ----------------------------------------------------------------------------------------------------------


def _as_batch(batch: object) -> tuple[int, ...]:
    if not isinstance(batch, (tuple, list)):
        return (as_index(batch, "batch", 0, INT64_MAX),)
    if len(batch) > _MAX_BATCH_AXES:
        raise ValueError(f"`batch` must have at most {_MAX_BATCH_AXES} axes, got {len(batch)}")
    return tuple(as_index(n, f"batch[{i}]", 0, INT64_MAX) for i, n in enumerate(batch))
