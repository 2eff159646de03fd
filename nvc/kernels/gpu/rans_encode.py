"""Device code of rans_encode: 32 lanes a program, then many programs put the words of the lanes together.

A lane writes its last word first, and only at the end it is known how many there are. `_encode` therefore writes into
room of each lane's own; `_put_together`, a launch of its own because every place depends on what other lanes have
written, copies a lane's words a program, even lanes turned around, and clears what is behind them.

Tile: as in rans_decode the chain of a lane's states is all there is. What does not depend on a state (symbol, row,
table entry, raw bits, the reciprocal of the frequency) is fetched one step ahead; of a step remain two compares and
three multiplications. With m = floor((2^32 - 1) / f), floor(x m / 2^32) is x / f rounded down or one less:
x / f - x m / 2^32 < x / 2^32 < 1, because f m >= 2^32 - f.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels._rans import MORE_STEPS
from nvc.kernels._tables import MAX_LANES
from nvc.kernels.gpu._rans import (
    CLASS_ROWS,
    ESCAPE,
    MAX_VALUE,
    MERGE_STEPS,
    MOST_LANE_SYMBOLS,
    PROGRAMS,
    TILE,
    unmerged,
)

FILL = 2048  # words of a program that clears
LOG_LANES = MAX_LANES.bit_length() - 1
COPY = {"BLOCK": 256, "num_warps": 1}


@triton.jit
def _fetch(i, ok, symbols_ptr, rows_ptr, cdf_ptr, ROWS, BLOCK: tl.constexpr):
    """How symbols i are coded, [BLOCK] each: (start, frequency, its reciprocal, number of raw bits, raw bits)."""
    value = tl.load(symbols_ptr + i, mask=ok, other=0).to(tl.int32)
    row = tl.minimum(tl.load(rows_ptr + i, mask=ok, other=0).to(tl.int32), ROWS - 1)
    size = tl.minimum(tl.abs(value), MAX_VALUE)

    symbol = tl.minimum(size, ESCAPE)
    base, bits = symbol, tl.where(size >= ESCAPE, 16, 0)
    if tl.max(row, 0) >= CLASS_ROWS:
        kind, rest = size * 0, size  # bit length of size, by halves
        for half in tl.static_range(3, -1, -1):
            high = (rest >> (1 << half)) > 0
            kind += high.to(tl.int32) << half
            rest = tl.where(high, rest >> (1 << half), rest)
        kind += rest
        classes = row >= CLASS_ROWS
        symbol = tl.where(classes, kind, symbol)
        base = tl.where(classes, (tl.full((BLOCK,), 1, tl.int32) << kind) >> 1, base)
        bits = tl.where(classes, tl.maximum(kind - 1, 0), bits)
    entry = cdf_ptr + row * 256 + 127 + tl.where(value < 0, -symbol, symbol)
    start = tl.load(entry, mask=ok, other=0)
    frequency = (tl.load(entry + 1, mask=ok, other=1) - start).to(tl.uint32)
    reciprocal = tl.full((BLOCK,), 0xFFFFFFFF, tl.uint32) // frequency
    return start.to(tl.uint32), frequency, reciprocal, bits.to(tl.uint32), (size - base).to(tl.uint32)


@triton.jit
def _write(x, writes, n, newest, room, room_ptr):
    """The words of a sub-step: (states, words so far, newest words) after each lane in `writes` has written."""
    word = x & 0xFFFF
    tl.store(room_ptr + n, word.to(tl.uint16), mask=writes & (n < room))
    return tl.where(writes, x >> 16, x), n + writes.to(tl.int32), tl.where(writes, word, newest)


@triton.jit
def _encode(
    # inputs
    symbols_ptr,  # int16 [M]
    rows_ptr,  # uint8 [M]
    bounds_ptr,  # int32 [S + 1]
    cdf_ptr,  # int32 [ROWS, 256]
    lanes_ptr,  # int32 [1]
    # outputs
    room_ptr,  # uint16 [ROOM], an equal part for each lane in use, last word first
    written_ptr,  # int32 [LANES], words of each lane
    heads_ptr,  # int64 [3, LANES], all but the second row
    used_ptr,  # int32 [1]
    # sizes
    M,
    S,
    ROWS,
    ROOM,
    # tile
    PROGRAMS: tl.constexpr,
    BLOCK: tl.constexpr,  # lanes of each
    LOG_LANES: tl.constexpr,  # PROGRAMS * BLOCK = 2^LOG_LANES
):
    LANES: tl.constexpr = PROGRAMS * BLOCK
    offset = tl.program_id(0) * BLOCK
    r = tl.arange(0, BLOCK)
    lane = offset + r
    lanes = tl.load(lanes_ptr)
    share = tl.minimum(tl.maximum(-lanes, 1), MOST_LANE_SYMBOLS)
    lanes = tl.minimum(lanes, LANES)
    if lanes <= 0:
        lanes = lanes * 0 + 1
        total = tl.load(bounds_ptr + S) - tl.load(bounds_ptr)
        for i in tl.static_range(1, LOG_LANES + 1):
            lanes = tl.where(total >= (share << i), 1 << i, lanes)
    room = (ROOM.to(tl.uint32) // lanes.to(tl.uint32)).to(tl.int32)
    mine_ptr = room_ptr + lane * room
    x, n = tl.full((BLOCK,), 1 << 16, tl.uint32), tl.zeros((BLOCK,), tl.int32)
    newest = tl.zeros((BLOCK,), tl.uint32)
    group, groups = tl.minimum(lanes, BLOCK), tl.maximum(lanes // BLOCK, 1)
    segment, width = tl.where(offset < lanes, S - 1, -1), lanes * 0 + 1  # lanes of a group that take turns
    while segment >= 0:
        # the phase's first symbol and the one behind its last, turns of a step, and which of them these lanes have
        begin = tl.minimum(tl.maximum(tl.load(bounds_ptr + segment), 0), M)
        end = tl.minimum(tl.maximum(tl.load(bounds_ptr + segment + 1), begin), M)
        until = end
        if segment == S - 1:  # from the end: first the mergers, then what comes before them
            until = begin + unmerged(end - begin, lanes)
        width = tl.where(until < end, width, group)
        merging = width < group
        stride = tl.where(merging, groups * width, lanes)
        begin = tl.where(merging, until + (group - 2 * width) * groups * MERGE_STEPS, begin)
        end = tl.where(merging, begin + stride * MERGE_STEPS, until)
        mine = tl.where(merging, r < width, lane < lanes)
        steps = ((end - begin + stride - 1).to(tl.uint32) // stride.to(tl.uint32)).to(tl.int32)
        i = begin + (steps - 1) * stride + tl.where(merging, tl.program_id(0) * width, offset) + r
        ok = mine & (i < end) & (steps > 0)
        start, f, reciprocal, bits, raw = _fetch(i, ok, symbols_ptr, rows_ptr, cdf_ptr, ROWS, BLOCK)
        before = n
        while steps > 0:
            here, s, g, m, b, v = ok, start, f, reciprocal, bits, raw
            i -= stride
            steps -= 1
            ok = mine & (steps > 0)
            start, f, reciprocal, bits, raw = _fetch(i, ok, symbols_ptr, rows_ptr, cdf_ptr, ROWS, BLOCK)
            if tl.max(b, 0) > 0:
                x, n, newest = _write(x, ((x >> 16) >> (16 - b)) > 0, n, newest, room, mine_ptr)
                x = (x << b) | v
            x, n, newest = _write(x, here & ((x >> 16) >= g), n, newest, room, mine_ptr)
            q = tl.umulhi(x, m)
            rest = x - q * g
            more = rest >= g
            q += more.to(tl.uint32)
            rest = tl.where(more, rest - g, rest)
            x = tl.where(here, (q << 16) + rest + s, x)
        if merging:  # other lanes begin with the newest words of these
            taken = mine & (n > before)
            n -= taken.to(tl.int32)
            given = tl.gather(tl.where(taken, newest, 0), tl.maximum(r - width, 0), 0)
            x = tl.where((r >= width) & (r < 2 * width), given + 0x10000, x)
            width = 2 * width
        else:
            segment -= 1
    tl.store(written_ptr + lane, tl.minimum(n, room))
    tl.store(heads_ptr + lane, x.to(tl.int64))
    tl.store(heads_ptr + 2 * LANES + lane, tl.zeros((BLOCK,), tl.int64))
    tl.store(used_ptr, lanes)


@triton.jit
def _put_together(
    room_ptr,  # uint16 [ROOM]
    written_ptr,  # int32 [LANES]
    lanes_ptr,  # int32 [1]
    words_ptr,  # uint16 [capacity]
    n_words_ptr,  # int32 [1]
    heads_ptr,  # int64 [3, LANES], the second row
    ROOM,
    capacity,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
    FILL: tl.constexpr,
):
    mine, lane = tl.program_id(0), tl.arange(0, LANES)
    written = tl.load(written_ptr + lane)
    end = tl.cumsum(written, 0)
    total = tl.minimum(tl.sum(written, 0), capacity)
    if mine >= LANES:
        i = (mine - LANES) * FILL + tl.arange(0, FILL)
        tl.store(words_ptr + i, tl.zeros((FILL,), tl.uint16), mask=(i >= total) & (i < capacity))
        return
    if mine == 0:
        tl.store(n_words_ptr, total)
        tl.store(heads_ptr + LANES + lane, tl.where((lane & 1) == 0, end - written, end - 1).to(tl.int64))
    n = tl.load(written_ptr + mine)
    at = tl.sum(tl.where(lane < mine, written, 0), 0)
    source = mine * (ROOM.to(tl.uint32) // tl.load(lanes_ptr).to(tl.uint32)).to(tl.int32)
    done = n * 0
    while done < n:
        i = done + tl.arange(0, BLOCK)
        word = tl.load(room_ptr + source + tl.where((mine & 1) == 0, n - 1 - i, i), mask=i < n, other=0)
        tl.store(words_ptr + at + i, word, mask=(i < n) & (at + i < capacity))
        done += BLOCK


def run(symbols: Tensor, rows: Tensor, bounds: Tensor, cdf: Tensor, lanes: Tensor, out: tuple[Tensor, ...]) -> None:
    """Operands as in the contract, checked and contiguous, but for the values of `bounds`: those are clamped here."""
    words, n_words, heads, used = out
    M, S = len(symbols), len(bounds) - 1
    # beyond its share a lane has at most one symbol of a segment and those of the mergers; a symbol, at most two words
    room = torch.empty(2 * M + 2 * (S + MORE_STEPS) * MAX_LANES, dtype=torch.uint16, device=words.device)
    written = torch.empty(MAX_LANES, dtype=torch.int32, device=words.device)
    operands = symbols, rows, bounds, cdf, lanes, room, written, heads, used
    _encode[(PROGRAMS,)](*operands, M, S, len(cdf), len(room), PROGRAMS=PROGRAMS, LOG_LANES=LOG_LANES, **TILE)
    grid = (MAX_LANES + triton.cdiv(2 * M, FILL),)
    together = room, written, used, words, n_words, heads
    _put_together[grid](*together, len(room), 2 * M, LANES=MAX_LANES, FILL=FILL, **COPY)
