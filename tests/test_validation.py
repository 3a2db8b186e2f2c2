# SPDX-License-Identifier: BSD-3-Clause
"""The boundary: what is converted without loss, what is refused, and what the messages say."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polycore import _validation as v

NOT_NUMBERS = [None, "abc", b"abc", {}, {1, 2}, object(), [[1], [2, 3]], [1, "2"], [None], np.array(["1"]), [[], [1]]]


as_complex_array = partial(v.as_real_array, dtype=np.complex128)


# --- scalars ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3), np.array(3, ">i2")], ids=repr)
def test_as_index_accepts_integers(value):
    result = v.as_index(value, "degree", 0, 9)
    assert result == 3
    assert type(result) is int


@pytest.mark.parametrize(
    "value",
    [None, "3", 3.0, 2.5, True, np.True_, 3 + 0j, Fraction(3), [3], np.array([3]), np.array(3.0), np.float64(3)],
)
def test_as_index_refuses_other_types(value):
    with pytest.raises(TypeError, match="`degree` must be an integer, got"):
        v.as_index(value, "degree", 0)


def test_as_index_bounds():
    with pytest.raises(ValueError, match=r"`degree` must be an integer with 0 <= degree <= 9, got -1"):
        v.as_index(-1, "degree", 0, 9)
    with pytest.raises(ValueError, match=r"degree <= 9, got 10"):
        v.as_index(10, "degree", maximum=9)
    # Python refuses to print integers of more than 4300 digits; the message must not run into that.
    with pytest.raises(ValueError, match=r"got about 10\^9999"):
        v.as_index(10**9999, "degree", 0, 9)
    with pytest.raises(ValueError, match=r"got -about 10\^10000"):
        v.as_index(-(10**10000), "degree", 0, 9)
    assert v.as_index(10**10000, "degree", 0) == 10**10000


def test_as_flag():
    assert v.as_flag(np.False_, "bias") is False
    for bad in (None, 0, 1, "no", 1.0, np.array(True), [True]):
        with pytest.raises(TypeError, match="`bias` must be True or False"):
            v.as_flag(bad, "bias")


def test_as_real():
    for good in (2, 2.0, np.float32(2), np.int64(2), np.array(2.0), Fraction(4, 2).numerator):
        assert v.as_real(good, "tolerance") == 2.0
        assert type(v.as_real(good, "tolerance")) is float
    for bad in (None, "2", True, 2j, [2.0], np.longdouble(2), Fraction(1, 2)):
        with pytest.raises((TypeError, ValueError), match="`tolerance`"):
            v.as_real(bad, "tolerance")
    for bad in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ValueError, match="`tolerance`"):
            v.as_real(bad, "tolerance", minimum=0.0)


def test_check_choice():
    v.check_choice("C", "order", ("C", "F"))
    for bad in ("c", None, 3, ["C"], np.array(["C", "F"])):
        with pytest.raises(ValueError, match="`order` must be one of 'C', 'F'"):
            v.check_choice(bad, "order", ("C", "F"))


def test_check_threads():
    assert v.check_threads(0) == 0
    assert v.check_threads(np.int32(8)) == 8
    for bad in (None, "1", 1.0, True):
        with pytest.raises(TypeError, match="`n_threads`"):
            v.check_threads(bad)
    for bad in (-1, 10**9, 2**70):
        with pytest.raises(ValueError, match="`n_threads`"):
            v.check_threads(bad)


def test_primes():
    sieve = np.ones(5000, bool)
    sieve[:2] = False
    for n in range(2, 71):
        sieve[n * n :: n] = False
    assert [n for n in range(5000) if v.is_prime(n)] == np.flatnonzero(sieve).tolist()
    for p in (2**31 - 1, 2**61 - 1, 2**59 - 55, 1000000007):
        assert v.check_modulus(p) == p
    # Carmichael numbers and strong pseudoprimes to the bases 2, 3, 5, 7.
    for n in (561, 41041, 3215031751, 3825123056546413051, (2**31 - 1) ** 2, 2**60 + 1):
        assert not v.is_prime(n)
    for bad in (-7, 0, 1, 4, 2**61 + 15, 2**89 - 1, 10**5000):
        with pytest.raises(ValueError, match="`modulus`"):
            v.check_modulus(bad)
    for bad in (None, 7.0, "7", True):
        with pytest.raises(TypeError, match="`modulus`"):
            v.check_modulus(bad)


def test_as_rng():
    generator, seed = v.as_rng(5)
    assert seed == 5
    first = generator.standard_normal(4)
    np.testing.assert_array_equal(v.as_rng(np.uint64(5))[0].standard_normal(4), first)
    # From a Generator a seed is drawn, and the seed alone reproduces.
    generator, seed = v.as_rng(np.random.default_rng(1))
    assert 0 <= seed < 2**64
    np.testing.assert_array_equal(v.as_rng(seed)[0].standard_normal(4), generator.standard_normal(4))
    source = np.random.default_rng(1)
    assert v.as_rng(source)[1] != v.as_rng(source)[1]
    for bad in (None, "1", 1.0, True, [1], np.random):
        with pytest.raises(TypeError, match=r"`rng` must be an integer seed or a numpy\.random\.Generator"):
            v.as_rng(bad)
    for bad in (-1, 2**64):
        with pytest.raises(ValueError, match="`rng`"):
            v.as_rng(bad)


# --- real and complex arrays ------------------------------------------------------------------------------------------


def test_the_right_array_is_passed_through():
    a = np.arange(6.0).reshape(2, 3)
    assert v.as_real_array(a, "a") is a
    assert np.shares_memory(v.as_real_array(a[1], "a"), a)
    z = a + 1j
    assert as_complex_array(z, "z") is z


def good_forms(a):
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]))
    wide[..., ::2] = a
    read_only = a.copy()
    read_only.flags.writeable = False
    raw = np.zeros(a.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(float).reshape(a.shape)
    misaligned[...] = a
    return {
        "list": a.tolist(),
        "tuple": tuple(a.tolist()),
        "int8": a.astype(np.int8),
        "uint64": a.astype(np.uint64),
        "int64 big-endian": a.astype(">i8"),
        "float16": a.astype(np.float16),
        "float32": a.astype(np.float32),
        "float64 big-endian": a.astype(">f8"),
        "Fortran": np.asfortranarray(a),
        "strided": wide[..., ::2],
        "negative strides": a[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": read_only,
        "misaligned": misaligned,
        "matrix of no masked entries": np.ma.array(a),
        "generator of __array__": memoryview(a),
    }


@pytest.mark.parametrize("form", good_forms(np.ones((1, 1))))
def test_lossless_conversions(form):
    a = np.arange(12.0).reshape(3, 4)
    for convert, dtype in ((v.as_real_array, np.float64), (as_complex_array, np.complex128)):
        result = convert(good_forms(a)[form], "a")
        assert type(result) is np.ndarray
        assert result.dtype == dtype
        assert result.dtype.isnative
        assert result.flags.c_contiguous
        assert result.flags.aligned
        np.testing.assert_array_equal(result, a)


def test_more_lossless_conversions():
    np.testing.assert_array_equal(v.as_real_array([True, False], "a"), [1.0, 0.0])
    np.testing.assert_array_equal(v.as_real_array(np.broadcast_to(2.0, (3, 2)), "a"), np.full((3, 2), 2.0))
    assert v.as_real_array(3, "a").shape == ()
    assert v.as_real_array([], "a").shape == (0,)
    assert v.as_real_array(np.empty((0, 3), ">f4"), "a").shape == (0, 3)
    assert v.as_real_array(np.empty((3, 0)), "a").shape == (3, 0)
    assert v.as_real_array(np.ones(2, np.float32), "a", keep_float32=True).dtype == np.float32
    assert v.as_real_array(np.ones(2, ">f4"), "a", keep_float32=True).dtype == np.dtype("f4")
    assert v.as_real_array([1, 2], "a", keep_float32=True).dtype == np.float64
    # Integers that a float64 holds exactly, beyond 2^53.
    assert v.as_real_array([2**60, -(2**63)], "a").tolist() == [2.0**60, -(2.0**63)]
    assert v.as_real_array(np.array([2**63], np.uint64), "a").tolist() == [2.0**63]
    assert v.as_real_array([2**60, 0.5], "a").tolist() == [2.0**60, 0.5]


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_not_numbers(value):
    for convert in (v.as_real_array, as_complex_array, v.as_exact_array, v.as_rational_array):
        with pytest.raises(TypeError, match="`a`"):
            convert(value, "a")
    with pytest.raises(TypeError, match="`a`"):
        v.as_residues(value, 7, "a")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.ones(2, np.longdouble), "lose precision"),
        (np.ones(2, complex), "must be real"),
        (np.array([1, Fraction(1, 2)], dtype=object), "dtype object"),
        ([2**70, 1], "dtype object"),
        (np.zeros(2, "datetime64[s]"), "datetime64"),
        (np.zeros(2, "timedelta64[s]"), "timedelta64"),
        (np.zeros(2, [("x", float)]), "got dtype"),
        (np.zeros(2, "V8"), "got dtype"),
    ],
    ids=repr,
)
def test_lossy_types(value, words):
    with pytest.raises(TypeError, match=f"`a`.*{words}"):
        v.as_real_array(value, "a")


@pytest.mark.parametrize(
    "value",
    [[2**53 + 1, 0], np.array([-(2**53) - 1]), np.array([2**64 - 1], np.uint64), [0.5, 2**60 + 1], [-1, 2**63 + 1]],
)
def test_integers_that_a_float_cannot_hold(value):
    for convert in (v.as_real_array, as_complex_array):
        with pytest.raises(ValueError, match=r"`a` must hold numbers that .* represents exactly, got"):
            convert(value, "a")


def test_float32_as_target():
    assert v.as_real_array(np.ones(2, np.float16), "a", dtype=np.float32).dtype == np.float32
    with pytest.raises(TypeError, match="lose precision"):
        v.as_real_array(np.ones(2), "a", dtype=np.float32)
    with pytest.raises(ValueError, match="2\\^24"):
        v.as_real_array([2**24 + 1], "a", dtype=np.float32)


def test_masked_entries_are_not_dropped():
    with pytest.raises(ValueError, match="masked"):
        v.as_real_array(np.ma.array([1.0, 2.0], mask=[False, True]), "a")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_first_bad_entry_is_named(bad):
    a = np.zeros((700, 500))
    a[601, 7] = a[650, 2] = bad
    with pytest.raises(ValueError, match=f"`X` must be finite, got {bad} at row 601, column 7"):
        v.as_real_array(a, "X")
    with pytest.raises(ValueError, match="at index 3"):
        v.as_real_array([0.0, 1.0, 2.0, bad], "theta")
    with pytest.raises(ValueError, match=r"at index \(0, 1, 0\)"):
        v.as_real_array([[[0.0], [bad]]], "theta")
    with pytest.raises(ValueError, match="at index 1"):
        as_complex_array([0.0, complex(0, bad)], "theta")
    assert v.as_real_array([bad], "a", finite=False).shape == (1,)
    v.as_real_array([1e308, -1e308, 5e-324], "a")


def test_shapes():
    a = np.zeros((4, 3))
    v.check_shape(a, "a", ("rows", ("n_vars", 3)))
    v.check_shape(a, "a", (..., 3))
    v.check_shape(a, "a", (...,))
    v.check_shape(np.zeros(()), "a", ())
    for shape, text in (
        (("rows", ("n_vars", 2)), r"\(rows, n_vars=2\)"),
        ((..., ("n_params", 4)), r"\(..., n_params=4\)"),
        ((3,), r"\(3,\)"),
        ((), r"\(\)"),
        ((..., 1, 4, 3), r"\(..., 1, 4, 3\)"),
    ):
        with pytest.raises(ValueError, match=rf"`a` must have shape {text}, got \(4, 3\)"):
            v.check_shape(a, "a", shape)
    with pytest.raises(ValueError, match=r"`a` must have 1 dimension, got shape \(4, 3\)"):
        v.as_real_array(a, "a", ndim=1)


def test_theta_and_samples():
    assert v.as_theta(np.zeros((2, 5, 3)), 3).shape == (2, 5, 3)
    with pytest.raises(ValueError, match=r"`theta` must have shape \(..., n_params=3\), got \(4,\)"):
        v.as_theta(np.zeros(4), 3)
    assert v.as_samples([[1, 2]], 2).shape == (1, 2)
    assert v.as_samples(np.empty((0, 2)), 2).shape == (0, 2)
    with pytest.raises(ValueError, match="`X` must have at least 1 row, got 0"):
        v.as_samples(np.empty((0, 2)), 2, minimum_rows=1)
    with pytest.raises(ValueError, match=r"got \(2,\); for a single sample pass X\[None, :\]"):
        v.as_samples([1, 2], 2)
    with pytest.raises(ValueError, match=r"got \(3,\); one variable still makes a column: pass Y\[:, None\]"):
        v.as_samples([1, 2, 3], 1, "Y", "n_targets")
    for shape in ((), (3,), (3, 3), (1, 3, 2), (2, 0)):
        with pytest.raises(ValueError, match=r"`X` must have shape \(n_samples, n_vars=2\)"):
            v.as_samples(np.zeros(shape), 2)


# --- exact arrays -----------------------------------------------------------------------------------------------------


@given(st.lists(st.one_of(st.integers(), st.fractions()), max_size=8), st.sampled_from([2, 7, 2**31 - 1, 2**61 - 1]))
def test_residues_of_rationals(values, p):
    if any(Fraction(x).denominator % p == 0 for x in values):
        with pytest.raises(ValueError, match=f"denominator is divisible by modulus={p}"):
            v.as_residues(values, p, "theta")
        return
    result = v.as_residues(values, p, "theta") if values else np.empty(0, np.uint64)
    assert result.dtype == np.uint64
    for x, r in zip(map(Fraction, values), result.tolist()):
        assert 0 <= r < p
        assert (r * x.denominator - x.numerator) % p == 0


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, ">i4", np.int64, np.uint64, ">u8", bool])
def test_residues_of_integer_arrays(dtype):
    info = np.iinfo(np.dtype(dtype)) if np.dtype(dtype) != bool else None
    values = [info.min, info.max, 0, 1] if info else [False, True]
    a = np.array(values, dtype=dtype)
    for p in (2, 101, 2**61 - 1):
        result = v.as_residues(a[::-1].reshape(2, -1), p, "theta")
        assert result.dtype == np.uint64
        assert result.flags.c_contiguous
        assert result.reshape(-1).tolist() == [int(x) % p for x in values[::-1]]


@pytest.mark.parametrize(
    "value", [1.0, [1, 2.0], np.array([1.0]), [1j], np.array([1, 2.5], object), [np.nan]], ids=repr
)
def test_floats_are_not_exact(value):
    for p in (None, 7):
        with pytest.raises(TypeError, match="`theta` must hold integers or Fractions"):
            v.as_exact_array(value, "theta") if p is None else v.as_residues(value, p, "theta")


def test_exact_arrays():
    assert v.as_exact_array([1, 2], "a").dtype.kind == "i"
    mixed = v.as_exact_array([1, Fraction(1, 2), np.int64(3), 2**80], "a")
    assert mixed.tolist() == [1, Fraction(1, 2), 3, 2**80]
    assert type(mixed[2]) is int
    # numpy alone would make these float64.
    assert v.as_exact_array([-1, 2**63], "a").tolist() == [-1, 2**63]
    with pytest.raises(TypeError, match=r"got None \(NoneType\) at index \(1, 0\)"):
        v.as_exact_array(np.array([[1], [None]], dtype=object), "a")


def test_rational_arrays_take_floats_as_what_they_are():
    mixed = v.as_rational_array([0.1, 2**60 + 1, Fraction(1, 3), np.float32(0.5), np.int8(-1), True], "a")
    assert mixed.tolist() == [Fraction(0.1), 2**60 + 1, Fraction(1, 3), Fraction(1, 2), -1, 1]
    assert all(type(entry) in (int, Fraction) for entry in mixed)
    assert v.as_rational_array(np.array([[0.5, 1.0]], ">f4"), "a", ("k", 2)).tolist() == [[Fraction(1, 2), 1]]
    assert v.as_rational_array(np.arange(3, dtype=np.uint8), "a").tolist() == [0, 1, 2]
    for bad in (np.nan, -np.inf):
        with pytest.raises(ValueError, match="`a` must be finite"):
            v.as_rational_array([1.0, bad], "a")
    for value in (np.ones(2, np.longdouble), [np.longdouble(1), Fraction(1)], np.ones(2, complex), [1j, Fraction(1)]):
        with pytest.raises(TypeError, match="`a`"):
            v.as_rational_array(value, "a")
    with pytest.raises(ValueError, match="`a` must have shape"):
        v.as_rational_array([0.5], "a", ("k", 2))


# --- out --------------------------------------------------------------------------------------------------------------


def test_check_out():
    out = np.empty((2, 3))
    assert v.check_out(out, (2, 3), float) is out
    fortran = np.empty((2, 3), order="F")
    assert v.check_out(fortran, (2, 3), float, orders="CF") is fortran
    assert v.check_out(np.empty((0, 3)), (0, 3), float).shape == (0, 3)
    for bad in (
        None,
        [[0.0] * 3] * 2,
        "out",
        np.empty((2, 3), np.float32),
        np.empty((2, 3), ">f8"),
        np.ma.empty((2, 3)),
    ):
        with pytest.raises(TypeError, match="`out`"):
            v.check_out(bad, (2, 3), float)
    read_only = np.empty((2, 3))
    read_only.flags.writeable = False
    misaligned = np.zeros(49, np.uint8)[1:].view(float).reshape(2, 3)
    for bad, words in (
        (np.empty((3, 2)), r"shape \(2, 3\), got \(3, 2\)"),
        (fortran, "C-contiguous, got strides"),
        (np.empty((2, 6))[:, ::2], "C-contiguous"),
        (np.empty((2, 3))[::-1], "C-contiguous"),
        (np.lib.stride_tricks.as_strided(np.zeros(3), (2, 3), (0, 8)), "C-contiguous"),
        (read_only, "read-only"),
        (misaligned, "misaligned"),
    ):
        with pytest.raises(ValueError, match=f"`out`.*{words}"):
            v.check_out(bad, (2, 3), float)
    with pytest.raises(ValueError, match="`out` must not overlap"):
        v.check_out(out[:1], (1, 3), float, inputs=[np.zeros(2), out])


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_sizes():
    v.check_size(0, 8, "nothing")
    v.check_size(10**6, 8, "a little")
    with pytest.raises(
        MemoryError, match=r"the matrix would have 1,000,000,000,000 entries, 7,450.58 GiB.*; use Q @ c"
    ):
        v.check_size(10**12, 8, "the matrix", "use Q @ c")
    with pytest.raises(OverflowError, match=r"the table would have about 10\^450 entries.*GiB.*beyond 64-bit"):
        v.check_size(10**450, 8, "the table")
    with pytest.raises(OverflowError, match="GiB"):
        v.check_size(2**62, 8, "the table")
    with pytest.raises(OverflowError, match=r"about 10\^100000 entries"):
        v.check_size(10**100000, 8, "the table")


def test_available_memory_is_sane():
    assert 2**20 < v.available_memory() < 2**55


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS and /proc")
def test_address_space_limit_is_respected():
    code = (
        "import resource\n"
        "from polycore._validation import available_memory, check_size\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))\n"
        "assert available_memory() < 2**33\n"
        "try:\n    check_size(2**30, 8, 'the table')\n"
        "except MemoryError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert "8.00 GiB" in done.stdout, done.stderr
