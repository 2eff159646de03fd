"""rANS encoder: all segments of a packet, dealt out to lanes that share nothing but the tables until they merge.

The stream is defined in docs/NUMERICS.md, "Entropy coding"; `rans_decode` reads it.

    name     shape        dtype   range
    symbols  [M]          int16   -32767 .. 32767   (-32768 is coded as -32767); segments one after the other
    rows     [M]          uint8                     table row of each symbol; those past the table read its last row
    bounds   [S+1]        int32   0 .. M, rising    segment s is symbols[bounds[s] : bounds[s + 1]]
    cdf      [ROWS, 256]  int32   see `_tables`
    lanes    [1]          int32   1 .. 256          or -2^20 .. -1: `_rans.lane_count` of the symbols
    ->
    words    [2 M]        uint16  pair after pair of lanes, then zeros
    n_words  [1]          int32   0 .. 2 M
    heads    [3, 256]     int64   where the decoder starts, see `rans_decode`
    lanes    [1]          int32   1 .. 256          those used

Capacity: a symbol takes at most two sub-steps, and each writes at most one word, whatever the tables.

Bounds, per sub-step, with the state x in [2^16, 2^32) and f <= 65282 (255 symbols of 1 or more):
    table  x >= f 2^16 -> write a word, x >>= 16; now 1 <= x < f 2^16 and x = ((x / f) << 16) + x mod f + start < 2^32
    raw    x >= 2^(32-b) -> write a word, x >>= 16; now x < 2^(32-b) and x = (x << b) + raw < 2^32; b = 0 does nothing
and the new x is >= 2^16: a state that wrote no word is >= 2^16 > f, one that wrote is >= f (table) or 2^(16-b) (raw).

A lane's words are known to be complete only at its end, so each lane writes into room of its own, last word first, and
the words are put together afterwards.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._rans import MORE_STEPS, MOST_LANE_SYMBOLS, lane_count, lane_of, phases, turns
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._tables import MAX_LANES, MAX_SYMBOL, SCALE_ROWS, SYMBOLS, TOTAL, default_tables
from nvc.kernels.gpu import rans_encode as gpu


def _check_form(symbols: Tensor, rows: Tensor, bounds: Tensor, cdf: Tensor, lanes: Tensor) -> None:
    """All that can be told without looking at a value."""
    types = symbols.dtype, rows.dtype, bounds.dtype, cdf.dtype, lanes.dtype
    if types != (torch.int16, torch.uint8, torch.int32, torch.int32, torch.int32):
        raise ValueError(f"rans_encode: types {types} are not int16, uint8, int32, int32, int32")
    if symbols.dim() != 1 or symbols.shape != rows.shape:
        raise ValueError(f"rans_encode: shapes {tuple(symbols.shape)} and {tuple(rows.shape)} are not one [M]")
    if cdf.dim() != 2 or cdf.shape[1] != SYMBOLS + 1:
        raise ValueError(f"rans_encode: tables {tuple(cdf.shape)} are not [ROWS, {SYMBOLS + 1}]")
    if lanes.shape != (1,):
        raise ValueError(f"rans_encode: number of lanes {tuple(lanes.shape)} is not [1]")
    if bounds.dim() != 1 or len(bounds) < 2:
        raise ValueError(f"rans_encode: segment bounds {tuple(bounds.shape)} are not [S + 1] with S >= 1")


def _check(symbols: Tensor, rows: Tensor, bounds: Tensor, cdf: Tensor, lanes: Tensor) -> None:
    _check_form(symbols, rows, bounds, cdf, lanes)
    b = [0, *bounds.tolist(), len(symbols)]
    if b != sorted(b):
        raise ValueError(f"rans_encode: segment bounds {b[1:-1]} do not rise within 0 .. {len(symbols)}")
    if not -MOST_LANE_SYMBOLS <= int(lanes) <= MAX_LANES or int(lanes) == 0:
        raise ValueError(f"rans_encode: {int(lanes)} lanes; up to {MAX_LANES}, or a negative share, are needed")


def split(row: int, value: int) -> tuple[int, int, int]:
    """(table symbol, number of raw bits, raw bits) of a value coded with table row `row`."""
    sign, size = (-1 if value < 0 else 1), min(abs(value), 32767)
    if row < SCALE_ROWS:
        return sign * min(size, MAX_SYMBOL), *((16, size - MAX_SYMBOL) if size >= MAX_SYMBOL else (0, 0))
    n = size.bit_length()
    return sign * n, *((n - 1, size - (1 << (n - 1))) if n else (0, 0))


def reference(symbols: Tensor, rows: Tensor, bounds: Tensor, cdf: Tensor, lanes: Tensor) -> tuple[Tensor, ...]:
    _check(symbols, rows, bounds, cdf, lanes)
    table, ends = cdf.tolist(), bounds.tolist()
    count = lane_count(ends[-1] - ends[0], int(lanes))
    states = [TOTAL] * MAX_LANES
    written: list[list[int]] = [[] for _ in states]  # by lane, last word first

    def renormalise(lane: int, limit: int) -> None:
        if states[lane] >= limit:
            written[lane].append(states[lane] & 0xFFFF)
            states[lane] >>= 16

    for segment in reversed(range(len(ends) - 1)):
        order = phases(ends[segment + 1] - ends[segment], count, segment == len(ends) - 2).tolist()
        for phase, (begin, end, width) in reversed(list(enumerate(order))):
            at_once = turns(count, phase, width)
            before = [len(w) for w in written]
            for turn in reversed(range(end - begin)):
                i, lane = ends[segment] + begin + turn, lane_of(turn % at_once, phase, width)
                row = min(int(rows[i]), len(table) - 1)
                s, bits, raw = split(row, int(symbols[i]))
                renormalise(lane, 1 << (32 - bits))
                states[lane] = (states[lane] << bits) + raw
                start = table[row][s + MAX_SYMBOL]
                f = table[row][s + MAX_SYMBOL + 1] - start
                renormalise(lane, f << 16)
                states[lane] = (states[lane] // f << 16) + states[lane] % f + start
            for turn in range(at_once if phase else 0):  # another lane begins with the newest word of each
                lane = lane_of(turn, phase, width)
                states[lane + width] = TOTAL + (written[lane].pop() if len(written[lane]) > before[lane] else 0)
    stream: list[int] = []
    first = []
    for even, odd in zip(written[::2], written[1::2], strict=True):
        first.append(len(stream))
        stream += even[::-1] + odd
        first.append(len(stream) - 1)
    words = torch.zeros(2 * len(symbols), dtype=torch.uint16)
    words[: len(stream)] = torch.tensor(stream, dtype=torch.int64).to(torch.uint16)
    heads = torch.tensor([states, first, [0] * MAX_LANES], dtype=torch.int64)
    return words, torch.tensor([len(stream)], dtype=torch.int32), heads, torch.tensor([count], dtype=torch.int32)


@compiled
def _bit_length(v):
    n = np.int64(0)
    while v:
        v >>= 1
        n += 1
    return n


@compiled
def _code(symbols, rows, cdf, x, room, written, phase, width):
    """One step, a symbol for each lane that has a turn, in front of what the lanes have; whose words are in `room`."""
    last_row = np.int64(cdf.shape[0] - 1)
    for turn in range(symbols.size):
        lane = lane_of(turn, phase, width)
        value, row, v = np.int64(symbols[turn]), min(np.int64(rows[turn]), last_row), x[lane]
        size = min(abs(value), np.int64(32767))
        bits, raw = np.int64(0), np.int64(0)
        if row < SCALE_ROWS:
            s = min(size, np.int64(MAX_SYMBOL))
            if s == MAX_SYMBOL:
                bits, raw = np.int64(16), size - MAX_SYMBOL
        else:
            s = _bit_length(size)
            if s:
                bits, raw = s - 1, size - (np.int64(1) << (s - 1))
        if bits:
            if v >= np.int64(1) << (32 - bits):
                room[lane, written[lane]] = np.uint16(v & 0xFFFF)
                written[lane] += 1
                v >>= 16
            v = (v << bits) + raw
        k = MAX_SYMBOL - s if value < 0 else MAX_SYMBOL + s
        start = np.int64(cdf[row, k])
        f = np.int64(cdf[row, k + 1]) - start
        if v >= f << 16:
            room[lane, written[lane]] = np.uint16(v & 0xFFFF)
            written[lane] += 1
            v >>= 16
        q = np.int64(np.uint32(v) // np.uint32(f))
        x[lane] = (q << 16) + (v - q * f) + start


@compiled
def _put_together(room, written, words, first):
    """The lanes' words in reading order; how many there are."""
    at = 0
    for lane in range(MAX_LANES):
        n = written[lane] if lane < written.size else 0
        if lane & 1:
            first[lane] = at + n - 1
            for i in range(n):
                words[at + i] = room[lane, i]
        else:
            first[lane] = at
            for i in range(n):
                words[at + i] = room[lane, n - 1 - i]
        at += n
    words[at:] = 0
    return at


