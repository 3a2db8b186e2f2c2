# SPDX-License-Identifier: BSD-3-Clause
r"""Are σ(p_1), …, σ(p_k) linearly independent?

The question behind "is every neuron of use": the functions of a layer's units are σ(p_i), and a relation between them
is a unit too many. The answer is computed, by rank over GF(p) and with a proof wherever the expansions fit; theorems
that decide it from k and the degree r of σ alone are evaluated beside it.

**Theorem.** Over a field of characteristic 0 let f_1, …, f_k, k >= 2, be non-zero polynomials in any number of
variables, of degree at most d, no two proportional. If r >= 1 and r > k (k − 2) − (k − 1)(k − 2) / (2 d), in particular
if r >= k (k − 2), then f_1^r, …, f_k^r are linearly independent.

*Proof.* For two independent polynomials f, g there are points x, y with f(x) g(y) ≠ f(y) g(x), so on a generic line no
two of the f_i are proportional: let there be one variable, t, and an algebraically closed field.
Take a shortest relation; it has, say, the first j terms, u_1 + … + u_j = 0 with u_i = λ_i f_i^r, all λ_i ≠ 0, and any
j − 1 of the u_i are independent. j >= 3, since f_1^r ~ f_2^r makes f_1 ~ f_2. Divide the f_i by their greatest common
divisor; then they have no zero in common, are still not proportional, and the largest of their degrees, m, is between 1
and d. Let S be the sum of the degrees. The Wronskian W of j − 1 of the u_i is not zero, and the same up to sign
whichever is left out. Row by row, f_i^(r−j+2) divides u_i and its derivatives up to the (j − 2)-th, hence W; and at a
zero of some f_i one can leave out an f_l that does not vanish there, so the product of all j powers divides W. Leaving
out an f_l of degree m instead, deg W <= r (S − m) − (1 + … + (j − 2)). Together (r − j + 2) S <= r (S − m) −
(j − 1)(j − 2) / 2, and with S <= j m this is r <= j (j − 2) − (j − 1)(j − 2) / (2 m), which grows with j and m. ∎

This is the argument of D. J. Newman, M. Slater, *Waring's problem for the ring of polynomials*, J. Number Theory 11
(1979), with its constant counted out; k (k − 2) is also in M. de Bondt, *Another generalization of Mason's
ABC-theorem*, arXiv:0707.0434. For k = 3 it is sharp: (1 − t²)² + (2 t)² = (1 + t²)².

Other constants that have been published, quoted beside the answer: r > 8 (k − 1)², Newman and Slater's for one
variable, as cited by L. N. Vaserstein, E. R. Wheland, *Vanishing polynomial sums*, Comm. Algebra; B. Finkel, J. I.
Rodriguez, C. Wu, T. Yahl, *Activation degree thresholds and expressiveness of polynomial neural networks*, Algebraic
Statistics 16 (2025), arXiv:2408.04569, carry such bounds to several variables and to networks; r > max(k C(k − 1, 2),
2), A. Crăciun, *Linear independence of powers for polynomials*, arXiv:2507.10163. Generic activations are those of
V. Shahverdi, G. L. Marchetti, K. Kohn, *Learning on a razor's edge: identifiability and singularity of polynomial
neural networks*, arXiv:2505.11846.

**Corollaries.** (a) Degrees <= 1: r >= k − 1 is enough, and necessary on a line: the r-th powers of k pairwise
non-proportional binary forms a_i t + b_i s are the rows of a Vandermonde matrix. (b) A *generic* σ of degree
r >= k (k − 2): it is enough that the p_i are distinct and at most one is constant. For then p_1 − a, …, p_k − a are
pairwise non-proportional for generic a, (z − a)^r is one polynomial of degree r, and independence is an open condition
on σ. (c) Any σ of degree r: group the p_i by degree. If in every group of k' the leading forms are pairwise
non-proportional with r >= k' (k' − 2), and at most one p_i is constant, with σ(p_i) ≠ 0, then the σ(p_i) are
independent, because the leading forms of a relation in its largest degree are a relation of powers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial._polybase import ABCPolyBase
from numpy.typing import NDArray

from . import _backend
from ._interpretations import Forms, Interpretation, Values, compose
from ._rings import Numbers
from ._sampled_rank import ROUNDING, Rank, SampledMatrix, log2_fraction, log2_polynomial, proven_rank, random_rank
from ._validation import (
    _describe,
    _to_array,
    as_exact_array,
    as_index,
    as_probability,
    as_rational_array,
    as_residues,
    as_rng,
    check_shape,
    check_size,
    check_threads,
)
from .activations import ActivationPolynomial, as_activations
from .modular import format_bound
from .monomials import MonomialBasis, count_monomials
from .networks import NetworkPolynomial

__all__ = ["IndependenceBound", "LinearIndependence", "linear_independence"]

Array = NDArray[Any]

# Coefficients of σ(p_i) held at a time while relations are checked.
_COEFFICIENTS_AT_A_TIME = 2**22


@dataclass(frozen=True)
class IndependenceBound:
    """A theorem that gives independence for large enough degree, evaluated.

    Attributes
    ----------
    source : str
    applies : bool
        Whether the polynomials are as it asks: ``hypothesis``.
    hypothesis : str
    holds : bool
        Whether the degree is large enough: ``inequality``.
    inequality : str
        With the numbers in place.
    """

    source: str
    applies: bool
    hypothesis: str
    holds: bool
    inequality: str

    @property
    def implies_independence(self) -> bool:
        """Whether the theorem proves independence here. Otherwise it says nothing."""
        return self.applies and self.holds

    def __repr__(self) -> str:
        if not self.applies:
            return f"{self.source}: needs {self.hypothesis}"
        verdict = "holds, hence independent" if self.holds else "does not hold, says nothing"
        return f"{self.source}: {self.inequality} {verdict}"


@dataclass(frozen=True)
class LinearIndependence:
    """Whether σ(p_1), …, σ(p_k) are linearly independent.

    Attributes
    ----------
    independent : bool
        rank == n_polynomials.
    rank : int
        Dimension of their span; a certified lower bound in any case. For a generic σ: for almost every one.
    n_polynomials : int
        k.
    proved : bool
        Whether the rank is certain.
    error_bound : float
        0.0 if proved, else a bound of the probability that the rank is larger.
    relations : tuple of tuples of k ints
        A basis of the linear relations Σ_i λ_i σ(p_i) = 0, verified exactly, sparse ones first; empty where there are
        none, or where the proof needed or could afford none.
    proportional : tuple of tuples of int
        Groups (0-based positions) of two or more non-zero polynomials that are multiples of each other.
    zeros : tuple of int
        Positions of zero polynomials.
    bounds : tuple of IndependenceBound
        Theorems that could have decided it, see `polycore.independence`.
    primes : tuple of int
        Modulo which ranks were computed, drawn from the seed.
    seed : int
        ``rng=seed`` reproduces the result.
    reason : str
        What proves the rank, or what is left in doubt.
    activation : str
        σ(z).
    """

    independent: bool
    rank: int
    n_polynomials: int
    proved: bool
    error_bound: float
    relations: tuple[tuple[int, ...], ...]
    proportional: tuple[tuple[int, ...], ...]
    zeros: tuple[int, ...]
    bounds: tuple[IndependenceBound, ...]
    primes: tuple[int, ...]
    seed: int
    reason: str
    activation: str = field(default="z", compare=False)

    @property
    def relation(self) -> tuple[int, ...] | None:
        """The first of ``relations``, or None."""
        return self.relations[0] if self.relations else None

    def __repr__(self) -> str:
        verdict = "independent" if self.independent else "dependent"
        certainty = "proved" if self.proved else f"rank may be more with probability < {format_bound(self.error_bound)}"
        lines = [
            f"{self.n_polynomials} polynomials under σ(z) = {self.activation}: {verdict}",
            f"  rank      {self.rank}, {certainty}",
            f"  why       {self.reason}",
        ]
        if self.relation is not None:
            more = len(self.relations) - 1
            lines.append(f"  relation  {_relation_text(self.relation)}" + (f" (and {more} more)" if more else ""))
        applicable = [bound for bound in self.bounds if bound.applies]
        lines += [f"  theorem   {bound!r}" for bound in applicable or self.bounds[:1]]
        return "\n".join(lines)


def linear_independence(
    polynomials: object,
    activation: object,
    *,
    basis: MonomialBasis | None = None,
    rng: object = 0,
    max_error: float = 1e-9,
    n_threads: int = 0,
) -> LinearIndependence:
    """Whether the polynomials σ(p_1), …, σ(p_k) are linearly independent over the rationals (or the reals).

    Parameters
    ----------
    polynomials : sequence, array_like of shape (k, n_monomials), or NetworkPolynomial
        p_1, …, p_k as

        * a `NetworkPolynomial`, its outputs;
        * an array of coefficients, with ``basis``;
        * a sequence of coefficient lists (low to high, of any lengths) or numpy polynomials, in one variable;
        * a sequence of dicts from exponent tuples to coefficients, as SymPy's ``Poly.as_dict()`` and python-flint's
          ``to_dict()`` give them.

        Coefficients are integers, Fractions, or floats, which are the dyadic rationals they stand for.
    activation : int, list, numpy polynomial, PolynomialActivation or GenericActivation
        σ: a power, coefficients low to high, ... as in `polycore.MLP`.
    basis : MonomialBasis, optional
        Of an array of coefficients.
    rng : int or numpy.random.Generator
        A seed; from a Generator a 64-bit seed is drawn.
    max_error : float
        Where no proof can be had: try primes until the bound of the error is below this, 0 < max_error < 1.
    n_threads : int
        0 is the default number; results do not depend on it.

    Returns
    -------
    LinearIndependence

    Raises
    ------
    TypeError
        If the polynomials or the activation are of the wrong kind, or coefficients are complex.
    ValueError
        If there is no polynomial, a coefficient is not finite, or a shape is wrong.
    OverflowError, MemoryError
        If the matrix of the rank does not fit.

    Notes
    -----
    The p_i are evaluated at k random points over GF(p); the rank of the matrix σ(p_i(x_s)) is never more than that of
    the σ(p_i). So rank k proves independence. If it is smaller, rational relations are put together from several
    primes. They are relations exactly if their expansions vanish modulo primes whose product exceeds twice the largest
    coefficient; this needs expansions of the σ(p_i) modulo p, and nothing else does. Where they do not fit, the
    probability of error is bounded as in `jacobian_rank`.

    Complexity O(k² (n_monomials + r) + k³) for each prime, and k expansions for each prime that verifies relations.

    Examples
    --------
    The squares of x, y, x + y, x − y, as coefficients of x and y:

    >>> from polycore import MonomialBasis, linear_independence
    >>> forms = [[1, 0], [0, 1], [1, 1], [1, -1]]
    >>> result = linear_independence(forms, 2, basis=MonomialBasis(2, 1, homogeneous=True))
    >>> result.rank, result.proved, result.relation
    (3, True, (2, 2, -1, -1))
    >>> linear_independence(forms, 3, basis=MonomialBasis(2, 1, homogeneous=True)).independent
    True

    Pythagoras, 1 − t², 2 t, 1 + t²:

    >>> linear_independence([[1, 0, -1], [0, 2], [1, 0, 1]], activation=2).relation
    (1, 1, -1)
    """
    (sigma,) = as_activations(activation, 1)
    largest_error = as_probability(max_error, "max_error")
    threads = check_threads(n_threads)
    family = _Family(*_as_polynomials(polynomials, basis), sigma)
    generator, seed = as_rng(rng)
    found, reason = _rank(family, largest_error, generator, threads)
    relations = sorted(map(_positive, found.kernel or ()), key=lambda v: (sum(map(bool, v)), max(map(abs, v)), v))
    return LinearIndependence(
        independent=found.rank == family.k,
        rank=found.rank,
        n_polynomials=family.k,
        proved=found.error_bound == 0.0,
        error_bound=found.error_bound,
        relations=tuple(relations),
        proportional=tuple(tuple(group) for group in family.classes if len(group) > 1),
        zeros=tuple(family.zeros),
        bounds=tuple(_theorems(family)),
        primes=found.primes,
        seed=seed,
        reason=reason,
        activation=sigma.text("z"),
    )


def _rank(family: _Family, max_error: float, generator: np.random.Generator, n_threads: int) -> tuple[Rank, str]:
    bound, why = family.upper_bound()
    check_size(3 * family.k * max(family.k, family.coef.shape[1]), 8, "the values of the polynomials at random points")
    first = random_rank(family, bound, generator, max_error=max_error, max_primes=1, n_threads=n_threads)
    if first.rank == family.k:
        return first, f"σ(p_i) at {family.k} points are independent modulo a prime"
    no_relations = ""
    if family.sigma.is_generic:
        no_relations = "relations depend on σ"
    else:
        try:
            family.check_expansions()
        except (MemoryError, OverflowError) as too_large:
            no_relations = f"no relation was verified: {too_large}"
        else:
            proof = proven_rank(family, first.rank, bound, generator, needs_kernel=True, n_threads=n_threads)
            primes = first.primes + proof.primes
            if proof.rank == family.k:
                return Rank(proof.rank, 0.0, primes), f"σ(p_i) at {family.k} points are independent modulo a prime"
            count = family.k - proof.rank
            words = "a rational relation" if count == 1 else f"{count} independent rational relations"
            return Rank(proof.rank, 0.0, primes, kernel=proof.kernel), f"{words}, verified exactly"
    rank, error, primes = first.rank, first.error_bound, first.primes
    if error > max_error:
        more = random_rank(family, bound, generator, max_error=max_error / error, n_threads=n_threads)
        rank, error, primes = max(rank, more.rank), error * more.error_bound, primes + more.primes
    if rank == bound:
        return Rank(rank, 0.0, primes), f"meets the bound: {why}"
    words = f"rank modulo {len(primes)} random prime{'s' * (len(primes) > 1)}"
    return Rank(rank, error, primes), f"{words}; {no_relations}"


# --- the polynomials --------------------------------------------------------------------------------------------------


class _Family(SampledMatrix):
    """Coefficients of σ(p_1), …, σ(p_k), one column each; its rows are sampled as values at random points.

    Parameters
    ----------
    coef : object array, shape (k, n_monomials)
        Ints and Fractions.
    basis : MonomialBasis
    sigma : ActivationPolynomial
    """

    def __init__(self, coef: Array, basis: MonomialBasis, sigma: ActivationPolynomial) -> None:
        self.sigma, self.k = sigma, len(coef)
        # σ takes forms to forms if it is a monomial; else they are polynomials like any others.
        self.degrees = [j for j, c in enumerate(sigma.coefficients) if c != 0]
        self.coef, self.basis = _in_least_basis(coef, basis, keep_forms=len(self.degrees) <= 1)
        numbers = [] if sigma.is_generic else [Fraction(c) for c in sigma.numbers]
        common = math.lcm(*(Fraction(c).denominator for c in self.coef.reshape(-1)))
        self.denominators = common * math.lcm(*(c.denominator for c in numbers))
        self.expanded = MonomialBasis(self.basis.n_vars, sigma.degree * self.basis.degree, self.basis.homogeneous)
        self.degree = self.expanded.degree
        self.row_degree = self.expanded.degree + sigma.is_generic
        norms = [sum((abs(Fraction(c)) for c in row), Fraction(0)) for row in self.coef]
        sizes = [abs(c) for c in numbers] or [Fraction(1)] * len(sigma.coefficients)
        logs = log2_polynomial(sizes, np.array([log2_fraction(norm) for norm in norms]))
        logs += math.log2(self.denominators) + sigma.degree * math.log2(common)
        self.log2_columns = (logs * (1 + ROUNDING) + ROUNDING).clip(min=0.0)
        self.zeros = [i for i, norm in enumerate(norms) if not norm]
        self.classes = _proportional(self.coef)

    def sample_rows(self, p: int, n_rows: int, generator: np.random.Generator, n_threads: int) -> NDArray[np.uint64]:
        ring, constants = self._ring(p, generator)
        coef = as_residues(self.coef, p, "polynomials")
        X = generator.integers(0, p, (n_rows, self.basis.n_vars), dtype=np.uint64)
        values = np.empty((n_rows, self.k), dtype=np.uint64)
        for row, monomials in zip(values, self._monomials(ring, X)):
            # A correlation with one result for each polynomial is the inner product.
            shape = (self.basis.form_vars, 0, self.basis.degree)
            ring.kernels.correlation(*shape, monomials[None], coef, row[:, None], p, n_threads)
        return np.ascontiguousarray(self._apply(Values(ring, X), constants, values.T[None], 1)[0].T)

    def _monomials(self, ring: Numbers, X: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The monomials of the basis at points X (n_samples, n_vars): (n_samples, n_monomials)."""
        powers = np.ones((self.basis.degree + 1, *X.shape), dtype=np.uint64)
        for e in range(1, len(powers)):
            powers[e] = ring.multiply(powers[e - 1], X)
        exponents = self.basis.exponents
        rows = np.ones((len(X), len(exponents)), dtype=np.uint64)
        for v in range(X.shape[1]):
            rows = ring.multiply(rows, np.ascontiguousarray(powers[exponents[:, v], :, v].T))
        return rows

    def annihilates(self, vectors: NDArray[np.uint64], p: int, n_threads: int) -> bool:
        ring, constants = self._ring(p, None)
        coef = as_residues(self.coef, p, "polynomials")
        forms = Forms(ring, self.basis.n_vars, self.basis.homogeneous)
        total = ring.zeros((len(vectors), self.expanded.n_monomials))
        for some in self._chunks():
            block = self._apply(forms, constants, coef[some], self.basis.degree)
            total = ring.add(total, ring.matmul(np.ascontiguousarray(vectors[:, some]), block))
        return not total.any()

    def _apply(self, values: Interpretation, constants: list[Any], z: Array, degree: int) -> Array:
        """σ(z), powers by squaring."""
        r = self.sigma.degree
        if self.degrees != [r] or r == 0:
            return compose(values, constants, z, degree, r * degree)
        power, power_degree = z, degree
        for bit in f"{r:b}"[1:]:
            power, power_degree = values.multiply(power, power_degree, power, power_degree), 2 * power_degree
            if bit == "1":
                power, power_degree = values.multiply(power, power_degree, z, degree), power_degree + degree
        return values.ring.scale(constants[-1], power)

    def check_expansions(self) -> None:
        """MemoryError or OverflowError if relations between the expansions cannot be checked."""
        held = 3 * self.k + 4 * max(1, min(self.k, _COEFFICIENTS_AT_A_TIME // self.expanded.n_monomials))
        check_size(held * self.expanded.n_monomials, 8, "the expansions")

    def _chunks(self) -> list[slice]:
        step = max(1, _COEFFICIENTS_AT_A_TIME // self.expanded.n_monomials)
        return [slice(start, start + step) for start in range(0, self.k, step)]

    def _ring(self, p: int, generator: np.random.Generator | None) -> tuple[Numbers, list[Any]]:
        """GF(p), and the coefficients of σ in it; those of a generic σ are drawn."""
        ring = Numbers(_backend.kernels(), np.uint64, p)
        if self.sigma.is_generic:
            assert generator is not None
            return ring, generator.integers(0, p, len(self.sigma.coefficients), dtype=np.uint64).tolist()
        exact = as_exact_array(np.array([Fraction(c) for c in self.sigma.numbers], dtype=object), "activation")
        return ring, as_residues(exact, p, "activation").tolist()

    def upper_bound(self) -> tuple[int, str]:
        """A bound of the rank that needs no computation, and why it is one."""
        n_vars, degree, homogeneous = self.basis.n_vars, self.basis.degree, self.basis.homogeneous
        degrees = [j * degree for j in self.degrees] if homogeneous else [self.expanded.degree]
        ambient = sum(count_monomials(n_vars, d, homogeneous) for d in degrees)
        # Multiples a q of one polynomial give Σ_j c_j a^j q^j: no more dimensions than terms, or values of a.
        # Constants, zero among them, give constants.
        n_terms = max(1, len(self.degrees))
        by_class, constants = 0, bool(self.zeros) and 0 in self.degrees
        for group in self.classes:
            if self._is_constant(group[0]):
                constants = True
            else:
                distinct = {tuple(self.coef[i].tolist()) for i in group}
                by_class += min(len(distinct), n_terms)
        by_class += constants
        bounds = [(self.k, "their number"), (by_class, "multiples of one polynomial, constants and zeros")]
        bounds.append((ambient, f"{ambient} monomials"))
        return min(bounds, key=lambda bound: bound[0])

    def _is_constant(self, i: int) -> bool:
        return not self.coef[i][self._lowest() :].any()

    def _lowest(self) -> int:
        """Position of the first monomial of positive degree."""
        return 0 if self.basis.homogeneous and self.basis.degree else 1

    @property
    def pairwise_non_proportional(self) -> bool:
        """Whether they are non-zero and no two are multiples of each other."""
        return not self.zeros and len(self.classes) == self.k


def _in_least_basis(coef: Array, basis: MonomialBasis, keep_forms: bool) -> tuple[Array, MonomialBasis]:
    """The same polynomials in a basis of no higher degree than needed; forms as polynomials unless they may be kept."""
    if basis.homogeneous:
        if keep_forms and coef.any():
            return coef, basis
        # In graded order the forms of the highest degree come last.
        full = MonomialBasis(basis.n_vars, basis.degree)
        check_size(len(coef) * full.n_monomials, 48, "the coefficients of the polynomials")
        padded = np.zeros((len(coef), full.n_monomials), dtype=object)
        padded[:, full.n_monomials - basis.n_monomials :] = coef
        coef, basis = padded, full
    used = np.flatnonzero(coef.any(axis=0))
    degree = sum(basis.exponent(int(used[-1]))) if used.size else 0
    least = MonomialBasis(basis.n_vars, degree)
    return np.ascontiguousarray(coef[:, : least.n_monomials]), least


def _proportional(coef: Array) -> list[list[int]]:
    """Positions of the non-zero rows, grouped by the line they span."""
    groups: dict[tuple[Fraction, ...], list[int]] = defaultdict(list)
    for i, row in enumerate(coef.tolist()):
        first = next((c for c in row if c), 0)
        if first:
            groups[tuple(Fraction(c) / first for c in row)].append(i)
    return list(groups.values())


# --- theorems ---------------------------------------------------------------------------------------------------------


def _theorems(family: _Family) -> list[IndependenceBound]:
    sigma, k, d = family.sigma, family.k, family.basis.degree
    r = sigma.degree
    if r == 0 or not family.coef.any():
        return []
    if sigma.is_generic:
        return [_generic_bound(family, r, k, d)]
    if len(family.degrees) > 1:
        return [_leading_form_bound(family, r)]
    applies = family.pairwise_non_proportional
    hypothesis = "non-zero, pairwise non-proportional polynomials"

    def bound(source: str, holds: bool, inequality: str) -> IndependenceBound:
        return IndependenceBound(source, applies, hypothesis, holds, inequality)

    exact = Fraction(k * (k - 2)) - Fraction((k - 1) * (k - 2), 2 * max(1, d))
    newman_slater, craciun = 8 * (k - 1) ** 2, max(k * math.comb(k - 1, 2), 2)
    bounds = [
        bound("Wronskian, degrees <= d", r > exact, f"r = {r} > k(k−2) − (k−1)(k−2)/(2d) = {_decimal(exact)}"),
        bound("de Bondt 2009", r >= k * (k - 2), f"r = {r} >= k(k−2) = {k * (k - 2)}"),
        bound("Newman, Slater 1979, Finkel et al. 2025", r > newman_slater, f"r = {r} > 8(k−1)² = {newman_slater}"),
        bound("Crăciun 2025", r > craciun, f"r = {r} > max(k C(k−1, 2), 2) = {craciun}"),
    ]
    if d <= 1:
        bounds.insert(0, bound("Vandermonde, degrees <= 1", r >= k - 1, f"r = {r} >= k − 1 = {k - 1}"))
    return bounds


def _generic_bound(family: _Family, r: int, k: int, d: int) -> IndependenceBound:
    constants = sum(family._is_constant(i) for i in range(k))
    distinct = len({tuple(row) for row in family.coef.tolist()}) == k
    least = max(1, k - 1 if d <= 1 else k * (k - 2))
    return IndependenceBound(
        "generic σ, Wronskian (for networks: Shahverdi, Marchetti, Kohn 2025)",
        distinct and constants <= 1,
        "distinct polynomials, at most one constant",
        r >= least,
        f"r = {r} >= {'k − 1' if d <= 1 else 'max(1, k(k−2))'} = {least}",
    )


def _leading_form_bound(family: _Family, r: int) -> IndependenceBound:
    """Corollary (c): powers of leading forms, degree by degree."""
    groups: dict[int, list[Array]] = defaultdict(list)
    starts = [0] + [count_monomials(family.basis.n_vars, j) for j in range(family.basis.degree + 1)]
    constants_vanish = False
    for row in family.coef:
        used = np.flatnonzero(row)
        degree = int(np.searchsorted(starts, used[-1], side="right")) - 1 if used.size else 0
        groups[degree].append(row[starts[degree] : starts[degree + 1]])
        if degree == 0:
            value = sum(Fraction(c) * Fraction(row[0]) ** j for j, c in enumerate(family.sigma.numbers) if c)
            constants_vanish |= value == 0
    least, applies = 1, len(groups.get(0, [])) <= 1 and not constants_vanish
    for degree, forms in groups.items():
        if degree:
            applies = applies and len(_proportional(np.array(forms, dtype=object))) == len(forms)
            size = len(forms)
            least = max(least, size - 1 if degree == 1 else size * (size - 2))
    return IndependenceBound(
        "leading forms, Wronskian",
        applies,
        "pairwise non-proportional leading forms in each degree",
        r >= least,
        f"r = {r} >= {least}",
    )


def _decimal(x: Fraction) -> str:
    return str(x.numerator) if x.denominator == 1 else f"{float(x):.4g}"


# --- arguments and words ----------------------------------------------------------------------------------------------


def _as_polynomials(polynomials: object, basis: MonomialBasis | None) -> tuple[Array, MonomialBasis]:
    """Exact coefficients (k, n_monomials) and their basis, from any of the forms that `linear_independence` takes."""
    if basis is not None and not isinstance(basis, MonomialBasis):
        raise TypeError(f"`basis` must be a MonomialBasis, got {_describe(basis)}")
    if isinstance(polynomials, NetworkPolynomial):
        if basis is not None:
            raise ValueError("`basis` is for arrays of coefficients; a NetworkPolynomial has its own")
        return as_rational_array(polynomials.coef, "polynomials"), polynomials.basis
    if basis is not None:
        array = _to_array(polynomials, "polynomials")
        check_shape(array, "polynomials", ("k", ("n_monomials", basis.n_monomials)))
        coef, result = as_rational_array(polynomials, "polynomials"), basis
    else:
        entries = list(polynomials) if isinstance(polynomials, (Sequence, np.ndarray)) else None
        if entries is None or isinstance(polynomials, (str, bytes)):
            raise TypeError(
                "`polynomials` must be a NetworkPolynomial, an array with `basis`, or a sequence of coefficient lists, "
                f"numpy polynomials or dicts, got {_describe(polynomials)}"
            )
        mappings = [isinstance(entry, Mapping) for entry in entries]
        if any(mappings) and not all(mappings):
            raise TypeError("`polynomials` must be all dicts or all in one variable, got both")
        coef, result = _from_dicts(entries) if any(mappings) else _from_univariate(entries)
    if not len(coef):
        raise ValueError("`polynomials` must have at least one entry, got none")
    return coef, result


def _from_univariate(entries: Sequence[object]) -> tuple[Array, MonomialBasis]:
    rows: list[Array] = []
    for i, entry in enumerate(entries):
        if isinstance(entry, ABCPolyBase):
            entry = entry.convert(kind=Polynomial).coef
        row = as_rational_array(entry, f"polynomials[{i}]")
        check_shape(row, f"polynomials[{i}]", ("n_coefficients",))
        rows.append(row)
    degree = max([0, *(len(row) - 1 for row in rows)])
    coef = np.zeros((len(rows), degree + 1), dtype=object)
    for target, row in zip(coef, rows):
        target[: len(row)] = row
    return coef, MonomialBasis(1, degree)


def _from_dicts(entries: Sequence[Any]) -> tuple[Array, MonomialBasis]:
    terms: list[dict[tuple[int, ...], Any]] = []
    for i, entry in enumerate(entries):
        name = f"polynomials[{i}]"
        if not all(isinstance(exponents, tuple) for exponents in entry):
            raise TypeError(f"`{name}` must have tuples of exponents as keys, got {_describe(next(iter(entry)))}")
        terms.append({tuple(as_index(e, name, 0) for e in key): value for key, value in entry.items()})
    lengths = {len(key) for polynomial in terms for key in polynomial}
    if len(lengths) > 1 or lengths == {0}:
        raise ValueError(
            f"`polynomials` must have exponent tuples of one length, at least 1, got lengths {sorted(lengths)}"
        )
    degree = max((sum(key) for polynomial in terms for key in polynomial), default=0)
    basis = MonomialBasis(max(lengths, default=1), degree)
    check_size(len(terms) * basis.n_monomials, 48, "the coefficients of the polynomials")
    coef = np.zeros((len(terms), basis.n_monomials), dtype=object)
    for i, polynomial in enumerate(terms):
        for key, value in polynomial.items():
            coef[i, basis.index(key)] = as_rational_array([value], f"polynomials[{i}]")[0]
    return coef, basis


def _positive(relation: tuple[int, ...]) -> tuple[int, ...]:
    """The relation with the sign that makes its first coefficient positive."""
    sign = next(1 if c > 0 else -1 for c in relation if c)
    return tuple(sign * c for c in relation)


def _relation_text(relation: Sequence[int], max_terms: int = 8) -> str:
    terms = [(c, f"σ(p[{i}])") for i, c in enumerate(relation) if c]
    words = []
    for c, name in terms[:max_terms]:
        size = "" if abs(c) == 1 else f"{abs(c)} "
        words.append(f"{'−' if c < 0 else '+'} {size}{name}")
    text = " ".join(words).removeprefix("+ ")
    return text + (f" … ({len(terms) - max_terms} more terms) = 0" if len(terms) > max_terms else " = 0")
