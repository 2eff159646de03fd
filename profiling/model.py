"""How long a launch should take on a GPU, from what was compiled for it and what it must move and multiply.

    memory   compulsory bytes (`Kernel.cost`) at the memory's rate
    cache    the same bytes and those that another program has read before, at the second-level cache's rate
    product  operations of the multiply-accumulates at the tensor cores' rate
    issue    instructions: each warp issues every stored instruction once, those in loops as often as LOOPS says, and a
             multiprocessor has four schedulers
    chain    steps that wait for each other, in a kernel whose loop is sequential, times the cycles of a step

The largest is the time of a kernel, and its name is what limits it. `product` and `issue` grow by what the last wave of
programs leaves idle. The bounds are taken one by one: overlap is perfect here, and latency, bank conflicts and misses
cost nothing, so measured times are longer. Between two launches a graph adds GAP. What a graph's branch hides is said
in `hidden`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from nvc.kernels import TABLE
from nvc.kernels._rans import phases, turns
from nvc.kernels._table import Case
from nvc.kernels.gpu._dot import MAX_BEGUN
from profiling.compile import Compiled, Point, Zeros
from profiling.frame import Frame
from profiling.roofs import Roof

GAP = 2e-6  # seconds from one launch to the next inside a CUDA graph
REGISTERS, THREADS, PROGRAMS, SHARED = 65536, 2048, 32, 227 << 10  # of a multiprocessor


@dataclass(frozen=True)
class Loop:
    """What runs inside the loops of a Triton function."""

    trips: Callable[[Case], float]  # how often, on average over the loops of the function
    cycles: int = 0  # latency of a trip that needs the result of the one before; 0: trips overlap
    alone: bool = False  # one program loops, the others of the grid do something else
    taken: float = 1.0  # share of the instructions that a usual trip does not branch around


@dataclass(frozen=True)
class Prediction:
    """Seconds by what takes them, for one call of a kernel; `waves` and `programs` are those of its largest launch."""

    bounds: dict[str, float]
    launches: int
    programs: int
    waves: float

    @property
    def limit(self) -> str:
        """What takes the longest."""
        return max(self.bounds, key=self.bounds.__getitem__)

    @property
    def seconds(self) -> float:
        """Time of the call without the gaps between launches."""
        return self.bounds[self.limit]


def _channels(position: int) -> Loop:
    """The loop of a matrix product over the channels that this number of the case counts, 64 at a time."""
    return Loop(lambda case: max(1, case[position] / 64))


def _steps(symbols: int, lanes: int, last: bool) -> int:
    """Steps of the entropy coder's first lane in a segment."""
    return sum(
        -(-int(end - begin) // turns(lanes, phase, width))
        for phase, (begin, end, width) in enumerate(phases(symbols, lanes, last))
    )


# (kernel, Triton function) -> its loops; every function that has some in the frames of docs/KERNELS.md is here
LOOPS = {
    # 4 groups; at C = 256 also 4 pieces of the stream, and 2 of the next layer, which count as 4. The rows of taps are
    # unrolled
    ("block_s16", "_block_s16"): Loop(lambda case: 4),
    ("code_vectors", "_code_vectors"): Loop(lambda case: case[0] * case[1] / 1024),  # rounds of 1024 blocks
    ("conv1x1_s16", "_conv1x1_s16"): _channels(2),
    ("conv1x1_s16", "_conv1x1_u8"): _channels(4),
    ("conv1x1_u8", "_conv1x1_u8"): _channels(2),
    ("down2_s16", "_conv1x1_u8"): _channels(4),
    ("down2_s16", "_down2_s16"): Loop(lambda case: 4 * case[2] / 64),  # four pixels of the input each
    ("down2_u8", "_down2_u8"): Loop(lambda case: 4 * case[2] / 64),
    ("latent_s16", "_latent_s16"): _channels(2),
    ("latent_up_s16", "_latent_up_s16"): Loop(lambda case: (case[2] + case[3]) / 128),  # channels of x16, then of ctx
    ("prior_head", "_prior_head"): _channels(2),
    ("recon_u8", "_recon_u8"): _channels(2),
    ("refine_mean", "_refine_mean"): _channels(2),
    # sides; three in four have another vector in redtree at 720p, more than in any other clip
    ("choose_overlap", "_choose_overlap"): Loop(lambda case: 4, taken=0.75),
    ("motion_compensate", "_motion_compensate"): Loop(lambda case: 4, taken=0.75),
    ("motion_search", "whole"): Loop(lambda case: 4),  # times four columns
    # unrolled: four steps, and one for the rest. A step waits for a shuffle and nine operations, some 80 cycles
    ("mv_restore", "_mv_restore"): Loop(lambda case: (2 * case[0] + case[1]) / 5, cycles=5 * 80),
    # a symbol waits for two loads from the first-level cache, some 35 cycles each, for sixteen operations one after the
    # other, 5 each, and for a vote of its warp and a branch, some 45; the other vote ends before the loads do
    ("rans_decode", "_rans_decode"): Loop(lambda c: _steps(c[1], c[3], bool(c[4])), cycles=195, alone=True, taken=0.6),
    # a symbol waits for three multiplications, a vote and some fifteen operations. The inner loop is less than half of
    # what is in a loop
    ("rans_encode", "_encode"): Loop(
        lambda c: sum(_steps(n, c[-1], False) for n in c[:-2]) + _steps(c[-2], c[-1], True), cycles=140, taken=0.4
    ),
    ("rans_encode", "_put_together"): Loop(lambda case: 1),  # 256 words of a lane
}


# share of the programs that do their work, where not all do. Whole pixels are searched again where the neighbours have
# changed a vector: 0.67 of the programs in redtree at 720p, more than in any other clip
BUSY = {("motion_search", "whole"): (1 + 0.67) / 2}

# pixels along the grid's first axis and output channels along the second; elsewhere channels are along the third
FLAT = {"conv1x1_s16", "conv1x1_u8", "latent_s16", "prior_head"}
NEXT = "_conv1x1_u8"  # the Triton function of a next layer in a launch of its own,
STEPS = {"conv1x1_s16": 1, "down2_s16": 2}  # which these kernels can have; pixels from one of their results to the next

# pictures with the channels of the output: a share of these channels reads a part of its own
OWN = {
    "dequant_s16": {"q", "mean"},
    "latent_s16": {"res"},
    "quantise": {"y", "mean", "index"},
    "refine_mean": {"mean"},
}


def _read(launch: Compiled, case: Case) -> dict[str, int]:
    """Bytes of what all programs of a launch read between them, by name."""
    operands = {n: v for n, v in TABLE[launch.kernel].make(case, Zeros()).items() if isinstance(v, torch.Tensor)}
    step = STEPS.get(launch.kernel)
    if step and "w_next" in operands and len(operands["w"]) > MAX_BEGUN:  # the next reads its results
        second, (height, width, _) = launch.jit == NEXT, operands["x"].shape
        shape = -(-height // step), -(-width // step), len(operands["w"])
        operands = {n: v for n, v in operands.items() if n.endswith("_next") == second}
        operands |= {"results": torch.empty(shape, dtype=torch.int16)} if second else {}
    # of a table with a row for every QP one row is read
    rows = {n: v.shape[0] if n.startswith(("bias", "mult", "ginv")) else 1 for n, v in operands.items()}
    return {n: v.nbytes // rows[n] for n, v in operands.items()}


def read_again(launch: Compiled) -> int:
    """Bytes that programs read although another one has read them: tables by every tile, pictures by every share of
    the output channels."""
    case, shares = launch.case, launch.grid[1 if launch.kernel in FLAT or launch.jit == NEXT else 2]
    small, large = _read(launch, case), _read(launch, (2 * case[0], *case[1:]))
    readers = dict.fromkeys(OWN.get(launch.kernel, ()), 1)
    if launch.kernel == "latent_up_s16":  # a share is one of four positions too, and each has its own part of ctx
        readers["ctx"] = shares // 4
    readers["results"] = shares + 1  # a kernel's cost counts that they are written, not that they are read
    tables = sum(size for name, size in small.items() if size == large[name])  # what does not grow with the picture
    pictures = sum(size * (readers.get(n, shares) - 1) for n, size in small.items() if size != large[n])
    loop = LOOPS.get((launch.kernel, launch.jit))
    programs = 1 if loop and loop.alone else launch.programs // shares  # the others of such a grid read no table
    return (programs - 1) * tables + pictures


def resident(launch: Compiled) -> int:
    """Programs of a launch that one multiprocessor of compute capability 9.0 holds at a time."""
    registers = launch.warps * 32 * -(-launch.registers // 8) * 8
    return min(REGISTERS // registers, SHARED // (launch.shared + 1024), THREADS // (32 * launch.warps), PROGRAMS)


def issue(launch: Compiled, roof: Roof) -> float:
    """Seconds that the busiest multiprocessor needs to issue its instructions. KeyError: loops that LOOPS lacks."""
    programs = -(-launch.programs // roof.multiprocessors)
    width = min(roof.schedulers, launch.warps * min(programs, resident(launch)))
    busy = BUSY.get((launch.kernel, launch.jit), 1.0)
    cycles = programs * launch.warps * (launch.instructions - launch.looped) / width
    if launch.looped:
        loop = LOOPS[launch.kernel, launch.jit]
        programs, width = (1, min(roof.schedulers, launch.warps)) if loop.alone else (programs, width)
        cycles += programs * launch.warps * launch.looped * loop.taken * loop.trips(launch.case) / width
    return busy * cycles / roof.clock


def chain(launch: Compiled, roof: Roof) -> float:
    """Seconds that the loop of a launch takes because each trip waits for the one before."""
    loop = LOOPS.get((launch.kernel, launch.jit))
    return loop.trips(launch.case) * loop.cycles / roof.clock if loop else 0.0


def predict(launches: Sequence[Compiled], roof: Roof) -> Prediction:
    """The time of one call, made of these launches, on a GPU with these rates."""
    kernel, case = launches[0].kernel, launches[0].case
    cost, largest = TABLE[kernel].cost(case), max(launches, key=lambda launch: launch.programs)
    busiest = -(-largest.programs // roof.multiprocessors)  # programs of the multiprocessor that has most
    share = largest.programs / (busiest * roof.multiprocessors)
    bounds = {
        "memory": cost.bytes / roof.memory,
        "cache": (cost.bytes + sum(read_again(launch) for launch in launches)) / roof.cache,
        "product": 2 * cost.macs / roof.int8 / share,
        "issue": sum(issue(launch, roof) for launch in launches),
        "chain": sum(chain(launch, roof) for launch in launches),
    }
    return Prediction(
        bounds, len(launches), largest.programs, largest.programs / roof.multiprocessors / resident(largest)
    )


def hidden(frame: Frame, predictions: Mapping[Point, Prediction]) -> dict[Point, float]:
    """Seconds of a frame's calls that pass beside others. Of the branch only kernels that wait for their own chain
    leave the card to the line, but for a few multiprocessors; all others are taken to have their turn."""
    waiting = {p: n * predictions[p].seconds for p, n in frame.branch.items() if predictions[p].limit == "chain"}
    line = sum(n * predictions[p].seconds for p, n in frame.line.items())
    share = min(1.0, line / sum(waiting.values())) if waiting else 0.0
    return {point: share * seconds for point, seconds in waiting.items()}
