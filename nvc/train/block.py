"""Twin of the half-width depthwise block."""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from nvc.train import rows as row_ops
from nvc.train.layers import Conv, GroupSum, Stream, unmixed
from nvc.train.quant import S8, S16, U8, Mode, steps_of
from nvc.train.rows import planes, rows_of


class _Block(torch.autograd.Function):
    """`Block` on the CPU, where the calls that it saves are a third of the time. `prepared` holds, each five times,
    weights, gains and biases; gains get no gradient."""

    @staticmethod
    def forward(ctx, value, view, mode, *prepared):  # type: ignore[no-untyped-def]
        dtype, shape = view.dtype, view.shape
        reduce, dw, proj, up, down = weights = [w.to(dtype) for w in prepared[:5]]
        gains, biases = prepared[5:10], prepared[10:]
        u8 = steps_of(U8, 0, 255, mode, dtype)
        s8 = steps_of(S8, -128, 127, mode, dtype)
        v0 = rows_of(view)
        a0 = v0 @ reduce.t()
        h = row_ops.requantise_rows(a0, gains[0], biases[0], u8)
        a1 = rows_of(F.conv2d(planes(h, shape), dw, padding=1, groups=len(dw)))
        d = row_ops.requantise_rows(a1, gains[1], biases[1], s8)
        x1, v1 = row_ops.stream_rows(rows_of(value), d @ proj.t(), gains[2], biases[2], s8)
        a3 = v1 @ up.t()
        s = row_ops.group_rows(a3, gains[3], biases[3], u8)
        x2, v2 = row_ops.stream_rows(x1, s @ down.t(), gains[4], biases[4], s8)
        ctx.save_for_backward(v0, a0, h, a1, d, x1, v1, a3, s, x2, *weights, *gains, *biases)
        ctx.shape, ctx.formats = shape, (u8, s8)
        ctx.set_materialize_grads(False)
        return planes(x2, shape), planes(v2, shape)

    @staticmethod
    def backward(ctx, grad, grad_view):  # type: ignore[no-untyped-def]
        v0, a0, h, a1, d, x1, v1, a3, s, x2, reduce, dw, proj, up, down, *tables = ctx.saved_tensors
        gains, biases, shape, (u8, s8) = tables[:5], tables[5:], ctx.shape, ctx.formats

        grad, grad_view = (None if g is None else rows_of(g) for g in (grad, grad_view))
        d_x, d_acc, d_b4 = row_ops.stream_rows_backward(x2, gains[4], s8, grad, grad_view)
        d_s, d_down = unmixed(d_acc, s, down)
        d_acc, d_b3 = row_ops.group_rows_backward(a3, gains[3], biases[3], u8, d_s)
        d_v1, d_up = unmixed(d_acc, v1, up)
        d_x, d_acc, d_b2 = row_ops.stream_rows_backward(x1, gains[2], s8, d_x, d_v1)
        d_d, d_proj = unmixed(d_acc, d, proj)
        d_acc, _, d_b1 = row_ops.requantise_rows_backward(a1, gains[1], biases[1], s8, d_d)
        d_h, d_dw, _ = torch.ops.aten.convolution_backward(
            *(planes(d_acc, shape), planes(h, shape), dw, None, [1, 1], [1, 1], [1, 1], False, [0, 0], len(dw)),
            [True, True, False],
        )
        d_acc, _, d_b0 = row_ops.requantise_rows_backward(a0, gains[0], biases[0], u8, rows_of(d_h))
        d_v0, d_reduce = unmixed(d_acc, v0, reduce)
        d_weights = d_reduce, d_dw.float(), d_proj, d_up, d_down
        return planes(d_x, shape), planes(d_v0, shape), None, *d_weights, *[None] * 5, d_b0, d_b1, d_b2, d_b3, d_b4


class Block(nn.Module):
    """Half-width depthwise block (after DCVC-UF): residual of 1x1, ReLU, 3x3 depthwise, 1x1, then residual
    of 1x1, ReLU, sum of groups of four, 1x1."""

    def __init__(self, c: int) -> None:
        super().__init__()
        half = c // 2
        self.reduce = Conv([(c, S8)], half, U8)
        self.dw = Conv([(half, U8)], half, S8, depthwise=True)
        self.proj = Conv([(half, S8)], c, S16, scale=0.0)
        self.up = GroupSum([(c, S8)], 2 * c, U8, group=4)
        self.down = Conv([(half, U8)], c, S16, scale=0.0)
        self.dw.weight.data[:, :, 1, 1] += 0.5

    def forward(self, x: Stream, mode: Mode) -> Stream:
        if mode is not Mode.EXACT and x.view.device.type == "cpu":
            convs = (self.reduce, self.dw, self.proj, self.up, self.down)
            prepared = zip(*(conv.prepared or conv.prepare(mode) for conv in convs), strict=True)
            return Stream(*_Block.apply(*x, mode, *itertools.chain(*prepared)))  # type: ignore[no-untyped-call]
        d = self.dw.to_s8(self.reduce.to_u8(x.view, mode), mode)
        x = self.proj.to_stream(d, None, mode, x.value)
        return self.down.to_stream(self.up(x.view, None, mode), None, mode, x.value)
