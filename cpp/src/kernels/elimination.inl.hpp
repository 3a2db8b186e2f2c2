// SPDX-License-Identifier: BSD-3-Clause
// Elimination over GF(p): the three steps of a block LU decomposition. Included by kernels.inl.cpp only.
//
// A field policy F has: V (one register of residues), W (residues in it), Sum (a register of sums of products that are
// not reduced yet), and start / add_product / settle / finish: a sum must be settled after every `field.period`
// products, and finishing makes residues of it. kRows x kColumns registers are the tile that `update` keeps in
// registers. The factor L is stored with its sign changed, so that everything is an addition of products, and in large
// fields times R, of which a reduction frees the product. encode, encode_left and decode translate canonical residues.

using Entry = std::uint64_t;
using Field = const EliminationField*;

// ---- registers ---------------------------------------------------------------------------------------

#if defined(POLYCORE_ISA_V3)
constexpr int kEntries = kDoubles;
typedef Entry Entries __attribute__((vector_size(kEntries * 8)));
typedef Doubles EntryDoubles;
#else
constexpr int kEntries = 1;
typedef Entry Entries;
typedef double EntryDoubles;
#endif

template <class T, class V>
inline __attribute__((always_inline)) T as(V x) {
  return __builtin_bit_cast(T, x);
}

/// Operations on registers of 64-bit integers. Most are modulo 2^64, so signed or not.
struct EntryRegister {
  using V = Entries;
  static constexpr std::size_t W = kEntries;
  static constexpr Entry kSign = Entry{1} << 63, kLower = 0xffffffff;

  // low_product: of the lower halves, signed. round: to the nearest integer, below 2^51 in absolute value.
  // where_greater: `value` where a > b, signed, else 0. load_part, store_part: the first n.
#if defined(POLYCORE_ISA_V4)
  static inline __attribute__((always_inline)) V low_product(V a, V b) {
    // NOTE: with a mask of ones, since GCC 12 takes the plain one for a use of an uninitialized register (PR 105593).
    return as<V>(_mm512_maskz_mul_epi32(0xff, as<__m512i>(a), as<__m512i>(b)));
  }
  static inline __attribute__((always_inline)) V product(V a, V b) {
    return as<V>(_mm512_mullo_epi64(as<__m512i>(a), as<__m512i>(b)));
  }
  static inline __attribute__((always_inline)) EntryDoubles to_double(V x) {
    return _mm512_cvtepi64_pd(as<__m512i>(x));
  }
  static inline __attribute__((always_inline)) V round(EntryDoubles x) { return as<V>(_mm512_cvtpd_epi64(x)); }
  static inline __attribute__((always_inline)) V where_greater(V a, V b, V value) {
    return as<V>(_mm512_maskz_mov_epi64(_mm512_cmpgt_epi64_mask(as<__m512i>(a), as<__m512i>(b)), as<__m512i>(value)));
  }
  static inline __attribute__((always_inline)) V load_part(const Entry* x, std::size_t n) {
    return as<V>(_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1), x));
  }
  static inline __attribute__((always_inline)) void store_part(Entry* x, V v, std::size_t n) {
    _mm512_mask_storeu_epi64(x, static_cast<__mmask8>((1u << n) - 1), as<__m512i>(v));
  }
