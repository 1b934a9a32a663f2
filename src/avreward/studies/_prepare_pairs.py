"""Makes an experiment of pairs that a rater compared: which of the two do people prefer?"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from os import PathLike

from avreward._names import ending_of
from avreward._whole_files import whole_file
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, MediaError
from avreward.studies._media_files import FOLDER, check_one_kind, same_video, shown_file
from avreward.studies._pair_rows import PairRow
from avreward.studies._questions import ShownClip, StudyVideo
from avreward.studies.choices import Choices


def prepare_pairs(
    pairs: Sequence[PairRow],
    folder: str | PathLike[str],
    *,
    limit: int | None = None,
    seed: int = 0,
    step: Callable[[str], None] = lambda name: None,
) -> Choices:
    """Make an experiment of pairs, or continue one; the clips are copied into it, in a form that browsers play.

    A pair of which a clip can't be read is left out, with the reason, and tried again the next time; so is one in which
    the rater prefers neither. The same two clips are asked about once. Files are written without knowledge of the pick.

    Args:
        pairs: see `read_pair_rows`.
        folder: of the experiment.
        limit: how many pairs to ask about, drawn at random, one of each group before a second of any. Default: all.
        seed: of that draw, and of the orders and places.
        step: called with the name of each pair that is done.

    Raises:
        ArgumentError: if `limit` is not positive.
        AvrewardError: if the folder holds an experiment with other pairs, other picks or another seed.

    Example:
        >>> from pathlib import Path
        >>> files = Path("dub1.mp4"), Path("dub2.mp4")
        >>> choices = prepare_pairs([PairRow(files, ("dub1", "dub2"), picked=1)], "asked")
        >>> choices.asked()
        {'dub1 / dub2': 'sound'}
    """
    if limit is not None and limit < 1:
        raise ArgumentError("limit", "a positive integer", limit)
    named = {name: row for row in reversed(pairs) for name in [_name(row)]}
    picks = sorted((name, None if row.picked is None else row.sources[row.picked]) for name, row in named.items())
    digest = hashlib.blake2b(repr(picks).encode(), digest_size=8).hexdigest()
    choices = Choices(folder, {"seed": seed, "pairs": f"{len(named)} ({digest})"})
    done = {video.name for video in choices.videos() if video.picked is not None}
    for name in _drawn(named, seed)[:limit]:
        if name not in done:
            choices.add(_study_video(choices, name, named[name]))
        step(name)
    return choices


def pairs_to_prepare(pairs: Sequence[PairRow], limit: int | None) -> int:
    """Return how many steps `prepare_pairs` takes."""
    count = len({_name(row) for row in pairs})
    return count if limit is None else min(count, limit)


def _name(row: PairRow) -> str:
    """Return the name of a pair; it doesn't depend on which clip was picked."""
    return " / ".join(sorted(row.sources))


def _drawn(named: dict[str, PairRow], seed: int) -> list[str]:
    """Return the names in the order in which a limit takes them."""
    shuffled = sorted(named, key=lambda name: hashlib.blake2b(repr((seed, "draw", name)).encode()).digest())
    met: Counter[str] = Counter()
    place = {}
    for name in shuffled:
        group = named[name].group or name
        place[name] = met[group]
        met[group] += 1
    return sorted(shuffled, key=place.__getitem__)


def _study_video(choices: Choices, name: str, row: PairRow) -> StudyVideo:
    about = {"category": row.category, "prompt": row.prompt, "group": row.group, "margin": row.margin}
    if row.picked is None:
        return StudyVideo(name, [], None, reason="the rater prefers neither", **about)  # type: ignore[arg-type]
    places = sorted((0, 1), key=lambda side: row.sources[side])
    shown, clips, why = [], [], []
    for number, side in enumerate(places):
        source, reward = row.sources[side], row.rewards[side]
        try:
            clip = _opened(choices, name, number, row, side)
            file = shown_file(clip, choices.folder, choices.hidden_name("clip", name, number))
        except (AvrewardError, OSError) as error:
            why.append(str(error))
            shown.append(ShownClip(number, source, reward, reason=str(error)))
        else:
            clips.append(clip)
            shown.append(ShownClip(number, source, reward, file=file))
    if why:
        return StudyVideo(name, shown, None, reason="; ".join(dict.fromkeys(why)), **about)  # type: ignore[arg-type]
    try:
        kind, (width, height) = _kind(*clips), _size(*clips)
    except AvrewardError as error:
        return StudyVideo(name, shown, None, reason=str(error), **about)  # type: ignore[arg-type]
    picked = places.index(row.picked)
    return StudyVideo(name, shown, picked, width=width, height=height, kind=kind, **about)  # type: ignore[arg-type]


def _opened(choices: Choices, name: str, number: int, row: PairRow, side: int) -> Clip:
    path = row.files[side]
    if path.is_file():
        return Clip.open(path)
    content = row.content(side)
    if content is None:
        raise MediaError(row.sources[side], "there is no such file", "call from the folder that its path starts in")
    folder = choices.folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / f"{choices.hidden_name('embedded', name, number)}{ending_of(path.suffix)}"
    with whole_file(own) as part:
        part.write_bytes(content)
    return Clip.open(own)


def _kind(first: Clip, second: Clip) -> str:
    """Return what differs between two clips; see `StudyVideo`."""
    check_one_kind(first, second)
    if not first.has_video:
        return "audio"
    if not (first.has_audio or second.has_audio):
        return "video"
    return "sound" if same_video(first, second) else "clip"


def _size(first: Clip, second: Clip) -> tuple[int, int]:
    clips = [clip for clip in (first, second) if clip.has_video]
    return max(((clip.width, clip.height) for clip in clips), default=(16, 9))
