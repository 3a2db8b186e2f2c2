# SPDX-License-Identifier: BSD-3-Clause
"""Moments against exact sums; the same bits however the rows arrive; files that are refused or loaded bit for bit."""

from __future__ import annotations

import copy
import itertools
import json
import math
import os
import pickle
import signal
import threading
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polycore import _backend, _state_file
from polycore.errors import NumericalError
from polycore.moments import Moments
from polycore.monomials import MonomialBasis
from polycore.veronese import veronese

U = 2.0**-53
# (n_vars, degree, n_targets, cross_degree, homogeneous)
SHAPES = [
    (1, 0, 0, 0, False),
    (1, 9, 1, 4, False),
    (1, 4, 1, 4, True),
    (2, 6, 2, 3, False),
    (3, 4, 0, 2, True),
    (3, 4, 3, 2, True),
    (4, 5, 1, 5, False),
    (5, 2, 2, 4, False),
    (7, 3, 1, 0, False),
]


def sums(m: Moments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return m.moments, m.cross_moments, m.targets_gram


def same_bits(a: Moments, b: Moments) -> bool:
    """Equal state (so the streams continue alike) and equal finished sums."""
    return a.to_bytes() == b.to_bytes() and all(x.tobytes() == y.tobytes() for x, y in zip(sums(a), sums(b)))


def exact_sums(terms: np.ndarray, X: np.ndarray, basis: MonomialBasis) -> tuple[list[Fraction], list[Fraction]]:
    """Σ_s terms_s x_s^γ and Σ_s |terms_s x_s^γ| as rational numbers, in integers over a common power of two."""
    scale = max(Fraction(x).denominator for x in [*X.reshape(-1).tolist(), *terms.tolist()])
    rows = [[int(Fraction(x) * scale) for x in row] for row in X.tolist()]
    factors = [int(Fraction(t) * scale) for t in terms.tolist()]
    totals, sizes = [], []
    for exponent in basis.exponents.tolist():
        values = [f * math.prod(x**e for x, e in zip(row, exponent) if e) for f, row in zip(factors, rows)]
        unit = scale ** (1 + sum(exponent))
        totals.append(Fraction(sum(values), unit))
        sizes.append(Fraction(sum(map(abs, values)), unit))
    return totals, sizes


def make_data(rng: np.random.Generator, n: int, n_vars: int, n_targets: int) -> tuple[np.ndarray, np.ndarray | None]:
    X = rng.normal(size=(n, n_vars))
    return X, rng.normal(size=(n, n_targets)) if n_targets else None


def accumulate(
    shape: tuple[Any, ...], X: np.ndarray, Y: np.ndarray | None, cuts: list[int] | None = None, n_threads: int = 0
) -> Moments:
    m = Moments(*shape)
    edges = [0, *(cuts or []), len(X)]
    for start, stop in itertools.pairwise(edges):
        m.update(X[start:stop], None if Y is None else Y[start:stop], n_threads)
    return m


# -- what the sums are ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [0, 1, 511, 512, 1700])
def test_equals_direct_sums(on_backend: str, rng: np.random.Generator, shape: tuple[Any, ...], n: int) -> None:
    n_vars, _, n_targets, _, _ = shape
    X, Y = make_data(rng, n, n_vars, n_targets)
    m = accumulate(shape, X, Y)
    B = np.zeros((n, 0)) if Y is None else Y
    assert m.count == n
    np.testing.assert_allclose(m.moments, veronese(X, m.basis).sum(axis=0), rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(m.cross_moments, B.T @ veronese(X, m.cross_basis), rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(m.targets_gram, B.T @ B, rtol=1e-12, atol=1e-12)
    assert m.moments.shape == (len(m.basis),)
    assert m.cross_moments.shape == (n_targets, len(m.cross_basis))
    np.testing.assert_array_equal(m.targets_gram, m.targets_gram.T)


def test_small_integers_are_exact(on_backend: str, rng: np.random.Generator) -> None:
    X, Y = rng.integers(-5, 6, size=(1500, 3)), rng.integers(-5, 6, size=(1500, 2))
    m = accumulate((3, 6, 2, 6), X, Y)
    for values, expected in zip(
        sums(m), [veronese(X, 6).sum(axis=0), Y.T @ veronese(X, 6), (Y.T @ Y).astype(float)], strict=True
    ):
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("kind", ["normal", "offset", "wide", "cancelling"])
@pytest.mark.parametrize(("n_vars", "degree"), [(1, 8), (2, 6), (4, 3)])
def test_accuracy_is_that_of_pairwise_summation(
    on_backend: str, rng: np.random.Generator, kind: str, n_vars: int, degree: int
) -> None:
    """The bound that the docstring states, against rational sums."""
    n = 1200
    X, y = rng.normal(size=(n, n_vars)), rng.normal(size=n)
    if kind == "offset":
        X += 100
    elif kind == "wide":
        X = np.exp(6 * X)
    elif kind == "cancelling":
        X[1::2] = -X[::2]
        y[1::2] = y[::2]
    m = Moments(n_vars, degree, 1, degree)
    m.update(X, y[:, None])
    for computed, terms, extra in ((m.moments, np.ones(n), 0), (m.cross_moments[0], y, 1)):
        exact, sizes = exact_sums(terms, X, m.basis)
        for value, total, size in zip(computed.tolist(), exact, sizes, strict=True):
            assert abs(Fraction(value) - total) <= Fraction((degree + extra + 32 + math.log2(n)) * U) * size
    exact, sizes = exact_sums(y * 1.0, y[:, None], MonomialBasis(1, 1, True))
    assert abs(Fraction(float(m.targets_gram[0, 0])) - exact[0]) <= Fraction((33 + math.log2(n)) * U) * sizes[0]


def test_error_grows_with_the_logarithm_of_the_rows(on_backend: str) -> None:
    """Summing 0.1 a million times one by one is off by 1e-6; pairwise it is right to a few units in the last place."""
    n = 1_000_000
    m = Moments(1, 1)
    m.update(np.broadcast_to(0.1, (n, 1)))
    exact = Fraction(0.1) * n
    assert abs(Fraction(float(m.moments[1])) - exact) <= Fraction((33 + math.log2(n)) * U) * exact


# -- the same bits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_chunking_does_not_change_the_bits(on_backend: str, rng: np.random.Generator, shape: tuple[Any, ...]) -> None:
    n = 3000 if on_backend == "cpp" else 1600
    X, Y = make_data(rng, n, shape[0], shape[2])
    whole = accumulate(shape, X, Y)
    for size in (1, 100, 511, 512, 513, 1024):
        stop = min(n, 700) if size == 1 else n
        cuts = list(range(size, stop, size))
        assert same_bits(accumulate(shape, X, Y, cuts), whole), f"chunks of {size}"


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_chunking_gives_the_same_bits(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 2500), "n")
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=12), "cuts"))
    X, Y = make_data(np.random.default_rng(n), n, 3, 1)
    shape = (3, 4, 1, 2, False)
    assert same_bits(accumulate(shape, X, Y, cuts), accumulate(shape, X, Y))


