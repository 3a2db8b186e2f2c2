// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/stationary.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "detail/finite.hpp"
#include "detail/interpretations.hpp"
#include "detail/symmetric_eigen.hpp"
#include "kernels/kernel_table.hpp"
#include "polycore/error.hpp"
#include "polycore/parallel.hpp"

namespace polycore {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The constants of polycore.stationary in Python, where they are explained.
constexpr double kZero = 1e-12;
constexpr double kNear = 1e-2, kLater = 1e-2;
constexpr double kShortest = 1e-4;
constexpr int kPatience = 24;
constexpr double kProgress = 0.5, kValueProgress = 1e-3;
constexpr int kFinishing = 12;
constexpr double kFar = 1e8, kVanished = 1e-6;
constexpr double kNothing = 1e-60;
constexpr double kSettled = 1e-2, kNoise = 1e-14;
constexpr double kLongest = 0.3;
constexpr int kReuses = 3;
constexpr double kGoodGain = 0.1;
constexpr double kLeastDamping = 1e-3, kShortestStep = 1e-14;
constexpr int kBisections = 12;
constexpr double kFirstRadius = 0.5, kLargestRadius = 10.0;

// Members that advance together, and those one task goes through: as some finish, others take their places.
constexpr std::size_t kTogether = 32, kTask = 64;
// Numbers in the Hessians, or in the directions of Hessian-vector products, that are worked on at once.
constexpr std::size_t kNumbers = std::size_t{1} << 17;

double norm(std::span<const double> x) {
  double sum = 0.0;
  for (const double xi : x) sum += xi * xi;
  return std::sqrt(sum);
}

void check_size(std::size_t got, std::size_t expected, const char* name) {
  if (got != expected)
    throw std::invalid_argument(std::string("`") + name + "` must have " + std::to_string(expected) + " entries, got " +
                                std::to_string(got));
}

// ---- the objective ------------------------------------------------------------------------------

/// Value, gradient and Hessian of the distance on batches of parameters; NumericalError when a number overflows.
class Objective {
 public:
  Objective(const Program& program, const SquaredDistance& distance)
      : program_(program),
        distance_(distance),
        n_params_(program.n_params()),
        n_coef_(distance.target.size()),
        // Q acts on so many blocks of coefficients.
        n_blocks_(distance.gram.size() == n_coef_ * n_coef_ ? 1 : static_cast<std::size_t>(program.n_outputs())) {
    const std::size_t n = n_coef_ / n_blocks_;
    check_size(distance.gram.size(), n * n, "gram");
    detail::require_finite(distance.gram, "gram");
    detail::require_finite(distance.target, "target");
  }

  std::size_t n_params() const { return n_params_; }

  void value_and_gradient(std::span<const double> theta, double* value, double* gradient) {
    const std::size_t batch = theta.size() / n_params_;
    if (n_blocks_ == 1 && program_.n_outputs() > 1) {
      coefficient_gradient(theta, value);
      program_.vjp<double>(theta, dcoef_, {gradient, theta.size()}, 1, distance_.on);
    } else {
      program_.loss_gradient(theta, distance_.gram, distance_.target, {value, batch}, {gradient, theta.size()}, 1,
                             distance_.on);
    }
  }

  /// Hessians (batch, P, P), symmetric bit for bit, and scales of the gradient (batch).
  void hessian(std::span<const double> theta, double* hessians, double* scales) {
    const std::size_t batch = theta.size() / n_params_;
    coefficient_gradient(theta, nullptr);
    jacobian_.resize(batch * n_coef_ * n_params_);
    program_.jacobian<double>(theta, jacobian_, 1, distance_.on);
    for (std::size_t s = 0; s < batch; ++s)
      scales[s] = (distance_.gram_norm * norm({coef_.data() + s * n_coef_, n_coef_}) + distance_.target_norm) *
                  norm({jacobian_.data() + s * n_coef_ * n_params_, n_coef_ * n_params_});
    // The rows are tangents of the reverse sweep in the directions of the parameters: those of several members at a
    // time, or a part of those of one.
    const std::size_t rows = std::max<std::size_t>(8, kNumbers / (n_params_ + n_coef_));
    const std::size_t members = std::max<std::size_t>(1, rows / n_params_);
    for (std::size_t s = 0; s < batch; s += members) {
      const std::size_t begin = s * n_params_, end = std::min(s + members, batch) * n_params_;
      const std::size_t step = members > 1 ? end - begin : rows;
      for (std::size_t row = begin; row < end; row += step)
        hessian_rows(theta, row, std::min(step, end - row), hessians);
    }
    for (std::size_t s = 0; s < batch; ++s) symmetrise(hessians + s * n_params_ * n_params_);
    detail::require_no_overflow<double>({hessians, batch * n_params_ * n_params_}, "hessian");
    detail::require_no_overflow<double>({scales, batch}, "scale");
  }

