"""Weights files: safetensors with the integer tables of a network, its config and its model card as metadata.

A stream names the weights it needs by the SHA-256 of the whole file.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save

from nvc.models.config import Config
from nvc.models.lowdelay import LowDelay

PRESETS = ("fast",)


class ModelError(Exception):
    """Weights that are missing, damaged or not those a stream was made with; the message is one sentence."""


@dataclass(frozen=True)
class Model:
    """A network with its identity (32 bytes, SHA-256 of the weights file) and model card."""

    network: LowDelay
    identity: bytes
    card: dict[str, object]


def read_model(data: bytes, name: str) -> Model:
    """Parse the bytes of a weights file; `name` appears in messages. Raises ModelError."""
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        network = LowDelay(Config(**json.loads(header["config"])))
        network.load_state_dict(tensors)
        return Model(network.eval(), hashlib.sha256(data).digest(), json.loads(header["card"]))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{name} is not a weights file of this version of nvc ({str(error).splitlines()[0]})"
        ) from error


def write_model(network: LowDelay, card: dict[str, object]) -> bytes:
    """The bytes of a weights file."""
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return save(tensors, {"config": json.dumps(network.config.to_dict()), "card": json.dumps(card)})


def shipped(preset: str) -> Model:
    """The weights of a preset that come with the package. Raises ModelError when there are none."""
    path = resources.files("nvc") / "weights" / f"{preset}.safetensors"
    if not path.is_file():
        raise ModelError(f"this installation has no weights for preset {preset!r}")
    return read_model(path.read_bytes(), f"{preset}.safetensors")


def from_file(path: Path) -> Model:
    """Weights from a file of the user's. Raises ModelError."""
    try:
        return read_model(path.read_bytes(), str(path))
    except OSError as error:
        raise ModelError(f"cannot read weights {path}: {error.strerror}") from error


def by_identity(identity: bytes) -> Model:
    """The shipped model that a stream names. Raises ModelError naming both when none matches."""
    for preset in PRESETS:
        model = shipped(preset)
        if model.identity == identity:
            return model
    raise ModelError(f"the stream was made with model {identity.hex()[:16]}, which this version of nvc does not have")
