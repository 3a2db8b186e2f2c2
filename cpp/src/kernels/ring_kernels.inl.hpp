// SPDX-License-Identifier: BSD-3-Clause
// The kernels of RingKernels, written once for every ring policy. Included by kernels.inl.cpp only.

template <class R>
void pack(const void* src, std::size_t lane_stride, std::size_t n_lanes, std::size_t count, void* dst) {
  auto* in = static_cast<const typename R::T*>(src);
  auto* out = static_cast<typename R::T*>(dst);
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(R::L); ++lane)
    for (std::size_t i = 0; i < count; ++i)
      for (int k = 0; k < R::C; ++k)
        out[i * kElement<R> + k * R::L + lane] = lane < n_lanes ? in[lane * lane_stride * R::C + i * R::C + k] : 0;
}

template <class R>
void unpack(const void* src, std::size_t count, std::size_t n_lanes, void* dst, std::size_t lane_stride,
            std::size_t stride) {
  auto* in = static_cast<const typename R::T*>(src);
  auto* out = static_cast<typename R::T*>(dst);
  for (std::size_t lane = 0; lane < n_lanes; ++lane)
    for (std::size_t i = 0; i < count; ++i)
      for (int k = 0; k < R::C; ++k)
        out[(lane * lane_stride + i * stride) * R::C + k] = in[i * kElement<R> + k * R::L + lane];
}

// Whole blocks of float64 lanes are transposed in registers.
template <>
void pack<F64Lanes>(const void* src, std::size_t lane_stride, std::size_t n_lanes, std::size_t count, void* dst) {
  auto* in = static_cast<const double*>(src);
  auto* out = static_cast<double*>(dst);
  std::size_t i = 0;
  if (n_lanes == kLanes)
    for (; i + 4 <= count; i += 4)
      for (int lane = 0; lane < kLanes; lane += 4)
        transpose_block(in + lane * lane_stride + i, lane_stride, out + i * kLanes + lane, kLanes);
  for (; i < count; ++i)
    for (std::size_t lane = 0; lane < static_cast<std::size_t>(kLanes); ++lane)
      out[i * kLanes + lane] = lane < n_lanes ? in[lane * lane_stride + i] : 0.0;
}

template <>
void unpack<F64Lanes>(const void* src, std::size_t count, std::size_t n_lanes, void* dst, std::size_t lane_stride,
                      std::size_t stride) {
  auto* in = static_cast<const double*>(src);
  auto* out = static_cast<double*>(dst);
  std::size_t i = 0;
  if (n_lanes == kLanes && stride == 1)
    for (; i + 4 <= count; i += 4)
      for (int lane = 0; lane < kLanes; lane += 4)
        transpose_block(in + i * kLanes + lane, kLanes, out + lane * lane_stride + i, lane_stride);
  for (; i < count; ++i)
    for (std::size_t lane = 0; lane < n_lanes; ++lane) out[lane * lane_stride + i * stride] = in[i * kLanes + lane];
}

template <class R>
void broadcast(const void* src, std::size_t count, void* dst) {
  auto* in = static_cast<const typename R::T*>(src);
  auto* out = static_cast<typename R::T*>(dst);
  for (std::size_t i = 0; i < count; ++i)
    for (int k = 0; k < R::C; ++k)
      for (int lane = 0; lane < R::L; ++lane) out[i * kElement<R> + k * R::L + lane] = in[i * R::C + k];
}

// ---- affine -------------------------------------------------------------------------------------

/// The part of an affine map that tiles of one window see; distances in scalars.
template <class T>
struct Window {
  std::size_t n_in, length;
  const T* w;
  std::size_t w_row, w_column;
  const T* z;
  std::size_t z_row;
  T* y;
  std::size_t y_row;
  bool accumulate;

  /// From row i and coefficient (or sample) c on.
  inline __attribute__((always_inline)) Window from(std::size_t i, std::size_t c) const {
    Window part = *this;
    part.w += i * w_row;
    part.z += c;
    part.y += i * y_row + c;
    return part;
  }
};

/// Window `k` of the shape, in a ring with `element` scalars a value.
template <class T>
inline __attribute__((always_inline)) Window<T> window_of(const AffineShape& s, std::size_t k, std::size_t length,
                                                          std::size_t element, const T* w, const T* z, T* y,
                                                          bool accumulate) {
  const std::size_t unit = length * element;
  return {s.n_in,
          length,
          w,
          s.w_row * element,
          s.w_column * element,
          z + k * s.z_step * unit,
          s.z_row * unit,
          y + k * s.y_step * unit,
          s.y_row * unit,
          accumulate};
}

