# SPDX-License-Identifier: BSD-3-Clause
"""Gradients of the loss in the parameters, against JAX on the coefficients and on the samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import operation_counts
import polycore as pc
from bench_expand import BATCH, FEW, NETS, TINY
from harness import Row, Session, benchmark


@benchmark(requires=["jax"])
def loss_gradient(session: Session) -> Iterator[Row]:
    """Value and gradient of the Q-distance for a batch, against JAX with the fastest way to expand."""
    import jax
    import jax.numpy as jnp

    import peer_jax

    for spec in session.choose(NETS, TINY):
        net = spec.mlp
        batch = session.choose(BATCH, 4)
        theta = net.random_params(0, batch)
        jax_theta = jnp.asarray(theta)
        loss = some_loss(net)
        objective = loss.compose(net)

        gram, target = loss.gram, loss.target
        ways = {
            name: peer_jax.loss_gradient(way, gram, target)
            for name, way in peer_jax.ways_to_expand(spec.widths, spec.r).items()
        }
        # No coefficients any more, so not the same mathematics, but the best that dense linear algebra can do: no bar.
        folded = {"values at points, Q folded": peer_jax.folded_loss_gradient(spec.widths, spec.r, gram, target)}
        groups: list[tuple[dict[str, Any], float | None]] = [(ways, 5), (folded, None)]
        few = min(batch, FEW)
        result = objective.value_and_gradient(theta[:few])
        for group, bar in groups:
            variants = peer_jax.batched_variants(group, spec.chunks(session))
            candidates = {
                name: lambda f=function, x=jax_theta[:few]: jax.block_until_ready(f(x))
                for name, function in variants.items()
            }
            name, report = session.fastest(candidates, result)
            yield session.compare(
                f"{spec} batch {batch}",
                lambda objective=objective, theta=theta: objective.value_and_gradient(theta),
                lambda f=variants[name], x=jax_theta: jax.block_until_ready(f(x)),
                f"JAX, {name}",
                bar=bar,
                our_items=batch,
                peer_items=batch,
                work=operation_counts.loss_gradient(spec.widths, spec.r),
                limit=session.dgemm(),
                details={f"seconds for {few}": report},
            )


def some_loss(net: pc.Network) -> pc.QDistance:
    """The loss of some data in general position."""
    rng = np.random.default_rng(1)
    n = min(2 * len(net.basis) + 10, 1000)  # more would take minutes to factorise; Q is dense in any case
    X = rng.normal(size=(n, net.n_inputs))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return pc.QDistance.from_data(X, rng.normal(size=(n, net.n_outputs)), net.basis)


@benchmark(n_threads=(1, 2), requires=["jax"])
def loss_gradient_samples(session: Session) -> Iterator[Row]:
    """One gradient step after one pass over the data, against JAX's full-batch gradient on the samples."""
    import jax
    import jax.numpy as jnp

    import peer_jax

    widths, r = session.choose((4, 3, 4, 2), (2, 3, 2)), 2
    n = session.choose(100_000, 50)
    net = pc.MLP(widths, activation=r)
    rng = np.random.default_rng(0)
    X, Y, theta = rng.normal(size=(n, widths[0])), rng.normal(size=(n, widths[-1])), net.random_params(0)
    m = pc.Moments(widths[0], 2 * net.degree, widths[-1], net.degree, net.basis.homogeneous)
    m.update(X, Y)
    objective = pc.QDistance.from_moments(m, net.basis).compose(net)
    on_samples, jax_theta = peer_jax.samples_loss_gradient(widths, r, X, Y), jnp.asarray(theta)

    def ours() -> tuple[float, np.ndarray]:
        value, gradient = objective.value_and_gradient(theta)
        return value + objective.constant, gradient

    yield session.compare(
        f"{widths} r={r} n={n:,}".replace(", ", ","),
        ours,
        lambda: jax.block_until_ready(on_samples(jax_theta)),
        "JAX, full batch of samples",
        bar=100,
        work=operation_counts.loss_gradient(widths, r),
        limit=session.dgemm(),
    )
