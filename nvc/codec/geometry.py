"""Sizes of everything that follows from the size of a picture."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Geometry:
    """A picture of width x height luma pixels, padded to whole 16x16 blocks."""

    width: int
    height: int

    @property
    def rows(self) -> int:
        """Block rows; latents have this many rows."""
        return (self.height + 15) // 16

    @property
    def columns(self) -> int:
        return (self.width + 15) // 16

    @property
    def features(self) -> tuple[int, int]:
        """Rows and columns at 1/8."""
        return 2 * self.rows, 2 * self.columns

    @property
    def hyper(self) -> tuple[int, int]:
        """Rows and columns at 1/64."""
        return (self.rows + 3) // 4, (self.columns + 3) // 4

    @property
    def chroma(self) -> tuple[int, int]:
        """Rows and columns of a chroma plane, not padded."""
        return (self.height + 1) // 2, (self.width + 1) // 2
