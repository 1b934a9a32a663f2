"""What `avreward tune` reads: a generator, its LoRA, conditions, a reward, a loop and its settings."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, get_type_hints

from avreward.errors import ArgumentError, Described, unknown_name
from avreward.training._config_files import check_entries, read_entries
from avreward.training.generator.diffusion_nft import DiffusionNft
from avreward.training.generator.draft import Draft
from avreward.training.generator.flow_grpo import FlowGrpo
from avreward.training.generator.lora import add_lora
from avreward.training.generator.online_dpo import OnlineDpo
from avreward.training.generator.raft import Raft
from avreward.training.tuning._fitting import fitting

LOOPS: dict[str, Any] = {"draft": Draft, "nft": DiffusionNft, "flow_grpo": FlowGrpo, "dpo": OnlineDpo, "raft": Raft}
GUARDS = {
    "kl": "stops where the network is too far from the frozen one",
    "lora_norm": "stops where the LoRA changes the weights too much",
    "held_out": "rates every clip by a reward that is not trained on, and stops where the two part",
    "missing": "stops where many clips have no finite reward, or many gradients are not finite",
    "constant": "warns, then stops, where the reward does not tell samples apart",
    "probes": "before the run, warns of degenerate clips that the reward prefers to the generator's own",
    "prompt": "warns of a reward that ignores the prompt",
    "samples": "makes the same few clips at each checkpoint, for the report and the trackers",
}
TRACKERS = ("tensorboard", "wandb", "trackio")
_OWN = ("generator", "reward", "seed")  # arguments of the loops that other entries set


@dataclass(frozen=True)
class TuningRun:
    """A run of `tune`: what is trained, on what, and by which loop.

    Args:
        generator: ``FILE.py:NAME``, a function or class that returns a `FlowGenerator` (the file's code runs), or the
            folder or hub name of a diffusers pipeline.
        conditions: what is generated: a text file with a prompt a line, a table with a column ``prompt``, or videos as
            `list_clips` takes them.
        reward: an expression, or the file of a reward.
        output: folder for the LoRA, curves, samples, checkpoints and the report.
        loop: ``"draft"``, ``"nft"``, ``"flow_grpo"``, ``"dpo"`` or ``"raft"``.
        updates: how many updates are made.
        options: arguments of the factory, or of the pipeline: ``dtype``, ``fps``, ``checkpointing`` (*optional*).
        arguments: of the pipeline's call for every condition (*optional*).
        lora: ``rank``, ``alpha``, ``targets`` of `add_lora` (*optional*).
        raters: name in the reward → what `load_rater` takes, or ``FILE.py:NAME`` (*optional*).
        held_out: a reward that is not trained on (*optional*, ``signals.overall`` unless the reward reads `signals`).
        settings: of the loop (*optional*).
        batch: conditions of an update, in all processes together.
        group: samples of a condition; ``"draft"`` makes one.
        every: updates between checkpoints and samples.
        seed: of conditions, noise, LoRA and loop.
        trackers: of ``"tensorboard"``, ``"wandb"``, ``"trackio"`` (*optional*).
        guards_off: names of guards that are turned off (*optional*).

    Raises:
        ArgumentError: for an entry that is missing or does not fit, or an unknown setting.

    Example:
        >>> run = TuningRun("tone.py:tone", "videos", "audio_quality", "out", "draft", 20, settings={"steps": 4})
        >>> run.loop_settings
        {'steps': 4}
    """

    generator: str
    conditions: str
    reward: str
    output: str
    loop: str
    updates: int
    options: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    lora: Mapping[str, Any] = field(default_factory=dict)
    raters: Mapping[str, str] = field(default_factory=dict)
    held_out: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 4
    group: int = 8
    every: int = 25
    seed: int = 0
    trackers: Sequence[str] = ()
    guards_off: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if value is None and name != "held_out":
                raise ArgumentError(name, "a value", Described("none"), f"write {name}: … into the configuration")
            object.__setattr__(self, name, fitting(name, value, hint))
        for name in ("generator", "conditions", "reward", "output"):
            if not getattr(self, name):
                raise ArgumentError(name, "a name", Described("none"), f"write {name}: … into the configuration")
        if self.loop not in LOOPS:
            raise unknown_name("loop", self.loop, LOOPS)
        for name, least in {"updates": 1, "batch": 1, "group": 1 if self.loop == "draft" else 2, "every": 1}.items():
            if getattr(self, name) < least:
                raise ArgumentError(name, f"an integer of at least {least}", getattr(self, name))
        for name, known in {"trackers": TRACKERS, "guards_off": tuple(GUARDS)}.items():
            odd = next((one for one in getattr(self, name) if one not in known), None)
            if odd is not None:
                raise unknown_name(name, odd, known)
        _ = self.loop_settings, self.lora_settings

    @property
    def loop_settings(self) -> dict[str, Any]:
        """The settings as arguments of the loop."""
        return _arguments("settings", LOOPS[self.loop].__init__, self.settings, _OWN)

    @property
    def lora_settings(self) -> dict[str, Any]:
        """The LoRA's settings as arguments of `add_lora`."""
        return _arguments("lora", add_lora, self.lora, ("network", "seed"))

    def guarded(self, name: str) -> bool:
        """Return whether a guard is on."""
        return name not in self.guards_off


def read_tuning(path: str | PathLike[str], changes: Sequence[str] = (), variant: str | None = None) -> TuningRun:
    """Return the run in a YAML file.

    The file may also have ``variants``: name → a list of changes, such as those for another machine.

    Args:
        path: the file.
        changes: such as ``"output=out"`` or ``"settings.learning_rate=1e-4"``; each value is read as YAML.
        variant: the name of one of its variants (*optional*), applied before `changes`.

    Raises:
        ArgumentError: for an unknown entry, setting or variant, or one that does not fit.
        AvrewardError: if the file can't be read.
    """
    such_as = "generator: and reward:"
    content = read_entries(path, changes, lists="variants", chosen=variant, such_as=such_as)
    check_entries(path, content, TuningRun)
    needed = dict.fromkeys(("generator", "conditions", "reward", "output", "loop", "updates"))
    return TuningRun(**{**needed, **content})


def _arguments(entry: str, made: Any, given: Mapping[str, Any], own: Sequence[str]) -> dict[str, Any]:
    """Return `given` as keyword arguments of the function `made`, checked by its annotations."""
    hints = get_type_hints(made)
    known = [name for name in inspect.signature(made).parameters if name not in ("self", *own)]
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise unknown_name(entry, unknown, known)
    return {name: fitting(f"{entry}.{name}", value, hints[name]) for name, value in given.items()}
