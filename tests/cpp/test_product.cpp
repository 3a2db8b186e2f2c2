// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/product.hpp"

#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "polycore/monomials.hpp"
#include "polynomials.hpp"

namespace {

using reference::Ring;
using reference::Rng;

template <class T>
std::vector<T> product(int d, int a, int b, const std::vector<T>& x, const std::vector<T>& y, std::size_t batch,
                       int n_threads = 1) {
  std::vector<T> out(batch * polycore::count_forms(d, a + b));
  if constexpr (std::is_same_v<T, std::uint64_t>)
    polycore::graded_product(d, a, b, x, y, out, reference::kPrime61, n_threads);
  else
    polycore::graded_product<T>(d, a, b, x, y, out, n_threads);
  return out;
}

template <class T>
std::vector<T> correlation(int d, int degree_out, int b, const std::vector<T>& m, const std::vector<T>& y,
                           std::size_t batch, int n_threads = 1) {
  std::vector<T> out(batch * polycore::count_forms(d, degree_out));
  if constexpr (std::is_same_v<T, std::uint64_t>)
    polycore::correlation(d, degree_out, b, m, y, out, reference::kPrime61, n_threads);
  else
    polycore::correlation<T>(d, degree_out, b, m, y, out, n_threads);
  return out;
}

struct Case {
  int d, a, b;
};
// Rows of one entry, of one tile, of several tiles with a rest; a product too large for one flat list of rows.
const std::vector<Case> kCases{{1, 0, 0}, {1, 3, 2}, {2, 0, 5}, {2, 4, 3}, {2, 9, 13}, {3, 0, 0}, {3, 1, 1},
                               {3, 5, 4}, {4, 2, 3}, {5, 3, 3}, {7, 2, 1}, {6, 4, 5},  {3, 40, 2}};

template <class T>
void against_the_definition() {
  const Ring<T> ring;
  Rng rng(3);
  for (const auto& [d, a, b] : kCases)
    for (const auto batch : std::vector<std::size_t>{1, 2, 8, 11}) {
      if (d == 6 && batch > 2) continue;
      const auto x = reference::random_vector<T>(rng, batch * polycore::count_forms(d, a));
      const auto y = reference::random_vector<T>(rng, batch * polycore::count_forms(d, b));
      const auto m = reference::random_vector<T>(rng, batch * polycore::count_forms(d, a + b));
      const auto xy = product(d, a, b, x, y, batch), q = correlation(d, a, b, m, y, batch);
      std::vector<T> expected_xy, expected_q;
      for (std::size_t s = 0; s < batch; ++s) {
        const auto member = [&](const std::vector<T>& all) {
          return std::span<const T>(all).subspan(s * (all.size() / batch), all.size() / batch);
        };
        const auto c = reference::product<T>(ring, d, a, b, member(x), member(y));
        const auto r = reference::correlation<T>(ring, d, a, b, member(m), member(y));
        expected_xy.insert(expected_xy.end(), c.begin(), c.end());
        expected_q.insert(expected_q.end(), r.begin(), r.end());
        // <x y, m> = <x, corr(m, y)>
        const T left = reference::dot<T>(ring, member(xy), member(m)),
                right = reference::dot<T>(ring, member(x), member(q));
        CHECK(reference::distance(std::vector<T>{left}, std::vector<T>{right}) <= 10 * reference::tolerance<T>());
      }
      CHECK(reference::distance(xy, expected_xy) <= reference::tolerance<T>());
      CHECK(reference::distance(q, expected_q) <= reference::tolerance<T>());
    }
}

template <class T>
void bits_do_not_depend_on_batch_or_threads() {
  Rng rng(4);
  const int d = 4, a = 3, b = 4;
  const std::size_t batch = 37, size_a = polycore::count_forms(d, a), size_b = polycore::count_forms(d, b);
  const auto x = reference::random_vector<T>(rng, batch * size_a), y = reference::random_vector<T>(rng, batch * size_b);
  const auto m = reference::random_vector<T>(rng, polycore::count_forms(d, a + b));  // shared by the batch
  const auto xy = product(d, a, b, x, y, batch), q = correlation(d, a, b, m, y, batch);
  for (const int n_threads : {2, 5}) {
    CHECK(product(d, a, b, x, y, batch, n_threads) == xy);
    CHECK(correlation(d, a, b, m, y, batch, n_threads) == q);
  }
  for (std::size_t s = 0; s < batch; ++s) {
    const auto member = [&](const std::vector<T>& all) {
      const auto size = static_cast<std::ptrdiff_t>(all.size() / batch);
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(s) * size;
      return std::vector<T>(begin, begin + size);
    };
    CHECK(product(d, a, b, member(x), member(y), 1) == member(xy));
    CHECK(correlation(d, a, b, m, member(y), 1) == member(q));
  }
}

template <class T>
void in_one_ring() {
  check::for_each_isa([] {
    against_the_definition<T>();
    bits_do_not_depend_on_batch_or_threads<T>();
  });
}

}  // namespace

