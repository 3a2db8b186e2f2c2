// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/moments.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

#include "detail/finite.hpp"
#include "detail/monomial_table.hpp"
#include "detail/workspace.hpp"
#include "kernels/kernel_table.hpp"
#include "polycore/error.hpp"
#include "polycore/monomials.hpp"
#include "polycore/parallel.hpp"

namespace polycore {

using detail::MonomialTable;
using detail::Workspace;

namespace {

constexpr std::size_t kBlockRows = 512;
// Samples per panel. Few enough that the panels of common cases stay in the second-level cache and that chains of
// additions stay short, enough to amortise the horizontal sums.
constexpr std::size_t kSlice = 64;

// With more sums than this a block takes so long that the interrupt hook is looked at within it.
constexpr std::size_t kPolledSums = 100'000;

int as_checked(int value, int minimum, const char* name) {
  if (value < minimum)
    throw std::invalid_argument(std::string("`") + name + "` must be >= " + std::to_string(minimum) + ", got " +
                                std::to_string(value));
  return value;
}

std::size_t checked_product(std::size_t a, std::size_t b) {
  std::size_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) throw std::overflow_error("the number of sums does not fit 64 bits");
  return result;
}

/// A variable and its exponent in a monomial.
struct Factor {
  int var, exponent;
};

/// Positions of monomials in a basis, in time proportional to the number of different variables in them:
/// MonomialBasis::index looks at every variable, which is too slow for all monomials of many variables.
class FirstRanks {
 public:
  FirstRanks(int n_vars, int degree, bool homogeneous) : degree_begin_(static_cast<std::size_t>(degree) + 1, 0) {
    const auto n = static_cast<std::size_t>(n_vars);
    for (std::size_t s = 0; s < degree_begin_.size(); ++s) {
      std::vector<std::size_t> row(n, 1);
      for (std::size_t k = 1; k < n && s > 0; ++k) row[k] = row[k - 1] + up_to_[s - 1][k];
      if (s > 0 && !homogeneous) degree_begin_[s] = degree_begin_[s - 1] + up_to_[s - 1][n - 1];
      up_to_.push_back(std::move(row));
    }
  }

  /// Position of the product of the factors, in ascending order of the variables, `last` the last of them.
  std::size_t operator()(std::span<const Factor> factors, Factor last) const {
    int left = last.exponent;
    for (const Factor& factor : factors) left += factor.exponent;
    std::size_t rank = degree_begin_[static_cast<std::size_t>(left)];
    int var = 0;
    const auto pass = [&](Factor factor) {
      // Every variable from `var` to the one before the factor leaves the degree `left` to the later ones; before the
      // monomials that have it so come those that leave less. The sum over these variables telescopes.
      const auto& row = up_to_[static_cast<std::size_t>(left)];
      rank += row[row.size() - 1 - static_cast<std::size_t>(var)] -
              row[row.size() - 1 - static_cast<std::size_t>(factor.var)];
      left -= factor.exponent;
      var = factor.var;
    };
    for (const Factor& factor : factors) pass(factor);
    if (left > 0) pass(last);
    return rank;
  }

 private:
  std::vector<std::vector<std::size_t>> up_to_;  // [s][k] = C(k + s, s), the monomials of degree <= s in k variables
  std::vector<std::size_t> degree_begin_;        // position of the first monomial of each degree
};

}  // namespace

/// The schedule of one block: panels u and v, and for each row of u the columns of v it meets.
struct Moments::Plan {
  int n_vars, degree, n_targets, cross_degree;
  bool homogeneous;
  std::size_t n_moments, n_cross, size;

  // Panel u: monomials in the first variables; panel v: in the others. One variable is split by its exponent instead:
  // u = 1, x, ..., x^(step-1), v = 1, x^step, x^(2 step), ... The panels stop one degree below the moments: a monomial
  // of top degree in one half alone is a variable times one of the degree below, so it needs no row (a third of the
  // rows).
  int split = 0;
  int step = 0;  // one variable only; otherwise 0
  std::size_t n_u = 0, n_v = 0;
  std::unique_ptr<MonomialTable> u, v;

