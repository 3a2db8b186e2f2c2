# SPDX-License-Identifier: BSD-3-Clause
"""Critical points of squared errors that are known in closed form: linear networks, squares, and one neuron.

Three families of networks and metrics have lists of all critical functions, with a critical point θ for each. Whether
a network is of a family is read off its program, and whether a metric fits off its matrix.

Legend: ``n`` inputs, ``O`` outputs, ``N`` monomials, ``P`` parameters, ``r`` the degree of the activation, or for
linear networks the width of the bottleneck.

Sources: C. Eckart, G. Young, *The approximation of one matrix by another of lower rank*, Psychometrika 1 (1936)
211–218; P. Baldi, K. Hornik, *Neural networks and principal component analysis*, Neural Networks 2 (1989) 53–58, for
linear networks with one hidden layer; M. Trager, K. Kohn, J. Bruna, *Pure and spurious critical points: a geometric
study of linear networks*, ICLR 2020, arXiv:1910.01671, for deeper ones; D. Cartwright, B. Sturmfels, *The number of
eigenvalues of a tensor*, Linear Algebra Appl. 438 (2013) 942–952, for the number of eigenvectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _linalg, _univariate
from ._polynomial_systems import System, residues, solve_system
from ._validation import _describe
from .chains import Polynomial, read_chain
from .loss import QDistance
from .metrics import bombieri_weyl
from .monomials import MonomialBasis
from .network import Network
from .program import Affine, Number, Program
from .support import MonomialSupport

__all__ = ["ClosedForm", "solve"]

Vector = NDArray[np.float64]
Basis = MonomialBasis | MonomialSupport

# Lists of more critical functions are not made.
_MOST = 4096
# Complex eigenvectors of a tensor that the solver is asked for.
_MOST_EIGENVECTORS = 400
# The degree of a binary form whose real roots are counted exactly.
_HIGHEST_DEGREE = 40
# Singular values (eigenvalues) are zero below this fraction of the largest, and equal if they differ by less.
_ZERO, _EQUAL = 1e-12, 1e-9
# How exactly a metric is recognised.
_RECOGNISED = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class ClosedForm:
    """All critical functions of a loss on a network, with one critical point for each.

    Attributes
    ----------
    name : str
        The family.
    source : str
        The theorem.
    thetas : ndarray, shape (k, P)
        A critical point of the loss on the parameters for each critical function, ascending by loss. Layers are
        balanced, ‖in‖² = r‖out‖² for each hidden unit (for linear networks, W_{ℓ+1}ᵀW_{ℓ+1} = W_ℓW_ℓᵀ), and units that
        are not needed are zero.
    coef : ndarray, shape (k, O, N)
        The critical functions.
    losses : ndarray, shape (k,)
        Sums of squared errors, the constant of the loss included.
    kinds : tuple of str
        Of ``thetas``: "minimum" (local or global), "strict saddle" (the Hessian has a negative eigenvalue) or
        "degenerate" (it has none, and the point is no minimum, or it is not known whether it is). A minimum whose
        Hessian is singular beyond the fibre (semidefinite metrics, targets that are zero or of low rank, ties) is
        "minimum" here, and has `CriticalPoint.kind` "degenerate" with ``higher_order`` "minimum".
    indices : tuple of int
        Negative eigenvalues of the Hessian at ``thetas``.
    labels : tuple of str
        What was chosen, in words.
    isolated : bool
        False if critical functions come in families of positive dimension, each represented by one.
    complete : bool
        Whether this is proved to be all of them.
    reason : str
        Why it is or is not, and what the families are.
    """

    name: str
    source: str
    thetas: Vector
    coef: Vector
    losses: Vector
    kinds: tuple[str, ...]
    indices: tuple[int, ...]
    labels: tuple[str, ...]
    isolated: bool
    complete: bool
    reason: str

    def __len__(self) -> int:
        return len(self.thetas)

    def __repr__(self) -> str:
        lines = [f"{self.name}: {len(self)} critical functions, {'complete' if self.complete else 'perhaps not all'}"]
        width = max(map(len, self.labels), default=0)
        for loss, kind, index, label in zip(self.losses, self.kinds, self.indices, self.labels):
            lines.append(f"  {loss:<12.6g} {label:<{width}}  {kind}, index {index}")
        return "\n".join([*lines, f"  {self.reason}"])


def solve(loss: object, net: Network) -> ClosedForm | None:
    """All critical functions of a squared error on a network, where a closed form is known.

    Parameters
    ----------
    loss : QDistance
        Of any other loss nothing is known.
    net : Network
        A chain of dense layers without bias, whichever family wrote it.

    Returns
    -------
    ClosedForm or None
        None if no closed form is known, or it has more than 4096 functions.

    Raises
    ------
    TypeError
        If ``net`` is not a network.

    Notes
    -----
    *Linear networks* of any depth, for a metric on each output, or a joint one that is a Kronecker product A ⊗ B. With
    S = A^{1/2} T B^{1/2} = Σ s_i u_i v_iᵀ the loss is ‖A^{1/2} C B^{1/2} − S‖². At a critical θ the gradient E in that
    matrix has CᵀE = 0 = ECᵀ, from the first and the last layer: so C is a partial sum of the singular components of
    S, of at most r terms. At balanced factors every such sum is critical. Its Hessian has a negative eigenvalue for
    each pair of a component taken and a larger one that is left out, and with one hidden layer for each unit that is
    not used and component left out. With more layers a unit that is not used has only higher derivatives: the best
    sums of less than r terms are degenerate saddles.

    *Squares*, widths (n, k, 1) and activation c z², in a multiple of the Bombieri–Weyl metric, which is the Frobenius
    norm of symmetric matrices: partial sums of at most k terms of the spectral decomposition, since a unit with
    non-zero outgoing weight has E a = 0. A pair counts for the Hessian if both eigenvalues have the same sign and that
    left out is larger, so there can be several minima, one for each signature.

    *One neuron*, widths (n, 1, 1) and activation c z^r with r ≥ 3, in a multiple of the Bombieri–Weyl metric: zero and
    the forms λ (v·x)^r where v is a unit eigenvector, T v^{r−1} = λv, of the symmetric tensor of the target. For n = 2
    eigenvectors are the zeros of a binary form, counted exactly; for n ≥ 3 they are solutions of polynomial equations,
    and complete if all ((r − 1)^n − 1)/(r − 2) complex ones are found.

    Examples
    --------
    >>> from polycore import MLP, QDistance
    >>> net = MLP((2, 1, 2), activation=1)
    >>> solve(QDistance.from_metric("identity", [[3, 0], [0, 2]], net.basis), net)
    linear network: 3 critical functions, complete
      4            components {0}  minimum, index 0
      9            components {1}  strict saddle, index 1
      13           components {}   strict saddle, index 2
      every critical function is a sum of singular components
    """
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a polycore network, got {_describe(net)}")
    layers = _read_layers(net.program) if isinstance(loss, QDistance) and loss.dense else None
    if layers is None:
        return None
    assert isinstance(loss, QDistance)
    basis = _basis_of(loss, net)
    if basis is None:
        return None
    if layers.degree == 1:
        return _linear(loss, layers, basis)
    if len(layers.widths) != 3 or layers.widths[-1] != 1 or not _is_bombieri_weyl(loss, basis):
        return None
    if layers.degree == 2:
        return _squares(loss, layers, basis)
    return _one_neuron(loss, layers, basis) if layers.widths[1] == 1 else None


def _basis_of(loss: QDistance, net: Network) -> Basis | None:
    """The monomials of the coefficients that the loss sees; None if they are not those of the network."""
    if loss.n_outputs != net.n_outputs:
        return None
    if loss.basis is None:
        return net.basis if loss.n_monomials == net.basis.n_monomials else None
    complete = len(net.support) == net.basis.n_monomials  # as for all dense chains
    return loss.basis if loss.basis == net.basis or (complete and loss.basis == net.support) else None


# --- networks ---------------------------------------------------------------------------------------------------------


class _Layers(NamedTuple):
    """x -> W_1, activation, W_2, ...: dense layers without bias and with powers, by one factor in all.

    ``orders[k][j]`` is the value that column j of the k-th matrix reads.
    """

    widths: tuple[int, ...]
    orders: tuple[tuple[int, ...], ...]
    degree: int  # of the first hidden layer that is not linear, 1 if all are
    scale: float

    def theta(self, matrices: Sequence[Vector]) -> Vector:
        """The parameters with these matrices, which read values in their natural order."""
        return np.concatenate([w[:, order].reshape(-1) for w, order in zip(matrices, self.orders)])


def _read_layers(program: Program) -> _Layers | None:
    chain = read_chain(program)
    if chain is None or any(chain.biases) or chain.n_params != program.n_params:
        return None
    scale, degree = 1.0, 1
    for place in chain.activations:
        for polynomial in place:
            power = _as_power(polynomial)
            if power is None or (power[1] > 1 and degree > 1):
                return None
            scale = power[0] * scale ** power[1]
            degree *= power[1]
    hidden = [p for place in chain.activations[1:-1] for p in place]
    if degree > 1 and (len(chain.widths) != 3 or all(len(p) <= 2 for p in hidden)):
        return None  # nonlinear somewhere else
    orders = []
    for block in program.parameters:
        affine = program.instructions[block.instruction]
        assert isinstance(affine, Affine)
        orders.append(tuple(range(block.shape[1])) if affine.windows is None else tuple(affine.windows[0]))
    return _Layers(chain.widths, tuple(orders), degree, scale)


def _as_power(polynomial: Polynomial) -> tuple[float, int] | None:
    """c and d of c z^d, c ≠ 0, d ≥ 1."""
    terms = [(c, d) for d, c in enumerate(polynomial) if c != 0]
    if len(terms) != 1 or terms[0][1] == 0 or not isinstance(terms[0][0], Number):
        return None
    return float(terms[0][0]), terms[0][1]


# --- linear networks --------------------------------------------------------------------------------------------------


def _linear(loss: QDistance, layers: _Layers, basis: Basis) -> ClosedForm | None:
    n, n_outputs = layers.widths[0], layers.widths[-1]
    if len(basis) != n or basis.degree != 1:
        return None
    variable = np.argmax(basis.exponents, axis=1)  # of each monomial
    target = np.empty((n_outputs, n))
    target[:, variable] = loss.target
    factors = _kronecker_factors(loss, variable)
    if factors is None:
        return None
    (left, left_inverse), (right, right_inverse) = map(_root, factors)
    u, s, vt = _linalg.svd(left @ target @ right)
    s = s[s > _ZERO * max(s[0], np.finfo(float).tiny)]
    ranks = [np.linalg.matrix_rank(root) if len(root) else 0 for root in (left, right)]
    bottleneck = min(*layers.widths, *map(int, ranks))
    depth, hidden = len(layers.widths) - 1, layers.widths[1]
    if depth == 1:
        chosen: list[tuple[int, ...]] | None = [tuple(range(len(s)))]
    else:
        chosen = _choices(_groups(s), bottleneck)
    if chosen is None:
        return None
    least = min(_left_out(s, kept) for kept in chosen)
    points: list[_Point] = []
    for kept in chosen:
        take = list(kept)
        matrix = left_inverse @ (u[:, take] * s[take]) @ vt[take] @ right_inverse
        theta = layers.theta(_balanced(matrix / layers.scale, layers.widths, len(take)))
        others = np.delete(s, take)
        index = sum(int(np.count_nonzero(others > s[i] * (1 + _EQUAL))) for i in take)
        if depth == 2:
            index += (hidden - len(take)) * len(others)
        is_best = _left_out(s, kept) <= least + _EQUAL * float(s @ s)
        points.append(_Point(theta, matrix[:, variable], _kind(index, is_best), index, f"components {_set(take)}"))
    regular = len(left) == ranks[0] and len(right) == ranks[1]
    families = [] if len(_groups(s)) == len(s) or depth == 1 else ["some singular values are equal"]
    families += [] if regular else ["along the kernel of the metric functions can be moved"]
    reason = "every critical function is a sum of singular components"
    reason += f"; they come in families: {' and '.join(families)}" if families else ""
    return _sorted(
        loss,
        "linear network",
        "Eckart and Young 1936, Baldi and Hornik 1989, Trager, Kohn and Bruna 2020",
        points,
        not families,
        True,
        reason,
    )


def _kronecker_factors(loss: QDistance, variable: NDArray[np.intp]) -> tuple[Vector, Vector] | None:
    """A (O, O) and B (n, n) with Q = A ⊗ B, in the order of the variables; None if there are none."""
    n, n_outputs = loss.n_monomials, loss.n_outputs
    position = np.argsort(variable)
    if len(loss.gram) == n:
        return np.eye(n_outputs), loss.gram[np.ix_(position, position)]
    # C. Van Loan, N. Pitsianis (1993): blocks as rows, of which there is one up to factors.
    blocks = loss.gram.reshape(n_outputs, n, n_outputs, n).transpose(0, 2, 1, 3)
    u, s, vt = _linalg.svd(blocks.reshape(n_outputs**2, n**2))
    if len(s) > 1 and s[1] > _RECOGNISED * s[0]:
        return None
    a, b = (s[0] * u[:, 0]).reshape(n_outputs, n_outputs), vt[0].reshape(n, n)
    sign = 1.0 if np.trace(b) >= 0 else -1.0
    return sign * a, (sign * b)[np.ix_(position, position)]


def _root(psd: Vector) -> tuple[Vector, Vector]:
    """The symmetric square root and its pseudoinverse."""
    values, vectors = _linalg.eigh(0.5 * (psd + psd.T))
    kept = values > _ZERO * max(values.max(initial=0.0), 0.0)
    values, vectors = np.sqrt(values[kept]), vectors[:, kept]
    return (vectors * values) @ vectors.T, (vectors / values) @ vectors.T


def _balanced(matrix: Vector, widths: Sequence[int], rank: int) -> list[Vector]:
    """Matrices of these sizes whose product is one of this rank, W_{ℓ+1}ᵀW_{ℓ+1} = W_ℓW_ℓᵀ."""
    depth = len(widths) - 1
    if depth == 1:
        return [matrix]
    u, s, vt = _linalg.svd(matrix)
    share = np.diag(s[:rank] ** (1 / depth))
    cores = [share @ vt[:rank], *[share] * (depth - 2), u[:, :rank] @ share]
    result = []
    for core, (n, m) in zip(cores, pairwise(widths)):
        padded = np.zeros((m, n))
        padded[: core.shape[0], : core.shape[1]] = core
        result.append(padded)
    return result


# --- choices of components --------------------------------------------------------------------------------------------


def _groups(values: Vector) -> list[list[int]]:
    """Positions of equal values, in descending order of the values."""
    order = np.argsort(-values, kind="stable").tolist()
    groups: list[list[int]] = []
    size = float(np.abs(values).max(initial=0.0))
    for i in order:
        if groups and abs(values[groups[-1][-1]] - values[i]) <= _EQUAL * size:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _choices(groups: Sequence[Sequence[int]], most: int) -> list[tuple[int, ...]] | None:
    """Sets of at most ``most`` members; of equal ones only how many. None if there are too many sets."""
    if _count_choices([len(g) for g in groups], most) > _MOST:
        return None
    return list(_iterate_choices(groups, most))


def _count_choices(sizes: Sequence[int], most: int) -> int:
    counts = [1] + [0] * most  # by number of members
    for size in sizes:
        counts = [sum(counts[max(0, k - size) : k + 1]) for k in range(most + 1)]
    return sum(counts)


def _iterate_choices(groups: Sequence[Sequence[int]], most: int) -> Iterator[tuple[int, ...]]:
    if not groups:
        yield ()
        return
    for k in range(min(len(groups[0]), most) + 1):
        for rest in _iterate_choices(groups[1:], most - k):
            yield tuple(sorted((*groups[0][:k], *rest)))


def _left_out(values: Vector, kept: Sequence[int]) -> float:
    return float(np.sum(np.delete(values, list(kept)) ** 2))


def _set(members: Sequence[int]) -> str:
    return "{" + ", ".join(map(str, members)) + "}"


# --- squares ----------------------------------------------------------------------------------------------------------


def _is_bombieri_weyl(loss: QDistance, basis: Basis) -> bool:
    """Whether the metric is a positive multiple of that of Bombieri and Weyl."""
    if not basis.homogeneous or len(loss.gram) != len(basis):
        return False
    weights = bombieri_weyl(basis)
    scale = float(np.trace(loss.gram) / np.trace(weights))
    return scale > 0 and bool(np.allclose(loss.gram / scale, weights, rtol=0, atol=_RECOGNISED * weights.max()))


def _squares(loss: QDistance, layers: _Layers, basis: Basis) -> ClosedForm | None:
    n, width = layers.widths[0], layers.widths[1]
    symmetric = np.zeros((n, n))
    for c, exponent in zip(loss.target[0], basis.exponents):
        i, j = np.repeat(np.arange(n), exponent)
        symmetric[i, j] += 0.5 * c
        symmetric[j, i] += 0.5 * c
    values, vectors = _linalg.eigh(symmetric)
    order = np.argsort(-np.abs(values), kind="stable")
    values, vectors = values[order], vectors[:, order]
    used = np.abs(values) > _ZERO * np.abs(values).max(initial=0.0)
    values, vectors = values[used], vectors[:, used]
    groups = _groups(values)
    chosen = _choices(groups, width)
    if chosen is None:
        return None
    least = min(_left_out(values, kept) for kept in chosen)
    points: list[_Point] = []
    for kept in chosen:
        take, others = list(kept), np.delete(values, kept)
        inner, outer = np.zeros((width, n)), np.zeros((1, width))
        for unit, component in enumerate(take):
            value, direction = float(values[component]), vectors[:, component]
            inner[unit], outer[0, unit] = _balanced_power(value, direction, 2, layers.scale)
        coef = _quadratic_form((vectors[:, take] * values[take]) @ vectors[:, take].T, basis)[None]
        index = sum(int(np.count_nonzero(others / values[i] > 1 + _EQUAL)) for i in take)
        is_best = _left_out(values, kept) <= least + _EQUAL * float(values @ values)
        kind = _kind(index, is_best or len(take) == width)
        label = f"eigenvalues {_set_of_numbers(values[take])}"
        points.append(_Point(layers.theta([inner, outer]), coef, kind, index, label))
    simple = len(groups) == len(values)
    reason = "every critical form is a sum of eigencomponents"
    reason += "" if simple else "; they come in families: some eigenvalues are equal"
    return _sorted(
        loss,
        "squares in the Bombieri–Weyl metric",
        "spectral decomposition; Eckart and Young 1936 for symmetric matrices",
        points,
        simple,
        True,
        reason,
    )


def _balanced_power(value: float, direction: Vector, degree: int, scale: float) -> tuple[Vector, float]:
    """a and w with scale · w (a·x)^degree = value (direction·x)^degree and ‖a‖² = degree · w²."""
    size = (abs(value) / (abs(scale) * degree ** (degree / 2))) ** (1 / (degree + 1))
    return math.sqrt(degree) * size * direction, math.copysign(size, value * scale)


def _quadratic_form(symmetric: Vector, basis: Basis) -> Vector:
    rows = [np.repeat(np.arange(len(symmetric)), exponent) for exponent in basis.exponents]
    return np.array([symmetric[i, j] * (1 if i == j else 2) for i, j in rows])


def _set_of_numbers(values: Vector) -> str:
    return "{" + ", ".join(f"{v:.4g}" for v in values) + "}"


# --- one neuron -------------------------------------------------------------------------------------------------------


def _one_neuron(loss: QDistance, layers: _Layers, basis: Basis) -> ClosedForm | None:
    n, degree = layers.widths[0], layers.degree
    form = System(np.asarray(basis.exponents), loss.target)
    size = float(np.abs(loss.target).max(initial=0.0))
    found = _eigenvectors(form, degree) if size else _Eigenvectors(np.zeros((0, n)), True, True, "the target is zero")
    if found is None:
        return None
    points = [_Point(np.zeros(n + 1), np.zeros((1, len(basis))), _kind(0, not size), 0, "zero")]
    values = form.evaluate(found.vectors)[:, 0]
    for value, v in zip(values.tolist(), found.vectors):
        if abs(value) <= _ZERO * size:
            continue  # the zero function again
        inner, outer = _balanced_power(value, v, degree, layers.scale)
        theta = layers.theta([inner[None], np.array([[outer]])])
        coef = (value * _power_of_linear_form(v, basis))[None]
        index, decided = _index_on_sphere(form, v, value, degree)
        is_minimum = decided or abs(value) >= np.abs(values).max() * (1 - _EQUAL)
        points.append(_Point(theta, coef, _kind(index, is_minimum), index, f"eigenvalue {value:.6g}"))
    return _sorted(
        loss,
        "one neuron in the Bombieri–Weyl metric",
        "eigenvectors of symmetric tensors; Cartwright and Sturmfels 2013 for their number",
        points,
        found.isolated,
        found.complete,
        found.reason,
    )


def _index_on_sphere(form: System, v: Vector, value: float, degree: int) -> tuple[int, bool]:
    """Negative eigenvalues of the Hessian at value · (v·x)^degree, and whether no eigenvalue vanishes.

    The loss of the best multiple of (v·x)^degree is ‖T‖² − T(v)². Along a great circle through v in direction w its
    second derivative is 2 degree T(v)² (1 − wᵀ∇²T w / (degree T(v))).
    """
    hessian = form.hessian(v)[0] / (degree * value)
    tangent = _linalg.svd(v[None], full=True)[2][1:]
    values = _linalg.eigenvalues(tangent @ hessian @ tangent.T) if len(v) > 1 else np.zeros(0)
    return int(np.count_nonzero(values > 1 + _EQUAL)), bool((np.abs(values - 1) > _EQUAL).all())


def _power_of_linear_form(v: Vector, basis: Basis) -> Vector:
    """The coefficients of (v·x)^D."""
    multinomials = [
        math.factorial(basis.degree) // math.prod(map(math.factorial, row)) for row in basis.exponents.tolist()
    ]
    return np.asarray(np.array(multinomials, dtype=float) * np.prod(v**basis.exponents, axis=1))


class _Eigenvectors(NamedTuple):
    """Real unit vectors v, up to sign, with ∇T(v) = D T(v) v."""

    vectors: Vector  # (k, n)
    complete: bool
    isolated: bool
    reason: str


def _eigenvectors(form: System, degree: int) -> _Eigenvectors | None:
    n = form.n_unknowns
    if n == 1:
        return _Eigenvectors(np.ones((1, 1)), True, True, "forms in one variable have one eigenvector")
    return _eigenvectors_of_binary_form(form, degree) if n == 2 else _eigenvectors_of_tensor(form, degree)


def _eigenvectors_of_binary_form(form: System, degree: int) -> _Eigenvectors | None:
    """The zeros of x ∂T/∂y − y ∂T/∂x, which has real coefficients: counted by Sturm, exactly for these floats."""
    if degree > _HIGHEST_DEGREE:
        return None
    coef = [Fraction(0)] * (degree + 1)  # of x^(D − i) y^i
    for (_, i), c in zip(form.exponents.tolist(), form.coef[0].tolist()):
        coef[i] += Fraction(c)
    rotated: list[int | Fraction] = [Fraction(0)] * (degree + 1)
    for i, c in enumerate(coef):
        if i:
            rotated[i - 1] += i * c
        if i < degree:
            rotated[i + 1] -= (degree - i) * c
    if not any(rotated):
        reason = "every vector is an eigenvector: critical functions come in a family"
        return _Eigenvectors(np.array([[1.0, 0.0]]), True, False, reason)
    n_real = _univariate.count_real_points(rotated)
    drop = _univariate.form_degree_drop(rotated)
    axis = [0.0] if drop else []  # the angle of (1, 0)
    # The others are (t, 1), where t is a root of this polynomial, made squarefree.
    p = _univariate.trimmed(rotated[drop:][::-1])
    common = _univariate.common_divisor(p, _univariate.derivative(p))
    p = _univariate.trimmed(_univariate.quotient(p, common)) if len(common) > 1 else p
    largest = max(abs(Fraction(c)) for c in p)
    roots = np.roots([float(Fraction(c) / largest) for c in reversed(p)])
    roots = roots[np.argsort(np.abs(roots.imag) / (1 + np.abs(roots) ** 2))][: n_real - len(axis)]
    angles = np.array(axis + np.arctan2(1.0, roots.real).tolist())
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    vectors = np.array([_refined(form, v, degree) for v in vectors]).reshape(-1, 2)
    complete = len(vectors) == n_real and _all_distinct(vectors)
    reason = f"{n_real} real eigenvectors, as Sturm's theorem counts"
    return _Eigenvectors(vectors, complete, True, reason if complete else reason + "; not all were separated")


def _eigenvectors_of_tensor(form: System, degree: int) -> _Eigenvectors | None:
    """Solutions of ∇T(x) = D x: those with T(v) ≠ 0, each D − 2 times, and zero."""
    n = form.n_unknowns
    expected = ((degree - 1) ** n - 1) // (degree - 2)
    if expected > _MOST_EIGENVECTORS:
        return None
    solutions = solve_system(_eigenvector_equations(form, degree), _eigenvector_equations(_exact(form), degree))
    if not solutions.complete:
        return None
    vectors: list[Vector] = []
    for x in solutions.points:
        largest = x[np.argmax(np.abs(x))]
        if abs(largest) < 1e-6:
            continue  # zero
        direction = x / largest
        if np.abs(direction.imag).max() <= 1e-8:
            v = _refined(form, direction.real / np.linalg.norm(direction.real), degree)
            if all(abs(abs(v @ w) - 1) > 1e-13 for w in vectors):
                vectors.append(v)
    isolated = bool((solutions.multiplicities == 1).all())
    found = (int(solutions.multiplicities.sum()) - 1) // (degree - 2)
    proved = solutions.certainty == "proved"
    reason = f"{found} complex eigenvectors with eigenvalue not 0, {len(vectors)} of them real"
    reason += f"; there are {expected} in all" if proved else f", of at most {expected}: {solutions.reason}"
    return _Eigenvectors(np.array(vectors).reshape(-1, n), proved, isolated, reason)


def _eigenvector_equations(form: System, degree: int) -> System:
    n = form.n_unknowns
    gradient = System.stack([form.derivative(i) for i in range(n)])
    minus = np.zeros((n, n), dtype=gradient.coef.dtype) - degree * np.eye(n, dtype=np.int64)
    return gradient + System(np.eye(n, dtype=np.int64), minus)


def _exact(form: System) -> System:
    return System(form.exponents, residues(form.coef))


def _refined(form: System, v: Vector, degree: int) -> Vector:
    """Newton's method for ∇T(v) − D T(v) v = 0, |v| = 1."""
    n = len(v)
    best, least = v, np.inf
    for _ in range(8):
        gradient, value = form.jacobian(v)[0], float(form.evaluate(v)[0])
        residual = gradient - degree * value * v
        size = float(np.linalg.norm(residual))
        if size >= least:
            break
        best, least = v, size
        jacobian = form.hessian(v)[0] - degree * value * np.eye(n)
        bordered = np.block([[jacobian, -v[:, None]], [v[None], np.zeros((1, 1))]])
        try:
            v = v - np.linalg.solve(bordered, np.append(residual, 0.0))[:n]
        except np.linalg.LinAlgError:
            break
        v = v / np.linalg.norm(v)
    return best


