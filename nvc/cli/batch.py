"""`nvc encode` of several files: some at a time, a line for each; one that fails does not stop the others."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from nvc.api.encoding import encode
from nvc.api.observer import Observer
from nvc.api.results import Encoded
from nvc.cli import exits
from nvc.cli.compiling import announced
from nvc.cli.console import complain, remark, say
from nvc.cli.outputs import JsonOutput
from nvc.cli.progress import FrameCount
from nvc.cli.report import SCHEMA, fields, summary
from nvc.cli.signals import Stop, graceful

Figures = dict[str, object]


def into_folder(inputs: list[str], folder: str) -> list[str]:
    """`folder/a.nvc` for each `x/a.mp4`. Raises UsageError where that cannot be."""
    if not os.path.isdir(folder):
        raise exits.UsageError(f"{folder} is not a folder; several inputs need one for their outputs")
    stems = [os.path.splitext(os.path.basename(name))[0] for name in inputs]
    for i, (name, stem) in enumerate(zip(inputs, stems, strict=True)):
        if name == "-":
            raise exits.UsageError("standard input cannot be one of several inputs")
        if stem in stems[:i]:
            raise exits.UsageError(f"{name} and {inputs[stems.index(stem)]} would both become {stem}.nvc")
    return [os.path.join(folder, f"{stem}.nvc") for stem in stems]


class _Line(Observer):
    """One file's line on the terminal."""

    def __init__(self, name: str, board: Progress, stop: Stop, quiet: bool) -> None:
        self._name, self._board, self._stop, self._quiet = name, board, stop, quiet
        self._task = board.add_task(os.path.basename(name), total=None, visible=False)

    def begin(self, what: str, total: int | None) -> None:
        self._board.reset(self._task, total=total, visible=True)

    def frame(self, done: int, size: int | None, seconds: float) -> None:
        self._board.update(self._task, completed=done)

    def note(self, text: str) -> None:
        if not self._quiet:
            self._board.console.print(f"nvc: note: {self._name}: {text}", markup=False, highlight=False)

    def stopped(self) -> bool:
        return self._stop.asked

    def close(self) -> None:
        self._board.update(self._task, visible=False)


def encode_all(files: dict[str, str], options: dict[str, Any], jobs: int, figures: str | None, quiet: bool) -> int:
    """Encode each input into its output with the options of `nvc.encode`. Returns the first error's exit code."""
    console = Console(stderr=True, soft_wrap=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(28), FrameCount(), TimeRemainingColumn()
    codes: list[int] = []
    found: list[Figures] = []
    with ExitStack() as stack:
        record = JsonOutput(figures, stack)
        stop = stack.enter_context(graceful())
        board = stack.enter_context(
            Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True)
        )

        stack.enter_context(announced(lambda text: None if quiet else remark(f"nvc: note: {text}")))

        def work(source: str, target: str) -> Encoded:
            line = _Line(source, board, stop, quiet)
            try:
                return encode(source, target, **options, observer=line)
            finally:
                line.close()

        pool = stack.enter_context(ThreadPoolExecutor(jobs, "nvc-job"))
        running = {source: pool.submit(work, source, target) for source, target in files.items()}
        for (source, target), future in zip(files.items(), running.values(), strict=True):
            codes.append(_report(source, target, future, figures, quiet, found))
        if figures is not None:
            record.write({"schema": SCHEMA, "command": "encode", "files": found})
    return next((code for code in codes if code), exits.OK)


def _report(
    source: str,
    target: str,
    future: "Future[Encoded]",
    figures: str | None,
    quiet: bool,
    found: list[Figures],
) -> int:
    """Say how it went with one file, add its figures to `found`. Returns its exit code."""
    try:
        result = future.result()
    except KeyboardInterrupt:  # stopped before its first frame
        return exits.INTERRUPTED
    except exits.user_errors() as error:
        complain(f"{source}: {exits.sentence(error)}")
        return exits.exit_code(error)
    if not quiet:
        say(summary(target, result), stdout_is_data=figures == "-")
    if result.interrupted:
        remark(f"nvc: interrupted; {target} holds the {len(result.frames)} frames before that")
    found.append(fields("encode", source, target, result))
    return exits.INTERRUPTED if result.interrupted else exits.OK
