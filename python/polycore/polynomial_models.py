# SPDX-License-Identifier: BSD-3-Clause
"""Models given by polynomials: images of polynomial maps, and zero sets of polynomial equations.

They state problems of nearest points directly: circles, cusps, matrices of low rank, networks in a chart.

Legend: ``k`` parameters t, ``m`` coordinates x, ``N`` monomials, ``s`` equations, ``...`` any number of batch axes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _sparse, _validation
from ._polynomial_systems import System
from ._validation import _describe, as_flag, as_index, as_real, check_size
from .errors import NumericalError
from .metrics import as_semidefinite
from .monomials import MonomialBasis, _import
from .network import Network
from .support import MonomialSupport

__all__ = ["ModelDistance", "Parametrisation", "Variety"]

Vector = NDArray[np.float64]
Basis = MonomialBasis | MonomialSupport
# A polynomial in parameters: products of parameters as ascending tuples of their numbers.
_InTheta = dict[tuple[int, ...], float]

_EPS = float(np.finfo(np.float64).eps)


class _Polynomials:
    """Some polynomials in the same variables, by their coefficients in a basis."""

    def __init__(self, basis: Basis, coef: ArrayLike) -> None:
        if not isinstance(basis, (MonomialBasis, MonomialSupport)):
            raise TypeError(f"`basis` must be a MonomialBasis or a MonomialSupport, got {_describe(basis)}")
        array = _validation.as_real_array(coef, "coef", shape=(self._rows, ("n_monomials", basis.n_monomials)))
        if not len(array):
            raise ValueError(f"`coef` must have at least one row, got shape {array.shape}")
        check_size(basis.n_monomials * basis.n_vars, 8, "the exponents of the monomials")
        self._basis = basis
        self._coef = array.copy()
        self._coef.flags.writeable = False
        used = (self._coef != 0).any(axis=0)
        self._system = System(np.asarray(basis.exponents)[used], self._coef[:, used])

    _rows = "n"

    @property
    def basis(self) -> Basis:
        """The monomials in the variables."""
        return self._basis

    @property
    def coef(self) -> Vector:
        """One polynomial a row, shape (n, N), read-only."""
        return self._coef

    @property
    def degree(self) -> int:
        """Largest degree of the polynomials; −1 if all are zero."""
        return int(self._system.degrees.max())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, _Polynomials)
        return self._basis == other._basis and bool(np.array_equal(self._coef, other._coef))

    def __hash__(self) -> int:
        return hash((type(self), self._basis, self._coef.tobytes()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._basis, self._coef)

    def _as_points(self, points: ArrayLike, name: str) -> Vector:
        return _validation.as_real_array(points, name, shape=(..., ("n_vars", self._basis.n_vars)))

    def _at(self, points: ArrayLike, name: str, what: Callable[[Vector], Vector]) -> Vector:
        """Something at points, checked; NumericalError if it overflows."""
        with np.errstate(over="ignore", invalid="ignore"):
            return _finite(what(self._as_points(points, name)), name)


class Parametrisation(_Polynomials):
    """The image of a polynomial map from R^k to R^m.

    Parameters
    ----------
    basis : MonomialBasis or MonomialSupport
        Monomials in the k parameters.
    coef : array_like, shape (m, N)
        One coordinate a row.

    Attributes
    ----------
    basis : MonomialBasis or MonomialSupport
    coef : ndarray, shape (m, N)
    n_parameters, n_coordinates, degree : int
        k, m, and the largest degree of a coordinate.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, or not finite.

    Examples
    --------
    >>> cusp = Parametrisation(MonomialBasis(1, 3), [[0, 0, -1, 0], [0, 0, 0, 1]])  # t ↦ (−t², t³)
    >>> cusp
    Parametrisation(1 parameter, 2 coordinates, degree 3)
    >>> cusp.evaluate([[2.0]])
    array([[-4.,  8.]])
    """

    _rows = "n_coordinates"

    @classmethod
    def from_sympy(cls, expressions: Sequence[Any], symbols: Sequence[Any]) -> Parametrisation:
        """The map with these coordinates.

        Parameters
        ----------
        expressions : sequence of sympy expressions
            Polynomials in the symbols with real coefficients.
        symbols : sequence of sympy symbols
            The parameters, in this order.

        Returns
        -------
        Parametrisation

        Raises
        ------
        ImportError
            If sympy is not installed.
        TypeError, ValueError
            If an expression is not a polynomial in these symbols with real numbers as coefficients.

        Examples
        --------
        >>> import sympy
        >>> t = sympy.Symbol("t")
        >>> Parametrisation.from_sympy([-t**2, t**3], [t])
        Parametrisation(1 parameter, 2 coordinates, degree 3)
        """
        return cls(*_read_sympy(expressions, symbols))

    @classmethod
    def from_network(
        cls, net: Network, fixed: Mapping[int, float] | None = None, *, support: bool = False
    ) -> Parametrisation:
        """The map from the parameters of a network to its coefficients, some parameters held fixed.

        Fixing one weight of each hidden unit takes away the scalings, so that almost every function has finitely many
        parameters: a chart. Functions all of whose parameters have zero there are missed.

        Parameters
        ----------
        net : Network
            Small enough for its coefficients to be written out as polynomials in its parameters.
        fixed : mapping of int to float, optional
            Values of parameters by their position in ``theta``; the others are the k parameters, in their order.
        support : bool
            Take the coefficients on ``net.support`` alone.

        Returns
        -------
        Parametrisation
            Of the coefficients, output by output.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind, a position is not one of a parameter, or all of them are fixed.
        OverflowError, MemoryError
            If the polynomials are too large.

        Examples
        --------
        >>> from polycore import MLP
        >>> chart = Parametrisation.from_network(MLP((2, 1, 1), activation=2), {0: 1.0})
        >>> chart.evaluate([3.0, 2.0])  # 2 (x + 3y)²
        array([ 2., 12., 18.])
        """
        if not isinstance(net, Network):
            raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
        return cls(*_read_network(net, _as_fixed(fixed, net.n_params), as_flag(support, "support")))

    @property
    def n_parameters(self) -> int:
        """Number of parameters, k."""
        return self._basis.n_vars

    @property
    def n_coordinates(self) -> int:
        """Number of coordinates, m."""
        return len(self._coef)

    def __repr__(self) -> str:
        k = self.n_parameters
        parameters = f"{k} parameter{'s' * (k != 1)}"
        return f"Parametrisation({parameters}, {self.n_coordinates} coordinates, degree {self.degree})"

    def evaluate(self, t: ArrayLike) -> Vector:
        """Points of the image.

        Parameters
        ----------
        t : array_like, shape (..., k)

        Returns
        -------
        ndarray, shape (..., m)

        Raises
        ------
        TypeError, ValueError
            If t is not an array of finite real numbers of this shape.
        NumericalError
            If a result overflows.
        """
        return self._at(t, "t", self._system.evaluate)

    def jacobian(self, t: ArrayLike) -> Vector:
        """First derivatives.

        Parameters
        ----------
        t : array_like, shape (..., k)

        Returns
        -------
        ndarray, shape (..., m, k)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `evaluate`.
        """
        return self._at(t, "t", self._system.jacobian)

    def hessian(self, t: ArrayLike) -> Vector:
        """Second derivatives of every coordinate.

        Parameters
        ----------
        t : array_like, shape (..., k)

        Returns
        -------
        ndarray, shape (..., m, k, k)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `evaluate`.
        """
        return self._at(t, "t", self._system.hessian)

    def objective(self, u: ArrayLike, Q: ArrayLike | None = None) -> ModelDistance:
        """The squared distance of the image to a point, as a function of the parameters.

        Parameters
        ----------
        u : array_like, shape (m,)
        Q : array_like, shape (m, m), optional
            Symmetric positive semidefinite; by default the identity.

        Returns
        -------
        ModelDistance
            Of the kind that `stationary.search` takes.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or shape, not finite, or Q is not symmetric positive semidefinite (with
            the most negative eigenvalue).
        """
        return ModelDistance(self, u, Q)


class ModelDistance:
    """t ↦ ‖p(t) − u‖²_Q, with derivatives, batched over leading axes; made by `Parametrisation.objective`.

    Parameters
    ----------
    model : Parametrisation
    u : array_like, shape (m,)
    Q : array_like, shape (m, m), optional

    Attributes
    ----------
    model : Parametrisation
    u : ndarray, shape (m,)
    Q : ndarray, shape (m, m)
    n_params : int
        k, the number of parameters.

    Raises
    ------
    TypeError, ValueError
        As `Parametrisation.objective`.

    Examples
    --------
    >>> cusp = Parametrisation(MonomialBasis(1, 3), [[0, 0, -1, 0], [0, 0, 0, 1]])
    >>> distance = cusp.objective([1.0, 0.0])
    >>> distance.value([[0.0], [1.0]]), distance.gradient([[0.0], [1.0]])
    (array([1., 5.]), array([[ 0.],
           [14.]]))
    """

    def __init__(self, model: Parametrisation, u: ArrayLike, Q: ArrayLike | None = None) -> None:
        if not isinstance(model, Parametrisation):
            raise TypeError(f"`model` must be a Parametrisation, got {_describe(model)}")
        self.model = model
        self.u, self.Q = as_point_and_metric(u, Q, model.n_coordinates)
        self.n_params = model.n_parameters

    def __repr__(self) -> str:
        return f"ModelDistance({self.model!r})"

    def value(self, theta: ArrayLike) -> Any:
        """The squared distance.

        Parameters
        ----------
        theta : array_like, shape (..., k)

        Returns
        -------
        float, or ndarray of shape (...)

        Raises
        ------
        TypeError, ValueError
            If theta is not an array of finite real numbers of this shape.
        NumericalError
            If a result overflows.
        """
        return self.value_and_gradient(theta)[0]

    def gradient(self, theta: ArrayLike) -> Vector:
        """Its gradient, 2JᵀQ(p(t) − u).

        Parameters
        ----------
        theta : array_like, shape (..., k)

        Returns
        -------
        ndarray, shape (..., k)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value`.
        """
        return self.value_and_gradient(theta)[1]

    def value_and_gradient(self, theta: ArrayLike) -> tuple[Any, Vector]:
        """Both at once.

        Parameters
        ----------
        theta : array_like, shape (..., k)

        Returns
        -------
        value : float, or ndarray of shape (...)
        gradient : ndarray, shape (..., k)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value`.
        """
        t = self.model._as_points(theta, "theta")
        with np.errstate(over="ignore", invalid="ignore"):
            misfit = self.model._system.evaluate(t) - self.u
            weighted = misfit @ self.Q
            value = np.asarray(np.maximum((misfit * weighted).sum(axis=-1), 0.0))
            gradient = 2.0 * (weighted[..., None, :] @ self.model._system.jacobian(t))[..., 0, :]
        _finite(value, "theta")
        return float(value) if value.ndim == 0 else value, _finite(np.asarray(gradient), "theta")

    def hessian(self, theta: ArrayLike) -> Vector:
        """Its Hessian, 2JᵀQJ + 2 Σ_i (Q(p(t) − u))_i ∇²p_i.

        Parameters
        ----------
        theta : array_like, shape (..., k)

        Returns
        -------
        ndarray, shape (..., k, k)
            Symmetric bit for bit.

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value`.
        """
        t = self.model._as_points(theta, "theta")
        with np.errstate(over="ignore", invalid="ignore"):
            weighted = (self.model._system.evaluate(t) - self.u) @ self.Q
            jacobian = self.model._system.jacobian(t)
            first = np.swapaxes(jacobian, -1, -2) @ (self.Q @ jacobian)
            second = np.einsum("...i,...ijk->...jk", weighted, self.model._system.hessian(t))
            total = first + second
            return _finite(np.asarray(total + np.swapaxes(total, -1, -2)), "theta")

    def gradient_scale(self, theta: ArrayLike) -> Any:
        """What rounding errors of the gradient are measured against: (‖Q‖ ‖p(t)‖ + ‖Qu‖) ‖J‖_F.

        Parameters
        ----------
        theta : array_like, shape (..., k)

        Returns
        -------
        float, or ndarray of shape (...)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `value`.
        """
        t = self.model._as_points(theta, "theta")
        with np.errstate(over="ignore", invalid="ignore"):
            sizes = np.linalg.norm(self.Q, 2) * np.linalg.norm(self.model._system.evaluate(t), axis=-1)
            lengths = np.linalg.norm(self.model._system.jacobian(t), axis=(-2, -1))
            scale = _finite(np.asarray((sizes + np.linalg.norm(self.Q @ self.u)) * lengths), "theta")
        return float(scale) if scale.ndim == 0 else scale


class Variety(_Polynomials):
    """The real zeros of polynomial equations in R^m.

    Parameters
    ----------
    basis : MonomialBasis or MonomialSupport
        Monomials in the m coordinates.
    coef : array_like, shape (s, N)
        One equation a row. They should generate a radical ideal: their gradients should be independent, as far as
        codimension allows, at almost every point. (x² + y² − 1)² = 0 is refused where this matters.

    Attributes
    ----------
    basis : MonomialBasis or MonomialSupport
    coef : ndarray, shape (s, N)
    n_equations, n_coordinates, degree : int
        s, m, and the largest degree of an equation.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, or not finite.

    Examples
    --------
    >>> circle = Variety(MonomialBasis(2, 2), [[-1, 0, 0, 1, 0, 1]])
    >>> circle
    Variety(1 equation in 2 coordinates, degree 2)
    >>> circle.evaluate([3.0, 4.0])
    array([24.])
    """

    _rows = "n_equations"

    @classmethod
    def from_sympy(cls, expressions: Sequence[Any], symbols: Sequence[Any]) -> Variety:
        """The zeros of these expressions.

        Parameters
        ----------
        expressions : sequence of sympy expressions, or equations ``sympy.Eq``
            Polynomials in the symbols with real coefficients.
        symbols : sequence of sympy symbols
            The coordinates, in this order.

        Returns
        -------
        Variety

        Raises
        ------
        ImportError
            If sympy is not installed.
        TypeError, ValueError
            If an expression is not a polynomial in these symbols with real numbers as coefficients.

        Examples
        --------
        >>> import sympy
        >>> x, y = sympy.symbols("x y")
        >>> Variety.from_sympy([sympy.Eq(x**2 + y**2, 1)], [x, y])
        Variety(1 equation in 2 coordinates, degree 2)
        """
        return cls(*_read_sympy(expressions, symbols))

    @property
    def n_equations(self) -> int:
        """Number of equations, s."""
        return len(self._coef)

    @property
    def n_coordinates(self) -> int:
        """Number of coordinates, m."""
        return self._basis.n_vars

    def __repr__(self) -> str:
        s = self.n_equations
        return f"Variety({s} equation{'s' * (s != 1)} in {self.n_coordinates} coordinates, degree {self.degree})"

    def evaluate(self, x: ArrayLike) -> Vector:
        """Values of the equations' left-hand sides.

        Parameters
        ----------
        x : array_like, shape (..., m)

        Returns
        -------
        ndarray, shape (..., s)

        Raises
        ------
        TypeError, ValueError
            If x is not an array of finite real numbers of this shape.
        NumericalError
            If a result overflows.
        """
        return self._at(x, "x", self._system.evaluate)

    def jacobian(self, x: ArrayLike) -> Vector:
        """Their gradients.

        Parameters
        ----------
        x : array_like, shape (..., m)

        Returns
        -------
        ndarray, shape (..., s, m)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `evaluate`.
        """
        return self._at(x, "x", self._system.jacobian)

    def hessian(self, x: ArrayLike) -> Vector:
        """Their second derivatives.

        Parameters
        ----------
        x : array_like, shape (..., m)

        Returns
        -------
        ndarray, shape (..., s, m, m)

        Raises
        ------
        TypeError, ValueError, NumericalError
            As `evaluate`.
        """
        return self._at(x, "x", self._system.hessian)


# --- checking and reading ---------------------------------------------------------------------------------------------


def as_point_and_metric(u: ArrayLike, Q: ArrayLike | None, m: int) -> tuple[Vector, Vector]:
    """A point of R^m and a positive semidefinite matrix, the identity by default; copies, read-only."""
    point = _validation.as_real_array(u, "u", shape=(("n_coordinates", m),)).copy()
    check_size(m * m, 8, "the metric")
    if Q is None:
        metric = np.eye(m)
    else:
        given = _validation.as_real_array(Q, "Q", shape=(("n_coordinates", m), ("n_coordinates", m)))
        metric = np.array(as_semidefinite(given, "Q", 16 * _EPS * m))
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(point @ metric @ point):
            raise NumericalError("the squared length of `u` in the metric `Q` overflows; scale them down")
    point.flags.writeable = metric.flags.writeable = False
    return point, metric


def _finite(result: Vector, name: str) -> Vector:
    if not _validation.all_finite(result):
        raise NumericalError(f"a polynomial overflows at `{name}`; scale it down")
    return result


def _read_sympy(expressions: Sequence[Any], symbols: Sequence[Any]) -> tuple[MonomialSupport, Vector]:
    """The monomials that occur, and the coefficients."""
    sympy = _import("sympy", "sympy")
    wanted = _validation.as_sequence(expressions, "expressions", "a sequence of sympy expressions")
    unknowns = list(_validation.as_sequence(symbols, "symbols", "a sequence of sympy symbols"))
    if not unknowns or len(set(unknowns)) < len(unknowns) or not all(isinstance(s, sympy.Symbol) for s in unknowns):
        raise TypeError(f"`symbols` must be different sympy symbols, at least one, got {_describe(symbols)}")
    if not len(wanted):
        raise ValueError("`expressions` must not be empty")
    polynomials = [_as_terms(sympy, e, unknowns, f"expressions[{i}]") for i, e in enumerate(wanted)]
    monomials = sorted(set().union(*polynomials)) or [(0,) * len(unknowns)]
    basis = MonomialBasis(len(unknowns), max(sum(row) for row in monomials))
    support = MonomialSupport(basis, monomials)
    rows = [[terms.get(tuple(e), 0.0) for e in support.exponents.tolist()] for terms in polynomials]
    return support, np.array(rows)


def _as_terms(sympy: Any, expression: Any, symbols: Sequence[Any], name: str) -> dict[tuple[int, ...], float]:
    if isinstance(expression, sympy.Equality):
        expression = expression.lhs - expression.rhs
    if isinstance(expression, (str, bytes)) or not isinstance(expression, (sympy.Expr, int, float, sympy.Poly)):
        raise TypeError(f"`{name}` must be a sympy expression, got {_describe(expression)}")
    try:
        polynomial = sympy.Poly(expression, *symbols)
    except sympy.PolynomialError:
        raise ValueError(f"`{name}` must be a polynomial in {symbols}, got {expression}") from None
    terms = {}
    for monomial, c in polynomial.terms():
        number = sympy.sympify(c)
        if not number.is_number or number.is_real is False or not np.isfinite(complex(number)):
            raise ValueError(f"`{name}` must have finite real numbers as coefficients, got {number}")
        if number != 0:
            terms[tuple(int(e) for e in monomial)] = float(number)
    return terms


def _as_fixed(fixed: Mapping[int, float] | None, n_params: int) -> dict[int, float]:
    if fixed is None:
        return {}
    if not isinstance(fixed, Mapping):
        raise TypeError(f"`fixed` must be a mapping from positions to values, got {_describe(fixed)}")
    result = {as_index(i, "fixed", 0, n_params - 1): as_real(value, "fixed") for i, value in fixed.items()}
    if len(result) == n_params:
        raise ValueError(f"`fixed` must leave a parameter free, got all {n_params}")
    return result


def _read_network(net: Network, fixed: dict[int, float], on_support: bool) -> tuple[MonomialSupport, Vector]:
    """Monomials in the free parameters, and the coefficients of the network in them, output by output."""
    program = net.program
    program.require_concrete()
    monomials = net.support if on_support else net.basis
    check_size(net.n_outputs * len(monomials), 8, "the coefficients of the network")
    free = [i for i in range(net.n_params) if i not in fixed]
    number = {i: k for k, i in enumerate(free)}
    parameters: list[_InTheta] = [
        ({(): fixed[i]} if fixed[i] else {}) if i in fixed else {(number[i],): 1.0} for i in range(net.n_params)
    ]
    constants: list[list[_InTheta]] = [[{(): float(c)} for c in a.coefficients] for a in program.activations]  # type: ignore[arg-type]
    outputs = _sparse.Polynomials[_InTheta](_add, _multiply, {(): 1.0}, parameters, constants).run(program)
    products = sorted({word for output in outputs for terms in output.values() for word in terms})
    exponents = [[Counter(word)[k] for k in range(len(free))] for word in products] or [[0] * len(free)]
    support = MonomialSupport(MonomialBasis(len(free), max(map(sum, exponents))), exponents)
    columns = {tuple(row): j for j, row in enumerate(support.exponents.tolist())}
    column = {word: columns[tuple(row)] for word, row in zip(products, exponents)}
    rows = {tuple(row): j for j, row in enumerate(np.asarray(monomials.exponents).tolist())}
    check_size(net.n_outputs * len(rows) * len(support), 8, "the coefficients in the parameters")
    coef = np.zeros((net.n_outputs, len(rows), len(support)))
    for o, output in enumerate(outputs):
        for monomial, terms in output.items():
            exponent = Counter(monomial)
            row = rows[tuple(exponent[j + 1] for j in range(net.n_inputs))]
            for word, c in terms.items():
                coef[o, row, column[word]] = c
    return support, coef.reshape(-1, len(support))


def _add(a: _InTheta, b: _InTheta) -> _InTheta:
    total = dict(a)
    for word, c in b.items():
        total[word] = total.get(word, 0.0) + c
    return total


def _multiply(a: _InTheta, b: _InTheta) -> _InTheta:
    product: _InTheta = {}
    for left, c in a.items():
        for right, d in b.items():
            word = tuple(sorted(left + right))
            product[word] = product.get(word, 0.0) + c * d
    return product
