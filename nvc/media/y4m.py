"""YUV4MPEG2: the header line and the reader."""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from nvc.media.bytesource import ByteSource, open_bytes
from nvc.media.errors import MediaError
from nvc.media.frame import Planes, VideoFormat
from nvc.media.rawlayout import RawLayout, RawPictures
from nvc.media.source import Source

MAGIC = b"YUV4MPEG2"
_CHROMA = {
    "420": "yuv420p",
    "420jpeg": "yuv420p",
    "420mpeg2": "yuv420p",
    "420paldv": "yuv420p",
    "411": "yuv411p",
    "422": "yuv422p",
    "444": "yuv444p",
    "444alpha": "yuva444p",
    "mono": "gray",
    **{f"{c}p{b}": f"yuv{c}p{b}le" for c in ("420", "422", "444") for b in (9, 10, 12, 14, 16)},
    **{f"mono{b}": f"gray{b}le" for b in (9, 10, 12, 16)},
}


class Header(NamedTuple):
    """What the first line of a y4m stream says."""

    width: int
    height: int
    rate: Fraction | None
    aspect: Fraction
    pix_fmt: str
    full_range: bool
    interlaced: bool


def parse_header(line: bytes) -> Header:
    """The first line of a y4m stream. Raises MediaError naming what is wrong."""
    magic, *words = line.split()
    if magic != MAGIC:
        raise MediaError("not a y4m stream")
    fields = {word[:1].decode("latin-1"): word[1:].decode("latin-1") for word in words if word[:1] != b"X"}
    extra = {word.upper() for word in words if word[:1] == b"X"}
    for needed in "WH":
        if not fields.get(needed, "").isascii() or not fields.get(needed, "").isdecimal():
            raise MediaError(f"y4m header without a valid {needed} field")
    chroma = fields.get("C", "420")
    if chroma not in _CHROMA:
        raise MediaError(f"y4m chroma format C{chroma} is not supported")
    return Header(
        int(fields["W"]),
        int(fields["H"]),
        _ratio(fields.get("F", "0:0"), "F"),
        _ratio(fields.get("A", "0:0"), "A") or Fraction(1),
        _CHROMA[chroma],
        b"XCOLORRANGE=FULL" in extra,
        fields.get("I", "p") not in ("p", "?"),
    )


def _ratio(text: str, name: str) -> Fraction | None:
    a, colon, b = text.partition(":")
    if not (colon and text.isascii() and a.isdecimal() and b.isdecimal() and len(text) <= 24):
        raise MediaError(f"y4m header with an invalid {name} field")
    return Fraction(int(a), int(b)) if int(a) and int(b) else None


def open_y4m(path: str, start: int, frames: int | None) -> Source:
    """Source of a y4m file or pipe (`-`: standard input); pts counts pictures. Raises MediaError."""
    data = open_bytes(path)
    try:
        header = parse_header(data.line() or b"empty")
        rate = header.rate or Fraction(25)
        format = VideoFormat(
            header.width,
            header.height,
            time_base=1 / rate,
            frame_rate=rate,
            sample_aspect=header.aspect,
            full_range=header.full_range,
        )
    except MediaError as error:
        data.close()
        raise MediaError(f"{'standard input' if path == '-' else path}: {error}") from error
    pictures = RawPictures(RawLayout(header.pix_fmt, format.width, format.height), header.full_range)
    notes = list(pictures.notes)
    if header.rate is None:
        notes.append("the y4m header has no frame rate; 25 pictures a second assumed")
    if header.interlaced:
        notes.append("interlaced source coded as whole pictures")
    count = None
    if data.remaining is not None:
        total = data.remaining // (len(b"FRAME\n") + pictures.layout.size)
        if total <= start:
            raise MediaError(f"{path} has {total} pictures; there is none to read from number {start} on")
        count = total - start if frames is None else min(frames, total - start)
    return Source(format, count, notes, _pictures(path, data, pictures, notes, start, frames), data.close)


def _pictures(
    path: str, data: ByteSource, pictures: RawPictures, notes: list[str], start: int, frames: int | None
) -> Iterator[Planes]:
    size, number = pictures.layout.size, 0
    while frames is None or number < start + frames:
        try:
            line = data.line()
        except MediaError:
            notes.append(f"{path} has no whole picture after {number}")
            break
        if line is None:
            break
        if not (line == b"FRAME" or line.startswith(b"FRAME ")):
            raise MediaError(f"{path}: no FRAME marker before picture {number}")
        if number < start:
            data.skip(size)
        else:
            picture = data.take(size)
            if len(picture) < size:
                notes.append(f"{path} ends inside picture {number}, which was left out")
                break
            yield Planes(*pictures.planes(picture), number)
        number += 1
    if number <= start:
        raise MediaError(f"{path} has {number} pictures; there is none to read from number {start} on")
