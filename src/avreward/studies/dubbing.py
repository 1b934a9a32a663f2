"""Dub silent videos: candidates by a provider, each rated, the best one kept, and pairs to ask people about."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from avreward._csv_cells import write_csv
from avreward._locks import claimed
from avreward._names import folder_name
from avreward._parsing import parsed_json
from avreward._whole_files import whole_file
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.generators._as_sampler import Generate, name_of
from avreward.generators.base import GeneratorStopped
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.scoring import Store, read_table
from avreward.scoring._score_table import score_table
from avreward.scoring.inputs import ListedClip
from avreward.studies._made import NotMade, check_different, made_at_a_time

ABOUT, TABLE, PAIRS, BEST, CANDIDATES = "dub.json", "scores.csv", "pairs.csv", "best", "candidates"

Step = Callable[[str], object]


@dataclass(frozen=True)
class SilentVideo:
    """A video to dub.

    Attributes:
        path: its file; sound that it has is not used. Names of videos, without endings, must differ.
        prompt: what it shows (*optional*); raters and describers read it.
        category: for results by category, or empty.
    """

    path: Path
    prompt: str | None = None
    category: str = ""

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


@dataclass
class Dubbed:
    """How dubbing went.

    Attributes:
        folder: the output.
        best: name of a video → the file of its best dub.
        failed: name of a video or ``NAME/NUMBER`` → why there is no dub.
        pairs: number of pairs to ask people about.
        stopped: why the provider could not continue, or `None`.
    """

    folder: Path
    best: dict[str, Path] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    pairs: int = 0
    stopped: str | None = None


def dub_videos(
    videos: Sequence[SilentVideo],
    generate: Generate,
    reward: RewardLike,
    out: str | PathLike[str],
    n: int | None = 2,
    *,
    store: Store | None = None,
    seed: int = 0,
    step: Step = lambda name: None,
) -> Dubbed:
    """Dub videos, rate the dubs, and keep the best dub of each video.

    In `out`: ``candidates/NAME/0.mp4``, ``1.mp4``, … (the video with each dub), ``best/NAME.mp4``, ``scores.csv`` (the
    scored table, a group a video), and ``pairs.csv``: for each video its best dub against one other, drawn at random,
    for ``avreward ask``. Files that are there are not made again, so that a stopped run continues.

    Source: AGAV-Rater (Cao et al., 2025), section 5.6: 230 silent videos, two dubs each, the rater keeps one.

    Args:
        videos: the silent videos.
        generate: ``generate(clip, seed) -> Clip`` for the seeds 0 … n − 1: `ElevenLabs`, `FolderGenerator`, or a
            pipeline of your own; of one with ``concurrency``, so many dubs are made at a time.
        reward: picks the dub; of equal rewards the earlier one.
        out: a new folder, or one of an earlier run with the same provider.
        n: number of dubs of each video; `None` for as many as ``generate.count(clip)`` says.
        store: where scores are kept (*optional*).
        seed: of the draw.
        step: called with the name of each dub that is done.

    Returns:
        What was kept, and why anything is missing.

    Raises:
        ArgumentError: if two videos have one name, or `n` is below 1.
        AvrewardError: if `out` holds dubs of another provider, is written by another run, or can't be written.

    Example:
        >>> from avreward.generators import FolderGenerator
        >>> Clip.open("dub1.mp4").save("rain.mp4")
        >>> for number in (1, 2):
        ...     Clip.open(f"dub{number}.mp4").save(f"rain_{number}.mp4")
        >>> done = dub_videos([SilentVideo(Path("rain.mp4"))], FolderGenerator("."), rater["audio_quality"], "dubbed")
        >>> [path.as_posix() for path in done.best.values()], done.pairs
        (['dubbed/best/rain.mp4'], 1)
    """
    check_different([folder_name(video.name, "videos") for video in videos])
    if n is not None and n < 1:
        raise ArgumentError("n", "a positive integer", n)
    folder, reward = Path(out), as_reward(reward)
    done = Dubbed(folder)
    try:
        with claimed(folder):
            _claim(folder, generate)
            listed = _made(videos, generate, n, done, step)
            if listed:
                score_table(listed, folder / TABLE, list(reward.raters), reward, group_by="video_name", store=store)
                _keep(videos, done, seed)
    except OSError as error:
        why = error.strerror or str(error)
        raise AvrewardError(f"{folder}: can't be written ({why}); free disk space, or name another folder") from error
    return done


def _claim(folder: Path, generate: Generate) -> None:
    """Make the folder; raise `AvrewardError` if it has the dubs of another provider."""
    folder.mkdir(parents=True, exist_ok=True)
    about, mine = folder / ABOUT, {"provider": name_of(generate)}
    if not about.is_file():
        if any(folder.glob(f"{CANDIDATES}/*/*")):
            raise AvrewardError(f"{folder}: expected an empty folder, got one with candidates; name another folder")
        with whole_file(about) as part:
            part.write_text(json.dumps(mine), encoding="utf-8")
        return
    try:
        known = parsed_json(about.read_text(encoding="utf-8"))
    except ValueError:
        known = None
    if known != mine:
        remedy = "name another folder, or the same provider with the same settings to continue"
        raise AvrewardError(f"{folder}: expected dubs of {mine['provider']}, got those of another provider; {remedy}")


def _made(
    videos: Sequence[SilentVideo], generate: Generate, n: int | None, done: Dubbed, step: Step
) -> list[ListedClip]:
    """Return the dubs that exist, after making those that do not."""
    work: list[tuple[SilentVideo, Clip, int]] = []
    for video in videos:
        try:
            clip = Clip.open(video.path, prompt=video.prompt)
            if not clip.has_video:
                raise AvrewardError(f"{video.path}: it has no video; give a silent video")
            count = generate.count(clip) if n is None else n  # type: ignore[attr-defined]
        except AvrewardError as error:
            done.failed[video.name] = str(error)
            continue
        work += [(video, clip, number) for number in range(count)]
        if not count:
            done.failed[video.name] = "there is no candidate; add some"

    def one(item: tuple[SilentVideo, Clip, int]) -> Path:
        video, clip, number = item
        path = done.folder / CANDIDATES / video.name / f"{number}.mp4"
        if not path.exists():
            if done.stopped is not None:
                raise AvrewardError("the provider had stopped before its turn; run the command again")
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                generate(clip, number).save(path)
            except GeneratorStopped as error:
                done.stopped = str(error)
                raise
        step(f"{video.name} {number}")
        return path

    results = made_at_a_time(generate, work, one, OSError)
    found = []
    for (video, _, number), result in zip(work, results, strict=True):
        if isinstance(result, NotMade):
            done.failed[f"{video.name}/{number}"] = result.reason
        else:
            columns = {"video_name": video.name, "category": video.category, "seed": number}
            found.append(ListedClip(result, video.prompt, columns))
    return found


def _keep(videos: Sequence[SilentVideo], done: Dubbed, seed: int) -> None:
    """Copy the best dub of each video, and write the pairs."""
    import pandas

    table = read_table(done.folder / TABLE)
    rows = table.rows.select(["clip", "group"]).to_pylist()
    values = table.numbers("reward")
    of: dict[str, list[int]] = {}
    for row, told in enumerate(rows):
        of.setdefault(str(told["group"]), []).append(row)
    (done.folder / BEST).mkdir(exist_ok=True)
    pairs = []
    for video in videos:
        rated = [row for row in of.get(video.name, []) if np.isfinite(values[row])]
        if not rated:
            done.failed.setdefault(video.name, "no dub of it has a reward")
            continue
        best = max(rated, key=lambda row: values[row])
        done.best[video.name] = _copied(Path(rows[best]["clip"]), done.folder / BEST / f"{video.name}.mp4")
        others = [row for row in rated if values[row] < values[best]]
        if others:
            other = others[_draw(seed, video.name) % len(others)]
            pairs.append({
                "group": video.name, "category": video.category, "prompt": video.prompt or "",
                "chosen": rows[best]["clip"], "rejected": rows[other]["clip"],
                "chosen_reward": values[best], "rejected_reward": values[other],
                "margin": values[best] - values[other],
            })  # fmt: skip
    done.pairs = len(pairs)
    if pairs:
        with whole_file(done.folder / PAIRS) as part:
            write_csv(pandas.DataFrame(pairs), part)


def _copied(source: Path, target: Path) -> Path:
    """Copy a file so that it appears whole."""
    with whole_file(target) as part:
        shutil.copyfile(source, part)
    return target


def _draw(seed: int, name: str) -> int:
    return int(hashlib.blake2b(repr((seed, name)).encode(), digest_size=8).hexdigest(), 16)


def plan_of(videos: Sequence[SilentVideo], describe_sound: Callable[[Clip], str], n: int) -> list[Mapping[str, Any]]:
    """Return a row a video for a look before money is spent: its length, what it is to sound like, or why not.

    Args:
        videos: the silent videos.
        describe_sound: clip → text, see `avreward.integrations.DescriptionTable`.
        n: number of dubs of each video.

    Returns:
        ``video``, ``seconds``, ``text``, ``problem``, ``requests`` and ``seconds_of_sound`` (of all its dubs).
    """
    rows: list[Mapping[str, Any]] = []
    for video in videos:
        row: dict[str, Any] = {"video": video.path.name, "seconds": None, "text": "", "problem": ""}
        row |= {"requests": 0, "seconds_of_sound": 0.0}
        try:
            clip = Clip.open(video.path, prompt=video.prompt)
            row["seconds"] = round(clip.ends["video"], 2) if clip.has_video else None
            if not clip.has_video:
                raise AvrewardError("it has no video")
            row["text"] = describe_sound(clip)
            row |= {"requests": n, "seconds_of_sound": round(n * clip.ends["video"], 2)}
        except AvrewardError as error:
            row["problem"] = str(error)
        rows.append(row)
    return rows
