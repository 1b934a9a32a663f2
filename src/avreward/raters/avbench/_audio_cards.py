"""Cards of AVBench's networks that rate the audio, without importing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.raters.card import SAME_AS_CHECKPOINT, Layout, RaterCard
from avreward.raters.scores import Dimension

if TYPE_CHECKING:
    from avreward.raters.base import Rater

_AUDIO = frozenset({"audio"})
NISQA_FILE = "nisqa.tar"
NISQA_SCORES = (
    Dimension("speech_quality", 1, 5, _AUDIO, description="mean opinion score of the speech"),
    Dimension("noisiness", 1, 5, _AUDIO, description="freedom from noise; higher is cleaner"),
    Dimension("discontinuity", 1, 5, _AUDIO, description="freedom from interruptions; higher is smoother"),
    Dimension("coloration", 1, 5, _AUDIO, description="freedom from coloration; higher is more natural"),
    Dimension("loudness", 1, 5, _AUDIO, description="how suitable the loudness is"),
)  # fmt: skip
"""NISQA's scores, in the order of its outputs."""


def _has_nisqa(folder: Path, config: Mapping[str, Any]) -> bool:
    return not config and (folder / NISQA_FILE).is_file()


def _nisqa() -> Callable[..., Rater]:
    from avreward.raters.avbench._nisqa import load

    return load


NISQA = RaterCard(
    "nisqa",
    NISQA_SCORES,
    licence="CC BY-NC-SA 4.0 (no commercial use)",
    checkpoint="a folder with nisqa.tar",
    layout=Layout("NISQA (nisqa.tar)", _has_nisqa, _nisqa),
)

_AXIS = 1, 10, _AUDIO
AUDIOBOX_SCORES = (
    Dimension("audio_aesthetics", -1.75, 7.25, _AUDIO, description="(CE + CU + PQ − PC)/4, as in AVBench"),
    Dimension("content_enjoyment", *_AXIS, description="how enjoyable it is to listen to"),
    Dimension("content_usefulness", *_AXIS, description="how useful it is as material for other work"),
    Dimension("production_complexity", *_AXIS, higher_is_better=None, description="how many components it has"),
    Dimension("production_quality", *_AXIS, description="clarity, fidelity, dynamics, frequencies, spatial image"),
)
"""AVBench's number, and the axes that it combines."""


def _has_audiobox(folder: Path, config: Mapping[str, Any]) -> bool:
    return "proj_num_layer" in config or _has_entry(folder, "proj_layer.CE.")


def _audiobox() -> Callable[..., Rater]:
    from avreward.raters.avbench._audiobox import load

    return load


AUDIOBOX = RaterCard(
    "audiobox",
    AUDIOBOX_SCORES,
    licence="CC BY 4.0",
    checkpoint="facebook/audiobox-aesthetics",
    layout=Layout("Audiobox Aesthetics (proj_layer.*)", _has_audiobox, _audiobox),
)


REALISM = (Dimension("speech_realism", 0, 1, _AUDIO, description="probability that the speech is real, not generated"),)


def _has_df_arena(folder: Path, config: Mapping[str, Any]) -> bool:
    return _has_entry(folder, "backbone.conformer.")


def _df_arena() -> Callable[..., Rater]:
    from avreward.raters.avbench._df_arena import load

    return load


DF_ARENA = RaterCard(
    "df_arena",
    REALISM,
    licence="other (see its model card)",
    checkpoint="Speech-Arena-2025/DF_Arena_1B_V_1",
    layout=Layout("DF Arena (backbone.conformer.*)", _has_df_arena, _df_arena),
)


SPEECH = "speech"
"""Name of the text that holds the words to be said."""


def _said(name: str, description: str, detail: bool = False) -> Dimension:
    """Return a dimension of a transcript, which no gradient reaches."""
    needs = frozenset({"audio", f"texts.{SPEECH}"})
    return Dimension(name, 0, 100, needs, detail=detail, description=description, streams=())


SPEECH_SCORES = (
    _said("speech_content", "AVBench's match of characters said and to be said"),
    _said("word_accuracy", "100·(1 − word error rate)"),
    _said("completeness", "characters to be said that are said", detail=True),
    _said("accuracy", "similarity of both texts", detail=True),
    _said("no_hallucination", "characters said that were to be said", detail=True),
)
"""AVBench's score, the share of words, and the parts of AVBench's score."""


def _is_whisper(folder: Path, config: Mapping[str, Any]) -> bool:
    return config.get("model_type") == "whisper"


def _whisper() -> Callable[..., Rater]:
    from avreward.raters.avbench._speech_content import load

    return load


WHISPER = RaterCard(
    "whisper",
    SPEECH_SCORES,
    licence=SAME_AS_CHECKPOINT,
    checkpoint="Whisper, such as openai/whisper-large-v3",
    layout=Layout("Whisper (model_type whisper)", _is_whisper, _whisper),
)


def _has_entry(folder: Path, prefix: str) -> bool:
    """Return whether the files with weights in `folder` hold an entry that begins with `prefix`."""
    from avreward.errors import AvrewardError
    from avreward.raters.checkpoints._weights import shapes, weight_files

    try:
        return any(name.startswith(prefix) for name in shapes(weight_files(folder)))
    except AvrewardError:  # no weights, or none that can be read: another layout says so
        return False


AUDIO_CARDS = (NISQA, AUDIOBOX, DF_ARENA, WHISPER)
"""Cards of the networks that rate the audio."""
