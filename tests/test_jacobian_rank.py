# SPDX-License-Identifier: BSD-3-Clause
"""The rank at a given point against exact ranks of the exact Jacobian, where it drops and where it does not."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest

import polycore as pc
from polycore import _sampled_rank
from polycore import jacobian_rank as jacobian_rank_function
from polycore._exact import denominator_and_height
from polycore._sampled_rank import RationalKernel, SampledMatrix, proven_rank, random_rank
from polycore.bounds import upper_bound
from polycore.modular import WORD_PRIMES, PrimeRange
from polycore.rank import echelon, kernel_vectors

Array = np.ndarray[Any, np.dtype[Any]]


def rational_rank(matrix: Array) -> int:
    """Rank over the rationals, by python-flint."""

    def fraction(x: Any) -> Any:
        return flint.fmpq(int(Fraction(x).numerator), int(Fraction(x).denominator))

    entries = [[fraction(x) for x in row] for row in matrix.tolist()]
    return int(flint.fmpq_mat(entries).rank()) if matrix.size else 0


def exact_rank(net: pc.Network, theta: Any) -> int:
    return rational_rank(net.jacobian(exact_vector(theta), dtype=object))


def exact_vector(values: Any) -> Array:
    vector = np.empty(len(values), dtype=object)
    vector[:] = [Fraction(v) if not isinstance(v, (int, np.integer)) else int(v) for v in values]
    return vector


def check(net: pc.Network, theta: Any, expected: int | None = None) -> pc.JacobianRank:
    """All the exact ways agree with the rank of the exact Jacobian; returns the proof."""
    expected = exact_rank(net, theta) if expected is None else expected
    found, proof = pc.jacobian_rank(net, theta), pc.jacobian_rank(net, theta, exact=True)
    assert found.rank == proof.rank == expected
    assert found.proved == (found.error_bound == 0.0)
    assert found.error_bound is not None
    assert found.error_bound <= 1e-9
    assert proof.proved
    assert proof.error_bound == 0.0
    assert found.upper_bound == proof.upper_bound >= expected
    return proof


NETS = [
    pc.MLP((2, 2, 1), 2),
    pc.MLP((2, 3, 2), 3),
    pc.MLP((3, 2, 2), [0, 1, 1], bias=True),
    pc.MLP((2, 2, 2, 1), (2, 3)),
    pc.MLP((1, 3, 2), [1, -2, 0.5, Fraction(1, 3)]),
    pc.MLP((2, 3, 2), 1),
    pc.MLP((2, 2, 2), 1, bias=True),
    pc.MLP((2, 2, 2), 0),
    pc.MLP((3, 2), bias=True),
    pc.MLP((2, 2, 2, 2), 2),
    pc.MLP((2, 3, 1), ([0.1, 0, 0, 1],)),
    pc.MLP((2, 2, 2), [0]),
    pc.CNN((2, 2), 2, n_inputs=4),
    pc.CNN((2, 2), [0, Fraction(1, 2), 0.75], channels=(2, 1), bias=True),
    pc.LightningAttention(2, 1, 1, 2),
    pc.LightningAttention(2, 2, 2, 1),
    pc.LightningAttention(1, 2, 1, 2, n_layers=2),
    pc.Sequential(pc.Residual(pc.Affine(2), pc.Activation([0, 0, Fraction(1, 3)]), pc.Affine(2)), n_inputs=2),
    pc.Sequential(pc.Affine(3), pc.Activation(2), pc.Select((2, 0, 2)), pc.Affine(1), n_inputs=2),
]


class TestExact:
    @pytest.mark.parametrize("net", NETS, ids=repr)
    def test_random_points_with_planted_drops(self, net: pc.Network) -> None:
        rng = np.random.default_rng(5)
        for trial in range(6):
            theta = rng.integers(-3, 4, net.n_params)
            if trial % 2:
                plant(net, theta, rng)
            check(net, theta)
            check(net, [Fraction(int(t), 6) for t in theta])

    @pytest.mark.parametrize(
        ("widths", "activation", "dimension"),
        [((2, 2, 2, 2), 2, 8), ((3, 5, 1), 4, 14), ((5, 7, 1), 3, 34), ((2, 4, 3, 2), 3, 15), ((2, 3, 3, 1), 3, 10)],
    )
    def test_generic_points_have_the_dimension(self, widths: tuple[int, ...], activation: int, dimension: int) -> None:
        """Alexander and Hirschowitz 1995, Finkel et al. 2025, Usevich et al. 2025."""
        net = pc.MLP(widths, activation)
        theta = np.random.default_rng(0).integers(-(10**6), 10**6, net.n_params)
        result = check(net, theta, dimension)
        assert result.kernel_dimension == net.n_params - dimension
        assert pc.jacobian_rank(net, theta / 10**6).rank == dimension

    def test_zero(self) -> None:
        for net in NETS:
            check(net, [0] * net.n_params)

    @pytest.mark.parametrize("activation", [2, 3, [0, 1, 1]])
    def test_subnetworks(self, activation: Any) -> None:
        """A unit without inputs or outputs leaves the rank of the narrower network, and what its own weights add."""
        net, smaller = pc.MLP((3, 3, 2), activation), pc.MLP((3, 2, 2), activation)
        W1, W2 = np.array([[1, 2, 3], [4, -1, 2], [0, 0, 0]]), np.array([[1, 2, 0], [3, -1, 0]])
        core = exact_rank(smaller, smaller.pack(W1=W1[:2], W2=W2[:, :2]))
        # Neither inputs nor outputs: nothing moves to first order, unless σ'(0) ≠ 0, and then only with outputs.
        assert check(net, net.pack(W1=W1, W2=W2)).rank == core
        duplicate = net.pack(W1=W1[[0, 1, 1]], W2=[[1, 2, 5], [3, -1, 4]])
        proportional = net.pack(W1=W1[[0, 1, 1]] * [[1], [1], [-2]], W2=[[1, 2, 5], [3, -1, 4]])
        assert check(net, duplicate).rank <= check(net, proportional).rank < pc.dimension(net).dimension

    def test_the_same_function_at_two_points(self) -> None:
        """(I, W2, I) and (W2, W2/2, W3) are the same function (known values, identifiability)."""
        net = pc.MLP((2, 2, 2, 2), 2)
        identity, W2, W3 = np.eye(2, dtype=int), np.array([[1, 1], [1, -1]]), np.array([[1, 0], [1, -1]])
        half = np.array([[Fraction(x, 2) for x in row] for row in W2.tolist()], dtype=object)
        first, second = net.pack(W1=identity, W2=W2, W3=identity), net.pack(W1=W2, W2=half, W3=W3)
        assert (net.expand(first, dtype=object) == net.expand(second, dtype=object)).all()
        check(net, first)
        check(net, second)

    def test_large_numbers_and_fractions(self) -> None:
        rng = np.random.default_rng(3)
        net = pc.MLP((2, 2, 3), 3)
        big: Any = [int(t) * 10**100 + 7 for t in rng.integers(-50, 50, net.n_params)]
        check(net, big)
        big[2:4] = big[:2]
        check(net, big)
        check(net, [Fraction(b, 3**200 + i) for i, b in enumerate(big)])

    def test_numbers_chosen_against_the_primes(self) -> None:
        """All parameters are multiples of the primes that the seed draws first: those see rank 0."""
        net = pc.MLP((2, 2, 1), 2)
        theta = exact_vector([1, 2, 3, 4, 5, 6])
        planted = 1
        for _ in range(3):
            victims = pc.jacobian_rank(net, theta * planted, rng=11, max_error=1e-30).primes
            planted *= math.prod(set(victims))
        hit = theta * planted
        proof = pc.jacobian_rank(net, hit, exact=True, rng=11)
        assert proof.rank == exact_rank(net, hit) == 3
        # Without the proof only another seed helps: an error bound is about primes that nobody knew.
        assert pc.jacobian_rank(net, hit, rng=12).rank == 3

    def test_the_hard_proof_is_by_rational_kernel_vectors(self) -> None:
        """A drop that no bound knows, in numbers with many digits: Hadamard would take hundreds of primes."""
        net = pc.MLP((4, 5, 3), 3)
        W1 = np.random.default_rng(1).integers(-(10**12), 10**12, (5, 4)).astype(object)
        W1[4] = 3 * W1[3]
        W2 = np.random.default_rng(2).integers(-(10**12), 10**12, (3, 5)).astype(object)
        proof = check(net, net.pack(W1=W1, W2=W2))
        assert "kernel" in proof.reason
        assert len(proof.primes) < 40

    def test_the_hadamard_proof(self) -> None:
        proof = check(pc.MLP((2, 2, 1), 2), [1, 2, 2, 4, 1, 1], 2)
        assert "Hadamard" in proof.reason

    def test_floats_meant_exactly(self) -> None:
        net = pc.MLP((2, 2, 1), 3)
        theta = [0.1, 0.3, 0.3, 0.9, 1.0, 0.7]  # not quite proportional: 3 · 0.1 ≠ 0.3
        assert pc.jacobian_rank(net, theta, exact=True).rank == exact_rank(net, [Fraction(t) for t in theta]) == 4
        assert pc.jacobian_rank(net, np.array(theta), exact=True) == pc.jacobian_rank(net, theta, exact=True)
        assert pc.jacobian_rank(net, np.array(theta, np.float32), exact=True).rank == exact_rank(
            net, np.array(theta, np.float32).tolist()
        )
        mixed: Any = [0.5, 1, Fraction(1, 3), 2**80, 0, 1.25]
        assert pc.jacobian_rank(net, mixed, exact=True).proved

    def test_seeds_threads_and_primes(self) -> None:
        net = pc.MLP((2, 3, 2), 3)
        theta = [1, 2, 3, 4, 1, 2, 1, 1, 1, 2, 3, 4]
        first = pc.jacobian_rank(net, theta, rng=7)
        assert first == pc.jacobian_rank(net, theta, rng=7, n_threads=2)
        assert first == pc.jacobian_rank(net, theta, rng=first.seed)
        assert first.primes != pc.jacobian_rank(net, theta, rng=8).primes
        assert all(2**30 <= p < 2**31 for p in first.primes)
        assert len(pc.jacobian_rank(net, theta, rng=7, max_error=1e-30).primes) > len(first.primes)
        generator = np.random.default_rng(1)
        drawn = pc.jacobian_rank(net, theta, rng=generator)
        assert drawn == pc.jacobian_rank(net, theta, rng=drawn.seed)

    def test_every_backend(self, on_backend: str) -> None:
        net = pc.MLP((2, 3, 2), [0, 1, 1], bias=True)
        theta = net.pack(W1=[[1, 2], [1, 2], [0, 0]], b1=[1, 1, 0], W2=[[1, 2, 3], [4, 5, 6]], b2=[0, 1])
        check(net, theta)

    def test_any_program(self) -> None:
        """Activations in a row, affine maps in a row, a slot that is not used, no parameters at all."""
        square, cubic = (0, 0, 1), (Fraction(1, 2), 0, -1, 1)
        programs = [
            pc.Program(
                2,
                [
                    pc.program.Affine(0, 2),
                    pc.program.Activation(1, square),
                    pc.program.Activation(2, cubic),
                    pc.program.Affine(3, 2, True),
                ],
            ),
            pc.Program(
                2,
                [
                    pc.program.Affine(0, 3),
                    pc.program.Affine(1, 2, True),
                    pc.program.Activation(2, square),
                    pc.program.Affine(3, 1),
                ],
            ),
            pc.Program(
                2,
                [
                    pc.program.Affine(0, 2),
                    pc.program.Affine(0, 3),
                    pc.program.Activation(1, square),
                    pc.program.Affine(3, 2),
                ],
            ),
            pc.Program(2, [pc.program.Activation(0, cubic), pc.program.Affine(1, 2)]),
        ]
        rng = np.random.default_rng(10)
        for program in programs:
            net = pc.Network(program)
            for _ in range(3):
                theta = plant(net, rng.integers(-3, 4, net.n_params), rng)
                proof = check(net, theta)
                assert pc.jacobian_rank(net, theta / 1.0).rank == proof.rank
        nothing = pc.Network(pc.Program(2, [pc.program.Activation(0, square)]))
        for theta in (np.zeros(0, dtype=int), np.zeros(0)):
            assert pc.jacobian_rank(nothing, theta).rank == 0

    def test_deep_networks_of_huge_degree(self) -> None:
        """Degree 2^29: coefficients are beyond everything, points are not."""
        net = pc.MLP((2,) * 30, 2)
        theta = np.random.default_rng(4).integers(-3, 4, net.n_params)
        theta[theta == 0] = 1
        result = pc.jacobian_rank(net, theta)
        assert 0 < result.rank <= upper_bound(net.program).value
        assert result.error_bound is not None
        assert result.error_bound <= 1e-9
        if not result.proved:
            with pytest.raises((MemoryError, OverflowError), match="exact=False"):
                pc.jacobian_rank(net, theta, exact=True)
        with pytest.raises(OverflowError, match="degree"):
            pc.jacobian_rank(pc.MLP((2,) * 70, 2), [1] * 276)


class TestBounds:
    """What the error bounds and proofs rest on."""

    @pytest.mark.parametrize("net", NETS, ids=repr)
    def test_column_bounds(self, net: pc.Network) -> None:
        from polycore.jacobian_rank import _Point

        rng = np.random.default_rng(8)
        theta = exact_vector(
            [
                Fraction(int(a), int(b))
                for a, b in zip(rng.integers(-9, 9, net.n_params), rng.integers(1, 9, net.n_params))
            ]
        )
        point = _Point(net.program, theta)
        d, _ = denominator_and_height(net.program, list(map(Fraction, theta)))
        scaled = net.jacobian(theta, dtype=object) * d
        norms = np.abs(scaled).sum(axis=0)
        assert all(Fraction(x).denominator == 1 for x in scaled.reshape(-1))
        assert not norms[np.setdiff1d(np.arange(net.n_params), point.active)].any()
        for norm, bound in zip(norms[point.active], point.log2_columns):
            assert bound >= 0
            assert not norm or math.log2(norm) <= bound
        for size in range(1, min(3, len(point.active)) + 1):
            minors = flint.fmpz_mat([[int(x) for x in row] for row in scaled[:size, point.active[:size]].tolist()])
            det = abs(int(minors.det())) if minors.nrows() == minors.ncols() else 0
            assert det == 0 or math.log2(det) <= point.log2_minor(size)

    def test_the_error_bound_holds_where_errors_happen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Primes of twelve bits, two of which divide all parameters: they are drawn now and then."""
        small = PrimeRange(12, 255)  # π(4096) − π(2048)
        monkeypatch.setattr(_sampled_rank, "WORD_PRIMES", small)
        monkeypatch.setattr(_sampled_rank, "LARGE_PRIMES", small)
        theta = np.array([1, 2, 2, 4, 1, 1]) * 2053 * 4093
        runs = [pc.jacobian_rank(pc.MLP((2, 2, 1), 2), theta, rng=seed, max_error=0.5) for seed in range(1000)]
        wrong = sum(run.rank < 2 for run in runs) / len(runs)
        bounds = [run.error_bound for run in runs if run.error_bound is not None]
        assert {len(run.primes) for run in runs} == {1}
        assert 1 / 255 < wrong <= min(bounds) <= max(bounds) < 0.2

    def test_ranks_modulo_a_prime_of_the_denominators_are_not_taken(self) -> None:
        net = pc.MLP((2, 2, 1), 2)
        p = pc.jacobian_rank(net, [1, 2, 2, 4, 1, 1], rng=3).primes[0]
        theta: Any = [Fraction(1, p), 2, Fraction(2, p), 4, 1, 1]
        for exact in (False, True):
            result = pc.jacobian_rank(net, theta, rng=3, exact=exact)
            assert p not in result.primes
            assert result.rank == 2

    def test_the_point_s_own_bound(self) -> None:
        """Dead parameters and the symmetries that are left prove a drop without any kernel."""
        net = pc.MLP((3, 3, 2), 2)
        theta = net.pack(W1=[[1, 2, 3], [4, -1, 2], [0, 0, 0]], W2=[[1, 2, 0], [3, -1, 0]])
        result = pc.jacobian_rank(net, theta)
        assert result.proved
        assert result.upper_bound == 2 * 3 + 2 * 2 - 2 == result.rank


