# SPDX-License-Identifier: BSD-3-Clause
"""Identifiability: published verdicts, theorems against ranks by python-flint, and thresholds degree by degree.

Sources as in `polycore.identifiability`.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import comb
from typing import Any

import flint
import numpy as np
import pytest

import polycore as pc
from polycore.program import Activation, Affine, MatMul, Program
from polycore.structure import is_single_attention

P = 2**31 - 1


def verdict(*args: Any, **kwargs: Any) -> tuple[str, bool]:
    result = pc.identifiability(pc.MLP(*args, **kwargs))
    return result.verdict, result.proved


# -- published --------------------------------------------------------------------------------------------------------

GLOBAL = [
    ((3, 2, 2), 2, False),  # [U], examples 3 to 9
    ((2, 2, 2), 2, False),
    ((3, 4, 3), 3, False),
    ((10, 10, 10), 2, False),
    ((4, 5, 1), 3, False),  # Sylvester's pentahedral theorem
    ((2, 4, 1), 7, False),  # Sylvester: binary forms of degree 2k − 1 as sums of k powers
    ((2, 1, 2), 2, True),  # [U], remark 29
    ((2, 2, 2), 2, True),
    ((3, 2, 2), [0, 1, 1], True),  # a square, completed
    ((3, 2, 2), 2, True),
]
FINITE = [
    ((2, 2, 2, 2), 2, False),  # [F]
    ((3, 3, 3, 3), 2, False),
    ((4, 4, 4, 4), 2, False),
    ((5, 4, 3, 1), (2, 3), False),
    ((2, 4, 3, 2), 5, False),
    ((6, 5, 4, 3, 2), 2, False),  # [U], corollary 16
    ((5, 3, 2, 3, 4), (2, 2, 3), False),  # [U], corollary 19: 3 >= 3 / (2 − 1)
    ((2, 3, 4, 2), (5, 7), False),  # [U], corollary 17
    ((4, 4, 4, 2), 2, True),
    ((2, 2, 1), [0, 0, 1, 1], False),  # no scalings: 6 parameters, dimension 6
]
NOT = [
    ((2, 2, 1), 2, False),
    ((5, 3, 1), 2, False),
    ((3, 5, 1), 4, False),  # [A]
    ((4, 9, 1), 4, False),
    ((5, 14, 1), 4, False),
    ((5, 7, 1), 3, False),
    ((2, 4, 3, 2), 2, False),
    ((2, 4, 3, 2), 3, False),
    ((2, 4, 3, 2), 4, False),
    ((2, 3, 3, 1), 3, False),  # although both of its blocks are identifiable
    ((5, 4, 3, 1), 2, False),
    ((5, 5, 3, 1), 2, False),
    ((4, 5, 3), 2, False),  # [B]: defective, although the count is right
    ((4, 6, 5), 2, False),
    ((3, 5, 2), 3, False),
    ((4, 5, 3, 1), (2, 3), False),
    ((2, 1, 2, 2), 3, False),  # [F]
    ((2, 4, 4), 2, False),  # [U], remark 18: 4 > 2·3/2
    ((4, 2, 3), 1, False),
    ((2, 2, 2), 1, True),
]


@pytest.mark.parametrize(
    ("widths", "activation", "bias", "expected"),
    [(*case, "global") for case in GLOBAL] + [(*case, "finite") for case in FINITE] + [(*case, "not") for case in NOT],
)
def test_published_verdicts(widths: tuple[int, ...], activation: Any, bias: bool, expected: str) -> None:
    assert verdict(widths, activation, bias) == (expected, True)


def test_both_blocks_identifiable_but_not_the_network() -> None:
    """[U]: (2, 3, 3, 1), r = (3, 3): localisation needs the inputs of later blocks cut."""
    assert verdict((2, 3, 3), 3) == ("global", True)
    assert verdict((3, 3, 1), 3) == ("global", True)
    result = pc.identifiability(pc.MLP((2, 3, 3, 1), 3), method="rank")
    assert (result.verdict, result.proved, result.dimension and result.dimension.dimension) == ("not", True, 10)
    assert (result.n_params - result.scalings, result.fibre_dimension) == (12, 8)


def test_rank_certificates_have_the_published_dimensions() -> None:
    for widths, activation, bias, dimension, needed in [
        ((5, 4, 3, 1), 2, False, 25, 28),
        ((5, 4, 3, 1), (2, 3), False, 28, 28),
        ((2, 1, 2), 2, True, 6, 6),
        ((2, 2, 2), 2, True, 10, 10),
        ((3, 2, 2), [0, 1, 1], True, 12, 12),
    ]:
        result = pc.identifiability(pc.MLP(widths, activation, bias), method="rank")
        assert result.dimension is not None
        assert (result.dimension.dimension, result.n_params - result.scalings) == (dimension, needed)
        assert (result.verdict, result.proved) == ("finite" if dimension == needed else "not", True)


def test_generic_is_not_specific() -> None:
    """[U], example 41: two parameter vectors of an identifiable network with one function, not equivalent."""
    net = pc.MLP((2, 2, 2, 2), 2)
    identity, mix, last = [[1, 0], [0, 1]], [[1, 1], [1, -1]], [[1, 0], [1, -1]]
    half = [[Fraction(x, 2) for x in row] for row in mix]
    one = net.expand(net.pack(W1=identity, W2=mix, W3=identity), dtype=object)
    other = net.expand(net.pack(W1=mix, W2=half, W3=last), dtype=object)
    assert np.array_equal(one, other)
    assert verdict((2, 2, 2, 2), 2) == ("finite", True)


# -- special cases, by hand -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("r", [1, 2, 3, 4])
def test_one_unit_is_rank_one(r: int) -> None:
    """w (v·x)^r has one linear factor."""
    for d0 in (1, 2, 5):
        for d2 in (1, 3):
            assert verdict((d0, 1, d2), r) == ("global", True)


@pytest.mark.parametrize("r", [2, 3, 5])
def test_one_unit_with_a_bias(r: int) -> None:
    for d0 in (1, 3):
        for d2 in (1, 2):
            assert verdict((d0, 1, d2), r, bias=True) == ("global", True)


def test_linear_layers() -> None:
    assert verdict((3, 4)) == ("global", True)
    assert verdict((3, 4), bias=True) == ("global", True)
    assert verdict((3, 1, 1, 4), 1) == ("global", True)
    assert verdict((1, 2, 1), 1) == ("not", True)
    assert verdict((2, 1, 2), 1, bias=True) == ("not", True)  # shifts are no scalings
    assert verdict((4, 3, 3, 2), (2, 1)) == ("not", True)
    assert verdict((4, 3, 3, 2), (2, [3, 2])) == ("not", True)
    # c z + k without biases: W2 is read off the constant term, so that one unit has no scaling.
    result = pc.identifiability(pc.MLP((2, 1, 2), [3, 2]))
    assert (result.verdict, result.scalings, result.n_params) == ("finite", 0, 4)


def test_constant_layers() -> None:
    for activation in (0, ([7],), ([0],)):
        assert verdict((2, 3, 2), activation) == ("not", True)
        assert verdict((2, 1, 1), activation, bias=True) == ("not", True)


@pytest.mark.parametrize(("widths", "r"), [((2, 3, 1, 2), 5), ((2, 3, 1, 1, 4), 5), ((3, 2, 2, 1, 3), 3)])
def test_units_of_width_one_at_the_end(widths: tuple[int, ...], r: int) -> None:
    """f = w · g^R is as identifiable as g."""
    tail = widths.index(1)
    assert verdict(widths, r) == verdict(widths[: tail + 1], r)
    assert pc.identifiability(pc.MLP(widths, r), method="rank").verdict == "finite"


def test_two_decompositions_are_not_one() -> None:
    """[C]: the three cases below the generic rank that are finitely and not globally identifiable."""
    for widths, r in [((3, 9, 1), 6), ((4, 8, 1), 4), ((6, 9, 1), 3)]:
        assert verdict(widths, r) == ("finite", True)
        assert verdict((widths[0], widths[1] - 1, 1), r) == ("global", True)


def test_parameters_without_influence() -> None:
    dead = Program(2, [Affine(0, 2), Activation(1, (0, 0, 1)), Affine(0, 3), Affine(2, 2)])
    result = pc.identifiability(pc.Network(dead))
    assert (result.verdict, result.proved) == ("not", True)
    assert "6 parameters" in result.reason


def test_programs_that_are_not_mlps() -> None:
    """The structure is read off the program: activations of the inputs and outputs, affine maps in a row."""
    core = [Affine(1, 2), Activation(2, (0, 0, 1)), Affine(3, 2)]
    result = pc.identifiability(pc.Network(Program(3, [Activation(0, (0, 0, 0, 1)), *core])))
    assert (result.verdict, result.proved, result.scalings) == ("finite", True, 2)
    outputs = Program(3, [Affine(0, 2), Activation(1, (0, 0, 1)), Affine(2, 2), Activation(3, (0, 0, 1))])
    assert pc.identifiability(pc.Network(outputs)).verdict == "finite"
    assert pc.identifiability(pc.Network(Program(3, [Affine(0, 2), Affine(1, 2)]))).verdict == "not"
    assert pc.identifiability(pc.Network(Program(3, [Affine(0, 1), Affine(1, 2)]))).verdict == "global"
    constant = Program(3, [Affine(0, 2), Activation(0, (0, 1, 1))])
    assert pc.identifiability(pc.Network(constant)).reason == "6 parameters have no influence on the output"
    squares = Program(2, [Activation(0, (0, 0, 1))])
    assert pc.identifiability(pc.Network(squares)).verdict == "global"


def test_activations_in_a_row() -> None:
    square, shifted = (0, 0, 1), (1, 0, 1)
    net = pc.Network(Program(2, [Affine(0, 2), Activation(1, square), Activation(2, square), Affine(3, 2)]))
    assert pc.identifiability(net).checks == pc.identifiability(pc.MLP((2, 2, 2), 4)).checks
    # (z^2 + 1)^2 − 1 with biases could be a power for all the program shows: a rank too small proves nothing.
    net = pc.Network(Program(1, [Affine(0, 5), Activation(1, square), Activation(2, shifted), Affine(3, 1)]))
    result = pc.identifiability(net)
    assert (result.verdict, result.proved, result.error_bound) == ("undecided", False, 1.0)
    assert "other symmetries" in result.reason


def test_networks_by_structure_agree_with_mlps() -> None:
    net = pc.MLP((3, 4, 4, 2), (3, 5), bias=True)
    other = pc.Network(net.program)
    assert pc.identifiability(net).checks == pc.identifiability(other).checks


def test_generic_activations() -> None:
    """Shahverdi, Marchetti, Kohn 2025: all parameters count; every biased quadratic is a square."""
    result = pc.identifiability(pc.MLP((2, 2, 1), pc.GenericActivation(3)))
    assert (result.verdict, result.proved, result.scalings) == ("finite", True, 0)
    result = pc.identifiability(pc.MLP((3, 2, 2), pc.GenericActivation(2), bias=True))
    assert (result.verdict, result.scalings) == ("global", 2)
    assert verdict((3, 2, 2), pc.GenericActivation(1)) == ("not", True)


# -- theorems against ranks -------------------------------------------------------------------------------------------


def flint_rank(net: pc.Network, seed: int) -> int:
    """Rank of the Jacobian of the coefficients modulo P at random parameters."""
    jacobian = net.jacobian(net.random_params(seed, modulus=P), modulus=P)
    return int(flint.nmod_mat(*jacobian.shape, jacobian.ravel().tolist(), P).rank())


def count_scalings(net: pc.MLP) -> int:
    """Hidden units with an activation c z^r, or with biases any quadratic or linear one."""
    total = 0
    for width, activation in zip(net.widths[1:], net.activations):
        terms = [i for i, c in enumerate(activation.coefficients) if c]
        is_power = len(terms) == 1 and terms[0] > 0
        total += width * (is_power or (net.bias and activation.degree in (1, 2)))
    return total


def random_networks(seed: int, n: int) -> list[pc.MLP]:
    rng = np.random.default_rng(seed)
    nets: list[pc.MLP] = []
    while len(nets) < n:
        depth = int(rng.integers(1, 5))
        widths = tuple(int(d) for d in rng.integers(1, 6, depth + 1))
        pool: list[Any] = [1, 2, 2, 2, 3, 3, 4, 5, [0, 1, 1], [1, 0, 2], [0, 1, 0, 1]]
        chosen = tuple(pool[i] for i in rng.integers(0, len(pool), depth - 1))
        net = pc.MLP(widths, chosen, bias=bool(rng.integers(0, 3) == 0))
        if net.basis.n_monomials * net.n_outputs * net.n_params <= 60_000:
            nets.append(net)
    return nets


def test_theorems_agree_with_ranks() -> None:
    """What a theorem says is what the rank says, and a rank is never above what a "not" allows."""
    seen: Counter[tuple[str, str]] = Counter()
    for seed, net in enumerate(random_networks(2506_17093, 500)):
        by_theorem = pc.identifiability(net, method="theorems")
        needed = net.n_params - count_scalings(net)
        is_linear = any(a.degree == 1 and w > 1 for a, w in zip(net.activations, net.widths[1:]))
        is_shifted = net.bias and any(a.degree == 1 for a in net.activations)
        finite = flint_rank(net, seed) == needed and not is_linear and not is_shifted
        if by_theorem.verdict != "undecided":
            assert by_theorem.proved
            assert by_theorem.error_bound == 0
            assert (by_theorem.verdict != "not") == finite, by_theorem
            assert by_theorem.n_params - by_theorem.scalings == needed
        result = pc.identifiability(net, seed)
        assert (result.verdict in ("global", "finite")) == finite, result
        assert result.proved or (result.verdict == "not" and 0 < result.error_bound <= 1e-9)
        seen[by_theorem.verdict, result.verdict] += 1
    kinds = [("global", "global"), ("finite", "finite"), ("not", "not"), ("undecided", "finite")]
    assert all(seen[kind] >= 5 for kind in kinds), seen


def test_ranks_alone_agree() -> None:
    for seed, net in enumerate(random_networks(1, 150)):
        result = pc.identifiability(net, method="rank")
        needed = net.n_params - result.scalings
        assert result.dimension is not None
        assert (result.verdict == "finite") == (flint_rank(net, seed) == needed)
        assert result.fibre_dimension == net.n_params - result.dimension.dimension
        assert result.proved == (result.verdict == "finite" or result.dimension.upper_bound < needed)


def test_two_layers_follow_the_kruskal_inequality() -> None:
    """[U], proposition 12 and corollary 28, on a grid."""
    for d0 in range(2, 6):
        for d1 in range(2, 7):
            for d2 in range(1, 6):
                for r in range(2, 6):
                    if r >= Fraction(2 * d1 - min(d1, d2), min(d1, d0) - 1):
                        assert verdict((d0, d1, d2), r) == ("global", True)
                        assert verdict((d0 - 1, d1 - 1, d2), r, bias=True) == ("global", True)
                    elif d0 * d1 > comb(d0 + r - 1, r) and d2 == 1:
                        assert verdict((d0, d1, d2), r) == ("not", True)


def test_corollaries_hold_where_they_say() -> None:
    """[U], corollaries 16 and 17: the verdict, and the theorem that is named."""
    rng = np.random.default_rng(16)
    for _ in range(100):
        widths = tuple(int(d) for d in rng.integers(2, 40, int(rng.integers(4, 8))))
        result = pc.identifiability(pc.MLP(widths, tuple(2 * d - 1 for d in widths[1:-1])), method="theorems")
        assert (result.verdict, result.proved) == ("finite", True)
        pyramid = tuple(sorted(widths, reverse=True))
        result = pc.identifiability(pc.MLP(pyramid, 2), method="theorems")
        assert (result.verdict, result.theorem) == ("finite", "pyramid [U, corollary 16]")
        result = pc.identifiability(pc.MLP((*pyramid[:-1], 1), (2,) * (len(pyramid) - 3) + (3,)), method="theorems")
        assert result.verdict == "finite"
        assert verdict((*pyramid[:-1], 1), 2) == ("not", True)


def test_bottlenecks() -> None:
    """[U], corollary 19: decoder degrees r_ℓ >= d_ℓ / (d_b − 1)."""
    rng = np.random.default_rng(19)
    for _ in range(100):
        turn = int(rng.integers(2, 6))
        encoder = sorted((int(d) for d in rng.integers(turn, 20, 2)), reverse=True)
        decoder = sorted(int(d) for d in rng.integers(turn, 20, 3))
        widths = (*encoder, turn, *decoder)
        hidden = widths[1:-1]
        degrees = [2, 2] + [max(2, -(-d // (turn - 1))) for d in hidden[2:]]
        result = pc.identifiability(pc.MLP(widths, tuple(degrees)), method="theorems")
        assert result.verdict == "finite"
        assert any(check.name.startswith("bottleneck") and check.holds for check in result.checks)


def test_too_many_units_for_a_quadratic_layer() -> None:
    """[U], remark 18, wherever the layer is."""
    for before in range(2, 6):
        many = before * (before + 1) // 2 + 1
        assert verdict((before, many, 50), 2) == ("not", True)
        assert verdict((7, before, many, 50, 2), (5, 2, 3)) == ("not", True)


# -- sizes ------------------------------------------------------------------------------------------------------------


def test_theorems_need_no_memory() -> None:
    wide = pc.identifiability(pc.MLP((10**5, 10**5, 10**5, 10**4), 2))
    assert (wide.verdict, wide.proved, wide.dimension) == ("finite", True, None)
    deep = pc.identifiability(pc.MLP((9,) * 400, 3))
    assert (deep.verdict, deep.proved) == ("finite", True)
    assert "more in .checks" in repr(deep)
    assert verdict((10**5, 10**5, 10**5, 1), 2) == ("not", True)


def test_too_large_for_a_rank_is_undecided() -> None:
    net = pc.MLP((3,) * 70, [0, 1, 1, 1])  # degree 3^68, no theorem
    result = pc.identifiability(net)
    assert (result.verdict, result.proved, result.error_bound, result.fibre_dimension) == (
        "undecided",
        False,
        1.0,
        None,
    )
    assert "too large" in result.reason
    with pytest.raises(OverflowError, match="degree"):
        pc.identifiability(net, method="rank")


def test_blocks_by_rank_where_the_network_is_too_large() -> None:
    """(6, 8, 4) with r = 2 is beyond the theorems; its rank proves a network of degree 2^70."""
    assert pc.identifiability(pc.MLP((6, 8, 4), 2), method="theorems").verdict == "undecided"
    result = pc.identifiability(pc.MLP((6, 8) + (4,) * 70, 2))
    assert (result.verdict, result.proved, result.theorem) == ("finite", True, "localisation [U, theorem 11]")
    assert any("rank 72 of 72" in check.statement for check in result.checks)


# -- what results say of themselves -----------------------------------------------------------------------------------


def test_a_small_rank_alone_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an upper bound below, "not" carries the error bound of the rank."""
    import sys
    from dataclasses import replace

    module = sys.modules["polycore.identifiability"]
    net = pc.MLP((2, 2, 1), [0, 0, 1, 1])
    found = replace(pc.dimension(net), dimension=5, fibre_dimension=1, proved=False, error_bound=1e-12)
    monkeypatch.setattr(module, "dimension", lambda *args, **kwargs: found)
    result = pc.identifiability(net)
    assert (result.verdict, result.proved, result.error_bound) == ("not", False, 1e-12)
    assert "probability < 1e-12" in repr(result)


