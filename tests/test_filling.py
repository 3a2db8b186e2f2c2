# SPDX-License-Identifier: BSD-3-Clause
"""Minimal filling architectures: against brute force over the whole box, theorems and published lists."""

from __future__ import annotations

import itertools
import json
from math import comb, prod
from typing import Any

import pytest

import polycore as pc
from polycore.activations import as_activations

# The exceptions of Alexander and Hirschowitz: (n_inputs, r) -> the least width that fills, where it is not
# ceil(C(n + r − 1, r) / n). For r = 2 it is n, the rank of a generic quadratic form.
EXCEPTIONS = {(3, 4): 6, (4, 4): 10, (5, 4): 15, (5, 3): 8}


def hidden(result: pc.MinimalFilling) -> list[tuple[int, ...]]:
    return [item.widths[1:-1] for item in result]


def brute_force(n_inputs: int, n_outputs: int, depth: int, activation: Any, bias: bool) -> list[tuple[int, ...]]:
    """Every vector up to the number of monomials that the layer reaches, and one more, which must not matter."""
    degrees = [a.degree for a in as_activations(activation, depth - 1)]
    caps = [pc.count_monomials(n_inputs, prod(degrees[: i + 1]), not bias) for i in range(depth - 1)]
    filling = {
        vector
        for vector in itertools.product(*(range(1, cap + 2) for cap in caps))
        if pc.dimension(pc.MLP((n_inputs, *vector, n_outputs), activation, bias), rng=5).filling
    }

    def lowered(vector: tuple[int, ...]) -> set[tuple[int, ...]]:
        return {tuple(x - (i == j) for j, x in enumerate(vector)) for i in range(len(vector))}

    return sorted(vector for vector in filling if not lowered(vector) & filling)


@pytest.mark.parametrize(
    ("n_inputs", "n_outputs", "depth", "activation", "bias"),
    [
        (2, 1, 2, 3, False),
        (2, 1, 3, 2, False),
        (2, 2, 3, 2, False),
        (2, 3, 3, 2, False),
        (2, 1, 4, 2, False),
        (2, 2, 3, 3, False),
        (2, 1, 3, (3, 2), False),
        (2, 1, 3, (2, 3), False),
        (3, 1, 3, 2, False),
        (3, 2, 2, 3, False),
        (3, 2, 3, 1, False),
        (2, 2, 3, (1, 2), False),
        (2, 2, 3, (2, 1), False),
        (1, 2, 3, 2, True),
        (2, 2, 2, 2, True),
        (2, 1, 3, 2, True),
        (2, 2, 3, 1, True),
        (2, 1, 3, ([0, 1, 1], 2), True),
        (2, 1, 2, ([0, 0, 1, 1],), True),
        (2, 1, 3, 0, False),
        (2, 2, 3, (0, 2), True),
    ],
)
def test_brute_force(n_inputs: int, n_outputs: int, depth: int, activation: Any, bias: bool) -> None:
    result = pc.minimal_filling(n_inputs, n_outputs, depth, activation, bias=bias)
    assert hidden(result) == brute_force(n_inputs, n_outputs, depth, activation, bias)


