// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/moments.hpp"

#include <atomic>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "polycore/error.hpp"
#include "polycore/monomials.hpp"
#include "polycore/parallel.hpp"
#include "polynomials.hpp"

namespace {

using polycore::MatrixView;
using polycore::Moments;
using polycore::MonomialBasis;
using reference::Rng;

struct Shape {
  int n_vars, degree, n_targets, cross_degree;
  bool homogeneous;

  Moments accumulator() const { return {n_vars, degree, n_targets, cross_degree, homogeneous}; }
};

const std::vector<Shape> kShapes{{1, 0, 0, 0, false}, {1, 9, 2, 5, false}, {1, 4, 1, 7, true},  {2, 6, 1, 3, false},
                                 {3, 4, 2, 2, false}, {3, 4, 3, 6, false}, {4, 3, 0, 0, false}, {4, 4, 1, 2, true},
                                 {6, 2, 2, 1, false}, {5, 0, 1, 1, false}};

struct Data {
  std::size_t rows;
  std::vector<double> x, y;
};

Data draw_data(const Shape& shape, std::size_t rows, std::uint64_t seed) {
  Rng rng(seed);
  return {rows, reference::random_vector<double>(rng, rows * static_cast<std::size_t>(shape.n_vars)),
          reference::random_vector<double>(rng, rows * static_cast<std::size_t>(shape.n_targets))};
}

template <class T>
MatrixView<T> rows_of(const std::vector<T>& values, int columns, std::size_t begin, std::size_t n) {
  const auto width = static_cast<std::size_t>(columns);
  return {values.data() + begin * width, n, width, columns, 1};
}

void add(Moments& moments, const Shape& shape, const Data& data, std::size_t begin, std::size_t n, int n_threads = 1) {
  moments.update(rows_of(data.x, shape.n_vars, begin, n), rows_of(data.y, shape.n_targets, begin, n), n_threads);
}

Moments all_at_once(const Shape& shape, const Data& data, int n_threads = 1) {
  Moments moments = shape.accumulator();
  add(moments, shape, data, 0, data.rows, n_threads);
  return moments;
}

std::vector<double> by_definition(const Shape& shape, const Data& data) {
  const auto n_vars = static_cast<std::size_t>(shape.n_vars), n_targets = static_cast<std::size_t>(shape.n_targets);
  const auto monomial = [&](const std::vector<int>& exponents, std::size_t row) {
    long double value = 1;
    for (std::size_t j = 0; j < n_vars; ++j)
      for (int e = 0; e < exponents[j]; ++e) value *= data.x[row * n_vars + j];
    return value;
  };
  std::vector<double> sums;
  const auto total = [&](const auto& term) {
    long double sum = 0;
    for (std::size_t row = 0; row < data.rows; ++row) sum += term(row);
    sums.push_back(static_cast<double>(sum));
  };
  const MonomialBasis basis(shape.n_vars, shape.degree, shape.homogeneous);
  for (std::uint64_t i = 0; i < basis.size(); ++i)
    total([&, exponents = basis.exponent(i)](std::size_t row) { return monomial(exponents, row); });
  if (n_targets == 0) return sums;
  const MonomialBasis cross(shape.n_vars, shape.cross_degree, shape.homogeneous);
  for (std::size_t t = 0; t < n_targets; ++t)
    for (std::uint64_t i = 0; i < cross.size(); ++i)
      total([&, exponents = cross.exponent(i)](std::size_t row) {
        return data.y[row * n_targets + t] * monomial(exponents, row);
      });
  for (std::size_t t = 0; t < n_targets; ++t)
    for (std::size_t u = 0; u < n_targets; ++u)
      total([&](std::size_t row) {
        return static_cast<long double>(data.y[row * n_targets + t]) * data.y[row * n_targets + u];
      });
  return sums;
}

void each_shape(const std::function<void(const Shape&)>& body) {
  check::for_each_isa([&] {
    const std::string isa = check::context;
    for (std::size_t i = 0; i < kShapes.size(); ++i) {
      check::context = isa + ", shape " + std::to_string(i);
      body(kShapes[i]);
    }
  });
}

bool same(const Moments& a, const Moments& b) { return a.count() == b.count() && a.finalized() == b.finalized(); }

}  // namespace

TEST(sums_are_those_of_the_definition) {
  each_shape([](const Shape& shape) {
    for (const auto rows : std::vector<std::size_t>{0, 1, 15, 16, 17, 511, 512, 513, 2300}) {
      const Data data = draw_data(shape, rows, 10 + rows);
      const Moments moments = all_at_once(shape, data);
      CHECK_EQUAL(moments.count(), static_cast<std::int64_t>(rows));
      CHECK(reference::distance(moments.finalized(), by_definition(shape, data)) <= 1e-13);
    }
  });
}

