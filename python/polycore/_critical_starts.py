# SPDX-License-Identifier: BSD-3-Clause
"""Where the searches for critical points start: at random on many scales, on smaller networks, beside points found.

Legend: ``P = n_params``; a hidden unit has weights ``in`` before it and ``out`` after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._hidden_units import Unit
from .errors import NumericalError
from .fitting import scaled_starts

if TYPE_CHECKING:
    from .networks import Network

Vector = NDArray[np.float64]

# Random starts are of sizes from 10^-2 to 10^0.7 times that at which functions are as large as the target.
_SCALES = (-2.0, 0.7)


def held_by(loss: Any, name: str) -> Any:
    """An attribute such as ``target``; None where the loss has none, or does not hold it, in operator mode."""
    return getattr(loss, name, None) if getattr(loss, "dense", True) else None


def natural_scale(loss: Any, net: Network, rng: np.random.Generator) -> float:
    """The factor of random parameters at which functions are about as large as the target.

    Parameters
    ----------
    loss : CoefficientLoss
        One with ``target`` coefficients, else the result is 1.
    net : Network
    rng : numpy Generator

    Returns
    -------
    float
    """
    target = held_by(loss, "target")
    size = 0.0 if target is None else float(np.linalg.norm(target))
    theta = np.asarray(net.random_params(rng, batch=32))
    if not size or not np.isfinite(size):
        return 1.0
    low, high = -8.0, 8.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        if _median_size(net, 10.0**middle * theta) < size:
            low = middle
        else:
            high = middle
    return float(10.0 ** (0.5 * (low + high)))


def _median_size(net: Network, theta: Vector) -> float:
    try:
        coef = np.asarray(net.expand(theta))
    except NumericalError:
        return np.inf
    return float(np.median(np.linalg.norm(coef.reshape(len(theta), -1), axis=1)))


def random_starts(net: Network, scale: float, rng: np.random.Generator, n: int) -> Vector:
    """Random parameters of sizes spread evenly, on a logarithmic axis, around a scale.

    Parameters
    ----------
    net : Network
    scale : float
        See `natural_scale`.
    rng : numpy Generator
    n : int

    Returns
    -------
    (n, P) array
    """
    theta = np.asarray(net.random_params(rng, batch=n), dtype=np.float64)
    sizes: Vector = scale * 10.0 ** rng.uniform(*_SCALES, size=(n, 1))
    return theta * sizes


def fitted_starts(loss: Any, net: Network, scale: float, rng: np.random.Generator, n: int) -> Vector:
    """Random parameters whose functions are of the target's size and correlate with it, where the loss has a target.

    Parameters
    ----------
    loss : CoefficientLoss
    net : Network
    scale : float
        For losses without a target, and for networks whose last layer cannot be scaled.
    rng : numpy Generator
    n : int

    Returns
    -------
    (n, P) array
    """
    gram, target = held_by(loss, "gram"), held_by(loss, "target")
    if gram is None or target is None or np.shape(gram) != (np.shape(target)[1],) * 2:
        return scale * np.asarray(net.random_params(rng, batch=n), dtype=np.float64)
    square = float(np.sum((target @ gram) * target))
    if not square > 0:
        return scale * np.asarray(net.random_params(rng, batch=n), dtype=np.float64)
    return scaled_starts(net, loss, square, rng, n)


def displaced(theta: Vector, eigenvectors: Vector, eigenvalues: Vector, length: float) -> tuple[Vector, Vector]:
    """Starts beside critical points, along eigenvectors of the Hessian that are not in its kernel, both ways.

    Parameters
    ----------
    theta : (P,) array
    eigenvectors : (P, P) array
        In columns.
    eigenvalues : (P,) array
        Ascending; those that are exactly 0 are left out.
    length : float
        Of the displacements.

    Returns
    -------
    starts : (2k, P) array
        For the k eigenvalues left.
    index : (2k,) integer array
        How many eigenvectors to follow upwards from there: one more than the eigenvalues below one that is positive,
        one less for one that is negative.
    """
    kept = np.flatnonzero(eigenvalues)
    steps = length * eigenvectors[:, kept].T
    negative = int((eigenvalues < 0).sum())
    index = np.where(eigenvalues[kept] < 0, max(negative - 1, 0), negative + 1)
    return np.concatenate([theta + steps, theta - steps]), np.concatenate([index, index])


def recombined(units: tuple[Unit, ...], first: list[Vector], second: list[Vector], rng: np.random.Generator) -> Vector:
    """Parameters of one point with some units of another.

    Parameters
    ----------
    units : tuple of Unit
        At least one.
    first, second : lists of n (P,) arrays
    rng : numpy Generator

    Returns
    -------
    (n, P) array
        In one layer each, units chosen at random are replaced by units of the other chosen at random.

    Notes
    -----
    Where contributions of units are orthogonal, as eigencomponents of a quadratic form are, these are critical.
    """
    layers = [[unit for unit in units if unit.layer == layer] for layer in sorted({unit.layer for unit in units})]
    found = []
    for one, other in zip(first, second):
        members = layers[rng.integers(len(layers))]
        mixed = one.copy()
        for place, source in zip(members, rng.permutation(len(members))):
            if rng.random() < 0.5:
                mixed[place.before] = other[members[source].before]
                mixed[place.after] = other[members[source].after]
        found.append(mixed)
    return np.array(found).reshape(len(found), -1)


def redundant_variants(units: tuple[Unit, ...], theta: Vector) -> Vector:
    """Parameters with units switched off, or silent ones woken up where that leaves the function as it is.

    Parameters
    ----------
    units : tuple of Unit
    theta : (P,) array

    Returns
    -------
    (n, P) array
        For each unit that is not silent: ``in`` and ``out`` zero, ``in`` zero, ``out`` zero. For the silent ones of a
        layer: read with weights of either sign; copies of another unit that share, or outdo, what is read of it, one
        copy and all of them.

    Notes
    -----
    On such sets of parameters with the same function, all critical, the index of the Hessian changes: there can be
    plateaus of minima among them (Fukumizu and Amari 2000).
    """
    found: list[Vector] = []
    for unit in units:
        if not _is_silent(unit, theta):
            for parts in ((unit.before, unit.after), (unit.before,), (unit.after,)):
                off = theta.copy()
                for part in parts:
                    off[part] = 0.0
                found.append(off)
    for layer in sorted({unit.layer for unit in units}):
        members = [unit for unit in units if unit.layer == layer]
        silent = [unit for unit in members if _is_silent(unit, theta)]
        if silent:
            found += _read_with_signs(silent, theta, float(np.linalg.norm(theta)) or 1.0)
            for other in members:
                if other not in silent:
                    found += _copied(other, silent, theta)
    return np.array(found).reshape(-1, len(theta))


def _is_silent(unit: Unit, theta: Vector) -> bool:
    return not theta[unit.before].any() and not theta[unit.after].any()


def _read_with_signs(silent: list[Unit], theta: Vector, size: float) -> list[Vector]:
    found = []
    for sign in (1.0, -1.0):
        woken = theta.copy()
        for unit in silent:
            woken[unit.after] = sign * size / np.sqrt(len(unit.after))
        found.append(woken)
    return found


def _copied(other: Unit, silent: list[Unit], theta: Vector) -> list[Vector]:
    found = []
    for copies in {1, len(silent)}:
        for share in (1.0 / (copies + 1), 2.0):
            copied = theta.copy()
            for unit in silent[:copies]:
                copied[unit.before] = theta[other.before]
                copied[unit.after] = share * theta[other.after]
            copied[other.after] = (1.0 - copies * share) * theta[other.after]
            found.append(copied)
    return found
