"""Questions about a clip for a multimodal model without training: one for each dimension.

The first five are those of AGAV-Rater's table 8 (arXiv:2501.18314), word for word, where ``<text>`` is the prompt. The
other four are AIGV-Assessor's dimensions (arXiv:2411.17221): its code has the wording for the static quality, which the
others follow. The yes/no forms are ours.
"""

from __future__ import annotations

from typing import NamedTuple

YES_NO_PLEASE = " Answer Yes or No."
_LEVELS_PLEASE = " Response with excellent, good, fair, bad, or poor."
_BOTH, _PICTURE, _SOUND = ("video", "audio"), ("video",), ("audio",)


class ZeroShotQuestion(NamedTuple):
    """One way to ask about a dimension; the first whose tracks and texts a clip has is used.

    `slots`: the tracks before the question. `stem`: how the answer begins. `yes_no`: the question to be answered by yes
    or no.
    """

    dimension: str
    slots: tuple[str, ...]
    question: str
    stem: str
    yes_no: str


def _audio_quality(slots: tuple[str, ...]) -> ZeroShotQuestion:
    return ZeroShotQuestion(
        "audio_quality",
        slots,
        "Can you evaluate the audio quality in terms of quality and realism?" + _LEVELS_PLEASE,
        "The audio quality is",
        "Is the audio of good quality and realistic?",
    )


def _of_video(dimension: str, called: str, before: str = "", yes_no: str = "") -> ZeroShotQuestion:
    return ZeroShotQuestion(
        dimension,
        _PICTURE,
        f"{before}How would you rate the {called} of this video? ",
        f"The {called} of the video is",
        yes_no or f"Is the {called} of this video good?",
    )


ASKED = (
    _audio_quality(_BOTH),
    _audio_quality(_SOUND),
    ZeroShotQuestion(
        "av_consistency",
        _BOTH,
        "Can you evaluate the audio and video content consistency?" + _LEVELS_PLEASE,
        "The audio and video content consistency is",
        "Do the audio and the video match in content?",
    ),
    ZeroShotQuestion(
        "overall",
        _BOTH,
        "Can you evaluate the overall audio-visual quality in terms of audio quality, audio and video content "
        "consistency?" + _LEVELS_PLEASE,
        "The overall audio-visual quality is",
        "Is the overall audio-visual quality good?",
    ),
    ZeroShotQuestion(
        "audio_text",
        _SOUND,
        "The text is {prompt}Can you evaluate the audio-text content consistency of the audio and text?"
        + _LEVELS_PLEASE,
        "The audio-text content consistency is",
        "Does the audio match this description: {prompt}?",
    ),
    _of_video("static_quality", "static quality"),
    _of_video("temporal_smoothness", "temporal smoothness"),
    _of_video("dynamic_degree", "dynamic degree"),
    _of_video(
        "tv_correspondence",
        "text-video correspondence",
        "The text is {prompt}. ",
        "Does the video match this description: {prompt}?",
    ),
)
