"""Overlap of reading, coding and writing."""

from collections.abc import Callable, Generator, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

POLL = 0.1  # seconds between two looks at whether to stop
PATIENCE = 3.0  # seconds that `close` waits for an item that is being made


class Prefetch(Iterator[T], Generic[T]):
    """Runs a generator in a thread of its own, at most `depth` items ahead, and closes it there.

    What the generator raises is raised here, after the items before it. When `stopped` turns true the iteration ends,
    even while the generator waits for a stalled pipe. A context manager.
    """

    def __init__(
        self, items: Generator[T, None, None], depth: int = 4, stopped: Callable[[], bool] | None = None
    ) -> None:
        self._items = items
        self._queue: Queue[tuple[T, None] | tuple[None, BaseException]] = Queue(depth)
        self._stopped = stopped or (lambda: False)
        self._closed = Event()
        self._end: BaseException | None = None
        # a daemon: nothing can wake a thread that reads a stalled pipe, and it must not keep the process alive
        self._thread = Thread(target=self._run, name="nvc-prefetch", daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        while self._end is None:
            if self._stopped():
                raise StopIteration
            try:
                item, self._end = self._queue.get(timeout=POLL)
            except Empty:
                continue
            if self._end is None:
                return item  # type: ignore[return-value]  # None only beside an error
        raise self._end

    def close(self) -> None:
        """End the generator after the item it is making."""
        self._closed.set()
        self._thread.join(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        with _Forward(self._put):
            try:
                while True:  # at least once: a generator that never ran holds files that nobody closes
                    self._put((next(self._items), None))
                    if self._closed.is_set():
                        break
            finally:
                self._items.close()

    def _put(self, entry: tuple[T, None] | tuple[None, BaseException]) -> None:
        while not self._closed.is_set():
            try:
                return self._queue.put(entry, timeout=POLL)
            except Full:
                pass


class _Forward:
    """Hands whatever is raised inside, the end of the iteration included, to the consumer's thread."""

    def __init__(self, put: Callable[[tuple[None, BaseException]], None]) -> None:
        self._put = put

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self._put((None, error))
        return True
