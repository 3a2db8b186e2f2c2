// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/product.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "detail/rings.hpp"
#include "detail/workspace.hpp"
#include "kernels/kernel_table.hpp"
#include "polycore/modular.hpp"
#include "polycore/monomials.hpp"
#include "polycore/parallel.hpp"

namespace polycore {

using kernels::RowGroup;
using kernels::RowOp;

struct ProductPlan::Schedule {
  // A leaf has rows, an inner node has children at offsets; never both.
  std::vector<RowOp> ops;
  std::vector<RowGroup> groups;
  struct Child {
    std::shared_ptr<const ProductPlan> plan;
    std::size_t a, b, c;
    bool doubled;
  };
  std::vector<Child> children;
};

ProductPlan::ProductPlan() : schedule_(std::make_unique<Schedule>()) {}
ProductPlan::~ProductPlan() = default;

namespace {

constexpr std::size_t kTile = 4;                 // rows of the first operand are cut to the kernels' register tile
constexpr std::uint64_t kMaxLeafOps = 1u << 13;  // 96 KiB of row operations: stays in the second-level cache

std::size_t offset(int d, int block) { return block == 0 ? 0 : count_forms(d, block - 1); }

// Whether the row operations of a flattened product are few, and their 32-bit offsets suffice.
bool is_leaf(int d, int da, int db) {
  if (d <= 2) return true;  // rows are few
  if (count_forms(d, da + db) > std::numeric_limits<std::uint32_t>::max()) return false;
  if (da == 0 || db == 0) return true;
  std::uint64_t rows = 0;
  return !__builtin_mul_overflow(count_forms(d - 1, da), count_forms(d - 1, db), &rows) && rows <= kMaxLeafOps;
}

}  // namespace

struct ProductPlan::Builder {
  using Key = std::tuple<int, int, int, bool>;
  std::map<Key, std::shared_ptr<const ProductPlan>> known;

  struct Emitted {
    RowOp op;
    std::uint8_t la;
    std::uint32_t lb;
    bool doubled, fresh;
  };
  std::vector<Emitted> rows;

  void emit_product(int d, int da, int db, std::size_t a, std::size_t b, std::size_t c, bool doubled) {
    // A constant factor makes a row of any form; without this, many variables would take their square in operations.
    if (d <= 2 || da == 0 || db == 0) {
      const std::size_t length_a = count_forms(d, da), length_b = count_forms(d, db);
      for (std::size_t i = 0; i < length_a; i += kTile)
        emit_row(a + i, b, c + i, std::min(kTile, length_a - i), length_b, doubled);
      return;
    }
    for (int i = 0; i <= da; ++i)
      for (int j = 0; j <= db; ++j)
        emit_product(d - 1, i, j, a + offset(d, i), b + offset(d, j), c + offset(d, i + j), doubled);
  }

  void emit_square(int d, int da, std::size_t a, std::size_t c) {
    if (d <= 2) {
      const std::size_t length = d == 1 ? 1 : static_cast<std::size_t>(da) + 1;
      for (std::size_t i = 0; i < length; i += kTile) {
        const std::size_t la = std::min(kTile, length - i);
        emit_row(a + i, a + i, c + 2 * i, la, la, false);
        if (i + la < length) emit_row(a + i, a + i + la, c + 2 * i + la, la, length - i - la, true);
      }
      return;
    }
    for (int i = 0; i <= da; ++i) {
      emit_square(d - 1, i, a + offset(d, i), c + offset(d, 2 * i));
      for (int j = i + 1; j <= da; ++j)
        emit_product(d - 1, i, j, a + offset(d, i), a + offset(d, j), c + offset(d, i + j), true);
    }
  }

  void emit_row(std::size_t a, std::size_t b, std::size_t c, std::size_t la, std::size_t lb, bool doubled) {
    rows.push_back({{static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(b), static_cast<std::uint32_t>(c)},
                    static_cast<std::uint8_t>(la),
                    static_cast<std::uint32_t>(lb),
                    doubled,
                    false});
  }

