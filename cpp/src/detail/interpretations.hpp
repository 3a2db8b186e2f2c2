// SPDX-License-Identifier: BSD-3-Clause
// What a value is: a number per sample, or a form. Each interpretation supplies the instructions on blocks of values,
// and their transposes; sweeps.hpp runs them.
//
// A block is unit-major: `units` values of `length` ring elements each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>

#include "../kernels/kernel_table.hpp"
#include "polycore/parallel.hpp"
#include "program_plan.hpp"
#include "workspace.hpp"

namespace polycore::detail {

/// One run of a program over a ring.
struct Run {
  const ProgramPlan& program;
  const kernels::RingKernels& ring;
  const kernels::ModulusData* context;
  const RingConstants& constants;
  Workspace& workspace;
  int unit_threads = 1;  // > 1: one large member spreads its units over threads

  std::byte* at(void* p, std::size_t i) const { return static_cast<std::byte*>(p) + i * ring.element_bytes; }
  const std::byte* at(const void* p, std::size_t i) const {
    return static_cast<const std::byte*>(p) + i * ring.element_bytes;
  }
  const std::byte* coefficient(const Node& node, int k) const {
    return constants.coefficient.data() + (node.first_constant + static_cast<std::size_t>(k)) * constants.scalar_bytes;
  }
  const std::byte* derivative_coefficient(const Node& node, int k) const {
    return constants.derivative_coefficient.data() +
           (node.first_constant + static_cast<std::size_t>(k)) * constants.scalar_bytes;
  }
  bool is_zero(const std::byte* scalar) const {
    return std::all_of(scalar, scalar + constants.scalar_bytes, [](std::byte b) { return b == std::byte{0}; });
  }
};

/// Calls body(first row, number of rows) on strips of the rows of a large matrix product, so that it can be
/// interrupted.
template <class Body>
void in_strips(std::size_t n_rows, std::size_t work_per_row, const Body& body) {
  constexpr std::size_t kStripWork = 20'000'000;
  const std::size_t strip = std::max<std::size_t>(4, kStripWork / std::max<std::size_t>(work_per_row, 1) / 4 * 4);
  for (std::size_t row = 0; row < n_rows; row += strip) {
    body(row, std::min(strip, n_rows - row));
    if (row + strip < n_rows) poll_interrupt();
  }
}

/// y (+)= W z on blocks of values of one length, the weights consecutive in memory.
inline void multiply_weights(const Run& run, const Node& node, std::size_t length, const void* w, const void* z,
                             void* y, bool accumulate) {
  const auto n_in = static_cast<std::size_t>(node.units_in), n_out = static_cast<std::size_t>(node.units_out);
  in_strips(n_out, n_in * length * run.ring.lanes, [&](std::size_t row, std::size_t rows) {
    run.ring.affine(rows, n_in, length, run.at(w, row * n_in), n_in, 1, z, run.at(y, row * length), accumulate,
                    run.context);
  });
}
/// z += W^T y
inline void multiply_transposed_weights(const Run& run, const Node& node, std::size_t length, const void* w,
                                        const void* y, void* z) {
  const auto n_in = static_cast<std::size_t>(node.units_in), n_out = static_cast<std::size_t>(node.units_out);
  in_strips(n_in, n_out * length * run.ring.lanes, [&](std::size_t row, std::size_t rows) {
    run.ring.affine(rows, n_out, length, run.at(w, row), 1, n_in, y, run.at(z, row * length), true, run.context);
  });
}

/// Values are numbers, one per sample; activations act entrywise. So are cotangents, and those of the parameters are
/// a row of n_params numbers per sample.
class NumberValues {
 public:
  /// `inputs` is (n_inputs, n_samples).
  NumberValues(Run& run, std::size_t n_samples, void* inputs) : run_(run), n_(n_samples), inputs_(inputs) {}

  std::size_t length(int /*degree*/) const { return n_; }
  void* inputs(const Node& /*reader*/) const { return inputs_; }

