# SPDX-License-Identifier: BSD-3-Clause
"""The rank of the Jacobian at a given parameter vector: where it drops, the network's function space may be singular.

`dimension` is the rank at almost every point; here the point is given. Integers, Fractions, and floats that are meant
exactly have an exact rank, found modulo random primes and, on request, proved. Other floats have a numerical rank, a
matter of tolerance, and the result says how clear-cut it is.

Legend for the shapes below: ``P = n_params`` parameters, ``N = n_monomials``, ``O = n_outputs``; J is the Jacobian of
`Network.expand`, shape (O N, P).
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _linalg
from ._representatives import with_representative_outputs
from ._sampled_rank import (
    ROUNDING,
    Denominator,
    SampledMatrix,
    log2_fraction,
    log2_polynomial,
    proven_rank,
    random_rank,
)
from ._validation import (
    COMPLEX128,
    FLOAT64,
    _describe,
    as_flag,
    as_point,
    as_probability,
    as_real,
    as_residues,
    as_rng,
    check_size,
    check_threads,
)
from .bounds import upper_bound
from .modular import format_bound
from .networks import Network
from .program import Activation, Add, Affine, MatMul, Program, Select
from .rank import modular_rank
from .symmetries import action_prime, infinitesimal_action

__all__ = ["JacobianRank", "jacobian_rank"]

Array = NDArray[Any]

# Coefficients held at a time while kernel vectors are checked.
_COEFFICIENTS_AT_A_TIME = 2**23
# Above so many entries a numerical rank is taken of sampled rows, whose number does not grow with the monomials.
_DENSE_ENTRIES = 2**23
# Starting from positive numbers, two or three already give a digit.
_POWER_ITERATIONS = 12
# Singular values further apart than this are not brought together by rounding that exceeds the tolerance a little.
_CLEAR_GAP = 1e3


@dataclass(frozen=True)
class JacobianRank:
    """Rank of the Jacobian of a network's coefficients at one parameter vector.

    Attributes
    ----------
    rank : int
        Unless ``method`` is "numerical", a certified lower bound.
    n_params : int
        Number of columns; n_params − rank is the dimension of the kernel.
    ambient_dimension : int
        Number of rows, n_outputs · n_monomials.
    method : str
        "modular" (exact arithmetic modulo random primes), "exact" (the same, with a proof in any case asked for) or
        "numerical" (singular values).
    proved : bool
        Whether the rank is certain.
    error_bound : float or None
        0.0 if proved; else a bound of the probability, over the random choices, that the rank is larger. None for a
        numerical rank, to which no probability can be given.
    upper_bound : int
        A proven upper bound of the rank.
    primes : tuple of int
        Primes modulo which a rank was computed, drawn from the seed.
    seed : int
        ``rng=seed`` reproduces the result.
    reason : str
        What proves the rank, or what is left in doubt.
    tolerance : float or None
        Numerical ranks: singular values above it were counted.
    gap : float or None
        Numerical ranks: the smallest singular value counted over the largest one not counted; the tolerance stands in
        for one that does not exist.
    singular_values : ndarray or None
        Numerical ranks: all of them, in descending order, of the scaled matrix (see `jacobian_rank`).
    network : str
        Whose Jacobian.

    Examples
    --------
    >>> from polycore import MLP, jacobian_rank
    >>> jacobian_rank(MLP((2, 2, 1), activation=2), [1, 2, 2, 4, 1, 1])
    MLP((2, 2, 1), activation=2)
      rank    2 of at most 3, or more with probability < 1.7e-16
      kernel  dimension 4 in 6 parameters
      why     rank modulo 2 random primes
    """

    rank: int
    n_params: int
    ambient_dimension: int
    method: str
    proved: bool
    error_bound: float | None
    upper_bound: int
    primes: tuple[int, ...]
    seed: int
    reason: str
    tolerance: float | None = None
    gap: float | None = None
    singular_values: NDArray[np.float64] | None = field(default=None, compare=False)
    network: str = field(default="", compare=False)

    @property
    def kernel_dimension(self) -> int:
        """n_params − rank: how many directions in parameter space do not move the function, to first order."""
        return self.n_params - self.rank

    def __repr__(self) -> str:
        if self.error_bound is None:
            certainty = f"numerical, gap {self.gap:.2g}"
        else:
            certainty = "proved" if self.proved else f"or more with probability < {format_bound(self.error_bound)}"
        return "\n".join(
            [
                self.network,
                f"  rank    {self.rank} of at most {self.upper_bound}, {certainty}",
                f"  kernel  dimension {self.kernel_dimension} in {self.n_params} parameters",
                f"  why     {self.reason}",
            ]
        )


def jacobian_rank(
    net: Network,
    theta: ArrayLike,
    *,
    exact: bool = False,
    tol: float | None = None,
    rng: object = 0,
    max_error: float = 1e-9,
    n_threads: int = 0,
) -> JacobianRank:
    """Rank of the Jacobian of `Network.expand` at the parameters ``theta``.

    Parameters
    ----------
    net : Network
        Of any family.
    theta : array_like, shape (n_params,)
        One parameter vector. Integers of any size and Fractions have an exact rank; floats and complex numbers a
        numerical one.
    exact : bool
        Prove the rank, whatever it takes. Floats are then the dyadic rationals they stand for.
    tol : float, optional
        Numerical ranks only: count singular values above ``tol`` times the largest singular value of the majorant
        (below); max(shape) · 2.2e-16 by default.
    rng : int or numpy.random.Generator
        A seed; from a Generator a 64-bit seed is drawn.
    max_error : float
        Exact input: try random primes until the bound of the error is below this, 0 < max_error < 1.
    n_threads : int
        0 is the default number; results do not depend on it.

    Returns
    -------
    JacobianRank

    Raises
    ------
    TypeError
        If ``net`` is not a network, or ``theta`` does not hold numbers.
    ValueError
        If ``theta`` is not one vector of n_params finite numbers, ``max_error`` is not between 0 and 1, ``tol`` is not
        in [0, 1) or given for exact input, or the network has a `GenericActivation`, which has no values:
        ``net.specialize(rng)`` gives it some.
    OverflowError, MemoryError
        If the matrix of the rank does not fit, or the coefficients that a proof has to look at.
    NumericalError
        If a derivative overflows.

    Notes
    -----
    **Modulo primes.** Rows are gradients of random combinations of the outputs at random points over GF(p); they span
    no more than the rows of J modulo p. The rank found is too small only if

    * a minor of size R <= n_rows, of degree at most D + 1 in the points and weights of each row, vanishes there:
      probability at most n_rows (D + 1) / p (Schwartz–Zippel); or
    * p divides the largest non-zero minors of d J, d the common denominator of the coefficients, which is a matrix of
      integers. By Hadamard's inequality those are at most the product of the norms of their columns, and column j is at
      most d |∂F/∂θ_j| in the 1-norm, F the *majorant*: the network with |θ|, absolute activation coefficients and all
      inputs 1. A non-zero integer below 2^h has at most h / 30 prime divisors in [2^30, 2^31), where p is drawn.

    **Proofs.** The rank is certain if it meets an upper bound: of the dimension, or the number of parameters that move
    the function at all less the symmetries at θ. Else kernel vectors are found modulo primes, put together to rational
    ones, and checked: d J v has integer entries below d Σ_j |∂F/∂θ_j| |v_j|, so if it vanishes modulo primes with a
    larger product it vanishes. Or so many primes show the rank that their product exceeds Hadamard's bound of the
    larger minors. Whichever comes first ends the search.

    **Numerically.** J is compared with its majorant A = ∂F_α/∂θ_j >= |J|, entry by entry what rounding errors are
    proportional to. Rows, then columns, are scaled by powers of two (without rounding) so that A has entries about 1;
    that removes the different sizes of layers and of binomial coefficients, which cost the unscaled matrix two to
    seven digits in networks of three and more layers. More than 2^23 entries are not formed: rows are then sampled at
    normal points.

    Complexity: O(n_rows P) multiplications for the rows and O(n_rows² P) for the rank, for each prime.

    Examples
    --------
    Two neurons with the same weights: the rank drops, and exact=True proves it.

    >>> from polycore import MLP, jacobian_rank
    >>> net = MLP((2, 2, 1), activation=3)
    >>> jacobian_rank(net, [1, 2, 3, 5, 1, 1]).rank, jacobian_rank(net, [1, 2, 1, 2, 1, 1], exact=True).rank
    (4, 2)
    >>> jacobian_rank(net, [0.1, 0.2, 0.1, 0.2, 1.0, 1.0]).method
    'numerical'
    """
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    prove = as_flag(exact, "exact")
    largest_error = as_probability(max_error, "max_error")
    relative = None if tol is None else as_real(tol, "tol", 0.0)
    if relative is not None and relative >= 1:
        raise ValueError(f"`tol` must be less than 1, got {tol}")
    threads = check_threads(n_threads)
    net.program.require_concrete()
    generator, seed = as_rng(rng)
    point = as_point(theta, net.n_params, prove)
    if point.dtype in (FLOAT64, COMPLEX128):
        return _numerical_rank(net, point, relative, generator, seed, threads)
    if tol is not None:
        raise ValueError("`tol` is for numerical ranks; that of an exact `theta` needs none")
    return _exact_rank(net, point, prove, largest_error, generator, seed, threads)


# --- exact ranks ------------------------------------------------------------------------------------------------------


def _exact_rank(
    net: Network,
    theta: Array,
    prove: bool,
    max_error: float,
    generator: np.random.Generator,
    seed: int,
    n_threads: int,
) -> JacobianRank:
    point = _Point(with_representative_outputs(net.program), theta)
    bound, why = point.upper_bound()
    check_size(bound * max(1, net.n_params), 16, "the Jacobian at random points")
    # A rank that will be proved in another way needs no second prime.
    found = random_rank(
        point, bound, generator, max_error=max_error, max_primes=1 if prove else None, n_threads=n_threads
    )
    primes = found.primes
    if found.rank < bound and prove:
        workspace = 2 * net._workspace
        check_size(workspace, 8, "the coefficients, which a proof looks at", "exact=False bounds the error instead")
        found = proven_rank(point, found.rank, bound, generator, n_threads=n_threads)
        primes, why = primes + found.primes, found.why or why
    elif found.rank < bound:
        why = f"rank modulo {len(primes)} random prime{'s' * (len(primes) > 1)}"
    return JacobianRank(
        rank=found.rank,
        n_params=net.n_params,
        ambient_dimension=net.program.n_outputs * net.program.n_monomials,
        method="exact" if prove else "modular",
        proved=found.error_bound == 0.0,
        error_bound=found.error_bound,
        upper_bound=bound,
        primes=primes,
        seed=seed,
        reason=why,
        network=repr(net),
    )


class _Point(SampledMatrix):
    """A program at exact parameters: what of it moves the function, and how large its derivatives are.

    Parameters
    ----------
    program : Program
    theta : object array, shape (P,)
        Ints and Fractions.

    Attributes
    ----------
    active : intp array
        Positions of the parameters whose columns of J are not obviously zero: the columns of this matrix.
    """

    def __init__(self, program: Program, theta: Array) -> None:
        self.program, self.theta = program, theta
        self.degree = program.degree
        self.row_degree = program.degree + 1  # in the point, and one in the weights of the outputs
        constants = [c for activation in program.activations for c in activation.numbers]
        self.denominators = math.lcm(*(Fraction(q).denominator for q in (*theta, *constants)))
        sizes = _log2_column_bounds(program, theta)
        self.active = np.flatnonzero(sizes > -math.inf)
        self.log2_columns = np.maximum(sizes[self.active], 0.0)

    def upper_bound(self) -> tuple[int, str]:
        """A proven upper bound of the rank, and why it is one."""
        generic = upper_bound(self.program)
        moving = self.active.size
        fixed = 0
        if moving:
            # The rank of the tangents modulo a prime is at most their rank.
            p = action_prime(self.program, self.denominators)
            residues = as_residues(self.theta, p, "theta").astype(np.int64)
            with suppress(MemoryError):  # wide linear layers have many: go without
                fixed = modular_rank(infinitesimal_action(self.program, residues, p)[:, self.active], p)
        if moving - fixed >= generic.value:
            return generic.value, f"meets the bound of the dimension: {generic.reason}"
        words = f"meets the bound at this point: {moving} parameter{'s' * (moving != 1)} that move the function"
        return moving - fixed, words + (f" − {fixed} dimensions of the orbit of the symmetries" if fixed else "")

    def sample_rows(self, p: int, n_rows: int, generator: np.random.Generator, n_threads: int) -> NDArray[np.uint64]:
        """Gradients over GF(p) of random combinations of outputs at random points, shape (n_rows, n_active)."""
        X = generator.integers(0, p, (n_rows, self.program.n_inputs), dtype=np.uint64)
        weights = generator.integers(0, p, (n_rows, self.program.n_outputs), dtype=np.uint64)
        theta, constants = as_residues(self.theta, p, "theta"), self.program.constants(p)
        rows = self.program.engine.evaluate_vjp(theta, X, weights, modulus=p, constants=constants, n_threads=n_threads)
        everything = self.active.size == self.program.n_params
        return np.asarray(rows) if everything else np.ascontiguousarray(rows[:, self.active])

    def annihilates(self, vectors: NDArray[np.uint64], p: int, n_threads: int) -> bool:
        """Whether J v = 0 over GF(p) for every row v, given at the active parameters."""
        net = Network(self.program)
        step = max(1, _COEFFICIENTS_AT_A_TIME // (net.n_outputs * net.basis.n_monomials))
        theta = as_residues(self.theta, p, "theta")
        for start in range(0, len(vectors), step):
            some = vectors[start : start + step]
            direction = np.zeros((len(some), net.n_params), dtype=np.uint64)
            direction[:, self.active] = some
            if net.jvp(theta, direction, modulus=p, n_threads=n_threads).any():
                return False
        return True


def _log2_column_bounds(program: Program, theta: Array) -> NDArray[np.float64]:
    """log2 of d ∂F/∂θ_j for every parameter, rounded up: F the majorant at inputs 1, d as in `_exact`.

    A forward and a reverse sweep over logarithms, since the numbers have as many digits as the network has degree.
    """
    logs = np.array([log2_fraction(Fraction(entry)) for entry in theta])
    scales = dict.fromkeys((block.instruction for block in program.parameters), 1)
    for block in program.parameters:
        denominators = (Fraction(entry).denominator for entry in theta[block.start : block.stop])
        scales[block.instruction] = math.lcm(scales[block.instruction], *denominators)
    majorant = _Logarithms(program, logs)
    log2_d = _log2_denominator(program, scales)
    largest = max(float(np.abs(x[np.isfinite(x)]).max(initial=0.0)) for x in (*majorant.values, *majorant.bars))
    return majorant.bounds + (log2_d + ROUNDING * (1 + largest + log2_d))


def _log2_denominator(program: Program, scales: dict[int, int]) -> float:
    """log2 of the denominator d of the outputs, given those of the parameters of each affine map."""
    slots = [Denominator()]
    for k, instruction in enumerate(program.instructions):
        inputs = [slots[slot] for slot in instruction.inputs]
        if isinstance(instruction, Affine):
            slots.append(inputs[0].times(Denominator.of(scales[k])))
        elif isinstance(instruction, Activation):
            common = math.lcm(*(Fraction(c).denominator for c in instruction.numbers))
            slots.append(inputs[0].power(instruction.degree).times(Denominator.of(common)))
        elif isinstance(instruction, Add):
            slots.append(Denominator.common(inputs))
        else:
            slots.append(inputs[0].times(inputs[1]) if isinstance(instruction, MatMul) else inputs[0])
    return slots[-1].log2


class _Logarithms:
    """A forward and a reverse sweep of absolute values over their logarithms in base 2.

    Parameters
    ----------
    program : Program
    logs : float array, shape (P,)
        Of the absolute values of the parameters.

    Attributes
    ----------
    values, bars : list of float arrays
        Of each slot at inputs 1, and of the derivatives of the sum of the outputs.
    bounds : float array, shape (P,)
        Of the derivatives by the parameters.
    """

    def __init__(self, program: Program, logs: NDArray[np.float64]) -> None:
        self.program = program
        self._parameters = {
            (b.instruction, b.kind): logs[b.start : b.stop].reshape(b.shape) for b in program.parameters
        }
        self.values = [np.zeros(program.n_inputs)]
        for k in range(len(program.instructions)):
            self.values.append(self._forward(k))
        self.bars = [np.full(width, -math.inf) for width in program.widths]
        self.bars[-1][:] = 0.0
        self._gradients = {key: np.full(block.shape, -math.inf) for key, block in self._parameters.items()}
        for k in reversed(range(len(program.instructions))):
            self._reverse(k)
        self.bounds = np.full(program.n_params, -math.inf)
        for block in program.parameters:
            self.bounds[block.start : block.stop] = self._gradients[block.instruction, block.kind].reshape(-1)

    def _forward(self, k: int) -> NDArray[np.float64]:
        instruction = self.program.instructions[k]
        inputs = [self.values[slot] for slot in instruction.inputs]
        z = inputs[0]
        if isinstance(instruction, Affine):
            weights = self._parameters[k, "W"]
            out = np.stack([np.logaddexp2.reduce(weights + z[w], axis=1) for w in _windows(instruction, z)])
            return (np.logaddexp2(out, self._parameters[k, "b"]) if instruction.bias else out).reshape(-1)
        if isinstance(instruction, Activation):
            return log2_polynomial([Fraction(c) for c in instruction.numbers], z)
        if isinstance(instruction, Select):
            return z[list(instruction.indices)]
        if isinstance(instruction, Add):
            return np.asarray(np.logaddexp2.reduce(inputs))
        left, right = _factors(instruction, *inputs)
        return _log2_product(left, right).reshape(-1)

    def _reverse(self, k: int) -> None:
        """Pass the derivatives by slot k + 1 on to what it is made of."""
        instruction, bar = self.program.instructions[k], self.bars[k + 1]
        inputs = [self.values[slot] for slot in instruction.inputs]
        bars = [self.bars[slot] for slot in instruction.inputs]
        z, z_bar = inputs[0], bars[0]
        if isinstance(instruction, Affine):
            weights, gradient = self._parameters[k, "W"], self._gradients[k, "W"]
            for window, rows in zip(_windows(instruction, z), bar.reshape(-1, instruction.n_out, 1)):
                _add_to(gradient, ..., rows + z[window])
                _add_to(z_bar, window, np.logaddexp2.reduce(weights + rows, axis=0))
                if instruction.bias:
                    _add_to(self._gradients[k, "b"], ..., rows[:, 0])
        elif isinstance(instruction, Activation):
            slope = [j * Fraction(c) for j, c in enumerate(instruction.numbers)][1:]
            _add_to(z_bar, ..., bar + log2_polynomial(slope, z))
        elif isinstance(instruction, Select):
            np.logaddexp2.at(z_bar, list(instruction.indices), bar)
        elif isinstance(instruction, Add):
            for one in bars:
                _add_to(one, ..., bar)
        else:
            left, right = _factors(instruction, *inputs)
            left_bar, right_bar = _factors(instruction, *bars)
            product_bar = bar.reshape(instruction.rows, instruction.cols)
            _add_to(left_bar, ..., _log2_product(product_bar, right.T))
            _add_to(right_bar, ..., _log2_product(left.T, product_bar))


def _windows(affine: Affine, z: NDArray[np.float64]) -> NDArray[np.intp]:
    """Positions, shape (n_windows, window_size)."""
    return np.arange(z.size)[None] if affine.windows is None else np.array(affine.windows)


def _factors(
    product: MatMul, left: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Views of two slots as matrices (rows, inner) and (inner, cols)."""
    rows, inner, cols = product.rows, product.inner, product.cols
    return (
        left.reshape(inner, rows).T if product.transpose_left else left.reshape(rows, inner),
        right.reshape(cols, inner).T if product.transpose_right else right.reshape(inner, cols),
    )


