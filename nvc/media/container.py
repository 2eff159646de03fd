"""Sources that FFmpeg's libraries demux and decode."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice

import av
from av import VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from nvc.media.clock import Clock
from nvc.media.convert import Converter
from nvc.media.errors import MediaError
from nvc.media.frame import Planes, VideoFormat
from nvc.media.source import Source


def open_container(path: str, start: int, frames: int | None, pattern_rate: Fraction | None = None) -> Source:
    """Source of any file PyAV reads, beginning with picture number `start`. Raises MediaError.

    `pattern_rate`: `path` is a numbered-picture pattern, shown at this rate.
    """
    container = _open(path, pattern_rate)
    try:
        return _source(path, container, start, frames)
    except MediaError:
        container.close()
        raise


def _open(path: str, pattern_rate: Fraction | None) -> InputContainer:
    # a playlist must not make us read the network, nor a file name with a colon be taken for a protocol
    options = {"protocol_whitelist": "file"}
    if pattern_rate is not None:
        options["framerate"] = str(pattern_rate)
    try:
        return av.open(
            f"file:{path}",
            "r",
            format=None if pattern_rate is None else "image2",
            container_options=options,
            metadata_errors="replace",
        )
    except FileNotFoundError as error:
        raise MediaError(f"no such file: {path}") from error
    except (FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{path} is not a video that can be read ({reason})") from error


def _source(path: str, container: InputContainer, start: int, frames: int | None) -> Source:
    notes: list[str] = []
    stream = _video_stream(path, container, notes)
    reader = _Reader(path, container, stream, notes)
    pictures = reader.frames()
    for _ in islice(pictures, start):
        pass
    first = next(pictures, None)
    if first is None:
        if reader.decoded:
            raise MediaError(f"{path} has {reader.decoded} pictures; there is none to read from number {start} on")
        raise MediaError(f"{path}: no picture could be decoded")
    converter = Converter(first)
    notes[:0] = converter.notes
    colour = converter.colour
    format = VideoFormat(
        first.width,
        first.height,
        time_base=stream.time_base or first.time_base or Fraction(1, 25),
        frame_rate=_rate(stream),
        primaries=colour.primaries,
        transfer=colour.transfer,
        matrix=colour.matrix,
        full_range=colour.full_range,
        sample_aspect=stream.sample_aspect_ratio or Fraction(1),
        rotation=first.rotation,
    )
    if first.interlaced_frame:
        notes.append("interlaced source coded as whole pictures")
    total = reader.promised
    count = None if total is None else max(1, total - start)
    if frames is not None:
        count = frames if count is None else min(frames, count)
    delivered = _deliver(path, chain((first,), pictures), start, format, converter, Clock(format, notes))
    return Source(format, count, notes, islice(delivered, frames), container.close)


def _deliver(
    path: str, pictures: Iterator[VideoFrame], start: int, format: VideoFormat, converter: Converter, clock: Clock
) -> Iterator[Planes]:
    for number, frame in enumerate(pictures, start):
        if (frame.width, frame.height) != (format.width, format.height):
            raise MediaError(
                f"{path}: picture {number} is {frame.width}x{frame.height}, those before it are "
                f"{format.width}x{format.height}; a change of size is not supported"
            )
        yield Planes(*converter.convert(frame), clock.next(frame.pts))


def _video_stream(path: str, container: InputContainer, notes: list[str]) -> VideoStream:
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        raise MediaError(f"{path} has {'sound' if container.streams.audio else 'data'} but no video")
    best = container.streams.best("video")
    stream = next((s for s in videos if best is not None and s.index == best.index), videos[0])
    if stream.codec_context is None:
        raise MediaError(f"{path}: there is no decoder for its video")
    if len(videos) > 1:
        notes.append(f"{len(videos)} video streams: number {videos.index(stream) + 1} is used")
    if container.streams.audio:
        notes.append("sound is not carried over")
    stream.thread_type = "AUTO"
    return stream


def _rate(stream: VideoStream) -> Fraction | None:
    """The nominal rate when the pictures keep to it, otherwise (variable rate) the mean."""
    mean, nominal = stream.average_rate, stream.guessed_rate
    if mean and nominal:
        return nominal if abs(nominal - mean) * 50 < mean else mean
    return mean or nominal or None


class _Reader:
    """Decodes to the end whatever can be decoded, and notes what could not.

    decoded: pictures so far. promised: pictures the container announces, None when it does not.
    """

    def __init__(self, path: str, container: InputContainer, stream: VideoStream, notes: list[str]) -> None:
        self._path, self._container, self._stream, self._notes = path, container, stream, notes
        self.decoded = 0
        self._hidden = 0  # packets an edit list decodes but does not show
        self._bad_packets = 0
        self._bad_pictures = 0
        self._end = Fraction(0)
        self.promised = stream.frames or None
        seconds, rate = _duration(container, stream), _rate(stream)
        if self.promised is None and seconds is not None and rate is not None:
            self.promised = max(1, round(seconds * rate))

    def frames(self) -> Iterator[VideoFrame]:
        cut: FFmpegError | None = None
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
            except FFmpegError as error:
                cut = error
                break
            self._hidden += packet.is_discard
            yield from self._decode(packet)
        if cut is not None:
            yield from self._decode(None)
        self._report(cut)

    def _decode(self, packet: "av.Packet[VideoStream] | None") -> Iterator[VideoFrame]:
        try:
            pictures = self._stream.decode(packet)
        except FFmpegError:
            self._bad_packets += 1
            return
        for frame in pictures:
            self.decoded += 1
            self._bad_pictures += frame.is_corrupt
            if frame.pts is not None and frame.time_base is not None:
                self._end = max(self._end, (frame.pts + (frame.duration or 0)) * frame.time_base)
            yield frame

    def _report(self, cut: FFmpegError | None) -> None:
        if self._bad_packets:
            self._notes.append(f"{self._bad_packets} damaged packets of {self._path} were left out")
        if self._bad_pictures:
            self._notes.append(f"{self._bad_pictures} pictures of {self._path} are damaged")
        if cut is not None:
            self._notes.append(f"{self._path} could not be read to its end ({cut.strerror})")
        elif self._stream.frames:
            if self.decoded + self._hidden < self._stream.frames:
                self._notes.append(
                    f"{self._path} announces {self._stream.frames} pictures, {self.decoded} could be decoded"
                )
        elif (seconds := _duration(self._container, self._stream)) and (rate := _rate(self._stream)):
            first = (self._stream.start_time or 0) * (self._stream.time_base or 0)
            if self._end + 2 / rate < first + seconds:
                self._notes.append(f"{self._path} ends early: it announces {float(seconds):.2f} s")


def _duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Seconds of video the container announces."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    if container.duration and len(container.streams) == 1:  # otherwise it may be that of the sound
        return Fraction(container.duration, av.time_base)
    return None
