"""Every registered kernel, every case, every input pattern: all implementations agree bit for bit."""

import threading

import numpy as np
import pytest
import torch

from nvc.kernels import TABLE, gpu
from nvc.kernels._gemm import UNITS, set_unit
from nvc.kernels._pool import even, parallel, set_threads, threads
from nvc.testing import PATTERNS, Fill

GUARD = 1 << 16  # bytes on each side of an output; wider than a tile, so that an overrun fails here and does not crash
POISON = -86  # 0xAA


class Guarded:
    """A poisoned output shaped like `like`, inside a larger poisoned buffer."""

    def __init__(self, like, device):
        size = like.numel() * like.element_size()
        self.buffer = torch.full((size + 2 * GUARD,), POISON, dtype=torch.int8, device=device)
        self.tensor = self.buffer[GUARD : GUARD + size].view(like.dtype).view(like.shape)

    def check(self, want):
        got = self.tensor.cpu()
        bad = (got != want).nonzero()
        assert not len(bad), f"{len(bad)} of {want.numel()} differ, first at {bad[0].tolist()}"
        assert (self.buffer[:GUARD] == POISON).all(), "wrote before the output"
        assert (self.buffer[-GUARD:] == POISON).all(), "wrote past the output"


def check(implementation, args, want, device):
    """Run on `device` into guarded outputs and compare with `want`, one tensor or a tuple of them."""
    wanted = want if isinstance(want, tuple) else (want,)
    outputs = [Guarded(w, device) for w in wanted]
    out = tuple(o.tensor for o in outputs)
    moved = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in args.items()}
    inputs = {k: v.clone() for k, v in moved.items() if isinstance(v, torch.Tensor)}

    got = implementation(**moved, out=out if isinstance(want, tuple) else out[0])

    for g, o in zip(got if isinstance(want, tuple) else (got,), out, strict=True):
        assert g.data_ptr() == o.data_ptr(), "did not return `out`"
    for o, w in zip(outputs, wanted, strict=True):
        o.check(w)
    for k, v in inputs.items():
        assert torch.equal(v, moved[k]), f"changed its input {k}"


def sweep():
    for name, kernel in sorted(TABLE.items()):
        for case in kernel.cases:
            for pattern in PATTERNS:
                yield pytest.param(kernel, case, pattern, id=f"{name}-{'x'.join(map(str, case))}-{pattern}")


@pytest.fixture
def restored_threads():
    before, unit = threads(), set_unit(UNITS[0])
    yield
    set_threads(before)
    set_unit(unit)


@pytest.mark.parametrize(("kernel", "case", "pattern"), list(sweep()))
@pytest.mark.usefixtures("restored_threads")
def test_bit_exact(kernel, case, pattern, pytestconfig):
    args = kernel.make(case, Fill(pattern, pytestconfig.getoption("--seed")))
    want = kernel.reference(**args)

    for n in (1, 2):
        set_threads(n)
        for unit in UNITS:  # with everything that this CPU has, and as where there is less
            set_unit(unit)
            check(kernel.cpu, args, want, "cpu")
    check(kernel.launch, args, want, pytestconfig.device)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_allocates_its_own_output(name, pytestconfig):
    kernel = TABLE[name]
    args = kernel.make(kernel.cases[0], Fill("uniform", pytestconfig.getoption("--seed")))
    want, got = kernel.reference(**args), kernel(*args.values())
    for w, g in zip(*(t if isinstance(t, tuple) else (t,) for t in (want, got)), strict=True):
        assert w.dtype == g.dtype
        assert torch.equal(w, g)


def operands():
    for name in ("block_s16", "conv1x1_s16", "conv1x1_u8", "down2_s16", "down2_s8", "down2_u8", "up2_u8"):
        args = TABLE[name].make(TABLE[name].cases[-1], Fill("uniform", 0))
        for key, value in args.items():
            if isinstance(value, torch.Tensor) and key != "row":
                yield pytest.param(TABLE[name], args, key, id=f"{name}-{key}")


@pytest.mark.parametrize(("kernel", "args", "key"), list(operands()))
def test_refuses_operands_that_do_not_fit(kernel, args, key):
    for wrong in (args[key][..., :-1], args[key].float()):
        for implementation in (kernel.reference, kernel.cpu):
            with pytest.raises(ValueError, match=kernel.name):
                implementation(**args | {key: wrong})


@pytest.mark.parametrize("name", ["conv1x1_s16", "down2_s16"])
def test_refuses_a_row_outside_the_tables(name):
    kernel = TABLE[name]
    args = kernel.make(kernel.cases[-1], Fill("uniform", 0))
    for row in (-1, args["bias"].shape[0]):
        for implementation in (kernel.reference, kernel.cpu):
            with pytest.raises(ValueError, match=f"row={row}"):
                implementation(**args | {"row": torch.tensor([row], dtype=torch.int32)})


@pytest.mark.parametrize(
    "case", [(3, 5, 8, 0, 8, 1, 0, 0, 0), (3, 5, 8, 7, 8, 1, 0, 0, 0), (3, 5, 8, 18, 8, 1, 0, 0, 0)], ids=str
)
def test_refuses_a_difference_of_halves_that_there_are_not(case):
    kernel = TABLE["conv1x1_s16"]
    args = kernel.make(case, Fill("uniform", 0)) | {"difference": True}
    for implementation in (kernel.reference, kernel.cpu):
        with pytest.raises(ValueError, match=f"K2={case[3]} are not two halves"):
            implementation(**args)


