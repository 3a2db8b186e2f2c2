# SPDX-License-Identifier: BSD-3-Clause
"""The distributions of this source tree, built once per run and without disturbing its build folders."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


BuildWheel = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def build_wheel() -> BuildWheel:
    """Function that builds a wheel from a source tree with the build tools of this environment."""

    def build(source: Path, out: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-cache-dir"]
        command += ["--wheel-dir", str(out), *options, str(source)]
        return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)

    return build


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (archive,) = out.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="session")
def source(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist: what everything else is built from, as a user would."""
    out = tmp_path_factory.mktemp("source")
    with tarfile.open(sdist) as archive:
        archive.extractall(out, filter="data")
    (folder,) = out.iterdir()
    return folder


@pytest.fixture(scope="session")
def wheel(source: Path, build_wheel: BuildWheel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    done = build_wheel(source, out)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheel_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel."""
    out = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out)
    return out
