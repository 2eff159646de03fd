"""How a caller follows an evaluation, and stops it."""


class EvalObserver:
    """Called on the thread that runs the evaluation, but for `stopped`; override what you need."""

    def begin(self, work: float) -> None:
        """All clips were looked at; `work` is what is to be done, in the units of `advance`."""

    def advance(self, work: float) -> None:
        """That much is done."""

    def done(self, text: str) -> None:
        """A figure was measured."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def stopped(self) -> bool:
        """True ends the evaluation soon. Called on any thread."""
        return False
