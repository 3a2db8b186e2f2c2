# SPDX-License-Identifier: BSD-3-Clause
"""Programs: networks as short straight-line programs, and the reference executor that gives them a meaning.

A program is a list of instructions on *slots*, vectors of values. Slot 0 holds the inputs, instruction k writes slot
k + 1, the last slot is the output. What a value is, is the choice of an *interpretation*: numbers at sample points
evaluate the network, forms (polynomials) expand it. Numbers live in a *ring*: floats, complex numbers, GF(p), or dual
numbers over one of these, which turn a sweep into its tangent.

Legend for the shapes below: ``B`` batch of parameters, ``P = n_params``, ``O = n_outputs``, ``N = n_monomials``,
``S = n_samples``. A *block* is an array (..., width, length): all values of a slot, each of ``length`` numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _backend
from ._backend import Kernels
from ._interpretations import (
    Cotangents,
    Derivatives,
    DualForms,
    Forms,
    Interpretation,
    SampleCotangents,
    Values,
    compose,
)
from ._rings import Array, DualNumbers, Numbers, Ring
from ._validation import (
    INT32_MAX,
    _describe,
    _format_int,
    as_index,
    check_finite,
    check_modulus,
    check_shape,
    check_size,
)
from .errors import NumericalError
from .instructions import (
    GENERIC,
    KINDS,
    Activation,
    Add,
    Affine,
    Coefficient,
    Indeterminate,
    Instruction,
    MatMul,
    Number,
    Select,
)
from .monomials import MonomialBasis
from .support import MonomialSupport

__all__ = [
    "Activation",
    "Add",
    "Affine",
    "Coefficient",
    "Indeterminate",
    "Instruction",
    "Interpreter",
    "MatMul",
    "Number",
    "ParameterBlock",
    "Program",
    "Select",
]

# Samples are evaluated this many at a time, so that memory does not grow with their number.
_SAMPLES = 1024


@dataclass(frozen=True)
class ParameterBlock:
    """Where an array of parameters sits in ``theta``: instruction ``k`` reads ``theta[start:stop]`` as ``shape``."""

    instruction: int
    kind: str  # "W" or "b"
    start: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return math.prod(self.shape)

    @property
    def stop(self) -> int:
        """One past the last position."""
        return self.start + self.size


# -- the program ------------------------------------------------------------------------------------------------------


class Program:
    """A network as a straight-line program, with its static analysis.

    Parameters
    ----------
    n_inputs : int
        Width of slot 0.
    instructions : sequence of Affine, Activation, Select, Add and MatMul
        Instruction k reads slots <= k and writes slot k + 1; the last slot is the output.

    Attributes
    ----------
    n_inputs, n_outputs, n_params : int
    widths, degrees : tuple of int
        Width and degree of each slot.
    homogeneous : bool
        True iff there is no bias, every activation is a monomial c z^r and every sum is of slots of equal degree: then
        every slot holds forms of exactly its degree, otherwise polynomials of at most that degree.
    basis : MonomialBasis
        Of the output.
    is_generic : bool
        Whether an activation has a coefficient without a value, an `Indeterminate`. Then only GF(p) can run the
        program, on the random residues of `constants`; `Network.specialize` gives it numbers.
    parameters : tuple of ParameterBlock
        Layout of ``theta``.

    Raises
    ------
    TypeError, ValueError
        If there is no instruction, or one is malformed or reads a slot that is not yet written.

    Examples
    --------
    >>> program = Program(2, [Affine(0, 2), Activation(1, (0, 0, 1)), Affine(2, 1)])
    >>> program.n_params, program.degree, program.homogeneous, program.n_monomials
    (6, 2, True, 3)
    >>> Interpreter(2, program.as_tuples(), _backend.load("numpy")).expand(np.array([1., 2., 3., 4., 5., 6.]))
    array([[ 59., 164., 116.]])
    """

    def __init__(self, n_inputs: int, instructions: Sequence[Instruction]) -> None:
        self.n_inputs = as_index(n_inputs, "n_inputs", 1, INT32_MAX)
        if not isinstance(instructions, Sequence) or isinstance(instructions, (str, bytes)):
            raise TypeError(f"`instructions` must be a sequence of instructions, got {_describe(instructions)}")
        self.instructions = tuple(instructions)
        if not self.instructions:
            raise ValueError("`instructions` must have at least one entry, got none")
        widths, degrees = [self.n_inputs], [1]
        parameters: list[ParameterBlock] = []
        position = 0
        homogeneous = True
        for k, instruction in enumerate(self.instructions):
            if not isinstance(instruction, Instruction):
                raise TypeError(f"`instructions[{k}]` must be an instruction of polycore.program, got {instruction!r}")
            for slot in instruction.inputs:
                if slot > k:
                    raise ValueError(
                        f"`instructions[{k}]` reads slot {_format_int(slot)}, which is not written before it"
                    )
            try:
                width = instruction.width_out(widths)
            except ValueError as error:
                raise ValueError(f"`instructions[{k}]`: {error}") from None
            if isinstance(instruction, Affine):
                homogeneous &= not instruction.bias
                columns = instruction.window_size(widths[instruction.input])
                shapes = [("W", (instruction.n_out, columns)), ("b", (instruction.n_out,))]
                for kind, shape in shapes if instruction.bias else shapes[:1]:
                    parameters.append(ParameterBlock(k, kind, position, shape))
                    position = parameters[-1].stop
            elif isinstance(instruction, Activation):
                homogeneous &= instruction.is_homogeneous
            elif isinstance(instruction, Add):
                homogeneous &= len({degrees[slot] for slot in instruction.inputs}) == 1
            widths.append(width)
            degrees.append(instruction.degree_out(degrees))
        self.widths, self.degrees = tuple(widths), tuple(degrees)
        self.parameters = tuple(parameters)
        self.n_outputs, self.n_params, self.degree = widths[-1], position, degrees[-1]
        self.homogeneous = homogeneous
        self.is_generic = bool(self.indeterminates)
        self.basis = MonomialBasis(self.n_inputs, self.degree, self.homogeneous)

    @property
    def n_monomials(self) -> int:
        """Number of coefficients of each output, an exact Python int of any size."""
        return self.basis.n_monomials

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activations in program order."""
        return tuple(i for i in self.instructions if isinstance(i, Activation))

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """The instructions that read each slot, in program order."""
        readers: list[list[int]] = [[] for _ in self.widths]
        for k, instruction in enumerate(self.instructions):
            for slot in dict.fromkeys(instruction.inputs):
                readers[slot].append(k)
        return tuple(map(tuple, readers))

    def as_tuples(self) -> list[tuple[Any, ...]]:
        """The instructions as the executors take them, activation coefficients exact."""
        return [instruction.as_tuple() for instruction in self.instructions]

    @property
    def indeterminates(self) -> tuple[Indeterminate, ...]:
        """The distinct coefficients without a value, in program order."""
        return tuple(dict.fromkeys(c for a in self.activations for c in a.coefficients if isinstance(c, Indeterminate)))

    def constants(self, modulus: int, generator: np.random.Generator | None = None) -> NDArray[np.uint64]:
        """Residues of all activation coefficients, concatenated, in program order.

        A float is the dyadic rational it stands for, so 0.5 is the inverse of 2 and 0.1 is not that of 10.

        Parameters
        ----------
        modulus : int
            A prime below 2^61.
        generator : numpy.random.Generator, optional
            For a generic program: each distinct `Indeterminate` is drawn once, uniformly from GF(modulus), leading ones
            from its non-zero elements, so that the degrees stay what they are.

        Returns
        -------
        ndarray of uint64, shape (n_constants,)

        Raises
        ------
        TypeError
            If ``generator`` is not a numpy Generator.
        ValueError
            If ``modulus`` is not a prime below 2^61 or divides a denominator, or if the program is generic and there is
            no ``generator``.

        Examples
        --------
        >>> Program(1, [Activation(0, (0, 0.5, 3))]).constants(7)
        array([0, 4, 3], dtype=uint64)
        """
        p = check_modulus(modulus)
        if generator is None:
            self.require_concrete()
        elif not isinstance(generator, np.random.Generator):
            raise TypeError(f"`generator` must be a numpy Generator, got {_describe(generator)}")
        residues: list[int] = []
        if generator is None or not self.is_generic:
            for activation in self.activations:
                residues += _residues(activation.coefficients, p)
        else:
            leading = {activation.coefficients[-1] for activation in self.activations}
            drawn = {c: int(generator.integers(int(c in leading), p)) for c in self.indeterminates}
            for c in (c for activation in self.activations for c in activation.coefficients):
                residues += [drawn[c]] if isinstance(c, Indeterminate) else _residues((c,), p)
        return np.array(residues, dtype=np.uint64)

    def require_concrete(self) -> None:
        """ValueError if the program `is_generic`: for what needs the values of all coefficients."""
        if self.is_generic:
            raise ValueError(GENERIC)

    @cached_property
    def engine(self) -> Any:
        """The executor of the backend in use: ``_core.Program`` or an `Interpreter` (same methods)."""
        kernels = _backend.kernels()
        # The compiled executor counts the members of a batch by their parameters, so it takes at least one.
        if _backend.name() == "cpp" and self.n_params:
            return kernels.Program(self.n_inputs, self._float_tuples())  # type: ignore[attr-defined]
        return Interpreter(self.n_inputs, self.as_tuples(), kernels)

    @cached_property
    def reference(self) -> Interpreter:
        """The interpreter on the numpy kernels; it also takes ``theta`` of dtype object (exact ints and Fractions)."""
        return Interpreter(self.n_inputs, self.as_tuples(), _backend.load("numpy"))

    @cached_property
    def support(self) -> MonomialSupport:
        """The monomials that can occur in an output, whatever the parameters; found on first use.

        Raises
        ------
        OverflowError, MemoryError
            If they are too many to be listed.
        """
        words = np.ascontiguousarray(self.engine.support(), dtype=np.uint32)
        return MonomialSupport._from_words(self.basis, words)

    def _float_tuples(self) -> list[tuple[Any, ...]]:
        """The instructions as the compiled executor takes them: floats, and None for indeterminates."""
        tuples: list[tuple[Any, ...]] = []
        for instruction in self.instructions:
            if isinstance(instruction, Activation):
                numbers = [None if isinstance(c, Indeterminate) else _as_float(c) for c in instruction.coefficients]
                tuples.append((instruction.kind, instruction.input, numbers))
            else:
                tuples.append(instruction.as_tuple())
        return tuples

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Program):
            return NotImplemented
        return self.n_inputs == other.n_inputs and self.instructions == other.instructions

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.n_inputs, self.instructions))

    def __repr__(self) -> str:
        return f"Program({self.n_inputs}, {list(self.instructions)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Program, (self.n_inputs, self.instructions)  # an engine is not data


