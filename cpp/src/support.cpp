// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/support.hpp"

#include <utility>

#include "polycore/monomials.hpp"

namespace polycore {

MonomialSupport::MonomialSupport(int n_vars, int degree, bool homogeneous, std::vector<std::uint32_t> letters,
                                 std::size_t size)
    : n_vars_(n_vars), degree_(degree), homogeneous_(homogeneous), letters_(std::move(letters)), size_(size) {}

std::vector<int> MonomialSupport::exponent(std::size_t k) const {
  std::vector<int> exponents(static_cast<std::size_t>(n_vars_));
  for (const std::uint32_t letter : word(k))
    if (letter != 0) ++exponents[letter - 1];
  return exponents;
}

// Before a word come those with a smaller letter at some place and the same letters before it: of the forms of that
// degree in the letters from the one before on, those that are not in the letters from this one on.
std::vector<std::uint64_t> MonomialSupport::positions() const {
  const int hidden = homogeneous_ ? 0 : 1, d = n_vars_ + hidden;
  const FormCounts counts(d, degree_);
  std::vector<std::uint64_t> positions;
  positions.reserve(size_);
  for (std::size_t k = 0; k < size_; ++k) {
    std::uint64_t rank = 0;
    int before = 0, left = degree_;
    for (const std::uint32_t letter : word(k)) {
      const int variable = static_cast<int>(letter) - 1 + hidden;
      rank += counts(d - before, left) - counts(d - variable, left);
      before = variable;
      --left;
    }
    positions.push_back(rank);
  }
  return positions;
}

}  // namespace polycore
