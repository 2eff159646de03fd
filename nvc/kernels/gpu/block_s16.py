"""Device code of block_s16: one program takes a tile of pixels through the whole chain, from h to the stream and, where
a layer follows, to its results: the view of the stream is in registers, and to read it again would be a launch.

Between the two halves of a block only h and the stream touch memory; d, x1, its view, the hidden sums and s stay in
registers and shared memory. Above 128 channels the sums of a stream would take all registers: layers that add to it
then go in pieces of 64 channels, through `out`, where no other program reads or writes the pixels of this one, and the
depthwise and hidden layers in two halves.

1080p, C = 128: 255 programs of 8 x 16 pixels; each reads 49 KB of weights from L2 (13 MB in all: 2.3 us), the picture
moves 576 bytes a pixel (19 MB: 4.3 us) for 57 KMAC (1.9 GMAC: 2.5 us). The integer units have more to do: 9 taps of
K channels and 3 C + K requantisations a pixel. 64 pixels are one matrix instruction of a warp group of four
warps; tiles of 4 x 16 read the weights twice as often, but pictures that have fewer large tiles than there are
multiprocessors take them. At C = 256 the weights are four times as many. No tile spills on any architecture.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._fixed import clamp8, clamp16, requant, store_u8, view
from nvc.kernels.gpu._tile import COLUMNS, MULTIPROCESSORS, ROWS

GROUPS = 4  # of hidden channels that are summed
PIECE = 64
WHOLE = 128  # channels of a stream that four warps hold for 64 pixels


@triton.jit
def _requant(acc, bias_ptr, mult_ptr, n, ok):
    bias = tl.load(bias_ptr + n, mask=ok, other=0)
    mult = tl.load(mult_ptr + n, mask=ok, other=0)
    return requant(acc, bias[None, :], mult[None, :])


@triton.jit
def _pixel(h_ptr, y, x, k, H, W, K: tl.constexpr, ROWS: tl.constexpr):
    """int8 [4 ROWS, k] of pixels (y, x) of h_ptr, the tile's first; outside the picture h is -128."""
    top, left = tl.program_id(1) * ROWS, tl.program_id(0) * 16
    ok = ((top + y >= 0) & (top + y < H) & (left + x >= 0) & (left + x < W))[:, None] & (k < K)[None, :]
    return tl.load(h_ptr + ((y * W + x) * K)[:, None] + k[None, :], mask=ok, other=-128)


def _taps() -> tuple[str, str]:
    """PTX and constraints of its operands: sums of four neighbours, four channels each, and what a row of taps adds.

    $0 .. $15 are the sums, four of each neighbour; $16 .. $21 six pixels from the one before the neighbours on, and
    $22 .. $24 the weights of the taps, four channels each; then the sums before. Bytes are transposed, so that a word
    has four pixels of a channel: DP4A multiplies all that two neighbours need, with the weights once at the front and
    once at the back. Triton has neither. One by one, a byte costs as much to widen as to multiply.
    """
    lines = [".reg .b32 u<4>, a<4>, b<4>, f<4>, w<4>;"]

    def transpose(to: str, *rows: str) -> None:
        for n, (upper, lower) in enumerate((rows[:2], rows[2:])):
            for half, order in enumerate(("0x5140", "0x7362")):
                lines.append(f"prmt.b32 u{2 * half + n}, {upper}, {lower}, {order};")
        for channel in range(4):
            order, half = ("0x5410", "0x7632")[channel & 1], channel >> 1
            lines.append(f"prmt.b32 {to}{channel}, u{2 * half}, u{2 * half + 1}, {order};")

    transpose("a", *(f"${16 + n}" for n in range(4)))
    transpose("b", *(f"${18 + n}" for n in range(4)))
    transpose("f", *(f"${22 + n}" for n in range(3)), "0")
    for channel in range(4):
        lines.append(f"shl.b32 w{channel}, f{channel}, 8;")
        for neighbour in range(4):
            total, pixels, weights = 4 * neighbour + channel, "ab"[neighbour >> 1], "fw"[neighbour & 1]
            lines.append(f"dp4a.s32.s32 ${total}, {pixels}{channel}, {weights}{channel}, ${25 + total};")
    return "{ " + " ".join(lines) + " }", ",".join(["=&r"] * 16 + ["r"] * 25)


