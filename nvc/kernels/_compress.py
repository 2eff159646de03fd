"""Moving the chosen elements of a vector together, and apart again, where the CPU has instructions for it (AVX-512
VBMI2); written out by the compiler they would be slower than a loop."""

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from nvc.kernels._vector import I8, I16, I32, I64, available, emitted, intrinsic

LANES = 32
AVAILABLE = available("avx512vbmi2")


def _chosen(v, index, i, skip):
    """<32 x i1>: whether index[i + lane] > skip, and in how many lanes."""
    rows = v.zext(v.load(index, i, I8, LANES), I16)
    mask = v.b.icmp_signed(">", rows, v.splat(v.b.trunc(skip, I16), LANES))
    bits = v.b.bitcast(mask, I32)
    count = v.b.ctpop(bits)
    return mask, v.b.zext(count, I64)


@intrinsic
def compress(typingctx, x, index, i, skip, out, n):
    """Those of 32 elements of x from i on whose index is above skip, to out from n on; returns how many. What they
    leave of 32 elements of out is overwritten."""

    def emit(v, x, index, i, skip, out, n):
        mask, count = _chosen(v, index, i, skip)
        values = v.load(x, i, x.type.pointee, LANES)
        name = f"llvm.experimental.vector.compress.v{LANES}i{x.type.pointee.width}"
        v.store(v.call(name, values.type, [values, mask, v.constant(values, 0)]), out, n)
        return count

    return emitted(types.intp, (x, index, i, skip, out, n), emit)


@intrinsic
def expand(typingctx, x, n, index, i, skip, out):
    """The next elements of int16 x from n on to those of 32 places of out, from i on, whose index is above skip; zeros
    to the others. Returns how many."""

    def emit(v, x, n, index, i, skip, out):
        mask, count = _chosen(v, index, i, skip)
        kind = ir.VectorType(I16, LANES)
        values = v.call(f"llvm.masked.expandload.v{LANES}i16", kind, [v.b.gep(x, [n]), mask, ir.Constant(kind, None)])
        v.store(values, out, i)
        return count

    return emitted(types.intp, (x, n, index, i, skip, out), emit)
