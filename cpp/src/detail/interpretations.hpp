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

constexpr std::size_t kStripWork = 20'000'000;  // multiply-adds between two looks at the interrupt hook

/// Calls body(first row, number of rows) on strips of the rows of a large matrix product, so that it can be
/// interrupted.
template <class Body>
void in_strips(std::size_t n_rows, std::size_t work_per_row, const Body& body) {
  const std::size_t strip = std::max<std::size_t>(4, kStripWork / std::max<std::size_t>(work_per_row, 1) / 4 * 4);
  for (std::size_t row = 0; row < n_rows; row += strip) {
    body(row, std::min(strip, n_rows - row));
    if (row + strip < n_rows) poll_interrupt();
  }
}

/// Calls body(first window, number of windows, first row, number of rows) on parts of the product of one matrix with
/// all windows of a run, so that it can be interrupted.
template <class Body>
void in_window_strips(std::size_t n_windows, std::size_t n_rows, std::size_t work_per_row, const Body& body) {
  if (n_rows * work_per_row < kStripWork || n_rows == 1)
    return in_strips(n_windows, n_rows * work_per_row,
                     [&](std::size_t window, std::size_t n) { body(window, n, std::size_t{0}, n_rows); });
  for (std::size_t window = 0; window < n_windows; ++window) {
    in_strips(n_rows, work_per_row,
              [&](std::size_t row, std::size_t rows) { body(window, std::size_t{1}, row, rows); });
    poll_interrupt();
  }
}

/// y (+)= W z for every window, on blocks of values of one length, the weights consecutive in memory.
inline void multiply_weights(const Run& run, const Node& node, std::size_t length, const void* w, const void* z,
                             void* y, bool accumulate) {
  const std::size_t n_out = node.window_out, n_in = node.window_size;
  for (const WindowRun& r : node.runs)
    in_window_strips(r.n_windows, n_out, r.n_columns * length * run.ring.lanes,
                     [&](std::size_t window, std::size_t n, std::size_t row, std::size_t rows) {
                       run.ring.affine({rows, r.n_columns, n_in, 1, r.column_step, 1, n, r.window_step, n_out}, length,
                                       run.at(w, row * n_in + r.column), run.at(z, r.position(window, 0) * length),
                                       run.at(y, ((r.first_window + window) * n_out + row) * length),
                                       accumulate || r.column > 0, run.context);
                     });
}
/// z += W^T y for every window
inline void multiply_transposed_weights(const Run& run, const Node& node, std::size_t length, const void* w,
                                        const void* y, void* z) {
  const std::size_t n_out = node.window_out, n_in = node.window_size;
  for (const WindowRun& r : node.runs)
    in_window_strips(r.n_windows, r.n_columns, n_out * length * run.ring.lanes,
                     [&](std::size_t window, std::size_t n, std::size_t column, std::size_t columns) {
                       run.ring.affine({columns, n_out, 1, n_in, 1, r.column_step, n, n_out, r.window_step}, length,
                                       run.at(w, r.column + column),
                                       run.at(y, (r.first_window + window) * n_out * length),
                                       run.at(z, r.position(window, column) * length), true, run.context);
                     });
}

