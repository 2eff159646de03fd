"""The device coders on hostile input: the same bits as the reference, and nothing outside their buffers."""

import pytest
import torch
from test_kernels import Guarded, check

from nvc.kernels._tables import default_tables, lookup
from nvc.kernels.rans_decode import finished, rans_decode
from nvc.kernels.rans_encode import rans_encode
from nvc.testing import Fill

CDF = default_tables()
LUT = lookup(CDF)


def int32(*values):
    return torch.tensor(values, dtype=torch.int32)


def packet(n, lanes):
    """Arguments of rans_decode for n symbols in two kinds of rows, just as they were encoded."""
    fill = Fill("uniform", 7)
    symbols, rows = fill((n,), -200, 200, torch.int16), fill((n,), 40, 71, torch.uint8)
    words, n_words, heads, lanes = rans_encode.reference(symbols, rows, int32(0, n), CDF, int32(lanes))
    tables = {"rows": rows, "count": int32(n), "cdf": CDF, "lut": LUT, "last": True}
    return {"words": words, "n_words": n_words, "heads": heads, "lanes": lanes} | tables


def on(device, args):
    return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in args.items()}


def everywhere(states, words=0, errors=0):
    """Heads of which all lanes have the same; each number or a tensor [256]."""
    return {"heads": torch.stack([torch.zeros(256, dtype=torch.int64) + v for v in (states, words, errors)])}


DAMAGE = {
    "noise": {"words": Fill("uniform", 1)((80,), 0, 65535, torch.uint16)},
    "ones": {"words": torch.full((80,), 65535, dtype=torch.uint16)},
    "no words": {"words": torch.zeros(0, dtype=torch.uint16)},
    "too few words": {"n_words": int32(3)},
    "negative words": {"n_words": int32(-1)},
    "too many words": {"n_words": int32(2**31 - 1)},
    "no symbols": {"count": int32(-7)},
    "too many symbols": {"count": int32(2**31 - 1)},
    "late heads": everywhere(12345678, 77),
    "heads past the end": everywhere(1, 2**30),
    "heads before the start": everywhere(1, -(2**30)),
    "earlier error": everywhere(12345678, 0, 1),
    "no lanes": {"lanes": int32(0)},
    "too many lanes": {"lanes": int32(2**31 - 1)},
    "rows past the table": {"rows": torch.full((130,), 255, dtype=torch.uint8)},
}


@pytest.mark.parametrize("lanes", [4, 64])
@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_a_damaged_packet_decodes_as_the_reference_says(damage, lanes, pytestconfig):
    args = packet(130, lanes) | DAMAGE[damage]  # of four lanes that merge
    want = rans_decode.reference(**args)
    check(rans_decode.cpu, args, want, "cpu")
    check(rans_decode.launch, args, want, pytestconfig.device)


@pytest.mark.parametrize("lanes", [1, 2, 256])
def test_damaged_states_decode_as_the_reference_says(lanes, pytestconfig):
    for state in (0, -1, 0xFFFF):
        args = packet(60, lanes) | everywhere(state, torch.arange(256) % 40)
        check(rans_decode.launch, args, rans_decode.reference(**args), pytestconfig.device)


@pytest.mark.parametrize(("row", "s"), [(3, 127), (3, -127), (66, 15), (66, 16), (66, -127)])
def test_values_without_an_encoder_are_clamped_and_flagged(row, s, pytestconfig):
    # a frequency of 1 here: the table leaves x >> 16, 1 in this case, so that the raw bits are the next word
    heads = everywhere((1 << 16) + int(CDF[row, s + 127]))
    args = packet(1, 1) | heads | {"rows": torch.tensor([row], dtype=torch.uint8)}
    args |= {"words": torch.tensor([65535, 7, 7], dtype=torch.uint16), "n_words": int32(3)}
    want = rans_decode.reference(**args)
    assert int(want[1][2, 0]) == int((row, s) != (66, 15))
    check(rans_decode.launch, args, want, pytestconfig.device)


