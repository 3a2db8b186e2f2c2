# SPDX-License-Identifier: BSD-3-Clause
"""Sums of powers: linear forms ℓ_1, ..., ℓ_k with G_j = Σ_i α_ji ℓ_i^s for several forms G_j of degree s at once.

That is a decomposition of a symmetric tensor (one form) or of a partially symmetric, "Segre–Veronese" one. With
coefficients divided by multinomial numbers, ℓ^s has the entry u^α · u^β · u^γ at the monomial α + β + γ, so every split
s = p + q + e gives a tensor of three indices with a term for each ℓ_i, whose factors are powers of the vector u_i.

* *Simultaneous diagonalisation* (Jennrich; S. Leurgans, R. Ross, R. Abel, SIAM J. Matrix Anal. Appl. 14 (1993)): if the
  factors with the first index are independent, and those with the second, and no two with the third proportional, the
  decomposition is the only one of length k, and its factors are eigenvectors of a quotient of two random slices.
* *Prolongation of apolar ideals* (A. Iarrobino, V. Kanev, *Power Sums, Gorenstein Algebras, and Determinantal Loci*,
  1999): a flattening of rank k has the column space span(ℓ_i^q); its apolar forms of degree q vanish at the ℓ_i. If
  their multiples of degree q + 1 leave a space of dimension k, it is span(ℓ_i^(q+1)), whose partial derivatives
  are diagonalised simultaneously. This reaches more summands than splitting does.
* *Sylvester's algorithm* for two variables: the forms of degree k that are apolar to all G_j, those that factor into k
  different real linear factors being exactly the decompositions of length k.

Legend: ``J`` forms, ``m`` variables, ``s`` degree, ``N = C(m − 1 + s, s)`` monomials in ascending graded lex order,
``k`` powers at most. Decompositions are over the reals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb, factorial, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .monomials import MonomialBasis, form_exponents

Matrix = NDArray[Any]

# Singular values below this fraction of the largest count as zero; noise above it is cut off by the number of powers.
RANK_TOL = 1e-12
# A factor matrix with a smaller quotient of singular values is not trusted to be of full rank.
_FULL_RANK_TOL = 1e-7
# Imaginary parts of eigenvalues that may be rounding, beside the largest eigenvalue: candidates are improved anyway.
_REAL = 1e-2
# Two directions are the same if the sine of their angle is below this.
_PARALLEL_TOL = 1e-6
# Steps towards coordinates in which symmetries are orthogonal.
_SCALINGS = 100
# Tensors and systems of equations with more numbers are not made.
_MOST_ENTRIES = 2 * 10**6
# Random pairs of slices, of which the best conditioned one is used.
_PAIRS = 6
# Binary forms with several decompositions: how many random ones are looked at, how many of them at a time.
_SYLVESTER_TRIES, _SYLVESTER_BATCH = 4096, 256


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Linear forms whose s-th powers span the given forms, best first among what `decompositions` yields.

    Attributes
    ----------
    vectors : (rank, m) array
        Their coefficients, of length one.
    method : str
    several : bool
        Whether there are decompositions of the same length, besides, with other forms.
    """

    vectors: Matrix
    method: str
    several: bool = False


def decompositions(forms: Matrix, m: int, s: int, k: int, rng: np.random.Generator) -> Iterator[Decomposition]:
    """Candidates for the linear forms in G_j = Σ_{i <= k} α_ji ℓ_i^s, most trustworthy first.

    Parameters
    ----------
    forms : (J, N) array
        Plain coefficients.
    m, s, k : int
        Variables, degree >= 1, number of powers.
    rng : numpy Generator

    Yields
    ------
    Decomposition
        With at most k vectors; fewer if the forms have fewer. Whether they are right shows in a least-squares problem.
        Nothing is yielded if no method applies.
    """
    symmetric = forms / multinomials(m, s)
    if m == 1:
        yield Decomposition(np.ones((1, 1)), "one variable")
        return
    if forms.shape[1] <= k:
        yield Decomposition(_spanning(m, s, rng), "as many powers as monomials", several=True)
        return
    if s == 1:
        return
    if s == 2 and len(forms) == 1:
        yield _spectral(symmetric, m, k)
        return
    for vectors in _by_splits(symmetric, m, s, k, rng):
        yield Decomposition(vectors, "simultaneous diagonalisation")
    for vectors in _by_prolongation(symmetric, m, s, k, rng):
        yield Decomposition(vectors, "prolongation of the apolar ideal and simultaneous diagonalisation")
    if m == 2 and k <= s:
        yield from _sylvester(symmetric, s, k, rng)
    elif m == 2:
        yield Decomposition(_spanning(2, s, rng), "as many powers as monomials", several=True)


