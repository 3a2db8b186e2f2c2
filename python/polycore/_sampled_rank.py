# SPDX-License-Identifier: BSD-3-Clause
"""Rank of a rational matrix that is known by random rows modulo primes, with the odds of error, and with proof.

The matrix may be too large to be formed: what is asked of it is random combinations of its rows, and whether given
vectors are in its kernel, both modulo a prime p. Rows give a lower bound of the rank, vectors an upper bound of the
rank modulo p. To prove the rank over the rationals

* vectors of the kernel modulo p are put together for several primes by the Chinese remainder theorem and rational
  reconstruction (J. von zur Gathen, J. Gerhard, *Modern Computer Algebra*, section 5.10); a rational vector that is in
  the kernel modulo primes with a large enough product is in the kernel; or
* the product of the primes that show the rank exceeds the bound of Hadamard for all larger minors.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _backend
from .modular import LARGE_PRIMES, WORD_PRIMES, PrimeRange
from .rank import echelon, kernel_vectors

# Where this many 31-bit primes would not do, 61-bit ones are drawn.
_MANY_PRIMES = 32
# Of sums of logarithms: far more than their rounding, relative to the largest of them or to 1.
ROUNDING = 1e-9


class RandomRows(ABC):
    """A rational matrix J, given by random rows modulo primes.

    Attributes
    ----------
    denominators : int
        Primes that divide this are of no use.
    degree : int
        Primes have to be larger: polynomials of this degree are evaluated.
    row_degree : int
        The entries of a sampled row are polynomials of at most this degree in random elements of GF(p), which are
        uniform over all of them or over the non-zero ones.
    """

    denominators: int
    degree: int
    row_degree: int

    @abstractmethod
    def sample_rows(self, p: int, n_rows: int, generator: np.random.Generator, n_threads: int) -> NDArray[np.uint64]:
        """Rows over GF(p) that are combinations of those of J; as polynomials in the random elements they span J's."""

    @abstractmethod
    def log2_minor(self, size: int) -> float:
        """log2 of a bound of the coefficients of the minors of d J of at most this size, as polynomials.

        Here d > 0 is an integer that makes d J integral and has no prime divisors but those of ``denominators``.
        """


class SampledMatrix(RandomRows):
    """A rational matrix J without parameters, given by what it does modulo primes.

    Attributes
    ----------
    log2_columns : float array
        For each column at least log2 of the 1-norm of that column of d J, not negative.
    """

    log2_columns: NDArray[np.float64]

    @abstractmethod
    def annihilates(self, vectors: NDArray[np.uint64], p: int, n_threads: int) -> bool:
        """Whether J v = 0 over GF(p) for every row v."""

    def log2_minor(self, size: int) -> float:
        """log2 of a bound of the minors of d J of at most this size: Hadamard's inequality."""
        return math.fsum(np.sort(self.log2_columns)[-size:].tolist()) if size else 0.0

    def vanishes(self, vector: Sequence[int], modulus: int) -> bool:
        """Whether J v = 0, given that it is so modulo ``modulus``: d J v is integer, and too small for a multiple."""
        terms = [size + math.log2(abs(v)) for size, v in zip(self.log2_columns.tolist(), vector) if v]
        return float(np.logaddexp2.reduce(terms)) + ROUNDING < math.log2(modulus)


@dataclass(frozen=True)
class Rank:
    """A rank: at least ``rank``, and more with probability at most ``error_bound``, which is 0.0 for a proof.

    The error is the product over the primes of ``schwartz_zippel`` + ``bad_prime``, given for the worst of them.
    ``why`` says what proves the rank, "" where the given bound was met; ``kernel`` is an integer basis of the kernel if
    the proof came by one.
    """

    rank: int
    error_bound: float
    primes: tuple[int, ...]
    why: str = ""
    kernel: tuple[tuple[int, ...], ...] | None = None
    schwartz_zippel: float = 0.0
    bad_prime: float = 0.0


