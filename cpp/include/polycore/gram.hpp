// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

/// Gram matrices of monomials, Q_{alpha beta} = m_{alpha + beta}: multi-index Hankel matrices.
namespace polycore {

/// The dense matrix: out (count_forms(d, degree_rows), count_forms(d, degree_columns)), row-major, from the moments m
/// of the forms of degree degree_rows + degree_columns. Entries with equal alpha + beta are the same number.
void hankel_matrix(int d, int degree_rows, int degree_columns, std::span<const double> moments, std::span<double> out);

/// Doubles that must be readable after the last moment for hankel_product.
inline constexpr std::size_t kHankelPadding = 8;

/// out[s] = Q c[s] without forming Q: c (batch, count_forms(d, degree_in)), out (batch, count_forms(d, degree_out)),
/// moments of degree degree_out + degree_in followed by kHankelPadding readable doubles. count^2 multiply-adds, no
/// other memory. std::invalid_argument for non-finite c, NumericalError when a product overflows.
void hankel_product(int d, int degree_out, int degree_in, std::span<const double> padded_moments,
                    std::span<const double> c, std::span<double> out, int n_threads = 0);

}  // namespace polycore
