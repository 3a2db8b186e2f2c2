# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures shared by all tests: random numbers, and every backend that can be imported here."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from polycore import _backend
from polycore.program import Interpreter, Program

BACKENDS = [name for name, present in _backend.available().items() if present]

if "cpp" not in BACKENDS:
    # Without the compiled core `auto` warns, as it should; a test run then says which fallback it means.
    os.environ.setdefault("POLYCORE_BACKEND", "numba" if "numba" in BACKENDS else "numpy")


def pytest_configure(config: pytest.Config) -> None:
    # The numpy kernels announce slow arithmetic modulo large primes once; test_backends.py tests that they do.
    config.addinivalue_line("filterwarnings", "ignore:numpy has no 128-bit integers:RuntimeWarning")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260701)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Name of each available backend in turn."""
    return str(request.param)


@pytest.fixture
def kernels(backend: str) -> Any:
    """The kernels of each available backend in turn."""
    return _backend.load(backend)


@pytest.fixture
def on_backend(backend: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the public functions on each available backend in turn."""
    monkeypatch.setattr(_backend, "name", lambda: backend)
    return backend


@pytest.fixture
def make_executor(on_backend: str) -> Callable[[Program], Any]:
    """Executor of a program on each available backend in turn: ``_core.Program``, or the interpreter."""

    def make(program: Program) -> Any:
        executor = Program(program.n_inputs, program.instructions).engine
        compiled = on_backend == "cpp" and bool(program.n_params)
        assert isinstance(executor, Interpreter) != compiled
        return executor

    return make
