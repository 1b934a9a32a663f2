"""Rows for actors, from lists of clips, from data sets of paths or bytes, and from WebDataset shards."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from avreward._parsing import parsed_json
from avreward.errors import ArgumentError, Described
from avreward.integrations.ray._actor import ABOUT, CLIP, CONTENT
from avreward.scoring._manifest import MEDIA, PATHS
from avreward.scoring.inputs import ListedClip

KEY = "__key__"
"""What WebDataset calls the name that the files of one sample share."""


def row_from(listed: ListedClip) -> dict[str, str]:
    """Return the row of a clip of a list; relative paths become absolute, since actors may have another folder."""
    about = {"prompt": listed.prompt, **listed.columns}
    return {CLIP: os.path.abspath(listed.path), ABOUT: json.dumps(about, default=str)}


def row_of_sample(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a sample of a data set: with a path, with bytes, or of a WebDataset shard.

    Raises:
        ArgumentError: if it has none of them.
    """
    if KEY in sample:
        return _of_shard(sample)
    path = next((sample[name] for name in PATHS if isinstance(sample.get(name), str)), None)
    content = next((sample[name] for name in ("bytes", CONTENT) if isinstance(sample.get(name), bytes)), None)
    if path is None and content is None:
        got, remedy = Described(f"the columns {', '.join(map(str, sample))}"), "name the clips in the column clip"
        raise ArgumentError("dataset", f"a column {', '.join(PATHS)} with paths, or bytes", got, remedy)
    row: dict[str, Any] = {CLIP: path or "clip", ABOUT: json.dumps({"prompt": sample.get("prompt")}, default=str)}
    return row if content is None else row | {CONTENT: content}


def _of_shard(sample: Mapping[str, Any]) -> dict[str, Any]:
    media = [name for name in sample if f".{name.rpartition('.')[2].lower()}" in MEDIA and sample[name] is not None]
    if len(media) != 1:
        got = Described(f"{', '.join(media) or 'none'} in {sample[KEY]}")
        raise ArgumentError(
            "shards", "one media file a sample", got, "split the samples, or pass a data set with paths"
        )
    about: dict[str, Any] = {}
    known = sample.get("json")
    if isinstance(known, bytes | str):
        known = parsed_json(known)
    if isinstance(known, dict):
        about |= {name: value for name, value in known.items() if not isinstance(value, dict | list)}
    text = sample.get("txt")
    if isinstance(text, bytes | str):  # a reader may have decoded it
        about["prompt"] = (text if isinstance(text, str) else text.decode("utf-8", "replace")).strip()
    return {CLIP: f"{sample[KEY]}.{media[0]}", ABOUT: json.dumps(about), CONTENT: sample[media[0]]}


def shards_in(clips: object) -> list[str] | None:
    """Return the paths where all that is given are WebDataset shards (``.tar``); `None` otherwise."""
    given = [clips] if isinstance(clips, str | os.PathLike) else clips
    if not isinstance(given, Sequence) or not given or not all(isinstance(one, str | os.PathLike) for one in given):
        return None
    paths = [os.fspath(one) for one in given]
    return paths if all(path.lower().endswith(".tar") for path in paths) else None
