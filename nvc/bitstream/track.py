"""The state that a writer and a reader share: both walk the packets and must arrive at the same tail."""

from nvc.bitstream.header import StreamHeader, chain_seed
from nvc.bitstream.index import Entry, Index, Tail
from nvc.bitstream.layout import CRC, HEADER, PACKET_CHECKED, crc32c
from nvc.bitstream.packet import FrameType, Head


class Track:
    """Where a walk stands: before frame `frame`, at byte `offset` of the stream.

    `chain` is the checksum of all packets so far, `pts` and `delta` are those of the last frame, `index` holds the
    keyframes so far.
    """

    def __init__(self, header: StreamHeader, packed: bytes) -> None:
        self.frame = 0
        self.offset = HEADER.size
        self.chain = chain_seed(packed)
        self.pts = header.start_pts
        self.delta = 0
        self.index = Index()

    def checksum(self, delta: int, head: bytes, payload: bytes) -> int:
        """The CRC that the next packet must carry. It covers frame number and pts, so no index can lie."""
        checked = PACKET_CHECKED.pack(self.frame, self.pts + delta)
        return crc32c(payload, crc32c(checked + head, self.chain))

    def advance(self, head: Head, packed: bytes, chain: int) -> None:
        """Step over a packet whose head is `packed` and whose checksum is `chain`."""
        self.pts += head.delta
        if head.type == FrameType.KEY:
            self.index.append(Entry(self.frame, self.chain, self.pts, self.offset))
        self.delta = head.delta
        self.chain = chain
        self.offset += len(packed) + CRC.size + head.size
        self.frame += 1

    def rewind(self, index: Index, i: int, delta: int) -> None:
        """Stand before the packet of entry `i` of `index`; `delta` is that packet's."""
        entry = index[i]
        self.frame, self.offset, self.chain = entry.frame, entry.offset, entry.chain
        self.pts = entry.pts - delta
        self.index = index.before(i)

    def tail(self) -> Tail:
        """Index and trailer of a stream that ends here; the last frame lasts as long as the one before it."""
        duration = self.pts - self.index[0].pts + self.delta if self.frame > 1 else 0
        return Tail(self.index, self.offset, self.frame, duration, self.chain)
