# SPDX-License-Identifier: BSD-3-Clause
"""The dimension of a network's function space, exact, and saying what is proved.

The functions of a network form the image of the map μ from parameters to coefficients. The dimension of (the closure
of) the image is the rank of the Jacobian of μ at almost every parameter vector. The rank found modulo a prime, at one
random point, is never more than that, so it is a certified lower bound; it is less only if a non-zero polynomial
vanishes at the point or the prime divides all its coefficients, which has a probability that can be bounded.

Sources: J. Kileel, M. Trager, J. Bruna, *On the expressive power of deep polynomial neural networks*, NeurIPS 2019,
arXiv:1905.12207, for the map and its rank; J. T. Schwartz, *Fast probabilistic algorithms for verification of
polynomial identities*, J. ACM 27 (1980), lemma 1, for the zeros of a polynomial at random points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import chains
from ._representatives import with_representative_outputs
from ._sampled_rank import Denominator, RandomRows, Rank, random_rank
from ._validation import _describe, as_index, as_probability, as_rng, check_size, check_threads
from .bounds import UpperBound, known_orbit_dimension, upper_bound
from .modular import format_bound
from .networks import Network
from .program import Activation, Add, Affine, Indeterminate, Instruction, MatMul, Number, Program
from .rank import modular_rank
from .spans import span_of_program
from .symmetries import expected_dimension, scaled_parameters

__all__ = ["DimensionResult", "dimension"]

# The linear span is looked at where there are no more coefficients, and functions times coefficients.
_SPAN_COEFFICIENTS = 2**11
_SPAN_ENTRIES = 2**19

_DEFINITION = "min(ambient dimension, parameters − dimension of a generic orbit of the known continuous symmetries)"


@dataclass(frozen=True)
class DimensionResult:
    """The dimension of a network's function space (affine: of the cone, not projective).

    Attributes
    ----------
    dimension : int
        The largest rank found: always a lower bound of the dimension, and equal to it if ``proved``, else but for a
        probability of at most ``error_bound``.
    ambient_dimension : int
        n_outputs · n_monomials.
    n_params : int
        Number of parameters.
    expected_dimension : int
        See ``definition``.
    definition : str
        Which expected dimension: rival definitions exist.
    defect : int
        expected_dimension − dimension.
    fibre_dimension : int
        n_params − dimension: of the set of parameters with the same function, at a generic point.
    filling : bool
        Whether dimension == ambient_dimension: almost every, over the complex numbers, is a function of the network.
    proved : bool
        Whether the dimension is certain: the rank found meets ``upper_bound``.
    error_bound : float
        0.0 if proved; else a bound of the probability, over the random choices, that the dimension is larger: the
        product over the primes of ``schwartz_zippel + bad_prime``.
    schwartz_zippel : float
        For one prime: degree of a largest minor / p, the chance to have hit one of its zeros. 0.0 if proved.
    bad_prime : float
        For one prime: how many primes of the range can divide all coefficients of that minor, by its height, over the
        number of primes in the range. 0.0 if proved.
    primes : tuple of int
        The primes used, drawn from the seed.
    seed : int
        ``rng=seed`` reproduces the result.
    upper_bound : int
        A proven upper bound of the dimension; see `bounds.upper_bound`, and the linear span of the functions.
    reason : str
        Where the upper bound comes from.
    network : str
        What it is the dimension of.

    Examples
    --------
    >>> from polycore import MLP, dimension
    >>> dimension(MLP((2, 4, 3, 2), activation=3))
    MLP((2, 4, 3, 2), activation=3)
      dimension   15 of 20 (ambient), proved
      expected    19, defect 4
      parameters  26, fibres of dimension 11
    """

    dimension: int
    ambient_dimension: int
    n_params: int
    expected_dimension: int
    definition: str
    defect: int
    fibre_dimension: int
    filling: bool
    proved: bool
    error_bound: float
    schwartz_zippel: float
    bad_prime: float
    primes: tuple[int, ...]
    seed: int
    upper_bound: int
    reason: str
    network: str = field(default="", compare=False)

    def __repr__(self) -> str:
        certainty = "proved" if self.proved else f"or more with probability < {format_bound(self.error_bound)}"
        fills = ", filling" if self.filling else ""
        defect = f", defect {self.defect}" if self.defect else ""
        return "\n".join(
            [
                self.network,
                f"  dimension   {self.dimension} of {_short(self.ambient_dimension)} (ambient){fills}, {certainty}",
                f"  expected    {self.expected_dimension}{defect}",
                f"  parameters  {self.n_params}, fibres of dimension {self.fibre_dimension}",
            ]
        )


def dimension(
    net: Network, rng: object = 0, primes: int = 2, *, max_error: float = 1e-9, n_threads: int = 0
) -> DimensionResult:
    """Dimension of the set of functions that a network can represent: the generic rank of the Jacobian of `expand`.

    Parameters
    ----------
    net : Network
        Of any family. With a `GenericActivation` the answer is for almost every polynomial of that degree.
    rng : int or numpy.random.Generator
        A seed; from a Generator a 64-bit seed is drawn.
    primes : int
        Try at least so many primes, unless the first ones prove the answer.
    max_error : float
        Try more primes until the bound of the error is below this, 0 < max_error < 1.
    n_threads : int
        0 is the default number; results do not depend on it.

    Returns
    -------
    DimensionResult

    Raises
    ------
    TypeError
        If ``net`` is not a network, or ``primes`` not an integer.
    ValueError
        If ``primes`` < 1, or ``max_error`` is not between 0 and 1.
    OverflowError, MemoryError
        If the matrix of the rank does not fit, before any work; if the degree is 2^60 or more, since the characteristic
        of the field has to be larger than the degree (2^31 in the compiled core).

    Notes
    -----
    Rows are gradients of random combinations of the outputs at random points, one more than the proven upper bound
    allows to be independent: a single point would not give as many independent conditions as there are outputs. They
    are combinations of the rows of the Jacobian of `expand`, and at generic points span what those span. Outputs that
    are the same polynomial in other variables, as those of convolutions, are looked at once. One column is dropped for
    each scaling of a hidden unit: it is a combination of the others.

    For a rank of at most R, f of degree d in parameters, inputs and generic coefficients together, and p drawn from
    [2^30, 2^31) (from [2^60, 2^61) where the bounds ask for it), a largest minor that is not the zero polynomial has
    degree at most R d, so it vanishes at a random point with probability at most R d / (p − 1). Its coefficients are at
    most Π_rows Σ_columns ‖entry‖₁ <= (T ‖f‖₁)^R, where T is the degree in the parameters, and a non-zero integer below
    2^h has at most h / 30 prime divisors in the range.

    Complexity O(R n_params) multiplications for the R + 1 rows and O(R² n_params) for the rank, for each prime;
    8 R n_params bytes, twice while columns are dropped, and O(R) for each unit.

    Examples
    --------
    >>> from polycore import MLP, dimension
    >>> result = dimension(MLP((5, 7, 1), activation=3))
    >>> result.dimension, result.expected_dimension, result.proved  # an exception of Alexander and Hirschowitz
    (34, 35, True)
    """
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    n_primes = as_index(primes, "primes", 1)
    largest_error = as_probability(max_error, "max_error")
    generator, seed = as_rng(rng)
    program = net.program
    bound = upper_bound(program)
    # The rows, with all columns and without those dropped; a few vectors; later values and adjoints at every unit.
    rows = 2 * (bound.value + 1)
    check_size((rows + 8) * program.n_params, 8, "the Jacobian at random points")
    scaled = chains.scaled_parameters(program)
    if scaled is None:
        orbit = known_orbit_dimension(program)
        jacobian = _GenericJacobian(with_representative_outputs(program), scaled_parameters(program))
    else:
        orbit = len(scaled)
        jacobian = _GenericJacobian(program, scaled)
    units = sum(jacobian.program.widths)
    check_size((rows + 8) * program.n_params + rows * units, 8, "the Jacobian at random points")
    found = random_rank(
        jacobian,
        bound.value,
        generator,
        max_error=largest_error,
        min_primes=n_primes,
        n_threads=check_threads(n_threads),
    )
    rank = found.rank
    if rank < bound.value and scaled is None:
        span = _span_bound(jacobian.program, rank, found.primes[-1], generator)
        if span is not None:
            bound, found = span, Rank(rank, 0.0, found.primes)
    ambient = program.n_outputs * program.n_monomials
    expected = expected_dimension(ambient, program.n_params, orbit)
    return DimensionResult(
        dimension=rank,
        ambient_dimension=ambient,
        n_params=program.n_params,
        expected_dimension=expected,
        definition=_DEFINITION,
        defect=expected - rank,
        fibre_dimension=program.n_params - rank,
        filling=rank == ambient,
        proved=rank == bound.value,
        error_bound=found.error_bound,
        schwartz_zippel=found.schwartz_zippel,
        bad_prime=found.bad_prime,
        primes=found.primes,
        seed=seed,
        upper_bound=bound.value,
        reason=bound.reason,
        network=repr(net),
    )


def _span_bound(program: Program, rank: int, p: int, generator: np.random.Generator) -> UpperBound | None:
    """The linear span of the functions, where it is small, and proves that the dimension is no more than ``rank``."""
    n_coefficients = program.n_outputs * program.n_monomials
    if program.is_generic or n_coefficients > _SPAN_COEFFICIENTS or rank * n_coefficients > _SPAN_ENTRIES:
        return None
    # Mostly one function more than the rank is independent of the others.
    theta = generator.integers(0, p, (rank + 1, program.n_params), dtype=np.uint64)
    some = program.engine.expand(theta, modulus=p, constants=program.constants(p))
    if modular_rank(some.reshape(rank + 1, n_coefficients), p) > rank:
        return None
    span = span_of_program(program, generator, 0.5, "")
    if not span.proved or span.dimension > rank:
        return None
    return UpperBound(span.dimension, f"dimension {span.dimension} of the linear span: {span.reason}")


class _GenericJacobian(RandomRows):
    """The Jacobian of a program at random parameters, without one column for each scaling of a hidden unit.

    Rows are gradients of random combinations of the outputs at random points.

    Parameters
    ----------
    program : Program
    dropped : sequence of int
        Parameters whose columns are combinations of the others, see `scaled_parameters`.
    """

    def __init__(self, program: Program, dropped: Sequence[int]) -> None:
        self.program, self._dropped = program, dropped
        self.degree = program.degree
        self.denominators = math.lcm(*(_ActivationSize.of(a.coefficients).common for a in program.activations))

    @cached_property
    def kept(self) -> NDArray[np.intp]:
        """The parameters of the columns."""
        mask = np.ones(self.program.n_params, dtype=np.bool_)
        mask[self._dropped] = False
        return np.flatnonzero(mask)

    @cached_property
    def size(self) -> PolynomialSize:
        """Of the entries, as polynomials."""
        return polynomial_size(self.program)

    @property
    def row_degree(self) -> int:  # type: ignore[override]
        """In the parameters, the point, the combination and generic coefficients."""
        return self.size.degree

    def sample_rows(self, p: int, n_rows: int, generator: np.random.Generator, n_threads: int) -> NDArray[np.uint64]:
        """Shape (n_rows, number of kept columns), at random non-zero numbers.

        Where a parameter is 0 its column may not be one of those that depend on the others.
        """
        program = self.program
        constants = program.constants(p, generator)
        n_points, n_weights = n_rows * program.n_inputs, n_rows * program.n_outputs
        numbers = generator.integers(1, p, program.n_params + n_points + n_weights, dtype=np.uint64)
        theta, numbers = numbers[: program.n_params], numbers[program.n_params :]
        X = numbers[:n_points].reshape(n_rows, program.n_inputs)
        weights = numbers[n_points:].reshape(n_rows, program.n_outputs)
        rows = program.engine.evaluate_vjp(theta, X, weights, modulus=p, constants=constants, n_threads=n_threads)
        return rows if self.kept.size == program.n_params else np.take(rows, self.kept, axis=1)

    def log2_minor(self, size: int) -> float:
        """A determinant is at most the product of the 1-norms of its rows, also as a polynomial."""
        return size * self.size.log2_row_norm


@dataclass(frozen=True)
class PolynomialSize:
    """Of <u, f(x; θ)> as a polynomial in u, x, θ and generic coefficients, denominators cleared.

    ``degree`` is that of its derivatives by θ, and ``log2_row_norm`` bounds the 1-norm of all of them together.
    """

    degree: int
    log2_row_norm: float


def polynomial_size(program: Program) -> PolynomialSize:
    """Degree and height of the entries of the sampled Jacobian, slot by slot.

    The 1-norm of a polynomial is sub-multiplicative, so replacing every variable by 1 and every coefficient by its
    absolute value bounds it. It is kept as log2 of a numerator and of a common denominator.
    """
    slots = [_SlotSize(0, 1, 0.0, Denominator())]
    for instruction in program.instructions:
        inputs = [slots[slot] for slot in instruction.inputs]
        slots.append(_size_of_result(instruction, inputs, program.widths))
    last = slots[-1]
    row_norm = last.log2_norm + math.log2(program.n_outputs) + math.log2(max(1, last.in_theta))
    return PolynomialSize(last.degree, max(0.0, row_norm))


class _SlotSize(NamedTuple):
    """Of the values of a slot, N / D with integer polynomials N and one D for all of them."""

    in_theta: int  # degree in the parameters
    degree: int  # in everything
    log2_norm: float  # of N
    denominator: Denominator  # D


def _size_of_result(instruction: Instruction, inputs: Sequence[_SlotSize], widths: Sequence[int]) -> _SlotSize:
    if isinstance(instruction, Affine):
        return _size_of_affine(inputs[0], instruction.window_size(widths[instruction.input]), instruction.bias)
    if isinstance(instruction, Activation):
        return _size_of_activation(inputs[0], instruction)
    if isinstance(instruction, Add):
        return _size_of_sum(inputs)
    if isinstance(instruction, MatMul):
        return _size_of_product(inputs[0], inputs[1], instruction.inner)
    return inputs[0]


def _size_of_affine(z: _SlotSize, n_in: int, bias: bool) -> _SlotSize:
    norm = z.log2_norm + math.log2(n_in)
    norm = _add(norm, z.denominator.log2) if bias else norm
    return _SlotSize(z.in_theta + 1, z.degree + 1, norm, z.denominator)


def _size_of_activation(z: _SlotSize, activation: Activation) -> _SlotSize:
    r, size = activation.degree, _ActivationSize.of(activation.coefficients)
    norm, degree, log2_denominator = -math.inf, 0, z.denominator.log2
    for i, log2_coefficient, is_generic in size.terms:
        norm = _add(norm, log2_coefficient + _times(i, z.log2_norm) + _times(r - i, log2_denominator))
        degree = max(degree, i * z.degree + is_generic)
    return _SlotSize(r * z.in_theta, degree, norm, z.denominator.power(r).times(Denominator.of(size.common)))


def _size_of_sum(terms: Sequence[_SlotSize]) -> _SlotSize:
    common = Denominator.common(z.denominator for z in terms)
    total = _SlotSize(max(z.in_theta for z in terms), max(z.degree for z in terms), -math.inf, common)
    norm = -math.inf
    for z in terms:
        norm = _add(norm, z.log2_norm + (common.log2 - z.denominator.log2))
    return total._replace(log2_norm=norm)


def _size_of_product(left: _SlotSize, right: _SlotSize, inner: int) -> _SlotSize:
    norm = left.log2_norm + right.log2_norm + math.log2(inner)
    denominator = left.denominator.times(right.denominator)
    return _SlotSize(left.in_theta + right.in_theta, left.degree + right.degree, norm, denominator)


class _ActivationSize(NamedTuple):
    """The non-zero terms of a polynomial over their common denominator."""

    common: int
    terms: tuple[tuple[int, float, bool], ...]  # power, log2 of |coefficient · common|, whether it is generic

    @staticmethod
    @lru_cache(maxsize=256)
    def of(coefficients: tuple[Number | Indeterminate, ...]) -> _ActivationSize:
        """Of a polynomial, low to high."""
        numbers = {i: Fraction(c) for i, c in enumerate(coefficients) if not isinstance(c, Indeterminate)}
        common = math.lcm(*(c.denominator for c in numbers.values()))
        terms = []
        for i in range(len(coefficients)):
            integer = abs(int(numbers[i] * common)) if i in numbers else common
            if integer:
                terms.append((i, math.log2(integer), i not in numbers))
        return _ActivationSize(common, tuple(terms))


def _add(a: float, b: float) -> float:
    """log2(2^a + 2^b), rounded up."""
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else (high + math.log2(1 + 2 ** max(low - high, -1000.0))) * (1 + 1e-15)


def _times(n: int, x: float) -> float:
    return n * x if n else 0.0  # 0 · −inf is a constant's contribution: none


def _short(n: int) -> str:
    return str(n) if n < 10**15 else f"about 10^{len(str(n)) - 1}"
