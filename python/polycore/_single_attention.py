# SPDX-License-Identifier: BSD-3-Clause
r"""Which coefficients are those of one layer of lightning attention, X ↦ V X Xᵀ A X with A = KᵀQ of rank at most a?

With rows v_o of V and columns a_k of A, as linear forms on R^d, output o at token τ is
Σ_s Σ_k (v_o·x_s)(a_k·x_s) x_kτ.

**Two or more tokens.** The monomials x_is x_js x_kτ, s ≠ τ, have the coefficients of the quadratic forms
q_ok = v_o a_k, and the others follow from them: that is the linear span. So the question is whether an array of
quadratic forms is a column of linear forms times a row of linear forms.

* q_ok a_l = q_ol a_k for all o, k, l is linear in A, and equivalent to a_k = ϱ_o q_ok with rational functions ϱ_o, that
  is ϱ_o = 1/v_o where a solution exists. If the solutions are 0 there is none, over the complex numbers either (for
  d = 2 and one output this is the resultant). If they are the multiples of one A, then V is the solution of the linear
  equations v_o a_k = q_ok, and A has to have rank at most a.
* Otherwise every row is proportional to one form, q_ok = c_k h_o, and A = ℓ ⊗ c where ℓ is a common linear factor of
  the h_o. If these are not proportional, h_o v_p = h_p v_o determines V up to a factor in the same way. If they are, h
  has to be a product of two linear forms, over the reals: rank one, or rank two and indefinite, an inequality.

The map (V, A) ↦ (v_o a_k) has no zeros but with V = 0 or A = 0, so its image is closed over the complex numbers: what
is in the closure fails at most by the inequality.

**One token.** Then f_o = v_o q with the quadratic form q(x) = xᵀ A x. A symmetric matrix is the symmetric part of a
real matrix of rank at most a iff it has at most a positive and at most a negative eigenvalues, since a product of two
linear forms has at most one of each, and a sum of two squares with different signs is a product.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _exact_matrices as rationals
from . import _linalg
from . import _univariate as univariate
from ._exact_matrices import Matrix
from ._sums_of_powers import Decision
from .monomials import MonomialBasis
from .structure import AttentionHead

_METHOD = "quadratic forms as products of linear forms"


# --- reading ----------------------------------------------------------------------------------------------------------


def quadratic_positions(head: AttentionHead) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions, in the flattened (n_outputs, n_monomials), of the coefficients of q_ok: (d_out, d, N), and the (i, j).

    For two or more tokens: those of x_i1 x_j1 x_k0 in output o at token 0, N pairs i <= j.
    """
    d, n = head.d_model, head.d_model * head.n_tokens
    basis = MonomialBasis(n, 3, homogeneous=True)
    pairs = np.array([(i, j) for i in range(d) for j in range(i, d)])
    unit = np.eye(n, dtype=np.int64)
    exponents = unit[d + pairs[:, 0]] + unit[d + pairs[:, 1]] + unit[:d, None]
    positions = np.asarray(basis.index(exponents.reshape(-1, n))).reshape(d, len(pairs))
    return np.arange(head.d_out)[:, None, None] * basis.n_monomials + positions, pairs


def coefficients(forms: NDArray[Any], head: AttentionHead) -> NDArray[Any]:
    """The coefficients that follow from those of the quadratic forms: f_oτ = Σ_s Σ_k q_ok(x_s) x_kτ.

    Each of the result is a sum of at most three, and each of ``forms`` occurs n_tokens² times.
    """
    d, t, n = head.d_model, head.n_tokens, head.d_model * head.n_tokens
    basis = MonomialBasis(n, 3, homogeneous=True)
    _, pairs = quadratic_positions(head)
    unit = np.eye(n, dtype=np.int64)
    result = np.zeros((t, head.d_out, basis.n_monomials), dtype=forms.dtype)
    for token in range(t):
        for s in range(t):
            for k in range(d):
                exponents = unit[s * d + pairs[:, 0]] + unit[s * d + pairs[:, 1]] + unit[token * d + k]
                result[token][:, np.asarray(basis.index(exponents))] += forms[:, k]
    return result.reshape(t * head.d_out, basis.n_monomials)


