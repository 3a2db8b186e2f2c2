// SPDX-License-Identifier: BSD-3-Clause
// From a scalar type to its two tables of kernels.
#pragma once

#include <complex>
#include <cstdint>

#include "../kernels/kernel_table.hpp"
#include "program_plan.hpp"

namespace polycore::detail {

struct RingPair {
  const kernels::RingKernels* single;
  const kernels::RingKernels* lanes;  // null when the ring has no laned kernels
};

template <class T>
RingPair rings_of();
template <>
inline RingPair rings_of<float>() {
  return {&kernels::active().f32, &kernels::active().f32_lanes};
}
template <>
inline RingPair rings_of<double>() {
  return {&kernels::active().f64, &kernels::active().f64_lanes};
}
template <>
inline RingPair rings_of<std::complex<double>>() {
  return {&kernels::active().c128, &kernels::active().c128_lanes};
}
template <>
inline RingPair rings_of<DualNumber>() {
  return {&kernels::active().dual, &kernels::active().dual_lanes};
}
template <>
inline RingPair rings_of<std::uint64_t>() {
  return {&kernels::active().gfp, nullptr};
}

/// One member goes through the scalar kernels, several through the laned ones: the bits are the same.
inline const kernels::RingKernels& choose(const RingPair& rings, std::size_t members) {
  return members > 1 && rings.lanes ? *rings.lanes : *rings.single;
}

}  // namespace polycore::detail
