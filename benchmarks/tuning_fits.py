"""Memory of fine-tuning published models, computed: what fits one GPU of 80 GB.

    python benchmarks/tuning_fits.py

Two tables: `Draft(truncation=1)` on one clip of published models, and every configuration of `recipes/tuning`. Nothing
is measured; the sizes of networks are the published ones. Bytes, of the code as it is:

- weights in bfloat16: the transformer with its decoders, and the raters. Text encoders are in CPU memory; while a
  prompt is encoded, their largest layer, the embedding, is on the GPU, and four encoded prompts stay there.
- LoRA of rank 32 on the four projections of each attention: float32 weights, gradients and two moments of AdamW.
- transformer: for each clip that goes through it at once, each layer's input of tokens × width, and the activations of
  one layer, which is computed again (`LAYER`; and for each projection with a LoRA its input in float32, which PEFT
  makes); attention keeps no matrix of scores (flash attention). Two streams or several trained steps are calls that are
  computed again one at a time, so they need no more. Pairs are two clips.
- rollouts of `FlowGrpo`: latents before and after each stochastic step, for all groups of a process.
- decoder: the activations of one slice or tile of frames, `kept` values for each pixel: about 30 feature maps, of 96
  channels at full resolution for Wan and of 128 at a quarter of each side for LTX-2; for audio 80 values a sample. The
  clips in float32, and for `Draft` their gradient.
- raters: for `Draft` the activations for their gradient, of those with a language model checkpointed; for the others
  the activations of one layer, for the clips at once.
- a reserve of 10 % for fragments and workspace of kernels.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from avreward.training import TuningRun, read_tuning
from avreward.training.tuning.config import LOOPS

GB = 10**9
BUDGET = 80 * GB
LAYER = 16  # values a token and width that the backward pass of a layer keeps: norms, q, k, v, attention (a test)
RESERVE = 1.1
FOLDER = Path(__file__).parents[1] / "recipes" / "tuning"
PARTS = ("weights", "text", "LoRA", "transformer", "rollouts", "decoder", "raters", "all")


@dataclass(frozen=True)
class Network:
    """A transformer: parameters, layers, width, width of the feed-forward part, attentions of a layer."""

    parameters: float
    layers: int
    width: int
    feed: int
    attentions: int = 1


@dataclass(frozen=True)
class Model:
    """Published sizes of a generator, and of the clip that it makes.

    Attributes:
        name: of the model and the clip.
        network: that is trained; of LTX-2 the widths of both streams added.
        decoder: parameters of the decoders, and of what encodes other conditions than text.
        text: bytes of the text encoders' embedding and of four encoded prompts.
        tokens: of the clip.
        latents: values of a token's latents.
        pixels: of a frame; 0 for audio alone.
        frames: of the video.
        at_once: frames of a slice that the decoder decodes at once.
        kept: values a pixel of a slice that the decoder keeps.
        audio: values that the audio's decoder keeps.
    """

    name: str
    network: Network
    decoder: float
    text: float
    tokens: int
    latents: int
    pixels: int = 0
    frames: int = 0
    at_once: int = 0
    kept: int = 0
    audio: float = 0.0


@dataclass(frozen=True)
class RaterSize:
    """A rater: its weights, and what a backward pass through it keeps of a clip; `inside` is one layer's part of it."""

    parameters: float
    kept: float
    inside: float


def activations(network: Network, tokens: int, lora: int = 0) -> tuple[float, float]:
    """Return the bytes that a backward pass keeps for a clip, and those of one layer alone."""
    inside = 2.0 * tokens * (LAYER * network.width + 3 * network.feed)
    inside += 4.0 * tokens * 4 * network.attentions * (network.width + lora) if lora else 0.0
    inputs = 2.0 * tokens * network.layers * network.width
    return inputs + inside, inside


