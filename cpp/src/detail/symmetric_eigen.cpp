// SPDX-License-Identifier: BSD-3-Clause
#include "symmetric_eigen.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "polycore/parallel.hpp"

namespace polycore::detail {

namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr int kMaxSweeps = 60;  // two are usual
// Lengths that count as zero next to entries of order one: their squares would not be accurate.
constexpr double kTiny = 1e-140;
// Matrices of more rows take long enough to be interrupted on the way.
constexpr std::size_t kPolled = 128;

/// y += factor * x
void add(std::size_t n, double factor, const double* x, double* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

double dot(std::size_t n, const double* x, const double* y) {
  double sum[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (std::size_t k = 0; k < 4; ++k) sum[k] += x[i + k] * y[i + k];
  for (; i < n; ++i) sum[0] += x[i] * y[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/// Makes the largest entry one in order of magnitude, so that squares are in range. Returns the exponent of two that
/// undoes it.
int scale(std::size_t n, double* a) {
  double largest = 0.0;
  for (std::size_t i = 0; i < n * n; ++i) largest = std::max(largest, std::abs(a[i]));
  int exponent = 0;
  std::frexp(largest, &exponent);
  exponent = std::clamp(exponent, -1000, 1000);
  const double factor = std::ldexp(1.0, -exponent);
  for (std::size_t i = 0; i < n * n; ++i) a[i] *= factor;
  return exponent;
}

/// Reflections I - b v v^T, one for each column, bring `a` to tridiagonal form (diagonal d, beside it e[1..]). Row k of
/// `a` keeps v from column k + 1 on, scaled so that b is 1 / v[0]; v[0] = 0 is no reflection.
void reduce(std::size_t n, double* a, double* d, double* e, double* work) {
  for (std::size_t k = 0; k + 1 < n; ++k) {
    double* v = a + k * n + k + 1;
    const std::size_t m = n - k - 1;
    if (m > kPolled) poll_interrupt();
    d[k] = a[k * n + k];
    const double tail = dot(m - 1, v + 1, v + 1);
    if (tail <= kTiny * kTiny) {
      e[k + 1] = v[0];
      v[0] = 0.0;
      continue;
    }
    const double length = std::sqrt(v[0] * v[0] + tail);
    const double alpha = v[0] > 0.0 ? -length : length;
    // v = (x - alpha e1) / -alpha, so that v[0] is from 1 to 2 and b = 1 / v[0].
    v[0] -= alpha;
    for (std::size_t i = 0; i < m; ++i) v[i] /= -alpha;
    e[k + 1] = alpha;
    const double b = 1.0 / v[0];
    double* p = work;
    std::fill(p, p + m, 0.0);
    double* rest = a + (k + 1) * n + k + 1;
    for (std::size_t i = 0; i < m; ++i) add(m, b * v[i], rest + i * n, p);
    add(m, -0.5 * b * dot(m, p, v), v, p);
    for (std::size_t i = 0; i < m; ++i) {
      double* row = rest + i * n;
      const double vi = v[i], pi = p[i];
      for (std::size_t j = 0; j < m; ++j) row[j] -= vi * p[j] + pi * v[j];
    }
  }
  d[n - 1] = a[n * n - 1];
}

/// Replaces `a` by the transposed product of the reflections it keeps.
void accumulate(std::size_t n, double* a, double* work) {
  double* last = a + (n - 1) * n;
  std::fill(last, last + n, 0.0);
  last[n - 1] = 1.0;
  for (std::size_t k = n - 1; k-- > 0;) {
    const std::size_t m = n - k - 1;
    if (m > kPolled) poll_interrupt();
    double* v = a + k * n + k + 1;
    double* rest = a + (k + 1) * n + k + 1;
    if (v[0] != 0.0) {
      double* u = work;
      std::fill(u, u + m, 0.0);
      for (std::size_t i = 0; i < m; ++i) add(m, v[i], rest + i * n, u);
      for (std::size_t i = 0; i < m; ++i) add(m, -v[i] / v[0], u, rest + i * n);
    }
    std::fill(a + k * n, a + (k + 1) * n, 0.0);
    for (std::size_t i = k + 1; i < n; ++i) a[i * n + k] = 0.0;
    a[k * n + k] = 1.0;
  }
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j) std::swap(a[i * n + j], a[j * n + i]);
}

/// (x, y) -> (c x - s y, s x + c y)
void rotate(std::size_t n, double c, double s, double* x, double* y) {
  for (std::size_t i = 0; i < n; ++i) {
    const double xi = x[i], yi = y[i];
    x[i] = c * xi - s * yi;
    y[i] = s * xi + c * yi;
  }
}

/// One QL sweep on rows first to last of the tridiagonal matrix, the rows of z rotated along.
void sweep(std::size_t n, std::size_t first, std::size_t last, double* d, double* e, double* z) {
  // The shift is the eigenvalue of the leading 2 x 2 block that is closer to its corner.
  double g = (d[first + 1] - d[first]) / (2.0 * e[first + 1]);
  g = d[last] - d[first] + e[first + 1] / (g + std::copysign(std::sqrt(g * g + 1.0), g));
  double s = 1.0, c = 1.0, p = 0.0;
  for (std::size_t i = last; i-- > first;) {
    const double f = s * e[i + 1], b = c * e[i + 1];
    const double r = std::sqrt(f * f + g * g);
    if (r <= kTiny) {  // the matrix falls apart here
      d[i + 1] -= p;
      if (i + 1 < last) e[i + 2] = 0.0;
      return;
    }
    if (i + 1 < last) e[i + 2] = r;
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    const double t = (d[i] - g) * s + 2.0 * c * b;
    p = s * t;
    d[i + 1] = g + p;
    g = c * t - b;
    rotate(n, c, s, z + i * n, z + (i + 1) * n);
  }
  d[first] -= p;
  e[first + 1] = g;
}

/// Eigenvalues of the tridiagonal matrix in d, their eigenvectors in the rows of z.
bool diagonalise(std::size_t n, double* d, double* e, double* z) {
  for (std::size_t first = 0; first < n; ++first)
    for (int sweeps = 0;; ++sweeps) {
      std::size_t last = first;
      while (last + 1 < n && std::abs(e[last + 1]) > kEps * (std::abs(d[last]) + std::abs(d[last + 1])) + kTiny) ++last;
      if (last == first) break;
      if (sweeps == kMaxSweeps) return false;
      if (n > kPolled) poll_interrupt();
      sweep(n, first, last, d, e, z);
    }
  return true;
}

void sort(std::size_t n, double* values, double* z) {
  for (std::size_t i = 0; i + 1 < n; ++i) {
    const auto least = static_cast<std::size_t>(std::min_element(values + i, values + n) - values);
    if (least == i) continue;
    std::swap(values[i], values[least]);
    std::swap_ranges(z + i * n, z + (i + 1) * n, z + least * n);
  }
}

}  // namespace

bool symmetric_eigen(std::size_t n, double* a, double* values, double* work) {
  if (n == 0) return true;
  const int exponent = scale(n, a);
  double* e = work;
  e[0] = 0.0;
  reduce(n, a, values, e, work + n);
  accumulate(n, a, work + n);
  const bool converged = diagonalise(n, values, e, a);
  sort(n, values, a);
  for (std::size_t i = 0; i < n; ++i) values[i] = std::ldexp(values[i], exponent);
  return converged;
}

}  // namespace polycore::detail
