"""AVBench's items: what each clip was asked for, and the clips that answer them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from avreward._parsing import parsed_json
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.scoring.inputs import ListedClip, list_clips

KEYS = ("prompt_vision", "prompt_audio", "utterance", "full_prompt")
NAMES = ("id", "video_id", "hash")  # the id is under the first that an item has, unless it has a video_file


@dataclass(frozen=True)
class AvbenchItem:
    """One item of AVBench.

    Attributes:
        id: its name, which the names of its clips begin with.
        video_prompt: what should be seen.
        audio_prompt: what should be heard, without the words.
        speech: the words to be said; empty where nobody speaks.
        full_prompt: all of it in one text, which generators are given.
        category: of the prompt, where the file has one.
        others: the item's other keys with a text or a number.
    """

    id: str
    video_prompt: str
    audio_prompt: str
    speech: str
    full_prompt: str
    category: str | None = None
    others: Mapping[str, str | float] = field(default_factory=dict)


def read_avbench(path: str | PathLike[str]) -> list[AvbenchItem]:
    """Read AVBench's items from its JSON, such as ``normal_subset.json``.

    An item has the keys ``id``, ``prompt_vision``, ``prompt_audio``, ``utterance`` and ``full_prompt``. As in AVBench's
    own scripts, the name of a ``video_file`` without its ending comes before ``id``, then ``id``, ``video_id`` and
    ``hash``. The published files have no categories; ``category`` is read where you added it.

    Args:
        path: the JSON file.

    Raises:
        AvrewardError: if the file can't be read, or is not a list of such items; it names the item and the keys found.
        ArgumentError: if two items have one id.

    Example:
        >>> text = '[{"id": "video_0", "prompt_vision": "A dog.", "prompt_audio": "A dog barks."}]'
        >>> _ = Path("items.json").write_text(text)
        >>> read_avbench("items.json")[0].audio_prompt
        'A dog barks.'
    """
    path = Path(path)
    try:
        content = parsed_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise AvrewardError(f"{path}: these items can't be read ({why}); give AVBench's JSON file") from error
    if not isinstance(content, list) or not content:
        got = "an empty list" if content == [] else f"a JSON {type(content).__name__}"
        raise AvrewardError(f"{path}: expected a list of items, got {got}; give AVBench's JSON file")
    items = [_item(path, number, entry) for number, entry in enumerate(content, 1)]
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise ArgumentError(f"{path}", "items with different ids", Described(f"{item.id!r} twice"), "rename one")
        seen.add(item.id)
    return items


def avbench_clips(
    items: Sequence[AvbenchItem], clips: Sequence[str | PathLike[str]] | str | PathLike[str]
) -> list[ListedClip]:
    """Return the clips among `clips` that answer items, with the texts that AVBench's dimensions read.

    A clip answers the item whose id its file's name is, or begins with, before an underscore: ``video_000012_sora.mp4``
    answers ``video_000012``. Its prompt is what should be seen; the columns are ``id``, ``system`` (that of the clip's
    row in a manifest, else what follows the id, else the folder's name), ``category`` where there are categories,
    ``full_prompt``, ``texts.audio_prompt`` and ``texts.speech``, and the item's other keys where the clip's row has no
    such column. Compare what is missing with ``{item.id for item in items}``.

    Args:
        items: see `read_avbench`.
        clips: files, folders, patterns or manifests; see `avreward.scoring.list_clips`.

    Returns:
        The clips in their order; those that answer no item are left out.

    Raises:
        ArgumentError: if none of the clips answers an item, or two of one system answer the same item.

    Example:
        >>> item = AvbenchItem("dub1", "A dog.", "A dog barks.", "", "A dog barks at a cat.")
        >>> (clip,) = avbench_clips([item], "dub*.mp4")
        >>> clip.path.name, clip.prompt, clip.columns["texts.audio_prompt"]
        ('dub1.mp4', 'A dog.', 'A dog barks.')
    """
    known = {item.id: item for item in items}
    listed = list_clips(clips)
    answered = [(one, item) for one in listed if (item := _answered(one.path.stem, known)) is not None]
    if not answered:
        expected = f"clips called ID_SYSTEM.mp4, such as {items[0].id}_mine.mp4" if items else "at least one item"
        raise ArgumentError("clips", expected, Described(", ".join(one.path.name for one in listed[:4]) or "none"))
    found = [ListedClip(one.path, item.video_prompt or None, _columns(one, item)) for one, item in answered]
    seen: dict[tuple[str, str], Path] = {}
    for clip in found:
        key = (clip.columns["id"], clip.columns["system"])
        if (other := seen.setdefault(key, clip.path)) != clip.path:
            got = Described(f"{other} and {clip.path}")
            remedy = "remove one, or give a manifest with a column system"
            raise ArgumentError("clips", f"one clip of {key[1] or 'a system'} for {key[0]}", got, remedy)
    return found


def _answered(stem: str, known: Mapping[str, AvbenchItem]) -> AvbenchItem | None:
    """Return the item with the longest id that a file's name begins with."""
    parts = stem.split("_")
    starts = ("_".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((known[start] for start in starts if start in known), None)


def _columns(clip: ListedClip, item: AvbenchItem) -> dict[str, Any]:
    rest = clip.path.stem.removeprefix(item.id).removeprefix("_")
    system = clip.columns.get("system") or rest or clip.path.parent.name
    named = {"id": item.id, "system": str(system), "full_prompt": item.full_prompt}
    if item.category is not None:
        named["category"] = item.category
    if item.audio_prompt:
        named["texts.audio_prompt"] = item.audio_prompt
    if item.speech:
        named["texts.speech"] = item.speech
    return {**item.others, **clip.columns, **named}


def _item(path: Path, number: int, entry: Any) -> AvbenchItem:
    if not isinstance(entry, Mapping):
        raise AvrewardError(f"{path}, item {number}: expected an object, got {entry!r:.80}; correct the item")
    file = entry.get("video_file")
    named = Path(str(file)).stem if file else next((str(entry[key]) for key in NAMES if entry.get(key)), "")
    wrong = [key for key in KEYS if not isinstance(entry.get(key) or "", str)]
    if not named or not any(entry.get(key) for key in KEYS) or wrong:
        found = ", ".join(map(str, entry)) or "nothing"
        if wrong:
            found = f"{wrong[0]} without a text"
        raise AvrewardError(
            f"{path}, item {number}: expected the keys id, {', '.join(KEYS)}, got {found}; correct the item"
        )
    others = {
        key: value
        for key, value in entry.items()
        if key not in (*KEYS, *NAMES, "category", "video_path", "video_file")
        and isinstance(value, str | int | float)
        and not isinstance(value, bool)
    }
    video, audio, speech, full = (str(entry.get(key) or "").strip() for key in KEYS)
    category = entry.get("category")
    return AvbenchItem(named, video, audio, speech, full, None if category in (None, "") else str(category), others)
