"""Interleaved rANS decoder: one segment of a packet. What `rans_encode` wrote, and the end of it checked.

The stream is defined in docs/NUMERICS.md, "Entropy coding". Segments are decoded one by one, because the rows of a
later segment may depend on an earlier one; states and cursor travel from call to call.

    name     shape        dtype   range
    words    [W]          uint16  full           any bytes: they come from a file
    n_words  [1]          int32   0 .. W         words of this packet (more than W counts as W)
    states   [256]        int64   0 .. 2^32-1    from the packet (2^16 where it has no lane), later from the segment
                                                 before; only 32 bits are used
    lanes    [1]          int32   1 .. 256       lanes in use (less or more count as the nearest)
    cursor   [2]          int32   (next word >= 0, error); (0, 0) before the first segment
    rows     [M]          uint8                  table row of each symbol; those past the table read its last row
    count    [1]          int32   0 .. M         symbols of this segment (more than M counts as M)
    cdf      [ROWS, 256]  int32   see `_tables`
    lut      [ROWS, 256]  uint8   `_tables.lookup(cdf)`
    ->
    symbols  [M]          int16   -32767 .. 32767, zeros from `count` on
    states   [256]        int64   0 .. 2^32-1    as they came in beyond the lanes in use
    cursor   [2]          int32

Whatever the bytes, a call ends after `count` symbols, reads only words below n_words (others read as 0) and sets error
to 1, for good, when it wants more words or meets a value that no encoder writes. `finished` is the last check.

Bounds: x < 2^32 and f <= 2^16 give f (x >> 16) + (x & 0xffff) - start <= f 2^16 - 1 < 2^32, also for damaged states.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels._tables import MAX_CLASS, MAX_LANES, MAX_SYMBOL, SCALE_ROWS, SYMBOLS, TOTAL, lookup
from nvc.kernels.gpu import rans_decode as gpu
from nvc.kernels.rans_encode import rans_encode


def finished(states: Tensor, cursor: Tensor, n_words: Tensor) -> Tensor:
    """bool []: the packet ended as its encoder began; anything else means that it was damaged. Stays on the device."""
    return (states == TOTAL).all() & (cursor[0] == n_words[0]) & (cursor[1] == 0)


def _check(words: Tensor, states: Tensor, lanes: Tensor, rows: Tensor, cdf: Tensor, lut: Tensor) -> None:
    types = words.dtype, states.dtype, lanes.dtype, rows.dtype, cdf.dtype, lut.dtype
    if types != (torch.uint16, torch.int64, torch.int32, torch.uint8, torch.int32, torch.uint8):
        raise ValueError(f"rans_decode: types {types} are not uint16, int64, int32, uint8, int32, uint8")
    if words.dim() != 1 or rows.dim() != 1:
        raise ValueError(f"rans_decode: words {tuple(words.shape)} and rows {tuple(rows.shape)} need one dimension")
    if cdf.dim() != 2 or cdf.shape[1] != SYMBOLS + 1 or lut.shape != cdf.shape:
        raise ValueError(f"rans_decode: tables {tuple(cdf.shape)} and {tuple(lut.shape)} are not [ROWS, {SYMBOLS + 1}]")
    if states.shape != (MAX_LANES,) or lanes.shape != (1,):
        raise ValueError(
            f"rans_decode: states {tuple(states.shape)}, lanes {tuple(lanes.shape)}, not [{MAX_LANES}], [1]"
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
    states: Tensor,
    lanes: Tensor,
    cursor: Tensor,
    rows: Tensor,
    count: Tensor,
    cdf: Tensor,
    lut: Tensor,
) -> tuple[Tensor, ...]:
    _check(words, states, lanes, rows, cdf, lut)
    table, stream = cdf.tolist(), words.tolist()
    stream = stream[: max(int(n_words), 0)]
    x = [s & 0xFFFFFFFF for s in states.tolist()]
    at, error = cursor.tolist()
    n, used = min(max(int(count), 0), len(rows)), min(max(int(lanes), 1), MAX_LANES)
    symbols = torch.zeros(len(rows), dtype=torch.int16)

    def renormalise(lane: int) -> None:
        nonlocal at, error
        if x[lane] < TOTAL:
            error |= at >= len(stream)
            x[lane] = x[lane] << 16 | (stream[at] if at < len(stream) else 0)
            at += 1

    for step in range(0, n, used):
        found = []
        for lane, i in enumerate(range(step, min(step + used, n))):
            row = min(int(rows[i]), len(table) - 1)
            low = x[lane] & 0xFFFF
            k = next(k for k in range(SYMBOLS) if low < table[row][k + 1])
            x[lane] = (table[row][k + 1] - table[row][k]) * (x[lane] >> 16) + low - table[row][k]
            renormalise(lane)
            found.append((row, k - MAX_SYMBOL))
        for lane, (row, s) in enumerate(found):
            bits = raw_bits(row, s)
            value, sound = join(row, s, x[lane] & ((1 << bits) - 1))
            if bits:
                x[lane] >>= bits
                renormalise(lane)
            symbols[step + lane] = value
            error |= not sound
    return symbols, torch.tensor(x, dtype=torch.int64), torch.tensor([at, error], dtype=torch.int32)


@compiled
def _raw_step(words, available, at, error, rows, last_row, symbols, x):
    """Raw bits of the step whose table symbols are in `symbols`; (position, error) after it."""
    for lane in range(symbols.size):
        row, s, v = min(np.int64(rows[lane]), last_row), abs(np.int64(symbols[lane])), x[lane]
        if row < SCALE_ROWS:
            bits = np.int64(16 if s == MAX_SYMBOL else 0)
            size = s
        else:
            error |= np.int64(s > MAX_CLASS)
            s = min(s, np.int64(MAX_CLASS))
            bits = max(s - 1, np.int64(0))
            size = (np.int64(1) << s) >> 1
        if bits:
            size += v & ((np.int64(1) << bits) - 1)
            v >>= bits
            if v < TOTAL:
                error |= np.int64(at >= available)
                v = v << 16 | (np.int64(words[at]) if at < available else 0)
                at += 1
            x[lane] = v
        error |= np.int64(size > 32767)
        size = min(size, np.int64(32767))
        symbols[lane] = np.int16(-size if symbols[lane] < 0 else size)
    return at, error


@compiled
def _decode(words, n_words, rows, count, cdf, lut, symbols, x, cursor):
    available = min(max(np.int64(n_words[0]), np.int64(0)), np.int64(words.size))
    n, lanes = min(max(np.int64(count[0]), np.int64(0)), np.int64(rows.size)), np.int64(x.size)
    last_row = np.int64(cdf.shape[0] - 1)
    at, error = np.int64(cursor[0]), np.int64(cursor[1])
    for first in range(0, n, lanes):
        any_raw = False
        for lane in range(min(lanes, n - first)):
            row, v = min(np.int64(rows[first + lane]), last_row), x[lane]
            low = v & 0xFFFF
            k = np.int64(lut[row, low >> 8])
            while cdf[row, k + 1] <= low:
                k += 1
            start = np.int64(cdf[row, k])
            v = (np.int64(cdf[row, k + 1]) - start) * (v >> 16) + low - start
            if v < TOTAL:
                error |= np.int64(at >= available)
                v = v << 16 | (np.int64(words[at]) if at < available else 0)
                at += 1
            x[lane] = v
            symbols[first + lane] = np.int16(k - MAX_SYMBOL)
            any_raw |= (row >= SCALE_ROWS) | (k == 0) | (k == SYMBOLS - 1)
        if any_raw:
            last = min(first + lanes, n)
            at, error = _raw_step(words, available, at, error, rows[first:last], last_row, symbols[first:last], x)
    symbols[n:] = 0
    cursor[0], cursor[1] = at, error


def cpu(
    words: Tensor,
    n_words: Tensor,
    states: Tensor,
    lanes: Tensor,
    cursor: Tensor,
    rows: Tensor,
    count: Tensor,
    cdf: Tensor,
    lut: Tensor,
    *,
    out: tuple[Tensor, ...] | None = None,
) -> tuple[Tensor, ...]:
    _check(words, states, lanes, rows, cdf, lut)
    if out is None:
        out = torch.empty(len(rows), dtype=torch.int16), torch.empty_like(states), torch.empty_like(cursor)
    symbols, x, after = out
    x.copy_(states)
    after.copy_(cursor)
    x.bitwise_and_(0xFFFFFFFF)
    used = min(max(int(lanes), 1), MAX_LANES)
    operands = (words, n_words, rows, count, cdf, lut, symbols, x[:used], after)
    _decode(*(t.numpy() for t in operands))
    return out


def launch(
    words: Tensor,
    n_words: Tensor,
    states: Tensor,
    lanes: Tensor,
    cursor: Tensor,
    rows: Tensor,
    count: Tensor,
    cdf: Tensor,
    lut: Tensor,
    *,
    out: tuple[Tensor, ...] | None = None,
) -> tuple[Tensor, ...]:
    _check(words, states, lanes, rows, cdf, lut)
    shapes = (rows.shape, torch.int16), (states.shape, torch.int64), ((2,), torch.int32)
    out = tuple(
        ops.output("rans_decode", t, shape, dtype, rows.device)
        for t, (shape, dtype) in zip(out or (None,) * 3, shapes, strict=True)
    )
    ops.expect_launchable("rans_decode", words, n_words, states, lanes, cursor, rows, count, cdf, lut, *out)
    gpu.run(words, n_words, states, lanes, cursor, rows, count, cdf, lut, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    M, count, W, lanes = case
    args = rans_encode.make((M, lanes), fill)
    if fill.pattern in ("boundary", "small"):  # what an encoder writes, cut to W words; the others are damage
        words, n_words, states, _ = rans_encode.reference(**args)
        words, n_words = words[:W].clone(), n_words.clamp(max=W)
    else:
        words, n_words = fill((W,), 0, 65535, torch.uint16), torch.tensor([W], dtype=torch.int32)
        states = fill((MAX_LANES,), 0, 2**32 - 1, torch.int64)
    return {
        "words": words,
        "n_words": n_words,
        "states": states,
        "lanes": args["lanes"],
        "cursor": torch.zeros(2, dtype=torch.int32),
        "rows": args["rows"],
        "count": torch.tensor([count], dtype=torch.int32),
        "cdf": args["cdf"],
        "lut": lookup(args["cdf"]),
    }


rans_decode = Kernel(
    name="rans_decode",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((90, 90, 180, 1), (200, 130, 60, 4), (1, 1, 2, 16), (0, 0, 0, 2), (340, 340, 680, 64), (5, 9, 4, 256)),
    bench_cases=((30000, 30000, 60000, 32), (200000, 200000, 400000, 128)),
    # symbol, row, LUT and table entries, at most a word; one multiply for each symbol
    cost=lambda case: Cost(bytes=14 * case[1] + 16 * MAX_LANES, macs=case[1]),
)
