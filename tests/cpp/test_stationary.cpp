// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/stationary.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "detail/symmetric_eigen.hpp"
#include "polycore/networks.hpp"

using polycore::Monomials;
using polycore::Program;
using polycore::SearchOptions;
using polycore::SearchResult;
using polycore::SquaredDistance;
using polycore::Stepping;

namespace {

using Vector = std::vector<double>;
using Rng = std::mt19937_64;
constexpr double kEps = std::numeric_limits<double>::epsilon();

Vector normal(Rng& rng, std::size_t n) {
  std::normal_distribution<double> distribution;
  Vector x(n);
  for (double& xi : x) xi = distribution(rng);
  return x;
}

// ---- eigenvalues --------------------------------------------------------------------------------

/// Checks A z = lambda z, orthonormality and order; returns the eigenvalues.
Vector check_eigen(const Vector& a, std::size_t n) {
  Vector z = a, values(n), work(2 * n);
  CHECK(polycore::detail::symmetric_eigen(n, z.data(), values.data(), work.data()));
  CHECK(std::is_sorted(values.begin(), values.end()));
  double size = 0.0;
  for (const double x : a) size = std::max(size, std::abs(x));
  // Of order eps ||A||, with the norm at most n times the largest entry; a denormal A has no relative accuracy.
  const double tolerance = 8.0 * static_cast<double>(n) * static_cast<double>(n) * kEps;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      double inner = 0.0, image = 0.0;
      for (std::size_t k = 0; k < n; ++k) {
        inner += z[i * n + k] * z[j * n + k];
        image += (size > 0.0 ? a[j * n + k] / size : 0.0) * z[i * n + k];
      }
      CHECK(std::abs(inner - (i == j)) <= tolerance);
      CHECK(std::abs(image - (size > 0.0 ? values[i] / size : 0.0) * z[i * n + j]) <= tolerance);
    }
  return values;
}

Vector symmetric(Rng& rng, std::size_t n) {
  Vector a = normal(rng, n * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j) a[i * n + j] = a[j * n + i];
  return a;
}

template <class Entry>
Vector matrix(std::size_t n, const Entry& entry) {
  Vector a(n * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) a[i * n + j] = entry(i, j);
  return a;
}

}  // namespace

TEST(eigenvalues_of_random_matrices) {
  Rng rng(1);
  for (std::size_t n = 1; n <= 40; ++n) check_eigen(symmetric(rng, n), n);
  check_eigen(symmetric(rng, 120), 120);
}

TEST(eigenvalues_of_any_size_of_entries) {
  Rng rng(2);
  for (const double scale : {1e-300, 1e-160, 1e-20, 1e20, 1e160, 1e300}) {
    Vector a = symmetric(rng, 7);
    for (double& x : a) x *= scale;
    check_eigen(a, 7);
  }
  Vector denormal(9, 0.0);
  denormal[1] = denormal[3] = 4e-320;
  const Vector values = check_eigen(denormal, 3);
  CHECK(std::abs(values[2] - 4e-320) <= 1e-323);
}

TEST(eigenvalues_of_graded_matrices) {
  for (const double ratio : {1e-2, 1e-8, 1e-40, 1e-100})
    check_eigen(matrix(6, [&](std::size_t i, std::size_t j) { return std::pow(ratio, static_cast<double>(i + j)); }),
                6);
  for (const double ratio : {1e2, 1e8, 1e20})  // and upside down
    check_eigen(matrix(6, [&](std::size_t i, std::size_t j) { return std::pow(ratio, static_cast<double>(i + j)); }),
                6);
  // Entries whose squares underflow next to others.
  Rng rng(3);
  Vector a = symmetric(rng, 8);
  for (std::size_t i = 0; i < 8; ++i)
    for (std::size_t j = 0; j < 8; ++j)
      if ((i < 4) != (j < 4)) a[i * 8 + j] *= 1e-165;
  check_eigen(a, 8);
}

