# SPDX-License-Identifier: BSD-3-Clause
"""Published numbers and exact identities; every row cites its source.

Dimensions are affine. The rank of the Jacobian of the expansion at a random point of GF(p) is at most the dimension
of the neuromanifold, and equal to it with probability at least 1 - (degree of a minor) / p; the ranks themselves are
computed by python-flint.

Sources
-------
Kohn : K. Kohn, "Algebraic neural network theory" and "Neuromanifolds" (slides).
KTB : J. Kileel, M. Trager, J. Bruna, On the expressive power of deep polynomial neural networks, NeurIPS 2019.
Kubjas : K. Kubjas, J. Li, M. Wiesmann, Geometry of polynomial neural networks, 2024.
Finkel : B. Finkel, J. I. Rodriguez, C. Wu, T. Yahl, Activation degree thresholds and expressiveness of polynomial
    neural networks, 2025.
AH : J. Alexander, A. Hirschowitz, Polynomial interpolation in several variables, J. Algebraic Geom. 4 (1995).
DR : Dao, Rodriguez, 2026.
SMK : V. Shahverdi, G. L. Marchetti, K. Kohn, 2025.
SMK24 : V. Shahverdi, G. L. Marchetti, K. Kohn, On the geometry and optimization of polynomial convolutional networks,
    arXiv:2410.00722.
HMK : N. W. Henry, G. L. Marchetti, K. Kohn, Geometry of lightning self-attention: identifiability and dimension,
    arXiv:2408.17221.
UBDC : K. Usevich, R. Borsoi, C. Dérand, M. Clausel, Identifiability of deep polynomial neural networks, NeurIPS 2025.
"""

from __future__ import annotations

from fractions import Fraction

import flint
import numpy as np
import pytest

import polycore as pc
from polycore.monomials import MonomialBasis, count_monomials
from polycore.networks import MLP
from polycore.veronese import veronese

P = 2**31 - 1  # native on every backend


def jacobian_rank(net, theta=None, seed=0):
    """At a random point, by python-flint; it is what `pc.dimension` finds."""
    generic = theta is None
    theta = net.random_params(seed, modulus=P) if generic else theta
    J = net.jacobian(theta, modulus=P)
    rank = flint.nmod_mat(*J.shape, J.reshape(-1).tolist(), P).rank()
    assert not generic or pc.dimension(net, rng=seed).dimension == rank
    return rank


# --- dimensions -------------------------------------------------------------------------------------------------------

DIMENSIONS = [
    # widths, r, ambient, expected (KTB), dimension, source
    ((2, 2, 1), 2, 3, 3, 3, "Kohn: every binary quadratic"),
    ((2, 2, 1), 3, 4, 4, 4, "Kohn: filling over C"),
    ((2, 2, 2, 2), 2, 10, 8, 8, "Finkel, equi-width"),
    ((2, 2, 2, 2), 3, 20, 8, 8, "Finkel, equi-width"),
    ((3, 3, 3), 2, 18, 15, 15, "Kubjas"),
    ((3, 3, 3, 3), 2, 45, 21, 21, "Finkel"),
    ((4, 4, 4, 4), 2, 140, 40, 40, "Finkel"),
    ((3, 5, 1), 4, 15, 15, 14, "AH exceptional"),
    ((4, 9, 1), 4, 35, 35, 34, "AH exceptional"),
    ((5, 14, 1), 4, 70, 70, 69, "AH exceptional"),
    ((5, 7, 1), 3, 35, 35, 34, "AH exceptional"),
    ((3, 6, 1), 4, 15, 15, 15, "AH, not exceptional"),
    ((5, 8, 1), 3, 35, 35, 35, "AH, not exceptional"),
    ((5, 3, 1), 2, 15, 15, 12, "symmetric matrices of rank <= 3"),
    ((5, 5, 3, 1), 2, 70, 35, 32, "DR"),
    ((2, 4, 3, 2), 2, 10, 10, 10, "recomputed exactly: the defect is not monotone in r"),
    ((2, 4, 3, 2), 3, 20, 19, 15, "recomputed exactly"),
    ((2, 4, 3, 2), 4, 34, 19, 18, "recomputed exactly"),
    ((2, 4, 3, 2), 5, 52, 19, 19, "recomputed exactly"),
]


@pytest.mark.parametrize(("widths", "r", "ambient", "expected", "dimension", "source"), DIMENSIONS, ids=str)
def test_dimensions(widths, r, ambient, expected, dimension, source):
    net = MLP(widths, r)
    assert jacobian_rank(net) == dimension
    result = pc.dimension(net)
    assert (result.ambient_dimension, result.expected_dimension, result.dimension) == (ambient, expected, dimension)
    assert (result.defect, result.filling) == (expected - dimension, dimension == ambient)
    assert (result.proved, result.error_bound) == (True, 0.0)


