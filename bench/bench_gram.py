# SPDX-License-Identifier: BSD-3-Clause
"""The Gram matrix times a vector without forming it, against the dense matrix."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import polycore as pc
from harness import Bar, Row, Session, benchmark


@benchmark(n_threads=(1, 2))
def gram_product(session: Session) -> Iterator[Row]:
    """Q·c from the moments, against numpy with the dense Gram matrix: time and memory."""
    d0, degree = session.choose((6, 6), (2, 2))
    basis = pc.MonomialBasis(d0, degree)
    rng = np.random.default_rng(0)
    m = pc.Moments(d0, 2 * degree)
    m.update(rng.uniform(-1, 1, size=(session.choose(10_000, 50), d0)))
    Q, operator = m.gram(basis), m.gram_operator(basis)
    c = rng.normal(size=len(basis))
    row = session.compare(
        f"d0={d0} D={degree} N={len(basis)} M={len(m.basis):,}",
        lambda: operator.matvec(c),
        lambda: Q @ c,
        "dense Gram matrix",
        bar=0.5,
        work=len(basis) ** 2,
        limit=session.dgemm(),
    )
    row.bars["memory"] = Bar(Q.nbytes / operator.moments.nbytes, 40)
    yield row
