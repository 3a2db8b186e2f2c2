# SPDX-License-Identifier: BSD-3-Clause
"""Filters of convolutional networks with one channel, from their coefficients.

Let σ(z) = c z^r, r >= 2, and f = G(y) with y_i = σ(z_i), z_i = Σ_j w_j x_{p_i + j}: the first layer, and G all that
follows, of degree e. Let x_p be an input that only the window of unit i contains. A term x_p^(D−1) x_q of f, D = re,
comes from a product of r equal factors z for each y: the factors that hold x_p are z_i, so all are, since each y holds
at least one. Hence f has there the coefficient that g c^e z_i^D has, where g is that of y_i^e in G:

    [x_p^(D−1) x_q] f = D w_q / w_p · [x_p^D] f   for x_q in the window of unit i.

If [x_p^D] f is not zero, the filter w is determined up to a factor. And then G is: the z_i are independent, since the
first nonzero weight meets an input in each window that no later window meets with any, so that G(y) = f(x) for any x
with z_i(x) = (y_i / c)^(1/r), whichever roots are taken. Layer after layer this gives all filters, up to factors which
the last one, where G is linear, makes up for. The argument proves uniqueness, too, for functions with [x_p^D] f ≠ 0 in
each step; V. Shahverdi, G. L. Marchetti and K. Kohn (arXiv:2410.00722) have it for almost all functions.

Layers with linear activations between them make one filter, a product of polynomials w_1(x) w_2(x^s) w_3(x^(st)) ...
with the strides s, t, ... A factor in x^s is what the parts of the product with exponents of each residue modulo s have
in common. Without strides real roots and pairs of complex ones can be distributed in many ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import comb, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._recovery_powers import multinomials, power_coefficients
from .program import Activation, Affine, Number, Program

Matrix = NDArray[Any]

# Coefficients below this fraction of the largest are not divided by.
_NEGLIGIBLE = 1e-10
# Roots of polynomials closer than this are not told apart.
_SAME_ROOT = 1e-6


@dataclass(frozen=True)
class Filter:
    """A convolution with one channel.

    Attributes
    ----------
    start, stop : int
        Where the weights are in the vector of parameters.
    bias : int or None
        Where the bias is.
    windows : ndarray of int, shape (n_windows, size)
        Positions in the values before it.
    """

    start: int
    stop: int
    bias: int | None
    windows: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.stop - self.start

    def stride(self) -> int | None:
        """The stride along a signal; None for other arrangements of windows. 1 if there is one window."""
        first = self.windows[:, 0]
        stride = int(first[1] - first[0]) if len(first) > 1 else 1
        expected = stride * np.arange(len(first))[:, None] + np.arange(self.size)
        matches = bool(np.array_equal(self.windows, expected))
        return stride if stride > 0 and matches else None

    def matrix(self, weights: Matrix, width: int) -> Matrix:
        """The linear map of its windows (n_windows, width)."""
        result = np.zeros((len(self.windows), width), dtype=weights.dtype)
        np.add.at(result, (np.arange(len(self.windows))[:, None], self.windows), weights)
        return result


@dataclass(frozen=True)
class Run:
    """Convolutions with activations c z between them: one convolution whose filter is a product."""

    filters: tuple[Filter, ...]
    factors: tuple[float, ...]
    windows: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of weights of the product."""
        return int(self.windows.shape[1])

    @property
    def degrees(self) -> list[int]:
        """Of the filters as polynomials."""
        return [f.size - 1 for f in self.filters]


