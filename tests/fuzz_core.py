# SPDX-License-Identifier: BSD-3-Clause
"""Random calls of the compiled core that bypass validation: ``python fuzz_core.py FIRST_SEED N_SEEDS``.

Every call must return or raise; a crash shows in the exit status, which is why this runs in a process of its own. Half
of the calls have arrays that fit their other arguments, or nearly, so that the kernels run too.
"""

from __future__ import annotations

import faulthandler
import math
import random
import resource
import signal
import sys
from typing import Any

import numpy as np

from polycore import NumericalError, _core

REFUSALS = (TypeError, ValueError, OverflowError, MemoryError, NumericalError, KeyError)
INTEGERS = [-(2**31), -2, -1, 0, 1, 2, 3, 4, 5, 7, 17, 100, 1000, 10**5, 10**9, 2**31 - 1, 2**31, 2**63, 10**30]
ODDITIES = [None, True, 1.5, "x"]
MODULI = [0, 0, 0, 0, 1, 2, 3, 4, 7, 2**31 - 1, 2**61 - 1, 2**61, 2**61 + 15, 2**64 - 1, 2**64, -1]
DTYPES = ["f8", "f8", "f8", "u8", "u8", "c16", "f4", "i8", ">f8", "O", "?"]


def number(r: random.Random) -> Any:
    if r.random() < 0.6:
        return r.choice([0, 1, 1, 2, 2, 3, 4])
    return r.choice(INTEGERS if r.random() < 0.9 else ODDITIES)


def n_forms(d: Any, degree: Any) -> int:
    """The right number of coefficients if it is small, else any."""
    if not (isinstance(d, int) and isinstance(degree, int) and d > 0 and degree >= 0 and min(d, degree) < 30):
        return 1
    return min(math.comb(d - 1 + degree, degree), 5000)


def array(r: random.Random) -> Any:
    """Any array, or something else."""
    if r.random() < 0.03:
        return r.choice([None, [1.0], "x", 5])
    shape = tuple(r.choice([0, 1, 1, 2, 3, 4, 5, 6, 10, 15, 20]) for _ in range(r.choice([0, 1, 1, 2, 2, 2, 3])))
    dtype = np.dtype(r.choice(DTYPES))
    a = np.ones(shape, dtype)
    if dtype.kind in "fc" and r.random() < 0.2:
        a[...] = r.choice([np.nan, np.inf, 1e30, -1.0])
    if dtype.kind == "u" and r.random() < 0.3:
        a[...] = 2**64 - 1
    disguise = r.randrange(12)
    if disguise == 0:
        return a.T
    if disguise == 1:
        return np.broadcast_to(a, (2, *shape))
    if disguise == 2 and shape:
        return a[..., ::-1]
    if disguise == 3:
        a.flags.writeable = False
    if disguise == 4 and dtype.kind != "O" and a.nbytes:
        return np.ones(a.nbytes + 1, np.uint8)[1:].view(dtype).reshape(shape)  # misaligned
    return a


def nearly(r: random.Random, right: Any) -> Any:
    return array(r) if r.random() < 0.12 else right


def attempt(function: Any, *arguments: Any, **options: Any) -> Any:
    try:
        return function(*arguments, **options)
    except REFUSALS:
        return None


def products(r: random.Random) -> None:
    d, degree_a, degree_b, modulus = number(r), number(r), number(r), r.choice(MODULI)
    dtype, batch = "u8" if modulus else r.choice(["f8", "f4", "c16"]), r.choice([0, 1, 2, 9])
    both = degree_a + degree_b if type(degree_a) is type(degree_b) is int else 0
    a, b, c = (np.ones((batch, n_forms(d, degree)), dtype) for degree in (degree_a, degree_b, both))
    threads = r.choice([-1, 0, 1, 2, 8])
    attempt(_core.graded_product, d, degree_a, degree_b, nearly(r, a), nearly(r, b), nearly(r, c), modulus, threads)
    attempt(_core.correlation, d, degree_a, degree_b, nearly(r, c), nearly(r, b), nearly(r, a), modulus, threads)


def hankel(r: random.Random) -> None:
    d, rows, columns = number(r), number(r), number(r)
    both = rows + columns if type(rows) is type(columns) is int else 0
    m, batch = np.ones(n_forms(d, both)), r.choice([0, 1, 2, 9])
    attempt(
        _core.hankel_matrix,
        d,
        rows,
        columns,
        nearly(r, m),
        nearly(r, np.zeros((n_forms(d, rows), n_forms(d, columns)))),
    )
    padded = np.concatenate([m, np.zeros(r.choice([0, _core.HANKEL_PADDING]))])
    c, out = np.ones((batch, n_forms(d, columns))), np.zeros((batch, n_forms(d, rows)))
    attempt(
        _core.hankel_product, d, rows, columns, nearly(r, padded), nearly(r, c), nearly(r, out), r.choice([-1, 0, 2])
    )


