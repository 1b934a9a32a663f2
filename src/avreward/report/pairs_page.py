"""The page of `avreward pairs --report`: pairs to look at, twenty at a time, with search and a filter by margin."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avreward._locks import claimed
from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.report._media import media_of, relative_url
from avreward.report.page import HERE, _policy, environment, write_whole
from avreward.scoring._torch_threads import one_core
from avreward.selection.pairs.make import PreferencePairs

FEW = 200  # clips that are opened, checked, and encoded where browsers don't play them; of more, files are linked
THREADS = 4
MOST_SCORES = 12  # columns shown of both clips
BARS = 40  # of the histogram of margins
AUDIO = {".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"}


def write_pairs_page(
    path: str | PathLike[str], pairs: PreferencePairs, *, step: Callable[[str], None] = lambda name: None
) -> Path:
    """Write an HTML page with preference pairs: players side by side, scores, search, a filter by margin, pages.

    Media are linked, and loaded when they come near the screen. Of up to 200 clips, those that browsers don't play are
    encoded into a folder beside the page; of more, files are linked as they are.

    Args:
        path: of the page.
        pairs: see `make_pairs`.
        step: called with the name of each clip that is ready (only of up to 200).

    Returns:
        The path of the page.

    Raises:
        OSError: if the page can't be written.
        OutputInUse: if another run is writing it.

    Example:
        >>> from avreward.scoring import read_table
        >>> from avreward.selection import candidates_of, make_pairs
        >>> write_pairs_page("pairs.html", make_pairs(candidates_of(read_table("scores.parquet"))))
        PosixPath('pairs.html')
    """
    path = Path(path)
    with claimed(path):
        return write_whole(path, _render(pairs, _data(pairs, path, step)))


def clips_to_prepare(pairs: PreferencePairs) -> int:
    """Return how many clips `write_pairs_page` opens."""
    count = len(np.unique(np.concatenate([pairs.chosen, pairs.rejected])))
    return count if count <= FEW else 0


def _render(pairs: PreferencePairs, data: dict[str, Any]) -> str:
    from importlib.metadata import version

    from jinja2.utils import htmlsafe_json_dumps
    from markupsafe import Markup

    from avreward.selection.pairs._card import rule_in_words

    style = "".join((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "pairs.css"))
    script = (HERE / "pairs.js").read_text(encoding="utf-8")
    own = {"style": Markup(style), "script": Markup(script)}  # noqa: S704 - our own files
    return (
        environment()
        .get_template("pairs.html.j2")
        .render(
            count=len(pairs),
            groups=len(np.unique(pairs.group)),
            table=str(pairs.pool.table.path),
            rule=rule_in_words(pairs),
            dropped=list(pairs.dropped.items()),
            tested=int(pairs.test.sum()),
            torn=int(pairs.worse.any(axis=1).sum()) if pairs.rule.dimensions else None,
            bars=_bars(pairs.margin),
            largest=float(pairs.margin.max()),
            data=htmlsafe_json_dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False),
            policy=_policy(script),
            version=version("avreward"),
            **own,
        )
    )


def _data(pairs: PreferencePairs, page: Path, step: Callable[[str], None]) -> dict[str, Any]:
    """Return what the script draws: clips, prompts and groups once, and pairs as numbers of them."""
    pool = pairs.pool
    rows, place = np.unique(np.concatenate([pairs.chosen, pairs.rejected]), return_inverse=True)
    chosen, rejected = place[: len(pairs)].tolist(), place[len(pairs) :].tolist()
    groups, group = np.unique(pairs.group, return_inverse=True)
    prompts, prompt = _texts(pairs, "prompt", rows)
    conflicts = [np.flatnonzero(worse).tolist() for worse in pairs.worse]
    margins = [_short(value) for value in pairs.margin.tolist()]
    test = pairs.test.astype(int).tolist()
    columns = list(zip(chosen, rejected, group.tolist(), margins, conflicts, test, strict=True))
    return {
        "folder": _folder(pairs.pool.table.column("clip").take(rows).to_pylist()),
        "scores": (names := _score_names(pairs)),
        "dimensions": list(pairs.rule.dimensions),
        "groups": [pool.names[i] for i in groups],
        "prompts": prompts,
        "clips": _clips(pairs, rows, names, prompt, page, step),
        "pairs": columns,
    }


def _score_names(pairs: PreferencePairs) -> list[str]:
    """Return the columns to show: those that the rule names first."""
    table = pairs.pool.table
    named = [pairs.pool.reward, *pairs.rule.dimensions]
    return list(dict.fromkeys([*named, *(name for name in table.scores if table.has(name))]))[:MOST_SCORES]


def _folder(paths: Sequence[str]) -> str:
    """Return how all paths begin, up to a folder; the page leaves it away."""
    try:
        whole = os.path.commonpath({os.path.dirname(path) for path in paths}).rstrip("/") + "/"
    except ValueError:  # some are relative, some are not
        return ""
    return whole if all(path.startswith(whole) for path in paths) else ""


def _texts(pairs: PreferencePairs, column: str, rows: NDArray[np.int64]) -> tuple[list[str], list[int]]:
    """Return the distinct texts of a column, and which one each row has; -1 for none."""
    table = pairs.pool.table
    if not table.has(column):
        return [], [-1] * len(rows)
    texts = table.column(column).take(rows).to_pylist()
    known = {text: i for i, text in enumerate(dict.fromkeys(text for text in texts if text))}
    return list(known), [known.get(text, -1) for text in texts]


def _clips(
    pairs: PreferencePairs,
    rows: NDArray[np.int64],
    names: Sequence[str],
    prompt: Sequence[int],
    page: Path,
    step: Callable[[str], None],
) -> list[list[Any]]:
    """Return for each clip: name, address, kind, poster, why there is nothing to play, prompt, scores."""
    table = pairs.pool.table
    paths = table.column("clip").take(rows).to_pylist()
    values = [[_short(value) for value in table.numbers(name)[rows].tolist()] for name in names]
    scores = zip(*values, strict=True) if values else ((),) * len(rows)

    def opened(number: int) -> list[Any]:
        try:
            clip = Clip.open(paths[number])
        except AvrewardError as error:
            return ["", "video", "", str(error)]
        finally:
            step(paths[number])
        media = media_of(clip, page, f"{number + 1:03d}-{Path(paths[number]).stem}")
        return [media.url, media.kind, media.poster, media.problem]

    def linked(path: str) -> list[Any]:
        kind = "audio" if Path(path).suffix.lower() in AUDIO else "video"
        there = Path(path).is_file()
        return [
            relative_url(Path(path), page.parent) if there else "",
            kind,
            "",
            "" if there else f"{path}: no such file",
        ]

    if len(rows) <= FEW:
        with one_core(), ThreadPoolExecutor(THREADS) as pool:
            media = list(pool.map(opened, range(len(rows))))
    else:
        media = [linked(path) for path in paths]
    return [
        [path, *found, text, list(score)] for path, found, text, score in zip(paths, media, prompt, scores, strict=True)
    ]


def _short(value: float) -> float | None:
    """Return a number with five digits; `None` where it is missing."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _bars(margin: NDArray[np.float64]) -> list[float]:
    """Return the histogram of the margins from 0 to the largest, as shares of the highest bar."""
    counts, _ = np.histogram(margin, bins=BARS, range=(0.0, float(margin.max()) or 1.0))
    return [float(count) / max(1, int(counts.max())) for count in counts]
