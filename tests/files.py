"""Small video files for the tests of whole programs."""

import struct
import wave

import numpy as np

from nvc.testing import splitmix64


def planes(width, height, number, seed=0):
    """Planes y, u, v of a moving gradient with noise: neither flat nor the same twice."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    noise = (splitmix64(width * height, seed + number) >> np.uint64(60)).astype(np.int64).reshape(height, width)
    luma = (3 * (x + 2 * number) + 2 * y + noise).astype(np.uint8)
    chroma = luma[::2, ::2] // 2
    return luma, (64 + chroma).astype(np.uint8), (190 - chroma).astype(np.uint8)


def raw(width=64, height=48, frames=4):
    """Raw yuv420p pictures."""
    return b"".join(plane.tobytes() for n in range(frames) for plane in planes(width, height, n))


def y4m(width=64, height=48, frames=4, head=""):
    """The bytes of a y4m file."""
    data, size = raw(width, height, frames), len(raw(width, height, 1))
    pictures = b"".join(b"FRAME\n" + data[i : i + size] for i in range(0, len(data), size))
    return f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 {head}\n".encode() + pictures


def sound(path):
    """A .wav file: media, but no video."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack("<800h", *range(800)))
