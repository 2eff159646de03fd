"""Uncompressed output: y4m, and raw planes."""

import contextlib
import os
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from nvc.media.atomic import AtomicOutput, write_error
from nvc.media.frame import Planes, VideoFormat
from nvc.media.sink import Sink


def y4m_header(format: VideoFormat) -> bytes:
    """First line of a y4m stream. The chroma tag says 4:2:0; where its samples sit is not known."""
    rate = format.frame_rate or Fraction(25)
    aspect = format.sample_aspect
    return (
        f"YUV4MPEG2 W{format.width} H{format.height} F{rate.numerator}:{rate.denominator} Ip "
        f"A{aspect.numerator}:{aspect.denominator} C420jpeg XCOLORRANGE={'FULL' if format.full_range else 'LIMITED'}\n"
    ).encode()


class RawSink(Sink):
    """`header`, then for each picture `marker` and its planes; to a file, or to standard output (`-`)."""

    def __init__(self, path: str, format: VideoFormat, header: bytes, marker: bytes) -> None:
        super().__init__(path, format)
        self._marker = marker
        self._output: AtomicOutput | None = None
        self._file: BinaryIO
        if path == "-":
            self._file = os.fdopen(os.dup(1), "wb")  # not sys.stdout, which would complain at exit about a closed pipe
        else:
            self._output = AtomicOutput(path)
            self._file = self._output.file
        self._pending = header
        self._previous: int | None = None
        if format.rotation:
            self._note(f"raw video cannot say that it is to be rotated by {format.rotation} degrees")

    def _write(self, picture: Planes) -> None:
        if self.reader_gone:
            return
        # one tick of slack: a coarse time base rounds a constant rate
        if self._previous is not None and abs(picture.pts - self._previous - self.format.frame_ticks) > 1:
            self._note("raw video has a constant frame rate; the varying timestamps are lost")
        self._previous = picture.pts
        try:
            self._file.write(self._pending + self._marker)
            self._pending = b""
            for plane in picture[:3]:
                self._file.write(np.ascontiguousarray(plane).data)
            if self._output is None:
                self._file.flush()
        except BrokenPipeError:
            self.reader_gone = True
        except OSError as error:
            raise write_error("standard output" if self._output is None else self.path, error) from error

    def _finish(self) -> None:
        if self._output is not None:
            self._output.commit()
        else:
            self._close_pipe()

    def _discard(self) -> None:
        if self._output is not None:
            self._output.abort()
        else:
            self._close_pipe()

    def _close_pipe(self) -> None:
        with contextlib.suppress(OSError):  # everything was flushed; what is left in the buffer has no reader
            self._file.close()
