"""The low-delay network in integers: presets `fast` and `main`. Encoder and decoder call the same functions.

                     memory, prediction
                            |
                         context ------------------+-----------------------+
                            |                      |                       |
    picture, prediction -> analyse -> y, z      entropy parameters      synthesise -> memory, picture
                            |          z  ->    (mean, index)              ^
                            +-- y - mean -> symbols q --- refined mean ----+

Features are int16 streams [h, w, C] at 1/8, latents at 1/16, hyper-latents at 1/64 (docs/NUMERICS.md). `row` is the
gain row, int32 [1].
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nvc.kernels.conv1x1_s16 import conv1x1_s16
from nvc.kernels.conv1x1_u8 import conv1x1_u8
from nvc.kernels.dequant_s16 import dequant_s16
from nvc.kernels.down2_s8 import down2_s8
from nvc.kernels.down2_s16 import down2_s16
from nvc.kernels.down2_u8 import down2_u8
from nvc.kernels.latent_s16 import latent_s16
from nvc.kernels.latent_up_s16 import latent_up_s16
from nvc.kernels.prior_head import prior_head
from nvc.kernels.recon_u8 import recon_u8
from nvc.kernels.refine_mean import refine_mean
from nvc.kernels.up2_u8 import up2_u8
from nvc.models.config import PIXELS, ROWS, Config
from nvc.models.layers import Blocks, Conv

Planes = tuple[Tensor, Tensor, Tensor]


class Prior(NamedTuple):
    """Entropy parameters of the latents, known before any of their symbols."""

    features: Tensor  # int16 [h/2, w/2, C]
    mean: Tensor  # int16 [h/2, w/2, N], unit 1/32 step
    rows: Tensor  # uint8 [h/2, w/2, N], of the probability tables


class LowDelay(nn.Module):
    """Buffers are filled from a weights file; see nvc.models.weights."""

    memory: Tensor
    z_index: Tensor
    ginv: Tensor
    cdf: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = c = config
        n, y = c.channels, c.latent
        self.register_buffer("memory", torch.zeros((2, n), dtype=torch.int16))  # inter after a reset, intra
        self.register_buffer("z_index", torch.zeros((ROWS, c.z), dtype=torch.uint8))
        self.register_buffer("ginv", torch.zeros((ROWS, y), dtype=torch.int32))
        self.register_buffer("cdf", torch.zeros((72, 256), dtype=torch.int32))
        self.context_in, self.context = Conv(n + PIXELS, n), Blocks(c.context_blocks, n)
        self.encoder_in, self.encoder = Conv(n + 2 * PIXELS, n, ROWS), Blocks(c.encoder_blocks, n)
        self.encoder_down, self.encoder_latent = Conv(4 * n, n), Blocks(c.encoder_latent_blocks, n)
        self.y_detail, self.y_head = Conv(n, n), Conv(5 * n, y, ROWS)
        self.hyper_enc1, self.hyper_enc2 = Conv(4 * n, c.hyper), Conv(4 * c.hyper, c.z)
        self.hyper_dec1, self.hyper_dec2 = Conv(c.z, 4 * c.hyper), Conv(c.hyper, 4 * c.hyper)
        self.prior_in, self.prior = Conv(4 * n + c.hyper, n, ROWS), Blocks(c.prior_blocks, n)
        self.prior_head = Conv(n, 2 * y, ROWS)
        self.step_in, self.step = Conv(y, n), Blocks(c.step_blocks, n)
        self.step_head = Conv(n, y, ROWS)
        self.decoder_up, self.decoder_context = Conv(y, 4 * n, ROWS), Conv(n, n, ROWS)
        self.decoder, self.recon = Blocks(c.decoder_blocks, n), Blocks(c.recon_blocks, n)
        self.recon_head = Conv(n, 2 * PIXELS, ROWS)
        self.register_buffer("row0", torch.zeros(1, dtype=torch.int32), persistent=False)

    def empty_memory(self, h: int, w: int, intra: bool) -> Tensor:
        """int16 [h, w, C] memory of a frame that has none."""
        return self.memory[int(intra)].expand(h, w, -1).contiguous()

    def make_context(self, memory: Tensor, prediction: Tensor) -> Tensor:
        """memory int16 [h, w, C], prediction int8 [h, w, 96] -> int16 [h, w, C]."""
        return self.context(conv1x1_s16(memory, prediction, *self.context_in.tables, self.row0))  # type: ignore[no-any-return]

    def analyse(self, context: Tensor, pixels: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        """pixels int8 [h, w, 192], picture then prediction -> y int16 [h/2, w/2, N] (unit 1/32 step), z int8."""
        pictures = self.encoder(conv1x1_s16(context, pixels, *self.encoder_in.tables, row))
        e = self.encoder_latent(down2_s16(pictures, None, *self.encoder_down.tables, self.row0))
        y = down2_s16(pictures, conv1x1_u8(e, *self.y_detail.tables), *self.y_head.tables, row)
        return y, down2_s8(down2_u8(e, *self.hyper_enc1.tables), *self.hyper_enc2.tables)

    def make_prior(self, context: Tensor, z: Tensor, row: Tensor) -> Prior:
        """z int8 [h/8, w/8, Z] -> what is known about y before its symbols."""
        h, w = context.shape[0] // 2, context.shape[1] // 2
        hyper = up2_u8(z, *self.hyper_dec1.tables, (h + 1) // 2, (w + 1) // 2)
        hyper = up2_u8(hyper, *self.hyper_dec2.tables, h, w)
        features = self.prior(down2_s16(context, hyper, *self.prior_in.tables, row))
        return Prior(features, *prior_head(features, *self.prior_head.tables, row))

    def refine(self, prior: Prior, q: Tensor, row: Tensor) -> Tensor:
        """Means int16 [h/2, w/2, N], those of the second checkerboard phase corrected from the symbols of the first."""
        x = dequant_s16(q, prior.mean, self.ginv, row, 0)
        s = self.step(latent_s16(x, prior.features, *self.step_in.tables))
        return refine_mean(s, prior.mean, *self.step_head.tables, row)  # type: ignore[no-any-return]

    def synthesise(
        self, q: Tensor, mean: Tensor, context: Tensor, prediction: Tensor, row: Tensor
    ) -> tuple[Tensor, Planes]:
        """Symbols and refined means -> the next memory int16 [h, w, C] and planes uint8 [8h, 8w], 2 x [4h, 4w]."""
        x = dequant_s16(q, mean, self.ginv, row, 2)
        up, ctx = self.decoder_up, self.decoder_context
        f = latent_up_s16(x, context, up.weight, ctx.weight, up.bias, up.mult, ctx.bias, ctx.mult, row)
        memory = self.decoder(f)
        g = self.recon(memory.clone())
        return memory, recon_u8(g, prediction, *self.recon_head.tables, row)
