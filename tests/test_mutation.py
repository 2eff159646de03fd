"""A damaged file gives the exact frames before the damage and then a BitstreamError, never anything else."""

from collections import Counter

import numpy as np
import pytest
from files import y4m

import nvc
from nvc.bitstream import BitstreamError

FRAMES = 5
TRIES = 300  # for each seed


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The bytes of a file with keyframes 0, 2 and 4, and its decoded frames."""
    folder = tmp_path_factory.mktemp("mutation")
    (folder / "clip.y4m").write_bytes(y4m(32, 16, FRAMES))
    nvc.encode(folder / "clip.y4m", folder / "clip.nvc", keyint=2)
    with nvc.open(folder / "clip.nvc") as decoder:
        return (folder / "clip.nvc").read_bytes(), [frame.tobytes() for frame in decoder]


def flip(data, rng):
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)


def flip_many(data, rng):
    for _ in range(rng.integers(2, 20)):
        flip(data, rng)


def overwrite(data, rng):
    at, size = rng.integers(len(data)), rng.integers(1, 40)
    data[at : at + size] = rng.choice([rng.bytes(size), bytes(size), b"\xff" * size])


def truncate(data, rng):
    del data[rng.integers(len(data)) :]


def remove(data, rng):
    at = rng.integers(len(data))
    del data[at : at + rng.integers(1, 200)]


def insert(data, rng):
    at = rng.integers(len(data) + 1)
    data[at:at] = rng.bytes(rng.integers(1, 40))


def repeat(data, rng):
    at, to, size = rng.integers(len(data)), rng.integers(len(data)), rng.integers(1, 400)
    data[to:to] = data[at : at + size]


MUTATIONS = (flip, flip_many, overwrite, truncate, remove, insert, repeat)


def mutants(data, seed):
    rng = np.random.default_rng(seed)
    for _ in range(TRIES):
        mutant = bytearray(data)
        kind = MUTATIONS[rng.integers(len(MUTATIONS))]
        kind(mutant, rng)
        yield kind.__name__, bytes(mutant), int(rng.integers(FRAMES))


def frames_of(path, start):
    """The frames from `start` on, and whether a BitstreamError ended them."""
    found = []
    try:
        with nvc.open(path) as decoder:
            if start:
                decoder.seek(start)
            for frame in decoder:
                assert frame.number == start + len(found)
                found.append(frame.tobytes())
    except BitstreamError:
        return found, True
    return found, False


@pytest.mark.parametrize("seed", [1, 2])
def test_exact_frames_or_an_error(seed, clip, tmp_path, pytestconfig):
    data, frames = clip
    path = tmp_path / "mutant.nvc"
    decoded = Counter()
    for kind, mutant, _ in mutants(data, seed + 100 * pytestconfig.getoption("--seed")):
        path.write_bytes(mutant)
        found, failed = frames_of(path, 0)
        assert found == frames[: len(found)], kind
        assert failed == (mutant != data), kind
        decoded[len(found)] += 1
    assert set(decoded) == set(range(FRAMES + 1)), "the mutations reach every part of the file"


def test_seeking_in_damaged_files(clip, tmp_path, pytestconfig):
    data, frames = clip
    path = tmp_path / "mutant.nvc"
    exact = 0
    for kind, mutant, start in mutants(data, 3 + 100 * pytestconfig.getoption("--seed")):
        path.write_bytes(mutant)
        found, failed = frames_of(path, start)
        wanted = frames[start : start + len(found)] if failed else frames[start:]  # what lies before is not looked at
        assert found == wanted, kind
        exact += len(found)
    assert exact > TRIES // 10, "sound frames behind a sound index are found"
