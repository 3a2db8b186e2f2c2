# SPDX-License-Identifier: BSD-3-Clause
"""Programs: static analysis, and the executors against python-flint and against their own derivatives."""

from __future__ import annotations

import pickle
from fractions import Fraction

import flint
import numpy as np
import pytest

from polycore.errors import NumericalError
from polycore.monomials import MonomialBasis
from polycore.program import (
    Activation,
    Add,
    Affine,
    Indeterminate,
    Interpreter,
    MatMul,
    ParameterBlock,
    Program,
    Select,
)

POWER2, POWER3 = (0, 0, 1), (0, 0, 0, 1)


def mlp(widths, activations, bias=False):
    """Instructions of a multilayer network, one coefficient list for each hidden layer."""
    instructions = []
    for width, coefficients in zip(widths[1:], [*activations, None]):
        instructions.append(Affine(len(instructions), width, bias))
        if coefficients is not None:
            instructions.append(Activation(len(instructions), coefficients))
    return Program(widths[0], instructions)


PROGRAMS = {
    "slides": mlp((2, 2, 1), [POWER2]),
    "cubes": mlp((2, 2, 1), [POWER3]),
    "one affine": mlp((3, 2), []),
    "one affine with bias": mlp((3, 2), [], bias=True),
    "linear": mlp((3, 1, 2), [(0, 1)]),
    "deep": mlp((3, 2, 3, 2), [POWER2, POWER3]),
    "deep with biases": mlp((2, 3, 2, 2), [POWER2, POWER2], bias=True),
    "polynomial": mlp((2, 3, 2), [(0, 0, 1, 1)]),
    "every coefficient": mlp((2, 3, 2), [(1, -2, Fraction(1, 2), 0.25)], bias=True),
    "scaled monomial": mlp((2, 2, 2), [(0, 0, -3)]),
    "mixed": mlp((2, 3, 2, 1), [(1, 2, 3), POWER2]),
    "constant": mlp((2, 3, 2), [(5,)]),
    "zeroth power, then more": mlp((2, 2, 2, 1), [(1,), POWER2], bias=True),
    "zero polynomial": mlp((2, 2, 2), [(0, 0)]),
    "trailing zeros": mlp((2, 2, 1), [(0, 0, 1, 0, 0)]),
    "one variable": mlp((1, 2, 2), [POWER3], bias=True),
    "one bias only": Program(2, [Affine(0, 2), Activation(1, POWER2), Affine(2, 2, True)]),
    "activation first": Program(2, [Activation(0, POWER2), Affine(1, 3)]),
    "activation last": Program(2, [Affine(0, 2), Activation(1, (1, 1, 1))]),
    "unused slots": Program(2, [Affine(0, 3, True), Affine(0, 2), Activation(1, POWER3), Activation(2, POWER2)]),
    "slots read twice": Program(
        2,
        [
            Affine(0, 2, True),
            Activation(1, POWER3),  # not used
            Affine(1, 2),
            Activation(3, (1, 2, 1)),
            Affine(3, 3),  # not used
            Affine(4, 2, True),
        ],
    ),
    "widths of one": mlp((1, 1, 1, 1), [POWER2, POWER2]),
    "convolution": Program(
        4,
        [
            Affine(0, 1, False, [(0, 1), (1, 2), (2, 3)]),
            Activation(1, POWER2),
            Affine(2, 1, False, [(0, 1), (1, 2)]),
            Activation(3, POWER2),
            Affine(4, 1, False, [(0, 1)]),
        ],
    ),
    "strides, channels and biases": Program(
        3,
        [
            Affine(0, 2, True, [(0,), (2,)]),
            Activation(1, (0, 1, 1)),
            Affine(2, 3, True, [(0, 2), (3, 1)]),
            Activation(3, POWER2),
            Affine(4, 2),
        ],
    ),
    "attention": Program(
        4,
        [
            Affine(0, 3, False, [(0, 1), (2, 3)]),
            Affine(0, 3, False, [(0, 1), (2, 3)]),
            Affine(0, 2, False, [(0, 1), (2, 3)]),
            MatMul(2, 1, 2, 3, 2, transpose_right=True),
            MatMul(4, 3, 2, 2, 2),
        ],
    ),
    "key-value matrix": Program(
        4,
        [
            Affine(0, 1, True, [(0, 1), (2, 3)]),
            Affine(0, 1, False, [(0, 1), (2, 3)]),
            MatMul(1, 0, 1, 2, 2, transpose_left=True),
            MatMul(2, 3, 2, 1, 2, transpose_left=False),
        ],
    ),
    "product with the inputs and with itself": Program(
        4,
        [
            MatMul(0, 0, 2, 2, 2, transpose_right=True),
            Affine(1, 4),
            MatMul(2, 0, 2, 2, 2, transpose_left=True, transpose_right=True),
            MatMul(3, 3, 2, 2, 2),
            Select(4, (2, 0, 2)),
            Affine(5, 2),
        ],
    ),
    "residual": Program(2, [Affine(0, 2), Activation(1, POWER2), Affine(2, 2), Add((0, 3)), Affine(4, 2)]),
    "residual of equal degrees": Program(2, [Affine(0, 3), Affine(0, 3), Add((1, 2, 1)), Activation(3, POWER3)]),
    "nested residuals": Program(
        3,
        [
            Affine(0, 3, True),
            Activation(1, (0, 1, 2)),
            Add((0, 2)),
            Select(3, (2, 2, 0)),
            Affine(4, 3),
            Activation(5, POWER2),
            Add((6, 3)),
            Affine(7, 1),
        ],
    ),
    "selection of inputs": Program(3, [Select(0, (2, 1, 1)), Affine(1, 2), Activation(2, POWER2)]),
    "sum of constants and more": Program(2, [Affine(0, 2), Activation(1, (3,)), Add((0, 2)), Affine(3, 2)]),
}


