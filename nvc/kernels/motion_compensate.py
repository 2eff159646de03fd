"""Motion-compensated prediction of a picture with overlapping blocks, packed to 96 channels at 1/8.

    P(m):   clamp((sum_y sum_x f_y f_x p + 2^11) >> 12, 0, 255), the block moved by the vector m: HEVC's 8-tap taps of
            quarter samples; chroma with HEVC's 4-tap taps, the vector in eighths of a chroma sample
    value = ((32 - a - b) P(own) + a P(vertical) + b P(horizontal) + 16) >> 5

vertical and horizontal are the vectors of the blocks above or below and to the left or right, whichever is nearer to
the sample, and the block's own where there is none. a and b by what `overlap` says of the block's quarter:

    0   a, b in 9, 8, 7, 5, 4, 3, 2, 1 (luma) or 8, 6, 4, 1 (chroma), by the sample's distance from the edge of that
        block: overlapped block motion compensation, Orchard and Sullivan, 1994
    1   a = b = 0
    2   a in 31, 30, 29, 28, 27, 25, 24, 23 or 31, 28, 26, 24, by distance; b = 0
    3   a = 0; b as a of 2

    name      shape             dtype  range
    y         [Hp, Wp]          uint8  full          Hp, Wp multiples of 16
    u, v      [Hp/2, Wp/2]      uint8  full
    mv        [Hp/16, Wp/16, 2] int16  full          (dy, dx) in quarter pel
    overlap   [Hp/16, Wp/16]    uint8  full          two bits for each quarter of a block: `_overlap`
    out       [Hp/8, Wp/8, 96]  int8   value - 128   channels contiguous, positions may be strided

Channels: 8 i + j of a position's 8x8 luma samples, 64 + 4 i + j of its 4x4 U samples, 80 + 4 i + j of its V samples.
Coordinates are clamped to the plane, so every vector is legal. Bounds: see `_motion`.
"""

from typing import Any

import torch

from nvc.kernels import _operands as ops
from nvc.kernels._motion import CHROMA, LUMA, MV_MAX, interpolated, require_plane
from nvc.kernels._motion_blocks import compensate
from nvc.kernels._overlap import OVERLAP, OVERLAP_CHROMA, down_and_across
from nvc.kernels._pool import parallel
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import motion_compensate as gpu


