"""Words for the user: results on standard output, everything else on standard error."""

import sys


def say(text: str, *, stdout_is_data: bool = False) -> None:
    """A result, on standard output unless that carries something else."""
    stream = sys.stderr if stdout_is_data else sys.stdout
    stream.write(text + "\n")
    stream.flush()


def remark(text: str, end: str = "\n") -> None:
    """Anything that is not a result."""
    sys.stderr.write(text + end)
    sys.stderr.flush()


def complain(text: str) -> None:
    """An error: one sentence on one line."""
    remark(f"nvc: error: {' '.join(text.split()).rstrip('.')}")
