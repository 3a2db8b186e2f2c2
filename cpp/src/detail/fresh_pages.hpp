// SPDX-License-Identifier: BSD-3-Clause
// New memory is cleared by the system when it is first written.
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace polycore::detail {

/// Has the huge pages of a range that is about to be written in ascending order cleared one by one, in that order.
///
/// Linux clears a huge page such that the place asked for comes last. If that is its beginning, the page is cleared
/// backwards, which memory does at half the speed; so this asks for its end, in time for the rest to be in cache when
/// it is written. Nothing changes in pages that are not new, are small, or belong to others.
class FreshPages {
 public:
  template <class T>
  FreshPages(const T* begin, const T* end) : next_(address(begin)), end_(address(end)) {}

  /// Call before anything below `until` is written.
  template <class T>
  void reach(const T* until) {
    while (next_ < std::min(address(until), end_)) {
      next_ = next_ / kHugePage * kHugePage + kHugePage;
#if defined(MADV_POPULATE_WRITE)
      // No matter whether this succeeds.
      if (next_ <= end_) madvise(reinterpret_cast<void*>(next_ - kPage), kPage, MADV_POPULATE_WRITE);
#endif
    }
  }

 private:
  static constexpr std::uintptr_t kPage = 4096, kHugePage = std::uintptr_t{1} << 21;

  static std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

  std::uintptr_t next_, end_;
};

}  // namespace polycore::detail
