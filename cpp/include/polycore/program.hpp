// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "polycore/monomials.hpp"
#include "polycore/support.hpp"

namespace polycore {

namespace detail {
class ProgramPlan;
}

/// z -> W z + b on the values of slot `input`. With `windows`, equally long lists of positions in the slot, the same W
/// (n_out, window size) and b act on every window, and the output is window-major: value of window w, unit o is at
/// w n_out + o. A position may occur in many windows, but once in each. Parameters are consumed in program order: W
/// row-major, then b, once whatever the number of windows.
struct Affine {
  int input;
  int n_out;
  bool bias;
  std::vector<std::vector<int>> windows = {};  // empty: one dense map of the whole slot
};

/// z^r takes r + 1 coefficients, and tables of r^2 / 2 binomials.
inline constexpr int kMaxActivationDegree = 4095;

/// z -> p(z) entrywise on the values of slot `input`; coefficients of p low to high. NaN stands for an indeterminate,
/// not zero: it has values in GF(p) only, those given with the modulus.
struct Activation {
  int input;
  std::vector<double> coefficients;
};

/// The values of slot `input` at these positions, repetition allowed.
struct Select {
  int input;
  std::vector<int> indices;
};

/// The sum of two or more slots of equal width. Its degree is the largest of theirs.
struct Add {
  std::vector<int> inputs;
};

/// The product of two matrices of values: slot `left` is (rows, inner) row-major, or (inner, rows) with
/// `transpose_left`; slot `right` is (inner, cols), or (cols, inner) with `transpose_right`; the output is (rows, cols)
/// row-major. Degrees add. Both may be the same slot.
struct MatMul {
  int left, right;
  int rows, inner, cols;
  bool transpose_left = false, transpose_right = false;
};

using Instruction = std::variant<Affine, Activation, Select, Add, MatMul>;

/// The monomials of coefficient vectors: all of basis(), or only those of support().
enum class Monomials { basis, support };

/// How coefficients are computed: on dense forms, or as a circuit of those that can be non-zero. The results are the
/// same, exactly in GF(p) and to rounding in floats; `automatic` is what promises to be faster.
enum class Method { automatic, forms, circuit };

/// A network as a straight-line program. Slot 0 holds the inputs, instruction k writes slot k + 1, the last slot is the
/// output. Immutable and safe to share between threads.
///
/// The same program runs in several interpretations. With numbers as values it evaluates the network; with forms as
/// values it expands it into the coefficients of the polynomials it computes. A program without biases whose
/// activations are monomials and whose sums are of equal degrees lives in forms of degree exactly degree(); any other
/// in degree <= degree(): basis() says which.
///
/// Every method works on a batch: `theta` is C-order (batch, n_params()), and so on with a leading batch axis; T is
/// double or std::complex<double>, GF(p) has its own overloads with canonical residues. Results do not depend on the
/// number of threads, and a batch has the bits of its members one by one. std::invalid_argument on spans of the wrong
/// size or non-finite entries, NumericalError on results that overflow, std::overflow_error when a count does not fit
/// 64 bits.
class Program {
 public:
  /// std::invalid_argument for instructions that read a slot not yet written, positions outside their slot, sizes that
  /// do not fit the slots read, or widths below 1; std::overflow_error when a width or degree does not fit 32 bits.
  Program(int n_inputs, std::vector<Instruction> instructions, Method method = Method::automatic);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;

  int n_inputs() const;
  int n_outputs() const;
  std::size_t n_params() const;
  int degree() const;
  bool homogeneous() const;
  MonomialBasis basis() const { return MonomialBasis(n_inputs(), degree(), homogeneous()); }
  /// The monomials that occur in some output, unless coefficients cancel; found on first use. std::overflow_error when
  /// they are too many to be listed.
  const MonomialSupport& support() const;
  /// Whether coefficients are computed as a circuit; std::overflow_error if they should and it would be too large.
  bool uses_circuit() const;
  /// Number of activation coefficients, all activations together: the length of `constants` in the GF(p) overloads.
  std::size_t n_constants() const;
  const std::vector<Instruction>& instructions() const;

