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

struct CnnOptions {
  std::vector<int> strides = {};   // one per layer; empty: 1
  std::vector<int> channels = {};  // of the input and of each layer; empty: 1
  int n_positions = 0;             // of the input; 0: the receptive field, so that there is one output position
  bool bias = false;
};

/// A convolutional network over signals: filters of the given lengths, L >= 1 of them, cross-correlation without
/// padding, an activation (coefficients low to high) after each layer but the last. Inputs and outputs are position by
/// position with the channels of a position together; filters are (channels, features, length) row-major, then biases.
/// std::invalid_argument for sizes below 1, lists of the wrong length, and filters longer than what they see.
Program cnn(std::span<const int> filters, std::span<const std::vector<double>> activations,
            const CnnOptions& options = {});

/// The same with z^power after every layer but the last.
Program cnn(std::span<const int> filters, int power, const CnnOptions& options = {});

/// Layers of lightning self-attention: X -> sum over heads of V X X^T K^T Q X, where the columns of X (d_model,
/// n_tokens) are tokens. Inputs and outputs are token by token; the last layer has d_out features a token, those before
/// it d_model. Parameters are layer by layer, head by head: K (d_key, d_model), Q (d_key, d_model), V (d_out, d_model).
/// std::invalid_argument for sizes below 1.
Program lightning_attention(int d_model, int d_key, int d_out, int n_tokens, int n_layers = 1, int n_heads = 1);

}  // namespace polycore