class TestNumerical:
    @pytest.mark.parametrize("net", NETS, ids=repr)
    def test_agrees_with_the_exact_rank(self, net: pc.Network) -> None:
        rng = np.random.default_rng(6)
        for trial in range(4):
            theta = rng.integers(-8, 9, net.n_params) / 4
            if trial % 2:
                plant(net, theta, rng)
            result = pc.jacobian_rank(net, theta)
            assert result.method == "numerical"
            assert not result.proved
            assert result.error_bound is None
            assert result.rank == pc.jacobian_rank(net, theta, exact=True).rank
            assert result.singular_values is not None
            assert result.tolerance is not None
            assert (result.singular_values > result.tolerance).sum() >= result.rank

    def test_gap_and_tolerance(self) -> None:
        net = pc.MLP((2, 2, 1), 2)
        result = pc.jacobian_rank(net, [1.0, 2, 2, 4, 1, 1])
        values, tolerance = result.singular_values, result.tolerance
        assert values is not None
        assert tolerance is not None
        assert result.gap is not None
        assert result.rank == 2
        assert (np.diff(values) <= 0).all()
        assert values[1] > 1e10 * tolerance
        assert values[2] <= tolerance
        assert result.gap == pytest.approx(values[1] / values[2]) if values[2] else math.isinf(result.gap)
        assert "clear-cut" in result.reason
        assert "gap" in repr(result)
        near = pc.jacobian_rank(net, [1.0, 2, 2, 4 + 1e-5, 1, 1])
        assert near.rank == 3
        assert near.gap is not None
        loose = pc.jacobian_rank(net, [1.0, 2, 2, 4 + 1e-5, 1, 1], tol=1e-2)
        assert loose.rank == 2
        assert loose.gap is not None
        assert loose.gap > 1e4
        blurred = pc.jacobian_rank(net, [1.0, 2, 2, 4.1, 1, 1], tol=0.1)
        assert blurred.gap is not None
        assert blurred.gap < 1e3
        assert "exact=True" in blurred.reason

    def test_no_more_than_the_proven_bound(self) -> None:
        net = pc.MLP((3, 5, 1), 4)
        assert pc.jacobian_rank(net, net.random_params(1), tol=0.0).rank == 14

    def test_badly_scaled_layers_do_not_matter(self) -> None:
        net = pc.MLP((2, 3, 3, 2), 3)
        theta = net.random_params(2)
        scales = np.repeat([1e-4, 1e3, 1e-2], [6, 9, 6])
        plain, scaled = pc.jacobian_rank(net, theta), pc.jacobian_rank(net, theta * scales)
        assert plain.rank == scaled.rank == pc.dimension(net).dimension
        assert plain.singular_values is not None
        assert scaled.singular_values is not None
        ratios = scaled.singular_values[: plain.rank] / plain.singular_values[: plain.rank]
        assert (np.abs(np.log2(ratios)) < 3).all()

    @pytest.mark.parametrize("activation", [2, [1, -1, 0.5]])
    def test_sampled_rows(self, activation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        import sys

        monkeypatch.setattr(sys.modules["polycore.jacobian_rank"], "_DENSE_ENTRIES", 0)
        net = pc.MLP((3, 3, 2, 2), activation, bias=isinstance(activation, list))
        theta = np.random.default_rng(1).integers(-8, 9, net.n_params) / 4
        for vector in (theta, np.zeros(net.n_params), plant(net, theta.copy(), np.random.default_rng(2))):
            result = pc.jacobian_rank(net, vector)
            assert "random points" in result.reason
            assert result.rank == pc.jacobian_rank(net, vector, exact=True).rank

    def test_many_monomials(self) -> None:
        """21 million coefficients of 10 variables: rows are sampled instead."""
        net = pc.MLP((10, 3, 3, 1), 4)
        result = pc.jacobian_rank(net, net.random_params(0))
        assert result.rank == result.upper_bound == net.n_params - 6

    def test_the_scale_of_the_tolerance(self) -> None:
        """The largest singular value of a majorant with entries of about 1."""
        from polycore.jacobian_rank import _equilibrate, _perron_singular_value, majorant

        net = pc.MLP((3, 3, 2, 2), [1, -1, 0.5], bias=True)
        theta = net.random_params(3)
        sizes = pc.Network(majorant(net.program)).jacobian(np.abs(theta))
        assert (np.abs(net.jacobian(theta)) <= sizes * (1 + 1e-12)).all()
        matrix, scaled = _equilibrate(net.jacobian(theta), sizes)
        assert scaled.max() <= 1
        assert (scaled.max(axis=0) >= 0.25).all()
        assert (
            scaled[sizes > 0] / sizes[sizes > 0] == 2.0 ** np.round(np.log2(scaled[sizes > 0] / sizes[sizes > 0]))
        ).all()
        largest = np.linalg.norm(scaled, 2)
        assert _perron_singular_value(scaled) == pytest.approx(largest, rel=1e-6)
        result = pc.jacobian_rank(net, theta)
        assert result.tolerance == pytest.approx(max(matrix.shape) * 2.0**-52 * largest, rel=1e-6)
        assert result.singular_values == pytest.approx(np.linalg.svd(matrix, compute_uv=False), abs=1e-12)
        assert _perron_singular_value(np.zeros((3, 2))) == 0.0

    def test_complex(self) -> None:
        net = pc.MLP((2, 2, 1), 3)
        assert pc.jacobian_rank(net, [1j, 2, 2j, 4, 1, 1j]).rank == 2
        assert pc.jacobian_rank(net, [1j, 2, 2j, 4 + 1j, 1, 1j]).rank == 4
        with pytest.raises(TypeError, match="real"):
            pc.jacobian_rank(net, [1j, 2, 2j, 4, 1, 1j], exact=True)


class TestBadInput:
    net = pc.MLP((2, 2, 1), 2)

    @pytest.mark.parametrize(
        ("theta", "error", "match"),
        [
            ([1, 2, 3], ValueError, r"`theta` must have shape \(n_params=6,\), got \(3,\)"),
            (np.ones((2, 6)), ValueError, "`theta` must have shape"),
            ([1.0, 2, 3, math.nan, 5, 6], ValueError, "finite"),
            ([1.0, 2, 3, math.inf, 5, 6], ValueError, "finite"),
            (["a"] * 6, TypeError, "theta"),
            ([None] * 6, TypeError, "theta"),
            (None, TypeError, "theta"),
            (np.ones(6, np.longdouble), TypeError, "theta"),
        ],
    )
    def test_theta(self, theta: Any, error: type[Exception], match: str) -> None:
        for exact in (False, True):
            with pytest.raises(error, match=match):
                pc.jacobian_rank(self.net, theta, exact=exact)

    def test_other_arguments(self) -> None:
        theta = [1, 2, 3, 4, 5, 6]
        with pytest.raises(TypeError, match="`net`"):
            pc.jacobian_rank(theta, self.net)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="`exact`"):
            pc.jacobian_rank(self.net, theta, exact="yes")  # type: ignore[arg-type]
        for bad in (0, 1, -1, math.nan):
            with pytest.raises(ValueError, match="`max_error`"):
                pc.jacobian_rank(self.net, theta, max_error=bad)
        with pytest.raises(ValueError, match="`tol`"):
            pc.jacobian_rank(self.net, theta, tol=1e-3)
        with pytest.raises(ValueError, match="`tol`"):
            pc.jacobian_rank(self.net, np.ones(6), tol=-1.0)
        with pytest.raises(TypeError, match="`rng`"):
            pc.jacobian_rank(self.net, theta, rng=None)
        with pytest.raises(ValueError, match="specialize"):
            pc.jacobian_rank(pc.MLP((2, 2, 1), pc.GenericActivation(2)), theta)

    def test_huge_networks_are_refused_before_any_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from polycore import _validation

        monkeypatch.setattr(_validation, "_SMALL_REQUEST", 0)
        monkeypatch.setattr(_validation, "available_memory", lambda: 1000)
        with pytest.raises(MemoryError, match="Jacobian"):
            pc.jacobian_rank(pc.MLP((4, 6, 4), 2), np.ones(48, dtype=int))