  enum class Panel { u, v, x, u_times_y };
  /// Consecutive rows of one panel that start at the same column of another.
  struct Group {
    Panel rows, columns;
    std::size_t first_row, n_rows, column_begin;
    std::vector<std::size_t> row_end;  // non-increasing
    std::vector<std::size_t> offset;   // of the row's first sum
  };
  std::vector<Group> moment_groups, cross_groups;  // rows of u; rows of u times targets
  std::size_t n_cross_u = 0;                       // rows of u that are multiplied by targets
  std::vector<std::size_t> canonical;              // position in canonical order of each internal sum

  Plan(int n_vars_, int degree_, int n_targets_, int cross_degree_, bool homogeneous_)
      : n_vars(as_checked(n_vars_, 1, "n_vars")),
        degree(as_checked(degree_, 0, "degree")),
        n_targets(as_checked(n_targets_, 0, "n_targets")),
        cross_degree(as_checked(cross_degree_, 0, "cross_degree")),
        homogeneous(homogeneous_),
        n_moments(count_monomials(n_vars, degree, homogeneous)),
        n_cross(n_targets ? count_monomials(n_vars, cross_degree, homogeneous) : 0),
        size(0) {
    const auto targets = static_cast<std::size_t>(n_targets);
    if (__builtin_add_overflow(n_moments, checked_product(targets, n_cross), &size) ||
        __builtin_add_overflow(size, checked_product(targets, targets), &size))
      throw std::overflow_error("the number of sums does not fit 64 bits");
    canonical.reserve(size);  // first, because it fails at once where memory is too small
    const int needed = n_targets ? std::max(degree, cross_degree) : degree;
    const bool extend = needed >= 1 && (n_targets == 0 || cross_degree < degree) && !(n_vars == 1 && !homogeneous);
    const int top = extend ? needed - 1 : needed;
    if (n_vars == 1 && !homogeneous) {
      step = 1;
      while (static_cast<std::int64_t>(step) * step <= top) ++step;
      u = std::make_unique<MonomialTable>(1, step - 1);
      v = std::make_unique<MonomialTable>(1, top / step);
    } else {
      split = n_vars / 2;
      if (split > 0) u = std::make_unique<MonomialTable>(split, top);
      v = std::make_unique<MonomialTable>(n_vars - split, top);
    }
    n_u = u ? u->size() : 1;
    n_v = v->size();
    schedule(degree, top, 1, 0, moment_groups);
    if (extend) {
      extend_panel(Panel::v, *v, split);
      if (u) extend_panel(Panel::u, *u, 0);
    }
    if (n_targets) {
      n_cross_u = schedule(cross_degree, top, targets, n_moments, cross_groups);
      for (std::size_t i = canonical.size(); i < size; ++i) canonical.push_back(i);
    }
  }

  // Rows of u of degree a meet the monomials of v of degree <= total - a (= total - a if homogeneous) as far as the
  // panels go: a range of columns. Every row is repeated for `copies` targets. Returns the number of u rows used.
  std::size_t schedule(int total, int panel_top, std::size_t copies, std::size_t canonical_begin,
                       std::vector<Group>& groups) {
    const std::size_t n_sums = count_monomials(n_vars, total, homogeneous);
    const FirstRanks ranks(n_vars, step ? 0 : total, homogeneous);
    std::size_t used = 0;
    for (std::size_t row = 0; row < n_u; ++row) {
      const int a = step ? static_cast<int>(row) : u ? degree_of(*u, row) : 0;
      if (a > total) break;
      const int top = step ? (total - a) / step : std::min(total - a, panel_top);  // degrees of v: first .. top
      const int first = !homogeneous ? 0 : std::min(total - a, static_cast<int>(v->degree_begin.size()) - 1);
      const std::size_t begin = v->degree_begin[static_cast<std::size_t>(first)],
                        end = v->degree_begin[static_cast<std::size_t>(top) + 1];
      ++used;
      if (begin >= end) continue;
      if (row % 64 == 63) poll_interrupt();
      const std::vector<Factor> factors = u && !step ? factors_of(*u, row, 0) : std::vector<Factor>{};
      for (std::size_t copy = 0; copy < copies; ++copy) {
        if (groups.empty() || groups.back().column_begin != begin ||
            groups.back().first_row + groups.back().n_rows != row * copies + copy)
          groups.push_back({copies == 1 && canonical_begin == 0 ? Panel::u : Panel::u_times_y,
                            Panel::v,
                            row * copies + copy,
                            0,
                            begin,
                            {},
                            {}});
        Group& group = groups.back();
        ++group.n_rows;
        group.row_end.push_back(end);
        group.offset.push_back(canonical.size());
        for (int q = first; q <= top; ++q) {
          // Times all monomials of degree q in the later variables, in order: a range of canonical positions.
          const std::size_t n =
              v->degree_begin[static_cast<std::size_t>(q) + 1] - v->degree_begin[static_cast<std::size_t>(q)];
          const std::size_t position = step ? row + static_cast<std::size_t>(step * q) : ranks(factors, {split, q});
          for (std::size_t i = 0; i < n; ++i) canonical.push_back(canonical_begin + copy * n_sums + position + i);
        }
      }
    }
    return used;
  }

