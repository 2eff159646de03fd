"""Planes of a 4:2:0 picture to 96 channels at 1/8: an 8x8 block of luma with its two 4x4 blocks of chroma.

    out[r, c, 8 i + j]      = Y[8 r + i, 8 c + j] - 128     0 <= i, j < 8
    out[r, c, 64 + 4 i + j] = U[4 r + i, 4 c + j] - 128     0 <= i, j < 4
    out[r, c, 80 + 4 i + j] = V[4 r + i, 4 c + j] - 128     0 <= i, j < 4

Below and to the right of the picture the last row and column repeat: indices are limited to H - 1, W - 1 and Hc - 1,
Wc - 1. The result covers the picture rounded up to multiples of 16 luma pixels.

    name    shape        dtype   range
    y       [H, W]       uint8   full    H, W >= 1; any row stride, columns contiguous
    u, v    [Hc, Wc]     uint8   full    Hc = ceil(H / 2), Wc = ceil(W / 2); any row stride, columns contiguous
    out     [h, w, 96]   int8    full    h = 2 ceil(H / 16), w = 2 ceil(W / 16); channels contiguous, any other strides

Bounds: 0 <= pixel <= 255, so pixel - 128 fits int8 exactly.
"""

import numpy as np
import torch
from torch import Tensor

from nvc.kernels import _operands as ops
from nvc.kernels._fixed import compiled
from nvc.kernels._pool import parallel
from nvc.kernels._table import Case, Cost, Fill, Kernel
from nvc.kernels.gpu import pack_s8 as gpu

CHUNK = 4  # rows of blocks


def _shape(H: int, W: int) -> tuple[int, int, int]:
    return (H + 15) // 16 * 2, (W + 15) // 16 * 2, 96


def _check(y: Tensor, u: Tensor, v: Tensor) -> None:
    H, W = y.shape
    if H < 1 or W < 1:
        raise ValueError(f"pack_s8: y is empty, {H}x{W}")
    ops.expect("pack_s8: y", y, (H, W), torch.uint8)
    ops.expect("pack_s8: u", u, ((H + 1) // 2, (W + 1) // 2), torch.uint8)
    ops.expect("pack_s8: v", v, ((H + 1) // 2, (W + 1) // 2), torch.uint8)


def reference(y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    _check(y, u, v)
    h, w, _ = _shape(*y.shape)
    groups = []
    for plane, size in ((y, 8), (u, 4), (v, 4)):
        rows = torch.arange(h * size).clamp(max=plane.shape[0] - 1)
        columns = torch.arange(w * size).clamp(max=plane.shape[1] - 1)
        blocks = plane[rows][:, columns].long().reshape(h, size, w, size).permute(0, 2, 1, 3)
        groups.append(blocks.reshape(h, w, size * size) - 128)
    return torch.cat(groups, 2).to(torch.int8)


@compiled
def _blocks8(plane, out, begin, end):
    last_row, last_column = plane.shape[0] - 1, plane.shape[1] - 1
    w, whole = out.shape[1], plane.shape[1] >> 3
    for r in range(begin, end):
        for i in range(8):
            src = plane[min(8 * r + i, last_row)]
            for c in range(whole):
                for j in range(8):
                    out[r, c, 8 * i + j] = np.int8(src[8 * c + j] ^ np.uint8(128))
            for c in range(whole, w):
                for j in range(8):
                    out[r, c, 8 * i + j] = np.int8(src[min(8 * c + j, last_column)] ^ np.uint8(128))


@compiled
def _blocks4(plane, out, begin, end):
    last_row, last_column = plane.shape[0] - 1, plane.shape[1] - 1
    w, whole = out.shape[1], plane.shape[1] >> 2
    for r in range(begin, end):
        for i in range(4):
            src = plane[min(4 * r + i, last_row)]
            for c in range(whole):
                for j in range(4):
                    out[r, c, 4 * i + j] = np.int8(src[4 * c + j] ^ np.uint8(128))
            for c in range(whole, w):
                for j in range(4):
                    out[r, c, 4 * i + j] = np.int8(src[min(4 * c + j, last_column)] ^ np.uint8(128))


def cpu(y: Tensor, u: Tensor, v: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(y, u, v)
    if out is None:
        out = torch.empty(_shape(*y.shape), dtype=torch.int8)
    ops.expect("pack_s8: out", out, _shape(*y.shape), torch.int8)
    planes, channels = (y.numpy(), u.numpy(), v.numpy()), out.numpy()
    parts = channels[:, :, :64], channels[:, :, 64:80], channels[:, :, 80:]

    def rows(begin: int, end: int) -> None:
        _blocks8(planes[0], parts[0], begin, end)
        _blocks4(planes[1], parts[1], begin, end)
        _blocks4(planes[2], parts[2], begin, end)

    parallel(rows, out.shape[0], CHUNK)
    return out


def launch(y: Tensor, u: Tensor, v: Tensor, *, out: Tensor | None = None) -> Tensor:
    _check(y, u, v)
    if out is None:
        out = torch.empty(_shape(*y.shape), dtype=torch.int8, device=y.device)
    ops.expect("pack_s8: out", out, _shape(*y.shape), torch.int8)
    for name, t in (("y", y), ("u", u), ("v", v), ("out", out)):
        if t.device != y.device or (t.stride(-1) != 1 and t.shape[-1] > 1):
            raise ValueError(f"pack_s8: {name} has strides {t.stride()} on {t.device}, y is on {y.device}")
    gpu.run(y, u, v, out)
    return out


def make(case: Case, fill: Fill) -> dict[str, Tensor]:
    H, W, slack = case  # slack: planes are crops of arrays that are this much wider
    hc, wc = (H + 1) // 2, (W + 1) // 2
    return {
        "y": fill((H, W + slack), 0, 255, torch.uint8)[:, slack:],
        "u": fill((hc, wc + slack), 0, 255, torch.uint8)[:, slack:],
        "v": fill((hc, wc + slack), 0, 255, torch.uint8)[:, slack:],
    }


def cost(case: Case) -> Cost:
    H, W, _ = case
    h, w, channels = _shape(H, W)
    return Cost(bytes=H * W + 2 * ((H + 1) // 2) * ((W + 1) // 2) + h * w * channels, macs=0)


pack_s8 = Kernel(
    name="pack_s8",
    reference=reference,
    cpu=cpu,
    launch=launch,
    make=make,
    cases=((1, 1, 0), (1, 1, 5), (17, 33, 0), (40, 50, 3), (2, 47, 1), (95, 8, 0), (64, 96, 32)),
    bench_cases=((360, 640, 0), (720, 1280, 0), (1080, 1920, 128)),
    cost=cost,
)
