# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C in long calls: answered at once, the objects usable and unchanged, the worker threads healthy.

One child process runs operation after operation; the test sends it SIGINT in the middle of each and compares clocks.
``python tests/test_interrupt.py [NAME ...]`` prints the latencies, which should be below 200 ms on a quiet machine. The
tests only tell an answer from a hang.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import polycore as pc
from polycore import _backend, stationary

if not hasattr(signal, "pthread_kill"):
    pytest.skip("needs POSIX signals", allow_module_level=True)

HANGS = 60.0  # seconds
Operation = Callable[[], Callable[[], object]]
OPERATIONS: dict[str, Operation] = {}  # name -> function that prepares a call of about a second or (far) more


def operation(prepare: Operation) -> Operation:
    OPERATIONS[prepare.__name__] = prepare
    return prepare


def data(n: int, n_vars: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, n_vars))


@operation
def expand() -> Callable[[], object]:
    net = pc.MLP((8, 8, 8, 4), 4)
    theta = net.random_params()
    return lambda: net.expand(theta)


@operation
def expand_batch() -> Callable[[], object]:
    net = pc.MLP((4, 3, 4, 2), 3)
    theta = net.random_params(batch=30_000)
    return lambda: net.expand(theta)


@operation
def expand_exactly() -> Callable[[], object]:
    net = pc.MLP((6, 6, 6, 3), 3)
    theta = np.random.default_rng(0).integers(-99, 99, net.n_params)
    return lambda: net.expand(theta, dtype=object)


@operation
def jacobian() -> Callable[[], object]:
    net = pc.MLP((8, 10, 10, 3), 3)
    theta = net.random_params()
    return lambda: net.jacobian(theta)


@operation
def evaluate() -> Callable[[], object]:
    net = pc.MLP((2000, 2000, 2000, 10), 2)
    theta, X = net.random_params(), data(2000, 2000) / 100
    return lambda: net.evaluate(theta, X)


@operation
def evaluate_vjp() -> Callable[[], object]:
    net = pc.MLP((300, 300, 300, 10), 2)
    theta, X, dY = net.random_params(), data(800, 300) / 20, data(800, 10)
    out = np.empty((800, net.n_params))
    return lambda: net.evaluate_vjp(theta, X, dY, out=out)


@operation
def gradient_flow() -> Callable[[], object]:
    net = pc.MLP((8, 20, 8), 3)
    loss, theta = pc.QDistance.from_metric("identity", np.ones((8, len(net.basis))), net.basis), net.random_params()

    def call() -> None:
        if pc.gradient_flow(loss, net, 0.1 * theta).ended == "interrupted":
            raise KeyboardInterrupt

    return call


@operation
def bias() -> Callable[[], object]:
    net = pc.MLP((3, 3, 2), 3)

    def call() -> None:
        if pc.bias(net, "bombieri_weyl", 100_000).stopped == "interrupted":
            raise KeyboardInterrupt

    return call


@operation
def critical_points() -> Callable[[], object]:
    """Which returns what it has found, and says that it was interrupted."""
    net = pc.MLP((3, 3, 2), 2)
    x = data(100, 3)
    loss = pc.QDistance.from_data(x, x[:, :2] ** 2 + data(100, 2), net.basis)

    def call() -> None:
        found = pc.critical_points(loss, net, 100_000, 0, "search")
        assert found.partial
        assert found.stopped == "interrupted"
        assert "interrupted" in repr(found)
        raise KeyboardInterrupt

    return call


@operation
def update_of_moments() -> Callable[[], object]:
    m, X = pc.Moments(6, 8), data(1_000_000, 6)
    m.update(X[:700])
    before = m.to_bytes()

    def call() -> None:
        nonlocal before
        try:
            m.update(X)
        except KeyboardInterrupt:
            assert m.to_bytes() == before, "an interrupted update left something behind"
            raise
        before = m.to_bytes()

    return call


@operation
def update_of_many_moments() -> Callable[[], object]:
    m, X = pc.Moments(12, 8, 1), data(20_000, 12)
    before = m.count

    def call() -> None:
        nonlocal before
        try:
            m.update(X, X[:, :1])
        except KeyboardInterrupt:
            assert m.count == before
            raise
        before = m.count

    return call


@operation
def modular_rank() -> Callable[[], object]:
    matrix = np.random.default_rng(0).integers(0, 2**61 - 1, (3000, 3000), dtype=np.uint64)
    return lambda: pc.modular_rank(matrix, 2**61 - 1)


@operation
def modular_kernel() -> Callable[[], object]:
    matrix = np.random.default_rng(0).integers(0, 2**31 - 1, (2500, 2600), dtype=np.uint64)
    return lambda: pc.modular_kernel(matrix, 2**31 - 1)


@operation
def veronese() -> Callable[[], object]:
    X, out = data(100_000, 10), np.empty((100_000, 1001))
    return lambda: pc.veronese(X, 4, out=out)


