# SPDX-License-Identifier: BSD-3-Clause
"""Heights and denominators that exact expansion rests on, for programs with every instruction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import polycore as pc
from polycore._exact import denominator_and_height
from polycore.program import Activation, Program


@pytest.mark.parametrize("seed", range(100))
def test_heights_bound_the_coefficients(random_program: Callable[..., Program], seed: int) -> None:
    rng = np.random.default_rng(seed)
    instructions = [
        replace(i, coefficients=tuple(Fraction(int(c), int(rng.integers(1, 5))) for c in i.coefficients))
        if isinstance(i, Activation)
        else i
        for i in random_program(seed).instructions
    ]
    program = Program(random_program(seed).n_inputs, instructions)
    theta = np.empty(program.n_params, dtype=object)
    theta[:] = [Fraction(int(a), int(rng.integers(1, 7))) for a in rng.integers(-9, 10, program.n_params)]
    expected = program.reference.expand(theta)
    denominator, height = denominator_and_height(program, theta.tolist())
    for coefficient in expected.reshape(-1):
        scaled = Fraction(coefficient) * denominator
        assert scaled.denominator == 1
        assert abs(scaled) <= height
    if program.n_params:
        assert (pc.Network(program).expand(theta, dtype=object) == expected).all()
