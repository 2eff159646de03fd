"""From a trained twin to the integer network: the same tables that the twin's EXACT mode computes with."""

import torch
from torch import Tensor, nn

from nvc.kernels._tables import default_tables
from nvc.models.lowdelay import LowDelay
from nvc.models.quantiser import SCALES
from nvc.train.block import Block
from nvc.train.layers import Conv
from nvc.train.quant import BIAS_MAX, S16, U8
from nvc.train.twin import Twin

CHAINS = ("context", "encoder", "encoder_latent", "prior", "step", "decoder", "recon")
CONVS = (
    *("context_in", "encoder_in", "encoder_down", "y_detail", "y_head"),
    *("hyper_enc1", "hyper_enc2", "hyper_dec1", "hyper_dec2"),
    *("prior_in", "step_in", "step_head", "decoder_up", "decoder_context"),
)


def _fill(target: nn.Module, weight: Tensor, bias: Tensor, mult: Tensor) -> None:
    for name, value in (("weight", weight), ("bias", bias), ("mult", mult)):
        buffer = getattr(target, name)
        if buffer.shape != value.shape:
            raise ValueError(f"{name} is {tuple(value.shape)}, the network wants {tuple(buffer.shape)}")
        buffer.copy_(value)


def integer_tables(conv: Conv) -> tuple[Tensor, Tensor, Tensor]:
    """Tables as the kernels want them: [N, K] weights, bias with the offset of u8 operands, one mult per group."""
    weight, bias, mult = conv.tables()
    flat = weight.flatten(1)
    if conv.groups > 1:
        offset = 128 * flat.sum(1, dtype=torch.int32)  # a depthwise operand is always u8
        flat = flat.t().contiguous()
    else:
        is_u8 = conv.units.flatten() == U8
        offset = 128 * flat[:, is_u8].sum(1, dtype=torch.int32)
    bias = bias + offset
    if bias.abs().max() > BIAS_MAX:
        raise ValueError("a bias left the range of the integer tables")
    return flat, bias, mult[:, : mult.shape[1] // conv.group]


def _blocks(target: nn.Module, source: nn.ModuleList) -> None:
    for to, block in zip(target.children(), source, strict=True):
        assert isinstance(block, Block)
        for name in ("reduce", "dw", "proj", "up", "down"):
            _fill(getattr(to, name), *integer_tables(getattr(block, name)))


def export(twin: Twin) -> LowDelay:
    """The integer network of a twin. Raises ValueError when a parameter does not fit its integer table."""
    twin = twin.cpu()
    net = LowDelay(twin.config)
    with torch.no_grad():
        net.memory.copy_(torch.floor(twin.memory.double() / S16 + 0.5).clamp(-32768, 32767))
        net.z_index.copy_(torch.floor(twin.z_index().double() + 0.5).clamp(0, SCALES - 1))
        ginv = torch.floor(twin.double_ginv() * 2**20 + 0.5)
        if ginv.max() >= 2**26:
            raise ValueError("an inverse gain left the range of its table")
        net.ginv.copy_(ginv)
        net.cdf.copy_(default_tables())
        for name in CHAINS:
            _blocks(getattr(net, name), getattr(twin, name))
        for name in CONVS:
            _fill(getattr(net, name), *integer_tables(getattr(twin, name)))
        joined = (integer_tables(twin.mean_head), integer_tables(twin.index_head))
        _fill(net.prior_head, *(torch.cat(pair, min(1, i)) for i, pair in enumerate(zip(*joined, strict=True))))
        gain, gate = integer_tables(twin.recon_gain), integer_tables(twin.recon_gate)
        rows = gain[1].shape[0]
        gate = (gate[0], gate[1].expand(rows, -1), gate[2].expand(rows, -1))
        _fill(net.recon_head, *(torch.cat(pair, min(1, i)) for i, pair in enumerate(zip(gain, gate, strict=True))))
    return net