 private:
  /// coef_ = c and dcoef_ = 2 Q (c - t), and the values if they are wanted.
  void coefficient_gradient(std::span<const double> theta, double* value) {
    const std::size_t batch = theta.size() / n_params_;
    coef_.resize(batch * n_coef_);
    dcoef_.resize(batch * n_coef_);
    residual_.resize(n_coef_);
    program_.expand<double>(theta, coef_, 1, distance_.on);
    for (std::size_t s = 0; s < batch; ++s) {
      const double* c = coef_.data() + s * n_coef_;
      double* dc = dcoef_.data() + s * n_coef_;
      for (std::size_t i = 0; i < n_coef_; ++i) residual_[i] = c[i] - distance_.target[i];
      apply(1, residual_.data(), dc);
      double total = 0.0;
      for (std::size_t i = 0; i < n_coef_; ++i) {
        total += residual_[i] * dc[i];
        dc[i] *= 2.0;
      }
      if (value) value[s] = std::max(total, 0.0);
    }
    detail::require_no_overflow<double>(dcoef_, "gradient");
  }

  /// y = Q x on `n` columns: x and y are (n_coef, n), or vectors for n = 1.
  void apply(std::size_t n, const double* x, double* y) const {
    const std::size_t size = n_coef_ / n_blocks_;
    const kernels::RingKernels& ring = kernels::active().f64;
    for (std::size_t block = 0; block < n_blocks_; ++block) {
      const double* xb = x + block * size * n;
      double* yb = y + block * size * n;
      detail::in_strips(size, size * n, [&](std::size_t i, std::size_t rows) {
        if (n > 1)
          return ring.affine({rows, size, size, 1}, n, distance_.gram.data() + i * size, xb, yb + i * n, false,
                             nullptr);
        // One vector runs along the rows of Q, which is symmetric.
        ring.affine({1, rows, size, 1}, size, xb + i, distance_.gram.data() + i * size, yb, i > 0, nullptr);
      });
    }
  }

  /// Rows first to first + n of the Hessians of all members, one below the other.
  void hessian_rows(std::span<const double> theta, std::size_t first, std::size_t n, double* hessians) {
    const std::size_t P = n_params_;
    theta_rows_.resize(n * P);
    directions_.assign(n * P, 0.0);
    dcoef_rows_.resize(n * n_coef_);
    ddcoef_rows_.resize(n * n_coef_);
    for (std::size_t k = 0; k < n;) {
      const std::size_t member = (first + k) / P, direction = (first + k) % P, end = std::min(n, k + P - direction);
      curvature(member, direction, end - k, ddcoef_rows_.data() + k * n_coef_);
      for (std::size_t row = k; row < end; ++row) {
        std::copy_n(theta.data() + member * P, P, theta_rows_.data() + row * P);
        directions_[row * P + direction + row - k] = 1.0;
        std::copy_n(dcoef_.data() + member * n_coef_, n_coef_, dcoef_rows_.data() + row * n_coef_);
      }
      k = end;
    }
    program_.vjp_tangent(theta_rows_, directions_, dcoef_rows_, ddcoef_rows_, {hessians + first * P, n * P}, 1,
                         distance_.on);
  }

