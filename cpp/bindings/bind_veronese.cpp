// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/veronese.hpp"

#include "arrays.hpp"
#include "bindings.hpp"

namespace polycore::bindings {

namespace {

template <class T>
void veronese_of(const py::array& X, int degree, bool homogeneous, py::array& out, int n_threads) {
  const auto x = input<T>(X, "X");
  require(X.ndim() == 2 && out.ndim() == 2, "X", "two-dimensional, like `out`");
  if (!holds<T>(out)) throw py::type_error("`out` must have the dtype of `X`");
  const bool by_rows = contiguous(out);
  require(by_rows || (out.flags() & py::array::f_style) != 0, "out", "C- or F-contiguous");
  require(out.writeable() && aligned(out), "out", "writable and aligned");
  const std::span<T> z{static_cast<T*>(out.mutable_data()), static_cast<std::size_t>(out.size())};
  const auto n_samples = static_cast<std::size_t>(X.shape(0));
  const int n_vars = static_cast<int>(X.shape(1));
  const py::gil_scoped_release release;
  veronese<T>(n_samples, n_vars, degree, homogeneous, x, z, by_rows ? Order::row_major : Order::column_major,
              n_threads);
}

}  // namespace

void bind_veronese(py::module_& m) {
  using namespace py::literals;
  m.def(
      "veronese",
      [](const py::array& X, int degree, bool homogeneous, py::array out, int n_threads) {
        if (holds<float>(X))
          veronese_of<float>(X, degree, homogeneous, out, n_threads);
        else
          veronese_of<double>(X, degree, homogeneous, out, n_threads);
      },
      "X"_a, "degree"_a, "homogeneous"_a, "out"_a, "n_threads"_a);
}

}  // namespace polycore::bindings
