# SPDX-License-Identifier: BSD-3-Clause
"""Monomials: counting, ordering, ranking and printing them.

The order is ascending graded lex with x1 > x2 > ... everywhere: 1, x, y, x^2, xy, y^2, ...

Legend for the shapes below: ``n_vars`` variables, ``N = n_monomials`` monomials, ``k`` rows, ``n_samples`` points.

A polynomial of degree <= D in n variables has the same coefficient array as its homogenisation, a *form* of degree D in
d = n + 1 variables whose first variable stands for 1. So every function here speaks of forms, and a basis only decides
whether the first exponent is shown.

Ranking rests on one remark. Among forms of the same degree, the monomials before one with first exponent e and tail
degree t = degree - e are those of larger first exponent: all forms of degree 0, 1, ..., t - 1 in the k remaining
variables, that is C(t - 1 + k, k) of them. Repeating this for the tail writes the rank as the sum of
C(t_i - 1 + k_i, k_i), the combinatorial number system (Knuth, The Art of Computer Programming 4A, section 7.2.1.3).
"""

from __future__ import annotations

import importlib
import math
import operator
import threading
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _backend
from ._validation import (
    _describe,
    _format_int,
    _to_array,
    all_finite,
    as_exact_array,
    as_flag,
    as_index,
    as_real_array,
    as_residues,
    check_forms,
    check_modulus,
    check_shape,
    check_size,
)
from .errors import NumericalError

__all__ = ["MonomialBasis", "count_monomials"]

# Larger counts would take minutes to compute, and are of no use as numbers.
_MAX_COUNT_BITS = 2**23
# The built-in binomial takes quadratic time; above this many bits, and up to this n, prime factors are faster.
_SLOW_COUNT_BITS, _MAX_SIEVE = 2**17, 2**25
# Samples are evaluated in chunks whose Veronese rows hold about this many numbers.
_CHUNK_ENTRIES = 2**20


def count_monomials(n_vars: SupportsIndex, degree: SupportsIndex, homogeneous: bool = False) -> int:
    """Number of monomials of degree at most (or, if homogeneous, exactly) ``degree`` in ``n_vars`` variables.

    Parameters
    ----------
    n_vars : int
        Number of variables, at least 1.
    degree : int
        Degree, at least 0.
    homogeneous : bool
        Count only the monomials of degree exactly ``degree``.

    Returns
    -------
    int
        C(n_vars + degree, degree), or C(n_vars - 1 + degree, degree) if homogeneous; exact, of any size.

    Raises
    ------
    TypeError
        If ``n_vars`` or ``degree`` is not an integer, or ``homogeneous`` not a bool.
    ValueError
        If ``n_vars < 1`` or ``degree < 0``.
    OverflowError
        If the count itself has millions of digits.

    Examples
    --------
    >>> count_monomials(2, 2), count_monomials(2, 2, homogeneous=True)
    (6, 3)
    >>> count_monomials(784, 9) > 2**63
    True
    """
    n, degree = as_index(n_vars, "n_vars", 1), as_index(degree, "degree", 0)
    return _count_forms(n if as_flag(homogeneous, "homogeneous") else n + 1, degree)