  void affine(const Node& node, const void* w, const void* z, void* y, bool accumulate) const {
    multiply_weights(run_, node, n_, w, z, y, accumulate);
  }
  void affine_transpose(const Node& node, const void* w, const void* y, void* z) const {
    multiply_transposed_weights(run_, node, n_, w, y, z);
  }
  /// Each parameter is read by one instruction, so this writes where others add.
  void affine_gradient(const Node& node, const void* y, const void* z, void* theta_bar) const {
    const auto n_in = static_cast<std::size_t>(node.units_in), n_out = static_cast<std::size_t>(node.units_out);
    const std::size_t P = run_.program.n_params;
    // The products of some pairs of units, one row a pair, which are transposed while they are in cache.
    const std::size_t n_pairs = std::max<std::size_t>(4, kTransposed / n_);
    const std::size_t columns = std::min(n_in, n_pairs), rows = std::max<std::size_t>(1, n_pairs / n_in);
    unsigned strips = 0;
    const auto mark = run_.workspace.mark();
    void* products = run_.workspace.take(std::min(rows, n_out) * columns * n_, run_.ring);
    for (std::size_t i = 0; i < n_out; i += rows) {
      for (std::size_t j = 0; j < n_in; j += columns) {
        const std::size_t r = std::min(rows, n_out - i), c = std::min(columns, n_in - j);
        run_.ring.outer(r, c, n_, run_.at(y, i * n_), run_.at(z, j * n_), products, run_.context);
        run_.ring.transpose(r * c, n_, products, n_, run_.at(theta_bar, node.w_offset + i * n_in + j), P);
        if (++strips % kPolledStrips == 0) poll_interrupt();
      }
    }
    run_.workspace.release(mark);
  }
  void bias_gradient(const Node& node, const void* y, void* theta_bar) const {
    run_.ring.transpose(static_cast<std::size_t>(node.units_out), n_, y, n_, run_.at(theta_bar, node.b_offset),
                        run_.program.n_params);
  }
  void add_bias(const Node& node, const void* b, void* y) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(node.units_out); ++i)
      run_.ring.scale_by(n_, run_.at(b, i), 0, ones(), run_.at(y, i * n_), true, run_.context);
  }
  /// y = p(z), by repeated squaring for monomials, by Horner's rule otherwise, and p'(z) unless `derivative` is null.
  void activation(std::size_t, const Node& node, const void* z, void* y, void* derivative) {
    if (node.power == 0)
      fill(node, y, 0);
    else if (node.monomial)
      monomial(node, z, y, derivative);
    else
      horner(node, z, y, derivative);
  }
  /// z += p'(z) y
  void activation_transpose(std::size_t, const Node& node, const void* derivative, const void* y, void* z) const {
    if (node.power >= 1) run_.ring.multiply_add(size(node), derivative, y, z, run_.context);
  }

 private:
  static constexpr std::size_t kTransposed = 4096;  // products held at a time
  static constexpr unsigned kPolledStrips = 64;

  /// 1 for every sample, made on first use.
  const void* ones() {
    if (ones_ == nullptr) {
      ones_ = run_.workspace.take(n_, run_.ring);
      for (std::size_t s = 0; s < n_; ++s) run_.ring.broadcast(run_.constants.one.data(), 1, run_.at(ones_, s));
    }
    return ones_;
  }
  std::size_t size(const Node& node) const { return n_ * static_cast<std::size_t>(node.units_out); }

  void monomial(const Node& node, const void* z, void* y, void* derivative) {
    const auto& ring = run_.ring;
    const std::size_t n = size(node);
    const auto scale = [&](const std::byte* c, void* x) {
      if (!std::equal(run_.constants.one.begin(), run_.constants.one.end(), c))
        ring.scale_by(n, c, 0, x, x, false, run_.context);
    };
    raise(n, z, node.power, y);
    scale(run_.coefficient(node, node.power), y);
    if (derivative == nullptr) return;
    if (node.power == 1) {
      fill(node, derivative, 1);
    } else {
      raise(n, z, node.power - 1, derivative);
      scale(run_.derivative_coefficient(node, node.power), derivative);
    }
  }
  /// y = z^power, power >= 1
  void raise(std::size_t n, const void* z, int power, void* y) const {
    const auto& ring = run_.ring;
    int bit = 1;
    while (bit * 2 <= power) bit *= 2;
    const void* leading = z;  // z^(leading bits of power)
    for (bit /= 2; bit > 0; bit /= 2) {
      ring.multiply(n, leading, leading, y, run_.context);
      if (power & bit) ring.multiply(n, y, z, y, run_.context);
      leading = y;
    }
    if (power == 1) std::memcpy(y, z, n * ring.element_bytes);
  }
  /// p' by the derivative of Horner's rule.
  void horner(const Node& node, const void* z, void* y, void* derivative) {
    const auto& ring = run_.ring;
    const std::size_t n = size(node);
    fill(node, y, node.power);
    if (derivative) std::memset(derivative, 0, n * ring.element_bytes);
    for (int k = node.power - 1; k >= 0; --k) {
      if (derivative) {
        ring.multiply(n, derivative, z, derivative, run_.context);
        ring.add(n, derivative, y, derivative, run_.context);
      }
      ring.multiply(n, y, z, y, run_.context);
      if (run_.is_zero(run_.coefficient(node, k))) continue;
      for (int i = 0; i < node.units_out; ++i)
        ring.scale_by(n_, run_.coefficient(node, k), 0, ones(), run_.at(y, static_cast<std::size_t>(i) * n_), true,
                      run_.context);
    }
  }
  void fill(const Node& node, void* y, int k) {
    for (int i = 0; i < node.units_out; ++i)
      run_.ring.scale_by(n_, run_.coefficient(node, k), 0, ones(), run_.at(y, static_cast<std::size_t>(i) * n_), false,
                         run_.context);
  }

  Run& run_;
  std::size_t n_;
  void* inputs_;
  void* ones_ = nullptr;
};

