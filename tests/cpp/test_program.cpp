// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/program.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "polycore/error.hpp"
#include "polycore/networks.hpp"
#include "polycore/parallel.hpp"
#include "polycore/veronese.hpp"
#include "polynomials.hpp"

namespace {

using polycore::Activation;
using polycore::Add;
using polycore::Affine;
using polycore::cnn;
using polycore::lightning_attention;
using polycore::MatMul;
using polycore::mlp;
using polycore::Program;
using polycore::Select;
using reference::Ring;
using reference::Rng;
using Complex = std::complex<double>;
using Lists = std::vector<std::vector<double>>;

using Instructions = std::vector<polycore::Instruction>;
using Windows = std::vector<std::vector<int>>;

struct Network {
  std::string name;
  int n_inputs;
  Instructions instructions;

  /// On dense forms: the circuits of sparse supports have tests of their own.
  Program program() const { return Program(n_inputs, instructions, polycore::Method::forms); }
};

Network named(std::string name, const Program& program) {
  return {std::move(name), program.n_inputs(), program.instructions()};
}
Network multilayer(std::string name, const std::vector<int>& widths, const Lists& activations, bool bias) {
  return named(std::move(name), mlp(widths, activations, bias));
}

const Lists::value_type kSquare{0, 0, 1}, kCube{0, 0, 0, 1};

std::vector<Network> convolutions() {
  // Two filters of 2 x 2 on images of 3 x 4.
  Windows image;
  for (const int corner : {0, 1, 2, 4, 5, 6}) image.push_back({corner, corner + 1, corner + 4, corner + 5});
  return {
      named("convolution", cnn(std::array{3, 2, 2}, 2)),
      named("convolution, a sequence of outputs", cnn(std::array{2, 2}, Lists{{0, 1, 1}}, {.n_positions = 7})),
      named("convolution, strides and channels",
            cnn(std::array{2, 2}, 2, {.strides = {2, 1}, .channels = {2, 3, 2}, .n_positions = 5})),
      named("convolution, biased", cnn(std::array{2, 1, 2}, 2, {.channels = {1, 2, 2, 1}, .bias = true})),
      {"image", 12, {Affine{0, 2, false, image}, Activation{1, kSquare}, Affine{2, 1, false}}},
      {"windows of any order",
       3,
       {Affine{0, 5, true}, Activation{1, kSquare}, Affine{2, 3, true, {{4, 0, 1}, {2, 1, 3}, {3, 4, 0}}}}},
      {"windows that are the same",
       3,
       {Affine{0, 2, false, {{0, 1}, {0, 1}, {0, 1}, {1, 2}}}, Activation{1, kSquare},
        Affine{2, 1, true, {{1, 2, 3}, {1, 2, 3}}}}},
      {"one window", 3, {Affine{0, 4, false, {{1, 2}}}, Activation{1, kCube}, Affine{2, 1, false, {{1, 3}}}}},
      {"convolution with six windows of three filters",
       4,
       {Affine{0, 8, false}, Activation{1, kSquare},
        Affine{2, 3, false, {{0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {3, 4, 5}, {4, 5, 6}, {5, 6, 7}}}}},
  };
}

std::vector<Network> attentions() {
  return {
      named("attention", lightning_attention(2, 1, 2, 2)),
      named("attention, scores first", lightning_attention(2, 3, 1, 2)),
      named("attention, heads", lightning_attention(2, 2, 2, 3, 1, 2)),
      named("attention, layers", lightning_attention(1, 1, 2, 2, 2)),
      {"products of the inputs",
       6,
       {MatMul{0, 0, 2, 3, 2, false, true}, Affine{1, 2, false}, MatMul{0, 2, 3, 2, 1, true}, Affine{3, 2, false}}},
      {"a product with itself",
       4,
       {Affine{0, 4, true}, MatMul{1, 1, 2, 2, 2, true, false}, MatMul{2, 1, 2, 2, 2, true, true}}},
      {"every transpose",
       2,
       {Affine{0, 6, false}, Activation{1, {0, 1, 1}}, MatMul{1, 2, 2, 3, 2}, MatMul{1, 2, 3, 2, 3, true, true},
        Select{4, {0, 4, 8, 1}}, Add{{3, 5}}, Affine{6, 1, false}}},
      {"a product with a constant",
       3,
       {Affine{0, 2, true}, Activation{1, {3}}, Affine{0, 2, false}, MatMul{2, 3, 2, 1, 2}, Affine{4, 2, true}}},
  };
}

std::vector<Network> others() {
  return {
      {"residual", 3, {Affine{0, 3, false}, Activation{1, kSquare}, Affine{2, 3, false}, Add{{0, 3}}}},
      {"residual of layers",
       2,
       {Affine{0, 2, true}, Activation{1, kSquare}, Add{{1, 2}}, Activation{3, {1, 0, 1}}, Affine{4, 2, true},
        Add{{5, 3, 1, 0}}}},
      {"sum of equal degrees",
       2,
       {Affine{0, 3, false}, Activation{1, kSquare}, Affine{0, 3, false}, Activation{3, kSquare}, Add{{2, 4, 2}},
        Affine{5, 1, false}}},
      {"selected inputs",
       4,
       {Select{0, {3, 1, 1}}, Affine{1, 2, false}, Activation{2, kSquare}, Select{3, {1, 0, 1}}, Affine{4, 1, true}}},
      {"selected and selected again",
       2,
       {Affine{0, 4, false}, Select{1, {0, 2, 2, 3}}, Activation{2, kSquare}, Add{{3, 3}}, Affine{4, 2, false}}},
      {"two affine maps of the inputs",
       2,
       {Affine{0, 3, true}, Affine{1, 3, true}, Activation{2, kCube}, Affine{3, 1, false}}},
      {"an output without parameters", 2, {Affine{0, 2, true}, Select{0, {1, 0}}, MatMul{0, 2, 1, 2, 1}}},
      {"a constant of higher degree",
       2,
       {Affine{0, 2, false}, Activation{1, kCube}, MatMul{2, 2, 1, 2, 1}, Activation{3, {2}}, Affine{4, 2, false}}},
  };
}

const std::vector<Network>& networks() {
  static const std::vector<Network> all = [] {
    std::vector<Network> list{
        multilayer("shallow", {2, 2, 1}, {kSquare}, false),
        multilayer("deep", {3, 3, 2, 2}, {kSquare, kCube}, false),
        multilayer("biased", {2, 3, 2, 2}, {kSquare, kSquare}, true),
        multilayer("mixed powers", {2, 3, 1}, {{0, 0, 1, 1}}, false),
        multilayer("constant term", {2, 3, 2, 1}, {{1, 2, 3}, {0.5, 0, -1, 0.25}}, true),
        multilayer("fifth power", {2, 2, 1}, {{0, 0, 0, 0, 0, -2}}, false),
        multilayer("one variable", {1, 3, 2, 1}, {kCube, kSquare}, true),
        multilayer("linear", {4, 2, 3}, {{0, 1}}, false),
        multilayer("linear, biased", {4, 2, 3}, {{0.5, 1}}, true),
        multilayer("no hidden layer", {3, 2}, {}, true),
        multilayer("constant activation", {2, 2, 2}, {{3}}, true),
        multilayer("constant activation of squares", {2, 3, 2, 1}, {kSquare, {3}}, false),
        multilayer("constant activation of squares, biased", {2, 3, 2, 1}, {kSquare, {3}}, true),
        multilayer("square of a constant", {2, 3, 2, 1}, {{-2}, kSquare}, true),
        multilayer("three hidden layers", {2, 2, 2, 2, 1}, {kSquare, kSquare, kSquare}, false),
    };
    for (const auto& more : {convolutions(), attentions(), others()}) list.insert(list.end(), more.begin(), more.end());
    return list;
  }();
  return all;
}

/// The coefficients of all activations; trailing zeros are no part of a polynomial.
std::vector<double> activation_coefficients(const Program& program) {
  std::vector<double> all;
  for (const auto& instruction : program.instructions())
    if (const auto* activation = std::get_if<Activation>(&instruction)) {
      auto a = activation->coefficients;
      while (a.size() > 1 && a.back() == 0) a.pop_back();
      all.insert(all.end(), a.begin(), a.end());
    }
  return all;
}

/// Runs a method in the ring of T; in GF(p) the activation coefficients come as residues.
template <class T>
struct Runner {
  const Program& program;
  std::vector<std::uint64_t> constants{};
  int n_threads = 1;

  explicit Runner(const Program& p, int threads = 1) : program(p), n_threads(threads) {
    const polycore::Modulus field(reference::kPrime61);
    for (const double c : activation_coefficients(p)) constants.push_back(field.residue(c));
  }
  std::size_t outputs() const { return static_cast<std::size_t>(program.n_outputs()); }
  std::size_t coefficients() const { return outputs() * program.basis().size(); }
  std::size_t batch(const std::vector<T>& theta) const { return theta.size() / program.n_params(); }
  Program::Modular field() const { return {reference::kPrime61, constants}; }

  std::vector<T> evaluate(const std::vector<T>& theta, const std::vector<T>& X) const {
    std::vector<T> out(batch(theta) * X.size() / static_cast<std::size_t>(program.n_inputs()) * outputs());
    if constexpr (std::is_same_v<T, std::uint64_t>)
      program.evaluate(field(), theta, X, out, n_threads);
    else
      program.evaluate<T>(theta, X, out, n_threads);
    return out;
  }
  std::vector<T> evaluate_vjp(const std::vector<T>& theta, const std::vector<T>& X, const std::vector<T>& dY) const {
    std::vector<T> out(theta.size() * X.size() / static_cast<std::size_t>(program.n_inputs()));
    if constexpr (std::is_same_v<T, std::uint64_t>)
      program.evaluate_vjp(field(), theta, X, dY, out, n_threads);
    else
      program.evaluate_vjp<T>(theta, X, dY, out, n_threads);
    return out;
  }
  std::vector<T> expand(const std::vector<T>& theta) const {
    std::vector<T> out(batch(theta) * coefficients());
    if constexpr (std::is_same_v<T, std::uint64_t>)
      program.expand(field(), theta, out, n_threads);
    else
      program.expand<T>(theta, out, n_threads);
    return out;
  }
  std::vector<T> jacobian(const std::vector<T>& theta) const {
    std::vector<T> out(theta.size() * coefficients());
    if constexpr (std::is_same_v<T, std::uint64_t>)
      program.jacobian(field(), theta, out, n_threads);
    else
      program.jacobian<T>(theta, out, n_threads);
    return out;
  }
  std::vector<T> jvp(const std::vector<T>& theta, const std::vector<T>& dtheta) const {
    std::vector<T> out(batch(theta) * coefficients());
    if constexpr (std::is_same_v<T, std::uint64_t>)
      program.jvp(field(), theta, dtheta, out, n_threads);
    else
      program.jvp<T>(theta, dtheta, out, n_threads);
    return out;
  }
  std::vector<T> vjp(const std::vector<T>& theta, const std::vector<T>& dcoef) const {
    std::vector<T> out(theta.size());
    if constexpr (std::is_same_v<T, std::uint64_t>)
      program.vjp(field(), theta, dcoef, out, n_threads);
    else
      program.vjp<T>(theta, dcoef, out, n_threads);
    return out;
  }
};

/// The polynomials of a network from the definition: every value a polynomial of its own, products by sum_table.
template <class T>
class Definition {
 public:
  Definition(const Program& program, const std::vector<T>& theta)
      : program_(program), theta_(theta), constants_(constants(program)), d_(program.basis().form_vars()) {
    auto& inputs = slots_.emplace_back();
    for (int i = 0; i < program.n_inputs(); ++i) {
      inputs.push_back(zero(1));
      inputs.back().c[static_cast<std::size_t>(i + d_ - program.n_inputs())] = T{1};
    }
    for (const auto& instruction : program.instructions())
      slots_.push_back(std::visit([&](const auto& one) { return run(one); }, instruction));
  }
  std::vector<T> coefficients() const {
    std::vector<T> out;
    for (const Form& z : slots_.back()) out.insert(out.end(), z.c.begin(), z.c.end());
    return out;
  }

 private:
  struct Form {
    int degree;
    std::vector<T> c;
  };
  using Slot = std::vector<Form>;

  static std::vector<T> constants(const Program& program) {
    if constexpr (std::is_same_v<T, std::uint64_t>) return Runner<T>(program).constants;
    const auto numbers = activation_coefficients(program);
    return std::vector<T>(numbers.begin(), numbers.end());
  }
  const Slot& slot(int k) const { return slots_[static_cast<std::size_t>(k)]; }
  Form zero(int degree) const { return {degree, std::vector<T>(polycore::count_forms(d_, degree))}; }
  /// y += factor z; x0^e times a form is the form itself, as a prefix.
  void add(Form& y, T factor, const Form& z) const {
    for (std::size_t k = 0; k < z.c.size(); ++k) y.c[k] = ring_.add(y.c[k], ring_.multiply(factor, z.c[k]));
  }
  Form product(const Form& a, const Form& b) const {
    return {a.degree + b.degree, reference::product<T>(ring_, d_, a.degree, b.degree, a.c, b.c)};
  }

  Slot run(const Affine& affine) {
    const Slot& z = slot(affine.input);
    Windows windows = affine.windows;
    if (windows.empty())
      for (windows.emplace_back(); windows[0].size() < z.size();)
        windows[0].push_back(static_cast<int>(windows[0].size()));
    const auto n_out = static_cast<std::size_t>(affine.n_out), n_in = windows[0].size();
    const T* w = theta_.data() + next_;
    next_ += n_out * n_in + (affine.bias ? n_out : 0);
    Slot result;
    for (const auto& window : windows)
      for (std::size_t i = 0; i < n_out; ++i) {
        Form& y = result.emplace_back(zero(z[0].degree));
        for (std::size_t j = 0; j < n_in; ++j) add(y, w[i * n_in + j], z[static_cast<std::size_t>(window[j])]);
        if (affine.bias) y.c[0] = ring_.add(y.c[0], w[n_out * n_in + i]);
      }
    return result;
  }
  Slot run(const Activation& activation) {
    auto a = activation.coefficients;
    while (a.size() > 1 && a.back() == 0) a.pop_back();
    Slot result;
    for (const Form& z : slot(activation.input)) {
      Form& y = result.emplace_back(zero((static_cast<int>(a.size()) - 1) * z.degree));
      Form power{0, {T{1}}};
      for (std::size_t k = 0; k < a.size(); ++k) {
        if (k > 0) power = product(power, z);
        if (a[k] != 0) add(y, constants_[next_constant_ + k], power);
      }
    }
    next_constant_ += a.size();
    return result;
  }
  Slot run(const Select& select) {
    Slot result;
    for (const int i : select.indices) result.push_back(slot(select.input)[static_cast<std::size_t>(i)]);
    return result;
  }
  Slot run(const Add& sum) {
    int degree = 0;
    for (const int k : sum.inputs) degree = std::max(degree, slot(k)[0].degree);
    Slot result(slot(sum.inputs[0]).size(), zero(degree));
    for (const int k : sum.inputs)
      for (std::size_t i = 0; i < result.size(); ++i) add(result[i], T{1}, slot(k)[i]);
    return result;
  }
  Slot run(const MatMul& m) {
    const Slot &left = slot(m.left), &right = slot(m.right);
    Slot result;
    for (int i = 0; i < m.rows; ++i)
      for (int j = 0; j < m.cols; ++j) {
        Form& y = result.emplace_back(zero(left[0].degree + right[0].degree));
        for (int k = 0; k < m.inner; ++k)
          add(y, T{1},
              product(left[static_cast<std::size_t>(m.transpose_left ? k * m.rows + i : i * m.inner + k)],
                      right[static_cast<std::size_t>(m.transpose_right ? j * m.inner + k : k * m.cols + j)]));
      }
    return result;
  }

  const Program& program_;
  const std::vector<T>& theta_;
  std::vector<T> constants_;
  Ring<T> ring_;
  int d_;
  std::size_t next_ = 0, next_constant_ = 0;
  std::vector<Slot> slots_;
};

template <class T>
void each_network(const std::function<void(const Network&, const Program&, Rng&)>& body) {
  check::for_each_isa([&] {
    const std::string isa = check::context;
    Rng rng(6);
    for (const Network& network : networks()) {
      check::context = isa + ", " + network.name;
      const Program program = network.program();
      body(network, program, rng);
    }
  });
}

template <class T>
void sweeps_agree() {
  const Ring<T> ring;
  each_network<T>([&](const Network&, const Program& program, Rng& rng) {
    const Runner<T> run(program);
    const auto theta = reference::random_vector<T>(rng, program.n_params()),
               dtheta = reference::random_vector<T>(rng, program.n_params());
    const auto coef = run.expand(theta);
    CHECK(reference::distance(coef, Definition<T>(program, theta).coefficients()) <= reference::tolerance<T>());

    // Jacobian against its products with vectors, from both sides.
    const std::size_t rows = run.coefficients(), columns = program.n_params();
    const auto jacobian = run.jacobian(theta), dcoef = reference::random_vector<T>(rng, rows);
    std::vector<T> forward(rows), backward(columns);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < columns; ++j) {
        forward[i] = ring.add(forward[i], ring.multiply(jacobian[i * columns + j], dtheta[j]));
        backward[j] = ring.add(backward[j], ring.multiply(jacobian[i * columns + j], dcoef[i]));
      }
    CHECK(reference::distance(run.jvp(theta, dtheta), forward) <= reference::tolerance<T>());
    CHECK(reference::distance(run.vjp(theta, dcoef), backward) <= 10 * reference::tolerance<T>());

    // Gradients of values at points: row s is the Jacobian's transpose times dY[s] by the monomials at X[s].
    const std::size_t n_samples = 5, N = program.basis().size(), n_vars = static_cast<std::size_t>(program.n_inputs());
    const auto X = reference::random_vector<T>(rng, n_samples * n_vars),
               dY = reference::random_vector<T>(rng, n_samples * run.outputs());
    std::vector<T> gradients(n_samples * columns);
    for (std::size_t s = 0; s < n_samples; ++s)
      for (std::size_t i = 0; i < rows; ++i) {
        T weight = dY[s * run.outputs() + i / N];
        for (std::size_t v = 0; v < n_vars; ++v)
          for (int e = 0; e < program.basis().exponent(i % N)[v]; ++e)
            weight = ring.multiply(weight, X[s * n_vars + v]);
        for (std::size_t j = 0; j < columns; ++j)
          gradients[s * columns + j] =
              ring.add(gradients[s * columns + j], ring.multiply(jacobian[i * columns + j], weight));
      }
    CHECK(reference::distance(run.evaluate_vjp(theta, X, dY), gradients) <= 10 * reference::tolerance<T>());
  });
}

template <class T>
void bits_do_not_depend_on_batch_or_threads() {
  each_network<T>([&](const Network&, const Program& program, Rng& rng) {
    const std::size_t batch = 19, n_params = program.n_params();
    const Runner<T> run(program);
    const auto theta = reference::random_vector<T>(rng, batch * n_params),
               dtheta = reference::random_vector<T>(rng, batch * n_params);
    const auto dcoef = reference::random_vector<T>(rng, batch * run.coefficients());
    // Few points are evaluated for several members at a time.
    const auto n_inputs = static_cast<std::size_t>(program.n_inputs());
    const auto X = reference::random_vector<T>(rng, 150 * n_inputs),
               few = reference::random_vector<T>(rng, 5 * n_inputs);
    const auto dY = reference::random_vector<T>(rng, 150 * run.outputs());
    const auto results = [&](const Runner<T>& r, const std::vector<T>& t, const std::vector<T>& dt,
                             const std::vector<T>& dc) {
      return std::array{r.evaluate(t, X), r.evaluate(t, few), r.evaluate_vjp(t, X, dY), r.expand(t), r.jacobian(t),
                        r.jvp(t, dt),     r.vjp(t, dc)};
    };
    const auto all = results(run, theta, dtheta, dcoef);
    CHECK(results(Runner<T>(program, 3), theta, dtheta, dcoef) == all);
    for (std::size_t s = 0; s < batch; ++s) {
      const auto member = [&](const std::vector<T>& rows) {
        const auto size = static_cast<std::ptrdiff_t>(rows.size() / batch);
        const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(s) * size;
        return std::vector<T>(begin, begin + size);
      };
      const auto t = member(theta), dt = member(dtheta), dc = member(dcoef);
      const auto one = results(run, t, dt, dc);
      for (std::size_t k = 0; k < one.size(); ++k) CHECK(one[k] == member(all[k]));
    }
  });
}

}  // namespace

