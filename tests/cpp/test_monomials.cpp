// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/monomials.hpp"

#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using polycore::binomial;
using polycore::count_forms;
using polycore::count_monomials;
using polycore::MonomialBasis;

namespace {

constexpr int kIntMax = std::numeric_limits<int>::max();

bool graded_lex_less(const std::vector<int>& a, const std::vector<int>& b) {
  const int degree_a = std::accumulate(a.begin(), a.end(), 0), degree_b = std::accumulate(b.begin(), b.end(), 0);
  return degree_a != degree_b ? degree_a < degree_b : b < a;  // within a degree the larger exponent of x1 comes first
}

}  // namespace

TEST(order_is_ascending_graded_lex) {
  const MonomialBasis basis(2, 2);
  const std::vector<std::vector<int>> expected{{0, 0}, {1, 0}, {0, 1}, {2, 0}, {1, 1}, {0, 2}};
  CHECK_EQUAL(basis.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK_EQUAL(basis.exponent(i), expected[i]);
}

TEST(every_monomial_goes_round_and_the_order_is_strict) {
  for (const bool homogeneous : {false, true})
    for (int n = 1; n <= 6; ++n)
      for (int degree = 0; degree <= 7; ++degree) {
        const MonomialBasis basis(n, degree, homogeneous);
        std::vector<int> previous;
        for (std::uint64_t i = 0; i < basis.size(); ++i) {
          const auto exponents = basis.exponent(i);
          CHECK_EQUAL(basis.index(exponents), i);
          const int total = std::accumulate(exponents.begin(), exponents.end(), 0);
          CHECK(homogeneous ? total == degree : total <= degree);
          if (i > 0) CHECK(graded_lex_less(previous, exponents));
          previous = exponents;
        }
      }
}

TEST(random_monomials_of_huge_bases_go_round) {
  std::mt19937_64 rng(1);
  // Up to 2^62 monomials: nothing is tabulated.
  for (const auto& [n, degree] :
       std::vector<std::pair<int, int>>{{30, 34}, {12, 150}, {4, 100'000}, {60, 14}, {2, 1'000'000}, {100'000, 3}})
    for (const bool homogeneous : {false, true}) {
      const MonomialBasis basis(n, degree, homogeneous);
      for (int repeat = 0; repeat < 5; ++repeat) {
        const std::uint64_t i = rng() % basis.size();
        CHECK_EQUAL(basis.index(basis.exponent(i)), i);
      }
      CHECK_EQUAL(basis.index(basis.exponent(basis.size() - 1)), basis.size() - 1);
    }
}

TEST(counts) {
  for (std::uint64_t n = 1; n <= 60; ++n)
    for (std::uint64_t k = 1; k <= n; ++k) CHECK_EQUAL(binomial(n, k), binomial(n - 1, k - 1) + binomial(n - 1, k));
  CHECK_EQUAL(binomial(67, 33), 14226520737620288370ull);  // the largest central one that fits
  CHECK_EQUAL(count_forms(0, 0), 1u);
  CHECK_EQUAL(count_forms(0, 3), 0u);
  CHECK_EQUAL(count_monomials(3, 0), 1u);
  CHECK_EQUAL(count_monomials(kIntMax, 1), std::uint64_t{1} << 31);
  CHECK_EQUAL(count_monomials(1, kIntMax), std::uint64_t{1} << 31);
}

TEST(counts_past_64_bits_raise) {
  CHECK_THROWS(binomial(68, 34), std::overflow_error);
  CHECK_THROWS(count_monomials(784, 9), std::overflow_error);
  CHECK_THROWS(count_monomials(kIntMax, kIntMax), std::overflow_error);
  CHECK_THROWS(MonomialBasis(1000, 1000), std::overflow_error);
  CHECK_THROWS(MonomialBasis(kIntMax, 1), std::overflow_error);
}

TEST(wrong_arguments_raise) {
  CHECK_THROWS(count_monomials(-1, 2, true), std::invalid_argument);
  CHECK_THROWS(count_monomials(2, -1), std::invalid_argument);
  CHECK_THROWS(MonomialBasis(0, 2), std::invalid_argument);
  CHECK_THROWS(MonomialBasis(2, -1), std::invalid_argument);
  const MonomialBasis basis(2, 3);
  CHECK_THROWS(basis.index(std::vector<int>{1}), std::invalid_argument);
  CHECK_THROWS(basis.index(std::vector<int>{1, -1}), std::invalid_argument);
  CHECK_THROWS(basis.index(std::vector<int>{2, 2}), std::invalid_argument);
  CHECK_THROWS(basis.index(std::vector<int>{kIntMax, kIntMax}), std::invalid_argument);
  CHECK_THROWS(basis.exponent(basis.size()), std::invalid_argument);
  CHECK_THROWS(MonomialBasis(2, 3, true).index(std::vector<int>{1, 1}), std::invalid_argument);
}

TEST(forms_have_the_array_of_the_polynomials_they_homogenise) {
  const MonomialBasis basis(3, 4), forms(basis.form_vars(), 4, true);
  CHECK_EQUAL(basis.size(), forms.size());
  for (std::uint64_t i = 0; i < basis.size(); ++i) {
    auto exponents = forms.exponent(i);
    exponents.erase(exponents.begin());
    CHECK_EQUAL(basis.exponent(i), exponents);
  }
}
