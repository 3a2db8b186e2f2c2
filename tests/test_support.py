# SPDX-License-Identifier: BSD-3-Clause
"""Supports and coefficients on them, against brute force and against coefficients on the whole basis."""

from __future__ import annotations

import pickle
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import _backend
from polycore.program import Interpreter

P61 = 2**61 - 1


def residual() -> pc.Sequential:
    return pc.Sequential(pc.Residual(pc.Affine(3), pc.Activation(3), pc.Affine(2)), pc.Affine(2, bias=True), n_inputs=2)


def mixed() -> pc.Sequential:
    """Convolution in the plane, strides, several channels, a constant term, then a dense layer."""
    layers = pc.Conv((2, 2), channels=2, bias=True), pc.Activation([1, 0, 2]), pc.Conv((1, 2)), pc.Affine(2)
    return pc.Sequential(*layers, n_inputs=(2, 3))


NETWORKS = {
    "convolutions": lambda: pc.CNN((3, 2, 2), activation=2),
    "several outputs": lambda: pc.CNN((2, 2), activation=3, n_inputs=5),
    "strides and biases": lambda: pc.CNN((2, 2), activation=[0, 1, 1], stride=2, n_inputs=8, bias=True),
    "channels": lambda: pc.CNN((2, 2), activation=2, n_inputs=4, channels=(3, 2)),
    "linear convolutions": lambda: pc.CNN((2, 3), activation=1, n_inputs=6),
    "in the plane": mixed,
    "attention": lambda: pc.LightningAttention(2, 1, 2, n_tokens=3),
    "heads": lambda: pc.LightningAttention(2, 1, 1, n_tokens=2, n_heads=2),
    "one token": lambda: pc.LightningAttention(2, 2, 1, n_tokens=1),
    "two layers": lambda: pc.LightningAttention(1, 1, 1, n_tokens=2, n_layers=2),
    "residual": residual,
    "activation of inputs": lambda: pc.Sequential(pc.Activation(2), pc.Affine(2), pc.Activation(2), n_inputs=4),
    "positions": lambda: pc.Sequential(pc.Select((3, 0)), pc.Affine(2), pc.Activation([0, 1, 0, 1]), n_inputs=4),
    "fully connected": lambda: pc.MLP((2, 3, 2), activation=[0, 2, 0, 1]),
    "with biases": lambda: pc.MLP((2, 2, 1), activation=2, bias=True),
    "zero": lambda: pc.MLP((2, 2, 1), activation=[0]),
    "a constant": lambda: pc.MLP((2, 2, 1), activation=0),
}


@pytest.fixture(params=NETWORKS)
def net(request: pytest.FixtureRequest) -> pc.Network:
    return NETWORKS[request.param]()


def arguments(net: pc.Network, seed: int = 0, batch: tuple[int, ...] = (3,), **options: Any) -> dict[str, Any]:
    """theta, dtheta and dcoef on the support."""
    rng = np.random.default_rng(seed)
    shape = (*batch, net.n_outputs, len(net.support))
    modulus = options.get("modulus")
    dcoef = rng.normal(size=shape) if modulus is None else rng.integers(0, modulus, shape, dtype=np.uint64)
    theta, dtheta = (net.random_params(rng, batch, modulus=modulus) for _ in range(2))
    return {"theta": theta, "dtheta": dtheta, "dcoef": dcoef}


def everything(net: pc.Network, a: dict[str, Any], **options: Any) -> dict[str, np.ndarray]:
    return {
        "expand": net.expand(a["theta"], **options),
        "jvp": net.jvp(a["theta"], a["dtheta"], **options),
        "vjp": net.vjp(a["theta"], a["dcoef"], **options),
        "jacobian": net.jacobian(a["theta"], **options),
    }


# -- which monomials --------------------------------------------------------------------------------------------------


