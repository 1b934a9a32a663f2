"""The guards of a tuning run: what it is warned of, and where it stops."""

from __future__ import annotations

import math
from collections.abc import Sequence

from avreward.audit.inputs import PROBES
from avreward.audit.probes import run_probes
from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.rewards._prompt_warning import ignores_prompt
from avreward.training.monitor import RewardMonitor
from avreward.training.tuning._parts import TuningParts, prompt_of
from avreward.training.tuning._record import Row, RunRecord

MOST_KL = {"flow_grpo": 0.05}  # of a policy's steps, which are short
MOST_VELOCITY_KL = 0.5  # mean squared distance of velocities; those of unit data and noise have a mean square of 2
MOST_LORA = 0.5  # norm of the change as a share of the weights'
IN_A_ROW = 3  # updates beyond a limit
RECENT, MOST_MISSING = 10, 0.5  # updates looked back at, and the share without a finite reward or gradient
CONSTANT_WARNS, CONSTANT_STOPS = 5, 20  # updates in a row
PROBED = 2  # clips
SHORT = {  # probes, by the streams that a generator makes
    "audio": ("silence", "noise sound", "loud noise", "shrill"),
    "video": ("black", "noise picture", "frozen", "flicker"),
}


def reason_to_stop(record: RunRecord, monitor: RewardMonitor | None) -> str | None:
    """Return why a run should stop after its last update, by the guards that are on."""
    run, rows = record.run, record.rows
    kl = MOST_KL.get(run.loop, MOST_VELOCITY_KL)
    for name, most in (("kl", kl), ("lora_norm", MOST_LORA)):
        last = [row[name] for row in rows[-IN_A_ROW:]]
        if run.guarded(name) and len(last) == IN_A_ROW and all(value is None or value > most for value in last):
            return (
                f"{name} was above {most:g} in {IN_A_ROW} updates in a row: the network is far from the frozen one; "
                "use an earlier checkpoint, a lower learning rate or a larger kl_weight"
            )
    if run.guarded("held_out") and monitor is not None and monitor.state.diverged:
        return str(monitor.state)
    if run.guarded("missing") and (reason := _mostly_missing(rows[-RECENT:])) is not None:
        return reason
    constant = _constant_for(rows)
    if run.guarded("constant") and constant >= CONSTANT_STOPS:
        return f"{_constant_text(record, constant)}: there is nothing to learn from it"
    return None


def warn_of_rows(record: RunRecord) -> str | None:
    """Return a warning about the last updates, once."""
    constant = _constant_for(record.rows)
    if not record.run.guarded("constant") or constant != CONSTANT_WARNS:
        return None
    text = f"{_constant_text(record, constant)}; after {CONSTANT_STOPS} the run stops"
    return text if record.warn(text) else None


def warn_at_start(record: RunRecord, parts: TuningParts) -> list[str]:
    """Return what is odd about a run before its first update, and note it."""
    found = []
    if len(parts.conditions) == 1:
        found.append("conditions: only one; the generator is tuned to this one, and what it does to others is not seen")
    if record.run.guarded("prompt"):
        warning = ignores_prompt(parts.reward, [prompt_of(condition) for condition in parts.conditions])
        found += [] if warning is None else [warning]
    if record.run.guarded("held_out") and parts.held_out is None:
        found.append(
            "held_out: none is named, and the default, signals, is trained on; name a reward of other raters, without "
            "which overfitting is not seen"
        )
    return [text for text in found if record.warn(text)]


def probe_reward(record: RunRecord, parts: TuningParts, clips: Sequence[Clip]) -> list[str]:
    """Run a few probes on clips of the untuned generator; return a warning for each that the reward prefers."""
    names = [name for stream in parts.generator.streams for name in SHORT.get(stream, ())]
    try:
        found = run_probes(
            parts.reward, list(clips[:PROBED]), held_out=parts.held_out, probes=[PROBES[name] for name in names]
        )
    except AvrewardError as error:
        text = f"probes: not run ({error})"
        return [text] if record.warn(text) else []
    warnings = []
    for outcome in found.outcomes:
        if outcome.verdict != "beats" or outcome.to_median is None or not math.isfinite(outcome.to_median.value):
            continue
        record.probes[outcome.probe.name] = outcome.to_median.value
        warnings.append(
            f"probes: the reward prefers {outcome.probe.about} to the generator's clips, by "
            f"{outcome.to_median.value:.3g}; a term that it lowers keeps the generator from it"
        )
    return [text for text in warnings if record.warn(text)]


def _mostly_missing(rows: Sequence[Row]) -> str | None:
    if len(rows) < RECENT:
        return None
    clips, missing = (sum(row[name] or 0 for row in rows) for name in ("clips", "missing"))
    if missing > MOST_MISSING * clips:
        return f"{missing:g} of the last {clips:g} clips had no finite reward; see the warnings for the reasons"
    dropped = sum(row["gradient_norm"] is None for row in rows)
    if dropped > MOST_MISSING * len(rows):
        return f"{dropped} of the last {len(rows)} gradients were not finite and were dropped; lower the learning rate"
    return None


def _constant_for(rows: Sequence[Row]) -> int:
    """Return for how many updates up to the last the reward has told no samples apart."""
    count = 0
    for row in reversed(rows):
        if not row["constant"]:
            break
        count += 1
    return count


def _constant_text(record: RunRecord, updates: int) -> str:
    if record.run.loop == "draft":
        return f"reward: its gradient was 0 in {updates} updates in a row"
    return f"reward: the same for all samples of each group in {updates} updates in a row"
