"""The common face of everything that takes pictures."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from nvc.media.errors import MediaError
from nvc.media.frame import Planes, VideoFormat, check_planes


class Sink(ABC):
    """Takes pictures of one format; the output appears, complete, on `close`.

    notes: sentences for the user about what the output cannot hold. reader_gone: the other end of a pipe was closed;
    further pictures are dropped in silence. As a context manager it closes on a normal exit and aborts on an exception.
    """

    reader_gone = False

    def __init__(self, path: str, format: VideoFormat) -> None:
        self.path, self.format = path, format
        self.notes: list[str] = []
        self._last: int | None = None
        self._open = True

    def write(self, picture: Planes) -> None:
        """Add a picture. pts must increase. Raises ValueError for wrong planes, MediaError when writing fails."""
        check_planes(self.format, picture)
        if not self._open:
            raise ValueError(f"{self.path} is closed")
        if self._last is not None and picture.pts <= self._last:
            raise ValueError(f"pts {picture.pts} after {self._last}")
        self._last = picture.pts
        try:
            self._write(picture)
        except MediaError:
            self.abort()
            raise

    def close(self) -> None:
        """Complete the output and put it in place. Raises MediaError, also when there was no picture."""
        if not self._open:
            return
        if self._last is None:
            self.abort()
            raise MediaError(f"no picture to write to {self.path}")
        try:
            self._finish()
        except MediaError:
            self.abort()
            raise
        self._open = False

    def abort(self) -> None:
        """Leave no trace; an output that was there before is untouched. Does nothing after `close`."""
        if self._open:
            self._open = False
            self._discard()

    @abstractmethod
    def _write(self, picture: Planes) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    @abstractmethod
    def _discard(self) -> None: ...

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
