# SPDX-License-Identifier: BSD-3-Clause
"""Parameters of a network from its coefficients.

The map from parameters to coefficients is inverted by what is known of the family, read off the program: factorisation
for linear networks, decomposition into powers for one hidden layer, one layer after the other for deep networks of
powers and convolutions, the common linear factor for attention. Whatever that gives is polished by Gauss–Newton steps;
where nothing is known, or the input is not as generic as it must be, Levenberg–Marquardt steps from many starts look
for parameters. The residual is computed from the parameters that are returned, so that a result says what it is worth
however it was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._recovery_attention import Attention, explain_attention, obstruct_attention, recover_attention
from ._recovery_cnn import Convolutional, explain_runs, obstruct_product, recover_filters
from ._recovery_deep import recover_deep
from ._recovery_descent import Attempt, Problem
from ._recovery_mlp import (
    Chain,
    explain_linear,
    explain_shallow,
    obstruct_linear,
    obstruct_shallow,
    recover_linear,
    recover_shallow,
)
from ._recovery_scaling import input_exponents, output_parameters, scale_inputs, scale_monomials, scale_outputs
from ._validation import _describe, _to_array, as_exact_array, as_index, as_probability, as_real_array, as_rng
from .errors import NumericalError
from .identifiability import identifiability
from .monomials import form_exponents
from .networks import Network

__all__ = ["Recovery", "recover"]

Vector = NDArray[np.float64]

# Starts that descend side by side before the next ones are drawn.
_ROUND = 32
# Candidates with a smaller residual are worth more than Gauss–Newton steps.
_NEAR = 0.1


@dataclass(frozen=True, eq=False)
class Recovery:
    """Parameters with given coefficients, or the nearest that were found; made by `Network.recover`.

    Attributes
    ----------
    theta : (n_params,) array
        The parameters.
    residual : float
        ‖net.expand(theta) − coef‖ / ‖coef‖, in the Euclidean norm of all coefficients; without the denominator if
        ``coef`` is zero.
    found : bool
        Whether the residual is at most the tolerance, and not only because the coefficients are a limit that is
        approached as parameters grow. If not, that proves nothing unless ``reason`` says so.
    unique : bool or None
        Whether every other parameter vector with these coefficients differs only by permutations and scalings of hidden
        units (of filters, for convolutions; of attention, by an invertible matrix between K and Q and a scaling of V):
        True by a theorem whose conditions hold numerically at ``theta``, False if there are others, None if that is not
        known. None if nothing was found.
    method : str
        How the parameters were found.
    reason : str
        Why they are unique or not, or what is known if nothing was found.
    seed : int
        ``rng=seed`` reproduces the result.
    network : str
        What it is about.

    Examples
    --------
    >>> from polycore import MLP
    >>> net = MLP((2, 2, 2), activation=2)
    >>> net.recover(net.expand([1, 2, 3, 4, 1, 1, 0, 1])).unique
    True
    """

    theta: Vector = field(repr=False)
    residual: float
    found: bool
    unique: bool | None
    method: str
    reason: str
    seed: int
    network: str = field(default="")

    def __repr__(self) -> str:
        answer = {True: "yes", False: "no", None: "not known"}[self.unique]
        lines = [
            self.network,
            f"  found     {'yes' if self.found else 'no'}, relative residual {self.residual:.2g}",
            f"  method    {self.method}",
            *([f"  unique    {answer}"] if self.found else []),
            f"  reason    {self.reason}",
        ]
        return "\n".join(lines)


def recover(
    net: Network,
    coef: ArrayLike,
    *,
    rng: int | np.random.Generator = 0,
    tol: float = 1e-8,
    n_starts: int | None = None,
    max_steps: int = 300,
) -> Recovery:
    """See `Network.recover`, which is this with a network in front."""
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    net.program.require_concrete()
    array = _as_coefficients(coef, net)
    tolerance = as_probability(tol, "tol")
    steps = as_index(max_steps, "max_steps", 1)
    given = None if n_starts is None else as_index(n_starts, "n_starts", 0)
    generator, seed = as_rng(rng)
    task = _Task(net, array, tolerance)
    starts = task.problem.default_starts() if given is None else given
    with np.errstate(over="ignore", invalid="ignore"):  # steps that go too far are not taken
        attempt, method = task.solve(generator, starts, steps)
    theta = task.finish(attempt.theta)
    residual = task.residual(theta, attempt)
    found = attempt.settled and residual <= tolerance
    unique, reason = task.explain(attempt.theta) if found else (None, task.failure(attempt, starts))
    return Recovery(theta, residual, found, unique, method, reason, seed, repr(net))


class _Task:
    """One coefficient vector and one network, the coefficients brought to moderate sizes where that is possible."""

    def __init__(self, net: Network, coef: Vector, tol: float) -> None:
        program = net.program
        self.net, self.tol = net, tol
        self.chain = Chain.from_program(program)
        self.filters = Convolutional.from_program(program)
        self.head = Attention.from_program(program)
        scalable = output_parameters(program) is not None
        # As given but for a power of two, then with scaled inputs, then the outputs scaled once more.
        self._given = _exponent(coef) if scalable else 0
        self._coef = np.ldexp(coef, -self._given)
        self._inputs = input_exponents(program, self._coef)
        scaled = scale_monomials(program, self._coef, self._inputs)
        self._more = _exponent(scaled) if scalable else 0
        self.problem = Problem(net, np.ldexp(scaled, -self._more))
        self._obstruction = ""

    def solve(self, rng: np.random.Generator, n_starts: int, max_steps: int) -> tuple[Attempt, str]:
        """The best attempt, for the coefficients of moderate size, and how it was found."""
        best, method = Attempt(np.zeros(self.net.n_params), np.inf), "none: no starts"
        for theta, way in self._candidates(rng):
            attempt = self.problem.polish(theta)
            if not attempt.reaches(self.tol) and attempt.residual < _NEAR:
                attempt = self.problem.descend(attempt.theta[None], max_steps, self.tol)
            if attempt.is_better(best, self.tol):
                best, method = attempt, way
            if best.reaches(self.tol):
                return best, method
        self._obstruction = self._obstruct(rng)
        hints = self._hints(rng)
        if len(hints):
            attempt = self.problem.descend(hints, max_steps, self.tol)
            if attempt.is_better(best, self.tol):
                best, method = attempt, "Levenberg–Marquardt steps from a solution in the highest degree"
        for first in range(0, n_starts, _ROUND):
            if best.reaches(self.tol) or (self._obstruction and first > 0):
                break
            starts = self.problem.starts(rng, min(_ROUND, n_starts - first))
            attempt = self.problem.descend(starts, max_steps, self.tol)
            if attempt.is_better(best, self.tol):
                best, method = attempt, "Levenberg–Marquardt steps from random starts"
        return best, method

    def finish(self, theta: Vector) -> Vector:
        """Parameters for the coefficients as they were given."""
        program = self.net.program
        scaled = scale_inputs(program, theta, -self._inputs)
        scaled = scale_outputs(program, scaled, self._given + self._more)
        if not np.isfinite(scaled).all():
            raise NumericalError("`coef` is so large that parameters for it are out of range for float64")
        return scaled

    def residual(self, theta: Vector, attempt: Attempt) -> float:
        """Of finished parameters; that of the attempt, if their coefficients overflow on the way."""
        try:
            coef = np.asarray(self.net.expand(theta))
        except NumericalError:
            return attempt.residual
        size = float(np.linalg.norm(self._coef)) or 1.0
        return float(np.linalg.norm(np.ldexp(coef, -self._given) - self._coef)) / size

    def explain(self, theta: Vector) -> tuple[bool | None, str]:
        """Whether parameters that were found are unique, and why."""
        unique, reason = self._explain_structure(theta)
        if unique is None:
            verdict = identifiability(self.net, method="theorems")
            if verdict.verdict == "not" and verdict.proved:
                many = "almost every function of this network has many parameter vectors"
                return False, f"{many}, since {verdict.reason}"
            if verdict.verdict in ("global", "finite"):
                many = {"global": "one parameter vector", "finite": "finitely many parameter vectors"}[verdict.verdict]
                reason += f"; almost every function of this network has {many} up to symmetries: {verdict.theorem}"
        return unique, reason

    def failure(self, attempt: Attempt, n_starts: int) -> str:
        """What is known if nothing was found."""
        if self._obstruction:
            return self._obstruction
        if not attempt.settled:
            return "the coefficients are approached as parameters grow, but no parameters were found that have them"
        return f"no parameters were found from {n_starts} starts, which does not prove that there are none"

    # --- what the structure gives -------------------------------------------------------------------------------------

    def _candidates(self, rng: np.random.Generator) -> Iterator[tuple[Vector, str]]:
        chain, target = self.chain, self.problem.target
        if not target.any() or not self.net.n_params:
            yield np.zeros(self.net.n_params), "all parameters are zero" if self.net.n_params else "no parameters"
        elif chain is not None and len(chain.stages) == 1:
            yield from recover_linear(chain, target)
        elif chain is not None and len(chain.stages) == 2:
            yield from recover_shallow(chain, target, rng)
        elif chain is not None:
            yield from recover_deep(chain, target, rng)
        elif self.filters is not None and self.filters.is_homogeneous:
            for theta in recover_filters(self.filters, self._first_output()):
                yield theta, "filters layer by layer" if self.filters.degree > 1 else "factors of a polynomial"
        elif self.head is not None:
            yield from recover_attention(self.head, target)

    def _hints(self, rng: np.random.Generator) -> Vector:
        """Starts (n, n_params) that the structure suggests."""
        if self.filters is None or self.filters.is_homogeneous or not self.problem.target.any():
            return np.zeros((0, self.net.n_params))
        found = next(recover_filters(self.filters, self._first_output()), None)
        return np.zeros((0, self.net.n_params)) if found is None else self._with_lengths(found, rng)

    def _with_lengths(self, theta: Vector, rng: np.random.Generator) -> Vector:
        """Filters of the right directions with random lengths and biases; the last layer fits as well as it can."""
        assert self.filters is not None
        starts = np.array([theta] * _ROUND)
        for row in starts:
            for run in self.filters.runs:
                for layer in run.filters:
                    row[layer.start : layer.stop] *= rng.choice([-1, 1]) * np.exp(rng.normal())
            row[list(self.filters.biases)] = rng.normal(size=len(self.filters.biases))
            self.problem.fit_linear(row)
        return starts

    def _first_output(self) -> Vector:
        """The part of the highest degree of the first output, in the inputs that it depends on."""
        assert self.filters is not None
        net, inputs = self.net, self.filters.inputs
        table = form_exponents(len(inputs), net.degree)
        exponents = np.zeros((len(table), net.n_inputs), dtype=np.int64)
        exponents[:, inputs] = table
        return np.asarray(self.problem.target[0, np.asarray(net.basis.index(exponents), dtype=np.int64)])

    def _obstruct(self, rng: np.random.Generator) -> str:
        """Why no parameters have these coefficients, or ""; to be asked where none were found."""
        chain, target = self.chain, self.problem.target
        if not self.net.n_params:
            return "there are no parameters, and the only function is another"
        margin = max(1e-6, 100 * self.tol)
        if chain is not None and len(chain.stages) == 1:
            return obstruct_linear(chain, target, margin)
        if chain is not None and len(chain.stages) == 2:
            return obstruct_shallow(chain, target, rng, margin)
        if self.filters is not None and self.filters.degree == 1 and self.filters.is_homogeneous:
            return obstruct_product(self.filters, self._first_output())
        if self.head is not None:
            return obstruct_attention(self.head, target)
        return ""

    def _explain_structure(self, theta: Vector) -> tuple[bool | None, str]:
        if not self.net.n_params:
            return True, "there are no parameters"
        if self.chain is not None and self.chain.is_affine:
            return True, "the parameters are the coefficients"
        if not self.problem.target.any():
            return False, "the function is zero, and one layer of zeros is enough for that"
        if self.chain is not None and len(self.chain.stages) == 1:
            return explain_linear(self.chain, self.problem.target)
        if self.chain is not None and len(self.chain.stages) == 2:
            return explain_shallow(self.chain, theta)
        if self.filters is not None:
            return explain_runs(self.filters, theta)
        if self.head is not None:
            return explain_attention(self.head, theta)
        return None, "no theorem decides whether other parameters have these coefficients"


def _exponent(coef: Vector) -> int:
    """Of the largest coefficient, as a power of two."""
    return int(np.frexp(np.abs(coef).max(initial=0.0))[1])


def _as_coefficients(coef: object, net: Network) -> Vector:
    shape = (("n_outputs", net.n_outputs), ("n_monomials", net.basis.n_monomials))
    if _to_array(coef, "coef").dtype.kind in "iuO":
        exact = as_exact_array(coef, "coef", shape)
        try:
            coef = np.array([float(Fraction(c)) for c in exact.ravel()]).reshape(exact.shape)
        except OverflowError:
            raise OverflowError("`coef` has a number that is out of range for float64") from None
    return as_real_array(coef, "coef", shape=shape)