#elif defined(POLYCORE_ISA_V3)
  static inline __attribute__((always_inline)) V low_product(V a, V b) {
    return as<V>(_mm256_mul_epi32(as<__m256i>(a), as<__m256i>(b)));
  }
  /// Modulo 2^64, for 0 <= b < 2^32.
  static inline __attribute__((always_inline)) V product(V a, V b) {
    const V lower = as<V>(_mm256_mul_epu32(as<__m256i>(a), as<__m256i>(b)));
    return lower + (as<V>(_mm256_mul_epu32(as<__m256i>(a >> 32), as<__m256i>(b))) << 32);
  }
  /// AVX2 converts no 64-bit integers: each half is put into the significand of a power of two.
  static inline __attribute__((always_inline)) EntryDoubles to_double(V x) {
    const V upper = (x >> 32) ^ Entry { 0x4530000080000000 };             // 2^84 + 2^63 + 2^32 (signed upper half)
    const V lower = (x & Entry{0xffffffff}) | Entry{0x4330000000000000};  // 2^52 + lower half
    return (as<EntryDoubles>(upper) - (0x1p84 + 0x1p63 + 0x1p52)) + as<EntryDoubles>(lower);
  }
  static inline __attribute__((always_inline)) V round(EntryDoubles x) {
    const EntryDoubles magic = splat<EntryDoubles>(0x1.8p52);
    return as<V>(x + magic) - as<V>(magic);
  }
  static inline __attribute__((always_inline)) V where_greater(V a, V b, V value) {
    return as<V>(_mm256_cmpgt_epi64(as<__m256i>(a), as<__m256i>(b))) & value;
  }
  static inline __attribute__((always_inline)) __m256i part(std::size_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(static_cast<long long>(n)), _mm256_setr_epi64x(0, 1, 2, 3));
  }
  static inline __attribute__((always_inline)) V load_part(const Entry* x, std::size_t n) {
    return as<V>(_mm256_maskload_epi64(reinterpret_cast<const long long*>(x), part(n)));
  }
  static inline __attribute__((always_inline)) void store_part(Entry* x, V v, std::size_t n) {
    _mm256_maskstore_epi64(reinterpret_cast<long long*>(x), part(n), as<__m256i>(v));
  }
#else
  static inline __attribute__((always_inline)) V low_product(V a, V b) { return a * b; }
  static inline __attribute__((always_inline)) V product(V a, V b) { return a * b; }
  static inline __attribute__((always_inline)) double to_double(V x) {
    return static_cast<double>(static_cast<std::int64_t>(x));
  }
  static inline __attribute__((always_inline)) V round(double x) { return as<V>(x + 0x1.8p52) - as<V>(0x1.8p52); }
  static inline __attribute__((always_inline)) V where_greater(V a, V b, V value) {
    return static_cast<std::int64_t>(a) > static_cast<std::int64_t>(b) ? value : 0;
  }
  static inline __attribute__((always_inline)) V load_part(const Entry* x, std::size_t n) { return n ? *x : 0; }
  static inline __attribute__((always_inline)) void store_part(Entry* x, V v, std::size_t n) {
    if (n) *x = v;
  }
#endif
  static inline __attribute__((always_inline)) V load(const Entry* x) { return vload<V>(x); }
  static inline __attribute__((always_inline)) void store(Entry* x, V v) { vstore(x, v); }

  /// The balanced residue of an integer x, known modulo 2^64 and approximately: x - q p. The error of q before rounding
  /// is far below one half, so one correction is enough.
  template <class Product>
  static inline __attribute__((always_inline)) V reduce(V x, EntryDoubles approximate, Field f,
                                                        const Product& times_p) {
    const V p = splat<V>(f->p), half = splat<V>(f->p >> 1);
    const V r = x - times_p(round(approximate * f->inverse));
    return r - where_greater(r, half, p) + where_greater(Entry{0} - half, r, p);
  }
};

/// 1 / x modulo p by Euclid's algorithm; 0 < x < p < 2^61, U holds p.
template <class U>
Entry modular_inverse(Entry x, Entry p) {
  auto a = static_cast<U>(p), b = static_cast<U>(x);
  std::int64_t s = 0, t = 1;  // a = s x and b = t x modulo p
  while (b != 0) {
    const U q = a / b, c = a - q * b;
    const std::int64_t u = s - static_cast<std::int64_t>(q) * t;
    a = b, b = c;
    s = t, t = u;
  }
  return static_cast<Entry>(s < 0 ? s + static_cast<std::int64_t>(p) : s);
}

