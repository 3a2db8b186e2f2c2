// SPDX-License-Identifier: BSD-3-Clause
// The three sweeps over a program, each written once: forward, tangent and reverse. `Values` is an interpretation.
#pragma once

#include <cstring>

#include "interpretations.hpp"

namespace polycore::detail {

/// The values a forward sweep leaves behind, one block per slot.
struct Tape {
  void** value;       // (n_slots)
  void** derivative;  // p'(z) of each activation, indexed by node; null where not wanted
};

inline bool is_last(const ProgramPlan& program, std::size_t node) { return node + 1 == program.nodes.size(); }

template <class Values>
Tape forward(Run& run, Values& values, const void* theta, bool derivatives) {
  const auto& nodes = run.program.nodes;
  Tape tape{run.workspace.take_array<void*>(nodes.size() + 1), run.workspace.take_array<void*>(nodes.size())};
  tape.value[0] = nullptr;
  for (std::size_t k = 0; k < nodes.size(); ++k) {
    const Node& node = nodes[k];
    const auto units = static_cast<std::size_t>(node.units_out);
    void* y = run.workspace.take(units * values.length(node.degree_out), run.ring);
    tape.value[k + 1] = y;
    tape.derivative[k] = nullptr;
    if (node.input == 0 && tape.value[0] == nullptr) tape.value[0] = values.inputs(node);
    const void* z = tape.value[node.input];
    if (node.kind == Kind::kAffine) {
      values.affine(node, run.at(theta, node.w_offset), z, y, false);
      if (node.bias) values.add_bias(node, run.at(theta, node.b_offset), y);
    } else {
      if (derivatives && node.power >= 1)
        tape.derivative[k] = run.workspace.take(units * values.length(node.degree_out - node.degree_in), run.ring);
      values.activation(k, node, z, y, tape.derivative[k]);
    }
  }
  return tape;
}

/// The tangent of the output in direction dtheta: dy = W dz + dW z + db for affine, p'(z) dz for activations.
template <class Values>
void* tangent(Run& run, Values& values, const Tape& tape, const void* theta, const void* dtheta) {
  const auto& nodes = run.program.nodes;
  void** dvalue = run.workspace.take_array<void*>(nodes.size() + 1);
  dvalue[0] = nullptr;  // the inputs do not depend on theta
  for (std::size_t k = 0; k < nodes.size(); ++k) {
    const Node& node = nodes[k];
    void* dy = run.workspace.take(static_cast<std::size_t>(node.units_out) * values.length(node.degree_out), run.ring);
    dvalue[k + 1] = dy;
    const void* dz = dvalue[node.input];
    if (node.kind == Kind::kAffine) {
      values.affine(node, run.at(dtheta, node.w_offset), tape.value[node.input], dy, false);
      if (dz) values.affine(node, run.at(theta, node.w_offset), dz, dy, true);
      if (node.bias) values.add_bias(node, run.at(dtheta, node.b_offset), dy);
    } else if (dz) {
      values.activation_tangent(k, node, tape.derivative[k], dz, dy);
    } else {
      std::memset(dy, 0,
                  static_cast<std::size_t>(node.units_out) * values.length(node.degree_out) * run.ring.element_bytes);
    }
  }
  return dvalue[nodes.size()];
}

/// theta_bar += the transposed Jacobian times `cotangent`, a block like the output slot. Cotangents live in the dual
/// space of the values, so each instruction runs its transpose. How theta_bar is laid out is the interpretation's
/// choice; what the output does not depend on is left alone.
template <class Values>
void reverse(Run& run, Values& values, const Tape& tape, const void* theta, const void* cotangent, void* theta_bar) {
  const auto& nodes = run.program.nodes;
  const void** bar = run.workspace.take_array<const void*>(nodes.size() + 1);
  std::fill(bar, bar + nodes.size() + 1, nullptr);
  bar[nodes.size()] = cotangent;
  for (std::size_t k = nodes.size(); k-- > 0;) {
    const Node& node = nodes[k];
    const void* y = bar[k + 1];
    if (y == nullptr) continue;  // nothing downstream depends on this slot
    void* z = nullptr;
    if (node.input != 0) {
      z = const_cast<void*>(bar[node.input]);
      if (z == nullptr)
        bar[node.input] = z =
            run.workspace.take_zero(static_cast<std::size_t>(node.units_in) * values.length(node.degree_in), run.ring);
    }
    if (node.kind == Kind::kAffine) {
      values.affine_gradient(node, y, tape.value[node.input], theta_bar);
      if (node.bias) values.bias_gradient(node, y, theta_bar);
      if (z) values.affine_transpose(node, run.at(theta, node.w_offset), y, z);
    } else if (z) {
      values.activation_transpose(k, node, tape.derivative[k], y, z);
    }
  }
}

}  // namespace polycore::detail
