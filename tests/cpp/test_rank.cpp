// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/rank.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.hpp"
#include "polycore/error.hpp"
#include "polycore/parallel.hpp"

using polycore::Modulus;

namespace {

using Matrix = std::vector<std::uint64_t>;
using Rng = std::mt19937_64;

// Both kinds of residues, and primes at which sums of products may grow longer.
const std::vector<std::uint64_t> kPrimes{2,
                                         3,
                                         65521,
                                         (1u << 22) - 3,
                                         (1u << 26) - 5,
                                         (1u << 29) - 3,
                                         (1u << 30) - 35,
                                         (1u << 31) - 1,
                                         (1ull << 31) + 11,
                                         (1ull << 32) - 5,
                                         (1ull << 61) - 1};

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

// The definition: elimination by rows.
std::size_t reference_rank(Matrix a, std::size_t rows, std::size_t cols, const Modulus& field) {
  std::size_t rank = 0;
  for (std::size_t column = 0; column < cols && rank < rows; ++column) {
    std::size_t pivot = rank;
    while (pivot < rows && a[pivot * cols + column] == 0) ++pivot;
    if (pivot == rows) continue;
    std::swap_ranges(&a[rank * cols], &a[rank * cols] + cols, &a[pivot * cols]);
    const std::uint64_t inverse = field.inverse(a[rank * cols + column]);
    for (std::size_t i = rank + 1; i < rows; ++i) {
      const std::uint64_t factor = field.multiply(field.p() - inverse, a[i * cols + column]);
      for (std::size_t j = 0; j < cols; ++j)
        a[i * cols + j] = field.add(a[i * cols + j], field.multiply(factor, a[rank * cols + j]));
    }
    ++rank;
  }
  return rank;
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

TEST(sparse_matrices_of_all_shapes) {
  check::for_each_isa([] {
    Rng rng(2);
    for (const std::uint64_t p : kPrimes) {
      const Modulus field(p);
      for (int repeat = 0; repeat < 60; ++repeat) {
        const std::size_t rows = 1 + rng() % 40, cols = 1 + rng() % 70, share = 1 + rng() % 12;
        Matrix a = random_matrix(rng, rows, cols, p);
        for (auto& entry : a)
          if (rng() % share != 0) entry = 0;
        CHECK_EQUAL(rank(a, rows, cols, field), reference_rank(a, rows, cols, field));
      }
    }
  });
}

// L U with entries of the greatest absolute value: no row is exchanged, so elimination finds these factors, and every
// sum of products is as large as it gets.
TEST(sums_of_the_largest_products_are_exact) {
  check::for_each_isa([] {
    const std::size_t rows = 300, cols = 290, expected = 280;
    for (const std::uint64_t p : kPrimes) {
      const Modulus field(p);
      const std::uint64_t half = std::max<std::uint64_t>(1, p / 2);
      // As Montgomery forms store them: the largest words, and the largest digits in base 2^31.
      const auto over_power = [&](std::uint64_t x, std::uint64_t exponent) {
        return p == 2 ? 1 : field.multiply(x, field.inverse(field.power(2, exponent)));
      };
      const std::uint64_t digits = p < 1ull << 31 ? 1 : ((half + (1u << 30)) >> 31 << 31) - (1u << 30);
      for (const auto& [low, up] : std::vector<std::array<std::uint64_t, 2>>{
               {half, half}, {p - half, half}, {over_power(1, 64), p - 1}, {over_power(p - digits, 62), digits}}) {
        Matrix a(rows * cols);
        for (std::size_t i = 0; i < rows; ++i)
          for (std::size_t j = 0; j < cols; ++j) {
            const std::size_t terms = std::min({i, j + 1, expected});
            a[i * cols + j] = field.multiply(field.multiply(low, up), terms % p);
            if (i <= j && i < expected) a[i * cols + j] = field.add(a[i * cols + j], up);
          }
        CHECK_EQUAL(rank(a, rows, cols, field), expected);
        CHECK_EQUAL(rank(transposed(a, rows, cols), cols, rows, field), expected);
      }
    }
  });
}

TEST(threads_do_not_change_the_rank) {
  Rng rng(3);
  const std::size_t n = 400, inner = 390;
  for (const std::uint64_t p : {(1ull << 31) - 1, (1ull << 61) - 1}) {
    const Modulus field(p);
    const Matrix a = product(random_matrix(rng, n, inner, p), random_matrix(rng, inner, n, p), n, inner, n, field);
    for (const int n_threads : {1, 2, 3, 0}) CHECK_EQUAL(rank(a, n, n, field, n_threads), inner);
  }
}

TEST(elimination_can_be_interrupted) {
  Rng rng(4);
  const Modulus field((1ull << 61) - 1);
  const std::size_t n = 500;
  for (const int n_threads : {1, 2}) {
    const auto matrix = random_matrix(rng, n, n, field.p());
    std::this_thread::sleep_for(std::chrono::milliseconds(60));  // the hook is not called more often
    polycore::set_interrupt_hook([] { return true; });
    CHECK_THROWS(rank(matrix, n, n, field, n_threads), polycore::Interrupted);
    polycore::set_interrupt_hook(nullptr);
  }
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
  const Modulus composite((1ull << 40));
  CHECK_THROWS(rank({1}, 1, 1, composite), std::invalid_argument);
}
