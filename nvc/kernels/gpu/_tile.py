"""Tiles of pixels of the kernels that gather or move pixels: 4 rows of 16, addressed with shifts, never a division.

64 pixels are the M of Hopper's matrix instruction for one warp group: the smallest tile that uses it whole.
"""

import triton
import triton.language as tl

ROWS, COLUMNS = 4, 16
MULTIPROCESSORS = 132  # of an H200: a grid below that leaves some idle


@triton.jit
def tile_pixels():
    """int32 (row, column) [64] of the pixels of this program: program axis 0 counts tiles along a row, axis 1 down."""
    i = tl.arange(0, 64)
    return tl.program_id(1) * 4 + (i >> 4), tl.program_id(0) * 16 + (i & 15)


def tile_grid(height: int, width: int) -> tuple[int, int]:
    """Programs along axes 0 and 1 that cover a picture."""
    return triton.cdiv(width, COLUMNS), triton.cdiv(height, ROWS)


def block_n(height: int, width: int, N: int, parts: int = 1) -> int:
    """Output channels of a program, a power of two from 16 to 128, or to 64 where multiprocessors would idle."""
    block = min(128, max(16, triton.next_power_of_2(N)))
    columns, rows = tile_grid(height, width)
    idle = columns * rows * parts * triton.cdiv(N, block) < MULTIPROCESSORS
    return block // 2 if idle and block == 128 else block
