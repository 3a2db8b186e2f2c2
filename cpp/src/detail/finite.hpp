// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <complex>
#include <cstddef>
#include <span>
#include <string>

#include "../kernels/kernel_table.hpp"
#include "polycore/error.hpp"

namespace polycore::detail {

inline bool all_finite(std::span<const double> x) { return kernels::active().all_finite(x.size(), x.data()); }
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