def wan_tokens(frames: int, height: int, width: int) -> int:
    """Strides of 4, 8 and 8, patches of 1 × 2 × 2."""
    return ((frames - 1) // 4 + 1) * (height // 16) * (width // 16)


def ltx_tokens(frames: int, height: int, width: int) -> int:
    """Strides of 8, 32 and 32, patches of 1; 25 tokens of audio a second, at 24 frames a second."""
    return ((frames - 1) // 8 + 1) * (height // 32) * (width // 32) + round(25 * frames / 24)


SMALL, LARGE = Network(1.3e9, 30, 1536, 8960, 2), Network(14e9, 40, 5120, 13824, 2)  # Wan 2.1
LTX2 = Network(19e9, 48, 4096 + 2048, 16384 + 8192, 3)
UMT5 = 2.0 * 256384 * 4096 + 4 * 2.0 * 512 * 4096
GEMMA = 2.0 * 262208 * 3840 + 4 * 2.0 * 1024 * 3840 * 49  # LTX-2 reads all hidden states


def wan(name: str, network: Network, frames: int, height: int, width: int) -> Model:
    """Return Wan 2.1, whose decoder decodes a latent frame, four frames of the video, at a time."""
    name = f"Wan 2.1 {name}, {frames} frames, {width} × {height}"
    tokens = wan_tokens(frames, height, width)
    return Model(name, network, 0.13e9, UMT5, tokens, 64, height * width, frames, 4, 30 * 96)


def ltx2(frames: int, height: int, width: int) -> Model:
    """Return LTX-2, whose video decoder is tiled by 16 frames."""
    name = f"LTX-2 19B, {frames} frames, {width} × {height}"
    tokens, audio = ltx_tokens(frames, height, width), 80 * frames / 24 * 24000.0
    return Model(name, LTX2, 1.0e9, GEMMA, tokens, 128, height * width, frames, 16, 30 * 128 // 16, audio)


def stable_audio(seconds: float) -> Model:
    """Return Stable Audio Open, whose latents have 47 s whatever the length of the clip."""
    network = Network(1.06e9, 24, 1536, 6144, 2)
    return Model(f"Stable Audio Open, {seconds:g} s", network, 0.16e9, 5e7, 1024, 64, audio=80 * 47 * 44100.0)


def mmaudio(seconds: float) -> Model:
    """Return MMAudio (large, 44.1 kHz) with its encoders of frames (CLIP, Synchformer), autoencoder and vocoder."""
    network = Network(1.03e9, 21, 896, 3584)
    tokens = round((43.1 + 8 + 24) * seconds) + 77
    return Model(f"MMAudio large, {seconds:g} s", network, 1.2e9, 1.3e9, tokens, 40, audio=80 * seconds * 44100.0)


def rater(network: Network, tokens: int, vision: Network, patches: int) -> RaterSize:
    """Return the size of a language model with an encoder of images, loaded with ``checkpointing=True``."""
    kept = [activations(*part) for part in ((network, tokens), (vision, patches))]
    parameters = network.parameters + vision.parameters
    return RaterSize(parameters, sum(one[0] for one in kept), max(one[1] for one in kept))


SIGLIP = Network(0.52e9, 27, 1152, 4304)  # with BEATs, 90 million
AGAV = rater(Network(7.6e9, 28, 3584, 18944), 4096, SIGLIP, 8 * 729)
RATERS = {
    "agav": AGAV,
    "video": rater(Network(1.54e9, 28, 1536, 8960), 2048, Network(0.67e9, 32, 1280, 5120), 5120),  # VideoReward, 5 s
    "audio": RaterSize(0.1e9, 3e9, 0.3e9),  # Audiobox Aesthetics: WavLM, ten seconds
    "sound": RaterSize(0.16e9, 1e9, 0.3e9),  # CLAP
    "dover": RaterSize(0.06e9, 3e9, 0.5e9),
    "sync": RaterSize(0.0, 2e9, 0.5e9),  # signals
    "signals": RaterSize(0.0, 2e9, 0.5e9),
}


def parts_of(
    model: Model,
    trained: Mapping[str, RaterSize],
    watched: Mapping[str, RaterSize],
    *,
    rank: int = 32,
    backward: bool = True,
    rows: int = 1,
    latents: float = 0.0,
) -> dict[str, float]:
    """Return what the memory of an update goes to, in bytes.

    Args:
        model: of the generator and its clip.
        trained: raters of the reward.
        watched: those that are held out alone.
        rank: of the LoRA.
        backward: whether the reward is backpropagated.
        rows: clips that go through the transformer at once.
        latents: clips whose latents are kept.
    """
    network = model.network
    clip = 4.0 * (3 * model.pixels * model.frames + model.audio / 80)
    raters = {**watched, **trained}
    largest = max((one.inside for one in raters.values()), default=0.0)
    passes = sum(one.kept for one in trained.values()) if backward else rows * largest
    found = {
        "weights": 2 * (network.parameters + model.decoder),
        "text": model.text,
        "LoRA": 16.0 * network.layers * network.attentions * 4 * 2 * network.width * rank,
        "transformer": rows * activations(network, model.tokens, lora=rank)[0],
        "rollouts": latents * 4.0 * model.tokens * model.latents,
        "decoder": 2.0 * model.kept * model.pixels * model.at_once + 2 * model.audio + (2 if backward else rows) * clip,
        "raters": sum(2 * one.parameters for one in raters.values()) + passes,
    }
    return found | {"all": RESERVE * sum(found.values())}


MODELS = (
    stable_audio(47.0),
    *(wan("1.3B", SMALL, frames, 480, 832) for frames in (33, 81)),
    *(wan("14B", LARGE, frames, 480, 832) for frames in (33, 81)),
    wan("14B", LARGE, 81, 720, 1280),
    ltx2(121, 512, 768),
)


def table_of_models() -> str:
    """Return the table of published models with a rater as large as AGAV-Rater, Markdown."""
    lines = [_head("model, clip", "fits 80 GB | without the rater on this GPU")]
    for model in MODELS:
        parts, alone = parts_of(model, {"agav": AGAV}, {}), parts_of(model, {}, {})["all"]
        fits, other = ("yes" if size <= BUDGET else "no" for size in (parts["all"], alone))
        lines.append(f"| {model.name} | {_cells(parts)} | {fits} | {alone / GB:.1f}, {other} |")
    return "\n".join(lines)


def model_of(run: TuningRun) -> Model:
    """Return the published model of a configuration, and the clip that it makes."""
    given: Mapping[str, Any] = run.arguments
    size = tuple(int(given.get(name, 0)) for name in ("num_frames", "height", "width"))
    if "Wan2.1-T2V-1.3B" in run.generator:
        return wan("1.3B", SMALL, *size)
    if "LTX-2" in run.generator:
        return ltx2(*size)
    if "stable-audio" in run.generator:
        return stable_audio(float(given["audio_end_in_s"]))
    return mmaudio(8.0)


def needs(run: TuningRun) -> dict[str, float]:
    """Return what an update of a configuration needs in each process, in bytes."""
    loop, settings = LOOPS[run.loop], run.loop_settings
    defaults = {name: one.default for name, one in inspect.signature(loop).parameters.items()}
    text = reward_expression(run)
    trained = {name: size for name, size in RATERS.items() if f"{name}." in text}
    watched = {name: size for name, size in RATERS.items() if f"{name}." in str(run.held_out)}
    options: dict[str, Any] = {"rank": run.lora.get("rank", 16), "backward": run.loop == "draft"}
    if run.loop != "draft":
        options["rows"] = settings.get("rows", defaults["rows"])
        conditions = max(1, run.batch // (8 if run.output.endswith("_8") else 1))
        window = settings.get("window", defaults.get("window")) or settings.get("steps", defaults["steps"]) - 1
        kept = 2 * window if run.loop == "flow_grpo" else 3
        options["latents"] = conditions * run.group * kept
    if run.loop == "dpo":
        options["rows"] = max(2, options["rows"])
    return parts_of(model_of(run), trained, watched, **options)


def reward_expression(run: TuningRun) -> str:
    """Return the reward of a configuration: its expression, or that of its file."""
    if not run.reward.endswith(".yaml"):
        return run.reward
    return str(yaml.safe_load((FOLDER.parents[1] / run.reward).read_text(encoding="utf-8"))["reward"])


def configurations() -> list[tuple[str, TuningRun]]:
    """Return each configuration of a published model and each of its variants, with a name."""
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        if "tiny" in path.stem or "sound_writer" in path.stem:
            continue
        for variant in (None, *yaml.safe_load(path.read_text(encoding="utf-8")).get("variants", {})):
            name = path.stem if variant is None else f"{path.stem}, {variant}"
            found.append((name, read_tuning(path, variant=variant)))
    return found


def table_of_configurations() -> str:
    """Return what each configuration needs in each process, Markdown."""
    lines = [_head("configuration", "clip")]
    lines += [f"| {name} | {_cells(needs(run))} | {model_of(run).name} |" for name, run in configurations()]
    return "\n".join(lines)


def _head(first: str, last: str) -> str:
    rule = "---:|" * len(PARTS) + "---|" * last.count("|") + "---|"
    return f"| {first} | {' | '.join(PARTS)} | {last} |\n|---|{rule}"


def _cells(parts: Mapping[str, float]) -> str:
    return " | ".join(f"{parts[name] / GB:.1f}" for name in PARTS)


if __name__ == "__main__":
    print(f"GB, Draft(truncation=1) on one clip\n\n{table_of_models()}\n")
    print(f"GB in each process\n\n{table_of_configurations()}")