TEST(the_worked_example) {
  // (2, 2, 1), z^2, W1 = [[a, b], [c, d]], W2 = [e, f]
  const double a = 3, b = -1, c = 0.5, d = 2, e = -2, f = 7;
  const Program program = mlp(std::array{2, 2, 1}, 2);
  CHECK(program.homogeneous());
  CHECK_EQUAL(program.degree(), 2);
  CHECK_EQUAL(program.n_params(), 6u);
  CHECK_EQUAL(Runner<double>(program).expand({a, b, c, d, e, f}),
              (std::vector<double>{a * a * e + c * c * f, 2 * (a * b * e + c * d * f), b * b * e + d * d * f}));
}

TEST(static_analysis) {
  const Program biased = mlp(std::array{4, 3, 5, 2}, Lists{kSquare, kCube}, true);
  CHECK_EQUAL(biased.n_inputs(), 4);
  CHECK_EQUAL(biased.n_outputs(), 2);
  CHECK_EQUAL(biased.n_params(), 15u + 20u + 12u);
  CHECK_EQUAL(biased.degree(), 6);
  CHECK(!biased.homogeneous());
  CHECK_EQUAL(biased.basis().size(), 210u);  // C(10, 6)
  CHECK(!mlp(std::array{2, 2, 1}, Lists{{0, 0, 1, 1}}).homogeneous());
  CHECK_EQUAL(mlp(std::array{2, 2, 1}, Lists{{0, 0, 1, 0, 0}}).degree(), 2);  // trailing zeros are no degree
}

