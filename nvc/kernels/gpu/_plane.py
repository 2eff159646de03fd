"""Samples of a plane at any coordinates, one at a time or four.

Four samples, wherever in a row they begin, are a PRMT of two words; the sum of their distances from four others is a
VABSDIFF4 (on sm_120, four instructions). Triton has no operation for either.
"""

import triton
import triton.language as tl


@triton.jit
def clamped(v, size):
    """Coordinates v limited to 0 .. size - 1."""
    return tl.minimum(tl.maximum(v, 0), size - 1)


@triton.jit
def offset(row, column, W):
    """In a plane of less than 2^32 samples."""
    return (row * W + column).to(tl.uint32).to(tl.int64)


@triton.jit
def pixels(plane_ptr, row, column, H, W):
    """int32: uint8 [H, W] plane at int32 coordinates, whatever they are: they are clamped to it."""
    return tl.load(plane_ptr + offset(clamped(row, H), clamped(column, W), W)).to(tl.int32)


@triton.jit
def add_distance(total, a, b):
    """uint32 total + |a0 - b0| + .. + |a3 - b3|, of the bytes of uint32 a and b."""
    return tl.inline_asm_elementwise(
        "vabsdiff4.u32.u32.u32.add $0, $1, $2, $3;",
        "=r,r,r,r",
        [a, b, total],
        dtype=tl.uint32,
        is_pure=True,
        pack=1,
    )


@triton.jit
def chosen(low, high, selector):
    """uint32: byte k is number (selector >> 4 k) & 7 of the eight bytes of low and high."""
    return tl.inline_asm_elementwise(
        "prmt.b32 $0, $1, $2, $3;", "=r,r,r,r", [low, high, selector], dtype=tl.uint32, is_pure=True, pack=1
    )


@triton.jit
def aligned(plane_ptr, row, column, W):
    """uint32: four samples of a uint8 [., W] plane, from `column` on, a multiple of 4."""
    return tl.load((plane_ptr + offset(row, column, W)).to(tl.pointer_type(tl.uint32)))


@triton.jit
def columns(left, width, stride):
    """(first, selector) of samples left .. left + 3, limited to 0 .. width - 1: where they are among the eight from
    column `first` on. stride: of rows, a multiple of 4 and at least 8."""
    first = tl.minimum(clamped(left, width) & -4, stride - 8)
    selector = clamped(left, width) - first
    for k in tl.static_range(1, 4):
        selector |= (clamped(left + k, width) - first) << (4 * k)
    return first, selector.to(tl.uint32)


@triton.jit
def eight(plane_ptr, row, first, height, stride):
    """(low, high), uint32: eight samples of rows, limited to 0 .. height - 1, of a plane of less than 2^32 bytes."""
    row = clamped(row, height)
    return aligned(plane_ptr, row, first, stride), aligned(plane_ptr + 4, row, first, stride)


@triton.jit
def words(plane_ptr, row, first, selector, height, stride):
    """uint32: the four samples of rows that `columns` describes."""
    low, high = eight(plane_ptr, row, first, height, stride)
    return chosen(low, high, selector)
