# SPDX-License-Identifier: BSD-3-Clause
"""One layer of lightning attention with one head, from its coefficients: the common linear factor.

Output o at token j is Σ_s (v_o · x_s)(x_sᵀ A x_j) with A = KᵀQ and v_o the rows of V. For s ≠ j the terms of degree two
in x_s and one in x_j are a quadratic form for each o and each entry m of x_j, the product of linear forms

    Q_om = v_o(x) a_m(x),  a_m the columns of A.

So Q_om a_m' = Q_om' a_m, equations that are linear in A; if the solution is unique up to a factor, which it is unless A
has rank one, then V is determined by it, and both are. If A has rank one, Q_om v_o' = Q_o'm v_o determines V instead,
unless that has rank one, too: then there is one quadratic form, whose two factors can be exchanged.

One token sees v_o(x) xᵀAx, which determines V, if its rank is at least two, and the symmetric part of A.

Legend: ``d = d_model``, ``a = d_key``, ``O = d_out`` rows of V, ``M = C(d + 1, 2)`` quadratic monomials.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._recovery_powers import multiplication
from .monomials import MonomialBasis, form_exponents
from .program import Program
from .structure import attention_heads, is_single_attention

Matrix = NDArray[Any]

# Singular values below this fraction of the largest are zero.
_ZERO = 1e-7


@dataclass(frozen=True)
class Attention:
    """Sizes, and where the parameters are."""

    n_tokens: int
    d_model: int
    d_key: int
    d_out: int
    key: slice
    query: slice
    value: slice

    @classmethod
    def from_program(cls, program: Program) -> Attention | None:
        """None unless the program is one head of attention and nothing else."""
        if not is_single_attention(program):
            return None
        head = attention_heads(program)[0]
        where = {block.instruction: slice(block.start, block.stop) for block in program.parameters}
        sizes = head.n_tokens, head.d_model, head.d_key, head.d_out
        return cls(*sizes, where[head.key], where[head.query], where[head.value])

    def pack(self, values: Matrix, matrix: Matrix) -> Matrix:
        """Parameters with V and KᵀQ as given, or the nearest matrix of rank d_key; K and Q balanced."""
        theta = np.zeros(max(self.key.stop, self.query.stop, self.value.stop))
        left, sizes, right = np.linalg.svd(matrix)
        rank = min(self.d_key, self.d_model)
        keys, queries = np.zeros((2, self.d_key, self.d_model))
        roots = np.sqrt(sizes[:rank, None])
        keys[:rank], queries[:rank] = roots * left.T[:rank], roots * right[:rank]
        # V (KᵀQ) does not change if one grows as the other shrinks.
        size = float(np.linalg.norm(values)) / (float(np.linalg.norm(keys)) or 1.0)
        grow = size ** (1 / 3) if size > 0 else 1.0
        theta[self.key], theta[self.query] = (keys * grow).ravel(), (queries * grow).ravel()
        theta[self.value] = (values / grow**2).ravel()
        return theta

    def read(self, theta: Matrix) -> tuple[Matrix, Matrix]:
        """V and KᵀQ."""
        keys = theta[self.key].reshape(self.d_key, self.d_model)
        queries = theta[self.query].reshape(self.d_key, self.d_model)
        return theta[self.value].reshape(self.d_out, self.d_model), keys.T @ queries


def recover_attention(head: Attention, coef: Matrix) -> Iterator[tuple[Matrix, str]]:
    """Candidates for the parameters, and how they were found."""
    if head.n_tokens == 1:
        yield from _one_token(head, coef)
        return
    products = _products(head, coef)
    for values, matrix, method in _factors(products):
        yield head.pack(values, matrix), method


def explain_attention(head: Attention, theta: Matrix) -> tuple[bool | None, str]:
    """Whether parameters are unique up to scalings of V and invertible matrices between K and Q."""
    values, matrix = head.read(theta)
    rank = _rank(matrix)
    if rank < min(head.d_key, head.d_model):
        return False, "KᵀQ has not the full rank, so that K and Q can be changed"
    if head.n_tokens == 1 and head.d_model > 1:
        return False, "one token sees the symmetric part of KᵀQ only"
    if head.d_model == 1:
        return True, "there is one number to factor"
    if rank > 1:
        return True, "the common linear factors of the quadratic forms determine KᵀQ and V up to a factor"
    if _rank(values) > 1:
        return True, "the common linear factors of the quadratic forms determine V and KᵀQ up to a factor"
    left, right = np.linalg.svd(values)[2][0], np.linalg.svd(matrix)[0][:, 0]
    if abs(left @ right) > 1 - 1e-12:
        return True, "the quadratic form that V and KᵀQ share is a square"
    return False, "V and KᵀQ of rank one can exchange their factors"


def obstruct_attention(head: Attention, coef: Matrix) -> str:
    """Why coefficients are not those of the head, or ""."""
    if head.n_tokens == 1:
        return ""
    products = _products(head, coef)
    flat = products.reshape(-1, products.shape[2])
    if _rank(flat) == 1:
        values = np.linalg.eigvalsh(_symmetric(np.linalg.svd(flat)[2][0], head.d_model))
        positive, negative = (int((sign * values > _ZERO * np.abs(values).max()).sum()) for sign in (1, -1))
        if positive > 1 or negative > 1:
            return (
                f"the quadratic forms are multiples of one of signature {positive, negative}, "
                "which is no product of real linear forms"
            )
    return ""


# --- two tokens and more ----------------------------------------------------------------------------------------------


def _products(head: Attention, coef: Matrix) -> Matrix:
    """The quadratic forms Q_om, shape (O, d, M), averaged over pairs of different tokens."""
    d, n = head.d_model, head.n_tokens
    basis = MonomialBasis(d * n, 3, homogeneous=True)
    quadratic = form_exponents(d, 2)
    by_token = coef.reshape(n, head.d_out, -1)
    total = np.zeros((head.d_out, d, len(quadratic)))
    for j, s in permutations(range(n), 2):
        exponents = np.zeros((d, len(quadratic), n, d), dtype=np.int64)
        exponents[:, :, s] = quadratic
        exponents[np.arange(d), :, j, np.arange(d)] += 1
        positions = np.asarray(basis.index(exponents.reshape(-1, n * d)), dtype=np.int64)
        total += by_token[j][:, positions].reshape(total.shape)
    return total / (n * (n - 1))


def _factors(products: Matrix) -> Iterator[tuple[Matrix, Matrix, str]]:
    """V (O, d) and A (d, d) with Q_om = v_o a_m."""
    method = "common linear factors"
    columns, certain = _common(products)
    if certain:
        yield _divide(products.transpose(1, 0, 2), columns), columns.T, method
    rows, certain = _common(products.transpose(1, 0, 2))
    if certain:
        yield rows, _divide(products, rows).T, method
    n_out, d, n_monomials = products.shape
    outer, sizes, inner = np.linalg.svd(products.reshape(-1, n_monomials), full_matrices=False)
    # One quadratic form: λ u uᵀ − μ w wᵀ is a product of √λ u ± √μ w.
    values, vectors = np.linalg.eigh(_symmetric(inner[0] * sizes[0], d))
    largest, least = max(values[-1], 0.0), max(-values[0], 0.0)
    one = np.sqrt(largest) * vectors[:, -1]
    other = np.sqrt(least) * vectors[:, 0]
    left, weights, right = np.linalg.svd(outer[:, 0].reshape(n_out, d))
    yield np.outer(left[:, 0], one + other), np.outer(one - other, weights[0] * right[0]), "factors of a quadratic form"


def _common(products: Matrix) -> tuple[Matrix, bool]:
    """Linear forms b_m (d, d) with Q_om b_m' = Q_om' b_m for all o, and whether they are unique up to a factor."""
    n_out, n_forms, _ = products.shape
    d = (isqrt(8 * products.shape[2] + 1) - 1) // 2
    if n_forms == 1:
        return np.zeros((1, d)), False
    times = multiplication(d, 2, 1)  # (M, d, cubic monomials)
    multiplied = np.einsum("omq,qvc->omcv", products, times)
    rows = []
    for m, other in combinations(range(n_forms), 2):
        block = np.zeros((n_out, multiplied.shape[2], n_forms, d))
        block[:, :, other] = multiplied[:, m]
        block[:, :, m] = -multiplied[:, other]
        rows.append(block.reshape(-1, n_forms * d))
    _, sizes, vectors = np.linalg.svd(np.concatenate(rows), full_matrices=True)
    sizes = np.concatenate([sizes, np.zeros(n_forms * d - len(sizes))])
    return vectors[-1].reshape(n_forms, d), bool(sizes[-2] > _ZERO * sizes[0])


def _divide(products: Matrix, factors: Matrix) -> Matrix:
    """Linear forms c_o with Q_mo = b_m c_o, shape (O, d), for products (n, O, M) and factors b (n, d)."""
    d = factors.shape[1]
    columns = np.einsum("mv,vwq->mqw", factors, multiplication(d, 1, 1)).reshape(-1, d)
    right = products.transpose(0, 2, 1).reshape(len(columns), -1)
    return np.asarray(np.linalg.lstsq(columns, right, rcond=None)[0].T)


def _symmetric(quadratic: Matrix, d: int) -> Matrix:
    """The symmetric matrix of a quadratic form."""
    matrix = np.zeros((d, d))
    for value, exponents in zip(quadratic, form_exponents(d, 2)):
        i, j = np.repeat(np.arange(d), exponents)
        matrix[i, j] = matrix[j, i] = value if i == j else value / 2
    return matrix


# --- one token --------------------------------------------------------------------------------------------------------


def _one_token(head: Attention, coef: Matrix) -> Iterator[tuple[Matrix, str]]:
    d = head.d_model
    if head.d_out == 1 and d > 1:
        return
    if d == 1:
        yield head.pack(coef, np.ones((1, 1))), "one number"
        return
    # F_o v_o' = F_o' v_o.
    times = multiplication(d, 3, 1)
    multiplied = np.einsum("oq,qvc->ocv", coef, times)
    rows = []
    for o, other in combinations(range(head.d_out), 2):
        block = np.zeros((multiplied.shape[1], head.d_out, d))
        block[:, other], block[:, o] = multiplied[o], -multiplied[other]
        rows.append(block.reshape(len(block), -1))
    values = np.linalg.svd(np.concatenate(rows))[2][-1].reshape(head.d_out, d)
    columns = np.einsum("ov,vqc->ocq", values, multiplication(d, 1, 2)).reshape(-1, d * (d + 1) // 2)
    quadratic = np.linalg.lstsq(columns, coef.ravel(), rcond=None)[0]
    matrix = _low_rank(_symmetric(quadratic, d), head.d_key)
    if matrix is not None:
        yield head.pack(values, matrix), "the common factor of cubic forms"


def _low_rank(symmetric: Matrix, rank: int) -> Matrix | None:
    """A matrix of a rank with this symmetric part: positive and negative squares are products in pairs."""
    values, vectors = np.linalg.eigh(symmetric)
    if rank >= len(symmetric):
        return symmetric
    kept = np.abs(values) > _ZERO * np.abs(values).max()
    positive = [np.sqrt(x) * u for x, u in zip(values[kept], vectors.T[kept]) if x > 0]
    negative = [np.sqrt(-x) * u for x, u in zip(values[kept], vectors.T[kept]) if x < 0]
    if max(len(positive), len(negative)) > rank:
        return None
    matrix = np.zeros_like(symmetric)
    for i in range(max(len(positive), len(negative))):
        one = positive[i] if i < len(positive) else None
        other = negative[i] if i < len(negative) else None
        if one is not None and other is not None:
            matrix += np.outer(one + other, one - other)
        elif one is not None:
            matrix += np.outer(one, one)
        elif other is not None:
            matrix -= np.outer(other, other)
    return matrix


def _rank(matrix: Matrix) -> int:
    sizes = np.linalg.svd(matrix, compute_uv=False)
    return int(np.count_nonzero(sizes > _ZERO * sizes[0])) if sizes[0] > 0 else 0
