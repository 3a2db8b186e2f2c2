// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/rank.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "detail/workspace.hpp"
#include "kernels/kernel_table.hpp"
#include "polycore/parallel.hpp"

namespace polycore {

namespace {

using Entry = std::uint64_t;
using kernels::kEliminationDepth;
using kernels::kEliminationLanes;
using kernels::kEliminationPanel;

// Products with fewer multiplications than this stay on the calling thread.
constexpr std::size_t kThreadedWork = std::size_t{1} << 21;
// The part of C that one task updates. The part of B that goes with it, 256 * 256 entries, fits a second-level cache.
constexpr std::size_t kTaskRows = 384, kTaskColumns = 256;
// Columns that are reduced together.
constexpr std::size_t kReductionBlock = 64;

/// Entries are below 2^31 in absolute value: the kernels multiply their lower halves.
bool is_small(const Modulus& modulus) { return modulus.p() < Entry{1} << 31; }

void check_arguments(std::span<const Entry> matrix, std::size_t rows, std::size_t cols, const Modulus& modulus) {
  if (cols == 0 ? !matrix.empty() : matrix.size() / cols != rows || matrix.size() % cols != 0)
    throw std::invalid_argument("`matrix` must hold rows * cols entries");
  if (!is_small(modulus) && modulus.p() % 2 == 0)
    throw std::invalid_argument("`modulus` must be prime, got " + std::to_string(modulus.p()));
}

const kernels::EliminationKernels& kernels_for(const Modulus& modulus) {
  return is_small(modulus) ? kernels::active().small_field : kernels::active().large_field;
}

/// Block elimination by halves of the columns: the left half, its effect on the right half, the right half.
///
/// Only what is still needed is kept: the columns of -L of a block, next to each other at its beginning, until the
/// blocks to the right have been updated. U is used up on the way.
class Elimination {
 public:
  Elimination(Entry* matrix, std::size_t rows, std::size_t cols, const Modulus& modulus, int n_threads)
      : matrix_(matrix),
        rows_(rows),
        cols_(cols),
        kernels_(kernels_for(modulus)),
        field_(kernels_.field(modulus.p())),
        transpose_(kernels::active().transpose_f64),
        n_threads_(n_threads) {}

  std::size_t rank() {
    kernels_.encode(rows_ * cols_, matrix_, &field_);
    return eliminate(0, 0, cols_);
  }

 private:
  Entry* at(std::size_t row, std::size_t col) const { return matrix_ + row * cols_ + col; }

  /// Rank of the rows from `row` on in columns [begin, end).
  std::size_t eliminate(std::size_t row, std::size_t begin, std::size_t end) {
    if (row == rows_) return 0;
    if (end - begin <= kEliminationPanel) return eliminate_panel(row, begin, end);
    const std::size_t panels = (end - begin + kEliminationPanel - 1) / kEliminationPanel;
    const std::size_t middle = begin + (panels + 1) / 2 * kEliminationPanel;
    const std::size_t left = eliminate(row, begin, middle);
    if (left > 0 && row + left < rows_) {
      solve(row, begin, left, middle, end);
      update(row + left, rows_, row, begin, left, middle, end);
    }
    const std::size_t right = eliminate(row + left, middle, end);
    if (right > 0 && end < cols_ && begin + left < middle)
      for (std::size_t i = row + left; i < rows_; ++i)
        std::memmove(at(i, begin + left), at(i, middle), right * sizeof(Entry));
    return left + right;
  }

  std::size_t eliminate_panel(std::size_t row, std::size_t begin, std::size_t end) {
    poll_interrupt();
    detail::Workspace workspace;
    const std::size_t rows = rows_ - row, width = end - begin;
    const std::size_t height = (rows + kEliminationLanes - 1) / kEliminationLanes * kEliminationLanes;
    Entry* panel = workspace.take_array<Entry>(height * width);
    // Bits are moved, not numbers.
    transpose_(rows, width, reinterpret_cast<const double*>(at(row, begin)), cols_, reinterpret_cast<double*>(panel),
               height);
    for (std::size_t k = 0; k < width; ++k) std::fill(panel + k * height + rows, panel + (k + 1) * height, 0);
    std::size_t exchanges[kEliminationPanel];
    const std::size_t rank = kernels_.panel(rows, height, width, panel, exchanges, &field_);
    for (std::size_t k = 0; k < rank; ++k)
      if (exchanges[k] != k) std::swap_ranges(at(row + k, 0), at(row + k + 1, 0), at(row + exchanges[k], 0));
    if (rank > 0 && end < cols_)
      transpose_(rank, rows, reinterpret_cast<const double*>(panel), height, reinterpret_cast<double*>(at(row, begin)),
                 cols_);
    return rank;
  }

