# SPDX-License-Identifier: BSD-3-Clause
r"""Which forms are sums of k real powers of linear forms, f_o = Σ_{j <= k} w_oj l_j^r for all outputs o together?

The functions of a network with one hidden layer of k units z^r are these. Decided exactly where a theorem does it:

* **Catalecticants.** With f = Σ_γ (r!/γ!) a_γ x^γ the matrix (a_{α+β}), |α| = r − s, |β| = s, of all outputs stacked,
  is a sum of k matrices of rank one, so its rank is at most k: an equation, for the closure over the complex numbers
  too. For s = 1 its rank e is the number of essential variables.
* **Quadratic forms**, one output: k >= e is enough, by Lagrange's diagonal form.
* **Two essential variables** (J. J. Sylvester 1851; P. Comon, B. Mourrain 1996; B. Reznick, *On the length of binary
  forms*, 2013). The f_o are sums of powers of l_1, …, l_k, pairwise not proportional, iff the form g of degree k that
  vanishes at them is apolar to all f_o, which is linear in g. So the question is whether a linear space of binary forms
  contains one with k distinct real zeros. If all have a common divisor that is not like that, no; if they are all the
  multiples of one that is, yes; a pencil is decided by its discriminant, whose real roots separate the intervals where
  the number of real zeros is constant. In larger spaces zeros are prescribed at random. The closure needs g ≠ 0 only,
  since the forms apolar to g are a space whose dimension does not depend on g.
* **Sylvester's bound** (1864; Reznick 2013): a real form that is no power of a linear form and has τ real zeros,
  counted with multiplicity, is no sum of fewer than τ real powers. Derivatives are sums of as many powers.
* **One power less than the degree**: a binary form of degree r >= 3 without multiple zeros is a sum of r − 1 real
  powers unless all its zeros are real (A. Causa, R. Re, *On the maximum rank of a real binary form*, 2011).
* **As many units as essential variables.** Then the l_j are a basis, and the partial derivatives of order r − 2,
  symmetric matrices S_i, are diagonal in it: if S = Σ t_i S_i is invertible, iff the S⁻¹ S_i commute and are
  diagonalisable over the reals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _exact_matrices as rationals
from . import _linalg
from . import _univariate as univariate
from ._exact_matrices import Matrix, Rational
from .monomials import MonomialBasis
from .rank import modular_rank

_SEARCHES = 40
_DRAWS = 6
_LARGE = 2**31
# Arcs of P¹ are halved so often, and so many are looked at together, to count real zeros.
_HALVINGS, _MOST_ARCS, _OFFSET = 40, 2**13, 0.6180339887


@dataclass(frozen=True)
class Decision:
    """What is known: ``verdict`` is "yes", "no" or "undecided", ``closure`` whether the closure has it."""

    verdict: str
    closure: bool | None
    method: str
    reason: str
    certificate: str = ""


def multinomials(n: int, r: int) -> list[int]:
    """r! / γ! for the monomials of degree r in n variables."""
    return [math.factorial(r) // math.prod(map(math.factorial, e)) for e in MonomialBasis(n, r, homogeneous=True)]


def catalecticant_positions(n: int, r: int, s: int) -> NDArray[np.int64]:
    """Positions of α + β, |α| = r − s and |β| = s, shape (N_{r−s}, N_s)."""
    rows = MonomialBasis(n, r - s, homogeneous=True).exponents
    columns = MonomialBasis(n, s, homogeneous=True).exponents
    return _positions(n, r, rows[:, None] + columns[None])


def _positions(n: int, r: int, exponents: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the monomials of degree r with these exponents, shape (..., n)."""
    found = MonomialBasis(n, r, homogeneous=True).index(exponents.reshape(-1, n))
    return np.asarray(found).reshape(exponents.shape[:-1])


def _stacked(forms: Sequence[Sequence[Rational]], n: int, r: int, s: int) -> list[list[Fraction]]:
    """The catalecticants of all outputs, rows (o, α), columns β with |β| = s."""
    positions, weights = catalecticant_positions(n, r, s).tolist(), multinomials(n, r)
    scaled = [[Fraction(c, w) for c, w in zip(form, weights)] for form in forms]
    return [[form[p] for p in row] for form in scaled for row in positions]


