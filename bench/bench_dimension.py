# SPDX-License-Identifier: BSD-3-Clause
"""The dimension of many small networks, and of a large one."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

import peer_numpy
import polycore as pc
from harness import Bar, Row, Session, benchmark


def architectures(n: int) -> list[tuple[int, ...]]:
    """Of all with 2 inputs, 2 to 8 layers of weights and widths up to 6, at random: most of them have 8 layers."""
    rng = np.random.default_rng(0)
    depths = np.arange(2, 9)
    counts = 6.0**depths
    return [(2, *rng.integers(1, 7, depth).tolist()) for depth in rng.choice(depths, n, p=counts / counts.sum())]


@benchmark()
def dimension_of_many(session: Session) -> Iterator[Row]:
    """Dimension of small architectures with r = 2, one prime each, against the same method in plain numpy."""
    everything = architectures(session.choose(1000, 10))
    some = everything[::10]  # for the peers

    def ours(widths: tuple[int, ...]) -> pc.DimensionResult:
        return pc.dimension(pc.MLP(widths, 2), primes=1, max_error=0.5, n_threads=1)

    n_rows = [sum(a * b for a, b in pairwise(w)) - sum(w[1:-1]) + 8 for w in some]
    rng = np.random.default_rng(0)
    for name, peer, bar in (
        ("numpy, point by point", peer_numpy.dimension_by_points, 40),
        ("numpy, all points at once", peer_numpy.dimension_in_blocks, None),
    ):
        yield session.compare(
            f"{len(everything)} architectures",
            lambda: np.array([ours(widths).dimension for widths in everything])[::10],
            lambda peer=peer: np.array([peer(widths, 2, n, rng) for widths, n in zip(some, n_rows)]),
            name,
            bar=bar,
            our_items=len(everything),
            peer_items=len(some),
        )


@benchmark(n_threads=(1, 2))
def dimension_of_a_large_network(session: Session) -> Iterator[Row]:
    """Dimension of (20,42,42,42,20) with r = 2, 5208 parameters, one prime: no peer; time, memory, arithmetic rate."""
    net = pc.MLP(session.choose((20, 42, 42, 42, 20), (3, 4, 4, 3)), 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = pc.dimension(net, primes=1, max_error=0.5)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    n = result.dimension
    jacobian = 8 * n * (net.n_params - sum(net.widths[1:-1]))
    row = session.compare(
        "-".join(map(str, net.widths)),
        lambda: pc.dimension(net, primes=1, max_error=0.5).dimension,
        work=n**3 / 3,
        limit=session.dgemm(),
    )
    row.bars["memory"] = Bar(peak / jacobian, 3.0, at_most=True)
    row.details["peak_bytes"], row.details["operations_per_second"] = peak, 2 * n**3 / 3 / row.ours_s
    yield row
