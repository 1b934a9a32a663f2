"""Trains a LoRA of a joint audio-video pipeline on a reward, by gradients through its decoders (DRaFT-K).

    python recipes/gradient_loop_ltx2.py [--seeds 0 1 2] [--json out.json]

The reward is a composite of `signals` and a multimodal rater. It is backpropagated through rater, vocoder, picture
decoder and the last K denoising steps into the LoRA (Clark et al., "Directly Fine-Tuning Diffusion Models on
Differentiable Rewards", ICLR 2024, arXiv:2309.17400, section 4). Pipeline and rater are tiny and random, so that it
runs on a CPU: what counts is that the reward of fresh noise rises. With real ones, change `build` and the constants.

Half of the prompts ask for a clean recording and half for a bad one, whose reward is the same with its sign turned
round: the LoRA must learn to do what it is asked. That makes a control possible, with the rewards shuffled between the
samples: each clip is judged by what its neighbour in the batch was asked for. Half of either kind so get the reward of
the other kind, there is nothing to learn, and it must not rise.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import LoraConfig
from tiny_agav_rater import SPECIAL, random_network, tiny_config, tiny_tokenizer, write_official
from tiny_ltx2 import PLAIN, prompt_embeds, tiny_ltx2
from torch import Tensor

from avreward import Reward, load_rater
from avreward.rewards import LatentReward, PerPrompt

SUBJECTS = ("kettle whistles", "rain falls", "dog barks", "waves roar")
KINDS = {"clean": 1.0, "bad": -1.0}  # what may be asked for → which way the reward goes
FPS, SIZE, DENOISING, LAST = 8.0, (9, 32, 32), 4, 2  # K of DRaFT-K is LAST
RANK, RATE, STEPS, BATCH, FRESH = 4, 1e-2, 24, 4, 8


def prompt(kind: str, subject: int) -> str:
    """Return what a sample is asked for."""
    return f"{kind} recording: {SUBJECTS[subject % len(SUBJECTS)]}"


def composite() -> Reward:
    """Measured quality and the opinion of a rater that sees and hears, each weighted to matter; or their opposite."""
    tokenizer = tiny_tokenizer(SPECIAL)
    config = tiny_config(len(tokenizer), frames=2)
    language = config.language | {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = replace(config, language=language, audio=replace(config.audio, layers=1, heads=1))
    with TemporaryDirectory() as folder:
        write_official(random_network(config), tokenizer, Path(folder))
        agav = load_rater(folder, dtype="float32")
    signals = load_rater("signals")
    quality = 0.5 * signals["audio_quality"] + 0.5 * signals["static_quality"] + 10 * agav["overall"]
    signs = {prompt(kind, i): sign for kind, sign in KINDS.items() for i in range(len(SUBJECTS))}
    return PerPrompt(signs) * quality


def build(reward: Reward, seed: int) -> tuple[Any, LatentReward, list[Tensor]]:
    """Return the pipeline, the reward on its latents, and what is trained."""
    pipe = tiny_ltx2()
    torch.manual_seed(seed)  # of the LoRA's weights
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    pipe.transformer.add_adapter(LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=targets))
    # What is tiny is kept whole; with a real decoder leave checkpointing on, and see what tiling and frames= save.
    judged = LatentReward(pipe, reward, fps=FPS, slice_size=BATCH, checkpointing=False)
    return pipe, judged, [p for p in pipe.transformer.parameters() if p.requires_grad]


def generate(pipe: Any, prompts: list[str], noises: list[int], last: int) -> tuple[Tensor, Tensor]:
    """Latents of picture and sound, one noise seed a sample, with the graph of the `last` denoising steps."""

    def switch(pipe: Any, step: int, time: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        torch.set_grad_enabled(step + 1 >= DENOISING - last)  # what comes before is a constant
        return {}

    call = type(pipe).__call__.__wrapped__  # without the no_grad around it
    with torch.set_grad_enabled(last >= DENOISING):
        return call(
            pipe, **prompt_embeds(prompts), num_frames=SIZE[0], height=SIZE[1], width=SIZE[2], frame_rate=FPS,
            num_inference_steps=DENOISING, **PLAIN, generator=[torch.Generator().manual_seed(n) for n in noises],
            callback_on_step_end=switch if last else None, output_type="latent", return_dict=False,
        )  # fmt: skip


def evaluate(pipe: Any, judged: LatentReward, seed: int, count: int) -> Tensor:
    """Rewards (count,) of noise that training never sees; of each, the mean over both kinds of prompt."""
    found = []
    with torch.no_grad():
        for i in range(count):
            prompts = [prompt(kind, i) for kind in KINDS]
            latents = generate(pipe, prompts, [10**6 * (seed + 1) + i] * len(prompts), last=0)
            found.append(judged(*latents, prompts).mean())
    return torch.stack(found)


def train(reward: Reward, seed: int, control: bool, steps: int = STEPS, fresh: int = FRESH) -> tuple[Tensor, Tensor]:
    """Rewards (fresh,) of fresh noise before and after training."""
    pipe, judged, parameters = build(reward, seed)
    before = evaluate(pipe, judged, seed, fresh)
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    draws = torch.Generator().manual_seed(seed)
    for step in range(steps):
        subjects = torch.randint(len(SUBJECTS), (BATCH,), generator=draws).tolist()
        kinds = [kind for kind in KINDS for _ in range(BATCH // len(KINDS))]  # clean, clean, bad, bad
        prompts = [prompt(kind, subject) for kind, subject in zip(kinds, subjects, strict=True)]
        latents = generate(pipe, prompts, [10**5 * seed + BATCH * step + i for i in range(BATCH)], last=LAST)
        rewards = judged(*latents, prompts[1:] + prompts[:1] if control else prompts)
        optimizer.zero_grad()
        (-rewards.mean()).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        print(f"seed {seed}{' control' if control else ''} step {step}: {rewards.mean().item():.3f}", flush=True)
    return before, evaluate(pipe, judged, seed, fresh)


def row(name: str, columns: Tensor) -> dict[str, Any]:
    """Means of before, after, change and the control's change (4, n), the latter two with standard errors."""
    means, errors = columns.mean(1).tolist(), (columns.std(1) / columns.shape[1] ** 0.5).tolist()
    names = ("before", "after", "change", "control")
    return {"seed": name, **dict(zip(names, means, strict=True)), "change_se": errors[2], "control_se": errors[3]}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    arguments = parser.parse_args()
    reward, found = composite(), []
    for seed in arguments.seeds:
        (before, after), (start, end) = (train(reward, seed, control) for control in (False, True))
        found.append(torch.stack([before, after, after - before, end - start]))
    # A seed's error is that of the evaluation noise; the last row's is that over seeds, training included.
    rows = [row(str(seed), columns) for seed, columns in zip(arguments.seeds, found, strict=True)]
    rows.append(row("all", torch.stack([columns.mean(1) for columns in found], 1)))
    print(f"reward: {reward}\n| seed | before | after | change | control's change |\n|---|---|---|---|---|")
    for r in rows:
        changes = " | ".join(f"{r[name]:+.3f} ± {r[name + '_se']:.3f}" for name in ("change", "control"))
        print(f"| {r['seed']} | {r['before']:.3f} | {r['after']:.3f} | {changes} |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"reward": repr(reward), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
