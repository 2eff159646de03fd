"""What Triton's compiler makes of every kernel, for GPUs that need not be there.

    python -m profiling.compile [-k NAME]... [--arch 90]...

Each kernel is launched through its real launch code at its `bench_cases`, on zeros, with a driver that compiles and
notes the launch but runs nothing (`profiling.driver`). There is one process for each architecture, never with the
interpreter. Standard output is JSON, one object for each launch: see `Compiled`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "build" / "triton"
ARCHS = (80, 86, 89, 90, 100, 120)

# kernels whose work is a matrix product: they must use integer tensor-core instructions on every architecture
GEMMS = frozenset(
    {
        "block_s16",
        "conv1x1_s16",
        "conv1x1_u8",
        "down2_s16",
        "down2_s8",
        "down2_u8",
        "latent_s16",
        "latent_up_s16",
        "prior_head",
        "recon_u8",
        "refine_mean",
        "up2_u8",
    }
)

Point = tuple[str, tuple[int, ...]]  # name of a kernel and one of its cases


@dataclass(frozen=True)
class Compiled:
    """One launch of a kernel at a case, compiled. Fields from `registers` on are those of `profiling.sass.Code`."""

    kernel: str
    case: tuple[int, ...]
    arch: int  # compute capability: 90 is 9.0
    jit: str  # name of the Triton function
    grid: tuple[int, ...]
    warps: int
    shared: int  # bytes
    registers: int
    stack: int
    instructions: int
    looped: int
    igmma: int
    imma: int
    spills: int
    floats: tuple[str, ...]

    @property
    def programs(self) -> int:
        """Programs of the grid."""
        return self.grid[0] * self.grid[1] * self.grid[2]


def bench_points(names: Iterable[str] = ()) -> list[Point]:
    """Every kernel, or those named, at its bench cases. Raises KeyError for a kernel unknown."""
    from nvc.kernels import TABLE

    chosen = [TABLE[name] for name in names] or [k for _, k in sorted(TABLE.items())]
    return [(kernel.name, case) for kernel in chosen for case in kernel.bench_cases]


def compile_points(points: Mapping[int, Sequence[Point]]) -> list[Compiled]:
    """Compile the points of each architecture, two at a time; what was compiled before comes from a cache.

    Raises RuntimeError with the compiler's words when a kernel does not compile.
    """
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "TRITON_CACHE_DIR": str(CACHE)}

    def child(arch: int) -> list[Compiled]:
        command = [sys.executable, "-m", "profiling.compile", "--points", str(arch)]
        wanted = json.dumps(list(dict.fromkeys(points[arch])))
        run = subprocess.run(command, input=wanted, env=environment, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"compiling for sm_{arch} failed:\n{run.stderr[-4000:]}")
        return [read_compiled(fields) for fields in json.loads(run.stdout)]

    with ThreadPoolExecutor(2) as pool:
        return [compiled for part in pool.map(child, points) for compiled in part]


def read_compiled(fields: dict[str, object]) -> Compiled:
    """A Compiled from its JSON object."""
    return Compiled(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})  # type: ignore[arg-type]


class Zeros:
    """Test data without the trouble: the compiler never looks at it."""

    pattern = "zero"

    def __call__(self, shape: tuple[int, ...], lo: int, hi: int, dtype: "torch.dtype") -> "torch.Tensor":
        import torch

        return torch.full(shape, min(max(0, lo), hi), dtype=dtype)


def _compile_here(points: Sequence[Point], arch: int) -> list[Compiled]:
    """In a process without interpreter: the launches of every point."""
    import triton

    from nvc.kernels import TABLE
    from profiling.driver import Driver, OnlyLaunches
    from profiling.sass import read

    driver = Driver(arch)
    triton.runtime.driver.set_active(driver)
    compiled = []
    for name, case in points:
        kernel, case = TABLE[name], tuple(case)
        args = kernel.make(case, Zeros())
        driver.launches.clear()
        try:
            with OnlyLaunches(name):
                kernel.launch(**args)
        except BaseException as error:
            error.add_note(f"while compiling {name} {case} for sm_{arch}")
            raise
        for done in driver.launches:
            code = asdict(read(done.files["cubin"], done.files["ptx"]))
            compiled.append(Compiled(name, case, arch, done.name, done.grid, done.warps, done.shared, **code))
    return compiled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", "--kernel", action="append", default=[], help="a kernel of the table; default: all")
    parser.add_argument("--arch", type=int, action="append", choices=ARCHS, help="default: all")
    parser.add_argument(
        "--points", type=int, metavar="ARCH", help="compile the points on standard input in this process"
    )
    args = parser.parse_args()
    if args.points:
        result = _compile_here(json.load(sys.stdin), args.points)
    else:
        points = bench_points(args.kernel)
        result = compile_points(dict.fromkeys(args.arch or ARCHS, points))
    json.dump([asdict(compiled) for compiled in result], sys.stdout, indent=1)


if __name__ == "__main__":
    main()
