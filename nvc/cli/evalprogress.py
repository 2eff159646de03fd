"""Progress of an evaluation on standard error: a bar with the time left on a terminal, elsewhere a line per figure."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

from nvc.cli.console import remark
from nvc.cli.signals import Stop
from nvc.eval.observer import EvalObserver


class EvalProgress(EvalObserver):
    """A context manager; `quiet` shows nothing."""

    def __init__(self, stop: Stop, quiet: bool) -> None:
        self._stop, self._quiet = stop, quiet
        self._console = Console(stderr=True, soft_wrap=True)
        self._live: Progress | None = None
        self._total = self._done = 0.0
        self._began = time.monotonic()

    def begin(self, work: float) -> None:
        self._total, self._began = work, time.monotonic()
        if self._console.is_terminal and not self._quiet and work:
            columns = (
                SpinnerColumn(),
                BarColumn(28),
                TaskProgressColumn(),
                TextColumn("{task.description}", markup=False),
            )
            self._live = Progress(*columns, console=self._console)
            self._task = self._live.add_task("ETA unknown", total=work)
            self._live.start()

    def advance(self, work: float) -> None:
        self._done += work
        if self._live is not None:
            self._live.update(self._task, completed=self._done, description=f"ETA {self._left()}")

    def done(self, text: str) -> None:
        if not self._quiet:
            if self._live is not None:
                self._console.print(text, markup=False, highlight=False)
            else:
                percent = 100 * self._done / self._total if self._total else 0
                remark(f"{text}; {percent:.0f} %, ETA {self._left()}")

    def note(self, text: str) -> None:
        if not self._quiet:
            self._console.print(f"nvc: note: {text}", markup=False, highlight=False)

    def stopped(self) -> bool:
        return self._stop.asked

    def close(self) -> None:
        """Leave the last state of the bar on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _left(self) -> str:
        """Time to the end at the speed so far, as h:mm:ss."""
        if not self._done:
            return "unknown"
        left = round(max(0.0, self._total - self._done) / self._done * (time.monotonic() - self._began))
        return f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
