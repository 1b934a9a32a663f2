"""What pipelines of diffusers cannot do, by their class; tests compare it with the installed version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avreward.errors import ArgumentError, Described

# Not usable at all, with what they do instead.
UNABLE: Mapping[str, str] = {
    "I2VGenXLPipeline": "draws noise without the generator that it is given, so that a seed does not repeat its clip",
    "LTX2HDRPipeline": "makes linear light instead of video in [0, 1]",
}

_SECTIONS = "makes its video section by section, so that no step shows the whole of it"
_SCHEDULES = "gives each frame a schedule of its own"
_TWICE = "takes each step of its scheduler twice"
# Pausing strategies (halving, steering, beam search) are refused.
NO_PAUSE: Mapping[str, str] = {
    "AnyFlowFARPipeline": _SECTIONS,
    "CosmosTextToWorldPipeline": _TWICE,
    "CosmosVideoToWorldPipeline": _TWICE,
    "HeliosPipeline": _SECTIONS,
    "HeliosPyramidPipeline": _SECTIONS,
    "HunyuanVideoFramepackPipeline": _SECTIONS,
    "LTXI2VLongMultiPromptPipeline": _SECTIONS,
    "LTXConditionPipeline": "has tokens of different noise levels in one step",
    "WanAnimatePipeline": _SECTIONS,
    "SkyReelsV2DiffusionForcingPipeline": _SCHEDULES,
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": _SCHEDULES,
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": _SCHEDULES,
}
# Steering and beam search are refused; halving works.
NO_EXCHANGE: Mapping[str, str] = {
    "LTX2ImageToVideoPipeline": "joins its video latents with those of the image before the audio's step",
}
# Their candidates are generated one by one: in a batch they fail or depend on each other.
ALONE = frozenset(
    {
        "AllegroPipeline",
        "AnimateDiffControlNetPipeline",
        "HeliosPyramidPipeline",
        "HunyuanVideo15ImageToVideoPipeline",
        "HunyuanVideo15Pipeline",
        "Kandinsky5I2VPipeline",
        "LTX2ImageToVideoPipeline",
        "LTXConditionPipeline",
        "SkyReelsV2DiffusionForcingImageToVideoPipeline",
        "SkyReelsV2DiffusionForcingPipeline",
        "SkyReelsV2DiffusionForcingVideoToVideoPipeline",
        "VideoToVideoSDPipeline",
        "WanVACEPipeline",
    }
)
# They take an image or a video per candidate, so one is repeated for a batch; the others repeat it themselves.
REPEATED = frozenset(
    {
        "AnimateDiffVideoToVideoControlNetPipeline",
        "AnimateDiffVideoToVideoPipeline",
        "CogVideoXFunControlPipeline",
        "CogVideoXImageToVideoPipeline",
        "CogVideoXVideoToVideoPipeline",
        "Cosmos2VideoToWorldPipeline",
        "CosmosVideoToWorldPipeline",
        "EasyAnimateInpaintPipeline",
        "HunyuanSkyreelsImageToVideoPipeline",
        "HunyuanVideoFramepackPipeline",
        "HunyuanVideoImageToVideoPipeline",
        "LTXImageToVideoPipeline",
        "LucyEditPipeline",
        "PIAPipeline",
        "StableVideoDiffusionPipeline",
    }
)
# Their latents are decoded without them; a preview of any other is a call of the pipeline in one step.
DECODED = frozenset(
    {
        "AudioLDM2Pipeline",
        "CogVideoXFunControlPipeline",
        "CogVideoXImageToVideoPipeline",
        "CogVideoXPipeline",
        "CogVideoXVideoToVideoPipeline",
        "HunyuanVideoPipeline",
        "LTX2Pipeline",
        "LTXPipeline",
        "MochiPipeline",
        "StableAudioPipeline",
        "WanImageToVideoPipeline",
        "WanPipeline",
        "WanVideoToVideoPipeline",
    }
)


def _find(pipeline: Any, table: Mapping[str, str]) -> str | None:
    return next((table[base.__name__] for base in type(pipeline).__mro__ if base.__name__ in table), None)


def check_usable(pipeline: Any) -> None:
    """Raise `ArgumentError` if clips cannot be made from what a pipeline returns."""
    _refuse(
        pipeline, UNABLE, "one that makes video or audio", "wrap it in a callable generate(condition, seed) -> Clip"
    )


def check_pausable(pipeline: Any) -> None:
    """Raise `ArgumentError` if a pipeline cannot pause between its steps."""
    _refuse(pipeline, NO_PAUSE, "one that denoises its whole video together", "use best_of_n, evolution or drafts")


def check_exchangeable(pipeline: Any) -> None:
    """Raise `ArgumentError` if the latents of a pipeline's candidates cannot be exchanged between steps."""
    _refuse(pipeline, NO_EXCHANGE, "one whose latents can be exchanged", "use best_of_n, evolution, drafts or halving")


def _refuse(pipeline: Any, table: Mapping[str, str], expected: str, remedy: str) -> None:
    if (why := _find(pipeline, table)) is not None:
        raise ArgumentError("pipeline", expected, Described(f"{type(pipeline).__name__}, which {why}"), remedy)


def alone(pipeline: Any) -> bool:
    """Return whether candidates of a pipeline must be generated one by one."""
    return any(base.__name__ in ALONE for base in type(pipeline).__mro__)


def decoded(pipeline: Any) -> bool:
    """Return whether the latents of a pipeline are decoded without it."""
    return type(pipeline).__name__ in DECODED


def repeated(pipeline: Any) -> bool:
    """Return whether a pipeline takes an image or a video per candidate."""
    return any(base.__name__ in REPEATED for base in type(pipeline).__mro__)
