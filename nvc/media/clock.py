"""Timestamps as they should have been."""

from nvc.media.frame import VideoFormat


class Clock:
    """Makes the timestamps of one video complete and strictly increasing; each kind of repair is noted once."""

    def __init__(self, format: VideoFormat, notes: list[str]) -> None:
        self._step = format.frame_ticks
        self._notes = notes
        self._last: int | None = None

    def next(self, pts: int | None) -> int:
        """The timestamp of the next picture, given what its container says: missing ones follow the frame rate."""
        last = self._last
        if pts is None:
            self._note("missing timestamps were derived from the frame rate")
            pts = 0 if last is None else last + self._step
        elif last is not None and pts <= last:
            self._note("timestamps that did not increase were moved forward")
            pts = last + 1
        self._last = pts
        return pts

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)
