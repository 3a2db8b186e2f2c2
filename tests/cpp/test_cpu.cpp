// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "polycore/polycore.hpp"

TEST(first_choice_obeys_the_environment) {  // NOTE: first, before any test forces a path
  const auto isas = polycore::available_isas();
  const char* cap = std::getenv("POLYCORE_ISA");
  const bool capped = cap != nullptr && std::ranges::find(isas, cap) != isas.end();
  CHECK_EQUAL(polycore::isa(), capped ? std::string(cap) : isas.back());
}

TEST(every_available_path_can_be_forced) {
  const auto isas = polycore::available_isas();
  CHECK_EQUAL(isas.front(), std::string("baseline"));
  for (const auto& name : isas) {
    polycore::set_isa(name);
    CHECK_EQUAL(polycore::isa(), name);
  }
}

TEST(unknown_paths_are_refused) {
  const std::string before = polycore::isa();
  for (const char* name : {"", "v9", "V3", "avx2"}) CHECK_THROWS(polycore::set_isa(name), std::invalid_argument);
  CHECK_EQUAL(polycore::isa(), before);
}

TEST(version_is_written_three_ways) {
  CHECK_EQUAL(std::string(POLYCORE_VERSION_STRING), std::to_string(POLYCORE_VERSION_MAJOR) + "." +
                                                        std::to_string(POLYCORE_VERSION_MINOR) + "." +
                                                        std::to_string(POLYCORE_VERSION_PATCH));
}
