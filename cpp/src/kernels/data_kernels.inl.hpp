// SPDX-License-Identifier: BSD-3-Clause
// Kernels on samples: monomial panels, transposition, moments, and the Hankel product. Included by kernels.inl.cpp only.

template <class T>
void panel(std::size_t n, std::size_t stride, std::size_t first, std::size_t last, const std::uint32_t* parent,
           const std::uint32_t* var, const T* x, std::size_t x_stride, T* out) {
  for (std::size_t k = first; k < last; ++k) {
    const T* a = out + parent[k] * stride;
    const T* b = x + var[k] * x_stride;
    T* y = out + k * stride;
    for (std::size_t s = 0; s < n; ++s) y[s] = a[s] * b[s];
  }
}

// ---- transposition -------------------------------------------------------------------------------------------------------

template <class T>
inline __attribute__((always_inline)) void transpose_block(const T* src, std::size_t ss, T* dst, std::size_t ds) {
  for (int r = 0; r < 4; ++r)
    for (int c = 0; c < 4; ++c) dst[c * ds + r] = src[r * ss + c];
}

#if defined(POLYCORE_ISA_V3)
template <>
inline __attribute__((always_inline)) void transpose_block<double>(const double* src, std::size_t ss, double* dst,
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
#endif

template <class T>
void transpose(std::size_t rows, std::size_t columns, const T* src, std::size_t ss, T* dst, std::size_t ds) {
  std::size_t r = 0;
  // Destination rows run along the source's rows: the outer loop keeps four of the source's columns' writes together.
  std::size_t c = 0;
  for (; c + 4 <= columns; c += 4) {
    for (r = 0; r + 4 <= rows; r += 4) transpose_block(src + r * ss + c, ss, dst + c * ds + r, ds);
    for (; r < rows; ++r)
      for (std::size_t i = 0; i < 4; ++i) dst[(c + i) * ds + r] = src[r * ss + c + i];
  }
  for (; c < columns; ++c)
    for (r = 0; r < rows; ++r) dst[c * ds + r] = src[r * ss + c];
}

void stream(const void* src, void* dst, std::size_t bytes) {
  auto* from = static_cast<const unsigned char*>(src);
  auto* to = static_cast<unsigned char*>(dst);
#if defined(POLYCORE_ISA_V3)
  const std::size_t head = (64 - reinterpret_cast<std::uintptr_t>(to) % 64) % 64;
  if (bytes < head + 64) {
    __builtin_memcpy(to, from, bytes);
    return;
  }
  __builtin_memcpy(to, from, head);
  std::size_t i = head;
  for (; i + 64 <= bytes; i += 64) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i + 32));
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i), a);
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i + 32), b);
  }
  __builtin_memcpy(to + i, from + i, bytes - i);
  _mm_sfence();
#else
  __builtin_memcpy(to, from, bytes);
#endif
}

// ---- moments -------------------------------------------------------------------------------------------------------------

#if defined(POLYCORE_ISA_V4)
constexpr int kTileRows = 4, kTileColumns = 6;
#else
constexpr int kTileRows = 3, kTileColumns = 4;
#endif
constexpr int kChunk = 16;  // additions in one chain before partial sums are combined pairwise