  // The moments of top degree in one half of the variables alone: x_i times a suffix of the panel's last degree.
  void extend_panel(Panel panel, const MonomialTable& table, int first_var) {
    const FirstRanks ranks(n_vars, degree, homogeneous);
    const int n = panel == Panel::u ? split : n_vars - split;
    const std::size_t end = table.size();
    for (int i = 0; i < n; ++i) {
      const std::size_t begin = end - count_forms(n - i, degree - 1);
      moment_groups.push_back(
          {Panel::x, panel, static_cast<std::size_t>(first_var + i), 1, begin, {end}, {canonical.size()}});
      if (i % 64 == 63) poll_interrupt();
      for (std::size_t column = begin; column < end; ++column) {
        std::vector<Factor> factors = factors_of(table, column, first_var);
        if (!factors.empty() && factors.front().var == first_var + i)
          ++factors.front().exponent;
        else
          factors.insert(factors.begin(), {first_var + i, 1});
        canonical.push_back(ranks(factors, {n_vars - 1, 0}));
      }
    }
  }

  static int degree_of(const MonomialTable& table, std::size_t k) {
    const auto& begin = table.degree_begin;
    return static_cast<int>(std::upper_bound(begin.begin(), begin.end(), k) - begin.begin()) - 1;
  }

  // The variables of monomial k of a panel with their exponents.
  static std::vector<Factor> factors_of(const MonomialTable& table, std::size_t k, int first_var) {
    std::vector<Factor> factors;
    for (; k != 0; k = table.parent[k]) {
      const int var = first_var + static_cast<int>(table.var[k]);
      if (factors.empty() || factors.back().var != var) factors.push_back({var, 0});
      ++factors.back().exponent;
    }
    return factors;
  }

  // sums (internal order) += the sums over n <= kSlice samples given in structure-of-arrays form with stride kSlice;
  // entries from n on are zero.
  void add_slice(std::size_t n, const double* x, const double* y, double* sums, Workspace& workspace) const {
    const auto& kernel = kernels::active();
    const auto targets = static_cast<std::size_t>(n_targets);
    const auto mark = workspace.mark();
    double* pu = workspace.take_array<double>(n_u * kSlice);
    double* pv = workspace.take_array<double>(n_v * kSlice);
    // Row 0 of u is 1 for samples and 0 for padding, which so adds nothing.
    std::fill_n(pu, n, 1.0);
    std::fill(pu + n, pu + kSlice, 0.0);
    std::fill_n(pv, kSlice, 1.0);
    const std::size_t padded = (n + 15) / 16 * 16;
    if (u) kernel.panel_f64(padded, kSlice, 1, n_u, u->parent.data(), u->var.data(), x, kSlice, pu);
    const double* xv = x + static_cast<std::size_t>(split) * kSlice;
    if (step) {
      double* power = workspace.take_array<double>(kSlice);  // x^step
      std::copy_n(x, padded, power);
      if (step > 1) kernels::active().f64.multiply(padded, pu + (n_u - 1) * kSlice, x, power, nullptr);
      xv = power;
    }
    kernel.panel_f64(padded, kSlice, 1, n_v, v->parent.data(), v->var.data(), xv, kSlice, pv);
    const auto pointer = [&](Panel panel, const double* pc) -> const double* {
      return panel == Panel::u ? pu : panel == Panel::v ? pv : panel == Panel::x ? x : pc;
    };
    const auto run = [&](const std::vector<Group>& groups, const double* pc) {
      for (const Group& group : groups) {
        if (size > kPolledSums) poll_interrupt();
        const auto inner = workspace.mark();
        double** out = workspace.take_array<double*>(group.n_rows);
        for (std::size_t i = 0; i < group.n_rows; ++i) out[i] = sums + group.offset[i] - group.column_begin;
        kernel.moment_panel(padded, group.n_rows, pointer(group.rows, pc) + group.first_row * kSlice, kSlice,
                            pointer(group.columns, pc), kSlice, group.column_begin, group.row_end.data(), out);
        workspace.release(inner);
      }
    };
    run(moment_groups, nullptr);
    if (targets) {
      double* pc = workspace.take_array<double>(n_cross_u * targets * kSlice);
      for (std::size_t k = 0; k < n_cross_u; ++k)
        for (std::size_t t = 0; t < targets; ++t)
          for (std::size_t s = 0; s < padded; ++s)
            pc[(k * targets + t) * kSlice + s] = pu[k * kSlice + s] * y[t * kSlice + s];
      run(cross_groups, pc);
      double** rows = workspace.take_array<double*>(targets);
      auto* ends = workspace.take_array<std::size_t>(targets);
      for (std::size_t t = 0; t < targets; ++t) {
        rows[t] = sums + n_moments + targets * n_cross + t * targets;
        ends[t] = targets;
      }
      kernel.moment_panel(padded, targets, y, kSlice, y, kSlice, 0, ends, rows);
    }
    workspace.release(mark);
  }

