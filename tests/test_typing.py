# SPDX-License-Identifier: BSD-3-Clause
"""The types that users see: py.typed works, and a typed program over the public functions passes mypy --strict."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import polycore as pc

pytestmark = pytest.mark.slow

PROGRAM = """
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

import polycore as pc

assert_type(pc.count_monomials(3, 4), int)
basis = pc.MonomialBasis(2, 3)
assert_type(len(basis), int)
assert_type(basis.exponent(3), tuple[int, ...])
assert_type(basis.names(), list[str])

X = np.ones((5, 2))
A: NDArray[Any] = pc.veronese(X, 2)

net = pc.MLP((2, 3, 1), activation=2, bias=True)
assert_type(net.n_params, int)
theta: NDArray[np.float64] = net.random_params(rng=0)
coef: NDArray[Any] = net.expand(theta)
jacobian: NDArray[Any] = net.jacobian(theta)
named: dict[str, NDArray[Any]] = net.unpack(theta)

moments = pc.Moments(n_vars=2, degree=4, n_targets=1)
moments.update(X, X[:, 0])
assert_type(moments + moments, pc.Moments)
assert_type(moments.count, int)
moments.save(Path("m.npz"))
operator: LinearOperator = moments.gram_operator(basis)

loss = pc.QDistance.from_data(X, X[:, 0], net.basis)
assert_type(loss, pc.QDistance)
objective = loss.compose(net)
assert_type(objective, pc.NetworkLoss)
"""

WRONG = """
import polycore as pc

pc.count_monomials("three", 4)
pc.MLP(2, activation=2)
pc.Moments(n_vars=2, degree=4).updat([[1.0, 2.0]])
"""


def mypy(tmp_path: Path, program: str) -> subprocess.CompletedProcess[str]:
    source = tmp_path / "program.py"
    source.write_text(program)
    # NOTE: away from the source tree, whose configuration would find the package without py.typed.
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(source)]
    environment = {"PATH": "", "MYPYPATH": str(Path(pc.__file__).parents[1])} if editable() else None
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)


def editable() -> bool:
    """Import hooks of editable installs are invisible to type checkers."""
    return "site-packages" not in Path(pc.__file__).parts


def test_marker_is_installed() -> None:
    assert (Path(pc.__file__).parent / "py.typed").is_file()
    assert (Path(pc.__file__).parent / "_core.pyi").is_file()


def test_typed_program_passes(tmp_path: Path) -> None:
    done = mypy(tmp_path, PROGRAM)
    assert done.returncode == 0, done.stdout


def test_mistakes_are_found(tmp_path: Path) -> None:
    done = mypy(tmp_path, WRONG)
    assert done.returncode == 1
    assert done.stdout.count("error:") == 3, done.stdout
