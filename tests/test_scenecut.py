"""New scenes: found where a clip has some, and nowhere else; the encoder begins them with keyframes."""

import io

import av
import numpy as np
import pytest
import torch

import nvc
from nvc.codec.scenecut import SceneCuts
from nvc.media.clips import clip_path


def texture(seed, height=200, width=360):
    """uint8 blobs of all sizes."""
    noise = np.random.default_rng(seed).standard_normal((height, width))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height)))
    blobs = np.fft.ifft2(np.fft.fft2(noise) / (frequency + 0.01) ** 1.5).real
    return np.clip(128 + 40 * blobs / blobs.std(), 0, 255).astype(np.uint8)


def found(frames):
    scenes = SceneCuts()
    return [n for n, frame in enumerate(frames) if scenes.starts(torch.from_numpy(np.ascontiguousarray(frame)))]


def pan(seed, count, height=144, width=176):
    """A scene; those of even seeds are bright."""
    picture = texture(seed) // 2 + (1 - seed % 2) * 120
    return [picture[:height, t : t + width] for t in range(count)]


@pytest.mark.parametrize("size", [(144, 176), (32, 320), (90, 24), (48, 64)])
def test_a_cut_is_found_where_it_is(size):
    assert found(pan(1, 6, *size) + pan(2, 6, *size)) == [6]


def test_motion_noise_fades_and_growing_light_are_no_cuts():
    rng = np.random.default_rng(0)
    still = texture(3)
    assert found(pan(4, 12)) == []
    assert found([np.clip(still + rng.normal(0, 12, still.shape), 0, 255).astype(np.uint8) for _ in range(6)]) == []
    assert found([(still * w + texture(4) * (1 - w)).astype(np.uint8) for w in np.linspace(1, 0, 16)]) == []
    assert found([still[:144, 9 * t : 9 * t + 176] for t in range(10)]) == []
    assert found([np.clip(still.astype(int) + 8 * t, 0, 255).astype(np.uint8) for t in range(8)]) == []


def test_flat_pictures_have_scenes_too():
    flat = [np.full((64, 64), v, np.uint8) for v in (16, 16, 16, 16, 200, 200, 200)]
    assert found(flat) == [4]
    assert found([*flat[:4], texture(5)[:64, :64]]) == [4]


def test_a_stream_that_is_wild_from_the_start_has_no_scenes():
    assert found([texture(seed) for seed in range(6)]) == []


def test_one_sample_is_enough_of_a_picture():
    assert found([np.full((1, 1), v, np.uint8) for v in (9, 9, 9, 200)]) == [3]


def test_scenes_of_a_real_clip():
    with av.open(str(clip_path("bikes"))) as container:
        frames = (frame.to_ndarray(format="gray") for frame in container.decode(video=0))
        assert found(frames) == [30, 76, 137, 187, 242]


def test_the_encoder_begins_a_scene_with_a_keyframe():
    def keyframes(**settings):
        chroma = np.full((24, 32), 128, np.uint8)
        with nvc.Encoder(io.BytesIO(), 64, 48, device="cpu", **settings) as encoder:
            frames = pan(5, 4, 48, 64) + pan(6, 3, 48, 64)
            return [n for n, y in enumerate(frames) if encoder.write(np.ascontiguousarray(y), chroma, chroma).key]

    assert keyframes() == [0, 4]
    assert keyframes(keyint=2) == [0, 2, 4, 6]
    assert keyframes(keyint=3) == [0, 3, 4]
    assert keyframes(scenecut=False) == [0]