  /// 2 Q J e_k for the parameters k = first, ..., first + n - 1 of a member: n rows.
  void curvature(std::size_t member, std::size_t first, std::size_t n, double* rows) {
    const double* jacobian = jacobian_.data() + member * n_coef_ * n_params_;
    columns_.resize(n_coef_ * n);
    images_.resize(n_coef_ * n);
    for (std::size_t i = 0; i < n_coef_; ++i) std::copy_n(jacobian + i * n_params_ + first, n, columns_.data() + i * n);
    apply(n, columns_.data(), images_.data());
    for (std::size_t i = 0; i < n_coef_; ++i)
      for (std::size_t k = 0; k < n; ++k) rows[k * n_coef_ + i] = 2.0 * images_[i * n + k];
    if (!detail::all_finite({rows, n * n_coef_})) throw NumericalError("hessian: a result overflowed");
  }

  void symmetrise(double* h) const {
    for (std::size_t i = 0; i < n_params_; ++i)
      for (std::size_t j = 0; j < i; ++j)
        h[i * n_params_ + j] = h[j * n_params_ + i] = 0.5 * (h[i * n_params_ + j] + h[j * n_params_ + i]);
  }

  const Program& program_;
  const SquaredDistance& distance_;
  std::size_t n_params_, n_coef_, n_blocks_;
  std::vector<double> coef_, dcoef_, residual_, jacobian_, columns_, images_;
  std::vector<double> theta_rows_, directions_, dcoef_rows_, ddcoef_rows_;
};

// ---- one member ---------------------------------------------------------------------------------

/// A member is at theta with value, gradient, decomposed Hessian and scale of the gradient. In each round it tries one
/// step. If the step is accepted, the member moves, else it will try a shorter one. After a good step the decomposition
/// serves for the next one too: gradients are cheap next to it.
class Member {
 public:
  Member(std::size_t n_params, const SearchOptions& options)
      : options_(options),
        theta_(n_params),
        gradient_(n_params),
        eigenvalues_(n_params),
        along_(n_params),
        coordinates_(n_params),
        step_(n_params),
        vectors_(n_params * n_params),
        work_(2 * n_params) {}

  void start(std::size_t id, std::size_t index, const double* theta, double value, const double* gradient) {
    id_ = id;
    index_ = index;
    scale_ = kNaN;
    finite_ = true;
    fraction_ = 1.0;
    near_ = options_.stepping == Stepping::newton ? kInfinity : kNear;
    finishing_ = 0;
    steps_ = 0;
    drift_ = gain_ = 0.0;
    mark_ratio_ = kInfinity;
    mark_value_ = std::numeric_limits<double>::max();
    move(theta, value, gradient);
    start_size_ = size_;
    radius_ = (options_.stepping == Stepping::index ? kLongest : kFirstRadius) * (size_ > 0.0 ? size_ : 1.0);
    finite_ = std::isfinite(norm_);
  }

  std::size_t id() const { return id_; }
  bool finite() const { return finite_; }
  std::span<const double> theta() const { return theta_; }
  double* hessian() { return vectors_.data(); }

  void move(const double* theta, double value, const double* gradient) {
    std::copy_n(theta, theta_.size(), theta_.data());
    std::copy_n(gradient, gradient_.size(), gradient_.data());
    value_ = value;
    norm_ = norm(gradient_);
    size_ = norm(theta_);
  }

  /// Decomposes what was written to hessian().
  void decompose(double scale) {
    const std::size_t n = theta_.size();
    scale_ = scale;
    finite_ = std::isfinite(scale) && detail::symmetric_eigen(n, vectors_.data(), eigenvalues_.data(), work_.data());
    if (!finite_) return;
    largest_ = n == 0 ? 0.0 : std::max(std::abs(eigenvalues_.front()), std::abs(eigenvalues_.back()));
    age_ = 0;
    project();
  }

  /// Whether the decomposition at hand will do for the next step.
  bool reuses(bool accepted) const {
    if (!accepted || newton_ || meets() || norm_ <= near_ * scale_) return false;
    return age_ < kReuses && gain_ > kGoodGain && steps_ < options_.max_steps;
  }
  void reuse() {
    ++age_;
    project();
  }
  bool stale() const { return age_ > 0; }

