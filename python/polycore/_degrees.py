# SPDX-License-Identifier: BSD-3-Clause
"""Sets of degrees that polynomials can have, and how many monomials there are of them.

A set of degrees is ascending: a tuple, or a range where it is too long for one; () is that of the zero polynomial.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb

# Supports of degrees are kept degree by degree up to here, and as a range above.
_MAX_SUPPORT = 2**10
# Where both the variables and the degree pass this there are more monomials, 2^128, than parameters of any network.
_MANY = 128
NO_BOUND = 1 << _MANY
CACHE_SIZE = 2**16


def with_constant(degrees: Sequence[int]) -> Sequence[int]:
    """The degrees of f + c."""
    if 0 in degrees:
        return degrees
    return range(degrees[-1] + 1) if isinstance(degrees, range) else (0, *degrees)


@lru_cache(CACHE_SIZE)
def compose_degrees(outer: Sequence[int], inner: Sequence[int]) -> Sequence[int]:
    """Degrees, ascending, that p(f) can have if p has terms of the degrees ``outer`` and f of ``inner``."""
    if len(outer) == 0 or (len(inner) == 0 and outer[0] > 0):
        return ()
    if len(inner) == 0:
        return (0,)
    low, high = outer[0] * inner[0], outer[-1] * inner[-1]
    if low == high:
        return (low,)
    if len(inner) == 1:
        return tuple(j * inner[0] for j in outer)
    if (inner[0] == 0 and len(inner) == inner[-1] + 1) or high > _MAX_SUPPORT:  # no degree is left out, or too many
        return range(low, high + 1)
    mask = sum(1 << degree for degree in inner)
    total, power = 0, 1  # bits are degrees
    for j in range(outer[-1] + 1):
        if j in outer:
            total |= power
        power = _sums(power, mask)
    return tuple(degree for degree in range(total.bit_length()) if total >> degree & 1)


@lru_cache(CACHE_SIZE)
def unite_degrees(a: Sequence[int], b: Sequence[int]) -> Sequence[int]:
    """The degrees that f + g can have, given those of f and g."""
    if not a or not b or a == b:
        return a or b
    if isinstance(a, range) or isinstance(b, range):
        return range(min(a[0], b[0]), max(a[-1], b[-1]) + 1)
    return tuple(sorted({*a, *b}))


@lru_cache(CACHE_SIZE)
def multiply_degrees(a: Sequence[int], b: Sequence[int]) -> Sequence[int]:
    """The degrees that f g can have, given those of f and g."""
    if not a or not b:
        return ()
    if a[-1] + b[-1] > _MAX_SUPPORT or isinstance(a, range) or isinstance(b, range):
        return range(a[0] + b[0], a[-1] + b[-1] + 1)
    return tuple(sorted({i + j for i in a for j in b}))


def _sums(a: int, b: int) -> int:
    """The bits i + j for all bits i of a and j of b."""
    result = 0
    while b:
        lowest = b & -b
        result |= a * lowest
        b ^= lowest
    return result


@lru_cache(CACHE_SIZE)
def count_of_degrees(n: int, degrees: Sequence[int]) -> int:
    """Number of monomials in n variables of the given degrees; at least `NO_BOUND` where there are too many."""
    if isinstance(degrees, range):
        first, last = degrees[0], degrees[-1]
        if min(n, last) > _MANY:
            return NO_BOUND
        return comb(n + last, n) - (comb(n + first - 1, n) if first else 0)
    if degrees and min(n - 1, degrees[-1]) > _MANY:
        return NO_BOUND
    return sum(comb(n - 1 + degree, degree) for degree in degrees)