@pytest.fixture(params=PROGRAMS)
def program(request):
    return PROGRAMS[request.param]


def outputs_by_flint(program, theta):
    """The output polynomials over the rationals, computed by nothing but +, * and ** of python-flint polynomials."""
    names = tuple(f"x{i}" for i in range(program.n_inputs))
    context = flint.fmpq_mpoly_ctx.get(names, ordering=flint.Ordering.deglex)
    parameters = iter([flint.fmpq(Fraction(t).numerator, Fraction(t).denominator) for t in theta])
    slots = [list(context.gens())]
    for instruction in program.instructions:
        z = slots[instruction.inputs[0]]
        if isinstance(instruction, Affine):
            windows = instruction.windows or [range(len(z))]
            rows = [[next(parameters) for _ in windows[0]] for _ in range(instruction.n_out)]
            biases = [next(parameters) if instruction.bias else 0 for _ in rows]
            values = [
                sum((w * z[i] for w, i in zip(row, window)), context.constant(0)) + b
                for window in windows
                for row, b in zip(rows, biases)
            ]
        elif isinstance(instruction, Select):
            values = [z[i] for i in instruction.indices]
        elif isinstance(instruction, Add):
            values = [sum(terms, context.constant(0)) for terms in zip(*(slots[slot] for slot in instruction.inputs))]
        elif isinstance(instruction, MatMul):
            rows, inner, cols = instruction.rows, instruction.inner, instruction.cols
            other = slots[instruction.right]
            values = [
                sum(
                    (
                        z[k * rows + i if instruction.transpose_left else i * inner + k]
                        * other[j * inner + k if instruction.transpose_right else k * cols + j]
                        for k in range(inner)
                    ),
                    context.constant(0),
                )
                for i in range(rows)
                for j in range(cols)
            ]
        else:
            c = [flint.fmpq(Fraction(c).numerator, Fraction(c).denominator) for c in instruction.coefficients]
            values = [sum((cj * x**j for j, cj in enumerate(c)), context.constant(0)) for x in z]
        slots.append(values)
    coef = np.zeros((program.n_outputs, program.n_monomials), dtype=object)
    for row, polynomial in zip(coef, slots[-1]):
        for exponents, c in polynomial.to_dict().items():
            row[program.basis.index(exponents)] = Fraction(int(c.p), int(c.q))
    return coef


def residues(values, p):
    flat = [q.numerator * pow(q.denominator, -1, p) % p for q in map(Fraction, values.reshape(-1))]
    return np.array(flat, dtype=np.uint64).reshape(values.shape)


def bound(program, theta, X=None):
    """A crude bound of any intermediate sum: the program run on absolute values, 1 for every unused term."""
    positive = [
        Activation(i.input, tuple(abs(c) for c in i.coefficients)) if isinstance(i, Activation) else i
        for i in program.instructions
    ]
    coef = Program(program.n_inputs, positive).reference.expand(abs(theta))
    return coef if X is None else np.maximum(abs(program.basis.evaluate(coef, abs(X))), 1).swapaxes(-1, -2)


def close(actual, expected, scale=None, factor=1000):
    """Equal up to a thousand roundings of the largest number around (sums here have far fewer terms than that)."""
    scale = max(1.0, np.abs(expected).max(initial=0)) if scale is None else scale
    return bool((np.abs(actual - expected) <= factor * np.finfo(float).eps * scale).all())


# -- static analysis --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "degree", "homogeneous", "n_params"),
    [
        ("slides", 2, True, 6),
        ("one affine", 1, True, 6),
        ("one affine with bias", 1, False, 8),
        ("linear", 1, True, 5),
        ("deep", 6, True, 18),
        ("deep with biases", 4, False, 23),
        ("polynomial", 3, False, 12),
        ("scaled monomial", 2, True, 8),
        ("mixed", 4, False, 14),
        ("constant", 0, True, 12),
        ("zero polynomial", 0, True, 8),
        ("trailing zeros", 2, True, 6),
        ("one bias only", 2, False, 10),
        ("activation first", 2, True, 6),
        ("unused slots", 2, False, 13),
        ("convolution", 4, True, 6),
        ("strides, channels and biases", 4, False, 25),
        ("attention", 3, True, 16),
        ("key-value matrix", 3, False, 5),
        ("product with the inputs and with itself", 6, True, 22),
        ("residual", 2, False, 12),
        ("residual of equal degrees", 3, True, 12),
        ("nested residuals", 4, False, 24),
        ("selection of inputs", 2, True, 6),
        ("sum of constants and more", 1, False, 8),
    ],
)
def test_analysis(make_executor, name, degree, homogeneous, n_params):
    program = PROGRAMS[name]
    for thing in (program, program.reference, make_executor(program)):
        assert (thing.degree, thing.homogeneous, thing.n_params) == (degree, homogeneous, n_params)
        assert thing.n_inputs == program.n_inputs
        assert thing.n_outputs == program.widths[-1]
        assert thing.n_monomials == len(program.basis)
    assert program.basis == MonomialBasis(program.n_inputs, degree, homogeneous)