def veronese(r: random.Random) -> None:
    n_vars, degree, homogeneous = r.choice([0, 1, 2, 3, 4]), number(r), r.random() < 0.5
    X = np.ones((r.choice([0, 1, 3, 20]), n_vars), r.choice(["f8", "f4"]))
    if homogeneous and isinstance(degree, int) and degree > 1000:
        degree = 2**31 + r.randrange(2)  # gigabytes of lower monomials: a Python matter
    out = np.zeros((len(X), n_forms(n_vars + (not homogeneous), degree)), X.dtype, order=r.choice("CF"))
    attempt(_core.veronese, nearly(r, X), degree, homogeneous, nearly(r, out), r.choice([-1, 0, 2]))


def moments(r: random.Random) -> None:
    arguments = [r.choice([1, 1, 2, 3, 5]), r.choice([0, 1, 2, 4, 9]), r.choice([0, 0, 1, 3]), r.choice([0, 1, 2, 6])]
    if r.random() < 0.3:
        arguments[r.randrange(4)] = r.choice([-1, -(2**31), 0, 2**31 - 1, 2**31, None])
        if (arguments[1] or 0) > 9 or (arguments[3] or 0) > 9:
            arguments[0] = 30  # refused by its count, not by the memory of this machine
    m = attempt(_core.Moments, *arguments, r.random() < 0.4)
    if m is None:
        return
    n_vars, n_targets = min(arguments[0], 50), min(arguments[2], 50)
    for _ in range(3):
        n = r.choice([0, 1, 5, 513, 1030])
        dtype = r.choice(["f8", "f4"])
        attempt(
            m.update,
            nearly(r, np.ones((n, n_vars), dtype)),
            nearly(r, np.ones((n, n_targets), dtype)),
            r.choice([0, 2]),
        )
        state = attempt(m.state) or {}
        for key in list(state):
            if r.random() < 0.1:
                state[key] = r.choice([array(r), None, -1, 10**30, 2**62])
            elif r.random() < 0.03:
                del state[key]
        attempt(m.set_state, state)
        attempt(m.finalized)
        if r.random() < 0.2:
            attempt(m.merge, array(r), r.choice([-1, 0, 5, 2**62, 2**63]))


def eliminations(r: random.Random) -> None:
    modulus = r.choice([2, 3, 7, 65521, 2**31 - 1, 2**32 - 5, 2**61 - 1] if r.random() < 0.7 else MODULI)
    shape = tuple(r.choice([0, 1, 2, 3, 4, 7, 8, 16, 17, 33, 65, 200]) for _ in range(2))
    p = modulus if isinstance(modulus, int) and 2 <= modulus < 2**64 else 2
    entries = np.random.default_rng(r.randrange(2**32)).integers(0, p, shape, dtype=np.uint64)
    if entries.size and r.random() < 0.4:
        entries[:, r.randrange(shape[1])] = entries[:, 0]
        entries[r.randrange(shape[0])] = 0
    if entries.size and r.random() < 0.1:
        entries[-1, -1] = r.choice([p, p - 1, 2**63, 2**64 - 1])  # not a residue
    matrix, threads = nearly(r, entries), r.choice([-(2**31), -1, 0, 1, 2, 8, 10**9])
    rank = attempt(_core.modular_rank, matrix, modulus, r.random() < 0.3, threads)
    pivots = attempt(_core.modular_echelon, nearly(r, entries.copy()), modulus)
    for found in (rank, None if pivots is None else len(pivots)):
        assert found is None or 0 <= found <= max(20, *shape), found


def windows(r: random.Random, width: int) -> list[list[int]]:
    size = r.randint(1, width)
    if r.random() < 0.5:
        return [list(range(k, k + size)) for k in range(0, width - size + 1, r.choice([1, 1, 2]))]
    return [r.sample(range(width), size) for _ in range(r.randint(1, 4))]


