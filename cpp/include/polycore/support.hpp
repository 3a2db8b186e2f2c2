// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace polycore {

/// Some monomials of a basis, in its order. A monomial is a word: its variables in ascending order, 1, ..., n_vars,
/// each as often as its exponent says, and in front as many 0 as its degree is below degree().
class MonomialSupport {
 public:
  /// `letters` are the words one after the other, sorted.
  MonomialSupport(int n_vars, int degree, bool homogeneous, std::vector<std::uint32_t> letters, std::size_t size);

  int n_vars() const { return n_vars_; }
  int degree() const { return degree_; }
  bool homogeneous() const { return homogeneous_; }
  std::size_t size() const { return size_; }
  std::span<const std::uint32_t> letters() const { return letters_; }
  std::span<const std::uint32_t> word(std::size_t k) const {
    return letters().subspan(k * static_cast<std::size_t>(degree_), static_cast<std::size_t>(degree_));
  }
  std::vector<int> exponent(std::size_t k) const;
  /// Positions in MonomialBasis(n_vars, degree, homogeneous); std::overflow_error if its size does not fit 64 bits.
  std::vector<std::uint64_t> positions() const;

 private:
  int n_vars_, degree_;
  bool homogeneous_;
  std::vector<std::uint32_t> letters_;
  std::size_t size_;
};

}  // namespace polycore