  std::vector<double> to_canonical(std::span<const double> internal) const {
    std::vector<double> result(size);
    for (std::size_t i = 0; i < size; ++i) result[canonical[i]] = internal[i];
    return result;
  }
  std::vector<double> to_internal(std::span<const double> values) const {
    std::vector<double> result(size);
    for (std::size_t i = 0; i < size; ++i) result[i] = values[canonical[i]];
    return result;
  }
};

namespace {

using Sums = std::shared_ptr<const std::vector<double>>;

struct Level {
  int level;
  Sums sums;
};

std::vector<double> plus(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> c(a.size());
  for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] + b[i];
  return c;
}

// The binary counter of pairwise summation: equal levels are added, older first.
void push(std::vector<Level>& stack, Level node) {
  while (!stack.empty() && stack.back().level == node.level) {
    node = {node.level + 1, std::make_shared<const std::vector<double>>(plus(*stack.back().sums, *node.sums))};
    stack.pop_back();
  }
  stack.push_back(std::move(node));
}

template <class T>
void require_finite(const MatrixView<T>& m, const char* name, int n_threads) {
  constexpr std::size_t kChunk = 16384;
  const std::size_t n_chunks = (m.rows + kChunk - 1) / kChunk;
  const auto row_is_finite = [&](std::size_t i) {
    double sum = 0;
    for (std::size_t j = 0; j < m.columns; ++j) sum += static_cast<double>(m(i, j) - m(i, j));
    return sum == 0.0;
  };
  std::atomic<std::size_t> first_bad{n_chunks};
  parallel_for(n_chunks, n_threads, [&](std::size_t chunk) {
    const std::size_t begin = chunk * kChunk, end = std::min(m.rows, begin + kChunk);
    double sum = 0;
    if (std::is_same_v<T, double> && m.column_stride == 1 && m.row_stride == static_cast<std::ptrdiff_t>(m.columns)) {
      if (detail::all_finite(
              std::span<const double>(reinterpret_cast<const double*>(&m(begin, 0)), (end - begin) * m.columns)))
        return;
      sum = 1;
    } else {
      for (std::size_t j = 0; j < m.columns; ++j)
        for (std::size_t i = begin; i < end; ++i) sum += static_cast<double>(m(i, j) - m(i, j));
    }
    if (sum == 0.0) return;
    std::size_t bad = first_bad;
    while (chunk < bad && !first_bad.compare_exchange_weak(bad, chunk)) {
    }
  });
  if (first_bad == n_chunks) return;
  std::size_t i = first_bad * kChunk;
  while (row_is_finite(i)) ++i;
  throw std::invalid_argument(std::string("`") + name + "` must be finite, got NaN or infinity in row " +
                              std::to_string(i));
}

}  // namespace

