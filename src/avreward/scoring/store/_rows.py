"""Convert scores to rows of a store and back, and compute the keys of the rows."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.raters._environment import environment
from avreward.raters.base import Rater
from avreward.raters.scores import Dimension, Scores
from avreward.scoring.store._tables import RaterRow, ScoreRow, rater_id

# What `decode` raises at a damaged row; one of a file that has checksums is found before.
UNDECODABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError, struct.error)


class StoredScores(NamedTuple):
    """One clip's scores (a single row), and why it could not be rated at all, or `None`."""

    scores: Scores
    error: str | None


def rater_row(rater: Rater) -> RaterRow:
    """Return the row of a rater: its fingerprint, the names of its dimensions and the versions of its libraries."""
    fingerprint = rater.fingerprint
    dimensions = json.dumps([dimension.name for dimension in rater.dimensions])
    libraries = json.dumps(environment(rater.libraries))
    return RaterRow(rater_id(fingerprint, dimensions, libraries), rater.name, fingerprint, dimensions, libraries)


def clip_key(rater: Rater, clip: Clip) -> bytes:
    """Return a hash of what `rater` reads: the content of the tracks, or why one is missing, and the texts.

    Nothing is decoded.

    Raises:
        MediaError: if a file can't be read any more.
    """
    texts = rater.reads() - {"video", "audio"}
    keys = clip.keys
    seen: list[tuple[str, str | None, str | None]] = []
    for track in sorted(rater.tracks):
        seen.append((track, keys[track], None) if track in keys else (track, None, clip.missing.get(track)))
    for name in sorted(texts):
        seen.append((name, clip.prompt if name == "prompt" else clip.texts.get(name.removeprefix("texts.")), None))
    return hashlib.blake2b(json.dumps(seen).encode(), digest_size=16).digest()


def judged(row: ScoreRow | None, clip: Clip, rater: Rater, retry_missing: bool) -> StoredScores | None:
    """Return the scores of `clip` in `row`; `None` without a row, or if the clip should be rated again."""
    if row is None:
        return None
    known = decode(row, clip, rater.dimensions)
    if retry_missing and row.missing:
        absent = [d for d, there in zip(rater.dimensions, known.scores.present[0].tolist(), strict=True) if not there]
        if any(_met(dimension, clip) for dimension in absent):
            return None
    return known


def _met(dimension: Dimension, clip: Clip) -> bool:
    """Return whether `clip` has what `dimension` needs: otherwise rating it again does not help."""
    have = {"video": clip.has_video, "audio": clip.has_audio, "prompt": clip.prompt is not None}
    return all(have.get(need, need.removeprefix("texts.") in clip.texts) for need in dimension.needs)


def encode(
    rater: RaterRow, keys: Sequence[bytes], clips: Sequence[Clip], scores: Scores, error: str | None = None
) -> list[ScoreRow]:
    """Return one row for each clip; a NaN is stored as a missing score.

    `error` says why the clips could not be rated at all.
    """
    names, dtype = scores.names, str(scores.values.dtype).removeprefix("torch.")
    table, presence = scores.values.detach().double().tolist(), scores.present.tolist()
    sigmas = None if scores.sigma is None else scores.sigma.detach().double().tolist()
    rows = []
    for i, (values, present) in enumerate(zip(table, presence, strict=True)):
        kept = [value for value, there in zip(values, present, strict=True) if there and not math.isnan(value)]
        note: dict[str, Any] = {} if dtype == "float32" else {"dtype": dtype}
        if error is not None:
            note["error"] = _without_path(error, clips[i])
        elif len(kept) < len(names):
            note["missing"] = {
                name: _without_path(scores.reasons[i].get(name, _NO_REASON), clips[i]) if not there else _NAN
                for name, value, there in zip(names, values, present, strict=True)
                if not there or math.isnan(value)
            }
        if scores.basis[i]:
            note["basis"] = scores.basis[i]
        if sigmas is not None:
            note["sigma"] = {name: sigma for name, sigma in zip(names, sigmas[i], strict=True) if not math.isnan(sigma)}
        text = json.dumps(note) if note else None
        rows.append(ScoreRow(rater.id, keys[i], len(names) - len(kept), struct.pack(f"<{len(kept)}d", *kept), text))
    return rows


def decode(row: ScoreRow, clip: Clip, dimensions: tuple[Dimension, ...]) -> StoredScores:
    """Return the stored scores of `clip`, in their dtype, on the CPU; raise one of `UNDECODABLE` if it is damaged."""
    note = json.loads(row.note) if row.note else {}
    names = [dimension.name for dimension in dimensions]
    error = _with_path(note["error"], clip) if "error" in note else None
    missing = dict.fromkeys(names, error) if error is not None else note.get("missing", {})
    missing = {name: _with_path(reason, clip) for name, reason in missing.items()}
    kept = struct.unpack(f"<{len(row.value) // 8}d", row.value)
    present = [name not in missing for name in names]
    if not row.missing == present.count(False) == len(names) - len(kept):
        raise ValueError("another number of scores")
    values = iter(kept)
    dtype = getattr(torch, note.get("dtype", "float32"))
    sigma: Tensor | None = None
    if "sigma" in note:
        sigma = torch.tensor([[note["sigma"].get(name, math.nan) for name in names]], dtype=dtype)
    scores = Scores(
        torch.tensor([[next(values) if there else math.nan for there in present]], dtype=dtype),
        torch.tensor([present]),
        [missing],
        dimensions,
        [{name: tuple(parts) for name, parts in note.get("basis", {}).items()}],
        sigma,
    )
    return StoredScores(scores, error)


_NO_REASON = "the rater gave no reason"
_NAN = "the score is nan, not a finite number"  # the text that rewards use
_PATH = "\0"  # which no path contains


def _without_path(text: str, clip: Clip) -> str:
    """Return `text` without the clip's path: the same content may be in another file later."""
    return text if clip.path is None else text.replace(str(clip.path), _PATH)


def _with_path(text: str, clip: Clip) -> str:
    return text.replace(_PATH, str(clip.path or clip.name))