template <class R, int Rows, int Columns>
inline __attribute__((always_inline)) void affine_tile(const Window<typename R::T>& t, Context k) {
  constexpr int E = kElement<R>;
  typename R::V sum[Rows][Columns];
  for (int i = 0; i < Rows; ++i)
    for (int c = 0; c < Columns; ++c) sum[i][c] = t.accumulate ? R::load(t.y + i * t.y_row + c * E) : R::zero();
  for (std::size_t j = 0; j < t.n_in; ++j) {
    typename R::V x[Columns];
    for (int c = 0; c < Columns; ++c) x[c] = R::load(t.z + j * t.z_row + c * E);
    for (int i = 0; i < Rows; ++i) {
      const typename R::V a = R::load(t.w + i * t.w_row + j * t.w_column);
      for (int c = 0; c < Columns; ++c) sum[i][c] = R::fma(a, x[c], sum[i][c], k);
    }
  }
  for (int i = 0; i < Rows; ++i)
    for (int c = 0; c < Columns; ++c) R::store(t.y + i * t.y_row + c * E, sum[i][c]);
}

template <class R, int Rows>
inline __attribute__((always_inline)) void affine_rows(const Window<typename R::T>& t, Context k) {
  constexpr int E = kElement<R>, Columns = R::C == 2 ? 2 : Rows == 1 ? 6 : 3;
  std::size_t c = 0;
  for (; c + Columns <= t.length; c += Columns) affine_tile<R, Rows, Columns>(t.from(0, c * E), k);
  for (; c < t.length; ++c) affine_tile<R, Rows, 1>(t.from(0, c * E), k);
}

template <class R>
void affine_in_tiles(const AffineShape& s, std::size_t length, const void* w, const void* z, void* y, bool accumulate,
                     Context k) {
  using T = typename R::T;
  for (std::size_t window = 0; window < s.n_windows; ++window)
    for (int pass = 0; pass < kPasses<R>; ++pass) {
      const auto t = window_of(s, window, length, kElement<R>, static_cast<const T*>(w) + pass * R::W,
                               static_cast<const T*>(z) + pass * R::W, static_cast<T*>(y) + pass * R::W, accumulate);
      std::size_t i = 0;
      if constexpr (R::C == 1)
        for (; i + 4 <= s.n_out; i += 4) affine_rows<R, 4>(t.from(i, 0), k);
      for (; i + 2 <= s.n_out; i += 2) affine_rows<R, 2>(t.from(i, 0), k);
      if (i < s.n_out) affine_rows<R, 1>(t.from(i, 0), k);
    }
}

template <class R>
void affine(const AffineShape& s, std::size_t length, const void* w, const void* z, void* y, bool accumulate,
            Context k) {
  affine_in_tiles<R>(s, length, w, z, y, accumulate, k);
}

// One member of a batch in float64: the weights are scalars, so the registers run along the coefficients (or samples).
template <class V, int Rows, int Columns>
inline __attribute__((always_inline)) void affine_tile_along(const Window<double>& t) {
  constexpr int W = sizeof(V) / sizeof(double);
  V sum[Rows][Columns];
  for (int i = 0; i < Rows; ++i)
    for (int c = 0; c < Columns; ++c) sum[i][c] = t.accumulate ? vload<V>(t.y + i * t.y_row + c * W) : V{};
  for (std::size_t j = 0; j < t.n_in; ++j) {
    V x[Columns];
    for (int c = 0; c < Columns; ++c) x[c] = vload<V>(t.z + j * t.z_row + c * W);
    for (int i = 0; i < Rows; ++i) {
      const V a = splat<V>(t.w[i * t.w_row + j * t.w_column]);
      for (int c = 0; c < Columns; ++c) sum[i][c] = vfma(a, x[c], sum[i][c]);
    }
  }
  for (int i = 0; i < Rows; ++i)
    for (int c = 0; c < Columns; ++c) vstore(t.y + i * t.y_row + c * W, sum[i][c]);
}

template <int Rows>
inline __attribute__((always_inline)) void affine_rows_along(const Window<double>& t) {
  std::size_t c = 0;
  for (; c + 3 * kDoubles <= t.length; c += 3 * kDoubles) affine_tile_along<Doubles, Rows, 3>(t.from(0, c));
  for (; c + 2 * kDoubles <= t.length; c += 2 * kDoubles) affine_tile_along<Doubles, Rows, 2>(t.from(0, c));
  for (; c + kDoubles <= t.length; c += kDoubles) affine_tile_along<Doubles, Rows, 1>(t.from(0, c));
  for (; c < t.length; ++c) affine_tile<F64, Rows, 1>(t.from(0, c), nullptr);
}

