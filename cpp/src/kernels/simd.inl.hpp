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
constexpr int kWords = kDoubles;

typedef double Doubles __attribute__((vector_size(kDoubles * 8)));
typedef float Floats __attribute__((vector_size(kFloats * 4)));
typedef std::uint64_t Words __attribute__((vector_size(kWords * 8)));

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

#if defined(POLYCORE_ISA_V3)
inline __attribute__((always_inline)) __m256i first_lanes(std::size_t n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(static_cast<long long>(n)), _mm256_setr_epi64x(0, 1, 2, 3));
}
#endif
#if defined(POLYCORE_ISA_V4)
// NOTE: gcc 12 warns of uninitialised values inside its own intrinsics unless they have a mask.
constexpr __mmask8 kAllWords = 0xff;
#endif
/// The first n < kWords lanes; the others are zero, and not read or written.
inline __attribute__((always_inline)) Words vload_first(const std::uint64_t* p, std::size_t n) {
#if defined(POLYCORE_ISA_V4)
  return reinterpret_cast<Words>(_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1), p));
#elif defined(POLYCORE_ISA_V3)
  return reinterpret_cast<Words>(_mm256_maskload_epi64(reinterpret_cast<const long long*>(p), first_lanes(n)));
#else
  Words v{};
  for (std::size_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
#endif
}
inline __attribute__((always_inline)) void vstore_first(std::uint64_t* p, Words v, std::size_t n) {
#if defined(POLYCORE_ISA_V4)
  _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << n) - 1), reinterpret_cast<__m512i>(v));
#elif defined(POLYCORE_ISA_V3)
  _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), first_lanes(n), reinterpret_cast<__m256i>(v));
#else
  for (std::size_t i = 0; i < n; ++i) p[i] = v[i];
#endif
}

/// The products of the low halves of the lanes.
inline __attribute__((always_inline)) Words vmul_low(Words a, Words b) {
#if defined(POLYCORE_ISA_V4)
  return reinterpret_cast<Words>(
      _mm512_maskz_mul_epu32(kAllWords, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(POLYCORE_ISA_V3)
  return reinterpret_cast<Words>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<Words>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

/// x - m where x >= m, else x; for m <= 2^63 and x < m + 2^63.
inline __attribute__((always_inline)) Words vsubtract_if(Words x, Words m) {
  const Words less = x - m;
#if defined(POLYCORE_ISA_V4)
  return reinterpret_cast<Words>(
      _mm512_maskz_min_epu64(kAllWords, reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(less)));
#elif defined(POLYCORE_ISA_V3)
  return reinterpret_cast<Words>(
      _mm256_blendv_pd(reinterpret_cast<__m256d>(less), reinterpret_cast<__m256d>(x), reinterpret_cast<__m256d>(less)));
#else
  const Words negative = -(less >> 63);
  return (x & negative) | (less & ~negative);
#endif
}

/// x in every lane. NOTE: x - 0 and not 0 + x, which would turn -0.0 into 0.0.
template <class V, class T>
inline __attribute__((always_inline)) V splat(T x) {
  return x - V{};
}
