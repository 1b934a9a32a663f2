"""Convert a decoded frame to 8-bit RGB at the size of a plan, upright."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from avreward.media._video.filters import filter_graph
from avreward.media.sampling import FramePlan
from avreward.media.tone_mapping import Primaries, Transfer, tone_map

if TYPE_CHECKING:
    from av.buffer import Buffer
    from av.filter import Graph

# Averages over the pixels that one output pixel covers, and interpolates where it enlarges. Accurate rounding
# (SWS_ACCURATE_RND), since FFmpeg's fast path to RGB is 1.2 levels too dark on average.
SCALING = Interpolation.AREA | 0x40000
_FAST = Interpolation.AREA  # without it, as decord, OpenCV and torchvision; they ask for packed pixels
HDR_TRANSFERS: dict[int, Transfer] = {16: "pq", 18: "hlg"}  # in FFmpeg's numbering
_PRIMARIES: dict[int, Primaries] = {1: "bt709", 9: "bt2020", 12: "p3"}
_PLANES = (2, 0, 1)  # of red, green and blue in FFmpeg's planar "gbrp"
_FLOATS = {"f32": np.float32, "f16": np.float16}  # in the names of pixel formats
_MARGIN = 16  # pixels around a crop, so that its edges are interpolated from real pixels


Planes = Sequence[NDArray[np.uint8]]
"""Red, green and blue of an image, (height, width) each: views of a frame's memory, not copies."""


