// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/modular.hpp"

#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

#include "kernels/kernel_table.hpp"

namespace polycore {

Modulus::Modulus(std::uint64_t p) : p_(p), mu_(0), bits_(0) {
  if (p < 2 || p >= (std::uint64_t{1} << 61))
    throw std::invalid_argument("`modulus` must be a prime with 2 <= p < 2^61, got " + std::to_string(p));
  bits_ = static_cast<int>(std::bit_width(p));
  mu_ = static_cast<std::uint64_t>((detail::uint128{1} << (2 * bits_)) / p);
}

std::uint64_t Modulus::power(std::uint64_t a, std::uint64_t exponent) const {
  std::uint64_t result = 1 % p_;
  for (a %= p_; exponent; exponent >>= 1, a = multiply(a, a))
    if (exponent & 1) result = multiply(result, a);
  return result;
}

std::uint64_t Modulus::inverse(std::uint64_t a) const {
  if (a % p_ == 0) throw std::invalid_argument("0 has no inverse in GF(p)");
  return power(a, p_ - 2);
}

std::uint64_t Modulus::residue(double x) const {
  if (!std::isfinite(x)) throw std::invalid_argument("a residue needs a finite number");
  int exponent = 0;
  const auto mantissa = static_cast<std::int64_t>(std::ldexp(std::frexp(x, &exponent), 53));
  exponent -= 53;
  std::uint64_t magnitude = static_cast<std::uint64_t>(mantissa < 0 ? -mantissa : mantissa);
  if (magnitude == 0) return 0;
  const int zeros = std::countr_zero(magnitude);
  magnitude >>= zeros;
  exponent += zeros;
  if (p_ == 2 && exponent < 0)
    throw std::invalid_argument("the denominator of a coefficient is divisible by the modulus 2");
  const std::uint64_t two = 2 % p_;
  const std::uint64_t scale = exponent >= 0 ? power(two, static_cast<std::uint64_t>(exponent))
                                            : inverse(power(two, static_cast<std::uint64_t>(-exponent)));
  const std::uint64_t r = multiply(magnitude % p_, scale);
  return mantissa < 0 && r != 0 ? p_ - r : r;
}

kernels::ModulusData Modulus::data() const { return {p_, mu_, bits_}; }

}  // namespace polycore
