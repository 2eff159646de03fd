"""Weights that were never trained, for the speed of a preset that has no others."""

import numpy as np
import torch

from nvc.models.config import CONFIGS
from nvc.models.weights import Model, read_model, write_model
from nvc.train.data import Clip
from nvc.train.export import export
from nvc.train.initialise import initialise
from nvc.train.twin import Twin
from profiling.frame import picture

SIZE, PICTURES = (256, 192), 8  # of the clip that the transform is fitted to


def untrained(preset: str) -> Model:
    """Where training of a preset would start: a transform codec, whose rates are those of a simple codec."""
    torch.manual_seed(0)
    twin = Twin(CONFIGS[preset])
    y, u, v = (np.stack(planes) for planes in zip(*(picture(*SIZE, n) for n in range(PICTURES)), strict=True))
    initialise(twin, [Clip("made up", y, np.stack((u, v), 1), 1.0)], seed=0)
    name = f"untrained {preset}"
    return read_model(write_model(export(twin), {"preset": preset, "steps": 0}), name)
