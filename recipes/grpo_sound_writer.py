"""Trains a language model to write prompts for a text-to-audio pipeline, by TRL's GRPO on a composite of two raters.

    python recipes/grpo_sound_writer.py [--seeds 0 1 2] [--reward http://127.0.0.1:8000] [--json out.json]

The writer is asked for a low, a middle or a high sound and writes four words; the pipeline makes half a second of
sound of them; `signals` measures the quality, and a rater of our own how far the sound is from the pitch that was
asked for, so one term reads the prompt and the other doesn't. Both are handed to TRL as terms of their own, which it
normalizes within each group before it adds them up. Everything is tiny, so that it runs on a CPU in minutes: the writer
is a GPT-2 with random weights, and the pipeline a synthesizer, since the sounds of a random diffusion model would teach
nothing. With real ones, change `writer` and `Synthesizer` to a language model and a diffusers pipeline.

The control is trained alike, but its rewards are shuffled between the samples of each batch. It must not rise. Held out
is the pitch by zero crossings, which no reward reads. By how much each score should rise over the control (`MARGINS`)
was stated before the held-out score was measured.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from avreward import Clip, Dimension, Rater, Reward, Scores, load_rater
from avreward.integrations import trl_rewards

PITCHES = {"rumble": 60.0, "hum": 130.0, "tone": 500.0, "beep": 1000.0, "whistle": 2200.0}  # Hz
LEVELS = {"faint": 0.003, "quiet": 0.03, "clear": 0.3, "blaring": 4.0}  # amplitude; 1 is full scale
TEXTURES = {"clean": 0.001, "hissing": 0.03, "noisy": 0.3}  # amplitude of noise, beside that of the tone
SCENES = {"low": 60.0, "middle": 500.0, "high": 2200.0}  # what may be asked for → Hz
WORDS = (*PITCHES, *LEVELS, *TEXTURES, *SCENES, "a", "the", "of", "sound")
SAMPLE_RATE, SECONDS = 8000, 0.5
STEPS, GROUP, GROUPS, LENGTH, RATE, FRESH = 100, 8, 6, 4, 1e-3, 192
SCORES = ("reward", "held out: pitch by zero crossings")
MARGINS = dict(zip(SCORES, (0.8, 0.3), strict=True))  # over the control, mean over seeds


class Synthesizer:
    """Stands for a text-to-audio pipeline: the last word of each kind decides, chance where none is written.

    New noise in every sound. (Fixed defaults would reward leaving words out, which any loss of variety does.)
    """

    def __init__(self, seed: int) -> None:
        self.noise = torch.Generator().manual_seed(seed)

    def drawn(self, kind: dict[str, float]) -> str:
        """Any word of this kind."""
        return list(kind)[int(torch.randint(len(kind), (1,), generator=self.noise))]

    def __call__(self, text: str, /, **columns: Any) -> Clip:
        """Return the sound that `text` describes."""
        words = text.split()
        pitch, level, texture = (
            next(kind[word] for word in (*reversed(words), self.drawn(kind)) if word in kind)
            for kind in (PITCHES, LEVELS, TEXTURES)
        )
        times = torch.arange(int(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
        wave = torch.sin(2 * math.pi * pitch * times) + texture * torch.randn(len(times), generator=self.noise)
        return Clip(audio=(level * wave).clamp(-1, 1)[None], sample_rate=SAMPLE_RATE)


class Pitch(Rater):
    """How far the sound's spectral centroid is from the pitch that the prompt asks for, in octaves, negative."""

    name, fingerprint, tracks, prompt_anchored, per_clip = "pitch", "pitch 1", ("audio",), True, True
    dimensions = (Dimension("match", low=-6, high=0, needs=frozenset({"audio", "prompt"}), unit="octaves"),)

    def load_track(self, clip: Clip, track: str) -> Tensor:
        """Mono, (samples,)."""
        return clip.sound(SAMPLE_RATE, channels=1)[0]

    def rate(self, samples: Sequence[Any], work: Any = None) -> Scores:
        """One row a clip."""
        return Scores.collect([self.row(sample) for sample in samples], self.dimensions)

    def row(self, sample: Any) -> tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]:
        """Values, reasons for what is missing, basis."""
        wanted = wanted_pitch(sample.clip)
        if wanted is None or "audio" not in sample.tracks:
            return {}, {"match": sample.missing.get("audio", "the prompt asks for no pitch")}, {}
        power = torch.fft.rfft(sample.tracks["audio"]).abs().square()
        hertz = torch.fft.rfftfreq(len(sample.tracks["audio"]), 1 / SAMPLE_RATE)
        centroid = (power * hertz).sum() / power.sum().clamp(min=1e-12)
        return {"match": -(centroid.clamp(min=20) / wanted).log2().abs()}, {}, {}


def wanted_pitch(clip: Clip) -> float | None:
    """Return the pitch that the prompt asks for, in Hz."""
    return next((hertz for name, hertz in SCENES.items() if name in (clip.prompt or "")), None)


def crossing_match(clip: Clip) -> Tensor:
    """Return how far half of the zero crossings a second are from the pitch asked for, in octaves, negative."""
    signs = clip.sound(SAMPLE_RATE, channels=1)[0] >= 0
    hertz = (signs[1:] != signs[:-1]).sum() / (2 * len(signs) / SAMPLE_RATE)
    return -(hertz.clamp(min=20) / wanted_pitch(clip)).log2().abs()


class Shuffled:
    """The control: a function's rewards, shuffled between the samples of a batch. Equal seeds shuffle alike."""

    def __init__(self, function: Any, seed: int) -> None:
        self.__name__, self.function, self.draws = function.__name__, function, torch.Generator().manual_seed(seed)

    def __call__(self, *arguments: Any, **columns: Any) -> list[float | None]:
        """Return the rewards of others."""
        values = self.function(*arguments, **columns)
        return [values[i] for i in torch.randperm(len(values), generator=self.draws)]


