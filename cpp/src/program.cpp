// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/program.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "detail/expansion.hpp"
#include "detail/finite.hpp"
#include "detail/interpretations.hpp"
#include "detail/program_plan.hpp"
#include "detail/rings.hpp"
#include "detail/sweeps.hpp"
#include "detail/workspace.hpp"
#include "polycore/error.hpp"
#include "polycore/parallel.hpp"

namespace polycore {

using detail::Derivatives;
using detail::FormValues;
using detail::n_coefficients;
using detail::Node;
using detail::NumberValues;
using detail::ProgramPlan;
using detail::RingConstants;
using detail::Run;
using detail::Tape;
using detail::with_expansion;
using detail::Workspace;
using kernels::ModulusData;
using kernels::RingKernels;

Program::Program(int n_inputs, std::vector<Instruction> instructions, Method method)
    : plan_(std::make_unique<ProgramPlan>(n_inputs, std::move(instructions), method)) {}
Program::~Program() = default;
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;

int Program::n_inputs() const { return plan_->n_inputs; }
int Program::n_outputs() const { return plan_->n_outputs(); }
std::size_t Program::n_params() const { return plan_->n_params; }
int Program::degree() const { return plan_->degree(); }
bool Program::homogeneous() const { return plan_->homogeneous; }
std::size_t Program::n_constants() const { return plan_->constants.size(); }
const std::vector<Instruction>& Program::instructions() const { return plan_->instructions; }
bool Program::uses_circuit() const { return plan_->circuit() != nullptr; }
const MonomialSupport& Program::support() const { return plan_->support(); }

namespace {

constexpr std::uint64_t kThreadedWork = 50'000;  // multiply-adds below which a second thread costs more than it brings
constexpr std::uint64_t kUnitThreadedWork = 4'000'000;  // one member: threads over its units
// Samples per block: whole register tiles on every instruction set, and two layers of 16 units stay in the first-level
// cache.
constexpr std::size_t kSampleBlock = 96;
// Up to so many points a batch of networks is evaluated side by side, above one by one.
constexpr std::size_t kFewSamples = 32;
// Numbers in the gradients of a block of samples, unless that would be less than 8 samples.
constexpr std::size_t kGradients = std::size_t{1} << 20;

void check_size(std::size_t got, std::size_t expected, const char* name) {
  if (got != expected)
    throw std::invalid_argument(std::string("`") + name + "` must have " + std::to_string(expected) + " entries, got " +
                                std::to_string(got));
}

/// The ring a call computes in.
struct Field {
  detail::RingPair rings;
  const ModulusData* context;
  std::shared_ptr<const RingConstants> constants;
};

/// Makes the field of a call once its sizes are checked: the constants of expansions can be large.
template <class T>
struct FloatField {
  Field operator()(const ProgramPlan& plan, bool forms) const {
    return {detail::rings_of<T>(), nullptr, plan.constants_for(static_cast<const T*>(nullptr), forms)};
  }
};
struct ResidueField {
  Modulus modulus;
  std::span<const std::uint64_t> constants;
  ModulusData context = modulus.data();