@pytest.mark.parametrize(("m", "k", "n"), [(2, 1, 2), (3, 2, 4), (4, 2, 3), (3, 3, 3), (2, 4, 3)])
def test_linear_networks_are_matrices_of_bounded_rank(m, k, n):
    """dim {n x m matrices of rank <= k} = k (m + n - k) (Kohn)."""
    k_true = min(k, m, n)
    assert jacobian_rank(MLP((m, k, n), 1)) == k_true * (m + n - k_true)
    rng = np.random.default_rng(0)
    coef = MLP((m, k, n), 1).expand(rng.standard_normal(k * (m + n)))
    # Degree-one coefficients in graded lex order are the columns of the matrix.
    assert np.linalg.matrix_rank(coef) == k_true


@pytest.mark.parametrize("r", [1, 2, 3, 4, 5])
def test_width_one_bottleneck_has_no_threshold(r):
    """(2, 1, 2, 2) has dimension 3 for every r (exactly recomputed)."""
    assert jacobian_rank(MLP((2, 1, 2, 2), r)) == 3


def test_polynomial_activations_have_no_scaling_symmetry():
    """SMK: MLP (2, 2, 1) with z^3 + z^2 has dimension 6: every weight counts."""
    assert jacobian_rank(MLP((2, 2, 1), [0, 0, 1, 1])) == 6


def test_completing_the_square():
    """Biased (3, 2, 2) with z + z^2 has the dimension 12 of z^2, since z + z^2 = (z + 1/2)^2 - 1/4."""
    assert jacobian_rank(MLP((3, 2, 2), [0, 1, 1], bias=True)) == 12
    assert jacobian_rank(MLP((3, 2, 2), 2, bias=True)) == 12


@pytest.mark.parametrize(("widths", "r", "dimension"), [((2, 1, 2), 2, 6), ((2, 2, 2), 2, 10)], ids=str)
def test_biased_dimensions(widths, r, dimension):
    """UBDC: with biases, 6 and 10 for (2, 1, 2) and (2, 2, 2)."""
    assert jacobian_rank(MLP(widths, r, bias=True)) == dimension


@pytest.mark.parametrize(
    ("widths", "r", "dimension", "n_identifiable"),
    [
        ((2, 3, 3, 1), (3, 3), 10, 12),  # both blocks are identifiable, the network is not
        ((5, 4, 3, 1), 2, 25, 28),
        ((5, 4, 3, 1), (2, 3), 28, 28),
    ],
    ids=str,
)
def test_identifiability_examples(widths, r, dimension, n_identifiable):
    """UBDC: finitely identifiable iff the dimension is n_params minus the hidden widths."""
    net = MLP(widths, r)
    assert net.n_params - sum(widths[1:-1]) == n_identifiable
    assert jacobian_rank(net) == dimension


@pytest.mark.parametrize("widths", [(2, 3, 3, 1), (3, 3, 3), (2, 2, 3, 2)])
def test_thresholds(widths):
    """UBDC: r_l >= 2 d_l - 1 with all d_l >= 2 before the output makes the network finitely identifiable."""
    r = tuple(2 * d - 1 for d in widths[1:-1])
    net = MLP(widths, r)
    assert jacobian_rank(net) == net.n_params - sum(widths[1:-1])


def test_too_wide_a_quadratic_layer_is_not_identifiable():
    """UBDC: r_l = 2 and d_l > d_(l-1) (d_(l-1) + 1) / 2 is not identifiable."""
    for widths in ((2, 4, 2), (3, 7, 2)):
        net = MLP(widths, 2)
        assert jacobian_rank(net) < net.n_params - widths[1]


def test_generic_is_not_specific():
    """UBDC: on (2, 2, 2, 2), r = (2, 2), (I, W2, I) and (W2, W2/2, W3) are the same function."""
    identity, W2, W3 = np.eye(2, dtype=int), np.array([[1, 1], [1, -1]]), np.array([[1, 0], [1, -1]])
    net = MLP((2, 2, 2, 2), (2, 2))
    half = np.array([[Fraction(int(w), 2) for w in row] for row in W2], dtype=object)
    first = net.expand(net.pack(W1=identity, W2=W2, W3=identity), dtype=object)
    second = net.expand(net.pack(W1=W2.astype(object), W2=half, W3=W3.astype(object)), dtype=object)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("widths", [(2, 2, 2, 1), (3, 2, 2, 2), (2, 3, 2, 2)])
