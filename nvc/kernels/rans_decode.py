"""rANS decoder: one segment of a packet. What `rans_encode` wrote, and the end of it checked.

The stream is defined in docs/NUMERICS.md, "Entropy coding". Segments are decoded one by one, because the rows of a
later segment may depend on an earlier one; what is known of a lane travels in `heads` from call to call.

    name     shape        dtype   range
    words    [W]          uint16  full           any bytes: they come from a file
    n_words  [1]          int32   0 .. W         words of this packet (more than W counts as W)
    heads    [3, 256]     int64                  of each lane, from the packet (`idle` beyond its lanes), later from the
                                                 segment before: its state 0 .. 2^32-1, only 32 bits are used; its next
                                                 word -2^30 .. 2^30; whether it met an error, 0 or 1
    lanes    [1]          int32   1 .. 256       lanes in use (less or more count as the nearest)
    rows     [M]          uint8                  table row of each symbol; those past the table read its last row
    count    [1]          int32   0 .. M         symbols of this segment (more than M counts as M)
    cdf      [ROWS, 256]  int32   see `_tables`
    lut      [ROWS, 256]  uint8   `_tables.lookup(cdf)`
    last                  bool    whether this is the packet's last segment, at the end of which lanes merge
    ->
    symbols  [M]          int16   -32767 .. 32767, zeros from `count` on
    heads    [3, 256]     int64                  as they came in beyond the lanes in use

Lanes of even number read their words upwards, those of odd number downwards: a pair needs no length between them, and
has ended well when both have read all there is between.

Lanes that merge into others end with a state of 2^16 .. 2^17-1, whose low bits are the next word of that other lane.

Whatever the bytes, a call ends after `count` symbols, reads only words in 0 .. n_words - 1 (others read as 0) and marks
the lane, for good, that wants others or meets a value that no encoder writes. `finished` is the last check.

Bounds: x < 2^32 and f <= 2^16 give f (x >> 16) + (x & 0xffff) - start <= f 2^16 - 1 < 2^32, also for damaged states.
"""

from typing import Any

import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._rans import lane_of, phases, turns
from nvc.kernels._rans_cpu import decode
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._tables import MAX_CLASS, MAX_LANES, MAX_SYMBOL, SCALE_ROWS, SYMBOLS, TOTAL, lookup
from nvc.kernels.gpu import rans_decode as gpu
from nvc.kernels.rans_encode import rans_encode


