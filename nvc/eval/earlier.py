"""What an earlier run in the same folder has measured already."""

from collections.abc import Callable
from pathlib import Path

from nvc.eval.results import Point, Speed, Twin, read

Figure = Point | Speed | Twin


def earlier(out: Path, name: str, note: Callable[[str], None]) -> dict[str, Figure]:
    """Figures by key. A point counts only while its file is there; results of another version do not count at all."""
    path = out / name
    if not path.exists():
        return {}
    try:
        clips = read(path).clips
    except ValueError as error:
        note(f"{error}; everything is measured again")
        return {}
    found: list[Figure] = []
    for clip in clips:
        found += [p for p in clip.points if _is_there(out / str(p.file), p.bytes)]
        found += clip.speeds
        found += [clip.twin] if clip.twin else []
    return {item.key: item for item in found}


def _is_there(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size
