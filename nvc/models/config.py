"""The shape of a network: everything that the integer modules, the float twins and the exporter must agree on."""

from dataclasses import asdict, dataclass
from typing import Any

PIXELS = 96  # channels of a 4:2:0 picture at 1/8 resolution: 64 luma, 16 + 16 chroma
QPS = 64
ROWS = 2 * QPS  # gain rows: one per QP for inter frames, then one per QP for intra frames


@dataclass(frozen=True)
class Config:
    """Widths in channels, depths in blocks; features live at 1/8, latents at 1/16, hyper-latents at 1/64."""

    preset: str
    channels: int
    latent: int
    hyper: int
    z: int
    context_blocks: int
    encoder_blocks: int
    encoder_latent_blocks: int
    prior_blocks: int
    step_blocks: int
    decoder_blocks: int
    recon_blocks: int
    skip: int  # latents whose scale index is at most this are zero and not coded

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


FAST = Config(
    preset="fast",
    channels=128,
    latent=320,
    hyper=64,
    z=16,
    context_blocks=3,
    encoder_blocks=2,
    encoder_latent_blocks=1,
    prior_blocks=2,
    step_blocks=1,
    decoder_blocks=4,
    recon_blocks=2,
    skip=5,
)

MAIN = Config(
    preset="main",
    channels=256,
    latent=320,
    hyper=128,
    z=FAST.z,
    context_blocks=4,
    encoder_blocks=4,
    encoder_latent_blocks=2,
    prior_blocks=3,
    step_blocks=2,
    decoder_blocks=8,
    recon_blocks=4,
    skip=5,
)
CONFIGS = {config.preset: config for config in (FAST, MAIN)}


def gain_row(qp: int, intra: bool) -> int:
    """The row of the gain tables for a frame of this QP (0..63)."""
    return qp + QPS if intra else qp


LAMBDA_MIN, LAMBDA_MAX = 42.0, 38000.0


def qp_lambda(qp: float) -> float:
    """Rate-distortion multiplier of a QP, log-spaced: loss = lambda * D + bits per pixel, D on a [0, 1] pixel range."""
    return LAMBDA_MIN * float((LAMBDA_MAX / LAMBDA_MIN) ** (qp / (QPS - 1)))