def power_coefficients(vectors: Matrix, s: int) -> Matrix:
    """Plain coefficients (rank, N) of the powers (u · x)^s of the rows u."""
    m = vectors.shape[1]
    exponents = form_exponents(m, s)
    powers = np.ones((len(vectors), len(exponents)), dtype=vectors.dtype)
    table = np.ones((s + 1, *vectors.shape), dtype=vectors.dtype)
    for e in range(1, s + 1):
        table[e] = table[e - 1] * vectors
    for variable in range(m):
        powers *= table[exponents[:, variable], :, variable].T
    return powers * multinomials(m, s)


def is_unique(vectors: Matrix, weights: Matrix, s: int) -> bool:
    """Whether a theorem says that Σ_i weights_ji (u_i · x)^s is a sum of so few powers in this way only.

    Parameters
    ----------
    vectors : (k, m) array
    weights : (J, k) array
    s : int

    Notes
    -----
    True if some split makes the factors with two of the indices independent and no two with the third proportional,
    which the theorem of Jennrich and Harshman asks for, or if k-ranks satisfy Kruskal's inequality (J. B. Kruskal,
    Linear Algebra Appl. 18 (1977)). The ranks are numerical, with margins of 1e-7.
    """
    k, m = vectors.shape
    if k == 0:
        return True
    lengths = np.linalg.norm(weights, axis=0)
    if not (lengths > RANK_TOL * lengths.max()).all():
        return False
    if k == 1:
        return s >= 1
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    outputs = (weights / lengths).T
    for split in _splits(s, len(weights), m, k):
        first, second, third = (_factor(units, outputs, part) for part in split)
        if _is_independent(first) and _is_independent(second) and not _has_parallel(third):
            return True
    return _kruskal(units, outputs, s)


# --- tables -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def multinomials(m: int, s: int) -> Matrix:
    """s! / α! for the monomials of degree s in m variables."""
    table = form_exponents(m, s)
    factorials = np.array([float(factorial(e)) for e in range(s + 1)])
    result: Matrix = np.round(factorial(s) / factorials[table].prod(axis=1))
    result.flags.writeable = False
    return result


@lru_cache(maxsize=256)
def _sums(m: int, degrees: tuple[int, ...]) -> NDArray[np.int64]:
    """Positions of the monomials α + β + ..., one axis for each of the degrees."""
    total = np.zeros((1,) * len(degrees) + (m,), dtype=np.int64)
    for axis, degree in enumerate(degrees):
        exponents = form_exponents(m, degree)
        total = total + exponents.reshape((1,) * axis + (-1,) + (1,) * (len(degrees) - axis - 1) + (m,))
    basis = MonomialBasis(m, sum(degrees), homogeneous=True)
    positions = np.asarray(basis.index(total.reshape(-1, m)), dtype=np.int64).reshape(total.shape[:-1])
    positions.flags.writeable = False
    return positions


@lru_cache(maxsize=64)
def multiplication(m: int, p: int, q: int) -> Matrix:
    """The product of forms of degrees p and q in m variables, an array (M_p, M_q, M_(p+q)) of zeros and ones."""
    sums = _sums(m, (p, q))
    table = np.zeros((*sums.shape, _count(m, p + q)))
    np.put_along_axis(table, sums[..., None], 1.0, axis=2)
    table.flags.writeable = False
    return table


def symmetric_tensor(symmetric: Matrix, m: int, degrees: tuple[int, ...]) -> Matrix:
    """The forms (J, N) as an array (J, M_p, M_q, ...), in orthonormal bases of symmetric tensors."""
    tensor = symmetric[:, _sums(m, degrees)]
    for axis, degree in enumerate(degrees, 1):
        lengths = np.sqrt(multinomials(m, degree))
        tensor = tensor * lengths.reshape((-1,) + (1,) * (len(degrees) - axis))
    return tensor


