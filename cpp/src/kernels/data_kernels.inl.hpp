// SPDX-License-Identifier: BSD-3-Clause
// Kernels on samples: monomial panels, moments, and the Hankel product. Included by kernels.inl.cpp
// only.

// 0 x is 0 (or -0) for finite x and NaN otherwise, so one sum decides, without branches.
bool all_finite(std::size_t n, const double* x) {
  constexpr int kSums = 4;  // additions that do not wait for each other
  Doubles sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums * kDoubles <= n; i += kSums * kDoubles)
    for (int k = 0; k < kSums; ++k) sums[k] = vfma(vload<Doubles>(x + i + k * kDoubles), Doubles{}, sums[k]);
  const Doubles vector_sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double sum = 0.0;
  for (int k = 0; k < kDoubles; ++k) sum += vector_sum[k];
  for (; i < n; ++i) sum += 0.0 * x[i];
  return sum == 0.0;
}

template <class T>
struct SampleRegister;
template <>
struct SampleRegister<double> {
  using V = Doubles;
};
template <>
struct SampleRegister<float> {
  using V = Floats;
};

// `Rows` consecutive monomials with consecutive parents and one variable, which is loaded once for all of them.
template <class T, int Rows>
inline __attribute__((always_inline)) void panel_rows(std::size_t n, std::size_t stride, const T* a, const T* b, T* y) {
  using V = typename SampleRegister<T>::V;
  constexpr std::size_t W = sizeof(V) / sizeof(T);
  std::size_t s = 0;
  for (; s + W <= n; s += W) {
    const V x = vload<V>(b + s);
    V product[Rows];
    for (int r = 0; r < Rows; ++r) product[r] = vload<V>(a + r * stride + s) * x;
    for (int r = 0; r < Rows; ++r) vstore(y + r * stride + s, product[r]);
  }
  for (; s < n; ++s)
    for (int r = 0; r < Rows; ++r) y[r * stride + s] = a[r * stride + s] * b[s];
}

template <class T>
void panel(std::size_t n, std::size_t stride, std::size_t first, std::size_t last, const std::uint32_t* parent,
           const std::uint32_t* var, const T* x, std::size_t x_stride, T* out) {
  for (std::size_t k = first; k < last;) {
    const T* a = out + parent[k] * stride;
    const T* b = x + var[k] * x_stride;
    // Runs of one variable have consecutive parents. The parents of a group of four are all older than the group.
    if (k + 4 <= last && var[k + 3] == var[k] && parent[k + 3] == parent[k] + 3 && parent[k + 3] < k) {
      panel_rows<T, 4>(n, stride, a, b, out + k * stride);
      k += 4;
    } else {
      panel_rows<T, 1>(n, stride, a, b, out + k * stride);
      ++k;
    }
  }
}

// ---- rows of monomials ----------------------------------------------------------------------------

// NOTE: half-width registers in AVX-512 code, as for the moments: rows begin anywhere, and a full register that is not
// aligned always crosses a cache line.
template <class T>
struct RowRegister {
  typedef T V __attribute__((vector_size(kRegisterBytes < 32 ? kRegisterBytes : 32)));
};

// One run of every row, held by exactly so many registers.
template <class T, int Registers>
void monomial_run(std::size_t n, const T* x, std::size_t n_vars, const T* from, std::size_t from_stride, T* to,
                  std::size_t to_stride) {
  using V = typename RowRegister<T>::V;
  constexpr std::size_t W = sizeof(V) / sizeof(T);
  for (std::size_t s = 0; s < n; ++s, x += n_vars, from += from_stride, to += to_stride) {
    const V factor = splat<V>(*x);
    V product[Registers];
    for (int r = 0; r < Registers; ++r) product[r] = vload<V>(from + r * W) * factor;
    for (int r = 0; r < Registers; ++r) vstore(to + r * W, product[r]);
  }
}

template <class T>
void monomial_entry(std::size_t n, const T* x, std::size_t n_vars, const T* from, std::size_t from_stride, T* to,
                    std::size_t to_stride) {
#pragma GCC unroll 4
  for (std::size_t s = 0; s < n; ++s) to[s * to_stride] = from[s * from_stride] * x[s * n_vars];
}

