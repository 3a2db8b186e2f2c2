// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/rank.hpp"

#include <algorithm>
#include <stdexcept>

#include "polycore/parallel.hpp"

namespace polycore {

std::size_t modular_rank(std::span<std::uint64_t> matrix, std::size_t rows, std::size_t cols, const Modulus& modulus,
                         int) {
  if (cols == 0 ? !matrix.empty() : matrix.size() / cols != rows || matrix.size() % cols != 0)
    throw std::invalid_argument("`matrix` must hold rows * cols entries");
  const std::uint64_t p = modulus.p();
  std::size_t rank = 0;
  for (std::size_t column = 0; column < cols && rank < rows; ++column) {
    std::size_t pivot = rank;
    while (pivot < rows && matrix[pivot * cols + column] == 0) ++pivot;
    if (pivot == rows) continue;
    std::uint64_t* top = matrix.data() + rank * cols;
    if (pivot != rank) std::swap_ranges(top, top + cols, matrix.data() + pivot * cols);
    const std::uint64_t inverse = modulus.inverse(top[column]);
    for (std::size_t i = rank + 1; i < rows; ++i) {
      std::uint64_t* row = matrix.data() + i * cols;
      if (row[column] == 0) continue;
      const std::uint64_t factor = p - modulus.multiply(row[column], inverse);
      for (std::size_t j = column; j < cols; ++j) row[j] = modulus.add(row[j], modulus.multiply(factor, top[j]));
      poll_interrupt();
    }
    ++rank;
  }
  return rank;
}

}  // namespace polycore
