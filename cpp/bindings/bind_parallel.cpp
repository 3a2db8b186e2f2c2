// SPDX-License-Identifier: BSD-3-Clause
#include "bindings.hpp"
#include "polycore/parallel.hpp"

namespace polycore::bindings {

namespace py = pybind11;

namespace {

// Called without the GIL, at most every 50 ms. Signals are delivered on Python's main thread only; elsewhere this is a
// no-op.
bool signal_pending() {
  if (!Py_IsInitialized()) return false;
  const py::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;
}

}  // namespace

void bind_parallel(py::module_& m) {
  m.def("default_threads", &default_threads);
  set_interrupt_hook(&signal_pending);
}

}  // namespace polycore::bindings