  /// Rows [row, row + n) of columns [begin, end) times the inverse of L, which starts at (row, col).
  void solve(std::size_t row, std::size_t col, std::size_t n, std::size_t begin, std::size_t end) {
    if (n <= kEliminationPanel) {
      const std::size_t step = std::size_t{1} << 14;
      for (std::size_t j = begin; j < end; j += step) {
        kernels_.solve(n, std::min(step, end - j), at(row, col), cols_, at(row, j), cols_, &field_);
        poll_interrupt();
      }
      return;
    }
    const std::size_t half = (n / 2 + kEliminationPanel - 1) / kEliminationPanel * kEliminationPanel;
    solve(row, col, half, begin, end);
    update(row + half, row + n, row, col, half, begin, end);
    solve(row + half, col + half, n - half, begin, end);
  }

  /// Rows [first, last) of columns [begin, end) -= L U, with L in the `depth` columns from `col` on, and U in the rows
  /// from `row` on.
  void update(std::size_t first, std::size_t last, std::size_t row, std::size_t col, std::size_t depth,
              std::size_t begin, std::size_t end) {
    const std::size_t rows = last - first, columns = end - begin;
    const std::size_t row_tasks = (rows + kTaskRows - 1) / kTaskRows;
    const std::size_t column_tasks = (columns + kTaskColumns - 1) / kTaskColumns;
    const auto task = [&](std::size_t index) {
      const std::size_t i = first + index % row_tasks * kTaskRows, j = begin + index / row_tasks * kTaskColumns;
      update_block(i, std::min(last, i + kTaskRows), row, col, depth, j, std::min(end, j + kTaskColumns));
    };
    const std::size_t n_tasks = row_tasks * column_tasks;
    if (n_tasks == 1)
      task(0);
    else
      parallel_for(n_tasks, rows * columns * depth < kThreadedWork ? 1 : n_threads_, task);
  }

  void update_block(std::size_t first, std::size_t last, std::size_t row, std::size_t col, std::size_t depth,
                    std::size_t begin, std::size_t end) const {
    detail::Workspace workspace;
    const std::size_t columns = end - begin, tiles = (columns + kernels_.tile_columns - 1) / kernels_.tile_columns;
    Entry* packed = workspace.take_array<Entry>(std::min(depth, kEliminationDepth) * tiles * kernels_.tile_columns);
    for (std::size_t k = 0; k < depth; k += kEliminationDepth) {
      const std::size_t n = std::min(kEliminationDepth, depth - k);
      kernels_.pack(n, columns, at(row + k, begin), cols_, packed);
      kernels_.update(last - first, n, columns, at(first, col + k), cols_, packed, at(first, begin), cols_, &field_);
    }
  }

  Entry* matrix_;
  std::size_t rows_, cols_;
  const kernels::EliminationKernels& kernels_;
  kernels::EliminationField field_;
  decltype(kernels::KernelTable::transpose_f64) transpose_;
  int n_threads_;
};

/// Gauss-Jordan elimination of a small matrix of encoded entries, a row operation at a time.
class RowReduction {
 public:
  /// Row `row` was exchanged with the next pivot row, for the pivot in `column`.
  struct Step {
    std::size_t row, column;
  };

  RowReduction(Entry* matrix, std::size_t rows, std::size_t cols, const Modulus& modulus)
      : matrix_(matrix),
        rows_(rows),
        cols_(cols),
        modulus_(modulus),
        kernels_(kernels_for(modulus)),
        field_(kernels_.field(modulus.p())),
        packed_((cols + kernels_.tile_columns) / kernels_.tile_columns * kernels_.tile_columns),
        factors_(rows) {}

