# SPDX-License-Identifier: BSD-3-Clause
"""Rank over GF(p): python-flint as the oracle, planted ranks, every backend and every instruction set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import flint
import numpy as np
import pytest
from numpy.typing import NDArray

import polycore as pc
from polycore import _backend
from polycore.rank import modular_rank

Residues = NDArray[np.uint64]
Rank = Callable[..., int]

# Both kinds of residues (below and above 2^31), and primes at which sums of products may grow longer.
PRIMES = [2, 3, 5, 251, 65521, 2**22 - 3, 2**26 - 5, 2**29 - 3, 2**30 - 35, 2**31 - 1, 2**31 + 11, 2**32 - 5, 2**61 - 1]
FEW_PRIMES = [2, 251, 2**31 - 1, 2**61 - 1]

PATHS = [name for name, present in _backend.available().items() if present and name != "cpp"]
if _backend.available()["cpp"]:
    from polycore import _core

    PATHS += [f"cpp {isa}" for isa in _core.available_isas()]


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every backend in turn, the compiled core with every instruction set."""
    name, _, isa = str(request.param).partition(" ")
    if isa:
        before = _core.isa()
        _core.set_isa(isa)
    yield name
    if isa:
        _core.set_isa(before)


@pytest.fixture
def rank(path: str) -> Rank:
    return _backend.load(path).modular_rank


def is_slow(path: str, p: int) -> bool:
    """Arithmetic through Python integers."""
    return path == "numpy" and p >= 2**31


def oracle(matrix: Residues, p: int) -> int:
    return int(flint.nmod_mat(*matrix.shape, matrix.reshape(-1).tolist(), p).rank())


def product(a: Residues, b: Residues, p: int) -> Residues:
    if 0 in a.shape or 0 in b.shape:
        return np.zeros((len(a), b.shape[1]), dtype=np.uint64)
    left, right = (flint.nmod_mat(*x.shape, x.reshape(-1).tolist(), p) for x in (a, b))
    return np.array([int(x) for x in (left * right).entries()], dtype=np.uint64).reshape(len(a), b.shape[1])


def draw(rng: np.random.Generator, p: int, *shape: int) -> Residues:
    return rng.integers(0, p, shape, dtype=np.uint64)


def unimodular(rng: np.random.Generator, p: int, n: int) -> Residues:
    """An invertible matrix: a permuted product of unit triangular ones."""
    lower, upper = np.tril(draw(rng, p, n, n), -1), np.triu(draw(rng, p, n, n), 1)
    np.fill_diagonal(lower, 1)
    np.fill_diagonal(upper, 1)
    return product(lower, upper, p)[rng.permutation(n)]


def echelon(rng: np.random.Generator, p: int, n_rows: int, n_cols: int, pivots: list[int]) -> Residues:
    """A matrix in row echelon form with these pivot columns."""
    matrix = np.zeros((n_rows, n_cols), dtype=np.uint64)
    for row, column in enumerate(pivots):
        matrix[row, column:] = draw(rng, p, n_cols - column)
        matrix[row, column] = rng.integers(1, p)
    return matrix


# -- against python-flint, and planted ranks --------------------------------------------------------------------------


