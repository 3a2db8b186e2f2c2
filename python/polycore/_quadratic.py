# SPDX-License-Identifier: BSD-3-Clause
"""Quadratic functions of coefficients, as a Q-distance holds them: Q dense, joint over all outputs, or an operator.

Legend: ``N`` monomials, ``O`` outputs, coefficients c (..., O, N), ``P`` parameters, ``k`` vectors of a subspace.
Arguments are checked by the callers, results are not.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import _least_squares, _linalg, _validation
from ._least_squares import LeastSquares
from .errors import ConditionWarning, NumericalError
from .gram import GramOperator

Vector = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
# Past this condition number of what is solved, fewer than half of the digits of the target can be trusted.
TRUSTED = EPS**-0.5
# Power steps for the norm of an operator; each brings it closer from below.
_POWER_STEPS = 20


class Metric(Protocol):
    """‖c − t‖²_Q, without its constant."""

    @property
    def gram(self) -> Vector: ...
    @property
    def constant(self) -> float: ...
    def apply(self, coef: Vector) -> Vector:
        """Q times the coefficients."""

    def value(self, coef: Vector) -> Vector: ...
    def gradient(self, coef: Vector) -> Vector: ...
    def value_and_gradient(self, coef: Vector) -> tuple[Vector, Vector]: ...
    def hessian_product(self, coef: Vector, dcoef: Vector) -> Vector:
        """2Q times the direction; the same at all c."""

    def pull_back(self, coef: Vector, jacobian: Vector) -> Vector:
        """2JᵀQJ for Jacobians (batch, O, N, P)."""

    def gradient_scale(self, coef: Vector) -> Vector:
        """‖Q‖ ‖c‖ + ‖Qt‖."""

    def restrict(self, span: Vector, rank_tol: float | None) -> Metric: ...


class _Quadratic:
    """What follows from the rest of a metric."""

    def value_and_gradient(self: Metric, coef: Vector) -> tuple[Vector, Vector]:
        return self.value(coef), self.gradient(coef)

    def hessian_product(self: Metric, coef: Vector, dcoef: Vector) -> Vector:
        return 2.0 * self.apply(dcoef)


@dataclass(frozen=True, eq=False)
class DenseMetric(_Quadratic):
    """‖c − t‖²_Q with Q (N, N), which acts on each output, a factor F of it, and t at hand."""

    gram: Vector
    solved: LeastSquares
    constant: float

    def __post_init__(self) -> None:
        for array in (self.gram, self.solved.solution, self.solved.kernel, self.solved.factor):
            array.flags.writeable = False

    @property
    def target(self) -> Vector:
        return self.solved.solution

    @cached_property
    def norm(self) -> float:
        """Spectral norm of Q."""
        factor = self.solved.factor
        return float(_linalg.singular_values(factor)[0]) ** 2 if factor.size else 0.0

    @cached_property
    def pull(self) -> float:
        """‖Qt‖, half the norm of the gradient at 0."""
        return float(np.linalg.norm(self.apply(self.target)))

    def apply(self, coef: Vector) -> Vector:
        return np.asarray(coef @ self.gram)

    def value(self, coef: Vector) -> Vector:
        # Through the factor: a sum of squares, which is never negative and does not square the condition number.
        images = (coef - self.solved.solution) @ self.solved.factor.T
        return np.asarray((images**2).sum(axis=(-2, -1)))

    def gradient(self, coef: Vector) -> Vector:
        return 2.0 * self.apply(coef - self.solved.solution)

    def pull_back(self, coef: Vector, jacobian: Vector) -> Vector:
        images = self.solved.factor @ jacobian
        columns = images.reshape(len(images), -1, images.shape[-1])
        return np.asarray(2.0 * (columns.swapaxes(-1, -2) @ columns))

    def gradient_scale(self, coef: Vector) -> Vector:
        return self.norm * _lengths(coef) + self.pull

    def restrict(self, span: Vector, rank_tol: float | None) -> DenseMetric:
        tolerance = self.solved.rank_tol if rank_tol is None else rank_tol
        images, goal = span @ self.solved.factor.T, self.solved.solution @ self.solved.factor.T
        if span.ndim == 3:  # outputs share coordinates: one long column
            images, goal = images.reshape(len(span), -1), goal.reshape(1, -1)
        gram = checked(symmetric(images @ images.T))
        columns, right = images.T, goal.T
        if len(columns) > len(span):
            # As for data: orthogonalise once, then work on a small triangle.
            triangle = _linalg.triangle(np.hstack([columns, right]))
            columns, right = triangle[: len(span), : len(span)], triangle[: len(span), len(span) :]
        solved = _least_squares.solve_factor(np.ascontiguousarray(columns), right, tolerance)
        misfit = goal - solved.solution @ images
        return DenseMetric(gram, solved, self.constant + float(np.sum(misfit**2)))


@dataclass(frozen=True, eq=False)
class JointMetric(_Quadratic):
    """‖c − t‖²_Q with Q (O·N, O·N): the dense metric of one long output, c read output by output."""

    flat: DenseMetric
    n_outputs: int

    @property
    def solved(self) -> LeastSquares:
        return self.flat.solved

    @property
    def gram(self) -> Vector:
        return self.flat.gram

    @property
    def constant(self) -> float:
        return self.flat.constant

    @property
    def target(self) -> Vector:
        return self.flat.target.reshape(self.n_outputs, -1)

    def apply(self, coef: Vector) -> Vector:
        return self.flat.apply(_as_one_output(coef)).reshape(coef.shape)

    def value(self, coef: Vector) -> Vector:
        return self.flat.value(_as_one_output(coef))

    def gradient(self, coef: Vector) -> Vector:
        return self.flat.gradient(_as_one_output(coef)).reshape(coef.shape)

    def pull_back(self, coef: Vector, jacobian: Vector) -> Vector:
        return self.flat.pull_back(coef, jacobian.reshape(len(jacobian), 1, -1, jacobian.shape[-1]))

    def gradient_scale(self, coef: Vector) -> Vector:
        return self.flat.gradient_scale(_as_one_output(coef))

    def restrict(self, span: Vector, rank_tol: float | None) -> Metric:
        if span.ndim == 3:  # outputs share coordinates
            return self.flat.restrict(span.reshape(len(span), -1), rank_tol)
        spans: Vector = np.kron(np.eye(self.n_outputs), span).astype(np.float64, copy=False)
        return JointMetric(self.flat.restrict(spans, rank_tol), self.n_outputs)


@dataclass(frozen=True, eq=False)
class OperatorMetric(_Quadratic):
    """cᵀQc − 2⟨c, AᵀB⟩ + ‖B‖² with Q as an operator, AᵀB (O, N) and ‖B‖²."""

    operator: GramOperator
    cross: Vector
    square: float

    @property
    def gram(self) -> Vector:
        return self.operator.to_dense()

    @property
    def constant(self) -> float:
        return 0.0

    @cached_property
    def norm(self) -> float:
        # A lower bound that is close to the norm after a few power steps, from a start that is orthogonal to nothing.
        norm = 0.0
        vector: Vector = np.random.default_rng(0).standard_normal(self.cross.shape[-1:])
        for _ in range(_POWER_STEPS):
            length = float(np.linalg.norm(vector))
            if not length:
                break
            vector = self.operator.apply(vector / length)
            norm = float(np.linalg.norm(vector))
        return norm

    @cached_property
    def pull(self) -> float:
        return float(np.linalg.norm(self.cross))

    def apply(self, coef: Vector) -> Vector:
        return self.operator.apply(coef)

    def value(self, coef: Vector) -> Vector:
        quadratic = (coef * (self.apply(coef) - 2.0 * self.cross)).sum(axis=(-2, -1))
        value = quadratic + self.square
        # NOTE: not np.maximum alone, which would turn the NaN of an overflow into one silently kept, and is checked
        # later.
        return np.asarray(np.where(value < 0.0, 0.0, value))

    def gradient(self, coef: Vector) -> Vector:
        return 2.0 * (self.apply(coef) - self.cross)

    def pull_back(self, coef: Vector, jacobian: Vector) -> Vector:
        rows = np.ascontiguousarray(jacobian.transpose(0, 3, 1, 2))  # (batch, P, O, N)
        images = self.apply(rows)
        batch, n_params = rows.shape[:2]
        left, right = rows.reshape(batch, n_params, -1), images.reshape(batch, n_params, -1)
        return np.asarray(2.0 * (left @ right.swapaxes(-1, -2)))

    def gradient_scale(self, coef: Vector) -> Vector:
        return self.norm * _lengths(coef) + self.pull

    def restrict(self, span: Vector, rank_tol: float | None) -> DenseMetric:
        k, images = len(span), self.apply(span)
        gram = checked(symmetric(span.reshape(k, -1) @ images.reshape(k, -1).T))
        joint = span.ndim == 3
        right = checked((span.reshape(k, -1) @ self.cross.reshape(-1, 1)).T if joint else self.cross @ span.T)
        tolerance = (16 * EPS * k) ** 0.5 if rank_tol is None else rank_tol
        solved = _least_squares.solve_gram(gram, right, tolerance, k)
        warn_if_ill_conditioned(solved, solved.condition)
        return DenseMetric(gram, solved, max(0.0, self.square - solved.explained))


def metric_of_sums(gram: Vector, cross: Vector, square: float, rank_tol: float | None, max_rank: int) -> DenseMetric:
    """The loss with these AᵀA, AᵀB transposed and ‖B‖²; the rank is at most the number of samples."""
    tolerance = (16 * EPS * len(gram)) ** 0.5 if rank_tol is None else rank_tol
    solved = _least_squares.solve_gram(gram, cross, tolerance, max_rank)
    return DenseMetric(gram, solved, max(0.0, square - solved.explained))


def metric_of_gram(gram: Vector, target: Vector, constant: float, rank_tol: float | None) -> DenseMetric:
    """The distance to a given target in a given Q, which is positive semidefinite up to rounding."""
    n = len(gram)
    tolerance = (16 * EPS * n) ** 0.5 if rank_tol is None else rank_tol
    # Entries as exact as their diagonal, however small that is, are worth scaling. Where that makes Q indefinite, some
    # are rounding errors of larger ones, such as those of I − ZZᵀ.
    lengths = _least_squares.positive(np.sqrt(np.maximum(gram.diagonal(), 0.0)))
    values = _linalg.eigenvalues(gram / lengths / lengths[:, None])
    scaled = bool(values[0] >= -max(tolerance**2, 16 * EPS * n) * values[-1])
    solved = _least_squares.solve_gram(gram, target @ gram, tolerance, n, scaled)
    return DenseMetric(gram, replace(solved, solution=target), constant)


def warn_if_ill_conditioned(solved: LeastSquares, amplification: float) -> None:
    if amplification > TRUSTED:
        warnings.warn(
            f"the Gram matrix has condition number {solved.condition:.2g}: more than half of the digits of `target` "
            "are lost. Shift and scale the columns of X (standardise them), use another basis, or fit from the data by "
            "QR (QDistance.from_data)",
            ConditionWarning,
            stacklevel=3,
        )


def checked(result: Vector) -> Any:
    """The result, a float if it has no axes; NumericalError unless it is finite."""
    if not _validation.all_finite(np.asarray(result)):
        raise NumericalError("the loss overflowed to infinity; scale the coefficients or the data down")
    return as_scalar(result)


def as_scalar(result: Vector) -> Any:
    return float(result) if result.ndim == 0 else result


def symmetric(matrices: Vector) -> Vector:
    """The symmetric part, equal to its transpose bit for bit."""
    return np.asarray(0.5 * (matrices + matrices.swapaxes(-1, -2)))


def _lengths(coef: Vector) -> Vector:
    return np.asarray(np.sqrt((coef**2).sum(axis=(-2, -1))))


def _as_one_output(coef: Vector) -> Vector:
    return coef.reshape(*coef.shape[:-2], 1, -1)
