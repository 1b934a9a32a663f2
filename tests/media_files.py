"""Media files for the tests, made on the fly with PyAV and independent of the package's own writer."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TICKS = 90_000


def picture(number: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A smooth frame that differs from the others, (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    red = (96 + 64 * np.sin(x / 9 + number / 3)).astype(np.uint8)
    green = (y * 160 // max(1, height - 1) + 40).astype(np.uint8)
    blue = np.full((height, width), 40 + number * 29 % 150, np.uint8)
    return np.stack([red, green, blue], axis=-1)


def opacity(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """From transparent at the left to opaque at the right, (height, width)."""
    return np.repeat(np.linspace(0, 255, width).round().astype(np.uint8)[None], height, axis=0)


def frames(count: int, height: int = 48, width: int = 64) -> Tensor:
    """The frames of `write`, float (count, 3, height, width)."""
    stack = np.stack([picture(number, height, width) for number in range(count)])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 255


def tones(seconds: float, rate: int, channels: int) -> NDArray[np.float32]:
    """One sine a channel, whole multiples of 1/32768, (channels, samples)."""
    time = np.arange(round(seconds * rate)) / rate
    waves = np.stack([0.3 * np.sin(2 * np.pi * (300 + 100 * channel) * time) for channel in range(channels)])
    return (np.round(waves * 32768) / 32768).astype(np.float32)


def write(
    path: Path | str,
    count: int = 12,
    *,
    codec: str | None = "libx264",
    size: tuple[int, int] = (48, 64),
    fps: int = 10,
    times: list[float] | None = None,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    turned: float | None = None,
    colours: dict[str, int] | None = None,
    sound: str | None = None,
    rate: int = 48000,
    channels: int = 2,
    layout: str | None = None,
    seconds: float = 1.2,
    sound_at: float = 0.0,
    form: str | None = None,
    mux: dict[str, str] | None = None,
    samples: NDArray[np.float32] | None = None,
    piped: bool = False,
    alpha: bool = False,
) -> Path:
    """Write `count` frames of `picture` (none if `codec` is None) and `tones` (none if `sound` is None).

    `samples` (channels, n) replace the tones, `alpha` gives the frames the alpha channel `opacity`. A file that is
    `piped` is never rewound: what its header should tell about its length stays unknown.
    """
    path = Path(path)
    form = form or (path.suffix[1:] if piped else None)
    with ExitStack() as stack:
        target: Any = Pipe(stack.enter_context(path.open("wb"))) if piped else str(path)
        container = stack.enter_context(av.open(target, "w", format=form, options=mux or {}))
        video = audio = None
        if codec is not None:
            video = container.add_stream(codec, rate=fps)
            video.height, video.width = size
            video.pix_fmt, video.options = pixels, options or {}
            if times is not None:
                video.time_base = video.codec_context.time_base = Fraction(1, TICKS)
            if turned is not None:
                video.set_display_rotation(turned)
            for name, value in (colours or {}).items():
                setattr(video.codec_context, name, value)
        if sound is not None:
            audio = container.add_stream(sound, rate=rate)
            audio.layout = layout or {1: "mono", 2: "stereo", 6: "5.1"}[channels]
        if video is not None:
            for number in range(count):
                image, form_of = picture(number, *size), "rgb24"
                if alpha:
                    image, form_of = np.dstack([image, opacity(*size)]), "rgba"
                frame = av.VideoFrame.from_ndarray(image, format=form_of)
                frame.pts, frame.time_base = number, Fraction(1, fps)
                if times is not None:
                    frame.pts, frame.time_base = round(times[number] * TICKS), Fraction(1, TICKS)
                if colours:
                    matrix, span = colours.get("colorspace"), colours.get("color_range")
                    frame = frame.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=span)
                    for name in ("color_trc", "color_primaries"):
                        setattr(frame, name, colours.get(name, 2))
                elif pixels in ("rgb8", "pal8") or alpha:
                    frame = frame.reformat(format=pixels)
                container.mux(video.encode(frame))
            container.mux(video.encode())
        if audio is not None:
            samples = tones(seconds, rate, channels) if samples is None else samples
            start = round(sound_at * rate)
            for position in range(0, samples.shape[1], 1000):  # whole milliseconds at 48 kHz
                piece = np.ascontiguousarray(samples[:, position : position + 1000])
                frame = av.AudioFrame.from_ndarray(piece, "fltp", audio.layout.name)
                frame.sample_rate, frame.pts, frame.time_base = rate, start + position, Fraction(1, rate)
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


class Pipe:
    """A file that can only be written on."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def remux(source: Path, path: Path, change: Any) -> Path:
    """Copy the packets of `source`; `change(number, packet)` alters one, returns another, or None to leave it out."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
        number = 0
        for packet in old.demux():
            if packet.size == 0:
                continue
            stream = streams[packet.stream_index]
            changed = change(number, packet)
            number += 1
            if changed is not None:
                changed.stream = stream
                new.mux(changed)
    return path


def repacked(packet: av.Packet, data: bytes) -> av.Packet:
    """The packet with other bytes in it."""
    copy = av.Packet(data)
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    copy.is_keyframe = packet.is_keyframe
    copy.stream = packet.stream
    return copy
