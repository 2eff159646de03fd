"""The runner of a GPU: a frame's work is one CUDA graph, and copies go on beside it.

    host      fill t+1             |  fetch t
    up        copy t+1 to a stage   |
    compute   stage -> inputs, graph of t+1, results -> stage
    down                            |  stage -> host t

Graphs read and write fixed memory. Between that and the copies from and to the host stand stages, one for each frame
under way: pinned memory on the host and memory of the same size on the device, which `compute` copies to or from its
own at the speed of the card.
"""

import torch
from torch import Tensor
from torch.cuda import CUDAGraph, Event, Stream

from nvc.codec.runner import Download, Work

STAGES = 3  # one more than frames are under way, so that filling one never waits for the device


class _Stage:
    """Memory for one tensor of one frame on its way."""

    def __init__(self, like: Tensor) -> None:
        self.host = torch.empty(like.shape, dtype=like.dtype, pin_memory=True)
        self.device = torch.empty(like.shape, dtype=like.dtype, device=like.device)
        self.free = Event()  # type: ignore[no-untyped-call]  # the device has read or the host can read what is in it

    def view(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """(host, device) of the shape of a source that is smaller."""
        return tuple(t.flatten()[: shape.numel()].view(shape) for t in (self.host, self.device))  # type: ignore[return-value]


class _Ring:
    """The stages of one tensor, taken in turn."""

    def __init__(self, like: Tensor) -> None:
        self._stages, self._turn = [_Stage(like) for _ in range(STAGES)], 0

    def next(self) -> _Stage:
        self._turn = (self._turn + 1) % STAGES
        return self._stages[self._turn]


class _Fetched:
    def __init__(self, stages: list[_Stage], long: _Stage | None, down: Stream) -> None:
        self._stages, self._long, self._down = stages, long, down

    def tensors(self) -> tuple[Tensor, ...]:
        for stage in self._stages:
            stage.free.synchronize()
        return tuple(stage.host for stage in self._stages)

    def front(self, n: int) -> Tensor:
        assert self._long is not None
        host, device = self._long.view(torch.Size([n]))
        with torch.cuda.stream(self._down):
            host.copy_(device, non_blocking=True)
        self._down.synchronize()
        return host


class Graphs:
    """Runs on one CUDA device. The first work of a name runs as it is and compiles its kernels; then it is captured."""

    depth = 2

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._compute, self._side, self._up, self._down = (Stream(device) for _ in range(4))  # type: ignore[no-untyped-call]
        self._settled = False
        self._rings: dict[int, _Ring] = {}
        self._graphs: dict[str, CUDAGraph | None] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def _stage(self, like: Tensor) -> _Stage:
        if like.data_ptr() not in self._rings:
            self._rings[like.data_ptr()] = _Ring(like)
        return self._rings[like.data_ptr()].next()

    def upload(self, target: Tensor, source: Tensor) -> None:
        if not self._settled:  # the session's tensors were filled on the default stream
            torch.cuda.synchronize(self._device)
            self._settled = True
        stage = self._stage(target)
        stage.free.synchronize()
        host, device = stage.view(source.shape)
        host.copy_(source)
        with torch.cuda.stream(self._up):
            device.copy_(host, non_blocking=True)
        self._compute.wait_stream(self._up)
        with torch.cuda.stream(self._compute):
            target[: len(source)].copy_(device)
            stage.free.record()

    def run(self, name: str, work: Work) -> None:
        with torch.cuda.stream(self._compute):
            if name not in self._graphs:
                work()
                self._graphs[name] = None
                return
            graph = self._graphs[name]
            if graph is None:
                torch.cuda.synchronize(self._device)
                graph = self._graphs[name] = CUDAGraph()
                # other threads may be at work for other streams of video
                mode = "thread_local"
                with torch.cuda.graph(graph, pool=self._pool, stream=self._compute, capture_error_mode=mode):
                    work()
            graph.replay()

    def beside(self, work: Work) -> Work:
        current = torch.cuda.current_stream(self._device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            work()
        return lambda: current.wait_stream(self._side)

    def download(self, *sources: Tensor, long: Tensor | None = None) -> Download:
        everything = [*sources, *([] if long is None else [long])]
        stages = [self._stage(source) for source in everything]
        with torch.cuda.stream(self._compute):
            for stage, source in zip(stages, everything, strict=True):
                stage.free.wait()
                stage.device.copy_(source)
        self._down.wait_stream(self._compute)
        last = None if long is None else stages.pop()
        with torch.cuda.stream(self._down):
            for stage in stages:
                stage.host.copy_(stage.device, non_blocking=True)
                stage.free.record()
        return _Fetched(stages, last, self._down)
