# SPDX-License-Identifier: BSD-3-Clause
"""Spaces that contain the values of programs, against the values themselves."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
import pytest

import polycore as pc
from polycore import _ambient
from polycore._ambient import ambient_dimensions, output_representatives
from polycore.program import Activation, Affine, Program

PRIME = 2**31 - 1


@pytest.mark.parametrize("seed", range(150))
def test_values_lie_in_the_spaces(random_program: Callable[..., Program], seed: int) -> None:
    """The values of each slot, for many random parameters, all outputs in one vector."""
    program = random_program(seed)
    dimensions = ambient_dimensions(program)
    rng = np.random.default_rng(seed)
    for k in range(1, len(program.instructions) + 1):
        part = Program(program.n_inputs, program.instructions[:k])
        size = part.n_outputs * part.n_monomials
        if not part.n_params:
            continue
        theta = rng.integers(0, PRIME, (min(size, dimensions[k]) + 1, part.n_params), dtype=np.uint64)
        values = part.engine.expand(theta, modulus=PRIME, constants=part.constants(PRIME)).reshape(len(theta), size)
        assert pc.modular_rank(values, PRIME) <= dimensions[k], part


def test_windows_see_what_is_in_them() -> None:
    """Convolutions, their sequences of outputs being one polynomial."""
    for r in (2, 3):
        net = pc.CNN((3, 2), r, n_inputs=9)
        assert ambient_dimensions(net.program)[1:] == [3, comb(2 + r, r), min(2 * comb(2 + r, r), comb(3 + r, r))]
    # Sums of squares of two sums of neighbours have no product of neighbours of neighbours: 5 monomials, counted twice.
    assert ambient_dimensions(pc.CNN((2, 2), 2).program)[-1] == 2 * 3
    assert ambient_dimensions(pc.CNN((2, 2), 2, channels=(5, 4), n_inputs=8).program)[-1] == 4 * 2 * 3
    assert ambient_dimensions(pc.CNN((2, 2), 2, n_inputs=7, stride=2).program)[-1] == 2 * 3
    assert ambient_dimensions(pc.CNN((2, 2), [1, 1, 1]).program)[-1] == comb(5, 2)


def test_linear_convolutions_are_as_long_as_their_product() -> None:
    assert ambient_dimensions(pc.CNN((3, 4, 2), 1, n_inputs=12).program)[-1] == 3 + 4 + 2 - 2
    net = pc.CNN(((3, 2), (2, 2)), 1, n_inputs=(6, 6, 2), channels=(7, 3))
    assert ambient_dimensions(net.program)[-1] == 3 * (4 * 3) * 2


def test_attention_is_linear_in_some_tokens() -> None:
    """Scores of two tokens are bilinear; V x, quadratic in another token, is multiplied with them."""
    d, t = 3, 2
    dimensions = ambient_dimensions(pc.LightningAttention(d, 4, 2, t).program)
    scores = dimensions[4]
    assert scores == d * (d + 1) // 2 + d * d  # of a token with itself, and with another
    cubic = comb(d + 2, 3) + comb(d + 1, 2) * d
    assert t * 2 * cubic <= dimensions[5] <= t * 2 * (cubic + d**3)


def test_zero_and_constants() -> None:
    program = Program(2, [Affine(0, 3), Activation(1, (0,)), Affine(2, 2), Activation(3, (5,)), Affine(4, 2, True)])
    assert ambient_dimensions(program)[1:] == [6, 0, 0, 2, 2]


def test_what_is_too_large_is_counted_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    net = pc.CNN((3, 2), 2, n_inputs=9)
    _ambient._analysed.cache_clear()
    monkeypatch.setattr(_ambient, "_MAX_STEPS", 5)
    assert ambient_dimensions(net.program) == [9 * 9, 7 * 9, 7 * comb(10, 2), 6 * comb(10, 2)]
    assert output_representatives(net.program) == list(range(6))
    _ambient._analysed.cache_clear()
