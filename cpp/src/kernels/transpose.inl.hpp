// SPDX-License-Identifier: BSD-3-Clause
// Transposition, four by four in registers. Included by kernels.inl.cpp only.

template <class T>
inline __attribute__((always_inline)) void transpose_block(const T* src, std::size_t ss, T* dst, std::size_t ds) {
  for (int r = 0; r < 4; ++r)
    for (int c = 0; c < 4; ++c) dst[c * ds + r] = src[r * ss + c];
}

#if defined(POLYCORE_ISA_V3)
inline __attribute__((always_inline)) void transpose_words(const double* src, std::size_t ss, double* dst,
                                                           std::size_t ds) {
  const __m256d r0 = _mm256_loadu_pd(src), r1 = _mm256_loadu_pd(src + ss);
  const __m256d r2 = _mm256_loadu_pd(src + 2 * ss), r3 = _mm256_loadu_pd(src + 3 * ss);
  const __m256d a = _mm256_unpacklo_pd(r0, r1), b = _mm256_unpackhi_pd(r0, r1);
  const __m256d c = _mm256_unpacklo_pd(r2, r3), d = _mm256_unpackhi_pd(r2, r3);
  _mm256_storeu_pd(dst, _mm256_permute2f128_pd(a, c, 0x20));
  _mm256_storeu_pd(dst + ds, _mm256_permute2f128_pd(b, d, 0x20));
  _mm256_storeu_pd(dst + 2 * ds, _mm256_permute2f128_pd(a, c, 0x31));
  _mm256_storeu_pd(dst + 3 * ds, _mm256_permute2f128_pd(b, d, 0x31));
}
template <>
inline __attribute__((always_inline)) void transpose_block<double>(const double* src, std::size_t ss, double* dst,
                                                                   std::size_t ds) {
  transpose_words(src, ss, dst, ds);
}
template <>
inline __attribute__((always_inline)) void transpose_block<std::uint64_t>(const std::uint64_t* src, std::size_t ss,
                                                                          std::uint64_t* dst, std::size_t ds) {
  // Registers are loaded and stored whole, whatever their type.
  transpose_words(reinterpret_cast<const double*>(src), ss, reinterpret_cast<double*>(dst), ds);
}
#endif

template <class T>
void transpose(std::size_t rows, std::size_t columns, const T* src, std::size_t ss, T* dst, std::size_t ds) {
  if (rows < 4 || columns < 4) {
    if (rows == 1 && ds == 1) {
      __builtin_memcpy(dst, src, columns * sizeof(T));
      return;
    }
    for (std::size_t c = 0; c < columns; ++c)
      for (std::size_t r = 0; r < rows; ++r) dst[c * ds + r] = src[r * ss + c];
    return;
  }
  // The last block of a row or column of blocks overlaps the one before it, unless they come out even. The inner loop
  // runs along the shorter side, so that the lines it leaves unfinished stay in cache.
  const auto block = [&](std::size_t r, std::size_t c) __attribute__((always_inline)) {
    r = r + 4 <= rows ? r : rows - 4;
    c = c + 4 <= columns ? c : columns - 4;
    transpose_block(src + r * ss + c, ss, dst + c * ds + r, ds);
  };
  if (columns <= rows) {
    for (std::size_t r = 0; r < rows; r += 4)
      for (std::size_t c = 0; c < columns; c += 4) block(r, c);
  } else {
    for (std::size_t c = 0; c < columns; c += 4)
      for (std::size_t r = 0; r < rows; r += 4) block(r, c);
  }
}