/// y = the values of z at the indices.
inline void select_units(const Run& run, const Node& node, std::size_t length, const void* z, void* y) {
  for (std::size_t i = 0; i < node.indices.size(); ++i)
    std::memcpy(run.at(y, i * length), run.at(z, node.indices[i] * length), length * run.ring.element_bytes);
}
/// z += the transpose of that, applied to y.
inline void select_units_transpose(const Run& run, const Node& node, std::size_t length, const void* y, void* z) {
  for (std::size_t i = 0; i < node.indices.size(); ++i) {
    void* zi = run.at(z, node.indices[i] * length);
    run.ring.add(length, zi, run.at(y, i * length), zi, run.context);
  }
}
/// y += x unit by unit, as far as both go: polynomials of lower degree are prefixes.
inline void add_prefixes(const Run& run, std::size_t n_units, std::size_t length_x, const void* x, std::size_t length_y,
                         void* y) {
  if (length_x == length_y) return run.ring.add(n_units * length_x, y, x, y, run.context);
  for (std::size_t i = 0; i < n_units; ++i) {
    void* yi = run.at(y, i * length_y);
    run.ring.add(std::min(length_x, length_y), yi, run.at(x, i * length_x), yi, run.context);
  }
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
  void affine_gradient(std::size_t, const Node& node, const void* y, const void* z, void* theta_bar) const {
    const std::size_t n_in = node.window_size, n_out = node.window_out, P = run_.program.n_params;
    // The products of some pairs of units, one row a pair, which are transposed while they are in cache.
    const std::size_t n_pairs = std::max<std::size_t>(4, kTransposed / n_);
    const std::size_t columns = std::min(n_in, n_pairs), rows = std::max<std::size_t>(1, n_pairs / n_in);
    unsigned strips = 0;
    const auto mark = run_.workspace.mark();
    void* products = run_.workspace.take(std::min(rows, n_out) * columns * n_, run_.ring);
    for (std::size_t i = 0; i < n_out; i += rows) {
      for (std::size_t j = 0; j < n_in; j += columns) {
        const std::size_t r = std::min(rows, n_out - i), c = std::min(columns, n_in - j);
        outer(node, i, r, j, c, y, z, products);
        run_.ring.transpose(r * c, n_, products, n_, run_.at(theta_bar, node.w_offset + i * n_in + j), P);
        if (++strips % kPolledStrips == 0) poll_interrupt();
      }
    }
    run_.workspace.release(mark);
  }
  void bias_gradient(const Node& node, const void* y, void* theta_bar) const {
    const std::size_t size = node.window_out * n_;
    const auto mark = run_.workspace.mark();
    const void* sum = y;
    for (std::size_t window = 1; window < node.n_windows; ++window) {
      void* next = window == 1 ? run_.workspace.take(size, run_.ring) : const_cast<void*>(sum);
      run_.ring.add(size, sum, run_.at(y, window * size), next, run_.context);
      sum = next;
    }
    run_.ring.transpose(node.window_out, n_, sum, n_, run_.at(theta_bar, node.b_offset), run_.program.n_params);
    run_.workspace.release(mark);
  }
  void add_bias(const Node& node, const void* b, void* y) {
    run_.ring.affine({node.window_out, 1, 1, 1, 1, 1, node.n_windows, 0, node.window_out}, n_, b, ones(), y, true,
                     run_.context);
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
  void matmul(std::size_t, const Node& node, const void* left, const void* right, void* y, bool accumulate) const {
    matmul({node.rows, node.inner, node.cols, node.left_row, node.left_column, node.right_row, node.right_column,
            node.cols, 1},
           left, right, y, accumulate);
  }
  /// left += y right^T
  void matmul_transpose_left(std::size_t, const Node& node, const void* y, const void* right, void* left) const {
    matmul({node.rows, node.cols, node.inner, node.cols, 1, node.right_column, node.right_row, node.left_row,
            node.left_column},
           y, right, left, true);
  }
  /// right += left^T y
  void matmul_transpose_right(std::size_t, const Node& node, const void* y, const void* left, void* right) const {
    matmul({node.inner, node.rows, node.cols, node.left_column, node.left_row, node.cols, 1, node.right_row,
            node.right_column},
           left, y, right, true);
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

  void matmul(const kernels::MatrixProduct& m, const void* a, const void* b, void* y, bool accumulate) const {
    in_strips(m.rows, m.inner * m.cols * n_, [&](std::size_t row, std::size_t rows) {
      kernels::MatrixProduct strip = m;
      strip.rows = rows;
      run_.ring.matmul(strip, n_, run_.at(a, row * m.a_row * n_), b, run_.at(y, row * m.y_row * n_), accumulate,
                       run_.context);
    });
  }
  /// products[i, j] = the sum over windows of y[first_row + i] z[first_column + j]
  void outer(const Node& node, std::size_t first_row, std::size_t rows, std::size_t first_column, std::size_t columns,
             const void* y, const void* z, void* products) const {
    const bool accumulate = node.runs.size() > 1;
    if (accumulate) std::memset(products, 0, rows * columns * n_ * run_.ring.element_bytes);
    for (const WindowRun& r : node.runs) {
      const std::size_t begin = std::max(first_column, r.column);
      const std::size_t end = std::min(first_column + columns, r.column + r.n_columns);
      if (begin >= end) continue;
      matmul({rows, r.n_windows, end - begin, 1, node.window_out, r.window_step, r.column_step, columns, 1},
             run_.at(y, (r.first_window * node.window_out + first_row) * n_),
             run_.at(z, r.position(0, begin - r.column) * n_), run_.at(products, (begin - first_column) * n_),
             accumulate);
    }
  }

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
    if (node.input != 0) return multiply_weights(run_, node, length(node.degree_in), w, z, y, accumulate);
    // Linear forms: row i of W holds coefficients of unit i, for each window at its positions.
    const auto d = static_cast<std::size_t>(d_);
    if (!accumulate) std::memset(y, 0, static_cast<std::size_t>(node.units_out) * d * run_.ring.element_bytes);
    for_window_rows(node, [&](std::size_t row, std::size_t unit, std::size_t position, std::size_t n) {
      add(n, run_.at(w, row), run_.at(y, unit * d + first() + position));
    });
  }
  void affine_transpose(const Node& node, const void* w, const void* y, void* z) const {
    multiply_transposed_weights(run_, node, length(node.degree_in), w, y, z);
  }
  void affine_gradient(std::size_t, const Node& node, const void* y, const void* z, void* theta_bar) const {
    void* w = run_.at(theta_bar, node.w_offset);
    const auto d = static_cast<std::size_t>(d_);
    if (node.input == 0)
      return for_window_rows(node, [&](std::size_t row, std::size_t unit, std::size_t position, std::size_t n) {
        add(n, run_.at(y, unit * d + first() + position), run_.at(w, row));
      });
    const std::size_t n = length(node.degree_in);
    for (const WindowRun& r : node.runs)
      in_window_strips(r.n_windows, node.window_out, r.n_columns * n * run_.ring.lanes,
                       [&](std::size_t window, std::size_t n_windows, std::size_t row, std::size_t rows) {
                         for (std::size_t v = window; v < window + n_windows; ++v)
                           run_.ring.affine_gradient(
                               rows, r.n_columns, n, run_.at(y, ((r.first_window + v) * node.window_out + row) * n),
                               run_.at(z, r.position(v, 0) * n), r.column_step,
                               run_.at(w, row * node.window_size + r.column), node.window_size, run_.context);
                       });
  }
  void add_bias(const Node& node, const void* b, void* y) const {
    const std::size_t n = length(node.degree_in);
    for (std::size_t i = 0; i < static_cast<std::size_t>(node.units_out); ++i)
      add(1, run_.at(b, i % node.window_out), run_.at(y, i * n));
  }
  void bias_gradient(const Node& node, const void* y, void* theta_bar) const {
    void* b = run_.at(theta_bar, node.b_offset);
    const std::size_t n = length(node.degree_in);
    for (std::size_t i = 0; i < static_cast<std::size_t>(node.units_out); ++i)
      add(1, run_.at(y, i * n), run_.at(b, i % node.window_out));
  }

  /// y = p(z) and, unless `derivative` is null, derivative = p'(z).
  void activation(std::size_t k, const Node& node, const void* z, void* y, void* derivative) {
    const std::size_t n_in = length(node.degree_in), n_out = length(node.degree_out);
    const std::size_t n_derivative = node.power >= 1 ? length(node.degree_out - node.degree_in) : 0;
    for_units(node.units_out, n_out, [&](std::size_t i, Workspace& workspace) {
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
    for_units(node.units_out, n_out, [&](std::size_t i, Workspace&) {
      plan.multiply(run_.ring, run_.at(dz, i * n_in), nullptr, run_.at(derivative, i * plan.size_b()),
                    run_.at(dy, i * n_out), false, run_.context);
    });
  }
  /// z += the transpose of dz -> p'(z) dz, applied to y.
  void activation_transpose(std::size_t k, const Node& node, const void* derivative, const void* y, void* z) {
    if (node.power < 1) return;
    const std::size_t n_in = length(node.degree_in), n_out = length(node.degree_out);
    const auto& plan = *products_.activations[k].derivative;
    for_units(node.units_out, n_out, [&](std::size_t i, Workspace&) {
      plan.correlate(run_.ring, run_.at(y, i * n_out), run_.at(derivative, i * plan.size_b()), run_.at(z, i * n_in),
                     run_.context);
    });
  }

  /// y (+)= left right
  void matmul(std::size_t k, const Node& node, const void* left, const void* right, void* y, bool accumulate) {
    const auto& [by_left, by_right] = products_.matmuls[k];
    const bool left_first = by_left->size_a() <= by_left->size_b();
    const ProductPlan& plan = left_first ? *by_left : *by_right;
    const std::size_t n_left = by_left->size_a(), n_right = by_left->size_b(), n_out = plan.size_c();
    for_units(node.units_out, n_out, [&](std::size_t unit, Workspace&) {
      const std::size_t i = unit / node.cols, j = unit % node.cols;
      for (std::size_t m = 0; m < node.inner; ++m) {
        const void* a = run_.at(left, (i * node.left_row + m * node.left_column) * n_left);
        const void* b = run_.at(right, (m * node.right_row + j * node.right_column) * n_right);
        plan.multiply(run_.ring, left_first ? a : b, nullptr, left_first ? b : a, run_.at(y, unit * n_out),
                      accumulate || m > 0, run_.context);
        poll(n_out);
      }
    });
  }
  /// left += the transpose of left -> left right, applied to y.
  void matmul_transpose_left(std::size_t k, const Node& node, const void* y, const void* right, void* left) {
    const ProductPlan& plan = *products_.matmuls[k].by_left;
    for_units(node.rows * node.inner, plan.size_c(), [&](std::size_t unit, Workspace&) {
      const std::size_t i = unit / node.inner, m = unit % node.inner;
      for (std::size_t j = 0; j < node.cols; ++j) {
        plan.correlate(run_.ring, run_.at(y, (i * node.cols + j) * plan.size_c()),
                       run_.at(right, (m * node.right_row + j * node.right_column) * plan.size_b()),
                       run_.at(left, (i * node.left_row + m * node.left_column) * plan.size_a()), run_.context);
        poll(plan.size_c());
      }
    });
  }
  void matmul_transpose_right(std::size_t k, const Node& node, const void* y, const void* left, void* right) {
    const ProductPlan& plan = *products_.matmuls[k].by_right;
    for_units(node.inner * node.cols, plan.size_c(), [&](std::size_t unit, Workspace&) {
      const std::size_t m = unit / node.cols, j = unit % node.cols;
      for (std::size_t i = 0; i < node.rows; ++i) {
        plan.correlate(run_.ring, run_.at(y, (i * node.cols + j) * plan.size_c()),
                       run_.at(left, (i * node.left_row + m * node.left_column) * plan.size_b()),
                       run_.at(right, (m * node.right_row + j * node.right_column) * plan.size_a()), run_.context);
        poll(plan.size_c());
      }
    });
  }

  /// Position of x1 in a linear form: 1 when the homogenising variable comes first.
  std::size_t first() const { return static_cast<std::size_t>(d_ - run_.program.n_inputs); }

 private:
  static constexpr std::size_t kPolledLength = 10'000;

  /// y += x
  void add(std::size_t n, const void* x, void* y) const { run_.ring.add(n, y, x, y, run_.context); }

  /// Calls body(position of W, unit of y, position in z, n) on the stretches of all rows and windows.
  template <class Body>
  void for_window_rows(const Node& node, const Body& body) const {
    for (const WindowRun& r : node.runs) {
      const std::size_t n = r.column_step == 1 ? r.n_columns : 1;
      for (std::size_t k = 0; k < r.n_windows; ++k)
        for (std::size_t i = 0; i < node.window_out; ++i)
          for (std::size_t j = 0; j < r.n_columns; j += n)
            body(i * node.window_size + r.column + j, (r.first_window + k) * node.window_out + i, r.position(k, j), n);
    }
  }

  /// Units of y, or of the other block written, on threads for one large member.
  template <class Count>
  void for_units(Count n_units, std::size_t n_coefficients, const std::function<void(std::size_t, Workspace&)>& body) {
    const auto n = static_cast<std::size_t>(n_units);
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
        if (n_polled_++ % 16 == 15) poll_interrupt();
        poll(n_coefficients);
      }
    }
  }
  /// A look at the interrupt hook, once results are long enough for it to cost nothing.
  static void poll(std::size_t n_coefficients) {
    if (n_coefficients > kPolledLength) poll_interrupt();
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
      poll(length(degree));
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

/// Cotangents are polynomials too: the derivatives of one output f with respect to the units of a slot, of degree
/// D - degree, and df / dtheta is their product with the layer's input. So a reverse sweep gives a row of the Jacobian;
/// `theta_bar` is not used, `Emit` takes the columns: emit(polynomial, number of coefficients, parameter). Those not
/// emitted are zero; one of lower degree is a prefix.
template <class Emit>
class Derivatives {
 public:
  Derivatives(Run& run, const FormValues& values, const Emit& emit)
      : run_(run), values_(values), plan_(run.program.jacobian_plan()), emit_(emit) {}

  /// Slots of higher degree than the output's do not matter to it: a later activation is constant.
  std::size_t length(int degree) const {
    const int left = run_.program.degree() - degree;
    return left < 0 ? 0 : values_.length(left);
  }

  void affine_gradient(std::size_t k, const Node& node, const void* y, const void* z, void*) {
    const auto mark = run_.workspace.mark();
    void* column = run_.workspace.take(length(0), run_.ring);
    for (std::size_t i = 0; i < node.window_out; ++i)
      for (std::size_t j = 0; j < node.window_size; ++j) {
        if (weight_column(k, node, i, j, y, z, column))
          emit_(column, length(0), node.w_offset + i * node.window_size + j);
        poll_interrupt();
      }
    run_.workspace.release(mark);
  }
  void bias_gradient(const Node& node, const void* y, void*) {
    const std::size_t n = length(node.degree_out);
    const auto mark = run_.workspace.mark();
    void* sum = run_.workspace.take(n, run_.ring);
    for (std::size_t i = 0; i < node.window_out; ++i) {
      std::memset(sum, 0, n * run_.ring.element_bytes);
      for (std::size_t unit = i; unit < static_cast<std::size_t>(node.units_out); unit += node.window_out)
        run_.ring.add(n, sum, run_.at(y, unit * n), sum, run_.context);
      emit_(sum, n, node.b_offset + i);
    }
    run_.workspace.release(mark);
  }
  void affine_transpose(const Node& node, const void* w, const void* y, void* z) const {
    multiply_transposed_weights(run_, node, length(node.degree_out), w, y, z);
  }
  void activation_transpose(std::size_t k, const Node& node, const void* derivative, const void* y, void* z) const {
    if (node.power < 1) return;
    const std::size_t n_derivative = values_.length(node.degree_out - node.degree_in);
    for (std::size_t i = 0; i < static_cast<std::size_t>(node.units_out); ++i)
      add_product(plan_.products[k], node, y, i, run_.at(derivative, i * n_derivative),
                  run_.at(z, i * length(node.degree_in)));
  }
  /// left += y right^T
  void matmul_transpose_left(std::size_t k, const Node& node, const void* y, const void* right, void* left) const {
    const int degree_right = node.degree_out - node.degree_in;
    for (std::size_t unit = 0; unit < static_cast<std::size_t>(node.units_out); ++unit)
      for (std::size_t m = 0; m < node.inner; ++m)
        add_product(
            plan_.products[k], node, y, unit,
            run_.at(right, (m * node.right_row + unit % node.cols * node.right_column) * values_.length(degree_right)),
            run_.at(left, (unit / node.cols * node.left_row + m * node.left_column) * length(node.degree_in)));
  }
  /// right += left^T y
  void matmul_transpose_right(std::size_t k, const Node& node, const void* y, const void* left, void* right) const {
    const int degree_right = node.degree_out - node.degree_in;
    for (std::size_t unit = 0; unit < static_cast<std::size_t>(node.units_out); ++unit)
      for (std::size_t m = 0; m < node.inner; ++m)
        add_product(
            plan_.by_left[k], node, y, unit,
            run_.at(left, (unit / node.cols * node.left_row + m * node.left_column) * values_.length(node.degree_in)),
            run_.at(right, (m * node.right_row + unit % node.cols * node.right_column) * length(degree_right)));
  }

 private:
  bool is_zero(const void* polynomial, std::size_t n) const {
    const auto* bytes = static_cast<const std::byte*>(polynomial);
    return std::all_of(bytes, bytes + n * run_.ring.element_bytes, [](std::byte b) { return b == std::byte{0}; });
  }
  /// z += y[unit] times another polynomial. One output reaches few units of many slots.
  void add_product(const CotangentProduct& product, const Node& node, const void* y, std::size_t unit,
                   const void* other, void* z) const {
    const std::size_t n = length(node.degree_out);
    const void* g = run_.at(y, unit * n);
    if (is_zero(g, n)) return;
    product.multiply(run_.ring, g, other, z, true, run_.context);
    poll_interrupt();
  }
  /// column = the sum over windows of the derivative by unit i times input j; false if it is zero.
  bool weight_column(std::size_t k, const Node& node, std::size_t i, std::size_t j, const void* y, const void* z,
                     void* column) const {
    const std::size_t n = length(node.degree_out), n_z = values_.length(node.degree_in);
    bool written = false;
    for (const WindowRun& r : node.runs) {
      if (j < r.column || j >= r.column + r.n_columns) continue;
      for (std::size_t v = 0; v < r.n_windows; ++v) {
        const void* g = run_.at(y, ((r.first_window + v) * node.window_out + i) * n);
        if (is_zero(g, n)) continue;
        const std::size_t position = r.position(v, j - r.column);
        if (node.input == 0)
          times_variable(position, g, n, column, written);
        else
          plan_.products[k].multiply(run_.ring, g, run_.at(z, position * n_z), column, written, run_.context);
        written = true;
      }
    }
    return written;
  }
  /// column (+)= x_j g, by stretches of coefficients that stay together.
  void times_variable(std::size_t j, const void* g, std::size_t n, void* column, bool accumulate) const {
    const auto* to = plan_.times_variable.data() + j * n;
    if (!accumulate) std::memset(column, 0, length(0) * run_.ring.element_bytes);
    for (std::size_t c = 0, end = 0; c < n; c = end) {
      for (end = c + 1; end < n && to[end] == to[end - 1] + 1;) ++end;
      if (accumulate)
        run_.ring.add(end - c, run_.at(column, to[c]), run_.at(g, c), run_.at(column, to[c]), run_.context);
      else
        std::memcpy(run_.at(column, to[c]), run_.at(g, c), (end - c) * run_.ring.element_bytes);
    }
  }

  Run& run_;
  const FormValues& values_;
  const JacobianPlan& plan_;
  const Emit& emit_;
};

}  // namespace polycore::detail
