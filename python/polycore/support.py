# SPDX-License-Identifier: BSD-3-Clause
"""Supports: the monomials of a basis that can occur in the polynomials of a network.

Whatever the parameters, a convolution multiplies only variables of one window, and attention is cubic and linear in a
token. Coefficients on the support are short where those on the basis would not fit any memory.

Legend for the shapes below: ``n`` monomials in the support, ``n_monomials`` in its basis, ``n_vars`` variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validation import (
    INT64_MAX,
    _describe,
    all_finite,
    as_flag,
    as_index,
    as_real_array,
    check_shape,
    check_size,
)
from .errors import NumericalError
from .monomials import (
    MonomialBasis,
    _as_exponent_array,
    _as_numbers,
    _join_terms,
    _monomial_name,
    _term,
    count_monomials,
)

__all__ = ["MonomialSupport"]

# Samples are evaluated in chunks whose rows of monomials hold about this many numbers.
_CHUNK_ENTRIES = 2**20


@dataclass(frozen=True, init=False, eq=False, repr=False)
class MonomialSupport:
    """Some monomials of a basis, in its order.

    ``net.support`` are those that can occur in an output of a network.

    Parameters
    ----------
    basis : MonomialBasis
        What the monomials are taken from; it may have more than could be listed.
    exponents : int array of shape (n, n_vars)
        The monomials, one per row, in any order; none twice.

    Attributes
    ----------
    basis : MonomialBasis
    n_vars, degree, homogeneous
        Those of the basis.
    n_monomials : int
        Number of monomials, n; the same as ``len(support)``.
    exponents : ndarray of int64, shape (n, n_vars)
        One row per monomial, in the order of the basis; read-only, made on first use.
    positions : ndarray of int64, shape (n,)
        Ascending positions in the basis; read-only, made on first use.

    Raises
    ------
    TypeError
        If the basis is none, or the exponents are not integers.
    ValueError
        If the shape is wrong, a monomial is not in the basis, or one occurs twice.

    Examples
    --------
    >>> from polycore import CNN, MonomialBasis
    >>> support = MonomialSupport(MonomialBasis(2, 3), [(1, 2), (0, 1)])
    >>> support, support.names(), support.positions
    (MonomialSupport(2 of 10 monomials, n_vars=2, degree=3, homogeneous=False), ['x2', 'x1*x2^2'], array([2, 8]))
    >>> CNN((2, 2), activation=2).support.names()
    ['x1^2', 'x1*x2', 'x2^2', 'x2*x3', 'x3^2']
    """

    basis: MonomialBasis
    _letters: NDArray[np.uint32]

    def __init__(self, basis: MonomialBasis, exponents: ArrayLike) -> None:
        if not isinstance(basis, MonomialBasis):
            raise TypeError(f"`basis` must be a MonomialBasis, got {_describe(basis)}")
        table = _as_exponent_array(exponents)
        if table.size == 0 and table.ndim == 1:
            table = table.reshape(0, basis.n_vars)
        check_shape(table, "exponents", ("n", ("n_vars", basis.n_vars)))
        check_size(len(table) * basis.degree, 4, "the words of the monomials")
        for i, row in enumerate(table):
            if row.tolist() not in basis:
                raise ValueError(f"`exponents[{i}]` = {tuple(row.tolist())} is not a monomial of {basis!r}")
        words = _words(table.astype(np.int64), basis.degree)
        words = words[np.lexsort(words.T[::-1])] if basis.degree else words
        twice = np.flatnonzero((words[1:] == words[:-1]).all(axis=1))
        if len(twice):
            double = np.bincount(words[twice[0]], minlength=basis.n_vars + 1)[1:]
            raise ValueError(f"`exponents` must not repeat a monomial, got {tuple(double.tolist())} twice")
        self._set(basis, words)

    @classmethod
    def _from_words(cls, basis: MonomialBasis, words: NDArray[np.uint32]) -> MonomialSupport:
        """The support made of sorted words: of every monomial its variables in ascending order, counted from 1, each as
        often as its exponent says, after as many 0 as fill its degree."""
        support = cls.__new__(cls)
        support._set(basis, words)
        return support

    def _set(self, basis: MonomialBasis, words: NDArray[np.uint32]) -> None:
        words.flags.writeable = False
        object.__setattr__(self, "basis", basis)
        object.__setattr__(self, "_letters", words)

    # --- identity -----------------------------------------------------------------------------------------------------

    @property
    def n_vars(self) -> int:
        """Number of variables."""
        return self.basis.n_vars

    @property
    def degree(self) -> int:
        """Largest (if homogeneous: only) degree in the basis."""
        return self.basis.degree

    @property
    def homogeneous(self) -> bool:
        """Whether only monomials of degree exactly ``degree`` belong to the basis."""
        return self.basis.homogeneous

    @property
    def n_monomials(self) -> int:
        """Number of monomials in the support."""
        return len(self._letters)

    def __len__(self) -> int:
        return len(self._letters)

    def __bool__(self) -> bool:
        return True  # as a basis; the support of the zero polynomial is empty

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MonomialSupport):
            return NotImplemented
        return self.basis == other.basis and np.array_equal(self._letters, other._letters)

    def __hash__(self) -> int:
        return hash((self.basis, self._letters.tobytes()))

    def __reduce__(self) -> tuple[Any, ...]:
        return MonomialSupport._from_words, (self.basis, self._letters.copy())

    def __repr__(self) -> str:
        total = self.basis.n_monomials
        of = str(total) if total < 10**15 else f"about 2^{total.bit_length() - 1}"
        return (
            f"MonomialSupport({len(self)} of {of} monomials, n_vars={self.n_vars}, degree={self.degree}, "
            f"homogeneous={self.homogeneous})"
        )

    # --- the monomials ------------------------------------------------------------------------------------------------

    @cached_property
    def exponents(self) -> NDArray[np.int64]:
        """Exponents of the monomials, shape (n, n_vars), one row each.

        Raises
        ------
        MemoryError, OverflowError
            If the table would not fit; iterate instead.
        """
        check_size(len(self) * self.n_vars, 8, f"the table of exponents of {self!r}", "iterate over the support")
        table = np.zeros((len(self), self.n_vars), dtype=np.int64)
        for letters in self._letters.T:
            rows = np.flatnonzero(letters)
            table[rows, letters[rows].astype(np.int64) - 1] += 1
        table.flags.writeable = False
        return table

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """Positions of the monomials in the basis, ascending.

        Raises
        ------
        OverflowError
            If the basis has more than 2^63 - 1 monomials.
        """
        if self.basis.n_monomials > INT64_MAX:
            raise OverflowError(f"the positions in {self.basis!r} do not fit int64; the exponents say the same")
        # Before a word come those with a smaller letter at some place and the same ones before it: of the forms of that
        # degree in the letters from the one before on, those that are not in the letters from this one on.
        d, degree = self.basis.form_vars, self.degree
        letters = self._letters.astype(np.int64) - int(self.homogeneous)
        before, ranks = np.zeros(len(self), dtype=np.int64), np.zeros(len(self), dtype=np.int64)
        for place in range(degree):
            variables, where = np.unique(np.stack([before, letters[:, place]]), return_inverse=True)
            counts = [count_monomials(d - int(v), degree - place, homogeneous=True) for v in variables]
            start, end = np.array(counts, dtype=np.int64)[where.reshape(2, -1)]
            ranks += start - end
            before = letters[:, place]
        ranks.flags.writeable = False
        return ranks

    def exponent(self, index: SupportsIndex) -> tuple[int, ...]:
        """Exponents of one monomial.

        Parameters
        ----------
        index : int
            Its number in the support; negative counts from the end.

        Returns
        -------
        tuple of n_vars ints

        Raises
        ------
        IndexError
            If there is no such monomial.

        Examples
        --------
        >>> MonomialSupport(MonomialBasis(2, 3), [(1, 2), (0, 1)]).exponent(-1)
        (1, 2)
        """
        i = as_index(index, "index")
        if not -len(self) <= i < len(self):
            raise IndexError(f"`index` must be in [0, n={len(self)}), got {index}")
        return tuple(np.bincount(self._letters[i], minlength=self.n_vars + 1)[1:].tolist())

    def index(self, exponents: ArrayLike) -> Any:
        """Which monomial of the support it is, for one or several.

        Parameters
        ----------
        exponents : sequence of n_vars ints, or int array of shape (k, n_vars)
            One monomial, or one per row.

        Returns
        -------
        int, or int64 array of shape (k,)

        Raises
        ------
        TypeError
            If the exponents are not integers.
        ValueError
            If the shape is wrong or a monomial is not in the support.

        Examples
        --------
        >>> MonomialSupport(MonomialBasis(2, 3), [(1, 2), (0, 1)]).index((1, 2))
        1
        """
        table = _as_exponent_array(exponents)
        if table.ndim not in (1, 2) or table.shape[-1] != self.n_vars:
            raise ValueError(
                f"`exponents` must have shape (n_vars={self.n_vars},) or (k, n_vars={self.n_vars}), got {table.shape}"
            )
        found = []
        for row in np.atleast_2d(table).tolist():
            where = self._numbers.get(_word(row, self.degree)) if row in self.basis else None
            if where is None:
                raise ValueError(f"`exponents` {tuple(row)} is not a monomial of {self!r}")
            found.append(where)
        return found[0] if table.ndim == 1 else np.array(found, dtype=np.int64)

    @cached_property
    def _numbers(self) -> dict[bytes, int]:
        """Words to their numbers."""
        return {word.tobytes(): k for k, word in enumerate(self._letters)}

    def __contains__(self, exponents: object) -> bool:
        if exponents not in self.basis:
            return False
        return _word([int(e) for e in exponents], self.degree) in self._numbers  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """The exponent tuples in order, made one at a time."""
        return (self.exponent(k) for k in range(len(self)))

    def names(self, symbols: Sequence[str] | None = None, latex: bool = False) -> list[str]:
        """Names of the monomials.

        Parameters
        ----------
        symbols, latex
            As in `MonomialBasis.names`.

        Returns
        -------
        list of n str

        Examples
        --------
        >>> MonomialSupport(MonomialBasis(2, 3), [(1, 2), (0, 1)]).names(["s", "t"])
        ['t', 's*t^2']
        """
        latex = as_flag(latex, "latex")
        symbols = self.basis._symbols(symbols, latex)
        return [_monomial_name(exponents, symbols, latex) for exponents in self]

    # --- coefficients -------------------------------------------------------------------------------------------------

    def gather(self, coef: ArrayLike) -> NDArray[Any]:
        """The coefficients on the support out of those on the basis.

        Parameters
        ----------
        coef : array of shape (..., n_monomials of the basis)
            The others are dropped, whatever they are.

        Returns
        -------
        ndarray, shape (..., n), a copy

        Raises
        ------
        TypeError, ValueError
            If ``coef`` does not hold numbers or has the wrong shape.
        OverflowError
            As `positions`.

        Examples
        --------
        >>> MonomialSupport(MonomialBasis(2, 1), [(0, 1)]).gather([3, 5, 7])
        array([7])
        """
        positions, given = self.positions, _as_numbers(coef, "coef")
        check_shape(given, "coef", (..., ("n_monomials", self.basis.n_monomials)))
        return given[..., positions]

    def scatter(self, values: ArrayLike) -> NDArray[Any]:
        """The coefficients on the basis, zero outside the support.

        Parameters
        ----------
        values : array of shape (..., n)
            Coefficients on the support.

        Returns
        -------
        ndarray, shape (..., n_monomials of the basis)
            Of the dtype of ``values``.

        Raises
        ------
        TypeError, ValueError
            If ``values`` does not hold numbers or has the wrong shape.
        OverflowError, MemoryError
            If the coefficients would not fit, before anything is allocated.

        Examples
        --------
        >>> MonomialSupport(MonomialBasis(2, 1), [(0, 1)]).scatter([7])
        array([0, 0, 7])
        """
        given = self._as_values(values)
        lead = given.shape[:-1]
        n_items = max(1, int(np.prod(lead, dtype=object))) * self.basis.n_monomials
        check_size(n_items, given.dtype.itemsize, "the coefficients on the basis", "keep those on the support")
        coef = np.zeros((*lead, self.basis.n_monomials), dtype=given.dtype)
        coef[..., self.positions] = given
        return coef

    def evaluate(self, values: ArrayLike, X: ArrayLike) -> NDArray[Any]:
        """Values at the points ``X`` of the polynomials with these coefficients.

        Parameters
        ----------
        values : array of shape (..., n)
            Coefficients on the support; the leading axes are a batch.
        X : array of shape (n_samples, n_vars)
            Points, one per row.

        Returns
        -------
        ndarray, shape (..., n_samples)
            Of the dtype that `MonomialBasis.evaluate` gives.

        Raises
        ------
        TypeError, ValueError
            If an argument does not hold finite numbers or has the wrong shape.
        NumericalError
            If a value overflows.

        Notes
        -----
        O(n · degree) for every point.

        Examples
        --------
        >>> MonomialSupport(MonomialBasis(2, 3), [(1, 2), (0, 1)]).evaluate([1, 10], [[2, 3]])
        array([183.])
        """
        c, points = self._as_values(values), _as_numbers(X, "X")
        check_shape(points, "X", ("n_samples", ("n_vars", self.n_vars)))
        dtype = np.result_type(c.dtype, points.dtype)
        if dtype.kind != "O":
            dtype = np.result_type(dtype, np.float32 if dtype == np.float32 else np.float64)
            c, points = as_real_array(c, "values", dtype=dtype), as_real_array(points, "X", dtype=dtype)
        else:
            c, points = c.astype(object), points.astype(object)
        result = np.zeros((*c.shape[:-1], len(points)), dtype=dtype)
        step = max(1, _CHUNK_ENTRIES // max(1, len(self)))
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(points), step):
                rows = self._rows(points[start : start + step])
                if len(self):
                    result[..., start : start + step] = c @ rows.T
        if dtype.kind != "O" and not all_finite(result):
            raise NumericalError("a value of the polynomial overflowed; scale X or values")
        return result

    def format(
        self, values: ArrayLike, symbols: Sequence[str] | None = None, latex: bool = False, max_terms: int | None = 12
    ) -> str:
        """The polynomial with these coefficients as text or LaTeX.

        Parameters
        ----------
        values : array of shape (n,)
            Coefficients on the support.
        symbols, latex, max_terms
            As in `MonomialBasis.format`.

        Returns
        -------
        str

        Examples
        --------
        >>> MonomialSupport(MonomialBasis(2, 3), [(1, 2), (0, 1)]).format([2, -1])
        '2*x2 - x1*x2^2'
        """
        c = self._as_values(values)
        if c.ndim != 1:
            raise ValueError(f"`values` must have shape (n={len(self)},), got {c.shape}")
        latex = as_flag(latex, "latex")
        names = self.basis._symbols(symbols, latex)
        nonzero = np.flatnonzero(c != 0)
        shown = nonzero if max_terms is None else nonzero[: as_index(max_terms, "max_terms", 0)]
        terms = [_term(c[i], _monomial_name(self.exponent(i), names, latex), latex) for i in shown]
        return _join_terms(terms, len(nonzero) - len(shown), latex)

    def _rows(self, points: NDArray[Any]) -> NDArray[Any]:
        """The monomials at points, (n_samples, n); the bits are those of `veronese` on the basis."""
        factors = np.concatenate([np.ones_like(points[:, :1]), points], axis=1)
        rows = np.ones((len(points), len(self)), dtype=points.dtype)
        for letters in self._letters.T[::-1]:  # from the last variable to the first
            rows *= factors[:, letters]
        return rows

    def _as_values(self, values: ArrayLike) -> NDArray[Any]:
        array = _as_numbers(values, "values")
        check_shape(array, "values", (..., ("n", len(self))))
        return array


def _word(exponents: Sequence[int], degree: int) -> bytes:
    return _words(np.array([exponents], dtype=np.int64), degree).tobytes()


def _words(table: NDArray[np.int64], degree: int) -> NDArray[np.uint32]:
    """The word of each row of exponents, (k, degree)."""
    k, n_vars = table.shape
    counts = np.concatenate([degree - table.sum(axis=1, keepdims=True), table], axis=1)
    letters = np.tile(np.arange(n_vars + 1, dtype=np.uint32), k)
    return np.repeat(letters, counts.reshape(-1)).reshape(k, degree)
