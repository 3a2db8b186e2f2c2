# SPDX-License-Identifier: BSD-3-Clause
"""Dense decompositions that answer Ctrl-C.

LAPACK runs for seconds without looking up, and Python delivers a signal only between two of its own steps. So a long
decomposition runs on a thread of its own while the calling thread waits where an interrupt reaches it. An interrupted
decomposition ends unheard in the background.

That needs routines that let go of Python's lock: numpy's eigenvalue and singular value decompositions do (scipy's do
not), and scipy's QR does (numpy's does not for tall matrices).
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from .errors import NumericalError

Matrix = NDArray[np.float64]
T = TypeVar("T")

# Multiply-adds below which a decomposition takes tens of milliseconds at most.
_LONG = 10**8
_SECONDS_BETWEEN_LOOKS = 0.05


def eigh(symmetric: Matrix) -> tuple[Matrix, Matrix]:
    """Eigenvalues in ascending order and orthonormal eigenvectors (columns) of a symmetric matrix."""
    values, vectors = _decompose(lambda: np.linalg.eigh(symmetric), len(symmetric) ** 3)
    return np.asarray(values), np.asarray(vectors)


def eigenvalues(symmetric: Matrix) -> Matrix:
    """Eigenvalues of a symmetric matrix in ascending order."""
    return _decompose(lambda: np.asarray(np.linalg.eigvalsh(symmetric)), len(symmetric) ** 3)


def svd(a: Matrix, full: bool = False) -> tuple[Matrix, Matrix, Matrix]:
    """U, singular values in descending order, and Vᵀ; with ``full`` U and V are square."""
    u, s, vt = _decompose(
        lambda: np.linalg.svd(a, full_matrices=full), a.size * (max(a.shape) if full else min(a.shape))
    )
    return np.asarray(u), np.asarray(s), np.asarray(vt)


def right_svd(a: Matrix) -> tuple[Matrix, Matrix]:
    """Singular values in descending order and Vᵀ, square: without U, the larger factor of a tall matrix."""
    _, s, vt = svd(triangle(a) if a.shape[0] > a.shape[1] else a, full=True)
    return s, vt


def singular_values(a: Matrix) -> Matrix:
    """Singular values in descending order."""
    return _decompose(lambda: np.asarray(np.linalg.svd(a, compute_uv=False)), a.size * min(a.shape))


def qr(a: Matrix) -> tuple[Matrix, Matrix]:
    """Q with orthonormal columns and the triangle R."""
    work = a.size * min(a.shape)
    q, r = _decompose(lambda: scipy.linalg.qr(a, mode="economic", check_finite=False), work)
    return np.asarray(q), np.asarray(r)


def triangle(a: Matrix) -> Matrix:
    """R of the QR factorisation, shape (min(rows, columns), columns)."""
    work, rows = a.size * min(a.shape), min(a.shape)
    (r,) = _decompose(lambda: scipy.linalg.qr(a, mode="r", check_finite=False), work)
    return np.array(r[:rows], dtype=np.float64, order="C")


def _decompose(decomposition: Callable[[], T], work: int) -> T:
    try:
        return interruptible(decomposition) if work > _LONG else decomposition()
    except np.linalg.LinAlgError as error:
        raise NumericalError(f"a matrix decomposition failed: {error}") from None


def interruptible(function: Callable[[], T]) -> T:
    """The result (or exception) of ``function``, waited for where KeyboardInterrupt can be raised.

    Signals reach the main thread only, so anywhere else this is a plain call.
    """
    if threading.current_thread() is not threading.main_thread():
        return function()
    outcome: dict[str, Any] = {}
    context = contextvars.copy_context()  # numpy's errstate lives there

    def run() -> None:
        try:
            outcome["result"] = context.run(function)
        except BaseException as error:
            outcome["error"] = error

    worker = threading.Thread(target=run, name="polycore-lapack", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(_SECONDS_BETWEEN_LOOKS)
    if "error" in outcome:
        raise outcome["error"]
    result: T = outcome["result"]
    return result
