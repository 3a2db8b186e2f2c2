# SPDX-License-Identifier: BSD-3-Clause
"""Small systems of polynomial equations with finitely many complex solutions: all of them, with multiplicities.

The rows of a *Macaulay matrix* of degree d are the products of equations with monomials, of degree at most d; its
kernel is spanned, if d is large enough, by the vectors of monomials at the solutions, and by others that belong to
solutions at infinity. When there are finitely many solutions, the rank of the rows of the kernel that belong to
monomials of degree at most k stops growing from one k to the next: those rows see the affine solutions alone, whatever
there is at infinity, and the shifts from monomials to their products with a variable are the multiplication matrices
of the quotient algebra, whose common eigenvalues are the coordinates of the solutions.

Sources: F. S. Macaulay, *The Algebraic Theory of Modular Systems* (1916); H. J. Stetter, *Numerical Polynomial
Algebra*, SIAM 2004, for multiplication matrices; P. Dreesen, K. Batselier, B. De Moor, *Back to the roots: polynomial
system solving, linear algebra, systems theory*, IFAC SYSID 2012, for the kernel and the gap of its ranks; S. Telen,
B. Mourrain, M. Van Barel, *Solving polynomial systems via truncated normal forms*, SIAM J. Matrix Anal. Appl. 39 (2018)
1421–1447, for well-conditioned bases of the quotient; B. Mourrain, *A new criterion for normal form algorithms*, AAECC
1999, for commuting matrices as the test; R. M. Corless, P. M. Gianni, B. M. Trager, *A reordered Schur factorization
method for zero-dimensional polynomial systems with multiple roots*, ISSAC 1997, for multiple solutions.

Legend: ``n`` unknowns, ``m`` equations, ``N`` monomials, ``...`` any number of batch axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from . import _linalg
from .monomials import MonomialBasis, count_monomials
from .rank import WORD_PRIME, echelon

__all__ = ["Solutions", "System", "solve_system"]

Array: TypeAlias = NDArray[Any]
Complex: TypeAlias = NDArray[np.complex128]
Integers: TypeAlias = NDArray[np.int64]

_EPS = float(np.finfo(np.float64).eps)
# Singular values below this count as zero: rows have length one, and the kernel is orthonormal.
_RANK_TOL = 1e-9
# Those of the rows of the kernel that belong to low monomials, which are small where solutions are large.
_ROWS_TOL = 1e-13
# Largest commutator of multiplication matrices, relative to their size: rounding makes 1e-12, other relations 1e-2.
_COMMUTATOR_TOL = 1e-5
# Columns of a matrix whose kernel is taken, or whose rank modulo a prime: a few seconds.
_MAX_COLUMNS = 2600
# Multiply-adds in floating point, and modulo a prime, for one system: seconds.
_MAX_WORK, _MAX_EXACT_WORK = 3e10, 1e11
_TOO_LARGE = "too large"
_SMALL_DENOMINATOR = 1000
PRIME = WORD_PRIME
# Degrees looked at beyond that which is enough when there are finitely many solutions at infinity too.
_MORE_DEGREES = 3
# Unknowns are measured in these units, one after the other, until all solutions are found.
_SCALES, _MORE_SCALES = (1.0, 4.0, 0.25), 12
_NEWTON_STEPS = 30
# Solutions that rounding moves by more, relative to their size, may be multiple.
_SIMPLE = 1e-9
# Solutions that differ by less, relative to their size, are one.
_SAME = 1e-7


# --- polynomials ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class System:
    """Some polynomials, as coefficients of the same monomials.

    Parameters
    ----------
    exponents : ndarray of int64, shape (N, n)
    coef : ndarray, shape (m, N)
        Of any dtype.
    """

    exponents: Integers
    coef: Array

    @classmethod
    def of(cls, exponents: Integers, coef: Array) -> System:
        """With each monomial once and none without a coefficient."""
        unique, position = np.unique(exponents, axis=0, return_inverse=True)
        total = np.zeros((len(coef), len(unique)), dtype=coef.dtype)
        np.add.at(total.T, position.reshape(-1), coef.T)
        used = (total != 0).any(axis=0)
        return cls(unique[used], total[:, used])

    @classmethod
    def stack(cls, systems: Sequence[System]) -> System:
        """The polynomials of several systems, one after the other."""
        exponents = np.concatenate([s.exponents for s in systems])
        blocks = [s.coef for s in systems]
        return cls.of(exponents, scipy.linalg.block_diag(*blocks))

    def without_zeros(self) -> System:
        """The polynomials that are not zero."""
        clean = System.of(self.exponents, self.coef)
        return clean[np.flatnonzero(clean.degrees >= 0)]

    @property
    def n_unknowns(self) -> int:
        """Number of unknowns."""
        return int(self.exponents.shape[1])

    def __len__(self) -> int:
        return len(self.coef)

    def __getitem__(self, rows: slice | Sequence[int] | Integers) -> System:
        return System(self.exponents, self.coef[rows])

    @cached_property
    def degrees(self) -> Integers:
        """The degree of each polynomial; −1 of zero."""
        total = self.exponents.sum(axis=1)
        return np.asarray(np.where(self.coef != 0, total, -1).max(axis=1, initial=-1))

    def monomials(self, x: Array) -> Array:
        """All monomials at points (..., n): shape (..., N)."""
        return _monomials(x, self.exponents)

    def evaluate(self, x: Array) -> Array:
        """Values at points (..., n): shape (..., m)."""
        return np.asarray(self.monomials(x) @ self.coef.T)

    @cached_property
    def _derivatives(self) -> list[System]:
        return [self.derivative(i) for i in range(self.n_unknowns)]

    def derivative(self, i: int) -> System:
        """The derivatives of all polynomials by one unknown."""
        lower = self.exponents.copy()
        lower[:, i] -= 1
        used = lower[:, i] >= 0
        return System(lower[used], self.coef[:, used] * self.exponents[used, i])

    def jacobian(self, x: Array) -> Array:
        """First derivatives at points (..., n): shape (..., m, n)."""
        return np.stack([d.evaluate(x) for d in self._derivatives], axis=-1)

    def hessian(self, x: Array) -> Array:
        """Second derivatives at points (..., n): shape (..., m, n, n)."""
        return np.stack([d.jacobian(x) for d in self._derivatives], axis=-1)

    def sizes(self, x: Array) -> Array:
        """Sums of the absolute values of all terms, which rounding errors are relative to: shape (..., m)."""
        return np.asarray(np.abs(self.monomials(x)) @ np.abs(self.coef.T))

    def floored_sizes(self, x: Array) -> Array:
        """At least the sizes of the coefficients: near 0 terms vanish one by one. Shape (..., m)."""
        return np.asarray(np.maximum(self.sizes(x), np.linalg.norm(self.coef, axis=1)))

    def __mul__(self, other: System) -> System:
        """Products of corresponding polynomials."""
        exponents = (self.exponents[:, None, :] + other.exponents).reshape(-1, self.n_unknowns)
        coef = (self.coef[:, :, None] * other.coef[:, None, :]).reshape(len(self), -1)
        return System.of(exponents, coef)

    def __add__(self, other: System) -> System:
        return System.of(np.concatenate([self.exponents, other.exponents]), np.hstack([self.coef, other.coef]))

    def sum(self) -> System:
        """The sum of all polynomials."""
        return System.of(self.exponents, self.coef.sum(axis=0, keepdims=True))

    def __sub__(self, other: System) -> System:
        return self + System(other.exponents, -other.coef)


def _without_cancelled(system: System, exact: System) -> System:
    """Without the coefficients that are zero modulo `PRIME`, which rounding has left."""
    remains = {tuple(e): column % PRIME != 0 for e, column in zip(exact.exponents.tolist(), exact.coef.T)}
    nothing = np.zeros(len(system), dtype=bool)
    keep = np.array([remains.get(tuple(e), nothing) for e in system.exponents.tolist()], dtype=bool)
    keep = keep.reshape(-1, len(system))
    return System(system.exponents, np.where(keep.T, system.coef, 0))


def _monomials(x: Array, exponents: Integers) -> Array:
    result = np.ones((*x.shape[:-1], len(exponents)), dtype=x.dtype)
    for i in range(exponents.shape[1]):
        powers = np.ones((*x.shape[:-1], int(exponents[:, i].max(initial=0)) + 1), dtype=x.dtype)
        for k in range(1, powers.shape[-1]):
            powers[..., k] = powers[..., k - 1] * x[..., i]
        result *= powers[..., exponents[:, i]]
    return result


# --- solving ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Solutions:
    """What `solve_system` finds.

    Attributes
    ----------
    points : ndarray of complex128, shape (k, n)
        The solutions, each once.
    multiplicities : ndarray of int64, shape (k,)
    count : int or None
        Their number with multiplicities, the dimension of the quotient algebra; None if it was not found.
    certainty : str
        That these are all: "proved" if they are as many different ones as Bézout's theorem allows; "counted" if they
        are as many as ranks modulo a prime say, which an unlucky prime could make wrong; else "estimate".
    reason : str
        In words.
    """

    points: Complex
    multiplicities: Integers
    count: int | None
    certainty: str
    reason: str

    @classmethod
    def none(cls, n: int, reason: str = "") -> Solutions:
        """That nothing is known."""
        points = np.zeros((0, n), dtype=np.complex128)
        return cls(points, np.zeros(0, dtype=np.int64), None, "estimate", reason)

    @property
    def complete(self) -> bool:
        """Whether all solutions were found, as far as an exact computation can tell."""
        return self.certainty != "estimate"

    @property
    def resolved(self) -> bool:
        """Whether there are as many points, with multiplicities, as ``count`` says."""
        return self.count is not None and int(self.multiplicities.sum()) == self.count

    @property
    def regular(self) -> Complex:
        """Those of multiplicity one."""
        return np.asarray(self.points[self.multiplicities == 1])


def solve_system(
    system: System,
    exact: System | None = None,
    *,
    max_columns: int = _MAX_COLUMNS,
    rng: np.random.Generator | None = None,
) -> Solutions:
    """All complex solutions of polynomial equations, if they are finitely many and few.

    Parameters
    ----------
    system : System
        Real or complex coefficients; as many equations as unknowns, or more.
    exact : System, optional
        The same equations modulo `PRIME`, see `residues`: ranks are then counted without a tolerance.
    max_columns : int
        Give up before a decomposition of a matrix of more columns.
    rng : numpy.random.Generator, optional
        For the random combination of the multiplication matrices.

    Returns
    -------
    Solutions
        Without points, with ``count`` None and the reason, when a degree at which the ranks stop growing was not found.

    Notes
    -----
    O(columns³) for each degree, where there are as many columns as monomials of that degree and unknowns of the kernel
    before.
    """
    generator = np.random.default_rng(0) if rng is None else rng
    n = system.n_unknowns
    system = (system if exact is None else _without_cancelled(system, exact)).without_zeros()
    if (system.degrees == 0).any():
        return _solved(np.zeros((0, n)), [], 0, "a constant that is not zero is among the equations")
    if len(system) < n:
        return _unsolved(n, f"{len(system)} equations cannot have finitely many solutions in {n} unknowns")
    columns = count_monomials(n, int(system.degrees.min()))
    if columns > max_columns:
        return _unsolved(
            n, f"too large: degree {system.degrees.min()} needs the kernel of a matrix of {columns:,} columns"
        )
    scaled, scales = _scaled(system)
    gap = None if exact is None else _ExactRanks(exact).first_gap(max_columns)
    if isinstance(gap, str) and gap != _TOO_LARGE:
        return _unsolved(n, gap)
    if not isinstance(gap, _Gap):
        return _solve_numerically(scaled, scales, generator, max_columns)
    if not gap.rank:
        return _solved(np.zeros((0, n)), [], 0, "the equations contradict each other", bezout_number(system), True)
    return _solve_counted(scaled, scales, gap, generator, max_columns, bezout_number(system))


def _solve_counted(
    scaled: System, scales: Array, gap: _Gap, generator: np.random.Generator, max_columns: int, bezout: int | None
) -> Solutions:
    """The solutions, where it is known at which degrees there are how many.

    Some may be lost where the kernel is ill-conditioned, which depends on their size: what is found in several scales
    is put together until none is missing.
    """
    n = scaled.n_unknowns
    best = _unsolved(n, f"too ill-conditioned for floating point: {gap.reason}")
    simple = np.zeros((0, n), dtype=np.complex128)
    for units in _units(n, generator):
        kernel = _Kernel(_normalised(System(scaled.exponents, scaled.coef * np.prod(units**scaled.exponents, axis=1))))
        while kernel.degree < gap.degree:
            too_large = kernel.why_not_extend(max_columns)
            if too_large:
                return _unsolved(n, too_large)
            kernel.extend(gap.nullities[kernel.degree + 1])
        found = kernel.algebra(gap.k, gap.rank).solutions(kernel.system, generator)
        if found is None:
            continue
        points, multiplicities = found[0] * units, np.array(found[1], dtype=np.int64)
        simple = _merged(simple, points[multiplicities == 1])
        if not np.iscomplexobj(scaled.coef):
            simple = _merged(simple, simple.conj())
        multiple = multiplicities > 1
        points = np.concatenate([simple, points[multiple]])
        counts = [1] * len(simple) + multiplicities[multiple].tolist()
        solved = _solved(points * scales, counts, gap.rank, gap.reason, bezout, True)
        if solved.complete:
            return solved
        if best.multiplicities.sum() < solved.multiplicities.sum() <= gap.rank:
            best = solved
    return best


def _units(n: int, generator: np.random.Generator) -> Iterator[Array]:
    """Units to measure the unknowns in: all alike, then each its own."""
    for unit in _SCALES:
        yield np.full(n, unit)
    for _ in range(_MORE_SCALES):
        yield np.exp2(np.round(generator.uniform(-4, 4, n)))


def _merged(points: Array, more: Array) -> Array:
    """Points, and those of others that are not among them."""
    for x in more:
        if all(not same(x, y) for y in points):
            points = np.concatenate([points, x[None]])
    return points


def _solve_numerically(scaled: System, scales: Array, generator: np.random.Generator, max_columns: int) -> Solutions:
    """The solutions, with ranks decided by a tolerance."""
    n, top = scaled.n_unknowns, int(scaled.degrees.max())
    kernel = _Kernel(scaled)
    while kernel.degree < _last_degree(scaled):
        too_large = kernel.why_not_extend(max_columns)
        if too_large:
            return _unsolved(n, too_large)
        kernel.extend()
        if kernel.inconsistent:
            return _solved(np.zeros((0, n)), [], 0, "the equations contradict each other")
        for algebra in kernel.algebras() if kernel.degree >= top else ():
            found = algebra.solutions(scaled, generator)
            if found is not None:
                points, multiplicities = found
                bezout = bezout_number(scaled)
                return _solved(points * scales, multiplicities, algebra.dimension, algebra.reason, bezout)
    return _unsolved(n, _still_growing(kernel.degree))


def _last_degree(system: System) -> int:
    """The last degree to look at: beyond that which is enough when solutions at infinity are finitely many too."""
    largest = np.sort(system.degrees)[::-1]
    return max(int((largest[: system.n_unknowns] - 1).sum()) + 1, int(largest[0])) + _MORE_DEGREES


def _still_growing(degree: int) -> str:
    return f"the ranks still grow at degree {degree}: infinitely many solutions, or an ill-conditioned system"


def bezout_number(system: System) -> int | None:
    """The product of the degrees of a square system, which its isolated solutions do not exceed; else None."""
    return math.prod(system.degrees.tolist()) if len(system) == system.n_unknowns else None


def _solved(
    points: Array,
    multiplicities: Sequence[int],
    count: int,
    reason: str,
    bezout: int | None = None,
    counted: bool = False,
) -> Solutions:
    counts = np.array(multiplicities, dtype=np.int64)
    resolved = int(counts.sum()) == count
    if not resolved:
        reason += f"; but {int(counts.sum())} of {count} solutions were resolved"
    proved = resolved and len(points) == bezout
    if proved:
        reason = f"as many different solutions as the product of the degrees, {bezout}"
    certainty = "proved" if proved else "counted" if resolved and counted else "estimate"
    return Solutions(points.astype(np.complex128), counts, count, certainty, reason)


def _unsolved(n: int, reason: str) -> Solutions:
    return Solutions.none(n, reason)


def _scaled(system: System) -> tuple[System, Array]:
    """Equations and unknowns multiplied by numbers that bring all coefficients near one; the latter.

    Source: A. Morgan, *Solving Polynomial Systems Using Continuation for Engineering and Scientific Problems* (1987),
    chapter 5: least squares on the logarithms.
    """
    rows, columns = np.nonzero(system.coef)
    exponents = system.exponents[columns].astype(float)
    sizes = np.log2(np.abs(system.coef[rows, columns]).astype(float))
    for_rows = np.zeros((len(rows), len(system)))
    for_rows[np.arange(len(rows)), rows] = 1.0
    solution = np.linalg.lstsq(np.hstack([for_rows, exponents]), -sizes, rcond=1e-9)[0]
    # Powers of two, so that nothing is rounded; unknowns that hardly matter are left alone.
    shifts = np.clip(np.round(solution[len(system) :]), -60, 60)
    scales = np.exp2(shifts)
    return _normalised(System(system.exponents, system.coef * np.exp2(system.exponents @ shifts))), scales


def _normalised(system: System) -> System:
    return System(system.exponents, system.coef / np.linalg.norm(system.coef, axis=1, keepdims=True))


# --- ranks, exactly ---------------------------------------------------------------------------------------------------


def residues(values: Array) -> Array:
    """Floats as residues modulo `PRIME`, Python ints of dtype object, for `System` to compute with.

    Floats are dyadic rationals; one that is within rounding of a fraction with a small denominator stands for it, so
    that 1/3 is a third and structure is not lost to rounding.
    """
    result = np.empty(values.shape, dtype=object)
    result.reshape(-1)[:] = [_residue(x) for x in np.asarray(values, dtype=float).reshape(-1).tolist()]
    return result


def _residue(x: float) -> int:
    exact = Fraction(x)
    if exact.denominator > _SMALL_DENOMINATOR:
        near = exact.limit_denominator(_SMALL_DENOMINATOR)
        if abs(near - exact) <= Fraction(2 * _EPS) * abs(exact):
            exact = near
    return exact.numerator * pow(exact.denominator, -1, PRIME) % PRIME


class _Gap(NamedTuple):
    """In the kernel of degree ``degree``, monomials of degree ≤ k and ≤ k − 1 have the same rank."""

    degree: int
    k: int
    rank: int
    nullities: tuple[int, ...]  # of the Macaulay matrices of degree 0, ..., degree

    @property
    def reason(self) -> str:
        return (
            f"the rank {self.rank} stands still at degree {self.k} of the Macaulay matrix of degree {self.degree}, "
            f"modulo {PRIME}"
        )


class _ExactRanks:
    """Ranks of the rows of the kernel of the Macaulay matrix, modulo `PRIME`, from degree to degree.

    The rows are kept in echelon form, with monomials in descending order: a pivot at a low monomial then belongs to a
    combination of rows in which no higher one occurs.
    """

    def __init__(self, system: System) -> None:
        self.system = System(system.exponents, system.coef % PRIME).without_zeros()
        self.degree = -1
        self._rows = np.zeros((0, 0), dtype=np.uint64)

    def first_gap(self, max_columns: int) -> _Gap | str:
        """The least degree with a gap of the ranks that stays in the next degree; or why there is none."""
        pending: _Gap | None = None
        last, nullities, work = _last_degree(self.system), list[int](), 0.0
        while self.degree < last:
            columns = count_monomials(self.system.n_unknowns, self.degree + 1)
            work += float(columns) ** 3
            if columns > max_columns or work > _MAX_EXACT_WORK:
                return pending or _TOO_LARGE
            ranks = self.extend()
            nullities.append(int(ranks[-1]))
            if not ranks[0]:
                return _Gap(self.degree, 0, 0, tuple(nullities))
            still = np.flatnonzero(ranks[1:] == ranks[:-1])
            if self.degree >= self.system.degrees.max() and len(still):
                gap = _Gap(self.degree, int(still[0]) + 1, int(ranks[still[0]]), tuple(nullities))
                if pending is not None and pending.rank == gap.rank:
                    return pending
                pending = gap
        return pending or _still_growing(last)

    def extend(self) -> Integers:
        """One degree more: for k = 0, ..., degree the rank of the rows that belong to monomials of degree at most k."""
        self.degree += 1
        new = macaulay_matrix(self.system, (self.degree,), self.degree).astype(np.uint64)
        rows = np.zeros((len(self._rows) + len(new), new.shape[1]), dtype=np.uint64)
        rows[: len(self._rows), new.shape[1] - self._rows.shape[1] :] = self._rows
        rows[len(self._rows) :] = new[:, ::-1]
        leading, _ = echelon(rows, PRIME)
        self._rows = rows[: len(leading)]
        pivots = new.shape[1] - 1 - np.array(leading, dtype=np.int64)
        counts = np.array([count_monomials(self.system.n_unknowns, k) for k in range(self.degree + 1)])
        return np.asarray(counts - np.array([np.count_nonzero(pivots < c) for c in counts]))


def macaulay_matrix(system: System, degrees: Iterable[int], top: int) -> Array:
    """Products of equations and monomials, of exactly these degrees; columns are monomials of degree ≤ ``top``."""
    basis = MonomialBasis(system.n_unknowns, top)
    blocks = [np.zeros((0, len(basis)), dtype=system.coef.dtype)]
    for degree in degrees:
        for row, d in zip(system.coef, system.degrees.tolist()):
            if d > degree:
                continue
            used = np.flatnonzero(row)
            factors = MonomialBasis(system.n_unknowns, degree - d, homogeneous=True).exponents
            shifted = factors[:, None, :] + system.exponents[used]
            positions = basis.index(shifted.reshape(-1, system.n_unknowns)).reshape(shifted.shape[:2])
            block = np.zeros((len(factors), len(basis)), dtype=row.dtype)
            block[np.arange(len(factors))[:, None], positions] = row[used]
            blocks.append(block)
    return np.concatenate(blocks)


# --- the kernel, in floating point ------------------------------------------------------------------------------------


class _Kernel:
    """The kernel of the Macaulay matrix, from degree to degree: an orthonormal basis, in the columns of ``basis``.

    The rows of ``basis`` belong to the monomials of degree at most ``degree`` in ascending order. One more degree adds
    monomials, and rows of exactly that degree; the new kernel lies in what the old one and the new monomials span.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.n = system.n_unknowns
        self.degree = 0
        self.basis: Array = np.ones((1, 1))
        self.work = 0.0

    @property
    def inconsistent(self) -> bool:
        """Whether 1 is a combination of the rows."""
        return bool(np.linalg.norm(self.basis[0]) <= _RANK_TOL)

    def why_not_extend(self, max_columns: int) -> str:
        """Why the next degree is out of reach; "" if it is not."""
        degree = self.degree + 1
        new = count_monomials(self.n, degree, homogeneous=True)
        columns = self.basis.shape[1] + new
        rows = sum(
            count_monomials(self.n, degree - int(d), homogeneous=True) for d in self.system.degrees if d <= degree
        )
        total = count_monomials(self.n, degree)
        self.work += columns * (rows * min(rows, columns) + total * min(total, columns))
        if columns > max_columns or self.work > _MAX_WORK:
            return f"too large: degree {degree} needs the kernel of a matrix of {rows:,} by {columns:,}"
        return ""

    def extend(self, nullity: int | None = None) -> None:
        """The kernel of one degree more, of this dimension if it is known."""
        self.degree += 1
        n_old, n_kernel = self.basis.shape
        n_new = count_monomials(self.n, self.degree, homogeneous=True)
        rows = macaulay_matrix(self.system, (self.degree,), self.degree)
        if len(rows):
            reduced = np.hstack([rows[:, :n_old] @ self.basis, rows[:, n_old:]])
            inner = _kernel_of(reduced, nullity)
        else:
            inner = np.eye(n_kernel + n_new)
        self.basis = np.vstack([self.basis @ inner[:n_kernel], inner[n_kernel:]])

    def algebras(self) -> Iterator[_Algebra]:
        """The multiplication matrices, for each degree at which the rank stands still."""
        before = 1
        for k in range(1, self.degree + 1):
            s = _linalg.singular_values(self.basis[: count_monomials(self.n, k)])
            rank = int(np.count_nonzero(s > _ROWS_TOL))
            if rank == before:
                yield self.algebra(k, rank)
            before = rank

    def algebra(self, k: int, rank: int) -> _Algebra:
        """The multiplication matrices from the monomials of degree at most k, which have this rank."""
        u, _, _ = _linalg.svd(self.basis[: count_monomials(self.n, k)])
        reason = f"the rank {rank} stands still at degree {k} of the Macaulay matrix of degree {self.degree}"
        return _Algebra(u[:, :rank], self.n, k, reason)


