"""A word to who waits: on a new machine the first frames are those for which the CPU's code is compiled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numba.core import event

NOTE = "compiling for this CPU, which happens once and takes half a minute or so"


class _First(event.Listener):
    """Calls `say` when the first function is compiled; what comes from a cache is not."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = False

    def on_start(self, event: event.Event) -> None:
        if not self._said:
            self._said = True
            self._say(NOTE)

    def on_end(self, event: event.Event) -> None:
        """Nothing to say."""


@contextmanager
def announced(say: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, `say` hears of the first compilation."""
    with event.install_listener("numba:compile", _First(say)):
        yield
