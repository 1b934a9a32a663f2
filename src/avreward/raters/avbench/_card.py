"""Card of AVBench, without importing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from avreward.raters.card import UNKNOWN, Layout, RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

EVALUATORS = (
    Dimension("audio_video", 0, 1, frozenset({"video", "audio"}), description="whether audio and video match"),
    Dimension("video_text", 0, 1, frozenset({"video", "prompt"}), description="whether the video matches the prompt"),
    Dimension(
        "audio_text",
        0,
        1,
        frozenset({"audio", "texts.audio_prompt"}),
        description="whether the audio matches its prompt",
    ),
)


class _Absent(NamedTuple):
    name: str
    low: float
    high: float
    needs: tuple[str, ...]
    description: str
    judge: str


ABSENT = (
    _Absent("lip_sync", 0, 100, ("video", "audio"), "whether lips and speech agree", "SyncNet (syncnet_v2.model)"),
    _Absent("speech_content", 0, 100, ("audio", "texts.speech"), "whether the words are said", "Whisper large-v3"),
    _Absent("speech_realism", 0, 1, ("audio",), "probability that the speech is real", "DF_Arena_1B_V_1"),
    _Absent("speech_quality", 1, 5, ("audio",), "mean opinion score of the speech", "NISQA (nisqa.tar)"),
    _Absent("audio_aesthetics", -1.75, 7.25, ("audio",), "aesthetics of the audio", "Audiobox Aesthetics"),
    _Absent("video_technical", 0, 100, ("video",), "technical and aesthetic quality", "DOVER++ (DOVER_plus_plus.pth)"),
    _Absent("video_aesthetic", 1, 10, ("video",), "aesthetics of the frames", "the SigLIP aesthetic predictor v2.5"),
)  # fmt: skip
"""The dimensions that are not implemented: declared, and missing for every clip."""

DIMENSIONS = (
    *EVALUATORS,
    *(Dimension(a.name, a.low, a.high, frozenset(a.needs), description=a.description) for a in ABSENT),
)


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    return not config and any((folder / evaluator.name).is_dir() for evaluator in EVALUATORS)


def _loader() -> Callable[..., Rater]:
    from avreward.raters.avbench.rater import load

    return load


CARD = RaterCard(
    "avbench",
    DIMENSIONS,
    licence=UNKNOWN,
    checkpoint="a folder with audio_video/, video_text/, audio_text/, or some of them",
    layout=Layout("AVBench (audio_video/ …)", _recognises, _loader),
)
