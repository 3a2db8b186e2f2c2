// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/monomials.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

namespace polycore {

std::uint64_t binomial(std::uint64_t n, std::uint64_t k) {
  if (k > n) return 0;
  k = std::min(k, n - k);
  std::uint64_t result = 1;
  for (std::uint64_t i = 1; i <= k; ++i) {
    // result * (n - k + i) / i is an integer; divide common factors out first so that only the result can overflow.
    std::uint64_t factor = n - k + i, divisor = i;
    const std::uint64_t g = std::gcd(factor, divisor);
    factor /= g;
    divisor /= g;
    result /= divisor;
    if (__builtin_mul_overflow(result, factor, &result))
      throw std::overflow_error("binomial coefficient C(" + std::to_string(n) + ", " + std::to_string(k) +
                                ") does not fit 64 bits");
  }
  return result;
}

namespace {

// NOTE: 64-bit, because a polynomial in INT_MAX variables is a form in one more.
std::uint64_t count_forms_wide(std::int64_t n_vars, int degree) {
  if (degree < 0) throw std::invalid_argument("`degree` must be >= 0, got " + std::to_string(degree));
  if (n_vars == 0) return degree == 0 ? 1 : 0;
  return binomial(static_cast<std::uint64_t>(n_vars) - 1 + static_cast<std::uint64_t>(degree),
                  static_cast<std::uint64_t>(degree));
}

}  // namespace

std::uint64_t count_forms(int n_vars, int degree) {
  if (n_vars < 0) throw std::invalid_argument("`n_vars` must be >= 0, got " + std::to_string(n_vars));
  return count_forms_wide(n_vars, degree);
}

std::uint64_t count_monomials(int n_vars, int degree, bool homogeneous) {
  if (n_vars < 0) throw std::invalid_argument("`n_vars` must be >= 0, got " + std::to_string(n_vars));
  return count_forms_wide(homogeneous ? n_vars : std::int64_t{n_vars} + 1, degree);
}

MonomialBasis::MonomialBasis(int n_vars, int degree, bool homogeneous)
    : n_vars_(n_vars), degree_(degree), homogeneous_(homogeneous), size_(0) {
  if (n_vars < 1) throw std::invalid_argument("`n_vars` must be >= 1, got " + std::to_string(n_vars));
  if (n_vars == std::numeric_limits<int>::max())
    throw std::overflow_error("`n_vars` must leave room for one homogenising variable, got " + std::to_string(n_vars));
  size_ = count_monomials(n_vars, degree, homogeneous);
}

std::uint64_t MonomialBasis::index(std::span<const int> exponents) const {
  if (exponents.size() != static_cast<std::size_t>(n_vars_))
    throw std::invalid_argument("`exponents` must have n_vars=" + std::to_string(n_vars_) + " entries, got " +
                                std::to_string(exponents.size()));
  std::int64_t total = 0;
  for (const int e : exponents) {
    if (e < 0) throw std::invalid_argument("`exponents` must be >= 0");
    total += e;
  }
  if (homogeneous_ ? total != degree_ : total > degree_)
    throw std::invalid_argument("`exponents` of degree " + std::to_string(total) + " are not in the basis");
  // Before x^e in degree t come the monomials of lower degree, and those of degree t with a larger first exponent: they
  // are the forms of degree < t - e1 in the other variables, and so on.
  std::uint64_t rank = homogeneous_ || total == 0 ? 0 : count_forms(n_vars_ + 1, static_cast<int>(total) - 1);
  int left = static_cast<int>(total);
  for (int i = 0; i + 1 < n_vars_; ++i) {
    left -= exponents[static_cast<std::size_t>(i)];
    if (left == 0) break;
    rank += count_forms(n_vars_ - i, left - 1);
  }
  return rank;
}

std::vector<int> MonomialBasis::exponent(std::uint64_t index) const {
  if (index >= size_)
    throw std::invalid_argument("`index` must be < n_monomials=" + std::to_string(size_) + ", got " +
                                std::to_string(index));
  // As a form in form_vars() variables: peel off one variable at a time. `left` is the degree of the remaining
  // variables.
  std::vector<int> all;
  int left = degree_;
  for (int d = form_vars(); d > 1; --d) {
    int rest = 0;  // degree left to the d - 1 later variables: the largest with count_forms(d, rest - 1) <= index
    while (rest < left && count_forms(d, rest) <= index) ++rest;
    if (rest > 0) index -= count_forms(d, rest - 1);
    all.push_back(left - rest);
    left = rest;
  }
  all.push_back(left);
  if (!homogeneous_) all.erase(all.begin());
  return all;
}

FormCounts::FormCounts(int n_vars, int degree) {
  // Forms of degree k in d variables: without the first variable, or the first variable times one of degree k - 1.
  rows_.resize(static_cast<std::size_t>(n_vars) + 1);
  for (std::size_t d = 0; d < rows_.size(); ++d) {
    auto& row = rows_[d];
    row.reserve(static_cast<std::size_t>(degree) + 1);
    row.push_back(1);
    for (std::size_t k = 1; k <= static_cast<std::size_t>(degree); ++k) {
      std::size_t count = 0;
      if (d > 0 && __builtin_add_overflow(row[k - 1], rows_[d - 1][k], &count))
        throw std::overflow_error("the number of forms of degree " + std::to_string(k) + " in " + std::to_string(d) +
                                  " variables does not fit 64 bits");
      row.push_back(count);
    }
    row_pointers_.push_back(row.data());
  }
}

}  // namespace polycore
