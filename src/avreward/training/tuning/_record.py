"""What a tuning run writes down: a row an update, warnings, its state; as files that appear whole."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from avreward._parsing import parsed_json
from avreward._whole_files import whole_file
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.training.generator._rated import TuningStep
from avreward.training.monitor import RewardMonitor
from avreward.training.tuning.config import TuningRun

Row = dict[str, float | None]
RUN, CURVES, REPORT, SAMPLES_FOLDER = "run.json", "curves.csv", "report.html", "samples"
FAILED = "failed"


@dataclass
class RunRecord:
    """The record of a run.

    Attributes:
        run: its configuration.
        rows: numbers of each update.
        warnings: what was warned of, each once.
        samples: checkpoint → its sample clips: file, caption, reward, held-out reward.
        probes: name of each probe that beat the generator's own clips → its median less theirs.
        monitor: state of the `RewardMonitor`.
        status: ``"running"``, ``"finished"``, ``"stopped"`` (by a guard), ``"interrupted"`` or ``"failed"``.
        reason: why it ended, unless it finished.
        facts: versions and fingerprints.
    """

    run: TuningRun
    rows: list[Row] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    samples: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    probes: dict[str, float] = field(default_factory=dict)
    monitor: Mapping[str, Any] | None = None
    status: str = "running"
    reason: str | None = None
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.run.output)

    def warn(self, text: str) -> bool:
        """Add a warning; return whether it is new."""
        new = text not in self.warnings
        if new:
            self.warnings.append(text)
        return new

    def content(self) -> dict[str, Any]:
        """Return everything as plain values."""
        found = {name: value for name, value in vars(self).items() if name != "run"}
        return {"config": plain(self.run), **found, "samples": {str(at): one for at, one in self.samples.items()}}

    def summary(self) -> dict[str, Any]:
        """Return how the run ended, for people and `--json`."""
        last = self.rows[-1] if self.rows else {}
        return {
            "output": str(self.folder),
            "status": self.status,
            "reason": self.reason,
            "updates": len(self.rows),
            "last": last,
            "warnings": self.warnings,
        }

    def write(self, folder: Path | None = None) -> None:
        """Write `run.json` and `curves.csv` to a folder, by default the run's.

        Raises:
            OSError: if they can't be written.
        """
        place = folder or self.folder
        with whole_file(place / RUN) as part:
            part.write_text(json.dumps(self.content(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        with whole_file(place / CURVES) as part, part.open("w", encoding="utf-8", newline="") as file:
            names = list(dict.fromkeys(name for row in self.rows for name in row)) or ["update"]
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(self.rows)

    def discard(self) -> None:
        """Remove what `write` wrote, the report and samples."""
        for name in (RUN, CURVES, REPORT):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / SAMPLES_FOLDER, ignore_errors=True)

    def go_on_from(self, content: Mapping[str, Any]) -> None:
        """Take over rows, warnings, samples, probes and the monitor's state of a checkpoint."""
        self.rows, self.warnings = list(content["rows"]), list(content["warnings"])
        self.samples = {int(at): one for at, one in content["samples"].items()}
        self.probes, self.monitor = dict(content["probes"]), content["monitor"]


def row_of(
    step: TuningStep, update: int, held_out: Iterable[float], lora: float, constant: bool, seconds: float
) -> Row:
    """Return the numbers of an update; `None` where there is none."""
    other = [value for value in held_out if math.isfinite(value)]
    mean = float(step.rewards.mean()) if len(step.rewards) else None
    loss = finite(step.loss) if step.clips > len(step.missing) else None  # without a reward nothing was minimised
    row: Row = {"update": update, "reward": mean, "held_out": sum(other) / len(other) if other else None}
    row |= {name: finite(value) for name, value in step.terms.items()}
    row |= {"loss": loss, "kl": finite(step.kl), "gradient_norm": finite(step.gradient_norm)}
    row |= {"lora_norm": lora, "clips": step.clips, "missing": len(step.missing), "constant": int(constant)}
    row |= {name: finite(value) for name, value in step.parts.items()}
    return row | {"denoising_steps": step.denoising_steps, "seconds": round(seconds, 3)}


def finite(value: float) -> float | None:
    """Return a number, or `None` for one that is not finite."""
    return float(value) if math.isfinite(value) else None


def plain(run: TuningRun) -> dict[str, Any]:
    """Return a configuration as JSON would give it back."""
    return json.loads(json.dumps(asdict(run), default=str))


def begin_record(run: TuningRun, resume: bool) -> RunRecord:
    """Return the record of a run in its folder: a new one, or that of an earlier start of the same run.

    The number of updates and the trackers may differ from those of the earlier start. One that failed before its first
    update is forgotten.

    Raises:
        ArgumentError: if the folder holds something else.
        AvrewardError: if its `run.json` can't be read.
    """
    folder, record = Path(run.output), RunRecord(run)
    note = folder / RUN
    if note.is_file():
        try:
            content = parsed_json(note.read_text(encoding="utf-8"))
            before, begun = content["config"], content["status"] != FAILED or bool(content["rows"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AvrewardError(f"{note}: expected the record of a run, got another file ({error})") from error
        if not begun:
            record.discard()
            return record
        same = {**before, "updates": run.updates, "trackers": list(run.trackers)} == plain(run)
        if same and resume:
            return record
        got = Described("that of a run with other settings" if not same else f"{folder}, which holds a run")
        raise ArgumentError("output", "a new folder", got, "name another one, or remove it")
    if folder.is_dir() and any(folder.iterdir()):
        got = Described(f"{folder}, which holds other files")
        raise ArgumentError("output", "a new folder", got, "name another one")
    folder.mkdir(parents=True, exist_ok=True)
    return record


def note_failure(folder: Path, reason: str, process: int = 0) -> None:
    """Write into the `run.json` of a run, if there is one, that it failed; a disk may be full.

    What the first of several processes or another one has written is not replaced by a further one.
    """
    note = folder / RUN
    with suppress(OSError, ValueError, TypeError):
        content = parsed_json(note.read_text(encoding="utf-8"))
        if process and content.get("status") == FAILED:
            return
        reason = f"process {process}: {reason}" if process else reason
        with whole_file(note) as part:
            text = json.dumps({**content, "status": FAILED, "reason": reason}, indent=1, allow_nan=False)
            part.write_text(text + "\n", encoding="utf-8")


def monitor_of(record: RunRecord) -> RewardMonitor:
    """Return the monitor of a run as it was at the checkpoint, or a new one whose window is a fourth of the run."""
    if record.monitor is not None:
        return RewardMonitor.from_state_dict(record.monitor)
    return RewardMonitor(window=min(50, max(8, record.run.updates // 4)))
