"""Device code of rans_decode: program 0 decodes the segment, the others write the zeros behind its last symbol.

A step of all lanes waits for the step before it, so latency is all there is: no other multiprocessor can help, and
bytes and multiplies do not count. Therefore
- a warp has 64 lanes, two in a thread (see TILE): two independent chains hide each other's latency;
- rows of the next step are loaded before this step needs its own;
- tables (92 KB for 72 rows) stay in the first-level cache of the one multiprocessor. The lookup table leaves a range of
  symbols, mostly one or two; the first quarter of it is taken without asking whether any lane needs that, and three
  loads at a time are hardly slower than one;
- raw bits are a branch: steps of latents seldom have any.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._rans import CLASS_ROWS, ESCAPE, MAX_CLASS, MAX_VALUE, TILE

FILL = 2048  # zeros of a filling program


@triton.jit
def _refill(x, needs, at, available, bad, words_ptr):
    """The words of a sub-step, one for each lane in `needs`: (states, word position, lanes in error) after it."""
    ones = needs.to(tl.int32)
    here = at + tl.cumsum(ones, 0) - ones
    past = here >= available
    word = tl.load(words_ptr + here, mask=needs & (here >= 0) & (here < available), other=0).to(tl.uint32)
    return tl.where(needs, (x << 16) | word, x), at + tl.sum(ones, 0), bad | (needs & past)


@triton.jit
def _quarter(k, more, low, table):
    """A quarter of the symbols k .. k + more that `low` may stand for: the one it is in."""
    q = (more + 4) >> 2  # at least a quarter, rounded up
    below = tl.zeros(k.shape, tl.int32)
    for i in tl.static_range(1, 4):
        below += (tl.load(table + k + i * q, mask=i * q <= more, other=0x10000) <= low).to(tl.int32)
    return k + below * q, tl.minimum(q - 1, more - below * q)


@triton.jit
def _rans_decode(
    # inputs
    words_ptr,  # uint16 [W]
    n_words_ptr,  # int32 [1]
    states_ptr,  # int64 [BLOCK]
    lanes_ptr,  # int32 [1]
    cursor_ptr,  # int32 [2]
    rows_ptr,  # uint8 [M]
    count_ptr,  # int32 [1]
    cdf_ptr,  # int32 [ROWS, 256]
    lut_ptr,  # uint8 [ROWS, 256]
    # outputs
    symbols_ptr,  # int16 [M]
    states_out_ptr,  # int64 [BLOCK]
    cursor_out_ptr,  # int32 [2]
    # sizes
    W,
    M,
    ROWS,
    # tile
    BLOCK: tl.constexpr,  # lanes that there may be
    FILL: tl.constexpr,
):
    n = tl.minimum(tl.maximum(tl.load(count_ptr), 0), M)
    if tl.program_id(0) > 0:
        i = (tl.program_id(0) - 1) * FILL + tl.arange(0, FILL)
        tl.store(symbols_ptr + i, tl.zeros((FILL,), tl.int16), mask=(i >= n) & (i < M))
        return

    available = tl.minimum(tl.maximum(tl.load(n_words_ptr), 0), W)
    lane = tl.arange(0, BLOCK)
    lanes = tl.minimum(tl.maximum(tl.load(lanes_ptr), 1), BLOCK)
    mine = lane < lanes
    x = tl.load(states_ptr + lane).to(tl.uint32)
    at = tl.load(cursor_ptr)
    bad = mine & (tl.load(cursor_ptr + 1) != 0)  # lanes that met an error
    one = tl.full((BLOCK,), 1, tl.uint32)

    first = n * 0
    following = tl.load(rows_ptr + lane, mask=mine & (lane < n), other=0).to(tl.int32)
    while first < n:
        ok = mine & (lane < n - first)
        row = tl.minimum(following, ROWS - 1)
        following = tl.load(rows_ptr + first + lanes + lane, mask=mine & (lane < n - first - lanes), other=0).to(
            tl.int32
        )

        # the symbol k with cdf[k] <= low < cdf[k + 1]: in k .. k + more
        low = (x & 0xFFFF).to(tl.int32)
        table, bucket = cdf_ptr + row * 256, lut_ptr + row * 256 + (low >> 8)
        k = tl.load(bucket, mask=ok, other=0).to(tl.int32)
        more = tl.load(bucket + 1, mask=ok & (low < 0xFF00), other=254).to(tl.int32) - k
        k, more = _quarter(k, tl.where(ok, more, 0), low, table)
        while tl.max(more, 0) > 0:
            k, more = _quarter(k, more, low, table)
        k = tl.minimum(k, 254)  # holds with every lookup table; keeps a foreign one inside the row
        start = tl.load(table + k, mask=ok, other=0)
        end = tl.load(table + k + 1, mask=ok, other=0)
        x = tl.where(ok, (end - start).to(tl.uint32) * (x >> 16) + (low - start).to(tl.uint32), x)
        x, at, bad = _refill(x, ok & (x < 0x10000), at, available, bad, words_ptr)

        value = k - 127
        classes = row >= CLASS_ROWS
        if tl.max((ok & (classes | (k == 0) | (k == 254))).to(tl.int32), 0) > 0:
            size = tl.abs(value)
            bad |= ok & classes & (size > MAX_CLASS)
            kind = tl.minimum(size, MAX_CLASS)
            bits = tl.where(classes, tl.maximum(kind - 1, 0), tl.where(size == ESCAPE, 16, 0)).to(tl.uint32)
            raw = (x & ((one << bits) - 1)).to(tl.int32)
            x = tl.where(ok, x >> bits, x)
            x, at, bad = _refill(x, ok & (bits > 0) & (x < 0x10000), at, available, bad, words_ptr)
            size = tl.where(classes, (one << kind).to(tl.int32) >> 1, size) + raw
            bad |= ok & (size > MAX_VALUE)
            value = tl.where(value < 0, -1, 1) * tl.minimum(size, MAX_VALUE)
        tl.store(symbols_ptr + first + lane, value.to(tl.int16), mask=ok)
        first += lanes

    tl.store(states_out_ptr + lane, x.to(tl.int64))
    tl.store(cursor_out_ptr, at)
    tl.store(cursor_out_ptr + 1, tl.max(bad.to(tl.int32), 0))


def run(
    words: Tensor,
    n_words: Tensor,
    states: Tensor,
    lanes: Tensor,
    cursor: Tensor,
    rows: Tensor,
    count: Tensor,
    cdf: Tensor,
    lut: Tensor,
    out: tuple[Tensor, ...],
) -> None:
    """Operands as in the contract, checked and contiguous."""
    M = len(rows)
    operands = (words, n_words, states, lanes, cursor, rows, count, cdf, lut, *out)
    grid = (1 + triton.cdiv(M, FILL),)
    _rans_decode[grid](*operands, len(words), M, len(cdf), FILL=FILL, **TILE)