template <class T>
void monomial_run(std::size_t n, std::size_t count, bool exact, const T* x, std::size_t n_vars, const T* from,
                  std::size_t from_stride, T* to, std::size_t to_stride) {
  using V = typename RowRegister<T>::V;
  constexpr std::size_t W = sizeof(V) / sizeof(T);
  const std::size_t in_registers = exact ? count / W * W : (count + W - 1) / W * W;
  for (std::size_t s = 0; s < n; ++s, x += n_vars, from += from_stride, to += to_stride) {
    const T factor = *x;
    std::size_t k = 0;
    for (; k < in_registers; k += W) vstore(to + k, vload<V>(from + k) * factor);
    for (; k < count; ++k) to[k] = from[k] * factor;
  }
}

template <class T>
void monomial_rows(std::size_t n, const MonomialRun* runs, std::size_t n_runs, const T* x, std::size_t n_vars,
                   const T* from, std::size_t from_stride, T* to, std::size_t to_stride, std::size_t begin,
                   std::size_t end) {
  constexpr std::size_t W = sizeof(typename RowRegister<T>::V) / sizeof(T);
  for (const MonomialRun* run = runs; run < runs + n_runs; ++run) {
    const T* a = from + run->parent;
    T* y = to + (run->first - begin);
    const T* factor = x + run->var;
    const std::size_t registers = (run->count + W - 1) / W;
    const bool exact = run->first + registers * W > end;
    if (run->count == 1)  // never in a register, because it is read again soon
      monomial_entry<T>(n, factor, n_vars, a, from_stride, y, to_stride);
    else if (exact || registers > 4)
      monomial_run<T>(n, run->count, exact, factor, n_vars, a, from_stride, y, to_stride);
    else if (registers == 1)
      monomial_run<T, 1>(n, factor, n_vars, a, from_stride, y, to_stride);
    else if (registers == 2)
      monomial_run<T, 2>(n, factor, n_vars, a, from_stride, y, to_stride);
    else if (registers == 3)
      monomial_run<T, 3>(n, factor, n_vars, a, from_stride, y, to_stride);
    else
      monomial_run<T, 4>(n, factor, n_vars, a, from_stride, y, to_stride);
  }
}

void copy_lines(const void* src, void* dst, std::size_t bytes) {
  constexpr std::size_t kLine = 64, kRegisters = kLine / sizeof(Doubles);
  auto* from = static_cast<const unsigned char*>(src);
  auto* to = static_cast<unsigned char*>(dst);
  const std::size_t head = -reinterpret_cast<std::uintptr_t>(to) % kLine;
  std::size_t i = head < bytes ? head : bytes;
  __builtin_memcpy(to, from, i);
  for (; i + kLine <= bytes; i += kLine) {
    Doubles line[kRegisters];
    for (std::size_t r = 0; r < kRegisters; ++r) line[r] = vload<Doubles>(from + i + r * sizeof(Doubles));
    for (std::size_t r = 0; r < kRegisters; ++r) vstore(to + i + r * sizeof(Doubles), line[r]);
  }
  __builtin_memcpy(to + i, from + i, bytes - i);
}

// ---- moments ------------------------------------------------------------------------------------

// Twelve sums, three factors and one more fill 16 registers. NOTE: AVX-512 code uses half-width registers here; at full
// width a slice of samples that fits the cache would be too few registers long to amortise the horizontal sums.
constexpr int kTileRows = 3, kTileColumns = 4;
#if defined(POLYCORE_ISA_V3)
typedef double Samples __attribute__((vector_size(32)));
#else
typedef Doubles Samples;
#endif
constexpr int kSamples = sizeof(Samples) / sizeof(double);

inline __attribute__((always_inline)) Samples multiply_add(Samples a, Samples b, Samples c) {
#if defined(POLYCORE_ISA_V3)
  return _mm256_fmadd_pd(a, b, c);
#else
  return vfma(a, b, c);
#endif
}