# --- exactly ----------------------------------------------------------------------------------------------------------


def decide(forms: Sequence[Sequence[Rational]], n: int, r: int, k: int, rng: np.random.Generator) -> Decision:
    """Whether forms of degree r >= 2 in n variables, one row of coefficients each, are sums of k real r-th powers."""
    if not any(map(any, forms)):
        return Decision("yes", True, "zero", "the function is zero")
    essential, _ = rationals.echelon(_stacked(forms, n, r, 1))
    e = len(essential)
    if e > k:
        return _too_large_a_rank(1, e, k)
    if e == 1:
        return Decision("yes", True, "one essential variable", "every output is a multiple of one power")
    if r == 2 and len(forms) == 1:
        reason = f"the quadratic form has rank {e}, at most the {k} units; output weights have any sign"
        return Decision("yes", True, "rank of the quadratic form", reason)
    if k >= math.comb(e - 1 + r, r):
        return Decision("yes", True, "powers span", f"{k} powers are enough for all forms in {e} variables")
    output_rank = rationals.rank(forms)
    if output_rank > k:
        return _too_large_a_rank(r, output_rank, k)
    if e == 2:
        return _decide_binary(_restricted_to_line(forms, n, r, essential), r, k, rng)
    for s in range(2, r):
        if min(math.comb(n - 1 + s, s), len(forms) * math.comb(n - 1 + r - s, r - s)) > k:
            # Modulo a prime the rank is never larger.
            found = _modular_rank(_stacked(forms, n, r, s))
            if found > k:
                return _too_large_a_rank(s, found, k)
    if e == k:
        return _decide_basis(_quadratic_derivatives(forms, n, r, essential), k, rng)
    return Decision("undecided", None, "catalecticants", f"all catalecticants have rank at most {k}")


def _modular_rank(rows: list[list[Fraction]]) -> int:
    denominators = math.lcm(*(x.denominator for row in rows for x in row))
    return modular_rank([[int(x * denominators) for x in row] for row in rows])


def _too_large_a_rank(s: int, found: int, k: int) -> Decision:
    words = {1: "the matrix of first derivatives (essential variables)"}
    matrix = words.get(s, f"the catalecticant matrix with columns of degree {s}")
    certificate = f"{matrix} has rank {found}, and {k} units allow {k}"
    return Decision("no", False, "catalecticants", f"{k + 1} × {k + 1} minors do not vanish", certificate)


def _restricted_to_line(forms: Sequence[Sequence[Rational]], n: int, r: int, essential: Matrix) -> list[list[Rational]]:
    """The binary forms F_o with f_o(x) = F_o(e_1·x, e_2·x): values at right inverses of the essential forms."""
    # In reduced echelon form, e_i takes the value δ_ij at the unit vector of pivot j.
    pivots = [next(j for j, x in enumerate(row) if x) for row in essential]
    points = np.zeros((r + 1, n), dtype=object)
    points[:, pivots[0]] = 1
    points[:, pivots[1]] = list(range(r + 1))
    values = MonomialBasis(n, r, homogeneous=True).evaluate(np.array(forms, dtype=object), points)
    result: list[list[Rational]] = []
    for row in values.tolist():
        p = univariate.interpolate(range(r + 1), row)
        result.append([*p, *[0] * (r + 1 - len(p))])
    return result


def _decide_binary(forms: list[list[Rational]], r: int, k: int, rng: np.random.Generator) -> Decision:
    space = apolar_space(forms, r, k)
    if not space:
        reason = f"no form of degree {k} is apolar to it"
        certificate = f"the catalecticant matrix with columns of degree {k} has independent columns"
        return Decision("no", False, "apolarity", reason, certificate)
    return decide_hyperbolic(space, forms, k, rng)