TEST(eigenvalues_that_repeat) {
  CHECK_EQUAL(check_eigen(Vector(25, 0.0), 5), Vector(5, 0.0));
  CHECK_EQUAL(check_eigen(matrix(4, [](std::size_t i, std::size_t j) { return i == j ? 3.0 : 0.0; }), 4),
              Vector(4, 3.0));
  CHECK_EQUAL(check_eigen({-2.5}, 1), Vector{-2.5});
  // All ones: n, and n - 1 times 0. A projection of rank 3: eigenvalues 0 and 1.
  const Vector ones = check_eigen(Vector(36, 1.0), 6);
  CHECK(std::abs(ones[5] - 6.0) <= 40 * kEps && std::abs(ones[4]) <= 40 * kEps && std::abs(ones[0]) <= 40 * kEps);
  Rng rng(4);
  Vector a = symmetric(rng, 10), values(10), work(20);
  CHECK(polycore::detail::symmetric_eigen(10, a.data(), values.data(), work.data()));
  const Vector projection = matrix(10, [&](std::size_t i, std::size_t j) {
    double sum = 0.0;
    for (std::size_t k = 0; k < 3; ++k) sum += a[k * 10 + i] * a[k * 10 + j];
    return sum;
  });
  const Vector levels = check_eigen(projection, 10);
  for (std::size_t i = 0; i < 10; ++i) CHECK(std::abs(levels[i] - (i < 7 ? 0.0 : 1.0)) <= 200 * kEps);
}

TEST(eigenvalues_that_are_known) {
  // The second differences: 2 - 2 cos(k pi / (n + 1)), k = 1, ..., n.
  constexpr std::size_t n = 30;
  const Vector values = check_eigen(
      matrix(n, [](std::size_t i, std::size_t j) { return i == j                     ? 2.0
                                                          : i + 1 == j || j + 1 == i ? -1.0
                                                                                     : 0.0; }), n);
  for (std::size_t k = 1; k <= n; ++k)
    CHECK(std::abs(values[k - 1] - 2.0 + 2.0 * std::cos(static_cast<double>(k) * std::numbers::pi / (n + 1))) <=
          100 * kEps);
  // Wilkinson's matrix W21+, whose largest eigenvalues agree to 14 digits: The Algebraic Eigenvalue Problem, p. 309.
  const Vector pairs = check_eigen(matrix(21,
                                          [](std::size_t i, std::size_t j) {
                                            if (i == j) return std::abs(10.0 - static_cast<double>(i));
                                            return i + 1 == j || j + 1 == i ? 1.0 : 0.0;
                                          }),
                                   21);
  CHECK(std::abs(pairs[20] - 10.746194182903393) <= 1e-13 && std::abs(pairs[19] - 10.746194182903322) <= 1e-13);
}

// ---- searches -----------------------------------------------------------------------------------

namespace {

struct Searched {
  Vector theta, value, gradient_norm, scale;
  std::vector<std::uint8_t> converged;
  std::vector<std::int64_t> n_steps;

  bool operator==(const Searched&) const = default;
};

struct Problem {
  Program program;
  Vector gram, target;
  double gram_norm, target_norm;
  Monomials on = Monomials::basis;

  Searched search(const Vector& starts, SearchOptions options, const std::vector<std::int64_t>& index = {}) const {
    const std::size_t batch = starts.size() / program.n_params();
    Searched s{starts,
               Vector(batch),
               Vector(batch),
               Vector(batch),
               std::vector<std::uint8_t>(batch),
               std::vector<std::int64_t>(batch)};
    const SquaredDistance distance{gram, target, gram_norm, target_norm, on};
    polycore::search_stationary(program, distance, index, options,
                                {s.theta, s.value, s.gradient_norm, s.scale, s.converged, s.n_steps});
    return s;
  }
};

Vector identity(std::size_t n) {
  return matrix(n, [](std::size_t i, std::size_t j) { return i == j ? 1.0 : 0.0; });
}

/// Linear networks of rank one against diag(3, 1) in the Frobenius norm: the critical values are the sums of squares of
/// the singular values that are left out (Eckart, Young 1936).
Problem eckart_young() {
  constexpr std::array<int, 3> widths{2, 1, 2};
  return {polycore::mlp(widths, 1), identity(2), {3.0, 0.0, 0.0, 1.0}, 1.0, std::sqrt(10.0)};
}

bool close(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(1.0, std::abs(b)); }

constexpr std::array<Stepping, 4> kSteppings{Stepping::descent, Stepping::stationary, Stepping::index,
                                             Stepping::newton};

std::vector<std::int64_t> indices(Stepping stepping, std::size_t batch) {
  std::vector<std::int64_t> result(stepping == Stepping::index ? batch : 0);
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = static_cast<std::int64_t>(i % 3);
  return result;
}

}  // namespace

