// SPDX-License-Identifier: BSD-3-Clause
// The three sweeps over a program, each written once: forward, tangent and reverse. `Values` is an interpretation.
#pragma once

#include <algorithm>
#include <cstring>

#include "interpretations.hpp"

namespace polycore::detail {

/// The values a forward sweep leaves behind, one block per slot.
struct Tape {
  void** value;       // (n_slots)
  void** derivative;  // p'(z) of each activation, indexed by node; null where not wanted
};

/// y = the sum of the blocks of the slots an Add reads, where null is zero.
template <class Values>
void add_slots(Run& run, const Values& values, const Node& node, void* const* blocks, void* y) {
  const auto units = static_cast<std::size_t>(node.units_out);
  const std::size_t length = values.length(node.degree_out);
  const auto length_of = [&](int slot) { return values.length(run.program.degrees[static_cast<std::size_t>(slot)]); };
  const auto whole =
      std::ranges::find_if(node.inputs, [&](int slot) { return blocks[slot] && length_of(slot) == length; });
  if (whole == node.inputs.end())
    std::memset(y, 0, units * length * run.ring.element_bytes);
  else
    std::memcpy(y, blocks[*whole], units * length * run.ring.element_bytes);
  for (auto slot = node.inputs.begin(); slot != node.inputs.end(); ++slot)
    if (slot != whole && blocks[*slot]) add_prefixes(run, units, length_of(*slot), blocks[*slot], length, y);
}

template <class Values>
Tape forward(Run& run, Values& values, const void* theta, bool derivatives) {
  const auto& nodes = run.program.nodes;
  Tape tape{run.workspace.take_array<void*>(nodes.size() + 1), run.workspace.take_array<void*>(nodes.size())};
  std::fill(tape.value, tape.value + nodes.size() + 1, nullptr);
  std::fill(tape.derivative, tape.derivative + nodes.size(), nullptr);
  for (std::size_t k = 0; k < nodes.size(); ++k) {
    const Node& node = nodes[k];
    if (!node.used) continue;
    const auto units = static_cast<std::size_t>(node.units_out);
    void* y = run.workspace.take(units * values.length(node.degree_out), run.ring);
    tape.value[k + 1] = y;
    for (const int slot : node.inputs)
      if (slot == 0 && tape.value[0] == nullptr) tape.value[0] = values.inputs(node);
    const void* z = tape.value[node.input];
    switch (node.kind) {
      case Kind::kAffine:
        values.affine(node, run.at(theta, node.w_offset), z, y, false);
        if (node.bias) values.add_bias(node, run.at(theta, node.b_offset), y);
        break;
      case Kind::kActivation:
        if (derivatives && node.power >= 1)
          tape.derivative[k] = run.workspace.take(units * values.length(node.degree_out - node.degree_in), run.ring);
        values.activation(k, node, z, y, tape.derivative[k]);
        break;
      case Kind::kSelect:
        select_units(run, node, values.length(node.degree_out), z, y);
        break;
      case Kind::kAdd:
        add_slots(run, values, node, tape.value, y);
        break;
      case Kind::kMatMul:
        values.matmul(k, node, z, tape.value[node.inputs[1]], y, false);
        break;
    }
  }
  return tape;
}

/// The tangent of the output in direction dtheta: dy = W dz + dW z + db for affine, p'(z) dz for activations, dA B + A
/// dB for matrix products.
template <class Values>
void* tangent(Run& run, Values& values, const Tape& tape, const void* theta, const void* dtheta) {
  const auto& nodes = run.program.nodes;
  void** dvalue = run.workspace.take_array<void*>(nodes.size() + 1);
  std::fill(dvalue, dvalue + nodes.size() + 1, nullptr);  // null is zero: the inputs do not depend on theta
  const auto block = [&](const Node& node) {
    return run.workspace.take(static_cast<std::size_t>(node.units_out) * values.length(node.degree_out), run.ring);
  };
  for (std::size_t k = 0; k < nodes.size(); ++k) {
    const Node& node = nodes[k];
    const bool depends = std::ranges::any_of(node.inputs, [&](int slot) { return dvalue[slot] != nullptr; });
    if (!node.used || (!depends && node.kind != Kind::kAffine)) continue;
    void* dy = dvalue[k + 1] = block(node);
    const void* dz = dvalue[node.input];
    switch (node.kind) {
      case Kind::kAffine:
        values.affine(node, run.at(dtheta, node.w_offset), tape.value[node.input], dy, false);
        if (dz) values.affine(node, run.at(theta, node.w_offset), dz, dy, true);
        if (node.bias) values.add_bias(node, run.at(dtheta, node.b_offset), dy);
        break;
      case Kind::kActivation:
        values.activation_tangent(k, node, tape.derivative[k], dz, dy);
        break;
      case Kind::kSelect:
        select_units(run, node, values.length(node.degree_out), dz, dy);
        break;
      case Kind::kAdd:
        add_slots(run, values, node, dvalue, dy);
        break;
      case Kind::kMatMul: {
        const int right = node.inputs[1];
        if (dz) values.matmul(k, node, dz, tape.value[right], dy, false);
        if (dvalue[right]) values.matmul(k, node, tape.value[node.input], dvalue[right], dy, dz != nullptr);
        break;
      }
    }
  }
  void*& result = dvalue[nodes.size()];
  if (result == nullptr) {
    const Node& last = nodes.back();
    result = block(last);
    std::memset(result, 0,
                static_cast<std::size_t>(last.units_out) * values.length(last.degree_out) * run.ring.element_bytes);
  }
  return result;
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
  const auto length_of = [&](int slot) { return values.length(run.program.degrees[static_cast<std::size_t>(slot)]); };
  // The block to which a reader of the slot adds; none for the inputs.
  const auto bar_of = [&](int slot) -> void* {
    if (slot == 0) return nullptr;
    if (bar[slot] == nullptr)
      bar[slot] = run.workspace.take_zero(
          static_cast<std::size_t>(run.program.units[static_cast<std::size_t>(slot)]) * length_of(slot), run.ring);
    return const_cast<void*>(bar[slot]);
  };
  for (std::size_t k = nodes.size(); k-- > 0;) {
    const Node& node = nodes[k];
    const void* y = bar[k + 1];
    if (y == nullptr) continue;  // nothing downstream depends on this slot
    switch (node.kind) {
      case Kind::kAffine:
        values.affine_gradient(k, node, y, tape.value[node.input], theta_bar);
        if (node.bias) values.bias_gradient(node, y, theta_bar);
        if (void* z = bar_of(node.input)) values.affine_transpose(node, run.at(theta, node.w_offset), y, z);
        break;
      case Kind::kActivation:
        if (void* z = bar_of(node.input)) values.activation_transpose(k, node, tape.derivative[k], y, z);
        break;
      case Kind::kSelect:
        if (void* z = bar_of(node.input)) select_units_transpose(run, node, values.length(node.degree_out), y, z);
        break;
      case Kind::kAdd:
        for (const int slot : node.inputs)
          if (void* z = bar_of(slot))
            add_prefixes(run, static_cast<std::size_t>(node.units_out), values.length(node.degree_out), y,
                         length_of(slot), z);
        break;
      case Kind::kMatMul: {
        const int left = node.inputs[0], right = node.inputs[1];
        if (void* z = bar_of(left)) values.matmul_transpose_left(k, node, y, tape.value[right], z);
        if (void* z = bar_of(right)) values.matmul_transpose_right(k, node, y, tape.value[left], z);
        break;
      }
    }
  }
}

}  // namespace polycore::detail