  /// Writes the point to try.
  void propose(double* trial) {
    const std::size_t n = theta_.size();
    newton_ = tries_newton();
    if (newton_)
      newton_step();
    else
      own_step();
    std::fill(step_.begin(), step_.end(), 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      if (coordinates_[i] == 0.0) continue;
      for (std::size_t k = 0; k < n; ++k) step_[k] += coordinates_[i] * vectors_[i * n + k];
    }
    step_norm_ = norm(step_);
    vanishing_ = size_ < kVanished * start_size_;
    double largest = 0.0;
    for (std::size_t k = 0; k < n; ++k) {
      trial[k] = vanishing_ ? 0.0 : theta_[k] + step_[k];
      largest = std::max(largest, std::abs(trial[k]));
    }
    // Entries that are nothing next to others become zeros: where units die, they would underflow step by step.
    for (std::size_t k = 0; k < n; ++k)
      if (std::abs(trial[k]) < kNothing * largest) trial[k] = 0.0;
  }

  /// Whether the step just proposed is taken, given what was found there (NaN if nothing).
  bool judge(double value, const double* gradient) {
    const double trial_norm = norm({gradient, gradient_.size()});
    bool accepted = newton_ ? helps(trial_norm) : is_better(value, gradient, trial_norm);
    if (vanishing_) accepted = finite_ = trial_norm == 0.0;
    adapt(accepted);
    return accepted;
  }

  bool is_done() {
    const bool stuck = is_stuck();
    const bool lost = size_ > kFar * std::max(start_size_, 1.0) || !finite_;
    const bool finished = norm_ == 0.0 || (meets() && finishing_ >= kFinishing);
    return lost || finished || (!meets() && (steps_ >= options_.max_steps || stuck));
  }

  void store(const SearchResult& result) const {
    std::copy(theta_.begin(), theta_.end(), result.theta.data() + id_ * theta_.size());
    result.value[id_] = value_;
    result.gradient_norm[id_] = norm_;
    result.scale[id_] = scale_;
    result.n_steps[id_] = steps_;
    // Where an infimum is not attained, Newton steps go outwards and are as long as theta.
    result.converged[id_] = finite_ && ((meets() && drift_ < kSettled) || norm_ == 0.0);
  }

 private:
  /// The gradient in the coordinates of the eigenvectors.
  void project() {
    const std::size_t n = theta_.size();
    for (std::size_t i = 0; i < n; ++i) {
      double sum = 0.0;
      for (std::size_t k = 0; k < n; ++k) sum += vectors_[i * n + k] * gradient_[k];
      along_[i] = sum;
    }
  }

  bool meets() const { return norm_ <= options_.tolerance * scale_; }
  /// The order of the eigenvalues along fibres.
  double unit() const { return norm_ / (size_ > 0.0 ? size_ : 1.0); }
  /// Eigenvalues up to here belong to the fibre.
  double threshold() const { return std::max(kZero * largest_, std::min(unit(), 1e-3 * largest_)); }

  /// Nearly stationary, and of the index that is sought.
  bool tries_newton() const {
    if (meets()) return true;
    if (norm_ > near_ * scale_) return false;
    if (options_.stepping != Stepping::descent && options_.stepping != Stepping::index) return true;
    const auto first = std::lower_bound(eigenvalues_.begin(), eigenvalues_.end(), -threshold());
    return static_cast<std::size_t>(first - eigenvalues_.begin()) == index_;
  }

  void newton_step() {
    const double least = threshold();
    for (std::size_t i = 0; i < along_.size(); ++i)
      coordinates_[i] = std::abs(eigenvalues_[i]) > least ? -fraction_ * along_[i] / eigenvalues_[i] : 0.0;
  }

  /// The step of the search's own kind in the ball of the radius.
  void own_step() {
    const double floor = std::max(kLeastDamping * unit(), kZero * largest_ + std::numeric_limits<double>::min());
    bounded_ = length(floor) > radius_;
    if (!bounded_) return;
    double low = floor, high = std::max(floor, norm(along_) / radius_);  // there the step is short enough
    for (int k = 0; k < kBisections; ++k) {
      const double middle = std::sqrt(low) * std::sqrt(high);
      (length(middle) > radius_ ? low : high) = middle;
    }
    length(high);
  }

