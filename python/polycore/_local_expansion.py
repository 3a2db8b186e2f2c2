# SPDX-License-Identifier: BSD-3-Clause
"""A network's loss near one parameter vector, to second order, with the sizes that rounding errors are measured by.

Legend: ``P = n_params``, ``C = n_outputs · n_monomials``; c the coefficients, J (C, P) their Jacobian, E the loss as a
function of them, G = ∇E (C), K = ∇²E (C, C); H (P, P) the Hessian of θ ↦ E(c(θ)).

The *majorant* of a network, with |θ| and absolute activation coefficients, has derivatives that bound those of the
network and the terms they are sums of; rounding errors are proportional to them.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import _linalg
from .cross_entropy import CrossEntropy
from .dimension import DimensionResult, dimension
from .jacobian_rank import majorant
from .loss import QDistance
from .network_loss import NetworkLoss
from .symmetries import tangents

if TYPE_CHECKING:
    from .networks import Network

Vector = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
# Largest numbers of parameters, coefficients and entries of the Jacobian for which dense matrices are formed.
MAX_PARAMS, MAX_COEFFICIENTS, MAX_ENTRIES = 1000, 2048, 2**22
# Rounding errors of a derivative, in units of ε times its majorant: a few for each of the operations in sequence.
ROUNDING = 16.0
# Numbers are told from zero if none is closer than this factor to the tolerance.
CLEAR_MARGIN = 3.0
_SCALING_STEPS = 12
# Directions are independent if singular values of them, of norm 1, are above this times the largest.
_INDEPENDENT = 1e-9
# Random parameters and polynomials that generic ranks are taken at.
_SEED = 0
# A residual of this relative size is zero; between the two it is looked at more closely.
ZERO_RESIDUAL, NEAR_ZERO_RESIDUAL = 1e-10, 1e-5
_ROUNDED_RESIDUAL, _BOTTOM_STEPS = 1e-14, 30
_ZERO_CONSTANT = 1e-13
# Singular values of F·J, with columns of size 1, below this are zero.
_FACTOR_ZERO = 1e-11


class ComposedLoss:
    """What is the same at all points of a network's loss.

    Parameters
    ----------
    objective : NetworkLoss
    """

    def __init__(self, objective: NetworkLoss) -> None:
        self.objective, self.loss = objective, objective.loss
        self.net: Network = objective.net
        self.program = self.net.program
        self.n_params = objective.n_params
        self.on_support = bool(objective._on_support)
        self.n_coef = self.loss.n_outputs * self.loss.n_monomials
        self.constant = float(objective.constant)
        self.majorant = majorant(self.program)
        small = self.n_params <= MAX_PARAMS and self.n_coef <= MAX_COEFFICIENTS
        self.dense = small and self.n_params * self.n_coef <= MAX_ENTRIES

    @cached_property
    def generic(self) -> DimensionResult:
        """The dimension of the function space."""
        return dimension(self.net, rng=_SEED)

    @cached_property
    def natural_size(self) -> float:
        """Of parameters, all equal, with which the terms of the coefficients are as large as those of the target."""
        if self.target is None:
            return 1.0
        first, second = (np.linalg.norm(self.majorant_coef(np.full(self.n_params, size))) for size in (1.0, 2.0))
        goal = float(np.linalg.norm(self.target))
        if not (goal and first and second > first):
            return 1.0
        return float((goal / first) ** (1.0 / np.log2(second / first)))

    def majorant_coef(self, theta: Vector) -> Vector:
        """The terms of the coefficients, in absolute values; on the basis, or on the support of the majorant."""
        return np.asarray(self.majorant.engine.expand(np.abs(theta), None, 0, None, 1, self.on_support))

    @property
    def fills(self) -> bool:
        """Whether the functions fill a linear space: then almost all points of it are interior ones."""
        return self.generic.filling

    @property
    def is_convex(self) -> bool:
        """Whether the loss is known to be a convex function of the coefficients."""
        return isinstance(self.loss, (QDistance, CrossEntropy))

    @property
    def lower_bound(self) -> float | None:
        """What the loss never goes below, if that is known."""
        bound = self.objective.lower_bound
        return None if bound == -np.inf else bound

    @cached_property
    def factor(self) -> Vector | None:
        """F with E = ‖F (c − t)‖² for a dense quadratic loss, shape (k, C); None for others."""
        if not isinstance(self.loss, QDistance) or not self.loss.dense:
            return None
        factor: Vector = np.asarray(self.loss.factor)
        return (
            factor
            if factor.shape[1] == self.n_coef
            else np.asarray(np.kron(np.eye(self.loss.n_outputs), factor), np.float64)
        )

    @cached_property
    def target(self) -> Vector | None:
        """t, shape (C,)."""
        if not isinstance(self.loss, QDistance) or not self.loss.dense:
            return None
        return np.asarray(self.loss.target).reshape(-1)

    @cached_property
    def is_degenerate(self) -> bool | None:
        """Whether Q is singular on the linear span of the network's functions; None if there is no such Q."""
        if self.factor is None or not self.dense:
            return None
        generator = np.random.default_rng(_SEED)
        count = min(self.n_coef + 2, 4 * self.n_params + 64)
        functions = self.expand(self._random_params(generator, count)).T
        functions = functions / np.maximum(np.linalg.norm(functions, axis=0), np.finfo(float).tiny)
        return rank_of(self.factor @ functions) < rank_of(functions)

    @cached_property
    def generic_projected_rank(self) -> int:
        """Rank of F·J at almost every point."""
        assert self.factor is not None
        generator = np.random.default_rng(_SEED)
        return max(
            LocalExpansion(self, theta).projected_rank(exact=True) for theta in self._random_params(generator, 3)
        )

    def expand(self, theta: Vector) -> Vector:
        """Coefficients (..., C)."""
        coef = self.program.engine.expand(np.ascontiguousarray(theta), None, 0, None, 1, self.on_support)
        return np.asarray(coef).reshape(*theta.shape[:-1], self.n_coef)

    def jacobian(self, theta: Vector) -> Vector:
        """J, shape (..., C, P)."""
        matrix = self.program.engine.jacobian(np.ascontiguousarray(theta), None, 0, None, 1, self.on_support)
        return np.asarray(matrix).reshape(*theta.shape[:-1], self.n_coef, self.n_params)

    def second_derivative(self, theta: Vector, v: Vector) -> Vector:
        """d²c(v, v), shape (..., C), by a complex step of the tangent along v, shape (..., P)."""
        step = 1e-100
        at = np.ascontiguousarray(theta + 1j * step * v)
        tangent = self.program.engine.jvp(at, np.ascontiguousarray(v + 0j), None, 0, None, 1, self.on_support)
        return np.asarray(tangent).imag.reshape(*v.shape[:-1], self.n_coef) / step

    def slope(self, coef: Vector) -> Vector:
        """G, shape (C,)."""
        shaped = coef.reshape(self.loss.n_outputs, self.loss.n_monomials)
        return np.asarray(self.loss.gradient(shaped)).reshape(self.n_coef)

    def value(self, coef: Vector) -> float:
        """E."""
        return float(self.loss.value(coef.reshape(self.loss.n_outputs, self.loss.n_monomials)))

    @cached_property
    def gram(self) -> Vector:
        """Q of a quadratic loss, (C, C) or the same for all outputs (N, N)."""
        assert isinstance(self.loss, QDistance)
        return np.asarray(self.loss.gram, dtype=np.float64)

    def curvature(self, coef: Vector) -> Vector:
        """K, shape (C, C)."""
        if isinstance(self.loss, QDistance):
            gram = self.gram
            return 2.0 * (
                gram if len(gram) == self.n_coef else np.asarray(np.kron(np.eye(self.loss.n_outputs), gram), np.float64)
            )
        shape = (self.n_coef, self.loss.n_outputs, self.loss.n_monomials)
        at = np.broadcast_to(coef.reshape(shape[1:]), shape)
        rows = self.loss.hessian_product(at, np.eye(self.n_coef).reshape(shape))
        return np.asarray(rows).reshape(self.n_coef, self.n_coef)

    def slope_scale(self, coef: Vector) -> float:
        """What G is small or large against."""
        shaped = coef.reshape(self.loss.n_outputs, self.loss.n_monomials)
        return float(self.objective._calls.gradient_scale(shaped))

    def gradient_scale(self, theta: Vector) -> float:
        """What the gradient in the parameters is small or large against."""
        return float(self.objective.gradient_scale(theta))

    def is_bottom(self, theta: Vector) -> bool:
        """Whether no polynomial at all has a lower loss, up to rounding."""
        coef = self.expand(theta)
        if self.factor is not None and self.target is not None:
            return self._relative_residual(self.expand(self.towards_bottom(theta))) <= ZERO_RESIDUAL
        slope, scale = float(np.linalg.norm(self.slope(coef))), self.slope_scale(coef)
        if self.is_convex and slope <= ZERO_RESIDUAL * scale:
            return True
        if self.lower_bound is None:
            return False
        size = scale * float(np.linalg.norm(coef))
        return self.value(coef) - self.lower_bound <= 64 * EPS * size

    def is_zero(self, theta: Vector) -> bool:
        """Whether the loss, its constant included, is at its lower bound, up to rounding."""
        bound = self.lower_bound
        if bound is None:
            return False
        if self.factor is not None and self.target is not None:
            total = self.constant + float(np.sum((self.factor @ self.target) ** 2))
            return self.constant <= _ZERO_CONSTANT * total and self.is_bottom(theta)
        coef = self.expand(theta)
        size = self.slope_scale(coef) * float(np.linalg.norm(coef))
        return self.value(coef) + self.constant - bound <= 64 * EPS * size

    def _relative_residual(self, coef: Vector) -> float:
        assert self.factor is not None
        assert self.target is not None
        images, goal = self.factor @ coef, self.factor @ self.target
        size = float(np.linalg.norm(images) + np.linalg.norm(goal))
        return float(np.linalg.norm(images - goal)) / size if size else 0.0

    def towards_bottom(self, theta: Vector) -> Vector:
        """Parameters whose residual is almost zero after Gauss–Newton steps, which bring one that can be zero down."""
        if self.factor is None or self.target is None or not self.dense:
            return theta
        relative = self._relative_residual(self.expand(theta))
        if not _ROUNDED_RESIDUAL < relative < NEAR_ZERO_RESIDUAL:
            return theta
        for _ in range(_BOTTOM_STEPS):
            jacobian = self.factor @ self.jacobian(theta)
            residual = self.factor @ (self.expand(theta) - self.target)
            step = np.linalg.lstsq(jacobian, residual, rcond=1e-12)[0]
            # Near a double zero steps are half as long as they should be, and a bad direction is no reason to give up.
            trials = [theta - size * step for size in (2.0, 1.0, 0.5)]
            residuals = [self._relative_residual(self.expand(trial)) for trial in trials]
            best = int(np.argmin(residuals))
            if not residuals[best] < 0.9 * relative:
                break
            theta, relative = trials[best], residuals[best]
        return theta

    def _random_params(self, generator: np.random.Generator, count: int) -> Vector:
        return np.asarray(self.net.random_params(rng=generator, batch=(count,)), dtype=np.float64)