def random_rank(
    matrix: RandomRows,
    bound: int,
    generator: np.random.Generator,
    *,
    max_error: float,
    min_primes: int = 1,
    max_primes: int | None = None,
    n_threads: int = 0,
) -> Rank:
    """Rank modulo random primes, until it meets a proven upper bound or the odds of error are small.

    A prime misses the rank R <= bound if a minor of size R of the sampled rows vanishes, which has degree at most
    bound · row_degree in random elements (Schwartz–Zippel), or if it divides all coefficients of the minors of d J of
    size R; an integer below 2^h has few prime divisors in the range of the primes.

    Raises
    ------
    OverflowError
        If no prime below 2^61 exceeds the degree, or none leaves odds below 1.
    """
    characteristics = [primes for primes in (WORD_PRIMES, LARGE_PRIMES) if primes.low > matrix.degree]
    if not characteristics:
        raise OverflowError(
            f"the degree is about 10^{math.log10(matrix.degree):.0f}, but the characteristic p < 2^61 of the field "
            "must be larger"
        )
    rank, error = 0, 1.0
    vanishes, divides = 0.0, 0.0
    primes, used = characteristics[0], list[int]()
    while rank < bound and (max_primes is None or len(used) < max_primes):
        if len(used) >= min_primes and error <= max_error:
            break
        if len(used) == 1:
            primes = _strong_enough(matrix, bound, characteristics, max_error)
        p = next(p for p in primes.draw(generator) if matrix.denominators % p)
        # One row more than can be independent: the rank checks the bound, too.
        rows = matrix.sample_rows(p, bound + 1, generator, n_threads)
        rank = max(rank, int(_backend.kernels().modular_rank(rows, p, overwrite=True, n_threads=n_threads)))
        used.append(p)
        if rank < bound:
            odds = _odds(matrix, bound, primes, p)
            error = max(error * min(1.0, sum(odds)), math.ulp(0.0))  # 0.0 would be a proof
            vanishes, divides = max(vanishes, odds[0]), max(divides, odds[1])
    if rank > bound:
        raise AssertionError(f"a matrix has rank {rank}, beyond the proven bound of {bound}: report this")
    if rank == bound:
        return Rank(rank, 0.0, tuple(used))
    return Rank(rank, error, tuple(used), schwartz_zippel=vanishes, bad_prime=divides)


def _odds(matrix: RandomRows, bound: int, primes: PrimeRange, p: int) -> tuple[float, float]:
    """Bounds of the probabilities that a minor vanishes at a random point, and that p divides its coefficients."""
    divides = primes.divisor_probability(matrix.log2_minor(bound), excluded=math.log2(matrix.denominators))
    return min(1.0, bound * matrix.row_degree / (p - 1)), divides


def _strong_enough(
    matrix: RandomRows, bound: int, characteristics: Sequence[PrimeRange], max_error: float
) -> PrimeRange:
    """The smallest primes of which a few will do."""
    for primes in characteristics:
        odds = min(1.0, sum(_odds(matrix, bound, primes, primes.low)))
        if odds**_MANY_PRIMES <= max_error or (primes is characteristics[-1] and odds < 1):
            return primes
    raise OverflowError(
        f"primes below 2^61 leave an error of {odds:.2g} each: a degree is too high, or numbers have too many digits"
    )


