"""A video in, an `.nvc` file out."""

import hashlib
import io
import os
import time
from collections import deque
from collections.abc import Generator
from contextlib import ExitStack
from fractions import Fraction
from typing import Any, BinaryIO, cast

from nvc.api.observer import Notes, Observer
from nvc.api.prefetch import Prefetch
from nvc.api.results import Encoded, FrameRecord, playing_time
from nvc.bitstream import Limits
from nvc.bitstream.layout import MAX_DIMENSION, tail_size
from nvc.codec.writer import Encoder, Written
from nvc.media import MediaError, Planes, VideoFormat, atomic_output, open_source, quality
from nvc.media.source import Source

Path = str | os.PathLike[str]


class StandardOutput(io.RawIOBase):
    """Standard output as a pipe, whatever it is: one that appends to a file must not be sought in."""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return os.write(1, cast(bytes, data))


def encode(
    src: Path,
    dst: Path,
    *,
    qp: int = 32,
    keyint: int = -1,
    scenecut: bool = True,
    preset: str = "fast",
    start: int = 0,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    fps: Fraction | None = None,
    pix_fmt: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
    psnr: bool = False,
    md5: bool = False,
    observer: Observer | None = None,
) -> Encoded:
    """Encode `frames` pictures (None: all) of a video from number `start` on.

    src: anything `nvc.media.open_source` reads; `size` = (width, height), `fps` and `pix_fmt` describe raw video. dst:
    a file that appears when complete, or `-` for standard output. qp 0..63, higher is better; keyint: frames from one
    keyframe to the next, -1 for the first only; scenecut: a new scene begins with a keyframe too. `psnr` and `md5` ask
    for these figures of the reconstruction. The timestamps of a cut (start > 0) begin at 0.

    Raises MediaError, CodecError, ModelError, DeviceError; KeyboardInterrupt when stopped before the first frame;
    BrokenPipeError when the reader of standard output went away.
    """
    src, dst = os.fspath(src), os.fspath(dst)
    observer = observer or Observer()
    if dst != "-" and not overwrite and os.path.isfile(dst):
        raise MediaError(f"{dst} exists and overwriting was not allowed")
    with ExitStack() as stack:
        source = _check_size(src, open_source(src, size=size, fps=fps, pix_fmt=pix_fmt, start=start, frames=frames))
        pictures = stack.enter_context(Prefetch(_deliver(source), stopped=observer.stopped))
        notes = Notes(observer)
        notes.pass_on(source.notes)
        sink = _open_output(dst, stack)
        first = next(pictures, None)
        if first is None:
            raise KeyboardInterrupt
        offset = first.pts if start else 0
        seen = psnr or md5
        settings = {"qp": qp, "keyint": keyint, "scenecut": scenecut, "preset": preset, "device": device}
        encoder = _open_encoder(sink, source.format, first.pts - offset, notes, settings, seen)
        job = _Job(encoder, source.format, psnr, md5)
        observer.begin("encode", source.frame_count)
        picture: Planes | None = first
        while picture is not None:
            following = next(pictures, None)
            job.code(picture._replace(pts=picture.pts - offset), following)
            notes.pass_on(source.notes)
            observer.frame(encoder.frame_count, encoder.size, float(job.result.duration))
            picture = None if observer.stopped() else following
        notes.pass_on(source.notes)
        job.close()
        result = job.result
        result.bytes = encoder.size + tail_size(sum(frame.key for frame in result.frames))
        result.interrupted = observer.stopped()
        result.notes = notes.seen
    return job.finish()


