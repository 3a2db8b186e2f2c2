// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <span>
#include <vector>

#include "polycore/program.hpp"

/// Network families, as programs.
namespace polycore {

/// A multilayer perceptron of the given widths (d0, ..., dL), L >= 1: affine layers with an activation between them.
/// `activations` holds one coefficient list (low to high) per hidden layer.
/// std::invalid_argument unless there are L - 1 of them and every width is positive.
Program mlp(std::span<const int> widths, std::span<const std::vector<double>> activations, bool bias = false);

/// The same with z^power at every hidden layer.
Program mlp(std::span<const int> widths, int power, bool bias = false);

}  // namespace polycore
