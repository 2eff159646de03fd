"""Opening `.nvc` files for reading."""

import os
from typing import BinaryIO

from nvc.media.errors import MediaError

Path = str | os.PathLike[str]


def open_stream(path: Path) -> BinaryIO:
    """A stream's file, or standard input for `-`. Raises MediaError when it cannot be read."""
    name = os.fspath(path)
    try:
        return os.fdopen(os.dup(0), "rb") if name == "-" else open(name, "rb")
    except OSError as error:
        raise MediaError(f"cannot read {name}: {error.strerror}") from error