# --- exactly ----------------------------------------------------------------------------------------------------------


def decide(coef: NDArray[Any], head: AttentionHead) -> Decision:
    """For coefficients (n_outputs, n_monomials) that are ints and Fractions."""
    if not coef.any():
        return Decision("yes", True, "zero", "the function is zero")
    if head.n_tokens == 1:
        return _decide_one_token(coef, head)
    positions, _ = quadratic_positions(head)
    array = coef.reshape(-1)[positions]
    if not np.array_equal(coefficients(array, head), coef):
        certificate = "f_oτ = Σ_s Σ_k q_ok(x_s) x_kτ does not hold: it is outside the linear span"
        return Decision("no", False, "linear span", "a linear equation does not hold", certificate)
    forms, d = array.tolist(), head.d_model
    solutions = rationals.kernel(_syzygies(forms, d, 2), d * d)
    if not solutions:
        certificate = "q_ok a_l = q_ol a_k has no solution A ≠ 0: the quadratic forms of a row have no common factor"
        return Decision("no", False, _METHOD, "an equation of the closure does not hold", certificate)
    if len(solutions) == 1:
        columns = [solutions[0][k * d : (k + 1) * d] for k in range(d)]
        rank = rationals.rank(columns)
        if not all(_quotient(row, columns, d, 1) for row in forms):
            certificate = "A is determined, but no V has V X Xᵀ A X as its function"
            return Decision("no", False, _METHOD, "an equation of the closure does not hold", certificate)
        if rank > head.d_key:
            certificate = f"A = KᵀQ is determined up to a factor, and has rank {rank} > {head.d_key}"
            return Decision("no", False, _METHOD, "a minor of A does not vanish", certificate)
        reason = f"V and A = KᵀQ are determined up to a factor, and A has rank {rank} <= {head.d_key}"
        return Decision("yes", True, _METHOD, reason)
    # Every row is proportional to one form.
    return _decide_common_factor([next(q for q in row if any(q)) for row in forms if any(map(any, row))], d)


def _decide_common_factor(forms: list[list[Fraction]], d: int) -> Decision:
    """Whether quadratic forms are v_o ℓ with one real linear form ℓ."""
    if rationals.rank(forms) > 1:
        solutions = rationals.kernel(_syzygies([forms], d, 2), len(forms) * d)
        if solutions:
            return Decision("yes", True, _METHOD, "the outputs have one common linear factor, which is real")
        certificate = "the quadratic forms of the outputs have no common linear factor"
        return Decision("no", False, _METHOD, "an equation of the closure does not hold", certificate)
    matrix = _symmetric(forms[0], d)
    signs = [term > 0 for term, _ in rationals.diagonal_form(matrix)]
    if len(signs) > 2:
        certificate = f"all quadratic forms are proportional to one of rank {len(signs)}, no product of linear forms"
        return Decision("no", False, _METHOD, "an equation of the closure does not hold", certificate)
    if len(signs) == 2 and signs[0] == signs[1]:
        certificate = "all quadratic forms are proportional to one with negative discriminant (definite, of rank 2)"
        return Decision("no", True, _METHOD, "an inequality does not hold", certificate)
    return Decision("yes", True, _METHOD, "all quadratic forms are proportional to one product of real linear forms")


def _decide_one_token(coef: NDArray[Any], head: AttentionHead) -> Decision:
    d, a, method = head.d_model, head.d_key, "cubic forms as linear times quadratic forms"
    cubics = [list(map(Fraction, row)) for row in coef.tolist()]
    if d == 1:
        return Decision("yes", True, method, "every cubic form in one variable is a product")
    solutions = rationals.kernel(_syzygies([cubics], d, 3), len(cubics) * d)
    if not solutions:
        certificate = "f_o v_p = f_p v_o has no solution V ≠ 0: the outputs have no common quadratic factor"
        return Decision("no", False, method, "an equation of the closure does not hold", certificate)
    if len(solutions) == 1 and len(cubics) > 1:
        rows = [solutions[0][o * d : (o + 1) * d] for o in range(len(cubics))]
        q = _quotient(cubics, rows, d, 2)
        if q is None:
            certificate = "V is determined, but no A has V X Xᵀ A X as its function"
            return Decision("no", False, method, "an equation of the closure does not hold", certificate)
        signs = [term > 0 for term, _ in rationals.diagonal_form(_symmetric(q, d))]
        return _signature(signs.count(True), signs.count(False), a, method)
    if d == 2 and rationals.rank(cubics) == 1:
        # A real binary cubic has a real zero, and with three of them (two, one of them double) any split will do.
        form = next(row for row in cubics if any(row))
        if a >= 2 or univariate.count_real_points_with_multiplicity(form) == 3:
            return Decision("yes", True, method, "the cubic form has a real linear factor, and the rest is a product")
        certificate = "the quadratic form beside the only real linear factor is definite"
        return Decision("no", True, method, "an inequality does not hold", certificate)
    return Decision("undecided", None, method, "whether a cubic form has a linear factor is not decided")


