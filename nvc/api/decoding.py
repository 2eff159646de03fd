"""An `.nvc` file in, a video or only its checksum out."""

import hashlib
import os
import time
from collections.abc import Generator
from contextlib import ExitStack
from itertools import islice
from types import TracebackType
from typing import NamedTuple, Self

from nvc.api.observer import Notes, Observer
from nvc.api.prefetch import Prefetch
from nvc.api.results import Decoded, FrameRecord, playing_time
from nvc.api.streamfile import Path, open_stream
from nvc.bitstream import BitstreamError, DamagedStream, Limits, StreamHeader
from nvc.codec.frame import Frame
from nvc.codec.reader import Decoder
from nvc.media import MediaError, Planes, Sink, VideoFormat, open_sink
from nvc.media.reading import is_pattern


class FileDecoder(Decoder):
    """A Decoder that owns its file. A context manager."""

    def __init__(self, path: Path, *, device: str = "auto", limits: Limits | None = None) -> None:
        with ExitStack() as stack:
            self._file = stack.enter_context(open_stream(path))
            super().__init__(self._file, device=device, limits=limits)
            stack.pop_all()

    @property
    def position(self) -> int | None:
        """Bytes of the stream that were read; None when the file cannot seek."""
        return self._file.tell() if self._file.seekable() else None

    def skip_to(self, number: int) -> None:
        """Continue with frame `number`, of a file that cannot seek by decoding up to there.

        Raises MediaError when the stream has no such frame, DamagedStream when damage hides it.
        """
        try:
            if self._file.seekable():
                self.seek(number)
            elif sum(1 for _ in islice(self, number)) < number:
                raise ValueError(f"there is no frame {number}")
        except ValueError as error:
            raise MediaError(f"there is nothing to decode from frame {number} on: {error}") from error

    def close(self) -> None:
        """Close the file; frames already decoded stay valid."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open(path: Path, *, device: str = "auto", limits: Limits | None = None) -> FileDecoder:
    """Open an `.nvc` file (`-`: standard input): a Decoder and context manager that closes it.

    Raises MediaError when the file cannot be read, else like Decoder.
    """
    return FileDecoder(path, device=device, limits=limits)


def decode(
    src: Path,
    dst: Path | None = None,
    *,
    start: int = 0,
    frames: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    md5: bool = False,
    observer: Observer | None = None,
) -> Decoded:
    """Decode like `decode_file`; DamagedStream, after the output is complete, when not all frames could be decoded."""
    result = decode_file(
        src, dst, start=start, frames=frames, device=device, overwrite=overwrite, md5=md5, observer=observer
    )
    if result.damage is not None:
        raise DamagedStream(result.damage, len(result.frames))
    return result


def decode_file(
    src: Path,
    dst: Path | None = None,
    *,
    start: int = 0,
    frames: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    md5: bool = False,
    observer: Observer | None = None,
) -> Decoded:
    """Decode `frames` frames (None: all) from number `start` on.

    src: a file or `-`; dst: what `nvc.media.open_sink` writes, None for nothing. All sound frames before damage make a
    complete output, and the result says what is wrong; without any sound frame there is no output. `md5` asks for the
    checksum of the planes. The timestamps of a cut (start > 0) begin at 0.

    Raises MediaError, ModelError, DeviceError; BitstreamError when the file is no stream that can be opened;
    KeyboardInterrupt when stopped before the first frame.
    """
    observer = observer or Observer()
    target = None if dst is None else os.fspath(dst)
    if target is not None and not overwrite and exists(target):
        raise MediaError(f"{target} exists and overwriting was not allowed")
    with ExitStack() as stack:
        decoder = FileDecoder(src, device=device)
        decoded = stack.enter_context(Prefetch(_deliver(decoder, start, frames), stopped=observer.stopped))
        header, result = decoder.header, _result(decoder, start, frames)
        sink = None if target is None else stack.enter_context(open_sink(target, video_format(header)))
        notes = Notes(observer)
        job = _Job(result, header, sink, start > 0, md5)
        observer.begin("decode", result.expected)
        try:
            for item in decoded:
                job.take(item)
                if sink is not None:
                    notes.pass_on(sink.notes)
                    if sink.reader_gone:
                        break
                observer.frame(len(result.frames), job.size, float(result.duration))
        except BitstreamError as error:
            result.damage = str(error)
        result.interrupted = observer.stopped()
        if not result.frames and result.interrupted:
            raise KeyboardInterrupt
        if not result.frames and result.damage is not None and sink is not None:
            sink.abort()
    if result.damage is None and not result.interrupted and start == 0 and frames is None and os.path.isfile(src):
        job.size = os.path.getsize(src)
    result.notes = notes.seen
    return job.finish()


def exists(dst: str) -> bool:
    """Whether writing to `dst` would replace something."""
    return os.path.isfile(dst % 1 if is_pattern(dst) else dst)


def video_format(header: StreamHeader) -> VideoFormat:
    """A stream's header in the words of nvc.media. Raises MediaError for a time base that no container can hold."""
    return VideoFormat(
        header.width,
        header.height,
        time_base=header.time_base,
        frame_rate=header.frame_rate or None,
        primaries=header.primaries,
        transfer=header.transfer,
        matrix=header.matrix,
        full_range=header.full_range,
        sample_aspect=header.sample_aspect,
        rotation=-header.rotation % 360,  # clockwise in the stream, counter-clockwise there
    )


