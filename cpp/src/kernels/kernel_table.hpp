// SPDX-License-Identifier: BSD-3-Clause
// The tables of kernels: one per instruction set, chosen at run time (dispatch.cpp).
//
// NOTE: kernel sources are compiled once per instruction set, so they may include nothing that defines inline functions
// or templates with linkage: this header holds plain data only. An inline function shared between objects built with
// different flags would be merged by the linker, and the baseline path could end up running AVX code.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polycore::kernels {

/// Rows of the result of a Hankel product are padded to multiples of this many doubles.
constexpr std::size_t kRowPadding = 4;

/// Entries that rows of monomials read past the last one they use, at most.
constexpr std::size_t kRowOverrun = 7;

/// Barrett constants of GF(p), 2 <= p < 2^61; see modular.hpp.
struct ModulusData {
  std::uint64_t p = 0;
  std::uint64_t mu = 0;  // floor(2^(2 bits) / p)
  int bits = 0;          // 2^(bits-1) <= p < 2^bits
};

/// One row convolution c[c..] += a[a .. a+la) * b[b .. b+lb); offsets count elements.
struct RowOp {
  std::uint32_t a, b, c;
};

/// Row operations of one shape, so that the inner loops have fixed trip counts.
struct RowGroup {
  std::uint32_t first, count;  // range of RowOps
  std::uint32_t lb;
  std::uint8_t la;       // 1..4; 0: c[c .. c+lb) = 0, in products that overwrite
  std::uint8_t doubled;  // use the operand 2a (squares: every mixed term occurs twice)
  std::uint8_t fresh;    // nothing was written to these c before: products that overwrite need not read them
};

/// A product of two scalars, in a sum of such.
struct GateTerm {
  std::uint32_t first, second;
};

/// Gates of one shape: gate first + k is 2 (sum of n_doubled products) + (sum of n_plain products), its terms those
/// from first_term + k (n_doubled + n_plain) on.
struct GateGroup {
  std::uint32_t first, count;
  std::uint32_t n_doubled, n_plain;
  std::size_t first_term;
};

/// Monomials first <= k < first + count: variable `var` times the monomials from `parent` on.
struct MonomialRun {
  std::size_t first, parent, count;
  std::size_t var;
};

/// y[k * y_step + i * y_row] (+)= sum_j w[i * w_row + j * w_column] z[k * z_step + j * z_row] for all windows k; with
/// rows and columns exchanged, the transpose.
struct AffineShape {
  std::size_t n_out, n_in;
  std::size_t w_row, w_column;
  std::size_t z_row = 1, y_row = 1;
  std::size_t n_windows = 1, z_step = 0, y_step = 0;
};

/// Matrix products of values: y(i, j) (+)= sum_k a(i, k) b(k, j), where entry (i, j) of a matrix is the unit
/// i * row + j * column of its block.
struct MatrixProduct {
  std::size_t rows, inner, cols;
  std::size_t a_row, a_column;
  std::size_t b_row, b_column;
  std::size_t y_row, y_column;
};

/// Kernels of one ring on blocks of values.
///
/// A value ("element") holds `lanes` independent members of a batch; its memory is component-major (real parts of all
/// lanes, then imaginary parts). All pointers are to elements; `context` is the modulus for GF(p) and ignored
/// otherwise. A block of n_units polynomials of `length` coefficients is contiguous, unit-major. Bits of a result do
/// not depend on `lanes`: the laned and the scalar kernel of a ring perform the same operations in the same order on
/// every lane.
struct RingKernels {
  std::size_t element_bytes;  // of one element, all lanes
  std::size_t scalar_bytes;   // of one lane of one element
  std::size_t lanes;

  /// Gather `n_lanes` arrays src[lane * lane_stride + i], i < count (strides in scalars) into elements; missing lanes
  /// are zero.
  void (*pack)(const void* src, std::size_t lane_stride, std::size_t n_lanes, std::size_t count, void* dst);
  /// The reverse: dst[lane * lane_stride + i * stride].
  void (*unpack)(const void* src, std::size_t count, std::size_t n_lanes, void* dst, std::size_t lane_stride,
                 std::size_t stride);
  /// dst = the scalar in every lane, for `count` scalars.
  void (*broadcast)(const void* src, std::size_t count, void* dst);

  /// Affine maps of units of `length` elements, entrywise along them.
  void (*affine)(const AffineShape& shape, std::size_t length, const void* w, const void* z, void* y, bool accumulate,
                 const ModulusData* context);
  /// w[i * w_stride + j] += sum_c y[i, c] z[j * z_row, c]
  void (*affine_gradient)(std::size_t n_out, std::size_t n_in, std::size_t length, const void* y, const void* z,
                          std::size_t z_row, void* w, std::size_t w_stride, const ModulusData* context);

