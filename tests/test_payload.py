"""The payload of a packet: what is packed is unpacked, and what no encoder packs is refused."""

import pytest
import torch

from nvc.bitstream import DamagedStream
from nvc.codec.payload import Payload
from nvc.kernels._tables import default_tables
from nvc.kernels.rans_decode import idle
from nvc.kernels.rans_encode import rans_encode
from nvc.testing import Fill


def coded(lanes, n=3000):
    """A payload as an encoder makes it, with lanes of very different lengths."""
    fill = Fill("uniform", lanes)
    symbols, rows = fill((n,), -3000, 3000, torch.int16), fill((n,), 0, 123, torch.uint8)
    symbols[torch.arange(n) % 5 > 1] = 0
    lane = torch.arange(n) % lanes
    symbols[lane < lanes // 3] = 0
    bounds, used = torch.tensor([0, n], dtype=torch.int32), torch.tensor([lanes], dtype=torch.int32)
    words, n_words, heads, _ = rans_encode.cpu(symbols, rows, bounds, default_tables(), used)
    return Payload((3, 5, 2), lanes, heads, words[: int(n_words)])


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 32, 256])
def test_round_trip(lanes):
    payload = coded(lanes)
    got = Payload.unpack(payload.pack())
    assert (got.vector_sets, got.lanes) == ((3, 5, 2), lanes)
    assert torch.equal(got.words, payload.words)
    assert torch.equal(got.heads, payload.heads)
    assert got.pack() == payload.pack()


def test_layout():
    heads = idle(700)
    heads[0, :8] = torch.tensor([1, 2, 3, 4, 5, 6, 7, 4]) << 22
    heads[1, :8] = torch.tensor([0, 299, 300, 299, 300, 429, 430, 699])  # pairs of 300, 0, 130 and 270 words
    data = Payload((1, 2, 3), 8, heads, torch.arange(700).to(torch.uint16)).pack()
    states = b"".join((i << 22).to_bytes(3 + i // 4, "little") for i in range(1, 8)) + (1 << 24).to_bytes(4, "little")
    assert data[:32] == bytes([3, 1 | 2 << 3 | 3 << 6, 0xF8]) + states
    assert data[32:38] == bytes([0xD8, 0x04, 0xD7, 0x04, 0x84, 0x02])  # 600, 599 and 260: 300, -300 and 130
    assert data[38:] == b"".join(i.to_bytes(2, "little") for i in range(700))
    assert torch.equal(Payload.unpack(data).heads, heads)


def test_lengths_cost_a_byte_where_lanes_are_alike():
    fill, n = Fill("uniform", 1), 32768
    symbols, rows = fill((n,), -3, 3, torch.int16), torch.full((n,), 25, dtype=torch.uint8)
    bounds, lanes = torch.tensor([0, n], dtype=torch.int32), torch.tensor([32], dtype=torch.int32)
    words, n_words, heads, _ = rans_encode.cpu(symbols, rows, bounds, default_tables(), lanes)
    size = len(Payload((0, 0, 0), 32, heads, words[: int(n_words)]).pack())
    states = 32 // 8 + 3 * 32 + int((heads[0, :32] >= 1 << 24).sum())
    assert size - 2 - states - 2 * int(n_words) == 15 + 1  # the first length is a whole one


HEAD = bytes([3, 0, 0]) + bytes(24)  # eight lanes: three lengths follow


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\x09\0" + bytes(2048),
        b"\0\0" + bytes(2),
        b"\0\0" + bytes(4),
        b"\x10\0" + bytes(4),
        b"\x20\0" + b"\1\1\1\1",
        b"\x13\0\0" + bytes(24) + b"\0\0\0",
        b"\3\0",
        HEAD,
        HEAD + b"\0\0",
        HEAD + b"\0\0\x80",
        HEAD + b"\x80\x80\x80\x80\0" + bytes(4),
        HEAD + b"\0\0\0\0",
        HEAD + b"\0\0\x02",
        HEAD + b"\x02\x02\x02" + bytes(10),
        HEAD + b"\x02\x03\x03" + bytes(40),
        HEAD + b"\x01\0\0" + bytes(40),
    ],
    ids=[
        "empty", "half a head", "512 lanes", "state cut", "half a word",
        "long state of no need", "size of a lane too many", "sizes in two places", "no sizes", "no lengths",
        "two lengths", "length cut", "five bytes", "half a word after lengths", "more than all",
        "more than all together", "falling", "negative",
    ],
)  # fmt: skip
def test_impossible_payloads_are_refused(data):
    with pytest.raises(DamagedStream):
        Payload.unpack(data)


def test_any_head_is_unpacked_or_refused():
    fill = Fill("uniform", 5)
    for trial in range(300):
        noise = fill(((4 << trial % 6) + trial % 90,), 0, 255, torch.uint8)
        data = bytes([trial % 6, 0, *noise.tolist()])
        try:
            payload = Payload.unpack(data)
        except DamagedStream:
            continue
        first = payload.heads[1, ::2]
        assert (first.diff() >= 0).all()
        assert 0 <= first[0] <= first[-1] <= len(payload.words)