def apolar_space(forms: Sequence[Sequence[Rational]], r: int, k: int) -> Matrix:
    """Basis of the binary forms of degree k that are apolar to all of these, of degree r."""
    rows = []
    for form in forms:
        a = [Fraction(c, math.comb(r, i)) for i, c in enumerate(form)]
        rows += [a[i : i + k + 1] for i in range(r - k + 1)]
    return rationals.kernel(rows, k + 1)


def decide_hyperbolic(space: Matrix, forms: Sequence[Sequence[Rational]], k: int, rng: np.random.Generator) -> Decision:
    """Whether a space of binary forms of degree k, apolar to ``forms``, has one with k distinct real zeros."""
    method = "apolarity and real zeros"
    divisor = univariate.forms_common_divisor(space)
    degree = len(divisor) - 1
    if degree and not univariate.is_hyperbolic(divisor):
        real = univariate.count_real_points(divisor)
        which = "the only form" if len(space) == 1 else "every form"
        if univariate.is_squarefree(divisor):
            zeros = f"has zeros that are not real: {real} of {degree} are"
        else:
            zeros = "has a multiple zero"
        certificate = f"{which} of degree {k} that is apolar to it {zeros}"
        return Decision("no", True, method, "it is a limit, or complex, but no real sum of powers", certificate)
    yes = Decision("yes", True, method, f"a form of degree {k} that is apolar to it has {k} distinct real zeros")
    if len(space) == k - degree + 1:
        return yes
    if len(space) == 2:
        if hyperbolic_in_pencil(space[0], space[1]) is not None:
            return yes
        certificate = f"no form of the pencil of degree {k} that is apolar to it has {k} distinct real zeros"
        return Decision("no", True, method, "it is a complex sum of powers, but no real one", certificate)
    bound = _sylvester_bound(forms, k)
    if bound:
        return Decision("no", True, "Sylvester's bound", "it is a complex sum of powers, but no real one", bound)
    for _ in range(_SEARCHES):
        pencil = _with_zeros(space, rng)
        if len(pencil) >= 2 and hyperbolic_in_pencil(pencil[0], pencil[1]) is not None:
            return yes
    if len(forms) == 1 and k == len(forms[0]) - 2 >= 2 and univariate.is_squarefree(forms[0]):
        reason = "its zeros are distinct and not all real, so one power less than its degree is enough"
        return Decision("yes", True, "Causa and Re", reason)
    reason = f"no form with {k} distinct real zeros was found among those of degree {k} that are apolar to it"
    return Decision("undecided", True, method, reason)


def hyperbolic_in_pencil(a: Sequence[Rational], b: Sequence[Rational]) -> list[Rational] | None:
    """A form a + t b with only distinct real zeros, or None: that of b is a limit of such."""
    k = len(a) - 1

    def member(t: Rational) -> list[Rational]:
        return [x + t * y for x, y in zip(a, b)]

    if k == 1:
        return member(1) if any(member(1)) else list(a)
    nodes = range(2 * k - 1)
    discriminant = univariate.interpolate(nodes, [univariate.form_discriminant(member(t)) for t in nodes])
    if not discriminant:
        return None  # all have a multiple zero
    for t in univariate.separating_points(discriminant):
        if univariate.is_hyperbolic(member(t)):
            return member(t)
    return None


def _with_zeros(space: Matrix, rng: np.random.Generator) -> Matrix:
    """The members of a space that vanish at as many random rational points as leave a pencil."""
    k = len(space[0]) - 1
    rows = []
    for angle in rng.uniform(0, math.pi, len(space) - 2):
        x, y = round(64 * math.cos(angle)), round(64 * math.sin(angle))
        powers = [x ** (k - i) * y**i for i in range(k + 1)]
        rows.append([sum((p * c for p, c in zip(powers, form)), Fraction(0)) for form in space])
    return rationals.multiply(rationals.kernel(rows, len(space)), space)


