// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/rank.hpp"

#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"

namespace polycore::bindings {

namespace {

// Extents of a matrix of residues below p, whose values the kernels rely on.
std::pair<std::size_t, std::size_t> check_residues(const py::array& matrix, std::span<const std::uint64_t> entries,
                                                   std::uint64_t p) {
  require(matrix.ndim() == 2, "matrix", "two-dimensional");
  std::uint64_t largest = 0;
  for (const std::uint64_t entry : entries) largest = std::max(largest, entry);
  require(largest < p, "matrix", "canonical residues, in [0, modulus)");
  return {static_cast<std::size_t>(matrix.shape(0)), static_cast<std::size_t>(matrix.shape(1))};
}

}  // namespace

void bind_rank(py::module_& m) {
  using namespace py::literals;
  m.def(
      "modular_rank",
      [](py::array matrix, std::uint64_t modulus, bool overwrite, int n_threads) {
        const Modulus field(modulus);
        const auto entries = input<std::uint64_t>(matrix, "matrix");
        const auto [rows, cols] = check_residues(matrix, entries, modulus);
        if (overwrite) {
          const auto work = output<std::uint64_t>(matrix, "matrix");
          const py::gil_scoped_release release;
          return modular_rank(work, rows, cols, field, n_threads);
        }
        const py::gil_scoped_release release;
        std::vector<std::uint64_t> work(entries.begin(), entries.end());
        return modular_rank(work, rows, cols, field, n_threads);
      },
      "matrix"_a, "modulus"_a, "overwrite"_a = false, "n_threads"_a = 1);
}

}  // namespace polycore::bindings
