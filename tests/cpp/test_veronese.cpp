// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/veronese.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "polycore/monomials.hpp"
#include "polynomials.hpp"

namespace {

using polycore::MonomialBasis;
using polycore::Order;
using reference::Rng;

template <class T>
std::vector<T> rows(const MonomialBasis& basis, const std::vector<T>& X, Order order = Order::row_major,
                    int n_threads = 1) {
  const std::size_t n = X.size() / static_cast<std::size_t>(basis.n_vars());
  std::vector<T> out(n * basis.size());
  polycore::veronese<T>(n, basis.n_vars(), basis.degree(), basis.homogeneous(), X, out, order, n_threads);
  return out;
}

template <class T>
std::vector<T> transposed(const std::vector<T>& A, std::size_t n_rows) {
  const std::size_t n_columns = A.size() / n_rows;
  std::vector<T> out;
  for (std::size_t i = 0; i < n_rows; ++i)
    for (std::size_t j = 0; j < n_columns; ++j) out.push_back(A[j * n_rows + i]);
  return out;
}

template <class T>
void against_the_definition() {
  check::for_each_isa([] {
    Rng rng(26);
    for (const auto& [n_vars, degree] :
         std::vector<std::pair<int, int>>{{1, 0}, {1, 9}, {2, 2}, {3, 5}, {5, 3}, {20, 2}, {7, 0}, {4, 1}})
      for (const bool homogeneous : {false, true})
        for (const auto n : std::vector<std::size_t>{1, 3, 16, 255, 300}) {
          const MonomialBasis basis(n_vars, degree, homogeneous);
          const auto X = reference::random_vector<T>(rng, n * static_cast<std::size_t>(n_vars));
          std::vector<T> expected;
          for (std::size_t s = 0; s < n; ++s)
            for (std::uint64_t k = 0; k < basis.size(); ++k) {
              long double value = 1;
              const auto exponents = basis.exponent(k);
              for (std::size_t j = 0; j < exponents.size(); ++j)
                for (int e = 0; e < exponents[j]; ++e) value *= X[s * static_cast<std::size_t>(n_vars) + j];
              expected.push_back(static_cast<T>(value));
            }
          const auto A = rows(basis, X);
          CHECK(reference::distance(A, expected) <= (sizeof(T) == 4 ? 1e-6 : 1e-15));
          CHECK(transposed(rows(basis, X, Order::column_major), n) == A);
        }
  });
}

}  // namespace

TEST(float32) { against_the_definition<float>(); }
TEST(float64) { against_the_definition<double>(); }

TEST(the_known_example) {
  CHECK_EQUAL(rows(MonomialBasis(2, 2), std::vector<double>{2, 3}), (std::vector<double>{1, 2, 3, 4, 6, 9}));
}

TEST(bits_do_not_depend_on_threads_or_on_the_size_of_the_output) {
  check::for_each_isa([] {
    Rng rng(27);
    const std::size_t n = 40'000;  // 11 MB: several tasks
    const MonomialBasis basis(4, 3);
    const auto X = reference::random_vector<double>(rng, 4 * n);
    const auto A = rows(basis, X);
    CHECK(rows(basis, X, Order::row_major, 3) == A);
    CHECK(transposed(rows(basis, X, Order::column_major, 3), n) == A);
    const auto A_head = rows(basis, std::vector<double>(X.begin(), X.begin() + 4 * 1000));
    CHECK(std::ranges::equal(A_head, std::span(A).first(A_head.size())));
  });
}

// Blocks of short rows, rows made in place, runs cut in pieces (C(22, 5) monomials); odd numbers of columns.
template <class T>
void nothing_is_written_outside() {
  Rng rng(28);
  for (const auto& [n, n_vars, degree] : std::vector<std::array<int, 3>>{
           {40'001, 4, 3}, {1000, 1, 10}, {777, 2, 8}, {65, 10, 3}, {9, 20, 3}, {17, 6, 7}, {2, 6, 17}}) {
    const auto X = reference::random_vector<T>(rng, static_cast<std::size_t>(n) * static_cast<std::size_t>(n_vars));
    for (const bool homogeneous : {false, true}) {
      const MonomialBasis basis(n_vars, degree, homogeneous);
      const auto expected = transposed(rows(basis, X, Order::column_major), static_cast<std::size_t>(n));
      check::for_each_isa([&] {
        std::vector<T> buffer(expected.size() + 2, T{-7});
        const std::span<T> out = std::span(buffer).subspan(1, expected.size());
        polycore::veronese<T>(static_cast<std::size_t>(n), n_vars, degree, homogeneous, X, out, Order::row_major, 2);
        CHECK(std::ranges::equal(expected, out));
        CHECK(buffer.front() == T{-7} && buffer.back() == T{-7});
      });
    }
  }
}

TEST(nothing_is_written_outside_float32) { nothing_is_written_outside<float>(); }
TEST(nothing_is_written_outside_float64) { nothing_is_written_outside<double>(); }

TEST(sizes) {
  const std::vector<double> X(6);
  std::vector<double> out(20), empty;
  polycore::veronese<double>(2, 3, 2, false, X, out);
  polycore::veronese<double>(0, 3, 2, false, {}, empty);
  CHECK_THROWS(polycore::veronese<double>(2, 2, 2, false, X, out), std::invalid_argument);
  CHECK_THROWS(polycore::veronese<double>(2, 3, 3, false, X, out), std::invalid_argument);
  CHECK_THROWS(polycore::veronese<double>(2, 3, -1, false, X, out), std::invalid_argument);
  CHECK_THROWS(polycore::veronese<double>(2, 0, 2, false, X, out), std::invalid_argument);
}
