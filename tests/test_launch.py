"""A whole session through the Triton kernels gives the CPU's bytes: on a GPU if there is one, else interpreted."""

from collections import Counter
from contextlib import nullcontext
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from triton.runtime.interpreter import GridExecutor

from nvc.codec.decoder import FrameDecoder
from nvc.codec.device import network_on
from nvc.codec.encoder import FrameEncoder
from nvc.codec.geometry import Geometry
from nvc.codec.runner import Direct
from nvc.kernels._table import launching
from nvc.models.weights import shipped

SIZE = 20, 17  # padding on both sides; two blocks each way, for every pixel costs the interpreter time
QPS = 14, 6, 20, 9  # few symbols: one lane codes them one by one
RESET = 2


class Counted(TorchDispatchMode):
    """Counts launches, and the torch operations outside of them, as `made` and `asked`."""

    def __enter__(self):
        self.made, self.inside, self.asked = 0, False, Counter()
        launch = GridExecutor.__call__

        def call(executor, *args, **kwargs):
            self.made, self.inside = self.made + 1, True
            launch(executor, *args, **kwargs)
            self.inside = False

        self.patch = patch.object(GridExecutor, "__call__", call)
        self.patch.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.patch.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if not self.inside and not func.is_view:
            self.asked[func.overloadpacket.__name__] += 1
        return func(*args, **kwargs or {})


class Recorded(Direct):
    """A GPU's runner without one: work of a name is done as it was when it was new, with what it held on to then.

    No thread: the interpreter has one state for the process. `counts` has what the last work of each name asked for.
    """

    depth = 2

    def __init__(self):
        self.works, self.counts = {}, {}

    def run(self, name, work):
        with Counted() as self.counts[name]:
            self.works.setdefault(name, work)()

    def beside(self, work):
        work()
        return lambda: None

    def download(self, *sources, long=None):
        copies = [t.clone() for t in (*sources, *([] if long is None else [long]))]
        return super().download(*copies[: len(sources)], long=None if long is None else copies[-1])


def frames():
    """A moving gradient with a texture: something to predict and something to code."""
    width, height = SIZE
    y, x = np.mgrid[:height, :width]
    for t in range(len(QPS)):
        luma = (3 * (x + 2 * t) + 2 * y + 40 * (((x + 2 * t) // 5 + y // 7) % 2)) % 256
        chroma = (luma[: (height + 1) // 2 * 2 : 2, ::2] // 2 + 60).astype(np.uint8)
        yield tuple(torch.from_numpy(np.ascontiguousarray(p)) for p in (luma.astype(np.uint8), chroma, 255 - chroma))


def kept(frame):
    return frame._replace(planes=tuple(p.clone() for p in frame.planes))


def encode(network, runner=None):
    encoder = FrameEncoder(network, Geometry(*SIZE), runner)
    for t, (planes, qp) in enumerate(zip(frames(), QPS, strict=True)):
        encoder.begin(*planes, qp, key=t == 0, reset=t == RESET)
        if t >= encoder.runner.depth - 1:
            yield kept(encoder.result())
    for _ in range(encoder.runner.depth - 1):
        yield kept(encoder.result())


def decode(network, payloads, runner=None):
    decoder = FrameDecoder(network, Geometry(*SIZE), runner)
    for t, (payload, qp) in enumerate(zip(payloads, QPS, strict=True)):
        decoder.begin(payload, qp, key=t == 0, reset=t == RESET)
        if t >= decoder.runner.depth - 1:
            yield decoder.result()
    for _ in range(decoder.runner.depth - 1):
        yield decoder.result()


@pytest.fixture(scope="module")
def network():
    return shipped("fast").network


@pytest.fixture
def gpu(network, pytestconfig):
    """Network and runner of a GPU session; while a test runs without a GPU, CPU tensors go to the interpreter."""
    there = pytestconfig.device != "cpu"
    with nullcontext() if there else launching():
        yield network_on(network, torch.device(pytestconfig.device)), None if there else Recorded()


@pytest.fixture(scope="module")
def coded(network):
    return list(encode(network))


def expect_no_more(runner, name, launches, operations):
    """Of launches and of torch's operations in a frame's work: each is time that nothing else can use."""
    if runner is not None:
        counts = runner.counts[name]
        assert (counts.made, counts.asked) == (launches, Counter(operations))


def test_a_gpu_encoder_writes_the_same_bytes(coded, gpu):
    for want, got in zip(coded, encode(*gpu), strict=True):
        assert got.payload == want.payload
        for a, b in zip(got.planes, want.planes, strict=True):
            assert torch.equal(a.cpu(), b)
    # padding; symbols, rows and a bound of the coder; scratch of the motion search, the compaction and the coder
    expect_no_more(gpu[1], "encode inter", 60, {"copy_": 4, "add": 1, "empty": 6})


def test_a_gpu_decoder_makes_the_same_pictures(coded, gpu):
    network, runner = gpu
    for want, planes in zip(coded, decode(network, [frame.payload for frame in coded], runner), strict=True):
        for a, b in zip(planes, want.planes, strict=True):
            assert torch.equal(a.cpu(), b)
    expect_no_more(runner, "decode inter", 35, {"copy_": 2, "clamp_": 1, "empty": 2})
