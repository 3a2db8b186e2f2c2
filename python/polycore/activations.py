# SPDX-License-Identifier: BSD-3-Clause
"""Polynomial activations: how a network's ``activation`` argument is read, and polynomials close to other activations.

`polynomial_activation` brings ordinary networks (tanh, ReLU, ...) into the polynomial world by the best uniform
approximation on an interval; the result can be given to `polycore.MLP` as it is.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.polynomial import Polynomial, chebyshev
from numpy.polynomial._polybase import ABCPolyBase
from numpy.typing import ArrayLike, NDArray

from ._validation import _describe, as_index, as_real_array, check_choice
from .errors import NumericalError
from .instructions import MAX_ACTIVATION_DEGREE, Coefficient, Indeterminate, Number, substitute

__all__ = ["GenericActivation", "PolynomialActivation", "polynomial_activation"]

Vector: TypeAlias = NDArray[np.float64]

# Beyond this the monomial coefficients of a best approximation on [-1, 1] cancel to fewer than two digits.
MAX_APPROXIMATION_DEGREE = 40


# --- activations as networks read them --------------------------------------------------------------------------------


@dataclass(frozen=True)
class GenericActivation:
    """A polynomial of given degree with generic coefficients: that of which theorems say "for a generic activation".

    `polycore.MLP` accepts it wherever it accepts a polynomial. Given once it is one polynomial, shared by all hidden
    layers; in a tuple each entry is a polynomial of its own, unless the *same object* stands there several times.

    Parameters
    ----------
    degree : int
        0 <= degree <= 4095. All degree + 1 coefficients are independent indeterminates, the constant term too.

    Notes
    -----
    Where exact analyses run in GF(p) they draw the coefficients at random. Everything that needs numbers refuses such a
    network; `Network.specialize` gives it random ones.

    Examples
    --------
    >>> from polycore import MLP
    >>> net = MLP((2, 2, 1), GenericActivation(2))
    >>> net
    MLP((2, 2, 1), activation=GenericActivation(2))
    >>> net.basis
    MonomialBasis(n_vars=2, degree=2, homogeneous=False)
    >>> net.specialize(rng=0)
    MLP((2, 2, 1), activation=([0.5400390625, 0.6162109375, 0.08203125],))
    """

    degree: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "degree", as_index(self.degree, "degree", 0, MAX_ACTIVATION_DEGREE))

    def __repr__(self) -> str:
        return f"GenericActivation({self.degree})"


@dataclass(frozen=True)
class ActivationPolynomial:
    """A univariate polynomial p, applied entrywise: z -> p(z).

    ``coefficients`` run low to high without trailing zeros. An int or Fraction is kept exactly, a float *is* the dyadic
    rational it stands for, so exact arithmetic is meaningful for every activation. Those of a `GenericActivation` are
    indeterminates.
    """

    coefficients: tuple[Coefficient, ...]

    @property
    def degree(self) -> int:
        """Degree of p; that of the zero polynomial is 0."""
        return len(self.coefficients) - 1

    @property
    def is_generic(self) -> bool:
        """Whether it comes from a `GenericActivation`."""
        return isinstance(self.coefficients[-1], Indeterminate)

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The coefficients; ValueError if it is generic."""
        return substitute(self.coefficients)

    @property
    def power(self) -> int | None:
        """r if p(z) = z^r, else None."""
        return self.degree if self.coefficients[-1] == 1 and not any(self.coefficients[:-1]) else None

    @property
    def spec(self) -> int | list[Coefficient] | GenericActivation:
        """The shortest way to write it as an argument: a power or a coefficient list."""
        if self.is_generic:
            return GenericActivation(self.degree)
        return list(self.coefficients) if self.power is None else self.power

    def text(self, symbol: str = "z", latex: bool = False) -> str:
        """p(z) from low to high degree, at most six terms."""
        from .monomials import MonomialBasis

        basis = MonomialBasis(1, self.degree)
        if self.is_generic:
            return _generic_text(self.coefficients, basis.names([symbol], latex), latex)
        coef: Any = np.empty(len(self.coefficients), dtype=object)
        coef[:] = self.coefficients
        return basis.format(coef, [symbol], latex=latex, max_terms=6)


