"""How fast a GPU can be at best: what benchmarks and predictions are held against."""

from dataclasses import dataclass

from nvc.profile.ceilings import Ceilings


@dataclass(frozen=True)
class Roof(Ceilings):
    """Ceilings of one GPU, and what else the time of its kernels depends on."""

    multiprocessors: int
    schedulers: int  # of a multiprocessor; each issues an instruction of a warp in a cycle
    clock: float  # Hz under load


H200 = Roof(
    memory=4.3e12,
    cache=5.5e12,
    cache_bytes=60 << 20,
    int8=1500e12,
    multiprocessors=132,
    schedulers=4,
    clock=1.7e9,
)
# by the name that the driver gives
ROOFS = {"NVIDIA H200": H200}
