"""Clips of a tuning run that are not trained on: the same few at each checkpoint, and those of held-out conditions."""

from __future__ import annotations

import csv
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from avreward._extras import extra
from avreward._whole_files import whole_file
from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.generators.base import Condition, Noise
from avreward.generators.flow_generator import FlowGenerator, sample_flow
from avreward.training.clip_log import log_clips
from avreward.training.generator.lora import without_lora
from avreward.training.generator.lora_files import load_lora
from avreward.training.tuning._checkpoints import LORA
from avreward.training.tuning._parts import TuningParts, fit_lora, generator_of, prompt_of, read_conditions
from avreward.training.tuning._record import SAMPLES_FOLDER, RunRecord, finite
from avreward.training.tuning.config import LOOPS, TuningRun

SAMPLES, FIRST_SEED, HELD_OUT_SEED = 4, 2**31, 2**31 + 10_000  # beyond the seeds of training


def make_samples(parts: TuningParts) -> list[Clip]:
    """Return a clip of each of the first conditions; the noise is the same each time."""
    own = parts.generator.generator
    chosen = enumerate(parts.conditions[:SAMPLES])
    return [made_clip(own, condition, FIRST_SEED + number, parts.loop.steps) for number, condition in chosen]


def made_clip(generator: FlowGenerator, condition: Condition, seed: int, steps: int) -> Clip:
    """Return the clip of one condition and noise."""
    with torch.no_grad():
        encoded, noise = generator.encode(condition), [Noise.of(seed)]
        latents = sample_flow(generator, encoded, noise, generator.sigmas(steps, encoded))
        return generator.decode(latents, encoded)[0].detached()


def keep_samples(record: RunRecord, parts: TuningParts, clips: Sequence[Clip], update: int, trackers: Any) -> None:
    """Write the samples of a checkpoint with their rewards, and show them in the trackers.

    Raises:
        MediaError: if one can't be written.
    """
    rewards = _values(parts.reward, clips)
    others = [None] * len(clips) if parts.held_out is None else _values(parts.held_out, clips)
    captions = [prompt_of(one) or clip.name for one, clip in zip(parts.conditions, clips, strict=False)]
    files = log_clips(trackers, clips, update, record.folder / SAMPLES_FOLDER, captions=captions)
    record.samples[update] = [
        {"file": str(path.relative_to(record.folder)), "caption": caption, "reward": reward, "held_out": other}
        for path, caption, reward, other in zip(files, captions, rewards, others, strict=True)
    ]


def _values(reward: Any, clips: Sequence[Clip]) -> list[float | None]:
    with torch.no_grad():
        found = reward.evaluate(clips)
    return [
        finite(value) if there else None
        for value, there in zip(found.values.tolist(), found.present.tolist(), strict=True)
    ]


def before_and_after(
    run: TuningRun,
    conditions: str,
    *,
    device: torch.device | None = None,
    step: Callable[[str], None] = lambda doing: None,
) -> Path:
    """Make a clip of each condition without and with the LoRA that a run trained, from the same noise.

    Args:
        run: a run that was trained: its folder holds ``lora.safetensors``.
        conditions: as those of the run; held-out ones.
        device: of the generator (*optional*, that of `accelerate`).
        step: called with the name of each clip that is made.

    Returns:
        ``clips.csv`` in ``OUTPUT/held_out``, with the columns clip, system (before, after), condition and prompt, as
        `avreward compare` reads it.

    Raises:
        ArgumentError: if the run has no LoRA yet.
        AvrewardError: if generator or conditions can't be loaded.
    """
    with extra("train"):
        from accelerate import PartialState

    out = Path(run.output)
    lora = out / LORA
    if not lora.is_file():
        got = Described(f"no {lora}")
        raise ArgumentError("output", "the folder of a finished run", got, "train it with avreward tune first")
    found = read_conditions(conditions, run.arguments)
    generator = generator_of(run.generator, run.options, device or PartialState().device)
    fit_lora(run, generator.network)
    load_lora(generator.network, lora)
    steps = int(run.loop_settings.get("steps", _default_steps(run)))
    rows = []
    for number, condition in enumerate(found):
        name = getattr(condition.clip, "path", None)
        called = f"{number:04d}" if name is None else f"{number:04d}_{name.stem}"
        for system in ("before", "after"):
            if system == "before":
                with without_lora(generator.network):
                    clip = made_clip(generator, condition, HELD_OUT_SEED + number, steps)
            else:
                clip = made_clip(generator, condition, HELD_OUT_SEED + number, steps)
            path = out / "held_out" / system / f"{called}{'.mp4' if clip.has_video else '.wav'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            clip.save(path)
            step(f"{system}: {called}")
            row = {"clip": f"{system}/{path.name}", "system": system, "condition": called}
            rows.append(row | {"prompt": prompt_of(condition) or ""})
    table = out / "held_out" / "clips.csv"
    with whole_file(table) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


def _default_steps(run: TuningRun) -> int:
    return int(inspect.signature(LOOPS[run.loop].__init__).parameters["steps"].default)