inline Entry modular_product(Entry x, Entry y, Entry p) {
  return static_cast<Entry>(static_cast<unsigned __int128>(x) * y % p);
}

/// 1 / p modulo 2^64 by Newton's iteration: right modulo 8, and twice as many bits in each step.
inline Entry word_inverse(Entry p) {
  Entry inverse = p;
  for (int i = 0; i < 5; ++i) inverse *= 2 - p * inverse;
  return inverse;
}

inline Entry balanced(Entry x, Entry p) { return x > p >> 1 ? x - p : x; }
inline Entry canonical(Entry x, Entry p) { return x >> 63 ? x + p : x; }

// ---- p < 2^31: residues balanced around zero ---------------------------------------------------------
//
// |x| <= p / 2 < 2^30, so a product is a signed 32 x 32-bit multiplication (half the cost of two floating-point
// multiply-adds on halves of one factor), and eight of them fit in 63 bits. Sums of more are kept in two registers: the
// upper halves of the lower one are moved to the higher one in time.

struct BalancedField : EntryRegister {
#if defined(POLYCORE_ISA_V4)
  static constexpr int kRows = 6, kColumns = 2;
#elif defined(POLYCORE_ISA_V3)
  static constexpr int kRows = 3, kColumns = 2;
#else
  static constexpr int kRows = 2, kColumns = 2;
#endif
  /// 2^32 high + low - 2^63: the lower part is never negative.
  struct Sum {
    V low, high;
  };

  static inline __attribute__((always_inline)) Sum start(V c, std::size_t settlings) {
    // Each settling moves the bias too: 2^31 in units of 2^32.
    return {c + kSign, splat<V>(Entry{0} - (static_cast<Entry>(settlings) << 31))};
  }
  static inline __attribute__((always_inline)) void add_product(Sum& sum, V a, V b) { sum.low += low_product(a, b); }
  static inline __attribute__((always_inline)) void settle(Sum& sum, Field) {
    sum.high += sum.low >> 32;
    sum.low = (sum.low & kLower) | kSign;
  }
  // The quotient of 256 products by p is below 2^39, so its error is below 2^-12.
  static inline __attribute__((always_inline)) V finish(const Sum& sum, std::size_t settlings, Field f) {
    const V low = sum.low - kSign;
    if (settlings == 0) return residue(low, to_double(low), f);
    return residue((sum.high << 32) + low, to_double(sum.high) * 0x1p32 + to_double(low), f);
  }
  static inline __attribute__((always_inline)) V multiply(V a, V b, Field f) {
    const V x = low_product(a, b);
    return residue(x, to_double(x), f);
  }
  static inline __attribute__((always_inline)) V residue(V x, EntryDoubles approximate, Field f) {
    const V p = splat<V>(f->p);
    return reduce(x, approximate, f, [p](V q) { return product(q, p); });
  }

  static EliminationField field(Entry p) {
    const Entry half = p >> 1;
    return {p, ((Entry{1} << 63) - (Entry{1} << 32)) / (half * half), 1.0 / static_cast<double>(p), 0, 0};
  }
  static Entry encode(Entry x, Field f) { return balanced(x, f->p); }
  static Entry encode_left(Entry x, Field f) { return balanced(x, f->p); }
  static Entry decode(Entry x, Field f) { return canonical(x, f->p); }
  static Entry inverse(Entry x, Field f) { return modular_inverse<std::uint32_t>(x, f->p); }
};

#if defined(POLYCORE_ISA_V3)
// ---- odd p < 2^61: two digits ------------------------------------------------------------------------
//
// A residue is x1 2^31 + x0 with |x0| <= 2^30 and |x1| <= 2^29 + 1, the digits kept in the halves of a word: four
// signed 32 x 32-bit multiplications a product, seven products before the three sums of a product's digits are settled.
// They are reduced by Montgomery's method, a digit at a time: R = 2^62.