class TestResult:
    def test_repr_and_equality(self) -> None:
        net = pc.MLP((2, 2, 1), 2)
        result = pc.jacobian_rank(net, [1, 2, 2, 4, 1, 1])
        assert repr(result).splitlines()[0] == repr(net)
        assert "probability" in repr(result)
        assert "proved" in repr(pc.jacobian_rank(net, [1, 2, 2, 4, 1, 1], exact=True))
        assert pc.jacobian_rank is jacobian_rank_function
        with pytest.raises(AttributeError):
            result.rank = 3  # type: ignore[misc]


def plant(net: pc.Network, theta: Array, rng: np.random.Generator) -> Array:
    """Make two rows of the first weights proportional, or one zero, in place."""
    rows = theta[: net.program.parameters[0].size].reshape(net.program.parameters[0].shape)
    if len(rows) > 1:
        rows[1] = int(rng.integers(-2, 3)) * rows[0]
    else:
        rows[0] = 0
    return theta


# --- sampled matrices -------------------------------------------------------------------------------------------------


class _Dense(SampledMatrix):
    """A given matrix of integers; its rows are sampled as random combinations."""

    def __init__(self, matrix: Any) -> None:
        self.matrix = np.array(matrix, dtype=object)
        self.denominators, self.degree, self.row_degree = 1, 1, 1
        norms = np.abs(self.matrix).sum(axis=0)
        self.log2_columns = np.array([math.log2(max(1, x)) for x in norms])
        self.spans = True

    def sample_rows(self, p: int, n_rows: int, generator: np.random.Generator, n_threads: int) -> Array:
        weights = generator.integers(0, p, (n_rows, len(self.matrix)), dtype=np.int64).astype(object)
        return np.ascontiguousarray((weights @ self.matrix % p).astype(np.uint64))

    def annihilates(self, vectors: Array, p: int, n_threads: int) -> bool:
        return not (self.matrix @ vectors.T.astype(object) % p).any()


