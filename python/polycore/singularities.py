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

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._reductions import (
    HeadStep,
    KeyStep,
    LinearStep,
    Reduction,
    Threshold,
    UnitStep,
    exactly,
    filter_support,
    head_ranks,
    reduce,
)
from ._tangents import Tangents, fibre_at_least
from ._validation import (
    FLOAT64,
    _describe,
    as_flag,
    as_point,
    as_real,
    as_rng,
    check_threads,
)
from ._verdicts import Hypothesis, Judge
from .activations import ActivationPolynomial
from .dimension import DimensionResult, dimension
from .jacobian_rank import JacobianRank, jacobian_rank, majorant
from .networks import MLP, LightningAttention, Network
from .program import Program
from .structure import (
    Parametrised,
    attention_heads,
    convolutions,
    dense_chain,
    hidden_layers,
    is_single_attention,
)

__all__ = ["AttentionRanks", "FilterEnds", "Hypothesis", "PointAnalysis", "RedundantUnit", "analyze_point"]

Array = NDArray[Any]

DEFAULT_TOLERANCE = 1e-9
# In words a unit that is this part of another, or less, is next to nothing.
_ALL_BUT_ZERO = 1e-4


# --- results ----------------------------------------------------------------------------------------------------------


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
class FilterEnds:
    """A convolution whose filters have zeros at an end, or are zero.

    Attributes
    ----------
    weights : str
        The array of `Network.unpack` with its filters.
    extent : tuple of int
        (length,) or (height, width).
    start, stop : tuple of int
        Along each axis the filters are zero outside start <= place < stop.
    zero : bool
        Whether they are zero altogether.
    """

    weights: str
    extent: tuple[int, ...]
    start: tuple[int, ...]
    stop: tuple[int, ...]
    zero: bool

    def __repr__(self) -> str:
        if self.zero:
            return f"{self.weights} is zero"
        ranges = " × ".join(f"{a}…{b - 1}" if b > a + 1 else f"{a}" for a, b in zip(self.start, self.stop))
        return f"{self.weights} of length {_times(self.extent)} is zero outside place {ranges}"