def instructions(r: random.Random, n_inputs: int) -> list[Any]:
    result: list[Any] = []
    widths = [n_inputs]
    for k in range(r.randint(0, 5)):
        slot = r.randint(0, k) if r.random() < 0.3 else k
        kind, width = (
            r.choice(["affine", "affine", "activation", "activation", "select", "add", "matmul"]),
            widths[slot],
        )
        if kind == "affine":
            n_out, shared = r.choice([1, 2, 3]), windows(r, width) if r.random() < 0.5 else None
            result.append((kind, slot, n_out, r.random() < 0.3, *([] if shared is None else [shared])))
            widths.append(n_out * (1 if shared is None else len(shared)))
        elif kind == "activation":
            result.append((kind, slot, r.choice([[0, 0, 1.0], [1.0, 2.0], [0.0], [0, 0, 0, 1.0], [1.0]])))
            widths.append(width)
        elif kind == "select":
            result.append((kind, slot, [r.randrange(width) for _ in range(r.randint(1, 4))]))
            widths.append(len(result[-1][2]))
        elif kind == "add":
            result.append(
                (kind, [slot, *r.choices([j for j, w in enumerate(widths) if w == width], k=r.choice([1, 2]))])
            )
            widths.append(width)
        else:
            right = r.randint(0, k)
            inner = r.choice([j for j in range(1, width + 1) if width % j == widths[right] % j == 0])
            rows, cols = width // inner, widths[right] // inner
            result.append((kind, slot, right, rows, inner, cols, r.random() < 0.5, r.random() < 0.5))
            widths.append(rows * cols)
    for _ in range(r.choice([0, 0, 1, 2])):
        odd: Any = r.choice(
            [
                ("affine", number(r), number(r), r.choice([True, 0, None, "x"])),
                (
                    "activation",
                    number(r),
                    r.choice(
                        [[], [np.nan], [None], [0, None], [1e308] * 3, None, "x", [0.0] * 300 + [1.0], [0.0] * 10**4]
                    ),
                ),
                (
                    "affine",
                    number(r),
                    number(r),
                    False,
                    r.choice(
                        [[], [[]], [[0], []], [[0, 0]], [[number(r)], [number(r)]], [[0, 1], [1, 2]], None, "x", [3]]
                    ),
                ),
                ("select", number(r), r.choice([[], [0], [number(r)], [0] * 1000, None, "x", 3, [[0]]])),
                ("add", r.choice([[], [0], [0, 0], [number(r), number(r)], [0] * 50, None, "x", 3])),
                ("matmul", *(number(r) for _ in range(5)), r.choice([True, 0, None, "x"]), False),
                ("matmul", 0, 0, 1, 2, 3),
                ("affine",),
                (),
                None,
                5,
                ("convolution", 1, 2),
                ["affine", 0, 1, False],
                "affine",
            ]
        )
        result.insert(r.randint(0, len(result)), odd)
    return result


def programs(r: random.Random) -> None:
    width = r.choice([1, 2, 3, 4, 6])
    listed = instructions(r, width)
    p = attempt(_core.Program, number(r) if r.random() < 0.1 else width, listed, r.choice(["auto", "forms", "circuit"]))
    if p is None:
        return
    n_params, n_outputs, n_inputs, modulus = p.n_params, p.n_outputs, p.n_inputs, r.choice(MODULI)
    n_monomials = attempt(lambda: p.n_monomials) or 3
    dtype = "u8" if modulus else r.choice(["f8", "c16"])
    theta, coef, X, dY = array(r), array(r), array(r), array(r)
    if max(1, n_params) * n_outputs * n_monomials < 10**6 and n_params < 10**5 and n_inputs < 10**4:
        lead = r.choice([(), (1,), (2,), (9,), (0,), (2, 3)])
        theta, coef = np.ones((*lead, n_params), dtype), np.ones((*lead, n_outputs, n_monomials), dtype)
        X = np.ones((r.choice([0, 1, 5, 200]), n_inputs), dtype)
        dY = np.ones((len(X), n_outputs), dtype)
    n_constants = sum(
        len(i[2])
        for i in listed
        if isinstance(i, tuple) and len(i) == 3 and i[0] == "activation" and isinstance(i[2], list)
    )
    options: dict[str, Any] = {"modulus": modulus, "n_threads": r.choice([-1, 0, 1, 2])}
    if r.random() < 0.9:
        options["constants"] = nearly(r, np.ones(n_constants, "u8"))
    if r.random() < 0.2:
        options["out"] = nearly(r, coef)
    attempt(p.evaluate, nearly(r, theta), nearly(r, X), **options)
    attempt(p.evaluate_vjp, nearly(r, theta), nearly(r, X), nearly(r, dY), **options)
    attempt(p.expand, nearly(r, theta), **options)
    attempt(p.jacobian, nearly(r, theta), **options)
    attempt(p.jvp, nearly(r, theta), nearly(r, theta), **options)
    attempt(p.vjp, nearly(r, theta), nearly(r, coef), **options)
    if isinstance(theta, np.ndarray) and isinstance(coef, np.ndarray) and n_monomials * n_outputs < 2000:
        x, c = np.ones(theta.shape), np.ones(coef.shape)
        attempt(p.vjp_tangent, nearly(r, x), nearly(r, x), nearly(r, c), nearly(r, c))
        gram, target = np.ones((n_monomials, n_monomials)), np.ones((n_outputs, n_monomials))
        attempt(p.loss_gradient, nearly(r, x), nearly(r, gram), nearly(r, target), r.choice([0, 2]))


def main() -> None:
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
    first, count = int(sys.argv[1]), int(sys.argv[2])
    for seed in range(first, first + count):
        r = random.Random(seed)
        signal.alarm(60)  # a hang is a failure too
        attack = r.choice([products, hankel, veronese, moments, eliminations, programs, programs])
        try:
            attack(r)
        except BaseException:
            print(f"seed {seed}: {attack.__name__}", file=sys.stderr)
            raise
    print("survived", count)


if __name__ == "__main__":
    main()