def test_widening_never_lowers_the_dimension(widths):
    """KTB: M of the narrow network is contained in that of the wide one."""
    for r in (2, 3):
        narrow = jacobian_rank(MLP(widths, r))
        for layer in range(1, len(widths) - 1):
            wide = list(widths)
            wide[layer] += 1
            assert jacobian_rank(MLP(wide, r)) >= narrow


@pytest.mark.parametrize(("widths", "cut"), [((3, 2, 3, 2), 1), ((3, 2, 3, 2), 2), ((2, 4, 3, 2), 2)])
def test_recursive_dimension_bound(widths, cut):
    """KTB: dim(d_0..d_L) <= dim(d_0..d_i) + dim(d_i..d_L) - d_i for a power activation at layer i."""
    for r in (2, 3):
        left, right = MLP(widths[: cut + 1], r), MLP(widths[cut:], r)
        assert jacobian_rank(MLP(widths, r)) <= jacobian_rank(left) + jacobian_rank(right) - widths[cut]


# --- worked examples --------------------------------------------------------------------------------------------------


def test_every_binary_quadratic_is_reached():
    """Kohn: (2, 2, 1), z^2 gives (a^2 e + c^2 f, 2 (abe + cdf), b^2 e + d^2 f); A x^2 + 2B xy + C y^2 by completion."""
    net = MLP((2, 2, 1), 2)
    a, b, c, d, e, f = (Fraction(n) for n in (3, -2, 5, 7, -1, 4))
    coef = net.expand([a, b, c, d, e, f], dtype=object)
    assert coef.tolist() == [[a * a * e + c * c * f, 2 * (a * b * e + c * d * f), b * b * e + d * d * f]]
    A, B, C = Fraction(3), Fraction(-5), Fraction(11)
    reached = net.expand([1, B / A, 0, 1, A, C - B * B / A], dtype=object)
    assert reached.tolist() == [[A, 2 * B, C]]


CONVOLUTIONS = [
    # filters, activation, stride, n_inputs, dimension, source
    ((3, 2), [0, 1, 1], (2, 1), None, 5, "SMK, z^2 + z"),
    ((3, 2), 2, (2, 1), None, 4, "SMK24"),
    ((2, 2), 2, 1, None, 3, "SMK24"),
    ((2, 2), 3, 1, 6, 3, "SMK24, several outputs"),
    ((2, 3, 2), 2, 1, None, 5, "SMK24"),
    ((4, 3, 3), 2, (2, 1, 1), None, 8, "SMK24"),
    ((3, 2, 2), pc.GenericActivation(2), 1, None, 7, "SMK, generic"),
]


@pytest.mark.parametrize(("filters", "activation", "stride", "n_inputs", "dimension", "source"), CONVOLUTIONS)
def test_dimension_of_convolutional_networks(filters, activation, stride, n_inputs, dimension, source):
    """Monomials: sum of the filter sizes minus layers plus one; generic polynomials: that sum."""
    net = pc.CNN(filters, activation, stride, n_inputs)
    result = pc.dimension(net)
    assert (result.dimension, result.proved) == (dimension, True)
    concrete = net.specialize(0) if net.program.is_generic else net
    assert jacobian_rank(concrete) == dimension


ATTENTION = [
    # d, a, d', t, layers, dimension, source
    (2, 2, 1, 2, 1, 5, "Kohn"),
    (2, 1, 1, 2, 1, 4, "HMK"),
    (3, 2, 3, 2, 1, 8 + 9 - 1, "HMK"),
    (3, 3, 2, 3, 1, 9 + 6 - 1, "HMK"),
    (2, 4, 2, 2, 1, 4 + 4 - 1, "HMK, a replaced by d"),
    (2, 1, 2, 2, 2, 2 * 3 + 4 - 2, "HMK, two layers"),
    (2, 2, 2, 2, 2, 2 * 4 + 4 - 2, "HMK, two layers"),
]


@pytest.mark.parametrize(("d", "a", "d_out", "t", "layers", "dimension", "source"), ATTENTION)
def test_dimension_of_lightning_attention(d, a, d_out, t, layers, dimension, source):
    """a (2 d - a) + d d' - 1 with a = min(a, d), t >= 2; l layers of equal width: l a (2 d - a) + d^2 - l."""
    net = pc.LightningAttention(d, a, d_out, t, layers)
    result = pc.dimension(net)
    assert (result.dimension, result.proved) == (dimension, True)
    assert result.fibre_dimension == net.symmetries().orbit_dimension
    if net.basis.n_monomials < 1000:
        assert jacobian_rank(net) == dimension


