"""Vector code of the motion kernels: distances of blocks, filters, tiles of prediction. As a loop over samples a
distance took 110 ns; it takes 6 ns here.

Arrays are C-contiguous; offsets and strides count elements from the first and are not checked.
"""

import functools

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from nvc.kernels._vector import I8, I16, I32, I64, Builder, available, emitted, intrinsic


class Samples(Builder):
    """Distances and filters of uint8 samples."""

    def sad(self, pairs):
        """Sum of |x - y| over pairs of uint8 vectors. This spelling is the one LLVM knows as a SAD instruction."""
        total = None
        for x, y in pairs:
            d = self.b.sub(self.zext(x, I32), self.zext(y, I32))
            zero = self.constant(d, 0)
            d = self.b.select(self.b.icmp_signed("<", d, zero), self.b.sub(zero, d), d)
            total = d if total is None else self.b.add(total, d)
        return self.reduce("add", total)

    def transformed(self, lines):
        """int32 [16]: parts of the sums of magnitudes of four 8x8 Hadamard transforms of int16 [8, 32]; those of
        columns 8 n to 8 n + 7 in elements 4 n to 4 n + 3."""
        lines = list(lines)
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
        return functools.reduce(self.b.add, totals)

    def satd(self, pairs):
        """Sum of the magnitudes of the 8x8 Hadamard transforms of x - y, pairs of 16 uint8 samples in 16 rows."""
        rows = list(pairs)
        lines = []  # rows r and r + 8, of different transforms
        for near, far in zip(rows[:8], rows[8:], strict=True):
            x, y = (self.zext(self.lanes(a, b, range(32)), I16) for a, b in zip(near, far, strict=True))
            lines.append(self.b.sub(x, y))
        return self.reduce("add", self.transformed(lines))

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


def _emitted(returns, given, emit):
    return emitted(returns, given, emit, Samples)


def _distances(measure):
    """Two intrinsics for 16x16 blocks, int32 each; `measure` is a method of Samples.

    whole(a, ia, sa, b, ib, sb): of two blocks, at offset ia with row stride sa in a, ib with sb in b.
    filtered(cur, ic, sc, tmp, it, table, phase): of a block of cur and int16 tmp, from element `it` on, filtered
    downwards.
    """

    @intrinsic
    def whole(typingctx, a, ia, sa, b, ib, sb):
        def emit(v, a, ia, sa, b, ib, sb):
            rows = ((v.load(a, v.at(ia, sa, r), I8, 16), v.load(b, v.at(ib, sb, r), I8, 16)) for r in range(16))
            return measure(v, rows)

        return _emitted(types.int32, (a, ia, sa, b, ib, sb), emit)

    @intrinsic
    def filtered(typingctx, cur, ic, sc, tmp, it, table, phase):
        def emit(v, cur, ic, sc, tmp, it, table, phase):
            rows = v.columns(v.b.gep(tmp, [it]), table, phase, 8, 16, 16)
            return measure(v, ((v.load(cur, v.at(ic, sc, r), I8, 16), row) for r, row in enumerate(rows)))

        return _emitted(types.int32, (cur, ic, sc, tmp, it, table, phase), emit)

    return whole, filtered


sad16, luma_sad = _distances(Samples.sad)
satd16, luma_satd = _distances(Samples.satd)


@intrinsic
def tile_satds(typingctx, a, b, out, at):
    """int32, four elements of `out` from `at` on: sums of the magnitudes of the 8x8 Hadamard transforms of a - b, int8
    [4, 8, 8] each."""

    def emit(v, a, b, out, at):
        def line(tiles, r):
            rows = [v.load(tiles, I64(64 * t + 8 * r), I8, 8) for t in range(4)]
            halves = [v.lanes(rows[t], rows[t + 1], range(16)) for t in (0, 2)]
            return v.sext(v.lanes(*halves, range(32)), I16)

        parts = v.transformed([v.b.sub(line(a, r), line(b, r)) for r in range(8)])
        for step in (1, 2):
            parts = v.b.add(parts, v.lanes(parts, parts, [c ^ step for c in range(16)]))
        v.store(v.lanes(parts, parts, (0, 4, 8, 12)), out, at)

    return _emitted(types.none, (a, b, out, at), emit)