def as_activation(spec: object, name: str = "activation") -> ActivationPolynomial:
    """One activation from a power, a coefficient list (low to high), a numpy polynomial or an activation object."""
    if isinstance(spec, ActivationPolynomial):
        return spec
    if isinstance(spec, GenericActivation):
        return _generic(spec.degree, 0)
    if isinstance(spec, PolynomialActivation):
        return _from_coefficients(spec.coefficients, name)
    if isinstance(spec, ABCPolyBase):
        # NOTE: converting also undoes a domain other than the window, and turns other bases into monomials.
        return _from_coefficients(spec.convert(kind=Polynomial).coef.tolist(), name)
    if isinstance(spec, np.poly1d):
        return _from_coefficients(list(spec.coeffs[::-1]), name)  # poly1d runs high to low
    if isinstance(spec, np.ndarray) and spec.ndim == 1:
        return _from_coefficients(list(spec), name)
    if isinstance(spec, (list, tuple)):
        return _from_coefficients(spec, name)
    try:
        power = as_index(spec, name, 0, MAX_ACTIVATION_DEGREE)
    except TypeError:
        raise TypeError(
            f"`{name}` must be a power, a list of coefficients low to high, a numpy Polynomial, a GenericActivation, "
            f"or a tuple of these with one entry per hidden layer, got {_describe(spec)}"
        ) from None
    return ActivationPolynomial((0,) * power + (1,))


def as_activations(spec: object, n_hidden: int, name: str = "activation") -> tuple[ActivationPolynomial, ...]:
    """The activation of each hidden layer from the forms a network accepts (see `polycore.MLP`)."""
    if isinstance(spec, tuple):
        if len(spec) != n_hidden:
            raise ValueError(
                f"`{name}` as a tuple must have one entry per hidden layer ({n_hidden}), got {len(spec)} entries"
            )
        return number_activations(spec, [as_activation(entry, f"{name}[{layer}]") for layer, entry in enumerate(spec)])
    activation = as_activation(spec, name)
    if isinstance(spec, (list, np.ndarray)) and np.ndim(spec) == 1 and len(spec) == n_hidden and all(spec):
        raise ValueError(
            f"`{name}`={list(spec)} is ambiguous for {n_hidden} hidden layer{'s' * (n_hidden != 1)}: pass the tuple "
            f"{tuple(spec)} for one power per hidden layer, or numpy.polynomial.Polynomial({list(spec)}) "
            "for the same coefficients in every hidden layer"
        )
    return number_activations((spec,) * n_hidden, (activation,) * n_hidden)


def activation_argument(activations: Sequence[ActivationPolynomial]) -> str:
    """The ``activation`` argument that gives these, as Python text that evaluates back."""
    specs = [repr(activation.spec) for activation in activations]
    short = activations[0].is_generic or activations[0].power is not None
    if short and len(set(activations)) == 1:
        return specs[0]
    shared = [a for a in dict.fromkeys(activations) if a.is_generic and activations.count(a) > 1]
    for number, activation in enumerate(shared, 1):
        # The same object has to stand in several places.
        first, *others = (layer for layer, other in enumerate(activations) if other == activation)
        specs[first] = f"g{number} := {specs[first]}"
        for layer in others:
            specs[layer] = f"g{number}"
    return f"({', '.join(specs)}{',' * (len(specs) == 1)})"


def _generic(degree: int, group: int) -> ActivationPolynomial:
    return ActivationPolynomial(tuple(Indeterminate(group, power) for power in range(degree + 1)))


def number_activations(
    specs: Sequence[object], activations: Sequence[ActivationPolynomial]
) -> tuple[ActivationPolynomial, ...]:
    """The activations with their generic polynomials numbered by first appearance."""
    groups: dict[object, int] = {}
    result = []
    for spec, activation in zip(specs, activations):
        if activation.is_generic:
            # One GenericActivation is one polynomial, equal ones are several.
            key = id(spec) if isinstance(spec, GenericActivation) else activation
            activation = _generic(activation.degree, groups.setdefault(key, len(groups)))
        result.append(activation)
    return tuple(result)


