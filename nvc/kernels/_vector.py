"""Vector instructions for the motion kernels' numba loops, as portable LLVM.

LLVM does not turn the scalar loops over 16x16 samples into vectors (a block distance took 110 ns; it takes 6 ns here).
Arrays are C-contiguous; offsets and strides count elements from the first and are not checked.
"""

import functools
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


class Builder:
    """What the emitters below share: an LLVM builder, and the data pointers of the intrinsic's array arguments."""

    def __init__(self, context, b, signature, args):
        self.b = b
        self.args = [
            context.make_array(t)(context, b, a).data if isinstance(t, types.Array) else a
            for t, a in zip(signature.args, args, strict=True)
        ]

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

    def sad(self, pairs):
        """Sum of |x - y| over pairs of uint8 vectors. This spelling is the one LLVM knows as a SAD instruction."""
        total = None
        for x, y in pairs:
            d = self.b.sub(self.zext(x, I32), self.zext(y, I32))
            zero = self.constant(d, 0)
            d = self.b.select(self.b.icmp_signed("<", d, zero), self.b.sub(zero, d), d)
            total = d if total is None else self.b.add(total, d)
        return self.reduce("add", total)

    def satd(self, pairs):
        """Sum of the magnitudes of the 8x8 Hadamard transforms of x - y, pairs of 16 uint8 samples in 16 rows."""
        rows = list(pairs)
        lines = []  # rows r and r + 8, of different transforms
        for near, far in zip(rows[:8], rows[8:], strict=True):
            x, y = (self.zext(self.lanes(a, b, range(32)), I16) for a, b in zip(near, far, strict=True))
            lines.append(self.b.sub(x, y))
        for step in (1, 2, 4):
            for r in range(8):
                if not r & step:
                    a, b = lines[r], lines[r + step]
                    lines[r], lines[r + step] = self.b.add(a, b), self.b.sub(a, b)
        totals = []
        for line in lines:
            for step in (1, 2):
                # a + b and a - b of the lanes that are `step` apart, each in the place of one of them
                signs = ir.Constant(line.type, [-1 if c & step else 1 for c in range(32)])
                line = self.b.add(self.lanes(line, line, [c ^ step for c in range(32)]), self.b.mul(line, signs))
            # the last step needs no sums: |a + b| + |a - b| = 2 max(|a|, |b|), which is in two lanes
            size = self.pairwise("smax", line, self.b.sub(self.constant(line, 0), line))
            size = self.pairwise("smax", size, self.lanes(size, size, [c ^ 4 for c in range(32)]))
            totals.append(self.dot(size, self.constant(size, 1)))
        return self.reduce("add", functools.reduce(self.b.add, totals))

    def dot(self, a, w):
        """Sums over pairs of elements of a times w, vectors of one type, in elements of twice the size: unsigned bytes
        times signed ones, whose sum must fit an int16, or int16."""
        n, element = a.type.count // 2, a.type.element
        wide = ir.VectorType(ir.IntType(2 * element.width), n)
        needs, name = _DOTS.get((a.type.count * element.width, element.width), ("", ""))
        if _FEATURES.get(needs):
            kind = ir.FunctionType(wide, [a.type, w.type])
            return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, f"llvm.x86.{name}"), [a, w])
        extend = self.b.zext if element is I8 else self.b.sext
        terms = []
        for first in (0, 1):
            x, y = (self.lanes(t, t, range(first, 2 * n, 2)) for t in (a, w))
            terms.append(self.b.mul(extend(x, wide), self.b.sext(y, wide)))
        return self.b.add(*terms)

    def taps(self, table, phase, n, element, width):
        """Row `phase` of an int16 [., n] table for `dot`: its taps in pairs, as `element`, each pair `width` times."""
        row = self.b.mul(phase, I64(n))
        pair = ir.IntType(2 * element.width)
        pairs = []
        for k in range(0, n, 2):
            low, high = (self.b.load(self.b.gep(table, [self.b.add(row, I64(k + i))])) for i in range(2))
            low = self.b.zext(self.b.trunc(low, element) if element is I8 else low, pair)
            high = self.b.sext(high, pair) if element is I16 else high
            both = self.b.or_(low, self.b.shl(high, pair(element.width)))
            pairs.append(self.b.bitcast(self.splat(both, width), ir.VectorType(element, 2 * width)))
        return pairs

    def columns(self, tmp, table, phase, n, width, rows):
        """uint8 vectors: rows of int16 `tmp` (an array of that width) filtered downwards, rounded and clamped."""
        taps = self.taps(table, phase, n, I16, width)
        pairs = []  # of rows r and r + 1, sample by sample
        for r in range(rows + n - 2):
            two = self.load(tmp, I64(r * width), I16, 2 * width)
            pairs.append(self.lanes(two, two, [c + width * k for c in range(width) for k in (0, 1)]))
        for r in range(rows):
            terms = [self.dot(pairs[r + k], taps[k // 2]) for k in range(0, n, 2)]
            total = functools.reduce(self.b.add, terms)
            total = self.b.ashr(self.b.add(total, self.constant(total, 2**11)), self.constant(total, 12))
            total = self.pairwise(
                "smin", self.pairwise("smax", total, self.constant(total, 0)), self.constant(total, 255)
            )
            yield self.b.trunc(total, ir.VectorType(I8, width))

    def scatter_tiles(self, rows, tile, out, base, across, along):
        """Rows of samples to square tiles, value - 128: tile (a, b) at base + a * across + b * along."""
        for r, row in enumerate(rows):
            row = self.b.xor(row, self.constant(row, -128))
            for b in range(row.type.count // tile):
                at = self.at(self.at(self.b.add(base, I64(r % tile * tile)), across, r // tile), along, b)
                self.store(self.lanes(row, row, range(b * tile, (b + 1) * tile)), out, at)


def emitted(returns, given, emit, kind=Builder):
    """What an intrinsic returns to numba. emit(builder, ...) gets pointers for arrays, 64-bit integers else; `kind` is
    the builder's class."""
    signature = returns(*(t if isinstance(t, types.Array) else types.intp for t in given))

    def code(context, b, signature, args):
        builder = kind(context, b, signature, args)
        value = emit(builder, *builder.args)
        return context.get_dummy_value() if value is None else value

    return signature, code


def _distances(measure):
    """Two intrinsics for 16x16 blocks, int32 each; `measure` is a method of Builder.

    whole(a, ia, sa, b, ib, sb): of two blocks, at offset ia with row stride sa in a, ib with sb in b.
    filtered(cur, ic, sc, tmp, it, table, phase): of a block of cur and int16 tmp, from element `it` on, filtered
    downwards.
    """

    @intrinsic
    def whole(typingctx, a, ia, sa, b, ib, sb):
        def emit(v, a, ia, sa, b, ib, sb):
            rows = ((v.load(a, v.at(ia, sa, r), I8, 16), v.load(b, v.at(ib, sb, r), I8, 16)) for r in range(16))
            return measure(v, rows)

        return emitted(types.int32, (a, ia, sa, b, ib, sb), emit)

    @intrinsic
    def filtered(typingctx, cur, ic, sc, tmp, it, table, phase):
        def emit(v, cur, ic, sc, tmp, it, table, phase):
            rows = v.columns(v.b.gep(tmp, [it]), table, phase, 8, 16, 16)
            return measure(v, ((v.load(cur, v.at(ic, sc, r), I8, 16), row) for r, row in enumerate(rows)))

        return emitted(types.int32, (cur, ic, sc, tmp, it, table, phase), emit)

    return whole, filtered


sad16, luma_sad = _distances(Builder.sad)
satd16, luma_satd = _distances(Builder.satd)


def _scan(v, size, cur, ic, sc, ref, ir_, sr, dx):
    total = None
    for r in range(size):
        for c in range(size):
            x = v.splat(v.b.load(v.b.gep(cur, [v.b.add(v.at(ic, sc, r), I64(c))])), 16)
            y = v.load(ref, v.b.add(v.at(ir_, sr, r), I64(c)), I8, 16)
            d = v.zext(v.b.sub(v.pairwise("umax", x, y), v.pairwise("umin", x, y)), I16)
            total = d if total is None else v.b.add(total, d)
    lane = ir.Constant(ir.VectorType(I32, 16), list(range(16)))
    at = v.b.add(v.splat(v.b.trunc(dx, I32), 16), lane)
    total = v.b.add(v.zext(total, I32), v.pairwise("smax", at, v.b.sub(v.constant(at, 0), at)))
    return v.reduce("umin", v.b.or_(v.b.shl(total, v.constant(total, 4)), lane))


@intrinsic
def scan5(typingctx, cur, ic, sc, ref, ir_, sr, dx):
    """int32, 16 * cost + n: the least SAD + |dx + n| of a 5x5 window of cur with those n = 0..15 columns on in ref."""
    return emitted(types.int32, (cur, ic, sc, ref, ir_, sr, dx), lambda v, *args: _scan(v, 5, *args))


@intrinsic
def scan8(typingctx, cur, ic, sc, ref, ir_, sr, dx):
    """As scan5, 8x8 window."""
    return emitted(types.int32, (cur, ic, sc, ref, ir_, sr, dx), lambda v, *args: _scan(v, 8, *args))


def _rows(v, rows, width, n, src, offset, stride, table, phase, tmp):
    taps = v.taps(table, phase, n, I8, width)

    def place(k, c):
        """Of sample k of a row in the two loads, which read nothing beyond the taps. Where they have 128 bits each, the
        samples of every output are taken from one of them."""
        return width + k - (n - 1) if k >= max(n - 1, width if c < width // 2 else 0) else k

    for r in range(rows):
        at = v.at(offset, stride, r)
        first, last = v.load(src, at, I8, width), v.load(src, v.b.add(at, I64(n - 1)), I8, width)
        both = v.lanes(first, last, range(2 * width))
        terms = []
        for k in range(0, n, 2):
            window = v.lanes(both, both, [place(c + k + i, c) for c in range(width) for i in (0, 1)])
            terms.append(v.dot(window, taps[k // 2]))
        v.store(functools.reduce(v.b.add, terms), tmp, I64(r * width))


@intrinsic
def luma_rows(typingctx, src, offset, stride, table, phase, tmp):
    """tmp int16 [24, 16]: 24 rows from `offset`, 16 columns each, filtered to the right by row `phase` of table."""
    args = (src, offset, stride, table, phase, tmp)
    return emitted(types.none, args, lambda v, *args: _rows(v, 24, 16, 8, *args))


def _tiles_of(taps, height, width, tile):
    """Two intrinsics for `height` x `width` samples, to tiles of tile x tile samples in `out` (see `scatter_tiles`):

    predict(src, offset, stride, table, right, down, tmp, out, base, across, along): filtered by rows `right` and `down`
    of `table`, [., taps], the first tap at `offset`; tmp int16, at least of height + taps - 1 times width.
    copy(src, offset, stride, out, base, across, along): as they are.
    """

    @intrinsic
    def predict(typingctx, src, offset, stride, table, right, down, tmp, out, base, across, along):
        def emit(v, src, offset, stride, table, right, down, tmp, out, base, across, along):
            _rows(v, height + taps - 1, width, taps, src, offset, stride, table, right, tmp)
            v.scatter_tiles(v.columns(tmp, table, down, taps, width, height), tile, out, base, across, along)

        args = (src, offset, stride, table, right, down, tmp, out, base, across, along)
        return emitted(types.none, args, emit)

    @intrinsic
    def copy(typingctx, src, offset, stride, out, base, across, along):
        def emit(v, src, offset, stride, out, base, across, along):
            rows = (v.load(src, v.at(offset, stride, r), I8, width) for r in range(height))
            v.scatter_tiles(rows, tile, out, base, across, along)

        return emitted(types.none, (src, offset, stride, out, base, across, along), emit)

    return predict, copy


luma_predict, luma_copy = _tiles_of(8, 16, 16, 8)
luma_predict_flat, luma_copy_flat = _tiles_of(8, 8, 16, 8)
luma_predict_tall, luma_copy_tall = _tiles_of(8, 16, 8, 8)
chroma_predict, chroma_copy = _tiles_of(4, 8, 8, 4)
chroma_predict_flat, chroma_copy_flat = _tiles_of(4, 4, 8, 4)
chroma_predict_tall, chroma_copy_tall = _tiles_of(4, 8, 4, 4)


def _blend(lanes):
    @intrinsic
    def blend(typingctx, parts, own, vertical, horizontal, down, across, weights, out, at):
        """`lanes` int8 samples to element `at` of out: ((32 - a - b) own + a vertical + b horizontal + 16) >> 5, of
        samples from these elements of parts on, a and b from element `weights` of int16 down and across."""

        def emit(v, parts, own, vertical, horizontal, down, across, weights, out, at):
            o, n, h = (v.sext(v.load(parts, i, I8, lanes), I16) for i in (own, vertical, horizontal))
            a, b = v.load(down, weights, I16, lanes), v.load(across, weights, I16, lanes)
            total = v.b.add(v.b.mul(o, v.constant(o, 32)), v.constant(o, 16))
            total = v.b.add(total, v.b.mul(a, v.b.sub(n, o)))
            total = v.b.add(total, v.b.mul(b, v.b.sub(h, o)))
            total = v.b.ashr(total, v.constant(total, 5))
            v.store(v.b.trunc(total, ir.VectorType(I8, lanes)), out, at)

        return emitted(types.none, (parts, own, vertical, horizontal, down, across, weights, out, at), emit)

    return blend


blend16, blend64 = _blend(16), _blend(64)


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
