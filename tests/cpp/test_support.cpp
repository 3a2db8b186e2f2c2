// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/support.hpp"

#include <cmath>
#include <complex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "polycore/program.hpp"
#include "polynomials.hpp"

namespace {

using polycore::Activation;
using polycore::Add;
using polycore::Affine;
using polycore::Instruction;
using polycore::MatMul;
using polycore::Method;
using polycore::Monomials;
using polycore::Program;
using polycore::Select;
using reference::random_vector;
using reference::Rng;
using Complex = std::complex<double>;
using Residues = std::vector<std::uint64_t>;

const std::vector<double> kSquare{0, 0, 1}, kCube{0, 0, 0, 1};

struct Network {
  std::string name;
  int n_inputs;
  std::vector<Instruction> instructions;

  Program program(Method method) const { return Program(n_inputs, instructions, method); }
};

std::vector<std::vector<int>> windows(int n, int size, int stride = 1) {
  std::vector<std::vector<int>> all;
  for (int first = 0; first + size <= n; first += stride) {
    all.emplace_back();
    for (int k = 0; k < size; ++k) all.back().push_back(first + k);
  }
  return all;
}

/// V X X^T K^T Q X for one head, the tokens one after the other.
std::vector<Instruction> attention(int d, int d_key, int d_out, int t) {
  const auto tokens = windows(d * t, d, d);
  return {Affine{0, d_key, false, tokens}, Affine{0, d_key, false, tokens}, Affine{0, d_out, false, tokens},
          MatMul{1, 2, t, d_key, t, false, true},  // X^T K^T Q X
          MatMul{4, 3, t, t, d_out, true, false}};
}

const std::vector<Network>& networks() {
  static const std::vector<Network> all{
      {"convolutions",
       7,
       {Affine{0, 1, false, windows(7, 3)}, Activation{1, kSquare}, Affine{2, 1, false, windows(5, 3)},
        Activation{3, kSquare}, Affine{4, 1, false, windows(3, 2)}}},
      {"biased convolutions, strides",
       6,
       {Affine{0, 2, true, windows(6, 2, 2)}, Activation{1, {0, 1, 3}}, Affine{2, 1, true, windows(6, 4, 2)},
        Activation{3, {0.5, 0, -1}}}},
      {"attention", 6, attention(2, 2, 1, 3)},
      {"attention to itself", 2, attention(2, 1, 2, 1)},
      {"residual",
       3,
       {Affine{0, 4, false}, Activation{1, kCube}, Affine{2, 3, false}, Add{{0, 3}}, Affine{4, 2, true}}},
      {"square of a sum", 2, {Affine{0, 2, true}, Add{{0, 1}}, MatMul{2, 2, 2, 1, 2, false, false}}},
      {"activation of inputs", 4, {Activation{0, kSquare}, Affine{1, 2, false}, Activation{2, {1, 0, 2}}}},
      {"selection", 4, {Select{0, {1, 1, 3}}, MatMul{1, 1, 1, 3, 1, false, false}, Affine{2, 1, true}}},
      {"no parameter but one", 3, {MatMul{0, 0, 3, 1, 3, false, false}, Select{1, {0, 4, 5}}, Affine{2, 1, false}}},
      {"constants", 2, {Affine{0, 2, true}, Activation{1, {3}}, Add{{0, 2}}}},
      {"zero", 2, {Affine{0, 2, false}, Activation{1, {0}}, Affine{2, 2, false}}},
      {"dense", 3, {Affine{0, 3, true}, Activation{1, {0, 1, 0, 2}}, Affine{2, 2, true}, Activation{3, kSquare}}},
      {"linear", 3, {Affine{0, 2, false, windows(3, 2)}, Select{1, {1, 0, 1}}}},
  };
  return all;
}

Residues constants(const Program& program) {
  const polycore::Modulus field(reference::kPrime61);
  Residues result;
  for (const auto& instruction : program.instructions())
    if (const auto* activation = std::get_if<Activation>(&instruction))
      for (const double c : activation->coefficients) result.push_back(field.residue(c));
  return result;
}

/// All coefficient methods in one ring, as (batch, ...) arrays one after the other.
template <class T>
std::vector<T> everything(const Program& p, Monomials on, const std::vector<T>& theta, const std::vector<T>& dtheta,
                          const std::vector<T>& dcoef, int n_threads = 1) {
  const std::size_t batch = theta.size() / p.n_params(), row = dcoef.size() / batch;
  std::vector<T> coef(dcoef.size()), tangent(dcoef.size()), gradient(theta.size()), jacobian(row * theta.size());
  if constexpr (std::is_same_v<T, std::uint64_t>) {
    const auto residues = constants(p);
    const Program::Modular field{reference::kPrime61, residues};
    p.expand(field, theta, coef, n_threads, on);
    p.jvp(field, theta, dtheta, tangent, n_threads, on);
    p.vjp(field, theta, dcoef, gradient, n_threads, on);
    p.jacobian(field, theta, jacobian, n_threads, on);
  } else {
    p.expand<T>(theta, coef, n_threads, on);
    p.jvp<T>(theta, dtheta, tangent, n_threads, on);
    p.vjp<T>(theta, dcoef, gradient, n_threads, on);
    p.jacobian<T>(theta, jacobian, n_threads, on);
  }
  for (const auto* more : {&tangent, &gradient, &jacobian}) coef.insert(coef.end(), more->begin(), more->end());
  return coef;
}

std::size_t row(const Program& p, Monomials on) {
  return static_cast<std::size_t>(p.n_outputs()) * (on == Monomials::basis ? p.basis().size() : p.support().size());
}

TEST(support_is_what_random_networks_have) {
  for (const Network& network : networks()) {
    check::context = network.name;
    for (const Method method : {Method::forms, Method::circuit}) {
      const Program p = network.program(method);
      const auto residues = constants(p);
      Rng rng(7);
      const std::size_t N = p.basis().size(), n = row(p, Monomials::basis);
      Residues coef(n);
      std::set<std::uint64_t> seen;
      for (int k = 0; k < 3; ++k) {
        p.expand({reference::kPrime61, residues}, random_vector<std::uint64_t>(rng, p.n_params()), coef);
        for (std::size_t i = 0; i < n; ++i)
          if (coef[i] != 0) seen.insert(i % N);
      }
      const auto positions = p.support().positions();
      CHECK_EQUAL(positions, std::vector<std::uint64_t>(seen.begin(), seen.end()));
      for (std::size_t k = 0; k < positions.size(); ++k) {
        CHECK_EQUAL(p.basis().index(p.support().exponent(k)), positions[k]);
        CHECK_EQUAL(p.basis().exponent(positions[k]), p.support().exponent(k));
      }
    }
  }
}

TEST(both_methods_agree) {
  check::for_each_isa([] {
    for (const Network& network : networks()) {
      check::context += ", " + network.name;
      const Program forms = network.program(Method::forms), circuit = network.program(Method::circuit);
      CHECK(!forms.uses_circuit());
      CHECK(circuit.uses_circuit());
      for (const Monomials on : {Monomials::basis, Monomials::support}) {
        const auto compare = [&]<class T>(T, const auto& close) {
          Rng rng(3);
          const std::size_t P = forms.n_params(), batch = 3;
          const auto theta = random_vector<T>(rng, batch * P), dtheta = random_vector<T>(rng, batch * P);
          const auto dcoef = random_vector<T>(rng, batch * row(forms, on));
          const auto a = everything<T>(forms, on, theta, dtheta, dcoef);
          const auto b = everything<T>(circuit, on, theta, dtheta, dcoef);
          bool same = true;
          for (std::size_t i = 0; i < a.size(); ++i) same = same && close(a[i], b[i]);
          CHECK(same);
        };
        compare(std::uint64_t{}, [](std::uint64_t a, std::uint64_t b) { return a == b; });
        compare(0.0, [](double a, double b) { return std::abs(a - b) <= 1e-12 * (1 + std::abs(a)); });
        compare(Complex{}, [](Complex a, Complex b) { return std::abs(a - b) <= 1e-12 * (1 + std::abs(a)); });
      }
      check::context = "ISA " + polycore::isa();
    }
  });
}

TEST(second_derivatives_and_losses_agree) {
  for (const Network& network : networks()) {
    check::context = network.name;
    const Program forms = network.program(Method::forms), circuit = network.program(Method::circuit);
    for (const Monomials on : {Monomials::basis, Monomials::support}) {
      Rng rng(4);
      const std::size_t batch = 9, P = forms.n_params(), n = row(forms, on);
      const std::size_t N = n / static_cast<std::size_t>(forms.n_outputs());
      const auto theta = random_vector<double>(rng, batch * P), dtheta = random_vector<double>(rng, batch * P);
      const auto dcoef = random_vector<double>(rng, batch * n), ddcoef = random_vector<double>(rng, batch * n);
      const auto factor = random_vector<double>(rng, N * N), target = random_vector<double>(rng, n);
      std::vector<double> gram(N * N);
      for (std::size_t i = 0; i < N; ++i)
        for (std::size_t j = 0; j <= i; ++j) {
          for (std::size_t k = 0; k < N; ++k) gram[i * N + j] += factor[i * N + k] * factor[j * N + k];
          gram[j * N + i] = gram[i * N + j];
        }
      const auto run = [&](const Program& p) {
        std::vector<double> result(batch * P), value(batch), gradient(batch * P);
        p.vjp_tangent(theta, dtheta, dcoef, ddcoef, result, 1, on);
        p.loss_gradient(theta, gram, target, value, gradient, 1, on);
        result.insert(result.end(), value.begin(), value.end());
        result.insert(result.end(), gradient.begin(), gradient.end());
        return result;
      };
      const auto a = run(forms), b = run(circuit);
      bool same = true;
      for (std::size_t i = 0; i < a.size(); ++i) same = same && std::abs(a[i] - b[i]) <= 1e-10 * (1 + std::abs(a[i]));
      CHECK(same);
    }
  }
}

TEST(bits_do_not_depend_on_batch_or_threads) {
  check::for_each_isa([] {
    for (const Network& network : networks()) {
      const Program p = network.program(Method::circuit);
      Rng rng(5);
      const std::size_t P = p.n_params(), batch = 19, n = row(p, Monomials::support);
      const auto theta = random_vector<double>(rng, batch * P), dtheta = random_vector<double>(rng, batch * P);
      const auto dcoef = random_vector<double>(rng, batch * n);
      const auto all = everything<double>(p, Monomials::support, theta, dtheta, dcoef);
      CHECK_EQUAL(everything<double>(p, Monomials::support, theta, dtheta, dcoef, 4), all);
      const auto part = [](const std::vector<double>& x, std::size_t begin, std::size_t size) {
        return std::vector<double>(x.begin() + static_cast<std::ptrdiff_t>(begin),
                                   x.begin() + static_cast<std::ptrdiff_t>(begin + size));
      };
      const std::size_t s = 11;
      const auto one = everything<double>(p, Monomials::support, part(theta, s * P, P), part(dtheta, s * P, P),
                                          part(dcoef, s * n, n));
      std::size_t in_all = 0, in_one = 0;
      for (const std::size_t size : {n, n, P, n * P}) {
        CHECK_EQUAL(part(all, in_all + s * size, size), part(one, in_one, size));
        in_all += batch * size;
        in_one += size;
      }
    }
  });
}

TEST(networks_whose_basis_is_beyond_memory) {
  // Four filters on 60 inputs: degree 8.
  const Network convolutions{
      "",
      60,
      {Affine{0, 1, false, windows(60, 3)}, Activation{1, kSquare}, Affine{2, 1, false, windows(58, 3)},
       Activation{3, kSquare}, Affine{4, 1, false, windows(56, 3)}, Activation{5, kSquare},
       Affine{6, 1, false, windows(54, 3)}}};
  const Program p = convolutions.program(Method::automatic);
  CHECK(p.uses_circuit());
  Rng rng(6);
  const auto theta = random_vector<double>(rng, p.n_params());
  std::vector<double> coef(row(p, Monomials::support));
  p.expand<double>(theta, coef, 1, Monomials::support);
  // Every output is the same polynomial in a window of its own.
  const Network window{"",
                       9,
                       {Affine{0, 1, false, windows(9, 3)}, Activation{1, kSquare}, Affine{2, 1, false, windows(7, 3)},
                        Activation{3, kSquare}, Affine{4, 1, false, windows(5, 3)}, Activation{5, kSquare},
                        Affine{6, 1, false, windows(3, 3)}}};
  const Program one = window.program(Method::circuit);
  std::vector<double> expected(row(one, Monomials::support));
  one.expand<double>(theta, expected, 1, Monomials::support);
  const std::size_t N = p.support().size(), n_outputs = static_cast<std::size_t>(p.n_outputs());
  for (std::size_t o = 0; o < n_outputs; ++o) {
    std::vector<double> non_zero;
    for (std::size_t k = 0; k < N; ++k)
      if (coef[o * N + k] != 0) non_zero.push_back(coef[o * N + k]);
    CHECK_EQUAL(non_zero, expected);
  }
}

TEST(limits) {
  // Degree 512 in 1000 variables: a position does not fit 64 bits.
  const Program power(1000, {Select{0, {0, 999}}, Activation{1, std::vector<double>(513, 0.0)}}, Method::automatic);
  CHECK_EQUAL(power.support().size(), std::size_t{0});
  std::vector<double> monomial(513, 0.0);
  monomial.back() = 1;
  const Program high(1000, {Select{0, {0, 999}}, Activation{1, monomial}, Affine{2, 1, false}}, Method::automatic);
  CHECK_EQUAL(high.support().size(), std::size_t{2});
  CHECK_THROWS(high.support().positions(), std::overflow_error);
  const std::vector<double> theta{2, 3};
  std::vector<double> coef(2);
  high.expand<double>(theta, coef, 1, Monomials::support);
  CHECK_EQUAL(coef, theta);
  CHECK_THROWS(high.expand<double>(theta, coef), std::overflow_error);
  // Attention in two layers on 8 tokens of 8 features, degree 9: some 10^10 monomials.
  auto twice = attention(8, 8, 8, 8);
  const auto tokens = windows(64, 8, 8);
  for (const Instruction& instruction :
       std::vector<Instruction>{Affine{5, 8, false, tokens}, Affine{5, 8, false, tokens}, Affine{5, 8, false, tokens},
                                MatMul{6, 7, 8, 8, 8, false, true}, MatMul{9, 8, 8, 8, 8, true, false}})
    twice.push_back(instruction);
  const Program deep(64, twice, Method::circuit);
  CHECK_THROWS(deep.uses_circuit(), std::overflow_error);
}

}  // namespace
