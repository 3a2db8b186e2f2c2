# SPDX-License-Identifier: BSD-3-Clause
"""Rank over GF(p): python-flint as the oracle, planted ranks, every backend and every instruction set."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest
from numpy.typing import NDArray

import polycore as pc
from polycore.rank import WORD_PRIME, compress_rows, modular_rank

PRIMES = [2, 3, 5, 251, 65521, 2**31 - 1, 2**31 + 11, 2**61 - 1]
Residues = NDArray[np.uint64]


def oracle(matrix: Residues, p: int) -> int:
    return int(flint.nmod_mat(*matrix.shape, matrix.reshape(-1).tolist(), p).rank())


def product(a: Residues, b: Residues, p: int) -> Residues:
    return np.asarray(a.astype(object) @ b.astype(object) % p).astype(np.uint64).reshape(len(a), b.shape[1])


def draw(rng: np.random.Generator, p: int, *shape: int) -> Residues:
    return rng.integers(0, p, shape, dtype=np.uint64)


@pytest.mark.parametrize("p", PRIMES)
def test_random_matrices_of_every_rank(kernels: Any, rng: np.random.Generator, p: int) -> None:
    for n_rows, n_cols in [(1, 1), (1, 7), (7, 1), (4, 5), (9, 9), (12, 40), (40, 12), (33, 33)]:
        for inner in {0, 1, min(n_rows, n_cols) // 2, min(n_rows, n_cols)}:
            matrix = product(draw(rng, p, n_rows, inner), draw(rng, p, inner, n_cols), p)
            before, expected = matrix.copy(), oracle(matrix, p)
            assert kernels.modular_rank(matrix, p) == expected
            assert np.array_equal(matrix, before)
            assert kernels.modular_rank(matrix, p, overwrite=True) == expected


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_empty(kernels: Any, shape: tuple[int, int]) -> None:
    for p in (2, 7, 2**61 - 1):
        assert kernels.modular_rank(np.zeros(shape, dtype=np.uint64), p) == 0
        assert modular_rank(np.zeros(shape, dtype=np.int64), p) == 0


def test_entries_of_any_size_and_kind(on_backend: str) -> None:
    assert modular_rank([[1, -1], [-1, 1]], 5) == 1
    assert modular_rank([[10**40, 1], [0, 10**40]], 7) == 2
    assert modular_rank([[Fraction(1, 2), 1], [Fraction(1, 3), Fraction(2, 3)]], 7) == 1
    assert modular_rank(np.array([[True, False], [True, True]]), 2) == 2
    assert modular_rank([[1, 2], [3, 4]], 2) == 1


def test_the_caller_keeps_the_matrix(on_backend: str, rng: np.random.Generator) -> None:
    matrix = draw(rng, 101, 20, 20)
    before = matrix.copy()
    pc.modular_rank(matrix, 101)
    assert np.array_equal(matrix, before)


def test_compressing_keeps_the_rank(rng: np.random.Generator) -> None:
    a, b = rng.integers(0, WORD_PRIME, (300, 6)), rng.integers(0, WORD_PRIME, (6, 12))
    matrix = (a.astype(object) @ b.astype(object) % WORD_PRIME).astype(np.int64)
    compressed = compress_rows(matrix, 20, WORD_PRIME, np.random.default_rng(0))
    assert compressed.shape == (20, 12)
    assert modular_rank(compressed) == 6


def test_compression_is_an_exact_product() -> None:
    matrix = np.full((40, 3), WORD_PRIME - 1)
    combinations = np.random.default_rng(5).integers(0, WORD_PRIME, (4, 40), dtype=np.int64)
    expected = combinations.astype(object) @ matrix.astype(object) % WORD_PRIME
    np.testing.assert_array_equal(compress_rows(matrix, 4, WORD_PRIME, np.random.default_rng(5)), expected)


def test_bad_input() -> None:
    for modulus in (1, 0, -7, 4, 2**61, 2**61 + 15):
        with pytest.raises(ValueError, match="`modulus` must be"):
            modular_rank([[1]], modulus)
    with pytest.raises(TypeError, match="`modulus` must be an integer"):
        modular_rank([[1]], 7.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`matrix` must hold integers or Fractions"):
        modular_rank([[1.5]], 7)
    with pytest.raises(TypeError, match="`matrix`"):
        modular_rank([[1, 2], [3]], 7)
    with pytest.raises(ValueError, match=r"`matrix` must have shape \(n_rows, n_cols\), got \(2,\)"):
        modular_rank([1, 2], 7)
    with pytest.raises(ValueError, match="divisible by modulus=7"):
        modular_rank([[Fraction(1, 7)]], 7)
    with pytest.raises(ValueError, match="`n_threads`"):
        modular_rank([[1]], 7, n_threads=-1)