def _sylvester_bound(forms: Sequence[Sequence[Rational]], k: int) -> str:
    """Why one of the forms, or a derivative of it, has too many real zeros for k powers; "" if none does."""
    level = [list(form) for form in forms]
    order = 0
    while level and len(level[0]) - 1 > k:
        r = len(level[0]) - 1
        for form in level:
            zeros = univariate.count_real_points_with_multiplicity(form) if any(form) else 0
            if zeros > k and rationals.rank(_stacked([form], 2, r, 1)) > 1:
                what = "it" if order == 0 else f"a derivative of order {order} of it"
                return f"{what} has {zeros} real zeros and is no power: no sum of fewer than {zeros} real powers"
        by_x = [[(r - i) * c for i, c in enumerate(form)][:-1] for form in level]
        by_y = [[i * c for i, c in enumerate(form)][1:] for form in level]
        level, order = by_x + by_y, order + 1
        if len(level) > 64:
            break
    return ""


def _quadratic_derivatives(forms: Sequence[Sequence[Rational]], n: int, r: int, essential: Matrix) -> list[Matrix]:
    """The partial derivatives of order r − 2 as symmetric matrices in the essential variables, up to factors."""
    pivots = [next(j for j, x in enumerate(row) if x) for row in essential]
    unit = np.eye(n, dtype=np.int64)[pivots]
    weights, found = multinomials(n, r), list[Matrix]()
    for beta in MonomialBasis(n, r - 2, homogeneous=True).exponents:
        positions = _positions(n, r, beta + unit[:, None] + unit[None]).tolist()
        for form in forms:
            found.append([[Fraction(form[p], weights[p]) for p in row] for row in positions])
    return [matrix for matrix in found if any(map(any, matrix))]


def _decide_basis(matrices: list[Matrix], k: int, rng: np.random.Generator) -> Decision:
    """Whether symmetric k × k matrices are diagonal in one real basis of linear forms, in which all k are needed."""
    method, matrices = "simultaneous diagonalisation", _independent(matrices)
    for _ in range(_DRAWS):
        t = rng.integers(-_LARGE, _LARGE, len(matrices)).tolist()
        combined = [[sum(c * m[i][j] for c, m in zip(t, matrices)) for j in range(k)] for i in range(k)]
        inverted = rationals.inverse(combined)
        if inverted is not None:
            break
    else:
        return Decision("undecided", None, method, "no combination of the second derivatives found is invertible")
    operators = [rationals.multiply(inverted, matrix) for matrix in matrices]
    for a, b in combinations(operators, 2):
        if rationals.multiply(a, b) != rationals.multiply(b, a):
            certificate = "S⁻¹ S_i and S⁻¹ S_j do not commute, for S_i, S_j, S combinations of its second derivatives"
            return Decision("no", False, method, f"its {k} essential variables do not split", certificate)
    diagonalisable, real = True, True
    for operator in operators:
        p = rationals.characteristic_polynomial(operator)
        squarefree = univariate.quotient(p, univariate.common_divisor(p, univariate.derivative(p)))
        diagonalisable &= not any(map(any, rationals.evaluate_at_matrix(squarefree, operator)))
        real &= univariate.count_real_roots(squarefree) == len(squarefree) - 1
    if diagonalisable and real:
        return Decision("yes", True, method, "its second derivatives are diagonal in one basis of linear forms")
    if diagonalisable:
        certificate = "a pencil of its second derivatives has eigenvalues that are not real"
        return Decision("no", True, method, "it is a complex sum of powers, but no real one", certificate)
    certificate = "a pencil of its second derivatives is not diagonalisable"
    # One operator is a limit of diagonalisable ones that are symmetric for the same form.
    closure = True if len(operators) <= 2 else None
    return Decision("no", closure, method, "at best it is a limit of sums of powers", certificate)


def _independent(matrices: list[Matrix]) -> list[Matrix]:
    """Some of them that span all."""
    flat = [[x for row in matrix for x in row] for matrix in matrices]
    _, pivots = rationals.echelon(rationals.transpose(flat))
    return [matrices[i] for i in pivots]


# --- with a margin ----------------------------------------------------------------------------------------------------


