"""Write planned pairs: clips, and a table with a row a pair; a stopped run continues."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from avreward._locks import claimed
from avreward._parsing import parsed_json
from avreward._whole_files import whole_file
from avreward.clip import Clip
from avreward.datasets.synthetic._pair_sources import PairSource
from avreward.datasets.synthetic._pair_tables import PairJournal, write_tables
from avreward.datasets.synthetic._perturb_words import WORDS, Word, words_json, words_of
from avreward.datasets.synthetic._perturbations import NotPerturbable, changed
from avreward.datasets.synthetic.av_pairs import SECONDS, PairKind, PairSpec, plan_pairs
from avreward.errors import ArgumentError, AvrewardError, Described, MediaError
from avreward.media.sampling import FramePlan
from avreward.scoring._torch_threads import one_core

SIDE = 480  # the longer side of written frames, in pixels
SETTINGS = "settings.json"
RULES = 2  # raised where the same seed gives other pairs, so that no folder holds pairs of two kinds


@dataclass
class RenderedPairs:
    """What `render_pairs` wrote.

    Attributes:
        folder: where.
        kinds: kind → how many pairs.
        skipped: reason → how many pairs could not be made for it.
        failed: clip → why it could not be read.
        known: how many pairs an earlier run had made.
        unpaired: how many numbers of the plan are left out, since no other clip fits their clip.
    """

    folder: Path
    kinds: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    known: int = 0
    unpaired: int = 0

    @property
    def pairs(self) -> int:
        """How many pairs there are."""
        return self.kinds.total()


@dataclass(frozen=True)
class _Span:
    """The frames that are on display within a window, in s."""

    start: float
    stop: float

    def __call__(self, times: Tensor) -> Tensor:
        inside = ((times >= self.start - 1e-6) & (times < self.stop - 1e-6)).nonzero()[:, 0]
        return inside if len(inside) else (torch.searchsorted(times, torch.tensor([self.start])) - 1).clamp_min(0)


@dataclass(frozen=True)
class _Output:
    """Where clips are written, each once: pairs of the same window are made at the same time and share its clip.

    Attributes:
        folder: where.
        side: the longer side of the frames in pixels, at most.
    """

    folder: Path
    side: int
    _locks: dict[Path, Lock] = field(default_factory=dict)

    def keep(self, clip: Clip, path: Path) -> None:
        """Write a clip, unless an earlier pair has done it."""
        with self._locks.setdefault(path, Lock()):
            if not path.exists():
                clip.save(path)


def render_pairs(
    sources: Sequence[PairSource], kinds: Sequence[PairKind], out: str | PathLike[str], count: int, *, seed: int = 0,
    seconds: float = SECONDS, side: int = SIDE, workers: int = 1, step: Callable[[str], None] = lambda name: None,
) -> RenderedPairs:  # fmt: skip
    """Write the first `count` pairs of a plan to a folder, and continue where an earlier run stopped.

    Both clips of a pair are encoded in the same way, so that the defect is all that differs: MP4 (H.264, AAC), or FLAC
    where there is no video. The folder gets ``clips/``, ``pairs.csv`` (a row a pair), ``labels.csv`` (a row a clip and
    question, excellent or bad) and ``skipped.csv`` (pairs that could not be made, and why).

    Args:
        sources: see `pair_sources`.
        kinds: see `pair_recipe`.
        out: the folder; made if it does not exist.
        count: numbers of the plan to go through.
        seed: of the plan.
        seconds: length of the windows.
        side: the longer side of the frames in pixels, at most.
        workers: pairs that are made at the same time, in threads; the files are the same for any number.
        step: called with each pair's name when it is done (*optional*).

    Raises:
        ArgumentError: if the folder was written with other settings, or no kind fits the clips.
        AvrewardError: if the folder can't be written, or another run writes it.

    Example:
        >>> from avreward.datasets import pair_recipe, pair_sources
        >>> from avreward.scoring import list_clips
        >>> sources = pair_sources(list_clips("dub*.mp4"))
        >>> render_pairs(sources, pair_recipe("all", ["noise", "shift"]), "made", 2, seconds=1.0).pairs
        2
    """
    if isinstance(side, bool) or not isinstance(side, int) or side < 32:
        raise ArgumentError("side", "an integer of at least 32", side)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ArgumentError("workers", "a positive integer", workers)
    plan = plan_pairs(sources, kinds, count, seed, seconds)  # wrong arguments are told before anything is written
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    done = RenderedPairs(folder)
    with claimed(folder):
        _check_settings(folder, sources, kinds, seed, seconds, side)
        with PairJournal(folder) as journal:
            done.known = journal.rows
            if journal.rows:
                for row in journal.known():
                    _count(done, row)
                    step(row["pair"])
                plan = plan_pairs(sources, kinds, max(count, journal.next), seed, seconds, journal.next)
            wanted = takewhile(lambda spec: spec.number < count, plan)
            for row in _rows(wanted, partial(_row, output=_Output(folder, side)), workers):
                journal.add(row)
                _count(done, row)
                step(row["pair"])
            done.unpaired = max(0, count - journal.rows)
        write_tables(folder)
    return done


def _rows(
    plan: Iterable[PairSpec], made: Callable[[PairSpec], dict[str, Any]], workers: int
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the pairs in the order of the plan, a few of them made at the same time."""
    if workers == 1:
        yield from map(made, plan)
        return
    with one_core(), ThreadPoolExecutor(workers) as pool:
        under_way: deque[Future[dict[str, Any]]] = deque()
        try:
            for spec in plan:
                under_way.append(pool.submit(made, spec))
                if len(under_way) > 2 * workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:  # an interrupted run does not wait for what has not begun
            pool.shutdown(wait=False, cancel_futures=True)


