// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/pybind11.h>

namespace polycore::bindings {

void bind_errors(pybind11::module_& m);
void bind_cpu(pybind11::module_& m);
void bind_parallel(pybind11::module_& m);
void bind_product(pybind11::module_& m);
void bind_gram(pybind11::module_& m);
void bind_veronese(pybind11::module_& m);
void bind_moments(pybind11::module_& m);
void bind_program(pybind11::module_& m);
void bind_rank(pybind11::module_& m);
void bind_stationary(pybind11::module_& m);

}  // namespace polycore::bindings
