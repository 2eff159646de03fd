"""Device code of pack_s8: one program moves COLUMNS positions of one row of blocks, 96 bytes each.

Samples come as rows of the planes, 8 x 512 bytes of luma at 64 positions, and leave as runs of 64, 16 and 16 channels;
the transposition goes through shared memory. The edge is a select after the load, not a limited address, which would
break the wide loads up. Memory alone limits it: 1080p is 4 x 136 programs and 6 MB both ways, under 2 us.
"""

import triton
import triton.language as tl
from torch import Tensor

TILE = {"COLUMNS": 64, "num_warps": 4}


@triton.jit
def _squares(plane_ptr, stride, H, W, SIDE: tl.constexpr, COLUMNS: tl.constexpr):
    """int8 [COLUMNS, SIDE^2]: the program's SIDE x SIDE squares of a plane [H, W], edges repeated, less 128."""
    row = tl.minimum(tl.program_id(1) * SIDE + tl.arange(0, SIDE), H - 1)
    column = tl.program_id(0) * COLUMNS * SIDE + tl.arange(0, COLUMNS * SIDE)
    at = plane_ptr + row.to(tl.int64)[:, None] * stride
    inside = (column < W)[None, :]
    s = tl.where(inside, tl.load(at + column[None, :], mask=inside, other=0), tl.load(at + (W - 1)))
    s = tl.permute(tl.reshape(s, (SIDE, COLUMNS, SIDE)), (1, 0, 2))
    return (tl.reshape(s, (COLUMNS, SIDE * SIDE)).to(tl.int32) - 128).to(tl.int8)


@triton.jit
def _pack_s8(
    # inputs, columns contiguous
    y_ptr,  # uint8 [H, W]
    u_ptr,  # uint8 [hc, wc]
    v_ptr,  # uint8 [hc, wc]
    # output
    out_ptr,  # int8 [h, w, 96], channels contiguous
    # sizes, then strides in elements
    H,
    W,
    hc,
    wc,
    w,
    stride_y,
    stride_u,
    stride_v,
    stride_or,
    stride_oc,
    # tile
    COLUMNS: tl.constexpr,
):
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    at = out_ptr + (tl.program_id(1).to(tl.int64) * stride_or + c.to(tl.int64) * stride_oc)[:, None]
    ok, wide, narrow = (c < w)[:, None], tl.arange(0, 64)[None, :], tl.arange(0, 16)[None, :]
    tl.store(at + wide, _squares(y_ptr, stride_y, H, W, 8, COLUMNS), mask=ok)
    tl.store(at + 64 + narrow, _squares(u_ptr, stride_u, hc, wc, 4, COLUMNS), mask=ok)
    tl.store(at + 80 + narrow, _squares(v_ptr, stride_v, hc, wc, 4, COLUMNS), mask=ok)


def run(y: Tensor, u: Tensor, v: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked; columns of the planes and channels of `out` contiguous."""
    (h, w, _), sizes = out.shape, (*y.shape, *u.shape, out.shape[1])
    grid = (triton.cdiv(w, TILE["COLUMNS"]), h)
    strides = y.stride(0), u.stride(0), v.stride(0), out.stride(0), out.stride(1)
    _pack_s8[grid](y, u, v, out, *sizes, *strides, **TILE)