def _log2_product(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.logaddexp2.reduce(row[:, None] + right, axis=0) for row in left])


def _add_to(target: NDArray[np.float64], where: Any, what: NDArray[np.float64]) -> None:
    target[where] = np.logaddexp2(target[where], what)


# --- numerical ranks --------------------------------------------------------------------------------------------------


def _numerical_rank(
    net: Network, theta: Array, tol: float | None, generator: np.random.Generator, seed: int, n_threads: int
) -> JacobianRank:
    bound = upper_bound(net.program).value
    matrix, sizes, rows = _matrix_and_majorant(net, theta, generator, n_threads)
    matrix, sizes = _equilibrate(matrix, sizes)
    # The triangle has the same singular values, and takes a fraction of the time where rows are many.
    tall = matrix.dtype == FLOAT64 and len(matrix) > 2 * matrix.shape[1]
    values = _linalg.singular_values(_linalg.triangle(matrix) if tall else matrix)
    relative = max(matrix.shape) * float(np.finfo(np.float64).eps) if tol is None else tol
    tolerance = relative * _perron_singular_value(sizes)
    # More than a proven bound would only say that the tolerance is too small.
    rank = min(int(np.count_nonzero(values > tolerance)), bound)
    above = float(values[rank - 1]) if rank else tolerance
    below = float(values[rank]) if rank < len(values) else tolerance
    gap = above / below if below else math.inf
    shown = [f"singular value {i + 1} is {values[i]:.2g}" for i in (rank - 1, rank) if 0 <= i < len(values)]
    verdict = "clear-cut" if gap >= _CLEAR_GAP else "so close that rounding may decide; exact=True does not round"
    return JacobianRank(
        rank=rank,
        n_params=net.n_params,
        ambient_dimension=net.program.n_outputs * net.program.n_monomials,
        method="numerical",
        proved=False,
        error_bound=None,
        upper_bound=bound,
        primes=(),
        seed=seed,
        reason=f"{', '.join(shown)}, the tolerance {tolerance:.2g}: {verdict} ({rows})",
        tolerance=tolerance,
        gap=gap,
        singular_values=values,
        network=repr(net),
    )


