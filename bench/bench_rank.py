# SPDX-License-Identifier: BSD-3-Clause
"""Rank over GF(p) by elimination, against python-flint and against the matrix product."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import polycore as pc
from harness import Row, Session, benchmark

WORD, LARGE = 2**31 - 1, 2**61 - 1
# n, the prime, how many times as fast as the peer, and the part of the matrix product's rate.
CASES = (
    (64, WORD, None, None),
    (200, WORD, None, None),
    (500, WORD, 2, None),
    (1000, WORD, 3, None),
    (2000, WORD, 3, None),
    (4000, WORD, 3, 0.25),
    (1000, LARGE, None, None),
)
TINY = ((20, WORD, None, None), (20, LARGE, None, None))


@benchmark(requires=["flint"])
def modular_rank(session: Session) -> Iterator[Row]:
    """Rank of a random n x n matrix over GF(p), against python-flint's nmod_mat.rank."""
    import peer_flint

    for n, p, ratio, fraction in session.choose(CASES, TINY):
        matrix = np.random.default_rng(n).integers(0, p, (n, n), dtype=np.uint64)
        converted = peer_flint.matrix(matrix, p)
        yield session.compare(
            f"n={n} {p.bit_length()}-bit prime",
            lambda matrix=matrix, p=p: pc.modular_rank(matrix, p),
            converted.rank,
            "nmod_mat.rank",
            bar=ratio,
            work=n**3 / 3,
            limit=session.dgemm(),
            fraction_bar=fraction,
        )