@dataclass(frozen=True)
class AttentionRanks:
    """A head of attention with KᵀQ or V of less than the largest possible rank.

    Attributes
    ----------
    keys, values : str
        The arrays K and V of `Network.unpack`.
    key_rank, value_rank : int
        Ranks of KᵀQ and of V.
    full_key_rank, full_value_rank : int
        Those of almost all heads of this size.
    """

    keys: str
    values: str
    key_rank: int
    value_rank: int
    full_key_rank: int
    full_value_rank: int

    def __repr__(self) -> str:
        name = self.keys[1:]
        return (
            f"K{name}ᵀQ{name} has rank {self.key_rank} of {self.full_key_rank}, "
            f"{self.values} rank {self.value_rank} of {self.full_value_rank}"
        )


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
    filters : tuple of FilterEnds
        Convolutions with zeros at the ends of their filters.
    heads : tuple of AttentionRanks
        Heads of attention that lack rank.
    positions : int
        In how many positions of its filters a convolutional network with one channel has this function: more than one
        where zeros at the ends let filters shift against each other. 1 for other networks.
    subnetwork : Network or None
        The smallest network found that has the function, None if it is the network itself.
    sub_theta : ndarray or None
        Its parameters.
    sub_dimension : DimensionResult or None
        The dimension of its own function space.
    inherits_critical_points : bool
        Whether ``theta`` is a critical point of every loss for which ``sub_theta`` is one of the subnetwork: the image
        of dμ is no larger there. So training of the network stays where that of the subnetwork ends. False where there
        is none.
    residual : float
        Largest difference of the two functions at random points, relative to the sum of absolute values of the terms of
        the polynomials; 0.0 is exact.
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
        Parameters of exactly the function that the verdict is about: as given if they are exact; else Fractions, with
        the relations found made exact: near those given, unless units depend on several others or KᵀQ lacks rank.
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
    filters: tuple[FilterEnds, ...]
    heads: tuple[AttentionRanks, ...]
    positions: int
    subnetwork: Network | None
    sub_theta: Array | None = field(compare=False)
    sub_dimension: DimensionResult | None
    inherits_critical_points: bool
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
        lines += _listed("units", [*self.inactive, *self.redundant])
        lines += _listed("filters", self.filters)
        lines += _listed("heads", self.heads)
        if self.subnetwork is not None and self.sub_dimension is not None:
            text = f"{_describe_part(self.subnetwork)}, dimension {self.sub_dimension.dimension}"
            inherits = self.inherits_critical_points and self.is_proper_subnetwork
            lines.append(("subnetwork", text + (", whose critical points are critical" if inherits else "")))
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
    threads = check_threads(n_threads)
    generator, seed = as_rng(rng)
    # Without parameters there is nothing to round.
    point = as_point(theta, net.n_params, is_exact or not net.n_params, real=True)
    numerical = point.dtype == FLOAT64
    used = _as_tolerance(tol, numerical)

    generic = dimension(net, rng=seed, n_threads=threads)
    reduction, threshold = reduce(net.program, point, used)
    reduction = exactly(reduction)
    nearby = reduction.take_back().theta if numerical else point
    if numerical and not _is_near(reduction):
        jacobian = jacobian_rank(net, point, tol=used, rng=seed, n_threads=threads)
    else:
        at = nearby.astype(float) if numerical else point
        jacobian = jacobian_rank(net, at, rng=seed, n_threads=threads)
    tangents = Tangents(net.program, generic.upper_bound + 2, generator, threads)
    judge = Judge(
        net.program, nearby, reduction, generic, tangents, generator, jacobian.rank if numerical else None, used
    )
    judged = judge.verdict()

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
        fibre_dimension=_fibre_dimension(net, nearby, reduction, generic.dimension, tangents, rank),
        inactive=inactive,
        redundant=redundant,
        filters=_filter_ends(net, nearby),
        heads=_attention_ranks(net, point, threshold),
        positions=judge.shifts.count if judge.shifts is not None else 1,
        subnetwork=sub,
        sub_theta=sub_theta,
        sub_dimension=None if sub is None else dimension(sub, rng=seed, n_threads=threads),
        inherits_critical_points=bool(reduction.steps)
        and tangents.within(nearby, reduction.state.program, reduction.state.theta),
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
        theta=nearby,
        tolerance=used,
        margin=threshold.smallest_nonzero / used if used else math.inf,
        seed=seed,
        network=repr(net),
    )


def _as_tolerance(tol: object, numerical: bool) -> float:
    """Below which part of the largest number a float counts as zero; 0 for what is exact."""
    if tol is None:
        return DEFAULT_TOLERANCE if numerical else 0.0
    tolerance = as_real(tol, "tol", 0.0)
    if not 0 < tolerance < 1:
        raise ValueError(f"`tol` must be between 0 and 1, got {tol}")
    if not numerical:
        raise ValueError("`tol` is for floats; what is exact needs none")
    return tolerance


def as_network(program: Program) -> Network:
    """The program as a network of the family it belongs to, if that is a fully connected one or a head of attention."""
    chain = dense_chain(program)
    if chain is not None and len(set(chain.biases)) == 1:
        net = MLP(chain.widths, tuple(map(ActivationPolynomial, chain.activations)), bias=chain.biases[0])
        if net.program == program:
            return net
    if is_single_attention(program):
        (head,) = attention_heads(program)
        if (head.key, head.query, head.value) == (0, 1, 2):  # products may be taken in another order
            return LightningAttention(head.d_model, head.d_key, head.d_out, n_tokens=head.n_tokens)
    return Network(program)


def _is_near(reduction: Reduction) -> bool:
    """Whether taking the reduction back leads to parameters near those it began with."""
    for step in reduction.steps:
        if isinstance(step, KeyStep) or (isinstance(step, HeadStep) and step.kind == "keys"):
            return False
        if isinstance(step, UnitStep) and (step.kind == "dependent" or step.zeroed):
            return False
    return True


def _fibre_dimension(
    net: Network, theta: Array, reduction: Reduction, generic: int, tangents: Tangents, rank: int
) -> tuple[int, int]:
    """What is known of the fibre, and the dimension of the kernel."""
    kernel = net.n_params - rank
    return min(fibre_at_least(net.program, theta, reduction, generic, tangents), kernel), kernel


def names_of_weights(net: Network) -> dict[int, str]:
    """The names of the weights of each affine instruction."""
    blocks = zip(net._layout, net.program.parameters)
    return {block.instruction: name for name, block in blocks if block.kind == "W"}


