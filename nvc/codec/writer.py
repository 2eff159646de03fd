"""Encoding a stream: frames in, an `.nvc` file out."""

from fractions import Fraction
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from nvc.bitstream import FrameType, Packet, Preset, StreamHeader, Writer
from nvc.codec.device import choose_device, network_on
from nvc.codec.encoder import FrameEncoder
from nvc.codec.errors import CodecError
from nvc.codec.frame import Frame, Plane, as_planes, crop
from nvc.codec.geometry import Geometry
from nvc.codec.gop import QP_MAX, RESET_INTERVAL, frame_qp, is_reset
from nvc.models.weights import Model, shipped


class Written(NamedTuple):
    """What became of one frame: its packet's size in bytes, 12 of overhead included, and its reconstruction."""

    size: int
    frame: Frame


class Encoder:
    """Encodes 8-bit 4:2:0 frames to a binary file object, which stays the caller's to close.

    qp 0..63 (higher is better quality), keyint: frames from one keyframe to the next, -1 for the first only. `model`
    defaults to the shipped weights of `preset`. Other keywords are fields of StreamHeader: colour, aspect, rotation.
    Raises CodecError for settings out of range, ModelError, DeviceError, and BitstreamError's LimitExceeded.
    """

    def __init__(
        self,
        sink: BinaryIO,
        width: int,
        height: int,
        *,
        qp: int = 32,
        keyint: int = -1,
        time_base: Fraction = Fraction(1, 25),
        frame_rate: Fraction | None = None,
        preset: str = "fast",
        model: Model | None = None,
        device: str = "auto",
        start_pts: int = 0,
        **header: object,
    ) -> None:
        if not 0 <= qp <= QP_MAX:
            raise CodecError(f"qp is {qp}, outside 0..{QP_MAX}")
        if keyint != -1 and keyint < 1:
            raise CodecError(f"keyint is {keyint}; a number of frames or -1 is needed")
        self.device, self.device_reason = choose_device(device)
        self.model = model or shipped(preset)
        self.qp, self.keyint = qp, keyint
        self.header = StreamHeader(
            width=width,
            height=height,
            time_base=time_base,
            preset=Preset[self.model.network.config.preset.upper()],
            base_qp=qp,
            model_id=self.model.identity,
            keyframe_interval=max(keyint, 0),
            reset_interval=RESET_INTERVAL,
            frame_rate=frame_rate or Fraction(0),
            start_pts=start_pts,
            **header,  # type: ignore[arg-type]
        )
        self._geometry = Geometry(width, height)
        self._coder = FrameEncoder(network_on(self.model.network, self.device), self._geometry)
        self._writer = Writer(sink, self.header)
        self._distance = 0

    @property
    def frame_count(self) -> int:
        return self._writer.frame_count

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._writer.size

    def write(self, y: Plane, u: Plane, v: Plane, pts: int | None = None) -> Written:
        """Encode one frame; `pts` in ticks of the time base, rising (default: one tick after another)."""
        number = self._writer.frame_count
        planes = as_planes(y, u, v, self._geometry)
        key = number == 0 or (self.keyint > 0 and self._distance == self.keyint)
        self._distance = 0 if key else self._distance
        distance = self._distance
        reset = is_reset(distance)
        pts = self.header.start_pts + number if pts is None else pts
        qp = frame_qp(self.qp, distance)
        coded = self._coder.encode(*planes, qp, key=key, reset=reset)
        kind = FrameType.KEY if key else FrameType.INTER
        before = self._writer.size
        self._writer.write(Packet(kind, qp, pts, coded.payload, reset))
        self._distance += 1
        return Written(self._writer.size - before, crop(coded.planes, self._geometry, pts, number, key, qp))

    def close(self) -> None:
        """Write the index and the end of the stream."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
