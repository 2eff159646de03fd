"""Writing a stream, front to back, with memory for the keyframe index only."""

from dataclasses import replace
from types import TracebackType
from typing import BinaryIO, Self

from nvc.bitstream.header import StreamHeader
from nvc.bitstream.layout import CRC, MAX_FRAMES, MAX_PAYLOAD, MAX_PTS_DELTA
from nvc.bitstream.packet import FrameType, Head, Packet
from nvc.bitstream.track import Track


class Writer:
    """Writes packets to a binary file object: a file, a pipe, a BytesIO. The file object stays the caller's to close.

    As a context manager it closes the stream on success; after an exception the stream is left without its end, so
    that readers report it as truncated.
    """

    def __init__(self, fileobj: BinaryIO, header: StreamHeader) -> None:
        """Writes the header at once. ValueError if it already names a frame count or an index."""
        if header.frame_count or header.index_offset:
            raise ValueError("frame_count and index_offset of a new stream are filled in by the writer")
        packed = header.pack()
        self._file, self._header = fileobj, header
        self._base = fileobj.tell() if fileobj.seekable() else None
        self._track = Track(header, packed)
        self._put(packed)
        self._open = True

    @property
    def frame_count(self) -> int:
        """Frames written so far."""
        return self._track.frame

    @property
    def size(self) -> int:
        """Bytes of header and packets written so far."""
        return self._track.offset

    def write(self, packet: Packet) -> None:
        """Append one frame. ValueError, and nothing written, if it cannot follow the frames before it."""
        track, payload = self._track, bytes(packet.payload)
        delta = packet.pts - track.pts
        if not self._open:
            raise ValueError("the stream is closed, or an earlier write to it failed")
        if track.frame == MAX_FRAMES:
            raise ValueError(f"a stream holds at most {MAX_FRAMES} frames")
        if track.frame == 0 and packet.type != FrameType.KEY:
            raise ValueError("the first frame must be a keyframe")
        if not 0 <= delta <= MAX_PTS_DELTA:
            raise ValueError(f"pts {packet.pts} is not within {MAX_PTS_DELTA} ticks after {track.pts}")
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"the payload has {len(payload)} bytes, more than {MAX_PAYLOAD}")

        head = Head(packet.type, packet.reset, packet.qp, delta, len(payload))
        packed = head.pack(track.delta)
        chain = track.checksum(delta, packed, payload)
        self._open = False
        self._put(packed + CRC.pack(chain) + payload)
        self._open = True
        track.advance(head, packed, chain)

    def close(self) -> None:
        """Write index and trailer and, where the file can seek, complete the header. Does nothing the second time, or
        after a failed write: what follows half a packet could not be read."""
        if not self._open:
            return
        self._open = False
        tail = self._track.tail()
        packed = tail.pack()
        self._put(packed)
        self._file.flush()
        if self._base is not None:
            # after the flush: the header must not name an index that was never written
            header = replace(self._header, frame_count=tail.frame_count, index_offset=tail.offset)
            self._file.seek(self._base)
            self._put(header.pack())
            self._file.seek(self._base + tail.offset + len(packed))
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()

    def _put(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
