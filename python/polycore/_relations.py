# SPDX-License-Identifier: BSD-3-Clause
"""Linear relations between monomials in the coefficients of a network, exact: equations of the image of a program.

Coefficients of a program are polynomials in its parameters θ, and so are monomials φ_j(θ) in some of them. A relation
Σ_j v_j φ_j = 0 with rational v is found by elimination over GF(p) at random θ, put together from several primes, and
then verified, in one of two ways:

* symbolically, where few terms are expected: the polynomials φ_j are multiplied out, which proves the relation;
* at random points modulo fresh random primes. A polynomial of degree T in θ that is not zero vanishes at a random
  point of GF(p) with probability at most T / p (J. T. Schwartz, *Fast probabilistic algorithms for verification of
  polynomial identities*, J. ACM 27 (1980), lemma 1), unless p divides all its coefficients, which the sum of their
  absolute values bounds.

That there are no other relations is certain in any case: rows of values that are independent modulo p are independent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _backend
from ._sampled_rank import RationalKernel
from ._validation import check_size
from .modular import WORD_PRIMES
from .monomials import MonomialBasis, count_monomials
from .program import Activation, Add, Affine, MatMul, Program
from .rank import echelon

Residues = NDArray[np.uint64]

# Coefficients held at a time while a program is expanded at random parameters.
_COEFFICIENTS_AT_A_TIME = 2**22
# Rows beyond the rank: that many random rows of a larger row space would not all be dependent.
_MARGIN = 4
# Term-by-term multiplications of a symbolic proof.
_SYMBOLIC_TERMS = 2 * 10**6
_SYMBOLIC_COEFFICIENTS = 20_000


@dataclass(frozen=True)
class Relations:
    """All linear relations between the columns of a `MonomialMap`.

    Attributes
    ----------
    pivots : tuple of int
        Columns that form a basis: the others are combinations of those before them.
    vectors : list of lists of int
        A basis of the relations, primitive integer vectors, one for each other column: its last non-zero entry, where
        the other vectors are 0.
    proved : bool
        Whether they are certain.
    error_bound : float
        0.0 if proved, else a bound of the probability that one of them does not hold.
    primes : tuple of int
        Those used.
    """

    pivots: tuple[int, ...]
    vectors: list[list[int]]
    proved: bool
    error_bound: float
    primes: tuple[int, ...]


class MonomialMap:
    """θ ↦ the monomials of some coefficients of a program.

    Parameters
    ----------
    program : Program
        Without indeterminates.
    positions : integer array
        Which coefficients, as positions in the flattened (n_outputs, n_monomials).
    degree : int
        Of the monomials, at least 1.
    homogeneous : bool
        Whether those of exactly this degree are taken, or all up to it.
    """

    def __init__(self, program: Program, positions: NDArray[np.int64], degree: int, homogeneous: bool = True) -> None:
        program.require_concrete()
        self.program, self.positions, self.degree = program, positions, degree
        self.basis = MonomialBasis(max(1, len(positions)), degree, homogeneous)
        self.n_columns = self.basis.n_monomials if len(positions) else 0
        self._theta_degree, self._height, self.denominator, self._n_terms = program_size(program)

    @property
    def theta_degree(self) -> int:
        """Degree of the monomials as polynomials in θ."""
        return self.degree * self._theta_degree

    @property
    def log2_height(self) -> float:
        """log2 of a bound of the 1-norm of each monomial as a polynomial in θ, denominators cleared."""
        return self.degree * math.log2(max(self._height, self.denominator, 1))

    def coordinates(self, p: int, n_points: int, generator: np.random.Generator) -> Residues:
        """The coefficients at random θ over GF(p), shape (n_points, n_positions)."""
        program = self.program
        theta = generator.integers(0, p, (n_points, program.n_params), dtype=np.uint64)
        constants = program.constants(p)
        n_coefficients = program.n_outputs * program.n_monomials
        values = np.empty((n_points, len(self.positions)), dtype=np.uint64)
        step = max(1, _COEFFICIENTS_AT_A_TIME // n_coefficients)
        for start in range(0, n_points, step):
            some = slice(start, start + step)
            coef = program.engine.expand(theta[some], modulus=p, constants=constants)
            values[some] = coef.reshape(-1, n_coefficients)[:, self.positions]
        return values

    def sample(self, p: int, n_points: int, generator: np.random.Generator) -> Residues:
        """The monomials at random θ over GF(p), p < 2^31, shape (n_points, n_columns)."""
        return monomials_modulo(self.coordinates(p, n_points, generator), self.basis, p)

    def vanish(self, vectors: list[list[int]]) -> bool | None:
        """Whether the relations hold, by multiplying out; None where that would take too long."""
        if not self._can_multiply_out:
            return None
        coefficients = [self._symbolic[position] for position in self.positions.tolist()]
        used = sorted({j for vector in vectors for j, v in enumerate(vector) if v})
        if self.degree == 1 and self.basis.homogeneous:
            return not any(_combination(vector, dict(enumerate(coefficients))).terms for vector in vectors)
        exponents = [self.basis.exponent(j) for j in used]
        lengths = [max(1, len(c.terms)) for c in coefficients]
        if sum(math.prod(n**e for n, e in zip(lengths, exponent)) for exponent in exponents) > _SYMBOLIC_TERMS:
            return None
        products = {j: _product(coefficients, exponent) for j, exponent in zip(used, exponents)}
        return not any(_combination(vector, products).terms for vector in vectors)

    def used_coefficients(self, generator: np.random.Generator, max_error: float) -> tuple[NDArray[np.int64], float]:
        """Positions of all coefficients that are not zero, and a bound of the probability that others are not.

        Those with few terms as polynomials in θ come first, where that is known.
        """
        n = self.program.n_outputs * self.program.n_monomials
        everywhere = MonomialMap(self.program, np.arange(n), 1)
        used = np.zeros(n, dtype=np.bool_)
        error = 1.0
        for p in WORD_PRIMES.draw(generator):
            if self.denominator % p == 0:
                continue
            seen = used | (everywhere.coordinates(p, 1, generator)[0] != 0)
            if (seen != used).any():
                used, error = seen, float(n - np.count_nonzero(seen))
            else:
                error *= everywhere.odds(p, 0.0)
            if error <= max_error:
                break
        positions = np.flatnonzero(used)
        if not self._can_multiply_out:
            return positions, error
        n_terms = np.array([len(c.terms) for c in self._symbolic])
        proved = np.array_equal(n_terms > 0, used)
        return positions[np.argsort(n_terms[positions], kind="stable")], 0.0 if proved else error

    def odds(self, p: int, log2_factor: float) -> float:
        """Bound of the probability that a relation that does not hold seems to, at one random point modulo p.

        ``log2_factor`` is log2 of the 1-norm of the relation.
        """
        if self.theta_degree >= p:
            raise OverflowError(f"the degree in the parameters, {self.theta_degree}, is too high to verify equations")
        height = self.log2_height + log2_factor
        odds = self.theta_degree / p + WORD_PRIMES.divisor_probability(height, math.log2(self.denominator))
        if odds >= 1:
            raise OverflowError("numbers have too many digits to verify equations modulo primes below 2^31")
        return odds

    @property
    def _can_multiply_out(self) -> bool:
        n_coefficients = self.program.n_outputs * self.program.n_monomials
        return max(self._n_terms, n_coefficients) <= _SYMBOLIC_COEFFICIENTS

    @cached_property
    def _symbolic(self) -> list[_Polynomial]:
        """All coefficients as polynomials in θ."""
        program = self.program
        bits = self.theta_degree.bit_length() + 1
        theta = np.empty(program.n_params, dtype=object)
        theta[:] = [_Polynomial({1 << (bits * i): 1}) for i in range(program.n_params)]
        return [_as_polynomial(c) for c in program.reference.expand(theta).reshape(-1)]


def linear_relations(columns: MonomialMap, generator: np.random.Generator, *, max_error: float) -> Relations:
    """All linear relations between monomials of coefficients.

    Complexity: for each prime rank + 4 expansions and their elimination, O(rank² n_columns); the number of primes grows
    with the digits of the relations, mostly one or two will do.

    Raises
    ------
    OverflowError, MemoryError
        If the matrix of values does not fit.
    """
    n_columns = columns.n_columns
    check_size(4 * n_columns * n_columns, 8, f"the values of {n_columns:,} monomials at as many points")
    kernel, seen = RationalKernel(), list[int]()
    n_rows, next_attempt = min(n_columns, 16) + _MARGIN, 1
    if not n_columns:
        return Relations((), [], True, 0.0, ())
    for p in WORD_PRIMES.draw(generator):
        if p in seen or columns.denominator % p == 0:
            continue
        seen.append(p)
        while True:
            matrix = columns.sample(p, n_rows, generator)
            rank = _backend.kernels().modular_rank(matrix, p, overwrite=False, n_threads=1)
            if rank == n_columns:
                return Relations(tuple(range(n_columns)), [], True, 0.0, tuple(seen))
            if rank + _MARGIN <= n_rows:
                break
            n_rows = min(2 * n_rows, n_columns + _MARGIN)
        n_rows = rank + _MARGIN
        kernel.add(*echelon(matrix[:n_rows], p), p)
        if len(kernel.primes) < next_attempt:
            continue
        next_attempt = len(kernel.primes) + max(1, len(kernel.primes) // 2)
        vectors = kernel.vectors()
        if vectors is None:
            continue
        error = _verified(columns, vectors, generator, max_error)
        if error is not None:
            free = {max(j for j, v in enumerate(vector) if v) for vector in vectors}
            pivots = tuple(j for j in range(n_columns) if j not in free)
            return Relations(pivots, vectors, error == 0.0, error, tuple(seen))
    raise AssertionError("unreachable: primes do not run out")


def _verified(
    columns: MonomialMap, vectors: list[list[int]], generator: np.random.Generator, max_error: float
) -> float | None:
    """A bound of the probability that a relation does not hold, 0.0 for a proof; None if one does not."""
    log2_factor = math.log2(max(sum(map(abs, vector)) for vector in vectors))
    error = float(len(vectors))
    exact = np.array(vectors, dtype=object)
    if all(-(2**62) < v < 2**62 for vector in vectors for v in vector):
        exact = exact.astype(np.int64)
    for p in WORD_PRIMES.draw(generator):
        if columns.denominator % p == 0:
            continue
        row = columns.sample(p, 1, generator)[0]
        residues = (exact % p).astype(np.uint64)
        if ((residues * row % np.uint64(p)).sum(axis=1, dtype=np.uint64) % np.uint64(p)).any():
            return None
        error *= columns.odds(p, log2_factor)
        if error <= max_error:
            break
    proof = columns.vanish(vectors)
    if proof is None:
        return max(error, math.ulp(0.0))  # 0.0 would be a proof
    return 0.0 if proof else None


# --- monomials --------------------------------------------------------------------------------------------------------


def monomials_modulo(values: Residues, basis: MonomialBasis, p: int) -> Residues:
    """The monomials of a basis at points over GF(p), p < 2^31, shape (n_points, n_monomials)."""
    if not basis.homogeneous:  # polynomials are forms with one more variable, which is 1
        values = np.concatenate([np.ones((len(values), 1), dtype=np.uint64), values], axis=1)
    n_vars = values.shape[1]
    layer = np.ones((len(values), 1), dtype=np.uint64)
    for degree in range(basis.degree):
        # The monomials that begin with x_i are x_i times those in x_i, ..., x_n, which are the last ones.
        tails = [count_monomials(n_vars - i, degree, homogeneous=True) for i in range(n_vars)]
        starts = [tails[0] - tail for tail in tails]
        blocks = [values[:, i, None] * layer[:, start:] % np.uint64(p) for i, start in enumerate(starts)]
        layer = np.concatenate(blocks, axis=1)
    return layer


def program_size(program: Program) -> tuple[int, int, int, int]:
    """Degree in the parameters, height, denominator and number of terms of the outputs as polynomials in θ.

    The denominator D > 0 makes them integral; the height bounds, for each output, the sum of the absolute values of all
    coefficients of D f as a polynomial in θ and the inputs together, a norm that is submultiplicative. So is the number
    of terms, which is bounded in the same way.
    """
    slots = [(0, 1, 1, 1)]
    for instruction in program.instructions:
        degree, height, common, n_terms = slots[instruction.inputs[0]]
        if isinstance(instruction, Affine):
            width, bias = instruction.window_size(program.widths[instruction.input]), int(instruction.bias)
            slots.append((degree + 1, width * height + common * bias, common, width * n_terms + bias))
        elif isinstance(instruction, Activation):
            coefficients = [Fraction(c) for c in instruction.numbers]
            r, scale = instruction.degree, math.lcm(*(c.denominator for c in coefficients))
            powers = [(k, abs(int(c * scale))) for k, c in enumerate(coefficients) if c]
            height = sum(a * common ** (r - k) * height**k for k, a in powers)
            slots.append((r * degree, height, scale * common**r, sum(n_terms**k for k, _ in powers)))
        elif isinstance(instruction, Add):
            added = [slots[slot] for slot in instruction.inputs]
            scale = math.lcm(*(d for _, _, d, _ in added))
            height = sum(h * (scale // d) for _, h, d, _ in added)
            slots.append((max(t for t, *_ in added), height, scale, sum(n for *_, n in added)))
        elif isinstance(instruction, MatMul):
            right, inner = slots[instruction.right], instruction.inner
            slots.append((degree + right[0], inner * height * right[1], common * right[2], inner * n_terms * right[3]))
        else:
            slots.append(slots[instruction.inputs[0]])
    return slots[-1]


# --- polynomials in the parameters ------------------------------------------------------------------------------------


class _Polynomial:
    """A sparse polynomial with rational coefficients; a monomial is an int with a block of bits for each exponent."""

    __slots__ = ("terms",)

    def __init__(self, terms: dict[int, Any]) -> None:
        self.terms = terms

    def __add__(self, other: Any) -> _Polynomial:
        terms = dict(self.terms)
        for key, value in _as_polynomial(other).terms.items():
            total = terms.get(key, 0) + value
            if total:
                terms[key] = total
            else:
                del terms[key]
        return _Polynomial(terms)

    __radd__ = __add__

    def __mul__(self, other: Any) -> _Polynomial:
        terms: dict[int, Any] = {}
        for key, value in _as_polynomial(other).terms.items():
            for own_key, own_value in self.terms.items():
                product_key = key + own_key
                terms[product_key] = terms.get(product_key, 0) + value * own_value
        return _Polynomial({key: value for key, value in terms.items() if value})

    __rmul__ = __mul__


def _as_polynomial(value: Any) -> _Polynomial:
    """A polynomial, or a number as one."""
    if isinstance(value, _Polynomial):
        return value
    return _Polynomial({0: value} if value else {})


def _combination(vector: Sequence[int], polynomials: dict[int, _Polynomial]) -> _Polynomial:
    total: dict[int, Any] = {}
    for j, factor in enumerate(vector):
        if factor:
            for key, value in polynomials[j].terms.items():
                total[key] = total.get(key, 0) + factor * value
    return _Polynomial({key: value for key, value in total.items() if value})


def _product(factors: Sequence[_Polynomial], exponent: Iterable[int]) -> _Polynomial:
    result = _Polynomial({0: 1})
    for factor, power in zip(factors, exponent):
        for _ in range(power):
            result = result * factor
    return result
