"""Frame types and the QP of each frame within a group of pictures."""

from nvc.models.config import qp_lambda

KEY_OFFSET = 12  # a keyframe is the reference of everything after it
STILL_KEY_OFFSET = 18  # and where nearly nothing moves, most of what is shown
OFFSETS = (9, -3, 0, -3, 4, -3, 0, -3)  # by distance from the keyframe, modulo 8
RESET_INTERVAL = 32  # frames between two resets of the recurrent memory
QP_MAX = 63


def frame_qp(base: int, distance: int, still: bool = False) -> int:
    """QP of the frame `distance` frames after its keyframe (0: the keyframe itself, which is `still` if the next frame
    nearly repeats it), for a base QP in 0..63.

    An offset takes at most four fifths of what is left up to QP_MAX: keyframes go on getting better there. Near QP 0,
    what the lowest frames cannot fall any more the highest rise less: there too each QP is as large a step.
    """
    offset = OFFSETS[distance % len(OFFSETS)] if distance else STILL_KEY_OFFSET if still else KEY_OFFSET
    if offset > 0:
        offset = max(offset + min(base + min(OFFSETS), 0), 0)
    return max(base + min(offset, 4 * (QP_MAX - base) // 5), 0)


def is_reset(distance: int) -> bool:
    """True when the inter frame at this distance starts from an empty memory."""
    return distance > 0 and distance % RESET_INTERVAL == 0


def search_rate(qp: int) -> int:
    """Sixteenths of a SAD unit that the motion search pays for a bit of vectors: more where bits are dear."""
    return round(16 * 1.2 * 255 / qp_lambda(qp) ** 0.5)


def few_symbols(qp: int) -> int:
    """Sum of the sizes of symbols, in half the channels of a block that stands still, up to which they are left out:
    at high QPs they are no more than noise, at low ones each of them is large."""
    return 2 if qp >= 50 else 0
