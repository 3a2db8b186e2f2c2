// SPDX-License-Identifier: BSD-3-Clause
// What a user of the C++ library writes: expand the network (2, 2, 1) with activation z^2 and look at its coefficients.
#include <polycore/polycore.hpp>

#include <array>
#include <cstdio>
#include <vector>

int main() {
  const std::array widths{2, 2, 1};
  const polycore::Program network = polycore::mlp(widths, 2);

  // W1 = [[a, b], [c, d]], W2 = [e, f]: the network is e (a x + b y)^2 + f (c x + d y)^2.
  const double a = 1, b = 2, c = 3, d = -1, e = 2, f = 5;
  const std::vector<double> theta{a, b, c, d, e, f};
  std::vector<double> coef(static_cast<std::size_t>(network.n_outputs()) * network.basis().size());
  network.expand<double>(theta, coef);

  std::printf("polycore %s (%s): %g x^2 %+g xy %+g y^2\n", POLYCORE_VERSION_STRING, polycore::isa().c_str(), coef.at(0),
              coef.at(1), coef.at(2));
  const std::vector<double> expected{a * a * e + c * c * f, 2 * (a * b * e + c * d * f), b * b * e + d * d * f};
  return coef == expected ? 0 : 1;
}
