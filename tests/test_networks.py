# SPDX-License-Identifier: BSD-3-Clause
"""Networks: the expansion against python-flint, the identities that tie the methods together, and bad input."""

from __future__ import annotations

import doctest
import importlib
import itertools
import pickle
import threading
from fractions import Fraction

import flint
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polycore import _backend
from polycore._exact import denominator_and_height
from polycore.activations import GenericActivation, polynomial_activation
from polycore.errors import NumericalError
from polycore.loss import QDistance
from polycore.monomials import MonomialBasis
from polycore.networks import MLP, Network
from polycore.program import Activation, Affine, Indeterminate, Program
from polycore.rank import modular_rank
from polycore.veronese import veronese

P61 = 2**61 - 1
NETWORKS = [
    ((2, 2, 1), 2, False),
    ((3, 4, 2), 3, False),
    ((4, 3, 4, 2), (2, 3), False),
    ((2, 3, 2, 2), ([1, 2, 3], 2), True),
    ((3, 2), None, False),
    ((3, 2), None, True),
    ((1, 3, 1), 4, False),
    ((1, 2, 2), [0, 0, 1, 1], True),
    ((4, 2, 3), 1, False),
    ((2, 2, 2), 0, True),
    ((2, 2, 2), 0, False),
    ((5, 1, 2, 1), 2, True),
    ((2, 3, 1), [Fraction(1, 3), 0, -0.5], False),
    ((2, 2, 1), [0, 0, 3], False),
    ((2, 2, 1), [0, 0], True),
]
networks = pytest.mark.parametrize("net", [MLP(*spec) for spec in NETWORKS], ids=[repr(MLP(*s)) for s in NETWORKS])


def fresh(net):
    """The same network without a cached executor, for the backend in use."""
    return pickle.loads(pickle.dumps(net))


def integers(net, seed=0, batch=(), size=9):
    return np.random.default_rng(seed).integers(-size, size + 1, size=(*batch, net.n_params))


def fractions(net, seed=0, batch=()):
    rng = np.random.default_rng(seed)
    theta = np.empty((*batch, net.n_params), dtype=object)
    theta.reshape(-1)[:] = [Fraction(int(a), int(b)) for a, b in rng.integers(1, 10, size=(theta.size, 2))]
    return theta * rng.choice([-1, 1], size=theta.shape)


def expand_with_flint(net, theta):
    """Coefficients (n_outputs, n_monomials) as Fractions: the network written down with python-flint's polynomials."""
    context = flint.fmpq_mpoly_ctx.get(("x", net.n_inputs), flint.Ordering.deglex)
    parameters = net.unpack(theta)

    def number(value):
        value = Fraction(value) if isinstance(value, (int, float, Fraction)) else Fraction(int(value))
        return flint.fmpq(value.numerator, value.denominator)

    values, one = list(context.gens()), context.constant(1)
    for layer in range(1, len(net.widths)):
        W, b = parameters[f"W{layer}"], parameters.get(f"b{layer}")
        values = [sum((number(w) * z for w, z in zip(row, values)), 0 * one) for row in W]
        if b is not None:
            values = [z + number(c) for z, c in zip(values, b)]
        if layer < len(net.widths) - 1:
            coefficients = net.activations[layer - 1].coefficients
            values = [sum((number(c) * z**k for k, c in enumerate(coefficients)), 0 * one) for z in values]
    coef = np.empty((net.n_outputs, len(net.basis)), dtype=object)
    coef[...] = Fraction(0)
    for o, polynomial in enumerate(values):
        for exponents, c in polynomial.to_dict().items():
            coef[o, net.basis.index(exponents)] = Fraction(int(c.p), int(c.q))
    return coef


def residues(array, p):
    flat = [x.numerator * pow(x.denominator, -1, p) % p for x in map(Fraction, array.reshape(-1).tolist())]
    return np.array(flat, dtype=np.uint64).reshape(array.shape)


# --- expansion --------------------------------------------------------------------------------------------------------


@networks
def test_expansion_against_flint(on_backend, net):
    net = fresh(net)
    for seed in range(3):
        theta = integers(net, seed)
        expected = expand_with_flint(net, theta)
        scale = max(1.0, *np.abs(expected.astype(float)).reshape(-1))
        np.testing.assert_allclose(net.expand(theta), expected.astype(float), rtol=0, atol=1e-13 * scale)
        for p in (5, 10007, 2**31 - 1):
            if not any(Fraction(c).denominator % p == 0 for a in net.activations for c in a.coefficients):
                np.testing.assert_array_equal(net.expand(theta, modulus=p), residues(expected, p))


@networks
def test_expansion_modulo_a_61_bit_prime(net):
    theta = integers(net, 1)
    np.testing.assert_array_equal(net.expand(theta, modulus=P61), residues(expand_with_flint(net, theta), P61))


@networks
def test_complex_expansion_is_the_real_one_at_complex_points(net):
    # Evaluation at complex points is independent code.
    theta = net.random_params(0) + 1j * net.random_params(1)
    X = np.random.default_rng(2).standard_normal((4, net.n_inputs)) * (1 + 0.5j)
    by_basis = net.basis.evaluate(net.expand(theta), X).T
    np.testing.assert_allclose(net.evaluate(theta, X), by_basis, rtol=1e-11, atol=1e-12)
    real = net.random_params(3)
    np.testing.assert_allclose(net.expand(real, dtype=complex), net.expand(real), rtol=1e-13, atol=1e-14)


@networks
def test_exact_expansion(on_backend, net):
    net = fresh(net)
    whole = all(Fraction(c).denominator == 1 for a in net.activations for c in a.coefficients)
    coef = net.expand(integers(net), dtype=object)
    assert coef.dtype == object
    assert {type(c) for c in coef.flat} == {int if whole else Fraction}
    np.testing.assert_array_equal(coef, expand_with_flint(net, integers(net)))
    theta = fractions(net, batch=(2,))
    coef = net.expand(theta, dtype=object)
    assert {type(c) for c in coef.flat} == {Fraction}
    for row, single in zip(coef, theta):
        np.testing.assert_array_equal(row, expand_with_flint(net, single))