@dataclass(frozen=True)
class Orientation:
    """Transformation of stored frames for display: exchange rows and columns, then mirror."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """Read it from the frame's display matrix; rotations other than by quarters count as none."""
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        a, b, _, c, d, *_ = struct.unpack(
            "<9i", memoryview(cast("Buffer", matrix))
        )  # (x, y) goes to (a·x + c·y, b·x + d·y)
        if a == d == 0:
            return cls(True, flip_rows=b < 0, flip_columns=c < 0)
        return cls(False, flip_rows=d < 0, flip_columns=a < 0) if b == c == 0 else cls()

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) as displayed of frames stored as `height` × `width`, and the other way round."""
        return (width, height) if self.transpose else (height, width)

    def upright(self, image: Planes) -> Planes:
        """Turn the planes of an image from how they are stored to how they are displayed."""
        turned = [plane.T if self.transpose else plane for plane in image]
        return [plane[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1] for plane in turned]


class Painter:
    """Renders frames that are stored as `height` × `width` at the size of `plan`.

    `shape` is the (height, width) of its output. A stream may change its size on the way: such a frame is scaled.
    """

    def __init__(self, plan: FramePlan, height: int, width: int, orientation: Orientation) -> None:
        self._stored, self._orientation = (height, width), orientation
        displayed = orientation.size(height, width)
        self._fast = plan.conversion == "fast"
        self.shape = plan.output_size(*displayed)
        self._box = plan.crop_box(*displayed) if plan.crop is not None else None
        self._scaler, self._planar = VideoReformatter(), VideoReformatter()
        self._cropper = _Cropper()

    def image(self, frame: VideoFrame) -> Planes:
        """Return `frame` as 8-bit RGB of `shape`; raise `ValueError` if it holds NaN or infinity."""
        _check_finite(frame)
        if frame.format.has_palette or any(component.is_alpha for component in frame.format.components):
            frame = self._over_black(frame)
        if self._box is None:
            return self._orientation.upright(self._rgb(frame, self._orientation.size(*self.shape)))
        return self._cropped(frame, self._box)

    def _cropped(self, frame: VideoFrame, box: tuple[int, int, int, int]) -> Planes:
        top, left, height, width = box
        same = self._orientation == Orientation() and (frame.height, frame.width) == self._stored
        # Colour planes that don't divide the picture evenly are stretched a little, by another amount in a window.
        even = frame.width % frame.format.chroma_width() == frame.height % frame.format.chroma_height() == 0
        if same and even:
            start = max(0, top - _MARGIN), max(0, left - _MARGIN)
            ends = (_up(top + height) + _MARGIN, frame.height), (_up(left + width) + _MARGIN, frame.width)
            size = min(ends[0]) - start[0], min(ends[1]) - start[1]
            image = self._rgb(self._cropper.crop(frame, *start, *size), size)
            top, left = top - start[0], left - start[1]
        else:  # rare, so the slow way will do
            image = self._orientation.upright(self._rgb(frame, self._stored))
            return [plane[top : top + height, left : left + width].copy() for plane in image]
        return [plane[top : top + height, left : left + width] for plane in image]

    def _over_black(self, frame: VideoFrame) -> VideoFrame:
        """Return a frame with transparency without it, as 8- or 16-bit RGB."""
        deep = max(component.bits for component in frame.format.components) > 8
        form, top = ("gbrap16le", 65535) if deep else ("gbrap", 255)
        planar = self._planar.reformat(frame, format=form, interpolation=SCALING, threads=1)
        pixels = planar.to_ndarray().astype(np.uint32)
        shown = (pixels[..., :3] * pixels[..., 3:] + top // 2) // top
        opaque = (
            VideoFrame.from_ndarray(shown.astype(np.uint16), format="gbrp16le")
            if deep
            else VideoFrame.from_ndarray(shown.astype(np.uint8), format="gbrp")
        )
        opaque.pts, opaque.time_base = frame.pts, frame.time_base
        opaque.color_trc, opaque.color_primaries = frame.color_trc, frame.color_primaries
        return opaque

    def _rgb(self, frame: VideoFrame, size: tuple[int, int]) -> Planes:
        transfer = HDR_TRANSFERS.get(frame.color_trc)
        if self._fast and transfer is None:
            packed = self._scaler.reformat(frame, size[1], size[0], "rgb24", interpolation=_FAST, threads=1)
            return list(packed.to_ndarray().transpose(2, 0, 1))
        form, kind = ("gbrp", np.uint8) if transfer is None else ("gbrp16le", np.dtype("<u2"))
        picture = self._scaler.reformat(frame, size[1], size[0], form, interpolation=SCALING, threads=1)
        planes = [np.frombuffer(memoryview(picture.planes[plane]), kind) for plane in _PLANES]
        image = [plane.reshape(size[0], -1)[:, : size[1]] for plane in planes]
        if picture is frame:  # not converted: its memory is the decoder's, and may be that of a larger frame
            image = [plane.copy() for plane in image]
        if transfer is None:
            return cast("Planes", image)
        signal = torch.from_numpy(np.stack(image).astype(np.float32) / np.float32(65535))
        shown = tone_map(signal, transfer, primaries=_PRIMARIES.get(frame.color_primaries, "bt2020"))
        return list((shown * 255).round().to(torch.uint8).numpy())


def _check_finite(frame: VideoFrame) -> None:
    """Look for NaN and infinity in floating pixels, which the conversion to 8 bits would turn into black or white."""
    kind = next((kind for name, kind in _FLOATS.items() if name in frame.format.name), None)
    if kind is None:
        return
    order: Literal["<", ">"] = ">" if frame.format.name.endswith("be") else "<"
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), np.dtype(kind).newbyteorder(order)).reshape(plane.height, -1)
        parts = len(frame.format.components) if len(frame.planes) == 1 else 1  # packed side by side
        if not np.isfinite(rows[:, : plane.width * parts]).all():
            raise ValueError(f"it holds NaN or infinity at {frame.time or 0.0:.3f} s")


def _up(pixels: int) -> int:
    """Round up to a multiple of the margin, so that windows fit the grid of the colour planes."""
    return -(-pixels // _MARGIN) * _MARGIN


class _Cropper:
    """Cuts a window out of frames without copying pixels."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._for: tuple[object, ...] = ()

    def crop(self, frame: VideoFrame, top: int, left: int, height: int, width: int) -> VideoFrame:
        window = f"w={width}:h={height}:x={left}:y={top}:exact=1"
        kind = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, window)
        if self._graph is None or kind != self._for:
            self._graph, self._for = filter_graph(frame, "crop", window), kind
        self._graph.push(frame)
        return cast("VideoFrame", self._graph.pull())
