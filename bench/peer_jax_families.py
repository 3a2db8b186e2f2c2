# SPDX-License-Identifier: BSD-3-Clause
"""Expansion of convolutional and attention networks in JAX, in every way we know that might be fast.

As in `peer_jax`: ``theta`` is one parameter vector (P,) or a batch in the last axis (P, batch); coefficients come out
as (O, N, ...). The structure is used as far as arrays let it be: equal windows are computed once, and every entry of
the result knows the few products it is a sum of.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as all_of

import jax
import jax.numpy as jnp
import numpy as np

import polycore as pc
from peer_jax import (
    Expand,
    apply,
    integer_power,
    interpolation,
    power_of_linear_forms,
    product_by_gather,
    product_by_scatter,
    product_by_shifts,
)

PRODUCTS = {"gather": product_by_gather, "scatter": product_by_scatter, "shifts": product_by_shifts}


def positions(exponents: np.ndarray, d: int, degree: int) -> np.ndarray:
    """Where forms are in the basis."""
    return pc.MonomialBasis(d, degree, homogeneous=True).index(exponents)


def exponents(d: int, degree: int) -> np.ndarray:
    return pc.MonomialBasis(d, degree, homogeneous=True).exponents


def sources(targets: np.ndarray, n_targets: int) -> np.ndarray:
    """The transpose of a scatter: for every target the entries that go there, padded with the number of entries."""
    order = np.argsort(targets, kind="stable")
    counts = np.bincount(targets, minlength=n_targets)
    table = np.full((n_targets, max(1, counts.max())), len(targets))
    slot = np.arange(len(targets)) - np.repeat(np.cumsum(counts) - counts, counts)
    table[targets[order], slot] = order
    return table


def gather_sum(values: jax.Array, table: np.ndarray) -> jax.Array:
    """Sums of entries (axis 1 of values) as `sources` lists them."""
    padded = jnp.pad(values, [(0, 0), (0, 1), *[(0, 0)] * (values.ndim - 2)])
    return sum(padded[:, table[:, k]] for k in range(table.shape[1]))


# -- convolutions, stride 1, z^r --------------------------------------------------------------------------------------


def ways_to_expand_cnn(filters: Sequence[int], r: int, n_inputs: int) -> dict[str, Expand]:
    ways = {f"one window, {name}": cnn_by_windows(filters, r, n_inputs, product) for name, product in PRODUCTS.items()}
    ways |= {
        f"dense products, {name}": cnn_by_products(filters, r, n_inputs, PRODUCTS[name])
        for name in ("scatter", "shifts")
    }
    ways["evaluation + solve"] = cnn_by_evaluation(filters, r, n_inputs)
    return ways


def split(filters: Sequence[int], theta: jax.Array) -> list[jax.Array]:
    ends = np.cumsum(filters)
    return [theta[end - size : end] for size, end in zip(filters, ends)]


def cnn_by_windows(filters: Sequence[int], r: int, n_inputs: int, product) -> Expand:
    """All positions have the same polynomial in a window of their own: one is computed, in no more variables."""
    shifts, size, degree = [], filters[0], 1
    for k in filters[1:]:
        degree *= r
        table = exponents(size, degree)
        moved = [np.pad(table, ((0, 0), (j, k - 1 - j))) for j in range(k)]
        size += k - 1
        n = len(exponents(size, degree))
        shifts.append([sources(positions(rows, size, degree), n) for rows in moved])
    table = exponents(size, degree)
    n, n_outputs = len(exponents(n_inputs, degree)), n_inputs - size + 1
    windows = [np.pad(table, ((0, 0), (o, n_outputs - 1 - o))) for o in range(n_outputs)]
    places = np.concatenate([positions(rows, n_inputs, degree) for rows in windows])

    def expand(theta: jax.Array) -> jax.Array:
        first, *others = split(filters, theta)
        z, degree, size = first[None], 1, filters[0]
        for weights, tables in zip(others, shifts):
            if degree == 1:
                z = power_of_linear_forms(z, r)
            else:
                power = z
                for j in range(1, r):
                    power = product(power, z, size, j * degree, degree)
                z = power
            z = sum(w * gather_sum(z, table) for w, table in zip(weights, tables))
            degree, size = r * degree, size + len(tables) - 1
        if n_outputs == 1:
            return z
        rows = np.repeat(np.arange(n_outputs), z.shape[1])
        zero = jnp.zeros((n_outputs, n, *z.shape[2:]))
        return zero.at[rows, places].set(jnp.tile(z[0], (n_outputs, *[1] * (z.ndim - 2))))

    return expand


def toeplitz(weights: jax.Array, n: int) -> jax.Array:
    """The matrix of a convolution of n values: (n - k + 1, n, ...)."""
    k = len(weights)
    return jnp.stack([jnp.pad(weights, [(i, n - k - i), *[(0, 0)] * (weights.ndim - 1)]) for i in range(n - k + 1)])


def cnn_by_products(filters: Sequence[int], r: int, n_inputs: int, product) -> Expand:
    """Dense forms in all inputs, every unit."""

    def expand(theta: jax.Array) -> jax.Array:
        first, *others = split(filters, theta)
        z, degree = power_of_linear_forms(toeplitz(first, n_inputs), r), r
        for layer, weights in enumerate(others):
            if layer:
                power = z
                for j in range(1, r):
                    power = product(power, z, n_inputs, j * degree, degree)
                z, degree = power, r * degree
            z = apply(toeplitz(weights, len(z)), z)
        return z

    return expand


def cnn_by_evaluation(filters: Sequence[int], r: int, n_inputs: int) -> Expand:
    """Values at N points times the inverse of the Veronese matrix."""
    points, inverse = (jnp.asarray(x) for x in interpolation(n_inputs, r ** (len(filters) - 1)))

    def expand(theta: jax.Array) -> jax.Array:
        z = points.reshape(*points.shape, *[1] * (theta.ndim - 1))
        for layer, weights in enumerate(split(filters, theta)):
            z = integer_power(z, r) if layer else z
            n = len(z) - len(weights) + 1
            z = sum(w * z[j : j + n] for j, w in enumerate(weights))
        return jnp.einsum("ab,ob...->oa...", inverse, z)

    return expand


# -- attention: V X X^T K^T Q X, one layer, one head ------------------------------------------------------------------


def ways_to_expand_attention(d: int, d_key: int, d_out: int, t: int) -> dict[str, Expand]:
    return {
        "products, gather": attention_by_products(d, d_key, d_out, t, gather=True),
        "products, scatter": attention_by_products(d, d_key, d_out, t, gather=False),
        "evaluation + solve": attention_by_evaluation(d, d_key, d_out, t),
    }


def matrices(d: int, d_key: int, d_out: int, theta: jax.Array) -> list[jax.Array]:
    result, start = [], 0
    for rows in (d_key, d_key, d_out):
        result.append(theta[start : start + rows * d].reshape(rows, d, *theta.shape[1:]))
        start += rows * d
    return result


def attention_by_products(d: int, d_key: int, d_out: int, t: int, gather: bool) -> Expand:
    """All V[o, k] (K^T Q)[i, j] at once; each goes to x_ks x_is x_js' for all tokens s and s'."""
    unit = np.eye(d * t, dtype=np.int64).reshape(t, d, d * t)
    n = pc.count_monomials(d * t, 3, homogeneous=True)
    places = np.empty((t, t, d, d, d), dtype=np.int64)  # token out, token in, k, i, j
    for to, token in all_of(range(t), range(t)):
        rows = unit[token][:, None, None] + unit[token][None, :, None] + unit[to][None, None, :]
        places[to, token] = positions(rows.reshape(-1, d * t), d * t, 3).reshape(d, d, d)
    targets = (np.arange(t)[:, None] * n + places.reshape(t, -1)).reshape(-1)
    table = sources(targets, t * n)
    table = np.where(table == len(targets), d**3, table % d**3)

    def expand(theta: jax.Array) -> jax.Array:
        K, Q, V = matrices(d, d_key, d_out, theta)
        terms = jnp.einsum("ok...,ij...->okij...", V, jnp.einsum("ai...,aj...->ij...", K, Q))
        terms = terms.reshape(d_out, d**3, *theta.shape[1:])
        if gather:
            coef = gather_sum(terms, table)
        else:
            everywhere = jnp.tile(terms, (1, t * t, *[1] * (theta.ndim - 1)))
            coef = jnp.zeros((d_out, t * n, *theta.shape[1:])).at[:, targets].add(everywhere)
        return jnp.moveaxis(coef.reshape(d_out, t, n, *theta.shape[1:]), 0, 1).reshape(t * d_out, n, *theta.shape[1:])

    return expand


def attention_by_evaluation(d: int, d_key: int, d_out: int, t: int) -> Expand:
    points, inverse = (jnp.asarray(x) for x in interpolation(d * t, 3))

    def expand(theta: jax.Array) -> jax.Array:
        K, Q, V = matrices(d, d_key, d_out, theta)
        X = points.reshape(t, d, -1)  # tokens, features, points
        k, q, v = (jnp.einsum("ai...,sip->sap...", M, X) for M in (K, Q, V))
        weights = jnp.einsum("rap...,sap...->rsp...", k, q)
        values = jnp.einsum("rop...,rsp...->sop...", v, weights).reshape(t * d_out, -1, *theta.shape[1:])
        return jnp.einsum("ab,ob...->oa...", inverse, values)

    return expand
