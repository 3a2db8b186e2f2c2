# SPDX-License-Identifier: BSD-3-Clause
"""Whether a function is a smooth, a singular or a boundary point of the function space of a network.

A rule either decides, with what it rests on, or says nothing; the first that decides is the verdict.

**Convolutions.** One channel in hidden layers, no bias, σ of degree r >= 2 with σ(0) = 0 in every hidden layer, filters
w ≠ 0. Let F = Σ_j c_j σ(T_j G), where T_j translates the inputs, more for larger j, and G is the network up to the last
hidden layer. If F = Σ_j c'_j σ(T_j G') too, compare what depends on the first input x that F depends on: only one
translate of each does, so c σ(G) − c' σ(G') does not depend on x. Both have a centre a, σ(z) = Σ τ_i (z − a)^i with
τ_{r−1} = 0, and H = G − a, H' = G' − a as polynomials in x satisfy H' = ρ H + δ with ρ^r = c / c' and δ of smaller
degree; the difference then has c' r ρ^{r−1} H^{r−1} δ as a leading term, unless δ = 0. So H' = ρ H with c' τ_i ρ^i =
c τ_i for all i >= 1, which is a symmetry of the layer, and the other c_j are determined because translates of σ(G) have
different first inputs. By induction over the layers *all parameters with the same function are shifts of the filters*
that make up for each other, up to the known symmetries; and by the same comparison parameters whose functions converge
to f ≠ 0 come close to these, up to symmetries. Hence, dμ having full rank at each of them, f is a smooth point if there
is one position of the filters, and a node if there are several.

**Linear convolutions** multiply polynomials: Π w_l(x^{S_l}), S_l the product of the strides below. Layers with equal S
make a neighbourhood of all real polynomials where these have enough real roots of odd multiplicity, counting infinity.
The products of groups of layers with different S are finite and generically injective as a map of their factors, so the
closure of the function space is smooth at f if and only if f has one preimage and the map is an immersion there
(Zariski's main theorem). Both fail, and only then, if the polynomial of some group has a factor in x^{S'}, S' the next
S: it can be exchanged with one of the next group. Such factors are common to its polyphase components.

**Attention**, one head on t >= 2 tokens: the coefficients of x_k² x_j, k ≠ j, are the products v_i a_c of the linear
forms v_i (rows of V) and a_c (columns of A = KᵀQ), and determine the others. Unless V and A have both rank 1 the common
factors of these products determine V and A up to one number, and the products of tangent vectors vanish only along
that; so f is a smooth point if and only if A is one of the matrices of rank at most min(d_key, d). If V = α lᵀ and
A = m βᵀ, then l and m may be exchanged: a node, unless they are parallel. Then the rank drops, and l m, the square of a
form, is a limit of quadratic forms without real factors, which the closure contains: a boundary point.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _backend
from ._reductions import FilterStep, Reduction, Threshold, largest, rank_factorisation
from ._rings import Numbers
from ._tangents import Tangents
from ._univariate import Polynomial, common_divisor, count_real_roots, multiply, odd_part, trimmed
from ._validation import as_residues
from .dimension import DimensionResult
from .equations import equations, is_cone
from .networks import Network
from .program import Affine, Program
from .rank import WORD_PRIME, modular_rank
from .structure import (
    IDENTITY,
    Convolution,
    DenseChain,
    Parametrised,
    attention_heads,
    convolutions,
    dense_chain,
    dense_readers,
    is_single_attention,
)

Array = NDArray[Any]

# Points of the fibre that are tried before their tangent spaces are taken to span no more.
_QUIET_POINTS = 3
_MAX_POINTS = 40
# Rules that compare as many functions, or directions, as the dimension are tried up to this dimension.
_MAX_SPAN = 500
# Matrices of this size are brought to echelon form in rational numbers.
_MAX_MATRIX = 64
# So many coefficients are looked at for a proof that all are zero.
_MAX_COEFFICIENTS = 2**16
# Equations are looked for among so many monomials, in at most so many coefficients.
_MAX_MONOMIALS = 500
_MAX_COORDINATES = 100


class Hypothesis(NamedTuple):
    """Something that a theorem asks for, and whether it is so: None where that is not known."""

    statement: str
    holds: bool | None


@dataclass(frozen=True)
class Verdict:
    """What is said of a point: the fields of the same names of `PointAnalysis`."""

    verdict: str
    kind: str = ""
    theorem: str = ""
    hypotheses: tuple[Hypothesis, ...] = ()
    reason: str = ""
    tangent_dimension: int = 0
    proved: bool = False


class Judge:
    """Finds out what can be said of the function at a point."""

    def __init__(
        self,
        program: Program,
        theta: Array,
        reduction: Reduction,
        generic: DimensionResult,
        tangents: Tangents,
        generator: np.random.Generator,
        numerical_rank: int | None,
        tol: float,
    ) -> None:
        self.program, self.theta = program, theta
        self.reduction, self.generic, self.tangents, self.generator = reduction, generic, tangents, generator
        self.dimension = generic.dimension
        self.numerical_rank, self.tol = numerical_rank, tol
        self.shifts = FilterShifts.of(program, theta)

    def verdict(self) -> Verdict:
        """The first rule that decides."""
        self._explore_fibre()
        rules: tuple[Callable[[], Verdict | None], ...] = (
            self._vertex,
            self._attention,
            self._determinantal,
            self._symmetric,
            self._convolutional,
            self._linear_convolutional,
            self._interior,
            self._tangent_span,
            self._orbit,
            self._equations,
        )
        found = next((found for rule in rules if (found := rule()) is not None), None) or self._undecided()
        return replace(found, tangent_dimension=self.tangents.dimension)

    def _random(self, shape: tuple[int, ...]) -> Array:
        """Small integers, none of them zero."""
        numbers = np.empty(shape, dtype=object)
        signs = self.generator.integers(0, 2, shape) * 2 - 1
        numbers[...] = (signs * self.generator.integers(1, 100, shape)).astype(object)
        return numbers

    def _explore_fibre(self) -> None:
        """Tangent vectors at the point and at other points with the same function, until nothing new is seen."""
        self.tangents.add(self.theta)
        if self.numerical_rank is not None:
            # Rounding may hide a drop from the exact rank, as of nearly equal filters.
            self.tangents.ranks[0] = min(self.tangents.ranks[0], self.numerical_rank)
        for theta in self._special_points():
            self.tangents.add(theta)
        free = any(not isinstance(step, FilterStep) for step in self.reduction.steps)
        quiet = 0
        for _ in range(_MAX_POINTS if free else 0):
            if quiet == _QUIET_POINTS or self.tangents.dimension == self.tangents.n_functionals:
                break
            quiet = 0 if self.tangents.add(self.reduction.take_back(self._random).theta) else quiet + 1

    def _special_points(self) -> Iterator[Array]:
        """Other parameters with the same function that are known: shifted filters, exchanged factors."""
        if self.shifts is not None:
            yield from itertools.islice(self.shifts.points(), 1, _MAX_POINTS)
        if self._head is not None and self._head.exchanged is not None:
            yield self._head.exchanged

    @property
    def _cusp_or_node(self) -> str:
        return "node" if max(self.tangents.ranks) >= self.dimension else "cusp"

    def _interior(self) -> Verdict | None:
        """A preimage of full rank, where the closure of the function space is a linear space."""
        if max(self.tangents.ranks) < self.dimension or not self._is_linear_space:
            return None
        where = "theta" if self.tangents.ranks[0] == self.dimension else "another point of the fibre"
        space = "all polynomials" if self.generic.filling else "its linear span"
        return Verdict(
            "smooth",
            theorem="inverse function theorem",
            hypotheses=(
                Hypothesis(f"the function space is dense in a linear space of its dimension ({space})", True),
                Hypothesis(f"dμ has full rank at a point of the fibre ({where})", True),
            ),
            reason=f"an interior point of a linear space: dμ has full rank {self.dimension} at {where}",
            proved=self.generic.filling,
        )

    @cached_property
    def _is_linear_space(self) -> bool | None:
        """Whether the functions span no more than the dimension of the function space; None if it is too large.

        False is certain if the dimension is: more functions than that are independent at points modulo a prime.
        """
        t, program, size = self.tangents, self.program, self.dimension + 1
        if self.generic.filling:
            return True
        if self.dimension > _MAX_SPAN or size > t.n_functionals:
            return None
        thetas = self.generator.integers(0, t.p, (size, program.n_params), dtype=np.uint64)
        values = program.engine.evaluate(thetas, t.X[:size], modulus=t.p, constants=t.constants, n_threads=t.n_threads)
        ring = Numbers(_backend.kernels(), np.dtype(np.uint64), t.p)
        weighted = ring.multiply(np.ascontiguousarray(values), np.ascontiguousarray(t.weights[None, :size]))
        matrix = np.zeros(weighted.shape[:2], dtype=np.uint64)
        for o in range(weighted.shape[2]):
            matrix = ring.add(matrix, np.ascontiguousarray(weighted[..., o]))
        return modular_rank(matrix, t.p) < size

    def _determinantal(self) -> Verdict | None:
        """Linear networks: matrices of bounded rank."""
        chain = dense_chain(self.program)
        if chain is None or not chain.is_linear:
            return None
        if not chain.biases[-1] and (any(chain.biases) or any(a[0] for a in chain.activations)):
            return None
        bound, full = min(chain.widths), min(chain.widths[0], chain.widths[-1])
        reduced = dense_chain(self.reduction.state.program)
        assert reduced is not None
        rank = 0 if self._is_zero_matrix(reduced) else min(reduced.widths)
        theorem = "singular locus of determinantal varieties (Trager, Kohn, Bruna 2020, arXiv:1910.01671)"
        hypotheses = (
            Hypothesis("the network is linear and fully connected", True),
            Hypothesis(f"matrices of rank at most {bound} are not all matrices", bound < full),
            Hypothesis(f"the matrix has rank less than {bound}", rank < bound),
        )
        if bound == full:
            return Verdict("smooth", "", theorem, hypotheses, "the function space is a linear space", proved=True)
        if rank == bound:
            words = f"the matrix has the largest possible rank {bound}"
            return Verdict("smooth", "", theorem, hypotheses, words, proved=True)
        words = f"the matrix has rank {rank} < {bound}"
        return Verdict("singular", "cusp" if rank else "vertex", theorem, hypotheses, words, proved=True)

    def _is_zero_matrix(self, chain: DenseChain) -> bool:
        return min(chain.widths) == 1 and any(not w.any() for w in self.reduction.state.weights.values())

    def _symmetric(self) -> Verdict | None:
        """One layer of squares with one output: symmetric matrices of bounded rank."""
        chain = dense_chain(self.program)
        if chain is None or len(chain.widths) != 3 or chain.widths[2] != 1 or any(chain.biases):
            return None
        sigma = chain.activations[0]
        if len(sigma) != 3 or any(sigma[:2]) or chain.widths[0] > _MAX_MATRIX:
            return None
        n, k, _ = chain.widths
        first, second = (Parametrised(self.program, self.theta).weights[i] for i in (0, 2))
        matrix = first.T @ (second.reshape(-1, 1) * first)
        rank = len(rank_factorisation(matrix, 0, Threshold(0.0))[1])
        theorem = "singular locus of symmetric determinantal varieties"
        hypotheses = (
            Hypothesis("quadratic forms: one layer of squares, one output, no bias", True),
            Hypothesis(f"forms of rank at most {k} are not all forms in {n} variables", k < n),
            Hypothesis(f"the form has rank less than {k}", rank < k),
        )
        if k >= n:
            return Verdict("smooth", "", theorem, hypotheses, "the function space is a linear space", proved=True)
        if rank == k:
            words = f"the quadratic form has the largest possible rank {k}"
            return Verdict("smooth", "", theorem, hypotheses, words, proved=True)
        words = f"the quadratic form has rank {rank} < {k}"
        return Verdict("singular", self._cusp_or_node if rank else "vertex", theorem, hypotheses, words, proved=True)

    def _vertex(self) -> Verdict | None:
        """The zero function of a cone that is not a linear space."""
        if not is_cone(self.program) or self.tangents.values(self.theta).any() or self._is_linear_space is not False:
            return None
        return Verdict(
            "singular",
            "vertex",
            "a cone that is smooth at its vertex is a linear space",
            (
                Hypothesis("the function is zero", True),
                Hypothesis("multiples of functions of the network are functions of the network", True),
                Hypothesis("the functions span more than the dimension of the function space", True),
            ),
            "the zero function is the vertex of a cone that is not a linear space",
            proved=self.generic.proved and self._is_zero,
        )

    @property
    def _is_zero(self) -> bool:
        """Whether the function is seen to be zero for certain, by its coefficients."""
        program = self.program
        if program.n_outputs * program.n_monomials > _MAX_COEFFICIENTS:
            return False
        return not Network(program).expand(self.theta, dtype=object).any()

    def _convolutional(self) -> Verdict | None:
        """Convolutions with one channel: all preimages are shifts of the filters."""
        layers = convolutions(self.program)
        if layers is None or self.shifts is None:
            return None
        hidden, last = layers[:-1], layers[-1]
        if not all(len(c.coefficients) > 2 and c.coefficients[0] == 0 for c in hidden) or last.coefficients != IDENTITY:
            return None
        count = self.shifts.count
        explored = len(self.tangents.ranks) >= min(count, _MAX_POINTS)
        regular = min(self.tangents.ranks[: min(count, _MAX_POINTS)]) == self.dimension
        powers = all(not any(c.coefficients[:-1]) for c in hidden)
        theorem = (
            "Shahverdi, Marchetti, Kohn 2024, arXiv:2410.00722 (σ = z^r, r >= 2)"
            if powers
            else "Shahverdi, Marchetti, Kohn 2025, arXiv:2505.11846, theorem 4.6 (for this σ: see polycore._verdicts)"
        )
        hypotheses = (
            Hypothesis("convolutions with one channel in hidden layers, no bias, σ(0) = 0 and degree >= 2", True),
            Hypothesis("no filter is zero", True),
            Hypothesis(f"dμ has full rank {self.dimension} at each position of the filters", regular and explored),
            Hypothesis("the filters have one position only", count == 1),
        )
        if not regular or not explored:
            return None
        if count == 1:
            words = "the filters have one position only that gives this function"
            return Verdict("smooth", "", theorem, hypotheses, words, proved=self.generic.proved)
        words = f"the same function arises with the filters in {count} positions: as many branches meet"
        return Verdict("singular", "node", theorem, hypotheses, words, proved=self.generic.proved)

    def _linear_convolutional(self) -> Verdict | None:
        """Linear convolutions with one channel on a signal: products of polynomials."""
        if self.shifts is None or (groups := filter_groups(self.program, self.theta)) is None:
            return None
        exact = self.numerical_rank is None
        if not exact and self.tangents.ranks[0] < self.dimension:
            return None  # multiplicities of roots are decided by rounding
        unique = not any(low.has_factor_in_power(high.step // low.step) for low, high in itertools.pairwise(groups))
        interior = all(group.is_interior for group in groups)
        theorem = "real factorisation (Kohn, Merkh, Montúfar, Trager 2022, arXiv:2108.01538" + (
            "; Kohn, Montúfar, Shahverdi, Trager 2023, arXiv:2304.05752)" if len(groups) > 1 else ")"
        )
        hypotheses = (
            Hypothesis("linear convolutions with one channel on a signal, no bias, no filter zero", True),
            Hypothesis("the factors that belong to different strides are unique", unique),
            Hypothesis("factors of equal stride have real roots enough of odd multiplicity", interior),
        )
        if not unique:
            words = "filters of different strides can exchange a factor"
            return Verdict("singular", self._cusp_or_node, theorem, hypotheses, words, proved=exact)
        if interior:
            words = "all polynomials near by factor over the real numbers as the filters do"
            return Verdict("smooth", "", theorem, hypotheses, words, proved=exact)
        words = "polynomials near by have too few real roots to factor as the filters do"
        return Verdict("boundary", "", theorem, hypotheses, words, proved=exact)

    def _attention(self) -> Verdict | None:
        """One head on its inputs."""
        head = self._head
        if head is None or head.n_tokens < 2 or head.d < 2:
            return None
        bound, theorem = min(head.d_key, head.d), "Henry, Marchetti, Kohn 2025, arXiv:2408.17221, theorem 3.4"
        rank_one = head.rank_keys == head.rank_values == 1
        hypotheses = (
            Hypothesis("one head of attention on two tokens or more, the function is not zero", True),
            Hypothesis(f"KᵀQ has the largest possible rank {bound}", head.rank_keys == bound),
            Hypothesis("KᵀQ and V have rank 1", rank_one),
            Hypothesis("their linear forms are parallel", head.parallel if rank_one else False),
        )

        def verdict(name: str, kind: str, reason: str) -> Verdict:
            return Verdict(name, kind, theorem, hypotheses, reason, proved=name != "boundary" or not self.tol)

        if rank_one and head.parallel:
            return verdict("boundary", "cusp", "V and KᵀQ have rank 1 and the square of a linear form for a product")
        if head.rank_keys < bound < head.d:
            return verdict("singular", "cusp", f"KᵀQ has rank {head.rank_keys} < {bound}")
        if rank_one and (bound > 1 or head.d_out > 1):
            return verdict("singular", "node", "V and KᵀQ have rank 1, and their linear forms can be exchanged")
        return verdict("smooth", "", "V and KᵀQ are determined up to a number and at a smooth point of their own")

    @cached_property
    def _head(self) -> SingleHead | None:
        return SingleHead.of(self.program, self.theta, self.tol)

    def _tangent_span(self) -> Verdict | None:
        """Tangent vectors at several points of the fibre that span more than the dimension."""
        span = self.tangents.dimension
        if span <= self.dimension:
            return None
        kind = self._cusp_or_node
        certain = span > self.generic.upper_bound
        at = "theta and other points" if len(self.tangents.ranks) > 1 else "theta"
        return Verdict(
            "singular",
            kind,
            "Zariski tangent spaces (for subnetworks: Shahverdi, Marchetti, Kohn 2025, arXiv:2505.11846, theorem 4.2)",
            (
                Hypothesis("theta has the function of a smaller network", bool(self.reduction.steps)),
                Hypothesis(f"images of dμ at points of the fibre span {span} > {self.dimension} dimensions", True),
                Hypothesis(f"the dimension {self.dimension} is proved", self.generic.proved or certain or None),
            ),
            f"images of dμ at {at} of the fibre span {span} > {self.dimension} dimensions",
            proved=certain or self.generic.proved,
        )

    def _orbit(self) -> Verdict | None:
        """Linear maps of inputs and outputs move the function in all directions of the function space."""
        if self.dimension > _MAX_SPAN or self.tangents.ranks[0] < self.dimension:
            return None
        directions = self._linear_moves(self.dimension + 2)
        if directions is None:
            return None
        image = self.tangents.combine(self.theta, directions)
        if modular_rank(image, self.tangents.p) < self.dimension:
            return None
        return Verdict(
            "smooth",
            theorem="open orbits of group actions are smooth",
            hypotheses=(
                Hypothesis("linear maps of inputs and outputs act on the function space", True),
                Hypothesis("the orbit of the function has the dimension of the function space", True),
            ),
            reason="linear maps of inputs and outputs move the function in all directions of the function space",
            proved=self.generic.proved,
        )

    def _linear_moves(self, count: int) -> NDArray[np.uint64] | None:
        """Random tangents, in the parameters, to the linear maps of inputs and outputs; None if there are none."""
        program, p = self.program, self.tangents.p
        residues = as_residues(self.theta, p, "theta").astype(object)
        state = Parametrised(program, residues)
        readers = dense_readers(program)
        moved = readers is not None and all(k in state.biases for k in readers)
        last, final = program.instructions[-1], len(program.instructions) - 1
        from_right = isinstance(last, Affine)
        if readers is None and not from_right:
            return None
        n, m = program.n_inputs, state.weights[final].shape[0] if from_right else 0
        if n * (n + 1) + m * (m + 1) < self.dimension or count * (n * n + m * m) > 2**24:
            return None  # too few maps to move the function in all directions, or too many numbers
        rows = []
        for _ in range(count):
            move = Parametrised(program, 0 * residues)
            if readers is not None:
                linear = self.generator.integers(0, p, (n, n)).astype(object)
                shift = self.generator.integers(0, p, n).astype(object)
                for k in readers:
                    move.weights[k] = move.weights[k] + state.weights[k] @ linear
                    if moved:
                        move.biases[k] = move.biases[k] + state.weights[k] @ shift
            if from_right:
                linear = self.generator.integers(0, p, (m, m)).astype(object)
                move.weights[final] = move.weights[final] + linear @ state.weights[final]
                if final in state.biases:
                    shift = self.generator.integers(0, p, m).astype(object)
                    move.biases[final] = move.biases[final] + linear @ state.biases[final] + shift
            rows.append(as_residues(move.theta, p, "theta"))
        return np.stack(rows)

    def _equations(self) -> Verdict | None:
        """Equations of low degree, where the function space is small: their differentials vanish on its tangents."""
        if self.numerical_rank is not None and self.tangents.ranks[0] < self.dimension:
            return None  # rounding decides
        program = self.program
        if program.n_outputs * program.n_monomials > _MAX_COORDINATES:
            return None
        regular = max(self.tangents.ranks) == self.dimension
        for degree in itertools.count(2):
            n_coordinates = len(equations_of(program, 1).positions)
            if n_coordinates == self.dimension or math.comb(n_coordinates + degree, degree) > _MAX_MONOMIALS:
                return None
            found = equations_of(program, degree)
            bound = found.dimension_of_tangents(self.theta)
            proved = found.proved and self.generic.proved
            if bound == self.dimension and regular:
                hypotheses = (
                    Hypothesis(f"equations of degree {degree} leave {bound} tangent directions", True),
                    Hypothesis(f"dμ has full rank {self.dimension} at a point of the fibre", True),
                )
                words = f"equations of degree {degree} leave no more than {bound} tangent directions"
                return Verdict("smooth", "", "Jacobian criterion", hypotheses, words, proved=proved)
            if found.n_equations == 1 and n_coordinates == self.dimension + 1:
                # The first equation of a hypersurface is its equation.
                hypotheses = (
                    Hypothesis(f"the function space is a hypersurface with an equation of degree {degree}", True),
                    Hypothesis("the differential of the equation vanishes", bound > self.dimension),
                )
                if bound == self.dimension:
                    return None
                words = f"the differential of the equation of degree {degree} of the hypersurface vanishes"
                kind = self._cusp_or_node
                return Verdict("singular", kind, "Jacobian criterion", hypotheses, words, proved=proved)
        return None

    def _undecided(self) -> Verdict:
        rank, span = self.tangents.ranks[0], self.tangents.dimension
        hypotheses = (
            Hypothesis("theta has the function of a smaller network", bool(self.reduction.steps)),
            Hypothesis(f"images of dμ at points of the fibre span more than {self.dimension} dimensions", False),
            Hypothesis(f"dμ has full rank {self.dimension} at theta", rank == self.dimension),
            *self._not_of_a_family(),
        )
        if rank == self.dimension:
            words = "dμ has full rank: the function space has a smooth branch there; other branches are not excluded"
        else:
            words = f"the rank drops, but tangent vectors found at points of the fibre span only {span} dimensions"
        return Verdict("undecided", hypotheses=hypotheses, reason=words)

    def _not_of_a_family(self) -> Iterator[Hypothesis]:
        """What theorems ask for that is not so."""
        layers = convolutions(self.program)
        if layers is not None:
            single = all(c.n_out == 1 for c in layers[:-1])
            yield Hypothesis("convolutions have one channel in hidden layers", single)
            yield Hypothesis("convolutions have no bias", not any(c.bias for c in layers))
            weights = Parametrised(self.program, self.theta).weights
            yield Hypothesis("no filter is zero", all(weights[c.instruction].any() for c in layers))
            yield Hypothesis("every σ has σ(0) = 0", not any(c.coefficients[0] for c in layers))
            linear = {len(c.coefficients) <= 2 for c in layers[:-1]}
            yield Hypothesis("all σ have degree >= 2, or all are linear", len(linear) < 2)
        heads = attention_heads(self.program)
        if heads:
            yield Hypothesis("one head of attention on its inputs", is_single_attention(self.program))
            yield Hypothesis("two tokens or more", heads[0].n_tokens > 1)


# --- equations --------------------------------------------------------------------------------------------------------


class LowEquations(NamedTuple):
    """All equations of one degree, as gradients can be taken of them modulo a prime."""

    program: Program
    positions: tuple[int, ...]  # the coefficients that are coordinates
    terms: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...]  # coefficient and exponents, equation by equation
    proved: bool

    @property
    def n_equations(self) -> int:
        """Number of independent equations."""
        return len(self.terms)

    def dimension_of_tangents(self, theta: Array) -> int:
        """At the function of these parameters, at most: that of the directions in which all differentials vanish."""
        p = WORD_PRIME
        coef = Network(self.program).expand(theta, dtype=object).reshape(-1)
        try:
            y = as_residues(coef[list(self.positions)], p, "theta").astype(object).tolist()
        except ValueError:
            return len(self.positions)  # p divides a denominator
        gradients = np.zeros((max(1, self.n_equations), len(y)), dtype=np.uint64)
        for gradient, terms in zip(gradients, self.terms):
            total = [0] * len(y)
            for c, exponents in terms:
                used = [(v, e) for v, e in enumerate(exponents) if e]
                for v, e in used:
                    product = c * e
                    for w, power in used:
                        product = product * pow(y[w], power - (w == v), p) % p
                    total[v] += product
            gradient[:] = [entry % p for entry in total]
        return len(y) - modular_rank(gradients, p)


@lru_cache(maxsize=16)  # many points of one network are looked at
def equations_of(program: Program, degree: int) -> LowEquations:
    """All equations of a degree on the functions of a program."""
    found = equations(Network(program), degree)
    exponents = found.monomials.exponents
    terms = tuple(tuple((int(row[m]), tuple(exponents[m].tolist())) for m in np.flatnonzero(row)) for row in found.coef)
    return LowEquations(program, tuple(found.positions.tolist()), terms, found.proved)


# --- filters ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FilterShifts:
    """Positions of the filters of a convolutional network in which it has the same function.

    A filter moves as a whole, and the distances that all of them move in the inputs add up to zero.
    """

    program: Program
    theta: Array
    layers: tuple[Convolution, ...]
    moves: tuple[tuple[tuple[int, NDArray[np.intp]], ...], ...]  # a layer: distances, and where columns go

    @staticmethod
    def of(program: Program, theta: Array) -> FilterShifts | None:
        """None unless these are convolutions with one channel in hidden layers, no bias, and no filter zero."""
        layers = convolutions(program)
        if layers is None or any(c.bias for c in layers) or any(c.n_out > 1 for c in layers[:-1]):
            return None
        weights = Parametrised(program, theta).weights
        if not all(weights[c.instruction].any() for c in layers):
            return None
        return FilterShifts(program, theta, layers, tuple(_moves(c, weights[c.instruction]) for c in layers))

    @property
    def count(self) -> int:
        """How many positions there are, counted without making them."""
        ways = {0: 1}
        for moves in self.moves:
            total: dict[int, int] = {}
            for distance, number in ways.items():
                for step, _ in moves:
                    total[distance + step] = total.get(distance + step, 0) + number
            ways = total
        return ways[0]

    def points(self) -> Iterator[Array]:
        """The parameters of each, the given ones first."""
        for chosen in self._choices(0, 0):
            state = Parametrised(self.program, self.theta)
            for layer, (_, columns) in zip(self.layers, chosen):
                moved = 0 * state.weights[layer.instruction]
                live = columns >= 0
                moved[:, columns[live]] = state.weights[layer.instruction][:, live]
                state.weights[layer.instruction] = moved
            yield state.theta

    def _choices(self, layer: int, distance: int) -> Iterator[tuple[tuple[int, NDArray[np.intp]], ...]]:
        if layer == len(self.layers):
            yield ()
            return
        for move in self.moves[layer]:
            if self._can_return(layer + 1, distance + move[0]):
                for rest in self._choices(layer + 1, distance + move[0]):
                    yield (move, *rest)

    def _can_return(self, layer: int, distance: int) -> bool:
        return -distance in self._reachable[layer]

    @cached_property
    def _reachable(self) -> list[set[int]]:
        """Total distances that the layers from each on can move."""
        sets = [{0}]
        for moves in reversed(self.moves):
            sets.append({a + b for a in sets[-1] for b, _ in moves})
        return sets[::-1]


def _moves(layer: Convolution, weights: Array) -> tuple[tuple[int, NDArray[np.intp]], ...]:
    """Distances that a filter can move within its places, none first, and where its columns go, -1 for zeros."""
    place_of = {offset: place for place, offset in enumerate(layer.offsets)}
    support = [o for place, o in enumerate(layer.offsets) if weights[:, list(layer.columns[place])].any()]
    distances = [o - support[0] for o in layer.offsets]
    found = []
    for distance in sorted(distances, key=lambda d: (abs(d), d)):
        if all(o + distance in place_of for o in support):
            columns = np.full(weights.shape[1], -1, dtype=np.intp)
            for o in support:
                columns[list(layer.columns[place_of[o]])] = layer.columns[place_of[o + distance]]
            found.append((distance, columns))
    return tuple(found)


class FilterGroup(NamedTuple):
    """Linear convolutions of equal step: the product of their filters as polynomials."""

    step: int
    product: Polynomial
    degrees: tuple[int, ...]  # of the filters, were no end of them zero

    @property
    def at_infinity(self) -> int:
        """How much the degree of the product is too low: the multiplicity of infinity as a root."""
        return sum(self.degrees) + 1 - len(self.product)

    @property
    def is_interior(self) -> bool:
        """Whether all real polynomials near the product have factors of these degrees.

        They need as many real roots as there are odd degrees, and keep at least one for each root of odd multiplicity.
        """
        roots = count_real_roots(odd_part(self.product)) + self.at_infinity % 2
        return roots >= sum(degree % 2 for degree in self.degrees)

    def has_factor_in_power(self, q: int) -> bool:
        """Whether some u(y^q) divides the product: y^q, the q-th power of infinity, or any other."""
        at_zero = next(i for i, c in enumerate(self.product) if c)
        common: Polynomial = []
        for phase in range(q):
            common = [*common_divisor(common, self.product[at_zero + phase :: q])]
        return at_zero >= q or self.at_infinity >= q or len(common) > 1


def filter_groups(program: Program, theta: Array) -> tuple[FilterGroup, ...] | None:
    """The filters of linear convolutions on a signal with one channel throughout, by steps, or None."""
    layers = convolutions(program)
    if layers is None or any(len(c.columns[0]) > 1 or c.n_out > 1 or c.bias for c in layers):
        return None
    if any(len(c.coefficients) != 2 or c.coefficients[0] for c in layers) or any(len(c.extent) > 1 for c in layers):
        return None
    weights = Parametrised(program, theta).weights
    groups: dict[int, FilterGroup] = {}
    for layer in layers:
        if len(layer.offsets) == 1:
            continue
        step = layer.offsets[1] - layer.offsets[0]
        if any(b - a != step for a, b in itertools.pairwise(layer.offsets)):
            return None
        factor = trimmed([Fraction(w) for w in weights[layer.instruction][0, [c for (c,) in layer.columns]].tolist()])
        old = groups.get(step, FilterGroup(step, [Fraction(1)], ()))
        product = multiply(old.product, factor)
        groups[step] = FilterGroup(step, product, (*old.degrees, len(layer.offsets) - 1))
    ordered = tuple(groups[step] for step in sorted(groups))
    return ordered if all(b.step % a.step == 0 for a, b in itertools.pairwise(ordered)) else None


# --- attention --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SingleHead:
    """Ranks of V and A = KᵀQ of a program that is one head of attention on its inputs, neither of them zero."""

    n_tokens: int
    d: int
    d_key: int
    d_out: int
    rank_keys: int
    rank_values: int
    parallel: bool
    exchanged: Array | None

    @staticmethod
    def of(program: Program, theta: Array, tol: float) -> SingleHead | None:
        """None for other programs, zero functions, and matrices too large for rational numbers.

        ``tol`` is for forms to be parallel.
        """
        if not is_single_attention(program):
            return None
        (head,) = attention_heads(program)
        if head.d_model > _MAX_MATRIX:
            return None
        state, exact = Parametrised(program, theta), Threshold(0.0)
        product = state.weights[head.key].T @ state.weights[head.query]
        columns, rows = rank_factorisation(product, 0, exact)
        outputs, inputs = rank_factorisation(state.weights[head.value], 0, exact)
        ranks = len(rows), len(inputs)
        if 0 in ranks:
            return None
        parallel, exchanged = False, None
        if ranks == (1, 1):
            left, right = columns[:, 0], inputs[0]
            cross = np.outer(left, right) - np.outer(right, left)
            parallel = Threshold(tol).vanishes(cross, largest(left) * largest(right))
            state.weights[head.value] = np.outer(outputs[:, 0], left)
            # KᵀQ of rank 1 with K of full rank, for the rank of dμ to be full where it can be.
            generator = np.random.default_rng(head.d_model)
            keys, queries = state.weights[head.key], state.weights[head.query]
            keys[...] = generator.integers(1, 100, keys.shape).astype(object)
            queries[...] = 0
            keys[0], queries[0] = right, rows[0]
            exchanged = state.theta
        return SingleHead(head.n_tokens, head.d_model, head.d_key, head.d_out, ranks[0], ranks[1], parallel, exchanged)