/// Values are forms in d variables; activations are sums of powers under the graded product.
class FormValues {
 public:
  explicit FormValues(Run& run) : run_(run), products_(run.program.products()), d_(run.program.d()) {}

  std::size_t length(int degree) const { return products_.counts(d_, degree); }

  /// The coordinate functions, n_inputs^2 coefficients: null for affine readers, which do without.
  void* inputs(const Node& reader) const {
    if (reader.kind == Kind::kAffine) return nullptr;
    const auto n = static_cast<std::size_t>(run_.program.n_inputs), d = static_cast<std::size_t>(d_);
    void* z = run_.workspace.take_zero(n * d, run_.ring);
    for (std::size_t j = 0; j < n; ++j)
      run_.ring.broadcast(run_.constants.one.data(), 1, run_.at(z, j * d + first() + j));
    return z;
  }

  void affine(const Node& node, const void* w, const void* z, void* y, bool accumulate) const {
    const auto n_in = static_cast<std::size_t>(node.units_in), n_out = static_cast<std::size_t>(node.units_out);
    if (node.input != 0) return multiply_weights(run_, node, length(node.degree_in), w, z, y, accumulate);
    // Linear forms: row i of W is the coefficient vector of unit i.
    const auto d = static_cast<std::size_t>(d_);
    for (std::size_t i = 0; i < n_out; ++i) {
      const auto* wi = run_.at(w, i * n_in);
      auto* yi = run_.at(y, i * d);
      if (accumulate) {
        add(n_in, wi, run_.at(yi, first()));
      } else {
        std::memset(yi, 0, first() * run_.ring.element_bytes);
        std::memcpy(run_.at(yi, first()), wi, n_in * run_.ring.element_bytes);
      }
    }
  }
  void affine_transpose(const Node& node, const void* w, const void* y, void* z) const {
    multiply_transposed_weights(run_, node, length(node.degree_in), w, y, z);
  }
  void affine_gradient(const Node& node, const void* y, const void* z, void* theta_bar) const {
    void* w = run_.at(theta_bar, node.w_offset);
    const auto n_in = static_cast<std::size_t>(node.units_in), n_out = static_cast<std::size_t>(node.units_out);
    if (node.input != 0) {
      const std::size_t n = length(node.degree_in);
      in_strips(n_out, n_in * n * run_.ring.lanes, [&](std::size_t row, std::size_t rows) {
        run_.ring.affine_gradient(rows, n_in, n, run_.at(y, row * n), z, run_.at(w, row * n_in), n_in, run_.context);
      });
      return;
    }
    const auto d = static_cast<std::size_t>(d_);
    for (std::size_t i = 0; i < n_out; ++i) add(n_in, run_.at(y, i * d + first()), run_.at(w, i * n_in));
  }
  void add_bias(const Node& node, const void* b, void* y) const {
    const std::size_t n = length(node.degree_in);
    for (std::size_t i = 0; i < static_cast<std::size_t>(node.units_out); ++i) add(1, run_.at(b, i), run_.at(y, i * n));
  }
  void bias_gradient(const Node& node, const void* y, void* theta_bar) const {
    void* b = run_.at(theta_bar, node.b_offset);
    const std::size_t n = length(node.degree_in);
    for (std::size_t i = 0; i < static_cast<std::size_t>(node.units_out); ++i) add(1, run_.at(y, i * n), run_.at(b, i));
  }

