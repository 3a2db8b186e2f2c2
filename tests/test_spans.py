# SPDX-License-Identifier: BSD-3-Clause
"""Linear spans: against ranks of many random functions, counts from representation theory, and brute force by flint."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement
from math import comb, prod
from typing import Any

import flint
import numpy as np
import pytest

import polycore as pc
from polycore import program
from polycore._relations import MonomialMap, linear_relations, monomials_modulo, program_size

P = 2**31 - 1

NETWORKS = [
    pc.MLP((3, 2, 2), 2),
    pc.MLP((2, 3, 3, 2), [0, 1, 2], bias=True),
    pc.MLP((3, 2, 2), [0, 1, 0, 0, 1]),
    pc.MLP((2, 2, 2), 0),
    pc.MLP((2, 2), bias=True),
    pc.CNN((3, 2), 2, stride=2),
    pc.CNN((2, 2), 2, n_inputs=6),
    pc.CNN((2, 3, 2), 2, stride=(1, 2, 1), n_inputs=11),
    pc.CNN((2, 2), [0, 1, 1], n_inputs=4),
    pc.CNN((3, 2), 1, stride=2, n_inputs=9),
    pc.LightningAttention(2, 2, 1, n_tokens=2),
    pc.LightningAttention(3, 1, 2, n_tokens=2),
    pc.LightningAttention(2, 2, 2, n_tokens=1),
    pc.LightningAttention(2, 1, 1, n_tokens=3, n_heads=2),
    pc.Sequential(pc.Affine(3), pc.Residual(pc.Activation(2), pc.Affine(3)), n_inputs=2),
    pc.Sequential(pc.Residual(pc.Affine(2), pc.Activation(2), pc.Affine(2)), n_inputs=2),
    pc.Sequential(pc.Conv(2), pc.Activation([1, Fraction(1, 3)]), n_inputs=4),
]


def random_functions(net: pc.Network, n: int, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    theta = rng.integers(-9, 10, (n, net.n_params))
    return net.expand(theta, dtype=object).reshape(n, -1)


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_span_against_the_rank_of_random_functions(net: pc.Network) -> None:
    span = net.linear_span()
    coef = random_functions(net, span.dimension + 12)
    rows = [[flint.fmpq(Fraction(c).numerator, Fraction(c).denominator) for c in row] for row in coef.tolist()]
    assert flint.fmpq_mat(rows).rank() == span.dimension == len(span)
    assert span.proved
    assert span.error_bound == 0.0
    functions = coef.reshape(len(coef), net.n_outputs, -1)
    assert span.contains(functions).all()
    np.testing.assert_array_equal(span.embed(span.coordinates(functions)), functions)
    assert span.contains(net.expand(net.random_params(rng=3, batch=20))).all()
    assert span.is_coordinate == (not any(span.combinations))


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_what_is_outside_is_seen(net: pc.Network) -> None:
    span = net.linear_span()
    outside = np.setdiff1d(np.arange(span.ambient_dimension), span.pivots)
    coef = random_functions(net, 1)[0]
    for position in outside[:20].tolist():
        changed = coef.copy()
        changed[position] += Fraction(1, 10**30)
        assert not span.contains(changed.reshape(net.n_outputs, -1))
        floats = changed.astype(float)
        floats[position] += 1e-6 * abs(floats).max() + 1e-6
        assert not span.contains(floats.reshape(net.n_outputs, -1))
    assert bool(len(outside)) == (span.dimension < span.ambient_dimension)


def test_basis_and_array() -> None:
    span = pc.LightningAttention(2, 2, 1, n_tokens=2).linear_span()
    assert span.basis.shape == (6, 2, 20)
    assert all(isinstance(entry, (int, Fraction)) for entry in span.basis.reshape(-1))
    np.testing.assert_array_equal(span.coordinates(span.basis), np.eye(6, dtype=object))
    floats = np.asarray(span)
    assert floats.dtype == np.float64
    np.testing.assert_array_equal(floats, span.basis.astype(float))
    np.testing.assert_array_equal(np.asarray(span, dtype=object), span.basis)
    with pytest.raises(ValueError, match="copy"):
        np.asarray(span, copy=False)


def test_a_loss_is_restricted_to_the_span(rng: np.random.Generator) -> None:
    net = pc.LightningAttention(2, 2, 1, n_tokens=2)
    span = net.linear_span()
    X, Y = rng.normal(size=(60, 4)), rng.normal(size=(60, 2))
    loss = pc.QDistance.from_data(X, Y, net.basis)
    restricted = loss.restrict(span)
    for coef in net.expand(net.random_params(rng=1, batch=5)):
        value = restricted.value(span.coordinates(coef)[None]) + restricted.constant
        assert value == pytest.approx(loss.value(coef) + loss.constant, rel=1e-10)


def attention_span(d: int, d_out: int, t: int) -> int:
    """For t >= 2 coefficients of x_is x_js x_kt, s ≠ t: Σ over v_i a_jk + v_j a_ik; for t = 1 cubics v(x) q(x)."""
    return d_out * d * comb(d + 1, 2) if t >= 2 else d_out * comb(d + 2, 3)


@pytest.mark.parametrize(
    ("d", "a", "d_out", "t"), [(2, 2, 1, 2), (2, 1, 2, 3), (3, 2, 2, 2), (3, 3, 1, 1), (1, 1, 1, 2)]
)
def test_attention(d: int, a: int, d_out: int, t: int) -> None:
    assert pc.LightningAttention(d, a, d_out, n_tokens=t).linear_span().dimension == attention_span(d, d_out, t)


@pytest.mark.parametrize(("filters", "stride", "n_inputs"), [((3, 2), 1, 6), ((2, 2, 2), 1, 7), ((3, 2), 2, 11)])
def test_linear_convolutions_are_one_filter(filters: tuple[int, ...], stride: int, n_inputs: int) -> None:
    span = pc.CNN(filters, 1, stride=stride, n_inputs=n_inputs).linear_span()
    reach = filters[0] + sum((k - 1) * stride ** (i + 1) for i, k in enumerate(filters[1:]))
    assert span.dimension == reach


@pytest.mark.parametrize("widths", [(2, 3, 1), (4, 2, 2), (3, 1, 2, 1)])
@pytest.mark.parametrize("activation", [1, 2, 3, [0, 1, 0, 2], [1, 0, 1], [0, 0, 1, 1]])
@pytest.mark.parametrize("bias", [False, True])
def test_dense_networks_by_degrees(widths: tuple[int, ...], activation: Any, bias: bool) -> None:
    net = pc.MLP(widths, activation, bias=bias)
    degrees = {1}
    powers = [activation] if isinstance(activation, int) else [j for j, c in enumerate(activation) if c]
    for _ in widths[2:]:
        degrees |= {0} if bias else set()
        degrees = {sum(parts) for j in powers for parts in combinations_with_replacement(sorted(degrees), j)}
    degrees |= {0} if bias else set()
    span = net.linear_span()
    assert span.dimension == widths[-1] * sum(comb(widths[0] - 1 + k, k) for k in degrees)
    assert span.proved
    assert span.is_coordinate


def test_outputs_that_share_everything() -> None:
    # Two copies of the same function: U_k is the diagonal.
    quadratic = (program.Affine(0, 1), program.Activation(1, (0, 1, 1)), program.Affine(2, 1))
    span = pc.Network(program.Program(3, (*quadratic, program.Select(3, (0, 0))))).linear_span()
    assert span.dimension == 3 + 6
    assert not span.is_coordinate
    assert span.combinations == {10 + i: {i - 1: 1} for i in range(1, 10)}


def test_large_dense_networks_cost_nothing() -> None:
    span = pc.MLP((30, 20, 10, 3), 2).linear_span()
    assert span.dimension == 3 * comb(33, 4)
    assert span.proved
    with pytest.raises((MemoryError, OverflowError), match="the basis"):
        np.asarray(pc.MLP((60, 20, 10, 3), 2).linear_span())


def test_too_large_is_refused_before_anything_is_made() -> None:
    with pytest.raises((MemoryError, OverflowError)):
        pc.MLP((1000, 2, 1), 40).linear_span()
    with pytest.raises((MemoryError, OverflowError)):
        pc.LightningAttention(300, 2, n_tokens=300).linear_span()


def test_generic_activations_are_refused() -> None:
    with pytest.raises(ValueError, match="specialize"):
        pc.MLP((2, 2, 1), pc.GenericActivation(2)).linear_span()


def test_names_and_repr() -> None:
    span = pc.CNN((2, 2), 2, n_inputs=4).linear_span()
    assert span.names()[0] == "f1[x1^2]"
    assert span.names(("a", "b", "c", "d"))[0] == "f1[a^2]"
    assert "of 20 (ambient), proved" in repr(span)
    assert pc.MLP((2, 1), 1).linear_span().names() == ["x1", "x2"]


def test_seeds() -> None:
    net = pc.CNN((3, 2), 2, stride=2)
    span = net.linear_span(rng=np.random.default_rng(5))
    again = net.linear_span(rng=span.seed)
    assert again.seed == span.seed
    assert np.array_equal(again.pivots, span.pivots)


# --- relations, underneath --------------------------------------------------------------------------------------------


def test_monomials_modulo(rng: np.random.Generator) -> None:
    values = rng.integers(0, P, (5, 4), dtype=np.uint64)
    for homogeneous in (True, False):
        basis = pc.MonomialBasis(4, 3, homogeneous)
        expected = [[prod(pow(int(x), e, P) for x, e in zip(row, m)) % P for m in basis] for row in values]
        np.testing.assert_array_equal(monomials_modulo(values, basis, P), np.array(expected, dtype=np.uint64))


@pytest.mark.parametrize("net", NETWORKS, ids=repr)
def test_size_is_a_bound(net: pc.Network) -> None:
    degree, height, denominator, n_terms = program_size(net.program)
    columns = MonomialMap(net.program, np.arange(net.n_outputs * net.basis.n_monomials), 1)
    norms, degrees = np.zeros(net.n_outputs * net.basis.n_monomials, dtype=object), 0
    for i, polynomial in enumerate(columns._symbolic):
        assert all((denominator * Fraction(c)).denominator == 1 for c in polynomial.terms.values())
        norms[i] = sum(abs(denominator * Fraction(c)) for c in polynomial.terms.values())
        bits = columns.theta_degree.bit_length() + 1
        for key in polynomial.terms:
            exponents = [(key >> (bits * j)) & ((1 << bits) - 1) for j in range(net.n_params)]
            degrees = max(degrees, sum(exponents))
    assert degrees <= degree
    assert all(sum(row) <= height for row in norms.reshape(net.n_outputs, -1))
    counts = np.array([len(polynomial.terms) for polynomial in columns._symbolic]).reshape(net.n_outputs, -1)
    assert counts.sum(axis=1).max() <= n_terms


def test_symbolic_coefficients_against_values(rng: np.random.Generator) -> None:
    net = pc.LightningAttention(2, 2, 2, n_tokens=2)
    columns = MonomialMap(net.program, np.arange(net.n_outputs * net.basis.n_monomials), 1)
    theta = rng.integers(-9, 10, net.n_params).tolist()
    bits = columns.theta_degree.bit_length() + 1
    values = [
        sum(
            c * prod(t ** ((key >> (bits * j)) & ((1 << bits) - 1)) for j, t in enumerate(theta))
            for key, c in f.terms.items()
        )
        for f in columns._symbolic
    ]
    np.testing.assert_array_equal(net.expand(theta, dtype=object).reshape(-1), np.array(values, dtype=object))


def test_false_relations_are_noticed() -> None:
    columns = MonomialMap(pc.MLP((2, 1, 2), 1).program, np.arange(4), 2)
    true = linear_relations(columns, np.random.default_rng(0), max_error=1e-12).vectors
    assert columns.vanish(true) is True
    for j in range(columns.n_columns):
        wrong = list(true[0])
        wrong[j] += 1
        assert columns.vanish([wrong]) is False


def test_without_multiplying_out_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = pc.CNN((2, 2), 2, n_inputs=5).linear_span()
    monkeypatch.setattr("polycore._relations._SYMBOLIC_COEFFICIENTS", 0)
    bounded = pc.CNN((2, 2), 2, n_inputs=5).linear_span()
    assert not bounded.proved
    assert 0 < bounded.error_bound < 1e-11
    assert bounded.dimension == exact.dimension
    assert "probability" in repr(bounded)
    assert bounded.contains(exact.basis).all()


def test_the_zero_network() -> None:
    span = pc.Network(program.Program(2, [program.Affine(0, 2), program.Activation(1, (0,))])).linear_span()
    assert (span.dimension, span.proved, span.basis.shape) == (0, True, (0, 2, 1))
    assert span.contains([[0], [0]])
    assert not span.contains([[0], [1]])
    assert "coordinates none" in repr(span)