/// One row of W on several windows at a time.
template <class V, int Windows, int Columns>
inline __attribute__((always_inline)) void window_tile(const Window<double>& t, std::size_t z_step,
                                                       std::size_t y_step) {
  constexpr int W = sizeof(V) / sizeof(double);
  V sum[Windows][Columns];
  for (int v = 0; v < Windows; ++v)
    for (int c = 0; c < Columns; ++c) sum[v][c] = t.accumulate ? vload<V>(t.y + v * y_step + c * W) : V{};
  for (std::size_t j = 0; j < t.n_in; ++j) {
    const V a = splat<V>(t.w[j * t.w_column]);
    for (int v = 0; v < Windows; ++v)
      for (int c = 0; c < Columns; ++c)
        sum[v][c] = vfma(a, vload<V>(t.z + v * z_step + j * t.z_row + c * W), sum[v][c]);
  }
  for (int v = 0; v < Windows; ++v)
    for (int c = 0; c < Columns; ++c) vstore(t.y + v * y_step + c * W, sum[v][c]);
}

template <int Windows>
inline __attribute__((always_inline)) void window_row(const Window<double>& t, std::size_t z_step, std::size_t y_step) {
  std::size_t c = 0;
  for (; c + 3 * kDoubles <= t.length; c += 3 * kDoubles)
    window_tile<Doubles, Windows, 3>(t.from(0, c), z_step, y_step);
  for (; c + kDoubles <= t.length; c += kDoubles) window_tile<Doubles, Windows, 1>(t.from(0, c), z_step, y_step);
  for (; c < t.length; ++c) window_tile<double, Windows, 1>(t.from(0, c), z_step, y_step);
}

template <>
void affine<F64>(const AffineShape& s, std::size_t length, const void* w, const void* z, void* y, bool accumulate,
                 Context) {
  constexpr std::size_t kWindows = 4;
  const auto window = [&](std::size_t k) __attribute__((always_inline)) {
    return window_of(s, k, length, 1, static_cast<const double*>(w), static_cast<const double*>(z),
                     static_cast<double*>(y), accumulate);
  };
  std::size_t k = 0;
  // Where a window has few rows, tiles have many windows; but units of y that several windows add to are summed window
  // by window, as in every ring.
  if (s.n_out < 4 && s.y_step >= s.n_out * s.y_row)
    for (; k + kWindows <= s.n_windows; k += kWindows)
      for (std::size_t i = 0; i < s.n_out; ++i)
        window_row<kWindows>(window(k).from(i, 0), s.z_step * length, s.y_step * length);
  for (; k < s.n_windows; ++k) {
    const auto t = window(k);
    std::size_t i = 0;
    for (; i + 4 <= s.n_out; i += 4) affine_rows_along<4>(t.from(i, 0));
    for (; i < s.n_out; ++i) affine_rows_along<1>(t.from(i, 0));
  }
}

// GF(p) for small p, the registers along the coefficients (or samples) too: one reduction of a whole sum of products.
template <int Rows, int Columns, class Access>
inline __attribute__((always_inline)) void affine_tile_words(const Window<std::uint64_t>& t, const SmallField& field,
                                                             Access access) {
  Words sum[Rows][Columns];
  for (int i = 0; i < Rows; ++i)
    for (int c = 0; c < Columns; ++c) sum[i][c] = t.accumulate ? access.load(t.y + i * t.y_row + c * kWords) : Words{};
  const auto add_product = [&](std::size_t j) __attribute__((always_inline)) {
    Words x[Columns];
    for (int c = 0; c < Columns; ++c) x[c] = access.load(t.z + j * t.z_row + c * kWords);
    for (int i = 0; i < Rows; ++i) {
      const Words a = splat<Words>(t.w[i * t.w_row + j * t.w_column]);
      for (int c = 0; c < Columns; ++c) sum[i][c] += vmul_low(a, x[c]);
    }
  };
  for (std::size_t j = 0; j < t.n_in; j += 2) {
    add_product(j);
    if (j + 1 < t.n_in) add_product(j + 1);
    for (int i = 0; i < Rows; ++i)
      for (int c = 0; c < Columns; ++c) sum[i][c] = field.fold(sum[i][c]);
  }
  for (int i = 0; i < Rows; ++i)
    for (int c = 0; c < Columns; ++c) access.store(t.y + i * t.y_row + c * kWords, field.reduce_sum(sum[i][c]));
}

