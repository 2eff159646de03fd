"""Named spans: NVTX ranges for Nsight, and times when somebody collects them. The only importer of nvtx."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any

import nvtx

# of a frame, in order; the other spans are kernels, by their names, inside of a stage or beside it
STAGES = ("pack", "search", "predict", "context", "analyse", "prior", "synthesise", "entropy")
_DOMAIN = nvtx.get_domain("nvc")  # does nothing unless a tool started this process
_marks: list[tuple[str, Any, Any]] | None = None
_stamp: Callable[[], Any] = time.perf_counter


@dataclass
class Total:
    """What the spans of one name came to."""

    seconds: float = 0.0
    calls: float = 0


@cache
def _attributes(name: str) -> object:
    return _DOMAIN.get_event_attributes(message=name)


class span:
    """A named range in domain `nvc`; costs a fraction of a microsecond while nobody listens."""

    __slots__ = ("_began", "_into", "_name")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        _DOMAIN.push_range(_attributes(self._name))
        self._into = _marks
        if _marks is not None:
            self._began = _stamp()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._into is not None:
            self._into.append((self._name, self._began, _stamp()))
        _DOMAIN.pop_range()


@contextmanager
def marks(stamp: Callable[[], Any] = time.perf_counter) -> Iterator[list[tuple[str, Any, Any]]]:
    """(name, stamp at the start, stamp at the end) of every span that begins and ends while the context lasts."""
    global _marks, _stamp
    before = _marks, _stamp
    collected: list[tuple[str, Any, Any]] = []
    _marks, _stamp = collected, stamp
    try:
        yield collected
    finally:
        _marks, _stamp = before


@contextmanager
def collect() -> Iterator[dict[str, Total]]:
    """Wall time of the spans by name, nested spans included in their parents; filled when the context ends."""
    totals: dict[str, Total] = defaultdict(Total)
    with marks() as collected:
        yield totals
    for name, began, ended in collected:
        totals[name].seconds += ended - began
        totals[name].calls += 1