def _kernel_of(a: Array, nullity: int | None) -> Array:
    """Orthonormal columns that span the kernel; its dimension decided by a tolerance if it is not known."""
    if len(a) > a.shape[1]:
        a = np.asarray(np.linalg.qr(a)[1]) if np.iscomplexobj(a) else _linalg.triangle(a)
    _, s, vt = _linalg.svd(a, full=True)
    if nullity is None:
        rank = int(np.count_nonzero(s > _RANK_TOL * max(1.0, float(s.max(initial=0.0)))))
    else:
        rank = a.shape[1] - nullity
    return np.asarray(vt[rank:].conj().T)


class _Algebra:
    """The quotient algebra, on the span of monomial vectors at the solutions: rows are monomials of degree ≤ k."""

    def __init__(self, span: Array, n: int, k: int, reason: str) -> None:
        self.dimension = span.shape[1]
        self.n = n
        self.reason = reason
        basis, lower = MonomialBasis(n, k), MonomialBasis(n, k - 1).exponents
        start = np.linalg.pinv(span[: len(lower)])
        self.matrices = [start @ span[basis.index(lower + unit)] for unit in np.eye(n, dtype=np.int64)]

    def solutions(self, system: System, generator: np.random.Generator) -> tuple[Array, list[int]] | None:
        """Points and multiplicities; None if the matrices do not commute, so are not those of the quotient."""
        if not self.dimension:
            return np.zeros((0, self.n)), []
        size = max(1.0, max(float(np.linalg.norm(m, 2)) for m in self.matrices))
        for a, b in combinations(self.matrices, 2):
            if np.linalg.norm(a @ b - b @ a) > _COMMUTATOR_TOL * size**2:
                return None
        weights = generator.standard_normal(self.n) + 1j * generator.standard_normal(self.n)
        mixed = np.tensordot(weights, np.array(self.matrices), axes=1)
        values, vectors = np.linalg.eig(mixed)
        # Coordinates by Rayleigh quotients: exact for common eigenvectors.
        guesses = (
            np.stack([np.einsum("ij,ij->j", vectors.conj(), m @ vectors) for m in self.matrices], axis=-1)
            / np.einsum("ij,ij->j", vectors.conj(), vectors)[:, None]
        )
        polished, regular = polish(system, guesses)
        simple, claimed = _distinct(polished, regular, guesses)
        points, multiplicities = [polished[i] for i in simple], [1] * len(simple)
        rest = [i for i in range(len(values)) if i not in claimed]
        if rest:
            for cluster in _clusters(guesses, rest):
                point = self._centre(mixed, values, cluster)
                if is_solution(system, point, 1e-5):
                    points.append(point)
                    multiplicities.append(len(cluster))
        return np.array(points).reshape(-1, self.n), multiplicities

    def _centre(self, mixed: Array, values: Array, cluster: Sequence[int]) -> Array:
        """The mean of a cluster of eigenvalues, on the invariant subspace that belongs to it."""
        chosen = values[cluster]
        others = np.delete(values, cluster)
        centre = chosen.mean()
        inside = float(np.abs(chosen - centre).max())
        outside = float(np.abs(others - centre).min(initial=np.inf))
        radius = 2 * inside + _EPS if outside == np.inf else 0.5 * (inside + outside)
        inside_first: Any = lambda z: abs(z - centre) <= radius  # noqa: E731
        _, u, n_inside = scipy.linalg.schur(mixed.astype(np.complex128), output="complex", sort=inside_first)
        u = u[:, :n_inside]
        return np.array([np.trace(u.conj().T @ m @ u) / max(1, n_inside) for m in self.matrices])


