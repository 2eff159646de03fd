"""Device code of rans_decode: the first programs decode 32 lanes each, the others write zeros behind the last symbol.

A symbol of a lane waits for the symbol before it, so latency is all there is; bytes and multiplies do not count.
Therefore
- lanes share nothing: a program is one warp, and no step waits for a sum over the lanes or for another warp. Only where
  lanes merge, five times in a packet, a word goes from one to another, by a shuffle of the warp;
- the row of the next symbol and the word of the next refill are loaded before they are needed;
- tables (159 KB for 124 rows) stay in the first-level cache. The lookup table leaves a range of symbols, mostly one to
  four: five entries loaded together say which it is, and its interval too;
- raw bits are a branch: steps of latents seldom have any.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._rans import (
    CLASS_ROWS,
    ESCAPE,
    GROUP,
    MAX_CLASS,
    MAX_VALUE,
    MERGE_STEPS,
    PROGRAMS,
    TILE,
    unmerged,
)

FILL = 2048  # zeros of a filling program


@triton.jit
def _next_word(at, mine, available, words_ptr):
    """The word at the lanes' places, 0 outside of the packet; uint16, for a conversion would wait for it."""
    return tl.load(words_ptr + at, mask=mine & (at >= 0) & (at < available), other=0)


@triton.jit
def _refill(x, needs, at, word, handed, bad, way, mine, available, words_ptr):
    """Lanes in `needs` take their word: (states, places, words of the next refill, whether those were handed over by
    other lanes, lanes in error) after it."""
    read = needs & ~handed
    bad |= read & ((at < 0) | (at >= available))
    at = tl.where(read, at + way, at)
    handed &= ~needs
    following = tl.where(handed, word, _next_word(at, mine, available, words_ptr))
    return tl.where(needs, (x << 16) | word.to(tl.uint32), x), at, following, handed, bad


@triton.jit
def _merge(x, word, bad, r, width):
    """Lanes of number r in their group, `width` .. 2 width - 1, hand the words they end with to those `width` before
    them: (states, words, lanes that got one, lanes in error)."""
    into, ends = r < width, (r >= width) & (r < 2 * width)
    given = tl.gather(x, tl.minimum(r + width, GROUP - 1), 0)
    bad |= ends & ((x >> 16) != 1)
    word = tl.where(into, (given & 0xFFFF).to(tl.uint16), word)
    return tl.where(ends, tl.full(x.shape, 1 << 16, tl.uint32), x), word, into, bad


@triton.jit
def _narrow(k, more, low, table, ok):
    """A quarter of the symbols k .. k + more that `low` may stand for: the one it is in."""
    q = (more + 4) >> 2  # at least a quarter, rounded up
    below = tl.zeros(k.shape, tl.int32)
    for i in tl.static_range(1, 4):
        below += (tl.load(table + k + i * q, mask=ok & (i * q <= more), other=0x10000) <= low).to(tl.int32)
    return k + below * q, tl.minimum(q - 1, more - below * q)


@triton.jit
def _among_four(k, more, low, table, ok):
    """(symbol, start, end of its interval) of the one of k .. k + 3 with start <= low < end."""
    c0 = tl.load(table + k, mask=ok, other=0)
    c1 = tl.load(table + k + 1, mask=ok, other=0x10000)
    c2 = tl.load(table + k + 2, mask=ok & (more >= 1), other=0x10000)
    c3 = tl.load(table + k + 3, mask=ok & (more >= 2), other=0x10000)
    c4 = tl.load(table + k + 4, mask=ok & (more >= 3), other=0x10000)
    b1, b2, b3 = c1 <= low, c2 <= low, c3 <= low
    k += b1.to(tl.int32) + b2.to(tl.int32) + b3.to(tl.int32)
    start = tl.where(b2, tl.where(b3, c3, c2), tl.where(b1, c1, c0))
    end = tl.where(b2, tl.where(b3, c4, c3), tl.where(b1, c2, c1))
    return k, start, end


