# SPDX-License-Identifier: BSD-3-Clause
"""The group against the functions it must not change, and its dimension against closed forms and brute force."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore._frames import read_frames
from polycore.activations import GenericActivation
from polycore.networks import MLP, Network
from polycore.program import Activation, Add, Affine, Indeterminate, MatMul, Program, Select
from polycore.rank import WORD_PRIME, modular_kernel, modular_rank
from polycore.symmetries import (
    Symmetry,
    SymmetryGroup,
    action_prime,
    expected_dimension,
    infinitesimal_action,
    orbit_dimension,
    scaled_parameters,
)

P = WORD_PRIME


# --- networks of all families -----------------------------------------------------------------------------------------


def random_activation(rng: np.random.Generator) -> Any:
    """Powers, powers about a centre, lines, even, odd and other polynomials."""
    return [
        lambda: int(rng.integers(1, 5)),
        lambda: 2,
        lambda: [0, 0, Fraction(3, 2)],
        lambda: [1, int(rng.integers(-2, 3)), 1],
        lambda: [2, 3, 3, 1],
        lambda: [int(rng.integers(0, 2)), 2],
        lambda: [1, 0, 3, 0, 2],
        lambda: [0, 1, 0, -2],
        lambda: [1, 1, 0, 3],
        lambda: [0, 1, 1, 1, 1],
    ][rng.integers(0, 10)]()


def random_layer(rng: np.random.Generator, shape: tuple[int, ...], depth: int) -> Any:
    """A layer for data of this shape; it need not fit."""
    bias = bool(rng.integers(0, 2))
    kind = rng.integers(0, 7 if depth else 5)
    if kind == 0:
        return pc.Affine(int(rng.integers(1, 4)), bias)
    if kind == 1:
        return pc.Activation(random_activation(rng))
    if kind == 2:
        return pc.Conv(int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(1, 3)), bias)
    if kind == 3:
        return pc.Attention(*rng.integers(1, 4, 2).tolist(), int(rng.integers(1, 3)))
    if kind == 4:
        return pc.Select(rng.integers(0, shape[0], rng.integers(1, 4)).tolist())
    layers, made = random_layers(rng, shape, int(rng.integers(1, 4)), depth - 1)
    if math.prod(made) != math.prod(shape):
        layers.append(pc.Conv(1, shape[-1], 1, bias) if made[0] == shape[0] else pc.Affine(math.prod(shape), bias))
    return pc.Residual(*layers, shortcut=random_layer(rng, shape, 0) if rng.integers(0, 4) == 0 else None)


def random_layers(
    rng: np.random.Generator, shape: tuple[int, ...], n_layers: int, depth: int = 2
) -> tuple[list[Any], tuple[int, ...]]:
    """Layers that fit, and the shape of what they make of data of this shape."""
    layers: list[Any] = []
    made = shape
    while len(layers) < n_layers:
        try:
            layer = random_layer(rng, made, depth)
            net = pc.Sequential(*layers, layer, n_inputs=shape)
        except ValueError:
            continue
        layers.append(layer)
        made = net.output_shape
    return layers, made


def random_network(rng: np.random.Generator) -> Network:
    """A network of moderate degree from random layers."""
    while True:
        shape = tuple(rng.integers(1, 4, rng.integers(1, 3)).tolist())
        layers, _ = random_layers(rng, shape, int(rng.integers(2, 6)))
        net = pc.Sequential(*layers, n_inputs=shape)
        if net.n_params and net.degree <= 60:
            return net


FAMILIES = [
    pc.MLP((2, 3, 2), 2),
    pc.MLP((2, 2, 3, 1), (3, 2), bias=True),
    pc.MLP((2, 3, 2), [1, 0, 3, 0, 1], bias=True),
    pc.MLP((3, 4, 2), [1, 2]),
    pc.CNN((2, 3), 2, stride=(2, 1), n_inputs=7),
    pc.CNN((2, 2, 2), (3, [0, 1, 1]), n_inputs=5, bias=True, channels=(2, 3, 2)),
    pc.Sequential(pc.Conv((2, 2), 2), pc.Activation(2), pc.Conv((1, 2), 3), n_inputs=(3, 4)),
    pc.LightningAttention(2, 2, 1, n_tokens=2),
    pc.LightningAttention(2, 3, 2, n_tokens=2, n_layers=2, n_heads=2),
    pc.LightningAttention(3, 1, 2, n_tokens=3, n_layers=1, n_heads=3),
    pc.Sequential(pc.Conv(1, 2), pc.Residual(pc.Attention(2, n_heads=2)), pc.Attention(1, 1), n_inputs=(2, 2)),
    pc.Sequential(
        pc.Affine(3, bias=True), pc.Residual(pc.Activation(2), pc.Affine(3, bias=True)), pc.Affine(2, True), n_inputs=2
    ),
    pc.Sequential(pc.Affine(4), pc.Select([0, 2]), pc.Activation(2), pc.Affine(2), n_inputs=2),
    # z² + w³: both come in scalings, by t³ and t².
    Network(
        Program(
            2,
            [
                Affine(0, 3),
                Activation(1, (0, 0, 1)),
                Affine(0, 3),
                Activation(3, (0, 0, 0, 1)),
                Add((2, 4)),
                Affine(5, 2),
            ],
        )
    ),
    # z² + w²: signs of each of the two.
    Network(
        Program(
            2,
            [Affine(0, 3), Activation(1, (0, 0, 1)), Affine(0, 3), Activation(3, (0, 0, 1)), Add((2, 4)), Affine(5, 2)],
        )
    ),
    # Outer products of two layers, read by a dense one.
    Network(Program(3, [Affine(0, 2), Affine(0, 3), MatMul(1, 2, 2, 1, 3), Activation(3, (0, 0, 1)), Affine(4, 2)])),
    # xᵀWᵀWx: W can be multiplied by signed permutations, as known here.
    Network(Program(2, [Affine(0, 3), MatMul(1, 1, 1, 3, 1, False, False)])),
]


# --- the function does not change -------------------------------------------------------------------------------------


def check_function(net: Network, rng: np.random.Generator) -> None:
    """μ(g·θ) = μ(θ), at points of GF(p)."""
    group = net.symmetries()
    g = group.random_element(rng)
    assert g.is_exact
    assert group.is_trivial or not g.is_identity
    theta, X = net.random_params(rng, modulus=P), rng.integers(0, P, (6, net.n_inputs)).astype(np.uint64)
    moved = group.act(g, theta, modulus=P)
    assert (net.evaluate(moved, X, modulus=P) == net.evaluate(theta, X, modulus=P)).all()


def check_laws(net: Network, rng: np.random.Generator) -> None:
    """The laws of a group and of its action."""
    group = net.symmetries()
    g, h, k = (group.random_element(rng) for _ in range(3))
    theta = net.random_params(rng, modulus=P)
    gh, back = group.compose(g, h), group.inverse(g)
    assert (group.act(gh, theta, modulus=P) == group.act(g, group.act(h, theta, modulus=P), modulus=P)).all()
    assert group.compose(gh, k) == group.compose(g, group.compose(h, k))
    assert group.compose(g, back) == group.identity() == group.compose(back, g)
    assert (group.act(back, group.act(g, theta, modulus=P), modulus=P) == theta).all()


@pytest.mark.parametrize("net", FAMILIES, ids=repr)
def test_families(net: Network) -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        check_function(net, rng)
    for _ in range(5):
        check_laws(net, rng)


@pytest.mark.parametrize("seed", range(20))
def test_random_networks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for k in range(80):
        net = random_network(rng)
        check_function(net, rng)
        if k % 10 == 0:
            check_laws(net, rng)


@pytest.mark.parametrize("seed", range(10))
def test_exactly_over_the_rationals_and_to_rounding_in_floats(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    for net in [*FAMILIES, *(random_network(rng) for _ in range(10))]:
        if net.degree > 12:
            continue
        group = net.symmetries()
        g = group.random_element(rng)
        theta = np.array([Fraction(int(a), int(b)) for a, b in rng.integers(1, 5, (net.n_params, 2))], dtype=object)
        X = rng.integers(-3, 4, (3, net.n_inputs)).astype(object)
        moved = group.act(g, theta)
        values = net.evaluate(theta, X, dtype=object)
        assert moved.dtype == object
        assert (net.evaluate(moved, X, dtype=object) == values).all()
        # One rounding for each operation, amplified by what cancels: compare with the sum of absolute values.
        rounded = group.act(g, theta.astype(float))
        assert np.allclose(rounded, moved.astype(float), rtol=1e-12, atol=1e-13 * abs(rounded).max())
        size = net.evaluate(abs(moved), abs(X), dtype=object) if _all_positive(net) else None
        if size is not None:
            error = abs(net.evaluate(rounded, X.astype(float)) - values.astype(float))
            assert (error <= 1e-11 * size.astype(float)).all()


def _all_positive(net: Network) -> bool:
    """Whether absolute values bound sums: no activation has a negative coefficient."""
    return all(c >= 0 for a in net.program.activations for c in a.numbers)


def test_batches_and_complex_numbers() -> None:
    net = pc.LightningAttention(2, 2, 2, n_tokens=2, n_heads=2)
    group = net.symmetries()
    g = group.random_element(3)
    theta = net.random_params(rng=0, batch=(2, 3))
    moved = group.act(g, theta)
    for index in np.ndindex(2, 3):
        assert np.allclose(moved[index], group.act(g, theta[index]), rtol=1e-14, atol=0)
    turned = group.act(g, theta * (1 + 2j))
    assert turned.dtype == complex
    assert np.allclose(turned, moved * (1 + 2j), rtol=1e-13)
    assert np.allclose(net.expand(turned), net.expand(theta * (1 + 2j)), rtol=1e-9, atol=1e-9)


def test_heads_can_be_permuted() -> None:
    net = pc.LightningAttention(2, 1, 2, n_tokens=2, n_heads=3)
    group = net.symmetries()
    (heads,) = (factor for factor in group.factors if factor.kind == "branches")
    assert heads.size == 3
    theta = net.random_params(rng=1, modulus=P)
    seen = set()
    for seed in range(60):
        g = group.random_element(seed)
        order = tuple(slot for k, slot in enumerate(g.slots) if slot != k)
        seen.add(order)
        assert (net.expand(group.act(g, theta, modulus=P), modulus=P) == net.expand(theta, modulus=P)).all()
    assert len(seen) == 6


def test_trivial_group() -> None:
    group = MLP((3, 2)).symmetries()
    assert group.is_trivial
    assert group.random_element(0) == group.identity()
    assert group.orbit_dimension == 0
    assert "trivial" in repr(group)
    # The first sum of a residual layer adds the input itself.
    net = pc.Sequential(pc.Residual(pc.Affine(2)), n_inputs=2)
    assert net.symmetries().is_trivial


def test_signs_of_outer_products_in_a_polynomial_that_is_not_even() -> None:
    # z_i z_j changes sign with one of two features.
    outer, square = MatMul(1, 1, 2, 1, 2), Activation(2, (0, -2, 1))
    for bias in (False, True):
        net = Network(Program(2, [Affine(0, 2, bias), outer, square, Affine(3, 2)]))
        rng = np.random.default_rng(1)
        for _ in range(20):
            check_function(net, rng)


def test_residuals_keep_what_is_compatible() -> None:
    """W2 reads z² and is added to z: units are scaled together with the skip, so W2 by t on the left, t^-2 right."""
    layers = [pc.Affine(2), pc.Residual(pc.Activation(2), pc.Affine(2)), pc.Affine(1)]
    kinds = {factor.kind: factor for factor in pc.Sequential(*layers, n_inputs=2).symmetries().factors}
    assert kinds["scalings"].exponents == (1, 1)
    assert kinds["scalings"].exponent == 2
    # z + z² = z (1 + z) has no scalings; but quadratics have a centre, and biases make room for it.
    plain = pc.Sequential(pc.Affine(2), pc.Residual(pc.Activation(2)), pc.Affine(1), n_inputs=2)
    assert {factor.kind for factor in plain.symmetries().factors} == {"permutations"}


def test_signs_before_an_even_activation_that_ends_the_network() -> None:
    """z² of an output unit does not see its sign; nothing else may move there."""
    net = pc.Sequential(pc.Affine(2), pc.Activation([1, 0, 1, 0, 2]), n_inputs=2)
    assert [(factor.kind, factor.size, factor.where) for factor in net.symmetries().factors] == [("signs", 2, ("W1",))]
    assert {tuple(net.symmetries().act(net.symmetries().random_element(k), [1, 2, 3, 4])) for k in range(20)} == {
        (-1, -2, 3, 4),
        (1, 2, -3, -4),
        (-1, -2, -3, -4),
    }
    assert pc.Sequential(pc.Affine(2), pc.Activation(3), n_inputs=2).symmetries().is_trivial


def test_translations_of_slots_of_different_widths() -> None:
    """Both sums contain something of the input, which nothing moves; the biases of what is added to it do."""
    inner = pc.Residual(pc.Activation(4), pc.Affine(2, bias=True))
    outer = pc.Residual(pc.Select([0, 2]), inner, pc.Affine(1, bias=True), pc.Affine(3, bias=True))
    net = pc.Sequential(outer, pc.Affine(3, bias=True), n_inputs=3)
    sizes = [(factor.kind, factor.size) for factor in net.symmetries().factors]
    assert sorted(sizes) == [("linear", 1), ("translations", 1), ("translations", 2), ("translations", 3)]
    for seed in range(10):
        check_function(net, np.random.default_rng(seed))
    assert orbit_dimension(net.program) == slotwise_orbit_dimension(net.program, np.random.default_rng(0)) == 7


def test_values_of_attention_under_a_residual() -> None:
    def sizes(*layers: Any) -> list[tuple[str, int]]:
        group = pc.Sequential(*layers, n_inputs=(3, 2)).symmetries()
        return [(factor.kind, factor.size) for factor in group.factors if factor.kind == "linear"]

    assert sizes(pc.Attention(1), pc.Attention(1)) == [("linear", 1), ("linear", 2), ("linear", 1)]
    assert sizes(pc.Residual(pc.Attention(1)), pc.Attention(1)) == [("linear", 1)] * 2
    assert sizes(pc.Residual(pc.Attention(1), shortcut=pc.Conv(1, 2)), pc.Attention(1)).count(("linear", 2)) == 1


# --- dimensions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("widths", "activation", "bias", "expected"),
    [
        ((2, 3, 1), 2, False, 3),
        ((4, 3, 4, 2), (2, 3), True, 7),
        ((2, 2, 1), [0, 0, 1, 1], False, 0),
        ((2, 2, 1), [0, 1, 1], False, 0),
        # z + z² = (z + 1/2)² − 1/4: with biases the square is completed.
        ((3, 2, 2), [0, 1, 1], True, 2),
        ((3, 2, 2), [0, 1, 0, 1], True, 0),
        # Linear networks: the fibre of a product of matrices of maximal rank.
        ((4, 2, 3), 1, False, 4),
        ((2, 5, 2), 1, False, 20 - 4),
        ((2, 1, 2), 1, False, 1),
        ((2, 5, 2), 1, True, 27 - 6),
        ((2, 5, 2), [3, 2], True, 27 - 6),
        ((2, 1, 2), 0, False, 0),
        ((3, 2), None, True, 0),
        # Generic polynomials: a quadratic is a shifted power, a cubic is not, a line is linear.
        ((3, 2, 2), GenericActivation(2), True, 2),
        ((3, 2, 2), GenericActivation(2), False, 0),
        ((3, 2, 2), GenericActivation(3), True, 0),
        ((2, 5, 2), GenericActivation(1), False, 20 - 6),
        ((2, 5, 2), GenericActivation(1), True, 27 - 6),
        ((2, 1, 2), GenericActivation(0), True, 0),
        ((3, 2, 4, 2), (GenericActivation(3), 2), False, 4),
    ],
)
def test_orbit_dimension(widths: tuple[int, ...], activation: object, bias: bool, expected: int) -> None:
    assert orbit_dimension(MLP(widths, activation, bias).program) == expected


@pytest.mark.parametrize(
    ("widths", "activation", "ambient", "expected", "dimension"),
    [
        # Finkel et al. 2025; Kubjas et al. 2024; Alexander and Hirschowitz 1995.
        ((2, 2, 2, 2), 2, 10, 8, 8),
        ((3, 3, 3), 2, 18, 15, 15),
        ((3, 5, 1), 4, 15, 15, 14),
        ((5, 3, 1), 2, 15, 15, 12),
        ((2, 4, 3, 2), 3, 20, 19, 15),
    ],
)
def test_expected_dimension_and_jacobian_rank(
    widths: tuple[int, ...], activation: int, ambient: int, expected: int, dimension: int
) -> None:
    net = MLP(widths, activation)
    assert net.n_outputs * len(net.basis) == ambient
    assert expected_dimension(ambient, net.n_params, orbit_dimension(net.program)) == expected
    theta = net.random_params(rng=3, modulus=WORD_PRIME)
    assert modular_rank(net.jacobian(theta, modulus=WORD_PRIME)) == dimension


@pytest.mark.parametrize(
    ("coefficients", "bias", "expected"),
    [
        ((0, 0, "t"), False, 2),  # t z² is a power
        ((0, 0, 0, "t"), False, 2),
        (("s", 0, 0, "t"), False, 0),  # a constant needs a bias
        (("s", 0, 0, "t"), True, 2),
        (("s", 3, 3, 1), True, 2),  # (z + 1)³ + s − 1
        (("s", 3, 3, "t"), True, 0),
        ((1, 3, "s", 1), True, 0),
        ((Fraction(1, 4), "t", "t"), True, 2),
        (("t", "t", "t", "t"), True, 0),
        ((0, "t", 0, 1), True, 0),
    ],
)
def test_single_indeterminate_coefficients(coefficients: tuple[object, ...], bias: bool, expected: int) -> None:
    names = {"s": Indeterminate(0, 0), "t": Indeterminate(0, 1)}
    activation = Activation(1, tuple(names.get(c, c) for c in coefficients))  # type: ignore[arg-type,call-overload]
    program = Program(2, [Affine(0, 2, bias), activation, Affine(2, 1, bias)])
    assert orbit_dimension(program) == expected


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
def test_orbits_of_generic_networks_are_those_of_random_ones(degree: int, bias: bool) -> None:
    net = MLP((3, 2, 3, 2), GenericActivation(degree), bias)
    assert orbit_dimension(net.program) == orbit_dimension(net.specialize(rng=5).program)


@pytest.mark.parametrize("n", [WORD_PRIME, WORD_PRIME**2, 7 * WORD_PRIME])
@pytest.mark.parametrize(
    ("widths", "activation", "bias"),
    [
        ((2, 2, 2), (5, "n"), False),
        ((2, 2, 2), ("n", 1), False),
        ((2, 3, 2), (5, "n"), True),
        ((2, 3, 2, 2), ("n", 3), True),
    ],
)
def test_coefficients_that_the_usual_prime_divides(
    n: int, widths: tuple[int, ...], activation: tuple[object, ...], bias: bool
) -> None:
    """They are like any others: no more symmetries, and none that cannot be written modulo the prime."""
    special, ordinary = (
        MLP(widths, tuple([[value if c == "n" else c for c in activation]] * (len(widths) - 2)), bias)
        for value in (n, 11)
    )
    assert orbit_dimension(special.program) == orbit_dimension(ordinary.program)
    assert pc.dimension(special) == pc.dimension(ordinary)
    theta = np.arange(1, special.n_params + 1)
    found, like = (pc.jacobian_rank(net, theta, exact=True) for net in (special, ordinary))
    assert (found.rank, found.upper_bound) == (like.rank, like.upper_bound)


def test_a_program_that_is_no_chain_with_such_a_coefficient() -> None:
    instructions = [Activation(0, (0, 1)), Affine(0, 3), Activation(2, (WORD_PRIME, 1)), Affine(3, 3)]
    assert pc.dimension(Network(Program(3, instructions))).dimension == 12


def test_the_value_of_an_indeterminate_is_not_taken_for_a_relation() -> None:
    """c0 + t z + z² has its constant k = c0 − t²/4, also where c0 is a quarter of a square."""
    for root in range(1_000_000, 1_000_010):
        square = Activation(1, (Fraction(root**2, 4), Indeterminate(0, 1), 1))
        net = Network(Program(2, [Affine(0, 2, True), square, Affine(2, 2, True)]))
        assert orbit_dimension(net.program) == 2


@pytest.mark.parametrize("seed", range(8))
def test_tangents_are_in_the_kernel_of_the_jacobian(seed: int) -> None:
    """Exactly in GF(p), at random and at special parameters."""
    rng = np.random.default_rng(seed)
    for net in [*FAMILIES, *(random_network(rng) for _ in range(10))]:
        program = net.program
        p = action_prime(program)
        theta = net.random_params(rng, modulus=p).astype(np.int64)
        theta[rng.integers(0, 4, theta.size) == 0] = 0
        rows = infinitesimal_action(program, theta, p)
        X = rng.integers(0, p, (net.n_params + 5, net.n_inputs)).astype(np.uint64)
        dY = rng.integers(0, p, (net.n_params + 5, net.n_outputs)).astype(np.uint64)
        gradients = program.reference.evaluate_vjp(
            theta.astype(np.uint64), X, dY, modulus=p, constants=program.constants(p)
        )
        assert not (gradients.astype(object) @ rows.T.astype(object) % p).any()


def slotwise_orbit_dimension(program: Program, rng: np.random.Generator) -> int:
    """By brute force: tangents of all changes of the slots' values, linear systems in matrices A and vectors a.

    Slot s moves by A_s z + a_s, the same for all parameters; every instruction has to commute with it, at random values
    of the slots that it reads, and affine ones at random parameters up to changes of these.
    """
    p, widths = P, program.widths
    starts = np.cumsum([0] + [w * (w + 1) for w in widths])
    n_unknowns, rows = int(starts[-1]), []
    trials = []  # for each affine instruction the columns of its own change of parameters, in three trials
    for instruction in program.instructions:
        if isinstance(instruction, Affine):
            n_in = instruction.window_size(widths[instruction.input])
            trials.append([n_unknowns + t * instruction.n_out * (n_in + 1) for t in range(3)])
            n_unknowns += 3 * instruction.n_out * (n_in + 1)

    def moved(slot: int, z: np.ndarray) -> np.ndarray:
        """Coefficients of A z + a, (width, n_unknowns)."""
        w = widths[slot]
        result = np.zeros((w, n_unknowns), dtype=object)
        for i in range(w):
            result[i, starts[slot] + i * (w + 1) :][: w + 1] = [*z, 1]
        return result

    def require(equations: np.ndarray) -> None:
        rows.extend((equations % p).tolist())

    def values(slot: int) -> np.ndarray:
        return rng.integers(0, p, widths[slot]).astype(object)

    for slot in (0, len(program.instructions)):
        for _ in range(widths[slot] + 1):
            require(moved(slot, values(slot)))
    blocks = iter(trials)
    first = []
    for k, instruction in enumerate(program.instructions):
        out = k + 1
        if isinstance(instruction, Affine):
            windows = instruction.windows or (tuple(range(widths[instruction.input])),)
            n, m = instruction.n_out, len(windows[0])
            for t, start in enumerate(next(blocks)):
                W, b = rng.integers(0, p, (n, m)).astype(object), rng.integers(0, p, n).astype(object)
                b = b if instruction.bias else 0 * b
                if t == 0:
                    first.append((start, n, m, instruction.bias))
                for _ in range(widths[instruction.input] + 2):
                    z = values(instruction.input)
                    made = np.concatenate([W @ z[list(window)] + b for window in windows]) % p
                    difference, read = moved(out, made), moved(instruction.input, z)
                    for w, window in enumerate(windows):
                        for i in range(n):
                            difference[w * n + i] -= W[i] @ read[list(window)]
                            difference[w * n + i, start + i * (m + 1) :][: m + 1] -= [*z[list(window)], 1]
                    require(difference)
                if not instruction.bias:
                    for i in range(n):
                        row = np.zeros((1, n_unknowns), dtype=object)
                        row[0, start + i * (m + 1) + m] = 1
                        require(row)
        elif isinstance(instruction, Activation):
            c = [Fraction(x) for x in instruction.numbers]
            c = [int(x.numerator * pow(x.denominator, -1, p)) for x in c]
            for _ in range(2 * widths[out] + 3):
                z = values(instruction.input)
                made = np.array([sum(x * v**i for i, x in enumerate(c)) % p for v in z], dtype=object)
                slope = np.array([sum(i * x * v ** (i - 1) for i, x in enumerate(c) if i) % p for v in z], dtype=object)
                require(moved(out, made) - slope[:, None] * moved(instruction.input, z))
        elif isinstance(instruction, Select):
            for _ in range(widths[instruction.input] + 1):
                z = values(instruction.input)
                chosen = list(instruction.indices)
                require(moved(out, z[chosen]) - moved(instruction.input, z)[chosen])
        else:
            n_terms = instruction.inner if isinstance(instruction, MatMul) else 1
            for _ in range(widths[out] + n_terms * sum(widths[s] + 1 for s in instruction.inputs) + 3):
                z = {slot: values(slot) for slot in instruction.inputs}
                if isinstance(instruction, Add):
                    made = sum(z[slot] for slot in instruction.inputs) % p
                    change = sum(moved(slot, z[slot]) for slot in instruction.inputs)
                else:
                    made, change = _product(instruction, z, {slot: moved(slot, z[slot]) for slot in z}, p)
                require(moved(out, made) - change)
    basis = modular_kernel(np.array(rows, dtype=object), p)
    columns = [start + i * (m + 1) + j for start, n, m, bias in first for i in range(n) for j in range(m + bool(bias))]
    return modular_rank(np.ascontiguousarray(basis[:, columns]), p)


def _product(
    product: MatMul, z: dict[int, np.ndarray], dz: dict[int, np.ndarray], p: int
) -> tuple[np.ndarray, np.ndarray]:
    """A product of matrices, and its differential."""

    def matrix(values: np.ndarray, rows: int, columns: int, transposed: bool) -> np.ndarray:
        if transposed:
            return np.moveaxis(values.reshape(columns, rows, *values.shape[1:]), 1, 0)
        return values.reshape(rows, columns, *values.shape[1:])

    left, right = (
        (product.rows, product.inner, product.transpose_left),
        (product.inner, product.cols, product.transpose_right),
    )
    L, R = matrix(z[product.left], *left), matrix(z[product.right], *right)
    dL, dR = matrix(dz[product.left], *left), matrix(dz[product.right], *right)
    change = np.tensordot(L, dR, (1, 0)) + np.moveaxis(np.tensordot(dL, R, (1, 0)), 1, 2)
    return (L @ R % p).reshape(-1), change.reshape(-1, change.shape[-1])


@pytest.mark.parametrize("net", FAMILIES[:-6], ids=repr)
def test_no_slotwise_symmetry_is_missed(net: Network) -> None:
    """For all families: whatever changes the values of slots, linearly and for all parameters alike, is known."""
    if sum(w * (w + 1) for w in net.program.widths) < 1200:
        assert slotwise_orbit_dimension(net.program, np.random.default_rng(0)) == orbit_dimension(net.program)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_against_slotwise_brute_force(seed: int) -> None:
    """Never more than there is; all of it unless single features are selected or read as positions."""
    rng = np.random.default_rng(seed)
    n_regular = 0
    for _ in range(12):
        net = random_network(rng)
        while sum(w * (w + 1) for w in net.program.widths) > 400:
            net = random_network(rng)
        known, everything = orbit_dimension(net.program), slotwise_orbit_dimension(net.program, rng)
        assert known <= everything, net
        selects = any(isinstance(i, Select) for i in net.program.instructions)
        if not selects and not read_frames(net.program).irregular:
            assert known == everything, net
            n_regular += 1
    assert n_regular


@pytest.mark.parametrize(
    ("net", "dimension"),
    [
        # Shahverdi, Marchetti and Kohn: Σ k_i − L + 1 for powers, Σ k_i for generic activations.
        (pc.CNN((3, 2, 4), 2, stride=(1, 2, 1)), 7),
        (pc.CNN((3, 2), [0, 1, 1], stride=2), 5),
        # Lightning attention: a (2d − a) + d d' − 1 with a = min(a, d); l a (2d − a) + d² − l for l layers.
        *(
            (pc.LightningAttention(d, a, e, n_tokens=2), min(a, d) * (2 * d - min(a, d)) + d * e - 1)
            for d in (1, 2, 3)
            for a in (1, 2, 3, 4)
            for e in (1, 2)
        ),
        *(
            (pc.LightningAttention(d, a, d, n_tokens=2, n_layers=l), l * min(a, d) * (2 * d - min(a, d)) + d * d - l)
            for d in (2, 3)
            for a in (1, 2, 4)
            for l in (2, 3)
        ),
    ],
    ids=repr,
)
def test_parameters_less_orbits_are_the_published_dimensions(net: Network, dimension: int) -> None:
    assert net.n_params - orbit_dimension(net.program) == dimension
    assert net.symmetries().orbit_dimension == orbit_dimension(net.program)


@pytest.mark.parametrize("net", FAMILIES, ids=repr)
def test_scaled_parameters_are_combinations_of_the_others(net: Network) -> None:
    """Restricted to them the tangents of the scalings are independent."""
    listed = scaled_parameters(net.program)
    assert len(set(listed)) == len(listed)
    p = action_prime(net.program)
    theta = np.random.default_rng(5).integers(1, p, net.n_params)
    rows = infinitesimal_action(net.program, theta, p)[:, listed]
    assert modular_rank(np.ascontiguousarray(rows.astype(np.uint64)), p) == len(listed)


def test_bad_arguments() -> None:
    net = MLP((2, 2, 1), 2)
    group, other = net.symmetries(), MLP((2, 3, 1), 2).symmetries()
    g = group.random_element(0)
    with pytest.raises(TypeError, match="`network` must be a"):
        SymmetryGroup(net.program)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`g` must be a symmetry of this network"):
        group.act(other.identity(), np.zeros(6))
    with pytest.raises(ValueError, match="`h` must be a symmetry of this network"):
        group.compose(g, other.identity())
    with pytest.raises(TypeError, match="`g` must be a Symmetry"):
        group.inverse(np.eye(6))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`theta` must have shape"):
        group.act(g, np.zeros(5))
    with pytest.raises(pc.NumericalError, match="overflow"):
        group.act(g, np.full(6, 1.7e308))


def test_a_generic_centre_is_not_known() -> None:
    """A quadratic with indeterminate coefficients has a centre, and so scalings, which need its value."""
    group = MLP((2, 2, 1), GenericActivation(2), bias=True).symmetries()
    assert [factor.kind for factor in group.factors] == ["permutations", "scalings"]
    with pytest.raises(ValueError, match="specialize"):
        group.random_element(0)
    # Where there are only permutations of it, its elements are those of every network that it stands for.
    for net in (MLP((2, 3, 1), GenericActivation(3)), MLP((2, 3, 2, 1), (GenericActivation(4), 2), bias=True)):
        g = net.symmetries().random_element(1)
        concrete = net.specialize(rng=5)
        theta = concrete.random_params(rng=2, modulus=P)
        moved = concrete.symmetries().act(Symmetry(concrete.program, g.slots, g.changes), theta, modulus=P)
        assert (moved != theta).any()
        assert (concrete.expand(moved, modulus=P) == concrete.expand(theta, modulus=P)).all()


def test_words() -> None:
    group = MLP((2, 2, 1), [2, -2, 1], bias=True).symmetries()
    assert repr(group.identity()) == "Symmetry(identity)"
    g = group.random_element(1)
    assert "slot 1: z -> (" in repr(g)
    assert " + (" in repr(g)
    assert group == MLP((2, 2, 1), [2, -2, 1], bias=True).symmetries()
    assert hash(group) == hash(group)
    assert g != group.identity()
    assert g != 5
