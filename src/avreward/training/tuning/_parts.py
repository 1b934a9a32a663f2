"""The parts of a tuning run, made of its configuration: generator, rewards, conditions and the loop."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avreward._extras import extra
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, describe, unknown_name
from avreward.generators.base import Condition
from avreward.generators.flow_generator import FlowGenerator
from avreward.raters._user_file import names_code, object_in_file, rater_in_file
from avreward.raters.base import Rater
from avreward.raters.hub import load_rater
from avreward.rewards.base import Reward
from avreward.rewards.io import load_reward
from avreward.scoring._manifest import MANIFESTS, PATHS, columns_of
from avreward.scoring.inputs import ListedClip, list_clips
from avreward.training.generator._rated import NoGradient
from avreward.training.generator._routing import moved_streams
from avreward.training.generator.draft import Draft
from avreward.training.generator.lora import add_lora
from avreward.training.tuning._watched import WatchedGenerator
from avreward.training.tuning.config import LOOPS, TuningRun

PIPELINE_OPTIONS = ("dtype", "fps", "checkpointing")


@dataclass(frozen=True)
class TuningParts:
    """What a run works with.

    Attributes:
        generator: with its LoRA; it rates what it decodes by the held-out reward.
        reward: that is trained on.
        held_out: that is not, if there is one.
        conditions: all of them.
        loop: on the generator and the reward.
    """

    generator: WatchedGenerator
    reward: Reward
    held_out: Reward | None
    conditions: list[Condition]
    loop: Any

    @property
    def grouped(self) -> bool:
        """Whether the loop takes a group of noises for each condition."""
        return not isinstance(self.loop, Draft)


def make_parts(run: TuningRun, device: torch.device) -> TuningParts:
    """Load everything that a run names.

    Raises:
        ArgumentError: for what does not fit: a network that takes no LoRA, a term whose stream is not generated.
        AvrewardError: for what can't be loaded, or a reward without gradients where the loop needs them.
    """
    conditions = read_conditions(run.conditions, run.arguments)
    own = generator_of(run.generator, run.options, device)
    fit_lora(run, own.network)
    reward, held_out = rewards_of(run)
    moved_streams(reward, own.streams)
    generator = WatchedGenerator(own, held_out)
    with entries("settings", run.loop_settings):
        loop = LOOPS[run.loop](generator, reward, **run.loop_settings, seed=run.seed)
    return TuningParts(generator, reward, held_out, conditions, loop)


@contextmanager
def entries(entry: str, names: Container[str]) -> Iterator[None]:
    """Within, a wrong argument called by one of `names` is called as in the configuration: ``ENTRY.NAME``."""
    try:
        yield
    except ArgumentError as error:
        if error.name not in names:
            raise
        raise ArgumentError(f"{entry}.{error.name}", error.expected, Described(error.got), error.remedy) from error


@contextmanager
def loops_by_entry() -> Iterator[None]:
    """Within, a reward without a gradient is an error that names the other loops as configurations do."""
    try:
        yield
    except NoGradient as error:
        raise NoGradient(error.problem, "set loop: nft, flow_grpo, dpo or raft, which need scores alone") from error


def fit_lora(run: TuningRun, network: nn.Module) -> None:
    """Add the LoRA of a run.

    Raises:
        ArgumentError: if the network takes none.
    """
    try:
        with entries("lora", ("rank", "alpha", "targets")):
            add_lora(network, **run.lora_settings, seed=run.seed)
    except AvrewardError:
        raise
    except Exception as error:  # layers of another library, which peft does not know
        got, remedy = Described(f"{type(network).__name__} ({describe(error)})"), "name other layers in lora.targets"
        raise ArgumentError("generator", "a network that takes a LoRA", got, remedy) from error


def rewards_of(run: TuningRun) -> tuple[Reward, Reward | None]:
    """Return the trained and the held-out reward of a run, which share their raters.

    Raises:
        AvrewardError: for one that can't be loaded.
    """
    raters: dict[str, Rater] = {}
    for name, source in run.raters.items():
        rater = rater_in_file(source) if names_code(source) else load_rater(source)
        rater.name = name
        raters[name] = rater
    reward = load_reward(run.reward, raters or None)
    if not run.guarded("held_out"):
        return reward, None
    if run.held_out is not None:
        return reward, load_reward(run.held_out, raters or None)
    read = {rater.name for rater in reward.raters}
    return reward, None if "signals" in read else load_rater("signals")["overall"]


def generator_of(name: str, options: Mapping[str, Any], device: torch.device) -> FlowGenerator:
    """Return the generator that ``FILE.py:NAME`` makes, or a diffusers pipeline as one.

    Raises:
        ArgumentError: if it is no `FlowGenerator`, or for an unknown option of a pipeline.
        AvrewardError: if it can't be made.
    """
    if not names_code(name):
        return _pipeline(name, options, device)
    make = object_in_file(name, "a function that makes a FlowGenerator")
    try:
        made = make(**options)
    except AvrewardError:
        raise
    except Exception as error:  # the user's own code
        raise AvrewardError(f"{name}: it cannot be made ({describe(error)}); correct it") from error
    if not isinstance(made, FlowGenerator) or not isinstance(made.network, nn.Module):
        remedy = "see the protocol FlowGenerator: network, streams and five methods"
        raise ArgumentError("generator", "a function that returns a FlowGenerator", made, remedy)
    return made


def _pipeline(name: str, options: Mapping[str, Any], device: torch.device) -> FlowGenerator:
    unknown = next((option for option in options if option not in PIPELINE_OPTIONS), None)
    if unknown is not None:
        raise unknown_name("options", unknown, PIPELINE_OPTIONS)
    with extra("diffusers"):
        from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler

        from avreward.generators.diffusers.flow import DiffusersFlow
    dtype = getattr(torch, str(options.get("dtype", "float32")), None)
    if not isinstance(dtype, torch.dtype):
        raise ArgumentError("options.dtype", "a type such as bfloat16", options.get("dtype"))
    try:
        pipeline = DiffusionPipeline.from_pretrained(name, torch_dtype=dtype)
    except Exception as error:  # diffusers' own kinds
        remedy = "name the folder of a diffusers pipeline, its name on the hub, or FILE.py:NAME"
        raise AvrewardError(f"{name}: this generator can't be loaded ({describe(error)}); {remedy}") from error
    pipeline.set_progress_bar_config(disable=True)
    planned = getattr(getattr(pipeline, "scheduler", None), "config", {})
    if planned.get("use_flow_sigmas") and planned.get("flow_shift"):  # such as UniPC, by which Wan is sampled
        steps = planned.get("num_train_timesteps", 1000)
        pipeline.scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=steps, shift=planned["flow_shift"])
    others = {key: value for key, value in options.items() if key != "dtype"}
    made: Any = DiffusersFlow(pipeline.to(device), **others)
    return made


def read_conditions(source: str, arguments: Mapping[str, Any]) -> list[Condition]:
    """Return a condition for each prompt or clip that `source` names.

    Args:
        source: ``.txt`` with a prompt a line, a table with a column ``prompt`` and none with paths, or clips.
        arguments: of the generator's call, for all.

    Raises:
        ArgumentError: if there are none.
        MediaError: for a clip that can't be opened.
        AvrewardError: if the file can't be read.
    """
    prompts = _prompts(Path(source))
    if prompts is not None:
        kept = [text.strip() for text in prompts if text and str(text).strip()]
        if not kept:
            raise ArgumentError("conditions", "a prompt a line", Described(f"none in {source}"))
        return [Condition(arguments={**arguments, "prompt": text}) for text in kept]
    found = []
    for listed in condition_clips(source):
        clip = Clip.open(listed.path, prompt=listed.prompt, texts=listed.texts)
        prompt = {} if listed.prompt is None else {"prompt": listed.prompt}
        found.append(Condition(clip=clip, arguments={**arguments, **prompt}))
    return found


def condition_clips(source: str) -> list[ListedClip]:
    """Return the clips that `source` names; none where it holds prompts alone."""
    return [] if _prompts(Path(source)) is not None else list_clips([source])


def _prompts(path: Path) -> Sequence[Any] | None:
    """Return the prompts in a file that holds prompts alone, else `None`."""
    kind = path.suffix.lower()
    if kind == ".txt":
        try:
            return path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise AvrewardError(f"{path}: these prompts can't be read ({why}); write UTF-8, a prompt a line") from error
    if kind not in MANIFESTS or not path.is_file():
        return None
    columns = columns_of(path)
    return columns["prompt"] if "prompt" in columns and not set(PATHS) & set(columns) else None


def prompt_of(condition: Condition) -> str | None:
    """Return a condition's prompt, if it has one."""
    prompt = condition.arguments.get("prompt")
    return prompt if isinstance(prompt, str) else getattr(condition.clip, "prompt", None)
