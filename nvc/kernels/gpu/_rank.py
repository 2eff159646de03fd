"""Prefix sums over `index > skip` for compact and scatter: the one dependency that spans the whole grid.

Two launches: the first writes how many elements of each chunk are coded, then every program of the second adds up the
counts of the chunks before its own (at 1080p 638 of them, 3 KB from L2) and ranks its chunk with a scan. A single
launch that counts everything before a chunk again would have its last program read the whole index, 3 MB through one
multiprocessor: more than 10 us, against about 2 us for a launch. The counts are the only scratch: one int32 a chunk.

Chunk: 16 bytes of index a thread, or 4 bytes where so few programs would leave multiprocessors idle. Eight warps where
there are plenty: every program reads all counts, and with twice the threads these are half as many.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from nvc.kernels.gpu._tile import MULTIPROCESSORS

LARGE, MEDIUM, SMALL = ({"CHUNK": c, "num_warps": w} for c, w in ((4096, 8), (2048, 4), (512, 4)))


@triton.jit
def within(position, first, CHUNK: tl.constexpr):
    """int32: where position is in a chunk that begins with number `first`, 0 before it, CHUNK behind it."""
    return tl.minimum(tl.maximum(position - first, 0), CHUNK).to(tl.int32)


@triton.jit
def _count(index_ptr, counts_ptr, M, skip, CHUNK: tl.constexpr):
    first, n = tl.program_id(0).to(tl.int64) * CHUNK, tl.arange(0, CHUNK)
    ok = n < within(M, first, CHUNK)
    coded = ok & (tl.load(index_ptr + first + n, mask=ok, other=0).to(tl.int32) > skip)
    tl.store(counts_ptr + tl.program_id(0), tl.sum(coded.to(tl.int32), axis=0))


@triton.jit
def ranked(index_ptr, counts_ptr, M, skip, CHUNK: tl.constexpr, BLOCK_K: tl.constexpr):
    """Of this program's chunk the number of its first element; of each of its places whether there is an element, its
    index, whether it is coded and how many before it are; and how many are in all."""
    first, n = tl.program_id(0).to(tl.int64) * CHUNK, tl.arange(0, CHUNK)
    ok = n < within(M, first, CHUNK)
    index = tl.load(index_ptr + first + n, mask=ok, other=0)
    coded = ok & (index.to(tl.int32) > skip)
    k = tl.arange(0, BLOCK_K)
    counts = tl.load(counts_ptr + k, mask=k < tl.num_programs(0), other=0)
    before = tl.sum(tl.where(k < tl.program_id(0), counts, 0), axis=0)
    ones = coded.to(tl.int32)
    return first, ok, index, coded, before + tl.cumsum(ones, axis=0) - ones, tl.sum(counts, axis=0)


def count(index: Tensor, skip: int) -> tuple[Tensor, tuple[int], dict[str, int]]:
    """The first launch for index [M]; the counts, and grid and compile-time sizes of the second one."""
    M = index.shape[0]
    each = M // MULTIPROCESSORS  # elements of a multiprocessor
    tile = LARGE if each >= 4 * LARGE["CHUNK"] else MEDIUM if each >= MEDIUM["CHUNK"] else SMALL
    grid = (max(1, triton.cdiv(M, tile["CHUNK"])),)  # one for an empty index too: it has a count to write
    counts = torch.empty(grid, dtype=torch.int32, device=index.device)
    _count[grid](index, counts, M, skip, **tile)
    return counts, grid, {"BLOCK_K": triton.next_power_of_2(grid[0]), **tile}