def _generic_text(coefficients: Sequence[Coefficient], names: Sequence[str], latex: bool, max_terms: int = 6) -> str:
    """c_0 + c_1 z + ..., the coefficients with the number of their polynomial."""
    terms = []
    for c, name in zip(coefficients[:max_terms], names):
        assert isinstance(c, Indeterminate)
        symbol = f"c_{{{c.group + 1},{c.power}}}" if latex else f"c{c.group + 1}_{c.power}"
        terms.append(symbol if c.power == 0 else f"{symbol} {name}" if latex else f"{symbol}*{name}")
    left_out = len(coefficients) - len(terms)
    if left_out:
        more = f"{left_out} more term{'s' if left_out > 1 else ''}"
        terms.append(rf"\cdots \;(\text{{{more}}})" if latex else f"... ({more})")
    return " + ".join(terms)


def _from_coefficients(values: Sequence[object], name: str) -> ActivationPolynomial:
    if len(values) == 0:
        raise ValueError(f"`{name}` must have at least one coefficient, got an empty list")
    if len(values) > MAX_ACTIVATION_DEGREE + 1:
        raise ValueError(f"`{name}` must have degree at most {MAX_ACTIVATION_DEGREE}, got {len(values) - 1}")
    coefficients = [_as_number(value, f"{name}[{k}]") for k, value in enumerate(values)]
    while len(coefficients) > 1 and coefficients[-1] == 0:
        coefficients.pop()
    return ActivationPolynomial(tuple(coefficients))


def _as_number(value: object, name: str) -> Number:
    """A finite real coefficient; whole floats become ints, so that equal activations compare and print alike."""
    if isinstance(value, Fraction):
        number: Number = value
    elif isinstance(value, (float, np.floating)):
        if isinstance(value, np.floating) and value.dtype.itemsize > 8:
            raise TypeError(f"`{name}` must be a real coefficient of at most double precision, got {_describe(value)}")
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"`{name}` must be finite, got {number}")
    else:
        try:
            number = as_index(value, name)
        except TypeError:
            raise TypeError(f"`{name}` must be a real coefficient, got {_describe(value)}") from None
    try:
        float(number)
    except OverflowError:
        raise ValueError(f"`{name}` must be representable as a float64, got a number beyond 1.8e308") from None
    return int(number) if number == int(number) else number


# --- best approximation -----------------------------------------------------------------------------------------------


def _softplus(x: Vector) -> Vector:
    return np.logaddexp(0.0, x)


def _relu(x: Vector) -> Vector:
    return np.maximum(x, 0.0)


def _sigmoid(x: Vector) -> Vector:
    from scipy.special import expit

    return np.asarray(expit(x))


def _gelu(x: Vector) -> Vector:
    from scipy.special import ndtr

    return np.asarray(x * ndtr(x))


def _silu(x: Vector) -> Vector:
    return x * _sigmoid(x)


_NAMED: dict[str, Callable[[Vector], Vector]] = {
    "tanh": np.tanh,
    "softplus": _softplus,
    "relu": _relu,
    "sigmoid": _sigmoid,
    "gelu": _gelu,
    "silu": _silu,
    "sin": np.sin,
}


@dataclass(frozen=True)
class PolynomialActivation:
    """A polynomial that approximates an activation on an interval, with its error; made by `polynomial_activation`.

    Attributes
    ----------
    name : str
        Name of the approximated function.
    degree : int
        The degree asked for.
    interval : (float, float)
        Where it approximates. Outside, a polynomial of degree >= 1 runs away: keep pre-activations inside.
    coefficients : tuple of degree + 1 floats
        Low to high, in the variable z itself.
    max_error : float
        Largest |f(z) - p(z)| over ``n_points`` points of the interval, p evaluated in floating point from
        ``coefficients``. Between the points the error can exceed it slightly if f is rough.
    lower_bound : float
        No polynomial of this degree has a smaller maximal error on the interval (de la Vallée-Poussin, up to the
        rounding of f).
    n_points : int
        Number of points at which the error was measured.
    """

    name: str
    degree: int
    interval: tuple[float, float]
    coefficients: tuple[float, ...] = field(repr=False)
    max_error: float
    lower_bound: float
    n_points: int

    def __call__(self, z: ArrayLike) -> Vector:
        """p(z) entrywise, by Horner's rule; NumericalError if a value overflows."""
        return _horner(self.coefficients, as_real_array(z, "z"))

    def __repr__(self) -> str:
        shown = ", ".join(f"{c:.6g}" for c in self.coefficients[:8]) + (", ..." if self.degree >= 8 else "")
        return (
            f"PolynomialActivation({self.name} on [{self.interval[0]:g}, {self.interval[1]:g}], degree {self.degree}, "
            f"max error {self.max_error:.3g} (best possible >= {self.lower_bound:.3g}), coefficients [{shown}])"
        )