@compiled
def _encode(symbols, rows, bounds, cdf, words, n_words, heads, lanes):
    heads[0], heads[2] = TOTAL, 0
    steps = np.int64(MORE_STEPS)
    for segment in range(bounds.size - 1):
        steps += (np.int64(bounds[segment + 1]) - bounds[segment] + lanes - 1) // lanes
    room, written = np.empty((lanes, 2 * steps), np.uint16), np.zeros(lanes, np.int64)
    for segment in range(bounds.size - 2, -1, -1):
        origin = np.int64(bounds[segment])
        order = phases(bounds[segment + 1] - origin, lanes, segment == bounds.size - 2)
        for phase in range(order.shape[0] - 1, -1, -1):
            begin, end, width = order[phase]
            at_once, before = turns(lanes, phase, width), written.copy()
            for step in range((end - begin + at_once - 1) // at_once - 1, -1, -1):
                first = origin + begin + step * at_once
                stop = min(first + at_once, origin + end)
                _code(symbols[first:stop], rows[first:stop], cdf, heads[0], room, written, phase, width)
            for turn in range(at_once if phase else 0):  # another lane begins with the newest word of each
                lane = lane_of(turn, phase, width)
                if written[lane] > before[lane]:
                    written[lane] -= 1
                    heads[0, lane + width] += room[lane, written[lane]]
    n_words[0] = _put_together(room, written, words, heads[1])


def cpu(
    symbols: Tensor,
    rows: Tensor,
    bounds: Tensor,
    cdf: Tensor,
    lanes: Tensor,
    *,
    out: tuple[Tensor, ...] | None = None,
) -> tuple[Tensor, ...]:
    _check(symbols, rows, bounds, cdf, lanes)
    if out is None:
        words, n_words = torch.empty(2 * len(symbols), dtype=torch.uint16), torch.empty(1, dtype=torch.int32)
        out = words, n_words, torch.empty((3, MAX_LANES), dtype=torch.int64), torch.empty(1, dtype=torch.int32)
    *results, used = out
    used[0] = lane_count(int(bounds[-1] - bounds[0]), int(lanes))
    operands: list[Any] = [t.numpy() for t in (symbols, rows, bounds, cdf, *results)]
    operands.append(int(used))
    _encode(*operands)
    return out


def launch(
    symbols: Tensor,
    rows: Tensor,
    bounds: Tensor,
    cdf: Tensor,
    lanes: Tensor,
    *,
    out: tuple[Tensor, ...] | None = None,
) -> tuple[Tensor, ...]:
    _check_form(symbols, rows, bounds, cdf, lanes)
    one = (1,), torch.int32
    shapes = ((2 * len(symbols),), torch.uint16), one, ((3, MAX_LANES), torch.int64), one
    out = tuple(
        ops.output("rans_encode", t, shape, dtype, symbols.device)
        for t, (shape, dtype) in zip(out or (None,) * 4, shapes, strict=True)
    )
    ops.expect_launchable("rans_encode", symbols, rows, bounds, cdf, lanes, *out)
    gpu.run(symbols, rows, bounds, cdf, lanes, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    *lengths, lanes = case
    M = sum(lengths)
    cdf = default_tables()
    rows = fill((M,), 0, len(cdf), torch.uint8)
    symbols = fill((M,), -32768, 32767, torch.int16)
    if fill.pattern == "boundary":  # around the escape, which is also around a class
        symbols = (symbols.sign() * (125 + (symbols & 3))).to(torch.int16)
    bounds = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    operands = {"symbols": symbols, "rows": rows, "bounds": bounds, "cdf": cdf}
    return operands | {"lanes": torch.tensor([lanes], dtype=torch.int32)}


rans_encode = Kernel(
    name="rans_encode",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=(
        (90, 1),
        (77, 0, 130, 4),
        (1, 1, 1, 16),
        (0, 2),
        (40, 300, 64),
        (5, 256),
        (70, 3),
        (900, -200),
        (300, 40, 270, 8),
        (3, 2100, 64),
        (66, 2),
    ),
    bench_cases=((1840, 2000, 30000, 32), (16000, 8000, 200000, 128)),
    # symbol, row, table entry and at most a word; a multiply and a division for each symbol
    cost=lambda case: Cost(bytes=13 * sum(case[:-1]) + 8 * MAX_LANES, macs=2 * sum(case[:-1])),
)
