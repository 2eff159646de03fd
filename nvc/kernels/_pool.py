"""Threads of the cpu twins: chunks of a range, handed out as threads become free, and per-thread scratch memory.

The calling thread works too, and a helper that has not begun when it runs dry is not waited for: a busy second core
costs its share of the work, never a stall. Numba loops and torch ops release the interpreter lock.

A frame is some sixty calls of `parallel` with less than a millisecond each, and waking a sleeping thread takes 50 us:
helpers that run out of work watch for the next call for a while before they go to sleep.

OpenMP keeps its thread count per thread, so each helper sets torch to one thread when it starts, and the caller does
for the duration of the call (0.3 us); otherwise `torch._int_mm` would open a team of its own inside every chunk.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from nvc.kernels._watch import changed


class _Local(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[tuple[str, tuple[int, ...], torch.dtype], tuple[Tensor, np.ndarray]] = {}


class _Job:
    """One call of `parallel`. As a context it keeps the error of a helper that works in it, for the caller."""

    def __init__(self, number: int, work: Callable[[], None], helpers: int) -> None:
        self.number, self.work = number, work
        self.places = deque(range(helpers))  # a helper that takes one has begun
        self.errors: list[BaseException] = []

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if error is not None:
            self.errors.append(error)
        return True


class _Crew:
    """Helper threads and the job that they are called to. One call at a time: `busy` is the caller's."""

    def __init__(self, helpers: int) -> None:
        self.busy = threading.Lock()
        self.job: _Job | None = _Job(0, lambda: None, 0)  # None sends the helpers home
        self.latest = np.zeros(1, np.int64)  # number of the job
        self.finished = np.zeros((helpers, 8), np.int64)  # [place, 0]: number of its last job; a cache line each
        self.awake = threading.Condition()
        self.asleep = 0
        for _ in range(helpers):
            threading.Thread(target=self.help, name="nvc", daemon=True).start()

    def help(self) -> None:
        torch.set_num_threads(1)
        seen = 0
        while True:
            if not changed(self.latest, seen):
                with self.awake:
                    self.asleep += 1
                    while self.latest[0] == seen:
                        self.awake.wait()
                    self.asleep -= 1
            seen, job = int(self.latest[0]), self.job
            if job is None:
                return
            try:
                place = job.places.popleft()
            except IndexError:  # all are taken, or the caller has ended the job
                continue
            with job:
                job.work()
            self.finished[place, 0] = job.number

    def call(self, job: _Job | None, number: int) -> None:
        self.job = job
        self.latest[0] = number
        if self.asleep:
            with self.awake:
                self.awake.notify_all()

    def run(self, work: Callable[[], None], helpers: int) -> list[BaseException]:
        """Work on it together until all who have begun are finished. Returns the helpers' errors."""
        number = int(self.latest[0]) + 1
        job = _Job(number, work, helpers)
        self.call(job, number)
        try:
            work()
        finally:
            begun = set(range(helpers))
            while job.places:
                try:
                    begun.discard(job.places.pop())
                except IndexError:  # taken since
                    break
            for place in begun:
                while (last := int(self.finished[place, 0])) != number:
                    if not changed(self.finished[place], last):
                        time.sleep(0)
            job.work = lambda: None  # nobody starts it any more; it must not keep its operands alive
        return job.errors


_local = _Local()
_lock = threading.Lock()
_threads = 0  # 0: not decided yet
_crew: _Crew | None = None


def threads() -> int:
    """Number of threads that `parallel` uses, the caller included; by default the cores this process may run on."""
    global _threads
    if _threads == 0:
        _threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _threads


def set_threads(n: int) -> None:
    """Use n >= 1 threads from the next `parallel` on. Calls already running keep theirs."""
    global _threads, _crew
    if n < 1:
        raise ValueError(f"set_threads: {n} threads, at least 1 is needed")
    with _lock:
        old, _crew, _threads = _crew, None, n
    if old is not None:
        with old.busy:
            old.call(None, int(old.latest[0]) + 1)


def _hired() -> _Crew:
    global _crew
    with _lock:  # or set_threads might dismiss it in between
        if _crew is None:
            _crew = _Crew(threads() - 1)
        return _crew


def parallel(fn: Callable[[int, int], object], n: int, chunk: int) -> None:
    """Call fn(begin, end) for consecutive chunks that cover range(n), `chunk` items each (the last may be shorter).

    Order and thread are unspecified; fn writes only what belongs to its items. An exception of fn is raised here, after
    every chunk already begun has ended. While another thread's call has the helpers, this one does without.
    """
    starts = iter(range(0, n, chunk))  # next() on it is atomic under the interpreter lock: threads share it

    def work() -> None:
        for begin in starts:
            fn(begin, min(begin + chunk, n))

    before = torch.get_num_threads()
    if before != 1:
        torch.set_num_threads(1)
    errors: list[BaseException] = []
    try:
        helpers = min(threads(), -(-n // chunk)) - 1
        crew = _hired() if helpers > 0 else None
        if crew is not None and crew.busy.acquire(blocking=False):
            try:
                errors = crew.run(work, helpers)
            finally:
                crew.busy.release()
        else:
            work()
    finally:
        if before != 1:
            torch.set_num_threads(before)
    for error in errors:
        raise error


def even(n: int, most: int) -> int:
    """Chunk size that cuts n items into equal parts of at most `most`, as many for each thread.

    A multiple of 16, for few different sizes; a part below 64 items is not worth a thread.
    """
    share = threads() if n >= 64 * threads() else 1
    parts = max(1, -(-n // (most * share))) * share
    return -(-n // (16 * parts)) * 16


def scratch(key: str, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, np.ndarray]:
    """Uninitialised memory of the calling thread, as tensor and as array; the same for the same arguments.

    `key` keeps apart buffers that are alive together. Shapes must come from a small set (chunk sizes times channels,
    not picture sizes): nothing is freed before the thread ends.
    """
    name = (key, shape, dtype)
    found = _local.buffers.get(name)
    if found is None:
        tensor = torch.empty(shape, dtype=dtype)
        found = _local.buffers[name] = tensor, tensor.numpy()
    return found
