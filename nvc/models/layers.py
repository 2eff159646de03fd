"""Integer layers: buffers and one kernel call each. The exporter fills the buffers; nothing here computes."""

from collections.abc import Sequence
from itertools import pairwise

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
    """Half-width depthwise block on a stream int16 [H, W, C]: `reduce`, then all the rest in one kernel."""

    def __init__(self, c: int) -> None:
        super().__init__()
        half = c // 2
        self.reduce = Conv(c, half)
        self.dw = Conv(9, half)  # stored [9, half]: tap-major, as the kernel reads it
        self.dw.weight = torch.zeros((9, half), dtype=torch.int8)
        self.proj = Conv(half, c)
        self.up = Conv(c, 2 * c, mults=half)
        self.down = Conv(half, c)

    @property
    def tables(self) -> tuple[Tensor, ...]:
        """All but those of `reduce`."""
        return *self.dw.tables, *self.proj.tables, *self.up.tables, *self.down.tables


class Blocks(nn.ModuleList):
    """Consecutive blocks."""

    def __init__(self, count: int, c: int) -> None:
        super().__init__(Block(c) for _ in range(count))

    def on(self, stream: Tensor) -> list[tuple[Block, Tensor]]:
        """For `chain`: these blocks, all of which leave their results in `stream`."""
        return [(block, stream) for block in self]  # type: ignore[misc]


def chain(blocks: Sequence[tuple[Block, Tensor]], x: Tensor, space: Workspace) -> Tensor:
    """Send the stream x through blocks, each with where it leaves its results, which may be where it finds them: one
    kernel, and one for each block, as a block's kernel begins the next."""
    halves = [space.s8(f"half {i}", *x.shape[:2], x.shape[2] // 2) for i in (0, 1)]
    h = conv1x1_u8(x, *blocks[0][0].reduce.tables, out=halves[0])
    for i, ((block, out), (after, _)) in enumerate(pairwise(blocks), 1):
        x, h = block_s16(h, x, *block.tables, *after.reduce.tables, out=(out, halves[i & 1]))
    block, out = blocks[-1]
    return block_s16(h, x, *block.tables, out=out)  # type: ignore[no-any-return]
