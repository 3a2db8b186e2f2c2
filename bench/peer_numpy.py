# SPDX-License-Identifier: BSD-3-Clause
"""The dimension of an MLP in plain numpy: the same method as ours, as one would write it over int64."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Below 2^31, so that products of residues fit an int64.
PRIME = 2_147_483_629

Residues = NDArray[np.int64]


def dimension_by_points(widths: Sequence[int], r: int, n_rows: int, rng: np.random.Generator) -> int:
    """Rank mod p of gradients of random combinations of the outputs at random points: point by point."""
    weights = _weights(widths, rng)
    points = rng.integers(0, PRIME, (n_rows, widths[0]))
    combinations = rng.integers(0, PRIME, (n_rows, widths[-1]))
    return rank(np.vstack([_gradients(weights, r, points[i : i + 1], combinations[i : i + 1]) for i in range(n_rows)]))


def dimension_in_blocks(widths: Sequence[int], r: int, n_rows: int, rng: np.random.Generator) -> int:
    """The same with all points at once."""
    weights = _weights(widths, rng)
    points = rng.integers(0, PRIME, (n_rows, widths[0]))
    return rank(_gradients(weights, r, points, rng.integers(0, PRIME, (n_rows, widths[-1]))))


def rank(matrix: Residues) -> int:
    """Gaussian elimination, all rows below the pivot at once."""
    work = matrix.copy() if len(matrix) <= len(matrix.T) else matrix.T.copy()
    n_rows, n_columns = work.shape
    found = 0
    for column in range(n_columns):
        if found == n_rows:
            break
        candidates = np.flatnonzero(work[found:, column])
        if not candidates.size:
            continue
        pivot = found + candidates[0]
        work[[found, pivot]] = work[[pivot, found]]
        row = work[found, column:] * pow(int(work[found, column]), -1, PRIME) % PRIME
        factors = work[found + 1 :, column].copy()
        work[found + 1 :, column:] = (work[found + 1 :, column:] - factors[:, None] * row) % PRIME
        found += 1
    return found


def _weights(widths: Sequence[int], rng: np.random.Generator) -> list[Residues]:
    return [rng.integers(1, PRIME, (b, a)) for a, b in pairwise(widths)]


def _gradients(weights: list[Residues], r: int, z: Residues, bar: Residues) -> Residues:
    """One row a point, without a column for each scaling of a hidden unit."""
    inputs, slopes = [z], []
    for W in weights[:-1]:
        y = _matmul(z, W.T)
        z = _power(y, r)
        slopes.append(_power(y, r - 1) * r % PRIME)
        inputs.append(z)
    blocks = []
    for layer in range(len(weights) - 1, -1, -1):
        gradient = bar[:, :, None] * inputs[layer][:, None, :] % PRIME
        if layer < len(weights) - 1:
            gradient = gradient[:, :, 1:]
        blocks.append(gradient.reshape(len(bar), -1))
        if layer:
            bar = _matmul(bar, weights[layer]) * slopes[layer - 1] % PRIME
    return np.hstack(blocks)


def _matmul(a: Residues, b: Residues) -> Residues:
    return (a[:, :, None] * b[None] % PRIME).sum(axis=1) % PRIME


def _power(z: Residues, r: int) -> Residues:
    result = np.ones_like(z)
    for _ in range(r):
        result = result * z % PRIME
    return result
