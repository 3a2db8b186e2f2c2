# SPDX-License-Identifier: BSD-3-Clause
"""Best polynomial approximation: known best approximations, equioscillation, symmetry, kinks, bad input."""

from __future__ import annotations

import itertools
import math
import pickle
import warnings

import numpy as np
import pytest

from polycore.activations import GenericActivation, PolynomialActivation, as_activations, polynomial_activation
from polycore.errors import NumericalError
from polycore.program import Indeterminate

SMOOTH = {
    "tanh": np.tanh,
    "softplus": lambda x: np.log1p(np.exp(x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "sin": np.sin,
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "relu": lambda x: np.maximum(x, 0),
}
INTERVALS = [(-1, 1), (-3.0, 3.0), (-1, 4), (0, 2)]


@pytest.mark.parametrize("interval", INTERVALS, ids=str)
@pytest.mark.parametrize("name", SMOOTH)
def test_error_is_best_possible_and_as_stated(name, interval):
    function = SMOOTH[name]
    x = np.linspace(*interval, 20_011)
    for degree in (0, 1, 2, 3, 5, 8):
        act = polynomial_activation(name, degree, interval)
        assert act.degree == degree
        assert len(act.coefficients) == degree + 1
        assert act.interval == interval
        # Rounding of coefficients and of f is all that may separate the two.
        assert act.lower_bound <= act.max_error <= act.lower_bound * (1 + 1e-7) + 1e-14
        error = np.abs(function(x) - np.polynomial.polynomial.polyval(x, act.coefficients))
        assert error.max() <= act.max_error + 1e-14
        assert error.max() >= 0.99 * act.max_error - 1e-14
        np.testing.assert_allclose(act(x), np.polynomial.polynomial.polyval(x, act.coefficients), atol=1e-14)
    # The same from a function instead of a name.
    own = polynomial_activation(function, 5, interval)
    np.testing.assert_allclose(own.coefficients, polynomial_activation(name, 5, interval).coefficients, atol=1e-9)


@pytest.mark.parametrize("degree", range(1, 9))
def test_chebyshev(degree):
    """The best approximation of x^n of degree n - 1 on [-1, 1] is x^n - 2^(1-n) T_n (Chebyshev 1854)."""
    act = polynomial_activation(lambda x: x**degree, degree - 1, (-1, 1))
    expected = -np.polynomial.chebyshev.cheb2poly([0] * degree + [2.0 ** (1 - degree)])[:-1]
    np.testing.assert_allclose(act.coefficients, expected, atol=1e-12)
    assert act.max_error == pytest.approx(2.0 ** (1 - degree))


def test_known_best_approximations():
    # |x| of degree 2 on [-1, 1] is x^2 + 1/8, so ReLU = (x + |x|) / 2 is x^2 / 2 + x / 2 + 1/16.
    assert polynomial_activation("relu", 2, (-1, 1)).coefficients == pytest.approx((1 / 16, 1 / 2, 1 / 2), abs=1e-14)
    assert polynomial_activation("relu", 3, (-1, 1)).coefficients == pytest.approx((1 / 16, 1 / 2, 1 / 2, 0), abs=1e-14)
    # It scales: relu(h x) = h relu(x).
    assert polynomial_activation("relu", 2, (-4, 4)).coefficients == pytest.approx((1 / 4, 1 / 2, 1 / 8), abs=1e-13)
    # sqrt on [0, 1] by a line: x + 1/8.
    assert polynomial_activation(np.sqrt, 1, (0, 1)).coefficients == pytest.approx((1 / 8, 1), abs=1e-12)
    # exp on [0, 1] by a line: slope e - 1.
    slope = math.e - 1
    line = polynomial_activation(np.exp, 1, (0, 1)).coefficients
    assert line == pytest.approx(((math.e - slope * math.log(slope)) / 2, slope), abs=1e-12)
    # Bernstein: n E_n(|x|) -> 0.2801694990; Varga and Carpenter (1985) give 2n E_2n(|x|) for 2n = 2, 4, ..., monotone.
    scaled = [2 * n * polynomial_activation(np.abs, 2 * n, (-1, 1)).max_error for n in range(1, 9)]
    assert scaled[0] == pytest.approx(0.25)
    assert all(a < b < 0.2801694990 for a, b in itertools.pairwise(scaled))


def test_symmetry_gives_exact_zeros():
    for name, kept in (("tanh", 1), ("sin", 1)):
        coefficients = polynomial_activation(name, 7, (-2, 2)).coefficients
        assert coefficients[0::2] == (0.0,) * 4
        assert all(coefficients[kept::2])
    sigmoid = polynomial_activation("sigmoid", 7, (-2, 2)).coefficients
    assert sigmoid[0] == 0.5
    assert sigmoid[2::2] == (0.0,) * 3
    for name in ("relu", "softplus", "silu", "gelu"):
        coefficients = polynomial_activation(name, 6, (-2, 2)).coefficients
        assert coefficients[1] == pytest.approx(0.5, abs=1e-15)
        assert coefficients[3::2] == (0.0,) * 2
    # An even degree gains nothing over the odd one below, and says so.
    odd, even = polynomial_activation("tanh", 3, (-2, 2)), polynomial_activation("tanh", 4, (-2, 2))
    assert even.coefficients == (*odd.coefficients, 0.0)
    assert even.max_error == odd.max_error


def test_polynomials_are_reproduced():
    for degree in (3, 5, 12):
        act = polynomial_activation(lambda x: 1 - 2 * x + 0.5 * x**3, degree, (-1, 3))
        assert act.max_error < 1e-9
        np.testing.assert_allclose(act.coefficients[:4], [1, -2, 0, 0.5], atol=1e-6)
    constant = polynomial_activation(lambda x: np.full_like(x, 3.0), 4, (-1, 2))
    assert constant.coefficients == (3.0, 0.0, 0.0, 0.0, 0.0)
    assert constant.max_error == 0.0
    assert polynomial_activation(np.zeros_like, 2, (-1, 1)).coefficients == (0.0, 0.0, 0.0)
    # Best constant for x^2 on [-1, 1], where f meets its first interpolant on the whole first reference.
    assert polynomial_activation(np.square, 0, (-1, 1)).coefficients == pytest.approx((0.5,))


def test_kinks_and_rough_functions():
    for degree in (2, 5, 9, 20):
        act = polynomial_activation(lambda x: np.abs(x - 0.3), degree, (-1, 1))
        assert act.max_error <= act.lower_bound * (1 + 1e-6)
        leaky = polynomial_activation(lambda x: np.where(x > 0, x, 0.1 * x), degree, (-2, 1))
        assert leaky.max_error <= leaky.lower_bound * (1 + 1e-6)
    step = polynomial_activation(lambda x: np.where(x > 0, 1.0, -1.0), 3, (-1, 2))
    assert 1.0 - 1e-6 <= step.max_error < 1.5
    with pytest.warns(RuntimeWarning, match="best possible"):
        noise = polynomial_activation(lambda x: np.sin(1e9 * x), 3, (-1, 2))
    assert 0 <= noise.lower_bound <= noise.max_error


def test_lost_digits_are_announced():
    with pytest.warns(RuntimeWarning, match="rounding of monomial coefficients.*lower the degree"):
        act = polynomial_activation("tanh", 40, (10, 11))
    x = np.linspace(10, 11, 1001)
    assert np.abs(act(x) - np.tanh(x)).max() <= act.max_error
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        polynomial_activation("tanh", 40, (-3, 3))


def test_scaling_of_intervals():
    small = polynomial_activation("sin", 3, (-1e-6, 1e-6))
    assert small.coefficients[1] == pytest.approx(1)
    large = polynomial_activation("relu", 2, (-1e100, 1e100))
    assert large.max_error == pytest.approx(1e100 / 16)
    widest = polynomial_activation("relu", 2, (-1e308, 1e308))
    assert widest.max_error == pytest.approx(1e308 / 16)


def test_overflow_is_an_error():
    with pytest.raises(NumericalError, match="overflow"):
        polynomial_activation(np.abs, 40, (-1e-10, 1e-10))
    with pytest.raises(NumericalError, match="overflow"):
        polynomial_activation("relu", 2, (-1.7e308, 1.7e308))
    act = polynomial_activation("relu", 2, (-1, 1))
    with pytest.raises(NumericalError, match="overflow"):
        act([1.0, 1e200])
    with pytest.raises(ValueError, match="`z` must be finite"):
        act(np.nan)


def test_result():
    act = polynomial_activation("relu", 2, (-1, 1))
    assert isinstance(act, PolynomialActivation)
    assert pickle.loads(pickle.dumps(act)) == act
    assert hash(act) == hash(polynomial_activation("relu", 2, (-1, 1)))
    assert repr(act) == (
        "PolynomialActivation(relu on [-1, 1], degree 2, max error 0.0625 (best possible >= 0.0625), "
        "coefficients [0.0625, 0.5, 0.5])"
    )
    assert act.n_points >= 8000
    with pytest.raises(AttributeError):
        act.degree = 3  # type: ignore[misc]


@pytest.mark.parametrize("fn", [None, 3, ["tanh"], np.ones(3)], ids=repr)
def test_not_a_function(fn):
    with pytest.raises(TypeError, match="`fn` must be a function"):
        polynomial_activation(fn, 3, (-1, 1))


def test_unknown_name():
    with pytest.raises(ValueError, match="`fn` must be one of 'tanh', 'softplus', 'relu'"):
        polynomial_activation("swish", 3, (-1, 1))


@pytest.mark.parametrize(
    ("fn", "error", "words"),
    [
        (math.tanh, TypeError, "must accept a numpy array"),
        (lambda x: None, TypeError, r"`fn\(x\)`"),
        (lambda x: x + 0j, TypeError, r"`fn\(x\)` must be real"),
        (lambda x: ["a"] * len(x), TypeError, r"`fn\(x\)`"),
        (lambda x: x[:3], ValueError, r"`fn\(x\)` must have shape"),
        (lambda x: 1.0, ValueError, r"`fn\(x\)` must have shape"),
        (lambda x: x * np.nan, ValueError, r"`fn\(x\)` must be finite"),
        (lambda x: np.where(x > 0.5, np.inf, x), ValueError, "finite"),
    ],
)
def test_bad_functions(fn, error, words):
    with pytest.raises(error, match=words):
        polynomial_activation(fn, 3, (-1, 1))


@pytest.mark.parametrize(
    ("degree", "error"),
    [(-1, ValueError), (41, ValueError), (10**9, ValueError), (2.5, TypeError), (2.0, TypeError), (True, TypeError),
     (None, TypeError), ("3", TypeError)],
)  # fmt: skip
def test_bad_degrees(degree, error):
    with pytest.raises(error, match="`degree`"):
        polynomial_activation("tanh", degree, (-1, 1))


@pytest.mark.parametrize(
    ("interval", "error"),
    [(None, TypeError), ("ab", TypeError), (3.0, ValueError), ((1,), ValueError), ((1, 2, 3), ValueError),
     ((1, 1), ValueError), ((2, 1), ValueError), ((-np.inf, 1), ValueError), ((0, np.nan), ValueError),
     ((0, 1j), TypeError), (("a", "b"), TypeError), ((None, 1), TypeError)],
)  # fmt: skip
def test_bad_intervals(interval, error):
    with pytest.raises(error, match="`interval`"):
        polynomial_activation("tanh", 3, interval)


# -- generic activations ----------------------------------------------------------------------------------------------


def test_generic_activation_is_a_value():
    assert GenericActivation(3) == GenericActivation(np.int8(3)) != GenericActivation(2)
    assert hash(GenericActivation(3)) == hash(GenericActivation(3))
    assert repr(GenericActivation(3)) == "GenericActivation(3)"
    assert pickle.loads(pickle.dumps(GenericActivation(3))) == GenericActivation(3)


@pytest.mark.parametrize(
    ("degree", "error"), [(-1, ValueError), (4096, ValueError), (2.0, TypeError), ("2", TypeError), (None, TypeError)]
)
def test_generic_activation_of_no_degree(degree, error):
    with pytest.raises(error, match="`degree`"):
        GenericActivation(degree)


def groups(activations):
    """The number of the polynomial in each layer, None where it is not generic."""
    found = [{c.group for c in a.coefficients if isinstance(c, Indeterminate)} for a in activations]
    return [numbers.pop() if numbers else None for numbers in found]


def test_which_layers_share_a_generic_activation():
    g, h = GenericActivation(2), GenericActivation(2)
    assert groups(as_activations(g, 3)) == [0, 0, 0]
    assert groups(as_activations((g, h, g), 3)) == [0, 1, 0]
    assert groups(as_activations((g, h, GenericActivation(3)), 3)) == [0, 1, 2]
    assert groups(as_activations((2, h, [1, 2], g, h), 5)) == [None, 0, None, 1, 0]
    shared = as_activations((g, h, g), 3)
    assert as_activations(shared, 3) == shared  # as networks pass them on
    assert as_activations(shared[1:2], 1) == as_activations(g, 1)
    coefficients = as_activations(GenericActivation(4), 1)[0].coefficients
    assert coefficients == tuple(Indeterminate(0, power) for power in range(5))


def test_generic_activations_as_text():
    (cubic,) = as_activations((GenericActivation(3),), 1)
    assert cubic.text() == "c1_0 + c1_1*z + c1_2*z^2 + c1_3*z^3"
    assert cubic.text("t", latex=True) == "c_{1,0} + c_{1,1} t + c_{1,2} t^{2} + c_{1,3} t^{3}"
    assert as_activations((GenericActivation(0),), 1)[0].text() == "c1_0"
    assert as_activations((GenericActivation(8),), 1)[0].text().endswith("c1_5*z^5 + ... (3 more terms)")


def test_generic_activations_are_not_coefficients():
    with pytest.raises(TypeError, match=r"`activation\[0\]`"):
        as_activations([GenericActivation(2)], 1)