TEST(float32) { in_one_ring<float>(); }
TEST(float64) { in_one_ring<double>(); }
TEST(complex128) { in_one_ring<std::complex<double>>(); }
TEST(finite_field) { in_one_ring<std::uint64_t>(); }

TEST(other_moduli) {
  Rng rng(5);
  for (const std::uint64_t p :
       {2ull, 3ull, 101ull, (1ull << 31) - 1, 2305843009213693921ull}) {  // the last: largest prime below 2^61 - 1
    const polycore::Modulus field(p);
    check::for_each_isa([&] {
      std::vector<std::uint64_t> a(polycore::count_forms(3, 30)), b(a.size());
      for (auto& v : a) v = rng() % p;
      for (auto& v : b) v = p - 1;  // the worst case for delayed reductions
      std::vector<std::uint64_t> out(polycore::count_forms(3, 60)), expected(out.size());
      polycore::graded_product(3, 30, 30, a, b, out, p);
      const auto& table = reference::sum_table(3, 30, 30);
      for (std::size_t i = 0; i < a.size(); ++i)
        for (std::size_t j = 0; j < b.size(); ++j) {
          auto& entry = expected[table[i * b.size() + j]];
          entry = field.add(entry, field.multiply(a[i], b[j]));
        }
      CHECK(out == expected);
    });
  }
}

TEST(wrong_sizes_raise) {
  const std::vector<double> a(6), b(6), short_b(5);
  std::vector<double> out(15), short_out(14);
  polycore::graded_product<double>(3, 2, 2, a, b, out);
  CHECK_THROWS(polycore::graded_product<double>(3, 2, 2, a, short_b, out), std::invalid_argument);
  CHECK_THROWS(polycore::graded_product<double>(3, 2, 2, short_b, b, out), std::invalid_argument);
  CHECK_THROWS(polycore::graded_product<double>(3, 2, 2, a, b, short_out), std::invalid_argument);
  CHECK_THROWS(polycore::graded_product<double>(0, 2, 2, a, b, out), std::invalid_argument);
  CHECK_THROWS(polycore::graded_product<double>(3, -2, 2, a, b, out), std::invalid_argument);
  CHECK_THROWS(polycore::correlation<double>(3, 2, 2, a, b, out), std::invalid_argument);
  const std::vector<std::uint64_t> one(1, 1);
  std::vector<std::uint64_t> product(1);
  for (const std::uint64_t p : {0ull, 1ull, 1ull << 61})
    CHECK_THROWS(polycore::graded_product(1, 0, 0, one, one, product, p), std::invalid_argument);
}

TEST(an_empty_batch_is_fine) {
  std::vector<double> out;
  polycore::graded_product<double>(3, 2, 2, {}, {}, out);
  polycore::correlation<double>(3, 2, 2, std::vector<double>(15), {}, out);
}
