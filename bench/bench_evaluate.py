# SPDX-License-Identifier: BSD-3-Clause
"""Values of a network at many points, against the forward pass in numpy and JAX."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import operation_counts
import polycore as pc
from harness import Row, Session, benchmark


@benchmark(n_threads=(1, 2), requires=["jax"])
def evaluate(session: Session) -> Iterator[Row]:
    """Values at points, against the forward pass written in numpy and in JAX."""
    import jax
    import jax.numpy as jnp

    import peer_jax

    widths, r = session.choose((16, 16, 16, 1), (2, 3, 1)), 2
    n = session.choose(100_000, 50)
    net = pc.MLP(widths, activation=r)
    theta, X = net.random_params(0), np.random.default_rng(0).normal(size=(n, widths[0]))
    weights = [np.ascontiguousarray(W.T) for W in net.unpack(theta).values()]

    def with_numpy() -> np.ndarray:
        z = X @ weights[0]
        for W in weights[1:]:
            np.multiply(z, z, out=z)
            z = z @ W
        return z

    @jax.jit
    def rows(theta: jax.Array, X: jax.Array) -> jax.Array:
        first, *others = peer_jax.layers(widths, theta)
        z = X @ first.T
        for W in others:
            z = (z * z) @ W.T
        return z

    columns = jax.jit(lambda theta, X: peer_jax.evaluate(widths, r, theta, X).T)
    jax_theta, jax_X, jax_XT = jnp.asarray(theta), jnp.asarray(X), jnp.asarray(X.T.copy())
    ways = {
        "samples as rows": lambda: rows(jax_theta, jax_X).block_until_ready(),
        "samples as columns": lambda: columns(jax_theta, jax_XT).block_until_ready(),
    }
    name, report = session.fastest(ways, net.evaluate(theta, X))
    for peer_name, peer in (("numpy", with_numpy), (f"JAX, {name}", ways[name])):
        yield session.compare(
            f"{widths} r={r} n={n:,}".replace(", ", ","),
            lambda: net.evaluate(theta, X),
            peer,
            peer_name,
            bar=1.5,
            work=operation_counts.evaluate(widths) * n,
            limit=session.dgemm(),
            details={"candidates": report} if "JAX" in peer_name else None,
        )
