# SPDX-License-Identifier: BSD-3-Clause
"""Upper bounds against published dimensions, exact ranks, and the lemmas they rest on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import polycore as pc
from polycore._degrees import compose_degrees, count_of_degrees
from polycore.bounds import UpperBound, _least_cut, _through, upper_bound
from polycore.networks import MLP, Network
from polycore.program import Activation, Affine, Instruction, MatMul, Program
from polycore.symmetries import orbit_dimension

PRIME = 2**31 - 1

POLYNOMIALS = (
    *([0, 1, 1], [1, 2, 3], [0, 0, 1, 1], [1, 0, 1], [0, 1, 0, 1], [3, 1], [1, 1, 1, 1]),
    *([0, 0, 0, 2, 1], [1, 4, 6, 4, 1], [0, 3, 6, 4, 1], 2, 1, [0, 1]),
)


def bound(*args: object, **kwargs: object) -> int:
    return upper_bound(MLP(*args, **kwargs).program).value  # type: ignore[arg-type]


def rank(net: Network) -> int:
    """A lower bound of the dimension, by definition."""
    return pc.modular_rank(net.jacobian(net.random_params(0, modulus=PRIME), modulus=PRIME), PRIME)


def architectures(seed: int, count: int, kind: str) -> Iterator[MLP]:
    """Random small networks; ``kind`` says which activations, and "bias" in it that there are biases."""
    rng = np.random.default_rng(seed)
    while count:
        n_layers = int(rng.integers(2, 6))
        widths = (int(rng.integers(1, 6)), *rng.integers(1, 8, n_layers - 1).tolist(), int(rng.integers(1, 6)))
        powers = rng.integers(1 if "mixed" in kind else 2, 5, n_layers - 1).tolist()
        activation = tuple(powers) if "mixed" in kind else (powers[0],) * (n_layers - 1)
        if "polynomial" in kind:
            choice = rng.integers(0, len(POLYNOMIALS), n_layers - 1)
            activation = tuple(POLYNOMIALS[i] for i in choice)
        net = MLP(widths, activation, bias="bias" in kind)
        if net.n_outputs * net.basis.n_monomials * net.n_params <= 30_000:
            count -= 1
            yield net


# --- published --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("widths", "activation", "dimension"),
    [
        # Kileel, Trager, Bruna 2019; Kubjas, Li, Wiesmann 2024; Finkel et al. 2025; Dao, Rodriguez 2026
        ((2, 2, 2, 2), 2, 8),
        ((2, 2, 2, 2), 3, 8),
        ((3, 3, 3), 2, 15),
        ((3, 3, 3, 3), 2, 21),
        ((4, 4, 4, 4), 2, 40),
        ((5, 5, 3, 1), 2, 32),
        ((5, 3, 1), 2, 12),
        ((2, 4, 3, 2), 2, 10),
        ((2, 4, 3, 2), 3, 15),
        ((2, 4, 3, 2), 4, 18),
        ((2, 4, 3, 2), 5, 19),
        ((2, 3, 3, 1), 3, 10),
        ((5, 4, 3, 1), 2, 25),
        ((5, 4, 3, 1), (2, 3), 28),
        # Alexander, Hirschowitz 1995
        ((3, 5, 1), 4, 14),
        ((3, 6, 1), 4, 15),
        ((4, 9, 1), 4, 34),
        ((5, 14, 1), 4, 69),
        ((5, 7, 1), 3, 34),
        ((5, 8, 1), 3, 35),
        # Abo, Brambilla 2009 and 2013: defective Segre–Veronese varieties of degree (1, r)
        ((4, 5, 3), 2, 29),
        ((6, 8, 3), 2, 62),
        ((4, 6, 5), 2, 47),
        ((3, 5, 2), 3, 19),
        # matrices of rank at most t, dimension t (m + n − t)
        ((2, 1, 2), 1, 3),
        ((4, 2, 3), 1, 10),
        ((4, 5, 2, 6, 3), 1, 10),
        ((2, 2, 1), 2, 3),
        ((2, 2, 1), 3, 4),
        # Shahverdi, Marchetti, Kohn 2025; no symmetries
        ((2, 2, 1), [0, 0, 1, 1], 6),
        ((3, 3, 3), [0, 0, 0, 2, 1], 18),
    ],
)
def test_published(widths: tuple[int, ...], activation: object, dimension: int) -> None:
    assert bound(widths, activation) == dimension


@pytest.mark.parametrize("power", range(1, 8))
def test_nothing_passes_a_bottleneck(power: int) -> None:
    assert bound((2, 1, 2, 2), power) == 3


@pytest.mark.parametrize(
    ("widths", "activation", "dimension"),
    [((2, 1, 2), 2, 6), ((2, 2, 2), 2, 10), ((3, 2, 2), [0, 1, 1], 12), ((3, 2, 2), 2, 12), ((4, 2, 3), 1, 13)],
)
def test_published_with_biases(widths: tuple[int, ...], activation: object, dimension: int) -> None:
    """Usevich et al. 2025; completing the square; matrices of rank at most 2 and any translation."""
    assert bound(widths, activation, bias=True) == dimension


def test_a_power_and_a_line_have_most_of_the_scalings() -> None:
    """Σ w (z⁴ + z) is Σ w z⁴ and any linear form: 4 inputs, 9 units, 45 + 5 instead of 55 (with the constant)."""
    net = MLP((4, 9, 1), ([0, 1, 0, 0, 1],), bias=True)
    assert upper_bound(net.program).value == rank(net) == 9 * 5 + 5
    # z⁴ + 4 z³ + 6 z² + 3 z = (z + 1)⁴ − (z + 1)
    assert bound((4, 9, 1), ([0, 3, 6, 4, 1],), bias=True) == 50


def test_veronese_hypersurface() -> None:
    """Four quadratic forms in three variables satisfy an equation of degree 4 (Steiner's surface)."""
    assert bound((3, 4, 7, 6, 1), 2) == rank(MLP((3, 4, 7, 6, 1), 2)) == 24 - 16 + 35 - 1


# --- against ranks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["powers", "powers bias", "mixed", "mixed bias"])
def test_powers_meet_the_bound(kind: str) -> None:
    """Never below the rank, which is a lower bound; for powers equal to it in everything tried."""
    for net in architectures(7, 150, kind):
        assert upper_bound(net.program).value == rank(net), (net, upper_bound(net.program))


@pytest.mark.parametrize("kind", ["polynomial", "polynomial bias"])
def test_polynomials_respect_the_bound(kind: str) -> None:
    met = 0
    for net in architectures(8, 200, kind):
        value, reached = upper_bound(net.program).value, rank(net)
        assert value >= reached, (net, upper_bound(net.program))
        met += value == reached
    assert met >= 190


@pytest.mark.parametrize("bias", [False, True])
def test_two_layers_meet_the_bound(bias: bool) -> None:
    """Every two-layer network with a power and at most 4 inputs, 8 units, 5 outputs."""
    for n, d, m in itertools.product(range(2, 5), range(1, 9), range(1, 6)):
        for r in (2, 3):
            net = MLP((n, d, m), (r,), bias)
            assert upper_bound(net.program).value == rank(net), (net, upper_bound(net.program))


def test_random_indeterminates_respect_the_bound() -> None:
    for net in architectures(9, 40, "mixed bias"):
        generic = MLP(net.widths, tuple(pc.GenericActivation(a.degree) for a in net.program.activations), bias=True)
        if generic.n_outputs * generic.basis.n_monomials * generic.n_params <= 30_000:
            assert upper_bound(generic.program).value >= rank(generic.specialize(0))


# --- properties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["powers", "mixed bias", "polynomial", "polynomial bias"])
def test_at_most_what_counting_gives(kind: str) -> None:
    for net in architectures(3, 100, kind):
        counted = min(net.n_outputs * net.basis.n_monomials, net.n_params - orbit_dimension(net.program))
        assert upper_bound(net.program).value <= counted


@pytest.mark.parametrize("kind", ["powers", "powers bias", "mixed", "polynomial"])
def test_widening_a_layer_does_not_lower_the_bound(kind: str) -> None:
    for net in architectures(4, 100, kind):
        for k in range(1, len(net.widths) - 1):
            wider = (*net.widths[:k], net.widths[k] + 1, *net.widths[k + 1 :])
            assert bound(wider, net.activations, net.bias) >= upper_bound(net.program).value, (net, wider)


@pytest.mark.parametrize("kind", ["powers", "powers bias", "mixed"])
def test_recursion(kind: str) -> None:
    """Kileel, Trager, Bruna: U(0..L) <= U(0..k) + U(k..L) − d_k."""
    for net in architectures(5, 100, kind):
        for k in range(1, len(net.widths) - 1):
            first = bound(net.widths[: k + 1], net.activations[: k - 1] or None, net.bias)
            second = bound(net.widths[k:], net.activations[k:] or None, net.bias)
            assert upper_bound(net.program).value <= first + second - net.widths[k]


def test_biases_only_add_functions() -> None:
    for net in architectures(6, 100, "mixed"):
        assert bound(net.widths, net.activations, True) >= upper_bound(net.program).value


def test_the_order_of_magnitude_does_not_matter() -> None:
    net = MLP((10**6, 10**6, 10**6), 2)
    assert upper_bound(net.program).value == net.n_params - 10**6
    deep = MLP((3, *[2] * 6, 1), 4000)
    assert upper_bound(deep.program).value == 3 * 2 + 5 * 4 + 2 - 12
    narrow = MLP((10**5, 3, 1), 2)
    assert upper_bound(narrow.program).value == 3 * 10**5 - 3


# --- programs of other shapes -----------------------------------------------------------------------------------------


def test_outer_activations_do_not_matter() -> None:
    inner: list[Affine | Activation] = [
        Affine(1, 4),
        Activation(2, (0, 0, 0, 1)),
        Affine(3, 3),
        Activation(4, (0, 0, 0, 1)),
        Affine(5, 2),
    ]
    program = Program(2, [Activation(0, (0, 0, 1)), *inner, Activation(6, (1, 2, 1))])
    assert upper_bound(program).value == bound((2, 4, 3, 2), 3) == 15


def test_activations_in_a_row_are_one() -> None:
    program = Program(2, [Affine(0, 2), Activation(1, (0, 0, 1)), Activation(2, (0, 0, 0, 1)), Affine(3, 1)])
    assert upper_bound(program).value == bound((2, 2, 1), 6) == 4


def test_affine_maps_in_a_row_are_one() -> None:
    program = Program(4, [Affine(0, 2, bias=True), Affine(1, 3)])
    net = Network(program)
    assert upper_bound(program).value == rank(net) == 2 * 5 + 2 * 3 - 4


@pytest.mark.parametrize("seed", range(8))
def test_biases_on_some_maps(seed: int) -> None:
    """Also consecutive maps, where a bias goes through a narrow one."""
    rng = np.random.default_rng(seed)
    for _ in range(25):
        instructions: list[Affine | Activation] = []
        for _ in range(rng.integers(2, 6)):
            if rng.random() < 0.65:
                choices = [(0, 0, 1), (0, 1, 1), (3, 1), (0, 1), (1, 2, 1), (0,)]
                instructions.append(Activation(len(instructions), choices[rng.integers(len(choices))]))
            instructions.append(Affine(len(instructions), int(rng.integers(1, 6)), bool(rng.random() < 0.4)))
        net = Network(Program(int(rng.integers(1, 4)), instructions))
        if net.n_outputs * net.basis.n_monomials * net.n_params <= 20_000:
            assert upper_bound(net.program).value >= rank(net), (net.program, upper_bound(net.program))


def test_branches_without_influence_do_not_count() -> None:
    # Slot 4 does not read slot 3: a chain, and four units that nothing reads.
    branch: list[Affine | Activation] = [Affine(0, 3), Activation(1, (0, 0, 1)), Affine(2, 4), Affine(2, 2)]
    assert upper_bound(Program(2, branch)).value == 6  # two quadratic forms
    long: list[Affine | Activation] = [Affine(0, 2), Activation(1, (0,) * 9 + (1,)), Affine(2, 4), Affine(2, 2)]
    assert upper_bound(Program(2, long)).value == 8 - 2


def test_constants() -> None:
    assert bound((2, 3, 2), 0) == 2
    assert bound((2, 3, 2), [0]) == 0
    assert bound((2, 3, 2), [0], bias=True) == 2
    assert bound((2, 3, 4, 2), ([5], [0, 0, 0, 2])) == 2
    assert bound((2, 3, 4, 2), ([0], [0, 0, 0, 2])) == 0
    assert bound((2, 3, 4, 2), ([0], [1, 0, 0, 2])) == 2
    assert bound((2, 3, 4, 2), ([1, 2, 3], 0)) == 2
    assert upper_bound(Program(2, [Activation(0, (0, 0, 1))])).value == 0
    assert upper_bound(Program(2, [Affine(0, 2), Activation(1, (3,))])).value == 0


# --- lemmas -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 4, 6, 8])
def test_the_pfaffian_is_not_zero(n: int) -> None:
    """Of three symmetric matrices in general; sums of d rank-one terms have rank 2 d at most."""
    rng = np.random.default_rng(n)

    def skew(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        zero = np.zeros_like(a)
        return np.block([[zero, a, -b], [-a, zero, c], [b, -c, zero]])

    matrices = [m + m.T for m in rng.integers(-50, 50, (3, n, n))]
    assert pc.modular_rank(skew(*matrices), PRIME) == 3 * n
    d = (3 * n - 1) // 2
    forms, weights = rng.integers(-20, 20, (d, n)), rng.integers(-20, 20, (3, d))
    assert pc.modular_rank(skew(*(forms.T @ np.diag(w) @ forms for w in weights)), PRIME) == 2 * d


@pytest.mark.parametrize(("q", "s"), [(q, s) for q in range(2, 6) for s in range(2, 10)])
def test_curves_through_points_at_given_parameters(q: int, s: int) -> None:
    """x(t_i) ∥ p_i, for x of degree e, has a solution, none of them zero at a point."""
    rng = np.random.default_rng(q * 100 + s)
    e = _through(q, s, False)
    parameters, points = range(1, s + 1), rng.integers(1, 1000, (s, q)).tolist()

    def conditions(zero_at: int | None = None) -> list[list[int]]:
        rows = []
        for i, (t, p) in enumerate(zip(parameters, points)):
            values = [t**k for k in range(e + 1)]
            for j in range(0 if i == zero_at else 1, q):
                row = [0] * (q * (e + 1))
                row[j * (e + 1) : (j + 1) * (e + 1)] = values if i == zero_at else [p[0] * v for v in values]
                if i != zero_at:
                    row[: e + 1] = [-p[j] * v for v in values]
                rows.append(row)
        return rows

    solutions = q * (e + 1) - pc.modular_rank(conditions(), PRIME)
    assert solutions >= 1
    assert all(q * (e + 1) - pc.modular_rank(conditions(i), PRIME) < solutions for i in range(s))


def test_degrees_that_occur() -> None:
    assert tuple(compose_degrees((2, 3), (1,))) == (2, 3)
    assert tuple(compose_degrees((1, 3), (1, 3))) == (1, 3, 5, 7, 9)
    assert tuple(compose_degrees((2,), (2, 3))) == (4, 5, 6)
    assert tuple(compose_degrees((0, 2), (3,))) == (0, 6)
    assert list(compose_degrees((1, 700), (1, 2))) == list(range(1, 1401))  # not one by one
    assert tuple(compose_degrees((), (1,))) == ()
    assert count_of_degrees(2, (2, 3)) == 3 + 4
    assert count_of_degrees(3, range(5)) == pc.count_monomials(3, 4)
    assert count_of_degrees(3, range(2, 5)) == pc.count_monomials(3, 4) - pc.count_monomials(3, 1)


def test_reasons() -> None:
    def reason(*args: object) -> str:
        return upper_bound(MLP(*args).program).reason  # type: ignore[arg-type]

    assert reason((2, 4, 3, 2), 5) == "26 parameters − 7 scalings = 19"
    assert reason((2, 2, 1), [0, 0, 1, 1]) == "6 parameters"
    assert reason((2, 3, 2), 2) == "ambient dimension, 2 outputs × 3 monomials = 6"
    assert reason((4, 2, 3), 1) == "affine maps 4 → 3 of rank 2: 10"
    assert "Alexander–Hirschowitz" in reason((3, 5, 1), 4)
    assert "Segre–Veronese" in reason((4, 6, 5), 2)
    assert reason((2, 4, 3, 2), 3).startswith("recursive bound at layer 2: 12 (coefficients) + 12 ")
    assert reason((2, 4, 3, 2), 3).endswith("− 9 = 15 (Kileel–Trager–Bruna)")
    assert repr(UpperBound(3, "words")) == "at most 3: words"


# --- programs that are no chains --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(150))
def test_any_program_respects_the_bound(random_program: Callable[..., Program], seed: int) -> None:
    program = random_program(seed)
    net = Network(program)
    if net.n_outputs * net.basis.n_monomials * net.n_params <= 30_000:
        assert upper_bound(program).value >= rank(net), (program, upper_bound(program))


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (pc.CNN((2, 2), 1, channels=(9, 2)), "ambient dimension, 6 monomials that the outputs can have"),
        (pc.CNN((3, 2), 2), "5 parameters − 1 dimension of a generic orbit of the symmetries = 4"),
        (pc.CNN((3, 2), [0, 1, 1]), "5 parameters"),
        # A filter with many channels, then a narrow one: 3 · 3 coefficients of the product of the first two.
        (
            pc.CNN((2, 2, 3), (1, 2), channels=(8, 3, 4)),
            "9 dimensions of the values of slot 3 + 36 parameters after − 3 dimensions of the orbits of those = 42",
        ),
    ],
)
def test_cuts(net: Network, words: str) -> None:
    result = upper_bound(net.program)
    assert result.reason == words
    assert result.value == rank(net)