  explicit ResidueField(const Program::Modular& field) : modulus(field.modulus), constants(field.constants) {}
  Field operator()(const ProgramPlan& plan, bool forms) const {
    return {detail::rings_of<std::uint64_t>(), &context, plan.constants_for(modulus, constants, forms)};
  }
};

std::size_t batch_of(const ProgramPlan& plan, std::size_t theta_size) {
  if (plan.n_params == 0) return 1;
  if (theta_size % plan.n_params != 0)
    throw std::invalid_argument("`theta` must have shape (batch, n_params=" + std::to_string(plan.n_params) + ")");
  return theta_size / plan.n_params;
}

/// Runs body(run, first member, number of members) over the batch in blocks of lanes.
template <class Body>
void for_members(const ProgramPlan& plan, const Field& field, std::size_t batch, std::uint64_t work, int n_threads,
                 const Body& body) {
  const std::size_t lanes = batch > 1 && field.rings.lanes ? field.rings.lanes->lanes : 1;
  const std::size_t n_blocks = (batch + lanes - 1) / lanes;
  const bool by_units = n_blocks == 1 && work >= kUnitThreadedWork;
  if (n_threads <= 0) n_threads = default_threads();
  parallel_for(n_blocks, work * batch < kThreadedWork ? 1 : n_threads, [&](std::size_t block) {
    const std::size_t first = block * lanes, members = std::min(lanes, batch - first);
    const RingKernels& ring = detail::choose(field.rings, members);
    Workspace workspace;
    Run run{plan, ring, field.context, *field.constants, workspace, by_units ? n_threads : 1};
    body(run, first, members);
  });
}

template <class T>
const void* pack(Run& run, std::span<const T> rows, std::size_t row, std::size_t first, std::size_t members) {
  void* p = run.workspace.take(row, run.ring);
  run.ring.pack(rows.data() + first * row, row, members, row, p);
  return p;
}

template <class T>
void unpack(Run& run, const void* block, std::span<T> rows, std::size_t row, std::size_t first, std::size_t members) {
  run.ring.unpack(block, row, members, rows.data() + first * row, row, 1);
}

/// Multiply-adds of an expansion of one member.
std::uint64_t expansion_work(const ProgramPlan& plan) {
  const auto* circuit = plan.circuit();
  return circuit ? circuit->forward.terms.size() + circuit->coefficients.size() : plan.expand_work();
}

/// Turns `finite` false where a number is not: results are checked while they are in cache.
template <class T>
void check_finite(const T* x, std::size_t n, std::atomic<bool>& finite) {
  if constexpr (!std::is_same_v<T, std::uint64_t>)
    if (!detail::all_finite(detail::as_reals(std::span<const T>(x, n)))) finite = false;
}

template <class T, class MakeField>
void expand_all(const ProgramPlan& plan, const MakeField& make_field, std::span<const T> theta, std::span<T> out,
                int n_threads, Monomials on) {
  const std::size_t batch = batch_of(plan, theta.size()), row = n_coefficients(plan, on), P = plan.n_params;
  check_size(out.size(), batch * row, "out");
  const Field field = make_field(plan, plan.circuit() == nullptr);
  std::atomic<bool> finite{true};
  for_members(plan, field, batch, expansion_work(plan), n_threads,
              [&](Run& run, std::size_t first, std::size_t members) {
                with_expansion(run, members, on, [&](auto& expansion) {
                  expansion.forward(theta.data() + first * P, false);
                  expansion.store_coefficients(out.data() + first * row);
                  if constexpr (!std::is_same_v<T, std::uint64_t>)
                    if (!expansion.finite(out.data() + first * row)) finite = false;
                });
              });
  if constexpr (!std::is_same_v<T, std::uint64_t>)
    if (!finite) detail::require_no_overflow<T>(out, "expand");
}

template <class T, class MakeField>
void jvp_all(const ProgramPlan& plan, const MakeField& make_field, std::span<const T> theta, std::span<const T> dtheta,
             std::span<T> out, int n_threads, Monomials on) {
  const std::size_t batch = batch_of(plan, theta.size()), row = n_coefficients(plan, on), P = plan.n_params;
  check_size(dtheta.size(), theta.size(), "dtheta");
  check_size(out.size(), batch * row, "out");
  const Field field = make_field(plan, plan.circuit() == nullptr);
  for_members(plan, field, batch, 3 * expansion_work(plan), n_threads,
              [&](Run& run, std::size_t first, std::size_t members) {
                with_expansion(run, members, on, [&](auto& expansion) {
                  expansion.forward(theta.data() + first * P, true);
                  expansion.store_tangent(dtheta.data() + first * P, out.data() + first * row);
                });
              });
}

template <class T, class MakeField>
void vjp_all(const ProgramPlan& plan, const MakeField& make_field, std::span<const T> theta, std::span<const T> dcoef,
             std::span<T> out, int n_threads, Monomials on) {
  const std::size_t batch = batch_of(plan, theta.size()), row = n_coefficients(plan, on), P = plan.n_params;
  check_size(dcoef.size(), batch * row, "dcoef");
  check_size(out.size(), theta.size(), "out");
  const Field field = make_field(plan, plan.circuit() == nullptr);
  for_members(
      plan, field, batch, 3 * expansion_work(plan), n_threads, [&](Run& run, std::size_t first, std::size_t members) {
        with_expansion(run, members, on, [&](auto& expansion) {
          expansion.forward(theta.data() + first * P, true);
          expansion.store_gradient(expansion.pack_coefficients(dcoef.data() + first * row), out.data() + first * P);
        });
      });
}

template <class T>
void jacobian_of_forms(const ProgramPlan& plan, const Field& field, std::span<const T> theta, std::span<T> out,
                       int n_threads) {
  const std::size_t P = plan.n_params, batch = theta.size() / P, rows = n_coefficients(plan, Monomials::basis);
  const auto n_outputs = static_cast<std::size_t>(plan.n_outputs());
  const std::size_t N = rows / n_outputs;
  for_members(plan, field, batch, P * rows, n_threads, [&](Run& run, std::size_t first, std::size_t members) {
    FormValues values(run);
    const void* p = pack(run, theta, P, first, members);
    const Tape tape = forward(run, values, p, true);
    for (std::size_t o = 0; o < n_outputs; ++o) {
      const auto mark = run.workspace.mark();
      for (std::size_t s = first; s < first + members; ++s)  // what is not emitted
        for (std::size_t row = 0; row < N; ++row) {
          std::fill_n(out.data() + ((s * n_outputs + o) * N + row) * P, P, T{});
          if (row % 1024 == 1023) poll_interrupt();
        }
      const auto emit = [&](const void* column, std::size_t n, std::size_t param) {
        run.ring.unpack(column, n, members, out.data() + (first * rows + o * N) * P + param, rows * P, P);
      };
      void* seed = run.workspace.take_zero(n_outputs, run.ring);
      run.ring.broadcast(run.constants.one.data(), 1, run.at(seed, o));
      Derivatives derivatives(run, values, emit);
      reverse(run, derivatives, tape, p, seed, nullptr);
      run.workspace.release(mark);
      poll_interrupt();
    }
  });
}

// One column per parameter: tangents, as many at a time as there are lanes.
template <class T>
void jacobian_of_circuit(const ProgramPlan& plan, const Field& field, std::span<const T> theta, std::span<T> out,
                         int n_threads, Monomials on) {
  constexpr std::size_t kSweeps = 8, kZeros = std::size_t{1} << 20;  // sweeps of tangents that share their values
  const std::size_t P = plan.n_params, batch = theta.size() / P, rows = n_coefficients(plan, on);
  const RingKernels& ring = detail::choose(field.rings, P);
  const std::size_t columns = kSweeps * ring.lanes, n_tasks = (P + columns - 1) / columns;
  const std::uint64_t work = 2 * expansion_work(plan) * P;
  if (work * batch < kThreadedWork) n_threads = 1;
  parallel_for((out.size() + kZeros - 1) / kZeros, n_threads, [&](std::size_t block) {
    std::ranges::fill(out.subspan(block * kZeros, std::min(kZeros, out.size() - block * kZeros)), T{});
  });
  parallel_for(batch * n_tasks, n_threads, [&](std::size_t task) {
    const std::size_t member = task / n_tasks;
    Workspace workspace;
    Run run{plan, ring, field.context, *field.constants, workspace};
    detail::CircuitExpansion expansion(run, ring.lanes, on, *plan.circuit());
    auto* same = workspace.take_array<T>(ring.lanes * P);
    for (std::size_t lane = 0; lane < ring.lanes; ++lane)
      std::ranges::copy(theta.subspan(member * P, P), same + lane * P);
    expansion.forward(same, true);
    for (std::size_t first = task % n_tasks * columns; first < std::min(P, (task % n_tasks + 1) * columns);
         first += ring.lanes) {
      const auto mark = workspace.mark();
      expansion.store_columns(first, out.data() + member * rows * P);
      workspace.release(mark);
    }
  });
}

template <class T, class MakeField>
void jacobian_all(const ProgramPlan& plan, const MakeField& make_field, std::span<const T> theta, std::span<T> out,
                  int n_threads, Monomials on) {
  const std::size_t batch = batch_of(plan, theta.size()), P = plan.n_params, rows = n_coefficients(plan, on);
  check_size(out.size(), batch * rows * P, "out");
  if (P == 0) return;
  const Field field = make_field(plan, plan.circuit() == nullptr);
  if (plan.circuit() != nullptr) return jacobian_of_circuit(plan, field, theta, out, n_threads, on);
  if (on == Monomials::basis) return jacobian_of_forms(plan, field, theta, out, n_threads);
  const auto& positions = plan.support_positions();
  const std::size_t n_outputs = static_cast<std::size_t>(plan.n_outputs());
  const std::size_t whole = n_coefficients(plan, Monomials::basis);
  std::vector<T> member(whole * P);
  for (std::size_t s = 0; s < batch; ++s) {
    jacobian_of_forms<T>(plan, field, theta.subspan(s * P, P), member, n_threads);
    for (std::size_t k = 0; k < rows; ++k) {
      const std::size_t row = k / positions.size() * (whole / n_outputs) + positions[k % positions.size()];
      std::copy_n(member.data() + row * P, P, out.data() + (s * rows + k) * P);
    }
  }
}

/// The number of rows of X; std::invalid_argument unless they are whole.
std::size_t n_samples_of(const ProgramPlan& plan, std::size_t X_size) {
  const auto n_inputs = static_cast<std::size_t>(plan.n_inputs);
  if (X_size % n_inputs != 0)
    throw std::invalid_argument("`X` must have shape (n_samples, n_inputs=" + std::to_string(n_inputs) + ")");
  return X_size / n_inputs;
}

/// Runs body(run, member, first sample, number of samples) on blocks of at most `size` samples; `work` multiply-adds
/// per sample.
template <class Body>
void for_samples(const ProgramPlan& plan, const Field& field, std::size_t batch, std::size_t n_samples,
                 std::size_t size, std::uint64_t work, int n_threads, const Body& body) {
  if (work * n_samples * batch < kThreadedWork) n_threads = 1;
  // Runs of blocks, so that a task is worth its thread and theta stays in cache.
  const std::size_t blocks = (n_samples + size - 1) / size;
  const std::size_t run_length = std::max<std::size_t>(1, 16384 / std::max<std::size_t>(work, 1));
  const std::size_t runs = (blocks + run_length - 1) / run_length;
  parallel_for(batch * runs, n_threads, [&](std::size_t task) {
    Workspace workspace;
    const std::size_t first = task % runs * run_length;
    for (std::size_t block = first; block < std::min(blocks, first + run_length); ++block) {
      const auto mark = workspace.mark();
      Run run{plan, *field.rings.single, field.context, *field.constants, workspace};
      const std::size_t sample = block * size;
      body(run, task / runs, sample, std::min(size, n_samples - sample));
      workspace.release(mark);
    }
  });
}

/// Rows of samples as a block, one row per unit.
template <class T>
T* samples_of(Run& run, std::span<const T> rows, std::size_t n_units, std::size_t sample, std::size_t n) {
  T* block = run.workspace.take_array<T>(n_units * n);
  run.ring.transpose(n, n_units, rows.data() + sample * n_units, n_units, block, n);
  // The rows of the next block come from memory while this one is computed.
  const auto next = rows.subspan((sample + n) * n_units);
  constexpr std::size_t kLine = 64 / sizeof(T);
  for (std::size_t i = 0; i < std::min(next.size(), n * n_units); i += kLine) __builtin_prefetch(&next[i], 0, 2);
  return block;
}

/// Many networks at few points: the registers run along the networks.
template <class T>
void evaluate_members(const ProgramPlan& plan, const Field& field, std::span<const T> theta, std::span<const T> X,
                      std::size_t n_samples, std::span<T> out, int n_threads, std::atomic<bool>& finite) {
  const auto n_in = static_cast<std::size_t>(plan.n_inputs), n_out = static_cast<std::size_t>(plan.n_outputs());
  const std::size_t batch = batch_of(plan, theta.size()), row = n_samples * n_out;
  for_members(plan, field, batch, plan.evaluate_work() * n_samples, n_threads,
              [&](Run& run, std::size_t first, std::size_t members) {
                T* columns = run.workspace.take_array<T>(X.size());
                field.rings.single->transpose(n_samples, n_in, X.data(), n_in, columns, n_samples);
                void* inputs = run.workspace.take(X.size(), run.ring);
                run.ring.broadcast(columns, X.size(), inputs);
                NumberValues values(run, n_samples, inputs);
                const Tape tape = forward(run, values, pack(run, theta, plan.n_params, first, members), false);
                T* rows = out.data() + first * row;
                for (std::size_t o = 0; o < n_out; ++o)
                  run.ring.unpack(run.at(tape.value[plan.nodes.size()], o * n_samples), n_samples, members, rows + o,
                                  row, n_out);
                check_finite(rows, members * row, finite);
              });
}

template <class T, class MakeField>
void evaluate_all(const ProgramPlan& plan, const MakeField& make_field, std::span<const T> theta, std::span<const T> X,
                  std::span<T> out, int n_threads) {
  const std::size_t batch = batch_of(plan, theta.size()), n_samples = n_samples_of(plan, X.size());
  const auto n_in = static_cast<std::size_t>(plan.n_inputs), n_out = static_cast<std::size_t>(plan.n_outputs());
  check_size(out.size(), batch * n_samples * n_out, "out");
  const Field field = make_field(plan, false);
  std::atomic<bool> finite{true};
  if (field.rings.lanes && batch >= field.rings.lanes->lanes && n_samples <= kFewSamples)
    evaluate_members(plan, field, theta, X, n_samples, out, n_threads, finite);
  else
    for_samples(plan, field, batch, n_samples, kSampleBlock, plan.evaluate_work(), n_threads,
                [&](Run& run, std::size_t member, std::size_t s, std::size_t n) {
                  NumberValues values(run, n, samples_of(run, X, n_in, s, n));
                  const Tape tape = forward(run, values, theta.data() + member * plan.n_params, false);
                  T* rows = out.data() + (member * n_samples + s) * n_out;
                  run.ring.transpose(n_out, n, tape.value[plan.nodes.size()], n, rows, n_out);
                  check_finite(rows, n * n_out, finite);
                });
  if constexpr (!std::is_same_v<T, std::uint64_t>) {
    // NaN and infinity in X reach the output, unless it is constant.
    if (!finite || plan.degree() == 0) detail::require_finite(X, "X", n_in);
    if (!finite) detail::require_no_overflow<T>(out, "evaluate");
  }
}

template <class T, class MakeField>
void evaluate_vjp_all(const ProgramPlan& plan, const MakeField& make_field, std::span<const T> theta,
                      std::span<const T> X, std::span<const T> dY, std::span<T> out, int n_threads) {
  const std::size_t batch = batch_of(plan, theta.size()), n_samples = n_samples_of(plan, X.size());
  const std::size_t P = plan.n_params;
  const auto n_in = static_cast<std::size_t>(plan.n_inputs), n_out = static_cast<std::size_t>(plan.n_outputs());
  check_size(dY.size(), n_samples * n_out, "dY");
  check_size(out.size(), theta.size() * n_samples, "out");
  const bool all_used = std::ranges::all_of(plan.nodes, &Node::used);
  const Field field = make_field(plan, false);
  std::atomic<bool> finite{true}, overflow{false};
  const std::size_t block = std::clamp<std::size_t>(kGradients / std::max<std::size_t>(P, 1) / 8 * 8, 8, kSampleBlock);
  for_samples(plan, field, batch, n_samples, block, 3 * plan.evaluate_work(), n_threads,
              [&](Run& run, std::size_t member, std::size_t s, std::size_t n) {
                const T* p = theta.data() + member * P;
                T* rows = out.data() + (member * n_samples + s) * P;
                if (!all_used) std::fill_n(rows, n * P, T{});
                T* inputs = samples_of(run, X, n_in, s, n);
                const T* cotangent = samples_of(run, dY, n_out, s, n);
                check_finite(inputs, n * n_in, finite);
                check_finite(cotangent, n * n_out, finite);
                NumberValues values(run, n, inputs);
                const Tape tape = forward(run, values, p, true);
                reverse(run, values, tape, p, cotangent, rows);
                if constexpr (!std::is_same_v<T, std::uint64_t>)
                  if (!detail::all_finite(detail::as_reals(std::span<const T>(rows, n * P)))) overflow = true;
              });
  if constexpr (!std::is_same_v<T, std::uint64_t>) {
    if (!finite) detail::require_finite(X, "X", n_in);
    if (!finite) detail::require_finite(dY, "dY", n_out);
    if (overflow) detail::require_no_overflow<T>(out, "evaluate_vjp");
  }
}

}  // namespace

// ---- the public methods -------------------------------------------------------------------------

template <class T>
void Program::evaluate(std::span<const T> theta, std::span<const T> X, std::span<T> out, int n_threads) const {
  detail::require_finite(theta, "theta");
  evaluate_all<T>(*plan_, FloatField<T>{}, theta, X, out, n_threads);
}
template <class T>
void Program::evaluate_vjp(std::span<const T> theta, std::span<const T> X, std::span<const T> dY, std::span<T> out,
                           int n_threads) const {
  detail::require_finite(theta, "theta");
  evaluate_vjp_all<T>(*plan_, FloatField<T>{}, theta, X, dY, out, n_threads);
}
template <class T>
void Program::expand(std::span<const T> theta, std::span<T> out, int n_threads, Monomials on) const {
  detail::require_finite(theta, "theta");
  expand_all<T>(*plan_, FloatField<T>{}, theta, out, n_threads, on);
}
template <class T>
void Program::jacobian(std::span<const T> theta, std::span<T> out, int n_threads, Monomials on) const {
  detail::require_finite(theta, "theta");
  jacobian_all<T>(*plan_, FloatField<T>{}, theta, out, n_threads, on);
  detail::require_no_overflow<T>(out, "jacobian");
}
template <class T>
void Program::jvp(std::span<const T> theta, std::span<const T> dtheta, std::span<T> out, int n_threads,
                  Monomials on) const {
  detail::require_finite(theta, "theta");
  detail::require_finite(dtheta, "dtheta");
  jvp_all<T>(*plan_, FloatField<T>{}, theta, dtheta, out, n_threads, on);
  detail::require_no_overflow<T>(out, "jvp");
}
template <class T>
void Program::vjp(std::span<const T> theta, std::span<const T> dcoef, std::span<T> out, int n_threads,
                  Monomials on) const {
  detail::require_finite(theta, "theta");
  detail::require_finite(dcoef, "dcoef");
  vjp_all<T>(*plan_, FloatField<T>{}, theta, dcoef, out, n_threads, on);
  detail::require_no_overflow<T>(out, "vjp");
}

#define POLYCORE_INSTANTIATE(T)                                                                                    \
  template void Program::evaluate<T>(std::span<const T>, std::span<const T>, std::span<T>, int) const;             \
  template void Program::evaluate_vjp<T>(std::span<const T>, std::span<const T>, std::span<const T>, std::span<T>, \
                                         int) const;                                                               \
  template void Program::expand<T>(std::span<const T>, std::span<T>, int, Monomials) const;                        \
  template void Program::jacobian<T>(std::span<const T>, std::span<T>, int, Monomials) const;                      \
  template void Program::jvp<T>(std::span<const T>, std::span<const T>, std::span<T>, int, Monomials) const;       \
  template void Program::vjp<T>(std::span<const T>, std::span<const T>, std::span<T>, int, Monomials) const;
POLYCORE_INSTANTIATE(double)
POLYCORE_INSTANTIATE(std::complex<double>)
#undef POLYCORE_INSTANTIATE

void Program::evaluate(const Modular& field, Residues theta, Residues X, std::span<std::uint64_t> out,
                       int n_threads) const {
  evaluate_all<std::uint64_t>(*plan_, ResidueField(field), theta, X, out, n_threads);
}
void Program::evaluate_vjp(const Modular& field, Residues theta, Residues X, Residues dY, std::span<std::uint64_t> out,
                           int n_threads) const {
  evaluate_vjp_all<std::uint64_t>(*plan_, ResidueField(field), theta, X, dY, out, n_threads);
}
void Program::expand(const Modular& field, Residues theta, std::span<std::uint64_t> out, int n_threads,
                     Monomials on) const {
  expand_all<std::uint64_t>(*plan_, ResidueField(field), theta, out, n_threads, on);
}
void Program::jacobian(const Modular& field, Residues theta, std::span<std::uint64_t> out, int n_threads,
                       Monomials on) const {
  jacobian_all<std::uint64_t>(*plan_, ResidueField(field), theta, out, n_threads, on);
}
void Program::jvp(const Modular& field, Residues theta, Residues dtheta, std::span<std::uint64_t> out, int n_threads,
                  Monomials on) const {
  jvp_all<std::uint64_t>(*plan_, ResidueField(field), theta, dtheta, out, n_threads, on);
}
void Program::vjp(const Modular& field, Residues theta, Residues dcoef, std::span<std::uint64_t> out, int n_threads,
                  Monomials on) const {
  vjp_all<std::uint64_t>(*plan_, ResidueField(field), theta, dcoef, out, n_threads, on);
}

void Program::vjp_tangent(std::span<const double> theta, std::span<const double> dtheta, std::span<const double> dcoef,
                          std::span<const double> ddcoef, std::span<double> out, int n_threads, Monomials on) const {
  using detail::DualNumber;
  const std::size_t batch = batch_of(*plan_, theta.size()), row = n_coefficients(*plan_, on), P = plan_->n_params;
  check_size(dtheta.size(), theta.size(), "dtheta");
  check_size(dcoef.size(), batch * row, "dcoef");
  check_size(ddcoef.size(), batch * row, "ddcoef");
  check_size(out.size(), theta.size(), "out");
  detail::require_finite(theta, "theta");
  detail::require_finite(dtheta, "dtheta");
  detail::require_finite(dcoef, "dcoef");
  detail::require_finite(ddcoef, "ddcoef");
  const Field field = FloatField<DualNumber>{}(*plan_, plan_->circuit() == nullptr);
  for_members(*plan_, field, batch, 9 * expansion_work(*plan_), n_threads,
              [&](Run& run, std::size_t first, std::size_t members) {
                const auto pair = [&](std::span<const double> x, std::span<const double> dx, std::size_t n) {
                  auto* both = run.workspace.take_array<DualNumber>(members * n);
                  for (std::size_t i = 0; i < members * n; ++i) both[i] = {x[first * n + i], dx[first * n + i]};
                  return both;
                };
                auto* gradient = run.workspace.take_array<DualNumber>(members * P);
                with_expansion(run, members, on, [&](auto& expansion) {
                  expansion.forward(pair(theta, dtheta, P), true);
                  expansion.store_gradient(expansion.pack_coefficients(pair(dcoef, ddcoef, row)), gradient);
                });
                for (std::size_t i = 0; i < members * P; ++i) out[first * P + i] = gradient[i].derivative;
              });
  detail::require_no_overflow<double>(out, "vjp_tangent");
}

void Program::loss_gradient(std::span<const double> theta, std::span<const double> gram, std::span<const double> target,
                            std::span<double> value, std::span<double> gradient, int n_threads, Monomials on) const {
  const std::size_t batch = batch_of(*plan_, theta.size()), row = n_coefficients(*plan_, on), P = plan_->n_params;
  const auto n_outputs = static_cast<std::size_t>(plan_->n_outputs());
  const std::size_t N = row / n_outputs;
  check_size(gram.size(), N * N, "gram");
  check_size(target.size(), row, "target");
  check_size(value.size(), batch, "value");
  check_size(gradient.size(), theta.size(), "gradient");
  detail::require_finite(theta, "theta");
  const RingKernels& numbers = kernels::active().f64;
  const Field field = FloatField<double>{}(*plan_, plan_->circuit() == nullptr);
  for_members(*plan_, field, batch, 3 * expansion_work(*plan_) + N * row, n_threads,
              [&](Run& run, std::size_t first, std::size_t members) {
                with_expansion(run, members, on, [&](auto& expansion) {
                  expansion.forward(theta.data() + first * P, true);
                  const std::size_t lanes = run.ring.lanes;
                  // Residual c - t, then Q (c - t) in the same memory order: lanes innermost, so Q acts as on `lanes`
                  // samples. One lane runs along the rows of Q instead, which is symmetric: the same sums in the same
                  // order.
                  auto* residual = static_cast<double*>(expansion.coefficients());
                  for (std::size_t i = 0; i < row; ++i)
                    for (std::size_t lane = 0; lane < lanes; ++lane) residual[i * lanes + lane] -= target[i];
                  auto* product = static_cast<double*>(run.workspace.take(row, run.ring));
                  for (std::size_t o = 0; o < n_outputs; ++o) {
                    const double* r = residual + o * N * lanes;
                    double* q = product + o * N * lanes;
                    detail::in_strips(N, N * lanes, [&](std::size_t i, std::size_t n) {
                      if (lanes == 1)
                        numbers.affine({1, n, N, 1}, N, r + i, gram.data() + i * N, q, i > 0, nullptr);
                      else
                        numbers.affine({n, N, N, 1}, lanes, gram.data() + i * N, r, q + i * lanes, false, nullptr);
                    });
                  }
                  double* total = run.workspace.take_array<double>(lanes);
                  std::fill(total, total + lanes, 0.0);
                  for (std::size_t i = 0; i < row; ++i)
                    for (std::size_t lane = 0; lane < lanes; ++lane) {
                      total[lane] += residual[i * lanes + lane] * product[i * lanes + lane];
                      product[i * lanes + lane] *= 2.0;
                    }
                  for (std::size_t s = 0; s < members; ++s)
                    value[first + s] = std::max(total[s], 0.0);  // Q is positive semidefinite
                  expansion.store_gradient(product, gradient.data() + first * P);
                });
              });
  detail::require_no_overflow<double>(value, "loss_gradient");
  detail::require_no_overflow<double>(gradient, "loss_gradient");
}

}  // namespace polycore