def polynomial_activation(
    fn: str | Callable[[Vector], ArrayLike], degree: int, interval: tuple[float, float]
) -> PolynomialActivation:
    """The polynomial of given degree with the least maximal error to a function on an interval.

    Parameters
    ----------
    fn : str or callable
        "tanh", "softplus", "relu", "sigmoid", "gelu", "silu", "sin", or a function of a float64 array that returns
        an array of the same shape. Continuous; kinks are fine.
    degree : int
        0 <= degree <= 40.
    interval : (float, float)
        Lower and upper end, finite.

    Returns
    -------
    PolynomialActivation
        Coefficients, measured error and a lower bound for any polynomial of that degree. `polycore.MLP` accepts it as
        ``activation``.

    Raises
    ------
    TypeError
        If ``fn`` is neither a string nor callable, or does not map arrays to real arrays.
    ValueError
        If ``fn`` is a string but not a known name, the degree or interval is out of range, or ``fn`` returns NaN,
        infinity or a wrong shape.
    NumericalError
        If the coefficients or the values do not fit a float64 (tiny or huge intervals).

    Warns
    -----
    RuntimeWarning
        If rounding of the monomial coefficients makes the error larger than the best possible one.

    Notes
    -----
    Remez' exchange algorithm in the Chebyshev basis (E. W. Cheney, *Introduction to Approximation Theory*, ch. 3;
    R. Pachón, L. N. Trefethen, BIT 49 (2009), doi:10.1007/s10543-009-0240-1): the error of the best approximation
    alternates at degree + 2 points. If the error of some polynomial alternates in sign at degree + 2 points, where its
    size is at least e, then no polynomial of that degree does better than e (de la Vallée-Poussin).

    On an interval [-b, b], a function that is odd up to a constant (tanh, sigmoid) or even up to a linear term (ReLU,
    softplus, gelu, silu) gets exactly zero coefficients in the other degrees from 2 on: symmetrising a polynomial does
    not increase its error.

    Examples
    --------
    >>> polynomial_activation("relu", 2, (-1, 1)).coefficients
    (0.0625, 0.5, 0.5)
    >>> act = polynomial_activation("tanh", 3, (-2, 2))
    >>> act.coefficients[0], act.coefficients[2], round(act.max_error, 4)
    (0.0, 0.0, 0.0455)
    """
    name, function = _as_function(fn)
    degree = as_index(degree, "degree", 0, MAX_APPROXIMATION_DEGREE)
    low, high = as_real_array(interval, "interval", shape=(2,)).tolist()
    if not low < high:
        raise ValueError(f"`interval` must be (low, high) with low < high, got ({low}, {high})")
    centre, half = low / 2 + high / 2, high / 2 - low / 2

    def f(t: Vector) -> Vector:
        # Clipping: the last bit of centre + half * t must not leave the interval, where fn may be undefined.
        return _call(function, np.clip(centre + half * t, low, high))

    coef, reference = _best_approximation(f, degree, symmetric=low == -high)
    coefficients = _monomial_coefficients(coef, centre, half)

    # Chebyshev points for smooth functions, equidistant ones for kinks, and the reference where the error is extremal.
    n_grid = max(4000, 100 * degree)
    t = np.concatenate([np.cos(np.linspace(np.pi, 0.0, n_grid)), np.linspace(-1.0, 1.0, n_grid), reference])
    points = np.clip(centre + half * t, low, high)
    error = _call(function, points) - _horner(coefficients, points)
    max_error = float(np.abs(error).max())
    lower_bound = _alternation_bound(error[-len(reference) :])
    scale = float(np.abs(_call(function, points)).max())
    if max_error > 1.5 * lower_bound + 1e-12 * scale:
        warnings.warn(
            f"the degree {degree} polynomial for {name} on [{low:g}, {high:g}] has error {max_error:.3g}, the best "
            f"possible is between {lower_bound:.3g} and that: rounding of monomial coefficients, or a function too "
            "rough to be resolved; lower the degree, or centre the interval at 0",
            RuntimeWarning,
            stacklevel=2,
        )
    return PolynomialActivation(name, degree, (low, high), coefficients, max_error, lower_bound, len(points))


