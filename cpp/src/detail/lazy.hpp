// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

namespace polycore::detail {

/// A value built on first use, by one thread while the others wait. When building throws, the next call builds anew.
/// NOTE: that is what std::call_once promises, but after an exception it hangs on some systems and under the thread
/// sanitizer.
template <class T>
class Lazy {
 public:
  template <class Build>
  const T& get(const Build& build) const {
    if (const T* ready = ready_.load(std::memory_order_acquire)) return *ready;
    const std::lock_guard lock(mutex_);
    if (!value_) {
      value_ = std::make_unique<const T>(build());
      ready_.store(value_.get(), std::memory_order_release);
    }
    return *value_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::unique_ptr<const T> value_;
  mutable std::atomic<const T*> ready_{nullptr};
};

}  // namespace polycore::detail