TAPS, TAPS_OPERANDS = (tl.constexpr(text) for text in _taps())


@triton.jit
def _depthwise(h_ptr, w_ptr, bias_ptr, mult_ptr, k, H, W, K: tl.constexpr, ROWS: tl.constexpr):
    """int8 [16 ROWS, k]: channels k of the depthwise layer. A thread has four neighbours in a row, a0..a3."""
    i, k_ok = tl.arange(0, 4 * ROWS), k < K
    a0 = tl.zeros((4 * ROWS, k.shape[0]), dtype=tl.int32)
    a1, a2, a3 = a0, a0, a0
    for dy in range(3):
        w0 = tl.load(w_ptr + 3 * dy * K + k, mask=k_ok, other=0)[None, :]
        w1 = tl.load(w_ptr + (3 * dy + 1) * K + k, mask=k_ok, other=0)[None, :]
        w2 = tl.load(w_ptr + (3 * dy + 2) * K + k, mask=k_ok, other=0)[None, :]
        y, x = (i >> 2) + dy - 1, (i & 3) * 4
        h0 = _pixel(h_ptr, y, x - 1, k, H, W, K, ROWS)
        h1 = _pixel(h_ptr, y, x, k, H, W, K, ROWS)
        h2 = _pixel(h_ptr, y, x + 1, k, H, W, K, ROWS)
        h3 = _pixel(h_ptr, y, x + 2, k, H, W, K, ROWS)
        h4 = _pixel(h_ptr, y, x + 3, k, H, W, K, ROWS)
        h5 = _pixel(h_ptr, y, x + 4, k, H, W, K, ROWS)
        a0, a1, a2, a3 = tl.inline_asm_elementwise(
            TAPS,
            TAPS_OPERANDS,
            [h0, h1, h2, h3, h4, h5, w0, w1, w2, a0, a1, a2, a3],
            dtype=(tl.int32, tl.int32, tl.int32, tl.int32),
            is_pure=True,
            pack=4,
        )
    a0 = clamp8(_requant(a0, bias_ptr, mult_ptr, k, k_ok))
    a1 = clamp8(_requant(a1, bias_ptr, mult_ptr, k, k_ok))
    a2 = clamp8(_requant(a2, bias_ptr, mult_ptr, k, k_ok))
    a3 = clamp8(_requant(a3, bias_ptr, mult_ptr, k, k_ok))
    d = tl.join(tl.join(a0, a2), tl.join(a1, a3))  # [4 ROWS, k, 2, 2]
    return tl.permute(d, (0, 2, 3, 1)).reshape(16 * ROWS, k.shape[0])


@triton.jit
def _transposed(w_ptr, k, n, K: tl.constexpr, N):
    """int8 [k, n] of weights [N, K]."""
    return tl.load(w_ptr + n[None, :] * K + k[:, None], mask=(k < K)[:, None] & (n < N)[None, :], other=0)


@triton.jit
def _product(a, b, k, n, w_ptr, K: tl.constexpr, N: tl.constexpr):
    """int32 [pixels, n]: channels k, which are in a, and where K has more, the next as many, in b, times weights
    [N, K]."""
    half: tl.constexpr = k.shape[0]
    acc = tl.dot(a, _transposed(w_ptr, k, n, K, N), out_dtype=tl.int32)
    if half < K:
        acc = tl.dot(b, _transposed(w_ptr, k + half, n, K, N), acc, out_dtype=tl.int32)
    return acc


@triton.jit
def _added(x, a, b, k, c, w_ptr, bias_ptr, mult_ptr, C: tl.constexpr, K: tl.constexpr):
    """int32 [pixels, c]: the stream x and what the layer makes of channels k (a and b, see `_product`), before the sums
    are limited to 16 bits."""
    acc = _product(a, b, k, c, w_ptr, K, C)
    return x.to(tl.int32) + _requant(acc, bias_ptr, mult_ptr, c, c < C)