def _signature(positive: int, negative: int, a: int, method: str) -> Decision:
    words = f"the quadratic form has {positive} positive and {negative} negative eigenvalues"
    if max(positive, negative) <= a:
        return Decision("yes", True, method, f"{words}, at most {a} each")
    certificate = f"{words}, but products of {a} pairs of real linear forms have at most {a} each"
    in_closure = positive + negative <= 2 * a
    why = "an inequality does not hold" if in_closure else "an equation of the closure does not hold"
    return Decision("no", in_closure, method, why, certificate)


def _product_rows(form: Sequence[Fraction], d: int, degree: int, other: int) -> list[dict[int, Fraction]]:
    """For each monomial of degree ``other``, the terms of its product with a form."""
    basis, target = MonomialBasis(d, degree, homogeneous=True), MonomialBasis(d, degree + other, homogeneous=True)
    rows = []
    for shift in MonomialBasis(d, other, homogeneous=True).exponents:
        positions = np.asarray(target.index(basis.exponents + shift)).tolist()
        rows.append({position: Fraction(c) for position, c in zip(positions, form) if c})
    return rows


def _syzygies(rows: Sequence[Sequence[Sequence[Fraction]]], d: int, degree: int) -> Matrix:
    """The equations rows[o][k] a_l = rows[o][l] a_k in linear forms a_1, a_2, …; d unknowns each."""
    n_target = MonomialBasis(d, degree + 1, homogeneous=True).n_monomials
    n_forms = len(rows[0])
    equations = []
    for row in rows:
        products = [_product_rows(form, d, degree, 1) for form in row]
        for k in range(n_forms):
            for l in range(k):
                block = [[Fraction(0)] * (n_forms * d) for _ in range(n_target)]
                for i in range(d):
                    for position, c in products[k][i].items():
                        block[position][l * d + i] += c
                    for position, c in products[l][i].items():
                        block[position][k * d + i] -= c
                equations += block
    return equations


def _quotient(
    products: Sequence[Sequence[Fraction]], factors: Sequence[Sequence[Fraction]], d: int, degree: int
) -> list[Fraction] | None:
    """The form q of this degree with products[k] = q · factors[k] for all k, linear factors, not all zero; or None."""
    n = MonomialBasis(d, degree, homogeneous=True).n_monomials
    equations = []
    for product, factor in zip(products, factors):
        # Columns: the products of the monomials of q with the factor; the last is what they should add up to.
        block = [[Fraction(0)] * (n + 1) for _ in product]
        for j, row in enumerate(_product_rows(factor, d, 1, degree)):
            for position, c in row.items():
                block[position][j] = c
        for position, c in enumerate(product):
            block[position][n] = Fraction(c)
        equations += block
    reduced, pivots = rationals.echelon(equations)
    if n in pivots:
        return None
    return [row[n] for row in reduced]


def _symmetric(form: Sequence[Fraction], d: int) -> Matrix:
    matrix = [[Fraction(0)] * d for _ in range(d)]
    pairs = [(i, j) for i in range(d) for j in range(i, d)]
    for (i, j), c in zip(pairs, form):
        matrix[i][j] += Fraction(c) / 2
        matrix[j][i] += Fraction(c) / 2
    return matrix


# --- with a margin ----------------------------------------------------------------------------------------------------


