"""Video and audio tracks of a clip, from a tensor or from a file, with one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avreward.media._audio.windowed_sinc import Resampler
from avreward.media._checks import check_audio, check_times, check_video
from avreward.media._keys.late import late_tensor_key
from avreward.media._keys.tensors import ContentKey, graph_key
from avreward.media._resize import resize
from avreward.media._video.to_rgb import Planes
from avreward.media.resampling import mixed, remix, resample
from avreward.media.sampling import FramePlan, interval


class VideoTrack(Protocol):
    """Frames and their display times, float64 (n,) in s; `end` is the clip time at which the last one ends.

    `step` is the usual time between frames in seconds, 0 if it is unknown.
    """

    @property
    def times(self) -> Tensor: ...
    @property
    def end(self) -> float: ...
    @property
    def step(self) -> float: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def key(self) -> str: ...
    @property
    def work_key(self) -> Hashable: ...
    @property
    def loaded_key(self) -> Hashable: ...
    @property
    def requires_grad(self) -> bool: ...
    def detached(self) -> VideoTrack: ...
    def views(self, plans: Sequence[FramePlan]) -> list[Tensor]: ...
    def planes(self, plans: Sequence[FramePlan]) -> list[Sequence[Planes]] | None: ...
    def images(self) -> Iterator[NDArray[np.uint8]]: ...


class AudioTrack(Protocol):
    """A waveform of `channels` at `rate` Hz; `end` is the clip time at which it stops."""

    @property
    def rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def end(self) -> float: ...
    @property
    def key(self) -> str: ...
    @property
    def work_key(self) -> Hashable: ...
    @property
    def loaded_key(self) -> Hashable: ...
    @property
    def requires_grad(self) -> bool: ...
    def detached(self) -> AudioTrack: ...
    def samples(self, rate: int | None, channels: int | None, resampler: Resampler = "julius") -> Tensor: ...
    def spans(
        self, spans: Sequence[tuple[float, float]], rate: int, channels: int, resampler: Resampler = "julius"
    ) -> list[Tensor]: ...
    def blocks(self) -> Iterator[Tensor]: ...


class _TensorTrack(ABC):
    """What the tracks of a tensor have in common: their values are the key, and those with a gradient stay apart."""

    attached: Tensor | None
    _content: ContentKey

    @property
    @abstractmethod
    def _parts(self) -> tuple[Tensor, Tensor | int]:
        """The tensor, and its times or rate."""

    @property
    def key(self) -> str:
        return self._content.of(*self._parts)

    @property
    def work_key(self) -> Hashable:
        if self.attached is not None or self.requires_grad:
            return self.loaded_key
        return late_tensor_key(*self._parts, self._content)

    @property
    def loaded_key(self) -> Hashable:
        tensor, clock = self._parts
        return graph_key(tensor, self.attached, clock)

    @property
    def requires_grad(self) -> bool:
        return self._parts[0].requires_grad


@dataclass(frozen=True, eq=False)
class TensorVideo(_TensorTrack):
    """Frames in a tensor, float (n, 3, height, width)."""

    video: Tensor
    times: Tensor
    lasting: float  # seconds that the last frame is held
    attached: Tensor | None = None  # the same frames in their graph, where `video` was cut off from it
    _content: ContentKey = field(default_factory=ContentKey, init=False, repr=False)

    @property
    def end(self) -> float:
        return float(self.times[-1]) + self.lasting

    @property
    def step(self) -> float:
        return self.lasting

    @property
    def size(self) -> tuple[int, int]:
        return self.video.shape[2], self.video.shape[3]

    @property
    def _parts(self) -> tuple[Tensor, Tensor]:
        return self.video, self.times

    def detached(self) -> TensorVideo:
        """Return the same frames without their graph."""
        return replace(self, video=self.video.detach(), attached=self.video) if self.requires_grad else self

    def views(self, plans: Sequence[FramePlan]) -> list[Tensor]:
        """Return for each plan its frames (k, 3, height, width), on the tensor's device and in its graph."""
        return [self._view(plan) for plan in plans]

    def _view(self, plan: FramePlan) -> Tensor:
        numbers = plan.rule(self.times)
        whole = len(numbers) == len(self.times) and bool((numbers == torch.arange(len(numbers))).all())
        frames = self.video if whole else self.video.index_select(0, numbers.to(self.video.device))
        if plan.crop is not None:
            top, left, height, width = plan.crop_box(*self.size)
            frames = frames[..., top : top + height, left : left + width]
        size = plan.output_size(*self.size)
        return frames if tuple(frames.shape[2:]) == size else resize(frames, size)

    def planes(self, plans: Sequence[FramePlan]) -> None:
        """Return nothing: frames of a tensor may lie between 8-bit levels."""

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames one by one as 8-bit RGB, (height, width, 3)."""
        for frame in self.video.detach():
            levels = (frame.float().clamp(0, 1) * 255).round().to(torch.uint8)
            yield np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


@dataclass(frozen=True, eq=False)
class TensorAudio(_TensorTrack):
    """A waveform in a tensor, float (channels, samples), that begins at clip time 0."""

    audio: Tensor
    rate: int
    attached: Tensor | None = None  # the same waveform in its graph, where `audio` was cut off from it
    _content: ContentKey = field(default_factory=ContentKey, init=False, repr=False)

    @property
    def channels(self) -> int:
        return self.audio.shape[0]

    @property
    def end(self) -> float:
        return self.audio.shape[1] / self.rate

    @property
    def _parts(self) -> tuple[Tensor, int]:
        return self.audio, self.rate

    def detached(self) -> TensorAudio:
        """Return the same waveform without its graph."""
        return replace(self, audio=self.audio.detach(), attached=self.audio) if self.requires_grad else self

    def samples(self, rate: int | None, channels: int | None, resampler: Resampler = "julius") -> Tensor:
        """Return the waveform, float (channels, samples), in the tensor's graph."""
        return resample(remix(self.audio, channels or self.channels), self.rate, rate or self.rate, resampler)

    def spans(
        self, spans: Sequence[tuple[float, float]], rate: int, channels: int, resampler: Resampler = "julius"
    ) -> list[Tensor]:
        """Return parts of the waveform, (start, stop) in seconds each, in the tensor's graph."""
        reach = ceil(max(stop for _, stop in spans) * self.rate)
        whole = resample(mixed(self.audio, channels, reach), self.rate, rate, resampler)
        return [whole[:, round(start * rate) : round(stop * rate)] for start, stop in spans]

    def blocks(self) -> Iterator[Tensor]:
        """Yield the waveform, float (channels, samples), whole."""
        yield self.audio.detach()


def tensor_video(video: Tensor, fps: float | None, times: Tensor | None) -> TensorVideo:
    """Return a video track of checked frames with their rate or times; the last frame is held for one interval."""
    check_video(video)
    stamps = check_times(video, fps, times)
    return TensorVideo(video, stamps, interval(stamps) if fps is None else 1 / fps)


def tensor_audio(audio: Tensor, sample_rate: int | None) -> TensorAudio:
    """Return an audio track of a checked waveform, (channels, samples) or (samples,)."""
    waveform, rate = check_audio(audio, sample_rate)
    return TensorAudio(waveform, rate)
