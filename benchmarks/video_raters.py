"""Time and memory of the video raters' networks at their published sizes, with random weights, on one video.

    python benchmarks/video_raters.py [--device cuda] [--parts NAME …] [--ways forward …] [--frames 8]
    python benchmarks/video_raters.py --files 4 [--raters dover assessor]

Each part runs in a process of its own, batch 1, in float32 on a CPU and bfloat16 on a GPU: the forward pass, and a
gradient to its input (pixels, or the tokens that a language model reads) with and without checkpointing. Encoders and
DOVER are whole. Language models have their full width and two layers; from the difference between one and two layers
time and memory of all layers follow, and such rows are labelled *computed*. With ``--frames`` below 8 the frames'
encoder sees so many, and its time is computed for eight: frames are independent of each other.

Times are the process's CPU time on a CPU, of all threads together, which other programs hardly change; on a GPU they
are seconds. Peaks are those above the loaded network: on a CPU the process's high-water mark, on a GPU that of torch's
allocator. The columns "of the forward" are ratios to the first row of the part.

``--files`` compares files with the bare forward: synthesized 480p clips, from tensors in memory to scores, and from
files to scores with `score_files`, one file after the other in both ways, in turn. Aim: at least 0.9 of the forward's
speed. DOVER has its published size, AIGV-Assessor 130 million weights.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from medium_agav import machine
from torch import Tensor, nn

from avreward import Clip, score_files
from avreward.raters import Rater
from avreward.raters.checkpoints._activation_checkpointing import checkpointed

WAYS = ("forward", "backward", "checkpointed")
AIM = 0.9
TOKENS = 2200  # of AIGV-Assessor: 8 × 256 of frames, one of motion, about 150 of text


@dataclass(frozen=True)
class Part:
    """A network with an input.

    Attributes:
        build: returns the network and a function of its input.
        shape: of the input; for frames the first entry is replaced by ``--frames``.
        layers: how many layers the published network has, where two are built.
    """

    build: Callable[[], tuple[nn.Module, Callable[[Tensor], Tensor]]]
    shape: tuple[int, ...]
    layers: int | None = None
    frames: bool = False


def slowfast() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """SlowFast-R50 on eight frames of 448 pixels, as AIGV-Assessor runs it."""
    from avreward.raters.encoders.slowfast import SlowFast, pooled_vector, slow_frames

    network = SlowFast()
    return network, lambda x: pooled_vector(*network(slow_frames(x), x))


def swin() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """Swin3D-T."""
    from avreward.raters.encoders import Swin3d, Swin3dConfig

    network = Swin3d(Swin3dConfig())
    return network, network


def convnext() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """ConvNeXt3D-T."""
    from avreward.raters.encoders import ConvNext3d

    network = ConvNext3d()
    return network, network


def internvit() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """InternViT-300M."""
    from transformers import InternVLVisionConfig, InternVLVisionModel

    network = InternVLVisionModel(InternVLVisionConfig(attention_bias=True, image_size=[448, 448]))
    return network, lambda x: network(x).last_hidden_state


def blip() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """BLIP's ViT-L/16, as AIGVEval runs it."""
    from transformers import BlipVisionConfig, BlipVisionModel

    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    network = BlipVisionModel(BlipVisionConfig(**sizes, image_size=224, patch_size=16, initializer_range=0.02))
    return network, lambda x: network(pixel_values=x).last_hidden_state


def internlm() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """Two layers of InternLM2.5-7B."""
    return _llama(4096, 14336, 32, 8)


def vicuna() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """Two layers of Vicuna-7B."""
    return _llama(4096, 11008, 32, 32)