@operation
def veronese_by_columns() -> Callable[[], object]:
    X = data(100_000, 10)
    return lambda: pc.veronese(X, 4, order="F")


@operation
def veronese_of_few_samples() -> Callable[[], object]:
    X = data(4, 12)
    return lambda: pc.veronese(X, 12)


@operation
def gram_matrix() -> Callable[[], object]:
    basis = pc.MonomialBasis(6, 8)
    moments = np.ones(pc.count_monomials(6, 16))
    return lambda: pc.gram_matrix(moments, basis)


@operation
def gram_operator() -> Callable[[], object]:
    basis = pc.MonomialBasis(8, 9)
    Q, c = pc.gram_operator(np.ones(pc.count_monomials(8, 18)), basis), np.ones(len(basis))
    return lambda: Q @ c


@operation
def gram_operator_of_two_variables() -> Callable[[], object]:
    basis = pc.MonomialBasis(2, 500)
    Q, c = pc.gram_operator(np.ones(pc.count_monomials(2, 1000)), basis), np.ones(len(basis))
    return lambda: Q @ c


@operation
def gram_operator_of_one_variable() -> Callable[[], object]:
    basis = pc.MonomialBasis(1, 150_000)
    Q, c = pc.gram_operator(np.ones(300_001), basis), np.ones(len(basis))
    return lambda: Q @ c


@operation
def graded_product() -> Callable[[], object]:
    basis = pc.MonomialBasis(7, 8)
    c = np.ones(len(basis))
    return lambda: pc.graded_product(c, basis, c, basis)


@operation
def graded_product_of_one_variable() -> Callable[[], object]:
    basis = pc.MonomialBasis(1, 200_000)
    c = np.ones(len(basis))
    return lambda: pc.graded_product(c, basis, c, basis)


@operation
def loss_by_qr() -> Callable[[], object]:
    X = data(200_000, 5)
    return lambda: pc.QDistance.from_data(X, X[:, :1], pc.MonomialBasis(5, 5), method="qr")


@operation
def loss_with_large_gram() -> Callable[[], object]:
    m, X = pc.Moments(6, 12, 1), data(3000, 6)
    m.update(X, X[:, :1])
    return lambda: pc.QDistance.from_moments(m, pc.MonomialBasis(6, 6))


def network_loss() -> tuple[pc.MLP, pc.NetworkLoss]:
    net, X = pc.MLP((6, 8, 8, 2), 2, bias=True), data(3000, 6)
    return net, pc.QDistance.from_data(X, X[:, :2], net.basis).compose(net)


@operation
def loss_and_gradient() -> Callable[[], object]:
    net, loss = network_loss()
    theta = net.random_params(batch=20_000)
    return lambda: loss.value_and_gradient(theta)


@operation
def hessian() -> Callable[[], object]:
    net, loss = network_loss()
    theta = net.random_params(batch=50)
    return lambda: loss.hessian(theta)


@operation
def random_params() -> Callable[[], object]:
    net = pc.MLP((16, 16, 16, 1), 2)
    return lambda: net.random_params(batch=100_000)


@operation
def report() -> Callable[[], object]:
    X = data(5000, 5)
    return lambda: pc.report(X, np.sin(X.sum(axis=1)), widths=(5, 6, 6, 1), activation=2, bias=True)


@operation
def equations() -> Callable[[], object]:
    net = pc.MLP((2, 2, 2), 2)
    return lambda: pc.equations(net, 9)


@operation
def linear_span() -> Callable[[], object]:
    net = pc.CNN((6, 6, 6), 3)
    return lambda: net.linear_span()


@operation
def subnetworks() -> Callable[[], object]:
    net = pc.MLP((6, 8, 8, 8, 2), 3)
    return lambda: [stratum.dimension for stratum in pc.subnetworks(net)]


@operation
def analyze_point_exactly() -> Callable[[], object]:
    net = pc.MLP((10, 20, 20, 5), 2)
    theta = np.random.default_rng(0).integers(-9, 9, net.n_params)
    return lambda: pc.analyze_point(net, theta)


@operation
def recover() -> Callable[[], object]:
    net = pc.MLP((4, 3, 3, 2), 3)
    coef = np.random.default_rng(0).normal(size=(2, len(net.basis)))
    return lambda: net.recover(coef, n_starts=10**6)


@operation
def recover_shallow() -> Callable[[], object]:
    net = pc.MLP((10, 12, 3), 4)
    coef = net.expand(net.random_params()) + 1e-3
    return lambda: net.recover(coef)


@operation
def contains() -> Callable[[], object]:
    net = pc.MLP((4, 3, 3, 2), 2)
    coef = np.random.default_rng(0).integers(-9, 9, (2, len(net.basis)))
    return lambda: net.contains(coef)


@operation
def contains_exactly() -> Callable[[], object]:
    net = pc.MLP((2, 30, 1), 60)
    coef = np.random.default_rng(0).integers(-99, 99, (1, 61))
    return lambda: net.contains(coef)


