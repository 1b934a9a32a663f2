"""Raters in one method, which gets a clip and returns its scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, MediaError, unknown_name
from avreward.media._keys.late import LateKey
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.lmm._template import has_text, why_no_text
from avreward.raters.scores import Scores

if TYPE_CHECKING:
    from avreward.raters.scores import Dimension

_TRACKS: tuple[Track, ...] = ("video", "audio")


class ClipRater(Rater):
    """A rater with one method, `rate_clip`: from a clip to a score on each dimension.

    A subclass sets `name`, `dimensions` and `fingerprint` (a new text whenever the scores change). A dimension is
    missing, with a reason, where a clip lacks one of its `needs` or cannot be decoded. `rate_clip` must read only what
    `needs` lists: clips that share all of that share the scores. It may be called from several threads.

    Example:
        >>> from avreward.media import FramePlan, Spread
        >>> class Warmth(ClipRater):
        ...     name, fingerprint = "warmth", "warmth 1"
        ...     dimensions = (Dimension("warm", -1, 1, frozenset({"video"})),)
        ...     def rate_clip(self, clip):
        ...         red, _, blue = clip.frames(FramePlan(Spread(8))).mean((0, 2, 3))
        ...         return {"warm": red - blue}
        >>> Warmth()([Clip(video=torch.tensor([0.75, 0.5, 0.25])[:, None, None].expand(4, 3, 8, 8), fps=8)])["warm"]
        tensor([0.5000])
    """

    per_clip = True

    @abstractmethod
    def rate_clip(self, clip: Clip) -> Mapping[str, Tensor | float]:
        """Return the score on each dimension: its name → a tensor of one element, or a number.

        It is called where `clip` has the needs of at least one dimension; leave out the others (see `clip.missing`). A
        dimension that is left out is missing.

        Raises:
            MediaError: where the clip cannot be rated; all its scores are then missing, with this reason.
        """

    @property
    def tracks(self) -> tuple[Track, ...]:  # type: ignore[override]  # follows from the dimensions
        """The tracks that the dimensions need, and both for a dimension that needs neither."""
        return tuple(track for track in _TRACKS if any(track in d.tracks for d in self.dimensions))

    @property
    def prompt_anchored(self) -> bool:  # type: ignore[override]
        """Whether a dimension needs the prompt."""
        return any("prompt" in dimension.needs for dimension in self.dimensions)

    def load_track(self, clip: Clip, track: Track) -> None:
        """Do nothing: `rate_clip` decodes by itself."""

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of clips, each from `rate_clip`."""
        work = work or Work()
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.differentiable):
            return Scores.collect([self._row(sample, work) for sample in samples], self.dimensions)

    def _row(self, sample: Sample, work: Work) -> tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]:
        lacking = {d.name: "; ".join(why) for d in self.dimensions if (why := list(_lacking(sample, d)))}
        if len(lacking) == len(self.dimensions):
            return {}, lacking, {}
        key = (self.decoding, "clip", *(_part(sample.clip, need) for need in sorted(self.reads())))
        try:
            found = work.results.get(key, partial(self._rated, sample.clip))
        except MediaError as error:
            return {}, {d.name: lacking.get(d.name, str(error)) for d in self.dimensions}, {}
        values = {name: value for name, value in found.items() if name not in lacking}
        left_out = {d.name: f"{self.name} gave no score" for d in self.dimensions if d.name not in found}
        return values, {**left_out, **lacking}, {}

    def _rated(self, clip: Clip) -> dict[str, Tensor]:
        found = self.rate_clip(clip)
        if not isinstance(found, Mapping):
            raise ArgumentError(f"{self.name}.rate_clip", "a mapping of dimensions to scores", found)
        known = [d.name for d in self.dimensions]
        for name in found:
            if name not in known:
                raise unknown_name(f"{self.name}.rate_clip", name, known)
        return {name: self._scalar(name, value, clip) for name, value in found.items()}

    def _scalar(self, name: str, value: Tensor | float, clip: Clip) -> Tensor:
        called = f"{self.name}.{name}"
        if isinstance(value, Tensor):
            if value.numel() != 1:
                raise ArgumentError(called, "a tensor of one element", value, "take its mean, or another of its values")
            if value.is_complex():
                remedy = "take its .real, its .abs(), or another real number"
                raise ArgumentError(called, "a real tensor", Described(f"one of {value.dtype}"), remedy)
            return value.reshape(()) if value.is_floating_point() else value.reshape(()).float()
        if not isinstance(value, Real):
            raise ArgumentError(called, "a tensor of one element, or a number", value)
        if self.differentiable and torch.is_grad_enabled() and _has_gradient(clip):
            got = Described(f"the number {value!r} for a clip with a gradient, which ends there")
            raise ArgumentError(called, "a tensor", got, "return a tensor, or set differentiable=False")
        return torch.tensor(float(value))


def _lacking(sample: Sample, dimension: Dimension) -> Iterator[str]:
    """Yield the reasons why a clip cannot be rated on `dimension`."""
    for need in sorted(dimension.needs):
        if need in _TRACKS:
            if need in sample.missing:
                yield sample.missing[need]
        elif not has_text(sample.clip, need):
            yield why_no_text(need)


def _part(clip: Clip, need: str) -> Hashable:
    """Return the key of one need of a dimension; `None` where the clip lacks it."""
    if need in _TRACKS:
        return None if need in clip.missing else clip.work_key(need)
    return clip.prompt if need == "prompt" else clip.texts.get(need.removeprefix("texts."))


def _has_gradient(clip: Clip) -> bool:
    tracks = (track for track in _TRACKS if track not in clip.missing)
    return any(not isinstance(clip.work_key(track), LateKey) for track in tracks)  # those with a graph are of their own