@dataclass(frozen=True)
class Convolutional:
    """A convolutional network with one channel: runs, and the activations of degree >= 2 between them.

    Everything is cut down to what the first output depends on; ``inputs`` are the variables among the network's.
    """

    runs: tuple[Run, ...]
    activations: tuple[tuple[Number, ...], ...]
    widths: tuple[int, ...]
    inputs: NDArray[np.int64]
    degree: int
    n_params: int
    biases: tuple[int, ...]

    @classmethod
    def from_program(cls, program: Program) -> Convolutional | None:
        """None for other programs, and where two linear convolutions follow each other that are not along a signal."""
        layers = _layers(program)
        if layers is None:
            return None
        filters, gaps = layers
        if any(len(gap) == 2 and gap[0] != 0 for gap in gaps):
            return None
        filters, inputs = _restrict(filters)
        cuts = [0, *(i + 1 for i, gap in enumerate(gaps) if len(gap) > 2), len(filters)]
        runs = []
        for i, j in pairwise(cuts):
            run = _compose(filters[i:j], tuple(float(gap[1]) for gap in gaps[i : j - 1]))
            if run is None:
                return None
            runs.append(run)
        activations = tuple(gap for gap in gaps if len(gap) > 2)
        widths = (len(inputs), *(len(run.windows) for run in runs))
        biases = tuple(f.bias for f in filters if f.bias is not None)
        degree = prod(len(a) - 1 for a in activations)
        return cls(tuple(runs), activations, widths, inputs, degree, program.n_params, biases)

    @property
    def is_homogeneous(self) -> bool:
        """Whether there are no biases, and powers only."""
        return not self.biases and all(not any(c != 0 for c in a[:-1]) for a in self.activations)


def _layers(program: Program) -> tuple[list[Filter], list[tuple[Number, ...]]] | None:
    """Convolutions, and the activation after each but the last."""
    instructions = program.instructions
    if any(instruction.inputs != (k,) for k, instruction in enumerate(instructions)):
        return None
    blocks = {(block.instruction, block.kind): block for block in program.parameters}
    filters: list[Filter] = []
    gaps: list[tuple[Number, ...]] = []
    for k, instruction in enumerate(instructions):
        if isinstance(instruction, Affine) and instruction.n_out == 1:
            if len(filters) > len(gaps):
                gaps.append((0, 1))
            windows = instruction.windows or (tuple(range(program.widths[k])),)
            block, bias = blocks[k, "W"], blocks.get((k, "b"))
            filters.append(Filter(block.start, block.stop, bias.start if bias else None, np.array(windows)))
        elif isinstance(instruction, Activation) and len(gaps) < len(filters) and instruction.degree:
            gaps.append(instruction.numbers)
        else:
            return None
    return (filters, gaps) if len(gaps) + 1 == len(filters) else None


def _restrict(filters: list[Filter]) -> tuple[list[Filter], NDArray[np.int64]]:
    """The same layers for the first output alone, and the inputs it depends on."""
    restricted = []
    needed = np.array([0])
    for layer in reversed(filters):
        windows = layer.windows[needed]
        needed = np.unique(windows)
        restricted.append(Filter(layer.start, layer.stop, layer.bias, np.searchsorted(needed, windows)))
    return restricted[::-1], needed


def _compose(filters: list[Filter], factors: tuple[float, ...]) -> Run | None:
    """Filters after each other as one; None if that is not known how."""
    if len(filters) == 1:
        return Run(tuple(filters), (), filters[0].windows)
    if any(layer.stride() is None for layer in filters):
        return None
    spacing, span = 1, 1
    for layer in filters:
        span += spacing * (layer.size - 1)
        spacing *= layer.stride() or 1
    starts = spacing * np.arange(len(filters[-1].windows))
    return Run(tuple(filters), factors, starts[:, None] + np.arange(span))


# --- powers -----------------------------------------------------------------------------------------------------------


def recover_filters(net: Convolutional, form: Matrix) -> Iterator[Matrix]:
    """Parameters of a network of powers without biases, from the form (N,) of its first output in all ``inputs``.

    The first is the one that generic filters lead to. The others follow where filters begin with zeros.
    """
    theta = np.zeros(net.n_params)
    for filters in _peel(net, _Values(form, net.widths[0], net.degree), 0):
        if all(_write_run(theta, run, weights) for run, weights in zip(net.runs, filters)):
            yield theta.copy()


class _Values:
    """A form as a function of complex points, evaluated many at a time."""

    def __init__(self, form: Matrix, n_vars: int, degree: int) -> None:
        self._form, self._degree = form / multinomials(n_vars, degree), degree

    def __call__(self, points: Matrix) -> Matrix:
        return np.asarray(power_coefficients(points, self._degree) @ self._form)


