"""What warp_s16 and deform_s16 mean: identity, translation, averages, the border, whose offset and mask is whose."""

import pytest
import torch

from nvc.kernels.deform_s16 import deform_s16
from nvc.kernels.warp_s16 import warp_s16
from nvc.testing import Fill

ONE = 128  # of a mask
N, H, W, C, G = 2, 9, 13, 6, 3
EXTREMES = [(-32768, -32768), (-32768, 32767), (32767, -32768), (32767, 32767)]


def stream(*shape):
    """Every second row so small that its 8-bit view is not saturated."""
    x = Fill("uniform", 1)(shape, -32768, 32767, torch.int16)
    x[..., ::2, :, :] >>= 5
    return x


def vectors(dy, dx):
    return torch.tensor([dy, dx], dtype=torch.int16).expand(H, W, 2).contiguous()


def shifted(x, dy, dx):
    """x [..., H, W, C] read (dy, dx) positions further, coordinates clamped."""
    rows, columns = (torch.arange(H) + dy).clamp(0, H - 1), (torch.arange(W) + dx).clamp(0, W - 1)
    return x[..., rows, :, :][..., columns, :]


def test_zero_vectors_return_the_stream():
    x = stream(H, W, C)
    assert torch.equal(warp_s16(x, vectors(0, 0)), x)


@pytest.mark.parametrize(("dy", "dx"), [(1, 0), (0, -1), (-3, 5), (100, -100)])
def test_whole_vectors_move_the_stream(dy, dx):
    x = stream(H, W, C)
    assert torch.equal(warp_s16(x, vectors(16 * dy, 16 * dx)), shifted(x, dy, dx))


def test_half_vectors_average_and_round_up():
    x = stream(H, W, C)
    right, down = shifted(x, 0, 1).int(), shifted(x, 1, 0).int()
    assert torch.equal(warp_s16(x, vectors(0, 8)), ((x.int() + right + 1) >> 1).short())
    assert torch.equal(warp_s16(x, vectors(8, 0)), ((x.int() + down + 1) >> 1).short())


@pytest.mark.parametrize(("dy", "dx"), EXTREMES)
def test_extreme_vectors_read_a_corner(dy, dx):
    x = stream(H, W, C)
    corner = x[0 if dy < 0 else -1, 0 if dx < 0 else -1]
    assert torch.equal(warp_s16(x, vectors(dy, dx)), corner.expand(H, W, C))


def sampled(x, offset, mask):
    """int8 [H, W, N, 9, C]: the samples of deform_s16, by a weight of 4 for each that a multiplier of 1/4 undoes."""
    K = 9 * N * C
    bias, mult = torch.zeros((1, K), dtype=torch.int32), torch.full((1, K), 2**31 - 1, dtype=torch.int32)
    out = deform_s16(x, offset, mask, 4 * torch.eye(K, dtype=torch.int8), bias, mult)
    return out.view(H, W, N, 9, C)


def view(x):
    return ((x.int() + 4) >> 3).clamp(-128, 127).short()


def test_each_support_group_and_tap_has_its_own_offset():
    x, whole = stream(N, H, W, C), Fill("uniform", 2)((N, G, 9, 2), -3, 3, torch.int64)
    offset = (16 * whole).short().expand(H, W, N, G, 9, 2).contiguous()
    got = sampled(x, offset, torch.full((H, W, N, G, 9), ONE, dtype=torch.uint8))
    for n in range(N):
        for c in range(C):
            for t in range(9):
                dy, dx = whole[n, c * G // C, t].tolist()
                want = view(shifted(x[n], dy + t // 3 - 1, dx + t % 3 - 1)[..., c])
                assert torch.equal(got[:, :, n, t, c], want)


def test_each_support_group_and_tap_has_its_own_mask():
    x, scale = stream(N, H, W, C), Fill("uniform", 3)((N, G, 9), 0, 255, torch.uint8)
    offset = torch.zeros((H, W, N, G, 9, 2), dtype=torch.int16)
    got = sampled(x, offset, scale.expand(H, W, N, G, 9).contiguous())
    for n in range(N):
        for c in range(C):
            for t in range(9):
                x1 = shifted(x[n], t // 3 - 1, t % 3 - 1)[..., c].int()
                want = ((int(scale[n, c * G // C, t]) * x1 + 2**9) >> 10).clamp(-128, 127)
                assert torch.equal(got[:, :, n, t, c], want.short())


@pytest.mark.parametrize(("dy", "dx"), EXTREMES)
def test_extreme_offsets_read_a_corner(dy, dx):
    x = stream(N, H, W, C)
    offset = torch.tensor([dy, dx], dtype=torch.int16).expand(H, W, N, G, 9, 2).contiguous()
    got = sampled(x, offset, torch.full((H, W, N, G, 9), ONE, dtype=torch.uint8))
    corner = view(x[:, 0 if dy < 0 else -1, 0 if dx < 0 else -1])
    assert torch.equal(got, corner[:, None, :].expand(H, W, N, 9, C))


@pytest.mark.parametrize("implementation", [deform_s16.reference, deform_s16.cpu, deform_s16.launch])
@pytest.mark.parametrize(
    ("shape", "groups", "message"),
    [((1, 2, 2, 513), 1, "9NC=4617"), ((2, 2, 2, 6), 4, "4 groups"), ((0, 2, 2, 6), 1, "0 supports")],
)
def test_deform_refuses_what_it_can_not_sample(implementation, shape, groups, message):
    (n, h, w, c), tables = shape, torch.zeros((1, 1), dtype=torch.int32)
    mask = torch.zeros((h, w, n, groups, 9), dtype=torch.uint8)
    offset, weights = torch.zeros((*mask.shape, 2), dtype=torch.int16), torch.zeros((1, 9 * n * c), dtype=torch.int8)
    with pytest.raises(ValueError, match=message):
        implementation(torch.zeros(shape, dtype=torch.int16), offset, mask, weights, tables, tables)


@pytest.mark.parametrize("implementation", [warp_s16.reference, warp_s16.cpu, warp_s16.launch])
def test_warp_refuses_operands_that_do_not_fit(implementation):
    x, v = stream(H, W, C), vectors(0, 0)
    for wrong in ((x[:0], v[:0]), (x.int(), v), (x, v[:-1]), (x, v.int())):
        with pytest.raises(ValueError, match="warp_s16"):
            implementation(*wrong)
