# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures shared by all tests: random numbers, and every backend that can be imported here."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from polycore import _backend
from polycore.program import Activation, Add, Affine, Instruction, Interpreter, MatMul, Program, Select

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


@pytest.fixture
def random_program() -> Callable[..., Program]:
    """A function of a seed, and a number of instructions."""
    return make_random_program


def make_random_program(seed: int, n_instructions: int = 8) -> Program:
    """A small program with instructions of all kinds."""
    rng = np.random.default_rng(seed)
    n_inputs = int(rng.integers(2, 6))
    instructions: list[Instruction] = []
    while len(instructions) < n_instructions:
        widths = Program(n_inputs, instructions).widths if instructions else (n_inputs,)
        larger = Program(n_inputs, [*instructions, _random_instruction(rng, widths)])
        if larger.degree <= 6 and larger.widths[-1] <= 8 and larger.n_monomials <= 500:
            instructions.append(larger.instructions[-1])
    return Program(n_inputs, instructions)


def _random_instruction(rng: np.random.Generator, widths: tuple[int, ...]) -> Instruction:
    slot = int(rng.integers(max(0, len(widths) - 4), len(widths)))
    width = widths[slot]
    kind = rng.integers(6)
    if kind == 0:
        return Affine(slot, int(rng.integers(1, 4)), bool(rng.integers(4) == 0))
    if kind == 1:
        size = int(rng.integers(1, width + 1))
        windows = [tuple(range(i, i + size)) for i in range(width - size + 1)]
        return Affine(slot, int(rng.integers(1, 3)), bool(rng.integers(4) == 0), windows)
    if kind == 2:
        polynomials = [(0, 0, 1), (0, 0, 0, 1), (0, 1, 1), (1, 0, 1), (0, 1), (3,), (0,)]
        return Activation(slot, polynomials[rng.integers(len(polynomials))])
    if kind == 3:
        return Select(slot, tuple(rng.integers(0, width, int(rng.integers(1, width + 1))).tolist()))
    if kind == 4:
        equal = [s for s, w in enumerate(widths) if w == width]
        return Add((slot, equal[rng.integers(len(equal))]))
    other = int(rng.integers(len(widths)))
    inner = int(np.gcd(width, widths[other]))
    flags = bool(rng.integers(2)), bool(rng.integers(2))
    return MatMul(slot, other, width // inner, inner, widths[other] // inner, *flags)