def obstruct(coef: NDArray[np.float64], head: AttentionHead, radius: float) -> tuple[str, bool | None]:
    """Why no function within ``radius`` (Euclidean norm of all coefficients) is one of attention, and the closure.

    ("", None) if that is not shown. Singular values and eigenvalues move by at most the norm of a change (H. Weyl).
    """
    d = head.d_model
    if d == 1:
        return "", None
    if head.n_tokens == 1:
        # The equations f_o v_p = f_p v_o for V, as those for A below.
        matrix = _floating_syzygies(coef[None], d, 3)
        moved = (d * len(coef)) ** 0.5 * radius + 1e-13 * float(np.linalg.norm(coef)) * d * d
        if len(matrix) >= d * len(coef) and _linalg.singular_values(matrix)[-1] > moved:
            return "f_o v_p = f_p v_o has no solution V ≠ 0, and so nearby: no common quadratic factor", False
        return "", None
    positions, pairs = quadratic_positions(head)
    forms = coef.reshape(-1)[positions]
    off = float(np.linalg.norm(coefficients(forms, head) - coef))
    if off > (1 + 3**0.5 * head.n_tokens) * radius + 1e-13 * float(np.linalg.norm(coef)) * d * d:
        return "f_oτ = Σ_s Σ_k q_ok(x_s) x_kτ does not hold, nor nearby: it is outside the linear span", False
    floor = 1e-13 * float(np.linalg.norm(forms)) * d * d
    for q in forms.reshape(-1, len(pairs)):
        symmetric = np.zeros((d, d))
        symmetric[pairs[:, 0], pairs[:, 1]] += q / 2
        symmetric[pairs[:, 1], pairs[:, 0]] += q / 2
        values = _linalg.eigenvalues(symmetric)
        if values[-2] > radius + floor or values[1] < -radius - floor:
            rank = np.count_nonzero(abs(values) > radius + floor)
            words = "a quadratic form is no product of two real linear forms, and so nearby: its eigenvalues"
            return f"{words} have the signs of {_signs(values, radius + floor)}", False if rank > 2 else None
    # The equations q_ok a_l = q_ol a_k for A: every coefficient occurs in at most 2 d (d − 1) of the entries.
    matrix = _floating_syzygies(forms, d, 2)
    values = _linalg.singular_values(matrix)
    moved = (2 * d * (d - 1)) ** 0.5 * radius + floor
    if len(matrix) >= d * d and values[-1] > moved:
        return "q_ok a_l = q_ol a_k has no solution A ≠ 0, and so nearby: no common linear factor", False
    if head.d_key < d and len(values) >= d * d and values[-2] > 2 * moved:
        # The solution nearby, of norm 1 and with the right sign, is this close to the one here.
        _, _, vectors = _linalg.svd(matrix, full=True)
        distance = 2**0.5 * (moved + float(values[-1])) / float(values[-2] - moved)
        if _linalg.singular_values(vectors[-1].reshape(d, d))[head.d_key] > distance:
            return f"A = KᵀQ is determined up to a factor and has rank more than {head.d_key}, and so nearby", False
    return "", None


def _signs(values: NDArray[np.float64], floor: float) -> str:
    return f"{np.count_nonzero(values > floor)} positive and {np.count_nonzero(values < -floor)} negative ones"


def _floating_syzygies(rows: NDArray[np.float64], d: int, degree: int) -> NDArray[np.float64]:
    """As `_syzygies`, for rows of equally many forms; shape (·, n_forms d)."""
    basis, target = MonomialBasis(d, degree, homogeneous=True), MonomialBasis(d, degree + 1, homogeneous=True)
    positions = [np.asarray(target.index(basis.exponents + shift)) for shift in np.eye(d, dtype=np.int64)]
    n_forms = rows.shape[1]
    blocks = [np.zeros((0, n_forms * d))]
    for row in rows:
        for k in range(n_forms):
            for l in range(k):
                block = np.zeros((target.n_monomials, n_forms * d))
                for i in range(d):
                    block[positions[i], l * d + i] += row[k]
                    block[positions[i], k * d + i] -= row[l]
                blocks.append(block)
    return np.concatenate(blocks)