TEST(sweeps_in_float64) { sweeps_agree<double>(); }
TEST(sweeps_in_complex128) { sweeps_agree<Complex>(); }
TEST(sweeps_in_a_finite_field) { sweeps_agree<std::uint64_t>(); }

TEST(bits_in_float64) { bits_do_not_depend_on_batch_or_threads<double>(); }
TEST(bits_in_complex128) { bits_do_not_depend_on_batch_or_threads<Complex>(); }
TEST(bits_in_a_finite_field) { bits_do_not_depend_on_batch_or_threads<std::uint64_t>(); }

TEST(exact_results_do_not_depend_on_the_isa) {
  Rng rng(7);
  for (const Network& network : networks()) {
    const Program program = network.program();
    const auto theta = reference::random_vector<std::uint64_t>(rng, 5 * program.n_params());
    std::vector<std::vector<std::uint64_t>> results;
    check::for_each_isa([&] { results.push_back(Runner<std::uint64_t>(program).expand(theta)); });
    for (const auto& result : results) CHECK(result == results.front());
  }
}

TEST(small_fields_compute_what_the_integers_do) {
  // Numbers small enough that float64 is exact: the residues are those of its results, for primes on either side of the
  // bound below which registers of residues are used, and for every remainder of the number of samples.
  const std::vector<Network> integral{
      multilayer("square", {3, 5, 2}, {kSquare}, false),
      multilayer("wide", {9, 7, 4}, {kSquare}, true),
      multilayer("deep", {2, 3, 2, 1}, {kSquare, kCube}, true),
      multilayer("dense", {2, 4, 3}, {{1, 2, 0, 3}}, true),
      multilayer("linear", {4, 2, 3}, {{0, 1}}, false),
      named("convolution", cnn(std::array{3, 2}, 2, {.channels = {2, 3, 5}, .n_positions = 11, .bias = true})),
      named("attention", lightning_attention(3, 5, 2, 5, 1, 2)),
      named("attention, scores first", lightning_attention(2, 5, 6, 4)),
      {"residual",
       4,
       {Affine{0, 4, true}, Activation{1, kSquare}, Add{{2, 0}}, Select{3, {3, 0, 0}}, Affine{4, 3, true}}},
  };
  for (const std::uint64_t p :
       std::array<std::uint64_t, 6>{3, 5, 65537, (1ULL << 31) - 1, (1ULL << 31) + 11, reference::kPrime61})
    check::for_each_isa([&] {
      Rng rng(17);
      for (const Network& network : integral) {
        const Program program = network.program();
        const Runner<double> run(program);
        const auto digits = [&](std::size_t n) {
          std::vector<double> x(n);
          for (double& value : x) value = static_cast<double>(rng() % 5) - 2;
          return x;
        };
        const polycore::Modulus field(p);
        const auto reduced = [&](const std::vector<double>& x) {
          std::vector<std::uint64_t> r;
          for (const double value : x) r.push_back(field.residue(value));
          return r;
        };
        std::vector<std::uint64_t> constants;
        for (const double c : activation_coefficients(program)) constants.push_back(field.residue(c));
        for (const std::size_t n : std::array<std::size_t, 13>{1, 2, 3, 4, 5, 7, 8, 9, 13, 95, 96, 97, 101}) {
          const auto theta = digits(2 * program.n_params()),
                     X = digits(n * static_cast<std::size_t>(program.n_inputs())), dY = digits(n * run.outputs());
          const auto values = run.evaluate(theta, X), rows = run.evaluate_vjp(theta, X, dY);
          std::vector<std::uint64_t> exact_values(values.size()), exact_rows(rows.size(), p);
          program.evaluate({p, constants}, reduced(theta), reduced(X), exact_values);
          program.evaluate_vjp({p, constants}, reduced(theta), reduced(X), reduced(dY), exact_rows);
          CHECK(exact_values == reduced(values));
          CHECK(exact_rows == reduced(rows));
        }
      }
    });
}

