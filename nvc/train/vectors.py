"""Probability tables of vector differences and overlaps, fitted to clips: python -m nvc.train.vectors FOLDER...

Every clip is encoded with the shipped weights. A frame and component is coded with one of VECTOR_SETS sets of rows, or
of OVERLAP_SETS, and which row of it a block takes is its context (`vector_rows`), so sets are found as in a k-means,
with code lengths for distances. Writes nvc/kernels/_vector_shares.py.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from nvc.codec.encoder import FrameEncoder
from nvc.codec.geometry import Geometry
from nvc.codec.gop import frame_qp
from nvc.kernels._tables import CONTEXTS, FIRST_ROWS, OVERLAP_SETS, VECTOR_SETS
from nvc.kernels.code_vectors import class_sizes, residuals
from nvc.kernels.vector_rows import vector_rows
from nvc.models.weights import shipped
from nvc.train.data import Clip, load_folders

QPS, FRAMES = (8, 20, 32, 44, 56), 12  # clips take the QPs by turns
SIZES = 14  # of classes: differences of 4094 have 12 bits, and one more is nearly impossible
PRIOR = 20.0  # blocks of a context with its mean distribution, in every set
ROUNDS = 40
TARGET = Path(__file__).parents[1] / "kernels" / "_vector_shares.py"


def class_counts(vectors: Tensor, overlap: Tensor, precision: Tensor, before: Tensor) -> np.ndarray:
    """float64 [3, CONTEXTS, SIZES]: how often the vectors int16 [bh, bw, 2], their precision int32 [1], and overlaps
    uint8 [bh, bw] of a frame give differences of each class size, by component and context; `before` are the vectors of
    the frame before."""
    contexts = vector_rows(before, torch.zeros(3, dtype=torch.uint8)).long() - torch.tensor(FIRST_ROWS)
    sizes = class_sizes(residuals(vectors, overlap, precision))
    counts = np.zeros((3, CONTEXTS, SIZES))
    for k in range(3):
        np.add.at(counts[k], (contexts[..., k].numpy(), sizes[..., k].numpy()), 1)
    return counts


def fit(counts: np.ndarray, number_of_sets: int) -> np.ndarray:
    """[number_of_sets, CONTEXTS, SIZES] probabilities for counts [n, CONTEXTS, SIZES] of n frames' components.

    Sets begin as equal parts of the frames, by their share of zeros, and are in the order of the calmest context's.
    """
    total = counts.sum(0) + 0.1
    prior = PRIOR * total / total.sum(1, keepdims=True)
    order = np.argsort(-counts[:, :, 0].sum(1) / counts.sum((1, 2)))
    member = np.empty(len(counts), int)
    for number, part in enumerate(np.array_split(order, number_of_sets)):
        member[part] = number
    sets = np.empty((number_of_sets, *total.shape))
    for _ in range(ROUNDS):
        for number in range(number_of_sets):
            sets[number] = counts[member == number].sum(0) + prior
        sets /= sets.sum(2, keepdims=True)
        member = np.einsum("nkc,mkc->nm", counts, np.log2(sets)).argmax(1)
    return sets[np.argsort(-sets[:, 0, 0])]


def encode(clips: list[Clip]) -> np.ndarray:
    """float64 [n, 3, CONTEXTS, SIZES]: `class_counts` of the clips' inter frames, keyframes' heirs left out: they know
    no vectors before theirs."""
    network = shipped("fast").network
    counts: list[np.ndarray] = []
    for number, clip in enumerate(track(clips, "clips")):
        height, width = clip.luma.shape[1:]
        encoder, before = FrameEncoder(network, Geometry(width, height)), torch.zeros(0)
        for t in range(min(FRAMES, len(clip.luma))):
            y, u, v = (torch.from_numpy(p) for p in (clip.luma[t], *clip.chroma[t]))
            encoder.encode(y, u, v, frame_qp(QPS[number % len(QPS)], t), key=t == 0, reset=False)
            if t > 1:
                counts.append(class_counts(encoder.vectors, encoder.overlap, encoder.precision, before))
            before = encoder.vectors.clone()
    return np.stack(counts)


def _lines(name: str, sets: np.ndarray) -> list[str]:
    rows = np.rint(sets.reshape(-1, SIZES) * 1e6).astype(int).tolist()
    return [f"{name} = (", *(f"    ({', '.join(map(str, row))})," for row in rows), ")"]


def main() -> None:
    """Fit to the clips of the folders named on the command line."""
    counts = encode(load_folders([Path(folder) for folder in sys.argv[1:]]))
    lines = [
        '"""Millionths of the differences of a set and context whose class has the size 0, 1, ..; five contexts to a',
        "set, eight sets for components of vectors, four for overlaps. Written by `python -m nvc.train.vectors`, which",
        'says how."""',
        "",
        *_lines("SHARES", fit(counts[:, :2].reshape(-1, *counts.shape[2:]), VECTOR_SETS)),
        *_lines("OVERLAP_SHARES", fit(counts[:, 2], OVERLAP_SETS)),
        "",
    ]
    TARGET.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