def test_the_span_of_attention_of_the_slides():
    """Kohn: a = d = t = 2, d' = 1 has dimension 5 in a span of 6 coordinates, a hypersurface."""
    net = pc.LightningAttention(2, 2, 1, 2)
    assert pc.dimension(net).dimension == 5
    coefficients = net.expand(net.random_params(0, (20,), modulus=P), modulus=P).reshape(20, -1)
    assert flint.nmod_mat(*coefficients.shape, coefficients.reshape(-1).tolist(), P).rank() == 6


def test_cubics_that_need_complex_weights():
    """Kohn: (2, 2, 1), z^3 does not reach x^3 - x y^2 over R; it has three real roots, and over C it is a sum of cubes.

    x^3 - x y^2 = ((x + i y / sqrt 3)^3 + (x - i y / sqrt 3)^3) / 2.
    """
    net = MLP((2, 2, 1), 3)
    w = 1j / np.sqrt(3)
    coef = net.expand([1, w, 1, -w, 0.5, 0.5])
    np.testing.assert_allclose(coef, [[1, 0, -1, 0]], atol=1e-15)
    # Over R: e (ax + by)^3 + f (cx + dy)^3 with two different real roots of the Hessian has discriminant <= 0.
    A, B, C, D = np.moveaxis(net.expand(net.random_params(0, batch=2000))[:, 0], -1, 0)
    discriminant = B**2 * C**2 - 4 * A * C**3 - 4 * B**3 * D - 27 * A**2 * D**2 + 18 * A * B * C * D
    assert (discriminant <= 1e-9).all()
    assert -4 * 1 * (-1) ** 3 > 0  # that of x^3 - x y^2


def test_veronese_and_gram_of_the_slide():
    """Kohn: v(x, y) = (1, x, y, x^2, xy, y^2), and the Gram matrix entry by entry."""
    basis = MonomialBasis(2, 2)
    assert basis.names(["x", "y"]) == ["1", "x", "y", "x^2", "x*y", "y^2"]
    X = np.array([[1.0, 2.0], [3.0, -1.0], [0.0, 4.0]])
    x, y = X.T
    A = veronese(X, basis)
    np.testing.assert_array_equal(A, np.stack([x**0, x, y, x * x, x * y, y * y], axis=1))
    exponents = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    gram = [[np.sum(x ** (a + c) * y ** (b + d)) for c, d in exponents] for a, b in exponents]
    np.testing.assert_array_equal(A.T @ A, gram)


def test_one_variable_is_vandermonde_and_hankel():
    """Kohn: for d0 = 1, A is Vandermonde and A^T A is Hankel with entries sum_k a_k^(i + j)."""
    points, D = np.array([1.0, -2.0, 3.0, 5.0]), 3
    A = veronese(points[:, None], MonomialBasis(1, D))
    np.testing.assert_array_equal(A, np.vander(points, D + 1, increasing=True))
    hankel = [[np.sum(points ** (i + j)) for j in range(D + 1)] for i in range(D + 1)]
    np.testing.assert_array_equal(A.T @ A, hankel)


def test_loss_identity():
    """Kohn: sum |f(a) - b|^2 = |A C - B|^2 = |C - A^+ B|_Q^2 + |B - A A^+ B|^2 with Q = A^T A."""
    net = MLP((2, 3, 2), 2)
    rng = np.random.default_rng(0)
    theta, X, Y = net.random_params(1), rng.standard_normal((30, 2)), rng.standard_normal((30, 2))
    A, C = veronese(X, net.basis), net.expand(theta).T
    loss = np.sum((net.evaluate(theta, X) - Y) ** 2)
    assert loss == pytest.approx(np.sum((A @ C - Y) ** 2))
    target = np.linalg.pinv(A) @ Y
    distance = np.trace((C - target).T @ (A.T @ A) @ (C - target))
    assert loss == pytest.approx(distance + np.sum((Y - A @ target) ** 2))
    # Fewer samples than monomials: only a pseudometric.
    few = veronese(X[:2], net.basis)
    assert np.linalg.matrix_rank(few.T @ few) == 2 < len(net.basis)


def test_counts():
    """C(n + d, d), and C(n - 1 + d, d) for forms; C(784 + 9, 9) does not wrap around."""
    assert [count_monomials(2, d) for d in range(5)] == [1, 3, 6, 10, 15]
    assert count_monomials(784, 9) == 326519457798747994495 > 2**63
    assert count_monomials(3, 4, homogeneous=True) == 15
