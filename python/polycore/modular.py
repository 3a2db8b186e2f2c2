# SPDX-License-Identifier: BSD-3-Clause
"""Random primes, and how many there are to draw from: what answers found modulo a prime are worth.

A statement about integers that fails modulo p makes p divide some non-zero integer. An integer below 2^h has at most
h / 30 prime divisors above 2^30, so a prime drawn at random from the fifty million in [2^30, 2^31) is one of them with
a probability that can be written down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, gcd, log10, prod

import numpy as np

from ._validation import is_prime

# Most composites go here, without a test of primality.
_SMALL_PRIMES = prod((3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53))
_CANDIDATES = 32


@dataclass(frozen=True)
class PrimeRange:
    """The primes p with 2^(bits − 1) <= p < 2^bits.

    Attributes
    ----------
    bits : int
    count : int
        How many there are; a lower bound where nobody has counted.
    """

    bits: int
    count: int

    @property
    def low(self) -> int:
        """2^(bits − 1)."""
        return 1 << (self.bits - 1)

    def draw(self, generator: np.random.Generator) -> Iterator[int]:
        """Primes of the range, uniformly and independently, without end."""
        while True:
            for n in generator.integers(self.low, 2 * self.low, _CANDIDATES, dtype=np.int64).tolist():
                n |= 1  # each odd number comes from two candidates
                if gcd(n, _SMALL_PRIMES) == 1 and is_prime(n):
                    yield n

    def divisor_probability(self, log2_integer: float, excluded: float = 0.0) -> float:
        """Bound of the probability that a random prime divides a given non-zero integer of absolute value <= 2^h.

        Parameters
        ----------
        log2_integer : float
            h.
        excluded : float
            log2 of an integer whose prime divisors are never drawn.
        """
        divisors, left = log2_integer / (self.bits - 1), self.count - excluded / (self.bits - 1)
        return min(1.0, max(0.0, divisors) / left) if left > 0 else 1.0


# π(2^31) − π(2^30) = 105097565 − 54400028.
WORD_PRIMES = PrimeRange(31, 50_697_537)
# π(2x) − π(x) > 3x / (5 ln x) for x >= 20.5 (J. B. Rosser, L. Schoenfeld, *Approximate formulas for some functions of
# prime numbers*, Illinois J. Math. 6 (1962), corollary 3 of theorem 2), here at x = 2^60.
LARGE_PRIMES = PrimeRange(61, 16_000_000_000_000_000)


def format_bound(probability: float) -> str:
    """Two digits of a bound of a probability, rounded up, so that what is shown is a bound as well."""
    if probability < 1e-300:
        return "1e-300"
    if probability >= 1:
        return "1"
    exponent = floor(log10(probability))
    return f"{ceil(probability / 10.0**exponent * 10) / 10:g}e{exponent}"