class _Job:
    """The frames of one file, and the figures about them."""

    def __init__(self, encoder: Encoder, format: VideoFormat, psnr: bool, md5: bool) -> None:
        self._encoder, self._format = encoder, format
        self._sums = [0.0, 0.0, 0.0] if psnr else None
        self._hash = hashlib.md5(usedforsecurity=False) if md5 else None
        self._first = encoder.header.start_pts
        self._under_way: deque[Planes] = deque()
        self._began = time.perf_counter()
        self.result = Encoded(
            format.width,
            format.height,
            preset=encoder.header.preset.name.lower(),
            qp=encoder.qp,
            keyint=encoder.keyint,
            model=encoder.model.identity.hex(),
            device=str(encoder.device),
            device_reason=encoder.device_reason,
        )

    def code(self, picture: Planes, following: Planes | None) -> None:
        self._under_way.append(picture)
        for written in self._push(picture, following):
            self._note(written)

    def close(self) -> None:
        """End the stream."""
        for written in self._encoder.flush():
            self._note(written)
        self._encoder.close()

    def _note(self, written: Written) -> None:
        picture, frame, frames = self._under_way.popleft(), written.frame, self.result.frames
        frames.append(FrameRecord(written.size, written.qp, written.key))
        self.result.duration = playing_time(
            self._first, picture.pts, len(frames), self._format.time_base, self._format.frame_rate
        )
        if frame is not None and self._sums is not None:
            for i, (a, b) in enumerate(zip((frame.y, frame.u, frame.v), picture[:3], strict=True)):
                self._sums[i] += quality.psnr(a, b)
        if frame is not None and self._hash is not None:
            self._hash.update(frame.tobytes())

    def _push(self, picture: Planes, following: Planes | None) -> list[Written]:
        try:
            return self._encoder.push(*picture, following=following and following.y)
        except ValueError as error:  # a gap in time or a payload that the format has no room for
            raise MediaError(f"picture {self._encoder.frame_count} cannot be stored: {error}") from error

    def finish(self) -> Encoded:
        result, count = self.result, len(self.result.frames)
        result.seconds = time.perf_counter() - self._began
        if self._sums is not None:
            result.psnr = (self._sums[0] / count, self._sums[1] / count, self._sums[2] / count)
        result.md5 = self._hash.hexdigest() if self._hash is not None else None
        return result


def _deliver(source: Source) -> Generator[Planes, None, None]:
    with source:
        for picture in source:
            # views of a mapped file: copied here, the disk is waited for in this thread; torch wants writable memory
            y, u, v = (plane if plane.flags.writeable else plane.copy() for plane in picture[:3])
            yield Planes(y, u, v, picture.pts)


def _check_size(src: str, source: Source) -> Source:
    width, height, limit = source.format.width, source.format.height, Limits().max_pixels
    if max(width, height) > MAX_DIMENSION or width * height > limit:
        source.close()
        raise MediaError(
            f"{src} is {width}x{height}; nvc codes pictures of up to {MAX_DIMENSION} a side and {limit} pixels"
        )
    return source


def _open_output(dst: str, stack: ExitStack) -> BinaryIO:
    if dst == "-":
        return cast(BinaryIO, StandardOutput())
    return stack.enter_context(atomic_output(dst)).file


def _open_encoder(
    sink: BinaryIO,
    format: VideoFormat,
    start_pts: int,
    notes: Notes,
    settings: dict[str, Any],
    reconstructions: bool,
) -> Encoder:
    aspect, rotation = format.sample_aspect, format.rotation
    if max(aspect.numerator, aspect.denominator) > 0xFFFF:
        aspect = min(max(aspect, Fraction(1, 0xFFFF)), Fraction(0xFFFF))
        aspect = aspect.limit_denominator(int(0xFFFF / max(aspect, Fraction(1))))
        notes.pass_on([f"the pixel aspect ratio {format.sample_aspect} was rounded to {aspect}"])
    if rotation % 90:
        rotation = 0
        notes.pass_on([f"a rotation by {format.rotation} degrees, not a multiple of 90, was dropped"])
    return Encoder(
        sink,
        format.width,
        format.height,
        **settings,
        time_base=format.time_base,
        frame_rate=format.frame_rate,
        start_pts=start_pts,
        reconstructions=reconstructions,
        primaries=format.primaries,
        transfer=format.transfer,
        matrix=format.matrix,
        full_range=format.full_range,
        sample_aspect=aspect,
        rotation=-rotation % 360,  # counter-clockwise there, clockwise in the stream
    )
