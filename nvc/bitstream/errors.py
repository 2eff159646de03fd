"""What can be wrong with a stream. Every message is one sentence for a person; no other exception leaves a reader for
any bytes it is given (OSError of the file itself excepted)."""


class BitstreamError(Exception):
    """Base of everything a reader raises about a stream."""


class NotNvc(BitstreamError):
    """The bytes do not start with the signature of an `.nvc` file."""


class UnsupportedStream(BitstreamError):
    """The stream is sound but needs a newer reader: version, critical feature, chroma format, bit depth or preset."""


class LimitExceeded(BitstreamError):
    """The stream asks for more than the format or the caller's `Limits` allow."""


class DamagedStream(BitstreamError):
    """The bytes are not those that were written, or stop early.

    `frame` counts the sound frames before the damage, from the start of the stream (or from the frame sought).
    """

    def __init__(self, message: str, frame: int = 0) -> None:
        super().__init__(message)
        self.frame = frame