  /// c (+)= a * b over the row operations; `a2` holds 2a and may be null when no group is doubled.
  void (*convolve)(const RowGroup* groups, std::size_t n_groups, const RowOp* ops, const void* a, const void* a2,
                   const void* b, void* c, bool accumulate, const ModulusData* context);
  /// a[i] += sum_j c[i + j] b[j] over the row operations: the transpose of convolve in its first operand.
  void (*correlate)(const RowGroup* groups, std::size_t n_groups, const RowOp* ops, const void* c, const void* b,
                    void* a, const ModulusData* context);

  /// y[i] = a[i] b[i];  y[i] += a[i] b[i]
  void (*multiply)(std::size_t n, const void* a, const void* b, void* y, const ModulusData* context);
  void (*multiply_add)(std::size_t n, const void* a, const void* b, void* y, const ModulusData* context);
  /// y[i] = s x[i] with one element s
  void (*scale)(std::size_t n, const void* s, const void* x, void* y, const ModulusData* context);
  /// y[i] (+)= s[i * s_stride] x[i], where s holds scalars of the ring, the same for all lanes (s_stride 0 or 1)
  void (*scale_by)(std::size_t n, const void* s, std::size_t s_stride, const void* x, void* y, bool accumulate,
                   const ModulusData* context);
  /// y[i] = a[i] + b[i]
  void (*add)(std::size_t n, const void* a, const void* b, void* y, const ModulusData* context);

  /// A matrix product for every position c < length of units of that length.
  void (*matmul)(const MatrixProduct& product, std::size_t length, const void* a, const void* b, void* y,
                 bool accumulate, const ModulusData* context);
  /// dst[c * dst_stride + r] = src[r * src_stride + c]
  void (*transpose)(std::size_t rows, std::size_t columns, const void* src, std::size_t src_stride, void* dst,
                    std::size_t dst_stride);

  /// Gates of an arithmetic circuit, in order: c[to[gate]] (+)= the sum of products a[first] b[second] of its terms.
  void (*evaluate_gates)(const GateGroup* groups, std::size_t n_groups, const std::uint32_t* to, const GateTerm* terms,
                         const void* a, const void* b, void* c, bool accumulate, const ModulusData* context);
};

/// GF(p) for elimination, p < 2^31 or p an odd prime below 2^61.
struct EliminationField {
  std::uint64_t p = 0;
  std::size_t period = 0;                // products that may be added up before a sum has to be settled
  double inverse = 0;                    // 1 / p
  std::uint64_t montgomery_inverse = 0;  // 1 / p or -1 / p modulo a power of two
  std::uint64_t montgomery_one = 0;      // R modulo p
};

constexpr std::size_t kEliminationPanel = 16;   // columns of a panel, at most
constexpr std::size_t kEliminationLanes = 8;    // its columns are padded to multiples of this
constexpr std::size_t kEliminationDepth = 256;  // products in one sum, at most

/// Steps of elimination on row-major matrices of residues, in a form of their own in which only zero is surely 0. The
/// factor L (left factors of `update`) has another form, and its sign is changed.
struct EliminationKernels {
  std::size_t tile_columns;
  EliminationField (*field)(std::uint64_t p);

  /// From residues in [0, p), and back.
  void (*encode)(std::size_t n, std::uint64_t* x, const EliminationField* field);
  void (*encode_left)(std::size_t n, std::uint64_t* x, const EliminationField* field);
  void (*decode)(std::size_t n, std::uint64_t* x, const EliminationField* field);

  /// B (depth, columns) as `update` wants it: depth entries for every column, rounded up to whole tiles.
  void (*pack)(std::size_t depth, std::size_t columns, const std::uint64_t* b, std::size_t stride,
               std::uint64_t* packed);
  /// C += A B with A (rows, depth), depth <= kEliminationDepth.
  void (*update)(std::size_t rows, std::size_t depth, std::size_t columns, const std::uint64_t* a, std::size_t a_stride,
                 const std::uint64_t* packed, std::uint64_t* c, std::size_t c_stride, const EliminationField* field);
  /// B = L^-1 B with L (n, n) lower triangular, ones on its diagonal, of which -L below the diagonal is read.
  void (*solve)(std::size_t n, std::size_t columns, const std::uint64_t* l, std::size_t l_stride, std::uint64_t* b,
                std::size_t b_stride, const EliminationField* field);
  /// Eliminates the columns of `panel`, each of length `height`, a multiple of kEliminationLanes, with zeros after
  /// `rows`. Returns the rank; column k < rank holds that of -L, after the exchange of rows k and exchanges[k].
  std::size_t (*panel)(std::size_t rows, std::size_t height, std::size_t width, std::uint64_t* panel,
                       std::size_t* exchanges, const EliminationField* field);
};