  std::vector<Step> run() {
    std::vector<Step> steps;
    for (std::size_t column = 0; column < cols_ && steps.size() < rows_; ++column) {
      const std::size_t row = eliminate(steps.size(), column);
      if (row < rows_) steps.push_back({row, column});
    }
    return steps;
  }

 private:
  Entry* at(std::size_t row, std::size_t column) const { return matrix_ + row * cols_ + column; }

  /// Makes `column` a unit vector with its 1 in row `rank`, unless it is zero from there on; the row that was
  /// exchanged.
  std::size_t eliminate(std::size_t rank, std::size_t column) {
    poll_interrupt();
    std::size_t pivot = rank;
    while (pivot < rows_ && *at(pivot, column) == 0) ++pivot;
    if (pivot == rows_) return rows_;
    if (pivot != rank) std::swap_ranges(at(rank, 0), at(rank, 0) + cols_, at(pivot, 0));
    factors_[rank] = modulus_.inverse(residue(*at(rank, column)));
    kernels_.encode_left(1, &factors_[rank], &field_);
    pack(rank, column);
    std::fill(at(rank, column), at(rank, 0) + cols_, 0);
    add_multiples(rank, rank + 1, column);
    pack(rank, column);
    for (std::size_t i = 0; i < rows_; ++i) {
      const Entry x = residue(*at(i, column));
      factors_[i] = x == 0 ? 0 : modulus_.p() - x;
    }
    kernels_.encode_left(rows_, factors_.data(), &field_);
    add_multiples(0, rank, column);
    add_multiples(rank + 1, rows_, column);
    return pivot;
  }

  void pack(std::size_t row, std::size_t column) {
    kernels_.pack(1, cols_ - column, at(row, column), cols_, packed_.data());
  }
  /// To rows [first, last), their factors times the packed row.
  void add_multiples(std::size_t first, std::size_t last, std::size_t column) {
    if (first < last)
      kernels_.update(last - first, 1, cols_ - column, &factors_[first], 1, packed_.data(), at(first, column), cols_,
                      &field_);
  }

  Entry residue(Entry x) const {
    kernels_.decode(1, &x, &field_);
    return x;
  }

  Entry* matrix_;
  std::size_t rows_, cols_;
  const Modulus& modulus_;
  const kernels::EliminationKernels& kernels_;
  kernels::EliminationField field_;
  std::vector<Entry> packed_, factors_;
};

/// Gauss-Jordan elimination by blocks of columns.
///
/// A copy of a block tells which rows and columns have its pivots. With F the pivot columns and B their pivot rows, the
/// pivot rows are multiplied by the inverse of B, and F times the result is subtracted from all other rows: nearly all
/// the work is in this product.
class Reduction {
 public:
  Reduction(Entry* matrix, std::size_t rows, std::size_t cols, const Modulus& modulus)
      : matrix_(matrix),
        rows_(rows),
        cols_(cols),
        modulus_(modulus),
        kernels_(kernels_for(modulus)),
        field_(kernels_.field(modulus.p())) {}

  std::vector<std::size_t> pivots() {
    kernels_.encode(rows_ * cols_, matrix_, &field_);
    for (std::size_t first = 0; first < cols_ && found_.size() < rows_; first += kReductionBlock)
      reduce_block(first, std::min(cols_, first + kReductionBlock));
    kernels_.decode(rows_ * cols_, matrix_, &field_);
    return std::move(found_);
  }

 private:
  Entry* at(std::size_t row, std::size_t column) const { return matrix_ + row * cols_ + column; }

