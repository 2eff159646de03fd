"""What the motion kernels are for: motion that is there is found, vectors survive coding, any vector is legal."""

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from nvc.kernels._motion_cpu import reach
from nvc.kernels._motion_settle import offer
from nvc.kernels._pool import set_threads, threads
from nvc.kernels.code_vectors import code_vectors
from nvc.kernels.gpu._motion_settle import _offers
from nvc.kernels.motion_compensate import motion_compensate
from nvc.kernels.motion_search import motion_search
from nvc.kernels.mv_restore import mv_restore
from nvc.testing import Fill, splitmix64

H, W = 96, 128


def texture(h, w, seed=0):
    """Smooth noise: enough detail for an unambiguous match, enough redundancy for sub-pel interpolation."""
    noise = torch.from_numpy((splitmix64((h + 4) * (w + 4), seed << 32) & np.uint64(255)).astype(np.int64))
    noise = noise.reshape(h + 4, w + 4)
    rows = sum(noise[k : k + h] * (1, 4, 6, 4, 1)[k] for k in range(5))
    return (sum(rows[:, k : k + w] * (1, 4, 6, 4, 1)[k] for k in range(5)) >> 8).to(torch.uint8)


def search(cur, ref, rate=16):
    return motion_search(cur, ref, torch.tensor([rate], dtype=torch.int32))[0]