def obstruct(forms: NDArray[np.float64], n: int, r: int, k: int, radius: float) -> tuple[str, bool | None]:
    """Why no forms within ``radius`` (Euclidean norm of all coefficients) are sums of k powers, and the closure.

    ("", None) if that is not shown. Singular values move by at most the norm of a change (H. Weyl).
    """
    for s in range(1, r + 1):
        matrix, factor = _floating_catalecticant(forms, n, r, s)
        if min(matrix.shape) > k:
            values = _linalg.singular_values(matrix)
            if values[k] > factor * radius + _rounding(values):
                return (
                    f"the catalecticant matrix with columns of degree {s} has rank more than {k}, and so nearby",
                    False,
                )
    if n == 2:
        words = _obstruct_binary(forms, r, k, radius)
        return words, (True if words else None)
    if k == n:
        return _obstruct_basis(forms, n, r, radius)
    return "", None


def _rounding(values: NDArray[np.float64]) -> float:
    return 1e-13 * len(values) * float(values[0])


def _floating_catalecticant(forms: NDArray[np.float64], n: int, r: int, s: int) -> tuple[NDArray[np.float64], float]:
    """The stacked catalecticant, and the largest factor from the norm of coefficients to its Frobenius norm."""
    positions, weights = catalecticant_positions(n, r, s), np.array(multinomials(n, r), dtype=float)
    counts = np.bincount(positions.reshape(-1), minlength=len(weights))
    stacked = (forms / weights)[:, positions].reshape(-1, positions.shape[1])
    return stacked, float(np.sqrt(counts / weights**2).max())


def _obstruct_binary(forms: NDArray[np.float64], r: int, k: int, radius: float) -> str:
    """Real zeros: too many of a form, or not enough of the only apolar form."""
    for form in forms:
        zeros = _least_real_zeros(form, radius)
        if k < zeros and _floating_rank(form[None], r, radius) > 1:
            return f"it has at least {zeros} real zeros, and so nearby: no sum of fewer than {zeros} real powers"
    if r < k:
        return ""
    matrix, factor = _floating_catalecticant(forms, 2, r, k)
    if len(matrix) < k:
        return ""
    _, values, vectors = _linalg.svd(matrix, full=True)
    gap = values[k - 1] - factor * radius - _rounding(values)
    if gap <= 0:
        return ""
    # Any apolar form nearby, of norm 1 and with the right sign, is this close to the one here.
    distance = math.sqrt(2) * (factor * radius + 2 * _rounding(values)) / gap
    real = certain_real_zeros(vectors[-1], distance)
    if real is not None and real < k:
        return f"the apolar form of degree {k} has {real} real zeros only, and so nearby"
    return ""


def _floating_rank(form: NDArray[np.float64], r: int, radius: float) -> int:
    matrix, factor = _floating_catalecticant(form, 2, r, 1)
    values = _linalg.singular_values(matrix)
    return int(np.count_nonzero(values > factor * radius + _rounding(values)))


def _angles(degree: int) -> NDArray[np.float64]:
    return np.pi * (np.arange(64 * (degree + 1)) + 0.5) / (64 * (degree + 1))


def _monomials(points: NDArray[Any], degree: int) -> NDArray[Any]:
    """x^(k−i) y^i at points (x, y), shape (n_points, degree + 1)."""
    i = np.arange(degree + 1)
    return np.asarray(points[:, :1] ** (degree - i) * points[:, 1:] ** i)


def _least_real_zeros(form: NDArray[np.float64], radius: float) -> int:
    """Sign changes around P¹ that no change of the coefficients of this size removes."""
    degree = len(form) - 1
    angles = _angles(degree)
    rows = _monomials(np.stack([np.cos(angles), np.sin(angles)], axis=1), degree)
    values = rows @ form
    margin = np.linalg.norm(rows, axis=1) * (radius + 1e-14 * np.linalg.norm(form))
    signs = np.sign(values[abs(values) > margin])
    if not len(signs):
        return 0
    around = np.append(signs, signs[0] * (-1) ** degree)
    return int(np.count_nonzero(around[1:] != around[:-1]))


