"""The entropy coder as a whole: frozen words, round trips, size, and what it does with damage."""

import pytest
import torch

from nvc.kernels._rans import lane_count, lane_symbols, phases
from nvc.kernels._tables import TOTAL, default_tables, lookup
from nvc.kernels.compact import compact
from nvc.kernels.quantise import quantise
from nvc.kernels.rans_decode import finished, idle, rans_decode
from nvc.kernels.rans_encode import rans_encode
from nvc.kernels.scatter import scatter
from nvc.testing import Fill, splitmix64

CDF = default_tables()
LUT = lookup(CDF)
CODERS = [
    pytest.param(rans_encode.reference, rans_decode.reference, id="reference"),
    pytest.param(rans_encode.cpu, rans_decode.cpu, id="cpu"),
]


def int32(*values):
    return torch.tensor(values, dtype=torch.int32)


def drawn(n, seed, row_range=(0, 124)):
    """n symbols drawn from the tables themselves, raw bits too, with their rows: what the coder is made for."""
    r = splitmix64(3 * n, seed).reshape(3, n) >> 16  # the upper 48 bits, as signed integers
    r = torch.from_numpy(r.astype("int64"))
    rows = row_range[0] + r[0] % (row_range[1] - row_range[0])
    s = torch.searchsorted(CDF[rows].long(), (r[1] % TOTAL)[:, None], right=True)[:, 0] - 128
    size = s.abs().clamp(max=15)
    classes = torch.where(s != 0, (1 << (size - 1).clamp(min=0)) + (r[2] & ((1 << (size - 1).clamp(min=0)) - 1)), 0)
    gaussian = s.abs() + torch.where(s.abs() == 127, r[2] % 1000, 0)
    values = s.sign() * torch.where(rows < 64, gaussian, classes)
    return values.to(torch.int16), rows.to(torch.uint8)


def bits_of(symbols, rows):
    """Ideal size in bits: -log2 of the table's probability, plus the raw bits."""
    total = 0.0
    p = (CDF.diff(dim=1).double() / TOTAL).log2()
    for v, row in zip(symbols.tolist(), rows.tolist(), strict=True):
        s = min(abs(v), 127) if row < 64 else abs(v).bit_length()
        total -= float(p[row, 127 + (s if v > 0 else -s)])
        total += (16 if s == 127 else 0) if row < 64 else max(s - 1, 0)
    return total


def decode(packet, segments, decoder=rans_decode.cpu):
    """All segments (tensors of rows) of a packet (words, n_words, heads, lanes); (list of symbols, ended well)."""
    words, n_words, heads, lanes = packet
    symbols = []
    for number, rows in enumerate(segments, 1):
        last = number == len(segments)
        s, heads = decoder(words, n_words, heads, lanes, rows, int32(len(rows)), CDF, LUT, last)
        symbols.append(s)
    return symbols, bool(finished(heads))


def packet_of(n, lanes, row_range=(0, 124)):
    symbols, rows = drawn(n, 0, row_range)
    return symbols, rows, rans_encode.cpu(symbols, rows, int32(0, n), CDF, int32(lanes))


# --- the stream


@pytest.mark.parametrize(("encode", "decoder"), CODERS)
def test_frozen_words(encode, decoder):
    symbols = torch.tensor([0, 3, -1, 127, -2000, 0, 1, -5, 0, 7, -300, 12345, 2], dtype=torch.int16)
    rows = torch.tensor([0, 20, 9, 30, 63, 1, 5, 70, 64, 68, 71, 66, 40], dtype=torch.uint8)
    words, n_words, heads, lanes = encode(symbols, rows, int32(0, 4, 4, 13), CDF, int32(4))
    assert words[: int(n_words)].tolist() == [6679, 64928, 44, 4153, 65081, 524, 0]
    assert not words[int(n_words) :].long().any()
    assert heads[:, :4].tolist() == [[36228174, 1309671126, 395777, 7274495], [0, 0, 1, 6], [0] * 4]
    assert torch.equal(heads[:, 4:], idle(int(n_words))[:, 4:])
    got, good = decode((words, n_words, heads, lanes), [rows[:4], rows[4:4], rows[4:]], decoder)
    assert torch.cat(got).tolist() == symbols.tolist()
    assert good


