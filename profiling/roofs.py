"""How fast a GPU can be at best: what benchmarks and predictions are held against."""

from dataclasses import dataclass

from nvc.kernels._table import Cost


@dataclass(frozen=True)
class Roof:
    """Rates of one GPU that well-made code reaches, not those of its data sheet."""

    multiprocessors: int
    schedulers: int  # of a multiprocessor; each issues an instruction of a warp in a cycle
    clock: float  # Hz under load
    memory: float  # bytes/s
    cache: float  # bytes/s from the second-level cache
    int8: float  # operations/s; a multiply-accumulate is two

    def seconds(self, cost: Cost) -> float:
        """Time below which no implementation can do the work: every operand once from memory, every product once."""
        return max(cost.bytes / self.memory, 2 * cost.macs / self.int8)


H200 = Roof(multiprocessors=132, schedulers=4, clock=1.7e9, memory=4.3e12, cache=5.5e12, int8=1500e12)
# by the name that the driver gives
ROOFS = {"NVIDIA H200": H200}
