# SPDX-License-Identifier: BSD-3-Clause
"""The one dispatch point between the Python layer and the kernels.

No other module imports ``_core``, ``_kernels_numba`` or ``_kernels_numpy``. The choice is made once, on first use, from
``POLYCORE_BACKEND = auto | cpp | numba | numpy``; ``auto`` is the compiled core, else numba, else numpy. An explicit
choice that is missing raises; ``auto`` without the compiled core warns once.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from functools import cache
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

BACKENDS = ("cpp", "numba", "numpy")
_MODULES = {"cpp": "polycore._core", "numba": "polycore._kernels_numba", "numpy": "polycore._kernels_numpy"}

Array = NDArray[Any]


class Kernels(Protocol):
    """The functions every backend supplies (contract: docs/architecture.md, "The kernel contract").

    ``d`` counts the variables of forms: a polynomial of degree <= D in n variables is a form of degree D in n + 1.
    Arguments are checked before dispatch, outputs are allocated before dispatch.
    """

    def graded_product(
        self, d: int, degree_a: int, degree_b: int, a: Array, b: Array, out: Array, modulus: int, n_threads: int
    ) -> None: ...
    def correlation(
        self, d: int, degree_out: int, degree_b: int, m: Array, b: Array, out: Array, modulus: int, n_threads: int
    ) -> None: ...
    def hankel_matrix(self, d: int, degree_rows: int, degree_cols: int, m: Array, out: Array) -> None: ...
    def veronese(self, X: Array, degree: int, homogeneous: bool, out: Array, n_threads: int) -> None: ...
    def modular_rank(self, matrix: Array, modulus: int, overwrite: bool = False, n_threads: int = 1) -> int: ...
    def modular_echelon(self, matrix: Array, modulus: int) -> NDArray[np.int64]: ...
    def moment_block(
        self,
        X: Array,
        Y: Array,
        degree: int,
        cross_degree: int,
        homogeneous: bool,
        moments: NDArray[np.float64],
        cross: NDArray[np.float64],
        targets: NDArray[np.float64],
    ) -> None: ...


def available() -> dict[str, bool]:
    """Which backends can be imported here (without importing numba, which is slow)."""
    return {
        "cpp": importlib.util.find_spec("polycore._core") is not None,
        "numba": importlib.util.find_spec("numba") is not None,
        "numpy": True,
    }


@cache
def load(name: str) -> Kernels:
    """The kernels of one named backend; ImportError when it is missing."""
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {name!r}")
    return cast(Kernels, importlib.import_module(_MODULES[name]))


@cache
def name() -> str:
    """Name of the backend in use: "cpp", "numba" or "numpy"."""
    wanted = os.environ.get("POLYCORE_BACKEND", "auto").strip().lower() or "auto"
    if wanted in BACKENDS:
        load(wanted)
        return wanted
    if wanted != "auto":
        raise ValueError(f"POLYCORE_BACKEND must be auto, cpp, numba or numpy, got {wanted!r}")
    have = available()
    if have["cpp"]:
        load("cpp")
        return "cpp"
    fallback = "numba" if have["numba"] else "numpy"
    hint = "" if have["numba"] else "; `pip install numba` makes it faster"
    warnings.warn(
        f"polycore's compiled extension is not installed: running on {fallback}, which is slower{hint}. "
        f"Set POLYCORE_BACKEND={fallback} to choose it without this warning.",
        RuntimeWarning,
        stacklevel=3,
    )
    return fallback


def kernels() -> Kernels:
    """The kernels in use."""
    return load(name())
