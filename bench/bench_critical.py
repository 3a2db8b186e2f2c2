# SPDX-License-Identifier: BSD-3-Clause
"""Searches of stationary points: against scipy's optimisers on the samples, and how a step costs and scales."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import operation_counts
import polycore as pc
from harness import Bar, Row, Session, benchmark, in_turn
from polycore.stationary import Search, search

WIDTHS, R = (3, 3, 2), 2
TOLERANCE = 1e-10
# Starts of a peer, which takes seconds for each.
FEW = 4


def data(n_samples: int) -> tuple[pc.MLP, np.ndarray, np.ndarray]:
    """A network, and noisy samples of one like it."""
    net = pc.MLP(WIDTHS, activation=R)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, net.n_inputs))
    Y = net.evaluate(net.random_params(rng), X)
    return net, X, Y + 0.1 * rng.standard_normal(Y.shape)


@benchmark(requires=["jax"])
def stationary_starts(session: Session) -> Iterator[Row]:
    """Descents from a thousand starts, data to minima, against scipy's optimisers with JAX on the samples."""
    import jax.numpy as jnp
    from scipy.optimize import minimize

    import peer_jax

    n_samples, n_starts = session.choose(100_000, 100), session.choose(1000, 4)
    net, X, Y = data(n_samples)
    starts = net.random_params(1, n_starts)

    def ours() -> Search:
        objective = pc.QDistance.from_data(X, Y, net.basis).compose(net)
        return search(objective, starts, "descent", tol=TOLERANCE)

    found = ours()
    reached = max(int(found.converged.sum()), 1)
    seconds = in_turn([ours], session.repeats, 0.0)[0] / reached

    on_samples = peer_jax.samples_loss_gradient(WIDTHS, R, X, Y)
    curved = peer_jax.samples_loss_hessian(WIDTHS, R, X, Y)

    def value_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = on_samples(jnp.asarray(theta))
        return float(value), np.asarray(gradient)

    def hessian(theta: np.ndarray) -> np.ndarray:
        return np.asarray(curved(jnp.asarray(theta)))

    # Tolerances that let both go on to the gradient that is asked for, or as far as they get.
    objective = pc.QDistance.from_data(X, Y, net.basis).compose(net)
    least = TOLERANCE * float(objective.gradient_scale(found.theta[int(np.argmin(found.value))]))
    steps = session.choose(800, 5)
    peers: dict[str, dict[str, Any]] = {
        "L-BFGS-B": {"options": {"maxiter": steps, "maxfun": 2 * steps, "ftol": 0.0, "gtol": 0.1 * least}},
        "trust-exact": {"hess": hessian, "options": {"maxiter": steps // 8, "gtol": least}},
    }
    hessian(starts[0]), value_and_gradient(starts[0])  # compiled
    for name, how in peers.items():

        def peer(name: str = name, how: dict[str, Any] = how) -> np.ndarray:
            runs = [minimize(value_and_gradient, x, jac=True, method=name, **how) for x in starts[:FEW]]
            return np.array([run.x for run in runs])

        ends, peer_seconds = timed(peer)
        norms = np.linalg.norm(objective.gradient(ends), axis=1)
        arrived = norms <= TOLERANCE * objective.gradient_scale(ends)
        peer_seconds /= max(int(arrived.sum()), 1)
        yield Row(
            f"{WIDTHS} r={R} n={n_samples:,} starts {n_starts:,}".replace(", ", ","),
            seconds,
            f"scipy {name}, JAX on the samples",
            peer_seconds,
            n_threads=session.n_threads,
            bars={"ratio": Bar(peer_seconds / seconds, session.choose(100.0, None))},
            details={
                "ours": f"{reached} of {n_starts} reached the tolerance in {int(found.n_steps.sum())} steps",
                "peer": f"{int(arrived.sum())} of {len(ends)}",
                "least values": [float(found.value.min()), float(np.min(objective.value(ends)))],
            },
        )


@benchmark()
def stationary_steps(session: Session) -> Iterator[Row]:
    """A step of a search costs the same whatever the number of samples."""
    sizes = session.choose((1_000, 10_000, 100_000, 1_000_000), (20, 40))
    n_starts = session.choose(200, 3)
    calls: list[Callable[[], Search]] = []
    for n_samples in sizes:
        net, X, Y = data(n_samples)
        objective = pc.QDistance.from_data(X, Y, net.basis).compose(net)
        starts = net.random_params(1, n_starts)
        # Descents on the way, which all take the steps they are given.
        calls.append(lambda o=objective, s=starts: search(o, s, "descent", tol=1e-300, max_steps=25))
    limit = session.dgemm()
    n_steps = [int(call().n_steps.sum()) for call in calls]
    *seconds, limit_seconds = in_turn([*calls, limit.run], session.repeats, session.choose(0.02, 0.0))
    per_step = [s / n for s, n in zip(seconds, n_steps, strict=True)]
    work = operation_counts.stationary_step(WIDTHS, R)
    for n_samples, one in zip(sizes, per_step, strict=True):
        yield Row(
            f"{WIDTHS} r={R} n={n_samples:,} a step".replace(", ", ","),
            one,
            bars={
                "fraction": Bar(work / one / (limit.work / limit_seconds)),
                "of the cheapest": Bar(one / min(per_step), session.choose(1.25, None), at_most=True),
            },
            limit=limit.name,
            limit_rate=limit.work / limit_seconds,
            details={"work": f"{work:.6g} x {limit.unit}"},
        )


@benchmark(n_threads=2)
def stationary_threads(session: Session) -> Iterator[Row]:
    """A thousand starts on two cores, against the same on one."""
    net, X, Y = data(session.choose(10_000, 100))
    objective = pc.QDistance.from_data(X, Y, net.basis).compose(net)
    starts = net.random_params(1, session.choose(1000, 4))
    for method in ("descent", "stationary"):
        yield session.compare(
            f"{WIDTHS} r={R} starts {len(starts):,} {method}".replace(", ", ","),
            lambda m=method: search(objective, starts, m, n_threads=2).theta,
            lambda m=method: search(objective, starts, m, n_threads=1).theta,
            "one thread",
            bar=session.choose(1.7, None),
            agree=lambda a, b: float(not np.array_equal(a, b)),
        )


def timed(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """The result and the seconds of one call."""
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start