def _matrix_and_majorant(
    net: Network, theta: Array, generator: np.random.Generator, n_threads: int
) -> tuple[Array, Array, str]:
    """J, or rows that span what its rows span, with what bounds it entry by entry, and which of the two it is."""
    bounding = majorant(net.program)
    n_rows = net.n_outputs * net.basis.n_monomials
    if n_rows * net.n_params <= _DENSE_ENTRIES:
        sizes = Network(bounding).jacobian(np.abs(theta), n_threads=n_threads)
        return net.jacobian(theta, n_threads=n_threads), sizes, "all coefficients"
    n_rows = min(n_rows, 2 * net.n_params)
    check_size(3 * n_rows * net.n_params, theta.itemsize, "the Jacobian at random points")
    X = generator.standard_normal((n_rows, net.n_inputs))
    weights = generator.standard_normal((n_rows, net.n_outputs))
    rows = net.program.engine.evaluate_vjp(
        theta, X.astype(theta.dtype), weights.astype(theta.dtype), n_threads=n_threads
    )
    sizes = bounding.engine.evaluate_vjp(np.abs(theta), np.abs(X), np.abs(weights), n_threads=n_threads)
    return rows, sizes, f"{n_rows} gradients at random points stand for the {net.basis.n_monomials:,} monomials"


