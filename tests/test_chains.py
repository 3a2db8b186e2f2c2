# SPDX-License-Identifier: BSD-3-Clause
"""The reader of chains, on programs written in other ways than by MLP."""

from __future__ import annotations

import numpy as np
import pytest

import polycore as pc
from polycore import chains
from polycore.chains import Chain, read_chain
from polycore.program import Activation, Add, Affine, Instruction, MatMul, Program, Select
from polycore.symmetries import orbit_dimension, scaled_parameters

SQUARE = (0, 0, 1)


def test_an_mlp_is_a_chain() -> None:
    net = pc.MLP((2, 3, 4, 1), ([1, 2, 3], 2), bias=True)
    chain = read_chain(net.program)
    assert chain == Chain((2, 3, 4, 1), ((), ((1, 2, 3),), (SQUARE,), ()), (True,) * 3)
    assert chain.n_params == net.n_params


def test_activations_anywhere() -> None:
    instructions = [
        Activation(0, SQUARE),
        Affine(1, 3),
        Affine(2, 2, True),
        Activation(3, SQUARE),
        Activation(4, (1, 1)),
    ]
    chain = read_chain(Program(2, instructions))
    assert chain == Chain((2, 3, 2), ((SQUARE,), (), (SQUARE, (1, 1))), (False, True))
    assert read_chain(Program(3, [Activation(0, SQUARE)])) == Chain((3,), ((SQUARE,),), ())


def test_only_what_leads_to_the_output() -> None:
    program = Program(2, [Affine(0, 3), MatMul(0, 0, 1, 2, 1, transpose_right=True), Affine(1, 2)])
    chain = read_chain(program)
    assert chain == Chain((2, 3, 2), ((), (), ()), (False, False))
    assert chain.n_params == program.n_params == 12
    program = Program(2, [Affine(0, 3), Affine(0, 5, True)])
    chain = read_chain(program)
    assert chain == Chain((2, 5), ((), ()), (True,))
    assert chain.n_params == program.n_params - 6


@pytest.mark.parametrize(
    "instructions",
    [
        [Affine(0, 1, windows=((0, 1), (1, 2)))],
        [Affine(0, 1, windows=((0, 1),))],  # does not see the third input
        [Affine(0, 3), Select(1, (0, 2))],
        [Affine(0, 3), Add((0, 1))],
        [Affine(0, 3), MatMul(1, 0, 1, 3, 1, transpose_right=True)],
    ],
)
def test_everything_else_is_none(instructions: list[Instruction]) -> None:
    assert read_chain(Program(3, instructions)) is None


def test_a_single_window_over_everything_is_dense() -> None:
    program = Program(3, [Affine(0, 2, windows=((2, 0, 1),)), Activation(1, SQUARE), Affine(2, 1, windows=((1, 0),))])
    assert read_chain(program) == read_chain(pc.MLP((3, 2, 1), 2).program)
    # A convolution whose filter is as long as the signal.
    net = pc.CNN((4, 1), 2, channels=(3, 2))
    assert read_chain(net.program) == read_chain(pc.MLP((4, 3, 2), 2).program)
    assert pc.dimension(net).dimension == pc.dimension(pc.MLP((4, 3, 2), 2)).dimension
    assert pc.identifiability(net).checks == pc.identifiability(pc.MLP((4, 3, 2), 2)).checks


def test_scalings_are_those_of_the_symmetries() -> None:
    rng = np.random.default_rng(0)
    choice = (2, 3, [0, 1, 1], [1, 2, 1], [1, 0, 1], [0, 0, 1, 1], pc.GenericActivation(2), pc.GenericActivation(3))
    total = 0
    for _ in range(200):
        n_layers = int(rng.integers(2, 5))
        widths = tuple(rng.integers(1, 5, n_layers + 1).tolist())
        activation = tuple(choice[i] for i in rng.integers(0, len(choice), n_layers - 1))
        program = pc.MLP(widths, activation, bias=bool(rng.integers(2))).program
        found = chains.scaled_parameters(program)
        assert found is not None
        assert sorted(found) == sorted(scaled_parameters(program)), program
        assert len(found) == orbit_dimension(program)
        total += len(found)
    assert total > 400


@pytest.mark.parametrize(
    "program",
    [
        pc.MLP((2, 3, 2), 1).program,
        pc.CNN((3, 2), 2).program,
        pc.MLP((2, 3, 2), 0).program,
        Program(2, [Affine(0, 3), Activation(1, SQUARE), Activation(2, SQUARE), Affine(3, 2)]),
        Program(2, [Affine(0, 3), Affine(0, 2)]),
    ],
)
def test_other_symmetries_are_left_to_others(program: Program) -> None:
    assert chains.scaled_parameters(program) is None
