"""nvc: a neural video codec whose decoder is defined in integers.

`encode` and `decode` work on files, `open` gives a Decoder of a file, Encoder and Decoder work on frames and on binary
file objects. They are imported on first use: torch takes seconds, and `nvc info` has no use for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nvc.api.decoding import decode, open
    from nvc.api.encoding import encode
    from nvc.codec.reader import Decoder
    from nvc.codec.writer import Encoder

__version__ = "0.1.0"
__all__ = ["Decoder", "Encoder", "decode", "encode", "open"]

_HOME = {
    "Decoder": "nvc.codec.reader",
    "Encoder": "nvc.codec.writer",
    "decode": "nvc.api.decoding",
    "encode": "nvc.api.encoding",
    "open": "nvc.api.decoding",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'nvc' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
