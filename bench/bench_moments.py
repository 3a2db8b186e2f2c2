# SPDX-License-Identifier: BSD-3-Clause
"""Moments of data against forming the Gram matrix from rows of monomials.

The Gram matrix AᵀA of all monomials of degree <= D has M = C(d0 + 2D, 2D) distinct entries: the moments of degree
<= 2D, whose sum costs M multiply-adds a row.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import polycore as pc
from harness import Bar, Row, Session, benchmark, in_turn

SIZES = [(200_000, 2, 8), (200_000, 4, 4), (100_000, 6, 3), (20_000, 3, 10)]
WIDE_SIZES = [(20_000, 8, 4), (40_000, 10, 3)]
TINY = [(50, 3, 2)]


def accumulate(X: np.ndarray, degree: int) -> np.ndarray:
    """The moments of degree <= 2 * degree, from nothing to the finished array."""
    m = pc.Moments(X.shape[1], 2 * degree)
    m.update(X)
    return m.moments


def samples(n: int, d0: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d0))


def gram_agrees(d0: int, degree: int) -> Any:
    """How to compare our moments with the peer's Gram matrix."""
    basis = pc.MonomialBasis(d0, degree)

    def difference(moments: np.ndarray, gram: np.ndarray) -> float:
        # Entry by entry relative to sqrt(Q_ii Q_jj): high moments of normal samples dwarf the others.
        scale = np.sqrt(np.diag(gram))
        return float(np.abs((pc.gram_matrix(moments, basis) - gram) / np.outer(scale, scale)).max())

    return difference


@benchmark(n_threads=2, requires=["sklearn"])
def moments(session: Session) -> Iterator[Row]:
    """Moments against PolynomialFeatures + AᵀA, and where there are many also against AᵀA alone with A for free."""
    from sklearn.preprocessing import PolynomialFeatures

    wide = session.choose(WIDE_SIZES, TINY)
    for n, d0, degree in [*session.choose(SIZES, TINY), *wide]:
        X = samples(n, d0)
        features = PolynomialFeatures(degree).fit(X)
        A = features.transform(X)
        is_wide = (n, d0, degree) in wide
        common: dict[str, Any] = {
            "work": pc.count_monomials(d0, 2 * degree) * n,
            "limit": session.dgemm(),
            "agree": gram_agrees(d0, degree),
        }
        size = f"n={n:,} d0={d0} D={degree}"

        def ours(X: np.ndarray = X, degree: int = degree) -> np.ndarray:
            return accumulate(X, degree)

        def features_and_gram(X: np.ndarray = X, features: Any = features) -> np.ndarray:
            A = features.transform(X)
            return A.T @ A  # numpy sees the symmetry and calls dsyrk

        def gram_alone(A: np.ndarray = A) -> np.ndarray:
            return A.T @ A

        bar = 10 if is_wide else 20
        yield session.compare(size, ours, features_and_gram, "PolynomialFeatures + AᵀA", bar=bar, **common)
        if is_wide:
            yield session.compare(size, ours, gram_alone, "AᵀA alone, A for free", bar=3, **common)


@benchmark(n_threads=2)
def moments_one_variable(session: Session) -> Iterator[Row]:
    """Moments of one variable against numpy's vander + AᵀA."""
    n, degree = session.choose((5_000_000, 32), (100, 3))
    X = np.random.default_rng(0).uniform(-1, 1, size=(n, 1))

    def vander_and_gram() -> np.ndarray:
        A = np.vander(X[:, 0], degree + 1, increasing=True)
        return A.T @ A

    yield session.compare(
        f"n={n:,} d0=1 D={degree}",
        lambda: accumulate(X, degree),
        vander_and_gram,
        "vander + AᵀA",
        bar=50,
        work=(2 * degree + 1) * n,
        limit=session.dgemm(),
        agree=gram_agrees(1, degree),
    )


@benchmark()
def moments_arithmetic(session: Session) -> Iterator[Row]:
    """Moments on one core, M multiply-adds a row, as a fraction of dgemm on one core."""
    for n, d0, degree in session.choose([*SIZES, *WIDE_SIZES], TINY):
        count = pc.count_monomials(d0, 2 * degree)
        X = samples(n, d0)
        yield session.compare(
            f"n={n:,} d0={d0} D={degree} M={count:,}",
            lambda X=X, degree=degree: accumulate(X, degree),
            work=count * n,
            limit=session.dgemm(),
            fraction_bar=0.55 if count >= 900 else None,
        )


@benchmark(n_threads=2)
def moments_memory(session: Session) -> Iterator[Row]:
    """Peak memory of a stream of blocks must not grow with the number of rows."""
    import resource

    d0, degree, block_rows = 8, 4, session.choose(100_000, 100)
    few, many = session.choose((10, 100), (2, 4))
    block = samples(block_rows, d0)

    def stream(n_blocks: int) -> pc.Moments:
        m = pc.Moments(d0, degree)
        for _ in range(n_blocks):
            m.update(block)
        return m

    def peak() -> int:
        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
        return kib if sys.platform == "darwin" else 1024 * kib

    stream(few)
    before = peak()
    m = stream(many)
    grown = (peak() - before) / 2**20
    assert m.count == many * block_rows
    (seconds,) = in_turn([lambda: stream(few)], 1, 0.0)
    row = Row(
        f"n={few * block_rows:,} -> {many * block_rows:,} d0={d0} 2D={degree}", seconds, n_threads=session.n_threads
    )
    row.bars["peak memory grown by MiB"] = Bar(grown, 1.0, at_most=True)
    yield row
