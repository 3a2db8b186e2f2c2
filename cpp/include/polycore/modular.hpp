// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

/// Arithmetic in GF(p), 2 <= p < 2^61.
namespace polycore {

namespace kernels {
struct ModulusData;
}
namespace detail {
__extension__ using uint128 = unsigned __int128;
}

/// A modulus with its Barrett constants. Residues are canonical, in [0, p). The caller vouches that p is prime; only
/// inverse() and division depend on it.
class Modulus {
 public:
  /// std::invalid_argument unless 2 <= p < 2^61.
  explicit Modulus(std::uint64_t p);

  std::uint64_t p() const { return p_; }
  std::uint64_t multiply(std::uint64_t a, std::uint64_t b) const {
    return static_cast<std::uint64_t>(detail::uint128{a} * b % p_);
  }
  std::uint64_t add(std::uint64_t a, std::uint64_t b) const {
    const std::uint64_t s = a + b;
    return s >= p_ ? s - p_ : s;
  }
  std::uint64_t power(std::uint64_t a, std::uint64_t exponent) const;
  /// a^(p-2); std::invalid_argument for 0.
  std::uint64_t inverse(std::uint64_t a) const;
  /// Residue of a finite double, which is a dyadic rational; std::invalid_argument when p = 2 divides its denominator.
  std::uint64_t residue(double x) const;

  kernels::ModulusData data() const;

 private:
  std::uint64_t p_;
  std::uint64_t mu_;
  int bits_;
};

}  // namespace polycore
