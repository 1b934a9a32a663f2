"""The guards of a tuning run: what it is warned of, and where it stops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch

from avreward.audit.inputs import PROBES
from avreward.audit.probes import run_probes
from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.generators.clip_encoder import some_frames
from avreward.rewards._prompt_warning import ignores_prompt
from avreward.rewards.base import Reward
from avreward.training.generator._rated import check_graph, rated
from avreward.training.generator.draft import Draft
from avreward.training.monitor import RewardMonitor
from avreward.training.tuning._parts import TuningParts, prompt_of
from avreward.training.tuning._record import Row, RunRecord

MISSING = "missing: "  # begins the warning about a clip without a reward
UNMEASURED = ("draft", "flow_grpo")  # loops that measure no distance where its weight is 0
MOST_KL = {"flow_grpo": 0.05}  # of a policy's steps, which are short
MOST_VELOCITY_KL = 0.5  # mean squared distance of velocities; those of unit data and noise have a mean square of 2
MOST_LORA = 0.5  # norm of the change as a share of the weights'
IN_A_ROW = 3  # updates beyond a limit
RECENT, MOST_MISSING = 10, 0.5  # updates looked back at, and the share without a finite reward or gradient
NONE_OF = 16  # clips of the last updates, none of which has a finite reward
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
    if run.guarded("missing") and (reason := _mostly_missing(record)) is not None:
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
    if record.run.guarded("held_out") and (warning := _not_held_out(parts.reward, parts.held_out)) is not None:
        found.append(warning)
    if record.run.guarded("kl") and record.run.loop in UNMEASURED and not parts.loop.kl_weight:
        found.append(
            "kl: settings.kl_weight is 0, so that the distance from the frozen network is not measured; the guard kl "
            "can't stop this run"
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


def check_gradient(parts: TuningParts, clip: Clip) -> None:
    """Raise `NoGradient` if a loop that backpropagates the reward gets none for the tracks of a clip of its generator.

    Rates as many frames as the loop does. A clip without a reward says nothing.
    """
    loop = parts.loop
    if not isinstance(loop, Draft) or loop.head is not None:
        return
    if loop.frames is not None:
        clip = some_frames(clip, loop.frames, torch.Generator().manual_seed(0))
    found = rated(parts.reward, [_leaf(clip, parts.generator.streams)])
    if bool(found.present.all()):
        check_graph(parts.reward, found)


def _leaf(clip: Clip, streams: Sequence[str]) -> Clip:
    """Return a clip whose generated tracks require a gradient."""
    if "audio" in streams:
        clip = clip.with_audio(clip.audio.detach().clone().requires_grad_(), clip.sample_rate)
    if "video" not in streams:
        return clip
    sound: dict[str, Any] = {"audio": clip.audio, "sample_rate": clip.sample_rate} if clip.has_audio else {}
    video = clip.video.detach().clone().requires_grad_()
    return Clip(video=video, times=clip.times, **sound, prompt=clip.prompt, texts=clip.texts)


def _not_held_out(reward: Reward, held_out: Reward | None) -> str | None:
    """Return a warning if the held-out reward is none, or reads what is trained on."""
    remedy = "name a reward of other raters, without which overfitting is not seen"
    if held_out is None:
        return f"held_out: none is named, and the default, signals, is trained on; {remedy}"
    trained, own = ({(one.rater.fingerprint, one.dimension): one.name for one in r.terms} for r in (reward, held_out))
    if both := sorted(own[key] for key in set(trained) & set(own)):
        return f"held_out: {', '.join(both)} is trained on, too; {remedy}"
    raters = {rater.fingerprint for rater in reward.raters}
    if shared := sorted(rater.name for rater in held_out.raters if rater.fingerprint in raters):
        return f"held_out: of the rater {', '.join(shared)}, which is trained on by other scores; {remedy}"
    return None


def _mostly_missing(record: RunRecord) -> str | None:
    last = list(takewhile(lambda row: row["missing"] == row["clips"], reversed(record.rows)))
    none = sum(int(row["clips"] or 0) for row in last)
    if none >= NONE_OF or len(last) == record.run.updates:  # the whole of a short run may be fewer than 16 clips
        told = [text.removeprefix(MISSING) for text in record.warnings if text.startswith(MISSING)]
        why = f" ({told[-1]})" if told else ""
        return f"none of the last {none} clips had a finite reward{why}"
    rows = record.rows[-RECENT:]
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
        if row["reward"] is None:  # an update without any reward says nothing
            continue
        if not row["constant"]:
            break
        count += 1
    return count


def _constant_text(record: RunRecord, updates: int) -> str:
    if record.run.loop == "draft":
        return f"reward: its gradient was 0 in {updates} updates in a row"
    return f"reward: the same for all samples of each group in {updates} updates in a row"
