# SPDX-License-Identifier: BSD-3-Clause
"""From which activation degree on a network has the dimension that is expected of it.

Sources, [F], [U], [A], and the legend are those of `polycore.identifiability`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from ._identifiability_theorems import (
    HiddenChain,
    HiddenLayer,
    check_theorems,
    count_forms,
    count_modulo_scalings,
    kruskal_bound,
)
from .bounds import ALEXANDER_HIRSCHOWITZ, upper_bound
from .identifiability import RankArguments
from .instructions import MAX_ACTIVATION_DEGREE
from .modular import format_bound
from .networks import MLP

__all__ = ["ActivationThreshold", "ThresholdStep", "activation_threshold"]


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
    ranks = RankArguments.from_arguments(rng, primes, max_error, n_threads)
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
    reason += _computed_part(steps) + too_large
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
    powers = (HiddenLayer((2,), 2),) * (n_layers - 1)
    cut = HiddenChain(d, powers, (False,) * n_layers).skip_last_units()
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
    head, whole = count_modulo_scalings(d[: b + 1]), count_modulo_scalings(d)
    most = head + d[-1] - 1
    r = 2
    while d[-1] * count_forms(d[0], r ** (len(d) - 2), most + 1) <= most:
        r += 1
    return "nothing wider may follow a width of one [F]", (
        f"d_{b} = 1 makes {d[b:]} no more than w · t^D, so the dimension is at most {head} for {d[: b + 1]} plus "
        f"{d[-1]} − 1 for w: {most} for every r, while more is expected for every r >= {r}, at last {whole}"
    )


def _least_degree(block: tuple[int, int, int]) -> tuple[int, str]:
    """The least r >= 2 from which on `check_two_layers` holds, d_0, d_1 >= 2."""
    d0, d1, d2 = block
    needed = kruskal_bound(block)
    kruskal = max(2, ceil(needed))
    best = 3
    while best < kruskal and (count_forms(d0, best, d0 * d1) < d0 * d1 or (d0, best, d1) in ALEXANDER_HIRSCHOWITZ):
        best += 1
    if best < kruskal:
        return best, f"{block} by [A] for r >= {best}: {d0}·{d1} parameters <= C({d0 - 1} + r, r) forms"
    fraction = f"(2·{d1} − min({d1}, {d2})) / (min({d1}, {d0}) − 1)"
    return (
        kruskal,
        f"{block} by Kruskal's bound [U, proposition 12] for r >= {kruskal}: r >= 2 and {fraction} = {needed}",
    )


def _threshold_step(d: tuple[int, ...], r: int, ranks: RankArguments) -> ThresholdStep:
    if r == 1:
        rank = min(d)
        linear = rank * (d[0] + d[-1] - rank)
        return ThresholdStep(1, linear, linear, True, "theorem", True)
    whole = count_modulo_scalings(d)
    expected = min(whole, d[-1] * count_forms(d[0], r ** (len(d) - 2), whole))
    if r > MAX_ACTIVATION_DEGREE:
        raise OverflowError(f"activations have degree at most {MAX_ACTIVATION_DEGREE}")
    if len(d) == 3 and d[2] == 1 and r >= 3:  # sums of powers of linear forms: [A] has the dimension of all of them
        as_expected = (d[0], r, d[1]) not in ALEXANDER_HIRSCHOWITZ
        return ThresholdStep(r, expected - (not as_expected), expected, as_expected, "theorem", True)
    net = MLP(d, activation=r)
    chain = HiddenChain.from_program(net.program)
    assert chain is not None
    verdicts = {check.establishes for check in check_theorems(net.program, chain)}
    if verdicts & {"finite", "global"}:
        return ThresholdStep(r, whole, expected, True, "theorem", True)
    bound = upper_bound(net.program).value
    if bound < expected:
        return ThresholdStep(r, bound, expected, False, "bound", True)
    result = ranks.dimension(net)
    reached = result.dimension == expected
    proved = reached or result.proved or ("not" in verdicts and expected == whole)
    return ThresholdStep(r, result.dimension, expected, reached, "rank", proved, 0.0 if proved else result.error_bound)


def _computed_part(steps: Sequence[ThresholdStep]) -> str:
    if not steps:
        return ""
    if not steps[-1].as_expected:
        last = steps[-1]
        sign = "at most " if last.source == "bound" else ""
        return f"; below, r = {last.degree} fails: the dimension is {sign}{last.dimension} < {last.expected}"
    return f"; below, every r >= {steps[-1].degree} has it too, see .computed"