@operation
def align() -> Callable[[], object]:
    net = pc.MLP((60, 60, 60, 60), 1)
    theta, other = net.random_params(1), net.random_params(2)
    return lambda: net.align(theta, other)


@operation
def canonical_exactly() -> Callable[[], object]:
    net = pc.MLP((40, 40, 40), 1)
    theta = np.random.default_rng(0).integers(-9, 9, net.n_params).astype(object)
    return lambda: net.canonical(theta)


@operation
def stationary_points() -> Callable[[], object]:
    net = pc.MLP((20, 40, 1), 2)
    objective = pc.QDistance.from_metric("identity", np.ones((1, net.basis.n_monomials)), net.basis).compose(net)
    starts = net.random_params(batch=8)
    return lambda: stationary.search(objective, starts, "stationary", max_steps=1000)


@operation
def orbit_dimension() -> Callable[[], object]:
    net = pc.LightningAttention(48, 48, 48, n_tokens=4)
    return lambda: net.symmetries().orbit_dimension


# -- the two processes ------------------------------------------------------------------------------------------------


def child_main(names: list[str]) -> None:
    import warnings

    warnings.simplefilter("ignore")
    net = pc.MLP((3, 4, 2), 2)
    theta = net.random_params(batch=3000)
    expected = net.expand(theta, n_threads=1)
    for name in names:
        call = OPERATIONS[name]()
        print("ready", flush=True)
        try:
            try:
                while True:
                    call()
            finally:
                stopped = time.monotonic()
        except KeyboardInterrupt:
            pass
        healthy = all((net.expand(theta, n_threads=n) == expected).all() for n in (1, 2, 8))
        print(f"{name} {stopped!r} {healthy}", flush=True)


def latencies(names: list[str], backend: str) -> dict[str, float]:
    """Seconds from the signal to the exception, for each operation."""
    command = [sys.executable, str(Path(__file__).resolve()), "--child", *names]
    environment = {**os.environ, "POLYCORE_BACKEND": backend}
    found: dict[str, float] = {}
    delays = random.Random(7)
    hanging = threading.Timer(HANGS, lambda: None)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("ready"):
                time.sleep(delays.uniform(0.05, 0.5))
                sent = time.monotonic()
                child.send_signal(signal.SIGINT)
                hanging = threading.Timer(HANGS, child.kill)
                hanging.start()
            else:
                hanging.cancel()
                name, stopped, healthy = line.split()
                assert healthy == "True", f"{name}: another result afterwards"
                found[name] = float(stopped) - sent
    assert child.returncode == 0, f"the child ended with {child.returncode} after {list(found)}"
    return found


def check(names: list[str], backend: str) -> None:
    found = latencies(names, backend)
    assert found.keys() == set(names)
    slow = {name: f"{seconds:.2f} s" for name, seconds in found.items() if seconds > HANGS}
    assert not slow


@pytest.mark.skipif(not _backend.available()["cpp"], reason="needs the compiled core")
def test_ctrl_c_is_answered_by_the_core() -> None:
    check(list(OPERATIONS), "cpp")


def test_ctrl_c_is_answered_by_the_reference() -> None:
    check(["update_of_moments", "veronese", "graded_product_of_one_variable", "loss_by_qr", "hessian"], "numpy")


@pytest.mark.parametrize("command", ["report", "moments", "critical"])
def test_ctrl_c_on_the_command_line(command: str, tmp_path: Path) -> None:
    """One line on standard error, exit code 130, nothing half-written; critical points found so far are marked so."""
    rows = data(200_000, 6)
    np.save(tmp_path / "rows.npy", np.hstack([rows, rows[:, :1] ** 2]))
    out = tmp_path / "out"
    more = {
        "report": ["--widths", "6,6,6,1", "--bias", "--y", "6", "--starts", "100000", "--out", str(out)],
        "moments": ["--degree", "22", "--out", str(out)],
        "critical": ["--widths", "6,3,3,1", "--bias", "--y", "6", "--starts", "10000000", "--json"],
    }[command]
    arguments = [command, "--data", str(tmp_path / "rows.npy"), "--x", "0:6", *more]
    with subprocess.Popen(
        [sys.executable, "-m", "polycore", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        time.sleep(2.0)
        assert child.poll() is None, "finished before it could be interrupted"
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=HANGS)
    assert child.returncode == 130, errors
    assert errors.strip() == "polycore: interrupted"
    if command == "critical" and output:  # the search had begun
        assert json.loads(output)["stopped"] == "interrupted"
    else:
        assert output == ""
    assert not out.exists() or not list(out.iterdir())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child_main(sys.argv[2:])
    else:
        for _name, _seconds in latencies(sys.argv[1:] or list(OPERATIONS), "auto").items():
            print(f"{_name:32} {1000 * _seconds:6.0f} ms")
