"""Device code of vector_rows: one program has BLOCK blocks of one row of blocks.

Sixteen loads a block, all but two from L1, and nothing waits for anything: 1080p is 68 programs.
"""

import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels._tables import CONTEXT_LIMITS, CONTEXTS, OVERLAP_ROWS, OVERLAP_SETS, SCALE_ROWS, VECTOR_SETS
from nvc.kernels.gpu._mv import bit_length

TILE = {"BLOCK": 128, "num_warps": 4}

_LIMIT1, _LIMIT2, _LIMIT3, _LIMIT4 = map(tl.constexpr, CONTEXT_LIMITS)
_CONTEXTS, _FIRST, _SETS = map(tl.constexpr, (CONTEXTS, SCALE_ROWS, VECTOR_SETS))
_OVERLAP_FIRST, _OVERLAP_SETS = map(tl.constexpr, (OVERLAP_ROWS, OVERLAP_SETS))


@triton.jit
def _vector_rows(
    mv_ptr,  # int16 [bh, bw, 2]
    choice_ptr,  # uint8 [3]
    out_ptr,  # uint8 [bh, bw, 3]
    bh,
    bw,
    BLOCK: tl.constexpr,
):
    i = tl.program_id(1)
    j = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    ok = j < bw
    block = i.to(tl.int64) * bw + j
    y = tl.load(mv_ptr + 2 * block, mask=ok, other=0).to(tl.int32)
    x = tl.load(mv_ptr + 2 * block + 1, mask=ok, other=0).to(tl.int32)
    s = tl.zeros((BLOCK,), tl.int32)
    for n in tl.static_range(9):
        if n != 4:
            r = tl.minimum(tl.maximum(i + n // 3 - 1, 0), bh - 1)
            c = tl.minimum(tl.maximum(j + n % 3 - 1, 0), bw - 1)
            there = 2 * (r.to(tl.int64) * bw + c)
            s += bit_length(y - tl.load(mv_ptr + there, mask=ok, other=0).to(tl.int32))
            s += bit_length(x - tl.load(mv_ptr + there + 1, mask=ok, other=0).to(tl.int32))
    context = (s >= _LIMIT1).to(tl.int32) + (s >= _LIMIT2) + (s >= _LIMIT3) + (s >= _LIMIT4)
    for k in tl.static_range(3):
        first, last = (_FIRST, _SETS - 1) if k < 2 else (_OVERLAP_FIRST, _OVERLAP_SETS - 1)
        chosen = tl.minimum(tl.load(choice_ptr + k).to(tl.int32), last)
        tl.store(out_ptr + 3 * block + k, (context + first + _CONTEXTS * chosen).to(tl.uint8), mask=ok)


def run(mv: Tensor, choice: Tensor, out: Tensor) -> None:
    """Operands as in the contract, checked and contiguous."""
    bh, bw, _ = mv.shape
    _vector_rows[triton.cdiv(bw, TILE["BLOCK"]), bh](mv, choice, out, bh, bw, **TILE)