/// Whole registers, and the first `n` lanes of one.
struct WholeWords {
  inline __attribute__((always_inline)) Words load(const std::uint64_t* p) const { return vload<Words>(p); }
  inline __attribute__((always_inline)) void store(std::uint64_t* p, Words v) const { vstore(p, v); }
};
struct FirstWords {
  std::size_t n;
  inline __attribute__((always_inline)) Words load(const std::uint64_t* p) const { return vload_first(p, n); }
  inline __attribute__((always_inline)) void store(std::uint64_t* p, Words v) const { vstore_first(p, v, n); }
};

template <int Rows>
inline __attribute__((always_inline)) void affine_rows_words(const Window<std::uint64_t>& t, const SmallField& field) {
  std::size_t c = 0;
  for (; c + 2 * kWords <= t.length; c += 2 * kWords) affine_tile_words<Rows, 2>(t.from(0, c), field, WholeWords{});
  for (; c + kWords <= t.length; c += kWords) affine_tile_words<Rows, 1>(t.from(0, c), field, WholeWords{});
  if (c < t.length) affine_tile_words<Rows, 1>(t.from(0, c), field, FirstWords{t.length - c});
}

template <>
void affine<ModularRing>(const AffineShape& s, std::size_t length, const void* w, const void* z, void* y,
                         bool accumulate, Context k) {
  if (k->bits > SmallField::kMaxBits) return affine_in_tiles<ModularRing>(s, length, w, z, y, accumulate, k);
  const SmallField field(k);
  for (std::size_t window = 0; window < s.n_windows; ++window) {
    const auto t = window_of(s, window, length, 1, static_cast<const std::uint64_t*>(w),
                             static_cast<const std::uint64_t*>(z), static_cast<std::uint64_t*>(y), accumulate);
    std::size_t i = 0;
    for (; i + 4 <= s.n_out; i += 4) affine_rows_words<4>(t.from(i, 0), field);
    for (; i + 2 <= s.n_out; i += 2) affine_rows_words<2>(t.from(i, 0), field);
    for (; i < s.n_out; ++i) affine_rows_words<1>(t.from(i, 0), field);
  }
}

template <class R, int Rows, int Columns>
inline __attribute__((always_inline)) void gradient_tile(std::size_t length, const typename R::T* y,
                                                         const typename R::T* z, std::size_t z_row, typename R::T* w,
                                                         std::size_t w_row, Context k) {
  constexpr int E = kElement<R>;
  typename R::V sum[Rows][Columns];
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j) sum[i][j] = R::load(w + (i * w_row + j) * E);
  for (std::size_t c = 0; c < length; ++c) {
    typename R::V x[Columns];
    for (int j = 0; j < Columns; ++j) x[j] = R::load(z + (j * z_row + c) * E);
    for (int i = 0; i < Rows; ++i) {
      const typename R::V a = R::load(y + (i * length + c) * E);
      for (int j = 0; j < Columns; ++j) sum[i][j] = R::fma(a, x[j], sum[i][j], k);
    }
  }
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j) R::store(w + (i * w_row + j) * E, sum[i][j]);
}

template <class R>
void affine_gradient(std::size_t n_out, std::size_t n_in, std::size_t length, const void* y, const void* z,
                     std::size_t z_step, void* w, std::size_t w_row, Context k) {
  using T = typename R::T;
  constexpr int E = kElement<R>, Tile = R::C == 1 ? 3 : 2;
  const std::size_t z_row = z_step * length;
  for (int pass = 0; pass < kPasses<R>; ++pass) {
    auto* pw = static_cast<T*>(w) + pass * R::W;
    auto* pz = static_cast<const T*>(z) + pass * R::W;
    auto* py = static_cast<const T*>(y) + pass * R::W;
    const auto rows = [&](std::size_t i, auto count) __attribute__((always_inline)) {
      const T* yi = py + i * length * E;
      T* wi = pw + i * w_row * E;
      std::size_t j = 0;
      for (; j + Tile <= n_in; j += Tile)
        gradient_tile<R, count(), Tile>(length, yi, pz + j * z_row * E, z_row, wi + j * E, w_row, k);
      for (; j < n_in; ++j) gradient_tile<R, count(), 1>(length, yi, pz + j * z_row * E, z_row, wi + j * E, w_row, k);
    };
    std::size_t i = 0;
    for (; i + Tile <= n_out; i += Tile) rows(i, Count<Tile>{});
    for (; i < n_out; ++i) rows(i, Count<1>{});
  }
}

// ---- graded product and correlation -------------------------------------------------------------