def test_checks_read_true() -> None:
    """Statements are true as they stand, whether the condition holds or not."""
    for net in random_networks(5, 100):
        for check in pc.identifiability(net, method="theorems").checks:
            assert check.holds or check.establishes in (None, "not")
            if "Kruskal" in check.name:
                left, right = check.statement.split("r = ")[1].split(" = ")
                r, relation = left.split(" ")[:2]
                assert (int(r) >= Fraction(right)) == (relation == ">=") == check.holds


def test_reproducible_and_plain() -> None:
    net = pc.MLP((2, 3, 3, 1), [1, 2, 3, 4])
    first = pc.identifiability(net, np.random.default_rng(3))
    assert pc.identifiability(net, first.seed) == first
    assert pickle.loads(pickle.dumps(first)) == first
    assert first.dimension is not None
    assert first.dimension.seed == first.seed
    assert repr(first).splitlines()[1] == "  verdict     finitely identifiable, proved"


# -- activation thresholds --------------------------------------------------------------------------------------------


def expected_dimension(widths: tuple[int, ...], r: int) -> int:
    """min(ambient, n_params − Σ hidden widths), for r = 1 the dimension of the matrices of bounded rank."""
    if r == 1:
        rank = min(widths)
        return rank * (widths[0] + widths[-1] - rank)
    modulo_scalings = sum(a * b for a, b in pairwise(widths)) - sum(widths[1:-1])
    return min(widths[-1] * comb(widths[0] + r ** (len(widths) - 2) - 1, widths[0] - 1), modulo_scalings)