def test_parameter_layout():
    program = PROGRAMS["deep with biases"]
    assert program.parameters == (
        ParameterBlock(0, "W", 0, (3, 2)),
        ParameterBlock(0, "b", 6, (3,)),
        ParameterBlock(2, "W", 9, (2, 3)),
        ParameterBlock(2, "b", 15, (2,)),
        ParameterBlock(4, "W", 17, (2, 2)),
        ParameterBlock(4, "b", 21, (2,)),
    )
    assert program.parameters[-1].stop == program.n_params
    assert program.widths == (2, 3, 3, 2, 2, 2)
    assert program.degrees == (1, 1, 2, 2, 4, 4)


def test_degrees_are_exact_integers():
    program = Program(9, [Activation(k, (0,) * 10 + (1,)) for k in range(30)])
    assert program.degree == 10**30
    assert program.n_monomials > 10**200
    with pytest.raises((OverflowError, MemoryError), match="coefficients"):
        program.reference.expand(np.empty(0))


def test_a_program_is_a_value():
    program = PROGRAMS["every coefficient"]
    assert pickle.loads(pickle.dumps(program)) == program
    assert hash(program) == hash(Program(program.n_inputs, list(program.instructions)))
    assert program != PROGRAMS["mixed"]
    assert program != 1
    assert Activation(0, (0, np.float32(2), 0, 0)) == Activation(0, [0, 2.0]) == Activation(0, np.array([0, 2]))
    assert eval(repr(program), {"Program": Program, "Affine": Affine, "Activation": Activation, "Fraction": Fraction})


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Program(0, []), ValueError, "n_inputs"),
        (lambda: Program(2.0, []), TypeError, "n_inputs"),
        (lambda: Program(2, [("affine", 0, 1, False)]), TypeError, r"instructions\[0\]"),
        (lambda: Program(2, [Affine(1, 2)]), ValueError, r"instructions\[0\].*slot 1"),
        (lambda: Affine(0, 0), ValueError, "n_out"),
        (lambda: Affine(-1, 2), ValueError, "input"),
        (lambda: Affine(0, 2, 1), TypeError, "bias"),
        (lambda: Affine(0, 2, False, []), ValueError, "windows"),
        (lambda: Affine(0, 2, False, 3), TypeError, "windows"),
        (lambda: Affine(0, 2, False, [3]), TypeError, r"windows\[0\]"),
        (lambda: Affine(0, 2, False, [[0, 1], [0, 0.5]]), TypeError, r"windows\[1\]\[1\]"),
        (lambda: Affine(0, 2, False, [[0, 1], [0]]), ValueError, "equally long"),
        (lambda: Affine(0, 2, False, [[0, 1], [2, 2]]), ValueError, r"windows\[1\].*repeat"),
        (lambda: Program(2, [Affine(0, 2, False, [[0, 2]])]), ValueError, r"instructions\[0\].*windows.*below 2"),
        (lambda: Select(0, ()), ValueError, "indices"),
        (lambda: Select(0, (-1,)), ValueError, "indices"),
        (lambda: Program(2, [Affine(0, 3), Select(1, (3,))]), ValueError, r"instructions\[1\].*indices"),
        (lambda: Add((0,)), ValueError, "two slots"),
        (lambda: Add(1), TypeError, "inputs"),
        (lambda: Program(2, [Affine(0, 3), Add((0, 1))]), ValueError, r"instructions\[1\].*widths \[2, 3\]"),
        (lambda: Program(2, [Add((0, 1))]), ValueError, r"instructions\[0\].*slot 1"),
        (lambda: MatMul(0, 0, 0, 1, 1), ValueError, "rows"),
        (lambda: MatMul(0, 0, 1, 1, 1, 1), TypeError, "transpose_left"),
        (lambda: Program(4, [MatMul(0, 0, 2, 2, 1)]), ValueError, r"instructions\[0\].*right.*2, got 4"),
        (lambda: Activation(0, ()), ValueError, "coefficients"),
        (lambda: Activation(0, (1, "2")), TypeError, r"coefficients\[1\]"),
        (lambda: Activation(0, (1, True)), TypeError, r"coefficients\[1\]"),
        (lambda: Activation(0, (1, 2j)), TypeError, r"coefficients\[1\]"),
        (lambda: Activation(0, (float("nan"),)), ValueError, r"coefficients\[0\]"),
    ],
)
def test_bad_programs(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_constants():
    program = Program(2, [Activation(0, (1, -1, 0.5)), Activation(1, (Fraction(2, 3), 10**30, 0))])
    p = 2**61 - 1
    expected = [1, p - 1, pow(2, -1, p), 2 * pow(3, -1, p) % p, 10**30 % p]
    assert program.constants(p).tolist() == expected
    assert program.constants(p).dtype == np.uint64
    assert Program(1, [Affine(0, 1)]).constants(7).shape == (0,)
    tenth = Fraction(0.1)  # the float, not the number it is written as
    assert Program(1, [Activation(0, (0.1,))]).constants(7).tolist() == [
        tenth.numerator * pow(tenth.denominator, -1, 7) % 7
    ]
    with pytest.raises(ValueError, match="denominator"):
        program.constants(3)
    with pytest.raises(ValueError, match="modulus"):
        program.constants(4)


S, T = Indeterminate(0, 0), Indeterminate(0, 1)


def test_analysis_of_generic_programs():
    program = Program(2, [Affine(0, 2), Activation(1, (S, 0, T)), Affine(2, 2), Activation(3, (0, T)), Affine(4, 1)])
    assert program.is_generic
    assert program.indeterminates == (S, T)
    assert (program.degree, program.homogeneous, program.widths) == (2, False, (2, 2, 2, 2, 2, 1))
    assert Program(2, [Activation(0, (0, 0, T))]).homogeneous
    assert not Program(2, [Activation(0, (0, 0, 1))]).is_generic
    assert Program(2, [Activation(0, (0, T, 0))]).degree == 1
    again = pickle.loads(pickle.dumps(program))
    assert again == program
    assert hash(again) == hash(program)
    assert again != Program(2, [*program.instructions[:3], Activation(3, (0, S)), Affine(4, 1)])


def test_constants_of_generic_programs():
    program = Program(1, [Activation(0, (T, 0.5, S)), Activation(1, (S, T, 0, 1)), Activation(2, (5, T))])
    drawn = {}
    for p in (3, 5, 2**31 - 1, 2**61 - 1):
        constants = program.constants(p, np.random.default_rng(1))
        t, half, s = constants[:3].tolist()
        assert half == pow(2, -1, p)
        assert constants[3:].tolist() == [s, t, 0, 1, 5 % p, t]
        assert np.array_equal(constants, program.constants(p, np.random.default_rng(1)))
        drawn[p] = (s, t)
    assert drawn[2**61 - 1][0] != drawn[2**61 - 1][1]
    with pytest.raises(ValueError, match=r"generic activation; net\.specialize\(rng\)"):
        program.constants(7)
    with pytest.raises(TypeError, match="`generator`"):
        program.constants(7, 0)
    concrete = Program(1, [Activation(0, (1, 2))])
    assert concrete.constants(7, np.random.default_rng(1)).tolist() == [1, 2]


def test_constants_are_uniform_and_leading_ones_are_units():
    program, rng = Program(1, [Activation(0, (S, T))]), np.random.default_rng(2)
    counts = np.zeros((2, 5), dtype=int)
    for s, t in (program.constants(5, rng).tolist() for _ in range(2000)):
        counts[0, s] += 1
        counts[1, t] += 1
    assert counts[1, 0] == 0
    # Within five standard deviations of the mean.
    assert (abs(counts[0] - 400) < 5 * np.sqrt(2000 * 0.16)).all()
    assert (abs(counts[1, 1:] - 500) < 5 * np.sqrt(2000 * 0.1875)).all()
    assert program.constants(2, rng)[1] == 1


@pytest.mark.parametrize("p", [7, 2**31 - 1, 2**61 - 1])
def test_generic_programs_run_in_finite_fields_only(make_executor, rng, p):
    """With the drawn constants in place of the indeterminates the program is an ordinary one."""
    program = Program(2, [Affine(0, 3), Activation(1, (S, 1, T)), Affine(2, 2, True), Activation(3, (T, 0, 0, S))])
    constants = program.constants(p, rng)
    values = iter(constants.tolist())
    drawn = [
        Activation(i.input, tuple(next(values) for _ in i.coefficients)) if isinstance(i, Activation) else i
        for i in program.instructions
    ]
    concrete = Program(2, drawn)
    theta = rng.integers(0, p, size=(2, program.n_params), dtype=np.uint64)
    X = rng.integers(0, p, size=(4, 2), dtype=np.uint64)
    generic, ordinary = make_executor(program), make_executor(concrete)
    ring = {"modulus": p, "constants": constants}
    assert np.array_equal(generic.evaluate(theta, X, **ring), ordinary.evaluate(theta, X, **ring))
    assert np.array_equal(generic.expand(theta, **ring), ordinary.expand(theta, **ring))
    assert np.array_equal(generic.jacobian(theta, **ring), ordinary.jacobian(theta, **ring))
    with pytest.raises(ValueError, match="generic activation"):
        generic.evaluate(theta.astype(float), X.astype(float))
    with pytest.raises(ValueError, match="generic activation"):
        generic.expand(theta.astype(complex))


@pytest.mark.parametrize(("group", "power", "error"), [(-1, 0, ValueError), (0, 1.0, TypeError), ("a", 0, TypeError)])
def test_bad_indeterminates(group, power, error):
    with pytest.raises(error, match="must be"):
        Indeterminate(group, power)


# -- expansion and evaluation against python-flint --------------------------------------------------------------------


def test_expand_against_flint(make_executor, program, rng):
    theta = rng.integers(-3, 4, size=(2, program.n_params))
    expected = np.array([outputs_by_flint(program, row.tolist()) for row in theta])
    executor = make_executor(program)
    # Sixteenths and integers of this size are exact in float64, and so is every sum of them.
    assert executor.expand(theta.astype(float)).tolist() == expected.tolist()
    assert executor.expand(theta.astype(complex)).tolist() == expected.tolist()
    for p in (65537, 2**31 - 1, 2**61 - 1):
        result = executor.expand(residues(theta, p), modulus=p, constants=program.constants(p))
        assert np.array_equal(result, residues(expected, p))


def test_expand_of_exact_numbers(program, rng):
    numerators = rng.integers(-(10**9), 10**9, size=program.n_params)
    theta = np.array([Fraction(int(n), 1 + k % 5) for k, n in enumerate(numerators)], dtype=object)
    assert program.reference.expand(theta).tolist() == outputs_by_flint(program, theta).tolist()


def test_expand_in_small_fields(make_executor, rng):
    program = PROGRAMS["deep with biases"]
    theta = rng.integers(-3, 4, size=program.n_params)
    expected = outputs_by_flint(program, theta.tolist())
    for p in (2, 3, 5):
        result = make_executor(program).expand(residues(theta, p), modulus=p, constants=program.constants(p))
        assert np.array_equal(result, residues(expected, p))


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_evaluate_is_the_value_of_the_expansion(make_executor, program, rng, dtype):
    theta, X = (
        rng.normal(size=(2, 3, program.n_params)).astype(dtype),
        rng.normal(size=(5, program.n_inputs)).astype(dtype),
    )
    if dtype is np.complex128:
        theta, X = theta + 1j * rng.normal(size=theta.shape), X + 1j * rng.normal(size=X.shape)
    executor = make_executor(program)
    values, coef = executor.evaluate(theta, X), executor.expand(theta)
    assert values.shape == (2, 3, 5, program.n_outputs)
    assert coef.shape == (2, 3, program.n_outputs, program.n_monomials)
    assert values.dtype == coef.dtype == dtype
    assert close(values, program.basis.evaluate(coef, X).swapaxes(-1, -2), bound(program, theta, X), factor=100)


def test_a_program_without_parameters(make_executor):
    program = Program(2, [Activation(0, (1, 2)), Activation(1, POWER2)])
    executor, theta = make_executor(program), np.empty(0)
    assert executor.expand(theta).tolist() == [[1, 4, 0, 4, 0, 0], [1, 0, 4, 0, 0, 4]]
    assert executor.evaluate(theta, np.array([[1.0, 2.0]])).tolist() == [[9, 25]]
    assert executor.jacobian(theta).shape == (12, 0)
    assert executor.vjp(theta, np.ones((2, 6))).shape == (0,)


@pytest.mark.parametrize("p", [7, 2**31 - 1, 2**61 - 1])
def test_evaluate_in_finite_fields(make_executor, program, rng, p):
    theta = rng.integers(0, p, size=(2, program.n_params), dtype=np.uint64)
    X = rng.integers(0, p, size=(4, program.n_inputs), dtype=np.uint64)
    executor, constants = make_executor(program), program.constants(p)
    coef = executor.expand(theta, modulus=p, constants=constants).astype(object)
    values = executor.evaluate(theta, X, modulus=p, constants=constants)
    assert np.array_equal(values, (program.basis.evaluate(coef, X.astype(object)) % p).swapaxes(-1, -2))


# -- derivatives ------------------------------------------------------------------------------------------------------


def complex_step(function, x, dx, step=1e-40):
    """Derivative along dx, exact to roundoff: no difference is taken."""
    return function(x + 1j * step * dx).imag / step


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_jvp_vjp_and_jacobian_agree(make_executor, program, rng, dtype):
    P, O, N = program.n_params, program.n_outputs, program.n_monomials
    theta, dtheta, dcoef = (rng.normal(size=(2, *s)).astype(dtype) for s in ((P,), (P,), (O, N)))
    if dtype is np.complex128:
        theta, dcoef = theta + 1j * rng.normal(size=theta.shape), dcoef - 2j * rng.normal(size=dcoef.shape)
    executor = make_executor(program)
    jacobian = executor.jacobian(theta)
    assert jacobian.shape == (2, O * N, P)
    assert close(executor.jvp(theta, dtheta), (jacobian @ dtheta[..., None]).reshape(2, O, N))
    assert close(executor.vjp(theta, dcoef), (dcoef.reshape(2, 1, O * N) @ jacobian)[:, 0])
    if dtype is np.float64:
        assert close(executor.jvp(theta, dtheta), complex_step(executor.expand, theta, dtheta))


@pytest.mark.parametrize("p", [2, 7, 2**31 - 1, 2**61 - 1])
def test_derivatives_in_finite_fields_agree_exactly(make_executor, rng, p):
    for program in (PROGRAMS["deep with biases"], PROGRAMS["mixed"], PROGRAMS["deep"], PROGRAMS["constant"]):
        P, O, N = program.n_params, program.n_outputs, program.n_monomials
        theta, dtheta, dcoef = (rng.integers(0, p, size=s, dtype=np.uint64) for s in ((P,), (P,), (O, N)))
        executor, ring = make_executor(program), {"modulus": p, "constants": program.constants(p)}
        jacobian = executor.jacobian(theta, **ring).astype(object)
        assert executor.jvp(theta, dtheta, **ring).reshape(-1).tolist() == (jacobian @ dtheta % p).tolist()
        assert executor.vjp(theta, dcoef, **ring).tolist() == (dcoef.reshape(-1) @ jacobian % p).tolist()


def test_jacobian_against_differences_of_exact_expansions():
    program = PROGRAMS["every coefficient"]
    theta = np.array([Fraction(k, 3) for k in range(program.n_params)], dtype=object)
    jacobian = program.reference.jacobian(theta)
    # Each output is a polynomial of degree <= 3 in each parameter, so central differences of two steps are exact:
    # f' = (8 (f(1) - f(-1)) - (f(2) - f(-2))) / 12.
    for k in range(program.n_params):
        unit = np.array([int(i == k) for i in range(program.n_params)], dtype=object)
        f = {step: program.reference.expand(theta + step * unit) for step in (-2, -1, 1, 2)}
        derivative = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) * Fraction(1, 12)
        assert jacobian[:, k].tolist() == derivative.reshape(-1).tolist()