struct LargeField : EntryRegister {
#if defined(POLYCORE_ISA_V4)
  static constexpr int kRows = 2, kColumns = 2;
#else
  static constexpr int kRows = 1, kColumns = 3;
#endif
  /// Of products of lower digits, of mixed ones, of upper digits; each as in BalancedField.
  struct Sum {
    V low[3], high[3];
  };
  static constexpr Entry kDigit = (Entry{1} << 31) - 1;

  static inline __attribute__((always_inline)) V lower_digit(V x) { return ((x & kLower) ^ 0x80000000) - 0x80000000; }
  static inline __attribute__((always_inline)) V value(V x) {
    // The upper digit times 2^32, halved as a signed number.
    return (((x & ~kLower) ^ kSign) >> 1) - (kSign >> 1) + lower_digit(x);
  }
  static inline __attribute__((always_inline)) V digits(V x) {
    const V lower = ((x + 0x40000000) & kDigit) - 0x40000000;
    return ((x - lower) << 1) | (lower & kLower);
  }

  static inline __attribute__((always_inline)) Sum start(V c, std::size_t settlings) {
    const V bias = splat<V>(kSign), moved = splat<V>(Entry{0} - (static_cast<Entry>(settlings + 1) << 31));
    return {{bias, bias, value(c) + bias}, {moved, moved, moved}};  // c R
  }
  static inline __attribute__((always_inline)) void add_product(Sum& sum, V a, V b) {
    const V a1 = a >> 32, b1 = b >> 32;
    sum.low[0] += low_product(a, b);
    sum.low[1] += low_product(a, b1) + low_product(a1, b);
    sum.low[2] += low_product(a1, b1);
  }
  static inline __attribute__((always_inline)) void settle(Sum& sum, Field) {
    for (int i = 0; i < 3; ++i) {
      sum.high[i] += sum.low[i] >> 32;
      sum.low[i] = (sum.low[i] & kLower) | kSign;
    }
  }
  static inline __attribute__((always_inline)) V finish(Sum sum, std::size_t, Field f) {
    settle(sum, f);
    for (int i = 0; i < 3; ++i) sum.low[i] &= kLower;
    const V p0 = splat<V>(f->p & kDigit), p1 = splat<V>(f->p >> 31), negative_inverse = splat<V>(f->montgomery_inverse);
    // Multiples of p that make the lowest digit zero, twice.
    const V m = low_product(sum.low[0] & kDigit, negative_inverse) & kDigit;
    const V first = sum.low[0] + low_product(m, p0);
    const V middle = sum.low[1] + low_product(m, p1) + (sum.high[0] << 1) + (first >> 31);
    const V n = low_product(middle & kDigit, negative_inverse) & kDigit;
    const V second = middle + low_product(n, p0);  // more than -2^39
    const V carry = ((second + (Entry{1} << 62)) >> 31) - (Entry{1} << 31);
    const V low = sum.low[2] + low_product(n, p1) + (sum.high[1] << 1) + carry;
    const V x = (sum.high[2] << 32) + low;
    const EntryDoubles approximate = to_double(sum.high[2]) * 0x1p32 + to_double(low);
    // The quotient of 256 products by p R is below 2^8.
    return digits(reduce(x, approximate, f, [p0, p1](V q) { return low_product(q, p0) + (low_product(q, p1) << 31); }));
  }
  static inline __attribute__((always_inline)) V multiply(V a, V b, Field f) {
    Sum sum = start(V{}, 0);
    add_product(sum, a, b);
    return finish(sum, 0, f);
  }

