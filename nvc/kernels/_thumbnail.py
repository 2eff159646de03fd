"""The loops of the scene detector (`nvc.codec.scenecut`) for numba: as numpy calls they took 3 % of encoding."""

from numba import njit

from nvc.kernels._motion import JIT

BLOCK, REACH = 4, 2  # cells: side of a block, largest displacement either way


@njit(**JIT)
def means(samples, cells):
    """Rounded down, of as many equal parts of uint8 [H, W] as `cells`, int32, has entries."""
    (height, width), (rows, columns) = samples.shape, cells.shape
    for i in range(rows):
        top, bottom = i * height // rows, (i + 1) * height // rows
        for j in range(columns):
            left, right = j * width // columns, (j + 1) * width // columns
            total = 0
            for y in range(top, bottom):
                for x in range(left, right):
                    total += samples[y, x]
            cells[i, j] = total // ((bottom - top) * (right - left))


@njit(**JIT)
def moved(now, around):
    """Sum over the blocks of `now` of the least SAD with `around`, which has REACH more cells on each side."""
    total = 0
    for i in range(0, now.shape[0], BLOCK):
        for j in range(0, now.shape[1], BLOCK):
            least = 2**31
            for dy in range(2 * REACH + 1):
                for dx in range(2 * REACH + 1):
                    sad = 0
                    for y in range(i, i + BLOCK):
                        for x in range(j, j + BLOCK):
                            sad += abs(now[y, x] - around[y + dy, x + dx])
                    least = min(least, sad)
            total += least
    return total
