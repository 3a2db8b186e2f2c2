# SPDX-License-Identifier: BSD-3-Clause
"""For information, no bars: the instruction sets and the backends against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import polycore as pc
from harness import Row, Session, benchmark

Work = dict[str, Callable[[], Any]]


def some_work(session: Session) -> Work:
    """A call for each of the kernels that count."""
    rng = np.random.default_rng(0)
    n, d0, degree = session.choose((50_000, 6, 3), (50, 2, 2))
    X = rng.normal(size=(n, d0))
    out = pc.veronese(X, degree)
    batch = session.choose(256, 2)

    def moments() -> np.ndarray:
        m = pc.Moments(d0, 2 * degree)
        m.update(X)
        return m.moments

    work: Work = {
        f"veronese n={n:,} d0={d0} D={degree}": lambda: pc.veronese(X, degree, out=out),
        f"moments n={n:,} d0={d0} 2D={2 * degree}": moments,
    }
    for widths, r in session.choose([((4, 3, 4, 2), 3), ((8, 8, 8, 1), 2)], [((2, 2, 1), 2)]):
        net = pc.MLP(widths, activation=r)
        theta = net.random_params(0, batch)
        dcoef = rng.normal(size=(batch, net.n_outputs, len(net.basis)))
        name = f"{widths} r={r} batch {batch}".replace(", ", ",")
        work[f"expand {name}"] = lambda net=net, theta=theta: net.expand(theta)
        work[f"vjp {name}"] = lambda net=net, theta=theta, dcoef=dcoef: net.vjp(theta, dcoef)
    return work


@benchmark()
def isa_paths(session: Session) -> Iterator[Row]:
    """The instruction sets: the best one here against each of the others."""
    from polycore import _core

    *others, best = _core.available_isas()

    def on(isa: str, call: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            _core.set_isa(isa)
            return call()

        return run

    for name, call in some_work(session).items():
        for isa in others:
            yield session.compare(name, on(best, call), on(isa, call), f"{isa} (ours: {best})")


@benchmark(requires=["numba"])
def fallback_backends(session: Session) -> Iterator[Row]:
    """The compiled core against the fallbacks, numba and numpy."""
    from polycore import _backend

    def on(backend: str) -> Work:
        """The same calls, on objects that belong to this backend."""

        def within(call: Callable[[], Any]) -> Callable[[], Any]:
            def run() -> Any:
                _backend.name = lambda: backend
                return call()

            return run

        return {name: within(call) for name, call in some_work(session).items()}

    ours, peers = on("cpp"), {backend: on(backend) for backend in ("numba", "numpy")}
    for name, call in ours.items():
        for backend, calls in peers.items():
            yield session.compare(name, call, calls[name], backend)
