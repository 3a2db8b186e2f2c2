// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/veronese.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "detail/fresh_pages.hpp"
#include "detail/monomial_table.hpp"
#include "detail/workspace.hpp"
#include "kernels/kernel_table.hpp"
#include "polycore/monomials.hpp"
#include "polycore/parallel.hpp"

namespace polycore {
namespace {

using detail::FreshPages;
using detail::MonomialTable;
using detail::Workspace;
using kernels::MonomialRun;

constexpr std::size_t kBlockBytes = 8 * 1024;        // rows made together: a part of the first-level cache
constexpr std::size_t kLongRowBytes = 4 * 1024;      // rows that are made where they belong, instead of being copied
constexpr std::size_t kTaskBytes = 4 * 1024 * 1024;  // several huge pages: two threads seldom meet in one
constexpr std::size_t kPanelBytes = 128 * 1024;      // the panel stays in the second-level cache

template <class T>
struct Problem {
  std::size_t n_samples, n_vars;
  int degree;
  bool homogeneous;
  const T* X;
  T* out;
  std::size_t n_monomials, n_columns;  // of degree <= D; of the result

  std::size_t first_column() const { return n_monomials - n_columns; }
};

// ---- by rows ----------------------------------------------------------------------------------------

/// The monomials x_i m, where m runs through the monomials of degree k - 1 in x_i, x_{i+1}, ..., follow each other, and
/// so do the m: they are the last ones of their degree.
struct RunTable {
  static constexpr std::size_t kLongest = std::size_t{1} << 14;
  std::vector<MonomialRun> runs;  // all but the monomial 1
  std::size_t n_lower = 0;        // runs below the top degree

