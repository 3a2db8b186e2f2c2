// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/networks.hpp"

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

namespace polycore {

namespace {

void check_entries(std::size_t got, std::size_t expected, const char* name) {
  if (got != expected)
    throw std::invalid_argument(std::string("`") + name + "` must have " + std::to_string(expected) + " entries, got " +
                                std::to_string(got));
}

void check_size(std::int64_t size, const char* name) {
  if (size < 1) throw std::invalid_argument(std::string("`") + name + "` must be >= 1, got " + std::to_string(size));
}

/// A width, from a product of two.
int width(std::int64_t a, std::int64_t b) {
  if (a * b > std::numeric_limits<int>::max()) throw std::overflow_error("the width of a layer does not fit 32 bits");
  return static_cast<int>(a * b);
}

std::vector<double> monomial(int power) {
  if (power < 0) throw std::invalid_argument("`power` must be >= 0, got " + std::to_string(power));
  std::vector<double> coefficients(static_cast<std::size_t>(power) + 1, 0.0);
  coefficients.back() = 1.0;
  return coefficients;
}

/// Windows of `length` neighbouring positions of `n_features` values each, the feature the slower index, as in filters.
std::vector<std::vector<int>> windows_of(int n_positions, int n_features, int length, int stride) {
  std::vector<std::vector<int>> windows;
  for (int first = 0; first <= n_positions - length; first += stride) {
    auto& window = windows.emplace_back();
    for (int feature = 0; feature < n_features; ++feature)
      for (int k = 0; k < length; ++k) window.push_back((first + k) * n_features + feature);
    if (stride > n_positions - first) break;  // before the sum overflows
  }
  return windows;
}

}  // namespace

Program mlp(std::span<const int> widths, std::span<const std::vector<double>> activations, bool bias) {
  if (widths.size() < 2) throw std::invalid_argument("`widths` must name at least inputs and outputs");
  const std::size_t n_hidden = widths.size() - 2;
  if (activations.size() != n_hidden)
    throw std::invalid_argument("`activations` must have one entry per hidden layer (" + std::to_string(n_hidden) +
                                "), got " + std::to_string(activations.size()));
  std::vector<Instruction> instructions;
  for (std::size_t layer = 1; layer < widths.size(); ++layer) {
    const int slot = static_cast<int>(instructions.size());
    instructions.emplace_back(Affine{slot, widths[layer], bias});
    if (layer <= n_hidden) instructions.emplace_back(Activation{slot + 1, activations[layer - 1]});
  }
  return Program(widths[0], std::move(instructions));
}

Program mlp(std::span<const int> widths, int power, bool bias) {
  const std::size_t n_hidden = widths.size() < 2 ? 0 : widths.size() - 2;
  return mlp(widths, std::vector<std::vector<double>>(n_hidden, monomial(power)), bias);
}

Program cnn(std::span<const int> filters, std::span<const std::vector<double>> activations, const CnnOptions& options) {
  const std::size_t n_layers = filters.size();
  if (n_layers == 0) throw std::invalid_argument("`filters` must not be empty");
  check_entries(activations.size(), n_layers - 1, "activations");
  const auto strides = options.strides.empty() ? std::vector<int>(n_layers, 1) : options.strides;
  const auto channels = options.channels.empty() ? std::vector<int>(n_layers + 1, 1) : options.channels;
  check_entries(strides.size(), n_layers, "strides");
  check_entries(channels.size(), n_layers + 1, "channels");
  for (const int length : filters) check_size(length, "filters");
  for (const int stride : strides) check_size(stride, "strides");
  for (const int n : channels) check_size(n, "channels");
  std::int64_t n_positions = options.n_positions;
  if (n_positions == 0) {
    n_positions = 1;
    for (std::size_t layer = n_layers; layer-- > 0;)
      n_positions = width(n_positions - 1, strides[layer]) + std::int64_t{filters[layer]};
  }
  check_size(n_positions, "n_positions");
  const int n_inputs = width(n_positions, channels[0]);
  std::vector<Instruction> instructions;
  for (std::size_t layer = 0; layer < n_layers; ++layer) {
    if (filters[layer] > n_positions)
      throw std::invalid_argument("`filters` must not be longer than the " + std::to_string(n_positions) +
                                  " positions that they see, got " + std::to_string(filters[layer]));
    const int slot = static_cast<int>(instructions.size());
    auto windows = windows_of(static_cast<int>(n_positions), channels[layer], filters[layer], strides[layer]);
    n_positions = static_cast<std::int64_t>(windows.size());
    instructions.emplace_back(Affine{slot, channels[layer + 1], options.bias, std::move(windows)});
    if (layer + 1 < n_layers) instructions.emplace_back(Activation{slot + 1, activations[layer]});
  }
  return Program(n_inputs, std::move(instructions));
}

Program cnn(std::span<const int> filters, int power, const CnnOptions& options) {
  const std::size_t n_hidden = filters.empty() ? 0 : filters.size() - 1;
  return cnn(filters, std::vector<std::vector<double>>(n_hidden, monomial(power)), options);
}

Program lightning_attention(int d_model, int d_key, int d_out, int n_tokens, int n_layers, int n_heads) {
  check_size(d_model, "d_model");
  check_size(d_key, "d_key");
  check_size(d_out, "d_out");
  check_size(n_tokens, "n_tokens");
  check_size(n_layers, "n_layers");
  check_size(n_heads, "n_heads");
  const int n_inputs = width(d_model, n_tokens);
  const auto tokens = windows_of(n_inputs, 1, d_model, d_model);
  std::vector<Instruction> instructions;
  const auto write = [&](Instruction instruction) {
    instructions.push_back(std::move(instruction));
    return static_cast<int>(instructions.size());
  };
  int input = 0;
  for (int layer = 1; layer <= n_layers; ++layer) {
    const int n_out = layer == n_layers ? d_out : d_model;
    std::vector<int> heads;
    for (int head = 0; head < n_heads; ++head) {
      const int k = write(Affine{input, d_key, false, tokens});
      const int q = write(Affine{input, d_key, false, tokens});
      const int v = write(Affine{input, n_out, false, tokens});
      // Slots hold transposes, (K X)^T of shape (n_tokens, d_key) and so on, so the result is (Q X)^T (K X) (V X)^T.
      // What is contracted first makes products of linear forms, what is next of quadratic ones, which cost far more:
      // n_tokens^2 or n_tokens d_key of them for each feature of the result.
      if (n_tokens < d_key) {
        const int scores = write(MatMul{q, k, n_tokens, d_key, n_tokens, false, true});
        heads.push_back(write(MatMul{scores, v, n_tokens, n_tokens, n_out}));
      } else {
        const int memory = write(MatMul{k, v, d_key, n_tokens, n_out, true, false});
        heads.push_back(write(MatMul{q, memory, n_tokens, d_key, n_out}));
      }
    }
    input = n_heads == 1 ? heads[0] : write(Add{std::move(heads)});
  }
  return Program(n_inputs, std::move(instructions));
}

}  // namespace polycore
