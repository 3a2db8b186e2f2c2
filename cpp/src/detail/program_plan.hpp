// SPDX-License-Identifier: BSD-3-Clause
// What a program needs besides its instructions: the static analysis, the product plans, the constants in each ring.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "../kernels/kernel_table.hpp"
#include "circuit.hpp"
#include "lazy.hpp"
#include "polycore/modular.hpp"
#include "polycore/monomials.hpp"
#include "polycore/product.hpp"
#include "polycore/program.hpp"

namespace polycore::detail {

/// Windows in equal steps: window first_window + k takes column `column` + j of W, j < n_columns, to the position
/// first_position + k window_step + j column_step. A dense map is one such run.
struct WindowRun {
  std::size_t first_window, n_windows;
  std::size_t column, n_columns;
  std::size_t first_position, window_step, column_step;

  std::size_t position(std::size_t k, std::size_t j) const {
    return first_position + k * window_step + j * column_step;
  }
};

enum class Kind { kAffine, kActivation, kSelect, kAdd, kMatMul };

/// An instruction after static analysis.
struct Node {
  Kind kind;
  std::vector<int> inputs;  // slots read; slot k + 1 is written by instruction k
  int input;                // the first of them
  int units_in, units_out;  // of the first
  int degree_in, degree_out;
  bool used = false;  // the output depends on it
  // affine
  bool bias = false;
  std::size_t w_offset = 0, b_offset = 0;
  std::size_t n_windows = 1, window_size = 0;  // dense: one window, the whole slot
  std::size_t window_out = 0;                  // units per window
  std::vector<WindowRun> runs;                 // for every window, its columns in ascending order
  // activation
  int power = 0;              // degree of the polynomial
  bool monomial = false;      // c z^power
  bool linear_input = false;  // its input holds linear forms of the inputs: powers in closed form
  std::size_t first_constant = 0;
  std::size_t n_constants = 0;
  // select
  std::vector<std::size_t> indices;
  // matmul: out(i, j) = sum over k of left[i * left_row + k * left_column] right[k * right_row + j * right_column]
  std::size_t rows = 0, inner = 0, cols = 0;
  std::size_t left_row = 0, left_column = 0, right_row = 0, right_column = 0;
};

/// z^k as a square or as z z^(k-1).
struct PowerStep {
  int k;
  bool square;
  std::shared_ptr<const ProductPlan> plan;
};

/// Schedules of one activation on forms.
struct ActivationPlan {
  std::vector<PowerStep> value_steps;             // ascending powers the value needs
  std::vector<PowerStep> all_steps;               // ... the value and the derivative need
  std::shared_ptr<const ProductPlan> derivative;  // (z, p'(z)) -> z p'(z): tangents, and cotangents by its transpose
};

/// Schedules of one matrix product on forms. Both have the product; the transpose is in the first operand.
struct MatMulPlan {
  std::shared_ptr<const ProductPlan> by_left;   // (left, right)
  std::shared_ptr<const ProductPlan> by_right;  // (right, left)
};

/// Schedule of a cotangent polynomial times another one; the shorter is the first operand.
struct CotangentProduct {
  std::shared_ptr<const ProductPlan> plan;
  bool cotangent_first = false;

