# SPDX-License-Identifier: BSD-3-Clause
"""Rows of monomials against scikit-learn's PolynomialFeatures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import polycore as pc
from harness import Row, Session, benchmark

SIZES = [(200_000, 4, 4), (100_000, 10, 3), (500_000, 2, 8), (20_000, 20, 3)]
TINY = [(50, 3, 2)]


@benchmark(n_threads=(1, 2), requires=["sklearn"])
def veronese(session: Session) -> Iterator[Row]:
    """Rows of monomials in C order: a fresh array against PolynomialFeatures, writing to out= against a copy."""
    from sklearn.preprocessing import PolynomialFeatures

    for n, d0, degree in session.choose(SIZES, TINY):
        X = np.random.default_rng(0).normal(size=(n, d0))
        features = PolynomialFeatures(degree).fit(X)
        # The peer makes the same columns in the same order.
        out = pc.veronese(X, degree)
        size = f"n={n:,} d0={d0} D={degree}"
        yield session.compare(
            f"{size}, fresh",
            lambda X=X, degree=degree: pc.veronese(X, degree),
            lambda X=X, features=features: features.transform(X),
            "PolynomialFeatures",
            bar=5,
            work=out.nbytes,
            limit=session.fresh_fill(),
        )
        yield session.compare(
            f"{size}, out=",
            lambda X=X, degree=degree, out=out: pc.veronese(X, degree, out=out),
            work=out.nbytes,
            limit=session.memory_copy(),
            fraction_bar=0.6,
        )
