// SPDX-License-Identifier: BSD-3-Clause
// The map from parameters to coefficients on one block of members of a batch, and its derivatives, in two ways that
// look the same from outside: dense forms, or a circuit of the coefficients that can be non-zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

#include "circuit.hpp"
#include "finite.hpp"
#include "interpretations.hpp"
#include "program_plan.hpp"
#include "sweeps.hpp"

namespace polycore::detail {

/// Coefficients of one member: all outputs, on the basis or on the support.
inline std::size_t n_coefficients(const ProgramPlan& plan, Monomials on) {
  const std::size_t n = on == Monomials::support ? plan.support().size() : count_forms(plan.d(), plan.degree());
  std::size_t result = 0;
  if (__builtin_mul_overflow(n, static_cast<std::size_t>(plan.n_outputs()), &result))
    throw std::overflow_error("the number of coefficients does not fit 64 bits");
  return result;
}

/// What both ways share. Rows are arrays of T in the memory of the caller, one for each member; blocks are elements of
/// the ring.
class ExpansionBlock {
 public:
  ExpansionBlock(Run& run, std::size_t members, Monomials on)
      : run_(run), members_(members), on_(on), row_(n_coefficients(run.program, on)) {}

 protected:
  void* pack(const void* rows, std::size_t row) const {
    void* block = run_.workspace.take(row, run_.ring);
    run_.ring.pack(rows, row, members_, row, block);
    return block;
  }
  void unpack(const void* block, std::size_t row, void* rows) const {
    run_.ring.unpack(block, row, members_, rows, row, 1);
  }
  std::size_t n_params() const { return run_.program.n_params; }

  Run& run_;
  std::size_t members_;
  Monomials on_;
  std::size_t row_;
};

class FormExpansion : public ExpansionBlock {
 public:
  using ExpansionBlock::ExpansionBlock;

  /// Of the parameters in these rows; `derivatives` if more than the coefficients will be asked for.
  void forward(const void* theta, bool derivatives) {
    theta_ = pack(theta, n_params());
    tape_ = detail::forward(run_, values_, theta_, derivatives);
  }
  /// A block of coefficients.
  void* coefficients() { return on_support(tape_.value[run_.program.nodes.size()]); }
  void store_coefficients(void* rows) { unpack(coefficients(), row_, rows); }
  /// Whether the coefficients in these rows are finite, as floats.
  bool finite(const void* rows) const {
    return all_finite({static_cast<const double*>(rows), members_ * row_ * run_.ring.scalar_bytes / sizeof(double)});
  }
  void store_tangent(const void* dtheta, void* rows) {
    void* dp = pack(dtheta, n_params());
    unpack(on_support(tangent(run_, values_, tape_, theta_, dp)), row_, rows);
  }
  /// Cotangents of the parameters, given a block of those of the coefficients.
  void store_gradient(const void* cotangent, void* rows) {
    void* bar = run_.workspace.take_zero(n_params(), run_.ring);
    reverse(run_, values_, tape_, theta_, on_basis(cotangent), bar);
    unpack(bar, n_params(), rows);
  }
  const void* pack_coefficients(const void* rows) { return pack(rows, row_); }

 private:
  void* on_support(void* block) const {
    if (on_ == Monomials::basis) return block;
    void* selected = run_.workspace.take(row_, run_.ring);
    for_support([&](std::size_t k, std::size_t position) {
      std::memcpy(run_.at(selected, k), run_.at(block, position), run_.ring.element_bytes);
    });
    return selected;
  }
  const void* on_basis(const void* selected) const {
    if (on_ == Monomials::basis) return selected;
    void* block = run_.workspace.take_zero(n_coefficients(run_.program, Monomials::basis), run_.ring);
    for_support([&](std::size_t k, std::size_t position) {
      std::memcpy(run_.at(block, position), run_.at(selected, k), run_.ring.element_bytes);
    });
    return block;
  }
  template <class Body>
  void for_support(const Body& body) const {
    const auto& positions = run_.program.support_positions();
    const std::size_t n_outputs = static_cast<std::size_t>(run_.program.n_outputs());
    const std::size_t n_monomials = n_coefficients(run_.program, Monomials::basis) / n_outputs;
    for (std::size_t k = 0; k < row_; ++k)
      body(k, k / positions.size() * n_monomials + positions[k % positions.size()]);
  }

  FormValues values_{run_};
  const void* theta_ = nullptr;
  Tape tape_{};
};

/// Values, tangents and cotangents are blocks of all scalars of the circuit, the parameters first.
class CircuitExpansion : public ExpansionBlock {
 public:
  CircuitExpansion(Run& run, std::size_t members, Monomials on, const Circuit& circuit)
      : ExpansionBlock(run, members, on), circuit_(circuit), offsets_(circuit.offsets(on)) {}

