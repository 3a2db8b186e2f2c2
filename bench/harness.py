# SPDX-License-Identifier: BSD-3-Clause
"""Side-by-side timing: our call, the peer's call and the machine's limit, in turn, in one process.

A benchmark is a generator function decorated with `benchmark`; it gets a `Session`, calls `Session.compare` once per
size and yields the rows. `run.py` starts each benchmark in a child process whose threads are limited before anything
is imported, so that both sides have the same number of them.
"""

from __future__ import annotations

import copy
import gc
import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
Call = Callable[[], Any]

# One measurement lasts at least this long; shorter calls are repeated within it.
SHORTEST = 0.02
# Pause before each with several threads: those of OpenBLAS spin on after a call, on cores that the next one needs.
SETTLE = 0.2
# The two sides must agree to this, relative to the largest number of the result.
AGREEMENT = 1e-6


# -- the machine's limits ---------------------------------------------------------------------------------------------


class Limit:
    """Something the machine does at full speed: ``run()`` does ``work`` units of it."""

    name: str
    unit: str
    work: float

    def run(self) -> None:
        raise NotImplementedError


class Copy(Limit):
    """Copying memory. Its unit is a byte *written*: half of what is read and written."""

    name, unit = "memory copy", "byte written"

    def __init__(self, n_bytes: int) -> None:
        self._source, self._target = np.ones(n_bytes // 8), np.ones(n_bytes // 8)
        self.work = self._source.nbytes

    def run(self) -> None:
        np.copyto(self._target, self._source)


class FreshFill(Limit):
    """Filling a new array with a constant: what the operating system takes for new memory, and one store each."""

    name, unit = "fresh fill", "byte written"

    def __init__(self, n_bytes: int) -> None:
        self._shape, self.work = n_bytes // 8, n_bytes

    def run(self) -> None:
        np.full(self._shape, 1.0)


class Dgemm(Limit):
    """The matrix product of numpy's BLAS; its unit is one multiply-add."""

    name, unit = "dgemm", "multiply-add"

    def __init__(self, n: int) -> None:
        self._a, self._b, self._c = np.ones((n, n)), np.ones((n, n)), np.empty((n, n))
        self.work = n**3

    def run(self) -> None:
        np.matmul(self._a, self._b, out=self._c)


# -- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """A number to reach: at least ``bar``, or at most if ``at_most``."""

    value: float
    bar: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar


@dataclass
class Row:
    """One line of the table. Times are medians in seconds, of one item (a call, or one network of a batch)."""

    size: str
    ours_s: float
    peer: str = ""
    peer_s: float | None = None
    n_threads: int = 1
    bars: dict[str, Bar] = field(default_factory=dict)  # "ratio", "fraction", and whatever else has a bar
    limit: str = ""
    limit_rate: float | None = None  # units per second, measured in turn with the two calls
    ceiling: float | None = None  # the ratio if we ran exactly at the limit
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether all bars are met; None if there are none."""
        verdicts = [bar.met for bar in self.bars.values() if bar.met is not None]
        return all(verdicts) if verdicts else None

    def to_json(self) -> dict[str, Any]:
        bars = {
            name: {"value": bar.value, "bar": bar.bar, "at_most": bar.at_most, "met": bar.met}
            for name, bar in self.bars.items()
        }
        return {**vars(self), "bars": bars, "met": self.met}


# -- measuring --------------------------------------------------------------------------------------------------------


class Session:
    """What a benchmark is given: how large and how often to measure, and the way to do it."""

    def __init__(self, n_threads: int, repeats: int, tiny: bool) -> None:
        self.n_threads, self.repeats, self.tiny = n_threads, repeats, tiny
        self._shortest = 0.0 if tiny else SHORTEST
        self._limits: dict[type[Limit], Limit] = {}

    def choose(self, full: T, tiny: T) -> T:
        """``full``, or ``tiny`` in a smoke test."""
        return tiny if self.tiny else full

    def memory_copy(self) -> Limit:
        return self._limit(Copy, self.choose(2**28, 2**16))

    def fresh_fill(self) -> Limit:
        return self._limit(FreshFill, self.choose(2**28, 2**16))

    def dgemm(self) -> Limit:
        return self._limit(Dgemm, self.choose(1024, 16))

    def _limit(self, kind: Callable[[int], Limit], size: int) -> Limit:
        if kind not in self._limits:
            self._limits[kind] = kind(size)  # type: ignore[index]
        return self._limits[kind]  # type: ignore[index]

    def compare(
        self,
        size: str,
        ours: Call,
        peer: Call | None = None,
        peer_name: str = "",
        *,
        bar: float | None = None,
        our_items: int = 1,
        peer_items: int = 1,
        work: float = 0.0,
        limit: Limit | None = None,
        fraction_bar: float | None = None,
        agree: Callable[[Any, Any], float] | None = None,
        details: dict[str, Any] | None = None,
    ) -> Row:
        """Time ``ours`` and ``peer`` in turn, and the limit with them.

        Parameters
        ----------
        size : str
            What to print for the size.
        ours, peer : callable
            Without arguments; what they return is compared once (see ``agree``) and dropped.
        bar : float, optional
            How many times as fast as the peer we have to be.
        our_items, peer_items : int
            Number of items a call treats; times and work are given for one.
        work : float
            Units of the limit that one item of ours needs, counted by hand.
        limit : Limit, optional
            What to measure ours against.
        fraction_bar : float, optional
            The part of the limit to reach.
        agree : callable, optional
            Relative difference of the two results; by default the largest one, relative to the largest entry.
        """
        if peer is not None:
            # A copy, in case both write to the same array.
            difference = (agree or relative_difference)(copy.deepcopy(ours()), peer())
            if not difference <= AGREEMENT:
                raise AssertionError(f"the two sides differ by {difference:.2g} at {size}, against {peer_name}")
        calls = [ours, *([] if peer is None else [peer]), *([] if limit is None else [limit.run])]
        times = in_turn(calls, self.repeats, self._shortest, SETTLE if self.n_threads > 1 and not self.tiny else 0.0)
        row = Row(size, times[0] / our_items, peer_name, n_threads=self.n_threads, details=details or {})
        if peer is not None:
            row.peer_s = times[1] / peer_items
            row.bars["ratio"] = Bar(row.peer_s / row.ours_s, bar)
        if limit is not None:
            row.limit, row.limit_rate = limit.name, limit.work / times[-1]
            row.bars["fraction"] = Bar(work / row.ours_s / row.limit_rate, fraction_bar)
            row.details["work"] = f"{work:.6g} x {limit.unit}"
            if row.peer_s is not None:
                row.ceiling = row.peer_s * row.limit_rate / work
        return row

    def fastest(self, candidates: dict[str, Call], reference: Any) -> tuple[str, dict[str, str]]:
        """The fastest right one of several ways a peer can be written.

        Returns
        -------
        name : str
        report : dict
            What became of each: its time, or why it does not count.

        Raises
        ------
        AssertionError
            If all are wrong.
        """
        times: dict[str, float] = {}
        report = {}
        for name, call in candidates.items():
            difference = relative_difference(reference, call())
            if not difference <= AGREEMENT:
                report[name] = f"wrong by {difference:.2g}"
                continue
            times[name] = _seconds(call, 1)
            if times[name] < 2 * min(times.values()):
                times[name] = in_turn([call], 3, 0.0)[0]
            report[name] = f"{times[name]:.4g} s"
        if not times:
            raise AssertionError(f"no way to write the peer is right: {report}")
        return min(times, key=lambda name: times[name]), report


def in_turn(calls: Sequence[Call], repeats: int, shortest: float, settle: float = 0.0) -> list[float]:
    """Median seconds per call of each, measured in turn: one, the next, ..., one, the next, ..."""
    loops = [_loops(call, shortest) for call in calls]
    samples: list[list[float]] = [[] for _ in calls]
    gc.collect()
    gc.disable()
    try:
        for repeat in range(repeats):
            order = range(len(calls)) if repeat % 2 == 0 else reversed(range(len(calls)))
            for i in order:
                time.sleep(settle)
                samples[i].append(_seconds(calls[i], loops[i]))
    finally:
        gc.enable()
    return [statistics.median(s) for s in samples]


def _loops(call: Call, shortest: float) -> int:
    """How often to call within one measurement; the first calls also warm up."""
    call()
    loops = 1
    while (seconds := _seconds(call, loops) * loops) < shortest:
        loops = max(loops + 1, math.ceil(loops * min(10.0, 1.2 * shortest / max(seconds, 1e-9))))
    return loops


def _seconds(call: Call, loops: int) -> float:
    start = time.perf_counter()
    for _ in range(loops):
        call()
    return (time.perf_counter() - start) / loops


def relative_difference(a: Any, b: Any) -> float:
    """Largest difference of two results (arrays, or tuples of them), relative to the largest entry of the second."""
    if isinstance(a, tuple):
        return max(relative_difference(x, y) for x, y in zip(a, b, strict=True))
    x, y = np.asarray(a), np.asarray(b)
    if x.shape != y.shape:
        raise AssertionError(f"the two sides give shapes {x.shape} and {y.shape}")
    if not x.size:
        return 0.0
    return float(np.abs(x - y).max() / max(np.abs(y).max(), 1e-300))


# -- the list of benchmarks -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Benchmark:
    name: str
    function: Callable[[Session], Iterator[Row]]
    n_threads: tuple[int, ...]
    requires: tuple[str, ...]
    environment: dict[str, str]

    @property
    def title(self) -> str:
        return (self.function.__doc__ or self.name).splitlines()[0]

    @property
    def missing(self) -> list[str]:
        """Peers that cannot be imported here."""
        return [name for name in self.requires if importlib.util.find_spec(name) is None]


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(
    n_threads: int | tuple[int, ...] = 1, requires: Sequence[str] = (), environment: dict[str, str] | None = None
) -> Callable[[Callable[[Session], Iterator[Row]]], Callable[[Session], Iterator[Row]]]:
    """Put a benchmark on the list under its function's name, to run once with each of these numbers of threads."""

    def register(function: Callable[[Session], Iterator[Row]]) -> Callable[[Session], Iterator[Row]]:
        threads = n_threads if isinstance(n_threads, tuple) else (n_threads,)
        BENCHMARKS[function.__name__] = Benchmark(
            function.__name__, function, threads, tuple(requires), environment or {}
        )
        return function

    return register