@triton.jit
def _add_pieces(
    x_ptr, out_ptr, at, ok, a, b, k, w_ptr, bias_ptr, mult_ptr, C: tl.constexpr, K: tl.constexpr, PIECE: tl.constexpr
):
    """`_added` from memory to memory, limited."""
    for start in range(0, C, PIECE):
        c = start + tl.arange(0, PIECE)
        place, inside = at + c[None, :], ok & (c < C)[None, :]
        x = tl.load(x_ptr + place, mask=inside, other=0)
        total = _added(x, a, b, k, c, w_ptr, bias_ptr, mult_ptr, C, K)
        tl.store(out_ptr + place, clamp16(total), mask=inside)
    tl.debug_barrier()  # other threads may read it than wrote it


@triton.jit
def _hidden(a, c, s, w_ptr, bias_ptr, mult_ptr, groups, C: tl.constexpr, K: tl.constexpr):
    """int8 [pixels, s]: channels s of the sums over groups of the hidden layer."""
    total = tl.zeros((a.shape[0], s.shape[0]), dtype=tl.int32)
    # `groups` is data: a loop whose length it knows is unrolled by ptxas 12.8, which then keeps the loads of all groups
    # in registers, and for sm_90 loses the products of two
    for group in range(groups):
        n = group * K + s
        g = tl.dot(a, _transposed(w_ptr, c, n, C, (group + 1) * K), out_dtype=tl.int32)
        total += tl.maximum(g + tl.load(bias_ptr + n, mask=s < K, other=0)[None, :], 0)
    mult = tl.load(mult_ptr + s, mask=s < K, other=0)
    return store_u8(requant(total, 0, mult[None, :]))


