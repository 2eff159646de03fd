"""Training curves as a picture."""

import json
from pathlib import Path

PANELS = (
    ("loss", ("intra_loss", "inter_loss")),
    ("PSNR-Y, dB", ("intra_psnr", "inter_psnr")),
    ("bits per pixel", ("intra_bpp", "inter_bpp")),
)


def plot_curves(folder: Path) -> None:
    """Draw folder/log.jsonl to folder/curves.png; nothing happens while there is no log."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    log = folder / "log.jsonl"
    if not log.exists():
        return
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    figure, axes = plt.subplots(1, len(PANELS), figsize=(15, 4.5), layout="constrained")
    for axis, (title, keys) in zip(axes, PANELS, strict=True):
        for key in keys:
            points = [(line["step"], line[key]) for line in lines if key in line]
            if points:
                axis.plot(*zip(*points, strict=True), label=key.split("_")[0], linewidth=1)
        axis.set(title=title, xlabel="step", yscale="linear" if "dB" in title else "log")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(folder / "curves.png", dpi=80)
    plt.close(figure)
