"""Frames for SyncNet's lip tower: the whole frame, squashed, or tracked faces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, UnusableTrack
from avreward.media._precision import widened
from avreward.media._video.chosen import ChosenFrames
from avreward.media.rounding import Rounding, to_uint8_levels
from avreward.media.sampling import FramePlan
from avreward.raters.avbench._face_tracks import FaceDetector, FaceTrack, FaceTracks, cropped
from avreward.raters.avbench._syncnet_network import SIDE

FPS = 25
_AT_ONCE = 64  # frames at their own size that are in memory together


@dataclass(frozen=True, eq=False)
class LipFrames:
    """Frames for the lip tower.

    Attributes:
        start: seconds of the clip at which the frames begin.
        frames: float (n, 3, 224, 224), BGR from 0 to 255, 25 a second.
    """

    start: float
    frames: Tensor


def whole_frame(clip: Clip, chosen: Tensor, rounding: Rounding) -> LipFrames:
    """Return the frames `chosen`, int64 (n,), squashed to 224 × 224, as AVBench does it."""
    parts = []
    for part in chosen.split(_AT_ONCE):
        frames = to_uint8_levels(widened(clip.frames(_plan(part))), rounding)
        parts.append(resized(frames, rounding))
    return LipFrames(float(clip.times[0]), lip_pixels(torch.cat(parts)))


def one_at_a_time(clip: Clip, chosen: Tensor, faces: FaceDetector, following: FaceTracks) -> list[FaceTrack]:
    """Return the faces tracked in the frames `chosen`, one after the other.

    Raises:
        UnusableTrack: where there is none, or where two are tracked at the same time.
        ArgumentError: for a detector that does not return boxes for each frame.
    """
    boxes: list[Tensor] = []
    for part in chosen.split(_AT_ONCE):
        found = list(faces(clip.frames(_plan(part)).detach()))
        if len(found) != len(part) or any(one.ndim != 2 or one.shape[1] != 4 for one in found):
            got = Described(f"shapes {[tuple(one.shape) for one in found[:3]]} for {len(part)} frames")
            raise ArgumentError("faces", "boxes (faces, 4) for each frame", got)
        boxes += found
    tracks = sorted(following(boxes), key=lambda one: int(one.frames[0]))
    if not tracks:
        size, count = f"{following.least_side:g} pixels", following.least_frames
        why = f"no face of more than {size} is tracked for more than {count} frames"
        raise UnusableTrack(clip.path or "clip", why, "give a clip with a face, or rate the whole frame")
    for one, other in pairwise(tracks):
        if int(other.frames[0]) <= int(one.frames[-1]):
            why = f"{len(tracks)} faces are tracked, two of them at the same time: it is unknown which one speaks"
            raise UnusableTrack(clip.path or "clip", why, "give a clip with one face at a time")
    return tracks


def followed(clip: Clip, chosen: Tensor, track: FaceTrack, rounding: Rounding) -> LipFrames:
    """Return the face of one track, cut out of the frames `chosen`."""
    places = track.smoothed().T.tolist()
    crops: list[Tensor] = []
    for part in chosen[track.frames.to(chosen.device)].split(_AT_ONCE):
        for frame in widened(clip.frames(_plan(part))):
            crops.append(cropped(frame, places[len(crops)], partial(resized, rounding=rounding), rounding))
    start = float(clip.times[0]) + int(track.frames[0]) / FPS
    return LipFrames(start, lip_pixels(torch.stack(crops)))


def resized(frames: Tensor, rounding: Rounding) -> Tensor:
    """Return frames (n, 3, h, w) in [0, 1] at 224 × 224, bilinear without antialiasing, aspect not kept."""
    small = torch.nn.functional.interpolate(frames, (SIDE, SIDE), mode="bilinear", antialias=False)
    return to_uint8_levels(small, rounding)


def lip_pixels(frames: Tensor) -> Tensor:
    """Return RGB in [0, 1] as the lip tower reads it: BGR from 0 to 255."""
    return frames.flip(1) * 255


def _plan(chosen: Tensor) -> FramePlan:
    return FramePlan(ChosenFrames.of(chosen), conversion="fast")