@triton.jit(do_not_specialize=["groups"])
def _block_s16(
    # inputs
    h_ptr,  # int8 [H, W, K]
    x_ptr,  # int16 [H, W, C]
    w_dw_ptr,  # int8 [9, K]
    bias_dw_ptr,  # int32 [K]
    mult_dw_ptr,  # int32 [K]
    w_proj_ptr,  # int8 [C, K]
    bias_proj_ptr,  # int32 [C]
    mult_proj_ptr,  # int32 [C]
    w_up_ptr,  # int8 [2 C, C]
    bias_up_ptr,  # int32 [2 C]
    mult_up_ptr,  # int32 [K]
    w_down_ptr,  # int8 [C, K]
    bias_down_ptr,  # int32 [C]
    mult_down_ptr,  # int32 [C]
    w_next_ptr,  # int8 [N, C], or None, and so on
    bias_next_ptr,  # int32 [N]
    mult_next_ptr,  # int32 [N]
    # output
    out_ptr,  # int16 [H, W, C], may be x: a program reads no other pixels of x than it writes
    next_ptr,  # int8 [H, W, N]
    # sizes
    H,
    W,
    groups,  # GROUPS
    C: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,  # 0 where no layer follows
    # tile
    ROWS: tl.constexpr,  # of 16 pixels
    BLOCK_C: tl.constexpr,  # power of two >= C, at least 32
    BLOCK_K: tl.constexpr,  # power of two >= K or, above 64, its half; at least 32
    BLOCK_N: tl.constexpr,  # power of two, at least 16
    PIECE: tl.constexpr,  # channels of the stream at a time: BLOCK_C, or fewer, and then through memory
):
    c, k = tl.arange(0, BLOCK_C), tl.arange(0, BLOCK_K)
    i = tl.arange(0, 16 * ROWS)
    y, x = tl.program_id(1) * ROWS + (i >> 4), tl.program_id(0) * 16 + (i & 15)
    # 64-bit addresses for the tile's first pixel alone: the others lie at 32-bit offsets, which take half the registers
    first = tl.program_id(1).to(tl.int64) * ROWS * W + tl.program_id(0) * 16
    h_ptr += first * K
    x_ptr += first * C
    out_ptr += first * C
    at, ok = ((i >> 4) * W + (i & 15))[:, None] * C, ((y < H) & (x < W))[:, None]
    place, inside = at + c[None, :], ok & (c < C)[None, :]

    d0 = _depthwise(h_ptr, w_dw_ptr, bias_dw_ptr, mult_dw_ptr, k, H, W, K, ROWS)
    d1 = d0
    if BLOCK_K < K:
        d1 = _depthwise(h_ptr, w_dw_ptr, bias_dw_ptr, mult_dw_ptr, k + BLOCK_K, H, W, K, ROWS)
    if PIECE < BLOCK_C:
        _add_pieces(x_ptr, out_ptr, at, ok, d0, d1, k, w_proj_ptr, bias_proj_ptr, mult_proj_ptr, C, K, PIECE)
        x1 = tl.load(out_ptr + place, mask=inside, other=0)
        a = view(x1)
    else:
        x1 = tl.load(x_ptr + place, mask=inside, other=0)
        total = _added(x1, d0, d1, k, c, w_proj_ptr, bias_proj_ptr, mult_proj_ptr, C, K)
        a, x1 = view(total), clamp16(total)
    s0 = _hidden(a, c, k, w_up_ptr, bias_up_ptr, mult_up_ptr, groups, C, K)
    s1 = s0
    if BLOCK_K < K:
        s1 = _hidden(a, c, k + BLOCK_K, w_up_ptr, bias_up_ptr, mult_up_ptr, groups, C, K)

    # places anew, from a width that the compiler does not know to be W: it would keep those of x, and spill
    width = tl.maximum(W, 1)
    y, x = tl.program_id(1) * ROWS + (i >> 4), tl.minimum(tl.program_id(0), width) * 16 + (i & 15)
    pixel, ok = ((i >> 4) * width + (i & 15))[:, None], ((y < H) & (x < width))[:, None]
    at = pixel * C
    place, inside = at + c[None, :], ok & (c < C)[None, :]
    if PIECE < BLOCK_C:
        tl.debug_barrier()  # all have read x1
        _add_pieces(out_ptr, out_ptr, at, ok, s0, s1, k, w_down_ptr, bias_down_ptr, mult_down_ptr, C, K, PIECE)
    else:
        total = _added(x1, s0, s1, k, c, w_down_ptr, bias_down_ptr, mult_down_ptr, C, K)
        tl.store(out_ptr + place, clamp16(total), mask=inside)

    if N > 0:
        a = view(total) if PIECE == BLOCK_C else view(tl.load(out_ptr + place, mask=inside, other=0))
        for start in range(0, N, BLOCK_N):
            n = start + tl.arange(0, BLOCK_N)
            acc = _product(a, a, c, n, w_next_ptr, C, N)
            u = store_u8(_requant(acc, bias_next_ptr, mult_next_ptr, n, n < N))
            tl.store(next_ptr + first * N + pixel * N + n[None, :], u, mask=ok & (n < N)[None, :])


def run(h: Tensor, x: Tensor, *rest: Tensor | None) -> None:
    """Operands as in the contract, checked and contiguous: h, x, the tables in their order, then out and next."""
    H, W, C = x.shape
    K, N = C // 2, 0 if rest[-1] is None else rest[-1].shape[2]
    block_c, block_k = (max(32, triton.next_power_of_2(n)) for n in (C, K))
    block_n = min(64, max(16, triton.next_power_of_2(N)))
    blocks = {"BLOCK_C": block_c, "BLOCK_K": min(block_k, 64), "BLOCK_N": block_n}
    blocks["PIECE"] = block_c if C <= WHOLE else PIECE
    large = triton.cdiv(W, COLUMNS), triton.cdiv(H, 2 * ROWS)
    rows = 2 * ROWS if large[0] * large[1] >= MULTIPROCESSORS else ROWS
    grid = large[0], triton.cdiv(H, rows)
    _block_s16[grid](h, x, *rest, H, W, GROUPS, C, K, N, ROWS=rows, **blocks, num_warps=rows, num_stages=1)
