"""Seconds of a piece of work, on the host and inside a CUDA graph."""

import time
from collections.abc import Callable

import torch

REPEATS = 5


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest run after a warm one."""
    work()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def graph_seconds(work: Callable[[], object], copies: int) -> float:
    """Seconds of one run among `copies` in a CUDA graph, where the gaps between launches are small."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        work()  # compiles, outside of the capture
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        for _ in range(copies):
            work()
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    times: list[float] = []
    for _ in range(1 + REPEATS):
        began.record()
        graph.replay()
        ended.record()
        ended.synchronize()
        times.append(began.elapsed_time(ended) / 1e3 / copies)
    return min(times)
