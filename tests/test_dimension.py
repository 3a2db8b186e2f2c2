# SPDX-License-Identifier: BSD-3-Clause
"""The dimension of function spaces, against the rank of the symbolic Jacobian by python-flint."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest

import polycore as pc
from polycore.dimension import polynomial_size
from polycore.modular import LARGE_PRIMES, WORD_PRIMES, PrimeRange
from polycore.program import Activation, Add, Affine, Indeterminate, Program, Select

# -- closed forms (published numbers: test_known_values.py) ------------------------------------------------------------


@pytest.mark.parametrize(("m", "k", "n"), [(4, 2, 3), (3, 5, 2), (2, 1, 7), (6, 4, 4)])
def test_linear_networks_are_matrices_of_bounded_rank(m: int, k: int, n: int) -> None:
    r = min(m, k, n)
    result = pc.dimension(pc.MLP((m, k, n), 1))
    assert (result.dimension, result.proved) == (r * (m + n - r), True)


def test_binary_forms_have_no_exceptions() -> None:
    """Alexander–Hirschowitz in two variables: min(2k, r + 1)."""
    for r in range(2, 12):
        for k in range(1, 9):
            result = pc.dimension(pc.MLP((2, k, 1), r))
            assert (result.dimension, result.proved) == (min(2 * k, r + 1), True)


# -- the symbolic Jacobian --------------------------------------------------------------------------------------------


def symbolic_outputs(program: Program, context: Any, rng: np.random.Generator) -> list[Any]:
    """The outputs as polynomials in the inputs and the parameters; generic coefficients are random numbers."""
    generators = context.gens()
    slots: list[list[Any]] = [list(generators[: program.n_inputs])]
    generic = {c: Fraction(int(rng.integers(1, 10**6))) for c in program.indeterminates}
    parameters = iter(generators[program.n_inputs :])
    zero = context.constant(0)
    for instruction in program.instructions:
        z = slots[instruction.inputs[0]]
        if isinstance(instruction, Affine):
            windows = instruction.windows or (range(len(z)),)
            W = [[next(parameters) for _ in windows[0]] for _ in range(instruction.n_out)]
            b = [next(parameters) if instruction.bias else zero for _ in range(instruction.n_out)]
            out = [sum((w * z[i] for w, i in zip(row, window)), c) for window in windows for row, c in zip(W, b)]
        elif isinstance(instruction, Activation):
            exact = [generic[c] if isinstance(c, Indeterminate) else Fraction(c) for c in instruction.coefficients]
            coefficients = [flint.fmpq(c.numerator, c.denominator) for c in exact]
            out = [sum((c * value**j for j, c in enumerate(coefficients)), zero) for value in z]
        elif isinstance(instruction, Select):
            out = [z[i] for i in instruction.indices]
        elif isinstance(instruction, Add):
            out = [sum(values, zero) for values in zip(*(slots[slot] for slot in instruction.inputs))]
        else:
            rows, inner, cols = instruction.rows, instruction.inner, instruction.cols
            right = slots[instruction.right]
            out = []
            for i in range(rows):
                for j in range(cols):
                    left_at = [k * rows + i if instruction.transpose_left else i * inner + k for k in range(inner)]
                    right_at = [j * inner + k if instruction.transpose_right else k * cols + j for k in range(inner)]
                    out.append(sum((z[m] * right[n] for m, n in zip(left_at, right_at)), zero))
        slots.append(out)
    return slots[-1]


def symbolic_rank(program: Program, rng: np.random.Generator) -> int:
    """Rank over Q of the Jacobian of the coefficients, differentiated symbolically, at a random integer point."""
    n, P = program.n_inputs, program.n_params
    names = [f"x{i}" for i in range(n)] + [f"t{i}" for i in range(P)]
    context = flint.fmpq_mpoly_ctx.get(names, "degrevlex")
    outputs = symbolic_outputs(program, context, rng)
    point = [int(v) for v in rng.integers(-(10**9), 10**9, P)]
    columns = []
    monomials: dict[tuple[int, ...], int] = {}
    for j in range(P):
        column: dict[int, Any] = {}
        for o, f in enumerate(outputs):
            # The derivative at the point, a polynomial in x.
            derivative = f.derivative(n + j).subs(dict(zip(names[n:], point)))
            for exponents, c in derivative.to_dict().items():
                row = monomials.setdefault((o, *exponents[:n]), len(monomials))
                column[row] = c
        columns.append(column)
    if not monomials:
        return 0
    matrix = flint.fmpq_mat(P, len(monomials), [c.get(i, 0) for c in columns for i in range(len(monomials))])
    return int(matrix.rank())


def random_network(rng: np.random.Generator) -> pc.MLP:
    """Small, of every kind: powers, polynomials, biases, linear and constant layers."""
    while True:
        depth = int(rng.integers(1, 5))
        widths = [int(w) for w in rng.integers(1, 4, depth + 1)]
        choices: list[Any] = [
            2,
            2,
            3,
            1,
            0,
            [1, 1],
            [0, 1, 1],
            [0, 0, 1, 1],
            [1, 2, 1],
            [2, 0, 3],
            [0, 0, 0, 2],
            [Fraction(1, 3), 1, Fraction(3, 4)],
            [0],
            [0.5, 0, 0.25],
            pc.GenericActivation(2),
            pc.GenericActivation(3),
        ]
        activation = tuple(choices[i] for i in rng.integers(0, len(choices), depth - 1))
        net = pc.MLP(widths, activation, bias=bool(rng.integers(0, 2)))
        if 4 <= net.n_params <= 20 and net.degree <= 9 and net.basis.n_monomials <= 100:
            return net


@pytest.mark.parametrize("seed", range(5))
def test_random_networks_have_the_rank_of_their_symbolic_jacobian(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(100):
        net = random_network(rng)
        result = pc.dimension(net, rng=seed)
        assert result.dimension == symbolic_rank(net.program, rng), net
        assert result.upper_bound >= result.dimension
        assert result.proved == (result.upper_bound == result.dimension)
        assert result.error_bound <= 1e-9


@pytest.mark.parametrize("seed", range(100))
def test_random_programs_have_the_rank_of_their_symbolic_jacobian(
    random_program: Callable[..., Program], seed: int
) -> None:
    program = random_program(seed)
    if program.n_params > 20 or program.degree > 6:
        return
    result = pc.dimension(pc.Network(program), rng=seed)
    assert result.dimension == symbolic_rank(program, np.random.default_rng(seed))
    assert result.proved == (result.upper_bound == result.dimension)


# -- families ---------------------------------------------------------------------------------------------------------


def rank_of_coefficients(net: pc.Network, p: int = 2**31 - 1) -> int:
    """By all coefficients and python-flint."""
    J = net.jacobian(net.random_params(1, modulus=p), modulus=p)
    return int(flint.nmod_mat(*J.shape, J.reshape(-1).tolist(), p).rank())


def check(net: pc.Network, dimension: int, proved: bool = True) -> None:
    result = pc.dimension(net)
    assert (result.dimension, result.proved) == (dimension, proved), (net, result)
    assert proved or result.error_bound < 1e-9


def random_filters(rng: np.random.Generator, longest: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Filters, strides, and a number of inputs for one to four outputs."""
    n_layers = int(rng.integers(2, 5))
    filters = rng.integers(1, longest + 1, n_layers).tolist()
    strides = rng.integers(1, 4, n_layers).tolist()
    width = int(rng.integers(1, 5))
    for k, s in zip(filters[::-1], strides[::-1]):
        width = (width - 1) * s + k
    return tuple(filters), tuple(strides), width