def multiply(a: Matrix, b: Matrix, m: int, p: int, q: int) -> Matrix:
    """The product of a form of degree p and one of degree q in m variables."""
    sums = _sums(m, (p, q))
    return np.bincount(sums.ravel(), weights=np.outer(a, b).ravel(), minlength=_count(m, p + q))


def _count(m: int, degree: int) -> int:
    return comb(m - 1 + degree, degree)


@dataclass(frozen=True)
class _Part:
    """An index of the tensor: monomials of a degree, combined with the forms j or not."""

    degree: int
    with_forms: bool

    def size(self, n_forms: int, m: int) -> int:
        return _count(m, self.degree) * (n_forms if self.with_forms else 1)


Split = tuple[_Part, _Part, _Part]


def _splits(s: int, n_forms: int, m: int, k: int) -> list[Split]:
    """The splits under which k powers may be independent in the first two indices, the roomiest first."""
    found: list[tuple[tuple[int, int], Split]] = []
    for p in range(s + 1):
        for q in range(s + 1 - p):
            for place in (0, 2) if n_forms > 1 else (2,):  # the first two indices are alike
                if place == 2 and p < q:
                    continue
                parts = tuple(_Part(degree, place == i) for i, degree in enumerate((p, q, s - p - q)))
                sizes = [part.size(n_forms, m) for part in parts]
                if min(sizes[0], sizes[1]) < k or (k > 1 and sizes[2] < 2) or p == q == 0:
                    continue
                if prod(sizes) > _MOST_ENTRIES:
                    continue
                # The more room, the better the condition; beyond a few times k there is nothing to gain.
                room = min(min(sizes[0], sizes[1]), 4 * k) * min(sizes[2], 4)
                found.append(((-room, prod(sizes)), (parts[0], parts[1], parts[2])))
    found.sort(key=lambda entry: entry[0])
    return [split for _, split in found]


# --- simultaneous diagonalisation -------------------------------------------------------------------------------------


def _by_splits(symmetric: Matrix, m: int, s: int, k: int, rng: np.random.Generator) -> Iterator[Matrix]:
    for split in _splits(s, len(symmetric), m, k)[:3]:
        vectors = _diagonalised(symmetric, m, split, k, rng)
        if vectors is not None:
            yield vectors


def _diagonalised(
    symmetric: Matrix, m: int, split: Split, k: int, rng: np.random.Generator, real: bool = True
) -> Matrix | None:
    """The vectors (rank, m) that a split gives."""
    tensor = symmetric_tensor(symmetric, m, (split[0].degree, split[1].degree, split[2].degree))
    axis = next(i for i, part in enumerate(split) if part.with_forms)
    tensor = np.moveaxis(tensor, 0, axis)
    merged = list(tensor.shape)
    merged[axis : axis + 2] = [merged[axis] * merged[axis + 1]]
    factors = simultaneous(tensor.reshape(merged), k, rng, real)
    if factors is None:
        return None
    # The factor with the highest power of the vector says most about it.
    i = 0 if split[0].degree >= split[1].degree else 1
    return _roots(factors[i], split[i], len(symmetric), m)


