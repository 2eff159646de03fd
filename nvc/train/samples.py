"""Pictures of what the network makes of a clip, to look at while it trains."""

from pathlib import Path

import numpy as np
import torch

from nvc.train.data import Clip
from nvc.train.motion import unpack
from nvc.train.quant import Mode
from nvc.train.twin import Twin
from nvc.train.unroll import Draw, unroll

FRAMES, SIDE, SHOWN = 8, 192, (8, 32, 56)


def plot_samples(folder: Path, net: Twin, clips: list[Clip], device: torch.device) -> None:
    """Draw the last of the first frames of a clip, and what three QPs make of it, to folder/samples.png.

    It is the middle of the longest clip, the first of several. Nothing happens if that is smaller than a picture.
    """
    clip = max(clips, key=lambda c: len(c.luma))
    height, width = (n // 2 // 2 * 2 - SIDE // 2 for n in clip.luma.shape[1:])
    if min(height, width) < 0:
        return
    area = slice(height, height + SIDE), slice(width, width + SIDE)
    half = tuple(slice(s.start // 2, s.stop // 2) for s in area)
    luma = torch.from_numpy(np.ascontiguousarray(clip.luma[:FRAMES, *area])).to(device)
    chroma = torch.from_numpy(np.ascontiguousarray(clip.chroma[:FRAMES, :, *half])).to(device)
    many = len(SHOWN)
    batch = luma[:, None].repeat(1, many, 1, 1), chroma[:, None].repeat(1, many, 1, 1, 1)
    devices = [device] if device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices):  # looking changes nothing
        result = unroll(net, *batch, Draw(torch.tensor(SHOWN), True, 0), Mode.QUANT)
    made = (unpack(result.last)[0][:, 0] + 128).cpu().numpy()
    pictures = [luma[-1].cpu().numpy(), *made]
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 1 + many, figsize=(4 * (1 + many), 4.3), layout="constrained")
    titles = [clip.name, *(f"QP {qp}" for qp in SHOWN)]
    for axis, title, picture in zip(axes, titles, pictures, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axis.set(title=title, xticks=[], yticks=[])
    figure.savefig(folder / "samples.png", dpi=80)
    plt.close(figure)
