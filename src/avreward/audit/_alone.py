"""Attribution by parts alone: rate each moment and each region of a clip as a clip of its own."""

from __future__ import annotations

from functools import partial

from avreward.audit._occlusion import MomentWindows, Variant
from avreward.audit._substitutes import frames_between
from avreward.clip import Clip

PART = 3  # a region is a third of the height and of the width, around a block


def moments_alone(clip: Clip, windows: MomentWindows) -> list[Variant]:
    """Return a clip of each moment, with its own clock; both tracks are cut at the same times."""
    video = clip.video if clip.has_video else None
    audio = clip.sound() if clip.has_audio else None

    def made(start: float, stop: float) -> Clip:
        texts = {"prompt": clip.prompt, "texts": clip.texts}
        part = None
        if audio is not None:
            rate = clip.sample_rate
            part = audio[:, round(start * rate) : round(stop * rate)]
        if video is None:
            return Clip(audio=part, sample_rate=clip.sample_rate, **texts)  # type: ignore[arg-type]
        first, end = frames_between(clip.times, start, stop)
        alone = Clip(video=video[first:end], times=clip.times[first:end] - start, **texts)  # type: ignore[arg-type]
        return alone if part is None else alone.with_audio(part, clip.sample_rate)

    return [
        (f"{start:.2f} to {stop:.2f} s alone", partial(made, start, stop))
        for start, stop in zip(windows.start, windows.stop, strict=True)
    ]


def regions_alone(clip: Clip, grid: tuple[int, int]) -> list[Variant]:
    """Return the clip cropped to the surroundings of each block, row by row; the audio is kept."""
    video = clip.video
    height, width = video.shape[-2:]
    down, across = max(1, round(height / PART)), max(1, round(width / PART))

    def made(row: int, column: int) -> Clip:
        top = min(max(0, round((row + 0.5) / grid[0] * height - down / 2)), height - down)
        left = min(max(0, round((column + 0.5) / grid[1] * width - across / 2)), width - across)
        part = video[..., top : top + down, left : left + across]
        alone = Clip(video=part, times=clip.times, prompt=clip.prompt, texts=clip.texts)
        return alone.with_audio(clip) if clip.has_audio else alone

    return [
        (f"around row {row + 1}, column {column + 1} alone", partial(made, row, column))
        for row in range(grid[0])
        for column in range(grid[1])
    ]
