"""Vector instructions for numba loops, as portable LLVM: loops over 16x16 samples and the like stay scalar otherwise.

Arrays are C-contiguous; offsets and strides count elements from the first and are not checked.
"""

import platform
from typing import Any

from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import extending, types
from numba.core import cgutils

intrinsic: Any = extending.intrinsic  # its type keeps the typing context among the arguments of a call
I8, I16, I32, I64 = (ir.IntType(n) for n in (8, 16, 32, 64))
# instructions for `Builder.dot`, by bits of the first operand and of its elements, and what they need
_DOTS = {
    (512, 8): ("avx512bw", "avx512.pmaddubs.w.512"),
    (256, 8): ("avx2", "avx2.pmadd.ub.sw"),
    (128, 8): ("ssse3", "ssse3.pmadd.ub.sw.128"),
    (512, 16): ("avx512bw", "avx512.pmaddw.d.512"),
    (256, 16): ("avx2", "avx2.pmadd.wd"),
    (128, 16): ("sse2", "sse2.pmadd.wd"),
}
_FEATURES = binding.get_host_cpu_features() if platform.machine() in ("x86_64", "AMD64") else {}


def available(feature):
    """Whether the CPU has these instructions."""
    return bool(_FEATURES.get(feature))


class Builder:
    """What the emitters below share: an LLVM builder, and the data pointers of the intrinsic's array arguments."""

    def __init__(self, context, b, signature, args):
        self.b = b
        self.args = [
            context.make_array(t)(context, b, a).data if isinstance(t, types.Array) else a
            for t, a in zip(signature.args, args, strict=True)
        ]

    def call(self, name, returns, args):
        f = ir.FunctionType(returns, [a.type for a in args])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, f, name), args)

    def at(self, base, step, n):
        """base + n * step."""
        return self.b.add(base, self.b.mul(step, I64(n)))

    def load(self, pointer, offset, element, n):
        p = self.b.bitcast(self.b.gep(pointer, [offset]), ir.VectorType(element, n).as_pointer())
        return self.b.load(p, align=1)

    def store(self, value, pointer, offset):
        self.b.store(value, self.b.bitcast(self.b.gep(pointer, [offset]), value.type.as_pointer()), align=1)

    def splat(self, scalar, n):
        v = ir.VectorType(scalar.type, n)
        v = self.b.insert_element(ir.Constant(v, ir.Undefined), scalar, I32(0))
        return self.b.shuffle_vector(v, v, ir.Constant(ir.VectorType(I32, n), [0] * n))

    def constant(self, like, value):
        return ir.Constant(like.type, [value] * like.type.count)

    def lanes(self, x, y, chosen):
        """Of the elements of x, then of y, those chosen."""
        chosen = list(chosen)
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(chosen)), chosen))

    def zext(self, value, element):
        return self.b.zext(value, ir.VectorType(element, value.type.count))

    def sext(self, value, element):
        return self.b.sext(value, ir.VectorType(element, value.type.count))

    def pairwise(self, name, x, y):
        kind = f"llvm.{name}.v{x.type.count}i{x.type.element.width}"
        return self.b.call(
            cgutils.get_or_insert_function(self.b.module, ir.FunctionType(x.type, [x.type] * 2), kind), [x, y]
        )

    def reduce(self, name, x):
        kind = f"llvm.vector.reduce.{name}.v{x.type.count}i{x.type.element.width}"
        return self.b.call(
            cgutils.get_or_insert_function(self.b.module, ir.FunctionType(x.type.element, [x.type]), kind), [x]
        )

    def dot(self, a, w):
        """Sums over pairs of elements of a times w, vectors of one type, in elements of twice the size: unsigned bytes
        times signed ones, whose sum must fit an int16, or int16."""
        n, element = a.type.count // 2, a.type.element
        wide = ir.VectorType(ir.IntType(2 * element.width), n)
        needs, name = _DOTS.get((a.type.count * element.width, element.width), ("", ""))
        if available(needs):
            return self.call(f"llvm.x86.{name}", wide, [a, w])
        extend = self.b.zext if element is I8 else self.b.sext
        terms = []
        for first in (0, 1):
            x, y = (self.lanes(t, t, range(first, 2 * n, 2)) for t in (a, w))
            terms.append(self.b.mul(extend(x, wide), self.b.sext(y, wide)))
        return self.b.add(*terms)


def emitted(returns, given, emit, kind=Builder):
    """What an intrinsic returns to numba. emit(builder, ...) gets pointers for arrays, 64-bit integers else; `kind` is
    the builder's class."""
    signature = returns(*(t if isinstance(t, types.Array) else types.intp for t in given))

    def code(context, b, signature, args):
        builder = kind(context, b, signature, args)
        value = emit(builder, *builder.args)
        return context.get_dummy_value() if value is None else value

    return signature, code


@intrinsic
def copy_row(typingctx, src, row, dst, at, n):
    """n bytes of row `row` of an int8 [P, K], whose rows may lie apart but are dense, to element `at` of int8 dst."""

    def code(context, b, signature, args):
        rows = context.make_array(signature.args[0])(context, b, args[0])
        stride = b.extract_value(rows.strides, 0)
        source = b.gep(rows.data, [b.mul(args[1], stride)])
        cgutils.raw_memcpy(
            b, b.gep(context.make_array(signature.args[2])(context, b, args[2]).data, [args[3]]), source, args[4], 1
        )
        return context.get_dummy_value()

    return types.none(src, types.intp, dst, types.intp, types.intp), code