@pytest.mark.parametrize(
    ("widths", "threshold"),
    [
        ((2, 2, 2, 2), 1),  # [F], theorem on equal widths
        ((5, 5, 5, 5, 5), 1),
        ((2, 4, 3, 2), 5),
        ((3, 5, 1), 5),  # [A]
        ((5, 7, 1), 4),
        ((4, 9, 1), 5),
        ((4, 5, 3), 3),  # [B]
        ((3, 5, 2), 4),
        ((2, 7, 1), 1),  # binary forms have no exceptions
        ((2, 1, 2), 1),
        ((1, 3, 2), 1),
        ((3, 2), 1),
        ((4, 3, 2, 1), 3),
    ],
)
def test_thresholds(widths: tuple[int, ...], threshold: int) -> None:
    result = pc.activation_threshold(widths)
    assert (result.threshold, result.exists, result.proved, result.error_bound) == (threshold, True, True, 0.0)


def test_thresholds_degree_by_degree() -> None:
    """The dimension of every degree up to two past the theorem's, by flint: as expected from the threshold on."""
    rng = np.random.default_rng(4569)
    n_checked = 0
    while n_checked < 60:
        widths = tuple(int(d) for d in rng.integers(1, 5, int(rng.integers(2, 5))))
        result = pc.activation_threshold(widths)
        assert result.proved
        top = (result.theorem_bound or 4) + 2
        if comb(widths[0] + top ** (len(widths) - 2), widths[0]) > 3000:
            continue
        n_checked += 1
        reached = {}
        for r in range(1, top):
            net = pc.MLP(widths, r)
            assert pc.dimension(net).expected_dimension == expected_dimension(widths, r)
            reached[r] = flint_rank(net, r) == expected_dimension(widths, r)
        if result.exists:
            assert result.threshold is not None
            assert result.threshold == max((r + 1 for r, ok in reached.items() if not ok), default=1)
            assert all(step.as_expected == reached[step.degree] for step in result.computed)
        else:
            assert not reached[top - 1]


