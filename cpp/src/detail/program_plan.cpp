// SPDX-License-Identifier: BSD-3-Clause
#include "program_plan.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>

#include "polycore/parallel.hpp"

namespace polycore::detail {

namespace {

// Sums and small multiples of anything below this fit 64 bits: n_in n_out < 2^62 for 31-bit widths.
constexpr std::size_t kMaxCount = std::size_t{1} << 62;
// Numbers in the polynomials of one slot, for each lane of each ring: their bytes fit 64 bits.
constexpr std::size_t kMaxSlot = std::size_t{1} << 52;

}  // namespace

ProgramPlan::ProgramPlan(int inputs, std::vector<Instruction> list)
    : n_inputs(inputs), instructions(std::move(list)), units{inputs}, degrees{1} {
  if (inputs < 1) throw std::invalid_argument("`n_inputs` must be >= 1, got " + std::to_string(inputs));
  if (instructions.empty()) throw std::invalid_argument("`instructions` must not be empty");
  std::vector<bool> linear{true};  // slots that hold linear forms of the inputs
  const auto position = [](std::size_t k) { return "instruction " + std::to_string(k); };
  for (std::size_t k = 0; k < instructions.size(); ++k) {
    Node node{};
    const auto read = [&](int slot) {
      if (slot < 0 || static_cast<std::size_t>(slot) > k)
        throw std::invalid_argument(position(k) + " reads slot " + std::to_string(slot) + ", which is not written yet");
      node.input = slot;
      node.units_in = units[static_cast<std::size_t>(slot)];
      node.degree_in = degrees[static_cast<std::size_t>(slot)];
    };
    if (const auto* affine = std::get_if<Affine>(&instructions[k])) {
      read(affine->input);
      if (affine->n_out < 1) throw std::invalid_argument(position(k) + ": `n_out` must be >= 1");
      node.is_affine = true;
      node.units_out = affine->n_out;
      node.degree_out = node.degree_in;
      node.bias = affine->bias;
      node.w_offset = n_params;
      n_params += static_cast<std::size_t>(node.units_out) * static_cast<std::size_t>(node.units_in);
      node.b_offset = n_params;
      if (node.bias) n_params += static_cast<std::size_t>(node.units_out);
      if (n_params >= kMaxCount) throw std::overflow_error("the number of parameters does not fit 62 bits");
      if (node.bias) homogeneous = false;
      linear.push_back(node.input == 0);
    } else {
      const auto& activation = std::get<Activation>(instructions[k]);
      read(activation.input);
      auto a = activation.coefficients;
      for (const double c : a) {
        if (std::isinf(c)) throw std::invalid_argument(position(k) + ": `coefficients` must be finite");
        if (std::isnan(c)) generic = true;
      }
      while (a.size() > 1 && a.back() == 0.0) a.pop_back();
      if (a.empty()) throw std::invalid_argument(position(k) + ": `coefficients` must not be empty");
      if (a.size() > kMaxActivationDegree + 1)
        throw std::invalid_argument(position(k) + ": `coefficients` must have degree at most " +
                                    std::to_string(kMaxActivationDegree));
      node.is_affine = false;
      node.units_out = node.units_in;
      node.power = static_cast<int>(a.size()) - 1;
      node.monomial = std::count_if(a.begin(), a.end(), [](double c) { return c != 0.0; }) <= 1;
      node.linear_input = linear[static_cast<std::size_t>(node.input)];
      node.first_constant = constants.size();
      node.n_constants = a.size();
      if (__builtin_mul_overflow(node.degree_in, node.power, &node.degree_out))
        throw std::overflow_error("the degree of the network does not fit 32 bits");
      if (!node.monomial) homogeneous = false;
      constants.insert(constants.end(), a.begin(), a.end());
      linear.push_back(false);
    }
    units.push_back(node.units_out);
    degrees.push_back(node.degree_out);
    nodes.push_back(node);
  }
  std::vector<bool> read(nodes.size() + 1);
  read.back() = true;
  for (std::size_t k = nodes.size(); k-- > 0;) {
    nodes[k].used = read[k + 1];
    if (nodes[k].used) read[static_cast<std::size_t>(nodes[k].input)] = true;
  }
}

namespace {

// z^k is the square of z^(k/2) for even k, else z z^(k-1): one rule, so that every sweep computes the same bits.
void require_power(std::vector<bool>& needed, int k) {
  if (k < 2 || needed[static_cast<std::size_t>(k)]) return;
  needed[static_cast<std::size_t>(k)] = true;
  require_power(needed, k % 2 == 0 ? k / 2 : k - 1);
}

}  // namespace

const ProgramPlan::Products& ProgramPlan::products() const {
  return products_.get([this] {
    const int degree_max = *std::max_element(degrees.begin(), degrees.end());
    Products built{FormCounts(d(), degree_max), {}};
    for (std::size_t slot = 1; slot < units.size(); ++slot)
      if (built.counts(d(), degrees[slot]) > kMaxSlot / static_cast<std::size_t>(units[slot]))
        throw std::overflow_error("the polynomials of slot " + std::to_string(slot) +
                                  " have more coefficients than memory can hold");
    std::map<std::pair<int, int>, std::shared_ptr<const ProductPlan>> squares, mixed;  // shared by equal layers
    for (const Node& node : nodes) {
      ActivationPlan plan;
      if (!node.is_affine && node.power >= 1) {
        const int e = node.degree_in, r = node.power;
        std::vector<bool> value(static_cast<std::size_t>(r) + 1), all(static_cast<std::size_t>(r) + 1);
        for (int k = node.monomial ? r : 2; k <= r; ++k) require_power(value, k);
        all = value;
        require_power(all, r - 1);
        for (int k = 2; k <= r && !node.linear_input; ++k) {
          if (!all[static_cast<std::size_t>(k)]) continue;
          auto& shared = k % 2 == 0 ? squares[{k * e / 2, 0}] : mixed[{e, (k - 1) * e}];
          if (!shared)
            shared = k % 2 == 0 ? ProductPlan::square(d(), k / 2 * e) : ProductPlan::product(d(), e, (k - 1) * e);
          plan.all_steps.push_back({k, k % 2 == 0, shared});
          if (value[static_cast<std::size_t>(k)]) plan.value_steps.push_back(plan.all_steps.back());
        }
        auto& shared = mixed[{e, (r - 1) * e}];
        if (!shared) shared = ProductPlan::product(d(), e, (r - 1) * e);
        plan.derivative = shared;
      }
      built.activations.push_back(std::move(plan));
    }
    return built;
  });
}

namespace {

// Positions of x_j times the forms of one degree: the first variable keeps the position; any other moves the block of
// degree i in the remaining variables to the block of degree i + 1.
void append_times_variable(const FormCounts& counts, int d, int degree, int j, std::size_t base,
                           std::vector<std::uint32_t>& to) {
  if (j == 0) {
    for (std::size_t k = 0; k < counts(d, degree); ++k) to.push_back(static_cast<std::uint32_t>(base + k));
    return;
  }
  for (int i = 0; i <= degree; ++i) append_times_variable(counts, d - 1, i, j - 1, base + counts(d, i), to);
}

}  // namespace

const JacobianPlan& ProgramPlan::jacobian_plan() const {
  return jacobian_.get([this] {
    const auto& counts = products().counts;
    const int D = degree();
    JacobianPlan built;
    for (const Node& node : nodes) {
      std::shared_ptr<const ProductPlan> product;
      bool cotangent_first = false;
      if (node.degree_out > D) {
        // Nothing that the output depends on: a later activation is constant.
      } else if (node.is_affine) {
        // d f / d W[i, j] = G_i z_j with G of degree D - e
        if (node.input != 0) product = ProductPlan::product(d(), node.degree_in, D - node.degree_in);
      } else if (node.power >= 1) {
        const int g = D - node.degree_out, p = node.degree_out - node.degree_in;
        cotangent_first = g <= p;
        product = cotangent_first ? ProductPlan::product(d(), g, p) : ProductPlan::product(d(), p, g);
      }
      built.products.push_back(std::move(product));
      built.cotangent_first.push_back(cotangent_first);
    }
    if (D >= 1)
      for (int j = 0; j < n_inputs; ++j)
        append_times_variable(counts, d(), D - 1, j + d() - n_inputs, 0, built.times_variable);
    return built;
  });
}

namespace {

// Multinomial coefficients k! / gamma! over the forms of degree k in d variables, as products of binomials in the ring.
// `binomials[n][m]` are C(n, m) in the ring.
template <class T, class Multiply>
std::vector<T> multinomials(int d, int k, const std::vector<std::vector<T>>& binomials, const Multiply& multiply) {
  std::vector<T> result;
  const auto recurse = [&](auto&& self, int vars, int left, T factor) -> void {
    for (; vars > 1 && left > 0;
         --vars)  // the exponent 0 of a variable is the next turn: recursion as deep as the degree
      for (int e = left; e > 0; --e)
        self(self, vars - 1, left - e,
             multiply(factor, binomials[static_cast<std::size_t>(left)][static_cast<std::size_t>(e)]));
    result.push_back(factor);
  };
  recurse(recurse, d, k, T{1});
  return result;
}

template <class T, class Multiply, class Add, class Store>
std::shared_ptr<const RingConstants> build_constants(const std::vector<Node>& nodes, int d,
                                                     std::span<const T> constants, bool forms, std::size_t scalar_bytes,
                                                     const Multiply& multiply, const Add& add, const Store& store) {
  auto result = std::make_shared<RingConstants>();
  result->scalar_bytes = scalar_bytes;
  const auto append = [&](std::vector<std::byte>& bytes, T value) {
    bytes.resize(bytes.size() + scalar_bytes);
    store(value, bytes.data() + bytes.size() - scalar_bytes);
  };
  append(result->one, T{1});
  int power_max = 0;
  for (const Node& node : nodes)
    if (forms && node.linear_input) power_max = std::max(power_max, node.power);
  std::vector<std::vector<T>> binomials{{T{1}}};
  for (int n = 1; n <= power_max; ++n) {
    std::vector<T> row{T{1}};
    for (int m = 1; m < n; ++m)
      row.push_back(
          add(binomials.back()[static_cast<std::size_t>(m) - 1], binomials.back()[static_cast<std::size_t>(m)]));
    row.push_back(T{1});
    binomials.push_back(std::move(row));
  }
  std::map<int, std::vector<T>> known;
  for (const Node& node : nodes) {
    RingConstants::ClosedForm closed;
    T whole{0};  // k in the ring
    for (std::size_t k = 0; k < node.n_constants; ++k) {
      const T a = constants[node.first_constant + k];
      const T derivative = multiply(whole, a);
      append(result->coefficient, a);
      append(result->derivative_coefficient, derivative);
      whole = add(whole, T{1});
      if (!forms || !node.linear_input) continue;
      const auto scaled = [&](int degree, T factor) {
        std::vector<std::byte> bytes;
        if (factor == T{0}) return bytes;
        auto& table = known[degree];
        poll_interrupt();
        if (table.empty()) table = multinomials<T>(d, degree, binomials, multiply);
        for (const T m : table) append(bytes, multiply(factor, m));
        return bytes;
      };
      closed.value.push_back(scaled(static_cast<int>(k), a));
      if (k > 0) closed.derivative.push_back(scaled(static_cast<int>(k) - 1, derivative));
    }
    result->closed.push_back(std::move(closed));
  }
  return result;
}

std::shared_ptr<const RingConstants> build_float_constants(const std::vector<Node>& nodes, int d,
                                                           std::span<const double> constants, bool forms,
                                                           std::size_t components) {
  return build_constants<double>(
      nodes, d, constants, forms, components * sizeof(double), [](double a, double b) { return a * b; },
      [](double a, double b) { return a + b; },
      [components](double value, std::byte* p) {
        const double pair[2] = {value, 0.0};
        std::memcpy(p, pair, components * sizeof(double));
      });
}

}  // namespace

void ProgramPlan::require_concrete() const {
  if (generic)
    throw std::invalid_argument(
        "the program has a generic activation, whose coefficients have values in GF(p) only: those in `constants`");
}

std::shared_ptr<const RingConstants> ProgramPlan::constants_for(const double*, bool forms) const {
  require_concrete();
  const std::lock_guard lock(constants_mutex_);
  if (!real_[forms]) real_[forms] = build_float_constants(nodes, d(), constants, forms, 1);
  return real_[forms];
}
std::shared_ptr<const RingConstants> ProgramPlan::constants_for(const std::complex<double>*, bool forms) const {
  require_concrete();
  const std::lock_guard lock(constants_mutex_);
  if (!pair_[forms]) pair_[forms] = build_float_constants(nodes, d(), constants, forms, 2);
  return pair_[forms];
}
std::shared_ptr<const RingConstants> ProgramPlan::constants_for(const DualNumber*, bool forms) const {
  return constants_for(static_cast<const std::complex<double>*>(nullptr), forms);
}
std::shared_ptr<const RingConstants> ProgramPlan::constants_for(const Modulus& modulus,
                                                                std::span<const std::uint64_t> residues,
                                                                bool forms) const {
  if (residues.size() != constants.size())
    throw std::invalid_argument("`constants` must have " + std::to_string(constants.size()) + " entries, got " +
                                std::to_string(residues.size()));
  const std::lock_guard lock(constants_mutex_);
  if (!modular_[forms] || modular_p_[forms] != modulus.p() ||
      !std::ranges::equal(modular_constants_[forms], residues)) {
    modular_[forms].reset();  // what follows may throw, and must not leave constants under another field's name
    auto built = build_constants<std::uint64_t>(
        nodes, d(), residues, forms, sizeof(std::uint64_t),
        [&](std::uint64_t a, std::uint64_t b) { return modulus.multiply(a, b); },
        [&](std::uint64_t a, std::uint64_t b) { return modulus.add(a, b); },
        [](std::uint64_t value, std::byte* p) { std::memcpy(p, &value, sizeof value); });
    modular_p_[forms] = modulus.p();
    modular_constants_[forms].assign(residues.begin(), residues.end());
    modular_[forms] = std::move(built);
  }
  return modular_[forms];
}

std::uint64_t ProgramPlan::expand_work() const {
  const auto& p = products();
  std::uint64_t work = 0;
  for (std::size_t k = 0; k < nodes.size(); ++k) {
    const Node& node = nodes[k];
    const auto units_out = static_cast<std::uint64_t>(node.units_out);
    if (node.is_affine) {
      work +=
          units_out * static_cast<std::uint64_t>(node.units_in) * (node.input == 0 ? 1 : p.counts(d(), node.degree_in));
    } else {
      work += units_out * p.counts(d(), node.degree_out);
      for (const auto& step : p.activations[k].value_steps) work += units_out * step.plan->multiply_adds();
    }
  }
  return work;
}

std::uint64_t ProgramPlan::evaluate_work() const {
  std::uint64_t work = 0;
  for (const Node& node : nodes)
    work += static_cast<std::uint64_t>(node.units_out) *
            static_cast<std::uint64_t>(node.is_affine ? node.units_in : node.power);
  return work;
}

}  // namespace polycore::detail