def _llama(width: int, inner: int, heads: int, groups: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    from transformers import LlamaConfig, LlamaModel

    sizes = {"hidden_size": width, "intermediate_size": inner, "num_attention_heads": heads}
    network = LlamaModel(LlamaConfig(**sizes, num_key_value_heads=groups, num_hidden_layers=2, vocab_size=8))
    return network, lambda x: network(inputs_embeds=x, use_cache=False).last_hidden_state


def dover() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """DOVER from frames of 480p to its scores."""
    from avreward.raters.dover import DoverConfig, DoverNetwork, DoverRater

    rater = DoverRater(DoverNetwork(DoverConfig()))
    return rater.module, lambda x: rater([Clip(video=x, fps=8)]).values


PARTS = {
    "SlowFast-R50": Part(slowfast, (1, 3, 8, 448, 448)),
    "Swin3D-T": Part(swin, (1, 3, 32, 224, 224)),
    "ConvNeXt3D-T": Part(convnext, (1, 3, 32, 224, 224)),
    "InternViT-300M": Part(internvit, (8, 3, 448, 448), frames=True),
    "BLIP ViT-L/16": Part(blip, (8, 3, 224, 224), frames=True),
    "DOVER": Part(dover, (32, 3, 480, 854)),
    "InternLM2.5-7B": Part(internlm, (1, TOKENS, 4096), layers=32),
    "Vicuna-7B": Part(vicuna, (1, 130, 4096), layers=32),
}


def run(name: str, way: str, device: str, frames: int) -> dict[str, float]:
    """Measure one part in one way, in this process; of a language model, one layer and two."""
    part = PARTS[name]
    torch.manual_seed(0)
    network, forward = part.build()
    network.eval().requires_grad_(False).to(device, torch.bfloat16 if device != "cpu" else torch.float32)
    count = sum(p.numel() for p in network.parameters())
    shape = (frames, *part.shape[1:]) if part.frames else part.shape
    given = torch.rand(shape).to(next(network.parameters()))
    found = {"weights": float(count)}
    if part.layers is not None:
        layers = network.layers
        found["layer"] = float(sum(p.numel() for p in layers[1].parameters()))
        network.layers = layers[:1]
        network.config.num_hidden_layers = 1
        forward(given[:, :8])  # the first call of a process is slower
        one = measured(network, forward, given, way, device)
        found |= {f"{key} of one layer": value for key, value in one.items()}
        network.layers, network.config.num_hidden_layers = layers, 2
    return found | measured(network, forward, given, way, device)


def measured(
    network: nn.Module, forward: Callable[[Tensor], Tensor], given: Tensor, way: str, device: str
) -> dict[str, float]:
    """Seconds and peak memory above what is loaded."""
    given = given.clone().requires_grad_(way != "forward")
    before = reset_peak(device)
    started = clock(device)
    with torch.set_grad_enabled(way != "forward"), checkpointed(network, way == "checkpointed"):
        total = forward(given).float().square().mean()
        if way != "forward":
            (gradient,) = torch.autograd.grad(total, given)
            assert bool(gradient.isfinite().all())
    if device != "cpu":
        torch.cuda.synchronize()
    return {"seconds": clock(device) - started, "peak": peak(device) - before}


def clock(device: str) -> float:
    """Return the process's CPU time, or the time of day where a GPU computes."""
    return time.process_time() if device == "cpu" else time.perf_counter()


def reset_peak(device: str) -> float:
    """Begin a new high-water mark; return what is in use."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        return float(torch.cuda.memory_allocated())
    Path("/proc/self/clear_refs").write_text("5")
    return peak(device)


def peak(device: str) -> float:
    """Return the high-water mark in bytes."""
    if device != "cpu":
        return float(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def table(names: list[str], ways: list[str], device: str, frames: int) -> None:
    """Print a row a part and way."""
    print(f"{machine()}, on {device}, batch 1, {frames} frames to the frames' encoders\n")
    kind = "CPU time" if device == "cpu" else "time"
    print(f"| part | weights | way | {kind} | of the forward | peak above the loaded network | of the forward | |")
    print("|---|---:|---|---:|---:|---:|---:|---|")
    for name in names:
        first: dict[str, dict[str, float]] = {}
        for way in ways:
            options = ["--part", name, "--ways", way, "--device", device, "--frames", str(frames)]
            done = subprocess.run([sys.executable, __file__, *options], capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{name}, {way}: {done.stderr[-2000:]}")
            for label, weights, numbers, note in sizes(name, json.loads(done.stdout.splitlines()[-1]), frames):
                if way == "forward":
                    first[label] = numbers
                ratios = [numbers[key] / (first.get(label, {}).get(key) or math.nan) for key in ("seconds", "peak")]
                shares = ["–" if math.isnan(ratio) else f"{ratio:.1f}" for ratio in ratios]
                time_text = f"{numbers['seconds']:.1f} s"
                memory = "–" if math.isnan(numbers["peak"]) else f"{numbers['peak'] / 1e6:.0f} MB"
                cells = (label, f"{weights / 1e6:.0f} M", way, time_text, shares[0], memory, shares[1], note)
                print(f"| {' | '.join(cells)} |", flush=True)


def sizes(name: str, found: dict[str, float], frames: int) -> list[tuple[str, float, dict[str, float], str]]:
    """Return label, weights, seconds and peak, and how they were found: as measured, and computed for the whole."""
    part, keys = PARTS[name], ("seconds", "peak")
    measured = {key: found[key] for key in keys}
    if part.layers is not None:
        layer = found["seconds"] - found["seconds of one layer"]
        # peaks of a process differ by what the allocator keeps, which hides what a layer adds: memory is not computed
        whole = {"seconds": found["seconds"] + (part.layers - 2) * max(0.0, layer), "peak": math.nan}
        weights = found["weights"] + (part.layers - 2) * found["layer"]
        label = f"{name}, 2 of {part.layers} layers"
        return [(label, found["weights"], measured, "measured"), (name, weights, whole, "*computed*")]
    if part.frames and frames != 8:
        whole = {key: found[key] * 8 / frames for key in keys}
        label = f"{name}, {frames} of 8 frames"
        return [(label, found["weights"], measured, "measured"), (name, found["weights"], whole, "*computed*")]
    return [(name, found["weights"], measured, "measured")]


def from_files(names: list[str], count: int) -> None:
    """Print how much of the forward's speed is left from files to scores."""
    from medium_assessor import medium_assessor
    from throughput import make_480p

    from avreward.raters.dover import DoverConfig, DoverNetwork, DoverRater

    makers = {"dover": lambda: DoverRater(DoverNetwork(DoverConfig())), "assessor": medium_assessor}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        files = make_480p(Path(folder), count + 1)
        print(f"{count} files of 5 s, batch 1; {machine()}\n")
        print("| rater | bare forward | files to scores | of the forward |")
        print("|---|---:|---:|---:|")
        for name in names:
            torch.manual_seed(0)
            print(_files_row(name, makers[name](), files), flush=True)


def _files_row(name: str, rater: Rater, files: list[Path]) -> str:
    """Measure both ways on one file after the other, in turn; the first warms up and does not count."""
    device, forward, whole = str(next(rater.module.parameters()).device), 0.0, 0.0
    for number, path in enumerate(files):
        sample = rater.load(Clip.open(path))
        started = clock(device)
        expected = rater.rate([sample]).values
        between = clock(device)
        (scored,) = score_files([path], rater, batch_size=1)
        ended = clock(device)
        torch.testing.assert_close(scored.scores[rater.name].values, expected, rtol=1e-3, atol=1e-3, equal_nan=True)
        if number:
            forward, whole = forward + between - started, whole + ended - between
    times = " | ".join(f"{seconds / (len(files) - 1):.1f} s" for seconds in (forward, whole))
    share = forward / whole
    return f"| {name} | {times} | {share:.2f}{'' if share >= AIM else ' (missed)'} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--frames", type=int, default=8, help="of the frames' encoders")
    parser.add_argument("--files", type=int, help="how many files; measures files to scores instead")
    parser.add_argument("--raters", nargs="+", choices=("dover", "assessor"), default=["dover", "assessor"])
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(run(arguments.part, arguments.ways[0], arguments.device, arguments.frames)))
    elif arguments.files:
        from_files(arguments.raters, arguments.files)
    else:
        table(arguments.parts, arguments.ways, arguments.device, arguments.frames)


if __name__ == "__main__":
    main()
