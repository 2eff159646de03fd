"""The precision of a frame's vectors: every field that it could take, what that is worth, and what is taken.

Random pictures have no motion that coarse vectors suit, and of two choices nearly alike a case of the sweep seldom
takes the other one. Here patches move by multiples of many precisions, under noise and at many prices.
"""

import numpy as np
import pytest
import torch

from nvc.kernels import _motion_cpu as passes
from nvc.kernels import motion_search as twin
from nvc.kernels.gpu import motion_search as gpu
from nvc.kernels.motion_search import motion_search

H, W = 48, 64


def scene(seed):
    """(cur, ref, rate): patches of 32x32, each moved by multiples of 1, 2, 4 or 8 samples."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, 256, (H // 4 + 64, W // 4 + 64)).repeat(4, 0).repeat(4, 1)
    wide = (wide[:-3, :-3] + wide[1:-2, 1:-2] + wide[2:-1, 2:-1] + wide[3:, 3:]) // 4
    top, left, step = 128, 128, 1 << max(seed % 6 - 2, 0)
    cur = np.empty((H, W), np.int64)
    for y in range(0, H, 32):
        for x in range(0, W, 32):
            dy, dx = step * rng.integers(-(24 // step), 24 // step + 1, 2)
            h, w = min(32, H - y), min(32, W - x)
            cur[y : y + h, x : x + w] = wide[top + y + dy :, left + x + dx :][:h, :w]
    cur = (cur + rng.integers(-20, 21, cur.shape)).clip(0, 255)
    planes = (torch.from_numpy(plane.astype(np.uint8)) for plane in (cur, wide[top : top + H, left : left + W]))
    return *planes, torch.tensor([int(2 ** rng.uniform(4, 13))], dtype=torch.int32)


def test_scenes_take_every_precision_and_the_reference_agrees():
    taken = set()
    for seed in range(48):
        operands = scene(seed)
        want = motion_search.reference(*operands)
        assert all(map(torch.equal, motion_search.cpu(*operands), want)), seed
        taken.add(int(want[1]))
    assert taken == set(range(6))


@pytest.mark.parametrize("seed", range(1, 6))
def test_fields_and_what_they_are_worth_are_the_same(seed, pytestconfig):
    cur, ref, rate = scene(seed)
    fields, sads, _ = twin.candidates(cur.numpy(), ref.numpy(), int(rate))
    worth = [passes.worth(fields[unit], sads[unit], int(rate), unit) for unit in range(6)]
    operands = [operand.to(pytestconfig.device) for operand in (cur, ref, rate)]
    there, rows = gpu.candidates(*operands)
    assert np.array_equal(there.cpu().numpy(), fields)
    assert rows.sum(1).tolist() == worth
    assert all(map(torch.equal, (t.cpu() for t in motion_search.launch(*operands)), motion_search.cpu(cur, ref, rate)))
