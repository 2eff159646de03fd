"""Output as numbered PNG pictures."""

from fractions import Fraction

from av import CodecContext
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from nvc.media.atomic import AtomicOutput, write_error
from nvc.media.avpicture import to_frame
from nvc.media.convert import PRECISE
from nvc.media.errors import MediaError
from nvc.media.frame import Planes, VideoFormat
from nvc.media.sink import Sink

_MATRIX = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


class PictureSink(Sink):
    """RGB pictures `path % 1`, `path % 2`, ...; all of them appear on `close`.

    Converted by the video's own matrix and range; an unspecified matrix is taken as BT.709 above 576 lines, and as
    BT.601 below.
    """

    def __init__(self, path: str, format: VideoFormat) -> None:
        super().__init__(path, format)
        self._outputs: list[AtomicOutput] = []
        self._scaler = VideoReformatter()
        self._matrix = _MATRIX.get(format.matrix)
        if self._matrix is None:
            self._matrix = Colorspace.ITU709 if format.height > 576 else Colorspace.ITU601
            self._note(f"the colour matrix is not known; {'BT.709' if format.height > 576 else 'BT.601'} assumed")
        self._note("4:2:0 was converted to RGB; PNG pictures are not a lossless copy and have no timestamps")
        context = CodecContext.create("png", "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = format.width, format.height, "rgb24"
        context.time_base = Fraction(1, 25)
        self._encoder = context

    def _write(self, picture: Planes) -> None:
        name = self.path % (len(self._outputs) + 1)
        try:
            rgb = self._scaler.reformat(
                to_frame(picture, self.format),
                format="rgb24",
                src_colorspace=self._matrix,
                dst_colorspace=self._matrix,
                src_color_range=ColorRange.JPEG if self.format.full_range else ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
                interpolation=PRECISE,
                threads=1,
            )
            packets = self._encoder.encode(rgb)
        except FFmpegError as error:
            raise MediaError(f"cannot write {name}: {error.strerror}") from error
        output = AtomicOutput(name)
        self._outputs.append(output)
        try:
            for packet in packets:
                output.file.write(bytes(packet))
        except OSError as error:
            raise write_error(name, error) from error
        output.finish()

    def _finish(self) -> None:
        for output in self._outputs:
            output.commit()

    def _discard(self) -> None:
        for output in self._outputs:
            output.abort()
