"""What the shipped weights must do for anybody's eyes: hold a still picture, and give each QP its place."""

import io

import numpy as np
import pytest

import nvc
from nvc.codec.gop import OFFSETS
from nvc.media import open_source
from nvc.media.clips import clip_path
from nvc.media.quality import psnr

FRAMES = 33  # one beyond the first reset of the recurrent memory


@pytest.fixture(scope="module")
def picture():
    with open_source(clip_path("carphone"), frames=1) as source:
        return tuple(np.array(plane) for plane in next(iter(source))[:3])


def coded(frames, qp):
    """Size of the stream, and PSNR of each frame's luma."""
    file = io.BytesIO()
    height, width = frames[0][0].shape
    with nvc.Encoder(file, width, height, qp=qp, device="cpu") as encoder:
        quality = [psnr(encoder.write(*frame).frame.y, frame[0]) for frame in frames]
    return len(file.getvalue()), quality


@pytest.mark.parametrize("qp", [8, 32, 56, 63])
def test_a_still_picture_does_not_fade(picture, qp):
    _, quality = coded([picture] * FRAMES, qp)
    assert min(quality) > quality[0] - 0.1


def test_rate_and_quality_rise_from_qp_to_qp(picture):
    moving = [tuple(np.roll(plane, 2 * n, 1) for plane in picture) for n in range(1 + len(OFFSETS))]  # a whole cycle
    sizes, qualities = zip(*(coded(moving, qp) for qp in range(64)), strict=True)
    assert (np.diff(sizes) > 0).all()
    assert (np.diff(np.mean(qualities, 1)) > 0).all()


@pytest.mark.parametrize("qp", [44, 56])
@pytest.mark.parametrize("clip", ["bigbuckbunny", "bikes", "carphone"])
def test_no_block_of_a_keyframe_is_lost(clip, qp):
    """Latents that the network takes for certain are not coded: it must not be wrong about any that matters."""
    with open_source(clip_path(clip), frames=1) as source:
        planes = tuple(np.array(plane) for plane in next(iter(source))[:3])
    height, width = planes[0].shape
    with nvc.Encoder(io.BytesIO(), width, height, qp=qp, device="cpu") as encoder:
        error = encoder.write(*planes).frame.y.astype(np.int64) - planes[0]
    blocks = error[: height // 16 * 16, : width // 16 * 16].reshape(height // 16, 16, -1, 16)
    assert (blocks**2).mean((1, 3)).max() < 100
