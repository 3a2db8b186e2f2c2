// SPDX-License-Identifier: BSD-3-Clause
// Eigenvalues and eigenvectors of small dense symmetric matrices.
#pragma once

#include <cstddef>

namespace polycore::detail {

/// Replaces the symmetric matrix `a` (n, n), finite, row-major, by its orthonormal eigenvectors, one per row, and
/// writes the eigenvalues in ascending order; `work` has 2 n entries. Errors are of order eps ||a||. False, with `a`
/// and `values` holding nothing meaningful, in the case, never seen, that the iteration does not converge.
///
/// Householder reduction to tridiagonal form, then the implicit QL algorithm with Wilkinson's shift: J. H. Wilkinson,
/// The Algebraic Eigenvalue Problem (1965), chapters 5 and 8; 3 n^3 to 9 n^3 operations. All inner loops run along rows
/// and have no reductions the compiler may not reorder, so that they vectorise. Interrupted if a stop is asked for.
bool symmetric_eigen(std::size_t n, double* a, double* values, double* work);

}  // namespace polycore::detail