// Sliding window: every c is loaded (unless it is fresh) and stored once, `La` multiply-adds per element of b.
template <class R, int La, bool Fresh>
void convolve_group(const RowOp* ops, std::size_t n_ops, std::size_t lb, const typename R::T* a, const typename R::T* b,
                    typename R::T* c, Context k) {
  using V = typename R::V;
  constexpr int E = kElement<R>;
  for (std::size_t op = 0; op < n_ops; ++op) {
    for (int pass = 0; pass < kPasses<R>; ++pass) {
      const auto* pa = a + static_cast<std::size_t>(ops[op].a) * E + pass * R::W;
      const auto* pb = b + static_cast<std::size_t>(ops[op].b) * E + pass * R::W;
      auto* pc = c + static_cast<std::size_t>(ops[op].c) * E + pass * R::W;
      V x[La], window[La];
      for (int i = 0; i < La; ++i) x[i] = R::load(pa + i * E);
      for (int i = 0; i + 1 < La; ++i) window[i] = Fresh ? R::zero() : R::load(pc + i * E);
      for (std::size_t j = 0; j < lb; ++j) {
        const V y = R::load(pb + j * E);
        window[La - 1] = Fresh ? R::zero() : R::load(pc + (j + La - 1) * E);
        R::store(pc + j * E, R::fma(x[0], y, window[0], k));
        for (int i = 1; i < La; ++i) window[i - 1] = R::fma(x[i], y, window[i], k);
      }
      for (int i = 0; i + 1 < La; ++i) R::store(pc + (lb + i) * E, window[i]);
    }
  }
}

template <class R, int La>
void correlate_group(const RowOp* ops, std::size_t n_ops, std::size_t lb, const typename R::T* c,
                     const typename R::T* b, typename R::T* a, Context k) {
  using V = typename R::V;
  constexpr int E = kElement<R>;
  for (std::size_t op = 0; op < n_ops; ++op) {
    for (int pass = 0; pass < kPasses<R>; ++pass) {
      auto* pa = a + static_cast<std::size_t>(ops[op].a) * E + pass * R::W;
      const auto* pb = b + static_cast<std::size_t>(ops[op].b) * E + pass * R::W;
      const auto* pc = c + static_cast<std::size_t>(ops[op].c) * E + pass * R::W;
      V sum[La], window[La];
      for (int i = 0; i < La; ++i) sum[i] = R::load(pa + i * E);
      for (int i = 0; i + 1 < La; ++i) window[i] = R::load(pc + i * E);
      for (std::size_t j = 0; j < lb; ++j) {
        const V y = R::load(pb + j * E);
        window[La - 1] = R::load(pc + (j + La - 1) * E);
        for (int i = 0; i < La; ++i) sum[i] = R::fma(window[i], y, sum[i], k);
        for (int i = 0; i + 1 < La; ++i) window[i] = window[i + 1];
      }
      for (int i = 0; i < La; ++i) R::store(pa + i * E, sum[i]);
    }
  }
}

template <class R, bool Fresh>
void convolve_rows(const RowGroup& group, const RowOp* ops, const typename R::T* a, const typename R::T* b,
                   typename R::T* c, Context k) {
  switch (group.la) {
    case 1:
      return convolve_group<R, 1, Fresh>(ops, group.count, group.lb, a, b, c, k);
    case 2:
      return convolve_group<R, 2, Fresh>(ops, group.count, group.lb, a, b, c, k);
    case 3:
      return convolve_group<R, 3, Fresh>(ops, group.count, group.lb, a, b, c, k);
    default:
      return convolve_group<R, 4, Fresh>(ops, group.count, group.lb, a, b, c, k);
  }
}

template <class R>
void clear_rows(const RowGroup& group, const RowOp* ops, typename R::T* c) {
  for (std::size_t op = 0; op < group.count; ++op)
    __builtin_memset(c + static_cast<std::size_t>(ops[op].c) * kElement<R>, 0,
                     group.lb * kElement<R> * sizeof(typename R::T));
}

template <class R>
void convolve(const RowGroup* groups, std::size_t n_groups, const RowOp* ops, const void* a, const void* a2,
              const void* b, void* c, bool accumulate, Context k) {
  using T = typename R::T;
  for (std::size_t g = 0; g < n_groups; ++g) {
    const RowGroup& group = groups[g];
    const auto* pa = static_cast<const T*>(group.doubled ? a2 : a);
    const auto* pb = static_cast<const T*>(b);
    auto* pc = static_cast<T*>(c);
    const RowOp* first = ops + group.first;
    if (group.la == 0) {
      if (!accumulate) clear_rows<R>(group, first, pc);
    } else if (group.fresh && !accumulate) {
      convolve_rows<R, true>(group, first, pa, pb, pc, k);
    } else {
      convolve_rows<R, false>(group, first, pa, pb, pc, k);
    }
  }
}

