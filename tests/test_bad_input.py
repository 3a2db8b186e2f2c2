# SPDX-License-Identifier: BSD-3-Clause
"""Every public function and method against hostile arguments.

An argument of each public callable has a *role*, which knows a good value and a list of attacks. The verdict of an
attack is one of

* ``SAME``: a harmless disguise of the good value; the result has the bits of the clean call;
* ``REFUSED``: an exception of the right class whose message names the argument in backticks;
* ``EITHER``: refused as above, or the right answer, which is what the same call gives on a clean copy of the value.

Nothing else ever happens: no crash, no other exception, no warning, no unfinished output.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
import math
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy

import polycore as pc
from polycore import _backend
from polycore.cli import main

SAME, REFUSED, EITHER = "same", "refused", "either"
Attack = tuple[str, Any, str]
REFUSALS = (TypeError, ValueError, OverflowError, MemoryError, pc.NumericalError)
BACKENDS = [name for name in ("cpp", "numpy") if _backend.available()[name]]
P61 = 2**61 - 1


# -- roles ------------------------------------------------------------------------------------------------------------


class Role:
    """A good value (made anew for each call) and the attacks on it."""

    refusals: tuple[type[BaseException], ...] = REFUSALS

    def __init__(self, good: Any) -> None:
        self._good = good

    def good(self) -> Any:
        return self._good() if callable(self._good) and not isinstance(self._good, type) else self._good

    def attacks(self) -> Iterator[Attack]:
        return iter(())

    def clean(self, value: Any) -> Any:
        return value


def misaligned(array: np.ndarray) -> np.ndarray:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned or array.size == 0
    return view


def disguises(good: np.ndarray) -> Iterator[Attack]:
    """The same numbers, small integers, in other clothes."""
    read_only = good.copy()
    read_only.flags.writeable = False
    wide = np.zeros((*good.shape[:-1], 2 * good.shape[-1]))
    wide[..., ::2] = good
    yield "float16", good.astype(np.float16), SAME
    yield "int8", good.astype(np.int8), SAME
    yield "uint64", np.abs(good).astype(np.uint64) if (good >= 0).all() else good.astype(np.int64), SAME
    yield "big-endian", good.astype(">f8"), SAME
    yield "big-endian integers", good.astype(">i4"), SAME
    yield "read-only", read_only, SAME
    yield "Fortran order", np.asfortranarray(good), SAME
    yield "strided", wide[..., ::2], SAME
    yield "negative strides", good[..., ::-1].copy()[..., ::-1], SAME
    yield "reversed rows", good[::-1].copy()[::-1], SAME
    yield "misaligned", misaligned(good), SAME
    yield "nested list", good.tolist(), SAME
    yield "nested tuple", tuple(map(tuple, good.tolist())) if good.ndim == 2 else tuple(good.tolist()), SAME
    yield "subclass", good.view(type("Subclass", (np.ndarray,), {})), SAME
    yield "zero strides", np.broadcast_to(good[(0,) * (good.ndim - 1)], good.shape), EITHER
    yield "zero strides in every axis", np.broadcast_to(np.float64(2.0), good.shape), EITHER
    yield "bools", good.astype(bool), EITHER


def not_numbers(shape: tuple[int, ...]) -> Iterator[Attack]:
    yield "None", None, REFUSED
    yield "a string", "abc", REFUSED
    yield "bytes", b"abc", REFUSED
    yield "a number as a string", "1.0", REFUSED
    yield "ragged", [[1.0, 2.0], [3.0]], REFUSED
    yield "ragged deeper", [[[1.0], [2.0, 3.0]], [[1.0], [2.0]]], REFUSED
    yield "strings in a list", ["1", "2"], REFUSED
    yield "None in a list", [1.0, None], REFUSED
    yield "a dict", {"a": 1.0}, REFUSED
    yield "a set", {1.0, 2.0}, REFUSED
    yield "a generator", (x for x in (1.0, 2.0)), REFUSED
    yield "a function", math.sin, REFUSED
    yield "an object", object(), REFUSED
    yield "a class", np.ndarray, REFUSED
    yield "an array of strings", np.full(shape, "1.0"), REFUSED
    yield "an array of None", np.full(shape, None), REFUSED
    yield "dates", np.zeros(shape, "datetime64[s]"), REFUSED
    yield "times", np.zeros(shape, "timedelta64[s]"), REFUSED
    yield "a structured array", np.zeros(shape, [("a", float)]), REFUSED
    yield "void", np.zeros(shape, "V8"), REFUSED
    yield "masked", np.ma.masked_array(np.ones(shape), mask=True), REFUSED


class Real(Role):
    """Real numbers in a float64 array; the good value holds small integers."""

    def __init__(
        self,
        good: Any,
        *,
        scalars: bool = False,
        any_width: bool = False,
        complex_too: bool = False,
        objects_too: bool = False,
        keeps_float32: bool = False,
    ) -> None:
        super().__init__(np.array(good, dtype=float))
        self.keeps_float32 = keeps_float32
        self.scalars, self.any_width = scalars, any_width
        self.complex_too, self.objects_too = complex_too, objects_too

    def good(self) -> np.ndarray:
        return np.array(self._good)

    def clean(self, value: Any) -> Any:
        array = np.array(value)
        keep = (self.objects_too and array.dtype.kind in "iuO") or (self.keeps_float32 and array.dtype == np.float32)
        return array if keep else array.astype(complex if array.dtype.kind == "c" else float)

    def attacks(self) -> Iterator[Attack]:
        good = self.good()
        yield from disguises(good)
        yield "float32", good.astype(np.float32), EITHER if self.keeps_float32 else SAME
        yield from not_numbers(good.shape)
        yield "complex", good + 1j, EITHER if self.complex_too else REFUSED
        yield "complex without imaginary part", good + 0j, EITHER if self.complex_too else REFUSED
        yield "complex64", (good + 1j).astype(np.complex64), EITHER if self.complex_too else REFUSED
        yield "longdouble", good.astype(np.longdouble) + np.longdouble(1) / 3, REFUSED
        yield "complex longdouble", good.astype(np.clongdouble), REFUSED
        yield "objects", good.astype(object), EITHER if self.objects_too else REFUSED
        yield "Fractions", good.astype(object) + Fraction(1, 3), EITHER if self.objects_too else REFUSED
        yield "Decimals", np.full(good.shape, Decimal(1)), REFUSED
        yield "integers beyond 2^53", good.astype(np.int64) + 2**53 + 1, EITHER if self.objects_too else REFUSED
        yield (
            "integers beyond 2^64",
            (good.astype(int).astype(object) + 10**30).tolist(),
            EITHER if self.objects_too else REFUSED,
        )
        yield "infinite in float32", np.full(good.shape, np.inf, np.float32), REFUSED
        for word, value in (("NaN", np.nan), ("infinity", np.inf), ("minus infinity", -np.inf)):
            for where in ((0,) * good.ndim, (-1,) * good.ndim):
                bad = good.copy()
                bad[where] = value
                yield f"{word} at {where}", bad, REFUSED
        yield "huge", np.full(good.shape, 1e308), EITHER
        yield "tiny", np.full(good.shape, 5e-324), EITHER
        yield from self._shapes(good)

    def _shapes(self, good: np.ndarray) -> Iterator[Attack]:
        yield "0-d", np.array(1.0), EITHER if self.scalars else REFUSED
        yield "a plain number", 1.0, EITHER if self.scalars else REFUSED
        yield "nothing", [], EITHER
        yield "0-d of objects", np.array(None, dtype=object), REFUSED
        if self.scalars:
            return
        yield "one column more", np.ones((*good.shape[:-1], good.shape[-1] + 1)), EITHER if self.any_width else REFUSED
        yield "no columns", good[..., :0], REFUSED
        yield "no rows", good[:0], EITHER
        yield "no rows, too many columns", np.ones((0, good.shape[-1] + 1)), EITHER if self.any_width else REFUSED
        yield "flat", np.concatenate([good.reshape(-1), good.reshape(-1)]), REFUSED
        yield "one axis more", good[None], EITHER
        yield "two axes more", good[None, None], EITHER
        yield "no members", np.ones((0, *good.shape)), EITHER
        yield "thirty axes", np.ones((1,) * 29 + (good.shape[-1] + 1,)), REFUSED
        yield "absurd but empty", np.ones((0, 2**40)), REFUSED


class Numbers(Real):
    """Numbers of any numeric dtype, passed on as they are."""

    def __init__(self, good: Any) -> None:
        super().__init__(good, complex_too=True, objects_too=True)

    def clean(self, value: Any) -> Any:
        return np.array(value)

    def attacks(self) -> Iterator[Attack]:
        for name, value, verdict in super().attacks():
            free = ("longdouble", "complex longdouble", "Decimals", "infinite in float32")
            if name in free or name.startswith(("NaN", "infinity", "minus")) or verdict == SAME:
                yield name, value, EITHER
            elif name != "an array of None":
                yield name, value, verdict


class Exponents(Role):
    def attacks(self) -> Iterator[Attack]:
        shape = np.shape(self.good())
        yield from not_numbers(shape)
        yield "floats", np.array(self.good(), dtype=float), REFUSED
        yield "negative", -np.ones(shape, dtype=int), REFUSED
        yield "beyond the degree", np.full(shape, 10**9), REFUSED
        yield "beyond 64 bits", [10**30] * shape[-1], REFUSED
        yield "NaN", [np.nan] * shape[-1], REFUSED
        yield "0-d", np.array(1), REFUSED
        yield "3-d", np.ones((1, 1, shape[-1]), dtype=int), REFUSED
        yield "one more", np.ones(shape[-1] + 1, dtype=int), REFUSED
        for dtype in (np.int8, np.uint64, ">i4", object):
            yield str(dtype), np.array(self.good()).astype(dtype), SAME


class Count(Role):
    """An integer that is not negative, or not below ``minimum``."""

    def __init__(self, good: int, minimum: int = 0, *, none: bool = False) -> None:
        super().__init__(good)
        self.minimum, self.none = minimum, none

    def attacks(self) -> Iterator[Attack]:
        good = self._good
        if not self.none:
            yield "None", None, REFUSED
        for word, value in {
            "a string": str(good),
            "bytes": b"2",
            "a whole float": float(good),
            "2.5": 2.5,
            "a numpy float": np.float64(good),
            "True": True,
            "a numpy bool": np.True_,
            "NaN": math.nan,
            "infinity": math.inf,
            "complex": complex(good),
            "a list": [good],
            "a tuple": (good,),
            "an array": np.array([good]),
            "a 0-d float": np.array(float(good)),
            "a Fraction": Fraction(good),
            "a Decimal": Decimal(good),
            "an object": object(),
        }.items():
            yield word, value, REFUSED
        for value in (-1, -(10**9), -(10**30), -(2**63)):
            yield str(value), value, REFUSED
        if self.minimum > 0:
            yield "0", 0, REFUSED
        yield "int8", np.int8(good), SAME
        yield "uint64", np.uint64(good), SAME
        yield "0-d", np.array(good), SAME


class Flag(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (None, 0, 1, 1.0, "no", "True", [True], (), np.array([True]), np.int8(1), object()):
            yield repr(value), value, REFUSED
        yield "numpy bool", np.bool_(self._good), SAME


class Threads(Role):
    def __init__(self) -> None:
        super().__init__(0)

    def attacks(self) -> Iterator[Attack]:
        for value in (None, -1, 2.0, True, "2", [1], 10**9, 10**30, math.nan):
            yield repr(value), value, REFUSED
        for value in (1, 2, 3, 8, np.int64(2)):
            yield repr(value), value, SAME


class Choice(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (None, 5, "", "nonsense", self._good.encode(), [self._good], object(), True):
            yield repr(value), value, REFUSED


class Kind(Role):
    """An object of one of polycore's classes."""

    def attacks(self) -> Iterator[Attack]:
        for value in (None, 5, 2.5, "abc", b"", [], {}, (1, 2), np.ones(3), object(), type(self.good()), len, True):
            yield repr(value), value, REFUSED


class Modulus(Role):
    def __init__(self, good: int | None = 7) -> None:
        super().__init__(good)

    def attacks(self) -> Iterator[Attack]:
        for value in (-7, 0, 1, 4, 2**61 - 3, 2**61, 2**61 + 15, 2**64 + 13, 10**30, 10**5000, 7.0, True, "7", [7], 1j):
            yield str(value)[:40] if value != 10**5000 else "10^5000", value, REFUSED


