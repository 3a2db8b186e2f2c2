// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "polycore/modular.hpp"

/// Elimination over GF(p). Exact: no tolerance enters.
namespace polycore {

/// Rank over GF(p) of `matrix` (rows, cols), row-major, entries in [0, p). The matrix is used as workspace and holds
/// nothing meaningful afterwards. O(rows cols rank) operations; the result does not depend on n_threads.
/// std::invalid_argument when the span is not rows * cols long.
std::size_t modular_rank(std::span<std::uint64_t> matrix, std::size_t rows, std::size_t cols, const Modulus& modulus,
                         int n_threads = 0);

/// Replaces `matrix` by its reduced row echelon form over GF(p), in which rows of zeros come last, and returns the
/// pivot columns, ascending. O(rows cols rank) operations, on the calling thread. std::invalid_argument when the span
/// is not rows * cols long.
std::vector<std::size_t> modular_echelon(std::span<std::uint64_t> matrix, std::size_t rows, std::size_t cols,
                                         const Modulus& modulus);

}  // namespace polycore
