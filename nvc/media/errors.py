"""The one error of this package."""


class MediaError(Exception):
    """A video cannot be read or written; the message is one sentence for the user, without a final full stop."""
