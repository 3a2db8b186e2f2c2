# SPDX-License-Identifier: BSD-3-Clause
"""Run benchmarks side by side with their peers and print a table: ``python bench/run.py [NAME ...] [--json FILE]``."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import BENCHMARKS, Benchmark, Session

MODULES = (
    "bench_veronese",
    "bench_moments",
    "bench_expand",
    "bench_expand_families",
    "bench_loss",
    "bench_gram",
    "bench_evaluate",
    "bench_families",
    "bench_rank",
    "bench_dimension",
    "bench_critical",
    "bench_paths",
)

# Every library's thread count, set before it is imported.
THREAD_VARIABLES = (
    "POLYCORE_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
JAX_VARIABLES = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def main(arguments: list[str] | None = None) -> int:
    for module in MODULES:
        importlib.import_module(module)
    options = parse(arguments)
    if options.worker:
        return work(BENCHMARKS[options.names[0]], options.worker, options.repeats, options.tiny)
    if options.list:
        for name, bench in BENCHMARKS.items():
            print(f"{name:<24} {bench.title}")
        return 0
    rows, failed = [], []
    environment = describe()
    print(f"{environment['cpu']}, {environment['n_cpus']} CPUs, polycore {environment['polycore']['version']}", end="")
    print(f" ({environment['polycore']['backend']}, {environment['polycore']['isa']})", flush=True)
    load = environment["load_at_start"][0]
    if load > 0.5:
        print(f"The machine is busy (load {load:.1f}): all numbers suffer, those of two threads most.")
    for name in options.names or BENCHMARKS:
        bench = BENCHMARKS[name]
        for n_threads in bench.n_threads:
            if bench.missing:
                print(f"\n{name}: skipped, needs {', '.join(bench.missing)} (pip install polycore[bench])")
                continue
            print(f"\n{name}, {n_threads} thread{'s' * (n_threads > 1)}: {bench.title}\n{HEADER}", flush=True)
            for row in start(bench, n_threads, options):
                if row is None:
                    failed.append(name)
                    continue
                print(format_row(row), flush=True)
                rows.append({"benchmark": name, **row})
    environment["load_at_end"] = load_average()
    if options.json:
        Path(options.json).write_text(json.dumps({"environment": environment, "rows": rows}, indent=1) + "\n")
    missed = [row for row in rows if row["met"] is False]
    held = sum(row["met"] is True for row in rows)
    print(f"\n{held} bars met, {len(missed)} missed" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed or (options.strict and missed) else 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run.py", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run; all by default")
    parser.add_argument("--json", metavar="FILE", help="write the results here")
    parser.add_argument("--list", action="store_true", help="list the benchmarks")
    parser.add_argument("--repeats", type=int, default=7, help="measurements, of which the median counts (default 7)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a bar is missed")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes: does everything run? The numbers mean nothing")
    parser.add_argument("--worker", type=int, default=0, help=argparse.SUPPRESS)  # number of threads of a child
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    return options


# -- child processes --------------------------------------------------------------------------------------------------


def start(bench: Benchmark, n_threads: int, options: argparse.Namespace) -> Iterator[dict[str, Any] | None]:
    """Run a benchmark in a child with that many threads and CPUs; its rows as they come, None if it fails."""
    threads = dict.fromkeys(THREAD_VARIABLES, str(n_threads))
    command = [sys.executable, __file__, bench.name, "--worker", str(n_threads), "--repeats", str(options.repeats)]
    command += ["--tiny"] * options.tiny
    with restricted_to(n_threads):
        child = subprocess.Popen(
            command,
            env={**os.environ, **threads, **JAX_VARIABLES, **bench.environment},
            stdout=subprocess.PIPE,
            text=True,
        )
    assert child.stdout is not None
    yield from map(json.loads, child.stdout)
    if child.wait():
        yield None


@contextlib.contextmanager
def restricted_to(n_cpus: int) -> Iterator[None]:
    """Run on so many CPUs, where the system allows to say so: XLA has no other way to limit all its threads."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[-n_cpus:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def work(bench: Benchmark, n_threads: int, repeats: int, tiny: bool) -> int:
    """Run one benchmark here and write each row as a line of JSON; whatever else is printed goes to stderr."""
    rows, sys.stdout = sys.stdout, sys.stderr
    check_threads(n_threads)
    for row in bench.function(Session(n_threads, repeats, tiny)):
        print(json.dumps(row.to_json()), file=rows, flush=True)
    return 0


def check_threads(n_threads: int) -> None:
    """Make sure that every BLAS that is loaded uses this number of threads."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return
    too_many = [pool for pool in threadpool_info() if pool["num_threads"] > n_threads]
    if too_many:
        raise AssertionError(f"a library uses more than {n_threads} threads: {too_many}")


# -- printing ---------------------------------------------------------------------------------------------------------

HEADER = (
    f"{'size':<40} {'peer':<46} {'ours':>9} {'peer':>9} {'ratio':>8} {'bar':>5} {'ceiling':>8}  "
    f"{'of the limit':<20} {'bar':>4}  met"
)


def format_row(row: dict[str, Any]) -> str:
    bars = dict(row["bars"])
    ratio, fraction = bars.pop("ratio", None), bars.pop("fraction", None)
    cells = [
        f"{row['size']:<40} {row['peer']:<46}",
        f"{format_seconds(row['ours_s']):>9} {format_seconds(row['peer_s']):>9}",
        f"{'' if ratio is None else format(ratio['value'], '.3g') + 'x':>8}",
        f"{'' if ratio is None or ratio['bar'] is None else format(ratio['bar'], 'g'):>5}",
        f"{'' if row['ceiling'] is None else format(row['ceiling'], '.3g') + 'x':>8} ",
        f"{'' if fraction is None else format(fraction['value'], '.0%') + ' of ' + row['limit']:<20}",
        f"{'' if fraction is None or fraction['bar'] is None else format(fraction['bar'], '.0%'):>4} ",
        {True: "yes", False: "NO", None: "-"}[row["met"]],
    ]
    for name, bar in bars.items():
        sign = "<=" if bar["at_most"] else ">="
        cells.append(f" {name} {bar['value']:.4g}" + ("" if bar["bar"] is None else f" ({sign} {bar['bar']:g})"))
    return " ".join(cells)


def format_seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def describe() -> dict[str, Any]:
    """Where this runs: machine, versions, load."""
    import numpy as np

    import polycore as pc

    config = pc.get_config()
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "cpu": cpu_name(),
        "n_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "peers": {name: version(name) for name in ("scikit-learn", "python-flint", "jax", "jaxlib")},
        "polycore": {key: config[key] for key in ("version", "backend", "isa")},
        "load_at_start": load_average(),
    }


def load_average() -> tuple[float, float, float]:
    """Of the last 1, 5 and 15 minutes; zeros where the system does not tell."""
    return os.getloadavg() if hasattr(os, "getloadavg") else (0.0, 0.0, 0.0)


def cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
