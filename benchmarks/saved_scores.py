"""Measure by how much saving moves a score: save a clip, open the file, rate it, and compare with the clip's own score.

    python benchmarks/saved_scores.py CLIP-OR-FOLDER …      # real clips
    python benchmarks/saved_scores.py                       # sounds that are made here

Each clip is decoded to tensors first, as a generator gives it. Prints a row a format: the largest and the median
absolute difference of `audio_quality` (points of 0 to 100), and how many clips moved by more than one point.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from avreward.clip import Clip
from avreward.raters import load_rater
from avreward.scoring import list_clips

LOSSLESS, LOSSY = (".wav", ".flac", ".mkv"), (".m4a", ".mp4")


def made(rates: tuple[int, ...] = (16_000, 44_100), seconds: float = 2.0, seed: int = 0) -> Iterator[tuple[str, Clip]]:
    """Yield sounds that are hard to encode: noise whose upper bands are weak, clicks, tones over hiss, quiet noise."""
    generator = torch.Generator().manual_seed(seed)
    for rate in rates:
        count = int(rate * seconds)
        times = torch.arange(count) / rate
        noise = torch.randn(count, generator=generator)
        band = torch.linspace(0, 1, count // 2 + 1)
        for depth in (20, 55, 65, 90):  # dB from the lowest band to the highest
            falling = torch.fft.irfft(torch.fft.rfft(noise) * 10 ** (-depth * band / 20), n=count)
            yield f"noise that falls by {depth} dB, {rate} Hz", sound_of(falling, rate)
        clicks = (torch.rand(count, generator=generator) < 8 / rate).float() + 1e-4 * noise
        yield f"clicks, {rate} Hz", sound_of(clicks, rate)
        tones = sum(torch.sin(2 * torch.pi * 220 * k * times) / k**2 for k in range(1, 9)) + 1e-3 * noise
        yield f"tones over hiss, {rate} Hz", sound_of(tones, rate)
        yield f"quiet noise, {rate} Hz", sound_of(noise, rate, peak=1e-3)


def sound_of(samples: torch.Tensor, rate: int, peak: float = 0.5) -> Clip:
    """Return a clip of one channel with the given peak."""
    return Clip(audio=(samples * peak / samples.abs().max())[None], sample_rate=rate)


def differences(clip: Clip, endings: tuple[str, ...], folder: Path) -> dict[str, float]:
    """Return for each ending by how much the score of the saved clip differs from the clip's own."""
    rater = load_rater("signals")
    alone = Clip(audio=clip.sound(), sample_rate=clip.sample_rate)
    own = rater([clip])["audio_quality"][0].item()
    moved = {}
    for ending in endings:
        if clip.has_video or ending != ".mp4":
            path = folder / f"saved{ending}"
            (clip if ending in (".mkv", ".mp4") else alone).save(path)
            moved[ending] = rater([Clip.open(path)])["audio_quality"][0].item() - own
    return moved


def real(sources: list[str]) -> Iterator[tuple[str, Clip]]:
    """Yield clips of files, as tensors."""
    for listed in list_clips(sources):
        clip = Clip.open(listed.path)
        if clip.has_audio:
            video = {"video": clip.video, "fps": clip.fps} if clip.has_video else {}
            yield str(listed.path), Clip(audio=clip.sound(), sample_rate=clip.sample_rate, **video)


def main() -> None:
    """Print a line a clip and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*")
    parser.add_argument("--endings", nargs="+", default=[*LOSSLESS, *LOSSY], choices=[*LOSSLESS, *LOSSY])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[float]] = {ending: [] for ending in asked.endings}
    with tempfile.TemporaryDirectory() as folder:
        for name, clip in real(asked.clips) if asked.clips else made():
            moved = differences(clip, tuple(asked.endings), Path(folder))
            print(name, " ".join(f"{ending} {value:+.3f}" for ending, value in moved.items()), flush=True)
            for ending, value in moved.items():
                found[ending].append(abs(value))
    print("\n| format | clips | median | largest | more than 1 point |\n|---|---|---|---|---|")
    for ending, values in found.items():
        if values:
            above = sum(value > 1 for value in values)
            print(f"| {ending} | {len(values)} | {statistics.median(values):.3f} | {max(values):.3f} | {above} |")


if __name__ == "__main__":
    main()
