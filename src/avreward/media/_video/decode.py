"""Decode the frames of a video track that plans ask for, in one pass and at their sizes.

Colours follow the file's tags (matrix and range; an untagged file counts as BT.601, limited range, as FFmpeg has it)
and become 8-bit RGB. PQ and HLG are tone-mapped (`tone_map`), interlaced frames are deinterlaced, and what is
transparent is laid over black, as players show them. Non-square pixels stay as they are stored, which is what
raters were trained on. A display matrix (rotation, mirroring) is applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avreward.media._container import translated
from avreward.media._index import MediaIndex
from avreward.media._video.fields import shown_frames
from avreward.media._video.seek import video_track, wanted_frames
from avreward.media._video.to_rgb import Orientation, Painter, Planes
from avreward.media.sampling import AllFrames, FramePlan

_UNCONVERTIBLE = "a frame cannot be converted to RGB", "convert the file to 8-bit BT.709 first"


def decode_views(index: MediaIndex, plans: Sequence[FramePlan]) -> list[Tensor]:
    """Return for each plan its frames, float32 (k, 3, height, width) in [0, 1], decoding the file once.

    Besides what is returned one decoded frame is held at a time. Raise `MediaError` where a frame that is asked for
    does not decode.
    """
    return [torch.from_numpy(view) for view in _views(index, plans, np.float32)]


def decode_levels(index: MediaIndex, plans: Sequence[FramePlan]) -> list[NDArray[np.uint8]]:
    """Return for each plan its frames in 8 bits, (k, 3, height, width), as `decode_views` does."""
    return _views(index, plans, np.uint8)


def decode_planes(index: MediaIndex, plans: Sequence[FramePlan]) -> list[Sequence[Planes]]:
    """Return for each plan its frames in 8 bits, as `decode_levels` does.

    Those of a plan at native scale, which are large, stay in the memory that they were converted to.
    """
    return _views(index, plans, np.uint8, copied=False)


def as_view(levels: NDArray[np.uint8]) -> Tensor:
    """Return frames of `decode_levels` as `decode_views` gives them.

    >>> as_view(np.array([0, 51, 255], np.uint8))
    tensor([0.0000, 0.2000, 1.0000])
    """
    return torch.from_numpy(np.divide(levels, np.float32(255), dtype=np.float32))


def _views(index: MediaIndex, plans: Sequence[FramePlan], kind: type[np.generic], copied: bool = True) -> list[Any]:
    picture = video_track(index)
    times = picture.times()
    chosen = [chosen_frames(plan, times) for plan in plans]
    rows: list[dict[int, list[int]]] = [{} for _ in plans]  # where in its view each frame goes
    for numbers, places in zip(chosen, rows, strict=True):
        for row, number in enumerate(numbers):
            places.setdefault(number, []).append(row)
    sizes = [geometry(plan) for plan in plans]
    in_place = {size for size in sizes if size.crop is not None and not copied}
    painters: dict[FramePlan, Painter] = {}
    views: list[Any] = []
    for number, frame in shown_frames(index, sorted(set().union(*chosen))):
        if not views:
            turned = Orientation.of(frame)
            painters = {size: Painter(size, picture.height, picture.width, turned) for size in sizes}
            with translated(index.stamp.path, "its frames do not fit in memory", "ask for fewer or smaller ones"):
                views = [
                    [()] * len(n) if size in in_place else np.empty((len(n), 3, *painters[size].shape), kind)
                    for n, size in zip(chosen, sizes, strict=True)
                ]
        images: dict[FramePlan, Planes] = {}
        for size, places, view in zip(sizes, rows, views, strict=True):
            if number in places:
                if size not in images:
                    with translated(index.stamp.path, *_UNCONVERTIBLE):
                        images[size] = painters[size].image(frame)
                for row in places[number]:
                    if size in in_place:
                        view[row] = images[size]
                    else:
                        _write(images[size], view[row])
    return views


def _write(image: Planes, out: NDArray[Any]) -> None:
    """Write 8-bit RGB into `out` (3, height, width), in 8 bits or as floats."""
    for plane, target in zip(image, out, strict=True):  # numpy, because torch would use all cores for one small frame
        if target.dtype == np.uint8:
            target[:] = plane
        else:
            np.divide(plane, np.float32(255), out=target)


def decode_images(index: MediaIndex) -> Iterator[NDArray[np.uint8]]:
    """Yield all frames one by one, upright, as 8-bit RGB (height, width, 3)."""
    picture = video_track(index)
    painter: Painter | None = None
    for _, frame in shown_frames(index, range(picture.count)):
        if painter is None:
            painter = Painter(_NATIVE, picture.height, picture.width, Orientation.of(frame))
        with translated(index.stamp.path, *_UNCONVERTIBLE):
            image = painter.image(frame)
        yield np.ascontiguousarray(np.stack(image, axis=-1))


def decode_orientation(index: MediaIndex) -> Orientation:
    """Return how the frames are turned for display; it takes decoding the first of them."""
    [(_, frame)] = wanted_frames(index, [0])
    return Orientation.of(frame)


_NATIVE = FramePlan(AllFrames())


def geometry(plan: FramePlan) -> FramePlan:
    """Return the plan's size without its rule, so that plans of one size share the conversion of a frame."""
    return replace(plan, rule=_NATIVE.rule)


def chosen_frames(plan: FramePlan, times: Tensor) -> list[int]:
    """Return the frames that a plan chooses of those at `times`, (n,) in s."""
    chosen: list[int] = plan.rule(times).tolist()
    count = len(times)
    if not chosen or min(chosen) < 0 or max(chosen) >= count:
        raise IndexError(f"{plan.rule!r} chose frames outside 0..{count - 1}, or none: {chosen[:8]}")
    return chosen