def _as_function(fn: object) -> tuple[str, Callable[[Vector], ArrayLike]]:
    if isinstance(fn, str):
        check_choice(fn, "fn", tuple(_NAMED))
        return fn, _NAMED[fn]
    if callable(fn):
        return getattr(fn, "__name__", type(fn).__name__), fn
    raise TypeError(f"`fn` must be a function of a numpy array or one of {', '.join(_NAMED)}, got {_describe(fn)}")


def _call(function: Callable[[Vector], ArrayLike], x: Vector) -> Vector:
    try:
        values = function(x)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`fn` must accept a numpy array (wrap it in numpy.vectorize if needed): {error}") from error
    return as_real_array(values, "fn(x)", shape=(("n_points", len(x)),))


def _best_approximation(f: Callable[[Vector], Vector], degree: int, symmetric: bool) -> tuple[Vector, Vector]:
    """Chebyshev coefficients, length degree + 1, of the best approximation of f on [-1, 1]; points of alternation."""
    coef = np.zeros(degree + 1)
    if not symmetric:
        coef[:], reference = _remez(f, np.arange(degree + 1), -1.0)
        return coef, reference

    t = np.cos(np.linspace(0.0, np.pi / 2, 501))
    positive, negative = f(t), f(-t)
    even, odd = positive / 2 + negative / 2, positive / 2 - negative / 2
    noise = 64 * np.finfo(float).eps * max(np.abs(positive).max(), np.abs(negative).max())
    # t[0] = 1. Symmetrising an approximation of an even (or odd) function does not increase the error.
    slope = odd[0] if degree >= 1 else 0.0
    if np.abs(odd - slope * t).max() <= noise:
        degrees = np.arange(0, degree + 1, 2)
        coef[degrees], half = _remez(lambda s: f(s) / 2 + f(-s) / 2, degrees, 0.0)
        coef[1:2] = slope
    elif np.abs(even - even[0]).max() <= noise:
        degrees = np.arange(1, degree + 1, 2)
        coef[degrees], half = _remez(lambda s: f(s) / 2 - f(-s) / 2, degrees, 0.0)
        coef[0] = f(np.zeros(1))[0]
    else:
        coef[:], reference = _remez(f, np.arange(degree + 1), -1.0)
        return coef, reference
    return coef, np.concatenate([-half[::-1], half])


def _remez(f: Callable[[Vector], Vector], degrees: NDArray[np.intp], low: float) -> tuple[Vector, Vector]:
    """Best approximation of f on [low, 1] by Chebyshev polynomials T_k(t), k in ``degrees``, and its reference.

    The T_k must form a Haar system: all degrees on [-1, 1], or the even or the odd ones on [0, 1] (odd f vanish at 0).
    """
    n = len(degrees)
    angles = np.linspace(np.arccos(low), 0.0, max(2000, 60 * (n + 1)))
    grid = np.concatenate([np.cos(angles), np.linspace(low, 1.0, 2001)])
    # n + 1 points, none at 0 on the half interval, where odd polynomials vanish.
    reference: NDArray[Any] = (
        np.cos(np.linspace(np.arccos(low), 0.0, n + 2)[1:]) if low == 0.0 else np.cos(np.linspace(np.pi, 0.0, n + 1))
    )
    signs = (-1.0) ** np.arange(n + 1)

    def basis(t: Vector) -> Vector:
        return np.asarray(np.cos(np.outer(np.arccos(np.clip(t, -1.0, 1.0)), degrees)))

    best_coef: NDArray[Any] = np.zeros(n)
    best_reference, best_error = reference, np.inf
    for _ in range(60):
        values = f(reference)
        system = np.column_stack([basis(reference), signs])
        solution = np.asarray(np.linalg.solve(system, values), dtype=np.float64)
        coef, level = solution[:n], abs(float(solution[n]))

        def error(t: Vector, coef: Vector = coef) -> Vector:
            return f(t) - basis(t) @ coef

        extrema, sizes = _alternating_extrema(error, np.unique(np.concatenate([grid, reference])))
        largest = float(sizes.max())
        if len(extrema) > n:
            reference = _exchange(extrema, sizes, n + 1)
        else:  # too few sign changes (f met the polynomial on the whole reference): bring in the worst point alone
            worst = extrema[np.argmax(sizes)]
            reference = reference.copy()
            reference[np.argmin(np.abs(reference - worst))] = worst
        if largest < best_error:
            best_coef, best_reference, best_error = coef, reference, largest
        # Within 1e-9 of the best, or at the rounding of f: further exchanges only chase noise.
        if largest <= level * (1 + 1e-9) + 8 * np.finfo(float).eps * np.abs(values).max():
            break
    return best_coef, best_reference


