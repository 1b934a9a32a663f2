"""The actor that rates batches of clips, with its models loaded once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from avreward._parsing import parsed_json
from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media._isolated.workers import isolated_for
from avreward.raters.base import Rater
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.scoring._grouping import group_in
from avreward.scoring._score_table import metadata_of, problem_of, row_of
from avreward.scoring.evaluator import Evaluator
from avreward.scoring.inputs import ListedClip
from avreward.scoring.store.store import Store

CLIP, ABOUT, CONTENT = "clip", "about", "content"
"""Columns of what an actor takes: path or name, the rest of the row as JSON, and the bytes where there is no file."""
ROW = "row"
"""The column of what it gives: a row of the scored table as JSON."""

Loaded = tuple[Reward | None, Sequence[Rater]]


class ScoreClips:
    """A class for `ray.data.Dataset.map_batches`: rate clips, with the models loaded once in each actor.

    `score_dataset` uses it; use it alone to put scores into a pipeline of your own. It takes batches with the columns
    `clip` (a path, or a name) and, as they are there, `content` (the bytes of a media file) and `about` (a JSON object
    with `prompt` and other columns), and returns the column `row`: JSON objects with a key each column of a scored
    table, and `problem` where the clip has no score.

    Args:
        reward: an expression, the file of a reward, or a function that loads the reward and more raters.
        store: folder of a store that all actors can write to (*optional*).
        group_by: by what clips are grouped (*optional*, the folder), see `avreward.scoring.group_of`.
        column: whether `group_by` is a column of `about`, and not a rule.
        retry_missing: see `avreward.scoring.score_files`.
        threads: see `avreward.scoring.Evaluator` (*optional*).

    Example:
        >>> score = ScoreClips("audio_quality")
        >>> import numpy
        >>> from avreward._parsing import parsed_json
        >>> rows = score({"clip": numpy.array(["dub1.mp4", "dub2.mp4"])})["row"]
        >>> [parsed_json(row)["reward"] > 70 for row in rows]
        [False, True]
    """

    def __init__(
        self,
        reward: RewardLike | Callable[[], Loaded],
        store: str | None = None,
        group_by: str = "parent",
        column: bool = False,
        retry_missing: bool = False,
        threads: int | None = None,
    ) -> None:
        self.reward, self.raters = loaded(reward)
        self.store = None if store is None else Store(store)
        self.group_by, self.column = group_by, column
        targets = [*([] if self.reward is None else [self.reward]), *self.raters]
        self.evaluator: Evaluator[Any] = Evaluator(
            targets, store=self.store, retry_missing=retry_missing, threads=threads, isolate=False
        )
        self._apart = ExitStack()  # ends with the actor
        self._apart.enter_context(isolated_for((), True))

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return the rows of a batch, in order; a clip that can't be scored is a row with its reason."""
        listed = [_listed(str(clip), about) for clip, about, _ in _columns(batch)]
        contents = [content for _, _, content in _columns(batch)]
        with TemporaryDirectory(prefix="avreward-", ignore_cleanup_errors=True) as folder:
            each = zip(listed, contents, strict=True)
            paths = [_on_disk(one, content, folder, i) for i, (one, content) in enumerate(each)]
            with closing(self.evaluator.stream(self._opened(listed, paths), strict=False)) as rows:
                found = [self._row(one, path, scored) for one, path, scored in zip(listed, paths, rows, strict=True)]
        return {ROW: [json.dumps(row, allow_nan=False) for row in found]}

    def about(self) -> dict[str, Any]:
        """Return what the table of the scores must know: its metadata, columns of scores, and fingerprint."""
        fingerprint = self.reward.fingerprint if self.reward else "+".join(rater.fingerprint for rater in self.raters)
        return {
            "metadata": metadata_of(self.raters, self.reward, self.group_by),
            "columns": [f"{rater.name}.{dimension.name}" for rater in self.raters for dimension in rater.dimensions],
            "fingerprint": fingerprint,
        }

    def _opened(self, listed: Sequence[ListedClip], paths: Sequence[Path]) -> Iterator[Path | Clip]:
        opened = Clip.open if self.store is None else self.store.open
        for one, path in zip(listed, paths, strict=True):
            try:
                known = one.prompt is not None or one.texts
                yield opened(path, prompt=one.prompt, texts=one.texts) if known else path
            except MediaError:
                yield path  # so that it fails in its turn

    def _row(self, listed: ListedClip, path: Path, scored: Any) -> dict[str, Any]:
        row = row_of(scored, listed) | {"group": group_in(listed, self.group_by, self.column, scored.clip)}
        problem = problem_of(scored)
        found = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}
        found |= {"clip": str(listed.path), "problem": problem, "known": scored.known}
        return renamed(found, str(path), str(listed.path)) if path != listed.path else found


def loaded(reward: Any) -> Loaded:
    """Return a reward, which may be `None`, and all raters: its own and others."""
    chosen, also = reward() if callable(reward) and not isinstance(reward, Reward) else (as_reward(reward), ())
    raters = {rater.name: rater for rater in (*also, *(chosen.raters if chosen is not None else ()))}
    return chosen, list(raters.values())


def _columns(batch: Mapping[str, Any]) -> Iterator[tuple[Any, str, Any]]:
    clips = batch[CLIP]
    nothing = [None] * len(clips)
    yield from zip(clips, batch.get(ABOUT, nothing), batch.get(CONTENT, nothing), strict=True)


def _listed(clip: str, about: str | None) -> ListedClip:
    known = parsed_json(about) if about else {}
    prompt = known.pop("prompt", None)
    return ListedClip(Path(clip), None if prompt is None else str(prompt), known)


def _on_disk(listed: ListedClip, content: object, folder: str, number: int) -> Path:
    """Return the file of a clip; bytes are written to `folder`."""
    if content is None:
        return listed.path
    path = Path(folder, f"{number}{listed.path.suffix[:8]}")
    path.write_bytes(bytes(content))  # type: ignore[call-overload]  # bytes, or an array of them
    return path


def renamed(row: dict[str, Any], path: str, name: str) -> dict[str, Any]:
    """Return a row whose messages name the clip, and not the file that its bytes were written to."""
    row["reasons"] = {key: why.replace(path, name) for key, why in row["reasons"].items()}
    if row["problem"] is not None:
        row["problem"] = row["problem"].replace(path, name)
    return row
