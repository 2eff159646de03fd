"""Differentiable motion compensation: the integer kernel's filters on float planes."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nvc.kernels._motion import CHROMA, LUMA, OVERLAP, OVERLAP_CHROMA


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


def _overlapped(plane: Tensor, mv: Tensor, phases: int, overlap: np.ndarray) -> Tensor:
    """plane [B, P, H, W] predicted as `motion_compensate` does, without its rounding."""
    half = len(overlap)
    own = _warp(plane, mv, (2 * half, 2 * half), phases)
    vertical = _warp(plane, _around(mv, 1), (half, 2 * half), phases)
    horizontal = _warp(plane, _around(mv, 2), (2 * half, half), phases)
    ramp = torch.from_numpy(overlap).to(plane.device) / 32
    weights = torch.cat((ramp, ramp.flip(0)))
    a, b = (weights.repeat(n // (2 * half)) for n in plane.shape[2:])
    return own + a[:, None] * (vertical - own) + b * (horizontal - own)


def unpack(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """[B, 96, h, w] -> luma [B, 1, 8h, 8w], chroma [B, 2, 4h, 4w]."""
    return F.pixel_shuffle(pixels[:, :64], 8), F.pixel_shuffle(pixels[:, 64:], 4)


def pack(luma: Tensor, chroma: Tensor) -> Tensor:
    """Inverse of `unpack`."""
    return torch.cat([F.pixel_unshuffle(luma, 8), F.pixel_unshuffle(chroma, 4)], 1)


def compensate(pixels: Tensor, mv: Tensor) -> Tensor:
    """[B, 96, h, w] moved by quarter-pel block vectors [B, h/2, w/2, 2] int64 -> [B, 96, h, w]."""
    luma, chroma = unpack(pixels.float())
    return pack(_overlapped(luma, mv, len(LUMA), OVERLAP), _overlapped(chroma, mv, len(CHROMA), OVERLAP_CHROMA))