def simultaneous(tensor: Matrix, k: int, rng: np.random.Generator, real: bool = True) -> tuple[Matrix, Matrix] | None:
    """Factors (rows, rank) and (cols, rank), unit columns, of a tensor Σ_i a_i ⊗ b_i ⊗ c_i (rows, cols, slices).

    None if the slices' quotients have no real eigenvectors and ``real``. The rank is the numerical one, at most k.
    """
    rows, cols, slices = tensor.shape
    left, sizes_left, _ = np.linalg.svd(tensor.reshape(rows, cols * slices), full_matrices=False)
    right, sizes_right, _ = np.linalg.svd(tensor.transpose(1, 0, 2).reshape(cols, rows * slices), full_matrices=False)
    rank = min(k, _rank(sizes_left), _rank(sizes_right))
    if rank == 0:
        return None
    left, right = left[:, :rank], right[:, :rank]
    core = np.einsum("ra,rcs,cb->abs", left, tensor, right, optimize=True)
    if rank == 1:
        return left, right
    best: tuple[float, Matrix] | None = None
    for _ in range(_PAIRS):
        pencil = core @ rng.standard_normal((slices, 2))
        if np.linalg.cond(pencil[..., 1]) > 1e12:
            continue
        values, vectors = np.linalg.eig(np.linalg.solve(pencil[..., 1].T, pencil[..., 0].T).T)
        if real:
            if np.abs(values.imag).max() > _REAL * np.abs(values).max():
                continue
            vectors = vectors.real / np.linalg.norm(vectors.real, axis=0)
        condition = float(np.linalg.cond(vectors))
        if best is None or condition < best[0]:
            best = condition, vectors
    if best is None:
        return None
    vectors = best[1]
    # core = Σ x_i ⊗ y_i ⊗ z_i: with the x_i known, each x_i-slice is a matrix of rank one.
    rest = np.linalg.lstsq(vectors, core.reshape(rank, -1), rcond=None)[0].reshape(rank, rank, slices)
    others = np.stack([np.linalg.svd(matrix)[0][:, 0] for matrix in rest], axis=1)
    return left @ vectors, right @ others


def _roots(powers: Matrix, part: _Part, n_forms: int, m: int) -> Matrix:
    """Unit vectors u_i (rank, m) from columns that are (weights ⊗) u_i^p in orthonormal coordinates."""
    copies = n_forms if part.with_forms else 1
    return np.array([_root(column.reshape(copies, -1), m, part.degree) for column in powers.T])


def _root(power: Matrix, m: int, p: int) -> Matrix:
    """The direction of u in w ⊗ u^p, given as (copies, M_p)."""
    if p == 1:
        flat = power.T
    else:
        symmetric = power / np.sqrt(multinomials(m, p))
        flat = symmetric_tensor(symmetric, m, (1, p - 1)).transpose(1, 0, 2).reshape(m, -1)
    return np.asarray(np.linalg.svd(flat, full_matrices=False)[0][:, 0])


# --- why there is no decomposition ------------------------------------------------------------------------------------


def obstruction(forms: Matrix, m: int, s: int, k: int, rng: np.random.Generator, margin: float) -> str:
    """Why G_j = Σ_{i <= k} α_ji ℓ_i^s has no real solution, or "" if nothing is known.

    Parameters
    ----------
    forms, m, s, k, rng
        See `decompositions`.
    margin : float
        Singular values count as nonzero above this fraction of the largest.

    Notes
    -----
    Two reasons are known. A flattening of a sum of k powers has rank at most k. And if k powers, some of them not real,
    are the only decomposition over the complex numbers, there is none over the reals.
    """
    symmetric = forms / multinomials(m, s)
    for q in range(1, s + 1):
        if len(forms) * _count(m, q) * _count(m, s - q) > _MOST_ENTRIES:
            continue
        flat = symmetric_tensor(symmetric, m, (q, s - q)).transpose(1, 0, 2).reshape(_count(m, q), -1)
        rank = _rank(np.linalg.svd(flat, compute_uv=False), margin)
        if rank > k:
            return f"a flattening has rank {rank} > {k}"
    for split in _splits(s, len(symmetric), m, k)[:1]:
        vectors = _diagonalised(symmetric, m, split, k, rng, real=False)
        if vectors is None or len(vectors) < k or np.abs(_without_phase(vectors).imag).max() < 1e-4:
            continue
        columns = power_coefficients(vectors, s)
        weights = np.linalg.lstsq(columns.T, forms.T.astype(complex), rcond=None)[0].T
        misfit = np.linalg.norm(weights @ columns - forms) / np.linalg.norm(forms)
        if misfit < 1e-10 and is_unique(vectors, weights, s):
            return "its only decomposition into so few powers has powers of linear forms that are not real"
    return ""


def _without_phase(vectors: Matrix) -> Matrix:
    """Rows times complex numbers, so that their largest entries are 1."""
    largest = np.argmax(np.abs(vectors), axis=1)
    return np.asarray(vectors / vectors[np.arange(len(vectors)), largest][:, None])


# --- prolongation -----------------------------------------------------------------------------------------------------