TEST(sums_of_the_largest_residues_do_not_overflow) {
  // Everything is -1: f = -m n^2 for n inputs and m squared units, as are its gradients' factors.
  for (const std::uint64_t p :
       std::array<std::uint64_t, 6>{2, 3, 65537, (1ULL << 30) + 3, (1ULL << 31) - 1, reference::kPrime61})
    check::for_each_isa([&] {
      const std::vector<std::uint64_t> constants{0, 0, 1};
      for (const int n : {1, 2, 3, 4, 63, 64, 65, 257}) {
        const int m = n % 7 + 1;
        const Program program = mlp(std::array{n, m, 1}, 2);
        const auto N = static_cast<std::size_t>(n), M = static_cast<std::size_t>(m);
        const std::vector<std::uint64_t> theta(program.n_params(), p - 1), X(11 * N, p - 1), dY(11, p - 1);
        std::vector<std::uint64_t> values(11), rows(11 * program.n_params());
        program.evaluate({p, constants}, theta, X, values);
        program.evaluate_vjp({p, constants}, theta, X, dY, rows);
        const auto minus = [&](std::uint64_t x) { return (p - x % p) % p; };
        CHECK(values == std::vector<std::uint64_t>(11, minus(M * N * N)));
        for (std::size_t s = 0; s < 11; ++s)
          for (std::size_t j = 0; j < program.n_params(); ++j)
            CHECK_EQUAL(rows[s * program.n_params() + j], j < N * M ? minus(2 * N) : minus(N * N));
      }
    });
}

