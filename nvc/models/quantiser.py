"""The encoder's rounding of latents: a dead zone as wide as the bits of a symbol are worth.

Rounding a residual of x steps up to 1 instead of down to 0 saves (2 x - 1) d^2 of squared error and costs the
difference b of the two symbols' code lengths. At the step d where a uniform quantiser is best, d^2 lambda = 6 / ln 2
with lambda the price of error in bits, so rounding up pays only beyond x = 1/2 + b ln 2 / 12. Decoders never see this.
"""

import math

import torch
from torch import Tensor

SIGMA_MIN, SIGMA_MAX, SCALES = 0.11, 64.0, 64
LOG_STEP = math.log(SIGMA_MAX / SIGMA_MIN) / (SCALES - 1)
LEAST = 3  # of 32: not even the rarest symbol is worth a dead zone of almost a whole step


def rounding_offsets() -> Tensor:
    """int16 [64]: what is added to |residual|, in 1/32 step, before it is cut to whole steps; by scale index.

    16 rounds to the nearest.
    """
    offsets = []
    for i in range(SCALES):
        root = SIGMA_MIN * math.exp(i * LOG_STEP) * math.sqrt(2)
        zero, beyond = math.erf(0.5 / root), math.erfc(0.5 / root)
        one = (beyond - math.erfc(1.5 / root)) / 2
        bits = math.log2(zero / max(one, 1e-12))
        offsets.append(max(LEAST, round(32 * (0.5 - bits * math.log(2) / 12))))
    return torch.tensor(offsets, dtype=torch.int16)
