"""The encoder's rounding of latents: a dead zone as wide as the bits of a symbol are worth.

Rounding a residual of x steps up to 1 instead of down to 0 saves (2 x - 1) d^2 of squared error and costs the
difference b of the two symbols' code lengths. At the step d where a uniform quantiser is best, d^2 lambda = 6 / ln 2
with lambda the price of error in bits, so rounding up pays only beyond x = 1/2 + b ln 2 / 12. Decoders never see this.
"""

import math

from torch import Tensor

from nvc.kernels._tables import MAX_SYMBOL, default_tables

SIGMA_MIN, SIGMA_MAX, SCALES = 0.11, 64.0, 64
LOG_STEP = math.log(SIGMA_MAX / SIGMA_MIN) / (SCALES - 1)
LEAST = 3  # of 32: not even the rarest symbol is worth a dead zone of almost a whole step


def rounding_offsets() -> Tensor:
    """int16 [64]: what is added to |residual|, in 1/32 step, before it is cut to whole steps; by scale index.

    16 rounds to the nearest.
    """
    frequency = default_tables()[:SCALES].diff(dim=1).double()
    bits = (frequency[:, MAX_SYMBOL] / frequency[:, MAX_SYMBOL + 1]).log2()  # of 0 and of 1
    return (32 * (0.5 - bits * math.log(2) / 12)).round().clamp(min=LEAST).short()