/// All values of a program with one constant gradient, where everything that goes in is -1 modulo p.
void check_at_minus_one(const Program& program, std::uint64_t p, std::uint64_t value, std::uint64_t gradient) {
  const auto n_inputs = static_cast<std::size_t>(program.n_inputs()), n_outputs = Runner<double>(program).outputs();
  const std::vector<std::uint64_t> theta(program.n_params(), p - 1), X(11 * n_inputs, p - 1), dY(11 * n_outputs, p - 1);
  std::vector<std::uint64_t> values(dY.size()), rows(11 * theta.size());
  program.evaluate({p, {}}, theta, X, values);
  program.evaluate_vjp({p, {}}, theta, X, dY, rows);
  for (const std::uint64_t x : values) CHECK_EQUAL(x, value);
  for (const std::uint64_t x : rows) CHECK_EQUAL(x, gradient);
}

TEST(sums_of_products_of_the_largest_residues_do_not_overflow) {
  // f = -n for the product of n pairs of inputs; a filter of length n on 7 windows, whose gradients are sums of 7
  // products.
  for (const std::uint64_t p :
       std::array<std::uint64_t, 6>{2, 3, 65537, (1ULL << 30) + 3, (1ULL << 31) - 1, reference::kPrime61})
    check::for_each_isa([&] {
      for (const int n : {1, 2, 3, 64, 257}) {
        const std::uint64_t N = static_cast<std::uint64_t>(n) % p, minus = (p - N) % p;
        check_at_minus_one(Program(n, {MatMul{0, 0, 1, n, 1}, Affine{1, 1, false}}), p, minus, minus);
        check_at_minus_one(cnn(std::array{n}, 1, {.n_positions = n + 6}), p, N, 7 % p);
      }
    });
}

TEST(generic_activations_live_in_finite_fields_only) {
  const double t = std::nan("");
  const Program generic(2, {Affine{0, 2, false}, Activation{1, {t, 0, t}}, Affine{2, 1, true}});
  const Program concrete(2, {Affine{0, 2, false}, Activation{1, {5, 0, 3}}, Affine{2, 1, true}});
  CHECK_EQUAL(generic.degree(), 2);
  CHECK(!generic.homogeneous());
  CHECK(Program(2, {Activation{0, {0, 0, t}}}).homogeneous());
  const std::vector<std::uint64_t> constants{5, 0, 3}, theta{1, 2, 3, 4, 5, 6, 7}, X{8, 9}, dY{1};
  const Program::Modular field{101, constants};
  const auto results = [&](const Program& program) {
    std::vector<std::uint64_t> coef(6), value(1), row(7), jacobian(42);
    program.expand(field, theta, coef);
    program.evaluate(field, theta, X, value);
    program.evaluate_vjp(field, theta, X, dY, row);
    program.jacobian(field, theta, jacobian);
    return std::array{coef, value, row, jacobian};
  };
  CHECK(results(generic) == results(concrete));
  const std::vector<double> numbers(7, 1.0);
  std::vector<double> value(1), coef(6);
  CHECK_THROWS(generic.evaluate<double>(numbers, std::vector<double>{1, 2}, value), std::invalid_argument);
  CHECK_THROWS(generic.expand<double>(numbers, coef), std::invalid_argument);
  const std::vector<Complex> complex_numbers(7, 1.0);
  std::vector<Complex> complex_coef(6);
  CHECK_THROWS(generic.expand<Complex>(complex_numbers, complex_coef), std::invalid_argument);
}

TEST(evaluation_is_the_expansion_at_points) {
  each_network<double>([](const Network&, const Program& program, Rng& rng) {
    const Runner<double> run(program);
    const std::size_t n_samples = 300, n_vars = static_cast<std::size_t>(program.n_inputs());
    const auto theta = reference::random_vector<double>(rng, program.n_params());
    const auto X = reference::random_vector<double>(rng, n_samples * n_vars);
    const auto basis = program.basis();
    std::vector<double> A(n_samples * basis.size()), expected(n_samples * run.outputs());
    polycore::veronese<double>(n_samples, basis.n_vars(), basis.degree(), basis.homogeneous(), X, A);
    const auto coef = run.expand(theta);
    for (std::size_t s = 0; s < n_samples; ++s)
      for (std::size_t o = 0; o < run.outputs(); ++o)
        for (std::size_t k = 0; k < basis.size(); ++k)
          expected[s * run.outputs() + o] += A[s * basis.size() + k] * coef[o * basis.size() + k];
    CHECK(reference::distance(run.evaluate(theta, X), expected) <= 1e-12);
  });
}

TEST(derivatives_by_complex_step) {
  // f(theta + i h v) = f(theta) + i h f'(theta) v + O(h^2): with h = 1e-30 the imaginary part is exact to rounding.
  const double h = 1e-30;
  each_network<double>([h](const Network&, const Program& program, Rng& rng) {
    const Runner<double> run(program);
    const Runner<Complex> complex(program);
    const auto step = [h](const std::vector<double>& x, const std::vector<double>& dx) {
      std::vector<Complex> z(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) z[i] = {x[i], h * dx[i]};
      return z;
    };
    const auto slope = [h](const std::vector<Complex>& z) {
      std::vector<double> x(z.size());
      for (std::size_t i = 0; i < z.size(); ++i) x[i] = z[i].imag() / h;
      return x;
    };
    const std::size_t batch = 9;
    const auto theta = reference::random_vector<double>(rng, batch * program.n_params());
    const auto dtheta = reference::random_vector<double>(rng, theta.size());
    const auto dcoef = reference::random_vector<double>(rng, batch * run.coefficients());
    const auto ddcoef = reference::random_vector<double>(rng, dcoef.size());
    CHECK(reference::distance(run.jvp(theta, dtheta), slope(complex.expand(step(theta, dtheta)))) <= 1e-12);
    std::vector<double> tangent(theta.size());
    program.vjp_tangent(theta, dtheta, dcoef, ddcoef, tangent);
    CHECK(reference::distance(tangent, slope(complex.vjp(step(theta, dtheta), step(dcoef, ddcoef)))) <= 1e-12);
    std::vector<double> threaded(theta.size());
    program.vjp_tangent(theta, dtheta, dcoef, ddcoef, threaded, 3);
    CHECK(threaded == tangent);
  });
}

