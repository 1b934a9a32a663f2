"""The video of a file, decoded once for several readers that ask for their frames one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avreward.errors import MediaError
from avreward.media._file_tracks import FileVideo, SharedTrack
from avreward.media._isolated.decoding import decode_levels
from avreward.media._video.chosen import ChosenFrames
from avreward.media._video.decode import as_view, chosen_frames, geometry
from avreward.media._video.to_rgb import Planes
from avreward.media.sampling import FramePlan

MOST_PIXELS = 2**31  # bytes of frames, in 8 bits, that are kept for the readers


class SharedVideo(SharedTrack):
    """The video of a file whose frames of known plans are decoded in one pass, at the first request for one.

    Frames are kept in 8 bits. Other plans are decoded when they are asked for, and so are all where the frames take
    more than `MOST_PIXELS` or do not decode: each reader then gets its own frames or its own error.

    Args:
        track: the video.
        plans: returns what the readers are going to ask for.
    """

    _track: FileVideo

    def __init__(self, track: FileVideo, plans: Callable[[], Sequence[FramePlan]]) -> None:
        self._track, self._plans = track, plans

    @property
    def times(self) -> Tensor:
        return self._track.times

    @property
    def step(self) -> float:
        return self._track.step

    @property
    def size(self) -> tuple[int, int]:
        return self._track.size

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames one by one as 8-bit RGB, (height, width, 3)."""
        return self._track.images()

    def views(self, plans: Sequence[FramePlan]) -> list[Tensor]:
        """Return for each plan its frames, float32 (k, 3, height, width)."""
        return [as_view(levels) for levels in self.levels(plans)]

    def levels(self, plans: Sequence[FramePlan]) -> list[NDArray[np.uint8]]:
        """Return for each plan its frames in 8 bits, (k, 3, height, width)."""
        found = [self._levels(plan) for plan in plans]
        rest = [plan for plan, levels in zip(plans, found, strict=True) if levels is None]
        others = iter(self._track.levels(rest) if rest else ())
        return [next(others) if levels is None else levels for levels in found]

    def planes(self, plans: Sequence[FramePlan]) -> list[Sequence[Planes]]:
        """Return for each plan its frames in 8 bits, (height, width) of each colour."""
        return cast("list[Sequence[Planes]]", self.levels(plans))

    def _levels(self, plan: FramePlan) -> NDArray[np.uint8] | None:
        """Return the frames of a plan in 8 bits if all of them are kept."""
        rows, levels = self._kept.get(geometry(plan), ({}, None))
        numbers = chosen_frames(plan, self.times)
        if levels is None or not all(number in rows for number in numbers):
            return None
        return levels[[rows[number] for number in numbers]]

    @cached_property
    def _kept(self) -> dict[FramePlan, tuple[dict[int, int], NDArray[np.uint8]]]:
        """Size → (number of a frame → its row, frames in 8 bits (rows, 3, height, width))."""
        wanted: dict[FramePlan, set[int]] = {}
        try:
            for plan in self._plans():
                wanted.setdefault(geometry(plan), set()).update(chosen_frames(plan, self.times))
            size = self._track.track.height, self._track.track.width  # as stored: turned frames are as large
            if sum(3 * len(n) * prod(plan.output_size(*size)) for plan, n in wanted.items()) > MOST_PIXELS:
                return {}
            numbers = {plan: sorted(own) for plan, own in wanted.items()}
            levels = decode_levels(
                self._track.index, [replace(plan, rule=ChosenFrames.of(own)) for plan, own in numbers.items()]
            )
        except MediaError:
            return {}
        rows = [{number: row for row, number in enumerate(own)} for own in numbers.values()]
        return dict(zip(numbers, zip(rows, levels, strict=True), strict=True))