TEST(critical_values_are_those_of_eckart_and_young) {
  const Problem problem = eckart_young();
  Rng rng(5);
  const Vector starts = normal(rng, 200 * 4);
  for (const Stepping stepping : kSteppings) {
    const Searched s = problem.search(starts, {.stepping = stepping}, indices(stepping, 200));
    std::array<int, 3> hits{};
    for (std::size_t i = 0; i < 200; ++i) {
      if (!s.converged[i]) continue;
      CHECK(s.gradient_norm[i] <= 1e-10 * s.scale[i]);
      const bool known[] = {close(s.value[i], 1.0), close(s.value[i], 9.0), close(s.value[i], 10.0)};
      CHECK(known[0] || known[1] || known[2]);
      for (std::size_t k = 0; k < 3; ++k) hits[k] += known[k];
    }
    if (stepping == Stepping::descent)
      CHECK_EQUAL(hits[0], 200);
    else
      CHECK(hits[0] > 10 && hits[1] > 10);
    if (stepping == Stepping::stationary || stepping == Stepping::newton) CHECK(hits[2] > 10);
  }
}

TEST(results_do_not_depend_on_threads_or_company) {
  constexpr std::array<int, 3> widths{3, 2, 1};
  Rng rng(6);
  Problem problem{polycore::mlp(widths, 2), identity(6), Vector(6), 1.0, 1.0};
  const std::size_t P = problem.program.n_params(), batch = 300;
  problem.program.expand<double>(normal(rng, P), problem.target);
  const Vector starts = normal(rng, batch * P);
  check::for_each_isa([&] {
    for (const Stepping stepping : kSteppings) {
      const auto index = indices(stepping, batch);
      const Searched all = problem.search(starts, {.stepping = stepping, .max_steps = 60, .n_threads = 1}, index);
      CHECK(std::ranges::count(all.converged, 1) > 10);
      CHECK(all == problem.search(starts, {.stepping = stepping, .max_steps = 60, .n_threads = 3}, index));
      for (const std::size_t i : {std::size_t{0}, std::size_t{7}, std::size_t{131}, batch - 1}) {
        const Vector start(starts.begin() + static_cast<std::ptrdiff_t>(i * P),
                           starts.begin() + static_cast<std::ptrdiff_t>((i + 1) * P));
        const auto own = index.empty() ? index : std::vector<std::int64_t>{index[i]};
        const Searched one = problem.search(start, {.stepping = stepping, .max_steps = 60}, own);
        CHECK(std::equal(one.theta.begin(), one.theta.end(), all.theta.begin() + static_cast<std::ptrdiff_t>(i * P)));
        CHECK_EQUAL(one.n_steps[0], all.n_steps[i]);
        CHECK_EQUAL(one.converged[0], all.converged[i]);
      }
    }
  });
}

TEST(a_joint_metric_may_be_the_same_for_every_output) {
  constexpr std::array<int, 3> widths{2, 2, 2};
  Rng rng(7);
  const Vector factor = normal(rng, 9);
  const auto entry = [&](std::size_t i, std::size_t j) {
    double sum = 0.0;
    for (std::size_t k = 0; k < 3; ++k) sum += factor[k * 3 + i] * factor[k * 3 + j];
    return sum;
  };
  const Vector target = normal(rng, 6), starts = normal(rng, 40 * 8);
  const Problem separate{polycore::mlp(widths, 2), matrix(3, entry), target, 1.0, 1.0};
  const Problem joint{
      polycore::mlp(widths, 2),
      matrix(6, [&](std::size_t i, std::size_t j) { return i / 3 == j / 3 ? entry(i % 3, j % 3) : 0.0; }), target, 1.0,
      1.0};
  const Searched a = separate.search(starts, {}), b = joint.search(starts, {});
  std::size_t agree = 0;
  for (std::size_t i = 0; i < 40; ++i)
    agree += a.converged[i] && b.converged[i] && std::abs(a.value[i] - b.value[i]) <= 1e-9;
  CHECK(agree >= 36);  // a search may take another way after many steps in another rounding
}

