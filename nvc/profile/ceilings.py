"""How fast a machine can move bytes and multiply: stated by a caller, or measured here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nvc.kernels._pool import parallel, threads
from nvc.kernels._table import Cost
from nvc.profile.clock import best, graph_seconds

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Ceilings:
    """Rates of one machine that well-made code reaches, not those of its data sheet."""

    memory: float  # bytes/s, read and written together
    cache: float  # bytes/s from the largest cache
    cache_bytes: int
    int8: float  # operations/s; a multiply-accumulate is two

    def seconds(self, cost: Cost) -> float:
        """Time below which no implementation can do the work: every operand once, every product once.

        Operands that fit into the cache may still be there from the kernel before.
        """
        rate = self.cache if cost.bytes <= self.cache_bytes else self.memory
        return max(cost.bytes / rate, 2 * cost.macs / self.int8)


def measure(device: torch.device) -> Ceilings:
    """The ceilings of this machine, in about a second: copies and a matrix product, on the codec's threads or the GPU.

    A GPU needs some 3 GiB of free memory.
    """
    return _measure_cuda(device) if device.type == "cuda" else _measure_cpu()


def _pieces(source: Tensor, target: Tensor, size: int) -> Callable[[], None]:
    """Copies one to the other on all threads, `size` items at a time."""
    return lambda: parallel(lambda a, b: target[a:b].copy_(source[a:b]), len(source), size)


def largest_cache() -> int:
    """Bytes of the processor's largest cache; 8 MiB where the system does not say."""
    sizes = [path.read_text().strip() for path in CACHES.glob("index*/size")]
    return max((int(size[:-1]) << {"K": 10, "M": 20}[size[-1]] for size in sizes), default=8 << 20)


def _measure_cpu() -> Ceilings:
    cache = largest_cache()
    n = max(128 << 20, 2 * cache)
    large = best(_pieces(torch.ones(n, dtype=torch.int8), torch.zeros(n, dtype=torch.int8), 1 << 20))
    m = min(cache // 4, 4 << 20)
    some, other = torch.ones(m, dtype=torch.int8), torch.zeros(m, dtype=torch.int8)
    copy = _pieces(some, other, m // threads())
    small = best(lambda: [copy() for _ in range(8)]) / 8
    rates = []
    for rows, columns, inner in ((4096, 256, 1024), (2048, 1024, 1024)):
        a, b = torch.ones((rows, inner), dtype=torch.int8), torch.ones((inner, columns), dtype=torch.int8)
        seconds = best(lambda a=a, b=b: parallel(lambda i, j: torch._int_mm(a[i:j], b), len(a), 256))  # type: ignore[misc]
        rates.append(2 * rows * columns * inner / seconds)
    return Ceilings(memory=2 * n / large, cache=2 * m / small, cache_bytes=cache, int8=max(rates))


def _measure_cuda(device: torch.device) -> Ceilings:
    with torch.cuda.device(device):
        cache: int = torch.cuda.get_device_properties(device).L2_cache_size
        seconds = []
        for n in (1 << 30, cache // 4):
            source, target = (torch.randint(-99, 99, (n,), dtype=torch.int8, device=device) for _ in range(2))
            seconds.append(2 * n / graph_seconds(lambda s=source, t=target: t.copy_(s), 20))  # type: ignore[misc]
        size = 8192
        a, b = (torch.randint(-64, 64, (size, size), dtype=torch.int8, device=device) for _ in range(2))
        product = graph_seconds(lambda: torch._int_mm(a, b.t()), 5)
    return Ceilings(memory=seconds[0], cache=seconds[1], cache_bytes=cache, int8=2 * size**3 / product)
