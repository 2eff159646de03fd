"""The whole evaluation, clip by clip. Every finished figure is on the disk at once, and a later run keeps it."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from nvc.eval.clips import Source, load
from nvc.eval.codecs import Codec, NvcCodec
from nvc.eval.compare import differences, matching_quality
from nvc.eval.earlier import Figure, earlier
from nvc.eval.observer import EvalObserver
from nvc.eval.points import SPEED_FRAMES, first_frames, measure_point, measure_speed
from nvc.eval.results import Clip, Point, Results, Speed, Twin, key_of
from nvc.eval.stop import POLL, Failed
from nvc.eval.twin import FRAMES, FloatTwin, measure_twin
from nvc.media import MediaError

RESULTS = "results.json"
STARTING = 1.2e7  # cost of starting a point, in pixels that x264 codes
METRICS, TWIN = 4.0, 100.0  # cost of a pixel measured, and of one that the float twin codes


@dataclass
class Plan:
    """What to do: `clips` as (name, path), `absent` anchors that cannot run, `threads` for the measurement of speed,
    `jobs` points at a time."""

    clips: list[tuple[str, str]]
    synthetic: set[str]
    codecs: list[Codec]
    absent: list[str]
    frames: int | None
    keyint: int
    threads: int
    jobs: int
    twin: FloatTwin | None = None


class _Job(NamedTuple):
    codec: Codec
    quality: int
    key: str
    cost: float


class Runner:
    """Fills `results`, which already say what is to be measured and how, in the folder `out`."""

    def __init__(self, plan: Plan, results: Results, out: Path, observer: EvalObserver) -> None:
        self.plan, self.results, self.out, self.observer = plan, results, out, observer
        self._work = out / ".work"
        self._one_nvc = Lock()  # its threads serve the whole process
        self._known = earlier(out, RESULTS, observer.note)
        self._metrics = [(m.name, m.how) for m in results.metrics if m.problem is None]

    def run(self) -> None:
        """Measure everything that an earlier run has not.

        Raises Interrupted; OSError and MediaError when `out` cannot be written. What goes wrong with a clip or a codec
        alone is noted in the results.
        """
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True)
        try:
            pairs = list(self._survey())
            self._save()
            self.observer.begin(sum(self._cost(*pair) for pair in pairs))
            for source, clip in pairs:
                self._clip(source, clip)
            self.results.complete = True
            self._save()
        finally:
            shutil.rmtree(self._work, ignore_errors=True)

    def _survey(self) -> Iterator[tuple[Source, Clip]]:
        """Look at every clip once, and take over what is known: an interrupted run must not lose it."""
        for name, path in self.plan.clips:
            clip = Clip(name, path, name in self.plan.synthetic)
            self.results.clips.append(clip)
            try:
                source = load(name, path, self.plan.frames, self.observer.stopped)
            except MediaError as error:
                clip.problem = str(error)
                self.observer.note(f"{name} is left out: {error}")
                continue
            clip.sha256, clip.width, clip.height = source.sha256, source.width, source.height
            clip.frames, clip.rate, clip.notes = source.frames, str(source.rate), source.notes
            for jobs in (self._points, self._speeds, self._matches, self._twins):  # matches follow from points
                for job in jobs(source, clip):
                    self._keep(clip, self._known.get(job.key))
            yield source, clip

    def _missing(self, source: Source, clip: Clip) -> Iterator[_Job]:
        """What is to be done for a clip, as far as it is known beforehand."""
        for jobs in (self._points, self._matches, self._speeds, self._twins):
            yield from self._lacking(clip, jobs(source, clip))

    def _cost(self, source: Source, clip: Clip) -> float:
        return sum(job.cost for job in self._missing(source, clip)) + self._reserve(source, clip)

    def _reserve(self, source: Source, clip: Clip) -> float:
        """Cost of the matches that cannot be told before the curves are there."""
        unknown = [c for c in self.plan.codecs[1:] if matching_quality(clip, c.name, c.qualities) is None]
        return sum(self._job("point", source, codec, 0, 1).cost for codec in unknown)

    def _lacking(self, clip: Clip, jobs: Iterator[_Job]) -> list[_Job]:
        figures: list[Figure] = [*clip.points, *clip.speeds, *([clip.twin] if clip.twin else [])]
        done = {item.key for item in figures}
        return [job for job in jobs if job.key not in done]

    def _job(self, kind: str, source: Source, codec: Codec, quality: int, share: float, *more: object) -> _Job:
        size = [source.sha256, source.width, source.height, source.frames, str(source.rate)]
        cost = (codec.cost + METRICS) * share * source.pixels + STARTING
        return _Job(codec, quality, key_of(kind, size, codec.identity(quality), *more), cost)

    def _points(self, source: Source, clip: Clip) -> Iterator[_Job]:
        for codec in self.plan.codecs:
            for quality in codec.qualities:
                yield self._job("point", source, codec, quality, 1, self._metrics)

    def _matches(self, source: Source, clip: Clip) -> Iterator[_Job]:
        """Points of the size of nvc's middle one, to be looked at."""
        for codec in self.plan.codecs[1:]:
            quality = matching_quality(clip, codec.name, codec.qualities)
            if quality is not None and quality not in codec.qualities:
                yield self._job("point", source, codec, quality, 1, self._metrics)

    def _speeds(self, source: Source, clip: Clip) -> Iterator[_Job]:
        share = min(1.0, SPEED_FRAMES / source.frames)
        for codec in self.plan.codecs:
            quality = codec.qualities[len(codec.qualities) // 2]
            yield self._job("speed", source, codec, quality, share, self.plan.threads, self.results.machine)

    def _twins(self, source: Source, clip: Clip) -> Iterator[_Job]:
        own = self.plan.codecs[0]
        if self.plan.twin is not None:
            job = self._job("twin", source, own, 0, 1, own.qualities, self.plan.twin.sha256, self.results.machine)
            pixels = source.width * source.height * min(source.frames, FRAMES) * len(own.qualities)
            yield job._replace(cost=TWIN * pixels)

    def _clip(self, source: Source, clip: Clip) -> None:
        clip.failures = []
        if any(True for _ in self._missing(source, clip)):
            raw = self._work / f"{source.name}.yuv"
            load(source.name, source.file, self.plan.frames, self.observer.stopped, raw)
            reserve = self._reserve(source, clip)
            self._measure_points(source, clip, raw, self._lacking(clip, self._points(source, clip)))
            matches = self._lacking(clip, self._matches(source, clip))
            if reserve:
                self.observer.advance(reserve - sum(job.cost for job in matches))
            self._measure_points(source, clip, raw, matches)
            self._measure_speeds(source, clip, raw, self._lacking(clip, self._speeds(source, clip)))
            for job in self._lacking(clip, self._twins(source, clip)):
                self._measure_twin(source, clip, raw, job)
            raw.unlink()
        names = [codec.name for codec in self.plan.codecs]
        clip.points.sort(key=lambda item: (names.index(item.codec), item.quality))
        clip.speeds.sort(key=lambda item: names.index(item.codec))
        clip.differences = differences(clip, self.results)
        self._save()

    def _measure_points(self, source: Source, clip: Clip, raw: Path, jobs: list[_Job]) -> None:
        ended = False

        def work(job: _Job) -> Point:
            def halted() -> bool:
                return ended or self.observer.stopped()

            def measured(threads: int) -> Point:
                where = raw, job.key, self.out, self._work
                return measure_point(job.codec, job.quality, source, *where, threads, halted)

            if isinstance(job.codec, NvcCodec):
                with self._one_nvc:
                    return measured(max(1, self.plan.threads // self.plan.jobs))
            return measured(1)  # so that slices cost nothing

        with ThreadPoolExecutor(self.plan.jobs, "nvc-eval") as pool:
            waiting: dict[Future[Point], _Job] = {pool.submit(work, job): job for job in jobs}
            try:
                while waiting:
                    for future in wait(waiting, POLL, FIRST_COMPLETED).done:
                        job = waiting.pop(future)
                        self._take(clip, job, f"{job.codec.name} {job.quality}", future.result)
            finally:
                ended = True  # those still running after an error end soon
                pool.shutdown(cancel_futures=True)

    def _measure_speeds(self, source: Source, clip: Clip, raw: Path, jobs: list[_Job]) -> None:
        if not jobs:
            return
        sample, cut = first_frames(raw, source, SPEED_FRAMES, self._work)
        threads, stopped = self.plan.threads, self.observer.stopped
        for job in jobs:

            def measured(job: _Job = job) -> Speed:
                return measure_speed(job.codec, job.quality, sample, cut, job.key, self._work, threads, stopped)

            self._take(clip, job, f"speed of {job.codec.name} {job.quality}", measured)
        cut.unlink()

    def _measure_twin(self, source: Source, clip: Clip, raw: Path, job: _Job) -> None:
        own = [p for p in clip.points if p.codec == "nvc"]
        if self.plan.twin is None or not own:
            return
        net, threads, stopped = self.plan.twin, self.plan.threads, self.observer.stopped

        def measured() -> Twin:
            return measure_twin(net, source, raw, own, job.key, self.plan.keyint, threads, stopped)

        self._take(clip, job, "float twin", measured)

    def _take(self, clip: Clip, job: _Job, what: str, result: Callable[[], Figure]) -> None:
        """Put a result where it belongs, and on the disk."""
        try:
            found = result()
        except Failed as error:
            clip.failures.append(f"{what}: {error}")
            self.observer.note(f"{clip.name}: {what}: {error}")
            self.observer.advance(job.cost)
            return
        self._keep(clip, found)
        self._save()
        self.observer.advance(job.cost)
        match found:
            case Point():
                text = f"{found.bpp:.4f} bpp, PSNR-Y {found.psnr_y:.2f} dB"
            case Speed():
                text = f"{found.encode_fps:.1f} fps, decoding {found.decode_fps:.1f} fps"
            case Twin():
                text = f"{found.fps:.1f} fps"
        self.observer.done(f"{clip.name}: {what}: {text}")

    def _keep(self, clip: Clip, found: Figure | None) -> None:
        match found:
            case Point():
                clip.points.append(found)
            case Speed():
                clip.speeds.append(found)
            case Twin():
                clip.twin = found

    def _save(self) -> None:
        self.results.write(self.out / RESULTS)