  /// The length of the step with this damping, which is left in the coordinates.
  double length(double damping) {
    // Along the lowest eigenvector, if its eigenvalue is negative, as fast as if it were positive.
    const double shift = std::max(0.0, -2.0 * eigenvalues_[0]);
    double square = 0.0;
    for (std::size_t i = 0; i < along_.size(); ++i) {
      double& step = coordinates_[i];
      if (options_.stepping == Stepping::descent) {
        step = -along_[i] / (eigenvalues_[i] + shift + damping);
      } else if (options_.stepping == Stepping::stationary) {
        const double ratio = eigenvalues_[i] / damping;  // its square neither overflows nor underflows
        step = -ratio / (ratio * ratio + 1.0) / damping * along_[i];
      } else {
        step = -along_[i] / (std::abs(eigenvalues_[i]) + damping);
        if (options_.stepping == Stepping::index && i < index_) step = -step;
      }
      square += step * step;
    }
    return std::sqrt(square);
  }

  /// Whether a Newton step is taken: the gradient falls, and once it is small enough by half.
  bool helps(double trial_norm) const {
    return trial_norm <= (meets() ? 0.5 : 1.0 - 0.25 * fraction_) * norm_ && trial_norm < norm_;
  }

  /// Whether a step of the search's own kind is taken, with the gain it brought of the gain that was predicted.
  bool is_better(double value, const double* gradient, double trial_norm) {
    const std::size_t n = theta_.size();
    double predicted = 0.0, actual = 0.0;
    switch (options_.stepping) {
      case Stepping::index:
        gain_ = trial_norm <= 4.0 * norm_ ? 1.0 : 0.0;
        return gain_ > 0.0;
      case Stepping::stationary:
        for (std::size_t i = 0; i < n; ++i) {
          const double left = along_[i] + eigenvalues_[i] * coordinates_[i];
          predicted += along_[i] * along_[i] - left * left;
        }
        actual = norm_ * norm_ - trial_norm * trial_norm;
        break;
      case Stepping::descent:
      case Stepping::newton:
        for (std::size_t i = 0; i < n; ++i)
          predicted -= (along_[i] + 0.5 * eigenvalues_[i] * coordinates_[i]) * coordinates_[i];
        actual = value_ - value;
        // Where values differ by rounding alone, the gradients at both ends tell the difference.
        if (std::abs(predicted) <= 1e-9 * std::abs(value_)) {
          actual = 0.0;
          for (std::size_t k = 0; k < n; ++k) actual -= 0.5 * (gradient_[k] + gradient[k]) * step_[k];
        }
        break;
    }
    gain_ = actual / (predicted > 0.0 ? predicted : 1.0);
    return gain_ > 1e-4 && std::isfinite(trial_norm);
  }

  /// Radius, fraction and counts after a step was tried; that a step failed with an old Hessian says nothing.
  void adapt(bool accepted) {
    if (age_ == 0) ++steps_;
    if (age_ > 0 && !accepted) return;
    if (meets()) {
      finishing_ = accepted ? finishing_ + 1 : kFinishing;  // no further attempt after a failure
      drift_ = drift();
    }
    if (!newton_)
      adapt_radius(accepted);
    else if (options_.stepping == Stepping::newton)
      fraction_ = accepted ? std::min(1.0, 4.0 * fraction_) : 0.25 * fraction_;
    else if (!accepted)
      near_ = kLater * norm_ / scale_;
  }

  /// The length of a Newton step relative to theta, negative if it goes inwards. No eigenvalue is dropped, but
  /// components of the gradient that are rounding.
  double drift() const {
    const std::size_t n = theta_.size();
    double square = 0.0, outwards = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      if (std::abs(along_[i]) <= kNoise * scale_ || eigenvalues_[i] == 0.0) continue;
      const double step = -along_[i] / eigenvalues_[i];
      square += step * step;
      for (std::size_t k = 0; k < n; ++k) outwards += step * vectors_[i * n + k] * theta_[k];
    }
    return std::copysign(std::sqrt(square), outwards) / (size_ > 0.0 ? size_ : 1.0);
  }