def certain_real_zeros(form: NDArray[np.float64], radius: float) -> int | None:
    """The number of real zeros on P¹ of a form, if every form within this distance has as many; else None.

    Around P¹, h(φ) = form(cos φ, sin φ) has no zero on an arc where it is large in the middle, and at most one where
    its derivative is. Arcs are halved until one of both is certain; near a multiple zero neither ever is.
    """
    degree = len(form) - 1
    size = float(np.linalg.norm(form))
    first, second = _angular_derivative(form), _angular_derivative(_angular_derivative(form))
    noise = math.sqrt(degree + 1) * (radius + 1e-14 * size)  # of values; derivatives have degree² times as much
    angles, half, count = math.pi * (np.arange(8) + _OFFSET) / 8, math.pi / 16, 0
    for _ in range(_HALVINGS):
        empty = abs(_at_angles(form, angles)) > half * abs(first).sum() + noise
        single = ~empty & (abs(_at_angles(first, angles)) > half * abs(second).sum() + 2 * degree * noise)
        ends = _at_angles(form, np.stack([angles - half, angles + half]))
        single &= (abs(ends) > noise).all(axis=0)
        count += int(np.count_nonzero(single & (ends[0] * ends[1] < 0)))
        left = angles[~(single | empty)]
        if not len(left):
            return count
        half /= 2
        angles = np.concatenate([left - half, left + half])
        if len(angles) > _MOST_ARCS:
            return None
    return None


def _at_angles(form: NDArray[np.float64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    points = np.stack([np.cos(angles).ravel(), np.sin(angles).ravel()], axis=1)
    return np.asarray(_monomials(points, len(form) - 1) @ form).reshape(angles.shape)


def _angular_derivative(form: NDArray[np.float64]) -> NDArray[np.float64]:
    """(x ∂/∂y − y ∂/∂x) of a form, its derivative along the circle."""
    degree, i = len(form) - 1, np.arange(len(form))
    result = np.zeros(len(form))
    result[:-1] += (i * form)[1:]
    result[1:] -= ((degree - i) * form)[:-1]
    return result


def _obstruct_basis(forms: NDArray[np.float64], n: int, r: int, radius: float) -> tuple[str, bool | None]:
    """As many units as variables: eigenvalues that are certainly not real, or operators that do not commute."""
    weights = np.array(multinomials(n, r), dtype=float)
    unit = np.eye(n, dtype=np.int64)
    betas = MonomialBasis(n, r - 2, homogeneous=True).exponents
    positions = _positions(n, r, betas[:, None, None] + unit[:, None] + unit[None])
    matrices = (forms / weights)[:, positions].reshape(-1, n, n)
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(3, len(matrices)))
    draws /= np.linalg.norm(draws, axis=1, keepdims=True)
    first, second, third = np.tensordot(draws, matrices, axes=1)
    smallest, size = np.linalg.svd(first, compute_uv=False)[-1], max(np.linalg.norm(m) for m in (first, second, third))
    moved = math.sqrt(n * n * len(betas)) * radius + 1e-13 * size * n
    if smallest <= 2 * moved:
        return "", None
    operators = [np.linalg.solve(first, m) for m in (second, third)]
    norm = max(np.linalg.norm(m) for m in operators)
    change = moved * (1 + norm) / (smallest - moved)
    if np.linalg.norm(operators[0] @ operators[1] - operators[1] @ operators[0]) > 4 * change * (norm + change):
        return "combinations of its second derivatives give operators that do not commute, and so nearby", False
    values, vectors = np.linalg.eig(operators[0])
    condition = np.linalg.cond(vectors)
    moved = condition * (change + 1e-13 * norm)
    complex_values, others = values[abs(values.imag) > moved], values[abs(values.imag) <= moved]
    apart = np.abs(complex_values[:, None] - others[None]).min(initial=math.inf)
    # As many eigenvalues stay in the discs around these as there are discs (F. L. Bauer, C. T. Fike 1960).
    if len(complex_values) and apart > 2 * moved:
        return "a pencil of its second derivatives has eigenvalues that are not real, and so nearby", None
    return "", None
