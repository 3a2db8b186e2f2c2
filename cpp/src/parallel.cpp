// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/parallel.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#include "polycore/error.hpp"

namespace polycore {
namespace {

int threads_from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return 0;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);  // OMP_NUM_THREADS may be a list "4,2": its first entry counts
  return end != text && value > 0 && value <= 4096 ? static_cast<int>(value) : 0;
}

int hardware_threads() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// One loop: shared by the threads that work on it.
struct Loop {
  std::size_t n_tasks;
  const std::function<void(std::size_t)>* body;
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stop{false};
  std::atomic<int> slots;  // helpers that may still join
  std::mutex mutex;        // guards the two below
  std::condition_variable idle;
  int working = 0;
  std::exception_ptr error;

  void fail(std::exception_ptr e) {
    const std::lock_guard lock(mutex);
    if (!error) error = std::move(e);
    // NOTE: after the error is noted: a thread that sees the flag throws Interrupted, which must not be taken for the
    // cause.
    stop.store(true, std::memory_order_relaxed);
  }
};

std::atomic<bool (*)()> interrupt_hook{nullptr};
thread_local Loop* current_loop = nullptr;  // the loop whose task this thread runs
thread_local bool is_worker = false;
thread_local std::chrono::steady_clock::time_point last_poll{};
constexpr std::chrono::milliseconds kPollInterval{50};

void poll_hook() {
  // NOTE: workers may not call the hook (it may need the caller's interpreter); they see the loop's stop flag instead.
  if (is_worker) return;
  const auto hook = interrupt_hook.load(std::memory_order_acquire);
  if (hook == nullptr) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_poll < kPollInterval) return;
  last_poll = now;
  if (hook()) throw Interrupted();
}

void run_tasks(Loop& loop) {
  Loop* const outer = current_loop;
  current_loop = &loop;
  try {
    while (!loop.stop.load(std::memory_order_relaxed)) {
      const std::size_t task = loop.next.fetch_add(1, std::memory_order_relaxed);
      if (task >= loop.n_tasks) break;
      (*loop.body)(task);
      poll_hook();
    }
  } catch (...) {
    loop.fail(std::current_exception());
  }
  current_loop = outer;
}

void poll_until_stopped(Loop& loop) {
  if (loop.stop.load(std::memory_order_relaxed)) return;
  try {
    poll_hook();
  } catch (...) {
    loop.fail(std::current_exception());
  }
}

// Threads that sleep until a loop is offered. Never destroyed: a process may exit while workers sleep.
class Pool {
 public:
  void run(Loop& loop, int helpers) {
    {
      const std::lock_guard lock(mutex_);
      try {
        while (static_cast<int>(n_workers_) < helpers) {
          std::thread(&Pool::work, this).detach();
          ++n_workers_;
        }
      } catch (const std::system_error&) {
        // The system gives no more threads: those there are do the work.
      }
      loops_.push_back(&loop);
      offers_.fetch_add(1, std::memory_order_release);
    }
    if (helpers == 1)
      wake_.notify_one();
    else
      wake_.notify_all();
    run_tasks(loop);
    {
      const std::lock_guard lock(mutex_);
      std::erase(loops_, &loop);
    }
    // Only this thread may call the hook, so it goes on while the others finish.
    std::unique_lock lock(loop.mutex);
    while (!loop.idle.wait_for(lock, kPollInterval, [&] { return loop.working == 0; })) {
      lock.unlock();
      poll_until_stopped(loop);
      lock.lock();
    }
  }

 private:
  void work() {
    is_worker = true;
    for (;;) {
      Loop* loop = nullptr;
      wait_awake();
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return (loop = joinable()) != nullptr; });
        loop->slots.fetch_sub(1, std::memory_order_relaxed);
        const std::lock_guard inner(loop->mutex);
        ++loop->working;
      }
      run_tasks(*loop);
      const std::lock_guard lock(loop->mutex);
      if (--loop->working == 0) loop->idle.notify_all();
    }
  }

  // Loops often follow each other closely (a solver's products), and waking a thread costs tens of microseconds: look
  // out for a new loop that long before going to sleep.
  void wait_awake() const {
    const unsigned seen = offers_.load(std::memory_order_acquire);
    const auto start = std::chrono::steady_clock::now();
    do {
      for (int i = 0; i < 16; ++i) {
        if (offers_.load(std::memory_order_acquire) != seen) return;
        pause();
      }
    } while (std::chrono::steady_clock::now() - start < std::chrono::microseconds(50));
  }

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }

  Loop* joinable() {
    for (Loop* loop : loops_)
      if (loop->slots.load(std::memory_order_relaxed) > 0 &&
          loop->next.load(std::memory_order_relaxed) < loop->n_tasks && !loop->stop.load(std::memory_order_relaxed))
        return loop;
    return nullptr;
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Loop*> loops_;
  std::atomic<unsigned> offers_{0};
  std::size_t n_workers_ = 0;
};

std::atomic<Pool*> pool_instance{nullptr};

Pool& pool() {
  // A forked child has none of the parent's threads: it starts with a new pool and leaves the old one alone.
  static const int registered = pthread_atfork(nullptr, nullptr, [] { pool_instance.store(nullptr); });
  (void)registered;
  Pool* instance = pool_instance.load(std::memory_order_acquire);
  if (instance == nullptr) {
    auto fresh = std::make_unique<Pool>();
    if (pool_instance.compare_exchange_strong(instance, fresh.get())) instance = fresh.release();
  }
  return *instance;
}

}  // namespace

int default_threads() {
  if (const int n = threads_from_environment("POLYCORE_NUM_THREADS")) return n;
  if (const int n = threads_from_environment("OMP_NUM_THREADS")) return n;
  static const int hardware = hardware_threads();
  return hardware;
}

void parallel_for(std::size_t n_tasks, int n_threads, const std::function<void(std::size_t)>& body) {
  if (n_tasks == 0) return;
  if (n_threads <= 0) n_threads = default_threads();
  const int helpers = static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(n_threads), n_tasks)) - 1;
  Loop loop;
  loop.n_tasks = n_tasks;
  loop.body = &body;
  loop.slots = helpers;
  // A loop inside a worker's task runs on that worker alone.
  if (helpers <= 0 || is_worker)
    run_tasks(loop);
  else
    pool().run(loop, helpers);
  if (loop.error) std::rethrow_exception(loop.error);
}

void set_interrupt_hook(bool (*hook)()) { interrupt_hook.store(hook, std::memory_order_release); }

void poll_interrupt_now() {
  last_poll = {};
  poll_interrupt();
}

void poll_interrupt() {
  if (current_loop != nullptr && current_loop->stop.load(std::memory_order_relaxed)) throw Interrupted();
  poll_hook();
}

}  // namespace polycore
