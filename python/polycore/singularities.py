# SPDX-License-Identifier: BSD-3-Clause
r"""Points of a network's function space: where the Jacobian drops rank, what part of the network is used, whether the
function space is singular there.

**What a verdict rests on.** Let μ be the map from parameters to coefficients, M its image, of dimension dim M, and
f = μ(θ). The image of dμ at *every* point of the fibre μ⁻¹(f) lies in the Zariski tangent space of (the closure of) M
at f. If these images together span more than dim M, then f is a singular point; that is a proof, and it is how
subnetworks of fully connected networks are singular: a unit that nothing reads may read anything, and each choice gives
other tangent vectors (V. Shahverdi, G. L. Marchetti, K. Kohn, *Learning on a razor's edge: identifiability and
singularity of polynomial neural networks*, arXiv:2505.11846). The points of the fibre are found from what of θ is of no
use, and the rank is exact.

Conversely a full rank at θ shows only that M has *one* smooth branch at f. There is a proof that f is a smooth point
where

* some point of the fibre has full rank and M spans a linear space of the same dimension: f is an interior point of it;
* the linear maps of inputs and outputs move f in as many directions as M has: their orbit of f is open in M;
* a theorem about the family applies, see `analyze_point`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _backend
from ._reductions import LinearStep, Reduction, Threshold, UnitStep, exactly, rank_factorisation, reduce
from ._rings import Numbers
from ._validation import (
    FLOAT64,
    _describe,
    _to_array,
    as_exact_array,
    as_flag,
    as_rational_array,
    as_real,
    as_real_array,
    as_residues,
    as_rng,
    check_shape,
    check_size,
    check_threads,
)
from .dimension import DimensionResult, dimension
from .jacobian_rank import JacobianRank, jacobian_rank
from .modular import WORD_PRIMES
from .networks import MLP, Network
from .program import Affine, Program
from .rank import echelon, modular_rank
from .structure import DenseChain, Parametrised, dense_chain, hidden_layers
from .symmetries import action_prime, infinitesimal_action

__all__ = ["Hypothesis", "PointAnalysis", "RedundantUnit", "analyze_point"]

Array = NDArray[Any]

DEFAULT_TOLERANCE = 1e-9
# Points of the fibre that are tried before their tangent spaces are taken to span no more.
_QUIET_POINTS = 3
_MAX_POINTS = 40
# Rules that compare as many functions, or directions, as the dimension are tried up to this dimension.
_MAX_SPAN = 500
# Symmetric matrices of this size are brought to echelon form in rational numbers.
_MAX_MATRIX = 64
_MAX_ENTRIES = 2**22


# --- results ----------------------------------------------------------------------------------------------------------


class Hypothesis(NamedTuple):
    """Something that a theorem asks for, and whether it is so: None where that is not known."""

    statement: str
    holds: bool | None


@dataclass(frozen=True)
class RedundantUnit:
    """A hidden unit that can be left out.

    Attributes
    ----------
    layer : int
        Which hidden layer, from 1.
    unit : int
        Which unit of it, from 0: a row of ``weights``.
    weights : str
        The array of `Network.unpack` whose row are its incoming weights.
    kind : str
        "silent": nothing reads it. "constant": it reads nothing. "multiple": its value is λ times that of one other
        unit, plus κ. "dependent": its value is a combination of several others. "unread": its layer is linear, and
        what is read of it can be had of the others.
    relation : tuple of (int, number)
        The (other unit, λ): all earlier in the list have been left out before.
    constant : number
        κ, which the biases of the next layer take.
    """

    layer: int
    unit: int
    weights: str
    kind: str
    relation: tuple[tuple[int, Any], ...] = ()
    constant: Any = 0

    def __repr__(self) -> str:
        name = f"unit {self.unit} of {self.weights}"
        if self.kind in ("silent", "unread"):
            return f"{name} is {'not read' if self.kind == 'silent' else 'not needed by what reads the layer'}"
        if self.kind == "constant":
            return f"{name} is constant"
        shown = [f"{_short(factor)} · unit {other}" for other, factor in self.relation[:4]]
        more = [f"{len(self.relation) - 4} more"] if len(self.relation) > 4 else []
        shift = [_short(self.constant)] if self.constant else []
        return f"{name} = {' + '.join(shown + more + shift)}"


@dataclass(frozen=True)
class PointAnalysis:
    """What `analyze_point` finds.

    Attributes
    ----------
    rank : int
        Of the Jacobian of the coefficients at the point.
    generic_rank : int
        That at almost every point: the dimension of the function space.
    rank_drop : int
        generic_rank − rank.
    n_params : int
    kernel_dimension : int
        n_params − rank: directions that do not move the function to first order.
    fibre_dimension : (int, int)
        Bounds for the dimension, over the complex numbers, of the set of parameters with the same function near the
        point: known directions of it, and the kernel.
    inactive, redundant : tuple of RedundantUnit
        Units whose value is constant or not read, and units that are combinations of others; each can be left out after
        those before it.
    subnetwork : Network or None
        The smallest network found that has the function, None if it is the network itself.
    sub_theta : ndarray or None
        Its parameters.
    sub_dimension : DimensionResult or None
        The dimension of its own function space.
    residual : float
        Largest difference of the two functions at random points, relative to the largest value; 0.0 is exact.
    verdict : str
        "smooth", "singular", "boundary" or "undecided": of the function, as a point of the function space.
    kind : str
        Of a singularity: "cusp" if the rank drops at every preimage known, "node" if preimages of full rank have
        different tangent spaces, "vertex" for the zero function of a cone; else "".
    theorem : str
        What the verdict rests on, with its source; "" where there is none.
    hypotheses : tuple of Hypothesis
        What the theorem asks for, checked.
    reason : str
        In words.
    tangent_dimension : int
        Dimension of the span of the images of dμ at all preimages that were tried: at most that of the Zariski tangent
        space.
    proved : bool
        Whether the verdict is certain; always False for "undecided", and for floats it is about ``theta``, the exact
        point nearby.
    jacobian : JacobianRank
        The rank with its certificate or tolerance.
    dimension : DimensionResult
        The dimension with its certificate.
    theta : ndarray
        The parameters analysed: as given if exact, else with all relations found made exact, Fractions.
    tolerance : float
        Relative sizes up to this were taken for zero; 0.0 for exact parameters.
    margin : float
        The smallest relative size not taken for zero, over the tolerance; inf for exact parameters.
    seed : int
        ``rng=seed`` reproduces the result.
    network : str
        Of which it is a point.

    Examples
    --------
    >>> from polycore import MLP, analyze_point
    >>> analyze_point(MLP((3, 2, 2), activation=3), [1, 2, 3, 2, 4, 6, 1, 1, 2, 3])
    MLP((3, 2, 2), activation=3)
      rank         6 of 8, drops by 2
      fibre        dimension 4 (generic: 2)
      units        unit 1 of W1 = 8 · unit 0
      subnetwork   MLP((3, 1, 2), activation=3), dimension 4
      verdict      singular (cusp), proved
      why          images of dμ at theta and other points of the fibre span 10 > 8 dimensions
    """

    rank: int
    generic_rank: int
    rank_drop: int
    n_params: int
    kernel_dimension: int
    fibre_dimension: tuple[int, int]
    inactive: tuple[RedundantUnit, ...]
    redundant: tuple[RedundantUnit, ...]
    subnetwork: Network | None
    sub_theta: Array | None = field(compare=False)
    sub_dimension: DimensionResult | None
    residual: float
    verdict: str
    kind: str
    theorem: str
    hypotheses: tuple[Hypothesis, ...]
    reason: str
    tangent_dimension: int
    proved: bool
    jacobian: JacobianRank = field(repr=False)
    dimension: DimensionResult = field(repr=False)
    theta: Array = field(repr=False, compare=False)
    tolerance: float = 0.0
    margin: float = math.inf
    seed: int = 0
    network: str = field(default="", compare=False)

    @property
    def is_proper_subnetwork(self) -> bool:
        """Whether the function is one of a smaller network with a function space of smaller dimension."""
        return self.sub_dimension is not None and self.sub_dimension.dimension < self.generic_rank

    def __repr__(self) -> str:
        low, high = self.fibre_dimension
        drop = f"drops by {self.rank_drop}" if self.rank_drop else "full"
        fibre = f"{low}" if low == high else f"{low} to {high}"
        lines = [("rank", f"{self.rank} of {self.generic_rank}, {drop}")]
        lines += [("fibre", f"dimension {fibre} (generic: {self.n_params - self.generic_rank})")]
        units = [*self.inactive, *self.redundant]
        lines += [("units" if i == 0 else "", repr(unit)) for i, unit in enumerate(units[:6])]
        if len(units) > 6:
            lines.append(("", f"and {len(units) - 6} more"))
        if self.subnetwork is not None and self.sub_dimension is not None:
            lines.append(("subnetwork", f"{self.subnetwork!r}, dimension {self.sub_dimension.dimension}"))
        kind = f" ({self.kind})" if self.kind else ""
        certainty = ", proved" if self.proved else ""
        lines += [("verdict", f"{self.verdict}{kind}{certainty}"), ("why", self.reason)]
        if self.tolerance:
            lines.append(("tolerance", f"{self.tolerance:.2g}, margin {self.margin:.2g}"))
        return "\n".join([self.network, *(f"  {name:<12} {text}" for name, text in lines)])


# --- the analysis -----------------------------------------------------------------------------------------------------


def analyze_point(
    net: Network,
    theta: ArrayLike,
    *,
    exact: bool = False,
    tol: float | None = None,
    rng: object = 0,
    n_threads: int = 0,
) -> PointAnalysis:
    """What is special about a parameter vector, and about its function as a point of the function space.

    Parameters
    ----------
    net : Network
        Of any family, without generic activations.
    theta : array_like, shape (n_params,)
        One parameter vector. With integers and Fractions everything is exact; floats are compared with a tolerance.
    exact : bool
        Take floats for the dyadic rationals they stand for.
    tol : float, optional
        Floats only: relative size up to which weights and residuals of relations are zero, 1e-9 by default.
    rng : int or numpy.random.Generator
        A seed; from a Generator a 64-bit seed is drawn.
    n_threads : int
        0 is the default number; results do not depend on it.

    Returns
    -------
    PointAnalysis

    Raises
    ------
    TypeError
        If ``net`` is not a network, or ``theta`` does not hold real numbers.
    ValueError
        If ``theta`` is not one vector of n_params finite numbers, ``tol`` is not in (0, 1) or given for exact input, or
        the network has a `GenericActivation`: ``net.specialize(rng)`` gives it values.
    OverflowError, MemoryError
        As `jacobian_rank` and `dimension`.
    NumericalError
        If floats overflow.
    """
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    net.program.require_concrete()
    is_exact = as_flag(exact, "exact")
    tolerance = None if tol is None else as_real(tol, "tol", 0.0)
    if tolerance is not None and not 0 < tolerance < 1:
        raise ValueError(f"`tol` must be between 0 and 1, got {tol}")
    threads = check_threads(n_threads)
    generator, seed = as_rng(rng)
    point = as_point(theta, net.n_params, is_exact)
    numerical = point.dtype == FLOAT64
    if tolerance is not None and not numerical:
        raise ValueError("`tol` is for floats; what is exact needs none")
    used = (DEFAULT_TOLERANCE if tolerance is None else tolerance) if numerical else 0.0

    reduction, threshold = reduce(net.program, point, used)
    reduction = exactly(reduction)
    nearby = reduction.take_back().theta
    generic = dimension(net, rng=seed, n_threads=threads)
    there = nearby.astype(float) if numerical else point
    jacobian = jacobian_rank(net, there, rng=seed, n_threads=threads)
    tangents = _Tangents(net.program, generic.upper_bound + 2, generator, threads)
    judged = _Judge(net, nearby, reduction, generic, tangents, generator).verdict()

    sub, sub_theta, residual = None, None, 0.0
    if reduction.steps:
        sub, sub_theta = as_network(reduction.state.program), reduction.state.theta
        if numerical:
            sub_theta = sub_theta.astype(float)
            residual = _residual(net, point, sub, sub_theta)
    inactive, redundant = _units(net, reduction)
    rank = jacobian.rank
    return PointAnalysis(
        rank=rank,
        generic_rank=generic.dimension,
        rank_drop=generic.dimension - rank,
        n_params=net.n_params,
        kernel_dimension=net.n_params - rank,
        fibre_dimension=(_fibre_at_least(net, nearby, reduction, generic, tangents), net.n_params - rank),
        inactive=inactive,
        redundant=redundant,
        subnetwork=sub,
        sub_theta=sub_theta,
        sub_dimension=None if sub is None else dimension(sub, rng=seed, n_threads=threads),
        residual=residual,
        verdict=judged.verdict,
        kind=judged.kind,
        theorem=judged.theorem,
        hypotheses=judged.hypotheses,
        reason=judged.reason,
        tangent_dimension=judged.tangent_dimension,
        proved=judged.proved,
        jacobian=jacobian,
        dimension=generic,
        theta=nearby if numerical else point,
        tolerance=used,
        margin=threshold.smallest_nonzero / used if used else math.inf,
        seed=seed,
        network=repr(net),
    )


def as_point(theta: object, n_params: int, exact: bool) -> Array:
    """One real parameter vector: float64, or dtype object with ints and Fractions."""
    array = _to_array(theta, "theta")
    check_shape(array, "theta", (("n_params", n_params),))
    if array.dtype.kind == "c":
        raise TypeError("`theta` must be real, got complex numbers")
    if array.dtype.kind == "f" and not exact:
        return as_real_array(theta, "theta")
    return as_rational_array(theta, "theta") if exact else as_exact_array(theta, "theta").astype(object)


def as_network(program: Program) -> Network:
    """The program as the family it belongs to, if that is a fully connected one."""
    chain = dense_chain(program)
    if chain is not None and len(set(chain.biases)) == 1:
        net = MLP(chain.widths, tuple(list(a) for a in chain.activations), bias=chain.biases[0])
        if net.program == program:
            return net
    return Network(program)


def _units(net: Network, reduction: Reduction) -> tuple[tuple[RedundantUnit, ...], tuple[RedundantUnit, ...]]:
    """The units left out that are constant or not read, and the others."""
    program = net.program
    blocks = zip(net._layout, program.parameters)
    names = {block.instruction: name for name, block in blocks if block.kind == "W"}
    numbers = {layer.before: number for number, layer in enumerate(hidden_layers(program), 1)}
    inactive, redundant = list[RedundantUnit](), list[RedundantUnit]()
    for step in reduction.steps:
        if isinstance(step, UnitStep):
            origin = step.before.origins[step.layer.before]
            others = tuple((step.labels[other], factor) for other, factor in step.factors)
            found = RedundantUnit(
                numbers[origin], step.labels[step.unit], names[origin], step.kind, others, step.constant
            )
            (inactive if step.kind in ("silent", "constant") else redundant).append(found)
        elif isinstance(step, LinearStep):
            origin = step.before.origins[step.layer.before]
            lost = [label for u, label in enumerate(step.labels) if u not in step.kept]
            redundant += [RedundantUnit(numbers[origin], label, names[origin], "unread") for label in lost]
    return tuple(inactive), tuple(redundant)


def _residual(net: Network, theta: Array, sub: Network, sub_theta: Array) -> float:
    """How far the two functions are apart at random points, relative to the largest value."""
    X = np.random.default_rng(0).standard_normal((4 + net.n_inputs, net.n_inputs))
    values = net.evaluate(theta, X)
    largest = float(np.abs(values).max())
    error = float(np.abs(values - sub.evaluate(sub_theta, X)).max())
    return error / largest if largest else error


def _short(number: Any) -> str:
    return str(number) if isinstance(number, int) or getattr(number, "denominator", 10**9) < 10**6 else f"{number:.4g}"


# --- tangent spaces ---------------------------------------------------------------------------------------------------


class _Tangents:
    """Tangent vectors of the function space at one of its points, over GF(p), seen by random functionals.

    A functional is a combination of the outputs at a random point; as many as are given suffice to see a dimension of
    that size. Ranks modulo p are at most those over the rationals.
    """

    def __init__(self, program: Program, n_functionals: int, generator: np.random.Generator, n_threads: int) -> None:
        self.program, self.n_threads = program, n_threads
        self.n_functionals = min(n_functionals, program.n_outputs * program.n_monomials)
        check_size(2 * self.n_functionals * program.n_params, 8, "the Jacobian at random points")
        denominators = math.lcm(*(Fraction(c).denominator for a in program.activations for c in a.numbers))
        self.p = next(p for p in WORD_PRIMES.draw(generator) if denominators % p and p > program.degree)
        self.constants = program.constants(self.p)
        self.X = generator.integers(0, self.p, (self.n_functionals, program.n_inputs), dtype=np.uint64)
        self.weights = generator.integers(0, self.p, (self.n_functionals, program.n_outputs), dtype=np.uint64)
        self.span = np.zeros((0, self.n_functionals), dtype=np.uint64)
        self.ranks: list[int] = []

    def at(self, theta: Array) -> NDArray[np.uint64]:
        """Images of the unit vectors, shape (n_params, n_functionals); ValueError if p divides a denominator."""
        residues = as_residues(theta, self.p, "theta")
        rows = self.program.engine.evaluate_vjp(
            residues, self.X, self.weights, modulus=self.p, constants=self.constants, n_threads=self.n_threads
        )
        return np.ascontiguousarray(rows.T)

    def values(self, theta: Array) -> NDArray[np.uint64]:
        """The functionals of the function itself, outputs one by one, shape (n_functionals, n_outputs)."""
        residues = as_residues(theta, self.p, "theta")
        return np.asarray(
            self.program.engine.evaluate(
                residues, self.X, modulus=self.p, constants=self.constants, n_threads=self.n_threads
            )
        )

    def add(self, theta: Array) -> bool:
        """Take in the image at another point of the fibre; whether the span has grown."""
        image = self.at(theta)
        self.ranks.append(modular_rank(image, self.p, n_threads=self.n_threads))
        both = np.concatenate([self.span, image])
        pivots, _ = echelon(both, self.p)
        grown = len(pivots) > len(self.span)
        self.span = both[: len(pivots)].copy()
        return grown

    def combine(self, theta: Array, directions: Array) -> NDArray[np.uint64]:
        """Images of these vectors (m, n_params) of residues, shape (m, n_functionals)."""
        ring = Numbers(_backend.kernels(), np.dtype(np.uint64), self.p)
        return np.asarray(ring.matmul(directions[None], self.at(theta)[None])[0])


# --- verdicts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Verdict:
    verdict: str
    kind: str = ""
    theorem: str = ""
    hypotheses: tuple[Hypothesis, ...] = ()
    reason: str = ""
    tangent_dimension: int = 0
    proved: bool = False


class _Judge:
    """Finds out what can be said of the function at a point."""

    def __init__(
        self,
        net: Network,
        theta: Array,
        reduction: Reduction,
        generic: DimensionResult,
        tangents: _Tangents,
        generator: np.random.Generator,
    ) -> None:
        self.net, self.program, self.theta = net, net.program, theta
        self.reduction, self.generic, self.tangents, self.generator = reduction, generic, tangents, generator
        self.dimension = generic.dimension

    def verdict(self) -> _Verdict:
        """The first rule that decides."""
        self._explore_fibre()
        rules = (self._interior, self._determinantal, self._symmetric, self._vertex, self._tangent_span, self._orbit)
        for rule in rules:
            found = rule()
            if found is not None:
                return replace(found, tangent_dimension=len(self.tangents.span))
        return replace(self._undecided(), tangent_dimension=len(self.tangents.span))

    def _random(self, shape: tuple[int, ...]) -> Array:
        """Small integers, none of them zero."""
        numbers = np.empty(shape, dtype=object)
        signs = self.generator.integers(0, 2, shape) * 2 - 1
        numbers[...] = (signs * self.generator.integers(1, 100, shape)).astype(object)
        return numbers

    def _explore_fibre(self) -> None:
        """Tangent vectors at the point and at other points with the same function, until nothing new is seen."""
        self.tangents.add(self.theta)
        quiet = 0
        for _ in range(_MAX_POINTS if self.reduction.steps else 0):
            if quiet == _QUIET_POINTS or len(self.tangents.span) == self.tangents.n_functionals:
                break
            grown = self.tangents.add(self.reduction.take_back(self._random).theta)
            quiet = 0 if grown else quiet + 1

    @property
    def _cusp_or_node(self) -> str:
        return "node" if max(self.tangents.ranks) >= self.dimension else "cusp"

    def _interior(self) -> _Verdict | None:
        """A preimage of full rank, where the closure of the function space is a linear space."""
        if max(self.tangents.ranks) < self.dimension:
            return None
        linear = "all polynomials" if self.generic.filling else self._linear_space()
        if not linear:
            return None
        where = "theta" if self.tangents.ranks[0] == self.dimension else "another point of the fibre"
        return _Verdict(
            "smooth",
            theorem="inverse function theorem",
            hypotheses=(
                Hypothesis(f"the function space is dense in a linear space of its dimension ({linear})", True),
                Hypothesis(f"dμ has full rank at a point of the fibre ({where})", True),
            ),
            reason=f"an interior point of a linear space: dμ has full rank {self.dimension} at {where}",
            proved=self.generic.filling,
        )

    def _linear_space(self) -> str:
        """Whether the functions span no more than the dimension of the function space, seen at random."""
        size = self.dimension + 1
        if self.dimension > _MAX_SPAN or size > self.tangents.n_functionals:
            return ""
        t, program = self.tangents, self.program
        thetas = self.generator.integers(0, t.p, (size, program.n_params), dtype=np.uint64)
        values = program.engine.evaluate(thetas, t.X[:size], modulus=t.p, constants=t.constants, n_threads=t.n_threads)
        ring = Numbers(_backend.kernels(), np.dtype(np.uint64), t.p)
        matrix = ring.multiply(np.ascontiguousarray(values), np.ascontiguousarray(t.weights[None, :size]))
        total = np.zeros(matrix.shape[:2], dtype=np.uint64)
        for o in range(matrix.shape[2]):
            total = (total + matrix[..., o]) % np.uint64(t.p)
        return "" if modular_rank(total, t.p) == size else "its linear span"

    def _determinantal(self) -> _Verdict | None:
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
            return _Verdict("smooth", "", theorem, hypotheses, "the function space is a linear space", proved=True)
        if rank == bound:
            words = f"the matrix has the largest possible rank {bound}"
            return _Verdict("smooth", "", theorem, hypotheses, words, proved=True)
        words = f"the matrix has rank {rank} < {bound}"
        return _Verdict("singular", "cusp" if rank else "vertex", theorem, hypotheses, words, proved=True)

    def _is_zero_matrix(self, chain: DenseChain) -> bool:
        return min(chain.widths) == 1 and any(not w.any() for w in self.reduction.state.weights.values())

    def _symmetric(self) -> _Verdict | None:
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
            return _Verdict("smooth", "", theorem, hypotheses, "the function space is a linear space", proved=True)
        if rank == k:
            words = f"the quadratic form has the largest possible rank {k}"
            return _Verdict("smooth", "", theorem, hypotheses, words, proved=True)
        words = f"the quadratic form has rank {rank} < {k}"
        return _Verdict("singular", self._cusp_or_node if rank else "vertex", theorem, hypotheses, words, proved=True)

    def _vertex(self) -> _Verdict | None:
        """The zero function of a cone that is not a linear space."""
        last = self.program.instructions[-1]
        if not isinstance(last, Affine) or last.bias or self.tangents.values(self.theta).any():
            return None
        if self.generic.filling or self._linear_space():
            return None
        return _Verdict(
            "singular",
            "vertex",
            "a cone that is smooth at its vertex is a linear space",
            (
                Hypothesis("the function is zero", True),
                Hypothesis("multiples of functions of the network are functions of the network", True),
                Hypothesis("the functions span more than the dimension of the function space", True),
            ),
            "the zero function is the vertex of a cone that is not a linear space",
            proved=self._seen_to_span_more(),
        )

    def _seen_to_span_more(self) -> bool:
        """Whether the dimension is certain: the larger span is, by its rank modulo a prime."""
        return self.generic.proved

    def _tangent_span(self) -> _Verdict | None:
        """Tangent vectors at several points of the fibre that span more than the dimension."""
        span = len(self.tangents.span)
        if span <= self.dimension:
            return None
        kind = self._cusp_or_node
        certain = span > self.generic.upper_bound
        at = "theta and other points" if len(self.tangents.ranks) > 1 else "theta"
        return _Verdict(
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

    def _orbit(self) -> _Verdict | None:
        """Linear maps of inputs and outputs move the function in all directions of the function space."""
        if self.dimension > _MAX_SPAN or self.tangents.ranks[0] < self.dimension:
            return None
        directions = self._linear_moves(self.dimension + 2)
        if directions is None:
            return None
        image = self.tangents.combine(self.theta, directions)
        if modular_rank(image, self.tangents.p) < self.dimension:
            return None
        return _Verdict(
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
        readers = [k for k, i in enumerate(program.instructions) if 0 in i.inputs]
        affines = [program.instructions[k] for k in readers]
        from_left = all(isinstance(a, Affine) and a.windows is None for a in affines)
        moved = all(isinstance(a, Affine) and a.bias for a in affines)
        last, final = program.instructions[-1], len(program.instructions) - 1
        from_right = isinstance(last, Affine)
        if not from_left and not from_right:
            return None
        n, m = program.n_inputs, state.weights[final].shape[0] if from_right else 0
        if count * (n * n + m * m) > 2**24:
            return None
        rows = []
        for _ in range(count):
            move = Parametrised(program, 0 * residues)
            if from_left:
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

    def _undecided(self) -> _Verdict:
        rank, span = self.tangents.ranks[0], len(self.tangents.span)
        hypotheses = (
            Hypothesis("theta has the function of a smaller network", bool(self.reduction.steps)),
            Hypothesis(f"images of dμ at points of the fibre span more than {self.dimension} dimensions", False),
            Hypothesis(f"dμ has full rank {self.dimension} at theta", rank == self.dimension),
        )
        if rank == self.dimension:
            words = "dμ has full rank: the function space has a smooth branch there; other branches are not excluded"
        else:
            words = f"the rank drops, but tangent vectors found at points of the fibre span only {span} dimensions"
        return _Verdict("undecided", hypotheses=hypotheses, reason=words)


# --- fibres -----------------------------------------------------------------------------------------------------------


def _fibre_at_least(
    net: Network, theta: Array, reduction: Reduction, generic: DimensionResult, tangents: _Tangents
) -> int:
    """Dimension of the known part of the fibre at a point, and of the generic fibre, over the complex numbers.

    The known part is the orbit, under the symmetries, of a linear space of parameters with the same function: units
    that are not read may read anything, units that are multiples may share what is read of them.
    """
    program, p = net.program, tangents.p
    base = tangents.values(theta)
    generator = np.random.default_rng(p)
    kept: list[Array] = []
    for group in _fibre_directions(program, theta, reduction):
        several = [*kept, *group]
        if len(several) * program.n_params > _MAX_ENTRIES:
            break
        moved = theta.astype(object)
        for direction in several:
            moved = moved + int(generator.integers(1, 1000)) * direction
        if (tangents.values(moved) == base).all():
            kept = several
    q = action_prime(program, math.lcm(*(Fraction(x).denominator for x in (*theta, *itertools.chain(*kept)))))
    rows = np.array([as_residues(direction, q, "theta") for direction in kept], dtype=np.uint64)
    rows = rows.reshape(len(kept), program.n_params)
    with suppress(MemoryError):  # wide linear layers have many symmetries: go without
        action = infinitesimal_action(program, as_residues(theta, q, "theta").astype(np.int64), q)
        rows = np.concatenate([rows, action.astype(np.uint64)])
    known = modular_rank(rows, q) if rows.size else 0
    return max(known, net.n_params - generic.dimension)


def _fibre_directions(program: Program, theta: Array, reduction: Reduction) -> Iterator[list[Array]]:
    """Directions in which single units can be changed, one group a unit."""
    whole = Parametrised(program, np.arange(program.n_params))  # positions of the parameters
    layers = {layer.before: layer for layer in hidden_layers(program)}
    for step in reduction.steps:
        if not isinstance(step, UnitStep):
            continue
        layer = layers[step.before.origins[step.layer.before]]
        unit = step.labels[step.unit]
        if step.kind == "silent" or step.zeroed:
            free = [*whole.weights[layer.before][unit]]
            free += [whole.biases[layer.before][unit]] if layer.before in whole.biases else []
            yield [_direction({at: 1}, program.n_params) for at in free]
            continue
        group = []
        for j in layer.after:
            columns = {u: whole.weights[j][:, whole.columns_of(layer, j, u)] for u in step.labels}
            for row, place in itertools.product(*map(range, columns[unit].shape)):
                entries = {columns[unit][row, place]: Fraction(1)}
                entries |= {columns[step.labels[u]][row, place]: -factor for u, factor in step.factors}
                if step.constant:
                    entries[whole.biases[j][row]] = -step.constant
                group.append(_direction(entries, program.n_params))
        yield group


def _direction(entries: dict[Any, Any], n_params: int) -> Array:
    result = np.zeros(n_params, dtype=object)
    for at, value in entries.items():
        result[int(at)] = value
    return result