class MonomialBasis:
    """The monomials of degree at most (or exactly) ``degree`` in ``n_vars`` variables, in ascending graded lex order.

    Creating a basis costs nothing: ranking, unranking, iterating and naming single monomials need no table, and the
    table ``exponents`` is made on first use.

    Parameters
    ----------
    n_vars : int
        Number of variables, at least 1.
    degree : int
        Degree, at least 0.
    homogeneous : bool
        Only the monomials of degree exactly ``degree``.

    Attributes
    ----------
    n_vars, degree, homogeneous
        As given.
    n_monomials : int
        Number of monomials as a Python int of any size. ``len(basis)`` is the same, but like every ``len`` it raises
        OverflowError above ``sys.maxsize``.
    form_vars : int
        Number of variables of the forms in the kernels: ``n_vars`` if homogeneous, else ``n_vars + 1``.

    Raises
    ------
    TypeError, ValueError
        As `count_monomials`.

    Examples
    --------
    >>> basis = MonomialBasis(2, 2)
    >>> basis.names()
    ['1', 'x1', 'x2', 'x1^2', 'x1*x2', 'x2^2']
    >>> basis.exponent(4), basis.index((1, 1)), (3, 0) in basis
    ((1, 1), 4, False)
    """

    __slots__ = ("__weakref__", "_degree", "_exponents", "_homogeneous", "_lock", "_n_monomials", "_n_vars")

    def __init__(self, n_vars: SupportsIndex, degree: SupportsIndex, homogeneous: bool = False) -> None:
        self._n_vars = as_index(n_vars, "n_vars", 1)
        self._degree = as_index(degree, "degree", 0)
        self._homogeneous = as_flag(homogeneous, "homogeneous")
        self._n_monomials: int | None = None
        self._exponents: NDArray[np.int64] | None = None
        self._lock = threading.Lock()

    # -- identity ---------------------------------------------------------------------------------------------------

    @property
    def n_vars(self) -> int:
        """Number of variables."""
        return self._n_vars

    @property
    def degree(self) -> int:
        """Largest (if homogeneous: only) degree."""
        return self._degree

    @property
    def homogeneous(self) -> bool:
        """Whether only the monomials of degree exactly ``degree`` belong to the basis."""
        return self._homogeneous

    @property
    def form_vars(self) -> int:
        """Number of variables of the forms that represent polynomials in this basis (one more if inhomogeneous)."""
        return self._n_vars if self._homogeneous else self._n_vars + 1

    @property
    def n_monomials(self) -> int:
        """Number of monomials, a Python int of any size."""
        if self._n_monomials is None:
            self._n_monomials = _count_forms(self.form_vars, self._degree)
        return self._n_monomials

    def __len__(self) -> int:
        return self.n_monomials

    def __bool__(self) -> bool:
        return True  # a basis is never empty; without this, bool() of a large one would overflow in len()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MonomialBasis) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((MonomialBasis, *self._key()))

    def __repr__(self) -> str:
        numbers = f"n_vars={_format_int(self._n_vars)}, degree={_format_int(self._degree)}"
        return f"MonomialBasis({numbers}, homogeneous={self._homogeneous})"

    def __reduce__(self) -> tuple[type[MonomialBasis], tuple[int, int, bool]]:
        return MonomialBasis, self._key()

    def _key(self) -> tuple[int, int, bool]:
        return self._n_vars, self._degree, self._homogeneous

    # -- ranking ----------------------------------------------------------------------------------------------------

    @property
    def exponents(self) -> NDArray[np.int64]:
        """Exponents of all monomials, a read-only int64 array of shape (N, n_vars), one row per monomial.

        Made on first use and kept.

        Raises
        ------
        MemoryError, OverflowError
            If the table would not fit; iterate, or use `exponent` and `index`, which need none.
        """
        with self._lock:
            if self._exponents is None:
                check_size(
                    self.form_vars * self.n_monomials,
                    8,
                    f"the table of exponents of {self!r}",
                    "iterate over the basis, or use basis.exponent(i) and basis.index(exponents), which need no table",
                )
                table = form_exponents(self.form_vars, self._degree)
                table = table if self._homogeneous else np.ascontiguousarray(table[:, 1:])
                table.flags.writeable = False
                self._exponents = table
            return self._exponents

    def exponent(self, index: SupportsIndex) -> tuple[int, ...]:
        """Exponents of the monomial at position ``index`` (unranking, without a table).

        Parameters
        ----------
        index : int
            0 <= index < N; negative counts from the end.

        Returns
        -------
        tuple of n_vars ints

        Raises
        ------
        IndexError
            If there is no such monomial.

        Notes
        -----
        O(n_vars + min(n_vars, degree) log degree) binomial coefficients; exact for any size.

        Examples
        --------
        >>> MonomialBasis(3, 10**6).exponent(2**50)
        (50680, 130275, 8082)
        """
        i = as_index(index, "index")
        i = i + self.n_monomials if i < 0 else i
        if not 0 <= i < self.n_monomials:
            raise IndexError(f"`index` must be in [0, n_monomials={_number(self.n_monomials)}), got {index}")
        self._check_tuple_size()
        exponents = _unrank(i, self.form_vars, self._degree)
        return tuple(exponents if self._homogeneous else exponents[1:])

    def index(self, exponents: ArrayLike) -> Any:
        """Position of a monomial, or of each of several, in the basis (ranking, without a table).

        Parameters
        ----------
        exponents : sequence of n_vars ints, or int array of shape (k, n_vars)
            One monomial, or one per row.

        Returns
        -------
        int, or int64 array of shape (k,)
            An exact Python int for one monomial. For rows, int64; a basis of more than 2^63 - 1 monomials gives an
            array of Python ints (dtype object) instead.

        Raises
        ------
        TypeError
            If the exponents are not integers.
        ValueError
            If the shape is wrong or a monomial is not in the basis; the message names the first such row.

        Examples
        --------
        >>> basis = MonomialBasis(3, 4)
        >>> basis.index((0, 2, 1))
        17
        >>> bool((basis.index(basis.exponents) == range(len(basis))).all())
        True
        """
        table = _as_exponent_array(exponents)
        if table.ndim not in (1, 2) or table.shape[-1] != self._n_vars:
            n_vars = f"n_vars={_format_int(self._n_vars)}"
            raise ValueError(f"`exponents` must have shape ({n_vars},) or (k, {n_vars}), got {table.shape}")
        if table.ndim == 1:
            row = [int(e) for e in table]
            if not self._holds(row):
                raise ValueError(f"`exponents` {tuple(row)} is not a monomial of {self!r}")
            return _rank(row if self._homogeneous else [self._degree - sum(row), *row])
        return self._index_rows(table)

    def _index_rows(self, table: NDArray[Any]) -> NDArray[Any]:
        """Ranks of many monomials, column by column: the sum over i of C(t_i - 1 + k_i, k_i)."""
        degree, given = self._degree, table
        if table.dtype != object:
            # A row sum that int64 might not hold is made of Python integers.
            table = table.astype(object if degree * self._n_vars > np.iinfo(np.int64).max else np.int64, copy=False)
        bad: NDArray[np.bool_] = np.asarray(((table < 0) | (table > degree)).any(axis=1))
        if bad.any():
            table = np.where(bad[:, None], 0, table)
        total = table.sum(axis=1)
        bad = bad | np.asarray((total != degree) if self._homogeneous else (total > degree))
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            row = tuple(int(e) for e in given[first])
            raise ValueError(f"`exponents[{first}]` = {row} is not a monomial of {self!r}")
        n = self._n_vars
        dtype = np.int64 if self.n_monomials <= np.iinfo(np.int64).max else object
        ranks = np.zeros(len(table), dtype=dtype)
        tail = total
        # Every exponent but the last leaves a tail behind it; an inhomogeneous basis hides one before the first.
        for i in range(n):
            if i > 0 or not self._homogeneous:
                ranks += _count_before(tail, n - i, degree, dtype)
            tail = tail - table[:, i]
        return ranks

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """The exponent tuples in order, made one at a time."""
        self._check_tuple_size()
        first = 0 if self._homogeneous else 1
        last = self.form_vars - 1
        e = [self._degree] + [0] * last
        while True:
            yield tuple(e[first:])
            # The successor lowers the last nonzero exponent before the final one, and hands the tail to its neighbour.
            j = last - 1
            while j >= 0 and e[j] == 0:
                j -= 1
            if j < 0:
                return
            tail = e[last] + 1
            e[last] = 0
            e[j] -= 1
            e[j + 1] = tail

    def __contains__(self, exponents: object) -> bool:
        try:
            row = [operator.index(e) for e in exponents]  # type: ignore[attr-defined]
        except TypeError:
            return False
        return len(row) == self._n_vars and self._holds(row)

    def _holds(self, row: list[int]) -> bool:
        degree = sum(row)
        return min(row) >= 0 and (degree == self._degree if self._homogeneous else degree <= self._degree)

    def _check_tuple_size(self) -> None:
        check_size(self.form_vars, 8, f"one exponent tuple of {self!r}")

    # -- printing ---------------------------------------------------------------------------------------------------

    def names(self, symbols: Sequence[str] | None = None, latex: bool = False) -> list[str]:
        """Names of all monomials, such as ``x1^2*x3``, or ``x_{1}^{2} x_{3}`` in LaTeX.

        Parameters
        ----------
        symbols : sequence of n_vars str, optional
            Names of the variables, used as they are; x1, x2, ... (in LaTeX x_{1}, x_{2}, ...) by default.
        latex : bool
            Write LaTeX (without dollar signs).

        Returns
        -------
        list of N str

        Raises
        ------
        MemoryError, OverflowError
            If the list would not fit; name single monomials with `name`.

        Examples
        --------
        >>> MonomialBasis(2, 2, homogeneous=True).names(["s", "t"], latex=True)
        ['s^{2}', 's t', 't^{2}']
        """
        latex = as_flag(latex, "latex")
        check_size(self.n_monomials, 64, f"the list of names of {self!r}", "use basis.name(i) for single ones")
        symbols = self._symbols(symbols, latex)
        return [_monomial_name(e, symbols, latex) for e in self]

    def name(self, index: SupportsIndex, symbols: Sequence[str] | None = None, latex: bool = False) -> str:
        """Name of the monomial at position ``index``; see `names`.

        Parameters
        ----------
        index : int
            As in `exponent`.
        symbols, latex
            As in `names`.

        Raises
        ------
        IndexError
            If there is no such monomial.
        TypeError, ValueError
            If the symbols are not n_vars strings.

        Examples
        --------
        >>> MonomialBasis(3, 10).name(100)
        'x1^2*x2^4*x3'
        """
        latex = as_flag(latex, "latex")
        return _monomial_name(self.exponent(index), self._symbols(symbols, latex), latex)

    def format(
        self, coef: ArrayLike, symbols: Sequence[str] | None = None, latex: bool = False, max_terms: int | None = 12
    ) -> str:
        """The polynomial with coefficients ``coef`` as text or LaTeX, lowest terms first, zero terms left out.

        Parameters
        ----------
        coef : array of shape (N,)
            Coefficients: floats (written with six significant digits), complex numbers, integers or Fractions.
        symbols, latex
            As in `names`.
        max_terms : int or None
            Write at most this many terms and say how many are left out; None writes them all.

        Returns
        -------
        str

        Examples
        --------
        >>> basis = MonomialBasis(2, 2)
        >>> basis.format([1, 0, -1, 2.5, 0, 1])
        '1 - x2 + 2.5*x1^2 + x2^2'
        >>> basis.format([1, 2, 3, 4, 5, 6], max_terms=2)
        '1 + 2*x1 + ... (4 more terms)'
        >>> basis.format([0, 0, 0, 0.5, -2, 0], latex=True)
        '0.5 x_{1}^{2} - 2 x_{1} x_{2}'
        """
        c = _as_coefficients(coef, self)
        if c.ndim != 1:
            raise ValueError(f"`coef` must have shape (n_monomials={_number(self.n_monomials)},), got {c.shape}")
        latex = as_flag(latex, "latex")
        names = self._symbols(symbols, latex)
        nonzero = np.flatnonzero(c != 0)
        shown = nonzero if max_terms is None else nonzero[: as_index(max_terms, "max_terms", 0)]
        terms = [_term(c[i], _monomial_name(self.exponent(i), names, latex), latex) for i in shown]
        return _join_terms(terms, len(nonzero) - len(shown), latex)

    def _symbols(self, symbols: Sequence[str] | None, latex: bool) -> Sequence[str]:
        if symbols is None:
            self._check_tuple_size()
            return [f"x_{{{i}}}" if latex else f"x{i}" for i in range(1, self._n_vars + 1)]
        if not isinstance(symbols, Sequence) or not all(isinstance(s, str) for s in symbols):
            raise TypeError(f"`symbols` must be a sequence of strings, got {_describe(symbols)}")
        if len(symbols) != self._n_vars:
            raise ValueError(f"`symbols` must have length n_vars={_format_int(self._n_vars)}, got {len(symbols)}")
        return symbols

    # -- polynomials ------------------------------------------------------------------------------------------------

    def evaluate(self, coef: ArrayLike, X: ArrayLike) -> NDArray[Any]:
        """Values at the points ``X`` of the polynomials with coefficients ``coef``.

        Parameters
        ----------
        coef : array of shape (..., N)
            Coefficients; the leading axes are a batch.
        X : array of shape (n_samples, n_vars)
            Points, one per row.

        Returns
        -------
        array of shape (..., n_samples)
            float32 if both are float32, complex128 if either is complex, exact (dtype object) if either holds Python
            objects such as Fraction, else float64.

        Raises
        ------
        TypeError
            If an argument does not hold numbers.
        ValueError
            If a shape is wrong, or an entry is NaN or infinite (the message gives the first one).
        NumericalError
            If a value overflows.

        Notes
        -----
        Equal to ``coef @ veronese(X, basis).T`` up to roundoff; the rows are made in chunks, so memory beyond the
        result does not grow with the number of samples.

        Examples
        --------
        >>> MonomialBasis(2, 2).evaluate([1, 0, 0, 1, 0, 1], [[1, 2], [3, 4]])
        array([ 6., 26.])
        """
        c = _as_coefficients(coef, self)
        check_forms(self.form_vars, self._degree, "degree")
        points = _as_numbers(X, "X")
        check_shape(points, "X", ("n_samples", ("n_vars", self._n_vars)))
        dtype = np.result_type(c.dtype, points.dtype)
        if dtype.kind != "O":
            dtype = np.result_type(dtype, np.float32 if dtype == np.float32 else np.float64)
            c, points = as_real_array(c, "coef", dtype=dtype), as_real_array(points, "X", dtype=dtype)
        else:
            c, points = c.astype(object), points.astype(object)
        # The compiled kernels make real rows; complex and exact ones come from the numpy definition.
        kernels = _backend.kernels() if dtype in (np.float32, np.float64) else _backend.load("numpy")
        values = np.empty((*c.shape[:-1], len(points)), dtype=dtype)
        step = max(1, _CHUNK_ENTRIES // self.n_monomials)
        rows = np.empty((min(step, len(points)), self.n_monomials), dtype=dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(points), step):
                chunk = points[start : start + step]
                kernels.veronese(chunk, self._degree, self._homogeneous, rows[: len(chunk)], 0)
                values[..., start : start + step] = c @ rows[: len(chunk)].T
        if dtype.kind != "O" and not all_finite(values):
            raise NumericalError("a value of the polynomial overflowed; scale X or coef")
        return values

    def to_sympy(self, coef: ArrayLike, symbols: Sequence[str] | None = None) -> Any:
        """The polynomial with coefficients ``coef`` as a SymPy expression.

        Parameters
        ----------
        coef : array of shape (..., N)
            Coefficients: floats, complex numbers, integers or Fractions.
        symbols : sequence of n_vars str, optional
            Names of the variables; x1, x2, ... by default.

        Returns
        -------
        sympy.Expr, or a nested list of them if ``coef`` has leading axes

        Raises
        ------
        ImportError
            If SymPy is not installed.

        Examples
        --------
        >>> MonomialBasis(2, 2).to_sympy([1, 0, 0, 2, -1, 0])
        2*x1**2 - x1*x2 + 1
        """
        sympy = _import("sympy", "sympy")
        c = _as_coefficients(coef, self)
        if c.ndim > 1:
            return [self.to_sympy(row, symbols) for row in c]
        variables = [sympy.Symbol(s) for s in self._symbols(symbols, latex=False)]

        def number(value: Any) -> Any:
            if isinstance(value, Fraction):
                return sympy.Rational(value.numerator, value.denominator)
            if isinstance(value, complex):
                return sympy.Float(value.real) + sympy.I * sympy.Float(value.imag)
            return sympy.sympify(value)

        terms = []
        for i in np.flatnonzero(c != 0):
            powers = [x**e for x, e in zip(variables, self.exponent(i)) if e]
            terms.append(sympy.Mul(number(_as_python(c[i])), *powers))
        return sympy.Add(*terms)

    def to_flint(self, coef: ArrayLike, symbols: Sequence[str] | None = None, modulus: int | None = None) -> Any:
        """The polynomial with exact coefficients ``coef`` as a python-flint multivariate polynomial.

        Parameters
        ----------
        coef : array of shape (..., N)
            Integers or Fractions.
        symbols : sequence of n_vars str, optional
            Names of the variables; x1, x2, ... by default.
        modulus : int, optional
            Make an ``nmod_mpoly`` over the integers modulo this prime instead.

        Returns
        -------
        fmpz_mpoly, fmpq_mpoly (if a coefficient is a Fraction) or nmod_mpoly
            In a context with graded lex order and these symbols; a nested list of them if ``coef`` has leading axes.

        Raises
        ------
        ImportError
            If python-flint is not installed.
        TypeError
            If a coefficient is a float or complex number: polynomials of flint are exact.
        ValueError
            If the shape is wrong, the modulus not prime, or a denominator divisible by it.

        Examples
        --------
        >>> MonomialBasis(2, 2).to_flint([1, 0, 0, 2, -1, 0])
        2*x1^2 - x1*x2 + 1
        """
        flint = _import("flint", "python-flint")
        shape = (..., ("n_monomials", self.n_monomials))
        if modulus is None:
            c = as_exact_array(coef, "coef", shape)
        else:
            c = as_residues(coef, check_modulus(modulus), "coef", shape)
        if c.ndim > 1:
            return [self.to_flint(row, symbols, modulus) for row in c]
        names, order = tuple(self._symbols(symbols, latex=False)), flint.Ordering.deglex
        values = c.tolist()
        if modulus is not None:
            context = flint.nmod_mpoly_ctx.get(names, modulus=modulus, ordering=order)
        elif any(isinstance(v, Fraction) for v in values):
            context = flint.fmpq_mpoly_ctx.get(names, ordering=order)
            values = [flint.fmpq(v.numerator, v.denominator) for v in values]
        else:
            context = flint.fmpz_mpoly_ctx.get(names, ordering=order)
        return context.from_dict({self.exponent(i): v for i, v in enumerate(values) if v != 0})


# -- counting, ranking and unranking forms ---------------------------------------------------------------------------


def _count_forms(d: int, degree: int) -> int:
    """Number of monomials of degree exactly ``degree`` in ``d`` variables, C(d - 1 + degree, degree)."""
    n, k = d - 1 + degree, min(d - 1, degree)
    bits = k * (2 + n.bit_length() - k.bit_length()) + 2 if k else 0  # log2 C(n, k) <= k log2(e n / k)
    if bits <= _SLOW_COUNT_BITS:
        return math.comb(n, k)
    if bits > _MAX_COUNT_BITS or n > _MAX_SIEVE:
        raise OverflowError(
            f"the number of monomials of degree {_format_int(degree)} in {_format_int(d)} variables has about "
            f"{_format_int(bits)} bits"
        )
    return _binomial_by_primes(n, k)


def _binomial_by_primes(n: int, k: int) -> int:
    """C(n, k) as the product of its prime powers, whose exponents Legendre's formula gives."""
    sieve = np.ones(n + 1, dtype=bool)
    sieve[:2] = False
    for i in range(2, math.isqrt(n) + 1):
        if sieve[i]:
            sieve[i * i :: i] = False
    primes = np.flatnonzero(sieve)
    valuation = np.zeros(len(primes), dtype=np.int64)
    power = primes
    while len(power):
        valuation[: len(power)] += n // power - k // power - (n - k) // power
        power = power[power <= n // primes[: len(power)]]
        power = power * primes[: len(power)]
    factors: list[int] = [p**v for p, v in zip(primes.tolist(), valuation.tolist()) if v]
    while len(factors) > 1:  # multiply neighbours: balanced factors are what fast multiplication wants
        factors = [math.prod(factors[i : i + 2]) for i in range(0, len(factors), 2)]
    return factors[0]


def _rank(form: Sequence[int]) -> int:
    """Position of the monomial with these exponents among the forms of its degree."""
    rank, tail = 0, 0
    for k, e in enumerate(reversed(form[1:]), start=1):
        tail += e
        if tail:
            rank += math.comb(tail - 1 + k, k)
    return rank


def _unrank(index: int, d: int, degree: int) -> list[int]:
    """Exponents of the monomial at position ``index`` among the forms of this degree in ``d`` variables."""
    exponents = [0] * d
    remaining = degree
    for i in range(d - 1):
        if remaining == 0:
            break
        k = d - 1 - i
        # The tail degree is the largest t <= remaining with C(t - 1 + k, k) <= index; most often it is `remaining`.
        tail, before = remaining, math.comb(remaining - 1 + k, k)
        if before > index:
            low, high = 0, remaining  # invariant: count(low) <= index < count(high)
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if math.comb(middle - 1 + k, k) <= index else (low, middle)
            tail, before = low, math.comb(low - 1 + k, k) if low else 0
        exponents[i] = remaining - tail
        index -= before
        remaining = tail
    exponents[d - 1] += remaining
    return exponents


def _count_before(tail: NDArray[Any], k: int, degree: int, dtype: Any) -> NDArray[Any]:
    """C(t - 1 + k, k) for each entry t of ``tail`` (0 where t = 0), computed once per distinct t."""
    if degree < len(tail):
        distinct, where = range(degree + 1), tail.astype(np.intp, copy=False)
    else:
        values, where = np.unique(tail, return_inverse=True)
        distinct = [int(t) for t in values]  # type: ignore[assignment]
    counts = [math.comb(t - 1 + k, k) if t else 0 for t in distinct]
    # With fewer distinct tails than `degree` allows, a count may exceed the basis only where no row uses it.
    limit = np.iinfo(np.int64).max if dtype is np.int64 else None
    table = np.array([c if limit is None or c <= limit else 0 for c in counts], dtype=dtype)
    return np.asarray(table[where])


def form_exponents(d: int, degree: int) -> NDArray[np.int64]:
    """Exponents of all forms of degree ``degree`` in ``d`` variables, shape (count, d); the size is not checked.

    Walks down the tree of prefixes one variable at a time: a node with tail degree t has children with tails 0, ..., t,
    and a child with tail t over k remaining variables covers as many rows as there are monomials of degree t in those.
    """
    table = np.empty((_count_forms(d, degree), d), dtype=np.int64)
    tail = np.array([degree], dtype=np.int64)
    for i in range(d - 1):
        k = d - 1 - i
        children = tail + 1
        parent = np.repeat(tail, children)
        tail = np.arange(len(parent)) - np.repeat(np.cumsum(children) - children, children)
        rows = np.array([_count_forms(k, t) for t in range(degree + 1)], dtype=np.int64)
        table[:, i] = np.repeat(parent - tail, rows[tail])
    table[:, d - 1] = tail
    return table


# -- text ------------------------------------------------------------------------------------------------------------


def _monomial_name(exponents: Iterable[int], symbols: Sequence[str], latex: bool) -> str:
    power = "{}^{{{}}}" if latex else "{}^{}"
    factors = [s if e == 1 else power.format(s, e) for s, e in zip(symbols, exponents) if e]
    return (" " if latex else "*").join(factors) or "1"


def _term(coefficient: Any, name: str, latex: bool) -> str:
    """One term of a polynomial, with its sign in front."""
    text = _coefficient_text(_as_python(coefficient), latex)
    if name == "1":
        return text
    if text in ("1", "-1"):
        return text[:-1] + name
    return f"{text} {name}" if latex else f"{text}*{name}"


def _join_terms(terms: list[str], left_out: int, latex: bool) -> str:
    """The sum of terms, saying how many are left out."""
    if left_out:
        more = f"{left_out} more term{'s' if left_out > 1 else ''}"
        terms = [*terms, rf"\cdots \;(\text{{{more}}})" if latex else f"... ({more})"]
    if not terms:
        return "0"
    text = "".join(f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in terms)
    return text[3:] if text.startswith(" + ") else f"-{text[3:]}"


def _coefficient_text(value: Any, latex: bool) -> str:
    if isinstance(value, complex):
        sign = "-" if math.copysign(1.0, value.imag) < 0 else "+"
        imaginary = _coefficient_text(abs(value.imag), latex)
        return f"({_coefficient_text(value.real, latex)} {sign} {imaginary}{' i' if latex else 'j'})"
    if isinstance(value, float):
        text = f"{value:.6g}"
        mantissa, _, exponent = text.partition("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if latex and exponent else text
    if latex and isinstance(value, Fraction) and value.denominator != 1:
        return rf"{'-' if value < 0 else ''}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"
    return str(value)


def _number(n: int) -> str:
    return str(n) if n < 10**15 else f"about 2^{n.bit_length() - 1}"


# -- arguments -------------------------------------------------------------------------------------------------------


def _as_numbers(value: ArrayLike, name: str) -> NDArray[Any]:
    """An array of real or complex floats or integers, or of exact Python numbers (dtype object)."""
    array = _to_array(value, name)
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    if array.dtype.kind == "O":
        for item in array.flat:
            if isinstance(item, bool) or not isinstance(item, (int, float, complex, Fraction, np.number)):
                raise TypeError(f"`{name}` must hold numbers, got {type(item).__name__}")
    elif array.dtype.kind not in "iufc":
        raise TypeError(f"`{name}` must hold numbers, got dtype {array.dtype}")
    elif array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
        raise TypeError(f"`{name}` must not have extended precision, got dtype {array.dtype}")
    return array


def _as_coefficients(coef: ArrayLike, basis: MonomialBasis) -> NDArray[Any]:
    array = _as_numbers(coef, "coef")
    check_shape(array, "coef", (..., ("n_monomials", basis.n_monomials)))
    return array


def _as_exponent_array(exponents: ArrayLike) -> NDArray[Any]:
    array = _to_array(exponents, "exponents")
    if array.size == 0 and not isinstance(exponents, np.ndarray):
        array = array.astype(np.int64)  # an empty list has no dtype of its own
    if array.dtype.kind == "u":
        return array.astype(object if array.dtype.itemsize == 8 else np.int64)
    if array.dtype.kind == "f" and not isinstance(exponents, np.ndarray):
        array = np.array(exponents, dtype=object)  # a list with integers beyond int64 comes out of numpy as float64
    if array.dtype.kind == "O":
        integers = np.empty(array.shape, dtype=object)
        integers.reshape(-1)[:] = [as_index(item, "exponents") for item in array.flat]
        return integers
    if array.dtype.kind != "i":
        raise TypeError(f"`exponents` must be integers, got dtype {array.dtype}")
    return array


def _as_python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _import(module: str, package: str) -> Any:
    """An optional dependency, or an ImportError that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(f"this needs {package}: `pip install {package}`, or `pip install polycore[dev]`") from None
