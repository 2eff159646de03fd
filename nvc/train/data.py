"""Training clips: decoded once into memory, cropped at random."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

VIDEO = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".y4m"}
IMAGE = {".webp", ".png", ".jpg", ".jpeg"}
VIVID = 0.3  # share of the clips whose colours are made up to twice as strong, or as weak
STANDS = 0.4  # share of the stills that do not move: titles and slides must not fade while nothing happens


@dataclass(frozen=True)
class Clip:
    """8-bit 4:2:0 frames: luma [T, H, W], chroma [T, 2, H/2, W/2]. A still has T = 1."""

    name: str
    luma: np.ndarray
    chroma: np.ndarray
    weight: float


def _decode(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import av  # training from other clips than files does without

    luma, chroma = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            w, h = frame.width & ~1, frame.height & ~1
            planes = frame.reformat(format="yuv420p").planes
            y, u, v = (np.frombuffer(memoryview(p), np.uint8).reshape(p.height, p.line_size) for p in planes)
            luma.append(y[:h, :w])
            chroma.append(np.stack([u[: h // 2, : w // 2], v[: h // 2, : w // 2]]))
    return np.stack(luma), np.stack(chroma)


def load_folders(folders: list[Path]) -> list[Clip]:
    """Every video and picture of the folders. Clips with more motion weigh more; a picture weighs as a still clip.

    Raises ValueError when nothing can be used.
    """
    clips = []
    for path in sorted(p for folder in folders for p in folder.iterdir() if p.suffix.lower() in VIDEO | IMAGE):
        luma, chroma = _decode(path)
        change = np.abs(luma[1:9].astype(np.int16) - luma[:8][: len(luma[1:9])]).mean() if len(luma) > 1 else 0.0
        clips.append(Clip(path.stem, luma, chroma, min(float(change), 8.0) + 3.0))
    if not clips:
        raise ValueError(f"no clips in {', '.join(map(str, folders))}")
    return clips


class Sampler:
    """Random crops of random clips, mirrored, reversed and recoloured at random; a still stands or becomes a slow
    pan."""

    def __init__(self, clips: list[Clip], seed: int) -> None:
        self.clips = clips
        self.rng = np.random.default_rng(seed)

    def batch(self, batch: int, frames: int, crop: int) -> tuple[Tensor, Tensor]:
        """uint8 luma [frames, batch, crop, crop], chroma [frames, batch, 2, crop/2, crop/2]; crop a multiple of 16."""
        fits = [c for c in self.clips if min(c.luma.shape[1:]) >= crop and (len(c.luma) >= frames or len(c.luma) == 1)]
        if not fits:
            raise ValueError(f"no clip has {frames} frames of at least {crop}x{crop}")
        p = np.array([c.weight for c in fits])
        chosen = self.rng.choice(len(fits), size=batch, p=p / p.sum())
        lumas, chromas = zip(*(self._cut(fits[i], frames, crop) for i in chosen), strict=True)
        return torch.from_numpy(np.stack(lumas, 1)), torch.from_numpy(np.stack(chromas, 1))

    def _cut(self, clip: Clip, frames: int, crop: int) -> tuple[np.ndarray, np.ndarray]:
        rng = self.rng
        count, height, width = clip.luma.shape
        y, x = 2 * rng.integers(0, (height - crop) // 2 + 1), 2 * rng.integers(0, (width - crop) // 2 + 1)
        if count == 1:
            velocity = rng.normal(0, 2, 2) * (rng.random() > STANDS)
            at = np.arange(frames)[:, None] * velocity + (y, x)
            at = 2 * np.clip(np.round(at / 2), 0, ((height - crop) // 2, (width - crop) // 2)).astype(int)
            time = np.zeros(frames, int)
        else:
            gap = 2 if rng.random() < 0.2 and 2 * frames - 1 <= count else 1
            time = rng.integers(0, count - gap * (frames - 1)) + gap * np.arange(frames)
            at = np.tile((y, x), (frames, 1))
        half = crop // 2
        luma = np.stack([clip.luma[t, a : a + crop, b : b + crop] for t, (a, b) in zip(time, at, strict=True)])
        chroma = np.stack(
            [
                clip.chroma[t, :, a // 2 : a // 2 + half, b // 2 : b // 2 + half]
                for t, (a, b) in zip(time, at, strict=True)
            ]
        )
        if rng.random() < 0.5:
            luma, chroma = luma[::-1], chroma[::-1]
        if rng.random() < 0.5:
            luma, chroma = luma[..., ::-1], chroma[..., ::-1]
        if rng.random() < VIVID:
            chroma = strengthen(chroma, 2.0 ** rng.uniform(-1, 1))
        return luma, chroma


def strengthen(chroma: np.ndarray, gain: float) -> np.ndarray:
    """uint8 chroma of any shape -> the same, its distance from grey (128) times gain."""
    return np.clip(np.rint((chroma.astype(np.float32) - 128) * gain + 128), 0, 255).astype(np.uint8)