struct Moments::Stream {
  std::int64_t count = 0;  // all rows
  Sums base;               // null or internal order
  std::int64_t rows = 0;   // of this stream
  std::vector<Level> stack;
  std::vector<double> tail_x, tail_y;
};

Moments::Moments(int n_vars, int degree, int n_targets, int cross_degree, bool homogeneous)
    : plan_(std::make_shared<const Plan>(n_vars, degree, n_targets, cross_degree, homogeneous)),
      stream_(std::make_unique<Stream>()) {}
Moments::~Moments() = default;
Moments::Moments(const Moments& other) : plan_(other.plan_), stream_(std::make_unique<Stream>(*other.stream_)) {}
Moments& Moments::operator=(const Moments& other) {
  stream_ = std::make_unique<Stream>(*other.stream_);
  plan_ = other.plan_;
  return *this;
}
Moments::Moments(Moments&&) noexcept = default;
Moments& Moments::operator=(Moments&&) noexcept = default;

std::int64_t Moments::count() const { return stream_->count; }
std::size_t Moments::block_rows() { return kBlockRows; }
std::size_t Moments::n_moments() const { return plan_->n_moments; }
std::size_t Moments::n_cross() const { return plan_->n_cross; }
std::size_t Moments::size() const { return plan_->size; }