TEST(bits_do_not_depend_on_chunks_or_threads) {
  each_shape([](const Shape& shape) {
    const std::size_t rows = 9 * 512 + 100;
    const Data data = draw_data(shape, rows, 11);
    const Moments expected = all_at_once(shape, data);
    for (const int n_threads : {2, 3, 8}) CHECK(same(all_at_once(shape, data, n_threads), expected));
    Rng rng(12);
    for (const auto largest : std::vector<std::size_t>{40, 700, 4000}) {
      Moments moments = shape.accumulator();
      for (std::size_t begin = 0; begin < rows;) {
        const std::size_t n = std::min(rows - begin, rng() % largest);
        add(moments, shape, data, begin, n, static_cast<int>(rng() % 4));
        if (rng() % 4 == 0) moments.finalized();  // reading does not disturb the stream
        begin += n;
      }
      CHECK(same(moments, expected));
    }
  });
}

TEST(many_rows_with_many_threads) {
  // Enough work for threads and for the tree of partial sums to be several levels high.
  const Shape shape{3, 6, 1, 3, false};
  const Data data = draw_data(shape, 200'000, 13);
  const Moments expected = all_at_once(shape, data, 1);
  CHECK(same(all_at_once(shape, data, 2), expected));
  CHECK(same(all_at_once(shape, data, 7), expected));
  double sum = 0;
  for (std::size_t row = 0; row < data.rows; ++row) sum += data.x[3 * row] * data.x[3 * row];
  CHECK(std::abs(expected.finalized()[4] / sum - 1) < 1e-12);
}

TEST(layout_and_dtype_do_not_matter) {
  each_shape([](const Shape& shape) {
    const std::size_t rows = 1100;
    Data data = draw_data(shape, rows, 14);
    for (auto* values : {&data.x, &data.y})
      for (double& v : *values) v = static_cast<float>(v);
    const Moments expected = all_at_once(shape, data);

    // Columns contiguous, rows backwards: strides (-1, rows).
    const auto backwards = [rows](const std::vector<double>& values, int columns) {
      std::vector<double> out(values.size());
      for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < static_cast<std::size_t>(columns); ++j)
          out[j * rows + rows - 1 - i] = values[i * static_cast<std::size_t>(columns) + j];
      return out;
    };
    const auto bx = backwards(data.x, shape.n_vars), by = backwards(data.y, shape.n_targets);
    const auto n_vars = static_cast<std::size_t>(shape.n_vars), n_targets = static_cast<std::size_t>(shape.n_targets);
    const auto stride = static_cast<std::ptrdiff_t>(rows);
    Moments strided = shape.accumulator();
    const double* first_y = by.empty() ? nullptr : by.data() + rows - 1;
    strided.update(MatrixView<double>{bx.data() + rows - 1, rows, n_vars, -1, stride},
                   MatrixView<double>{first_y, rows, n_targets, -1, stride});
    CHECK(same(strided, expected));

    const std::vector<float> fx(data.x.begin(), data.x.end()), fy(data.y.begin(), data.y.end());
    Moments single = shape.accumulator();
    single.update(rows_of(fx, shape.n_vars, 0, rows), rows_of(fy, shape.n_targets, 0, rows));
    CHECK(same(single, expected));
  });
}

TEST(a_failed_update_changes_nothing) {
  const Shape shape{2, 4, 1, 2, false};
  Moments moments = shape.accumulator();
  Data data = draw_data(shape, 700, 15);
  add(moments, shape, data, 0, 700);
  const Moments before = moments;
  for (const double bad : {std::nan(""), static_cast<double>(INFINITY)})
    for (std::vector<double>* values : {&data.x, &data.y})
      for (const auto position : std::vector<std::size_t>{std::size_t{0}, values->size() / 2, values->size() - 1}) {
        const double good = std::exchange((*values)[position], bad);
        CHECK_THROWS(add(moments, shape, data, 0, 700, 2), std::invalid_argument);
        (*values)[position] = good;
        CHECK(same(moments, before));
      }
  const double good = std::exchange(data.x[100], 1e200);  // finite, but its fourth power is not
  CHECK_THROWS(add(moments, shape, data, 0, 700), polycore::NumericalError);
  CHECK(same(moments, before));
  CHECK_THROWS(add(moments, shape, data, 0, 200), polycore::NumericalError);  // neither in rows that make no block yet
  CHECK(same(moments, before));
  data.x[100] = good;
  CHECK_THROWS(moments.update(rows_of(data.x, 1, 0, 700), rows_of(data.y, 1, 0, 700)), std::invalid_argument);
  CHECK_THROWS(moments.update(rows_of(data.x, 2, 0, 700), rows_of(data.y, 1, 0, 699)), std::invalid_argument);
  CHECK_THROWS(moments.update(rows_of(data.x, 2, 0, 300), rows_of(data.y, 2, 0, 300)), std::invalid_argument);
  CHECK(same(moments, before));
  add(moments, shape, data, 0, 700);  // still usable
  CHECK_EQUAL(moments.count(), 1400);
}

