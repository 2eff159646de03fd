"""Integer arithmetic of the Triton kernels, the device twin of nvc.kernels._fixed.

Two results limited to a narrower type and packed are one instruction of the machine, cvt.pack.sat, for which Triton has
no operation: comparisons, two for each result, were a fifth of what a block's program did. Under its interpreter, which
knows no inline assembly, `tests/ptx.py` runs the text.
"""

import triton
import triton.language as tl


@triton.jit
def requant(acc, bias, mult):
    """((acc + bias) * mult + 2^32) >> 33 as int32, for int32 operands with |acc + bias| < 2^31 and 0 <= mult < 2^31."""
    high = (((acc + bias).to(tl.int64) * mult.to(tl.int64)) >> 32).to(tl.int32)
    # (high + 1) >> 1, which ptxas would make a multiply-add of the 1, and for each set up a pair of registers anew
    return high - (high >> 1)


@triton.jit
def _byte(v, PTX: tl.constexpr):
    """int8 of int32 [..]: the word $0 that PTX makes of four values, $1 .. $4."""
    return tl.inline_asm_elementwise(PTX, "=r,r,r,r,r", [v], dtype=tl.int8, is_pure=True, pack=4)


@triton.jit
def two_bytes(v, PTX: tl.constexpr):
    """(int8, int8) of int32 [..]: the words $0 and $1 that PTX makes of four values, $2 .. $5."""
    return tl.inline_asm_elementwise(PTX, "=&r,=&r,r,r,r,r", [v], dtype=(tl.int8, tl.int8), is_pure=True, pack=4)


@triton.jit
def clamp8(v):
    """int8 of int32 [..]: -128 .. 127."""
    return _byte(v, "{ .reg .b32 t; cvt.pack.sat.s8.s32.b32 t, $4, $3, 0; cvt.pack.sat.s8.s32.b32 $0, $2, $1, t; }")


@triton.jit
def clamp16(v):
    """int16 of int32 [..]: -32768 .. 32767."""
    return tl.inline_asm_elementwise(
        "cvt.pack.sat.s16.s32 $0, $2, $1;", "=r,r,r", [v], dtype=tl.int16, is_pure=True, pack=2
    )


@triton.jit
def store_u8(v):
    """A ReLU result, int32, in its stored form: int8 clamp(v, 0, 255) - 128."""
    return _byte(
        v,
        "{ .reg .b32 t; cvt.pack.sat.u8.s32.b32 t, $4, $3, 0; cvt.pack.sat.u8.s32.b32 t, $2, $1, t; "
        "xor.b32 $0, t, 0x80808080; }",
    )


@triton.jit
def view(x):
    """The 8-bit view of an int16 stream: clamp((x + 4) >> 3, -128, 127). That of int32 values of less than 2^31 - 4 is
    the same before they are limited to 16 bits, as it is after."""
    return clamp8((x.to(tl.int32) + 4) >> 3)
