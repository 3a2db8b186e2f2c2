# SPDX-License-Identifier: BSD-3-Clause
"""Without a C++ compiler the package installs as pure Python, works, and says once that it is slower."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

OPTION = "cmake.define.POLYCORE_BUILD_EXTENSION"
# Nothing on the path but the programs of this Python's environment, CMake and ninja among them.
WITHOUT_COMPILER = {"PATH": str(Path(sys.executable).parent), "CC": "/nonexistent/cc", "CXX": "/nonexistent/c++"}

PROGRAM = """
import sys, warnings
sys.path[:0] = [{folder!r}, {site!r}]
import numpy as np
import polycore as pc

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    net = pc.MLP((2, 2, 1), activation=2)
    coef = net.expand([1, 2, 3, 4, 1, 1])
    X = np.random.default_rng(0).normal(size=(50, 2))
    loss = pc.QDistance.from_data(X, X[:, :1] * X[:, 1:], net.basis)
    assert loss.value(coef) > 0
assert coef.tolist() == [[10.0, 28.0, 20.0]], coef
assert pc.get_config()["backend"] in ("numba", "numpy")
assert pc.get_config()["cmake_dir"] is None
messages = [str(w.message) for w in caught if "compiled extension" in str(w.message)]
assert len(messages) == 1, messages
"""


@pytest.fixture(scope="module")
def pure_folder(source: Path, build_wheel: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked pure-Python wheel."""
    out = tmp_path_factory.mktemp("pure")
    done = build_wheel(source, out, "-C", f"{OPTION}=OFF", **WITHOUT_COMPILER)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "unpacked")
    return out / "unpacked"


def test_only_python_is_installed(pure_folder: Path) -> None:
    files = [path for path in (pure_folder / "polycore").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".py", ".pyi", ".typed", ".j2"}
    assert not (pure_folder / "polycore/include").exists()


def test_package_works_and_warns_once(pure_folder: Path) -> None:
    # NOTE: -S, or the .pth file of an editable install would put its own polycore first.
    program = PROGRAM.format(folder=str(pure_folder), site=sysconfig.get_path("platlib"))
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_missing_compiler_is_said_with_the_remedy(
    source: Path, build_wheel: Callable[..., Any], tmp_path: Path
) -> None:
    done = build_wheel(source, tmp_path, "-C", f"build-dir={tmp_path}/build", **WITHOUT_COMPILER)
    assert done.returncode != 0
    assert f"{OPTION}=OFF" in done.stdout + done.stderr
