// SPDX-License-Identifier: BSD-3-Clause
// The rings: what one register holds and how two of them multiply. Included by kernels.inl.cpp only.
//
// A ring policy R has: T (scalar stored in memory), V (registers of one value), C components per value, L lanes in
// memory, W lanes per pass, whether it is GF(p), and load / store / constant / fma / mul / add. A value occupies C * L
// scalars, component-major. Kernels loop over the L / W passes.

using Context = const ModulusData*;

template <class T_, class V_, int L_, int W_>
struct RealRing {
  using T = T_;
  using V = V_;
  static constexpr int C = 1, L = L_, W = W_;
  static constexpr bool is_modular = false;
  static inline __attribute__((always_inline)) V load(const T* p) { return vload<V>(p); }
  static inline __attribute__((always_inline)) void store(T* p, V v) { vstore(p, v); }
  static inline __attribute__((always_inline)) V zero() { return V{}; }
  static inline __attribute__((always_inline)) V constant(const T* s) { return splat<V>(*s); }
  static inline __attribute__((always_inline)) V fma(V a, V b, V c, Context) { return vfma(a, b, c); }
  static inline __attribute__((always_inline)) V mul(V a, V b, Context) { return a * b; }
  static inline __attribute__((always_inline)) V add(V a, V b, Context) { return a + b; }
};

/// Pairs (x, y) standing for x + y e with e^2 = Square: -1 gives complex numbers, 0 dual numbers.
template <class V_, int L_, int W_, int Square>
struct PairRing {
  using T = double;
  struct V {
    V_ x, y;
  };
  static constexpr int C = 2, L = L_, W = W_;
  static constexpr bool is_modular = false;
  static inline __attribute__((always_inline)) V load(const T* p) { return {vload<V_>(p), vload<V_>(p + L)}; }
  static inline __attribute__((always_inline)) void store(T* p, V v) {
    vstore(p, v.x);
    vstore(p + L, v.y);
  }
  static inline __attribute__((always_inline)) V zero() { return {V_{}, V_{}}; }
  static inline __attribute__((always_inline)) V constant(const T* s) { return {splat<V_>(s[0]), splat<V_>(s[1])}; }
  static inline __attribute__((always_inline)) V fma(V a, V b, V c, Context) {
    V_ x = vfma(a.x, b.x, c.x);
    if (Square != 0) x = vfma(-a.y, b.y, x);
    return {x, vfma(a.y, b.x, vfma(a.x, b.y, c.y))};
  }
  static inline __attribute__((always_inline)) V mul(V a, V b, Context) {
    V_ x = a.x * b.x;
    if (Square != 0) x = vfma(-a.y, b.y, x);
    return {x, vfma(a.y, b.x, a.x * b.y)};
  }
  static inline __attribute__((always_inline)) V add(V a, V b, Context) { return {a.x + b.x, a.y + b.y}; }
};

/// GF(p) for p < 2^61 in canonical residues, Barrett reduction of the 122-bit product.
struct ModularRing {
  using T = std::uint64_t;
  using V = std::uint64_t;
  static constexpr int C = 1, L = 1, W = 1;
  static constexpr bool is_modular = true;
  static inline __attribute__((always_inline)) V load(const T* p) { return *p; }
  static inline __attribute__((always_inline)) void store(T* p, V v) { *p = v; }
  static inline __attribute__((always_inline)) V zero() { return 0; }
  static inline __attribute__((always_inline)) V constant(const T* s) { return *s; }
  static inline __attribute__((always_inline)) V reduce(unsigned __int128 x, Context k) {
    // x < p^2 + p <= 2^(2 bits), so the estimate is at most 2 below the quotient (Handbook of Applied
    // Cryptography, 14.42).
    const auto high = static_cast<std::uint64_t>(x >> (k->bits - 1));
    const auto q = static_cast<std::uint64_t>((static_cast<unsigned __int128>(high) * k->mu) >> (k->bits + 1));
    std::uint64_t r = static_cast<std::uint64_t>(x) - q * k->p;
    r = r >= 2 * k->p ? r - 2 * k->p : r;
    return r >= k->p ? r - k->p : r;
  }
  static inline __attribute__((always_inline)) V fma(V a, V b, V c, Context k) {
    return reduce(static_cast<unsigned __int128>(a) * b + c, k);
  }
  static inline __attribute__((always_inline)) V mul(V a, V b, Context k) {
    return reduce(static_cast<unsigned __int128>(a) * b, k);
  }
  static inline __attribute__((always_inline)) V add(V a, V b, Context k) {
    const V s = a + b;
    return s >= k->p ? s - k->p : s;
  }
};

/// GF(p) for p < 2^31, a register of residues at a time: products of two residues fit 64 bits with room to spare, and
/// the reduction is that of ModularRing.
struct SmallField {
  static constexpr int kMaxBits = 31;

  Words p, two_p, mu;
  Words limit;  // 2 p 2^bits < 2^63
  int bits;

  explicit inline __attribute__((always_inline)) SmallField(Context k)
      : p(splat<Words>(k->p)),
        two_p(splat<Words>(2 * k->p)),
        mu(splat<Words>(k->mu)),
        limit(splat<Words>(k->p << (k->bits + 1))),
        bits(k->bits) {}

  /// x mod p for x < 2^(2 bits)
  inline __attribute__((always_inline)) Words reduce(Words x) const {
    const Words q = vmul_low(x >> (bits - 1), mu) >> (bits + 1);
    return vsubtract_if(vsubtract_if(x - vmul_low(q, p), two_p), p);
  }
  /// Sums of products are kept below `limit`, a multiple of p: that leaves room for two more products.
  inline __attribute__((always_inline)) Words fold(Words x) const { return vsubtract_if(x, limit); }
  /// x mod p for x < limit
  inline __attribute__((always_inline)) Words reduce_sum(Words x) const { return reduce(vsubtract_if(x, limit >> 1)); }
};

using F32 = RealRing<float, float, 1, 1>;
using F32Lanes = RealRing<float, Floats, kLanes, kFloats>;
using F64 = RealRing<double, double, 1, 1>;
using F64Lanes = RealRing<double, Doubles, kLanes, kDoubles>;
using C128 = PairRing<double, 1, 1, -1>;
using C128Lanes = PairRing<Doubles, kLanes, kDoubles, -1>;
using Dual = PairRing<double, 1, 1, 0>;
using DualLanes = PairRing<Doubles, kLanes, kDoubles, 0>;

template <class R>
constexpr int kElement = R::C * R::L;  // scalars of one element
template <class R>
constexpr int kPasses = R::L / R::W;

/// An integer as a type.
template <int N>
struct Count {
  constexpr int operator()() const { return N; }
};
