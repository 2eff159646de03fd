"""Differentiable motion compensation: the integer kernel's filters on float planes."""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 16
LUMA = torch.tensor(
    [
        [0, 0, 0, 64, 0, 0, 0, 0],
        [-1, 4, -10, 58, 17, -5, 1, 0],
        [-1, 4, -11, 40, 40, -11, 4, -1],
        [0, 1, -5, 17, 58, -10, 4, -1],
    ]
)
CHROMA = torch.tensor(
    [
        [0, 64, 0, 0],
        [-2, 58, 10, -2],
        [-4, 54, 16, -2],
        [-6, 46, 28, -4],
        [-4, 36, 36, -4],
        [-4, 28, 46, -6],
        [-2, 16, 54, -4],
        [-2, 10, 58, -2],
    ]
)


def _matrices(taps: Tensor, block: int) -> Tensor:
    """[phases, block, block + taps - 1]: the filter as a matrix that maps a padded row of samples to a block row."""
    phases, n = taps.shape
    m = torch.zeros(phases, block, block + n - 1)
    for i in range(block):
        m[:, i, i : i + n] = taps / 64
    return m


_LUMA, _CHROMA = _matrices(LUMA, BLOCK), _matrices(CHROMA, BLOCK // 2)


def _warp(plane: Tensor, mv: Tensor, block: int, matrices: Tensor) -> Tensor:
    """plane [B, P, H, W], mv [B, bh, bw, 2] in 1/phases samples -> [B, P, H, W]; coordinates clamp to the plane."""
    b, p, h, w = plane.shape
    bh, bw = mv.shape[1:3]
    phases, _, side = matrices.shape
    whole, phase = torch.div(mv, phases, rounding_mode="floor"), torch.remainder(mv, phases)
    lead = {8: 3, 4: 1}[side - block + 1]
    reach = torch.arange(side, device=plane.device) - lead
    top = torch.arange(bh, device=plane.device)[:, None] * block + whole[..., 0]
    left = torch.arange(bw, device=plane.device)[None] * block + whole[..., 1]
    rows = (top[..., None] + reach).clamp(0, h - 1)
    cols = (left[..., None] + reach).clamp(0, w - 1)
    at = (rows[..., :, None] * w + cols[..., None, :]).view(b, 1, -1).expand(b, p, -1)
    patches = plane.flatten(2).gather(2, at).view(b, p, bh, bw, side, side)
    m = matrices.to(plane.device)
    out = m[phase[..., 0]][:, None] @ patches @ m[phase[..., 1]][:, None].transpose(-1, -2)
    return out.permute(0, 1, 2, 4, 3, 5).reshape(b, p, bh * block, bw * block)


def unpack(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """[B, 96, h, w] -> luma [B, 1, 8h, 8w], chroma [B, 2, 4h, 4w]."""
    return F.pixel_shuffle(pixels[:, :64], 8), F.pixel_shuffle(pixels[:, 64:], 4)


def pack(luma: Tensor, chroma: Tensor) -> Tensor:
    """Inverse of `unpack`."""
    return torch.cat([F.pixel_unshuffle(luma, 8), F.pixel_unshuffle(chroma, 4)], 1)


def compensate(pixels: Tensor, mv: Tensor) -> Tensor:
    """[B, 96, h, w] moved by quarter-pel block vectors [B, h/2, w/2, 2] int64 -> [B, 96, h, w]."""
    luma, chroma = unpack(pixels.float())
    moved = pack(_warp(luma, mv, BLOCK, _LUMA), _warp(chroma, mv, BLOCK // 2, _CHROMA))
    return moved.clamp(-128, 127)
