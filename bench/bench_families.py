# SPDX-License-Identifier: BSD-3-Clause
"""Values of convolutional and attention networks, against the same mathematics in JAX and torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import operation_counts
import polycore as pc
from harness import Row, Session, benchmark

FILTERS = (3, 3, 3)
D_MODEL, N_TOKENS = 4, 4


@benchmark(requires=["jax"])
def evaluate_families(session: Session) -> Iterator[Row]:
    """Values of a CNN and of attention: one network at many points, many networks at a few, against JAX."""
    import peer_jax

    n, few = session.choose((1024, 16), (4, 2))
    cnn = pc.CNN(session.choose(FILTERS, (2, 2)), activation=2)
    d, t = session.choose((D_MODEL, N_TOKENS), (2, 2))
    attention = pc.LightningAttention(d, d, n_tokens=t)
    families: list[tuple[str, Any, dict[str, Any]]] = [
        (f"CNN {cnn.filters} r=2".replace(", ", ","), cnn, peer_jax.ways_to_convolve(cnn.filters, 2)),
        (f"attention d={d} t={t}", attention, peer_jax.ways_to_attend(d, t)),
    ]
    for name, net, ways in families:
        for batch, n_samples in (((), n), ((n,), few)):
            theta = net.random_params(0, batch)
            X = np.random.default_rng(0).normal(size=(n_samples, net.n_inputs))
            calls = peer_jax.over_points(ways, theta, X)
            peer, report = session.fastest(calls, net.evaluate(theta, X))
            networks = f"{batch[0]} networks" if batch else "1 network"
            yield session.compare(
                f"{name}, {networks}, {n_samples} points",
                lambda net=net, theta=theta, X=X: net.evaluate(theta, X),
                calls[peer],
                f"JAX, {peer}",
                bar=3,
                work=operation_counts.evaluate_program(net.program) * n_samples * max(1, len(theta) if batch else 1),
                limit=session.dgemm(),
                details={"candidates": report},
            )


@benchmark(n_threads=(1, 2), requires=["torch"])
def evaluate_signals(session: Session) -> Iterator[Row]:
    """A CNN on many signals, against torch: conv1d and powers."""
    import torch

    torch.set_num_threads(session.n_threads)
    filters, r = session.choose(FILTERS, (2, 2)), 2
    for n_inputs in session.choose((7, 32), (3, 5)):
        net = pc.CNN(filters, activation=r, n_inputs=n_inputs)
        theta = net.random_params(0)
        X = np.random.default_rng(0).normal(size=(session.choose(100_000, 20), n_inputs))
        weights = [torch.from_numpy(w.copy()).reshape(1, 1, -1) for w in net.unpack(theta).values()]
        signals = torch.from_numpy(X)

        def by_conv1d(weights: Any = weights, signals: Any = signals) -> Any:
            z = torch.nn.functional.conv1d(signals[:, None, :], weights[0])
            for w in weights[1:]:
                z = torch.nn.functional.conv1d(z.pow(r), w)
            return z[:, 0, :]

        def by_slices(weights: Any = weights, signals: Any = signals) -> Any:
            z = signals
            for layer, w in enumerate(weights):
                z = z.pow(r) if layer else z
                n_out = z.shape[1] - w.numel() + 1
                z = sum(w[0, 0, k] * z[:, k : k + n_out] for k in range(w.numel()))
            return z

        ways: dict[str, Callable[[], Any]] = {"conv1d": by_conv1d, "sums of slices": by_slices}
        with torch.inference_mode():
            name, report = session.fastest(ways, net.evaluate(theta, X))
            yield session.compare(
                f"CNN {filters} r={r} n={len(X):,} length {n_inputs}".replace(", ", ","),
                lambda net=net, theta=theta, X=X: net.evaluate(theta, X),
                ways[name],
                f"torch, {name}",
                bar=1,
                work=operation_counts.evaluate_program(net.program) * len(X),
                limit=session.dgemm(),
                details={"candidates": report},
            )
