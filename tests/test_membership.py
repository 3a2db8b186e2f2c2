# SPDX-License-Identifier: BSD-3-Clause
"""Membership: images are members, others are not, on the boundary by hand, and against other ways to decide."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import comb
from typing import Any

import flint
import numpy as np
import pytest
import sympy

import polycore as pc
from polycore import _exact_matrices as rationals
from polycore import _univariate as univariate
from polycore._sums_of_powers import certain_real_zeros

ATTENTION = pc.LightningAttention(2, 2, 1, n_tokens=2)

NETWORKS = [
    pc.MLP((3, 2, 4), 1),
    pc.MLP((3, 1, 2, 2), 1, bias=True),
    pc.MLP((3, 2, 3), [0, 2]),
    pc.MLP((2, 3, 2), [1, 2], bias=True),
    pc.Sequential(pc.Affine(2, bias=True), pc.Affine(1), pc.Affine(3), n_inputs=3),
    pc.Sequential(pc.Affine(2), pc.Affine(1, bias=True), pc.Affine(2), n_inputs=3),
    pc.MLP((4, 2, 1), 2),
    pc.MLP((2, 2, 1), 3),
    pc.MLP((2, 3, 1), 4),
    pc.MLP((2, 2, 3), 3),
    pc.MLP((2, 4, 1), 6),
    pc.MLP((3, 3, 2), 2),
    pc.MLP((3, 3, 1), 4),
    pc.MLP((4, 2, 2), 3),
    pc.MLP((3, 1, 2), 3),
    pc.MLP((1, 2, 1), 3, bias=True),
    pc.MLP((1, 2, 2), 4, bias=True),
    pc.MLP((3, 2, 1), [1, 2, 3], bias=True),
    pc.Sequential(pc.Affine(2, bias=True), pc.Activation(3), pc.Affine(1), n_inputs=1),
    pc.Sequential(pc.Affine(2), pc.Activation(2), pc.Affine(1, bias=True), n_inputs=3),
    ATTENTION,
    pc.LightningAttention(3, 1, 1, n_tokens=2),
    pc.LightningAttention(3, 2, 2, n_tokens=2),
    pc.LightningAttention(2, 1, 2, n_tokens=3),
    pc.LightningAttention(2, 1, 1, n_tokens=1),
    pc.LightningAttention(3, 2, 2, n_tokens=1),
    pc.CNN((3, 2, 2), 1),
    pc.CNN((2, 2), 1, n_inputs=5),
]


def integer_parameters(net: pc.Network, rng: np.random.Generator) -> Any:
    return rng.integers(-5, 6, net.n_params)


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_functions_are_members(net: pc.Network) -> None:
    rng = np.random.default_rng(1)
    for _ in range(8):
        coef = net.expand(integer_parameters(net, rng), dtype=object)
        exactly = net.contains(coef)
        assert (exactly.verdict, exactly.closure, exactly.proved, exactly.tol) == ("yes", True, True, 0.0)
        assert bool(exactly)
        if exactly.theta is not None and exactly.theta.dtype == object:
            np.testing.assert_array_equal(net.expand(exactly.theta, dtype=object), coef)
    for theta in net.random_params(rng=3, batch=5):
        coef = net.expand(theta)
        member = net.contains(coef)
        assert (member.verdict, member.closure) == ("yes", True)
        assert member.theta is not None
        np.testing.assert_allclose(net.expand(member.theta), coef, rtol=0, atol=1e-8 * np.linalg.norm(coef))


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_what_is_contained_is_never_refused_nearby(net: pc.Network) -> None:
    rng = np.random.default_rng(5)
    for theta in net.random_params(rng=4, batch=5):
        coef = net.expand(theta)
        noise = rng.normal(size=coef.shape)
        noisy = coef + 0.5e-4 * np.linalg.norm(coef) * noise / np.linalg.norm(noise)
        assert net.contains(noisy, tol=1e-4).verdict != "no"


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_random_coefficients_and_the_dimension(net: pc.Network) -> None:
    # Where the functions have less than full dimension almost nothing is one of them.
    rng = np.random.default_rng(2)
    full = pc.dimension(net).dimension == net.n_outputs * net.basis.n_monomials
    for _ in range(4):
        coef = rng.integers(-9, 10, (net.n_outputs, net.basis.n_monomials))
        exactly, nearly = net.contains(coef), net.contains(coef.astype(float))
        if not full:
            assert (exactly.verdict, exactly.closure, exactly.proved) == ("no", False, True)
            assert exactly.certificate
            assert (nearly.verdict, nearly.closure) == ("no", False)
        else:
            assert exactly.closure
            assert exactly.verdict in ("yes", "no")
            assert nearly.verdict in (exactly.verdict, "undecided")


# --- linear networks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [(3, 2, 4), (4, 4), (3, 1, 5, 2), (2, 3, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_linear_networks_by_ranks(widths: tuple[int, ...], bias: bool) -> None:
    net, rng = pc.MLP(widths, 1, bias=bias), np.random.default_rng(3)
    for rank in range(min(widths[0], widths[-1]) + 1):
        left, right = rng.integers(-3, 4, (widths[-1], rank)), rng.integers(-3, 4, (rank, widths[0]))
        coef = left @ right
        true_rank = int(flint.fmpz_mat(coef.tolist()).rank())
        if bias:
            coef = np.concatenate([rng.integers(-3, 4, (widths[-1], 1)), coef], axis=1)
        for member in (net.contains(coef), net.contains(coef.astype(float))):
            assert member.verdict == ("yes" if true_rank <= min(widths) else "no")


def test_distance_is_that_of_eckart_and_young() -> None:
    net, rng = pc.MLP((4, 2, 3), 1), np.random.default_rng(4)
    for _ in range(20):
        coef = rng.normal(size=(3, 4))
        _u, s, _vt = np.linalg.svd(coef)
        member = net.contains(coef)
        assert member.verdict == "no"
        assert member.distance == pytest.approx(s[2] / np.linalg.norm(s))
        assert member.residual == pytest.approx(member.distance)
        assert net.contains(coef, tol=1.01 * s[2] / np.linalg.norm(s)).verdict == "yes"
        assert net.contains(coef, tol=0.99 * s[2] / np.linalg.norm(s)).verdict == "no"


def test_a_bias_before_a_bottleneck() -> None:
    net = pc.Sequential(pc.Affine(2, bias=True), pc.Affine(1), pc.Affine(2), n_inputs=2)
    assert net.contains([[1, 2, 3], [2, 4, 6]])
    assert not net.contains([[1, 2, 3], [1, 4, 6]])  # the constant is in another direction
    free = pc.Sequential(pc.Affine(1), pc.Affine(2, bias=True), n_inputs=2)
    assert free.contains([[1, 2, 3], [1, 4, 6]])
    assert not free.contains([[1, 2, 3], [1, 4, 7]])


# --- binary forms -----------------------------------------------------------------------------------------------------


def real_zeros(form: list[int]) -> int:
    """Distinct real zeros on P¹, isolated by flint."""
    drop = next(i for i, c in enumerate(form) if c)
    roots = flint.fmpz_poly(form[drop:][::-1]).complex_roots()
    return sum(root.imag == 0 for root, _ in roots) + (drop > 0)


def is_squarefree(form: list[int]) -> bool:
    drop = next(i for i, c in enumerate(form) if c)
    p = flint.fmpz_poly(form[drop:][::-1])
    return drop <= 1 and p.gcd(p.derivative()).degree() <= 0


def is_power(form: list[int]) -> bool:
    r = len(form) - 1
    a = [flint.fmpq(c, comb(r, i)) for i, c in enumerate(form)]
    return bool(flint.fmpq_mat([a[:-1], a[1:]]).rank() <= 1)


def test_the_example_of_the_slides() -> None:
    net = pc.MLP((2, 2, 1), 3)
    for coef in ([[1, 0, -1, 0]], [[1.0, 0.0, -1.0, 0.0]], [[Fraction(1, 3), 0, Fraction(-1, 3), 0]]):
        member = net.contains(coef)
        assert (member.verdict, member.closure, member.proved) == ("no", True, True)
        assert member.certificate
    assert net.contains([[1, 0, 1, 0]])


def test_cubics_by_discriminant() -> None:
    # Two real cubes: positive discriminant of the Hessian, that is one real zero; or a cube.
    net = pc.MLP((2, 2, 1), 3)
    for form in product(range(-2, 3), range(-1, 2), range(-1, 2), range(-2, 3)):
        if not any(form):
            expected = "yes"
        elif is_squarefree(list(form)):
            expected = "yes" if real_zeros(list(form)) == 1 else "no"
        else:
            expected = "yes" if is_power(list(form)) else "no"
        member = net.contains([list(form)])
        assert (member.verdict, member.closure) == (expected, True), form


@pytest.mark.parametrize("r", [3, 4, 5, 6])
def test_one_power_less_than_the_degree(r: int) -> None:
    # A. Causa, R. Re, *On the maximum rank of a real binary form* (2011): a form with distinct zeros needs r powers iff
    # all of them are real.
    net, rng = pc.MLP((2, r - 1, 1), r), np.random.default_rng(r)
    forms = rng.integers(-9, 10, (30, r + 1)).tolist()
    for _ in range(30):  # with real zeros only, and some multiple
        p = sympy.prod([sympy.Poly(rng.integers(-3, 4) + rng.integers(1, 3) * sympy.Symbol("x")) for _ in range(r)])
        forms.append([int(c) for c in p.all_coeffs()])
    for form in forms:
        member = net.contains([form])
        if is_power(form):
            assert member.verdict == "yes"
        elif is_squarefree(form):
            assert member.verdict == ("no" if real_zeros(form) == r else "yes"), form
        assert member.closure


@pytest.mark.parametrize(("k", "r"), [(1, 3), (2, 4), (2, 5), (3, 5), (3, 6), (4, 7)])
def test_the_only_apolar_form(k: int, r: int) -> None:
    net, rng = pc.MLP((2, k, 1), r), np.random.default_rng(10 * k + r)
    verdicts = set()
    for _ in range(60):
        zeros = rng.integers(-4, 5, k)  # of the apolar form: real ones, or a conjugate pair, or a double one
        g = sympy.Poly(1, sympy.Symbol("x"))
        if k >= 2 and rng.random() < 0.5:
            g *= sympy.Poly(sympy.Symbol("x") ** 2 + int(rng.integers(0, 3)))
            zeros = zeros[2:]
        for z in zeros.tolist():
            g *= sympy.Poly(sympy.Symbol("x") - z)
        apolar = [int(c) for c in g.all_coeffs()]
        # All forms of degree r apolar to g, and one of them at random.
        rows = [[0] * i + apolar + [0] * (r - k - i) for i in range(r - k + 1)]
        kernel = rationals.kernel(rows, r + 1)
        weights = rng.integers(-5, 6, len(kernel)).tolist()
        a = [sum(w * v[i] for w, v in zip(weights, kernel)) for i in range(r + 1)]
        form = [comb(r, i) * c for i, c in enumerate(a)]
        member = net.contains([form])
        assert member.closure
        space = flint.fmpq_mat(
            [[flint.fmpq(c.numerator, c.denominator) for c in a[i : i + k + 1]] for i in range(r - k + 1)]
        )
        if space.rank() == k:
            assert member.verdict == ("yes" if is_squarefree(apolar) and real_zeros(apolar) == k else "no")
            verdicts.add(member.verdict)
    assert verdicts == {"yes", "no"} or k == 1


def test_border_rank() -> None:
    assert pc.MLP((2, 2, 1), 3).contains([[0, 1, 0, 0]]).closure  # x² y = lim ((x + t y)³ − x³) / 3 t
    assert not pc.MLP((2, 2, 1), 3).contains([[0, 1, 0, 0]])
    assert pc.MLP((2, 3, 1), 3).contains([[0, 1, 0, 0]])
    # x y needs r = 2 powers; x^(r−1) y needs r of them, though it is a limit of sums of two.
    for r in (3, 4, 5):
        form = [[0, 1, *[0] * (r - 1)]]
        assert pc.MLP((2, r - 1, 1), r).contains(form).verdict == "no"
        assert pc.MLP((2, r, 1), r).contains(form).verdict == "yes"
        nearly = pc.MLP((2, r - 1, 1), r).contains(np.array(form, dtype=float))
        assert nearly.verdict != "yes" or nearly.proved is False


def test_images_of_random_parameters_and_large_numbers() -> None:
    rng = np.random.default_rng(8)
    net = pc.MLP((2, 3, 2), 5)
    for _ in range(40):
        theta = rng.integers(-(10**12), 10**12, net.n_params).astype(object)
        assert net.contains(net.expand(theta, dtype=object)).verdict == "yes"


def test_a_conditional_needs_a_decision() -> None:
    net = pc.MLP((4, 6, 1), 3)
    coef = np.random.default_rng(0).integers(-9, 10, (1, 20))
    member = net.contains(coef)
    if member.verdict == "undecided":
        with pytest.raises(ValueError, match="undecided"):
            bool(member)


def test_certain_real_zeros() -> None:
    rng = np.random.default_rng(9)
    for _ in range(600):
        form = rng.integers(-9, 10, rng.integers(2, 8))
        if not form.any():
            continue
        found = certain_real_zeros(form.astype(float), 1e-9)
        if found is None:
            assert not is_squarefree(form.tolist())
        else:
            assert found == real_zeros(form.tolist())


# --- more variables ---------------------------------------------------------------------------------------------------


def test_quadratic_forms_by_rank() -> None:
    rng = np.random.default_rng(5)
    for k in (1, 2, 3):
        net = pc.MLP((4, k, 1), 2)
        for _ in range(20):
            rank = int(rng.integers(0, 5))
            forms = rng.integers(-3, 4, (rank, 4))
            matrix = sum(
                (int(s) * np.outer(l, l) for s, l in zip(rng.choice([-1, 1], rank), forms)), np.zeros((4, 4), int)
            )
            coef = [[int(matrix[i, j]) * (1 if i == j else 2) for i in range(4) for j in range(i, 4)]]
            true_rank = int(flint.fmpz_mat(matrix.tolist()).rank())
            for member in (net.contains(coef), net.contains(np.array(coef, dtype=float))):
                assert member.verdict == ("yes" if true_rank <= k else "no")
                assert member.closure == (true_rank <= k)


def test_ternary_cubics_and_the_aronhold_invariant() -> None:
    # With three essential variables, a cubic in the closure of the sums of three cubes is one with invariant zero.
    net, rng = pc.MLP((3, 3, 1), 3), np.random.default_rng(6)
    invariant = pc.equations(net, 4)
    basis = net.basis
    cubics = [rng.integers(-1, 2, 10).tolist() for _ in range(60)]
    for terms in (
        {(1, 1, 1): 1},
        {(3, 0, 0): 1, (0, 2, 1): 1},
        {(3, 0, 0): 1, (0, 3, 0): 1, (0, 0, 3): 1, (1, 1, 1): 6},
    ):
        cubics.append([terms.get(m, 0) for m in basis])
    for cubic in cubics:
        member = net.contains([cubic])
        if member.closure is not None and "essential" not in member.certificate:
            assert member.closure == (invariant([cubic])[0] == 0), cubic


def test_complex_sums_of_powers() -> None:
    # Re (x + i y)^r + z^r: three complex powers, but the real forms have eigenvalues that are not real.
    for r in (3, 4, 5):
        net = pc.MLP((3, 3, 1), r)
        terms = sympy.Poly(
            sympy.re(sympy.expand((sympy.Symbol("x1", real=True) + sympy.I * sympy.Symbol("x2", real=True)) ** r))
        )
        real = {(*m, 0): int(c) for m, c in terms.terms()}
        real[(0, 0, r)] = 1
        coef = [[real.get(m, 0) for m in net.basis]]
        member = net.contains(coef)
        assert (member.verdict, member.closure) == ("no", True)
        assert net.contains(np.array(coef, dtype=float)).verdict == "no"


def test_pairs_of_quadratic_forms() -> None:
    net = pc.MLP((2, 2, 2), 2)
    assert net.contains([[1, 0, 1], [1, 0, -1]])  # x² ± y²
    assert not net.contains([[1, 0, -1], [0, 1, 0]])  # real and imaginary part of (x + i y)²
    assert not net.contains([[1, 0, 0], [0, 1, 0]])  # x², x y: a Jordan block
    assert pc.MLP((2, 3, 2), 2).contains([[1, 0, 0], [0, 1, 0]])


def test_biased_quadratics_by_completing_the_square() -> None:
    one, two = pc.MLP((1, 1, 1), 2, bias=True), pc.MLP((1, 2, 1), 2, bias=True)
    for c, b, a in product(range(-2, 3), repeat=3):
        member = one.contains([[c, b, a]])
        assert member.verdict == ("yes" if a or not b else "no")
        assert member.closure  # x is the limit of ((1 + t x)² − 1) / 2 t
        assert two.contains([[c, b, a]])
    net = pc.MLP((2, 1, 1), [3, -1, 2], bias=True)
    assert net.contains([[7, 2, 4, 1, 4, 4]])  # (x + 2 y)² + 2 (x + 2 y) + 7
    assert net.contains([[7, 2, 5, 1, 4, 4]]).closure is False
    assert net.contains([[0, 1, 1, 0, 0, 0]]).verdict == "no"
    assert net.contains([[0, 1, 1, 0, 0, 0]]).closure


def test_biased_functions_of_one_variable() -> None:
    net = pc.MLP((1, 1, 1), 3, bias=True)  # a (w x + b)³ + c
    assert net.contains([[5, 12, 6, 1]])  # (x + 2)³ − 3
    assert net.contains([[5, 12, 6, 2]]).closure is False
    assert net.contains([[5, 1, 0, 0]]).verdict == "no"  # a line is a limit only
    assert net.contains([[5, 1, 0, 0]]).closure
    assert net.contains([[5, 0, 0, 0]])
    two = pc.MLP((1, 2, 1), 3, bias=True)
    assert two.contains([[0, 0, 0, 1]])
    assert two.contains([[0, 1, 0, 1]])
    # x = Σ a_j (x + b_j)³ needs Σ a_j = Σ a_j b_j = 0, Σ a_j b_j² ≠ 0: three units.
    assert two.contains([[0, 1, 0, 0]]).verdict == "no"
    assert pc.MLP((1, 3, 1), 3, bias=True).contains([[0, 1, 0, 0]])


# --- attention --------------------------------------------------------------------------------------------------------


def quadratics(first: Any, second: Any) -> Any:
    """The coefficients for d = 2, one output, two tokens, with these quadratic forms in (x1, x2)."""
    coef = np.zeros((2, 20), dtype=object)
    for t, s in product(range(2), repeat=2):
        for k, form in enumerate((first, second)):
            for c, (i, j) in zip(form, ((2, 0), (1, 1), (0, 2))):
                exponents = np.zeros(4, dtype=int)
                exponents[2 * s : 2 * s + 2] += (i, j)
                exponents[2 * t + k] += 1
                coef[t, ATTENTION.basis.index(exponents)] += c
    return coef


def test_attention_by_resultant_and_discriminant() -> None:
    # K. Kohn's slides: a common linear factor, and if the forms are proportional a discriminant that is not negative.
    quartic = pc.equations(ATTENTION, 4)
    rng = np.random.default_rng(11)
    pairs = [(rng.integers(-2, 3, 3).tolist(), rng.integers(-2, 3, 3).tolist()) for _ in range(70)]
    pairs += [([2 * c for c in p], [-3 * c for c in p]) for p, _ in pairs[:30]]
    seen = set()
    for p, q in pairs:
        coef = quadratics(p, q)
        proportional = all(p[i] * q[j] == p[j] * q[i] for i in range(3) for j in range(3))
        form = p if any(p) else q
        in_closure = quartic(coef)[0] == 0
        expected = in_closure and not (proportional and form[1] ** 2 < 4 * form[0] * form[2])
        member = ATTENTION.contains(coef)
        assert (member.verdict, member.closure) == ("yes" if expected else "no", in_closure), (p, q)
        nearly = ATTENTION.contains(coef.astype(float))
        assert nearly.verdict in (member.verdict, "undecided")
        seen.add((member.verdict, member.closure))
    assert seen == {("yes", True), ("no", True), ("no", False)}


def test_attention_rank_of_keys() -> None:
    wide, narrow = pc.LightningAttention(3, 2, 1, n_tokens=2), pc.LightningAttention(3, 1, 1, n_tokens=2)
    rng = np.random.default_rng(12)
    for _ in range(10):
        K, Q, V = (rng.integers(-3, 4, shape) for shape in ((2, 3), (2, 3), (1, 3)))
        coef = wide.expand(wide.pack(K1=K, Q1=Q, V1=V), dtype=object)
        rank = int(flint.fmpz_mat((K.T @ Q).tolist()).rank())
        assert wide.contains(coef).verdict == "yes"
        assert narrow.contains(coef).verdict == ("yes" if rank <= 1 or not V.any() else "no")
        if rank == 2 and V.any():
            assert narrow.contains(coef).closure is False
            assert narrow.contains(coef.astype(float)).verdict == "no"


def test_attention_on_one_token() -> None:
    # (v·x) q(x); with one key q is a product of two real linear forms.
    one, two = pc.LightningAttention(2, 1, 1, n_tokens=1), pc.LightningAttention(2, 2, 1, n_tokens=1)
    for form in product(range(-1, 2), repeat=4):
        expected = not any(form) or univariate.count_real_points_with_multiplicity(list(form)) == 3
        assert one.contains([list(form)]).verdict == ("yes" if expected else "no")
        assert two.contains([list(form)]).verdict == "yes"


def test_outside_the_span() -> None:
    coef = ATTENTION.expand(np.arange(1, 11), dtype=object)
    coef[0, 0] += 1
    assert ATTENTION.contains(coef).method == "linear span"
    assert ATTENTION.contains(coef.astype(float)).closure is False
    assert ATTENTION.contains(coef.astype(float), tol=0.5).verdict != "no"


# --- convolutions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filters", [(2, 2), (3, 2), (2, 2, 2), (3, 3), (2, 4), (2, 3, 2)])
def test_linear_convolutions_by_real_zeros(filters: tuple[int, ...]) -> None:
    net, rng = pc.CNN(filters, 1), np.random.default_rng(13)
    seen = set()
    for _ in range(60):
        form = rng.integers(-6, 7, sum(filters) - len(filters) + 1).tolist()
        if not any(form) or not is_squarefree(form):
            continue
        member = net.contains([form])
        assert member.verdict == ("yes" if real_zeros(form) >= sum(k % 2 == 0 for k in filters) else "no")
        assert member.closure
        assert net.contains([[float(c) for c in form]]).verdict == member.verdict
        seen.add(member.verdict)
    assert seen == ({"yes", "no"} if sum(k % 2 == 0 for k in filters) > 1 else {"yes"})


def test_convolutions_of_powers_by_parameters() -> None:
    net = pc.CNN((3, 2), 2)
    for theta in net.random_params(rng=1, batch=5):
        assert net.contains(net.expand(theta)).verdict == "yes"
    assert net.contains(np.random.default_rng(0).normal(size=(1, net.basis.n_monomials))).verdict == "no"


# --- everything else --------------------------------------------------------------------------------------------------


def test_deep_networks_by_parameters_ranks_and_equations() -> None:
    net = pc.MLP((2, 2, 2, 2), 2)
    for theta in net.random_params(rng=1, batch=3):
        assert net.contains(net.expand(theta)).verdict == "yes"
    bottleneck = pc.MLP((3, 1, 2, 2), 2)
    assert bottleneck.contains(np.random.default_rng(0).integers(-5, 6, (2, 15))).method == "rank at a layer"
    outputs = pc.MLP((2, 3, 1, 2), 2)
    assert outputs.contains(np.random.default_rng(0).normal(size=(2, 5))).method != "undecided"
    assert outputs.contains(np.random.default_rng(0).normal(size=(2, 5))).closure is False


def test_residual_networks() -> None:
    net = pc.Sequential(pc.Residual(pc.Affine(1), pc.Activation(2), pc.Affine(1)), n_inputs=1)  # x + c x²
    assert net.contains([[0, 1, 5]]).verdict == "yes"
    assert net.contains([[0, 2, 5]]).verdict == "no"
    assert net.contains([[0, 2.0, 5]]).verdict == "no"
    assert net.contains([[0, 0, 0]]).verdict == "no"


def test_zero_is_often_contained() -> None:
    for net in NETWORKS:
        member = net.contains(np.zeros((net.n_outputs, net.basis.n_monomials), dtype=int))
        assert member.verdict == "yes"
        assert member.proved


def test_tolerances_and_exactness() -> None:
    net = pc.MLP((3, 1, 1), 2)
    coef = [[1, 0, 0, Fraction(1, 10**12), 0, 0]]
    assert net.contains(coef).verdict == "no"
    assert net.contains(coef, tol=1e-9).verdict == "yes"
    assert net.contains(np.array(coef, dtype=float)).verdict == "yes"
    assert net.contains(np.array(coef, dtype=float), tol=0).verdict == "no"
    assert net.contains(coef, tol=1e-9).tol == 1e-9
    assert net.contains(coef).tol == 0.0


def test_seed_and_repr() -> None:
    net = pc.MLP((2, 2, 1), 3)
    member = net.contains([[1, 2, 3, 4]], rng=np.random.default_rng(1))
    again = net.contains([[1, 2, 3, 4]], rng=member.seed)
    assert (again.verdict, again.seed) == (member.verdict, member.seed)
    assert "contained   no, proved" in repr(net.contains([[1, 0, -1, 0]]))
    assert "relative residual" in repr(net.contains([[1, 0, 1, 0]]))


def test_generic_activations_are_refused() -> None:
    with pytest.raises(ValueError, match="specialize"):
        pc.MLP((2, 2, 1), pc.GenericActivation(2)).contains([[0] * 6])


def test_numbers_out_of_range() -> None:
    net = pc.MLP((2, 1, 1), 2)
    assert net.contains([[10**400, 2 * 10**400, 10**400]]).verdict == "yes"
    assert net.contains([[10**400, 2 * 10**400, 2 * 10**400]]).verdict == "no"
    linear = pc.MLP((2, 1, 2), 1)
    for size in (1e308, 1e-308):
        assert linear.contains(size * np.array([[1.0, 0.5], [0.5, 0.25]])).verdict == "yes"
        assert linear.contains(size * np.array([[1.0, 0.5], [0.25, 0.25]])).verdict == "no"
        assert ATTENTION.contains(size * ATTENTION.expand(np.full(10, 0.5))).verdict == "yes"