def flat_chroma(y):
    return torch.full((y.shape[0] // 2, y.shape[1] // 2), 100, dtype=torch.uint8)


def compensated(y, u, v, mv, **out):
    """With all quarters blended."""
    return motion_compensate(y, u, v, mv, torch.zeros(mv.shape[:2], dtype=torch.uint8), **out)


def unpacked(packed):
    """The luma plane of a packed prediction."""
    h, w, _ = packed.shape
    tiles = packed[..., :64].reshape(h, w, 8, 8).permute(0, 2, 1, 3).reshape(8 * h, 8 * w)
    return (tiles.int() + 128).to(torch.uint8)


def moved(plane, dy, dx):
    """The luma plane shifted by one vector for every block."""
    mv = torch.tensor([dy, dx], dtype=torch.int16).expand(plane.shape[0] // 16, plane.shape[1] // 16, 2).contiguous()
    return unpacked(compensated(plane, flat_chroma(plane), flat_chroma(plane), mv))


def found(cur, ref, dy, dx):
    """Whether blocks whose match lies inside the picture all have the vector (dy, dx)."""
    mv = search(cur, ref)
    y, x = torch.arange(0, H, 16) + dy // 4, torch.arange(0, W, 16) + dx // 4
    inside = ((y >= 4) & (y <= H - 21))[:, None] & ((x >= 4) & (x <= W - 21))[None, :]
    assert inside.sum() >= 6
    return (mv[inside] == torch.tensor([dy, dx])).all()


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (1, 0), (0, -1), (-3, 5), (13, -18), (-30, 31), (5, 44), (-9, -41)])
def test_whole_pel_translation_is_found(dy, dx):
    canvas = texture(H + 128, W + 128)
    ref, cur = canvas[64 : 64 + H, 64 : 64 + W], canvas[64 + dy : 64 + dy + H, 64 + dx : 64 + dx + W]
    assert found(cur.contiguous(), ref.contiguous(), 4 * dy, 4 * dx)


@pytest.mark.parametrize(("dy", "dx"), [(2, 0), (0, -2), (2, 2), (-6, 10), (1, 0), (3, -5), (-21, 35)])
def test_fractional_translation_is_found(dy, dx):
    ref = texture(H, W)
    assert found(moved(ref, dy, dx), ref, dy, dx)


def test_a_large_object_that_moves_far_is_found():
    ref = texture(192, 384) // 4 + 3 * texture(12, 24, 1).repeat_interleave(16, 0).repeat_interleave(16, 1) // 4
    cur = ref.roll((70, -90), (0, 1))
    mv = search(cur, ref)
    assert (mv[5:11, 1:17] == torch.tensor([-280, 360])).all()


def residual_of(mv, overlap, precision):
    """What is coded of vectors and overlaps, with any tables."""
    contexts = torch.zeros((*mv.shape[:2], 3), dtype=torch.uint8)
    return code_vectors(mv, overlap, precision, contexts, torch.zeros((12, 5, 31), dtype=torch.int32))[0]


def vector_bits(cur, ref, rate):
    """What the search counts as the bits of the field it finds: the lengths of its differences."""
    mv, precision = motion_search(cur, ref, torch.tensor([rate], dtype=torch.int32))
    coded = residual_of(mv, torch.zeros(mv.shape[:2], dtype=torch.uint8), precision)
    return int((coded.int().abs()[..., None] >> torch.arange(13) > 0).sum())


def test_high_rates_give_fields_of_fewer_bits():
    """In sum: a search that settles for what no single change improves may end higher in one field of many."""
    ref, bits = texture(H, W), torch.zeros(3, dtype=torch.int64)
    for seed in range(1, 13):
        cur = moved(ref, 5, -9).int() + texture(H, W, seed) // 4
        cur = cur.clamp(0, 255).to(torch.uint8)
        bits += torch.tensor([vector_bits(cur, ref, rate) for rate in (0, 2**8, 2**16)])
    assert bits[1] < 0.7 * bits[0]
    assert bits[2] < 0.9 * bits[1]


def test_vectors_are_as_fine_as_they_are_worth():
    """Of the same motion by 1/4 pel and up as many precisions as there are, the finest where bits are cheap."""
    ref, taken = texture(H, W), []
    for dy, dx, rate in (
        (5, -9, 0),
        (2, 10, 64),
        (20, -4, 64),
        (8, -24, 64),
        (16, 48, 64),
        (32, -64, 64),
        (5, -9, 2**14),
    ):
        mv, precision = motion_search(moved(ref, dy, dx), ref, torch.tensor([rate], dtype=torch.int32))
        assert (mv & (1 << int(precision)) - 1 == 0).all()
        taken.append(int(precision))
    assert taken == [0, 1, 2, 3, 4, 5, 5]


def test_vectors_stay_within_64_pixels_of_the_picture():
    cur, ref = texture(64, 256, 2), texture(64, 256, 3)
    mv = search(cur, ref, 0)
    y, x = torch.arange(0, 64, 16)[:, None], torch.arange(0, 256, 16)[None, :]
    for at, v, side in ((y, mv[..., 0], 64), (x, mv[..., 1], 256)):
        assert (4 * at + v >= -4 * 64).all()
        assert (4 * at + v <= 4 * (side - 16 + 64)).all()


def at_the_ends_of_the_hierarchy():
    """Pictures whose vectors need the first of the displacements that a pass tries: the uppermost coarse one, and the
    first of those around the coarse vector, which random samples want once in 368 blocks."""
    far = splitmix64(8, 3).astype(np.uint8).repeat(16)[:, None].repeat(16, 1)
    yield torch.from_numpy(np.roll(far, 80, 0)), torch.from_numpy(far), (6, 0)
    fill = Fill("uniform", 2)
    ref, cur = (fill((32, 48), 0, 255, torch.uint8) for _ in range(2))
    yield cur, ref, None


@pytest.mark.parametrize("planes", list(at_the_ends_of_the_hierarchy()), ids=["coarse", "quarter"])
def test_the_first_displacements_are_tried(planes, pytestconfig):
    cur, ref, block = planes
    rate = torch.zeros(1, dtype=torch.int32)
    want = motion_search.reference(cur, ref, rate)
    assert block is None or want[0][block].tolist() == [-320, 0]
    assert all(map(torch.equal, motion_search.cpu(cur, ref, rate), want))
    launched = motion_search.launch(*(operand.to(pytestconfig.device) for operand in (cur, ref, rate)))
    assert all(map(torch.equal, (t.cpu() for t in launched), want))


def test_search_is_the_same_in_rows_of_threads():
    ref, before = texture(H, W), threads()
    cur, results = moved(ref, 7, 6), []
    for n in (1, 3):
        set_threads(n)
        results.append(search(cur, ref))
    set_threads(before)
    assert torch.equal(*results)


def precise(precision):
    return torch.tensor([precision], dtype=torch.int32)


@pytest.mark.parametrize("precision", range(6))
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 2), (13, 21)])
def test_restore_inverts_residual(shape, precision):
    bh, bw = shape
    raw = splitmix64(bh * bw * 2, 5) % np.uint64(4095)
    mv = torch.from_numpy(raw.astype(np.int16) - np.int16(2047)).reshape(bh, bw, 2)
    mv = (mv >> precision << precision).clamp(min=-2016 if precision else -2047)
    overlap = torch.from_numpy((splitmix64(bh * bw, 6) & np.uint64(255)).astype(np.uint8)).reshape(bh, bw)
    residual = residual_of(mv, overlap, precise(precision))
    assert residual.abs().max() < 2 ** (13 - precision)
    for got, want in zip(mv_restore(residual, precise(precision)), (mv, overlap), strict=True):
        assert torch.equal(got, want)