@pytest.mark.parametrize("shape", [(2, 6, 2, 3, False), (6, 6, 0, 0, False), (1, 20, 1, 20, False)])
def test_threads_do_not_change_the_bits(on_backend: str, rng: np.random.Generator, shape: tuple[Any, ...]) -> None:
    n = 20_000 if on_backend == "cpp" else 2_000
    X, Y = make_data(rng, n, shape[0], shape[2])
    one = accumulate(shape, X, Y, [777], n_threads=1)
    for n_threads in (0, 2, 3, 8):
        assert same_bits(accumulate(shape, X, Y, [777], n_threads=n_threads), one)


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param(np.asfortranarray, id="Fortran"),
        pytest.param(lambda a: np.repeat(a, 2, axis=0)[::2], id="strided rows"),
        pytest.param(lambda a: np.repeat(a, 3, axis=1)[:, ::3], id="strided columns"),
        pytest.param(lambda a: a[::-1, ::-1].copy()[::-1, ::-1], id="negative strides"),
        pytest.param(lambda a: a.astype(">f8"), id="big-endian"),
        pytest.param(lambda a: np.array(a.tolist()), id="copy"),
        pytest.param(lambda a: a.tolist(), id="list"),
        pytest.param(lambda a: np.ascontiguousarray(a).view(np.recarray).view(np.ndarray), id="subclass"),
    ],
)
def test_layout_does_not_change_the_bits(
    on_backend: str, rng: np.random.Generator, layout: Callable[[np.ndarray], Any]
) -> None:
    X, Y = make_data(rng, 1300, 3, 2)
    assert Y is not None
    m = Moments(3, 4, 2)
    m.update(layout(X), layout(Y))
    assert same_bits(m, accumulate((3, 4, 2), X, Y))


