// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdexcept>
#include <string>

/// Wrong values and shapes are std::invalid_argument, counts past 64 bits std::overflow_error, memory std::bad_alloc;
/// the two classes here are the library's own.
namespace polycore {

/// A computation failed numerically: a result overflowed to infinity.
class NumericalError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A long computation was stopped by the interrupt hook (parallel.hpp). Objects are as before; output spans hold no
/// result, but may have been written to.
class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

}  // namespace polycore
