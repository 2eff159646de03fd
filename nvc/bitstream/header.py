"""The file header: what a decoder must know before the first packet."""

from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction

from nvc.bitstream.errors import DamagedStream, LimitExceeded, NotNvc, UnsupportedStream
from nvc.bitstream.layout import (
    HEADER,
    HEADER_CRC,
    HEADER_FIXED,
    MAGIC,
    MAX_DIMENSION,
    MAX_FRAMES,
    MAX_QP,
    MAX_START_PTS,
    VERSION,
    crc32c,
)

_U8, _U16, _U32, _I63 = 0xFF, 0xFFFF, 0xFFFFFFFF, (1 << 63) - 1

_RANGES = {
    "width": (1, MAX_DIMENSION),
    "height": (1, MAX_DIMENSION),
    "bit_depth": (8, 8),
    "primaries": (0, _U8),
    "transfer": (0, _U8),
    "matrix": (0, _U8),
    "start_pts": (-MAX_START_PTS, MAX_START_PTS),
    "base_qp": (0, MAX_QP),
    "keyframe_interval": (0, _U32),
    "reset_interval": (0, _U16),
    "frame_count": (0, MAX_FRAMES),
    "index_offset": (0, _I63),
}
_RATIONALS = {"sample_aspect": (1, _U16), "time_base": (1, _U32), "frame_rate": (0, _U32)}


class ChromaFormat(IntEnum):
    """Sampling of the chroma planes."""

    YUV420 = 1


class Preset(IntEnum):
    """Network presets; the model identity says which weights."""

    FAST = 1
    MAIN = 2


