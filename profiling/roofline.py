"""Bytes, multiply-accumulates and launches of whole frames of a preset, against what a machine can do.

    python -m profiling.roofline [--preset main] [--measure] [--device cuda|cpu] [--sizes 720p,1080p,4K]
                                 [--json FILE] [--picture FILE]

Without `--measure`: the stated ceilings of an NVIDIA H200 (`profiling/roofs.py`). With it: those of this machine's GPU
or CPU, measured by copies and a matrix product.

Three speeds are told, none of them measured. *roof*: every kernel alone at the ceilings, no time between kernels; no
implementation of these kernels is faster. *launches*: the same, and what a CUDA graph adds for every launch. *model*:
the time that the compiled code should need, `profiling/model.py`, and the launches, less what an encoder's entropy
coder does beside the reconstruction; it compiles for compute capability 9.0, and is left out on a CPU. Shapes and calls
are those of an inter frame of a made-up clip at QP 32.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from bench.codec import SIZES
from bench.machine import origin
from nvc.codec.device import processor_name
from nvc.kernels import TABLE
from nvc.models.config import CONFIGS
from nvc.profile.ceilings import Ceilings, measure
from profiling.compile import Compiled, Point, compile_points
from profiling.frame import Frame, frame_calls
from profiling.model import GAP, Prediction, hidden, predict
from profiling.roofs import H200, Roof


@dataclass(frozen=True)
class Item:
    """All calls of one kernel at one case in a frame; seconds of all of them together."""

    kernel: str
    case: tuple[int, ...]
    calls: int
    launches: int
    bytes: int
    macs: int
    roof: float
    model: float | None
    hidden: float  # seconds of `model` beside other kernels


@dataclass(frozen=True)
class FrameCost:
    """One direction at one size."""

    size: str
    work: str
    items: list[Item]
    gap: float  # seconds from launch to launch

    def total(self, name: str) -> float:
        """Sum of a field over the items."""
        return sum(getattr(item, name) or 0 for item in self.items)

    def seconds(self, name: str) -> float:
        """Time of a frame: `roof`, or `launches` or `model` with the gaps between launches."""
        gaps = self.gap * self.total("launches")
        if name == "model":
            return gaps + self.total("model") - self.total("hidden")
        return {"roof": 0.0, "launches": gaps}[name] + self.total("roof")


def items(frame: Frame, ceilings: Ceilings, compiled: Mapping[Point, list[Compiled]]) -> list[Item]:
    """What a frame runs, the most expensive first. Without compiled code a call is one launch."""
    predictions, found = dict[Point, Prediction](), []
    if isinstance(ceilings, Roof):
        predictions = {point: predict(compiled[point], ceilings) for point in frame.calls}
    beside = hidden(frame, predictions) if predictions else {}
    for point, count in frame.calls.items():
        cost, prediction = TABLE[point[0]].cost(point[1]), predictions.get(point)
        launches, model = (prediction.launches, count * prediction.seconds) if prediction else (1, None)
        totals = count * launches, count * cost.bytes, count * cost.macs, count * ceilings.seconds(cost)
        found.append(Item(*point, count, *totals, model, beside.get(point, 0.0)))
    return sorted(found, key=lambda item: -(item.model or item.roof))


def frames(sizes: Mapping[str, tuple[int, int]], ceilings: Ceilings, preset: str) -> list[FrameCost]:
    """Encoding and decoding at every size; with a model where the ceilings are a GPU's."""
    found = {(size, work): f for size, shape in sizes.items() for work, f in frame_calls(*shape, preset).items()}
    compiled: dict[Point, list[Compiled]] = {}
    if isinstance(ceilings, Roof):
        points = sorted({point for frame in found.values() for point in frame.calls})
        for done in compile_points({90: points}):
            compiled.setdefault((done.kernel, done.case), []).append(done)
    gap = GAP if compiled else 0.0
    return [FrameCost(size, work, items(f, ceilings, compiled), gap) for (size, work), f in found.items()]


def ceilings_of(device: str, measured: bool) -> tuple[str, Ceilings]:
    """Name and ceilings of the machine to hold the frames against."""
    if not measured:
        return "NVIDIA H200, stated", H200
    found = measure(torch.device(device))
    if device == "cpu":
        return f"{processor_name()}, measured", found
    properties = torch.cuda.get_device_properties(device)
    roof = replace(H200, **asdict(found), multiprocessors=properties.multi_processor_count)
    return f"{properties.name}, measured", roof


def table(costs: list[FrameCost]) -> str:
    """One line for each size and direction."""
    heads = ("calls", "launches", "MB", "GMAC", "MAC/byte", "roof ms", "roof fps", "launches fps", "model fps")
    lines = [f"{'frame':14}" + "".join(f"{head:>{max(len(head), 6) + 2}}" for head in heads)]
    for cost in costs:
        size, macs = cost.total("bytes"), cost.total("macs")
        speeds = [1 / cost.seconds(name) for name in ("roof", "launches")]
        model = f"{1 / cost.seconds('model'):11.0f}" if cost.items[0].model else f"{'-':>11}"
        lines.append(
            f"{cost.size + ' ' + cost.work:14}{cost.total('calls'):8.0f}{cost.total('launches'):10.0f}{size / 1e6:8.1f}"
            f"{macs / 1e9:8.2f}{macs / size:10.1f}{1e3 * cost.seconds('roof'):9.3f}{speeds[0]:10.0f}{speeds[1]:14.0f}"
            + model
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=tuple(CONFIGS), default="fast", help="default: fast")
    parser.add_argument("--measure", action="store_true", help="this machine's ceilings in place of stated ones")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="what to measure")
    parser.add_argument("--sizes", default="720p,1080p,4K", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    name, ceilings = ceilings_of(args.device, args.measure or args.device == "cpu")
    rates = f"memory {ceilings.memory / 1e9:.0f} GB/s, cache {ceilings.cache / 1e9:.0f} GB/s"
    title = f"preset {args.preset}, {name}: {rates}, int8 {ceilings.int8 / 2e9:.0f} GMAC/s"
    print(title, flush=True)
    costs = frames({size: SIZES[size] for size in args.sizes.split(",")}, ceilings, args.preset)
    print(table(costs))
    for path in filter(None, (args.json, args.picture)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if args.json:
        rows = [asdict(cost) | {n: cost.seconds(n) for n in ("roof", "launches", "model")} for cost in costs]
        args.json.write_text(
            json.dumps(origin() | {"preset": args.preset, "ceilings": asdict(ceilings), "frames": rows}, indent=1)
            + "\n"
        )
    if args.picture:
        from profiling.picture import draw

        draw(title, ceilings, costs, args.picture)


if __name__ == "__main__":
    main()
