# SPDX-License-Identifier: BSD-3-Clause
"""The spaces in which `polycore.bias` looks for closest points, and their strata: of networks, and of other models.

Legend: N monomials, O outputs, P = n_params; for models m coordinates; u a target, ‖u‖² = ``square`` its size in the
metric Q.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import stationary
from ._critical_starts import fitted_starts, natural_scale
from ._hidden_units import balance, hidden_units
from ._validation import as_real_array
from .closest_points import closest_points
from .dimension import dimension
from .gradient_flow import gradient_flow
from .jacobian_rank import jacobian_rank
from .loss import QDistance
from .network_loss import NetworkLoss
from .networks import Network
from .polynomial_models import Parametrisation, Variety, as_point_and_metric
from .subnetworks import Stratum, _size_text, subnetworks

Vector = NDArray[np.float64]
Sizes = tuple[Any, ...]

# Values that differ by less than the first fraction of ‖u‖² are equal, by more than the second different.
_EQUAL, _DIFFERENT = 1e-10, 1e-8
# Rounds of searches for one target end when the best value has been found so many times.
_AGREE, _MAX_ROUNDS = 3, 4
# Searches on strata need fewer starts: they are smaller.
_STRATUM_STARTS = 8
# Displacements, relative, from the best points of the strata.
_BESIDE = (1e-2, 0.1, 0.5)
# Searches that go on and on: so many more, in each of which balanced parameters grow by this factor at least.
_FOLLOW, _FOLLOW_TOL, _GROWTH = 4, 1e-14, 1.005
# A point is reached if the Newton step across the fibre is shorter than this fraction of the parameters.
_SETTLED = 1e-3
# Training is followed with little accuracy, its end polished. Squared relative distances to a stratum that is reached,
# and to one that is only approached, since the point is degenerate and Newton steps do not converge.
_FLOW_TOL, _FLOW_STEPS, _REACHED, _APPROACHED = 1e-6, 3000, 1e-14, 1e-6
# Terms of a function that are so many times larger than it cancel: no generic function is like that.
_CANCELLING, _TINY = 1e4, float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Found:
    """Where the point closest to one target is.

    Attributes
    ----------
    cell : tuple or str
        The sizes of a smaller network, or a word: "smooth", "singular", "boundary", "zero", "not attained",
        "undecided".
    value : float
        The squared distance.
    uncertain : bool
        Whether only one search found it.
    critical : dict
        For the largest smaller networks, whether their best is critical in the whole network.
    trained : tuple or str
        Where training ends; "" if it was not looked at.
    """

    cell: Sizes | str
    value: float
    uncertain: bool = False
    critical: dict[Sizes, bool] = field(default_factory=dict)
    trained: Sizes | str = ""


class Space(Protocol):
    """What `bias` asks of a space.

    Attributes
    ----------
    shape : tuple of int
        Of targets.
    dimension : int or None
    largest : tuple of tuple
        The sizes of the largest smaller networks, which are looked at for every target.
    listed : tuple of str
        Cells that are listed also where they have no targets.
    """

    shape: tuple[int, ...]
    dimension: int | None
    largest: tuple[Sizes, ...]
    listed: tuple[str, ...]

    @property
    def words(self) -> str:
        """What it is the space of."""

    def stratum(self, sizes: Sizes) -> Stratum:
        """The smaller network with these sizes."""

    def name(self, sizes: Sizes) -> str:
        """The same in words."""

    def gaussian(self, generator: np.random.Generator) -> Vector:
        """A target that is standard normal in orthonormal coordinates."""

    def locate(self, target: Vector, generator: np.random.Generator) -> Found:
        """The stratum of the point that is closest to a target."""


def orthonormal(gram: Vector) -> Vector:
    """A basis that is orthonormal for a positive semidefinite matrix, in columns; without its kernel."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > 16 * np.finfo(float).eps * len(values) * values[-1]
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


