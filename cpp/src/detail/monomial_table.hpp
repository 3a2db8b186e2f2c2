// SPDX-License-Identifier: BSD-3-Clause
// How each monomial is one multiplication away from an earlier one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "polycore/monomials.hpp"
#include "polycore/parallel.hpp"

namespace polycore::detail {

/// Monomials of degree <= D in ascending graded lex order: monomial k >= 1 is monomial parent[k] times variable var[k],
/// the first variable it contains.
struct MonomialTable {
  std::vector<std::uint32_t> parent, var;
  std::vector<std::size_t> degree_begin;  // position of the first monomial of each degree, and the total at the end

  MonomialTable(int n_vars, int degree) {
    parent.push_back(0);
    var.push_back(0);
    degree_begin = {0, 1};
    for (int k = 1; k <= degree; ++k) {
      const std::size_t begin = degree_begin[static_cast<std::size_t>(k) - 1],
                        end = degree_begin[static_cast<std::size_t>(k)];
      for (int i = 0; i < n_vars; ++i) {
        // x_i times the monomials of degree k - 1 in x_i, x_{i+1}, ...: a suffix of their block.
        const std::size_t suffix = count_forms(n_vars - i, k - 1);
        if (suffix > 100'000 || i % 1024 == 1023) poll_interrupt();
        for (std::size_t p = end - suffix; p < end && p >= begin; ++p) {
          parent.push_back(static_cast<std::uint32_t>(p));
          var.push_back(static_cast<std::uint32_t>(i));
        }
      }
      degree_begin.push_back(parent.size());
    }
  }

  std::size_t size() const { return parent.size(); }
};

}  // namespace polycore::detail