def _by_prolongation(symmetric: Matrix, m: int, s: int, k: int, rng: np.random.Generator) -> Iterator[Matrix]:
    n_forms = len(symmetric)
    for q in range(s, 1, -1):
        n_rows, n_cols = _count(m, q), n_forms * _count(m, s - q)
        if n_rows <= k or n_cols < k or max(n_rows * n_cols, m * n_rows * _count(m, q + 1)) > _MOST_ENTRIES:
            continue
        flat = symmetric_tensor(symmetric, m, (q, s - q)).transpose(1, 0, 2).reshape(_count(m, q), -1)
        left, sizes, _ = np.linalg.svd(flat, full_matrices=False)
        rank = min(k, _rank(sizes))
        if rank == 0 or (rank <= _count(m, q - 1) and rank < k):
            continue
        space, degree = left[:, :rank], q
        for _ in range(2):
            vectors = _powers_in(space, m, degree, rng)
            if vectors is not None:
                yield vectors
                break
            prolonged = _prolong(space, m, degree)
            if prolonged is None:
                break
            space, degree = prolonged, degree + 1


def _prolong(space: Matrix, m: int, q: int) -> Matrix | None:
    """Orthonormal basis (M_(q+1), rank) of the forms of degree q + 1 whose derivatives lie in a space (M_q, rank).

    None if it has another dimension than the space.
    """
    rank = space.shape[1]
    full = np.linalg.svd(space, full_matrices=True)[0]
    apolar = full[:, rank:].T / np.sqrt(multinomials(m, q)) * multinomials(m, q)
    sums = _sums(m, (q, 1))
    size = _count(m, q + 1)
    conditions = np.zeros((m, len(apolar), size))
    for variable in range(m):
        conditions[variable][:, sums[:, variable]] = apolar
    conditions = conditions.reshape(-1, size) / np.sqrt(multinomials(m, q + 1))
    _, sizes, rows = np.linalg.svd(conditions, full_matrices=True)
    if _rank(sizes) != size - rank:
        return None
    return np.ascontiguousarray(rows[size - rank :].T)


def _powers_in(space: Matrix, m: int, q: int, rng: np.random.Generator) -> Matrix | None:
    """The vectors u_i if a space (M_q, rank) is spanned by independent powers u_i^q with independent u_i^(q−1)."""
    rank = space.shape[1]
    if _count(m, q - 1) < rank:
        return None
    symmetric = (space / np.sqrt(multinomials(m, q))[:, None]).T
    tensor = symmetric_tensor(symmetric, m, (q - 1, 1)).transpose(1, 0, 2)
    if _rank(np.linalg.svd(tensor.reshape(len(tensor), -1), compute_uv=False)) < rank:
        return None
    factors = simultaneous(tensor, rank, rng)
    return None if factors is None or factors[0].shape[1] < rank else _roots(factors[0], _Part(q - 1, False), 1, m)


# --- special shapes ---------------------------------------------------------------------------------------------------


def _spectral(symmetric: Matrix, m: int, k: int) -> Decomposition:
    """The eigenvectors of a quadratic form, of the largest eigenvalues in absolute value."""
    matrix = symmetric[0][_sums(m, (1, 1))]
    values, vectors = np.linalg.eigh(matrix)
    order = np.argsort(-np.abs(values))[: min(k, max(1, _rank(np.sort(np.abs(values))[::-1])))]
    return Decomposition(vectors.T[order], "spectral decomposition", several=len(order) > 1)


def _spanning(m: int, s: int, rng: np.random.Generator) -> Matrix:
    """As many vectors as there are monomials, with powers that span all forms, the best conditioned of a few draws."""
    draws = rng.standard_normal((16, _count(m, s), m))
    draws /= np.linalg.norm(draws, axis=2, keepdims=True)
    lengths = np.sqrt(multinomials(m, s))
    return np.asarray(min(draws, key=lambda draw: np.linalg.cond(power_coefficients(draw, s) / lengths)))