# --- networks ---------------------------------------------------------------------------------------------------------


def metric_of_network(metric: ArrayLike | str | QDistance, net: Network) -> Vector:
    """Q as a matrix on all monomials of the basis, (N, N), or (O·N, O·N) for all outputs together."""
    if isinstance(metric, QDistance):
        metric.compose(net)
        return _on_basis(metric.gram, net)
    zero = np.zeros((net.n_outputs, net.basis.n_monomials))
    if isinstance(metric, str):
        return QDistance.from_metric(metric, zero, net.basis).gram
    matrix = as_real_array(metric, "metric")
    n = net.basis.n_monomials
    if matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]:
        matrix = _on_basis(matrix, net)
    if matrix.shape not in ((n, n), (zero.size, zero.size)):
        raise ValueError(
            f"`metric` must have shape (n_monomials={n}, {n}), or ({zero.size}, {zero.size}) for all outputs together, "
            f"got {matrix.shape}"
        )
    return QDistance.from_metric(matrix, zero, net.basis).gram


def _on_basis(gram: Vector, net: Network) -> Vector:
    """A matrix on the support of a network with zeros for the monomials that do not occur; others as they are."""
    n, sizes = net.basis.n_monomials, {net.basis.n_monomials, net.n_outputs * net.basis.n_monomials}
    if len(gram) in sizes or len(gram) not in (len(net.support), net.n_outputs * len(net.support)):
        return gram
    at = np.array([net.basis.index(exponent) for exponent in net.support.exponents])
    if len(gram) != len(net.support):
        at = (n * np.arange(net.n_outputs)[:, None] + at).reshape(-1)
        n *= net.n_outputs
    result = np.zeros((n, n))
    result[np.ix_(at, at)] = gram
    return result


@dataclass(frozen=True)
class _Best:
    """The best of several searches in one network."""

    value: float
    theta: Vector
    converged: bool
    hits: int