def test_the_theorem_is_never_weaker_than_twice_the_width() -> None:
    """[U], corollary 17."""
    rng = np.random.default_rng(17)
    for _ in range(60):
        widths = tuple(int(d) for d in rng.integers(2, 4, int(rng.integers(3, 5))))
        bound = pc.activation_threshold(widths).theorem_bound
        assert bound is not None
        assert bound <= max(2 * d - 1 for d in widths[1:-1])


@pytest.mark.parametrize("widths", [(2, 1, 2, 2), (3, 2, 1, 4, 2), (2, 1, 1, 2, 3), (5, 1, 3, 1)])
def test_no_threshold_after_a_width_of_one(widths: tuple[int, ...]) -> None:
    """[F]: the dimension is that of the part before it plus d_L − 1, for every degree."""
    result = pc.activation_threshold(widths)
    assert (result.exists, result.threshold, result.at_most, result.proved) == (False, None, None, True)
    b = widths.index(1)
    for r in (2, 3):
        head = pc.dimension(pc.MLP(widths[: b + 1], r)).dimension
        net = pc.MLP(widths, r)
        assert pc.dimension(net).dimension == head + widths[-1] - 1
        assert verdict(widths, r) == ("not", True)
    assert str(widths[b:]) in result.reason
    assert "none exists" in repr(result)


