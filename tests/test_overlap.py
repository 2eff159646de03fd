"""How blocks overlap: bytes survive coding, each kind weighs as it says, and a quarter takes the vector that fits."""

import pytest
import torch

from nvc.kernels._overlap import BLENDED, BYTES, HORIZONTAL, OWN, VERTICAL, differences, restored
from nvc.kernels.choose_overlap import choose_overlap
from nvc.kernels.motion_compensate import motion_compensate
from nvc.testing import Fill

RAMP, CHROMA_RAMP = (9, 8, 7, 5, 4, 3, 2, 1), (8, 6, 4, 1)
ANY = torch.arange(256, dtype=torch.uint8)


def test_every_byte_survives_coding():
    coded = differences(ANY)
    assert (int(coded.min()), int(coded.max())) == (-128, 127)
    assert torch.equal(restored(coded), ANY)


def test_any_difference_stands_for_a_byte():
    assert restored(torch.tensor([128, -129, 32767, -32768])).tolist() == [int(BYTES[255])] * 4


def test_bytes_with_fewer_changed_quarters_come_first():
    changed = [sum(byte >> 2 * q & 3 > 0 for q in range(4)) for byte in BYTES.tolist()]
    assert changed == sorted(changed)
    assert BYTES[0] == 0


def weights(kind, ramp):
    """For the top left quarter's samples, of the vertical and the horizontal neighbour, by their distance from the top
    and the left."""
    lead = [32 - w for w in ramp[::-1]]
    none = [0] * len(ramp)
    return {
        BLENDED: (ramp, ramp), OWN: (none, none), VERTICAL: (lead, none), HORIZONTAL: (none, lead)
    }[kind]  # fmt: skip


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("kind", [BLENDED, OWN, VERTICAL, HORIZONTAL])
def test_a_quarter_weighs_as_its_kind_says(kind, quarter):
    """A plane of three greys, far apart: where a block looks is what its vector was."""
    row, column = quarter >> 1, quarter & 1
    y, c = torch.full((48, 272), 0, dtype=torch.uint8), torch.full((24, 136), 0, dtype=torch.uint8)
    for plane, size in ((y, 16), (c, 8)):
        plane[:, 5 * size : 10 * size], plane[:, 10 * size :] = 96, 224
    mv = torch.zeros((3, 17, 2), dtype=torch.int16)
    mv[0::2, 1, 1], mv[1, 0:3:2, 1] = 4 * 16 * 6, 4 * 16 * 13  # block (1, 1) sees 0, those above and below it 96
    overlap = torch.zeros((3, 17), dtype=torch.uint8)
    overlap[1, 1] = kind << 2 * quarter
    got = motion_compensate(y, c, c, mv, overlap)[2 + row, 2 + column].int() + 128
    for first, ramp in ((0, RAMP), (64, CHROMA_RAMP), (80, CHROMA_RAMP)):
        n = len(ramp)
        a, b = (torch.tensor(w) for w in weights(kind, ramp))
        a, b = (a.flip(0) if row else a), (b.flip(0) if column else b)
        want = (96 * a[:, None] + 224 * b + 16) >> 5
        assert torch.equal(got[first : first + n * n].view(n, n), want)


def choose(cur, ref, mv, rate=16):
    chroma = ref[::2, ::2].contiguous()
    rates = torch.tensor([rate], dtype=torch.int32)
    overlap, prediction = choose_overlap(cur, ref, chroma, chroma, mv, rates)
    assert torch.equal(prediction, motion_compensate(ref, chroma, chroma, mv, overlap))
    return overlap


def scene():
    """(picture, the one before, vectors): the block above (1, 1) moves by six samples, and so does the upper half of
    (1, 1)."""
    ref = Fill("uniform", 4)((48, 48), 0, 255, torch.uint8)
    cur = ref.clone()
    cur[:24, 16:32] = ref[:24, 22:38]
    mv = torch.zeros((3, 3, 2), dtype=torch.int16)
    mv[0, 1, 1] = 24
    return cur, ref, mv


def test_quarters_take_the_vector_that_fits():
    overlap = choose(*scene())
    assert int(overlap[1, 1]) & 0b1111 == VERTICAL | VERTICAL << 2
    assert int(overlap[2, 1]) == 0, "all around it has its own vector"


def test_blocks_that_move_alike_have_nothing_to_choose():
    cur, ref, mv = scene()
    assert not choose(cur, ref, torch.full_like(mv, 7)).any()


def test_a_high_rate_leaves_all_blended():
    assert not choose(*scene(), rate=2**20).any()


def test_what_gains_no_more_than_its_price_stays_blended(pytestconfig):
    """One quarter gains, and pays for itself and for its block: where both prices are exactly the gain, it does not."""
    cur, ref, mv = scene()
    cur[16:24, 24:32], mv[0, 1, 1] = ref[16:24, 24:32], 24
    dear = next(rate for rate in range(2**16) if not choose(cur, ref, mv, rate).any())
    assert choose(cur, ref, mv, dear - 1)[1, 1] == VERTICAL
    chroma = ref[::2, ::2].contiguous()
    for rate in (dear - 1, dear):
        operands = [t.to(pytestconfig.device) for t in (cur, ref, chroma, chroma, mv, torch.tensor([rate]).int())]
        want, _ = choose_overlap.reference(*(t.cpu() for t in operands))
        assert torch.equal(choose_overlap.launch(*operands)[0].cpu(), want)
        assert torch.equal(choose(cur, ref, mv, rate), want)


def test_prediction_gets_better_by_more_than_the_rate():
    cur, ref, _ = scene()
    mv = (Fill("uniform", 9)((3, 3, 2), -9, 9, torch.int16)).contiguous()
    chroma = torch.zeros((24, 24), dtype=torch.uint8)

    def error(overlap):
        got = motion_compensate(ref, chroma, chroma, mv, overlap)[..., :64].int() + 128
        return (got - cur.view(6, 8, 6, 8).transpose(1, 2).reshape(6, 6, 64)).abs().sum()

    chosen = choose(cur, ref, mv, rate=0)
    assert chosen.any()
    assert error(chosen) < error(torch.zeros_like(chosen))


def test_bad_arguments_raise():
    cur, ref, mv = scene()
    chroma = torch.zeros((24, 24), dtype=torch.uint8)
    with pytest.raises(ValueError, match="multiples of 16"):
        choose(cur[:24], ref[:24], mv)
    with pytest.raises(ValueError, match="differ"):
        choose(cur[:32], ref, mv)
    with pytest.raises(ValueError, match="one int16 pair per block"):
        choose(cur, ref, mv[:2])
    with pytest.raises(ValueError, match=r"rate is torch\.int64"):
        choose_overlap(cur, ref, chroma, chroma, mv, torch.tensor([1]))
    rate, whole = torch.tensor([1], dtype=torch.int32), torch.zeros(48 * 48 + 1, dtype=torch.uint8)
    with pytest.raises(ValueError, match="no multiple of 4"):
        choose_overlap.launch(cur, whole[1:].view(48, 48), chroma, chroma, mv, rate)
    with pytest.raises(ValueError, match="out has strides"):
        choose_overlap(
            cur, ref, chroma, chroma, mv, rate, out=(None, torch.zeros((96, 6, 6), dtype=torch.int8).permute(1, 2, 0))
        )