  static EliminationField field(Entry p) {
    return {p, 7, 1.0 / static_cast<double>(p), (Entry{0} - word_inverse(p)) & kDigit, (Entry{1} << 62) % p};
  }
  static Entry encode(Entry x, Field f) {
    const Entry y = balanced(x, f->p), lower = ((y + 0x40000000) & kDigit) - 0x40000000;
    return ((y - lower) << 1) | (lower & kLower);
  }
  static Entry encode_left(Entry x, Field f) { return encode(modular_product(x, f->montgomery_one, f->p), f); }
  static Entry decode(Entry x, Field f) {
    const Entry upper = ((x & ~kLower) ^ kSign) >> 1;
    return canonical(upper - (kSign >> 1) + (((x & kLower) ^ 0x80000000) - 0x80000000), f->p);
  }
  static Entry inverse(Entry x, Field f) { return modular_inverse<Entry>(x, f->p); }
};

#else
// ---- odd p < 2^61: words -------------------------------------------------------------------------------
//
// Sums of two words, reduced by Montgomery's method: R = 2^64. A residue c to start from is c R, its own upper word.

struct LargeField {
  using V = Entry;
  static constexpr std::size_t W = 1;
  static constexpr int kRows = 2, kColumns = 2;
  using Sum = unsigned __int128;

  static inline __attribute__((always_inline)) Sum start(V c, std::size_t) { return static_cast<Sum>(c) << 64; }
  static inline __attribute__((always_inline)) void add_product(Sum& sum, V a, V b) { sum += static_cast<Sum>(a) * b; }
  /// Sums stay below p R; `period` products more, and they stay below 2 p R.
  static inline __attribute__((always_inline)) void settle(Sum& sum, Field f) {
    const auto high = static_cast<Entry>(sum >> 64), less = high - f->p;
    sum = static_cast<Sum>(less < high ? less : high) << 64 | static_cast<Entry>(sum);
  }
  static inline __attribute__((always_inline)) V finish(Sum sum, std::size_t, Field f) {
    settle(sum, f);
    const auto high = static_cast<Entry>(sum >> 64);
    const Entry m = static_cast<Entry>(sum) * f->montgomery_inverse;
    const auto subtracted = static_cast<Entry>(static_cast<Sum>(m) * f->p >> 64);
    return high >= subtracted ? high - subtracted : high + f->p - subtracted;
  }
  static inline __attribute__((always_inline)) V multiply(V a, V b, Field f) {
    return finish(static_cast<Sum>(a) * b, 0, f);
  }
  static inline __attribute__((always_inline)) V load(const Entry* x) { return *x; }
  static inline __attribute__((always_inline)) void store(Entry* x, V v) { *x = v; }
  static inline __attribute__((always_inline)) V load_part(const Entry* x, std::size_t n) { return n ? *x : 0; }
  static inline __attribute__((always_inline)) void store_part(Entry* x, V v, std::size_t n) {
    if (n) *x = v;
  }

  static EliminationField field(Entry p) {
    const Entry one = (Entry{0} - p) % p, period = (Entry{0} - p) / p + 1;  // 2^64 mod p, floor(2^64 / p)
    return {p, period, 1.0 / static_cast<double>(p), word_inverse(p), one};
  }
  static Entry encode(Entry x, Field) { return x; }
  static Entry encode_left(Entry x, Field f) { return modular_product(x, f->montgomery_one, f->p); }
  static Entry decode(Entry x, Field) { return x; }
  static Entry inverse(Entry x, Field f) { return modular_inverse<Entry>(x, f->p); }
};
#endif

inline __attribute__((always_inline)) std::size_t n_settlings(std::size_t depth, Field f) {
  return depth == 0 ? 0 : (depth - 1) / f->period;
}

// ---- update: C += A B --------------------------------------------------------------------------------