def monomials(program, X):
    """Values of the basis at the points, exact: (S, N)."""
    exponents = np.array(list(program.basis), dtype=object).reshape(program.n_monomials, program.n_inputs)
    return np.prod(X.astype(object)[:, None, :] ** exponents, axis=-1)


@pytest.mark.parametrize("p", [2, 7, 65537, 2**31 - 1, 2**31 + 11, 2**61 - 1])
def test_evaluate_vjp_in_finite_fields(make_executor, program, rng, p):
    """Row s is the Jacobian's transpose applied to dY[s] ⊗ v(x_s), so the rows add up to one product of vjp."""
    theta = rng.integers(0, p, size=(2, program.n_params), dtype=np.uint64)
    X = rng.integers(0, p, size=(7, program.n_inputs), dtype=np.uint64)
    dY = rng.integers(0, p, size=(7, program.n_outputs), dtype=np.uint64)
    if p == 2 and any(Fraction(c).denominator % 2 == 0 for a in program.activations for c in a.coefficients):
        return
    executor, ring = make_executor(program), {"modulus": p, "constants": program.constants(p)}
    rows = executor.evaluate_vjp(theta, X, dY, **ring)
    assert rows.shape == (2, 7, program.n_params)
    assert rows.dtype == np.uint64
    dcoef = dY.astype(object)[:, :, None] * monomials(program, X)[:, None, :] % p
    for member, jacobian in zip(rows, executor.jacobian(theta, **ring).astype(object)):
        assert member.tolist() == (dcoef.reshape(7, -1).dot(jacobian) % p).tolist()
    total = np.broadcast_to((dcoef.sum(axis=0) % p).astype(np.uint64), (2, program.n_outputs, program.n_monomials))
    gradient = executor.vjp(theta, np.ascontiguousarray(total), **ring)
    assert np.array_equal(rows.astype(object).sum(axis=1) % p, gradient)


