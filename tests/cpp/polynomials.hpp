// SPDX-License-Identifier: BSD-3-Clause
// Polynomial arithmetic straight from the definitions: what the kernels are tested against.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <vector>

#include "polycore/modular.hpp"
#include "polycore/monomials.hpp"

namespace reference {

inline constexpr std::uint64_t kPrime61 = (std::uint64_t{1} << 61) - 1;

/// Exact arithmetic for GF(p), plain arithmetic for floating types.
template <class T>
struct Ring {
  T add(T a, T b) const { return a + b; }
  T multiply(T a, T b) const { return a * b; }
};
template <>
struct Ring<std::uint64_t> {
  polycore::Modulus p{kPrime61};
  std::uint64_t add(std::uint64_t a, std::uint64_t b) const { return p.add(a, b); }
  std::uint64_t multiply(std::uint64_t a, std::uint64_t b) const { return p.multiply(a, b); }
};

using Rng = std::mt19937_64;

inline void draw(Rng& rng, double& x) { x = std::uniform_real_distribution<double>(-1, 1)(rng); }
inline void draw(Rng& rng, float& x) { x = std::uniform_real_distribution<float>(-1, 1)(rng); }
inline void draw(Rng& rng, std::complex<double>& x) {
  double re = 0, im = 0;
  draw(rng, re);
  draw(rng, im);
  x = {re, im};
}
inline void draw(Rng& rng, std::uint64_t& x) { x = rng() % kPrime61; }

template <class T>
std::vector<T> random_vector(Rng& rng, std::size_t n) {
  std::vector<T> values(n);
  for (T& x : values) draw(rng, x);
  return values;
}

/// Position of alpha + beta among the forms of degree a + b, for all alpha (rows) and beta (columns) of degrees a, b.
inline const std::vector<std::size_t>& sum_table(int d, int a, int b) {
  static std::map<std::array<int, 3>, std::vector<std::size_t>> known;  // one thread asks
  std::vector<std::size_t>& table = known[{d, a, b}];
  if (!table.empty()) return table;
  const polycore::MonomialBasis forms_a(d, a, true), forms_b(d, b, true), forms_c(d, a + b, true);
  for (std::uint64_t i = 0; i < forms_a.size(); ++i)
    for (std::uint64_t j = 0; j < forms_b.size(); ++j) {
      auto exponents = forms_a.exponent(i);
      const auto other = forms_b.exponent(j);
      for (std::size_t k = 0; k < exponents.size(); ++k) exponents[k] += other[k];
      table.push_back(forms_c.index(exponents));
    }
  return table;
}

/// c_{alpha + beta} += a_alpha b_beta
template <class T>
std::vector<T> product(const Ring<T>& ring, int d, int degree_a, int degree_b, std::span<const T> a,
                       std::span<const T> b) {
  const auto& table = sum_table(d, degree_a, degree_b);
  std::vector<T> c(polycore::count_forms(d, degree_a + degree_b));
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < b.size(); ++j) {
      T& entry = c[table[i * b.size() + j]];
      entry = ring.add(entry, ring.multiply(a[i], b[j]));
    }
  return c;
}

/// q_alpha += m_{alpha + beta} b_beta
template <class T>
std::vector<T> correlation(const Ring<T>& ring, int d, int degree_out, int degree_b, std::span<const T> m,
                           std::span<const T> b) {
  const auto& table = sum_table(d, degree_out, degree_b);
  std::vector<T> q(polycore::count_forms(d, degree_out));
  for (std::size_t i = 0; i < q.size(); ++i)
    for (std::size_t j = 0; j < b.size(); ++j) q[i] = ring.add(q[i], ring.multiply(m[table[i * b.size() + j]], b[j]));
  return q;
}

template <class T>
T dot(const Ring<T>& ring, std::span<const T> a, std::span<const T> b) {
  T sum{};
  for (std::size_t i = 0; i < a.size(); ++i) sum = ring.add(sum, ring.multiply(a[i], b[i]));
  return sum;
}

/// Largest distance between entries, relative to the largest entry of `b` (or 1).
template <class T>
double distance(std::span<const T> a, std::span<const T> b) {
  if (a.size() != b.size()) return INFINITY;
  double scale = 1, worst = 0;
  for (const T& x : b) scale = std::max(scale, static_cast<double>(std::abs(x)));
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = static_cast<double>(std::abs(a[i] - b[i]));
    if (!(error <= worst)) worst = error;  // NaN counts as far away
  }
  return worst / scale;
}
template <class T>
double distance(const std::vector<T>& a, const std::vector<T>& b) {
  return distance(std::span<const T>(a), std::span<const T>(b));
}
/// Exact rings: equal or not.
inline double distance(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
  return a == b ? 0 : INFINITY;
}

/// A bound for `distance` in sums of a few thousand products of numbers of size 1.
template <class T>
constexpr double tolerance() {
  if constexpr (std::is_same_v<T, std::uint64_t>) return 0;
  return std::is_same_v<T, float> ? 1e-4 : 1e-13;
}

}  // namespace reference
