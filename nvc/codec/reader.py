"""Decoding a stream: an `.nvc` file in, frames out."""

from typing import BinaryIO, Self

from nvc.bitstream import DamagedStream, FrameType, Limits, Reader, StreamHeader
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
        self._damage: DamagedStream | None = None

    @property
    def frame_count(self) -> int | None:
        """Frames of the whole stream; None when the stream does not say."""
        return self._reader.frame_count

    def seek(self, number: int) -> None:
        """Continue with frame `number`: frames since its keyframe are decoded and dropped. Needs a seekable source.

        Raises ValueError when the stream has no such frame.
        """
        at = self._reader.seek_frame(number)
        self._damage = None
        for _ in range(at, number):
            if next(self, None) is None:
                raise ValueError(f"the stream has no frame {number}")

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        if self._damage is not None:  # what follows refers to a frame that was never made
            raise self._damage
        number = self._reader.frame
        packet = next(self._reader)
        key = packet.type is FrameType.KEY
        try:
            planes = self._coder.decode(packet.payload, packet.qp, key=key, reset=packet.reset)
        except DamagedStream as error:
            self._damage = DamagedStream(f"Frame {number} is damaged. {error}", number)
            raise self._damage from error
        return crop(planes, self._geometry, packet.pts, number, key, packet.qp)
