# SPDX-License-Identifier: BSD-3-Clause
"""The linear span of the functions of a network, exact.

The coefficient vectors of a network's functions span a linear space L, usually everything, but not for shared weights:
a convolution sees its window only, and attention is linear in some tokens. L is what a loss should be restricted to,
and its coordinates are where equations of the image are written.

**Networks that begin with a dense layer.** If the inputs are read by dense affine layers alone, f(x) can be replaced by
f(g x) for every invertible g, by changing their weights. So L is invariant under GL(n). The forms of degree k are an
irreducible representation, different for each k, hence L = ⊕_k Sym^k ⊗ U_k with U_k ⊂ K^n_outputs; restriction to the
line x = (x1, 0, …, 0) keeps U_k. It is enough to find the span of a network in one variable. (W. Fulton, J. Harris,
*Representation Theory*, section 15.)
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._relations import MonomialMap, linear_relations
from ._validation import (
    _to_array,
    as_exact_array,
    as_real,
    as_real_array,
    as_rng,
    check_shape,
    check_size,
)
from .modular import format_bound
from .monomials import MonomialBasis
from .program import Program
from .structure import dense_readers

__all__ = ["LinearSpan"]

# Relative to the largest coefficient: floats within this of the span are in it.
_TOLERANCE = 1e-9
_SHOWN = 10


@dataclass(frozen=True, eq=False)
class LinearSpan:
    """The linear span L of the coefficient vectors of a network's functions, made by ``net.linear_span()``.

    Some coefficients, the *pivots*, are coordinates of L; every other one is zero on L or a combination of them. Pivots
    are chosen among the coefficients with the fewest terms in the parameters, where those can be counted, else first
    come first. As an array it is a basis of float64 vectors, what ``loss.restrict`` takes.

    Attributes
    ----------
    dimension : int
        k. Never less than stated, and equal to it if ``proved``.
    n_outputs : int
    monomials : MonomialBasis
        Of the coefficient vectors, which have shape (n_outputs, n_monomials).
    pivots : ndarray of int64, shape (k,)
        Ascending positions in the flattened (n_outputs, n_monomials).
    combinations : dict
        From the position of a coefficient that is neither a pivot nor zero to a dict from the index i of a pivot to its
        factor, an int or Fraction.
    proved : bool
        Whether L is certain.
    error_bound : float
        0.0 if proved, else a bound of the probability that L is larger.
    reason : str
        How it is known.
    seed : int
        ``rng=seed`` reproduces the result.

    Examples
    --------
    Two binary quadratic forms with a common factor, in the two outputs of attention on two tokens:

    >>> from polycore import LightningAttention
    >>> span = LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2).linear_span()
    >>> span
    LightningAttention(d_model=2, d_key=2, d_out=1, n_tokens=2)
      span        6 of 40 (ambient), proved
      coordinates f1[x1^3], f1[x1*x3*x4], f1[x1*x4^2], f1[x2^3], f1[x2*x3^2], f1[x2*x3*x4]
      and         14 coefficients that are combinations of them
    >>> span.basis.shape
    (6, 2, 20)
    """

    dimension: int
    n_outputs: int
    monomials: MonomialBasis
    pivots: NDArray[np.int64]
    combinations: Mapping[int, Mapping[int, Any]]
    proved: bool
    error_bound: float
    reason: str
    seed: int
    network: str = field(default="", compare=False)

    @property
    def ambient_dimension(self) -> int:
        """n_outputs · n_monomials."""
        return self.n_outputs * self.monomials.n_monomials

    @property
    def is_coordinate(self) -> bool:
        """Whether L is a coordinate subspace: the pivots are free and all other coefficients zero."""
        return not self.combinations

    @cached_property
    def basis(self) -> NDArray[Any]:
        """The basis dual to the pivots, (k, n_outputs, n_monomials) of ints and Fractions.

        Vector i has 1 at pivot i and 0 at the others.

        Raises
        ------
        OverflowError, MemoryError
            If it does not fit; ``pivots`` and ``combinations`` are sparse.
        """
        rows = self._empty(object, 16)
        for position, combination in self.combinations.items():
            for i, factor in combination.items():
                rows[i, position] = factor
        return rows.reshape(self.dimension, self.n_outputs, self.monomials.n_monomials)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("`copy` must not be False: the basis is not held as an array")
        if dtype is not None and np.dtype(dtype) == object:
            return self.basis.copy()
        rows = self._empty(np.float64, 8)
        for position, combination in self.combinations.items():
            for i, factor in combination.items():
                rows[i, position] = float(factor)
        array = rows.reshape(self.dimension, self.n_outputs, self.monomials.n_monomials)
        return array if dtype is None else array.astype(dtype, copy=False)

    def __len__(self) -> int:
        return self.dimension

    def _empty(self, dtype: Any, itemsize: int) -> NDArray[Any]:
        check_size(self.dimension * self.ambient_dimension, itemsize, "the basis", "pivots and combinations are sparse")
        rows = np.zeros((self.dimension, self.ambient_dimension), dtype=dtype)
        rows[np.arange(self.dimension), self.pivots] = 1
        return rows

    def coordinates(self, coef: ArrayLike) -> NDArray[Any]:
        """The pivots of coefficient vectors: their coordinates, if they are in L.

        Parameters
        ----------
        coef : array_like, shape (..., n_outputs, n_monomials)
            Floats, complex numbers, integers or Fractions.

        Returns
        -------
        ndarray, shape (..., k)
            Integers and Fractions stay exact, as objects.

        Raises
        ------
        TypeError, ValueError
            If ``coef`` does not hold numbers or has another shape.
        """
        flat = self._flat(coef)
        return np.ascontiguousarray(flat[..., self.pivots])

    def embed(self, coordinates: ArrayLike) -> NDArray[Any]:
        """The coefficient vectors with these coordinates.

        Parameters
        ----------
        coordinates : array_like, shape (..., k)
            Floats, complex numbers, integers or Fractions.

        Returns
        -------
        ndarray, shape (..., n_outputs, n_monomials)
            Integers and Fractions stay exact, as objects.

        Raises
        ------
        TypeError, ValueError
            If ``coordinates`` does not hold numbers or has another shape.
        OverflowError, MemoryError
            If the result does not fit.
        """
        z = as_numbers(coordinates, "coordinates")
        check_shape(z, "coordinates", (..., ("k", self.dimension)))
        batch = z.shape[:-1]
        check_size(int(np.prod(batch, dtype=object)) * self.ambient_dimension, 8, "the coefficients")
        coef = np.zeros((*batch, self.ambient_dimension), dtype=z.dtype)
        coef[..., self.pivots] = z
        for position, combination in self.combinations.items():
            for i, factor in combination.items():
                coef[..., position] += z[..., i] * (factor if z.dtype == object else float(factor))
        return coef.reshape(*batch, self.n_outputs, self.monomials.n_monomials)

    def contains(self, coef: ArrayLike, tol: float | None = None) -> Any:
        """Whether coefficient vectors are in L: exactly for integers and Fractions, else to a tolerance.

        Parameters
        ----------
        coef : array_like, shape (..., n_outputs, n_monomials)
            Floats, complex numbers, integers or Fractions.
        tol : float, optional
            For floats: every coefficient within tol times the largest of what the pivots make it; 1e-9 by default.

        Returns
        -------
        bool, or array of bool of shape (...)

        Raises
        ------
        TypeError, ValueError
            If ``coef`` does not hold numbers or has another shape, or tol is not in [0, 1).
        """
        tolerance = as_tolerance(tol)
        flat = self._flat(coef)
        difference = flat - self.embed(flat[..., self.pivots]).reshape(flat.shape)
        if flat.dtype == object:
            inside = ~difference.astype(bool).any(axis=-1)
        else:
            inside = abs(difference).max(axis=-1, initial=0.0) <= tolerance * abs(flat).max(axis=-1, initial=0.0)
        return bool(inside) if inside.ndim == 0 else inside

    def names(self, symbols: tuple[str, ...] | None = None) -> list[str]:
        """The coordinates in words: "x1^2*x2", or "f2[x1^2*x2]" where there are several outputs.

        Parameters
        ----------
        symbols : sequence of n_inputs str, optional
            Names of the variables; x1, x2, ... by default.

        Returns
        -------
        list of k str
        """
        return coefficient_names(self.pivots.tolist(), self.n_outputs, self.monomials, symbols)

    def _flat(self, coef: ArrayLike) -> NDArray[Any]:
        array = as_numbers(coef, "coef")
        shape = (..., ("n_outputs", self.n_outputs), ("n_monomials", self.monomials.n_monomials))
        check_shape(array, "coef", shape)
        return array.reshape(*array.shape[:-2], self.ambient_dimension)

    def __repr__(self) -> str:
        certainty = "proved" if self.proved else f"or more with probability < {format_bound(self.error_bound)}"
        shown = coefficient_names(self.pivots[:_SHOWN].tolist(), self.n_outputs, self.monomials)
        more = f", ... ({self.dimension - len(shown)} more)" if self.dimension > len(shown) else ""
        lines = [
            self.network,
            f"  span        {self.dimension} of {self.ambient_dimension} (ambient), {certainty}",
            f"  coordinates {', '.join(shown) or 'none'}{more}",
        ]
        if self.combinations:
            lines.append(f"  and         {len(self.combinations)} coefficients that are combinations of them")
        return "\n".join(lines)


def as_tolerance(tol: object) -> float:
    """A relative tolerance, 0 <= tol < 1; 1e-9 for None."""
    if tol is None:
        return _TOLERANCE
    value = as_real(tol, "tol", 0.0)
    if not value < 1:
        raise ValueError(f"`tol` must be below 1, got {tol}")
    return value


def as_numbers(value: ArrayLike, name: str) -> NDArray[Any]:
    """An array of floats or complex numbers, or of ints and Fractions (dtype object) if they are exact."""
    array = _to_array(value, name)
    if array.dtype.kind in "biuO":
        exact = as_exact_array(value, name)
        return (exact.astype(np.int64) if exact.dtype.kind == "b" else exact).astype(object)
    return as_real_array(value, name, dtype=np.complex128 if array.dtype.kind == "c" else np.float64)


def coefficient_names(
    positions: list[int], n_outputs: int, monomials: MonomialBasis, symbols: tuple[str, ...] | None = None
) -> list[str]:
    """Names of coefficients, given by their positions in the flattened (n_outputs, n_monomials)."""
    split = [divmod(position, monomials.n_monomials) for position in positions]
    names = [monomials.name(i, symbols) for _, i in split]
    return names if n_outputs == 1 else [f"f{o + 1}[{name}]" for (o, _), name in zip(split, names)]


def span_of_program(program: Program, rng: object, max_error: float, network: str) -> LinearSpan:
    """The linear span of the image of a program; see `Network.linear_span`."""
    program.require_concrete()
    generator, seed = as_rng(rng)
    if dense_readers(program) is not None:
        line = _general_span(_in_one_variable(program), generator, max_error)
        pivots, combinations = _times_all_monomials(line, program)
        reason = f"GL({program.n_inputs}) acts on it by the first layer; on a line: {line.reason}"
    else:
        line = _general_span(program, generator, max_error)
        pivots, combinations, reason = line.pivots, line.combinations, line.reason
    return LinearSpan(
        dimension=len(pivots),
        n_outputs=program.n_outputs,
        monomials=program.basis,
        pivots=pivots,
        combinations=combinations,
        proved=line.error == 0.0,
        error_bound=line.error,
        reason=reason,
        seed=seed,
        network=network,
    )


# --- in general -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Span:
    pivots: NDArray[np.int64]
    combinations: dict[int, dict[int, Any]]
    error: float
    reason: str


def _general_span(program: Program, generator: np.random.Generator, max_error: float) -> _Span:
    """By elimination of coefficient vectors at random parameters."""
    columns = MonomialMap(program, np.zeros(0, dtype=np.int64), 1)
    n_coefficients = program.n_outputs * program.n_monomials
    check_size(8 * n_coefficients, 8, "the coefficients")
    used, error = columns.used_coefficients(generator, max_error)
    found = linear_relations(MonomialMap(program, used, 1), generator, max_error=max_error)
    pivots = np.sort(used[list(found.pivots)])
    index = {column: int(np.searchsorted(pivots, used[column])) for column in found.pivots}
    combinations = {}
    for vector in found.vectors:
        entries = [(j, v) for j, v in enumerate(vector) if v]
        last, scale = entries.pop()
        combinations[int(used[last])] = {index[j]: _ratio(-v, scale) for j, v in entries}
    words = "coefficient vectors modulo primes"
    if found.vectors:
        verified = "multiplied out" if found.proved else "verified at random points"
        words += f", {len(found.vectors)} linear equations {verified}"
    return _Span(pivots, combinations, error + found.error_bound, words)


def _ratio(a: int, b: int) -> Any:
    q = Fraction(a, b)
    return q.numerator if q.denominator == 1 else q


# --- dense first layers -----------------------------------------------------------------------------------------------


def _in_one_variable(program: Program) -> Program:
    """The same network on the line x = (x1, 0, …, 0)."""
    return Program(1, program.instructions)


def _times_all_monomials(line: _Span, program: Program) -> tuple[NDArray[np.int64], dict[int, dict[int, Any]]]:
    """⊕_k Sym^k ⊗ U_k, from ⊕_k x^k ⊗ U_k."""
    basis, n_outputs = program.basis, program.n_outputs
    n, n_line = basis.n_monomials, 1 if basis.homogeneous else basis.degree + 1
    check_size(n_outputs * n, 8, "the positions of the coordinates")
    starts = [0] if basis.homogeneous else [0, *itertools.accumulate(_forms(basis.n_vars, k) for k in range(n_line))]
    sizes = [n] if basis.homogeneous else [_forms(basis.n_vars, k) for k in range(n_line)]

    def block(position: int) -> NDArray[np.int64]:
        output, k = divmod(position, n_line)
        return np.arange(output * n + starts[k], output * n + starts[k] + sizes[k])

    blocks = [block(position) for position in line.pivots.tolist()]
    pivots = np.sort(np.concatenate(blocks)) if blocks else np.zeros(0, dtype=np.int64)
    combinations = {}
    for position, combination in line.combinations.items():
        sources = [(np.searchsorted(pivots, blocks[i]), factor) for i, factor in combination.items()]
        for offset, target in enumerate(block(position).tolist()):
            combinations[target] = {int(indices[offset]): factor for indices, factor in sources}
    return pivots, combinations


def _forms(n_vars: int, degree: int) -> int:
    return MonomialBasis(n_vars, degree, homogeneous=True).n_monomials
