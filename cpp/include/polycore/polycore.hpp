// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Everything: networks with polynomial activations as polynomials.
#include "polycore/cpu.hpp"
#include "polycore/error.hpp"
#include "polycore/gram.hpp"
#include "polycore/modular.hpp"
#include "polycore/moments.hpp"
#include "polycore/monomials.hpp"
#include "polycore/networks.hpp"
#include "polycore/parallel.hpp"
#include "polycore/product.hpp"
#include "polycore/program.hpp"
#include "polycore/rank.hpp"
#include "polycore/stationary.hpp"
#include "polycore/support.hpp"
#include "polycore/veronese.hpp"
#include "polycore/version.hpp"
