# SPDX-License-Identifier: BSD-3-Clause
"""The critical points found so far: one entry for each function, however often and in whatever form it was reached.

Legend: ``B`` points; ``P = n_params``; J (O·N, P) the Jacobian of the coefficients c, H = VΛVᵀ the Hessian.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
# Numbers of a Jacobian that are held at a time.
_BLOCK = 2**22
# Singular values of J, and eigenvalues of H, below these fractions of the largest tell no forms of a function apart.
_RANK_TOLERANCE, _NULL_TOLERANCE = 1e-6, 1e-7
# Functions this close, relative to their size, are equal however accurate they are; and never if further than that.
_CLOSE, _FAR = 1e-7, 1e-3
_ROUGH = 1e-5
# Forms of the same function that are kept, and functions of a connected set of degenerate points.
_MAX_FORMS = 8
_MAX_OF_FAMILY = 3
# Losses this close, relative to that of the zero function, are equal.
_SAME_VALUE = 1e-9


class Measured(NamedTuple):
    """What `measure` finds for each of B points.

    ``radius`` is how far the coefficients can be from those of the exact point; ``forms`` (B, 4) holds the rank of J,
    the numbers of negative and of zero eigenvalues, and the rank of J on the kernel of H: not zero where the function
    moves without a change of the gradient, to first order.
    """

    coef: Vector
    radius: Vector
    forms: NDArray[np.int64]
    eigenvalues: Vector
    eigenvectors: Vector


def measure(objective: Any, theta: Vector, gradient_norm: Vector, scale: Vector) -> Measured:
    """Coefficients, how accurate they are, and the ranks at critical points.

    Parameters
    ----------
    objective : NetworkLoss
    theta : (B, P) array
    gradient_norm, scale : (B,) arrays
        The size of the gradient, and what it is measured against.

    Returns
    -------
    Measured

    Notes
    -----
    An error g of the gradient is one of H⁺g of the parameters and JH⁺g of the function, where H⁺ leaves out the kernel.
    """
    net = objective.net
    coef = np.asarray(net.expand(theta), dtype=np.float64).reshape(len(theta), -1)
    eigenvalues, vectors = np.linalg.eigh(np.asarray(objective.hessian(theta)))
    sizes = np.abs(eigenvalues)
    largest = sizes.max(axis=1, initial=0.0)
    null = sizes <= _NULL_TOLERANCE * largest[:, None]
    inverse = np.where(null, 0.0, 1.0 / np.where(null, 1.0, sizes))
    noise = np.maximum(gradient_norm, 8 * _EPS * scale)
    ranks, moving, radius = *np.zeros((2, len(theta)), dtype=np.int64), np.empty(len(theta))
    step = max(1, _BLOCK // max(1, coef.shape[1] * theta.shape[1]))
    for first in range(0, len(theta), step):
        rows = slice(first, first + step)
        jacobian = np.asarray(net.jacobian(theta[rows]))
        singular = np.linalg.svd(jacobian, compute_uv=False)
        zero = _RANK_TOLERANCE * singular.max(axis=1, initial=0.0)[:, None]
        ranks[rows] = (singular > zero).sum(axis=1)
        images = jacobian @ vectors[rows]
        along_kernel = np.linalg.svd(images * null[rows, None, :], compute_uv=False)
        moving[rows] = (along_kernel > 10 * zero).sum(axis=1)
        spread = np.linalg.norm(images * inverse[rows, None, :], axis=(1, 2))
        radius[rows] = 10.0 * spread * noise[rows]
    negative = ((eigenvalues < 0) & ~null).sum(axis=1)
    forms = np.column_stack([ranks, negative, null.sum(axis=1), moving])
    return Measured(coef, radius, forms, eigenvalues, vectors)


def measure_by_products(objective: Any, theta: Vector) -> Measured:
    """The same for large networks: coefficients alone, their accuracy guessed.

    Parameters
    ----------
    objective : NetworkLoss
    theta : (B, P) array

    Returns
    -------
    Measured
    """
    coef = np.asarray(objective.net.expand(theta), dtype=np.float64).reshape(len(theta), -1)
    nothing = np.zeros((len(theta), 0))
    radius = _ROUGH * np.linalg.norm(coef, axis=1)
    return Measured(coef, radius, np.zeros((len(theta), 4), dtype=np.int64), nothing, nothing)


@dataclass
class Form:
    """One way in which a function is a critical point: parameters, and how often they were reached."""

    theta: Vector
    rank: int
    negative: int
    norm: float
    eigenvalues: Vector
    eigenvectors: Vector

    @property
    def positive(self) -> int:
        """How many eigenvalues of the Hessian are positive."""
        return int((self.eigenvalues > _NULL_TOLERANCE * np.abs(self.eigenvalues).max(initial=0.0)).sum())

    @property
    def may_be_minimum(self) -> bool:
        """Whether no eigenvalue of the Hessian is negative and some is positive."""
        return not self.negative and self.positive > 0


@dataclass
class Found:
    """A function that is one of a critical point.

    Attributes
    ----------
    coef : (O·N,) array
    value, radius : float
    forms : dict
        By the numbers of `Measured.forms`: the smallest parameters of that kind.
    hits, random_hits : int
        How many searches ended here, and how many of them from random starts.
    found_by : dict of str
        Which searches, in order.
    followed : bool
        Whether searches have started beside it.
    in_family : bool
        Whether further functions with this loss were found and left out.
    """

    coef: Vector
    value: float
    radius: float
    forms: dict[tuple[int, ...], Form] = field(default_factory=dict)
    hits: int = 0
    random_hits: int = 0
    found_by: dict[str, None] = field(default_factory=dict)
    followed: bool = False
    in_family: bool = False

    @property
    def reduced(self) -> Form:
        """The form with the Jacobian of least rank, and of these the smallest."""
        return min(self.forms.values(), key=lambda form: (form.rank, form.norm))

    def moves_at_rank(self, rank: int) -> bool:
        """Whether a form with a Jacobian of this rank is degenerate: its function moves along the kernel of H."""
        return any(key[0] == rank and key[-1] > 0 for key in self.forms)

    @property
    def minima(self) -> list[Form]:
        """The forms that may be minima."""
        return [form for form in self.forms.values() if form.may_be_minimum]


class Pool:
    """All that was found, merged.

    Parameters
    ----------
    objective : NetworkLoss
    dense : bool
        Whether Hessians and Jacobians are small enough to be made.
    size : float
        Of the coefficients that are typical: functions much smaller are compared with this.
    """

    def __init__(self, objective: Any, dense: bool, size: float) -> None:
        self.objective, self.dense = objective, dense
        self.size = size
        self.found: list[Found] = []
        zero = float(objective.value(np.zeros(objective.n_params)))
        self.value_scale = abs(zero) or 1.0
        self._coef: Vector = np.empty((0, 0))

    def __len__(self) -> int:
        return len(self.found)

    def add(
        self,
        theta: Vector,
        value: Vector,
        gradient_norm: Vector,
        scale: Vector,
        name: str,
        *,
        random: bool,
        origins: list[Found | None] | None = None,
    ) -> int:
        """Critical points that a search came to.

        Parameters
        ----------
        theta : (B, P) array
        value, gradient_norm, scale : (B,) arrays
        name : str
            Of the search.
        random : bool
            Whether it started at random: such hits say how much is still missing.
        origins : list of Found, optional
            Beside which point each search started: to come back there says nothing.

        Returns
        -------
        int
            How many of their functions are new.
        """
        if not len(theta):
            return 0
        measured = (
            measure(self.objective, theta, gradient_norm, scale)
            if self.dense
            else measure_by_products(self.objective, theta)
        )
        before = len(self.found)
        # The most accurate first: they are what the others are compared with.
        for k in np.argsort(measured.radius, kind="stable"):
            found = self._matching(measured.coef[k], float(measured.radius[k]))
            found = self._family(measured.coef[k], float(value[k]), measured.forms[k]) if found is None else found
            if found is None:
                found = Found(measured.coef[k], float(value[k]), float(measured.radius[k]))
                self.found.append(found)
                self._coef = np.vstack([self._coef.reshape(-1, len(found.coef)), found.coef])
            found.hits += 1
            found.random_hits += int(random and (origins is None or origins[k] is not found))
            found.found_by[name] = None
            _keep_form(found, theta[k], measured, int(k))
        return len(self.found) - before

    def expected_missing(self) -> float:
        """Chao's lower bound for the functions that random starts can reach, less those found in any way."""
        hits = [found.random_hits for found in self.found]
        once, twice, seen = hits.count(1), hits.count(2), sum(n > 0 for n in hits)
        return max(0.0, seen + once * (once - 1) / (2.0 * (twice + 1)) - len(hits))

    def _matching(self, coef: Vector, radius: float) -> Found | None:
        """The entry with this function, the nearest if there are several."""
        if not self.found:
            return None
        distances = np.linalg.norm(self._coef - coef, axis=1)
        nearest = int(np.argmin(distances))
        found = self.found[nearest]
        size = max(self.size, float(np.linalg.norm(coef)))
        allowed = min(max(_CLOSE * size, radius + found.radius), _FAR * size)
        return found if distances[nearest] <= allowed else None

    def _family(self, coef: Vector, value: float, form: NDArray[np.int64]) -> Found | None:
        """The nearest of enough entries with the same loss and rank, all of them degenerate.

        A connected set of critical points has one loss. Where it is of positive dimension on the function space every
        search ends at another function of it; some stand for all.
        """
        if not form[-1]:
            return None
        near = _SAME_VALUE * self.value_scale
        members = [f for f in self.found if abs(f.value - value) <= near and f.moves_at_rank(int(form[0]))]
        if len(members) < _MAX_OF_FAMILY:
            return None
        for member in members:
            member.in_family = True
        return min(members, key=lambda member: float(np.linalg.norm(member.coef - coef)))


def _keep_form(found: Found, theta: Vector, measured: Measured, k: int) -> None:
    key = tuple(int(n) for n in measured.forms[k])
    form = Form(theta, key[0], key[1], float(np.linalg.norm(theta)), measured.eigenvalues[k], measured.eigenvectors[k])
    known = found.forms.get(key)
    if known is None or form.norm < known.norm * (1 - 1e-6):
        found.forms[key] = form
    if len(found.forms) > _MAX_FORMS:
        worst = max(found.forms, key=lambda form_key: (form_key[0], found.forms[form_key].norm))
        del found.forms[worst]
