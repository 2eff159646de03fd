"""How a caller follows the work on a file, and stops it."""


class Observer:
    """Called on the caller's thread; override what you need."""

    def begin(self, what: str, total: int | None) -> None:
        """Work starts; `total` is the expected number of frames, None when unknown."""

    def frame(self, done: int, size: int | None, seconds: float) -> None:
        """`done` frames are finished: `size` bytes of stream so far (None: not known), `seconds` of video."""

    def note(self, text: str) -> None:
        """Something the user should know about input or output; each text comes once."""

    def stopped(self) -> bool:
        """True ends the work after the current frame; what is done by then becomes a complete output."""
        return False


class Notes:
    """Passes on the notes that lists of notes gain."""

    def __init__(self, observer: Observer) -> None:
        self.seen: list[str] = []
        self._observer = observer

    def pass_on(self, notes: list[str]) -> None:
        """`notes` may have grown since the last call; another thread may be appending to it."""
        for text in notes[:]:
            if text not in self.seen:
                self.seen.append(text)
                self._observer.note(text)