@pytest.mark.parametrize(("n_inputs", "r"), [(n, r) for n in range(1, 7) for r in range(1, 6) if comb(n + r, r) < 260])
def test_one_hidden_layer_is_alexander_hirschowitz(n_inputs: int, r: int) -> None:
    """J. Alexander, A. Hirschowitz, Polynomial interpolation in several variables, J. Algebraic Geom. 4 (1995)."""
    ambient = comb(n_inputs + r - 1, r)
    width = EXCEPTIONS.get((n_inputs, r), 1 if r == 1 else n_inputs if r == 2 else -(-ambient // n_inputs))
    result = pc.minimal_filling(n_inputs, 1, 2, r)
    assert hidden(result) == [(width,)]
    assert result.complete
    assert result.ambient_dimension == ambient


@pytest.mark.parametrize(
    ("n_inputs", "depth", "expected"),
    [
        (2, 2, (2, 2, 1)),
        (2, 3, (2, 2, 2, 1)),
        (2, 4, (2, 3, 3, 2, 1)),
        (2, 5, (2, 3, 3, 3, 2, 1)),
        (2, 6, (2, 3, 3, 4, 4, 2, 1)),
        (3, 2, (3, 3, 1)),
    ],
)
def test_quadratic_activations(n_inputs: int, depth: int, expected: tuple[int, ...]) -> None:
    """One output and r = 2, the case J. Kileel, M. Trager, J. Bruna (NeurIPS 2019) look at; proved complete here."""
    result = pc.minimal_filling(n_inputs, 1, depth)
    assert [item.widths for item in result] == [expected]
    assert result.complete


def test_counterexample_to_unimodality() -> None:
    """K. Dao, J. I. Rodriguez, arXiv:2605.09609: hidden widths that rise, fall and rise again."""
    result = pc.minimal_filling(2, 1, 7)

    def is_unimodal(widths: tuple[int, ...]) -> bool:
        top = widths.index(max(widths))
        return list(widths[: top + 1]) == sorted(widths[: top + 1]) and list(widths[top:]) == sorted(widths[top:])[::-1]

    assert (2, 3, 4, 5, 4, 6, 4, 1) in [item.widths for item in result if not is_unimodal(item.widths)]
    assert result.complete


@pytest.mark.parametrize(("n_inputs", "n_outputs", "depth", "activation"), [(2, 1, 5, 3), (3, 2, 3, 2), (2, 2, 6, 2)])
def test_items_prove_themselves(n_inputs: int, n_outputs: int, depth: int, activation: int) -> None:
    result = pc.minimal_filling(n_inputs, n_outputs, depth, activation)
    assert len(result) >= 1
    found = hidden(result)
    assert found == sorted(set(found))
    for item in result:
        net = pc.MLP(item.widths, activation)
        assert item.witness.filling
        assert item.witness.proved
        assert item.witness.dimension == pc.dimension(net, rng=11).dimension == result.ambient_dimension
        lowered = [i for i in range(1, depth) if item.widths[i] > 1]
        assert len(item.decrements) == len(lowered)
        for i, lower in zip(lowered, item.decrements):
            assert lower.widths == tuple(w - (i == j) for j, w in enumerate(item.widths))
            assert lower.dimension == pc.dimension(pc.MLP(lower.widths, activation), rng=12).dimension
            assert lower.dimension < result.ambient_dimension
            assert lower.proved == (lower.error_bound == 0)
            assert lower.error_bound <= 1e-9
    for vector, other in itertools.permutations(found, 2):
        assert not all(a <= b for a, b in zip(vector, other))


def test_independent_of_the_seed() -> None:
    first, second = (pc.minimal_filling(2, 1, 5, 3, rng=seed) for seed in (0, 7))
    assert hidden(first) == hidden(second)
    assert (first.seed, second.seed) == (0, 7)
    assert pc.minimal_filling(2, 1, 5, 3, rng=7) == second


def test_error_bound() -> None:
    """(3, 5, 2) with cubes: 19 of 20 is a rank that no known bound proves, so the list is complete but for that."""
    result = pc.minimal_filling(3, 2, 2, 3, max_error=1e-20)
    lower = result[0].decrements[-1]
    if lower.proved:
        assert result.complete
    else:
        assert not result.complete
        assert 0 < result.error_bound <= 1e-20
    assert result.proved == result.complete == (result.error_bound == 0)


def test_generic_activations_fill_with_biases() -> None:
    result = pc.minimal_filling(1, 1, 2, pc.GenericActivation(3), bias=True)
    assert hidden(result) == brute_force(1, 1, 2, pc.GenericActivation(3), True)


def test_nothing_fills_without_a_constant_term() -> None:
    result = pc.minimal_filling(2, 2, 3, ([0, 1, 1], [0, 0, 1, 1]))
    assert len(result) == 0
    assert result.complete
    assert "0 minimal filling architectures" in repr(result)


def test_no_hidden_layer() -> None:
    (item,) = pc.minimal_filling(3, 2, 1)
    assert item.widths == (3, 2)
    assert item.decrements == ()
    assert pc.minimal_filling(3, 2, 1).ambient_dimension == 6
    assert pc.minimal_filling(3, 2, 1, bias=True).ambient_dimension == 8


def test_one_input() -> None:
    """Forms in one variable: a single monomial, so a chain of single units fills, however deep."""
    (item,) = pc.minimal_filling(1, 1, 9)
    assert item.widths == (1,) * 10
    assert item.decrements == ()


def test_is_a_sequence_and_json() -> None:
    result = pc.minimal_filling(2, 2, 3, 3)
    assert len(result) == 2
    assert result[0] is next(iter(result))
    assert result[-1].widths == (2, 4, 4, 2)
    assert result[:1] == (result[0],)
    fields = json.loads(json.dumps(result.to_dict()))
    assert [item["widths"] for item in fields["items"]] == [[2, 3, 5, 2], [2, 4, 4, 2]]
    assert fields["items"][0]["decrements"][1] == {
        "widths": [2, 3, 4, 2],
        "dimension": 19,
        "proved": True,
        "error_bound": 0.0,
    }
    assert json.dumps(pc.minimal_filling(1, 1, 2, ([1, 0.5],), bias=True).to_dict())


def test_long_lists_are_shortened() -> None:
    text = repr(pc.minimal_filling(2, 1, 5, 3))
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 120
    assert text.splitlines()[-1].startswith("  ... and ")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 1, 2), ValueError, "n_inputs"),
        ((2, -1, 2), ValueError, "n_outputs"),
        ((2, 1, 0), ValueError, "depth"),
        ((2, 1, 2.0), TypeError, "depth"),
        ((2, 1, 3, -2), ValueError, "activation"),
        ((2, 1, 3, 2.5), TypeError, "activation"),
        ((2, 1, 3, (2, 2, 2)), ValueError, "activation"),
        ((2, 1, 3, None), TypeError, "activation"),
        ((60, 1, 6, 4), (MemoryError, OverflowError), "filling network"),
        ((20, 9, 40, 2), (MemoryError, OverflowError), "filling network"),
    ],
)
def test_bad_input(arguments: tuple[Any, ...], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        pc.minimal_filling(*arguments)


@pytest.mark.parametrize(
    "options", [{"bias": 1}, {"rng": None}, {"rng": -1}, {"primes": 0}, {"max_error": 0.0}, {"max_error": 1}]
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=next(iter(options))):
        pc.minimal_filling(2, 1, 2, **options)
