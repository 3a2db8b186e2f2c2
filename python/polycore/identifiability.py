# SPDX-License-Identifier: BSD-3-Clause
"""Whether a network's parameters can be read off its function, and from which activation degree on.

A network is *globally identifiable* if almost every function it can represent has one parameter vector only, up to
permutations and scalings of hidden units, *finitely identifiable* if it has finitely many. A unit with the activation
c z^r, or c (z − a)^r + k where biases absorb a and k, has one scaling; units with other polynomials have none. So
finitely identifiable means dimension == n_params − number of scalings, which the rank of the Jacobian at one point can
prove; many architectures need no rank, because a theorem decides.

Sources
-------
[U] K. Usevich, R. Borsoi, C. Dérand, M. Clausel, *Identifiability of deep polynomial neural networks*, NeurIPS 2025,
    arXiv:2506.17093 (numbers of the third version).
[F] B. Finkel, J. I. Rodriguez, C. Wu, T. Yahl, *Activation degree thresholds and expressiveness of polynomial neural
    networks*, Algebraic Statistics 16 (2025), arXiv:2408.04569.
[K] J. Kileel, M. Trager, J. Bruna, *On the expressive power of deep polynomial neural networks*, NeurIPS 2019,
    arXiv:1905.12207.
[A] J. Alexander, A. Hirschowitz, *Polynomial interpolation in several variables*, J. Algebraic Geom. 4 (1995).
[B] H. Abo, M. C. Brambilla, *On the dimensions of secant varieties of Segre–Veronese varieties*, Ann. Mat. Pura
    Appl. 192 (2013), and the literature there.
[C] L. Chiantini, G. Ottaviani, N. Vannieuwenhoven, *On generic identifiability of symmetric tensors of subgeneric
    rank*, Trans. AMS 369 (2017), arXiv:1504.00547.

Legend: a network has widths d_0, ..., d_L, and activations of degree r_1, ..., r_{L−1}; layer ℓ is the hidden layer of
width d_ℓ, 0 < ℓ < L, and *block ℓ* the two-layer network (d_{ℓ−1}, d_ℓ, d_{ℓ+1}) around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil, prod
from typing import Literal, TypeAlias

from ._validation import _describe, as_index, as_probability, as_rng, check_choice, check_threads
from .bounds import ALEXANDER_HIRSCHOWITZ, upper_bound
from .dimension import DimensionResult, dimension
from .modular import format_bound
from .networks import MLP, Network
from .program import MAX_ACTIVATION_DEGREE, Activation, Affine, Coefficient, Instruction, Program
from .symmetries import as_shifted_power, scaled_parameters

__all__ = [
    "ActivationThreshold",
    "Check",
    "Identifiability",
    "ThresholdStep",
    "activation_threshold",
    "identifiability",
]

Verdict: TypeAlias = Literal["global", "finite", "not", "undecided"]

_PHRASES = {
    "global": "globally identifiable",
    "finite": "finitely identifiable",
    "not": "not identifiable",
    "undecided": "undecided",
}
# More lines than this do not help anyone who looks at a result; `checks` has all.
_SHOWN_CHECKS = 10
# (d_0, d_1, d_2, r), see [B]: the exceptions that are not explained by counting. In the first, three quadrics in four
# variables that are sums of the same five squares make a skew-symmetric matrix of order 12 and rank 10: its Pfaffian
# vanishes.
_DEFECTIVE_BLOCKS = {(4, 5, 3, 2), (4, 6, 5, 2), (3, 5, 2, 3)}
# Fewer powers than the generic rank, and yet two decompositions, see [C].
_TWO_DECOMPOSITIONS = {(3, 9, 6), (4, 8, 4), (6, 9, 3)}


# -- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """A condition of a theorem, evaluated.

    Attributes
    ----------
    name : str
        The theorem, with its source in brackets.
    statement : str
        The condition with its numbers, as it is: true to read whether it is what the theorem asks or not.
    holds : bool
        Whether it is what the theorem asks.
    establishes : "global", "finite", "not" or None
        The verdict that follows; None if nothing does.
    """

    name: str
    statement: str
    holds: bool
    establishes: Verdict | None = None

    def __repr__(self) -> str:
        return f"{self.name}: {'' if self.holds else 'fails, '}{self.statement}"


@dataclass(frozen=True)
class Identifiability:
    """Whether parameters can be read off a function, and why; made by `identifiability`.

    Attributes
    ----------
    verdict : "global", "finite", "not" or "undecided"
        Of almost every function of the network: it has one parameter vector up to permutations and scalings ("global"),
        finitely many, one perhaps ("finite"), or infinitely many ("not").
    proved : bool
        Whether the verdict is certain.
    error_bound : float
        0.0 if proved. Else a bound of the probability, over the random choices, that the verdict is wrong; 1.0 for
        "undecided".
    theorem : str
        What decides: a theorem with its source, or the rank certificate.
    reason : str
        That theorem with its numbers.
    checks : tuple of Check
        Everything that was looked at, in order.
    n_params : int
        Number of parameters.
    scalings : int
        How many of them the scalings of hidden units make up for.
    fibre_dimension : int or None
        Of the set of parameters with the same function; it is ``scalings`` exactly for identifiable networks. None
        where it was not needed.
    dimension : DimensionResult or None
        The rank computation, where there was one.
    seed : int
        ``rng=seed`` reproduces the result.
    network : str
        What it is about.

    Examples
    --------
    >>> identifiability(MLP((5, 4, 3, 1), activation=2))
    MLP((5, 4, 3, 1), activation=2)
      verdict     not identifiable, proved
      theorem     a quadratic layer with one output is invariant under orthogonal maps [K]
      reason      layer 2: r_2 = 2 and d_3 = 1, a sum of 3 squares
      parameters  35, of which 7 scalings
      checks      block 1, a necessary count [U]: (5, 4, 3) with r = 2: 28 parameters modulo scalings <= 45 coefficients
    """

    verdict: Verdict
    proved: bool
    error_bound: float
    theorem: str
    reason: str
    checks: tuple[Check, ...]
    n_params: int
    scalings: int
    fibre_dimension: int | None
    dimension: DimensionResult | None
    seed: int
    network: str = field(default="", compare=False)

    def __repr__(self) -> str:
        certainty = ", proved" if self.proved else f", wrong with probability < {format_bound(self.error_bound)}"
        fibres = "" if self.fibre_dimension is None else f", fibres of dimension {self.fibre_dimension}"
        others = [check for check in self.checks if check.name != self.theorem]
        shown = [repr(check) for check in others[:_SHOWN_CHECKS]]
        if len(others) > _SHOWN_CHECKS:
            shown.append(f"... and {len(others) - _SHOWN_CHECKS} more in .checks")
        lines = [
            self.network,
            f"  verdict     {_PHRASES[self.verdict]}{'' if self.verdict == 'undecided' else certainty}",
            *([f"  theorem     {self.theorem}"] if self.theorem else []),
            f"  reason      {self.reason}",
            f"  parameters  {self.n_params}, of which {self.scalings} scalings{fibres}",
        ]
        lines += [("  checks      " if i == 0 else " " * 14) + text for i, text in enumerate(shown)]
        return "\n".join(lines)


@dataclass(frozen=True)
class ThresholdStep:
    """One activation degree of `activation_threshold`: is the dimension as expected?

    ``dimension`` is an upper bound of it if ``source`` is "bound", else the dimension ("theorem") or the rank found
    ("rank"); ``proved`` says whether the answer ``as_expected`` is certain.
    """

    degree: int
    dimension: int
    expected: int
    as_expected: bool
    source: Literal["theorem", "bound", "rank"]
    proved: bool
    error_bound: float = 0.0

    def __repr__(self) -> str:
        sign = "<= " if self.source == "bound" else ""
        doubt = "" if self.proved else f", or more with probability < {format_bound(self.error_bound)}"
        return f"r = {self.degree}: {sign}{self.dimension} of {self.expected} ({self.source}{doubt})"


@dataclass(frozen=True)
class ActivationThreshold:
    """From which activation degree on the dimension is as expected; made by `activation_threshold`.

    Attributes
    ----------
    threshold : int or None
        The least r0 >= 1 such that MLP(widths, activation=r) has the expected dimension for all r >= r0; r0 − 1, if
        positive, is the last degree at which it does not. None if there is no such r0, or if it was not found, see
        ``exists``.
    exists : bool
        Whether there is one.
    at_most : int or None
        A proven upper bound of the threshold; the threshold itself unless ranks were too large to compute.
    proved : bool
        Whether ``threshold``, or that there is none, is certain.
    error_bound : float
        0.0 if proved. Else a bound of the probability that the threshold is smaller; 1.0 if it was not found.
    theorem_bound : int or None
        From this degree on a theorem says so for all r.
    theorem : str
        Which one.
    computed : tuple of ThresholdStep
        The degrees below ``theorem_bound``, downwards to the first one without the expected dimension.
    reason : str
        The theorem with its numbers, and which part was computed.
    widths : tuple of int
    seed : int
        ``rng=seed`` reproduces the result.

    Examples
    --------
    >>> activation_threshold((2, 4, 3, 2)).threshold
    5
    >>> activation_threshold((2, 1, 2, 2)).exists
    False
    """

    threshold: int | None
    exists: bool
    at_most: int | None
    proved: bool
    error_bound: float
    theorem_bound: int | None
    theorem: str
    computed: tuple[ThresholdStep, ...]
    reason: str
    widths: tuple[int, ...]
    seed: int

    def __repr__(self) -> str:
        if not self.exists:
            verdict = "none exists"
        elif self.threshold is None:
            verdict = f"not found, at most {self.at_most}"
        else:
            verdict = str(self.threshold)
        if self.proved:
            verdict += ", proved"
        elif self.threshold is not None:
            verdict += f", or less with probability < {format_bound(self.error_bound)}"
        lines = [f"widths {self.widths}", f"  threshold  {verdict}"]
        if self.theorem_bound is not None:
            lines.append(f"  theorem    every r >= {self.theorem_bound}: {self.theorem}")
        lines.append(f"  reason     {self.reason}")
        shown = [*self.computed[:3], *self.computed[3:][-2:]]
        lines += [("  computed   " if i == 0 else " " * 13) + repr(step) for i, step in enumerate(shown)]
        return "\n".join(lines)


# -- identifiability --------------------------------------------------------------------------------------------------


def identifiability(
    net: Network,
    rng: object = 0,
    primes: int = 2,
    *,
    method: str = "auto",
    max_error: float = 1e-9,
    n_threads: int = 0,
) -> Identifiability:
    """Whether the parameters of a network can be read off its function, up to permutations and scalings of units.

    Parameters
    ----------
    net : Network
        Of any family.
    rng : int or numpy.random.Generator
        A seed for ranks; from a Generator a 64-bit seed is drawn.
    primes, max_error, n_threads
        See `dimension`.
    method : "auto", "theorems" or "rank"
        "auto" asks the theorems, which takes no time at any size, and computes a rank if none of them decides;
        "theorems" and "rank" do one of the two only.

    Returns
    -------
    Identifiability
        Verdict, whether it is proved, and the reason.

    Raises
    ------
    TypeError
        If ``net`` is not a network, or another argument is of the wrong kind.
    ValueError
        If ``method``, ``primes``, ``max_error`` or ``n_threads`` is out of range.
    MemoryError, OverflowError
        With ``method="rank"``, if the network is too large for it. ("auto" is "undecided" then.)

    Notes
    -----
    *Not* identifiable is proved by an upper bound of the dimension below n_params − scalings: a linear hidden layer, a
    layer with more units than there are independent features, a block with more parameters than coefficients, a width
    of one before a wider layer, or the bounds of `dimension`. A rank that is too small proves it only where such a
    bound is met; else the verdict carries the error bound of the rank.

    *Finitely* is proved by the rank at one point, or by a theorem: the localisation theorem ([U], theorem 11,
    proposition 27 with biases) asks that every block be finitely identifiable with its inputs cut to the narrowest
    width before it, and its consequences for pyramids, bottlenecks and large degrees are tried first.

    *Globally* is proved for two layers by Kruskal's theorem ([U], proposition 12, corollary 28), by [C] for single
    outputs, and for networks that reduce to one unit or none. Deep networks are conjectured to be globally identifiable
    wherever localisation applies ([U], conjecture 40); here they are "finite".

    Hidden layers of width one at the end of a network without biases are skipped: there f = w · g^R, and g is the only
    root of g^R up to a factor, so that the network before them decides.

    Complexity that of `dimension` if a rank is needed, else a few operations for each pair of layers.

    Examples
    --------
    >>> identifiability(MLP((3, 4, 3), activation=3)).verdict
    'global'
    >>> result = identifiability(MLP((2, 3, 3, 1), activation=3))
    >>> result.verdict, result.proved
    ('not', True)
    >>> result.reason.split(":")[0]
    'the dimension is at most 10 < 12 = 18 parameters − 6 scalings'
    >>> result = identifiability(MLP((2, 4, 3, 2), activation=5))
    >>> result.verdict, result.theorem
    ('finite', 'localisation [U, theorem 11]')
    >>> for reason in result.reason.split("; "):
    ...     print(reason)
    layer 1: (2, 4, 3) by r = 5 >= (2·4 − min(4, 3)) / (min(4, 2) − 1) = 5
    layer 2: (2, 3, 2) by r = 5 >= (2·3 − min(3, 2)) / (min(3, 2) − 1) = 4
    """
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    check_choice(method, "method", ("auto", "theorems", "rank"))
    ranks = _Ranks.from_arguments(rng, primes, max_error, n_threads)
    program = net.program
    chain = _Chain.from_program(program)
    checks: list[Check] = []
    if method != "rank":
        for check in _theorems(program, chain):
            checks.append(check)
            if check.establishes in ("global", "not"):
                break
    # "not" and "global" end the list; of the theorems that establish "finite" the most special one comes first.
    n_theorems = len(checks)
    deciding = [check for check in checks if check.establishes]
    decisive = next((check for check in deciding if check.establishes != "finite"), deciding[0] if deciding else None)
    result: DimensionResult | None = None
    error = 0.0
    if decisive is None and method != "theorems":
        decisive, result, error = _by_rank(net, chain, ranks, checks, fall_back=method == "auto")
    verdict: Verdict = decisive.establishes if decisive and decisive.establishes else "undecided"
    scalings = _count_scalings(program, chain)
    fibre = None if result is None else result.fibre_dimension
    if decisive is not None:
        reason = decisive.statement
    else:
        error = 1.0
        reason = "; ".join(check.statement for check in checks[n_theorems:]) or "no theorem decides"
    return Identifiability(
        verdict=verdict,
        proved=decisive is not None and error == 0.0,
        error_bound=error,
        theorem=decisive.name if decisive else "",
        reason=reason,
        checks=tuple(checks),
        n_params=program.n_params,
        scalings=scalings,
        fibre_dimension=scalings if verdict in ("global", "finite") else fibre,
        dimension=result,
        seed=ranks.seed,
        network=repr(net),
    )


@dataclass(frozen=True)
class _Ranks:
    """The arguments of `dimension`, checked before a theorem makes them unnecessary."""

    seed: int
    primes: int
    max_error: float
    n_threads: int

    @classmethod
    def from_arguments(cls, rng: object, primes: object, max_error: object, n_threads: object) -> _Ranks:
        n_primes = as_index(primes, "primes", 1)
        largest_error = as_probability(max_error, "max_error")
        return cls(as_rng(rng)[1], n_primes, largest_error, check_threads(n_threads))

    def dimension(self, net: Network) -> DimensionResult:
        return dimension(net, self.seed, self.primes, max_error=self.max_error, n_threads=self.n_threads)


def _by_rank(
    net: Network, chain: _Chain | None, ranks: _Ranks, checks: list[Check], fall_back: bool
) -> tuple[Check | None, DimensionResult | None, float]:
    """What the rank says, and the probability that it is wrong; on blocks only, where the network is too large."""
    n_params, scalings = net.n_params, _count_scalings(net.program, chain)
    needed = n_params - scalings
    count = f"{needed} = {n_params} parameters − {scalings} scalings"
    try:
        result = ranks.dimension(net)
    except (MemoryError, OverflowError) as error:
        if not fall_back:
            raise
        checks.append(Check("rank of the Jacobian", f"too large: {error}", False))
        return _localise_by_rank(chain, ranks, checks), None, 0.0
    if result.dimension == needed:
        statement = f"the Jacobian has rank {count} at a random point modulo {result.primes[-1]}"
        checks.append(Check("rank certificate", statement, True, "finite"))
        return checks[-1], result, 0.0
    if chain is None:
        statement = f"the rank is {result.dimension} < {count}, but other symmetries than scalings may be known"
        checks.append(Check("rank of the Jacobian", statement, False))
        return None, result, 0.0
    fibres = f"generic fibres have dimension {result.fibre_dimension}, not {scalings}"
    statement = f"the dimension is {result.dimension} < {count}: {fibres}"
    checks.append(Check("rank of the Jacobian", statement, False, "not"))
    return checks[-1], result, 0.0 if result.upper_bound < needed else result.error_bound


def _localise_by_rank(chain: _Chain | None, ranks: _Ranks, checks: list[Check]) -> Check | None:
    """The localisation theorem, the blocks decided by theorems or ranks."""
    if chain is None or not chain.in_scope:
        return None
    for layer, (block, degree) in enumerate(chain.skip_last_units().narrowed_blocks(), 1):
        name = f"layer {layer}, its block"
        if any(check.establishes for check in _two_layers(block, degree)):
            continue
        needed = block[1] * (block[0] + block[2] - 1)
        try:
            rank = ranks.dimension(MLP(block, activation=degree)).dimension
        except (MemoryError, OverflowError) as error:
            checks.append(Check(name, f"too large: {error}", False))
            return None
        checks.append(Check(name, f"{block} with r = {degree} has rank {rank} of {needed}", rank == needed))
        if rank < needed:
            return None
    blocks = "every block, its inputs cut to the narrowest width before it, is finitely identifiable by theorem or rank"
    checks.append(Check(f"localisation {chain.localisation_source}", blocks, True, "finite"))
    return checks[-1]


# -- a network as a chain of layers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Hidden:
    """The activation of a hidden layer.

    ``support`` are the degrees of its terms. ``power`` is r if units have a scaling: c z^r, or c (z − a)^r + k where
    biases absorb a and k.
    """

    support: tuple[int, ...]
    power: int | None

    @property
    def degree(self) -> int:
        return self.support[-1] if self.support else 0


@dataclass(frozen=True)
class _Chain:
    """affine, activation, affine, ..., affine: widths d_0..d_L, L − 1 hidden layers, whether each affine has a bias.

    ``plain`` says that nothing else happens, such as an activation of the outputs.
    """

    widths: tuple[int, ...]
    hidden: tuple[_Hidden, ...]
    biases: tuple[bool, ...]
    plain: bool = True

    @classmethod
    def from_program(cls, program: Program) -> _Chain | None:
        """The chain that leads to the output, or None if activations follow each other that are not powers."""
        path = _path(program)
        affines = [k for k, instruction in enumerate(path) if isinstance(instruction, Affine)]
        biases = tuple(instruction.bias for instruction in path if isinstance(instruction, Affine))
        hidden = []
        for layer, (k, following) in enumerate(pairwise(affines)):
            between = [a.coefficients for a in path[k + 1 : following] if isinstance(a, Activation)]
            if len(between) > 1 and not all(_is_power(coefficients) for coefficients in between):
                return None
            degree = prod(len(coefficients) - 1 for coefficients in between)
            combined = between[0] if len(between) == 1 else (*(0,) * degree, 1)
            hidden.append(_as_hidden(combined, biases[layer], biases[layer + 1]))
        widths = (program.n_inputs, *(instruction.n_out for instruction in path if isinstance(instruction, Affine)))
        plain = affines[:1] == [0] and affines[-1] == len(path) - 1
        return cls(widths, tuple(hidden), biases, plain)

    @property
    def is_homogeneous(self) -> bool:
        """No biases, powers only."""
        return not any(self.biases) and all(hidden.power is not None for hidden in self.hidden)

    @property
    def in_scope(self) -> bool:
        """Whether the theorems of [U] speak of it: powers, and biases everywhere or nowhere."""
        powers = all(hidden.power is not None for hidden in self.hidden)
        return self.plain and powers and len(set(self.biases)) == 1

    @property
    def n_params(self) -> int:
        return sum(b * (a + bias) for (a, b), bias in zip(pairwise(self.widths), self.biases))

    @property
    def localisation_source(self) -> str:
        return "[U, proposition 27]" if self.biases[0] else "[U, theorem 11]"

    @property
    def degrees(self) -> tuple[int, ...]:
        return tuple(hidden.degree for hidden in self.hidden)

    def skip_last_units(self) -> _Chain:
        """Without the hidden layers of width one at the end, if there are no biases; see `identifiability`."""
        if any(self.biases) or len(self.widths) < 3 or self.widths[-2] > 1:
            return self
        cut = replace(self, widths=self.widths[:-1], hidden=self.hidden[:-1], biases=self.biases[:-1])
        return cut.skip_last_units()

    def narrowed_blocks(self) -> list[tuple[tuple[int, int, int], int]]:
        """The blocks of the localisation theorem, homogenised: widths (d̃_{ℓ−1}, d_ℓ, d_{ℓ+1}) and r_ℓ."""
        d, extra = self.widths, int(self.biases[0])
        return [
            ((min(d[:layer]) + extra, d[layer] + extra, d[layer + 1]), degree)
            for layer, degree in enumerate(self.degrees, 1)
        ]

    def count_terms(self, start: int, layer: int, cap: int) -> int:
        """Dimension of a space that contains the features of a layer as polynomials in the values of an earlier one.

        It contains the constant too if the next weights have a bias. Counted up to ``cap`` only.
        """
        n_vars, between = self.widths[start], self.hidden[start:layer]
        degree = prod(hidden.degree for hidden in between)
        if any(self.biases[start:layer]) or (len(between) > 1 and any(len(hidden.support) != 1 for hidden in between)):
            return _count_forms(n_vars + 1, degree, cap)
        support = set(between[0].support) if len(between) == 1 else {degree}
        support |= {0} if self.biases[layer] else set()
        return min(cap, sum(_count_forms(n_vars, degree, cap) for degree in support))


def _path(program: Program) -> list[Instruction]:
    """The instructions from the inputs to the output."""
    path, slot = [], len(program.instructions)
    while slot:
        path.append(program.instructions[slot - 1])
        slot = path[-1].input
    return path[::-1]


def _is_power(coefficients: Sequence[Coefficient]) -> bool:
    return coefficients[-1] != 0 and all(c == 0 for c in coefficients[:-1])


def _as_hidden(coefficients: tuple[Coefficient, ...], biased: bool, biased_after: bool) -> _Hidden:
    support = tuple(i for i, c in enumerate(coefficients) if c != 0)
    shifted_power = as_shifted_power(coefficients)
    if shifted_power is None:
        return _Hidden(support, None)
    degree, _, shift, constant = shifted_power
    if degree == 1:
        is_absorbed = biased or biased_after or not constant
    else:
        is_absorbed = (biased or not shift) and (biased_after or not constant)
    return _Hidden(support, degree if is_absorbed else None)


def _count_scalings(program: Program, chain: _Chain | None) -> int:
    if chain is None:
        return len(scaled_parameters(program))
    return sum(width for width, hidden in zip(chain.widths[1:], chain.hidden) if hidden.power)


def _count_forms(n_vars: int, degree: int, cap: int) -> int:
    """min(cap, C(n_vars + degree − 1, degree)), without the large binomials."""
    k = min(degree, n_vars - 1)
    top = n_vars - 1 + degree - k
    count = 1
    for i in range(1, k + 1):
        count = count * (top + i) // i
        if count >= cap:
            return cap
    return count


# -- theorems ---------------------------------------------------------------------------------------------------------


def _theorems(program: Program, chain: _Chain | None) -> Iterator[Check]:
    """The conditions that apply, evaluated, up to one that establishes "not" or "global"."""
    found = False
    for check in _conditions(program, chain):
        yield check
        if check.establishes in ("global", "not"):
            return
        found |= check.establishes is not None
    if not found:
        yield _bound_check(program, chain)


def _conditions(program: Program, chain: _Chain | None) -> Iterator[Check]:
    if program.n_params == 0:
        yield Check("there are no parameters", "n_params = 0", True, "global")
    if chain is None:
        return
    if program.n_params > chain.n_params:
        unused = program.n_params - chain.n_params
        yield Check("unused parameters", f"{unused} parameters have no influence on the output", False, "not")
    yield from _necessary_conditions(chain)
    if chain.in_scope:
        yield from _sufficient_conditions(chain)


def _bound_check(program: Program, chain: _Chain | None) -> Check:
    bound, scalings = upper_bound(program), _count_scalings(program, chain)
    needed = program.n_params - scalings
    name = "upper bound of the dimension"
    if bound.value >= needed or chain is None:
        return Check(name, f"at most {bound.value}, {needed} would be identifiable", bound.value >= needed)
    count = f"{needed} = {program.n_params} parameters − {scalings} scalings"
    return Check(name, f"the dimension is at most {bound.value} < {count}: {bound.reason}", False, "not")


def _necessary_conditions(chain: _Chain) -> Iterator[Check]:
    """Conditions without which a network is not identifiable, whatever surrounds the layers they are about."""
    if chain.is_homogeneous and 1 in chain.widths[:-1]:
        yield from _width_one(chain)
    for layer in range(1, len(chain.hidden) + 1):
        yield next(_defects(chain, layer), None) or _block_count(chain, layer)


def _width_one(chain: _Chain) -> Iterator[Check]:
    """What comes after a width of one is w · t^D for one vector w, however many parameters it has."""
    d, n_layers = chain.widths, len(chain.widths) - 1
    start = d.index(1)
    if max(d[start + 1 : n_layers], default=1) == 1:
        return
    tail = _count_modulo_scalings(d[start:])
    yield Check(
        "nothing wider may follow a width of one [F]",
        f"d_{start} = 1 makes {d[start:]} no more than w · t^D: {d[n_layers]} coefficients for {tail} "
        "parameters modulo scalings",
        False,
        "not",
    )


def _defects(chain: _Chain, layer: int) -> Iterator[Check]:
    """Reasons why a hidden layer cannot be identified, whatever surrounds its block."""
    before, width, after = chain.widths[layer - 1 : layer + 2]
    biased, biased_after = chain.biases[layer - 1 : layer + 1]
    hidden = chain.hidden[layer - 1]
    r = hidden.degree

    def no(name: str, statement: str) -> Check:
        return Check(name, f"layer {layer}: {statement}", False, "not")

    if r == 0:
        yield no("the activation is constant", "the weights before it have no influence")
        return
    if r == 1 and width > 1:
        yield no(
            "a linear layer is invariant under invertible maps [K]",
            f"it is linear of width {width}, so more than the scalings of its units is undone by the next weights",
        )
    if r == 1 and biased and biased_after:
        yield no("a linear layer is invariant under shifts", "the next bias undoes a shift of the units")
    n_features = width + biased_after
    for start in range(layer - 1, -1, -1):
        if start < layer - 1 and prod(chain.degrees[start:layer]) >= n_features:
            break  # degree + 1 monomials in two variables are enough, and more layers give more
        n_terms = chain.count_terms(start, layer, n_features)
        if n_terms < n_features:
            constant = " and the constant" if biased_after else ""
            variables = f"the {chain.widths[start]} {'inputs' if start == 0 else f'values of layer {start}'}"
            yield no(
                "the features of a layer must be independent [U, lemma 31]",
                f"{width} features{constant} in the {n_terms} monomials that {variables} allow",
            )
    if hidden.power == 2 and after == 1 and width > 1:
        yield no(
            "a quadratic layer with one output is invariant under orthogonal maps [K]",
            f"r_{layer} = 2 and d_{layer + 1} = 1, a sum of {width} squares",
        )
    if hidden.power and not biased:
        if after == 1 and (before, r, width) in ALEXANDER_HIRSCHOWITZ:
            yield no(
                "exceptions of Alexander and Hirschowitz [A]",
                f"sums of {width} powers of degree {r} in {before} variables are defective",
            )
        if (before, width, after, r) in _DEFECTIVE_BLOCKS:
            yield no(
                "defective Segre–Veronese varieties [B]",
                f"block {(before, width, after)} with r = {r} has one dimension less than expected",
            )


def _block_count(chain: _Chain, layer: int) -> Check:
    """A block cannot have more parameters modulo scalings than coefficients."""
    before, width, after = block = chain.widths[layer - 1 : layer + 2]
    biased, biased_after = chain.biases[layer - 1 : layer + 1]
    hidden = chain.hidden[layer - 1]
    n_params = width * (before + biased) + after * (width + biased_after)
    needed = n_params - (width if hidden.power else 0)
    cap = max(needed, 10**12)
    coefficients = min(cap, after * chain.count_terms(layer - 1, layer, cap))
    fits = needed <= coefficients
    shown = f"{'<=' if fits else '>'} {coefficients}" if coefficients < cap else "< 10^12"
    name = f"block {layer}, a necessary count [U]"
    modulo = " modulo scalings" if hidden.power else ""
    statement = f"{block} with r = {hidden.degree}: {needed} parameters{modulo} {shown} coefficients"
    return Check(name, statement, fits, None if fits else "not")


def _sufficient_conditions(chain: _Chain) -> Iterator[Check]:
    """Of powers, with biases everywhere or nowhere, and all necessary conditions met."""
    cut, biased = chain.skip_last_units(), chain.biases[0]
    if cut is not chain:
        name = "units of width one at the end are skipped, since roots are unique up to a factor"
        yield Check(name, f"{chain.widths} is as identifiable as {cut.widths}", True)
    if not cut.hidden:
        yield Check("there is no hidden layer", f"the weights of {cut.widths} are the coefficients", True, "global")
        return
    if len(cut.hidden) == 1:
        if biased and cut.widths[1] == 1:
            statement = f"w (v·x + b)^{cut.degrees[0]} + c: the terms of the two highest degrees give v, b and w"
            yield Check("one unit with a bias", statement, True, "global")
        else:
            [(block, degree)] = cut.narrowed_blocks()
            for check in _two_layers(block, degree):
                homogenised = f"{block} homogenised: {check.statement}"
                yield replace(check, name=f"{check.name}, [U, lemma 26]", statement=homogenised) if biased else check
        return
    yield from _architectures(cut)
    statements, holds = [], True
    for layer, (block, degree) in enumerate(cut.narrowed_blocks(), 1):
        attempts = list(_two_layers(block, degree))
        best = next((check for check in attempts if check.establishes), attempts[0])
        holds &= best.holds
        statements.append(f"layer {layer}: {block} by {best.statement}")
        yield Check(f"layer {layer}, its block, {best.name}", f"{block}: {best.statement}", best.holds)
    yield Check(
        f"localisation {cut.localisation_source}",
        "; ".join(statements) if holds else "not every block is known to be identifiable",
        holds,
        "finite" if holds else None,
    )


def _two_layers(block: tuple[int, int, int], r: int) -> Iterator[Check]:
    """Sufficient conditions for two layers without biases, d_0, d_1, r >= 2."""
    d0, d1, d2 = block
    needed = _kruskal_bound(block)
    fraction = f"(2·{d1} − min({d1}, {d2})) / (min({d1}, {d0}) − 1)"
    holds = r >= needed
    statement = f"r = {r} {'>=' if holds else '<'} {fraction} = {needed}"
    name = "Kruskal bound [U, proposition 12]"
    yield Check(name, statement, holds, "global" if holds else None)
    if r < 3:
        return
    cap = d0 * d1 + 1
    n_forms = _count_forms(d0, r, cap)
    if n_forms < d0 * d1 or (d0, r, d1) in ALEXANDER_HIRSCHOWITZ:
        return
    several = n_forms == d0 * d1 or (d0, d1, r) in _TWO_DECOMPOSITIONS
    count = f"{d1} powers of degree {r} in {d0} variables, {d0 * d1} parameters {'=' if n_forms < cap else '<'} forms"
    verdict: Verdict = "finite" if several else "global"
    name = "sums of powers are " + ("not defective [A]" if several else "unique below the generic rank [C]")
    yield Check(name, f"{count}, and no exception", True, verdict)


def _kruskal_bound(block: tuple[int, int, int]) -> Fraction:
    d0, d1, d2 = block
    return Fraction(2 * d1 - min(d1, d2), min(d1, d0) - 1)


def _architectures(chain: _Chain) -> Iterator[Check]:
    """What localisation says of some shapes; there are biases, or all widths but the last are at least 2."""
    d, n_layers = chain.widths, len(chain.hidden) + 1
    hidden = range(1, n_layers)
    if chain.biases[0]:
        yield _thresholds(chain, "large degrees [U, remark 29]", [2 * d[layer] + 1 for layer in hidden])
        return
    if all(d[layer - 1] >= d[layer] for layer in hidden):
        least = [2] * (n_layers - 1)
        least[-1] = 2 if d[-1] >= 2 else 3
        yield _thresholds(chain, "pyramid [U, corollary 16]", least)
    turn = next((i for i in range(n_layers) if d[i] < d[i + 1]), n_layers)
    if turn < n_layers and all(d[i] <= d[i + 1] for i in range(turn, n_layers)):
        least = [2 if layer <= turn else max(2, ceil(Fraction(d[layer], d[turn] - 1))) for layer in hidden]
        yield _thresholds(chain, f"bottleneck at d_{turn} = {d[turn]} [U, corollary 19]", least)
    yield _thresholds(chain, "large degrees [U, corollary 17]", [2 * d[layer] - 1 for layer in hidden])


def _thresholds(chain: _Chain, name: str, least: Sequence[int]) -> Check:
    holds = all(r >= bound for r, bound in zip(chain.degrees, least))
    conditions = [
        f"r_{layer} = {r} {'>=' if r >= bound else '<'} {bound}"
        for layer, (r, bound) in enumerate(zip(chain.degrees, least), 1)
    ]
    return Check(name, f"{chain.widths}: {', '.join(conditions)}", holds, "finite" if holds else None)


# -- activation thresholds --------------------------------------------------------------------------------------------


def activation_threshold(
    widths: Sequence[int], rng: object = 0, primes: int = 2, *, max_error: float = 1e-9, n_threads: int = 0
) -> ActivationThreshold:
    """The least degree r0 from which on MLP(widths, activation=r) has the expected dimension for every r >= r0.

    Parameters
    ----------
    widths : sequence of int
        (d_0, ..., d_L), at least two.
    rng : int or numpy.random.Generator
        A seed for ranks; from a Generator a 64-bit seed is drawn.
    primes, max_error, n_threads
        See `dimension`.

    Returns
    -------
    ActivationThreshold
        The threshold, which part of it is a theorem, and which is computed.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong kind or out of range.

    Notes
    -----
    The expected dimension is that of `dimension`: min(ambient dimension, n_params − orbit dimension), where the orbit
    dimension is Σ hidden widths for r >= 2. A linear network (r = 1) always has it, since its orbits are those of
    invertible maps; it is below n_params − Σ hidden widths as a rule. A network without hidden layers, or with one
    input, where f = c x^D and every vector c is reached, has it for every r, so the threshold is 1.

    A theorem gives a degree from which on every network is finitely identifiable, which has the expected dimension: the
    localisation theorem with Kruskal's bound or [A] for each block, never more than max(2 d_ℓ − 1) over the hidden
    layers ([U], corollary 17). Below it the dimensions are computed (theorems and bounds first), downwards to the first
    degree that does not have the expected one: the defect is not monotone in r.

    After a width of one (d_b = 1, b >= 1), a wider hidden layer adds nothing, since all that follows gives w · t^D: the
    dimension is that of (d_0, ..., d_b) plus d_L − 1 for every r, and there is no threshold. Hidden layers of width one
    at the end do no harm, see `identifiability`.

    Source: [F] for the notion and the existence, [U] for the bound.

    Examples
    --------
    >>> activation_threshold((4, 4, 4, 4)).threshold  # [F]: 1 for all equal widths >= 2
    1
    >>> result = activation_threshold((2, 4, 3, 2))
    >>> result.threshold, result.theorem_bound, result.proved
    (5, 5, True)
    >>> result.computed
    (r = 4: <= 18 of 19 (bound),)
    """
    ranks = _Ranks.from_arguments(rng, primes, max_error, n_threads)
    d = MLP(widths, activation=1).widths
    bound, theorem, reason = _threshold_theorem(d)
    if bound is None:
        return ActivationThreshold(None, False, None, True, 0.0, None, theorem, (), reason, d, ranks.seed)
    steps: list[ThresholdStep] = []
    too_large = ""
    for r in range(bound - 1, 0, -1):
        try:
            steps.append(_threshold_step(d, r, ranks))
        except (MemoryError, OverflowError) as error:
            too_large = f"; r = {r} is too large to compute: {error}"
            break
        if not steps[-1].as_expected:
            break
    at_most = bound - sum(step.as_expected for step in steps)
    threshold = None if too_large else at_most
    proved = not too_large and all(step.proved for step in steps)
    error_bound = 1.0 if too_large else steps[-1].error_bound if steps else 0.0
    reason += _computed_part(steps, bound) + too_large
    return ActivationThreshold(
        threshold, True, at_most, proved, error_bound, bound, theorem, tuple(steps), reason, d, ranks.seed
    )


def _threshold_theorem(d: tuple[int, ...]) -> tuple[int | None, str, str]:
    """A degree from which on every network has the expected dimension, the theorem, and why. None if none exists."""
    n_layers = len(d) - 1
    if n_layers == 1:
        return 1, "there is no hidden layer", "the activation degree does not matter"
    if d[0] == 1:
        return 1, "one input", f"f = c x^D, and every c of {d[-1]} coefficients is reached"
    powers = (_Hidden((2,), 2),) * (n_layers - 1)
    cut = _Chain(d, powers, (False,) * n_layers).skip_last_units()
    if not cut.hidden:
        return 1, "units of width one are identifiable", f"{d} is as identifiable as {cut.widths} for every r"
    if 1 in cut.widths[:-1]:
        return None, *_no_threshold(d)
    degrees, statements = [], []
    for layer, (block, _) in enumerate(cut.narrowed_blocks(), 1):
        least, statement = _least_degree(block)
        degrees.append(least)
        statements.append(f"layer {layer}: {statement}")
    theorem = "finitely identifiable" + (" by localisation [U, theorem 11]" if len(cut.hidden) > 1 else "")
    return max(degrees), theorem, "; ".join(statements)


def _no_threshold(d: tuple[int, ...]) -> tuple[str, str]:
    b = d.index(1)
    head, whole = _count_modulo_scalings(d[: b + 1]), _count_modulo_scalings(d)
    most = head + d[-1] - 1
    r = 2
    while d[-1] * _count_forms(d[0], r ** (len(d) - 2), most + 1) <= most:
        r += 1
    return "nothing wider may follow a width of one [F]", (
        f"d_{b} = 1 makes {d[b:]} no more than w · t^D, so the dimension is at most {head} for {d[: b + 1]} plus "
        f"{d[-1]} − 1 for w: {most} for every r, while more is expected for every r >= {r}, at last {whole}"
    )


def _least_degree(block: tuple[int, int, int]) -> tuple[int, str]:
    """The least r >= 2 from which on `_two_layers` holds, d_0, d_1 >= 2."""
    d0, d1, d2 = block
    needed = _kruskal_bound(block)
    kruskal = max(2, ceil(needed))
    best = 3
    while best < kruskal and (_count_forms(d0, best, d0 * d1) < d0 * d1 or (d0, best, d1) in ALEXANDER_HIRSCHOWITZ):
        best += 1
    if best < kruskal:
        return best, f"{block} by [A] for r >= {best}: {d0}·{d1} parameters <= C({d0 - 1} + r, r) forms"
    fraction = f"(2·{d1} − min({d1}, {d2})) / (min({d1}, {d0}) − 1)"
    return (
        kruskal,
        f"{block} by Kruskal's bound [U, proposition 12] for r >= {kruskal}: r >= 2 and {fraction} = {needed}",
    )


def _threshold_step(d: tuple[int, ...], r: int, ranks: _Ranks) -> ThresholdStep:
    if r == 1:
        rank = min(d)
        linear = rank * (d[0] + d[-1] - rank)
        return ThresholdStep(1, linear, linear, True, "theorem", True)
    whole = _count_modulo_scalings(d)
    expected = min(whole, d[-1] * _count_forms(d[0], r ** (len(d) - 2), whole))
    if r > MAX_ACTIVATION_DEGREE:
        raise OverflowError(f"activations have degree at most {MAX_ACTIVATION_DEGREE}")
    if len(d) == 3 and d[2] == 1 and r >= 3:  # sums of powers of linear forms: [A] has the dimension of all of them
        as_expected = (d[0], r, d[1]) not in ALEXANDER_HIRSCHOWITZ
        return ThresholdStep(r, expected - (not as_expected), expected, as_expected, "theorem", True)
    net = MLP(d, activation=r)
    chain = _Chain.from_program(net.program)
    assert chain is not None
    verdicts = {check.establishes for check in _theorems(net.program, chain)}
    if verdicts & {"finite", "global"}:
        return ThresholdStep(r, whole, expected, True, "theorem", True)
    bound = upper_bound(net.program).value
    if bound < expected:
        return ThresholdStep(r, bound, expected, False, "bound", True)
    result = ranks.dimension(net)
    reached = result.dimension == expected
    proved = reached or result.proved or ("not" in verdicts and expected == whole)
    return ThresholdStep(r, result.dimension, expected, reached, "rank", proved, 0.0 if proved else result.error_bound)


def _count_modulo_scalings(d: tuple[int, ...]) -> int:
    """n_params − Σ hidden widths."""
    return sum(a * b for a, b in pairwise(d)) - sum(d[1:-1])


def _computed_part(steps: Sequence[ThresholdStep], bound: int) -> str:
    if not steps:
        return ""
    if not steps[-1].as_expected:
        last = steps[-1]
        sign = "at most " if last.source == "bound" else ""
        return f"; below, r = {last.degree} fails: the dimension is {sign}{last.dimension} < {last.expected}"
    return f"; below, every r >= {steps[-1].degree} has it too, see .computed"
