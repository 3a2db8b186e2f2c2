# SPDX-License-Identifier: BSD-3-Clause
"""Programs with one output of each kind: fewer outputs, the same ranks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import polycore as pc
from polycore._representatives import with_representative_outputs
from polycore.program import Activation, Add, Affine, Instruction, MatMul, Program, Select

PRIME = 2**31 - 1


def rank(program: Program, theta: np.ndarray) -> int:
    net = pc.Network(program)
    return pc.modular_rank(net.jacobian(theta, modulus=PRIME), PRIME)


def check(program: Program, seed: int) -> bool:
    """Whether there are fewer outputs; the rank and the parameters are the same, at special points, too."""
    restricted = with_representative_outputs(program)
    assert restricted.parameters == tuple(
        b if restricted is program else type(b)(c.instruction, b.kind, b.start, b.shape)
        for b, c in zip(program.parameters, restricted.parameters)
    )
    rng = np.random.default_rng(seed)
    for theta in (rng.integers(1, PRIME, program.n_params), rng.integers(0, 2, program.n_params)):
        assert rank(restricted, theta.astype(np.uint64)) == rank(program, theta.astype(np.uint64)), program
    return restricted.n_outputs < program.n_outputs


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_random_programs(random_program: Callable[..., Program], start: int) -> None:
    """Each with a part of its outputs twice."""
    fewer = 0
    for seed in range(start, start + 100):
        program = random_program(seed)
        width = program.n_outputs
        some = np.random.default_rng(seed).integers(0, width, width + 1).tolist()
        program = Program(program.n_inputs, [*program.instructions, Select(len(program.instructions), tuple(some))])
        if program.n_params and program.n_outputs * program.n_monomials * program.n_params <= 30_000:
            fewer += check(program, seed)
    assert fewer >= 5


@pytest.mark.parametrize(
    ("net", "n_outputs"),
    [
        (pc.CNN((3, 2), 2, n_inputs=9), 1),
        (pc.CNN((2, 2), [1, 1, 1], n_inputs=(6, 2), channels=(3, 2), bias=True), 2),
        (pc.CNN(((2, 2), (2, 1)), 2, n_inputs=(4, 4)), 1),
        (pc.Sequential(pc.Conv(2), pc.Residual(pc.Activation(2), pc.Conv(1)), n_inputs=5), 1),
        (pc.LightningAttention(2, 1, 1, 3), 3),
        (pc.MLP((2, 3, 2), 2), 2),
    ],
)
def test_families(net: pc.Network, n_outputs: int) -> None:
    check(net.program, 0)
    assert with_representative_outputs(net.program).n_outputs == n_outputs


def test_sums_and_activations_of_parts_of_a_slot() -> None:
    """Slots of which others need more positions."""
    windows = ((0, 1), (1, 2), (2, 3))
    instructions: list[Instruction] = [
        Affine(0, 1, windows=windows),
        Activation(1, (0, 0, 1)),
        Select(1, (0, 0, 0)),
        Add((1, 3)),  # the first of them is 2 z
        Activation(4, (0, 1, 1)),
        MatMul(1, 1, 1, 3, 1, transpose_right=True),
        Select(5, (0, 0, 0, 1)),
    ]
    program = Program(4, instructions)
    assert check(program, 1)
    assert with_representative_outputs(program).n_outputs == 2


def test_parameters_without_influence_keep_their_place() -> None:
    program = Program(3, [Affine(0, 2), Affine(0, 1, windows=((0,), (1,), (2,)))])
    assert with_representative_outputs(program) is program
    assert pc.dimension(pc.Network(program)).dimension == 1
