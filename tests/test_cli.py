"""The command line as scripts see it: exit codes, what goes to which stream, what is left on the disk."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from files import raw, sound, y4m
from numba import njit

import nvc
from nvc.cli.compiling import NOTE, announced
from nvc.cli.main import main
from nvc.cli.signals import graceful
from nvc.models.weights import from_file

ROOT = Path(__file__).parents[1]
FRAMES = 6
MANY = 100


def command(*args):
    return [sys.executable, "-m", "nvc", *map(str, args)]


def environment(**more):
    return {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"PYTHONPATH": str(ROOT)} | more


def run(*args, env=None, **options):
    """The command in a process of its own."""
    return subprocess.run(command(*args), capture_output=True, timeout=300, env=env or environment(), **options)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with clip.y4m and clip.nvc, which has keyframes 0 and 3."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "clip.y4m").write_bytes(y4m(frames=FRAMES))
    assert main(["encode", f"{folder}/clip.y4m", "-o", f"{folder}/clip.nvc", "--keyint", "3", "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def frames(work):
    """The decoded frames of clip.nvc, as bytes."""
    with nvc.open(work / "clip.nvc") as decoder:
        return [frame.tobytes() for frame in decoder]


@pytest.fixture
def call(capsys):
    """The command in this process: (exit code, standard output, standard error without a word on compiling)."""

    def _call(*args):
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as exit:
            code = exit.code
        out, err = capsys.readouterr()
        return code, out, err.replace(f"nvc: note: {NOTE}\n", "")

    return _call


def md5(frames):
    return hashlib.md5(b"".join(frames)).hexdigest()


def refused(result, code, *words):
    """The exit code, and one sentence on standard error that has the words."""
    got, out, err = result
    assert (got, out) == (code, "")
    assert err.startswith("nvc: error: ")
    assert err.count("\n") == 1
    assert not [word for word in words if word not in err], err


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_round_trip(work, tmp_path, call):
    out = tmp_path / "out.nvc"
    done = run("encode", work / "clip.y4m", "-o", out, "--fast", "--qp", 40, "--psnr", "--json", tmp_path / "e.json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"6 frames of 64x48, preset fast, QP 40" in done.stdout
    assert b"PSNR    Y " in done.stdout

    figures = json.loads((tmp_path / "e.json").read_text())
    assert (figures["schema"], figures["command"], figures["frames"]) == (1, "encode", FRAMES)
    assert figures["bytes"] == out.stat().st_size
    assert [frame["type"] for frame in figures["frames_detail"]] == ["key"] + ["inter"] * (FRAMES - 1)
    assert figures["kbps"] == round(8 * figures["bytes"] / 1000 / (FRAMES / 25), 3)
    assert figures["psnr"]["yuv611"] == pytest.approx(
        (6 * figures["psnr"]["y"] + figures["psnr"]["u"] + figures["psnr"]["v"]) / 8, abs=1e-3
    )

    code, text, _ = call("decode", out, "--md5", "--quiet")
    assert (code, text) == (0, f"md5 {figures['recon_md5']}\n")
    assert call("verify", out) == (0, f"ok: {FRAMES} frames, md5 {figures['recon_md5']}\n", "")


def test_pipes_on_both_sides(work, frames):
    coded = run("encode", "-", "-o", "-", "--keyint", 3, input=(work / "clip.y4m").read_bytes())
    assert coded.returncode == 0
    assert b"6 frames of 64x48" in coded.stderr
    decoded = run("decode", "-", "-o", "-", "--md5", input=coded.stdout)
    assert decoded.returncode == 0
    assert f"md5 {md5(frames)}".encode() in decoded.stderr
    header, rest = decoded.stdout.split(b"\n", 1)
    assert header.startswith(b"YUV4MPEG2 W64 H48 F25:1")
    assert rest == b"".join(b"FRAME\n" + frame for frame in frames)


def test_appending_to_a_file(work, tmp_path, frames):
    """The file behind standard output can seek, and must not be sought in."""
    with (tmp_path / "log").open("wb") as log:
        log.write(b"before")
    with (tmp_path / "log").open("ab") as log:
        subprocess.run(
            command("encode", work / "clip.y4m", "-o", "-", "--quiet"), stdout=log, check=True, env=environment()
        )
    data = (tmp_path / "log").read_bytes()
    assert data.startswith(b"before")
    (tmp_path / "cut.nvc").write_bytes(data[6:])
    with nvc.open(tmp_path / "cut.nvc") as decoder:
        assert len(list(decoder)) == FRAMES


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (64, 48)])
def test_raw_video(size, tmp_path, call):
    source, coded, out = tmp_path / "in.yuv", tmp_path / "c.nvc", tmp_path / "out.yuv"
    source.write_bytes(raw(*size, 3))
    sized = ("--size", f"{size[0]}x{size[1]}", "--fps", "30000/1001", "--pix-fmt", "yuv420p")
    assert call("encode", source, "-o", coded, *sized, "--json", tmp_path / "j", "--quiet") == (0, "", "")
    assert call("decode", coded, "-o", out, "--quiet") == (0, "", "")
    assert out.stat().st_size == source.stat().st_size
    assert hashlib.md5(out.read_bytes()).hexdigest() == json.loads((tmp_path / "j").read_text())["recon_md5"]
    code, text, _ = call("info", coded, "--json")
    assert (code, json.loads(text)["frame_rate"]) == (0, "30000/1001")


@pytest.mark.parametrize(("start", "count"), [(0, 2), (2, 3), (3, None), (5, 9)])
def test_a_part_of_a_stream(start, count, work, frames, call):
    chosen = frames[start : None if count is None else start + count]
    limit = () if count is None else ("--frames", count)
    code, text, _ = call("decode", work / "clip.nvc", "--md5", "--quiet", "--start", start, *limit)
    assert (code, text) == (0, f"md5 {md5(chosen)}\n")


def test_a_part_of_a_pipe(work, frames):
    data = (work / "clip.nvc").read_bytes()
    done = run("decode", "-", "--md5", "--quiet", "--start", 4, "--json", "-", input=data)
    figures = json.loads(done.stdout)
    assert (figures["md5"], figures["frames"]) == (md5(frames[4:]), 2)
    assert done.stderr == f"md5 {md5(frames[4:])}\n".encode()


def test_beyond_the_end(work, call):
    refused(call("decode", work / "clip.nvc", "--md5", "--start", 6), 3, "frame 6")
    refused(call("encode", work / "clip.y4m", "-o", work / "x.nvc", "--start", 6), 3, "number 6")


def test_a_new_scene_begins_with_a_keyframe(tmp_path, call):
    scenes = b"".join(bytes([grey]) * (48 * 64 * 3 // 2) for grey in (40, 40, 40, 200, 200))
    (tmp_path / "two.yuv").write_bytes(scenes)
    for option, keyframes in ((), 2), (("--no-scenecut",), 1):
        out = tmp_path / f"{keyframes}.nvc"
        assert call("encode", tmp_path / "two.yuv", "--size", "64x48", "-o", out, "--quiet", *option)[0] == 0
        assert json.loads(call("info", out, "--json")[1])["keyframes"] == keyframes


def test_info(work, call):
    code, text, _ = call("info", work / "clip.nvc", "--json")
    found = json.loads(text)
    assert (code, found["frames"], found["keyframes"], found["keyint"], found["damage"]) == (0, FRAMES, 2, 3, None)
    assert found["bytes"] == (work / "clip.nvc").stat().st_size
    code, text, _ = call("info", work / "clip.nvc")
    assert code == 0
    assert "64x48" in text


def test_info_does_not_wait_for_torch(work):
    code = "import sys; from nvc.cli.main import main; main(['info', sys.argv[1]]); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, work / "clip.nvc"], capture_output=True, env=environment(), check=True
    )
    assert done.stdout.endswith(b"False\n")


def test_threads_and_instruction_sets_do_not_matter(work, frames):
    want = f"ok: {FRAMES} frames, md5 {md5(frames)}\n".encode()
    for threads in (1, 2):
        done = run("verify", work / "clip.nvc", "--threads", threads, env=environment(ONEDNN_MAX_CPU_ISA="AVX2"))
        assert (done.returncode, done.stdout) == (0, want)


def test_existing_output(work, tmp_path, call, monkeypatch):
    out = tmp_path / "out.y4m"
    out.write_bytes(b"precious")
    decode = ("decode", work / "clip.nvc", "-o", out, "--quiet")
    refused(call(*decode), 2, "out.y4m exists", "-y")
    refused(call(*decode, "-n"), 2, "out.y4m exists", "-n")
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    code, _, err = call(*decode)
    assert (code, "Overwrite it? [y/N]" in err) == (2, True)
    assert out.read_bytes() == b"precious"
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    code, _, err = call(*decode)
    assert (code, out.read_bytes()[:9]) == (0, b"YUV4MPEG2")
    out.write_bytes(b"precious")
    assert call(*decode, "-y")[0] == 0
    assert out.read_bytes()[:9] == b"YUV4MPEG2"
    assert leftovers(tmp_path) == ["out.y4m"]


class Terminal:
    """Standard input with somebody who answers."""

    def __init__(self, answer):
        self.readline = lambda: answer

    def isatty(self):
        return True


def test_existing_json(work, tmp_path, call):
    (tmp_path / "figures.json").write_text("precious")
    refused(
        call("encode", work / "clip.y4m", "-o", tmp_path / "o.nvc", "--json", tmp_path / "figures.json"), 2, "exists"
    )
    assert leftovers(tmp_path) == ["figures.json"]


def test_outputs_that_collide(work, tmp_path, call):
    clip = work / "clip.nvc"
    before = clip.read_bytes()
    (tmp_path / "link.yuv").symlink_to(clip)
    refused(call("decode", clip, "-o", tmp_path / "link.yuv", "-y"), 2, "overwrite the input")
    refused(call("decode", clip, "--md5", "--json", clip, "-y"), 2, "overwrite the input")
    refused(call("encode", clip, "-o", tmp_path / "a", "--json", tmp_path / "a"), 2, "another output")
    refused(call("decode", clip, "-o", "-", "--json", "-"), 2, "standard output")
    assert clip.read_bytes() == before


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["encode", "x.mp4"], "-o"),
        (["encode", "x.mp4", "-o", "o.nvc", "--qp", "64"], "0 to 63"),
        (["encode", "x.mp4", "-o", "o.nvc", "--keyint", "0"], "--keyint"),
        (["encode", "x.yuv", "-o", "o.nvc"], "--size"),
        (["encode", "x.yuv", "-o", "o.nvc", "--size", "0x8"], "640x480"),
        (["encode", "x.yuv", "-o", "o.nvc", "--fps", "1/0"], "30000/1001"),
        (["encode", "x.mp4", "-o", "o.nvc", "-y", "-n"], "not allowed"),
        (["decode", "x.nvc"], "--md5"),
        (["decode", "x.nvc", "-o", "o.y4m", "--frames", "0"], "--frames"),
        (["decode", "x.nvc", "-o", "o.y4m", "--threads", "0"], "--threads"),
        (["play", "x.nvc"], "invalid choice"),
        (["train", "--out", "run"], "--export"),
        ([], "COMMAND"),
    ],
)
def test_wrong_usage(args, word, call):
    refused(call(*args), 2, word)


def test_training_without_its_extra(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    refused(call("train", "data", "--out", "run"), 2, "nvc[train]")


def test_help_lists_the_exit_codes(call):
    for args in ([], ["encode"], ["decode"], ["info"], ["verify"], ["train"]):
        code, out, _ = call(*args, "--help")
        assert code == 0
        assert all(f"\n  {number} " in out for number in (0, 2, 3, 4, 5, 6, 130))
    assert "higher is better" in call("encode", "--help")[1]
    assert call("--version") == (0, f"nvc {nvc.__version__}\n", "")


def test_unreadable_input(tmp_path, call):
    (tmp_path / "garbage.mp4").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "garbage.y4m").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder").mkdir()
    sound(tmp_path / "sound.wav")
    before = leftovers(tmp_path)
    for name in ("missing.mp4", "garbage.mp4", "garbage.y4m", "empty.mp4", "sound.wav", "folder"):
        refused(call("encode", tmp_path / name, "-o", tmp_path / "o.nvc"), 3, name)
    for name in ("missing.nvc", "folder"):
        refused(call("decode", tmp_path / name, "-o", tmp_path / "o.y4m"), 3, name)
        refused(call("info", tmp_path / name), 3, name)
    assert leftovers(tmp_path) == before


def test_foreign_streams(tmp_path, call):
    (tmp_path / "clip.y4m").write_bytes(y4m())
    (tmp_path / "empty.nvc").touch()
    for name in ("clip.y4m", "empty.nvc"):
        for args in (("decode", tmp_path / name, "-o", tmp_path / "o.yuv"), ("verify", tmp_path / name)):
            refused(call(*args), 5, "not an .nvc file" if name == "clip.y4m" else "empty")
        refused(call("info", tmp_path / name), 5)
    assert leftovers(tmp_path) == ["clip.y4m", "empty.nvc"]


def test_truncated_stream(work, frames, tmp_path, call):
    data = (work / "clip.nvc").read_bytes()
    (tmp_path / "cut.nvc").write_bytes(data[: len(data) * 3 // 5])
    code, _, err = call("decode", tmp_path / "cut.nvc", "-o", tmp_path / "o.yuv", "--quiet", "--json", tmp_path / "j")
    sound_part = (tmp_path / "o.yuv").read_bytes()
    good = len(sound_part) // len(frames[0])
    assert 0 < good < FRAMES
    assert sound_part == b"".join(frames[:good])
    assert code == 5
    assert f"{good} of {FRAMES} frames" in err
    assert json.loads((tmp_path / "j").read_text())["frames"] == good
    refused(call("verify", tmp_path / "cut.nvc", "--quiet"), 5, f"{good} of {FRAMES} frames")
    code, text, err = call("info", tmp_path / "cut.nvc", "--json")
    assert (code, json.loads(text)["frames"]) == (5, good)


def test_flipped_byte(work, frames, tmp_path, call):
    data = bytearray((work / "clip.nvc").read_bytes())
    data[len(data) // 2] ^= 0x10
    (tmp_path / "bad.nvc").write_bytes(data)
    code, text, err = call("decode", tmp_path / "bad.nvc", "--md5", "--quiet", "--json", tmp_path / "j")
    good = json.loads((tmp_path / "j").read_text())["frames"]
    assert (code, text) == (5, f"md5 {md5(frames[:good])}\n")
    assert "damaged" in err
    assert f"{good} of {FRAMES} frames" in err


def test_damage_in_the_first_frame_leaves_no_output(work, tmp_path, call):
    data = bytearray((work / "clip.nvc").read_bytes())
    data[150] ^= 1
    (tmp_path / "bad.nvc").write_bytes(data)
    refused(call("decode", tmp_path / "bad.nvc", "-o", tmp_path / "o.mkv", "--quiet"), 5, f"0 of {FRAMES} frames")
    assert leftovers(tmp_path) == ["bad.nvc"]


def test_another_model(work, tmp_path, call, monkeypatch):
    monkeypatch.setattr("nvc.models.weights.PRESETS", ())
    refused(call("decode", work / "clip.nvc", "-o", tmp_path / "o.yuv"), 4, "model")
    assert leftovers(tmp_path) == []


def test_a_gpu_that_is_not_there(work, tmp_path, call, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for device in ("cuda", "cuda:1", "tpu"):
        refused(call("encode", work / "clip.y4m", "-o", tmp_path / "o.nvc", "--device", device), 6, device)
        refused(call("decode", work / "clip.nvc", "-o", tmp_path / "o.yuv", "--device", device), 6, device)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "not enough memory left"),
        (torch.AcceleratorError("CUDA error: unspecified launch failure\nmore"), "unspecified launch failure"),
    ],
    ids=["memory", "lost"],
)
def test_a_device_that_fails_in_the_middle(error, said, work, tmp_path, call, monkeypatch):
    frames = iter(range(2))

    def fail(self, name, work):
        if next(frames, None) is None:
            raise error
        work()

    monkeypatch.setattr("nvc.codec.runner.Direct.run", fail)
    refused(call("encode", work / "clip.y4m", "-o", tmp_path / "o.nvc", "--quiet"), 6, said)
    assert leftovers(tmp_path) == []
    refused(call("decode", work / "clip.nvc", "-o", tmp_path / "o.mkv", "--quiet"), 6, said)
    assert leftovers(tmp_path) == []


def test_several_inputs(work, tmp_path, call):
    (tmp_path / "b.y4m").write_bytes(y4m(frames=2))
    (tmp_path / "bad.y4m").write_bytes(b"nothing")
    inputs = work / "clip.y4m", tmp_path / "bad.y4m", tmp_path / "b.y4m"
    out = tmp_path / "out"
    refused(call("encode", *inputs, "-o", out), 2, "not a folder")
    out.mkdir()
    code, said, err = call("encode", *inputs, "-o", out, "--keyint", 3, "--jobs", 2, "--json", tmp_path / "f.json")
    assert code == 3
    assert "bad.y4m" in err
    assert f"{FRAMES} frames" in said
    assert leftovers(out) == ["b.nvc", "clip.nvc"]
    assert (out / "clip.nvc").read_bytes() == (work / "clip.nvc").read_bytes(), "two at a time changed the bytes"
    files = json.loads((tmp_path / "f.json").read_text())["files"]
    assert [(Path(f["input"]).name, f["frames"]) for f in files] == [("clip.y4m", FRAMES), ("b.y4m", 2)]
    refused(call("encode", inputs[0], inputs[2], "-o", out), 2, "exists")
    refused(call("encode", inputs[0], inputs[0], "-o", out, "-y"), 2, "both")
    refused(call("encode", inputs[0], "-", "-o", out, "-y"), 2, "standard input")


def test_unwritable_output(work, tmp_path, call):
    (tmp_path / "file").touch()
    for folder in ("missing", "file"):
        refused(call("encode", work / "clip.y4m", "-o", tmp_path / folder / "o.nvc"), 3, "cannot write")
        refused(call("decode", work / "clip.nvc", "-o", tmp_path / folder / "o.yuv"), 3, "cannot write")
        refused(call("decode", work / "clip.nvc", "--md5", "--json", tmp_path / folder / "j"), 3, "cannot write")
    refused(call("decode", work / "clip.nvc", "-o", tmp_path / "o.doc"), 3, ".y4m")
    assert leftovers(tmp_path) == ["file"]


def test_full_disk(work, tmp_path, call):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, before[1]))
    try:
        results = [
            call("encode", work / "clip.y4m", "-o", tmp_path / "o.nvc"),
            call("decode", work / "clip.nvc", "-o", tmp_path / "o.yuv"),
            call("decode", work / "clip.nvc", "-o", tmp_path / "o.mkv", "--quiet"),
        ]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    for result in results:
        refused(result, 3, "cannot write")
    assert leftovers(tmp_path) == []


def test_full_standard_output(work):
    with open("/dev/full", "wb") as full:
        for args in (("encode", work / "clip.y4m", "-o", "-"), ("decode", work / "clip.nvc", "-o", "-")):
            done = subprocess.run(
                command(*args, "--quiet"),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
                check=False,
            )
            refused((done.returncode, "", done.stderr), 3, "space")


@pytest.mark.parametrize(
    "args", [("encode", "clip.y4m", "-o", "-"), ("decode", "clip.nvc", "-o", "-"), ("info", "clip.nvc")]
)
def test_reader_that_went_away(args, work):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command(*args), stdout=writer, stderr=subprocess.PIPE, cwd=work, env=environment(), check=False
    )
    os.close(writer)
    assert done.returncode == 0
    assert b"Error" not in done.stderr
    assert b"error" not in done.stderr


@pytest.fixture
def stalled(tmp_path):
    """An encoder that has coded some frames and waits for more on a pipe, which stays open."""
    process = subprocess.Popen(
        command("encode", "-", "-o", tmp_path / "o.nvc"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    try:
        # returns when most is taken: 1.8 MB do not fit into the pipe, the reader's 1 MB and four frames of read-ahead
        process.stdin.write(y4m(128, 96, MANY))
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_first_interrupt_closes_a_valid_file(stalled, tmp_path, call):
    stalled.send_signal(signal.SIGINT)
    assert stalled.wait(60) == 130
    assert leftovers(tmp_path) == ["o.nvc"]
    code, text, _ = call("verify", tmp_path / "o.nvc", "--quiet")
    assert (code, text[:4]) == (0, "ok: ")
    assert 0 < int(text.split()[1]) <= MANY


def test_second_interrupt_drops_it(stalled, tmp_path):
    # stopped, so that both signals arrive together: two of one kind would count as one
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        stalled.send_signal(number)
    assert stalled.wait(60) == 130
    assert stalled.stderr.read() == b"nvc: error: interrupted\n"
    assert leftovers(tmp_path) == []


def test_signals_ask_then_order():
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)
        with graceful() as stop:
            assert not stop()
            os.kill(os.getpid(), number)
            assert stop()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
        assert signal.getsignal(number) is before


@pytest.mark.parametrize(("head", "note"), [("C420p10", "10-bit"), ("C444", "4:4:4")])
def test_conversions_are_noted_once(head, note, tmp_path, call):
    size = 64 * 48 * 3  # 1.5 samples of two bytes, and 3 of one
    (tmp_path / "in.y4m").write_bytes(f"YUV4MPEG2 W64 H48 F25:1 {head}\n".encode() + (b"FRAME\n" + bytes(size)) * 3)
    code, _, err = call("encode", tmp_path / "in.y4m", "-o", tmp_path / "o.nvc")
    assert code == 0
    assert err.count("nvc: note: ") == err.count(note) == 1


def test_training_resumes_and_exports(tmp_path, call):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "clip.y4m").write_bytes(y4m(128, 128, 3, "C420jpeg"))
    stage = "[[stage]]\nclips = [[2, 1]]\ncrop = 32\nlr = 1e-3\nlr_end = 1e-3\nmode = 'float'\nsteps = "
    weights, run_folder = tmp_path / "w.safetensors", tmp_path / "run"
    for steps in (1, 2):
        (tmp_path / "recipe.toml").write_text(f"preset = 'fast'\nseed = 1\n{stage}{steps}\n")
        train = call(
            "train", tmp_path / "data", "--out", run_folder, "--recipe", tmp_path / "recipe.toml", "--device", "cpu"
        )
        assert train == (0, f"1 clips, {steps - 1} of {steps} steps done, on cpu\n", "")
    code, out, _ = call("train", "--out", run_folder, "--export", weights)
    assert (code, out) == (0, f"{weights}: {weights.stat().st_size} bytes\n")
    model = from_file(weights)
    assert model.card == {"preset": "fast", "steps": 2, "code": nvc.__version__}
    refused(call("train", "--out", run_folder, "--export", weights), 2, "exists")
    refused(call("train", "--out", tmp_path, "--export", tmp_path / "x"), 3, "no checkpoint")


def test_training_data_that_is_of_no_use(tmp_path, call):
    refused(call("train", tmp_path, "--out", tmp_path / "run"), 3, "no clips")
    refused(call("train", tmp_path / "missing", "--out", tmp_path / "run"), 3, "missing")
    (tmp_path / "clip.y4m").write_bytes(y4m(32, 32, 2, "C420jpeg"))
    refused(call("train", tmp_path, "--out", tmp_path / "run"), 3, "192x192")
    refused(call("train", tmp_path, "--out", tmp_path / "run", "--recipe", tmp_path / "clip.y4m"), 2, "clip.y4m")
    (tmp_path / "recipe.toml").write_text("preset = 'best'\nseed = 1\nstage = []\n")
    refused(call("train", tmp_path, "--out", tmp_path / "run", "--recipe", tmp_path / "recipe.toml"), 2, "'best'")
    assert not (tmp_path / "run").exists()


def test_compiling_is_announced_once():
    said = []
    with announced(said.append):
        assert njit(lambda x: x + 1)(1) == 2
        assert njit(lambda x: x + 2)(1) == 3
    njit(lambda x: x + 3)(1)
    assert said == [NOTE]