def test_evaluate_vjp_of_exact_numbers(program, rng):
    theta = np.array([Fraction(int(n), 1 + k % 3) for k, n in enumerate(rng.integers(-9, 10, program.n_params))])
    X, dY = (rng.integers(-3, 4, size=(3, n)).astype(object) for n in (program.n_inputs, program.n_outputs))
    theta = theta.astype(object)
    rows = program.reference.evaluate_vjp(theta, X, dY)
    dcoef = dY[:, :, None] * monomials(program, X)[:, None, :]
    assert rows.tolist() == dcoef.reshape(3, -1).dot(program.reference.jacobian(theta)).tolist()
    # A secant over a step of 10^-40 differs from the tangent by about the step.
    values, step = (program.reference.evaluate(theta, X) * dY).sum(axis=1), Fraction(1, 10**40)
    for k in range(program.n_params):
        moved = theta.copy()
        moved[k] += step
        secant = ((program.reference.evaluate(moved, X) * dY).sum(axis=1) - values) / step
        assert all(abs(difference) < Fraction(1, 10**25) for difference in secant - rows[:, k])


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_evaluate_vjp_is_the_derivative_of_evaluate(make_executor, program, rng, dtype):
    theta, X, dY = (rng.normal(size=s) for s in (program.n_params, (5, program.n_inputs), (5, program.n_outputs)))
    executor, step = make_executor(program), 1e-40
    steps = theta + 1j * step * np.eye(program.n_params)
    slopes = (executor.evaluate(steps, X.astype(complex)) * dY).sum(axis=-1).imag.T / step
    rows = executor.evaluate_vjp(theta.astype(dtype), X.astype(dtype), dY.astype(dtype))
    assert rows.dtype == dtype
    assert close(rows, slopes)
    if dtype is np.complex128:
        turned = executor.evaluate_vjp(theta.astype(dtype), X.astype(dtype), 1j * dY)
        assert close(turned, 1j * slopes)  # not conjugated


