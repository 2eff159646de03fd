"""Fitting the tables of vectors and overlaps: sets are found where there are some, counts come from real vectors."""

import numpy as np
import torch

from nvc.kernels._tables import CONTEXTS, VECTOR_SETS
from nvc.train.data import Clip
from nvc.train.vectors import SIZES, class_counts, encode, fit


def test_fit_finds_the_sets_that_frames_were_drawn_from() -> None:
    rng = np.random.default_rng(5)
    true = rng.dirichlet(np.full(SIZES, 0.7), (VECTOR_SETS, CONTEXTS))
    true[:, 0, 0] += np.arange(VECTOR_SETS) / 2  # told apart by their zeros, which is what the search begins with
    true /= true.sum(2, keepdims=True)
    drawn = [[rng.multinomial(2000, row) for row in true[n % VECTOR_SETS]] for n in range(12 * VECTOR_SETS)]
    found = fit(np.array(drawn, np.float64), VECTOR_SETS)
    assert np.allclose(found.sum(2), 1)
    assert (np.diff(found[:, 0, 0]) < 0).all()
    for one in found:
        assert np.abs(one - true).max((1, 2)).min() < 0.03


def test_class_counts_are_by_component_and_context() -> None:
    before, vectors = torch.zeros(6, 7, 2, dtype=torch.int16), torch.zeros(6, 7, 2, dtype=torch.int16)
    before[4, 5, 0] = 4095  # 12 bits: the context of its neighbours is 2, its own 4 of 5
    vectors[5, 6, 1] = -300  # differs from all that predict it, and predicts nothing
    overlap = torch.zeros(6, 7, dtype=torch.uint8)
    overlap[3, 5] = 0b11  # the third of the bytes with one quarter that is not 0
    counts = class_counts(vectors, overlap, torch.zeros(1, dtype=torch.int32), before)
    assert counts.sum((1, 2)).tolist() == [42, 42, 42]
    assert counts[2, 2, 2] == 1
    assert counts[0, :, 0].tolist() == [33, 0, 8, 0, 1]
    assert counts[1, :, 0].tolist() == [33, 0, 7, 0, 1]
    assert counts[1, 2, 9] == 1


def test_encode_counts_every_vector_but_those_of_a_keyframes_heir() -> None:
    rng = np.random.default_rng(3)
    base = rng.integers(0, 256, (96, 96), dtype=np.uint8)
    luma = np.stack([np.roll(base, t, 1)[:48, :64] for t in range(4)])
    clip = Clip("pan", luma, np.full((4, 2, 24, 32), 128, np.uint8), 1.0)
    counts = encode([clip])
    assert counts.shape == (2, 3, CONTEXTS, SIZES)
    assert (counts.sum((2, 3)) == 12).all()
    assert counts[0, 0, :, 0].sum() == 12, "the pan is horizontal"