template <class T>
void Moments::update(MatrixView<T> X, MatrixView<T> Y, int n_threads) {
  const Plan& plan = *plan_;
  const auto n_vars = static_cast<std::size_t>(plan.n_vars), n_targets = static_cast<std::size_t>(plan.n_targets);
  if (X.columns != n_vars)
    throw std::invalid_argument("`X` must have shape (n_samples, n_vars=" + std::to_string(n_vars) + "), got " +
                                std::to_string(X.columns) + " columns");
  if (n_targets && (Y.columns != n_targets || Y.rows != X.rows))
    throw std::invalid_argument("`Y` must have shape (n_samples=" + std::to_string(X.rows) +
                                ", n_targets=" + std::to_string(n_targets) + "), got (" + std::to_string(Y.rows) +
                                ", " + std::to_string(Y.columns) + ")");
  if (X.rows == 0) return;
  const bool small = X.rows * plan.size < 200'000;
  require_finite(X, "X", small ? 1 : n_threads);
  if (n_targets) require_finite(Y, "Y", small ? 1 : n_threads);

  // Row i of "the tail, then the new rows".
  const std::size_t n_tail = stream_->tail_x.size() / n_vars, n_total = n_tail + X.rows;
  const auto load_columns = [&](const MatrixView<T>& new_rows, const std::vector<double>& tail, std::size_t begin,
                                std::size_t n, double* out) {
    const std::size_t columns = new_rows.columns;
    const std::size_t from_tail = begin < n_tail ? std::min(n, n_tail - begin) : 0;
    if constexpr (std::is_same_v<T, double>) {
      if (from_tail == 0 && new_rows.column_stride == 1 && new_rows.row_stride > 0) {
        kernels::active().transpose_f64(n, columns, &new_rows(begin - n_tail, 0),
                                        static_cast<std::size_t>(new_rows.row_stride), out, kSlice);
        return;
      }
    }
    for (std::size_t j = 0; j < columns; ++j) {
      double* column = out + j * kSlice;
      for (std::size_t s = 0; s < from_tail; ++s) column[s] = tail[(begin + s) * columns + j];
      for (std::size_t s = from_tail; s < n; ++s) column[s] = static_cast<double>(new_rows(begin + s - n_tail, j));
    }
  };
  const auto block_sums = [&](std::size_t block, Workspace& workspace) {
    auto sums = std::make_shared<std::vector<double>>(plan.size, 0.0);
    double* x = workspace.take_array<double>(n_vars * kSlice);
    double* y = workspace.take_array<double>(n_targets * kSlice);
    for (std::size_t s = 0; s < kBlockRows; s += kSlice) {
      load_columns(X, stream_->tail_x, block * kBlockRows + s, kSlice, x);
      if (n_targets) load_columns(Y, stream_->tail_y, block * kBlockRows + s, kSlice, y);
      plan.add_slice(kSlice, x, y, sums->data(), workspace);
    }
    return sums;
  };

  // Whole blocks, cut into aligned nodes of the summation tree of at most 2^kNodeLevel blocks: the tasks.
  constexpr int kNodeLevel = 3;
  const std::size_t n_blocks = n_total / kBlockRows;
  const auto first_block = static_cast<std::uint64_t>(stream_->rows) / kBlockRows;
  std::vector<std::pair<std::size_t, int>> nodes;  // first new block, level
  for (std::size_t block = 0; block < n_blocks;) {
    int level = std::min(kNodeLevel, std::countr_zero(first_block + block));
    while ((std::size_t{1} << level) > n_blocks - block) --level;
    nodes.emplace_back(block, level);
    block += std::size_t{1} << level;
  }
  std::vector<Level> stack = stream_->stack;
  // In waves, so that the partial sums in flight stay few; the tree does not depend on the waves.
  const std::size_t wave = std::max<std::size_t>(16, (std::size_t{1} << 23) / plan.size);
  for (std::size_t begin = 0; begin < nodes.size(); begin += wave) {
    const std::size_t n = std::min(wave, nodes.size() - begin);
    std::vector<Sums> results(n);
    parallel_for(n, small ? 1 : n_threads, [&](std::size_t task) {
      const auto [block, level] = nodes[begin + task];
      std::vector<Level> local;
      for (std::size_t i = 0; i < (std::size_t{1} << level); ++i) {
        Workspace workspace;
        push(local, {0, block_sums(block + i, workspace)});
        poll_interrupt();
      }
      results[task] = local.front().sums;
    });
    for (std::size_t task = 0; task < n; ++task) push(stack, {nodes[begin + task].second, std::move(results[task])});
  }
  for (const Level& level : stack)
    if (!detail::all_finite(*level.sums))
      throw NumericalError("a moment overflowed to infinity; scale the data down (standardise the columns)");

  const std::size_t first_tail_row = std::max(n_blocks * kBlockRows, n_tail) - n_tail;
  const auto extend = [&](Stream& stream, std::vector<Level> new_stack) {
    stream.tail_x.reserve(kBlockRows * n_vars);
    stream.tail_y.reserve(kBlockRows * n_targets);
    if (!small) poll_interrupt_now();
    // From here on nothing can fail: the new tail is shorter than a block.
    stream.stack = std::move(new_stack);
    if (n_blocks > 0) {
      stream.tail_x.clear();
      stream.tail_y.clear();
    }
    for (std::size_t i = first_tail_row; i < X.rows; ++i) {
      for (std::size_t j = 0; j < n_vars; ++j) stream.tail_x.push_back(static_cast<double>(X(i, j)));
      for (std::size_t t = 0; t < n_targets; ++t) stream.tail_y.push_back(static_cast<double>(Y(i, t)));
    }
    stream.rows += static_cast<std::int64_t>(X.rows);
    stream.count += static_cast<std::int64_t>(X.rows);
  };
  // Rows that only wait in the tail have not been summed. If they overflow, no later sum could succeed, so very large
  // ones are tried out.
  double largest = 1.0;
  for (std::size_t i = first_tail_row; i < X.rows; ++i) {
    for (std::size_t j = 0; j < n_vars; ++j) largest = std::max(largest, std::abs(static_cast<double>(X(i, j))));
    for (std::size_t t = 0; t < n_targets; ++t) largest = std::max(largest, std::abs(static_cast<double>(Y(i, t))));
  }
  const double top_degree = std::max<double>(plan.degree, n_targets ? plan.cross_degree + 2.0 : 0.0);
  if (std::log2(largest) * top_degree > 900.0) {  // 2^63 smaller terms stay finite
    Moments trial(*this);
    extend(*trial.stream_, stack);
    trial.finalized();
  }
  extend(*stream_, std::move(stack));
}

template void Moments::update<double>(MatrixView<double>, MatrixView<double>, int);
template void Moments::update<float>(MatrixView<float>, MatrixView<float>, int);

