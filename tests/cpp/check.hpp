// SPDX-License-Identifier: BSD-3-Clause
// A test framework of one page, so that the C++ tests build wherever the library does.
//
//   TEST(name) { CHECK(condition); CHECK_EQUAL(a, b); CHECK_THROWS(expression, Exception); }
//
// A failed check prints itself and the test goes on; the exit code of the program says whether any failed (check.cpp).
#pragma once

#include <cstddef>
#include <ranges>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "polycore/cpu.hpp"

namespace check {

struct Test {
  const char* name;
  void (*run)();
};
std::vector<Test>& tests();
void fail(const char* file, int line, const std::string& what);
/// What the checks that follow are about, printed with failures: "ISA v3".
extern std::string context;

struct Register {
  Register(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

template <class T>
std::string show(const T& value) {
  std::ostringstream out;
  out.precision(17);
  if constexpr (std::ranges::range<T> && !std::is_convertible_v<T, std::string>) {
    out << "{";
    std::size_t n = 0;
    for (const auto& item : value) {
      if (++n > 12) {
        out << " ... (" << std::size(value) << " entries)";
        break;
      }
      out << (n > 1 ? ", " : "") << item;
    }
    out << "}";
  } else {
    out << value;
  }
  return out.str();
}

/// Runs the body once per instruction set this machine has.
template <class F>
void for_each_isa(const F& body) {
  const std::string before = polycore::isa();
  for (const std::string& name : polycore::available_isas()) {
    polycore::set_isa(name);
    context = "ISA " + name;
    body();
  }
  context.clear();
  polycore::set_isa(before);
}

}  // namespace check

#define TEST(name)                                                  \
  static void test_##name();                                        \
  static const check::Register register_##name(#name, test_##name); \
  static void test_##name()

#define CHECK(condition)                                           \
  do {                                                             \
    if (!(condition)) check::fail(__FILE__, __LINE__, #condition); \
  } while (false)

#define CHECK_EQUAL(a, b)                                                                                     \
  do {                                                                                                        \
    const auto& left_ = (a);                                                                                  \
    const auto& right_ = (b);                                                                                 \
    if (!(left_ == right_))                                                                                   \
      check::fail(__FILE__, __LINE__, #a " == " #b ": " + check::show(left_) + " != " + check::show(right_)); \
  } while (false)

#define CHECK_THROWS(expression, Exception)                                                           \
  do {                                                                                                \
    try {                                                                                             \
      static_cast<void>(expression);                                                                  \
      check::fail(__FILE__, __LINE__, #expression " threw nothing");                                  \
    } catch (const Exception&) {                                                                      \
    } catch (const std::exception& e) {                                                               \
      check::fail(__FILE__, __LINE__, #expression " threw something else: " + std::string(e.what())); \
    }                                                                                                 \
  } while (false)