  void adapt_radius(bool accepted) {
    if (!accepted)
      radius_ = 0.25 * step_norm_;
    else if (gain_ > 0.75)
      radius_ = bounded_ ? 2.0 * radius_ : radius_;
    else if (!(gain_ > 0.25))
      radius_ = 0.5 * step_norm_;
    const double largest =
        (options_.stepping == Stepping::index ? kLongest : kLargestRadius) * (size_ > 0.0 ? size_ : 1.0);
    radius_ = std::min(radius_, largest);
  }

  /// Whether steps are so short, or so many without effect, that nothing will come of it.
  bool is_stuck() {
    bool stuck = fraction_ < kShortest || radius_ <= kShortestStep * size_;
    if (options_.stepping == Stepping::stationary) {
      // A minimum of the norm of g that is not zero: its gradient Hg vanishes and g does not.
      double pull = 0.0;
      for (std::size_t i = 0; i < along_.size(); ++i) pull += eigenvalues_[i] * along_[i] * eigenvalues_[i] * along_[i];
      stuck = stuck || std::sqrt(pull) <= 1e-8 * largest_ * norm_;
    }
    if (age_ > 0 || steps_ == 0 || steps_ % kPatience != 0) return stuck;
    const double ratio = norm_ / (scale_ > 0.0 ? scale_ : 1.0);
    bool better = ratio < kProgress * mark_ratio_;
    if (options_.stepping == Stepping::descent)
      better = better || value_ < mark_value_ - kValueProgress * std::abs(mark_value_);
    mark_ratio_ = std::min(mark_ratio_, ratio);
    mark_value_ = value_;
    return stuck || !better;
  }

  const SearchOptions& options_;
  std::size_t id_ = 0, index_ = 0;
  double value_ = 0, norm_ = 0, size_ = 0, start_size_ = 0, scale_ = 0, largest_ = 0;
  double radius_ = 0, fraction_ = 1, near_ = 0, gain_ = 0, drift_ = 0, step_norm_ = 0;
  double mark_ratio_ = 0, mark_value_ = 0;
  std::int64_t steps_ = 0;
  int finishing_ = 0, age_ = 0;  // steps taken since the Hessian was made
  bool bounded_ = false;
  bool finite_ = true, newton_ = false, vanishing_ = false;
  std::vector<double> theta_, gradient_, eigenvalues_, along_, coordinates_, step_;
  std::vector<double> vectors_;  // one per row; the Hessian before it is decomposed
  std::vector<double> work_;
};

// ---- members that advance together --------------------------------------------------------------

class Task {
 public:
  Task(const Program& program, const SquaredDistance& distance, std::span<const std::int64_t> index,
       const SearchOptions& options, const SearchResult& result)
      : objective_(program, distance), index_(index), options_(options), result_(result), P_(program.n_params()) {}

  void run(std::size_t first, std::size_t last) {
    const std::size_t hessians = kNumbers / std::max<std::size_t>(P_ * P_, 1);
    const std::size_t together = std::min(last - first, std::clamp<std::size_t>(hessians, 8, kTogether));
    std::vector<Member> members(together, Member(P_, options_));
    std::vector<Member*> idle, moved;
    for (Member& member : members) idle.push_back(&member);
    std::size_t next = first;
    while (next < last || !active_.empty()) {
      poll_interrupt();
      moved.clear();
      for (Member* member : active_) member->propose(new_row());
      // New members try their starts, so to speak.
      const std::size_t n_old = active_.size();
      for (; next < last && !idle.empty(); ++next) {
        std::copy_n(result_.theta.data() + next * P_, P_, new_row());
        active_.push_back(idle.back());
        idle.pop_back();
      }
      evaluate();
      for (std::size_t k = 0; k < active_.size(); ++k) {
        const double *theta = trials_.data() + k * P_, *gradient = gradients_.data() + k * P_;
        if (k >= n_old) {
          const std::size_t id = next - (active_.size() - k);
          active_[k]->start(id, index_.empty() ? 0 : static_cast<std::size_t>(index_[id]), theta, values_[k], gradient);
          if (active_[k]->finite()) moved.push_back(active_[k]);
        } else {
          const bool accepted = active_[k]->judge(values_[k], gradient);
          if (accepted) active_[k]->move(theta, values_[k], gradient);
          if (active_[k]->reuses(accepted))
            active_[k]->reuse();
          else if (accepted || active_[k]->stale())
            moved.push_back(active_[k]);
        }
      }
      decompose(moved, 0, moved.size());
      trials_.clear();
      std::erase_if(active_, [&](Member* member) {
        if (!member->is_done()) return false;
        member->store(result_);
        idle.push_back(member);
        return true;
      });
    }
  }

