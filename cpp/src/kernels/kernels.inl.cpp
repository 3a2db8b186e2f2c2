// SPDX-License-Identifier: BSD-3-Clause
// All hot loops, compiled once per instruction set: POLYCORE_ISA names the namespace, POLYCORE_ISA_V3/_V4 the
// registers.
//
// NOTE: include nothing here that defines inline functions or templates with linkage (see kernel_table.hpp), and define
// nothing outside the anonymous namespace but the one accessor at the end.
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include "kernel_table.hpp"

namespace polycore::kernels {
namespace POLYCORE_ISA {
namespace {

#include "simd.inl.hpp"
// clang-format off
#include "rings.inl.hpp"
#include "transpose.inl.hpp"
#include "circuit.inl.hpp"
#include "ring_kernels.inl.hpp"
#include "data_kernels.inl.hpp"
#include "elimination.inl.hpp"
// clang-format on

constexpr KernelTable table = {
    POLYCORE_ISA_NAME,
    ring_kernels<F32>(),
    ring_kernels<F32Lanes>(),
    ring_kernels<F64>(),
    ring_kernels<F64Lanes>(),
    ring_kernels<C128>(),
    ring_kernels<C128Lanes>(),
    ring_kernels<Dual>(),
    ring_kernels<DualLanes>(),
    ring_kernels<ModularRing>(),
    elimination_kernels<BalancedField>(),
    elimination_kernels<LargeField>(),
    panel<double>,
    panel<float>,
    transpose<double>,
    transpose<float>,
    all_finite,
    monomial_rows<double>,
    monomial_rows<float>,
    copy_lines,
    moment_panel,
    hankel_product,
};

}  // namespace
}  // namespace POLYCORE_ISA

const KernelTable& POLYCORE_ISA_ACCESSOR() { return POLYCORE_ISA::table; }

}  // namespace polycore::kernels