def _units(net: Network, reduction: Reduction) -> tuple[tuple[RedundantUnit, ...], tuple[RedundantUnit, ...]]:
    """The units left out that are constant or not read, and the others."""
    names = names_of_weights(net)
    numbers = {layer.before: number for number, layer in enumerate(hidden_layers(net.program), 1)}
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


def _filter_ends(net: Network, theta: Array) -> tuple[FilterEnds, ...]:
    """The convolutions with zeros at the ends of their filters."""
    state, names, found = Parametrised(net.program, theta), names_of_weights(net), list[FilterEnds]()
    for layer in convolutions(net.program) or ():
        start, stop = filter_support(state, layer, Threshold(0.0))
        zero = not state.weights[layer.instruction].any()
        if zero or (start, stop) != ((0,) * len(start), layer.extent):
            found.append(FilterEnds(names[layer.instruction], layer.extent, start, stop, zero))
    return tuple(found)


def _attention_ranks(net: Network, theta: Array, threshold: Threshold) -> tuple[AttentionRanks, ...]:
    """The heads that lack rank."""
    state, names, found = Parametrised(net.program, theta), names_of_weights(net), list[AttentionRanks]()
    for head in attention_heads(net.program):
        keys, values = head_ranks(state, head, threshold)
        full_keys, full_values = min(head.d_key, head.d_model), min(head.d_out, head.d_model)
        if (keys, values) != (full_keys, full_values):
            found.append(AttentionRanks(names[head.key], names[head.value], keys, values, full_keys, full_values))
    return tuple(found)


def _residual(net: Network, theta: Array, sub: Network, sub_theta: Array) -> float:
    """How far the two functions are apart at random points, relative to the terms that they are sums of."""
    X = np.random.default_rng(0).standard_normal((4 + net.n_inputs, net.n_inputs))
    terms = float(Network(majorant(net.program)).evaluate(np.abs(theta), np.abs(X)).max())
    error = float(np.abs(net.evaluate(theta, X) - sub.evaluate(sub_theta, X)).max())
    return error / terms if terms else error


def _listed(name: str, items: Sequence[object]) -> list[tuple[str, str]]:
    """Lines of a summary, abbreviated."""
    lines = [(name if i == 0 else "", repr(item)) for i, item in enumerate(items[:6])]
    return [*lines, ("", f"and {len(items) - 6} more")] if len(items) > 6 else lines


def _describe_part(net: Network) -> str:
    """A subnetwork in words: convolutions that begin at other places than usual have no shorter name."""
    layers = convolutions(net.program) if type(net) is Network else None
    if layers is None:
        return repr(net)
    sizes = ", ".join(_times(layer.extent) for layer in layers)
    channels = [layer.n_out for layer in layers]
    return f"filters of length {sizes}" + (f", channels {channels}" if max(channels) > 1 else "")


def words_of_part(analysis: PointAnalysis) -> str:
    """The subnetwork whose function it is, and what of the network is left out; "" if there is none."""
    net = analysis.subnetwork
    if net is None:
        return ""
    name = f"widths {net.widths}" if isinstance(net, MLP) else _describe_part(net)
    units = [_words_of_unit(unit) for unit in (*analysis.inactive, *analysis.redundant)]
    left_out = units + [repr(item) for item in (*analysis.filters, *analysis.heads)]
    return f"{name}: {', '.join(left_out)}" if left_out else name


def _words_of_unit(unit: RedundantUnit) -> str:
    """What is left out, where a unit that is all but off is not told as a multiple of another with a tiny factor."""
    if unit.kind != "multiple" or unit.constant:
        return repr(unit)
    ((other, factor),) = unit.relation
    small, large = (unit.unit, other) if abs(factor) < 1 else (other, unit.unit)
    if _ALL_BUT_ZERO <= abs(factor) <= 1 / _ALL_BUT_ZERO:
        return repr(unit)
    return f"unit {small} of {unit.weights} is all but zero beside unit {large}"


def _times(extent: tuple[int, ...]) -> str:
    return " × ".join(map(str, extent))


def _short(number: Any) -> str:
    short = isinstance(number, int) or (isinstance(number, Fraction) and number.denominator < 10**6)
    return str(number) if short else f"{float(number):.4g}"
