"""Encoding a stream: frames in, an `.nvc` file out."""

from collections import deque
from fractions import Fraction
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from torch import Tensor

from nvc.bitstream import FrameType, Packet, Preset, StreamHeader, Writer
from nvc.codec.device import choose_device, network_on
from nvc.codec.encoder import FrameEncoder
from nvc.codec.errors import CodecError
from nvc.codec.frame import Frame, Plane, as_plane, as_planes, crop
from nvc.codec.geometry import Geometry
from nvc.codec.gop import QP_MAX, RESET_INTERVAL, frame_qp, is_reset
from nvc.codec.scenecut import SceneCuts
from nvc.codec.stillness import repeats
from nvc.models.weights import Model, shipped
from nvc.trace import span


class Written(NamedTuple):
    """What became of one frame: its packet's size in bytes, and its reconstruction."""

    size: int
    qp: int
    key: bool
    frame: Frame | None  # None when the encoder was told that nobody wants it


class _Begun(NamedTuple):
    kind: FrameType
    qp: int
    pts: int
    reset: bool


class Encoder:
    """Encodes 8-bit 4:2:0 frames to a binary file object, which stays the caller's to close.

    qp 0..63 (higher is better quality), keyint: frames from one keyframe to the next, -1 for the first only; scenecut:
    a new scene begins with a keyframe too. `model` defaults to the shipped weights of `preset`. reconstructions:
    whether anybody wants to see them. Other keywords are fields of StreamHeader: colour, aspect, rotation.
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
        scenecut: bool = True,
        time_base: Fraction = Fraction(1, 25),
        frame_rate: Fraction | None = None,
        preset: str = "fast",
        model: Model | None = None,
        device: str = "auto",
        start_pts: int = 0,
        reconstructions: bool = True,
        **header: object,
    ) -> None:
        if not 0 <= qp <= QP_MAX:
            raise CodecError(f"qp is {qp}, outside 0..{QP_MAX}")
        if keyint != -1 and keyint < 1:
            raise CodecError(f"keyint is {keyint}; a number of frames or -1 is needed")
        self.device, self.device_reason = choose_device(device)
        self.model = model or shipped(preset)
        self.qp, self.keyint = qp, keyint
        self._scenes = SceneCuts() if scenecut and keyint != 1 else None
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
        network = network_on(self.model.network, self.device)
        self._coder = FrameEncoder(network, self._geometry, reconstructions=reconstructions)
        self._writer = Writer(sink, self.header)
        self._under_way: deque[_Begun] = deque()
        self._begun = self._distance = 0

    @property
    def frame_count(self) -> int:
        """Frames written so far."""
        return self._writer.frame_count

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._writer.size

    def write(self, y: Plane, u: Plane, v: Plane, pts: int | None = None, *, following: Plane | None = None) -> Written:
        """Encode one frame; `pts` in ticks of the time base, rising (default: one tick after another).

        following: y of the next frame, for those who know it: a keyframe which that nearly repeats is made better.
        """
        *_, last = *self.push(y, u, v, pts, following=following), *self.flush()
        return last

    def push(
        self, y: Plane, u: Plane, v: Plane, pts: int | None = None, *, following: Plane | None = None
    ) -> list[Written]:
        """Begin a frame like `write`; what has become of the one before it, if its device works on two at a time."""
        planes = as_planes(y, u, v, self._geometry)
        with span("search"):
            new_scene = self._scenes is not None and self._scenes.starts(planes[0])
        key = self._begun == 0 or new_scene or (self.keyint > 0 and self._distance == self.keyint)
        self._distance = 0 if key else self._distance
        still = key and self.keyint != 1 and following is not None and self._repeats(following, planes[0])
        qp, reset = frame_qp(self.qp, self._distance, still), is_reset(self._distance)
        pts = self.header.start_pts + self._begun if pts is None else pts
        self._coder.begin(*planes, qp, key=key, reset=reset)
        self._under_way.append(_Begun(FrameType.KEY if key else FrameType.INTER, qp, pts, reset))
        self._begun, self._distance = self._begun + 1, self._distance + 1
        return [self._finish()] if len(self._under_way) >= self._coder.runner.depth else []

    @staticmethod
    def _repeats(following: Plane, luma: Tensor) -> bool:
        after = as_plane("y of the next frame", following, luma.shape)
        with span("search"):
            return repeats(after.cpu().numpy(), luma.cpu().numpy())

    def flush(self) -> list[Written]:
        """What has become of the frames still under way."""
        return [self._finish() for _ in range(len(self._under_way))]

    def _finish(self) -> Written:
        begun, number, before = self._under_way.popleft(), self._writer.frame_count, self._writer.size
        coded = self._coder.result()
        self._writer.write(Packet(begun.kind, begun.qp, begun.pts, coded.payload, begun.reset))
        key, frame = begun.kind is FrameType.KEY, None
        if coded.planes is not None:
            frame = crop(coded.planes, self._geometry, begun.pts, number, key, begun.qp)
        return Written(self._writer.size - before, begun.qp, key, frame)

    def close(self) -> None:
        """Write what is under way, the index and the end of the stream."""
        self.flush()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
