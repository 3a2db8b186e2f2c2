// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "polycore/program.hpp"

/// Stationary points of a network's squared distance to a target, from many starts at once.
namespace polycore {

/// theta -> sum <c - t, Q (c - t)> for c = expand(theta).
struct SquaredDistance {
  /// Q, symmetric bit for bit: (n_monomials, n_monomials), acting on each output, or (n_outputs n_monomials) squared,
  /// rows output-major.
  std::span<const double> gram;
  /// t, (n_outputs, n_monomials).
  std::span<const double> target;
  /// ||Q|| and ||Q t||: gradients are small or large against (||Q|| ||c|| + ||Q t||) ||J||, J the Jacobian of expand.
  double gram_norm, target_norm;
  Monomials on = Monomials::basis;
};

/// Steps are -V phi(Lambda) V^T g with the gradient g and the Hessian V Lambda V^T, no longer than a radius that
/// follows how well they were predicted: k >= 0 is as small as the radius allows.
enum class Stepping {
  descent,     // 1 / (l + s + k), s twice the modulus of the lowest eigenvalue if that is negative: to minima
  stationary,  // l / (l^2 + k^2), Levenberg-Marquardt on ||g||^2 / 2: to points of any index
  index,       // -1 / (|l| + k) for the lowest eigenvalues, 1 / (|l| + k) for the others
  newton,      // 1 / l unless l is nearly zero: Newton steps of least norm
};

struct SearchOptions {
  Stepping stepping = Stepping::descent;
  double tolerance = 1e-10;  // on ||g|| relative to its scale
  int max_steps = 200;       // with a Hessian of their own, tried by one member before it meets the tolerance
  int n_threads = 0;
};

/// Where the members of a search are, (batch, n_params) and (batch).
struct SearchResult {
  std::span<double> theta;  // starts before, last points after
  std::span<double> value, gradient_norm, scale;
  std::span<std::uint8_t> converged;
  std::span<std::int64_t> n_steps;
};

/// Moves every row of result.theta until it is stationary: gradient_norm <= tolerance * scale, and not on its way to
/// infinity. Members that diverge, overflow or get stuck end with converged = 0. `index` (batch) says how many of the
/// lowest eigenvectors Stepping::index follows upwards; it is empty for the others.
///
/// Every search ends with Newton steps of least norm, taken as long as they help, and converges quadratically to fibres
/// of stationary points across which the Hessian is nonsingular. Results do not depend on the number of threads nor on
/// which members are searched together. std::invalid_argument on spans of the wrong size or non-finite entries. A step
/// takes O(n_params) expansions and an eigenvalue decomposition, O(n_params^3).
/// Source: docs of polycore.stationary in Python, where the same algorithm is written with arrays.
void search_stationary(const Program& program, const SquaredDistance& distance, std::span<const std::int64_t> index,
                       const SearchOptions& options, const SearchResult& result);

}  // namespace polycore