def require(name, y, u, v, mv):
    """Raises ValueError unless these are the planes and vectors of one picture; `name` is the kernel's."""
    require_plane("y", y, 16)
    require_plane("u", u, 8)
    require_plane("v", v, 8)
    h, w = y.shape
    if u.shape != (h // 2, w // 2) or v.shape != u.shape:
        raise ValueError(f"{name}: chroma {tuple(u.shape)}, {tuple(v.shape)} is not half of {(h, w)}")
    if mv.dtype != torch.int16 or mv.shape != (h // 16, w // 16, 2):
        raise ValueError(f"{name}: mv {mv.dtype} {tuple(mv.shape)} is not one int16 pair per block")


def _check(y, u, v, mv, overlap):
    require("motion_compensate", y, u, v, mv)
    ops.expect("motion_compensate: overlap", overlap, (*mv.shape[:2],), torch.uint8)


def packed(name, y, out):
    """`out`, or a new one, for the prediction of a picture like the plane `y`. Raises ValueError if it does not fit."""
    shape = (y.shape[0] // 8, y.shape[1] // 8, 96)
    out = torch.empty(shape, dtype=torch.int8, device=y.device) if out is None else out
    ops.expect(f"{name}: out", out, shape, torch.int8)
    if out.stride(2) != 1 or out.device != y.device:
        raise ValueError(f"{name}: out has strides {out.stride()} on {out.device}, y is on {y.device}")
    return out


def on_threads(cur, rate, y, u, v, mv, overlap, out):
    """`_motion_blocks.compensate` of all rows."""
    across, along = out.stride()[:2]
    extent = (out.shape[0] - 1) * across + (out.shape[1] - 1) * along + 96
    flat = out.as_strided((extent,), (1,)).numpy()  # compiled loops need unit strides to be known
    cur, *operands = (t.contiguous().numpy() for t in (cur, y, u, v, mv, overlap))
    parallel(lambda r0, r1: compensate(cur, rate, *operands, flat, across, along, r0, r1), len(mv), 4)


def _tiles(blocks, size):
    """[bh, bw, 2 size, 2 size] -> [2 bh, 2 bw, size * size]."""
    bh, bw = blocks.shape[:2]
    tiles = blocks.reshape(bh, bw, 2, size, 2, size).permute(0, 2, 1, 4, 3, 5)
    return tiles.reshape(2 * bh, 2 * bw, size * size)


def overlapped(plane, mv, overlap, taps, ramp):
    """int64 [bh, bw, n, n]: blocks moved by their own vectors and those around."""
    half = len(ramp)
    rows, columns = torch.arange(mv.shape[0]), torch.arange(mv.shape[1])
    above, below = mv[(rows - 1).clamp_min(0)], mv[(rows + 1).clamp_max(len(rows) - 1)]
    left, right = mv[:, (columns - 1).clamp_min(0)], mv[:, (columns + 1).clamp_max(len(columns) - 1)]
    own, *around = (interpolated(plane, v, taps, 2 * half) for v in (mv, above, below, left, right))
    at = torch.arange(2 * half)
    second = (at >= half).long()
    vertical = torch.where(second[:, None] > 0, around[1], around[0])
    horizontal = torch.where(second > 0, around[3], around[2])
    kind = overlap.long()[..., None, None] >> 2 * (2 * second[:, None] + second) & 3
    down, across = (torch.from_numpy(w).long() for w in down_and_across(ramp))
    a, b = down[kind, at[:, None]], across[kind, at]
    return ((32 - a - b) * own + a * vertical + b * horizontal + 16) >> 5


def reference(y, u, v, mv, overlap):
    _check(y, u, v, mv, overlap)
    mv = mv.long()
    planes = (
        _tiles(overlapped(y, mv, overlap, LUMA, OVERLAP), 8),
        _tiles(overlapped(u, mv, overlap, CHROMA, OVERLAP_CHROMA), 4),
        _tiles(overlapped(v, mv, overlap, CHROMA, OVERLAP_CHROMA), 4),
    )
    return (torch.cat(planes, 2) - 128).to(torch.int8)


NOTHING = torch.empty((0, 0), dtype=torch.uint8)


def cpu(y, u, v, mv, overlap, *, out=None):
    _check(y, u, v, mv, overlap)
    out = packed("motion_compensate", y, out)
    on_threads(NOTHING, 0, y, u, v, mv, overlap, out)
    return out


def launch(y, u, v, mv, overlap, *, out=None):
    _check(y, u, v, mv, overlap)
    out = packed("motion_compensate", y, out)
    ops.expect_launchable("motion_compensate", y, u, v, mv, overlap)
    ops.expect_words("motion_compensate", y, u, v, mv)
    gpu.run(y, u, v, mv, overlap, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Any]:
    h, w = case
    return {
        "y": fill((h, w), 0, 255, torch.uint8),
        "u": fill((h // 2, w // 2), 0, 255, torch.uint8),
        "v": fill((h // 2, w // 2), 0, 255, torch.uint8),
        "mv": _vectors(h // 16, w // 16, fill),
        "overlap": fill((h // 16, w // 16), 0, 255, torch.uint8),
    }


def _vectors(bh, bw, fill):
    """`boundary`: every pair of phases, mostly inside the picture; `corner`: beyond what an encoder may choose."""
    match fill.pattern:
        case "boundary":
            n = torch.arange(bh * bw)
            phases = torch.stack((n >> 3, n), -1).reshape(bh, bw, 2) & 7
            return (phases + 8 * fill((bh, bw, 2), -1, 1, torch.int64)).short()
        case "corner":
            return fill((bh, bw, 2), -32768, 32767, torch.int16)
        case _:
            return fill((bh, bw, 2), -MV_MAX, MV_MAX, torch.int16)


def cost(case: Case) -> Cost:
    h, w = case
    return Cost(bytes=3 * h * w + 5 * h * w // 256, macs=h * w * 16 + h * w // 2 * 8)


motion_compensate = Kernel(
    name="motion_compensate",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((16, 16), (16, 48), (64, 32), (128, 144)),
    bench_cases=((368, 640), (720, 1280)),
    cost=cost,
)