def polish(system: System, points: Array, steps: int = _NEWTON_STEPS) -> tuple[Array, NDArray[np.bool_]]:
    """Newton's (Gauss–Newton's) method from points (k, n); and which arrived at a regular solution."""
    x = np.array(points, dtype=np.complex128 if np.iscomplexobj(points) else np.float64)
    regular = np.zeros(len(x), dtype=np.bool_)
    with np.errstate(all="ignore"):
        for i in range(len(x)):
            x[i], regular[i] = _polished(system, x[i], steps)
    return x, regular


def _polished(system: System, x: Array, steps: int) -> tuple[Array, bool]:
    best, best_residual, best_step = x, np.inf, np.inf
    for _ in range(steps):
        values = system.evaluate(x)
        residual = float(np.linalg.norm(values / system.floored_sizes(x)))
        if not np.isfinite(residual):
            break
        try:
            step = np.linalg.lstsq(system.jacobian(x), values, rcond=None)[0]
        except np.linalg.LinAlgError:
            break
        if residual < best_residual:
            improved = residual < 0.5 * best_residual
            best, best_residual, best_step = x, residual, float(np.abs(step).max(initial=0.0))
            if not improved and residual < 1e-13:
                break
        elif best_residual < 1e-13:
            break
        x = x - step
    # NOTE: towards infinity residuals vanish too, but the steps do not.
    arrived = best_residual < 1e-11 and best_step <= _SIMPLE * np.abs(best).max()
    if not arrived or not is_regular(system, best):
        return best, False
    return _refined(system, best), True


