"""Output to mp4 and Matroska, lossless unless an encoder with settings of its own is asked for."""

import contextlib

import av
from av.codec import Codec, codecs_available
from av.error import FFmpegError
from av.video.stream import VideoStream

from nvc.media.atomic import AtomicOutput, write_error
from nvc.media.avpicture import to_frame
from nvc.media.errors import MediaError
from nvc.media.frame import Planes, VideoFormat
from nvc.media.recorder import Recorder
from nvc.media.sink import Sink

_LOSSLESS = {
    # without B-frames the order of coding is that of display, and a first timestamp survives as it is
    "libx264": {"qp": "0", "preset": "ultrafast", "bf": "0"},
    "libvpx-vp9": {"lossless": "1", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"},
    "ffv1": {"level": "3", "slicecrc": "1", "g": "1"},
}


def _encoder(format: VideoFormat, codec: str | None) -> tuple[str, dict[str, str]]:
    """Name and options. By default H.264 with qp 0: measured twice as fast as FFV1, and widely played by software
    players; H.264 has no odd sizes in 4:2:0, VP9 has every size."""
    if codec is None:
        codec = "libvpx-vp9" if format.width % 2 or format.height % 2 else "libx264"
    name, *settings = codec.split(":")
    options = dict(_LOSSLESS.get(name, {})) if not settings else {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not (key and equals):
            raise MediaError(f"encoder setting {setting!r} is not of the form key=value")
        options[key] = value
    return name, options


class ContainerSink(Sink):
    """One video stream in a container of kind `muxer` ('mp4' or 'matroska'), with timing, colour and aspect kept.

    codec: None, or a PyAV encoder such as `ffv1` (lossless) or `libx264:crf=18:preset=slow` (exactly those settings).
    """

    def __init__(self, path: str, format: VideoFormat, muxer: str, codec: str | None) -> None:
        super().__init__(path, format)
        name, options = _encoder(format, codec)
        self._exact_time = muxer == "mp4"
        ticks = str(format.time_base.denominator)
        self._output = AtomicOutput(path)
        try:
            self._file = Recorder(self._output.file)
            self._container = av.open(
                self._file,
                "w",
                format=muxer,
                # its start is kept in movie ticks: with the default of 1/1000 s a first timestamp would be rounded
                container_options={"video_track_timescale": ticks, "movie_timescale": ticks} if muxer == "mp4" else {},
            )
            self._stream = self._add_stream(name, options)
            self._container.start_encoding()
            self._file.check()
        except OSError as error:  # before FFmpegError: some of those are OSErrors, and carry the same errno
            self._discard()
            raise write_error(path, error) from error
        except FFmpegError as error:
            self._discard()
            size = f"{format.width}x{format.height}"
            raise MediaError(f"cannot write {path}: {name} refuses {size} pictures or these settings") from error
        except ValueError as error:
            self._discard()
            raise MediaError(f"cannot write {path}: {error}") from error
        if name == "libx264" and options.get("qp") == "0":
            self._note("lossless H.264 (High 4:4:4 Predictive): browsers and hardware players may refuse it")
        if not self._exact_time and name != "libx264" and format.sample_aspect != 1:
            self._note(f"the pixel aspect ratio {format.sample_aspect} is not kept in Matroska with {name}")

    def _add_stream(self, name: str, options: dict[str, str]) -> VideoStream:
        format = self.format
        if name not in codecs_available or Codec(name, "w").type != "video":
            raise ValueError(f"there is no video encoder {name!r}")
        stream = self._container.add_stream(name, rate=format.frame_rate or 25, options=options)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = format.width, format.height, "yuv420p"
        context.time_base = stream.time_base = format.time_base
        context.sample_aspect_ratio = format.sample_aspect
        context.color_range = 2 if format.full_range else 1
        context.color_primaries, context.color_trc = format.primaries, format.transfer
        context.colorspace = format.matrix
        if format.rotation:
            stream.set_display_rotation(format.rotation)
        return stream

    def _write(self, picture: Planes) -> None:
        if not self._exact_time and (picture.pts * self.format.time_base * 1000).denominator != 1:
            self._note("Matroska keeps time in milliseconds; timestamps are rounded")
        self._encode(picture)

    def _encode(self, picture: Planes | None) -> None:
        try:
            packets = self._stream.encode(None if picture is None else to_frame(picture, self.format))
            self._container.mux(packets)
            self._file.check()
        except OSError as error:
            raise write_error(self.path, error) from error
        except FFmpegError as error:
            raise MediaError(f"cannot write {self.path}: {error.strerror}") from error

    def _finish(self) -> None:
        self._encode(None)
        try:
            self._container.close()
            self._file.check()
        except OSError as error:
            raise write_error(self.path, error) from error
        except FFmpegError as error:
            raise MediaError(f"cannot write {self.path}: {error.strerror}") from error
        self._output.commit()

    def _discard(self) -> None:
        self._output.abort()  # first: a container whose file is closed writes no trailer
        if hasattr(self, "_container"):
            with contextlib.suppress(FFmpegError, OSError, ValueError):
                self._container.close()
