"""Passes 1 and 2 of motion_search's reference, in planes of means, and how a block chooses."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nvc.kernels._motion import windows
from nvc.kernels._motion_cpu import LARGE
from nvc.kernels._vector_motion import QUARTER_ROWS


class Choice:
    """Running minimum of every block: the first candidate with the least cost."""

    def __init__(self, cost: Tensor, mv: Tensor) -> None:
        self.cost, self.mv = cost, mv

    def offer(self, cost: Tensor, mv: Tensor) -> None:
        better = cost < self.cost
        self.cost, self.mv = torch.where(better, cost, self.cost), torch.where(better[..., None], mv, self.mv)


def shrunk(plane: Tensor) -> Tensor:
    """Rounded 4x4 means, int64."""
    h, w = plane.shape
    return (plane.reshape(h // 4, 4, w // 4, 4).sum((1, 3)) + 8) >> 4


def distance(cur: Tensor, ref: Tensor, mv: Tensor, pitch: int, size: int, rows: Sequence[int]) -> Tensor:
    """SAD + |dy| + |dx| of rows of the windows of `size` samples centred on blocks of `pitch` samples, ref's moved by
    mv."""
    at = [torch.arange(n // pitch) * pitch - (size - pitch) // 2 for n in cur.shape]
    top, left = torch.meshgrid(*at, indexing="ij")
    there = windows(ref, top + mv[..., 0], left + mv[..., 1], size)
    return (windows(cur, top, left, size) - there)[:, :, list(rows)].abs().sum((2, 3)) + mv.abs().sum(2)


def hierarchy(cur: Tensor, ref: Tensor) -> Tensor:
    """Passes 1 and 2: int64 [bh, bw, 2] in quarter pel."""
    cur4, ref4 = shrunk(cur.long()), shrunk(ref.long())
    cur16, ref16 = shrunk(cur4), shrunk(ref4)
    zero = torch.zeros(*cur16.shape, 2, dtype=torch.int64)
    coarse, best = (Choice(torch.full(zero.shape[:2], LARGE), zero) for _ in range(2))
    for v in torch.cartesian_prod(torch.arange(-5, 6), torch.arange(-8, 8)):
        coarse.offer(distance(cur16, ref16, zero + v, 1, 5, range(5)), zero + v)
    for centre, rows in ((zero, torch.arange(-8, 8)), (4 * coarse.mv, torch.arange(-3, 4))):
        for v in torch.cartesian_prod(rows, torch.arange(-8, 8)):
            best.offer(distance(cur4, ref4, centre + v, 4, 8, QUARTER_ROWS), centre + v)
    return 16 * best.mv
