"""Space-to-depth by two as the gather of a matrix product: shared by down2_s16, down2_u8 and down2_s8.

One program computes 4 x 16 output pixels x BLOCK_N channels. The steps of its loop are the four taps times slices of
BLOCK_C input channels; a step loads [64, BLOCK_C] of the picture and BLOCK_C x BLOCK_N weights, 8 KB each, and those of
the next steps are in flight meanwhile (num_stages). Blocks do not overlap: the picture is read once for every BLOCK_N
channels. 1080p, C = N = 256: 8 x 17 tiles x 2 programs, two at a time on each of 132 multiprocessors; 17 MB from HBM
(4 us), twice that from L2. The 8-bit view, about 6 instructions an element, costs as much: a larger BLOCK_N pays it
less often, but more than 64 x 128 accumulators leave no registers for a second program.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._fixed import view
from nvc.kernels.gpu._tile import block_n, tile_grid

TILE = {"num_warps": 4, "num_stages": 4}
MAX_BLOCK_C = 64


@triton.jit
def gathered_dot(
    x_ptr,  # int16 or int8 [H, W, C]
    w_ptr,  # int8 [N, K], K >= 4 C
    y,  # [64] output rows
    z,  # [64] output columns
    n,  # [BLOCK_N] output channels
    H,
    W,
    N: tl.constexpr,
    C: tl.constexpr,
    K: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_N: tl.constexpr,
    SLICES_LOG2: tl.constexpr,
):
    """int32 [64, BLOCK_N]: the sum over taps and channels. Pixels outside the result repeat pixels of the edge."""
    acc = tl.zeros((64, BLOCK_N), dtype=tl.int32)
    for step in range(4 << SLICES_LOG2):
        tap = step >> SLICES_LOG2
        c = (step & ((1 << SLICES_LOG2) - 1)) * BLOCK_C + tl.arange(0, BLOCK_C)
        i = tl.minimum(2 * y + (tap >> 1), H - 1)
        j = tl.minimum(2 * z + (tap & 1), W - 1)
        pixel = (i.to(tl.int64) * W + j) * C
        x = tl.load(x_ptr + pixel[:, None] + c[None, :], mask=(c < C)[None, :], other=0)
        a = view(x) if x_ptr.dtype.element_ty == tl.int16 else x
        w_ok = (n < N)[None, :] & (c < C)[:, None]
        w = tl.load(w_ptr + n[None, :] * K + tap * C + c[:, None], mask=w_ok, other=0)
        acc = tl.dot(a, w, acc, out_dtype=tl.int32)
    return acc


def plan(x: Tensor, N: int, together: bool = False) -> tuple[tuple[int, int, int], dict[str, int]]:
    """The grid for input x [H, W, C] and N output channels, in one program if `together`, and the compile-time sizes of
    `gathered_dot`."""
    H, W, C = x.shape
    h, w = (H + 1) >> 1, (W + 1) >> 1
    n = max(16, triton.next_power_of_2(N)) if together else block_n(h, w, N)
    c = min(MAX_BLOCK_C, max(32, triton.next_power_of_2(C)))  # 32: what an int8 tl.dot needs
    slices = triton.next_power_of_2(triton.cdiv(C, c)).bit_length() - 1
    return (*tile_grid(h, w), triton.cdiv(N, n)), {"BLOCK_C": c, "BLOCK_N": n, "SLICES_LOG2": slices, **TILE}
