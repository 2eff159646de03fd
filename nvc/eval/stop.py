"""How the work of an evaluation ends early, and how its programs are run."""

import errno
import subprocess
from collections.abc import Callable
from pathlib import Path

POLL = 0.1  # seconds between two looks at whether to stop


class Interrupted(Exception):
    """The user asked for an end; nothing that is finished is lost."""


class Failed(Exception):
    """A codec or a metric cannot do one thing; the message is one sentence. The rest of the evaluation goes on."""


def run(command: list[str], stopped: Callable[[], bool], folder: Path | None = None) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and standard error of a program started in `folder`.

    Raises Interrupted, after the program has ended.
    """
    # in a session of its own: Ctrl-C on a terminal is for this process, which ends the other properly
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd=folder,
    ) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=POLL)
                return process.returncode, output, errors
            except subprocess.TimeoutExpired:
                if stopped():
                    process.kill()
                    process.communicate()
                    raise Interrupted from None


def is_full(number: int | None) -> bool:
    """Whether the operating system's error says that nothing more can be written anywhere near."""
    return number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