def _alternating_extrema(error: Callable[[Vector], Vector], grid: Vector) -> tuple[Vector, Vector]:
    """The largest |error| of each run of constant sign along the grid, refined between its neighbours."""
    values = error(grid)
    if not values.any():
        return grid[:1], np.zeros(1)
    grid, values = grid[values != 0], values[values != 0]  # an exact zero belongs to neither sign
    starts = np.flatnonzero(np.diff(np.sign(values)) != 0) + 1
    peaks = np.array([run[np.argmax(np.abs(values[run]))] for run in np.split(np.arange(len(grid)), starts)])
    left, right = grid[np.maximum(peaks - 1, 0)], grid[np.minimum(peaks + 1, len(grid) - 1)]
    sign = np.sign(values[peaks])
    points, sizes = grid[peaks], np.abs(values[peaks])
    # Golden section in all brackets at once: it needs no derivative, so kinks are no different from smooth maxima.
    ratio = (math.sqrt(5.0) - 1) / 2
    for _ in range(30):
        inner_left, inner_right = right - ratio * (right - left), left + ratio * (right - left)
        at_left, at_right = sign * error(inner_left), sign * error(inner_right)
        for candidate, size in ((inner_left, at_left), (inner_right, at_right)):
            better = size > sizes
            points, sizes = np.where(better, candidate, points), np.where(better, size, sizes)
        go_left = at_left > at_right
        left, right = np.where(go_left, left, inner_left), np.where(go_left, inner_right, right)
    return points, sizes


def _exchange(extrema: Vector, sizes: Vector, n: int) -> Vector:
    """n consecutive alternating extrema: the smaller end goes until n are left, so the largest one is never dropped."""
    first, last = 0, len(extrema)
    while last - first > n:
        if sizes[first] < sizes[last - 1]:
            first += 1
        else:
            last -= 1
    return extrema[first:last]


def _alternation_bound(errors: Vector) -> float:
    """min |e_i| where the signs alternate, else 0. Equal neighbours (a mirrored even reference) count once."""
    signs = np.sign(errors)
    middle = len(signs) // 2
    if len(signs) % 2 == 0 and len(signs) > 1 and signs[middle - 1] == signs[middle]:
        signs = np.delete(signs, middle)
    return float(np.abs(errors).min()) if (signs[1:] == -signs[:-1]).all() and signs.all() else 0.0


def _monomial_coefficients(coef: Vector, centre: float, half: float) -> tuple[float, ...]:
    """Coefficients in x of sum_k coef[k] T_k((x - centre) / half), each rounded once: the conversion is exact."""
    n = len(coef)
    in_t = [Fraction(0)] * n
    for k, c in enumerate(coef.tolist()):
        for i, a in enumerate(chebyshev.cheb2poly([0] * k + [1]).tolist()):
            in_t[i] += Fraction(c) * round(a)
    shift, scale = Fraction(centre), Fraction(half)
    in_x = [Fraction(0)] * n
    for k, c in enumerate(in_t):
        for i in range(k + 1):
            in_x[i] += c / scale**k * math.comb(k, i) * (-shift) ** (k - i)
    try:
        return tuple(float(c) for c in in_x)
    except OverflowError:
        raise NumericalError(
            f"the monomial coefficients on [{centre - half:g}, {centre + half:g}] overflow float64; widen the interval"
        ) from None


def _horner(coefficients: Sequence[float], x: Vector) -> Vector:
    result = np.full_like(x, coefficients[-1])
    with np.errstate(over="ignore", invalid="ignore"):
        for c in reversed(coefficients[:-1]):
            result = result * x + c
    if not np.isfinite(result).all():
        raise NumericalError("a value of the polynomial overflows float64")
    return result