  void reduce_block(std::size_t first, std::size_t last) {
    const std::size_t rank = found_.size(), width = last - first;
    std::vector<Entry> block((rows_ - rank) * width);
    for (std::size_t i = rank; i < rows_; ++i) std::copy_n(at(i, first), width, &block[(i - rank) * width]);
    const auto steps = RowReduction(block.data(), rows_ - rank, width, modulus_).run();
    if (steps.empty()) return;
    for (std::size_t k = 0; k < steps.size(); ++k) {
      found_.push_back(first + steps[k].column);
      if (steps[k].row != k) std::swap_ranges(at(rank + k, 0), at(rank + k, 0) + cols_, at(rank + steps[k].row, 0));
    }
    const std::size_t n = steps.size();
    std::vector<Entry> factors(rows_ * n);
    for (std::size_t i = 0; i < rows_; ++i)
      for (std::size_t k = 0; k < n; ++k) factors[i * n + k] = *at(i, found_[rank + k]);
    std::vector<Entry> inverse = inverse_of(&factors[rank * n], n);
    kernels_.decode(factors.size(), factors.data(), &field_);
    for (Entry& x : factors) x = x == 0 ? 0 : modulus_.p() - x;
    kernels_.encode_left(factors.size(), factors.data(), &field_);
    for (std::size_t begin = first; begin < cols_; begin += kTaskColumns) {
      const std::size_t end = std::min(cols_, begin + kTaskColumns);
      pack(rank, n, begin, end);
      for (std::size_t i = rank; i < rank + n; ++i) std::fill(at(i, begin), at(i, 0) + end, 0);
      add_product(inverse.data(), n, rank, rank + n, begin, end);
      pack(rank, n, begin, end);
      add_product(factors.data(), n, 0, rank, begin, end);
      add_product(&factors[(rank + n) * n], n, rank + n, rows_, begin, end);
    }
  }

  /// The inverse of an n x n matrix, ready to multiply from the left.
  std::vector<Entry> inverse_of(const Entry* matrix, std::size_t n) const {
    std::vector<Entry> both(2 * n * n), inverse(n * n);
    for (std::size_t i = 0; i < n; ++i) both[2 * n * i + n + i] = 1;
    kernels_.encode(both.size(), both.data(), &field_);
    for (std::size_t i = 0; i < n; ++i) std::copy_n(matrix + i * n, n, &both[2 * n * i]);
    RowReduction(both.data(), n, 2 * n, modulus_).run();
    for (std::size_t i = 0; i < n; ++i) std::copy_n(&both[2 * n * i + n], n, &inverse[i * n]);
    kernels_.decode(inverse.size(), inverse.data(), &field_);
    kernels_.encode_left(inverse.size(), inverse.data(), &field_);
    return inverse;
  }

  void pack(std::size_t row, std::size_t n, std::size_t begin, std::size_t end) {
    const std::size_t tiles = (end - begin + kernels_.tile_columns - 1) / kernels_.tile_columns;
    packed_.resize(n * tiles * kernels_.tile_columns);
    kernels_.pack(n, end - begin, at(row, begin), cols_, packed_.data());
  }
  /// To rows [first, last) of columns [begin, end), their factors times the packed rows.
  void add_product(const Entry* factors, std::size_t n, std::size_t first, std::size_t last, std::size_t begin,
                   std::size_t end) {
    for (std::size_t i = first; i < last; i += kTaskRows) {
      poll_interrupt();
      kernels_.update(std::min(kTaskRows, last - i), n, end - begin, factors + (i - first) * n, n, packed_.data(),
                      at(i, begin), cols_, &field_);
    }
  }

  Entry* matrix_;
  std::size_t rows_, cols_;
  const Modulus& modulus_;
  const kernels::EliminationKernels& kernels_;
  kernels::EliminationField field_;
  std::vector<std::size_t> found_;
  std::vector<Entry> packed_;
};

}  // namespace

std::size_t modular_rank(std::span<std::uint64_t> matrix, std::size_t rows, std::size_t cols, const Modulus& modulus,
                         int n_threads) {
  check_arguments(matrix, rows, cols, modulus);
  if (matrix.empty()) return 0;
  std::vector<Entry> transposed;
  if (rows > cols + cols / 2) {
    // Elimination ends when every row has a pivot, so the shorter side should be the rows.
    transposed.resize(matrix.size());
    kernels::active().transpose_f64(rows, cols, reinterpret_cast<const double*>(matrix.data()), cols,
                                    reinterpret_cast<double*>(transposed.data()), rows);
    matrix = transposed;
    std::swap(rows, cols);
  }
  return Elimination(matrix.data(), rows, cols, modulus, n_threads).rank();
}

std::vector<std::size_t> modular_echelon(std::span<std::uint64_t> matrix, std::size_t rows, std::size_t cols,
                                         const Modulus& modulus) {
  check_arguments(matrix, rows, cols, modulus);
  if (matrix.empty()) return {};
  return Reduction(matrix.data(), rows, cols, modulus).pivots();
}

}  // namespace polycore