@pytest.mark.parametrize("lanes", [-100, 1, 2, 3, 4, 8, 16, 32, 64, 128, 255, 256])
@pytest.mark.parametrize("lengths", [(2000,), (1,), (0,), (1, 1, 1), (7, 0, 900, 0, 400), (255, 256, 257), (9, 6144)])
def test_round_trip(lanes, lengths):
    symbols, rows = drawn(sum(lengths), abs(lanes))
    bounds = int32(0, *lengths).cumsum(0, dtype=torch.int32)
    packet = rans_encode.cpu(symbols, rows, bounds, CDF, int32(lanes))
    assert int(packet[3]) == lane_count(sum(lengths), lanes)
    states = packet[2][0, : int(packet[3])]
    assert all((states >= TOTAL) & (states < 1 << 32))
    got, good = decode(packet, rows.split(lengths))
    assert torch.equal(torch.cat(got), symbols)
    assert good


@pytest.mark.parametrize("row", [0, 31, 63, 64, 71])
def test_every_value_survives_in_every_kind_of_row(row):
    symbols = torch.arange(-32767, 32768).to(torch.int16)
    rows = torch.full((len(symbols),), row, dtype=torch.uint8)
    packet = rans_encode.cpu(symbols, rows, int32(0, len(symbols)), CDF, int32(16))
    got, good = decode(packet, [rows])
    assert torch.equal(got[0], symbols)
    assert good


def test_the_one_value_without_a_code_becomes_its_neighbour():
    rows = torch.tensor([5, 70], dtype=torch.uint8)
    packet = rans_encode.cpu(torch.full((2,), -32768, dtype=torch.int16), rows, int32(0, 2), CDF, int32(1))
    assert decode(packet, [rows])[0][0].tolist() == [-32767, -32767]


def test_worst_case_fits_the_capacity():
    symbols = torch.full((3000,), -32767, dtype=torch.int16)
    rows = torch.zeros(3000, dtype=torch.uint8)  # the escape has frequency 1 here: every sub-step writes a word
    packet = rans_encode.cpu(symbols, rows, int32(0, 3000), CDF, int32(1))
    assert 2 * 3000 - 2 <= int(packet[1]) <= len(packet[0]) == 2 * 3000
    assert decode(packet, [rows])[1]