TEST(a_support_is_enough_for_what_can_occur) {
  constexpr std::array<int, 2> filters{2, 2};
  Problem on_support{polycore::cnn(filters, 2), {}, {}, 1.0, 1.0, Monomials::support};
  Problem on_basis{polycore::cnn(filters, 2), {}, {}, 1.0, 1.0};
  const auto& support = on_support.program.support();
  CHECK(support.size() < on_support.program.basis().size());
  Rng rng(8);
  on_support.gram = identity(support.size());
  on_support.target = normal(rng, support.size());
  // Elsewhere the target is zero: there it adds nothing.
  on_basis.gram = identity(on_basis.program.basis().size());
  on_basis.target.assign(on_basis.program.basis().size(), 0.0);
  Vector at_one(on_support.program.n_params(), 1.0), c(on_basis.target.size()), on(support.size());
  on_basis.program.expand<double>(at_one, c, 1);
  for (std::size_t i = 0, k = 0; i < c.size(); ++i)
    if (c[i] != 0.0) on_basis.target[i] = on_support.target[k++];
  const Vector starts = normal(rng, 30 * on_support.program.n_params());
  const Searched a = on_support.search(starts, {}), b = on_basis.search(starts, {});
  std::size_t agree = 0;
  for (std::size_t i = 0; i < 30; ++i) agree += a.converged[i] == b.converged[i] && close(a.value[i], b.value[i]);
  CHECK(agree >= 28);
}

TEST(starts_that_lead_nowhere_end_unconverged) {
  constexpr std::array<int, 3> widths{2, 2, 1};
  // x^2 y is a limit of sums of two cubes and no such sum: the infimum 0 is not attained, parameters diverge.
  const Problem problem{polycore::mlp(widths, 3), identity(4), {0.0, 1.0, 0.0, 0.0}, 1.0, 1.0};
  Rng rng(9);
  const Vector starts = normal(rng, 20 * 6);
  const Searched s = problem.search(starts, {.max_steps = 500});
  for (std::size_t i = 0; i < 20; ++i) CHECK(!s.converged[i] || s.value[i] > 0.1);
  // Overflow, at the start or of the Hessian alone; an exact stationary point; and one that converges beside them.
  const Problem easy = eckart_young();
  const Searched mixed = easy.search({1e200, 1e200, 1e200, 1e200, 0.0, 0.0, 0.0, 0.0, 1.0, 0.5, 0.5, -1.0}, {});
  CHECK(!mixed.converged[0] && std::isnan(mixed.value[0]));
  CHECK(mixed.converged[1] && mixed.n_steps[1] == 0 && mixed.gradient_norm[1] == 0.0);
  CHECK(mixed.converged[2] && close(mixed.value[2], 1.0));
  CHECK_EQUAL(easy.search({}, {}).value.size(), std::size_t{0});
}

TEST(gradients_fall_to_rounding) {
  const Problem problem = eckart_young();
  Rng rng(10);
  const Searched s = problem.search(normal(rng, 50 * 4), {.tolerance = 1e-4});
  for (std::size_t i = 0; i < 50; ++i) CHECK(s.converged[i] && s.gradient_norm[i] <= 16 * kEps * s.scale[i]);
}

TEST(arguments_of_the_wrong_size_or_value_are_refused) {
  Problem problem = eckart_young();
  const Vector start(4, 1.0);
  const SearchOptions by_index{.stepping = Stepping::index};
  CHECK_THROWS(problem.search(start, by_index), std::invalid_argument);
  CHECK_THROWS(problem.search(start, by_index, {5}), std::invalid_argument);
  CHECK_THROWS(problem.search(start, by_index, {-1}), std::invalid_argument);
  CHECK_THROWS(problem.search(start, {}, {1}), std::invalid_argument);
  CHECK_THROWS(problem.search({1.0, 1.0, 1.0, std::nan("")}, {}), std::invalid_argument);
  problem.target.pop_back();
  CHECK_THROWS(problem.search(start, {}), std::invalid_argument);
  problem = eckart_young();
  problem.gram.pop_back();
  CHECK_THROWS(problem.search(start, {}), std::invalid_argument);
  problem = eckart_young();
  problem.gram[0] = std::numeric_limits<double>::infinity();
  CHECK_THROWS(problem.search(start, {}), std::invalid_argument);
}
