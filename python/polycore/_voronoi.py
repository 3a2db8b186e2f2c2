# SPDX-License-Identifier: BSD-3-Clause
"""Where the closest point lies, for every target in a plane: Voronoi cells of points, of singular points, of strata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._quadtree import Plane, Square, refine
from ._validation import _describe, as_real_array
from .bias import bias
from .closest_points import closest_points
from .count_map import AffineFamily
from .loss import QDistance
from .networks import Network
from .polynomial_models import Parametrisation, Variety

__all__ = ["Model", "Nearest", "as_nearest", "cells"]

Floats: TypeAlias = NDArray[np.float64]
Model: TypeAlias = "Network | Parametrisation | Variety | Floats"
# Of a parametrisation at its singular points, relative to its coefficients: zeros that are double are known so well.
_STANDS_STILL = 1e-6
# From a position in the plane to the name of the cell.
Nearest: TypeAlias = Callable[[Floats], str]


def cells(plane: Plane, nearest: Nearest) -> dict[Square, str]:
    """The name of the cell at the centre of each square, refined at the borders."""
    found: dict[Square, str] = {}
    refine(plane, found, lambda square, _: nearest(plane.centre(square)), str.__eq__)
    return found


def as_nearest(
    model: object, family: object, label: Callable[[Floats], str] | None, seed: int, n_threads: int
) -> Nearest:
    """What names the cell of a target, from checked arguments."""
    if label is not None and not callable(label):
        raise TypeError(f"`label` must be callable, got {_describe(label)}")
    if isinstance(model, Network):
        return _of_network(model, family, label, seed, n_threads)
    if isinstance(model, (Parametrisation, Variety)):
        target = _targets(family, model.n_coordinates)
        metric = family.metric if isinstance(family, AffineFamily) else None

        if isinstance(model, Parametrisation) and model.n_parameters == 1:
            return _of_curve(model, target, metric, label)

        def nearest(at: Floats) -> str:
            found = closest_points(model, target(at), metric, rng=seed, n_threads=n_threads)
            if label is not None:
                return str(label(found.closest))
            return "closest point singular" if found.kinds[0] == "singular" else "closest point smooth"

        return nearest
    if not isinstance(model, (np.ndarray, list, tuple)):
        kinds = "a Network, a Parametrisation, a Variety or an array of points (n, m)"
        raise TypeError(f"`model` must be {kinds}, got {_describe(model)}")
    return _of_sites(as_real_array(model, "model", shape=("n", "m")), family, label)


def _of_curve(
    model: Parametrisation, target: Callable[[Floats], Floats], metric: Any, label: Callable[[Floats], str] | None
) -> Nearest:
    """On a curve the closest point is the best of the zeros of one polynomial: a hundred times as fast."""
    coordinates = np.zeros((model.n_coordinates, model.degree + 1))
    coordinates[:, model.basis.exponents[:, 0]] = model.coef
    gram = np.eye(len(coordinates)) if metric is None else QDistance.from_metric(metric, coordinates[:, 0]).gram

    def nearest(at: Floats) -> str:
        away = coordinates.copy()
        away[:, 0] -= target(at)
        squares = sum(np.convolve(a, b) for a, b in zip(away, gram @ away))
        # Real parts of complex zeros do no harm: they are parameters of points too.
        t = np.roots(np.polynomial.polynomial.polyder(squares)[::-1]).real
        best = t[np.argmin(np.polynomial.polynomial.polyval(t, squares))] if len(t) else 0.0
        if label is not None:
            return str(label(model.evaluate([best])))
        speed = np.linalg.norm(model.jacobian([best]))
        return (
            "closest point singular" if speed <= _STANDS_STILL * np.linalg.norm(model.coef) else "closest point smooth"
        )

    return nearest


def _of_network(
    net: Network, family: object, label: Callable[[Floats], str] | None, seed: int, n_threads: int
) -> Nearest:
    if not isinstance(family, AffineFamily):
        raise TypeError(f"`family` must be an AffineFamily for a network, got {_describe(family)}")
    if label is not None:
        raise ValueError("`label` must be None for a network: the strata have names")
    metric = "identity" if family.metric is None else family.metric

    def nearest(at: Floats) -> str:
        return bias(
            net, metric, rng=seed, targets=family.at(*at.tolist())[None], training=False, n_threads=n_threads
        ).cells[0]

    return nearest


def _of_sites(sites: Floats, family: object, label: Callable[[Floats], str] | None) -> Nearest:
    if not len(sites):
        raise ValueError("`model` must have at least one point, got none")
    target = _targets(family, sites.shape[1])
    metric = family.metric if isinstance(family, AffineFamily) else None
    if isinstance(metric, str):
        raise TypeError(f"`family` must have an array for its metric: names are for networks, got {metric!r}")

    def nearest(at: Floats) -> str:
        away = sites - target(at)
        images = away if metric is None else away @ metric
        number = int(np.argmin(np.sum(images * away, axis=1)))
        return f"point {number}" if label is None else str(label(sites[number]))

    return nearest


def _targets(family: object, m: int) -> Callable[[Floats], Floats]:
    """From positions to targets in R^m; without a family the plane itself."""
    if family is None:
        if m != 2:
            raise ValueError(f"`family` must be given for a model in {m} dimensions: only a plane needs none")
        return lambda at: at
    if isinstance(family, AffineFamily):
        if family.target.shape != (m,):
            raise ValueError(f"`family` must have targets of shape ({m},), got {family.target.shape}")
        affine = family
        return lambda at: affine.at(*at.tolist())
    if not callable(family):
        raise TypeError(f"`family` must be callable or an AffineFamily, got {_describe(family)}")
    given: Any = family
    return lambda at: as_real_array(given(*at.tolist()), "family(s, t)", shape=(("m", m),))


def curve(model: object, family: object, plane: Plane) -> Floats | None:
    """Points (n, 2) along a plane curve that a parametrisation in one variable makes, or None."""
    if (
        family is not None
        or not isinstance(model, Parametrisation)
        or (model.n_parameters, model.n_coordinates) != (1, 2)
    ):
        return None
    # Parameters far out are as many as near 0, on a logarithmic scale.
    t = np.sinh(np.linspace(-8.0, 8.0, 4001))
    points = model.evaluate(t[:, None])
    reach = 2.0 * np.abs([plane.low, plane.high]).max()
    return np.asarray(np.where(np.abs(points).max(axis=1, keepdims=True) <= reach, points, np.nan))