def _perron_singular_value(sizes: Array) -> float:
    """The largest singular value of a matrix without negative entries, to some digits: by power iteration."""
    vector = np.ones(sizes.shape[1])
    value = 0.0
    for _ in range(_POWER_ITERATIONS):
        norm = float(np.linalg.norm(vector))
        if not norm:
            break
        image = sizes @ (vector / norm)
        value, vector = float(np.linalg.norm(image)), sizes.T @ image
    return value


def _equilibrate(matrix: Array, sizes: Array) -> tuple[Array, Array]:
    """Both matrices with rows, then columns, scaled by powers of two: the largest of ``sizes`` become about 1."""
    for axis in (1, 0):
        largest = sizes.max(axis=axis, keepdims=True, initial=0.0)
        exponent = np.where(largest > 0, -np.frexp(largest)[1], 0)
        # NOTE: ldexp knows no complex numbers, and 2^exponent alone may be out of range.
        half = exponent // 2
        for part in (half, exponent - half):
            factor = np.ldexp(1.0, part)
            matrix, sizes = matrix * factor, sizes * factor
    return matrix, sizes


def majorant(program: Program) -> Program:
    """The program with the absolute values of its activation coefficients.

    At |θ| and |x| its derivatives bound those of the program at θ and x, and what their rounding errors come from.
    """
    instructions = [
        Activation(i.input, tuple(abs(Fraction(c)) for c in i.numbers)) if isinstance(i, Activation) else i
        for i in program.instructions
    ]
    return Program(program.n_inputs, instructions)
