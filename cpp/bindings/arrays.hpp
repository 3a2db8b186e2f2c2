// SPDX-License-Identifier: BSD-3-Clause
// The only place where numpy arrays become spans. Python's _validation.py has checked shapes, types and values; here is
// checked again what memory safety needs, because _core can be reached directly.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "polycore/moments.hpp"

namespace polycore::bindings {

namespace py = pybind11;

template <class T>
bool holds(const py::array& a) {
  return py::isinstance<py::array_t<T>>(a);
}

inline void require(bool ok, const char* name, const char* what) {
  if (!ok) throw std::invalid_argument(std::string("`") + name + "` must be " + what);
}

inline bool aligned(const py::array& a) { return (a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0; }
inline bool contiguous(const py::array& a) { return (a.flags() & py::array::c_style) != 0; }

/// A read-only view of a C-contiguous array of exactly this dtype.
template <class T>
std::span<const T> input(const py::array& a, const char* name) {
  if (!holds<T>(a))
    throw py::type_error(std::string("`") + name + "` has the wrong dtype: " + std::string(py::str(a.dtype())));
  require(contiguous(a) && aligned(a), name, "C-contiguous and aligned");
  return {static_cast<const T*>(a.data()), static_cast<std::size_t>(a.size())};
}

/// A writable view of a C-contiguous array of exactly this dtype; nothing is converted.
template <class T>
std::span<T> output(py::array& a, const char* name) {
  if (!holds<T>(a))
    throw py::type_error(std::string("`") + name + "` has the wrong dtype: " + std::string(py::str(a.dtype())));
  require(contiguous(a) && aligned(a), name, "C-contiguous and aligned");
  require(a.writeable(), name, "writable");
  return {static_cast<T*>(a.mutable_data()), static_cast<std::size_t>(a.size())};
}

/// The leading axes of `a` (all but the last), with `tail` appended.
inline std::vector<py::ssize_t> batch_shape(const py::array& a, std::initializer_list<std::size_t> tail) {
  std::vector<py::ssize_t> shape(a.shape(), a.shape() + (a.ndim() > 0 ? a.ndim() - 1 : 0));
  for (const std::size_t n : tail) shape.push_back(static_cast<py::ssize_t>(n));
  return shape;
}

/// A strided view of a two-dimensional array of exactly this dtype.
template <class T>
MatrixView<T> matrix(const py::array& a, const char* name) {
  if (!holds<T>(a))
    throw py::type_error(std::string("`") + name + "` has the wrong dtype: " + std::string(py::str(a.dtype())));
  require(a.ndim() == 2, name, "two-dimensional");
  require(aligned(a), name, "aligned");
  constexpr auto size = static_cast<py::ssize_t>(sizeof(T));
  require(a.strides(0) % size == 0 && a.strides(1) % size == 0, name, "strided by whole items");
  return {static_cast<const T*>(a.data()), static_cast<std::size_t>(a.shape(0)), static_cast<std::size_t>(a.shape(1)),
          a.strides(0) / size, a.strides(1) / size};
}

inline py::array_t<double> to_array(const std::vector<double>& values, std::vector<py::ssize_t> shape) {
  py::array_t<double> result(std::move(shape));
  std::copy(values.begin(), values.end(), result.mutable_data());
  return result;
}

}  // namespace polycore::bindings