@given(
    st.lists(st.integers(1, 3), min_size=2, max_size=4),
    st.lists(st.lists(st.fractions(-5, 5, max_denominator=4), min_size=1, max_size=4), min_size=2, max_size=2),
    st.booleans(),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_the_height_bound_holds(widths, coefficients, bias, data):
    net = MLP(widths, tuple(coefficients[: len(widths) - 2]), bias)
    big = st.fractions(-(10**6), 10**6, max_denominator=1000)
    theta = np.array(data.draw(st.lists(big, min_size=net.n_params, max_size=net.n_params)), dtype=object)
    expected = expand_with_flint(net, theta)
    denominator, height = denominator_and_height(net.program, list(theta))
    assert all((denominator * c).denominator == 1 and abs(denominator * c) <= height for c in expected.flat)
    np.testing.assert_array_equal(net.expand(theta, dtype=object), expected)


def test_exact_expansion_forgets_denominators_that_are_its_primes():
    """A constant activation drops the first layer, and with it the denominators of its weights from the result."""
    theta = [Fraction(1, 2**61 - 1), Fraction(1, 2**31 - 1), Fraction(1, 2)]
    assert MLP((1, 2, 1), (0,)).expand([*theta[:2], 1, theta[2]], dtype=object).tolist() == [[Fraction(3, 2)]]


def test_exact_expansion_of_huge_integers():
    net = MLP((2, 2, 1), 3)
    theta = np.array([2**200, -(3**100), 5**80, 7, -(2**90), 11**50], dtype=object)
    np.testing.assert_array_equal(net.expand(theta, dtype=object), expand_with_flint(net, theta))


# --- the seeds' worked examples ---------------------------------------------------------------------------------------


def test_worked_example_quadratic():
    """Kohn, slides: widths (2, 2, 1), z^2, weights [[a, b], [c, d]], [e, f]."""
    a, b, c, d, e, f = 1, 2, 3, 4, 5, 6
    expected = [[a * a * e + c * c * f, 2 * (a * b * e + c * d * f), b * b * e + d * d * f]]
    assert MLP((2, 2, 1), 2).expand([a, b, c, d, e, f]).tolist() == expected


def test_worked_example_linear():
    """Kohn, slides: a linear network (2, 1, 2) is a product of matrices, of rank <= 1."""
    net = MLP((2, 1, 2), 1)
    coef = net.expand([2, 3, 5, 7])
    assert coef.tolist() == [[10, 15], [14, 21]]


@pytest.mark.parametrize(("widths", "r"), [((2, 3, 2), 2), ((3, 2, 3, 1), (2, 3)), ((2, 2, 2, 2), (3, 1))])
def test_scaling_and_permutation_symmetry(widths, r):
    """mu(W_L D^-r P^T, ..., P D W_1) = mu(W_L, ..., W_1) for z^r (Kohn, slides; Kileel et al. 2019)."""
    net = MLP(widths, r)
    powers = [activation.power for activation in net.activations]
    rng = np.random.default_rng(3)
    theta = fractions(net)
    weights = net.unpack(theta)
    n_layers = len(widths) - 1
    moved = {}
    undo = np.array([[Fraction(int(i == j)) for j in range(widths[0])] for i in range(widths[0])], dtype=object)
    for layer in range(1, n_layers + 1):
        W = weights[f"W{layer}"].dot(undo)
        if layer < n_layers:
            scales = [Fraction(int(s)) for s in rng.choice([-3, -2, -1, 1, 2, 3], size=widths[layer])]
            order = rng.permutation(widths[layer])
            W = np.array([[scales[i] * w for w in W[i]] for i in order], dtype=object)
            undo = np.zeros((widths[layer],) * 2, dtype=object)
            for position, i in enumerate(order):
                undo[i, position] = scales[i] ** -powers[layer - 1]
        moved[f"W{layer}"] = W
    np.testing.assert_array_equal(net.expand(net.pack(moved), dtype=object), net.expand(theta, dtype=object))


@pytest.mark.parametrize(("widths", "r"), [((2, 1, 2), 2), ((3, 2, 2, 2), (2, 3)), ((1, 3, 1), 4), ((2, 3), None)])
def test_biases_are_homogenisation(widths, r):
    """W~ = [[W, b], [0, 1]], last [W b], in one more variable (Usevich et al. 2025), exactly over Q and GF(p)."""
    net = MLP(widths, r, bias=True)
    homogeneous = MLP([*(d + 1 for d in widths[:-1]), widths[-1]], r)
    theta = fractions(net, 5)
    parameters, lifted = net.unpack(theta), {}
    n_layers = len(widths) - 1
    for layer in range(1, n_layers + 1):
        W, b = parameters[f"W{layer}"], parameters[f"b{layer}"]
        block = np.concatenate([W, b[:, None]], axis=1)
        if layer < n_layers:
            block = np.concatenate([block, [[Fraction(0)] * W.shape[1] + [Fraction(1)]]])
        lifted[f"W{layer}"] = block
    big_theta = homogeneous.pack(lifted)
    # The last variable of the form stands for 1.
    where = homogeneous.basis.index([(*e, net.degree - sum(e)) for e in net.basis])
    for options in ({"dtype": object}, {"modulus": P61}, {"modulus": 10007}):
        np.testing.assert_array_equal(net.expand(theta, **options), homogeneous.expand(big_theta, **options)[:, where])


# --- identities between the methods -----------------------------------------------------------------------------------


@networks
def test_evaluate_is_veronese_times_coefficients(on_backend, net):
    net = fresh(net)
    theta = net.random_params(1, batch=(2,))
    X = np.random.default_rng(0).standard_normal((7, net.n_inputs))
    expected = veronese(X, net.basis) @ net.expand(theta).swapaxes(-1, -2)
    np.testing.assert_allclose(net.evaluate(theta, X), expected, rtol=1e-11, atol=1e-12)
    for options in ({"modulus": 10007}, {"dtype": object}):
        theta, X = integers(net), np.random.default_rng(0).integers(-5, 6, size=(3, net.n_inputs))
        coef = net.expand(theta, **options).astype(object)
        values = net.basis.evaluate(coef, X.astype(object)).T
        values = values % 10007 if "modulus" in options else values
        np.testing.assert_array_equal(net.evaluate(theta, X, **options).astype(object), values)


@networks
def test_evaluate_vjp_adds_up_to_vjp(on_backend, net):
    net = fresh(net)
    rng = np.random.default_rng(9)
    theta, X = net.random_params(1, batch=(2,)), rng.standard_normal((11, net.n_inputs))
    dY = rng.standard_normal((11, net.n_outputs))
    total = net.vjp(theta, dY.T @ veronese(X, net.basis))
    np.testing.assert_allclose(net.evaluate_vjp(theta, X, dY).sum(axis=1), total, rtol=1e-11, atol=1e-12)
    total = net.vjp(1j * theta, dY.T @ veronese(X, net.basis))
    np.testing.assert_allclose(net.evaluate_vjp(1j * theta, X, dY).sum(axis=1), total, rtol=1e-11, atol=1e-12)
    theta, X = integers(net), rng.integers(-5, 6, size=(3, net.n_inputs))
    dY = rng.integers(-5, 6, size=(3, net.n_outputs))
    powers = np.prod(X.astype(object)[:, None, :] ** net.basis.exponents.astype(object), axis=-1)
    for options in ({"modulus": 10007}, {"modulus": 2**31 - 1}, {"dtype": object}):
        rows = net.evaluate_vjp(theta, X, dY, **options).astype(object)
        total = net.vjp(theta, dY.astype(object).T @ powers, **options).astype(object)
        sums = rows.sum(axis=0)
        np.testing.assert_array_equal(sums % options["modulus"] if "modulus" in options else sums, total)


def test_evaluate_vjp_by_hand(on_backend):
    """f = W2 (W1 x)², g = 2 W2 (W1 x) x for W1 and (W1 x)² for W2."""
    net = MLP((2, 2, 1), 2)
    W1, W2 = np.array([[1, 2], [3, 4]]), np.array([5, 6])
    theta, x = net.pack(W1=W1, W2=W2[None]), np.array([2, -1])
    z = W1 @ x
    expected = np.concatenate([np.outer(2 * W2 * z, x).reshape(-1), z**2])
    assert net.evaluate_vjp(theta, x[None], [[1]]).tolist() == [expected.tolist()]
    assert net.evaluate_vjp(theta, x[None], [[Fraction(1, 3)]], dtype=object).tolist() == [
        [Fraction(int(e), 3) for e in expected]
    ]
    assert net.evaluate_vjp(theta, x[None], [[-3]], modulus=7).tolist() == [(-3 * expected % 7).tolist()]


def test_gradients_at_points_span_what_the_jacobian_spans():
    """As many random points as parameters: the rows have the rank of the Jacobian of the coefficients."""
    net = MLP((2, 2, 2, 2), 2)  # dimension 8 of 12 parameters
    rng, n = np.random.default_rng(3), net.n_params
    theta = net.random_params(rng=3, modulus=P61)
    X, dY = (rng.integers(0, P61, size=(n, m), dtype=np.uint64) for m in (net.n_inputs, net.n_outputs))
    rows = net.evaluate_vjp(theta, X, dY, modulus=P61)
    assert modular_rank(rows, P61) == modular_rank(net.jacobian(theta, modulus=P61), P61) == 8


@networks
def test_jacobian_against_complex_step(on_backend, net):
    # The coefficients are polynomials in theta with real coefficients, so a step of 1e-200 i has no truncation error.
    net = fresh(net)
    theta, h = net.random_params(2), 1e-200
    steps = theta + 1j * h * np.eye(net.n_params)
    expected = (net.expand(steps).imag / h).reshape(net.n_params, -1).T
    np.testing.assert_allclose(net.jacobian(theta), expected, rtol=1e-12, atol=1e-12)


@networks
def test_jvp_and_vjp_are_the_jacobian(on_backend, net):
    net = fresh(net)
    rng = np.random.default_rng(4)
    theta = net.random_params(2, batch=(3,))
    dtheta = rng.standard_normal((3, net.n_params))
    dcoef = rng.standard_normal((3, net.n_outputs, len(net.basis)))
    J = net.jacobian(theta)
    jvp = np.einsum("brp,bp->br", J, dtheta).reshape(dcoef.shape)
    vjp = np.einsum("brp,br->bp", J, dcoef.reshape(3, -1))
    np.testing.assert_allclose(net.jvp(theta, dtheta), jvp, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(net.vjp(theta, dcoef), vjp, rtol=1e-11, atol=1e-12)
    # Complex: the plain transpose, no conjugation.
    theta, dcoef = theta + 1j * dtheta, dcoef * (1 + 2j)
    J = net.jacobian(theta)
    jvp = np.einsum("brp,bp->br", J, 1j * dtheta).reshape(dcoef.shape)
    np.testing.assert_allclose(net.jvp(theta, 1j * dtheta), jvp, rtol=1e-11, atol=1e-12)
    vjp = np.einsum("brp,br->bp", J, dcoef.reshape(3, -1))
    np.testing.assert_allclose(net.vjp(theta, dcoef), vjp, rtol=1e-11, atol=1e-12)


@networks
def test_derivatives_are_exact_in_exact_rings(on_backend, net):
    net = fresh(net)
    theta, dtheta = integers(net, 1), integers(net, 2)
    dcoef = np.random.default_rng(3).integers(-9, 10, size=(net.n_outputs, len(net.basis)))
    for options in ({"modulus": 10007}, {"dtype": object}):
        J = net.jacobian(theta, **options).astype(object)
        jvp, vjp = J.dot(dtheta.astype(object)).reshape(dcoef.shape), J.T.dot(dcoef.astype(object).reshape(-1))
        if "modulus" in options:
            jvp, vjp = jvp % 10007, vjp % 10007
        np.testing.assert_array_equal(net.jvp(theta, dtheta, **options).astype(object), jvp)
        np.testing.assert_array_equal(net.vjp(theta, dcoef, **options).astype(object), vjp)
    # Exactly: f(theta + t dtheta) is a polynomial in t; its derivative at 0 by the exact divided difference.
    t = Fraction(1, 10**40)
    moved = net.expand(theta.astype(object) + t * dtheta.astype(object), dtype=object)
    slope = (moved - net.expand(theta, dtype=object)) / t
    error = np.abs((slope - net.jvp(theta, dtheta, dtype=object)).astype(float)).max()
    assert error < 1e-20


# --- batches, threads, out --------------------------------------------------------------------------------------------


def calls(net):
    """Every method with arguments for one parameter vector and for a batch: (name, single, batched)."""
    rng = np.random.default_rng(5)
    theta, dtheta = net.random_params(6, batch=(2, 9)), rng.standard_normal((2, 9, net.n_params))
    dcoef = rng.standard_normal((2, 9, net.n_outputs, len(net.basis)))
    X = rng.standard_normal((40, net.n_inputs))
    yield "evaluate", lambda i: (theta[i], X)
    yield "evaluate_vjp", lambda i: (theta[i], X, np.sin(X[:, :1] + np.arange(net.n_outputs)))
    yield "expand", lambda i: (theta[i],)
    yield "jacobian", lambda i: (theta[i],)
    yield "jvp", lambda i: (theta[i], dtheta[i])
    yield "vjp", lambda i: (theta[i], dcoef[i])


@pytest.mark.parametrize("spec", [NETWORKS[2], NETWORKS[3], NETWORKS[8], ((5, 4, 4, 2), (3, 2), True)], ids=str)
def test_batch_threads_and_dtypes_have_the_bits_of_single_calls(spec):
    net = MLP(*spec)
    p = P61 if _backend.name() == "cpp" else 2**31 - 1  # the fallbacks go through Python integers above 2^31
    for name, arguments in calls(net):
        method = getattr(net, name)
        batch = method(*arguments(...))
        for n_threads in (1, 2, 3, 8):
            np.testing.assert_array_equal(method(*arguments(...), n_threads=n_threads), batch)
        for i in itertools.product(range(2), range(9)):
            np.testing.assert_array_equal(method(*arguments(i)), batch[i])
        # Residues, complex numbers.
        whole = [np.round(100 * a).astype(int) for a in arguments(...)]
        at_points = name.startswith("evaluate")  # the points are the same for all members
        single = [a if at_points and k > 0 else a[1, 4] for k, a in enumerate(whole)]
        np.testing.assert_array_equal(method(*single, modulus=p), method(*whole, modulus=p)[1, 4])
        complexes = [a * (1 + 0.3j) for a in arguments(...)]
        single = [a if at_points and k > 0 else a[1, 4] for k, a in enumerate(complexes)]
        np.testing.assert_array_equal(method(*single), method(*complexes, n_threads=2)[1, 4])


@pytest.mark.parametrize("spec", [NETWORKS[0], NETWORKS[3]], ids=str)
def test_out_is_filled_and_returned(on_backend, spec):
    net = MLP(*spec)
    for name, arguments in calls(net):
        method = getattr(net, name)
        for i in (..., (1, 2)):
            expected = method(*arguments(i))
            out = np.full_like(expected, np.nan)
            assert method(*arguments(i), out=out) is out
            np.testing.assert_array_equal(out, expected)
            for bad in (
                np.empty(expected.shape, np.float32),
                np.empty(expected.shape, ">f8"),
                expected.tolist(),
                np.ma.array(expected),
            ):
                with pytest.raises(TypeError, match="`out`"):
                    method(*arguments(i), out=bad)
            read_only = np.empty_like(expected)
            read_only.flags.writeable = False
            for bad in (
                np.empty((*expected.shape, 1)),
                read_only,
                np.lib.stride_tricks.as_strided(np.zeros(1), expected.shape, (0,) * expected.ndim),
                np.empty((*expected.shape[:-1], 2 * expected.shape[-1] + 1))[..., ::2][..., : expected.shape[-1]],
            ):
                if bad.shape == expected.shape and expected.shape[-1] == 1:
                    continue
                with pytest.raises(ValueError, match="`out`"):
                    method(*arguments(i), out=bad)
    theta = net.random_params(0)
    with pytest.raises(ValueError, match=r"`out` must not overlap"):
        net.vjp(theta, np.ones((net.n_outputs, len(net.basis))), out=theta)
    residues_out = np.empty((net.n_outputs, len(net.basis)), np.uint64)
    assert net.expand(integers(net), modulus=101, out=residues_out) is residues_out
    exact_out = np.empty((net.n_outputs, len(net.basis)), object)
    assert net.expand(integers(net), dtype=object, out=exact_out) is exact_out
    assert all(isinstance(c, int) for c in exact_out.flat)


def test_batch_axes_are_broadcast():
    net = MLP((2, 2, 1), 2)
    theta, dcoef = net.random_params(0), np.eye(3)[:, None, :]
    np.testing.assert_array_equal(net.vjp(theta, dcoef), net.jacobian(theta))
    directions = np.eye(6)
    np.testing.assert_array_equal(net.jvp(theta, directions)[:, 0].T, net.jacobian(theta))
    with pytest.raises(ValueError, match=r"broadcast.*`theta` \(2,\).*`dtheta` \(3,\)"):
        net.jvp(np.ones((2, 6)), np.ones((3, 6)))


def test_empty_batches_and_no_samples(on_backend):
    net = MLP((2, 2, 1), 2)
    none = np.empty((0, 6))
    assert net.expand(none).shape == (0, 1, 3)
    assert net.jacobian(none).shape == (0, 3, 6)
    assert net.vjp(none, np.empty((0, 1, 3))).shape == (0, 6)
    assert net.jvp(none, none).shape == (0, 1, 3)
    assert net.evaluate(none, np.empty((4, 2))).shape == (0, 4, 1)
    assert net.evaluate(np.zeros((3, 6)), np.empty((0, 2))).shape == (3, 0, 1)
    assert net.evaluate_vjp(none, np.empty((4, 2)), np.empty((4, 1))).shape == (0, 4, 6)
    assert net.evaluate_vjp(np.zeros((3, 6)), np.empty((0, 2)), np.empty((0, 1))).shape == (3, 0, 6)
    assert net.expand(none.astype(int), modulus=7).shape == (0, 1, 3)
    assert net.expand(none.astype(int), dtype=object).shape == (0, 1, 3)
    assert net.random_params(0, batch=0).shape == (0, 6)


def test_one_network_in_many_threads():
    net = MLP((3, 3, 3, 2), (2, 3))
    theta = net.random_params(0, batch=16)
    expected = net.expand(theta)
    wrong = []

    def work(i):
        for _ in range(30):
            if not np.array_equal(net.expand(theta[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- parameters -------------------------------------------------------------------------------------------------------


@networks
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_pack_and_unpack_are_inverse(net, batch):
    theta = np.arange(np.prod(batch, dtype=int) * net.n_params).reshape(*batch, net.n_params)
    arrays = net.unpack(theta)
    layers = range(1, len(net.widths))
    assert list(arrays) == [name for k in layers for name in ([f"W{k}", f"b{k}"] if net.bias else [f"W{k}"])]
    for k in layers:
        assert arrays[f"W{k}"].shape == (*batch, net.widths[k], net.widths[k - 1])
    np.testing.assert_array_equal(net.pack(arrays), theta)
    np.testing.assert_array_equal(net.pack(**arrays), theta)
    assert net.pack(arrays).dtype == theta.dtype


def test_unpack_layout():
    """Layer by layer; W row-major, then b."""
    arrays = MLP((2, 3, 1), 2, bias=True).unpack(np.arange(13.0))
    assert arrays["W1"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert arrays["b1"].tolist() == [6, 7, 8]
    assert arrays["W2"].tolist() == [[9, 10, 11]]
    assert arrays["b2"].tolist() == [12]


def test_pack_refuses_what_does_not_fit():
    net = MLP((2, 2, 1), 2)
    with pytest.raises(ValueError, match="`W2` is missing"):
        net.pack(W1=np.ones((2, 2)))
    with pytest.raises(ValueError, match="`b1` is not one of its parameters"):
        net.pack(W1=np.ones((2, 2)), W2=np.ones((1, 2)), b1=np.ones(2))
    with pytest.raises(ValueError, match=r"`W2` must have shape \(..., 1, 2\), got \(2, 1\)"):
        net.pack(W1=np.ones((2, 2)), W2=np.ones((2, 1)))
    with pytest.raises(TypeError, match="`W2`"):
        net.pack(W1=np.ones((2, 2)), W2=[["a", "b"]])
    with pytest.raises(TypeError, match="dict of arrays"):
        net.pack(np.ones(6))


def test_random_params():
    net = MLP((30, 40, 50, 2), 2, bias=True)
    theta = net.random_params(rng=3, batch=(20,))
    np.testing.assert_array_equal(theta[0], net.random_params(3))
    np.testing.assert_array_equal(theta, net.random_params(rng=3, batch=20))
    arrays = net.unpack(theta)
    for k, fan_in in ((1, 30), (2, 40), (3, 50)):
        assert np.sqrt(fan_in) * arrays[f"W{k}"].std() == pytest.approx(1, abs=0.05)
    assert np.sqrt(40) * arrays["b2"].std() == pytest.approx(1, abs=0.1)
    generator = np.random.default_rng(0)
    assert not np.array_equal(net.random_params(generator), net.random_params(generator))
    field = net.random_params(1, batch=3, modulus=5)
    assert field.dtype == np.uint64
    assert set(field.reshape(-1).tolist()) == {0, 1, 2, 3, 4}
    for bad in (None, "0", 0.5, True, [1]):
        with pytest.raises(TypeError, match="`rng`"):
            net.random_params(bad)
    with pytest.raises(ValueError, match="`rng`"):
        net.random_params(-1)
    for bad, error in ((-1, ValueError), ((2, -1), ValueError), (2.0, TypeError), ("2", TypeError), (True, TypeError)):
        with pytest.raises(error, match="batch"):
            net.random_params(0, batch=bad)
    with pytest.raises((MemoryError, OverflowError), match="GiB"):
        net.random_params(0, batch=10**12)


# --- constructing -----------------------------------------------------------------------------------------------------


def test_counts():
    net = MLP((4, 3, 4, 2), activation=(2, 3), bias=True)
    assert (net.n_inputs, net.n_outputs, net.n_params, net.degree) == (4, 2, 41, 6)
    assert net.basis == MonomialBasis(4, 6)
    assert MLP((4, 3, 4, 2), activation=(2, 3)).basis == MonomialBasis(4, 6, homogeneous=True)
    assert MLP((2, 2, 1), [0, 0, 3]).basis.homogeneous
    assert not MLP((2, 2, 1), [0, 0, 1, 1]).basis.homogeneous
    assert MLP((3, 2)).degree == 1


@pytest.mark.parametrize(
    ("written", "same"),
    [
        (2, [0, 0, 1]),
        (2, (2, 2)),
        (2, np.int8(2)),
        (2, np.polynomial.Polynomial([0, 0, 1])),
        (2, ([0, 0, 1], 2)),
        ([0, 0, 1, 1], np.polynomial.Polynomial([0, 0, 1, 1, 0])),
        ([0, 0, 1, 1], np.array([0.0, 0, 1, 1])),
        ([0, 0, 1, 1], [0, 0, 1, 1, 0, 0]),
        ([1, 2, 1], np.polynomial.Polynomial([0, 0, 1], domain=[-2, 0])),
        ([-1, 0, 2], np.polynomial.Chebyshev([0, 0, 1])),
        ([3, 0, 1], np.poly1d([1, 0, 3])),
        ((1, 0), ([0, 1], [1])),
        ([1, Fraction(1, 2), 3], [1, 0.5, 3]),
    ],
    ids=repr,
)
def test_ways_to_write_an_activation(written, same):
    first, second = MLP((2, 3, 2, 1), written), MLP((2, 3, 2, 1), same)
    assert first == second
    assert hash(first) == hash(second)
    theta = first.random_params(0)
    np.testing.assert_array_equal(first.expand(theta), second.expand(theta))


def test_fitted_activation_in_a_network():
    act = polynomial_activation("tanh", 5, (-2, 2))
    net = MLP((2, 3, 1), act)
    theta, X = net.random_params(0), np.random.default_rng(0).uniform(-1, 1, (20, 2))
    W = net.unpack(theta)
    hidden = X @ W["W1"].T
    assert np.abs(hidden).max() < 2
    error = np.abs(net.evaluate(theta, X) - np.tanh(hidden) @ W["W2"].T).max()
    assert error <= np.abs(W["W2"]).sum() * act.max_error * (1 + 1e-9)


@pytest.mark.parametrize("activation", [[2, 3], [1.5, 2], np.array([2, 3])], ids=repr)
def test_an_ambiguous_list_is_refused(activation):
    with pytest.raises(ValueError, match="ambiguous"):
        MLP((2, 2, 2, 1), activation)
    MLP((2, 2, 2, 1), tuple(int(a) for a in activation))
    MLP((2, 2, 1), activation)


def test_a_list_with_a_zero_is_a_polynomial():
    assert MLP((2, 2, 2, 1), [0, 2]).activations[0].coefficients == (0, 2)
    with pytest.raises(ValueError, match="ambiguous"):
        MLP((2, 2, 1), [2])


@pytest.mark.parametrize(
    ("activation", "error"),
    [
        (None, TypeError),
        ("2", TypeError),
        ("relu", TypeError),
        (2.0, TypeError),
        (2.5, TypeError),
        (True, TypeError),
        (-1, ValueError),
        (10**9, ValueError),
        (10**400, ValueError),
        ([], ValueError),
        ([[1, 2]], TypeError),
        ([1, None], TypeError),
        ([1, "2"], TypeError),
        ([1, 2j], TypeError),
        ([True, False], TypeError),
        ([0, np.nan], ValueError),
        ([0, np.inf], ValueError),
        ([0, 10**400], ValueError),
        ([0, np.longdouble(2)], TypeError),
        (np.ones((2, 2)), TypeError),
        ((2, 2), ValueError),
        ((), ValueError),
        ((None,), TypeError),
        (np.polynomial.Polynomial([0, 1j]), TypeError),
        ({2}, TypeError),
        (np.tanh, TypeError),
    ],
    ids=repr,
)
def test_bad_activations(activation, error):
    with pytest.raises(error, match="`activation"):
        MLP((2, 2, 1), activation)


def test_activation_without_hidden_layer():
    for activation in (None, 2, [0, 1], (), np.polynomial.Polynomial([1, 2]), [2]):
        assert MLP((3, 2), activation) == MLP((3, 2))
    for activation, error in (("x", TypeError), (-1, ValueError), ((2,), ValueError)):
        with pytest.raises(error, match="`activation"):
            MLP((3, 2), activation)


@pytest.mark.parametrize(
    ("widths", "error"),
    [
        (None, TypeError),
        (5, TypeError),
        ("22", TypeError),
        ((2, 2.0, 1), TypeError),
        ((2, None, 1), TypeError),
        ((2, True, 1), TypeError),
        ((2, 0, 1), ValueError),
        ((2, -1, 1), ValueError),
        ((2,), ValueError),
        ((), ValueError),
        ([[2, 2], [1, 1]], TypeError),
        (np.array([2.0, 2.0, 1.0]), TypeError),
        (np.array(3), TypeError),
    ],
    ids=repr,
)
def test_bad_widths(widths, error):
    with pytest.raises(error, match="`widths"):
        MLP(widths, 2)


def test_bad_bias():
    for bias in (None, 1, "yes", 0.0, np.array([True])):
        with pytest.raises(TypeError, match="`bias`"):
            MLP((2, 2, 1), 2, bias)
    assert MLP(np.array([2, 2, 1]), 2, np.True_).bias is True


@networks
def test_identity(net):
    again = pickle.loads(pickle.dumps(net))
    assert again == net
    assert hash(again) == hash(net)
    assert repr(again) == repr(net)
    assert eval(repr(net), {"MLP": MLP, "Fraction": Fraction}) == net
    assert net != MLP((7, 1))
    assert net != "MLP"
    np.testing.assert_array_equal(again.expand(net.random_params(0)), net.expand(net.random_params(0)))


def test_a_network_from_any_program():
    program = Program(2, [Affine(0, 2), Activation(1, (0, 0, 1)), Affine(2, 1)])
    net = Network(program)
    assert net == Network(program) == pickle.loads(pickle.dumps(net))
    assert net != MLP((2, 2, 1), 2)
    assert list(net.unpack(np.arange(6))) == ["W1", "W2"]
    assert net.expand([1, 2, 3, 4, 5, 6]).tolist() == [[59, 164, 116]]
    assert "6 parameters" in repr(net)


def test_batches_of_no_parameters(on_backend):
    net = Network(Program(2, [Activation(0, (0, 0, 1))]))
    assert net.expand(np.zeros((3, 0))).tolist() == [[[1, 0, 0], [0, 0, 1]]] * 3
    assert net.evaluate(np.zeros((3, 0)), [[2.0, 3.0]]).tolist() == [[[4, 9]]] * 3
    assert net.vjp(np.zeros((3, 0)), np.ones((2, 3))).shape == (3, 0)
    assert net.jacobian(np.zeros(0)).shape == (6, 0)


# --- generic activations ----------------------------------------------------------------------------------------------

G2, G3 = GenericActivation(2), GenericActivation(3)
GENERIC = [
    ((2, 2, 1), G3, False),
    ((2, 3, 2, 2, 1), G2, True),
    ((2, 3, 2, 2, 1), (G2, G3, G2), False),
    ((2, 2, 2, 2, 2, 1), (G2, GenericActivation(2), 2, G2), False),
    ((2, 2, 2, 1), (3, GenericActivation(0)), False),
    ((2, 2, 2, 1), (GenericActivation(1), [1, 2]), True),
    ((2, 2, 2, 2, 2, 1), (G2, G3, G3, G2), False),
]
generic_networks = pytest.mark.parametrize("net", [MLP(*s) for s in GENERIC], ids=[repr(MLP(*s)) for s in GENERIC])


@generic_networks
def test_identity_of_generic_networks(net):
    again = pickle.loads(pickle.dumps(net))
    assert again == net
    assert hash(again) == hash(net)
    assert eval(repr(net), {"MLP": MLP, "GenericActivation": GenericActivation}) == net
    assert net.program.is_generic
    assert again.program == net.program


def test_repr_of_generic_networks():
    assert repr(MLP((2, 2, 1), GenericActivation(3))) == "MLP((2, 2, 1), activation=GenericActivation(3))"
    two = MLP((2, 2, 2, 1), (GenericActivation(2), GenericActivation(2)))
    assert repr(two) == "MLP((2, 2, 2, 1), activation=(GenericActivation(2), GenericActivation(2)))"
    assert two != MLP((2, 2, 2, 1), (G2, G2)) == MLP((2, 2, 2, 1), G2)
    assert r"c_{2,0} + c_{2,1} z + c_{2,2} z^{2}" in two._repr_latex_()


@generic_networks
def test_specialized_networks(net):
    concrete = net.specialize(rng=3)
    assert type(concrete) is MLP
    assert not concrete.program.is_generic
    assert concrete == net.specialize(rng=3) == concrete.specialize(rng=8) != net.specialize(rng=4)
    assert (concrete.n_params, concrete.basis, concrete.bias) == (net.n_params, net.basis, net.bias)
    values = {}
    for before, after in zip(net.activations, concrete.activations):
        for c, value in zip(before.coefficients, after.coefficients):
            if isinstance(c, Indeterminate):
                assert values.setdefault(c, value) == value != 0  # shared polynomials stay shared
                assert abs(value) <= 2
                assert 1024 % Fraction(value).denominator == 0
            else:
                assert c == value
    assert len(values) == len(net.program.indeterminates)
    theta = concrete.random_params(0)
    assert np.isfinite(concrete.expand(theta)).all()
    bare = Network(net.program).specialize(rng=3)
    assert type(bare) is Network
    assert bare.program == concrete.program


def test_specialize_takes_a_generator():
    net = MLP((2, 2, 1), G2)
    generator = np.random.default_rng(0)
    assert net.specialize(generator) != net.specialize(generator)
    with pytest.raises(TypeError, match="`rng`"):
        MLP((2, 2, 1), 2).specialize("seed")


@pytest.mark.parametrize("family", [lambda net: net, lambda net: Network(net.program)], ids=["MLP", "Network"])
def test_generic_networks_have_no_numbers(on_backend, family):
    net = family(MLP((2, 2, 1), G2))
    remedy = r"generic activation; net\.specialize\(rng\)"
    for method, arguments in {**GOOD, "vjp": {"theta": np.arange(6.0), "dcoef": np.ones((1, 6))}}.items():
        for options in ({}, {"modulus": 101}, {"dtype": object}, {"dtype": complex}, {"n_threads": 2}):
            if method == "polynomial" and options:
                continue
            dtype = int if options.keys() & {"modulus", "dtype"} else float
            with pytest.raises(ValueError, match=remedy):
                getattr(net, method)(**{name: array.astype(dtype) for name, array in arguments.items()}, **options)
    rng = np.random.default_rng(0)
    loss = QDistance.from_data(rng.normal(size=(20, 2)), rng.normal(size=(20, 1)), net.basis)
    with pytest.raises(ValueError, match=remedy):
        loss.compose(net)
    assert net.random_params(0).shape == (6,)
    assert set(net.unpack(net.random_params(0))) == {"W1", "W2"}


# --- text -------------------------------------------------------------------------------------------------------------


def test_text_forms():
    net = MLP((2, 2, 1), 2)
    polynomial = net.polynomial([1, 2, 3, 4, 5, 6])
    assert repr(polynomial) == "f = 59*x1^2 + 164*x1*x2 + 116*x2^2"
    assert repr(net.polynomial([1, 2, 3, 4, 5, 6], ("s", "t"))) == "f = 59*s^2 + 164*s*t + 116*t^2"
    assert "59 x_{1}^{2} + 164 x_{1} x_{2}" in polynomial._repr_latex_()
    assert repr(net.polynomial([0.5, 0, 0, 0, 1, 0])) == "f = 0.25*x1^2"
    half = [Fraction(1, 2), 0, 0, 0, 1, 0]
    assert r"\frac{1}{4}" in net.polynomial(half)._repr_latex_()
    several = MLP((6, 4, 12), 3).polynomial(np.arange(1, 73))
    assert "more terms" in repr(several)
    assert "4 more outputs" in repr(several)
    assert len(repr(several)) < 4000
    with pytest.raises(ValueError, match="`symbols`"):
        net.polynomial([1, 2, 3, 4, 5, 6], ("s",))
    with pytest.raises(TypeError, match="`symbols`"):
        net.polynomial([1, 2, 3, 4, 5, 6], (1, 2))
    with pytest.raises(ValueError, match="`theta`"):
        net.polynomial(np.ones((2, 6)))


def test_latex_of_networks():
    assert MLP((2, 2, 1), 2)._repr_latex_() == (
        r"$f\colon \mathbb{R}^{2} \to \mathbb{R}^{1},\quad f(x) = W_{2} \sigma\left(W_{1} x\right),"
        r"\quad \sigma(z) = z^{2}$"
    )
    assert "b_{3}" in MLP((2, 2, 2, 1), (2, 3), bias=True)._repr_latex_()
    assert r"\sigma_{2}(z) = z^{3}" in MLP((2, 2, 2, 1), (2, 3))._repr_latex_()
    assert MLP((2, 1), bias=True)._repr_latex_().endswith("f(x) = W_{1} x + b_{1}$")
    assert len(MLP((2,) * 30, tuple(range(28)))._repr_latex_()) < 500


# --- bad input, large requests ----------------------------------------------------------------------------------------

NET = MLP((2, 2, 1), 2)
GOOD = {
    "evaluate": {"theta": np.arange(6.0), "X": np.ones((3, 2))},
    "evaluate_vjp": {"theta": np.arange(6.0), "X": np.ones((3, 2)), "dY": np.arange(3.0).reshape(3, 1)},
    "expand": {"theta": np.arange(6.0)},
    "jacobian": {"theta": np.arange(6.0)},
    "jvp": {"theta": np.arange(6.0), "dtheta": np.arange(6.0)},
    "vjp": {"theta": np.arange(6.0), "dcoef": np.ones((1, 3))},
    "polynomial": {"theta": np.arange(6.0)},
}
SLOTS = [(method, name) for method, arguments in GOOD.items() for name in arguments]


def misaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned
    return view


@pytest.mark.parametrize(("method", "name"), SLOTS)
def test_lossless_conversions(on_backend, method, name):
    net, arguments = MLP((2, 2, 1), 2), GOOD[method]
    good = arguments[name]
    read_only = good.copy()
    read_only.flags.writeable = False
    expected = getattr(net, method)(**arguments)
    wide = np.zeros((*good.shape[:-1], 2 * good.shape[-1]))
    wide[..., ::2] = good
    for same in (
        good.astype(np.float32),
        good.astype(np.float16),
        good.astype(np.int8),
        good.astype(np.uint64),
        good.astype(">f8"),
        good.astype(">i4"),
        np.asfortranarray(good),
        wide[..., ::2],
        good[..., ::-1].copy()[..., ::-1],
        read_only,
        misaligned(good),
        good.tolist(),
        tuple(good.tolist()),
    ):
        result = getattr(net, method)(**{**arguments, name: same})
        if method == "polynomial":
            assert repr(result) == repr(expected)
        else:
            np.testing.assert_array_equal(result, expected)
    if method != "polynomial":
        result = getattr(net, method)(**{**arguments, name: good.astype(np.complex64)})
        assert result.dtype == complex
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(("method", "name"), SLOTS)
def test_refused_arrays(on_backend, method, name):
    net, arguments = MLP((2, 2, 1), 2), GOOD[method]
    good = arguments[name]
    nan, inf = good.copy(), good.copy()
    nan[(-1,) * good.ndim], inf[(0,) * good.ndim] = np.nan, -np.inf
    large = good.astype(np.int64)
    large[(-1,) * good.ndim] = 2**53 + 1
    wide = np.ones((*good.shape[:-1], good.shape[-1] + 1))
    refused = [
        (None, TypeError),
        ("abc", TypeError),
        (b"abc", TypeError),
        ([[1.0, 2.0], [3.0]], TypeError),
        ([1, "2"], TypeError),
        ({}, TypeError),
        (object(), TypeError),
        (good.astype(np.longdouble), TypeError),
        (good.astype(str), TypeError),
        (np.full(good.shape, None), TypeError),
        (np.zeros(good.shape, "datetime64[s]"), TypeError),
        (np.zeros(good.shape, [("a", float)]), TypeError),
        (np.ma.masked_array(good, mask=True), ValueError),
        (nan, ValueError),
        (inf, ValueError),
        (wide, ValueError),
        (1.0, ValueError),
        (np.ones(0), ValueError),
    ]
    if method != "polynomial":  # which is exact on integers
        refused += [(good.astype(object), TypeError), (large, ValueError)]
    for bad, error in refused:
        with pytest.raises(error, match=f"`{name}`"):
            getattr(net, method)(**{**arguments, name: bad})
    if method != "polynomial":
        with pytest.raises(TypeError, match=f"`{name}` must be real"):
            getattr(net, method)(**{**arguments, name: good + 0j}, dtype=float)
        for modulus in (7, P61):
            whole = {key: value.astype(int) for key, value in arguments.items()}
            getattr(net, method)(**whole, modulus=modulus)
            for bad in (good, good + 0j, None, "abc", [1, 2.5], good.astype(np.longdouble), [[1, 2], [3]]):
                with pytest.raises(TypeError, match=f"`{name}`"):
                    getattr(net, method)(**{**whole, name: bad}, modulus=modulus)
        with pytest.raises(TypeError, match=f"`{name}`"):
            getattr(net, method)(**{**whole, name: good}, dtype=object)


@pytest.mark.parametrize("method", [m for m in GOOD if m != "polynomial"])
def test_bad_options(method):
    call = getattr(NET, method)
    whole = {key: value.astype(int) for key, value in GOOD[method].items()}
    for bad in (np.float32, "int", np.longdouble, np.complex64, "no such type", 3):
        with pytest.raises(TypeError, match="`dtype`"):
            call(**GOOD[method], dtype=bad)
    for bad in (0, 1, -7, 4, 2**61, 2**89 - 1, 3 * (2**31 - 1)):
        with pytest.raises(ValueError, match="`modulus`"):
            call(**whole, modulus=bad)
    for bad in (7.0, "7", True, [7]):
        with pytest.raises(TypeError, match="`modulus`"):
            call(**whole, modulus=bad)
    with pytest.raises(TypeError, match="`dtype`"):
        call(**whole, modulus=7, dtype=float)
    for bad in (None, "2", 1.0, True, [1]):
        with pytest.raises(TypeError, match="`n_threads`"):
            call(**GOOD[method], n_threads=bad)
    for bad in (-1, 10**9, 10**30):
        with pytest.raises(ValueError, match="`n_threads`"):
            call(**GOOD[method], n_threads=bad)
    with pytest.raises(TypeError):
        call(*GOOD[method].values(), np.float64)  # options are keyword-only


def test_large_integers_become_residues():
    theta = [-1, 2**63, -(2**80), 10**30, Fraction(1, 3), 0]
    coef = NET.expand(theta, modulus=P61)
    np.testing.assert_array_equal(coef, residues(expand_with_flint(NET, np.array(theta, dtype=object)), P61))
    for extreme in (np.array([-(2**63)] * 6), np.array([2**64 - 1] * 6, dtype=np.uint64)):
        expected = residues(expand_with_flint(NET, extreme.astype(object)), 10007)
        np.testing.assert_array_equal(NET.expand(extreme, modulus=10007), expected)
    with pytest.raises(ValueError, match=r"`theta`.*1/7.*modulus=7"):
        NET.expand([Fraction(1, 7)] * 6, modulus=7)
    with pytest.raises(ValueError, match="modulus=2"):
        MLP((2, 2, 1), [0.5, 0, 1]).expand([1] * 6, modulus=2)


def test_hints_for_weights_of_the_wrong_shape():
    theta, X = np.ones(6), np.ones((3, 2))
    for shape in ((), (3,), (1, 3), (2, 1), (3, 2), (1, 3, 1)):
        with pytest.raises(ValueError, match=r"`dY` must have shape \(n_samples=3, n_outputs=1\)"):
            NET.evaluate_vjp(theta, X, np.ones(shape))
    large = MLP((2, 200_000, 1), 2)
    with pytest.raises(MemoryError, match=r"gradients at the points.*fewer samples"):
        large.evaluate_vjp(np.ones(large.n_params), np.ones((10**6, 2)), np.ones((10**6, 1)))


def test_hints_for_points_of_the_wrong_shape():
    with pytest.raises(ValueError, match=r"`X` must have shape \(n_samples, n_inputs=2\), got \(2,\).*X\[None, :\]"):
        NET.evaluate(np.ones(6), np.ones(2))
    with pytest.raises(ValueError, match=r"X\[:, None\]"):
        MLP((1, 2, 1), 2).evaluate(np.ones(4), np.ones(5))
    for shape in ((), (3,), (3, 1), (3, 3), (1, 3, 2), (3, 0)):
        with pytest.raises(ValueError, match=r"`X` must have shape \(n_samples, n_inputs=2\)"):
            NET.evaluate(np.ones(6), np.ones(shape))


def test_overflow_is_an_error(on_backend):
    net = MLP((2, 2, 1), 2)
    theta = np.full(6, 1e200)
    for method, arguments in (
        ("expand", ()),
        ("jacobian", ()),
        ("jvp", (theta,)),
        ("vjp", (np.full((1, 3), 1e200),)),
        ("evaluate", (np.ones((1, 2)),)),
        ("evaluate_vjp", (np.ones((1, 2)), np.full((1, 1), 1e200))),
    ):
        with pytest.raises(NumericalError, match="overflow"):
            getattr(net, method)(theta, *arguments)
    with pytest.raises(NumericalError, match="overflow"):
        net.expand(np.full(6, 1e308))
    assert net.expand([10**200] * 6, dtype=object).tolist() == [[2 * 10**600, 4 * 10**600, 2 * 10**600]]


def test_requests_too_large_to_hold():
    net = MLP((784, 9, 9, 9, 1), 9)
    assert (net.n_params, net.degree) == (7227, 729)
    assert net.basis.n_monomials > 10**450
    theta = net.random_params(0)
    for method, arguments, instead in (
        ("expand", (theta,), "evaluate"),
        ("jacobian", (theta,), "jvp"),
        ("jvp", (theta, theta), "evaluate"),
        ("vjp", (theta, np.ones((1, 3))), "evaluate"),
        ("polynomial", (theta,), "evaluate"),
    ):
        with pytest.raises(OverflowError, match=f"GiB.*{instead}"):
            getattr(net, method)(*arguments)
    for options in ({"dtype": object}, {"modulus": 7}):
        with pytest.raises(OverflowError, match="GiB"):
            net.expand(np.ones(net.n_params, int), **options)
    middle = MLP((20, 9, 9, 1), 5)
    for method in ("expand", "jacobian"):
        with pytest.raises(MemoryError, match="GiB"):
            getattr(middle, method)(middle.random_params(0))
    wide = MLP((10**9, 10**9, 1), 2)
    assert wide.n_params == 10**18 + 10**9
    with pytest.raises((MemoryError, OverflowError), match="GiB"):
        wide.random_params(0)
    deep = MLP((2,) * 2000, 3)
    assert deep.degree == 3**1998
    with pytest.raises(OverflowError, match="GiB"):
        deep.expand(deep.random_params(0))


def test_exact_expansion_by_hand():
    net = MLP((2, 1, 1), 2)
    coef = net.expand([Fraction(1, 2), Fraction(1, 3), 1], dtype=object)
    assert coef.tolist() == [[Fraction(1, 4), Fraction(1, 3), Fraction(1, 9)]]
    assert net.jacobian([1, 2, 3], dtype=object).tolist() == [[6, 0, 1], [12, 6, 4], [0, 12, 4]]


@pytest.mark.parametrize("module", ["networks", "activations", "program"])
def test_docstring_examples(module):
    failed, tried = doctest.testmod(importlib.import_module(f"polycore.{module}"))
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize(("widths", "r"), [((784, 9, 9, 9, 1), 2), ((50, 9, 1), 9), ((2, 2, 1), 100)], ids=str)
def test_networks_too_large_to_expand_still_evaluate(on_backend, widths, r):
    net = MLP(widths, r)
    theta, X = net.random_params(0), np.random.default_rng(1).standard_normal((5, widths[0]))
    weights = net.unpack(theta)
    expected = X
    for layer in range(1, len(widths)):
        expected = (expected**r if layer > 1 else expected) @ weights[f"W{layer}"].T
    np.testing.assert_allclose(net.evaluate(theta, X), expected, rtol=1e-9)
    whole = np.arange(net.n_params) % 7
    assert net.evaluate(whole, X.astype(int), modulus=101).shape == (5, 1)
    # The weights of the last layer are the gradient's outer factor.
    rows = net.evaluate_vjp(theta, X, np.ones((5, 1)))
    hidden = X
    for layer in range(1, len(widths) - 1):
        hidden = (hidden @ weights[f"W{layer}"].T) ** r
    np.testing.assert_allclose(rows[:, -widths[-2] :], hidden, rtol=1e-9)


def test_exact_jacobians_hold_python_numbers():
    """Also where they are zero: a numpy integer among them would overflow in later arithmetic."""
    net = MLP((1, 1, 1), activation=2, bias=True)
    jacobian = net.jacobian(np.array([1, 2, 3, 4], dtype=object), dtype=object)
    assert {type(entry) for entry in jacobian.ravel()} == {int}
