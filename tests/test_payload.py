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
    return Payload((3, 5, 2), 1, lanes, heads, words[: int(n_words)])


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 32, 256])
def test_round_trip(lanes):
    payload = coded(lanes)
    got = Payload.unpack(payload.pack())
    assert (got.vector_sets, got.precision, got.lanes) == ((3, 5, 2), 1, lanes)
    assert torch.equal(got.words, payload.words)
    assert torch.equal(got.heads, payload.heads)
    assert got.pack() == payload.pack()


def bits(text):
    """Bytes of bits written in reading order; spaces mean nothing."""
    text = text.replace(" ", "")
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8][::-1], 2) for i in range(0, len(text), 8))


def test_layout():
    heads = idle(21)
    heads[0, :8] = torch.tensor([1 << 18, (1 << 17) + 1, (1 << 32) - 1, (1 << 18) + 6, *[1 << 16] * 4])
    heads[1, :8] = torch.tensor([0, 5, 6, 17, 18, 18, 19, 20])  # pairs of 6, 12, 1 and 2 words
    data = Payload((1, 2, 3), 4, 8, heads, torch.arange(21).to(torch.uint16)).pack()
    sizes = "1000 1111 0100" + "0000" * 4
    states = "0" * 18 + "1" + "0" * 16 + "1" * 31 + "011" + "0" * 15 + "0" * 64
    lengths = "11000 011" + "1100 10 110 001 101"  # 6; 6 and -11, folded to 12 and 21, with parameter 3
    assert data[:2] == bytes([3 | 2 << 4, 1 | 2 << 3 | 3 << 6])
    assert data[2:-42] == bits("001" + sizes + states + lengths)
    assert data[-42:] == b"".join(i.to_bytes(2, "little") for i in range(21))
    assert torch.equal(Payload.unpack(data).heads, heads)


def test_a_lane_costs_what_its_state_and_length_need():
    fill, n = Fill("uniform", 1), 32768
    symbols, rows = fill((n,), -3, 3, torch.int16), torch.full((n,), 25, dtype=torch.uint8)
    bounds, lanes = torch.tensor([0, n], dtype=torch.int32), torch.tensor([32], dtype=torch.int32)
    words, n_words, heads, _ = rans_encode.cpu(symbols, rows, bounds, default_tables(), lanes)
    size = len(Payload((0, 0, 0), 0, 32, heads, words[: int(n_words)]).pack())
    states = sum(4 + int(state).bit_length() - 1 for state in heads[0, :32]) - 4
    assert size - 2 - 2 * int(n_words) <= -(-(3 + states + 5 + 9 + 4 + 6 * 14) // 8)  # six bits a length


STATES = "000" + "0000" * 3 + "0" * 64  # of four lanes, but for the size of the first
EIGHT = "000" + "0000" * 7 + "0" * 128


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\x09\0" + bytes(2048),
        b"\0\0" + bytes(1),
        b"\x10\0" + bytes(2),
        b"\0\0" + bits("011" + "0" * 16),
        b"\0\0" + bits("111" + "0" * 16),
        b"\x10\0" + bits("0" * 20 + "0001"),
        b"\0\0" + bytes(4),
        b"\2\0" + bits(STATES)[:-1],
        b"\2\0" + bits(STATES),
        b"\2\0" + bits(STATES + "00101 111") + b"\1",
        b"\2\0" + bits(STATES + "10000 0") + bytes(1),
        b"\2\0" + bits(STATES + "01000 11") + bytes(4),
        b"\3\0" + bits(EIGHT),
        b"\3\0" + bits(EIGHT + "00000 0000 111"),
        b"\3\0" + bits(EIGHT + "00000 0000 111") + b"\xff" * 20000,
        b"\3\0" + bits(EIGHT + "00000 1111 00"),
        b"\3\0" + bits(EIGHT + "00000 0000 10 0") + bytes(8),
        b"\3\0" + bits(EIGHT + "00000 0000 1111110 1111110") + bytes(16),
        b"\3\0" + bits(EIGHT + "01000 11 0000 0 11111110") + bytes(40),
    ],
    ids=[
        "empty", "half a head", "512 lanes", "state cut", "20 bits in two bytes", "precision 6", "precision 7",
        "padding", "half a word", "states cut", "no lengths", "length cut", "half a word after a length",
        "more than all", "no differences", "quotient cut", "endless quotient", "rest cut", "negative",
        "more than all together", "falling",
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
