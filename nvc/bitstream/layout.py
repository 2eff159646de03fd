"""Every byte layout of version 1, in file order, and the bounds that follow; docs/FORMAT.md is the normative text."""

from struct import Struct

import google_crc32c

# The high bit and the line ends show a transfer in text mode, as in PNG.
MAGIC = b"\x8eNVC\r\n\x1a\n"
END_MAGIC = b"\x8eEND\r\n\x1a\n"
VERSION = (1, 0)

CRC = Struct("<I")
HEADER = Struct("<8s2BH 4I 6BH 2H 4I q 2BHI 32sI 2Q I")
HEADER_FIXED = 108  # bytes known when the stream is opened; the rest is patched when it is closed
HEADER_CRC = 124

# QP and SHORT_BIT; unless that is set, flags (8 bits) and pts delta (24); then length of the payload and chained CRC.
QP_BITS = 0b111111
SHORT_BIT = 0b1000000
SHORT_HEAD, LONG_HEAD = 1, 5  # bytes before the payload's length
PACKET_CHECKED = Struct("<Iq")  # frame number, pts: the CRC covers them before head and payload
FRAME_TYPE_BITS = 0b011
RESET_BIT = 0b100
INDEX_MARK = 0xFF  # takes the place of a packet's first byte

INDEX_HEAD = Struct("<3I")  # mark and three zero bytes, number of entries, chain after the last packet
INDEX_ENTRY = Struct("<2IqQ")  # frame, chain before its packet, pts, offset
TRAILER = Struct("<3Q2I8s")  # index offset, frames, duration, zero, CRC, end magic
TRAILER_CRC = 28

MAX_DIMENSION = 16384
MAX_QP = 63
MAX_PAYLOAD = (1 << 24) - 1
MAX_PTS_DELTA = (1 << 24) - 1
MAX_FRAMES = (1 << 32) - 1
MAX_START_PTS = 1 << 62  # start + MAX_FRAMES * MAX_PTS_DELTA still fits an i64


def crc32c(data: bytes, chain: int = 0) -> int:
    """CRC-32C of `data`, or of what `chain` covers followed by `data`."""
    crc: int = google_crc32c.extend(chain, data)
    return crc


def tail_size(entries: int) -> int:
    """Bytes of an index of so many entries and of the trailer behind it."""
    return INDEX_HEAD.size + entries * INDEX_ENTRY.size + CRC.size + TRAILER.size
