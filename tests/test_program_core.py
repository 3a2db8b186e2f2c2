# SPDX-License-Identifier: BSD-3-Clause
"""Random programs of all instructions: the compiled executor against the reference interpreter, in every ring.

GF(p) agrees bit for bit. In floats the bound is relative to the same computation on absolute values, which bounds the
sum of all terms whatever their order.
"""

from __future__ import annotations

import numpy as np
import pytest

from polycore import _backend
from polycore.program import Activation, Add, Affine, MatMul, Program, Select

pytestmark = pytest.mark.skipif(not _backend.available()["cpp"], reason="the compiled core is not installed")

RINGS = ["float64", "complex128", 2, 7, 2**31 - 1, 2**31 + 11, 2**61 - 1]
POLYNOMIALS = [(0, 0, 1), (0, 0, 1), (0, 0, 0, -2), (1, -2, 3), (0, 1), (3,), (0, 1, 1)]
MAX_DEGREE, MAX_WIDTH, MAX_MONOMIALS = 7, 24, 400


def random_windows(r, width):
    """Windows of a convolution, or any."""
    size, n = int(r.integers(1, width + 1)), int(r.integers(1, 5))
    if r.random() < 0.6:
        stride = int(r.integers(1, 3))
        return [range(first, first + size) for first in range(0, width - size + 1, stride)]
    return [r.permutation(width)[:size].tolist() for _ in range(n)]


def random_instruction(r, kind, widths):
    """An instruction of this kind on slots of these widths, or None."""
    n = len(widths)
    slot = int(r.integers(n)) if r.random() < 0.4 else n - 1
    if kind == "affine":
        windows = random_windows(r, widths[slot]) if r.random() < 0.6 else None
        return Affine(slot, int(r.integers(1, 6)), bool(r.random() < 0.3), windows)
    if kind == "activation":
        return Activation(slot, POLYNOMIALS[r.integers(len(POLYNOMIALS))])
    if kind == "select":
        return Select(slot, r.integers(widths[slot], size=int(r.integers(1, 7))).tolist())
    if kind == "add":
        equal = [k for k in range(n) if widths[k] == widths[slot]]
        return Add([slot, *r.choice(equal, size=int(r.integers(1, 3))).tolist()])
    right = int(r.integers(n))
    common = np.gcd(widths[slot], widths[right])
    inner = int(r.choice([k for k in range(1, common + 1) if common % k == 0]))
    flips = (bool(r.random() < 0.5), bool(r.random() < 0.5))
    return MatMul(slot, right, widths[slot] // inner, inner, widths[right] // inner, *flips)


def random_program(seed):
    r = np.random.default_rng(seed)
    program = Program(int(r.integers(1, 5)), [Affine(0, 2)]) if r.random() < 0.5 else None
    n_inputs = program.n_inputs if program else int(r.integers(1, 5))
    instructions = list(program.instructions) if program else []
    kinds = ["affine", "affine", "activation", "select", "add", "matmul"]
    while len(instructions) < 8:
        widths = Program(n_inputs, instructions).widths if instructions else (n_inputs,)
        # The last has parameters more often than not, so that the Jacobian is not zero.
        kind = "affine" if len(instructions) == 7 and r.random() < 0.5 else kinds[r.integers(len(kinds))]
        larger = Program(n_inputs, [*instructions, random_instruction(r, kind, widths)])
        if larger.degree <= MAX_DEGREE and larger.widths[-1] <= MAX_WIDTH and larger.n_monomials <= MAX_MONOMIALS:
            instructions = list(larger.instructions)
    if not any(isinstance(instruction, Affine) for instruction in instructions):
        instructions.append(Affine(len(instructions), 2))
    return Program(n_inputs, instructions)


def draw(r, ring, *shape):
    if isinstance(ring, int):
        x = r.integers(0, ring, size=shape, dtype=np.uint64)
        x[..., :1] = ring - 1  # the residue with the largest products
        return x
    x = r.normal(size=shape)
    return x + 1j * r.normal(size=shape) if ring == "complex128" else x


def calls(r, program, ring, batch):
    """Arguments of every method."""
    P, O, N = program.n_params, program.n_outputs, program.n_monomials
    theta, X = draw(r, ring, batch, P), draw(r, ring, 11, program.n_inputs)
    result = {
        "evaluate": (theta, X),
        "evaluate_vjp": (theta, X, draw(r, ring, 11, O)),
        "expand": (theta,),
        "jacobian": (theta,),
        "jvp": (theta, draw(r, ring, batch, P)),
        "vjp": (theta, draw(r, ring, batch, O, N)),
    }
    if ring == "float64":
        result["vjp_tangent"] = (theta, draw(r, ring, batch, P), draw(r, ring, batch, O, N), draw(r, ring, batch, O, N))
    return result


def absolute(program):
    """The same program with coefficients >= 0."""
    return Program(
        program.n_inputs,
        [
            Activation(i.input, tuple(map(abs, i.coefficients))) if isinstance(i, Activation) else i
            for i in program.instructions
        ],
    )


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("method", ["forms", "auto"])
def test_the_core_runs_every_instruction(seed, ring, method):
    program = random_program(seed)
    executor = _backend.load("cpp").Program(program.n_inputs, program._float_tuples(), method)
    reference = program.reference
    assert (executor.n_params, executor.n_outputs, executor.degree, executor.homogeneous, executor.n_monomials) == (
        program.n_params,
        program.n_outputs,
        program.degree,
        program.homogeneous,
        program.n_monomials,
    )
    options = {"modulus": ring, "constants": program.constants(ring)} if isinstance(ring, int) else {}
    for name, arguments in calls(np.random.default_rng(seed), program, ring, batch=2).items():
        result = getattr(executor, name)(*arguments, **options)
        expected = getattr(reference, name)(*arguments, **options)
        assert result.dtype == expected.dtype
        assert result.shape == expected.shape
        if isinstance(ring, int):
            assert np.array_equal(result, expected), (name, program)
        else:
            scale = getattr(absolute(program).reference, name)(*map(abs, arguments))
            assert (abs(result - expected) <= 1e-12 * scale).all(), (name, program)
    if ring == "float64":
        theta = arguments[0]
        root = np.random.default_rng(seed).normal(size=(program.n_monomials, program.n_monomials))
        gram, target = root @ root.T, np.random.default_rng(seed + 1).normal(size=expected_shape(program))
        gram = (gram + gram.T) / 2
        for got, right in zip(
            executor.loss_gradient(theta, gram, target), reference.loss_gradient(theta, gram, target)
        ):
            assert np.allclose(got, right, rtol=1e-9, atol=1e-9 * abs(right).max())


def expected_shape(program):
    return program.n_outputs, program.n_monomials