def writer(seed: int) -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """Return a GPT-2 with random weights, and a tokenizer with one token a word."""
    vocabulary = {word: i for i, word in enumerate(("<end>", "<pad>", *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", pad_token="<pad>")
    torch.manual_seed(seed)
    sizes = {"n_positions": 32, "n_embd": 64, "n_layer": 2, "n_head": 2}
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    config = GPT2Config(vocab_size=len(vocabulary), bos_token_id=0, eos_token_id=0, pad_token_id=1, **sizes, **none)
    return GPT2LMHeadModel(config), tokenizer


def request(scene: str) -> dict[str, str]:
    """Return a row of the dataset: what the writer reads, and what the sound is judged by."""
    return {"prompt": f"the sound of a {scene}", "scene": f"a {scene} sound"}


def evaluate(model: Any, tokenizer: Any, reward: Reward, seed: int) -> Tensor:
    """Reward and held-out score (2, FRESH) of fresh samples: words, noise and all that training never sees."""
    torch.manual_seed(10**6 + seed)
    rows = [request(list(SCENES)[i % len(SCENES)]) for i in range(FRESH)]
    asked = tokenizer([row["prompt"] for row in rows], return_tensors="pt", return_token_type_ids=False)
    model.eval()
    with torch.no_grad():
        written = model.generate(**asked, do_sample=True, top_k=0, max_new_tokens=LENGTH)
        texts = tokenizer.batch_decode(written[:, asked["input_ids"].shape[1] :], skip_special_tokens=True)
        render = Synthesizer(10**6 + seed)
        clips = [render(text).with_prompt(row["scene"]) for text, row in zip(texts, rows, strict=True)]
        return torch.stack([reward(clips), torch.stack([crossing_match(clip) for clip in clips])])


def train(reward: Reward, seed: int, control: bool) -> tuple[Tensor, Tensor]:
    """Scores (2, FRESH) of fresh samples before and after training."""
    model, tokenizer = writer(seed)
    before = evaluate(model, tokenizer, reward, seed)
    functions, weights = trl_rewards(reward, render=Synthesizer(seed), prompt_column="scene")
    if control:
        functions = [Shuffled(function, seed) for function in functions]
    with TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder, use_cpu=True, bf16=False, seed=seed, max_steps=STEPS, learning_rate=RATE,
            lr_scheduler_type="constant", per_device_train_batch_size=GROUP * GROUPS, num_generations=GROUP,
            max_completion_length=LENGTH, reward_weights=weights, multi_objective_aggregation="normalize_then_sum",
            report_to=[], save_strategy="no", logging_steps=10, disable_tqdm=True,
        )  # fmt: skip
        dataset = Dataset.from_list([request(scene) for scene in SCENES] * GROUPS)
        GRPOTrainer(model, functions, config, dataset, processing_class=tokenizer).train()
    return before, evaluate(model, tokenizer, reward, seed)


def composite() -> Reward:
    """Measured quality, 0 to 100, and the distance from what was asked for, in octaves."""
    return 0.1 * load_rater("signals")["audio_quality"] + Pitch()["match"]


def row_of(before: Tensor, after: Tensor, start: Tensor, end: Tensor) -> list[float]:
    """Means before and after, the change and its standard error; the same change for the control."""

    def change(first: Tensor, last: Tensor) -> list[float]:
        error = (first.var() / len(first) + last.var() / len(last)).sqrt()
        return [float(last.mean() - first.mean()), float(error)]

    return [float(before.mean()), float(after.mean()), *change(before, after), *change(start, end)]


def compare(seeds: Sequence[int], reward: Reward | None = None) -> Tensor:
    """Train each seed, and its control; return `row_of` of each score, (scores, seeds, 6)."""
    reward, rows = composite() if reward is None else reward, []
    for seed in seeds:
        runs = zip(*(one for control in (False, True) for one in train(reward, seed, control)), strict=True)
        rows.append([row_of(*scores) for scores in runs])
    return torch.tensor(rows).transpose(0, 1)


def gains_over_control(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train each seed, and its control; return a row a seed and score, as the other recipes that fine-tune do."""
    return [
        {"seed": seed, "score": score, "before": row[0], "gain": row[2], "control": row[4]}
        for score, table in zip(SCORES, compare(seeds).tolist(), strict=True)
        for seed, row in zip(seeds, table, strict=True)
    ]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--reward", help="the address of a reward that avreward serve serves, instead of the composite")
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    arguments = parser.parse_args()
    reward = composite() if arguments.reward is None else load_rater(arguments.reward)["reward"]
    print(f"reward: {reward}")
    names, found = ("before", "after", "change", "change_se", "control", "control_se"), []
    for score, table in zip(SCORES, compare(arguments.seeds, reward), strict=True):
        over = table.mean(0)
        if len(table) > 1:  # the spread of the seeds, in place of that of the samples
            over[[3, 5]] = table[:, [2, 4]].std(0) / len(table) ** 0.5
        print(f"\n{score}: {over[2] - over[4]:+.3f} over the control\n")
        print("| seed | before | after | change | ± SE | control's change | ± SE |\n|---|---|---|---|---|---|---|")
        for name, numbers in zip([*map(str, arguments.seeds), "all"], [*table, over], strict=True):
            print(f"| {name} | " + " | ".join(f"{number:.3f}" for number in numbers.tolist()) + " |")
            found.append({"score": score, **dict(zip(names, numbers.tolist(), strict=True))})
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
