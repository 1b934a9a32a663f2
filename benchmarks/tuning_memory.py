"""Memory of reward backpropagation: measured on a tiny generator, and computed for published ones on 80 GB.

    python benchmarks/tuning_memory.py

Measured: the largest sum of tensors alive at once during an update of `Draft` above what is alive before it, for
`recipes/tiny_v2a` with `fit` of `tuned_tasks`, against denoising steps, truncation and length, each network call
checkpointed or not.

Computed: bytes of `Draft(truncation=1)` with a LoRA on one clip, from the published sizes in `MODELS`:

- weights in bfloat16: transformer, decoder, rater; the text encoder has done its work and is not there.
- LoRA of rank 64 on the attention's four projections: float32 weights, gradients, two moments of AdamW.
- transformer (of LTX-2, the widths of both streams added): each block checkpointed, so its input of tokens × width is
  kept for each block, and within one block the activations that `BLOCK` lists; attention keeps no matrix of scores
  (flash attention).
- decoder: the activations of one slice or tile of frames, `kept` values for each pixel: about 30 feature maps, of 96
  channels at full resolution for Wan and of 128 at a quarter of each side for LTX-2; the clip itself in float32, and
  its gradient. For audio alone, 80 values a sample at 44.1 kHz.
- rater: as large as AGAV-Rater (a language model of 7.6 billion parameters, SigLIP and BEATs), checkpointed alike.
- a reserve of 10 % for fragments and kernels' workspace.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GB = 10**9
BUDGET = 80 * GB
RANK = 64
BLOCK = 10  # values a token and width that the backward pass of a block keeps: norms, q, k, v, attention, projections
RESERVE = 1.1


@dataclass(frozen=True)
class Model:
    """Published sizes of a generator, and of the clip that it makes.

    Attributes:
        name: of the model and the clip.
        parameters: of the transformer.
        decoder: parameters of the decoders.
        layers: of the transformer.
        width: of the transformer.
        feed: width of the feed-forward part.
        tokens: of the clip.
        pixels: of a frame; 0 for audio alone.
        frames: of the video.
        at_once: frames of a slice that the decoder decodes at once.
        kept: values a pixel of a slice that the decoder keeps.
        audio: values that the audio's decoder keeps.
    """

    name: str
    parameters: float
    decoder: float
    layers: int
    width: int
    feed: int
    tokens: int
    pixels: int = 0
    frames: int = 0
    at_once: int = 0
    kept: int = 0
    audio: float = 0.0


def wan_tokens(frames: int, height: int, width: int) -> int:
    """Strides of 4, 8 and 8, patches of 1 × 2 × 2."""
    return ((frames - 1) // 4 + 1) * (height // 16) * (width // 16)


def ltx_tokens(frames: int, height: int, width: int) -> int:
    """Strides of 8, 32 and 32, patches of 1."""
    return ((frames - 1) // 8 + 1) * (height // 32) * (width // 32)


AUDIO_DECODER = 80 * 47 * 44100.0  # values
SMALL, LARGE = (1.3e9, 0.13e9, 30, 1536, 8960), (14e9, 0.13e9, 40, 5120, 13824)  # Wan 2.1


def wan(name: str, sizes: tuple[float, float, int, int, int], frames: int, height: int, width: int) -> Model:
    """Wan 2.1, whose decoder decodes a latent frame, four frames of the video, at a time."""
    name = f"Wan 2.1 {name}, {frames} frames, {width} × {height}"
    return Model(name, *sizes, wan_tokens(frames, height, width), height * width, frames, 4, 30 * 96)


MODELS = (
    Model("Stable Audio Open, 47 s", 1.06e9, 0.16e9, 24, 1536, 6144, 1024, audio=AUDIO_DECODER),
    wan("1.3B", SMALL, 33, 480, 832),
    wan("1.3B", SMALL, 81, 480, 832),
    wan("14B", LARGE, 33, 480, 832),
    wan("14B", LARGE, 81, 480, 832),
    wan("14B", LARGE, 81, 720, 1280),
    Model("LTX-2 19B, 121 frames, 768 × 512", 19e9, 1.0e9, 48, 4096 + 2048, 16384 + 8192, ltx_tokens(121, 512, 768),
          768 * 512, 121, 16, 30 * 128 // 16, AUDIO_DECODER / 10),
)  # fmt: skip
RATER = Model("AGAV-Rater", 7.6e9 + 0.43e9 + 0.09e9, 0.0, 28, 3584, 18944, 4096)


def activations(model: Model) -> float:
    """Bytes of a checkpointed transformer: the blocks' inputs, and one block's activations."""
    kept = model.layers * model.width
    inside = BLOCK * model.width + 3 * model.feed
    return 2.0 * model.tokens * (kept + inside)


def lora(model: Model) -> float:
    """Bytes of a LoRA of four square projections a block: weights, gradients and two moments in float32."""
    return 4 * 4.0 * model.layers * 4 * 2 * model.width * RANK


def parts_of(model: Model, reward: Model | None = RATER) -> dict[str, float]:
    """Return what the memory of an update of DRaFT-1 goes to, in bytes."""
    found = {
        "weights": 2 * (model.parameters + model.decoder),
        "LoRA": lora(model),
        "transformer": activations(model),
        "decoder": 2 * model.kept * model.pixels * model.at_once + 2 * model.audio
        + 2 * 4 * 3 * model.pixels * model.frames,
        "rater": 0.0 if reward is None else 2 * reward.parameters + activations(reward),
    }  # fmt: skip
    return found | {"all": RESERVE * sum(found.values())}


def computed() -> str:
    """Return the table of published models, Markdown."""
    names = list(parts_of(MODELS[0]))
    lines = [f"| model, clip | tokens | {' | '.join(names)} | fits 80 GB | without the rater on this GPU |",
             "|---|" + "---:|" * (len(names) + 1) + "---|---|"]  # fmt: skip
    for model in MODELS:
        parts, alone = parts_of(model), parts_of(model, reward=None)["all"]
        cells = " | ".join(f"{parts[name] / GB:.1f}" for name in names)
        fits = "yes" if parts["all"] <= BUDGET else "no"
        other = f"{alone / GB:.1f}, {'yes' if alone <= BUDGET else 'no'}"
        lines.append(f"| {model.name} | {model.tokens} | {cells} | {fits} | {other} |")
    return "\n".join(lines)


class _Alive(TorchDispatchMode):
    """Counts the bytes of the tensors that operations made and that are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `function`, and count what it made."""
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.untyped_storage().nbytes():
                self._add(tensor)
        return made

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        known = self.alive.get(storage._cdata)
        if known is not None and not known[0].expired():
            return
        self.now += storage.nbytes() - (known[1] if known else 0)
        self.alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        if self.now > self.peak:
            gone = [key for key, (storage_ref, _) in self.alive.items() if storage_ref.expired()]
            self.now -= sum(self.alive.pop(key)[1] for key in gone)
            self.peak = max(self.peak, self.now)


@contextmanager
def peak_of() -> Iterator[_Alive]:
    """Within, count; `peak` afterwards is the largest number of bytes alive at once."""
    with _Alive() as counted:
        yield counted


def update_peak(steps: int, truncation: int, seconds: float, checkpointing: bool) -> int:
    """Return the peak of an update of `Draft`, in bytes."""
    from tiny_v2a import tiny_v2a
    from tiny_v2a.generator import V2AGenerator
    from tuned_tasks import LORA, fit

    from avreward import Clip
    from avreward.generators import Condition, Noise
    from avreward.training import Draft, add_lora

    generator = V2AGenerator(tiny_v2a())
    add_lora(generator.network, rank=8, targets=LORA)
    loop = Draft(generator, fit["fit"], steps=steps, truncation=truncation, kl_weight=0.0, checkpointing=checkpointing)
    video = torch.rand(round(12 * seconds), 3, 24, 32, generator=torch.Generator().manual_seed(0))
    condition = Condition(clip=Clip(video=video, fps=12.0))
    loop.update([condition], [Noise.of(0)])  # AdamW's moments are there from the first update on
    with peak_of() as counted:
        loop.update([condition], [Noise.of(1)])
    return counted.peak


def measured(peak: Callable[[int, int, float, bool], int] = update_peak) -> str:
    """Return the table of measured peaks, Markdown."""
    lines = ["| denoising steps | truncation | length | peak, calls checkpointed | peak, kept |", "|---:" * 5 + "|"]
    cases = [(steps, 1, 2.0) for steps in (4, 8, 16)]
    cases += [(16, truncation, 2.0) for truncation in (2, 4, 8, 16)]
    cases += [(8, 4, seconds) for seconds in (1.0, 2.0, 4.0, 8.0)]
    for steps, truncation, seconds in cases:
        found = [peak(steps, truncation, seconds, checkpointing) / 1e6 for checkpointing in (True, False)]
        lines.append(f"| {steps} | {truncation} | {seconds:g} s | {found[0]:.2f} MB | {found[1]:.2f} MB |")
    return "\n".join(lines)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=("measured", "computed"), default=["measured", "computed"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    if "measured" in options.only:
        print(f"measured\n\n{measured()}\n")
    if "computed" in options.only:
        print(f"computed, GB\n\n{computed()}")


if __name__ == "__main__":
    main()
