# SPDX-License-Identifier: BSD-3-Clause
"""The searches for critical points of one network, in rounds, until nothing new comes or a budget is spent.

Legend: ``B`` starts, ``P = n_params``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import stationary
from ._critical_merge import Found, Pool
from ._critical_products import search_by_products
from ._critical_starts import (
    displaced,
    fitted_starts,
    held_by,
    natural_scale,
    random_starts,
    recombined,
    redundant_variants,
)
from ._hidden_units import balance, hidden_units, without_faint_units
from .fitting import MAX_DENSE_PARAMS
from .networks import Network

Vector = NDArray[np.float64]

# Steps of one search, and starts that go to the core at once.
_MAX_STEPS = 200
_AT_A_TIME = 512
_POLISHING_STEPS = 50
# Numbers in a Jacobian up to which it is made; starts of a round by products.
_MAX_JACOBIAN = 2**22
_LARGE_ROUND = 8
# Starts of a round, which are all made at once, at most.
_MAX_ROUND = 2**14
_POLISHED = 1e-13
# Rounds without a new function after which a search ends.
_QUIET_ROUNDS = 3
# Starts beside one point found, as fractions of the typical size of parameters; and beside how many points.
_DISPLACEMENTS = (0.05, 0.4)
_MAX_FOLLOWED = 60
# Logarithms of the lengths of random steps from points found, in units of the typical size.
_HOPS = (-1.3, 0.2)
# Variants with units switched off or doubled, of one point.
_MAX_VARIANTS = 48
# Other points whose units it is recombined with.
_MAX_MIXED = 24
# Parameters so much larger than those of random starts are on their way to infinity.
_FAR = 1e3


def is_dense(net: Network) -> bool:
    """Whether the searches make dense Hessians and Jacobians.

    Parameters
    ----------
    net : Network

    Returns
    -------
    bool
    """
    n_coef = net.n_outputs * net.basis.n_monomials
    return net.n_params <= MAX_DENSE_PARAMS and net.n_params * n_coef <= _MAX_JACOBIAN


class Budget:
    """What the searches may still take: time, evaluations, and whether they have been stopped.

    Parameters
    ----------
    seconds : float or None
    evaluations : int or None
        Of gradients with Hessians: a step of a search is one.
    """

    def __init__(self, seconds: float | None, evaluations: int | None) -> None:
        self._begun, self._seconds = time.monotonic(), seconds
        self._evaluations = evaluations
        self.used = 0
        self.stopped = ""
        # The part of the limits that may be used for now.
        self.ceiling = 1.0

    def should_stop(self) -> bool:
        """Whether a limit is reached, and notes which; or the part of it that may be used for now."""
        if not self.stopped:
            if self.share_of_time() >= 1.0:
                self.stopped = "time"
            elif self._share_of_evaluations() >= 1.0:
                self.stopped = "evaluations"
        return bool(self.stopped) or max(self.share_of_time(), self._share_of_evaluations()) >= self.ceiling

    def share_of_time(self) -> float:
        """The time since the beginning, as a multiple of the limit; 0 without one."""
        if self._seconds is None:
            return 0.0
        return (time.monotonic() - self._begun) / self._seconds if self._seconds else 1.0

    def _share_of_evaluations(self) -> float:
        if self._evaluations is None:
            return 0.0
        return self.used / self._evaluations if self._evaluations else 1.0

    def allowed(self, n: int, steps: int) -> tuple[int, int]:
        """How many of n starts may go on, for how many of the steps: at least one start, for one step."""
        if self._evaluations is None:
            return n, steps
        left = max(1, int(self._evaluations * self.ceiling) - self.used)
        steps = min(steps, left)
        return max(1, min(n, left // steps)), steps

    def spend(self, evaluations: int) -> None:
        """Note what was used."""
        self.used += evaluations


class Explorer:
    """Searches for the critical points of one network and what they found.

    Parameters
    ----------
    loss : CoefficientLoss
    objective : NetworkLoss
        The loss composed with the network.
    rng : numpy Generator
    budget : Budget
    tol : float
        See `stationary.search`.
    balanced : bool
        Whether starts are balanced.
    n_threads : int
    progress : callable, optional
        Called with the numbers of random starts done and intended, and of functions found.
    """

    def __init__(
        self,
        loss: Any,
        objective: Any,
        rng: np.random.Generator,
        budget: Budget,
        *,
        tol: float,
        balanced: bool,
        n_threads: int,
        progress: Callable[[int, int, int], None] | None = None,
    ) -> None:
        self.loss, self.objective = loss, objective
        self.net: Network = objective.net
        self._rng, self._budget = rng, budget
        self._tol, self._balanced, self._n_threads = tol, balanced, n_threads
        self._progress = progress
        self.dense = is_dense(self.net)
        self.units = hidden_units(self.net)
        self.scale = natural_scale(loss, self.net, rng)
        target = held_by(loss, "target")
        self.pool = Pool(objective, self.dense, 1.0 if target is None else float(np.linalg.norm(target)) or 1.0)
        self.n_random = self.n_diverged = self.n_unsettled = self.new_in_last = 0
        self.lowest_unsettled = np.inf
        self._typical = float(np.linalg.norm(self.scale * np.asarray(self.net.random_params(rng))))

    # -- one search ---------------------------------------------------------------------------------------------------

    def search(
        self,
        starts: Vector,
        method: str,
        name: str,
        *,
        random: bool = False,
        index: NDArray[np.int64] | None = None,
        origins: list[Found | None] | None = None,
    ) -> int:
        """Search from all starts, as far as the budget goes, and keep what converges.

        Parameters
        ----------
        starts : (B, P) array
        method : str
            Of `stationary.search`.
        name : str
            What to call it.
        random : bool
            Whether the starts are independent of what was found.
        index : (B,) integer array, optional
            For method "index".
        origins : list of Found, optional
            The points beside which the starts are.

        Returns
        -------
        int
            How many functions are new.
        """
        new, first = 0, 0
        while first < len(starts) and not self._budget.should_stop():
            n, steps = self._budget.allowed(min(_AT_A_TIME, len(starts) - first), _MAX_STEPS)
            rows = slice(first, first + n)
            at = balance(self.units, starts[rows]) if self._balanced else starts[rows]
            found = self._searched(at, method, self._tol, steps, None if index is None else index[rows])
            new += self._keep(found, name, random, None if origins is None else origins[rows])
            first += n
        return new

    def _keep(self, found: stationary.Search, name: str, random: bool, origins: list[Found | None] | None) -> int:
        settled = found.converged
        if random:
            with np.errstate(over="ignore", invalid="ignore"):
                far = ~(np.linalg.norm(found.theta, axis=1) <= _FAR * self._typical)
            self.n_random += len(settled)
            self.n_diverged += int((~settled & far).sum())
            self.n_unsettled += int((~settled & ~far).sum())
            self.lowest_unsettled = min(self.lowest_unsettled, float(found.value[~settled].min(initial=np.inf)))
        if not settled.any():
            return 0
        again = self._polished(found.theta[settled])
        kept = again.converged
        if random:
            self.n_diverged += int((~kept).sum())
        if origins is not None:
            origins = [origins[k] for k in np.flatnonzero(settled)[kept]]
        return self.pool.add(
            again.theta[kept],
            again.value[kept],
            again.gradient_norm[kept],
            again.scale[kept],
            name,
            random=random,
            origins=origins,
        )

    def _polished(self, theta: Vector) -> stationary.Search:
        """Newton steps down to rounding level, in the balanced gauge.

        Where weights differ much in size, small gradients do not make small errors of the function. And where an
        infimum is not attained the gradient becomes small, but Newton steps lead on towards infinity.
        """
        balanced = balance(self.units, theta)
        reduced = without_faint_units(self.units, balanced, self._typical)
        again = self._newton(reduced)
        changed = np.flatnonzero((reduced != balanced).any(axis=1))
        if len(changed):
            # What looked faint may have been small: then it is a point of its own.
            as_they_were = self._newton(balanced[changed])
            near = 1e-9 * self.pool.value_scale
            same = again.converged[changed] & (np.abs(again.value[changed] - as_they_were.value) <= near)
            back = ~same & as_they_were.converged
            for name in ("theta", "value", "gradient_norm", "scale", "converged"):
                getattr(again, name)[changed[back]] = getattr(as_they_were, name)[back]
        return again

    def _newton(self, theta: Vector) -> stationary.Search:
        return self._searched(theta, "newton", min(self._tol, _POLISHED), _POLISHING_STEPS)

    def _searched(
        self, starts: Vector, method: str, tol: float, max_steps: int, index: NDArray[np.int64] | None = None
    ) -> stationary.Search:
        should_stop = None if method == "newton" else self._budget.should_stop
        with np.errstate(over="ignore", invalid="ignore"):  # searches from huge starts, which end there
            if self.dense:
                found = stationary.search(
                    self.objective,
                    starts,
                    method,
                    tol=tol,
                    max_steps=max_steps,
                    n_threads=self._n_threads,
                    index=index,
                    should_stop=should_stop,
                )
            else:
                found = search_by_products(
                    self.objective, starts, method, tol=tol, max_steps=max_steps, should_stop=should_stop
                )
        self._budget.spend(len(starts) + int(found.n_steps.sum()))
        return found

    # -- rounds -------------------------------------------------------------------------------------------------------

    def explore(self, n_starts: int) -> None:
        """Planted points, then rounds of random starts, each followed by searches beside what is new.

        Parameters
        ----------
        n_starts : int
            Random starts at most; fewer when nothing new has come for some rounds.
        """
        self._plant()
        size = min(max(8, -(-n_starts // 5)), _MAX_ROUND) if self.dense else _LARGE_ROUND
        quiet, done = 0, 0
        while done < n_starts and not self._is_over(quiet) and not self._budget.should_stop():
            n = min(size, n_starts - done)
            before = len(self.pool)
            if self.dense:
                self._round(n)
                self.new_in_last = len(self.pool) - before
                self.follow()
            else:
                self._round_by_products(n)
                self.new_in_last = len(self.pool) - before
            done += n
            quiet = quiet + 1 if len(self.pool) == before else 0
            if self._progress is not None:
                self._progress(done, n_starts, len(self.pool))

    def _is_over(self, quiet: int) -> bool:
        """Whether so many rounds without a new function, and so few functions hit only once, are enough."""
        return quiet >= _QUIET_ROUNDS and self.pool.expected_missing() < 0.5

    def _round(self, n: int) -> None:
        """n starts shared among the methods: half of them anywhere, the others from points found."""
        n_far = -(-n // 2)
        n_down, n_index = -(-n_far // 3), n_far // 3
        down = fitted_starts(self.loss, self.net, self.scale, self._rng, n_down)
        down[1::2] = random_starts(self.net, self.scale, self._rng, len(down[1::2]))
        raw = random_starts(self.net, self.scale, self._rng, n_far - n_down)
        self.search(down, "descent", "descent", random=True)
        self.search(raw[n_index:], "stationary", "stationary", random=True)
        index = self._rng.integers(1, max(2, self.net.n_params // 2 + 1), size=n_index)
        self.search(raw[:n_index], "index", "index", random=True, index=index)
        if len(self.pool):
            n_mixed = n_far // 3 if self.units else 0
            self._hop(n - n_far - n_mixed)
            if n_mixed:
                mates = self._rng.integers(len(self.pool), size=2 * n_mixed)
                forms = [self.pool.found[k].reduced.theta for k in mates]
                mixed = recombined(self.units, forms[:n_mixed], forms[n_mixed:], self._rng)
                self.search(mixed, "stationary", "recombined")

    def _round_by_products(self, n: int) -> None:
        """n random starts of a large network: downwards, and to where the gradient vanishes."""
        n_down = -(-n // 2)
        down = fitted_starts(self.loss, self.net, self.scale, self._rng, n_down)
        raw = random_starts(self.net, self.scale, self._rng, n - n_down)
        self.search(down, "descent", "descent", random=True)
        self.search(raw, "stationary", "stationary", random=True)

    def _hop(self, n: int) -> None:
        """Searches from n starts in random directions from points found."""
        origins: list[Found | None] = [self.pool.found[k] for k in self._rng.integers(len(self.pool), size=n)]
        forms = [origin.reduced for origin in origins if origin is not None]
        lengths = self._typical * 10.0 ** self._rng.uniform(*_HOPS, size=n)
        steps = self._rng.normal(size=(n, self.net.n_params))
        lengths /= np.linalg.norm(steps, axis=1)
        starts = np.array([form.theta for form in forms]).reshape(n, self.net.n_params) + lengths[:, None] * steps
        index = np.array([form.negative for form in forms], dtype=np.int64) + self._rng.integers(-1, 3, size=n)
        index = np.clip(index, 0, self.net.n_params)
        self.search(starts[::2], "stationary", "hop", random=True, origins=origins[::2])
        self.search(starts[1::2], "index", "hop", random=True, index=index[1::2], origins=origins[1::2])

    def follow(self) -> None:
        """Searches beside the points that have not had them yet."""
        for found in [f for f in self.pool.found if not f.followed]:
            if self._budget.should_stop() or sum(f.followed for f in self.pool.found) >= _MAX_FOLLOWED:
                return
            found.followed = True
            self._follow(found)

    def _follow(self, found: Found) -> None:
        form = found.reduced
        flat = np.abs(form.eigenvalues) <= 1e-7 * np.abs(form.eigenvalues).max(initial=0.0)
        eigenvalues = np.where(flat, 0.0, form.eigenvalues)
        near, far = (
            displaced(form.theta, form.eigenvectors, eigenvalues, fraction * self._typical)
            for fraction in _DISPLACEMENTS
        )
        downhill = near[0][near[1] < (eigenvalues < 0).sum()]
        self.search(downhill, "descent", "downhill")
        self.search(far[0], "stationary", "beside")
        self.search(far[0], "index", "eigenvectors", index=np.minimum(far[1], self.net.n_params))
        self.search(redundant_variants(self.units, form.theta)[:_MAX_VARIANTS], "stationary", "fewer units")
        others = [other.reduced.theta for other in self.pool.found if other is not found][-_MAX_MIXED:]
        if self.units and others:
            mixed = recombined(self.units, [form.theta] * (2 * len(others)), 2 * others, self._rng)
            self.search(mixed, "stationary", "recombined")

    def _plant(self) -> None:
        """Zero, and zeros in one array of weights."""
        zero = np.zeros((1, self.net.n_params))
        self.search(zero, "newton", "zero")
        if not self.dense:
            return
        blocks = self.net.program.parameters
        partial = random_starts(self.net, self.scale, self._rng, len(blocks))
        for row, block in zip(partial, blocks):
            row[block.start : block.stop] = 0.0
        self.search(partial, "stationary", "zeros")
