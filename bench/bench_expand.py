# SPDX-License-Identifier: BSD-3-Clause
"""Networks to coefficients, against python-flint and JAX."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import operation_counts
import polycore as pc
from harness import Bar, Row, Session, benchmark


@dataclass(frozen=True)
class Net:
    """Widths and power of an MLP without bias, and how many times as fast as python-flint its batch must be."""

    widths: tuple[int, ...]
    r: int
    bar: float

    @property
    def mlp(self) -> pc.MLP:
        return pc.MLP(self.widths, activation=self.r)

    def chunks(self, session: Session) -> tuple[int, ...]:
        """Sizes of the parts in which JAX treats a batch, so that they fit into caches and into memory."""
        return session.choose((64,) if len(self.mlp.basis) > 1000 else (32, 128), (2,))

    def __str__(self) -> str:
        return f"{self.widths} r={self.r}".replace(" ", "").replace("r=", " r=")


NETS = [Net((4, 3, 4, 2), 3, 50), Net((8, 8, 8, 1), 2, 150), Net((4, 6, 6, 6, 2), 3, 40)]
TINY = [Net((2, 3, 2, 1), 2, 50)]
BATCH = 1024
# Out of several ways to write the peer, the fastest is chosen on so many networks.
FEW = 128


@benchmark(requires=["flint"])
def expand(session: Session) -> Iterator[Row]:
    """Expansion of a batch, time of one network, against python-flint's nmod_mpoly, network by network."""
    import peer_flint

    for spec in session.choose(NETS, TINY):
        net = spec.mlp
        batch = session.choose(BATCH, 2)
        theta = net.random_params(0, batch)
        out = net.expand(theta)
        for name, peer, p, bar in (
            ("nmod_mpoly, z ** r, 61-bit p", peer_flint.expand_by_powers, peer_flint.LARGE_PRIME, spec.bar),
            ("nmod_mpoly, z * z .., 61-bit p", peer_flint.expand_by_products, peer_flint.LARGE_PRIME, spec.bar),
            ("nmod_mpoly, z * z .., p = 1000003", peer_flint.expand_by_products, peer_flint.SMALL_PRIME, spec.bar),
        ):
            flint_expand = flint_call(net, peer, spec.r, p)
            plain = operation_counts.expand(spec.widths, spec.r)
            yield session.compare(
                f"{spec} batch {batch}",
                lambda net=net, theta=theta, out=out: net.expand(theta, out=out),
                flint_expand,
                name,
                bar=bar,
                our_items=batch,
                work=plain,
                limit=session.dgemm(),
                fraction_bar=0.2,
                agree=lambda ours, theirs: 0.0,  # other numbers: flint_call compares in GF(p)
                details={"squares by symmetry": operation_counts.expand(spec.widths, spec.r, True)},
            )


@benchmark(requires=["flint"])
def expand_single(session: Session) -> Iterator[Row]:
    """Expansion of one parameter vector a call, against python-flint."""
    import peer_flint

    for spec in session.choose(NETS, TINY):
        net = spec.mlp
        theta = net.random_params(0)
        for name, peer, p in (
            ("nmod_mpoly, z ** r, 61-bit p", peer_flint.expand_by_powers, peer_flint.LARGE_PRIME),
            ("nmod_mpoly, z * z .., p = 1000003", peer_flint.expand_by_products, peer_flint.SMALL_PRIME),
        ):
            yield session.compare(
                str(spec),
                lambda net=net, theta=theta: net.expand(theta),
                flint_call(net, peer, spec.r, p),
                name,
                bar=15,
                work=operation_counts.expand(spec.widths, spec.r),
                limit=session.dgemm(),
                agree=lambda ours, theirs: 0.0,
            )


def flint_call(net, peer, r, p):
    """The peer on random weights mod p, once compared with our own expansion in GF(p)."""
    import peer_flint

    theta = net.random_params(0, modulus=p)
    weights, ctx = peer_flint.as_matrices(net, theta), peer_flint.context(net.n_inputs, p)
    theirs = peer_flint.coefficients(peer(ctx, weights, r), net.basis.exponents)
    if not (net.expand(theta, modulus=p) == theirs).all():
        raise AssertionError(f"polycore and python-flint differ on {net} mod {p}")
    return lambda: peer(ctx, weights, r)


@benchmark()
def call_overhead(session: Session) -> Iterator[Row]:
    """Calls with one parameter vector whose arithmetic is next to nothing: the overhead of a call."""
    net = pc.MLP((1, 1, 1), activation=2)
    theta, dcoef, X = net.random_params(0), np.ones((1, 1)), np.ones((1, 1))
    loss = pc.QDistance.from_data(np.ones((3, 1)), np.ones((3, 1)), net.basis).compose(net)
    calls = {
        "expand": (lambda: net.expand(theta), 4e-6),
        "vjp": (lambda: net.vjp(theta, dcoef), None),
        "evaluate": (lambda: net.evaluate(theta, X), None),
        "loss value_and_gradient": (lambda: loss.value_and_gradient(theta), None),
    }
    for name, (call, bar) in calls.items():
        row = session.compare(f"{name}, widths (1,1,1)", call)
        row.bars["microseconds"] = Bar(1e6 * row.ours_s, None if bar is None else 1e6 * bar, at_most=True)
        yield row


@benchmark(requires=["jax"])
def expand_jax(session: Session) -> Iterator[Row]:
    """Expansion of a batch against JAX: the fastest of graded products and evaluation + solve."""
    import jax.numpy as jnp

    import peer_jax

    for spec in session.choose(NETS, TINY):
        net = spec.mlp
        batch = session.choose(BATCH, 4)
        theta = net.random_params(0, batch)
        out = net.expand(theta)
        variants = peer_jax.batched_variants(peer_jax.ways_to_expand(spec.widths, spec.r), spec.chunks(session))
        few, jax_theta = min(batch, FEW), jnp.asarray(theta)
        candidates = {
            name: lambda f=function, x=jax_theta[:few]: f(x).block_until_ready() for name, function in variants.items()
        }
        name, report = session.fastest(candidates, out[:few].copy())
        yield session.compare(
            f"{spec} batch {batch}",
            lambda net=net, theta=theta, out=out: net.expand(theta, out=out),
            lambda f=variants[name], x=jax_theta: f(x).block_until_ready(),
            f"JAX, {name}",
            bar=5,
            our_items=batch,
            peer_items=batch,
            work=operation_counts.expand(spec.widths, spec.r),
            limit=session.dgemm(),
            details={f"seconds for {few}": report},
        )