# -- the executor -----------------------------------------------------------------------------------------------------


class Interpreter:
    """Runs a program on the kernels of a backend: the reference executor, and the fallback for ``_core.Program``.

    Parameters
    ----------
    n_inputs : int
    instructions : list of tuples
        Kind and fields, as `Program.as_tuples` gives them.
    kernels : Kernels
        Graded product and correlation.

    Notes
    -----
    Two sweeps are written out, each once: `_forward` and `_reverse`. The tangent of either is the same sweep over dual
    numbers. ``theta`` has dtype float64, complex128, uint64 (with ``modulus`` and ``constants``) or object (exact
    Python numbers). ``n_threads`` is accepted and ignored.

    Methods raise ValueError naming the argument when an input has a NaN or infinity, NumericalError when a result
    overflows.
    """

    def __init__(self, n_inputs: int, instructions: Sequence[tuple[Any, ...]], kernels: Kernels) -> None:
        self.program = Program(n_inputs, [_as_instruction(k, fields) for k, fields in enumerate(instructions)])
        self.kernels = kernels
        self.n_inputs, self.n_outputs = self.program.n_inputs, self.program.n_outputs
        self.n_params, self.degree = self.program.n_params, self.program.degree
        self.homogeneous = self.program.homogeneous

    @property
    def n_monomials(self) -> int:
        """Number of coefficients of each output."""
        return self.program.n_monomials

    def evaluate(
        self,
        theta: Array,
        X: Array,
        out: Array | None = None,
        modulus: int = 0,
        constants: Array | None = None,
        n_threads: int = 0,
    ) -> Array:
        """Values at the points X (S, n_inputs): (..., S, O)."""
        self._check(theta, "theta", self.n_params)
        _check_finite(X, "X")
        check_shape(X, "X", ("n_samples", ("n_inputs", self.n_inputs)))
        ring = self._ring(theta, modulus)
        parameters, coefficients = ring.lift(_flat(theta)), self._constants(ring, constants)
        values = ring.zeros((len(parameters), len(X), self.n_outputs))
        with _quiet():
            for start in range(0, len(X), _SAMPLES):
                samples = slice(start, start + _SAMPLES)
                outputs = self._forward(Values(ring, X[samples]), parameters, coefficients)[-1]
                values[:, samples] = outputs.swapaxes(-1, -2)
            return self._result(values, theta, (len(X), self.n_outputs), out)

    def evaluate_vjp(
        self,
        theta: Array,
        X: Array,
        dY: Array,
        out: Array | None = None,
        modulus: int = 0,
        constants: Array | None = None,
        n_threads: int = 0,
    ) -> Array:
        """Gradient of <dY[s], f(X[s])> for each point of X (S, n_inputs), with dY (S, O): (..., S, P)."""
        self._check(theta, "theta", self.n_params)
        _check_finite(X, "X")
        check_shape(X, "X", ("n_samples", ("n_inputs", self.n_inputs)))
        _check_finite(dY, "dY")
        check_shape(dY, "dY", (("n_samples", len(X)), ("n_outputs", self.n_outputs)))
        shape = (len(X), self.n_params)
        ring = self._ring(theta, modulus)
        check_size(len(X) * theta.size, theta.itemsize, "the gradients")
        parameters, coefficients = ring.lift(_flat(theta)), self._constants(ring, constants)
        gradients = ring.zeros((len(parameters), *shape))
        with _quiet():
            for start in range(0, len(X), _SAMPLES):
                samples = slice(start, start + _SAMPLES)
                values = Values(ring, X[samples])
                slots = self._forward(values, parameters, coefficients)
                seed = ring.lift(dY[samples].T[None])
                cotangents = SampleCotangents(values)
                for block, bar in self._reverse(values, cotangents, slots, parameters, coefficients, seed):
                    columns = bar.reshape(len(bar), block.size, bar.shape[-1]).swapaxes(-1, -2)
                    gradients[:, samples, block.start : block.stop] = columns
            return self._result(gradients, theta, shape, out)

    def support(self) -> Array:
        """The monomials that can occur in an output, as words of `MonomialSupport`: (n, degree), uint32."""
        return self._words

    @cached_property
    def _words(self) -> Array:
        return np.asarray(self._sparse.support_words(self.program))

    @cached_property
    def _sparse(self) -> Any:
        from . import _sparse  # which is made of instructions

        return _sparse

    def expand(
        self,
        theta: Array,
        out: Array | None = None,
        modulus: int = 0,
        constants: Array | None = None,
        n_threads: int = 0,
        support: bool = False,
    ) -> Array:
        """Coefficients of the outputs: (..., O, N); with ``support`` only those on the support, here and below."""
        self._check(theta, "theta", self.n_params)
        ring = self._ring(theta, modulus)
        with _quiet():
            outputs = self._expand(ring, ring.lift(_flat(theta)), self._constants(ring, constants), support)
            return self._result(outputs, theta, self._coefficient_shape(support), out)

    def jacobian(
        self,
        theta: Array,
        out: Array | None = None,
        modulus: int = 0,
        constants: Array | None = None,
        n_threads: int = 0,
        support: bool = False,
    ) -> Array:
        """Jacobian of `expand`, rows output-major: (..., O N, P). One reverse sweep per output."""
        self._check(theta, "theta", self.n_params)
        ring = self._ring(theta, modulus)
        shape = (math.prod(self._coefficient_shape(support)), self.n_params)
        check_size(math.prod(shape) * max(1, theta.size // max(1, self.n_params)), theta.itemsize, "the Jacobian")
        parameters, coefficients = ring.lift(_flat(theta)), self._constants(ring, constants)
        batch = len(parameters)
        jacobian = ring.zeros((batch, *self._coefficient_shape(support), self.n_params))
        if support:
            with _quiet():
                for columns, tangent in self._sparse.tangents(
                    self.program, ring, parameters, coefficients, self._words
                ):
                    jacobian[..., columns] = np.moveaxis(tangent, -3, -1)
                return self._result(jacobian.reshape(batch, *shape), theta, shape, out)
        with _quiet():
            forms = self._forms(ring)
            slots = self._forward(forms, parameters, coefficients)
            for o in range(self.n_outputs):
                seed = ring.zeros((1, self.n_outputs, 1))  # ∂f_o/∂f_o = 1, a form of degree 0
                seed[0, o] = 1
                derivatives = Derivatives(forms, self.degree)
                for block, rows in self._reverse(forms, derivatives, slots, parameters, coefficients, seed):
                    rows = rows.reshape(len(rows), block.size, self.n_monomials).swapaxes(-1, -2)
                    jacobian[:, o, :, block.start : block.stop] = rows
            return self._result(jacobian.reshape(batch, *shape), theta, shape, out)

    def jvp(
        self,
        theta: Array,
        dtheta: Array,
        out: Array | None = None,
        modulus: int = 0,
        constants: Array | None = None,
        n_threads: int = 0,
        support: bool = False,
    ) -> Array:
        """Jacobian times dtheta (..., P): (..., O, N)."""
        self._check(theta, "theta", self.n_params)
        self._check(dtheta, "dtheta", self.n_params)
        ring = self._ring(theta, modulus)
        with _quiet():
            parameters = np.stack([_flat(theta), _flat(dtheta)])
            outputs = self._expand(DualNumbers(ring), parameters, self._constants(ring, constants), support)
            return self._result(outputs[1], theta, self._coefficient_shape(support), out)

    def vjp(
        self,
        theta: Array,
        dcoef: Array,
        out: Array | None = None,
        modulus: int = 0,
        constants: Array | None = None,
        n_threads: int = 0,
        support: bool = False,
    ) -> Array:
        """Transposed Jacobian (no conjugation) times dcoef (..., O, N): (..., P)."""
        self._check(theta, "theta", self.n_params)
        self._check(dcoef, "dcoef", *self._coefficient_shape(support))
        ring = self._ring(theta, modulus)
        with _quiet():
            gradient = self._gradient(ring, _flat(theta), _flat(dcoef, 2), self._constants(ring, constants), support)
            return self._result(gradient, theta, (self.n_params,), out)

    def vjp_tangent(
        self,
        theta: Array,
        dtheta: Array,
        dcoef: Array,
        ddcoef: Array,
        out: Array | None = None,
        n_threads: int = 0,
        support: bool = False,
    ) -> Array:
        """d/dε vjp(theta + ε dtheta, dcoef + ε ddcoef) at ε = 0: (..., P)."""
        self._check(theta, "theta", self.n_params)
        self._check(dtheta, "dtheta", self.n_params)
        self._check(dcoef, "dcoef", *self._coefficient_shape(support))
        self._check(ddcoef, "ddcoef", *self._coefficient_shape(support))
        ring = self._ring(theta, 0)
        with _quiet():
            parameters = np.stack([_flat(theta), _flat(dtheta)])
            seed = np.stack([_flat(dcoef, 2), _flat(ddcoef, 2)])
            gradient = self._gradient(DualNumbers(ring), parameters, seed, self._constants(ring, None), support)
            return self._result(gradient[1], theta, (self.n_params,), out)

    def loss_gradient(
        self, theta: Array, gram: Array, target: Array, n_threads: int = 0, support: bool = False
    ) -> tuple[Array, Array]:
        """Value (...) and gradient (..., P) of Σ_o <c_o - t_o, Q (c_o - t_o)>; gram (N, N), target (O, N)."""
        n_outputs, n_monomials = self._coefficient_shape(support)
        check_shape(gram, "gram", (("n_monomials", n_monomials), ("n_monomials", n_monomials)))
        check_shape(target, "target", (("n_outputs", n_outputs), ("n_monomials", n_monomials)))
        _check_finite(gram, "gram")
        _check_finite(target, "target")
        residual = self.expand(theta, support=support) - target
        with _quiet():
            weighted = residual @ gram
            value = np.asarray((residual * weighted).sum(axis=(-2, -1)))
            weighted = 2 * weighted
        _check_result(value)
        _check_result(weighted)
        return value, self.vjp(theta, weighted, support=support)

    # -- the sweeps ---------------------------------------------------------------------------------------------------

    def _forward(self, values: Interpretation, theta: Array, constants: list[list[Any]]) -> list[Array]:
        """All slots, given the parameters (..., B, P) in the ring."""
        ring, slots, degrees, activations = values.ring, [values.inputs], self.program.degrees, iter(constants)
        for k, instruction in enumerate(self.program.instructions):
            if isinstance(instruction, Affine):
                block = self._affine(k, instruction, values, theta, slots[instruction.input])
            elif isinstance(instruction, Activation):
                z, degree = slots[instruction.input], degrees[instruction.input]
                block = compose(values, next(activations), z, degree, degrees[k + 1])
            elif isinstance(instruction, Select):
                block = slots[instruction.input][..., list(instruction.indices), :]
            elif isinstance(instruction, Add):
                terms = [slots[slot] for slot in instruction.inputs]
                lead = np.broadcast_shapes(*(term.shape[:-1] for term in terms))
                block = ring.zeros((*lead, values.length(degrees[k + 1])))
                for term in terms:  # a polynomial of lower degree fills a prefix
                    part = block[..., : term.shape[-1]]
                    part[...] = ring.add(part, term)
            else:
                block = self._product(instruction, values, slots)
            slots.append(block)
        return slots

    def _reverse(
        self,
        values: Interpretation,
        cotangents: Cotangents,
        slots: list[Array],
        theta: Array,
        constants: list[list[Any]],
        seed: Array,
    ) -> Iterator[tuple[ParameterBlock, Array]]:
        """The cotangent of each parameter block that the output depends on, given that of the output."""
        ring, program = values.ring, self.program
        bars: dict[int, Array] = {len(program.instructions): seed}

        def add(slot: int, bar: Array) -> None:
            bars[slot] = ring.add(bars[slot], bar) if slot in bars else bar

        activations = iter(reversed(constants))
        for k in reversed(range(len(program.instructions))):
            instruction = program.instructions[k]
            coefficients = next(activations) if isinstance(instruction, Activation) else []
            if k + 1 not in bars:
                continue  # the output does not depend on this slot
            m, degree_out = bars.pop(k + 1), program.degrees[k + 1]
            degrees = [program.degrees[slot] for slot in instruction.inputs]
            if isinstance(instruction, Affine):
                windows = _windows(instruction, slots[instruction.input])
                m = _split(m, instruction.n_windows)
                for block in self._blocks[k]:
                    bar = (
                        cotangents.weights(m, windows, *degrees) if block.kind == "W" else cotangents.bias(m, *degrees)
                    )
                    yield block, ring.sum(bar, m.ndim - 3)
                if instruction.input:
                    m = ring.matmul(self._weights(k, theta)[..., None, :, :].swapaxes(-1, -2), m)
                    add(instruction.input, _gather(ring, m, instruction.windows, program.widths[instruction.input]))
            elif isinstance(instruction, Activation):
                if instruction.input and instruction.degree:
                    slope = [ring.scale(j, c) for j, c in enumerate(coefficients)][1:]
                    rest = degree_out - degrees[0]
                    derivative = compose(values, slope, slots[instruction.input], degrees[0], rest)
                    add(instruction.input, cotangents.pull_back(m, degrees[0], derivative, rest))
            elif isinstance(instruction, Select):
                if instruction.input:
                    positions = [(index,) for index in instruction.indices]
                    width = program.widths[instruction.input]
                    add(instruction.input, _gather(ring, m[..., :, None, :], positions, width))
            elif isinstance(instruction, Add):
                for slot, degree in zip(instruction.inputs, degrees):
                    if slot:
                        add(slot, cotangents.restrict(m, degree, degree_out))
            else:
                for slot, bar in self._factors(instruction, ring, cotangents, slots, m):
                    add(slot, bar)

    def _affine(self, k: int, instruction: Affine, values: Interpretation, theta: Array, z: Array) -> Array:
        ring = values.ring
        block = ring.matmul(self._weights(k, theta)[..., None, :, :], _windows(instruction, z))
        if instruction.bias:
            part = values.constant_part(block)
            part[...] = ring.add(part, self._bias(k, theta)[..., None, :, None])
        return _vector(block)

    def _product(self, instruction: MatMul, values: Interpretation, slots: list[Array]) -> Array:
        left, right = _matrices(instruction, slots)
        degree_left, degree_right = (self.program.degrees[slot] for slot in instruction.inputs)
        products = (
            values.multiply(left[..., i, None, :], degree_left, right[..., None, i, :, :], degree_right)
            for i in range(instruction.inner)
        )
        return _vector(reduce(values.ring.add, products))

    def _factors(
        self, instruction: MatMul, ring: Ring, cotangents: Cotangents, slots: list[Array], m: Array
    ) -> Iterator[tuple[int, Array]]:
        """The cotangents of the factors of a product but the inputs, each with its slot, given that of the product."""
        left, right = _matrices(instruction, slots)
        degree_left, degree_right = (self.program.degrees[slot] for slot in instruction.inputs)
        m = m.reshape(*m.shape[:-2], instruction.rows, instruction.cols, m.shape[-1])
        if instruction.left:
            parts = (
                cotangents.pull_back(m[..., :, None, j, :], degree_left, right[..., None, :, j, :], degree_right)
                for j in range(instruction.cols)
            )
            bar = reduce(ring.add, parts)
            yield instruction.left, _vector(bar.swapaxes(-2, -3) if instruction.transpose_left else bar)
        if instruction.right:
            parts = (
                cotangents.pull_back(m[..., i, None, :, :], degree_right, left[..., i, :, None, :], degree_left)
                for i in range(instruction.rows)
            )
            bar = reduce(ring.add, parts)
            yield instruction.right, _vector(bar.swapaxes(-2, -3) if instruction.transpose_right else bar)

    def _expand(self, ring: Ring, theta: Array, constants: list[list[Any]], support: bool) -> Array:
        """Coefficients (..., B, O, N) of the outputs, given the parameters (..., B, P) in the ring."""
        if support:
            return np.asarray(self._sparse.expand(self.program, ring, theta, constants, self._words))
        return self._forward(self._forms(ring), theta, constants)[-1]

    def _gradient(self, ring: Ring, theta: Array, seed: Array, constants: list[list[Any]], support: bool) -> Array:
        """Cotangent of the parameters (..., B, P) given that of the coefficients (..., B, O, N)."""
        if support:
            return np.asarray(self._sparse.gradient(self.program, ring, theta, seed, constants, self._words))
        forms = self._forms(ring)
        slots = self._forward(forms, theta, constants)
        gradient = ring.zeros(theta.shape)
        for block, bar in self._reverse(forms, DualForms(forms), slots, theta, constants, seed):
            gradient[..., block.start : block.stop] = bar.reshape(*bar.shape[: theta.ndim - 1], block.size)
        return gradient

    # -- parameters, constants, results -------------------------------------------------------------------------------

    @cached_property
    def _blocks(self) -> list[list[ParameterBlock]]:
        """The parameter blocks of each instruction."""
        blocks: list[list[ParameterBlock]] = [[] for _ in self.program.instructions]
        for block in self.program.parameters:
            blocks[block.instruction].append(block)
        return blocks

    def _weights(self, k: int, theta: Array) -> Array:
        block = self._blocks[k][0]
        return theta[..., block.start : block.stop].reshape(*theta.shape[:-1], *block.shape)

    def _bias(self, k: int, theta: Array) -> Array:
        block = self._blocks[k][1]
        return theta[..., block.start : block.stop]

    def _coefficient_shape(self, support: bool) -> tuple[int, int]:
        return self.n_outputs, len(self._words) if support else self.n_monomials

    def _ring(self, theta: Array, modulus: int) -> Numbers:
        # The compiled kernels know no Python objects.
        kernels = _backend.load("numpy") if theta.dtype.kind == "O" else self.kernels
        return Numbers(kernels, theta.dtype, modulus)

    def _forms(self, ring: Ring) -> Forms:
        check_size(self.n_outputs * self.n_monomials, 8, "the vector of coefficients", "use evaluate")
        return Forms(ring, self.n_inputs, self.homogeneous)

    def _constants(self, ring: Numbers, residues: Array | None) -> list[list[Any]]:
        """Activation coefficients in the ring, one list for each activation."""
        activations = self.program.activations
        if not ring.modulus:
            convert: Callable[[Number], Any] = _as_exact if ring.dtype.kind == "O" else _as_float
            return [[convert(c) for c in a.numbers] for a in activations]
        sizes = [len(a.coefficients) for a in activations]
        if residues is None:
            raise ValueError("`constants` is required with `modulus`")
        check_shape(residues, "constants", (("n_constants", sum(sizes)),))
        ends = np.cumsum(sizes)
        return [list(residues[end - size : end]) for size, end in zip(sizes, ends)]

    def _check(self, array: Array, name: str, *sizes: int) -> None:
        symbols = ("n_params",) if len(sizes) == 1 else ("n_outputs", "n_monomials")
        check_shape(array, name, (..., *zip(symbols, sizes)))
        _check_finite(array, name)

    def _result(self, result: Array, theta: Array, shape: tuple[int, ...], out: Array | None) -> Array:
        """The result with the batch axes of theta, checked for overflow."""
        _check_result(result)
        batch = theta.shape[:-1]
        result = np.broadcast_to(result, (math.prod(batch), *shape)).reshape(*batch, *shape)
        if out is None:
            return np.array(result, dtype=theta.dtype, order="C")
        out[...] = result
        return out


# -- helpers ----------------------------------------------------------------------------------------------------------


def _as_instruction(k: int, fields: tuple[Any, ...]) -> Instruction:
    if fields[0] not in KINDS:
        raise ValueError(f"`instructions[{k}]` must begin with one of {', '.join(KINDS)}, got {fields!r}")
    return KINDS[fields[0]](*fields[1:])


def _windows(instruction: Affine, z: Array) -> Array:
    """The values in the windows of a slot: (..., n_windows, window_size, length)."""
    return z[..., None, :, :] if instruction.windows is None else z[..., np.array(instruction.windows), :]


def _split(m: Array, n_parts: int) -> Array:
    """A slot (..., n_parts * n, length) as (..., n_parts, n, length)."""
    return m.reshape(*m.shape[:-2], n_parts, m.shape[-2] // n_parts, m.shape[-1])


def _vector(block: Array) -> Array:
    """A matrix of values (..., rows, cols, length) as a slot (..., rows * cols, length)."""
    return block.reshape(*block.shape[:-3], block.shape[-3] * block.shape[-2], block.shape[-1])


def _gather(ring: Ring, m: Array, windows: Sequence[Sequence[int]] | None, width: int) -> Array:
    """The transpose of taking windows: each (..., n_windows, window_size, length) is added at its positions."""
    if windows is None:
        return m[..., 0, :, :]
    bar = ring.zeros((*m.shape[:-3], width, m.shape[-1]))
    for w, window in enumerate(windows):
        positions = list(window)
        bar[..., positions, :] = ring.add(bar[..., positions, :], m[..., w, :, :])
    return bar


def _matrices(instruction: MatMul, slots: Sequence[Array]) -> tuple[Array, Array]:
    """The two matrices of values, (..., rows, inner, length) and (..., inner, cols, length)."""
    left, right = slots[instruction.left], slots[instruction.right]
    left = _split(left, instruction.inner if instruction.transpose_left else instruction.rows)
    right = _split(right, instruction.cols if instruction.transpose_right else instruction.inner)
    return (
        left.swapaxes(-2, -3) if instruction.transpose_left else left,
        right.swapaxes(-2, -3) if instruction.transpose_right else right,
    )


@lru_cache(maxsize=256)
def _residues(coefficients: tuple[Number, ...], p: int) -> tuple[int, ...]:
    residues = []
    for c in coefficients:
        q = Fraction(c)
        if q.denominator % p == 0:
            raise ValueError(f"the activation coefficient {c} has a denominator divisible by modulus={p}")
        residues.append(q.numerator * pow(q.denominator, -1, p) % p)
    return tuple(residues)


def _as_float(c: Number) -> float:
    try:
        value = float(c)
    except OverflowError:
        value = math.inf
    if math.isinf(value) or (value == 0 and c != 0):
        raise OverflowError("an activation coefficient is out of range for float64; use dtype=object")
    return value


def _as_exact(c: Number) -> int | Fraction:
    return c if isinstance(c, int) else Fraction(c)


def _flat(x: Array, n_axes: int = 1) -> Array:
    """All batch axes joined into one."""
    split = x.ndim - n_axes
    return x.reshape(math.prod(x.shape[:split]), *x.shape[split:])


def _quiet() -> np.errstate:
    """Overflow shows in the result, where it is reported as NumericalError."""
    return np.errstate(over="ignore", invalid="ignore", under="ignore")


def _check_finite(array: Array, name: str) -> None:
    if array.dtype.kind in "fc":
        check_finite(array, name)


def _check_result(result: Array) -> None:
    if result.dtype.kind in "fc" and not np.isfinite(result).all():
        raise NumericalError("a result overflowed to infinity; scale the parameters or the data")
