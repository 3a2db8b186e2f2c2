# SPDX-License-Identifier: BSD-3-Clause
"""Every kernel and every executor method on every backend that can be imported here, against one definition.

Exact rings must agree bit for bit. Floats must agree within a bound that follows from the arithmetic: sums of n terms
in any order differ by at most about n roundings of the sum of absolute values.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest

from polycore import _backend, _kernels_numpy
from polycore.monomials import MonomialBasis
from polycore.program import Activation, Affine, Interpreter, Program

NUMPY = _backend.load("numpy")
FORMS = [(1, 0, 0), (1, 3, 2), (2, 4, 3), (2, 0, 5), (3, 3, 3), (4, 1, 3), (5, 2, 2), (7, 2, 1), (3, 9, 8)]
RINGS = ["float32", "float64", "complex128", 2, 3, 65537, 2**31 - 1, 2**31 + 11, 2**32 - 5, 2**61 - 1]


def count(d, degree):
    return len(MonomialBasis(d, degree, homogeneous=True))


def draw(rng, ring, *shape):
    if isinstance(ring, int):
        x = rng.integers(0, ring, size=shape, dtype=np.uint64)
        x[..., :1] = ring - 1  # the residue with the largest products
        return x
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if ring == "complex128" else x).astype(ring)


def modulus(ring):
    return ring if isinstance(ring, int) else 0


# -- the definition itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "degree_a", "degree_b"), FORMS[:7])
def test_numpy_kernels_are_the_definition(rng, d, degree_a, degree_b):
    A, B, C = (list(MonomialBasis(d, n, homogeneous=True)) for n in (degree_a, degree_b, degree_a + degree_b))
    position = {e: i for i, e in enumerate(C)}
    table = [[position[tuple(map(sum, zip(e, f)))] for f in B] for e in A]
    a, b, m = (rng.integers(-9, 10, size=len(basis)).astype(object) for basis in (A, B, C))
    product, transposed = np.zeros(len(C), dtype=object), np.zeros(len(A), dtype=object)
    for i, j in itertools.product(range(len(A)), range(len(B))):
        product[table[i][j]] += a[i] * b[j]
        transposed[i] += m[table[i][j]] * b[j]
    out_product, out_transposed = np.empty((1, len(C)), dtype=object), np.empty((1, len(A)), dtype=object)
    NUMPY.graded_product(d, degree_a, degree_b, a[None], b[None], out_product, 0, 1)
    NUMPY.correlation(d, degree_a, degree_b, m[None], b[None], out_transposed, 0, 1)
    assert out_product[0].tolist() == product.tolist()
    assert out_transposed[0].tolist() == transposed.tolist()
    hankel = np.empty((len(A), len(B)))
    NUMPY.hankel_matrix(d, degree_a, degree_b, m.astype(float), hankel)
    assert hankel.tolist() == m[np.array(table)].tolist()


def test_tables_made_in_slices(kernels, rng, monkeypatch):
    for module in {_kernels_numpy, kernels}:
        if hasattr(module, "_MAX_CACHED_ENTRIES"):
            monkeypatch.setattr(module, "_MAX_CACHED_ENTRIES", 20)
    test_products_agree(kernels, rng, 4, 2, 3, "float64")
    test_products_agree(kernels, rng, 4, 3, 2, 2**61 - 1)


# -- product, correlation, Hankel matrix ------------------------------------------------------------------------------


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize(("d", "degree_a", "degree_b"), FORMS)
def test_products_agree(kernels, rng, d, degree_a, degree_b, ring):
    sizes = count(d, degree_a), count(d, degree_b), count(d, degree_a + degree_b)
    for batch in (1, 3, 17):  # below, at and across the width of vector registers
        a, b, m = (draw(rng, ring, batch, n) for n in sizes)
        cases = [
            ("graded_product", a, b, sizes[2]),
            ("correlation", m, b, sizes[0]),
            ("correlation", m[:1], b, sizes[0]),
        ]
        for name, x, y, size in cases:
            out, expected, scale = (np.empty((batch, size), dtype=x.dtype) for _ in range(3))
            getattr(kernels, name)(d, degree_a, degree_b, x, y, out, modulus(ring), 0)
            getattr(NUMPY, name)(d, degree_a, degree_b, x, y, expected, modulus(ring), 0)
            if modulus(ring):
                assert np.array_equal(out, expected)
            else:
                getattr(NUMPY, name)(d, degree_a, degree_b, abs(x).astype(x.dtype), abs(y).astype(y.dtype), scale, 0, 0)
                terms = 2 + min(sizes[0], sizes[1])
                assert (abs(out - expected) <= 4 * terms * np.finfo(ring).eps * abs(scale)).all()


@pytest.mark.parametrize(("d", "degree_a", "degree_b"), FORMS)
def test_hankel_matrices_agree(kernels, rng, d, degree_a, degree_b):
    m = rng.normal(size=count(d, degree_a + degree_b))
    out, expected = np.empty((2, count(d, degree_a), count(d, degree_b)))
    kernels.hankel_matrix(d, degree_a, degree_b, m, out)
    NUMPY.hankel_matrix(d, degree_a, degree_b, m, expected)
    assert np.array_equal(out, expected)


# -- Veronese rows and moments ----------------------------------------------------------------------------------------

SPACES = [(1, 0, False), (1, 7, False), (2, 4, True), (3, 5, False), (5, 2, True), (4, 0, True), (11, 2, False)]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_vars", "degree", "homogeneous"), SPACES)
def test_veronese_rows_agree(kernels, rng, n_vars, degree, homogeneous, dtype, order):
    exponents = MonomialBasis(n_vars, degree, homogeneous).exponents
    for n_samples in (0, 1, 7, 70):
        X = rng.normal(size=(n_samples, n_vars)).astype(dtype)
        out = np.full((n_samples, len(exponents)), np.nan, dtype=dtype, order=order)
        kernels.veronese(X, degree, homogeneous, out, 0)
        expected = (X[:, None, :].astype(np.longdouble) ** exponents).prod(axis=-1)
        # At most `degree` multiplications, each within half a unit in the last place.
        assert (abs(out - expected) <= degree * np.finfo(dtype).eps * abs(expected)).all()


@pytest.mark.parametrize("n_samples", [1, 16, 17, 500])
@pytest.mark.parametrize(
    ("degree", "cross_degree", "homogeneous"), [(4, 2, False), (3, 3, True), (2, 5, False), (2, 4, True)]
)
def test_moment_blocks_against_exact_sums(kernels, rng, degree, cross_degree, homogeneous, n_samples):
    if not hasattr(kernels, "moment_block"):
        pytest.skip("the compiled core has an accumulator instead; test_moments.py compares it")
    X, Y = rng.normal(size=(n_samples, 2)), rng.normal(size=(n_samples, 3)) + 1
    bases = MonomialBasis(2, degree, homogeneous), MonomialBasis(2, cross_degree, homogeneous)
    for n_targets in (3, 1, 0):
        y = np.ascontiguousarray(Y[:, :n_targets])
        n_cross = len(bases[1]) if n_targets else 0
        moments, cross, targets = (
            np.full(shape, np.nan) for shape in (len(bases[0]), (n_targets, n_cross), (n_targets, n_targets))
        )
        kernels.moment_block(X, y, degree, cross_degree, homogeneous, moments, cross, targets)
        x_rows, y_rows = [list(map(Fraction, row)) for row in X.tolist()], [list(map(Fraction, r)) for r in y.tolist()]
        rows = [[[r[0] ** i * r[1] ** j for i, j in basis] for r in x_rows] for basis in bases]

        def check(actual, terms, products):
            exact, scale = float(sum(terms)), float(sum(map(abs, terms)))
            # The error of pairwise summation with runs of 16, and of the products in each term.
            bound = (16 + np.log2(n_samples) + products) * np.finfo(float).eps * scale
            assert abs(actual - exact) <= bound

        for k in range(len(bases[0])):
            check(moments[k], [row[k] for row in rows[0]], degree)
        for t in range(n_targets):
            for k in range(n_cross):
                check(cross[t, k], [r[t] * row[k] for r, row in zip(y_rows, rows[1])], cross_degree + 1)
            for u in range(n_targets):
                check(targets[t, u], [r[t] * r[u] for r in y_rows], 1)


# -- executors --------------------------------------------------------------------------------------------------------

PROGRAMS = [
    Program(2, [Affine(0, 2), Activation(1, (0, 0, 1)), Affine(2, 1)]),
    Program(3, [Affine(0, 2, True), Activation(1, (1, -2, 0.5)), Affine(2, 2, True)]),
    Program(
        2,
        [Affine(0, 3), Activation(1, (0, 0, 0, 1)), Affine(2, 2), Activation(3, (0, 0, 1)), Affine(4, 2), Affine(5, 3)],
    ),
    Program(4, [Affine(0, 8, True), Activation(1, (0, 0, 1)), Affine(2, 6), Activation(3, (0, 1, 1)), Affine(4, 5)]),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
@pytest.mark.parametrize("ring", ["float64", "complex128", 7, 2**31 - 1, 2**61 - 1])
def test_executors_agree(make_executor, rng, program, ring):
    P, O, N = program.n_params, program.n_outputs, program.n_monomials
    executor, reference = make_executor(program), Interpreter(program.n_inputs, program.as_tuples(), NUMPY)
    options = {"modulus": ring, "constants": program.constants(ring)} if modulus(ring) else {}
    theta, dtheta = draw(rng, ring, 2, P), draw(rng, ring, 2, P)
    X, dcoef, ddcoef = draw(rng, ring, 9, program.n_inputs), draw(rng, ring, 2, O, N), draw(rng, ring, 2, O, N)
    methods = {
        "evaluate": (theta, X),
        "evaluate_vjp": (theta, X, draw(rng, ring, 9, O)),
        "expand": (theta,),
        "jacobian": (theta,),
        "jvp": (theta, dtheta),
        "vjp": (theta, dcoef),
    }
    if ring == "float64":
        methods["vjp_tangent"] = (theta, dtheta, dcoef, ddcoef)
    for name, arguments in methods.items():
        result = getattr(executor, name)(*arguments, **options)
        expected = getattr(reference, name)(*arguments, **options)
        assert result.dtype == expected.dtype
        assert result.shape == expected.shape
        if modulus(ring):
            assert np.array_equal(result, expected), name
        else:
            # A few hundred terms in each sum at most, of the size of the largest number that occurs.
            assert abs(result - expected).max() <= 1e3 * np.finfo(float).eps * abs(expected).max(), name
    if ring == "float64":
        A = rng.normal(size=(2 * N, N))
        gram, target = A.T @ A, rng.normal(size=(O, N))
        gram = (gram + gram.T) / 2
        for got, wanted in zip(
            executor.loss_gradient(theta, gram, target), reference.loss_gradient(theta, gram, target)
        ):
            assert np.shape(got) == np.shape(wanted)
            assert abs(got - wanted).max() <= 1e4 * np.finfo(float).eps * abs(wanted).max()


# -- dispatch ---------------------------------------------------------------------------------------------------------


def run(code, backend, *options):
    environment = {k: v for k, v in os.environ.items() if k != "POLYCORE_BACKEND"}
    if backend is not None:
        environment["POLYCORE_BACKEND"] = backend
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    return subprocess.run([sys.executable, *options, "-c", code], env=environment, capture_output=True, text=True)


NAME = "from polycore import _backend; _backend.kernels(); print(_backend.name())"


def test_each_backend_can_be_chosen(backend):
    result = run(NAME, backend, "-W", "error")
    assert (result.stdout.strip(), result.returncode) == (backend, 0), result.stderr


def test_auto_takes_the_best_backend():
    best = next(name for name in _backend.BACKENDS if _backend.available()[name])
    for setting in (None, "", "auto", " AUTO "):
        assert run(NAME, setting).stdout.strip() == best


HIDE_CORE = """
import importlib.util, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in {hidden!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {hidden!r} else find(name, package)
"""


@pytest.mark.parametrize(
    ("hidden", "expected"), [(["polycore._core"], "numba"), (["polycore._core", "numba"], "numpy")]
)
def test_falling_back_warns_once(hidden, expected):
    if not _backend.available()[expected]:
        pytest.skip(f"{expected} is not installed")
    result = run(HIDE_CORE.format(hidden=hidden) + NAME + "; _backend.kernels()", None)
    assert result.stdout.strip() == expected
    assert result.stderr.count("RuntimeWarning") == 1
    assert f"POLYCORE_BACKEND={expected}" in result.stderr


def test_a_missing_backend_that_was_asked_for_is_an_error():
    for name, module in (("cpp", "polycore._core"), ("numba", "numba")):
        result = run(HIDE_CORE.format(hidden=[module]) + NAME, name)
        assert result.returncode != 0
        assert "ModuleNotFoundError" in result.stderr or "ImportError" in result.stderr


def test_unknown_backend():
    result = run(NAME, "cuda")
    assert "POLYCORE_BACKEND must be auto, cpp, numba or numpy, got 'cuda'" in result.stderr
    with pytest.raises(ValueError, match="backend must be one of"):
        _backend.load("cuda")


def test_numpy_says_that_large_primes_are_slow(monkeypatch):
    monkeypatch.setattr(_kernels_numpy, "_warned", False)
    one = np.ones((1, 1), dtype=np.uint64)
    with pytest.warns(RuntimeWarning, match="128-bit"):
        NUMPY.graded_product(1, 0, 0, one, one, one.copy(), 2**61 - 1, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # but only once
        NUMPY.graded_product(1, 0, 0, one, one, one.copy(), 2**61 - 1, 0)
