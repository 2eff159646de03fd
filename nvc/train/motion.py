"""Differentiable motion compensation: the integer kernel's filters on float planes."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nvc.kernels._motion import CHROMA, LUMA
from nvc.kernels._overlap import OVERLAP, OVERLAP_CHROMA, down_and_across


def _matrices(taps: np.ndarray, block: int) -> Tensor:
    """[phases, block, block + taps - 1]: the filter as a matrix that maps padded samples to those of a block."""
    phases, n = taps.shape
    m = torch.zeros(phases, block, block + n - 1)
    for i in range(block):
        m[:, i, i : i + n] = torch.from_numpy(taps) / 64
    return m


_FILTERS = {(len(taps), n): _matrices(taps, n) for taps, half in ((LUMA, 8), (CHROMA, 4)) for n in (half, 2 * half)}


def _warp(plane: Tensor, mv: Tensor, size: tuple[int, int], phases: int) -> Tensor:
    """plane [B, P, H, W] moved by mv [B, rows, columns, 2] (1/phases sample) of blocks of `size` -> [B, P, H, W] within
    -128..127; coordinates clamp to the plane."""
    b, p, h, w = plane.shape
    rows, columns = mv.shape[1:3]
    filters = [_FILTERS[phases, n].to(plane.device) for n in size]
    sides = [f.shape[2] for f in filters]
    lead = (sides[0] - size[0]) // 2
    whole, phase = torch.div(mv, phases, rounding_mode="floor"), torch.remainder(mv, phases)
    reach = [torch.arange(side, device=plane.device) - lead for side in sides]
    top = torch.arange(rows, device=plane.device)[:, None] * size[0] + whole[..., 0]
    left = torch.arange(columns, device=plane.device)[None] * size[1] + whole[..., 1]
    y = (top[..., None] + reach[0]).clamp(0, h - 1)
    x = (left[..., None] + reach[1]).clamp(0, w - 1)
    at = (y[..., :, None] * w + x[..., None, :]).view(b, 1, -1).expand(b, p, -1)
    patches = plane.flatten(2).gather(2, at).view(b, p, rows, columns, *sides)
    out = filters[0][phase[..., 0]][:, None] @ patches @ filters[1][phase[..., 1]][:, None].transpose(-1, -2)
    return out.permute(0, 1, 2, 4, 3, 5).reshape(b, p, rows * size[0], columns * size[1]).clamp(-128, 127)


def _around(mv: Tensor, dim: int) -> Tensor:
    """Vectors of half blocks along `dim`: of the block before for the first half, of the block after for the second."""
    n = mv.shape[dim]
    at = torch.arange(2 * n, device=mv.device)
    return mv.index_select(dim, ((at >> 1) + 2 * (at & 1) - 1).clamp(0, n - 1))


def _shares(overlap: Tensor, ramp: np.ndarray) -> Tensor:
    """[2, B, 1, H, W]: weights of the vertical and the horizontal neighbours for overlap uint8 [B, rows, columns]."""
    size = 2 * len(ramp)
    at = torch.arange(size, device=overlap.device)
    second = at // len(ramp)
    kind = overlap.long()[..., None, None] >> 2 * (2 * second[:, None] + second) & 3
    down, across = (torch.from_numpy(w).to(overlap.device) / 32 for w in down_and_across(ramp))
    both = torch.stack((down[kind, at[:, None]], across[kind, at]))
    return both.transpose(3, 4).flatten(4, 5).flatten(2, 3)[:, :, None]


def _overlapped(plane: Tensor, mv: Tensor, overlap: Tensor, phases: int, ramp: np.ndarray) -> Tensor:
    """plane [B, P, H, W] predicted as `motion_compensate` does, without its rounding."""
    half = len(ramp)
    own = _warp(plane, mv, (2 * half, 2 * half), phases)
    vertical = _warp(plane, _around(mv, 1), (half, 2 * half), phases)
    horizontal = _warp(plane, _around(mv, 2), (2 * half, half), phases)
    a, b = _shares(overlap, ramp)
    return own + a * (vertical - own) + b * (horizontal - own)


def unpack(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """[B, 96, h, w] -> luma [B, 1, 8h, 8w], chroma [B, 2, 4h, 4w]."""
    return F.pixel_shuffle(pixels[:, :64], 8), F.pixel_shuffle(pixels[:, 64:], 4)


def pack(luma: Tensor, chroma: Tensor) -> Tensor:
    """Inverse of `unpack`."""
    return torch.cat([F.pixel_unshuffle(luma, 8), F.pixel_unshuffle(chroma, 4)], 1)


def compensate(pixels: Tensor, mv: Tensor, overlap: Tensor) -> Tensor:
    """[B, 96, h, w] moved by quarter-pel block vectors [B, h/2, w/2, 2] int64, whose blocks overlap as uint8
    [B, h/2, w/2] says -> [B, 96, h, w]."""
    luma, chroma = unpack(pixels.float())
    return pack(
        _overlapped(luma, mv, overlap, len(LUMA), OVERLAP),
        _overlapped(chroma, mv, overlap, len(CHROMA), OVERLAP_CHROMA),
    )
