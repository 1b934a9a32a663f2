"""AGAV-Rater at its full size on a GPU, with random weights in bfloat16: clips a second, and peak memory.

    python benchmarks/gpu_agav_rater.py [--seconds 3 5 7 9 11]

Without a GPU it says so and ends with exit code 1; `--tiny --device cpu` runs the same code at a tiny size, to see that
it runs. Inputs lie on the GPU as tensors (480p frames and 16 kHz sound), so that the numbers are those of preprocessing
and network, not of decoding. Each clip length: one by one, eight clips as a batch, and eight dubs of one video. Beside
it what the paper's table 9 reports for the same lengths on an RTX 4090 at batch 1. Since frames and sound are resampled
to a fixed number of tokens, our times hardly depend on the length.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import torch
from medium_agav import machine
from tiny_agav_rater import SPECIAL, random_network, tiny_config
from tiny_tokenizer import tiny_tokenizer

from avreward import Clip
from avreward.raters import AgavRater
from avreward.raters.agav._backbone import AgavBackbone
from avreward.raters.agav._network import AgavConfig, AgavNetwork
from avreward.raters.encoders.beats import BeatsConfig

PAPER = {3: 6.36, 5: 4.91, 7: 4.55, 9: 3.90, 11: 3.01}  # clips a second, RTX 4090, batch 1
BATCH = 8


def full_config() -> AgavConfig:
    """Return the published sizes: SigLIP so400m, BEATs base, Qwen2 7B."""
    return AgavConfig(
        vision={
            "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
            "image_size": 384, "patch_size": 14,
        },
        audio=BeatsConfig(),
        language={
            "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6, "rope_theta": 1e6,
        },
    )  # fmt: skip


def full_rater(device: str, tiny: bool) -> AgavRater:
    """With random weights, made on the device."""
    tokenizer = tiny_tokenizer(SPECIAL)
    if tiny:
        network = random_network(tiny_config(len(tokenizer))).to(device)
    else:
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        with torch.device(device):
            network = AgavNetwork(full_config())
        torch.set_default_dtype(before)
        network.restore_buffers(device)
    return AgavRater(AgavBackbone(network, tokenizer))


def clip_of(seconds: int, seed: int, device: str) -> Clip:
    """Noise of a length, 8 frames a second."""
    generator = torch.Generator(device).manual_seed(seed)
    video = torch.rand(8 * seconds, 3, 480, 832, generator=generator, device=device)
    audio = torch.rand(1, 16000 * seconds, generator=generator, device=device) - 0.5
    return Clip(video=video, fps=8, audio=audio, sample_rate=16000)


def rate(work: Callable[[], object], clips: int, device: str, runs: int = 3) -> float:
    """Clips a second, the best of `runs` after one to warm up."""
    best = 0.0
    for run in range(runs + 1):
        _wait(device)
        started = time.perf_counter()
        work()
        _wait(device)
        best = max(best, clips / (time.perf_counter() - started)) if run else 0.0
    return best


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, nargs="+", default=list(PAPER))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to see that the script runs")
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU here: nothing was measured", file=sys.stderr)
        return 1
    rater = full_rater(arguments.device, arguments.tiny)
    count = sum(p.numel() for p in rater.module.parameters())
    print(f"{count / 1e9:.2f} billion weights, {rater.settings['dtype']}; {machine()}\n")
    print(f"| clip | one by one | batch of {BATCH} | {BATCH} dubs of one video | paper, RTX 4090 | peak memory |")
    print("|---:|---:|---:|---:|---:|---:|")
    for seconds in arguments.seconds:
        _row(rater, seconds, arguments.device)
    return 0


@torch.no_grad()
def _row(rater: AgavRater, seconds: int, device: str) -> None:
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    clips = [clip_of(seconds, seed, device) for seed in range(BATCH)]
    dubs = [clips[0].with_audio(clip) for clip in clips]
    rates = [
        rate(lambda: rater(clips[:1]), 1, device),
        rate(lambda: rater(clips, batch_size=BATCH), BATCH, device),
        rate(lambda: rater(dubs, batch_size=BATCH), BATCH, device),
    ]
    peak = f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB" if device != "cpu" else "not measured"
    paper = f"{PAPER[seconds]:.2f}" if seconds in PAPER else ""
    print(f"| {seconds} s | {' | '.join(f'{r:.2f}' for r in rates)} | {paper} | {peak} |", flush=True)


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(main())
