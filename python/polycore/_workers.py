# SPDX-License-Identifier: BSD-3-Clause
"""Many small tasks on worker processes: results in the order of the tasks, time-outs that stop, deaths survived.

A worker is a fresh interpreter that runs one function on tasks read from its standard input and writes results to its
standard output, one JSON message a line. It is started by command line, not by `multiprocessing`, whose workers would
import the program's main module again.

Tasks of a fraction of a millisecond go in chunks, and a thread in the worker sends what is finished twenty times a
second. The same thread gives back the rest of a chunk when one task takes longer, so that nothing waits behind it, and
the task that is running when a worker is killed, or dies, is known to be the only one that worker had.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

Task = Any  # JSON
Result = str

_TICK = 0.05  # seconds between messages of a worker
_SLOW = 0.2  # a task that takes longer keeps its worker to itself
_GRACE = 0.1  # beyond the time-out, for messages on their way
_CHUNK_TIME = 0.1  # seconds of work sent at once, as far as the last results tell
_MAX_CHUNK = 256
# Results wait for those before them; so many tasks may be ahead of the first that is not finished.
_WINDOW = 2**16
# Workers are the parallelism; BLAS libraries read these when they are loaded.
_ONE_THREAD = dict.fromkeys(
    ("POLYCORE_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


# --- the parent's side ------------------------------------------------------------------------------------------------


def map_in_workers(
    tasks: Iterator[Task],
    function: str,
    setup: Task,
    n_workers: int,
    timeout: float | None,
    failed: Callable[[Task, str], Result],
) -> Generator[list[Result], None, None]:
    """Results of ``function`` on each task, in the order of the tasks, as lists of those that have become available.

    Parameters
    ----------
    tasks : iterator
        Of JSON values. It is read a little ahead of the results.
    function : str
        "module:name" of a function that takes ``setup`` and returns the function from a task to its result, a string.
    setup : JSON value
    n_workers : int
        At most so many processes.
    timeout : float or None
        Seconds a task may take before its worker is killed.
    failed : callable
        From a task and a reason, "timeout" or how the worker died, to the result to give for it.

    Raises
    ------
    RuntimeError
        If workers cannot start.
    Exception
        What ``tasks`` raises, after the results of the tasks before.

    Notes
    -----
    Closing the generator kills the workers, and so does the death of this process, whatever its cause.
    """
    pool = _Pool(tasks, function, setup, n_workers, timeout, failed)
    try:
        while pool.feed():
            pool.wait()
            ready = pool.take_ready()
            if ready:
                yield ready
    finally:
        pool.kill()


class _Pool:
    def __init__(
        self,
        tasks: Iterator[Task],
        function: str,
        setup: Task,
        n_workers: int,
        timeout: float | None,
        failed: Callable[[Task, str], Result],
    ) -> None:
        self._new = enumerate(tasks)
        self._exhausted = False
        self._problem: Exception | None = None  # of the iterator, raised when everything before it is done
        self._start = (function, setup)
        self._n_workers = n_workers
        self._timeout = timeout
        self._failed = failed
        self._workers: list[_Worker] = []
        self._inbox: queue.SimpleQueue[tuple[_Worker, bytes]] = queue.SimpleQueue()
        self._tasks: dict[int, Task] = {}  # not yet finished
        self._waiting: list[int] = []  # heap of tasks that no worker has
        self._alone: set[int] = set()  # tasks that may have killed a worker: they are sent without company
        self._results: dict[int, Result] = {}
        self._next = 0  # the first task whose result has not been taken

    def feed(self) -> bool:
        """Give the workers something to do, and start those that are missing; False when all is done."""
        for worker in self._workers:
            if worker.wants_more() and not (worker.running and worker.running[0] in self._alone):
                self._send(worker, worker.chunk)
        while len(self._workers) < self._n_workers:
            if not self._waiting and not self._pull():
                break
            worker = _Worker(*self._start, self._inbox)
            self._workers.append(worker)
            self._send(worker, 1)
        if self._tasks or self._results:
            return True
        if self._problem is not None:
            raise self._problem
        return False

    def _send(self, worker: _Worker, n_tasks: int) -> None:
        numbers: list[int] = []
        while len(numbers) < n_tasks and (self._waiting or self._pull()):
            if self._waiting[0] in self._alone and (worker.running or numbers):
                break
            numbers.append(heapq.heappop(self._waiting))
            if numbers[-1] in self._alone:
                break
        if numbers:
            worker.send([(number, self._tasks[number]) for number in numbers])

    def _pull(self) -> bool:
        """One more task from the iterator, if there is one and it is not too far ahead."""
        if self._exhausted or len(self._tasks) + len(self._results) >= _WINDOW:
            return False
        try:
            number, task = next(self._new)
        except Exception as error:
            self._exhausted = True
            self._problem = None if isinstance(error, StopIteration) else error
            return False
        self._tasks[number] = task
        heapq.heappush(self._waiting, number)
        return True

    def wait(self) -> None:
        """Take in what the workers say until a deadline passes, at least one message, and kill who is overdue."""
        if not self._workers:
            return
        # NOTE: a bounded wait, so that Ctrl-C is seen on systems where waiting for a lock cannot be interrupted.
        patience = min([0.5, *(worker.deadline(self._timeout) - time.monotonic() for worker in self._workers)])
        with contextlib.suppress(queue.Empty):
            self._take_in(*self._inbox.get(timeout=max(0.001, patience)))
            while True:
                self._take_in(*self._inbox.get_nowait())
        if self._timeout is not None:
            for worker in list(self._workers):
                if time.monotonic() > worker.deadline(self._timeout):
                    worker.kill()
                    self._lose(worker, "timeout")

    def _take_in(self, worker: _Worker, line: bytes) -> None:
        if worker not in self._workers:
            return  # killed in the meantime
        if not line:
            self._lose(worker, worker.epitaph())
            return
        message = json.loads(line)
        for number in worker.finish(message):
            heapq.heappush(self._waiting, number)
        for number, result in message["done"]:
            self._store(number, result)

    def _store(self, number: int, result: Result) -> None:
        self._results[number] = result
        del self._tasks[number]
        self._alone.discard(number)

    def _lose(self, worker: _Worker, reason: str) -> None:
        """A worker has gone. If it had one task, that one is to blame; else each is tried again, alone."""
        self._workers.remove(worker)
        if not worker.ready:
            words = worker.last_words()
            worker.kill()
            raise RuntimeError(f"a worker process cannot start: {words}")
        if len(worker.running) == 1:
            number = worker.running[0]
            self._store(number, self._failed(self._tasks[number], reason))
        else:
            self._alone.update(worker.running)
            for number in worker.running:
                heapq.heappush(self._waiting, number)
        worker.kill()

    def take_ready(self) -> list[Result]:
        """The results that follow those taken before, without gaps."""
        ready = []
        while self._next in self._results:
            ready.append(self._results.pop(self._next))
            self._next += 1
        return ready

    def kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.kill()


@dataclass(eq=False)
class _Worker:
    """A process, the tasks it has been sent and not answered, in order, and since when it is at the first."""

    function: str
    setup: Task
    inbox: queue.SimpleQueue[tuple[_Worker, bytes]]
    running: deque[int] = field(default_factory=deque)
    since: float = field(default_factory=time.monotonic)
    chunk: int = 1
    ready: bool = False

    def __post_init__(self) -> None:
        # The same path, so that the worker imports the same polycore; nothing of the main module.
        code = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from polycore._workers import serve; serve()"
        paths = json.dumps([path or os.getcwd() for path in sys.path])
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            bufsize=-1,
            env={**os.environ, **_ONE_THREAD},
            start_new_session=True,  # Ctrl-C at the terminal is for the parent
        )
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        self._write([self.function, self.setup])

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.inbox.put((self, line))
        self.inbox.put((self, b""))

    def _write(self, message: Any) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it is dead; the listener will say so
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def wants_more(self) -> bool:
        """Whether its work is running low, and not because a task takes long."""
        if not self.running:
            return True
        return self.ready and len(self.running) <= self.chunk and time.monotonic() - self.since < _SLOW

    def deadline(self, timeout: float | None) -> float:
        """When the running task is overdue."""
        return self.since + timeout + _GRACE if timeout is not None and self.running and self.ready else math.inf

    def send(self, tasks: Sequence[tuple[int, Task]]) -> None:
        if not self.running:
            self.since = time.monotonic()
        self.running.extend(number for number, _ in tasks)
        self._write(tasks)

    def finish(self, message: dict[str, Any]) -> list[int]:
        """Note what is finished; the tasks it gives back."""
        now = time.monotonic()
        done, back = message["done"], message["back"]
        if not self.ready:
            self.ready, self.since = True, now
        if done:
            seconds = (now - self.since) / len(done)
            self.chunk = max(1, min(_MAX_CHUNK, 2 * self.chunk, int(_CHUNK_TIME / max(seconds, 1e-6))))
            self.since = now
            for _ in done:  # in the order in which they were sent
                self.running.popleft()
        for number in back:
            self.running.remove(number)
        return list(back)

    def epitaph(self) -> str:
        code = self.process.wait()
        try:
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        except ValueError:
            how = f"killed by signal {-code}"
        return f"error: the worker process died ({how})"

    def last_words(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else self.epitaph()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            with contextlib.suppress(OSError):  # what is still in the buffer has no reader
                stream.close()  # type: ignore[union-attr]


# --- the worker's side ------------------------------------------------------------------------------------------------


def serve() -> None:
    """What a worker runs: ends with its standard input, that is, with its parent."""
    requests = sys.stdin.buffer
    # Nothing but messages may reach the parent: whatever is printed goes to standard error.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _die_before_the_parent()
    name, setup = json.loads(requests.readline())
    module, _, attribute = name.partition(":")
    function = getattr(__import__(module, fromlist=[attribute]), attribute)(setup)
    desk = _Desk(answers)
    threading.Thread(target=_read_requests, args=(requests, desk), daemon=True).start()
    threading.Thread(target=_tick, args=(desk,), daemon=True).start()
    desk.report(force=True)
    try:
        while True:
            number, task = desk.next()
            desk.finish(number, function(task))
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # an ordinary end would wait for the threads, one of which waits for the parent


class _Desk:
    """What a worker has to do and has done; its three threads meet here."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers = answers
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._to_do: deque[tuple[int, Task]] = deque()
        self._done: list[tuple[int, Result]] = []
        self._since: float | None = None  # when the running task began

    def add(self, tasks: Sequence[tuple[int, Task]]) -> None:
        with self._changed:
            self._to_do.extend(tasks)
            self._changed.notify_all()

    def next(self) -> tuple[int, Task]:
        if not self._to_do:
            self.report()
        with self._changed:
            while not self._to_do:
                self._changed.wait()
            self._since = time.monotonic()
            return self._to_do.popleft()

    def finish(self, number: int, result: Result) -> None:
        with self._changed:
            self._done.append((number, result))
            self._since = None

    def report(self, force: bool = False) -> None:
        """Send what is done, and give back what would wait behind a slow task."""
        with self._sending:
            with self._changed:
                done, self._done = self._done, []
                back: list[int] = []
                if self._since is not None and time.monotonic() - self._since > _SLOW:
                    back = [number for number, _ in self._to_do]
                    self._to_do.clear()
            if done or back or force:
                self._answers.write(json.dumps({"done": done, "back": back}).encode() + b"\n")
                self._answers.flush()


def _read_requests(requests: IO[bytes], desk: _Desk) -> None:
    for line in requests:
        desk.add(json.loads(line))
    os._exit(0)  # at once, whatever is being computed: nobody waits for it


def _tick(desk: _Desk) -> None:
    while True:
        time.sleep(_TICK)
        try:
            desk.report()
        except OSError:
            os._exit(0)


def _die_before_the_parent() -> None:
    """Where memory runs out, Linux should end a worker, whose task is then a row in the table, and not the parent."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("500")
