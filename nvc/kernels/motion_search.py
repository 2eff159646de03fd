"""Block motion search for the encoder: a vector for each 16x16 block, all in quarter, half, 1, 2, 4 or 8 pixels.

Integer and deterministic, but not normative: a decoder never searches. Every pass reads the vectors of the pass before
(of the block and of its neighbours) and writes new ones, so blocks are independent and a pass is one parallel launch.
Within a pass a block takes the first of its candidates with the least cost.

1. Coarse: planes of 16x16 means, a window of 5x5 means around the block, whole displacements dy -5..5, dx -8..7; cost
   SAD + |dy| + |dx|, candidates in raster order.
2. Quarter: planes of 4x4 means, rows 0, 2, 5 and 7 of a window of 8x8 means around the block; dy -8..7, dx -8..7
   around zero and dy -3..3, dx -8..7 around four times the coarse vector, in this order; cost SAD + |dy| + |dx|.
3. From here the cost of v is SAD(16x16) + ((rate * bits(v - p)) >> 4), where p predicts the block from the vectors of
   the previous pass (`code_vectors`) and bits is the sum over components of 2 * bit_length(|d|) + 1, d in units of the
   pass, here whole pixels. Twice: the 7x7 whole pixels around, then zero, p and the eight neighbours' vectors (left,
   top, right, bottom, then the corners). The second time, the 7x7 only around vectors that are not those of the first
   time.
4. Half, then quarter pel: the eight positions around, column by column, interpolated as `motion_compensate` does. And,
   from the vectors after 3, multiples of 2, of 4 and of 8 pixels: the nearest, of two the higher, and those to the
   left, up, to the right and down of it; p is rounded alike, from the vectors that predicted last in 3. Of the six
   fields, the one with the least sum of 32 SAD + 3 rate L goes on, among equals the coarsest; L is the sum of
   bit_length over both components of v - p in the field's units, p from the field itself. Under a camera that moves,
   vectors differ from block to block by little more than noise, and the bits of that buy little.
5. Twice, for each of four colours of blocks, by the parities of row and column: first zero, p and the vectors to the
   left, above, to the right and below; then p, the vectors to the right and below, and a step of the frame's precision
   to the left, up, to the right and down. Their cost counts the bits of every block that is predicted from this one
   too: SATD + ((rate * 3 * L) >> 2), L the sum of bit_length, as in 4, here, to the right, below, below to the left
   and, from the last but one column, below to the right, and 1 where v is not whole, as such a block cannot be a copy;
   SATD the sum of the magnitudes of the 8x8 Hadamard transforms of the difference, which tells better than a SAD what
   coding the difference will cost, and is some six times as large. The second time, each 8x8 quarter counts with what
   the prediction blended with the neighbours' leaves (`motion_compensate`), or with what v alone leaves and rate,
   whichever is less. Each choice holds at once, so it is seen by the blocks around; no two blocks of a colour see one
   another.

In 3 to 5 the block's own vector is the first candidate.

Candidates are clamped so that a block's corner lies within 64 pixels outside the plane. With |dy| <= 80 + 12 + 6 and
|dx| <= 128 + 32 + 6 pixels after 3, and at most 20 more after 5, components stay below 2047. rate is clamped to
0..2^20; then a cost is at most 2^16 + (2^20 * 54 >> 4) < 2^22 in 3 and 4. In 5, the transform of an 8x8 block of d
has the energy 64 sum d^2, so its magnitudes sum to at most 8 * 8 * 8 * 255, and a cost is at most
2^19 + (2^20 * 3 * (5 * 26 + 1) >> 2) < 2^27.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _motion_cpu as passes
from nvc.kernels import _operands as ops
from nvc.kernels._motion import COARSEST, LUMA, WHOLE, interpolated, predictor, require_plane
from nvc.kernels._motion_cpu import COARSE_MARGIN, MARGIN, NEIGHBOURS, QUARTER_MARGIN
from nvc.kernels._motion_pyramid import Choice, hierarchy
from nvc.kernels._motion_settle import SETTLING, settle
from nvc.kernels._overlap import OVERLAP
from nvc.kernels._pool import parallel
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import motion_search as gpu
from nvc.kernels.motion_compensate import overlapped

MAX_RATE = 2**20
Result = tuple[Tensor, Tensor]
HADAMARD = torch.tensor([[1 - 2 * ((u & v).bit_count() & 1) for v in range(8)] for u in range(8)])


def require(cur: Tensor, ref: Tensor, rate: Tensor) -> None:
    """Raises ValueError for planes of different or unsuitable shapes, or a rate that isn't int32 [1]."""
    require_plane("cur", cur, 16)
    require_plane("ref", ref, 16)
    if cur.shape != ref.shape or rate.dtype != torch.int32 or rate.shape != (1,):
        raise ValueError("motion_search needs planes of one shape and an int32 [1] rate")