@pytest.mark.parametrize("p", [0, 2**31 - 1])
def test_evaluate_vjp_of_many_samples(make_executor, rng, p):
    """Each sample has what it has alone, on either side of a block and for every number of threads."""
    program = PROGRAMS["every coefficient"]
    executor = make_executor(program)
    ring = {"modulus": p, "constants": program.constants(p)} if p else {}
    same = (
        close if isinstance(executor, Interpreter) and not p else np.array_equal
    )  # the bits of matmul depend on sizes
    theta, X, dY = (
        rng.integers(0, p, size, dtype=np.uint64) if p else rng.normal(size=size)
        for size in ((2, program.n_params), (1030, program.n_inputs), (1030, program.n_outputs))
    )
    rows = executor.evaluate_vjp(theta, X, dY, **ring)
    for n_threads in (1, 2, 3):
        assert np.array_equal(executor.evaluate_vjp(theta, X, dY, n_threads=n_threads, **ring), rows)
    for n in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 95, 96, 97, 191, 192, 193, 1023, 1024, 1025):
        one = slice(n, n + 1)
        assert same(executor.evaluate_vjp(theta, X[:n], dY[:n], **ring), rows[:, :n])
        assert same(executor.evaluate_vjp(theta[1], X[one], dY[one], **ring), rows[1, one])
    assert executor.evaluate_vjp(theta, X[:0], dY[:0], **ring).shape == (2, 0, program.n_params)
    assert executor.evaluate_vjp(theta[:0], X, dY, **ring).shape == (0, 1030, program.n_params)


def test_evaluate_vjp_overwrites_what_out_held(make_executor, rng):
    for name in ("unused slots", "slots read twice", "constant", "zero polynomial", "zeroth power, then more"):
        program = PROGRAMS[name]
        theta, X, dY = (rng.normal(size=s) for s in (program.n_params, (9, program.n_inputs), (9, program.n_outputs)))
        executor, out = make_executor(program), np.full((9, program.n_params), np.nan)
        assert executor.evaluate_vjp(theta, X, dY, out=out) is out
        assert np.array_equal(out, executor.evaluate_vjp(theta, X, dY))


