"""Float twin of the low-delay network (`nvc.models.lowdelay`): same graph and config, exported by nvc.train.export."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nvc.models.config import PIXELS, QPS, Config, qp_lambda
from nvc.models.quantiser import LOG_STEP, SCALES, SIGMA_MIN, rounding_offsets
from nvc.train.block import Block
from nvc.train.layers import KNOTS, Conv, RowTable, Stream, clamp16, view
from nvc.train.quant import LATENT, PIXEL, S8, S16, U8, X16, Mode, ste_round, to_steps


def lambdas() -> Tensor:
    """[QPS] rate-distortion multipliers of `qp_lambda`."""
    return torch.tensor([qp_lambda(qp) for qp in range(QPS)])


def log_steps() -> list[float]:
    """Natural logarithm of the quantisation step at each knot, in units of the encoder's latent features.

    A uniform quantiser of step d costs lambda * 0.6 * d^2 / 12 of distortion and -log2 d bits: best where
    d^2 = 10 / (lambda ln 2), on a [0, 1] pixel range; a latent feature is an orthonormal coefficient in grey levels
    over 64.
    """
    lam = (qp_lambda((QPS - 1) * k / (KNOTS - 1)) for k in range(KNOTS))
    return [math.log(255 / 64 * math.sqrt(10 / (v * math.log(2)))) for v in lam]


@dataclass
class Coded:
    """What one frame costs and leaves behind. Tensors [B, ...]."""

    pixels: Tensor  # [B, 96, h, w] reconstruction in grey levels - 128
    memory: Tensor  # [B, C, h, w] stream for the next frame
    bits: Tensor  # [B] latents and hyper-latents
    symbols: Tensor  # [B, N, h/2, w/2] quantised residuals
    index: Tensor  # [B, N, h/2, w/2] scale indices (rounded in EXACT mode)
    z: Tensor  # [B, Z, ...] quantised hyper-latents


LEAST, FAR = 1e-9, 6.0  # probability of a symbol; a Gaussian has about that at six standard deviations


class _GaussianBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx, residual, index):  # type: ignore[no-untyped-def]
        inv = 1 / (SIGMA_MIN * torch.exp(index * LOG_STEP) * math.sqrt(2))
        r = residual.abs()
        low, high = (r - 0.5) * inv, (r + 0.5) * inv
        p = (0.5 * (torch.erfc(low) - torch.erfc(high))).clamp_min_(LEAST)
        ctx.save_for_backward(residual, inv, low, high, p)
        return -torch.log2(p)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        residual, inv, low, high, p = ctx.saved_tensors
        factor = grad / p * (1 / (math.log(2) * math.sqrt(math.pi)))
        at_low, at_high = torch.exp(-low * low), torch.exp(-high * high)
        d_residual = (at_low - at_high) * inv * residual.sign() * factor
        d_index = (at_high * high - at_low * low) * factor * LOG_STEP
        # what lies further out pulls as if it lay FAR standard deviations out: where a scale is far too small, nothing
        # else would let it grow
        far, unit = p <= LEAST, grad / math.log(2)
        d_residual = torch.where(far, unit * FAR * math.sqrt(2) * inv * residual.sign(), d_residual)
        return d_residual, torch.where(far, -unit * FAR**2 * LOG_STEP, d_index)


def gaussian_bits(residual: Tensor, index: Tensor) -> Tensor:
    """Bits of integers (or noisy integers) under zero-mean Gaussians with the scale of a fractional table index."""
    return _GaussianBits.apply(residual, index.expand_as(residual))  # type: ignore[no-any-return, no-untyped-call]


def down(x: Tensor) -> Tensor:
    """Space-to-depth by 2 in channel order (dy, dx, c); odd sizes repeat the last row or column."""
    h, w = x.shape[-2:]
    if h & 1 or w & 1:
        x = F.pad(x.float(), (0, w & 1, 0, h & 1), mode="replicate").to(x.dtype)
    b, c, h, w = x.shape
    x = x.permute(0, 2, 3, 1).reshape(b, h // 2, 2, w // 2, 2, c).transpose(2, 3)
    return x.reshape(b, h // 2, w // 2, 4 * c).permute(0, 3, 1, 2)


def up(x: Tensor, height: int, width: int) -> Tensor:
    """Depth-to-space by 2 of channel order (dy, dx, n), cropped."""
    b, n, h, w = x.shape
    x = x.permute(0, 2, 3, 1).reshape(b, h, w, 2, 2, n // 4).transpose(2, 3)
    x = x.reshape(b, 2 * h, 2 * w, n // 4).permute(0, 3, 1, 2)
    return x if (2 * h, 2 * w) == (height, width) else x[..., :height, :width]


def checkerboard(n: int, h: int, w: int, device: torch.device) -> Tensor:
    """[1, N, h, w] bool, True where ((y + x + (c >= N/2)) & 1) == 1: the elements of the second step."""
    y, x = torch.arange(h, device=device)[:, None], torch.arange(w, device=device)[None]
    half = (torch.arange(n, device=device) >= n // 2)[:, None, None]
    return ((y + x + half) & 1).bool()[None]


class Twin(nn.Module):
    """The whole codec, encoder included, on pictures packed to 96 channels."""

    offsets: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = c = config
        n, y, s8, pix = c.channels, c.latent, S8, (PIXELS, PIXEL)

        def blocks(count: int) -> nn.ModuleList:
            return nn.ModuleList(Block(n) for _ in range(count))

        self.register_buffer("offsets", rounding_offsets().float() / 32, persistent=False)
        self.memory = nn.Parameter(torch.zeros(2, n))  # no memory: inter frame after a reset, intra frame
        self.context_in = Conv([(n, s8), pix], n, S16)
        self.context = blocks(c.context_blocks)

        self.encoder_in = Conv([(n, s8), pix, pix], n, S16, gain=True)
        self.encoder = blocks(c.encoder_blocks)
        self.encoder_down = Conv([(4 * n, s8)], n, S16)
        self.encoder_latent = blocks(c.encoder_latent_blocks)
        log_gain = [-v for v in log_steps()]
        self.y_detail = Conv([(n, s8)], n, U8)
        self.y_head = Conv([(4 * n, s8), (n, U8)], y, LATENT, gain=True, gain_init=log_gain, precise=True)
        self.hyper_enc1 = Conv([(4 * n, s8)], c.hyper, U8)
        self.hyper_enc2 = Conv([(4 * c.hyper, U8)], c.z, 1.0, precise=True)

        self.z_index = RowTable(c.z, [22.0] * KNOTS, 20.0)  # sigma about 1
        self.hyper_dec1 = Conv([(c.z, 1.0)], 4 * c.hyper, U8)
        self.hyper_dec2 = Conv([(c.hyper, U8)], 4 * c.hyper, U8)
        self.prior_in = Conv([(4 * n, s8), (c.hyper, U8)], n, S16, gain=True)
        self.prior = blocks(c.prior_blocks)
        self.mean_head = Conv([(n, s8)], y, LATENT, gain=True, gain_init=log_gain, precise=True, scale=0.0)
        self.index_head = Conv([(n, s8)], y, 1.0, gain=True, gain_init=[3.0] * KNOTS, precise=True, scale=0.0)

        self.log_ginv = RowTable(y, log_steps())
        self.step_in = Conv([(y, X16)], n, S16, precise=True, scale=0.1)
        self.step = blocks(c.step_blocks)
        self.step_head = Conv([(n, s8)], y, LATENT, gain=True, gain_init=log_gain, precise=True, scale=0.0)

        self.decoder_up = Conv([(y, X16)], 4 * n, S16, gain=True, precise=True)
        self.decoder_context = Conv([(n, s8)], n, S16, gain=True)
        self.decoder = blocks(c.decoder_blocks)
        self.recon = blocks(c.recon_blocks)
        self.recon_gain = Conv([(n, s8)], PIXELS, PIXEL / 8, gain=True, precise=True, scale=0.05)
        self.recon_gate = Conv([(n, s8)], PIXELS, 1 / 64, precise=True, scale=0.0)
        self.recon_gate.bias.data.fill_(1.0)

    def initial_memory(self, batch: int, h: int, w: int, intra: bool, mode: Mode) -> Tensor:
        m = self.memory[int(intra)]
        if mode is Mode.EXACT:
            m = torch.floor(m / S16 + 0.5) * S16
        return m[None, :, None, None].expand(batch, -1, h, w)

    @contextmanager
    def prepared(self, mode: Mode) -> Iterator[None]:
        """Frames coded inside share quantised weights and gain tables. The parameters must not change meanwhile."""
        convs = [m for m in self.modules() if isinstance(m, Conv)]
        for conv in convs:
            conv.prepared = conv.prepare(mode)
        try:
            yield
        finally:
            for conv in convs:
                conv.prepared = None

    def run(self, blocks: nn.ModuleList, x: Stream, mode: Mode) -> Stream:
        for block in blocks:
            x = block(x, mode)
        return x

    def double_ginv(self) -> Tensor:
        """[ROWS, N] inverse gains in float64, rounded to their integer table."""
        log_ginv = copy.deepcopy(self.log_ginv).double()
        return torch.floor(log_ginv().exp() * 2**20 + 0.5) / 2**20

    def ginv(self, rows: Tensor, mode: Mode) -> Tensor:
        g = self.double_ginv()[rows] if mode is Mode.EXACT else self.log_ginv().exp()[rows]
        return g[:, :, None, None]

    def dequantise(self, q: Tensor, mean: Tensor, rows: Tensor, mode: Mode) -> Tensor:
        """Latents in x16 steps."""
        return to_steps((q + mean) * self.ginv(rows, mode), X16, -32640, 32639, mode)

    def quantise(self, residual: Tensor, index: Tensor, skips: bool) -> tuple[Tensor, Tensor]:
        """Symbols as `nvc.kernels.quantise` makes them, with the gradient of the identity; and without one, what they
        would be if all were coded, as they are unless `skips`."""
        with torch.no_grad():
            rounded = torch.floor(index + 0.5).clamp(0, SCALES - 1)
            wanted = residual.sign() * torch.floor(residual.abs() + self.offsets[rounded.long()])
            q = wanted * (rounded > self.config.skip) if skips else wanted
        return residual + (q - residual).detach(), wanted

    def z_bits(self, z: Tensor, rows: Tensor) -> Tensor:
        index = self.z_index()[rows].clamp(0, SCALES - 1)
        return gaussian_bits(z, index[:, :, None, None]).sum((1, 2, 3))

    def forward(
        self, x: Tensor, pred: Tensor, whole: Tensor, memory: Tensor, rows: Tensor, mode: Mode, noise: bool
    ) -> Coded:
        """x, pred [B, 96, h, w] in grey levels - 128 (pred 0 for intra); rows [B] int64 gain rows.

        whole: bool [B, 1, h/2, w/2], blocks whose vector is whole; without symbols they are copied (none for intra).
        `noise`: bits from additive uniform noise (training); otherwise from rounded values.
        """
        dtype = torch.float64 if mode is Mode.EXACT else torch.float32
        xs, ps = x.to(dtype), pred.to(dtype)
        h, w = x.shape[-2:]

        memory_view = view(memory.to(dtype), mode)
        xv, pv = (p.to(memory_view.dtype, memory_format=torch.channels_last) for p in (xs, ps))

        ctx = self.context_in.to_stream(torch.cat((memory_view, pv), 1), None, mode)
        cv = self.run(self.context, ctx, mode).view

        difference = F.pad((xs - ps) * PIXEL, (0, 0, 0, 0, 0, cv.shape[1] - PIXELS))
        e = self.encoder_in.to_stream(torch.cat((cv, xv, pv), 1), rows, mode, difference)
        e = self.run(self.encoder, e, mode)
        picture = down(e.view)
        ev = self.run(self.encoder_latent, self.encoder_down.to_stream(picture, None, mode), mode).view
        y = clamp16(self.y_head(torch.cat((picture, self.y_detail.to_u8(ev, mode)), 1), rows, mode), LATENT, mode)
        z = self.hyper_enc1.to_u8(down(ev), mode)
        z = self.hyper_enc2(down(z), None, mode).clamp(-128, 127)

        zq = ste_round(z)
        z_for_bits = z + torch.rand_like(z) - 0.5 if noise else zq
        h16, w16 = y.shape[-2:]
        hp = up(self.hyper_dec1.to_u8(zq.to(cv.dtype), mode), (h16 + 1) // 2, (w16 + 1) // 2)
        hp = up(self.hyper_dec2.to_u8(hp, mode), h16, w16)
        pf = self.run(self.prior, self.prior_in.to_stream(torch.cat((down(cv), hp), 1), rows, mode), mode)
        mean = clamp16(self.mean_head(pf.view, rows, mode), LATENT, mode)
        index = self.index_head(pf.view, rows, mode)
        index = index.clamp(0, SCALES - 1) if mode is Mode.EXACT else _soft_clamp(index)

        skips = mode is not Mode.FLOAT or not noise  # scales that have yet to learn would leave out too much
        second = checkerboard(y.shape[1], h16, w16, y.device)
        q, _ = self.quantise(y - mean, index, skips)
        first = self.dequantise(q, mean, rows, mode) * ~second
        sf = self.run(self.step, self.step_in.to_stream(first, None, mode, pf.value), mode)
        mean = clamp16(mean + self.step_head(sf.view, rows, mode) * second, LATENT, mode)
        q, wanted = self.quantise(y - mean, index, skips)
        bits = gaussian_bits(q.detach(), index.detach()).sum((1, 2, 3)) + self.z_bits(z_for_bits, rows)
        if noise:
            # the value is that of the symbols; their gradient, zero for a symbol of zero, comes from a noisy residual;
            # that of the scales from all symbols, or one which is not coded, however large, would never be again
            soft = gaussian_bits(y - mean + torch.rand_like(y) - 0.5, index.detach()).sum((1, 2, 3))
            soft = soft + gaussian_bits(wanted, index).sum((1, 2, 3))
            bits = bits + soft - soft.detach()

        base = up(self.decoder_up(self.dequantise(q, mean, rows, mode), rows, mode), h, w)
        f = self.run(self.decoder, self.decoder_context.to_stream(cv, rows, mode, base), mode)
        g, gv = self.run(self.recon, f, mode)
        r = (g[:, :PIXELS] + clamp16(self.recon_gain(gv, rows, mode), PIXEL / 8, mode)) / PIXEL
        gate = self.recon_gate(gv, None, mode).clamp(0, 1)
        copied = whole & (q == 0).all(1, keepdim=True)
        pixels = torch.where(F.interpolate(copied.to(ps.dtype), (h, w)) > 0, ps, r + gate * ps)
        if mode is Mode.EXACT:
            pixels = torch.floor(pixels + 0.5).clamp(-128, 127)
        return Coded(pixels, f.value, bits, q, index, zq)


class _SoftClamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, index):  # type: ignore[no-untyped-def]
        clamped = index.clamp(0, SCALES - 1)
        ctx.save_for_backward(index - clamped)
        return clamped

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (beyond,) = ctx.saved_tensors
        return torch.where(beyond == 0, grad, 0.05 * grad * (grad * beyond > 0))


def _soft_clamp(index: Tensor) -> Tensor:
    """Clamp to the table with a gradient that pulls values back in from outside, and never further out: gains would
    grow without end."""
    return _SoftClamp.apply(index)  # type: ignore[no-any-return, no-untyped-call]