class _Item(NamedTuple):
    frame: Frame
    size: int | None  # bytes of its packet


def _deliver(decoder: FileDecoder, start: int, frames: int | None) -> Generator[_Item, None, None]:
    with decoder:
        if start:
            decoder.skip_to(start)
        before = decoder.position
        for frame in islice(decoder, frames):
            after = decoder.position
            yield _Item(frame, None if before is None or after is None else after - before)
            before = after


def _result(decoder: FileDecoder, start: int, frames: int | None) -> Decoded:
    header, expected = decoder.header, decoder.frame_count
    if expected is not None:
        expected = max(0, expected - start if frames is None else min(frames, expected - start))
    return Decoded(
        header.width,
        header.height,
        preset=header.preset.name.lower(),
        qp=header.base_qp,
        model=header.model_id.hex(),
        device=str(decoder.device),
        device_reason=decoder.device_reason,
        expected=expected if expected is not None else frames,
    )


class _Job:
    """Writes the frames of one stream, and adds up the figures about them."""

    def __init__(self, result: Decoded, header: StreamHeader, sink: Sink | None, cut: bool, md5: bool) -> None:
        self._result, self._header, self._sink, self._cut = result, header, sink, cut
        self._hash = hashlib.md5(usedforsecurity=False) if md5 else None
        self._offset = 0
        self._first: int | None = None
        self._last = 0
        self.size: int | None = 0
        self._began = time.perf_counter()

    def take(self, item: _Item) -> None:
        frame, frames = item.frame, self._result.frames
        self.size = None if self.size is None or item.size is None else self.size + item.size
        if self._first is None:
            self._offset = frame.pts if self._cut else 0
            self._first = frame.pts - self._offset
            pts = self._first
        else:
            pts = max(frame.pts - self._offset, self._last + 1)  # a stream may repeat a timestamp, no container may
        if self._sink is not None:
            self._sink.write(Planes(frame.y, frame.u, frame.v, pts))
        if self._hash is not None:
            self._hash.update(frame.tobytes())
        frames.append(FrameRecord(item.size, frame.qp, frame.key))
        self._last = pts
        self._result.duration = playing_time(
            self._first, pts, len(frames), self._header.time_base, self._header.frame_rate or None
        )

    def finish(self) -> Decoded:
        self._result.bytes = self.size
        self._result.seconds = time.perf_counter() - self._began
        self._result.md5 = self._hash.hexdigest() if self._hash is not None else None
        return self._result
