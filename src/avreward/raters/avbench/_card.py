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


class Network(NamedTuple):
    """A dimension without a language model, and the rater that gives it.

    Attributes:
        dimension: as AVBench has it.
        judge: what its rater is.
        theirs: name that its rater has for it.
    """

    dimension: Dimension
    judge: str
    theirs: str


_AUDIO, _VIDEO = frozenset({"audio"}), frozenset({"video"})
NETWORKS = (
    Network(
        Dimension("lip_sync", 0, 100, _AUDIO | _VIDEO, description="whether lips and speech agree"),
        "SyncNet (syncnet_v2.model)",
        "lip_sync",
    ),
    Network(
        Dimension(
            "speech_content", 0, 100, _AUDIO | {"texts.speech"}, description="whether the words are said", streams=()
        ),
        "Whisper large-v3",
        "speech_content",
    ),
    Network(
        Dimension("speech_realism", 0, 1, _AUDIO, description="probability that the speech is real"),
        "DF_Arena_1B_V_1",
        "speech_realism",
    ),
    Network(
        Dimension("speech_quality", 1, 5, _AUDIO, description="mean opinion score of the speech"),
        "NISQA (nisqa.tar)",
        "speech_quality",
    ),
    Network(
        Dimension("audio_aesthetics", -1.75, 7.25, _AUDIO, description="aesthetics of the audio"),
        "Audiobox Aesthetics",
        "audio_aesthetics",
    ),
    Network(
        Dimension("video_technical", 0, 100, _VIDEO, description="technical and aesthetic quality"),
        "DOVER++ (DOVER_plus_plus.pth)",
        "overall",
    ),
    Network(
        Dimension("video_aesthetic", 1, 10, _VIDEO, description="aesthetics of the frames"),
        "the SigLIP aesthetic predictor v2.5",
        "video_aesthetic",
    ),
)
"""The dimensions of networks that are raters of their own."""

DIMENSIONS = (*EVALUATORS, *(network.dimension for network in NETWORKS))


def _recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    return not config and any((folder / dimension.name).is_dir() for dimension in DIMENSIONS)


def _loader() -> Callable[..., Rater]:
    from avreward.raters.avbench.rater import load

    return load


CARD = RaterCard(
    "avbench",
    DIMENSIONS,
    licence=UNKNOWN,
    checkpoint="a folder with audio_video/, video_text/, lip_sync/ …: one a dimension, or some of them",
    layout=Layout("AVBench (audio_video/ …)", _recognises, _loader),
)
