"""Vector code of what comes before the layers of nvc.kernels._vnni: views, halves, depthwise 3x3; 64 channels at once.

Arrays are C-contiguous; offsets count elements and are not checked.
"""

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from nvc.kernels._fixed import compiled
from nvc.kernels._vector import I8, I16, I64, emitted, intrinsic
from nvc.kernels._vnni import TILE, V16, Emitter, narrowed_view


@intrinsic
def view64(typingctx, x, ix, out, io):
    """The 8-bit view of 64 channels of a stream, in order VIEW."""

    def emit(v, x, ix, out, io):
        v.store(narrowed_view(v, [v.load(x, v.at(ix, I64(32), n), I16, 32) for n in range(2)]), out, io)

    return emitted(types.none, (x, ix, out, io), emit, Emitter)


@compiled
def views_of(x, first, a, at, n):
    """view64 of n elements of x from `first`, a multiple of 64 of them, to element `at` of a."""
    for c in range(0, n, TILE):
        view64(x, first + c, a, at + c)


@compiled
def gathered_views(x, first, n, a, stride):
    """Views of the four pixels of each of n positions, from `first` on, at half the resolution of x [H, W, C], which
    repeats its edge; to element `stride` p of a for position p."""
    H, W, C = x.shape
    w = (W + 1) >> 1
    for p in range(n):
        y, z = (first + p) // w, (first + p) % w
        for t in range(4):
            i, j = min(2 * y + (t >> 1), H - 1), min(2 * z + (t & 1), W - 1)
            views_of(x, (i * W + j) * C, a, p * stride + t * C, C)


@intrinsic
def split64(typingctx, x, ix, a, high, low):
    """64 int16 x = 256 h + l as int8: h from offset `high` of a, l from `low`."""

    def emit(v, x, ix, a, high, low):
        for n in range(2):
            whole = v.load(x, v.at(ix, I64(32), n), I16, 32)
            part = v.b.trunc(whole, ir.VectorType(I8, 32))
            rest = v.b.ashr(v.b.sub(whole, v.sext(part, I16)), v.constant(whole, 8))
            v.store(part, a, v.at(low, I64(32), n))
            v.store(v.b.trunc(rest, part.type), a, v.at(high, I64(32), n))

    return emitted(types.none, (x, ix, a, high, low), emit, Emitter)


def _column(v, h, offsets, masks):
    """Vectors [4], order "u8": the bytes (above, here, below, 0) of each of 64 channels, unsigned; 0 where masked."""
    above, here, below = (
        v.b.and_(v.flip(v.load(h, at, I8, 64)), mask) for at, mask in zip(offsets, masks, strict=True)
    )
    zero = v.constant(here, 0)

    def unpack(x, y, high, width):
        x, y = (v.b.bitcast(t, ir.VectorType(ir.IntType(8 * width), 64 // width)) for t in (x, y))
        n = 16 // width  # elements of a 128-bit lane
        lanes = [
            lane * n + high * n // 2 + i + other * 64 // width
            for lane in range(4)
            for i in range(n // 2)
            for other in (0, 1)
        ]
        return v.lanes(x, y, lanes)

    quads = []
    for high in (0, 1):
        first, second = unpack(above, here, high, 1), unpack(below, zero, high, 1)
        quads += [v.b.bitcast(unpack(first, second, half, 2), V16) for half in (0, 1)]
    return quads


@intrinsic
def depthwise64(typingctx, h, ia, ih, ib, ma, mb, x, width, stride, w, iw, table, it, n, out, io, so, count):
    """Depthwise 3x3 of 64 channels at `count` pixels of a row, from column x on; out int8.

    h is at offset ih in column 0 of the row, ia and ib in those above and below, where ma and mb are -1; 0: outside the
    picture. w int8 [3, 64, 4] from iw, and table int32 [2, n] from it, are in order "u8".
    """
    args = (h, ia, ih, ib, ma, mb, x, width, stride, w, iw, table, it, n, out, io, so, count)

    def emit(v, h, ia, ih, ib, ma, mb, x, width, stride, w, iw, table, it, n, out, io, so, count):
        b = v.b
        last = b.sub(width, I64(1))
        outer = [v.splat(b.trunc(mask, I8), 64) for mask in (ma, mb)]

        def column(at):
            inside = b.and_(b.icmp_signed(">=", at, I64(0)), b.icmp_signed("<=", at, last))
            mask = v.splat(b.sext(inside, I8), 64)
            at = b.select(inside, at, x)
            offsets = [b.add(base, b.mul(at, stride)) for base in (ia, ih, ib)]
            return _column(v, h, offsets, (b.and_(mask, outer[0]), mask, b.and_(mask, outer[1])))

        weights = [
            [b.bitcast(v.load(w, v.at(v.at(iw, I64(256), d), I64(64), q), I8, 64), V16) for q in range(4)]
            for d in range(3)
        ]
        bias, mult = v.table(table, it), [v.both(x) for x in v.table(table, b.add(it, n))]
        start = [column(b.sub(x, I64(1))), column(x)]
        first = b.block
        loop, after = b.append_basic_block("pixels"), b.append_basic_block("done")
        b.branch(loop)
        b.position_at_end(loop)
        k = b.phi(I64)
        window = [[b.phi(V16) for _ in range(4)] for _ in range(2)]
        right = column(b.add(b.add(x, k), I64(1)))
        sums = []
        for q in range(4):
            acc = v.dot8(bias[q], window[0][q], weights[0][q])
            acc = v.dot8(acc, window[1][q], weights[1][q])
            sums.append(v.both(v.dot8(acc, right[q], weights[2][q])))
        results = v.requant(sums, mult)
        narrow = v.narrow_s8(*(v.narrow16(results[q], results[q + 1]) for q in (0, 2)))
        v.store(v.sorted(narrow), out, b.add(io, b.mul(k, so)))
        end = b.block
        for q in range(4):
            window[0][q].add_incoming(start[0][q], first)
            window[0][q].add_incoming(window[1][q], end)
            window[1][q].add_incoming(start[1][q], first)
            window[1][q].add_incoming(right[q], end)
        step = b.add(k, I64(1))
        k.add_incoming(I64(0), first)
        k.add_incoming(step, end)
        b.cbranch(b.icmp_signed("<", step, count), loop, after)
        b.position_at_end(after)

    return emitted(types.none, args, emit, Emitter)
