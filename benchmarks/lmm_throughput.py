"""How much of a multimodal rater's speed is left when it starts from files.

    python benchmarks/lmm_throughput.py [FILES…] [--batch 1 4 16] [--clips 16]

Without files, 480p clips of 5 s with sound are synthesized (H.264 and AAC). For each batch size, in one run: the bare
forward of a random AGAV-Rater of 170 million weights on inputs that lie ready, batched as one would in PyTorch (one
call of each encoder and of the language model a batch); and the same clips from files to scores with `score_files`.
Promises: files reach at least 0.9 of the bare forward; the CPU-seconds spent outside the forward are at most 1.2 ×
those of decoding alone (frames at their native size and sound, nothing else).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from medium_agav import machine, medium_rater
from torch import Tensor

from avreward import Clip, score_files
from avreward.datasets.scenes import scene
from avreward.media.sampling import FramePlan
from avreward.raters.agav_rater import AgavRater
from avreward.raters.base import Work

FIRST = 400_000  # seed of the first synthesized clip
AIM, OUTSIDE = 0.9, 1.2


def clips_480p(folder: Path, count: int) -> list[Path]:
    """Synthesized files, a scene each."""
    kinds = ("balls", "drops", "bursts", "pendulum")
    paths = []
    for i in range(count):
        paths.append(folder / f"{i}.mp4")
        made = scene(FIRST + i, kinds[i % len(kinds)], 5.0)
        frames = torch.nn.functional.interpolate(made.video, size=(480, 832), mode="bilinear")
        Clip(video=frames, fps=made.fps, audio=made.audio, sample_rate=made.sample_rate).save(paths[-1])
    return paths


def bare(rater: AgavRater, pixels: Sequence[Tensor], sounds: Sequence[Tensor]) -> Tensor:
    """The forward alone, as one would write it for a batch of equal sizes: no sharing, no cache, no bookkeeping."""
    network, backbone = rater.backbone.module, rater.backbone
    count = len(pixels)
    pictures = network.vision_features(torch.cat(list(pixels)))
    video = network.connector(pictures.unflatten(0, (count, -1)))
    audio = network.audio_projector(network.audio(torch.stack(list(sounds))))
    prompt = rater.questions[0].prompt
    ids = [backbone.tokenizer(part)["input_ids"] for part in ("".join(prompt[:1]), "".join(prompt[3:]))]
    before, after = (backbone.language.get_input_embeddings()(torch.tensor(i)).expand(count, -1, -1) for i in ids)
    hidden = backbone.language(inputs_embeds=torch.cat([before, video, audio, after], dim=1), use_cache=False)
    return network.regression(hidden.last_hidden_state[:, -1])


def timed(work: Callable[[], object]) -> tuple[float, float, object]:
    """Wall seconds, CPU seconds, result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--clips", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        files = arguments.files or clips_480p(Path(folder), arguments.clips)
        measure(files, arguments.batch)


def measure(files: Sequence[Path], batches: Sequence[int]) -> None:
    """One row a batch size."""
    rater = medium_rater()
    _, decoding, _ = timed(lambda: [_decode(Clip.open(path), rater) for path in files])
    samples = [rater.load(Clip.open(path), Work()) for path in files]
    pixels, sounds = ([sample.tracks[track] for sample in samples] for track in ("video", "audio"))
    bare(rater, pixels[:1], sounds[:1])  # warm
    print(f"{len(files)} files; decoding alone {decoding / len(files):.2f} CPU s a clip; {machine()}\n")
    print(
        "| batch | bare forward | files to scores | of the bare forward | CPU s outside the forward / decoding alone |"
    )
    print("|---:|---:|---:|---:|---:|")
    missed = []
    for batch in batches:
        parts = [slice(i, i + batch) for i in range(0, len(files), batch)]
        forward = [timed(partial(bare, rater, pixels[part], sounds[part])) for part in parts]
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


def _decode(clip: Clip, rater: AgavRater) -> None:
    clip.frames(FramePlan(rater.backbone.frames))
    clip.sound()


if __name__ == "__main__":
    sys.exit(main())
