"""How far what the raters read from a file is from what the originals' libraries read.

    python benchmarks/file_parity.py CLIPS/*.mp4

The sound of each clip is resampled by FFmpeg (through PyAV) and by soxr, if installed (`pip install soxr`), and
by `avreward.media.resample`; frames are decoded by decord, if installed, by PyAV's default conversion, and by
`Clip.frames`. A row says how far the two are apart: the largest difference, its root mean square, and for audio the
largest difference of the upper eight of 128 mel bands, in nats of their mean over time. Rows with "julius" and
"accurate" show the defaults of `Clip`, which no original uses.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from medium_agav import machine
from torch import Tensor

from avreward import Clip
from avreward.media import FramePlan, beats_fbank, resample

RATE, FRAMES, BANDS = 16000, 5, 8


def by_ffmpeg(audio: Tensor, rate: int) -> Tensor:
    """Return (1, samples) at 16 kHz as FFmpeg's resampler makes it; `audio`: float32 (1, samples)."""
    frame = av.AudioFrame.from_ndarray(audio.numpy(), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    resampler = av.AudioResampler("fltp", "mono", RATE)
    pieces = [piece.to_ndarray() for given in (frame, None) for piece in resampler.resample(given)]
    return torch.from_numpy(np.concatenate(pieces, axis=1))


def by_soxr(soxr: Any, audio: Tensor, rate: int) -> Tensor:
    """Return (1, samples) at 16 kHz as librosa's default makes it."""
    return torch.from_numpy(soxr.resample(audio[0].numpy(), rate, RATE, "HQ"))[None]


def by_pyav(path: Path, count: int) -> Tensor:
    """Return the first frames in levels (count, 3, height, width), converted by FFmpeg's default."""
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="rgb24") for _, frame in zip(range(count), container.decode(video=0))]  # noqa: B905
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float()


def by_decord(decord: Any, path: Path, count: int) -> Tensor:
    """Return the first frames in levels as decord reads them."""
    reader = decord.VideoReader(str(path))
    return torch.from_numpy(reader.get_batch(range(count)).asnumpy()).permute(0, 3, 1, 2).float()


def sound_row(reference: Callable[[Tensor, int], Tensor], resampler: Any, clips: Sequence[Clip]) -> list[float]:
    """Return the largest difference, its root mean square, and the largest in the upper mel bands, over all clips."""
    largest, squares, count, bands = 0.0, 0.0, 0, 0.0
    for clip in clips:
        native = clip.sound(channels=1)
        wanted, found = reference(native, clip.sample_rate), resample(native, clip.sample_rate, RATE, resampler)
        length = min(wanted.shape[1], found.shape[1])
        wanted, found = wanted[:, :length], found[:, :length]
        gap = (found - wanted).double()
        largest, squares = max(largest, float(gap.abs().max())), squares + float(gap.square().sum())
        count += length
        mel = [beats_fbank(wave, "none").double().mean(-2)[..., -BANDS:] for wave in (found, wanted)]
        bands = max(bands, float((mel[0] - mel[1]).abs().max()))
    return [largest, (squares / count) ** 0.5, bands]


def frame_row(reference: Callable[[Path, int], Tensor], conversion: Any, paths: Sequence[Path]) -> list[float]:
    """Return the largest difference in levels of 255, its root mean square, and the mean of ours minus theirs."""
    largest, squares, sums, count = 0.0, 0.0, 0.0, 0
    for path in paths:
        plan = FramePlan(lambda times: torch.arange(FRAMES), conversion=conversion)
        gap = (Clip.open(path).frames(plan) * 255).round().double() - reference(path, FRAMES)
        largest, squares = max(largest, float(gap.abs().max())), squares + float(gap.square().sum())
        sums, count = sums + float(gap.sum()), count + gap.numel()
    return [largest, (squares / count) ** 0.5, sums / count]


def table(paths: Sequence[Path]) -> list[str]:
    """Return the lines of both tables."""
    soxr, decord = (installed(name) for name in ("soxr", "decord"))
    clips = [Clip.open(path) for path in paths]
    heard = [clip for clip in clips if clip.has_audio and clip.sample_rate != RATE]
    shown = [path for path, clip in zip(paths, clips, strict=True) if clip.has_video and len(clip.times) >= FRAMES]
    if not heard or not shown:
        wanted = "videos of five frames or more, with audio at another rate than 16 kHz"
        raise SystemExit(f"CLIPS: expected {wanted}, got {len(paths)} files without; pass others")
    sounds: dict[str, Callable[[Tensor, int], Tensor]] = {"FFmpeg": by_ffmpeg}
    if soxr:
        sounds["soxr HQ"] = lambda audio, rate: by_soxr(soxr, audio, rate)
    frames: dict[str, Callable[[Path, int], Tensor]] = {"PyAV's default": by_pyav}
    if decord:
        frames["decord"] = lambda path, count: by_decord(decord, path, count)
    out = ["| original | ours | largest | RMS | upper mel bands, nats |", "|---|---|---:|---:|---:|"]
    for name, reference in sounds.items():
        for resampler in ("librosa" if name == "soxr HQ" else "ffmpeg", "julius"):
            row = sound_row(reference, resampler, heard)
            out.append(f"| {name} | {resampler} | " + " | ".join(f"{value:.2g}" for value in row) + " |")
    out += ["", "| original | ours | largest, of 255 | RMS | mean |", "|---|---|---:|---:|---:|"]
    for name, look in frames.items():
        for conversion in ("fast", "accurate"):
            row = frame_row(look, conversion, shown)
            out.append(f"| {name} | {conversion} | {row[0]:.0f} | {row[1]:.2f} | {row[2]:+.2f} |")
    absent = [name for name, module in (("soxr", soxr), ("decord", decord)) if not module]
    return [*out, *([f"\nNot installed, so not compared: {', '.join(absent)}."] if absent else [])]


def installed(name: str) -> Any:
    """Return a module, or `None` if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIPS")
    paths = parser.parse_args(arguments).clips
    print(f"{len(paths)} clips, {machine()}\n")
    print("\n".join(table(paths)))


if __name__ == "__main__":
    main()