@pytest.mark.parametrize("seed", range(40))
def test_convolutions_with_powers_lose_one_scaling_a_layer(seed: int) -> None:
    """Shahverdi, Marchetti, Kohn 2024: Σ k_i − L + 1, also for several outputs and other powers in each layer."""
    rng = np.random.default_rng(seed)
    filters, strides, n_inputs = random_filters(rng, 12 if seed % 2 else 4)
    powers = tuple(rng.integers(2, 4, len(filters) - 1).tolist())
    net = pc.CNN(filters, powers, strides, n_inputs)
    check(net, sum(filters) - len(filters) + 1)
    if net.n_outputs * net.basis.n_monomials < 3000:
        assert rank_of_coefficients(net) == sum(filters) - len(filters) + 1


@pytest.mark.parametrize("seed", range(20))
def test_convolutions_with_other_activations_lose_nothing(seed: int) -> None:
    """Shahverdi, Marchetti, Kohn 2025: Σ k_i for generic polynomials, and for z² + z."""
    rng = np.random.default_rng(seed)
    filters, strides, n_inputs = random_filters(rng, 8)
    for activation in (pc.GenericActivation(int(rng.integers(2, 4))), [0, 1, 1]):
        check(pc.CNN(filters, activation, strides, n_inputs), sum(filters))


