"""The references are the specification: a changed digest is a new version of the bitstream."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

import nvc.kernels
from nvc.kernels import TABLE
from nvc.testing import PATTERNS, Fill

GOLDEN = Path(__file__).with_name("golden") / "kernels.json"


def digest(result):
    """First 16 hex digits of the SHA-256 over dtype, shape and little-endian bytes of one tensor or a tuple of them."""
    sha = hashlib.sha256()
    for t in (result,) if isinstance(result, torch.Tensor) else result:
        sha.update(f"{t.dtype}{tuple(t.shape)}".encode() + t.contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


@pytest.mark.parametrize("name", sorted(TABLE))
def test_reference_is_frozen(name, pytestconfig):
    kernel = TABLE[name]
    got = {
        f"{'x'.join(map(str, case))}-{pattern}": digest(kernel.reference(**kernel.make(case, Fill(pattern, 0))))
        for case in kernel.cases
        for pattern in PATTERNS
    }
    book = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if pytestconfig.getoption("--regen-golden"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(book | {name: got}, indent=1, sort_keys=True) + "\n")
    else:
        assert got == book.get(name), f"{name}: the reference, or the inputs of the sweep, changed"


def test_every_kernel_file_is_registered_under_its_own_name():
    files = {path.stem for path in Path(nvc.kernels.__file__).parent.glob("[!_]*.py")}
    assert files == set(TABLE) == set(nvc.kernels.NAMES)
    assert all(kernel.name == name for name, kernel in TABLE.items())