class LocalExpansion:
    """Value, gradient and Hessian of a network's loss at one parameter vector, in dense matrices.

    Parameters
    ----------
    composed : ComposedLoss
        Small enough to be ``dense``.
    theta : ndarray, shape (P,)
    """

    def __init__(self, composed: ComposedLoss, theta: Vector) -> None:
        self.composed, self.theta = composed, theta

    @cached_property
    def coef(self) -> Vector:
        """c, shape (C,)."""
        return self.composed.expand(self.theta)

    def gain(self, others: Vector) -> tuple[Vector, float]:
        """E(others) − E(c), shape (...), for coefficients (..., C), and the size of rounding errors in it."""
        loss = self.composed.loss
        shape = (-1, loss.n_outputs, loss.n_monomials)
        if isinstance(loss, QDistance):
            # Small differences are not taken of large numbers.
            steps = others - self.coef
            gram = self.composed.gram
            blocks = steps if len(gram) == self.composed.n_coef else steps.reshape(shape)
            halves = np.sum(blocks * (blocks @ gram), axis=-1).reshape(*steps.shape[:-1], -1).sum(axis=-1)
            return np.asarray(steps @ self.slope + halves), 8 * EPS * self._sizes_of_gain
        base = self._value
        return np.asarray(loss.value(others.reshape(shape))).reshape(others.shape[:-1]) - base, 8 * EPS * (
            abs(base) + self._sizes_of_gain
        )

    @cached_property
    def _value(self) -> float:
        return self.composed.value(self.coef)

    @cached_property
    def _sizes_of_gain(self) -> float:
        size = float(np.linalg.norm(self.coef))
        if isinstance(self.composed.loss, QDistance):
            return size * float(np.linalg.norm(self.slope))
        return size * self.composed.slope_scale(self.coef)

    @cached_property
    def gradient(self) -> Vector:
        """Of the loss in the parameters."""
        return np.asarray(self.composed.objective.value_and_gradient(self.theta)[1])

    @cached_property
    def slope(self) -> Vector:
        """G."""
        return self.composed.slope(self.coef)

    @cached_property
    def hessian(self) -> Vector:
        """H."""
        return np.asarray(self.composed.objective.hessian(self.theta))

    @cached_property
    def jacobian(self) -> Vector:
        """J."""
        return self.composed.jacobian(self.theta)

    @cached_property
    def jacobian_sizes(self) -> Vector:
        """The majorant of J, at least |J|, shape (C, P)."""
        return np.maximum(self._majorant("jacobian", np.abs(self.theta)), np.abs(self.jacobian))

    @cached_property
    def hessian_sizes(self) -> Vector:
        """The majorant of H, at least |H|, shape (P, P): what is summed up in it, in absolute values."""
        n = self.composed.n_params
        curvature = np.abs(self.composed.curvature(self.coef))
        target = self.composed.target
        terms = curvature @ (np.abs(self.coef) + (0.0 if target is None else np.abs(target))) + np.abs(self.slope)
        at = np.broadcast_to(np.abs(self.theta), (n, n))
        along = np.eye(n)
        tangent = self.jacobian_sizes.T
        shape = (n, self.composed.loss.n_outputs, self.composed.loss.n_monomials)
        second = self._majorant(
            "vjp_tangent", at, along, np.broadcast_to(terms, tangent.shape).reshape(shape), tangent @ curvature
        )
        sizes = np.maximum(np.abs(second), np.abs(self.hessian))
        return np.asarray(np.maximum(sizes, sizes.T))

    def _majorant(self, method: str, *arrays: Vector) -> Vector:
        """A derivative of the majorant network; zeros where its monomials are not those of the network."""
        composed = self.composed
        n, engine = composed.n_params, composed.majorant.engine
        if composed.on_support and len(engine.support()) != composed.loss.n_monomials:
            return np.zeros((composed.n_coef if method == "jacobian" else n, n))
        if method == "jacobian":
            result = engine.jacobian(np.ascontiguousarray(arrays[0]), None, 0, None, 1, composed.on_support)
            return np.asarray(result).reshape(composed.n_coef, n)
        theta, v, dcoef, ddcoef = (np.ascontiguousarray(a) for a in arrays)
        ddcoef = ddcoef.reshape(dcoef.shape)
        return np.asarray(engine.vjp_tangent(theta, v, dcoef, ddcoef, None, 1, composed.on_support))

    @cached_property
    def units(self) -> Vector:
        """Units of the parameters, shape (P,), in which the largest terms of each row of H are about 1."""
        return _equilibrated(self.hessian_sizes)

    @cached_property
    def scaled_hessian(self) -> Vector:
        """H in these units: the same signs of eigenvalues (Sylvester)."""
        return np.asarray(self.units[:, None] * self.hessian * self.units)

    @cached_property
    def rounding(self) -> float:
        """Bound of the norm of the rounding error of `scaled_hessian`."""
        sizes = self.units[:, None] * self.hessian_sizes * self.units
        return ROUNDING * EPS * float(np.linalg.norm(sizes))

    @cached_property
    def correction(self) -> Vector:
        """The Newton step of least norm: about as far as θ is from a critical point."""
        values, vectors = _linalg.eigh(self.scaled_hessian)
        kept = np.abs(values) > self.rounding
        parts = np.divide(vectors.T @ (self.units * self.gradient), values, out=np.zeros_like(values), where=kept)
        return np.asarray(-self.units * (vectors @ parts))

    @cached_property
    def neighbour(self) -> LocalExpansion:
        """The expansion after that step."""
        return LocalExpansion(self.composed, self.theta + self.correction)

    @cached_property
    def uncertainty(self) -> Vector:
        """By how much `scaled_hessian` changes with that step, (P, P)."""
        change = self.neighbour.hessian - self.hessian
        return np.asarray(self.units[:, None] * change * self.units)

    @cached_property
    def _jacobian_units(self) -> tuple[Vector, Vector]:
        """Factors of the rows and of the columns of J, after which its majorant has entries about 1."""
        return _row_and_column_units(self.jacobian_sizes)

    def _scaled(self, matrix: Vector) -> Vector:
        """A matrix like J with these factors."""
        rows, columns = self._jacobian_units
        return np.asarray(rows[:, None] * matrix * columns)

    @cached_property
    def _jacobian_rounding(self) -> float:
        """Bound of the norm of the rounding error of the scaled J."""
        return ROUNDING * EPS * float(np.linalg.norm(self._scaled(self.jacobian_sizes)))

    @cached_property
    def noise(self) -> tuple[float, float]:
        """Twice the norms of what a Newton step changes in the scaled J and H."""
        change = self._scaled(self.neighbour.jacobian - self.jacobian)
        return 2 * float(np.linalg.norm(change)), 2 * float(np.linalg.norm(self.uncertainty))

    @cached_property
    def _decomposed(self) -> tuple[Vector, Vector, float]:
        """Singular values of the scaled J and its right singular vectors, rows, as changes of θ; with a tolerance."""
        values, right = _linalg.right_svd(self._scaled(self.jacobian))
        return values, right * self._jacobian_units[1], in_gap(values, self._jacobian_rounding + self.noise[0])

    @cached_property
    def rank(self) -> int:
        """Of J."""
        values, _, tolerance = self._decomposed
        return min(int(np.count_nonzero(values > tolerance)), self.composed.generic.dimension)

    @property
    def rank_margin(self) -> float:
        """How far the singular value of J nearest to the tolerance is from it, as a ratio."""
        values, _, tolerance = self._decomposed
        return margin_of(values, tolerance)

    @property
    def own_rank(self) -> int:
        """Of J, where θ need not be near a critical point."""
        return self.rank_above(0.0)

    def rank_above(self, noise: float) -> int:
        """Of J, beyond rounding errors and this noise in its scaled version."""
        lengths = _linalg.singular_values(self._scaled(self.jacobian))
        rank = int(np.count_nonzero(lengths > self._jacobian_rounding + noise))
        return min(rank, self.composed.generic.dimension)

    def hessian_rank_above(self, noise: float) -> int:
        """Of H, likewise."""
        values = np.abs(_linalg.eigenvalues(self.scaled_hessian))
        return int(np.count_nonzero(values > self.rounding + noise))

    def projected_rank(self, exact: bool = False) -> int:
        """Rank of F·J, of a quadratic loss; ``exact`` if θ is a point of interest as it is."""
        assert self.composed.factor is not None
        factor = self.composed.factor
        units = np.linalg.norm(np.abs(factor) @ self.jacobian_sizes, axis=0)
        columns = 1.0 / np.where(units > 0, units, 1.0)
        values = _linalg.singular_values(factor @ self.jacobian * columns)
        error = ROUNDING * EPS * float(np.sqrt(len(columns)))
        if not exact:
            error += 2 * float(np.linalg.norm(factor @ (self.neighbour.jacobian - self.jacobian) * columns))
        # F itself has no more digits than the rank of Q was decided with.
        return int(np.count_nonzero(values > max(error, _FACTOR_ZERO)))

    @cached_property
    def kernel(self) -> Vector:
        """Independent vectors that span the kernel of J, rows."""
        return self._decomposed[1][self.rank :]

    @cached_property
    def image(self) -> Vector:
        """Orthonormal basis of the image of J, columns (C, rank)."""
        vectors = scaled_columns(self.jacobian @ self._decomposed[1][: self.rank].T)
        return _linalg.qr(vectors)[0] if vectors.size else vectors

    def preimage(self, steps: Vector) -> Vector:
        """Changes of the parameters (..., P) whose images are these (..., C), projected to the image of J."""
        basis = self._decomposed[1][: self.rank]
        return np.asarray(steps @ np.linalg.pinv(self.jacobian @ basis.T).T @ basis)

    @cached_property
    def orbit(self) -> Vector:
        """Tangents of the known continuous symmetries, rows."""
        known = self.composed.net.symmetries()._known
        return np.asarray(tangents(known, self.theta, float))