TEST(the_first_bad_row_is_named) {
  const Shape shape{2, 2, 0, 0, false};
  Data data = draw_data(shape, 200'000, 17);
  for (const auto row : std::vector<std::size_t>{20'000, 60'000, 199'999}) data.x[2 * row] = std::nan("");
  Moments moments = shape.accumulator();
  for (int i = 0; i < 20; ++i) {
    std::string message;
    try {
      add(moments, shape, data, 0, data.rows, 2);
    } catch (const std::invalid_argument& e) {
      message = e.what();
    }
    CHECK(message.ends_with("in row 20000"));
  }
}

TEST(an_interrupted_update_changes_nothing) {
  static std::atomic<int> calls{0};
  const Shape shape{6, 10, 0, 0, false};
  const Data data = draw_data(shape, 300'000, 16);  // long enough for the hook to be asked
  Moments moments = shape.accumulator();
  add(moments, shape, data, 0, 700);
  const Moments before = moments;
  for (const int n_threads : {1, 2}) {
    calls = 0;
    polycore::set_interrupt_hook([] { return ++calls >= 1; });
    CHECK_THROWS(add(moments, shape, data, 0, data.rows, n_threads), polycore::Interrupted);
    polycore::set_interrupt_hook(nullptr);
    CHECK(same(moments, before));
  }
}

TEST(the_state_goes_round_and_the_stream_goes_on) {
  each_shape([](const Shape& shape) {
    const std::size_t rows = 5 * 512 + 77;
    const Data data = draw_data(shape, 2 * rows, 17);
    Moments moments = shape.accumulator();
    add(moments, shape, data, 0, rows);
    Moments restored = shape.accumulator();
    restored.set_state(moments.state());
    CHECK(same(restored, moments));
    add(moments, shape, data, rows, rows);
    add(restored, shape, data, rows, rows);
    CHECK(same(restored, moments));
    CHECK(same(moments, all_at_once(shape, data)));
  });
}

TEST(copies_are_independent) {
  const Shape shape{2, 4, 1, 2, false};
  const Data data = draw_data(shape, 1000, 18);
  Moments original = all_at_once(shape, data);
  const Moments kept = all_at_once(shape, data);
  Moments copy = original;
  add(copy, shape, data, 0, 600);
  CHECK(same(original, kept));
  original = copy;
  add(copy, shape, data, 0, 600);
  CHECK_EQUAL(original.count(), 1600);
  CHECK_EQUAL(copy.count(), 2200);
}

TEST(inconsistent_states_are_refused) {
  const Shape shape{2, 3, 1, 1, false};
  const Data data = draw_data(shape, 3 * 512 + 5, 19);
  Moments moments = all_at_once(shape, data);
  const Moments before = moments;
  const Moments::State good = moments.state();
  const auto refused = [&](const std::function<void(Moments::State&)>& damage) {
    Moments::State state = good;
    damage(state);
    CHECK_THROWS(moments.set_state(state), std::invalid_argument);
    CHECK(same(moments, before));
  };
  refused([](auto& s) { s.rows += 1; });
  refused([](auto& s) { s.rows = -1; });
  refused([](auto& s) { s.rows += 512; });
  refused([](auto& s) { s.count -= 1; });
  refused([](auto& s) { s.levels.pop_back(); });
  refused([](auto& s) { std::swap(s.levels[0], s.levels[1]); });
  refused([](auto& s) { s.levels[0] = 63; });
  refused([](auto& s) { s.levels[0] = -1; });
  refused([](auto& s) { s.sums[0].pop_back(); });
  refused([](auto& s) { s.base = {1.0}; });
  refused([](auto& s) { s.tail_x.pop_back(); });
  refused([](auto& s) { s.tail_y.push_back(0); });
  refused([](auto& s) { s.tail_x[0] = std::nan(""); });
  moments.set_state(good);
  CHECK(same(moments, before));
}

TEST(merged_sums_are_taken_over) {
  const Shape shape{2, 4, 1, 2, false};
  const Data a = draw_data(shape, 900, 20), b = draw_data(shape, 1300, 21);
  const Moments first = all_at_once(shape, a), second = all_at_once(shape, b);
  auto sums = first.finalized();
  const auto other = second.finalized();
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += other[i];
  Moments merged = shape.accumulator();
  merged.set_sums(sums, 2200);
  CHECK_EQUAL(merged.count(), 2200);
  CHECK_EQUAL(merged.finalized(), sums);
  add(merged, shape, a, 0, 900);
  Moments restored = shape.accumulator();
  restored.set_state(merged.state());
  CHECK(same(restored, merged));
  CHECK_THROWS(merged.set_sums(std::vector<double>(3), 1), std::invalid_argument);
}

TEST(wrong_shapes_raise) {
  CHECK_THROWS(Moments(0, 2, 0, 0), std::invalid_argument);
  CHECK_THROWS(Moments(2, -1, 0, 0), std::invalid_argument);
  CHECK_THROWS(Moments(2, 2, -1, 0), std::invalid_argument);
  CHECK_THROWS(Moments(2, 2, 1, -1), std::invalid_argument);
  CHECK_THROWS(Moments(800, 12, 0, 0), std::overflow_error);
}