class FunctionSpace:
    """A network in a metric, its strata, and the search for closest functions."""

    def __init__(self, net: Network, gram: Vector, n_starts: int, training: bool, n_threads: int) -> None:
        self.net, self.gram = net, gram
        self.n_starts, self.training, self.n_threads = n_starts, training, n_threads
        self.shape: tuple[int, ...] = (net.n_outputs, net.basis.n_monomials)
        self.dimension: int | None = dimension(net).dimension
        self._units = hidden_units(net)
        self._parts = subnetworks(net, max_count=1).parts
        self._strata: dict[Sizes, Stratum] = {}
        self._orthonormal = orthonormal(gram)
        self.listed: tuple[str, ...] = ()
        self.largest: tuple[Sizes, ...] = self.below(tuple(part.full for part in self._parts), self.dimension)

    @property
    def words(self) -> str:
        """What it is the space of."""
        return repr(self.net)

    def gaussian(self, generator: np.random.Generator) -> Vector:
        """A target that is standard normal in orthonormal coordinates."""
        joint = len(self.gram) != self.shape[1]
        z = generator.standard_normal((1 if joint else self.shape[0], self._orthonormal.shape[1]))
        return np.asarray((z @ self._orthonormal.T).reshape(self.shape))

    # -- strata --------------------------------------------------------------------------------------------------------

    def stratum(self, sizes: Sizes) -> Stratum:
        """The stratum with these sizes."""
        if sizes not in self._strata:
            self._strata[sizes] = Stratum(self.net, self._parts, sizes)
        return self._strata[sizes]

    def below(self, sizes: Sizes, full: int) -> tuple[Sizes, ...]:
        """The largest smaller networks whose function spaces have a dimension below ``full``."""
        found: dict[Sizes, None] = {}
        for smaller in _one_less(sizes):
            if self.stratum(smaller).dimension < full:
                found[smaller] = None
            else:
                found.update(dict.fromkeys(self.below(smaller, full)))
        return tuple(found)

    def name(self, sizes: Sizes) -> str:
        """A stratum in words."""
        widths = getattr(self.stratum(sizes).network, "widths", None)
        if widths is not None and all(part.kind == "units" for part in self._parts):
            return f"widths {widths}"
        texts = [f"{part.name}: {_size_text(s)}" for part, s in zip(self._parts, sizes) if s != part.full]
        return ", ".join(texts)

    # -- searches ------------------------------------------------------------------------------------------------------

    def locate(self, target: Vector, generator: np.random.Generator) -> Found:
        """The stratum of the function that is closest to a target."""
        loss = QDistance.from_metric(self.gram, target, self.net.basis)
        square = self._square(loss)
        objective = loss.compose(self.net)
        parts = {sizes: self._on_stratum(sizes, loss, generator) for sizes in self.largest}
        embedded = np.array([self._embed(sizes, best) for sizes, best in parts.items()]).reshape(-1, self.net.n_params)
        best = self._search(objective, loss, square, self.n_starts, embedded, generator)
        value = min([best.value, *(part.value for part in parts.values())])
        critical = {
            sizes: part.converged and _is_critical(objective, theta)
            for (sizes, part), theta in zip(parts.items(), embedded)
        }
        cell: Sizes | str = "zero"
        if value < (1.0 - _EQUAL) * square:
            cell = self._smallest(loss, parts, value, (_EQUAL * square, _DIFFERENT * square), generator)
        if not cell:
            cell = self._off_strata(objective, square, best)
        uncertain = cell in ("smooth", "singular", "boundary") and best.hits <= 1
        trained = self._train(loss, square, generator) if self.training else ""
        return Found(cell, value, uncertain, critical, trained)

    def _smallest(
        self,
        loss: QDistance,
        parts: dict[Sizes, _Best],
        value: float,
        tolerances: tuple[float, float],
        generator: np.random.Generator,
    ) -> Sizes | str:
        """The smallest stratum that attains the value up to the first tolerance, "undecided" up to the second, or "".

        ``parts`` are the best in the largest strata.
        """
        cell: Sizes | str = ""
        while parts:
            excess = {sizes: part.value - value for sizes, part in parts.items()}
            closest = min(excess, key=lambda sizes: excess[sizes])
            if excess[closest] > tolerances[1]:
                break
            if excess[closest] > tolerances[0]:
                return "undecided"
            cell = closest
            parts = {sizes: self._on_stratum(sizes, loss, generator) for sizes in _one_less(closest)}
        return cell

    def _train(self, loss: QDistance, square: float, generator: np.random.Generator) -> Sizes | str:
        """Where gradient flow from random parameters ends."""
        start = natural_scale(loss, self.net, generator) * self.net.random_params(generator)
        flow = gradient_flow(
            loss, self.net, start, rtol=_FLOW_TOL, tol=_FLOW_TOL, max_steps=_FLOW_STEPS, n_threads=self.n_threads
        )
        if flow.ended == "interrupted":  # which stops the flow alone
            raise KeyboardInterrupt
        if flow.ended == "diverged":
            return "not attained"
        if flow.ended != "critical point":
            return "undecided"
        polished = stationary.search(loss.compose(self.net), flow.thetas[-1:], "newton", n_threads=self.n_threads)
        reached = (_REACHED if polished.converged[0] else _APPROACHED) * square
        end = QDistance.from_metric(self.gram, self.net.expand(polished.theta[0]), self.net.basis)
        if self._square(end) <= reached:
            return "zero"
        parts = {sizes: self._on_stratum(sizes, end, generator) for sizes in self.largest}
        return self._smallest(end, parts, 0.0, (reached, reached), generator) or "smooth"

    def _on_stratum(self, sizes: Sizes, loss: QDistance, generator: np.random.Generator) -> _Best:
        net = self.stratum(sizes).network
        none = np.empty((0, net.n_params))
        return self._search(NetworkLoss(loss, net), loss, self._square(loss), _STRATUM_STARTS, none, generator)

    def _search(
        self,
        objective: NetworkLoss,
        loss: QDistance,
        square: float,
        n_starts: int,
        beside: Vector,
        generator: np.random.Generator,
    ) -> _Best:
        """Rounds of descents from random starts and from beside some points, until the best value has been found often.

        Of values that agree those of searches that converged are preferred.
        """
        values, thetas, converged = np.empty(0), np.empty((0, objective.n_params)), np.empty(0, dtype=bool)
        for _ in range(_MAX_ROUNDS):
            starts = [fitted_starts(loss, objective.net, 1.0, generator, n_starts)]
            for size in _BESIDE:
                scale = size * np.linalg.norm(beside, axis=1, keepdims=True) / math.sqrt(objective.n_params)
                starts.append(beside + scale * generator.standard_normal(beside.shape))
            found = stationary.search(objective, np.concatenate(starts), "descent", n_threads=self.n_threads)
            finite = np.isfinite(found.value)
            values = np.concatenate([values, found.value[finite]])
            thetas = np.concatenate([thetas, found.theta[finite]])
            converged = np.concatenate([converged, found.converged[finite]])
            if not len(values):
                continue
            agree = values <= values.min() + _DIFFERENT * square
            if agree.sum() >= _AGREE:
                break
        if not len(values):
            return _Best(math.inf, np.zeros(objective.n_params), False, 0)
        candidates = np.flatnonzero(agree & converged) if (agree & converged).any() else np.flatnonzero(agree)
        at = candidates[np.argmin(values[candidates])]
        return _Best(float(values.min()), thetas[at], bool(converged[at]), int(agree.sum()))

    def _off_strata(self, objective: NetworkLoss, square: float, best: _Best) -> str:
        """Smooth or not, where no smaller network does as well."""
        theta = balance(self._units, best.theta[None])[0]
        if self._cancels(theta, square):
            return "not attained"
        if not (best.converged and self._is_settled(objective, theta)):
            return self._follow(objective, square, best.value, theta)
        if jacobian_rank(self.net, theta).rank == self.dimension:
            return "smooth"
        from .singularities import analyze_point

        return analyze_point(self.net, theta).verdict

    def _follow(self, objective: NetworkLoss, square: float, value: float, theta: Vector) -> str:
        """Whether a search that does not end goes to infinity: its balanced parameters grow while the value falls."""
        for _ in range(_FOLLOW):
            found = stationary.search(objective, theta[None], "descent", tol=_FOLLOW_TOL, n_threads=self.n_threads)
            after = balance(self._units, found.theta)[0]
            if self._cancels(after, square):
                return "not attained"
            if found.converged[0] and self._is_settled(objective, after):
                return self._off_strata(objective, square, _Best(found.value[0], after, True, 1))
            if not (found.value[0] < value and np.linalg.norm(after) > _GROWTH * np.linalg.norm(theta)):
                return "undecided"
            theta, value = after, found.value[0]
        return "not attained"

    def _cancels(self, theta: Vector, square: float) -> bool:
        """Whether a moderate function is made of huge terms: where weights have gone to infinity."""
        terms = float(np.linalg.norm(np.abs(self.net.jacobian(theta)) @ np.abs(theta)))
        size = float(np.linalg.norm(self.net.expand(theta)))
        return terms > _CANCELLING * max(size, math.sqrt(square / max(float(np.linalg.norm(self.gram, 2)), _TINY)))

    def _is_settled(self, objective: NetworkLoss, theta: Vector) -> bool:
        """Whether the Newton step across the fibre is short: where an infimum is not attained it is not, however small
        the gradient, since the Hessian vanishes with it."""
        across = np.linalg.svd(self.net.jacobian(theta), full_matrices=False)[2][: self.dimension]
        hessian = across @ objective.hessian(theta) @ across.T
        step = np.linalg.lstsq(hessian, across @ objective.gradient(theta), rcond=1e-14)[0]
        return bool(np.linalg.norm(step) <= _SETTLED * np.linalg.norm(theta))

    def _square(self, loss: QDistance) -> float:
        """The squared size of its target."""
        return float(loss.value(np.zeros(self.shape)))

    def _embed(self, sizes: Sizes, best: _Best) -> Vector:
        """Parameters of the whole network, balanced, since gradients are only as large as the weights let them be."""
        stratum = self.stratum(sizes)
        return np.asarray(stratum.embed(balance(hidden_units(stratum.network), best.theta[None])[0]))