def _refined(system: System, x: Array) -> Array:
    """Two more Newton steps with residuals in extended precision: components that are zero come out as zero."""
    precise = x.astype(np.clongdouble if np.iscomplexobj(x) else np.longdouble)
    inverse = np.linalg.pinv(system.jacobian(x))
    for _ in range(2):
        precise = precise - inverse @ system.evaluate(precise)
    return precise.astype(x.dtype)


def is_regular(system: System, x: Array) -> bool:
    """Whether a solution is a simple one: rounding errors of the equations hardly move it.

    They move a double one by √ε, whatever the units of unknowns and equations.
    """
    rows = system.jacobian(x) / system.floored_sizes(x)[:, None]
    lengths = np.linalg.norm(rows, axis=0)
    if not np.isfinite(rows).all() or not lengths.all():
        return False
    inverse, rank = scipy.linalg.pinv(rows / lengths, rtol=1e-13, return_rank=True)
    moved = _EPS * np.abs(inverse / lengths[:, None]).sum(axis=1)
    return bool(rank == len(x) and moved.max() <= _SIMPLE * np.abs(x).max())


def is_solution(system: System, x: Array, tol: float) -> bool:
    """Whether the equations hold at a point, up to ``tol`` of the sizes of their terms."""
    return bool((np.abs(system.evaluate(x)) <= tol * system.floored_sizes(x)).all())


