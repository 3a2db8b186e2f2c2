// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

namespace polycore {

enum class Order { row_major, column_major };

/// Rows of monomials, the Veronese embedding of every sample: out[s, k] is monomial k (ascending graded lex, degree <=
/// D or exactly D if homogeneous) at sample s. X is row-major (n_samples, n_vars), out (n_samples, n_monomials) in
/// `order`. T is float or double. One multiplication per entry. std::invalid_argument on sizes that do not match;
/// entries are not checked for NaN.
template <class T>
void veronese(std::size_t n_samples, int n_vars, int degree, bool homogeneous, std::span<const T> X, std::span<T> out,
              Order order = Order::row_major, int n_threads = 0);

}  // namespace polycore