template <class R>
void correlate(const RowGroup* groups, std::size_t n_groups, const RowOp* ops, const void* c, const void* b, void* a,
               Context k) {
  using T = typename R::T;
  for (std::size_t g = 0; g < n_groups; ++g) {
    const RowGroup& group = groups[g];
    auto* pa = static_cast<T*>(a);
    const auto* pb = static_cast<const T*>(b);
    const auto* pc = static_cast<const T*>(c);
    const RowOp* first = ops + group.first;
    switch (group.la) {
      case 0:
        break;
      case 1:
        correlate_group<R, 1>(first, group.count, group.lb, pc, pb, pa, k);
        break;
      case 2:
        correlate_group<R, 2>(first, group.count, group.lb, pc, pb, pa, k);
        break;
      case 3:
        correlate_group<R, 3>(first, group.count, group.lb, pc, pb, pa, k);
        break;
      default:
        correlate_group<R, 4>(first, group.count, group.lb, pc, pb, pa, k);
    }
  }
}

// ---- entrywise ----------------------------------------------------------------------------------

// Applies f to every register of n elements.
template <class R, class F>
inline __attribute__((always_inline)) void for_each(std::size_t n, F f) {
  const std::size_t stop = n * kElement<R>;
  if constexpr (R::C == 1) {
    for (std::size_t i = 0; i < stop; i += R::W) f(i);
  } else {
    for (std::size_t i = 0; i < stop; i += kElement<R>)
      for (int pass = 0; pass < kPasses<R>; ++pass) f(i + pass * R::W);
  }
}

// The same for GF(p): f(i, access) on registers of residues.
template <class F>
inline __attribute__((always_inline)) void for_each_words(std::size_t n, F f) {
  std::size_t i = 0;
  for (; i + kWords <= n; i += kWords) f(i, WholeWords{});
  if (i < n) f(i, FirstWords{n - i});
}

template <class R>
void multiply(std::size_t n, const void* a, const void* b, void* y, Context k) {
  auto *pa = static_cast<const typename R::T*>(a), *pb = static_cast<const typename R::T*>(b);
  auto* py = static_cast<typename R::T*>(y);
  if constexpr (R::is_modular) {
    if (k->bits <= SmallField::kMaxBits) {
      const SmallField field(k);
      return for_each_words(n, [&](std::size_t i, auto access) __attribute__((always_inline)) {
        access.store(py + i, field.reduce(vmul_low(access.load(pa + i), access.load(pb + i))));
      });
    }
  }
  for_each<R>(n, [&](std::size_t i) { R::store(py + i, R::mul(R::load(pa + i), R::load(pb + i), k)); });
}

// One member of a batch in float64: the registers run along the elements.
template <>
void multiply<F64>(std::size_t n, const void* a, const void* b, void* y, Context) {
  auto *pa = static_cast<const double*>(a), *pb = static_cast<const double*>(b);
  auto* py = static_cast<double*>(y);
  std::size_t i = 0;
  for (; i + kDoubles <= n; i += kDoubles) vstore(py + i, vload<Doubles>(pa + i) * vload<Doubles>(pb + i));
  for (; i < n; ++i) py[i] = pa[i] * pb[i];
}

template <class R>
void multiply_add(std::size_t n, const void* a, const void* b, void* y, Context k) {
  auto *pa = static_cast<const typename R::T*>(a), *pb = static_cast<const typename R::T*>(b);
  auto* py = static_cast<typename R::T*>(y);
  if constexpr (R::is_modular) {
    if (k->bits <= SmallField::kMaxBits) {
      const SmallField field(k);
      return for_each_words(n, [&](std::size_t i, auto access) __attribute__((always_inline)) {
        const Words product = vmul_low(access.load(pa + i), access.load(pb + i));
        access.store(py + i, field.reduce(product + access.load(py + i)));
      });
    }
  }
  for_each<R>(n,
              [&](std::size_t i) { R::store(py + i, R::fma(R::load(pa + i), R::load(pb + i), R::load(py + i), k)); });
}

template <class R>
void scale(std::size_t n, const void* s, const void* x, void* y, Context k) {
  auto *ps = static_cast<const typename R::T*>(s), *px = static_cast<const typename R::T*>(x);
  auto* py = static_cast<typename R::T*>(y);
  for (int pass = 0; pass < kPasses<R>; ++pass) {
    const typename R::V a = R::load(ps + pass * R::W);
    for (std::size_t i = pass * R::W; i < n * kElement<R>; i += kElement<R>)
      R::store(py + i, R::mul(a, R::load(px + i), k));
  }
}

