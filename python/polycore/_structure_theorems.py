# SPDX-License-Identifier: BSD-3-Clause
"""What theorems say of the identifiability of convolutions and of attention.

*Filters.* A network of affine maps with one unit, on any windows and without biases, and activations σ of degree at
least 2 between them. An input *belongs* to a position of a window if it has influence on that value and on none of the
others. Suppose that from some output back to the inputs there is a position in the window of each layer to which an
input belongs, and that the positions of these windows can be taken away one after the other so that to each of them an
input belongs when its turn comes: as in every convolution, from the first to the last. Let each σ be (a) a monomial
c z^r, or have at least two terms of positive degree, the differences of whose degrees have (b) no common divisor but 1,
or (c) 1 and 2 only, and σ be even, or odd. Then almost every function comes from one parameter vector, up to scalings
of filters before (a) and signs of those before (c).

*Proof.* Let g = Σ_j w_j σ(h_j) be the value at one of those positions, h_j the values in its window, and g' = λ g + μ
that of other parameters, λ ≠ 0 and μ numbers; for the outputs λ = 1 and μ = 0. Let x be an input that belongs to j.
Then q = w'_j σ(h'_j) − λ w_j σ(h_j) does not depend on x, though h = h_j does for almost all parameters, and so does
h' = h'_j, with the same degree m. Over an algebraic closure of the field of functions of the other inputs
w'_j h'^r − λ w_j h^r, of degree at most m (r − 1) in x, is a product of r factors α h' − ζ β h, of which at most one
has a degree below m. So there is one, of degree 0, and h' = λ_1 h + μ_1 with a number λ_1. By the terms of degree r − 1
in h of q, μ_1 is a number, too. By induction μ_1 = 0 and h' has the parameters of h but for a factor λ_1 of its last
filter, up to scalings and signs; for a single filter that is clear. By the other terms of q, λ_1^i has the same value
for all degrees i > 0 in σ: in case (a) scalings make λ_1 = 1, in (b) it is 1, in (c) signs make it 1. So h'_j = h_j for
all j, and Σ_j (w'_j − λ w_j) σ(h_j) = μ. Each position in turn has an input that those after it do not see, hence
w' = λ w and μ = 0. ∎

[S] V. Shahverdi, G. L. Marchetti, K. Kohn, *On the geometry and optimization of polynomial convolutional networks*,
    AISTATS 2025, arXiv:2410.00722: for monomials.
[R] The same, *Learning on a razor's edge: identifiability and singularity of polynomial neural networks*,
    arXiv:2505.11846: for generic polynomials.

*Attention*, one layer and head X -> V X Xᵀ Kᵀ Q X with at least two tokens. A = KᵀQ has rank a = min(d_key, d). Almost
every function comes from one parameter vector, up to GL(d_key) and the scaling of V against A; from two of them if
a = d_out = 1 < d.

*Proof.* The part of token j of the result that is quadratic in another token x and linear in y = x_j is
(V x) (xᵀ A y). For a > 1 the form xᵀ A y is irreducible. For a = 1 it is (k·x) (q·y), and k·x is the greatest common
divisor of the (v_i·x) (k·x) if V has two independent rows. So V and A are determined up to a scalar by unique
factorisation, but for v·x and k·x changing places where there is one row. Almost every A = KᵀQ of its kind gives K and
Q up to GL(d_key). ∎

[H] N. W. Henry, G. L. Marchetti, K. Kohn, *Geometry of lightning self-attention: identifiability and dimension*, ICLR
    2025, arXiv:2408.17221: also for several layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from math import gcd
from operator import or_
from typing import NamedTuple

from ._identifiability_theorems import Check
from .program import Activation, Affine, Program
from .structure import AttentionHead, attention_heads, is_single_attention


def structure_conditions(program: Program) -> Iterator[Check]:
    """The conditions of theorems on convolutions and attention, evaluated, where the program is of that form."""
    layers = _read_filters(program)
    if layers is not None:
        yield from _filters(program, layers)
    if is_single_attention(program):
        yield from _attention(attention_heads(program)[0])


# --- filters ----------------------------------------------------------------------------------------------------------


class _Filter(NamedTuple):
    """An affine map with one unit, and the degrees in the activation before it."""

    windows: Sequence[Sequence[int]]
    degrees: tuple[int, ...]


def _read_filters(program: Program) -> list[_Filter] | None:
    """The filters from the inputs to the outputs, None if there is anything else."""
    layers: list[_Filter] = []
    windows: Sequence[Sequence[int]] | None = None
    slot = len(program.instructions)
    while slot:
        instruction = program.instructions[slot - 1]
        if isinstance(instruction, Affine) and instruction.n_out == 1 and not instruction.bias:
            if windows is not None:
                return None  # linear between filters
            windows = instruction.windows or (range(program.widths[instruction.input]),)
        elif isinstance(instruction, Activation) and windows is not None:
            layers.append(_Filter(windows, tuple(j for j, c in enumerate(instruction.coefficients) if c != 0)))
            windows = None
        else:
            return None
        slot = instruction.inputs[0]
    if windows is None:
        return None
    return [_Filter(windows, (1,)), *layers[::-1]]


def _filters(program: Program, layers: Sequence[_Filter]) -> Iterator[Check]:
    n_params = sum(len(layer.windows[0]) for layer in layers)
    if n_params < program.n_params:
        return
    for number, layer in enumerate(layers[1:], 1):
        if layer.degrees[-1:] <= (1,):
            return
        shape = _ambiguity(layer.degrees)
        if shape:
            yield Check("filters are determined up to roots of unity", f"layer {number}: {shape}", False)
            return
    if not _belongs(program.n_inputs, layers):
        return
    sizes = ", ".join(str(len(layer.windows[0])) for layer in layers)
    degrees = ", ".join(str(layer.degrees[-1]) for layer in layers[1:])
    statement = f"filters of sizes ({sizes})"
    if degrees:
        statement += f", activations of degree {degrees}: each filter is read off at a corner of its window"
    yield Check("filters are determined up to scalings [S, R]", statement, True, "global")


def _ambiguity(degrees: tuple[int, ...]) -> str:
    """Why an activation with terms of these degrees may leave more than scalings and signs; "" if it does not."""
    positive = [degree for degree in degrees if degree]
    if len(degrees) == 1:
        return ""
    if len(positive) == 1:
        return "a power and a constant"
    common = gcd(*(degree - positive[0] for degree in positive))
    even = all(degree % 2 == 0 for degree in degrees)
    if common == 1 or (common == 2 and (even or 0 not in degrees)):
        return ""
    return f"the degrees {positive} are equal modulo {common}"


def _belongs(n_inputs: int, layers: Sequence[_Filter]) -> bool:
    """Whether the theorem's condition on windows holds at some output; sets of inputs are bits of integers."""
    seen = [[1 << i for i in range(n_inputs)]]
    for layer in layers:
        seen.append([reduce(or_, (seen[-1][i] for i in window)) for window in layer.windows])
    reached = set(range(len(seen[-1])))
    for layer, values in zip(reversed(layers), reversed(seen[:-1])):
        windows = [layer.windows[i] for i in reached]
        reached = {i for window in windows if _can_be_taken_away(window, values) for i in _owners(window, values)}
    return bool(reached)


