// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/modular.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using polycore::Modulus;

namespace {
const std::vector<std::uint64_t> kPrimes{2, 3, 5, 65537, (1ull << 31) - 1, (1ull << 61) - 1};
}

TEST(field_axioms) {
  std::mt19937_64 rng(2);
  for (const std::uint64_t p : kPrimes) {
    const Modulus field(p);
    for (int repeat = 0; repeat < 200; ++repeat) {
      const std::uint64_t a = rng() % p, b = rng() % p, c = rng() % p;
      CHECK_EQUAL(field.multiply(a, field.add(b, c)), field.add(field.multiply(a, b), field.multiply(a, c)));
      CHECK_EQUAL(field.multiply(a, field.multiply(b, c)), field.multiply(field.multiply(a, b), c));
      CHECK_EQUAL(field.power(a, 5), field.multiply(a, field.power(field.multiply(a, a), 2)));
      if (a != 0) CHECK_EQUAL(field.multiply(a, field.inverse(a)), 1u);
    }
    CHECK_EQUAL(field.power(0, 0), 1u);
    CHECK_EQUAL(field.power(p - 1, 2), 1u);
  }
}

TEST(residues_of_doubles_are_exact) {
  for (const std::uint64_t p : kPrimes) {
    const Modulus field(p);
    CHECK_EQUAL(field.residue(0.0), 0u);
    CHECK_EQUAL(field.residue(-0.0), 0u);
    CHECK_EQUAL(field.residue(1.0), 1u);
    CHECK_EQUAL(field.add(field.residue(-3.0), 3 % p), 0u);
    CHECK_EQUAL(field.residue(0x1p100), field.power(2 % p, 100));
    CHECK_EQUAL(field.residue(std::numeric_limits<double>::max()),
                field.multiply(field.power(2 % p, 971), ((1ull << 53) - 1) % p));
    if (p == 2) continue;
    CHECK_EQUAL(field.multiply(field.residue(-0.375), 8 % p), field.residue(-3.0));
    CHECK_EQUAL(field.multiply(field.residue(5e-324), field.power(2, 1074)), 1u);  // the smallest subnormal, 2^-1074
  }
}

TEST(wrong_arguments_raise) {
  for (const std::uint64_t p : {0ull, 1ull, 1ull << 61, ~0ull}) CHECK_THROWS(Modulus(p), std::invalid_argument);
  const Modulus two(2), seven(7);
  CHECK_THROWS(two.residue(0.5), std::invalid_argument);
  CHECK_THROWS(seven.residue(std::nan("")), std::invalid_argument);
  CHECK_THROWS(seven.residue(INFINITY), std::invalid_argument);
  CHECK_THROWS(seven.inverse(0), std::invalid_argument);
  CHECK_THROWS(seven.inverse(14), std::invalid_argument);
}