inline __attribute__((always_inline)) double horizontal_sum(Samples v) {
  // Pairwise over the lanes.
  double lane[kSamples];
  vstore(lane, v);
  for (int width = kSamples / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
  return lane[0];
}

#if defined(POLYCORE_ISA_V3)
// The sums over the lanes of four registers.
inline __attribute__((always_inline)) __m256d horizontal_sum4(__m256d a, __m256d b, __m256d c, __m256d d) {
  const __m256d ab = _mm256_add_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
  const __m256d cd = _mm256_add_pd(_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
  return _mm256_add_pd(_mm256_permute2f128_pd(ab, cd, 0x20), _mm256_permute2f128_pd(ab, cd, 0x31));
}
#endif

// One register tile: sums[i][j] += sum_s u[i][s] v[j][s] for j0 <= j < row_end[i].
template <int Rows, int Columns>
void moment_tile(std::size_t n, const double* u, std::size_t us, const double* v, std::size_t vs, double* const* sums,
                 std::size_t j0, const std::size_t* row_end) {
  Samples total[Rows][Columns];
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j) total[i][j] = Samples{};
  for (std::size_t s = 0; s < n; s += kSamples) {
    Samples x[Rows];
    for (int i = 0; i < Rows; ++i) x[i] = vload<Samples>(u + i * us + s);
    for (int j = 0; j < Columns; ++j) {
      const Samples y = vload<Samples>(v + j * vs + s);
      for (int i = 0; i < Rows; ++i) total[i][j] = multiply_add(x[i], y, total[i][j]);
    }
  }
  for (int i = 0; i < Rows; ++i) {
    double* out = sums[i] + j0;
    const std::size_t stop = row_end[i] - j0;
    int j = 0;
#if defined(POLYCORE_ISA_V3)
    for (; j + 4 <= Columns; j += 4) {
      const __m256d four = horizontal_sum4(total[i][j], total[i][j + 1], total[i][j + 2], total[i][j + 3]);
      if (stop >= static_cast<std::size_t>(j) + 4) {
        _mm256_storeu_pd(out + j, _mm256_add_pd(_mm256_loadu_pd(out + j), four));
      } else {
        double lane[4];
        _mm256_storeu_pd(lane, four);
        for (std::size_t k = 0; k < 4 && j + k < stop; ++k) out[j + k] += lane[k];
      }
    }
#endif
    for (; j < Columns && static_cast<std::size_t>(j) < stop; ++j) out[j] += horizontal_sum(total[i][j]);
  }
}

using MomentTile = void (*)(std::size_t, const double*, std::size_t, const double*, std::size_t, double* const*,
                            std::size_t, const std::size_t*);

constexpr MomentTile kMomentTiles[kTileRows][kTileColumns] = {
    {moment_tile<1, 1>, moment_tile<1, 2>, moment_tile<1, 3>, moment_tile<1, 4>},
    {moment_tile<2, 1>, moment_tile<2, 2>, moment_tile<2, 3>, moment_tile<2, 4>},
    {moment_tile<3, 1>, moment_tile<3, 2>, moment_tile<3, 3>, moment_tile<3, 4>},
};

void moment_panel(std::size_t n, std::size_t n_rows, const double* u, std::size_t us, const double* v, std::size_t vs,
                  std::size_t column_begin, const std::size_t* row_end, double* const* sums) {
  // Blocks of rows that stay in half the first-level cache while all columns pass by.
  std::size_t row_block = 16384 / (n * sizeof(double)) / kTileRows * kTileRows;
  if (row_block < static_cast<std::size_t>(kTileRows)) row_block = kTileRows;
  for (std::size_t block = 0; block < n_rows; block += row_block) {
    const std::size_t block_end = block + row_block < n_rows ? block + row_block : n_rows;
    for (std::size_t j = column_begin; j < row_end[block]; j += kTileColumns) {
      for (std::size_t i = block; i < block_end && row_end[i] > j; i += kTileRows) {
        std::size_t rows = 1;
        while (rows < static_cast<std::size_t>(kTileRows) && i + rows < block_end && row_end[i + rows] > j) ++rows;
        const std::size_t columns =
            row_end[i] - j < static_cast<std::size_t>(kTileColumns) ? row_end[i] - j : kTileColumns;
        kMomentTiles[rows - 1][columns - 1](n, u + i * us, us, v + j * vs, vs, sums + i, j, row_end + i);
      }
    }
  }
}

// ---- Hankel product -----------------------------------------------------------------------------
//
// q[alpha] += sum_beta m[alpha + beta] c[beta]. The rows of q are short (two coefficients on average for six variables
// of degree six), so what counts is control: at four variables the whole sum of one row of q is straight-line code, and
// q is kept with its rows padded to whole registers. Rows of m are read a register at a time, past the last one used.

inline __attribute__((always_inline)) void add_row(Samples sum, double* q) { vstore(q, vload<Samples>(q) + sum); }

// Length of a padded row of n coefficients.
constexpr std::size_t padded(std::size_t n) { return (n + kRowPadding - 1) / kRowPadding * kRowPadding; }

// Two variables or fewer: q[i] += sum_j m[i + j] c[j].
inline void hankel_row(std::size_t n_out, std::size_t n_in, const double* m, const double* c, double* q) {
  for (std::size_t i = 0; i < n_out; i += kSamples) {
    Samples sum{};
    for (std::size_t j = 0; j < n_in; ++j) sum = multiply_add(vload<Samples>(m + i + j), splat<Samples>(c[j]), sum);
    add_row(sum, q + i);
  }
}

// Three variables: row r of a form is r + 1 coefficients, in m and c starting at r (r + 1) / 2.
inline void hankel_triangle(std::size_t a, std::size_t b, const double* m, const double* c, double* q) {
  for (std::size_t i = 0; i <= a; ++i) {
    for (std::size_t first = 0; first <= i; first += kSamples) {
      Samples sum{};
      const double* cj = c;
      const double* row = m + i * (i + 1) / 2 + first;
      for (std::size_t j = 0; j <= b; ++j) {
        for (std::size_t l = 0; l <= j; ++l) sum = multiply_add(vload<Samples>(row + l), splat<Samples>(cj[l]), sum);
        cj += j + 1;
        row += i + j + 1;
      }
      add_row(sum, q + first);
    }
    q += padded(i + 1);
  }
}

// Four variables: a form of degree b is triangles J = 0 .. b, triangle J is rows S = 0 .. J, row S is L = 0 .. S.
// Triangle I of q meets c as a whole in straight-line code: all positions in m, c and q are known at compile time. Its
// rows are cut into strips of one register; a group of strips shares every factor c.
constexpr int kUnrolledDegree = 6;
constexpr int kStrips = 3;

constexpr int triangle_begin(int degree) { return degree * (degree + 1) * (degree + 2) / 6; }
constexpr int row_begin(int row) { return row * (row + 1) / 2; }
constexpr int strips_of(int row) { return (row + kSamples) / kSamples; }

struct Strip {
  int row, column, padded;  // position in q with padded rows
};
constexpr Strip strip(int index) {
  int padded_begin = 0;
  for (int row = 0;; ++row) {
    if (index < strips_of(row)) return {row, index * kSamples, padded_begin + index * kSamples};
    index -= strips_of(row);
    padded_begin += static_cast<int>(padded(static_cast<std::size_t>(row) + 1));
  }
}
constexpr int count_strips(int degree) {
  int n = 0;
  for (int row = 0; row <= degree; ++row) n += strips_of(row);
  return n;
}

// Where the terms of the sums for a group of strips of triangle I lie in m, term after term of c.
template <int I, int Degree, int First, int Count>
struct HankelTerms {
  static constexpr int kTerms = triangle_begin(Degree + 1);
  int position[kTerms][Count];
  int row[Count];  // where the strips begin in q

  constexpr HankelTerms() : position(), row() {
    for (int k = 0; k < Count; ++k) row[k] = strip(First + k).padded;
    int term = 0;
    for (int j = 0; j <= Degree; ++j)
      for (int s = 0; s <= j; ++s)
        for (int l = 0; l <= s; ++l, ++term)
          for (int k = 0; k < Count; ++k)
            position[term][k] =
                triangle_begin(I + j) + row_begin(strip(First + k).row + s) + strip(First + k).column + l;
  }
};

template <int I, int Degree, int First = 0>
inline __attribute__((always_inline)) void hankel_strips(const double* m, const double* c, double* q) {
  constexpr int left = count_strips(I) - First, count = left < kStrips ? left : kStrips;
  if constexpr (count > 0) {
    constexpr HankelTerms<I, Degree, First, count> terms;
    Samples sums[count][2];
    for (int k = 0; k < count; ++k) sums[k][0] = sums[k][1] = Samples{};
#pragma GCC unroll 84
    for (int term = 0; term < terms.kTerms; ++term) {
      const Samples factor = splat<Samples>(c[term]);
#pragma GCC unroll 3
      for (int k = 0; k < count; ++k)
        sums[k][term % 2] = multiply_add(vload<Samples>(m + terms.position[term][k]), factor, sums[k][term % 2]);
    }
    for (int k = 0; k < count; ++k) add_row(sums[k][0] + sums[k][1], q + terms.row[k]);
    hankel_strips<I, Degree, First + count>(m, c, q);
  }
}

constexpr int padded_triangle(int degree) {
  int n = 0;
  for (int row = 0; row <= degree; ++row) n += static_cast<int>(padded(static_cast<std::size_t>(row) + 1));
  return n;
}

template <int Degree, int I = 0>
inline __attribute__((always_inline)) void hankel_triangles(int a, const double* m, const double* c, double* q) {
  if constexpr (I <= kUnrolledDegree) {
    hankel_strips<I, Degree>(m, c, q);
    if (I < a) hankel_triangles<Degree, I + 1>(a, m, c, q + padded_triangle(I));
  }
}

template <int Degree>
void hankel_tetrahedron(int a, const double* m, const double* c, double* q) {
  hankel_triangles<Degree>(a, m, c, q);
}

using HankelTetrahedron = void (*)(int, const double*, const double*, double*);
constexpr HankelTetrahedron kHankelTetrahedra[kUnrolledDegree + 1] = {
    hankel_tetrahedron<0>, hankel_tetrahedron<1>, hankel_tetrahedron<2>, hankel_tetrahedron<3>,
    hankel_tetrahedron<4>, hankel_tetrahedron<5>, hankel_tetrahedron<6>,
};

void hankel_product(int d, int a, int b, const std::size_t* const* counts, const std::size_t* const* padded_counts,
                    const double* m, const double* c, double* q) {
  if (d <= 2) {
    hankel_row(d == 1 ? 1 : a + 1, d == 1 ? 1 : b + 1, m, c, q);
  } else if (d == 3) {
    hankel_triangle(a, b, m, c, q);
  } else if (d == 4 && a <= kUnrolledDegree && b <= kUnrolledDegree) {
    kHankelTetrahedra[b](a, m, c, q);
  } else if (d == 5 && a <= kUnrolledDegree && b <= kUnrolledDegree) {
    // The recursion below, with what does not change kept out of the inner loop.
    const std::size_t *begin = counts[5], *padded_begin = padded_counts[5];
    for (int j = 0; j <= b; ++j) {
      const HankelTetrahedron tetrahedron = kHankelTetrahedra[j];
      const double* cj = c + (j ? begin[j - 1] : 0);
      for (int i = 0; i <= a; ++i)
        tetrahedron(i, m + (i + j ? begin[i + j - 1] : 0), cj, q + (i ? padded_begin[i - 1] : 0));
    }
  } else {
    // A form in d variables is the concatenation of forms of degree 0, 1, ... in d - 1; the block of degree k starts at
    // count(d, k - 1).
    for (int i = 0; i <= a; ++i)
      for (int j = 0; j <= b; ++j)
        hankel_product(d - 1, i, j, counts, padded_counts, m + (i + j ? counts[d][i + j - 1] : 0),
                       c + (j ? counts[d][j - 1] : 0), q + (i ? padded_counts[d][i - 1] : 0));
  }
}
