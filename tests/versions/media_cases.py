"""Golden cases of `avreward.media`: files as they are decoded, and transforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from media_files import remux, tones, write

from avreward import Clip
from avreward.media import (
    AgavRaterFrames,
    AigvAssessorFrames,
    AllFrames,
    CentredClip,
    DoverFrames,
    Fbank,
    FramePlan,
    LogMel,
    PerSecond,
    QwenFrames,
    SlowPathway,
    Spread,
    UniformFrames,
    Windows,
    beats_fbank,
    remix,
    resample,
    resize,
    to_bfloat16,
    to_int16,
    to_uint8_levels,
)
from avreward.media.resampling import joined_clips
from versions.inputs import audio, numbers, uniform, video

OPPOSITE = np.concatenate([tones(0.5, 8000, 1), -tones(0.5, 8000, 1)])
FOLDER = Path(__file__).parent / "media"
FILES: dict[str, dict[str, Any]] = {
    "h264_aac.mp4": {"sound": "aac", "options": {"bf": "2"}},
    "h264_full_range.mp4": {"count": 4, "colours": {"colorspace": 1, "color_range": 2}},
    "vp9_opus.webm": {"codec": "libvpx-vp9", "sound": "libopus", "count": 6, "seconds": 0.6},
    "ffv1_flac_late.mkv": {
        "codec": "ffv1", "pixels": "bgr0", "times": [0.1, 0.2, 0.35, 0.8], "count": 4, "sound": "flac",
        "sound_at": 0.4, "seconds": 0.3, "size": (24, 32),
    },
    "turned.mp4": {"count": 4, "turned": 90},
    "mono.wav": {"codec": None, "sound": "pcm_s16le", "rate": 8000, "channels": 1, "seconds": 0.5},
    "surround.flac": {"codec": None, "sound": "flac", "channels": 6, "seconds": 0.1},
    "pq.mkv": {
        "codec": "ffv1", "pixels": "yuv420p10le", "count": 2, "size": (24, 32),
        "colours": {"colorspace": 9, "color_range": 1, "color_trc": 16, "color_primaries": 9},
    },
    "hlg.mkv": {
        "codec": "ffv1", "pixels": "yuv420p10le", "count": 2, "size": (24, 32),
        "colours": {"colorspace": 9, "color_range": 1, "color_trc": 18, "color_primaries": 9},
    },
    "interlaced.mp4": {"count": 4, "options": {"x264-params": "interlaced=1"}},
    "alpha.mkv": {"codec": "ffv1", "pixels": "bgra", "count": 2, "size": (24, 32), "alpha": True},
    "opposite.wav": {"codec": None, "sound": "pcm_s16le", "rate": 8000, "samples": OPPOSITE},
    "mp3.mp3": {"codec": None, "sound": "libmp3lame", "seconds": 0.5},
}  # fmt: skip
"""Files that stand in the folder `media`, so that no encoder has a say, and how they were made."""
COPIES = {"aac_copied.mkv": "h264_aac.mp4"}
"""Files whose packets are those of another, in a container that does not say what primes the codec."""

RULES = (
    AllFrames(), Windows(0.5, 2), Windows(1.0, 1), Spread(3), PerSecond(2.0), QwenFrames(2.0),
    QwenFrames(1.0, nearest=True), AgavRaterFrames(8), AigvAssessorFrames(), AigvAssessorFrames(4, (0.5, 2.0)),
    UniformFrames(8), CentredClip(4, 2), SlowPathway(UniformFrames(16)), DoverFrames(4, 3), DoverFrames(1, 8),
)  # fmt: skip


def write_files() -> None:
    """Make the files that are absent."""
    for name, options in FILES.items():
        if not (FOLDER / name).exists():
            write(FOLDER / name, **options)
    for name, original in COPIES.items():
        if not (FOLDER / name).exists():
            remux(FOLDER / original, FOLDER / name, lambda number, packet: packet)


def media_cases() -> dict[str, Any]:
    """Case → what comes out."""
    files = {f"file {name}": _decoded(FOLDER / name) for name in (*FILES, *COPIES)}
    return files | {"keys of exact tensors": _tensor_keys(), "rules": _rules()} | _transforms()


def _decoded(path: Path) -> dict[str, Any]:
    clip = Clip.open(path)
    out: dict[str, Any] = {"keys": dict(clip.keys), "seconds": clip.seconds, "missing": dict(clip.missing)}
    if clip.has_video:
        plans = [FramePlan(AllFrames()), FramePlan(Spread(2), max_side=20), FramePlan(Spread(3), size=(20, 20))]
        plans.append(FramePlan(Spread(2), crop=32))
        out |= {"times": clip.times.tolist(), "fps": clip.fps}
        out["frames"] = [numbers(view) for view in clip.views(plans)]
    if clip.has_audio:
        sounds = (clip.sound(), clip.sound(16000, 1), clip.sound(22050, 2), *clip.spans([(0.05, 0.2)], 16000, 1))
        out["sounds"] = [numbers(sound) for sound in sounds]
    return out


def _tensor_keys() -> dict[str, str]:
    noise = uniform(1, 800) - 0.5  # exact: a sine differs in its last bit between machines
    return dict(Clip(video=video(2).float(), fps=8, audio=noise, sample_rate=8000, prompt="a ball").keys)


def _rules() -> dict[str, Any]:
    clocks = {
        "24 fps": torch.arange(100, dtype=torch.float64) / 24,
        "few": torch.arange(5, dtype=torch.float64) / 8,
        "uneven": torch.tensor([0.0, 0.1, 0.15, 0.9, 1.0, 1.2, 2.5, 2.6, 2.7, 3.3, 3.4], dtype=torch.float64),
        "late": 0.5005 + torch.arange(30, dtype=torch.float64).mul(1000 / 15).round() / 1000,
    }
    return {name: {repr(rule): rule(times).tolist() for rule in RULES} for name, times in clocks.items()}


def _transforms() -> dict[str, Any]:
    frames, wave = video(2, 30, 44, seed=1), audio(9000, 16000, 2, seed=1)
    sizes = ((10, 20), (45, 33), (30, 20))
    modes = ("area", "bilinear", "bicubic", "nearest")
    ties = torch.tensor([0.0, 0.5 / 255, 1.5 / 255, 0.3, 0.7, 1.0], dtype=torch.float64)
    levels = to_uint8_levels(frames, "exact")
    return {
        "resize": {f"{mode} {size}": numbers(resize(frames, size, mode)) for mode in modes for size in sizes},  # type: ignore[arg-type]
        "resize in levels": {
            f"{mode} {size}": numbers(resize(levels, size, mode, "exact"))  # type: ignore[arg-type]
            for mode in modes
            for size in sizes
        },
        "resample": {
            f"{old} to {new}": numbers(resample(wave, old, new))
            for old, new in ((16000, 8000), (16000, 44100), (44100, 16000), (48000, 22050), (16000, 16001))
        },
        "remix": {
            f"{have} to {want}": numbers(remix(uniform(have, 50), want))
            for have, want in ((1, 2), (2, 1), (5, 2), (6, 2), (8, 1))
        },
        "fbank": {window: numbers(Fbank(bins=40, window=window)(wave)) for window in ("povey", "hann", "hamming")},  # type: ignore[arg-type]
        "beats_fbank": numbers(beats_fbank(wave[:1], "none")),
        "log-mel": {str(bins): numbers(LogMel(bins, None)(wave)) for bins in (80, 128)},
        "joined clips": numbers(joined_clips(wave[0], 16000, 3, 0.1, 1.0)),
        "rounding": {
            "levels": to_uint8_levels(ties, "exact").tolist(),
            "int16": to_int16(2 * ties - 1, "exact").tolist(),
            "bfloat16": to_bfloat16(ties + 1 / 3, "exact").tolist(),
        },
    }
