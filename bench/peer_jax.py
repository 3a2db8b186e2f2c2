# SPDX-License-Identifier: BSD-3-Clause
"""Expansion of networks in JAX, written in every way we know that might be fast; the benchmarks take the fastest.

Networks are MLPs without bias, activation z^r, so everything is a form (homogeneous polynomial) in d0 variables.
``theta`` is one parameter vector and becomes a batch through `over_batch`; arrays of coefficients have shape
(units, n_monomials, ...), and the code works as well with the batch as last axes as with none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations_with_replacement, pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import polycore as pc

Expand = Callable[[jax.Array], jax.Array]  # theta (P, ...) -> coefficients (O, N, ...)

# Ways that are hopeless beyond some size: grids of so many points a monomial, tables of so many pairs.
LARGEST_GRID, LARGEST_GATHER = 100, 50_000


def ways_to_expand(widths: Sequence[int], r: int) -> dict[str, Expand]:
    """Graded products in three ways, evaluation + solve in two; as functions of one theta (P,), or (P, batch)."""
    d, degree = widths[0], r ** (len(widths) - 2)
    products = {"scatter": product_by_scatter, "shifts": product_by_shifts}
    last = degree // r if degree > r else 0  # degree of the largest factor; the first power needs no product
    if n_forms(d, degree - last) * n_forms(d, last) <= LARGEST_GATHER:
        products["gather"] = product_by_gather
    ways = {f"graded product, {name}": graded_product_way(widths, r, product) for name, product in products.items()}
    ways["evaluation + solve"] = evaluation_and_solve(widths, r)
    if (degree + 1) ** (d - 1) <= LARGEST_GRID * n_forms(d, degree):
        ways["evaluation + FFT"] = evaluation_and_fft(widths, r)
    return ways


def batched_variants(
    ways: dict[str, Callable[[jax.Array], Any]], chunks: Sequence[int]
) -> dict[str, Callable[[jax.Array], Any]]:
    """Each way in each manner of treating a batch, as jitted functions of (batch, P)."""
    return {
        f"{name}, {how} {chunk}": over_batch(way, how, chunk)
        for name, way in ways.items()
        for how in ("vmap", "batch last")
        for chunk in chunks
    }


def over_batch(function: Callable[[jax.Array], Any], how: str, chunk: int) -> Callable[[jax.Array], Any]:
    """A function of theta (P,) or (P, batch) as a jitted function of (batch, P), treated chunk by chunk.

    ``how`` is "vmap", or "batch last" for the same code on arrays whose last axis is the batch.
    """
    if how == "vmap":
        return jax.jit(lambda thetas: jax.lax.map(function, thetas, batch_size=chunk))

    def chunked(thetas: jax.Array) -> Any:
        blocks = thetas.reshape(-1, chunk, thetas.shape[1]).swapaxes(1, 2)
        results = jax.lax.map(function, blocks)
        return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 1).reshape(thetas.shape[0], *x.shape[1:-1]), results)

    return jax.jit(chunked)


def layers(widths: Sequence[int], theta: jax.Array) -> list[jax.Array]:
    """Weight matrices (n_out, n_in, ...) out of theta (P, ...)."""
    result, start = [], 0
    for n_in, n_out in pairwise(widths):
        result.append(theta[start : start + n_out * n_in].reshape(n_out, n_in, *theta.shape[1:]))
        start += n_out * n_in
    return result


def apply(matrix: jax.Array, values: jax.Array) -> jax.Array:
    """W z: (n_out, n_in, ...) times (n_in, n, ...)."""
    return jnp.einsum("oi...,in...->on...", matrix, values)


# -- graded products --------------------------------------------------------------------------------------------------


def graded_product_way(widths: Sequence[int], r: int, product: Callable[..., jax.Array]) -> Expand:
    d = widths[0]

    def expand(theta: jax.Array) -> jax.Array:
        first, *others = layers(widths, theta)
        z = power_of_linear_forms(first, r)
        degree = r
        for k, matrix in enumerate(others):
            if k:
                power = z
                for j in range(1, r):
                    power = product(power, z, d, j * degree, degree)
                z, degree = power, r * degree
            z = apply(matrix, z)
        return z

    return expand


def power_of_linear_forms(rows: jax.Array, r: int) -> jax.Array:
    """(Σ w_i x_i)^r, one multinomial coefficient times a monomial of the weights each."""
    factors = np.array(list(combinations_with_replacement(range(rows.shape[1]), r)))
    multinomials = [math.factorial(r) / math.prod(math.factorial(c) for c in np.bincount(f)) for f in factors]
    monomials = jnp.prod(rows[:, factors], axis=2)  # (units, n, r, ...) -> (units, n, ...)
    return monomials * jnp.asarray(multinomials).reshape(-1, *[1] * (rows.ndim - 2))


def product_by_gather(a: jax.Array, b: jax.Array, d: int, degree_a: int, degree_b: int) -> jax.Array:
    """c[γ] = Σ_k a[first[γ, k]] b[second[γ, k]] over all pairs that make γ, padded with a zero."""
    first, second = pairs_by_result(d, degree_a, degree_b)
    pad = [(0, 0), (0, 1), *[(0, 0)] * (a.ndim - 2)]
    return (jnp.pad(a, pad)[:, first] * jnp.pad(b, pad)[:, second]).sum(axis=2)


def product_by_scatter(a: jax.Array, b: jax.Array, d: int, degree_a: int, degree_b: int) -> jax.Array:
    """All products a[α] b[β], each added to c[α + β]."""
    table = positions(d, degree_a, degree_b)
    products = a[:, :, None] * b[:, None, :]
    zero = jnp.zeros((a.shape[0], n_forms(d, degree_a + degree_b), *a.shape[2:]))
    return zero.at[:, table.reshape(-1)].add(products.reshape(a.shape[0], -1, *a.shape[2:]))


def product_by_shifts(a: jax.Array, b: jax.Array, d: int, degree_a: int, degree_b: int) -> jax.Array:
    """For one b[β] after the other, all a[α] b[β] at once, added to c[α + β]."""
    table = jnp.asarray(positions(d, degree_a, degree_b).T)  # (n_b, n_a)

    def add(c: jax.Array, item: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        where, factor = item
        return c.at[:, where].add(a * factor[:, None], indices_are_sorted=True, unique_indices=True), None

    zero = jnp.zeros((a.shape[0], n_forms(d, degree_a + degree_b), *a.shape[2:]))
    return jax.lax.scan(add, zero, (table, b.swapaxes(0, 1)))[0]


@cache
def positions(d: int, degree_a: int, degree_b: int) -> np.ndarray:
    """positions[α, β] is the index of α + β, shape (n_a, n_b)."""
    A, B, C = (pc.MonomialBasis(d, k, homogeneous=True) for k in (degree_a, degree_b, degree_a + degree_b))
    # Any injective linear function of the exponents ranks them: here digits to a base that exceeds them.
    digits = (degree_a + degree_b + 1) ** np.arange(d, dtype=np.int64)
    keys = C.exponents @ digits
    order = np.argsort(keys)
    sums = (A.exponents @ digits)[:, None] + (B.exponents @ digits)[None, :]
    return order[np.searchsorted(keys, sums, sorter=order)].astype(np.int32)


@cache
def pairs_by_result(d: int, degree_a: int, degree_b: int) -> tuple[np.ndarray, np.ndarray]:
    """For each γ the pairs (α, β) with α + β = γ, padded with (n_a, n_b); two arrays (n_c, most)."""
    table = positions(d, degree_a, degree_b)
    n_a, n_b = table.shape
    order = np.argsort(table, axis=None, kind="stable")
    result = table.reshape(-1)[order]
    counts = np.bincount(result)
    slot = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = np.full((len(counts), counts.max()), n_a, dtype=np.int32)
    second = np.full_like(first, n_b)
    first[result, slot], second[result, slot] = order // n_b, order % n_b
    return first, second


# -- evaluation, then interpolation -----------------------------------------------------------------------------------


def evaluate(widths: Sequence[int], r: int, theta: jax.Array, points: Any) -> jax.Array:
    """Values (O, n_points, ...) at points given as (d0, n_points)."""
    first, *others = layers(widths, theta)
    z = jnp.einsum("oi...,in->on...", first, points)
    for matrix in others:
        z = apply(matrix, integer_power(z, r))
    return z


def integer_power(z: jax.Array, r: int) -> jax.Array:
    power = z
    for _ in range(r - 1):
        power = power * z
    return power


@cache
def interpolation(d: int, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """N points (d, N) and the inverse (N, N) of their Veronese matrix.

    Points on the sphere; as long as that is affordable, those that a QR decomposition with pivoting chooses from more.
    """
    n = n_forms(d, degree)
    candidates = np.random.default_rng(0).normal(size=(4 * n, d))
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    if n <= 1000:
        import scipy.linalg

        _, _, pivots = scipy.linalg.qr(
            pc.veronese(candidates, degree, homogeneous=True).T, mode="economic", pivoting=True
        )
    else:
        pivots = np.arange(n)
    points = candidates[pivots[:n]]
    return points.T, np.linalg.inv(pc.veronese(points, degree, homogeneous=True))


def evaluation_and_solve(widths: Sequence[int], r: int) -> Expand:
    """Values at N points times the inverse of the Veronese matrix."""
    points, inverse = (jnp.asarray(x) for x in interpolation(widths[0], r ** (len(widths) - 2)))
    return lambda theta: jnp.einsum("ab,ob...->oa...", inverse, evaluate(widths, r, theta, points))


def evaluation_and_fft(widths: Sequence[int], r: int) -> Expand:
    """Values at the grid of roots of unity, x_1 = 1, then the inverse Fourier transform of real coefficients.

    Roots of unity are where interpolation is perfectly conditioned; conjugate points are left out.
    """
    d, degree = widths[0], r ** (len(widths) - 2)
    n = degree + 1
    shape = (n,) * (d - 1)
    half = (n,) * (d - 2) + (n // 2 + 1,)
    angles = -2 * np.pi / n * np.indices(half).reshape(d - 1, -1)
    grid = np.vstack([np.ones((1, angles.shape[1])), np.exp(1j * angles)])
    exponents = pc.MonomialBasis(d, degree, homogeneous=True).exponents
    where = np.ravel_multi_index(tuple(exponents[:, 1:].T), shape)

    def expand(theta: jax.Array) -> jax.Array:
        first, *others = layers(widths, theta)
        z = jnp.einsum("oi...,in->on...", first, grid.real) + 1j * jnp.einsum("oi...,in->on...", first, grid.imag)
        for matrix in others:
            z = integer_power(z, r)
            z = apply(matrix, z.real) + 1j * apply(matrix, z.imag)
        values = jnp.moveaxis(z, 1, -1)  # (O, ..., grid)
        coef = jnp.fft.irfftn(values.reshape(*values.shape[:-1], *half), shape, axes=range(-(d - 1), 0))
        return jnp.moveaxis(coef.reshape(*values.shape[:-1], -1)[..., where], -1, 1)

    return expand


# -- losses -----------------------------------------------------------------------------------------------------------


def loss_gradient(expand: Expand, gram: np.ndarray, target: np.ndarray) -> Callable[[jax.Array], Any]:
    """Value and gradient of ⟨c − t, Q(c − t)⟩, with a single product with Q."""
    Q, t = jnp.asarray(gram), jnp.asarray(target)

    def value_and_gradient(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        coef, pull_back = jax.vjp(expand, theta)
        residual = coef - t.reshape(*t.shape, *[1] * (coef.ndim - 2))
        image = jnp.einsum("ab,ob...->oa...", Q, residual)
        return (residual * image).sum(axis=(0, 1)), pull_back(2.0 * image)[0]

    return value_and_gradient


def folded_loss_gradient(
    widths: Sequence[int], r: int, gram: np.ndarray, target: np.ndarray
) -> Callable[[jax.Array], Any]:
    """The same loss as a quadratic form of the values at N points: no coefficients any more, V⁻ᵀQV⁻¹ instead of Q."""
    points, inverse = interpolation(widths[0], r ** (len(widths) - 2))
    values_of_target = target @ np.linalg.inv(inverse).T
    return loss_gradient(
        lambda theta: evaluate(widths, r, theta, jnp.asarray(points)), inverse.T @ gram @ inverse, values_of_target
    )


def samples_loss_gradient(
    widths: Sequence[int], r: int, X: np.ndarray, Y: np.ndarray
) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
    """Value and gradient of the sum of squared errors on samples, the usual way."""
    return jax.jit(jax.value_and_grad(samples_loss(widths, r, X, Y)))


def samples_loss_hessian(
    widths: Sequence[int], r: int, X: np.ndarray, Y: np.ndarray
) -> Callable[[jax.Array], jax.Array]:
    """The Hessian of the sum of squared errors on samples, forward over reverse as JAX recommends."""
    return jax.jit(jax.hessian(samples_loss(widths, r, X, Y)))


def samples_loss(widths: Sequence[int], r: int, X: np.ndarray, Y: np.ndarray) -> Callable[[jax.Array], jax.Array]:
    """The sum of squared errors on samples as a function of theta."""
    points, goal = jnp.asarray(X.T), jnp.asarray(Y.T)
    return lambda theta: ((evaluate(widths, r, theta, points) - goal) ** 2).sum()


# -- other families, at points ----------------------------------------------------------------------------------------


def ways_to_convolve(filters: Sequence[int], r: int) -> dict[str, Callable[..., jax.Array]]:
    """A CNN of one channel on X (n_samples, n_inputs), or on its transpose where the name says columns."""

    def weights(theta: jax.Array) -> list[jax.Array]:
        return [theta[end - n : end] for n, end in zip(filters, np.cumsum(filters).tolist())]

    def by_conv(theta: jax.Array, X: jax.Array) -> jax.Array:
        z = X[:, None, :]
        for layer, w in enumerate(weights(theta)):
            z = integer_power(z, r) if layer else z
            z = jax.lax.conv_general_dilated(z, w[None, None, :], (1,), "VALID")
        return z[:, 0, :]

    def by_slices(theta: jax.Array, columns: jax.Array) -> jax.Array:
        z = columns
        for layer, w in enumerate(weights(theta)):
            z = integer_power(z, r) if layer else z
            n_out = z.shape[0] - len(w) + 1
            z = sum((w[k] * z[k : k + n_out] for k in range(len(w))), start=jnp.zeros(()))
        return z.T

    def by_row_slices(theta: jax.Array, X: jax.Array) -> jax.Array:
        return jax.vmap(lambda x: by_slices(theta, x[:, None])[0])(X)

    return {"convolution": by_conv, "sums of slices": by_row_slices, "sums of slices, columns": by_slices}


def ways_to_attend(d: int, t: int) -> dict[str, Callable[..., jax.Array]]:
    """One head of lightning attention, d_key = d_out = d, on X (n_samples, t d), or on its transpose."""

    def on_rows(attend: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        def values(theta: jax.Array, X: jax.Array) -> jax.Array:
            K, Q, V = theta.reshape(3, d, d)
            return jax.vmap(lambda x: attend(x @ K.T, x @ Q.T, x @ V.T).reshape(-1))(X.reshape(-1, t, d))

        return values

    def on_columns(theta: jax.Array, columns: jax.Array) -> jax.Array:
        K, Q, V = theta.reshape(3, d, d)
        k, q, v = (jnp.einsum("oi,tin->ton", M, columns.reshape(t, d, -1)) for M in (K, Q, V))
        memory = jnp.einsum("tan,ton->aon", k, v)
        return jnp.einsum("tan,aon->nto", q, memory).reshape(-1, t * d)

    return {
        "keys with values first": on_rows(lambda k, q, v: q @ (k.T @ v)),
        "queries with keys first": on_rows(lambda k, q, v: (q @ k.T) @ v),
        "columns": on_columns,
    }


def over_points(ways: dict[str, Callable[..., jax.Array]], theta: np.ndarray, X: np.ndarray) -> dict[str, Any]:
    """Calls of jitted functions of theta (P,) or (batch, P), arrays already on the device."""
    points = {"columns": jnp.asarray(X.T.copy()), "rows": jnp.asarray(X)}
    parameters = jnp.asarray(theta)
    calls = {}
    for name, way in ways.items():
        layout = points["columns" if name.endswith("columns") else "rows"]
        compiled = jax.jit(jax.vmap(way, in_axes=(0, None)) if theta.ndim > 1 else way)
        calls[name] = lambda compiled=compiled, layout=layout: compiled(parameters, layout).block_until_ready()
    return calls


def n_forms(d: int, degree: int) -> int:
    return pc.count_monomials(d, degree, homogeneous=True)
