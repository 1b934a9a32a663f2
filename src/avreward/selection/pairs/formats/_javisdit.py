"""JavisDiT++'s audio-video DPO: a CSV of its training data with the rejected clip in two more columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from avreward.selection.pairs.formats._media import Pair, PairMedia
from avreward.selection.pairs.formats.base import Keep, PairFormat, frames_of, has, prompted, rate_of, text_of
from avreward.selection.pairs.make import PreferencePairs


def _row(pair: Pair, media: PairMedia) -> Iterator[Mapping[str, Any]]:
    path, sound = media.clip(pair, "chosen"), media.sound(pair, "chosen", SAMPLE_RATE)
    # JavisDiT's script takes the size and length of the smaller and the shorter clip, so that both can be cut to it.
    height, width = min(
        ((pair[f"{side}_height"], pair[f"{side}_width"]) for side in SIDES), key=lambda hw: hw[0] * hw[1]
    )
    yield {
        "path": path,
        "id": pair["pair"],
        "relpath": PurePath(path).name,
        "num_frames": min(frames_of(pair, side) for side in SIDES),
        "height": height,
        "width": width,
        "aspect_ratio": height / width,
        "fps": rate_of(pair, "chosen"),
        "resolution": height * width,
        "audio_path": sound,
        "audio_id": PurePath(sound).stem,
        "audio_fps": SAMPLE_RATE,
        "text": text_of(pair),
        "path_reject": media.clip(pair, "rejected"),
        "audio_path_reject": media.sound(pair, "rejected", SAMPLE_RATE),
    }


def _keep(pairs: PreferencePairs, labels: Mapping[str, str]) -> Sequence[Keep]:
    shown = has(pairs, "width") & has(pairs, "fps")
    return [
        ("no video (av-dpo needs both)", shown),
        ("no audio (av-dpo needs both)", has(pairs, "sample_rate")),
        ("no common prompt (av-dpo reads an empty one as missing)", prompted(pairs)),
    ]


SIDES = ("chosen", "rejected")
SAMPLE_RATE = 16_000  # Hz: the mel transform of the published configuration is built for it, and both clips need one
_TEXTS = ("path", "id", "relpath", "audio_path", "audio_id", "text", "path_reject", "audio_path_reject")
_COLUMNS = (
    "path", "id", "relpath", "num_frames", "height", "width", "aspect_ratio", "fps", "resolution", "audio_path",
    "audio_id", "audio_fps", "text", "path_reject", "audio_path_reject",
)  # fmt: skip

JAVISDIT = PairFormat(
    "av-dpo",
    ".csv",
    {
        name: "string" if name in _TEXTS else "double" if name in ("aspect_ratio", "fps") else "int64"
        for name in _COLUMNS
    },
    _row,
    "https://github.com/JavisVerse/JavisDiT/blob/main/assets/docs/data.md",
    "size and length are those of the smaller and the shorter clip; the audio is a WAV file of 16 kHz beside "
    "the rows; scores, margins, conflicts, loudness, motion, seeds and groups are left out",
    _keep,
    naming="absolute",
    use="torchrun scripts/train.py configs/wan2.1/train/stage3_audio_video_dpo.py --data-path FOLDER/train.csv; "
    "JavisVerse/JavisDiT (not checked against the original)",
)
