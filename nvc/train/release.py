"""A training run as a weights file."""

from pathlib import Path
from pickle import UnpicklingError

import torch

from nvc.models.config import CONFIGS
from nvc.models.weights import write_model
from nvc.train.export import export
from nvc.train.twin import Twin


def release(folder: Path, version: str) -> bytes:
    """The bytes of a weights file with the integer network of the run in `folder`, as it stands.

    The model card records preset, steps and `version`, that of the code. Raises ValueError when the folder holds no
    usable checkpoint, or a parameter does not fit its integer table.
    """
    try:
        state = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
        twin = Twin(CONFIGS[state["preset"]])
        twin.load_state_dict(state["net"])
        card: dict[str, object] = {"preset": state["preset"], "steps": state["step"], "code": version}
    except FileNotFoundError as error:
        raise ValueError(f"{folder} holds no checkpoint") from error
    except (RuntimeError, UnpicklingError, KeyError, EOFError) as error:
        raise ValueError(f"{folder} holds no checkpoint of this version ({str(error).splitlines()[0]})") from error
    return write_model(export(twin), card)