  std::shared_ptr<const ProductPlan> build(int d, int da, int db, bool square) {
    auto& slot = known[Key{d, da, db, square}];
    if (slot) return slot;
    poll_interrupt();
    std::shared_ptr<ProductPlan> plan(new ProductPlan());
    plan->size_a_ = count_forms(d, da);
    plan->size_b_ = count_forms(d, db);
    plan->size_c_ = count_forms(d, da + db);
    if (is_leaf(d, da, db)) {
      rows.clear();
      if (square)
        emit_square(d, da, 0, 0);
      else
        emit_product(d, da, db, 0, 0, 0, false);
      flatten(*plan);
    } else {
      auto& children = plan->schedule_->children;
      for (int i = 0; i <= da; ++i)
        for (int j = square ? i : 0; j <= db; ++j)
          children.push_back(
              {build(d - 1, i, j, square && i == j), offset(d, i), offset(d, j), offset(d, i + j), square && i != j});
      for (const auto& child : children) plan->multiply_adds_ += child.plan->multiply_adds_;
    }
    return known[Key{d, da, db, square}] = std::move(plan);
  }

  // Rows of one coefficient of a that continue each other in b and in c are one longer row. (With sparse monomials of
  // low degree in many variables most rows are short: this more than halves their number.)
  void merge_rows() {
    const auto long_rows = std::stable_partition(rows.begin(), rows.end(), [](const Emitted& r) { return r.la == 1; });
    std::sort(rows.begin(), long_rows, [](const Emitted& x, const Emitted& y) {
      return std::tuple(x.op.a, x.doubled, x.op.b) < std::tuple(y.op.a, y.doubled, y.op.b);
    });
    std::vector<Emitted> merged;
    for (auto row = rows.begin(); row != long_rows; ++row) {
      const bool continues =
          !merged.empty() && merged.back().op.a == row->op.a && merged.back().doubled == row->doubled &&
          merged.back().op.b + merged.back().lb == row->op.b && merged.back().op.c + merged.back().lb == row->op.c;
      if (continues)
        merged.back().lb += row->lb;
      else
        merged.push_back(*row);
    }
    merged.insert(merged.end(), long_rows, rows.end());
    rows = std::move(merged);
  }

  // Chooses rows that come before all others and need not read the c they write to: the first addend of most c is so
  // stored instead of added to zero. The c that no such row covers are cleared by rows of zeros.
  void choose_fresh_rows(std::size_t size_c) {
    std::vector<bool> written(size_c);
    const auto to = [&](const Emitted& r) { return written.begin() + r.op.c; };
    for (Emitted& r : rows) {
      const auto end = to(r) + r.la + r.lb - 1;
      r.fresh = std::find(to(r), end, true) == end;
      if (r.fresh) std::fill(to(r), end, true);
    }
    for (auto begin = written.begin(); (begin = std::find(begin, written.end(), false)) != written.end();) {
      const auto end = std::find(begin, written.end(), true);
      const auto c = static_cast<std::uint32_t>(begin - written.begin());
      rows.push_back({{0, 0, c}, 0, static_cast<std::uint32_t>(end - begin), false, true});
      begin = end;
    }
  }

  void flatten(ProductPlan& plan) {
    merge_rows();
    choose_fresh_rows(plan.size_c_);
    // Equal shapes together: fixed trip counts cost no branch mispredictions. The sort is stable for locality.
    const auto shape = [](const Emitted& r) { return std::tuple(!r.fresh, r.la, r.lb, r.doubled); };
    std::stable_sort(rows.begin(), rows.end(), [&](const Emitted& x, const Emitted& y) { return shape(x) < shape(y); });
    auto& [ops, groups, children] = *plan.schedule_;
    ops.reserve(rows.size());
    for (const Emitted& r : rows) {
      const auto position = static_cast<std::uint32_t>(ops.size());
      if (ops.empty() || shape(r) != shape(rows[position - 1]))
        groups.push_back({position, 0, r.lb, r.la, r.doubled, r.fresh});
      ++groups.back().count;
      ops.push_back(r.op);
      plan.multiply_adds_ += static_cast<std::uint64_t>(r.la) * r.lb;
    }
  }
};

void check_product(int d, int degree_a, int degree_b) {
  if (d < 1) throw std::invalid_argument("`d` must be >= 1, got " + std::to_string(d));
  for (const int degree : {degree_a, degree_b})
    if (degree < 0) throw std::invalid_argument("`degree` must be >= 0, got " + std::to_string(degree));
  int degree = 0;
  if (__builtin_add_overflow(degree_a, degree_b, &degree))
    throw std::overflow_error("the degree of a product does not fit 32 bits");
  if (d > kMaxProductVars && degree_a > 0 && degree_b > 0)
    throw std::overflow_error("products of forms take at most " + std::to_string(kMaxProductVars) + " variables, got " +
                              std::to_string(d));
}

std::shared_ptr<const ProductPlan> ProductPlan::product(int d, int degree_a, int degree_b) {
  check_product(d, degree_a, degree_b);
  return Builder{}.build(d, degree_a, degree_b, false);
}

std::shared_ptr<const ProductPlan> ProductPlan::square(int d, int degree_a) {
  check_product(d, degree_a, degree_a);
  return Builder{}.build(d, degree_a, degree_a, true);
}

namespace {

constexpr std::uint64_t kPolledWork = 20'000'000;  // multiply-adds between two looks at the interrupt hook

// Calls run(groups, number of groups) on the groups of a leaf, in pieces if it is large.
template <class Run>
void in_pieces(const std::vector<RowGroup>& groups, std::uint64_t work, const Run& run) {
  if (groups.empty()) return;
  if (work <= kPolledWork) return run(groups.data(), groups.size());
  for (const RowGroup& group : groups) {
    const std::uint64_t row_work = std::max<std::uint64_t>(group.la, 1) * group.lb;
    const auto rows = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, kPolledWork / row_work));
    for (std::uint32_t row = 0; row < group.count; row += std::min(rows, group.count - row)) {
      RowGroup piece = group;
      piece.first += row;
      piece.count = std::min(rows, group.count - row);
      run(&piece, 1);
      poll_interrupt();
    }
  }
}