def idle(n_words: int) -> Tensor:
    """Heads int64 [3, 256] of lanes that are not in use, in a packet of this many words."""
    return torch.tensor([[TOTAL, TOTAL], [n_words, n_words - 1], [0, 0]]).repeat(1, MAX_LANES // 2)


def finished(heads: Tensor) -> Tensor:
    """bool []: the packet ended as its encoder began; anything else means that it was damaged. Stays on the device.

    Every state is where an encoder starts, the lanes of each pair have met, and none has seen an error. With pairs that
    lie end to end in the packet, as the first heads say, every word of it was then read once.
    """
    states, following, errors = heads
    return (states == TOTAL).all() & (following[::2] == following[1::2] + 1).all() & (errors == 0).all()


def _check(words: Tensor, heads: Tensor, lanes: Tensor, rows: Tensor, cdf: Tensor, lut: Tensor) -> None:
    types = words.dtype, heads.dtype, lanes.dtype, rows.dtype, cdf.dtype, lut.dtype
    if types != (torch.uint16, torch.int64, torch.int32, torch.uint8, torch.int32, torch.uint8):
        raise ValueError(f"rans_decode: types {types} are not uint16, int64, int32, uint8, int32, uint8")
    if words.dim() != 1 or rows.dim() != 1:
        raise ValueError(f"rans_decode: words {tuple(words.shape)} and rows {tuple(rows.shape)} need one dimension")
    if cdf.dim() != 2 or cdf.shape[1] != SYMBOLS + 1 or lut.shape != cdf.shape:
        raise ValueError(f"rans_decode: tables {tuple(cdf.shape)} and {tuple(lut.shape)} are not [ROWS, {SYMBOLS + 1}]")
    if heads.shape != (3, MAX_LANES) or lanes.shape != (1,):
        raise ValueError(
            f"rans_decode: heads {tuple(heads.shape)}, lanes {tuple(lanes.shape)}, not [3, {MAX_LANES}], [1]"
        )


def join(row: int, s: int, raw: int) -> tuple[int, bool]:
    """(value, whether an encoder writes it) of table symbol `s` with its raw bits."""
    if row < SCALE_ROWS:
        size = abs(s) + raw if abs(s) == MAX_SYMBOL else abs(s)
    else:
        size = (1 << min(abs(s), MAX_CLASS) >> 1) + raw
    sound = size <= 32767 and (row < SCALE_ROWS or abs(s) <= MAX_CLASS)
    return (-1 if s < 0 else 1) * min(size, 32767), sound


def raw_bits(row: int, s: int) -> int:
    """Number of raw bits that follow table symbol `s` of row `row`."""
    if row < SCALE_ROWS:
        return 16 if abs(s) == MAX_SYMBOL else 0
    return max(min(abs(s), MAX_CLASS) - 1, 0)


def reference(
    words: Tensor,
    n_words: Tensor,
    heads: Tensor,
    lanes: Tensor,
    rows: Tensor,
    count: Tensor,
    cdf: Tensor,
    lut: Tensor,
    last: bool,
) -> tuple[Tensor, ...]:
    _check(words, heads, lanes, rows, cdf, lut)
    table, stream = cdf.tolist(), words.tolist()
    stream = stream[: max(int(n_words), 0)]
    states, following, errors = heads.tolist()
    states = [x & 0xFFFFFFFF for x in states]
    handed: dict[int, int] = {}  # words from merged lanes, by the lane that reads each before those of its own
    n, used = min(max(int(count), 0), len(rows)), min(max(int(lanes), 1), MAX_LANES)
    symbols = torch.zeros(len(rows), dtype=torch.int16)

    def renormalised(lane: int, x: int) -> int:
        if x >= TOTAL:
            return x
        if lane in handed:
            return x << 16 | handed.pop(lane)
        at = following[lane]
        inside = 0 <= at < len(stream)
        errors[lane] |= not inside
        following[lane] += -1 if lane & 1 else 1
        return x << 16 | (stream[at] if inside else 0)

    def drop() -> None:
        """A word that its lane had no use for is one that no encoder hands over."""
        for lane, word in handed.items():
            errors[lane] |= word != 0
        handed.clear()

    for phase, (begin, end, width) in enumerate(phases(n, used, last).tolist()):
        at_once = turns(used, phase, width)
        drop()
        for turn in range(at_once if phase else 0):
            into = lane_of(turn, phase, width)
            errors[into + width] |= states[into + width] >> 16 != 1
            handed[into], states[into + width] = states[into + width] & 0xFFFF, TOTAL
        for i in range(begin, end):
            lane, row = lane_of((i - begin) % at_once, phase, width), min(int(rows[i]), len(table) - 1)
            x = states[lane]
            low = x & 0xFFFF
            k = next(k for k in range(SYMBOLS) if low < table[row][k + 1])
            x = renormalised(lane, (table[row][k + 1] - table[row][k]) * (x >> 16) + low - table[row][k])
            bits = raw_bits(row, k - MAX_SYMBOL)
            symbols[i], sound = join(row, k - MAX_SYMBOL, x & ((1 << bits) - 1))
            states[lane] = renormalised(lane, x >> bits) if bits else x
            errors[lane] |= not sound
    drop()
    return symbols, torch.tensor([states, following, errors], dtype=torch.int64)


def cpu(
    words: Tensor,
    n_words: Tensor,
    heads: Tensor,
    lanes: Tensor,
    rows: Tensor,
    count: Tensor,
    cdf: Tensor,
    lut: Tensor,
    last: bool,
    *,
    out: tuple[Tensor, ...] | None = None,
) -> tuple[Tensor, ...]:
    _check(words, heads, lanes, rows, cdf, lut)
    if out is None:
        out = torch.empty(len(rows), dtype=torch.int16), torch.empty_like(heads)
    symbols, after = out
    after.copy_(heads)
    used = min(max(int(lanes), 1), MAX_LANES)
    after[0].bitwise_and_(0xFFFFFFFF)
    operands: list[Any] = [t.numpy() for t in (words, n_words, rows, count, cdf, lut)]
    operands += [last, symbols.numpy(), after.numpy(), used]
    decode(*operands)
    return out


def launch(
    words: Tensor,
    n_words: Tensor,
    heads: Tensor,
    lanes: Tensor,
    rows: Tensor,
    count: Tensor,
    cdf: Tensor,
    lut: Tensor,
    last: bool,
    *,
    out: tuple[Tensor, ...] | None = None,
) -> tuple[Tensor, ...]:
    _check(words, heads, lanes, rows, cdf, lut)
    shapes = (rows.shape, torch.int16), (heads.shape, torch.int64)
    out = tuple(
        ops.output("rans_decode", t, shape, dtype, rows.device)
        for t, (shape, dtype) in zip(out or (None,) * 2, shapes, strict=True)
    )
    ops.expect_launchable("rans_decode", words, n_words, heads, lanes, rows, count, cdf, lut, *out)
    gpu.run(words, n_words, heads, lanes, rows, count, cdf, lut, last, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    M, count, W, lanes, last = case
    coded = min(count, M)
    args = rans_encode.make((coded, M - coded, lanes), fill)
    if last:
        args["bounds"] = args["bounds"][:2]
    if fill.pattern in ("boundary", "small"):  # what an encoder writes, cut to W words; the others are damage
        words, n_words, heads, _ = rans_encode.reference(**args)
        words, n_words = words[:W].clone(), n_words.clamp(max=W)
    else:
        words, n_words = fill((W,), 0, 65535, torch.uint16), torch.tensor([W], dtype=torch.int32)
        heads = torch.stack(
            [
                fill((MAX_LANES,), 0, 2**32 - 1, torch.int64),
                fill((MAX_LANES,), 0, W, torch.int64),
                fill((MAX_LANES,), 0, 1, torch.int64),
            ]
        )
    return {
        "words": words,
        "n_words": n_words,
        "heads": heads,
        "lanes": args["lanes"],
        "rows": args["rows"],
        "count": torch.tensor([count], dtype=torch.int32),
        "cdf": args["cdf"],
        "lut": lookup(args["cdf"]),
        "last": bool(last),
    }


rans_decode = Kernel(
    name="rans_decode",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=(
        (90, 90, 180, 1, 1),
        (200, 130, 60, 4, 0),
        (1, 1, 2, 16, 1),
        (0, 0, 0, 2, 0),
        (340, 340, 680, 64, 0),
        (5, 9, 4, 256, 1),
        (270, 270, 540, 8, 1),
        (2100, 2100, 4200, 64, 1),
        (80, 70, 160, 2, 1),
    ),
    bench_cases=((30000, 30000, 60000, 32, 1), (200000, 200000, 400000, 128, 1)),
    # symbol, row, LUT and table entries, at most a word; one multiply for each symbol
    cost=lambda case: Cost(bytes=14 * case[1] + 16 * MAX_LANES, macs=case[1]),
)
