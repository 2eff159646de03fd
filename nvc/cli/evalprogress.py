"""Progress of an evaluation on standard error: a bar with the time left on a terminal, elsewhere a line per figure."""

import time

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

from nvc.cli.console import remark
from nvc.cli.live import Live
from nvc.cli.signals import Stop
from nvc.eval.observer import EvalObserver


class EvalProgress(Live, EvalObserver):
    """A context manager; `quiet` shows nothing."""

    def __init__(self, stop: Stop, quiet: bool) -> None:
        super().__init__(stop, quiet)
        self._total = self._done = 0.0

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

    def _left(self) -> str:
        """Time to the end at the speed so far, as h:mm:ss."""
        if not self._done:
            return "unknown"
        left = round(max(0.0, self._total - self._done) / self._done * (time.monotonic() - self._began))
        return f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
