# SPDX-License-Identifier: BSD-3-Clause
"""Is a coefficient vector that of a function of the network, over the real numbers?

Where the functions of a family are known by equations and inequalities, they decide:

* linear networks: ranks, exactly, or as a distance (C. Eckart, G. Young 1936);
* one hidden layer of powers: sums of powers of linear forms, see `polycore._sums_of_powers`; with biases where these
  only make the forms inhomogeneous;
* one layer of lightning attention: products of linear forms, see `polycore._single_attention`;
* linear convolutions of stride one in one dimension: a filter is a polynomial, the composition a product, and it has
  as many real zeros at least as there are filters of even size (K. Kohn, T. Merkh, G. Montúfar, M. Trager, *Geometry of
  linear convolutional networks*, 2022).

For all others there are necessary conditions: the linear span, ranks at the first and last layer, equations of low
degree; and parameters may be found numerically. "no" is said only with a condition that is violated, "yes" only with a
theorem or with parameters, everything else is "undecided".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _exact_matrices as rationals
from . import _linalg, _single_attention, _sums_of_powers
from . import _univariate as univariate
from ._sums_of_powers import Decision
from ._validation import _describe, as_rational_array, as_rng
from .dimension import dimension
from .equations import Equations, equations
from .errors import NumericalError
from .monomials import MonomialBasis, count_monomials
from .networks import Network
from .program import Affine, Program
from .rank import modular_rank
from .recovery import recover
from .spans import LinearSpan, as_numbers, as_tolerance, span_of_program
from .structure import (
    AttentionHead,
    DenseChain,
    attention_heads,
    convolutions,
    dense_chain,
    dense_readers,
    is_single_attention,
)

__all__ = ["Membership", "contains"]

Exact: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
# Why there is no function of the network nearby, and whether the closure is.
Obstruction: TypeAlias = tuple[str, bool | None]

_UNDECIDED = Decision("undecided", None, "", "")
# Of equations of low degree that are looked for where nothing else decides.
_MOST_MONOMIALS = 600
_SPAN_COEFFICIENTS = 20_000
# Starts for parameters of what is known to be contained, and the largest denominators of exact ones that are tried.
_FEW_STARTS = 32
_SIMPLE = 1000
# Multiplications in a step of all starts.
_SEARCH = 10**8
# Relative residual of parameters that are taken for exact ones.
_NUMERICAL = 1e-10


@dataclass(frozen=True, eq=False)
class Membership:
    """Whether a coefficient vector is that of a function of a network, made by ``net.contains``.

    It is true or false in conditions if it is decided, and an error if not.

    Attributes
    ----------
    verdict : str
        "yes", "no" or "undecided".
    closure : bool or None
        Whether it is in the Zariski closure of the functions, over the complex numbers: whether it satisfies all
        equations. None if that is not known.
    proved : bool
        Whether the verdict is certain. "no" always is; "yes" if it comes from a theorem applied to exact numbers, or
        with exact parameters. Otherwise parameters were found whose coefficients are these to tolerance or to rounding.
    method : str
        How it was decided.
    reason : str
        Why.
    certificate : str
        For "no": the condition that is violated.
    theta : ndarray of shape (n_params,), or None
        Parameters with these coefficients, if any were found; objects if they are exact.
    residual : float or None
        ‖net.expand(theta) − coef‖ / ‖coef‖ for ``theta``.
    distance : float or None
        The least residual of all parameters, where that is known.
    tol : float
        Relative tolerance: of floats it is asked whether a function of the network is within tol · ‖coef‖, in the
        Euclidean norm of all coefficients. 0.0 if it is asked exactly.
    seed : int
        ``rng=seed`` reproduces the result.

    Examples
    --------
    Dimension speaks of the closure: three binary cubes fill the space, two real ones miss this function.

    >>> from polycore import MLP
    >>> net = MLP((2, 2, 1), activation=3)
    >>> net.contains([[1, 0, -1, 0]])  # x^3 - x y^2
    MLP((2, 2, 1), activation=3)
      contained   no, proved
      closure     yes
      method      apolarity and real zeros
      reason      it is a limit, or complex, but no real sum of powers
      violated    the only form of degree 2 that is apolar to it has zeros that are not real: 0 of 2 are
    >>> bool(net.contains([[1, 0, 3, 0]]))
    True
    """

    verdict: str
    closure: bool | None
    proved: bool
    method: str
    reason: str
    certificate: str
    theta: NDArray[Any] | None
    residual: float | None
    distance: float | None
    tol: float
    seed: int
    network: str = field(default="")

    def __bool__(self) -> bool:
        if self.verdict == "undecided":
            raise ValueError(f"it is undecided whether the network contains it: {self.reason}; look at `verdict`")
        return self.verdict == "yes"

    def __repr__(self) -> str:
        certainty = ", proved" if self.proved else f", to tolerance {self.tol:.2g}" if self.tol else ", to rounding"
        lines = [self.network, f"  contained   {self.verdict}{certainty if self.verdict != 'undecided' else ''}"]
        if self.closure is not None:
            lines.append(f"  closure     {'yes' if self.closure else 'no'}")
        lines += [f"  method      {self.method}", f"  reason      {self.reason}"]
        if self.certificate:
            lines.append(f"  violated    {self.certificate}")
        if self.residual is not None:
            lines.append(f"  parameters  with relative residual {self.residual:.2g}")
        if self.distance is not None:
            lines.append(f"  distance    {self.distance:.2g} (relative)")
        return "\n".join(lines)


def contains(net: Network, coef: ArrayLike, *, tol: float | None = None, rng: object = 0) -> Membership:
    """See `Network.contains`, which is this with a network in front."""
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    net.program.require_concrete()
    tolerance, (generator, seed) = as_tolerance(tol), as_rng(rng)
    numbers = as_numbers(coef, "coef")
    shape = (("n_outputs", net.n_outputs), ("n_monomials", net.basis.n_monomials))
    rational = as_rational_array(numbers, "coef", shape)
    exactly = tolerance == 0 or (tol is None and numbers.dtype == object)
    question = _Question(net, rational, 0.0 if exactly else tolerance, generator)
    answer = question.decide_exactly() if exactly else question.decide_to_tolerance()
    decision = answer.decision
    return Membership(
        verdict=decision.verdict,
        closure=decision.closure,
        proved=decision.verdict != "undecided" and answer.proved,
        method=decision.method,
        reason=decision.reason,
        certificate=decision.certificate,
        theta=answer.theta,
        residual=None if answer.theta is None else question.residual(answer.theta),
        distance=answer.distance,
        tol=question.tol,
        seed=seed,
        network=repr(net),
    )


@dataclass(frozen=True, eq=False)
class _Answer:
    """A decision, parameters if there are any, the distance if it is known."""

    decision: Decision
    proved: bool = True
    theta: NDArray[Any] | None = None
    distance: float | None = None


class _Family(Protocol):
    """Networks whose functions are known by equations and inequalities."""

    def decide(self, coef: Exact, rng: np.random.Generator) -> Decision:
        """Whether exact coefficients are those of a function."""

    def obstruct(self, coef: Floats, radius: float) -> Obstruction:
        """Why no function is within this distance, and the closure; ("", None) if that is not shown."""


class _Question:
    """One network, one coefficient vector."""

    def __init__(self, net: Network, rational: Exact, tol: float, rng: np.random.Generator) -> None:
        self.net, self.program, self.rational, self.tol, self.rng = net, net.program, rational, tol, rng
        self.families = _recognise(net.program)
        # The others are asked only of what is in the linear span.
        self._need_no_span = any(isinstance(family, _COMPLETE) for family in self.families)
        if not self._need_no_span and self.span is None:
            self.families = [family for family in self.families if not isinstance(family, _Convolutions)]

    @cached_property
    def floats(self) -> Floats:
        """The coefficients as floats."""
        try:
            return np.array([float(c) for c in self.rational.reshape(-1)]).reshape(self.rational.shape)
        except OverflowError:
            raise OverflowError("`coef` has a number that is out of range for float64") from None

    @cached_property
    def exponent(self) -> int:
        """That of a power of two by which coefficients are divided where sizes must not overflow."""
        return int(np.frexp(np.abs(self.floats).max())[1])

    @cached_property
    def scaled(self) -> Floats:
        """The coefficients, of moderate size."""
        return np.asarray(np.ldexp(self.floats, -self.exponent))

    @cached_property
    def size(self) -> float:
        """‖scaled‖."""
        return float(np.linalg.norm(self.scaled))

    @cached_property
    def span(self) -> LinearSpan | None:
        """The linear span of the functions, if it is cheap and certain."""
        if self.net.n_outputs * self.net.basis.n_monomials > _SPAN_COEFFICIENTS:
            return None
        span = span_of_program(self.program, self.rng, 1e-12, "")
        return span if span.proved else None

    # --- exactly ------------------------------------------------------------------------------------------------------

    def decide_exactly(self) -> _Answer:
        """Whether the coefficients, exact numbers, are those of a function."""
        if (zero := self._zero()) is not None:
            return zero
        closure = None
        if not self._need_no_span and self.span is not None and not self.span.contains(self.rational):
            return _Answer(_outside_span(self.span))
        for family in self.families:
            decision = family.decide(self.rational, self.rng)
            if decision.verdict == "yes":
                return _Answer(decision, theta=self._witness(family))
            if decision.verdict == "no":
                return _Answer(decision)
            closure = closure if decision.closure is None else decision.closure
        return self._by_parameters() or self._by_equations(closure)

    def _zero(self) -> _Answer | None:
        """All parameters zero, which often give the function zero; the only choice if there are none."""
        theta = np.zeros(self.net.n_params, dtype=object)
        function = self.net.expand(theta, dtype=object)
        if np.array_equal(function, self.rational):
            return _Answer(Decision("yes", True, "parameters", "all parameters are zero"), theta=theta)
        if len(theta):
            return None
        square, off = (sum(x * x for x in array.reshape(-1)) for array in (self.rational, function - self.rational))
        if off <= Fraction(self.tol) ** 2 * square:
            return _Answer(Decision("yes", True, "parameters", "there are no parameters"), theta=theta)
        reason = "the network has no parameters and one function, which is another"
        return _Answer(Decision("no", False, "no parameters", reason))

    def _witness(self, family: _Family) -> NDArray[Any] | None:
        """Parameters for what is known to be contained: exact ones, or those that are found."""
        if isinstance(family, _Linear):
            theta = family.parameters(self.rational)
            assert np.array_equal(self.net.expand(theta, dtype=object), self.rational), "report this"
            return theta
        try:
            found = recover(self.net, self.floats, rng=self.rng, n_starts=_FEW_STARTS)
        except (NumericalError, OverflowError):
            return None
        return found.theta if found.found else None

    @property
    def _n_starts(self) -> int:
        """As many as can be afforded: a step factors a Jacobian for each."""
        step = self.floats.size * self.net.n_params**2
        return max(_FEW_STARTS // 4, min(8 * _FEW_STARTS, _SEARCH // step))

    def _by_parameters(self) -> _Answer | None:
        """Parameters found numerically, and exact ones if they are simple numbers."""
        try:
            tol = self.tol or _NUMERICAL
            found = recover(self.net, self.floats, rng=self.rng, tol=tol, n_starts=self._n_starts)
        except (NumericalError, OverflowError):
            return None
        if not found.found:
            return None
        if not self.tol:
            simple = np.array([Fraction(x).limit_denominator(_SIMPLE) for x in found.theta.tolist()], dtype=object)
            if np.array_equal(self.net.expand(simple, dtype=object), self.rational):
                return _Answer(Decision("yes", True, "parameters", "exact parameters were found"), theta=simple)
        reason = f"parameters were found, with relative residual {found.residual:.2g}"
        return _Answer(Decision("yes", True, f"parameters: {found.method}", reason), False, found.theta)

    def _by_equations(self, closure: bool | None) -> _Answer:
        """Equations of low degree; otherwise it is undecided."""
        span = self.span
        reason = "no parameters were found, which does not prove that there are none"
        if span is None or closure is not None:
            return _Answer(Decision("undecided", closure, "search for parameters", reason))
        if dimension(self.net, rng=self.rng).dimension == span.dimension:
            reason += "; the functions fill their linear span but for a set of lower dimension, or for inequalities"
            return _Answer(Decision("undecided", True, "search for parameters", reason))
        degree = 2
        while count_monomials(span.dimension + 1, degree, homogeneous=True) <= _MOST_MONOMIALS:
            found = equations(self.net, degree, rng=self.rng)
            if found.proved and (words := self._violated(found)):
                reason = f"an equation of degree {degree} does not hold"
                return _Answer(Decision("no", False, "equations", reason, words))
            degree += 1
        reason += f"; equations of degree below {degree} hold"
        return _Answer(Decision("undecided", None, "search for parameters, and equations", reason))

    def _violated(self, found: Equations) -> str:
        """An equation that does not hold, and to tolerance neither nearby."""
        if not len(found):
            return ""
        if not self.tol:
            values = found(self.rational)
            return next((text for text, value in zip(found.text(max_terms=8), values) if value), "")
        exponent = 0 if found.homogeneous else self.exponent
        point = np.ldexp(self.scaled.reshape(1, -1)[:, found.positions], exponent)
        radius = math.ldexp(self.tol * self.size, exponent)
        factors = found.coef.astype(np.float64)
        # A polynomial with the absolute values of the coefficients bounds how much values change.
        bounds = found.monomials.evaluate(abs(factors), np.concatenate([abs(point) + radius, abs(point)]))
        certain = abs(found.monomials.evaluate(factors, point)[:, 0]) > bounds[:, 0] - bounds[:, 1] * (1 - 1e-12)
        return next((f"{t}, and so nearby" for t, yes in zip(found.text(max_terms=8), certain) if yes), "")

    # --- to tolerance -------------------------------------------------------------------------------------------------

    def residual(self, theta: NDArray[Any]) -> float:
        """‖expand(θ) − coef‖ / ‖coef‖; exact parameters have been checked."""
        if theta.dtype == object:
            return 0.0
        try:
            coef = np.ldexp(self.net.expand(theta), -self.exponent)
        except NumericalError:
            return math.inf
        return float(np.linalg.norm(coef - self.scaled)) / (self.size or 1.0)

    def decide_to_tolerance(self) -> _Answer:
        """Whether a function is within tol · ‖coef‖."""
        if (zero := self._zero()) is not None:
            return zero
        radius = self.tol * self.size
        words, closure = ("", None) if self._need_no_span else self._off_span(radius)
        if words:
            return _Answer(Decision("no", closure, "linear span", "it is outside the linear span", words))
        for family in self.families:
            if isinstance(family, _Linear):
                return self._by_distance(family)
            words, closure = family.obstruct(self.scaled, radius)
            if words:
                return _Answer(
                    Decision("no", closure, "with a margin for the tolerance", "a condition is violated", words)
                )
        closure, as_given = None, ""
        for family in self.families:
            decision = family.decide(self.rational, self.rng)
            if decision.verdict == "yes":
                return _Answer(decision, theta=self._witness(family))
            if decision.verdict == "no":
                closure, as_given = decision.closure, f"exactly as given it is not, since {decision.certificate}"
                break
            closure = closure if decision.closure is None else decision.closure
        answer = self._by_parameters() or self._by_equations(closure)
        if answer.decision.verdict == "undecided" and as_given:
            return replace(answer, decision=replace(answer.decision, reason=f"{as_given}; {answer.decision.reason}"))
        return answer

    def _off_span(self, radius: float) -> Obstruction:
        if self.span is None or self.span.dimension == self.span.ambient_dimension:
            return "", None
        flat = self.scaled.reshape(-1)
        basis = np.asarray(self.span).reshape(self.span.dimension, -1)
        distance = np.linalg.norm(flat - np.linalg.lstsq(basis.T, flat)[0] @ basis)
        if distance > radius + 1e-13 * self.size * math.sqrt(len(flat)):
            return f"its distance from the linear span is {distance / self.size:.2g} of its norm", False
        return "", None

    def _by_distance(self, family: _Linear) -> _Answer:
        theta, least = family.nearest(self.scaled)
        theta[family.last_layer] = np.ldexp(theta[family.last_layer], self.exponent)
        residual, least = self.residual(theta), least / self.size
        distance = residual if residual <= least * (1 + 1e-9) + 1e-12 else None
        method = "singular values"
        if residual <= self.tol:
            reason = "the nearest matrices of the ranks that the widths allow"
            return _Answer(Decision("yes", True, method, reason), False, theta, distance)
        if least > self.tol:
            words = f"its distance from the matrices of rank at most {family.rank} is {least:.2g} of its norm"
            reason = "singular values beyond the rank that the widths allow are too large"
            return _Answer(Decision("no", False, method, reason, words), True, theta, distance)
        reason = f"the distance is between {least:.2g} and {residual:.2g}"
        return _Answer(Decision("undecided", None, method, reason), True, theta)


def _outside_span(span: LinearSpan) -> Decision:
    certificate = f"it is outside the linear span of the functions, of dimension {span.dimension}"
    return Decision("no", False, "linear span", "a linear equation does not hold", certificate)


# --- families ---------------------------------------------------------------------------------------------------------


def _recognise(program: Program) -> list[_Family]:
    """What is known of the functions of a program, the most telling first."""
    families: list[_Family] = []
    chain = dense_chain(program)
    if chain is not None:
        families += _recognise_chain(chain)
    if is_single_attention(program):
        families.append(_Attention(attention_heads(program)[0]))
    families += _Convolutions.recognise(program)
    families += _DenseEnds.recognise(program)
    return families


def _recognise_chain(chain: DenseChain) -> list[_Family]:
    activations = list(zip(chain.activations, chain.biases))
    if all(len(a) == 2 and (a[0] == 0 or bias) for a, bias in activations):
        return [_Linear(chain)]
    if len(chain.widths) != 3:
        return []
    ((n, k, m), (coefficients,)) = chain.widths, chain.activations
    r = len(coefficients) - 1
    is_power = r >= 2 and not any(coefficients[:-1])
    if r == 2 and m == 1 and chain.biases == (True, True):
        return [_BiasedQuadratic(n, k)]
    if is_power and n == 1 and chain.biases == (True, True):
        return [_BiasedUnivariate(k, r)]
    if is_power and chain.biases != (True, True):
        return [_Powers(n + chain.biases[0], r, k)]
    return []


@dataclass(frozen=True)
class _Linear:
    """Affine maps x ↦ W x + b. All biases but the last can be zero.

    With the last bias after affine map j, [b W] = B [β A], where B is a product of maps through the layers d_j, …, d_L
    and A one through d_0, …, d_j: rank W <= min d, and rank [b W] <= min(d_j, …, d_L), which is enough.
    """

    chain: DenseChain

    @property
    def last_layer(self) -> slice:
        """The parameters by which all functions are scaled."""
        n, m = self.chain.widths[-2:]
        return slice(-m * (n + self.chain.biases[-1]), None)

    @property
    def rank(self) -> int:
        """Bound of the rank of W."""
        return min(self.chain.widths)

    @property
    def _last(self) -> int:
        """j, the number of the last affine map with a bias, from 1; 0 if there is none."""
        return max((i + 1 for i, bias in enumerate(self.chain.biases) if bias), default=0)

    @property
    def rank_with_bias(self) -> int:
        """Bound of the rank of [b W]."""
        return min(self.chain.widths[self._last :])

    def decide(self, coef: Exact, rng: np.random.Generator) -> Decision:
        """Ranks over the rationals."""
        rows, method = coef.tolist(), "rank"
        rank = rationals.rank([row[-self.chain.widths[0] :] for row in rows])
        if rank > self.rank:
            return self._refused(f"the matrix has rank {rank}", self.rank)
        with_bias = rationals.rank(rows)
        if self._last and with_bias > self.rank_with_bias:
            return self._refused(f"the matrix with the constants has rank {with_bias}", self.rank_with_bias)
        return Decision("yes", True, method, f"the matrix has rank {rank}, and the widths allow {self.rank}")

    def _refused(self, words: str, bound: int) -> Decision:
        certificate = f"{words}, but the widths allow {bound}"
        return Decision("no", False, "rank", f"{bound + 1} × {bound + 1} minors do not vanish", certificate)

    def obstruct(self, coef: Floats, radius: float) -> Obstruction:
        """Singular values."""
        words = f"the distance from the matrices of rank at most {self.rank} is larger"
        return (words, False) if self._least_distance(coef) > radius else ("", None)

    def _least_distance(self, coef: Floats) -> float:
        """At least so far is the nearest function (Eckart–Young)."""
        values = _linalg.singular_values(coef[:, -self.chain.widths[0] :])
        with_bias = _linalg.singular_values(coef) if self._last else values
        return max(float(np.linalg.norm(values[self.rank :])), float(np.linalg.norm(with_bias[self.rank_with_bias :])))

    def parameters(self, coef: Exact) -> NDArray[Any]:
        """Exact parameters of coefficients that are contained."""

        def factors(matrix: Exact) -> tuple[Exact, Exact]:
            reduced, pivots = rationals.echelon(matrix.tolist())
            right = np.array(reduced, dtype=object).reshape(len(pivots), matrix.shape[1])
            return matrix[:, pivots], right

        return np.asarray(self._assemble(coef, factors))

    def nearest(self, coef: Floats) -> tuple[Floats, float]:
        """Parameters of a function near by, the nearest unless two ranks are bounded; and a bound of its distance."""
        matrix = coef.copy()
        matrix[:, -self.chain.widths[0] :] = _truncated(coef[:, -self.chain.widths[0] :], self.rank)
        if self._last > 0:
            matrix = _truncated(matrix, self.rank_with_bias)

        def factors(block: Floats) -> tuple[Floats, Floats]:
            u, values, vt = _linalg.svd(block)
            rank = int(np.count_nonzero(values > 1e-13 * max(1e-300, values.max(initial=0.0))))
            rank = min(rank, self.rank_with_bias if block.shape[1] > self.chain.widths[0] else self.rank)
            return u[:, :rank] * values[:rank], vt[:rank]

        return self._assemble(matrix, factors), self._least_distance(coef)

    def _assemble(
        self, coef: NDArray[Any], factors: Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]
    ) -> Any:
        """Layers through which a matrix [b W] goes, given a way to factor matrices through their rank."""
        widths, j, last = self.chain.widths, self._last, len(self.chain.widths) - 1
        offset = coef[:, 0] if j else None
        matrix = coef[:, -widths[0] :]
        targets: dict[int, NDArray[Any]] = {}
        if 0 < j < last:
            targets[last], right = factors(coef)
            offset, matrix = right[:, 0], right[:, 1:]
        else:
            j = last
        # The linear part, through the layers 1, …, j.
        if j == 1:
            targets[1] = matrix
        else:
            targets[j], targets[1] = factors(matrix)
        blocks = []
        for layer, (n, m, bias) in enumerate(zip(widths, widths[1:], self.chain.biases), 1):
            constant, slope = self.chain.activations[layer - 1] if layer < last else (0, 1)
            weights = np.zeros((m, n), dtype=coef.dtype)
            target = targets.get(layer, np.eye(m, n, dtype=np.int64))
            weights[: target.shape[0], : target.shape[1]] = target
            blocks.append(_divided(weights, slope).reshape(-1))
            if bias:
                shift = np.zeros(m, dtype=coef.dtype)
                if layer == self._last and offset is not None:
                    shift[: len(offset)] = offset
                blocks.append(_divided(shift - _like(constant, coef), slope))
        return np.concatenate(blocks)


def _like(number: Any, array: NDArray[Any]) -> Any:
    return Fraction(number) if array.dtype == object else float(number)


def _divided(array: NDArray[Any], number: Any) -> NDArray[Any]:
    if array.dtype == object:
        return np.array([Fraction(x) / Fraction(number) for x in array.reshape(-1)], dtype=object).reshape(array.shape)
    return array / float(number)


def _truncated(matrix: Floats, rank: int) -> Floats:
    if min(matrix.shape) <= rank:
        return matrix
    u, values, vt = _linalg.svd(matrix)
    return np.asarray((u[:, :rank] * values[:rank]) @ vt[:rank])


@dataclass(frozen=True)
class _Powers:
    """One hidden layer of k units z^r. A bias before it makes the forms inhomogeneous; one after it is a constant."""

    n: int
    r: int
    k: int

    def _forms(self, coef: NDArray[Any]) -> NDArray[Any]:
        # In graded order the forms of the highest degree come last.
        return np.asarray(coef[:, -count_monomials(self.n, self.r, homogeneous=True) :])

    def _others(self, coef: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(coef[:, 1 : coef.shape[1] - count_monomials(self.n, self.r, homogeneous=True)])

    def decide(self, coef: Exact, rng: np.random.Generator) -> Decision:
        """Sums of powers."""
        if self._others(coef).any():
            certificate = f"it has terms of degree between 0 and {self.r}"
            return Decision("no", False, "degrees", "a linear equation does not hold", certificate)
        return _sums_of_powers.decide(self._forms(coef).tolist(), self.n, self.r, self.k, rng)

    def obstruct(self, coef: Floats, radius: float) -> Obstruction:
        """Sums of powers."""
        if np.linalg.norm(self._others(coef)) > radius:
            return f"it has terms of degree between 0 and {self.r}, and so nearby", False
        return _sums_of_powers.obstruct(self._forms(coef), self.n, self.r, self.k, radius)


@dataclass(frozen=True)
class _BiasedQuadratic:
    """Polynomials of degree 2, Σ a_j (w_j·x + b_j)² + c: those with a symmetric matrix [[·, sᵀ], [s, S]] of rank k.

    The corner is free. If s is in the column space of S it can be chosen so that the rank is that of S; otherwise the
    rank is that of S plus 2. Since S + ε s sᵀ has s in its column space, the closure is rank [s S] <= k.
    """

    n: int
    k: int

    def _matrix(self, coef: NDArray[Any]) -> NDArray[Any]:
        """Twice [s S], shape (n, n + 1)."""
        matrix = np.zeros((self.n, self.n + 1), dtype=coef.dtype)
        matrix[:, 0] = coef[0, 1 : self.n + 1]
        for (i, j), c in zip(((i, j) for i in range(self.n) for j in range(i, self.n)), coef[0, self.n + 1 :]):  # noqa: B020
            matrix[i, j + 1] += c
            matrix[j, i + 1] += c
        return matrix

    def decide(self, coef: Exact, rng: np.random.Generator) -> Decision:
        """Ranks over the rationals."""
        matrix = self._matrix(coef)
        quadratic, with_linear = rationals.rank(matrix[:, 1:].tolist()), rationals.rank(matrix.tolist())
        needed = quadratic if with_linear == quadratic else quadratic + 2
        method, closure = "rank of the quadratic part", with_linear <= self.k
        if needed <= self.k:
            return Decision("yes", True, method, f"it needs {needed} units")
        words = f"the quadratic part has rank {quadratic}, and the linear part is not in its column space"
        certificate = words if needed > quadratic else f"the quadratic part has rank {quadratic}"
        reason = f"it needs {needed} units" + (", but it is a limit of functions of fewer" if closure else "")
        return Decision("no", closure, method, reason, certificate)

    def obstruct(self, coef: Floats, radius: float) -> Obstruction:
        """Singular values of [s S]."""
        values = _linalg.singular_values(self._matrix(coef))
        if self.k < self.n and values[self.k] > 2 * radius + 1e-13 * self.n * values[0]:
            return f"the quadratic and linear parts together have rank more than {self.k}, and so nearby", False
        return "", None


@dataclass(frozen=True)
class _BiasedUnivariate:
    """Functions of one variable Σ_j a_oj (w_j x + b_j)^r + c_o: derivatives are sums of k powers z^(r−1), w_j ≠ 0."""

    k: int
    r: int

    def decide(self, coef: Exact, rng: np.random.Generator) -> Decision:
        """Apolarity of the derivatives, as binary forms in the constant and x."""
        forms = [[i * c for i, c in enumerate(row)][1:] for row in coef.tolist()]
        if not any(map(any, forms)):
            return Decision("yes", True, "constants", "the function is constant")
        space = _sums_of_powers.apolar_space(forms, self.r - 1, self.k)
        if not space:
            certificate = f"no form of degree {self.k} is apolar to the derivative"
            return Decision("no", False, "apolarity", "an equation of the closure does not hold", certificate)
        if univariate.form_degree_drop(univariate.forms_common_divisor(space)):
            certificate = f"every form of degree {self.k} apolar to the derivative vanishes where the weight is zero"
            return Decision("no", True, "apolarity", "it is a limit of functions with growing biases", certificate)
        return _sums_of_powers.decide_hyperbolic(space, forms, self.k, rng)

    def obstruct(self, coef: Floats, radius: float) -> Obstruction:
        """Of the derivatives, which change at most r times as much."""
        if self.r < 3:
            return "", None
        forms = coef[:, 1:] * np.arange(1, self.r + 1)
        return _sums_of_powers.obstruct(forms, 2, self.r - 1, self.k, self.r * radius)


@dataclass(frozen=True)
class _Attention:
    """One layer of lightning attention with one head."""

    head: AttentionHead

    def decide(self, coef: Exact, rng: np.random.Generator) -> Decision:
        """Products of linear forms."""
        return _single_attention.decide(coef, self.head)

    def obstruct(self, coef: Floats, radius: float) -> Obstruction:
        """Products of linear forms."""
        return _single_attention.obstruct(coef, self.head, radius)


# They decide without the linear span.
_COMPLETE = (_Linear, _Powers, _BiasedQuadratic, _BiasedUnivariate, _Attention)


@dataclass(frozen=True)
class _Convolutions:
    """Linear convolutions of stride one: the filter, read as a polynomial, is a product of real ones.

    Real zeros come singly and others in pairs, so a polynomial is a product of real ones of degrees k_l − 1 iff it has
    as many real zeros, with multiplicity and infinity, as there are odd ones among these.
    """

    positions: tuple[int, ...]
    n_odd: int

    @staticmethod
    def recognise(program: Program) -> list[_Family]:
        """The program as such, or nothing."""
        layers = convolutions(program)
        if layers is None or len(layers) < 2:
            return []
        steps = {b - a for layer in layers for a, b in pairwise(layer.offsets)}
        for layer in layers:
            linear = len(layer.coefficients) == 2 and layer.coefficients[0] == 0
            if not linear or layer.n_out > 1 or layer.bias or len(layer.columns[0]) > 1 or len(layer.extent) > 1:
                return []
        if len(steps) != 1:
            return []
        # With positive weights the coefficients of the filter are those that are not zero.
        ones = np.ones(program.n_params, dtype=object)
        positions = np.flatnonzero(Network(program).expand(ones, dtype=object)[0])
        return [_Convolutions(tuple(positions.tolist()), sum(len(layer.offsets) % 2 == 0 for layer in layers))]

    def decide(self, coef: Exact, rng: np.random.Generator) -> Decision:
        """Real zeros, by Sturm's theorem."""
        form = coef[0, list(self.positions)].tolist()
        method = "real zeros of the filter"
        real = univariate.count_real_points_with_multiplicity(form)
        words = f"the filter, as a polynomial, has {real} real zeros, and {self.n_odd} filters have odd degree"
        if real >= self.n_odd:
            return Decision("yes", True, method, words)
        return Decision("no", True, method, "it is a product of complex filters, but not of real ones", words)

    def obstruct(self, coef: Floats, radius: float) -> Obstruction:
        """Real zeros of all polynomials nearby."""
        zeros = _sums_of_powers.certain_real_zeros(coef[0, list(self.positions)], radius)
        if zeros is None or zeros >= self.n_odd:
            return "", None
        words = f"the filter, as a polynomial, has {zeros} real zeros, and so nearby, and {self.n_odd} are needed"
        return words, True


