// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/networks.hpp"

#include <stdexcept>
#include <string>

namespace polycore {

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
  if (power < 0) throw std::invalid_argument("`power` must be >= 0, got " + std::to_string(power));
  std::vector<double> monomial(static_cast<std::size_t>(power) + 1, 0.0);
  monomial.back() = 1.0;
  const std::size_t n_hidden = widths.size() < 2 ? 0 : widths.size() - 2;
  return mlp(widths, std::vector<std::vector<double>>(n_hidden, monomial), bias);
}

}  // namespace polycore
