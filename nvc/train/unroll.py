"""One training clip through the closed loop: search, compensate, code, compare."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from nvc.codec.gop import OFFSETS, frame_qp, search_rate
from nvc.kernels.choose_overlap import choose_overlap
from nvc.kernels.motion_search import motion_search
from nvc.models.config import QPS
from nvc.train.motion import compensate, pack, unpack
from nvc.train.quant import Mode, ste_round
from nvc.train.twin import Twin, lambdas

CHROMA_WEIGHT = 2.5  # of U and V beside 6 for Y; above 1 because chroma converges later
STAIN_WEIGHT = 8.0  # beside it, of the mean error of every 8x8 block of U and V: what is seen as a false colour


@dataclass
class Result:
    """Per frame kind: mean loss, distortion (mean squared error on [0, 1], luma only) and bits per pixel; and the last
    picture, [B, 96, h, w] in grey levels - 128."""

    loss: Tensor
    intra: list[tuple[float, float, float]]
    inter: list[tuple[float, float, float]]
    last: Tensor


class Draw(NamedTuple):
    """What chance decides for a clip: base QPs [B], whether it starts with an intra frame, and where in the cycle of QP
    offsets."""

    base: Tensor
    intra: bool
    phase: int


def draw(rng: np.random.Generator, frames: int, batch: int) -> Draw:
    """Half of the clips start with an intra frame; those of one frame all do."""
    intra = frames == 1 or bool(rng.random() < 0.5)
    base = torch.from_numpy(rng.integers(0, QPS, batch))
    return Draw(base, intra, int(rng.integers(0, len(OFFSETS))))


def search_batch(current: Tensor, reference: Tensor, qp: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors int64 [B, H/16, W/16, 2], overlaps uint8 [B, H/16, W/16] and the vectors' precisions int32 [B, 1] for
    pictures uint8 [B, H, W] and qp [B]."""
    rates = torch.tensor([[search_rate(int(v))] for v in qp], dtype=torch.int32).to(current.device)
    vectors, overlaps, precisions = [], [], []
    chroma = torch.zeros_like(current[0, ::2, ::2])  # any will do: nobody looks at the kernel's prediction
    for c, r, rate in zip(current, reference, rates, strict=True):
        mv, precision = motion_search(c, r, rate)
        vectors.append(mv)
        overlaps.append(choose_overlap(c, r, chroma, chroma, mv, rate)[0])
        precisions.append(precision)
    return torch.stack(vectors).long(), torch.stack(overlaps), torch.stack(precisions)


def errors(difference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """difference [B, 96, h, w] in grey levels -> mean squared errors on [0, 1], each [B]: of Y, of U and V, and of the
    means of U and V over blocks of 8x8 (16x16 of the picture), in which errors of fine detail cancel."""
    squared = (difference / 255) ** 2
    means = avg_pool2d(torch.stack([difference[:, p : p + 16].mean(1) for p in (64, 80)], 1) / 255, 2) ** 2
    return squared[:, :64].mean((1, 2, 3)), squared[:, 64:].mean((1, 2, 3)), means.mean((1, 2, 3))


def unroll(net: Twin, luma: Tensor, chroma: Tensor, draw: Draw, mode: Mode) -> Result:
    """luma uint8 [T, B, H, W], chroma uint8 [T, B, 2, H/2, W/2]; a clip that does not start with an intra frame starts
    from a slightly noisy original frame and an empty memory."""
    frames, batch = luma.shape[:2]
    device = luma.device
    base, intra, phase = draw.base.to(device), draw.intra, draw.phase
    lam_table = lambdas().to(device)
    weight = (1600 / lam_table[base]) ** 0.5  # balances the gradients of the lambdas
    result = Result(torch.zeros((), device=device), [], [], luma)
    recon: Tensor | None = None
    h, w = luma.shape[2] // 8, luma.shape[3] // 8
    memory = net.initial_memory(batch, h, w, intra, mode)
    if not intra:
        sigma = (8.0 * (lam_table[0] / lam_table[base]) ** 0.25).view(-1, 1, 1, 1)
        first = pack(luma[0][:, None].float(), chroma[0].float()) - 128
        recon = (first + torch.randn_like(first) * sigma).clamp(-128, 127)
    with net.prepared(mode):
        for t in range(0 if intra else 1, frames):
            key = recon is None
            distance = 0 if key else len(OFFSETS) + phase + t  # any but that of a keyframe
            qp = torch.tensor([frame_qp(int(v), distance) for v in draw.base]).to(device)
            lam = lam_table[qp]
            target = pack(luma[t][:, None].float(), chroma[t].float()) - 128
            if recon is None:
                pred, whole = torch.zeros_like(target), torch.zeros((batch, 1, h // 2, w // 2), dtype=torch.bool)
            else:
                seen = unpack(recon.detach())[0][:, 0]
                mv, overlap, _ = search_batch(luma[t], (seen + 128).round().clamp(0, 255).to(torch.uint8), qp)
                pred, whole = ste_round(compensate(recon, mv, overlap)), (mv & 3 == 0).all(3)[:, None]
            with torch.autocast(device.type, dtype=torch.bfloat16):
                coded = net(target, pred, whole.to(device), memory, qp + QPS if key else qp, mode, noise=True)
            mse_y, mse_c, stains = errors(coded.pixels - target)
            d = (6 * mse_y + 2 * (CHROMA_WEIGHT * mse_c + STAIN_WEIGHT * stains)) / (6 + 2 * CHROMA_WEIGHT)
            bpp = coded.bits / (64 * h * w)
            loss = (weight * (lam * d + bpp)).mean()
            result.loss = result.loss + loss / (frames if intra else frames - 1)
            entry = (float(loss.detach()), float(mse_y.mean().detach()), float(bpp.mean().detach()))
            (result.intra if key else result.inter).append(entry)
            recon, memory = ste_round(coded.pixels).clamp(-128, 127), coded.memory
        assert recon is not None, "a clip has a frame to code"
        result.last = recon.detach()
    return result
