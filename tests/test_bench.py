# SPDX-License-Identifier: BSD-3-Clause
"""Every benchmark runs at a tiny size and writes valid JSON. The numbers mean nothing here; the agreement checks do."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN = Path(__file__).resolve().parents[1] / "bench" / "run.py"

pytestmark = [
    pytest.mark.skipif(not RUN.exists(), reason="the benchmarks come with the source tree only"),
    pytest.mark.skipif(importlib.util.find_spec("polycore._core") is None, reason="benchmarks need the compiled core"),
]

# What each benchmark is measured against.
PEERS = {
    "veronese": ["sklearn"],
    "moments": ["sklearn"],
    "moments_one_variable": [],
    "moments_arithmetic": [],
    "moments_memory": [],
    "expand": ["flint"],
    "expand_single": ["flint"],
    "expand_jax": ["jax"],
    "expand_families_jax": ["jax"],
    "expand_families_forms": [],
    "call_overhead": [],
    "loss_gradient": ["jax"],
    "loss_gradient_samples": ["jax"],
    "gram_product": [],
    "evaluate": ["jax"],
    "evaluate_families": ["jax"],
    "evaluate_signals": ["torch"],
    "modular_rank": ["flint"],
    "dimension_of_many": [],
    "dimension_of_a_large_network": [],
    "stationary_starts": ["jax"],
    "stationary_steps": [],
    "stationary_threads": [],
    "isa_paths": [],
    "fallback_backends": ["numba"],
}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, RUN, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def listed() -> list[str]:
    done = run("--list")
    assert done.returncode == 0, done.stderr
    return [line.split()[0] for line in done.stdout.splitlines()]


def test_all_benchmarks_are_tested(listed):
    assert sorted(listed) == sorted(PEERS)


@pytest.mark.parametrize("name", PEERS)
def test_runs_at_a_tiny_size(name, tmp_path):
    for peer in PEERS[name]:
        pytest.importorskip(peer)
    result = tmp_path / "result.json"
    done = run(name, "--tiny", "--repeats", 1, "--json", result)
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(result.read_text(), parse_constant=pytest.fail)
    assert written["environment"]["polycore"]["backend"] == "cpp"
    assert written["rows"]
    for row in written["rows"]:
        check_row(row)
        assert row["benchmark"] == name
        assert row["size"] in done.stdout


def check_row(row: dict[str, Any]) -> None:
    """Times are positive, ratios are theirs over ours, and the verdict is that of the bars."""
    assert row["ours_s"] > 0
    if row["peer"]:
        assert math.isclose(row["bars"]["ratio"]["value"], row["peer_s"] / row["ours_s"])
    verdicts = [bar["met"] for bar in row["bars"].values() if bar["bar"] is not None]
    for bar in row["bars"].values():
        value, goal = bar["value"], bar["bar"]
        assert bar["met"] == (None if goal is None else value <= goal if bar["at_most"] else value >= goal)
    assert row["met"] == (all(verdicts) if verdicts else None)


def test_unknown_names_are_refused():
    done = run("no_such_benchmark")
    assert done.returncode == 2
    assert "no_such_benchmark" in done.stderr


def test_missing_peers_are_skipped(tmp_path):
    # A directory on the path that hides jax.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'jax' else find(name, package)\n"
    )
    done = subprocess.run(
        [sys.executable, RUN, "expand_jax", "--tiny"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert "expand_jax: skipped, needs jax" in done.stdout