def _one_less(sizes: Sizes) -> Iterator[Sizes]:
    """Sizes with one unit, rank, or place at an end of a filter less."""
    for at, size in enumerate(sizes):
        smaller: list[Any] = []
        if isinstance(size, int):
            smaller = [size - 1] if size > 1 else []
        else:
            for axis, (a, b) in enumerate(size):
                if b - a > 1:
                    smaller += [(*size[:axis], end, *size[axis + 1 :]) for end in ((a, b - 1), (a + 1, b))]
        yield from ((*sizes[:at], s, *sizes[at + 1 :]) for s in smaller)


def _is_critical(objective: NetworkLoss, theta: Vector) -> bool:
    norm = float(np.linalg.norm(objective.gradient(theta)))
    return norm <= 1e-8 * float(objective.gradient_scale(theta))


# --- other models -----------------------------------------------------------------------------------------------------


class ModelSpace:
    """A parametrised or implicit model in a metric; its strata are its singular points and the rest."""

    def __init__(
        self, model: Parametrisation | Variety, metric: ArrayLike | None, n_starts: int, n_threads: int
    ) -> None:
        self.model = model
        self.shape: tuple[int, ...] = (model.n_coordinates,)
        _, self.gram = as_point_and_metric(np.zeros(self.shape), metric, model.n_coordinates)
        self.n_starts, self.n_threads = n_starts, n_threads
        self._orthonormal = orthonormal(self.gram)
        self.largest: tuple[Sizes, ...] = ()
        self.listed: tuple[str, ...] = ("singular",)
        self._method = "auto"
        self.dimension: int | None = None
        if isinstance(model, Parametrisation):
            t = np.random.default_rng(0).standard_normal(model.n_parameters)
            self.dimension = int(np.linalg.matrix_rank(model.jacobian(t)))

    @property
    def words(self) -> str:
        """What it is the space of."""
        return repr(self.model)

    def stratum(self, sizes: Sizes) -> Stratum:
        """There are none."""
        raise KeyError(sizes)

    def name(self, sizes: Sizes) -> str:
        """There are none."""
        raise KeyError(sizes)

    def gaussian(self, generator: np.random.Generator) -> Vector:
        """A target that is standard normal in orthonormal coordinates."""
        return np.asarray(self._orthonormal @ generator.standard_normal(self._orthonormal.shape[1]))

    def locate(self, target: Vector, generator: np.random.Generator) -> Found:
        """Whether the closest point is singular."""
        square = float(target @ self.gram @ target)
        seed = int(generator.integers(2**63))
        found = closest_points(
            self.model,
            target,
            self.gram,
            method=self._method,
            n_starts=self.n_starts,
            rng=seed,
            n_threads=self.n_threads,
        )
        if found.method == "search":
            self._method = "search"  # solving is out of reach for every target
        if not len(found.distances):
            return Found("undecided", math.nan)
        singular = np.array([kind == "singular" for kind in found.kinds])
        value = float(found.distances.min())
        best = [float(found.distances[which].min(initial=math.inf)) for which in (singular, ~singular)]
        if abs(best[0] - best[1]) <= _DIFFERENT * square:
            return Found("undecided", value)
        return Found("smooth" if best[1] < best[0] else "singular", value)
