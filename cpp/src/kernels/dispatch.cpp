// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "kernel_table.hpp"
#include "polycore/cpu.hpp"

namespace polycore {
namespace kernels {
namespace {

// NOTE: a path needs everything its compiler flags allow, not only the registers its name mentions.
bool runs(std::string_view name) {
#if defined(__x86_64__)
  if (name == "v3") return __builtin_cpu_supports("x86-64-v3");
  if (name == "v4") return __builtin_cpu_supports("x86-64-v4");
#endif
  return name == "baseline";
}

std::vector<const KernelTable*> tables() {
  std::vector<const KernelTable*> found{&baseline_table()};
#if defined(POLYCORE_HAVE_V3)
  if (runs("v3")) found.push_back(&v3_table());
#endif
#if defined(POLYCORE_HAVE_V4)
  if (runs("v4")) found.push_back(&v4_table());
#endif
  return found;
}

const KernelTable* named(std::string_view name) {
  for (const KernelTable* table : tables())
    if (name == table->isa) return table;
  return nullptr;
}

const KernelTable* initial() {
  const auto found = tables();
  const char* cap = std::getenv("POLYCORE_ISA");
  if (cap == nullptr || *cap == '\0') return found.back();
  if (const KernelTable* table = named(cap)) return table;
  // A cap above what the processor runs is no constraint; a name that is no path at all is a mistake.
  for (const char* known : {"v3", "v4"})
    if (std::string_view(cap) == known) return found.back();
  throw std::invalid_argument("POLYCORE_ISA must be baseline, v3 or v4, got " + std::string(cap));
}

std::atomic<const KernelTable*> current{nullptr};

}  // namespace

const KernelTable& active() {
  const KernelTable* table = current.load(std::memory_order_acquire);
  if (table == nullptr) {
    table = initial();
    current.store(table, std::memory_order_release);
  }
  return *table;
}

}  // namespace kernels

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const kernels::KernelTable* table : kernels::tables()) names.emplace_back(table->isa);
  return names;
}

std::string isa() { return kernels::active().isa; }

void set_isa(std::string_view name) {
  const kernels::KernelTable* table = kernels::named(name);
  if (table == nullptr) throw std::invalid_argument("ISA path '" + std::string(name) + "' is not available here");
  kernels::current.store(table, std::memory_order_release);
}

}  // namespace polycore
