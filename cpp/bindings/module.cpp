// SPDX-License-Identifier: BSD-3-Clause
#include "bindings.hpp"
#include "polycore/version.hpp"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  using namespace polycore::bindings;
  m.doc() = "The compiled kernels of polycore. Arguments are checked in polycore._validation, not here.";
  m.attr("__version__") = POLYCORE_VERSION_STRING;
  bind_errors(m);
  bind_cpu(m);
  bind_parallel(m);
  bind_product(m);
  bind_gram(m);
  bind_veronese(m);
  bind_moments(m);
  bind_program(m);
  bind_rank(m);
  bind_stationary(m);
}
