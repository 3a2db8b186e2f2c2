// SPDX-License-Identifier: BSD-3-Clause
#include "check.hpp"

#include <atomic>
#include <cstdio>
#include <exception>

namespace check {

std::string context;

namespace {
std::atomic<int> failures{0};
}

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

void fail(const char* file, int line, const std::string& what) {
  // A broken kernel fails thousands of checks; the first ones tell.
  if (++failures <= 20)
    std::printf("%s:%d: %s%s%s\n", file, line, context.c_str(), context.empty() ? "" : ": ", what.c_str());
}

}  // namespace check

int main() {
  for (const check::Test& test : check::tests()) {
    const int before = check::failures;
    try {
      test.run();
    } catch (const std::exception& e) {
      check::fail(test.name, 0, std::string("unexpected exception: ") + e.what());
    }
    std::printf("%-6s %s\n", check::failures == before ? "ok" : "FAILED", test.name);
    std::fflush(stdout);
  }
  return check::failures == 0 ? 0 : 1;
}