def _count(done: RenderedPairs, row: Mapping[str, Any]) -> None:
    if row["reason"] is None:
        done.kinds[row["kind"]] += 1
    elif row["failed"]:
        done.failed[row["source"]] = row["reason"]
    else:
        done.skipped[f"{row['kind']}: {row['reason']}"] += 1


def _row(spec: PairSpec, output: _Output) -> dict[str, Any]:
    """Render a pair and return its row, or the row that says why it could not be made."""
    row: dict[str, Any] = {
        "pair": spec.name, "number": spec.number, "group": spec.source.name, "kind": spec.kind.name,
        "perturbation": spec.kind.perturbation.name, "dimension": spec.kind.dimension, "subset": spec.subset,
        "severity": spec.severity, "unit": spec.kind.perturbation.unit or None, "margin": spec.strength,
        "scenario": spec.source.scenario, "category": spec.source.category, "source": str(spec.source.path),
        "start": round(spec.start, 4), "seconds": round(spec.seconds, 4),
        "other": None if spec.other is None else str(spec.other.path), "seed": spec.seed, "reason": None,
        "failed": False,
    }  # fmt: skip
    try:
        good, bad, texts = _rendered(spec, output)
    except NotPerturbable as error:
        return row | {"reason": str(error).partition(": ")[2]}
    except MediaError as error:
        return row | {"reason": str(error), "failed": True}
    files, prompts = (good, bad), texts
    first, second = (0, 1) if spec.original_first else (1, 0)
    return row | {
        "first": str(files[first].relative_to(output.folder)), "second": str(files[second].relative_to(output.folder)),
        "first_prompt": prompts[first], "second_prompt": prompts[second],
        "prompt": prompts[0] if prompts[0] == prompts[1] else None,
        "texts.speech": spec.source.texts.get("speech"), "preferred": "first" if spec.original_first else "second",
    }  # fmt: skip