def _sad_row(v, size, cur, ic, ref, ir_):
    """int16 [16]: SADs of `size` samples of cur with those 0..15 further on in ref."""
    total, done = ir.Constant(ir.VectorType(I16, 16), [0] * 16), 0
    if available("avx2"):
        # one instruction for four samples, in halves: n = 0..7 in the first 16 bytes, 8..15 from the eighth byte on
        first, second = v.load(ref, ir_, I8, 16), v.load(ref, v.b.add(ir_, I64(8)), I8, 16)
        there = v.lanes(first, second, range(32))
        while done + 4 <= size:
            four = v.b.bitcast(v.b.gep(cur, [v.b.add(ic, I64(done))]), I32.as_pointer())
            here = v.b.bitcast(v.splat(v.b.load(four, align=1), 8), there.type)
            sums = v.call("llvm.x86.avx2.mpsadbw", total.type, (there, here, I8(done | done << 3)))
            total, done = v.b.add(total, sums), done + 4
    for c in range(done, size):
        x = v.splat(v.b.load(v.b.gep(cur, [v.b.add(ic, I64(c))])), 16)
        y = v.load(ref, v.b.add(ir_, I64(c)), I8, 16)
        d = v.b.sub(v.pairwise("umax", x, y), v.pairwise("umin", x, y))
        total = v.b.add(total, v.zext(d, I16))
    return total


QUARTER_ROWS = (0, 2, 5, 7)  # of a window, that the search in the planes of 4x4 means compares


def _scan(v, size, rows, cur, ic, sc, ref, ir_, sr, dx):
    rows = (_sad_row(v, size, cur, v.at(ic, sc, r), ref, v.at(ir_, sr, r)) for r in rows)
    total = functools.reduce(v.b.add, rows)
    lane = ir.Constant(ir.VectorType(I32, 16), list(range(16)))
    at = v.b.add(v.splat(v.b.trunc(dx, I32), 16), lane)
    total = v.b.add(v.zext(total, I32), v.pairwise("smax", at, v.b.sub(v.constant(at, 0), at)))
    return v.reduce("umin", v.b.or_(v.b.shl(total, v.constant(total, 4)), lane))


@intrinsic
def scan5(typingctx, cur, ic, sc, ref, ir_, sr, dx):
    """int32, 16 * cost + n: the least SAD + |dx + n| of a 5x5 window of cur with those n = 0..15 columns on in ref, of
    which it reads 24."""
    return _emitted(types.int32, (cur, ic, sc, ref, ir_, sr, dx), lambda v, *args: _scan(v, 5, range(5), *args))


@intrinsic
def scan8(typingctx, cur, ic, sc, ref, ir_, sr, dx):
    """As scan5, four rows of an 8x8 window."""
    return _emitted(types.int32, (cur, ic, sc, ref, ir_, sr, dx), lambda v, *args: _scan(v, 8, QUARTER_ROWS, *args))


def _means4(width):
    @intrinsic
    def means(typingctx, src, at, stride, dst, to):
        """Rounded means of 4x4 of uint8 src, so many columns from element `at` on, to element `to` of dst."""

        def emit(v, src, at, stride, dst, to):
            lines = (v.load(src, v.at(at, stride, r), I8, width) for r in range(4))
            ones = ir.Constant(ir.VectorType(I8, width), [1] * width)
            pairs = functools.reduce(v.b.add, [v.dot(line, ones) for line in lines])
            total = v.dot(pairs, v.constant(pairs, 1))
            total = v.b.lshr(v.b.add(total, v.constant(total, 8)), v.constant(total, 4))
            v.store(v.b.trunc(total, ir.VectorType(I8, width // 4)), dst, to)

        return _emitted(types.none, (src, at, stride, dst, to), emit)

    return means


means16, means64 = _means4(16), _means4(64)


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
    return _emitted(types.none, args, lambda v, *args: _rows(v, 24, 16, 8, *args))


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
        return _emitted(types.none, args, emit)

    @intrinsic
    def copy(typingctx, src, offset, stride, out, base, across, along):
        def emit(v, src, offset, stride, out, base, across, along):
            rows = (v.load(src, v.at(offset, stride, r), I8, width) for r in range(height))
            v.scatter_tiles(rows, tile, out, base, across, along)

        return _emitted(types.none, (src, offset, stride, out, base, across, along), emit)

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

        return _emitted(types.none, (parts, own, vertical, horizontal, down, across, weights, out, at), emit)

    return blend


blend16, blend64 = _blend(16), _blend(64)
