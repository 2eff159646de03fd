"""What the two coders share on the device: kinds of table rows, and how lanes are laid over warps."""

import triton
import triton.language as tl

CLASS_ROWS = tl.constexpr(64)  # rows from here on are classes, those below Gaussian scales
ESCAPE = tl.constexpr(127)  # size of the table symbol that stands for everything larger, in a Gaussian row
MAX_VALUE = tl.constexpr(32767)


def blocks(lanes: int) -> dict[str, int]:
    """Tile of `lanes` lanes: at least a warp, and 64 lanes to a warp.

    More warps would shorten no chain but add a barrier to every prefix sum; fewer would make a thread issue more than
    the latency of its loads can hide.
    """
    return {"BLOCK": max(32, lanes), "num_warps": max(1, lanes // 64)}


@triton.jit
def raw_bits(row, size):
    """Number of raw bits after a table symbol of this size (int32, 0 .. 127)."""
    classes = tl.maximum(tl.minimum(size, 15) - 1, 0)
    return tl.where(row >= CLASS_ROWS, classes, tl.where(size == ESCAPE, 16, 0))


@triton.jit
def magnitude(row, size):
    """The smallest value that a table symbol of this size stands for; its raw bits are added."""
    # int32 [..]: 0 for class 0, 2^(class - 1) for the others
    classes = (tl.full(size.shape, 1, tl.int32) << tl.minimum(size, 15)) >> 1
    return tl.where(row >= CLASS_ROWS, classes, size)