/// B in panels as wide as a tile, each contiguous, the last one padded with zeros.
template <class F>
void elimination_pack(std::size_t depth, std::size_t columns, const Entry* b, std::size_t stride, Entry* packed) {
  constexpr std::size_t width = F::W * F::kColumns;
  for (std::size_t j = 0; j < columns; j += width) {
    const std::size_t n = columns - j < width ? columns - j : width;
    for (std::size_t k = 0; k < depth; ++k, packed += width) {
      const Entry* row = b + k * stride + j;
      if (n == width) {
        for (int v = 0; v < F::kColumns; ++v) F::store(packed + v * F::W, F::load(row + v * F::W));
      } else {
        for (std::size_t i = 0; i < width; ++i) packed[i] = i < n ? row[i] : 0;
      }
    }
  }
}

/// One tile: Rows rows of C, and all columns of a panel or the first `columns`.
template <class F, int Rows, bool Whole>
void update_tile(std::size_t depth, const Entry* a, std::size_t a_stride, const Entry* panel, Entry* c,
                 std::size_t c_stride, std::size_t columns, Field f) {
  using V = typename F::V;
  constexpr int Columns = F::kColumns;
  constexpr std::size_t W = F::W;
  const auto lanes = [columns](int j) {
    const std::size_t before = static_cast<std::size_t>(j) * W;
    return columns <= before ? 0 : columns - before < W ? columns - before : W;
  };
  const std::size_t settlings = n_settlings(depth, f);
  typename F::Sum sums[Rows][Columns];
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j) {
      const Entry* at = c + i * c_stride + j * W;
      sums[i][j] = F::start(Whole ? F::load(at) : F::load_part(at, lanes(j)), settlings);
    }
  for (std::size_t k = 0;;) {
    const std::size_t stop = depth - k < f->period ? depth : k + f->period;
#pragma GCC unroll 1
    for (; k < stop; ++k, panel += W * Columns) {
      V y[Columns];
      for (int j = 0; j < Columns; ++j) y[j] = F::load(panel + j * W);
      for (int i = 0; i < Rows; ++i) {
        const V x = splat<V>(a[i * a_stride + k]);
        for (int j = 0; j < Columns; ++j) F::add_product(sums[i][j], x, y[j]);
      }
    }
    if (k == depth) break;
    for (int i = 0; i < Rows; ++i)
      for (int j = 0; j < Columns; ++j) F::settle(sums[i][j], f);
  }
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j) {
      Entry* at = c + i * c_stride + j * W;
      const V result = F::finish(sums[i][j], settlings, f);
      if (Whole)
        F::store(at, result);
      else
        F::store_part(at, result, lanes(j));
    }
}

template <class F, int Rows>
inline __attribute__((always_inline)) void update_rows(std::size_t depth, std::size_t columns, const Entry* a,
                                                       std::size_t a_stride, const Entry* packed, Entry* c,
                                                       std::size_t c_stride, Field f) {
  constexpr std::size_t width = F::W * F::kColumns;
  std::size_t j = 0;
  for (; j + width <= columns; j += width)
    update_tile<F, Rows, true>(depth, a, a_stride, packed + j * depth, c + j, c_stride, width, f);
  if (j < columns) update_tile<F, Rows, false>(depth, a, a_stride, packed + j * depth, c + j, c_stride, columns - j, f);
}

template <class F, int Rows>
void update_rest(std::size_t rows, std::size_t depth, std::size_t columns, const Entry* a, std::size_t a_stride,
                 const Entry* packed, Entry* c, std::size_t c_stride, Field f) {
  if constexpr (Rows > 0) {
    if (rows == Rows)
      update_rows<F, Rows>(depth, columns, a, a_stride, packed, c, c_stride, f);
    else
      update_rest<F, Rows - 1>(rows, depth, columns, a, a_stride, packed, c, c_stride, f);
  }
}

template <class F>
void elimination_update(std::size_t rows, std::size_t depth, std::size_t columns, const Entry* a, std::size_t a_stride,
                        const Entry* packed, Entry* c, std::size_t c_stride, Field f) {
  // A group of rows of A stays in the first cache while all of B passes by from the second.
  for (; rows >= F::kRows; rows -= F::kRows, a += F::kRows * a_stride, c += F::kRows * c_stride)
    update_rows<F, F::kRows>(depth, columns, a, a_stride, packed, c, c_stride, f);
  update_rest<F, F::kRows - 1>(rows, depth, columns, a, a_stride, packed, c, c_stride, f);
}

