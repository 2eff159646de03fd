"""Integer arithmetic of the Triton kernels, the device twin of nvc.kernels._fixed."""

import triton
import triton.language as tl


@triton.jit
def requant(acc, bias, mult):
    """((acc + bias) * mult + 2^32) >> 33 as int32, for int32 operands with |acc + bias| < 2^31 and 0 <= mult < 2^31."""
    high = (((acc + bias).to(tl.int64) * mult.to(tl.int64)) >> 32).to(tl.int32)  # one wide multiply-add, high word
    return (high + 1) >> 1


@triton.jit
def clamp8(v):
    return tl.minimum(tl.maximum(v, -128), 127).to(tl.int8)


@triton.jit
def clamp16(v):
    return tl.minimum(tl.maximum(v, -32768), 32767).to(tl.int16)


@triton.jit
def store_u8(v):
    """A ReLU result in its stored form: clamp(v, 0, 255) - 128."""
    return (tl.minimum(tl.maximum(v, 0), 255) - 128).to(tl.int8)


@triton.jit
def view(x):
    """The 8-bit view of an int16 stream: clamp((x + 4) >> 3, -128, 127)."""
    return clamp8((x.to(tl.int32) + 4) >> 3)