def test_float32_is_read_exactly(on_backend: str, rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(1300, 3)).astype(np.float32), rng.normal(size=(1300, 1)).astype(np.float32)
    exact = accumulate((3, 4, 1), X.astype(float), Y.astype(float))
    assert same_bits(accumulate((3, 4, 1), X, Y), exact)
    assert same_bits(accumulate((3, 4, 1), X[:, ::-1].copy()[:, ::-1], np.asfortranarray(Y)), exact)
    assert same_bits(accumulate((3, 4, 1), X.astype(float), Y), exact)


def test_broadcast_rows_are_not_copied(on_backend: str) -> None:
    m = Moments(2, 2)
    m.update(np.broadcast_to([1.0, 2.0], (1000, 2)))
    np.testing.assert_array_equal(m.moments, 1000 * np.array([1, 1, 2, 1, 2, 4]))


def test_reading_does_not_disturb_the_stream(on_backend: str, rng: np.random.Generator) -> None:
    X, Y = make_data(rng, 1300, 2, 1)
    assert Y is not None
    m, other = Moments(2, 4, 1), accumulate((2, 4, 1), X[:50], Y[:50])
    for start in range(0, 1300, 100):
        m.update(X[start : start + 100], Y[start : start + 100])
        m.moments[:] = 0.0
        _ = (m.count, m.cross_moments, m.targets_gram, m.gram(MonomialBasis(2, 2)), m + other, repr(m), m.copy())
        m.to_bytes(finalize=True)
    assert same_bits(m, accumulate((2, 4, 1), X, Y))


def test_updates_from_several_threads_are_all_counted(on_backend: str) -> None:
    m = Moments(2, 2, 1)
    rows, targets = np.ones((100, 2)), np.ones((100, 1))

    def work() -> None:
        for _ in range(20):
            m.update(rows, targets)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert m.count == 8000
    np.testing.assert_array_equal(m.moments, 8000.0)


# -- merging ----------------------------------------------------------------------------------------------------------


def test_merging_is_commutative_in_bits(on_backend: str, rng: np.random.Generator) -> None:
    X, Y = make_data(rng, 1500, 3, 2)
    assert Y is not None
    a, b = accumulate((3, 4, 2), X[:900], Y[:900]), accumulate((3, 4, 2), X[900:], Y[900:])
    before = a.to_bytes(), b.to_bytes()
    total = a + b
    assert same_bits(total, b + a)
    assert (a.to_bytes(), b.to_bytes()) == before
    assert total.count == 1500
    for merged, whole in zip(sums(total), sums(accumulate((3, 4, 2), X, Y)), strict=True):
        np.testing.assert_allclose(merged, whole, rtol=1e-12, atol=1e-11)
    in_place = a
    in_place += b
    assert in_place is a
    assert same_bits(a, total)
    by_method = accumulate((3, 4, 2), X[:900], Y[:900])
    by_method.merge(b)
    assert same_bits(by_method, total)


