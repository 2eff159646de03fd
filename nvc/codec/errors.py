"""What can go wrong above the bitstream."""


class CodecError(Exception):
    """A frame or a setting that cannot be coded; the message is one sentence."""


class DeviceError(CodecError):
    """The device that was asked for cannot be used."""