def test_evaluate_vjp_without_parameters(make_executor):
    program = Program(2, [Activation(0, POWER2)])
    assert make_executor(program).evaluate_vjp(np.empty((3, 0)), np.ones((4, 2)), np.ones((4, 2))).shape == (3, 4, 0)


def test_evaluate_vjp_refuses_what_does_not_fit(make_executor):
    executor = make_executor(PROGRAMS["slides"])
    theta, X, dY = np.ones(6), np.ones((3, 2)), np.ones((3, 1))
    for bad in (dY[:2], np.ones((3, 2)), np.ones(3), np.ones((1, 3, 1))):
        with pytest.raises(ValueError, match=r"\bdY\b"):
            executor.evaluate_vjp(theta, X, bad)
    with pytest.raises(ValueError, match=r"\bX\b"):
        executor.evaluate_vjp(theta, np.ones((3, 3)), dY)
    with pytest.raises(ValueError, match=r"\btheta\b"):
        executor.evaluate_vjp(np.ones(5), X, dY)
    with pytest.raises(ValueError, match="constants"):
        executor.evaluate_vjp(theta.astype(np.uint64), X.astype(np.uint64), dY.astype(np.uint64), modulus=7)


@pytest.mark.parametrize("p", [2, 3, 5, 2**15 - 19, 2**16 + 1, 2**30 - 35, 2**30 + 3, 2**31 - 1, 2**31 + 11])
def test_long_sums_of_the_largest_residues(make_executor, p):
    """All numbers are −1: a layer of n units gives −n, z² gives n², so f = −m n² for m units, and so on back."""
    executor = make_executor(mlp((1, 1, 1), [POWER2]))
    for n, m in ((1, 1), (2, 3), (3, 2), (5, 5), (64, 9), (65, 4), (201, 6)):
        program = mlp((n, m, 1), [POWER2])
        executor = make_executor(program)
        ring = {"modulus": p, "constants": program.constants(p)}
        theta = np.full(program.n_params, p - 1, dtype=np.uint64)
        X, dY = np.full((13, n), p - 1, dtype=np.uint64), np.full((13, 1), p - 1, dtype=np.uint64)
        assert (executor.evaluate(theta, X, **ring) == -m * n**2 % p).all()
        rows = executor.evaluate_vjp(theta, X, dY, **ring)
        # z = n: df/dW2 = z², df/dW1 = W2 2 z x; all times −1.
        assert (rows[:, n * m :] == -(n**2) % p).all()
        assert (rows[:, : n * m] == -2 * n % p).all()


def test_vjp_tangent_is_the_derivative_of_vjp(make_executor, program, rng):
    P, O, N = program.n_params, program.n_outputs, program.n_monomials
    theta, dtheta = rng.normal(size=(2, 2, P))
    dcoef, ddcoef = rng.normal(size=(2, 2, O, N))
    executor, step = make_executor(program), 1e-40
    expected = executor.vjp(theta + 1j * step * dtheta, dcoef + 1j * step * ddcoef).imag / step
    assert close(executor.vjp_tangent(theta, dtheta, dcoef, ddcoef), expected)


def test_loss_gradient(make_executor, program, rng):
    O, N = program.n_outputs, program.n_monomials
    A, target = rng.normal(size=(N + 3, N)), rng.normal(size=(O, N))
    gram = A.T @ A
    gram = (gram + gram.T) / 2
    theta = rng.normal(size=(2, 3, program.n_params)) / 2
    executor = make_executor(program)
    value, gradient = executor.loss_gradient(theta, gram, target)
    residual = executor.expand(theta) - target
    assert np.shape(value) == (2, 3)
    assert np.allclose(value, np.einsum("...oi,ij,...oj->...", residual, gram, residual), rtol=1e-11)
    expected = executor.vjp(theta, 2 * residual @ gram)
    assert gradient.shape == theta.shape
    assert close(gradient, expected)
    single_value, single_gradient = executor.loss_gradient(theta[0, 0], gram, target)
    assert single_value == value[0, 0]
    assert np.array_equal(single_gradient, gradient[0, 0])


# -- batches, out, threads, failure -----------------------------------------------------------------------------------


def calls(executor, program, theta, X, dtheta, dcoef, **options):
    yield lambda i=..., **k: executor.evaluate(theta[i], X, **options, **k)
    dY = np.ascontiguousarray(np.broadcast_to(X[:, -1:], (len(X), program.n_outputs)))
    yield lambda i=..., **k: executor.evaluate_vjp(theta[i], X, dY, **options, **k)
    yield lambda i=..., **k: executor.expand(theta[i], **options, **k)
    yield lambda i=..., **k: executor.jacobian(theta[i], **options, **k)
    yield lambda i=..., **k: executor.jvp(theta[i], dtheta[i], **options, **k)
    yield lambda i=..., **k: executor.vjp(theta[i], dcoef[i], **options, **k)
    if theta.dtype == np.float64:
        yield lambda i=..., **k: executor.vjp_tangent(theta[i], dtheta[i], dcoef[i], dcoef[i] + 1, **options, **k)


def random_arguments(program, rng, ring, lead):
    shapes = (
        (*lead, program.n_params),
        (6, program.n_inputs),
        (*lead, program.n_params),
        (*lead, program.n_outputs, program.n_monomials),
    )
    if isinstance(ring, int):
        return [rng.integers(0, ring, size=s, dtype=np.uint64) for s in shapes]
    return [rng.normal(size=s).astype(ring) for s in shapes]


