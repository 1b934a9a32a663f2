"""Base of raters made of other raters: it takes over their properties by default."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from torch import nn

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media.sampling import FramePlan
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.scores import TRACKS, Dimension


class _Taken:
    """An attribute combined from those of the raters inside; setting it on a wrapper overrides it."""

    def __init__(self, combine: Callable[[list[Any]], Any]) -> None:
        self.combine = combine

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, wrapper: WrapperRater | None, owner: type) -> Any:
        return self if wrapper is None else self.combine([getattr(rater, self.name) for rater in wrapper.raters])


def _taken(combine: Callable[[list[Any]], Any]) -> Any:
    return _Taken(combine)


def _only(each: list[Any]) -> Any:
    (value,) = each
    return value


def _all_tracks(each: list[tuple[Track, ...]]) -> tuple[str, ...]:
    return tuple(track for track in TRACKS if any(track in own for own in each))


def _all_modules(each: list[nn.Module | None]) -> nn.Module | None:
    if len(each) == 1:
        return each[0]
    found = {id(module): module for module in each if module is not None}
    return nn.ModuleList(found.values()).eval() if found else None


def _merged(each: list[Mapping[str, int]]) -> Mapping[str, int]:
    return {name: version for versions in each for name, version in versions.items()}


def _union(each: list[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in each for name in names))


class WrapperRater(Rater):
    """A rater made of other raters.

    All attributes of `Rater` are computed from the raters inside on access: those of a single rater, or a combination
    that is safe for several. A subclass defines what makes it another rater (`rate`, `fingerprint`, and the `source` by
    which a file may name it) and any other difference. One that holds several raters also defines how it decodes and
    combines them. Its dimensions may have narrower streams than those inside, never wider ones.

    Args:
        raters: those inside.
        name: as used in expressions.
    """

    dimensions: tuple[Dimension, ...] = _taken(_only)
    tracks: tuple[Track, ...] = _taken(_all_tracks)
    module: nn.Module | None = _taken(_all_modules)
    prompt_anchored: bool = _taken(any)
    differentiable: bool = _taken(all)
    per_clip: bool = _taken(all)
    travels: bool = _taken(all)
    versions: Mapping[str, int] = _taken(_merged)
    libraries: tuple[str, ...] = _taken(_union)

    def __init__(self, raters: Sequence[Rater], name: str) -> None:
        self.raters, self.name = tuple(raters), name

    @property
    def rater(self) -> Rater:
        """The only rater inside."""
        (only,) = self.raters
        return only

    @property
    @abstractmethod
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of everything that the scores depend on."""

    @property
    @abstractmethod
    def source(self) -> Mapping[str, Any] | None:  # type: ignore[override]  # that of the raters may come later
        """Name and options by which a file may name the rater; `None` where it cannot be named."""

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of the rater inside."""
        return self.rater.settings

    @property
    def decoding(self) -> Hashable:
        """Decoding of the rater inside."""
        return self.rater.decoding

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return the tracks and texts that a score may depend on in any of the raters inside."""
        if dimension is None:
            return super().reads()
        name = self.dimension(dimension).name
        return frozenset[str]().union(*(rater.reads(name) for rater in self.raters))

    def load(self, clip: Clip, work: Work | None = None) -> Sample:
        """Decode a clip as the rater inside does."""
        return self.rater.load(clip, work)

    def frame_plans(self, clip: Clip) -> Sequence[FramePlan]:
        """Return which frames the raters inside read."""
        return frame_plans(self.raters, clip)

    def load_track(self, clip: Clip, track: Track) -> Any:
        """Decode a track as the rater inside does."""
        return self.rater.load_track(clip, track)


def frame_plans(raters: Sequence[Rater], clip: Clip) -> list[FramePlan]:
    """Return which frames of a clip with video `raters` read, those left out that cannot use the video."""
    plans: list[FramePlan] = []
    for rater in raters:
        if "video" in rater.tracks:
            with suppress(MediaError):
                plans += rater.frame_plans(clip)
    return plans
