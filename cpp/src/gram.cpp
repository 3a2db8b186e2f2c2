// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/gram.hpp"

#include <algorithm>
#include <stdexcept>

#include "kernels/kernel_table.hpp"
#include "polycore/monomials.hpp"
#include "polycore/parallel.hpp"

namespace polycore {
namespace {

// Fills the block of forms in d variables of degrees (a, b) whose moments start at m: the recursion of the product.
void fill(const FormCounts& counts, int d, int a, int b, const double* m, double* out, std::size_t stride) {
  if (d <= 2) {
    const int rows = d == 1 ? 1 : a + 1, columns = d == 1 ? 1 : b + 1;
    for (int i = 0; i < rows; ++i) std::copy_n(m + i, columns, out + static_cast<std::size_t>(i) * stride);
    return;
  }
  for (int i = 0; i <= a; ++i)
    for (int j = 0; j <= b; ++j)
      fill(counts, d - 1, i, j, m + counts(d, i + j - 1), out + counts(d, i - 1) * stride + counts(d, j - 1), stride);
}

}  // namespace

void hankel_matrix(int d, int degree_rows, int degree_columns, std::span<const double> moments, std::span<double> out) {
  const FormCounts counts(d, degree_rows + degree_columns);
  const std::size_t rows = counts(d, degree_rows), columns = counts(d, degree_columns);
  if (moments.size() != counts(d, degree_rows + degree_columns))
    throw std::invalid_argument("`moments` must hold one entry per form of degree degree_rows + degree_columns");
  if (out.size() != rows * columns) throw std::invalid_argument("`out` must have shape (n_rows, n_columns)");
  fill(counts, d, degree_rows, degree_columns, moments.data(), out.data(), columns);
}

void hankel_product(int d, int degree_out, int degree_in, std::span<const double> padded_moments, std::span<const double> c,
                    std::span<double> out, int n_threads) {
  const FormCounts counts(d, degree_out + degree_in);
  const std::size_t n_in = counts(d, degree_in), n_out = counts(d, degree_out);
  if (padded_moments.size() < counts(d, degree_out + degree_in) + kHankelPadding)
    throw std::invalid_argument("`padded_moments` must hold every moment and kHankelPadding more doubles");
  if (c.size() % n_in != 0 || out.size() != c.size() / n_in * n_out)
    throw std::invalid_argument("`c` and `out` must have shapes (batch, n_in) and (batch, n_out)");
  const auto& table = kernels::active();
  const std::size_t batch = c.size() / n_in;
  std::fill(out.begin(), out.end(), 0.0);
  if (d <= 3) {
    parallel_for(batch, n_in * n_out * batch < 500'000 ? 1 : n_threads, [&](std::size_t s) {
      table.hankel_product(d, degree_out, degree_in, counts.rows(), padded_moments.data(), c.data() + s * n_in,
                           out.data() + s * n_out);
    });
    return;
  }
  // One task per block of rows (first exponent fixed): they write disjoint parts of the result.
  const std::size_t blocks = static_cast<std::size_t>(degree_out) + 1;
  parallel_for(batch * blocks, n_in * n_out * batch < 500'000 ? 1 : n_threads, [&](std::size_t task) {
    const std::size_t s = task / blocks;
    const int i = degree_out - static_cast<int>(task % blocks);  // largest first
    for (int j = 0; j <= degree_in; ++j) {
      table.hankel_product(d - 1, i, j, counts.rows(), padded_moments.data() + counts(d, i + j - 1),
                           c.data() + s * n_in + counts(d, j - 1), out.data() + s * n_out + counts(d, i - 1));
      poll_interrupt();
    }
  });
}

}  // namespace polycore
