// SPDX-License-Identifier: BSD-3-Clause
#include <complex>

#include "arrays.hpp"
#include "bindings.hpp"
#include "polycore/product.hpp"

namespace polycore::bindings {

namespace {

template <class T>
void product_of(int d, int da, int db, const py::array& a, const py::array& b, py::array& out, int n_threads) {
  const auto x = input<T>(a, "a"), y = input<T>(b, "b");
  const auto z = output<T>(out, "out");
  const py::gil_scoped_release release;
  graded_product<T>(d, da, db, x, y, z, n_threads);
}

template <class T>
void correlation_of(int d, int degree_out, int db, const py::array& m, const py::array& b, py::array& out,
                    int n_threads) {
  const auto x = input<T>(m, "m"), y = input<T>(b, "b");
  const auto z = output<T>(out, "out");
  const py::gil_scoped_release release;
  correlation<T>(d, degree_out, db, x, y, z, n_threads);
}

}  // namespace

void bind_product(py::module_& m) {
  using namespace py::literals;
  m.def(
      "graded_product",
      [](int d, int degree_a, int degree_b, const py::array& a, const py::array& b, py::array out,
         std::uint64_t modulus, int n_threads) {
        if (modulus != 0) {
          const auto x = input<std::uint64_t>(a, "a"), y = input<std::uint64_t>(b, "b");
          const auto z = output<std::uint64_t>(out, "out");
          const py::gil_scoped_release release;
          graded_product(d, degree_a, degree_b, x, y, z, modulus, n_threads);
        } else if (holds<float>(out)) {
          product_of<float>(d, degree_a, degree_b, a, b, out, n_threads);
        } else if (holds<std::complex<double>>(out)) {
          product_of<std::complex<double>>(d, degree_a, degree_b, a, b, out, n_threads);
        } else {
          product_of<double>(d, degree_a, degree_b, a, b, out, n_threads);
        }
      },
      "d"_a, "degree_a"_a, "degree_b"_a, "a"_a, "b"_a, "out"_a, "modulus"_a, "n_threads"_a);
  m.def(
      "correlation",
      [](int d, int degree_out, int degree_b, const py::array& moments, const py::array& b, py::array out,
         std::uint64_t modulus, int n_threads) {
        if (modulus != 0) {
          const auto x = input<std::uint64_t>(moments, "m"), y = input<std::uint64_t>(b, "b");
          const auto z = output<std::uint64_t>(out, "out");
          const py::gil_scoped_release release;
          correlation(d, degree_out, degree_b, x, y, z, modulus, n_threads);
        } else if (holds<float>(out)) {
          correlation_of<float>(d, degree_out, degree_b, moments, b, out, n_threads);
        } else if (holds<std::complex<double>>(out)) {
          correlation_of<std::complex<double>>(d, degree_out, degree_b, moments, b, out, n_threads);
        } else {
          correlation_of<double>(d, degree_out, degree_b, moments, b, out, n_threads);
        }
      },
      "d"_a, "degree_out"_a, "degree_b"_a, "m"_a, "b"_a, "out"_a, "modulus"_a, "n_threads"_a);
}

}  // namespace polycore::bindings
