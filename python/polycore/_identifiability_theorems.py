# SPDX-License-Identifier: BSD-3-Clause
"""What theorems say of the identifiability of a network, each of them evaluated as a check.

Sources, [U] to [C], and the legend are those of `polycore.identifiability`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil, prod
from typing import Literal, TypeAlias

from .bounds import ALEXANDER_HIRSCHOWITZ, upper_bound
from .chains import Polynomial, read_chain
from .program import Program
from .symmetries import as_shifted_power, orbit_dimension

Verdict: TypeAlias = Literal["global", "finite", "not", "undecided"]

# (d_0, d_1, d_2, r), see [B]: the exceptions that are not explained by counting. In the first, three quadrics in four
# variables that are sums of the same five squares make a skew-symmetric matrix of order 12 and rank 10: its Pfaffian
# vanishes.
_DEFECTIVE_BLOCKS = {(4, 5, 3, 2), (4, 6, 5, 2), (3, 5, 2, 3)}
# Fewer powers than the generic rank, and yet two decompositions, see [C].
_TWO_DECOMPOSITIONS = {(3, 9, 6), (4, 8, 4), (6, 9, 3)}


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


# -- a network as a chain of layers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class HiddenLayer:
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
class HiddenChain:
    """affine, activation, affine, ..., affine: widths d_0..d_L, L − 1 hidden layers, whether each affine has a bias.

    ``plain`` says that nothing else happens, such as an activation of the outputs.
    """

    widths: tuple[int, ...]
    hidden: tuple[HiddenLayer, ...]
    biases: tuple[bool, ...]
    plain: bool = True

    @classmethod
    def from_program(cls, program: Program) -> HiddenChain | None:
        """Of a program that is a chain; None if it is not, or activations follow each other that are not powers."""
        chain = read_chain(program)
        if chain is None:
            return None
        hidden = []
        for k, between in enumerate(chain.activations[1:-1]):
            if len(between) > 1 and not all(map(_is_power, between)):
                return None
            degree = prod(len(coefficients) - 1 for coefficients in between)
            combined = between[0] if len(between) == 1 else (*(0,) * degree, 1)
            hidden.append(_as_hidden(combined, chain.biases[k], chain.biases[k + 1]))
        plain = bool(chain.biases) and not chain.activations[0] and not chain.activations[-1]
        return cls(chain.widths, tuple(hidden), chain.biases, plain)

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

    def skip_last_units(self) -> HiddenChain:
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
            return count_forms(n_vars + 1, degree, cap)
        support = set(between[0].support) if len(between) == 1 else {degree}
        support |= {0} if self.biases[layer] else set()
        return min(cap, sum(count_forms(n_vars, degree, cap) for degree in support))


def _is_power(coefficients: Polynomial) -> bool:
    return coefficients[-1] != 0 and all(c == 0 for c in coefficients[:-1])


def _as_hidden(coefficients: Polynomial, biased: bool, biased_after: bool) -> HiddenLayer:
    support = tuple(i for i, c in enumerate(coefficients) if c != 0)
    shifted_power = as_shifted_power(coefficients)
    if shifted_power is None:
        return HiddenLayer(support, None)
    degree, _, shift, constant = shifted_power
    if degree == 1:
        is_absorbed = biased or biased_after or not constant
    else:
        is_absorbed = (biased or not shift) and (biased_after or not constant)
    return HiddenLayer(support, degree if is_absorbed else None)


def count_scalings(program: Program, chain: HiddenChain | None) -> int:
    """How many parameters symmetries make up for: the scalings of a chain's hidden units, else all that are known."""
    if chain is None:
        return orbit_dimension(program)
    return sum(width for width, hidden in zip(chain.widths[1:], chain.hidden) if hidden.power)


def may_have_other_symmetries(program: Program, chain: HiddenChain | None) -> bool:
    """Whether activations in a row are not composed, and may be powers together."""
    return chain is None and read_chain(program) is not None


def count_in_words(program: Program, chain: HiddenChain | None) -> str:
    """Parameters modulo symmetries."""
    fixed = count_scalings(program, chain)
    name = "scalings" if chain else "dimensions of the orbits of the known symmetries"
    return f"{program.n_params - fixed} = {program.n_params} parameters − {fixed} {name}"


def count_forms(n_vars: int, degree: int, cap: int) -> int:
    """min(cap, C(n_vars + degree − 1, degree)), without the large binomials."""
    k = min(degree, n_vars - 1)
    top = n_vars - 1 + degree - k
    count = 1
    for i in range(1, k + 1):
        count = count * (top + i) // i
        if count >= cap:
            return cap
    return count


def count_modulo_scalings(d: tuple[int, ...]) -> int:
    """n_params − Σ hidden widths."""
    return sum(a * b for a, b in pairwise(d)) - sum(d[1:-1])


