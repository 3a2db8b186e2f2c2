# SPDX-License-Identifier: BSD-3-Clause
"""The dimension of function spaces, against the rank of the symbolic Jacobian by python-flint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest

import polycore as pc
from polycore.dimension import polynomial_size
from polycore.modular import LARGE_PRIMES, WORD_PRIMES, PrimeRange
from polycore.program import Affine, Indeterminate, Program

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


def symbolic_rank(program: Program, rng: np.random.Generator) -> int:
    """Rank over Q of the Jacobian of the coefficients, differentiated symbolically, at a random integer point."""
    n, P = program.n_inputs, program.n_params
    names = [f"x{i}" for i in range(n)] + [f"t{i}" for i in range(P)]
    context = flint.fmpq_mpoly_ctx.get(names, "degrevlex")
    generators = context.gens()
    slots: list[list[Any]] = [list(generators[:n])]
    generic = {c: Fraction(int(rng.integers(1, 10**6))) for c in program.indeterminates}
    position = n
    for instruction in program.instructions:
        z = slots[instruction.input]
        if isinstance(instruction, Affine):
            rows = []
            for _ in range(instruction.n_out):
                weights, position = generators[position : position + len(z)], position + len(z)
                rows.append(sum((w * value for w, value in zip(weights, z)), context.constant(0)))
            if instruction.bias:
                rows = [row + b for row, b in zip(rows, generators[position : position + len(rows)])]
                position += len(rows)
            slots.append(rows)
        else:
            exact = [generic[c] if isinstance(c, Indeterminate) else Fraction(c) for c in instruction.coefficients]
            coefficients = [flint.fmpq(c.numerator, c.denominator) for c in exact]
            powers = [[context.constant(1)] * len(z)]
            for _ in coefficients[1:]:
                powers.append([a * b for a, b in zip(powers[-1], z)])
            slots.append(
                [
                    sum((c * power[i] for c, power in zip(coefficients, powers)), context.constant(0))
                    for i in range(len(z))
                ]
            )
    point = [int(v) for v in rng.integers(-(10**9), 10**9, P)]
    columns = []
    monomials: dict[tuple[int, ...], int] = {}
    for j in range(P):
        column: dict[int, Any] = {}
        for o, f in enumerate(slots[-1]):
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


def test_size_of_the_entries_bounds_degree_and_norm() -> None:
    """Against the polynomial itself."""
    rng = np.random.default_rng(8)
    for _ in range(40):
        program = random_network(rng).program
        n, P = program.n_inputs, program.n_params
        size = polynomial_size(program)
        # 1-norm of the gradient: the polynomial with absolute coefficients, at 1, differentiated in each parameter.
        absolute = pc.Network(
            Program(
                n,
                [
                    i
                    if isinstance(i, Affine)
                    else type(i)(
                        i.input, tuple(1 if isinstance(c, Indeterminate) else abs(Fraction(c)) for c in i.coefficients)
                    )
                    for i in program.instructions
                ],
            )
        )
        ones = np.array([1] * P, dtype=object)
        jacobian = absolute.jacobian(ones, dtype=object)
        norm = sum(Fraction(v) for v in jacobian.ravel())
        if norm:
            assert float(math.log2(norm)) <= size.log2_row_norm + 1e-9
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