inline __attribute__((always_inline)) double horizontal_sum(Doubles v) {
  // Pairwise over the lanes.
  double lane[kDoubles];
  vstore(lane, v);
  for (int width = kDoubles / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
  return lane[0];
}

#if defined(POLYCORE_ISA_V3)
// The sums over the lanes of four registers.
inline __attribute__((always_inline)) __m256d horizontal_sum4(__m256d a, __m256d b, __m256d c, __m256d d) {
  const __m256d ab = _mm256_hadd_pd(a, b), cd = _mm256_hadd_pd(c, d);
  return _mm256_add_pd(_mm256_permute2f128_pd(ab, cd, 0x20), _mm256_permute2f128_pd(ab, cd, 0x31));
}
inline __attribute__((always_inline)) __m256d fold(Doubles v) {
#if defined(POLYCORE_ISA_V4)
  return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
  return v;
#endif
}
#endif

template <int Rows, int Columns>
void moment_tile(std::size_t n, const double* u, std::size_t us, const double* v, std::size_t vs, double* sums) {
  // Partial sums of 16 registers of samples each, combined as a binary counter: pairwise summation with base case 16.
  Doubles level[6][Rows][Columns];
  std::size_t chunk = 0;
  for (std::size_t s = 0; s < n; s += kChunk * kDoubles, ++chunk) {
    Doubles acc[Rows][Columns];
    for (int i = 0; i < Rows; ++i)
      for (int j = 0; j < Columns; ++j) acc[i][j] = Doubles{};
    const std::size_t stop = s + kChunk * kDoubles < n ? s + kChunk * kDoubles : n;
    for (std::size_t t = s; t < stop; t += kDoubles) {
      Doubles x[Rows];
      for (int i = 0; i < Rows; ++i) x[i] = vload<Doubles>(u + i * us + t);
      for (int j = 0; j < Columns; ++j) {
        const Doubles y = vload<Doubles>(v + j * vs + t);
        for (int i = 0; i < Rows; ++i) acc[i][j] = vfma(x[i], y, acc[i][j]);
      }
    }
    int depth = 0;
    for (std::size_t bit = chunk; bit & 1; bit >>= 1, ++depth)
      for (int i = 0; i < Rows; ++i)
        for (int j = 0; j < Columns; ++j) acc[i][j] = level[depth][i][j] + acc[i][j];
    for (int i = 0; i < Rows; ++i)
      for (int j = 0; j < Columns; ++j) level[depth][i][j] = acc[i][j];
  }
  Doubles total[Rows][Columns];
  bool started = false;
  for (int depth = 0; chunk >> depth; ++depth) {
    if (!((chunk >> depth) & 1)) continue;
    for (int i = 0; i < Rows; ++i)
      for (int j = 0; j < Columns; ++j) total[i][j] = started ? level[depth][i][j] + total[i][j] : level[depth][i][j];
    started = true;
  }
  if (!started) return;
  for (int i = 0; i < Rows; ++i) {
    int j = 0;
#if defined(POLYCORE_ISA_V3)
    for (; j + 4 <= Columns; j += 4)
      _mm256_storeu_pd(sums + i * kTileColumns + j, horizontal_sum4(fold(total[i][j]), fold(total[i][j + 1]),
                                                                    fold(total[i][j + 2]), fold(total[i][j + 3])));
#endif
    for (; j < Columns; ++j) sums[i * kTileColumns + j] = horizontal_sum(total[i][j]);
  }
}

using MomentTile = void (*)(std::size_t, const double*, std::size_t, const double*, std::size_t, double*);

template <int Rows>
inline MomentTile moment_tile_columns(std::size_t columns) {
  switch (columns) {
    case 1: return moment_tile<Rows, 1>;
    case 2: return moment_tile<Rows, 2>;
    case 3: return moment_tile<Rows, 3>;
#if defined(POLYCORE_ISA_V4)
    case 4: return moment_tile<Rows, 4>;
    case 5: return moment_tile<Rows, 5>;
#endif
    default: return moment_tile<Rows, kTileColumns>;
  }
}

inline MomentTile moment_tile_for(std::size_t rows, std::size_t columns) {
  switch (rows) {
    case 1: return moment_tile_columns<1>(columns);
    case 2: return moment_tile_columns<2>(columns);
#if defined(POLYCORE_ISA_V4)
    case 3: return moment_tile_columns<3>(columns);
#endif
    default: return moment_tile_columns<kTileRows>(columns);
  }
}

void moment_panel(std::size_t n, std::size_t n_rows, const double* u, std::size_t us, const double* v, std::size_t vs,
                  std::size_t column_begin, const std::size_t* row_end, double* const* sums) {
  // Blocks of rows that stay in the first-level cache while all columns pass by.
  constexpr std::size_t kRowBlock = 8 * kTileRows;
  for (std::size_t block = 0; block < n_rows; block += kRowBlock) {
    const std::size_t block_end = block + kRowBlock < n_rows ? block + kRowBlock : n_rows;
    for (std::size_t j = column_begin; j < row_end[block]; j += kTileColumns) {
      for (std::size_t i = block; i < block_end && row_end[i] > j; i += kTileRows) {
        std::size_t rows = 0;
        while (rows < static_cast<std::size_t>(kTileRows) && i + rows < block_end && row_end[i + rows] > j) ++rows;
        const std::size_t columns = row_end[i] - j < static_cast<std::size_t>(kTileColumns) ? row_end[i] - j : kTileColumns;
        double tile[kTileRows * kTileColumns];
        moment_tile_for(rows, columns)(n, u + i * us, us, v + j * vs, vs, tile);
        for (std::size_t r = 0; r < rows; ++r) {
          const std::size_t stop = row_end[i + r] - j < columns ? row_end[i + r] - j : columns;
          for (std::size_t c = 0; c < stop; ++c) sums[i + r][j + c] += tile[r * kTileColumns + c];
        }
      }
    }
  }
}

// ---- Hankel product ------------------------------------------------------------------------------------------------------

// q[i] += sum_j m[i + j] c[j], 0 <= i < n_out, 0 <= j < n_in. May read kDoubles - 1 elements past m's last used one.
inline __attribute__((always_inline)) void hankel_row(std::size_t n_out, std::size_t n_in, const double* m, const double* c,
                                                      double* q) {
  for (std::size_t i = 0; i < n_out; i += kDoubles) {
    Doubles sum{};
    for (std::size_t j = 0; j < n_in; ++j) sum = vfma(vload<Doubles>(m + i + j), splat<Doubles>(c[j]), sum);
    double lane[kDoubles];
    vstore(lane, sum);
    const std::size_t stop = n_out - i < static_cast<std::size_t>(kDoubles) ? n_out - i : kDoubles;
    for (std::size_t l = 0; l < stop; ++l) q[i + l] += lane[l];
  }
}

// Three variables: row r of a form is r + 1 coefficients starting at r (r + 1) / 2.
inline void hankel_triangle(std::size_t a, std::size_t b, const double* m, const double* c, double* q) {
  for (std::size_t i = 0; i <= a; ++i) {
    for (std::size_t first = 0; first <= i; first += kDoubles) {
      Doubles sum{};
      const double* cj = c;
      for (std::size_t j = 0; j <= b; ++j) {
        const double* mr = m + (i + j) * (i + j + 1) / 2 + first;
        for (std::size_t l = 0; l <= j; ++l) sum = vfma(vload<Doubles>(mr + l), splat<Doubles>(cj[l]), sum);
        cj += j + 1;
      }
      double lane[kDoubles];
      vstore(lane, sum);
      double* qr = q + i * (i + 1) / 2 + first;
      const std::size_t stop = i + 1 - first < static_cast<std::size_t>(kDoubles) ? i + 1 - first : kDoubles;
      for (std::size_t l = 0; l < stop; ++l) qr[l] += lane[l];
    }
  }
}

void hankel_product(int d, int a, int b, const std::size_t* const* counts, const double* m, const double* c, double* q) {
  if (d <= 2) {
    hankel_row(d == 1 ? 1 : a + 1, d == 1 ? 1 : b + 1, m, c, q);
  } else if (d == 3) {
    hankel_triangle(a, b, m, c, q);
  } else {
    // A form in d variables is the concatenation of forms of degree 0, 1, ... in d - 1; the block of degree k starts at
    // count(d, k - 1).
    for (int i = 0; i <= a; ++i)
      for (int j = 0; j <= b; ++j)
        hankel_product(d - 1, i, j, counts, m + (i + j ? counts[d][i + j - 1] : 0), c + (j ? counts[d][j - 1] : 0),
                       q + (i ? counts[d][i - 1] : 0));
  }
}
