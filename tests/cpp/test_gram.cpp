// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/gram.hpp"

#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "polycore/monomials.hpp"
#include "polynomials.hpp"

namespace {

using polycore::count_forms;
using reference::Rng;

struct Case {
  int d, rows, columns;
};
const std::vector<Case> kCases{{1, 2, 3}, {2, 0, 0}, {2, 5, 5}, {2, 3, 40}, {3, 4, 4},
                               {3, 0, 3}, {4, 3, 3}, {5, 2, 4}, {7, 3, 2}};

std::vector<double> padded(std::vector<double> moments) {
  moments.resize(moments.size() + polycore::kHankelPadding);
  return moments;
}

}  // namespace

TEST(entries_are_moments_of_sums) {
  Rng rng(22);
  for (const auto& [d, rows, columns] : kCases) {
    const auto m = reference::random_vector<double>(rng, count_forms(d, rows + columns));
    std::vector<double> Q(count_forms(d, rows) * count_forms(d, columns)), expected(Q.size());
    polycore::hankel_matrix(d, rows, columns, m, Q);
    const auto& table = reference::sum_table(d, rows, columns);
    for (std::size_t i = 0; i < Q.size(); ++i) expected[i] = m[table[i]];
    CHECK_EQUAL(Q, expected);
  }
}

TEST(one_variable_gives_a_hankel_matrix) {
  const std::vector<double> m{1, 2, 3, 4, 5};
  std::vector<double> Q(9);
  polycore::hankel_matrix(2, 2, 2, m, Q);
  CHECK_EQUAL(Q, (std::vector<double>{1, 2, 3, 2, 3, 4, 3, 4, 5}));
}

TEST(product_is_that_of_the_dense_matrix) {
  check::for_each_isa([] {
    Rng rng(23);
    for (const auto& [d, rows, columns] : kCases)
      for (const auto batch : std::vector<std::size_t>{0, 1, 3}) {
        const std::size_t n = count_forms(d, rows), k = count_forms(d, columns);
        const auto m = reference::random_vector<double>(rng, count_forms(d, rows + columns));
        const auto c = reference::random_vector<double>(rng, batch * k);
        std::vector<double> Q(n * k), out(batch * n), expected(batch * n);
        polycore::hankel_matrix(d, rows, columns, m, Q);
        for (std::size_t s = 0; s < batch; ++s)
          for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < k; ++j) expected[s * n + i] += Q[i * k + j] * c[s * k + j];
        polycore::hankel_product(d, rows, columns, padded(m), c, out);
        CHECK(reference::distance(out, expected) <= 1e-13);
      }
  });
}

TEST(bits_do_not_depend_on_threads) {
  check::for_each_isa([] {
    Rng rng(24);
    const int d = 6, degree = 5;
    const auto m = padded(reference::random_vector<double>(rng, count_forms(d, 2 * degree)));
    const auto c = reference::random_vector<double>(rng, 20 * count_forms(d, degree));
    std::vector<double> one(c.size());
    polycore::hankel_product(d, degree, degree, m, c, one, 1);
    for (const int n_threads : {2, 5}) {
      std::vector<double> out(c.size());
      polycore::hankel_product(d, degree, degree, m, c, out, n_threads);
      CHECK(out == one);
    }
  });
}

TEST(padding_does_not_leak_into_the_result) {
  Rng rng(25);
  auto m = padded(reference::random_vector<double>(rng, count_forms(4, 6)));
  const auto c = reference::random_vector<double>(rng, count_forms(4, 3));
  std::vector<double> zeros(c.size()), nans(c.size());
  polycore::hankel_product(4, 3, 3, m, c, zeros);
  std::fill(m.end() - static_cast<std::ptrdiff_t>(polycore::kHankelPadding), m.end(), std::nan(""));
  polycore::hankel_product(4, 3, 3, m, c, nans);
  CHECK_EQUAL(nans, zeros);
}

TEST(wrong_sizes_raise) {
  const std::vector<double> m(15), c(6), short_m(14);
  std::vector<double> Q(36), out(6), short_out(5);
  polycore::hankel_matrix(3, 2, 2, m, Q);
  CHECK_THROWS(polycore::hankel_matrix(3, 2, 2, short_m, Q), std::invalid_argument);
  CHECK_THROWS(polycore::hankel_matrix(3, 2, 2, m, out), std::invalid_argument);
  CHECK_THROWS(polycore::hankel_matrix(3, -2, 4, m, Q), std::invalid_argument);
  CHECK_THROWS(polycore::hankel_product(3, 2, 2, m, c, out), std::invalid_argument);  // no padding
  CHECK_THROWS(polycore::hankel_product(3, 2, 2, padded(m), c, short_out), std::invalid_argument);
  CHECK_THROWS(polycore::hankel_product(3, 2, 2, padded(m), short_out, out), std::invalid_argument);
}
