"""Planes as PyAV holds them."""

from typing import Any, cast

import numpy as np
from av import VideoFrame
from av.video.plane import VideoPlane

from nvc.media.errors import MediaError
from nvc.media.frame import Plane, Planes, VideoFormat


def lines(plane: VideoPlane) -> Plane:
    """A plane's bytes [rows, line size], a view; the end of each line is padding. Raises MediaError when bottom-up."""
    if plane.line_size < 0:
        raise MediaError("pictures stored bottom-up are not supported")
    data = np.frombuffer(cast(Any, plane), np.uint8)  # the buffer protocol of planes is not in PyAV's type stubs
    return data.reshape(plane.height, -1)


def to_frame(picture: Planes, format: VideoFormat) -> VideoFrame:
    """A yuv420p frame with a copy of the planes, their timestamp and their colour."""
    frame = VideoFrame(format.width, format.height, "yuv420p")
    for target, plane in zip(frame.planes, picture[:3], strict=True):
        lines(target)[:, : plane.shape[1]] = plane
    frame.pts, frame.time_base, frame.duration = picture.pts, format.time_base, format.frame_ticks
    frame.color_range = 2 if format.full_range else 1
    frame.colorspace, frame.color_primaries, frame.color_trc = format.matrix, format.primaries, format.transfer
    return frame
