# SPDX-License-Identifier: BSD-3-Clause
"""The hidden units of a network by the positions of their weights in θ, and their balanced scalings.

Legend: ``B`` parameter vectors of ``P = n_params`` numbers. A hidden unit whose activation is c·zʳ has weights ``in``
before it and ``out`` after it; in · s, out · s⁻ʳ is the same function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .structure import Parametrised, hidden_layers

if TYPE_CHECKING:
    from .networks import Network

Vector = NDArray[np.float64]

# Rounds over all units, and the change of a factor at which they end.
_SWEEPS, _BALANCED = 30, 1e-13
# A balanced unit smaller than this fraction of all parameters may as well be off.
_FAINT = 1e-4


@dataclass(frozen=True, eq=False)
class Unit:
    """A hidden unit by the positions of its weights in θ.

    Attributes
    ----------
    layer : int
    before, after : integer arrays
        Its own weights, bias included, and those by which it is read.
    power : int or None
        r where the activation is c·zʳ and r >= 1, else None.
    """

    layer: int
    before: NDArray[np.intp]
    after: NDArray[np.intp]
    power: int | None


def hidden_units(net: Network) -> tuple[Unit, ...]:
    """The units of all hidden layers, in program order.

    Parameters
    ----------
    net : Network

    Returns
    -------
    tuple of Unit
    """
    program = net.program
    positions = Parametrised(program, np.arange(net.n_params))
    found = []
    for number, layer in enumerate(hidden_layers(program)):
        for unit in range(positions.affine(layer.before).n_out):
            before = [positions.weights[layer.before][unit]]
            if layer.before in positions.biases:
                before.append(positions.biases[layer.before][unit : unit + 1])
            after = [positions.weights[k][:, positions.columns_of(layer, k, unit)].ravel() for k in layer.after]
            found.append(Unit(number, np.concatenate(before), np.concatenate(after), _power(layer.coefficients)))
    return tuple(found)


def _power(coefficients: tuple[Any, ...]) -> int | None:
    degree = len(coefficients) - 1
    return degree if degree >= 1 and not any(coefficients[:-1]) else None


def balance(units: tuple[Unit, ...], theta: Vector) -> Vector:
    """Parameters of the same functions with ‖in‖² = r‖out‖² at every unit that scaling can bring there.

    Parameters
    ----------
    units : tuple of Unit
    theta : (B, P) array

    Returns
    -------
    (B, P) array
        Units with ``in`` or ``out`` zero are left alone.

    Notes
    -----
    The balanced parameters are those of least norm among all that scalings of units make: with in · s and out · s⁻ʳ,
    s²‖in‖² + s⁻²ʳ‖out‖² is least where the first term is r times the second. It is convex in log s, for all units
    together, so that minimising over one unit at a time converges.
    """
    result = np.array(theta, dtype=np.float64)
    scalable = [unit for unit in units if unit.power is not None]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_SWEEPS):
            change = max((_balance_unit(unit, result) for unit in scalable), default=0.0)
            if change < _BALANCED:
                break
    # Scaling to the ends of the range of floats can overflow: those stay as they were.
    finite = np.isfinite(result).all(axis=1)
    result[~finite] = theta[~finite]
    return result


def _balance_unit(unit: Unit, theta: Vector) -> float:
    """Scale one unit, in place; the largest change of a factor from 1."""
    assert unit.power is not None
    before = np.linalg.norm(theta[:, unit.before], axis=1)
    after = np.linalg.norm(theta[:, unit.after], axis=1)
    s = (np.sqrt(unit.power) * after / before) ** (1.0 / (unit.power + 1))
    s = np.where(np.isfinite(s) & (s > 0), s, 1.0)
    theta[:, unit.before] *= s[:, None]
    theta[:, unit.after] *= (s ** -float(unit.power))[:, None]
    return float(np.abs(s - 1.0).max(initial=0.0))


def without_faint_units(units: tuple[Unit, ...], theta: Vector, typical: float) -> Vector:
    """Balanced parameters with the units switched off that are all but switched off.

    Parameters
    ----------
    units : tuple of Unit
    theta : (B, P) array
        Balanced.
    typical : float
        Size of parameters.

    Returns
    -------
    (B, P) array
        Searches come close to points with silent units slowly, since the loss is flat there.
    """
    result = theta.copy()
    faint = _FAINT * np.maximum(np.linalg.norm(theta, axis=1), 0.1 * typical)
    for unit in units:
        parts = np.concatenate([unit.before, unit.after])
        both = theta[:, unit.before].any(axis=1) & theta[:, unit.after].any(axis=1)
        off = both & (np.linalg.norm(theta[:, parts], axis=1) < faint)
        result[np.ix_(off, parts)] = 0.0
    return result