@triton.jit
def _rans_decode(
    # inputs
    words_ptr,  # uint16 [W]
    n_words_ptr,  # int32 [1]
    heads_ptr,  # int64 [3, LANES]
    lanes_ptr,  # int32 [1]
    rows_ptr,  # uint8 [M]
    count_ptr,  # int32 [1]
    cdf_ptr,  # int32 [ROWS, 256]
    lut_ptr,  # uint8 [ROWS, 256]
    # outputs
    symbols_ptr,  # int16 [M]
    heads_out_ptr,  # int64 [3, LANES]
    # sizes
    W,
    M,
    ROWS,
    # tile
    PROGRAMS: tl.constexpr,  # that decode
    BLOCK: tl.constexpr,  # lanes of each
    FILL: tl.constexpr,
    LAST: tl.constexpr,  # whether lanes merge at the end
):
    LANES: tl.constexpr = PROGRAMS * BLOCK
    n = tl.minimum(tl.maximum(tl.load(count_ptr), 0), M)
    if tl.program_id(0) >= PROGRAMS:
        i = (tl.program_id(0) - PROGRAMS) * FILL + tl.arange(0, FILL)
        tl.store(symbols_ptr + i, tl.zeros((FILL,), tl.int16), mask=(i >= n) & (i < M))
        return

    available = tl.minimum(tl.maximum(tl.load(n_words_ptr), 0), W)
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    lanes = tl.minimum(tl.maximum(tl.load(lanes_ptr), 1), LANES)
    mine = lane < lanes
    way = 1 - 2 * (lane & 1)
    x = tl.load(heads_ptr + lane).to(tl.uint32)
    at = tl.load(heads_ptr + LANES + lane).to(tl.int32)
    bad = tl.load(heads_ptr + 2 * LANES + lane) != 0
    one = tl.full((BLOCK,), 1, tl.uint32)

    word = _next_word(at, mine, available, words_ptr)
    handed = lane < 0
    r = tl.arange(0, BLOCK)
    until, stride = n, lanes
    if LAST:
        until = unmerged(n, lanes)
    width, groups = tl.where(until < n, tl.minimum(lanes, BLOCK), 1), tl.maximum(lanes // BLOCK, 1)
    first = tl.program_id(0) * BLOCK
    first = tl.where(first < lanes, first, n)
    following = tl.load(rows_ptr + first + r, mask=mine & (first + r < until), other=0)
    going = first < n
    while going:
        i = first + r
        ok = mine & (i < until)
        row = tl.minimum(following.to(tl.int32), ROWS - 1)
        following = tl.load(rows_ptr + i + stride, mask=mine & (i < until - stride), other=0)

        # the symbol k with cdf[k] <= low < cdf[k + 1]: in k .. k + more
        low = (x & 0xFFFF).to(tl.int32)
        table, bucket = cdf_ptr + row * 256, lut_ptr + row * 256 + (low >> 8)
        k = tl.load(bucket, mask=ok, other=0).to(tl.int32)  # 0 .. 254, as in any table that `lookup` makes
        more = tl.load(bucket + 1, mask=ok & (low < 0xFF00), other=254).to(tl.int32) - k
        more = tl.where(ok, more, 0)
        among, start, end = _among_four(k, more, low, table, ok)  # mostly so; its loads do not wait for the vote
        while tl.max(more, 0) > 3:
            k, more = _narrow(k, more, low, table, ok)
            among, start, end = _among_four(k, more, low, table, ok)
        k = among
        x = tl.where(ok, (end - start).to(tl.uint32) * (x >> 16) + (low - start).to(tl.uint32), x)
        needs = ok & (x < 0x10000)
        x, at, word, handed, bad = _refill(x, needs, at, word, handed, bad, way, mine, available, words_ptr)

        value = k - 127
        classes = row >= CLASS_ROWS
        if tl.max((ok & (classes | (k == 0) | (k == 254))).to(tl.int32), 0) > 0:
            size = tl.abs(value)
            bad |= ok & classes & (size > MAX_CLASS)
            kind = tl.minimum(size, MAX_CLASS)
            bits = tl.where(classes, tl.maximum(kind - 1, 0), tl.where(size == ESCAPE, 16, 0)).to(tl.uint32)
            raw = (x & ((one << bits) - 1)).to(tl.int32)
            x = tl.where(ok, x >> bits, x)
            needs = ok & (bits > 0) & (x < 0x10000)
            x, at, word, handed, bad = _refill(x, needs, at, word, handed, bad, way, mine, available, words_ptr)
            size = tl.where(classes, (one << kind).to(tl.int32) >> 1, size) + raw
            bad |= ok & (size > MAX_VALUE)
            value = tl.where(value < 0, -1, 1) * tl.minimum(size, MAX_VALUE)
        tl.store(symbols_ptr + i, value.to(tl.int16), mask=ok)
        first += stride
        going = first < until
        if (first >= until) & (width > 1):
            width = width >> 1
            bad |= handed & (word != 0)
            x, word, handed, bad = _merge(x, word, bad, r, width)
            mine = handed
            stride = groups * width
            first = until + tl.program_id(0) * width
            until += stride * MERGE_STEPS
            following = tl.load(rows_ptr + first + r, mask=mine, other=0)
            going = first < until
    bad |= handed & (word != 0)

    tl.store(heads_out_ptr + lane, x.to(tl.int64))
    tl.store(heads_out_ptr + LANES + lane, at.to(tl.int64))
    tl.store(heads_out_ptr + 2 * LANES + lane, bad.to(tl.int64))


def run(
    words: Tensor,
    n_words: Tensor,
    heads: Tensor,
    lanes: Tensor,
    rows: Tensor,
    count: Tensor,
    cdf: Tensor,
    lut: Tensor,
    last: bool,
    out: tuple[Tensor, ...],
) -> None:
    """Operands as in the contract, checked and contiguous."""
    M = len(rows)
    operands = (words, n_words, heads, lanes, rows, count, cdf, lut, *out)
    grid = (PROGRAMS + triton.cdiv(M, FILL),)
    _rans_decode[grid](*operands, len(words), M, len(cdf), PROGRAMS=PROGRAMS, FILL=FILL, LAST=last, **TILE)