 private:
  double* new_row() {
    trials_.resize(trials_.size() + P_);
    return trials_.data() + trials_.size() - P_;
  }

  /// Values and gradients of all trials; NaN where they, or the parameters, are not finite.
  void evaluate() {
    const std::size_t n = active_.size();
    values_.resize(n);
    gradients_.resize(n * P_);
    evaluate(0, n);
  }
  void evaluate(std::size_t first, std::size_t n) {
    const std::span<const double> theta{trials_.data() + first * P_, n * P_};
    if (detail::all_finite(theta)) {
      try {
        return objective_.value_and_gradient(theta, values_.data() + first, gradients_.data() + first * P_);
      } catch (const NumericalError&) {  // one of them overflows: which?
      }
    }
    if (n > 1) {
      evaluate(first, n / 2);
      evaluate(first + n / 2, n - n / 2);
    } else {
      values_[first] = kNaN;
      std::fill_n(gradients_.data() + first * P_, P_, kNaN);
    }
  }

  /// Hessians of members [first, first + n), and their decompositions.
  void decompose(const std::vector<Member*>& members, std::size_t first, std::size_t n) {
    if (n == 0) return;
    points_.clear();
    for (std::size_t k = first; k < first + n; ++k)
      points_.insert(points_.end(), members[k]->theta().begin(), members[k]->theta().end());
    hessians_.resize(n * P_ * P_);
    scales_.resize(n);
    try {
      objective_.hessian(points_, hessians_.data(), scales_.data());
    } catch (const NumericalError&) {
      if (n == 1) return members[first]->decompose(kNaN);
      decompose(members, first, n / 2);
      return decompose(members, first + n / 2, n - n / 2);
    }
    for (std::size_t k = 0; k < n; ++k) {
      poll_interrupt();
      std::copy_n(hessians_.data() + k * P_ * P_, P_ * P_, members[first + k]->hessian());
      members[first + k]->decompose(scales_[k]);
    }
  }

  Objective objective_;
  std::span<const std::int64_t> index_;
  const SearchOptions& options_;
  const SearchResult& result_;
  std::size_t P_;
  std::vector<Member*> active_;
  std::vector<double> trials_, values_, gradients_, points_, hessians_, scales_;
};

}  // namespace

void search_stationary(const Program& program, const SquaredDistance& distance, std::span<const std::int64_t> index,
                       const SearchOptions& options, const SearchResult& result) {
  const std::size_t P = program.n_params(), batch = result.value.size();
  if (P == 0) throw std::invalid_argument("`program` must have parameters, got none");
  check_size(result.theta.size(), batch * P, "theta");
  check_size(result.gradient_norm.size(), batch, "gradient_norm");
  check_size(result.scale.size(), batch, "scale");
  check_size(result.converged.size(), batch, "converged");
  check_size(result.n_steps.size(), batch, "n_steps");
  check_size(index.size(), options.stepping == Stepping::index ? batch : 0, "index");
  const std::size_t n_monomials = distance.on == Monomials::support ? program.support().size() : program.basis().size();
  check_size(distance.target.size(), static_cast<std::size_t>(program.n_outputs()) * n_monomials, "target");
  detail::require_finite(std::span<const double>(result.theta), "theta");
  for (const std::int64_t k : index)
    if (k < 0 || static_cast<std::size_t>(k) > P) throw std::invalid_argument("`index` must be from 0 to n_params");
  static_cast<void>(Objective(program, distance));  // checks the metric before any thread starts

  const std::size_t n_tasks = (batch + kTask - 1) / kTask;
  parallel_for(n_tasks, options.n_threads, [&](std::size_t task) {
    Task(program, distance, index, options, result).run(task * kTask, std::min(batch, (task + 1) * kTask));
  });
}

}  // namespace polycore
