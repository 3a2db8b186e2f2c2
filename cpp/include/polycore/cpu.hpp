// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>
#include <string_view>
#include <vector>

/// The instruction-set paths of the kernels, chosen at run time.
namespace polycore {

/// Paths this library has and this processor runs, slowest first: "baseline", "v3" (AVX2 + FMA), "v4" (AVX-512).
std::vector<std::string> available_isas();

/// The path in use: the best available one, capped by the environment variable POLYCORE_ISA at first use.
std::string isa();

/// Force a path; std::invalid_argument when it is not available. Not while other threads compute.
void set_isa(std::string_view name);

}  // namespace polycore
