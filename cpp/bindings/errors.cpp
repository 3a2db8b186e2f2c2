// SPDX-License-Identifier: BSD-3-Clause
// The only place that maps C++ exceptions to Python. pybind11 itself maps std::invalid_argument to ValueError,
// std::overflow_error to OverflowError and std::bad_alloc to MemoryError.
#include <exception>
#include <new>
#include <stdexcept>

#include "bindings.hpp"
#include "polycore/error.hpp"

namespace polycore::bindings {

namespace py = pybind11;

void bind_errors(py::module_&) {
  py::register_local_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const Interrupted&) {
      // The hook's PyErr_CheckSignals has run the signal handler; its exception (KeyboardInterrupt, normally) is
      // pending.
      if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
    } catch (const NumericalError& e) {
      const py::object type = py::module_::import("polycore.errors").attr("NumericalError");
      PyErr_SetString(type.ptr(), e.what());
    } catch (const std::bad_alloc&) {
      PyErr_SetString(PyExc_MemoryError, "not enough memory for the work space of this call; ask for less at a time");
    } catch (const std::length_error&) {
      PyErr_SetString(PyExc_OverflowError, "the work space of this call is beyond what memory can address");
    } catch (const py::cast_error& e) {
      PyErr_SetString(PyExc_TypeError, e.what());  // pybind11 would make it a RuntimeError
    }
  });
}

}  // namespace polycore::bindings
