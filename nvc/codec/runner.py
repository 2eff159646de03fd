"""How the work of a frame reaches its device: the one seam between a CPU, which just does it, and a GPU."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from torch import Tensor

Work = Callable[[], None]


class Download(Protocol):
    """Results on their way to the host. They are valid until the frame after the next is begun."""

    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors asked for, on the CPU; waits for them."""
        ...

    def front(self, n: int) -> Tensor:
        """The first n elements of the long one."""
        ...


class Runner(Protocol):
    """Does the work of frames in the order in which it is asked for.

    Work reads and writes nothing but tensors that keep their place, so that it can be recorded once and repeated: what
    differs from frame to frame is data, and reaches the device through `upload`.
    """

    depth: int  # frames that may be under way before the results of the first are fetched

    def upload(self, target: Tensor, source: Tensor) -> None:
        """Copy a host tensor to the front of where the next work reads it; the source may change afterwards."""
        ...

    def run(self, name: str, work: Work) -> None:
        """Do the work; of the same name it is always the same."""
        ...

    def beside(self, work: Work) -> Work:
        """Inside of work: begin other work that goes on beside it. Returns what waits for its end."""
        ...

    def download(self, *sources: Tensor, long: Tensor | None = None) -> Download:
        """What the work before has left in these; of `long`, as much of the front as will be asked for."""
        ...


class _Here:
    def __init__(self, sources: tuple[Tensor, ...], long: Tensor | None) -> None:
        self._sources, self._long = sources, long

    def tensors(self) -> tuple[Tensor, ...]:
        return self._sources

    def front(self, n: int) -> Tensor:
        assert self._long is not None
        return self._long[:n]


class Direct:
    """The CPU: work is done when it is asked for, other work in a thread of its own."""

    depth = 1

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "nvc-beside")

    def upload(self, target: Tensor, source: Tensor) -> None:
        target[: len(source)].copy_(source)

    def run(self, name: str, work: Work) -> None:
        work()

    def beside(self, work: Work) -> Work:
        return self._thread.submit(work).result

    def download(self, *sources: Tensor, long: Tensor | None = None) -> Download:
        return _Here(sources, long)
