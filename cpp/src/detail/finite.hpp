// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <complex>
#include <cstddef>
#include <span>
#include <string>

#include "polycore/error.hpp"

namespace polycore::detail {

/// True when every entry is finite: x - x is 0 for finite x and NaN otherwise, so one sum decides, without branches.
inline bool all_finite(std::span<const double> x) {
  double sums[8] = {};
  std::size_t i = 0;
  for (; i + 8 <= x.size(); i += 8)
    for (std::size_t k = 0; k < 8; ++k) sums[k] += x[i + k] - x[i + k];
  double sum = 0.0;
  for (; i < x.size(); ++i) sum += x[i] - x[i];
  for (const double s : sums) sum += s;
  return sum == 0.0;
}
inline std::span<const double> as_reals(std::span<const double> x) { return x; }
inline std::span<const double> as_reals(std::span<const std::complex<double>> x) {
  return {reinterpret_cast<const double*>(x.data()), 2 * x.size()};  // the array layout of std::complex is guaranteed
}

/// std::invalid_argument naming the argument and the first bad entry: its flat index, or its row for `columns` > 0.
template <class T>
void require_finite(std::span<const T> x, const char* name, std::size_t columns = 0) {
  if (all_finite(as_reals(x))) return;
  std::size_t i = 0;
  while (all_finite(as_reals(x.subspan(i, 1)))) ++i;
  throw std::invalid_argument(std::string("`") + name + "` must be finite, got NaN or infinity " +
                              (columns ? "in row " + std::to_string(i / columns) : "at entry " + std::to_string(i)));
}

template <class T>
void require_no_overflow(std::span<const T> x, const char* what) {
  if (!all_finite(as_reals(x)))
    throw NumericalError(std::string(what) +
                         ": a result overflowed to infinity; scale the parameters or the data down");
}

}  // namespace polycore::detail
