"""Speed of every kernel at the shapes that the codec runs. What is not bit-exact has no speed.

    python -m pytest bench/bench_kernels.py [-k NAME] [--benchmark-autosave] [--benchmark-compare]
        [--benchmark-compare-fail=median:5%] [--threads N] [--results FOLDER]

On a CUDA GPU: the Triton implementation, in a CUDA graph of COPIES launches; pytest-benchmark shows the time of such a
graph, the book has that of one launch, by CUDA events. Without a GPU: the CPU implementation, on one thread.
"""

import numpy as np
import pytest
import torch

from bench.cuda_timer import graph_of, graph_times, now
from nvc.codec.device import device_name
from nvc.kernels import TABLE
from nvc.testing import Fill
from profiling.roofs import ROOFS

CUDA = torch.cuda.is_available()
POINTS = [
    pytest.param(kernel, case, id=f"{name}-{'x'.join(map(str, case))}")
    for name, kernel in sorted(TABLE.items())
    for case in kernel.bench_cases
]


def tensors(result):
    return result if isinstance(result, tuple) else (result,)


def expect_exact(out, want):
    for got, wanted in zip(tensors(out), tensors(want), strict=True):
        assert torch.equal(got.cpu(), wanted), "not bit-exact: no speed"


def figures(kernel, case, times):
    """Percentiles of microseconds `times`, with what they mean for memory and multipliers."""
    cost, (p20, p50, p80) = kernel.cost(case), np.percentile(times, (20, 50, 80)).tolist()
    roof = ROOFS.get(device_name())
    return {
        "us": {"p20": p20, "p50": p50, "p80": p80},
        "GB/s": cost.bytes / p50 / 1e3,
        "TOP/s": 2 * cost.macs / p50 / 1e6,
        "share of roof": roof and roof.seconds(cost) * 1e6 / p50,
    }


@pytest.mark.parametrize(("kernel", "case"), POINTS)
@pytest.mark.benchmark(timer=now, min_rounds=20, max_time=0.2 if CUDA else 1.0, warmup=True, warmup_iterations=3)
def test_speed(kernel, case, benchmark, book):
    args = kernel.make(case, Fill("uniform", 0))
    # the references of the largest shapes take minutes; the sweep of the tests shows that the CPU agrees with them
    want = kernel.cpu(**args) if CUDA else kernel.reference(**args)
    if CUDA:
        args = {k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in args.items()}
    implementation = kernel.launch if CUDA else kernel.cpu
    out = implementation(**args)
    expect_exact(out, want)

    if CUDA:
        graph = graph_of(lambda: implementation(**args, out=out))
        for t in tensors(out):
            t.zero_()
        times = graph_times(graph)
        expect_exact(out, want)  # the graph holds the whole work
        benchmark(graph.replay)
    else:
        benchmark(implementation, **args, out=out)
        times = np.array(benchmark.stats.stats.data) * 1e6
    row = {"kernel": kernel.name, "case": case, "implementation": "launch" if CUDA else "cpu"}
    row |= figures(kernel, case, times)
    benchmark.extra_info |= row
    book(row)
