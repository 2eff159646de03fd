"""Progress on standard error: a live line on a terminal, a plain line every few seconds elsewhere."""

import time

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from nvc.api.observer import Observer
from nvc.cli.console import remark
from nvc.cli.live import Live
from nvc.cli.signals import Stop

INTERVAL = 5.0  # seconds between plain lines


class FrameCount(ProgressColumn):
    """Done / total, the total where it is known."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:.0f}{'' if task.total is None else f'/{task.total:.0f}'} frames")


class ProgressLine(Live, Observer):
    """Shows the work on one file. A context manager; `quiet` shows nothing, notes neither."""

    def __init__(self, stop: Stop, quiet: bool) -> None:
        super().__init__(stop, quiet)
        self._what = ""
        self._total: int | None = None
        self._said = self._began

    def begin(self, what: str, total: int | None) -> None:
        self._what, self._total = what, total
        self._began = self._said = time.monotonic()
        if self._console.is_terminal and not self._quiet:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(28), FrameCount())
            figures = TextColumn("{task.fields[figures]}", markup=False)
            self._live = Progress(*columns, figures, TextColumn("ETA"), TimeRemainingColumn(), console=self._console)
            self._task = self._live.add_task(what, total=total, figures="")
            self._live.start()

    def frame(self, done: int, size: int | None, seconds: float) -> None:
        if self._quiet:
            return
        now = time.monotonic()
        if self._live is not None:
            self._live.update(self._task, completed=done, figures=self._figures(done, size, seconds, now))
        elif now - self._said >= INTERVAL:
            self._said = now
            total = "" if self._total is None else f"/{self._total}"
            line = f"{self._what}: frame {done}{total}, {self._figures(done, size, seconds, now)}"
            if self._total is not None:
                left = round(max(0, self._total - done) * (now - self._began) / done)
                line += f", ETA {left // 60}:{left % 60:02d}"
            remark(line)

    def _figures(self, done: int, size: int | None, seconds: float, now: float) -> str:
        text = f"{done / max(now - self._began, 1e-3):.1f} fps"
        return f"{text}, {8e-3 * size / seconds:.0f} kb/s" if size is not None and seconds else text
