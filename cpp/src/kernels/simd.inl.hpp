// SPDX-License-Identifier: BSD-3-Clause
// Registers of the instruction set this file is compiled for. Included by kernels.inl.cpp only, inside its anonymous
// namespace: nothing here has linkage.
//
// Fused multiply-add is written out (the build says -ffp-contract=off), so the compiler never decides about rounding.

#if defined(POLYCORE_ISA_V4)
constexpr int kRegisterBytes = 64;
#elif defined(POLYCORE_ISA_V3)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif

constexpr int kDoubles = kRegisterBytes / 8;
constexpr int kFloats = kRegisterBytes / 4 < 8 ? kRegisterBytes / 4 : 8;  // a batch block has 8 lanes
constexpr int kLanes = 8;

typedef double Doubles __attribute__((vector_size(kDoubles * 8)));
typedef float Floats __attribute__((vector_size(kFloats * 4)));

inline __attribute__((always_inline)) double vfma(double a, double b, double c) {
#if defined(POLYCORE_ISA_V3)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}
inline __attribute__((always_inline)) float vfma(float a, float b, float c) {
#if defined(POLYCORE_ISA_V3)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
inline __attribute__((always_inline)) Doubles vfma(Doubles a, Doubles b, Doubles c) {
#if defined(POLYCORE_ISA_V4)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(POLYCORE_ISA_V3)
  return _mm256_fmadd_pd(a, b, c);
#else
  return a * b + c;
#endif
}
inline __attribute__((always_inline)) Floats vfma(Floats a, Floats b, Floats c) {
#if defined(POLYCORE_ISA_V3)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

template <class V, class T>
inline __attribute__((always_inline)) V vload(const T* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}
template <class V, class T>
inline __attribute__((always_inline)) void vstore(T* p, V v) {
  __builtin_memcpy(p, &v, sizeof(V));
}

/// x in every lane. NOTE: x - 0 and not 0 + x, which would turn -0.0 into 0.0.
template <class V, class T>
inline __attribute__((always_inline)) V splat(T x) {
  return x - V{};
}