@pytest.mark.parametrize("lanes", [1, 8, 64])
@pytest.mark.parametrize("row_range", [(0, 64), (0, 16), (64, 124)], ids=["all", "low-rate", "motion"])
def test_size_is_close_to_ideal(lanes, row_range):
    symbols, rows = drawn(20000, 1, row_range)
    _, n_words, _, _ = rans_encode.cpu(symbols, rows, int32(0, 20000), CDF, int32(lanes))
    ideal = bits_of(symbols, rows)
    stored = 16 * int(n_words) + 32 * lanes
    # a state of 32 bits keeps 16 to 32 of message; 16 of these are lost with every lane that merges into no other, and
    # with one in eight of the others at half a bit a symbol
    groups = max(lanes // 32, 1)
    assert ideal * 0.999 + 16 * groups <= stored <= ideal * 1.003 + 18 * lanes + 16 * groups


@pytest.mark.parametrize(
    ("symbols", "lanes", "last", "expected"),
    [
        (200, 4, True, [[0, 104, 4], [104, 168, 2], [168, 200, 1]]),
        (200, 4, False, [[0, 200, 4]]),
        (127, 4, True, [[0, 127, 4]]),
        (200, 3, True, [[0, 200, 3]]),
        (50, 1, True, [[0, 50, 1]]),
        (
            2048,
            64,
            True,
            [[0, 64, 32], [64, 1088, 16], [1088, 1600, 8], [1600, 1856, 4], [1856, 1984, 2], [1984, 2048, 1]],
        ),
    ],
)
def test_when_lanes_merge(symbols, lanes, last, expected):
    """All coders but the device's ask the same function, so it is held to docs/NUMERICS.md here."""
    assert phases(symbols, lanes, last).tolist() == expected


def test_lane_count():
    assert [lane_count(n, -2048) for n in (0, 1, 2048, 4095, 4096, 32767, 10**7)] == [1, 1, 1, 1, 2, 8, 256]
    assert [lane_count(n, -384) for n in (383, 49151, 49152, 98303, 98304, 10**7)] == [1, 64, 128, 128, 256, 256]
    assert [lane_count(n, 3) for n in (0, 10**7)] == [3, 3]
    assert [lane_symbols(blocks) for blocks in (1, 45 * 80, 68 * 120, 135 * 240)] == [2048, 2048, 384, 384]


# --- damage


@pytest.mark.parametrize("lanes", [1, 4, 64])
@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_end_and_are_noticed(lanes, seed):
    fill = Fill("uniform", seed)
    words = fill((400,), 0, 65535, torch.uint16)
    heads = idle(400)
    heads[0, :lanes] = fill((lanes,), 0, 2**32 - 1, torch.int64) >> (seed % 3 * 8)
    heads[1] = torch.arange(256) // 2 * 800 // lanes + heads[1].clamp(max=0)
    rows = fill((500,), 0, 255, torch.uint8)
    _, good = decode((words, int32(400), heads, int32(lanes)), [rows[:100], rows[100:]])
    assert not good


def flips(packet):
    """The packet with each of its bits flipped in turn."""
    words, n_words, heads, lanes = packet
    for i in range(16 * int(n_words)):
        flipped = words.long()
        flipped[i // 16] ^= 1 << i % 16
        yield flipped.to(torch.uint16), n_words, heads, lanes
    for i in range(32 * int(lanes)):
        flipped = heads.clone()
        flipped[0, i // 32] ^= 1 << i % 32
        yield words, n_words, flipped, lanes


@pytest.mark.parametrize(("lanes", "row_range"), [(1, (0, 50)), (4, (0, 50)), (2, (0, 1)), (4, (0, 1))])
def test_every_flipped_bit_is_noticed_where_there_are_no_raw_bits(lanes, row_range):
    symbols, rows, packet = packet_of(150, lanes, row_range)
    assert symbols.abs().max() < 127
    assert not any(decode(damaged, [rows])[1] for damaged in flips(packet))


@pytest.mark.parametrize("lanes", [1, 4])
def test_what_passes_is_what_an_encoder_writes(lanes):
    """A changed raw bit is another value, not damage: a packet that ends well always is the packet of its symbols."""
    symbols, rows, packet = packet_of(150, lanes)
    passed = 0
    for damaged in flips(packet):
        got, good = decode(damaged, [rows])
        if good:
            again = rans_encode.cpu(got[0], rows, int32(0, len(rows)), CDF, int32(lanes))
            assert all(torch.equal(a, b) for a, b in zip(again, damaged, strict=True))
            assert not torch.equal(got[0], symbols)
            passed += 1
    assert 0 < passed < 16 * int(packet[1]) // 4


def test_missing_and_surplus_words_are_noticed():
    _, rows, (words, n_words, heads, lanes) = packet_of(400, 8)
    assert decode((words, n_words, heads, lanes), [rows])[1]
    for n in (*range(int(n_words)), -1):
        assert not decode((words, int32(n), heads, lanes), [rows])[1], n
    for pair in range(4):
        for shift in (-1, 1):
            longer = heads.clone()
            longer[1, 2 * pair + 1 :] += shift
            assert not decode((words, n_words, longer, lanes), [rows])[1], (pair, shift)
    assert not decode((words, n_words, heads, lanes), [rows[:399]])[1]
    assert not decode((words, n_words, heads, lanes), [torch.cat([rows, rows[:1]])])[1]


def test_what_finished_asks_for():
    heads = idle(9)
    assert finished(heads)
    for row in range(3):
        for lane in (0, 7, 255):
            other = heads.clone()
            other[row, lane] += 1
            assert not finished(other), (row, lane)


def test_lanes_of_a_pair_meet():
    """Every word is read once, by one of the lanes whose pair it lies in."""
    _, rows, (words, n_words, heads, lanes) = packet_of(640, 8)
    _, end = rans_decode.cpu(words, n_words, heads, lanes, rows, int32(640), CDF, LUT, True)
    upwards = [range(a, b) for a, b in zip(heads[1, ::2].tolist(), end[1, ::2].tolist(), strict=True)]
    downwards = [range(b + 1, a + 1) for a, b in zip(heads[1, 1::2].tolist(), end[1, 1::2].tolist(), strict=True)]
    assert all(len(r) > 3 for r in (*upwards[:4], *downwards[:4]))
    assert sorted(i for r in (*upwards, *downwards) for i in r) == list(range(int(n_words)))


def test_words_past_the_end_are_never_used():
    _, rows, (words, _, heads, lanes) = packet_of(190, 8)  # too few to merge, which would spread the errors
    cut, results = int(heads[1, 4]), []  # where the words of the third pair of lanes begin
    for tail in (0, 1, 65535):
        w = words.clone()
        w[cut:] = tail
        results.append(rans_decode.cpu(w, int32(cut), heads, lanes, rows, int32(190), CDF, LUT, True))
    results.append(rans_decode.cpu(words[:cut], int32(10**9), heads, lanes, rows, int32(190), CDF, LUT, True))
    for r in results:
        assert all(torch.equal(a, b) for a, b in zip(r, results[0], strict=True))
        assert r[1][2].tolist() == [0] * 4 + [1] * 4 + [0] * 248, "the lanes of the first half saw no error, or others"


@pytest.mark.parametrize("decoder", [rans_decode.reference, rans_decode.cpu])
@pytest.mark.parametrize(
    ("row", "s", "raw", "value"),
    [(3, 127, 32641, 32767), (3, -127, 65535, -32767), (66, 16, 5, 16389), (66, -127, 0, -16384)],
)
def test_values_without_an_encoder_are_clamped_and_flagged(decoder, row, s, raw, value):
    start, bits = int(CDF[row, s + 127]), 16 if row < 64 else 14
    # every frequency here is 1: the state the table sub-step leaves is x >> 16, so it reads a word, low bits raw
    heads = idle(2)
    heads[0, 0] = (1 << 16) + start + (0xABCD << 32)
    heads[1, 0] = 0
    words = torch.tensor([raw, 7, 7], dtype=torch.uint16)
    assert CDF[row, s + 128] - start == 1
    rows = torch.tensor([row], dtype=torch.uint8)
    symbols, heads = decoder(words, int32(3), heads, int32(1), rows, int32(1), CDF, LUT, True)
    assert symbols.tolist() == [value]
    assert heads[:, 0].tolist() == [((1 << 16 | raw) >> bits) << 16 | 7, 2, 1]
    assert not finished(heads)
    heads = decoder(words, int32(3), heads, int32(1), rows, int32(0), CDF, LUT, True)[1]
    assert heads[1:, 0].tolist() == [2, 1], "error forgotten"


def test_calls_that_make_no_sense_are_refused():
    symbols, rows, (words, n_words, heads, lanes) = packet_of(10, 1)
    for wrong in (257, 0, -(2**20) - 1):
        with pytest.raises(ValueError, match="lanes"):
            rans_encode.cpu(symbols, rows, int32(0, 10), CDF, int32(wrong))
    with pytest.raises(ValueError, match="lanes"):
        rans_encode.cpu(symbols, rows, int32(0, 10), CDF, int32(1, 1))
    for bounds in (int32(0, 11), int32(-1, 10), int32(5, 4), int32(0)):
        with pytest.raises(ValueError, match="bounds"):
            rans_encode.cpu(symbols, rows, bounds, CDF, int32(1))
    with pytest.raises(ValueError, match="types"):
        rans_encode.cpu(symbols.long(), rows, int32(0, 10), CDF, int32(1))
    with pytest.raises(ValueError, match="lanes"):
        rans_decode.cpu(words, n_words, heads[:, :4], lanes, rows, int32(10), CDF, LUT, True)
    with pytest.raises(ValueError, match="tables"):
        rans_decode.cpu(words, n_words, heads, lanes, rows, int32(10), CDF, LUT[:60], True)


# --- from latents to symbols and back


def test_latents_through_the_whole_chain():
    fill, skip = Fill("uniform", 3), 12
    y = fill((9, 11, 16), -3000, 3000, torch.int16)
    mean, index = fill(y.shape, -3000, 3000, torch.int16), fill(y.shape, 0, 63, torch.uint8)
    nearest = torch.full((64,), 16, dtype=torch.int16)
    phases = [quantise(y, mean, index, nearest, None, int32(0), phase, skip) for phase in (0, 1, 2)]
    assert torch.equal(phases[0] + phases[1], phases[2])
    assert not (phases[0] * phases[1]).any()
    q, flat = phases[2].flatten(), index.flatten()

    rows, count, symbols = compact(flat, skip, q)
    assert int(count) == int((flat > skip).sum()) > 1000
    packet = rans_encode(symbols, rows, torch.cat([int32(0), count]), CDF, int32(8))

    rows, count = compact(flat, skip)  # all a decoder knows
    words, n_words, heads, lanes = packet
    got, heads = rans_decode(words, n_words, heads, lanes, rows, count, CDF, LUT, True)
    assert bool(finished(heads))
    assert torch.equal(scatter(got, flat, skip), q)
