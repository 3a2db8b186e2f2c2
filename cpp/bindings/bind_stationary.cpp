// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/stationary.hpp"

#include <array>
#include <stdexcept>
#include <string>
#include <utility>

#include "arrays.hpp"
#include "bindings.hpp"

namespace polycore::bindings {

namespace {

Stepping stepping(const std::string& name) {
  constexpr std::array<std::pair<const char*, Stepping>, 4> kNames{{{"descent", Stepping::descent},
                                                                    {"stationary", Stepping::stationary},
                                                                    {"index", Stepping::index},
                                                                    {"newton", Stepping::newton}}};
  for (const auto& [known, value] : kNames)
    if (name == known) return value;
  throw std::invalid_argument("`method` must be descent, stationary, index or newton, got " + name);
}

template <class T>
std::span<T> entries(py::array_t<T>& a) {
  return {a.mutable_data(), static_cast<std::size_t>(a.size())};
}

py::tuple search_stationary(const Program& program, const py::array& gram, const py::array& target, double gram_norm,
                            double target_norm, const py::array& starts, const py::array& index,
                            const std::string& method, double tol, int max_steps, int n_threads, bool support) {
  const SquaredDistance distance{input<double>(gram, "gram"), input<double>(target, "target"), gram_norm, target_norm,
                                 support ? Monomials::support : Monomials::basis};
  const SearchOptions options{stepping(method), tol, max_steps, n_threads};
  require(starts.ndim() == 2, "starts", "of shape (batch, n_params)");
  const auto from = input<double>(starts, "starts");
  const auto upwards = input<std::int64_t>(index, "index");
  const py::ssize_t batch = starts.shape(0);
  py::array_t<double> theta({batch, starts.shape(1)}), value(batch), gradient_norm(batch), scale(batch);
  py::array_t<std::uint8_t> converged(batch);
  py::array_t<std::int64_t> n_steps(batch);
  std::copy(from.begin(), from.end(), theta.mutable_data());
  const SearchResult result{entries(theta), entries(value),     entries(gradient_norm),
                            entries(scale), entries(converged), entries(n_steps)};
  {
    const py::gil_scoped_release release;
    polycore::search_stationary(program, distance, upwards, options, result);
  }
  return py::make_tuple(theta, value, gradient_norm, scale, converged, n_steps);
}

}  // namespace

void bind_stationary(py::module_& m) {
  using namespace py::literals;
  m.def("search_stationary", &search_stationary, "program"_a, "gram"_a, "target"_a, "gram_norm"_a, "target_norm"_a,
        "starts"_a, "index"_a, "method"_a, "tol"_a, "max_steps"_a, "n_threads"_a = 0, "support"_a = false);
}

}  // namespace polycore::bindings
