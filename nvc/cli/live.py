"""What every progress display shares: a live line on standard error, notes, and the wish to stop."""

import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress

from nvc.cli.compiling import announced
from nvc.cli.signals import Stop


class Live:
    """A context manager; `quiet` shows nothing, notes neither. The live line, if there is one, is `_live`."""

    def __init__(self, stop: Stop, quiet: bool) -> None:
        self._stop, self._quiet = stop, quiet
        self._console = Console(stderr=True, soft_wrap=True)
        self._live: Progress | None = None
        self._began = time.monotonic()
        self._listening = ExitStack()

    def stopped(self) -> bool:
        """Whether the user has asked to stop."""
        return self._stop.asked

    def note(self, text: str) -> None:
        """Say something beside the progress."""
        if not self._quiet:
            self._console.print(f"nvc: note: {text}", markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last state of the live line on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Self:
        self._listening.enter_context(announced(self.note))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        self.close()