def test_merging_edges(on_backend: str, rng: np.random.Generator) -> None:
    X, _ = make_data(rng, 700, 2, 0)
    m, empty = accumulate((2, 3), X, None), Moments(2, 3)
    for total in (m + empty, empty + m):
        assert total.count == 700
        np.testing.assert_array_equal(total.moments, m.moments)
    twice = m + m
    np.testing.assert_array_equal(twice.moments, 2 * m.moments)
    m += m
    assert same_bits(m, twice)
    assert sum([empty, twice]).count == 1400
    m.update(X)  # a merged accumulator goes on
    assert m.count == 2100
    np.testing.assert_allclose(m.moments, 3 * accumulate((2, 3), X, None).moments, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("other", [(3, 4, 1, 2), (2, 5, 1, 2), (2, 4, 2, 2), (2, 4, 1, 3), (2, 4, 1, 2, True)])
def test_only_alike_moments_merge(other: tuple[Any, ...]) -> None:
    m = Moments(2, 4, 1, 2)
    with pytest.raises(ValueError, match="`other`"):
        m + Moments(*other)
    with pytest.raises(ValueError, match="`other`"):
        m.merge(Moments(*other))


def test_merging_with_something_else() -> None:
    m = Moments(2, 2)
    for other in (None, 1, "m", np.ones(6)):
        with pytest.raises(TypeError):
            m + other  # type: ignore[operator]
        with pytest.raises(TypeError, match="`other`"):
            m.merge(other)  # type: ignore[arg-type]


# -- all or nothing ---------------------------------------------------------------------------------------------------

X25, Y21 = np.ones((2, 5)), np.ones((2, 1))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None, Y21), TypeError, "`X`"),
        (("rows", Y21), TypeError, "`X`"),
        (([[1.0] * 5, [1.0]], Y21), TypeError, "rectangular"),
        ((X25, None), TypeError, "`Y`"),
        ((X25.astype(object), Y21), TypeError, "object"),
        ((X25.astype(complex), Y21), TypeError, "real"),
        ((X25.astype(np.longdouble), Y21), TypeError, "precision"),
        ((np.full((2, 5), 2**60 + 1), Y21), ValueError, "exactly"),
        ((np.ones((2, 4)), Y21), ValueError, "n_vars=5"),
        ((np.ones(5), Y21), ValueError, r"X\[None, :\]"),
        ((np.ones((2, 5, 1)), Y21), ValueError, "shape"),
        ((np.float64(1.0), Y21), ValueError, "shape"),
        ((X25, np.ones(2)), ValueError, r"Y\[:, None\]"),
        ((X25, np.ones((2, 2))), ValueError, "n_targets=1"),
        ((X25, np.ones((3, 1))), ValueError, "same number of rows"),
        ((X25, Y21, -1), ValueError, "`n_threads`"),
        ((X25, Y21, 1.5), TypeError, "`n_threads`"),
    ],
)
def test_bad_rows_change_nothing(
    on_backend: str, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    m = Moments(5, 2, 1)
    m.update(np.full((700, 5), 0.5), np.full((700, 1), 2.0))
    before = m.to_bytes()
    with pytest.raises(error, match=message):
        m.update(*arguments)
    assert m.to_bytes() == before


@pytest.mark.parametrize("n", [10, 600, 5000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["X", "Y"])
def test_nan_and_infinity_are_refused_with_their_row(on_backend: str, n: int, bad: float, where: str) -> None:
    m = Moments(2, 4, 1)
    m.update(np.ones((100, 2)), np.ones((100, 1)))
    before = m.to_bytes()
    data = {"X": np.ones((n, 2)), "Y": np.ones((n, 1))}
    data[where][n - 3, 0] = bad
    data[where][n - 1, 0] = bad
    with pytest.raises(ValueError, match=rf"`{where}` must be finite.*row {n - 3}\b"):
        m.update(data["X"], data["Y"])
    assert m.to_bytes() == before


@pytest.mark.parametrize("n", [1, 40, 600, 6000])
def test_overflow_changes_nothing(on_backend: str, n: int) -> None:
    """Wherever the overflow would come to light: in a product, in a sum, at the next reading, among the tail's rows."""
    m = Moments(1, 2, 1)
    m.update([[1.0]], [[1.0]])
    before = m.to_bytes()
    for X, Y in (
        (np.full((n, 1), 1e200), np.ones((n, 1))),
        (np.ones((n, 1)), np.full((n, 1), 1e200)),
        (np.full((n, 1), 1e154), np.full((n, 1), 1e160)),
        (np.full((n + 9, 1), 6e153), np.ones((n + 9, 1))),
    ):
        with pytest.raises(NumericalError, match="overflow"):
            m.update(X, Y)
        assert m.to_bytes() == before
    m.update([[2.0]], [[2.0]])
    assert m.count == 2


def test_overflow_across_updates_and_merges(on_backend: str) -> None:
    m = Moments(1, 1)
    m.update([[1e308]])
    before = m.to_bytes()
    with pytest.raises(NumericalError, match="overflow"):
        m.update([[1e308]])
    with pytest.raises(NumericalError, match="overflow"):
        m + m
    with pytest.raises(NumericalError, match="overflow"):
        m.merge(m)
    assert m.to_bytes() == before
    loaded = Moments.from_bytes(before)
    with pytest.raises(NumericalError, match="overflow"):
        loaded.update([[1e308]])
    m.update([[-1e308]])
    assert m.moments.tolist() == [2.0, 0.0]


@pytest.mark.parametrize("fallback", ["numba", "numpy"])
def test_an_interrupted_update_changes_nothing(fallback: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not _backend.available()[fallback]:
        pytest.skip(f"{fallback} is not installed")
    monkeypatch.setattr(_backend, "name", lambda: fallback)
    m = Moments(2, 2)
    m.update(np.ones((700, 2)))
    before, kernels, calls = m.to_bytes(), _backend.load(fallback), 0

    class Interrupting:
        """The kernels, with a Ctrl-C in the third block."""

        def moment_block(self, *arguments: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise KeyboardInterrupt
            kernels.moment_block(*arguments)

    monkeypatch.setattr(_backend, "kernels", Interrupting)
    with pytest.raises(KeyboardInterrupt):
        m.update(np.ones((3000, 2)))
    calls = 0
    with pytest.raises(KeyboardInterrupt):
        m.update(np.ones((6000, 2)))
    monkeypatch.undo()
    monkeypatch.setattr(_backend, "name", lambda: fallback)
    assert m.to_bytes() == before


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_ctrl_c_leaves_the_object_usable(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60_000, 5))
    m = Moments(5, 8)
    m.update(X[:100])

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        before = m.to_bytes()
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try:
            while True:
                before = m.to_bytes()
                m.update(X)
        except KeyboardInterrupt:
            pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    # The signal may also have arrived between the update and the loop's next step.
    after = Moments.from_bytes(before)
    after.update(X)
    assert m.to_bytes() in (before, after.to_bytes())
    m.update(X[:10])


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def streamed(rng: np.random.Generator) -> Moments:
    """A state with everything in it: merged sums, a stack of two levels, and a tail."""
    X, Y = make_data(rng, 1700, 2, 1)
    assert Y is not None
    m = accumulate((2, 2, 1), X[:20], Y[:20]) + accumulate((2, 2, 1), X[20:30], Y[20:30])
    m.update(X[30 : 30 + 3 * 512 + 5], Y[30 : 30 + 3 * 512 + 5])
    return m


@pytest.mark.parametrize("shape", SHAPES)
def test_save_and_load(on_backend: str, rng: np.random.Generator, tmp_path: Path, shape: tuple[Any, ...]) -> None:
    X, Y = make_data(rng, 1200, shape[0], shape[2])
    m = accumulate(shape, X, Y, [700])
    path = tmp_path / "m.npz"
    m.save(path)
    loaded = Moments.load(str(path))
    assert same_bits(loaded, m)
    assert repr(loaded) == repr(m)
    for copied in (pickle.loads(pickle.dumps(m)), copy.copy(m), copy.deepcopy(m), m.copy()):
        assert same_bits(copied, m)
        copied.update(X, Y)  # an independent stream, with the same bits as the original's
        loaded = Moments.load(path)
        loaded.update(X, Y)
        assert same_bits(copied, loaded)
    assert same_bits(m, Moments.load(path))


def test_empty_moments_survive(tmp_path: Path) -> None:
    m = Moments(3, 2)
    m.save(tmp_path / "empty.npz")
    assert same_bits(Moments.load(tmp_path / "empty.npz"), m)


def test_finalize_drops_raw_rows(on_backend: str, streamed: Moments, tmp_path: Path) -> None:
    secret = 0.123456789012345678
    streamed.update([[secret, 1.0]], [[2.0]])
    needle = np.float64(secret).tobytes()
    streamed.save(tmp_path / "stream.npz")
    streamed.save(tmp_path / "finished.npz", finalize=True)
    assert needle in (tmp_path / "stream.npz").read_bytes()
    assert needle not in (tmp_path / "finished.npz").read_bytes()
    finished = Moments.load(tmp_path / "finished.npz")
    assert finished.count == streamed.count
    for x, y in zip(sums(finished), sums(streamed), strict=True):
        assert x.tobytes() == y.tobytes()
    assert same_bits(finished, streamed.finalized())


def test_every_flipped_byte_is_refused_or_harmless(streamed: Moments) -> None:
    data = streamed.to_bytes()
    small = Moments(1, 1, 1)
    small.update([[0.5], [2.0]], [[1.0], [3.0]])
    for original, positions in ((small.to_bytes(), slice(None)), (data, slice(None, None, 97))):
        for i in range(len(original))[positions]:
            for mask in (0x01, 0x20, 0x80, 0xFF):
                damaged = bytearray(original)
                damaged[i] ^= mask
                try:
                    loaded = Moments.from_bytes(damaged)
                except ValueError:
                    continue
                assert loaded.to_bytes() == original, f"byte {i} ^ {mask:#x}"


def test_every_truncation_is_refused(streamed: Moments, tmp_path: Path) -> None:
    data = streamed.to_bytes()
    for length in [*range(0, len(data), 23), len(data) - 1]:
        with pytest.raises(ValueError, match="cannot be loaded"):
            Moments.from_bytes(data[:length])
    path = tmp_path / "cut.npz"
    path.write_bytes(data[:-1])
    with pytest.raises(ValueError, match=r"cut\.npz"):
        Moments.load(path)


def edited(m: Moments, **changes: Any) -> bytes:
    """A well-formed file, checksum and all, whose header says something else."""
    header, arrays = _state_file.unpack(m.to_bytes(), "polycore.Moments", 1, "")
    del header["checksum"]
    for name in list(changes):
        if name in arrays:
            arrays[name] = changes.pop(name)
    return _state_file.pack({**header, **changes}, arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "newer polycore.*version 2"),
        ({"version": "1"}, "no version"),
        ({"format": "something else"}, "not a polycore.Moments"),
        ({"shift": [0.0, 1.0]}, "shift.*upgrade"),
        ({"scale": [1.0, 1.0]}, "scale"),
        ({"weights": True}, "weights"),
        ({"basis": "chebyshev"}, "basis"),
        ({"degree": 3}, "base"),
        ({"degree": -1}, "`degree`"),
        ({"degree": 10**9, "n_vars": 1}, "base|GiB|finite"),
        ({"n_vars": 10**30}, ""),
        ({"n_targets": 2}, ""),
        ({"homogeneous": 1}, "`homogeneous`"),
        ({"count": 3}, "contradict"),
        ({"rows": 3}, "contradict"),
        ({"block_rows": 0}, "contradict"),
        ({"levels": np.array([0, 1])}, "decreasing"),
        ({"levels": np.array([100, 0])}, "decreasing"),
        ({"levels": np.array([1.0, 0.0])}, "levels"),
        ({"tail_x": np.zeros((5, 3))}, "tail_x"),
        ({"tail_x": np.full((5, 2), np.nan)}, "tail_x"),
    ],
)
def test_intact_files_of_something_else_are_refused(streamed: Moments, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"cannot be loaded.*({message})"):
        Moments.from_bytes(edited(streamed, **changes))


def test_provenance_is_only_information(streamed: Moments) -> None:
    assert same_bits(Moments.from_bytes(edited(streamed, provenance={"source": "a test"})), streamed)


def test_blocks_of_another_size_are_read(streamed: Moments) -> None:
    """A later version may sum in larger blocks; the sums of this one are still good."""
    one = Moments(2, 2, 1)
    one.update(np.full((3, 2), 0.5), np.full((3, 1), 2.0))
    loaded = Moments.from_bytes(edited(one, block_rows=1024))
    assert loaded.count == 3
    for x, y in zip(sums(loaded), sums(one), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_file_is_an_npz_with_a_json_header(streamed: Moments, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    streamed.save(path)
    with np.load(path, allow_pickle=False) as file:
        header = json.loads(file["header.json"])
        assert sorted(file.files) == sorted(["header.json", "base", "levels", "stack", "tail_x", "tail_y"])
        assert file["stack"].shape == (2, 6 + 3 + 1)
    expected = {"format": "polycore.Moments", "version": 1, "count": streamed.count, "n_vars": 2, "degree": 2}
    assert {key: header[key] for key in expected} == expected
    assert header["backend"] == _backend.name()
    assert {"isa", "checksum", "block_rows"} <= set(header)
    assert all(header[key] is None for key in ("shift", "scale", "weights", "basis", "provenance"))


def test_equal_states_give_equal_files(streamed: Moments, tmp_path: Path) -> None:
    streamed.save(tmp_path / "a.npz")
    streamed.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes() == streamed.to_bytes()


def test_compressed_and_foreign_files_are_refused(streamed: Moments, tmp_path: Path) -> None:
    streamed.save(tmp_path / "m.npz")
    with zipfile.ZipFile(tmp_path / "m.npz") as source, zipfile.ZipFile(tmp_path / "deflated.npz", "w", 8) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name), compress_type=zipfile.ZIP_DEFLATED)
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    (tmp_path / "text.npz").write_text("not a zip")
    (tmp_path / "nothing.npz").write_bytes(b"")
    for name in ("deflated", "other", "text", "nothing"):
        with pytest.raises(ValueError, match=rf"{name}\.npz.*cannot be loaded"):
            Moments.load(tmp_path / f"{name}.npz")


def test_a_failed_save_leaves_everything_as_it_was(
    streamed: Moments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.npz"
    path.write_bytes(b"older")
    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            with pytest.raises(OSError, match="No space"):
                streamed.save(path)
        assert path.read_bytes() == b"older"
        assert list(tmp_path.iterdir()) == [path]
    streamed.save(path)
    assert same_bits(Moments.load(path), streamed)
    assert list(tmp_path.iterdir()) == [path]


def test_paths(streamed: Moments, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Moments.load(tmp_path / "absent.npz")
    with pytest.raises(FileNotFoundError):
        streamed.save(tmp_path / "absent" / "m.npz")
    for bad in (None, 3, b"m.npz"):
        with pytest.raises(TypeError, match="`path`"):
            streamed.save(bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="`path`"):
            Moments.load(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="regular file"):
        streamed.save(tmp_path)
    with pytest.raises(TypeError, match="`finalize`"):
        streamed.save(tmp_path / "m.npz", finalize="no")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`data`"):
        Moments.from_bytes("text")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="needs symbolic links")
def test_saving_through_a_link_keeps_the_link(streamed: Moments, tmp_path: Path) -> None:
    (tmp_path / "real.npz").write_bytes(b"older")
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    streamed.save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    assert (tmp_path / "real.npz").read_bytes() == streamed.to_bytes()


# -- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 2), ValueError, "`n_vars`"),
        ((2.0, 2), TypeError, "`n_vars`"),
        ((True, 2), TypeError, "`n_vars`"),
        (("2", 2), TypeError, "`n_vars`"),
        ((2, -1), ValueError, "`degree`"),
        ((2, 2.5), TypeError, "`degree`"),
        ((2, True), TypeError, "`degree`"),
        ((2, None), TypeError, "`degree`"),
        ((2, 2, -1), ValueError, "`n_targets`"),
        ((2, 2, None), TypeError, "`n_targets`"),
        ((2, 2, 1, -1), ValueError, "`cross_degree`"),
        ((2, 2, 1, 1.0), TypeError, "`cross_degree`"),
        ((2, 2, 1, 1, 1), TypeError, "`homogeneous`"),
        ((784, 18), OverflowError, "degree=18"),
        ((2, 10**9), OverflowError, "64-bit"),
        ((8, 200), (MemoryError, OverflowError), "GiB"),
        ((1, 10**12, 0, 0, True), (MemoryError, OverflowError), "GiB"),
        ((1, 2, 10**7), (MemoryError, OverflowError), "GiB"),
        ((1, 2, 1, 10**12), (MemoryError, OverflowError), "GiB"),
    ],
)
def test_bad_arguments(arguments: tuple[Any, ...], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        Moments(*arguments)


def test_attributes_and_defaults() -> None:
    m = Moments(4, 13, n_targets=2)
    assert (m.n_vars, m.degree, m.n_targets, m.cross_degree, m.homogeneous, m.count) == (4, 13, 2, 6, False, 0)
    assert m.basis == MonomialBasis(4, 13)
    assert m.cross_basis == MonomialBasis(4, 6)
    arguments = "n_vars=4, degree=13, n_targets=2, cross_degree=6"
    assert repr(m) == f"Moments({arguments}): 0 rows, 2,380 moments, 2 x 210 cross moments"
    assert "1 row," in repr(accumulate((1, 1), np.ones((1, 1)), None))
