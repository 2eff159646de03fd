"""Integer layers: buffers and one kernel call each. The exporter fills the buffers; nothing here computes."""

import torch
from torch import Tensor, nn

from nvc.kernels.block_s16 import block_s16
from nvc.kernels.conv1x1_u8 import conv1x1_u8
from nvc.models.workspace import Workspace


class Conv(nn.Module):
    """Tables of a convolution: weight int8 [n, k], bias and mult int32 [rows, n]."""

    weight: Tensor
    bias: Tensor
    mult: Tensor

    def __init__(self, k: int, n: int, rows: int = 1, mults: int | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros((n, k), dtype=torch.int8))
        self.register_buffer("bias", torch.zeros((rows, n), dtype=torch.int32))
        self.register_buffer("mult", torch.zeros((rows, n if mults is None else mults), dtype=torch.int32))

    @property
    def tables(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.weight, self.bias, self.mult


class Block(nn.Module):
    """Half-width depthwise block on a stream int16 [H, W, C]: two kernels."""

    def __init__(self, c: int) -> None:
        super().__init__()
        half = c // 2
        self.reduce = Conv(c, half)
        self.dw = Conv(9, half)  # stored [9, half]: tap-major, as the kernel reads it
        self.dw.weight = torch.zeros((9, half), dtype=torch.int8)
        self.proj = Conv(half, c)
        self.up = Conv(c, 2 * c, mults=half)
        self.down = Conv(half, c)

    def forward(self, x: Tensor, out: Tensor, space: Workspace) -> Tensor:
        """out may be x."""
        h = conv1x1_u8(x, *self.reduce.tables, out=space.s8("half", *x.shape[:2], x.shape[2] // 2))
        tables = (*self.dw.tables, *self.proj.tables, *self.up.tables, *self.down.tables)
        return block_s16(h, x, *tables, out=out)


class Blocks(nn.ModuleList):
    """Consecutive blocks on one stream, in place or, if there is an `out`, from x to there."""

    def __init__(self, count: int, c: int) -> None:
        super().__init__(Block(c) for _ in range(count))

    def forward(self, x: Tensor, space: Workspace, out: Tensor | None = None) -> Tensor:
        for block in self:
            x = block(x, x if out is None else out, space)
        return x
