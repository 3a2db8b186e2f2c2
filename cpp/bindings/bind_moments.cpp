// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/moments.hpp"

#include <pybind11/stl.h>

#include <mutex>

#include "arrays.hpp"
#include "bindings.hpp"

namespace polycore::bindings {

namespace {

/// Moments with a lock: an update runs without the GIL, so another Python thread may arrive meanwhile.
struct Accumulator {
  Accumulator(int n_vars_, int degree, int n_targets_, int cross_degree, bool homogeneous)
      : moments(n_vars_, degree, n_targets_, cross_degree, homogeneous), n_vars(n_vars_), n_targets(n_targets_) {}

  Moments moments;
  int n_vars, n_targets;
  std::mutex mutex;

  // NOTE: the GIL is released before the lock is taken, so a waiting thread never holds it.
  template <class F>
  auto locked(const F& f) {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex);
    return f();
  }
};

template <class T>
void update(Accumulator& self, const py::array& X, const py::array& Y, int n_threads) {
  const auto x = matrix<T>(X, "X");
  const auto y = self.n_targets ? matrix<T>(Y, "Y") : MatrixView<T>{};
  self.locked([&] { self.moments.update(x, y, n_threads); });
}

py::tuple finalized(Accumulator& self) {
  const std::vector<double> all = self.locked([&] { return self.moments.finalized(); });
  const auto m = static_cast<py::ssize_t>(self.moments.n_moments()),
             c = static_cast<py::ssize_t>(self.moments.n_cross());
  const py::ssize_t t = self.n_targets;
  const auto part = [&](py::ssize_t begin, std::vector<py::ssize_t> shape) {
    py::array_t<double> result(std::move(shape));
    std::copy_n(all.begin() + begin, result.size(), result.mutable_data());
    return result;
  };
  return py::make_tuple(part(0, {m}), part(m, {t, c}), part(m + t * c, {t, t}));
}

py::dict state(Accumulator& self) {
  const Moments::State s = self.locked([&] { return self.moments.state(); });
  const auto size = static_cast<py::ssize_t>(self.moments.size()), k = static_cast<py::ssize_t>(s.levels.size());
  std::vector<double> stack;
  for (const auto& sums : s.sums) stack.insert(stack.end(), sums.begin(), sums.end());
  py::array_t<std::int64_t> levels(k);
  std::copy(s.levels.begin(), s.levels.end(), levels.mutable_data());
  const auto tail = static_cast<py::ssize_t>(s.tail_x.size()) / self.n_vars;
  py::dict result;
  result["count"] = s.count;
  result["base"] = to_array(s.base, {s.base.empty() ? 0 : 1, size});
  result["rows"] = s.rows;
  result["levels"] = levels;
  result["stack"] = to_array(stack, {k, size});
  result["tail_x"] = to_array(s.tail_x, {tail, self.n_vars});
  result["tail_y"] = to_array(s.tail_y, {tail, self.n_targets});
  return result;
}

void set_state(Accumulator& self, const py::dict& d) {
  const auto values = [&](const char* key) {
    const auto span = input<double>(d[key].cast<py::array>(), key);
    return std::vector<double>(span.begin(), span.end());
  };
  Moments::State s;
  s.count = d["count"].cast<std::int64_t>();
  s.rows = d["rows"].cast<std::int64_t>();
  s.base = values("base");
  const std::vector<double> stack = values("stack");
  const auto size = self.moments.size();
  for (const std::int64_t level : input<std::int64_t>(d["levels"].cast<py::array>(), "levels")) {
    s.levels.push_back(level < 0 || level > 62 ? -1 : static_cast<int>(level));
    const std::size_t begin = s.sums.size() * size;
    if (stack.size() < begin + size) throw std::invalid_argument("`state` is not consistent: sums");
    s.sums.emplace_back(stack.begin() + static_cast<std::ptrdiff_t>(begin),
                        stack.begin() + static_cast<std::ptrdiff_t>(begin + size));
  }
  s.tail_x = values("tail_x");
  s.tail_y = values("tail_y");
  self.locked([&] { self.moments.set_state(s); });
}

}  // namespace

void bind_moments(py::module_& m) {
  using namespace py::literals;
  py::class_<Accumulator>(m, "Moments")
      .def(py::init<int, int, int, int, bool>(), py::call_guard<py::gil_scoped_release>(), "n_vars"_a, "degree"_a,
           "n_targets"_a, "cross_degree"_a, "homogeneous"_a)
      .def(
          "update",
          [](Accumulator& self, const py::array& X, const py::array& Y, int n_threads) {
            if (holds<float>(X))
              update<float>(self, X, Y, n_threads);
            else
              update<double>(self, X, Y, n_threads);
          },
          "X"_a, "Y"_a, "n_threads"_a)
      .def_property_readonly("count",
                             [](Accumulator& self) { return self.locked([&] { return self.moments.count(); }); })
      .def_property_readonly("block_rows", [](const Accumulator&) { return Moments::block_rows(); })
      .def("finalized", &finalized)
      .def("state", &state)
      .def("set_state", &set_state, "state"_a)
      .def(
          "merge",
          [](Accumulator& self, const py::array& sums, std::int64_t count) {
            const auto values = input<double>(sums, "sums");
            self.locked([&] { self.moments.set_sums(values, count); });
          },
          "sums"_a, "count"_a);
}

}  // namespace polycore::bindings
