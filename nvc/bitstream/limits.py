"""Bounds a caller sets on what a stream may ask for; they are checked before anything is allocated."""

from dataclasses import dataclass

from nvc.bitstream.errors import LimitExceeded
from nvc.bitstream.layout import MAX_PAYLOAD


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`max_pixels`: width x height; `max_payload`: bytes of one packet; `max_keyframes`: index entries of 24 bytes."""

    max_pixels: int = 8192 * 8192
    max_payload: int = MAX_PAYLOAD
    max_keyframes: int = 1 << 22

    def check_pixels(self, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise LimitExceeded(
                f"The picture is {width}x{height}, {width * height} pixels; the limit is {self.max_pixels}."
            )

    def check_payload(self, size: int, frame: int) -> None:
        if size > self.max_payload:
            raise LimitExceeded(f"The packet of frame {frame} holds {size} bytes; the limit is {self.max_payload}.")

    def check_keyframes(self, count: int) -> None:
        if count > self.max_keyframes:
            raise LimitExceeded(f"The stream has more than {self.max_keyframes} keyframes, the limit.")


DEFAULT_LIMITS = Limits()