# --- numbers ----------------------------------------------------------------------------------------------------------


def margin_of(values: Vector, tolerance: float) -> float:
    """The ratio >= 1 by which the number nearest to a tolerance is off it; inf if there are none."""
    sizes = np.abs(values)
    if not sizes.size:
        return np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(sizes > tolerance, sizes / tolerance, np.where(sizes > 0, tolerance / sizes, np.inf))
    return float(max(1.0, ratios.min()))


def in_gap(sizes: Vector, noise: float) -> float:
    """A tolerance: the middle, on a logarithmic scale, between noise and what is above it."""
    above = sizes[sizes > noise]
    if not above.size:
        return CLEAR_MARGIN * noise
    return float(np.sqrt(max(noise, np.finfo(float).tiny) * above.min()))


def scaled_columns(matrix: Vector) -> Vector:
    """The matrix with columns of norm 1, or 0."""
    norms = np.linalg.norm(matrix, axis=0)
    return np.asarray(matrix / np.where(norms > 0, norms, 1.0))


def rank_of(matrix: Vector) -> int:
    """Number of singular values above ``max(shape) · 64 ε`` times the largest."""
    if not matrix.size:
        return 0
    values = _linalg.singular_values(matrix)
    return int(np.count_nonzero(values > 64 * max(matrix.shape) * EPS * values[0]))