  /// y = p(z) and, unless `derivative` is null, derivative = p'(z).
  void activation(std::size_t k, const Node& node, const void* z, void* y, void* derivative) {
    const std::size_t n_in = length(node.degree_in), n_out = length(node.degree_out);
    const std::size_t n_derivative = node.power >= 1 ? length(node.degree_out - node.degree_in) : 0;
    for_units(node, [&](std::size_t i, Workspace& workspace) {
      void* yi = run_.at(y, i * n_out);
      void* di = derivative ? run_.at(derivative, i * n_derivative) : nullptr;
      if (di) std::memset(di, 0, n_derivative * run_.ring.element_bytes);
      if (node.linear_input)
        linear_activation(k, node, run_.at(z, i * n_in), yi, di, workspace);
      else
        form_activation(k, node, run_.at(z, i * n_in), yi, di, workspace);
    });
  }
  /// dy = p'(z) dz
  void activation_tangent(std::size_t k, const Node& node, const void* derivative, const void* dz, void* dy) {
    const std::size_t n_in = length(node.degree_in), n_out = length(node.degree_out);
    if (node.power < 1) {
      std::memset(dy, 0, static_cast<std::size_t>(node.units_out) * n_out * run_.ring.element_bytes);
      return;
    }
    const auto& plan = *products_.activations[k].derivative;
    for_units(node, [&](std::size_t i, Workspace&) {
      plan.multiply(run_.ring, run_.at(dz, i * n_in), nullptr, run_.at(derivative, i * plan.size_b()),
                    run_.at(dy, i * n_out), false, run_.context);
    });
  }
  /// z += the transpose of dz -> p'(z) dz, applied to y.
  void activation_transpose(std::size_t k, const Node& node, const void* derivative, const void* y, void* z) {
    if (node.power < 1) return;
    const std::size_t n_in = length(node.degree_in), n_out = length(node.degree_out);
    const auto& plan = *products_.activations[k].derivative;
    for_units(node, [&](std::size_t i, Workspace&) {
      plan.correlate(run_.ring, run_.at(y, i * n_out), run_.at(derivative, i * plan.size_b()), run_.at(z, i * n_in),
                     run_.context);
    });
  }

  /// Position of x1 in a linear form: 1 when the homogenising variable comes first.
  std::size_t first() const { return static_cast<std::size_t>(d_ - run_.program.n_inputs); }

 private:
  static constexpr std::size_t kPolledLength =
      10'000;  // coefficients from which a look at the interrupt hook costs nothing

  /// y += x
  void add(std::size_t n, const void* x, void* y) const { run_.ring.add(n, y, x, y, run_.context); }

  void for_units(const Node& node, const std::function<void(std::size_t, Workspace&)>& body) {
    const auto n = static_cast<std::size_t>(node.units_out);
    if (run_.unit_threads > 1) {
      parallel_for(n, run_.unit_threads, [&](std::size_t i) {
        Workspace workspace;
        body(i, workspace);
      });
    } else {
      for (std::size_t i = 0; i < n; ++i) {
        const auto mark = run_.workspace.mark();
        body(i, run_.workspace);
        run_.workspace.release(mark);
        if (n_polled_++ % 16 == 15 || length(node.degree_out) > kPolledLength) poll_interrupt();
      }
    }
  }