@pytest.mark.parametrize("seed", range(20))
def test_linear_convolutions_are_products_of_polynomials(seed: int) -> None:
    """Whatever the strides: the factors up to scalars; with strides 1 all filters of the length of the product."""
    rng = np.random.default_rng(seed)
    filters, strides, n_inputs = random_filters(rng, 8)
    check(pc.CNN(filters, 1, strides, n_inputs), sum(filters) - len(filters) + 1)
    length = sum(filters) - len(filters) + 1
    net = pc.CNN(filters, 1, n_inputs=length + 3)
    check(net, length)
    assert rank_of_coefficients(net) == length


@pytest.mark.parametrize(
    ("filters", "strides"),
    [(((2, 2), (3, 2)), 1), (((1, 3), (2, 2), (2, 1)), 1), (((3, 3), (2, 2)), (2, 1)), (((2, 3), (3, 2)), ((1, 2), 1))],
)
def test_images(filters: Any, strides: Any) -> None:
    """Filters of h w numbers; products of two polynomials in two variables need not fill."""
    sizes = [h * w for h, w in filters]
    for activation, lost in ((2, len(sizes) - 1), (1, len(sizes) - 1), ([0, 1, 1], 0)):
        net = pc.CNN(filters, activation, strides)
        check(net, sum(sizes) - lost)
        if net.basis.n_monomials < 3000:
            assert rank_of_coefficients(net) == sum(sizes) - lost


@pytest.mark.parametrize(
    ("filters", "channels"), [((2, 2), (3, 2)), ((3, 2), (2, 2, 1)), ((2, 2, 2), (2, 3, 1)), ((1, 2), (4, 2, 3))]
)
@pytest.mark.parametrize("activation", [1, 2, 3, [0, 1, 1]])
def test_channels(filters: tuple[int, ...], channels: tuple[int, ...], activation: Any) -> None:
    for bias in (False, True):
        net = pc.CNN(
            filters, activation, channels=channels, bias=bias, n_inputs=5 if len(channels) == 2 else (5, channels[0])
        )
        if net.basis.n_monomials < 3000:
            assert pc.dimension(net).dimension == rank_of_coefficients(net)


def test_linear_convolutions_with_channels() -> None:
    """Matrices of polynomials in a shift: those of the product, if there are enough channels between."""
    check(pc.CNN((2, 3, 2), 1, channels=(3, 7, 9, 2), n_inputs=(8, 3)), 3 * 2 * 5)
    # A single channel between two and three: (a_1, a_2) (b_1, b_2, b_3)ᵀ up to a scalar.
    check(pc.CNN((3, 2), 1, channels=(2, 1, 3), n_inputs=(6, 2)), 3 * 2 + 2 * 3 - 1)


