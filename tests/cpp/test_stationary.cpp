// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/stationary.hpp"
#include "check.hpp"