class TestSampledMatrices:
    def test_echelon_and_kernel(self) -> None:
        rng = np.random.default_rng(4)
        p = 10007
        for rows, cols, rank in [(4, 6, 2), (6, 4, 4), (5, 5, 0), (3, 7, 3), (1, 1, 1)]:
            matrix = rng.integers(0, p, (rows, rank)) @ rng.integers(0, p, (rank, cols)) % p
            pivots, combinations = echelon(matrix.astype(np.uint64), p)
            reduced, found = flint.nmod_mat(rows, cols, matrix.reshape(-1).tolist(), p).rref()
            assert len(pivots) == found
            leading = [next(j for j in range(cols) if int(reduced[i, j])) for i in range(found)]
            assert list(pivots) == leading
            kernel = kernel_vectors(pivots, combinations, p)
            assert kernel.shape == (cols - found, cols)
            assert not (matrix @ kernel.T.astype(np.int64) % p).any()
            assert pc.modular_rank(kernel, p) == cols - found

    @pytest.mark.parametrize("digits", [1, 20])
    def test_proofs(self, digits: int) -> None:
        rng = np.random.default_rng(9)
        for rows, cols, rank in [(6, 5, 3), (5, 8, 5), (7, 4, 4), (3, 3, 0), (10, 10, 7)]:
            left = rng.integers(-9, 10, (rows, rank)).astype(object) * 10**digits + 1
            matrix = left @ rng.integers(-9, 10, (rank, cols)).astype(object)
            true = rational_rank(matrix)
            for needs_kernel in (False, True):
                proof = proven_rank(_Dense(matrix), 0, cols, np.random.default_rng(1), needs_kernel=needs_kernel)
                assert proof.rank == true
                assert proof.error_bound == 0.0
                if proof.kernel is not None:
                    kernel = np.array(proof.kernel, dtype=object).reshape(cols - true, cols)
                    assert not (matrix @ kernel.T).any()
                    assert rational_rank(kernel) == cols - true
                    assert all(math.gcd(*v) == 1 for v in proof.kernel)
            assert random_rank(_Dense(matrix), cols, np.random.default_rng(1), max_error=1e-9).rank == true

    def test_unlucky_primes_are_forgotten(self) -> None:
        """Primes that divide the pivots come first, last, and in the middle."""
        generator = np.random.default_rng(0)
        primes = [p for p, _ in zip(WORD_PRIMES.draw(generator), range(4))]
        matrix = np.array([[primes[0] * primes[2], 1, 3], [0, primes[3], 5]], dtype=object)
        kernel = RationalKernel()
        for p in primes:
            kernel.add(*echelon((matrix % p).astype(np.uint64), p), p)
        assert kernel.primes == [primes[1]]
        for p, _ in zip(WORD_PRIMES.draw(np.random.default_rng(1)), range(12)):
            kernel.add(*echelon((matrix % p).astype(np.uint64), p), p)
        vectors = kernel.vectors()
        assert vectors is not None
        assert not (matrix @ np.array(vectors, dtype=object).T).any()
        proof = proven_rank(_Dense(matrix), 0, 2, np.random.default_rng(0), needs_kernel=True)
        assert proof.rank == 2
        assert proof.kernel is not None

    def test_too_few_rows_are_noticed(self) -> None:
        """A rank that was underestimated is corrected, since kernels are checked on the matrix itself."""
        matrix = np.eye(6, dtype=int)
        assert proven_rank(_Dense(matrix), 0, 6, np.random.default_rng(0), needs_kernel=True).rank == 6

    def test_a_wrong_bound_is_an_error(self) -> None:
        with pytest.raises(AssertionError, match="report"):
            random_rank(_Dense(np.eye(3, dtype=int)), 2, np.random.default_rng(0), max_error=1e-9)