def attention_dimension(d: int, a: int, d_out: int, t: int, n_layers: int = 1) -> int:
    """Henry, Marchetti, Kohn 2024 for two tokens or more.

    A single token sees V x and the quadratic form of KᵀQ, a form of rank at most 2 a, and the cubic V x · xᵀKᵀQx
    determines both up to scalars; with more layers, their quadratic forms in the inputs and the product of all V.
    """
    a = min(a, d)
    rank = min(2 * a, d)
    forms = a * (2 * d - a) if t > 1 else rank * d - rank * (rank - 1) // 2
    return n_layers * forms + d * d_out - n_layers


@pytest.mark.parametrize("t", [1, 2, 3])
@pytest.mark.parametrize("d", [1, 2, 3, 4, 6])
def test_one_layer_of_attention(d: int, t: int) -> None:
    for a in (1, 2, 3, 5, 8):
        for d_out in (1, 2, 5):
            check(pc.LightningAttention(d, a, d_out, t), attention_dimension(d, a, d_out, t))


@pytest.mark.parametrize(
    ("d", "a", "d_out", "t"), [(2, 1, 1, 1), (2, 2, 1, 1), (3, 1, 1, 1), (2, 1, 2, 2), (2, 2, 1, 2)]
)
def test_attention_has_the_rank_of_its_symbolic_jacobian(d: int, a: int, d_out: int, t: int) -> None:
    net = pc.LightningAttention(d, a, d_out, t)
    assert symbolic_rank(net.program, np.random.default_rng(0)) == attention_dimension(d, a, d_out, t)


@pytest.mark.parametrize("t", [1, 2, 3])
@pytest.mark.parametrize(("d", "a", "n_layers"), [(2, 1, 2), (2, 2, 2), (3, 1, 3), (3, 2, 2), (4, 6, 2), (5, 2, 3)])
def test_layers_of_attention(d: int, a: int, n_layers: int, t: int) -> None:
    for d_out in (1, d, d + 2):
        net = pc.LightningAttention(d, a, d_out, t, n_layers)
        result = pc.dimension(net)
        assert result.dimension == attention_dimension(d, a, d_out, t, n_layers)
        assert result.proved or t == 1