def test_thresholds_of_wide_networks_are_theorems() -> None:
    result = pc.activation_threshold((1000, 800, 600, 500))
    assert (result.threshold, result.theorem_bound, result.proved) == (1, 2, True)
    result = pc.activation_threshold((1000, 800, 600, 1))
    assert (result.threshold, result.theorem_bound, result.proved) == (3, 3, True)
    assert result.computed[-1].source == "bound"


def test_too_large_for_the_computed_part() -> None:
    """r = 3 by theorem; r = 2 would need a matrix of petabytes."""
    result = pc.activation_threshold((2000, 4000, 4000))
    assert (result.exists, result.at_most, result.theorem_bound) == (True, 3, 3)
    assert (result.threshold, result.proved, result.error_bound) == (None, False, 1.0)
    assert "r = 2 is too large to compute" in result.reason
    assert "not found, at most 3" in repr(result)


def test_threshold_results_are_plain() -> None:
    first = pc.activation_threshold((2, 4, 3, 2), np.random.default_rng(0))
    assert pc.activation_threshold([2, 4, 3, 2], first.seed) == first
    assert pickle.loads(pickle.dumps(first)) == first
    assert "threshold  5, proved" in repr(first)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((2, 2, 1),), TypeError, "`net` must be a polycore network"),
        ((pc.MLP((2, 2, 1), 2), "seed"), TypeError, "`rng`"),
        ((pc.MLP((2, 2, 1), 2), None), TypeError, "`rng`"),
        ((pc.MLP((2, 2, 1), 2), -1), ValueError, "`rng`"),
        ((pc.MLP((2, 2, 1), 2), 0, 0), ValueError, "`primes`"),
        ((pc.MLP((2, 2, 1), 2), 0, 1.5), TypeError, "`primes`"),
    ],
)
def test_bad_arguments(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pc.identifiability(*arguments)


@pytest.mark.parametrize(
    ("keyword", "value"), [("method", "guess"), ("method", 3), ("max_error", 0), ("max_error", 1.0), ("n_threads", -1)]
)
def test_bad_keywords(keyword: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"`{keyword}`"):
        pc.identifiability(pc.MLP((2, 2, 1), 2), **{keyword: value})
    if keyword != "method":
        with pytest.raises(ValueError, match=f"`{keyword}`"):
            pc.activation_threshold((2, 2, 1), **{keyword: value})


@pytest.mark.parametrize(
    ("widths", "error"),
    [((2,), ValueError), ((2, 0, 1), ValueError), ((2, -3, 1), ValueError), ((2, 2.5, 1), TypeError), (7, TypeError)],
)
def test_bad_widths(widths: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="widths"):
        pc.activation_threshold(widths)


# -- convolutions, attention, and other programs ----------------------------------------------------------------------


def most_frequent_fibre(net: pc.Network, p: int) -> int:
    """How many parameter vectors over GF(p) have the same function, most often, among those without a zero.

    All vectors are tried, so this knows no theorem.
    """
    everything = np.ascontiguousarray(np.indices((p,) * net.n_params, dtype=np.uint64).reshape(net.n_params, -1).T)
    rng = np.random.default_rng(0)
    hashes = rng.integers(2**63, size=(net.n_outputs * net.basis.n_monomials, 1), dtype=np.uint64)
    some = np.array_split(everything, len(everything) // 10_000 + 1)
    functions = np.concatenate([net.expand(part, modulus=p).reshape(len(part), -1) @ hashes for part in some])
    chosen = rng.permutation(np.flatnonzero(everything.all(axis=1)))[:40]
    sizes = Counter(int((functions == functions[i]).sum()) for i in chosen)
    return sizes.most_common(1)[0][0]


@pytest.mark.parametrize(
    ("net", "p", "orbit", "decompositions"),
    [
        (pc.CNN((2, 2), 2), 11, 10, 1),
        (pc.CNN((2, 3), 2, n_inputs=6), 7, 6, 1),
        (pc.CNN((3, 2), 2, stride=2), 7, 6, 1),
        (pc.CNN((2, 2), 3, stride=(2, 1)), 11, 10, 1),
        (pc.CNN((2, 1, 2), 2), 7, 6 * 6, 1),
        (pc.CNN((2, 2, 2), 2), 5, 4 * 4, 1),
        (pc.CNN(((1, 2), (2, 1)), 2), 11, 10, 1),
        (pc.CNN((3, 2), [0, 1, 1], stride=2), 7, 1, 1),
        (pc.CNN((2, 2), [0, 1, 1]), 11, 1, 1),
        (pc.CNN((2, 2, 2), [0, 1, 1]), 5, 1, 1),
        (pc.CNN((2, 2), [3, 1, 2]), 11, 1, 1),
        (pc.CNN((2, 2), [0, 1, 0, 1]), 11, 2, 1),  # odd: signs
        (pc.CNN((2, 2), [3, 0, 1, 0, 1]), 11, 2, 1),  # even: signs
        (pc.CNN((2, 2), [0, 1, 0, 0, 1]), 7, 1, 3),  # λ³ = 1
        (pc.CNN((2, 2), [1, 0, 1]), 11, 1, 2),  # the constant fixes λ² = 1
        (pc.LightningAttention(2, 1, 1, 2), 5, 4 * 4, 2),  # (v·x) (k·x) (q·y)
        (pc.LightningAttention(1, 1, 2, 2), 7, 6 * 6, 1),
        (pc.LightningAttention(1, 2, 1, 2), 5, 4 * (24 * 5), 1),  # GL(2) acts freely but for stabilisers of order 4
        (pc.LightningAttention(2, 1, 2, 2), 5, 4 * 4, 1),
    ],
    ids=repr,
)
def test_fibres_over_finite_fields(net: pc.Network, p: int, orbit: int, decompositions: int) -> None:
    """By brute force: one orbit if "global", several if "finite"."""
    result = pc.identifiability(net)
    assert result.proved
    assert (result.verdict == "global") == (decompositions == 1)
    assert most_frequent_fibre(net, p) == orbit * decompositions


def test_linear_convolutions_are_not_unique() -> None:
    """Strides 1: which roots of the product belong to which filter is open."""
    result = pc.identifiability(pc.CNN((3, 2), 1))
    assert (result.verdict, result.proved) == ("finite", True)
    assert "net.symmetries()" in result.up_to


@pytest.mark.parametrize("seed", range(30))
def test_structure_theorems_agree_with_ranks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_layers = int(rng.integers(2, 5))
    choices = (2, 3, [0, 1, 1], [1, 1, 1], [0, 1, 0, 1], [1, 0, 0, 1], [0, 1, 0, 0, 1], [0, 0, 1, 0, 0, 1])
    choices += (pc.GenericActivation(2), pc.GenericActivation(3))
    activation = tuple(choices[i] for i in rng.integers(0, len(choices), n_layers - 1))
    filters, strides = rng.integers(1, 5, n_layers).tolist(), rng.integers(1, 3, n_layers).tolist()
    net = pc.CNN(filters, activation, strides)
    by_theorem, by_rank = pc.identifiability(net), pc.identifiability(net, method="rank")
    assert by_theorem.verdict in ("finite", "global")
    assert (by_rank.verdict, by_rank.proved) == ("finite", True)


def test_windows_that_share_all_inputs() -> None:
    """No input belongs to a window: a (x + b y)² + c (y + b x)² has other symmetries than scalings."""
    square = (0, 0, 1)
    both = ((0, 1), (1, 0))
    net = pc.Network(Program(2, [Affine(0, 1, windows=both), Activation(1, square), Affine(2, 1)]))
    assert not any("[S, R]" in check.name for check in pc.identifiability(net).checks)
    # One input of each window's own, but the other way round for each output.
    windows = ((0, 1), (1, 2))
    net = pc.Network(
        Program(3, [Affine(0, 1, windows=windows), Activation(1, square), Affine(2, 1, windows=((1, 0),))])
    )
    assert pc.identifiability(net).verdict == "global"


def test_products_of_other_shapes_are_not_attention() -> None:
    # Entries of the tokens' values multiply each other, not the values of tokens.
    maps = [Affine(0, n, windows=((0, 1), (2, 3))) for n in (2, 2, 4)]
    program = Program(4, [*maps, MatMul(1, 2, 4, 1, 4, transpose_right=True), MatMul(4, 3, 2, 8, 1)])
    assert not is_single_attention(program)
    net = pc.networks.Network(program)
    assert verdict_of(net, "auto") == verdict_of(net, "rank") == "not"
    maps = [Affine(0, 2, windows=((0, 1), (2, 3))) for _ in range(3)]
    program = Program(4, [*maps, MatMul(1, 3, 4, 1, 4, transpose_left=True), MatMul(2, 4, 2, 2, 8)])
    assert not is_single_attention(program)


def verdict_of(net: pc.networks.Network, method: str) -> str:
    return pc.identifiability(net, method=method).verdict


def test_several_layers_of_attention_are_finite() -> None:
    for d, a, n_layers in ((2, 1, 2), (2, 2, 2), (3, 2, 3)):
        net = pc.LightningAttention(d, a, n_tokens=2, n_layers=n_layers)
        result = pc.identifiability(net)
        assert (result.verdict, result.proved) == ("finite", True)
        assert result.scalings == net.symmetries().orbit_dimension == result.fibre_dimension


def test_one_token_sees_the_symmetric_part() -> None:
    result = pc.identifiability(pc.LightningAttention(3, 2, 2, 1))
    assert (result.verdict, result.proved) == ("not", True)
    assert any("symmetric part" in check.statement for check in result.checks)
    # (v·x) (k·x) (q·x): the factors may change places.
    assert pc.identifiability(pc.LightningAttention(3, 1, 1, 1)).verdict == "finite"


def test_residual_networks_by_rank() -> None:
    net = pc.Sequential(pc.Residual(pc.Affine(2), pc.Activation(3), pc.Affine(2)), n_inputs=2)
    result = pc.identifiability(net)
    assert (result.verdict, result.scalings) == ("finite", 2)
    wide = pc.Sequential(pc.Residual(pc.Affine(9), pc.Activation(2), pc.Affine(2)), n_inputs=2)
    assert (pc.identifiability(wide).verdict, pc.identifiability(wide).proved) == ("not", True)


@pytest.mark.parametrize("start", range(0, 300, 100))
def test_any_program(random_program: Callable[..., Program], start: int) -> None:
    """The verdict is what the dimension says, with or without theorems, and parameters without influence."""
    verdicts = Counter[str]()
    for seed in range(start, start + 100):
        net = pc.Network(random_program(seed, 3 + seed % 8))
        result, dimension = pc.identifiability(net), pc.dimension(net).dimension
        verdicts[result.verdict] += 1
        if result.verdict != "undecided":
            assert (result.verdict == "not") == (dimension < net.n_params - result.scalings)
    assert min(verdicts["finite"] + verdicts["global"], verdicts["not"]) > 20
