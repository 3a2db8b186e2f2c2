// SPDX-License-Identifier: BSD-3-Clause
#include "polycore/parallel.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "polycore/error.hpp"

using polycore::parallel_for;

namespace {

bool runs_every_task_once(std::size_t n_tasks, int n_threads) {
  std::vector<std::atomic<int>> runs(n_tasks);
  parallel_for(n_tasks, n_threads, [&](std::size_t task) { ++runs[task]; });
  for (const auto& count : runs)
    if (count != 1) return false;
  return true;
}

void nap() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

std::atomic<int> hook_calls{0};

/// Installs a hook for one scope.
struct Hook {
  explicit Hook(bool (*hook)()) {
    hook_calls = 0;
    polycore::set_interrupt_hook(hook);
  }
  ~Hook() { polycore::set_interrupt_hook(nullptr); }
};

}  // namespace

TEST(every_task_runs_once) {
  for (const auto n_tasks : std::vector<std::size_t>{0, 1, 2, 7, 1000})
    for (const int n_threads : {0, 1, 2, 3, 16}) CHECK(runs_every_task_once(n_tasks, n_threads));
}

TEST(an_exception_stops_the_loop_and_reaches_the_caller) {
  for (const int n_threads : {1, 2, 4}) {
    std::atomic<int> runs{0};
    CHECK_THROWS(parallel_for(100'000, n_threads,
                              [&](std::size_t task) {
                                ++runs;
                                if (task == 10) throw std::domain_error("task 10");
                                nap();
                              }),
                 std::domain_error);
    CHECK(runs < 1000);
    CHECK(runs_every_task_once(100, n_threads));  // the pool still works
  }
}

TEST(the_exception_of_a_worker_thread_reaches_the_caller) {
  const auto caller = std::this_thread::get_id();
  std::atomic<bool> thrown{false};
  CHECK_THROWS(parallel_for(2, 2,
                            [&](std::size_t) {
                              if (std::this_thread::get_id() != caller) {
                                thrown = true;
                                throw std::length_error("in a worker");
                              }
                              while (!thrown) nap();  // the worker takes the other task
                            }),
               std::length_error);
}

TEST(loops_nest) {
  std::atomic<int> runs{0};
  parallel_for(8, 4, [&](std::size_t) { parallel_for(50, 4, [&](std::size_t) { ++runs; }); });
  CHECK_EQUAL(runs.load(), 400);
  CHECK_THROWS(
      parallel_for(8, 4, [&](std::size_t) { parallel_for(50, 4, [](std::size_t) { throw std::domain_error(""); }); }),
      std::domain_error);
}

TEST(many_threads_may_loop_at_once) {
  std::atomic<int> good{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 6; ++caller)
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 50; ++repeat) good += runs_every_task_once(20, 3);
    });
  for (auto& caller : callers) caller.join();
  CHECK_EQUAL(good.load(), 300);
}

TEST(a_forked_child_has_threads_of_its_own) {
  CHECK(runs_every_task_once(100, 4));  // the parent's pool exists
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);  // a child that waits for the parent's threads would wait for ever
    _exit(runs_every_task_once(100, 4) ? 0 : 1);
  }
  int status = -1;
  CHECK_EQUAL(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(runs_every_task_once(100, 4));
}

TEST(the_hook_stops_a_loop) {
  for (const int n_threads : {1, 4}) {
    const Hook hook([] { return ++hook_calls >= 2; });
    std::atomic<int> done{0};
    CHECK_THROWS(parallel_for(1'000'000, n_threads,
                              [&](std::size_t) {
                                nap();
                                ++done;
                              }),
                 polycore::Interrupted);
    CHECK(done < 1'000'000);  // the whole loop takes minutes
  }
  CHECK(runs_every_task_once(1000, 4));
}

TEST(the_hook_stops_a_long_task_on_the_calling_thread) {
  const Hook hook([] { return ++hook_calls >= 2; });
  CHECK_THROWS(parallel_for(1, 1,
                            [](std::size_t) {
                              for (int i = 0; i < 100'000; ++i) {
                                nap();
                                polycore::poll_interrupt();
                              }
                            }),
               polycore::Interrupted);
}

TEST(the_hook_stops_long_tasks_of_worker_threads) {
  const Hook hook([] { return ++hook_calls >= 2; });
  CHECK_THROWS(parallel_for(4, 4,
                            [](std::size_t) {
                              for (int i = 0; i < 100'000; ++i) {
                                nap();
                                polycore::poll_interrupt();
                              }
                            }),
               polycore::Interrupted);
}

TEST(the_hook_stops_a_worker_thread_while_the_caller_waits_for_it) {
  const Hook hook([] { return ++hook_calls >= 3; });
  const auto caller = std::this_thread::get_id();
  std::atomic<int> started{0};
  std::atomic<bool> finished{false};
  CHECK_THROWS(parallel_for(2, 2,
                            [&](std::size_t) {
                              ++started;
                              while (started < 2) nap();  // one task each
                              if (std::this_thread::get_id() == caller) return;
                              for (int i = 0; i < 100'000; ++i) {
                                nap();
                                polycore::poll_interrupt();
                              }
                              finished = true;
                            }),
               polycore::Interrupted);
  CHECK(!finished);
}

TEST(the_cause_of_a_stop_is_not_taken_for_an_interrupt) {
  for (int i = 0; i < 2000; ++i)
    CHECK_THROWS(parallel_for(2, 2,
                              [](std::size_t task) {
                                if (task == 1) throw std::domain_error("task 1");
                                for (int j = 0; j < 20'000; ++j) polycore::poll_interrupt();
                              }),
                 std::domain_error);
}

TEST(the_hook_is_called_on_the_calling_thread_only) {
  static std::thread::id caller;
  static std::atomic<bool> elsewhere{false};
  caller = std::this_thread::get_id();
  const Hook hook([] {
    ++hook_calls;
    if (std::this_thread::get_id() != caller) elsewhere = true;
    return false;
  });
  parallel_for(400, 4, [](std::size_t) { nap(); });
  CHECK(hook_calls > 0);
  CHECK(!elsewhere);
}

TEST(default_number_of_threads) {
  const auto with = [](const char* own, const char* openmp) {
    own ? setenv("POLYCORE_NUM_THREADS", own, 1) : unsetenv("POLYCORE_NUM_THREADS");
    openmp ? setenv("OMP_NUM_THREADS", openmp, 1) : unsetenv("OMP_NUM_THREADS");
    return polycore::default_threads();
  };
  const int hardware = with(nullptr, nullptr);
  CHECK(hardware >= 1);
  CHECK_EQUAL(with("3", nullptr), 3);
  CHECK_EQUAL(with("3", "5"), 3);
  CHECK_EQUAL(with(nullptr, "5"), 5);
  CHECK_EQUAL(with(nullptr, "4,2"), 4);
  for (const char* nonsense : {"", "0", "-2", "many", "99999999999999999999"})
    CHECK_EQUAL(with(nonsense, nullptr), hardware);
  with(nullptr, nullptr);
}
