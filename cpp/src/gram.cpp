// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/gram.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "detail/finite.hpp"
#include "detail/workspace.hpp"
#include "kernels/kernel_table.hpp"
#include "polycore/monomials.hpp"
#include "polycore/parallel.hpp"
#include "polycore/product.hpp"

namespace polycore {
namespace {

constexpr std::size_t kThreadedWork = 500'000;   // multiply-adds below which a second thread costs more than it brings
constexpr std::size_t kPolledWork = 20'000'000;  // entries or multiply-adds between two looks at the interrupt hook
constexpr int kKernelVars = 32;                  // the kernel's recursion ends in many tiny rows when there are more

std::size_t padded_row(int d, int degree) {
  const std::size_t n = d == 1 ? 1 : static_cast<std::size_t>(degree) + 1;
  return (n + kernels::kRowPadding - 1) / kernels::kRowPadding * kernels::kRowPadding;
}

/// Sizes of forms whose rows are padded: rows[d][k] for 1 <= d <= n_vars.
struct PaddedCounts {
  PaddedCounts(int n_vars, int degree) : rows(static_cast<std::size_t>(n_vars) + 1) {
    for (std::size_t d = 0; d < rows.size(); ++d) {
      std::size_t total = 0;
      for (int k = 0; k <= degree; ++k) {
        total = d <= 2 ? padded_row(static_cast<int>(d), k) : total + rows[d - 1][static_cast<std::size_t>(k)];
        rows[d].push_back(total);
      }
      pointers.push_back(rows[d].data());
    }
  }
  std::size_t operator()(int d, int k) const {
    return k < 0 ? 0 : rows[static_cast<std::size_t>(d)][static_cast<std::size_t>(k)];
  }

  std::vector<std::vector<std::size_t>> rows;
  std::vector<const std::size_t*> pointers;
};

// Fills the block of forms in d variables of degrees (a, b) whose moments start at m: the recursion of the product.
void fill(const FormCounts& counts, int d, int a, int b, const double* m, double* out, std::size_t stride) {
  if (a == 0 || b == 0) {  // a row or a column: without this, many variables would take their square in time
    for (std::size_t i = 0; i < counts(d, a); ++i) std::copy_n(m + i, counts(d, b), out + i * stride);
    return;
  }
  if (d <= 2) {
    const int rows = d == 1 ? 1 : a + 1, columns = d == 1 ? 1 : b + 1;
    for (int i = 0; i < rows; ++i) std::copy_n(m + i, columns, out + static_cast<std::size_t>(i) * stride);
    return;
  }
  const bool large = counts(d, a) * counts(d, b) > kPolledWork;
  for (int i = 0; i <= a; ++i)
    for (int j = 0; j <= b; ++j) {
      fill(counts, d - 1, i, j, m + counts(d, i + j - 1), out + counts(d, i - 1) * stride + counts(d, j - 1), stride);
      if (large) poll_interrupt();
    }
}

// q += H c for forms in d variables, q with padded rows. The kernel recurses by itself; a large product is taken apart
// here, to be interruptible.
struct HankelRecursion {
  const FormCounts& counts;
  const PaddedCounts& padded;
  const kernels::KernelTable& table = kernels::active();

  void operator()(int d, int a, int b, const double* m, const double* c, double* q) const {
    const std::size_t n_in = counts(d, b);
    // One output: a row, however many variables.
    if (a == 0) return row(1, n_in, m, c, q);
    const bool large = counts(d, a) * n_in > kPolledWork;
    if (d <= 2 && large) return row(counts(d, a), n_in, m, c, q);
    if (d <= 2 || (!large && d <= kKernelVars)) {
      table.hankel_product(d, a, b, counts.rows(), padded.pointers.data(), m, c, q);
      return;
    }
    for (int i = 0; i <= a; ++i)
      for (int j = 0; j <= b; ++j) {
        (*this)(d - 1, i, j, m + counts(d, i + j - 1), c + counts(d, j - 1), q + padded(d, i - 1));
        if (large) poll_interrupt();
      }
  }

