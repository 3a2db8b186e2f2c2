// SPDX-License-Identifier: BSD-3-Clause
#include "program_plan.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "polycore/parallel.hpp"

namespace polycore::detail {

namespace {

// Sums and small multiples of anything below this fit 64 bits: n_in n_out < 2^62 for 31-bit widths.
constexpr std::size_t kMaxCount = std::size_t{1} << 62;
// Numbers in the polynomials of one slot, for each lane of each ring: their bytes fit 64 bits.
constexpr std::size_t kMaxSlot = std::size_t{1} << 52;

int checked_width(std::size_t width) {
  if (width > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    throw std::overflow_error("the width of a slot does not fit 32 bits");
  return static_cast<int>(width);
}

void check_positions(const std::vector<int>& positions, int width, const char* name) {
  for (const int i : positions)
    if (i < 0 || i >= width)
      throw std::invalid_argument(std::string("`") + name + "` must be positions in a slot of width " +
                                  std::to_string(width) + ", got " + std::to_string(i));
}

void check_windows(const std::vector<std::vector<int>>& windows, int width) {
  std::vector<std::size_t> seen(static_cast<std::size_t>(width));  // the last window with this position, from 1
  for (std::size_t w = 0; w < windows.size(); ++w) {
    if (windows[w].empty() || windows[w].size() != windows[0].size())
      throw std::invalid_argument("`windows` must be equally long and not empty");
    check_positions(windows[w], width, "windows");
    for (const int i : windows[w])
      if (std::exchange(seen[static_cast<std::size_t>(i)], w + 1) == w + 1)
        throw std::invalid_argument("`windows` must not repeat a position in a window, got " + std::to_string(i));
  }
}

/// The end of the longest stretch of positions from `begin` on that ascend in equal steps.
std::size_t stretch_end(const std::vector<int>& window, std::size_t begin) {
  std::size_t end = begin + 1;
  if (end == window.size() || window[end] < window[begin]) return end;
  for (++end; end < window.size() && window[end] - window[end - 1] == window[begin + 1] - window[begin];) ++end;
  return end;
}

/// Stretches of the windows; those of later windows that continue in equal steps belong to the same run.
std::vector<WindowRun> window_runs(const std::vector<std::vector<int>>& windows) {
  std::vector<WindowRun> runs;
  std::map<std::size_t, std::size_t> latest;  // column -> the run of the last window that has a stretch from there
  for (std::size_t w = 0; w < windows.size(); ++w) {
    const auto& window = windows[w];
    for (std::size_t column = 0, end = 0; column < window.size(); column = end) {
      end = stretch_end(window, column);
      const auto position = static_cast<std::size_t>(window[column]);
      const std::size_t n = end - column, step = n > 1 ? static_cast<std::size_t>(window[column + 1]) - position : 1;
      const auto [found, is_new] = latest.try_emplace(column, runs.size());
      if (!is_new) {
        WindowRun& run = runs[found->second];
        const std::size_t last = run.position(run.n_windows - 1, 0);
        if (run.first_window + run.n_windows == w && run.n_columns == n && run.column_step == step &&
            position >= last && (run.n_windows == 1 || position - last == run.window_step)) {
          run.window_step = position - last;
          ++run.n_windows;
          continue;
        }
        found->second = runs.size();
      }
      runs.push_back({w, 1, column, n, position, 0, step});
    }
  }
  std::ranges::stable_sort(runs, {}, &WindowRun::column);
  return runs;
}

std::vector<int> slots_of(const Affine& affine) { return {affine.input}; }
std::vector<int> slots_of(const Activation& activation) { return {activation.input}; }
std::vector<int> slots_of(const Select& select) { return {select.input}; }
std::vector<int> slots_of(const Add& add) { return add.inputs; }
std::vector<int> slots_of(const MatMul& product) { return {product.left, product.right}; }

}  // namespace

ProgramPlan::ProgramPlan(int inputs, std::vector<Instruction> list, Method how)
    : n_inputs(inputs), instructions(std::move(list)), method(how), units{inputs}, degrees{1} {
  if (inputs < 1) throw std::invalid_argument("`n_inputs` must be >= 1, got " + std::to_string(inputs));
  if (instructions.empty()) throw std::invalid_argument("`instructions` must not be empty");
  std::vector<bool> linear{true};  // slots that hold linear forms of the inputs
  for (std::size_t k = 0; k < instructions.size(); ++k) {
    std::visit(
        [&](const auto& instruction) {
          try {
            nodes.push_back(read_slots(slots_of(instruction), k));
            analyse(instruction, nodes.back());
          } catch (const std::invalid_argument& error) {
            throw std::invalid_argument("instruction " + std::to_string(k) + ": " + error.what());
          }
        },
        instructions[k]);
    Node& node = nodes.back();
    const bool linear_inputs =
        std::ranges::all_of(node.inputs, [&](int slot) { return linear[static_cast<std::size_t>(slot)]; });
    node.linear_input = linear_inputs && node.kind == Kind::kActivation;
    linear.push_back(linear_inputs && node.kind != Kind::kActivation && node.kind != Kind::kMatMul);
    units.push_back(node.units_out);
    degrees.push_back(node.degree_out);
  }
  std::vector<bool> read(nodes.size() + 1);
  read.back() = true;
  for (std::size_t k = nodes.size(); k-- > 0;) {
    nodes[k].used = read[k + 1];
    for (const int slot : nodes[k].inputs)
      if (nodes[k].used) read[static_cast<std::size_t>(slot)] = true;
  }
}

Node ProgramPlan::read_slots(std::vector<int> inputs, std::size_t k) const {
  for (const int slot : inputs)
    if (slot < 0 || static_cast<std::size_t>(slot) > k)
      throw std::invalid_argument("reads slot " + std::to_string(slot) + ", which is not written yet");
  Node node{};
  if (inputs.empty()) return node;  // a sum of nothing, which its analysis refuses
  node.input = inputs.front();
  node.inputs = std::move(inputs);
  node.units_in = units[static_cast<std::size_t>(node.input)];
  node.degree_in = degrees[static_cast<std::size_t>(node.input)];
  return node;
}

void ProgramPlan::analyse(const Affine& affine, Node& node) {
  if (affine.n_out < 1) throw std::invalid_argument("`n_out` must be >= 1, got " + std::to_string(affine.n_out));
  node.kind = Kind::kAffine;
  node.window_out = static_cast<std::size_t>(affine.n_out);
  if (affine.windows.empty()) {
    node.window_size = static_cast<std::size_t>(node.units_in);
    node.runs = {{0, 1, 0, node.window_size, 0, 0, 1}};
  } else {
    check_windows(affine.windows, node.units_in);
    node.n_windows = affine.windows.size();
    node.window_size = affine.windows[0].size();
    node.runs = window_runs(affine.windows);
  }
  std::size_t width = 0;
  if (__builtin_mul_overflow(node.n_windows, node.window_out, &width)) width = kMaxCount;
  node.units_out = checked_width(width);
  node.degree_out = node.degree_in;
  node.bias = affine.bias;
  node.w_offset = n_params;
  n_params += node.window_out * node.window_size;
  node.b_offset = n_params;
  if (node.bias) n_params += node.window_out;
  if (n_params >= kMaxCount) throw std::overflow_error("the number of parameters does not fit 62 bits");
  if (node.bias) homogeneous = false;
}

void ProgramPlan::analyse(const Activation& activation, Node& node) {
  auto a = activation.coefficients;
  for (const double c : a) {
    if (std::isinf(c)) throw std::invalid_argument("`coefficients` must be finite");
    if (std::isnan(c)) generic = true;
  }
  while (a.size() > 1 && a.back() == 0.0) a.pop_back();
  if (a.empty()) throw std::invalid_argument("`coefficients` must not be empty");
  if (a.size() > kMaxActivationDegree + 1)
    throw std::invalid_argument("`coefficients` must have degree at most " + std::to_string(kMaxActivationDegree));
  node.kind = Kind::kActivation;
  node.units_out = node.units_in;
  node.power = static_cast<int>(a.size()) - 1;
  node.monomial = std::count_if(a.begin(), a.end(), [](double c) { return c != 0.0; }) <= 1;
  node.first_constant = constants.size();
  node.n_constants = a.size();
  if (__builtin_mul_overflow(node.degree_in, node.power, &node.degree_out))
    throw std::overflow_error("the degree of the network does not fit 32 bits");
  if (!node.monomial) homogeneous = false;
  constants.insert(constants.end(), a.begin(), a.end());
}

void ProgramPlan::analyse(const Select& select, Node& node) {
  if (select.indices.empty()) throw std::invalid_argument("`indices` must not be empty");
  check_positions(select.indices, node.units_in, "indices");
  node.kind = Kind::kSelect;
  node.indices.assign(select.indices.begin(), select.indices.end());
  node.units_out = checked_width(node.indices.size());
  node.degree_out = node.degree_in;
}

void ProgramPlan::analyse(const Add& add, Node& node) {
  if (add.inputs.size() < 2)
    throw std::invalid_argument("`inputs` must name at least two slots, got " + std::to_string(add.inputs.size()));
  node.kind = Kind::kAdd;
  node.units_out = node.units_in;
  node.degree_out = node.degree_in;
  for (const int slot : add.inputs) {
    const auto s = static_cast<std::size_t>(slot);
    if (units[s] != node.units_in)
      throw std::invalid_argument("`inputs` must be slots of equal width, got " + std::to_string(node.units_in) +
                                  " and " + std::to_string(units[s]));
    if (degrees[s] != node.degree_in) homogeneous = false;
    node.degree_out = std::max(node.degree_out, degrees[s]);
  }
}

void ProgramPlan::analyse(const MatMul& product, Node& node) {
  if (product.rows < 1 || product.inner < 1 || product.cols < 1)
    throw std::invalid_argument("`rows`, `inner` and `cols` must be >= 1");
  const auto size = [](int n) { return static_cast<std::size_t>(n); };
  const auto check_width = [&](const char* name, int slot, std::size_t width) {
    if (size(units[size(slot)]) != width)
      throw std::invalid_argument(std::string("`") + name + "` must be a slot of width " + std::to_string(width) +
                                  ", got " + std::to_string(units[size(slot)]));
  };
  node.kind = Kind::kMatMul;
  node.rows = size(product.rows);
  node.inner = size(product.inner);
  node.cols = size(product.cols);
  check_width("left", product.left, node.rows * node.inner);
  check_width("right", product.right, node.inner * node.cols);
  node.left_row = product.transpose_left ? 1 : node.inner;
  node.left_column = product.transpose_left ? node.rows : 1;
  node.right_row = product.transpose_right ? 1 : node.cols;
  node.right_column = product.transpose_right ? node.inner : 1;
  node.units_out = checked_width(node.rows * node.cols);
  if (__builtin_add_overflow(node.degree_in, degrees[size(product.right)], &node.degree_out))
    throw std::overflow_error("the degree of the network does not fit 32 bits");
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
    int degree_max = 1;
    for (const Node& node : nodes)
      if (node.used) degree_max = std::max({degree_max, node.degree_in, node.degree_out});
    Products built{FormCounts(d(), degree_max), {}, {}};
    for (std::size_t k = 0; k < nodes.size(); ++k)
      if (nodes[k].used &&
          built.counts(d(), nodes[k].degree_out) > kMaxSlot / static_cast<std::size_t>(nodes[k].units_out))
        throw std::overflow_error("the polynomials of slot " + std::to_string(k + 1) +
                                  " have more coefficients than memory can hold");
    std::map<std::pair<int, int>, std::shared_ptr<const ProductPlan>> squares, mixed;  // shared by equal layers
    const auto square = [&](int degree) {
      auto& shared = squares[{degree, 0}];
      return shared ? shared : shared = ProductPlan::square(d(), degree);
    };
    const auto product = [&](int degree_a, int degree_b) {
      auto& shared = mixed[{degree_a, degree_b}];
      return shared ? shared : shared = ProductPlan::product(d(), degree_a, degree_b);
    };
    for (const Node& node : nodes) {
      ActivationPlan activation;
      MatMulPlan matmul;
      if (node.used && node.kind == Kind::kActivation && node.power >= 1) {
        const int e = node.degree_in, r = node.power;
        std::vector<bool> value(static_cast<std::size_t>(r) + 1), all(static_cast<std::size_t>(r) + 1);
        for (int k = node.monomial ? r : 2; k <= r; ++k) require_power(value, k);
        all = value;
        require_power(all, r - 1);
        for (int k = 2; k <= r && !node.linear_input; ++k) {
          if (!all[static_cast<std::size_t>(k)]) continue;
          activation.all_steps.push_back({k, k % 2 == 0, k % 2 == 0 ? square(k / 2 * e) : product(e, (k - 1) * e)});
          if (value[static_cast<std::size_t>(k)]) activation.value_steps.push_back(activation.all_steps.back());
        }
        activation.derivative = product(e, (r - 1) * e);
      } else if (node.used && node.kind == Kind::kMatMul) {
        const int right = node.degree_out - node.degree_in;
        matmul = {product(node.degree_in, right), product(right, node.degree_in)};
      }
      built.activations.push_back(std::move(activation));
      built.matmuls.push_back(std::move(matmul));
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
    const auto product = [&](int cotangent, int other) -> CotangentProduct {
      const bool first = cotangent <= other;
      return {ProductPlan::product(d(), first ? cotangent : other, first ? other : cotangent), first};
    };
    for (const Node& node : nodes) {
      CotangentProduct usual, by_left;
      const int g = D - node.degree_out;
      if (!node.used || g < 0) {
        // Nothing that the output depends on: a later activation is constant.
      } else if (node.kind == Kind::kAffine) {
        if (node.input != 0) usual = product(g, node.degree_in);  // d f / d W[i, j] = G_i z_j
      } else if (node.kind == Kind::kActivation) {
        if (node.power >= 1) usual = product(g, node.degree_out - node.degree_in);
      } else if (node.kind == Kind::kMatMul) {
        usual = product(g, node.degree_out - node.degree_in);
        by_left = product(g, node.degree_in);
      }
      built.products.push_back(std::move(usual));
      built.by_left.push_back(std::move(by_left));
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
    if (forms && node.used && node.linear_input) power_max = std::max(power_max, node.power);
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
      if (!forms || !node.used || !node.linear_input) continue;
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
    if (!node.used) continue;
    const auto units_out = static_cast<std::uint64_t>(node.units_out), length = p.counts(d(), node.degree_out);
    if (node.kind == Kind::kAffine) {
      work += units_out * node.window_size * (node.input == 0 ? 1 : length);
    } else if (node.kind == Kind::kMatMul) {
      work += units_out * node.inner * p.matmuls[k].by_left->multiply_adds();
    } else {
      work += units_out * length * node.inputs.size();
      for (const auto& step : p.activations[k].value_steps) work += units_out * step.plan->multiply_adds();
    }
  }
  return work;
}

std::uint64_t ProgramPlan::evaluate_work() const {
  std::uint64_t work = 0;
  for (const Node& node : nodes) {
    const std::size_t terms = node.kind == Kind::kAffine       ? node.window_size
                              : node.kind == Kind::kActivation ? static_cast<std::size_t>(node.power)
                              : node.kind == Kind::kMatMul     ? node.inner
                                                               : node.inputs.size();
    if (node.used) work += static_cast<std::uint64_t>(node.units_out) * terms;
  }
  return work;
}

}  // namespace polycore::detail
