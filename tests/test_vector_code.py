"""Vector instructions that numba emits: with those of this CPU, and as where there are none."""

import numpy as np
import pytest
from numba import njit, types

from nvc.kernels import _vector
from nvc.kernels._motion import CHROMA, LUMA
from nvc.kernels._vector import I8, I16, I64, emitted, intrinsic
from nvc.kernels._vector_motion import QUARTER_ROWS, scan5, scan8


def dotted(count, element):
    """A fresh function(a, w, out): `Builder.dot` of the first `count` elements."""

    @intrinsic
    def dot(typingctx, a, w, out):
        def emit(v, a, w, out):
            v.store(v.dot(v.load(a, I64(0), element, count), v.load(w, I64(0), element, count)), out, I64(0))

        return emitted(types.none, (a, w, out), emit)

    @njit
    def run(a, w, out):
        dot(a, w, out)

    return run


@pytest.mark.parametrize("native", [True, False], ids=["native", "plain"])
@pytest.mark.parametrize("bits", [64, 128, 256, 512])
@pytest.mark.parametrize("element", [I8, I16], ids=["bytes", "words"])
def test_dot_of_pairs(element, bits, native, monkeypatch, pytestconfig):
    if not native:
        monkeypatch.setattr(_vector, "_FEATURES", {})
    rng = np.random.default_rng(pytestconfig.getoption("--seed"))
    n, run = bits // element.width, dotted(bits // element.width, element)
    a_type, w_type, out_type = (np.uint8, np.int8, np.int16) if element is I8 else (np.int16, np.int16, np.int32)
    most = 64 if element is I8 else 32767  # two products of a byte must fit an int16
    for extreme in (False, True):
        a = rng.integers(np.iinfo(a_type).min, np.iinfo(a_type).max, n, a_type, endpoint=True)
        w = rng.integers(-most, most, n, w_type, endpoint=True)
        if extreme:
            a[:], w[:] = np.iinfo(a_type).max, np.where(np.arange(n) & 2, most, -most)
        out = np.zeros(n // 2, out_type)
        run(a, w, out)
        assert np.array_equal(out, (a.astype(np.int64) * w).reshape(-1, 2).sum(1))


@pytest.mark.parametrize("taps", [LUMA, CHROMA], ids=["luma", "chroma"])
def test_filters_fit_the_dot_of_bytes(taps):
    assert 255 * np.abs(taps.reshape(len(taps), -1, 2)).sum(2).max() < 2**15


@pytest.mark.parametrize("native", [True, False], ids=["native", "plain"])
@pytest.mark.parametrize("size", [5, 8])
def test_scans_find_the_first_of_the_least(size, native, monkeypatch, pytestconfig):
    if not native:
        monkeypatch.setattr(_vector, "_FEATURES", {})
    scan = {5: scan5, 8: scan8}[size]

    @njit
    def run(cur, ic, ref, ir, dx):  # compiled anew, so with the features of this test
        return scan(cur, ic, cur.shape[1], ref, ir, ref.shape[1], dx)

    rng = np.random.default_rng(pytestconfig.getoption("--seed"))
    for most in (0, 3, 256):  # all equal, many equal, extremes
        for dx in (-8, 0, 9):
            cur = rng.integers(0, most, (12, 20), np.uint8, endpoint=most < 256)
            ref = rng.integers(0, most, (12, 40), np.uint8, endpoint=most < 256)
            if most == 256:
                cur, ref = cur & 128, ref | 127
            rows = np.arange(5) if size == 5 else np.array(QUARTER_ROWS)
            there = np.stack([ref[2 + rows, 3 + n : 3 + n + size] for n in range(16)]).astype(int)
            costs = np.abs(there - cur[1 + rows, 4 : 4 + size]).sum((1, 2)) + np.abs(dx + np.arange(16))
            assert run(cur, 24, ref, 83, dx) == 16 * costs.min() + costs.argmin()