@pytest.mark.parametrize("row", [15, 35, 45, 55, 63, 70])
def test_both_ends_of_every_symbol_are_found(row, pytestconfig):
    """However many symbols the lookup table leaves to choose from: one to all of a tail."""
    ends = torch.cat([CDF[row, :-1], CDF[row, 1:] - 1, CDF[row, 1:3]]).long()
    args = packet(256, 256) | {"rows": torch.full((256,), row, dtype=torch.uint8)}
    for low in ends.split(256):
        args |= everywhere((0xFFFF << 16) + low, torch.arange(256) // 2)
        want = rans_decode.reference(**args)
        check(rans_decode.cpu, args, want, "cpu")
        check(rans_decode.launch, args, want, pytestconfig.device)


def test_words_past_the_end_are_never_used(pytestconfig):
    args, results = packet(40, 4), []
    for tail in (0, 1, 65535):
        words = args["words"].clone()
        words[10:] = tail
        moved = on(pytestconfig.device, args | {"words": words, "n_words": int32(10)})
        results.append([t.cpu() for t in rans_decode.launch(**moved)])
    assert results[0][1][2].any(), "no error flag"
    assert all(torch.equal(a, b) for r in results[1:] for a, b in zip(r, results[0], strict=True))


@pytest.mark.parametrize("lanes", [1, 4, 128])
def test_round_trip_in_segments(lanes, pytestconfig):
    fill, d, lengths = Fill("uniform", 2), pytestconfig.device, (5, 0, 17, 118)
    symbols, rows = fill((140,), -32767, 32767, torch.int16), fill((140,), 0, 71, torch.uint8)
    bounds, cdf, lut = int32(0, *lengths).cumsum(0, dtype=torch.int32).to(d), CDF.to(d), LUT.to(d)
    words, n_words, heads, used = rans_encode.launch(symbols.to(d), rows.to(d), bounds, cdf, int32(lanes).to(d))
    got = []
    for number, part in enumerate(rows.split(lengths), 1):
        count, last = int32(len(part)).to(d), number == len(lengths)
        s, heads = rans_decode.launch(words, n_words, heads, used, part.to(d), count, cdf, lut, last)
        got.append(s)
    assert torch.equal(torch.cat(got).cpu(), symbols)
    assert bool(finished(heads))


@pytest.mark.parametrize(
    ("bounds", "clamped"),
    [((-9, 1000), (0, 40)), ((30, 10), (0, 0)), ((0, 40, 0, 40, 0, 40), None)],
    ids=["outside", "falling", "more than all"],
)
def test_foreign_bounds_stay_inside_the_words(bounds, clamped, pytestconfig):
    """Their values are device data that a launch cannot check: they are clamped, and no word leaves the buffer."""
    d = pytestconfig.device
    symbols, rows = torch.full((40,), -32767, dtype=torch.int16), torch.zeros(40, dtype=torch.uint8)  # two words each
    like = torch.zeros(80, dtype=torch.uint16), int32(0), torch.zeros((3, 256), dtype=torch.int64), int32(0)
    outputs = [Guarded(t, d) for t in like]
    out = tuple(o.tensor for o in outputs)
    rans_encode.launch(symbols.to(d), rows.to(d), int32(*bounds).to(d), CDF.to(d), int32(4).to(d), out=out)
    assert 0 <= int(out[1]) <= 80
    want = (
        rans_encode.reference(symbols, rows, int32(*clamped), CDF, int32(4)) if clamped else tuple(t.cpu() for t in out)
    )
    for o, w in zip(outputs, want, strict=True):
        o.check(w)


def test_operands_that_do_not_fit_are_refused(pytestconfig):
    args = on(pytestconfig.device, packet(10, 4))
    for key, wrong in {
        "heads": args["heads"][:, :3],
        "rows": args["rows"].int(),
        "lut": args["lut"][:60],
        "cdf": args["cdf"].t().contiguous().t(),
        "words": args["words"][::2],
    }.items():
        with pytest.raises(ValueError, match="rans_decode"):
            rans_decode.launch(**args | {key: wrong})
    with pytest.raises(ValueError, match="rans_decode: out"):
        rans_decode.launch(**args, out=(args["rows"], args["heads"]))
    symbols, cdf = args["rows"].short(), args["cdf"]
    for bounds, lanes, n in ((int32(0, 10), (3, 3), 10), (int32(0), (4,), 10), (int32(0, 10), (4,), 9)):
        operands = (args["rows"][:n], bounds.to(pytestconfig.device), cdf, int32(*lanes).to(pytestconfig.device))
        with pytest.raises(ValueError, match="rans_encode"):
            rans_encode.launch(symbols, *operands)


@pytest.mark.parametrize(("n", "share"), [(2047, 1024), (2048, 1024), (49151, 384), (49152, 384), (600, 2**20)])
def test_lanes_are_chosen_by_the_number_of_symbols(n, share, pytestconfig):
    symbols, rows = torch.zeros(n, dtype=torch.int16), torch.full((n,), 20, dtype=torch.uint8)
    args = {"symbols": symbols, "rows": rows, "bounds": int32(0, n), "cdf": CDF, "lanes": int32(-share)}
    check(rans_encode.launch, args, rans_encode.reference(**args), pytestconfig.device)
