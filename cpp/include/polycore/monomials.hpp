// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// Counting, ranking and unranking monomials in ascending graded lex order with x1 > x2 > ...: 1, x, y, x^2, xy, y^2,
/// ...
namespace polycore {

/// C(n, k); std::overflow_error past 64 bits.
std::uint64_t binomial(std::uint64_t n, std::uint64_t k);

/// Number of coefficients of a form of degree `degree` in `n_vars` variables, C(n_vars - 1 + degree, degree);
/// std::overflow_error past 64 bits.
std::uint64_t count_forms(int n_vars, int degree);

/// Number of monomials of degree <= `degree` (or exactly `degree` if homogeneous); std::overflow_error past 64 bits.
std::uint64_t count_monomials(int n_vars, int degree, bool homogeneous = false);

/// All monomials of degree <= D (or exactly D) in n variables. Nothing is stored but the two numbers.
class MonomialBasis {
 public:
  MonomialBasis(int n_vars, int degree, bool homogeneous = false);

  int n_vars() const { return n_vars_; }
  int degree() const { return degree_; }
  bool homogeneous() const { return homogeneous_; }
  std::uint64_t size() const { return size_; }

  /// Number of variables of the forms with the same coefficient array: n_vars, or n_vars + 1 with the homogenising x0.
  int form_vars() const { return homogeneous_ ? n_vars_ : n_vars_ + 1; }

  /// Position of a monomial; std::invalid_argument if it is not in the basis. O(n_vars).
  std::uint64_t index(std::span<const int> exponents) const;
  /// Exponents of the monomial at a position. O(n_vars + degree).
  std::vector<int> exponent(std::uint64_t index) const;

  bool operator==(const MonomialBasis&) const = default;

 private:
  int n_vars_;
  int degree_;
  bool homogeneous_;
  std::uint64_t size_;
};

/// counts[d][k] = count_forms(d, k) for 0 <= d <= n_vars, 0 <= k <= degree (d = 0: 1, 0, 0, ...).
class FormCounts {
 public:
  FormCounts(int n_vars, int degree);
  std::size_t operator()(int d, int k) const {
    return k < 0 ? 0 : rows_[static_cast<std::size_t>(d)][static_cast<std::size_t>(k)];
  }
  const std::size_t* const* rows() const { return row_pointers_.data(); }

 private:
  std::vector<std::vector<std::size_t>> rows_;
  std::vector<const std::size_t*> row_pointers_;
};

}  // namespace polycore