// ---- solve: B = L^-1 B -------------------------------------------------------------------------------

/// `Vectors` registers of columns, or one of which `columns` residues count.
template <class F, int Vectors, bool Whole>
void solve_columns(std::size_t n, const Entry* l, std::size_t l_stride, Entry* b, std::size_t b_stride,
                   std::size_t columns, Field f) {
  using V = typename F::V;
  for (std::size_t i = Whole ? 1 : 0; i < n; ++i) {
    const std::size_t settlings = n_settlings(i, f);
    typename F::Sum sums[Vectors];
    Entry* row = b + i * b_stride;
    for (int v = 0; v < Vectors; ++v)
      sums[v] = F::start(Whole ? F::load(row + v * F::W) : F::load_part(row, columns), settlings);
    for (std::size_t k = 0; k < i;) {
      const std::size_t stop = i - k < f->period ? i : k + f->period;
      for (; k < stop; ++k) {
        const V x = splat<V>(l[i * l_stride + k]);
        for (int v = 0; v < Vectors; ++v) {
          const Entry* at = b + k * b_stride + v * F::W;
          F::add_product(sums[v], x, Whole ? F::load(at) : F::load_part(at, columns));
        }
      }
      if (k < i)
        for (int v = 0; v < Vectors; ++v) F::settle(sums[v], f);
    }
    for (int v = 0; v < Vectors; ++v) {
      const V result = F::finish(sums[v], settlings, f);
      if (Whole)
        F::store(row + v * F::W, result);
      else
        F::store_part(row, result, columns);
    }
  }
}

template <class F>
void elimination_solve(std::size_t n, std::size_t columns, const Entry* l, std::size_t l_stride, Entry* b,
                       std::size_t b_stride, Field f) {
  std::size_t j = 0;
  for (; j + 4 * F::W <= columns; j += 4 * F::W) solve_columns<F, 4, true>(n, l, l_stride, b + j, b_stride, 0, f);
  for (; j + F::W <= columns; j += F::W) solve_columns<F, 1, true>(n, l, l_stride, b + j, b_stride, 0, f);
  if (j < columns) solve_columns<F, 1, false>(n, l, l_stride, b + j, b_stride, columns - j, f);
}

// ---- panel: a few columns, with row exchanges --------------------------------------------------------

/// x[i] += sum_k l[k][i] u[k] for i in `Vectors` registers; l and u by rows of these strides.
template <class F, int Vectors>
inline __attribute__((always_inline)) void add_products(std::size_t depth, const Entry* l, std::size_t l_stride,
                                                        const Entry* u, std::size_t u_stride, Entry* x, Field f) {
  using V = typename F::V;
  const std::size_t settlings = n_settlings(depth, f);
  typename F::Sum sums[Vectors];
  for (int v = 0; v < Vectors; ++v) sums[v] = F::start(F::load(x + v * F::W), settlings);
  for (std::size_t k = 0; k < depth;) {
    const std::size_t stop = depth - k < f->period ? depth : k + f->period;
    for (; k < stop; ++k) {
      const V y = splat<V>(u[k * u_stride]);
      for (int v = 0; v < Vectors; ++v) F::add_product(sums[v], F::load(l + k * l_stride + v * F::W), y);
    }
    if (k < depth)
      for (int v = 0; v < Vectors; ++v) F::settle(sums[v], f);
  }
  for (int v = 0; v < Vectors; ++v) F::store(x + v * F::W, F::finish(sums[v], settlings, f));
}

