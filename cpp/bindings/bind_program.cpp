// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/program.hpp"

#include <pybind11/complex.h>
#include <pybind11/stl.h>

#include <cmath>
#include <complex>
#include <limits>
#include <optional>
#include <type_traits>

#include "arrays.hpp"
#include "bindings.hpp"

namespace polycore::bindings {

namespace {

/// Numbers, or None for an indeterminate.
std::vector<double> coefficients(const py::handle& list) {
  std::vector<double> result;
  for (const auto& c : list.cast<std::vector<std::optional<double>>>()) {
    if (c && std::isnan(*c)) throw std::invalid_argument("`coefficients` must be finite or None");
    result.push_back(c.value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  return result;
}

/// Field k of the tuple of an instruction.
template <class T>
T field(const py::sequence& parts, std::size_t k) {
  return parts[k].cast<T>();
}

Affine affine(const py::sequence& parts) {
  Affine result{field<int>(parts, 1), field<int>(parts, 2), field<bool>(parts, 3)};
  if (parts.size() == 5) {
    result.windows = field<std::vector<std::vector<int>>>(parts, 4);
    if (result.windows.empty()) throw std::invalid_argument("`windows` must not be empty");
  }
  return result;
}

Instruction make_instruction(const py::sequence& parts) {
  const auto kind = parts.empty() ? std::string() : field<std::string>(parts, 0);
  const std::size_t size = parts.size();
  if (kind == "affine" && (size == 4 || size == 5)) return affine(parts);
  if (kind == "activation" && size == 3) return Activation{field<int>(parts, 1), coefficients(parts[2])};
  if (kind == "select" && size == 3) return Select{field<int>(parts, 1), field<std::vector<int>>(parts, 2)};
  if (kind == "add" && size == 2) return Add{field<std::vector<int>>(parts, 1)};
  if (kind == "matmul" && size == 8)
    return MatMul{field<int>(parts, 1), field<int>(parts, 2),  field<int>(parts, 3), field<int>(parts, 4),
                  field<int>(parts, 5), field<bool>(parts, 6), field<bool>(parts, 7)};
  throw std::invalid_argument("`instructions` must hold affine, activation, select, add and matmul tuples, got '" +
                              kind + "' of length " + std::to_string(size));
}

Program make_program(int n_inputs, const py::sequence& list, const std::string& method) {
  std::vector<Instruction> instructions;
  for (const auto& item : list) instructions.push_back(make_instruction(item.cast<py::sequence>()));
  if (method == "auto") return Program(n_inputs, std::move(instructions));
  if (method == "forms") return Program(n_inputs, std::move(instructions), Method::forms);
  if (method == "circuit") return Program(n_inputs, std::move(instructions), Method::circuit);
  throw std::invalid_argument("`method` must be auto, forms or circuit, got '" + method + "'");
}

std::size_t n_monomials(const Program& p) { return static_cast<std::size_t>(p.basis().size()); }

/// NOTE: while one thread looks for the support and answers interrupts, others may wait for it: not with the GIL.
const MonomialSupport& find_support(const Program& p) {
  const py::gil_scoped_release release;
  return p.support();
}
bool uses_circuit(const Program& p) {
  const py::gil_scoped_release release;
  return p.uses_circuit();
}

/// The words of the support, (n, degree).
py::array_t<std::uint32_t> support(const Program& p) {
  const MonomialSupport& found = find_support(p);
  py::array_t<std::uint32_t> words({static_cast<py::ssize_t>(found.size()), static_cast<py::ssize_t>(found.degree())});
  std::ranges::copy(found.letters(), words.mutable_data());
  return words;
}

Monomials monomials(bool on_support) { return on_support ? Monomials::support : Monomials::basis; }

std::size_t n_monomials(const Program& p, bool on_support) {
  return on_support ? find_support(p).size() : n_monomials(p);
}

std::size_t checked(std::size_t a, std::size_t b) {
  std::size_t result = 0;
  if (__builtin_mul_overflow(a, b, &result) ||
      result > static_cast<std::size_t>(std::numeric_limits<py::ssize_t>::max()) / 16)
    throw std::overflow_error("the result has more entries than memory can address");
  return result;
}

/// `out` if given, else a new array.
template <class T>
py::array result_array(const std::optional<py::array>& out, const std::vector<py::ssize_t>& shape) {
  if (!out) return py::array_t<T>(shape);
  require(out->ndim() == static_cast<py::ssize_t>(shape.size()) && std::equal(shape.begin(), shape.end(), out->shape()),
          "out", "of the result's shape");
  return *out;
}

void check_theta(const Program& p, const py::array& theta) {
  require(theta.ndim() >= 1 && static_cast<std::size_t>(theta.shape(theta.ndim() - 1)) == p.n_params(), "theta",
          "of shape (..., n_params)");
}

std::size_t batch_of(const py::array& theta) {
  std::size_t batch = 1;
  for (py::ssize_t i = 0; i + 1 < theta.ndim(); ++i) batch = checked(batch, static_cast<std::size_t>(theta.shape(i)));
  return batch;
}

using OptionalArray = std::optional<py::array>;

/// Fills the result array in the ring of theta: `body.operator()<T>(field, result)`, where `field` is a
/// Program::Modular if T is std::uint64_t and unused otherwise. The body converts its inputs, then releases the GIL.
template <class Body>
py::array compute(const py::array& theta, const OptionalArray& out, const std::vector<py::ssize_t>& shape,
                  std::uint64_t modulus, const OptionalArray& constants, const Body& body) {
  const auto run = [&]<class T>(const Program::Modular& field) {
    py::array result = result_array<T>(out, shape);
    body.template operator()<T>(field, output<T>(result, "out"));
    return result;
  };
  if (modulus != 0) {
    if (!constants) throw std::invalid_argument("`constants` is required with `modulus`");
    return run.template operator()<std::uint64_t>({modulus, input<std::uint64_t>(*constants, "constants")});
  }
  if (holds<std::complex<double>>(theta)) return run.template operator()<std::complex<double>>({});
  return run.template operator()<double>({});
}

template <class T>
constexpr bool is_exact = std::is_same_v<T, std::uint64_t>;

/// (..., n_outputs, n_monomials)
std::vector<py::ssize_t> coefficient_shape(const Program& p, const py::array& theta, bool on_support) {
  check_theta(p, theta);
  const std::size_t outputs = static_cast<std::size_t>(p.n_outputs()), n = n_monomials(p, on_support);
  checked(batch_of(theta), checked(outputs, n));
  return batch_shape(theta, {outputs, n});
}

py::array evaluate(const Program& p, const py::array& theta, const py::array& X, const OptionalArray& out,
                   std::uint64_t modulus, const OptionalArray& constants, int n_threads) {
  check_theta(p, theta);
  require(X.ndim() == 2 && X.shape(1) == p.n_inputs(), "X", "of shape (n_samples, n_inputs)");
  const auto n = static_cast<std::size_t>(X.shape(0)), outputs = static_cast<std::size_t>(p.n_outputs());
  checked(batch_of(theta), checked(n, outputs));
  return compute(theta, out, batch_shape(theta, {n, outputs}), modulus, constants,
                 [&]<class T>(const Program::Modular& field, std::span<T> result) {
                   const auto t = input<T>(theta, "theta"), x = input<T>(X, "X");
                   const py::gil_scoped_release release;
                   if constexpr (is_exact<T>)
                     p.evaluate(field, t, x, result, n_threads);
                   else
                     p.evaluate<T>(t, x, result, n_threads);
                 });
}

py::array evaluate_vjp(const Program& p, const py::array& theta, const py::array& X, const py::array& dY,
                       const OptionalArray& out, std::uint64_t modulus, const OptionalArray& constants, int n_threads) {
  check_theta(p, theta);
  require(X.ndim() == 2 && X.shape(1) == p.n_inputs(), "X", "of shape (n_samples, n_inputs)");
  require(dY.ndim() == 2 && dY.shape(0) == X.shape(0) && dY.shape(1) == p.n_outputs(), "dY",
          "of shape (n_samples, n_outputs)");
  const auto n = static_cast<std::size_t>(X.shape(0));
  checked(batch_of(theta), checked(n, p.n_params()));
  return compute(theta, out, batch_shape(theta, {n, p.n_params()}), modulus, constants,
                 [&]<class T>(const Program::Modular& field, std::span<T> result) {
                   const auto t = input<T>(theta, "theta"), x = input<T>(X, "X"), y = input<T>(dY, "dY");
                   const py::gil_scoped_release release;
                   if constexpr (is_exact<T>)
                     p.evaluate_vjp(field, t, x, y, result, n_threads);
                   else
                     p.evaluate_vjp<T>(t, x, y, result, n_threads);
                 });
}

py::array expand(const Program& p, const py::array& theta, const OptionalArray& out, std::uint64_t modulus,
                 const OptionalArray& constants, int n_threads, bool support) {
  return compute(theta, out, coefficient_shape(p, theta, support), modulus, constants,
                 [&]<class T>(const Program::Modular& field, std::span<T> result) {
                   const auto t = input<T>(theta, "theta");
                   const py::gil_scoped_release release;
                   if constexpr (is_exact<T>)
                     p.expand(field, t, result, n_threads, monomials(support));
                   else
                     p.expand<T>(t, result, n_threads, monomials(support));
                 });
}

py::array jacobian(const Program& p, const py::array& theta, const OptionalArray& out, std::uint64_t modulus,
                   const OptionalArray& constants, int n_threads, bool support) {
  check_theta(p, theta);
  const std::size_t rows = checked(static_cast<std::size_t>(p.n_outputs()), n_monomials(p, support));
  checked(batch_of(theta), checked(rows, p.n_params()));
  return compute(theta, out, batch_shape(theta, {rows, p.n_params()}), modulus, constants,
                 [&]<class T>(const Program::Modular& field, std::span<T> result) {
                   const auto t = input<T>(theta, "theta");
                   const py::gil_scoped_release release;
                   if constexpr (is_exact<T>)
                     p.jacobian(field, t, result, n_threads, monomials(support));
                   else
                     p.jacobian<T>(t, result, n_threads, monomials(support));
                 });
}

py::array jvp(const Program& p, const py::array& theta, const py::array& dtheta, const OptionalArray& out,
              std::uint64_t modulus, const OptionalArray& constants, int n_threads, bool support) {
  return compute(theta, out, coefficient_shape(p, theta, support), modulus, constants,
                 [&]<class T>(const Program::Modular& field, std::span<T> result) {
                   const auto t = input<T>(theta, "theta"), dt = input<T>(dtheta, "dtheta");
                   const py::gil_scoped_release release;
                   if constexpr (is_exact<T>)
                     p.jvp(field, t, dt, result, n_threads, monomials(support));
                   else
                     p.jvp<T>(t, dt, result, n_threads, monomials(support));
                 });
}

py::array vjp(const Program& p, const py::array& theta, const py::array& dcoef, const OptionalArray& out,
              std::uint64_t modulus, const OptionalArray& constants, int n_threads, bool support) {
  check_theta(p, theta);
  return compute(theta, out, batch_shape(theta, {p.n_params()}), modulus, constants,
                 [&]<class T>(const Program::Modular& field, std::span<T> result) {
                   const auto t = input<T>(theta, "theta"), c = input<T>(dcoef, "dcoef");
                   const py::gil_scoped_release release;
                   if constexpr (is_exact<T>)
                     p.vjp(field, t, c, result, n_threads, monomials(support));
                   else
                     p.vjp<T>(t, c, result, n_threads, monomials(support));
                 });
}

py::array vjp_tangent(const Program& p, const py::array& theta, const py::array& dtheta, const py::array& dcoef,
                      const py::array& ddcoef, const OptionalArray& out, int n_threads, bool support) {
  check_theta(p, theta);
  const auto x = input<double>(theta, "theta"), dx = input<double>(dtheta, "dtheta");
  const auto c = input<double>(dcoef, "dcoef"), dc = input<double>(ddcoef, "ddcoef");
  py::array y = result_array<double>(out, batch_shape(theta, {p.n_params()}));
  const auto z = output<double>(y, "out");
  const py::gil_scoped_release release;
  p.vjp_tangent(x, dx, c, dc, z, n_threads, monomials(support));
  return y;
}

py::tuple loss_gradient(const Program& p, const py::array& theta, const py::array& gram, const py::array& target,
                        int n_threads, bool support) {
  check_theta(p, theta);
  const auto x = input<double>(theta, "theta"), q = input<double>(gram, "gram"), t = input<double>(target, "target");
  py::array_t<double> value(batch_shape(theta, {})), gradient(batch_shape(theta, {p.n_params()}));
  const std::span<double> v{value.mutable_data(), static_cast<std::size_t>(value.size())};
  const std::span<double> g{gradient.mutable_data(), static_cast<std::size_t>(gradient.size())};
  {
    const py::gil_scoped_release release;
    p.loss_gradient(x, q, t, v, g, n_threads, monomials(support));
  }
  return py::make_tuple(value, gradient);
}

}  // namespace

void bind_program(py::module_& m) {
  using namespace py::literals;
  const auto no_array = py::none();
  py::class_<Program>(m, "Program")
      .def(py::init(&make_program), "n_inputs"_a, "instructions"_a, "method"_a = "auto")
      .def_property_readonly("n_inputs", &Program::n_inputs)
      .def_property_readonly("n_outputs", &Program::n_outputs)
      .def_property_readonly("n_params", &Program::n_params)
      .def_property_readonly("degree", &Program::degree)
      .def_property_readonly("homogeneous", &Program::homogeneous)
      .def_property_readonly("n_monomials", [](const Program& p) { return n_monomials(p); })
      .def_property_readonly("uses_circuit", &uses_circuit)
      .def("support", &support)
      .def("evaluate", &evaluate, "theta"_a, "X"_a, "out"_a = no_array, "modulus"_a = 0, "constants"_a = no_array,
           "n_threads"_a = 0)
      .def("evaluate_vjp", &evaluate_vjp, "theta"_a, "X"_a, "dY"_a, "out"_a = no_array, "modulus"_a = 0,
           "constants"_a = no_array, "n_threads"_a = 0)
      .def("expand", &expand, "theta"_a, "out"_a = no_array, "modulus"_a = 0, "constants"_a = no_array,
           "n_threads"_a = 0, "support"_a = false)
      .def("jacobian", &jacobian, "theta"_a, "out"_a = no_array, "modulus"_a = 0, "constants"_a = no_array,
           "n_threads"_a = 0, "support"_a = false)
      .def("jvp", &jvp, "theta"_a, "dtheta"_a, "out"_a = no_array, "modulus"_a = 0, "constants"_a = no_array,
           "n_threads"_a = 0, "support"_a = false)
      .def("vjp", &vjp, "theta"_a, "dcoef"_a, "out"_a = no_array, "modulus"_a = 0, "constants"_a = no_array,
           "n_threads"_a = 0, "support"_a = false)
      .def("vjp_tangent", &vjp_tangent, "theta"_a, "dtheta"_a, "dcoef"_a, "ddcoef"_a, "out"_a = no_array,
           "n_threads"_a = 0, "support"_a = false)
      .def("loss_gradient", &loss_gradient, "theta"_a, "gram"_a, "target"_a, "n_threads"_a = 0, "support"_a = false);
}

}  // namespace polycore::bindings
