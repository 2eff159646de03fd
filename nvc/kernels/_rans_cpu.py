"""rans_decode for numba: a step after the other, in it first the table symbols of all lanes, then their raw bits."""

import numpy as np

from nvc.kernels._fixed import compiled
from nvc.kernels._rans import lane_of, phases, turns
from nvc.kernels._tables import MAX_CLASS, MAX_LANES, MAX_SYMBOL, SCALE_ROWS, SYMBOLS, TOTAL


@compiled
def _next_word(words, available, lane, following, errors, handed):
    if handed[lane] >= 0:
        word = handed[lane]
        handed[lane] = -1
        return word
    at = following[lane]
    following[lane] += 1 - 2 * (lane & 1)
    if 0 <= at < available:
        return np.int64(words[at])
    errors[lane] = 1
    return np.int64(0)


@compiled
def _raw_step(words, available, rows, last_row, symbols, heads, handed, phase, width):
    """Raw bits of the step whose table symbols are in `symbols`."""
    x, following, errors = heads[0], heads[1], heads[2]
    for turn in range(symbols.size):
        lane = lane_of(turn, phase, width)
        row, s, v = min(np.int64(rows[turn]), last_row), abs(np.int64(symbols[turn])), x[lane]
        if row < SCALE_ROWS:
            bits = np.int64(16 if s == MAX_SYMBOL else 0)
            size = s
        else:
            errors[lane] |= np.int64(s > MAX_CLASS)
            s = min(s, np.int64(MAX_CLASS))
            bits = max(s - 1, np.int64(0))
            size = (np.int64(1) << s) >> 1
        if bits:
            size += v & ((np.int64(1) << bits) - 1)
            v >>= bits
            if v < TOTAL:
                v = v << 16 | _next_word(words, available, lane, following, errors, handed)
            x[lane] = v
        errors[lane] |= np.int64(size > 32767)
        size = min(size, np.int64(32767))
        symbols[turn] = np.int16(-size if symbols[turn] < 0 else size)


@compiled
def _merge(heads, handed, into, width):
    """Lane `into` gets what is left of the lane `width` further on; a word that it had no use for before must be 0."""
    x, errors = heads[0], heads[2]
    errors[into] |= np.int64(handed[into] > 0)
    errors[into + width] |= np.int64(handed[into + width] > 0) | np.int64(x[into + width] >> 16 != 1)
    handed[into], handed[into + width] = x[into + width] & 0xFFFF, -1
    x[into + width] = TOTAL


@compiled
def decode(words, n_words, rows, count, cdf, lut, last, symbols, heads, lanes):
    """One segment; `heads` as they were before it become those after it. Operands as in the contract, checked."""
    available = min(max(np.int64(n_words[0]), np.int64(0)), np.int64(words.size))
    n = min(max(np.int64(count[0]), np.int64(0)), np.int64(rows.size))
    last_row = np.int64(cdf.shape[0] - 1)
    x, following, errors = heads[0], heads[1], heads[2]
    handed = np.full(MAX_LANES, -1, np.int64)  # words from merged lanes, -1 for none
    order = phases(n, lanes, last)
    for phase in range(order.shape[0]):
        begin, end, width = order[phase]
        at_once = turns(lanes, phase, width)
        for turn in range(at_once if phase else 0):
            _merge(heads, handed, lane_of(turn, phase, width), width)
        for first in range(begin, end, at_once):
            any_raw = False
            for turn in range(min(at_once, end - first)):
                lane = lane_of(turn, phase, width)
                row, v = min(np.int64(rows[first + turn]), last_row), x[lane]
                low = v & 0xFFFF
                k = np.int64(lut[row, low >> 8])
                while cdf[row, k + 1] <= low:
                    k += 1
                start = np.int64(cdf[row, k])
                v = (np.int64(cdf[row, k + 1]) - start) * (v >> 16) + low - start
                if v < TOTAL:
                    v = v << 16 | _next_word(words, available, lane, following, errors, handed)
                x[lane] = v
                symbols[first + turn] = np.int16(k - MAX_SYMBOL)
                any_raw |= (row >= SCALE_ROWS) | (k == 0) | (k == SYMBOLS - 1)
            if any_raw:
                stop = min(first + at_once, end)
                step = rows[first:stop], last_row, symbols[first:stop]
                _raw_step(words, available, *step, heads, handed, phase, width)
    for lane in range(lanes):
        errors[lane] |= np.int64(handed[lane] > 0)
    symbols[n:] = 0
