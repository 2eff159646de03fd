"""The low-delay network in integers: presets `fast` and `main`. Encoder and decoder call the same functions.

                     memory, prediction
                            |
                         context ------------------+-----------------------+
                            |                      |                       |
    picture, prediction -> analyse -> y, z      entropy parameters      synthesise -> memory, picture
                            |          z  ->    (mean, index)              ^
                            +-- y - mean -> symbols q --- refined mean ----+

Features are int16 streams [h, w, C] at 1/8, latents at 1/16, hyper-latents at 1/64 (docs/NUMERICS.md). `row` is the
gain row, int32 [1]; `space` holds everything between the layers.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nvc.kernels._tables import SYMBOLS, TABLE_ROWS
from nvc.kernels.conv1x1_s16 import conv1x1_s16
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
from nvc.models.layers import Blocks, Conv, chain, half
from nvc.models.workspace import Workspace

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
        self.register_buffer("cdf", torch.zeros((TABLE_ROWS, SYMBOLS + 1), dtype=torch.int32))
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

    def make_context(self, memory: Tensor, prediction: Tensor, space: Workspace) -> Tensor:
        """memory int16 [h, w, C], prediction int8 [h, w, 96] -> int16 [h, w, C]."""
        x = space.s16("context", *memory.shape)
        first = self.context.first
        conv1x1_s16(memory, prediction, *self.context_in.tables, self.row0, False, *first, out=(x, half(x, space)))
        return chain(self.context.on(x), x, space, begun=True)

    def analyse(self, context: Tensor, pixels: Tensor, row: Tensor, space: Workspace) -> tuple[Tensor, Tensor]:
        """pixels int8 [h, w, 192], picture then prediction -> y int16 [h/2, w/2, N] (unit 1/32 step), z int8."""
        c, (h, w, _) = self.config, context.shape
        sizes = [((h + n - 1) // n, (w + n - 1) // n) for n in (2, 4, 8)]
        x = space.s16("pictures", h, w, c.channels)
        first = self.encoder.first
        conv1x1_s16(context, pixels, *self.encoder_in.tables, row, True, *first, out=(x, half(x, space)))
        pictures = chain(self.encoder.on(x), x, space, begun=True)
        x = space.s16("encoded", *sizes[0], c.channels)
        first = self.encoder_latent.first
        down2_s16(pictures, None, *self.encoder_down.tables, self.row0, *first, out=(x, half(x, space)))
        detail = space.s8("detail", *sizes[0], c.channels)
        e = chain(self.encoder_latent.on(x), x, space, begun=True, after=(self.y_detail, detail))
        y = down2_s16(pictures, detail, *self.y_head.tables, row, out=space.s16("y", *sizes[0], c.latent))
        z = down2_u8(e, *self.hyper_enc1.tables, out=space.s8("hyper_encoded", *sizes[1], c.hyper))
        return y, down2_s8(z, *self.hyper_enc2.tables, out=space.s8("z", *sizes[2], c.z))

    def make_prior(self, context: Tensor, z: Tensor, row: Tensor, space: Workspace) -> Prior:
        """z int8 [h/8, w/8, Z] -> what is known about y before its symbols."""
        c, h, w = self.config, context.shape[0] // 2, context.shape[1] // 2
        sizes = ((h + 1) // 2, (w + 1) // 2), (h, w)
        hyper = z
        for i, (size, layer) in enumerate(zip(sizes, (self.hyper_dec1, self.hyper_dec2), strict=True)):
            hyper = up2_u8(hyper, *layer.tables, *size, out=space.s8(f"hyper{i}", *size, c.hyper))
        x = space.s16("prior", h, w, c.channels)
        first = self.prior.first
        down2_s16(context, hyper, *self.prior_in.tables, row, *first, out=(x, half(x, space)))
        features = chain(self.prior.on(x), x, space, begun=True)
        heads = space.s16("mean", h, w, c.latent), space.u8("rows", h, w, c.latent)
        return Prior(features, *prior_head(features, *self.prior_head.tables, row, out=heads))

    def refine(self, prior: Prior, q: Tensor, row: Tensor, space: Workspace) -> Tensor:
        """Means int16 [h/2, w/2, N], those of the second checkerboard phase corrected from the symbols of the first."""
        x = dequant_s16(q, prior.mean, self.ginv, row, 0, out=space.s16("latent", *q.shape))
        s = latent_s16(x, prior.features, *self.step_in.tables, out=space.s16("step", *prior.features.shape))
        out = space.s16("refined", *q.shape)
        return refine_mean(chain(self.step.on(s), s, space), prior.mean, *self.step_head.tables, row, out=out)  # type: ignore[no-any-return]

    def synthesise(
        self,
        q: Tensor,
        mean: Tensor,
        context: Tensor,
        prediction: Tensor,
        vectors: Tensor | None,
        row: Tensor,
        space: Workspace,
        out: tuple[Tensor, Planes],
    ) -> None:
        """Symbols and refined means -> `out`: the next memory int16 [h, w, C], planes uint8 [8h, 8w], 2 x [4h, 4w].

        vectors int16 [h/2, w/2, 2]: those of the prediction, None in a keyframe.
        The memory may be the one that the context was made from, the planes those of the prediction.
        """
        memory, planes = out
        x = dequant_s16(q, mean, self.ginv, row, 2, out=space.s16("latent", *q.shape))
        up, ctx = self.decoder_up, self.decoder_context
        tables = (up.weight, ctx.weight, up.bias, up.mult, ctx.bias, ctx.mult)
        latent_up_s16(x, context, *tables, row, out=memory)
        g = space.s16("recon", *context.shape)
        chain([*self.decoder.on(memory), *self.recon.on(g)], memory, space)
        symbols = None if vectors is None else q
        recon_u8(g, prediction, *self.recon_head.tables, row, symbols, vectors, out=planes)