TEST(loss_gradient_is_the_gradient_of_the_loss) {
  each_network<double>([](const Network&, const Program& program, Rng& rng) {
    const Runner<double> run(program);
    const std::size_t batch = 11, N = program.basis().size(), rows = run.coefficients(), P = program.n_params();
    const auto theta = reference::random_vector<double>(rng, batch * P),
               target = reference::random_vector<double>(rng, rows);
    const auto factor = reference::random_vector<double>(rng, N * N);
    std::vector<double> gram(N * N);
    for (std::size_t i = 0; i < N; ++i)
      for (std::size_t j = 0; j <= i; ++j) {
        double sum = 0;
        for (std::size_t k = 0; k < N; ++k) sum += factor[k * N + i] * factor[k * N + j];
        gram[i * N + j] = gram[j * N + i] = sum;
      }
    std::vector<double> value(batch), gradient(theta.size());
    program.loss_gradient(theta, gram, target, value, gradient);
    std::vector<double> threaded_value(batch), threaded_gradient(theta.size());
    program.loss_gradient(theta, gram, target, threaded_value, threaded_gradient, 3);
    CHECK(threaded_value == value && threaded_gradient == gradient);

    const auto coef = run.expand(theta);
    std::vector<double> expected_value(batch), weighted(batch * rows);
    for (std::size_t s = 0; s < batch; ++s)
      for (std::size_t o = 0; o < run.outputs(); ++o)
        for (std::size_t i = 0; i < N; ++i) {
          double sum = 0;
          for (std::size_t j = 0; j < N; ++j) sum += gram[i * N + j] * (coef[s * rows + o * N + j] - target[o * N + j]);
          weighted[s * rows + o * N + i] = 2 * sum;
          expected_value[s] += sum * (coef[s * rows + o * N + i] - target[o * N + i]);
        }
    CHECK(reference::distance(value, expected_value) <= 1e-12);
    CHECK(reference::distance(gradient, run.vjp(theta, weighted)) <= 1e-12);
    for (std::size_t s = 0; s < batch; ++s) {
      double one_value = 0;
      std::vector<double> one(P);
      program.loss_gradient(std::span(theta).subspan(s * P, P), gram, target, std::span(&one_value, 1), one);
      CHECK(one_value == value[s]);
      CHECK(one == std::vector<double>(gradient.begin() + static_cast<std::ptrdiff_t>(s * P),
                                       gradient.begin() + static_cast<std::ptrdiff_t>((s + 1) * P)));
    }
  });
}

TEST(one_large_network_with_many_threads) {
  // Large enough that a single member is cut over its units.
  for (const Network& network : {multilayer("deep", {5, 6, 6, 2}, {kCube, kCube}, false),
                                 named("attention", lightning_attention(3, 2, 3, 3, 2))}) {
    const Program program = network.program();
    Rng rng(8);
    const auto theta = reference::random_vector<double>(rng, program.n_params());
    check::for_each_isa([&] {
      const Runner<double> one(program, 1), four(program, 4);
      const auto dcoef = reference::random_vector<double>(rng, one.coefficients());
      CHECK(one.expand(theta) == four.expand(theta));
      CHECK(one.vjp(theta, dcoef) == four.vjp(theta, dcoef));
      CHECK(one.jvp(theta, theta) == four.jvp(theta, theta));
    });
  }
}

TEST(convolutions_by_their_formula) {
  // Two layers, three channels between, strides 2 and 1, z^2 + z.
  const Program program =
      cnn(std::array{3, 2}, Lists{{0, 1, 1}}, {.strides = {2, 1}, .channels = {2, 3, 1}, .n_positions = 8});
  CHECK_EQUAL(program.n_params(), 3u * 2 * 3 + 3 * 2);
  CHECK_EQUAL(program.n_outputs(), 2);
  Rng rng(21);
  const auto theta = reference::random_vector<double>(rng, program.n_params()),
             X = reference::random_vector<double>(rng, 16);
  std::vector<double> expected;
  for (std::size_t out = 0; out < 2; ++out) {
    double sum = 0;
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t k = 0; k < 2; ++k) {
        double z = 0;  // channel c of the hidden layer at position out + k
        for (std::size_t f = 0; f < 2; ++f)
          for (std::size_t j = 0; j < 3; ++j) z += theta[c * 6 + f * 3 + j] * X[(2 * (out + k) + j) * 2 + f];
        sum += theta[18 + c * 2 + k] * (z * z + z);
      }
    expected.push_back(sum);
  }
  CHECK(reference::distance(Runner<double>(program).evaluate(theta, X), expected) <= 1e-14);
  // The receptive field.
  CHECK_EQUAL(cnn(std::array{3, 3, 3}, 2).n_inputs(), 7);
  CHECK_EQUAL(cnn(std::array{3, 3, 3}, 2, {.strides = {2, 3, 1}}).n_inputs(), 3 + 2 * (2 + 3 * 2));
  CHECK_EQUAL(cnn(std::array{2, 2}, 3, {.channels = {5, 2, 4}}).n_inputs(), 15);
}

TEST(attention_by_its_formula) {
  // V X X^T K^T Q X, summed over heads, with either product first.
  for (const int a : {1, 2, 5}) {
    const std::size_t d = 3, t = 4, out = 2, heads = 2, A = static_cast<std::size_t>(a);
    const Program program = lightning_attention(3, a, 2, 4, 1, 2);
    CHECK_EQUAL(program.n_params(), heads * (2 * A * d + out * d));
    CHECK_EQUAL(program.degree(), 3);
    CHECK(program.homogeneous());
    Rng rng(22);
    const auto theta = reference::random_vector<double>(rng, program.n_params()),
               X = reference::random_vector<double>(rng, d * t);
    std::vector<double> expected(t * out);
    for (std::size_t h = 0; h < heads; ++h) {
      const double *K = theta.data() + h * (2 * A * d + out * d), *Q = K + A * d, *V = Q + A * d;
      const auto times = [&](const double* M, std::size_t row, std::size_t token) {
        double sum = 0;
        for (std::size_t i = 0; i < d; ++i) sum += M[row * d + i] * X[token * d + i];
        return sum;
      };
      for (std::size_t j = 0; j < t; ++j)
        for (std::size_t s = 0; s < t; ++s)
          for (std::size_t i = 0; i < A; ++i)
            for (std::size_t o = 0; o < out; ++o)
              expected[j * out + o] += times(V, o, s) * times(K, i, s) * times(Q, i, j);
    }
    CHECK(reference::distance(Runner<double>(program).evaluate(theta, X), expected) <= 1e-14);
  }
  CHECK_EQUAL(lightning_attention(2, 2, 1, 3, 3).degree(), 27);
  CHECK_EQUAL(lightning_attention(2, 2, 1, 3, 3).n_params(), 2u * 12 + 10);
}

TEST(many_threads_may_share_a_program) {
  const Program program = mlp(std::array{3, 4, 2}, Lists{{1, 0, 2, 1}}, true);
  Rng rng(9);
  const auto theta = reference::random_vector<double>(rng, program.n_params());
  const auto residues = reference::random_vector<std::uint64_t>(rng, program.n_params());
  std::atomic<int> differences{0};
  const auto expected = Runner<double>(mlp(std::array{3, 4, 2}, Lists{{1, 0, 2, 1}}, true)).expand(theta);
  polycore::parallel_for(32, 8, [&](std::size_t task) {  // the first calls build the plans: all threads at once
    if (task % 2)
      Runner<std::uint64_t>(program).jacobian(residues);
    else if (Runner<double>(program).expand(theta) != expected)
      ++differences;
  });
  CHECK_EQUAL(differences.load(), 0);
}