def test_heads_add_up_until_they_fill() -> None:
    """A head is V ⊗ A with A of rank a; together they are tensors, symmetric in two of three indices (t > 1)."""
    for d, a, d_out, heads in ((4, 1, 3, 2), (4, 2, 2, 2), (5, 2, 3, 3), (3, 1, 3, 2)):
        net = pc.LightningAttention(d, a, d_out, 2, n_heads=heads)
        check(net, heads * attention_dimension(d, a, d_out, 2))
    for d, d_out in ((2, 1), (2, 2), (3, 1)):
        net = pc.LightningAttention(d, d, d_out, 2, n_heads=6)
        check(net, d_out * d * d * (d + 1) // 2)  # proved by the linear span
        assert pc.dimension(net).reason.startswith(f"dimension {d_out * d * d * (d + 1) // 2} of the linear span")
        assert rank_of_coefficients(net) == d_out * d * d * (d + 1) // 2


def test_wide_convolutions_fill_what_they_see() -> None:
    """Squares of neighbours: x1 x3 does not occur, and all outputs are one polynomial for each channel."""
    check(pc.CNN((2, 2), 2, channels=(9, 1)), 5)
    check(pc.CNN((2, 2), 2, channels=(9, 2), n_inputs=6), 10)


def test_residual_networks() -> None:
    square = pc.Activation(2)
    net = pc.Sequential(pc.Residual(pc.Affine(3), square, pc.Affine(2)), pc.Affine(1), n_inputs=2)
    assert pc.dimension(net).dimension == rank_of_coefficients(net)
    net = pc.Sequential(pc.Residual(pc.Attention(1)), pc.Residual(pc.Attention(2)), n_inputs=(2, 2))
    assert pc.dimension(net).dimension == rank_of_coefficients(net)
    # x + f(x) is f(x) translated.
    inner = pc.Sequential(pc.Affine(3), square, pc.Affine(2), n_inputs=2)
    check(pc.Sequential(pc.Residual(*inner.layers), n_inputs=2), pc.dimension(inner).dimension)


def test_large_ones() -> None:
    check(pc.LightningAttention(12, 8, 12, 8, n_layers=3), attention_dimension(12, 8, 12, 8, 3))
    check(pc.CNN((30, 20, 40, 50), 3, (1, 2, 1, 2), 400), 140 - 3)
    net = pc.CNN(((3, 3), (3, 3), (2, 2)), 2, channels=(2, 6, 8, 3), n_inputs=(8, 8, 2))
    check(net, net.n_params - 14)


# -- properties -------------------------------------------------------------------------------------------------------


def random_widths(rng: np.random.Generator) -> list[int]:
    return [int(w) for w in rng.integers(1, 6, int(rng.integers(3, 6)))]


def test_widening_a_hidden_layer_never_lowers_the_dimension() -> None:
    """Kileel, Trager, Bruna 2019."""
    rng = np.random.default_rng(1)
    for _ in range(40):
        widths, r = random_widths(rng), int(rng.integers(1, 4))
        wider = widths.copy()
        wider[int(rng.integers(1, len(widths) - 1))] += int(rng.integers(1, 3))
        assert pc.dimension(pc.MLP(wider, r)).dimension >= pc.dimension(pc.MLP(widths, r)).dimension


def test_the_recursive_bound_holds_at_every_split() -> None:
    """dim(d0..dL) <= dim(d0..di) + dim(di..dL) − di at a power: Kileel, Trager, Bruna 2019."""
    rng = np.random.default_rng(2)
    for _ in range(40):
        widths, r, bias = random_widths(rng), int(rng.integers(2, 4)), bool(rng.integers(0, 2))
        whole = pc.dimension(pc.MLP(widths, r, bias)).dimension
        for i in range(1, len(widths) - 1):
            parts = [pc.dimension(pc.MLP(w, r, bias)).dimension for w in (widths[: i + 1], widths[i:])]
            assert whole <= sum(parts) - widths[i]


def test_seeds_primes_and_threads_do_not_change_the_answer() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        net = pc.MLP(random_widths(rng), 2, bias=bool(rng.integers(0, 2)))
        found = {
            pc.dimension(net, rng=seed, primes=primes, n_threads=threads).dimension
            for seed, primes, threads in [(0, 1, 1), (1, 1, 2), (2**64 - 1, 3, 1), (np.random.default_rng(5), 2, 0)]
        }
        assert len(found) == 1


def test_backends_do_not_change_the_answer(on_backend: str) -> None:
    """Nor anything else: primes and points are drawn before."""
    known = [((2, 4, 3, 2), 3, 15), ((5, 5, 3, 1), 2, 32), ((2, 2, 2), pc.GenericActivation(3), 8)]
    for widths, activation, found in known:
        result = pc.dimension(pc.MLP(widths, activation))
        assert (result.dimension, result.primes) == (found, (1622570441,))


def test_a_result_shows_the_seed_that_reproduces_it() -> None:
    net = pc.MLP((3, 4, 2), [0, 1, 1, 1], bias=True)
    result = pc.dimension(net, rng=np.random.default_rng(7))
    assert pc.dimension(net, rng=result.seed) == result
    assert pc.dimension(net, rng=0) == pc.dimension(net)


def test_fields_are_consistent() -> None:
    result = pc.dimension(pc.MLP((2, 4, 3, 2), 3))
    assert result.defect == result.expected_dimension - result.dimension == 4
    assert result.fibre_dimension == result.n_params - result.dimension == 11
    assert "orbit" in result.definition
    assert repr(result).splitlines()[0] == "MLP((2, 4, 3, 2), activation=3)"
    assert len(repr(result)) < 400


# -- what is not proved -----------------------------------------------------------------------------------------------


def unproved() -> pc.MLP:
    """A network whose dimension meets none of the known bounds."""
    candidates = [
        ((2, 4, 3), [0, 0, 1, 1]),
        ((3, 8, 3), [0, 0, 1, 1]),
        ((2, 3, 2), [0, 1, 0, 1]),
        ((3, 5, 4), [0, 1, 1]),
    ]
    nets = [pc.MLP(widths, activation) for widths, activation in candidates]
    return next(net for net in nets if not pc.dimension(net).proved)


def test_the_error_bound_is_the_product_over_the_primes() -> None:
    net = unproved()
    results = [pc.dimension(net, rng=4, primes=k) for k in (1, 2, 3)]
    for result in results:
        assert result.error_bound <= 1e-9
        assert all(2**30 < p < 2**31 for p in result.primes)
    assert len(results[2].primes) == 3
    assert results[2].error_bound <= (results[2].schwartz_zippel + results[2].bad_prime) ** 3 * (1 + 1e-12)
    assert pc.dimension(net, rng=4, primes=1, max_error=0.5).primes == results[0].primes[:1]
    assert "or more with probability <" in repr(results[0])


def test_no_number_of_primes_is_a_proof() -> None:
    """The product of the odds underflows; 0.0 would say that the dimension is certain."""
    result = pc.dimension(unproved(), primes=80)
    assert len(result.primes) == 80
    assert 0 < result.error_bound < 1e-300
    assert not result.proved


def one_norm(program: Program) -> Fraction:
    """Of the gradient: the polynomial with absolute coefficients, at 1, differentiated in each parameter."""
    absolute = [
        replace(i, coefficients=tuple(1 if isinstance(c, Indeterminate) else abs(Fraction(c)) for c in i.coefficients))
        if isinstance(i, Activation)
        else i
        for i in program.instructions
    ]
    net = pc.Network(Program(program.n_inputs, absolute))
    jacobian = net.jacobian(np.array([1] * net.n_params, dtype=object), dtype=object)
    return sum((Fraction(v) for v in jacobian.ravel()), Fraction(0))


@pytest.mark.parametrize("seed", range(60))
def test_size_of_the_entries_of_programs(random_program: Callable[..., Program], seed: int) -> None:
    """With denominators: those of sums are the least common multiple, of products the product."""
    halves = {c: c if c in (0, 1) else Fraction(c) / 2 for c in range(10)}
    instructions = [
        replace(i, coefficients=tuple(halves[int(c)] / 3 for c in i.coefficients)) if isinstance(i, Activation) else i
        for i in random_program(seed).instructions
    ]
    program = Program(random_program(seed).n_inputs, instructions)
    if not program.n_params:
        return
    size = polynomial_size(program)
    norm = one_norm(program)
    denominator = math.lcm(*(Fraction(v).denominator for v in values_at_one(program)))
    assert math.log2(max(1, norm * denominator)) <= size.log2_row_norm + 1e-9
    assert program.degree <= size.degree


def values_at_one(program: Program) -> list[Fraction]:
    net = pc.Network(program)
    return [Fraction(v) for v in net.expand(np.array([1] * net.n_params, dtype=object), dtype=object).ravel()]


def test_size_of_the_entries_bounds_degree_and_norm() -> None:
    """Against the polynomial itself."""
    rng = np.random.default_rng(8)
    for _ in range(40):
        program = random_network(rng).program
        size = polynomial_size(program)
        assert float(math.log2(max(1, one_norm(program)))) <= size.log2_row_norm + 1e-9
        assert program.degree <= size.degree


def test_random_primes_are_primes_of_the_range() -> None:
    generator = np.random.default_rng(0)
    for primes in (WORD_PRIMES, LARGE_PRIMES, PrimeRange(17, 0)):
        drawn = primes.draw(generator)
        for p in (next(drawn) for _ in range(200)):
            assert primes.low <= p < 2 * primes.low
            assert flint.fmpz(p).is_prime()


def test_random_primes_are_uniform() -> None:
    """Each of the 75 primes between 2^9 and 2^10: chi-squared."""
    small = PrimeRange(10, 75)
    drawn = small.draw(np.random.default_rng(1))
    n = 15_000
    values, counts = np.unique([next(drawn) for _ in range(n)], return_counts=True)
    assert values.tolist() == [p for p in range(512, 1024) if flint.fmpz(p).is_prime()]
    assert len(values) == small.count
    assert float(((counts - n / 75) ** 2 / (n / 75)).sum()) < 120  # 74 degrees of freedom: probability 5e-4


def test_number_of_primes_in_the_ranges() -> None:
    sympy = pytest.importorskip("sympy")
    assert WORD_PRIMES.count == sympy.primepi(2**31) - sympy.primepi(2**30)
    x = 2**60
    assert LARGE_PRIMES.count < 3 * x / (5 * math.log(x))


def test_a_prime_that_divides_a_denominator_is_not_drawn() -> None:
    first = next(WORD_PRIMES.draw(np.random.Generator(np.random.PCG64(0))))
    net = pc.MLP((2, 2, 1), [0, 1, Fraction(1, first)])
    result = pc.dimension(net, rng=0)
    assert first not in result.primes
    assert result.dimension == pc.dimension(pc.MLP((2, 2, 1), [0, 1, 1])).dimension


def test_a_degree_beyond_the_word_primes_takes_large_ones() -> None:
    """The characteristic must be larger than the degree."""
    net = pc.MLP((1, *[1] * 30, 1), 2)
    assert net.degree == 2**30
    assert all(p > 2**60 for p in pc.dimension(net).primes)
    assert pc.dimension(net).dimension == 1
    with pytest.raises(OverflowError, match=r"degree (is about|of the network)"):
        pc.dimension(pc.MLP((1, *[1] * 61, 1), 2))


# -- edges ------------------------------------------------------------------------------------------------------------


def test_constants_and_zero() -> None:
    assert pc.dimension(pc.MLP((2, 3, 2), 0)).dimension == 2  # the constant 1 in every hidden unit
    assert pc.dimension(pc.MLP((2, 3, 2), [0])).dimension == 0
    assert pc.dimension(pc.MLP((2, 3, 2), [0], bias=True)).dimension == 2
    assert pc.dimension(pc.Network(Program(2, [pc.program.Activation(0, (0, 0, 1))]))).dimension == 0  # no parameters


def test_wide_layers_need_no_rank_of_their_width() -> None:
    """Rows are limited by the ambient dimension, not by the 20,000 parameters."""
    result = pc.dimension(pc.MLP((2, 5000, 2), 2))
    assert (result.dimension, result.filling, result.proved) == (6, True, True)


def test_absurd_sizes_are_refused_before_any_work() -> None:
    with pytest.raises((MemoryError, OverflowError), match="GiB"):
        pc.dimension(pc.MLP((10**5, 10**5, 10**5), 3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("MLP",), TypeError, "`net` must be a polycore network"),
        ((pc.MLP((2, 1)), 0, 0), ValueError, "`primes` must be"),
        ((pc.MLP((2, 1)), 0, 1.5), TypeError, "`primes`"),
        ((pc.MLP((2, 1)), -1), ValueError, "`rng`"),
        ((pc.MLP((2, 1)), None), TypeError, "`rng`"),
    ],
)
def test_bad_arguments(arguments: Sequence[Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pc.dimension(*arguments)


@pytest.mark.parametrize("max_error", [0, 1, -1, math.nan, 2.0])
def test_bad_error(max_error: float) -> None:
    with pytest.raises(ValueError, match="`max_error`"):
        pc.dimension(pc.MLP((2, 1)), max_error=max_error)
