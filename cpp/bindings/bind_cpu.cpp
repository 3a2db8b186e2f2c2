// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "polycore/cpu.hpp"

namespace polycore::bindings {

void bind_cpu(pybind11::module_& m) {
  using namespace pybind11::literals;
  m.def("available_isas", &available_isas);
  m.def("isa", &isa);
  m.def("set_isa", [](const std::string& name) { set_isa(name); }, "name"_a);
}

}  // namespace polycore::bindings