const std::byte* at(const void* p, std::size_t i, std::size_t bytes) {
  return static_cast<const std::byte*>(p) + i * bytes;
}
std::byte* at(void* p, std::size_t i, std::size_t bytes) { return static_cast<std::byte*>(p) + i * bytes; }
}  // namespace

void ProductPlan::multiply(const kernels::RingKernels& ring, const void* a, const void* a2, const void* b, void* c,
                           bool accumulate, const kernels::ModulusData* context) const {
  const auto& [ops, groups, children] = *schedule_;
  in_pieces(groups, multiply_adds_, [&](const RowGroup* some, std::size_t n) {
    ring.convolve(some, n, ops.data(), a, a2, b, c, accumulate, context);
  });
  const std::size_t e = ring.element_bytes;
  if (!children.empty() && !accumulate) std::memset(c, 0, size_c_ * e);
  for (const auto& child : children) {
    const void* pa = at(child.doubled ? a2 : a, child.a, e);
    child.plan->multiply(ring, pa, a2 ? at(a2, child.a, e) : nullptr, at(b, child.b, e), at(c, child.c, e), true,
                         context);
    poll_interrupt();
  }
}

void ProductPlan::correlate(const kernels::RingKernels& ring, const void* c, const void* b, void* a,
                            const kernels::ModulusData* context) const {
  const auto& [ops, groups, children] = *schedule_;
  in_pieces(groups, multiply_adds_,
            [&](const RowGroup* some, std::size_t n) { ring.correlate(some, n, ops.data(), c, b, a, context); });
  const std::size_t e = ring.element_bytes;
  for (const auto& child : children) {
    child.plan->correlate(ring, at(c, child.c, e), at(b, child.b, e), at(a, child.a, e), context);
    poll_interrupt();
  }
}

// ---- batches ------------------------------------------------------------------------------------

