"""The common face of everything that delivers pictures."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from nvc.media.frame import Planes, VideoFormat


class Source:
    """Context manager and iterator of `Planes`.

    format: of every picture. frame_count: estimate of what will be delivered, None when unknown. notes: sentences for
    the user about conversions and damage; the list may grow while the pictures are read.
    Iterating may raise MediaError.
    """

    def __init__(
        self,
        format: VideoFormat,
        frame_count: int | None,
        notes: list[str],
        pictures: Iterator[Planes],
        close: Callable[[], None],
    ) -> None:
        self.format = format
        self.frame_count = frame_count
        self.notes = notes
        self._pictures = pictures
        self._close = close

    def __iter__(self) -> Iterator[Planes]:
        return self

    def __next__(self) -> Planes:
        return next(self._pictures)

    def close(self) -> None:
        """Let go of the file; pictures already delivered stay valid."""
        self._pictures = iter(())
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
