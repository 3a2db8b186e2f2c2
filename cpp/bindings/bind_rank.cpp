// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/rank.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"

namespace polycore::bindings {

namespace {

using Entries = std::unique_ptr<std::uint64_t[]>;

// The kernels rely on it.
void require_residues(std::span<const std::uint64_t> entries, std::uint64_t p) {
  std::uint64_t largest = 0;
  for (const std::uint64_t entry : entries) largest = std::max(largest, entry);
  require(largest < p, "matrix", "canonical residues, in [0, modulus)");
}

// In tiles, so that a line of cache is not fetched for each entry.
void transpose(std::span<const std::uint64_t> entries, std::size_t rows, std::size_t cols, std::uint64_t* out) {
  constexpr std::size_t tile = 16;
  for (std::size_t i = 0; i < rows; i += tile)
    for (std::size_t j = 0; j < cols; j += tile)
      for (std::size_t k = j; k < std::min(cols, j + tile); ++k)
        for (std::size_t l = i; l < std::min(rows, i + tile); ++l) out[k * rows + l] = entries[l * cols + k];
}

// The rank of a copy, which has no more rows than columns: elimination ends as soon as every row has a pivot.
std::size_t rank_of_copy(std::span<const std::uint64_t> entries, std::size_t rows, std::size_t cols,
                         const Modulus& field, int n_threads) {
  const Entries copy = std::make_unique_for_overwrite<std::uint64_t[]>(entries.size());
  if (rows > cols) {
    transpose(entries, rows, cols, copy.get());
    std::swap(rows, cols);
  } else {
    std::copy(entries.begin(), entries.end(), copy.get());
  }
  return modular_rank({copy.get(), entries.size()}, rows, cols, field, n_threads);
}

}  // namespace

void bind_rank(py::module_& m) {
  using namespace py::literals;
  m.def(
      "modular_rank",
      [](py::array matrix, std::uint64_t modulus, bool overwrite, int n_threads) {
        const Modulus field(modulus);
        const auto entries = input<std::uint64_t>(matrix, "matrix");
        require(matrix.ndim() == 2, "matrix", "two-dimensional");
        const auto rows = static_cast<std::size_t>(matrix.shape(0)), cols = static_cast<std::size_t>(matrix.shape(1));
        const auto work = overwrite ? output<std::uint64_t>(matrix, "matrix") : std::span<std::uint64_t>{};
        const py::gil_scoped_release release;
        require_residues(entries, modulus);
        return overwrite ? modular_rank(work, rows, cols, field, n_threads)
                         : rank_of_copy(entries, rows, cols, field, n_threads);
      },
      "matrix"_a, "modulus"_a, "overwrite"_a = false, "n_threads"_a = 1);
  m.def(
      "modular_echelon",
      [](py::array matrix, std::uint64_t modulus) {
        const Modulus field(modulus);
        const auto work = output<std::uint64_t>(matrix, "matrix");
        require(matrix.ndim() == 2, "matrix", "two-dimensional");
        const auto rows = static_cast<std::size_t>(matrix.shape(0)), cols = static_cast<std::size_t>(matrix.shape(1));
        std::vector<std::size_t> pivots;
        {
          const py::gil_scoped_release release;
          require_residues(work, modulus);
          pivots = modular_echelon(work, rows, cols, field);
        }
        py::array_t<std::int64_t> result(static_cast<py::ssize_t>(pivots.size()));
        std::copy(pivots.begin(), pivots.end(), result.mutable_data());
        return result;
      },
      "matrix"_a, "modulus"_a);
}

}  // namespace polycore::bindings