class Field(Modulus):
    """A modulus that has to be given."""

    def attacks(self) -> Iterator[Attack]:
        yield from super().attacks()
        yield "None", None, REFUSED
        yield "numpy integer", np.uint64(self._good), SAME


class DType(Role):
    def __init__(self, *allowed: Any) -> None:
        super().__init__(None)

    def attacks(self) -> Iterator[Attack]:
        bad = (5, "nonsense", ",", {}, [], ("f8", 2**40), np.longdouble, np.float16, np.int64, bool, "U5", ">f8", "V8")
        for value in (*bad, object(), np.ones(2), 2.5):
            yield repr(value), value, REFUSED


class Rng(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (None, -1, 2.5, True, "x", 2**64, 10**30, [1], np.random.RandomState(0), np.random, object()):
            yield repr(value)[:30], value, REFUSED
        yield "numpy integer", np.uint32(self._good), SAME


class Generator(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (0, -1, 2.5, True, "x", [1], np.random.RandomState(0), np.random, object()):
            yield repr(value)[:30], value, REFUSED


class Symbols(Role):
    def __init__(self) -> None:
        super().__init__(None)

    def attacks(self) -> Iterator[Attack]:
        for value in (5, [1, 2], ["x"], ["x", "y", "z"], {"x", "y"}, b"xy", [None, "x"], [["x"], ["y"]], np.ones(2)):
            yield repr(value), value, REFUSED


class Tolerance(Role):
    def __init__(self) -> None:
        super().__init__(None)

    def attacks(self) -> Iterator[Attack]:
        for value in (
            "x",
            -1,
            -1e-9,
            math.nan,
            math.inf,
            1.0,
            2,
            1j,
            [0.1],
            True,
            object(),
            np.longdouble("0.1"),
            10**400,
        ):
            yield repr(value)[:40], value, REFUSED


class Fraction01(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (None, "x", -0.1, 1.0, 2, math.nan, math.inf, 1j, [0.1], True, object()):
            yield repr(value), value, REFUSED


class Interval(Role):
    def attacks(self) -> Iterator[Attack]:
        bad = ((1, 1), (2, 1), (0, math.inf), (math.nan, 1), (0,), (0, 1, 2), (0, 1j), ("a", "b"), (None, 1))
        for value in (None, 5, "ab", *bad, [[0, 1]], {0: 1}, object(), np.longdouble([0, 1]) / 3):
            yield repr(value), value, REFUSED
        yield "array", np.array(self._good, dtype=np.int8), SAME


class Activation(Role):
    def attacks(self) -> Iterator[Attack]:
        bad = (
            None,
            -1,
            2.5,
            True,
            10**9,
            10**30,
            "tanh",
            b"",
            {},
            {1, 2},
            object(),
            1j,
            [],
            (),
            (2, 2),
            [None],
            [1, "2"],
        )
        for value in (*bad, [1, math.nan], [1, math.inf], [1j, 1], [True, 1], [[1, 2]], np.ones((2, 2)), np.tanh, [2]):
            yield repr(value), value, REFUSED
        yield "10^400", [0, 10**400], REFUSED
        yield "longdouble", np.array([0, 1, 2], dtype=np.longdouble) / 3, REFUSED
        for value in (np.int8(2), np.array(2), [0, 0, 1], [0.0, 0, 1], np.array([0, 0, 1]), (2,)):
            yield repr(value), value, SAME


class LayerActivation(Role):
    """The activation of a single layer."""

    def attacks(self) -> Iterator[Attack]:
        bad = (
            None,
            -1,
            2.5,
            True,
            10**9,
            "tanh",
            b"",
            {},
            {1, 2},
            object(),
            1j,
            [],
            (),
            (2,),
            (2, 2),
            [None],
            [1, "2"],
        )
        for value in (*bad, [1, math.nan], [1, math.inf], [1j, 1], [True, 1], [[1, 2]], np.ones((2, 2)), np.tanh):
            yield repr(value), value, REFUSED
        for value in (
            np.int8(2),
            np.array(2),
            [0, 0, 1],
            [0.0, 0, 1],
            np.array([0, 0, 1]),
            np.polynomial.Polynomial([0, 0, 1]),
        ):
            yield repr(value), value, SAME


class Extents(Role):
    """A size along a signal, or sizes along an image."""

    def attacks(self) -> Iterator[Attack]:
        bad = (None, 0, -1, 2.5, True, "2", b"2", 10**30, (), (0, 1), (1, 2, 3), (1, None), (2, 2.0), {}, {2: 1}, 1j)
        for value in (*bad, [1, -2], np.ones(2), object(), math.nan, [[2, 2], [2, 2]]):
            yield repr(value), value, REFUSED
        if isinstance(self._good, int):
            yield "int8", np.int8(self._good), SAME
        else:
            yield "list", list(self._good), SAME


class PerLayer(Role):
    """One entry a layer, of two layers for signals."""

    def attacks(self) -> Iterator[Attack]:
        bad = (
            None,
            0,
            -1,
            2.5,
            True,
            "22",
            b"22",
            10**30,
            (),
            (2, 0),
            (2, (2, 2)),
            (2, None),
            (2, 2.0),
            {},
            {2, 1},
            1j,
        )
        for value in (*bad, (1,) * 4, [2, -2], np.ones(2), object(), math.nan, [[2, 2, 2]] * 2):
            if not (value is None and self._good == (1, 1)):  # the default
                yield repr(value), value, REFUSED
        yield "list", list(self._good), SAME
        yield "array", np.array(self._good, dtype=np.uint8), SAME


class DataShape(Role):
    def __init__(self, good: Any, *, none: bool = False) -> None:
        super().__init__(good)
        self.none = none

    def attacks(self) -> Iterator[Attack]:
        bad = (0, -1, 2.5, True, "3", b"3", 10**30, (), (1, 2, 3, 4), (0, 3), (3, None), (2.5,), {}, {3}, 1j, object())
        for value in (*bad, [-3], (2**20, 2**20), np.ones(2), math.nan, [[3]], *[None] * (not self.none)):
            yield repr(value), value, REFUSED
        yield "int8", np.int8(self._good), SAME
        yield "tuple", (self._good,), SAME


class Layers(Role):
    def attacks(self) -> Iterator[Attack]:
        good = self.good()
        bad = (
            [],
            [None],
            [5],
            ["Affine"],
            [pc.Affine],
            [pc.program.Affine(0, 1)],
            [good],
            [*good, None],
            [net()],
            [{}],
        )
        for value in bad:
            yield repr(value)[:40], value, REFUSED


class OptionalLayers(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (
            5,
            "Affine",
            [],
            [None],
            pc.Affine,
            pc.program.Affine(0, 1),
            [[pc.Affine(2)]],
            net(),
            {},
            object(),
        ):
            yield repr(value)[:40], value, REFUSED


class Positions(Role):
    def attacks(self) -> Iterator[Attack]:
        bad = (None, -1, 2.5, True, "0", b"0", 10**30, (), [], (0, -1), (0, 1.0), (None,), {}, {0}, 1j, object(), [[0]])
        for value in (*bad, np.ones(2), np.zeros((1, 1), dtype=int), range(0), math.nan):
            yield repr(value), value, REFUSED
        yield "array", np.array(self._good, dtype=np.int8), SAME
        yield "list", list(self._good), SAME


class Spec(Role):
    """A dict from elsewhere."""

    def attacks(self) -> Iterator[Attack]:
        good = self.good()
        for value in (
            None,
            5,
            2.5,
            math.nan,
            "MLP",
            b"{}",
            [],
            [good],
            (),
            {},
            {1: 2},
            {"widths": [2, 1]},
            object(),
            True,
        ):
            yield repr(value)[:40], value, REFUSED
        for key in good:
            yield f"without {key}", {k: v for k, v in good.items() if k != key}, EITHER if key == "bias" else REFUSED
            for value in (None, -1, 2.5, math.nan, math.inf, "x", "1/0", [[]], {}, {"generic": -1}, 10**30, object()):
                yield f"{key}: {value!r}"[:40], {**good, key: value}, REFUSED
        for key in ("", "Widths", "width", 5, None, "x" * 10**6):
            yield f"also {key!r}"[:40], {**good, key: 1}, REFUSED
        deep: Any = 2
        for _ in range(10**4):
            deep = [deep]
        yield "nested", {**good, "activation": deep}, REFUSED
        yield "nested deeper", {**good, "family": deep}, REFUSED


class Widths(Role):
    def attacks(self) -> Iterator[Attack]:
        bad = (None, 5, "2,2,1", b"221", (), (2,), (2, 0, 1), (2, -1, 1), (2, 2.0, 1), (2, True, 1), (2, None, 1))
        more = ({2, 1}, {2: 1}, [[2, 2, 1]], np.ones((2, 2), dtype=int), np.array([2.0, 2, 1]), object())
        for value in (*bad, *more, (2, 10**30, 1)):
            yield repr(value)[:50], value, REFUSED
        yield "10^5000", (2, 10**5000, 1), REFUSED
        yield "list", list(self._good), SAME
        yield "array", np.array(self._good, dtype=np.uint8), SAME


class Out(Role):
    """An output array; ``good`` makes a right one."""

    def __init__(self, shape: tuple[int, ...], dtype: Any = float, orders: str = "C") -> None:
        super().__init__(None)
        self.shape, self.dtype, self.orders = shape, np.dtype(dtype), orders

    def new(self) -> np.ndarray:
        return np.full(self.shape, 77, dtype=self.dtype)

    def attacks(self) -> Iterator[Attack]:
        good, shape = self.new(), self.shape
        read_only = self.new()
        read_only.flags.writeable = False
        for name, value in {
            "a list": good.tolist(),
            "a number": 1.0,
            "a string": "out",
            "True": True,
            "a dtype": float,
            "float32": good.astype(np.float32),
            "longdouble": good.astype(np.longdouble),
            "big-endian": good.astype(good.dtype.newbyteorder()),
            "objects": good.astype(object),
            "int64": good.astype(np.int64),
            "one row more": np.full((shape[0] + 1, *shape[1:]), 77, self.dtype),
            "one axis more": good[None].copy(),
            "0-d": np.array(77, self.dtype),
            "no rows": good[:0],
            "read-only": read_only,
            "strided": np.full((*shape[:-1], 2 * shape[-1]), 77, self.dtype)[..., ::2],
            "negative strides": good[..., ::-1],
            "zero strides": np.lib.stride_tricks.as_strided(good, shape, (0,) * len(shape)),
            "misaligned": misaligned(good),
            "masked": np.ma.masked_array(good, mask=good != 77),
        }.items():
            if name == "negative strides" and shape[-1] == 1:
                continue
            yield name, value, REFUSED
        if len(shape) == 2 and min(shape) > 1 and "F" not in self.orders:
            yield "Fortran order", np.asfortranarray(good), REFUSED
        if len(shape) > 1 and shape != shape[::-1]:
            yield "transposed", np.full(shape[::-1], 77, self.dtype), REFUSED
        yield "a right one", self.new(), SAME
        yield "a subclass", self.new().view(type("Subclass", (np.ndarray,), {})), EITHER


class PathRole(Role):
    refusals = (*REFUSALS, OSError)

    def __init__(self, good: Any = None) -> None:
        super().__init__(good or saved)

    def attacks(self) -> Iterator[Attack]:
        for value in (None, 5, b"bytes.npz", [], {}, object(), True, 2.5, "a\0b", "x" * 5000, "", "."):
            yield repr(value)[:30], value, REFUSED
        yield "nowhere", os.path.join("no", "such", "directory", "m.npz"), REFUSED
        for special in ("/dev/zero", "/dev/full", "/proc/self/mem"):
            if os.path.exists(special):
                yield special, special, REFUSED


class Program(Role):
    def attacks(self) -> Iterator[Attack]:
        affine = pc.program.Affine(0, 1)
        for value in (None, 5, "abc", {}, {affine}, affine, [], (), [None], [affine, None], [pc.program.Affine(1, 1)]):
            yield repr(value), value, REFUSED
        yield "tuple", tuple(self._good), SAME


class Coefficients(Role):
    def attacks(self) -> Iterator[Attack]:
        bad = (None, 5, "12", b"12", {}, {1, 2}, (), [], [None], ["1"], [1j], [math.nan], [math.inf], [True])
        for value in (*bad, [[1, 2]], np.ones((2, 2)), np.float64(1.0), object(), np.longdouble([1, 2])):
            yield repr(value), value, REFUSED
        yield "too many", np.ones(5000), REFUSED
        yield "list", list(self._good), SAME
        yield "array", np.array(self._good, dtype=np.int8), SAME


class Text(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (5, b"abc", ["abc"], True, object()):
            yield repr(value), value, REFUSED


class Integers(Role):
    """An integer that is not below 1, or several of them."""

    def attacks(self) -> Iterator[Attack]:
        bad = (None, 0, -1, 2.5, 2.0, True, "2", b"2", 10**30, {}, {2: 1}, 1j, object(), [None], [[1, 2]], range(0))
        for value in (*bad, [], [0], [2, -1], [2, 2.5], [2, "3"], [2, True], range(10**9), range(-1, 3), np.ones(2)):
            yield repr(value), value, REFUSED
        yield "list", [self._good], SAME
        yield "array", np.array([self._good], dtype=np.uint8), SAME


class Probability(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (None, "x", 0, 0.0, -0.1, 1, 1.0, 2, math.nan, math.inf, 1j, [0.1], True, object()):
            yield repr(value), value, REFUSED


class Seconds(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in ("x", 0, -1.0, math.nan, math.inf, 1j, [1.0], True, object()):
            yield repr(value), value, REFUSED


class Positive(Role):
    """A positive number; infinity, or 0, may be one."""

    def attacks(self) -> Iterator[Attack]:
        for value in ("x", -1.0, -math.inf, math.nan, 1j, [1.0], True, object()):
            yield repr(value), value, REFUSED


class Number(Role):
    """A finite number, or None."""

    def attacks(self) -> Iterator[Attack]:
        for value in ("x", b"1", math.nan, math.inf, 1j, [1.0], True, {}, object()):
            yield repr(value), value, REFUSED


class Names(Role):
    """A sequence of words."""

    def attacks(self) -> Iterator[Attack]:
        for value in (None, 5, "descent", b"descent", {"a"}, [None], [5], ["descent", b"x"], object()):
            yield repr(value), value, REFUSED
        yield "list", list(self._good), SAME


class ArchitectureList(Role):
    def attacks(self) -> Iterator[Attack]:
        good = self._good[0]
        bad = (None, 5, "2-2-1", b"", {"widths": (2, 2, 1)}, net(), good, object(), [None], [(2, 2, 1)], [good, 5])
        entries = (((2, 0, 1), 2), ((2, 2, 1), -2), ((2, 2, 1), None), ((2, 2, 1), 2, 1), (2, 2), ("221", 2), {}, [])
        for value in (*bad, *([entry] for entry in entries)):
            yield repr(value), value, REFUSED
        yield "tuple", tuple(self._good), SAME
        yield "generator", iter(self._good), SAME
        yield "networks", [pc.MLP(*entry) for entry in self._good], SAME


class TablePath(PathRole):
    def attacks(self) -> Iterator[Attack]:
        yield from super().attacks()
        for value in ("x", "x.txt", ".csv", "x.csv/y.csv", "a\0b.csv", "no/such/x.parquet", "x" * 5000 + ".csv"):
            yield repr(value)[:30], value, REFUSED


class Progress(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (0, 1, 1.0, "no", [True], (), object()):
            yield repr(value), value, REFUSED


class Polynomials(Role):
    """Coefficients of several polynomials in a basis of two monomials."""

    def attacks(self) -> Iterator[Attack]:
        good = np.array(self._good)
        yield from not_numbers(good.shape)
        for bad in (good + 1j, good.astype(np.longdouble) / 3, good[:, :1], good[:0], good[0], good[None], [good], 5):
            yield repr(bad), bad, REFUSED
        for value in (math.nan, math.inf, -math.inf):
            yield repr(value), np.where(good == 0, value, good), REFUSED
        yield "dicts", [{(1, 0): 1}], REFUSED
        for dtype in (np.int8, ">i8", object, float, np.float32, ">f8"):
            yield str(dtype), good.astype(dtype), SAME
        yield "Fractions", good.astype(object) * Fraction(1), SAME
        yield "lists", good.tolist(), SAME
        yield "Fortran order", np.asfortranarray(good), SAME
        yield "beyond 2^64", (good.astype(object) * 10**30).tolist(), EITHER


class Matrix(Role):
    """A matrix of exact numbers for arithmetic modulo 7."""

    def good(self) -> np.ndarray:
        return np.array(self._good, dtype=np.uint64)

    def attacks(self) -> Iterator[Attack]:
        good = self.good()
        floats, objects = good.astype(float), good.astype(object)
        yield from not_numbers(good.shape)
        for bad in (floats, floats + 0j, floats.astype(np.float16), floats.astype(np.longdouble), floats.tolist()):
            yield repr(bad), bad, REFUSED
        for bad in (math.nan, math.inf, Decimal(1), "1", 1.0, True + 0j):
            yield f"{bad!r} among integers", [[1, 2], [3, bad]], REFUSED
        for bad in (5, good[0], good[None], np.array(1), [], np.zeros((0,), np.uint64), [[[1]]]):
            yield repr(bad), bad, REFUSED
        yield "a denominator that vanishes", objects * Fraction(1, 7), REFUSED
        yield "masked in part", np.ma.masked_array(good, mask=good == 0), REFUSED
        yield "masked nowhere", np.ma.masked_array(good, mask=False), SAME
        read_only, wide = good.copy(), np.zeros((len(good), 2 * good.shape[1]), np.uint64)
        read_only.flags.writeable = False
        wide[:, ::2] = good
        for name, value in {
            "read-only": read_only,
            "Fortran order": np.asfortranarray(good),
            "strided": wide[:, ::2],
            "negative strides": good[::-1, ::-1].copy()[::-1, ::-1],
            "misaligned": misaligned(good),
            "big-endian": good.astype(">u8"),
            "int8": good.astype(np.int8),
            "lists": good.tolist(),
            "objects": objects,
            "subclass": good.view(type("Subclass", (np.ndarray,), {})),
            "other residues": good + np.uint64(7),
            "near 2^64": good + np.uint64((2**64 - 10) // 7 * 7),
            "negative residues": good.astype(np.int64) - 7,
            "beyond 2^64": objects + 7 * 10**30,
            "beyond 2^64 in lists": (objects - 7 * 10**30).tolist(),
            "Fractions": objects * Fraction(8, 15),
        }.items():
            yield name, value, SAME
        yield "no rows", good[:0], EITHER
        yield "no columns", good[:, :0], EITHER
        yield "bools", good.astype(bool), EITHER


class Metric(Role):
    """A symmetric positive semidefinite matrix, or the name of one."""

    def attacks(self) -> Iterator[Attack]:
        n = len(self._good)
        yield from not_numbers(self._good.shape)
        asymmetric = self._good + np.triu(np.ones((n, n)), 1)
        for value in ("euclidean", -self._good, asymmetric, self._good * 1j, self._good[:1], np.eye(n + 1), np.ones(n)):
            yield repr(value)[:40], value, REFUSED
        for word in (math.nan, math.inf):
            yield str(word), np.full((n, n), word), REFUSED
        yield "lists", self._good.tolist(), SAME


class OptionalMetric(Metric):
    def attacks(self) -> Iterator[Attack]:
        return (attack for attack in super().attacks() if attack[1] is not None)


class Called(Role):
    """An optional function; what it is called with is not for here."""

    def attacks(self) -> Iterator[Attack]:
        for value in (5, "nonsense", b"", [], {}, 2.5, object(), True):
            yield repr(value), value, REFUSED


class OptionalReal(Real):
    def attacks(self) -> Iterator[Attack]:
        return (attack for attack in super().attacks() if attack[1] is not None)


class OptionalBasis(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (5, 2.5, "abc", b"", [], {}, (1, 2), np.ones(3), object(), pc.MonomialBasis, True):
            yield repr(value), value, REFUSED


class NotBoth(Role):
    """A network where widths are given."""

    def attacks(self) -> Iterator[Attack]:
        for value in (5, 2.5, "abc", [], {}, np.ones(3), object(), pc.MLP, net(), net().spec(), net().program):
            yield repr(value)[:40], value, REFUSED


class Expressions(Role):
    """Polynomials of sympy, in the symbol x."""

    def attacks(self) -> Iterator[Attack]:
        x, y = sympy.symbols("x y")
        for value in (None, 5, "x", b"x", {}, object(), x, [], ["x"], [None], [1j * x], [1 / x], [sympy.sin(x)], [y]):
            yield repr(value)[:40], value, REFUSED
        yield "a tuple", tuple(self.good()), SAME


class SympySymbols(Role):
    def attacks(self) -> Iterator[Attack]:
        x = sympy.Symbol("x")
        for value in (None, 5, "x", b"x", {}, object(), x, [], ["x"], [None], [x, x], [x**2], [1.0]):
            yield repr(value)[:40], value, REFUSED
        yield "a tuple", tuple(self.good()), SAME


class Fixed(Role):
    """Values of some parameters, of which there are three."""

    def attacks(self) -> Iterator[Attack]:
        for value in (5, "abc", [0], object(), {3: 1.0}, {-1: 1.0}, {"0": 1.0}, {0.0: 1.0}, {0: "1"}, {0: math.nan}):
            yield repr(value)[:40], value, REFUSED
        yield "all", {0: 1.0, 1: 1.0, 2: 1.0}, REFUSED
        yield "numpy numbers", {np.int64(0): np.float64(1.0)}, SAME


class Anything(Role):
    """An argument that is only looked at, such as text for a page."""


# -- the public callables ---------------------------------------------------------------------------------------------


@dataclass
class Case:
    """A call and the roles of its arguments; ``words`` are other names that a message may use for an argument."""

    call: Callable[..., Any]
    roles: dict[str, Role]
    words: dict[str, str] | None = None

    def good(self) -> dict[str, Any]:
        return {name: role.good() for name, role in self.roles.items()}


def basis() -> pc.MonomialBasis:
    return pc.MonomialBasis(2, 2)


def support() -> pc.MonomialSupport:
    return pc.MonomialSupport(pc.MonomialBasis(2, 3), [(0, 0), (1, 0), (0, 2), (3, 0), (1, 2), (0, 3)])


def small_support() -> pc.MonomialSupport:
    return pc.MonomialSupport(pc.MonomialBasis(2, 2), [(0, 0), (1, 1), (0, 2)])


def net() -> pc.MLP:
    return pc.MLP((2, 2, 1), 2)


def small_net() -> pc.MLP:
    return pc.MLP((2, 1, 1), 2)


def few_critical_points(**arguments: Any) -> Any:
    found = pc.critical_points(**arguments)
    return found.n_evaluations, found.stopped, [(p.loss, p.kind, p.hits, p.theta.tolist()) for p in found]


def parabola() -> pc.Parametrisation:
    return pc.Parametrisation(pc.MonomialBasis(1, 2), [[0, 1, 0], [0, 0, 1]])


def circle() -> pc.Variety:
    return pc.Variety(pc.MonomialBasis(2, 2), [[-1, 0, 0, 1, 0, 1]])


def polynomial_models() -> dict[str, Case]:
    """Maps and equations, their derivatives, and the distance to them."""
    x = sympy.Symbol("x")
    basis, coef = pc.MonomialBasis(1, 2), Real([[0, 1, 0], [0, 0, 1]])
    u, metric = Real([2.0, 4.0]), OptionalMetric(np.array([[2.0, 1.0], [1.0, 2.0]]))
    distance = {"u": u, "Q": metric}
    found = {
        "Parametrisation.from_network": Case(
            lambda **a: pc.Parametrisation.from_network(**a).coef,
            {"net": Kind(small_net), "fixed": Fixed({0: 1.0}), "support": Flag(False)},
        ),
        "Parametrisation.objective": Case(lambda **a: parabola().objective(**a).value([0.5]), distance),
        "ModelDistance": Case(lambda **a: pc.ModelDistance(**a).value([0.5]), {"model": Kind(parabola), **distance}),
        "closest_points": Case(
            lambda **a: pc.closest_points(**a).points,
            {
                "model": Kind(circle),
                **distance,
                "method": Choice("solve"),
                "n_starts": Count(3, 1),
                "rng": Rng(0),
                "n_threads": Threads(),
            },
        ),
    }
    for kind, good, name in ((pc.Parametrisation, parabola, "t"), (pc.Variety, circle, "x")):
        word = kind.__name__
        point = Real([[2.0]] if name == "t" else [[2.0, 4.0]])
        found[word] = Case(lambda kind=kind, **a: kind(**a).coef, {"basis": Kind(basis), "coef": coef})
        found[f"{word}.from_sympy"] = Case(
            lambda kind=kind, **a: kind.from_sympy(**a).coef,
            {"expressions": Expressions([x, x**2]), "symbols": SympySymbols([x])},
        )
        for method in ("evaluate", "jacobian", "hessian"):
            found[f"{word}.{method}"] = Case(
                lambda good=good, method=method, **a: getattr(good(), method)(**a), {name: point}
            )
    for method in ("value", "gradient", "value_and_gradient", "hessian", "gradient_scale"):
        found[f"ModelDistance.{method}"] = Case(
            lambda method=method, **a: getattr(parabola().objective([1.0, 2.0]), method)(**a), {"theta": Real([[2.0]])}
        )
    return found


def plane_of_targets() -> pc.AffineFamily:
    return pc.AffineFamily([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])


def symmetry() -> pc.Symmetry:
    return net().symmetries().random_element(1)


X = np.array([[1.0, 2.0], [0.0, 1.0], [3.0, -1.0], [2.0, 2.0], [1.0, 0.0], [-2.0, 1.0], [1.0, 1.0], [0.0, 3.0]])
Y = np.array([[1.0], [2.0], [0.0], [1.0], [3.0], [1.0], [2.0], [1.0]])
THETA = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
VECTOR = np.array([1.0, 2.0, 0.0, 3.0, 1.0, 2.0])
MATRIX = [[1, 2, 3], [2, 4, 6], [0, 1, 5], [3, 0, 0]]


def moments() -> pc.Moments:
    m = pc.Moments(2, 4, 1)
    m.update(X, Y)
    return m


def saved() -> str:
    moments().save("good.npz")
    return "good.npz"


def form() -> pc.MonomialBasis:
    return pc.MonomialBasis(2, 2, homogeneous=True)


def distance(dense: bool | None = None) -> pc.QDistance:
    return pc.QDistance.from_data(X, Y, form(), dense=dense)


def metric_parts(**arguments: Any) -> Any:
    loss = pc.QDistance.from_metric(**arguments)
    return loss.gram, loss.target, loss.constant, loss.rank, repr(loss)


def cross_entropy() -> pc.CrossEntropy:
    return pc.CrossEntropy.from_data(X, [0, 1, 1, 0, 1, 0, 0, 1], form())


def distance_on_support() -> pc.QDistance:
    return pc.QDistance.from_data(X, Y, net().support)


def updated(**arguments: Any) -> Any:
    m = pc.Moments(2, 4, 1)
    m.update(X, Y)
    before = m.to_bytes()
    try:
        m.update(**arguments)
    except BaseException:
        assert m.to_bytes() == before  # all of the rows, or none
        raise
    return m.to_bytes()


def merged(other: Any) -> bytes:
    m = moments()
    before = m.to_bytes()
    try:
        m.merge(other)
    except BaseException:
        assert m.to_bytes() == before
        raise
    return m.to_bytes()


def small_report(**arguments: Any) -> Any:
    return pc.report(**arguments).to_dict()["models"]


REPORT = {"x": X, "y": Y, "widths": (2, 1, 1), "n_starts": 1, "max_steps": 2, "critical_starts": 0, "held_out": 0.0}


@pytest.fixture(scope="module")
def a_report() -> pc.Report:
    return pc.report(**REPORT)


def array_methods() -> dict[str, Case]:
    theta, points, coef = (
        Real(THETA, complex_too=True),
        Real(X[:3], complex_too=True),
        Real([[1.0, 2.0, 0.0]], complex_too=True),
    )
    options: dict[str, Role] = {"dtype": DType(), "modulus": Modulus(None), "n_threads": Threads()}
    sparse: dict[str, Role] = {"support": Flag(False)}
    return {
        "evaluate": Case(lambda **a: net().evaluate(**a), {"theta": theta, "X": points, **options, "out": Out((3, 1))}),
        "evaluate_vjp": Case(
            lambda **a: net().evaluate_vjp(**a),
            {
                "theta": theta,
                "X": points,
                "dY": Real([[1.0], [2.0], [0.0]], complex_too=True),
                **options,
                "out": Out((3, 6)),
            },
            {"X": "X|dY"},
        ),
        "expand": Case(lambda **a: net().expand(**a), {"theta": theta, **options, **sparse, "out": Out((1, 3))}),
        "jacobian": Case(lambda **a: net().jacobian(**a), {"theta": theta, **options, **sparse, "out": Out((3, 6))}),
        "jvp": Case(
            lambda **a: net().jvp(**a), {"theta": theta, "dtheta": theta, **options, **sparse, "out": Out((1, 3))}
        ),
        "vjp": Case(lambda **a: net().vjp(**a), {"theta": theta, "dcoef": coef, **options, **sparse, "out": Out((6,))}),
        "polynomial": Case(
            lambda **a: repr(net().polynomial(**a)),
            {"theta": Real(THETA, complex_too=True, objects_too=True), "symbols": Symbols()},
        ),
        "random_params": Case(
            lambda **a: net().random_params(**a), {"rng": Rng(3), "batch": Batch(2), "modulus": Modulus(None)}
        ),
        "unpack": Case(lambda **a: net().unpack(**a), {"theta": Numbers(THETA)}),
        "specialize": Case(lambda **a: net().specialize(**a), {"rng": Rng(3)}),
        "canonical": Case(lambda theta: net().canonical(theta), {"theta": Real(THETA, objects_too=True)}),
        "align": Case(lambda **a: net().align(**a).theta, {"theta": Real(THETA), "other": Real(THETA[::-1])}),
        "linear_span": Case(lambda **a: net().linear_span(**a).basis, {"rng": Rng(0)}),
        "pack": Case(lambda **a: net().pack(a), {"W1": Numbers([[1.0, 2.0], [3.0, 4.0]]), "W2": Numbers([[5.0, 6.0]])}),
    }


def loss_methods() -> dict[str, Case]:
    theta, threads = Real(THETA), Threads()

    def of(method: str) -> Callable[..., Any]:
        return lambda **a: [getattr(distance(dense).compose(net()), method)(**a) for dense in (True, False)]

    cases = {
        method: Case(of(method), {"theta": theta, "n_threads": threads})
        for method in ("value", "gradient", "value_and_gradient", "hessian", "gauss_newton", "gradient_scale")
    }
    cases["hessian_product"] = Case(of("hessian_product"), {"theta": theta, "v": theta, "n_threads": threads})
    return cases


def small_sweep(**arguments: Any) -> bytes:
    """The table of a sweep; nothing is left of it, or of one that is refused."""
    out = arguments["out"]
    try:
        pc.sweep(**arguments)
        return Path(out).read_bytes()
    finally:
        if out == "x.csv":
            Path(out).unlink(missing_ok=True)
        assert os.listdir() == []


def cases() -> dict[str, Case]:
    line = pc.MonomialBasis(2, 1)
    vector = Real(VECTOR, complex_too=True, objects_too=True)
    short = Real([1.0, 2.0, 3.0], complex_too=True, objects_too=True)
    ranks: dict[str, Role] = {
        "rng": Rng(0),
        "primes": Count(2, 1),
        "max_error": Probability(1e-9),
        "n_threads": Threads(),
    }
    found = {
        "count_monomials": Case(
            lambda **a: pc.count_monomials(**a), {"n_vars": Count(2, 1), "degree": Count(3), "homogeneous": Flag(False)}
        ),
        "MonomialBasis": Case(
            lambda **a: pc.MonomialBasis(**a), {"n_vars": Count(2, 1), "degree": Count(3), "homogeneous": Flag(True)}
        ),
        "MonomialBasis.exponent": Case(lambda index: basis().exponent(index), {"index": BasisIndex(4)}),
        "MonomialBasis.index": Case(
            lambda exponents: basis().index(exponents), {"exponents": Exponents([[1, 0], [0, 2]])}
        ),
        "MonomialBasis.names": Case(lambda **a: basis().names(**a), {"symbols": Symbols(), "latex": Flag(False)}),
        "MonomialBasis.name": Case(
            lambda **a: basis().name(**a), {"index": BasisIndex(4), "symbols": Symbols(), "latex": Flag(False)}
        ),
        "MonomialBasis.format": Case(
            lambda **a: basis().format(**a),
            {"coef": Numbers(VECTOR), "symbols": Symbols(), "latex": Flag(False), "max_terms": Count(3, none=True)},
        ),
        "MonomialBasis.evaluate": Case(
            lambda **a: basis().evaluate(**a), {"coef": vector, "X": Real(X[:3], complex_too=True, objects_too=True)}
        ),
        "MonomialBasis.to_sympy": Case(
            lambda **a: basis().to_sympy(**a), {"coef": Numbers(VECTOR), "symbols": Symbols()}
        ),
        "MonomialBasis.to_flint": Case(
            lambda **a: basis().to_flint(**a),
            {"coef": Exact([1, 2, 0, 3, 1, 2]), "symbols": Symbols(), "modulus": Modulus(None)},
        ),
        "MonomialSupport": Case(
            lambda **a: pc.MonomialSupport(**a),
            {"basis": Kind(lambda: pc.MonomialBasis(2, 3)), "exponents": Exponents([[1, 0], [0, 2]])},
        ),
        "MonomialSupport.exponent": Case(lambda index: support().exponent(index), {"index": BasisIndex(4)}),
        "MonomialSupport.index": Case(
            lambda exponents: support().index(exponents), {"exponents": Exponents([[1, 0], [0, 2]])}
        ),
        "MonomialSupport.names": Case(lambda **a: support().names(**a), {"symbols": Symbols(), "latex": Flag(False)}),
        "MonomialSupport.format": Case(
            lambda **a: support().format(**a),
            {"values": Numbers(VECTOR), "symbols": Symbols(), "latex": Flag(False), "max_terms": Count(3, none=True)},
        ),
        "MonomialSupport.gather": Case(lambda coef: support().gather(coef), {"coef": Numbers([1.0, 2.0] * 5)}),
        "MonomialSupport.scatter": Case(lambda values: support().scatter(values), {"values": Numbers(VECTOR)}),
        "MonomialSupport.evaluate": Case(
            lambda **a: support().evaluate(**a),
            {"values": vector, "X": Real(X[:3], complex_too=True, objects_too=True)},
        ),
        "veronese": Case(
            lambda **a: pc.veronese(**a),
            {
                "X": Real(X, any_width=True, keeps_float32=True),
                "degree": Count(2),
                "homogeneous": Flag(False),
                "order": Choice("C"),
                "dtype": DType(),
                "n_threads": Threads(),
                "out": Out((8, 6), orders="CF"),
            },
            {"X": "X|samples"},
        ),
        "veronese on a support": Case(
            lambda **a: pc.veronese(degree=small_support(), **a),
            {
                "X": Real(X, keeps_float32=True),
                "homogeneous": Flag(False),
                "order": Choice("C"),
                "dtype": DType(),
                "n_threads": Threads(),
                "out": Out((8, 3), orders="CF"),
            },
            {"X": "X|samples"},
        ),
        "graded_product": Case(
            lambda **a: pc.graded_product(**a),
            {
                "a": vector,
                "basis_a": Kind(basis),
                "b": short,
                "basis_b": Kind(line),
                "modulus": Modulus(None),
                "n_threads": Threads(),
                "out": Out((10,)),
            },
            {"a": "a|b", "b": "a|b"},  # floats on one side and Fractions on the other: either may be meant
        ),
        "correlation": Case(
            lambda **a: pc.correlation(**a),
            {
                "m": vector,
                "basis_m": Kind(basis),
                "b": short,
                "basis_b": Kind(line),
                "modulus": Modulus(None),
                "n_threads": Threads(),
                "out": Out((3,)),
            },
            {"m": "m|b", "b": "m|b"},
        ),
        "Moments": Case(
            lambda **a: repr(pc.Moments(**a)),
            {
                "n_vars": Count(2, 1),
                "degree": Count(3),
                "n_targets": Count(1),
                "cross_degree": Count(2, none=True),
                "homogeneous": Flag(False),
            },
        ),
        "Moments.update": Case(updated, {"X": Real(X), "Y": Real(Y), "n_threads": Threads()}),
        "Moments.merge": Case(merged, {"other": Kind(moments)}),
        "Moments.gram": Case(lambda basis: moments().gram(basis), {"basis": Kind(basis)}),
        "Moments.gram_operator": Case(
            lambda **a: moments().gram_operator(**a) @ VECTOR, {"basis": Kind(basis), "n_threads": Threads()}
        ),
        "Moments.save": Case(lambda **a: moments().save(**a), {"path": PathRole(), "finalize": Flag(False)}),
        "Moments.load": Case(lambda path: pc.Moments.load(path), {"path": PathRole()}, {"path": "path|cannot"}),
        "Moments.to_bytes": Case(lambda finalize: moments().to_bytes(finalize), {"finalize": Flag(False)}),
        "Moments.from_bytes": Case(
            lambda data: pc.Moments.from_bytes(data).to_bytes(), {"data": Bytes(lambda: moments().to_bytes())}
        ),
        "gram_matrix": Case(lambda **a: pc.gram_matrix(**a), {"moments": Real(range(1, 16)), "basis": Kind(basis)}),
        "gram_matrix on a support": Case(
            lambda **a: pc.gram_matrix(**a), {"moments": Real(range(1, 16)), "basis": Kind(small_support)}
        ),
        "gram_operator": Case(
            lambda **a: pc.gram_operator(**a) @ VECTOR,
            {"moments": Real(range(1, 16)), "basis": Kind(basis), "n_threads": Threads()},
        ),
        "GramOperator": Case(
            lambda **a: pc.GramOperator(**a) @ VECTOR,
            {"moments": Real(range(1, 16)), "basis": Kind(basis), "n_threads": Threads()},
        ),
        "GramOperator.apply": Case(lambda coef: moments().gram_operator(basis()).apply(coef), {"coef": Real(VECTOR)}),
        "QDistance.from_data": Case(
            lambda **a: repr(pc.QDistance.from_data(**a)),
            {
                "X": Real(X),
                "Y": Real(Y, any_width=True),
                "basis": Kind(lambda: pc.MonomialBasis(2, 1)),
                "rank_tol": Tolerance(),
                "dense": OptionalFlag(None),
                "method": Choice("auto"),
                "n_threads": Threads(),
            },
            {"X": "X|Y"},
        ),
        "QDistance.from_moments": Case(
            lambda **a: repr(pc.QDistance.from_moments(**a)),
            {
                "moments": Kind(moments),
                "basis": Kind(lambda: pc.MonomialBasis(2, 1)),
                "rank_tol": Tolerance(),
                "dense": OptionalFlag(None),
                "n_threads": Threads(),
            },
        ),
        "QDistance.from_data on a support": Case(
            lambda **a: repr(pc.QDistance.from_data(**a)),
            {
                "X": Real(X),
                "Y": Real(Y, any_width=True),
                "basis": Kind(small_support),
                "rank_tol": Tolerance(),
                "method": Choice("auto"),
                "n_threads": Threads(),
            },
            {"X": "X|Y"},
        ),
        "QDistance.from_moments on a support": Case(
            lambda **a: repr(pc.QDistance.from_moments(**a)),
            {"moments": Kind(moments), "basis": Kind(small_support), "rank_tol": Tolerance(), "n_threads": Threads()},
        ),
        "QDistance.value on a support": Case(
            lambda coef: distance_on_support().value(coef), {"coef": Real([[1.0, 2.0, 3.0]])}
        ),
        "QDistance.compose on a support": Case(
            lambda net: repr(distance_on_support().compose(net)), {"net": Kind(net)}
        ),
        "QDistance": Case(
            lambda metric: pc.QDistance(metric, None, 1, 1), {"metric": OnlyFactories(None)}, {"metric": "QDistance"}
        ),
        "QDistance.value": Case(
            lambda coef: [distance(dense).value(coef) for dense in (True, False)], {"coef": Real([[1.0, 2.0, 3.0]])}
        ),
        "QDistance.gradient": Case(
            lambda coef: [distance(dense).gradient(coef) for dense in (True, False)], {"coef": Real([[1.0, 2.0, 3.0]])}
        ),
        "QDistance.hessian_product": Case(
            lambda **a: [distance(dense).hessian_product(**a) for dense in (True, False)],
            {"coef": Real([[1.0, 2.0, 3.0]]), "dcoef": Real([[2.0, 0.0, 1.0]])},
            {"coef": "coef|dcoef"},
        ),
        "QDistance.gradient_scale": Case(
            lambda coef: [distance(dense).gradient_scale(coef) for dense in (True, False)],
            {"coef": Real([[1.0, 2.0, 3.0]])},
        ),
        "QDistance.from_metric": Case(
            metric_parts,
            {
                "metric": Real([[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]]),
                "target": Real([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0]]),
                "constant": Constant(2.0),
                "rank_tol": Tolerance(),
                "basis": OptionalBasis(None),
            },
            {"target": "target|metric"},
        ),
        "QDistance.from_metric with a joint metric": Case(
            metric_parts,
            {"metric": Real(np.eye(4)), "target": Real([[1.0, 2.0], [0.0, 1.0]])},
            {"target": "target|metric"},
        ),
        "QDistance.from_metric by name": Case(
            metric_parts,
            {"metric": Choice("uniform"), "target": Real([1.0, 2.0, 3.0]), "basis": Kind(form)},
            {"basis": "basis|metric"},
        ),
        "metrics.identity": Case(lambda basis: pc.metrics.identity(basis), {"basis": Kind(support)}),
        "metrics.bombieri_weyl": Case(lambda basis: pc.metrics.bombieri_weyl(basis), {"basis": Kind(basis)}),
        "metrics.gaussian": Case(
            lambda **a: pc.metrics.gaussian(**a),
            {
                "basis": Kind(basis),
                "mean": PerVariable([1.0, 2.0]),
                "covariance": PerVariable([[2.0, 1.0], [1.0, 1.0]]),
            },
        ),
        "metrics.uniform": Case(
            lambda **a: pc.metrics.uniform(**a),
            {"basis": Kind(form), "low": PerVariable([-3.0, -2.0]), "high": PerVariable([4.0, 3.0])},
            {"low": "low|high", "high": "low|high"},
        ),
        "metrics.random_semidefinite": Case(
            lambda **a: pc.metrics.random_semidefinite(**a),
            {"n": Count(3, 1), "rank": Count(2, none=True), "rng": Rng(0)},
        ),
        "CrossEntropy": Case(
            lambda basis: pc.CrossEntropy(X, Y, basis, 2), {"basis": OnlyFactories(None)}, {"basis": "CrossEntropy"}
        ),
        "CrossEntropy.from_data": Case(
            lambda **a: repr(pc.CrossEntropy.from_data(**a)),
            {
                "X": Real(X),
                "labels": ClassLabels([0, 1, 1, 0, 1, 0, 0, 1]),
                "basis": Kind(form),
                "n_classes": Count(3, 2, none=True),
                "reference": Flag(True),
                "n_threads": Threads(),
            },
            {"X": "X|labels"},
        ),
        **{
            f"CrossEntropy.{method}": Case(
                lambda coef, method=method: getattr(cross_entropy(), method)(coef),
                {"coef": Real([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])},
            )
            for method in ("value", "gradient", "value_and_gradient", "gradient_scale", "accuracy")
        },
        "CrossEntropy.hessian_product": Case(
            lambda **a: cross_entropy().hessian_product(**a),
            {"coef": Real([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]]), "dcoef": Real([[1.0, 0.0, 1.0], [2.0, 1.0, 0.0]])},
            {"coef": "coef|dcoef"},
        ),
        "CrossEntropy.compose": Case(
            lambda net: repr(cross_entropy().compose(net)), {"net": Kind(lambda: pc.MLP((2, 2, 2), 2))}
        ),
        "QDistance.restrict": Case(
            lambda **a: distance().restrict(**a).gram,
            {"span": Real([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0]]), "rank_tol": Tolerance()},
        ),
        "QDistance.compose": Case(lambda net: repr(distance().compose(net)), {"net": Kind(net)}),
        "NetworkLoss": Case(lambda **a: repr(pc.NetworkLoss(**a)), {"loss": Kind(distance), "net": Kind(net)}),
        "SymmetryGroup": Case(lambda network: pc.SymmetryGroup(network), {"network": Kind(net)}),
        "SymmetryGroup.random_element": Case(lambda rng: net().symmetries().random_element(rng), {"rng": Rng(1)}),
        "SymmetryGroup.act": Case(
            lambda **a: net().symmetries().act(**a),
            {"g": Kind(symmetry), "theta": Real(THETA, complex_too=True, objects_too=True), "modulus": Modulus(None)},
            {"theta": "theta|g", "modulus": "modulus|theta"},
        ),
        "SymmetryGroup.compose": Case(
            lambda **a: net().symmetries().compose(**a), {"g": Kind(symmetry), "h": Kind(symmetry)}
        ),
        "SymmetryGroup.inverse": Case(lambda g: net().symmetries().inverse(g), {"g": Kind(symmetry)}),
        "Network": Case(lambda program: pc.Network(program), {"program": Kind(lambda: net().program)}),
        "MLP": Case(
            lambda **a: pc.MLP(**a), {"widths": Widths((2, 2, 1)), "activation": Activation(2), "bias": Flag(False)}
        ),
        "CNN": Case(
            lambda **a: pc.CNN(**a),
            {
                "filters": PerLayer((2, 2)),
                "activation": Activation(2),
                "stride": PerLayer((1, 2)),
                "n_inputs": DataShape(4, none=True),
                "bias": Flag(False),
                "channels": PerLayer((1, 1)),
            },
            {"filters": "filters|stride|activation|channels", "n_inputs": "n_inputs|filters|windows"},
        ),
        "LightningAttention": Case(
            lambda **a: pc.LightningAttention(**a),
            {
                **{name: Count(2, 1) for name in ("d_model", "d_key", "n_tokens", "n_layers", "n_heads")},
                "d_out": Count(2, 1, none=True),
            },
        ),
        "Sequential": Case(
            lambda layers, n_inputs: pc.Sequential(*layers, n_inputs=n_inputs),
            {"layers": Layers([pc.Conv(2), pc.Activation(2), pc.Affine(1)]), "n_inputs": DataShape(3)},
        ),
        "Affine": Case(lambda **a: pc.Affine(**a), {"n_out": Count(2, 1), "bias": Flag(False)}),
        "Activation": Case(lambda activation: pc.Activation(activation), {"activation": LayerActivation(2)}),
        "Conv": Case(
            lambda **a: pc.Conv(**a),
            {"filter": Extents((2, 3)), "channels": Count(2, 1), "stride": Extents((1, 2)), "bias": Flag(False)},
        ),
        "Attention": Case(
            lambda **a: pc.Attention(**a),
            {"d_key": Count(2, 1), "d_out": Count(2, 1, none=True), "n_heads": Count(1, 1)},
        ),
        "Residual": Case(
            lambda layers, shortcut: pc.Residual(*layers, shortcut=shortcut),
            {"layers": Layers([pc.Conv(2), pc.Activation(2)]), "shortcut": OptionalLayers(pc.Conv(2))},
        ),
        "Select": Case(lambda positions: pc.Select(positions), {"positions": Positions((0, 2))}),
        "network": Case(
            lambda spec: pc.network(spec),
            {"spec": Spec({"family": "MLP", "widths": [2, 2, 1], "activation": 2, "bias": False})},
        ),
        "Program": Case(
            lambda **a: pc.Program(**a),
            {
                "n_inputs": Count(2, 1),
                "instructions": Program([pc.program.Affine(0, 2), pc.program.Activation(1, (0, 0, 1))]),
            },
        ),
        "Program.constants": Case(
            lambda **a: net().program.constants(**a), {"modulus": Modulus(7), "generator": Generator(None)}
        ),
        "Program.require_concrete": Case(lambda: net().program.require_concrete(), {}),
        "program.Affine": Case(
            lambda **a: pc.program.Affine(**a), {"input": Count(0), "n_out": Count(2, 1), "bias": Flag(False)}
        ),
        "program.Activation": Case(
            lambda **a: pc.program.Activation(**a), {"input": Count(0), "coefficients": Coefficients((0, 1, 2))}
        ),
        "Indeterminate": Case(lambda **a: pc.Indeterminate(**a), {"group": Count(0), "power": Count(2)}),
        "GenericActivation": Case(lambda degree: pc.GenericActivation(degree), {"degree": Count(2)}),
        "polynomial_activation": Case(
            lambda **a: pc.polynomial_activation(**a),
            {"fn": Function("relu"), "degree": Count(2), "interval": Interval((-1, 1))},
        ),
        "PolynomialActivation.__call__": Case(
            lambda z: pc.polynomial_activation("relu", 2, (-1, 1))(z), {"z": Real([1.0, 2.0], scalars=True)}
        ),
        "NetworkPolynomial": Case(
            lambda **a: repr(pc.NetworkPolynomial(**a)),
            {"coef": Numbers(VECTOR[None]), "basis": Kind(basis), "symbols": Symbols()},
        ),
        "NetworkPolynomial.text": Case(
            lambda **a: pc.NetworkPolynomial(VECTOR[None], basis()).text(**a),
            {"latex": Flag(False), "max_terms": Count(3, none=True), "max_outputs": Count(2, none=True)},
        ),
        "report": Case(
            small_report,
            {
                **{name: Anything(REPORT[name]) for name in ("x", "y")},
                "widths": Widths((2, 1, 1)),
                "activation": Activation(2),
                "bias": Flag(False),
                "network": NotBoth(None),
                "held_out": Fraction01(0.0),
                "n_starts": Count(1, 1),
                "max_steps": Count(2, 1),
                "critical_starts": Count(0, 0),
                "rng": Rng(0),
                "drop_missing": Flag(False),
                "progress": Flag(False),
                **{name: Text(None) for name in ("delimiter", "title", "command")},
            },
        ),
        "architectures": Case(
            lambda **a: [pc.MLP(*entry) for entry in pc.architectures(**a)],
            {
                **{name: Integers(2) for name in ("inputs", "outputs", "depth", "width")},
                "activation": Activation(2),
                "bias": Flag(False),
            },
        ),
        "jacobian_rank": Case(
            lambda **a: pc.jacobian_rank(**a).rank,
            {
                "net": Kind(net),
                "theta": Real([1, 2, 2, 4, 1, 1], complex_too=True, objects_too=True),
                "exact": Flag(False),
                "tol": Tolerance(),
                "rng": Rng(0),
                "max_error": Probability(1e-9),
                "n_threads": Threads(),
            },
        ),
        "analyze_point": Case(
            lambda **a: pc.analyze_point(**a).rank,
            {
                "net": Kind(net),
                "theta": Real([1, 2, 2, 4, 1, 1], objects_too=True),
                "exact": Flag(False),
                "tol": Tolerance(),
                "rng": Rng(0),
                "n_threads": Threads(),
            },
        ),
        "subnetworks": Case(
            lambda **a: [s.sizes for s in pc.subnetworks(**a)],
            {"net": Kind(net), "max_count": Count(3, 1), "rng": Rng(0)},
        ),
        "conserved_quantities": Case(lambda **a: [q.formula for q in pc.conserved_quantities(**a)], {"net": Kind(net)}),
        "ConservedQuantity.value": Case(
            lambda theta: pc.conserved_quantities(net())[0].value(theta), {"theta": Numbers(THETA)}
        ),
        "ConservedQuantity.size": Case(
            lambda theta: pc.conserved_quantities(net())[0].size(theta), {"theta": Numbers(THETA)}
        ),
        "bias": Case(
            lambda **a: pc.bias(**a).losses,
            {
                "model": Kind(small_net),
                "metric": Metric(np.diag([1.0, 2.0, 1.0])),
                "n_samples": Count(1, 1),
                "rng": Rng(0),
                "n_starts": Count(1, 1),
                "training": Flag(False),
                "targets": Called(None),
                "confidence": Probability(0.95),
                "n_threads": Threads(),
                "time_budget": Positive(None),
                "progress": Called(None),
            },
        ),
        "voronoi_boundary": Case(
            lambda **a: pc.voronoi_boundary(**a),
            {
                "model": Kind(lambda: pc.Parametrisation(pc.MonomialBasis(1, 3), [[0, 0, -1, 0], [0, 0, 0, 1]])),
                "t0": Number(0.0),
                "t": Real([1.0, 2.0], scalars=True, any_width=True),
                "Q": OptionalReal([[1.0, 0.0], [0.0, 2.0]]),
            },
        ),
        "Share.of": Case(pc.Share.of, {"count": Count(2), "total": Count(3), "confidence": Probability(0.95)}),
        "classify": Case(
            lambda **a: repr(pc.classify(**a)),
            {
                "objective": Kind(lambda: distance().compose(net())),
                "theta": Real(THETA),
                "hits": Count(2),
                "found_by": Names(("descent", "index")),
                "best_loss": Number(None),
                "deep": Flag(False),
                "proved_global": Flag(False),
            },
        ),
        "gradient_flow": Case(
            lambda **a: pc.gradient_flow(**a).thetas,
            {
                "loss": Kind(lambda: pc.QDistance.from_data(X, Y, net().basis)),
                "net": Kind(net),
                "theta0": Real(THETA),
                "t_max": Positive(0.01),
                "tol": Positive(1e-8),
                "rtol": Positive(1e-6),
                "atol": Positive(1e-9),
                "method": Choice("auto"),
                "max_steps": Count(5, 1),
                "time_budget": Seconds(None),
                "n_threads": Threads(),
            },
        ),
        "critical_points": Case(
            few_critical_points,
            {
                "loss": Kind(lambda: pc.QDistance.from_data(X, Y, small_net().basis)),
                "net": Kind(small_net),
                "n_starts": Count(2, 1),
                "rng": Rng(0),
                "method": Choice("search"),
                "starts": OptionalReal([THETA[:3]]),
                "balanced": Flag(False),
                "tol": Positive(1e-10),
                "time_budget": Positive(None),
                "max_evaluations": Count(10, none=True),
                "n_threads": Threads(),
                "progress": Progress(None),
            },
        ),
        "AffineFamily": Case(
            lambda **a: pc.AffineFamily(**a).at(1.0, 2.0),
            {
                "target": Real([[1, 2, 3]]),
                "first": Real([[1, 0, 2]]),
                "second": Real([[0, 1, 2]]),
                "metric": OptionalMetric(np.diag([1.0, 2.0, 1.0])),
            },
        ),
        "AffineFamily.at": Case(lambda **a: plane_of_targets().at(**a), {"s": Number(1.0), "t": Number(2.0)}),
        "count_map": Case(
            lambda **a: pc.count_map(**a).counts,
            {
                "model": Kind(parabola),
                "family": Called(plane_of_targets),
                "low": Real([-1, 0]),
                "high": Real([2, 3]),
                "resolution": Count(2, 1),
                "refinements": Count(0, 0),
                "n_starts": Count(2, 1),
                "rng": Rng(0),
                "spurious": Flag(True),
                "n_threads": Threads(),
                "time_budget": Positive(None),
                "progress": Progress(None),
            },
        ),
        "CountMap.describe": Case(
            lambda **a: pc.count_map(parabola(), plane_of_targets(), resolution=1, refinements=0).describe(**a),
            {"count": Count(1)},
        ),
        "Stratum.embed": Case(lambda **a: pc.subnetworks(net())[0].embed(**a), {"theta": Numbers([1, 2, 3])}),
        "linear_independence": Case(
            lambda **a: pc.linear_independence(**a),
            {
                "polynomials": Polynomials([[1, 0], [0, 1], [1, 1], [1, -1]]),
                "activation": Activation(2),
                "basis": OptionalBasis(pc.MonomialBasis(2, 1, homogeneous=True)),
                "rng": Rng(0),
                "max_error": Probability(1e-9),
                "n_threads": Threads(),
            },
        ),
        "modular_rank": Case(
            lambda **a: pc.modular_rank(**a), {"matrix": Matrix(MATRIX), "modulus": Field(7), "n_threads": Threads()}
        ),
        "modular_kernel": Case(lambda **a: pc.modular_kernel(**a), {"matrix": Matrix(MATRIX), "modulus": Field(7)}),
        "dimension": Case(lambda **a: pc.dimension(**a), {"net": Kind(net), **ranks}),
        "Network.recover": Case(
            lambda **a: dataclasses.astuple(net().recover(**a)),
            {
                "coef": Real([[1, 2, 2]], objects_too=True),
                "rng": Rng(0),
                "tol": Probability(1e-8),
                "n_starts": Count(4, none=True),
                "max_steps": Count(5, 1),
            },
        ),
        "identifiability": Case(
            lambda **a: pc.identifiability(**a), {"net": Kind(net), **ranks, "method": Choice("auto")}
        ),
        "activation_threshold": Case(lambda **a: pc.activation_threshold(**a), {"widths": Widths((3, 3, 3)), **ranks}),
        "sweep": Case(
            small_sweep,
            {
                "architectures": ArchitectureList([((2, 2, 1), 2), ((2, 3, 1), 2)]),
                "out": TablePath("x.csv"),
                "seed": Rng(0),
                "primes": Count(2, 1),
                "max_error": Probability(1e-9),
                "timeout": Seconds(None),
                "n_workers": Count(1),
                "progress": Progress(False),
                "resume": Flag(True),
            },
        ),
        "sweep_rows": Case(
            lambda **a: list(pc.sweep_rows(**a)),
            {
                "architectures": ArchitectureList([((2, 2, 1), 2), ((2, 3, 1), 2)]),
                "seed": Rng(0),
                "primes": Count(2, 1),
                "max_error": Probability(1e-9),
                "timeout": Seconds(None),
                "n_workers": Count(1),
                "progress": Progress(False),
            },
        ),
        "minimal_filling": Case(
            lambda **a: pc.minimal_filling(**a),
            {
                "n_inputs": Count(2, 1),
                "n_outputs": Count(1, 1),
                "depth": Count(2, 1),
                "activation": Activation(2),
                "bias": Flag(False),
                "rng": Rng(0),
                "primes": Count(2, 1),
                "max_error": Probability(1e-9),
            },
        ),
        "Network.contains": Case(
            lambda **a: (lambda m: (m.verdict, m.closure, m.seed))(net().contains(**a)),
            {"coef": Real([[1, 2, 2]], objects_too=True), "tol": Tolerance(), "rng": Rng(0)},
        ),
        "equations": Case(
            lambda **a: pc.equations(**a).coef,
            {
                "net": Kind(lambda: pc.MLP((3, 1, 1), 2)),
                "degree": Count(2, 1),
                "coordinates": Choice("span"),
                "rng": Rng(0),
                "max_error": Probability(1e-9),
            },
        ),
        **span_and_equations(),
        **polynomial_models(),
        "get_config": Case(lambda: None, {}),
        "show_config": Case(lambda file: pc.show_config(file), {"file": TextStream(io.StringIO)}),
    }
    for prefix in ("Network", "MLP"):
        found |= {f"{prefix}.{method}": case for method, case in array_methods().items()}
    found |= {f"NetworkLoss.{method}": case for method, case in loss_methods().items()}
    return found


def span_and_equations() -> dict[str, Case]:
    conic = pc.MLP((2, 1, 1), 2)
    span, found = conic.linear_span(), pc.equations(conic, 2)
    coef = Real([[1.0, 2.0, 0.0]], complex_too=True, objects_too=True)

    def floats(array: Any) -> Any:  # exact results of exact arguments are objects
        return np.asarray(array, dtype=float) if array.dtype == object else array

    return {
        "LinearSpan.coordinates": Case(lambda **a: floats(span.coordinates(**a)), {"coef": coef}),
        "LinearSpan.embed": Case(
            lambda **a: floats(span.embed(**a)),
            {"coordinates": Real([1.0, 2.0, 0.0], complex_too=True, objects_too=True)},
        ),
        "LinearSpan.contains": Case(lambda **a: span.contains(**a), {"coef": coef, "tol": Tolerance()}),
        "LinearSpan.names": Case(lambda **a: span.names(**a), {"symbols": Symbols()}),
        "Equations.__call__": Case(lambda **a: floats(found(**a)), {"coef": coef}),
        "Equations.text": Case(lambda **a: found.text(**a), {"symbols": Symbols3(), "max_terms": Count(3, none=True)}),
        "Equations.to_sympy": Case(lambda **a: str(found.to_sympy(**a)), {"symbols": Symbols3()}),
    }


class Symbols3(Symbols):
    def attacks(self) -> Iterator[Attack]:
        for label, value, verdict in super().attacks():
            if not isinstance(value, list) or len(value) != 3:
                yield label, value, verdict


class BasisIndex(Count):
    refusals = (*REFUSALS, IndexError)

    def attacks(self) -> Iterator[Attack]:
        for attack in super().attacks():
            if attack[1] is not None and attack[0] != "-1":  # -1 counts from the end
                yield attack
        for value in (6, -7, 10**9, 10**30):
            yield str(value), value, REFUSED


class Batch(Count):
    def attacks(self) -> Iterator[Attack]:
        for attack in super().attacks():
            if not isinstance(attack[1], (list, tuple)):
                yield attack
        for value in ([-1], [2.0], [None], [[2]], (True,), [10**30], (1,) * 70, {2}):
            yield repr(value)[:30], value, REFUSED
        yield "a tuple", (2,), SAME
        yield "a list", [2], SAME


class Exact(Role):
    def attacks(self) -> Iterator[Attack]:
        yield from not_numbers(np.shape(self.good()))
        floats = np.array(self.good(), dtype=float)
        for bad in (floats, floats + 0j, floats.astype(np.longdouble), floats.tolist(), np.full(floats.shape, np.nan)):
            yield repr(bad), bad, REFUSED
        yield "one more", [*self.good(), 1], REFUSED
        yield "0-d", 1, REFUSED
        for dtype in (np.int8, np.uint64, ">i8", object):
            yield str(dtype), np.array(self.good()).astype(dtype), SAME


class Bytes(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (None, "abc", 5, b"", b"abc", [1, 2], np.ones(3), object(), b"PK\x03\x04", b"\0" * 1000):
            yield repr(value)[:30], value, REFUSED
        yield "bytearray", bytearray(self.good()), SAME
        yield "memoryview", memoryview(self.good()), SAME


class OptionalFlag(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (0, 1, "no", 1.0, [True], object()):
            yield repr(value), value, REFUSED


class OnlyFactories(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (None, 5, np.eye(2), "abc"):
            yield repr(value), value, REFUSED


class PerVariable(Real):
    """A number for each variable, or one for all."""

    def attacks(self) -> Iterator[Attack]:
        for label, value, verdict in super().attacks():
            if label == "None":
                continue  # the default
            yield label, value, EITHER if label in ("0-d", "a plain number") else verdict


class Constant(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (None, "x", math.nan, math.inf, -math.inf, 1j, [1.0], True, object(), 2**53 + 1, Fraction(1, 3)):
            yield repr(value), value, REFUSED
        for dtype in (np.int8, np.float32, ">f8"):
            yield str(dtype), np.array(self._good, dtype), SAME


class ClassLabels(Role):
    def attacks(self) -> Iterator[Attack]:
        good = np.array(self.good())
        yield from not_numbers(good.shape)
        bad = (
            good + 0.5,
            good.astype(complex),
            good[:-1],
            good[:0],
            good[:, None],
            good - 1,
            0 * good,
            good + 5,
        )
        for value in (
            *bad,
            2**40 * good,
            0,
            1.0,
            [10**30] * len(good),
            good.astype(str),
            [0.5] * len(good),
        ):
            yield repr(value)[:40], value, REFUSED
        for dtype in (np.int8, np.uint64, ">i4", object, bool, float, ">f4"):
            yield str(dtype), good.astype(dtype), SAME
        yield "list", good.tolist(), SAME
        yield "strided", np.repeat(good, 2)[::2], SAME


class Function(Role):
    def attacks(self) -> Iterator[Attack]:
        bad = (
            None,
            5,
            "nonsense",
            "",
            b"relu",
            [],
            object(),
            lambda: 0,
            lambda x, y: x,
            lambda x: None,
            lambda x: "abc",
        )
        shapes = (
            lambda x: x[:1],
            lambda x: 1j * x,
            lambda x: np.full_like(x, np.inf),
            lambda x: [1.0, [2.0]],
            lambda x: x.astype(object),
        )
        for value in (*bad, *shapes):
            yield repr(value)[:40], value, REFUSED


class TextStream(Role):
    def attacks(self) -> Iterator[Attack]:
        for value in (5, "abc", [], object()):
            yield repr(value), value, REFUSED


CASES = cases()


# -- the verdicts -----------------------------------------------------------------------------------------------------


def equal(a: Any, b: Any) -> bool:
    """Equal in type and bits."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        same = np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype
        return same and (
            np.array_equal(a, b)
            if np.asarray(a).dtype.kind == "O"
            else np.asarray(a).tobytes() == np.asarray(b).tobytes()
        )
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, float):
        return a == b or (a != a and b != b)
    return type(a) is type(b) and bool(a == b)


def all_finite(result: Any) -> bool:
    if isinstance(result, (list, tuple)):
        return all(map(all_finite, result))
    if isinstance(result, (np.ndarray, float)) and np.asarray(result).dtype.kind in "fc":
        return bool(np.isfinite(result).all())
    return True


def attempt(case: Case, arguments: dict[str, Any], role: Role, name: str) -> tuple[bool, Any]:
    """(True, result) or (False, exception); anything but a result or a clear refusal fails."""
    try:
        return True, case.call(**arguments)
    except role.refusals as error:
        word = (case.words or {}).get(name, name)
        message = str(error)
        assert "incompatible" not in message, message
        assert "C++" not in message, message
        if isinstance(error, pc.NumericalError) or (isinstance(error, OSError) and error.errno):
            return False, error  # an overflow of the result; or the system's own words, with the file's name
        named = re.search(rf"`[^`]*\b({word})\b", message) or (word != name and re.search(word, message))
        assert named, f"the message does not name `{name}`: {message}"
        return False, error


def check(case: Case, name: str, label: str, value: Any, verdict: str, expected: Callable[[], Any]) -> None:
    """Attack one argument; ``expected`` is the result for good ones."""
    role = case.roles[name]
    worked, result = attempt(case, {**case.good(), name: value}, role, name)
    if verdict == REFUSED:
        assert not worked, f"{label}: accepted, with the result {result!r}"
    elif verdict == SAME:
        assert worked, f"{label}: refused: {result!r}"
        assert equal(result, expected()), f"{label}: another result"
    elif worked:
        clean = case.call(**{**case.good(), name: role.clean(value)})
        assert equal(result, clean), f"{label}: another result than from a clean copy"
    if worked and not isinstance(role, Numbers):
        assert all_finite(result), label


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


SLOTS = [(function, name) for function, case in CASES.items() for name in case.roles]


@pytest.mark.parametrize(("function", "name"), SLOTS, ids=[f"{f}-{n}" for f, n in SLOTS])
def test_hostile_arguments(on_backend: str, function: str, name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    case = CASES[function]
    problems = []
    expected = cache(lambda: case.call(**case.good()))
    for label, value, verdict in case.roles[name].attacks():
        before = value.copy() if isinstance(value, np.ndarray) and isinstance(case.roles[name], Out) else None
        try:
            check(case, name, label, value, verdict, expected)
            if before is not None and verdict == REFUSED:
                assert equal(np.asarray(before), np.asarray(value)), "an output that was refused has been written to"
        except Exception as problem:
            problems.append(f"{label}: {type(problem).__name__}: {problem}"[:400])
    assert not problems, "\n" + "\n".join(problems)


def public_callables() -> dict[str, Any]:
    """Everything in ``polycore.__all__`` that takes arguments, methods included."""
    found: dict[str, Any] = {}
    for name in pc.__all__:
        thing = getattr(pc, name)
        if not callable(thing) or (isinstance(thing, type) and issubclass(thing, BaseException)):
            continue
        found[name] = thing
        if isinstance(thing, type):
            owners = [c for c in thing.__mro__ if c.__module__.startswith("polycore")]
            for method in {m for c in owners for m in vars(c) if not m.startswith("_") or m == "__call__"}:
                inherited = any(
                    c is not thing and getattr(pc, c.__name__, None) is c and hasattr(c, method) for c in owners
                )
                if callable(getattr(thing, method)) and not inherited:  # else it is attacked as one of that class
                    found[f"{name}.{method}"] = getattr(thing, method)
    return {
        name: thing
        for name, thing in found.items()
        if [p for p in inspect.signature(thing).parameters.values() if p.name not in ("self", "args", "kwargs")]
    }


# Results, made by functions of this table and not by hand; and the report's own methods, attacked below.
RESULTS = {"ActivationThreshold", "DimensionResult", "Identifiability"}
RESULTS |= {"Architectures", "Decrement", "FillingWidths", "MinimalFilling", "SweepResult"}
RESULTS |= {f"CoefficientLoss.{name}" for name in ("value", "gradient", "hessian_product")}
RESULTS |= {"Part", "Part.choice", "Part.includes", "Stratum", "Stratum.includes", "Subnetworks"}
RESULTS |= {"AttentionRanks", "FilterEnds", "Hypothesis", "PointAnalysis", "RedundantUnit"}
RESULTS |= {"IndependenceBound", "JacobianRank", "LinearIndependence"}
RESULTS |= {"Equations", "LinearSpan", "Membership"}
RESULTS |= {"Completeness", "CountCell", "CountMap", "CriticalPoint", "CriticalPoints", "Inertia", "Origin"}
RESULTS |= {"Bias", "BiasRow", "ClosestPoints", "Conservation", "GradientFlow", "Passage", "Share"}
RESULTS |= {"Alignment", "ConservedQuantity", "Symmetry", "SymmetryFactor"}
RESULTS |= {"PolynomialActivation", "Recovery", "Report", "Report.model", "Report.save"}


def test_every_public_callable_is_attacked() -> None:
    callables = public_callables()
    assert callables.keys() - CASES.keys() == RESULTS
    for name, case in CASES.items():
        if name not in callables:
            continue
        parameters = inspect.signature(callables[name]).parameters
        optional = {"self", "arrays", "more"}
        if name == "report":  # files: test_cli.py
            optional |= {"data", "out"}
        if name == "QDistance":
            optional |= {"basis", "n_outputs", "n_monomials", "origin"}
        if name == "CrossEntropy":
            optional |= {"samples", "labels", "n_classes", "reference", "n_threads"}
        assert parameters.keys() - optional <= case.roles.keys(), name


def test_methods_of_a_report(a_report: pc.Report, tmp_path: Path) -> None:
    for key in (None, 5, "nonsense", ["network"]):
        with pytest.raises((KeyError, TypeError, ValueError)):
            a_report.model(key)
    (tmp_path / "file").write_text("")
    for out in (None, 5, tmp_path / "file", tmp_path / "file" / "below", "a\0b"):
        with pytest.raises((TypeError, ValueError, OSError)):
            a_report.save(out)


@pytest.mark.parametrize("argument", ["x", "y"])
def test_data_of_a_report(argument: str) -> None:
    good = REPORT[argument]
    bad = [
        None,
        "abc",
        {},
        [[1.0], [2.0, 3.0]],
        good[:3],
        good[:0],
        good + 1j,
        good.astype(object),
        np.full(good.shape, np.nan),
    ]
    for value in (*bad, np.full(good.shape, np.inf), good[None], np.zeros((8, 5)), np.array(1.0), np.ones(good.shape)):
        with pytest.raises((TypeError, ValueError)):
            pc.report(**{**REPORT, argument: value})


# -- outputs that overlap ---------------------------------------------------------------------------------------------


def test_outputs_must_not_overlap_inputs(on_backend: str) -> None:
    room = np.arange(1.0, 101.0)
    n = net()
    p = pc.MonomialBasis(2, 1)
    calls: list[Callable[[], Any]] = [
        lambda: n.expand(room[:6], out=room[4:7].reshape(1, 3)),
        lambda: n.jacobian(room[:6], out=room[:18].reshape(3, 6)),
        lambda: n.jvp(room[:6], room[10:16], out=room[15:18].reshape(1, 3)),
        lambda: n.vjp(room[:6], room[10:13].reshape(1, 3), out=room[:6]),
        lambda: n.vjp(room[:6], room[10:13].reshape(1, 3), out=room[12:18]),
        lambda: n.evaluate(room[:6], room[10:14].reshape(2, 2), out=room[13:15].reshape(2, 1)),
        lambda: pc.veronese(room[:4].reshape(2, 2), 1, out=room[3:9].reshape(2, 3)),
        lambda: pc.graded_product(room[:3], p, room[10:13], p, out=room[12:18]),
        lambda: pc.correlation(room[:6], basis(), room[10:13], p, out=room[5:8]),
    ]
    for call in calls:
        before = room.copy()
        with pytest.raises(ValueError, match="`out` must not overlap"):
            call()
        np.testing.assert_array_equal(room, before)


# -- files and command lines ------------------------------------------------------------------------------------------

SWEEP = [((2, 2, 1), 2), ((2, 3, 1), 2), ((2, 2, 2, 1), 10**3)]


@pytest.mark.parametrize(
    ("pattern", "edited"),
    [
        (",ok\n", ",OK\n"),
        (",ok\n", ",\n"),
        (",ok\n", ",timeout\n"),
        (",ok\n", ",error: none\n"),
        (",3,3,3,0,", ",3,3,,0,"),
        (",ok\n", "\n"),
        (",ok\n", ",ok,ok\n"),
        ("2-2-1,2,false", "2-2-1,3,false"),
        ("2-2-1,2,false", '"2-2-1,2,false'),
        (",0,ok", ",1,ok"),
        ("widths,", "width,"),
    ],
)
def test_a_sweep_refuses_an_edited_file(tmp_path: Path, pattern: str, edited: str) -> None:
    out = tmp_path / "x.csv"
    pc.sweep(SWEEP, out, n_workers=1)
    whole = out.read_text()
    assert pattern in whole
    out.write_text(whole.replace(pattern, edited, 1))
    before = out.read_bytes()
    with pytest.raises(ValueError, match=r"x\.csv .*(damaged|not the file|another list|made with)"):
        pc.sweep(SWEEP, out, n_workers=1)
    assert out.read_bytes() == before
    out.write_text(whole)
    assert pc.sweep(SWEEP, out, n_workers=1).n_written == 0
    assert out.read_text() == whole


@pytest.mark.parametrize(
    "text", ["generic:2@", "generic:2@x", "generic:2@-1", "tanh:3@1", "generic:@1", "generic:2@1@"]
)
def test_numbers_of_generic_activations(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dim", "2,2,1", "--activation", text]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_depth_beyond_all_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill", "--inputs", "2", "--outputs", "1", "--depth", str(10**15)]) == 2
    assert "--depth" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_encoding_of_the_output(encoding: str) -> None:
    """Minus signs and dashes of reasons are not in every one."""
    command = [sys.executable, "-m", "polycore", "dim", "2,3,3,1", "--activation", "3"]
    child = subprocess.run(command, capture_output=True, timeout=300, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert child.returncode == 0, child.stderr
    assert "18 parameters − 6 scalings" in child.stdout.decode(encoding).replace(" - ", " − ")


# -- requests too large -----------------------------------------------------------------------------------------------

ABSURD = """
    import resource, tracemalloc
    import numpy as np
    import polycore as pc

    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))  # a mistake must not take the machine down
    B, M = pc.MonomialBasis, pc.Moments
    wide, deep, vast = pc.MLP((784, 10, 10), 9), pc.MLP((20, 20, 20, 1), 10), pc.MLP((10**9, 10**9, 10**9), 3)
    theta = {net: np.zeros(net.n_params) for net in (wide, deep)}
    x = np.ones((2, 784))
    large = pc.MLP((400, 1, 1), 2).support
    requests = {
        "784 variables, degree 9": lambda: pc.veronese(x, 9),
        "no rows, 784 variables": lambda: pc.veronese(x[:0], 900),
        "degree 10^9": lambda: pc.veronese(x[:, :2], 10**9),
        "degree 10^30": lambda: pc.veronese(x[:, :2], 10**30),
        "degree 10^5000": lambda: pc.veronese(x[:, :2], 10**5000),
        "forms of degree 10^9": lambda: pc.veronese(x[:, :1], 10**9, homogeneous=True),
        "forms of degree 10^5": lambda: pc.veronese(x[:, :2], 10**5, homogeneous=True),
        "forms of degree 10^30": lambda: pc.veronese(x[:, :1], 10**30, homogeneous=True),
        "moments": lambda: M(784, 18),
        "moments of degree 10^9": lambda: M(5, 10**9),
        "moments of degree 10^30": lambda: M(5, 10**30),
        "10^9 targets": lambda: M(5, 2, n_targets=10**9),
        "10^9 variables": lambda: M(10**9, 2),
        "2^31 variables": lambda: M(2**31, 0),
        "10^30 variables": lambda: M(10**30, 0),
        "10^5 variables, degree 10^5": lambda: M(10**5, 10**5),
        "forms of one variable": lambda: M(1, 10**12, homogeneous=True),
        "dense Gram matrix": lambda: pc.gram_matrix(np.ones(3), B(20, 10)),
        "dense Gram matrix of a huge basis": lambda: pc.gram_matrix(np.ones(3), B(10**5, 10**5)),
        "operator of a huge basis": lambda: pc.gram_operator(np.ones(3), B(10**4, 10**4)),
        "operator on one form": lambda: pc.gram_operator([1.0], B(1, 2**31, True)),
        "operator on 10^9 variables": lambda: pc.gram_operator([1.0], B(10**9, 0)),
        "product": lambda: pc.graded_product(np.ones(10**6 + 1), B(10**6, 1), np.ones(10**6 + 1), B(10**6, 1)),
        "product of single forms": lambda: pc.graded_product([1.0], B(1, 10**30, True), [1.0], B(1, 1, True)),
        "table of exponents": lambda: B(784, 9).exponents,
        "list of names": lambda: B(50, 50).names(),
        "coefficients": lambda: wide.expand(theta[wide]),
        "Jacobian": lambda: deep.jacobian(theta[deep]),
        "product with the Jacobian": lambda: wide.jvp(theta[wide], theta[wide]),
        "coefficients for nobody": lambda: wide.expand(np.zeros((0, wide.n_params))),
        "exact coefficients": lambda: wide.expand(theta[wide].astype(int), dtype=object),
        "coefficients in GF(7)": lambda: wide.expand(theta[wide].astype(int), modulus=7),
        "polynomial": lambda: wide.polynomial(theta[wide]),
        "parameters": lambda: vast.random_params(),
        "batch": lambda: deep.random_params(batch=10**12),
        "empty batch": lambda: deep.random_params(batch=(0, 2**62)),
        "axes of a batch": lambda: deep.random_params(batch=(1,) * 70),
        "loss": lambda: pc.QDistance.from_data(x, np.ones((2, 1)), B(784, 9)),
        "dense loss": lambda: pc.QDistance.from_data(x, np.ones((2, 1)), B(784, 3), dense=True),
        "loss of a huge basis": lambda: pc.QDistance.from_data(x[:, :1], np.ones((2, 1)), B(1, 10**5000), dense=True),
        "loss on a support": lambda: pc.QDistance.from_data(x[:, :400], np.ones((2, 1)), large),
        "Gram matrix on a support": lambda: pc.gram_matrix(np.ones(3), large),
        "report": lambda: pc.report(x, np.ones((2, 1)), widths=(784, 10, 1), activation=9),
        "widths": lambda: pc.MLP((10**30, 1), None),
        "activation": lambda: pc.MLP((2, 2, 1), 10**9),
        "exponents of one monomial": lambda: B(10**15, 2).exponent(0),
        "dimension": lambda: pc.dimension(vast),
        "dimension of a wide layer": lambda: pc.dimension(pc.MLP((2, 35_000_000, 1), 2)),
        "dimension of a high degree": lambda: pc.dimension(pc.MLP((2,) * 12, 100)),
        "identifiability by rank": lambda: pc.identifiability(pc.MLP((200,) * 6, 2), method="rank"),
        "rank at a point": lambda: pc.jacobian_rank(deep, np.ones(deep.n_params, dtype=int), exact=True),
        "filling networks": lambda: pc.minimal_filling(50, 1, 4, 5),
        "filling networks of depth 60000": lambda: pc.minimal_filling(2, 1, 60_000),
        "filling networks of 10^9 outputs": lambda: pc.minimal_filling(2, 10**9, 3),
        "polynomials of degree 10^30": lambda: pc.linear_independence([{(10**30,): 1}], 2),
        "polynomials of degree 10^12": lambda: pc.linear_independence([{(10**12,): 1}], 2),
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, request in requests.items():
        try:
            result = request()
        except (OverflowError, MemoryError, ValueError) as refusal:
            error, message = refusal, str(refusal)
        else:
            raise SystemExit(f"{name}: not refused: {result!r}"[:200])
        sized = ("GiB", "bits", "2^31", "<=", "at most", "handles up to", "64-bit", "about 10^")
        assert any(word in message for word in sized), (name, message)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
        assert grown < 100_000, (name, grown)  # KiB
    print("refused", len(requests))
"""


def run_child(program: str, backend: str = "auto", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "POLYCORE_BACKEND": backend, **environment},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
@pytest.mark.parametrize("name", BACKENDS)
def test_requests_too_large_fail_at_once_without_allocating(name: str) -> None:
    child = run_child(ABSURD, name)
    assert child.returncode == 0, child.stdout[-500:] + child.stderr[-2000:]
    assert child.stdout.startswith("refused")


def test_wide_and_high_requests_that_fit_are_answered(on_backend: str) -> None:
    """Many variables at low degree, and high degrees of few, are unusual, not wrong."""
    n = 1500 if on_backend == "cpp" else 100
    moments = np.arange(1.0, pc.count_monomials(n, 2) + 1)
    line, c = pc.MonomialBasis(n, 1), np.arange(float(n + 1))
    dense = pc.gram_matrix(moments, line)
    np.testing.assert_array_equal(dense[0], moments[: n + 1])
    np.testing.assert_allclose(pc.gram_operator(moments, line) @ c, dense @ c, rtol=1e-12)
    product = pc.graded_product(c, line, [2.0], pc.MonomialBasis(n, 0))
    np.testing.assert_array_equal(product, 2 * c)
    m = pc.Moments(300, 2)
    m.update(np.eye(300))
    np.testing.assert_array_equal(m.gram(pc.MonomialBasis(300, 1))[1:, 1:], np.eye(300))
    high = pc.MonomialBasis(1, 3000)
    assert pc.veronese([[1.0]], high).sum() == 3001


# -- the compiled core, called directly -------------------------------------------------------------------------------

FUZZ = Path(__file__).with_name("fuzz_core.py")


@pytest.mark.skipif("cpp" not in BACKENDS or sys.platform == "win32", reason="needs the compiled core and POSIX limits")
@pytest.mark.parametrize("first", [0, 10_000])
def test_the_core_survives_nonsense(first: int) -> None:
    """Random calls of ``_core`` that bypass validation: an exception or a result, never a crash."""
    child = subprocess.run([sys.executable, str(FUZZ), str(first), "1500"], capture_output=True, text=True, timeout=300)
    assert child.returncode == 0, child.stdout[-1000:] + child.stderr[-3000:]


def test_messages_for_people(on_backend: str) -> None:
    """Argument, what was expected with symbols, what came."""
    wanted: Sequence[tuple[Callable[[], Any], str]] = [
        (lambda: net().expand([1.0, 2.0]), r"`theta` must have shape \(\.\.\., n_params=6\), got \(2,\)"),
        (lambda: net().evaluate(THETA, [1.0, 2.0]), r"`X` must have shape \(n_samples, n_inputs=2\), got \(2,\)"),
        (lambda: pc.veronese(X + 1j, 2), "`X` must be real, got dtype complex128"),
        (lambda: pc.MLP((2, 0, 1), 2), r"`widths\[1\]` must be an integer with 1 <= widths\[1\] <= \d+, got 0"),
        (lambda: pc.Moments(2, -1), "`degree` must be an integer with 0 <= degree, got -1"),
        (lambda: pc.MonomialBasis(10**5, 10**5).evaluate([1.0], X), r"`coef`.*n_monomials=about 10\^60203"),
    ]
    for call, message in wanted:
        with pytest.raises((TypeError, ValueError), match=message):
            call()