  /// Values at points: X (n_samples, n_inputs), out (batch, n_samples, n_outputs).
  template <class T>
  void evaluate(std::span<const T> theta, std::span<const T> X, std::span<T> out, int n_threads = 0) const;
  /// Gradients at points: row s of out (batch, n_samples, n_params) is the gradient in theta of the sum over outputs
  /// of dY[s, o] f_o(X[s]); dY (n_samples, n_outputs). One reverse sweep over numbers.
  template <class T>
  void evaluate_vjp(std::span<const T> theta, std::span<const T> X, std::span<const T> dY, std::span<T> out,
                    int n_threads = 0) const;
  /// Coefficients: out (batch, n_outputs, n_monomials).
  template <class T>
  void expand(std::span<const T> theta, std::span<T> out, int n_threads = 0, Monomials on = Monomials::basis) const;
  /// Jacobian of expand: out (batch, n_outputs * n_monomials, n_params), rows output-major.
  template <class T>
  void jacobian(std::span<const T> theta, std::span<T> out, int n_threads = 0, Monomials on = Monomials::basis) const;
  /// Jacobian times dtheta (batch, n_params).
  template <class T>
  void jvp(std::span<const T> theta, std::span<const T> dtheta, std::span<T> out, int n_threads = 0,
           Monomials on = Monomials::basis) const;
  /// Transposed Jacobian (no conjugation) times dcoef (batch, n_outputs, n_monomials): out (batch, n_params).
  template <class T>
  void vjp(std::span<const T> theta, std::span<const T> dcoef, std::span<T> out, int n_threads = 0,
           Monomials on = Monomials::basis) const;

  /// d/de vjp(theta + e dtheta, dcoef + e ddcoef) at e = 0: the tangent of the reverse sweep, which gives
  /// Hessian-vector products. Runs the reverse sweep over dual numbers.
  void vjp_tangent(std::span<const double> theta, std::span<const double> dtheta, std::span<const double> dcoef,
                   std::span<const double> ddcoef, std::span<double> out, int n_threads = 0,
                   Monomials on = Monomials::basis) const;

  /// Value and gradient in theta of sum_o <c_o - t_o, Q (c_o - t_o)> for c = expand(theta); gram Q (n_monomials,
  /// n_monomials) symmetric bit for bit, target t (n_outputs, n_monomials), value (batch), gradient (batch, n_params).
  void loss_gradient(std::span<const double> theta, std::span<const double> gram, std::span<const double> target,
                     std::span<double> value, std::span<double> gradient, int n_threads = 0,
                     Monomials on = Monomials::basis) const;

  /// GF(p): theta and constants (the residues of all activation coefficients, concatenated) are canonical residues.
  struct Modular {
    std::uint64_t modulus;
    std::span<const std::uint64_t> constants;
  };
  using Residues = std::span<const std::uint64_t>;
  void evaluate(const Modular& field, Residues theta, Residues X, std::span<std::uint64_t> out,
                int n_threads = 0) const;
  void evaluate_vjp(const Modular& field, Residues theta, Residues X, Residues dY, std::span<std::uint64_t> out,
                    int n_threads = 0) const;
  void expand(const Modular& field, Residues theta, std::span<std::uint64_t> out, int n_threads = 0,
              Monomials on = Monomials::basis) const;
  void jacobian(const Modular& field, Residues theta, std::span<std::uint64_t> out, int n_threads = 0,
                Monomials on = Monomials::basis) const;
  void jvp(const Modular& field, Residues theta, Residues dtheta, std::span<std::uint64_t> out, int n_threads = 0,
           Monomials on = Monomials::basis) const;
  void vjp(const Modular& field, Residues theta, Residues dcoef, std::span<std::uint64_t> out, int n_threads = 0,
           Monomials on = Monomials::basis) const;

 private:
  std::unique_ptr<const detail::ProgramPlan> plan_;
};

}  // namespace polycore
