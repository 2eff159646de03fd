"""Adversarial integer inputs for tests and benchmarks; no other module of nvc imports this one.

splitmix64 is spelled out so that golden digests outlive any library's random stream.
"""

import numpy as np
import torch

PATTERNS = ("zero", "corner", "edges", "small", "uniform", "boundary")


def splitmix64(n: int, seed: int) -> np.ndarray:
    """n uint64 values of the splitmix64 sequence that starts at `seed`."""
    z = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Fill:
    """Tensors of one pattern: `zero`, `corner` (one extreme for a whole operand), `edges` (an extreme per element),
    `small` (-1, 0, 1), `uniform`; `boundary` is uniform here and finished by each kernel's own `make`."""

    def __init__(self, pattern: str, seed: int) -> None:
        self.pattern, self._at = pattern, seed << 32

    def __call__(self, shape: tuple[int, ...], lo: int, hi: int, dtype: torch.dtype) -> torch.Tensor:
        n = int(np.prod(shape))
        r = splitmix64(n, self._at)
        self._at += n
        match self.pattern:
            case "zero":
                v = np.full(n, min(max(0, lo), hi))
            case "corner":
                v = np.full(n, hi if n and r[0] & np.uint64(1) else lo)
            case "edges":
                v = np.where(r & np.uint64(1), hi, lo)
            case "small":
                v = np.clip((r % np.uint64(3)).astype(np.int64) - 1, lo, hi)
            case "uniform" | "boundary":
                v = (r % np.uint64(hi - lo + 1)).astype(np.int64) + lo
            case other:
                raise ValueError(f"unknown pattern {other!r}")
        return torch.from_numpy(v.reshape(shape)).to(dtype)
