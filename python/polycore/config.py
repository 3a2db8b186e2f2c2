# SPDX-License-Identifier: BSD-3-Clause
"""What is installed and in use: backend, instruction set, threads, versions, and where the C++ library lies."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from . import _backend

_COMPANIONS = ("numpy", "scipy", "numba", "pyarrow", "matplotlib", "jinja2", "tqdm")


def get_config() -> dict[str, Any]:
    """The configuration in use, as plain values that serialise to JSON.

    Returns
    -------
    dict
        ``version``; ``backend`` (name in use) and ``backends`` (name -> available); ``isa`` and ``isas``
        (instruction-set path of the compiled kernels, None when another backend is in use, and those that this machine
        can run); ``n_threads`` and ``n_threads_source``; ``python``, ``platform``; ``packages`` (name -> version,
        None when absent); ``include_dir`` and ``cmake_dir`` (None when the C++ library was not installed).

    Examples
    --------
    >>> sorted(get_config())[:4]
    ['backend', 'backends', 'cmake_dir', 'include_dir']
    """
    n_threads, source = default_threads()
    backend = _backend.name()
    return {
        "version": _version("polycore") or "0+unknown",
        "backend": backend,
        "backends": _backend.available(),
        "isa": _core_attribute("isa") if backend == "cpp" else None,
        "isas": list(_core_attribute("available_isas") or []),
        "n_threads": n_threads,
        "n_threads_source": source,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in _COMPANIONS},
        "include_dir": _directory_or_none(get_include),
        "cmake_dir": _directory_or_none(get_cmake_dir),
    }


def show_config(file: TextIO | None = None) -> None:
    """Print the configuration in use, one fact a line.

    Parameters
    ----------
    file : text stream, optional
        Where to print; standard output by default.

    Raises
    ------
    TypeError
        If ``file`` cannot be written to.
    """
    if file is not None and not hasattr(file, "write"):
        raise TypeError(f"`file` must be a text stream, got {type(file).__name__}")
    print(format_config(get_config()), file=sys.stdout if file is None else file)


def format_config(config: dict[str, Any]) -> str:
    """The lines `show_config` prints, from the dictionary `get_config` returns."""
    others = [name for name, there in config["backends"].items() if there and name != config["backend"]]
    isas = [isa for isa in config["isas"] if isa != config["isa"]]
    packages = [f"{name} {version}" for name, version in config["packages"].items() if version]
    absent = [name for name, version in config["packages"].items() if not version]
    rows = [
        ("polycore", config["version"]),
        ("backend", config["backend"] + (f" (also here: {', '.join(others)})" if others else "")),
        (
            "ISA path",
            (config["isa"] or "none: not the compiled kernels") + (f" (also: {', '.join(isas)})" if isas else ""),
        ),
        ("threads", f"{config['n_threads']} (from {config['n_threads_source']})"),
        ("Python", f"{config['python']} on {config['platform']}"),
        ("packages", ", ".join(packages)),
        ("not installed", ", ".join(absent) or "–"),
        ("C++ headers", config["include_dir"] or "not installed"),
        ("CMake package", config["cmake_dir"] or "not installed"),
    ]
    return "\n".join(f"{label:<14} {value}" for label, value in rows)


def default_threads() -> tuple[int, str]:
    """The number of threads that ``n_threads=0`` stands for, and where that number comes from.

    The first of ``POLYCORE_NUM_THREADS``, ``OMP_NUM_THREADS`` and the hardware that gives a positive integer decides.
    The numba and numpy backends run their kernels on one thread whatever this says.
    """
    from_core = _core_attribute("default_threads")
    hardware = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for variable in ("POLYCORE_NUM_THREADS", "OMP_NUM_THREADS"):
        # OMP_NUM_THREADS may list one number per nesting level: "4,2".
        first = os.environ.get(variable, "").split(",")[0].strip()
        if first.isascii() and first.isdigit() and int(first) > 0:
            return int(from_core or first), variable
    return int(from_core or hardware), "hardware"


def get_include() -> str:
    """Directory of the C++ headers: the one that holds ``polycore/polycore.hpp``.

    Raises
    ------
    FileNotFoundError
        If this installation carries no headers (run from a source tree, or installed as pure Python).
    """
    return _find("include", "polycore/polycore.hpp", "C++ headers")


def get_cmake_dir() -> str:
    """Directory of the CMake package, for ``-Dpolycore_DIR=$(python -m polycore --cmakedir)``.

    Raises
    ------
    FileNotFoundError
        If this installation carries no CMake package (run from a source tree, or installed as pure Python).
    """
    return _find("lib/cmake/polycore", "polycoreConfig.cmake", "CMake package")


def _find(directory: str, marker: str, what: str) -> str:
    for root in _package_roots():
        if (root / directory / marker).is_file():
            return str(root / directory)
    raise FileNotFoundError(
        f"polycore's {what} is not part of this installation; install the wheel built with the C++ extension, "
        "or do `pip install .` in the source tree"
    )


def _package_roots() -> Iterator[Path]:
    """Every directory that may hold the package's installed files, likeliest first.

    In an editable install the Python sources stay in the source tree while compiled and installed files go to
    site-packages/polycore, so the directory of this file is only one of several.
    """
    extension = importlib.util.find_spec("polycore._core")
    if extension is not None and extension.origin:
        yield Path(extension.origin).resolve().parent
    yield Path(__file__).resolve().parent
    try:
        distribution = importlib.metadata.distribution("polycore")
    except importlib.metadata.PackageNotFoundError:
        return
    yield Path(str(distribution.locate_file("polycore"))).resolve()


def _directory_or_none(getter: Any) -> str | None:
    try:
        return str(getter())
    except FileNotFoundError:
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _core_attribute(attribute: str) -> Any:
    """Value of a function of the compiled extension, None when there is no extension or no such function."""
    if not _backend.available()["cpp"]:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function = getattr(_backend.load("cpp"), attribute, None)
    except ImportError:
        return None
    return function() if callable(function) else function