/// Everything compiled for one instruction set.
struct KernelTable {
  const char* isa;

  RingKernels f32, f32_lanes;
  RingKernels f64, f64_lanes;
  RingKernels c128, c128_lanes;
  RingKernels dual, dual_lanes;  // a + b eps, eps^2 = 0, over float64: values and directional derivatives
  RingKernels gfp;
  EliminationKernels small_field;  // p < 2^31
  EliminationKernels large_field;  // odd p with 2^31 < p < 2^61

  /// Rows of monomials in structure-of-arrays form, one multiplication per monomial and sample:
  /// panel[k * stride + s] = panel[parent[k] * stride + s] * x[var[k] * x_stride + s] for first <= k < last, s < n.
  void (*panel_f64)(std::size_t n, std::size_t stride, std::size_t first, std::size_t last, const std::uint32_t* parent,
                    const std::uint32_t* var, const double* x, std::size_t x_stride, double* panel);
  void (*panel_f32)(std::size_t n, std::size_t stride, std::size_t first, std::size_t last, const std::uint32_t* parent,
                    const std::uint32_t* var, const float* x, std::size_t x_stride, float* panel);
  /// dst[c * dst_stride + r] = src[r * src_stride + c]
  void (*transpose_f64)(std::size_t rows, std::size_t columns, const double* src, std::size_t src_stride, double* dst,
                        std::size_t dst_stride);
  void (*transpose_f32)(std::size_t rows, std::size_t columns, const float* src, std::size_t src_stride, float* dst,
                        std::size_t dst_stride);
  /// Whether all of x[0 .. n) are finite.
  bool (*all_finite)(std::size_t n, const double* x);
  /// Monomials of samples by rows, the runs in ascending order and their parents not after them:
  /// to[s * to_stride + k - begin] = from[s * from_stride + parent] * x[s * n_vars + var] for the monomials k of the
  /// runs and s < n. The row of `to` holds the monomials begin <= k < end; those after a run may be overwritten. Up to
  /// kRowOverrun entries after the parents are read.
  void (*monomial_rows_f64)(std::size_t n, const MonomialRun* runs, std::size_t n_runs, const double* x,
                            std::size_t n_vars, const double* from, std::size_t from_stride, double* to,
                            std::size_t to_stride, std::size_t begin, std::size_t end);
  void (*monomial_rows_f32)(std::size_t n, const MonomialRun* runs, std::size_t n_runs, const float* x,
                            std::size_t n_vars, const float* from, std::size_t from_stride, float* to,
                            std::size_t to_stride, std::size_t begin, std::size_t end);
  /// Copy that writes whole cache lines at a time, which processors do not read from memory first.
  void (*copy_lines)(const void* src, void* dst, std::size_t bytes);

  /// sums[i * sums_stride + j] += sum_s u[row i][s] v[col j][s] for i < n_rows and j < row_end[i], with the columns
  /// starting at `column_begin`; samples in structure-of-arrays form, `n` a multiple of 16. row_end is non-increasing.
  /// The sum runs over lanes first: chains of n / 4 additions (n / 2 in baseline code), then the lanes pairwise.
  void (*moment_panel)(std::size_t n, std::size_t n_rows, const double* u, std::size_t u_stride, const double* v,
                       std::size_t v_stride, std::size_t column_begin, const std::size_t* row_end, double* const* sums);

  /// q[alpha] += sum over beta of m[alpha + beta] c[beta], one vector, no tables of indices. Rows of q (its
  /// coefficients with equal exponents of all but the last two variables) are padded to multiples of kRowPadding;
  /// padded_counts[d][k] is the padded size of a form. Up to kRowPadding - 1 doubles past the last moment are read.
  void (*hankel_product)(int d, int degree_out, int degree_in, const std::size_t* const* counts,
                         const std::size_t* const* padded_counts, const double* m, const double* c, double* q);
};

const KernelTable& baseline_table();
#if defined(POLYCORE_HAVE_V3)
const KernelTable& v3_table();
#endif
#if defined(POLYCORE_HAVE_V4)
const KernelTable& v4_table();
#endif

/// The table in use: the best the processor offers, capped by POLYCORE_ISA, or the one forced by set_isa().
const KernelTable& active();

}  // namespace polycore::kernels