def _owners(window: Sequence[int], values: Sequence[int]) -> list[int]:
    """The positions in a window that see an input which none of the others sees."""
    once, twice = 0, 0
    for i in window:
        once, twice = once | values[i], twice | (once & values[i])
    return [i for i in window if values[i] & ~twice]


def _can_be_taken_away(window: Sequence[int], values: Sequence[int]) -> bool:
    remaining = list(window)
    while remaining:
        owners = set(_owners(remaining, values))
        if not owners:
            return False
        remaining = [i for i in remaining if i not in owners]
    return True


# --- attention --------------------------------------------------------------------------------------------------------


def _attention(head: AttentionHead) -> Iterator[Check]:
    d, rank = head.d_model, min(head.d_key, head.d_model)
    sizes = f"d = {d}, d_key = {head.d_key}, d_out = {head.d_out}, {head.n_tokens} tokens"
    name = "attention is determined up to GL(d_key) and a scaling [H]"
    if head.n_tokens == 1:
        yield Check(name, f"{sizes}: one token sees no more than the symmetric part of KᵀQ", False)
    elif rank == head.d_out == 1 < d:
        statement = f"{sizes}: the function is a product of three linear forms, two of which may change places"
        yield Check(name, statement, True, "finite")
    else:
        statement = f"{sizes}: V and KᵀQ are the factors of a product, KᵀQ of rank {rank}"
        yield Check(name, statement, True, "global")