  void multiply(const kernels::RingKernels& ring, const void* cotangent, const void* other, void* out, bool accumulate,
                const kernels::ModulusData* context) const {
    plan->multiply(ring, cotangent_first ? cotangent : other, nullptr, cotangent_first ? other : cotangent, out,
                   accumulate, context);
  }
};

/// Products of the Jacobian: cotangent polynomials times layer inputs, derivatives, or the other matrix.
struct JacobianPlan {
  std::vector<CotangentProduct> products;  // per node; affine: by z, activation: by p'(z), matmul: by the right matrix
  std::vector<CotangentProduct> by_left;   // per node; matmul: by the left matrix
  std::vector<std::uint32_t> times_variable;  // (n_inputs, count): index of x_j times a monomial of degree D-1
};

/// The activation coefficients of a program in one ring.
struct RingConstants {
  std::size_t scalar_bytes = 0;
  std::vector<std::byte> one;
  std::vector<std::byte> coefficient;             // a_k, all activations concatenated
  std::vector<std::byte> derivative_coefficient;  // k a_k at the same positions
  struct ClosedForm {
    std::vector<std::vector<std::byte>>
        value;  // [k]: a_k multinomial(k; gamma) over forms of degree k; empty if a_k = 0
    std::vector<std::vector<std::byte>> derivative;  // [k]: (k + 1) a_{k+1} multinomial(k; gamma)
  };
  std::vector<ClosedForm> closed;  // per node, if asked for; empty unless linear_input
};

/// A pair a + b eps, eps^2 = 0, interleaved in memory.
struct DualNumber {
  double value, derivative;
};

/// The analysed program. Product schedules and constants are built on first use, so that a program may be inspected
/// whose expansion would not fit any memory.
class ProgramPlan {
 public:
  ProgramPlan(int n_inputs, std::vector<Instruction> instructions, Method method = Method::automatic);

  int n_inputs;
  std::vector<Instruction> instructions;
  Method method;
  std::vector<Node> nodes;
  std::vector<int> units;    // per slot
  std::vector<int> degrees;  // per slot
  std::vector<double> constants;
  std::size_t n_params = 0;
  bool homogeneous = true;
  bool generic = false;  // some coefficient is an indeterminate

  /// Variables of the forms.
  int d() const { return homogeneous ? n_inputs : n_inputs + 1; }
  int n_outputs() const { return units.back(); }
  int degree() const { return degrees.back(); }

  struct Products {
    FormCounts counts;
    std::vector<ActivationPlan> activations;  // per node
    std::vector<MatMulPlan> matmuls;          // per node
  };
  const Products& products() const;
  const JacobianPlan& jacobian_plan() const;
  /// The expansion as a circuit, where that is cheaper than dense forms, else null.
  const Circuit* circuit() const;
  /// The monomials that occur in some output, and their positions in the basis.
  const MonomialSupport& support() const;
  const std::vector<std::uint64_t>& support_positions() const;

  /// The constants in the ring of the (unused) pointer's type, with the closed forms that expansions need if `forms`.
  /// The closed forms are as large as the first hidden layer's polynomials: check sizes first.
  std::shared_ptr<const RingConstants> constants_for(const double*, bool forms) const;
  std::shared_ptr<const RingConstants> constants_for(const std::complex<double>*, bool forms) const;
  std::shared_ptr<const RingConstants> constants_for(const DualNumber*, bool forms) const;
  std::shared_ptr<const RingConstants> constants_for(const Modulus& modulus, std::span<const std::uint64_t> residues,
                                                     bool forms) const;

  /// Multiply-adds of one expansion; of one evaluation at a point.
  std::uint64_t expand_work() const;
  std::uint64_t evaluate_work() const;

 private:
  Node read_slots(std::vector<int> inputs, std::size_t k) const;
  void analyse(const Affine& affine, Node& node);
  void analyse(const Activation& activation, Node& node);
  void analyse(const Select& select, Node& node);
  void analyse(const Add& add, Node& node);
  void analyse(const MatMul& product, Node& node);
  void require_concrete() const;

  Lazy<Products> products_;
  Lazy<JacobianPlan> jacobian_;
  Lazy<std::unique_ptr<const Circuit>> circuit_;
  Lazy<MonomialSupport> support_;
  Lazy<std::vector<std::uint64_t>> support_positions_;
  mutable std::mutex constants_mutex_;
  mutable std::shared_ptr<const RingConstants> real_[2], pair_[2], modular_[2];  // without and with closed forms
  mutable std::uint64_t modular_p_[2] = {};
  mutable std::vector<std::uint64_t> modular_constants_[2];
};

}  // namespace polycore::detail
