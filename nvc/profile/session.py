"""A clip through an encoder and a decoder, with the time of every stage and kernel."""

import io
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nvc.codec.reader import Decoder
from nvc.codec.threads import threads
from nvc.codec.writer import Encoder, Written
from nvc.kernels import TABLE
from nvc.kernels._table import Cost
from nvc.media import MediaError, Planes, open_source
from nvc.profile.calls import Call, frame_calls
from nvc.profile.ceilings import Ceilings, measure
from nvc.profile.clock import graph_seconds
from nvc.trace import STAGES, Total, collect

# frames that are not counted: in the keyframe and the one after it memory is allocated and kernels are compiled, the
# next one is captured as a graph on a GPU
WARM = 4
RECORDED = 3  # frames until a session does what it will do from then on
COPIES = 20  # of a kernel in the graph that times it


@dataclass(frozen=True)
class Row:
    """What one stage or kernel takes of an inter frame."""

    name: str
    calls: float
    seconds: float
    cost: Cost
    roof: float  # seconds that the machine needs at best


@dataclass(frozen=True)
class Work:
    """One direction, `encode` or `decode`: times of an inter frame. Kernels lie inside of stages, or beside them."""

    name: str
    seconds: float
    first: float  # seconds of the first frame of the session, a keyframe
    stages: list[Row]
    kernels: list[Row]

    @property
    def rest(self) -> float:
        """Seconds outside of every stage: the container, checksums, Python, or what a GPU waits for."""
        return self.seconds - sum(stage.seconds for stage in self.stages)


@dataclass(frozen=True)
class Profile:
    """The figures about one clip on one device. `frames` and `bytes` are those of the inter frames that count."""

    width: int
    height: int
    frames: int
    bytes: int
    qp: int
    device: str
    device_reason: str
    threads: int
    ceilings: Ceilings
    works: list[Work]


def profile(path: str, *, frames: int = 24, qp: int = 32, device: str = "auto") -> Profile:
    """Code the first pictures of a video and decode them again, everything in memory.

    frames: inter frames to count, fewer where the video is shorter. Times of stages and kernels are wall times, in
    which other threads may work too; on a GPU, where a frame is one graph, every kernel is timed alone and a stage is
    the sum of its kernels. Raises MediaError when the video is too short, and what Encoder and Decoder raise.
    """
    pictures = _read(path, frames + WARM)
    height, width = pictures[0].y.shape
    stream, written = io.BytesIO(), list[Written]()
    with Encoder(stream, width, height, qp=qp, device=device, reconstructions=False) as encoder:
        encoding = _timed(lambda n: written.extend(encoder.push(*pictures[n][:3])), len(pictures))
        written += encoder.flush()
    stream.seek(0)
    decoder = Decoder(stream, device=device)
    decoding = _timed(lambda n: next(decoder), len(pictures))
    ceilings, on = measure(encoder.device), encoder.device
    calls = frame_calls([picture[:3] for picture in pictures[:RECORDED]], qp, keep=on.type == "cuda")
    works = [
        _work(name, timed, called, ceilings, on)
        for name, timed, called in zip(("encode", "decode"), (encoding, decoding), calls, strict=True)
    ]
    counted = len(pictures) - WARM
    total, reason = sum(frame.size for frame in written[WARM:]), encoder.device_reason
    return Profile(width, height, counted, total, qp, str(on), reason, threads(), ceilings, works)


def _read(path: str, count: int) -> list[Planes]:
    with open_source(path, frames=count) as source:
        pictures = [Planes(np.array(y), np.array(u), np.array(v), pts) for y, u, v, pts in source]
    if len(pictures) <= WARM:
        raise MediaError(f"{path} has {len(pictures)} picture(s); a profile needs {WARM + 1} or more")
    return pictures


@dataclass(frozen=True)
class _Timed:
    first: float
    seconds: float  # of a frame after the warm ones
    spans: dict[str, Total]  # per frame


def _timed(work: Callable[[int], object], count: int) -> _Timed:
    clock = [time.perf_counter()]
    for n in range(WARM):
        work(n)
        clock.append(time.perf_counter())
    with collect() as spans:
        for n in range(WARM, count):
            work(n)
        ended = time.perf_counter()
    counted = count - WARM
    for total in spans.values():
        total.seconds, total.calls = total.seconds / counted, total.calls / counted
    return _Timed(clock[1] - clock[0], (ended - clock[-1]) / counted, spans)


def _alone(call: Call, device: torch.device) -> float:
    """Seconds of a call's kernel among others of its kind in a graph, on a GPU."""
    operands = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in call.operands.items()}
    launch = TABLE[call.kernel].launch
    with torch.cuda.device(device):
        out = launch(**operands)
        return graph_seconds(lambda: launch(**operands, out=out), COPIES)


def _work(name: str, timed: _Timed, calls: list[Call], ceilings: Ceilings, device: torch.device) -> Work:
    spans = timed.spans
    if device.type == "cuda":
        spans = defaultdict(Total)
        seconds = {(call.kernel, call.case): _alone(call, device) for call in calls}
        for call in calls:
            for key in (call.kernel, call.stage):
                spans[key].seconds += seconds[call.kernel, call.case]
                spans[key].calls += 1
    stages = [_row(s, spans[s], [c for c in calls if c.stage == s], ceilings) for s in STAGES if s in spans]
    names = sorted(set(spans) & set(TABLE), key=lambda n: -spans[n].seconds)
    kernels = [_row(n, spans[n], [c for c in calls if c.kernel == n], ceilings) for n in names]
    return Work(name, timed.seconds, timed.first, stages, kernels)


def _row(name: str, total: Total, calls: list[Call], ceilings: Ceilings) -> Row:
    costs = [call.cost for call in calls]
    cost = Cost(sum(c.bytes for c in costs), sum(c.macs for c in costs))
    return Row(name, total.calls, total.seconds, cost, sum(map(ceilings.seconds, costs)))