std::vector<double> Moments::finalized() const {
  const Plan& plan = *plan_;
  const auto n_vars = static_cast<std::size_t>(plan.n_vars), n_targets = static_cast<std::size_t>(plan.n_targets);
  std::vector<double> total(plan.size, 0.0);
  const std::size_t n_tail = stream_->tail_x.size() / n_vars;
  Workspace workspace;
  double* x = workspace.take_array<double>(n_vars * kSlice);
  double* y = workspace.take_array<double>(n_targets * kSlice);
  for (std::size_t begin = 0; begin < n_tail; begin += kSlice) {
    const std::size_t n = std::min(kSlice, n_tail - begin);
    std::fill_n(x, n_vars * kSlice, 0.0);
    std::fill_n(y, n_targets * kSlice, 0.0);
    for (std::size_t s = 0; s < n; ++s) {
      for (std::size_t j = 0; j < n_vars; ++j) x[j * kSlice + s] = stream_->tail_x[(begin + s) * n_vars + j];
      for (std::size_t t = 0; t < n_targets; ++t) y[t * kSlice + s] = stream_->tail_y[(begin + s) * n_targets + t];
    }
    plan.add_slice(n, x, y, total.data(), workspace);
  }
  for (auto level = stream_->stack.rbegin(); level != stream_->stack.rend(); ++level) total = plus(*level->sums, total);
  if (stream_->base) total = plus(*stream_->base, total);
  if (!detail::all_finite(total))
    throw NumericalError("a moment overflowed to infinity; scale the data down (standardise the columns)");
  return plan.to_canonical(total);
}

Moments::State Moments::state() const {
  State state;
  state.count = stream_->count;
  if (stream_->base) state.base = plan_->to_canonical(*stream_->base);
  state.rows = stream_->rows;
  for (const Level& level : stream_->stack) {
    state.levels.push_back(level.level);
    state.sums.push_back(plan_->to_canonical(*level.sums));
  }
  state.tail_x = stream_->tail_x;
  state.tail_y = stream_->tail_y;
  return state;
}

void Moments::set_state(const State& state) {
  const auto n_vars = static_cast<std::size_t>(plan_->n_vars), n_targets = static_cast<std::size_t>(plan_->n_targets);
  const auto require = [](bool ok, const char* message) {
    if (!ok) throw std::invalid_argument(std::string("`state` is not consistent: ") + message);
  };
  require(state.rows >= 0 && state.count >= state.rows, "counts");
  require(state.base.empty() || state.base.size() == plan_->size, "base");
  require(state.levels.size() == state.sums.size(), "levels");
  std::uint64_t blocks = 0;
  for (std::size_t i = 0; i < state.levels.size(); ++i) {
    require(state.levels[i] >= 0 && state.levels[i] < 62 && (i == 0 || state.levels[i] < state.levels[i - 1]),
            "levels");
    require(state.sums[i].size() == plan_->size, "sums");
    blocks += std::uint64_t{1} << state.levels[i];
  }
  const auto rows = static_cast<std::uint64_t>(state.rows);
  require(rows / kBlockRows == blocks, "levels do not add up to the rows");
  require(state.tail_x.size() == rows % kBlockRows * n_vars && state.tail_y.size() == rows % kBlockRows * n_targets,
          "tail");
  detail::require_finite<double>(state.tail_x, "state");
  detail::require_finite<double>(state.tail_y, "state");
  Stream stream;
  stream.count = state.count;
  stream.rows = state.rows;
  if (!state.base.empty()) stream.base = std::make_shared<const std::vector<double>>(plan_->to_internal(state.base));
  for (std::size_t i = 0; i < state.levels.size(); ++i)
    stream.stack.push_back(
        {state.levels[i], std::make_shared<const std::vector<double>>(plan_->to_internal(state.sums[i]))});
  stream.tail_x = state.tail_x;
  stream.tail_y = state.tail_y;
  *stream_ = std::move(stream);
}

void Moments::set_sums(std::span<const double> sums, std::int64_t count) {
  if (sums.size() != plan_->size)
    throw std::invalid_argument("`sums` must have " + std::to_string(plan_->size) + " entries, got " +
                                std::to_string(sums.size()));
  if (count < 0) throw std::invalid_argument("`count` must be >= 0");
  Stream stream;
  stream.count = count;
  stream.base = std::make_shared<const std::vector<double>>(plan_->to_internal(sums));
  *stream_ = std::move(stream);
}

}  // namespace polycore
