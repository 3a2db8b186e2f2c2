// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/veronese.hpp"

#include <algorithm>
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
         std::vector<std::pair<int, int>>{{1, 0}, {1, 9}, {2, 2}, {3, 5}, {5, 3}, {20, 2}, {7, 0}})
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
    const std::size_t n = 40'000;  // 11 MB: rows are streamed past the cache
    const MonomialBasis basis(4, 3);
    const auto X = reference::random_vector<double>(rng, 4 * n);
    const auto A = rows(basis, X);
    CHECK(rows(basis, X, Order::row_major, 3) == A);
    CHECK(transposed(rows(basis, X, Order::column_major, 3), n) == A);
    const auto A_head = rows(basis, std::vector<double>(X.begin(), X.begin() + 4 * 1000));
    CHECK(std::ranges::equal(A_head, std::span(A).first(A_head.size())));
  });
}

TEST(unaligned_outputs_are_streamed_right) {
  Rng rng(28);
  const std::size_t n = 40'001;
  const MonomialBasis basis(4, 3);
  const auto X = reference::random_vector<double>(rng, 4 * n), A = rows(basis, X);
  check::for_each_isa([&] {
    std::vector<double> buffer(A.size() + 2, -7.0);
    const std::span<double> out = std::span(buffer).subspan(1, A.size());
    polycore::veronese<double>(n, 4, 3, false, X, out);
    CHECK(std::ranges::equal(A, out));
    CHECK(buffer.front() == -7.0 && buffer.back() == -7.0);
  });
}

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
