// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <functional>

/// Threads. Results never depend on their number: work is cut into tasks by its own size, and whoever combines partial
/// results does so in task order.
namespace polycore {

/// POLYCORE_NUM_THREADS, else OMP_NUM_THREADS, else the processors this process may use.
int default_threads();

/// Run body(task) for 0 <= task < n_tasks on up to `n_threads` threads (0: default_threads()), the calling one
/// included. The first exception stops the rest and is rethrown here. Between its tasks the calling thread polls the
/// interrupt hook; when it says stop, polycore::Interrupted is thrown. A task should take well under 100 ms or call
/// poll_interrupt().
void parallel_for(std::size_t n_tasks, int n_threads, const std::function<void(std::size_t)>& body);

/// Called on the thread that entered the library, at most every 50 ms; returns true to stop. The hook must be
/// thread-safe.
void set_interrupt_hook(bool (*hook)());

/// For long stretches inside one task: throws polycore::Interrupted once a stop has been asked for.
void poll_interrupt();

/// The same, even if the hook has been called a moment ago: before results are put in place that an interrupted caller
/// should not find there.
void poll_interrupt_now();

}  // namespace polycore