def test_support_is_what_random_networks_have(net):
    """Generic coefficients are not zero, and GF(2^61 - 1) is large: three random members show all there are."""
    coef = net.expand(net.random_params(1, 3, modulus=P61), modulus=P61)
    seen = (coef != 0).any(axis=(0, 1))
    assert net.support.positions.tolist() == np.flatnonzero(seen).tolist()


def test_support_holds_for_special_parameters(net):
    """Parameters with many zeros and ones have fewer monomials, never others."""
    theta = np.random.default_rng(2).integers(-1, 2, (20, net.n_params))
    seen = (net.expand(theta, dtype=object) != 0).any(axis=(0, 1))
    assert set(np.flatnonzero(seen)) <= set(net.support.positions.tolist())


def test_support_of_attention_by_its_formula():
    """x_k x_i y_j with x, y tokens: all cubic monomials but those of three different tokens."""
    d, t = 2, 4
    support = pc.LightningAttention(d, 2, 1, n_tokens=t).support
    expected = [e for e in support.basis if sum(any(e[d * s : d * s + d]) for s in range(t)) < 3]
    assert list(support) == expected


def test_support_of_convolutions_by_hand():
    # (a x1 + b x2)^2 and (a x2 + b x3)^2
    assert pc.CNN((2, 1), activation=2, n_inputs=3).support.names() == ["x1^2", "x1*x2", "x2^2", "x2*x3", "x3^2"]
    assert pc.CNN((2, 1), activation=[1, 0, 1], n_inputs=3).support.names()[:2] == ["1", "x1^2"]


def test_the_definition_in_python_agrees(net):
    words = net.program.reference.support()
    np.testing.assert_array_equal(words, net.support._letters)


def test_generic_activations_have_a_support():
    net = pc.CNN((2, 2), activation=pc.GenericActivation(2))
    assert net.support == net.specialize(1).support


def test_support_of_a_large_dense_network_is_its_basis():
    net = pc.MLP((6, 5, 4, 1), activation=3, bias=True)
    assert len(net.support) == len(net.basis) == 5005
    np.testing.assert_array_equal(net.support.exponents, net.basis.exponents)


