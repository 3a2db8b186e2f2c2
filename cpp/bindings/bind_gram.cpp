// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/gram.hpp"

#include "arrays.hpp"
#include "bindings.hpp"

namespace polycore::bindings {

void bind_gram(py::module_& m) {
  using namespace py::literals;
  m.attr("HANKEL_PADDING") = kHankelPadding;
  m.def(
      "hankel_matrix",
      [](int d, int degree_rows, int degree_cols, const py::array& moments, py::array out) {
        const auto x = input<double>(moments, "m");
        const auto z = output<double>(out, "out");
        const py::gil_scoped_release release;
        hankel_matrix(d, degree_rows, degree_cols, x, z);
      },
      "d"_a, "degree_rows"_a, "degree_cols"_a, "m"_a, "out"_a);
  m.def(
      "hankel_product",
      [](int d, int degree_out, int degree_in, const py::array& padded_moments, const py::array& c, py::array out,
         int n_threads) {
        const auto x = input<double>(padded_moments, "padded_moments"), y = input<double>(c, "c");
        const auto z = output<double>(out, "out");
        const py::gil_scoped_release release;
        hankel_product(d, degree_out, degree_in, x, y, z, n_threads);
      },
      "d"_a, "degree_out"_a, "degree_in"_a, "padded_moments"_a, "c"_a, "out"_a, "n_threads"_a);
}

}  // namespace polycore::bindings