def _all_distinct(vectors: Vector) -> bool:
    """Whether no two are equal up to sign; by the sine of their angle, which is small where the cosine is flat."""
    return all(abs(a[0] * b[1] - a[1] * b[0]) > 1e-14 for i, a in enumerate(vectors) for b in vectors[:i])


# --- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Point:
    """A critical function and one of its critical points: a row of a `ClosedForm`."""

    theta: Vector
    coef: Vector
    kind: str
    index: int
    label: str


def _kind(index: int, is_minimum: bool) -> str:
    return "strict saddle" if index else "minimum" if is_minimum else "degenerate"


def _sorted(
    loss: QDistance, name: str, source: str, points: Sequence[_Point], isolated: bool, complete: bool, reason: str
) -> ClosedForm:
    losses = np.atleast_1d(loss.value(np.array([point.coef for point in points]))) + loss.constant
    order = np.argsort(losses, kind="stable")
    ascending = [points[i] for i in order]
    return ClosedForm(
        name=name,
        source=source,
        thetas=np.array([point.theta for point in ascending]),
        coef=np.array([point.coef for point in ascending]),
        losses=losses[order],
        kinds=tuple(point.kind for point in ascending),
        indices=tuple(point.index for point in ascending),
        labels=tuple(point.label for point in ascending),
        isolated=isolated,
        complete=complete,
        reason=reason,
    )