# -- coefficients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modulus", [7, 1_000_003, P61])
def test_coefficients_on_the_support_are_those_on_the_basis_exactly(net, modulus):
    a = arguments(net, modulus=modulus)
    whole = {**a, "dcoef": net.support.scatter(a["dcoef"])}
    ours, dense = everything(net, a, modulus=modulus, support=True), everything(net, whole, modulus=modulus)
    support, n = net.support, len(net.support)
    np.testing.assert_array_equal(ours["expand"], support.gather(dense["expand"]))
    np.testing.assert_array_equal(support.scatter(ours["expand"]), dense["expand"])
    np.testing.assert_array_equal(support.scatter(ours["jvp"]), dense["jvp"])
    np.testing.assert_array_equal(ours["vjp"], dense["vjp"])
    rows = dense["jacobian"].reshape(3, net.n_outputs, len(net.basis), net.n_params)
    on_support = rows[:, :, support.positions]
    np.testing.assert_array_equal(ours["jacobian"], on_support.reshape(3, net.n_outputs * n, net.n_params))
    assert rows.astype(bool).sum() == on_support.astype(bool).sum()  # the other rows are zero


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_floats_agree_with_the_definition(net, dtype):
    a = arguments(net, seed=3)
    if dtype is np.complex128:
        a = {name: x + 1j * x[::-1] for name, x in a.items()}
    ours = everything(net, a, support=True)
    dense = everything(net, {**a, "dcoef": net.support.scatter(a["dcoef"])})
    reference = net.program.reference
    theirs = {
        "expand": reference.expand(a["theta"], support=True),
        "jvp": reference.jvp(a["theta"], a["dtheta"], support=True),
        "vjp": reference.vjp(a["theta"], a["dcoef"], support=True),
        "jacobian": reference.jacobian(a["theta"], support=True),
    }
    for name, value in ours.items():
        assert value.dtype == dtype
        np.testing.assert_allclose(value, theirs[name], rtol=1e-11, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(net.support.scatter(ours["expand"]), dense["expand"], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(ours["vjp"], dense["vjp"], rtol=1e-11, atol=1e-12)


def test_rationals(net):
    rng = np.random.default_rng(5)
    theta = np.array([Fraction(int(n), 3) for n in rng.integers(-4, 5, net.n_params)], dtype=object)
    dtheta = np.array(rng.integers(-3, 4, net.n_params).tolist(), dtype=object)
    coef = net.expand(theta, dtype=object, support=True)
    assert (net.support.scatter(coef) == net.expand(theta, dtype=object)).all()
    tangent = net.jvp(theta, dtheta, dtype=object, support=True)
    assert (tangent == net.support.gather(net.jvp(theta, dtheta, dtype=object))).all()
    dcoef = np.array(rng.integers(-3, 4, tangent.shape).tolist(), dtype=object).reshape(tangent.shape)
    assert (net.vjp(theta, dcoef, dtype=object, support=True) * dtheta).sum() == (dcoef * tangent).sum()
    jacobian = net.jacobian(theta, dtype=object, support=True)
    assert (jacobian @ dtheta == tangent.reshape(-1)).all()


def test_transposes(net):
    """⟨J v, w⟩ = ⟨v, Jᵀ w⟩, and J as a matrix is both."""
    a = arguments(net, seed=6, modulus=P61)
    r = {name: x.astype(object) for name, x in everything(net, a, modulus=P61, support=True).items()}
    v, w = a["dtheta"].astype(object), a["dcoef"].astype(object)
    for s in range(3):
        assert (r["jvp"][s] * w[s]).sum() % P61 == (v[s] * r["vjp"][s]).sum() % P61
        assert (r["jacobian"][s] @ v[s] % P61 == r["jvp"][s].reshape(-1)).all()
        assert (w[s].reshape(-1) @ r["jacobian"][s] % P61 == r["vjp"][s]).all()


def test_bits_do_not_depend_on_threads_or_batch(net):
    a = arguments(net, seed=7, batch=(41,))
    results = everything(net, a, support=True, n_threads=1)
    for name, value in everything(net, a, support=True, n_threads=2).items():
        assert (value == results[name]).all()
    one = everything(net, {name: x[17] for name, x in a.items()}, support=True)
    for name, value in one.items():
        assert (value == results[name][17]).all(), name
    # So do those on the basis, which come from the same numbers.
    coef = net.expand(a["theta"])
    assert (net.support.gather(coef) == results["expand"]).all()
    assert (coef[17] == net.expand(a["theta"][17])).all()


def test_values_at_points(net):
    theta, X = net.random_params(8, 2), np.random.default_rng(8).normal(size=(9, net.n_inputs))
    values = net.support.evaluate(net.expand(theta, support=True), X)
    np.testing.assert_allclose(values, net.evaluate(theta, X).swapaxes(-1, -2), rtol=1e-11, atol=1e-11)


def test_out_and_axes():
    net = pc.CNN((2, 2), activation=2, n_inputs=4)
    theta = net.random_params(0, (2, 3))
    coef = net.expand(theta, support=True)
    assert coef.shape == (2, 3, 2, len(net.support))
    out = np.full(coef.shape, np.nan)
    assert net.expand(theta, support=True, out=out) is out
    np.testing.assert_array_equal(out, coef)
    jacobian = np.full((2, 3, 2 * len(net.support), 4), np.nan)
    np.testing.assert_array_equal(net.jacobian(theta, support=True, out=jacobian), net.jacobian(theta, support=True))
    assert net.jvp(theta, theta[0], support=True).shape == coef.shape
    assert net.vjp(theta[0, 0], coef, support=True).shape == theta.shape
    assert net.expand(np.zeros((0, 4)), support=True).shape == (0, 2, len(net.support))


def test_overflow_is_reported():
    net = pc.CNN((2, 2), activation=2)
    with pytest.raises(pc.NumericalError):
        net.expand(np.full(4, 1e200), support=True)
    with pytest.raises(pc.NumericalError):
        net.expand(np.full(4, 1e200))
    with pytest.raises(ValueError, match="`theta`"):
        net.expand([1, 2, 3, np.nan], support=True)


# -- two ways to compute ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(_backend.name() != "cpp", reason="only the compiled executor has a choice")
def test_dense_forms_and_circuits_are_the_same(net):
    program = net.program
    ways = [
        _backend.load("cpp").Program(program.n_inputs, program._float_tuples(), method)  # type: ignore[attr-defined]
        for method in ("forms", "circuit")
    ]
    assert [way.uses_circuit for way in ways] == [False, True]
    a = arguments(net, seed=9, modulus=P61)
    field = {"modulus": P61, "constants": program.constants(P61)}
    for support in (False, True):
        options = {**field, "support": support}
        dcoef = a["dcoef"] if support else net.support.scatter(a["dcoef"])
        calls = {
            "expand": (a["theta"],),
            "jvp": (a["theta"], a["dtheta"]),
            "vjp": (a["theta"], dcoef),
            "jacobian": (a["theta"],),
        }
        for name, given in calls.items():
            forms, circuit = (getattr(way, name)(*given, **options) for way in ways)
            np.testing.assert_array_equal(forms, circuit)
    # Floats: second derivatives and losses, which have no other door.
    rng = np.random.default_rng(9)
    N = len(net.support)
    theta, dtheta = rng.normal(size=(2, 11, net.n_params))
    dcoef, ddcoef = rng.normal(size=(2, 11, net.n_outputs, N))
    factor, target = rng.normal(size=(N, N)), rng.normal(size=(net.n_outputs, N))
    gram = factor @ factor.T
    gram = (gram + gram.T) / 2
    reference = program.reference
    expected = reference.vjp_tangent(theta, dtheta, dcoef, ddcoef, support=True)
    value, gradient = reference.loss_gradient(theta, gram, target, support=True)
    for way in ways:
        result = way.vjp_tangent(theta, dtheta, dcoef, ddcoef, support=True)
        np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-10)
        ours = way.loss_gradient(theta, gram, target, support=True)
        np.testing.assert_allclose(ours[0], value, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(ours[1], gradient, rtol=1e-9, atol=1e-9 * max(1, abs(gradient).max(initial=0)))


@pytest.mark.skipif(_backend.name() != "cpp", reason="only the compiled executor has a choice")
def test_what_is_chosen():
    assert pc.CNN((3, 3, 3), activation=2, n_inputs=12).program.engine.uses_circuit
    assert pc.LightningAttention(4, 4, 4, n_tokens=4).program.engine.uses_circuit
    assert not pc.MLP((4, 3, 4, 2), activation=3).program.engine.uses_circuit
    with pytest.raises(ValueError, match="`method`"):
        _backend.load("cpp").Program(1, [("affine", 0, 1, False)], "dense")  # type: ignore[attr-defined]


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_the_fallback_backends(backend):
    if not _backend.available()[backend]:
        pytest.skip(f"{backend} is not installed")
    net = pc.CNN((2, 2), activation=[0, 1, 2], n_inputs=4)
    executor = Interpreter(net.n_inputs, net.program.as_tuples(), _backend.load(backend))
    np.testing.assert_array_equal(executor.support(), net.support._letters)
    a = arguments(net, seed=10, modulus=P61 if backend == "numba" else 2**31 - 1)
    modulus = P61 if backend == "numba" else 2**31 - 1
    constants = net.program.constants(modulus)
    for name, given in (("expand", ("theta",)), ("jvp", ("theta", "dtheta")), ("vjp", ("theta", "dcoef"))):
        parts = [a[key] for key in given]
        theirs = getattr(executor, name)(*parts, modulus=modulus, constants=constants, support=True)
        np.testing.assert_array_equal(theirs, getattr(net, name)(*parts, modulus=modulus, support=True))


# -- beyond what dense forms can hold ---------------------------------------------------------------------------------


def test_convolutions_on_sixty_inputs():
    """Degree 8 in 60 variables: every output is the polynomial of one window, moved."""
    net, window = pc.CNN((3, 3, 3, 3), 2, n_inputs=60), pc.CNN((3, 3, 3, 3), 2)
    assert net.basis.n_monomials > 10**9
    theta = net.random_params(0)
    coef, one = net.expand(theta, support=True), window.expand(theta, support=True)[0]
    for o in range(net.n_outputs):
        where = np.flatnonzero(coef[o])
        moved = net.support.exponents[where]
        assert not moved[:, :o].any()
        assert not moved[:, o + 9 :].any()
        np.testing.assert_array_equal(moved[:, o : o + 9], window.support.exponents)
        np.testing.assert_array_equal(coef[o, where], one)
    X = np.random.default_rng(0).normal(size=(4, 60))
    np.testing.assert_allclose(net.support.evaluate(coef, X).T, net.evaluate(theta, X), rtol=1e-10, atol=1e-10)
    with pytest.raises((MemoryError, OverflowError), match="coefficients"):
        net.expand(theta)
    with pytest.raises((MemoryError, OverflowError), match="coefficients"):
        net.support.scatter(coef)


def test_attention_on_eight_tokens():
    net = pc.LightningAttention(8, 8, 8, n_tokens=8)
    # x_k x_i y_j: cubic in one token, or quadratic in one and linear in another.
    assert len(net.support) == 8 * 120 + 8 * 7 * 36 * 8
    theta, dtheta = net.random_params(0), net.random_params(1)
    X = np.random.default_rng(1).normal(size=(3, 64))
    values = net.support.evaluate(net.expand(theta, support=True), X)
    np.testing.assert_allclose(values.T, net.evaluate(theta, X), rtol=1e-10, atol=1e-9)
    # The tangent in a direction, against the values of the reverse sweep over numbers.
    tangent = net.support.evaluate(net.jvp(theta, dtheta, support=True), X)
    dY = np.ones((3, net.n_outputs))
    slopes = net.evaluate_vjp(theta, X, dY) @ dtheta
    np.testing.assert_allclose(tangent.sum(axis=0), slopes, rtol=1e-9, atol=1e-8)


def test_positions_beyond_64_bits():
    net = pc.Sequential(pc.Activation(40), pc.Conv(2), n_inputs=1000)
    assert net.basis.n_monomials > 2**63
    assert len(net.support) == 1000
    assert net.support.names()[-1] == "x1000^40"
    with pytest.raises(OverflowError, match="int64"):
        _ = net.support.positions
    with pytest.raises(OverflowError, match="int64"):
        net.support.gather(net.expand([2.0, 3.0], support=True))
    coef = net.expand([2, 3], support=True, dtype=object)
    assert coef[0, :3].tolist() == [2, 3, 0]
    assert pickle.loads(pickle.dumps(net.support)) == net.support
    with pytest.raises(OverflowError):
        net.expand([2.0, 3.0])


def test_supports_too_large_to_be_listed():
    net = pc.LightningAttention(8, 8, 8, n_tokens=8, n_layers=2)
    with pytest.raises(OverflowError, match="too many"):
        _ = net.support
    with pytest.raises(OverflowError, match="too many"):
        net.expand(net.random_params(), support=True)


# -- MonomialSupport --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_vars", "degree", "homogeneous"), [(1, 5, False), (3, 4, True), (4, 3, False), (2, 0, True)]
)
def test_any_monomials_of_a_basis(n_vars, degree, homogeneous):
    basis = pc.MonomialBasis(n_vars, degree, homogeneous)
    rng = np.random.default_rng(0)
    for size in {0, 1, len(basis) // 2, len(basis)}:
        positions = rng.permutation(len(basis))[:size]
        support = pc.MonomialSupport(basis, basis.exponents[positions])
        expected = np.sort(positions)
        np.testing.assert_array_equal(support.positions, expected)
        np.testing.assert_array_equal(support.exponents, basis.exponents[expected])
        assert list(support) == [basis.exponent(i) for i in expected]
        assert support.names() == [basis.name(i) for i in expected]
        np.testing.assert_array_equal(support.index(basis.exponents[positions]), np.argsort(np.argsort(positions)))
        assert all((e in support) == (i in positions) for i, e in enumerate(basis))
        coef = rng.normal(size=(2, len(basis)))
        values = support.gather(coef)
        np.testing.assert_array_equal(values, coef[:, expected])
        scattered = support.scatter(values)
        X = rng.normal(size=(5, n_vars))
        np.testing.assert_allclose(support.evaluate(values, X), basis.evaluate(scattered, X), rtol=1e-12, atol=1e-12)
        assert support.format(values[0]) == basis.format(scattered[0])
        assert pickle.loads(pickle.dumps(support)) == support
        assert hash(support) == hash(pc.MonomialSupport(basis, basis.exponents[expected]))
        assert bool(support)


def test_exact_and_complex_values():
    support = pc.CNN((2, 2), activation=2).support
    X = np.array([[Fraction(1, 2), 2, -1]], dtype=object)
    assert support.evaluate([1, 2, 3, 4, Fraction(1, 5)], X).tolist() == [
        Fraction(1, 4) + 2 * Fraction(1, 2) * 2 + 3 * 4 - 4 * 2 + Fraction(1, 5)
    ]
    assert support.evaluate([1j, 0, 0, 0, 0], [[2, 0, 0]]).tolist() == [4j]
    assert support.scatter(np.array([1, 2, 3, 4, Fraction(1, 5)], dtype=object)).tolist()[2] == 0
    assert support.evaluate(np.ones(5, np.float32), np.ones((1, 3), np.float32)).dtype == np.float32
    with pytest.raises(pc.NumericalError):
        support.evaluate(np.ones(5), [[1e200, 1, 1]])


def test_a_support_is_frozen():
    support = pc.CNN((2, 2), activation=2).support
    for array in (support.exponents, support.positions):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        support.basis = pc.MonomialBasis(3, 2)
    assert support != pc.MonomialBasis(3, 2, True)
    assert len({support, pc.CNN((2, 2), activation=2).support}) == 1


def test_bad_supports():
    basis = pc.MonomialBasis(2, 2, homogeneous=True)
    for exponents, error, words in (
        ([(1, 1), (2, 0), (1, 1)], ValueError, r"`exponents`.*\(1, 1\) twice"),
        ([(1, 0)], ValueError, r"`exponents\[0\]` = \(1, 0\)"),
        ([(3, -1)], ValueError, r"`exponents\[0\]`"),
        ([(1, 1, 0)], ValueError, r"`exponents` must have shape \(n, n_vars=2\)"),
        ([(0.5, 1.5)], TypeError, "`exponents`"),
    ):
        with pytest.raises(error, match=words):
            pc.MonomialSupport(basis, exponents)
    support = pc.MonomialSupport(basis, [(2, 0), (0, 2)])
    with pytest.raises(ValueError, match=r"`exponents` \(1, 1\) is not a monomial of MonomialSupport\(2 of 3"):
        support.index((1, 1))
    with pytest.raises(ValueError, match=r"`values` must have shape \(\.\.\., n=2\)"):
        support.scatter([1, 2, 3])
    with pytest.raises(ValueError, match=r"`coef` must have shape \(\.\.\., n_monomials=3\)"):
        support.gather([1, 2])
    with pytest.raises(IndexError, match="`index`"):
        support.exponent(2)
    net = pc.CNN((2, 2), activation=2)
    with pytest.raises(TypeError, match="`support`"):
        net.expand(net.random_params(), support=1)
    with pytest.raises(ValueError, match=r"`dcoef` must have shape \(\.\.\., n_outputs=1, n_monomials=5\)"):
        net.vjp(net.random_params(), np.zeros((1, 6)), support=True)
    with pytest.raises(ValueError, match="`out`"):
        net.expand(net.random_params(), support=True, out=np.zeros((1, 6)))


# -- rows and Gram matrices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_are_columns_of_the_dense_matrix(on_backend, net, dtype, order):
    X = np.random.default_rng(3).normal(size=(37, net.n_inputs)).astype(dtype)
    rows = pc.veronese(X, net.support, order=order)
    assert rows.dtype == dtype
    assert rows.flags.c_contiguous if order == "C" else rows.flags.f_contiguous
    np.testing.assert_array_equal(rows, pc.veronese(X, net.basis)[:, net.support.positions])
    out = np.full_like(rows, np.nan)
    assert pc.veronese(X, net.support, out=out) is out
    np.testing.assert_array_equal(out, rows)


def test_rows_in_blocks(monkeypatch):
    net = NETWORKS["channels"]()
    X = np.random.default_rng(3).normal(size=(100, net.n_inputs))
    whole = pc.veronese(X, net.support)
    monkeypatch.setattr(sys.modules["polycore.veronese"], "_ENTRIES_AT_A_TIME", 3 * len(net.support))
    np.testing.assert_array_equal(pc.veronese(X, net.support), whole)


def test_bad_rows():
    support = pc.MonomialSupport(pc.MonomialBasis(2, 4), [(0, 1), (4, 0)])
    X = np.ones((3, 2))
    with pytest.raises(ValueError, match="n_vars=2"):
        pc.veronese(np.ones((3, 3)), support)
    with pytest.raises(ValueError, match="`homogeneous`"):
        pc.veronese(X, support, True)
    with pytest.raises(ValueError, match="`out`"):
        pc.veronese(X, support, out=np.empty((3, 15)))
    with pytest.raises(ValueError, match=r"`X`.*row 1"):
        pc.veronese([[1.0, 1.0], [np.nan, 1.0]], support)
    with pytest.raises(pc.NumericalError, match="overflows float64 at row 2"):
        pc.veronese(X * [[1.0], [1.0], [1e80]], support)


def test_gram_matrix_is_a_block_of_the_dense_one(net):
    positions = net.support.positions
    for homogeneous in {False, net.basis.homogeneous}:
        moments = pc.Moments(net.n_inputs, 2 * net.basis.degree, homogeneous=homogeneous)
        moments.update(np.random.default_rng(3).normal(size=(20, net.n_inputs)))
        gram = pc.gram_matrix(moments, net.support)
        np.testing.assert_array_equal(gram, pc.gram_matrix(moments, net.basis)[np.ix_(positions, positions)])


def test_no_gram_operator_on_a_support():
    support = pc.MonomialSupport(pc.MonomialBasis(2, 1), [(0, 1)])
    moments = pc.Moments(2, 2)
    with pytest.raises(TypeError, match=r"`basis`.*MonomialSupport.*gram_matrix"):
        pc.gram_operator(moments, support)
    with pytest.raises(ValueError, match="`moments`"):
        pc.gram_matrix(np.ones(5), support)
    with pytest.raises(ValueError, match="n_vars=3"):
        pc.gram_matrix(pc.Moments(3, 2), support)


def test_gram_matrix_that_does_not_fit(monkeypatch):
    support = pc.MonomialSupport(pc.MonomialBasis(2, 20), pc.MonomialBasis(2, 20).exponents)
    monkeypatch.setattr("polycore._validation._SMALL_REQUEST", 0)
    monkeypatch.setattr("polycore._validation.available_memory", lambda: 8 * 200**2)
    with pytest.raises(MemoryError, match="231"):
        pc.gram_matrix(np.ones(861), support)
