"""A start that already works: the linear part of the network becomes a block transform codec.

The encoder passes the difference of picture and prediction through, transforms each 16x16 block with the first
principal components of the training clips, and the decoder inverts that; all else starts without effect. From there
training only has improvements to find, where random weights would first have to discover the transform.
"""

import math

import numpy as np
import torch
from torch import Tensor

from nvc.models.config import PIXELS
from nvc.models.quantiser import LOG_STEP, SIGMA_MIN
from nvc.train.data import Clip, Sampler
from nvc.train.layers import KNOTS, RowTable
from nvc.train.motion import pack
from nvc.train.twin import Twin, down, log_steps

FEATURE = 64.0  # grey levels of an orthonormal coefficient for one unit of a latent feature
SAMPLES, BATCH, CROP = 24, 16, 64  # of the statistics


def statistics(clips: list[Clip], seed: int) -> tuple[Tensor, Tensor]:
    """Second moments [384, 384], in grey levels, of 16x16 blocks of pictures and of their differences in time."""
    sampler = Sampler(clips, seed)
    moments = [torch.zeros(4 * PIXELS, 4 * PIXELS, dtype=torch.float64) for _ in range(2)]
    for _ in range(SAMPLES):
        luma, chroma = sampler.batch(BATCH, 2, CROP)
        first, second = (pack(y[:, None].float(), c.float()) - 128 for y, c in zip(luma, chroma, strict=True))
        for moment, picture in zip(moments, (first, second - first), strict=True):
            blocks = down(picture).permute(0, 2, 3, 1).reshape(-1, 4 * PIXELS).double()
            moment += blocks.T @ blocks / len(blocks) / SAMPLES
    return moments[0], moments[1]


def initialise(twin: Twin, clips: list[Clip], seed: int) -> None:
    """Set the linear path of a fresh twin from the clips' statistics."""
    c = twin.config
    still, moving = statistics(clips, seed)
    _, vectors = torch.linalg.eigh(still / still.trace() + moving / moving.trace())
    basis = vectors.flip(1)[:, : c.latent].T  # [latent, 384], channel order (dy, dx, c)
    deviations = [(basis @ m @ basis.T).diagonal().clamp_min(1).sqrt() for m in (moving * 0.25, still)]
    table = basis.float().view(c.latent, 4, PIXELS)
    with torch.no_grad():
        n = c.channels
        twin.encoder_in.weight[:PIXELS] = 0  # the difference of picture and prediction reaches these channels anyway
        twin.encoder_down.weight.mul_(0.3)  # whole orthonormal coefficients would leave its range
        twin.y_head.weight.zero_()
        # weights of the size of any other layer's, so that a common learning rate suits them; the gain makes up for it
        twin.y_head.weight[:, : 4 * n].view(c.latent, 4, n)[:, :, :PIXELS] = table * (FEATURE / 16)
        assert twin.y_head.log_gain is not None
        twin.y_head.log_gain.knots.add_(2 * math.log(16 / FEATURE))
        twin.decoder_up.weight.view(4, n, c.latent)[:, :PIXELS] = table.permute(1, 2, 0) * (FEATURE / 16)
        twin.decoder_context.weight.zero_()
        twin.recon_gain.weight.zero_()  # the first channels are the residual
        assert twin.index_head.row_bias is not None
        _set_scales(twin.index_head.row_bias, deviations)


def _set_scales(table: RowTable, deviations: list[Tensor]) -> None:
    """Scale indices, before the gain of exp(3), of coefficients with these deviations (inter, intra) at every knot."""
    for kind, deviation in enumerate(deviations):
        for knot in range(KNOTS):
            sigma = deviation.float() / FEATURE / np.exp(log_steps()[knot])
            table.knots[kind, knot] = (sigma / SIGMA_MIN).log() / LOG_STEP / math.exp(3.0) / table.scale