def satds(difference: Tensor) -> Tensor:
    """int64 [bh, bw, 2, 2]: sums of the magnitudes of the Hadamard transforms of the 8x8 quarters of int64
    [bh, bw, 16, 16]."""
    quarters = difference.unflatten(3, (2, 8)).unflatten(2, (2, 8))
    return torch.einsum("ijarbc,ru,cv->ijaubv", quarters, HADAMARD, HADAMARD).abs().sum((3, 5))


def reference(cur: Tensor, ref: Tensor, rate: Tensor) -> Result:
    """cur, ref uint8 [H, W]; rate int32 [1], sixteenths of a SAD unit per bit -> mv int16 [H / 16, W / 16, 2], their
    precision int32 [1]."""
    require(cur, ref, rate)
    h, w = cur.shape
    blocks = cur.reshape(h // 16, 16, w // 16, 16).transpose(1, 2).long()
    price = rate.long().clamp(0, MAX_RATE)
    corner = torch.stack(torch.meshgrid(torch.arange(0, h, 16), torch.arange(0, w, 16), indexing="ij"), 2)
    lowest, highest = -4 * (corner + 64), 4 * (torch.tensor((h, w)) - 16 - corner + 64)

    def clamped(mv: Tensor) -> Tensor:
        return mv.clamp(lowest, highest)

    def lengths(mv: Tensor, predicted: Tensor, precision: int) -> Tensor:
        return (((mv - predicted).abs()[..., None] >> precision + torch.arange(13)) > 0).sum((2, 3))

    def sad(mv: Tensor) -> Tensor:
        return (interpolated(ref, mv, LUMA, 16) - blocks).abs().sum((2, 3))

    def cost(mv: Tensor, predicted: Tensor, precision: int = WHOLE) -> Tensor:
        return sad(mv) + ((price * (2 * lengths(mv, predicted, precision) + 2)) >> 4)

    def around(mv: Tensor, offsets: Tensor, precision: int = WHOLE) -> Tensor:
        best, predicted = Choice(cost(mv, predictor(mv), precision), mv), predictor(mv)
        for v in offsets:
            best.offer(cost(clamped(mv + v), predicted, precision), clamped(mv + v))
        return best.mv

    def moved(mv: Tensor, dy: int, dx: int) -> Tensor:
        """The field seen from (dy, dx) blocks away, zero where there is none."""
        there = torch.zeros_like(mv)
        there[max(0, -dy) : h // 16 - max(0, dy), max(0, -dx) : w // 16 - max(0, dx)] = mv[
            max(0, dy) : h // 16 + min(0, dy), max(0, dx) : w // 16 + min(0, dx)
        ]
        return there

    def neighbourly(mv: Tensor) -> Tensor:
        best, predicted = Choice(cost(mv, predictor(mv)), mv), predictor(mv)
        for v in (torch.zeros_like(mv), clamped(predicted)):
            best.offer(cost(v, predicted), v)
        for dy, dx in NEIGHBOURS.tolist():
            there = moved(mv, dy, dx)  # zero once more, where there is no neighbour
            best.offer(cost(clamped(there), predicted), clamped(there))
        return best.mv

    def coarser(mv: Tensor, before: Tensor, precision: int) -> Tensor:
        def nearest(v: Tensor) -> Tensor:
            return (v + (1 << precision - 1)) >> precision << precision

        predicted, centre = nearest(predictor(before)), nearest(mv)
        best = Choice(cost(clamped(centre), predicted, precision), clamped(centre))
        for v in torch.from_numpy(NEIGHBOURS[:4]) << precision:
            best.offer(cost(clamped(centre + v), predicted, precision), clamped(centre + v))
        return best.mv

    def worth(mv: Tensor, precision: int) -> int:
        return int((32 * sad(mv) + 3 * price * lengths(mv, predictor(mv), precision)).sum())

    def settled(mv: Tensor, here: Tensor, precision: int, first: bool) -> Tensor:
        """The choices of the blocks `here`, of one colour: as they do not see one another, all may try at once."""

        def total(candidate: Tensor) -> Tensor:
            trial = torch.where(here, candidate, mv)
            n = lengths(trial, predictor(trial), precision)
            below_right = moved(n, 1, 1) * (torch.arange(w // 16) == w // 16 - 2)
            n = n + moved(n, 0, 1) + moved(n, 1, 0) + moved(n, 1, -1) + below_right + (candidate & 3).any(2)
            left = satds(interpolated(ref, candidate, LUMA, 16) - blocks)
            if not first:
                blended = satds(overlapped(ref, trial, torch.zeros(trial.shape[:2]), LUMA, OVERLAP) - blocks)
                left = torch.minimum(blended, left + price)
            return left.sum((2, 3)) + ((price * 3 * n) >> 2)

        best = Choice(total(mv), mv)
        neighbours = [moved(mv, dy, dx) for dy, dx in NEIGHBOURS[:4].tolist()]
        steps = mv + (torch.from_numpy(NEIGHBOURS[:4])[:, None, None] << precision)
        begin = (torch.zeros_like(mv), predictor(mv), *neighbours)
        for v in begin if first else (predictor(mv), *neighbours[2:], *steps):
            best.offer(total(clamped(v)), clamped(v))
        return best.mv

    mv = clamped(hierarchy(cur, ref))
    square = 4 * torch.cartesian_prod(torch.arange(-3, 4), torch.arange(-3, 4))
    before = around(mv, square)
    mv = neighbourly(before)
    before = torch.where((mv == before).all(2, keepdim=True), mv, around(mv, square))
    mv = neighbourly(before)
    fields = {unit: coarser(mv, before, unit) for unit in range(COARSEST, WHOLE, -1)} | {WHOLE: mv}
    for unit in (1, 0):
        mv = around(mv, torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2)).flip(1) << unit, unit)
        fields[unit] = mv
    precision = min(fields, key=lambda unit: worth(fields[unit], unit))
    mv = fields[precision]
    rows, columns = torch.meshgrid(torch.arange(h // 16), torch.arange(w // 16), indexing="ij")
    for first, colour in SETTLING:
        here = ((rows & 1) * 2 + (columns & 1) == colour)[..., None]
        mv = torch.where(here, settled(mv, here, precision, first), mv)
    return mv.short(), torch.tensor([precision], dtype=torch.int32)


def means(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounded means of 4x4 and of 16x16, with replicated margins."""
    h, w = plane.shape
    fine = np.empty((h // 4 + 2 * QUARTER_MARGIN, w // 4 + 2 * QUARTER_MARGIN), np.uint8)
    coarse = np.empty((h // 16 + 2 * COARSE_MARGIN, w // 16 + 2 * COARSE_MARGIN), np.uint8)
    passes.shrink(plane, 0, fine, QUARTER_MARGIN)
    passes.shrink(fine, QUARTER_MARGIN, coarse, COARSE_MARGIN)
    return fine, coarse


def candidates(a: np.ndarray, b: np.ndarray, price: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Passes 1 to 4 between planes uint8 [H, W] -> int16 [6, H / 16, W / 16, 2], fields of vectors by precision; int32
    [6, H / 16, W / 16], their SADs; b with its margins."""
    h, w = a.shape
    bh, bw = h // 16, w // 16
    wide = np.empty((h + 2 * MARGIN, w + 2 * MARGIN), np.uint8)
    pyramids: list[tuple[np.ndarray, np.ndarray]] = [()] * 2  # type: ignore[list-item]

    def prepare(first: int, last: int) -> None:
        for n in range(first, last):
            pyramids[n] = means((a, b)[n])
            if n == 1:
                wide[MARGIN : MARGIN + h, MARGIN : MARGIN + w] = b
                passes.replicate(wide, MARGIN)

    def run(kernel: Callable[..., None], *args: object) -> None:
        parallel(lambda first, last: kernel(*args, first, last), bh, 4)

    parallel(prepare, 2, 1)
    (a4, a16), (b4, b16) = pyramids
    fields, sads = np.empty((COARSEST + 1, bh, bw, 2), np.int16), np.empty((COARSEST + 1, bh, bw), np.int32)
    quarter, half, whole, *coarser = zip(fields, sads, strict=True)  # by precision
    run(passes.hierarchy, a16, b16, a4, b4, (h, w), whole[0])
    for again in (False, True):
        run(passes.whole, a, wide, price, again, *whole, *half)
        run(passes.neighbourly, a, wide, price, *half, *whole)
    for unit, field in enumerate(coarser, WHOLE + 1):
        run(passes.coarser, a, wide, price, unit, half[0], whole[0], *field)
    run(passes.fraction, a, wide, price, 1, *whole, *half)
    run(passes.fraction, a, wide, price, 0, *half, *quarter)
    return fields, sads, wide


def cpu(cur: Tensor, ref: Tensor, rate: Tensor, *, out: Result | None = None) -> Result:
    require(cur, ref, rate)
    bh, bw = cur.shape[0] // 16, cur.shape[1] // 16
    out = out or (torch.empty((bh, bw, 2), dtype=torch.int16), torch.empty(1, dtype=torch.int32))
    a, b = cur.contiguous().numpy(), ref.contiguous().numpy()
    price = min(max(int(rate), 0), MAX_RATE)
    fields, sads, wide = candidates(a, b, price)
    precision = min(range(COARSEST, -1, -1), key=lambda unit: passes.worth(fields[unit], sads[unit], price, unit))
    v = fields[precision]
    for first, colour in SETTLING:
        args = a, wide, b, price, precision, colour, first, v
        parallel(lambda row0, row1, args=args: settle(*args, row0, row1), (bh + 1) // 2, 2)  # type: ignore[misc]
    out[0].copy_(torch.from_numpy(v))
    out[1].fill_(precision)
    return out


def launch(cur: Tensor, ref: Tensor, rate: Tensor, *, out: Result | None = None) -> Result:
    require(cur, ref, rate)
    h, w = cur.shape
    mv, precision = out or (None, None)
    mv = ops.output("motion_search", mv, (h // 16, w // 16, 2), torch.int16, cur.device)
    precision = ops.output("motion_search", precision, (1,), torch.int32, cur.device)
    ops.expect_launchable("motion_search", cur, ref, rate, mv, precision)
    ops.expect_words("motion_search", cur, ref, mv)
    gpu.run(cur, ref, rate, mv, precision)
    return mv, precision


def make(case: Case, fill: Fill) -> dict[str, Any]:
    """`boundary`: cur is ref moved by (5, -3) pixels and slightly changed: something to find."""
    h, w, rate = case
    ref = fill((h, w), 0, 255, torch.uint8)
    cur = fill((h, w), 0, 255, torch.uint8)
    if fill.pattern == "boundary":
        cur = ref.roll((-5, 3), (0, 1))
        cur[:, ::4] ^= 1
    return {"cur": cur, "ref": ref, "rate": torch.tensor([rate], dtype=torch.int32)}


def cost(case: Case) -> Cost:
    h, w, _ = case
    return Cost(bytes=2 * h * w + h * w // 64, macs=0)


motion_search = Kernel(
    name="motion_search",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((16, 16, 64), (64, 16, 0), (16, 96, 64), (48, 80, 0), (96, 64, 200), (32, 48, 2**30)),
    bench_cases=((368, 640, 64), (720, 1280, 64)),
    cost=cost,
)
