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

    @property
    def first(self) -> tuple[Tensor, Tensor, Tensor]:
        """Tables of the layer that the first block begins with."""
        return self[0].reduce.tables  # type: ignore[return-value,union-attr]

    def on(self, stream: Tensor) -> list[tuple[Block, Tensor]]:
        """For `chain`: these blocks, all of which leave their results in `stream`."""
        return [(block, stream) for block in self]  # type: ignore[misc]


def half(x: Tensor, space: Workspace, number: int = 0) -> Tensor:
    """int8 [H, W, C / 2], for what a block makes of x [H, W, C] first; number 0 before a `chain`."""
    return space.s8(f"half {number}", *x.shape[:2], x.shape[2] // 2)


def chain(
    blocks: Sequence[tuple[Block, Tensor]],
    x: Tensor,
    space: Workspace,
    begun: bool = False,
    after: tuple[Conv, Tensor] | None = None,
) -> Tensor:
    """Send the stream x through blocks, each with where it leaves its results, which may be where it finds them; then
    through the layer `after`, if there is one, to the int8 [H, W, N] beside it. One kernel for each block, which begins
    what follows, and one before unless the first block is `begun`. Returns the stream."""
    halves = half(x, space), half(x, space, 1)
    h = halves[0] if begun else conv1x1_u8(x, *blocks[0][0].reduce.tables, out=halves[0])
    for i, ((block, out), (following, _)) in enumerate(pairwise(blocks), 1):
        x, h = block_s16(h, x, *block.tables, *following.reduce.tables, out=(out, halves[i & 1]))
    block, out = blocks[-1]
    if after is None:
        return block_s16(h, x, *block.tables, out=out)  # type: ignore[no-any-return]
    layer, result = after
    return block_s16(h, x, *block.tables, *layer.tables, out=(out, result))[0]  # type: ignore[no-any-return]