def _peel(net: Convolutional, values: Any, layer: int) -> Iterator[list[Matrix]]:
    """The filters from a layer on, for the function ``values`` of what goes into it."""
    run, width = net.runs[layer], net.widths[layer]
    if layer == len(net.runs) - 1:
        yield [np.real(values(np.eye(width, dtype=complex)))[run.windows[0]]]
        return
    degree = prod(len(a) - 1 for a in net.activations[layer:])
    p = net.activations[layer]
    r, c = len(p) - 1, float(p[-1])
    for weights in _first_filters(run, width, values, degree):
        pseudo_inverse = np.linalg.pinv(run_matrix(run, weights, width))

        def inner(points: Matrix, pseudo_inverse: Matrix = pseudo_inverse) -> Matrix:
            roots = (points.astype(complex) / c) ** (1 / r)
            return np.asarray(values(roots @ pseudo_inverse.T))

        for rest in _peel(net, inner, layer + 1):
            yield [weights, *rest]


def run_matrix(run: Run, weights: Matrix, width: int) -> Matrix:
    """The linear map of the product of filters."""
    return Filter(0, run.size, None, run.windows).matrix(weights, width)


def _first_filters(run: Run, width: int, values: Any, degree: int) -> Iterator[Matrix]:
    """Directions of the first filter: from the most prominent anchor, then from others in case of zeros."""
    pure = np.real(values(np.eye(width, dtype=complex)))
    largest = float(np.abs(pure).max(initial=0.0))
    if not largest > 0:
        return
    counts = np.bincount(run.windows.ravel(), minlength=width)
    anchors = [
        (unit, index)
        for unit, window in enumerate(run.windows)
        for index, position in enumerate(window)
        if counts[position] == 1 and abs(pure[position]) > _NEGLIGIBLE * largest
    ]
    anchors.sort(key=lambda anchor: -abs(pure[run.windows[anchor]]))
    # A filter that begins with zeros: the first input that matters belongs to one unit only, if none before it matter.
    nonzero = np.flatnonzero(np.abs(pure) > _NEGLIGIBLE * largest)
    others = [tuple(found) for found in np.argwhere(run.windows == nonzero[0]).tolist()]
    tried = anchors[:1] + [anchor for anchor in others if anchor not in anchors[:1]]
    for unit, index in tried:
        window = run.windows[unit]
        position = window[index]
        slopes = _slopes(values, width, position, window, degree)
        weights = slopes / (degree * pure[position])
        weights[index] = 1.0
        if counts[position] > 1:
            weights[:index] = 0.0
        norm = np.linalg.norm(weights)
        if np.isfinite(norm):
            yield weights / norm


def _slopes(values: Any, width: int, position: int, window: NDArray[np.int64], degree: int) -> Matrix:
    """The coefficients of x_p^(degree − 1) x_q for the q in a window, by interpolation at roots of unity."""
    n = degree + 1
    roots = np.exp(2j * np.pi * np.arange(n) / n)
    points = np.zeros((len(window), n, width), dtype=complex)
    points[:, :, position] = 1
    rows = np.arange(len(window))
    points[rows, :, window] += roots
    coefficients = np.fft.fft(values(points.reshape(-1, width)).reshape(len(window), n), axis=1) / n
    return np.real(coefficients[:, 1])


# --- products of filters ----------------------------------------------------------------------------------------------


