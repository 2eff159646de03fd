"""Decoding a stream: an `.nvc` file in, frames out."""

from collections import deque
from typing import BinaryIO, Self

from nvc.bitstream import BitstreamError, DamagedStream, FrameType, Limits, Packet, Reader, StreamHeader
from nvc.codec.decoder import FrameDecoder
from nvc.codec.device import choose_device, network_on
from nvc.codec.frame import Frame, crop
from nvc.codec.geometry import Geometry
from nvc.models.weights import Model, by_identity


class Decoder:
    """Iterates over the frames of a binary file object, which stays the caller's to close.

    Raises BitstreamError, ModelError or DeviceError on opening; iterating raises DamagedStream at the first frame that
    cannot be trusted, after all good frames before it.
    """

    def __init__(
        self, source: BinaryIO, *, model: Model | None = None, device: str = "auto", limits: Limits | None = None
    ) -> None:
        self._reader = Reader(source, limits) if limits else Reader(source)
        self.header: StreamHeader = self._reader.header
        self.device, self.device_reason = choose_device(device)
        self.model = model or by_identity(self.header.model_id)
        self._geometry = Geometry(self.header.width, self.header.height)
        self._coder = FrameDecoder(network_on(self.model.network, self.device), self._geometry)
        self._under_way: deque[tuple[Packet, int]] = deque()
        self._end: Exception | None = None  # what follows the frames under way

    @property
    def frame_count(self) -> int | None:
        """Frames of the whole stream; None when the stream does not say."""
        return self._reader.frame_count

    def seek(self, number: int) -> None:
        """Continue with frame `number`: frames since its keyframe are decoded and dropped. Needs a seekable source.

        Raises ValueError when the stream has no such frame.
        """
        at = self._reader.seek_frame(number)
        self._coder.abandon()
        self._under_way.clear()
        self._end = None
        for _ in range(at, number):
            if next(self, None) is None:
                raise ValueError(f"the stream has no frame {number}")

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        while self._end is None and len(self._under_way) < self._coder.runner.depth:
            self._begin()
        if not self._under_way:
            assert self._end is not None
            raise self._end
        packet, number = self._under_way.popleft()
        try:
            planes = self._coder.result()
        except DamagedStream as error:
            self._under_way.clear()  # they refer to a frame that was never made
            self._end = _damage(number, error)
            raise self._end from error
        return crop(planes, self._geometry, packet.pts, number, packet.type is FrameType.KEY, packet.qp)

    def _begin(self) -> None:
        """Begin the next frame, or note why there is none."""
        number = self._reader.frame
        try:
            packet = next(self._reader)
        except (StopIteration, BitstreamError) as error:
            self._end = error
            return
        key = packet.type is FrameType.KEY
        try:
            self._coder.begin(packet.payload, packet.qp, key=key, reset=packet.reset)
        except DamagedStream as error:
            self._end = _damage(number, error)
        else:
            self._under_way.append((packet, number))


def _damage(number: int, error: DamagedStream) -> DamagedStream:
    return DamagedStream(f"Frame {number} is damaged. {error}", number)
