"""What a stream says about itself, without decoding it."""

from dataclasses import dataclass
from fractions import Fraction

from nvc.api.results import playing_time
from nvc.api.streamfile import Path, open_stream
from nvc.bitstream import BitstreamError, FrameType, PacketInfo, Reader, StreamHeader
from nvc.bitstream.layout import HEADER, tail_size


@dataclass(frozen=True)
class StreamInfo:
    """`packets`: of all sound frames; `announced`: the frame count that the stream states, None if it does not;
    `damage`: what is wrong after the sound frames, None if nothing is.
    """

    header: StreamHeader
    packets: list[PacketInfo]
    announced: int | None
    damage: str | None

    @property
    def size(self) -> int:
        """Bytes of the header, the sound packets and, if nothing is damaged, the index."""
        end = self.packets[-1].end if self.packets else HEADER.size
        return end if self.damage is not None else end + tail_size(self.keyframes)

    @property
    def keyframes(self) -> int:
        """How many of the packets are keyframes."""
        return sum(packet.type is FrameType.KEY for packet in self.packets)

    @property
    def duration(self) -> Fraction:
        """Seconds of video in the sound frames."""
        if not self.packets:
            return Fraction(0)
        header, first, last = self.header, self.packets[0].pts, self.packets[-1].pts
        return playing_time(first, last, len(self.packets), header.time_base, header.frame_rate or None)


def inspect(path: Path) -> StreamInfo:
    """Read and check a whole stream (`-`: standard input). Raises MediaError, and BitstreamError when there is no sound
    header."""
    with open_stream(path) as file:
        reader = Reader(file)
        packets: list[PacketInfo] = []
        damage = None
        try:
            for packet in reader.scan():
                packets.append(packet)
        except BitstreamError as error:
            damage = str(error)
        return StreamInfo(reader.header, packets, reader.frame_count, damage)
