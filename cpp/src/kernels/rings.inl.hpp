// SPDX-License-Identifier: BSD-3-Clause
// The rings: what one register holds and how two of them multiply. Included by kernels.inl.cpp only.
//
// A ring policy R has: T (scalar stored in memory), V (registers of one value), C components per value, L lanes in
// memory, W lanes per pass, and load / store / constant / fma / mul / add. A value occupies C * L scalars,
// component-major. Kernels loop over the L / W passes.

using Context = const ModulusData*;

template <class T_, class V_, int L_, int W_>
struct RealRing {
  using T = T_;
  using V = V_;
  static constexpr int C = 1, L = L_, W = W_;
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

using F32 = RealRing<float, float, 1, 1>;
using F32Lanes = RealRing<float, Floats, kLanes, kFloats>;
using F64 = RealRing<double, double, 1, 1>;
using F64Lanes = RealRing<double, Doubles, kLanes, kDoubles>;
using C128 = PairRing<double, 1, 1, -1>;
using C128Lanes = PairRing<Doubles, kLanes, kDoubles, -1>;
using Dual = PairRing<double, 1, 1, 0>;
using DualLanes = PairRing<Doubles, kLanes, kDoubles, 0>;