  // q[i] += sum_j m[i + j] c[j], which is what forms in two variables do, in pieces.
  void row(std::size_t n_out, std::size_t n_in, const double* m, const double* c, double* q) const {
    const std::size_t piece = std::max<std::size_t>(1, kPolledWork / n_out);
    for (std::size_t j = 0; j < n_in; j += piece) {
      const std::size_t n = std::min(piece, n_in - j);
      table.hankel_product(2, static_cast<int>(n_out) - 1, static_cast<int>(n) - 1, counts.rows(),
                           padded.pointers.data(), m + j, c + j, q);
      if (n < n_in) poll_interrupt();
    }
  }
};

// Copies a form without the padding of its rows; both pointers move on.
void unpad(int d, int degree, const double*& padded, double*& out) {
  if (d > 2 && degree > 0) {
    for (int i = 0; i <= degree; ++i) unpad(d - 1, i, padded, out);
    return;
  }
  out = std::copy_n(padded, d == 1 ? 1 : degree + 1, out);
  padded += padded_row(d, degree);
}

// Sizes are compared before any table is made, so that nonsense costs nothing.
void check_degrees(int& d, int& a, int& b) {
  check_product(d, a, b);
  if (d == 1) a = b = 0;  // one coefficient, whatever the degree
}

}  // namespace

void hankel_matrix(int d, int degree_rows, int degree_columns, std::span<const double> moments, std::span<double> out) {
  check_degrees(d, degree_rows, degree_columns);
  if (moments.size() != count_forms(d, degree_rows + degree_columns))
    throw std::invalid_argument("`moments` must hold one entry per form of degree degree_rows + degree_columns");
  const std::size_t rows = count_forms(d, degree_rows), columns = count_forms(d, degree_columns);
  if (out.size() / rows != columns || out.size() % rows != 0)
    throw std::invalid_argument("`out` must have shape (n_rows, n_columns)");
  const FormCounts counts(d, degree_rows + degree_columns);
  fill(counts, d, degree_rows, degree_columns, moments.data(), out.data(), columns);
}

void hankel_product(int d, int degree_out, int degree_in, std::span<const double> padded_moments,
                    std::span<const double> c, std::span<double> out, int n_threads) {
  check_degrees(d, degree_out, degree_in);
  if (padded_moments.size() < kHankelPadding ||
      padded_moments.size() - kHankelPadding < count_forms(d, degree_out + degree_in))
    throw std::invalid_argument("`padded_moments` must hold every moment and kHankelPadding more doubles");
  const std::size_t n_in = count_forms(d, degree_in), n_out = count_forms(d, degree_out);
  if (c.size() % n_in != 0 || out.size() % n_out != 0 || out.size() / n_out != c.size() / n_in)
    throw std::invalid_argument("`c` and `out` must have shapes (batch, n_in) and (batch, n_out)");
  if (c.empty()) return;
  const FormCounts counts(d, degree_out + degree_in);
  detail::require_finite(c, "coef");
  const PaddedCounts padded(d, degree_out);
  const HankelRecursion multiply{counts, padded};
  const std::size_t batch = c.size() / n_in;
  if (n_in * n_out * batch < kThreadedWork) n_threads = 1;
  // The result is a concatenation of forms of degree 0, 1, ... in d - 1 variables, which the tasks compute one by one,
  // the largest first; with three variables or fewer there is one block.
  const bool split = d > 3;
  const std::size_t blocks = split ? static_cast<std::size_t>(degree_out) + 1 : 1;
  parallel_for(batch * blocks, n_threads, [&](std::size_t task) {
    const double* ct = c.data() + task / blocks * n_in;
    double* result = out.data() + task / blocks * n_out;
    const int vars = split ? d - 1 : d, i = degree_out - static_cast<int>(task % blocks);
    detail::Workspace workspace;
    const std::size_t n = padded(vars, i);
    double* q = workspace.take_array<double>(n);
    std::fill_n(q, n, 0.0);
    for (int j = split ? 0 : degree_in; j <= degree_in; ++j) {
      multiply(vars, i, j, padded_moments.data() + (split ? counts(d, i + j - 1) : 0),
               ct + (split ? counts(d, j - 1) : 0), q);
      poll_interrupt();
    }
    const double* from = q;
    double* to = result + (split ? counts(d, i - 1) : 0);
    unpad(vars, i, from, to);
  });
  detail::require_no_overflow<double>(out, "Gram product");
}

}  // namespace polycore
