# SPDX-License-Identifier: BSD-3-Clause
"""Powers in a linear space of forms that they span: g_1, ..., g_k with span(f_1, f_2, ...) = span(g_1^r, ..., g_k^r).

Where g_i vanishes, g_i^r vanishes of order r: all its partial derivatives of order r − 1 do. So at such a point the
matrix of these derivatives of k basis elements has a kernel, the coordinates of g_i^r, which are the same for all zeros
of g_i and real, even if the zero is not. There are enough derivatives if C(m + r − 2, r − 1) >= k. On a complex line
each g_i has zeros, and Gauss–Newton steps for the point and the kernel vector find some; more derivatives than elements
of the basis leave no other solutions.

Legend: ``m`` variables, ``D = r e`` the degree of the f_j and ``e`` that of the g_i.
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._recovery_powers import evaluate_forms, minimal_coordinates, multinomials, multiply, substitute, symmetric_tensor

Matrix = NDArray[Any]

_LINES, _STARTS, _STEPS = 12, 48, 25
# A kernel vector is real if its imaginary part is below this, and its form a power if it differs by no more.
_REAL, _POWER = 1e-4, 1e-3
_ZERO = 1e-9


def roots_in_space(forms: Matrix, m: int, degree: int, r: int, k: int, rng: np.random.Generator) -> Matrix | None:
    """The forms g_i (k, N_e) up to factors, or None.

    Parameters
    ----------
    forms : (J, N) array
        Of rank k.
    m, degree, r, k : int
        Variables, degree of the forms, exponent >= 2, dimension.
    rng : numpy Generator
        For lines and starts.
    """
    if comb(m + r - 2, r - 1) < k or m < 2:
        return None
    lengths = np.sqrt(multinomials(m, degree))
    _, sizes, rows = np.linalg.svd(forms / lengths, full_matrices=False)
    if len(sizes) < k or not sizes[k - 1] > _ZERO * sizes[0]:
        return None
    space = rows[:k] * lengths
    change = minimal_coordinates(space, m, degree)
    back = np.linalg.inv(change)
    space = substitute(space, m, degree, change)
    space /= np.linalg.norm(space / lengths)
    tensor = symmetric_tensor(space / lengths**2, m, (r - 1, degree - r + 1))
    found: list[Matrix] = []
    powers: list[Matrix] = []
    for _ in range(_LINES):
        for vector in _kernels_on_a_line(tensor, m, degree - r + 1, rng):
            if any(abs(vector @ power) > 1 - 1e-6 for power in powers):
                continue
            root = _root(vector @ space, m, degree, r, rng)
            if root is not None:
                found.append(substitute(root[None], m, degree // r, back)[0])
                powers.append(vector)
        if len(found) >= k:
            return np.array(found)
    return None


def power_of(form: Matrix, m: int, degree: int, r: int) -> Matrix:
    """Coefficients of the r-th power of a form of some degree."""
    result = form
    for j in range(1, r):
        result = multiply(result, form, m, j * degree, degree)
    return result


def _kernels_on_a_line(tensor: Matrix, m: int, degree: int, rng: np.random.Generator) -> list[Matrix]:
    """Real unit vectors c (k,) with Σ_j c_j ∂^β f_j(x) = 0 for all β and some x on a random line."""
    k, n_rows, _ = tensor.shape
    line = np.linalg.qr(rng.standard_normal((m, 2)))[0]
    n = degree + 1
    nodes = np.exp(2j * np.pi * np.arange(n) / n)
    points = line[:, 0] + nodes[:, None] * line[:, 1]
    flat = (tensor * np.sqrt(multinomials(m, degree))).reshape(k * n_rows, -1)
    values = evaluate_forms(flat, m, degree, points).reshape(n, k, n_rows).swapaxes(1, 2)
    polynomial = np.fft.fft(values, axis=0) / n  # in t, ascending, (n, rows, k)
    t = rng.standard_normal(_STARTS) + 1j * rng.standard_normal(_STARTS)
    matrices, slopes = _horner(polynomial, t)
    vectors = np.linalg.svd(matrices)[2][:, -1].conj()
    for _ in range(_STEPS):
        residuals = np.einsum("brk,bk->br", matrices, vectors)
        jacobian = np.concatenate([np.einsum("brk,bk->br", slopes, vectors)[..., None], matrices], axis=2)
        # Steps keep the length of the vector to first order.
        border = np.concatenate([np.zeros((_STARTS, 1)), vectors.conj()], axis=1)[:, None]
        jacobian = np.concatenate([jacobian, border], axis=1)
        right = np.concatenate([residuals, np.zeros((_STARTS, 1))], axis=1)
        steps = (np.linalg.pinv(jacobian) @ right[..., None])[..., 0]
        far = np.abs(steps[:, :1])
        steps = steps * np.minimum(1.0, 0.5 / np.where(far > 0, far, 1.0))
        t, vectors = t - steps[:, 0], vectors - steps[:, 1:]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        matrices, slopes = _horner(polynomial, t)
    misfits = np.linalg.norm(np.einsum("brk,bk->br", matrices, vectors), axis=1)
    misfits /= np.linalg.norm(matrices, axis=(1, 2)) + 1e-300
    kernels = []
    for position in np.argsort(misfits):
        if not misfits[position] < 1e-5:
            break
        vector = vectors[position]
        vector = vector / vector[np.argmax(np.abs(vector))]
        if np.abs(vector.imag).max() < _REAL:
            kernels.append(vector.real / np.linalg.norm(vector.real))
    return kernels


def _horner(polynomial: Matrix, t: Matrix) -> tuple[Matrix, Matrix]:
    """Values and derivatives of a matrix polynomial (n, rows, k) at points (B,)."""
    value = np.broadcast_to(polynomial[-1], (len(t), *polynomial.shape[1:])).astype(complex)
    slope = np.zeros_like(value)
    for coefficient in polynomial[-2::-1]:
        slope = slope * t[:, None, None] + value
        value = value * t[:, None, None] + coefficient
    return value, slope


def _root(form: Matrix, m: int, degree: int, r: int, rng: np.random.Generator) -> Matrix | None:
    """A form g with ±g^r = form, or None.

    Sorted by degrees in all variables but the first, F = Σ F_d and g = Σ g_d, and Euler's relation for
    g · (y·∇)F = r F · (y·∇)g determines g_d from the g_j before: r d F_0 g_d = Σ_{j < d} (d − j − r j) F_(d−j) g_j.
    """
    rotation = np.linalg.qr(rng.standard_normal((m, m)))[0]
    turned = substitute(form[None], m, degree, rotation)[0]
    inner = degree // r
    ends = [comb(m - 1 + d, d) for d in range(inner + 1)]
    parts = [turned[end - comb(m - 2 + d, d) : end] for d, end in enumerate(ends)]
    if not abs(turned[0]) > 1e-12 * np.abs(turned).max():
        return None
    roots = [np.array([abs(turned[0]) ** (1 / r)])]
    for d in range(1, inner + 1):
        total = np.zeros_like(parts[d])
        for j in range(d):
            total += (d - j - r * j) * multiply(parts[d - j], roots[j], m - 1, d - j, j)
        roots.append(total / (r * d * turned[0]))
    root = np.concatenate(roots)
    sign = np.sign(turned[0])
    if np.linalg.norm(sign * power_of(root, m, inner, r) - turned) > _POWER * np.linalg.norm(turned):
        return None
    return np.asarray(substitute(root[None], m, inner, rotation.T)[0])
