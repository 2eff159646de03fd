"""Unsigned LEB128: seven bits a byte, lowest first, the top bit set in all bytes but the last."""

MAX_BYTES = 4


def pack(value: int) -> bytes:
    """As few bytes as `value` needs, 0 .. 2^28 - 1."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def unpack(data: bytes, at: int) -> tuple[int, int]:
    """(the number that begins at byte `at`, where it ends). ValueError for one that is cut off, has more bytes than
    MAX_BYTES, or more than it needs."""
    value = 0
    for i, byte in enumerate(data[at : at + MAX_BYTES]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            if i and not byte:
                break
            return value, at + i + 1
    raise ValueError(f"no LEB128 of at most {MAX_BYTES} bytes begins at byte {at}")
