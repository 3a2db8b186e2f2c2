# SPDX-License-Identifier: BSD-3-Clause
"""Whether a network's parameters can be read off its function.

A network is *globally identifiable* if almost every function it can represent has one parameter vector only, up to
symmetries, *finitely identifiable* if it has finitely many. The symmetries of a chain of dense layers (`polycore.MLP`)
are the permutations and scalings of hidden units: a unit with the activation c z^r, or c (z − a)^r + k where biases
absorb a and k, has one scaling; units with other polynomials have none. Those of any other program are all that are
known of it, see `Network.symmetries`: scalings of filters, GL(d_key) on the keys and queries of attention, ... So
finitely identifiable means dimension == n_params − dimension of a generic orbit, which the rank of the Jacobian at one
point can prove; many architectures need no rank, because a theorem decides.

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

from dataclasses import dataclass, field

from ._identifiability_theorems import (
    Check,
    HiddenChain,
    Verdict,
    check_theorems,
    check_two_layers,
    count_in_words,
    count_scalings,
    may_have_other_symmetries,
)
from ._structure_theorems import structure_conditions
from ._validation import _describe, as_index, as_probability, as_rng, check_choice, check_threads
from .dimension import DimensionResult, dimension
from .modular import format_bound
from .networks import MLP, Network

__all__ = ["Check", "Identifiability", "identifiability"]

_PHRASES = {
    "global": "globally identifiable",
    "finite": "finitely identifiable",
    "not": "not identifiable",
    "undecided": "undecided",
}
_UNITS = "permutations and scalings of hidden units"
_KNOWN = "the known symmetries, net.symmetries()"
# More lines than this do not help anyone who looks at a result; `checks` has all.
_SHOWN_CHECKS = 10


# -- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Identifiability:
    """Whether parameters can be read off a function, and why; made by `identifiability`.

    Attributes
    ----------
    verdict : "global", "finite", "not" or "undecided"
        Of almost every function of the network: it has one parameter vector up to the symmetries ("global"), finitely
        many, one perhaps ("finite"), or infinitely many ("not").
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
        How many of them symmetries make up for: the scalings of hidden units, or of filters; where other continuous
        symmetries are known, the dimension of their generic orbits.
    up_to : str
        Which symmetries these are.
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
    up_to: str
    fibre_dimension: int | None
    dimension: DimensionResult | None
    seed: int
    network: str = field(default="", compare=False)

    def __repr__(self) -> str:
        certainty = ", proved" if self.proved else f", wrong with probability < {format_bound(self.error_bound)}"
        fibres = "" if self.fibre_dimension is None else f", fibres of dimension {self.fibre_dimension}"
        units = self.up_to == _UNITS
        made_up_for = f"of which {self.scalings} scalings" if units else f"symmetries of dimension {self.scalings}"
        others = [check for check in self.checks if check.name != self.theorem]
        shown = [repr(check) for check in others[:_SHOWN_CHECKS]]
        if len(others) > _SHOWN_CHECKS:
            shown.append(f"... and {len(others) - _SHOWN_CHECKS} more in .checks")
        lines = [
            self.network,
            f"  verdict     {_PHRASES[self.verdict]}{'' if self.verdict == 'undecided' else certainty}",
            *([f"  theorem     {self.theorem}"] if self.theorem else []),
            f"  reason      {self.reason}",
            f"  parameters  {self.n_params}, {made_up_for}{fibres}",
        ]
        lines += [("  checks      " if i == 0 else " " * 14) + text for i, text in enumerate(shown)]
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
    """Whether the parameters of a network can be read off its function, up to known symmetries.

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

    Convolutions with one channel and single layers of attention have theorems of their own, with proofs: see
    `polycore._structure_theorems`. For other programs that are no chains, "finite" and "not" say whether the dimension
    is n_params minus that of the orbits of the known symmetries, so a symmetry that is not known makes it "not": with a
    single token, attention sees only the symmetric part of KᵀQ.

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
    ranks = RankArguments.from_arguments(rng, primes, max_error, n_threads)
    program = net.program
    chain = HiddenChain.from_program(program)
    checks: list[Check] = []
    if method != "rank":
        for check in check_theorems(program, chain, structure_conditions(program) if chain is None else ()):
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
    scalings = count_scalings(program, chain)
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
        up_to=_KNOWN if chain is None else _UNITS,
        fibre_dimension=scalings if verdict in ("global", "finite") else fibre,
        dimension=result,
        seed=ranks.seed,
        network=repr(net),
    )


@dataclass(frozen=True)
class RankArguments:
    """The arguments of `dimension`, checked before a theorem makes them unnecessary."""

    seed: int
    primes: int
    max_error: float
    n_threads: int

    @classmethod
    def from_arguments(cls, rng: object, primes: object, max_error: object, n_threads: object) -> RankArguments:
        n_primes = as_index(primes, "primes", 1)
        largest_error = as_probability(max_error, "max_error")
        return cls(as_rng(rng)[1], n_primes, largest_error, check_threads(n_threads))

    def dimension(self, net: Network) -> DimensionResult:
        return dimension(net, self.seed, self.primes, max_error=self.max_error, n_threads=self.n_threads)


def _by_rank(
    net: Network, chain: HiddenChain | None, ranks: RankArguments, checks: list[Check], fall_back: bool
) -> tuple[Check | None, DimensionResult | None, float]:
    """What the rank says, and the probability that it is wrong; on blocks only, where the network is too large."""
    scalings = count_scalings(net.program, chain)
    needed = net.n_params - scalings
    count = count_in_words(net.program, chain)
    try:
        result = ranks.dimension(net)
    except (MemoryError, OverflowError) as error:
        if not fall_back:
            raise
        checks.append(Check("rank of the Jacobian", f"too large: {error}", False))
        return _localise_by_rank(chain, ranks, checks), None, 0.0
    if result.dimension == needed:
        where = f" at a random point modulo {result.primes[-1]}" if result.primes else ""
        statement = f"the Jacobian has rank {count}{where}"
        checks.append(Check("rank certificate", statement, True, "finite"))
        return checks[-1], result, 0.0
    if may_have_other_symmetries(net.program, chain):
        statement = f"the rank is {result.dimension} < {count}, but there may be other symmetries"
        checks.append(Check("rank of the Jacobian", statement, False))
        return None, result, 0.0
    fibres = f"generic fibres have dimension {result.fibre_dimension}, not {scalings}"
    statement = f"the dimension is {result.dimension} < {count}: {fibres}"
    checks.append(Check("rank of the Jacobian", statement, False, "not"))
    return checks[-1], result, 0.0 if result.upper_bound < needed else result.error_bound


def _localise_by_rank(chain: HiddenChain | None, ranks: RankArguments, checks: list[Check]) -> Check | None:
    """The localisation theorem, the blocks decided by theorems or ranks."""
    if chain is None or not chain.in_scope:
        return None
    for layer, (block, degree) in enumerate(chain.skip_last_units().narrowed_blocks(), 1):
        name = f"layer {layer}, its block"
        if any(check.establishes for check in check_two_layers(block, degree)):
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
