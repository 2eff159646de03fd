"""The exported integer network computes what its fake-quantised twin computes, to the bit, on real frames."""

import copy
import io

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import nvc
from nvc.codec.encoder import FrameEncoder
from nvc.codec.geometry import Geometry
from nvc.media.clips import clip_path
from nvc.models.config import FAST, MAIN, Config, gain_row
from nvc.models.weights import ModelError, read_model, write_model
from nvc.train.data import Clip
from nvc.train.export import export
from nvc.train.initialise import initialise
from nvc.train.motion import pack
from nvc.train.quant import S16, Mode
from nvc.train.twin import Twin


def real_frames(count: int, height: int, width: int) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    frames = []
    with av.open(clip_path("carphone")) as container:
        for frame in container.decode(video=0):
            planes = [np.frombuffer(p, np.uint8).reshape(p.height, p.line_size) for p in frame.planes]
            sizes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
            frames.append(tuple(torch.from_numpy(p[:h, :w].copy()) for p, (h, w) in zip(planes, sizes, strict=True)))
            if len(frames) == count:
                return frames
    raise AssertionError("the clip is too short")


def started(config: Config) -> Twin:
    """The start of training, plus noise on everything, so that no part is without effect."""
    torch.manual_seed(1)
    twin = Twin(config).eval()
    frames = real_frames(8, 144, 176)
    luma, u, v = (np.stack([planes[i].numpy() for planes in frames]) for i in range(3))
    initialise(twin, [Clip("carphone", luma, np.stack((u, v), 1), 1.0)], 0)
    with torch.no_grad():
        for name, p in twin.named_parameters():
            p.add_(torch.randn_like(p) * (0.1 if name.endswith(("bias", "knots", "memory")) else 0.02))
    return twin


@pytest.fixture(scope="module")
def twin() -> Twin:
    return started(FAST)


def check_frames(twin: Twin, height: int, width: int, qp: int) -> tuple[int, int]:
    """Frames coded by the integer network equal those of the exact twin. Returns how many symbols there were that are
    not zero, and how many copied blocks."""
    encoder = FrameEncoder(export(twin), Geometry(width, height))
    memory, symbols, copies = torch.zeros(0), 0, 0
    for t, planes in enumerate(real_frames(3, height, width)):
        key = t == 0
        coded = encoder.encode(*planes, qp, key=key, reset=False)
        picture, prediction = (p.permute(2, 0, 1)[None].double() for p in encoder.pixels.split(96, 2))
        whole = (encoder.vectors & 3 == 0).all(2)[None, None] & (not key)
        with torch.no_grad():
            if key:
                memory = twin.initial_memory(1, height // 8, width // 8, True, Mode.EXACT)
            row = torch.tensor([gain_row(qp, key)])
            exact = twin(picture, prediction, whole, memory, row, Mode.EXACT, noise=False)
        memory = exact.memory
        assert torch.equal((memory[0].permute(1, 2, 0) / S16).to(torch.int16), encoder.memory)
        luma = F.pixel_shuffle(exact.pixels[:, :64], 8)[0, 0] + 128
        assert torch.equal(luma.to(torch.uint8), coded.planes[0])
        symbols += int((exact.symbols != 0).sum())
        copies += int((whole & (exact.symbols == 0).all(1)).sum())
    return symbols, copies


@pytest.mark.parametrize(("height", "width", "qp"), [(80, 112, 40), (48, 144, 5), (32, 48, 63)])
def test_integer_network_equals_exact_twin(twin: Twin, height: int, width: int, qp: int) -> None:
    symbols, _ = check_frames(twin, height, width, qp)
    assert symbols, "nothing was coded: the comparison would be empty"


def test_main_network_equals_exact_twin_and_makes_streams() -> None:
    twin = started(MAIN)
    symbols, _ = check_frames(twin, 32, 48, 40)
    assert symbols
    model = read_model(write_model(export(twin), {}), "main")
    stream = io.BytesIO()
    with nvc.Encoder(stream, 48, 32, qp=40, model=model, device="cpu") as encoder:
        made = [encoder.write(*(plane.numpy() for plane in planes)) for planes in real_frames(3, 32, 48)]
    assert encoder.header.preset.name == "MAIN"
    decoded = list(nvc.Decoder(io.BytesIO(stream.getvalue()), model=model, device="cpu"))
    assert [frame.tobytes() for frame in decoded] == [packet.frame.tobytes() for packet in made]
    with pytest.raises(ModelError, match=model.identity.hex()[:16]):
        nvc.Decoder(io.BytesIO(stream.getvalue()), device="cpu")


def test_blocks_without_symbols_are_copied_alike(twin: Twin) -> None:
    silent = copy.deepcopy(twin)
    with torch.no_grad():
        silent.index_head.bias.fill_(-100.0)  # every scale so small that nothing is coded
    symbols, copies = check_frames(silent, 80, 112, 5)
    assert not symbols
    assert copies


def test_quantised_mode_is_close_to_exact(twin: Twin) -> None:
    """Training sees what will be shipped: QUANT differs from EXACT only where a residual is next to a boundary."""
    y, u, v = real_frames(1, 64, 64)[0]
    x = pack(y[None, None].float(), torch.stack((u, v))[None].float()) - 128
    rows = torch.tensor([100])
    with torch.no_grad():
        results = [
            twin(
                x,
                torch.zeros_like(x),
                torch.zeros((1, 1, 4, 4)).bool(),
                twin.initial_memory(1, 8, 8, True, mode),
                rows,
                mode,
                noise=False,
            )
            for mode in (Mode.QUANT, Mode.EXACT)
        ]
    quant, exact = results
    coded = (exact.index > twin.config.skip) & (torch.floor(quant.index + 0.5) > twin.config.skip)
    assert coded.sum() > 1000
    # EXACT rounds latents and means to 1/32 step, so about one residual in 32 falls on the other side of a boundary
    wrong = (quant.symbols - exact.symbols)[coded]
    assert wrong.abs().max() <= 1
    assert (wrong != 0).double().mean() < 0.06
