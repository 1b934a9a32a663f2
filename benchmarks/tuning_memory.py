"""Memory of the loops that fine-tune a generator, measured on tiny ones.

    python benchmarks/tuning_memory.py

The largest sum of tensors alive at once during an update, above what is alive before it. Of `Draft` on `tiny_v2a` with
`fit` of `tuned_tasks`: against denoising steps, truncation and length, with the network's activations computed again in
the backward pass (`checkpointing`) or kept. Of `Draft` on a tiny Wan: against frames. Of a call of its network with its
backward pass: against layers. Of `FlowGrpo` and `DiffusionNft` on `tiny_v2a`: against the size of a group. What
published models need is computed by `tuning_fits.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from avreward import Clip
from avreward.generators import Condition, DiffusersFlow, Noise
from avreward.generators.flow_generator import stream_velocity
from avreward.raters import Rater, term
from avreward.training import DiffusionNft, Draft, FlowGrpo, add_lora

Peak = Callable[..., float]


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


@term(needs="video", low=0, high=1)
def brightness(clip: Clip) -> Tensor:
    """Return the mean of all pixels."""
    assert clip.video is not None
    return clip.video.mean()


def v2a_peak(loop: str = "draft", group: int = 1, seconds: float = 1.0, **settings: Any) -> int:
    """Return the peak of an update of a loop on `tiny_v2a` with `group` samples of one video, in bytes."""
    from tiny_v2a import tiny_v2a
    from tiny_v2a.generator import V2AGenerator
    from tuned_tasks import LORA, fit

    generator = V2AGenerator(tiny_v2a())
    add_lora(generator.network, rank=8, targets=LORA)
    made: Any = {"draft": Draft, "flow_grpo": FlowGrpo, "nft": DiffusionNft}[loop]
    own = made(generator, fit["fit"], kl_weight=0.0, **settings)
    video = torch.rand(round(12 * seconds), 3, 24, 32, generator=torch.Generator().manual_seed(0))
    condition = Condition(clip=Clip(video=video, fps=12.0))
    noises: list[Any] = [[Noise.of(k) for k in range(group)], [Noise.of(100 + k) for k in range(group)]]
    first, second = noises if loop == "draft" else ([noises[0]], [noises[1]])
    conditions = [condition] * len(first)
    own.update(conditions, first)  # AdamW's moments are there from the first update on
    with peak_of() as counted:
        own.update(conditions, second)
    return counted.peak


def wan_peak(num_frames: int, frames: int | None = None, checkpointing: bool = True) -> int:
    """Return the peak of an update of `Draft` on a tiny Wan that rates `frames` of its `num_frames`, in bytes."""
    generator, call = _wan(1)
    rater: Rater = brightness
    loop = Draft(generator, rater["brightness"], steps=2, frames=frames, kl_weight=0.0, checkpointing=checkpointing)
    condition = Condition(arguments={**call, "num_frames": num_frames})
    loop.update([condition], [Noise.of(0)])
    with peak_of() as counted:
        loop.update([condition], [Noise.of(1)])
    return counted.peak


def layers_peak(layers: int, checkpointing: bool) -> int:
    """Return the peak of a call of a tiny Wan's network on 768 tokens and of its backward pass, in bytes."""
    generator, call = _wan(layers)
    encoded = generator.encode(Condition(arguments={**call, "height": 128, "width": 128}))
    latents = generator.start(encoded, [Noise.of(0)])
    peaks = []
    for _ in range(2):  # the second time, the gradients are there
        with peak_of() as counted:
            velocity = stream_velocity(generator, latents, torch.full((1,), 0.5), encoded, checkpointing)["video"]
            velocity.square().mean().backward()
            del velocity
        peaks.append(counted.peak)
    return peaks[-1]


def _wan(layers: int) -> tuple[DiffusersFlow, dict[str, Any]]:
    from diffusers import WanTransformer3DModel
    from tiny_diffusers import build
    from tiny_diffusers._parts import wan_sizes

    tiny = build("WanPipeline")
    if layers > 1:
        sizes = wan_sizes(qk_norm="rms_norm_across_heads", num_layers=layers)
        tiny.pipeline.register_modules(transformer=WanTransformer3DModel(**sizes).eval())
    generator = DiffusersFlow(tiny.pipeline, fps=tiny.fps)
    add_lora(generator.network, rank=2, targets=["to_q", "to_v"])
    return generator, dict(tiny.call)


def steps_table(peak: Peak = v2a_peak) -> str:
    """Return the peaks of `Draft` against steps, truncation and length, Markdown."""
    lines = ["| denoising steps | truncation | length | peak, checkpointed | peak, kept |", "|---:" * 5 + "|"]
    cases = [(steps, 1, 1.0) for steps in (4, 8, 16)]
    cases += [(8, truncation, 1.0) for truncation in (2, 4, 8)]
    cases += [(8, 4, seconds) for seconds in (2.0, 4.0)]
    for steps, truncation, seconds in cases:
        found = [
            peak(steps=steps, truncation=truncation, seconds=seconds, checkpointing=checkpointing)
            for checkpointing in (True, False)
        ]
        lines.append(f"| {steps} | {truncation} | {seconds:g} s | {_megabytes(found)} |")
    return "\n".join(lines)


def frames_table(peak: Peak = wan_peak) -> str:
    """Return the peaks of `Draft` on a tiny Wan against frames, Markdown."""
    lines = ["| frames | all are rated | one is rated |", "|---:" * 3 + "|"]
    for count in (5, 9, 17):
        lines.append(f"| {count} | {_megabytes([peak(count), peak(count, 1)])} |")
    return "\n".join(lines)


def layers_table(peak: Peak = layers_peak) -> str:
    """Return the peaks of a call of Wan's network against layers, Markdown."""
    lines = ["| layers | checkpointed | kept |", "|---:" * 3 + "|"]
    for layers in (2, 8, 16):
        lines.append(f"| {layers} | {_megabytes([peak(layers, True), peak(layers, False)])} |")
    return "\n".join(lines)


def groups_table(peak: Peak = v2a_peak) -> str:
    """Return the peaks of loops on groups against the size of a group and the clips at once, Markdown."""
    lines = ["| loop | group | `rows=1` | `rows=4` | all at once | all at once, kept |", "|---|" + "---:|" * 5]
    for loop, settings in (("flow_grpo", {"steps": 4, "window": 1}), ("nft", {"steps": 4, "times": 1})):
        for group in (4, 8):
            options = [(1, True), (4, True), (group, True), (group, False)]
            found = [peak(loop, group, rows=rows, checkpointing=kept, **settings) for rows, kept in options]
            lines.append(f"| `{loop}` | {group} | {_megabytes(found)} |")
    return "\n".join(lines)


def _megabytes(found: list[float]) -> str:
    return " | ".join(f"{one / 1e6:.2f} MB" for one in found)


TABLES = {"steps": steps_table, "frames": frames_table, "layers": layers_table, "groups": groups_table}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.only:
        print(f"{name}\n\n{TABLES[name]()}\n", flush=True)


if __name__ == "__main__":
    main()