def test_uniform_motion_costs_one_residual():
    mv = torch.tensor([12, -7], dtype=torch.int16).expand(5, 6, 2).contiguous()
    residual = residual_of(mv, torch.zeros((5, 6), dtype=torch.uint8), precise(0))
    assert residual[:, 1:].abs().sum() == 0
    assert residual[0, 0].tolist() == [12, -7, 0]
    assert torch.equal(mv_restore(residual, precise(0))[0], mv)


def test_zero_vectors_pack_the_reference():
    y, u, v = texture(32, 48), texture(16, 24, 1), texture(16, 24, 2)
    got = compensated(y, u, v, torch.zeros((2, 3, 2), dtype=torch.int16)).int() + 128
    for plane, size, first in ((y, 8, 0), (u, 4, 64), (v, 4, 80)):
        tiles = plane.reshape(4, size, 6, size).permute(0, 2, 1, 3).reshape(4, 6, size * size)
        assert torch.equal(got[..., first : first + size * size], tiles.int())


@pytest.mark.parametrize(("dy", "dx"), [(-32768, 32767), (32767, -32768), (-2047, -2047), (2047, 2047)])
def test_extreme_vectors_replicate_the_border(dy, dx):
    y, u, v = texture(32, 48), texture(16, 24, 1), texture(16, 24, 2)
    mv = torch.tensor([dy, dx], dtype=torch.int16).expand(2, 3, 2).contiguous()
    got = compensated(y, u, v, mv).int() + 128
    row, col = (0 if d < 0 else -1 for d in (dy, dx))
    for plane, channels in ((y, slice(0, 64)), (u, slice(64, 80)), (v, slice(80, 96))):
        assert (got[..., channels] == int(plane[row, col])).all()


def test_compensation_fills_a_slice_and_nothing_else():
    y, u, v = texture(64, 64), texture(32, 32, 1), texture(32, 32, 2)
    raw = splitmix64(32, 9) % np.uint64(401)
    mv = torch.from_numpy(raw.astype(np.int16) - np.int16(200)).reshape(4, 4, 2)
    buffer = torch.full((8, 8, 192), 85, dtype=torch.int8)
    out = buffer[:, :, 96:192]
    overlap = torch.arange(16, dtype=torch.uint8).reshape(4, 4) * 17
    assert motion_compensate(y, u, v, mv, overlap, out=out) is out
    assert torch.equal(out, motion_compensate.reference(y, u, v, mv, overlap))
    assert (buffer[:, :, :96] == 85).all()