def proven_rank(
    matrix: SampledMatrix,
    at_least: int,
    bound: int,
    generator: np.random.Generator,
    *,
    needs_kernel: bool = False,
    n_threads: int = 0,
) -> Rank:
    """The rank for certain, given a lower and an upper bound, and on request the kernel.

    Complexity: for each prime rank + 2 sampled rows, their elimination, and one check of the kernel. The number of
    primes is proportional to the digits of the kernel's entries, at worst to those of the minors.
    """
    kernel = RationalKernel()
    seen: list[int] = []
    rank, n_rows, product, next_attempt = at_least, at_least + 2, 1, 1
    for p in WORD_PRIMES.draw(generator):
        if p in seen or not matrix.denominators % p:
            continue
        while True:
            pivots, combinations = echelon(matrix.sample_rows(p, n_rows, generator, n_threads), p)
            if matrix.annihilates(kernel_vectors(pivots, combinations, p), p, n_threads):
                break
            n_rows += max(2, n_rows // 4)  # the rows do not yet span those of the matrix
        rank = max(rank, len(pivots))
        seen.append(p)
        product *= p
        kernel.add(pivots, combinations, p)
        if not needs_kernel:
            if rank == bound:
                return Rank(rank, 0.0, tuple(seen))
            if math.log2(product) > matrix.log2_minor(rank + 1) + ROUNDING:
                primes = "1 prime, which exceeds" if len(seen) == 1 else f"{len(seen)} primes, whose product exceeds"
                return Rank(rank, 0.0, tuple(seen), f"rank modulo {primes} all larger minors (Hadamard)")
        if len(kernel.primes) >= next_attempt:
            next_attempt = len(kernel.primes) + max(1, len(kernel.primes) // 2)
            vectors = kernel.vectors()
            if vectors is not None and all(matrix.vanishes(v, kernel.modulus) for v in vectors):
                words = f"{len(vectors)} independent rational vectors of the kernel, verified exactly"
                return Rank(rank, 0.0, tuple(seen), words, tuple(map(tuple, vectors)))
    raise AssertionError("unreachable: primes do not run out")


class Denominator:
    """A positive integer as a product of powers, so that common multiples can be told without multiplying out.

    Attributes
    ----------
    log2 : float
    """

    def __init__(self, exponents: Mapping[int, int] | None = None) -> None:
        self._exponents = dict(exponents or {})
        self.log2 = math.fsum(exponent * math.log2(number) for number, exponent in self._exponents.items())

    @classmethod
    def of(cls, number: int) -> Denominator:
        """A number as it is."""
        return cls({number: 1} if number > 1 else {})

    @classmethod
    def common(cls, denominators: Iterable[Denominator]) -> Denominator:
        """A common multiple: the powers with the largest exponents."""
        return reduce(lambda a, b: cls(Counter(a._exponents) | Counter(b._exponents)), denominators)

    def times(self, other: Denominator) -> Denominator:
        """The product of both."""
        if not self._exponents or not other._exponents:
            return other if not self._exponents else self
        return Denominator(Counter(self._exponents) + Counter(other._exponents))

    def power(self, exponent: int) -> Denominator:
        """The number to this power."""
        return Denominator({number: exponent * e for number, e in self._exponents.items() if exponent})


def log2_polynomial(coefficients: Sequence[Fraction], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """log2 of Σ_j |c_j| (2^z)^j entrywise: numbers too large to be written down."""
    total = np.full(z.shape, -math.inf)
    for j, c in enumerate(coefficients):
        if c:
            total = np.logaddexp2(total, log2_fraction(c) + (j * z if j else 0.0))
    return total


def log2_fraction(x: Fraction) -> float:
    """log2 |x|, -inf for 0."""
    return math.log2(abs(x.numerator)) - math.log2(x.denominator) if x else -math.inf


# --- reconstruction ---------------------------------------------------------------------------------------------------


class RationalKernel:
    """A kernel over the rationals put together from kernels modulo primes.

    Unlucky primes make the rank smaller or the pivots come later; they are forgotten when a better one is seen.
    """

    def __init__(self) -> None:
        self.primes: list[int] = []
        self.modulus = 1
        self._pivots: tuple[int, ...] = ()
        self._residues: NDArray[Any] = np.zeros((0, 0), dtype=object)

    def add(self, pivots: tuple[int, ...], combinations: NDArray[np.uint64], p: int) -> None:
        """Take in the kernel modulo another prime, as `echelon` gives it."""
        if self.primes and (-len(pivots), pivots) > (-len(self._pivots), self._pivots):
            return
        if not self.primes or pivots != self._pivots:
            self.primes, self.modulus, self._pivots = [], 1, pivots
            self._residues = np.zeros(combinations.shape, dtype=object)
        step = (combinations - self._residues % p) * pow(self.modulus, -1, p) % p
        self._residues = self._residues + step * self.modulus
        self.modulus *= p
        self.primes.append(p)

    def vectors(self) -> list[list[int]] | None:
        """Integer vectors, primitive, that are the kernel modulo every prime so far, or None if more are needed.

        Their entries are less than the square root of half the product of the primes.
        """
        n_free, rank = self._residues.shape
        free = [column for column in range(n_free + rank) if column not in set(self._pivots)]
        vectors = []
        for column, residues in zip(free, self._residues.tolist()):
            fractions = _common_denominator(residues, self.modulus)
            if fractions is None:
                return None
            numerators, denominator = fractions
            vector = [0] * (n_free + rank)
            for pivot, numerator in zip(self._pivots, numerators):
                vector[pivot] = -numerator
            vector[column] = denominator
            vectors.append(vector)
        return vectors


def _common_denominator(residues: list[int], modulus: int) -> tuple[list[int], int] | None:
    """(a_i), b with a_i / b = residues[i] modulo ``modulus`` and all of them at most sqrt(modulus / 2), or None."""
    bound = math.isqrt(modulus // 2)
    denominator = 1
    for residue in residues:
        scaled = _centred(residue * denominator, modulus)
        if abs(scaled) > bound:
            denominator *= _denominator(scaled % modulus, modulus, bound)
            if denominator > bound:
                return None
    numerators = [_centred(residue * denominator, modulus) for residue in residues]
    if any(abs(numerator) > bound for numerator in numerators):
        return None
    common = math.gcd(denominator, *numerators)
    return [numerator // common for numerator in numerators], denominator // common


def _denominator(residue: int, modulus: int, bound: int) -> int:
    """The least b > 0 for which b · residue is at most ``bound`` in absolute value modulo ``modulus``: Euclid."""
    r0, r1, t0, t1 = modulus, residue, 0, 1
    while r1 > bound:
        q = r0 // r1
        r0, r1, t0, t1 = r1, r0 - q * r1, t1, t0 - q * t1
    return abs(t1)


def _centred(value: int, modulus: int) -> int:
    value %= modulus
    return value - modulus if value > modulus // 2 else value