  void forward(const void* theta, bool /*derivatives*/) {
    values_ = scalars(theta);
    for (std::size_t c = 0; c < circuit_.constants.size(); ++c) {
      const std::size_t k = circuit_.constants[c];
      const std::byte* constant = k == Circuit::kOne
                                      ? run_.constants.one.data()
                                      : run_.constants.coefficient.data() + k * run_.constants.scalar_bytes;
      run_.ring.broadcast(constant, 1, run_.at(values_, circuit_.n_params + c));
    }
    evaluate(circuit_.forward, values_, values_, values_, false);
  }
  void* coefficients() const {
    void* block = run_.workspace.take_zero(row_, run_.ring);
    for (std::size_t k = 0; k < offsets_.size(); ++k)
      std::memcpy(run_.at(block, offsets_[k]), run_.at(values_, circuit_.coefficients[k].scalar),
                  run_.ring.element_bytes);
    return block;
  }
  void store_coefficients(void* rows) const { store(values_, rows); }
  /// Every gate reaches some coefficient, and what is not finite stays so.
  bool finite(const void* /*rows*/) const {
    const std::size_t n = circuit_.n_scalars * run_.ring.element_bytes / sizeof(double);
    return all_finite({static_cast<const double*>(values_), n});
  }
  void store_tangent(const void* dtheta, void* rows) const {
    void* tangents = scalars(dtheta);
    evaluate(circuit_.tangent(), tangents, values_, tangents, false);
    store(tangents, rows);
  }
  void store_gradient(const void* cotangent, void* rows) const {
    void* bars = run_.workspace.take_zero(circuit_.n_scalars, run_.ring);
    for (std::size_t k = 0; k < offsets_.size(); ++k) {
      void* bar = run_.at(bars, circuit_.coefficients[k].scalar);
      run_.ring.add(1, bar, run_.at(cotangent, offsets_[k]), bar, run_.context);
    }
    evaluate(circuit_.reverse(), bars, values_, bars, true);
    unpack(bars, n_params(), rows);
  }
  const void* pack_coefficients(const void* rows) const { return pack(rows, row_); }
  /// Columns of the Jacobian, that of parameter `first` + k from lane k: entries that can be non-zero only.
  void store_columns(std::size_t first, void* jacobian) const {
    const std::size_t lanes = run_.ring.lanes, bytes = run_.ring.scalar_bytes;
    const std::size_t n = std::min(lanes, n_params() - first);
    void* tangents = run_.workspace.take_zero(circuit_.n_scalars, run_.ring);
    auto* units = static_cast<std::byte*>(run_.workspace.take_bytes(n * lanes * bytes));
    std::memset(units, 0, n * lanes * bytes);
    for (std::size_t k = 0; k < n; ++k) std::memcpy(units + k * (n + 1) * bytes, run_.constants.one.data(), bytes);
    run_.ring.pack(units, n, n, n, run_.at(tangents, first));
    evaluate(circuit_.tangent(), tangents, values_, tangents, false);
    for (std::size_t k = 0; k < offsets_.size(); ++k)
      run_.ring.unpack(run_.at(tangents, circuit_.coefficients[k].scalar), 1, n,
                       static_cast<std::byte*>(jacobian) + (offsets_[k] * n_params() + first) * bytes, 1, 1);
  }

 private:
  /// All scalars, those of the gates not yet written, the constants zero.
  void* scalars(const void* parameters) const {
    void* block = run_.workspace.take(circuit_.n_scalars, run_.ring);
    run_.ring.pack(parameters, n_params(), members_, n_params(), block);
    std::memset(run_.at(block, n_params()), 0, circuit_.constants.size() * run_.ring.element_bytes);
    return block;
  }
  void evaluate(const Gates& gates, const void* a, const void* b, void* c, bool accumulate) const {
    run_.ring.evaluate_gates(gates.groups.data(), gates.groups.size(), gates.to.data(), gates.terms.data(), a, b, c,
                             accumulate, run_.context);
  }
  /// Rows of coefficients, most of which may be zero: stretches of all rows, one after the other, while they are in
  /// cache.
  void store(const void* scalars, void* rows) const {
    if (members_ == kLanes)
      store_rows<kLanes>(scalars, rows, kLanes);
    else
      store_rows<0>(scalars, rows, members_);
  }
  template <std::size_t kMembers>  // 0: not known to the compiler
  void store_rows(const void* scalars, void* rows, std::size_t n_members) const {
    constexpr std::size_t kStretch = 512;
    const std::size_t members = kMembers ? kMembers : n_members;
    // Numbers of 8 bytes, one or two in a scalar.
    const std::size_t lanes = run_.ring.lanes, n = run_.ring.scalar_bytes / sizeof(std::uint64_t);
    const auto* from = static_cast<const std::uint64_t*>(scalars);
    auto* to = static_cast<std::uint64_t*>(rows);
    std::size_t k = 0;
    for (std::size_t begin = 0; begin < row_; begin += kStretch) {
      const std::size_t end = std::min(row_, begin + kStretch);
      for (std::size_t s = 0; s < members; ++s)
        std::memset(to + (s * row_ + begin) * n, 0, (end - begin) * run_.ring.scalar_bytes);
      for (; k < offsets_.size() && offsets_[k] < end; ++k)
        for (std::size_t c = 0; c < n; ++c) {
          const auto* lane = from + (circuit_.coefficients[k].scalar * n + c) * lanes;
          auto* target = to + offsets_[k] * n + c;
          for (std::size_t s = 0; s < members; ++s, target += row_ * n) *target = lane[s];
        }
    }
  }
  static constexpr std::size_t kLanes = 8;

  const Circuit& circuit_;
  const std::vector<std::size_t>& offsets_;
  void* values_ = nullptr;
};

/// Calls body(expansion) with the way that is cheaper.
template <class Body>
void with_expansion(Run& run, std::size_t members, Monomials on, const Body& body) {
  if (const Circuit* circuit = run.program.circuit()) {
    CircuitExpansion expansion(run, members, on, *circuit);
    body(expansion);
  } else {
    FormExpansion expansion(run, members, on);
    body(expansion);
  }
}

}  // namespace polycore::detail