@pytest.mark.parametrize("p", PRIMES)
def test_random_matrices_of_every_rank(rank: Rank, rng: np.random.Generator, p: int) -> None:
    for n_rows, n_cols in [(1, 1), (1, 7), (7, 1), (4, 5), (9, 9), (12, 40), (40, 12), (33, 33)]:
        for inner in {0, 1, min(n_rows, n_cols) // 2, min(n_rows, n_cols)}:
            matrix = product(draw(rng, p, n_rows, inner), draw(rng, p, inner, n_cols), p)
            before, expected = matrix.copy(), oracle(matrix, p)
            assert rank(matrix, p) == expected
            assert np.array_equal(matrix, before)
            assert rank(matrix, p, overwrite=True) == expected


@pytest.mark.parametrize("p", FEW_PRIMES)
@pytest.mark.parametrize("size", [15, 16, 17, 33, 48, 49, 65, 97])
def test_sizes_around_the_edges_of_tiles(path: str, rank: Rank, rng: np.random.Generator, size: int, p: int) -> None:
    if path != "cpp" and size > 33:
        pytest.skip("only the core has tiles")
    for n_rows, n_cols in [(size, size), (size, 2 * size + 5), (size + 1, size)]:
        for inner in (size, size - 1, size // 2):
            # Small primes have random matrices of smaller rank, so the oracle decides.
            matrix = product(draw(rng, p, n_rows, inner), draw(rng, p, inner, n_cols), p)
            expected = oracle(matrix, p)
            assert rank(matrix, p) == expected
            assert rank(np.ascontiguousarray(matrix.T), p) == expected


PIVOTS = {
    "every other column": list(range(0, 100, 2)),
    "far to the right": list(range(60, 100)),
    "the last column": [99],
    "a hole in the first panel": [c for c in range(100) if c not in (3, 4, 11)],
    "a hole in each panel": [c for c in range(100) if c % 16 != 7],
    "first halves of blocks empty": [c for c in range(100) if c % 32 >= 16],
    "second halves of blocks empty": [c for c in range(100) if c % 32 < 16],
    "an empty middle": [*range(30), *range(70, 100)],
    "one of each panel": list(range(5, 100, 16)),
}


@pytest.mark.parametrize("p", FEW_PRIMES)
@pytest.mark.parametrize("pivots", PIVOTS.values(), ids=PIVOTS)
def test_planted_pivot_columns(path: str, rank: Rank, rng: np.random.Generator, pivots: list[int], p: int) -> None:
    """An invertible matrix times one in echelon form: the rank and its pivot columns are those of the latter."""
    if path != "cpp" and p > 2**31 - 1:
        pytest.skip("slow by design")
    for n_rows in (100, 117) if path == "cpp" else (100,):
        matrix = product(unimodular(rng, p, n_rows), echelon(rng, p, n_rows, 100, pivots), p)
        assert rank(matrix, p) == len(pivots)
        assert rank(np.ascontiguousarray(matrix.T), p) == len(pivots)


@pytest.mark.parametrize("p", FEW_PRIMES)
def test_special_structures(path: str, rank: Rank, rng: np.random.Generator, p: int) -> None:
    n = 20 if is_slow(path, p) else 75
    eye, zero = np.eye(n, dtype=np.uint64), np.zeros((n, n), dtype=np.uint64)
    triangle = unimodular(rng, p, n) * 0 + np.triu(draw(rng, p, n, n), 1) + eye
    repeated = draw(rng, p, 7, n)[rng.integers(0, 7, 3 * n)]
    block = draw(rng, p, n // 3, n // 3)
    corner = zero.copy()
    corner[-(n // 3) :, -(n // 3) :] = block
    cases = [
        (zero, 0),
        (eye, n),
        (eye[::-1].copy(), n),
        (eye[rng.permutation(n)], n),
        (triangle[rng.permutation(n)][:, rng.permutation(n)], n),
        (repeated, oracle(repeated, p)),
        (corner, oracle(block, p)),
        (np.hstack([zero, zero, eye]), n),
        (np.vstack([zero, eye, eye]), n),
        (np.block([[zero, eye], [eye, zero]]), 2 * n),
        (np.full((n, n), p - 1, dtype=np.uint64), 1),
        (np.outer(np.arange(n) % p, np.arange(n) % p).astype(np.uint64) % np.uint64(p), 1),
        (np.kron(eye[: n // 5, : n // 5], np.ones((5, 5), dtype=np.uint64)), n // 5),
    ]
    for matrix, expected in cases:
        assert rank(np.ascontiguousarray(matrix), p) == expected


@pytest.mark.parametrize("p", PRIMES)
@pytest.mark.parametrize("factors", ["largest", "opposite signs", "words", "digits"])
def test_sums_of_the_largest_products_are_exact(path: str, rank: Rank, factors: str, p: int) -> None:
    """L U with all entries of L below the diagonal and of U of the greatest absolute value that the kernels store.

    No row is exchanged, so elimination finds just these factors, and every sum of products is as large as it gets.
    """
    if is_slow(path, p):
        pytest.skip("slow by design")
    half = max(1, p // 2)
    digits = max(0, (half + 2**30) // 2**31 * 2**31 - 2**30)
    low, up = {
        "largest": (half, half),
        "opposite signs": (p - half, half),
        # As Montgomery forms store them: the largest words, and the largest digits in base 2^31.
        "words": (pow(2**64, -1, p) if p > 2 else 1, p - 1),
        "digits": (-digits * pow(2**62, -1, p) % p if p > 2 else 1, digits or 1),
    }[factors]
    n_rows, n_cols, expected = (300, 290, 280) if path == "cpp" else (60, 50, 45)
    i, j = np.arange(n_rows)[:, None], np.arange(n_cols)[None, :]
    below = np.minimum(np.minimum(i, j + 1), expected)  # pivots above and not to the right: each adds low * up
    on_or_above = (i <= j) & (i < expected)
    values = np.array([low * up * count % p for count in range(expected + 1)], dtype=object)
    matrix = ((values[below] + on_or_above * up) % p).astype(np.uint64)
    assert rank(matrix, p) == expected
    assert rank(np.ascontiguousarray(matrix.T), p) == expected


@pytest.mark.parametrize("p", [5, 2**31 - 1, 2**61 - 1])
def test_larger_matrices_of_planted_rank(path: str, rank: Rank, rng: np.random.Generator, p: int) -> None:
    if path != "cpp":
        pytest.skip("slow by design")
    for n_rows, n_cols, expected in [(200, 200, 200), (331, 400, 300), (310, 180, 177)]:
        pivots = sorted(rng.choice(n_cols, expected, replace=False).tolist())
        matrix = product(unimodular(rng, p, n_rows), echelon(rng, p, n_rows, n_cols, pivots), p)
        ranks = {rank(matrix, p, n_threads=n_threads) for n_threads in (1, 2, 5, 0)}
        assert ranks == {expected}


# -- echelon form and kernel ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", FEW_PRIMES)
def test_reduced_echelon_form(path: str, rng: np.random.Generator, p: int) -> None:
    for n_rows, n_cols, inner in [(1, 1, 1), (6, 9, 4), (9, 6, 6), (20, 33, 17), (33, 20, 20), (4, 7, 0)]:
        matrix = product(draw(rng, p, n_rows, inner), draw(rng, p, inner, n_cols), p)
        reduced, rank = flint.nmod_mat(n_rows, n_cols, matrix.reshape(-1).tolist(), p).rref()
        pivots = _backend.load(path).modular_echelon(matrix, p)
        assert pivots.dtype == np.int64
        assert matrix.reshape(-1).tolist() == [int(x) for x in reduced.entries()]
        assert pivots.tolist() == [int(np.flatnonzero(row)[0]) for row in matrix[:rank]]


@pytest.mark.parametrize("p", FEW_PRIMES)
def test_kernel(on_backend: str, rng: np.random.Generator, p: int) -> None:
    for n_rows, n_cols, inner in [(1, 1, 1), (5, 9, 4), (12, 9, 9), (30, 41, 20), (3, 4, 0)]:
        matrix = product(draw(rng, p, n_rows, inner), draw(rng, p, inner, n_cols), p)
        before, vectors = matrix.copy(), pc.modular_kernel(matrix, p)
        assert np.array_equal(matrix, before)
        assert vectors.shape == (n_cols - oracle(matrix, p), n_cols)
        assert not product(matrix, np.ascontiguousarray(vectors.T), p).any()
        assert (len(vectors) == 0) or oracle(vectors, p) == len(vectors)
    assert pc.modular_kernel(np.zeros((0, 3), dtype=np.int64), p).tolist() == np.eye(3).tolist()
    assert pc.modular_kernel(np.zeros((3, 0), dtype=np.int64), p).shape == (0, 0)


# -- the public function ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_empty(rank: Rank, shape: tuple[int, int]) -> None:
    for p in (2, 7, 2**61 - 1):
        assert rank(np.zeros(shape, dtype=np.uint64), p) == 0
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


def test_the_core_checks_what_its_kernels_rely_on() -> None:
    core = pytest.importorskip("polycore._core")
    good = np.ones((4, 6), dtype=np.uint64)
    for matrix, error in [
        (good[0], ValueError),
        (good[:, ::2], ValueError),
        (good.T, ValueError),
        (good.astype(np.int64), TypeError),
        (good * 7, ValueError),
    ]:
        with pytest.raises(error, match="`matrix`"):
            core.modular_rank(matrix, 7)
    for modulus in (0, 1, 2**61):
        with pytest.raises(ValueError, match="`modulus`"):
            core.modular_rank(good, modulus)
    good.flags.writeable = False
    assert core.modular_rank(good, 7) == 1
    with pytest.raises(ValueError, match="`matrix` must be writable"):
        core.modular_rank(good, 7, overwrite=True)