def test_bad_arguments_raise():
    y, c, mv = texture(32, 32), texture(16, 16), torch.zeros((2, 2, 2), dtype=torch.int16)
    overlap = torch.zeros((2, 2), dtype=torch.uint8)
    with pytest.raises(ValueError, match="multiples of 16"):
        search(y[:24], y[:24])
    with pytest.raises(ValueError, match="one shape"):
        search(y, texture(48, 32))
    with pytest.raises(ValueError, match="chroma"):
        motion_compensate(y, y, y, mv, overlap)
    with pytest.raises(ValueError, match="one int16 pair per block"):
        motion_compensate(y, c, c, mv[:1], overlap)
    with pytest.raises(ValueError, match=r"overlap is torch.int8 \(2, 2\)"):
        motion_compensate(y, c, c, mv, overlap.char())
    with pytest.raises(ValueError, match="int16"):
        residual_of(mv.int(), overlap, precise(0))
    with pytest.raises(ValueError, match=r"overlap is torch.uint8 \(1, 2\)"):
        residual_of(mv, overlap[:1], precise(0))
    with pytest.raises(ValueError, match=r"precision must be int32 \[1\], not torch.int64 \(1,\)"):
        residual_of(mv, overlap, precise(0).long())
    with pytest.raises(ValueError, match="int16"):
        mv_restore(mv, precise(0))
    with pytest.raises(ValueError, match=r"precision must be int32 \[1\], not torch.int32 \(2,\)"):
        mv_restore(torch.zeros((2, 2, 3), dtype=torch.int16), torch.zeros(2, dtype=torch.int32))


@pytest.mark.parametrize("offset", [1, 2, 3])
def test_planes_that_begin_within_a_word_are_refused_on_a_gpu(offset):
    whole, mv = torch.zeros(32 * 32 + 4, dtype=torch.uint8), torch.zeros((2, 2, 2), dtype=torch.int16)
    y, c = whole[offset : offset + 32 * 32].view(32, 32), torch.zeros((16, 16), dtype=torch.uint8)
    for planes in ((y, y.clone()), (y.clone(), y)):
        with pytest.raises(ValueError, match="no multiple of 4"):
            motion_search.launch(*planes, torch.tensor([16], dtype=torch.int32))
    with pytest.raises(ValueError, match="no multiple of 4"):
        motion_compensate.launch(y, c, c, mv, torch.zeros((2, 2), dtype=torch.uint8))


@triton.jit
def _every_offer(mv_ptr, out_ptr, precision, H, W, FIRST: tl.constexpr):
    i, j = tl.program_id(1), tl.program_id(0) + tl.zeros((1, 1), tl.int32)
    dy, dx = _offers(mv_ptr, i, j, (i < (H >> 4)) & (j < (W >> 4)), precision, H, W, FIRST)
    at = out_ptr + ((i * (W >> 4) + j) * 8 + tl.arange(0, 8)[None, :]) * 2
    tl.store(at, dy.to(tl.int16))
    tl.store(at + 1, dx.to(tl.int16))


@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
@pytest.mark.parametrize("precision", range(6))
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2), (5, 6)])
def test_settling_vectors_are_offered_the_same(size, precision, first, pytestconfig):
    """Where candidates differ the choice seldom does: the cases of the sweep would not show it."""
    (h, w), rng = size, np.random.default_rng(pytestconfig.getoption("--seed"))
    mv = rng.integers(-500, 500, (h, w, 2), np.int16)
    want = np.empty((h, w, 8, 2), np.int64)
    for i, j in np.ndindex(h, w):
        offer(mv, i, j, precision, first, want[i, j])
        want[i, j] = [(reach(vy, 16 * i, 16 * h), reach(vx, 16 * j, 16 * w)) for vy, vx in want[i, j]]
    found = torch.empty((h, w, 8, 2), dtype=torch.int16, device=pytestconfig.device)
    _every_offer[(w, h)](torch.from_numpy(mv).to(found.device), found, precision, 16 * h, 16 * w, FIRST=first)
    assert np.array_equal(found.cpu().numpy(), want)
