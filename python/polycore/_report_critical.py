# SPDX-License-Identifier: BSD-3-Clause
"""Critical points of training in a report: finding them within bounds, and as plain values for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ._rows import Matrix

if TYPE_CHECKING:
    from .critical import CriticalPoints
    from .critical_point import CriticalPoint
    from .loss import QDistance
    from .networks import Network

SCHEMA = "polycore-critical/1"
# Beyond this many parameters searches and classification are no matter of seconds.
MAX_PARAMS = 60
# A step of a search costs about this many times n_params³ operations, besides the loss itself.
_EIGENVALUES = 10
_OPERATIONS = 10**10
_MAX_EVALUATIONS = 50_000


def find_for_report(
    loss: QDistance, network: Network, thetas: Matrix, n_starts: int, rng: np.random.Generator
) -> CriticalPoints | str:
    """The critical points found with moderate effort, beginning where training ended; or why they were not looked for.

    The effort is bounded by the number of evaluations, not by a clock: a report has the same bytes on every machine.
    """
    from .critical import critical_points

    if not n_starts:
        return "They were not asked for."
    if network.n_params > MAX_PARAMS:
        return (
            f"They were not looked for: the network has {network.n_params} parameters, and the report does this up to "
            f"{MAX_PARAMS}. polycore critical has no such limit."
        )
    n_coef = network.n_outputs * len(network.basis)
    step = network.n_params * (_EIGENVALUES * network.n_params**2 + n_coef * len(network.basis))
    result = critical_points(
        loss, network, n_starts, rng, starts=thetas, max_evaluations=min(_MAX_EVALUATIONS, _OPERATIONS // step)
    )
    if result.stopped == "interrupted":
        raise KeyboardInterrupt
    return result


def critical_dict(result: CriticalPoints) -> dict[str, Any]:
    """All points and how they were found, in the schema docs/critical.md describes."""
    return {
        "method": result.method,
        "source": result.source,
        "seed": result.seed,
        "n_starts": result.n_starts,
        "n_evaluations": result.n_evaluations,
        "complete": result.complete,
        "completeness": asdict(result.completeness),
        "partial": result.partial,
        "stopped": result.stopped,
        "skipped": list(result.skipped),
        "n_minima": len(result.minima),
        "points": [point_dict(point) for point in result.points],
    }


def point_dict(point: CriticalPoint) -> dict[str, Any]:
    """One point: everything but the analysis behind ``location``, of which the reason is kept."""
    inertia, origin, analysis = point.inertia, point.origin, point.analysis
    return {
        "sentence": point.sentence,
        "loss": point.loss,
        "kind": point.kind,
        "is_minimum": point.is_minimum,
        "higher_order": point.higher_order,
        "status": point.status,
        "proved": point.proved,
        "reason": point.reason,
        "gradient_norm": point.gradient_norm,
        "gradient_scale": point.gradient_scale,
        "inertia": {
            "index": inertia.index,
            "nullity": inertia.nullity,
            "positive": inertia.positive,
            "fibre_dimension": inertia.fibre_dimension,
            "eigenvalues": inertia.eigenvalues.tolist(),
            "tolerance": inertia.tolerance,
            "margin": inertia.margin,
            "partial": inertia.partial,
        },
        "origin": asdict(origin),
        "location": point.location,
        "location_reason": None if analysis is None else analysis.reason,
        "subnetwork": point.subnetwork,
        "zero_loss": point.zero_loss,
        "degenerate_metric": point.degenerate_metric,
        "projected_rank": point.projected_rank,
        "hits": point.hits,
        "found_by": list(point.found_by),
        "theta": point.theta.tolist(),
        "canonical_theta": point.canonical_theta.tolist(),
        "coefficients": point.coef.tolist(),
    }
