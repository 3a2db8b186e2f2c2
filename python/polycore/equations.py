# SPDX-License-Identifier: BSD-3-Clause
"""All polynomial equations of a given degree on the functions of a network, exact.

The functions of a network are the image of a polynomial map μ from parameters to coefficients. A polynomial G of degree
d vanishes on the image iff G(μ(θ)) = 0 for all θ, which is a linear condition on the coefficients of G: equations are
the linear relations between the monomials of degree d in the coefficients, see `polycore._relations`.

Examples are the minors of matrices of bounded rank (linear networks), determinants of catalecticants (binary forms),
Aronhold's invariant of ternary cubics, the resultant of lightning attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _backend
from ._relations import MonomialMap, Relations, linear_relations
from ._validation import (
    _describe,
    _format_count,
    as_index,
    as_probability,
    as_rng,
    check_choice,
    check_shape,
    check_size,
)
from .modular import format_bound
from .monomials import MonomialBasis
from .networks import Network
from .program import Activation, Add, Affine, MatMul, Program
from .rank import WORD_PRIME
from .spans import as_numbers, coefficient_names, span_of_program

__all__ = ["Equations", "equations"]

_SHOWN_EQUATIONS, _SHOWN_TERMS, _SHOWN_NAMES = 6, 8, 10
# Entries of the matrix of multiples of equations of lower degree; where there are more, nobody asks which are new.
_MULTIPLES = 2**26


@dataclass(frozen=True, eq=False)
class Equations:
    """All polynomial equations of a degree on the functions of a network, made by `equations`.

    The polynomials form a vector space, of which this is a basis with primitive integer coefficients, the first of them
    positive. In the order of ``monomials`` each has a last term that no other has. Called with coefficient vectors they
    give their values, zero on functions of the network.

    Attributes
    ----------
    degree : int
    homogeneous : bool
        Whether the functions form a cone: those of degree exactly ``degree`` are given, for every equation is a sum of
        homogeneous ones. Otherwise those of degree at most ``degree``.
    coordinates : str
        "span" or "coefficients": of what they are polynomials in.
    positions : ndarray of int64, shape (k,)
        The coefficients that are the variables, as positions in the flattened (n_outputs, n_monomials of the network).
    names : tuple of str
        What the variables y1, ..., yk are: "x1^2*x2", or "f2[x1^2*x2]" where there are several outputs.
    monomials : MonomialBasis
        In the variables.
    coef : ndarray of Python ints, shape (n_equations, len(monomials))
    new : tuple of int, or None
        Equations that together with the multiples of those of lower degree span all of them, as few as there can be;
        found modulo a prime. None where that would be a matrix too large.
    proved : bool
        Whether all are certain. That there are no others always is.
    error_bound : float
        0.0 if proved, else a bound of the probability that one of them does not hold.
    n_outputs : int
    basis : MonomialBasis
        Of the network.
    seed : int
        ``rng=seed`` reproduces the result.

    Examples
    --------
    The matrices of rank one among those of shape 2 × 2:

    >>> from polycore import MLP, equations
    >>> found = equations(MLP((2, 1, 2), activation=1), degree=2)
    >>> found
    MLP((2, 1, 2), activation=1)
      equations   1 of degree 2 in 4 coordinates, proved
      new         1
      y           y1 = f1[x1], y2 = f1[x2], y3 = f2[x1], y4 = f2[x2]
      y1*y4 - y2*y3 = 0
    >>> found([[1, 2], [3, 7]])
    array([1], dtype=object)
    """

    degree: int
    homogeneous: bool
    coordinates: str
    positions: NDArray[np.int64]
    names: tuple[str, ...]
    monomials: MonomialBasis
    coef: NDArray[Any]
    new: tuple[int, ...] | None
    proved: bool
    error_bound: float
    n_outputs: int
    basis: MonomialBasis
    seed: int
    network: str = field(default="", compare=False)

    def __len__(self) -> int:
        return len(self.coef)

    def __call__(self, coef: ArrayLike) -> NDArray[Any]:
        """Values of the equations at coefficient vectors.

        Parameters
        ----------
        coef : array_like, shape (..., n_outputs, n_monomials)
            Floats, complex numbers, or integers and Fractions, which are exact. Only the coefficients that are
            variables are looked at: what lies outside the linear span of the network is not noticed, see
            `LinearSpan.contains`.

        Returns
        -------
        ndarray, shape (..., n_equations)
            float64, complex128, or objects if ``coef`` is exact.

        Raises
        ------
        TypeError, ValueError
            If ``coef`` does not hold numbers, has another shape, or is not finite.
        NumericalError
            If a value overflows.
        """
        array = as_numbers(coef, "coef")
        n = self.basis.n_monomials
        check_shape(array, "coef", (..., ("n_outputs", self.n_outputs), ("n_monomials", n)))
        batch = array.shape[:-2]
        points = array.reshape(-1, self.n_outputs * n)[:, self.positions]
        factors = self.coef if array.dtype == object else self.coef.astype(np.float64)
        if not len(self) or not len(points):
            return np.zeros((*batch, len(self)), dtype=array.dtype)
        return np.ascontiguousarray(self.monomials.evaluate(factors, points).T).reshape(*batch, len(self))

    def text(self, symbols: Sequence[str] | None = None, max_terms: int | None = None) -> list[str]:
        """The equations, one string each.

        Parameters
        ----------
        symbols : sequence of k str, optional
            Names of the variables; y1, y2, ... by default.
        max_terms : int or None
            Write at most so many terms of each, and say how many are left out.

        Returns
        -------
        list of str
        """
        names = self._symbols(symbols)
        return [f"{self.monomials.format(row, names, max_terms=max_terms)} = 0" for row in self.coef]

    def to_sympy(self, symbols: Sequence[str] | None = None) -> list[Any]:
        """The polynomials as SymPy expressions.

        Parameters
        ----------
        symbols : sequence of k str, optional
            Names of the variables; y1, y2, ... by default.

        Returns
        -------
        list of sympy.Expr

        Raises
        ------
        ImportError
            If SymPy is not installed.
        """
        names = self._symbols(symbols)
        return [self.monomials.to_sympy(row, names) for row in self.coef]

    def _symbols(self, symbols: Sequence[str] | None) -> Sequence[str]:
        return [f"y{i + 1}" for i in range(self.monomials.n_vars)] if symbols is None else symbols

    def __repr__(self) -> str:
        certainty = "proved" if self.proved else f"one is wrong with probability < {format_bound(self.error_bound)}"
        kind = "of degree" if self.homogeneous else "of degree at most"
        k = len(self.positions)
        lines = [
            self.network,
            f"  equations   {len(self)} {kind} {self.degree} in {k} coordinates, {certainty}",
        ]
        if not len(self):
            return "\n".join(lines)
        if self.new is not None:
            lines.append(f"  new         {len(self.new)}")
        shown = [f"y{i + 1} = {name}" for i, name in enumerate(self.names[:_SHOWN_NAMES])]
        more = f", ... ({k - len(shown)} more)" if k > len(shown) else ""
        lines.append(f"  y           {', '.join(shown)}{more}")
        names = self._symbols(None)
        for row in self.coef[:_SHOWN_EQUATIONS]:
            lines.append(f"  {self.monomials.format(row, names, max_terms=_SHOWN_TERMS)} = 0")
        if len(self) > _SHOWN_EQUATIONS:
            lines.append(f"  ... ({len(self) - _SHOWN_EQUATIONS} more)")
        return "\n".join(lines)


def equations(
    net: Network, degree: int, *, coordinates: str = "span", rng: object = 0, max_error: float = 1e-12
) -> Equations:
    """All polynomial equations of a degree on the coefficients of a network's functions.

    Parameters
    ----------
    net : Network
        Of any family, without generic activations.
    degree : int
        At least 1.
    coordinates : {"span", "coefficients"}
        Write them in coordinates of the linear span of the functions, see ``net.linear_span()``: fewer variables, and
        no linear equations, nor multiples of them. Or in all coefficients.
    rng : int or numpy.random.Generator
        A seed; from a Generator a 64-bit seed is drawn.
    max_error : float
        Where no proof can be had: verify until the bound of the error is below this, 0 < max_error < 1.

    Returns
    -------
    Equations
        Homogeneous ones of degree exactly ``degree`` if the functions form a cone, as they do when the last layer has
        no activation after it: then every equation is a sum of homogeneous ones. Otherwise, for example x + F(x), all
        of degree at most ``degree``. A cone is recognised by weights of the parameters that scale the output.

    Raises
    ------
    TypeError
        If ``net`` is not a network, or ``degree`` not an integer.
    ValueError
        If ``degree`` < 1, ``coordinates`` is neither word, or the network has a generic activation.
    OverflowError, MemoryError
        If the matrix of the monomials' values does not fit, before it is made.

    Notes
    -----
    The values of the N monomials of that degree at random functions of the network, over GF(p), have a kernel; kernels
    modulo several primes make a rational one. Its vectors are verified, by multiplying out polynomials in θ where few
    terms are expected, which proves them, else at random points modulo fresh primes. That there are no more is
    certain, since values that are independent modulo p are independent.

    Complexity O(N³) operations and 32 N² bytes, where N = C(k − 1 + degree, degree) for k coordinates. The equations
    hold on the closure of the image, over the complex numbers as well; real functions satisfy inequalities besides.

    Examples
    --------
    Sums of two squares of linear forms in three variables are the quadratic forms with determinant zero:

    >>> from polycore import MLP
    >>> equations(MLP((3, 2, 1), activation=2), degree=3)
    MLP((3, 2, 1), activation=2)
      equations   1 of degree 3 in 6 coordinates, proved
      new         1
      y           y1 = x1^2, y2 = x1*x2, y3 = x1*x3, y4 = x2^2, y5 = x2*x3, y6 = x3^2
      4*y1*y4*y6 - y1*y5^2 - y2^2*y6 + y2*y3*y5 - y3^2*y4 = 0
    """
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    d = as_index(degree, "degree", 1)
    check_choice(coordinates, "coordinates", ("span", "coefficients"))
    largest_error = as_probability(max_error, "max_error")
    generator, seed = as_rng(rng)
    program = net.program
    program.require_concrete()
    homogeneous = is_cone(program)
    if coordinates == "span":
        # A larger span would only have more coordinates: the equations in these hold in any case.
        positions = span_of_program(program, generator, largest_error, "").pivots
    else:
        n_coefficients = program.n_outputs * program.n_monomials
        check_size(n_coefficients, 8, "the positions of the coefficients")
        positions = np.arange(n_coefficients)
    columns = MonomialMap(program, positions, d, homogeneous)
    check_size(
        4 * columns.n_columns**2, 8, f"the values of {_format_count(columns.n_columns)} monomials at as many functions"
    )
    found = linear_relations(columns, generator, max_error=largest_error)
    coef = np.empty((len(found.vectors), columns.n_columns), dtype=object)
    for row, vector in zip(coef, found.vectors):
        first = next(v for v in vector if v)
        row[:] = vector if first > 0 else [-v for v in vector]
    return Equations(
        degree=d,
        homogeneous=homogeneous,
        coordinates=coordinates,
        positions=positions,
        names=tuple(coefficient_names(positions.tolist(), program.n_outputs, program.basis)),
        monomials=columns.basis,
        coef=coef,
        new=_new(columns, found, generator, largest_error),
        proved=found.proved,
        error_bound=found.error_bound,
        n_outputs=program.n_outputs,
        basis=program.basis,
        seed=seed,
        network=repr(net),
    )


# --- cones ------------------------------------------------------------------------------------------------------------


def is_cone(program: Program) -> bool:
    """Whether the parameters can be scaled, each by a power of λ, so that the output is scaled by a power λ^w, w ≠ 0.

    Then the closure of the image is a cone. The weights are unknowns, one for each affine instruction; those of slots
    are linear forms in them, and equal degrees in an `Add`, or constants in an activation, are linear conditions. There
    is a solution iff the form of the output is not a combination of the conditions.
    """
    n = len(program.instructions)
    zero = (Fraction(0),) * n
    slots, conditions = [zero], list[tuple[Fraction, ...]]()
    for k, instruction in enumerate(program.instructions):
        weight = slots[instruction.inputs[0]]
        if isinstance(instruction, Affine):
            weight = tuple(w + (i == k) for i, w in enumerate(weight))
        elif isinstance(instruction, Activation):
            powers = [j for j, c in enumerate(instruction.numbers) if c]
            if len(powers) > 1:
                conditions.append(weight)
            weight = tuple(w * max(powers, default=0) for w in weight)
        elif isinstance(instruction, Add):
            for slot in instruction.inputs[1:]:
                conditions.append(tuple(a - b for a, b in zip(weight, slots[slot])))
        elif isinstance(instruction, MatMul):
            weight = tuple(a + b for a, b in zip(weight, slots[instruction.right]))
        slots.append(weight)
    rows = list[tuple[int, tuple[Fraction, ...]]]()
    for form in (*conditions, slots[-1]):
        for pivot, row in rows:
            form = tuple(a - form[pivot] * b for a, b in zip(form, row))
        pivot = next((i for i, entry in enumerate(form) if entry), -1)
        if pivot >= 0:
            rows.append((pivot, tuple(entry / form[pivot] for entry in form)))
    return pivot >= 0


# --- which are new ----------------------------------------------------------------------------------------------------


def _new(
    columns: MonomialMap, found: Relations, generator: np.random.Generator, max_error: float
) -> tuple[int, ...] | None:
    """Relations that are not multiples of relations of lower degree, modulo those that are.

    A relation is known by its entries at the columns that are not pivots.
    """
    n_found, basis = len(found.vectors), columns.basis
    if not n_found or columns.degree == 1:
        return tuple(range(n_found))
    below = MonomialMap(columns.program, columns.positions, columns.degree - 1, basis.homogeneous)
    lower = linear_relations(below, generator, max_error=max_error).vectors
    if not lower:
        return tuple(range(n_found))
    if len(lower) * basis.form_vars * n_found > _MULTIPLES or below.n_columns * basis.form_vars > _MULTIPLES:
        return None
    leading = np.full(basis.n_monomials, -1)
    leading[np.delete(np.arange(basis.n_monomials), found.pivots)] = np.arange(n_found)
    multiples = np.zeros((len(lower) * basis.form_vars, n_found), dtype=np.uint64)
    shifts = [np.zeros(basis.n_vars, dtype=np.int64)] if not basis.homogeneous else []
    shifts += list(np.eye(basis.n_vars, dtype=np.int64))
    exponents = below.basis.exponents
    for j, shift in enumerate(shifts):
        target = leading[basis.index(exponents + shift)]
        for i, vector in enumerate(lower):
            for column, factor in enumerate(vector):
                if factor and target[column] >= 0:
                    multiples[i * len(shifts) + j, target[column]] = factor % WORD_PRIME
    spanned = _backend.kernels().modular_echelon(multiples, WORD_PRIME)
    return tuple(np.delete(np.arange(n_found), spanned).tolist())
