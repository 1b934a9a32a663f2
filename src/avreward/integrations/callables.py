"""Rewards as the plain callables that Flow-Factory, verl-omni and CachedSearch call; none of them is imported.

None of the three knows a missing score: where a clip has none, the callables raise `MissingScore`, which names the
reason, and never return a 0 instead. They can be pickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import MissingScore


class FlowFactoryReward:
    """A pointwise reward model of Flow-Factory.

    Signature as in X-GenGroup/Flow-Factory, ``src/flow_factory/rewards/abc.py`` (`PointwiseRewardModel.__call__`) and
    ``reward_processor.py``, read at commits 5f6cda1 and 0e8437e: lists for a batch in, one number a sample out; the
    processor fills the parameters by name from the sample, and leaves out what a sample lacks. It takes only subclasses
    of its own `PointwiseRewardModel`: inherit from that, and call this; docs/guides/trl.md shows it.

    Args:
        reward: what is computed.
        fps: of the videos, which Flow-Factory doesn't hand over (*optional*; needed for videos).

    Attributes:
        required_fields, use_tensor_inputs: class attributes that the subclass repeats.

    >>> sounds = {"audio": [clip.audio for clip in clips], "audio_sample_rate": [clip.sample_rate for clip in clips]}
    >>> FlowFactoryReward(rater["audio_quality"])(prompt=["fireworks"] * 3, **sounds).round()
    tensor([54., 85., 86.])
    """

    use_tensor_inputs = True

    def __init__(self, reward: RewardLike, fps: float | None = None) -> None:
        self.reward, self.fps = as_reward(reward), fps
        tracks = [name for name in ("video", "audio") if any(name in term.needs for term in self.reward.terms)]
        self.required_fields = ("prompt", *tracks, *(["audio_sample_rate"] if "audio" in tracks else []))

    def __call__(
        self,
        prompt: Sequence[str],
        video: Sequence[Any] | None = None,
        audio: Sequence[Any] | None = None,
        audio_sample_rate: Sequence[int] | None = None,
        **others: Any,
    ) -> Tensor:
        """Rewards (batch,) in float32.

        Args:
            prompt: the prompts.
            video: float tensors (frames, 3, height, width) in [0, 1] (*optional*).
            audio: waveforms (channels, samples) in [-1, 1] (*optional*).
            audio_sample_rate: one rate a waveform, in Hz (*optional*; needed with `audio`).
            **others: fields of the sample that aren't looked at.
        """
        none = [None] * len(prompt)
        rows = zip(prompt, video or none, audio or none, audio_sample_rate or none, strict=True)
        clips = [made_clip(text, frames, self.fps, wave, rate) for text, frames, wave, rate in rows]
        with torch.no_grad():
            return self.reward(clips).float()


class VerlOmniReward:
    """A ``compute_score`` function of verl-omni, for its visual and its audio reward manager.

    Signature as in verl-project/verl-omni, ``verl_omni/reward_loop/reward_manager/visual.py`` and ``audio.py``, read at
    commit 1486d9c: one sample a call, in a thread; a dict whose ``score`` is the reward and whose other entries are
    logged. Bind it to a name in a module, and name module and name in ``reward.custom_reward_function``.

    Args:
        reward: what is computed.
        fps: of the videos, where ``extra_info`` doesn't say (*optional*).

    >>> compute_score = VerlOmniReward(0.4 * rater["audio_quality"] + 0.6 * rater["av_consistency"], fps=24)
    """

    def __init__(self, reward: RewardLike, fps: float | None = None) -> None:
        self.reward, self.fps = as_reward(reward), fps
        self.__name__ = "compute_score"

    def __call__(
        self,
        data_source: str | None = None,
        solution_image: Any = None,
        ground_truth: str | None = None,
        extra_info: dict[str, Any] | None = None,
        solution_audio: Any = None,
        **others: Any,
    ) -> dict[str, float]:
        """Return the reward as ``score``, and each term by its name.

        Args:
            data_source: not looked at.
            solution_image: uint8 or float (frames, 3, height, width) (*optional*).
            ground_truth: the prompt (*optional*).
            extra_info: ``audio`` (channels, samples) and ``audio_sample_rate``, ``fps`` (*optional*).
            solution_audio: the waveform from the audio manager, in place of ``audio`` (*optional*).
            **others: what the manager adds for remote reward models.
        """
        extra = extra_info or {}
        audio = extra.get("audio") if solution_audio is None else solution_audio
        fps = extra.get("fps") or self.fps
        clip = made_clip(ground_truth, solution_image, fps, audio, extra.get("audio_sample_rate"))
        with torch.no_grad():
            found = self.reward.evaluate([clip])
        if (why := found.reasons[0]) is not None:
            raise MissingScore.of([clip.name], {0: why}, "leave such samples out, or another term")
        return {"score": float(found.values[0])} | {name: float(column[0]) for name, column in found.terms.items()}


class CachedSearchVerifier:
    """A verifier of CachedSearch: ``verifier(frames, prompt) -> float``, higher is better.

    Signature as in shreshthsaini/CachedSearch, ``cachedsearch/api.py`` (`Verifier`) and ``verifiers.py``, read at
    commits 0abde28 and 8be1ca1. `frames` is what a diffusers video pipeline returns as ``frames[0]``: an array, a
    tensor, or a list of PIL images. There is no sound.

    Args:
        reward: what is computed; its terms may need picture and prompt.
        fps: of the frames.

    >>> verifier = CachedSearchVerifier(rater["static_quality"], fps=16)
    >>> round(verifier(clip.video, "fireworks"))
    50
    >>> cached_search(pipe, "fireworks", verifier, n=8)  # doctest: +SKIP
    """

    def __init__(self, reward: RewardLike, fps: float) -> None:
        self.reward, self.fps = as_reward(reward), fps

    def __call__(self, frames: Any, prompt: str) -> float:
        """Return the reward of one video."""
        with torch.no_grad():
            return float(self.reward([made_clip(prompt, frames, self.fps)])[0])


def made_clip(
    prompt: str | None, video: Any = None, fps: Any = None, audio: Any = None, sample_rate: Any = None
) -> Clip:
    """Return a clip from a generator's output; raise `ArgumentError` for a missing rate, else `MediaError`."""
    if video is not None and fps is None:
        raise ArgumentError("fps", "the frame rate of the video", None, "pass fps= where the reward is made")
    if audio is not None and sample_rate is None:
        raise ArgumentError("audio_sample_rate", "the sample rate of the audio", None, "pass it with the audio")
    return Clip(
        video=None if video is None else frames_of(video),
        fps=None if video is None else float(fps),
        audio=None if audio is None else _waveform(audio),
        sample_rate=None if audio is None else int(sample_rate),
        prompt=prompt or "",
    )


def frames_of(video: Any) -> Tensor:
    """Float (frames, 3, height, width) in [0, 1] from a tensor or array, channels second or last, or PIL images.

    uint8 is divided by 255.

    >>> frames_of(torch.full((2, 4, 6, 3), 255, dtype=torch.uint8)).shape
    torch.Size([2, 3, 4, 6])
    """
    if isinstance(video, list | tuple):
        import numpy

        video = numpy.stack([numpy.asarray(frame) for frame in video])
    frames = torch.as_tensor(video)
    if frames.ndim == 4 and frames.shape[1] != 3 and frames.shape[-1] == 3:
        frames = frames.permute(0, 3, 1, 2)
    if frames.dtype == torch.uint8:
        frames = frames.float() / 255
    return frames if frames.dtype in (torch.float32, torch.float64) else frames.float()


def _waveform(audio: Any) -> Tensor:
    """(channels, samples) from an array or tensor with leading dimensions of one."""
    wave = torch.as_tensor(audio)
    while wave.ndim > 2 and wave.shape[0] == 1:
        wave = wave[0]
    return wave if wave.dtype == torch.float64 else wave.float()