namespace {

using kernels::ModulusData;
using kernels::RingKernels;

void check(bool ok, const char* message) {
  if (!ok) throw std::invalid_argument(message);
}

// Both kernels have the shape out = f(x, y) on batches, where x may be shared by the batch. The plan is made once the
// sizes are known to agree, so that nonsense costs nothing.
template <class T, class Apply>
void run_batch(std::size_t size_x, std::size_t size_y, std::size_t size_out, std::span<const T> x, std::span<const T> y,
               std::span<T> out, int n_threads, const ModulusData* context,
               const std::function<std::shared_ptr<const ProductPlan>()>& make_plan, const Apply& apply) {
  check(y.size() % size_y == 0, "`b` must have shape (batch, n_coefficients)");
  const std::size_t batch = y.size() / size_y;
  const bool shared = x.size() == size_x && batch != 1;
  const auto has_rows = [batch](std::size_t size, std::size_t row) { return size % row == 0 && size / row == batch; };
  check(shared || has_rows(x.size(), size_x), "the first operand must have shape (batch, n_coefficients)");
  check(has_rows(out.size(), size_out), "`out` must have shape (batch, n_coefficients)");
  if (batch == 0) return;
  const auto plan = make_plan();
  const std::uint64_t work = plan->multiply_adds();
  const detail::RingPair rings = detail::rings_of<T>();
  const std::size_t lanes = rings.lanes ? rings.lanes->lanes : 1;
  const std::size_t n_blocks = (batch + lanes - 1) / lanes;
  if (work * batch < 20000) n_threads = 1;
  parallel_for(n_blocks, n_threads, [&](std::size_t block) {
    const std::size_t first = block * lanes, members = std::min(lanes, batch - first);
    const RingKernels& ring = detail::choose(rings, members);
    detail::Workspace workspace;
    for (std::size_t s = first; s < first + members; s += ring.lanes) {
      const std::size_t n = std::min(ring.lanes, first + members - s);
      const auto mark = workspace.mark();
      void* px = workspace.take(size_x, ring);
      void* py = workspace.take(size_y, ring);
      void* po = workspace.take(size_out, ring);
      ring.pack(x.data() + (shared ? 0 : s * size_x), shared ? 0 : size_x, n, size_x, px);
      ring.pack(y.data() + s * size_y, size_y, n, size_y, py);
      apply(*plan, ring, px, py, po, context);
      ring.unpack(po, size_out, n, out.data() + s * size_out, size_out, 1);
      workspace.release(mark);
    }
  });
}

template <class T>
void product_batch(int d, int da, int db, std::span<const T> a, std::span<const T> b, std::span<T> out, int n_threads,
                   const ModulusData* context) {
  check_product(d, da, db);
  if (d == 1) da = db = 0;  // one coefficient, whatever the degree
  run_batch<T>(
      count_forms(d, da), count_forms(d, db), count_forms(d, da + db), a, b, out, n_threads, context,
      [&] { return ProductPlan::product(d, da, db); },
      [](const ProductPlan& plan, const RingKernels& ring, const void* x, const void* y, void* z,
         const ModulusData* k) { plan.multiply(ring, x, nullptr, y, z, false, k); });
}

template <class T>
void correlation_batch(int d, int degree_out, int db, std::span<const T> m, std::span<const T> b, std::span<T> out,
                       int n_threads, const ModulusData* context) {
  check_product(d, degree_out, db);
  if (d == 1) degree_out = db = 0;
  run_batch<T>(
      count_forms(d, degree_out + db), count_forms(d, db), count_forms(d, degree_out), m, b, out, n_threads, context,
      [&] { return ProductPlan::product(d, degree_out, db); },
      [](const ProductPlan& plan, const RingKernels& ring, const void* x, const void* y, void* z,
         const ModulusData* k) {
        std::memset(z, 0, plan.size_a() * ring.element_bytes);
        plan.correlate(ring, x, y, z, k);
      });
}

}  // namespace

template <class T>
void graded_product(int d, int da, int db, std::span<const T> a, std::span<const T> b, std::span<T> out,
                    int n_threads) {
  product_batch<T>(d, da, db, a, b, out, n_threads, nullptr);
}
template <class T>
void correlation(int d, int degree_out, int degree_b, std::span<const T> m, std::span<const T> b, std::span<T> out,
                 int n_threads) {
  correlation_batch<T>(d, degree_out, degree_b, m, b, out, n_threads, nullptr);
}

void graded_product(int d, int da, int db, std::span<const std::uint64_t> a, std::span<const std::uint64_t> b,
                    std::span<std::uint64_t> out, std::uint64_t modulus, int n_threads) {
  const ModulusData context = Modulus(modulus).data();
  product_batch<std::uint64_t>(d, da, db, a, b, out, n_threads, &context);
}
void correlation(int d, int degree_out, int degree_b, std::span<const std::uint64_t> m,
                 std::span<const std::uint64_t> b, std::span<std::uint64_t> out, std::uint64_t modulus, int n_threads) {
  const ModulusData context = Modulus(modulus).data();
  correlation_batch<std::uint64_t>(d, degree_out, degree_b, m, b, out, n_threads, &context);
}

#define POLYCORE_INSTANTIATE(T)                                                                              \
  template void graded_product<T>(int, int, int, std::span<const T>, std::span<const T>, std::span<T>, int); \
  template void correlation<T>(int, int, int, std::span<const T>, std::span<const T>, std::span<T>, int);
POLYCORE_INSTANTIATE(float)
POLYCORE_INSTANTIATE(double)
POLYCORE_INSTANTIATE(std::complex<double>)
#undef POLYCORE_INSTANTIATE

}  // namespace polycore
