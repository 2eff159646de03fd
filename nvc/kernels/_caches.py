"""Numba's cached code of a kernel file does not notice that a helper inlined into it has changed, as after an update of
a checkout: old code could then meet new tables."""

from contextlib import suppress
from pathlib import Path


def drop_stale(folder: Path) -> None:
    """Delete cached code in `folder` that is older than any of its modules with an underscore."""
    changed = max(path.stat().st_mtime for path in folder.glob("_*.py"))
    for cached in folder.glob("__pycache__/*.nb[ci]"):
        with suppress(OSError):  # another process was faster, or this one may not write
            if cached.stat().st_mtime < changed:
                cached.unlink()
