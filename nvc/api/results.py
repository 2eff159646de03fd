"""What came of coding a file."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple


class FrameRecord(NamedTuple):
    """Size in bytes of the frame's packet, None when decoding does not tell."""

    size: int | None
    qp: int
    key: bool


@dataclass
class Outcome:
    """`bytes`: size of the stream, None when it is not known (a pipe); `seconds`: wall time without the loading of code
    and weights, with seeking and the finishing of the output; `duration`: seconds of video; `md5`: of the decoded
    planes y, u, v of all frames in order, hex.
    """

    width: int
    height: int
    frames: list[FrameRecord] = field(default_factory=list)
    bytes: int | None = None
    seconds: float = 0.0
    duration: Fraction = Fraction(0)
    preset: str = ""
    qp: int = 0
    model: str = ""  # identity, hex
    device: str = ""
    device_reason: str = ""
    md5: str | None = None
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Frames coded per second of wall time."""
        return len(self.frames) / self.seconds if self.seconds else 0.0

    @property
    def bpp(self) -> float | None:
        """Bits per pixel."""
        if self.bytes is None or not self.frames:
            return None
        return 8 * self.bytes / (len(self.frames) * self.width * self.height)

    @property
    def kbps(self) -> float | None:
        """Kilobits (1000 bits) per second of video."""
        return float(8 * self.bytes / 1000 / self.duration) if self.bytes is not None and self.duration else None


@dataclass
class Encoded(Outcome):
    """`psnr`: mean over frames of planes y, u, v against the source, dB; None when it was not asked for."""

    keyint: int = -1
    psnr: tuple[float, float, float] | None = None


@dataclass
class Decoded(Outcome):
    """`expected`: frames that were to be decoded, None when the stream does not say. `damage`: why there are fewer."""

    expected: int | None = None
    damage: str | None = None


def playing_time(first: int, last: int, count: int, time_base: Fraction, rate: Fraction | None) -> Fraction:
    """Seconds that `count` >= 1 frames with pts `first` .. `last` are shown; the last as long as the rate, or the mean,
    says."""
    span = (last - first) * time_base
    if rate:
        return span + 1 / rate
    return span * Fraction(count, count - 1) if count > 1 else span
