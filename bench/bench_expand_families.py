# SPDX-License-Identifier: BSD-3-Clause
"""Convolutional and attention networks to coefficients: against JAX, and our two ways against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import polycore as pc
from harness import Row, Session, benchmark
from polycore import _core

BATCH, FEW = 1024, 128


def networks(session: Session) -> list[tuple[str, pc.Network]]:
    full = [
        ("CNN filters (3,3,3) r=2", pc.CNN((3, 3, 3), activation=2)),
        ("CNN filters (3,3,3) r=2, 12 inputs", pc.CNN((3, 3, 3), activation=2, n_inputs=12)),
        ("attention d=4 t=4", pc.LightningAttention(4, 4, 4, n_tokens=4)),
    ]
    tiny = [
        ("CNN filters (2,2) r=3, 4 inputs", pc.CNN((2, 2), activation=3, n_inputs=4)),
        ("attention d=2 t=2", pc.LightningAttention(2, 1, 2, n_tokens=2)),
    ]
    return session.choose(full, tiny)


def ways_in_jax(net: pc.Network) -> dict[str, Any]:
    import peer_jax_families as peer

    if isinstance(net, pc.CNN):
        return peer.ways_to_expand_cnn(list(net.filters), net.activations[0].degree, net.n_inputs)
    return peer.ways_to_expand_attention(net.d_model, net.d_key, net.d_out, net.n_tokens)


@benchmark(requires=["jax"])
def expand_families_jax(session: Session) -> Iterator[Row]:
    """Expansion of a batch of convolutional and attention networks against JAX, the fastest of several ways."""
    import jax.numpy as jnp

    import peer_jax

    for name, net in networks(session):
        batch = session.choose(BATCH, 4)
        theta = net.random_params(0, batch)
        out = net.expand(theta)
        chunks = session.choose((8, 32, 128) if out[0].size > 1000 else (128, 1024), (2,))
        variants = peer_jax.batched_variants(ways_in_jax(net), chunks)
        jax_theta = jnp.asarray(theta)
        few = session.choose(max(FEW, max(chunks)), 4)
        candidates = {
            way: lambda f=function, x=jax_theta[:few]: f(x).block_until_ready() for way, function in variants.items()
        }
        way, report = session.fastest(candidates, out[:few].copy())
        yield session.compare(
            f"{name} batch {batch}",
            lambda net=net, theta=theta, out=out: net.expand(theta, out=out),
            lambda f=variants[way], x=jax_theta: f(x).block_until_ready(),
            f"JAX, {way}",
            bar=3,
            our_items=batch,
            peer_items=batch,
            work=float(out[0].nbytes),
            limit=session.memory_copy(),
            details={f"seconds for {few}": report},
        )


@benchmark()
def expand_families_forms(session: Session) -> Iterator[Row]:
    """Sums of products of the coefficients that can be non-zero, against dense forms, both ours."""
    for name, net in networks(session):
        few, batch = session.choose((16, BATCH), (2, 4))
        for what, n in (("expand", batch), ("expand on the support", batch), ("vjp", batch), ("jacobian", few)):
            circuit, forms = (call(net, method, what, n) for method in ("circuit", "forms"))
            yield session.compare(
                f"{what}, {name} batch {n}", circuit, forms, "polycore, forms", our_items=n, peer_items=n
            )


def call(net: pc.Network, method: str, what: str, batch: int) -> Callable[[], np.ndarray]:
    """The executor that computes coefficients in one of our two ways."""
    executor = _core.Program(net.n_inputs, net.program._float_tuples(), method)
    theta = net.random_params(0, batch)
    options = {"support": True} if what == "expand on the support" else {}
    out = executor.expand(theta, **options)
    if what == "vjp":
        return lambda: executor.vjp(theta, out)
    if what == "jacobian":
        return lambda: executor.jacobian(theta)
    return lambda: executor.expand(theta, out=out, **options)
