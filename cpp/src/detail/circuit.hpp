// SPDX-License-Identifier: BSD-3-Clause
// The expansion of a program on the monomials that can occur, as an arithmetic circuit: every gate is a sum of products
// of two scalars. What is the same number twice is one gate: the positions of a convolution share everything but the
// names of their variables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "../kernels/kernel_table.hpp"
#include "lazy.hpp"
#include "polycore/program.hpp"
#include "polycore/support.hpp"

namespace polycore::detail {

class ProgramPlan;

/// Gates in the order in which they are computed, those of equal shape together: none of a group reads another.
struct Gates {
  std::vector<kernels::GateGroup> groups;
  std::vector<std::uint32_t> to;  // per gate, the scalar it writes
  std::vector<kernels::GateTerm> terms;
};

/// A coefficient of the output and the scalar it is.
struct Coefficient {
  std::uint32_t output, monomial, scalar;
};

/// Scalars are numbered: the parameters, then the constants, then the gates in the order of `forward`.
class Circuit {
 public:
  static constexpr std::uint32_t kOne = ~std::uint32_t{0};  // among the constants: the number 1

  std::size_t n_params = 0, n_scalars = 0;
  std::vector<std::uint32_t> constants;  // positions among the activation coefficients of the program
  Gates forward;
  std::vector<Coefficient> coefficients;  // those that can be non-zero, by output
  MonomialSupport support;                // the monomials that occur in some output

  explicit Circuit(MonomialSupport monomials) : support(std::move(monomials)) {}

  std::size_t first_gate() const { return n_params + constants.size(); }
  /// Gates of the tangents of all scalars: sums of products of a tangent (first) and a value.
  const Gates& tangent() const {
    return tangent_.get([this] { return make_tangent(); });
  }
  /// Gates of the cotangents, each to be added to what is there: sums of products of a cotangent (first) and a value.
  const Gates& reverse() const {
    return reverse_.get([this] { return make_reverse(); });
  }
  /// Where each coefficient is among those of all outputs.
  const std::vector<std::size_t>& offsets(Monomials on) const {
    return offsets_[on == Monomials::support].get([&] { return make_offsets(on); });
  }

 private:
  Gates make_tangent() const;
  Gates make_reverse() const;
  std::vector<std::size_t> make_offsets(Monomials on) const;

  Lazy<Gates> tangent_, reverse_;
  Lazy<std::vector<std::size_t>> offsets_[2];
};

/// The circuit of a program, or null if it would have more than `max_terms` products.
std::unique_ptr<const Circuit> make_circuit(const ProgramPlan& plan, std::size_t max_terms);

/// The monomials that occur in some output, unless coefficients cancel; std::overflow_error when they are too many to
/// be listed.
MonomialSupport find_support(const ProgramPlan& plan);

}  // namespace polycore::detail
