"""Streams made once, on a CPU: every device decodes them to the pictures that they were made with."""

import hashlib
import io
import json
from pathlib import Path

import pytest
from files import planes

import nvc

FOLDER = Path(__file__).with_name("golden") / "streams"
BOOK = FOLDER / "streams.json"
# name: width, height, frames, QP, frames from one keyframe to the next
STREAMS = {
    "keyframes": (64, 48, 7, 32, 3),
    "odd": (51, 37, 5, 55, -1),
    "reset": (96, 64, 36, 8, -1),  # the recurrent memory starts afresh after 32 frames
}


def make(name):
    """The stream, and the MD5 of what its encoder reconstructed."""
    width, height, frames, qp, keyint = STREAMS[name]
    file, md5 = io.BytesIO(), hashlib.md5()
    with nvc.Encoder(file, width, height, qp=qp, keyint=keyint, device="cpu") as encoder:
        for n in range(frames):
            y, u, v = planes(width + width % 2, height + height % 2, n)
            md5.update(encoder.write(y[:height, :width], u, v).frame.tobytes())
    return file.getvalue(), md5.hexdigest()


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_a_golden_stream_decodes_to_its_pictures(name, pytestconfig):
    """A stream that cannot be opened, or pictures that changed: a new version of the bitstream, or new weights."""
    if pytestconfig.getoption("--regen-golden"):
        FOLDER.mkdir(parents=True, exist_ok=True)
        stream, md5 = make(name)
        (FOLDER / f"{name}.nvc").write_bytes(stream)
        book = json.loads(BOOK.read_text()) if BOOK.exists() else {}
        BOOK.write_text(json.dumps(book | {name: md5}, indent=1, sort_keys=True) + "\n")
        return
    stream, want = (FOLDER / f"{name}.nvc").read_bytes(), json.loads(BOOK.read_text())[name]
    for device in {"cpu", pytestconfig.device}:
        got = hashlib.md5()
        for frame in nvc.Decoder(io.BytesIO(stream), device=device):
            got.update(frame.tobytes())
        assert got.hexdigest() == want, f"decoded on {device}"


def test_the_folder_holds_these_streams_and_no_others():
    assert {path.stem for path in FOLDER.glob("*.nvc")} == set(json.loads(BOOK.read_text())) == set(STREAMS)