@pytest.mark.parametrize("ring", [np.float64, np.complex128, 2**61 - 1])
@pytest.mark.parametrize("name", ["deep", "deep with biases", "every coefficient", "one affine"])
def test_a_batch_has_the_bits_of_its_members(make_executor, rng, name, ring):
    program = PROGRAMS[name]
    options = {"modulus": ring, "constants": program.constants(ring)} if isinstance(ring, int) else {}
    arguments = random_arguments(program, rng, ring, (2, 3))
    for call in calls(make_executor(program), program, *arguments, **options):
        batch = call()
        for i in np.ndindex(2, 3):
            assert np.array_equal(batch[i], call(i))
        out = np.empty_like(batch)
        assert call(out=out) is out
        assert np.array_equal(out, batch)
        for n_threads in (1, 2, 3):
            assert np.array_equal(call(n_threads=n_threads), batch)


def test_empty_batches(make_executor, rng):
    program = PROGRAMS["deep with biases"]
    theta, X, dtheta, dcoef = random_arguments(program, rng, np.float64, (0, 2))
    shapes = [call().shape for call in calls(make_executor(program), program, theta, X, dtheta, dcoef)]
    P, O, N = program.n_params, program.n_outputs, program.n_monomials
    assert shapes == [(0, 2, 6, O), (0, 2, 6, P), (0, 2, O, N), (0, 2, O * N, P), (0, 2, O, N), (0, 2, P), (0, 2, P)]
    assert make_executor(program).evaluate(dtheta[:0, 0], X).shape == (0, 6, O)
    assert make_executor(program).evaluate(np.ones(P), X[:0]).shape == (0, O)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_arguments_are_named(make_executor, rng, bad):
    program = PROGRAMS["deep"]
    executor = make_executor(program)
    theta, X, dtheta, dcoef = random_arguments(program, rng, np.float64, ())
    dY = np.ones((len(X), program.n_outputs))
    gram, target = np.eye(program.n_monomials), dcoef.copy()

    def spoiled(array):
        array = array.copy()
        array.reshape(-1)[-1] = bad
        return array

    failures = {
        "theta": [
            lambda: executor.evaluate(spoiled(theta), X),
            lambda: executor.evaluate_vjp(spoiled(theta), X, dY),
            lambda: executor.expand(spoiled(theta)),
            lambda: executor.expand(spoiled(theta.astype(complex))),
            lambda: executor.jacobian(spoiled(theta)),
            lambda: executor.jvp(spoiled(theta), dtheta),
            lambda: executor.vjp(spoiled(theta), dcoef),
            lambda: executor.vjp_tangent(spoiled(theta), dtheta, dcoef, dcoef),
            lambda: executor.loss_gradient(spoiled(theta), gram, target),
        ],
        "X": [
            lambda: executor.evaluate(theta, spoiled(X)),
            lambda: executor.evaluate_vjp(theta, spoiled(X), dY),
        ],
        "dY": [
            lambda: executor.evaluate_vjp(theta, X, spoiled(dY)),
            lambda: executor.evaluate_vjp(theta.astype(complex), X.astype(complex), spoiled(dY.astype(complex))),
        ],
        "dtheta": [
            lambda: executor.jvp(theta, spoiled(dtheta)),
            lambda: executor.vjp_tangent(theta, spoiled(dtheta), dcoef, dcoef),
        ],
        "dcoef": [
            lambda: executor.vjp(theta, spoiled(dcoef)),
            lambda: executor.vjp_tangent(theta, dtheta, spoiled(dcoef), dcoef),
        ],
        "ddcoef": [lambda: executor.vjp_tangent(theta, dtheta, dcoef, spoiled(dcoef))],
    }
    for name, expressions in failures.items():
        for expression in expressions:
            with pytest.raises(ValueError, match=rf"\b{name}\b"):
                expression()


def test_overflow(make_executor, rng):
    program = PROGRAMS["deep"]
    executor = make_executor(program)
    theta, X, dtheta, dcoef = random_arguments(program, rng, np.float64, ())
    gram, target = np.eye(program.n_monomials), dcoef
    for expression in (
        lambda: executor.evaluate(theta, 1e200 * X),
        lambda: executor.evaluate_vjp(theta, 1e200 * X, np.ones((len(X), program.n_outputs))),
        lambda: executor.expand(1e200 * theta),
        lambda: executor.expand(1e200 * theta.astype(complex)),
        lambda: executor.jacobian(1e200 * theta),
        lambda: executor.jvp(1e100 * theta, dtheta),
        lambda: executor.vjp(1e100 * theta, dcoef),
        lambda: executor.vjp_tangent(1e100 * theta, dtheta, dcoef, dcoef),
        lambda: executor.loss_gradient(1e30 * theta, gram, target),
    ):
        with pytest.raises(NumericalError):
            expression()
    assert np.isfinite(executor.expand(theta)).all()  # still usable


def test_activation_coefficients_out_of_range_for_floats():
    program = mlp((1, 1, 1), [(0, 0, 10**400)])
    theta = np.array([2, 3], dtype=object)
    assert program.reference.expand(theta).tolist() == [[12 * 10**400]]
    assert program.constants(7).tolist() == [0, 0, 10**400 % 7]
    tiny = mlp((1, 1, 1), [(0, 0, Fraction(1, 10**400))])
    for unfit in (program, tiny):
        with pytest.raises(OverflowError, match="coefficient"):
            unfit.reference.expand(theta.astype(float))
