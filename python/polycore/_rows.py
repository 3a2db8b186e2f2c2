# SPDX-License-Identifier: BSD-3-Clause
"""From a table to a loss: the rows in memory, their columns standardised, and the Q-distance they make.

What `polycore report` and `polycore critical` do with data before a network meets them, so that the losses of the two
can be compared.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._validation import as_real_array
from .loss import QDistance
from .moments import Moments
from .monomials import MonomialBasis
from .support import MonomialSupport
from .tables import Columns, iterate_rows, open_table

Matrix = NDArray[np.float64]

ARRAYS = "arrays"  # the source of data that does not come from a file
# Rows × monomials up to which a fit is made from the rows when Q is badly conditioned.
MAX_VANDERMONDE_ENTRIES = 3 * 10**7
_ROWS_PER_BLOCK = 8192


@dataclass(frozen=True)
class Variable:
    """A column: its name, the mean and standard deviation over the training rows, and its number of distinct values."""

    name: str
    mean: float
    scale: float
    n_distinct: int


@dataclass(frozen=True)
class Rows:
    """The data in memory, with names: X (n_rows, n_inputs), Y (n_rows, n_outputs)."""

    X: Matrix
    Y: Matrix
    x_names: tuple[str, ...]
    y_names: tuple[str, ...]
    source: str
    n_dropped: int


def load_file(path: str | os.PathLike[str], x: Columns, y: Columns, drop_missing: bool, delimiter: str | None) -> Rows:
    """Chosen columns of a file; ValueError if they have no rows."""
    table = open_table(path, delimiter)
    x_indices, y_indices = table.resolve(x, "x"), table.resolve(y, "y")
    blocks = list(iterate_rows(table, x_indices, y_indices, drop_missing=drop_missing))
    X = np.concatenate([np.empty((0, len(x_indices)))] + [block[0] for block in blocks])
    Y = np.concatenate([np.empty((0, len(y_indices)))] + [block[1] for block in blocks])
    n_dropped = sum(block[2] for block in blocks)
    if not len(X):
        raise ValueError(
            f"{table.path.name} has no rows" + (f" but {n_dropped} with missing values" if n_dropped else "")
        )
    names = [[table.columns[index] for index in indices] for indices in (x_indices, y_indices)]
    return Rows(X, Y, tuple(names[0]), tuple(names[1]), table.path.name, n_dropped)


def load_arrays(x: Any, y: Any) -> Rows:
    """Arrays or data frames, a single output as a column of its own."""
    if isinstance(x, (str, bytes)) or isinstance(y, (str, bytes)):
        raise TypeError("`x` and `y` must be arrays; to choose columns of a file by name, pass data=FILE as well")
    X, Y = as_real_array(x, "x"), as_real_array(y, "y")
    if Y.ndim == 1:
        Y = Y[:, None]
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y):
        raise ValueError(
            "`x` and `y` must have shapes (n_samples, n_inputs) and (n_samples, n_outputs), "
            f"got {X.shape} and {np.shape(y)}"
        )
    x_names = _names_of(x, X.shape[1], "x")
    y_names = _names_of(y, Y.shape[1], "y")
    return Rows(X, Y, x_names, y_names, ARRAYS, 0)


def _names_of(value: Any, n_columns: int, letter: str) -> tuple[str, ...]:
    """Column names of a data frame, the name of a series, or x1, x2, …"""
    columns = getattr(value, "columns", None)
    if columns is None and isinstance(getattr(value, "name", None), str):
        columns = [value.name]
    if columns is not None and len(columns) == n_columns:
        return tuple(str(name) for name in columns)
    return (letter,) if n_columns == 1 else tuple(f"{letter}{index + 1}" for index in range(n_columns))


def as_variables(values: Matrix, names: Sequence[str], role: str, constants: bool = False) -> tuple[Variable, ...]:
    """The columns. With ``constants`` those that do not vary are kept: some networks know columns by their place."""
    variables = []
    for name, column in zip(names, values.T, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = float(np.mean(column)), float(np.std(column))
        if not np.isfinite(scale):
            largest = abs(column).max()
            raise ValueError(f"{role} column {name!r} has values too large to standardise (up to {largest:g})")
        # The standard deviation of equal numbers is the rounding of their mean, not always zero.
        if column.min() == column.max() or scale == 0:
            if constants:
                variables.append(Variable(name, float(column[0]), 1.0, 1))
                continue
            raise ValueError(
                f"{role} column {name!r} is constant ({column[0]:g}) on the {len(column)} training rows, "
                "so it cannot be standardised and says nothing; leave it out"
            )
        variables.append(Variable(name, mean, scale, len(np.unique(column))))
    return tuple(variables)


def means(variables: Sequence[Variable]) -> Matrix:
    """What standardising subtracts."""
    return np.array([variable.mean for variable in variables])


def scales(variables: Sequence[Variable]) -> Matrix:
    """What standardising divides by."""
    return np.array([variable.scale for variable in variables])


def standardise(values: Matrix, variables: Sequence[Variable]) -> Matrix:
    """(x − mean) / standard deviation, column by column."""
    return (values - means(variables)) / scales(variables)


def loss_of_rows(X: Matrix, Y: Matrix, basis: MonomialBasis | MonomialSupport) -> tuple[QDistance, str]:
    """The Q-distance of the rows, and whether it was made from "moments" or "rows".

    Moments first: one pass, and the rows are no longer needed. They square the condition number, so where that costs
    more than half the digits, or leaves the rank in doubt, the fit is made from the matrix of all monomials at all
    rows, if that fits in memory.
    """
    rows_fit = len(X) * len(basis) <= MAX_VANDERMONDE_ENTRIES
    if isinstance(basis, MonomialSupport):
        return QDistance.from_data(X, Y, basis), "rows"
    if not (rows_fit and len(X) < len(basis)):
        moments = _moments_of_rows(X, Y, basis)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loss = QDistance.from_moments(moments, basis)
        doubtful = loss.rank < len(basis) or not loss.condition < 1 / np.sqrt(np.finfo(np.float64).eps)
        if not (rows_fit and doubtful):
            for warning in caught:
                warnings.warn(str(warning.message), warning.category, stacklevel=2)
            return loss, "moments"
    return QDistance.from_data(X, Y, basis), "rows"


def _moments_of_rows(X: Matrix, Y: Matrix, basis: MonomialBasis) -> Moments:
    """The sums over the rows that the loss on this basis depends on."""
    degree, homogeneous = basis.degree, basis.homogeneous
    moments = Moments(basis.n_vars, 2 * degree, n_targets=Y.shape[1], cross_degree=degree, homogeneous=homogeneous)
    for start in range(0, len(X), _ROWS_PER_BLOCK):
        moments.update(X[start : start + _ROWS_PER_BLOCK], Y[start : start + _ROWS_PER_BLOCK])
    return moments
