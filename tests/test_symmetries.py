# SPDX-License-Identifier: BSD-3-Clause
"""Orbit dimensions against closed forms, and the infinitesimal action against the function it must not change."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polycore as pc
from polycore.activations import GenericActivation
from polycore.networks import MLP, Network
from polycore.program import Activation, Affine, Indeterminate, Program
from polycore.rank import WORD_PRIME, modular_rank
from polycore.symmetries import (
    _hidden_layers,
    _linear_maps,
    _n_generators,
    _scalings,
    expected_dimension,
    orbit_dimension,
)


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
    ("widths", "activation", "bias"),
    [
        ((2, 3, 2), 3, False),
        ((2, 3, 2, 1), (2, 1), False),
        ((2, 2, 2), [Fraction(1, 2), 1, 1], True),
        ((2, 2, 3, 1), ([5, 3], 2), True),
        ((2, 3, 2), [5, 3], False),
        ((3, 2, 2), 1, True),
    ],
)
def test_the_action_does_not_change_the_function(widths: tuple[int, ...], activation: object, bias: bool) -> None:
    """Exact in GF(p): the Jacobian of the coefficients maps every generator to zero."""
    net = MLP(widths, activation, bias)
    layers, n_params = _hidden_layers(net.program), net.program.n_params
    theta = np.random.default_rng(1).integers(1, WORD_PRIME, n_params, dtype=np.int64)
    jacobian = net.jacobian(theta, modulus=WORD_PRIME).astype(object)
    assert layers
    for layer in layers:
        rows = np.zeros((_n_generators(layer), n_params), dtype=np.int64)
        (_scalings if layer.degree >= 2 else _linear_maps)(layer, theta, rows, WORD_PRIME)
        assert not (jacobian @ rows.T.astype(object) % WORD_PRIME).any()


def test_a_bias_before_takes_up_the_constant_of_a_linear_activation() -> None:
    """No bias after: z ↦ G z + (G − 1) k / c is still undone by the next weights, so the whole of GL(2) acts."""
    program = Program(5, [Affine(0, 2, True), Activation(1, (1, 2)), Affine(2, 5)])
    net = Network(program)
    theta = net.random_params(rng=4, modulus=WORD_PRIME)
    dimension = modular_rank(net.jacobian(theta, modulus=WORD_PRIME))
    assert orbit_dimension(program) == net.n_params - dimension == 4
    (layer,), n_params = _hidden_layers(program), program.n_params
    rows = np.zeros((_n_generators(layer), n_params), dtype=np.int64)
    _linear_maps(layer, theta.astype(np.int64), rows, WORD_PRIME)
    jacobian = net.jacobian(theta, modulus=WORD_PRIME).astype(object)
    assert not (jacobian @ rows.T.astype(object) % WORD_PRIME).any()


def test_closed_form_for_powers_is_the_rank_of_the_action() -> None:
    net = MLP((3, 4, 2, 2), (2, 3), bias=True)
    layers, n_params = _hidden_layers(net.program), net.program.n_params
    theta = np.random.default_rng(2).integers(1, WORD_PRIME, n_params, dtype=np.int64)
    blocks = []
    for layer in layers:
        blocks.append(np.zeros((_n_generators(layer), n_params), dtype=np.int64))
        _scalings(layer, theta, blocks[-1], WORD_PRIME)
    assert modular_rank(np.vstack(blocks)) == orbit_dimension(net.program) == 6


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
