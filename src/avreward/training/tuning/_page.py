"""The record of a run as its page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from avreward.report.tuning_page import TuningPage, TuningSample
from avreward.training.tuning._record import RunRecord, plain

NUMBERS = {
    "kl": ("Distance from the frozen network", "In latent space, as the loop measures it; 0 where its weight is 0."),
    "lora_norm": ("Change of the weights", "Norm of the LoRA's change, as a share of the weights'."),
    "gradient_norm": ("Gradient norm", "Before it was clipped; a gap where it was not finite and was dropped."),
    "missing": ("Clips without a reward", "They are left out of the update."),
}
KNOWN = {"update", "reward", "held_out", "loss", "clips", "constant", "denoising_steps", "seconds", *NUMBERS}
LATEST = 3  # checkpoints whose samples are shown, beside the first


def page_of(record: RunRecord) -> TuningPage:
    """Return the page of a run as it stands."""
    run, rows = record.run, record.rows
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: dict[str, list[float | None]] = {name: [row.get(name) for row in rows] for name in names}
    curves: list[tuple[str, str, Mapping[str, Sequence[float | None]]]] = []
    if rows:
        curves.append(("Reward", f"Mean of each update's clips: {run.reward}", {"reward": columns["reward"]}))
        if any(value is not None for value in columns["held_out"]):
            told = run.held_out or "signals.overall"
            curves.append(("Held-out reward", f"Of the same clips, not trained on: {told}",
                           {"held out": columns["held_out"]}))  # fmt: skip
        terms = [name for name in names if "." in name]
        if len(terms) > 1:
            curves += [(name, "A term of the reward, before weighting.", {name: columns[name]}) for name in terms]
        curves += [(title, text, {name: columns[name]}) for name, (title, text) in NUMBERS.items()]
        curves += [(name, "A number of the loop.", {name: columns[name]}) for name in names
                   if name not in KNOWN and "." not in name]  # fmt: skip
    kept = sorted(record.samples)
    kept = kept if len(kept) <= LATEST + 1 else [kept[0], *kept[-LATEST:]]
    return TuningPage(
        title=f"{run.loop} on {run.reward}",
        status=_status(record),
        stopped=record.status in ("stopped", "failed"),
        warnings=record.warnings,
        curves=[curve for curve in curves if any(value is not None for line in curve[2].values() for value in line)],
        samples={at: [TuningSample(record.folder / one["file"], one["caption"], one["reward"], one["held_out"])
                      for one in record.samples[at]] for at in kept},
        settings={**{name: _text(value) for name, value in plain(run).items()}, **record.facts},
        numbers={name: (values[0], values[-1]) for name, values in columns.items() if name != "update"},
    )  # fmt: skip


def _status(record: RunRecord) -> str:
    done = f"{len(record.rows)} of {record.run.updates} updates"
    said = {"running": f"Running: {done}", "finished": f"Finished: {done}", "stopped": f"Stopped after {done}"}
    text = said.get(record.status, f"{record.status.capitalize()} after {done}")
    return f"{text}: {record.reason}" if record.reason else f"{text}."


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