def orthonormal(columns: Vector) -> Vector:
    """Orthonormal basis of the span of some columns."""
    left, values, _ = _linalg.svd(scaled_columns(columns))
    return np.asarray(left[:, values > _INDEPENDENT * values.max(initial=0.0)])


def complement(rows: Vector, n: int) -> Vector:
    """Orthonormal basis of the complement of the span of some rows, columns (n, n − rank)."""
    span = orthonormal(rows.T) if len(rows) else np.zeros((n, 0))
    return np.asarray(_linalg.svd(span, full=True)[0][:, span.shape[1] :]) if span.size else np.eye(n)


def _equilibrated(sizes: Vector) -> Vector:
    """u with u_i sizes_ij u_j of order 1 in every row that is not zero, powers of two."""
    units = np.ones(len(sizes))
    for _ in range(_SCALING_STEPS):
        largest = (units[:, None] * sizes * units).max(axis=1, initial=0.0)
        units /= np.sqrt(np.where(largest > 0, largest, 1.0))
    idle = largest == 0
    if idle.any() and not idle.all():  # a step in these is to be as long as one in the others
        units[idle] = np.exp(np.log(units[~idle]).mean())
    return np.asarray(np.ldexp(1.0, np.frexp(units)[1]))


def _row_and_column_units(sizes: Vector) -> tuple[Vector, Vector]:
    """Factors after which the largest entry of every row, then of every column, is about 1."""

    def inverse(largest: Vector) -> Vector:
        return np.asarray(np.where(largest > 0, 1.0 / np.where(largest > 0, largest, 1.0), 1.0))

    rows = inverse(sizes.max(axis=1, initial=0.0))
    return rows, inverse((rows[:, None] * sizes).max(axis=0, initial=0.0))


@lru_cache(maxsize=4)
def composed_loss(objective: NetworkLoss) -> ComposedLoss:
    """What is known of an objective, made once for those used last."""
    return ComposedLoss(objective)
