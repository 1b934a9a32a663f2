"""Train a rater through the stages of a configuration file; a run that was killed goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any

from avreward._extras import extra
from avreward._locks import claimed
from avreward._parsing import parsed_json
from avreward._whole_files import whole_file
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.media._isolated.workers import isolated_for
from avreward.raters.base import Rater
from avreward.raters.hub import load_rater
from avreward.raters.wrappers._trained import TrainedRater
from avreward.training._config_files import check_entries, read_entries
from avreward.training.rater._checks import last_checkpoint

DONE = "rater"  # the folder of a stage's finished rater


@dataclass(frozen=True)
class TrainingRun:
    """What `avreward train` reads: a rater to start from, tables, and settings of one or several stages.

    Args:
        rater: folder or hub name of what training starts from.
        output: folder for checkpoints and the finished rater.
        stages: settings of each stage, those of `RaterTrainingArguments`, and its own `train`, `evaluation` and
            `name` where it has such.
        train: the table of all stages that name none.
        evaluation: the held-out table of all stages that name none (*optional*).
        options: of `load_rater` (*optional*).
        settings: of all stages that don't set them themselves (*optional*).

    Raises:
        ArgumentError: for a run without a rater, an output folder or a stage.
    """

    rater: str
    output: str
    stages: Sequence[Mapping[str, Any]]
    train: str | None = None
    evaluation: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("rater", "output"):
            if not getattr(self, name) or not isinstance(getattr(self, name), str):
                raise ArgumentError(name, "a name", getattr(self, name), f"write {name}: … into the configuration")
        if not self.stages or isinstance(self.stages, str | Mapping):
            got = self.stages or Described("none")
            raise ArgumentError(
                "stages", "a list with the settings of each stage", got, "write stages: [{stage: scores}]"
            )
        for number, stage in enumerate(self.stages, 1):
            if not isinstance(stage, Mapping):
                raise ArgumentError(f"stages: number {number}", "settings by name", stage)
            if not stage.get("train", self.train):
                got = Described("none")
                raise ArgumentError(f"stages: number {number}: train", "a table", got, "write train: TABLE")

    def folder(self, number: int) -> Path:
        """Return the folder of a stage, counted from 1."""
        stage = self.stages[number - 1]
        return Path(self.output) / f"{number}_{stage.get('name', stage.get('stage', 'scores'))}"


def read_run(path: str | PathLike[str], changes: Sequence[str] = (), ablation: str | None = None) -> TrainingRun:
    """Return the run in a YAML file.

    The file may also have ``ablations``: name → a list of changes.

    Args:
        path: the file.
        ablation: the name of one of its ablations (*optional*), applied before `changes`.
        changes: such as ``"output=out"``, ``"settings.learning_rate=1e-4"`` or ``"stages.0.loss=l1"``; each value is
            read as YAML, and a stage that becomes null is left out.

    Raises:
        ArgumentError: for an unknown entry or ablation, or a change that fits nowhere.
        AvrewardError: if the file can't be read.
    """
    such_as = "rater: and stages:"
    content = read_entries(path, changes, lists="ablations", chosen=ablation, such_as=such_as)
    if isinstance(content.get("stages"), list):
        content["stages"] = [stage for stage in content["stages"] if stage is not None]
    check_entries(path, content, TrainingRun)
    return TrainingRun(**{"rater": "", "output": "", "stages": (), **content})


def train_rater(
    run: TrainingRun,
    *,
    resume: bool = True,
    rater: Rater | None = None,
    say: Callable[[str], None] | None = None,
    isolate: bool | None = None,
) -> TrainedRater:
    """Train through all stages and return the rater, which is saved in ``OUTPUT/rater``.

    Each stage writes checkpoints to a folder of its own, and its finished rater, from which the next begins. A run that
    was killed goes on from the last whole checkpoint.

    Args:
        run: see `read_run`.
        resume: go on from earlier checkpoints and stages in the output folder; otherwise that must be new.
        rater: what to start from, in place of the one that `run` names (*optional*).
        say: takes a line after each evaluation (*optional*, nothing is said).
        isolate: whether files are decoded in processes of their own, see `Evaluator` (*optional*: in a stage of more
            than 100 examples).

    Raises:
        ArgumentError: for wrong settings, or an output folder with another run.
        OutputInUse: if another process trains in the output folder.
        AvrewardError: if training fails; its message says how.
    """
    settings = [_arguments(run, number) for number in range(1, len(run.stages) + 1)]  # wrong ones fail at once
    first = os.environ.get("RANK", "0") == "0"  # of several processes that train together
    with claimed(Path(run.output)) if first else nullcontext():
        _claim(run, resume)
        return _trained(run, settings, rater, say, isolate)


def _trained(
    run: TrainingRun,
    settings: Sequence[Any],
    rater: Rater | None,
    say: Callable[[str], None] | None,
    isolate: bool | None,
) -> TrainedRater:
    with extra("train"):
        from transformers.trainer_callback import PrinterCallback, ProgressCallback

    from avreward.training.rater._progress import EvaluationLines
    from avreward.training.rater.trainer import RaterTrainer

    records: list[Mapping[str, Any]] = []
    trained: TrainedRater | None = None
    for number, (stage, arguments) in enumerate(zip(run.stages, settings, strict=True), 1):
        finished = run.folder(number) / DONE
        if (finished / "config.json").is_file():
            trained = _loaded(finished, run.options)
            records = list(trained.record["stages"])
            continue
        start = trained or rater or load_rater(run.rater, **run.options)
        evaluation = stage.get("evaluation", run.evaluation)
        trainer = RaterTrainer(start, stage.get("train", run.train), evaluation, arguments)
        for shown in (PrinterCallback, ProgressCallback):  # they write to standard output
            trainer.remove_callback(shown)
        trainer.add_callback(EvaluationLines(say or (lambda line: None), f"stage {number}"))
        found = last_checkpoint(run.folder(number))
        with isolated_for(trainer.train_dataset, isolate):
            trainer.train(resume_from_checkpoint=None if found is None else str(found))
            trained = trainer.finish(records)
        records = list(trained.record["stages"])
        if trainer.is_world_process_zero():
            trained.save_pretrained(finished)
    assert trained is not None
    out = Path(run.output) / DONE
    trained.save_pretrained(out)
    trained.source = {"rater": str(out.resolve())}
    return trained


def _loaded(folder: Path, options: Mapping[str, Any]) -> TrainedRater:
    machine = {
        name: value for name, value in options.items() if name in ("device", "dtype", "attention", "checkpointing")
    }
    rater = load_rater(folder, **machine)
    assert isinstance(rater, TrainedRater)
    return rater


def _arguments(run: TrainingRun, number: int) -> Any:
    """Return the settings of a stage; texts become numbers where numbers are wanted, as on a command line."""
    with extra("train"):
        from transformers import HfArgumentParser

    from avreward.training.rater.arguments import RaterTrainingArguments

    own = {k: v for k, v in run.stages[number - 1].items() if k not in ("name", "train", "evaluation")}
    values = {**run.settings, **own, "output_dir": str(run.folder(number))}
    known = [entry.name for entry in fields(RaterTrainingArguments) if entry.init]
    unknown = next((name for name in values if name not in known), None)
    if unknown is not None:
        raise unknown_name(f"setting of stage {number}", unknown, known)
    parser = HfArgumentParser(RaterTrainingArguments, exit_on_error=False)  # type: ignore[arg-type]
    parser.set_defaults(**values)  # as TRL's TrlParser reads a configuration file
    try:
        (arguments,) = parser.parse_args_into_dataclasses(args=[])
    except AvrewardError:
        raise
    except Exception as error:  # argparse's, or what TrainingArguments raises of wrong values
        raise ArgumentError(f"settings of stage {number}", "values that fit", Described(str(error)[:300])) from error
    return arguments


def _claim(run: TrainingRun, resume: bool) -> None:
    """Make the output folder and note the run in it; refuse one of another run."""
    out = Path(run.output)
    note, mine = out / "run.json", json.loads(json.dumps(_plain(run), default=str))
    if note.is_file():
        before = parsed_json(note.read_text(encoding="utf-8"))
        if resume and before == mine:
            return
        got = Described("that of another run" if before != mine else "one with checkpoints")
        raise ArgumentError("output", "a new folder", got, "name another, or remove it")
    if out.is_dir() and any(out.iterdir()):
        raise ArgumentError("output", "a new folder", Described(f"{out}, which holds other files"))
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(note) as part:
        part.write_text(json.dumps(mine, indent=2) + "\n", encoding="utf-8")


def _plain(run: TrainingRun) -> dict[str, Any]:
    return {entry.name: getattr(run, entry.name) for entry in fields(run)}
