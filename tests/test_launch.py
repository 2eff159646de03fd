"""A whole session through the Triton kernels gives the CPU's bytes: on a GPU if there is one, else interpreted."""

from concurrent.futures import Future
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from nvc.codec.decoder import FrameDecoder
from nvc.codec.device import network_on
from nvc.codec.encoder import FrameEncoder
from nvc.codec.geometry import Geometry
from nvc.kernels._table import launching
from nvc.models.weights import shipped

SIZE = 20, 17  # padding on both sides; two blocks each way, for every pixel costs the interpreter time
QPS = 14, 6, 20  # few symbols: one lane codes them one by one


class Immediate:
    """An executor without a thread: the interpreter has one state for the process."""

    def submit(self, fn, *args):
        future = Future()
        future.set_result(fn(*args))
        return future


def frames():
    """A moving gradient with a texture: something to predict and something to code."""
    width, height = SIZE
    y, x = np.mgrid[:height, :width]
    for t in range(len(QPS)):
        luma = (3 * (x + 2 * t) + 2 * y + 40 * (((x + 2 * t) // 5 + y // 7) % 2)) % 256
        chroma = (luma[: (height + 1) // 2 * 2 : 2, ::2] // 2 + 60).astype(np.uint8)
        yield tuple(torch.from_numpy(np.ascontiguousarray(p)) for p in (luma.astype(np.uint8), chroma, 255 - chroma))


def encode(network):
    encoder = FrameEncoder(network, Geometry(*SIZE))
    encoder._background = Immediate()
    for t, (planes, qp) in enumerate(zip(frames(), QPS, strict=True)):
        yield encoder.encode(*planes, qp, key=t == 0, reset=t == 2)


def decode(network, payloads):
    decoder = FrameDecoder(network, Geometry(*SIZE))
    for t, (payload, qp) in enumerate(zip(payloads, QPS, strict=True)):
        yield decoder.decode(payload, qp, key=t == 0, reset=t == 2)


@pytest.fixture(scope="module")
def network():
    return shipped("fast").network


@pytest.fixture
def gpu_network(network, pytestconfig):
    """The network for a GPU session; while a test runs without a GPU, CPU tensors go to the interpreter."""
    with launching() if pytestconfig.device == "cpu" else nullcontext():
        yield network_on(network, torch.device(pytestconfig.device))


@pytest.fixture(scope="module")
def coded(network):
    return list(encode(network))


def test_a_gpu_encoder_writes_the_same_bytes(coded, gpu_network):
    for want, got in zip(coded, encode(gpu_network), strict=True):
        assert got.payload == want.payload
        for a, b in zip(got.planes, want.planes, strict=True):
            assert torch.equal(a.cpu(), b)


def test_a_gpu_decoder_makes_the_same_pictures(coded, gpu_network):
    for want, planes in zip(coded, decode(gpu_network, [frame.payload for frame in coded]), strict=True):
        for a, b in zip(planes, want.planes, strict=True):
            assert torch.equal(a.cpu(), b)