# -- theorems ---------------------------------------------------------------------------------------------------------


def check_theorems(program: Program, chain: HiddenChain | None, more: Iterable[Check] = ()) -> Iterator[Check]:
    """The conditions that apply, and ``more``, evaluated, up to one that establishes "not" or "global"."""
    found = False
    for check in itertools.chain(more, _conditions(program, chain)):
        yield check
        if check.establishes in ("global", "not"):
            return
        found |= check.establishes is not None
    if not found:
        yield _bound_check(program, chain)


def _conditions(program: Program, chain: HiddenChain | None) -> Iterator[Check]:
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


def _bound_check(program: Program, chain: HiddenChain | None) -> Check:
    bound, needed = upper_bound(program), program.n_params - count_scalings(program, chain)
    name = "upper bound of the dimension"
    if bound.value >= needed or may_have_other_symmetries(program, chain):
        return Check(name, f"at most {bound.value}, {needed} would be identifiable", bound.value >= needed)
    count = count_in_words(program, chain)
    return Check(name, f"the dimension is at most {bound.value} < {count}: {bound.reason}", False, "not")


def _necessary_conditions(chain: HiddenChain) -> Iterator[Check]:
    """Conditions without which a network is not identifiable, whatever surrounds the layers they are about."""
    if chain.is_homogeneous and 1 in chain.widths[:-1]:
        yield from _width_one(chain)
    for layer in range(1, len(chain.hidden) + 1):
        yield next(_defects(chain, layer), None) or _block_count(chain, layer)


def _width_one(chain: HiddenChain) -> Iterator[Check]:
    """What comes after a width of one is w · t^D for one vector w, however many parameters it has."""
    d, n_layers = chain.widths, len(chain.widths) - 1
    start = d.index(1)
    if max(d[start + 1 : n_layers], default=1) == 1:
        return
    tail = count_modulo_scalings(d[start:])
    yield Check(
        "nothing wider may follow a width of one [F]",
        f"d_{start} = 1 makes {d[start:]} no more than w · t^D: {d[n_layers]} coefficients for {tail} "
        "parameters modulo scalings",
        False,
        "not",
    )


def _defects(chain: HiddenChain, layer: int) -> Iterator[Check]:
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


def _block_count(chain: HiddenChain, layer: int) -> Check:
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


def _sufficient_conditions(chain: HiddenChain) -> Iterator[Check]:
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
            for check in check_two_layers(block, degree):
                homogenised = f"{block} homogenised: {check.statement}"
                yield replace(check, name=f"{check.name}, [U, lemma 26]", statement=homogenised) if biased else check
        return
    yield from _architectures(cut)
    statements, holds = [], True
    for layer, (block, degree) in enumerate(cut.narrowed_blocks(), 1):
        attempts = list(check_two_layers(block, degree))
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


def check_two_layers(block: tuple[int, int, int], r: int) -> Iterator[Check]:
    """Sufficient conditions for two layers without biases, d_0, d_1, r >= 2."""
    d0, d1, d2 = block
    needed = kruskal_bound(block)
    fraction = f"(2·{d1} − min({d1}, {d2})) / (min({d1}, {d0}) − 1)"
    holds = r >= needed
    statement = f"r = {r} {'>=' if holds else '<'} {fraction} = {needed}"
    name = "Kruskal bound [U, proposition 12]"
    yield Check(name, statement, holds, "global" if holds else None)
    if r < 3:
        return
    cap = d0 * d1 + 1
    n_forms = count_forms(d0, r, cap)
    if n_forms < d0 * d1 or (d0, r, d1) in ALEXANDER_HIRSCHOWITZ:
        return
    several = n_forms == d0 * d1 or (d0, d1, r) in _TWO_DECOMPOSITIONS
    count = f"{d1} powers of degree {r} in {d0} variables, {d0 * d1} parameters {'=' if n_forms < cap else '<'} forms"
    verdict: Verdict = "finite" if several else "global"
    name = "sums of powers are " + ("not defective [A]" if several else "unique below the generic rank [C]")
    yield Check(name, f"{count}, and no exception", True, verdict)


def kruskal_bound(block: tuple[int, int, int]) -> Fraction:
    d0, d1, d2 = block
    return Fraction(2 * d1 - min(d1, d2), min(d1, d0) - 1)


def _architectures(chain: HiddenChain) -> Iterator[Check]:
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


def _thresholds(chain: HiddenChain, name: str, least: Sequence[int]) -> Check:
    holds = all(r >= bound for r, bound in zip(chain.degrees, least))
    conditions = [
        f"r_{layer} = {r} {'>=' if r >= bound else '<'} {bound}"
        for layer, (r, bound) in enumerate(zip(chain.degrees, least), 1)
    ]
    return Check(name, f"{chain.widths}: {', '.join(conditions)}", holds, "finite" if holds else None)
