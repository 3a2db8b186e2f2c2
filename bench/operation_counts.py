# SPDX-License-Identifier: BSD-3-Clause
"""Multiply-adds that an expansion and its gradient need, for MLPs without bias whose activation is z^r.

Counted as the definitions are written, by the recursion of the layers: a graded product of forms with p and q
coefficients takes p·q multiply-adds, an affine map n_out · n_in a coefficient, the power of a linear form one
multiplication a coefficient (closed form). ``squares_by_symmetry`` counts a square of p coefficients as p(p + 1)/2.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import polycore as pc
from polycore.program import Affine, MatMul


def expand(widths: Sequence[int], r: int, squares_by_symmetry: bool = False) -> int:
    """Multiply-adds of one expansion."""
    d0 = widths[0]
    total, degree = 0, 1
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        if layer:
            if degree == 1:
                total += n_in * forms(d0, r)
            else:
                total += n_in * power(d0, degree, r, squares_by_symmetry)
            degree *= r
            total += n_out * n_in * forms(d0, degree)
    return total


def gradient(widths: Sequence[int], r: int) -> int:
    """Multiply-adds of the forward and the reverse sweep: the gradient of a linear function of the coefficients."""
    d0 = widths[0]
    total, degree = expand(widths, r), 1
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        if layer:
            # The cotangent of z is the correlation of that of z^r with r z^(r-1); then dW and the cotangent of z^r.
            total += n_in * forms(d0, degree * (r - 1)) * forms(d0, degree)
            degree *= r
            total += 2 * n_out * n_in * forms(d0, degree)
    return total


def loss_gradient(widths: Sequence[int], r: int) -> int:
    """Multiply-adds of the gradient of a quadratic function of the coefficients: the product with Q comes on top."""
    n = forms(widths[0], r ** (len(widths) - 2))
    return gradient(widths, r) + widths[-1] * n * n


def stationary_step(widths: Sequence[int], r: int) -> int:
    """Multiply-adds of a step of a search with a Hessian of its own: gradient, Hessian, eigenvalues and eigenvectors.

    The Hessian is one tangent of the gradient for each parameter, three multiply-adds for each one of the gradient (the
    product rule, and the value); a symmetric eigenvalue decomposition takes 9 P³ operations (Golub, Van Loan, *Matrix
    Computations*, section 8.3).
    """
    n_params = sum(n_in * n_out for n_in, n_out in itertools.pairwise(widths))
    return (1 + 3 * n_params) * loss_gradient(widths, r) + 9 * n_params**3 // 2


def power(d0: int, degree: int, r: int, squares_by_symmetry: bool) -> int:
    """z^r of a form of this degree by repeated products."""
    n = forms(d0, degree)
    total = n * (n + 1) // 2 if squares_by_symmetry else n * n
    return total + sum(forms(d0, k * degree) * n for k in range(2, r))


def forms(d0: int, degree: int) -> int:
    return pc.count_monomials(d0, degree, homogeneous=True)


def evaluate(widths: Sequence[int]) -> int:
    """Multiply-adds of the affine maps at one point."""
    return sum(n_in * n_out for n_in, n_out in itertools.pairwise(widths))


def evaluate_program(program: pc.Program) -> int:
    """Multiply-adds of the affine maps and matrix products of any program at one point."""
    total = 0
    for instruction in program.instructions:
        if isinstance(instruction, Affine):
            total += (
                instruction.n_windows * instruction.n_out * instruction.window_size(program.widths[instruction.input])
            )
        elif isinstance(instruction, MatMul):
            total += instruction.rows * instruction.inner * instruction.cols
    return total
