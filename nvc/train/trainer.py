"""The training loop: resumable to the step, curves as a picture, restart from the last checkpoint on a bad loss."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nvc.models.config import CONFIGS
from nvc.train.data import Clip, Sampler
from nvc.train.initialise import initialise
from nvc.train.plot import plot_curves
from nvc.train.ranks import ALONE, Ranks
from nvc.train.recipe import Recipe
from nvc.train.samples import plot_samples
from nvc.train.twin import Twin
from nvc.train.unroll import draw, unroll

WARMUP = 200
# learning rates relative to that of ordinary weights
TRANSFORM_LR = 0.1  # starts near its optimum: a larger rate shakes it and costs quality at high QP
TABLE_LR = 2.0  # biases and gains have far to go
TRANSFORM = ("y_head", "decoder_up")
REPORT = 50


def start(net: Twin, clips: list[Clip], seed: int, init: Path | None) -> None:
    """The parameters of a new run."""
    if init is None:
        initialise(net, clips, seed)
        return
    try:
        net.load_state_dict(load_file(init))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{init} does not hold the parameters of this network") from error


class Trainer:
    """State of one run in `folder`: checkpoint.pt, network.safetensors (its parameters alone), log.jsonl,
    curves.png, samples.png.

    A new run starts from the parameters in `init`, those of an earlier run, or else from `initialise`. Raises
    ValueError when the folder holds a run of another preset, or `init` does not fit. Of several `ranks` the first
    writes the folder; all read it.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        clips: list[Clip],
        device: torch.device,
        init: Path | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.folder, self.recipe, self.device, self.ranks = folder, recipe, device, ranks
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.rng = np.random.default_rng(recipe.seed)
        self.sampler = Sampler(clips, recipe.seed)
        net = Twin(CONFIGS[recipe.preset])
        if not (folder / "checkpoint.pt").exists():
            start(net, clips, recipe.seed, init)
        self.net = net.to(device)
        self.optimizers = self.make_optimizers()
        self.step = 0
        if (folder / "checkpoint.pt").exists():
            self.load()
        ranks.share(self.net.state_dict().values())
        self.part_ways()

    def part_ways(self) -> None:
        """Of several processes each but the first, whose state is saved, draws anew from the step where it starts."""
        if self.ranks.rank:
            seeds = np.random.SeedSequence((self.recipe.seed, self.ranks.rank, self.step)).spawn(3)
            self.rng, self.sampler.rng = (np.random.default_rng(seed) for seed in seeds[:2])
            torch.manual_seed(int(seeds[2].generate_state(1)[0]))

    def make_optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Muon for the weights of 1x1 convolutions, Adam for depthwise filters, biases and tables. Each group of
        parameters has the `factor` of its learning rate."""
        transform = {f"{name}.weight" for name in TRANSFORM}
        mixing: list[Tensor] = []
        transforming: list[Tensor] = []
        filters: list[Tensor] = []
        tables: list[Tensor] = []
        for name, p in self.net.named_parameters():
            if not name.endswith(".weight"):
                tables.append(p)
            elif p.ndim == 4:
                filters.append(p)
            else:
                (transforming if name in transform else mixing).append(p)
        muon = torch.optim.Muon(
            [{"params": mixing, "factor": 1.0}, {"params": transforming, "factor": TRANSFORM_LR}],
            weight_decay=0.0,
            adjust_lr_fn="match_rms_adamw",
        )
        # fused is what a loaded optimiser uses: asked for from the start, resuming changes nothing
        adam = torch.optim.Adam(
            [{"params": filters, "factor": 1.0}, {"params": tables, "factor": TABLE_LR}], betas=(0.9, 0.98), fused=True
        )
        return muon, adam

    def save(self) -> None:
        state: dict[str, Any] = {
            "preset": self.recipe.preset,
            "step": self.step,
            "net": self.net.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "torch_rng": torch.get_rng_state(),
            "rng": json.dumps(self.rng.bit_generator.state),
            "sampler_rng": json.dumps(self.sampler.rng.bit_generator.state),
        }
        temporary = self.folder / "checkpoint.tmp"
        torch.save(state, temporary)
        os.replace(temporary, self.folder / "checkpoint.pt")
        save_file({k: v.contiguous() for k, v in state["net"].items()}, self.folder / "network.safetensors")

    def load(self) -> None:
        state: dict[str, Any] = torch.load(self.folder / "checkpoint.pt", map_location=self.device, weights_only=True)
        if state["preset"] != self.recipe.preset:
            raise ValueError(f"{self.folder} holds a run of preset {state['preset']!r}, not {self.recipe.preset!r}")
        self.step = state["step"]
        self.net.load_state_dict(state["net"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        torch.set_rng_state(state["torch_rng"].cpu())
        self.rng.bit_generator.state = json.loads(state["rng"])
        self.sampler.rng.bit_generator.state = json.loads(state["sampler_rng"])

    def train_step(self) -> dict[str, float]:
        """One optimiser step. Returns the figures of the log; `loss` is not finite when the step was refused."""
        stage, lr = self.recipe.at(self.step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr * group["factor"] * min(1.0, (self.step + 1) / WARMUP)
        # the same in every process, or they would wait for the one with the longest clips
        shape = np.random.default_rng((self.recipe.seed, self.step))
        frames, batch = stage.clips[int(shape.integers(len(stage.clips)))]
        luma, chroma = self.sampler.batch(batch, frames, stage.crop)
        chance = draw(self.rng, frames, batch)
        result = unroll(self.net, luma.to(self.device), chroma.to(self.device), chance, stage.mode)
        self.net.zero_grad(set_to_none=True)
        result.loss.backward()  # type: ignore[no-untyped-call]
        self.ranks.average(self.net.parameters())
        norm = float(torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0))
        loss = float(result.loss.detach())
        if not self.ranks.agreed(not (math.isfinite(norm) and math.isfinite(loss)), self.device):
            for optimizer in self.optimizers:
                optimizer.step()
        else:
            loss = math.nan
        self.step += 1
        figures = {"loss": loss, "norm": norm, "lr": lr}
        for name, entries in (("intra", result.intra), ("inter", result.inter)):
            if entries:
                j, mse, bpp = (sum(column) / len(entries) for column in zip(*entries, strict=True))
                figures |= {f"{name}_loss": j, f"{name}_psnr": -10 * math.log10(mse), f"{name}_bpp": bpp}
        return figures

    def run(self, *, save_every: float = 300.0, minutes: float = math.inf) -> None:
        """Train until the recipe ends, or for `minutes`; save every `save_every` seconds. Ctrl-C saves and stops."""
        if not self.ranks.rank and not (self.folder / "checkpoint.pt").exists():
            self.save()  # something to go back to
        recent: list[dict[str, float]] = []
        saved = began = began_at = time.monotonic()
        first = self.step  # with began_at: where the speed is counted from
        bad = 0
        try:
            while self.step < self.recipe.steps:
                if self.ranks.agreed(time.monotonic() - began >= 60 * minutes, self.device):
                    break
                figures = self.train_step()
                bad = 0 if math.isfinite(figures["loss"]) else bad + 1
                if bad > 20:
                    self.load()
                    self.part_ways()
                    bad, recent, first, began_at = 0, [], self.step, time.monotonic()
                    continue
                recent.append(figures)
                if self.step % REPORT == 0:
                    speed = (self.step - first) / (time.monotonic() - began_at)
                    self.report(recent, speed)
                    recent = []
                if time.monotonic() - saved > save_every:
                    self.keep()
                    saved = time.monotonic()
        finally:
            self.keep()

    def keep(self) -> None:
        """Save, and draw the pictures to look at."""
        if self.ranks.rank:
            return
        self.save()
        plot_curves(self.folder)
        plot_samples(self.folder, self.net, self.sampler.clips, self.device)

    def report(self, recent: list[dict[str, float]], speed: float) -> None:
        if self.ranks.rank:
            return
        keys = sorted({k for r in recent for k in r})
        mean = {k: float(np.nanmean([r[k] for r in recent if k in r])) for k in keys}
        eta = (self.recipe.steps - self.step) / speed
        line = {"step": self.step, "steps_per_second": round(speed, 3)} | {k: round(v, 6) for k, v in mean.items()}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        parts = " ".join(f"{k} {v:.4g}" for k, v in mean.items())
        print(f"step {self.step}/{self.recipe.steps} {speed:.2f}/s ETA {eta / 60:.0f} min {parts}", flush=True)  # noqa: T201