def _sylvester(symmetric: Matrix, s: int, k: int, rng: np.random.Generator) -> Iterator[Decomposition]:
    """Binary forms: factor an apolar form of degree k, one of many if there are many."""
    # In random coordinates no factor is close to infinity.
    angle = rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = substitute(symmetric * multinomials(2, s), 2, s, rotation) / multinomials(2, s)
    flat = symmetric_tensor(turned, 2, (s - k, k)).reshape(-1, k + 1)
    _, sizes, rows = np.linalg.svd(flat, full_matrices=True)
    rank = _rank(sizes)
    if rank >= k + 1:
        sizes = np.concatenate([sizes, np.zeros(k + 1 - len(sizes))])
        rank = k  # noise: the form that is closest to apolar
    # An apolar form Σ_i p_i ∂_x^(k−i) ∂_y^i vanishes at u = (1, t) iff Σ p_i t^i = 0.
    kernel = rows[rank:] * np.sqrt(multinomials(2, k))
    several = len(kernel) > 1
    for _ in range(_SYLVESTER_TRIES // _SYLVESTER_BATCH if several else 1):
        polynomials = _with_random_roots(kernel, rng) if several else kernel
        best = _real_roots(polynomials)
        if best is not None:
            vectors = np.stack([np.ones(k), best], axis=1)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            yield Decomposition(vectors @ rotation.T, "Sylvester's algorithm", several)
            return


def _with_random_roots(kernel: Matrix, rng: np.random.Generator) -> Matrix:
    """Members (tries, k + 1) of a space of polynomials with as many given real roots as its dimension allows."""
    dimension, length = kernel.shape
    angles = rng.uniform(0, np.pi, (_SYLVESTER_BATCH, dimension - 1))
    powers = np.tan(angles)[..., None] ** np.arange(length) * np.cos(angles)[..., None] ** (length - 1)
    conditions = powers @ kernel.T
    combination = np.linalg.svd(conditions, full_matrices=True)[2][:, -1]
    return np.asarray(combination @ kernel)


def _real_roots(polynomials: Matrix) -> Matrix | None:
    """The roots of the polynomial with the best separated roots among those with different real ones only."""
    degree = polynomials.shape[1] - 1
    leading = polynomials[:, -1]
    usable = np.abs(leading) > 1e-12 * np.abs(polynomials).max(axis=1)
    polynomials = polynomials[usable] / leading[usable, None]
    companions = np.zeros((len(polynomials), degree, degree))
    companions[:, np.arange(1, degree), np.arange(degree - 1)] = 1
    companions[:, :, -1] = -polynomials[:, :-1]
    roots = np.linalg.eigvals(companions)
    real = (np.abs(roots.imag) <= 1e-7 * (1 + np.abs(roots.real))).all(axis=1)
    if not real.any():
        return None
    angles = np.sort(np.arctan(roots[real].real), axis=1)
    gaps = np.diff(np.concatenate([angles, angles[:, :1] + np.pi], axis=1), axis=1)
    best = int(np.argmax(gaps.min(axis=1)))
    return np.tan(angles[best]) if gaps[best].min() > _PARALLEL_TOL else None


# --- forms after a linear change of variables -------------------------------------------------------------------------


def substitute(forms: Matrix, m: int, s: int, matrix: Matrix) -> Matrix:
    """Coefficients of G(M y) for forms G of degree s in x = M y, M (m, n).

    O(N_m N_n n) operations for N_m and N_n coefficients before and after.
    """
    n = matrix.shape[1]
    products = np.ones((1, 1), dtype=matrix.dtype)  # those of the x^α of one degree after the other, as rows
    for degree in range(1, s + 1):
        variable, rest = _factored(m, degree)
        sums, before = _sums(n, (degree - 1, 1)), products[rest]
        products = np.zeros((len(variable), _count(n, degree)), dtype=matrix.dtype)
        for j in range(n):
            products[:, sums[:, j]] += matrix[variable, j][:, None] * before
    return np.asarray(forms @ products)


@lru_cache(maxsize=256)
def _factored(m: int, s: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each monomial of degree s a variable in it, and the position of the quotient."""
    exponents = form_exponents(m, s)
    variable = np.argmax(exponents > 0, axis=1)
    quotient = exponents.copy()
    quotient[np.arange(len(exponents)), variable] -= 1
    return variable, np.asarray(MonomialBasis(m, s - 1, homogeneous=True).index(quotient), dtype=np.int64)


def evaluate_forms(forms: Matrix, m: int, s: int, points: Matrix) -> Matrix:
    """Values (n_points, J) at the rows of ``points`` (n_points, m)."""
    monomials = power_coefficients(points, s) / multinomials(m, s)
    return np.asarray(monomials @ forms.T)


def derivatives(forms: Matrix, m: int, s: int, variables: range) -> Matrix:
    """Partial derivatives of forms of degree s in m variables, all of the first variable first."""
    exponents = form_exponents(m, s)
    lower = MonomialBasis(m, s - 1, homogeneous=True)
    blocks = []
    for variable in variables:
        kept = exponents[:, variable] > 0
        block = np.zeros((len(forms), lower.n_monomials))
        target = exponents[kept].copy()
        target[:, variable] -= 1
        block[:, np.asarray(lower.index(target), dtype=np.int64)] = forms[:, kept] * exponents[kept, variable]
        blocks.append(block)
    return np.concatenate(blocks)


def minimal_coordinates(forms: Matrix, m: int, degree: int) -> Matrix:
    """M (m, m) such that the forms F(M x) have the least Bombieri–Weyl norm among all with the same determinant of M.

    Then the derivatives of F have a Gram matrix that is a multiple of the identity. By the theorem of Kempf and Ness
    (over the reals R. W. Richardson, P. J. Slodowy, J. London Math. Soc. 42 (1990)) the group of linear maps that leave
    F unchanged is closed under transposition, so that its reflections are orthogonal and the v_i, too.
    """
    space, moved = np.eye(m), forms
    for _ in range(_SCALINGS):
        slopes = derivatives(moved, m, degree, range(m)) / np.sqrt(multinomials(m, degree - 1))
        slopes = slopes.reshape(m, -1)
        values, vectors = np.linalg.eigh(slopes @ slopes.T)
        if not values[0] > 1e-12 * values[-1]:
            break
        values /= np.exp(np.log(values).mean())
        if values[-1] - values[0] < 1e-9:
            break
        # This is exact for F = Σ a_i z_i^degree.
        space = space @ ((vectors * values ** (-1 / (2 * degree))) @ vectors.T)
        moved = substitute(forms, m, degree, space)
    return space


# --- conditions of uniqueness -----------------------------------------------------------------------------------------


def _factor(units: Matrix, outputs: Matrix, part: _Part) -> Matrix:
    """Rows: the factors of the terms with one index, of length one."""
    m = units.shape[1]
    powers = power_coefficients(units, part.degree) / np.sqrt(multinomials(m, part.degree))
    if not part.with_forms:
        return np.asarray(powers)
    return np.asarray((powers[:, :, None] * outputs[:, None, :]).reshape(len(units), -1))


def _is_independent(rows: Matrix) -> bool:
    if rows.shape[0] > rows.shape[1]:
        return False
    sizes = np.linalg.svd(rows, compute_uv=False)
    return bool(sizes[-1] > _FULL_RANK_TOL * sizes[0])


def _has_parallel(rows: Matrix) -> bool:
    cosines = np.abs(rows @ rows.conj().T)
    np.fill_diagonal(cosines, 0.0)
    return bool((cosines > 1 - _PARALLEL_TOL**2 / 2).any())


def _kruskal(units: Matrix, outputs: Matrix, s: int) -> bool:
    """Kruskal: the k-ranks of the three factors sum to at least 2k + 2, for some split of the degree."""
    k = len(units)
    if k > 8 or s < 2:
        return False
    ranks: dict[_Part, int] = {}

    def k_rank(part: _Part) -> int:
        if part not in ranks:
            ranks[part] = _k_rank(_factor(units, outputs, part))
        return ranks[part]

    for p in range(s + 1):
        for q in range(s + 1 - p):
            parts = (_Part(p, False), _Part(q, False), _Part(s - p - q, True))
            if sum(map(k_rank, parts)) >= 2 * k + 2:
                return True
    return False


def _k_rank(rows: Matrix) -> int:
    """The largest number such that any so many rows are independent."""
    rank = 0
    for size in range(1, min(rows.shape) + 1):
        if not all(_is_independent(rows[list(chosen)]) for chosen in combinations(range(len(rows)), size)):
            break
        rank = size
    return rank


def _rank(sizes: Matrix, tol: float = RANK_TOL) -> int:
    return int(np.count_nonzero(sizes > tol * sizes[0])) if len(sizes) and sizes[0] > 0 else 0