def obstruct_product(net: Convolutional, form: Matrix) -> str:
    """Why a linear form is not that of a network with linear activations, or ""."""
    run = net.runs[0]
    split = _split_by_strides(run, form[run.windows[0]])
    for polynomial, layers in split[0] if split else []:
        _, pairs = _roots(polynomial, sum(run.filters[i].size - 1 for i in layers))
        room = sum((run.filters[i].size - 1) // 2 for i in layers)
        if len(pairs) > room:
            return (
                f"the product of filters has {len(pairs)} pairs of complex roots, and real filters of these sizes have "
                f"room for {room}"
            )
    return ""


def explain_runs(net: Convolutional, theta: Matrix) -> tuple[bool | None, str]:
    """Whether the filters are the only ones up to factors."""
    if not net.is_homogeneous:
        return None, "no theorem decides whether other filters have these coefficients"
    unique, doubt = True, ""
    for run in net.runs:
        weights = read_run(theta, run)
        if len(net.runs) > 1 and abs(weights[0]) <= _NEGLIGIBLE * np.abs(weights).max():
            return None, "a filter begins with a zero, and the argument for uniqueness needs that none does"
        ways = _count_distributions(run, weights)
        if ways is None:
            doubt = "roots of the linear layers' product are close to each other, or could belong to another layer"
        elif ways > 1:
            return False, f"the roots of the product of the linear layers' filters can be distributed in {ways} ways"
    if doubt:
        return None, doubt
    if len(net.runs) == 1 and len(net.runs[0].filters) > 1:
        return unique, "polynomials factor in one way, and their degrees and the strides leave no choice"
    return unique, "coefficients of x_p^(D−1) x_q determine each filter up to a factor, layer after layer"


def read_run(theta: Matrix, run: Run) -> Matrix:
    """The product of the filters of a run, without the factors of the activations."""
    result, spacing = np.ones(1), 1
    for layer in run.filters:
        spread = np.zeros(spacing * (layer.size - 1) + 1)
        spread[::spacing] = theta[layer.start : layer.stop]
        result = np.convolve(result, spread)
        spacing *= layer.stride() or 1 if len(run.filters) > 1 else 1
    return result


def _write_run(theta: Matrix, run: Run, weights: Matrix) -> bool:
    """Set filters with a given product; False if there are none that are known."""
    if len(run.filters) == 1:
        theta[run.filters[0].start : run.filters[0].stop] = weights
        return True
    split = _split_by_strides(run, weights / prod(run.factors))
    if split is None:
        return False
    filters: dict[int, Matrix] = {}
    for polynomial, layers in split[0]:
        parts = _distribute(polynomial, [run.filters[i].size - 1 for i in layers])
        if parts is None:
            return False
        filters.update(zip(layers, parts))
    sizes = [np.linalg.norm(filters[i]) for i in range(len(run.filters))]
    even = prod(sizes) ** (1 / len(sizes))
    for i, layer in enumerate(run.filters):
        theta[layer.start : layer.stop] = filters[i] * (even / sizes[i] if sizes[i] else 1.0)
    return True


def _split_by_strides(run: Run, weights: Matrix) -> tuple[list[tuple[Matrix, list[int]]], bool] | None:
    """Polynomials (ascending coefficients) with the layers that each is the product of, and whether they are unique."""
    groups: list[tuple[int, list[int]]] = []
    spacing = 1
    for i, layer in enumerate(run.filters):
        if groups and groups[-1][0] == spacing:
            groups[-1][1].append(i)
        else:
            groups.append((spacing, [i]))
        spacing *= layer.stride() or 1
    result, unique = [], True
    rest = np.asarray(weights, dtype=np.float64)
    for (spacing, layers), following in zip(groups, [*groups[1:], None]):
        if following is None:
            result.append((rest, layers))
            break
        degree = sum(run.filters[i].size - 1 for i in layers)
        found = _divide(rest, degree, following[0] // spacing)
        if found is None:
            return None
        result.append((found[0], layers))
        rest, unique = found[1], unique and found[2]
    return result, unique


def _divide(polynomial: Matrix, degree: int, stride: int) -> tuple[Matrix, Matrix, bool] | None:
    """A(x) of a degree and B(x) with A(x) B(x^stride) = polynomial, or nearly, and whether they are the only ones.

    A has length one.
    """
    n_inner = (len(polynomial) - 1 - degree) // stride + 1
    padded = np.zeros(-(-len(polynomial) // stride) * stride)
    padded[: len(polynomial)] = polynomial
    parts = padded.reshape(-1, stride).T  # by residue of the exponent
    # P_i = A_i B for each residue i, so P_i A_j − P_j A_i = 0.
    n_parts = -(-(degree + 1) // stride)
    rows = []
    for i in range(stride):
        for j in range(i):
            block = np.zeros((parts.shape[1] + n_parts - 1, stride, n_parts))
            for shift in range(n_parts):
                block[shift : shift + parts.shape[1], j, shift] = parts[i]
                block[shift : shift + parts.shape[1], i, shift] = -parts[j]
            rows.append(block.transpose(0, 2, 1).reshape(len(block), -1)[:, : degree + 1])
    if not np.abs(polynomial).max() > 0:
        return None
    _, sizes, vectors = np.linalg.svd(np.concatenate(rows))
    outer = vectors[-1]
    unique = degree == 0 or bool(sizes[degree - 1] > 1e-7 * sizes[0])
    columns = np.zeros((len(polynomial), n_inner))
    for shift in range(n_inner):
        columns[shift * stride : shift * stride + degree + 1, shift] = outer
    return outer, np.linalg.lstsq(columns, polynomial, rcond=None)[0], unique


# --- roots ------------------------------------------------------------------------------------------------------------


def _roots(polynomial: Matrix, degree: int) -> tuple[list[Matrix], list[Matrix]]:
    """Real factors of degree one and two (ascending coefficients) of a polynomial of at most some degree."""
    kept = np.abs(polynomial) > 1e-14 * np.abs(polynomial).max(initial=0.0)
    low, high = (int(np.argmax(kept)), int(len(kept) - 1 - np.argmax(kept[::-1]))) if kept.any() else (0, 0)
    linear = [np.array([0.0, 1.0])] * low + [np.array([1.0, 0.0])] * (degree - high)
    roots = np.roots(polynomial[low : high + 1][::-1])
    real = np.abs(roots.imag) <= 1e-9 * np.abs(roots)
    linear += [np.array([-root, 1.0]) for root in np.sort(roots[real].real)]
    upper = roots[~real & (roots.imag > 0)]
    pairs = [np.array([abs(root) ** 2, -2 * root.real, 1.0]) for root in upper[np.argsort(upper.real)]]
    return linear, pairs


def _distribute(polynomial: Matrix, degrees: list[int]) -> list[Matrix] | None:
    """Real factors of given degrees, or None if there are too many complex roots."""
    linear, pairs = _roots(polynomial, sum(degrees))
    if len(pairs) > sum(degree // 2 for degree in degrees):
        return None
    factors = []
    for degree in degrees:
        factor = np.ones(1)
        while pairs and degree >= 2:
            factor, degree = np.convolve(factor, pairs.pop()), degree - 2
        for _ in range(degree):
            factor = np.convolve(factor, linear.pop())
        factors.append(factor / np.linalg.norm(factor))
    whole = np.ones(1)
    for factor in factors:
        whole = np.convolve(whole, factor)
    factors[-1] = factors[-1] * (whole @ polynomial) / (whole @ whole)
    return factors


def _count_distributions(run: Run, weights: Matrix) -> int | None:
    """In how many ways the filters of a run can be chosen, up to factors; None if roots are not told apart."""
    if len(run.filters) == 1:
        return 1
    split, ways = _split_by_strides(run, weights), 1
    if split is None or not split[1]:
        return None
    for polynomial, layers in split[0]:
        degrees = [run.filters[i].size - 1 for i in layers if run.filters[i].size > 1]
        if len(degrees) < 2:
            continue
        roots = np.roots(polynomial[::-1])
        gaps = np.abs(roots[:, None] - roots) + np.eye(len(roots))
        if len(roots) < sum(degrees) or (gaps < _SAME_ROOT * (1 + np.abs(roots))).any():
            return None
        pairs = len(_roots(polynomial, sum(degrees))[1])
        ways *= _count_ways(degrees, pairs)
    return ways


def _count_ways(degrees: list[int], pairs: int) -> int:
    """Ways to hand out different pairs of complex roots and different real roots to filters of given degrees."""
    total = 0
    for chosen in product(*(range(degree // 2 + 1) for degree in degrees)):
        if sum(chosen) != pairs:
            continue
        left, single, ways = pairs, sum(degrees) - 2 * pairs, 1
        for degree, n_pairs in zip(degrees, chosen):
            ways *= comb(left, n_pairs) * comb(single, degree - 2 * n_pairs)
            left, single = left - n_pairs, single - (degree - 2 * n_pairs)
        total += ways
    return total
