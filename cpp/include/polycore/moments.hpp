// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace polycore {

/// A strided view of a matrix; strides count elements and may be negative.
template <class T>
struct MatrixView {
  const T* data = nullptr;
  std::size_t rows = 0, columns = 0;
  std::ptrdiff_t row_stride = 0, column_stride = 0;

  const T& operator()(std::size_t i, std::size_t j) const {
    return data[static_cast<std::ptrdiff_t>(i) * row_stride + static_cast<std::ptrdiff_t>(j) * column_stride];
  }
};

/// Raw sums over samples, accumulated in a stream: moments sum_s x_s^gamma up to a degree (or of exactly that degree),
/// cross moments sum_s y_st x_s^gamma with the targets, and the targets' Gram matrix sum_s y_st y_su. Not divided by n.
///
/// Method: the variables are split in two halves u, v; for each degree a of the u-part the v-part runs over a prefix of
/// its graded monomials, so a block of samples is a few small matrix products: one multiply-add per moment and sample.
///
/// The bits do not depend on how the rows were cut into updates, on the memory layout or on threads: rows are counted
/// absolutely and summed in blocks of block_rows(), the blocks along a binary tree (pairwise summation) kept as a stack
/// of partial sums; the state also holds the raw rows of the unfinished block. Within a block, 64 samples are summed in
/// chains of 16 per lane (32 in baseline code), the lanes pairwise, the block's 8 slices in order. Error of each sum:
/// at most (26 + log2(n / 512)) u sum |terms| to first order, u = 2^-53, besides the rounding of the terms themselves.
class Moments {
 public:
  /// std::invalid_argument on negative arguments, std::overflow_error when a count does not fit 64 bits.
  Moments(int n_vars, int degree, int n_targets, int cross_degree, bool homogeneous = false);
  ~Moments();
  Moments(const Moments&);
  Moments& operator=(const Moments&);
  Moments(Moments&&) noexcept;
  Moments& operator=(Moments&&) noexcept;

  /// Add the rows of X (n, n_vars) and Y (n, n_targets). All or nothing: on std::invalid_argument (shapes, NaN,
  /// infinity), NumericalError (a sum overflowed) or Interrupted the object is as before. T is float or double.
  template <class T>
  void update(MatrixView<T> X, MatrixView<T> Y, int n_threads = 0);

  std::int64_t count() const;
  static std::size_t block_rows();

  std::size_t n_moments() const;
  std::size_t n_cross() const;  // per target
  /// Length of a vector of sums: moments, then cross moments (n_targets, n_cross), then targets (n_targets, n_targets).
  std::size_t size() const;

  /// All sums so far, canonical order, the unfinished block included. Does not disturb the stream.
  std::vector<double> finalized() const;

  /// The complete state, sums in canonical order.
  struct State {
    std::int64_t count = 0;                 // all rows
    std::vector<double> base;               // finalised sums merged in earlier; empty or size()
    std::int64_t rows = 0;                  // rows of the current stream
    std::vector<int> levels;                // stack of the tree: level k is the sum of 2^k blocks, descending
    std::vector<std::vector<double>> sums;  // one per level
    std::vector<double> tail_x, tail_y;     // raw rows of the unfinished block, row-major
  };
  State state() const;
  /// std::invalid_argument when the parts do not fit together.
  void set_state(const State& state);

  /// Replace everything by finalised sums of `count` rows (canonical order): what merging two accumulators gives.
  void set_sums(std::span<const double> sums, std::int64_t count);

 private:
  struct Plan;
  struct Stream;
  std::shared_ptr<const Plan> plan_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace polycore
