"""Threads of the cpu twins: chunks of a range, handed out as threads become free, and per-thread scratch memory.

The calling thread works too, and tasks that no helper has begun when it runs dry are cancelled: a busy second core
costs its share of the work, never a stall. Numba loops and torch ops release the interpreter lock.

OpenMP keeps its thread count per thread, so each helper sets torch to one thread when it starts, and the caller does
for the duration of the call (0.3 us); otherwise `torch._int_mm` would open a team of its own inside every chunk.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import torch
from torch import Tensor


class _Local(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[tuple[str, tuple[int, ...], torch.dtype], tuple[Tensor, np.ndarray]] = {}


_local = _Local()
_lock = threading.Lock()
_threads = 0  # 0: not decided yet
_pool: ThreadPoolExecutor | None = None


def threads() -> int:
    """Number of threads that `parallel` uses, the caller included; by default the cores this process may run on."""
    global _threads
    if _threads == 0:
        _threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _threads


def set_threads(n: int) -> None:
    """Use n >= 1 threads from the next `parallel` on. Calls already running keep theirs."""
    global _threads, _pool
    if n < 1:
        raise ValueError(f"set_threads: {n} threads, at least 1 is needed")
    with _lock:
        old, _pool, _threads = _pool, None, n
    if old is not None:
        old.shutdown(wait=False)


def _submit(work: Callable[[], None], count: int) -> list[Future[None]]:
    global _pool
    with _lock:  # or set_threads might shut the pool down in between
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, threads() - 1), "nvc", torch.set_num_threads, (1,))
        return [_pool.submit(work) for _ in range(count)]


def parallel(fn: Callable[[int, int], object], n: int, chunk: int) -> None:
    """Call fn(begin, end) for consecutive chunks that cover range(n), `chunk` items each (the last may be shorter).

    Order and thread are unspecified; fn writes only what belongs to its items. An exception of fn is raised here, after
    every chunk already begun has ended.
    """
    starts = iter(range(0, n, chunk))  # next() on it is atomic under the interpreter lock: threads share it

    def work() -> None:
        for begin in starts:
            fn(begin, min(begin + chunk, n))

    before = torch.get_num_threads()
    helpers = min(threads(), -(-n // chunk)) - 1
    tasks = _submit(work, helpers) if helpers > 0 else []
    if before != 1:
        torch.set_num_threads(1)
    try:
        work()
    finally:
        begun = [task for task in tasks if not task.cancel()]
        wait(begun)
        if before != 1:
            torch.set_num_threads(before)
    for task in begun:
        task.result()


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