/// What to multiply the entries below a pivot by to have those of -L, given 1 / pivot: two factors R, one that is lost
/// in the product, and that of L.
template <class F>
Entry scale_of(Entry inverse, Field f) {
  return F::encode_left(F::decode(F::encode_left(f->p - inverse, f), f), f);
}

/// Left-looking elimination of the columns of `panel`, which is stored by columns of length `height`, a multiple of
/// kEliminationLanes with zeros after the last row. Column k < rank becomes the k-th column of -L, row exchanges[k] is
/// exchanged with row k. Returns the rank.
template <class F>
std::size_t elimination_panel(std::size_t rows, std::size_t height, std::size_t width, Entry* panel,
                              std::size_t* exchanges, Field f) {
  constexpr std::size_t W = F::W;
  alignas(64) Entry upper[kEliminationPanel][kEliminationPanel];  // rows of U
  std::size_t rank = 0;
  for (std::size_t j = 0; j < width && rank < rows; ++j) {
    Entry* column = panel + j * height;
    const std::size_t first = rank / W * W;
    if (rank > 0) {
      std::size_t i = first;
      for (; i + 4 * W <= height; i += 4 * W)
        add_products<F, 4>(rank, panel + i, height, &upper[0][j], kEliminationPanel, column + i, f);
      for (; i < height; i += W)
        add_products<F, 1>(rank, panel + i, height, &upper[0][j], kEliminationPanel, column + i, f);
    }
    std::size_t pivot = rank;
    while (pivot < rows && column[pivot] == 0) ++pivot;
    if (pivot == rows) continue;
    exchanges[rank] = pivot;
    if (pivot != rank)
      for (std::size_t k = 0; k < width; ++k) {
        const Entry x = panel[k * height + rank];
        panel[k * height + rank] = panel[k * height + pivot];
        panel[k * height + pivot] = x;
      }
    // The row of U: that of the matrix and the products of its -L with the rows above.
    alignas(64) Entry lower[kEliminationPanel];
    for (std::size_t k = 0; k < rank; ++k) lower[k] = panel[k * height + rank];
    for (std::size_t k = 0; k < kEliminationPanel; ++k) upper[rank][k] = k < width ? panel[k * height + rank] : 0;
    for (std::size_t k = 0; k < kEliminationPanel && rank > 0; k += W)
      add_products<F, 1>(rank, &upper[0][k], kEliminationPanel, lower, 1, &upper[rank][k], f);
    // -R / pivot, times R.
    const Entry inverse = F::inverse(F::decode(column[rank], f), f);
    const typename F::V factor = splat<typename F::V>(scale_of<F>(inverse, f));
    Entry* l = panel + rank * height;
    for (std::size_t i = first; i < height; i += W) F::store(l + i, F::multiply(F::load(column + i), factor, f));
    ++rank;
  }
  return rank;
}

// ---- translation -------------------------------------------------------------------------------------

template <class F>
EliminationField elimination_field(Entry p) {
  EliminationField field = F::field(p);
  if (field.period > kEliminationDepth) field.period = kEliminationDepth;
  return field;
}

template <class F>
void elimination_encode(std::size_t n, Entry* x, Field f) {
  for (std::size_t i = 0; i < n; ++i) x[i] = F::encode(x[i], f);
}
template <class F>
void elimination_encode_left(std::size_t n, Entry* x, Field f) {
  for (std::size_t i = 0; i < n; ++i) x[i] = F::encode_left(x[i], f);
}
template <class F>
void elimination_decode(std::size_t n, Entry* x, Field f) {
  for (std::size_t i = 0; i < n; ++i) x[i] = F::decode(x[i], f);
}

template <class F>
constexpr EliminationKernels elimination_kernels() {
  return {F::W * F::kColumns,         elimination_field<F>,  elimination_encode<F>,
          elimination_encode_left<F>, elimination_decode<F>, elimination_pack<F>,
          elimination_update<F>,      elimination_solve<F>,  elimination_panel<F>};
}