template <class R>
void scale_by(std::size_t n, const void* s, std::size_t s_stride, const void* x, void* y, bool accumulate, Context k) {
  auto *ps = static_cast<const typename R::T*>(s), *px = static_cast<const typename R::T*>(x);
  auto* py = static_cast<typename R::T*>(y);
  if constexpr (R::is_modular) {
    if (k->bits <= SmallField::kMaxBits && s_stride == 0) {
      const SmallField field(k);
      const Words a = splat<Words>(*ps);
      return for_each_words(n, [&](std::size_t i, auto access) __attribute__((always_inline)) {
        const Words product = vmul_low(a, access.load(px + i));
        access.store(py + i, field.reduce(accumulate ? product + access.load(py + i) : product));
      });
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    const typename R::V a = R::constant(ps + i * s_stride * R::C);
    for (int pass = 0; pass < kPasses<R>; ++pass) {
      const std::size_t e = i * kElement<R> + pass * R::W;
      const typename R::V v = R::load(px + e);
      R::store(py + e, accumulate ? R::fma(a, v, R::load(py + e), k) : R::mul(a, v, k));
    }
  }
}

template <class R>
void add(std::size_t n, const void* a, const void* b, void* y, Context k) {
  auto *pa = static_cast<const typename R::T*>(a), *pb = static_cast<const typename R::T*>(b);
  auto* py = static_cast<typename R::T*>(y);
  for_each<R>(n, [&](std::size_t i) { R::store(py + i, R::add(R::load(pa + i), R::load(pb + i), k)); });
}

// One member of a batch in float64.
template <>
void add<F64>(std::size_t n, const void* a, const void* b, void* y, Context) {
  auto *pa = static_cast<const double*>(a), *pb = static_cast<const double*>(b);
  auto* py = static_cast<double*>(y);
  std::size_t i = 0;
  for (; i + kDoubles <= n; i += kDoubles) vstore(py + i, vload<Doubles>(pa + i) + vload<Doubles>(pb + i));
  for (; i < n; ++i) py[i] = pa[i] + pb[i];
}

// ---- one number per sample ----------------------------------------------------------------------

// What the entries of a matrix product are: values of a ring policy, ...
template <class R>
struct RingEntries {
  using T = typename R::T;
  using V = typename R::V;
  Context context;
  inline __attribute__((always_inline)) V zero() const { return R::zero(); }
  inline __attribute__((always_inline)) V load(const T* p) const { return R::load(p); }
  inline __attribute__((always_inline)) V fma(V a, V b, V sum) const { return R::fma(a, b, sum, context); }
  inline __attribute__((always_inline)) void store(T* p, V sum) const { R::store(p, sum); }
};
// ... or registers of residues, whose sums are reduced once, at the end.
template <class Access>
struct FieldEntries {
  using T = std::uint64_t;
  using V = Words;
  const SmallField& field;
  Access access;
  inline __attribute__((always_inline)) V zero() const { return Words{}; }
  inline __attribute__((always_inline)) V load(const T* p) const { return access.load(p); }
  inline __attribute__((always_inline)) V fma(V a, V b, V sum) const { return field.fold(sum + vmul_low(a, b)); }
  inline __attribute__((always_inline)) void store(T* p, V sum) const { access.store(p, field.reduce_sum(sum)); }
};

/// `unit` is the distance of units in memory, in scalars.
template <int Rows, int Columns, class E, class T>
inline __attribute__((always_inline)) void matmul_tile(const MatrixProduct& m, std::size_t unit, const T* a, const T* b,
                                                       T* y, bool accumulate, const E& entries) {
  typename E::V sum[Rows][Columns];
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j)
      sum[i][j] = accumulate ? entries.load(y + (i * m.y_row + j * m.y_column) * unit) : entries.zero();
  for (std::size_t k = 0; k < m.inner; ++k) {
    typename E::V x[Columns];
    for (int j = 0; j < Columns; ++j) x[j] = entries.load(b + (k * m.b_row + j * m.b_column) * unit);
    for (int i = 0; i < Rows; ++i) {
      const typename E::V w = entries.load(a + (i * m.a_row + k * m.a_column) * unit);
      for (int j = 0; j < Columns; ++j) sum[i][j] = entries.fma(w, x[j], sum[i][j]);
    }
  }
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j) entries.store(y + (i * m.y_row + j * m.y_column) * unit, sum[i][j]);
}

