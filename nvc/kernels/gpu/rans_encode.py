"""Device code of rans_encode: one program codes all lanes and segments, then many put its words in reading order.

An encoder writes the last word first, and only at the end it is known how many there are. `_encode` therefore writes
forwards from the start of `words`, and `_order`, a launch of its own because every place depends on the last state of
the first, turns the words around in place and clears what is behind them: pairs of words, independent of each other.

Tile: as in rans_decode the chain of states is all there is. What does not depend on a state (symbol, row, table entry,
raw bits) is fetched one step ahead; of a step remain two compares, a division and a multiplication, and the word
position, which is a chain of its own beside them.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels._tables import LANE_SYMBOLS, MAX_LANES
from nvc.kernels.gpu._rans import CLASS_ROWS, ESCAPE, MAX_VALUE, TILE

ORDER = 2048  # words of an ordering program


@triton.jit
def _fetch(first, end, lanes, symbols_ptr, rows_ptr, cdf_ptr, ROWS, BLOCK: tl.constexpr):
    """What the step at `first` codes, [BLOCK] each: (in use, start, frequency, number of raw bits, raw bits)."""
    lane = tl.arange(0, BLOCK)
    ok = (lane < lanes) & (lane < end - first)
    value = tl.load(symbols_ptr + first + lane, mask=ok, other=0).to(tl.int32)
    row = tl.minimum(tl.load(rows_ptr + first + lane, mask=ok, other=0).to(tl.int32), ROWS - 1)
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
    frequency = tl.load(entry + 1, mask=ok, other=1) - start
    return ok, start.to(tl.uint32), frequency.to(tl.uint32), bits.to(tl.uint32), (size - base).to(tl.uint32)


@triton.jit
def _write(x, writes, at, capacity, words_ptr):
    """The words of a sub-step, highest lane first: (states, word position) after each lane in `writes` has written."""
    ones = writes.to(tl.int32)
    total = tl.sum(ones, 0)
    place = at + total - tl.cumsum(ones, 0)
    tl.store(words_ptr + place, (x & 0xFFFF).to(tl.uint16), mask=writes & (place < capacity))
    return tl.where(writes, x >> 16, x), at + total


@triton.jit
def _encode(
    # inputs
    symbols_ptr,  # int16 [M]
    rows_ptr,  # uint8 [M]
    bounds_ptr,  # int32 [S + 1]
    cdf_ptr,  # int32 [ROWS, 256]
    lanes_ptr,  # int32 [1]
    # outputs
    words_ptr,  # uint16 [2 M], last word first
    n_words_ptr,  # int32 [1]
    states_ptr,  # int64 [BLOCK]
    used_ptr,  # int32 [1]
    # sizes
    M,
    S,
    ROWS,
    # tile
    BLOCK: tl.constexpr,  # lanes that there may be, 2^LOG_BLOCK
    LOG_BLOCK: tl.constexpr,
    LANE_SYMBOLS: tl.constexpr,
):
    lane = tl.arange(0, BLOCK)
    lanes = tl.minimum(tl.maximum(tl.load(lanes_ptr), 0), BLOCK)
    if lanes == 0:
        lanes += 1
        total = tl.load(bounds_ptr + S) - tl.load(bounds_ptr)
        for i in tl.static_range(1, LOG_BLOCK + 1):
            lanes = tl.where(total >= (LANE_SYMBOLS << i), 1 << i, lanes)
    x = tl.full((BLOCK,), 1 << 16, tl.uint32)
    at, segment = M * 0, S - 1
    while segment >= 0:
        begin = tl.minimum(tl.maximum(tl.load(bounds_ptr + segment), 0), M)
        end = tl.minimum(tl.maximum(tl.load(bounds_ptr + segment + 1), begin), M)
        # of the last step; begin - lanes without symbols
        first = begin + ((end - begin + lanes - 1).to(tl.uint32) // lanes.to(tl.uint32)).to(tl.int32) * lanes - lanes
        last = tl.maximum(first, begin)
        ok, start, f, bits, raw = _fetch(last, end, lanes, symbols_ptr, rows_ptr, cdf_ptr, ROWS, BLOCK)
        while first >= begin:
            here, s, g, b, r = ok, start, f, bits, raw
            before = tl.maximum(first - lanes, begin)
            ok, start, f, bits, raw = _fetch(before, end, lanes, symbols_ptr, rows_ptr, cdf_ptr, ROWS, BLOCK)
            if tl.max(b, 0) > 0:
                x, at = _write(x, ((x >> 16) >> (16 - b)) > 0, at, 2 * M, words_ptr)
                x = (x << b) | r
            x, at = _write(x, here & ((x >> 16) >= g), at, 2 * M, words_ptr)
            q = x // g
            x = tl.where(here, (q << 16) + (x - q * g) + s, x)
            first -= lanes
        segment -= 1
    tl.store(n_words_ptr, tl.minimum(at, 2 * M))
    tl.store(states_ptr + lane, x.to(tl.int64))
    tl.store(used_ptr, lanes)


@triton.jit
def _order(words_ptr, n_words_ptr, capacity, BLOCK: tl.constexpr):
    """Reverses words[: n_words] in place, zeros behind. A program owns the pairs whose first word is in its block."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    n = tl.load(n_words_ptr)
    pair = i < n >> 1
    head = tl.load(words_ptr + i, mask=pair, other=0)
    tail = tl.load(words_ptr + n - 1 - i, mask=pair, other=0)
    tl.store(words_ptr + i, tail, mask=pair | ((i >= n) & (i < capacity)))
    tl.store(words_ptr + n - 1 - i, head, mask=pair)


def run(symbols: Tensor, rows: Tensor, bounds: Tensor, cdf: Tensor, lanes: Tensor, out: tuple[Tensor, ...]) -> None:
    """Operands as in the contract, checked and contiguous, but for the values of `bounds`: those are clamped here."""
    words, n_words, _, _ = out
    M, S = len(symbols), len(bounds) - 1
    sizes = {"LOG_BLOCK": MAX_LANES.bit_length() - 1, "LANE_SYMBOLS": LANE_SYMBOLS}
    _encode[(1,)](symbols, rows, bounds, cdf, lanes, *out, M, S, len(cdf), **sizes, **TILE)
    _order[(triton.cdiv(2 * M, ORDER),)](words, n_words, 2 * M, BLOCK=ORDER, num_warps=4)
