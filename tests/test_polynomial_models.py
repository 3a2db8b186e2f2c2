# SPDX-License-Identifier: BSD-3-Clause
"""Models given by polynomials: values and derivatives, reading sympy and networks, the distance as an objective."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import polycore as pc
from polycore import MonomialBasis, MonomialSupport, Parametrisation, Variety
from polycore.stationary import search

sympy = pytest.importorskip("sympy")
CUSP = Parametrisation(MonomialBasis(1, 3), [[0, 0, -1, 0], [0, 0, 0, 1]])


def random_model(rng: np.random.Generator) -> Parametrisation:
    basis = MonomialBasis(2, 3)
    return Parametrisation(basis, rng.standard_normal((4, len(basis))))


def complex_step(function: Any, t: np.ndarray) -> np.ndarray:
    """Derivatives of a function that takes complex arguments, on a new last axis."""
    return np.stack([function(t + 1e-30j * unit).imag / 1e-30 for unit in np.eye(t.shape[-1])], axis=-1)


def test_values_are_those_of_the_monomials() -> None:
    rng = np.random.default_rng(0)
    model, t = random_model(rng), rng.standard_normal((3, 5, 2))
    rows = pc.veronese(t.reshape(-1, 2), model.basis)
    np.testing.assert_allclose(model.evaluate(t).reshape(-1, 4), rows @ model.coef.T, atol=1e-12)
    assert (model.n_parameters, model.n_coordinates, model.degree) == (2, 4, 3)


@pytest.mark.parametrize("kind", [Parametrisation, Variety])
def test_derivatives(kind: type) -> None:
    rng = np.random.default_rng(1)
    basis = MonomialSupport(MonomialBasis(3, 5), [(1, 0, 0), (2, 1, 0), (0, 0, 5), (1, 1, 1)])
    model, t = kind(basis, rng.standard_normal((2, 4))), rng.standard_normal((6, 3))
    np.testing.assert_allclose(model.jacobian(t), complex_step(model._system.evaluate, t), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(model.hessian(t), complex_step(model._system.jacobian, t), rtol=1e-12, atol=1e-12)


def test_the_distance_is_an_objective() -> None:
    rng = np.random.default_rng(2)
    model, u, Q = random_model(rng), rng.standard_normal(4), pc.metrics.random_semidefinite(4, 3, rng=1)
    objective, t = model.objective(u, Q), rng.standard_normal((7, 2))
    misfit = model.evaluate(t) - u
    np.testing.assert_allclose(objective.value(t), np.einsum("si,ij,sj->s", misfit, Q, misfit))
    step = 1e-6
    central = [(objective.value(t + step * e) - objective.value(t - step * e)) / (2 * step) for e in np.eye(2)]
    np.testing.assert_allclose(objective.gradient(t), np.transpose(central), rtol=1e-6, atol=1e-6)
    central = [(objective.gradient(t + step * e) - objective.gradient(t - step * e)) / (2 * step) for e in np.eye(2)]
    np.testing.assert_allclose(objective.hessian(t), np.transpose(central, (1, 2, 0)), rtol=1e-6, atol=1e-5)
    hessian = objective.hessian(t)
    assert np.array_equal(hessian, hessian.swapaxes(-1, -2))
    # Rounding errors of the gradient are below ε times its scale, and some.
    assert (np.linalg.norm(objective.gradient(t), axis=-1) <= 4 * objective.gradient_scale(t)).all()
    assert isinstance(objective.value(t[0]), float)
    assert objective.hessian(t[0]).shape == (2, 2)


def test_searches_take_it() -> None:
    objective = CUSP.objective([-1.0, 0.3])
    found = search(objective, np.linspace(-2, 2, 40)[:, None], "stationary")
    assert found.converged.any()
    ends = found.theta[found.converged]
    # All zeros of 2t (2 (t² − 1) + 3t (t³ − 0.3)), by a univariate solver.
    roots = np.roots([3, 0, 2, -0.9, -2, 0])
    real = roots[np.abs(roots.imag) < 1e-9].real
    assert np.abs(ends - real).min(axis=1).max() < 1e-6
    assert np.abs(ends - real).min(axis=0).max() < 1e-6


def test_networks_in_charts() -> None:
    rng = np.random.default_rng(3)
    for net in (
        pc.MLP((2, 2, 2), activation=3),
        pc.MLP((2, 2, 1), activation=[1, -2, 0.5], bias=True),
        pc.CNN((2, 2), activation=2),
        pc.LightningAttention(d_model=2, d_key=1, d_out=1, n_tokens=2),
    ):
        theta = rng.standard_normal((4, net.n_params))
        whole = Parametrisation.from_network(net)
        np.testing.assert_allclose(whole.evaluate(theta), net.expand(theta).reshape(4, -1), atol=1e-11)
        theta[:, [0, 2]] = [1.0, 0.0]
        chart = Parametrisation.from_network(net, {0: 1.0, 2: 0.0}, support=True)
        free = np.delete(theta, [0, 2], axis=1)
        np.testing.assert_allclose(chart.evaluate(free), net.expand(theta, support=True).reshape(4, -1), atol=1e-11)


def test_sympy() -> None:
    x, y = sympy.symbols("x y")
    circle = Variety.from_sympy([sympy.Eq(x**2 + y**2, 1)], [x, y])
    assert circle.evaluate([[0.6, 0.8], [1.0, 1.0]]) == pytest.approx(np.array([[0.0], [1.0]]))
    model = Parametrisation.from_sympy([sympy.Rational(1, 3) * x, sympy.sqrt(2) * x * y, 5], [x, y])
    np.testing.assert_allclose(model.evaluate([3.0, 2.0]), [1.0, 6 * np.sqrt(2), 5.0])
    assert Parametrisation.from_sympy([sympy.Integer(0)], [x]).degree == -1


def test_bad_expressions_of_sympy() -> None:
    x, y = sympy.symbols("x y")
    for bad, error in (
        ([1 / x], ValueError),
        ([sympy.sin(x)], ValueError),
        ([x * y], ValueError),  # y is no symbol given
        ([sympy.I * x], ValueError),
        ([sympy.oo * x], ValueError),
        (["x"], TypeError),
        ([None], TypeError),
        ([], ValueError),
        ("x", TypeError),
        (x, TypeError),
    ):
        with pytest.raises(error, match="expressions"):
            Parametrisation.from_sympy(bad, [x])
    for symbols in ([], [x, x], ["x"], x, None):
        with pytest.raises(TypeError, match="symbols"):
            Variety.from_sympy([x], symbols)


def test_identity() -> None:
    again = pickle.loads(pickle.dumps(CUSP))
    assert again == CUSP
    assert hash(again) == hash(CUSP)
    assert Parametrisation(MonomialBasis(1, 3), [[0, 0, -1, 0], [0, 0, 0, 2]]) != CUSP
    assert Variety(MonomialBasis(1, 3), CUSP.coef) != CUSP
    assert not CUSP.coef.flags.writeable
    assert "2 coordinates" in repr(CUSP)
    assert "1 equation in 2" in repr(Variety(MonomialBasis(2, 1), [[0, 1, 1]]))
    assert "ModelDistance" in repr(CUSP.objective([0, 0]))


@pytest.mark.parametrize("kind", [Parametrisation, Variety])
def test_bad_models(kind: type) -> None:
    basis = MonomialBasis(1, 1)
    for bad in ([1.0, 2.0], [[1.0]], np.zeros((0, 2)), [[np.nan, 0.0]], [[1j, 0]]):
        with pytest.raises((TypeError, ValueError), match="`coef`"):
            kind(basis, bad)
    with pytest.raises(TypeError, match="`basis`"):
        kind("basis", [[1.0, 2.0]])


def test_bad_arguments() -> None:
    for call, name in (
        (lambda: CUSP.evaluate([[1.0, 2.0]]), "t"),
        (lambda: CUSP.jacobian([np.nan]), "t"),
        (lambda: CUSP.objective([1.0]), "u"),
        (lambda: CUSP.objective([1.0, np.inf]), "u"),
        (lambda: CUSP.objective([1.0, 1.0], np.eye(3)), "Q"),
        (lambda: CUSP.objective([1.0, 1.0], [[1.0, 2.0], [0.0, 1.0]]), "Q"),
        (lambda: CUSP.objective([1.0, 1.0]).value([1.0, 2.0]), "theta"),
        (lambda: Parametrisation.from_network("net"), "net"),  # type: ignore[arg-type]
        (lambda: Parametrisation.from_network(pc.MLP((1, 1), 1), {1: 1.0}), "fixed"),
        (lambda: Parametrisation.from_network(pc.MLP((1, 1), 1), {0: 1.0}), "fixed"),
        (lambda: Parametrisation.from_network(pc.MLP((1, 1, 1), 1), {0: np.nan}), "fixed"),
        (lambda: Parametrisation.from_network(pc.MLP((1, 1, 1), 1), [0]), "fixed"),  # type: ignore[arg-type]
        (lambda: pc.ModelDistance("model", [1.0]), "model"),  # type: ignore[arg-type]
    ):
        with pytest.raises((TypeError, ValueError), match=f"`{name}`"):
            call()
    with pytest.raises(ValueError, match=r"eigenvalue.*-1"):
        CUSP.objective([1.0, 1.0], [[0.0, 1.0], [1.0, 0.0]])
