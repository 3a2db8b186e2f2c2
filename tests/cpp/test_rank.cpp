// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/rank.hpp"

#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using polycore::Modulus;

namespace {

using Matrix = std::vector<std::uint64_t>;
using Rng = std::mt19937_64;

Matrix random_matrix(Rng& rng, std::size_t rows, std::size_t cols, std::uint64_t p) {
  Matrix m(rows * cols);
  for (auto& entry : m) entry = rng() % p;
  return m;
}

Matrix product(const Matrix& a, const Matrix& b, std::size_t rows, std::size_t inner, std::size_t cols,
               const Modulus& field) {
  Matrix c(rows * cols);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t k = 0; k < inner; ++k)
      for (std::size_t j = 0; j < cols; ++j)
        c[i * cols + j] = field.add(c[i * cols + j], field.multiply(a[i * inner + k], b[k * cols + j]));
  return c;
}

Matrix transposed(const Matrix& a, std::size_t rows, std::size_t cols) {
  Matrix t(a.size());
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j) t[j * rows + i] = a[i * cols + j];
  return t;
}

std::size_t rank(Matrix a, std::size_t rows, std::size_t cols, const Modulus& field, int n_threads = 1) {
  return polycore::modular_rank(a, rows, cols, field, n_threads);
}

}  // namespace

TEST(products_of_random_factors_have_the_inner_rank) {
  check::for_each_isa([] {
    Rng rng(1);
    for (const std::uint64_t p : {(1ull << 31) - 1, (1ull << 61) - 1}) {
      const Modulus field(p);
      for (const auto& [rows, cols, inner] : std::vector<std::array<std::size_t, 3>>{
               {1, 1, 0}, {5, 9, 3}, {9, 5, 5}, {40, 20, 20}, {30, 61, 17}, {100, 100, 99}, {150, 130, 64}}) {
        const Matrix a =
            product(random_matrix(rng, rows, inner, p), random_matrix(rng, inner, cols, p), rows, inner, cols, field);
        CHECK_EQUAL(rank(a, rows, cols, field), inner);
        CHECK_EQUAL(rank(transposed(a, rows, cols), cols, rows, field), inner);
      }
    }
  });
}

TEST(empty_matrices_have_rank_zero) {
  const Modulus field(7);
  CHECK_EQUAL(rank({}, 0, 0, field), 0u);
  CHECK_EQUAL(rank({}, 0, 5, field), 0u);
  CHECK_EQUAL(rank({}, 5, 0, field), 0u);
}

TEST(wrong_sizes_raise) {
  const Modulus field(7);
  CHECK_THROWS(rank({1, 2, 3}, 2, 2, field), std::invalid_argument);
  CHECK_THROWS(rank({1, 2, 3}, 3, 0, field), std::invalid_argument);
  CHECK_THROWS(rank({1, 2, 3, 4}, 1, 2, field), std::invalid_argument);
}