@dataclass(frozen=True)
class _DenseEnds:
    """Ranks that a dense first or last layer bounds.

    Outputs that are combinations of w functions, and constants, have a coefficient matrix of rank at most w but for the
    constants. Functions of w linear forms have gradients in a space of dimension w.
    """

    basis: MonomialBasis
    outputs: int | None
    inputs: int | None

    @staticmethod
    def recognise(program: Program) -> list[_Family]:
        """The bounds that are less than the sizes."""
        last = program.instructions[-1]
        outputs = None
        if isinstance(last, Affine) and last.windows is None and program.widths[last.input] < program.n_outputs:
            outputs = program.widths[last.input]
        readers, inputs = dense_readers(program), None
        if readers is not None:
            total = sum(program.widths[k + 1] for k in readers)
            inputs = total if total < program.n_inputs else None
        return [_DenseEnds(program.basis, outputs, inputs)] if outputs or inputs else []

    def _not_constant(self, coef: NDArray[Any]) -> NDArray[Any]:
        return coef if self.basis.homogeneous and self.basis.degree else coef[:, 1:]

    def _gradients(self, coef: NDArray[Any]) -> NDArray[Any]:
        """Coefficients of the partial derivatives, one column for each variable."""
        exponents, n = self.basis.exponents, self.basis.n_vars
        lower = MonomialBasis(n, max(0, self.basis.degree - 1), self.basis.homogeneous)
        columns = np.zeros((len(coef), lower.n_monomials, n), dtype=coef.dtype)
        for i in range(n):
            with_x = np.flatnonzero(exponents[:, i])
            shifted = exponents[with_x] - np.eye(n, dtype=np.int64)[i]
            columns[:, np.asarray(lower.index(shifted), dtype=np.intp), i] = coef[:, with_x] * exponents[with_x, i]
        return columns.reshape(-1, n)

    def decide(self, coef: Exact, rng: np.random.Generator) -> Decision:
        """Ranks modulo a prime, which are never too large."""
        for bound, matrix, words in self._matrices(coef):
            denominators = math.lcm(*(Fraction(x).denominator for x in matrix.reshape(-1)))
            rank = modular_rank([[int(x * denominators) for x in row] for row in matrix.tolist()]) if matrix.size else 0
            if rank > bound:
                certificate = f"{words} has rank {rank}, but the layer allows {bound}"
                return Decision(
                    "no", False, "rank at a layer", f"{bound + 1} × {bound + 1} minors do not vanish", certificate
                )
        return _UNDECIDED

    def _matrices(self, coef: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any], str]]:
        if self.outputs is not None:
            yield self.outputs, self._not_constant(coef), "the matrix of coefficients, one row for each output,"
        if self.inputs is not None:
            yield self.inputs, self._gradients(coef), "the matrix of first derivatives"

    def obstruct(self, coef: Floats, radius: float) -> Obstruction:
        """Singular values."""
        for bound, matrix, words in self._matrices(coef):
            factor = max(1, self.basis.degree)
            values = _linalg.singular_values(matrix) if min(matrix.shape) > bound else np.zeros(bound + 1)
            if values[bound] > factor * radius + 1e-13 * len(values) * values[0]:
                return f"{words} has rank more than {bound}, and so nearby", False
        return "", None
