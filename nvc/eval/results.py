"""What an evaluation found: plain dataclasses, and results.json with a version."""

import hashlib
import json
import types
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from nvc.media import atomic_output

SCHEMA = 1


@dataclass
class Point:
    """One file of one codec. PSNR in dB, means over frames; `ms_ssim` of luma, 0..1; None: not measured.

    `key` names everything that decides the figures: a point with the same key need not be measured again. `file` is
    relative to the folder of the evaluation.
    """

    codec: str
    quality: int
    key: str
    bytes: int
    bpp: float
    kbps: float
    psnr_y: float
    psnr_u: float
    psnr_v: float
    psnr_611: float
    ms_ssim: float | None
    vmaf: float | None
    frame_bytes: list[int]
    frame_psnr_y: list[float]
    file: str | None
    command: str
    matched: bool = False


@dataclass
class Speed:
    """Frames per second from file to file, of `frames` frames with `threads` CPU threads, one codec at a time."""

    codec: str
    quality: int
    key: str
    frames: int
    threads: int
    encode_fps: float
    decode_fps: float
    command: str


@dataclass
class Difference:
    """BD-rate of `codec` against `anchor` in percent, less is better; None with the reason why there is none."""

    codec: str
    anchor: str
    metric: str
    value: float | None
    reason: str | None
    overlap: float | None


@dataclass
class Twin:
    """The float twin of nvc's network on the first `frames` frames of a clip; `fps` counts analysis, prior, synthesis
    and motion in one pass, without entropy coding. The rest is the BD-rate of nvc against it, PSNR-Y, as Difference."""

    key: str
    frames: int
    threads: int
    fps: float
    points: list[Point]
    value: float | None
    reason: str | None
    overlap: float | None


@dataclass
class Clip:
    """One clip. `problem`: why it was left out; `failures`: what could not be measured, as sentences."""

    name: str
    file: str
    synthetic: bool = False
    sha256: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    rate: str = ""
    problem: str | None = None
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    twin: Twin | None = None


@dataclass
class CodecInfo:
    """`settings`: its options, with Q for the quality; `problem`: why it did not run."""

    name: str
    settings: str
    qualities: list[int]
    problem: str | None = None


@dataclass
class Metric:
    """`how`: with what it was measured; `problem`: why it was not."""

    name: str
    label: str
    how: str
    problem: str | None = None


@dataclass
class Results:
    """A whole evaluation. `machine` and `settings` map names to text."""

    schema: int
    nvc: str
    date: str
    command: str
    machine: dict[str, str]
    settings: dict[str, str]
    codecs: list[CodecInfo] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)
    complete: bool = False

    def write(self, path: Path) -> None:
        """Replace `path` by the whole JSON, at once. Raises MediaError."""
        text = json.dumps(asdict(self), indent=1)
        with atomic_output(str(path)) as output:
            output.file.write(text.encode() + b"\n")


def read(path: Path) -> Results:
    """Read results.json. Raises ValueError when it is no such file, or one of another version."""
    try:
        data = json.loads(path.read_text())
        if data["schema"] != SCHEMA:
            raise ValueError(f"{path} has schema {data['schema']}, this version of nvc writes {SCHEMA}")
        found = _build(Results, data)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no results of nvc eval") from error
    assert isinstance(found, Results)
    return found


def _build(kind: Any, data: Any) -> Any:
    """`data`, as json.loads made it, in the types of a dataclass."""
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{f.name: _build(hints[f.name], data[f.name]) for f in fields(kind)})
    if get_origin(kind) is list:
        return [_build(get_args(kind)[0], item) for item in data]
    if get_origin(kind) is types.UnionType:
        return None if data is None else _build(get_args(kind)[0], data)
    return float(data) if kind is float else data


def key_of(*parts: object) -> str:
    """A short name for everything in `parts`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]