template <class E, class T>
void matmul_in_tiles(const MatrixProduct& m, std::size_t unit, const T* a, const T* b, T* y, bool accumulate,
                     const E& entries) {
  const auto rows = [&](std::size_t i, auto count) __attribute__((always_inline)) {
    const T* ai = a + i * m.a_row * unit;
    T* yi = y + i * m.y_row * unit;
    std::size_t j = 0;
    for (; j + 2 <= m.cols; j += 2)
      matmul_tile<count(), 2>(m, unit, ai, b + j * m.b_column * unit, yi + j * m.y_column * unit, accumulate, entries);
    if (j < m.cols)
      matmul_tile<count(), 1>(m, unit, ai, b + j * m.b_column * unit, yi + j * m.y_column * unit, accumulate, entries);
  };
  std::size_t i = 0;
  for (; i + 4 <= m.rows; i += 4) rows(i, Count<4>{});
  for (; i < m.rows; ++i) rows(i, Count<1>{});
}

/// One product an entry: along the positions, which are consecutive in memory.
template <class R>
void outer(const MatrixProduct& m, std::size_t length, const void* a, const void* b, void* y, Context k) {
  auto *pa = static_cast<const typename R::T*>(a), *pb = static_cast<const typename R::T*>(b);
  auto* py = static_cast<typename R::T*>(y);
  const std::size_t unit = length * kElement<R>;
  for (std::size_t i = 0; i < m.rows; ++i)
    for (std::size_t j = 0; j < m.cols; ++j)
      multiply<R>(length, pa + i * m.a_row * unit, pb + j * m.b_column * unit,
                  py + (i * m.y_row + j * m.y_column) * unit, k);
}

template <class R>
void matmul(const MatrixProduct& m, std::size_t length, const void* a, const void* b, void* y, bool accumulate,
            Context k) {
  if (m.inner == 1 && !accumulate) return outer<R>(m, length, a, b, y, k);
  auto *pa = static_cast<const typename R::T*>(a), *pb = static_cast<const typename R::T*>(b);
  auto* py = static_cast<typename R::T*>(y);
  if constexpr (R::is_modular) {
    if (k->bits <= SmallField::kMaxBits) {
      const SmallField field(k);
      return for_each_words(length, [&](std::size_t c, auto access) {
        matmul_in_tiles(m, length, pa + c, pb + c, py + c, accumulate, FieldEntries<decltype(access)>{field, access});
      });
    }
  }
  for_each<R>(length, [&](std::size_t c) {
    matmul_in_tiles(m, length * kElement<R>, pa + c, pb + c, py + c, accumulate, RingEntries<R>{k});
  });
}

// One member of a batch in float64: the registers run along the positions.
template <>
void matmul<F64>(const MatrixProduct& m, std::size_t length, const void* a, const void* b, void* y, bool accumulate,
                 Context k) {
  if (m.inner == 1 && !accumulate) return outer<F64>(m, length, a, b, y, k);
  using Register = RealRing<double, Doubles, kDoubles, kDoubles>;
  auto *pa = static_cast<const double*>(a), *pb = static_cast<const double*>(b);
  auto* py = static_cast<double*>(y);
  std::size_t c = 0;
  for (; c + kDoubles <= length; c += kDoubles)
    matmul_in_tiles(m, length, pa + c, pb + c, py + c, accumulate, RingEntries<Register>{nullptr});
  for (; c < length; ++c) matmul_in_tiles(m, length, pa + c, pb + c, py + c, accumulate, RingEntries<F64>{nullptr});
}

template <class R>
void transpose_elements(std::size_t rows, std::size_t columns, const void* src, std::size_t ss, void* dst,
                        std::size_t ds) {
  auto* in = static_cast<const typename R::T*>(src);
  auto* out = static_cast<typename R::T*>(dst);
  if constexpr (kElement<R> == 1) {
    transpose(rows, columns, in, ss, out, ds);
  } else {
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c)
        __builtin_memcpy(out + (c * ds + r) * kElement<R>, in + (r * ss + c) * kElement<R>,
                         kElement<R> * sizeof(typename R::T));
  }
}

template <class R>
constexpr RingKernels ring_kernels() {
  return {kElement<R> * sizeof(typename R::T),
          R::C * sizeof(typename R::T),
          static_cast<std::size_t>(R::L),
          pack<R>,
          unpack<R>,
          broadcast<R>,
          affine<R>,
          affine_gradient<R>,
          convolve<R>,
          correlate<R>,
          multiply<R>,
          multiply_add<R>,
          scale<R>,
          scale_by<R>,
          add<R>,
          matmul<R>,
          transpose_elements<R>,
          evaluate_gates<R>};
}
