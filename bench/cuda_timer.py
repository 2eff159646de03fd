"""Clocks: one for pytest-benchmark that waits for the GPU, one that asks the GPU itself."""

import time
from collections.abc import Callable

import numpy as np
import torch

COPIES = 20  # launches in a graph: the gap before it and the clock's own wait become a twentieth


def now() -> float:
    """Seconds; a reading waits until the GPU, if there is one, is done with everything asked of it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def graph_of(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """COPIES runs of `work` as one CUDA graph, ready to replay: the way a codec session runs its kernels.

    Inputs and outputs stay in the second-level cache from one run to the next, as far as they fit.
    """
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):  # compiles, and lets the allocator settle, outside of the capture
        for _ in range(3):
            work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        for _ in range(COPIES):
            work()
    graph.replay()
    return graph


def graph_times(graph: torch.cuda.CUDAGraph, repeats: int = 50) -> np.ndarray:
    """Microseconds float64 [repeats] of one run inside the graph, by CUDA events."""
    times = []
    for _ in range(repeats):
        began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        began.record()
        graph.replay()
        ended.record()
        ended.synchronize()
        times.append(began.elapsed_time(ended) * 1e3 / COPIES)
    return np.array(times)
