"""Interleaved rANS encoder: all segments of a packet into one stream of 16-bit words.

The stream is defined in docs/NUMERICS.md, "Entropy coding"; `rans_decode` reads it.

    name     shape        dtype   range
    symbols  [M]          int16   -32767 .. 32767   (-32768 is coded as -32767); segments one after the other
    rows     [M]          uint8                     table row of each symbol; those past the table read its last row
    bounds   [S+1]        int32   0 .. M, rising    segment s is symbols[bounds[s] : bounds[s + 1]]
    cdf      [ROWS, 256]  int32   see `_tables`
    lanes    [1]          int32   1 .. 256          or 0: `lane_count` of the symbols
    ->
    words    [2 M]        uint16  in the order of reading, then zeros
    n_words  [1]          int32   0 .. 2 M
    states   [256]        int64   2^16 .. 2^32-1    where the decoder starts; 2^16 from the number of lanes on
    lanes    [1]          int32   1 .. 256          those used

Capacity: a symbol takes at most two sub-steps, and each writes at most one word, whatever the tables.

Bounds, per sub-step, with the state x in [2^16, 2^32) and f <= 65282 (255 symbols of 1 or more):
    table  x >= f 2^16 -> write a word, x >>= 16; now 1 <= x < f 2^16 and x = ((x / f) << 16) + x mod f + start < 2^32
    raw    x >= 2^(32-b) -> write a word, x >>= 16; now x < 2^(32-b) and x = (x << b) + raw < 2^32; b = 0 does nothing
and the new x is >= 2^16: a state that wrote no word is >= 2^16 > f, one that wrote is >= f (table) or 2^(16-b) (raw).

Lanes are independent but for the place of their words: a step of L symbols is one vector operation, and the place of a
word is a prefix sum over the lanes that write.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._tables import (
    LANE_SYMBOLS,
    MAX_LANES,
    MAX_SYMBOL,
    SCALE_ROWS,
    SYMBOLS,
    TOTAL,
    default_tables,
)
from nvc.kernels.gpu import rans_encode as gpu


def lane_count(symbols: int) -> int:
    """Lanes for a packet of `symbols` coded symbols: one for each 1024, rounded down to a power of two, 1 .. 256.

    A lane costs about 3 bytes (a stored state of 4, which carries one byte of message on average): 1 to 2 % of a packet
    at one bit a symbol. Half as many would save half of that, but they are all the parallelism that a GPU decodes with.
    """
    return min(max(1 << (symbols // LANE_SYMBOLS).bit_length() >> 1, 1), MAX_LANES)


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
    if not 0 <= int(lanes) <= MAX_LANES:
        raise ValueError(f"rans_encode: {int(lanes)} lanes; a number up to {MAX_LANES} is needed")


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
    count = int(lanes) or lane_count(ends[-1] - ends[0])
    states = [TOTAL] * count
    written: list[int] = []  # last word first

    def renormalise(lane: int, limit: int) -> None:
        if states[lane] >= limit:
            written.append(states[lane] & 0xFFFF)
            states[lane] >>= 16

    for begin, end in reversed(list(pairwise(ends))):
        for step in reversed(range(begin, end, count)):
            coded = []
            for i in range(step, min(step + count, end)):
                row = min(int(rows[i]), len(table) - 1)
                coded.append((table[row], *split(row, int(symbols[i]))))
            for lane, (_, _, bits, raw) in reversed(list(enumerate(coded))):
                renormalise(lane, 1 << (32 - bits))
                states[lane] = (states[lane] << bits) + raw
            for lane, (c, s, _, _) in reversed(list(enumerate(coded))):
                start = c[s + MAX_SYMBOL]
                f = c[s + MAX_SYMBOL + 1] - start
                renormalise(lane, f << 16)
                states[lane] = (states[lane] // f << 16) + states[lane] % f + start
    words = torch.zeros(2 * len(symbols), dtype=torch.uint16)
    words[: len(written)] = torch.tensor(written[::-1], dtype=torch.int64).to(torch.uint16)
    padded = torch.tensor(states + [TOTAL] * (MAX_LANES - count), dtype=torch.int64)
    return words, torch.tensor([len(written)], dtype=torch.int32), padded, torch.tensor([count], dtype=torch.int32)


@compiled
def _bit_length(v):
    n = np.int64(0)
    while v:
        v >>= 1
        n += 1
    return n


@compiled
def _fetch(symbols, rows, cdf, start, frequency, bits, raw):
    """What a step codes, by lane; whether there are raw bits."""
    last_row, found = np.int64(cdf.shape[0] - 1), False
    for lane in range(symbols.size):
        v, row = np.int64(symbols[lane]), min(np.int64(rows[lane]), last_row)
        size = min(abs(v), np.int64(32767))
        bits[lane] = raw[lane] = 0
        if row < SCALE_ROWS:
            s = min(size, np.int64(MAX_SYMBOL))
            if s == MAX_SYMBOL:
                bits[lane], raw[lane] = 16, size - MAX_SYMBOL
        else:
            s = _bit_length(size)
            if s:
                bits[lane], raw[lane] = s - 1, size - (np.int64(1) << (s - 1))
        k = MAX_SYMBOL - s if v < 0 else MAX_SYMBOL + s
        start[lane] = cdf[row, k]
        frequency[lane] = cdf[row, k + 1] - cdf[row, k]
        found |= bits[lane] > 0
    return found


@compiled
def _encode(symbols, rows, bounds, cdf, words, n_words, states, lanes):
    at = words.size
    start, frequency = np.empty(lanes, np.int64), np.empty(lanes, np.int64)
    bits, raw = np.empty(lanes, np.int64), np.empty(lanes, np.int64)
    states[:] = TOTAL
    for segment in range(bounds.size - 2, -1, -1):
        begin, end = np.int64(bounds[segment]), np.int64(bounds[segment + 1])
        for step in range((end - begin + lanes - 1) // lanes - 1, -1, -1):
            first = begin + step * lanes
            n = min(lanes, end - first)
            if _fetch(symbols[first : first + n], rows[first : first + n], cdf, start, frequency, bits, raw):
                for lane in range(n - 1, -1, -1):
                    x = states[lane]
                    if x >= np.int64(1) << (32 - bits[lane]):
                        at -= 1
                        words[at] = np.uint16(x & 0xFFFF)
                        x >>= 16
                    states[lane] = (x << bits[lane]) + raw[lane]
            for lane in range(n - 1, -1, -1):
                x, f = states[lane], frequency[lane]
                if x >= f << 16:
                    at -= 1
                    words[at] = np.uint16(x & 0xFFFF)
                    x >>= 16
                q = np.int64(np.uint32(x) // np.uint32(f))
                states[lane] = (q << 16) + (x - q * f) + start[lane]
    count = words.size - at
    for i in range(count):  # to the front; at >= 0, so no word is overwritten before it is read
        words[i] = words[at + i]
    words[count:] = 0
    n_words[0] = count


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
        out = words, n_words, torch.empty(MAX_LANES, dtype=torch.int64), torch.empty(1, dtype=torch.int32)
    *results, used = out
    used[0] = int(lanes) or lane_count(int(bounds[-1] - bounds[0]))
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
    shapes = ((2 * len(symbols),), torch.uint16), one, ((MAX_LANES,), torch.int64), one
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
    cases=((90, 1), (77, 0, 130, 4), (1, 1, 1, 16), (0, 2), (40, 300, 64), (5, 256), (70, 3), (9, 0)),
    bench_cases=((1840, 2000, 30000, 32), (16000, 8000, 200000, 128)),
    # symbol, row, table entry and at most a word; a multiply and a division for each symbol
    cost=lambda case: Cost(bytes=13 * sum(case[:-1]) + 8 * MAX_LANES, macs=2 * sum(case[:-1])),
)