TEST(bad_values_are_named) {
  const Program program = mlp(std::array{2, 2, 1}, 2);
  const Runner<double> run(program);
  const std::vector<double> theta(6, 1.0);
  for (const double bad : {std::nan(""), static_cast<double>(INFINITY), -static_cast<double>(INFINITY)})
    for (std::size_t i = 0; i < 6; ++i) {
      auto broken = theta;
      broken[i] = bad;
      CHECK_THROWS(run.expand(broken), std::invalid_argument);
      CHECK_THROWS(run.jacobian(broken), std::invalid_argument);
      CHECK_THROWS(run.jvp(theta, broken), std::invalid_argument);
      CHECK_THROWS(run.evaluate(broken, {1, 1}), std::invalid_argument);
    }
  CHECK_THROWS(run.evaluate(theta, {1, std::nan("")}), std::invalid_argument);
  CHECK_THROWS(run.evaluate_vjp(theta, {1, std::nan("")}, {1}), std::invalid_argument);
  CHECK_THROWS(run.evaluate_vjp(theta, {1, 2}, {std::nan("")}), std::invalid_argument);
  CHECK_THROWS(run.evaluate_vjp(theta, {1e200, 1e200}, {1}), polycore::NumericalError);
  CHECK_THROWS(run.vjp(theta, {1, 1, std::nan("")}), std::invalid_argument);
  CHECK_THROWS(run.expand(std::vector<double>(6, 1e300)), polycore::NumericalError);
  CHECK_THROWS(run.evaluate(theta, {1e300, 1}), polycore::NumericalError);
  CHECK_EQUAL(run.expand(theta).size(), 3u);
}

TEST(bad_sizes_raise) {
  const Program program = mlp(std::array{2, 2, 1}, 2);
  const std::vector<double> theta(6, 1.0), short_theta(5, 1.0), X(4, 1.0), odd_X(3, 1.0), dcoef(3, 1.0),
      short_dcoef(2, 1.0);
  std::vector<double> coef(3), short_coef(2), values(2), short_values(1), jacobian(18), gradient(6), gram(9), value(1);
  CHECK_THROWS(program.expand<double>(short_theta, coef), std::invalid_argument);
  CHECK_THROWS(program.expand<double>(theta, short_coef), std::invalid_argument);
  CHECK_THROWS(program.evaluate<double>(theta, odd_X, values), std::invalid_argument);
  CHECK_THROWS(program.evaluate<double>(theta, X, short_values), std::invalid_argument);
  CHECK_THROWS(program.jacobian<double>(theta, coef), std::invalid_argument);
  CHECK_THROWS(program.jvp<double>(theta, short_theta, coef), std::invalid_argument);
  CHECK_THROWS(program.vjp<double>(theta, short_dcoef, gradient), std::invalid_argument);
  CHECK_THROWS(program.vjp<double>(theta, dcoef, coef), std::invalid_argument);
  CHECK_THROWS(program.loss_gradient(theta, dcoef, dcoef, value, gradient), std::invalid_argument);
  CHECK_THROWS(program.loss_gradient(theta, gram, dcoef, values, gradient), std::invalid_argument);
  const std::vector<std::uint64_t> residues(6, 1), constants(2, 1);
  std::vector<std::uint64_t> exact(3);
  CHECK_THROWS(program.expand({101, constants}, residues, exact), std::invalid_argument);  // z^2 has three coefficients
}

