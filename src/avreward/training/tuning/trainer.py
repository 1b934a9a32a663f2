"""Run a tuning loop: batches, checkpoints, guards, curves, samples and the report."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from avreward._extras import extra
from avreward._locks import claimed
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, MediaError, describe
from avreward.generators.base import Condition, Noise
from avreward.report.tuning_page import write_tuning_page
from avreward.training.generator._processes import from_all, process_count, process_rank
from avreward.training.generator._rated import TuningStep
from avreward.training.generator.lora import lora_change
from avreward.training.generator.lora_files import save_lora
from avreward.training.monitor import RewardMonitor
from avreward.training.tuning._checkpoints import LORA, resume_run, save_checkpoint
from avreward.training.tuning._guards import (
    MISSING,
    check_gradient,
    probe_reward,
    reason_to_stop,
    warn_at_start,
    warn_of_rows,
)
from avreward.training.tuning._page import page_of
from avreward.training.tuning._parts import TuningParts, loops_by_entry, make_parts
from avreward.training.tuning._record import FAILED, REPORT, RunRecord, begin_record, monitor_of, note_failure, row_of
from avreward.training.tuning._samples import keep_samples, make_samples
from avreward.training.tuning.config import TuningRun

Say = Callable[[str], None]


def tune(
    run: TuningRun,
    *,
    resume: bool = True,
    say: Say = lambda line: None,
    step: Say = lambda doing: None,
    cpu: bool = False,
) -> RunRecord:
    """Fine-tune a generator by one of the loops, with checkpoints, guards, curves, samples and a report.

    The same call after an interruption goes on from the last checkpoint, with the same result as without it. What a
    generator, a rater or the disk raises passes through, and ``run.json`` has the reason. In several
    processes (``torchrun``, ``accelerate launch``) each takes its share of the batch, and the first one writes.

    Args:
        run: see `read_tuning`.
        resume: go on from an earlier start in the output folder; otherwise that must be new.
        say: takes a line for each warning.
        step: called after each update with its figures.
        cpu: use the CPU also where there is a GPU.

    Returns:
        The record. ``OUTPUT`` holds ``lora.safetensors``, ``run.json``, ``curves.csv``, ``report.html``, ``samples``
        and ``checkpoints``.

    Raises:
        ArgumentError: for what does not fit, or an output folder with another run.
        OutputInUse: if another process tunes into the output folder.
        AvrewardError: if something can't be loaded.
        OSError: if the output can't be written; the last checkpoint is still there.

    Example:
        >>> tune(read_tuning("tune.yaml")).status  # doctest: +SKIP
        'finished'
    """
    with extra("train"):
        from accelerate import Accelerator
    _check_trackers(run)
    cpu = cpu or not torch.accelerator.is_available()  # else accelerate makes no process group on a CPU
    accelerator = Accelerator(cpu=cpu, log_with=list(run.trackers) or None, project_dir=run.output)
    if process_count() != (launched := int(os.environ.get("WORLD_SIZE", "1"))):
        raise AvrewardError(f"expected one group of the {launched} processes that were launched, got {process_count()}")
    if run.batch % process_count():
        expected = f"a multiple of the {process_count()} processes"
        raise ArgumentError("batch", expected, run.batch, "change batch or the number of processes")
    with claimed(Path(run.output)) if process_rank() == 0 else nullcontext():
        return _tuned(run, accelerator, resume, say, step)


def _tuned(run: TuningRun, accelerator: Any, resume: bool, say: Say, step: Say) -> RunRecord:
    record = begin_record(run, resume) if process_rank() == 0 else RunRecord(run)
    accelerator.wait_for_everyone()
    whole: _Tuning | None = None
    try:
        with loops_by_entry():
            parts = make_parts(run, accelerator.device)
            made = resume_run(record, parts.loop)
            whole = _Tuning(accelerator, record, parts, say)
            whole.begin(made)
            for _ in range(made):
                step("resumed")
            for _ in range(made, run.updates):
                whole.update()
                step(whole.figures())
                if record.reason is not None:
                    break
            whole.end("finished" if record.reason is None else "stopped")
    except KeyboardInterrupt:
        if whole is not None:
            whole.end_early("interrupted", "interrupted; the same command goes on from the last checkpoint")
        raise
    except Exception as error:  # whatever a generator, a rater or the disk may do
        reason = str(error) if isinstance(error, AvrewardError) else describe(error)
        if whole is not None and whole.first:
            whole.end_early(FAILED, reason)
        else:
            note_failure(record.folder, reason, process_rank())
        raise
    finally:
        accelerator.end_training()
    return record


def _check_trackers(run: TuningRun) -> None:
    """Raise `ArgumentError` for a tracker that is not installed: accelerate would leave it out."""
    absent = next((name for name in run.trackers if find_spec(name) is None), None)
    if absent is not None:
        got = Described(f"{absent}, which is not installed")
        raise ArgumentError("trackers", "installed ones", got, f"run pip install {absent}")


class _Tuning:
    """A run in progress."""

    def __init__(self, accelerator: Any, record: RunRecord, parts: TuningParts, say: Say) -> None:
        self.accelerator, self.record, self.parts, self.run = accelerator, record, parts, record.run
        self.monitor: RewardMonitor | None = monitor_of(record) if parts.held_out is not None else None
        self.first = process_rank() == 0
        self.say = say if self.first else lambda line: None
        record.facts = {
            "avreward": version("avreward"),
            "torch": torch.__version__,
            "reward": f"{parts.reward} ({parts.reward.fingerprint})",
            "held-out reward": "none" if parts.held_out is None else f"{parts.held_out} ({parts.held_out.fingerprint})",
            "processes": str(process_count()),
        }

    def begin(self, made: int) -> None:
        """Start trackers; before the first update also look for what is odd, and make the first samples."""
        if self.first:
            self.record.write()  # first of all: it says whose folder this is
        if self.run.trackers:
            self.accelerator.init_trackers("avreward-tune", {"loop": self.run.loop, "reward": str(self.parts.reward)})
        if made or not self.first:
            return
        for line in warn_at_start(self.record, self.parts):
            self.say(line)
        clips = make_samples(self.parts) if self.run.guarded("samples") or self.run.guarded("probes") else []
        if clips:
            check_gradient(self.parts, clips[0])
        self._keep(clips, 0)
        if self.run.guarded("probes"):
            for line in probe_reward(self.record, self.parts, clips):
                self.say(line)
        self.record.write()

    def update(self) -> None:
        """Make one update; at a checkpoint also write everything."""
        number, started = self.parts.loop.updates, time.perf_counter()
        conditions, noises = batch_of(self.run, self.parts.conditions, number, self.parts.grouped)
        own = self.parts.loop.update(conditions, noises)
        step = TuningStep.together(from_all(own))
        held_out = [value for values in from_all(self.parts.generator.take_held_out()) for value in values]
        row = row_of(
            step, number + 1, held_out, lora_change(self.parts.generator.network), self._constant(step),
            time.perf_counter() - started,
        )  # fmt: skip
        self.record.rows.append(row)
        if self.monitor is not None:
            self.monitor.update(step.every_reward, held_out)
            self.record.monitor = self.monitor.state_dict()
        self._watch(step)
        if self.first and self.run.trackers:
            shown = {f"tune/{name}": value for name, value in row.items() if value is not None and name != "update"}
            self.accelerator.log(shown, step=number + 1)
        done = self.record.reason is not None or number + 1 == self.run.updates
        if self.first and (done or (number + 1) % self.run.every == 0):
            self._checkpoint()

    def end(self, status: str) -> None:
        """Write the LoRA and how the run ended."""
        self.record.status = status
        if not self.first:
            return
        save_lora(self.parts.generator.network, self.record.folder / LORA)
        self.record.write()
        self._page()

    def end_early(self, status: str, reason: str) -> None:
        """Write why the run ended, as far as the disk takes it."""
        self.record.status, self.record.reason = status, reason
        for write in (self.record.write, self._page) if self.first else ():
            with suppress(OSError):
                write()

    def figures(self) -> str:
        """Return the last update in a few words."""
        row = self.record.rows[-1]
        names = {"reward": "reward", "held_out": "held out", "kl": "KL"}
        return ", ".join(f"{said} {row[name]:.3g}" for name, said in names.items() if row[name] is not None)

    def _watch(self, step: TuningStep) -> None:
        """Warn of what the update shows, and note why the run should stop."""
        for reason in step.missing:
            text = f"{MISSING}{reason}"
            if len(self.record.warnings) < 100 and self.record.warn(text):
                self.say(text)
        warning = warn_of_rows(self.record)
        if warning is not None:
            self.say(warning)
        self.record.reason = reason_to_stop(self.record, self.monitor)

    def _constant(self, step: TuningStep) -> bool:
        """Return whether the rewards of an update told no samples apart; without rewards they may have."""
        if not len(step.rewards):
            return False
        if not self.parts.grouped:
            return step.gradient_norm == 0
        groups = step.every_reward.reshape(-1, self.run.group)
        least = groups.nan_to_num(math.inf).amin(1)
        return bool((groups.nan_to_num(-math.inf).amax(1) <= least).all())

    def _checkpoint(self) -> None:
        self._keep(make_samples(self.parts) if self.run.guarded("samples") else [], self.parts.loop.updates)
        save_checkpoint(self.record, self.parts.loop)
        self.record.write()
        self._page()

    def _page(self) -> None:
        write_tuning_page(page_of(self.record), self.record.folder / REPORT)

    def _keep(self, clips: Sequence[Clip], update: int) -> None:
        """Write samples; one that can't be written is a warning, and the run goes on."""
        if not self.run.guarded("samples"):
            return
        try:
            keep_samples(self.record, self.parts, clips, update, self.accelerator if self.run.trackers else [])
        except MediaError as error:
            if self.record.warn(f"samples: {error}"):
                self.say(f"samples: {error}")


def batch_of(
    run: TuningRun, conditions: list[Condition], update: int, grouped: bool
) -> tuple[list[Condition], list[Any]]:
    """Return this process's conditions and noises of an update, which follow from the seed and its number.

    Conditions are gone through in a random order, then in another one.
    """
    own = run.batch // process_count()
    first = update * run.batch + process_rank() * own
    chosen, noises = [], list[Any]()
    for index in range(first, first + own):
        round_, place = divmod(index, len(conditions))
        draw = torch.Generator().manual_seed((run.seed * 1_000_003 + round_) % 2**31)
        chosen.append(conditions[int(torch.randperm(len(conditions), generator=draw)[place])])
        size = run.group if grouped else 1
        group = [Noise.of((run.seed * 1_000_003 + index * size + number) % 2**31) for number in range(size)]
        noises.append(group if grouped else group[0])
    return chosen, noises
