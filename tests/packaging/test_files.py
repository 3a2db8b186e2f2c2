# SPDX-License-Identifier: BSD-3-Clause
"""What the sdist and the wheel hold: everything they should, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "polycore"

pytestmark = pytest.mark.slow

HEADERS = [
    "cpu",
    "error",
    "gram",
    "modular",
    "moments",
    "monomials",
    "networks",
    "parallel",
    "polycore",
    "product",
    "program",
    "rank",
    "stationary",
    "support",
    "veronese",
    "version",
]
CMAKE_PACKAGE = ["polycoreConfig", "polycoreConfigVersion", "polycoreTargets", "polycoreTargets-release"]
METADATA = ["METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"]


def test_sdist_is_the_repository(sdist: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    expected = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file() and not name.startswith(".ci/")}
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == expected | {"PKG-INFO"}


def test_wheel_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    dist_info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    python = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.suffix in {".py", ".pyi", ".typed", ".j2"} or path.name == "py.typed"
    }
    assert {"py.typed", "_core.pyi", "__main__.py"} <= python
    expected = {f"polycore/{name}" for name in python}
    expected |= {f"polycore/_core{sysconfig.get_config_var('EXT_SUFFIX')}", "polycore/lib/libpolycore.a"}
    expected |= {f"polycore/include/polycore/{name}.hpp" for name in HEADERS}
    expected |= {f"polycore/lib/cmake/polycore/{name}.cmake" for name in CMAKE_PACKAGE}
    expected |= {f"{dist_info}/{name}" for name in METADATA}
    assert names == expected


def test_umbrella_header_includes_every_header() -> None:
    text = (ROOT / "cpp/include/polycore/polycore.hpp").read_text()
    assert sorted(re.findall(r'#include "polycore/(\w+)\.hpp"', text)) == sorted(set(HEADERS) - {"polycore"})


def test_version_is_that_of_the_project(wheel: Path, wheel_folder: Path) -> None:
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert wheel.name.split("-")[1] == version
    assert f'"{version}"' in (wheel_folder / "polycore/include/polycore/version.hpp").read_text()
    assert f'"{version}"' in (wheel_folder / "polycore/lib/cmake/polycore/polycoreConfigVersion.cmake").read_text()


def test_cmake_package_can_be_moved(source: Path, wheel_folder: Path) -> None:
    for path in (wheel_folder / "polycore/lib/cmake/polycore").iterdir():
        text = path.read_text()
        assert str(source) not in text
        assert str(ROOT) not in text


def test_static_library_suits_any_compiler(wheel_folder: Path) -> None:
    library = (wheel_folder / "polycore/lib/libpolycore.a").read_bytes()
    assert library.startswith(b"!<arch>\n")
    assert b".gnu.lto_" not in library
    assert b".debug_info" not in library