def _rendered(spec: PairSpec, output: _Output) -> tuple[Path, Path, tuple[str | None, str | None]]:
    """Write what is missing of a pair; return the real clip, the one with the defect, and their prompts."""
    kind, source = spec.kind.perturbation, spec.source
    place = output.folder / "clips" / source.name
    place.mkdir(parents=True, exist_ok=True)
    ending = ".mp4" if "video" in source.has else ".flac"
    window = f"original-{round(spec.start * 1000):07d}{ending}"
    real = cut(source.open(), spec.start, spec.seconds, output.side)
    if kind.track == "prompt":
        other = None if spec.other is None else Clip(prompt=spec.other.prompt)
        new = kind.apply(Clip(prompt=real.prompt), spec.severity, spec.seed, other).prompt
        output.keep(real, place / window)
        return place / window, place / window, (real.prompt, new)
    other = None if spec.other is None else cut(spec.other.open(), 0.0, spec.seconds, output.side)
    bad = kind.apply(real, spec.severity, spec.seed, other)
    good = real if kind.control is None else kind.control(real, 0.0, torch.Generator().manual_seed(spec.seed), None)
    if not changed(good, bad):
        raise NotPerturbable(f"{source.path.name}: it makes no difference that can be noticed; give other clips")
    files = (
        place / window if kind.control is None else place / f"{spec.name}-original{ending}",
        place / f"{spec.name}{ending}",
    )
    output.keep(good, files[0])
    if kind.track == "audio" and ending == ".mp4":
        bad = Clip.open(files[0]).with_audio(bad.sound(), bad.sample_rate)  # the same packets of video
    output.keep(bad, files[1])
    return (*files, (real.prompt, real.prompt))


def cut(clip: Clip, start: float, seconds: float, side: int) -> Clip:
    """Return a window of a clip as tensors, frames with even sides of at most `side` pixels; its words move along.

    Raises:
        MediaError: if it does not decode.
    """
    stop = start + seconds
    texts = dict(clip.texts)
    if WORDS in texts:
        kept = [w for w in words_of(texts[WORDS]) if w.start >= start and w.stop <= stop]
        texts[WORDS] = words_json([Word(w.text, w.start - start, w.stop - start) for w in kept])
        texts["speech"] = " ".join(word.text for word in kept)
    given: dict[str, Any] = {}
    if clip.has_video:
        scale = min(1.0, side / max(clip.height, clip.width))
        size = (max(2, round(clip.height * scale / 2) * 2), max(2, round(clip.width * scale / 2) * 2))
        plan = FramePlan(_Span(start, stop), size=size)
        times = clip.times[plan.rule(clip.times)]
        given |= {"video": clip.frames(plan), "times": (times - start).clamp_min(0)}
    if clip.has_audio:
        (audio,) = clip.spans([(start, stop)])
        given |= {"audio": audio, "sample_rate": clip.sample_rate}
    return Clip(**given, prompt=clip.prompt, texts=texts)


def _check_settings(
    folder: Path, sources: Sequence[PairSource], kinds: Sequence[PairKind], seed: int, seconds: float, side: int
) -> None:
    """Write the settings of a run beside its pairs, or compare them with those of the run to continue."""
    named = hashlib.blake2b(digest_size=8)
    for source in sources:
        named.update(
            f"{source.path} {source.prompt} {source.category} {source.scenario}\n".encode(errors="surrogateescape")
        )
    ends = [[kind.name, kind.dimension, kind.share, kind.severities and list(kind.severities)] for kind in kinds]
    wanted = {
        "rules": RULES, "clips": named.hexdigest(), "kinds": ends, "seed": seed, "seconds": seconds, "side": side,
    }  # fmt: skip
    path = folder / SETTINGS
    try:
        found = parsed_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        with whole_file(path) as part:
            part.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        return
    except ValueError as error:
        raise AvrewardError(f"{path}: it can't be read ({error}); choose another folder") from error
    differing = [name for name in wanted if found.get(name) != json.loads(json.dumps(wanted[name]))]
    if differing:
        got = Described(f"{folder}, which was written with other {' and '.join(differing)}")
        raise ArgumentError("out", "a new folder, or one of the same settings", got, "choose another folder")


def planned_kinds(plan: Iterator[PairSpec]) -> Counter[str]:
    """Return how many pairs of each kind are planned."""
    return Counter(spec.kind.name for spec in plan)
