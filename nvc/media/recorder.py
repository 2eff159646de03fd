"""A file for FFmpeg to write to, whose errors wait for Python."""

from typing import BinaryIO


class Recorder:
    """Passes writes on to `file`; after the first OSError it only pretends to.

    PyAV prints a traceback of its own when a second error meets a pending first one, so none may be raised inside
    FFmpeg; `check` raises it afterwards.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = file.tell()
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        """All of `data`, whatever becomes of it."""
        if self._error is None:
            try:
                left = memoryview(data)
                while left:
                    left = left[self._file.write(left) :]
            except OSError as error:
                self._error = error
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As for a file."""
        if self._error is None:
            try:
                self._at = self._file.seek(offset, whence)
            except OSError as error:
                self._error = error
        return self._at

    def tell(self) -> int:
        """As for a file."""
        return self._at

    def check(self) -> None:
        """Raise the first error, if there was one."""
        if self._error is not None:
            raise self._error