  RunTable(int n_vars, int degree) {
    std::size_t end = 1;  // of the monomials of degree k - 1
    for (int k = 1; k <= degree; ++k) {
      n_lower = runs.size();
      std::size_t position = end;
      for (int i = 0; i < n_vars; ++i) {
        const std::size_t count = count_forms(n_vars - i, k - 1);
        for (std::size_t done = 0; done < count; done += kLongest)
          runs.push_back(
              {position + done, end - count + done, std::min(kLongest, count - done), static_cast<std::size_t>(i)});
        position += count;
        if (i % 1024 == 1023) poll_interrupt();
      }
      end = position;
    }
  }
};

/// Rows of all monomials of degree <= D of `n` samples: those below the top degree go to `low`, the others to `top`,
/// whose rows begin with monomial `top_begin`.
template <class T>
void make_rows(const RunTable& table, std::size_t n, std::size_t n_vars, std::size_t n_monomials, const T* x, T* low,
               std::size_t low_size, T* top, std::size_t top_begin) {
  constexpr std::size_t kPiece = 64;  // runs between looks at the interrupt hook
  const kernels::KernelTable& kernel = kernels::active();
  const std::size_t low_stride = low_size, top_stride = n_monomials - top_begin;
  for (std::size_t s = 0; s < n; ++s) low[s * low_stride] = T{1};
  const auto run = [&](std::size_t first, std::size_t last, T* to, std::size_t stride, std::size_t begin,
                       std::size_t end) {
    for (; first < last; first += kPiece) {
      const std::size_t n_runs = std::min(kPiece, last - first);
      const MonomialRun* runs = table.runs.data() + first;
      if constexpr (std::is_same_v<T, double>)
        kernel.monomial_rows_f64(n, runs, n_runs, x, n_vars, low, low_stride, to, stride, begin, end);
      else
        kernel.monomial_rows_f32(n, runs, n_runs, x, n_vars, low, low_stride, to, stride, begin, end);
      if (n_runs == kPiece) poll_interrupt();
    }
  };
  run(0, table.n_lower, low, low_stride, 0, low_size);
  run(table.n_lower, table.runs.size(), top, top_stride, top_begin, n_monomials);
}

template <class T>
void by_rows(const Problem<T>& p, int n_threads) {
  const RunTable table(static_cast<int>(p.n_vars), p.degree);
  const std::size_t N = p.n_monomials, first = p.first_column(), row_bytes = N * sizeof(T);
  const bool in_place = row_bytes > kLongRowBytes;
  const std::size_t block = in_place ? 1 : std::clamp<std::size_t>(kBlockBytes / row_bytes, 1, 64);
  const std::size_t rows = (std::max<std::size_t>(1, kTaskBytes / row_bytes) + block - 1) / block * block;
  parallel_for((p.n_samples + rows - 1) / rows, n_threads, [&](std::size_t task) {
    const std::size_t begin = task * rows, end = std::min(begin + rows, p.n_samples);
    Workspace workspace;
    T* scratch = in_place ? nullptr : workspace.take_array<T>(block * p.n_columns + kernels::kRowOverrun);
    T* lower = first == 0 ? nullptr : workspace.take_array<T>(block * first + kernels::kRowOverrun);
    FreshPages pages(p.out + begin * p.n_columns, p.out + p.n_samples * p.n_columns);
    for (std::size_t s = begin; s < end; s += block) {
      const std::size_t n = std::min(block, end - s);
      T* out = p.out + s * p.n_columns;
      pages.reach(out + n * p.n_columns);
      T* top = in_place ? out : scratch;
      make_rows(table, n, p.n_vars, N, p.X + s * p.n_vars, first == 0 ? top : lower, first == 0 ? N : first, top,
                first);
      if (!in_place) kernels::active().copy_lines(top, out, n * p.n_columns * sizeof(T));
    }
  });
}

// ---- by columns -------------------------------------------------------------------------------------

template <class T>
void make_panel(std::size_t n, std::size_t stride, const MonomialTable& monomials, const T* x, std::size_t x_stride,
                T* out, std::size_t piece) {
  const kernels::KernelTable& kernel = kernels::active();
  std::fill_n(out, n, T{1});
  for (std::size_t begin = 0; begin < monomials.size(); begin += piece) {
    const std::size_t first = std::max<std::size_t>(begin, 1), last = std::min(begin + piece, monomials.size());
    const std::uint32_t *parent = monomials.parent.data(), *var = monomials.var.data();
    if constexpr (std::is_same_v<T, double>)
      kernel.panel_f64(n, stride, first, last, parent, var, x, x_stride, out);
    else
      kernel.panel_f32(n, stride, first, last, parent, var, x, x_stride, out);
    if (monomials.size() > piece) poll_interrupt();
  }
}

template <class T>
void by_columns(const Problem<T>& p, int n_threads) {
  const MonomialTable monomials(static_cast<int>(p.n_vars), p.degree);
  const std::size_t N = p.n_monomials, first = p.first_column();
  const std::size_t block = std::clamp<std::size_t>(kPanelBytes / sizeof(T) / N / 16 * 16, 16, 256);
  // Every block of samples writes to every column, so the pages of new memory are made before.
  const std::size_t size = p.n_samples * p.n_columns, part = 8 * kTaskBytes / sizeof(T);
  parallel_for((size + part - 1) / part, n_threads, [&](std::size_t task) {
    T *begin = p.out + task * part, *end = p.out + std::min(size, (task + 1) * part);
    FreshPages(begin, end).reach(end);
  });
  parallel_for((p.n_samples + block - 1) / block, n_threads, [&](std::size_t task) {
    const std::size_t s0 = task * block, n = std::min(block, p.n_samples - s0);
    Workspace workspace;
    T* x = workspace.take_array<T>(p.n_vars * block);
    if constexpr (std::is_same_v<T, double>)
      kernels::active().transpose_f64(n, p.n_vars, p.X + s0 * p.n_vars, p.n_vars, x, block);
    else
      kernels::active().transpose_f32(n, p.n_vars, p.X + s0 * p.n_vars, p.n_vars, x, block);
    if (first == 0) {
      // Columns of fresh memory lie in as many (huge) pages, which the system clears when they are touched.
      make_panel(n, p.n_samples, monomials, x, block, p.out + s0, 128);
      return;
    }
    T* panel = workspace.take_array<T>(N * block);
    make_panel(n, block, monomials, x, block, panel, std::size_t{1} << 16);
    for (std::size_t k = 0; k < p.n_columns; ++k)
      std::copy_n(panel + (first + k) * block, n, p.out + k * p.n_samples + s0);
  });
}

}  // namespace

template <class T>
void veronese(std::size_t n_samples, int n_vars, int degree, bool homogeneous, std::span<const T> X, std::span<T> out,
              Order order, int n_threads) {
  const MonomialBasis basis(n_vars, degree, homogeneous);
  const std::size_t n_columns = basis.size(), n_in = static_cast<std::size_t>(n_vars);
  if (X.size() != n_samples * n_in) throw std::invalid_argument("`X` must have shape (n_samples, n_vars)");
  if (out.size() != n_samples * n_columns)
    throw std::invalid_argument("`out` must have shape (n_samples, n_monomials=" + std::to_string(n_columns) + ")");
  if (n_samples == 0) return;
  const std::size_t n_monomials = count_monomials(n_vars, degree);
  if (n_monomials > std::numeric_limits<std::uint32_t>::max())
    throw std::overflow_error("the monomials of lower degree, from which those of degree " + std::to_string(degree) +
                              " are made, are more than 2^32");
  const Problem<T> problem{n_samples, n_in, degree, homogeneous, X.data(), out.data(), n_monomials, n_columns};
  if (out.size() < 100'000) n_threads = 1;
  if (order == Order::row_major && n_columns > 1)
    by_rows(problem, n_threads);
  else
    by_columns(problem, n_threads);
}

template void veronese<float>(std::size_t, int, int, bool, std::span<const float>, std::span<float>, Order, int);
template void veronese<double>(std::size_t, int, int, bool, std::span<const double>, std::span<double>, Order, int);

}  // namespace polycore
