"""Bytes of an uncompressed video: a mapped file, or a pipe."""

import io
import mmap
import os
import stat
from typing import Any, Protocol, cast

import numpy as np

from nvc.media.errors import MediaError
from nvc.media.frame import Plane

LINE_LIMIT = 4096  # of a y4m header; a file of another kind may have no line end at all


class ByteSource(Protocol):
    """Sequential reading."""

    @property
    def remaining(self) -> int | None:
        """Bytes left, None when unknown."""

    def line(self) -> bytes | None:
        """Bytes up to the next line end, which is consumed and not returned; None at the end of the data.

        Raises MediaError when there are bytes but no line end near."""

    def take(self, size: int) -> Plane:
        """The next `size` bytes, uint8 [size]; fewer at the end."""

    def skip(self, size: int) -> None:
        """Move on by `size` bytes or to the end."""

    def close(self) -> None:
        """Let go of the file."""


class MappedBytes:
    """A whole file in memory by reference: `take` returns read-only views that outlive the object."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._data: Plane = np.frombuffer(self._map, np.uint8)
        self._at = 0

    @property
    def remaining(self) -> int:
        return len(self._data) - self._at

    def line(self) -> bytes | None:
        if self._at == len(self._data):
            return None
        end = self._map.find(b"\n", self._at, self._at + LINE_LIMIT)
        if end < 0:
            raise MediaError("no line end where a y4m header should be")
        start, self._at = self._at, end + 1
        return self._map[start:end]

    def take(self, size: int) -> Plane:
        start = self._at
        self._at = min(start + size, len(self._data))
        return self._data[start : self._at]

    def skip(self, size: int) -> None:
        self._at = min(self._at + size, len(self._data))

    def close(self) -> None:
        """Nothing to do: the map goes when the last view of it does."""


class StreamBytes:
    """A pipe: every `take` is a fresh array."""

    remaining: int | None = None

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file

    def line(self) -> bytes | None:
        line = self._file.readline(LINE_LIMIT)
        if not line:
            return None
        if not line.endswith(b"\n"):
            raise MediaError("no line end where a y4m header should be")
        return line[:-1]

    def take(self, size: int) -> Plane:
        data = np.empty(size, np.uint8)
        view, at = memoryview(cast(Any, data)), 0  # the buffer protocol of arrays is not in NumPy's stubs
        while at < size and (got := self._file.readinto(view[at:])):
            at += got
        return data[:at]

    def skip(self, size: int) -> None:
        self.take(size)

    def close(self) -> None:
        self._file.close()


def open_bytes(path: str) -> ByteSource:
    """Map a regular file, or read a pipe; `-` is standard input. Raises MediaError."""
    try:
        if path == "-":
            return StreamBytes(io.BufferedReader(io.FileIO(os.dup(0)), 1 << 20))
        if stat.S_ISREG(os.stat(path).st_mode):
            return MappedBytes(path)
        return StreamBytes(io.BufferedReader(io.FileIO(path), 1 << 20))
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror}") from error
