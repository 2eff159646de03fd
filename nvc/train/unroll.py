"""One training clip through the closed loop: search, compensate, code, compare."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nvc.codec.gop import KEY_OFFSET, OFFSETS, QP_MAX, search_rate
from nvc.kernels.motion_search import motion_search
from nvc.models.config import QPS
from nvc.train.motion import compensate, pack, unpack
from nvc.train.quant import Mode, ste_round
from nvc.train.twin import Twin, lambdas

CHROMA_WEIGHT = 2.0  # of U and V beside 6 for Y; above 1 because chroma converges later


@dataclass
class Result:
    """Per frame kind: mean loss, distortion (mean squared error on [0, 1], luma only) and bits per pixel."""

    loss: Tensor
    intra: list[tuple[float, float, float]]
    inter: list[tuple[float, float, float]]


def search_batch(current: Tensor, reference: Tensor, qp: Tensor) -> Tensor:
    """current, reference uint8 [B, H, W], qp [B] -> vectors [B, H/16, W/16, 2] int64."""
    fields = [
        motion_search(c, r, torch.tensor([search_rate(int(v))], dtype=torch.int32))
        for c, r, v in zip(current.cpu(), reference.cpu(), qp, strict=True)
    ]
    return torch.stack(fields).long().to(current.device)


def unroll(net: Twin, luma: Tensor, chroma: Tensor, rng: np.random.Generator, mode: Mode) -> Result:
    """luma uint8 [T, B, H, W], chroma uint8 [T, B, 2, H/2, W/2]; half of the clips start with an intra frame, the
    others from a slightly noisy original frame and an empty memory."""
    frames, batch = luma.shape[:2]
    device = luma.device
    intra = frames == 1 or bool(rng.random() < 0.5)
    base = torch.from_numpy(rng.integers(0, QPS, batch)).to(device)
    lam_table = lambdas().to(device)
    weight = (1600 / lam_table[base]) ** 0.5  # balances the gradients of the lambdas
    phase = int(rng.integers(0, len(OFFSETS)))
    result = Result(torch.zeros((), device=device), [], [])
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
            offset = KEY_OFFSET if key else OFFSETS[(phase + t) % len(OFFSETS)]
            qp = (base + offset).clamp(0, QP_MAX)
            lam = lam_table[qp]
            target = pack(luma[t][:, None].float(), chroma[t].float()) - 128
            if recon is None:
                pred, whole = torch.zeros_like(target), torch.zeros((batch, 1, h // 2, w // 2), dtype=torch.bool)
            else:
                seen = unpack(recon.detach())[0][:, 0]
                mv = search_batch(luma[t], (seen + 128).round().clamp(0, 255).to(torch.uint8), qp)
                pred, whole = ste_round(compensate(recon, mv)), (mv & 3 == 0).all(3)[:, None]
            with torch.autocast(device.type, dtype=torch.bfloat16):
                coded = net(target, pred, whole.to(device), memory, qp + QPS if key else qp, mode, noise=True)
            error = ((coded.pixels - target) / 255) ** 2
            mse_y, mse_c = error[:, :64].mean((1, 2, 3)), error[:, 64:].mean((1, 2, 3))
            d = (6 * mse_y + 2 * CHROMA_WEIGHT * mse_c) / (6 + 2 * CHROMA_WEIGHT)
            bpp = coded.bits / (64 * h * w)
            loss = (weight * (lam * d + bpp)).mean()
            result.loss = result.loss + loss / (frames if intra else frames - 1)
            entry = (float(loss.detach()), float(mse_y.mean().detach()), float(bpp.mean().detach()))
            (result.intra if key else result.inter).append(entry)
            recon, memory = ste_round(coded.pixels).clamp(-128, 127), coded.memory
    return result
