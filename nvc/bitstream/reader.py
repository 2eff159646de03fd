"""Reading a stream: packets in order from anything, seeking where the file can seek."""

from collections.abc import Iterator
from io import SEEK_END, UnsupportedOperation
from typing import BinaryIO, Self

from nvc.bitstream.errors import BitstreamError, DamagedStream, LimitExceeded
from nvc.bitstream.header import StreamHeader
from nvc.bitstream.index import Tail
from nvc.bitstream.layout import CRC, HEADER, INDEX_HEAD, INDEX_MARK, LONG_HEAD, MAX_FRAMES, TRAILER, tail_size
from nvc.bitstream.limits import DEFAULT_LIMITS, Limits
from nvc.bitstream.packet import FrameType, Head, Packet, PacketInfo, head_size, peek_delta
from nvc.bitstream.track import Track

_PIECE = 1 << 20  # a damaged length must not make us allocate more than the file holds


class Reader:
    """Iterates over the packets of a stream, in order; each is checked before it is handed out.

    `fileobj` is a blocking binary file object positioned at the stream's first byte, seekable or not. The end of the
    iteration means that every byte up to the end of the file was as written. Otherwise the sound packets come first,
    then a BitstreamError, which every later call repeats until a seek.
    """

    def __init__(self, fileobj: BinaryIO, limits: Limits = DEFAULT_LIMITS) -> None:
        """Reads and checks the header and, where the file can seek, looks for the index. Raises BitstreamError."""
        self._file, self._limits = fileobj, limits
        self._base = fileobj.tell() if fileobj.seekable() else None
        packed = self._read(HEADER.size)
        self.header = StreamHeader.unpack(packed)
        limits.check_pixels(self.header.width, self.header.height)
        self._track = Track(self.header, packed)
        self._failure: BitstreamError | None = None
        self._ended = False
        self._key_due = True
        self._tail = None if self._base is None else self._find_tail(self._base)

    @property
    def frame(self) -> int:
        """Number of the frame that comes next."""
        return self._track.frame

    @property
    def frame_count(self) -> int | None:
        """Frames of the whole stream; None if neither the header nor the index tells."""
        if self._tail is not None:
            return self._tail.frame_count
        return self.header.frame_count or None

    @property
    def duration(self) -> int | None:
        """Ticks from the first pts to the end of the last frame; None if the index was not found."""
        return None if self._tail is None else self._tail.duration

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Packet:
        if self._failure is not None:
            raise self._failure
        try:
            packet = None if self._ended else self._next()
        except BitstreamError as error:
            self._failure = error
            raise
        if packet is None:
            raise StopIteration
        return packet

    def scan(self) -> Iterator[PacketInfo]:
        """Summaries of the packets from here to the end, each checked like a packet that is read."""
        frame, offset = self._track.frame, self._track.offset
        for p in self:
            end = self._track.offset
            yield PacketInfo(frame, p.type, p.reset, p.qp, p.pts, len(p.payload), offset, end)
            frame, offset = self._track.frame, end

    def seek_frame(self, n: int) -> int:
        """Continue at the last keyframe at or before frame `n`; returns its number.

        Without an index the packets up to `n` are read to find it. ValueError if the stream has no frame `n`;
        DamagedStream if damage hides it; UnsupportedOperation (an OSError) if the file cannot seek.
        """
        if self._base is None:
            raise UnsupportedOperation("the stream comes from a file that cannot seek")
        if self._tail is not None:
            index, frames = self._tail.index, self._tail.frame_count
        else:
            while self._track.frame <= n and next(self, None) is not None:
                pass
            index, frames = self._track.index, self._track.frame
        if not 0 <= n < frames:
            raise ValueError(f"there is no frame {n} in a stream of {frames} frames")
        i = index.find(n)
        self._file.seek(self._base + index[i].offset)
        delta = peek_delta(self._read(LONG_HEAD))
        self._file.seek(self._base + index[i].offset)
        self._track.rewind(index, i, delta)
        self._failure, self._ended, self._key_due = None, False, True
        return self._track.frame

    def _next(self) -> Packet | None:
        """The next packet, or None after a sound end."""
        track = self._track
        first = self._read(1)
        # a false index may lead a seek to a byte like the mark, but behind a seek comes a keyframe and no index
        sought = self._key_due and track.frame > 0
        if first == INDEX_MARK.to_bytes() and not sought:
            self._check_tail(first)
            return None
        while (missing := head_size(first) - len(first)) > 0:
            piece = self._read(missing)
            if not piece:
                raise self._truncated()
            first += piece
        packed = first[: -CRC.size]
        (crc,) = CRC.unpack(first[-CRC.size :])
        head = Head.unpack(packed, track.delta, track.frame)
        if self._key_due and head.type != FrameType.KEY:
            raise DamagedStream(f"The packet of frame {track.frame} is not the keyframe it must be.", track.frame)
        if track.frame == MAX_FRAMES:
            raise LimitExceeded(f"The stream has more than {MAX_FRAMES} frames.")
        self._limits.check_payload(head.size, track.frame)
        payload = self._read(head.size)
        if len(payload) < head.size:
            raise self._truncated()
        if track.checksum(head.delta, packed, payload) != crc:
            raise DamagedStream(
                f"The packet of frame {track.frame} is damaged: its checksum does not match.", track.frame
            )
        self._limits.check_keyframes(len(track.index) + (head.type == FrameType.KEY))
        track.advance(head, packed, crc)
        self._key_due = False
        return Packet(head.type, head.qp, track.pts, payload, head.reset)

    def _check_tail(self, first: bytes) -> None:
        """Compare everything behind the packets with what the packets say it must be."""
        tail = self._track.tail()
        frames, want = tail.frame_count, tail.pack()
        got = first + self._read(len(want) - len(first))
        if got != want:
            if want.startswith(got):
                raise DamagedStream(f"The stream is truncated in its index; sound frames: {frames}.", frames)
            raise DamagedStream(f"The index does not match the frames before it; sound frames: {frames}.", frames)
        if self._read(1):
            raise DamagedStream(f"Foreign bytes follow the end of the stream; sound frames: {frames}.", frames)
        if self.header.frame_count not in (0, frames) or self.header.index_offset not in (0, tail.offset):
            raise DamagedStream(
                f"The header announces {self.header.frame_count} frames and an index at {self.header.index_offset}, "
                f"the stream has {frames} and {tail.offset}.",
                frames,
            )
        self._ended = True

    def _find_tail(self, base: int) -> Tail | None:
        """Index and trailer, from where the header or the end of the file says; None if not there or not sound."""
        size = self._file.seek(0, SEEK_END) - base
        offset = self.header.index_offset
        if not offset:
            self._file.seek(base + max(0, size - TRAILER.size))
            offset = _u(self._read(8))
        tail = None
        if HEADER.size <= offset <= size - tail_size(0):
            tail = self._load_tail(base, offset, size)
        self._file.seek(base + HEADER.size)
        return tail

    def _load_tail(self, base: int, offset: int, size: int) -> Tail | None:
        self._file.seek(base + offset)
        head = self._read(INDEX_HEAD.size)
        count = _u(head[4:8])
        if count > self._limits.max_keyframes or tail_size(count) > size - offset:
            return None
        tail = Tail.unpack(head + self._read(tail_size(count) - len(head)), self.header.start_pts)
        if tail is None or tail.offset != offset or self.header.frame_count not in (0, tail.frame_count):
            return None
        return tail

    def _read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end of the file."""
        pieces = []
        while size and (piece := self._file.read(min(size, _PIECE))):
            pieces.append(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _truncated(self) -> DamagedStream:
        frames, total = self._track.frame, self.header.frame_count
        of = f" of {total}" if total else ""
        return DamagedStream(f"The stream is truncated; complete frames: {frames}{of}.", frames)


def _u(data: bytes) -> int:
    return int.from_bytes(data, "little")