def _distinct(polished: Array, regular: Array, guesses: Array) -> tuple[list[int], set[int]]:
    """Of each regular solution the guess that led there from nearest; guesses that are accounted for."""
    order = np.argsort(np.linalg.norm(polished - guesses, axis=1))
    kept: list[int] = []
    for i in order.tolist():
        far = np.linalg.norm(polished[i] - guesses[i]) > 0.1 * (1e-3 + np.linalg.norm(polished[i]))
        if regular[i] and not far and all(not same(polished[i], polished[j]) for j in kept):
            kept.append(i)
    return kept, set(kept)


def same(a: Array, b: Array, tol: float = _SAME) -> bool:
    """Whether two points agree, relative to their size."""
    return bool(np.linalg.norm(a - b) <= tol * (1.0 + np.linalg.norm(a) + np.linalg.norm(b)))


def _clusters(guesses: Array, rest: Sequence[int]) -> list[list[int]]:
    """Guesses that are near each other, by single linkage."""
    clusters: list[list[int]] = []
    for i in rest:
        near = [
            c
            for c in clusters
            if any(np.linalg.norm(guesses[i] - guesses[j]) <= 0.02 * (1 + np.linalg.norm(guesses[i])) for j in c)
        ]
        merged = [i] + [j for c in near for j in c]
        clusters = [c for c in clusters if c not in near] + [merged]
    return clusters