def test_a_sum_of_products_of_linear_forms() -> None:
    """Forms of rank at most 2 a in n variables: 2 a n − a (2 a − 1), or all."""
    for n, a in itertools.product(range(1, 7), range(1, 5)):
        factors: list[Instruction] = [Affine(0, a), Affine(0, a), MatMul(1, 2, 1, a, 1)]
        program = Program(n, factors)
        most = min(2 * a, n)
        assert upper_bound(program).value == rank(Network(program)) == most * n - most * (most - 1) // 2
        program = Program(n, [Affine(0, a, True), Affine(0, a), MatMul(1, 2, 1, a, 1)])
        assert upper_bound(program).value >= rank(Network(program))
        squares = Program(n, [Affine(0, a), MatMul(1, 1, 1, a, 1)])
        assert upper_bound(squares).value == rank(Network(squares)) == upper_bound(pc.MLP((n, a, 1), 2).program).value


def test_least_cuts_are_least(random_program: Callable[..., Program]) -> None:
    """Against all subsets of slots, each completed by the parameters that they do not cover."""
    for seed in range(60):
        program = random_program(seed, 6)
        n_slots = len(program.widths)
        dimensions = [0, *np.random.default_rng(seed).integers(1, 12, n_slots - 1).tolist()]
        best = min(
            cost_of_cut(program, dimensions, set(slots))
            for k in range(n_slots)
            for slots in itertools.combinations(range(1, n_slots), k)
        )
        cut = _least_cut(program, dimensions)
        assert cut.size == best == cost_of_cut(program, dimensions, set(cut.slots))


def cost_of_cut(program: Program, dimensions: list[int], slots: set[int]) -> int:
    needed, stack = set[int](), [len(program.instructions)]
    while stack:
        slot = stack.pop()
        if slot and slot not in needed:
            needed.add(slot)
            if slot not in slots:
                stack.extend(program.instructions[slot - 1].inputs)
    parameters = sum(b.size for b in program.parameters if b.instruction + 1 in needed - slots)
    return parameters + sum(dimensions[slot] for slot in slots & needed)
