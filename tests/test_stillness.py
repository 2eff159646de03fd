"""Keyframes that the next frame repeats: noticed exactly, and made better."""

import io
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from files import planes

import nvc
from nvc.codec.errors import CodecError
from nvc.codec.gop import frame_qp
from nvc.codec.stillness import repeats

HEIGHT, WIDTH = 48, 64  # twelve blocks


def picture(seed=0):
    return np.random.default_rng(seed).integers(20, 200, (HEIGHT, WIDTH), dtype=np.uint8)


def changed(luma, blocks, by):
    """The first pixel row of so many blocks, in raster order, up by `by` grey levels in all."""
    luma = luma.copy()
    for n in range(blocks):
        row, column = 16 * (n // 4), 16 * (n % 4)
        luma[row, column : column + 16] += by // 16
        luma[row + 1, column] += by % 16
    return luma


@pytest.mark.parametrize(("blocks", "by", "still"), [(12, 383, True), (2, 384, True), (3, 384, False), (2, 800, True)])
def test_still_is_what_five_blocks_of_six_leave_as_they_were(blocks, by, still):
    luma = picture()
    assert repeats(changed(luma, blocks, by), luma) is still
    assert repeats(luma, changed(luma, blocks, by)) is still


def test_rests_of_blocks_do_not_count():
    luma = picture()
    other = luma.copy()
    other[:, 48:] += 50
    assert repeats(other[:, :63], luma[:, :63])
    assert not repeats(other, luma)
    assert not repeats(luma[:15], luma[:15]), "no whole block"


def key_qps(moves, **settings):
    """QPs of the keyframes of four frames, each told of the next."""
    frames = [planes(WIDTH, HEIGHT, moves * n) for n in range(5)]
    with nvc.Encoder(io.BytesIO(), WIDTH, HEIGHT, qp=20, scenecut=False, device="cpu", **settings) as encoder:
        written = [encoder.write(*now, following=after[0]) for now, after in pairwise(frames)]
    return [w.qp for w in written if w.key]


def test_a_keyframe_which_the_next_frame_repeats_is_better():
    assert key_qps(0) == [frame_qp(20, 0, still=True)]
    assert key_qps(1) == [frame_qp(20, 0)] != key_qps(0)
    assert key_qps(0, keyint=2) == 2 * [frame_qp(20, 0, still=True)]
    assert key_qps(0, keyint=1) == 4 * [frame_qp(20, 0)], "nothing is predicted from these"


def test_files_are_encoded_with_a_look_at_the_next_frame(tmp_path):
    y, u, v = planes(WIDTH, HEIGHT, 0)
    (tmp_path / "still.yuv").write_bytes(3 * b"".join(p.tobytes() for p in (y, u, v)))
    result = nvc.encode(
        tmp_path / "still.yuv",
        tmp_path / "still.nvc",
        qp=20,
        size=(WIDTH, HEIGHT),
        fps=Fraction(25),
        pix_fmt="yuv420p",
        device="cpu",
    )
    assert result.frames[0].qp == frame_qp(20, 0, still=True)


def test_a_next_frame_of_another_size_is_refused():
    encoder = nvc.Encoder(io.BytesIO(), WIDTH, HEIGHT, device="cpu")
    with pytest.raises(CodecError, match="y of the next frame"):
        encoder.write(*planes(WIDTH, HEIGHT, 0), following=picture()[:, :32])


def test_each_quality_is_better_than_the_one_before():
    qps = [frame_qp(base, 0, still=True) for base in range(64)]
    assert all(b >= a for a, b in pairwise(qps))
    assert all(still >= frame_qp(base, 0) for base, still in enumerate(qps))
    assert qps[-1] == 63
