"""Named spans: NVTX ranges for Nsight, and wall times when somebody collects them. The only importer of nvtx."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import nvtx

_collected: dict[str, float] | None = None


class span:
    """A named range in domain `nvc`; costs well under a microsecond while nobody listens."""

    __slots__ = ("_began", "_name", "_range")

    def __init__(self, name: str) -> None:
        self._name = name
        self._range = nvtx.annotate(name, domain="nvc")

    def __enter__(self) -> None:
        self._range.__enter__()
        self._began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _collected is not None:
            _collected[self._name] += time.perf_counter() - self._began
        self._range.__exit__(kind, error, trace)


@contextmanager
def collect() -> Iterator[dict[str, float]]:
    """Seconds spent in each span while the context lasts, nested spans included in their parents."""
    global _collected
    before, _collected = _collected, defaultdict(float)
    try:
        yield _collected
    finally:
        _collected = before