def test_refuses_an_output_that_does_not_fit():
    kernel = TABLE["conv1x1_u8"]
    args = kernel.make(kernel.cases[1], Fill("uniform", 0))
    want = kernel.reference(**args)
    for wrong in (want[:-1], want.short(), want.transpose(0, 1).contiguous().transpose(0, 1)):
        with pytest.raises(ValueError, match="out"):
            kernel.cpu(**args, out=wrong)


@pytest.mark.parametrize("case", TABLE["block_s16"].cases, ids=str)
@pytest.mark.parametrize("implementation", ["cpu", "launch"])
def test_block_may_write_over_its_stream(case, implementation, pytestconfig):
    kernel = TABLE["block_s16"]
    args = kernel.make(case, Fill("uniform", pytestconfig.getoption("--seed")))
    want = kernel.reference(**args)
    device = pytestconfig.device if implementation == "launch" else "cpu"
    args = {name: tensor.to(device) for name, tensor in args.items()}
    if case[3]:
        want, after = want
        out = args["x"], torch.empty_like(after, device=device)
        assert getattr(kernel, implementation)(**args, out=out) == out
        assert torch.equal(out[1].cpu(), after)
    else:
        assert getattr(kernel, implementation)(**args, out=args["x"]) is args["x"]
    assert torch.equal(args["x"].cpu(), want)


def large_tiles():
    cases = {name: TABLE[name].cases[-3:-1] for name in ("down2_s16", "down2_s8", "down2_u8", "up2_u8")}
    cases["block_s16"] = (10, 20, 38, 5), (9, 17, 128, 64), (10, 20, 130, 5), (9, 17, 256, 0)
    cases["compact"] = (9000, 31, 1), (20000, 5, 0)
    cases["scatter"] = (9000, 31), (20000, 5)
    return [pytest.param(TABLE[n], c, id=f"{n}-{'x'.join(map(str, c))}") for n, cs in cases.items() for c in cs]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("kernel", "case"), large_tiles())
def test_tiles_of_large_pictures(kernel, case, pattern, pytestconfig, monkeypatch):
    for module in (gpu._rank, gpu._tile, gpu.block_s16):
        monkeypatch.setattr(module, "MULTIPROCESSORS", 1)
    args = kernel.make(case, Fill(pattern, pytestconfig.getoption("--seed")))
    check(kernel.launch, args, kernel.reference(**args), pytestconfig.device)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("block_s16", (3, 2, 34, 17)),
        ("conv1x1_s16", (3, 5, 7, 10, 9, 3, 1, 1, 5)),
        ("down2_s16", (2, 3, 5, 7, 6, 3, 1, 4)),
    ],
)
def test_half_a_layer_is_refused(name, case):
    kernel = TABLE[name]
    args = kernel.make(case, Fill("uniform", 0))
    for key in ("w_next", "bias_next", "mult_next"):
        with pytest.raises(ValueError, match="come together"):
            kernel.cpu(**args | {key: None})


@pytest.mark.parametrize("n", [0, 1, 16, 17, 100])
@pytest.mark.usefixtures("restored_threads")
def test_parallel_covers_every_item_once(n):
    for count in (1, 2, 3):
        set_threads(count)
        seen = [0] * n

        def visit(begin, end, seen=seen):
            for i in range(begin, end):
                seen[i] += 1

        parallel(visit, n, 16)
        assert seen == [1] * n


@pytest.mark.usefixtures("restored_threads")
def test_parallel_passes_errors_on_and_restores_torch():
    set_threads(2)
    before = torch.get_num_threads()

    def fail(begin, end):
        assert torch.get_num_threads() == 1
        if begin == 48:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        parallel(fail, 100, 16)
    assert torch.get_num_threads() == before


def test_refuses_zero_threads():
    with pytest.raises(ValueError, match="0 threads"):
        set_threads(0)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 3600, 14400])
def test_even_chunks_fit_and_hardly_overshoot(n):
    size = even(n, 256)
    assert size <= 256
    assert size % 16 == 0
    parts = -(-n // size)
    assert parts == -(-n // 256)
    assert parts * size - n < 16 * parts


def test_a_layer_changed_in_place_is_packed_anew():
    kernel = TABLE["conv1x1_u8"]
    args = kernel.make((8, 32, 128, 64), Fill("uniform", 0))
    kernel.cpu(**args)
    for key in ("w", "bias", "mult"):
        args[key] >>= 1
        assert torch.equal(kernel.cpu(**args), kernel.reference(**args))


@pytest.mark.usefixtures("restored_threads")
def test_parallel_calls_from_several_threads_do_not_meet():
    set_threads(2)
    counts = np.zeros((4, 64), np.int64)

    def call(k):
        for _ in range(50):
            parallel(lambda begin, end: counts[k].__setitem__(slice(begin, end), counts[k, begin:end] + 1), 64, 4)

    callers = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert (counts == 50).all()