TEST(bad_programs_raise) {
  CHECK_THROWS(Program(0, {Affine{0, 1, false}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Affine{1, 1, false}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Affine{-1, 1, false}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Affine{0, 0, false}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Activation{0, {}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Activation{0, {1, INFINITY}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Affine{0, 1, false, {{}}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Affine{0, 1, false, {{0, 1}, {0}}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Affine{0, 1, false, {{0, 2}}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Affine{0, 1, false, {{-1}}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Affine{0, 1, false, {{0, 1}, {1, 1}}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Affine{0, 1 << 30, false, {{0}, {1}}}}), std::overflow_error);
  CHECK_THROWS(Program(2, {Select{0, {}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Select{0, {2}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Select{0, {-1}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Select{1, {0}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Add{{}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Add{{0}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Add{{0, 1}}}), std::invalid_argument);
  CHECK_THROWS(Program(2, {Affine{0, 3, false}, Add{{0, 1}}}), std::invalid_argument);
  CHECK_THROWS(Program(6, {MatMul{0, 0, 2, 3, 3}}), std::invalid_argument);
  CHECK_THROWS(Program(6, {MatMul{0, 0, 3, 3, 2}}), std::invalid_argument);
  CHECK_THROWS(Program(6, {MatMul{0, 0, 0, 3, 2}}), std::invalid_argument);
  CHECK_THROWS(Program(6, {MatMul{0, 0, -2, -3, -2}}), std::invalid_argument);
  CHECK_THROWS(Program(6, {MatMul{0, 1, 2, 3, 2}}), std::invalid_argument);
  CHECK_THROWS(Program(1 << 16, {MatMul{0, 0, 1 << 16, 1, 1 << 16}}), std::overflow_error);
  CHECK_THROWS(cnn(std::array<int, 0>{}, 2), std::invalid_argument);
  CHECK_THROWS(cnn(std::array{2, 0}, 2), std::invalid_argument);
  CHECK_THROWS(cnn(std::array{2, 2}, 2, {.strides = {1, 0}}), std::invalid_argument);
  CHECK_THROWS(cnn(std::array{2, 2}, 2, {.strides = {1}}), std::invalid_argument);
  CHECK_THROWS(cnn(std::array{2, 2}, 2, {.channels = {1, 2}}), std::invalid_argument);
  CHECK_THROWS(cnn(std::array{2, 2}, 2, {.n_positions = 2}), std::invalid_argument);
  CHECK_THROWS(cnn(std::array{2, 2}, 2, {.n_positions = -1}), std::invalid_argument);
  CHECK_THROWS(cnn(std::array{2, 2}, Lists{}), std::invalid_argument);
  CHECK_THROWS(cnn(std::array{1 << 30, 1 << 30}, 2, {.strides = {1 << 30, 1}}), std::overflow_error);
  CHECK_THROWS(lightning_attention(2, 2, 2, 0), std::invalid_argument);
  CHECK_THROWS(lightning_attention(0, 2, 2, 1), std::invalid_argument);
  CHECK_THROWS(lightning_attention(2, 0, 2, 1), std::invalid_argument);
  CHECK_THROWS(lightning_attention(2, 2, 0, 1), std::invalid_argument);
  CHECK_THROWS(lightning_attention(2, 2, 2, 1, 0), std::invalid_argument);
  CHECK_THROWS(lightning_attention(2, 2, 2, 1, 1, 0), std::invalid_argument);
  CHECK_THROWS(lightning_attention(1 << 16, 1, 1, 1 << 16), std::overflow_error);
  CHECK_THROWS(mlp(std::array{2}, 2), std::invalid_argument);
  CHECK_THROWS(mlp(std::array{2, 0, 1}, 2), std::invalid_argument);
  CHECK_THROWS(mlp(std::array{2, 2, 1}, -1), std::invalid_argument);
  CHECK_THROWS(mlp(std::array{2, 2, 1}, Lists{kSquare, kSquare}), std::invalid_argument);
  std::vector<polycore::Instruction> towering;
  for (int k = 0; k < 32; ++k) towering.emplace_back(Activation{k, kSquare});
  CHECK_THROWS(Program(2, std::move(towering)), std::overflow_error);  // degree 2^32
  Instructions doubling;
  for (int k = 0; k < 31; ++k) doubling.emplace_back(MatMul{k, k, 1, 1, 1});
  CHECK_THROWS(Program(1, std::move(doubling)), std::overflow_error);  // degree 2^31
}

TEST(a_program_too_large_to_expand_can_be_looked_at_and_evaluated) {
  const Program program = mlp(std::array{784, 100, 10}, Lists{std::vector<double>{0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, true);
  CHECK_EQUAL(program.degree(), 9);
  CHECK_THROWS(program.basis(), std::overflow_error);
  std::vector<double> out(10);
  CHECK_THROWS(program.expand<double>(std::vector<double>(program.n_params()), out), std::overflow_error);
  program.evaluate<double>(std::vector<double>(program.n_params(), 1e-3), std::vector<double>(784, 1.0), out);
  CHECK(std::abs(out[0] - (100 * 1e-3 * std::pow(0.785, 9) + 1e-3)) < 1e-12);
}

TEST(instructions_that_the_output_does_not_read) {
  const Program chain(2, {Affine{0, 2, true}, Activation{1, kSquare}, Affine{2, 1, true}});
  // The same with a branch of higher degree at its side, whose parameters come in between.
  const Program tree(2, {Affine{0, 2, true}, Activation{1, kSquare}, Affine{2, 3, true}, Activation{3, kCube},
                         Affine{4, 1, false}, Affine{2, 1, true}});
  CHECK_EQUAL(tree.degree(), 2);
  const std::size_t first = 6, unread = 12, n = chain.basis().size();
  Rng rng(3);
  const auto theta = reference::random_vector<double>(rng, tree.n_params());
  auto used = theta;
  used.erase(used.begin() + first, used.begin() + first + unread);
  const Runner<double> run(tree), expected(chain);
  CHECK_EQUAL(run.expand(theta), expected.expand(used));
  const auto check_rows = [&](const std::vector<double>& rows, const std::vector<double>& block) {
    for (std::size_t i = 0; i < rows.size() / theta.size(); ++i)
      for (std::size_t j = 0; j < theta.size(); ++j) {
        const double d = j < first            ? block[i * used.size() + j]
                         : j < first + unread ? 0.0
                                              : block[i * used.size() + j - unread];
        CHECK_EQUAL(rows[i * theta.size() + j], d);
      }
  };
  check_rows(run.jacobian(theta), expected.jacobian(used));
  const auto dcoef = reference::random_vector<double>(rng, n);
  check_rows(run.vjp(theta, dcoef), expected.vjp(used, dcoef));
  const auto X = reference::random_vector<double>(rng, 200), dY = reference::random_vector<double>(rng, 100);
  check_rows(run.evaluate_vjp(theta, X, dY), expected.evaluate_vjp(used, X, dY));
}

TEST(a_branch_that_nothing_reads_costs_nothing) {
  // Degree 3^9 in three variables would not fit any memory.
  Instructions branch{Affine{0, 2, true}};
  for (int k = 1; k < 10; ++k) branch.emplace_back(Activation{k, kCube});
  branch.emplace_back(MatMul{10, 10, 2, 1, 2});
  branch.emplace_back(Activation{1, kSquare});
  const Program program(2, branch), alone(2, {Affine{0, 2, true}, Activation{1, kSquare}});
  Rng rng(4);
  const auto theta = reference::random_vector<double>(rng, 6), X = reference::random_vector<double>(rng, 20);
  const Runner<double> run(program), expected(alone);
  CHECK_EQUAL(run.expand(theta), expected.expand(theta));
  CHECK_EQUAL(run.jacobian(theta), expected.jacobian(theta));
  CHECK_EQUAL(run.evaluate(theta, X), expected.evaluate(theta, X));
}

TEST(many_inputs_need_no_memory_for_their_squares) {
  const int n = 400'000;  // the coordinate functions would be a terabyte
  const Program linear(n, {Affine{0, 1, false}});
  const std::vector<double> theta(static_cast<std::size_t>(n), 0.5);
  CHECK(Runner<double>(linear).expand(theta) == theta);
}

TEST(an_interrupted_jacobian_leaves_the_program_usable) {
  Rng rng(5);
  const std::array widths{2, 3, 3, 1};
  const Program program = mlp(widths, 2);
  const auto theta = reference::random_vector<double>(rng, program.n_params());
  const Runner<double> run(program);
  run.expand(theta);
  std::this_thread::sleep_for(std::chrono::milliseconds(60));  // the hook is not called more often
  polycore::set_interrupt_hook([] { return true; });
  CHECK_THROWS(run.jacobian(theta), polycore::Interrupted);
  polycore::set_interrupt_hook(nullptr);
  CHECK_EQUAL(run.jacobian(theta), Runner<double>(mlp(widths, 2)).jacobian(theta));
}

TEST(a_long_expansion_can_be_interrupted) {
  static std::atomic<int> calls{0};
  const auto interrupted = [](const Program& program, const auto& call) {
    for (const int n_threads : {1, 2}) {
      calls = 0;
      polycore::set_interrupt_hook([] { return ++calls >= 2; });
      CHECK_THROWS(call(program, n_threads), polycore::Interrupted);
      polycore::set_interrupt_hook(nullptr);
    }
  };
  const auto expand = [](const Program& program, int n_threads) {
    Runner<double>(program, n_threads).expand(std::vector<double>(program.n_params(), 0.1));
  };
  interrupted(mlp(std::array{6, 8, 8, 2}, 7), expand);  // degree 49 in 6 variables: many seconds of work
  interrupted(named("attention", lightning_attention(3, 2, 3, 2, 3)).program(), expand);  // degree 27 in 6 variables
  // Windows whose sums are all of the work.
  interrupted(cnn(std::array{4000}, 1, {.n_positions = 44'000}), [](const Program& program, int n_threads) {
    Runner<double>(program, n_threads).evaluate(std::vector<double>(4000, 0.1), std::vector<double>(100 * 44'000, 0.5));
  });
  const Program small = mlp(std::array{2, 2, 1}, 2);
  CHECK_EQUAL(Runner<double>(small).expand(std::vector<double>(6, 1.0)), (std::vector<double>{2, 4, 2}));
}