@dataclass(frozen=True, kw_only=True)
class StreamHeader:
    """The 128 bytes at the start of a stream.

    Sizes are in luma pixels, times in ticks of `time_base` seconds, intervals in frames. A value outside its range
    raises ValueError.
    """

    width: int  # 1..16384
    height: int  # 1..16384
    time_base: Fraction  # seconds per tick
    preset: Preset
    base_qp: int  # 0..63
    model_id: bytes  # SHA-256 of the weights
    keyframe_interval: int = 0  # 0: only the first frame is a keyframe
    reset_interval: int = 0  # 0: the memory is never reset between keyframes
    frame_rate: Fraction = Fraction(0)  # frames per second, nominal; 0: unknown or variable
    start_pts: int = 0  # the first packet's delta counts from here
    sample_aspect: Fraction = Fraction(1)  # width of a sample over its height
    rotation: int = 0  # degrees clockwise, to be applied on display: 0, 90, 180, 270
    chroma: ChromaFormat = ChromaFormat.YUV420
    bit_depth: int = 8
    primaries: int = 2  # H.273 code points; 2: unspecified
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False
    frame_count: int = 0  # 0: not known when the header was written
    index_offset: int = 0  # 0: not known when the header was written

    def __post_init__(self) -> None:
        for name, (lo, hi) in _RANGES.items():
            value = getattr(self, name)
            if not lo <= value <= hi:
                raise ValueError(f"{name} is {value}, outside {lo}..{hi}")
        for name, (lo, hi) in _RATIONALS.items():
            value = getattr(self, name)
            if not (lo <= value.numerator <= hi and value.denominator <= hi):
                raise ValueError(f"{name} is {value}, whose terms lie outside {lo}..{hi}")
        if self.rotation not in (0, 90, 180, 270):
            raise ValueError(f"rotation is {self.rotation}, not a multiple of 90 below 360")
        if len(self.model_id) != 32:
            raise ValueError(f"model_id has {len(self.model_id)} bytes, not 32")

    def pack(self) -> bytes:
        """The 128 bytes, checksum included."""
        data = HEADER.pack(
            MAGIC,
            *VERSION,
            0,
            0,  # critical features
            0,  # ancillary features
            self.width,
            self.height,
            self.chroma,
            self.bit_depth,
            self.primaries,
            self.transfer,
            self.matrix,
            self.full_range,
            self.rotation,
            *self.sample_aspect.as_integer_ratio(),
            *self.time_base.as_integer_ratio(),
            *self.frame_rate.as_integer_ratio(),
            self.start_pts,
            self.preset,
            self.base_qp,
            self.reset_interval,
            self.keyframe_interval,
            self.model_id,
            0,
            self.frame_count,
            self.index_offset,
            0,
        )[:HEADER_CRC]
        return data + crc32c(data).to_bytes(4, "little")

    @classmethod
    def unpack(cls, data: bytes) -> "StreamHeader":
        """The header in the first 128 bytes of a file; `data` may be shorter if the file is.

        Raises NotNvc, DamagedStream, UnsupportedStream or LimitExceeded.
        """
        _check_bytes(data)
        (
            _, major, minor, pad0, critical, _, width, height, chroma, depth, primaries, transfer, matrix, full_range,
            rotation, aspect_num, aspect_den, tick_num, tick_den, rate_num, rate_den, start_pts, preset, base_qp,
            reset_interval, keyframe_interval, model_id, pad1, frame_count, index_offset, _,
        ) = HEADER.unpack(data)  # fmt: skip

        if major != VERSION[0]:
            raise UnsupportedStream(f"The stream has format version {major}.{minor}; this reader knows {VERSION[0]}.x.")
        if critical:
            bits = ", ".join(str(bit) for bit in range(32) if critical >> bit & 1)
            raise UnsupportedStream(f"The stream needs critical feature {bits}, which this reader does not know.")
        if chroma != ChromaFormat.YUV420:
            raise UnsupportedStream(f"The stream has chroma format {chroma}; this reader knows 4:2:0 (1) only.")
        if depth != 8:
            raise UnsupportedStream(f"The stream has {depth} bits per sample; this reader knows 8 only.")
        if preset not in tuple(Preset):
            raise UnsupportedStream(f"The stream was made with preset {preset}, which this reader does not know.")
        if max(width, height) > MAX_DIMENSION:
            raise LimitExceeded(f"The picture is {width}x{height}; no side may exceed {MAX_DIMENSION}.")
        try:
            if pad0 or pad1:
                raise ValueError("a reserved byte is not zero")
            if full_range > 1:
                raise ValueError(f"full_range is {full_range}, neither 0 nor 1")
            return cls(
                width=width,
                height=height,
                time_base=_rational("time_base", tick_num, tick_den),
                preset=Preset(preset),
                base_qp=base_qp,
                model_id=model_id,
                keyframe_interval=keyframe_interval,
                reset_interval=reset_interval,
                frame_rate=_rational("frame_rate", rate_num, rate_den),
                start_pts=start_pts,
                sample_aspect=_rational("sample_aspect", aspect_num, aspect_den),
                rotation=rotation,
                primaries=primaries,
                transfer=transfer,
                matrix=matrix,
                full_range=bool(full_range),
                frame_count=frame_count,
                index_offset=index_offset,
            )
        except ValueError as error:
            raise DamagedStream(f"The file header is invalid: {error}.") from error


def chain_seed(header: bytes) -> int:
    """Start of the checksum chain: it binds the packets to the part of the header that never changes."""
    return crc32c(header[:HEADER_FIXED])


def _check_bytes(data: bytes) -> None:
    """Signature, size and checksum of a packed header."""
    if data[:8] != MAGIC:
        if data[1:4] == MAGIC[1:4]:
            raise NotNvc("The signature of the .nvc file is damaged, as a transfer in text mode would do.")
        raise NotNvc("This is not an .nvc file." if data else "The file is empty.")
    if len(data) < HEADER.size:
        raise DamagedStream("The file is truncated inside its header.")
    if crc32c(data[:HEADER_CRC]) != int.from_bytes(data[HEADER_CRC:], "little"):
        raise DamagedStream("The file header is damaged: its checksum does not match.")


def _rational(name: str, num: int, den: int) -> Fraction:
    """num/den, which must be in lowest terms: a value has one spelling."""
    if den == 0 or (value := Fraction(num, den)).denominator != den:
        raise ValueError(f"{name} is {num}/{den}, not a fraction in lowest terms")
    return value
