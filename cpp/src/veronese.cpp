// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/veronese.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "detail/monomial_table.hpp"
#include "detail/workspace.hpp"
#include "kernels/kernel_table.hpp"
#include "polycore/monomials.hpp"
#include "polycore/parallel.hpp"

namespace polycore {
namespace {

using detail::MonomialTable;
using detail::Workspace;

constexpr std::size_t kPanelBytes = 128 * 1024;  // panel and its transpose together stay in the second-level cache
constexpr std::size_t kStreamBytes = 8 * 1024 * 1024;  // outputs larger than this bypass the cache

template <class T>
struct Kernels {
  static constexpr std::size_t kPiece = std::size_t{1} << 16;
  const kernels::KernelTable& table = kernels::active();

  void panel(std::size_t n, std::size_t stride, const MonomialTable& monomials, const T* x, std::size_t x_stride,
             T* out, std::size_t piece = kPiece) const {
    in_pieces(monomials.size(), piece, [&](std::size_t first, std::size_t last) {
      if (first == 0) ++first;  // the monomial 1
      if constexpr (std::is_same_v<T, double>)
        table.panel_f64(n, stride, first, last, monomials.parent.data(), monomials.var.data(), x, x_stride, out);
      else
        table.panel_f32(n, stride, first, last, monomials.parent.data(), monomials.var.data(), x, x_stride, out);
    });
  }
  /// Rows of monomials to rows of samples.
  void to_rows(std::size_t n_monomials, std::size_t n, const T* panel, std::size_t stride, T* rows) const {
    in_pieces(n_monomials, kPiece, [&](std::size_t first, std::size_t last) {
      transpose(last - first, n, panel + first * stride, stride, rows + first, n_monomials);
    });
  }
  void transpose(std::size_t rows, std::size_t columns, const T* src, std::size_t ss, T* dst, std::size_t ds) const {
    if constexpr (std::is_same_v<T, double>)
      table.transpose_f64(rows, columns, src, ss, dst, ds);
    else
      table.transpose_f32(rows, columns, src, ss, dst, ds);
  }

 private:
  // Pieces of so many monomials that the interrupt hook is looked at often enough.
  template <class Body>
  static void in_pieces(std::size_t n, std::size_t piece, const Body& body) {
    for (std::size_t first = 0; first < n; first += piece) {
      body(first, std::min(n, first + piece));
      if (n > piece) poll_interrupt();
    }
  }
};

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
  if (count_monomials(n_vars, degree) > std::numeric_limits<std::uint32_t>::max())
    throw std::overflow_error("the monomials of lower degree, from which those of degree " + std::to_string(degree) +
                              " are made, are more than 2^32");
  const MonomialTable monomials(n_vars, degree);
  const std::size_t N = monomials.size(),
                    first = N - n_columns;  // homogeneous: only the block of the top degree is wanted
  const std::size_t block = std::clamp<std::size_t>(kPanelBytes / sizeof(T) / N / 16 * 16, 16, 256);
  const std::size_t n_blocks = (n_samples + block - 1) / block;
  const bool stream = out.size_bytes() > kStreamBytes;
  const Kernels<T> kernel;
  if (out.size() < 100'000) n_threads = 1;
  parallel_for(n_blocks, n_threads, [&](std::size_t task) {
    const std::size_t s0 = task * block, n = std::min(block, n_samples - s0);
    Workspace workspace;
    T* x = workspace.take_array<T>(n_in * block);
    kernel.transpose(n, n_in, X.data() + s0 * n_in, n_in, x, block);
    if (order == Order::column_major && !homogeneous) {
      T* columns = out.data() + s0;
      std::fill_n(columns, n, T{1});
      // Columns of fresh memory lie in as many (huge) pages, which the system clears when they are touched.
      kernel.panel(n, n_samples, monomials, x, block, columns, 128);
      return;
    }
    T* panel = workspace.take_array<T>(N * block);
    std::fill_n(panel, n, T{1});
    kernel.panel(n, block, monomials, x, block, panel);
    if (order == Order::column_major) {
      for (std::size_t k = 0; k < n_columns; ++k)
        std::copy_n(panel + (first + k) * block, n, out.data() + k * n_samples + s0);
      return;
    }
    T* rows = out.data() + s0 * n_columns;
    if (!stream) {
      kernel.to_rows(n_columns, n, panel + first * block, block, rows);
      return;
    }
    T* slab = workspace.take_array<T>(n * n_columns);
    kernel.to_rows(n_columns, n, panel + first * block, block, slab);
    kernel.table.stream(slab, rows, n * n_columns * sizeof(T));
  });
}

template void veronese<float>(std::size_t, int, int, bool, std::span<const float>, std::span<float>, Order, int);
template void veronese<double>(std::size_t, int, int, bool, std::span<const double>, std::span<double>, Order, int);

}  // namespace polycore
