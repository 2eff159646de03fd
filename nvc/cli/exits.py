"""Exit codes: what a script can rely on."""

import argparse
import sys
from typing import NoReturn

from nvc.cli.console import complain

OK = 0
USAGE = 2
MEDIA = 3
MODEL = 4
STREAM = 5
DEVICE = 6
INTERRUPTED = 130

EPILOG = """\
exit codes:
  0    done, or the reader of a pipe wanted no more
  2    wrong usage; an output that exists (-y replaces it)
  3    the input cannot be read, or the output cannot be written
  4    the weights are missing, damaged, or not those of the stream
  5    the stream is damaged, foreign or newer; sound frames were written
  6    the device cannot be used, or memory ran out
  130  interrupted: the first Ctrl-C ends the output cleanly, the second drops it
"""


class UsageError(Exception):
    """The command line asks for something that cannot be; the message is one sentence."""


# by name, the special before the general: importing them all takes seconds, and whoever raised one has imported it
_CODES = {
    ("nvc.cli.exits", "UsageError"): USAGE,
    ("nvc.media.errors", "MediaError"): MEDIA,
    ("nvc.models.weights", "ModelError"): MODEL,
    ("nvc.bitstream.errors", "BitstreamError"): STREAM,
    ("nvc.codec.errors", "DeviceError"): DEVICE,
    ("nvc.codec.errors", "CodecError"): USAGE,
    ("torch", "OutOfMemoryError"): DEVICE,
    ("torch", "AcceleratorError"): DEVICE,
    ("builtins", "MemoryError"): DEVICE,
    ("builtins", "OSError"): MEDIA,
}


def user_errors() -> tuple[type[BaseException], ...]:
    """The errors that are the user's to solve, as far as this process can have raised them."""
    return tuple(getattr(sys.modules[module], name) for module, name in _CODES if module in sys.modules)


def exit_code(error: BaseException) -> int:
    """The code for one of `user_errors`."""
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    return next(code for (module, name), code in _CODES.items() if f"{module}.{name}" in kinds)


def sentence(error: BaseException) -> str:
    """What to tell the user about it."""
    if isinstance(error, MemoryError):
        return "not enough memory for pictures of this size"
    if type(error).__module__ == "torch":
        if type(error).__name__ == "OutOfMemoryError":
            return "the device has not enough memory left for pictures of this size"
        return f"the device failed: {str(error).splitlines()[0]}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where help is."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message}; try {self.prog} --help")
        sys.exit(USAGE)