  // Powers of a linear form in closed form: the coefficient of x^gamma in (w x)^k is the multinomial times w^gamma. The
  // monomials w^gamma of degree k come block by block, w_i times a suffix of those of degree k - 1.
  void linear_activation(std::size_t k, const Node& node, const void* w, void* y, void* derivative,
                         Workspace& workspace) {
    const auto& ring = run_.ring;
    const auto& closed = run_.constants.closed[k];
    const std::size_t n_max = length(node.power);
    void* buffers[] = {workspace.take(n_max, ring), workspace.take(n_max, ring)};
    ring.broadcast(run_.constants.one.data(), 1, buffers[0]);
    const void* current = buffers[0];
    const bool one_term = node.monomial && !closed.value.back().empty();
    if (!one_term) std::memset(y, 0, n_max * ring.element_bytes);
    for (int degree = 0;; ++degree) {
      if (length(degree) > kPolledLength) poll_interrupt();
      const auto use = [&](const std::vector<std::byte>& factors, void* out, bool accumulate) {
        if (!factors.empty()) ring.scale_by(length(degree), factors.data(), 1, current, out, accumulate, run_.context);
      };
      use(closed.value[static_cast<std::size_t>(degree)], y, !one_term);
      if (degree == node.power) break;
      if (derivative) use(closed.derivative[static_cast<std::size_t>(degree)], derivative, true);
      if (degree == 0) {
        current = w;
        continue;
      }
      std::size_t position = 0;
      const std::size_t n = length(degree);
      void* next = buffers[degree % 2];
      for (int i = 0; i < d_; ++i) {
        const std::size_t suffix = products_.counts(d_ - i, degree);
        ring.scale(suffix, run_.at(w, static_cast<std::size_t>(i)), run_.at(current, n - suffix),
                   run_.at(next, position), run_.context);
        position += suffix;
      }
      current = next;
    }
  }

  void form_activation(std::size_t k, const Node& node, const void* z, void* y, void* derivative,
                       Workspace& workspace) {
    const auto& ring = run_.ring;
    const int e = node.degree_in;
    const auto& plan = products_.activations[k];
    const auto& steps = derivative ? plan.all_steps : plan.value_steps;
    const void** powers = workspace.take_array<const void*>(static_cast<std::size_t>(node.power) + 1);
    std::fill(powers, powers + node.power + 1, nullptr);
    if (node.power >= 1) powers[1] = z;
    const bool plain =
        node.monomial && node.power >= 2 &&
        std::equal(run_.constants.one.begin(), run_.constants.one.end(), run_.coefficient(node, node.power));
    if (!plain) std::memset(y, 0, length(node.degree_out) * ring.element_bytes);
    for (const PowerStep& step : steps) {
      // z^power with coefficient 1 is computed in place.
      void* out = plain && step.k == node.power ? y : workspace.take(step.plan->size_c(), ring);
      if (step.square) {
        const void* half = powers[step.k / 2];
        void* twice = workspace.take(step.plan->size_a(), ring);
        ring.add(step.plan->size_a(), half, half, twice, run_.context);
        step.plan->multiply(ring, half, twice, half, out, false, run_.context);
      } else {
        step.plan->multiply(ring, z, nullptr, powers[step.k - 1], out, false, run_.context);
      }
      powers[step.k] = out;
    }
    const auto accumulate = [&](const std::byte* factor, int power, void* out) {
      if (run_.is_zero(factor)) return;
      if (power == 0)
        add_one(factor, out, workspace);
      else
        ring.scale_by(length(power * e), factor, 0, powers[power], out, true, run_.context);
    };
    for (int j = 0; j <= node.power; ++j) {
      if (!(plain && j == node.power)) accumulate(run_.coefficient(node, j), j, y);
      if (derivative && j > 0) accumulate(run_.derivative_coefficient(node, j), j - 1, derivative);
    }
  }

  // The constant polynomial: coefficient 0, because a degree <= D polynomial starts with x0^D.
  void add_one(const std::byte* factor, void* out, Workspace& workspace) {
    void* one = workspace.take(1, run_.ring);
    run_.ring.broadcast(factor, 1, one);
    add(1, one, out);
  }

  Run& run_;
  const ProgramPlan::Products& products_;
  int d_;
  unsigned n_polled_ = 0;
};

}  // namespace polycore::detail
