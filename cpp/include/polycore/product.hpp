// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

/// The graded product of forms and its transpose, the correlation.
///
/// A form of degree a in d variables is count_forms(d, a) coefficients in ascending graded lex order. A polynomial of
/// degree <= D in n variables has the coefficient array of its homogenisation, a form of degree D in n + 1 variables.
namespace polycore {

namespace kernels {
struct RingKernels;
struct ModulusData;
}  // namespace kernels

/// Products recurse over the variables, so they cannot have arbitrarily many unless a factor is constant.
inline constexpr int kMaxProductVars = 1 << 14;

/// std::invalid_argument unless d >= 1 and the degrees are >= 0; std::overflow_error when their sum or the number of
/// variables is beyond what products take.
void check_product(int d, int degree_a, int degree_b);

/// The schedule of a product of forms: which rows convolve where. Independent of the ring and of the batch, built once,
/// immutable, shared between threads.
///
/// Sorted by the exponent of its first variable, a form in d variables is the concatenation of forms of degree 0, 1,
/// ... in d - 1 variables; so the product is a double loop over blocks, down to d = 2, where it is the convolution of
/// two contiguous rows. Small products are flattened into a list of row operations grouped by shape; large ones keep
/// the upper levels of the recursion and share equal sub-plans.
class ProductPlan {
 public:
  /// Product of forms of degrees a and b in d >= 1 variables.
  static std::shared_ptr<const ProductPlan> product(int d, int degree_a, int degree_b);
  /// Square of a form of degree a: half the multiply-adds.
  static std::shared_ptr<const ProductPlan> square(int d, int degree_a);

  ProductPlan(const ProductPlan&) = delete;
  ProductPlan& operator=(const ProductPlan&) = delete;
  ~ProductPlan();

  /// c (+)= a b. For squares b = a and `a2` = 2a. Pointers are to elements of the ring.
  void multiply(const kernels::RingKernels& ring, const void* a, const void* a2, const void* b, void* c,
                bool accumulate, const kernels::ModulusData* context) const;
  /// a_i += sum_j c_{i+j} b_j: the transpose in the first operand. Not for squares.
  void correlate(const kernels::RingKernels& ring, const void* c, const void* b, void* a,
                 const kernels::ModulusData* context) const;

  std::size_t size_a() const { return size_a_; }
  std::size_t size_b() const { return size_b_; }
  std::size_t size_c() const { return size_c_; }
  /// Multiply-adds of one product.
  std::uint64_t multiply_adds() const { return multiply_adds_; }

 private:
  struct Builder;
  struct Schedule;
  ProductPlan();

  std::unique_ptr<Schedule> schedule_;
  std::size_t size_a_ = 0, size_b_ = 0, size_c_ = 0;
  std::uint64_t multiply_adds_ = 0;
};

/// out[s] = a[s] b[s] for 0 <= s < batch: forms of degrees a, b in d variables. Spans are C-order (batch,
/// coefficients). T is float, double, std::complex<double>. std::invalid_argument on wrong sizes. Cost: count(d, a)
/// count(d, b) multiply-adds per product.
template <class T>
void graded_product(int d, int degree_a, int degree_b, std::span<const T> a, std::span<const T> b, std::span<T> out,
                    int n_threads = 0);
/// The same in GF(p), canonical residues.
void graded_product(int d, int degree_a, int degree_b, std::span<const std::uint64_t> a,
                    std::span<const std::uint64_t> b, std::span<std::uint64_t> out, std::uint64_t modulus,
                    int n_threads = 0);

/// out[s]_alpha = sum_beta m[s]_{alpha+beta} b[s]_beta, the transpose of a -> a b: <a b, m> = <a, corr(m, b)>.
/// `m` (forms of degree degree_out + degree_b) may hold one member shared by the whole batch.
template <class T>
void correlation(int d, int degree_out, int degree_b, std::span<const T> m, std::span<const T> b, std::span<T> out,
                 int n_threads = 0);
void correlation(int d, int degree_out, int degree_b, std::span<const std::uint64_t> m,
                 std::span<const std::uint64_t> b, std::span<std::uint64_t> out, std::uint64_t modulus,
                 int n_threads = 0);

}  // namespace polycore
