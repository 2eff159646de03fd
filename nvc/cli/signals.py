"""Ctrl-C and SIGTERM: the first asks for a clean end, the second is an order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Called: whether the user has asked for an end."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if self.asked:
            for name in _SIGNALS:
                signal.signal(name, signal.SIG_IGN)  # the clean-up that follows must not be interrupted
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def interruptible() -> Iterator[None]:
    """Outside of `graceful`, SIGTERM raises KeyboardInterrupt like SIGINT does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def graceful() -> Iterator[Stop]:
    """Turn the first signal into a request, which the Stop that is yielded reports, and the second into
    KeyboardInterrupt."""
    stop = Stop()
    before = {name: signal.signal(name, stop.handle) for name in _SIGNALS}
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
