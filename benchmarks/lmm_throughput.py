"""How much of a multimodal rater's speed is left when it starts from files.

    python benchmarks/lmm_throughput.py [FILES…] [--batch 1 4 16] [--clips 16]

Without files, 480p clips of 5 s with sound are synthesized (H.264 and AAC). For each batch size, in one run: the bare
forward of a random AGAV-Rater of 145 million weights, from frames and sound that lie decoded in memory to scores,
preprocessing included (it is part of the model and of its gradient), batched as one would in PyTorch (one call of each
encoder and of the language model a batch); and the same clips from files to scores with `score_files`. Promises: files
reach at least 0.9 of the bare forward; the CPU-seconds spent outside the forward are at most 1.2 × those of decoding
alone (the frames that are looked at, at their native size, and the sound).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from medium_agav import machine, medium_rater
from throughput import make_480p
from torch import Tensor

from avreward import Clip, score_files
from avreward.media import FramePlan
from avreward.raters import AgavRater

AIM, OUTSIDE = 0.9, 1.2


def bare(rater: AgavRater, clips: Sequence[Clip]) -> Tensor:
    """Run the forward alone, as written for a batch of equal sizes: no sharing, no cache, no bookkeeping."""
    network, backbone = rater.backbone.module, rater.backbone
    pixels = torch.cat([backbone.load(clip, "video") for clip in clips])
    video = network.connector(network.vision_features(pixels).unflatten(0, (len(clips), -1)))
    sounds = torch.stack([backbone.load(clip, "audio") for clip in clips])
    audio = network.audio_projector(network.audio(sounds))
    prompt = rater.questions[0].prompt
    ids = [backbone.tokenizer("".join(part))["input_ids"] for part in (prompt[:1], prompt[3:])]
    embed = backbone.language.get_input_embeddings()
    before, after = (embed(torch.tensor(own)).expand(len(clips), -1, -1) for own in ids)
    hidden = backbone.language(inputs_embeds=torch.cat([before, video, audio, after], dim=1), use_cache=False)
    return network.regression(hidden.last_hidden_state[:, -1])


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, CPU seconds, result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--clips", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        files = arguments.files or make_480p(Path(folder), arguments.clips)
        measure(files, arguments.batch)


def measure(files: Sequence[Path], batches: Sequence[int]) -> None:
    """One row a batch size."""
    rater = medium_rater()
    _, decoding, decoded = timed(lambda: [_decoded(Clip.open(path), rater) for path in files])
    bare(rater, decoded[:1])  # warm
    print(f"{len(files)} files; decoding alone {decoding / len(files):.2f} CPU s a clip; {machine()}\n")
    print("| batch | bare forward | files to scores | of the forward | CPU s outside the forward / decoding alone |")
    print("|---:|---:|---:|---:|---:|")
    missed = []
    for batch in batches:
        parts = [slice(i, i + batch) for i in range(0, len(files), batch)]
        forward = [timed(partial(bare, rater, decoded[part])) for part in parts]
        wall, cpu, scored = timed(lambda batch=batch: list(score_files(files, rater, batch_size=batch)))
        ready, used = (sum(times[k] for times in forward) for k in (0, 1))
        found = torch.cat([one.scores["agav"].values for one in scored])
        torch.testing.assert_close(found, torch.cat([times[2] for times in forward]), rtol=1e-3, atol=1e-3)
        share, outside = ready / wall, (cpu - used) / decoding
        if share < AIM or outside > OUTSIDE:
            missed.append(f"batch {batch}")
        rates = " | ".join(f"{len(files) / seconds:.3f} clips/s" for seconds in (ready, wall))
        print(f"| {batch} | {rates} | {share:.2f} | {outside:.2f} |", flush=True)
    print(f"\nAt least {AIM} and at most {OUTSIDE}: " + (f"missed for {', '.join(missed)}" if missed else "yes"))


def _decoded(clip: Clip, rater: AgavRater) -> Clip:
    """Return the frames that the rater looks at and the sound, in memory."""
    frames = clip.frames(FramePlan(rater.backbone.frames))
    return Clip(video=frames, fps=len(frames) / 5, audio=clip.sound(), sample_rate=clip.sample_rate)


if __name__ == "__main__":
    sys.exit(main())
