"""The tables of the entropy coder: frozen, near the entropy, and refused when they are none."""

import hashlib
import math

import pytest
import torch

from nvc.kernels._tables import CONTEXTS, SCALES, TOTAL, class_rows, default_tables, lookup
from nvc.kernels._vector_shares import OVERLAP_SHARES, SHARES

CDF = default_tables()
LUT = lookup(CDF)


def test_default_tables_are_frozen():
    assert CDF.shape == (124, 256)
    assert hashlib.sha256(CDF.numpy().tobytes()).hexdigest()[:16] == "4dfcf7359131e987"


@pytest.mark.parametrize("i", [0, 20, 40, 63])
def test_scale_rows_cost_little_more_than_the_entropy(i):
    f = CDF[i].diff().double() / TOTAL
    assert (CDF[i].diff() - CDF[i].diff().flip(0)).abs().max() <= 1, "not symmetric"
    edges = torch.arange(-126.5, 127, dtype=torch.float64) / SCALES[i]
    gaussian = (1 + torch.erf(edges / 0.98 / math.sqrt(2))) / 2
    laplacian = 0.5 + 0.5 * edges.sign() * (1 - torch.exp(-edges.abs() / 1.12 * math.sqrt(2)))
    c = torch.cat([torch.zeros(1), 0.625 * gaussian + 0.375 * laplacian, torch.ones(1)]).double()
    p = c.diff().clamp(min=1e-30)
    assert 0 <= float((p * (p / f).log2()).sum()) < 0.006  # the floor of 1/65536 for each of 255 symbols


def test_class_rows_have_the_shares_of_their_sizes():
    f = CDF[64:].diff(dim=1)
    assert (f[:, :112] == 1).all(), "classes beyond 15 get no more than they must"
    assert (f - f.flip(1)).abs().max() <= 1, "not symmetric"
    both = f[:, 127:141].double() / TOTAL
    both[:, 1:] *= 2
    want = torch.tensor(SHARES + OVERLAP_SHARES, dtype=torch.float64) / 1e6
    assert (both - want).abs().max() < 0.005  # 255 floors of 1/65536 are taken from all
    assert torch.equal(class_rows(SHARES[:2]), CDF[64:66])


def test_a_rougher_context_expects_larger_differences():
    at_most_one = CDF[64:].diff(dim=1)[:, 126:129].sum(1).view(-1, CONTEXTS)
    assert (at_most_one.sum(0).diff() < 0).all()


def test_lookup_starts_the_scan_at_the_right_symbol():
    for row, c in zip(LUT.tolist(), CDF.tolist(), strict=True):
        assert all(c[k] <= 256 * j < c[k + 1] for j, k in enumerate(row))


@pytest.mark.parametrize(
    "bad",
    [
        CDF.long(),
        CDF[:, :255],
        CDF[0],
        torch.zeros((1, 256), dtype=torch.int32),
        CDF + 1,
        CDF.where(CDF < TOTAL, TOTAL - 1),
        CDF[[0]].index_fill(1, torch.tensor([9]), 8),
        CDF.repeat(4, 1),
    ],
    ids=["int64", "narrow", "flat", "zeros", "start", "end", "flat-step", "rows"],
)
def test_lookup_refuses_what_is_not_a_table(bad):
    with pytest.raises(ValueError, match="table"):
        lookup(bad)
